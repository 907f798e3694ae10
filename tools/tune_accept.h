/*
 * tune_accept.h - the rows of what the tuner must reach: each measures, and ends in one line.
 *
 *   A1   regret of the choice after 12 samples a workload      A7   what a campaign takes
 *   A2   the same after 24                                     A8   scale S0's choices at S1
 *   A3   time against what ships, at S1                        A9   the same at S2
 *   A4   never worse than what ships                           A10  cost model against the engine
 *   A5   against the theory alone                              A11  error on a workload left out
 *   A6   against random samples and CAMAL's rounds             A20  determinism
 *
 * Units:  regret and errors are shares (0.08: 8 %), times seconds.
 * Errors: a row's function has told the cause on stderr when it returns false; a bound that is not
 *         met is no error, it is "short".
 */
#ifndef OMT_TUNE_ACCEPT_H
#define OMT_TUNE_ACCEPT_H

#include "tools/tune_trial.h"

enum { OMT_FIGURES_MAX = 4, OMT_NOTE_BYTES = 320 };

enum omt_figure_unit { OMT_PER_CENT, OMT_MINUTES, OMT_COUNT, OMT_TIMES };
struct omt_figure {
    const char *name;
    enum omt_figure_unit unit;
    bool at_least;            /* else at most */
    double value, must, goal; /* must NAN: told, bound by nothing; goal NAN: none */
};
struct omt_row {
    const char *id;
    struct omt_figure figure[OMT_FIGURES_MAX]; /* the first is what the row is about */
    uint32_t count;
    bool passes_anyway;        /* by the row's other way to pass, which note tells */
    char note[OMT_NOTE_BYTES]; /* what else there is to say; "": nothing */
};

struct omt_accept {
    /* what was asked */
    const char *labels, *labels_s1, *work, *databases, *ledger, *commit, *spec_text;
    bool json, is_short;
    uint64_t scale, seed, seeds, jobs;
    /* what is there */
    struct omt_campaign recorded, recorded_s1; /* dir "": not opened */
    struct omt_campaign_config config;         /* without a recorded one */
    struct omt_measure_options options;
    char session[20], databases_made[OMT_TUNE_PATH];
    struct omt_pool pool; /* at S0; opened by omt_accept_pool */
    bool has_pool, has_grid;
    struct omt_trial lcb[2]; /* budgets 12 and 24, in the short form 8 */
    bool has_lcb[2];
};

/* A directory below --work, made. */
bool omt_accept_dir(const struct omt_accept *a, const char *name, char path[static OMT_TUNE_PATH]);
/* The pool of S0: --labels and live runs, or the grid measured live when there are no labels. */
bool omt_accept_pool(struct omt_accept *a);
/* lcb over the whole space; 0: 12 samples, 1: 24. Made once. */
bool omt_accept_lcb(struct omt_accept *a, unsigned which);
/* Details for people, not with --json. */
__attribute__((format(printf, 2, 3))) void omt_accept_say(const struct omt_accept *a,
                                                          const char *format, ...);

/* ---- rows ------------------------------------------------------------------------------------ */

bool omt_accept_a1(struct omt_accept *a, struct omt_row *row); /* tune_accept_regret.c */
bool omt_accept_a2(struct omt_accept *a, struct omt_row *row);
bool omt_accept_a5(struct omt_accept *a, struct omt_row *row);
bool omt_accept_a6(struct omt_accept *a, struct omt_row *row);
bool omt_accept_a3(struct omt_accept *a, struct omt_row *row); /* tune_accept_wall.c */
bool omt_accept_a4(struct omt_accept *a, struct omt_row *row);
bool omt_accept_a7(struct omt_accept *a, struct omt_row *row);
bool omt_accept_a8(struct omt_accept *a, struct omt_row *row);
bool omt_accept_a9(struct omt_accept *a, struct omt_row *row);
bool omt_accept_a10(struct omt_accept *a, struct omt_row *row); /* tune_accept_model.c */
bool omt_accept_a11(struct omt_accept *a, struct omt_row *row);
bool omt_accept_a20(struct omt_accept *a, struct omt_row *row); /* tune_accept_same.c */

#endif

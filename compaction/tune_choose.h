/*
 * tune_choose.h - which shape to measure next, and which one to choose in the end.
 *
 * A sampler asks for one measurement after the other; the caller makes them, in whatever way, and
 * gives back the labels. All workloads of a campaign share one pool of rows and one model, whatever
 * their sizes: data and memory enter through the theory's costs and the number of levels.
 *
 * Modes:
 *   lcb        the point of the whole space with the least lower confidence bound (Cox and John,
 *              1992): warm start, argmin of mean - kappa * sd of ln J, every fifth time the least
 *              known of the promising ones
 *   decoupled  one knob at a time, as Yu, Luo, Yu and Cong do ("CAMAL: Optimizing LSM-trees via
 *              Active Learning", 2024): T, then filter bits, then the cache, for leveling and for
 *              tiering
 *   random     points of the space, uniformly, none twice
 *   grid       every point of the space, in its order
 *   theory     the cost model's best; nothing is measured
 *   endure:rho the cost model's best for the worst mix within rho (robust.h); nothing is measured
 *
 * A step depends on the configuration and on the rows added so far, in their order, and on nothing
 * else: adding the rows of a broken campaign again brings its state back, and the same seed gives
 * the same steps. A caller that measures several workloads at once keeps that by asking for one
 * step of each, and adding the labels in the order of the workloads. That is also the better order:
 * each workload's rows come from what all have shown so far.
 *
 * Units:   labels are costs per operation, all in one unit; positive.
 * Owner:   create gives the sampler, destroy takes it back; spaces are copied.
 * Errors:  OMEN_INVALID for what the caller gave; OMEN_NO_MEMORY, after which only destroy is left.
 * Threads: one at a time.
 */
#ifndef OMI_TUNE_CHOOSE_H
#define OMI_TUNE_CHOOSE_H

#include "compaction/tune_model.h"
#include "compaction/tune_theory.h"

enum omi_choose_mode {
    OMI_CHOOSE_LCB,
    OMI_CHOOSE_DECOUPLED,
    OMI_CHOOSE_RANDOM,
    OMI_CHOOSE_GRID,
    OMI_CHOOSE_THEORY,
    OMI_CHOOSE_ENDURE,
    OMI_CHOOSE_MODES
};

struct omi_choose_config {
    enum omi_choose_mode mode;
    double rho;      /* of endure, in nats */
    uint32_t budget; /* measurements a workload, finals apart; 0: 12 */
    uint32_t
        repeats;  /* of each finalist once the budget is spent; 0: labels are exact, no finals */
    double kappa; /* standard deviations below the mean; 0: 1 */
    double
        stop_gain; /* lcb stops early when three steps in a row promised less, say 0.02; 0: never */
    uint64_t seed;
    bool has_prior;
    double prior[OMI_RIDGE_TERMS]; /* stage-1 coefficients, in the labels' unit */
    struct omi_point standard; /* what ships: measured first, and kept unless another is better */
};

struct omi_choose_workload {
    struct omi_tune_workload workload;
    const struct omi_tune_space *space; /* what may be chosen; of the workload's limits */
};

enum omi_choose_stage {
    OMI_CHOOSE_WARM,    /* the default and the theory's best */
    OMI_CHOOSE_EXPLOIT, /* what looks best */
    OMI_CHOOSE_EXPLORE, /* what is least known */
    OMI_CHOOSE_FINAL    /* a finalist once more */
};

struct omi_choose_step {
    bool done; /* nothing more to measure; the rest says nothing then */
    enum omi_choose_stage stage;
    struct omi_point point;
    uint32_t repeat; /* how often the point has been measured for this workload: for its seed */
    struct omi_tune_guess guess; /* what the model expects; log_sd 0 while there is none */
};

struct omi_choose_result {
    struct omi_point point;
    double label, label_se;      /* its mean, and that mean's standard error; 0: not measured */
    double standard_label;       /* the default's mean; 0: not measured */
    uint32_t measured;           /* rows of the workload */
    bool kept_standard;          /* no other is better beyond doubt */
    struct omi_tune_guess guess; /* of the point */
};

struct omi_choose;

/* "lcb", "decoupled", "random", "grid", "theory", "endure:0.5": sets mode and rho. OMEN_INVALID
 * lists the names. */
OMEN_MUST_CHECK omen_err omi_choose_mode_parse(const char *text, struct omi_choose_config *config);
const char *omi_choose_mode_name(enum omi_choose_mode mode);
const char *omi_choose_stage_name(enum omi_choose_stage stage);

/* The default is made to fit: less cache, then fewer bits, until a memtable is left. */
OMEN_MUST_CHECK omen_err omi_choose_create(const struct omi_choose_config *config,
                                           const struct omi_choose_workload *workloads,
                                           uint32_t count, struct omi_choose **out);
void omi_choose_destroy(struct omi_choose *choose); /* NULL is allowed */

/* Asking twice without adding a label gives the same step. */
OMEN_MUST_CHECK omen_err omi_choose_next(struct omi_choose *choose, uint32_t workload,
                                         struct omi_choose_step *step_out);
/* A label: of the step, or any other (an older campaign's). Weight 1; less for what is less sure. */
OMEN_MUST_CHECK omen_err omi_choose_add(struct omi_choose *choose, uint32_t workload,
                                        const struct omi_point *point, double label, double weight);
/* What to choose, by the rows so far: possible at any time. The finalist with the least mean of its
 * repeats, the default unless that is better by two standard errors; without finals the least label
 * (lcb, grid), or the model's best of all points (random, decoupled); without rows the theory's. */
OMEN_MUST_CHECK omen_err omi_choose_result(struct omi_choose *choose, uint32_t workload,
                                           struct omi_choose_result *result_out);

/* What the model expects of a point now, and what the theory says (cost_out may be NULL). */
OMEN_MUST_CHECK omen_err omi_choose_guess(struct omi_choose *choose, uint32_t workload,
                                          const struct omi_point *point,
                                          struct omi_tune_guess *guess_out,
                                          struct omi_cost *cost_out);
/* The best points of the workload's space by the model's mean, ascending, at most count of them. */
OMEN_MUST_CHECK omen_err omi_choose_best(struct omi_choose *choose, uint32_t workload,
                                         struct omi_point *points_out, uint32_t count,
                                         uint32_t *count_out);
/* Fitted on all rows so far; borrowed until the next call. */
OMEN_MUST_CHECK omen_err omi_choose_model(struct omi_choose *choose,
                                          const struct omi_tune_model **model_out);

#endif

/*
 * tune_trial.h - a sampler run to its end over labels that are recorded, or made when asked for.
 *
 * Path:   sampler (compaction/tune_choose.h) -> step -> pool: a recorded campaign's label if it has
 *         one, else a run into a live campaign -> sampler -> choice
 * Units:  labels are J_io: random page reads an operation; regret is J / J_best - 1, J_best the
 *         lowest label of the workload in the whole pool.
 * Owner:  a pool borrows the recorded campaign and owns the live one.
 * Errors: bool functions have told the cause on stderr.
 */
#ifndef OMT_TUNE_TRIAL_H
#define OMT_TUNE_TRIAL_H

#include "compaction/tune_choose.h"
#include "tools/tune.h"

struct omt_pool {
    const struct omt_campaign *recorded; /* NULL: none */
    struct omt_campaign live;            /* dir "": none, only what is recorded can be had */
    struct omt_measure_options options;
    const struct omt_campaign_config *config; /* of either: the workloads */
    uint32_t made;                            /* live runs that this process made */
    char databases[OMT_TUNE_PATH];            /* where they lie unless options say */
};

/* recorded may be NULL, then config says what the workloads are. work: where live labels go, kept
 * and taken up again; NULL: no live runs. A pool that makes them may not be moved. */
bool omt_pool_open(struct omt_pool *pool, const struct omt_campaign *recorded,
                   const struct omt_campaign_config *config, const char *work,
                   const struct omt_measure_options *options);
bool omt_pool_close(struct omt_pool *pool);
/* The labels of count wishes, those that are not there measured first. labels_out[i] points into the
 * pool until the next call. */
bool omt_pool_labels(struct omt_pool *pool, const struct omt_wish *wishes, uint32_t count,
                     const struct omt_label **labels_out);
/* The lowest J_io of a workload in the pool; NAN: none. */
double omt_pool_best(const struct omt_pool *pool, uint32_t workload);
/* The recorded points of a workload as a space: to draw from what is known. */
bool omt_pool_space(const struct omt_pool *pool, uint32_t workload,
                    struct omi_tune_space *space_out);

struct omt_trial {
    struct omi_choose_config config; /* mode, budget, seed, ...; standard is set by each workload */
    bool recorded_only;              /* spaces are what is recorded */
    const char *restrict_text;       /* else, of tune_space.h; NULL: all */
    uint32_t workload[OMT_WORKLOADS_MAX], count; /* indices of the campaign's */
    /* out */
    struct omi_point choice[OMT_WORKLOADS_MAX];
    double j[OMT_WORKLOADS_MAX], j_default[OMT_WORKLOADS_MAX];
    uint32_t measured[OMT_WORKLOADS_MAX];
};
/* model_out (may be NULL): as fitted at the end. */
bool omt_trial_run(struct omt_pool *pool, struct omt_trial *trial,
                   struct omi_tune_model *model_out);
/* Of the choice of the i-th of the trial's workloads, against the pool as it is now. */
double omt_trial_regret(const struct omt_pool *pool, const struct omt_trial *trial, uint32_t i);
struct omt_spread {
    double mean, max, se; /* se: standard error of the mean */
    uint32_t count;
};
struct omt_spread omt_spread_of(const double *values, uint32_t count);
struct omt_spread omt_trial_regrets(const struct omt_pool *pool, const struct omt_trial *trial);

#endif

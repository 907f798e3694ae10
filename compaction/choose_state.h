/*
 * choose_state.h - what the samplers' files share (tune_choose.h is for everyone else).
 *
 * Each workload has a copy of its space; points that are measured but not in it come after those
 * that may be chosen. What a step needs is worked out again whenever it is asked for; what must not
 * change later (the decoupled rounds' choices, the finalists) is settled when a row is added.
 */
#ifndef OMI_CHOOSE_STATE_H
#define OMI_CHOOSE_STATE_H

#include "compaction/tune_choose.h"

enum { OMI_CHOOSE_WARM_MAX = 4, OMI_CHOOSE_FINALISTS = 5, OMI_CHOOSE_POLICIES = 2 };

/* Rows of one point of one workload. */
struct omi_choose_tally {
    double weight, sum, square; /* of labels, weighted */
    uint32_t count;
    double final_sum, final_square; /* of its repeats as a finalist */
    uint32_t final_count;
};

struct omi_choose_work {
    struct omi_tune_workload workload;
    struct omi_tune_space space;
    uint32_t choosable; /* points below it */
    uint32_t theory;    /* of choose->theories */
    struct omi_tune_input *inputs;
    struct omi_choose_tally *tallies;
    uint32_t ready, room; /* points that inputs and tallies are there for */
    uint32_t standard;    /* index */
    uint32_t warm[OMI_CHOOSE_WARM_MAX], warm_count;
    uint32_t rows, final_rows;
    uint32_t weak_steps; /* in a row that promised little */
    bool sampled;        /* the budget is spent: only finals come */
    uint32_t finalists[OMI_CHOOSE_FINALISTS], finalist_count;
    struct omi_choose_rounds { /* of decoupled, by policy: settled values, 0: not yet */
        uint16_t size_ratio, filter_bits;
    } rounds[OMI_CHOOSE_POLICIES];
};

struct omi_choose {
    struct omi_choose_config config;
    struct omi_choose_work *works;
    uint32_t work_count;
    struct omi_theory *theories;
    uint32_t theory_count;
    struct omi_tune_row *rows;
    uint32_t row_count, row_room;
    struct omi_tune_model *model;
    bool fitted; /* on all rows */
    struct omi_choose_ranked {
        double mean, sd;
        uint32_t index;
    } * ranked; /* scratch: as many as the largest space has points */
    uint32_t ranked_room;
};

/* Fits the model if rows were added since. */
OMEN_MUST_CHECK omen_err omi_choose_fit(struct omi_choose *choose);
/* Before any label: by the prior if there is one. */
double omi_choose_theory_cost(const struct omi_choose *choose, const struct omi_choose_work *work,
                              uint32_t index);
struct omi_tune_guess omi_choose_predicted(const struct omi_choose *choose,
                                           const struct omi_choose_work *work, uint32_t index);
/* The points that may be chosen, into choose->ranked, by the model's mean. */
enum omi_choose_which { OMI_CHOOSE_UNMEASURED, OMI_CHOOSE_MEASURED, OMI_CHOOSE_ALL };
OMEN_MUST_CHECK omen_err omi_choose_rank(struct omi_choose *choose,
                                         const struct omi_choose_work *work,
                                         enum omi_choose_which which, uint32_t *count_out);
/* The measured point with the least mean label; UINT32_MAX: none. */
uint32_t omi_choose_incumbent(const struct omi_choose_work *work);
/* Random numbers of the workload's n-th step. */
struct omi_random omi_choose_random(const struct omi_choose *choose,
                                    const struct omi_choose_work *work);
/* Of the points that are not measured: drawn with chances inverse to the predicted cost, or all
 * alike. UINT32_MAX: none of the candidates. The model must be fitted unless alike. */
typedef bool (*omi_choose_candidate)(const void *context, const struct omi_point *point);
uint32_t omi_choose_draw(const struct omi_choose *choose, const struct omi_choose_work *work,
                         omi_choose_candidate candidate, const void *context, bool alike);

/* The rounds of CAMAL (choose_rounds.c). */
OMEN_MUST_CHECK omen_err omi_choose_rounds_next(struct omi_choose *choose,
                                                struct omi_choose_work *work, uint32_t *index_out);
/* After a row: settles T or the bits when their round is over. */
OMEN_MUST_CHECK omen_err omi_choose_rounds_settle(struct omi_choose *choose,
                                                  struct omi_choose_work *work);

#endif

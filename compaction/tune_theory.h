/*
 * tune_theory.h - a workload as the tuner's theory sees it, and what each point costs it.
 *
 * From a description (workload.h) or from what a live database counted. The tree of a point is
 * replayed (cost_model.h); that depends on T, K, Z and the memtable alone, so one table of
 * trees serves every mix, skew and scan length over the same data.
 *
 * Units: costs are in the unit of the prices, per operation.
 * Owner: a table owns its trees; what it answers is a copy.
 */
#ifndef OMI_TUNE_THEORY_H
#define OMI_TUNE_THEORY_H

#include "compaction/tune_space.h"
#include "compaction/workload.h"

struct omi_tune_workload {
    double mix[OMI_TUNE_OPS];
    double skew; /* Zipf exponent of the keys that are asked for; 0: uniform */
    const struct omi_cost_curve *curve; /* hit rates that were measured; NULL: by skew */
    struct omi_cost_data data;          /* filter_bits and cache_hit are set for each point */
    struct omi_space_limits limits;
};

/* The mean mix of a settled workload, with this engine's pages and filters. prices: NULL, every page
 * 1. The curve is NULL. */
void omi_tune_workload_of(const struct omi_workload *described,
                          const struct omi_cost_prices *prices,
                          struct omi_tune_workload *workload_out);

/* One point, replayed on the spot. OMEN_INVALID: it is no valid shape or does not fit the memory. */
OMEN_MUST_CHECK omen_err omi_theory_cost(const struct omi_tune_workload *workload,
                                         const struct omi_point *point,
                                         struct omi_cost_tree *tree_out, struct omi_cost *cost_out);
/* The same for a tree that is known: replayed, or live. */
void omi_theory_cost_of(const struct omi_tune_workload *workload, const struct omi_point *point,
                        const struct omi_cost_tree *tree, struct omi_cost *cost_out);

/* Trees that were replayed, by shape. */
struct omi_theory {
    struct omi_cost_data data; /* what omi_theory_same compares counts */
    struct omi_theory_slot *slots;
    uint32_t count, room; /* room: 0 or a power of two */
};
void omi_theory_init(struct omi_theory *theory, const struct omi_cost_data *data);
void omi_theory_fini(struct omi_theory *theory);
/* Replayed when it is first asked for: about half a millisecond. */
OMEN_MUST_CHECK omen_err omi_theory_tree(struct omi_theory *theory, const struct omi_shape *shape,
                                         struct omi_cost_tree *tree_out);
/* Would the trees of a serve b? */
bool omi_theory_same(const struct omi_cost_data *a, const struct omi_cost_data *b);

#endif

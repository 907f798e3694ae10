/* What explain works out: the best shapes, in order, one a shape; what is robust; live trees. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tune_explain.h"

static struct omt_explain *explain_of(const char *name, const char *restrict_text, uint32_t top)
{
    struct omt_explain *e = calloc(1, sizeof(*e));
    struct omi_workload w;
    cr_assert(e != NULL);
    cr_assert_eq(omi_workload_named(name, &w), OMEN_OK);
    omi_tune_workload_of(&w, NULL, &e->workload);
    e->now.point = omt_default_point(&e->workload.limits);
    e->rho = 0.5;
    cr_assert_eq(omt_explain_make(e, restrict_text, top), OMEN_OK, "%s", omen_last_error());
    return e;
}

Test(explain, the_best_are_in_order_and_each_shape_comes_once)
{
    static const char *const names[] = {"W1", "W4", "W5", "W9", "W11"};
    for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
        struct omt_explain *e = explain_of(names[n], NULL, 8);
        cr_assert_eq(e->best_count, 8);
        for (uint32_t i = 0; i < e->best_count; i++) {
            const struct omi_point *a = &e->best[i].point;
            cr_assert(isfinite(e->best[i].j) && e->best[i].j > 0);
            cr_assert(i == 0 || e->best[i].j >= e->best[i - 1].j);
            for (uint32_t k = 0; k < i; k++) {
                const struct omi_point *b = &e->best[k].point;
                cr_assert(a->size_ratio != b->size_ratio || a->runs_upper != b->runs_upper ||
                          a->runs_last != b->runs_last);
            }
        }
        free(e);
    }
}

Test(explain, no_point_of_the_space_is_cheaper_than_the_best)
{
    struct omt_explain *e = explain_of("W9", NULL, 3);
    struct omi_tune_space space;
    cr_assert_eq(omi_space_make(&e->workload.limits, NULL, &space), OMEN_OK);
    cr_assert_eq(space.count, e->space_count);
    for (uint32_t i = 0; i < space.count; i += 17) {
        struct omi_cost_tree tree;
        struct omi_cost cost;
        cr_assert_eq(omi_theory_cost(&e->workload, &space.points[i], &tree, &cost), OMEN_OK);
        cr_assert(omi_cost_mix(&cost, e->workload.mix) >= e->best[0].j * (1 - 1e-9));
    }
    omi_space_fini(&space);
    free(e);
}

Test(explain, writes_ask_for_runs_and_scans_for_few)
{
    struct omt_explain *writes = explain_of("W5", NULL, 1), *scans = explain_of("W4", NULL, 1);
    cr_assert(writes->best[0].point.runs_upper > 1);
    cr_assert_eq(scans->best[0].point.runs_upper, 1);
    cr_assert(writes->best[0].cost.write_amp < scans->best[0].cost.write_amp);
    cr_assert(writes->best[0].cost.runs > scans->best[0].cost.runs);
    cr_assert(writes->runs_prior > scans->runs_prior);
    free(writes);
    free(scans);
}

Test(explain, the_robust_shape_is_no_dearer_in_the_worst_mix)
{
    struct omt_explain *e = explain_of("W7", NULL, 1);
    cr_assert(e->robust_cost <= e->best_robust_cost * (1 + 1e-12));
    cr_assert(e->robust.theory >= e->best[0].theory * (1 - 1e-12));
    free(e);
}

Test(explain, a_restricted_space_is_obeyed)
{
    struct omt_explain *e = explain_of("W5", "T=4;K=1,T-1;Z=1;h=8;cache=0", 20);
    cr_assert_eq(e->best_count, 2);
    for (uint32_t i = 0; i < e->best_count; i++)
        cr_assert(e->best[i].point.size_ratio == 4 && e->best[i].point.filter_bits == 8);
    free(e);
}

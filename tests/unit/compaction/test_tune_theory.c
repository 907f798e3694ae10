/* Workloads as the theory sees them, and the table of replayed trees. */
#include "compaction/tune_theory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

TestSuite(tune_theory, .timeout = 60);

static struct omi_tune_workload workload_make(const char *name)
{
    struct omi_workload described;
    struct omi_tune_workload w;
    cr_assert_eq(omi_workload_named(name, &described), OMEN_OK);
    described.entries = 20000;
    omi_tune_workload_of(&described, NULL, &w);
    return w;
}

Test(tune_theory, named_workloads_are_read_as_they_are_meant)
{
    struct omi_tune_workload w = workload_make("W1");
    cr_assert(w.mix[0] == 0.25 && w.skew == 0 && w.data.scan_entries == 4);
    cr_assert_eq(w.limits.memory_bytes, 20000 * 36 / 8);
    cr_assert(w.data.read_writes == 0 && w.data.inserts == 0 && !w.data.sorted && !w.data.recent);
    cr_assert(fabs(w.data.entry_bytes - 1024) < 5 && fabs(w.data.page_entries - 4.1) < 0.1);
    w = workload_make("W11");
    cr_assert(w.skew == 0.99 && w.data.skew == 0.99 && w.data.inserts == 0);
    w = workload_make("W12");
    cr_assert(w.data.sorted && w.data.spanned && w.data.recent && w.data.inserts > 0.9);
    cr_assert(w.data.scan_entries > 10 && w.data.scan_entries < 100,
              "scans near the end are cut: %g", w.data.scan_entries);
    w = workload_make("C");
    cr_assert_eq(w.data.read_writes, 1, "without writes the tree stays as it was loaded");
}

/* The grid that methods are judged by fits the memory that workloads have by default. */
Test(tune_theory, grid_points_fit_the_default_memory)
{
    struct omi_workload described;
    struct omi_tune_workload w;
    struct omi_tune_space grid;
    cr_assert_eq(omi_workload_named("W1", &described), OMEN_OK);
    omi_tune_workload_of(&described, NULL, &w);
    cr_assert_eq(omi_space_grid(&w.limits, &w.data, w.mix, &grid), OMEN_OK);
    for (uint32_t i = 0; i < grid.count; i++) {
        struct omi_point p = grid.points[i];
        p.filter_bits = 10;
        p.cache_pct = 40;
        cr_assert_eq(omi_point_check(&w.limits, &p), OMEN_OK, "%s", omen_last_error());
        cr_assert_neq(omi_space_find(&grid, &p), UINT32_MAX);
    }
    omi_space_fini(&grid);
}

Test(tune_theory, the_table_answers_what_a_replay_does)
{
    struct omi_tune_workload w = workload_make("W1");
    struct omi_theory theory;
    struct omi_tune_space space;
    w.limits.memory_bytes = 400000;
    cr_assert_eq(omi_space_make(&w.limits, "h=4,10;cache=0,20", &space), OMEN_OK);
    omi_theory_init(&theory, &w.data);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < space.count; i += round == 0 ? 1 : 7) {
            struct omi_shape shape;
            struct omi_cost_tree tree, again;
            struct omi_cost a, b;
            omi_point_shape(&w.limits, &space.points[i], &shape);
            cr_assert_eq(omi_theory_tree(&theory, &shape, &tree), OMEN_OK);
            if (i % 5 != 0 && round == 0)
                continue;
            cr_assert_eq(omi_theory_cost(&w, &space.points[i], &again, &a), OMEN_OK);
            omi_theory_cost_of(&w, &space.points[i], &tree, &b);
            cr_assert_eq(tree.count, again.count);
            cr_assert_eq(memcmp(a.cost, b.cost, sizeof(a.cost)), 0);
        }
    uint32_t kept = theory.count;
    cr_assert_leq(kept, space.count);
    struct omi_shape bad = {1, 1, 1, {0}, 65536}, shape = {4, 1, 1, {0}, 65536};
    struct omi_cost_tree tree;
    cr_assert_eq(omi_theory_tree(&theory, &bad, &tree), OMEN_INVALID);
    bad = (struct omi_shape){4, 1, 1, {0}, 0};
    cr_assert_eq(omi_theory_tree(&theory, &bad, &tree), OMEN_INVALID);
    shape.runs_level[0] = 3; /* K of one level makes another shape */
    cr_assert_eq(omi_theory_tree(&theory, &shape, &tree), OMEN_OK);
    cr_assert_eq(theory.count, kept + 1);
    omi_theory_fini(&theory);
    omi_space_fini(&space);
}

Test(tune_theory, trees_are_shared_by_what_the_replay_depends_on)
{
    struct omi_cost_data a = workload_make("W1").data, b = workload_make("W5").data;
    cr_assert(omi_theory_same(&a, &b), "the mix does not matter");
    b.scan_entries = 100;
    b.filter_bits = 3;
    cr_assert(omi_theory_same(&a, &b));
    struct omi_cost_data others[] = {a, a, a, a, a, a, a, a};
    others[0].entries++;
    others[1].entry_bytes++;
    others[2].flush_share = 0.5;
    others[3].sorted = true;
    others[4].spanned = true;
    others[5].inserts = 0.5;
    others[6].skew = 0.9;
    others[7].read_writes = 1;
    for (int i = 0; i < 8; i++)
        cr_assert(!omi_theory_same(&a, &others[i]), "%d", i);
}

Test(tune_theory, measured_hit_rates_take_the_place_of_the_caches_model)
{
    struct omi_tune_workload w = workload_make("W3");
    const struct omi_cost_curve curve = {1, {1000}, {0.75}};
    const struct omi_point none = {4, 1, 1, 10, 0}, some = {4, 1, 1, 10, 10};
    struct omi_cost_tree tree;
    struct omi_cost a, b;
    w.limits.memory_bytes = 400000;
    w.curve = &curve;
    cr_assert_eq(omi_theory_cost(&w, &none, &tree, &a), OMEN_OK);
    cr_assert(fabs(a.cost[OMI_TUNE_GET_HIT] - a.pages[OMI_TUNE_GET_HIT]) < 1e-12);
    cr_assert_eq(omi_theory_cost(&w, &some, &tree, &b), OMEN_OK);
    cr_assert(fabs(b.cost[OMI_TUNE_GET_HIT] - 0.25 * b.pages[OMI_TUNE_GET_HIT]) < 1e-12);
    const struct omi_point wrong = {1, 1, 1, 10, 0};
    cr_assert_eq(omi_theory_cost(&w, &wrong, &tree, &a), OMEN_INVALID);
}

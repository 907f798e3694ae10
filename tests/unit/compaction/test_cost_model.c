/* Costs of shapes: the closed forms of the papers, the filters' optimum, and the engine's rounds. */
#include "compaction/cost_model.h"
#include "compaction/cost_optimum.h"
#include "compaction/pick.h"
#include "compaction/tune_random.h"

#include <criterion/criterion.h>
#include <math.h>

TestSuite(cost_model, .timeout = 30);

static const double ln2 = 0.69314718055994530942;

static struct omi_cost_data data_make(void)
{
    return (struct omi_cost_data){.entries = 1e6,
                                  .entry_bytes = 1000,
                                  .page_bytes = 4000,
                                  .scan_entries = 8,
                                  .filter_bits = 10,
                                  .filters = OMI_COST_MONKEY,
                                  .prices = omi_cost_prices_default};
}

static struct omi_shape shape_make(uint32_t t, uint32_t upper, uint32_t last)
{
    return (struct omi_shape){
        .size_ratio = t, .runs_upper = upper, .runs_last = last, .memtable_bytes = 1u << 20};
}

/* entries such that the levels of the shape are exactly full */
static struct omi_cost_data data_full(const struct omi_shape *shape, uint32_t levels)
{
    struct omi_cost_data data = data_make();
    data.entries = 0;
    for (uint32_t i = 1; i <= levels; i++)
        data.entries += (double)omi_shape_capacity(shape, i) / data.entry_bytes;
    return data;
}

static bool near(double a, double b, double relative)
{
    return fabs(a - b) <= relative * fmax(fabs(a), fabs(b));
}

Test(cost_model, levels_are_those_of_the_shape)
{
    struct omi_shape s = shape_make(4, 3, 1);
    cr_assert_eq(omi_cost_level_count(&s, 3.0 * (1 << 20)), 1);
    cr_assert_eq(omi_cost_level_count(&s, 3.0 * (1 << 20) + 1), 2);
    cr_assert_eq(omi_cost_level_count(&s, 15.0 * (1 << 20)), 2);
    cr_assert_eq(omi_cost_level_count(&s, 16.0 * (1 << 20)), 3);
    s.size_ratio = 2;
    cr_assert_eq(omi_cost_level_count(&s, 1e15), OMEN_LEVELS_MAX, "the deepest takes what is left");
}

Test(cost_model, merging_is_half_the_ratio_when_leveling_and_once_when_tiering)
{
    for (uint32_t t = 2; t <= 16; t++) {
        struct omi_shape s = shape_make(t, 1, 1);
        struct omi_cost_data data = data_full(&s, 4);
        struct omi_cost_tree tree;
        struct omi_cost c;
        omi_cost_ideal(&s, &data, &tree);
        omi_cost_of(&data, &tree, &c);
        cr_assert_eq(tree.count, 4);
        cr_assert(near(c.write_amp, 4 * t / 2.0, 1e-12), "T %u: %g", t, c.write_amp);
        cr_assert(near(c.pages[OMI_TUNE_WRITE], 2 * 4 * t / 2.0 / 4, 1e-12));
        cr_assert(near(c.space_amp, 1 + 1.0 / (t - 1), 1e-12));

        s.runs_upper = s.runs_last = t - 1;
        omi_cost_ideal(&s, &data, &tree);
        omi_cost_of(&data, &tree, &c);
        cr_assert(near(c.write_amp, 4, 1e-12), "T %u: %g", t, c.write_amp);
        cr_assert(near(c.runs, 4.0 * (t - 1), 1e-12));
        cr_assert(near(c.space_amp, t - 1 + 1.0 / (t - 1), 1e-12));

        s.runs_last = 1; /* lazy leveling */
        omi_cost_ideal(&s, &data, &tree);
        omi_cost_of(&data, &tree, &c);
        cr_assert(near(c.write_amp, 3 + t / 2.0, 1e-12), "T %u: %g", t, c.write_amp);
        cr_assert(near(c.runs, 3.0 * (t - 1) + 1, 1e-12));
    }
}

Test(cost_model, more_runs_than_a_level_can_gather_change_nothing)
{
    struct omi_shape a = shape_make(4, 3, 3), b = shape_make(4, 64, 64);
    struct omi_cost_data data = data_full(&a, 3);
    struct omi_cost_tree ta, tb;
    struct omi_cost ca, cb;
    omi_cost_ideal(&a, &data, &ta);
    omi_cost_ideal(&b, &data, &tb);
    omi_cost_of(&data, &ta, &ca);
    omi_cost_of(&data, &tb, &cb);
    cr_assert_eq(memcmp(&ca, &cb, sizeof(ca)), 0);
}

/* Monkey's false positives, for many levels: p_i = e^(-h ln^2 2) T^(T/(T-1)) / T^(L+1-i), and for
 * tiering the same share of each run. */
Test(cost_model, monkey_gives_the_closed_form)
{
    for (uint32_t t = 2; t <= 10; t += 2) {
        struct omi_shape s = shape_make(t, 1, 1);
        s.memtable_bytes = 4096;
        uint32_t levels = t == 2 ? 12 : 8;
        struct omi_cost_data data = data_full(&s, levels);
        struct omi_cost_tree tree;
        struct omi_cost c;
        omi_cost_ideal(&s, &data, &tree);
        omi_cost_of(&data, &tree, &c);
        double tt = t, base = exp(-10 * ln2 * ln2) * pow(tt, tt / (tt - 1));
        for (uint32_t i = 1; i <= levels; i++)
            cr_assert(near(tree.level[i - 1].fpr, base / pow(tt, levels + 1 - i), 0.01),
                      "T %u level %u: %g, %g", t, i, tree.level[i - 1].fpr,
                      base / pow(tt, levels + 1 - i));
        /* fruitless gets: the sum of a geometric series, however many levels there are */
        cr_assert(near(c.fpr_sum, base / (tt - 1), 0.02), "T %u: %g", t, c.fpr_sum);
        double leveled = c.fpr_sum;

        s.runs_upper = s.runs_last = t - 1;
        omi_cost_ideal(&s, &data, &tree);
        omi_cost_of(&data, &tree, &c);
        cr_assert(near(c.fpr_sum, (tt - 1) * leveled, 1e-9), "T %u: %g", t, c.fpr_sum);
    }
}

Test(cost_model, monkey_spends_the_bits_it_has_and_no_allocation_is_better)
{
    struct omi_random rng = {42};
    for (int round = 0; round < 200; round++) {
        uint32_t t = 2 + (uint32_t)omi_random_below(&rng, 10);
        struct omi_shape s = shape_make(t, 1 + (uint32_t)omi_random_below(&rng, t),
                                        1 + (uint32_t)omi_random_below(&rng, t));
        struct omi_cost_data data = data_full(&s, 2 + (uint32_t)omi_random_below(&rng, 4));
        data.entries *= 0.2 + omi_random_unit(&rng);
        data.filter_bits = 0.2 + 12 * omi_random_unit(&rng);
        data.fpr_max = omi_random_below(&rng, 2) == 0 ? 0 : 0.125;
        struct omi_cost_tree tree, other;
        struct omi_cost c, worse;
        omi_cost_ideal(&s, &data, &tree);
        omi_cost_of(&data, &tree, &c);
        double bits = 0, all = 0, most = data.fpr_max > 0 ? data.fpr_max : 1;
        most = fmax(most, exp(-data.filter_bits * ln2 * ln2)); /* no more bits than there are */
        for (uint32_t i = 0; i < tree.count; i++) {
            bits -= tree.level[i].entries * log(tree.level[i].fpr) / (ln2 * ln2);
            all += tree.level[i].entries;
            cr_assert_leq(tree.level[i].fpr, most * (1 + 1e-12));
        }
        cr_assert(near(bits, all * data.filter_bits, 1e-9), "%g, %g", bits, all * data.filter_bits);

        /* Some bits of one level to another */
        other = tree;
        uint32_t from = (uint32_t)omi_random_below(&rng, tree.count);
        uint32_t to = (uint32_t)omi_random_below(&rng, tree.count);
        if (from == to)
            continue;
        double moved = 0.5 * tree.level[from].entries * omi_random_unit(&rng) * ln2 * ln2;
        other.level[from].fpr *= exp(moved / tree.level[from].entries);
        other.level[to].fpr *= exp(-moved / tree.level[to].entries);
        if (other.level[from].fpr > most)
            continue;
        data.filters = OMI_COST_GIVEN;
        omi_cost_of(&data, &other, &worse);
        cr_assert_geq(worse.fpr_sum, c.fpr_sum * (1 - 1e-9));
    }
}

Test(cost_model, filters_none_uniform_and_given)
{
    struct omi_shape s = shape_make(4, 2, 1);
    struct omi_cost_data data = data_full(&s, 3);
    struct omi_cost_tree tree;
    struct omi_cost c;
    omi_cost_ideal(&s, &data, &tree);
    data.filters = OMI_COST_NO_FILTERS;
    omi_cost_of(&data, &tree, &c);
    cr_assert(near(c.fpr_sum, 5, 1e-12), "every run is read");
    data.filters = OMI_COST_UNIFORM;
    omi_cost_of(&data, &tree, &c);
    cr_assert(near(c.fpr_sum, 5 * exp(-10 * ln2 * ln2), 1e-12));
    data.halving = 2; /* 10 bits: five halvings */
    omi_cost_of(&data, &tree, &c);
    cr_assert(near(c.fpr_sum, 5.0 / 32, 1e-12));
    data.filters = OMI_COST_GIVEN;
    tree.level[0].fpr = 0.5;
    tree.level[1].fpr = 0.25;
    tree.level[2].fpr = 0.125;
    omi_cost_of(&data, &tree, &c);
    cr_assert(near(c.fpr_sum, 2 * 0.5 + 2 * 0.25 + 0.125, 1e-12));
    double all = 3 + 12 + 48;
    double hit = 3 / all * (1 + 0.5 / 2) + 12 / all * (1 + 1 + 0.25 / 2) + 48 / all * (1 + 1.5);
    cr_assert(near(c.pages[OMI_TUNE_GET_HIT], hit, 1e-12));
    /* five runs; seven steps from the first entry to the eighth, and four runs whose next key may lie
     * beyond their block */
    cr_assert(near(c.pages[OMI_TUNE_SCAN], 5 + (7.0 + 4) / 4, 1e-12));
}

Test(cost_model, a_cache_and_prices_weigh_pages)
{
    struct omi_shape s = shape_make(4, 2, 1);
    struct omi_cost_data data = data_full(&s, 3);
    data.cache_hit = 0.75;
    data.prices = (struct omi_cost_prices){2, 3, 0.5, 0.1, 0.4, 0};
    struct omi_cost_tree tree;
    struct omi_cost c;
    omi_cost_ideal(&s, &data, &tree);
    omi_cost_of(&data, &tree, &c);
    cr_assert(near(c.cost[OMI_TUNE_GET_MISS], c.pages[OMI_TUNE_GET_MISS] * 0.25 * 2, 1e-12));
    cr_assert(near(c.cost[OMI_TUNE_SCAN], 0.25 * (5 * 3 + 11.0 / 4 * 0.5), 1e-12));
    cr_assert(near(c.cost[OMI_TUNE_WRITE], c.pages[OMI_TUNE_WRITE] * 0.25, 1e-12),
              "no cache for merges; half read, half written");
    const double mix[OMI_TUNE_OPS] = {0.1, 0.2, 0.3, 0.4};
    cr_assert(near(omi_cost_mix(&c, mix),
                   0.1 * c.cost[0] + 0.2 * c.cost[1] + 0.3 * c.cost[2] + 0.4 * c.cost[3], 1e-12));
}

Test(cost_model, a_cache_holds_what_is_asked_most)
{
    cr_assert_eq(omi_cost_cache_hit(0, 100, 0.5), 0);
    cr_assert_eq(omi_cost_cache_hit(200, 100, 0.5), 1);
    cr_assert(near(omi_cost_cache_hit(25, 100, 0), 0.25, 1e-12));
    cr_assert(near(omi_cost_cache_hit(25, 100, 0.5), 0.5, 1e-12));
    cr_assert_gt(omi_cost_cache_hit(1, 100, 0.99), 0.9);
}

/* The K of the rule is the best of all real K's for the cost it is derived from. */
Test(cost_model, the_square_root_rule_is_the_minimum)
{
    struct omi_random rng = {7};
    for (int round = 0; round < 300; round++) {
        struct omi_cost_data data = data_make();
        data.entry_bytes = 20 + 4000 * omi_random_unit(&rng);
        uint32_t t = 3 + (uint32_t)omi_random_below(&rng, 14);
        double mix[OMI_TUNE_OPS], sum = 0, fpr = round % 2 == 0 ? 0 : 0.1 * omi_random_unit(&rng);
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            sum += mix[op] = 0.01 + omi_random_unit(&rng);
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            mix[op] /= sum;
        double k = omi_cost_runs_prior(&data, t, mix, fpr), best = INFINITY, best_k = 0;
        for (double x = 1; x <= t - 1; x += 0.01) {
            double cost = mix[3] * 2 * data.entry_bytes / data.page_bytes * (t - 1 + x) / (2 * x) +
                          x * (mix[2] + (mix[0] + mix[1]) * fpr);
            if (cost < best) {
                best = cost;
                best_k = x;
            }
        }
        cr_assert(fabs(k - best_k) <= 0.011, "T %u: %g, %g", t, k, best_k);
    }
    struct omi_cost_data data = data_make();
    const double reads[] = {0, 0.5, 0.5, 0}, writes[] = {0, 0, 0, 1}, nothing[] = {1, 0, 0, 0};
    cr_assert_eq(omi_cost_runs_prior(&data, 6, reads, 0), 1);
    cr_assert_eq(omi_cost_runs_prior(&data, 6, writes, 0), 5);
    cr_assert_eq(omi_cost_runs_prior(&data, 6, nothing, 0), 1);
}

Test(cost_model, live_sizes_cost_what_they_are)
{
    struct omi_shape s = shape_make(4, 3, 1);
    struct omi_cost_data data = data_full(&s, 3);
    data.filters = OMI_COST_UNIFORM;
    struct omi_cost_tree ideal, live;
    omi_cost_ideal(&s, &data, &ideal);
    double entries[3], runs[3] = {3, 3, 1};
    for (int i = 0; i < 3; i++)
        entries[i] = ideal.level[i].entries;
    struct omi_cost a, b;
    omi_cost_live(&s, entries, runs, 3, &live);
    omi_cost_of(&data, &ideal, &a);
    omi_cost_of(&data, &live, &b);
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        cr_assert(near(a.cost[op], b.cost[op], 1e-12));
    runs[0] = 1;
    omi_cost_live(&s, entries, runs, 3, &live);
    omi_cost_of(&data, &live, &b);
    cr_assert(near(b.runs, 5, 1e-12));
    cr_assert_lt(b.cost[OMI_TUNE_GET_MISS], a.cost[OMI_TUNE_GET_MISS]);
}

Test(cost_model, measured_hit_rates_are_followed)
{
    const struct omi_cost_curve curve = {3, {100, 200, 400}, {0.5, 0.6, 0.9}};
    static const double at[][2] = {{0, 0},     {50, 0.25},  {100, 0.5}, {150, 0.55},
                                   {200, 0.6}, {300, 0.75}, {400, 0.9}, {1e9, 0.9}};
    for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
        cr_assert(fabs(omi_cost_curve_hit(&curve, at[i][0]) - at[i][1]) < 1e-12, "%g: %g", at[i][0],
                  omi_cost_curve_hit(&curve, at[i][0]));
    cr_assert_eq(omi_cost_curve_hit(&(struct omi_cost_curve){0}, 5), 0);
}

/* The engine's rule: the law of Monkey, at the sum of uniform bits. */
Test(cost_model, filters_by_quality_promise_what_uniform_bits_would)
{
    struct omi_shape s = shape_make(4, 3, 1);
    struct omi_cost_data data = data_full(&s, 3);
    struct omi_cost_tree tree;
    struct omi_cost uniform, quality;
    omi_cost_ideal(&s, &data, &tree);
    data.filters = OMI_COST_UNIFORM;
    omi_cost_of(&data, &tree, &uniform);
    data.filters = OMI_COST_QUALITY;
    omi_cost_of(&data, &tree, &quality);
    cr_assert(near(quality.fpr_sum, uniform.fpr_sum, 1e-12));
    cr_assert_lt(quality.pages[OMI_TUNE_GET_HIT], uniform.pages[OMI_TUNE_GET_HIT],
                 "small levels, which hits pass, have fewer");
    data.fpr_max = 0.02;
    omi_cost_of(&data, &tree, &quality);
    cr_assert(near(tree.level[2].fpr, 0.02, 1e-12));
    tree.level[2].quality = 0.5; /* written when there was little else */
    omi_cost_of(&data, &tree, &quality);
    cr_assert(near(tree.level[2].fpr, 0.5 * exp(-10 * ln2 * ln2), 1e-12));
}

Test(cost_model, small_filters_are_whole_lines)
{
    struct omi_shape s = shape_make(4, 1, 1);
    struct omi_cost_data data = data_full(&s, 2);
    struct omi_cost_tree tree;
    const double entries[2] = {60, 1e6}, runs[2] = {1, 1};
    omi_cost_live(&s, entries, runs, 2, &tree);
    data.filters = OMI_COST_UNIFORM;
    data.line_bits = 512;
    omi_cost_filter(&data, &tree);
    cr_assert(near(tree.level[0].fpr, exp(-1024.0 / 60 * ln2 * ln2), 1e-12), "600 bits: two lines");
    cr_assert(near(tree.level[1].fpr, exp(-10 * ln2 * ln2), 1e-2));
}

/* ---- closed forms ---------------------------------------------------------------------------- */

Test(cost_model, closed_forms_are_where_the_simplified_costs_are_least)
{
    struct omi_random rng = {17};
    for (int round = 0; round < 200; round++) {
        struct omi_cost_data data = data_make();
        double mix[OMI_TUNE_OPS], sum = 0, memtable = 1 << 20, fpr = 0.01;
        data.entry_bytes = 50 + 2000 * omi_random_unit(&rng);
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            sum += mix[op] = 0.001 + pow(omi_random_unit(&rng), 3);
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            mix[op] /= sum;
        double w = mix[3] * 2 * data.entry_bytes / data.page_bytes, z = mix[0] + mix[1];
        double depth = log(data.entries * data.entry_bytes / memtable + 1);
        double best[2] = {INFINITY, INFINITY}, at[2] = {0, 0};
        for (double t = 2; t <= 99; t += 0.01) {
            double levels = depth / log(t);
            double cost[2] = {mix[2] * levels + w / 2 * t * levels,
                              z * fpr * (t - 1) + mix[2] * (t - 1) * levels + w * levels};
            for (int k = 0; k < 2; k++)
                if (cost[k] < best[k] && (k == 1 || t >= exp(1))) {
                    best[k] = cost[k];
                    at[k] = t;
                }
        }
        double leveling = omi_cost_ratio_leveling(&data, mix);
        double tiering = omi_cost_ratio_tiering(&data, mix, memtable, fpr);
        cr_assert(fabs(leveling - at[0]) < 0.03, "round %d: %g, %g", round, leveling, at[0]);
        cr_assert(fabs(tiering - at[1]) < 0.03, "round %d: %g, %g", round, tiering, at[1]);
    }
    struct omi_cost_data data = data_make();
    const double writes[] = {0, 0, 0, 1}, scans[] = {0, 0, 1, 0};
    cr_assert(fabs(omi_cost_ratio_leveling(&data, writes) - exp(1)) < 1e-9);
    cr_assert_eq(omi_cost_ratio_leveling(&data, scans), 99);
    cr_assert_eq(omi_cost_ratio_tiering(&data, scans, 1 << 20, 0.01), 2);
    cr_assert_eq(omi_cost_ratio_tiering(&data, writes, 1 << 20, 0.01), 99);
}

Test(cost_model, bits_go_to_who_asks)
{
    struct omi_cost_data data = data_make();
    const double misses[] = {0.97, 0.01, 0.01, 0.01}, writes[] = {0.01, 0.01, 0.01, 0.97};
    double memory = 2e6; /* 16 bits a key */
    double few = omi_cost_bits_best(&data, writes, 6, false, memory);
    double many = omi_cost_bits_best(&data, misses, 6, false, memory);
    cr_assert(few >= 0 && few < many && many < 16, "%g, %g", few, many);
    const double none[] = {0, 0, 0.5, 0.5};
    cr_assert_lt(omi_cost_bits_best(&data, none, 6, true, memory), 1e-6);
    /* A stationary point of what it was derived from. */
    double w = writes[3] * 2 * data.entry_bytes / data.page_bytes, best = INFINITY, at = 0;
    for (double h = 0; h < 15.99; h += 0.01) {
        double kappa = pow(6, 6.0 / 5) / 5;
        double cost = 0.02 * kappa * exp(-h * ln2 * ln2) -
                      (writes[2] + w * 3) / log(6.0) * log(memory * 8 - h * data.entries);
        if (cost < best) {
            best = cost;
            at = h;
        }
    }
    cr_assert(fabs(few - at) < 0.03, "%g, %g", few, at);
}

/* ---- the rounds of pick.c -------------------------------------------------------------------- */

enum { LEVELS = OMEN_LEVELS_MAX, RUNS = 80 };

struct world_run {
    double loaded, fresh;
    uint64_t age;
};
struct world {
    struct omi_shape shape;
    double keys, entry_bytes;
    uint64_t next_age;
    uint32_t count[LEVELS];
    struct world_run runs[LEVELS][RUNS]; /* newest first */
    double read[LEVELS], written[LEVELS];
};

static double world_entries(const struct world *w, const struct world_run *r)
{
    return r->loaded + r->fresh - r->loaded * r->fresh / w->keys;
}

static void world_settle(struct world *w)
{
    static struct omi_tree_file files[LEVELS][RUNS];
    static struct omi_tree_file *pointers[LEVELS][RUNS];
    static struct omi_tree_run runs[LEVELS][RUNS];
    const struct omi_order order = {0};
    for (;;) {
        struct omi_tree tree = {0};
        for (uint32_t l = 0; l < LEVELS; l++) {
            tree.levels[l].run_count = w->count[l];
            tree.levels[l].runs = runs[l];
            for (uint32_t i = 0; i < w->count[l]; i++) {
                uint64_t entries = (uint64_t)(world_entries(w, &w->runs[l][i]) + 0.5);
                uint64_t bytes =
                    (uint64_t)(world_entries(w, &w->runs[l][i]) * w->entry_bytes + 0.5);
                files[l][i] = (struct omi_tree_file){
                    .bytes = bytes, .entries = entries, .smallest = {"a", 1}, .largest = {"z", 1}};
                pointers[l][i] = &files[l][i];
                runs[l][i] = (struct omi_tree_run){w->runs[l][i].age, bytes, 1, &pointers[l][i]};
                tree.levels[l].bytes += bytes;
                tree.level_count = l + 1;
            }
        }
        struct omi_job job;
        bool found;
        cr_assert_eq(omi_job_pick(&tree, &w->shape, &order, 1, NULL, 0, &job, &found), OMEN_OK);
        if (!found)
            return;
        cr_assert_eq(job.segment_count, 1);
        struct world_run out = {.age = job.target_age};
        double read = 0;
        for (uint32_t i = 0; i < job.input_count; i++) {
            uint32_t l = job.inputs[i].level - 1, k = 0;
            while (w->runs[l][k].age != job.inputs[i].age)
                k++;
            struct world_run *r = &w->runs[l][k];
            read += world_entries(w, r);
            out.loaded += r->loaded;
            out.fresh += r->fresh - out.fresh * r->fresh / w->keys;
            memmove(r, r + 1, (w->count[l] - k - 1) * sizeof(*r));
            w->count[l]--;
        }
        uint32_t t = job.target_level - 1, at = 0;
        if (!job.segments[0].move) {
            w->read[t] += read;
            w->written[t] += world_entries(w, &out);
        }
        while (at < w->count[t] && w->runs[t][at].age > out.age)
            at++;
        memmove(&w->runs[t][at + 1], &w->runs[t][at], (w->count[t] - at) * sizeof(out));
        w->runs[t][at] = out;
        w->count[t]++;
        omi_job_fini(&job);
    }
}

static void world_flush(struct world *w, struct world_run run)
{
    run.age = ++w->next_age;
    memmove(&w->runs[0][1], &w->runs[0][0], w->count[0] * sizeof(run));
    w->runs[0][0] = run;
    w->count[0]++;
    w->written[0] += world_entries(w, &run);
    world_settle(w);
}

Test(cost_model, replay_makes_the_merges_that_the_engine_picks)
{
    static const struct {
        uint32_t t, first, upper, last;
    } shapes[] = {{4, 0, 1, 1}, {6, 0, 4, 1}, {6, 0, 5, 5}, {10, 0, 9, 1}, {3, 0, 2, 2},
                  {2, 0, 1, 1}, {8, 0, 2, 3}, {5, 3, 1, 1}, {12, 0, 30, 1}};
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        static struct world w;
        w = (struct world){.shape = shape_make(shapes[i].t, shapes[i].upper, shapes[i].last)};
        w.shape.runs_level[0] = shapes[i].first;
        w.shape.memtable_bytes = 100000;
        struct omi_cost_data data = data_make();
        data.entries = 40123;
        data.flush_share = 0.93;
        w.keys = data.entries;
        w.entry_bytes = data.entry_bytes;
        double batch = 93;
        for (double left = data.entries; left > 0; left -= batch)
            world_flush(&w, (struct world_run){.loaded = left < batch ? left : batch});
        memset(w.read, 0, sizeof(w.read));
        memset(w.written, 0, sizeof(w.written));
        double runs[LEVELS] = {0}, entries[LEVELS] = {0};
        enum { FLUSHES = 150 };
        for (int k = 0; k < FLUSHES; k++) {
            for (uint32_t l = 0; l < LEVELS; l++) {
                runs[l] += w.count[l];
                for (uint32_t r = 0; r < w.count[l]; r++)
                    entries[l] += world_entries(&w, &w.runs[l][r]);
            }
            world_flush(&w, (struct world_run){.fresh = -w.keys * expm1(-batch / w.keys)});
        }
        struct omi_cost_tree tree;
        omi_cost_replay(&w.shape, &data, FLUSHES * batch, &tree);
        for (uint32_t l = 0; l < tree.count; l++) {
            const struct omi_cost_level *level = &tree.level[l];
            cr_assert(fabs(level->runs - runs[l] / FLUSHES) < 1e-9, "shape %zu level %u", i, l + 1);
            cr_assert(fabs(level->entries - entries[l] / FLUSHES) < 1e-6, "shape %zu level %u", i,
                      l + 1);
            cr_assert(fabs(level->read - w.read[l] / FLUSHES / batch) < 1e-9,
                      "shape %zu level %u: %g, %g", i, l + 1, level->read,
                      w.read[l] / FLUSHES / batch);
            cr_assert(fabs(level->written - w.written[l] / FLUSHES / batch) < 1e-9);
        }
    }
}

Test(cost_model, replay_is_near_the_closed_forms_where_they_hold)
{
    struct omi_cost_data data = data_make();
    struct omi_shape s = shape_make(4, 3, 1);
    data.entries = 2e6;
    struct omi_cost_tree ideal, replay;
    struct omi_cost a, b;
    omi_cost_ideal(&s, &data, &ideal);
    omi_cost_replay(&s, &data, 2e6, &replay);
    omi_cost_of(&data, &ideal, &a);
    omi_cost_of(&data, &replay, &b);
    cr_assert_eq(ideal.count, replay.count);
    cr_assert(b.write_amp > a.write_amp * 0.5 && b.write_amp < a.write_amp * 1.5, "%g, %g",
              b.write_amp, a.write_amp);
    cr_assert(b.runs > a.runs * 0.3 && b.runs < a.runs * 1.1, "%g, %g", b.runs, a.runs);
    cr_assert(b.space_amp >= 1 && b.space_amp < a.space_amp + 0.5, "%g, %g", b.space_amp,
              a.space_amp);
}

Test(cost_model, replay_knows_what_reads_see_and_what_comes_in_order)
{
    struct omi_cost_data data = data_make();
    struct omi_shape s = shape_make(4, 3, 1);
    struct omi_cost_tree cycle, loaded, sorted, grown;
    data.entries = 2e5;
    omi_cost_replay(&s, &data, 0, &cycle);
    cr_assert(near(cycle.writes, 4e5, 1e-12));
    double sum = 0;
    data.read_writes = 1;
    omi_cost_replay(&s, &data, 0, &loaded);
    for (uint32_t i = 0; i < loaded.count; i++) {
        sum += loaded.level[i].entries;
        cr_assert_eq(loaded.level[i].runs, floor(loaded.level[i].runs), "one state, no mean");
        cr_assert_eq(loaded.level[i].written, cycle.level[i].written);
    }
    cr_assert(near(sum, 2e5, 1e-9));
    cr_assert(near(loaded.space_amp, 1, 1e-9));

    data.read_writes = 0;
    data.inserts = 1;
    omi_cost_replay(&s, &data, 0, &grown);
    cr_assert(grown.count >= cycle.count && near(grown.space_amp, 1, 1e-2), "%g", grown.space_amp);
    data.sorted = true;
    data.file_entries = 100;
    omi_cost_replay(&s, &data, 0, &sorted);
    double random_written = 0, sorted_written = 0;
    for (uint32_t i = 0; i < grown.count; i++)
        random_written += grown.level[i].written;
    for (uint32_t i = 0; i < sorted.count; i++)
        sorted_written += sorted.level[i].written;
    cr_assert(sorted_written >= 0.99 && sorted_written < 0.6 * random_written, "%g, %g",
              sorted_written, random_written);
}

Test(cost_model, replay_takes_degenerate_sizes)
{
    static const double sizes[] = {1, 50, 1000, 100000};
    for (size_t i = 0; i < 4; i++) {
        struct omi_cost_data data = data_make();
        data.entries = sizes[i];
        struct omi_shape s = shape_make(2, 1, 1);
        s.memtable_bytes = 64 << 10;
        struct omi_cost_tree tree;
        struct omi_cost c;
        omi_cost_replay(&s, &data, 0, &tree);
        omi_cost_of(&data, &tree, &c);
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            cr_assert(isfinite(c.cost[op]) && c.cost[op] >= 0, "%g entries, op %d", sizes[i], op);
    }
}

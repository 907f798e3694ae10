/* The price of a filter bit: what levels get at it, what is spent, and what comes of it. */
#include "learned/filter_price.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdint.h>

TestSuite(filter_price, .timeout = 30);

/* ---- helpers --------------------------------------------------------------------------------- */

enum { LEVELS = 4, TABLES_MAX = 64 };
static const double level_keys[LEVELS] = {1e3, 1e4, 1e5, 1e6};

/* Four levels, each ten times the one above, keys asked for evenly; this share of lookups finds
 * nothing. A hit on a level is an absent lookup of all above it. */
static void levels_make(double miss, double halving, struct omi_priced_table *tables)
{
    double all = 0, above = 0;
    for (int i = 0; i < LEVELS; i++)
        all += level_keys[i];
    for (int i = 0; i < LEVELS; i++) {
        above += level_keys[i];
        tables[i] = (struct omi_priced_table){
            .keys = level_keys[i], .weight = 1 - (1 - miss) * above / all, .halving = halving};
    }
}

static double harm_of(const struct omi_priced_table *t, size_t count, double price, double floor)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += t[i].weight * omi_priced_table_fpr(&t[i], price, floor);
    return sum;
}

static double bits_of(const struct omi_priced_table *t, size_t count, double price, double floor)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += t[i].keys * omi_priced_table_bits(&t[i], price, floor);
    return sum;
}

static double keys_of(const struct omi_priced_table *t, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += t[i].keys;
    return sum;
}

static double random_unit(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (double)((z ^ z >> 31) >> 11) * 0x1p-53;
}

static size_t tables_random(uint64_t seed, struct omi_priced_table *tables)
{
    uint64_t state = seed;
    size_t count = 1 + (size_t)(random_unit(&state) * (TABLES_MAX - 1));
    for (size_t i = 0; i < count; i++) {
        double keys = floor(exp2(24 * random_unit(&state)));
        bool asked = random_unit(&state) > 0.2, ribbon = random_unit(&state) > 0.7;
        tables[i] = (struct omi_priced_table){.keys = keys,
                                              .weight = asked ? random_unit(&state) : 0,
                                              .halving = ribbon ? OMI_RIBBON_BITS_PER_HALVING : 0};
    }
    return count;
}

/* ---- the model of a line --------------------------------------------------------------------- */

Test(filter_price, the_model_of_a_line_is_what_lines_were_measured_at)
{
    static const struct {
        double bits, pct;
    } measured[] = {{4, 14.7}, {6, 5.8}, {8, 2.33}, {10, 0.963}, {12, 0.41}};
    for (size_t i = 0; i < sizeof(measured) / sizeof(measured[0]); i++) {
        double pct = 100 * omi_filter_fpr(measured[i].bits);
        cr_assert(fabs(pct / measured[i].pct - 1) < 0.05, "%g bits: %.4f %%, measured %g %%",
                  measured[i].bits, pct, measured[i].pct);
    }
    cr_assert_eq(omi_filter_fpr(0), 1);
    cr_assert_eq(omi_filter_fpr(-1), 1);
    cr_assert_eq(omi_filter_fpr((double)NAN), 1);
    cr_assert_eq(omi_filter_fpr_probes(10, 0), 1);
}

Test(filter_price, the_number_of_probes_is_nearly_the_best)
{
    double before = 1;
    for (double bits = 0.25; bits < 28; bits += 0.25) {
        double own = omi_filter_fpr(bits), best = 1;
        for (unsigned k = 1; k <= 14; k++)
            best = fmin(best, omi_filter_fpr_probes(bits, k));
        cr_assert_leq(own, 1.03 * best, "%g bits: %g, the best %g", bits, own, best);
        cr_assert_leq(own, 1.001 * before, "%g bits: %g, with fewer %g", bits, own, before);
        before = own;
    }
}

/* ---- the law --------------------------------------------------------------------------------- */

Test(filter_price, a_dearer_bit_means_fewer_of_them_and_more_false_positives)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct omi_priced_table t[TABLES_MAX];
        size_t count = tables_random(seed, t);
        double harm = 0, bits = INFINITY;
        for (double price = 0x1p-60; price < 16; price *= 3) {
            double h = harm_of(t, count, price, 0.5), b = bits_of(t, count, price, 0.5);
            cr_assert(h >= harm && b <= bits, "seed %lu, price %g: %g after %g, %g bits after %g",
                      (unsigned long)seed, price, h, harm, b, bits);
            harm = h;
            bits = b;
        }
    }
}

Test(filter_price, equal_weights_give_false_positives_in_proportion_to_keys)
{
    struct omi_priced_table t[LEVELS];
    struct omi_filter_demand d = {.uniform_bits = 10, .floor = 1};
    levels_make(1, 0, t);
    double price = omi_filter_price(t, LEVELS, &d);
    for (int i = 2; i < LEVELS; i++) { /* the first is at the least there is */
        double ratio =
            omi_priced_table_fpr(&t[i], price, 1) / omi_priced_table_fpr(&t[i - 1], price, 1);
        cr_assert(fabs(ratio - 10) < 1e-6, "level %d has %g times the false positives", i, ratio);
    }
}

/* No other distribution of as many bits has less of what was minimised. */
Test(filter_price, moving_bits_between_tables_never_helps)
{
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct omi_priced_table t[TABLES_MAX];
        uint64_t state = seed + 1000;
        size_t count = tables_random(seed, t);
        double price = exp2(-40 * random_unit(&state));
        for (int round = 0; round < 200; round++) {
            size_t a = (size_t)(random_unit(&state) * (double)count),
                   b = (size_t)(random_unit(&state) * (double)count);
            double moved = random_unit(&state) * t[a].keys;
            double fa = omi_priced_table_fpr(&t[a], price, 0.125),
                   fb = omi_priced_table_fpr(&t[b], price, 0.125);
            double ca = t[a].halving > 0 ? t[a].halving : OMI_FILTER_BITS_PER_HALVING,
                   cb = t[b].halving > 0 ? t[b].halving : OMI_FILTER_BITS_PER_HALVING;
            double now_a = fa * exp2(moved / (t[a].keys * ca)),
                   now_b = fb * exp2(-moved / (t[b].keys * cb));
            if (a == b || now_a > 0.125 || now_b < OMI_FILTER_FPR_MIN)
                continue;
            double before = t[a].weight * fa + t[b].weight * fb,
                   after = t[a].weight * now_a + t[b].weight * now_b;
            cr_assert_geq(after, before * (1 - 1e-9), "seed %lu", (unsigned long)seed);
        }
    }
}

Test(filter_price, a_table_that_nobody_asks_in_vain_gets_the_floor)
{
    struct omi_priced_table unasked = {.keys = 1e6}, asked = {.keys = 1e6, .weight = 1};
    cr_assert_eq(omi_priced_table_fpr(&unasked, 1e-9, 0.125), 0.125);
    cr_assert_eq(omi_priced_bits(1e-9, 1e6, 0, 1), 0);
    cr_assert_eq(omi_priced_table_fpr(&asked, 1e9, 0.125), 0.125);
    cr_assert_eq(omi_priced_table_fpr(&asked, 0, 0.125), OMI_FILTER_FPR_MIN);
}

/* ---- all tables ------------------------------------------------------------------------------ */

/* Bits a key for the false positives that ten bits a key on every level would let pass. */
static double bits_for_ten(double miss, double halving, double floor)
{
    struct omi_priced_table t[LEVELS];
    struct omi_filter_demand d = {.uniform_bits = 10, .floor = floor};
    levels_make(miss, halving, t);
    double price = omi_filter_price(t, LEVELS, &d), asked = 0;
    for (int i = 0; i < LEVELS; i++)
        asked += t[i].weight;
    cr_assert_leq(harm_of(t, LEVELS, price, floor), asked * omi_filter_fpr(10) * (1 + 1e-9));
    return bits_of(t, LEVELS, price, floor) / keys_of(t, LEVELS);
}

Test(filter_price, the_false_positives_of_ten_bits_cost_fewer)
{
    static const struct {
        double miss, floor, halving, most;
    } cases[] = {{1, 1, 0, 7.9},         {0.5, 1, 0, 6.9},         {0.05, 1, 0, 2.8},
                 {0, 1, 0, 1.0},         {1, 0.125, 0, 7.9},       {0.5, 0.125, 0, 6.9},
                 {0.05, 0.125, 0, 5.2},  {0, 0.125, 0, 5.0},       {1, 0.125, 1.035, 5.5},
                 {0.5, 0.125, 1.035, 5}, {0.05, 0.125, 1.035, 3.7}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        double bits = bits_for_ten(cases[i].miss, cases[i].halving, cases[i].floor);
        cr_assert_leq(bits, cases[i].most, "%g misses, floor %g, C %g: %.3f bits a key, not %g",
                      cases[i].miss, cases[i].floor, cases[i].halving, bits, cases[i].most);
    }
    double own = bits_for_ten(0.05, OMI_RIBBON_BITS_PER_HALVING, 0.125);
    cr_assert_leq(own, 3.7, "%.3f bits a key", own);
}

/* Planned for five misses in a hundred, then everything misses. */
Test(filter_price, the_floor_insures_against_lookups_that_turn_into_misses)
{
    static const double floors[] = {0.125, 0.05}, most[] = {0.16, 0.09};
    for (int f = 0; f < 2; f++) {
        struct omi_priced_table t[LEVELS];
        struct omi_filter_demand d = {.uniform_bits = 10, .floor = floors[f]};
        levels_make(0.05, 0, t);
        double price = omi_filter_price(t, LEVELS, &d), sum = 0;
        for (int i = 0; i < LEVELS; i++)
            sum += omi_priced_table_fpr(&t[i], price, floors[f]);
        cr_assert_leq(sum, most[f], "floor %g: %g false positives a lookup", floors[f], sum);
    }
}

Test(filter_price, the_budget_is_kept_to_and_used)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct omi_priced_table t[TABLES_MAX];
        uint64_t state = seed + 77;
        size_t count = tables_random(seed, t);
        struct omi_filter_demand d = {.uniform_bits = 10, .floor = 1};
        double free_price = omi_filter_price(t, count, &d);
        double wanted = bits_of(t, count, free_price, 1);
        d.budget_bits = wanted * (0.05 + 1.5 * random_unit(&state));
        double price = omi_filter_price(t, count, &d), bits = bits_of(t, count, price, 1);
        cr_assert_leq(bits, 1.01 * d.budget_bits, "seed %lu", (unsigned long)seed);
        if (d.budget_bits >= wanted)
            cr_assert_eq(price, free_price, "seed %lu", (unsigned long)seed);
        else
            cr_assert(price >= free_price && bits >= 0.99 * d.budget_bits, "seed %lu: %g of %g",
                      (unsigned long)seed, bits, d.budget_bits);
    }
}

/* Filters that needed fewer bits than a plain one leave room in the budget for the rest. */
Test(filter_price, what_is_saved_by_learning_is_spent_again)
{
    struct omi_priced_table t[LEVELS];
    struct omi_filter_demand d = {.uniform_bits = 16, .floor = 1, .budget_bits = 6e6};
    levels_make(0.5, 0, t);
    double plain = omi_filter_price(t, LEVELS, &d);
    for (int i = 0; i < LEVELS; i++)
        t[i].saved = 0.5;
    double learned = omi_filter_price(t, LEVELS, &d);
    double bits = bits_of(t, LEVELS, learned, 1) - 0.5 * keys_of(t, LEVELS);
    cr_assert_lt(learned, plain);
    cr_assert_float_eq(bits, d.budget_bits, 0.01 * d.budget_bits);
    for (int i = 0; i < LEVELS; i++) /* larger than the law says: the price must rise */
        t[i].saved = -0.5;
    cr_assert_gt(omi_filter_price(t, LEVELS, &d), plain);
}

/* The filters that are there, and room for those to come, are taken from the budget first. */
Test(filter_price, what_stays_and_what_is_to_come_leave_the_rest_of_the_budget)
{
    struct omi_priced_table t[LEVELS + 1];
    struct omi_filter_demand d = {.uniform_bits = 10, .floor = 0.125};
    levels_make(1, 0, t);
    d.budget_bits = 9 * keys_of(t, LEVELS);
    for (int i = 0; i < LEVELS - 1; i++)
        t[i].bits = 12 * t[i].keys;
    t[LEVELS] = (struct omi_priced_table){.keys = t[LEVELS - 1].keys / 4, .weight = 1};
    d.expected = 1;
    double price = omi_filter_price(t, LEVELS + 1, &d), bits = 0;
    for (int i = 0; i < LEVELS - 1; i++)
        bits += t[i].bits;
    for (int i = LEVELS - 1; i <= LEVELS; i++)
        bits += t[i].keys * omi_priced_table_bits(&t[i], price, d.floor);
    cr_assert_leq(bits, 1.001 * d.budget_bits, "%.0f of %.0f", bits, d.budget_bits);
    /* Nothing fits any more: as if all that is there were written anew. */
    t[0].bits = d.budget_bits;
    double again = omi_filter_price(t, LEVELS + 1, &d);
    cr_assert_leq(bits_of(t, LEVELS, again, d.floor), 1.001 * d.budget_bits);
    cr_assert_lt(omi_priced_table_fpr(&t[LEVELS - 1], again, d.floor), d.floor);
}

Test(filter_price, a_budget_below_the_floor_s_bits_leaves_the_floor)
{
    struct omi_priced_table t[LEVELS];
    struct omi_filter_demand d = {.uniform_bits = 10, .floor = 0.125, .budget_bits = 1};
    levels_make(0.5, 0, t);
    double price = omi_filter_price(t, LEVELS, &d);
    for (int i = 0; i < LEVELS; i++)
        cr_assert_eq(omi_priced_table_fpr(&t[i], price, d.floor), 0.125);
}

Test(filter_price, nonsense_gives_a_price_all_the_same)
{
    static const double values[] = {0,        -1,     (double)NAN, INFINITY, -INFINITY,
                                    0x1p1000, 1e-300, 1,           1e6};
    enum { VALUES = sizeof(values) / sizeof(values[0]) };
    uint64_t state = 5;
    for (int round = 0; round < 3000; round++) {
        double v[10];
        for (int i = 0; i < 10; i++)
            v[i] = values[(int)(random_unit(&state) * VALUES)];
        struct omi_priced_table t[3] = {
            {v[0], v[1], v[2], v[3], v[4]}, {1e6, 0.5, 0, 0, 0}, {v[5], v[6], 0, 0, 0}};
        struct omi_filter_demand d = {v[7], v[8], v[9], (size_t)round % 5};
        double price = omi_filter_price(t, 3, &d);
        cr_assert(isfinite(price) && price > 0, "round %d: %g", round, price);
        cr_assert_eq(price, omi_filter_price(t, 3, &d));
        for (int i = 0; i < 3; i++) {
            double fpr = omi_priced_table_fpr(&t[i], price, d.floor),
                   bits = omi_priced_table_bits(&t[i], price, d.floor);
            cr_assert(fpr >= OMI_FILTER_FPR_MIN && fpr <= 1 && bits >= 0, "round %d: %g, %g bits",
                      round, fpr, bits);
        }
    }
    struct omi_filter_demand none = {.uniform_bits = 10, .floor = 0.125};
    cr_assert_gt(omi_filter_price(NULL, 0, &none), 0);
}

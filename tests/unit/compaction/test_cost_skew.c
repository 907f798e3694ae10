/* Uneven keys, and a cache of their blocks: against counting, and against a cache that is played through. */
#include "compaction/cost_model.h"
#include "compaction/cost_skew.h"
#include "compaction/tune_random.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

TestSuite(cost_skew, .timeout = 60);

static bool near(double a, double b, double relative)
{
    return fabs(a - b) <= relative * fmax(fabs(a), fabs(b));
}

Test(cost_skew, classes_stand_for_every_key)
{
    static const double thetas[] = {0, 0.2, 0.5, 0.9, 0.99}, sizes[] = {1, 2, 9, 100, 54321};
    for (int t = 0; t < 5; t++)
        for (int s = 0; s < 5; s++) {
            struct omi_skew skew;
            double keys = 0, chance = 0, sum = 0, seen = 0, known = 0, rank = 0;
            omi_skew_make(sizes[s], thetas[t], &skew);
            cr_assert_leq(skew.count, OMI_SKEW_CLASSES_MAX);
            for (uint32_t i = 0; i < skew.count; i++) {
                keys += skew.keys[i];
                chance += skew.keys[i] * skew.chance[i];
            }
            cr_assert(near(keys, sizes[s], 1e-12) && near(chance, 1, 1e-12));
            double draws = sizes[s] / 3;
            for (double k = 1; k <= sizes[s]; k++)
                sum += pow(k, -thetas[t]);
            for (double k = 1; k <= sizes[s]; k++) {
                double p = pow(k, -thetas[t]) / sum;
                seen += 1 - exp(-p * draws);
                known += p * (1 - exp(-p * draws));
                rank += p * fmin(k, 50);
            }
            cr_assert(near(omi_skew_seen(&skew, draws), seen, 0.02), "%g, %g of %g: %g, %g",
                      thetas[t], draws, sizes[s], omi_skew_seen(&skew, draws), seen);
            cr_assert(near(omi_skew_known(&skew, draws), known, 0.02), "%g of %g: %g, %g", draws,
                      sizes[s], omi_skew_known(&skew, draws), known);
            if (thetas[t] > 0)
                cr_assert(near(omi_skew_rank_within(&skew, 50), rank, 0.02), "%g, %g",
                          omi_skew_rank_within(&skew, 50), rank);
        }
}

Test(cost_skew, any_number_of_keys_fits_the_classes)
{
    struct omi_skew skew;
    omi_skew_make(1e12, 0.999, &skew);
    cr_assert(skew.count <= OMI_SKEW_CLASSES_MAX && isfinite(omi_skew_seen(&skew, 1e9)));
    cr_assert_eq(omi_skew_seen(&skew, 0), 0);
    cr_assert(near(omi_skew_seen(&skew, 1e300), 1e12, 1e-9));
}

/* ---- a cache --------------------------------------------------------------------------------- */

enum { LEVELS = 3, BLOCKS_MAX = 1600 };

/* Times of last use; the block of the least goes. Slow, and beyond doubt. */
struct played {
    uint64_t used[LEVELS][BLOCKS_MAX], now;
    uint32_t held, room;
    uint64_t asked[LEVELS], found[LEVELS];
};

static void play(struct played *c, int level, uint32_t block)
{
    c->asked[level]++;
    if (c->used[level][block] != 0) {
        c->found[level]++;
    } else if (c->held == c->room) {
        uint64_t *oldest = NULL;
        for (int l = 0; l < LEVELS; l++)
            for (uint32_t i = 0; i < BLOCKS_MAX; i++)
                if (c->used[l][i] != 0 && (oldest == NULL || c->used[l][i] < *oldest))
                    oldest = &c->used[l][i];
        *oldest = 0;
    } else {
        c->held++;
    }
    c->used[level][block] = ++c->now;
}

static uint32_t rank_draw(struct omi_random *rng, const double *sums, uint32_t count)
{
    double u = omi_random_unit(rng) * sums[count - 1];
    uint32_t i = 0;
    while (i + 1 < count && sums[i] <= u)
        i++;
    return i;
}

static void cache_compare(const double mix[OMI_TUNE_OPS], double skew, uint32_t room)
{
    static struct played c;
    static double sums[LEVELS][BLOCKS_MAX];
    static const double blocks[LEVELS] = {10, 150, 1600}, runs[LEVELS] = {2, 3, 1};
    struct omi_cost_data data = {.entry_bytes = 1024,
                                 .page_bytes = 4096,
                                 .page_entries = 4,
                                 .scan_entries = 1,
                                 .skew = skew,
                                 .filters = OMI_COST_GIVEN,
                                 .prices = omi_cost_prices_default};
    struct omi_cost_tree tree = {.count = LEVELS};
    struct omi_random rng = {room};
    double all = 0;
    c = (struct played){.room = room};
    for (int l = 0; l < LEVELS; l++) {
        tree.level[l] =
            (struct omi_cost_level){.entries = 4 * blocks[l], .runs = runs[l], .fpr = 0.02};
        all += blocks[l];
        for (uint32_t i = 0; i < blocks[l]; i++)
            sums[l][i] = (i > 0 ? sums[l][i - 1] : 0) + pow(i + 1, -skew);
    }
    omi_cost_cache(&data, mix, room * 4096.0, &tree);
    for (uint32_t k = 0; k < 30000; k++) {
        if (k == 10000)
            memset(c.asked, 0, sizeof(c.asked)), memset(c.found, 0, sizeof(c.found));
        double u = omi_random_unit(&rng), at = omi_random_unit(&rng) * all;
        for (int l = 0; l < LEVELS; l++) { /* of each kind, in expectation */
            uint32_t block = rank_draw(&rng, sums[l], (uint32_t)blocks[l]);
            bool here = at >= 0 && at < blocks[l];
            at -= blocks[l];
            if (u < mix[OMI_TUNE_GET_HIT] && here)
                play(&c, l, block);
            else if (u >= mix[OMI_TUNE_GET_HIT])
                for (double r = runs[l] * 1.25; r > 0; r--) /* and a quarter passes a boundary */
                    if (omi_random_unit(&rng) < r)
                        play(&c, l, rank_draw(&rng, sums[l], (uint32_t)blocks[l]));
        }
    }
    for (int l = 0; l < LEVELS; l++) {
        double found = (double)c.found[l] / (double)c.asked[l];
        double chance = 3 * sqrt(0.25 / (double)c.asked[l]);
        cr_assert(fabs(tree.level[l].cached - found) < 0.02 + chance,
                  "skew %g, room %u, level %d: expected %.3f, played %.3f", skew, room, l + 1,
                  tree.level[l].cached, found);
    }
}

Test(cost_skew, a_cache_holds_of_each_level_what_it_does_when_played)
{
    const double half[OMI_TUNE_OPS] = {0, 0.5, 0.5, 0}, gets[OMI_TUNE_OPS] = {0, 1, 0, 0};
    for (uint32_t room = 50; room <= 500; room *= 10) {
        cache_compare(half, 0, room);
        cache_compare(half, 0.9, room);
        cache_compare(gets, 0, room);
        cache_compare(gets, 0.9, room);
    }
}

Test(cost_skew, no_cache_holds_nothing_and_a_large_one_all)
{
    struct omi_cost_data data = {.entries = 1e5,
                                 .entry_bytes = 1000,
                                 .page_bytes = 4000,
                                 .scan_entries = 4,
                                 .filter_bits = 10,
                                 .filters = OMI_COST_UNIFORM,
                                 .prices = omi_cost_prices_default};
    struct omi_shape shape = {4, 2, 1, {0}, 1 << 20};
    struct omi_cost_tree tree;
    struct omi_cost cost;
    const double mix[OMI_TUNE_OPS] = {0.25, 0.25, 0.25, 0.25};
    omi_cost_ideal(&shape, &data, &tree);
    omi_cost_cache(&data, mix, 0, &tree);
    for (uint32_t i = 0; i < tree.count; i++)
        cr_assert_eq(tree.level[i].cached, 0);
    omi_cost_cache(&data, mix, 1e9, &tree);
    omi_cost_of(&data, &tree, &cost);
    for (int op = 0; op < OMI_TUNE_WRITE; op++)
        cr_assert(cost.cost[op] < 1e-6 && cost.pages[op] > 0, "%g", cost.cost[op]);
    cr_assert_gt(cost.cost[OMI_TUNE_WRITE], 0);
}

/* Writes of uneven keys meet the same ones again, and merge to less. */
Test(cost_skew, replays_of_uneven_writes_are_smaller)
{
    struct omi_cost_data data = {
        .entries = 50000, .entry_bytes = 1000, .page_bytes = 4000, .filters = OMI_COST_NO_FILTERS};
    struct omi_shape shape = {4, 2, 1, {0}, 100000};
    struct omi_cost_tree even, uneven;
    omi_cost_replay(&shape, &data, 0, &even);
    data.skew = 0.99;
    omi_cost_replay(&shape, &data, 0, &uneven);
    double a = 0, b = 0;
    for (uint32_t i = 0; i < even.count; i++)
        a += even.level[i].written;
    for (uint32_t i = 0; i < uneven.count; i++)
        b += uneven.level[i].written;
    cr_assert(b > 0.3 * a && b < 0.8 * a, "%g, %g", a, b);
    cr_assert(even.in_memory == 0 && uneven.in_memory > 0.1 && uneven.in_memory < 0.6, "%g",
              uneven.in_memory);
}

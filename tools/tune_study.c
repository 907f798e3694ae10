#include "tools/tune_study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "compaction/robust.h"
#include "compaction/workload.h"

static const double bin_width = 0.25, rho_step = 0.25;

struct priced {
    struct omi_point point;
    double cost[OMI_TUNE_OPS];
    double mean; /* under the mix at hand */
};

double omt_study_rho(unsigned index)
{
    return rho_step * index;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static void shape_price(const struct omt_study *study, const struct omi_tune_space *space,
                        const struct omi_point *point, struct priced *out)
{
    struct omi_shape shape;
    struct omi_cost_tree tree;
    struct omi_cost cost;
    double data_bytes = (double)study->entries * study->entry_bytes;
    struct omi_cost_data data = {
        .entries = (double)study->entries,
        .entry_bytes = study->entry_bytes,
        .page_bytes = 4096,
        .scan_entries = 4096.0 / study->entry_bytes,
        .filter_bits = point->filter_bits,
        .filters = OMI_COST_MONKEY,
        .cache_hit =
            omi_cost_cache_hit((double)omi_point_cache_bytes(&space->limits, point), data_bytes, 0),
        .prices = omi_cost_prices_default,
    };
    omi_point_shape(&space->limits, point, &shape);
    omi_cost_ideal(&shape, &data, &tree);
    omi_cost_of(&data, &tree, &cost);
    out->point = *point;
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        out->cost[op] = cost.cost[op];
}

static int compare_mean(const void *a, const void *b)
{
    const struct priced *x = a, *y = b;
    return (x->mean > y->mean) - (x->mean < y->mean);
}

static double mean_cost(const double cost[OMI_TUNE_OPS], const double mix[OMI_TUNE_OPS])
{
    double sum = 0;
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        sum += cost[op] * mix[op];
    return sum;
}

/* The robust cost is never below the mean, and shapes are in the order of their means: once a mean
 * is past the best, so is all that follows. */
static const struct priced *robust_best(const struct priced *shapes, uint32_t count,
                                        const double mix[OMI_TUNE_OPS], double rho)
{
    const struct priced *best = &shapes[0];
    double least = INFINITY;
    for (uint32_t i = 0; i < count && shapes[i].mean < least; i++) {
        double cost = omi_robust_cost(shapes[i].cost, mix, rho, NULL);
        if (cost < least) {
            least = cost;
            best = &shapes[i];
        }
    }
    return best;
}

/* ---- mixes ----------------------------------------------------------------------------------- */

/* Evenly over all mixes: exponential draws, brought to 1. */
static void mix_draw(struct omi_random *random, double mix[OMI_TUNE_OPS])
{
    double sum = 0;
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        sum += mix[op] = -log1p(-omi_random_unit(random));
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        mix[op] = sum > 0 ? mix[op] / sum : 1.0 / OMI_TUNE_OPS;
}

struct drawn {
    uint32_t bin;
    double gain;
};

static int compare_drawn(const void *a, const void *b)
{
    const struct drawn *x = a, *y = b;
    if (x->bin != y->bin)
        return x->bin < y->bin ? -1 : 1;
    return (x->gain > y->gain) - (x->gain < y->gain);
}

static void bins_fill(struct drawn *drawn, uint32_t count, struct omt_study_bin *bins)
{
    qsort(drawn, count, sizeof(*drawn), compare_drawn);
    for (uint32_t first = 0; first < count;) {
        uint32_t next = first;
        double sum = 0;
        for (; next < count && drawn[next].bin == drawn[first].bin; next++)
            sum += drawn[next].gain;
        uint32_t in = next - first;
        bins[drawn[first].bin] = (struct omt_study_bin){.count = in,
                                                        .mean = sum / in,
                                                        .low = drawn[first + in / 10].gain,
                                                        .high = drawn[next - 1 - in / 10].gain};
        first = next;
    }
}

static uint32_t bin_of(double divergence)
{
    double bin = divergence / bin_width;
    return bin < OMT_STUDY_BINS - 1 ? (uint32_t)bin : OMT_STUDY_BINS - 1;
}

/* ---- the study ------------------------------------------------------------------------------- */

static void mix_study(struct omt_study *study, unsigned index, const double expected[OMI_TUNE_OPS],
                      struct priced *shapes, struct drawn *drawn)
{
    for (uint32_t i = 0; i < study->shapes; i++)
        shapes[i].mean = mean_cost(shapes[i].cost, expected);
    qsort(shapes, study->shapes, sizeof(*shapes), compare_mean);
    study->nominal[index] = shapes[0].point;
    for (unsigned r = 0; r < OMT_STUDY_RHOS; r++) {
        const struct priced *robust =
            robust_best(shapes, study->shapes, expected, omt_study_rho(r));
        struct omi_random random = {study->seed}; /* the same mixes for each choice */
        study->robust[index][r] = robust->point;
        for (uint32_t i = 0; i < study->draws; i++) {
            double mix[OMI_TUNE_OPS];
            mix_draw(&random, mix);
            drawn[i].bin = bin_of(omi_mix_divergence(mix, expected));
            drawn[i].gain = mean_cost(shapes[0].cost, mix) / mean_cost(robust->cost, mix) - 1;
        }
        bins_fill(drawn, study->draws, study->bin[index][r]);
    }
}

static omen_err mixes_study(struct omt_study *study, const struct omi_tune_space *space,
                            struct priced *shapes, struct drawn *drawn)
{
    for (uint32_t i = 0; i < space->count; i++)
        shape_price(study, space, &space->points[i], &shapes[i]);
    study->shapes = space->count;
    for (unsigned m = 0; m < OMT_STUDY_MIXES; m++) {
        struct omi_workload workload;
        double expected[OMI_TUNE_OPS];
        char name[OMI_WORKLOAD_NAME];
        snprintf(name, sizeof(name), "endure:%u", m);
        omen_err err = omi_workload_named(name, &workload);
        if (err != OMEN_OK)
            return err;
        omi_workload_mix(&workload, expected);
        mix_study(study, m, expected, shapes, drawn);
    }
    return OMEN_OK;
}

omen_err omt_study_run(struct omt_study *study)
{
    struct omi_space_limits limits = {
        .memory_bytes = (uint64_t)((double)study->entries * study->memory_bits / 8),
        .entries = study->entries};
    struct omi_tune_space space;
    omen_err err = omi_space_make(&limits, study->space, &space);
    if (err != OMEN_OK)
        return err;
    struct priced *shapes = malloc(space.count * sizeof(*shapes));
    struct drawn *drawn = malloc((study->draws + 1) * sizeof(*drawn));
    if (shapes == NULL || drawn == NULL)
        err =
            omi_fail(OMEN_NO_MEMORY, 0, "%u shapes and %u random mixes", space.count, study->draws);
    else
        err = mixes_study(study, &space, shapes, drawn);
    free(drawn);
    free(shapes);
    omi_space_fini(&space);
    return err;
}

double omt_study_gain(const struct omt_study *study, unsigned rho, double low, double high,
                      uint64_t *count_out)
{
    double sum = 0;
    uint64_t count = 0;
    for (unsigned m = 0; m < OMT_STUDY_MIXES; m++)
        for (unsigned b = 0; b < OMT_STUDY_BINS; b++) {
            const struct omt_study_bin *bin = &study->bin[m][rho][b];
            if (b * bin_width < low - 1e-9 || b * bin_width >= high - 1e-9)
                continue;
            sum += bin->mean * bin->count;
            count += bin->count;
        }
    *count_out = count;
    return count != 0 ? sum / (double)count : 0;
}

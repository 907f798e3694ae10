#include "compaction/cost_optimum.h"

#include <math.h>

static const double ln2 = 0.69314718055994530942;
static const double ratio_least = 2, ratio_most = 99;
enum { STEPS = 80 };

/* What writing one entry for one merge costs, averaged over the writes' share. */
static double merging_of(const struct omi_cost_data *data, const double mix[OMI_TUNE_OPS])
{
    const struct omi_cost_prices *price = &data->prices;
    return mix[OMI_TUNE_WRITE] * (price->merge_read + price->merge_write) * data->entry_bytes /
           data->page_bytes;
}

static double gets_of(const struct omi_cost_data *data, const double mix[OMI_TUNE_OPS])
{
    return (mix[OMI_TUNE_GET_MISS] + mix[OMI_TUNE_GET_HIT]) * data->prices.read;
}

double omi_cost_ratio_leveling(const struct omi_cost_data *data, const double mix[OMI_TUNE_OPS])
{
    double a = merging_of(data, mix) / 2, q = mix[OMI_TUNE_SCAN] * data->prices.seek;
    double low = exp(1), high = ratio_most;
    if (q >= a * high * (log(high) - 1))
        return a > 0 || q > 0 ? high : low;
    for (int step = 0; step < STEPS; step++) {
        double t = (low + high) / 2;
        if (a * t * (log(t) - 1) < q)
            low = t;
        else
            high = t;
    }
    return low;
}

/* The derivative of the cost by T. */
static double tiering_slope(double t, double gets, double scans, double merging, double depth)
{
    double ln_t = log(t);
    return gets + depth / (ln_t * ln_t) * (scans * (ln_t - 1 + 1 / t) - merging / t);
}

double omi_cost_ratio_tiering(const struct omi_cost_data *data, const double mix[OMI_TUNE_OPS],
                              double memtable_bytes, double fpr)
{
    double gets = gets_of(data, mix) * fpr, scans = mix[OMI_TUNE_SCAN] * data->prices.seek;
    double merging = merging_of(data, mix);
    double depth = log(data->entries * data->entry_bytes / memtable_bytes + 1);
    double low = ratio_least, high = ratio_most;
    if (tiering_slope(low, gets, scans, merging, depth) >= 0)
        return low;
    if (tiering_slope(high, gets, scans, merging, depth) <= 0)
        return high;
    for (int step = 0; step < STEPS; step++) {
        double t = (low + high) / 2;
        if (tiering_slope(t, gets, scans, merging, depth) < 0)
            low = t;
        else
            high = t;
    }
    return low;
}

double omi_cost_bits_best(const struct omi_cost_data *data, const double mix[OMI_TUNE_OPS],
                          double size_ratio, bool tiering, double memory_bytes)
{
    double t = size_ratio, per_bit = data->halving > 0 ? ln2 / data->halving : ln2 * ln2;
    double memory = memory_bytes * 8, keys = data->entries;
    double runs = tiering ? t - 1 : 1;
    double kappa = pow(t, t / (t - 1)) / (t - 1) * runs; /* Monkey's sum over the levels */
    double level = mix[OMI_TUNE_SCAN] * data->prices.seek * runs +
                   merging_of(data, mix) * (tiering ? 1 : t / 2); /* that one level more costs */
    double low = 0, high = memory / keys;
    for (int step = 0; step < STEPS; step++) {
        double bits = (low + high) / 2;
        double saves = gets_of(data, mix) * kappa * per_bit / keys * exp(-bits * per_bit);
        double costs = level / (log(t) * (memory - bits * keys));
        if (saves > costs)
            low = bits;
        else
            high = bits;
    }
    return low;
}

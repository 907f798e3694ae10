#include "compaction/cost_model.h"

#include <math.h>

static const double ln2 = 0.69314718055994530942;

const struct omi_cost_prices omi_cost_prices_default = {1, 1, 1, 1, 1, 0};

/* ---- levels ---------------------------------------------------------------------------------- */

uint32_t omi_cost_level_count(const struct omi_shape *shape, double bytes)
{
    double room = 0;
    for (uint32_t level = 1; level < OMEN_LEVELS_MAX; level++) {
        room += (double)omi_shape_capacity(shape, level);
        if (room * (1 + 1e-9) >= bytes) /* full by rounding is full */
            return level;
    }
    return OMEN_LEVELS_MAX;
}

/* Flushes land in level 1: it is never the last one for the engine (pick.c). */
static double runs_of(const struct omi_shape *shape, uint32_t level, uint32_t count)
{
    return omi_shape_runs(shape, level, count > 2 ? count : 2);
}

/* On its way through a level of K runs each entry is written once on entering, and again whenever its
 * run is joined: T-1 arrivals make K runs, so (T - 1 + K) / 2K times on average. Half-full levels
 * on average: that is where the 2 comes from. */
static void merging_of(const struct omi_shape *shape, uint32_t count, struct omi_cost_tree *tree)
{
    double t = shape->size_ratio;
    for (uint32_t i = 0; i < count; i++) {
        double k = runs_of(shape, i + 1, count);
        if (k > t - 1)
            k = t - 1; /* a level full of runs passes on before it would have more */
        tree->level[i].written = tree->level[i].read = (t - 1 + k) / (2 * k);
    }
    double k_last = runs_of(shape, count, count);
    tree->space_amp = (k_last > t - 1 ? t - 1 : k_last) + 1 / (t - 1);
}

void omi_cost_ideal(const struct omi_shape *shape, const struct omi_cost_data *data,
                    struct omi_cost_tree *tree_out)
{
    *tree_out = (struct omi_cost_tree){0};
    uint32_t count = omi_cost_level_count(shape, data->entries * data->entry_bytes);
    double room = 0, t = shape->size_ratio;
    for (uint32_t i = 1; i <= count; i++)
        room += (double)omi_shape_capacity(shape, i);
    tree_out->count = count;
    for (uint32_t i = 0; i < count; i++) {
        struct omi_cost_level *level = &tree_out->level[i];
        double k = runs_of(shape, i + 1, count);
        level->entries = data->entries * ((double)omi_shape_capacity(shape, i + 1) / room);
        level->runs = k > t - 1 ? t - 1 : k;
    }
    merging_of(shape, count, tree_out);
}

void omi_cost_live(const struct omi_shape *shape, const double *entries, const double *runs,
                   uint32_t count, struct omi_cost_tree *tree_out)
{
    *tree_out = (struct omi_cost_tree){.count = count};
    double sum = 0, last = 0;
    for (uint32_t i = 0; i < count; i++) {
        tree_out->level[i].entries = entries[i];
        tree_out->level[i].runs = runs[i];
        sum += entries[i];
        last = entries[i];
    }
    merging_of(shape, count, tree_out);
    if (last > 0) /* what lies above the last level shadows entries of it, as far as anyone knows */
        tree_out->space_amp = sum / last;
}

/* ---- filters --------------------------------------------------------------------------------- */

/* Fewest false positives for all the bits: of every run in proportion to its entries (Lagrange), and
 * where that is more than the most, the most; what such levels do not need goes to the others, so
 * it is done again, at most once a level. */
static void filter_monkey(const struct omi_cost_data *data, struct omi_cost_tree *tree,
                          double per_bit, double most)
{
    bool clamped[OMEN_LEVELS_MAX] = {false};
    double all = 0;
    for (uint32_t i = 0; i < tree->count; i++)
        all += tree->level[i].entries;
    double uniform = exp(-data->filter_bits * per_bit);
    if (most < uniform)
        most = uniform;
    for (uint32_t round = 0; round <= tree->count; round++) {
        double left = data->filter_bits * per_bit * all, sum = 0, weighted = 0;
        for (uint32_t i = 0; i < tree->count; i++) {
            struct omi_cost_level *level = &tree->level[i];
            if (level->entries <= 0 || level->runs <= 0)
                continue;
            if (clamped[i]) {
                left += level->entries * log(most);
                continue;
            }
            sum += level->entries;
            weighted += level->entries * log(level->entries / level->runs);
        }
        if (sum <= 0)
            return;
        double lambda = exp(-(left + weighted) / sum);
        bool again = false;
        for (uint32_t i = 0; i < tree->count; i++) {
            struct omi_cost_level *level = &tree->level[i];
            if (clamped[i] || level->entries <= 0 || level->runs <= 0)
                continue;
            level->fpr = lambda * level->entries / level->runs;
            if (level->fpr >= most) {
                level->fpr = most;
                clamped[i] = again = true;
            }
        }
        if (!again)
            return;
    }
}

/* By the same law, but what is given is the sum: that of uniform bits. A table keeps what it got when
 * it was written; where that is not known, as if all were written now. */
static void filter_quality(struct omi_cost_tree *tree, double uniform, double most)
{
    double runs = 0, entries = 0;
    for (uint32_t i = 0; i < tree->count; i++) {
        runs += tree->level[i].runs;
        entries += tree->level[i].entries;
    }
    for (uint32_t i = 0; i < tree->count; i++) {
        struct omi_cost_level *level = &tree->level[i];
        double quality = level->quality;
        if (quality <= 0)
            quality = entries > 0 && level->runs > 0
                          ? runs * level->entries / (level->runs * entries)
                          : 1;
        level->fpr = fmin(most, uniform * quality);
    }
}

/* Rounded up to whole lines, a small run's filter has more bits a key than were asked for. */
static double bits_of_run(const struct omi_cost_data *data, const struct omi_cost_level *level)
{
    if (data->line_bits <= 0 || level->entries <= 0 || level->runs <= 0)
        return data->filter_bits;
    double keys = fmax(level->entries / level->runs, 1);
    return ceil(keys * data->filter_bits / data->line_bits) * data->line_bits / keys;
}

void omi_cost_filter(const struct omi_cost_data *data, struct omi_cost_tree *tree)
{
    double per_bit = data->halving > 0 ? ln2 / data->halving : ln2 * ln2;
    double most = data->fpr_max > 0 && data->fpr_max < 1 ? data->fpr_max : 1;
    if (data->filters == OMI_COST_GIVEN)
        return;
    for (uint32_t i = 0; i < tree->count; i++)
        tree->level[i].fpr = data->filters == OMI_COST_NO_FILTERS || data->filter_bits <= 0
                                 ? 1
                                 : exp(-bits_of_run(data, &tree->level[i]) * per_bit);
    if (data->filters == OMI_COST_MONKEY && data->filter_bits > 0)
        filter_monkey(data, tree, per_bit, most);
    if (data->filters == OMI_COST_QUALITY && data->filter_bits > 0)
        filter_quality(tree, exp(-data->filter_bits * per_bit), most);
}

/* ---- operations ------------------------------------------------------------------------------ */

struct summing {
    const struct omi_cost_data *data;
    const struct omi_cost_tree *tree;
    double entries, page_entries;
};

/* The share of a level's pages that come from the disk. */
static double missed(const struct summing *s, uint32_t level)
{
    return (1 - s->data->cache_hit) * (1 - s->tree->level[level].cached);
}

static double share_of(const struct summing *s, uint32_t level)
{
    return s->entries > 0 ? s->tree->level[level].entries / s->entries : 0;
}

/* A key that is there is looked for in vain in all newer runs; one that is not, in all. */
static void gets_sum(const struct summing *s, struct omi_cost *c)
{
    const struct omi_cost_prices *price = &s->data->prices;
    double fpr = 0, fpr_missed = 0, runs = 0, hit = 0, hit_missed = 0, hit_probes = 0;
    for (uint32_t i = 0; i < s->tree->count; i++) {
        const struct omi_cost_level *level = &s->tree->level[i];
        double share = share_of(s, i), away = missed(s, i);
        double newer = level->runs > 1 ? (level->runs - 1) / 2 : 0; /* of the same level */
        hit += share * (1 + fpr + newer * level->fpr);
        hit_missed += share * (fpr_missed + away * (1 + newer * level->fpr));
        hit_probes += share * (1 + runs + newer);
        fpr += level->runs * level->fpr;
        fpr_missed += level->runs * level->fpr * away;
        runs += level->runs;
    }
    double below = 1 - s->tree->in_memory;
    c->fpr_sum = fpr;
    c->runs = runs;
    c->pages[OMI_TUNE_GET_MISS] = fpr;
    c->pages[OMI_TUNE_GET_HIT] = below * hit;
    c->cost[OMI_TUNE_GET_MISS] = fpr_missed * price->read + runs * price->probe;
    c->cost[OMI_TUNE_GET_HIT] = below * (hit_missed * price->read + hit_probes * price->probe);
}

/* A scan reads a block of every run, and another for each boundary that it passes: on its way from its
 * first entry to its last, and before, where a run's next key lies beyond the block that would hold
 * the first. Near the newest keys there is but one run, as a rule. */
static void scans_sum(const struct summing *s, struct omi_cost *c)
{
    const struct omi_cost_prices *price = &s->data->prices;
    double steps = s->data->scan_entries > 1 ? s->data->scan_entries - 1 : 0;
    double pages = 0, cost = 0, boundary = 1 / s->page_entries;
    double runs = s->data->recent ? 1 : c->runs;
    double beyond = runs > 1 ? (runs - 1) / runs * boundary : 0; /* a run */
    for (uint32_t i = 0; i < s->tree->count; i++) {
        double share = share_of(s, i), away = missed(s, i);
        double opened = s->data->recent ? share : s->tree->level[i].runs;
        double passed = opened * beyond + share * steps * boundary;
        pages += opened + passed;
        cost += away * (opened * price->seek + passed * price->scan_page) + opened * price->probe;
    }
    c->pages[OMI_TUNE_SCAN] = pages;
    c->cost[OMI_TUNE_SCAN] = cost;
}

static void writes_sum(const struct summing *s, struct omi_cost *c)
{
    const struct omi_cost_prices *price = &s->data->prices;
    double per_page = s->data->page_bytes / s->data->entry_bytes, read = 0, written = 0;
    for (uint32_t i = 0; i < s->tree->count; i++) {
        read += s->tree->level[i].read;
        written += s->tree->level[i].written;
    }
    c->pages[OMI_TUNE_WRITE] = (read + written) / per_page;
    c->cost[OMI_TUNE_WRITE] = (read * price->merge_read + written * price->merge_write) / per_page;
    c->write_amp = written;
}

void omi_cost_of(const struct omi_cost_data *data, struct omi_cost_tree *tree,
                 struct omi_cost *cost_out)
{
    struct summing s = {data, tree, 0, data->page_entries};
    if (s.page_entries <= 0)
        s.page_entries = data->page_bytes / data->entry_bytes;
    for (uint32_t i = 0; i < tree->count; i++)
        s.entries += tree->level[i].entries;
    *cost_out = (struct omi_cost){.space_amp = tree->space_amp};
    omi_cost_filter(data, tree);
    gets_sum(&s, cost_out);
    scans_sum(&s, cost_out);
    writes_sum(&s, cost_out);
}

double omi_cost_mix(const struct omi_cost *cost, const double mix[OMI_TUNE_OPS])
{
    double sum = 0;
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        sum += mix[op] * cost->cost[op];
    return sum;
}

double omi_cost_runs_prior(const struct omi_cost_data *data, uint32_t size_ratio,
                           const double mix[OMI_TUNE_OPS], double fpr)
{
    const struct omi_cost_prices *price = &data->prices;
    double most = (double)size_ratio - 1;
    double merging = mix[OMI_TUNE_WRITE] * (price->merge_read + price->merge_write) * most *
                     data->entry_bytes / (2 * data->page_bytes);
    double meeting = mix[OMI_TUNE_SCAN] * price->seek +
                     (mix[OMI_TUNE_GET_MISS] + mix[OMI_TUNE_GET_HIT]) * fpr * price->read;
    if (merging >= meeting * most * most) /* also when nothing meets runs */
        return merging > 0 ? most : 1;
    double k = sqrt(merging / meeting);
    return k < 1 ? 1 : k;
}

double omi_cost_cache_hit(double cache_bytes, double data_bytes, double theta)
{
    if (cache_bytes <= 0 || data_bytes <= 0)
        return 0;
    double share = cache_bytes / data_bytes;
    if (share >= 1)
        return 1;
    return theta > 0 && theta < 1 ? pow(share, 1 - theta) : share;
}

double omi_cost_curve_hit(const struct omi_cost_curve *curve, double cache_bytes)
{
    double bytes = 0, hit = 0; /* of the point before */
    for (uint32_t i = 0; i < curve->count; i++) {
        if (cache_bytes < curve->cache_bytes[i])
            return hit +
                   (curve->hit[i] - hit) * (cache_bytes - bytes) / (curve->cache_bytes[i] - bytes);
        bytes = curve->cache_bytes[i];
        hit = curve->hit[i];
    }
    return hit;
}

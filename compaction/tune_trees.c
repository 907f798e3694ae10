#include "compaction/tune_trees.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { FEATURES = OMI_BOOST_FEATURES, BINS = OMI_BOOST_BINS, LEVELS = 3, ROWS_MIN = 2 };

static const double rate = 0.15, leaf_l2 = 2, gain_min = 1e-9;

/* ---- bins ------------------------------------------------------------------------------------ */

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Between distinct neighbours, every one if they are few, else at even ranks. sorted is ascending. */
static uint8_t cuts_find(const float *sorted, uint32_t rows, float cut[BINS - 1])
{
    uint32_t distinct = 1, count = 0;
    for (uint32_t i = 1; i < rows; i++)
        distinct += sorted[i] != sorted[i - 1];
    uint32_t last = 0; /* rows left of the newest cut */
    for (uint32_t i = 1; i < rows && count < BINS - 1; i++) {
        if (sorted[i] == sorted[i - 1])
            continue;
        if (distinct > BINS && (uint64_t)(i - last) * BINS < rows)
            continue;
        float middle = sorted[i - 1] + (sorted[i] - sorted[i - 1]) / 2;
        cut[count++] = middle > sorted[i - 1] ? middle : sorted[i];
        last = i;
    }
    return (uint8_t)count;
}

omen_err omi_boost_bins_make(const float (*features)[FEATURES], uint32_t rows,
                             struct omi_boost_bins *bins_out)
{
    *bins_out = (struct omi_boost_bins){.rows = rows};
    float *sorted = malloc((size_t)rows * sizeof(*sorted) + 1);
    bins_out->bin = malloc((size_t)rows * FEATURES + 1);
    if (sorted == NULL || bins_out->bin == NULL) {
        free(sorted);
        omi_boost_bins_fini(bins_out);
        return omi_fail(OMEN_NO_MEMORY, 0, "%" PRIu32 " rows of the tuner", rows);
    }
    for (int f = 0; f < FEATURES; f++) {
        for (uint32_t i = 0; i < rows; i++)
            sorted[i] = features[i][f];
        qsort(sorted, rows, sizeof(*sorted), compare_floats);
        float *cut = bins_out->cut[f];
        uint8_t count = cuts_find(sorted, rows, cut);
        bins_out->cut_count[f] = count;
        for (uint32_t i = 0; i < rows; i++) {
            uint8_t bin = 0;
            while (bin < count && cut[bin] <= features[i][f])
                bin++;
            bins_out->bin[(size_t)i * FEATURES + (size_t)f] = bin;
        }
    }
    free(sorted);
    return OMEN_OK;
}

void omi_boost_bins_fini(struct omi_boost_bins *bins)
{
    free(bins->bin);
    *bins = (struct omi_boost_bins){0};
}

/* ---- a tree ---------------------------------------------------------------------------------- */

struct sums {
    double left, weight; /* of rows: weight * what is not yet explained, weight */
    uint32_t rows;
};
static void sums_add(struct sums *into, const struct sums *s)
{
    into->left += s->left;
    into->weight += s->weight;
    into->rows += s->rows;
}

/* How much a leaf of these rows explains. */
static double worth(const struct sums *s)
{
    return s->left * s->left / (s->weight + leaf_l2);
}

struct grower {
    const struct omi_boost_bins *bins;
    const double *weight;
    double *left;
    uint8_t *node; /* of each row, within its level */
    struct sums hist[1 << (LEVELS - 1)][FEATURES][BINS];
    uint8_t split_bin[1 << (LEVELS - 1)]; /* the last bin that goes left */
};

static void hist_fill(struct grower *g, uint32_t nodes)
{
    memset(g->hist, 0, nodes * sizeof(g->hist[0]));
    for (uint32_t i = 0; i < g->bins->rows; i++) {
        double weight = g->weight[i], left = weight * g->left[i];
        if (weight <= 0)
            continue;
        struct sums(*hist)[BINS] = g->hist[g->node[i]];
        const uint8_t *bin = &g->bins->bin[(size_t)i * FEATURES];
        for (int f = 0; f < FEATURES; f++) {
            struct sums *s = &hist[f][bin[f]];
            s->left += left;
            s->weight += weight;
            s->rows++;
        }
    }
}

/* The best split of a node; the first of equals, so that order decides nothing else. */
static void node_split(struct grower *g, uint32_t node, struct omi_boost_tree *tree, uint32_t at)
{
    double best = gain_min;
    tree->feature[at] = OMI_BOOST_NO_SPLIT;
    tree->threshold[at] = 0;
    for (int f = 0; f < FEATURES; f++) {
        const struct sums *hist = g->hist[node][f];
        uint32_t cuts = g->bins->cut_count[f];
        struct sums all = {0}, low = {0};
        for (uint32_t b = 0; b <= cuts; b++)
            sums_add(&all, &hist[b]);
        for (uint32_t b = 0; b < cuts; b++) {
            sums_add(&low, &hist[b]);
            struct sums high = {all.left - low.left, all.weight - low.weight, all.rows - low.rows};
            if (low.rows < ROWS_MIN || high.rows < ROWS_MIN)
                continue;
            double gain = worth(&low) + worth(&high) - worth(&all);
            if (gain > best) {
                best = gain;
                tree->feature[at] = (uint8_t)f;
                tree->threshold[at] = g->bins->cut[f][b];
                g->split_bin[node] = (uint8_t)b;
            }
        }
    }
}

static void rows_descend(struct grower *g, const struct omi_boost_tree *tree, uint32_t first)
{
    for (uint32_t i = 0; i < g->bins->rows; i++) {
        uint32_t node = g->node[i], f = tree->feature[first + node];
        bool right =
            f != OMI_BOOST_NO_SPLIT && g->bins->bin[(size_t)i * FEATURES + f] > g->split_bin[node];
        g->node[i] = (uint8_t)(2 * node + right);
    }
}

static void tree_grow(struct grower *g, struct omi_boost_tree *tree)
{
    struct sums leaf[OMI_BOOST_LEAVES] = {{0}};
    memset(g->node, 0, g->bins->rows);
    for (uint32_t level = 0, first = 0; level < LEVELS; level++) {
        uint32_t nodes = 1u << level;
        hist_fill(g, nodes);
        for (uint32_t i = 0; i < nodes; i++)
            node_split(g, i, tree, first + i);
        rows_descend(g, tree, first);
        first += nodes;
    }
    for (uint32_t i = 0; i < g->bins->rows; i++) {
        double weight = g->weight[i];
        const struct sums one = {weight * g->left[i], weight, 1};
        sums_add(&leaf[g->node[i]], &one);
    }
    for (int k = 0; k < OMI_BOOST_LEAVES; k++)
        tree->leaf[k] = (float)(rate * leaf[k].left / (leaf[k].weight + leaf_l2));
    for (uint32_t i = 0; i < g->bins->rows; i++)
        g->left[i] -= (double)tree->leaf[g->node[i]];
}

void omi_boost_fit(const struct omi_boost_bins *bins, const double *target, const double *weight,
                   double *left, uint8_t *node, struct omi_boost *boost_out)
{
    struct grower g = {.bins = bins, .weight = weight, .left = left, .node = node};
    *boost_out = (struct omi_boost){.count = OMI_BOOST_TREES};
    for (uint32_t i = 0; i < bins->rows; i++)
        left[i] = target[i];
    for (uint32_t t = 0; t < OMI_BOOST_TREES; t++)
        tree_grow(&g, &boost_out->tree[t]);
}

double omi_boost_predict(const struct omi_boost *boost, const float feature[FEATURES])
{
    double sum = 0;
    for (uint32_t t = 0; t < boost->count; t++) {
        const struct omi_boost_tree *tree = &boost->tree[t];
        uint32_t at = 0;
        for (int level = 0; level < LEVELS; level++) {
            uint32_t f = tree->feature[at];
            at = 2 * at + 1 + (f != OMI_BOOST_NO_SPLIT && !(feature[f] < tree->threshold[at]));
        }
        sum += (double)tree->leaf[at - OMI_BOOST_NODES];
    }
    return sum;
}

/*
 * tune_trees.h - gradient-boosted regression trees, small: 40 trees of depth 3 over 12 features in
 * at most 32 bins (Friedman, "Greedy Function Approximation: A Gradient Boosting Machine", 2001).
 *
 * They learn what the theory part of the tuner's model leaves over, in the logarithm. Same rows in
 * the same order give the same trees, bit for bit, on one build.
 */
#ifndef OMI_TUNE_TREES_H
#define OMI_TUNE_TREES_H

#include "io/base/fail.h"

#include <stddef.h>
#include <stdint.h>

enum {
    OMI_BOOST_FEATURES = 12,
    OMI_BOOST_TREES = 40,
    OMI_BOOST_NODES = 7, /* of a tree of depth 3, as a heap: children of i are 2i+1 and 2i+2 */
    OMI_BOOST_LEAVES = 8,
    OMI_BOOST_BINS = 32,
    OMI_BOOST_NO_SPLIT = 255 /* as a feature: everything goes left */
};

struct omi_boost_tree {
    uint8_t feature[OMI_BOOST_NODES];
    float threshold[OMI_BOOST_NODES]; /* less goes left */
    float leaf[OMI_BOOST_LEAVES];
};
struct omi_boost {
    uint32_t count;
    struct omi_boost_tree tree[OMI_BOOST_TREES];
};

/* The features of rows, in bins: once for all fits on them. */
struct omi_boost_bins {
    uint32_t rows;
    uint8_t cut_count[OMI_BOOST_FEATURES];
    float cut[OMI_BOOST_FEATURES][OMI_BOOST_BINS - 1]; /* ascending; a value's bin: cuts <= it */
    uint8_t *bin;                                      /* rows x OMI_BOOST_FEATURES */
};
OMEN_MUST_CHECK omen_err omi_boost_bins_make(const float (*features)[OMI_BOOST_FEATURES],
                                             uint32_t rows, struct omi_boost_bins *bins_out);
void omi_boost_bins_fini(struct omi_boost_bins *bins);

/* Fits to target, weighted (0: the row is left out). left[rows] is scratch: what is not yet
 * explained. */
void omi_boost_fit(const struct omi_boost_bins *bins, const double *target, const double *weight,
                   double *left, uint8_t *node, struct omi_boost *boost_out);
double omi_boost_predict(const struct omi_boost *boost, const float feature[OMI_BOOST_FEATURES]);

#endif

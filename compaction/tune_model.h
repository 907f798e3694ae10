/*
 * tune_model.h - what a shape will cost under a mix, learned from what shapes have cost.
 *
 * Two stages. The theory's I/O of each operation times a price, and something besides: eight
 * coefficients (tune_ridge.h); they carry over to mixes that were never measured. Then trees on the
 * logarithm of what was measured over what that says (tune_trees.h); off below OMI_TUNE_TREES_FROM
 * rows. Six fits on bootstrap samples (Efron, 1979): their mean is the prediction, their spread says
 * how much to trust it.
 *
 * Labels may be in any unit, as long as all rows have the same. The same rows, in the same order,
 * with the same seed give the same model, bit for bit, on one build.
 * Bytes:   docs/format-tune-model.md; decoding takes anything and answers OMEN_CORRUPT.
 * Use:     chooses between shapes that are all valid; no answer of the database depends on it.
 */
#ifndef OMI_TUNE_MODEL_H
#define OMI_TUNE_MODEL_H

#include "compaction/tune_ridge.h"
#include "compaction/tune_space.h"
#include "compaction/tune_trees.h"

enum { OMI_TUNE_COPIES = 6, OMI_TUNE_TREES_FROM = 12 };

/* One shape under one mix: what a model sees. */
struct omi_tune_input {
    double mix[OMI_TUNE_OPS];
    double cost[OMI_TUNE_OPS];         /* the theory's, of one operation of each kind */
    float feature[OMI_BOOST_FEATURES]; /* mix, T, levels, K, Z, h, cache, skew, scan length */
};
struct omi_tune_row {
    struct omi_tune_input input;
    double label;  /* measured; positive and finite, or the row is left out */
    double weight; /* 1; less for what is less sure */
};

struct omi_tune_model {
    uint64_t seed;
    uint32_t rows; /* that it was fitted on */
    struct omi_tune_copy {
        double coef[OMI_RIDGE_TERMS], scale;
        struct omi_boost boost; /* count 0: off */
    } copy[OMI_TUNE_COPIES];
};

struct omi_tune_guess {
    double log_mean, log_sd; /* of the label's natural logarithm */
};

/* levels: of the tree that cost was computed for; skew: Zipf exponent of the keys asked for. */
void omi_tune_input_make(const double mix[OMI_TUNE_OPS], const struct omi_point *point,
                         uint32_t levels, const struct omi_cost *cost, double skew,
                         double scan_entries, struct omi_tune_input *input_out);

/* prior: coefficients in the labels' unit to stay near while rows are few; NULL: the theory times one
 * factor. Without rows the model is that prior. */
OMEN_MUST_CHECK omen_err omi_tune_fit(const struct omi_tune_row *rows, uint32_t count,
                                      uint64_t seed, const double *prior,
                                      struct omi_tune_model *model_out);
struct omi_tune_guess omi_tune_predict(const struct omi_tune_model *model,
                                       const struct omi_tune_input *input);

/* At most this many bytes, and how many a model takes. */
enum { OMI_TUNE_MODEL_BYTES_MAX = 48 << 10 };
size_t omi_tune_model_bytes(const struct omi_tune_model *model);
/* Writes omi_tune_model_bytes(model). */
void omi_tune_model_encode(const struct omi_tune_model *model, uint8_t *out);
OMEN_MUST_CHECK omen_err omi_tune_model_decode(const void *bytes, size_t size,
                                               struct omi_tune_model *model_out);

#endif

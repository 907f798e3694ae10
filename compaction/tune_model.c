#include "compaction/tune_model.h"

#include "compaction/tune_random.h"

#include <math.h>
#include <stdlib.h>

static const double ridge_lambda = 1e-4;

void omi_tune_input_make(const double mix[OMI_TUNE_OPS], const struct omi_point *point,
                         uint32_t levels, const struct omi_cost *cost, double skew,
                         double scan_entries, struct omi_tune_input *input_out)
{
    float *f = input_out->feature;
    for (int op = 0; op < OMI_TUNE_OPS; op++) {
        input_out->mix[op] = mix[op];
        input_out->cost[op] = cost->cost[op];
        f[op] = (float)mix[op];
    }
    f[4] = point->size_ratio;
    f[5] = (float)levels;
    f[6] = point->runs_upper;
    f[7] = point->runs_last;
    f[8] = point->filter_bits;
    f[9] = point->cache_pct;
    f[10] = (float)skew;
    f[11] = (float)scan_entries;
}

/* ---- the theory part ------------------------------------------------------------------------- */

static void terms_of(const struct omi_tune_input *input, double term[OMI_RIDGE_TERMS])
{
    for (int op = 0; op < OMI_TUNE_OPS; op++) {
        term[op] = input->mix[op] * input->cost[op];
        term[OMI_TUNE_OPS + op] = input->mix[op];
    }
}

/* Never so small that its logarithm runs away: where the fit says nothing, the theory does. */
static double theory_of(const struct omi_tune_copy *copy, const struct omi_tune_input *input)
{
    double term[OMI_RIDGE_TERMS], sum = 0, plain = 0;
    terms_of(input, term);
    for (int j = 0; j < OMI_RIDGE_TERMS; j++)
        sum += term[j] * copy->coef[j];
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        plain += term[op];
    double least = 1e-3 * copy->scale * plain;
    least = least > 1e-30 ? least : 1e-30;
    return sum > least ? sum : least;
}

/* ---- fitting --------------------------------------------------------------------------------- */

struct fit {
    uint32_t count;
    const struct omi_tune_row **rows; /* those that count */
    struct omi_ridge_row *ridge;
    struct omi_boost_bins bins;
    double *weight, *target, *left;
    uint8_t *node;
};

static void fit_fini(struct fit *f)
{
    omi_boost_bins_fini(&f->bins);
    free(f->rows);
    free(f->ridge);
    free(f->weight);
    free(f->target);
    free(f->left);
    free(f->node);
}

static omen_err bins_make(struct fit *f)
{
    float(*features)[OMI_BOOST_FEATURES] = malloc(f->count * sizeof(*features));
    if (features == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%" PRIu32 " rows of the tuner", f->count);
    for (uint32_t i = 0; i < f->count; i++)
        for (int k = 0; k < OMI_BOOST_FEATURES; k++)
            features[i][k] = f->rows[i]->input.feature[k];
    omen_err err =
        omi_boost_bins_make((const float(*)[OMI_BOOST_FEATURES])features, f->count, &f->bins);
    free(features);
    return err;
}

static omen_err fit_init(struct fit *f, const struct omi_tune_row *rows, uint32_t count)
{
    size_t room = (size_t)count + 1;
    *f = (struct fit){.rows = malloc(room * sizeof(*f->rows)),
                      .ridge = malloc(room * sizeof(*f->ridge)),
                      .weight = malloc(room * sizeof(double)),
                      .target = malloc(room * sizeof(double)),
                      .left = malloc(room * sizeof(double)),
                      .node = malloc(room)};
    if (f->rows == NULL || f->ridge == NULL || f->weight == NULL || f->target == NULL ||
        f->left == NULL || f->node == NULL) {
        fit_fini(f);
        return omi_fail(OMEN_NO_MEMORY, 0, "%" PRIu32 " rows of the tuner", count);
    }
    for (uint32_t i = 0; i < count; i++)
        if (isfinite(rows[i].label) && rows[i].label > 0 && rows[i].weight > 0) {
            terms_of(&rows[i].input, f->ridge[f->count].term);
            f->ridge[f->count].label = rows[i].label;
            f->rows[f->count++] = &rows[i];
        }
    omen_err err = f->count >= OMI_TUNE_TREES_FROM ? bins_make(f) : OMEN_OK;
    if (err != OMEN_OK)
        fit_fini(f);
    return err;
}

/* As many rows as there are, drawn with replacement: how often each was. */
static void weights_draw(struct fit *f, struct omi_random *rng)
{
    for (uint32_t i = 0; i < f->count; i++)
        f->weight[i] = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        uint64_t drawn = omi_random_below(rng, f->count);
        f->weight[drawn] += f->rows[drawn]->weight;
    }
}

static void copy_fit(struct fit *f, const double *prior, struct omi_tune_copy *copy)
{
    double theory[OMI_RIDGE_TERMS] = {0};
    for (uint32_t i = 0; i < f->count; i++)
        f->ridge[i].weight = f->weight[i];
    copy->scale = omi_ridge_scale(f->ridge, f->count);
    copy->scale = copy->scale < 1e100 ? copy->scale : 1e100; /* what the format takes */
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        theory[op] = copy->scale;
    omi_ridge_fit(f->ridge, f->count, ridge_lambda, prior != NULL ? prior : theory, copy->coef);
    copy->boost.count = 0;
    if (f->count < OMI_TUNE_TREES_FROM)
        return;
    for (uint32_t i = 0; i < f->count; i++)
        f->target[i] = log(f->rows[i]->label / theory_of(copy, &f->rows[i]->input));
    omi_boost_fit(&f->bins, f->target, f->weight, f->left, f->node, &copy->boost);
}

omen_err omi_tune_fit(const struct omi_tune_row *rows, uint32_t count, uint64_t seed,
                      const double *prior, struct omi_tune_model *model_out)
{
    struct fit f;
    struct omi_random rng = {seed};
    *model_out = (struct omi_tune_model){.seed = seed};
    omen_err err = fit_init(&f, rows, count);
    if (err != OMEN_OK)
        return err;
    model_out->rows = f.count;
    for (int c = 0; c < OMI_TUNE_COPIES; c++) {
        weights_draw(&f, &rng);
        copy_fit(&f, prior, &model_out->copy[c]);
    }
    fit_fini(&f);
    return OMEN_OK;
}

struct omi_tune_guess omi_tune_predict(const struct omi_tune_model *model,
                                       const struct omi_tune_input *input)
{
    double guess[OMI_TUNE_COPIES], mean = 0, square = 0;
    for (int c = 0; c < OMI_TUNE_COPIES; c++) {
        const struct omi_tune_copy *copy = &model->copy[c];
        guess[c] = log(theory_of(copy, input)) + omi_boost_predict(&copy->boost, input->feature);
        mean += guess[c] / OMI_TUNE_COPIES;
    }
    for (int c = 0; c < OMI_TUNE_COPIES; c++)
        square += (guess[c] - mean) * (guess[c] - mean);
    return (struct omi_tune_guess){mean, sqrt(square / (OMI_TUNE_COPIES - 1))};
}

/* The tuner's model: ridge, trees, both together, and as bytes. */
#include "compaction/tune_model.h"
#include "compaction/tune_random.h"
#include "io/base/coding.h"
#include "io/base/hash.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(tune_model, .timeout = 120);

enum { TERMS = OMI_RIDGE_TERMS };

static double gauss(struct omi_random *rng)
{
    return sqrt(-2 * log(1 - omi_random_unit(rng))) * cos(6.283185307179586 * omi_random_unit(rng));
}

/* ---- ridge ----------------------------------------------------------------------------------- */

static void ridge_rows(struct omi_random *rng, struct omi_ridge_row *rows, int count,
                       const double coef[TERMS], double noise)
{
    for (int i = 0; i < count; i++) {
        rows[i] = (struct omi_ridge_row){.weight = 1};
        double sum = 0;
        for (int j = 0; j < TERMS; j++) {
            rows[i].term[j] = omi_random_unit(rng) * (j < 4 ? 10 : 1);
            sum += rows[i].term[j] * coef[j];
        }
        rows[i].label = sum * exp(noise * gauss(rng));
    }
}

static double objective(const struct omi_ridge_row *rows, int count, double lambda,
                        const double prior[TERMS], const double coef[TERMS])
{
    double sum = 0, all = 0, size[TERMS] = {0};
    for (int i = 0; i < count; i++) {
        double x = 0;
        for (int j = 0; j < TERMS; j++) {
            x += rows[i].term[j] * coef[j];
            size[j] += rows[i].weight * pow(rows[i].term[j] / rows[i].label, 2);
        }
        sum += rows[i].weight * pow((rows[i].label - x) / rows[i].label, 2);
        all += rows[i].weight;
    }
    sum /= all;
    for (int j = 0; j < TERMS; j++)
        sum += lambda * size[j] / all * pow(coef[j] - prior[j], 2);
    return sum;
}

Test(tune_model, ridge_finds_the_prices_that_made_the_labels)
{
    static const double coef[TERMS] = {3, 0.5, 0, 7, 2, 0, 1, 0.1}, none[TERMS] = {0};
    static struct omi_ridge_row rows[200];
    struct omi_random rng = {5};
    double got[TERMS];
    ridge_rows(&rng, rows, 200, coef, 0);
    omi_ridge_fit(rows, 200, 1e-9, none, got);
    for (int j = 0; j < TERMS; j++)
        cr_assert(fabs(got[j] - coef[j]) < 1e-3, "%d: %g, %g", j, got[j], coef[j]);
}

Test(tune_model, ridge_is_the_best_of_all_that_are_not_negative)
{
    struct omi_random rng = {6};
    static struct omi_ridge_row rows[60];
    for (int round = 0; round < 60; round++) {
        double coef[TERMS], prior[TERMS], got[TERMS], lambda = round % 2 == 0 ? 1e-4 : 0.1;
        int count = 1 + (int)omi_random_below(&rng, 60);
        for (int j = 0; j < TERMS; j++) {
            coef[j] = omi_random_unit(&rng) < 0.4 ? 0 : 5 * omi_random_unit(&rng);
            prior[j] = omi_random_unit(&rng);
        }
        coef[0] += 1;
        ridge_rows(&rng, rows, count, coef, 0.3);
        omi_ridge_fit(rows, (size_t)count, lambda, prior, got);
        double best = objective(rows, count, lambda, prior, got);
        for (int trial = 0; trial < 200; trial++) {
            double other[TERMS], step = pow(10, -4 * omi_random_unit(&rng));
            for (int j = 0; j < TERMS; j++) {
                cr_assert(got[j] >= 0);
                other[j] = fmax(0, got[j] + (omi_random_below(&rng, 3) == 0) * step * gauss(&rng));
            }
            cr_assert(objective(rows, count, lambda, prior, other) >= best - 1e-10,
                      "round %d, %d rows", round, count);
        }
    }
}

Test(tune_model, ridge_keeps_the_prior_of_what_never_occurs)
{
    struct omi_ridge_row rows[3];
    struct omi_random rng = {8};
    static const double coef[TERMS] = {1, 1, 1, 1, 0, 0, 0, 0}, prior[TERMS] = {2, 2, 2, 2, 9, 9};
    double got[TERMS];
    ridge_rows(&rng, rows, 3, coef, 0);
    for (int i = 0; i < 3; i++) {
        rows[i].label -= rows[i].term[2];
        rows[i].term[2] = rows[i].term[4] = 0;
    }
    omi_ridge_fit(rows, 3, 1e-4, prior, got);
    cr_assert_eq(got[2], 2);
    cr_assert_eq(got[4], 9);
    omi_ridge_fit(rows, 0, 1e-4, prior, got);
    for (int j = 0; j < TERMS; j++)
        cr_assert_eq(got[j], prior[j]);
    cr_assert_eq(omi_ridge_scale(rows, 0), 1);
}

/* ---- trees ----------------------------------------------------------------------------------- */

enum { ROWS = 400 };
static float features[ROWS][OMI_BOOST_FEATURES];
static double target[ROWS], weight[ROWS], left[ROWS];
static uint8_t node[ROWS];

static void features_make(struct omi_random *rng)
{
    for (int i = 0; i < ROWS; i++) {
        weight[i] = 1;
        for (int f = 0; f < OMI_BOOST_FEATURES; f++)
            features[i][f] = f < 6 ? (float)omi_random_below(rng, 5) : (float)gauss(rng);
    }
}

static double boost_error(const struct omi_boost *b)
{
    double sum = 0;
    for (int i = 0; i < ROWS; i++)
        sum += pow(target[i] - omi_boost_predict(b, features[i]), 2);
    return sqrt(sum / ROWS);
}

static void boost_fit(struct omi_boost *b)
{
    struct omi_boost_bins bins;
    cr_assert_eq(omi_boost_bins_make((const float(*)[OMI_BOOST_FEATURES])features, ROWS, &bins),
                 OMEN_OK);
    omi_boost_fit(&bins, target, weight, left, node, b);
    omi_boost_bins_fini(&bins);
}

Test(tune_model, trees_learn_steps_and_interactions)
{
    struct omi_random rng = {9};
    static struct omi_boost b;
    features_make(&rng);
    for (int i = 0; i < ROWS; i++)
        target[i] = (features[i][2] < 3) * 1.0 + (features[i][5] >= 2 && features[i][2] >= 3) * 2.0;
    boost_fit(&b);
    cr_assert_lt(boost_error(&b), 0.05);
    for (int i = 0; i < ROWS; i++)
        target[i] = 3;
    boost_fit(&b); /* nothing to split: each tree takes 0.15 * n / (n + 2) of what is left */
    cr_assert(fabs(omi_boost_predict(&b, features[0]) -
                   3 * (1 - pow(1 - 0.15 * ROWS / (ROWS + 2.0), OMI_BOOST_TREES))) < 1e-4);
    for (int k = 0; k < OMI_BOOST_NODES; k++)
        cr_assert_eq(b.tree[0].feature[k], OMI_BOOST_NO_SPLIT);
}

/* The first split is the one that a search over all thresholds finds. */
Test(tune_model, trees_split_where_most_is_explained)
{
    struct omi_random rng = {10};
    static struct omi_boost b;
    for (int round = 0; round < 30; round++) {
        features_make(&rng);
        for (int f = 6; f < OMI_BOOST_FEATURES; f++)
            for (int i = 0; i < ROWS; i++)
                features[i][f] = 0;
        for (int i = 0; i < ROWS; i++) {
            weight[i] = (double)omi_random_below(&rng, 3);
            target[i] = gauss(&rng) + features[i][round % 6] * 0.1;
        }
        boost_fit(&b);
        double best = 0;
        int best_f = OMI_BOOST_NO_SPLIT;
        float best_cut = 0;
        for (int f = 0; f < 6; f++)
            for (float cut = 0.5f; cut < 4; cut += 1) {
                double g[2] = {0}, h[2] = {0};
                for (int i = 0; i < ROWS; i++) {
                    g[features[i][f] >= cut] += weight[i] * target[i];
                    h[features[i][f] >= cut] += weight[i];
                }
                double gain = g[0] * g[0] / (h[0] + 2) + g[1] * g[1] / (h[1] + 2) -
                              pow(g[0] + g[1], 2) / (h[0] + h[1] + 2);
                if (gain > best) {
                    best = gain;
                    best_f = f;
                    best_cut = cut;
                }
            }
        cr_assert_eq(b.tree[0].feature[0], best_f, "round %d", round);
        cr_assert_eq(b.tree[0].threshold[0], best_cut);
    }
}

Test(tune_model, trees_make_no_leaf_of_a_single_row)
{
    static struct omi_boost b;
    struct omi_random rng = {11};
    features_make(&rng);
    for (int i = 0; i < ROWS; i++) {
        target[i] = i == 7 ? 1000 : 0;
        for (int f = 0; f < OMI_BOOST_FEATURES; f++)
            features[i][f] = f == 3 ? (float)(i == 7) : 0;
    }
    boost_fit(&b);
    cr_assert_eq(b.tree[0].feature[0], OMI_BOOST_NO_SPLIT);
    features[8][3] = 1;
    boost_fit(&b);
    cr_assert_eq(b.tree[0].feature[0], 3);
}

Test(tune_model, trees_with_many_values_use_even_bins)
{
    struct omi_boost_bins bins;
    for (int i = 0; i < ROWS; i++)
        for (int f = 0; f < OMI_BOOST_FEATURES; f++)
            features[i][f] = (float)((i * 37) % ROWS) * (f == 0 ? 1.0f : 0.0f);
    cr_assert_eq(omi_boost_bins_make((const float(*)[OMI_BOOST_FEATURES])features, ROWS, &bins),
                 OMEN_OK);
    int held[OMI_BOOST_BINS] = {0};
    for (int i = 0; i < ROWS; i++)
        held[bins.bin[i * OMI_BOOST_FEATURES]]++;
    cr_assert_geq(bins.cut_count[0], 28);
    cr_assert_eq(bins.cut_count[1], 0);
    for (int b = 0; b <= bins.cut_count[0]; b++)
        cr_assert(held[b] >= 8 && held[b] <= 26, "bin %d: %d", b, held[b]);
    omi_boost_bins_fini(&bins);
}

/* ---- both together --------------------------------------------------------------------------- */

static const struct omi_space_limits limits = {.memory_bytes = 8 << 20, .entries = 1000000};

static struct omi_tune_input input_make(const struct omi_point *p, const double mix[OMI_TUNE_OPS])
{
    struct omi_cost_data data = {.entries = 1e6,
                                 .entry_bytes = 1000,
                                 .page_bytes = 4096,
                                 .scan_entries = 4,
                                 .filter_bits = p->filter_bits,
                                 .filters = OMI_COST_MONKEY,
                                 .prices = omi_cost_prices_default};
    struct omi_shape shape;
    struct omi_cost_tree tree;
    struct omi_cost cost;
    struct omi_tune_input input;
    omi_point_shape(&limits, p, &shape);
    omi_cost_ideal(&shape, &data, &tree);
    omi_cost_of(&data, &tree, &cost);
    omi_tune_input_make(mix, p, tree.count, &cost, 0, 4, &input);
    return input;
}

static void mix_random(struct omi_random *rng, double mix[OMI_TUNE_OPS])
{
    double sum = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        sum += mix[j] = -log(1 - omi_random_unit(rng)) + 0.01;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        mix[j] /= sum;
}

/* Prices of 40 us a page of a get and so on, and, asked for it, something no theory says. */
static double truth(const struct omi_tune_input *in, bool bent)
{
    static const double price[] = {40, 55, 70, 12}, besides[] = {2, 3, 9, 1};
    double sum = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        sum += in->mix[j] * (price[j] * in->cost[j] + besides[j]);
    return bent ? sum * (1 + 0.4 * (in->feature[4] >= 10) - 0.2 * (in->feature[9] >= 40)) : sum;
}

static uint32_t rows_make(struct omi_random *rng, const struct omi_tune_space *space,
                          struct omi_tune_row *rows, uint32_t count, bool bent, double noise)
{
    for (uint32_t i = 0; i < count; i++) {
        double mix[OMI_TUNE_OPS];
        mix_random(rng, mix);
        rows[i].input = input_make(&space->points[omi_random_below(rng, space->count)], mix);
        rows[i].label = truth(&rows[i].input, bent) * exp(noise * gauss(rng));
        rows[i].weight = 1;
    }
    return count;
}

static double model_error(const struct omi_tune_model *m, const struct omi_tune_row *rows,
                          uint32_t count)
{
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        sum += fabs(omi_tune_predict(m, &rows[i].input).log_mean - log(rows[i].label));
    return sum / count;
}

enum { MANY = 2000 };
static struct omi_tune_row rows[MANY], others[500];
static struct omi_tune_model model, again;

Test(tune_model, learns_prices_from_a_few_rows_and_bends_from_many)
{
    struct omi_random rng = {12};
    struct omi_tune_space space;
    cr_assert_eq(omi_space_make(&limits, NULL, &space), OMEN_OK);
    rows_make(&rng, &space, rows, MANY, false, 0);
    rows_make(&rng, &space, others, 500, false, 0);
    cr_assert_eq(omi_tune_fit(rows, 60, 1, NULL, &model), OMEN_OK);
    cr_assert_lt(model_error(&model, others, 500), 0.05);

    rows_make(&rng, &space, rows, MANY, true, 0.05);
    rows_make(&rng, &space, others, 500, true, 0);
    cr_assert_eq(omi_tune_fit(rows, 11, 1, NULL, &model), OMEN_OK);
    cr_assert_eq(model.copy[0].boost.count, 0, "no trees below 12 rows");
    double few = model_error(&model, others, 500);
    cr_assert_eq(omi_tune_fit(rows, 200, 1, NULL, &model), OMEN_OK);
    cr_assert_eq(model.copy[5].boost.count, OMI_BOOST_TREES);
    double some = model_error(&model, others, 500);
    cr_assert_eq(omi_tune_fit(rows, MANY, 1, NULL, &model), OMEN_OK);
    double all = model_error(&model, others, 500);
    cr_assert(few < 0.35 && some < 0.12 && some < few && all < 0.05, "%g, %g, %g", few, some, all);
    omi_space_fini(&space);
}

/* Where trees alone fail: a mix of which there is no row. */
Test(tune_model, carries_over_to_mixes_that_were_never_measured)
{
    struct omi_random rng = {13};
    struct omi_tune_space space;
    const double writes[OMI_TUNE_OPS] = {0.01, 0.01, 0.01, 0.97};
    cr_assert_eq(omi_space_make(&limits, NULL, &space), OMEN_OK);
    rows_make(&rng, &space, rows, MANY, true, 0.05);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < MANY && kept < 400; i++)
        if (rows[i].input.mix[OMI_TUNE_WRITE] < 0.5)
            rows[kept++] = rows[i];
    for (uint32_t i = 0; i < 500; i++) {
        others[i].input = input_make(&space.points[omi_random_below(&rng, space.count)], writes);
        others[i].label = truth(&others[i].input, true);
    }
    cr_assert_eq(omi_tune_fit(rows, kept, 1, NULL, &model), OMEN_OK);
    cr_assert_lt(model_error(&model, others, 500), 0.2);
    omi_space_fini(&space);
}

Test(tune_model, is_less_sure_where_it_knows_less)
{
    struct omi_random rng = {14};
    struct omi_tune_space space;
    cr_assert_eq(omi_space_make(&limits, NULL, &space), OMEN_OK);
    rows_make(&rng, &space, rows, 400, true, 0.2);
    double sd_few = 0, sd_many = 0;
    rows_make(&rng, &space, others, 500, true, 0);
    cr_assert_eq(omi_tune_fit(rows, 15, 1, NULL, &model), OMEN_OK);
    for (int i = 0; i < 500; i++)
        sd_few += omi_tune_predict(&model, &others[i].input).log_sd / 500;
    cr_assert_eq(omi_tune_fit(rows, 400, 1, NULL, &model), OMEN_OK);
    for (int i = 0; i < 500; i++)
        sd_many += omi_tune_predict(&model, &others[i].input).log_sd / 500;
    cr_assert(sd_few > 1.5 * sd_many && sd_many > 0.01, "%g, %g", sd_few, sd_many);
    omi_space_fini(&space);
}

Test(tune_model, without_rows_it_is_the_prior)
{
    static const double prior[TERMS] = {10, 20, 30, 40, 1, 2, 3, 4};
    const double mix[OMI_TUNE_OPS] = {0.25, 0.25, 0.25, 0.25};
    const struct omi_point p = {4, 2, 1, 8, 10};
    struct omi_tune_input in = input_make(&p, mix);
    double plain = 0, priced = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++) {
        plain += mix[j] * in.cost[j];
        priced += mix[j] * (in.cost[j] * prior[j] + prior[4 + j]);
    }
    cr_assert_eq(omi_tune_fit(NULL, 0, 1, NULL, &model), OMEN_OK);
    struct omi_tune_guess g = omi_tune_predict(&model, &in);
    cr_assert(fabs(g.log_mean - log(plain)) < 1e-12 && g.log_sd < 1e-12);
    cr_assert_eq(omi_tune_fit(NULL, 0, 1, prior, &model), OMEN_OK);
    g = omi_tune_predict(&model, &in);
    cr_assert(fabs(g.log_mean - log(priced)) < 1e-12 && g.log_sd < 1e-12);
}

Test(tune_model, rows_that_say_nothing_are_left_out)
{
    struct omi_random rng = {15};
    struct omi_tune_space space;
    cr_assert_eq(omi_space_make(&limits, NULL, &space), OMEN_OK);
    rows_make(&rng, &space, rows, 40, true, 0.1);
    cr_assert_eq(omi_tune_fit(rows, 40, 3, NULL, &model), OMEN_OK);
    memmove(&rows[3], &rows[0], 40 * sizeof(rows[0]));
    rows[0] = rows[1] = rows[2] = rows[10];
    rows[0].label = NAN;
    rows[1].label = 0;
    rows[2].weight = 0;
    cr_assert_eq(omi_tune_fit(rows, 43, 3, NULL, &again), OMEN_OK);
    cr_assert_eq(again.rows, 40);
    cr_assert_eq(memcmp(&model, &again, sizeof(model)), 0);
    omi_space_fini(&space);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void model_random(uint64_t seed, uint32_t count)
{
    struct omi_random rng = {seed};
    struct omi_tune_space space;
    cr_assert_eq(omi_space_make(&limits, NULL, &space), OMEN_OK);
    rows_make(&rng, &space, rows, count, true, 0.1);
    cr_assert_eq(omi_tune_fit(rows, count, seed, NULL, &model), OMEN_OK);
    omi_space_fini(&space);
}

Test(tune_model, the_same_seed_gives_the_same_bytes_and_they_come_back)
{
    static uint8_t a[OMI_TUNE_MODEL_BYTES_MAX], b[OMI_TUNE_MODEL_BYTES_MAX];
    for (uint32_t count = 0; count < 300; count = count * 3 + 5) {
        model_random(count + 1, count);
        size_t size = omi_tune_model_bytes(&model);
        cr_assert_leq(size, OMI_TUNE_MODEL_BYTES_MAX);
        omi_tune_model_encode(&model, a);
        cr_assert_eq(omi_tune_model_decode(a, size, &again), OMEN_OK, "%s", omen_last_error());
        for (uint32_t i = 0; i < count; i++) {
            struct omi_tune_guess x = omi_tune_predict(&model, &rows[i].input);
            struct omi_tune_guess y = omi_tune_predict(&again, &rows[i].input);
            cr_assert(x.log_mean == y.log_mean && x.log_sd == y.log_sd);
        }
        model_random(count + 1, count);
        omi_tune_model_encode(&model, b);
        cr_assert_eq(memcmp(a, b, size), 0);
        cr_assert_eq(omi_tune_fit(rows, count, count + 2, NULL, &model), OMEN_OK);
        omi_tune_model_encode(&model, b);
        cr_assert(count == 0 || memcmp(a + 24, b + 24, size - 24) != 0, "another seed");
    }
}

Test(tune_model, damaged_bytes_are_told)
{
    static uint8_t a[OMI_TUNE_MODEL_BYTES_MAX + 1];
    model_random(3, 30);
    size_t size = omi_tune_model_bytes(&model);
    omi_tune_model_encode(&model, a);
    for (size_t i = 0; i < size; i++) {
        a[i] ^= (uint8_t)(1 << i % 8);
        cr_assert_eq(omi_tune_model_decode(a, size, &again), OMEN_CORRUPT, "byte %zu", i);
        a[i] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t cut = 0; cut < size; cut += cut < 64 ? 1 : 97)
        cr_assert_eq(omi_tune_model_decode(a, cut, &again), OMEN_CORRUPT, "%zu bytes", cut);
    cr_assert_eq(omi_tune_model_decode(a, size + 1, &again), OMEN_CORRUPT);
    a[4] = 2;
    omi_put_u64(a + size - 8, omi_checksum(a, size - 8, 0));
    cr_assert_eq(omi_tune_model_decode(a, size, &again), OMEN_UNSUPPORTED);
}

/* Numbers out of range behind a right checksum: refused, and what is taken can be asked. */
Test(tune_model, hostile_bytes_do_no_harm)
{
    static uint8_t a[OMI_TUNE_MODEL_BYTES_MAX], b[OMI_TUNE_MODEL_BYTES_MAX];
    struct omi_random rng = {77};
    model_random(4, 30);
    struct omi_tune_input in = rows[0].input;
    size_t size = omi_tune_model_bytes(&model), taken = 0, refused = 0;
    omi_tune_model_encode(&model, a);
    for (int round = 0; round < 4000; round++) {
        memcpy(b, a, size);
        for (uint64_t k = omi_random_below(&rng, 4) + 1; k > 0; k--) {
            size_t at =
                16 + omi_random_below(&rng, omi_random_below(&rng, 2) == 0 ? 90 : size - 24);
            b[at] = (uint8_t)omi_random_next(&rng);
        }
        size_t cut = omi_random_below(&rng, 8) == 0 ? 32 + omi_random_below(&rng, size - 32) : size;
        omi_put_u64(b + cut - 8, omi_checksum(b, cut - 8, 0));
        if (omi_tune_model_decode(b, cut, &again) == OMEN_OK) {
            struct omi_tune_guess g = omi_tune_predict(&again, &in);
            cr_assert(isfinite(g.log_mean) && isfinite(g.log_sd));
            taken++;
        } else {
            refused++;
        }
    }
    cr_assert(taken > 100 && refused > 100, "%zu, %zu", taken, refused);
}

/* Made by arithmetic that is the same everywhere. */
static void model_golden(struct omi_tune_model *m)
{
    *m = (struct omi_tune_model){.seed = 0x123456789abcdef0, .rows = 144};
    for (int c = 0; c < OMI_TUNE_COPIES; c++) {
        struct omi_tune_copy *copy = &m->copy[c];
        copy->scale = 0.5 + c;
        for (int j = 0; j < OMI_RIDGE_TERMS; j++)
            copy->coef[j] = 0.25 * (j + 1) + c;
        copy->boost.count = (uint32_t)c;
        for (int t = 0; t < c; t++)
            for (int i = 0; i < OMI_BOOST_LEAVES; i++) {
                struct omi_boost_tree *tree = &copy->boost.tree[t];
                if (i < OMI_BOOST_NODES) {
                    tree->feature[i] = (uint8_t)(i == c ? OMI_BOOST_NO_SPLIT : (i + 2 * t) % 12);
                    tree->threshold[i] = (float)(i + t) * 0.5f;
                }
                tree->leaf[i] = (float)(i - 4) / 16;
            }
    }
}

/* The format as it was when it was called 1: tests/golden/tune-model-1, in tests/golden.sh's company. */
Test(tune_model, golden_bytes_are_read_and_written_as_ever)
{
    static uint8_t file[OMI_TUNE_MODEL_BYTES_MAX], made[OMI_TUNE_MODEL_BYTES_MAX];
    model_golden(&model);
    size_t size = omi_tune_model_bytes(&model);
    omi_tune_model_encode(&model, made);
    const char *out = getenv("TUNE_MODEL_OUT"); /* to make a new format's */
    FILE *f = fopen(out != NULL ? out : "tests/golden/tune-model-1", out != NULL ? "wb" : "rb");
    cr_assert_not_null(f, "run from the top of the tree");
    if (out != NULL)
        cr_assert_eq(fwrite(made, 1, size, f), size);
    else
        cr_assert_eq(fread(file, 1, sizeof(file), f), size);
    fclose(f);
    cr_assert(out != NULL || memcmp(file, made, size) == 0);
    cr_assert_eq(omi_tune_model_decode(made, size, &again), OMEN_OK);
    struct omi_tune_input in = {.mix = {0.25, 0.25, 0.25, 0.25},
                                .cost = {0.5, 1, 8, 4},
                                .feature = {0.25f, 0.25f, 0.25f, 0.25f, 6, 4, 4, 1, 10, 20, 0, 4}};
    struct omi_tune_guess guess = omi_tune_predict(&again, &in);
    cr_assert(fabs(guess.log_mean - 2.5740573) < 1e-6 && fabs(guess.log_sd - 0.6943150) < 1e-6,
              "%.6f, %.6f", guess.log_mean, guess.log_sd);
}

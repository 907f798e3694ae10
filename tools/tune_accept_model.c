/*
 * tune_accept_model.c - A10: what the cost model says of an operation's blocks beside what the engine
 * counts; A11: what the learned model says of a workload that it was not fitted on.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/tune_accept.h"

static int compare_f64(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts. share: 0.5 the median. */
static double percentile(double *values, uint32_t count, double share)
{
    if (count == 0)
        return NAN;
    qsort(values, count, sizeof(*values), compare_f64);
    uint32_t at = (uint32_t)(share * (count - 1) + 0.5);
    return values[at];
}

/* ---- A10 ------------------------------------------------------------------------------------- */

enum { SHAPES_MAX = 16, BLOCK_BITS = 10 };

struct named_shape {
    struct omi_point point;
    const char *name;
};

/* Leveling, tiering and lazy leveling for each T; at T 2 they are one. */
static uint32_t shapes_list(bool is_short, struct named_shape *out)
{
    static const uint16_t ratios[] = {2, 4, 8, 10};
    uint32_t count = 0;
    for (int i = is_short ? 1 : 0; i < 4; i += is_short ? 2 : 1) {
        uint16_t t = ratios[i], all = (uint16_t)(t - 1);
        out[count++] = (struct named_shape){{t, 1, 1, BLOCK_BITS, 0}, "leveling"};
        if (t == 2)
            continue;
        out[count++] = (struct named_shape){{t, all, all, BLOCK_BITS, 0}, "tiering"};
        if (!is_short)
            out[count++] = (struct named_shape){{t, all, 1, BLOCK_BITS, 0}, "lazy leveling"};
    }
    return count;
}

/* Many lookups of absent keys: few of them read anything. */
static bool blocks_workload(const struct omt_accept *a, struct omi_workload *w)
{
    omen_err err = omi_workload_named("W1", w);
    if (err != OMEN_OK) {
        omt_tell("tune accept", err);
        return false;
    }
    snprintf(w->name, sizeof(w->name), "blocks");
    const double mix[OMI_TUNE_OPS] = {0.6, 0.2, 0.1, 0.1};
    memcpy(w->phase[0].from, mix, sizeof(mix));
    memcpy(w->phase[0].to, mix, sizeof(mix));
    w->phase[0].ops = a->is_short ? 20000 : 40000;
    w->entries = a->is_short ? 20000 : 100000;
    if (a->is_short)
        w->memory_bits = 62;
    return true;
}

static void blocks_compare(const struct omt_accept *a, const struct named_shape *p,
                           const struct omi_cost *cost, const struct omt_label *label,
                           double *errors, uint32_t *count)
{
    omt_accept_say(a, "T %-3u %-14s", p->point.size_ratio, p->name);
    for (int op = 0; op < OMI_TUNE_OPS; op++) {
        double seen = label->pages[op], said = cost->pages[op];
        if (seen <= 0) {
            omt_accept_say(a, " %17s", "-");
            continue;
        }
        errors[(*count)++] = fabs(said / seen - 1);
        omt_accept_say(a, " %6.3f %6.3f %+3.0f%%", said, seen, 100 * (said / seen - 1));
    }
    omt_accept_say(a, "\n");
}

bool omt_accept_a10(struct omt_accept *a, struct omt_row *row)
{
    struct named_shape shapes[SHAPES_MAX];
    uint32_t count = shapes_list(a->is_short, shapes), errors = 0;
    double error[SHAPES_MAX * OMI_TUNE_OPS];
    struct omt_campaign_config *config = omt_realloc(NULL, sizeof(*config));
    char dir[OMT_TUNE_PATH];
    struct omt_measure_options options = a->options;
    struct omt_pool pool = {0};
    memset(config, 0, sizeof(*config));
    config->prices = omi_cost_prices_default;
    config->seed = a->seed;
    config->workload_count = 1;
    options.run.by_kind = true;
    bool good = blocks_workload(a, &config->workload[0]) && omt_accept_dir(a, "blocks", dir) &&
                omt_pool_open(&pool, NULL, config, dir, &options);
    struct omt_wish wishes[SHAPES_MAX];
    const struct omt_label *labels[SHAPES_MAX];
    for (uint32_t i = 0; i < count; i++) {
        wishes[i] = (struct omt_wish){.point = shapes[i].point};
        snprintf(wishes[i].method, sizeof(wishes[i].method), "blocks");
    }
    good = good && omt_pool_labels(&pool, wishes, count, labels);
    omt_accept_say(a, "blocks, said and seen:  %17s %17s %17s %17s\n", "absent", "present", "scan",
                   "write");
    for (uint32_t i = 0; i < count && good; i++) {
        struct omi_tune_workload workload;
        struct omi_cost_tree tree;
        struct omi_cost cost;
        omi_tune_workload_of(&config->workload[0], &config->prices, &workload);
        omen_err err = omi_theory_cost(&workload, &shapes[i].point, &tree, &cost);
        if (err != OMEN_OK) {
            omt_tell("tune accept", err);
            good = false;
            break;
        }
        blocks_compare(a, &shapes[i], &cost, labels[i], error, &errors);
    }
    if (pool.config != NULL)
        good = omt_pool_close(&pool) && good;
    row->figure[0] = (struct omt_figure){
        "median error", OMT_PER_CENT, false, percentile(error, errors, 0.5), 0.10, 0.07};
    row->figure[1] = (struct omt_figure){
        "90th percentile", OMT_PER_CENT, false, percentile(error, errors, 0.9), 0.25, 0.15};
    row->count = 2;
    snprintf(row->note, sizeof(row->note),
             "%" PRIu32 " figures of %" PRIu32 " shapes, %" PRIu64 " entries", errors, count,
             config->workload[0].entries);
    free(config);
    return good;
}

/* ---- A11 ------------------------------------------------------------------------------------- */

enum label_kind { LABEL_IO, LABEL_WALL, LABEL_KINDS };

struct fitted_row {
    struct omi_tune_row row;
    uint32_t workload;
};

static double label_of(const struct omt_label *label, enum label_kind kind)
{
    return kind == LABEL_IO ? label->j_io : label->wall.j_us;
}

/* Every recorded label as the model sees it. */
static bool rows_make(struct omt_accept *a, enum label_kind kind, struct fitted_row *rows,
                      uint32_t *count)
{
    const struct omt_campaign *c = a->pool.recorded != NULL ? a->pool.recorded : &a->pool.live;
    struct omi_theory theory = {0};
    bool good = true;
    *count = 0;
    for (uint32_t w = 0; w < c->config.workload_count && good; w++) {
        struct omi_tune_workload workload;
        omi_tune_workload_of(&c->config.workload[w], &c->config.prices, &workload);
        if (w == 0 || !omi_theory_same(&theory.data, &workload.data)) {
            omi_theory_fini(&theory);
            omi_theory_init(&theory, &workload.data);
        }
        for (uint32_t i = 0; i < c->label_count && good; i++) {
            const struct omt_label *label = &c->labels[i];
            struct omi_shape shape;
            struct omi_cost_tree tree;
            struct omi_cost cost;
            if (strcmp(label->workload, c->config.workload[w].name) != 0 ||
                !(label_of(label, kind) > 0))
                continue;
            omi_point_shape(&workload.limits, &label->point, &shape);
            omen_err err = omi_theory_tree(&theory, &shape, &tree);
            good = err == OMEN_OK;
            if (!good) {
                omt_tell("tune accept", err);
                break;
            }
            omi_theory_cost_of(&workload, &label->point, &tree, &cost);
            struct fitted_row *row = &rows[(*count)++];
            *row = (struct fitted_row){.row = {.label = label_of(label, kind), .weight = 1},
                                       .workload = w};
            omi_tune_input_make(workload.mix, &label->point, tree.count, &cost, workload.skew,
                                workload.data.scan_entries, &row->row.input);
        }
    }
    omi_theory_fini(&theory);
    return good;
}

/* Mean absolute error over the rows of workload out, fitted on all others; NAN: it has none. */
static bool left_out_error(const struct omt_accept *a, const struct fitted_row *rows,
                           uint32_t count, uint32_t out, struct omi_tune_row *others,
                           double *error_out)
{
    struct omi_tune_model *model = omt_realloc(NULL, sizeof(*model));
    uint32_t kept = 0, tested = 0;
    double sum = 0;
    for (uint32_t i = 0; i < count; i++)
        if (rows[i].workload != out)
            others[kept++] = rows[i].row;
    omen_err err = omi_tune_fit(others, kept, a->seed, NULL, model);
    for (uint32_t i = 0; i < count && err == OMEN_OK; i++)
        if (rows[i].workload == out) {
            struct omi_tune_guess guess = omi_tune_predict(model, &rows[i].row.input);
            sum += fabs(exp(guess.log_mean) / rows[i].row.label - 1);
            tested++;
        }
    free(model);
    if (err != OMEN_OK) {
        omt_tell("tune accept", err);
        return false;
    }
    *error_out = tested != 0 ? sum / tested : NAN;
    return true;
}

static bool kind_error(struct omt_accept *a, enum label_kind kind, struct omt_spread *spread_out)
{
    const struct omt_campaign *c = a->pool.recorded != NULL ? a->pool.recorded : &a->pool.live;
    struct fitted_row *rows = omt_realloc(NULL, (c->label_count + 1) * sizeof(*rows));
    struct omi_tune_row *others = omt_realloc(NULL, (c->label_count + 1) * sizeof(*others));
    double error[OMT_WORKLOADS_MAX];
    uint32_t count = 0, used = 0;
    bool good = rows_make(a, kind, rows, &count);
    omt_accept_say(a, "%-7s", kind == LABEL_IO ? "J_io" : "J_wall");
    for (uint32_t w = 0; w < c->config.workload_count && good; w++) {
        good = left_out_error(a, rows, count, w, others, &error[used]);
        if (good && isfinite(error[used])) {
            omt_accept_say(a, " %s %.1f%%", c->config.workload[w].name, 100 * error[used]);
            used++;
        }
    }
    omt_accept_say(a, "\n");
    *spread_out = omt_spread_of(error, used);
    if (used == 0)
        spread_out->mean = NAN;
    free(others);
    free(rows);
    return good;
}

bool omt_accept_a11(struct omt_accept *a, struct omt_row *row)
{
    struct omt_spread io, wall;
    if (!omt_accept_pool(a) || !kind_error(a, LABEL_IO, &io) || !kind_error(a, LABEL_WALL, &wall))
        return false;
    row->figure[0] =
        (struct omt_figure){"mean error J_io", OMT_PER_CENT, false, io.mean, 0.12, 0.08};
    row->figure[1] = (struct omt_figure){"J_wall", OMT_PER_CENT, false, wall.mean, 0.20, 0.15};
    row->count = isfinite(wall.mean) ? 2 : 1; /* labels kept without what the clock said */
    snprintf(row->note, sizeof(row->note),
             "mean over %" PRIu32 " workloads, each left out in turn; worst %.1f %%", io.count,
             100 * io.max);
    return true;
}

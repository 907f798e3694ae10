/*
 * tune_report_runs.c - what single runs say: predictions, T and K, amplification, slow operations,
 * blocks by kind.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compaction/tune_theory.h"
#include "tools/svg_charts.h"
#include "tools/text.h"
#include "tools/tune_explain.h"
#include "tools/tune_report.h"

static uint32_t workload_index(const struct omt_report *r, const struct omt_label *label)
{
    uint32_t w = 0;
    while (w < r->count && strcmp(r->workloads[w].name, label->workload) != 0)
        w++;
    return w;
}

static int compare_f64(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts. */
static double median_of(double *values, uint32_t count)
{
    if (count == 0)
        return NAN;
    qsort(values, count, sizeof(*values), compare_f64);
    return values[count / 2];
}

/* ---- predicted against measured ----------------------------------------------------------------- */

bool omt_scatter_has(const struct omt_report *r)
{
    for (uint32_t i = 0; i < r->c.label_count; i++)
        if (isfinite(r->predicted[i]))
            return true;
    return false;
}

/* Median error and share within 10 % of the runs of a workload (count: of all). */
static double errors_of(const struct omt_report *r, uint32_t workload, double *within_out,
                        uint32_t *count_out)
{
    double *error = omt_realloc(NULL, (r->c.label_count + 1) * sizeof(*error));
    uint32_t count = 0, within = 0;
    for (uint32_t i = 0; i < r->c.label_count; i++) {
        const struct omt_label *label = &r->c.labels[i];
        if (!isfinite(r->predicted[i]) || !(label->j_io > 0) ||
            (workload != r->count && workload_index(r, label) != workload))
            continue;
        double e = fabs(r->predicted[i] / label->j_io - 1);
        within += e <= 0.1;
        error[count++] = e;
    }
    double median = median_of(error, count);
    free(error);
    *within_out = count != 0 ? (double)within / count : NAN;
    *count_out = count;
    return median;
}

void omt_scatter_finding(const struct omt_report *r, char text[static OMT_FINDING])
{
    double within;
    uint32_t count;
    double median = errors_of(r, r->count, &within, &count);
    snprintf(text, OMT_FINDING,
             "%s is within 10 %% of the measurement for %.0f %% of %u runs; the median error is "
             "%.1f %%",
             r->predicted_by_model ? "The model" : "The theory, with nothing fitted,", 100 * within,
             count, 100 * median);
}

void omt_scatter_chart(const struct omt_report *r, FILE *out, const char *title)
{
    struct omt_mark *marks = omt_realloc(NULL, (r->c.label_count + 1) * sizeof(*marks));
    char(*tips)[160] = omt_realloc(NULL, (r->c.label_count + 1) * sizeof(*tips));
    const char *names[OMT_WORKLOADS_MAX];
    uint32_t count = 0;
    for (uint32_t w = 0; w < r->count; w++)
        names[w] = r->workloads[w].name;
    for (uint32_t i = 0; i < r->c.label_count; i++) {
        const struct omt_label *label = &r->c.labels[i];
        char shape[OMT_SHAPE_TEXT];
        if (!isfinite(r->predicted[i]))
            continue;
        snprintf(tips[count], sizeof(tips[count]), "%s, %s: %.3f predicted, %.3f measured",
                 label->workload, omt_shape_text(shape, &label->point), r->predicted[i],
                 label->j_io);
        marks[count] =
            (struct omt_mark){r->predicted[i], label->j_io, workload_index(r, label), tips[count]};
        count++;
    }
    omt_chart_scatter(out, &(struct omt_scatter){.title = title,
                                                 .desc = "Each run: J_io predicted and measured",
                                                 .x_label = "predicted J_io, page reads an "
                                                            "operation",
                                                 .y_label = "measured J_io, page reads an "
                                                            "operation",
                                                 .marks = marks,
                                                 .count = count,
                                                 .series_names = names,
                                                 .series = r->count,
                                                 .band = 0.1});
    free(tips);
    free(marks);
}

void omt_scatter_table(const struct omt_report *r, FILE *out, enum omt_doc_form form)
{
    static const char *const heads[] = {"workload", "runs", "median error", "within 10 %"};
    struct omt_doc_table t;
    omt_doc_table_begin(&t, out, form, heads, 4, 1);
    for (uint32_t w = 0; w < r->count; w++) {
        double within;
        uint32_t count;
        double median = errors_of(r, w, &within, &count);
        omt_doc_text(&t, r->workloads[w].name);
        omt_doc_number(&t, count, 0);
        omt_doc_percent(&t, median, 1);
        omt_doc_percent(&t, within, 0);
    }
    omt_doc_table_end(&t);
}

/* ---- T against K -------------------------------------------------------------------------------- */

enum { RATIOS_MAX = 12 };

struct heat {
    uint16_t ratio[RATIOS_MAX];
    uint32_t ratios;
    char name[RATIOS_MAX][8];
    double (*value)[RATIOS_MAX * OMT_POLICIES]; /* of each workload, ratios x policies */
};

/* The order in which K grows. */
static const enum omt_policy heat_columns[OMT_POLICIES] = {OMT_LEVELING, OMT_BETWEEN, OMT_LAZY,
                                                           OMT_TIERING};
static const char *const heat_names[OMT_POLICIES] = {"1", "between", "lazy", "T-1"};

static uint32_t ratio_index(struct heat *h, uint16_t ratio)
{
    uint32_t at = 0;
    while (at < h->ratios && h->ratio[at] < ratio)
        at++;
    if (at < h->ratios && h->ratio[at] == ratio)
        return at;
    if (h->ratios == RATIOS_MAX)
        return RATIOS_MAX;
    for (uint32_t i = h->ratios++; i > at; i--)
        h->ratio[i] = h->ratio[i - 1];
    h->ratio[at] = ratio;
    return at;
}

static void heat_make(const struct omt_report *r, struct heat *h)
{
    *h = (struct heat){0};
    h->value = omt_realloc(NULL, (r->count + 1) * sizeof(*h->value));
    for (uint32_t w = 0; w < r->count; w++)
        for (int i = 0; i < RATIOS_MAX * OMT_POLICIES; i++)
            h->value[w][i] = NAN;
    for (uint32_t i = 0; i < r->c.label_count; i++)
        ratio_index(h, r->c.labels[i].point.size_ratio);
    for (uint32_t i = 0; i < h->ratios; i++)
        snprintf(h->name[i], sizeof(h->name[i]), "%u", h->ratio[i]);
    for (uint32_t i = 0; i < r->c.label_count; i++) {
        const struct omt_label *label = &r->c.labels[i];
        uint32_t w = workload_index(r, label), row = ratio_index(h, label->point.size_ratio);
        uint32_t column = 0;
        if (w == r->count || row == RATIOS_MAX)
            continue;
        while (heat_columns[column] != omt_policy_of(&label->point))
            column++;
        double *cell = &h->value[w][row * OMT_POLICIES + column];
        if (!(*cell <= label->j_io)) /* NAN too */
            *cell = label->j_io;
    }
}

bool omt_heat_has(const struct omt_report *r)
{
    struct heat h;
    heat_make(r, &h);
    free(h.value);
    return h.ratios > 1;
}

/* Dearest over cheapest cell. */
static double heat_span(const struct heat *h, uint32_t w)
{
    double low = INFINITY, high = 0;
    for (uint32_t i = 0; i < h->ratios * OMT_POLICIES; i++)
        if (isfinite(h->value[w][i])) {
            low = h->value[w][i] < low ? h->value[w][i] : low;
            high = h->value[w][i] > high ? h->value[w][i] : high;
        }
    return high / low;
}

void omt_heat_finding(const struct omt_report *r, char text[static OMT_FINDING])
{
    struct heat h;
    uint32_t most = 0, least = 0;
    heat_make(r, &h);
    for (uint32_t w = 0; w < r->count; w++) {
        most = heat_span(&h, w) > heat_span(&h, most) ? w : most;
        least = heat_span(&h, w) < heat_span(&h, least) ? w : least;
    }
    snprintf(text, OMT_FINDING,
             "T and K together decide over %.1fx of the cost on %s, and over %.1fx on %s",
             heat_span(&h, most), r->workloads[most].name, heat_span(&h, least),
             r->workloads[least].name);
    free(h.value);
}

void omt_heat_chart(const struct omt_report *r, FILE *out, const char *title)
{
    struct heat h;
    struct omt_heat panels[OMT_WORKLOADS_MAX];
    const char *rows[RATIOS_MAX];
    heat_make(r, &h);
    for (uint32_t i = 0; i < h.ratios; i++)
        rows[i] = h.name[i];
    for (uint32_t w = 0; w < r->count; w++)
        panels[w] = (struct omt_heat){r->workloads[w].name, "T",  "K",        h.ratios,
                                      OMT_POLICIES,         rows, heat_names, h.value[w]};
    omt_chart_heat_panels(out, title, "The lowest J_io with each T and K, by workload", panels,
                          r->count, 4);
    free(h.value);
}

void omt_heat_table(const struct omt_report *r, FILE *out, enum omt_doc_form form)
{
    static const char *const heads[] = {"workload", "T", "K 1", "K between", "K lazy", "K T-1"};
    struct omt_doc_table t;
    struct heat h;
    heat_make(r, &h);
    omt_doc_table_begin(&t, out, form, heads, 6, 1);
    for (uint32_t w = 0; w < r->count; w++)
        for (uint32_t i = 0; i < h.ratios; i++) {
            omt_doc_text(&t, r->workloads[w].name);
            omt_doc_number(&t, h.ratio[i], 0);
            for (int k = 0; k < OMT_POLICIES; k++)
                omt_doc_number(&t, h.value[w][i * OMT_POLICIES + (uint32_t)k], 3);
        }
    omt_doc_table_end(&t);
    free(h.value);
}

/* ---- amplification ------------------------------------------------------------------------------ */

static bool amp_of(const struct omt_report_workload *w, double values[2][3])
{
    if (w->standard == NULL || w->best == NULL)
        return false;
    const struct omt_label *labels[2] = {w->standard, w->best};
    for (int i = 0; i < 2; i++) {
        values[i][0] = labels[i]->write_amp;
        values[i][1] = labels[i]->read_amp;
        values[i][2] = labels[i]->space_amp;
    }
    return true;
}

bool omt_amp_has(const struct omt_report *r)
{
    double values[2][3];
    for (uint32_t w = 0; w < r->count; w++)
        if (amp_of(&r->workloads[w], values))
            return true;
    return false;
}

void omt_amp_finding(const struct omt_report *r, char text[static OMT_FINDING])
{
    double worst = 0, from = 0, to = 0;
    uint32_t where = 0, count = 0, less[3] = {0};
    for (uint32_t w = 0; w < r->count; w++) {
        double v[2][3];
        if (!amp_of(&r->workloads[w], v))
            continue;
        count++;
        for (int a = 0; a < 3; a++)
            less[a] += v[1][a] <= v[0][a];
        if (v[1][2] - v[0][2] > worst) {
            worst = v[1][2] - v[0][2];
            from = v[0][2];
            to = v[1][2];
            where = w;
        }
    }
    int n = snprintf(text, OMT_FINDING,
                     "The cheapest shape writes less than what ships on %u of %u workloads, reads "
                     "less on %u, takes less space on %u",
                     less[0], count, less[1], less[2]);
    if (worst > 0.05)
        snprintf(text + n, OMT_FINDING - (size_t)n, "; space is given up most on %s: %.2f to %.2f",
                 r->workloads[where].name, from, to);
}

void omt_amp_chart(const struct omt_report *r, FILE *out, const char *title)
{
    static const char *const axes[3] = {"write amplification", "blocks a read",
                                        "space amplification"};
    static const char *const series[2] = {"default", "cheapest measured"};
    double(*values)[2][3] = omt_realloc(NULL, (r->count + 1) * sizeof(*values));
    struct omt_triangles panels[OMT_WORKLOADS_MAX];
    uint32_t count = 0;
    for (uint32_t w = 0; w < r->count; w++)
        if (amp_of(&r->workloads[w], values[count])) {
            const double(*of)[3] = (const double(*)[3])values[count];
            panels[count++] = (struct omt_triangles){r->workloads[w].name, 2, of};
        }
    omt_chart_triangle_panels(out, title,
                              "Write, read and space amplification of what ships and of the "
                              "cheapest point, by workload",
                              axes, series, 2, panels, count, 4);
    free(values);
}

void omt_amp_table(const struct omt_report *r, FILE *out, enum omt_doc_form form)
{
    static const char *const heads[] = {"workload",      "write, default", "write, best",
                                        "read, default", "read, best",     "space, default",
                                        "space, best"};
    struct omt_doc_table t;
    omt_doc_table_begin(&t, out, form, heads, 7, 1);
    for (uint32_t w = 0; w < r->count; w++) {
        double v[2][3];
        if (!amp_of(&r->workloads[w], v))
            continue;
        omt_doc_text(&t, r->workloads[w].name);
        for (int a = 0; a < 3; a++)
            for (int i = 0; i < 2; i++)
                omt_doc_number(&t, v[i][a], 2);
    }
    omt_doc_table_end(&t);
}

/* ---- slow operations ---------------------------------------------------------------------------- */

static int tail_kind(const struct omt_label *label)
{
    int kind = 0;
    for (int k = 1; k < OMT_OP_KINDS; k++)
        if (label->ops[k] > label->ops[kind])
            kind = k;
    return kind;
}

static bool tail_of(const struct omt_report_workload *w)
{
    return w->standard != NULL && w->best != NULL &&
           w->standard->wall.latency_us[tail_kind(w->standard)][0] > 0 &&
           w->best->wall.latency_us[tail_kind(w->standard)][0] > 0;
}

bool omt_tail_has(const struct omt_report *r)
{
    for (uint32_t w = 0; w < r->count; w++)
        if (tail_of(&r->workloads[w]))
            return true;
    return false;
}

void omt_tail_finding(const struct omt_report *r, char text[static OMT_FINDING])
{
    uint32_t better = 0, count = 0;
    for (uint32_t w = 0; w < r->count; w++) {
        const struct omt_report_workload *rw = &r->workloads[w];
        if (!tail_of(rw))
            continue;
        int kind = tail_kind(rw->standard);
        count++;
        better += rw->best->wall.latency_us[kind][2] <= rw->standard->wall.latency_us[kind][2];
    }
    snprintf(text, OMT_FINDING,
             "The slowest hundredth of operations is no slower with the cheapest shape on %u of %u "
             "workloads",
             better, count);
}

static const double tail_one_in[4] = {2, 20, 100, 1000};

void omt_tail_chart(const struct omt_report *r, FILE *out, const char *title)
{
    struct omt_curves panels[OMT_WORKLOADS_MAX];
    struct omt_curve(*curves)[2] = omt_realloc(NULL, (r->count + 1) * sizeof(*curves));
    char(*titles)[64] = omt_realloc(NULL, (r->count + 1) * sizeof(*titles));
    uint32_t count = 0;
    for (uint32_t w = 0; w < r->count; w++) {
        const struct omt_report_workload *rw = &r->workloads[w];
        if (!tail_of(rw))
            continue;
        int kind = tail_kind(rw->standard);
        snprintf(titles[count], sizeof(titles[count]), "%s: %s", rw->name, omt_op_name(kind));
        curves[count][0] = (struct omt_curve){
            "default", 0, 4, tail_one_in, rw->standard->wall.latency_us[kind], NULL, NULL};
        curves[count][1] = (struct omt_curve){
            "cheapest measured", 1, 4, tail_one_in, rw->best->wall.latency_us[kind], NULL, NULL};
        panels[count] = (struct omt_curves){.title = titles[count],
                                            .x_label = "one in",
                                            .y_label = "us",
                                            .x_log = true,
                                            .y_log = true,
                                            .curves = curves[count],
                                            .count = 2,
                                            .rule = NAN};
        count++;
    }
    omt_chart_curve_panels(out, title, "Latency that one in so many operations exceeds", panels,
                           count, 4);
    free(titles);
    free(curves);
}

void omt_tail_table(const struct omt_report *r, FILE *out, enum omt_doc_form form)
{
    static const char *const heads[] = {"workload", "operation", "shape",   "p50 us",
                                        "p95 us",   "p99 us",    "p99.9 us"};
    struct omt_doc_table t;
    omt_doc_table_begin(&t, out, form, heads, 7, 3);
    for (uint32_t w = 0; w < r->count; w++) {
        const struct omt_report_workload *rw = &r->workloads[w];
        for (int i = 0; i < 2 && tail_of(rw); i++) {
            const struct omt_label *label = i == 0 ? rw->standard : rw->best;
            int kind = tail_kind(rw->standard);
            omt_doc_text(&t, rw->name);
            omt_doc_text(&t, omt_op_name(kind));
            omt_doc_text(&t, i == 0 ? "default" : "cheapest");
            for (int p = 0; p < 4; p++)
                omt_doc_number(&t, label->wall.latency_us[kind][p], 1);
        }
    }
    omt_doc_table_end(&t);
}

/* ---- blocks by kind ----------------------------------------------------------------------------- */

static const char *const block_kinds[OMI_TUNE_OPS] = {"lookup, absent", "lookup, present", "scan",
                                                      "write"};

bool omt_blocks_has(const struct omt_report *r)
{
    for (uint32_t i = 0; i < r->c.label_count; i++)
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            if (r->c.labels[i].pages[op] > 0)
                return true;
    return false;
}

/* What the cost model says of a label's operations. */
static bool blocks_said(const struct omt_report *r, const struct omt_label *label,
                        struct omi_cost *cost_out)
{
    uint32_t w = workload_index(r, label);
    struct omi_tune_workload workload;
    struct omi_cost_tree tree;
    if (w == r->count)
        return false;
    omi_tune_workload_of(&r->c.config.workload[w], &r->c.config.prices, &workload);
    return omi_theory_cost(&workload, &label->point, &tree, cost_out) == OMEN_OK;
}

void omt_blocks_finding(const struct omt_report *r, char text[static OMT_FINDING])
{
    double *error = omt_realloc(NULL, (r->c.label_count + 1) * OMI_TUNE_OPS * sizeof(*error));
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->c.label_count; i++) {
        struct omi_cost cost;
        if (!blocks_said(r, &r->c.labels[i], &cost))
            continue;
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            if (r->c.labels[i].pages[op] > 0)
                error[count++] = fabs(cost.pages[op] / r->c.labels[i].pages[op] - 1);
    }
    double median = median_of(error, count);
    double high = count != 0 ? error[count * 9 / 10] : NAN;
    free(error);
    snprintf(text, OMT_FINDING,
             "The cost model's blocks are within %.1f %% of the engine's in the median of %u "
             "figures, nine in ten within %.0f %%",
             100 * median, count, 100 * high);
}

void omt_blocks_chart(const struct omt_report *r, FILE *out, const char *title)
{
    struct omt_mark *marks =
        omt_realloc(NULL, (r->c.label_count + 1) * OMI_TUNE_OPS * sizeof(*marks));
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->c.label_count; i++) {
        struct omi_cost cost;
        if (!blocks_said(r, &r->c.labels[i], &cost))
            continue;
        for (unsigned op = 0; op < OMI_TUNE_OPS; op++)
            if (r->c.labels[i].pages[op] > 0)
                marks[count++] =
                    (struct omt_mark){cost.pages[op], r->c.labels[i].pages[op], op, NULL};
    }
    omt_chart_scatter(out, &(struct omt_scatter){.title = title,
                                                 .desc = "Blocks of an operation by the cost model "
                                                         "and by the engine's counters",
                                                 .x_label = "blocks an operation, cost model",
                                                 .y_label = "blocks an operation, engine",
                                                 .marks = marks,
                                                 .count = count,
                                                 .series_names = block_kinds,
                                                 .series = OMI_TUNE_OPS,
                                                 .band = 0.1});
    free(marks);
}

void omt_blocks_table(const struct omt_report *r, FILE *out, enum omt_doc_form form)
{
    static const char *const heads[] = {"workload",   "shape",  "entries", "operation",
                                        "cost model", "engine", "error"};
    struct omt_doc_table t;
    omt_doc_table_begin(&t, out, form, heads, 7, 4);
    for (uint32_t i = 0; i < r->c.label_count; i++) {
        const struct omt_label *label = &r->c.labels[i];
        char shape[OMT_SHAPE_TEXT], entries[24];
        struct omi_cost cost;
        if (!blocks_said(r, label, &cost))
            continue;
        snprintf(entries, sizeof(entries), "%llu", (unsigned long long)label->entries);
        for (int op = 0; op < OMI_TUNE_OPS; op++) {
            if (!(label->pages[op] > 0))
                continue;
            omt_doc_text(&t, label->workload);
            omt_doc_text(&t, omt_shape_text(shape, &label->point));
            omt_doc_text(&t, entries);
            omt_doc_text(&t, block_kinds[op]);
            omt_doc_number(&t, cost.pages[op], 3);
            omt_doc_number(&t, label->pages[op], 3);
            omt_doc_percent(&t, cost.pages[op] / label->pages[op] - 1, 1);
        }
    }
    omt_doc_table_end(&t);
}

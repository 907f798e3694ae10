/*
 * tune_report_sections.c - what was chosen: methods and policies by workload, regret by samples; and
 * the list of all sections.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/svg_charts.h"
#include "tools/text.h"
#include "tools/tune_explain.h"
#include "tools/tune_report.h"

/* ---- methods: cost of each method's choice, what ships being 1 --------------------------------- */

static bool methods_has(const struct omt_report *r)
{
    for (uint32_t w = 0; w < r->count; w++)
        if (r->workloads[w].standard != NULL && r->workloads[w].best != NULL)
            return true;
    return false;
}

static double method_value(const struct omt_report *r, uint32_t w, uint32_t series)
{
    const struct omt_report_workload *rw = &r->workloads[w];
    if (rw->standard == NULL)
        return NAN;
    double base = rw->standard->j_io;
    if (series == 0)
        return 1;
    if (series <= r->method_count)
        return rw->method[series - 1] / base;
    return rw->best->j_io / base;
}

static uint32_t method_series(const struct omt_report *r, const char *names[OMT_METHODS_MAX + 2])
{
    uint32_t count = 0;
    names[count++] = "default";
    for (uint32_t m = 0; m < r->method_count; m++)
        names[count++] = r->methods[m];
    names[count++] = "best measured";
    return count;
}

/* Of the method that is told of: lcb when there, else the best measured. */
static uint32_t told_series(const struct omt_report *r)
{
    for (uint32_t m = 0; m < r->method_count; m++)
        if (strcmp(r->methods[m], "lcb") == 0)
            return m + 1;
    return r->method_count + 1;
}

static void methods_finding(const struct omt_report *r, char text[static OMT_FINDING])
{
    uint32_t series = told_series(r), count = 0, most = 0;
    double sum = 0, least = INFINITY;
    for (uint32_t w = 0; w < r->count; w++) {
        double v = method_value(r, w, series);
        if (!isfinite(v))
            continue;
        sum += v;
        count++;
        if (v < least) {
            least = v;
            most = w;
        }
    }
    snprintf(text, OMT_FINDING,
             "%s costs %.0f %% less than what ships, on average over %u workloads; most on %s: "
             "%.0f %% less",
             series <= r->method_count ? "What lcb chose" : "The best point measured",
             100 * (1 - sum / (count != 0 ? count : 1)), count, r->workloads[most].name,
             100 * (1 - least));
}

static void methods_chart(const struct omt_report *r, FILE *out, const char *title)
{
    const char *series[OMT_METHODS_MAX + 2], *groups[OMT_WORKLOADS_MAX];
    uint32_t count = method_series(r, series);
    unsigned colours[OMT_METHODS_MAX + 2] = {6}; /* what ships: grey */
    double *values = omt_realloc(NULL, (r->count * count + 1) * sizeof(*values));
    for (uint32_t s = 1; s < count; s++) /* a method has the colour of its curve */
        colours[s] = s <= r->method_count ? s - 1 : 7;
    for (uint32_t w = 0; w < r->count; w++) {
        groups[w] = r->workloads[w].name;
        for (uint32_t s = 0; s < count; s++)
            values[w * count + s] = method_value(r, w, s);
    }
    omt_chart_bars(out, &(struct omt_bars){.title = title,
                                           .desc = "J_io of each method's choice over J_io of what "
                                                   "ships, by workload; lower is better",
                                           .unit = "J_io, default = 1",
                                           .groups = r->count,
                                           .series = count,
                                           .group_names = groups,
                                           .series_names = series,
                                           .values = values,
                                           .rule = 1,
                                           .most = 2,
                                           .colours = colours});
    free(values);
}

static void methods_table(const struct omt_report *r, FILE *out, enum omt_doc_form form)
{
    const char *heads[OMT_METHODS_MAX + 5] = {"workload", "best measured"},
                                        *series[OMT_METHODS_MAX + 2];
    uint32_t count = method_series(r, series);
    struct omt_doc_table t;
    heads[2] = "J default";
    heads[3] = "J best";
    for (uint32_t m = 0; m < r->method_count; m++)
        heads[4 + m] = r->methods[m];
    heads[4 + r->method_count] = "best/default";
    omt_doc_table_begin(&t, out, form, heads, 5 + r->method_count, 2);
    for (uint32_t w = 0; w < r->count; w++) {
        const struct omt_report_workload *rw = &r->workloads[w];
        char shape[OMT_SHAPE_TEXT] = "";
        if (rw->best == NULL)
            continue;
        omt_doc_text(&t, rw->name);
        omt_doc_text(&t, omt_shape_text(shape, &rw->best->point));
        omt_doc_number(&t, rw->standard != NULL ? rw->standard->j_io : NAN, 3);
        omt_doc_number(&t, rw->best->j_io, 3);
        for (uint32_t s = 1; s < count; s++)
            omt_doc_number(&t, method_value(r, w, s), 3);
    }
    omt_doc_table_end(&t);
}

/* ---- policies: the best of each merge policy --------------------------------------------------- */

static bool policies_has(const struct omt_report *r)
{
    uint32_t kinds = 0;
    for (uint32_t w = 0; w < r->count; w++)
        for (int p = 0; p < OMT_POLICIES; p++)
            kinds |= r->workloads[w].of[p] != NULL ? 1u << p : 0;
    return (kinds & (kinds - 1)) != 0; /* more than one */
}

static double policy_value(const struct omt_report *r, uint32_t w, uint32_t p)
{
    const struct omt_report_workload *rw = &r->workloads[w];
    return rw->of[p] != NULL ? rw->of[p]->j_io / rw->best->j_io : NAN;
}

static void policies_finding(const struct omt_report *r, char text[static OMT_FINDING])
{
    uint32_t wins[OMT_POLICIES] = {0}, most = 0;
    double worst = 0;
    int which = 0;
    for (uint32_t w = 0; w < r->count; w++)
        for (int p = 0; p < OMT_POLICIES; p++) {
            double v = policy_value(r, w, (uint32_t)p);
            wins[p] += isfinite(v) && v <= 1;
            if (isfinite(v) && v > worst) {
                worst = v;
                most = w;
                which = p;
            }
        }
    snprintf(text, OMT_FINDING,
             "Leveling is best on %u workloads, tiering on %u, lazy leveling on %u, K between on "
             "%u; the wrong one costs up to %.1fx (%s on %s)",
             wins[OMT_LEVELING], wins[OMT_TIERING], wins[OMT_LAZY], wins[OMT_BETWEEN], worst,
             omt_policy_names[which], r->workloads[most].name);
}

static void policies_chart(const struct omt_report *r, FILE *out, const char *title)
{
    const char *groups[OMT_WORKLOADS_MAX];
    double values[OMT_WORKLOADS_MAX * OMT_POLICIES];
    for (uint32_t w = 0; w < r->count; w++) {
        groups[w] = r->workloads[w].name;
        for (uint32_t p = 0; p < OMT_POLICIES; p++)
            values[w * OMT_POLICIES + p] = policy_value(r, w, p);
    }
    omt_chart_bars(out, &(struct omt_bars){.title = title,
                                           .desc = "The lowest J_io with each merge policy over "
                                                   "the lowest of all, by workload",
                                           .unit = "J_io, best = 1",
                                           .groups = r->count,
                                           .series = OMT_POLICIES,
                                           .group_names = groups,
                                           .series_names = omt_policy_names,
                                           .values = values,
                                           .rule = 1,
                                           .most = 4});
}

static void policies_table(const struct omt_report *r, FILE *out, enum omt_doc_form form)
{
    const char *heads[1 + OMT_POLICIES] = {"workload"};
    struct omt_doc_table t;
    for (int p = 0; p < OMT_POLICIES; p++)
        heads[1 + p] = omt_policy_names[p];
    omt_doc_table_begin(&t, out, form, heads, 1 + OMT_POLICIES, 1);
    for (uint32_t w = 0; w < r->count; w++) {
        omt_doc_text(&t, r->workloads[w].name);
        for (int p = 0; p < OMT_POLICIES; p++)
            omt_doc_number(&t, r->workloads[w].of[p] != NULL ? r->workloads[w].of[p]->j_io : NAN,
                           3);
    }
    omt_doc_table_end(&t);
}

/* ---- regret against samples --------------------------------------------------------------------- */

static bool regret_has(const struct omt_report *r)
{
    for (uint32_t m = 0; m < r->method_count; m++)
        if (r->budget_count[m] > 0)
            return true;
    return false;
}

static void regret_finding(const struct omt_report *r, char text[static OMT_FINDING])
{
    size_t n = (size_t)snprintf(text, OMT_FINDING, "Mean regret");
    for (uint32_t m = 0; m < r->method_count && n < OMT_FINDING - 60; m++) {
        const struct omt_report_budget *b = &r->budget[m][r->budget_count[m] - 1];
        n += (size_t)snprintf(text + n, OMT_FINDING - n, "%s %.1f %% with %s after %u samples",
                              m == 0 ? "" : ",", 100 * b->regret, r->methods[m], b->budget);
    }
}

static void regret_chart(const struct omt_report *r, FILE *out, const char *title)
{
    struct omt_curve curves[OMT_METHODS_MAX];
    static double x[OMT_METHODS_MAX][OMT_BUDGETS_MAX], y[OMT_METHODS_MAX][OMT_BUDGETS_MAX];
    double most = 0.1; /* the first samples, far off, would hide all others */
    for (uint32_t m = 0; m < r->method_count; m++) {
        for (uint32_t b = 0; b < r->budget_count[m]; b++) {
            if (r->budget[m][b].budget >= 4 && 1.2 * r->budget[m][b].regret > most)
                most = 1.2 * r->budget[m][b].regret;
            x[m][b] = r->budget[m][b].budget;
            y[m][b] = r->budget[m][b].regret;
        }
        curves[m] =
            (struct omt_curve){r->methods[m], m, r->budget_count[m], x[m], y[m], NULL, NULL};
    }
    omt_chart_curves(out, &(struct omt_curves){.title = title,
                                               .desc = "Mean regret over all workloads and seeds "
                                                       "by the number of samples a workload",
                                               .x_label = "samples a workload",
                                               .y_label = "mean regret",
                                               .y_per_cent = true,
                                               .curves = curves,
                                               .count = r->method_count,
                                               .rule = 0.08,
                                               .rule_name = "8 %",
                                               .y_most = most});
}

static void regret_table(const struct omt_report *r, FILE *out, enum omt_doc_form form)
{
    static const char *const heads[] = {"method",      "samples",        "choices",
                                        "mean regret", "standard error", "worst"};
    struct omt_doc_table t;
    omt_doc_table_begin(&t, out, form, heads, 6, 1);
    for (uint32_t m = 0; m < r->method_count; m++)
        for (uint32_t b = 0; b < r->budget_count[m]; b++) {
            const struct omt_report_budget *row = &r->budget[m][b];
            omt_doc_text(&t, r->methods[m]);
            omt_doc_number(&t, row->budget, 0);
            omt_doc_number(&t, row->count, 0);
            omt_doc_percent(&t, row->regret, 1);
            omt_doc_percent(&t, row->se, 1);
            omt_doc_percent(&t, row->worst, 1);
        }
    omt_doc_table_end(&t);
}

/* ---- all sections ------------------------------------------------------------------------------- */

const struct omt_section omt_sections[] = {
    {"F1", "Cost by workload and method", methods_has, methods_finding, methods_chart,
     methods_table,
     "J_io: random page reads an operation, merging included, at the campaign's prices. Each bar "
     "is "
     "divided by what ships; lower is better, bars past 2 are cut and say how long they are."},
    {"F2", "Merge policies", policies_has, policies_finding, policies_chart, policies_table,
     "Each bar is the cheapest point measured with that policy, over T, filter bits and cache; "
     "divided by the cheapest of all."},
    {"F3", "Regret against samples", regret_has, regret_finding, regret_chart, regret_table,
     "Regret: how much more the choice costs than the best point known. Standard errors are over "
     "seeds. Points at the upper rim lie beyond it."},
    {"heat", "T against K", omt_heat_has, omt_heat_finding, omt_heat_chart, omt_heat_table,
     "J_io of the cheapest point with that T and K, over filter bits and cache; dark is dear, the "
     "outlined cell is the cheapest."},
    {"scatter", "Predicted against measured", omt_scatter_has, omt_scatter_finding,
     omt_scatter_chart, omt_scatter_table, "A point is a run; both axes are logarithmic."},
    {"amp", "Write, read and space amplification", omt_amp_has, omt_amp_finding, omt_amp_chart,
     omt_amp_table,
     "What ships beside the cheapest point. Write: bytes written for each byte put; read: blocks "
     "asked for by a lookup or scan; space: bytes stored for each live byte. Nearer to the middle "
     "is better; the numbers are the cheapest point's."},
    {"tail", "Slow operations", omt_tail_has, omt_tail_finding, omt_tail_chart, omt_tail_table,
     "Latency that one in 2, 20, 100 and 1,000 operations exceeds, of each workload's most "
     "frequent operation. Merges run on the caller's thread here, so a write's tail is a merge."},
    {"F10", "Cost model against the engine", omt_blocks_has, omt_blocks_finding, omt_blocks_chart,
     omt_blocks_table,
     "Blocks of one operation of each kind: as the cost model says, and as the engine counted."},
};
const unsigned omt_section_count = sizeof(omt_sections) / sizeof(omt_sections[0]);

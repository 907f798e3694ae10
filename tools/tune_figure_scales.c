/*
 * tune_figure_scales.c - F4: what was best at a small scale, at larger ones; F5: what tuning gains, by
 * memory and skew.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/svg_charts.h"
#include "tools/tune_figure.h"

enum { SCALES_MAX = 4, SERIES_MAX = 8, POINTS_MAX = 16 };

static bool figure_svg(const struct omt_figure_request *f, const char *id,
                       void (*draw)(FILE *out, const void *context), const void *context)
{
    char path[OMT_TUNE_PATH];
    FILE *svg = omt_figure_file(f, id, "svg", path);
    if (svg == NULL)
        return false;
    draw(svg, context);
    return omt_figure_end(svg, path);
}

/* ---- F4 -------------------------------------------------------------------------------------- */

struct scales {
    struct omt_report *report[SCALES_MAX];
    uint32_t scales, groups;
    const char *group_name[OMT_WORKLOADS_MAX], *scale_name[SCALES_MAX];
    char scale_text[SCALES_MAX][OMT_TUNE_NAME];
    double regret[OMT_WORKLOADS_MAX * SCALES_MAX];
    char title[OMT_FINDING];
};

static const struct omt_report_workload *named(const struct omt_report *r, const char *name)
{
    for (uint32_t w = 0; w < r->count; w++)
        if (strcmp(r->workloads[w].name, name) == 0)
            return &r->workloads[w];
    return NULL;
}

/* Regret at a scale of a point; NAN: it was not measured there. */
static double regret_at(const struct omt_report *r, const char *workload,
                        const struct omi_point *point)
{
    const struct omt_report_workload *w = named(r, workload);
    if (w == NULL || w->best == NULL)
        return NAN;
    const struct omt_label *label =
        omt_campaign_find(&r->c, (uint32_t)(w - r->workloads), point, 0);
    return label != NULL ? label->j_io / w->best->j_io - 1 : NAN;
}

static void scales_fill(struct scales *s)
{
    double sum[SCALES_MAX] = {0};
    uint32_t count[SCALES_MAX] = {0};
    for (uint32_t k = 0; k < s->scales; k++) {
        char entries[OMT_HUMAN_LEN];
        snprintf(s->scale_text[k], sizeof(s->scale_text[k]), "%s entries",
                 omt_human_count(entries, s->report[k]->c.config.workload[0].entries));
        s->scale_name[k] = s->scale_text[k];
    }
    for (uint32_t w = 0; w < s->report[0]->count; w++) {
        const struct omt_report_workload *rw = &s->report[0]->workloads[w];
        if (rw->best == NULL)
            continue;
        s->group_name[s->groups] = rw->name;
        for (uint32_t k = 0; k < s->scales; k++) {
            double v = regret_at(s->report[k], rw->name, &rw->best->point);
            s->regret[s->groups * s->scales + k] = v;
            if (isfinite(v)) {
                sum[k] += v;
                count[k]++;
            }
        }
        s->groups++;
    }
    uint32_t last = s->scales - 1;
    snprintf(s->title, sizeof(s->title),
             "The shape that is best with %s is %.1f %% from the best with %s, on average over %u "
             "workloads",
             s->scale_name[0], count[last] != 0 ? 100 * sum[last] / count[last] : NAN,
             s->scale_name[last], count[last]);
}

static void scales_draw(FILE *out, const void *context)
{
    const struct scales *s = context;
    double values[OMT_WORKLOADS_MAX * SCALES_MAX];
    for (uint32_t i = 0; i < s->groups * s->scales; i++)
        values[i] = 100 * s->regret[i];
    omt_chart_bars(out, &(struct omt_bars){.title = s->title,
                                           .desc = "Regret of the smallest scale's best point at "
                                                   "each scale, by workload",
                                           .unit = "regret, %",
                                           .groups = s->groups,
                                           .series = s->scales,
                                           .group_names = s->group_name,
                                           .series_names = s->scale_name,
                                           .values = values,
                                           .rule = NAN});
}

static bool scales_files(const struct omt_figure_request *f, const struct scales *s)
{
    const char *heads[1 + SCALES_MAX] = {"workload"};
    char path[OMT_TUNE_PATH];
    struct omt_doc_table t;
    FILE *csv = omt_figure_file(f, "F4", "csv", path);
    if (csv == NULL)
        return false;
    for (uint32_t k = 0; k < s->scales; k++)
        heads[1 + k] = s->scale_name[k];
    omt_doc_table_begin(&t, csv, OMT_DOC_CSV, heads, 1 + s->scales, 1);
    for (uint32_t w = 0; w < s->groups; w++) {
        omt_doc_text(&t, s->group_name[w]);
        for (uint32_t k = 0; k < s->scales; k++)
            omt_doc_percent(&t, s->regret[w * s->scales + k], 1);
    }
    omt_doc_table_end(&t);
    return omt_figure_end(csv, path) && figure_svg(f, "F4", scales_draw, s);
}

int omt_figure_scales(const struct omt_figure_request *f, const char *const *dirs, int count)
{
    struct scales *s = omt_realloc(NULL, sizeof(*s));
    bool good = count <= SCALES_MAX;
    memset(s, 0, sizeof(*s));
    if (!good)
        omt_usage("tune figure", "F4 takes four campaigns at most");
    for (int i = 0; i < count && good; i++) {
        struct omt_report *r = omt_realloc(NULL, sizeof(*r));
        good = omt_report_load(r, dirs[i]);
        if (good)
            s->report[s->scales++] = r;
        else
            free(r);
    }
    if (good) {
        scales_fill(s);
        good = scales_files(f, s);
        if (good)
            printf("%s.\n%s/F4.csv, %s/F4.svg\n", s->title, f->out, f->out);
    }
    for (uint32_t k = 0; k < s->scales; k++) {
        omt_report_free(s->report[k]);
        free(s->report[k]);
    }
    free(s);
    return good ? OMT_EXIT_OK : OMT_EXIT_ERROR;
}

/* ---- F5 -------------------------------------------------------------------------------------- */

/* A curve for each skew: what the best costs, what ships being 1, against the memory a key. */
struct memory {
    uint32_t curves;
    double theta[SERIES_MAX], bits[SERIES_MAX][POINTS_MAX], cost[SERIES_MAX][POINTS_MAX];
    uint32_t samples[SERIES_MAX][POINTS_MAX], count[SERIES_MAX];
    char name[SERIES_MAX][OMT_TUNE_NAME], title[OMT_FINDING];
};

static void memory_add(struct memory *m, double theta, double bits, double cost)
{
    uint32_t c = 0, at = 0;
    while (c < m->curves && fabs(m->theta[c] - theta) > 1e-9)
        c++;
    if (c == SERIES_MAX)
        return;
    if (c == m->curves) {
        m->theta[c] = theta;
        snprintf(m->name[c], sizeof(m->name[c]), theta > 0 ? "Zipf %.2f" : "uniform", theta);
        m->curves++;
    }
    while (at < m->count[c] && m->bits[c][at] < bits - 1e-9)
        at++;
    bool there = at < m->count[c] && m->bits[c][at] < bits + 1e-9;
    if (!there && m->count[c] == POINTS_MAX)
        return;
    if (!there) {
        for (uint32_t i = m->count[c]++; i > at; i--) {
            m->bits[c][i] = m->bits[c][i - 1];
            m->cost[c][i] = m->cost[c][i - 1];
            m->samples[c][i] = m->samples[c][i - 1];
        }
        m->bits[c][at] = bits;
        m->cost[c][at] = 0;
        m->samples[c][at] = 0;
    }
    uint32_t n = ++m->samples[c][at]; /* mean over the mixes that have this memory and skew */
    m->cost[c][at] += (cost - m->cost[c][at]) / n;
}

static void memory_draw(FILE *out, const void *context)
{
    const struct memory *m = context;
    struct omt_curve curves[SERIES_MAX];
    for (uint32_t c = 0; c < m->curves; c++)
        curves[c] =
            (struct omt_curve){m->name[c], c, m->count[c], m->bits[c], m->cost[c], NULL, NULL};
    omt_chart_curves(out, &(struct omt_curves){.title = m->title,
                                               .desc = "J_io of the best point over J_io of what "
                                                       "ships, mean over mixes, by memory and skew",
                                               .x_label = "memory, bits a key",
                                               .y_label = "J_io, default = 1",
                                               .curves = curves,
                                               .count = m->curves,
                                               .rule = 1,
                                               .rule_name = "what ships"});
}

static bool memory_files(const struct omt_figure_request *f, const struct memory *m)
{
    static const char *const heads[] = {"theta", "bits_a_key", "mixes", "best_over_default"};
    char path[OMT_TUNE_PATH];
    struct omt_doc_table t;
    FILE *csv = omt_figure_file(f, "F5", "csv", path);
    if (csv == NULL)
        return false;
    omt_doc_table_begin(&t, csv, OMT_DOC_CSV, heads, 4, 0);
    for (uint32_t c = 0; c < m->curves; c++)
        for (uint32_t i = 0; i < m->count[c]; i++) {
            omt_doc_number(&t, m->theta[c], 3);
            omt_doc_number(&t, m->bits[c][i], 3);
            omt_doc_number(&t, m->samples[c][i], 0);
            omt_doc_number(&t, m->cost[c][i], 3);
        }
    omt_doc_table_end(&t);
    return omt_figure_end(csv, path) && figure_svg(f, "F5", memory_draw, m);
}

int omt_figure_memory(const struct omt_figure_request *f, const char *dir)
{
    struct omt_report *r = omt_realloc(NULL, sizeof(*r));
    struct memory *m = omt_realloc(NULL, sizeof(*m));
    bool good = omt_report_load(r, dir), loaded = good;
    memset(m, 0, sizeof(*m));
    for (uint32_t w = 0; w < (good ? r->count : 0); w++) {
        const struct omi_workload *spec = &r->c.config.workload[w];
        const struct omt_report_workload *rw = &r->workloads[w];
        if (rw->standard != NULL && rw->best != NULL)
            memory_add(m, spec->dist == OMI_WORK_UNIFORM ? 0 : spec->theta, spec->memory_bits,
                       rw->best->j_io / rw->standard->j_io);
    }
    if (good && m->curves == 0) {
        fprintf(stderr, "omendb: tune figure: %s has no label of what ships\n", dir);
        good = false;
    }
    if (good) {
        uint32_t last = m->count[0] - 1;
        snprintf(m->title, sizeof(m->title),
                 "With %.3g bits of memory a key the best shape costs %.2f of what ships, with "
                 "%.3g it costs %.2f (%s keys)",
                 m->bits[0][0], m->cost[0][0], m->bits[0][last], m->cost[0][last], m->name[0]);
        good = memory_files(f, m);
    }
    if (good)
        printf("%s.\n%s/F5.csv, %s/F5.svg\n", m->title, f->out, f->out);
    if (loaded)
        omt_report_free(r);
    free(m);
    free(r);
    return good ? OMT_EXIT_OK : OMT_EXIT_ERROR;
}

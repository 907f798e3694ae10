/*
 * tune_figure_study.c - F8: what a choice that is robust to drift gains and loses, from the cost model
 * alone (tune_study.h).
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/svg_charts.h"
#include "tools/tune_figure.h"
#include "tools/tune_study.h"

static const unsigned study_shown[] = {1, 4, 8}; /* rho 0.25, 1, 2 */
enum { STUDY_SHOWN = 3 };

static void study_csv(FILE *out, const struct omt_study *s)
{
    fputs("mix,rho,kl_from,kl_to,mixes,gain_mean,gain_p10,gain_p90\n", out);
    for (unsigned m = 0; m < OMT_STUDY_MIXES; m++)
        for (unsigned r = 0; r < OMT_STUDY_RHOS; r++)
            for (unsigned b = 0; b < OMT_STUDY_BINS; b++) {
                const struct omt_study_bin *bin = &s->bin[m][r][b];
                if (bin->count != 0)
                    fprintf(out, "%u,%g,%g,%g,%" PRIu32 ",%.6f,%.6f,%.6f\n", m, omt_study_rho(r),
                            0.25 * b, b == OMT_STUDY_BINS - 1 ? INFINITY : 0.25 * (b + 1),
                            bin->count, bin->mean, bin->low, bin->high);
            }
}

struct study_panel {
    char title[OMI_WORKLOAD_NAME + 32];
    struct omt_curve curve[STUDY_SHOWN];
    double x[STUDY_SHOWN][OMT_STUDY_BINS], y[STUDY_SHOWN][OMT_STUDY_BINS];
};

static bool study_panel_make(const struct omt_study *s, unsigned mix, struct study_panel *p)
{
    static const char *const names[] = {"rho 0.25", "rho 1", "rho 2"};
    struct omi_workload w;
    double share[OMI_TUNE_OPS];
    char name[OMI_WORKLOAD_NAME];
    snprintf(name, sizeof(name), "endure:%u", mix);
    if (omi_workload_named(name, &w) != OMEN_OK)
        return false;
    omi_workload_mix(&w, share);
    snprintf(p->title, sizeof(p->title), "%.0f/%.0f/%.0f/%.0f", 100 * share[0], 100 * share[1],
             100 * share[2], 100 * share[3]);
    for (unsigned i = 0; i < STUDY_SHOWN; i++) {
        unsigned count = 0;
        for (unsigned b = 0; b < OMT_STUDY_BINS; b++) {
            const struct omt_study_bin *bin = &s->bin[mix][study_shown[i]][b];
            if (bin->count < 20) /* a mean of a few mixes is a zigzag */
                continue;
            p->x[i][count] = 0.25 * b + 0.125;
            p->y[i][count++] = bin->mean;
        }
        p->curve[i] = (struct omt_curve){names[i], i, count, p->x[i], p->y[i], NULL, NULL};
    }
    return true;
}

static void study_words(const struct omt_study *s, unsigned rho, char *text, size_t size)
{
    uint64_t near_count, far_count;
    double near_gain = omt_study_gain(s, rho, 0, 0.25, &near_count);
    double far_gain = omt_study_gain(s, rho, 0.25, INFINITY, &far_count);
    snprintf(text, size,
             "A choice that is robust to rho %g changes throughput by %+.0f %% on mixes within KL "
             "0.25 of the expected one and by %+.0f %% on those beyond",
             omt_study_rho(rho), round(100 * near_gain) + 0.0, round(100 * far_gain) + 0.0);
}

static bool study_svg(FILE *out, const struct omt_study *s)
{
    struct study_panel *panels = omt_realloc(NULL, OMT_STUDY_MIXES * sizeof(*panels));
    struct omt_curves curves[OMT_STUDY_MIXES];
    char title[256];
    bool good = true;
    study_words(s, 4, title, sizeof(title));
    for (unsigned m = 0; m < OMT_STUDY_MIXES && good; m++) {
        good = study_panel_make(s, m, &panels[m]);
        curves[m] = (struct omt_curves){.title = panels[m].title,
                                        .x_label = "KL from expected",
                                        .y_label = "gain",
                                        .y_per_cent = true,
                                        .curves = panels[m].curve,
                                        .count = STUDY_SHOWN,
                                        .rule = NAN};
    }
    if (good)
        omt_chart_curve_panels(out, title,
                               "Mean change of throughput, robust against nominal, by the "
                               "divergence of the mix from the expected one (absent gets, gets, "
                               "scans, writes in per cent above each panel)",
                               curves, OMT_STUDY_MIXES, 5);
    free(panels);
    return good;
}

static bool study_files(const struct omt_figure_request *f, const struct omt_study *s)
{
    char path[OMT_TUNE_PATH];
    FILE *csv = omt_figure_file(f, "F8", "csv", path);
    if (csv == NULL)
        return false;
    study_csv(csv, s);
    if (!omt_figure_end(csv, path))
        return false;
    FILE *svg = omt_figure_file(f, "F8", "svg", path);
    if (svg == NULL)
        return false;
    bool good = study_svg(svg, s);
    return omt_figure_end(svg, path) && good;
}

static void study_print(const struct omt_study *s)
{
    static const double edge[] = {0, 0.25, 0.5, 1, 2, INFINITY};
    printf("mean change of throughput, robust against nominal, by KL from the expected mix\n"
           "%-6s %10s %10s %10s %10s %10s\n",
           "rho", "0-0.25", "0.25-0.5", "0.5-1", "1-2", "2-");
    for (unsigned r = 0; r < OMT_STUDY_RHOS; r += 2) {
        printf("%-6g", omt_study_rho(r));
        for (unsigned i = 0; i < 5; i++) {
            uint64_t count;
            double gain = omt_study_gain(s, r, edge[i], edge[i + 1], &count);
            printf(count != 0 ? " %+9.1f%%" : "          -", 100 * gain);
        }
        putchar('\n');
    }
}

int omt_figure_study(const struct omt_figure_request *f)
{
    struct omt_study *s = omt_realloc(NULL, sizeof(*s));
    struct omi_workload standard;
    memset(s, 0, sizeof(*s));
    omen_err err = omi_workload_named("W1", &standard);
    s->entries = f->entries;
    s->entry_bytes = (uint32_t)f->entry_bytes;
    s->memory_bits = f->bits > 0 ? f->bits : standard.memory_bits;
    s->draws = (uint32_t)f->draws;
    s->seed = f->seed;
    s->space = f->space;
    int result = OMT_EXIT_OK;
    if (err == OMEN_OK)
        err = omt_study_run(s);
    if (err != OMEN_OK) {
        result = omt_tell("tune figure F8", err);
    } else {
        char words[256];
        study_print(s);
        study_words(s, 4, words, sizeof(words));
        printf("\n%s.\n", words);
        printf("%u mixes, %" PRIu32 " random ones, %" PRIu32 " shapes; %s/F8.csv, %s/F8.svg\n",
               OMT_STUDY_MIXES, s->draws, s->shapes, f->out, f->out);
        if (!study_files(f, s))
            result = OMT_EXIT_ERROR;
    }
    free(s);
    return result;
}

/*
 * tier_plot.h - curves over the injected delay, as SVG.
 */
#ifndef BENCH_TIER_PLOT_H
#define BENCH_TIER_PLOT_H

#include <stdbool.h>
#include <stddef.h>

enum { PLOT_POINTS_MAX = 16, PLOT_CURVES_MAX = 12 };

struct plot_curve {
    const char *name;
    size_t count;
    double x[PLOT_POINTS_MAX], y[PLOT_POINTS_MAX]; /* ns; far / near */
    double low[PLOT_POINTS_MAX], high[PLOT_POINTS_MAX];
};

/* Replaces path; false: it could not be written, errno says why. caption: one line below. */
bool plot_write(const char *path, const char *title, const char *caption,
                const struct plot_curve *curves, size_t count);

#endif

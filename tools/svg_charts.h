/*
 * svg_charts.h - whole charts from plain numbers: bars, curves, scatter, heat maps, triangles.
 *
 * Each writes one SVG element. NAN is a value that is not there: it leaves a hole. Titles are
 * findings, written by the caller; they stand in the <title> of the element, for who hears it, and
 * the page around it prints them.
 */
#ifndef OMT_SVG_CHARTS_H
#define OMT_SVG_CHARTS_H

#include "tools/svg.h"

struct omt_bars {
    const char *title, *desc, *unit;
    unsigned groups, series;
    const char *const *group_names, *const *series_names;
    const double *values;    /* groups x series */
    double rule;             /* a line across, such as what all is measured against; NAN: none */
    double most;             /* longer bars are cut there and say how long they are; 0: none */
    const unsigned *colours; /* of the series; NULL: 0, 1, 2, ... */
};
void omt_chart_bars(FILE *out, const struct omt_bars *bars);

struct omt_curve {
    const char *name;
    unsigned series, count;
    const double *x, *y;
    const double *low, *high; /* a band around; NULL: none */
};
struct omt_curves {
    const char *title, *desc, *x_label, *y_label;
    bool x_log, y_log, x_per_cent, y_per_cent;
    const struct omt_curve *curves;
    unsigned count;
    double rule; /* a bound, across; NAN: none */
    const char *rule_name;
    double y_most; /* what is more is drawn at the rim; 0: nothing is cut */
};
void omt_chart_curves(FILE *out, const struct omt_curves *curves);
/* Small ones side by side, on the same scales, with one key; each panel's title stands above it. */
void omt_chart_curve_panels(FILE *out, const char *title, const char *desc,
                            const struct omt_curves *panels, unsigned count, unsigned columns);

struct omt_mark {
    double x, y;
    unsigned series;
    const char *tip; /* may be NULL */
};
/* Equal log axes, the diagonal, and the corridor of +-band around it. */
struct omt_scatter {
    const char *title, *desc, *x_label, *y_label;
    const struct omt_mark *marks;
    unsigned count;
    const char *const *series_names;
    unsigned series;
    double band; /* 0.1: 10 % */
};
void omt_chart_scatter(FILE *out, const struct omt_scatter *scatter);

/* Cells of rows x columns, dark is much; the least of all is outlined. */
struct omt_heat {
    const char *title, *row_label, *column_label;
    unsigned rows, columns;
    const char *const *row_names, *const *column_names;
    const double *values; /* rows x columns */
};
void omt_chart_heat_panels(FILE *out, const char *title, const char *desc,
                           const struct omt_heat *panels, unsigned count, unsigned columns);

/* Three values each, all better when smaller: a corner's distance from the middle is the value's
 * share of the largest of all panels, on a square-root scale so that small ones can be told apart. */
struct omt_triangles {
    const char *title;
    unsigned series;
    const double (*values)[3]; /* of each series; a NAN leaves it out */
};
void omt_chart_triangle_panels(FILE *out, const char *title, const char *desc,
                               const char *const axis_names[3], const char *const *series_names,
                               unsigned series_count, const struct omt_triangles *panels,
                               unsigned count, unsigned columns);

#endif

/*
 * svg.h - charts as SVG text: scales with round ticks, axes, bars, lines, points, cells, words.
 *
 * A chart stands on its own: it carries its style sheet, reads in light and dark, on paper, without
 * scripts or fonts from elsewhere, and inside an HTML page. Series differ in colour (the eight of
 * Okabe and Ito, "Color Universal Design", 2008, told apart by the colour-blind too) and in shape
 * or dash, so that they differ in grey as well.
 *
 * Units:  pixels of the viewBox, y downwards; scales turn values into them.
 * Text:   everything that is given is escaped here.
 * Errors: none; the caller looks at ferror(out) when all is written.
 */
#ifndef OMT_SVG_H
#define OMT_SVG_H

#include <stdbool.h>
#include <stdio.h>

struct omt_svg {
    FILE *out;
    double width, height;
};

/* From a value to a place: low lies at from, high at to (which may be less, as on a y axis). */
struct omt_scale {
    double low, high, from, to;
    bool is_log;
};
enum { OMT_TICKS_MAX = 16 };
/* Widened to round numbers: 1, 2, 5 times a power of ten; to powers of ten if is_log. */
struct omt_scale omt_scale_round(double low, double high, bool is_log, double from, double to);
double omt_scale_at(const struct omt_scale *scale, double value);
/* Round values inside the scale, ascending, about want of them; returns how many. */
unsigned omt_scale_ticks(const struct omt_scale *scale, unsigned want,
                         double ticks_out[static OMT_TICKS_MAX]);

enum { OMT_SERIES_MAX = 8 }; /* colours 0 to 7; more begin again, with points of other shapes */
enum omt_anchor { OMT_START, OMT_MIDDLE, OMT_END };

/* title: the finding, for who hears the chart; desc: what is drawn. */
void omt_svg_open(struct omt_svg *svg, FILE *out, double width, double height, const char *title,
                  const char *desc);
void omt_svg_close(struct omt_svg *svg);

/* kind: "label", "small", "head", "on" (on a dark cell), "off" (on a light one). */
__attribute__((format(printf, 6, 7))) void omt_svg_text(struct omt_svg *svg, double x, double y,
                                                        enum omt_anchor anchor, const char *kind,
                                                        const char *format, ...);
/* Upwards, around (x, y). */
void omt_svg_text_up(struct omt_svg *svg, double x, double y, const char *kind, const char *text);
/* tip: what a pointer that rests on it is told; may be NULL. */
void omt_svg_bar(struct omt_svg *svg, double x, double y, double width, double height,
                 unsigned series, const char *tip);
/* Filled with a shade of one blue: 0 lightest, 1 darkest. */
void omt_svg_cell(struct omt_svg *svg, double x, double y, double width, double height,
                  double shade, const char *tip);
void omt_svg_frame(struct omt_svg *svg, double x, double y, double width, double height);
/* A thin grey line: of a grid; strong: an axis or a bound. */
void omt_svg_rule(struct omt_svg *svg, double x1, double y1, double x2, double y2, bool strong);
void omt_svg_point(struct omt_svg *svg, double x, double y, unsigned series, const char *tip);
/* count pairs x, y; closed: an outline with a thin fill. */
void omt_svg_line(struct omt_svg *svg, const double *xy, unsigned count, unsigned series,
                  bool closed);
/* The area between: a corridor or band, in grey. */
void omt_svg_band(struct omt_svg *svg, const double *xy, unsigned count);
/* A swatch (bar, or line with point) and its name, from x; returns where the next may begin. */
double omt_svg_key(struct omt_svg *svg, double x, double y, unsigned series, bool is_line,
                   const char *name);

/* Grid lines, ticks with numbers, and what the axis is, with its unit. per_cent: 0.2 is "20 %". */
void omt_svg_axis_x(struct omt_svg *svg, const struct omt_scale *x, const struct omt_scale *y,
                    bool per_cent, const char *label);
void omt_svg_axis_y(struct omt_svg *svg, const struct omt_scale *x, const struct omt_scale *y,
                    bool per_cent, const char *label);
/* As axes print it: three digits or fewer, "2.5 k" from thousands on. */
const char *omt_svg_number(char out[static 24], double value, bool per_cent);

/* Escapes for text and attributes of SVG and HTML. */
void omt_xml_text(FILE *out, const char *text);

#endif

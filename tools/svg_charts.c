#include "tools/svg_charts.h"

#include <math.h>
#include <string.h>

enum { WIDTH = 860, TIP = 160 };

static void range_add(double value, double *low, double *high)
{
    if (!isfinite(value))
        return;
    *low = value < *low ? value : *low;
    *high = value > *high ? value : *high;
}

/* ---- bars ------------------------------------------------------------------------------------ */

static unsigned bar_colour(const struct omt_bars *b, unsigned series)
{
    return b->colours != NULL ? b->colours[series] : series;
}

static void bar_group(struct omt_svg *svg, const struct omt_bars *b, unsigned g, double x,
                      double width, const struct omt_scale *y)
{
    double each = width / b->series;
    for (unsigned s = 0; s < b->series; s++) {
        double value = b->values[g * b->series + s], top = y->high;
        char tip[TIP], number[24];
        if (!isfinite(value))
            continue;
        double shown = value < top ? value : top;
        snprintf(tip, sizeof(tip), "%s, %s: %s %s", b->group_names[g], b->series_names[s],
                 omt_svg_number(number, value, false), b->unit);
        double at = omt_scale_at(y, shown);
        omt_svg_bar(svg, x + s * each, at, each * 0.9, y->from - at, bar_colour(b, s), tip);
        if (value > top)
            omt_svg_text_up(svg, x + (s + 0.5) * each + 4, at + 22, "on",
                            omt_svg_number(number, value, false));
    }
    omt_svg_text(svg, x + width / 2, y->from + 16, OMT_MIDDLE, "small", "%s", b->group_names[g]);
}

void omt_chart_bars(FILE *out, const struct omt_bars *b)
{
    struct omt_svg svg;
    double low = 0, high = 0, key = 60;
    for (unsigned i = 0; i < b->groups * b->series; i++)
        range_add(b->values[i], &low, &high);
    range_add(b->rule, &low, &high);
    if (b->most > 0 && high > b->most)
        high = b->most;
    struct omt_scale y = omt_scale_round(0, high, false, 290, 40),
                     x = {0, 1, 60, WIDTH - 14, false};
    omt_svg_open(&svg, out, WIDTH, 316, b->title, b->desc);
    for (unsigned s = 0; s < b->series; s++)
        key = omt_svg_key(&svg, key, 20, bar_colour(b, s), false, b->series_names[s]);
    omt_svg_axis_y(&svg, &x, &y, false, b->unit);
    omt_svg_rule(&svg, x.from, y.from, x.to, y.from, true);
    double step = (x.to - x.from) / (b->groups > 0 ? b->groups : 1);
    for (unsigned g = 0; g < b->groups; g++)
        bar_group(&svg, b, g, x.from + g * step + step * 0.1, step * 0.8, &y);
    if (isfinite(b->rule))
        omt_svg_rule(&svg, x.from, omt_scale_at(&y, b->rule), x.to, omt_scale_at(&y, b->rule),
                     true);
    omt_svg_close(&svg);
}

/* ---- curves ---------------------------------------------------------------------------------- */

struct bounds {
    double x_low, x_high, y_low, y_high;
};

static void bounds_add(struct bounds *b, const struct omt_curves *c)
{
    for (unsigned i = 0; i < c->count; i++)
        for (unsigned k = 0; k < c->curves[i].count; k++) {
            const struct omt_curve *curve = &c->curves[i];
            range_add(curve->x[k], &b->x_low, &b->x_high);
            range_add(curve->y[k], &b->y_low, &b->y_high);
            if (curve->low != NULL && (!c->y_log || curve->low[k] > 0))
                range_add(curve->low[k], &b->y_low, &b->y_high);
            if (curve->high != NULL)
                range_add(curve->high[k], &b->y_low, &b->y_high);
        }
    range_add(c->rule, &b->y_low, &b->y_high);
}

enum { CURVE_POINTS_MAX = 128 };

static void curve_draw(struct omt_svg *svg, const struct omt_curve *c, const struct omt_scale *x,
                       const struct omt_scale *y)
{
    double line[2 * CURVE_POINTS_MAX] = {0}, band[4 * CURVE_POINTS_MAX];
    unsigned count = 0;
    for (unsigned i = 0; i < c->count && count < CURVE_POINTS_MAX; i++) {
        if (!isfinite(c->x[i]) || !isfinite(c->y[i]))
            continue;
        line[2 * count] = omt_scale_at(x, c->x[i]);
        line[2 * count + 1] = omt_scale_at(y, c->y[i] < y->high ? c->y[i] : y->high);
        count++;
    }
    if (c->low != NULL && c->high != NULL && c->count <= CURVE_POINTS_MAX) {
        for (unsigned i = 0; i < c->count; i++) {
            unsigned back = 2 * c->count - 1 - i;
            band[2 * i] = band[2 * back] = omt_scale_at(x, c->x[i]);
            band[2 * i + 1] = omt_scale_at(y, c->low[i]);
            band[2 * back + 1] = omt_scale_at(y, c->high[i]);
        }
        omt_svg_band(svg, band, 2 * c->count);
    }
    omt_svg_line(svg, line, count, c->series, false);
    for (unsigned i = 0; i < count; i++)
        omt_svg_point(svg, line[2 * i], line[2 * i + 1], c->series, NULL);
}

static void curves_scales(const struct omt_curves *panels, unsigned count, struct omt_scale *x,
                          struct omt_scale *y)
{
    struct bounds b = {INFINITY, -INFINITY, INFINITY, -INFINITY};
    for (unsigned i = 0; i < count; i++)
        bounds_add(&b, &panels[i]);
    if (!panels[0].y_log)
        range_add(0, &b.y_low, &b.y_high); /* an axis that does not begin at 0 exaggerates */
    if (!(b.x_high >= b.x_low)) {
        b.x_low = 0;
        b.x_high = 1;
    }
    if (!(b.y_high >= b.y_low)) {
        b.y_low = 0;
        b.y_high = 1;
    }
    if (panels[0].y_most > 0 && b.y_high > panels[0].y_most)
        b.y_high = panels[0].y_most;
    *x = omt_scale_round(b.x_low, b.x_high, panels[0].x_log, 0, 1);
    *y = omt_scale_round(b.y_low, b.y_high, panels[0].y_log, 0, 1);
}

static void curves_draw(struct omt_svg *svg, const struct omt_curves *c, const struct omt_scale *x,
                        const struct omt_scale *y, const char *x_label, const char *y_label)
{
    omt_svg_axis_x(svg, x, y, c->x_per_cent, x_label);
    omt_svg_axis_y(svg, x, y, c->y_per_cent, y_label);
    if (!y->is_log && y->low < 0)
        omt_svg_rule(svg, x->from, omt_scale_at(y, 0), x->to, omt_scale_at(y, 0), true);
    if (isfinite(c->rule)) {
        double at = omt_scale_at(y, c->rule);
        omt_svg_rule(svg, x->from, at, x->to, at, true);
        if (c->rule_name != NULL)
            omt_svg_text(svg, x->to - 4, at - 5, OMT_END, "small", "%s", c->rule_name);
    }
    for (unsigned i = 0; i < c->count; i++)
        curve_draw(svg, &c->curves[i], x, y);
}

static void curves_key(struct omt_svg *svg, const struct omt_curves *c)
{
    double key = 60;
    for (unsigned i = 0; i < c->count; i++)
        key = omt_svg_key(svg, key, 20, c->curves[i].series, true, c->curves[i].name);
}

void omt_chart_curves(FILE *out, const struct omt_curves *c)
{
    struct omt_svg svg;
    struct omt_scale x, y;
    curves_scales(c, 1, &x, &y);
    x.from = 64;
    x.to = WIDTH - 20;
    y.from = 320;
    y.to = 40;
    omt_svg_open(&svg, out, WIDTH, 364, c->title, c->desc);
    curves_key(&svg, c);
    curves_draw(&svg, c, &x, &y, c->x_label, c->y_label);
    omt_svg_close(&svg);
}

void omt_chart_curve_panels(FILE *out, const char *title, const char *desc,
                            const struct omt_curves *panels, unsigned count, unsigned columns)
{
    struct omt_svg svg;
    struct omt_scale x, y;
    unsigned rows = (count + columns - 1) / columns;
    double width = (WIDTH - 60.0) / columns, height = 150;
    curves_scales(panels, count, &x, &y);
    omt_svg_open(&svg, out, WIDTH, 60 + rows * height, title, desc);
    curves_key(&svg, &panels[0]);
    for (unsigned i = 0; i < count; i++) {
        unsigned row = i / columns, column = i % columns;
        bool left = column == 0, bottom = row == rows - 1 || i + columns >= count;
        x.from = 60 + column * width + 30;
        x.to = 60 + (column + 1) * width - 12;
        y.from = 40 + (row + 1) * height - 22;
        y.to = 40 + row * height + 18;
        omt_svg_text(&svg, (x.from + x.to) / 2, y.to - 6, OMT_MIDDLE, "small head", "%s",
                     panels[i].title);
        curves_draw(&svg, &panels[i], &x, &y, bottom ? panels[i].x_label : "",
                    left ? panels[i].y_label : "");
    }
    omt_svg_close(&svg);
}

/* ---- scatter --------------------------------------------------------------------------------- */

static void corridor_draw(struct omt_svg *svg, const struct omt_scale *x, const struct omt_scale *y,
                          double band)
{
    double low = x->low, high = x->high, up = 1 + band, down = 1 / (1 + band);
    const double xy[] = {
        omt_scale_at(x, low),         omt_scale_at(y, low),       omt_scale_at(x, low),
        omt_scale_at(y, low * up),    omt_scale_at(x, high / up), omt_scale_at(y, high),
        omt_scale_at(x, high),        omt_scale_at(y, high),      omt_scale_at(x, high),
        omt_scale_at(y, high * down), omt_scale_at(x, low * up),  omt_scale_at(y, low)};
    omt_svg_band(svg, xy, 6);
    omt_svg_rule(svg, xy[0], xy[1], xy[6], xy[7], true);
}

void omt_chart_scatter(FILE *out, const struct omt_scatter *c)
{
    struct omt_svg svg;
    double low = INFINITY, high = -INFINITY;
    for (unsigned i = 0; i < c->count; i++) {
        if (c->marks[i].x > 0)
            range_add(c->marks[i].x, &low, &high);
        if (c->marks[i].y > 0)
            range_add(c->marks[i].y, &low, &high);
    }
    if (!isfinite(low)) { /* nothing to show: axes all the same */
        low = 0.1;
        high = 10;
    }
    struct omt_scale x = omt_scale_round(low, high, true, 70, 570), y = x;
    if (high > low) { /* decades would leave half of the square empty */
        x.low = low / 1.3;
        x.high = high * 1.3;
        y = x;
    }
    y.from = 540;
    y.to = 50;
    omt_svg_open(&svg, out, WIDTH, 584, c->title, c->desc);
    for (unsigned s = 0; s < c->series; s++) {
        omt_svg_point(&svg, 600, 64 + 20.0 * s, s, NULL);
        omt_svg_text(&svg, 612, 68 + 20.0 * s, OMT_START, "label", "%s", c->series_names[s]);
    }
    corridor_draw(&svg, &x, &y, c->band);
    omt_svg_text(&svg, x.to - 6, y.from - 8, OMT_END, "small", "grey: within %g %%", c->band * 100);
    omt_svg_axis_x(&svg, &x, &y, false, c->x_label);
    omt_svg_axis_y(&svg, &x, &y, false, c->y_label);
    for (unsigned i = 0; i < c->count; i++) {
        const struct omt_mark *m = &c->marks[i];
        if (m->x > 0 && m->y > 0)
            omt_svg_point(&svg, omt_scale_at(&x, m->x), omt_scale_at(&y, m->y), m->series, m->tip);
    }
    omt_svg_close(&svg);
}

/* ---- heat maps ------------------------------------------------------------------------------- */

static void heat_draw(struct omt_svg *svg, const struct omt_heat *h, double left, double top,
                      double width, double height)
{
    double low = INFINITY, high = -INFINITY, w = width / h->columns, t = height / h->rows;
    unsigned best = 0;
    for (unsigned i = 0; i < h->rows * h->columns; i++) {
        range_add(h->values[i], &low, &high);
        if (isfinite(h->values[i]) && h->values[i] <= low)
            best = i;
    }
    bool is_flat = !(high > low * (1 + 1e-9));
    for (unsigned i = 0; i < h->rows * h->columns; i++) {
        double x = left + i % h->columns * w, y = top + i / h->columns * t;
        char number[24], tip[TIP];
        if (!isfinite(h->values[i]))
            continue;
        /* by ratios: twice as dear is as much of a difference anywhere */
        double shade = is_flat || low <= 0 ? 0 : log(h->values[i] / low) / log(high / low);
        omt_svg_number(number, h->values[i], false);
        snprintf(tip, sizeof(tip), "%s %s, %s %s: %s", h->row_label, h->row_names[i / h->columns],
                 h->column_label, h->column_names[i % h->columns], number);
        omt_svg_cell(svg, x, y, w - 1, t - 1, shade, tip);
        omt_svg_text(svg, x + w / 2, y + t / 2 + 4, OMT_MIDDLE, shade > 0.6 ? "on" : "off", "%s",
                     number);
    }
    if (isfinite(low))
        omt_svg_frame(svg, left + best % h->columns * w + 1, top + best / h->columns * t + 1, w - 3,
                      t - 3);
}

void omt_chart_heat_panels(FILE *out, const char *title, const char *desc,
                           const struct omt_heat *panels, unsigned count, unsigned columns)
{
    struct omt_svg svg;
    unsigned rows = (count + columns - 1) / columns;
    double width = (WIDTH - 20.0) / columns, height = 178;
    omt_svg_open(&svg, out, WIDTH, rows * height + 10, title, desc);
    for (unsigned i = 0; i < count; i++) {
        const struct omt_heat *h = &panels[i];
        double left = 10 + i % columns * width + 48, top = i / columns * height + 24;
        double w = width - 58, t = height - 68;
        omt_svg_text(&svg, left + w / 2, top - 8, OMT_MIDDLE, "label head", "%s", h->title);
        heat_draw(&svg, h, left, top, w, t);
        for (unsigned r = 0; r < h->rows; r++)
            omt_svg_text(&svg, left - 5, top + (r + 0.5) * t / h->rows + 4, OMT_END, "small", "%s",
                         h->row_names[r]);
        for (unsigned c = 0; c < h->columns; c++)
            omt_svg_text(&svg, left + (c + 0.5) * w / h->columns, top + t + 13, OMT_MIDDLE, "small",
                         "%s", h->column_names[c]);
        omt_svg_text(&svg, left + w / 2, top + t + 28, OMT_MIDDLE, "small", "%s", h->column_label);
        omt_svg_text_up(&svg, left - 36, top + t / 2, "small", h->row_label);
    }
    omt_svg_close(&svg);
}

/* ---- triangles ------------------------------------------------------------------------------- */

/* Up, lower right, lower left. */
static const double corner_x[3] = {0, 0.8660254, -0.8660254}, corner_y[3] = {-1, 0.5, 0.5};

static void triangle_draw(struct omt_svg *svg, const double values[3], const double most[3],
                          double x, double y, double radius, unsigned series)
{
    double xy[6];
    for (int a = 0; a < 3; a++) {
        double r = most[a] > 0 && values[a] > 0 ? radius * sqrt(values[a] / most[a]) : 0;
        xy[2 * a] = x + corner_x[a] * r;
        xy[2 * a + 1] = y + corner_y[a] * r;
    }
    omt_svg_line(svg, xy, 3, series, true);
}

void omt_chart_triangle_panels(FILE *out, const char *title, const char *desc,
                               const char *const axis_names[3], const char *const *series_names,
                               unsigned series_count, const struct omt_triangles *panels,
                               unsigned count, unsigned columns)
{
    struct omt_svg svg;
    unsigned rows = (count + columns - 1) / columns;
    double width = (WIDTH - 20.0) / columns, height = 190, most[3] = {0}, key = 20;
    char number[24];
    for (unsigned i = 0; i < count; i++)
        for (unsigned s = 0; s < panels[i].series; s++)
            for (int a = 0; a < 3; a++)
                if (isfinite(panels[i].values[s][a]) && panels[i].values[s][a] > most[a])
                    most[a] = panels[i].values[s][a];
    omt_svg_open(&svg, out, WIDTH, rows * height + 52, title, desc);
    for (unsigned s = 0; s < series_count; s++)
        key = omt_svg_key(&svg, key, 20, s, false, series_names[s]);
    for (int a = 0; a < 3; a++) {
        const char *where[3] = {"up", "right", "left"};
        omt_svg_text(&svg, 20 + 280.0 * a, 42, OMT_START, "small", "%s: %s (rim: %s)", where[a],
                     axis_names[a], omt_svg_number(number, most[a], false));
    }
    for (unsigned i = 0; i < count; i++) {
        double x = 10 + (i % columns + 0.5) * width, y = 52 + i / columns * height + 112;
        double radius = 72;
        omt_svg_text(&svg, x, y - 92, OMT_MIDDLE, "label head", "%s", panels[i].title);
        for (int a = 0; a < 3; a++) {
            int b = (a + 1) % 3;
            omt_svg_rule(&svg, x, y, x + corner_x[a] * radius, y + corner_y[a] * radius, false);
            omt_svg_rule(&svg, x + corner_x[a] * radius, y + corner_y[a] * radius,
                         x + corner_x[b] * radius, y + corner_y[b] * radius, false);
        }
        for (unsigned s = 0; s < panels[i].series; s++)
            if (isfinite(panels[i].values[s][0] + panels[i].values[s][1] + panels[i].values[s][2]))
                triangle_draw(&svg, panels[i].values[s], most, x, y, radius, s);
        for (int a = 0; a < 3; a++) {
            double v = panels[i].values[panels[i].series - 1][a];
            static const enum omt_anchor anchors[3] = {OMT_MIDDLE, OMT_START, OMT_END};
            if (isfinite(v))
                omt_svg_text(&svg, x + corner_x[a] * (radius + 6),
                             y + corner_y[a] * (radius + 6) + (a == 0 ? 0 : 4), anchors[a], "small",
                             "%s", omt_svg_number(number, v, false));
        }
    }
    omt_svg_close(&svg);
}

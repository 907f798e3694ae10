#include "tools/svg.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* ---- scales ---------------------------------------------------------------------------------- */

/* 1, 2 or 5 times a power of ten, so that about want of them fit into span. */
static double step_of(double span, unsigned want)
{
    double raw = span / (want > 0 ? want : 1), power = pow(10, floor(log10(raw)));
    double lead = raw / power;
    return (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10) * power;
}

struct omt_scale omt_scale_round(double low, double high, bool is_log, double from, double to)
{
    struct omt_scale s = {low, high, from, to, is_log};
    if (is_log) {
        s.low = low > 0 ? low : 1e-3;
        s.high = high > s.low ? high : s.low * 10;
        s.low = pow(10, floor(log10(s.low) + 1e-9));
        s.high = pow(10, ceil(log10(s.high) - 1e-9));
        if (s.high <= s.low)
            s.high = s.low * 10;
        return s;
    }
    if (!(high > low))
        s.high = low + (low != 0 ? fabs(low) : 1);
    double step = step_of(s.high - s.low, 5);
    s.low = floor(s.low / step + 1e-9) * step;
    s.high = ceil(s.high / step - 1e-9) * step;
    return s;
}

double omt_scale_at(const struct omt_scale *s, double value)
{
    double share;
    if (s->is_log)
        share = (log(value > 0 ? value : s->low) - log(s->low)) / (log(s->high) - log(s->low));
    else
        share = (value - s->low) / (s->high - s->low);
    return s->from + share * (s->to - s->from);
}

static unsigned ticks_log(const struct omt_scale *s, unsigned want,
                          double ticks_out[static OMT_TICKS_MAX])
{
    static const double leads[] = {1, 2, 5};
    unsigned count = 0, decades = (unsigned)(log10(s->high / s->low) + 0.5);
    unsigned leads_used = decades * 3 <= want ? 3 : 1;
    unsigned stride = decades > want ? (decades + want - 1) / want : 1;
    int first = (int)floor(log10(s->low) + 1e-9);
    for (unsigned d = 0; d <= decades + 1; d += stride)
        for (unsigned i = 0; i < leads_used && count < OMT_TICKS_MAX; i++) {
            double v = leads[i] * pow(10, first + (int)d);
            if (v >= s->low * (1 - 1e-9) && v <= s->high * (1 + 1e-9))
                ticks_out[count++] = v;
        }
    return count;
}

unsigned omt_scale_ticks(const struct omt_scale *s, unsigned want,
                         double ticks_out[static OMT_TICKS_MAX])
{
    want = want < 1 ? 1 : want < OMT_TICKS_MAX - 1 ? want : OMT_TICKS_MAX - 1;
    if (s->is_log)
        return ticks_log(s, want, ticks_out);
    double step = step_of(s->high - s->low, want);
    double first = ceil(s->low / step - 1e-9);
    unsigned count = 0;
    for (double i = first; count < OMT_TICKS_MAX && i * step <= s->high + step * 1e-6; i++)
        ticks_out[count++] = i == 0 ? 0 : i * step; /* no minus zero */
    return count;
}

/* ---- text ------------------------------------------------------------------------------------ */

void omt_xml_text(FILE *out, const char *text)
{
    for (const char *p = text; *p != 0; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '&')
            fputs("&amp;", out);
        else if (c == '<')
            fputs("&lt;", out);
        else if (c == '>')
            fputs("&gt;", out);
        else if (c == '"')
            fputs("&quot;", out);
        else if (c >= 0x20 || c == '\n' || c == '\t')
            putc(c, out); /* other control characters are no XML */
    }
}

/* Three digits, no trailing zeros. */
static void number_short(char out[static 16], double value)
{
    double size = fabs(value);
    int digits = size >= 100 || size == 0 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
    if (size != 0 && size < 0.01) {
        snprintf(out, 16, "%.2g", value);
        return;
    }
    snprintf(out, 16, "%.*f", digits, value);
    if (strchr(out, '.') == NULL)
        return;
    size_t n = strlen(out);
    while (out[n - 1] == '0')
        out[--n] = 0;
    if (out[n - 1] == '.')
        out[n - 1] = 0;
}

const char *omt_svg_number(char out[static 24], double value, bool per_cent)
{
    static const char suffix[] = " kMGT";
    char digits[16];
    unsigned power = 0;
    value *= per_cent ? 100 : 1;
    while (!per_cent && fabs(value) >= 1000 && power < 4) {
        value /= 1000;
        power++;
    }
    number_short(digits, value);
    if (power != 0)
        snprintf(out, 24, "%s %c", digits, suffix[power]);
    else
        snprintf(out, 24, "%s%s", digits, per_cent ? " %" : "");
    return out;
}

/* ---- the page -------------------------------------------------------------------------------- */

/* Colours of Okabe and Ito; on black the dark ones are lightened. Paper is always light. */
static const char style_light[] =
    "text{font-family:system-ui,Helvetica,Arial,sans-serif;font-size:12px;fill:#222}"
    ".small{font-size:10.5px;fill:#444}.head{font-weight:600}"
    ".on{fill:#fff;font-size:11px}.off{fill:#111;font-size:11px}"
    ".grid{stroke:#ddd;stroke-width:1}.rule{stroke:#666;stroke-width:1}"
    ".frame{fill:none;stroke:#999;stroke-width:1}.band{fill:#888;fill-opacity:.18}"
    ".line{fill:none;stroke-width:2;stroke-linejoin:round}.area{fill-opacity:.12;stroke-width:2}"
    ".p{fill-opacity:.75;stroke-width:.8}"
    ".f0{fill:#0072b2}.f1{fill:#d55e00}.f2{fill:#009e73}.f3{fill:#cc79a7}"
    ".f4{fill:#e69f00}.f5{fill:#56b4e9}.f6{fill:#777}.f7{fill:#b8a800}"
    ".s0{stroke:#0072b2}.s1{stroke:#d55e00}.s2{stroke:#009e73}.s3{stroke:#cc79a7}"
    ".s4{stroke:#e69f00}.s5{stroke:#56b4e9}.s6{stroke:#777}.s7{stroke:#b8a800}";
static const char style_dark[] = "@media screen and (prefers-color-scheme:dark){"
                                 "text{fill:#e6e6e6}.small{fill:#bbb}.off{fill:#111}.on{fill:#fff}"
                                 ".grid{stroke:#3a3a3a}.rule{stroke:#aaa}.frame{stroke:#777}"
                                 ".f0{fill:#3f97e6}.f1{fill:#ff8a3d}.f2{fill:#2cc79a}"
                                 ".f5{fill:#a8deff}.f6{fill:#aaa}.f7{fill:#f0e442}"
                                 ".s0{stroke:#3f97e6}.s1{stroke:#ff8a3d}.s2{stroke:#2cc79a}"
                                 ".s5{stroke:#a8deff}.s6{stroke:#aaa}.s7{stroke:#f0e442}}";
static const char *const dashes[OMT_SERIES_MAX] = {"none", "7 3",     "2 3", "9 3 2 3",
                                                   "4 2",  "9 2 2 2", "1 2", "12 4"};

void omt_svg_open(struct omt_svg *svg, FILE *out, double width, double height, const char *title,
                  const char *desc)
{
    *svg = (struct omt_svg){out, width, height};
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %g %g\" width=\"%g\" "
            "height=\"%g\" role=\"img\">\n<title>",
            width, height, width, height);
    omt_xml_text(out, title);
    fputs("</title>\n<desc>", out);
    omt_xml_text(out, desc);
    fprintf(out, "</desc>\n<style>%s%s</style>\n", style_light, style_dark);
}

void omt_svg_close(struct omt_svg *svg)
{
    fputs("</svg>\n", svg->out);
}

static void tip_write(struct omt_svg *svg, const char *element, const char *tip)
{
    if (tip == NULL) {
        fputs("/>\n", svg->out);
        return;
    }
    fputs("><title>", svg->out);
    omt_xml_text(svg->out, tip);
    fprintf(svg->out, "</title></%s>\n", element);
}

void omt_svg_text(struct omt_svg *svg, double x, double y, enum omt_anchor anchor, const char *kind,
                  const char *format, ...)
{
    static const char *const anchors[] = {"start", "middle", "end"};
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(svg->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y,
            anchors[anchor], kind);
    omt_xml_text(svg->out, text);
    fputs("</text>\n", svg->out);
}

void omt_svg_text_up(struct omt_svg *svg, double x, double y, const char *kind, const char *text)
{
    fprintf(svg->out,
            "<text transform=\"translate(%.1f %.1f) rotate(-90)\" text-anchor=\"middle\" "
            "class=\"%s\">",
            x, y, kind);
    omt_xml_text(svg->out, text);
    fputs("</text>\n", svg->out);
}

void omt_svg_bar(struct omt_svg *svg, double x, double y, double width, double height,
                 unsigned series, const char *tip)
{
    fprintf(svg->out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"f%u\"", x,
            y, width, height > 0 ? height : 0, series % OMT_SERIES_MAX);
    tip_write(svg, "rect", tip);
}

/* From near white to a dark blue; its lightness falls evenly. */
static void shade_of(double shade, unsigned rgb[3])
{
    static const double light[3] = {240, 246, 252}, mid[3] = {93, 161, 208}, dark[3] = {8, 48, 107};
    shade = shade < 0 ? 0 : shade > 1 ? 1 : shade;
    for (int i = 0; i < 3; i++) {
        double v = shade < 0.5 ? light[i] + (mid[i] - light[i]) * shade * 2
                               : mid[i] + (dark[i] - mid[i]) * (shade - 0.5) * 2;
        rgb[i] = (unsigned)(v + 0.5);
    }
}

void omt_svg_cell(struct omt_svg *svg, double x, double y, double width, double height,
                  double shade, const char *tip)
{
    unsigned rgb[3];
    shade_of(shade, rgb);
    fprintf(svg->out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"#%02x%02x%02x\"", x,
            y, width, height, rgb[0], rgb[1], rgb[2]);
    tip_write(svg, "rect", tip);
}

void omt_svg_frame(struct omt_svg *svg, double x, double y, double width, double height)
{
    fprintf(svg->out,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" class=\"frame\"/>\n", x, y,
            width, height);
}

void omt_svg_rule(struct omt_svg *svg, double x1, double y1, double x2, double y2, bool strong)
{
    fprintf(svg->out, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1,
            y1, x2, y2, strong ? "rule" : "grid");
}

/* ---- marks ----------------------------------------------------------------------------------- */

void omt_svg_point(struct omt_svg *svg, double x, double y, unsigned series, const char *tip)
{
    unsigned s = series % OMT_SERIES_MAX;
    FILE *out = svg->out;
    switch ((series + series / OMT_SERIES_MAX) % 4) {
    case 0:
        fprintf(out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" class=\"p f%u s%u\"", x, y, s, s);
        tip_write(svg, "circle", tip);
        return;
    case 1:
        fprintf(out, "<rect x=\"%.1f\" y=\"%.1f\" width=\"6.5\" height=\"6.5\" class=\"p f%u s%u\"",
                x - 3.25, y - 3.25, s, s);
        tip_write(svg, "rect", tip);
        return;
    case 2:
        fprintf(out, "<path d=\"M%.1f %.1fl4.2 7.4h-8.4z\" class=\"p f%u s%u\"", x, y - 4.6, s, s);
        break;
    default:
        fprintf(out, "<path d=\"M%.1f %.1fl4.4 4.4l-4.4 4.4l-4.4 -4.4z\" class=\"p f%u s%u\"", x,
                y - 4.4, s, s);
    }
    tip_write(svg, "path", tip);
}

static void pairs_write(struct omt_svg *svg, const double *xy, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        fprintf(svg->out, "%s%.1f,%.1f", i == 0 ? "" : " ", xy[2 * i], xy[2 * i + 1]);
}

void omt_svg_line(struct omt_svg *svg, const double *xy, unsigned count, unsigned series,
                  bool closed)
{
    unsigned s = series % OMT_SERIES_MAX;
    fprintf(svg->out, "<%s points=\"", closed ? "polygon" : "polyline");
    pairs_write(svg, xy, count);
    fprintf(svg->out, "\" stroke-dasharray=\"%s\" class=\"", dashes[s]);
    if (closed)
        fprintf(svg->out, "area f%u s%u\"/>\n", s, s);
    else
        fprintf(svg->out, "line s%u\"/>\n", s);
}

void omt_svg_band(struct omt_svg *svg, const double *xy, unsigned count)
{
    fputs("<polygon points=\"", svg->out);
    pairs_write(svg, xy, count);
    fputs("\" class=\"band\"/>\n", svg->out);
}

/* Fonts differ: wide enough for all of them. */
static double text_width(const char *text)
{
    return 7.2 * (double)strlen(text);
}

double omt_svg_key(struct omt_svg *svg, double x, double y, unsigned series, bool is_line,
                   const char *name)
{
    if (is_line) {
        const double xy[] = {x, y - 4, x + 26, y - 4};
        omt_svg_line(svg, xy, 2, series, false);
        omt_svg_point(svg, x + 13, y - 4, series, NULL);
        x += 32;
    } else {
        omt_svg_bar(svg, x, y - 10, 12, 12, series, NULL);
        x += 18;
    }
    omt_svg_text(svg, x, y, OMT_START, "label", "%s", name);
    return x + text_width(name) + 16;
}

/* ---- axes ------------------------------------------------------------------------------------ */

void omt_svg_axis_x(struct omt_svg *svg, const struct omt_scale *x, const struct omt_scale *y,
                    bool per_cent, const char *label)
{
    double ticks[OMT_TICKS_MAX], width = fabs(x->to - x->from);
    unsigned count = omt_scale_ticks(x, (unsigned)(width / 70) + 1, ticks);
    char number[24];
    for (unsigned i = 0; i < count; i++) {
        double at = omt_scale_at(x, ticks[i]);
        omt_svg_rule(svg, at, y->from, at, y->to, false);
        omt_svg_text(svg, at, y->from + 16, OMT_MIDDLE, "small", "%s",
                     omt_svg_number(number, ticks[i], per_cent));
    }
    omt_svg_rule(svg, x->from, y->from, x->to, y->from, true);
    omt_svg_text(svg, (x->from + x->to) / 2, y->from + 34, OMT_MIDDLE, "label", "%s", label);
}

void omt_svg_axis_y(struct omt_svg *svg, const struct omt_scale *x, const struct omt_scale *y,
                    bool per_cent, const char *label)
{
    double ticks[OMT_TICKS_MAX], height = fabs(y->to - y->from);
    unsigned count = omt_scale_ticks(y, (unsigned)(height / 45) + 1, ticks);
    char number[24];
    for (unsigned i = 0; i < count; i++) {
        double at = omt_scale_at(y, ticks[i]);
        omt_svg_rule(svg, x->from, at, x->to, at, false);
        omt_svg_text(svg, x->from - 6, at + 4, OMT_END, "small", "%s",
                     omt_svg_number(number, ticks[i], per_cent));
    }
    omt_svg_rule(svg, x->from, y->from, x->from, y->to, true);
    omt_svg_text_up(svg, x->from - 46, (y->from + y->to) / 2, "label", label);
}

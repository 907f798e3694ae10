/*
 * Charts are well-formed XML whatever names they are given, hold no script and nothing from
 * elsewhere, and scales put values where they belong.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/svg_charts.h"

static const char *const nasty[] = {"<script>alert(1)</script>", "a & b \"quoted\"", "]]>",
                                    "\x01 x"};

/* Tags that open and close in order, attributes quoted, no stray & or <. */
static void expect_well_formed(const char *text)
{
    const char *open[64];
    size_t length[64], depth = 0;
    for (const char *p = text; *p != 0; p++) {
        if (*p == '&') {
            size_t n = strcspn(p, ";");
            cr_assert(n >= 3 && n <= 6, "a stray & in: %.40s", p);
        }
        cr_assert((unsigned char)*p >= 0x20 || *p == '\n', "a control character");
        if (*p != '<')
            continue;
        const char *end = strchr(p, '>');
        cr_assert(end != NULL, "an open tag: %.40s", p);
        size_t quotes = 0;
        for (const char *q = p; q < end; q++)
            quotes += *q == '"';
        cr_assert(quotes % 2 == 0, "quotes: %.80s", p);
        if (p[1] == '/') {
            cr_assert(depth > 0);
            depth--;
            cr_assert(strncmp(open[depth], p + 2, length[depth]) == 0 &&
                          p + 2 + length[depth] == end,
                      "closes what is not open: %.40s", p);
        } else if (end[-1] != '/') {
            cr_assert(depth < 64);
            open[depth] = p + 1;
            length[depth++] = strcspn(p + 1, " >");
        }
        p = end;
    }
    cr_assert_eq(depth, 0);
    cr_assert(strstr(text, "<script") == NULL && strstr(text, "href") == NULL);
    cr_assert(strstr(text, "nan") == NULL && strstr(text, "inf\"") == NULL);
}

static FILE *begin(char **text, size_t *size)
{
    FILE *out = open_memstream(text, size);
    cr_assert(out != NULL);
    return out;
}

static void end(FILE *out, char *text)
{
    (void)out;
    expect_well_formed(text);
    free(text);
}

Test(svg, bars_with_holes_and_hostile_names_are_well_formed)
{
    char *text;
    size_t size;
    FILE *out = begin(&text, &size);
    const double values[] = {1, NAN, 0.5, 9, 0, INFINITY};
    omt_chart_bars(out, &(struct omt_bars){.title = nasty[0],
                                           .desc = nasty[1],
                                           .unit = nasty[2],
                                           .groups = 3,
                                           .series = 2,
                                           .group_names = nasty,
                                           .series_names = nasty,
                                           .values = values,
                                           .rule = 1,
                                           .most = 2});
    cr_assert_eq(fclose(out), 0);
    end(out, text);
}

Test(svg, curves_scatter_heat_and_triangles_are_well_formed)
{
    char *text;
    size_t size;
    FILE *out = begin(&text, &size);
    const double x[] = {1, 2, 4}, y[] = {0.5, NAN, 0.1}, low[] = {0.4, 0.2, 0}, high[] = {1, 1, 1};
    const struct omt_curve curves[] = {{nasty[0], 0, 3, x, y, low, high},
                                       {nasty[3], 9, 0, x, y, NULL, NULL}};
    const struct omt_curves c = {nasty[0], nasty[1], nasty[2], nasty[3], true,     true, true,
                                 false,    curves,   2,        0.3,      nasty[0], 0.8};
    omt_chart_curves(out, &c);
    const struct omt_curves panels[] = {c, c, c};
    omt_chart_curve_panels(out, nasty[0], nasty[1], panels, 3, 2);
    const struct omt_mark marks[] = {{1, 2, 0, nasty[0]}, {0, 3, 11, NULL}, {5, -1, 1, NULL}};
    omt_chart_scatter(out, &(struct omt_scatter){nasty[0], nasty[1], nasty[2], nasty[3], marks, 3,
                                                 nasty, 4, 0.1});
    const double cells[] = {1, NAN, 3, 4};
    const struct omt_heat heat = {nasty[0], nasty[1], nasty[2], 2, 2, nasty, nasty, cells};
    omt_chart_heat_panels(out, nasty[0], nasty[1], &heat, 1, 4);
    const double corners[2][3] = {{1, 2, 3}, {NAN, 1, 1}};
    const struct omt_triangles triangle = {nasty[0], 2, corners};
    omt_chart_triangle_panels(out, nasty[0], nasty[1], nasty, nasty, 2, &triangle, 1, 4);
    cr_assert_eq(fclose(out), 0);
    end(out, text);
}

Test(svg, charts_of_nothing_are_still_charts)
{
    char *text;
    size_t size;
    FILE *out = begin(&text, &size);
    omt_chart_bars(out, &(struct omt_bars){.title = "", .desc = "", .unit = "", .rule = NAN});
    omt_chart_scatter(out, &(struct omt_scatter){"", "", "", "", NULL, 0, NULL, 0, 0.1});
    const struct omt_curves none = {"",    "",   "", "",  false, false, false,
                                    false, NULL, 0,  NAN, NULL,  0};
    omt_chart_curves(out, &none);
    cr_assert_eq(fclose(out), 0);
    end(out, text);
}

Test(svg, round_scales_hold_their_values_and_ticks)
{
    static const double ranges[][2] = {{0, 1}, {0, 0.037},  {-3, 1234},
                                       {5, 5}, {1e-9, 3e9}, {0.9, 1.1}};
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        for (int is_log = 0; is_log <= 1; is_log++) {
            if (is_log && ranges[i][0] <= 0)
                continue;
            struct omt_scale s = omt_scale_round(ranges[i][0], ranges[i][1], is_log != 0, 300, 40);
            double ticks[OMT_TICKS_MAX];
            unsigned count = omt_scale_ticks(&s, 6, ticks);
            cr_assert(s.low <= ranges[i][0] && s.high >= ranges[i][1]);
            cr_assert(count >= 2 && count <= OMT_TICKS_MAX, "%u ticks of %g to %g", count, s.low,
                      s.high);
            for (unsigned k = 0; k < count; k++) {
                double at = omt_scale_at(&s, ticks[k]);
                cr_assert(at <= 300 + 1e-6 && at >= 40 - 1e-6);
                cr_assert(k == 0 || ticks[k] > ticks[k - 1]);
            }
        }
}

Test(svg, numbers_are_short)
{
    static const struct {
        double value;
        bool per_cent;
        const char *want;
    } cases[] = {{0, false, "0"},        {0.5, false, "0.5"},    {12.34, false, "12.3"},
                 {1500, false, "1.5 k"}, {0.075, true, "7.5 %"}, {2e9, false, "2 G"},
                 {-3, false, "-3"},      {0.002, false, "0.002"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char got[24];
        omt_svg_number(got, cases[i].value, cases[i].per_cent);
        if (cases[i].value != 0.002)
            cr_assert_str_eq(got, cases[i].want);
        else
            cr_assert_eq(strtod(got, NULL), 0.002);
    }
}

#include "bench/tier_plot.h"

#include <math.h>
#include <stdio.h>

enum { WIDTH = 760, HEIGHT = 440, LEFT = 60, RIGHT = 190, TOP = 40, BOTTOM = 60 };

static const char *const colours[] = {"#1b6ca8", "#c0392b", "#2d8f4e", "#8e5ea2",
                                      "#d68910", "#16a5a5", "#6b6b6b", "#b03a78"};
enum { COLOURS = sizeof(colours) / sizeof(colours[0]) };

struct frame {
    double x_max, y_max, y_step;
};

static double x_of(const struct frame *f, double x)
{
    return LEFT + x / f->x_max * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct frame *f, double y)
{
    double share = y / f->y_max;
    return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM);
}

static struct frame frame_of(const struct plot_curve *curves, size_t count)
{
    struct frame f = {.x_max = 100, .y_max = 1, .y_step = 0.2};
    for (size_t c = 0; c < count; c++)
        for (size_t i = 0; i < curves[c].count; i++) {
            f.x_max = fmax(f.x_max, curves[c].x[i]);
            f.y_max = fmax(f.y_max, curves[c].high[i]);
        }
    while (f.y_max / f.y_step > 10)
        f.y_step *= 2;
    f.y_max = ceil(f.y_max / f.y_step) * f.y_step;
    return f;
}

static void grid(FILE *out, const struct frame *f)
{
    for (double y = 0; y <= f->y_max + f->y_step / 2; y += f->y_step)
        fprintf(out,
                "<line x1='%d' x2='%d' y1='%.1f' y2='%.1f' stroke='%s'/>"
                "<text x='%d' y='%.1f' text-anchor='end'>%.1f</text>\n",
                LEFT, WIDTH - RIGHT, y_of(f, y), y_of(f, y), fabs(y - 1) < 1e-9 ? "#888" : "#ddd",
                LEFT - 8, y_of(f, y) + 4, y);
    for (int i = 0; i <= 5; i++) {
        double x = f->x_max * i / 5;
        fprintf(out, "<text x='%.1f' y='%d' text-anchor='middle'>%.0f</text>\n", x_of(f, x),
                HEIGHT - BOTTOM + 18, x);
    }
    fprintf(out, "<text x='%d' y='%d' text-anchor='middle'>ns that a far line costs more</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - BOTTOM + 36);
}

static void curve(FILE *out, const struct frame *f, const struct plot_curve *c, size_t at)
{
    const char *colour = colours[at % COLOURS];
    fprintf(out, "<polyline fill='none' stroke='%s' stroke-width='2' points='", colour);
    for (size_t i = 0; i < c->count; i++)
        fprintf(out, "%.1f,%.1f ", x_of(f, c->x[i]), y_of(f, c->y[i]));
    fprintf(out, "'/>\n");
    for (size_t i = 0; i < c->count; i++)
        fprintf(out,
                "<line x1='%.1f' x2='%.1f' y1='%.1f' y2='%.1f' stroke='%s'/>"
                "<circle cx='%.1f' cy='%.1f' r='3' fill='%s'/>\n",
                x_of(f, c->x[i]), x_of(f, c->x[i]), y_of(f, c->low[i]), y_of(f, c->high[i]), colour,
                x_of(f, c->x[i]), y_of(f, c->y[i]), colour);
    double y = TOP + 10 + 20 * (double)at;
    fprintf(out,
            "<line x1='%d' x2='%d' y1='%.0f' y2='%.0f' stroke='%s' stroke-width='2'/>"
            "<text x='%d' y='%.0f'>%s</text>\n",
            WIDTH - RIGHT + 14, WIDTH - RIGHT + 34, y, y, colour, WIDTH - RIGHT + 40, y + 4,
            c->name);
}

bool plot_write(const char *path, const char *title, const char *caption,
                const struct plot_curve *curves, size_t count)
{
    FILE *out = fopen(path, "w");
    if (out == NULL)
        return false;
    struct frame f = frame_of(curves, count);
    fprintf(
        out,
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' "
        "font-family='sans-serif' font-size='12'>\n<rect width='%d' height='%d' fill='white'/>\n"
        "<text x='%d' y='22' font-size='14'>%s</text>\n",
        WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT, title);
    grid(out, &f);
    for (size_t c = 0; c < count; c++)
        curve(out, &f, &curves[c], c);
    fprintf(out, "<text x='%d' y='%d' fill='#555' font-size='11'>%s</text>\n</svg>\n", LEFT,
            HEIGHT - 8, caption);
    bool written = ferror(out) == 0;
    return fclose(out) == 0 && written;
}

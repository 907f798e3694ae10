#include "compaction/cost_skew.h"

#include <math.h>

enum { SINGLE_RANKS = 8 };
static const double wider = 1.5;

/* The integral of x^-theta over [from - 1/2, to + 1/2]. */
static double mass_of(double from, double to, double theta)
{
    return (pow(to + 0.5, 1 - theta) - pow(from - 0.5, 1 - theta)) / (1 - theta);
}

void omi_skew_make(double keys, double theta, struct omi_skew *skew_out)
{
    double sum = 0, first = 1;
    *skew_out = (struct omi_skew){0};
    if (theta <= 0 || keys < 2) {
        *skew_out = (struct omi_skew){1, {keys}, {1 / keys}};
        return;
    }
    while (first <= keys && skew_out->count < OMI_SKEW_CLASSES_MAX) {
        double size = skew_out->count < SINGLE_RANKS ? 1 : floor(first * (wider - 1));
        if (first + size > keys || skew_out->count + 1 == OMI_SKEW_CLASSES_MAX)
            size = keys - first + 1;
        double mass = size == 1 ? pow(first, -theta) : mass_of(first, first + size - 1, theta);
        skew_out->keys[skew_out->count] = size;
        skew_out->chance[skew_out->count++] = mass / size;
        sum += mass;
        first += size;
    }
    for (uint32_t i = 0; i < skew_out->count; i++)
        skew_out->chance[i] /= sum;
}

double omi_skew_seen(const struct omi_skew *skew, double draws)
{
    double sum = 0;
    for (uint32_t i = 0; i < skew->count; i++)
        sum -= skew->keys[i] * expm1(-skew->chance[i] * draws);
    return sum;
}

double omi_skew_known(const struct omi_skew *skew, double draws)
{
    double sum = 0;
    for (uint32_t i = 0; i < skew->count; i++)
        sum -= skew->keys[i] * skew->chance[i] * expm1(-skew->chance[i] * draws);
    return sum;
}

double omi_skew_rank_within(const struct omi_skew *skew, double most)
{
    double sum = 0, before = 0;
    for (uint32_t i = 0; i < skew->count; i++) {
        double middle = before + (skew->keys[i] + 1) / 2;
        sum += skew->keys[i] * skew->chance[i] * fmin(middle, most);
        before += skew->keys[i];
    }
    return sum;
}

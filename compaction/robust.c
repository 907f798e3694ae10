#include "compaction/robust.h"

#include <math.h>
#include <stdlib.h>

enum { STEPS = 100 };

/* The dual at lambda. Shifted by the dearest cost, so that no power overflows. */
static double dual_at(const double cost[OMI_TUNE_OPS], const double mix[OMI_TUNE_OPS],
                      double dearest, double rho, double lambda)
{
    double sum = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        if (mix[j] > 0)
            sum += mix[j] * exp((cost[j] - dearest) / lambda);
    return dearest + lambda * (log(sum) + rho);
}

static void worst_at(const double cost[OMI_TUNE_OPS], const double mix[OMI_TUNE_OPS],
                     double dearest, double lambda, double worst_out[OMI_TUNE_OPS])
{
    double sum = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        sum += worst_out[j] = mix[j] > 0 ? mix[j] * exp((cost[j] - dearest) / lambda) : 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        worst_out[j] /= sum;
}

double omi_robust_cost(const double cost[OMI_TUNE_OPS], const double mix[OMI_TUNE_OPS], double rho,
                       double worst_out[OMI_TUNE_OPS])
{
    double sum = 0, mean = 0, dearest = -INFINITY, cheapest = INFINITY, at_dearest = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++) {
        if (mix[j] <= 0)
            continue;
        sum += mix[j];
        mean += mix[j] * cost[j];
        dearest = cost[j] > dearest ? cost[j] : dearest;
        cheapest = cost[j] < cheapest ? cost[j] : cheapest;
    }
    double share[OMI_TUNE_OPS] = {0};
    for (int j = 0; j < OMI_TUNE_OPS && sum > 0; j++) {
        share[j] = mix[j] > 0 ? mix[j] / sum : 0;
        at_dearest += share[j] > 0 && cost[j] == dearest ? share[j] : 0;
        if (worst_out != NULL)
            worst_out[j] = share[j];
    }
    double spread = dearest - cheapest;
    if (sum <= 0)
        return 0;
    if (rho <= 0 || spread <= 0)
        return mean / sum;
    if (rho >= -log(at_dearest)) { /* lambda goes to 0: the ball holds that corner */
        for (int j = 0; j < OMI_TUNE_OPS && worst_out != NULL; j++)
            worst_out[j] = share[j] > 0 && cost[j] == dearest ? share[j] / at_dearest : 0;
        return dearest;
    }
    /* For a small rho lambda is about spread / sqrt(rho); in ln lambda the dual has one valley. */
    double low = log(spread) - 12, high = log(spread) + 12 - log(rho < 1 ? rho : 1);
    const double golden = 0.61803398874989484820;
    double left = high - golden * (high - low), right = low + golden * (high - low);
    double at_left = dual_at(cost, share, dearest, rho, exp(left));
    double at_right = dual_at(cost, share, dearest, rho, exp(right));
    for (int step = 0; step < STEPS; step++) {
        if (at_left <= at_right) {
            high = right;
            right = left;
            at_right = at_left;
            left = high - golden * (high - low);
            at_left = dual_at(cost, share, dearest, rho, exp(left));
        } else {
            low = left;
            left = right;
            at_left = at_right;
            right = low + golden * (high - low);
            at_right = dual_at(cost, share, dearest, rho, exp(right));
        }
    }
    double lambda = exp((low + high) / 2), robust = dual_at(cost, share, dearest, rho, lambda);
    if (worst_out != NULL)
        worst_at(cost, share, dearest, lambda, worst_out);
    /* Rounding, where lambda is large: between the mean and the dearest by definition. */
    robust = robust > mean / sum ? robust : mean / sum;
    return robust < dearest ? robust : dearest;
}

double omi_mix_divergence(const double mix[OMI_TUNE_OPS], const double reference[OMI_TUNE_OPS])
{
    double sum = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++) {
        if (mix[j] <= 0)
            continue;
        if (reference[j] <= 0)
            return INFINITY;
        sum += mix[j] * log(mix[j] / reference[j]);
    }
    return sum > 0 ? sum : 0;
}

double omi_mix_drift(const double mix[OMI_TUNE_OPS], const double reference[OMI_TUNE_OPS])
{
    double sum = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        sum += mix[j] > reference[j] ? mix[j] - reference[j] : 0;
    return sum;
}

static const double rho_least = 0.1, rho_most = 2;

/* The 90th percentile needs no sort: keep the tenth that is largest. */
double omi_robust_rho(const double (*windows)[OMI_TUNE_OPS], size_t count)
{
    double top[8]; /* of up to 64 windows, descending */
    size_t kept = 0;
    if (count > 64) { /* an hour of windows is kept, no more */
        windows += count - 64;
        count = 64;
    }
    if (count < 2)
        return rho_least;
    size_t want = (count - 1) / 10 + 1;
    want = want < 8 ? want : 8;
    for (size_t i = 1; i < count; i++) {
        double d = omi_mix_divergence(windows[i], windows[i - 1]);
        size_t at = kept < want ? kept++ : want;
        if (at == want && d <= top[want - 1])
            continue;
        at = at == want ? want - 1 : at;
        for (; at > 0 && top[at - 1] < d; at--)
            top[at] = top[at - 1];
        top[at] = d;
    }
    double rho = top[kept - 1];
    return rho < rho_least ? rho_least : rho > rho_most ? rho_most : rho;
}

/* The cost under drift, against search over all mixes. */
#include "compaction/robust.h"
#include "compaction/tune_random.h"

#include <criterion/criterion.h>
#include <math.h>

TestSuite(robust, .timeout = 60);

static void mix_random(struct omi_random *rng, double mix[OMI_TUNE_OPS])
{
    double sum = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        sum += mix[j] = -log(1 - omi_random_unit(rng)) + 0.01;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        mix[j] /= sum;
}

static double mean(const double cost[OMI_TUNE_OPS], const double mix[OMI_TUNE_OPS])
{
    double sum = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        sum += mix[j] * cost[j];
    return sum;
}

/* The dearest mix of a lattice on the simplex that lies in the ball. */
static double brute(const double cost[OMI_TUNE_OPS], const double mix[OMI_TUNE_OPS], double rho)
{
    enum { N = 100 };
    double best = -INFINITY;
    for (int a = 0; a <= N; a++)
        for (int b = 0; a + b <= N; b++)
            for (int c = 0; a + b + c <= N; c++) {
                const double at[OMI_TUNE_OPS] = {a / (double)N, b / (double)N, c / (double)N,
                                                 (N - a - b - c) / (double)N};
                if (omi_mix_divergence(at, mix) <= rho)
                    best = fmax(best, mean(cost, at));
            }
    return best;
}

Test(robust, is_the_dearest_mix_of_the_ball)
{
    struct omi_random rng = {1};
    for (int round = 0; round < 25; round++) {
        double cost[OMI_TUNE_OPS], mix[OMI_TUNE_OPS], worst[OMI_TUNE_OPS];
        double rho = 0.05 + 2 * omi_random_unit(&rng), spread = 0;
        for (int j = 0; j < OMI_TUNE_OPS; j++)
            cost[j] = 10 * omi_random_unit(&rng);
        for (int j = 0; j < OMI_TUNE_OPS; j++)
            for (int k = 0; k < OMI_TUNE_OPS; k++)
                spread = fmax(spread, cost[j] - cost[k]);
        mix_random(&rng, mix);
        double robust = omi_robust_cost(cost, mix, rho, worst), found = brute(cost, mix, rho);
        cr_assert_geq(robust, found - 1e-9, "no mix of the ball is dearer");
        cr_assert_leq(robust, found + 0.04 * spread, "round %d: %g, %g", round, robust, found);
        /* and the mix that it names is in the ball, and as dear */
        cr_assert_leq(omi_mix_divergence(worst, mix), rho + 1e-6);
        cr_assert(fabs(mean(cost, worst) - robust) < 1e-5 * fmax(1, robust), "%g, %g",
                  mean(cost, worst), robust);
    }
}

Test(robust, grows_from_the_mean_to_the_dearest)
{
    struct omi_random rng = {2};
    for (int round = 0; round < 200; round++) {
        double cost[OMI_TUNE_OPS], mix[OMI_TUNE_OPS], dearest = 0;
        for (int j = 0; j < OMI_TUNE_OPS; j++)
            dearest = fmax(dearest, cost[j] = 1e3 * omi_random_unit(&rng));
        mix_random(&rng, mix);
        double last = omi_robust_cost(cost, mix, 0, NULL);
        cr_assert(fabs(last - mean(cost, mix)) < 1e-9);
        for (double rho = 1e-6; rho < 20; rho *= 1.7) {
            double now = omi_robust_cost(cost, mix, rho, NULL);
            cr_assert(now >= last - 1e-6 * dearest, "rho %g: %g after %g", rho, now, last);
            cr_assert(now <= dearest && isfinite(now));
            last = now;
        }
        cr_assert(last == dearest, "%g, %g", last, dearest);
    }
}

Test(robust, what_never_occurs_does_not_matter)
{
    const double cost[OMI_TUNE_OPS] = {1, 2, 1e9, 3}, mix[OMI_TUNE_OPS] = {0.5, 0.25, 0, 0.25};
    double worst[OMI_TUNE_OPS];
    cr_assert_eq(omi_robust_cost(cost, mix, 10, worst), 3);
    cr_assert_eq(worst[3], 1);
    cr_assert_leq(omi_robust_cost(cost, mix, 0.3, worst), 3);
    cr_assert_eq(worst[2], 0);
    const double same[OMI_TUNE_OPS] = {4, 4, 4, 4}, none[OMI_TUNE_OPS] = {0};
    cr_assert_eq(omi_robust_cost(same, mix, 1, worst), 4);
    cr_assert_eq(omi_robust_cost(same, none, 1, NULL), 0);
}

/* The small-rho expansion: mean + sqrt(2 rho variance). */
Test(robust, small_drift_costs_a_standard_deviation)
{
    const double cost[OMI_TUNE_OPS] = {1, 5, 2, 9}, mix[OMI_TUNE_OPS] = {0.4, 0.3, 0.2, 0.1};
    double m = mean(cost, mix), variance = 0;
    for (int j = 0; j < OMI_TUNE_OPS; j++)
        variance += mix[j] * (cost[j] - m) * (cost[j] - m);
    for (double rho = 1e-7; rho < 1e-4; rho *= 10) {
        double got = omi_robust_cost(cost, mix, rho, NULL) - m, want = sqrt(2 * rho * variance);
        cr_assert(fabs(got - want) < 0.03 * want, "rho %g: %g, %g", rho, got, want);
    }
}

Test(robust, rho_of_windows_is_their_ninth_decile_within_bounds)
{
    static double windows[100][OMI_TUNE_OPS];
    for (int i = 0; i < 100; i++)
        for (int j = 0; j < OMI_TUNE_OPS; j++)
            windows[i][j] = 0.25;
    cr_assert_eq(omi_robust_rho(NULL, 0), 0.1);
    cr_assert_eq(omi_robust_rho(windows, 1), 0.1);
    cr_assert_eq(omi_robust_rho(windows, 100), 0.1);
    /* 21 windows, 20 steps, four of them large: two up, two down; the third largest has two of
     * twenty above it */
    const double other[OMI_TUNE_OPS] = {0.85, 0.05, 0.05, 0.05};
    memcpy(windows[10], other, sizeof(other));
    memcpy(windows[15], other, sizeof(other));
    double up = omi_mix_divergence(other, windows[0]), down = omi_mix_divergence(windows[0], other);
    double rho = omi_robust_rho(windows, 21);
    cr_assert(fabs(rho - fmin(up, down)) < 1e-12, "%g of %g, %g", rho, up, down);
    /* windows of nothing but one kind: infinitely far, capped */
    for (int i = 0; i < 21; i++)
        for (int j = 0; j < OMI_TUNE_OPS; j++)
            windows[i][j] = j == i % 2;
    cr_assert_eq(omi_robust_rho(windows, 21), 2);
}

Test(robust, drift_is_the_share_that_moved)
{
    const double a[OMI_TUNE_OPS] = {0.5, 0.5, 0, 0}, b[OMI_TUNE_OPS] = {0.25, 0.25, 0.5, 0};
    cr_assert_eq(omi_mix_drift(a, b), 0.5);
    cr_assert_eq(omi_mix_drift(b, a), 0.5);
    cr_assert_eq(omi_mix_drift(a, a), 0);
    cr_assert_eq(omi_mix_divergence(a, a), 0);
    cr_assert(isinf(omi_mix_divergence(b, a)));
}

#include "compaction/tune_ridge.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { TERMS = OMI_RIDGE_TERMS };

struct normal {
    double gram[TERMS][TERMS], right[TERMS];
};

double omi_ridge_scale(const struct omi_ridge_row *rows, size_t count)
{
    double up = 0, down = 0;
    for (size_t i = 0; i < count; i++) {
        double theory = 0;
        for (int j = 0; j < TERMS / 2; j++)
            theory += rows[i].term[j];
        theory /= rows[i].label;
        up += rows[i].weight * theory;
        down += rows[i].weight * theory * theory;
    }
    return down > 0 ? up / down : 1;
}

/* Solves the free variables alone by Cholesky; the others are 0. lambda on the diagonal keeps the
 * matrix positive. */
static void solve_free(const struct normal *n, const bool is_free[TERMS], double out[TERMS])
{
    int at[TERMS], count = 0;
    double low[TERMS][TERMS], y[TERMS];
    for (int j = 0; j < TERMS; j++) {
        out[j] = 0;
        if (is_free[j])
            at[count++] = j;
    }
    for (int i = 0; i < count; i++) {
        for (int j = 0; j <= i; j++) {
            double sum = n->gram[at[i]][at[j]];
            for (int k = 0; k < j; k++)
                sum -= low[i][k] * low[j][k];
            low[i][j] = i == j ? sqrt(sum > 1e-300 ? sum : 1e-300) : sum / low[j][j];
        }
    }
    for (int i = 0; i < count; i++) {
        y[i] = n->right[at[i]];
        for (int k = 0; k < i; k++)
            y[i] -= low[i][k] * y[k];
        y[i] /= low[i][i];
    }
    for (int i = count - 1; i >= 0; i--) {
        double sum = y[i];
        for (int k = i + 1; k < count; k++)
            sum -= low[k][i] * out[at[k]];
        out[at[i]] = sum / low[i][i];
    }
}

/* How much the objective falls as variable j grows from d. */
static double pull(const struct normal *n, const double d[TERMS], int j)
{
    double sum = n->right[j];
    for (int k = 0; k < TERMS; k++)
        sum -= n->gram[j][k] * d[k];
    return sum;
}

/* The free variables stay positive on the way to their solution: go as far as the first that would
 * not, fix that one at 0, and solve again (Lawson and Hanson, 1974). */
static void descend(const struct normal *n, bool is_free[TERMS], double d[TERMS])
{
    for (int round = 0; round < TERMS; round++) {
        double want[TERMS], step = 1;
        int blocked = -1;
        solve_free(n, is_free, want);
        for (int j = 0; j < TERMS; j++) {
            if (!is_free[j] || want[j] > 0)
                continue;
            double room = d[j] > want[j] ? d[j] / (d[j] - want[j]) : 0;
            if (blocked < 0 || room < step) {
                step = room < 1 ? room : 1;
                blocked = j;
            }
        }
        for (int j = 0; j < TERMS; j++)
            d[j] = is_free[j] ? d[j] + step * (want[j] - d[j]) : 0;
        if (blocked < 0)
            return;
        is_free[blocked] = false;
        d[blocked] = 0;
    }
}

static void solve_nonnegative(const struct normal *n, const bool there[TERMS], double d[TERMS])
{
    bool is_free[TERMS] = {false};
    for (int j = 0; j < TERMS; j++)
        d[j] = 0;
    for (int round = 0; round < 4 * TERMS; round++) {
        int best = -1;
        double most = 1e-12;
        for (int j = 0; j < TERMS; j++) {
            double p = there[j] && !is_free[j] ? pull(n, d, j) : 0;
            if (p > most) {
                most = p;
                best = j;
            }
        }
        if (best < 0)
            return;
        is_free[best] = true;
        descend(n, is_free, d);
    }
}

void omi_ridge_fit(const struct omi_ridge_row *rows, size_t count, double lambda,
                   const double prior[TERMS], double coef_out[TERMS])
{
    struct normal n;
    double size[TERMS] = {0}, all = 0, d[TERMS];
    bool there[TERMS];
    memset(&n, 0, sizeof(n));
    for (size_t i = 0; i < count; i++) {
        double weight = rows[i].weight, x[TERMS];
        if (weight <= 0)
            continue;
        all += weight;
        for (int j = 0; j < TERMS; j++)
            x[j] = rows[i].term[j] / rows[i].label;
        for (int j = 0; j < TERMS; j++) {
            n.right[j] += weight * x[j];
            for (int k = 0; k <= j; k++)
                n.gram[j][k] += weight * x[j] * x[k];
        }
    }
    for (int j = 0; j < TERMS; j++) {
        size[j] = all > 0 ? sqrt(n.gram[j][j] / all) : 0;
        there[j] = size[j] > 0;
    }
    for (int j = 0; j < TERMS; j++) { /* in units of each term's size */
        n.right[j] = there[j] ? n.right[j] / (all * size[j]) + lambda * prior[j] * size[j] : 0;
        for (int k = 0; k < j; k++)
            n.gram[k][j] = n.gram[j][k] =
                there[j] && there[k] ? n.gram[j][k] / (all * size[j] * size[k]) : 0;
        n.gram[j][j] = 1 + lambda;
    }
    solve_nonnegative(&n, there, d);
    for (int j = 0; j < TERMS; j++)
        coef_out[j] = there[j] ? d[j] / size[j] : prior[j];
}

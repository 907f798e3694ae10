/*
 * filter_solve.c - how many probes the keys of each region get. Minimises
 *     sum of w_i f(k_i) + price * (density * n_i * k_i)
 * region by region, for each density of the shared array; the floor bounds every region, and the
 * least extra weight on lookups spread like the keys keeps the whole filter useful should they come.
 */
#include "learned/filter_plan.h"

#include <math.h>

enum { BISECT_STEPS = 40 };
static const double density_first = 1.44, density_step = 0.05;

void omi_plan_model_init(struct omi_plan_model *m)
{
    for (uint32_t d = 0; d < OMI_PLAN_DENSITIES; d++)
        for (uint32_t k = 0; k <= OMI_PLAN_PROBES_MAX; k++)
            m->fpr[d][k] = omi_filter_fpr_probes(omi_plan_density(d) * k, k);
}

double omi_plan_density(uint32_t row)
{
    return density_first + density_step * row;
}

/* The share of the lookups that reach the region's lines; half a lookup is added to each region, so
 * that none is taken to be free of them (Krichevsky, Trofimov, 1981). */
static double region_share(const struct omi_plan_region *r, const struct omi_plan_terms *t,
                           uint32_t regions)
{
    return (r->known + t->pass * r->unknown + 0.5) / (t->samples + 0.5 * regions);
}

struct sums {
    double keys;
    uint32_t regions; /* with keys */
};

static struct sums add_up(const struct omi_plan_regions *r)
{
    struct sums s = {0, 0};
    for (uint32_t i = 0; i < r->count; i++) {
        s.keys += r->at[i].keys;
        s.regions += r->at[i].keys > 0;
    }
    return s;
}

/* The cheapest number of probes of a region; the cost is convex in it. */
static uint8_t probes_best(const double *fpr, double weight, double probe_cost, double floor)
{
    uint32_t k = 0;
    while (k < OMI_PLAN_PROBES_MAX && fpr[k] > floor)
        k++;
    while (k < OMI_PLAN_PROBES_MAX && weight * fpr[k + 1] + probe_cost < weight * fpr[k])
        k++;
    return (uint8_t)k;
}

/* Probes of all regions for one density and one extra weight. */
static void assign(struct omi_plan_regions *r, const struct omi_plan_terms *t, struct sums s,
                   uint32_t row, double extra, struct omi_plan_outcome *out)
{
    const double *fpr = t->model->fpr[row];
    double density = omi_plan_density(row), directory = 0;
    uint32_t last = UINT32_MAX;
    *out = (struct omi_plan_outcome){.bits_per_probe = density};
    for (uint32_t i = 0; i < r->count; i++) {
        struct omi_plan_region *at = &r->at[i];
        uint32_t class = OMI_FILTER_CLASS_NO_KEYS;
        if (at->keys > 0) {
            double share = region_share(at, t, s.regions), like = at->keys / s.keys;
            at->probes = probes_best(fpr, t->weight * (share + extra * like),
                                     t->price * density * at->keys, t->floor);
            out->fpr += share * fpr[at->probes];
            out->keylike += like * fpr[at->probes];
            out->bits += density * at->keys * at->probes;
            class = at->probes;
        }
        directory += class != last ? OMI_PLAN_REGION_BITS : 0;
        last = class;
    }
    out->bits += directory;
    out->cost = t->weight * out->fpr + t->price * out->bits;
}

/* The least extra weight that keeps the key-like false positives within their bound. */
static void assign_robust(struct omi_plan_regions *r, const struct omi_plan_terms *t, struct sums s,
                          uint32_t row, struct omi_plan_outcome *out)
{
    static const double extras[] = {0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 100};
    for (uint32_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
        assign(r, t, s, row, extras[i], out);
        if (out->keylike <= t->keylike)
            return;
    }
    out->cost = INFINITY;
}

void omi_plan_solve(struct omi_plan_regions *r, const struct omi_plan_terms *terms,
                    struct omi_plan_outcome *out)
{
    struct sums s = add_up(r);
    struct omi_plan_outcome best = {.cost = INFINITY};
    uint32_t row = 0;
    for (uint32_t d = 0; d < OMI_PLAN_DENSITIES; d++) {
        assign_robust(r, terms, s, d, out);
        if (out->cost < best.cost) {
            best = *out;
            row = d;
        }
    }
    assign_robust(r, terms, s, row, out);
}

void omi_plan_solve_bits(struct omi_plan_regions *r, struct omi_plan_terms *terms, double bits,
                         struct omi_plan_outcome *out)
{
    double low = 0x1p-80, high = 0x1p10; /* too cheap; too dear */
    for (int i = 0; i < BISECT_STEPS; i++) {
        terms->price = sqrt(low * high);
        omi_plan_solve(r, terms, out);
        if (out->bits > bits)
            low = terms->price;
        else
            high = terms->price;
    }
    terms->price = high;
    omi_plan_solve(r, terms, out);
    if (out->bits > bits || isinf(out->cost)) /* floor or key-like bound ask for more than that */
        out->cost = out->fpr = INFINITY;
    /* What is left over after whole probes makes the array less dense. */
    double probes = 0;
    for (uint32_t i = 0; i < r->count; i++)
        probes += (double)r->at[i].keys * r->at[i].probes;
    if (probes > 0 && out->bits < bits)
        out->bits_per_probe = fmin(out->bits_per_probe + (bits - out->bits) / probes, 2.5);
}

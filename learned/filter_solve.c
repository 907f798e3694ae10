/*
 * filter_solve.c - how many probes the keys of each region get. Minimises
 *     sum of w_i f(k_i) + price * (density * n_i * k_i)
 * region by region, for each density of the shared array; the floor bounds every region, and the
 * least extra weight on lookups spread like the keys keeps the whole filter useful should they come.
 */
#include "learned/filter_plan.h"

#include <math.h>

enum { BISECT_STEPS = 40, REFINE_STEPS = 12, ROW_MIDDLE = 4 };
static const double density_first = 1.44, density_step = 0.05, density_most = 2.5;

void omi_plan_model_init(struct omi_plan_model *m)
{
    m->rows = OMI_PLAN_DENSITIES;
    m->ribbon = false;
    for (uint32_t d = 0; d < OMI_PLAN_DENSITIES; d++) {
        m->density[d] = density_first + density_step * d;
        for (uint32_t k = 0; k <= OMI_PLAN_PROBES_MAX; k++)
            m->fpr[d][k] = omi_filter_fpr_probes(m->density[d] * k, k);
    }
}

void omi_plan_model_init_ribbon(struct omi_plan_model *m, double density)
{
    m->rows = 1;
    m->ribbon = true;
    m->density[0] = density;
    for (uint32_t k = 0; k <= OMI_PLAN_PROBES_MAX; k++)
        m->fpr[0][k] = 1.0 / (1u << k);
}

/* The share of the lookups that reach the region's lines; half a lookup is added to each cell, so
 * that none is taken to be free of them (Krichevsky, Trofimov, 1981). */
static double region_share(const struct omi_plan_region *r, const struct omi_plan_terms *t,
                           uint32_t cells)
{
    return (r->known + t->pass * r->unknown + 0.5 * r->keys / r->cell_keys) /
           (t->samples + 0.5 * cells);
}

static double keys_of(const struct omi_plan_regions *r)
{
    double keys = 0;
    for (uint32_t i = 0; i < r->count; i++)
        keys += r->at[i].keys;
    return keys;
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
static void assign(struct omi_plan_regions *r, const struct omi_plan_terms *t, double keys,
                   uint32_t row, double extra, struct omi_plan_outcome *out)
{
    const double *fpr = t->model->fpr[row];
    double density = t->model->density[row], directory = 0;
    uint32_t last = UINT32_MAX;
    *out = (struct omi_plan_outcome){.row = (int)row, .bits_per_probe = density};
    for (uint32_t i = 0; i < r->count; i++) {
        struct omi_plan_region *at = &r->at[i];
        uint32_t class = OMI_FILTER_CLASS_NO_KEYS;
        if (at->keys > 0) {
            double share = region_share(at, t, r->cell_count), like = at->keys / keys;
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
static void assign_robust(struct omi_plan_regions *r, const struct omi_plan_terms *t, double keys,
                          uint32_t row, struct omi_plan_outcome *out)
{
    static const double extras[] = {0, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 100};
    for (uint32_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
        assign(r, t, keys, row, extras[i], out);
        if (out->keylike <= t->keylike)
            return;
    }
    out->cost = INFINITY;
}

void omi_plan_solve(struct omi_plan_regions *r, const struct omi_plan_terms *terms,
                    struct omi_plan_outcome *out)
{
    double keys = keys_of(r);
    if (terms->row != OMI_PLAN_ANY_DENSITY) {
        assign_robust(r, terms, keys, (uint32_t)terms->row, out);
        return;
    }
    struct omi_plan_outcome best = {.cost = INFINITY};
    for (uint32_t d = 0; d < terms->model->rows; d++) {
        assign_robust(r, terms, keys, d, out);
        if (out->cost < best.cost)
            best = *out;
    }
    assign_robust(r, terms, keys, (uint32_t)best.row, out);
}

/* Halves, in steps, the ratio of a price too low and one high enough to keep to so many bits. */
static void narrow(struct omi_plan_regions *r, struct omi_plan_terms *terms, double bits, int steps,
                   double *low, double *high)
{
    struct omi_plan_outcome out;
    for (int i = 0; i < steps; i++) {
        terms->price = sqrt(*low * *high);
        omi_plan_solve(r, terms, &out);
        if (out.bits > bits)
            *low = terms->price;
        else
            *high = terms->price;
    }
}

/* What is left over after whole probes makes the array less dense, and lets less pass. */
static void spread(struct omi_plan_regions *r, const struct omi_plan_terms *t, double bits,
                   struct omi_plan_outcome *out)
{
    double probes = 0, keys = keys_of(r), fpr[OMI_PLAN_PROBES_MAX + 1];
    for (uint32_t i = 0; i < r->count; i++)
        probes += (double)r->at[i].keys * r->at[i].probes;
    if (probes == 0)
        return;
    double density = fmin(out->bits_per_probe + (bits - out->bits) / probes, density_most);
    for (uint32_t k = 0; k <= OMI_PLAN_PROBES_MAX; k++)
        fpr[k] = NAN;
    out->bits += probes * (density - out->bits_per_probe);
    out->bits_per_probe = density;
    out->fpr = out->keylike = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct omi_plan_region *at = &r->at[i];
        if (at->keys == 0)
            continue;
        if (isnan(fpr[at->probes]))
            fpr[at->probes] = omi_filter_fpr_probes(density * at->probes, at->probes);
        out->fpr += region_share(at, t, r->cell_count) * fpr[at->probes];
        out->keylike += at->keys / keys * fpr[at->probes];
    }
    out->cost = t->weight * out->fpr + t->price * out->bits;
}

/* What is left over gives a share of the keys of every ribbon one column more. */
static void more_columns(const struct omi_plan_regions *r, const struct omi_plan_terms *t,
                         double left, struct omi_plan_outcome *out)
{
    double all = keys_of(r), keys = 0, wrong = 0, like = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct omi_plan_region *at = &r->at[i];
        if (at->keys == 0 || at->probes == 0)
            continue;
        keys += at->keys;
        wrong += region_share(at, t, r->cell_count) * t->model->fpr[0][at->probes];
        like += at->keys / all * t->model->fpr[0][at->probes];
    }
    double each = t->model->density[0] * keys;
    if (each > 0 && left > 0 && isfinite(out->cost)) {
        out->more = fmin(left / each, 0.99);
        out->fpr -= wrong * out->more / 2;
        out->keylike -= like * out->more / 2;
        out->bits += each * out->more;
    }
}

void omi_plan_solve_bits(struct omi_plan_regions *r, struct omi_plan_terms *terms, double bits,
                         struct omi_plan_outcome *out)
{
    double low = 0x1p-80, high = 0x1p10; /* too cheap; too dear */
    struct omi_plan_terms one = *terms;
    one.row = terms->row != OMI_PLAN_ANY_DENSITY ? terms->row : ROW_MIDDLE;
    narrow(r, &one, bits, BISECT_STEPS, &low, &high);
    if (terms->row == OMI_PLAN_ANY_DENSITY) { /* the others' prices are not far from that */
        low /= 4;
        high *= 4;
        narrow(r, terms, bits, REFINE_STEPS, &low, &high);
    }
    terms->price = high;
    omi_plan_solve(r, terms, out);
    if (out->bits > bits || isinf(out->cost)) /* floor or key-like bound ask for more than that */
        out->cost = out->fpr = INFINITY;
    else if (terms->model->ribbon)
        more_columns(r, terms, bits - out->bits, out);
    else
        spread(r, terms, bits, out);
}

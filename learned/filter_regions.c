/*
 * filter_regions.c - where the key axis is cut: wide stretches without keys that lookups fall into,
 * and places where the density of lookups against keys changes significantly.
 *
 * A directory entry pays for itself when the lookups it takes would cost as many bits elsewhere: a
 * mass m of lookups is worth m * C * n / ln 2 bits (filter_price.h), a region takes about 40.
 */
#include "learned/filter_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    GAPS_WIDEST = 4096,
    GAP_BITS = 80, /* two regions */
    TIER_FIRST = 16,
    TIER_HITS_MIN = 8,
    QUANTILES = 16,
    DEPTH_MAX = 24
};
static const double significant = 18; /* of the G statistic */

/* The gap below the key of some rank: digests between it and the key before. */
struct gap {
    uint32_t width, rank;
};

struct finder {
    struct omi_plan_axis *a;
    struct gap *widest; /* a heap, smallest on top; later by width descending */
    uint32_t widest_count;
    uint32_t *tier_of; /* by order of rank: place in widest */
    uint32_t *taken;   /* ranks of gaps that are taken */
    uint32_t taken_count;
    uint32_t *cuts;
    uint32_t cut_count;
    double mass_min; /* of lookups, for one gap to pay */
};

/* ---- the widest gaps ------------------------------------------------------------------------- */

static void heap_down(struct gap *h, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t least = at, left = 2 * at + 1;
        for (uint32_t c = left; c < left + 2 && c < count; c++)
            if (h[c].width < h[least].width)
                least = c;
        if (least == at)
            return;
        struct gap t = h[at];
        h[at] = h[least];
        h[least] = t;
        at = least;
    }
}

static void heap_up(struct gap *h, uint32_t at)
{
    for (; at > 0 && h[at].width < h[(at - 1) / 2].width; at = (at - 1) / 2) {
        struct gap t = h[at];
        h[at] = h[(at - 1) / 2];
        h[(at - 1) / 2] = t;
    }
}

static int compare_width(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;
    if (x->width != y->width)
        return x->width > y->width ? -1 : 1;
    return x->rank < y->rank ? -1 : x->rank > y->rank;
}

static void gaps_collect(struct finder *f)
{
    const struct omi_plan_axis *a = f->a;
    for (uint32_t i = 1; i < a->count; i++) {
        uint32_t width = a->digests[i] - a->digests[i - 1];
        if (width < 2)
            continue;
        if (f->widest_count < GAPS_WIDEST) {
            f->widest[f->widest_count] = (struct gap){width, i};
            heap_up(f->widest, f->widest_count++);
        } else if (width > f->widest[0].width) {
            f->widest[0] = (struct gap){width, i};
            heap_down(f->widest, GAPS_WIDEST, 0);
        }
    }
    qsort(f->widest, f->widest_count, sizeof(*f->widest), compare_width);
}

/* A sample lies between keys when its digest is no key's. */
static bool between_keys(const struct omi_plan_axis *a, const struct omi_plan_sample *s)
{
    return s->rank > 0 && s->rank < a->count && a->digests[s->rank] != s->digest;
}

static int compare_u32(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

static void take_gap(struct finder *f, uint32_t rank)
{
    if (f->taken_count < OMI_PLAN_GAPS_MAX)
        f->taken[f->taken_count++] = rank;
}

/* Samples in gaps that are taken no longer ask for cuts. */
static void samples_mark(struct finder *f)
{
    qsort(f->taken, f->taken_count, sizeof(*f->taken), compare_u32);
    for (uint32_t i = 0; i < f->a->older_count; i++) {
        struct omi_plan_sample *s = &f->a->older[i];
        s->in_gap = between_keys(f->a, s) && bsearch(&s->rank, f->taken, f->taken_count,
                                                     sizeof(s->rank), compare_u32) != NULL;
    }
}

/* The widest gaps by tiers of 16, 16, 32, 64, ...: a tier is taken as a whole when the lookups that
 * fell into it pay for all of it, half as much again. */
static void tiers_take(struct finder *f)
{
    const struct omi_plan_axis *a = f->a;
    uint32_t *hits = f->tier_of; /* by place in widest */
    memset(hits, 0, f->widest_count * sizeof(*hits));
    struct gap *by_rank = malloc((f->widest_count + 1) * sizeof(*by_rank));
    if (by_rank == NULL)
        return; /* learns less */
    for (uint32_t i = 0; i < f->widest_count; i++)
        by_rank[i] = (struct gap){f->widest[i].rank, i};
    qsort(by_rank, f->widest_count, sizeof(*by_rank), compare_u32); /* by its first member */
    for (uint32_t i = 0; i < a->older_count; i++) {
        if (!between_keys(a, &a->older[i]) || a->older[i].repeated)
            continue;
        const struct gap *g =
            bsearch(&a->older[i].rank, by_rank, f->widest_count, sizeof(*by_rank), compare_u32);
        if (g != NULL)
            hits[g->rank]++;
    }
    free(by_rank);
    for (uint32_t from = 0, end = TIER_FIRST; from < f->widest_count; from = end, end *= 2) {
        uint32_t upto = end < f->widest_count ? end : f->widest_count, sum = 0;
        for (uint32_t i = from; i < upto; i++)
            sum += hits[i];
        if (sum < TIER_HITS_MIN || sum < 1.5 * f->mass_min * (upto - from) * a->older_count)
            continue;
        for (uint32_t i = from; i < upto; i++)
            take_gap(f, f->widest[i].rank);
    }
    samples_mark(f);
}

/* Single gaps hit again and again, by different keys: one key alone is the deny list's. Counts are
 * Good-Turing's: what was seen once says little about its gap, unless much of what was seen once is
 * seen again. */
static void singles_take(struct finder *f)
{
    const struct omi_plan_axis *a = f->a;
    double of[3] = {0};
    uint32_t before = f->taken_count;
    for (int pass = 0; pass < 2; pass++) {
        double once = of[1] > 0 ? 2 * of[2] / of[1] : 0, least = f->mass_min * a->older_count;
        for (uint32_t i = 0, j; i < a->older_count; i = j) {
            const struct omi_plan_sample *s = &a->older[i];
            uint32_t n = 0;
            for (j = i;
                 j < a->older_count && a->older[j].rank == s->rank && between_keys(a, &a->older[j]);
                 j++)
                n += !a->older[j].repeated;
            j = j == i ? i + 1 : j;
            if (n == 0 || s->in_gap)
                continue;
            double count = n == 1 ? once : n == 2 ? (of[2] > 0 ? 1 : 0) : n - 1.0;
            if (pass == 0 && n <= 2)
                of[n]++;
            else if (pass == 1 && count > least && (n > 1 || once > 0.25))
                take_gap(f, s->rank);
        }
    }
    if (f->taken_count != before)
        samples_mark(f);
}

/* ---- cuts ------------------------------------------------------------------------------------ */

/* Keys [key_from, key_to) and samples [from, to) lie in one region; -> the best place to cut. */
struct stretch {
    uint32_t from, to, key_from, key_to;
};
struct cut {
    uint32_t digest, sample, key;
    double g;
};

static double g_term(double seen, double expected)
{
    return seen > 0 ? seen * log(seen / expected) : 0;
}

static void cut_try(const struct stretch *s, uint32_t digest, uint32_t sample, uint32_t key,
                    struct cut *best)
{
    if (key <= s->key_from || key >= s->key_to)
        return;
    double keys = s->key_to - s->key_from, samples = s->to - s->from;
    double left = (key - s->key_from) / keys * samples, seen = sample - s->from;
    double g = 2 * (g_term(seen, left) + g_term(samples - seen, samples - left));
    if (g > best->g)
        *best = (struct cut){digest, sample, key, g};
}

/* Bits that telling the two sides apart saves, by the law of filter_price.h. */
static double cut_saves(const struct stretch *s, const struct cut *c)
{
    double keys = s->key_to - s->key_from, samples = s->to - s->from;
    double left = (c->key - s->key_from) / keys, seen = (c->sample - s->from + 0.5) / (samples + 1);
    return OMI_FILTER_BITS_PER_HALVING * keys *
           (left * log2(left / seen) + (1 - left) * log2((1 - left) / (1 - seen)));
}

static void cut_find(struct finder *f, const struct omi_plan_sample *samples,
                     const struct stretch *s, int depth)
{
    struct cut best = {0};
    if (depth > DEPTH_MAX || f->cut_count >= OMI_PLAN_CUTS_MAX || s->to == s->from ||
        s->key_to - s->key_from < 2)
        return;
    for (uint32_t i = s->from; i < s->to; i++)
        cut_try(s, samples[i].digest, i, samples[i].rank, &best);
    for (uint32_t q = 1, i = s->from; q < QUANTILES; q++) { /* to part off what nobody asks for */
        uint32_t key =
            s->key_from + (uint32_t)((uint64_t)(s->key_to - s->key_from) * q / QUANTILES);
        uint32_t digest = f->a->digests[key];
        while (i < s->to && samples[i].digest < digest)
            i++;
        cut_try(s, digest, i, omi_plan_rank(f->a, digest), &best);
    }
    if (best.g < significant || cut_saves(s, &best) < GAP_BITS)
        return;
    f->cuts[f->cut_count++] = best.digest;
    struct stretch left = {s->from, best.sample, s->key_from, best.key};
    struct stretch right = {best.sample, s->to, best.key, s->key_to};
    cut_find(f, samples, &left, depth + 1);
    cut_find(f, samples, &right, depth + 1);
}

static omen_err cuts_find(struct finder *f)
{
    const struct omi_plan_axis *a = f->a;
    struct omi_plan_sample *outside = malloc((a->older_count + 1) * sizeof(*outside));
    if (outside == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "planning a filter");
    struct stretch all = {0, 0, 0, a->count};
    for (uint32_t i = 0; i < a->older_count; i++)
        if (!a->older[i].in_gap && !a->older[i].repeated)
            outside[all.to++] = a->older[i];
    cut_find(f, outside, &all, 0);
    free(outside);
    return OMEN_OK;
}

/* ---- regions --------------------------------------------------------------------------------- */

/* Regions between two cuts are a cell. */
static void cells_make(struct finder *f, struct omi_plan_regions *r)
{
    uint32_t cell = 0;
    qsort(f->cuts, f->cut_count, sizeof(*f->cuts), compare_u32);
    for (uint32_t from = 0, to; from < r->count; from = to) {
        uint32_t keys = 0;
        while (cell < f->cut_count && f->cuts[cell] <= r->at[from].first)
            cell++;
        for (to = from; to < r->count &&
                        (to == from || cell == f->cut_count || r->at[to].first < f->cuts[cell]);
             to++)
            keys += r->at[to].keys;
        for (uint32_t i = from; i < to; i++) {
            r->at[i].cell = r->cell_count;
            r->at[i].cell_keys = keys;
        }
        r->cell_count++;
    }
}

static omen_err regions_make(struct finder *f, struct omi_plan_regions *out)
{
    const struct omi_plan_axis *a = f->a;
    uint32_t most = 1 + f->cut_count + 2 * f->taken_count, count = 0;
    uint32_t *bounds = malloc(most * sizeof(*bounds));
    out->at = calloc(most, sizeof(*out->at));
    if (bounds == NULL || out->at == NULL) {
        free(bounds);
        return omi_fail(OMEN_NO_MEMORY, 0, "planning a filter");
    }
    bounds[count++] = 0;
    for (uint32_t i = 0; i < f->cut_count; i++)
        bounds[count++] = f->cuts[i];
    for (uint32_t i = 0; i < f->taken_count; i++) {
        bounds[count++] = a->digests[f->taken[i] - 1] + 1;
        bounds[count++] = a->digests[f->taken[i]];
    }
    qsort(bounds, count, sizeof(*bounds), compare_u32);
    for (uint32_t i = 0; i < count; i++)
        if (out->count == 0 || bounds[i] != out->at[out->count - 1].first)
            out->at[out->count++].first = bounds[i];
    for (uint32_t i = 0; i < out->count; i++)
        out->at[i].keys = (i + 1 < out->count ? omi_plan_rank(a, out->at[i + 1].first) : a->count) -
                          omi_plan_rank(a, out->at[i].first);
    free(bounds);
    cells_make(f, out);
    return OMEN_OK;
}

omen_err omi_plan_regions_find(struct omi_plan_axis *a, struct omi_plan_regions *out)
{
    struct finder f = {
        .a = a, .mass_min = GAP_BITS * M_LN2 / (OMI_FILTER_BITS_PER_HALVING * (double)a->count)};
    *out = (struct omi_plan_regions){0};
    f.widest = malloc(GAPS_WIDEST * sizeof(*f.widest));
    f.tier_of = malloc(GAPS_WIDEST * sizeof(*f.tier_of));
    f.taken = malloc(OMI_PLAN_GAPS_MAX * sizeof(*f.taken));
    f.cuts = malloc(OMI_PLAN_CUTS_MAX * sizeof(*f.cuts));
    omen_err err = OMEN_OK;
    if (f.widest == NULL || f.tier_of == NULL || f.taken == NULL || f.cuts == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "planning a filter");
    if (err == OMEN_OK) {
        gaps_collect(&f);
        tiers_take(&f);
        err = cuts_find(&f); /* what falls into single gaps tells where lookups are dense */
    }
    if (err == OMEN_OK) {
        singles_take(&f);
        err = regions_make(&f, out);
    }
    free(f.widest);
    free(f.tier_of);
    free(f.taken);
    free(f.cuts);
    return err;
}

/* Cells share out what fell beside gaps among their regions, by keys. */
static void cells_share(struct omi_plan_regions *r)
{
    for (uint32_t from = 0, to; from < r->count; from = to) {
        double known = 0, unknown = 0;
        for (to = from; to < r->count && r->at[to].cell == r->at[from].cell; to++) {
            known += r->at[to].keys > 0 ? r->at[to].known : 0;
            unknown += r->at[to].keys > 0 ? r->at[to].unknown : 0;
        }
        for (uint32_t i = from; i < to; i++) {
            double part = r->at[i].keys > 0 ? (double)r->at[i].keys / r->at[i].cell_keys : 0;
            r->at[i].known = part * known;
            r->at[i].unknown = part * unknown;
        }
    }
}

void omi_plan_regions_count(const struct omi_plan_axis *a, struct omi_plan_regions *r,
                            uint32_t prefix_bytes)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < r->count; i++)
        r->at[i].known = r->at[i].unknown = 0;
    for (uint32_t i = 0; i < a->newer_count; i++) {
        const struct omi_plan_sample *s = &a->newer[i];
        while (at + 1 < r->count && r->at[at + 1].first <= s->digest)
            at++;
        if (s->repeated)
            continue;
        if (s->known >= prefix_bytes)
            r->at[at].known++;
        else
            r->at[at].unknown++;
    }
    cells_share(r);
}

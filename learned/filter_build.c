/*
 * filter_build.c - what filter a file gets: plain by its price, or learned where held-back lookups
 * confirm that it serves better; a learned one that does not come out right is a plain one again, and
 * a ribbon without a solution is made of lines.
 */
#include "learned/filter_plan.h"
#include "learned/ribbon_part.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double gain_min = 0.97, bits_min = 0.05;
static const double simpler = 0.01; /* of plain: what a search through regions must gain */

/* ---- plain ----------------------------------------------------------------------------------- */

static uint32_t distinct_keys(const struct omi_filter_input *in)
{
    uint32_t n = in->count;
    for (uint32_t i = 1; i < in->count; i++)
        n -= in->hashes[i] == in->hashes[i - 1]; /* but for chance: this only sizes the filter */
    return n;
}

struct build {
    const struct omi_filter_input *input;
    const struct omi_filter_params *params;
    double floor;
    double plain_bits, plain_fpr; /* a key; of a plain filter at this price */
    struct {
        bool wanted;
        double density; /* bits of a column for each key */
        uint8_t columns;
        double more; /* share of keys with another */
    } ribbon;
    bool unsolved; /* a ribbon was tried, and had no solution */
    struct omi_filter_info info;
    struct omi_filter_sample *deny;
    uint32_t deny_count;
};

/* Bits that one column takes for each key, in parts of the size that they will have. */
static double ribbon_density(const struct build *b, uint32_t keys, double columns)
{
    double part = 8.0 * b->params->part_bytes / (OMI_RIBBON_BITS_PER_HALVING * columns);
    uint32_t whole = b->params->part_bytes != 0 && part < keys ? (uint32_t)part + 1 : keys;
    return omi_ribbon_density(whole) + 8.0 * OMI_RIBBON_TABLE_BYTES / (whole * columns);
}

/* One ribbon, or one a part: for its bits, or for the false positives of its price. False: there are
 * too few keys or bits for it to be the smaller one. */
static bool ribbon_decide(struct build *b, uint32_t keys)
{
    const struct omi_filter_params *p = b->params;
    double columns = 7, fpr = 0;
    if (keys < OMI_PLAN_KEYS_MIN)
        return false;
    for (int i = 0; i < 3; i++) { /* columns and density hang together */
        b->ribbon.density = ribbon_density(b, keys, columns);
        struct omi_priced_table t = {
            .keys = keys, .weight = p->weight, .halving = b->ribbon.density};
        fpr = omi_priced_table_fpr(&t, p->price, b->floor);
        columns = p->bits > 0 ? p->bits / b->ribbon.density : log2(1 / fpr);
        if (!(columns >= 1))
            return false;
    }
    columns = fmin(columns + 1e-9, OMI_RIBBON_COLUMNS_MAX); /* 2.99.. is three */
    b->ribbon.columns = (uint8_t)columns;
    double low = 1.0 / (1u << b->ribbon.columns); /* of as many columns for all */
    /* By bits the share that there is room for, by price the share whose mean is right. */
    b->ribbon.more =
        p->bits > 0 ? columns - b->ribbon.columns : fmin(fmax(2 - 2 * fpr / low, 0), 0.99);
    b->plain_fpr = low * (1 - b->ribbon.more / 2);
    b->plain_bits = b->ribbon.density * (b->ribbon.columns + b->ribbon.more);
    return true;
}

static void plain_decide(struct build *b, bool ribbon)
{
    const struct omi_filter_params *p = b->params;
    uint32_t keys = distinct_keys(b->input);
    b->floor = p->floor > 0 ? p->floor : OMI_FILTER_FLOOR_DEFAULT;
    b->ribbon.wanted = ribbon && ribbon_decide(b, keys);
    if (!b->ribbon.wanted) {
        b->plain_bits =
            p->bits > 0 ? p->bits : omi_priced_bits(p->price, keys, p->weight, b->floor);
        b->plain_fpr = omi_filter_fpr(b->plain_bits);
    }
    b->info = (struct omi_filter_info){.price = p->bits > 0 ? 0 : p->price,
                                       .weight = p->weight,
                                       .plain_fpr = b->plain_fpr,
                                       .promised_fpr = b->plain_fpr,
                                       .keylike_fpr = b->plain_fpr};
}

static omen_err plain_build(struct build *b, enum omi_filter_why why, struct omi_buf *out,
                            struct omi_filter_info *info_out)
{
    const struct omi_index_key *keys = b->input->keys, *last = keys + b->input->count - 1;
    uint32_t bound = 0, probes = omi_filter_probes(b->plain_bits);
    uint8_t class = b->ribbon.wanted ? b->ribbon.columns : (uint8_t)probes;
    b->info.why = b->unsolved ? OMI_FILTER_WHY_BUILD_FAILED : why;
    b->info.promised_fpr = b->info.keylike_fpr = b->plain_fpr;
    struct omi_filter_layout layout = {
        .kind = b->ribbon.wanted ? OMI_FILTER_RIBBON : OMI_FILTER_PLAIN,
        .digest = omi_digest_make(omi_slice(keys->key, keys->key_size),
                                  omi_slice(last->key, last->key_size)),
        .bounds = &bound,
        .classes = &class,
        .region_count = 1,
        .bits_per_probe = b->plain_bits / probes,
        .more = b->ribbon.wanted ? b->ribbon.more : 0,
        .deny = b->deny,
        .deny_count = b->deny_count,
        .part_bytes = b->params->part_bytes,
        .info = b->info};
    return omi_filter_encode(b->input, &layout, out, info_out);
}

/* ---- learned --------------------------------------------------------------------------------- */

/* Lookups that came again and again: whichever of them the filter passes is denied. */
static omen_err repeats_keep(struct build *b, const struct omi_plan_axis *a)
{
    if (a->repeated_count == 0)
        return OMEN_OK;
    b->deny = malloc(a->repeated_count * sizeof(*b->deny));
    if (b->deny == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "planning a filter");
    for (uint32_t i = 0; i < a->repeated_count; i++)
        b->deny[i] = *a->repeated[i];
    b->deny_count = a->repeated_count;
    return OMEN_OK;
}

/* Regions of one class become one. */
static uint32_t regions_merge(const struct omi_plan_regions *r, uint32_t *bounds, uint8_t *classes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        uint8_t class = r->at[i].keys > 0 ? r->at[i].probes : OMI_FILTER_CLASS_NO_KEYS;
        if (count > 0 && classes[count - 1] == class)
            continue;
        bounds[count] = r->at[i].first;
        classes[count++] = class;
    }
    return count;
}

static omen_err learned_encode(struct build *b, const struct omi_plan_axis *a,
                               const struct omi_plan_regions *r,
                               const struct omi_plan_prefix *prefix,
                               const struct omi_plan_outcome *outcome, struct omi_buf *out,
                               struct omi_filter_info *info_out)
{
    uint32_t *bounds = malloc(r->count * sizeof(*bounds));
    uint8_t *classes = malloc(r->count);
    omen_err err = OMEN_OK;
    if (bounds == NULL || classes == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "planning a filter");
    if (err == OMEN_OK) {
        b->info.why = b->unsolved ? OMI_FILTER_WHY_BUILD_FAILED : OMI_FILTER_WHY_GAIN;
        b->info.promised_fpr = outcome->fpr;
        b->info.keylike_fpr = outcome->keylike;
        struct omi_filter_layout layout = {.kind = b->ribbon.wanted ? OMI_FILTER_RIBBON
                                                                    : OMI_FILTER_REGIONS,
                                           .digest = a->digest,
                                           .bounds = bounds,
                                           .classes = classes,
                                           .region_count = regions_merge(r, bounds, classes),
                                           .bits_per_probe = outcome->bits_per_probe,
                                           .more = outcome->more,
                                           .prefix_bytes = prefix->bytes,
                                           .prefix_probes = prefix->probes,
                                           .prefix_bits = prefix->bits_per_prefix,
                                           .deny = b->deny,
                                           .deny_count = b->deny_count,
                                           .part_bytes = b->params->part_bytes,
                                           .info = b->info};
        err = omi_filter_encode(b->input, &layout, out, info_out);
    }
    free(bounds);
    free(classes);
    return err;
}

/* A way to build it, and how well it serves: false positives for the bits asked, or the cost of both
 * at the price; less is better. */
struct choice {
    struct omi_plan_regions regions;
    struct omi_plan_prefix prefix;
    struct omi_plan_outcome outcome;
    double served;
};

/* Bits that a ribbon for each of some classes takes in every part, beyond what their keys do: whole
 * blocks, and one that no key starts in. */
static double ribbon_reserve(const struct build *b, double most)
{
    double parts = b->params->part_bytes != 0 ? floor(most / 8 / b->params->part_bytes) + 1 : 1;
    return fmin(parts * 2 * 1.5 * OMI_RIBBON_WIDTH * b->ribbon.columns, 0.1 * most);
}

static void choice_solve(const struct build *b, const struct omi_plan_axis *a,
                         const struct omi_plan_terms *terms, struct choice *c)
{
    const struct omi_filter_params *p = b->params;
    struct omi_plan_terms t = *terms;
    double most = p->bits > 0 ? p->bits * a->count : 0;
    if (b->ribbon.wanted)
        most -= ribbon_reserve(b, most);
    omi_plan_prefix_choose(a, &c->regions, &t, most, &c->prefix);
    omi_plan_regions_count(a, &c->regions, c->prefix.bytes);
    t.pass = c->prefix.pass;
    if (most > 0) {
        omi_plan_solve_bits(&c->regions, &t, most - c->prefix.bits, &c->outcome);
        c->served = c->outcome.fpr;
    } else {
        omi_plan_solve(&c->regions, &t, &c->outcome);
        c->served = c->outcome.cost + p->price * c->prefix.bits;
    }
}

/* What nothing learned would do: the plain filter as it is built, or as the solver would, which may
 * spend bits more finely; that alone is no gain. */
static double plain_serves(const struct build *b, const struct omi_plan_axis *a,
                           const struct omi_plan_terms *terms)
{
    const struct omi_filter_params *p = b->params;
    struct omi_plan_region whole = {
        .keys = a->count, .cell_keys = a->count, .known = a->newer_count};
    struct omi_plan_regions regions = {&whole, 1, 1};
    struct omi_plan_terms t = *terms;
    struct omi_plan_outcome out;
    t.pass = 1;
    if (p->bits > 0) {
        omi_plan_solve_bits(&regions, &t, p->bits * a->count, &out);
        return fmin(b->plain_fpr, out.fpr);
    }
    omi_plan_solve(&regions, &t, &out);
    return fmin(p->weight * b->plain_fpr + p->price * b->plain_bits * a->count, out.cost);
}

/* Learns, with regions and without, and tells whether the better is worth it. */
static omen_err learn(const struct build *b, struct omi_plan_axis *a, struct choice *best,
                      bool *gain_out)
{
    const struct omi_filter_params *p = b->params;
    struct omi_plan_model model;
    struct omi_plan_region whole = {.keys = a->count, .cell_keys = a->count};
    struct choice one = {.regions = {&whole, 1, 1}};
    *best = (struct choice){0};
    omen_err err = omi_plan_regions_find(a, &best->regions);
    if (err != OMEN_OK)
        return err;
    if (b->ribbon.wanted)
        omi_plan_model_init_ribbon(&model, b->ribbon.density);
    else
        omi_plan_model_init(&model);
    struct omi_plan_terms terms = {.model = &model,
                                   .price = p->price,
                                   .weight = p->bits > 0 ? 1 : p->weight,
                                   .floor = b->floor,
                                   .keylike = p->keylike > 0 ? p->keylike
                                                             : fmin(b->floor, 5 * b->plain_fpr),
                                   .samples = a->newer_count,
                                   .row = b->ribbon.wanted ? 0 : OMI_PLAN_ANY_DENSITY};
    choice_solve(b, a, &terms, best);
    choice_solve(b, a, &terms, &one);
    double plain = plain_serves(b, a, &terms);
    if (one.served <= best->served + simpler * plain) {
        best->regions.at[0] = whole; /* it has one at least */
        best->regions.count = best->regions.cell_count = 1;
        best->prefix = one.prefix;
        best->outcome = one.outcome;
        best->served = one.served;
    }
    *gain_out = best->served < gain_min * plain;
    return OMEN_OK;
}

static omen_err learned_build(struct build *b, struct omi_buf *out,
                              struct omi_filter_info *info_out)
{
    struct omi_plan_axis a;
    struct choice best = {0};
    enum omi_filter_why why = OMI_FILTER_WHY_FEW_SAMPLES;
    omen_err err = omi_plan_axis_init(&a, b->input, b->params->samples, b->params->sample_count);
    bool gain = false;
    if (err == OMEN_OK)
        err = repeats_keep(b, &a);
    b->info.samples = a.usable;
    if (err == OMEN_OK && a.count < OMI_PLAN_KEYS_MIN) {
        why = OMI_FILTER_WHY_FEW_KEYS;
    } else if (err == OMEN_OK && a.usable >= OMI_PLAN_SAMPLES_MIN) {
        err = learn(b, &a, &best, &gain);
        why = OMI_FILTER_WHY_NO_GAIN;
    }
    if (err == OMEN_OK && gain) {
        err = learned_encode(b, &a, &best.regions, &best.prefix, &best.outcome, out, info_out);
        if (err == OMEN_CORRUPT || err == OMEN_INVALID) {
            err = OMEN_OK;
            gain = false;
            why = OMI_FILTER_WHY_BUILD_FAILED;
        }
    }
    free(best.regions.at);
    omi_plan_axis_fini(&a);
    return err == OMEN_OK && !gain ? plain_build(b, why, out, info_out) : err;
}

static omen_err decide_and_build(struct build *b, bool ribbon, struct omi_buf *out,
                                 struct omi_filter_info *info_out)
{
    const struct omi_filter_params *p = b->params;
    plain_decide(b, ribbon);
    if (b->plain_bits < bits_min && p->bits <= 0)
        return OMEN_OK; /* nobody asks for what is not here */
    omen_err err;
    if (p->kind == OMI_FILTER_PLAIN || p->sample_count == 0)
        err = plain_build(
            b, p->kind == OMI_FILTER_PLAIN ? OMI_FILTER_WHY_ASKED : OMI_FILTER_WHY_FEW_SAMPLES, out,
            info_out);
    else
        err = learned_build(b, out, info_out);
    free(b->deny);
    b->deny = NULL;
    b->deny_count = 0;
    return err;
}

static bool is_share(double x)
{
    return x >= 0 && x <= 1;
}

static bool params_sound(const struct omi_filter_params *p)
{
    bool kind = p->kind == OMI_FILTER_PLAIN || p->kind == OMI_FILTER_REGIONS ||
                p->kind == OMI_FILTER_RIBBON;
    bool bits = p->bits > 0 && p->bits <= 64;
    bool price = p->bits == 0 && p->price > 0 && isfinite(p->price);
    return kind && (bits || price) && p->weight >= 0 && isfinite(p->weight) && is_share(p->floor) &&
           is_share(p->keylike);
}

omen_err omi_filter_build(const struct omi_filter_input *input,
                          const struct omi_filter_params *params, struct omi_buf *out,
                          struct omi_filter_info *info_out)
{
    struct build b = {.input = input, .params = params};
    if (info_out != NULL)
        *info_out = (struct omi_filter_info){0};
    if (!params_sound(params))
        return omi_fail(
            OMEN_INVALID, 0, "a filter of kind %d, %g bits a key, price %g, weight %g, floor %g",
            (int)params->kind, params->bits, params->price, params->weight, params->floor);
    omen_err err = decide_and_build(&b, params->kind == OMI_FILTER_RIBBON, out, info_out);
    if (err == OMEN_ABORTED) {
        b.unsolved = true;
        err = decide_and_build(&b, false, out, info_out);
    }
    return err;
}

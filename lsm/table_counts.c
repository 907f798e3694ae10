/* table_counts.c - what sampled lookups met in a table's filter. */
#include "lsm/sample_file.h"
#include "lsm/table_open.h"

#include <stdlib.h>

static uint32_t relaxed(const _Atomic uint32_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add(_Atomic uint32_t *n, uint32_t count)
{
    atomic_fetch_add_explicit(n, count, memory_order_relaxed);
}

static size_t region_bytes(const struct omi_table *t)
{
    return (size_t)t->filter.filter.region_count * sizeof(struct omi_region_counts);
}

static struct omi_region_counts *regions_have(const struct omi_table *t)
{
    return atomic_load_explicit(&t->filter.sampled_regions, memory_order_acquire);
}

/* The counters by region; NULL when there is one region, or no memory: then they are not counted. */
static struct omi_region_counts *regions_want(struct omi_table *t)
{
    struct omi_region_counts *have = regions_have(t);
    if (have != NULL || t->filter.filter.region_count < 2)
        return have;
    struct omi_region_counts *made = calloc(1, region_bytes(t));
    if (made == NULL)
        return NULL;
    if (!atomic_compare_exchange_strong(&t->filter.sampled_regions, &have, made)) {
        free(made); /* another thread was faster */
        return have;
    }
    atomic_fetch_add(&t->tenv->open_metadata_bytes, region_bytes(t));
    return made;
}

void omi_table_counts_fini(struct omi_table *t)
{
    struct omi_region_counts *have = regions_have(t);
    if (have == NULL)
        return;
    atomic_fetch_sub(&t->tenv->open_metadata_bytes, region_bytes(t));
    free(have);
}

void omi_table_count_sampled(struct omi_table *t, const struct omi_filter_route *route,
                             enum omi_sampled outcome)
{
    add(&t->filter.sampled[outcome], 1);
    if (outcome == OMI_SAMPLED_HELD || route->region >= t->filter.filter.region_count)
        return;
    struct omi_region_counts *regions = regions_want(t);
    if (regions == NULL)
        return;
    add(&regions[route->region].absent, 1);
    if (outcome == OMI_SAMPLED_FALSE_POSITIVE)
        add(&regions[route->region].passed, 1);
}

void omi_table_warm(struct omi_table *t)
{
    uint32_t heat = relaxed(&t->heat);
    if (heat < UINT32_MAX) /* one of two at once may be lost */
        atomic_store_explicit(&t->heat, heat + 1, memory_order_relaxed);
}

const struct omi_filter *omi_table_filter(const struct omi_table *t)
{
    return &t->filter.filter;
}

void omi_table_counts(const struct omi_table *t, struct omi_table_counts *out)
{
    uint32_t negatives = relaxed(&t->filter.sampled[OMI_SAMPLED_NEGATIVE]);
    uint32_t passed = relaxed(&t->filter.sampled[OMI_SAMPLED_FALSE_POSITIVE]);
    *out = (struct omi_table_counts){.number = t->number,
                                     .probes = negatives + passed +
                                               relaxed(&t->filter.sampled[OMI_SAMPLED_HELD]),
                                     .negatives = negatives,
                                     .false_positives = passed};
}

void omi_table_add_counts(struct omi_table *t, const struct omi_table_counts *c)
{
    add(&t->filter.sampled[OMI_SAMPLED_NEGATIVE], c->negatives);
    add(&t->filter.sampled[OMI_SAMPLED_FALSE_POSITIVE], c->false_positives);
    if (c->probes > c->negatives && c->probes - c->negatives > c->false_positives)
        add(&t->filter.sampled[OMI_SAMPLED_HELD], c->probes - c->negatives - c->false_positives);
}

void omi_table_region_counts(const struct omi_table *t, uint32_t region, uint32_t *absent_out,
                             uint32_t *passed_out)
{
    const struct omi_region_counts *regions = regions_have(t);
    *absent_out = *passed_out = 0;
    if (regions == NULL || region >= t->filter.filter.region_count)
        return;
    *absent_out = relaxed(&regions[region].absent);
    *passed_out = relaxed(&regions[region].passed);
}

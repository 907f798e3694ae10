/* table_counts.c - what sampled lookups met in a table's filter. */
#include "lsm/sample_file.h"
#include "lsm/table_open.h"

static uint32_t relaxed(const _Atomic uint32_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add(_Atomic uint32_t *n, uint32_t count)
{
    atomic_fetch_add_explicit(n, count, memory_order_relaxed);
}

void omi_table_count_sampled(struct omi_table *t, const struct omi_filter_route *route,
                             enum omi_sampled outcome)
{
    add(&t->filter.sampled[outcome], 1);
    if (t->filter.sampled_region == NULL || outcome == OMI_SAMPLED_HELD ||
        route->region >= t->filter.filter.region_count)
        return;
    add(&t->filter.sampled_region[2 * (size_t)route->region], 1);
    if (outcome == OMI_SAMPLED_FALSE_POSITIVE)
        add(&t->filter.sampled_region[2 * (size_t)route->region + 1], 1);
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
    *absent_out = *passed_out = 0;
    if (t->filter.sampled_region == NULL || region >= t->filter.filter.region_count)
        return;
    *absent_out = relaxed(&t->filter.sampled_region[2 * (size_t)region]);
    *passed_out = relaxed(&t->filter.sampled_region[2 * (size_t)region + 1]);
}

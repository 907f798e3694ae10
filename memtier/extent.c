#include "memtier/extent.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What malloc takes for itself: of the struct's chunk and the bytes'. */
enum { ALIGN = 64, MALLOC_OVERHEAD = 2 * 16 };

struct omi_extent {
    struct omi_grace_item item; /* first: retired as this */
    struct omi_extent_stats *stats;
    enum omi_extent_kind kind;
    size_t size;
    uint8_t *bytes;
};

static size_t rounded(size_t size)
{
    return size / ALIGN * ALIGN + ALIGN;
}

uint64_t omi_extent_charge(size_t size)
{
    return rounded(size) + sizeof(struct omi_extent) + MALLOC_OVERHEAD;
}

/* Charges first, so that nobody sees more than bytes_max. */
static bool charge_within(struct omi_extent_stats *stats, enum omi_extent_kind kind,
                          uint64_t charge, uint64_t bytes_max)
{
    uint64_t bytes = atomic_load_explicit(&stats->bytes[kind], memory_order_relaxed);
    do
        if (bytes > bytes_max || charge > bytes_max - bytes)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&stats->bytes[kind], &bytes, bytes + charge,
                                                  memory_order_relaxed, memory_order_relaxed));
    return true;
}

omen_err omi_extent_create_within(struct omi_extent_stats *stats, enum omi_extent_kind kind,
                                  size_t size, uint64_t bytes_max, struct omi_extent **extent_out)
{
    *extent_out = NULL;
    if (rounded(size) > size && !charge_within(stats, kind, omi_extent_charge(size), bytes_max))
        return OMEN_ABORTED;
    struct omi_extent *e = calloc(1, sizeof(*e));
    uint8_t *bytes = rounded(size) > size ? aligned_alloc(ALIGN, rounded(size)) : NULL;
    if (e == NULL || bytes == NULL) {
        free(e);
        free(bytes);
        if (rounded(size) > size)
            atomic_fetch_sub_explicit(&stats->bytes[kind], omi_extent_charge(size),
                                      memory_order_relaxed);
        return omi_fail(OMEN_NO_MEMORY, 0, "%zu bytes for a %s", size,
                        kind == OMI_EXTENT_FILTER ? "filter" : "model");
    }
    memset(bytes, 0, rounded(size));
    *e = (struct omi_extent){.stats = stats, .kind = kind, .size = size, .bytes = bytes};
    *extent_out = e;
    return OMEN_OK;
}

omen_err omi_extent_create(struct omi_extent_stats *stats, enum omi_extent_kind kind, size_t size,
                           struct omi_extent **extent_out)
{
    return omi_extent_create_within(stats, kind, size, UINT64_MAX, extent_out);
}

void omi_extent_destroy(struct omi_extent *e)
{
    if (e == NULL)
        return;
    atomic_fetch_sub_explicit(&e->stats->bytes[e->kind], omi_extent_charge(e->size),
                              memory_order_relaxed);
    free(e->bytes);
    free(e);
}

static void destroy_retired(struct omi_grace_item *item)
{
    omi_extent_destroy((struct omi_extent *)(void *)item);
}

void omi_extent_retire(struct omi_extent *e, struct omi_grace *grace)
{
    if (e == NULL)
        return;
    e->item.free = destroy_retired;
    omi_grace_retire(grace, &e->item);
}

uint8_t *omi_extent_bytes(struct omi_extent *e)
{
    return e->bytes;
}

size_t omi_extent_size(const struct omi_extent *e)
{
    return e->size;
}

#include "memtier/extent.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

struct omi_extent {
    struct omi_grace_item item; /* first */
    struct omi_extent_stats *stats;
    enum omi_extent_kind kind;
    size_t size;
    uint8_t *bytes;
};

omen_err omi_extent_create(struct omi_extent_stats *stats, enum omi_extent_kind kind, size_t size,
                           struct omi_extent **extent_out)
{
    *extent_out = NULL;
    size_t rounded = size / ALIGN * ALIGN + ALIGN;
    struct omi_extent *e = calloc(1, sizeof(*e));
    uint8_t *bytes = rounded > size ? aligned_alloc(ALIGN, rounded) : NULL;
    if (e == NULL || bytes == NULL) {
        free(e);
        free(bytes);
        return omi_fail(OMEN_NO_MEMORY, 0, "%zu bytes for a %s", size,
                        kind == OMI_EXTENT_FILTER ? "filter" : "model");
    }
    memset(bytes, 0, rounded);
    *e = (struct omi_extent){.stats = stats, .kind = kind, .size = size, .bytes = bytes};
    atomic_fetch_add_explicit(&stats->bytes[kind], size, memory_order_relaxed);
    *extent_out = e;
    return OMEN_OK;
}

void omi_extent_destroy(struct omi_extent *e)
{
    if (e == NULL)
        return;
    atomic_fetch_sub_explicit(&e->stats->bytes[e->kind], e->size, memory_order_relaxed);
    free(e->bytes);
    free(e);
}

static void item_free(struct omi_grace_item *item)
{
    omi_extent_destroy((struct omi_extent *)(void *)item);
}

void omi_extent_retire(struct omi_extent *e, struct omi_grace *grace)
{
    if (e == NULL)
        return;
    e->item.free = item_free;
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

#include "lsm/arena.h"

#include "io/base/sync.h"
#include "io/pages.h"
#include "lsm/memtable.h"

#include <stdlib.h>
#include <string.h>

enum { PAGE = 4096, POOL_MAX = 8 };

/* Regions of retired memtables; those of the usual size come back with their pages. */
struct omi_arena_pool {
    struct omi_mutex mu;
    uint64_t keep_bytes, kept_bytes;
    uint32_t count;
    struct {
        void *bytes;
        uint64_t size;
    } kept[POOL_MAX];
};

omen_err omi_arena_pool_create(uint64_t keep_bytes, struct omi_arena_pool **pool_out)
{
    struct omi_arena_pool *p = calloc(1, sizeof(*p));
    *pool_out = p;
    if (p == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the pool of memtable arenas");
    omi_mutex_init(&p->mu);
    p->keep_bytes = keep_bytes;
    return OMEN_OK;
}

void omi_arena_pool_destroy(struct omi_arena_pool *p)
{
    for (uint32_t i = 0; i < p->count; i++)
        omi_pages_unmap(p->kept[i].bytes, p->kept[i].size);
    omi_mutex_fini(&p->mu);
    free(p);
}

static void *pool_take(struct omi_arena_pool *p, uint64_t size)
{
    void *bytes = NULL;
    omi_mutex_lock(&p->mu);
    for (uint32_t i = 0; i < p->count && bytes == NULL; i++) {
        if (p->kept[i].size != size)
            continue;
        bytes = p->kept[i].bytes;
        p->kept_bytes -= size;
        p->kept[i] = p->kept[--p->count];
    }
    omi_mutex_unlock(&p->mu);
    return bytes != NULL ? bytes : omi_pages_map(size);
}

static void pool_give(struct omi_arena_pool *p, void *bytes, uint64_t size)
{
    omi_mutex_lock(&p->mu);
    bool keep = p->count < POOL_MAX && p->kept_bytes + size <= p->keep_bytes;
    if (keep) {
        p->kept[p->count].bytes = bytes;
        p->kept[p->count++].size = size;
        p->kept_bytes += size;
    }
    omi_mutex_unlock(&p->mu);
    if (!keep)
        omi_pages_unmap(bytes, size);
}

static omen_err region_add(struct omi_arena *a, uint64_t size)
{
    size = (size + PAGE - 1) / PAGE * PAGE;
    uint64_t first = 1;
    if (a->region_count > 0) {
        const struct omi_arena_region *last = &a->regions[a->region_count - 1];
        first = last->first_unit + last->size / 8;
    }
    if (a->region_count == OMI_ARENA_REGIONS_MAX || first + size / 8 > UINT32_MAX)
        return omi_fail(OMEN_NO_MEMORY, 0, "a memtable of more than its %" PRIu64 " bytes",
                        a->mapped);
    void *bytes = pool_take(a->pool, size);
    if (bytes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a memtable region of %" PRIu64 " bytes", size);
    /* Readers learn of the region only through references into it, published with release. */
    a->regions[a->region_count] = (struct omi_arena_region){bytes, size, (uint32_t)first};
    a->current = a->region_count++;
    a->at = 0;
    atomic_fetch_add_explicit(&a->mapped, size, memory_order_relaxed);
    return OMEN_OK;
}

omen_err omi_arena_init(struct omi_arena *a, struct omi_arena_pool *pool, uint64_t first_bytes)
{
    memset(a, 0, sizeof(*a));
    a->pool = pool;
    return region_add(a, first_bytes);
}

void omi_arena_fini(struct omi_arena *a)
{
    for (uint32_t i = 0; i < a->region_count; i++)
        pool_give(a->pool, a->regions[i].bytes, a->regions[i].size);
}

omen_err omi_arena_reserve(struct omi_arena *a, uint64_t bytes)
{
    if (bytes <= a->regions[a->current].size - a->at)
        return OMEN_OK;
    uint64_t least = a->regions[0].size / 4;
    return region_add(a, bytes > least ? bytes : least);
}

uint32_t omi_arena_take(struct omi_arena *a, uint64_t size, void **at_out)
{
    size = (size + 7) / 8 * 8;
    if (omi_arena_reserve(a, size) != OMEN_OK)
        return 0;
    struct omi_arena_region *r = &a->regions[a->current];
    uint32_t ref = r->first_unit + (uint32_t)(a->at / 8);
    *at_out = r->bytes + a->at;
    a->at += size;
    atomic_store_explicit(&a->used, atomic_load_explicit(&a->used, memory_order_relaxed) + size,
                          memory_order_relaxed);
    return ref;
}

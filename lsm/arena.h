/*
 * arena.h - memory of one memtable: handed out in order, given back all at once.
 *
 * A reference is a number of 8-byte units, 32 bits wide: 0 is none. The first region is sized for
 * the memtable and nearly always the only one; larger needs add regions behind it. Threads: one
 * allocates; any may turn references they were given into pointers.
 */
#ifndef OMI_ARENA_H
#define OMI_ARENA_H

#include "io/base/fail.h"

#include <stdatomic.h>

enum { OMI_ARENA_REGIONS_MAX = 256 };

struct omi_arena_region {
    unsigned char *bytes;
    uint64_t size;
    uint32_t first_unit; /* the reference of its first byte */
};

struct omi_arena_pool;

struct omi_arena {
    struct omi_arena_pool *pool;
    uint32_t region_count, current;
    uint64_t at; /* next free byte of the current region */
    _Atomic uint64_t used, mapped;
    struct omi_arena_region regions[OMI_ARENA_REGIONS_MAX];
};

OMEN_MUST_CHECK omen_err omi_arena_init(struct omi_arena *a, struct omi_arena_pool *pool,
                                        uint64_t first_bytes);
void omi_arena_fini(struct omi_arena *a);
/* Makes sure that allocations of bytes in all (each rounded up to 8) succeed. */
OMEN_MUST_CHECK omen_err omi_arena_reserve(struct omi_arena *a, uint64_t bytes);
/* size bytes at 8-byte alignment, not zeroed; 0 when neither region nor system has them. */
uint32_t omi_arena_take(struct omi_arena *a, uint64_t size, void **at_out);

static inline void *omi_arena_at(const struct omi_arena *a, uint32_t ref)
{
    uint32_t r = 0;
    while (__builtin_expect(r + 1 < OMI_ARENA_REGIONS_MAX &&
                                ref - a->regions[r].first_unit >= a->regions[r].size / 8,
                            0))
        r++;
    return a->regions[r].bytes + (uint64_t)(ref - a->regions[r].first_unit) * 8;
}

#endif

/*
 * cache.h - the block cache: decoded blocks by (table, block), under one budget.
 * A sharded hash with CLOCK eviction; frames are reference-counted, a pinned frame outlives its
 * eviction. Frame memory comes in 512-byte size classes.
 * Threads: every call from any thread.
 */
#ifndef OMI_CACHE_H
#define OMI_CACHE_H

#include "lsm/block.h"

struct omi_cache;

struct omi_frame {
    struct omi_block block;
    bool followed; /* the telemetry hears when it is asked for; set before it is inserted */
    /* private to cache.c below */
    struct omi_cache *cache;
    struct omi_frame *hash_next;
    struct omi_frame *clock_next, *clock_prev;
    uint64_t table;
    uint32_t index;
    uint32_t charge; /* bytes, this struct included */
    _Atomic uint32_t refs;
    _Atomic uint8_t used;
    bool linked;
    _Alignas(8) uint8_t body[];
};

/* capacity 0 is legal: nothing is kept. */
OMEN_MUST_CHECK omen_err omi_cache_create(uint64_t capacity_bytes, struct omi_cache **cache_out);
void omi_cache_destroy(struct omi_cache *cache); /* no frame is pinned any more */
void omi_cache_set_capacity(struct omi_cache *cache, uint64_t capacity_bytes);
uint64_t omi_cache_bytes(const struct omi_cache *cache); /* kept now, unlinked pinned ones too */
uint64_t omi_cache_capacity(const struct omi_cache *cache);
uint64_t omi_cache_pinned(const struct omi_cache *cache); /* frames pinned now */

/* The pinned frame, or NULL. */
struct omi_frame *omi_cache_get(struct omi_cache *cache, uint64_t table, uint32_t index);
/* Is it there? Pins nothing, does not count as use. */
bool omi_cache_peek(struct omi_cache *cache, uint64_t table, uint32_t index);
/* A frame of its own with room for body_bytes, pinned, not yet in the cache. NULL when memory is
 * short. */
struct omi_frame *omi_frame_create(struct omi_cache *cache, uint64_t table, uint32_t index,
                                   size_t body_bytes);
/* Puts a filled frame in, evicting others to make room (keep false, or larger than a shard's share
 * of the capacity: only hands it through). If another thread was first, frame is
 * released and the other returned; pinned either way. */
struct omi_frame *omi_cache_insert(struct omi_cache *cache, struct omi_frame *frame, bool keep);
void omi_frame_release(struct omi_frame *frame);
/* Forgets the blocks [0, blocks) of a table whose file is gone. */
void omi_cache_forget(struct omi_cache *cache, uint64_t table, uint32_t blocks);

#endif

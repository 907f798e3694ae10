/*
 * far_arena.h - bytes on a far node: chunks that are mapped, asked onto the node, taken up at once and
 * looked at; only a chunk of which 99 pages in 100 really lie there is used.
 *
 * Chunks start at 2 MiB and double with the arena up to OMI_ARENA_CHUNK_BYTES (what is larger gets one
 * of its own), cut by a bitmap in units, first fit. A unit is 4 KiB or the system's page, so that no
 * page holds two extents' bytes (far_guard.h). An empty chunk goes back to the system but for one.
 * Full:    when a chunk cannot be had it is given back, and the arena does not try to grow until
 *          something was freed or it has been asked for a while; where the system forbids placing,
 *          never again.
 * Lost:    units with pages that the guard replaced stay out of use.
 * Errors:  none: what does not fit answers NULL, and why is kept.
 * Threads: any. The system is asked under grow alone, which nobody waits for but who needs more
 *          memory; outermost first: grow -> mu.
 */
#ifndef OMI_FAR_ARENA_H
#define OMI_FAR_ARENA_H

#include "io/base/fail.h"
#include "memtier/place.h"

enum { OMI_ARENA_CHUNK_MIN_BYTES = 2 << 20, OMI_ARENA_CHUNK_BYTES = 16 << 20 };

struct omi_far_arena;

struct omi_far_arena_stats {
    uint64_t limit_bytes;              /* of chunks */
    uint64_t mapped_bytes, used_bytes; /* of chunks; of what was taken, whole units */
    uint64_t damaged, lost_bytes;      /* extents that lost pages; units that did */
    uint64_t chunks, refused;          /* refused: times that it could not grow */
    char why[128];                     /* the last time's reason; empty: none */
};

/* limit_bytes: of all chunks together. calls are borrowed. guarded: chunks are known to the guard. */
OMEN_MUST_CHECK omen_err omi_far_arena_create(const struct omi_place_calls *calls, int node,
                                              uint64_t limit_bytes, bool guarded,
                                              struct omi_far_arena **out);
void omi_far_arena_destroy(struct omi_far_arena *a); /* nothing of it is in use; NULL is fine */
/* From now on; chunks above it stay until they are empty. */
void omi_far_arena_limit(struct omi_far_arena *a, uint64_t limit_bytes);
/* size bytes at a page's alignment, zeroed; NULL: no room there. *damaged is 0, and becomes 1 when a page
 * of them is lost, until they are given back. */
void *omi_far_arena_take(struct omi_far_arena *a, size_t size, _Atomic uint8_t *damaged);
void omi_far_arena_give(struct omi_far_arena *a, void *bytes, size_t size);
/* What size bytes count for in used_bytes. */
uint64_t omi_far_arena_charge(const struct omi_far_arena *a, size_t size);
void omi_far_arena_get_stats(struct omi_far_arena *a, struct omi_far_arena_stats *out);
/* About pages_max of the pages in use, evenly spread: of those that the system knew, how many lie on the
 * node. */
void omi_far_arena_verify(struct omi_far_arena *a, uint64_t pages_max, uint64_t *on_node_out,
                          uint64_t *asked_out);

#endif

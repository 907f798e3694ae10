/*
 * far_arena.h - extents of bytes on a far node: chunks that are mapped, asked onto the node, taken
 * up at once and looked at; only a chunk that really lies there is used.
 *
 * Chunks are CHUNK_BYTES (a larger extent gets one of its own), cut in units of UNIT_BYTES by a
 * bitmap, first fit; an empty chunk goes back to the system but for one.
 * Full:    when a chunk cannot be had, or fewer than 99 in 100 of its pages lie on the node, it goes
 *          back and the arena does not grow until something is freed.
 * Errors:  none: an allocation that does not fit answers NULL, and why is kept.
 * Threads: any.
 */
#ifndef OMI_FAR_ARENA_H
#define OMI_FAR_ARENA_H

#include "io/base/fail.h"
#include "memtier/place.h"

enum { OMI_ARENA_CHUNK_BYTES = 8 << 20, OMI_ARENA_UNIT_BYTES = 1 << 10 };

struct omi_far_arena;

struct omi_far_arena_stats {
    uint64_t mapped_bytes, used_bytes; /* of chunks; of extents, whole units */
    uint64_t chunks, refused;          /* refused: chunks given back */
    char why[128];                     /* the last refusal, in words; empty: none */
};

/* limit_bytes: of all chunks together. calls are borrowed. */
OMEN_MUST_CHECK omen_err omi_far_arena_create(const struct omi_place_calls *calls, int node,
                                              uint64_t limit_bytes, struct omi_far_arena **out);
void omi_far_arena_destroy(struct omi_far_arena *a); /* nothing of it is in use */
/* size bytes at 64-byte alignment, zeroed; NULL: no room there. */
void *omi_far_arena_take(struct omi_far_arena *a, size_t size);
void omi_far_arena_give(struct omi_far_arena *a, void *bytes, size_t size);
void omi_far_arena_get_stats(struct omi_far_arena *a, struct omi_far_arena_stats *out);
/* Pages of used extents asked and found on the node, every stride-th. */
void omi_far_arena_verify(struct omi_far_arena *a, size_t stride, uint64_t *on_node_out,
                          uint64_t *asked_out);
/* The address's chunk lies in this arena (for the repair of poisoned pages). */
bool omi_far_arena_holds(struct omi_far_arena *a, const void *address);

#endif

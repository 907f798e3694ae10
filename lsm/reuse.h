/*
 * reuse.h - from the blocks that are asked for, how many a cache of any size would miss.
 *
 * Blocks are followed by hash, so that a small share of them stands for all (Waldspurger, Park,
 * Garthwaite, Ahmad, "Efficient MRC construction with SHARDS", 2015). Of each asked block that was
 * asked before, the bytes of the other followed blocks asked since are its reuse distance; times the
 * share followed, what an LRU cache must hold to have it still. Distances are counted in buckets of a
 * quarter octave.
 * Bounds:  OMI_REUSE_BLOCKS are followed at once; one that has waited behind so many others counts as
 *          new.
 * Threads: one at a time.
 */
#ifndef OMI_REUSE_H
#define OMI_REUSE_H

#include "io/base/fail.h"

#include <stdbool.h>

enum { OMI_REUSE_BLOCKS = 512, OMI_REUSE_BUCKETS = 128, OMI_REUSE_SMALLEST_BITS = 10 };

/* near[i]: blocks asked again within a cache of omi_reuse_bucket_bytes(i) and of none smaller; far:
 * asked for the first time, or too long ago. */
struct omi_reuse_curve {
    uint64_t near[OMI_REUSE_BUCKETS], far;
};
/* A cache of so many bytes has what this bucket and those before it count. */
uint64_t omi_reuse_bucket_bytes(uint32_t bucket);
/* Points of the curve, smallest cache first, at most max; *asked_out: counts behind it. */
uint32_t omi_reuse_points(const struct omi_reuse_curve *curve, omen_miss_point *points,
                          uint32_t max, uint64_t *asked_out);
void omi_reuse_halve(struct omi_reuse_curve *curve);

struct omi_reuse;
OMEN_MUST_CHECK omen_err omi_reuse_create(struct omi_reuse **out);
void omi_reuse_destroy(struct omi_reuse *r); /* NULL is fine */
uint64_t omi_reuse_bytes(void);
/* The block with this hash, of bytes, was asked; one in 2^every_bits is followed. */
void omi_reuse_ask(struct omi_reuse *r, uint64_t block_hash, uint32_t bytes, uint32_t every_bits);
struct omi_reuse_curve *omi_reuse_curve(struct omi_reuse *r);

#endif

/*
 * extent.h - movable homes of filters and models. A table reaches its index and filter sections
 * only through extents, so that a tier can place and move them; every extent is self-contained
 * bytes (offsets, no pointers), 64-byte aligned. Today every extent is near memory (the heap).
 * Threads: bytes are immutable after omi_extent_create returned and the owner filled them.
 */
#ifndef OMI_EXTENT_H
#define OMI_EXTENT_H

#include "io/base/fail.h"
#include "io/base/grace.h"

enum omi_extent_kind { OMI_EXTENT_FILTER, OMI_EXTENT_MODEL, OMI_EXTENT_KINDS };

struct omi_extent;

/* Bytes of live extents by kind, for one database, with what the allocator takes beside;
 * zero-initialised; updated atomically. */
struct omi_extent_stats {
    _Atomic uint64_t bytes[OMI_EXTENT_KINDS];
};

/* size bytes at 64-byte alignment, zeroed. stats outlives the extent. */
OMEN_MUST_CHECK omen_err omi_extent_create(struct omi_extent_stats *stats,
                                           enum omi_extent_kind kind, size_t size,
                                           struct omi_extent **extent_out);
/* The same, if the kind's bytes do not come above bytes_max by it, whoever else creates some; else
 * OMEN_ABORTED, which records no words. */
OMEN_MUST_CHECK omen_err omi_extent_create_within(struct omi_extent_stats *stats,
                                                  enum omi_extent_kind kind, size_t size,
                                                  uint64_t bytes_max,
                                                  struct omi_extent **extent_out);
/* What an extent of size bytes counts for. */
uint64_t omi_extent_charge(size_t size);
void omi_extent_destroy(struct omi_extent *extent); /* NULL is fine */
/* Destroys it once nobody can be reading it, and counts it until then; NULL is fine. */
void omi_extent_retire(struct omi_extent *extent, struct omi_grace *grace);
uint8_t *omi_extent_bytes(struct omi_extent *extent);
size_t omi_extent_size(const struct omi_extent *extent);

#endif

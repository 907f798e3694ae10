/*
 * extent.h - movable homes of filters and models. A table reaches its index and filter sections
 * only through extents, so that a tier can place and move them; every extent is self-contained
 * bytes (offsets, no pointers), 64-byte aligned.
 *
 * Class:   NEAR is the heap; FAR is the memory of the tier (tier.h). Creating asks for a class and
 *          never fails for want of far memory: the extent is near then, and says so.
 * Moving:  omi_extent_move copies the bytes, swaps one pointer and retires the old ones. So readers
 *          load omi_extent_bytes inside the grace pair, anew in each, and keep it no longer.
 * Damage:  a page of far memory may be lost under a reader (tier.h, the guard). The extent's flag is
 *          set before other bytes (0xFF) take the page's place, and never cleared: a reader asks
 *          omi_extent_damaged after it has computed and then does not believe what it computed; the
 *          owner makes a new extent from the file. Until then readers compute with bytes that nobody
 *          wrote: what they run must end, and stay inside the extent, whatever the bytes are.
 * Units:   bytes. What an extent counts for (omi_extent_charge) does not depend on where it lies.
 * Threads: bytes are immutable after omi_extent_create returned and the owner filled them. One
 *          thread at a time moves, retires or destroys an extent; any number read meanwhile.
 */
#ifndef OMI_EXTENT_H
#define OMI_EXTENT_H

#include "io/base/fail.h"
#include "io/base/grace.h"

#include <stdbool.h>

enum omi_extent_kind { OMI_EXTENT_FILTER, OMI_EXTENT_MODEL, OMI_EXTENT_KINDS };
enum omi_extent_class { OMI_EXTENT_NEAR, OMI_EXTENT_FAR, OMI_EXTENT_CLASSES };

struct omi_tier;
struct omi_far_delay;

/* The live extents of one database by kind, and the tier they may lie in; zero-initialised; updated
 * atomically. All of it but tier may be read at any time. */
struct omi_extent_stats {
    /* With what the allocator takes beside, once an extent wherever it lies, and while it moves
     * twice, until the last reader of the old bytes has left. */
    _Atomic uint64_t bytes[OMI_EXTENT_KINDS];
    /* What of it is taken in each class: near with what the allocator takes beside and with what
     * there is of far extents in near memory; far in whole units of the arena. */
    _Atomic uint64_t taken[OMI_EXTENT_KINDS][OMI_EXTENT_CLASSES];
    /* Sizes of live extents by the class that was asked for and the class that was got. */
    _Atomic uint64_t wanted[OMI_EXTENT_KINDS][OMI_EXTENT_CLASSES];
    _Atomic uint64_t got[OMI_EXTENT_KINDS][OMI_EXTENT_CLASSES];
    _Atomic uint64_t refused[OMI_EXTENT_KINDS]; /* times that far was asked for and near was got */
    _Atomic uint64_t moves[OMI_EXTENT_CLASSES], moved_bytes[OMI_EXTENT_CLASSES]; /* to the class */
    _Atomic uint64_t promoted_bytes; /* sizes of live extents that lie near by a move */
    struct omi_tier *tier;           /* set before the first extent; NULL: near memory alone */
};

struct omi_extent {
    struct omi_grace_item item; /* first: retired as this */
    struct omi_extent_stats *stats;
    _Atomic(uint8_t *) bytes;
    _Atomic(struct omi_far_delay *) delay; /* NULL: touching the bytes needs no injected delay */
    size_t size;
    uint8_t kind, wanted;
    bool promoted;
    _Atomic uint8_t place;   /* enum omi_extent_class */
    _Atomic uint8_t damaged; /* never cleared */
};

/* size bytes at 64-byte alignment, zeroed, near. stats outlives the extent. */
OMEN_MUST_CHECK omen_err omi_extent_create(struct omi_extent_stats *stats,
                                           enum omi_extent_kind kind, size_t size,
                                           struct omi_extent **extent_out);
/* The same, if the kind's bytes do not come above bytes_max by it, whoever else creates some; else
 * OMEN_ABORTED, which records no words. */
OMEN_MUST_CHECK omen_err omi_extent_create_within(struct omi_extent_stats *stats,
                                                  enum omi_extent_kind kind, size_t size,
                                                  uint64_t bytes_max,
                                                  struct omi_extent **extent_out);
/* The same, in the class that is wanted if there is room in it; omi_extent_class tells. */
OMEN_MUST_CHECK omen_err omi_extent_create_in(struct omi_extent_stats *stats,
                                              enum omi_extent_kind kind,
                                              enum omi_extent_class wanted, size_t size,
                                              uint64_t bytes_max, struct omi_extent **extent_out);
/* Moves the bytes to a class; where they lie there already nothing is copied. To FAR: that is what is
 * wanted from then on. To NEAR: a promotion of an extent that goes on wanting far; it counts against
 * near_model_bytes. OMEN_ABORTED, without words, and nothing has moved: there is no room in the class
 * (far: refused, counted; near: near_model_bytes is used up), the copy would take the kind's bytes
 * above bytes_max, or the extent is damaged. OMEN_NO_MEMORY. */
OMEN_MUST_CHECK omen_err omi_extent_move(struct omi_extent *extent, enum omi_extent_class to,
                                         uint64_t bytes_max, struct omi_grace *grace);
/* What an extent of size bytes counts for. */
uint64_t omi_extent_charge(size_t size);
void omi_extent_destroy(struct omi_extent *extent); /* NULL is fine */
/* Destroys it once nobody can be reading it, and counts it until then; NULL is fine. */
void omi_extent_retire(struct omi_extent *extent, struct omi_grace *grace);

/* For readers: inside the grace pair, where the extent may move. */
static inline uint8_t *omi_extent_bytes(struct omi_extent *extent)
{
    return atomic_load_explicit(&extent->bytes, memory_order_seq_cst);
}

/* After computing from the bytes, and before believing it. A load that no earlier one of the bytes
 * can come after: the page was replaced under them only after the flag was set. */
static inline bool omi_extent_damaged(const struct omi_extent *extent)
{
    atomic_signal_fence(memory_order_acquire);
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&extent->damaged, memory_order_relaxed) != 0;
}

/* Where the bytes lie now. */
static inline enum omi_extent_class omi_extent_class(const struct omi_extent *extent)
{
    return (enum omi_extent_class)atomic_load_explicit(&extent->place, memory_order_relaxed);
}

static inline size_t omi_extent_size(const struct omi_extent *extent)
{
    return extent->size;
}

#endif

/*
 * tier.h - the far memory of one database: which there is, how much of it is used, and what became of
 * it. Extents (extent.h) are put there and moved; whoever decides which, and when, is above.
 *
 * Backends: NODE   a NUMA node with memory and without processors, as CXL memory appears: mapped,
 *                  preferred (never bound: a bound process is killed when the node is full), taken up
 *                  at once, and looked at; memory that does not lie there is given back.
 *           HEAP   plain memory that is called far: the same calls, the same accounting, for tests
 *                  and for seeing what would be placed. It saves nothing.
 *           DELAY  HEAP with injected latency (far_touch.h): for experiments.
 * Lack:     no node, a cpuset without it, a kernel or a sandbox that forbids the calls, a full node, a
 *           limit: extents are near then, it is counted, and one line says why. Never an error.
 * Guard:    a page of far memory that is lost (SIGBUS, "poisoned") kills the process unless the
 *           guard is on: a signal handler that marks the extent as damaged and then puts a page of
 *           0xFF bytes in its place. It is the process's own choice, as a library has no right to
 *           a signal; other SIGBUS go to the handler that was there before.
 * Owner:    open gives the tier, close takes it when all its extents are gone.
 * Threads:  any, but for open and close.
 */
#ifndef OMI_TIER_H
#define OMI_TIER_H

#include "memtier/extent.h"
#include "memtier/place.h"

enum omi_far_mode {
    OMI_FAR_AUTO, /* the nearest far node, if there is one */
    OMI_FAR_NONE,
    OMI_FAR_NODE,
    OMI_FAR_HEAP,
    OMI_FAR_DELAY
};

struct omi_tier_settings {
    enum omi_far_mode mode;
    int node;                 /* NODE */
    uint32_t delay_ns;        /* DELAY: what a line costs more than a near one, to 100 us */
    uint64_t delay_bandwidth; /* DELAY: far bytes a second of all threads; 0: 20 GB */
    uint64_t far_bytes;       /* 0: nine tenths of what the node has free now (HEAP, DELAY: none) */
    uint64_t near_model_bytes; /* sizes of extents that may be moved near; 0: none are moved */
    bool guard;                /* wanted; omi_tier_get_stats tells whether it could be had */
    /* Tests; NULL: the system's. Borrowed until close. */
    const struct omi_place_calls *calls;
    const char *nodes_root;
};

/* OMEN_NO_MEMORY; anything else that is missing is told by the stats. Mode NONE, and AUTO without a
 * far node, give a tier that refuses everything. */
OMEN_MUST_CHECK omen_err omi_tier_open(const struct omi_tier_settings *settings,
                                       struct omi_tier **tier_out);
void omi_tier_close(struct omi_tier *tier); /* NULL is fine */

/* From now on; what lies there stays. */
void omi_tier_limit(struct omi_tier *tier, uint64_t far_bytes, uint64_t near_model_bytes);
/* Could an extent be put far: is there a backend, whatever room there is? */
bool omi_tier_has_far(const struct omi_tier *tier); /* NULL: false */

enum { OMI_TIER_WHY_BYTES = 160 };

struct omi_tier_stats {
    enum omi_far_mode mode;               /* what was got: never AUTO */
    int node;                             /* -1: none */
    uint32_t node_distance;               /* 0: unknown */
    uint32_t node_latency_ns;             /* as the firmware says; 0: unknown */
    uint32_t delay_ns, delay_achieved_ns; /* DELAY: the median, as measured at open */
    bool delay_sound;                     /* ... lies within 15 %: figures may be told */
    bool guarded;
    uint64_t far_limit_bytes, near_model_bytes;
    uint64_t mapped_bytes, used_bytes;    /* of the arena; used in whole units */
    uint64_t chunks, chunks_refused;      /* refused: times that the arena could not grow */
    uint64_t damaged_extents, lost_bytes; /* pages that were replaced stay out of use */
    /* DELAY: lines that had to come, of those the ones asked for ahead; touches of lines that a
     * thread's caches would hold; time waited. */
    uint64_t far_lines, far_prefetches, far_hits, far_wait_ns;
    /* One line: why there is no far memory, why it did not grow when it last did not, or why there is no
     * guard; empty: nothing of it. */
    char why[OMI_TIER_WHY_BYTES];
};
void omi_tier_get_stats(struct omi_tier *tier, struct omi_tier_stats *out);

/* Asks the system where pages of far extents lie, about pages_max of them, evenly spread. Pages that
 * the system says nothing of are not counted. For heap and delay: all of them are "on node". */
struct omi_tier_verified {
    uint64_t asked, on_node;
};
void omi_tier_verify(struct omi_tier *tier, uint64_t pages_max, struct omi_tier_verified *out);

/* The process's handler of SIGBUS, as above; pairs, counted. False: it could not be installed. A tier
 * opened with guard does this itself. */
bool omi_tier_guard_install(void);
void omi_tier_guard_remove(void);

/* ---- for extent.c ---------------------------------------------------------------------------- */

/* size bytes at 64-byte alignment, zeroed; NULL: no room, or no tier. damaged is an extent's flag. */
uint8_t *omi_tier_take(struct omi_tier *tier, size_t size, _Atomic uint8_t *damaged);
void omi_tier_give(struct omi_tier *tier, uint8_t *bytes, size_t size);
uint64_t omi_tier_charge(const struct omi_tier *tier, size_t size); /* in whole units */
struct omi_far_delay *omi_tier_delay(const struct omi_tier *tier);  /* NULL: none */
/* Counts size in promoted_bytes if that stays within near_model_bytes. */
bool omi_tier_promote(const struct omi_tier *tier, struct omi_extent_stats *stats, size_t size);

#endif

/*
 * counters.h - what the engine counts on its hot paths: relaxed atomics, striped by thread, so that
 * threads do not share cache lines. Summed by stats.c; kept over the life of the database.
 */
#ifndef OMI_COUNTERS_H
#define OMI_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum omi_counter {
    OMI_COUNT_PUTS,
    OMI_COUNT_DELETES,
    OMI_COUNT_BATCHES,
    OMI_COUNT_USER_BYTES,
    OMI_COUNT_GETS,
    OMI_COUNT_GET_HITS,
    OMI_COUNT_GET_MEMTABLE_HITS,
    OMI_COUNT_GET_BLOCKS,
    OMI_COUNT_MULTI_GET_KEYS,
    OMI_COUNT_SEEKS,
    OMI_COUNT_NEXTS,
    OMI_COUNT_TOMBSTONES_SKIPPED,
    OMI_COUNT_FILTER_PROBES,
    OMI_COUNT_FILTER_NEGATIVES,
    OMI_COUNT_FILTER_FALSE_POSITIVES,
    OMI_COUNT_INDEX_GRID_HITS,
    OMI_COUNT_INDEX_KEYED_COMPARES,
    OMI_COUNT_FLUSHES,
    OMI_COUNT_FLUSH_BYTES,
    OMI_COUNT_FLUSH_US,
    OMI_COUNT_MERGES,
    OMI_COUNT_MERGE_READ_BYTES,
    OMI_COUNT_MERGE_WRITTEN_BYTES,
    OMI_COUNT_STALLS, /* one for each reason, then its us */
    OMI_COUNT_STALL_US = OMI_COUNT_STALLS + 4,
    OMI_COUNT_LOG_BYTES = OMI_COUNT_STALL_US + 4,
    OMI_COUNT_LOG_SYNCS,
    OMI_COUNT_DEVICE_BYTES, /* written to tables and log */
    OMI_COUNT_RANGE_ASKED,  /* of the scans' sources with range filters; see scan.c */
    OMI_COUNT_RANGE_PARKED,
    OMI_COUNT_RANGE_ACTIVATED,
    OMI_COUNT_RANGE_IN_VAIN,
    OMI_COUNTERS
};

enum { OMI_COUNTER_STRIPES = 8 };

struct omi_counters {
    struct {
        _Alignas(64) _Atomic uint64_t v[OMI_COUNTERS];
    } stripe[OMI_COUNTER_STRIPES];
};

/* This thread's stripe; threads are dealt round robin. */
unsigned omi_counter_stripe(void);

/* Returns what the stripe's counter was. */
static inline uint64_t omi_count_at(struct omi_counters *c, unsigned stripe, enum omi_counter which,
                                    uint64_t n)
{
    return atomic_fetch_add_explicit(&c->stripe[stripe].v[which], n, memory_order_relaxed);
}

static inline void omi_count(struct omi_counters *c, enum omi_counter which, uint64_t n)
{
    omi_count_at(c, omi_counter_stripe(), which, n);
}

uint64_t omi_counter_sum(const struct omi_counters *c, enum omi_counter which);

#endif

/*
 * counters.h - what the engine counts on its hot paths: relaxed atomics, striped by thread, so that
 * threads do not share cache lines. Summed by stats.c; kept over the life of the database.
 */
#ifndef OMI_COUNTERS_H
#define OMI_COUNTERS_H

#include "lsm/omendb.h"

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
    /* Those that are kept by level stand for the sum over levels; here, before a handle was opened. */
    OMI_COUNT_GET_BLOCK_READS,
    OMI_COUNT_SCAN_OPENS,
    OMI_COUNT_SCAN_BLOCKS,
    OMI_COUNT_SCAN_BLOCK_READS,
    OMI_COUNT_SCAN_ENTRIES,
    OMI_COUNT_READ_BYTES, /* keys and values handed out */
    OMI_COUNT_OVERWRITTEN,
    OMI_COUNT_DELETES_DROPPED,
    OMI_COUNT_MOVED_TABLES,
    OMI_COUNT_SCAN_LENGTHS, /* scans by the logarithm of their entries */
    OMI_COUNTERS = OMI_COUNT_SCAN_LENGTHS + OMEN_SCAN_LENGTHS
};

/* Kept for each level; omen_level_io. */
enum omi_level_counter {
    OMI_LEVEL_FILTER_PROBES,
    OMI_LEVEL_FILTER_NEGATIVES,
    OMI_LEVEL_FILTER_FALSE_POSITIVES,
    OMI_LEVEL_GET_BLOCKS,
    OMI_LEVEL_GET_BLOCK_READS,
    OMI_LEVEL_SCAN_OPENS,
    OMI_LEVEL_SCAN_BLOCKS,
    OMI_LEVEL_SCAN_BLOCK_READS,
    OMI_LEVEL_MOVED_TABLES,
    OMI_LEVEL_DROPPED_BYTES,
    OMI_LEVEL_COUNTERS
};

enum { OMI_COUNTER_STRIPES = 8 };

struct omi_counters {
    struct {
        _Alignas(64) _Atomic uint64_t v[OMI_COUNTERS];
        _Atomic uint64_t level[OMEN_LEVELS_MAX][OMI_LEVEL_COUNTERS];
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

/* level: from 1. */
static inline void omi_count_level(struct omi_counters *c, unsigned stripe, uint32_t level,
                                   enum omi_level_counter which, uint64_t n)
{
    atomic_fetch_add_explicit(&c->stripe[stripe].level[level - 1][which], n, memory_order_relaxed);
}

/* Of one that is kept by level: over all levels. */
uint64_t omi_counter_sum(const struct omi_counters *c, enum omi_counter which);
uint64_t omi_level_counter_sum(const struct omi_counters *c, uint32_t level,
                               enum omi_level_counter which);

#endif

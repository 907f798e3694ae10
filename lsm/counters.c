#include "lsm/counters.h"

#include "io/base/turns.h"

#include <stddef.h>

unsigned omi_counter_stripe(void)
{
    static _Atomic unsigned next;
    static _Thread_local unsigned mine; /* 0: not dealt yet */
    if (omi_turns_here !=
        NULL) /* what is sampled may not depend on which threads there were before */
        return 0;
    if (mine == 0)
        mine = 1 + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % OMI_COUNTER_STRIPES;
    return mine - 1;
}

/* The level's counter that a counter of the database is the sum of; -1: none. */
static int by_level(enum omi_counter which)
{
    switch (which) {
    case OMI_COUNT_FILTER_PROBES:
        return OMI_LEVEL_FILTER_PROBES;
    case OMI_COUNT_FILTER_NEGATIVES:
        return OMI_LEVEL_FILTER_NEGATIVES;
    case OMI_COUNT_FILTER_FALSE_POSITIVES:
        return OMI_LEVEL_FILTER_FALSE_POSITIVES;
    case OMI_COUNT_GET_BLOCKS:
        return OMI_LEVEL_GET_BLOCKS;
    case OMI_COUNT_GET_BLOCK_READS:
        return OMI_LEVEL_GET_BLOCK_READS;
    case OMI_COUNT_SCAN_OPENS:
        return OMI_LEVEL_SCAN_OPENS;
    case OMI_COUNT_SCAN_BLOCKS:
        return OMI_LEVEL_SCAN_BLOCKS;
    case OMI_COUNT_SCAN_BLOCK_READS:
        return OMI_LEVEL_SCAN_BLOCK_READS;
    case OMI_COUNT_MOVED_TABLES:
        return OMI_LEVEL_MOVED_TABLES;
    default:
        return -1;
    }
}

uint64_t omi_level_counter_sum(const struct omi_counters *c, uint32_t level,
                               enum omi_level_counter which)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES; i++)
        sum += atomic_load_explicit(&c->stripe[i].level[level - 1][which], memory_order_relaxed);
    return sum;
}

uint64_t omi_counter_sum(const struct omi_counters *c, enum omi_counter which)
{
    uint64_t sum = 0;
    int level_counter = by_level(which);
    for (uint32_t l = 1; l <= OMEN_LEVELS_MAX && level_counter >= 0; l++)
        sum += omi_level_counter_sum(c, l, (enum omi_level_counter)level_counter);
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES && level_counter < 0; i++)
        sum += atomic_load_explicit(&c->stripe[i].v[which], memory_order_relaxed);
    return sum;
}

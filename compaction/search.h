/*
 * search.h - which files of a run lie over a key range. Binary searches; files of a run are
 * disjoint and ascending, bounds are inclusive user keys.
 */
#ifndef OMI_SEARCH_H
#define OMI_SEARCH_H

#include "compaction/tree.h"

/* The first file that ends at or after key; file_count if none does. */
static inline uint32_t omi_search_from(const struct omi_order *order,
                                       const struct omi_tree_run *run, omen_slice key)
{
    uint32_t low = 0, high = run->file_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (omi_key_compare(order, run->files[mid]->largest, key) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* The first file that begins after key; file_count if none does. */
static inline uint32_t omi_search_to(const struct omi_order *order, const struct omi_tree_run *run,
                                     omen_slice key)
{
    uint32_t low = 0, high = run->file_count;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (omi_key_compare(order, run->files[mid]->smallest, key) <= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static inline bool omi_search_overlaps(const struct omi_order *order,
                                       const struct omi_tree_run *run, omen_slice smallest,
                                       omen_slice largest)
{
    uint32_t i = omi_search_from(order, run, smallest);
    return i < run->file_count && omi_key_compare(order, run->files[i]->smallest, largest) <= 0;
}

#endif

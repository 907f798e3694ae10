/*
 * cost_cache.c - how much of each level's blocks a cache holds.
 *
 * Che, Tung, Wang ("Hierarchical Web Caching Systems: Modeling, Design and Experimental Results",
 * 2002): in a cache that drops what was not asked for longest, a block is there if it was asked for
 * within a time that is the same for all blocks, the one that fills the cache. Blocks of small
 * levels are asked for more often: every scan comes to one of every run. Inside a level, keys that
 * are asked for unevenly lie in blocks of their own.
 */
#include "compaction/cost_model.h"
#include "compaction/cost_skew.h"

#include <math.h>

enum { STEPS = 40 };

/* Accesses to a level's blocks by one operation of the mix. */
static double accesses_of(const struct omi_cost_data *data, const struct omi_cost_level *level,
                          const double mix[OMI_TUNE_OPS], double share, double page_entries)
{
    double steps = data->scan_entries > 1 ? data->scan_entries - 1 : 0;
    double scans = level->runs * (1 + 1 / page_entries) + share * steps / page_entries;
    return mix[OMI_TUNE_GET_MISS] * level->runs * level->fpr + mix[OMI_TUNE_GET_HIT] * share +
           mix[OMI_TUNE_SCAN] * scans;
}

void omi_cost_cache(const struct omi_cost_data *data, const double mix[OMI_TUNE_OPS],
                    double cache_bytes, struct omi_cost_tree *tree)
{
    struct omi_skew skew[OMEN_LEVELS_MAX];
    double accesses[OMEN_LEVELS_MAX], entries = 0, blocks = 0, low = -10, high = 60;
    double page_entries =
        data->page_entries > 0 ? data->page_entries : data->page_bytes / data->entry_bytes;
    double room = cache_bytes / (page_entries * data->entry_bytes);
    omi_cost_filter(data, tree);
    for (uint32_t i = 0; i < tree->count; i++)
        entries += tree->level[i].entries;
    for (uint32_t i = 0; i < tree->count; i++) {
        struct omi_cost_level *level = &tree->level[i];
        double held = fmax(level->entries / page_entries, 1);
        double share = entries > 0 ? level->entries / entries : 0;
        accesses[i] = accesses_of(data, level, mix, share, page_entries);
        omi_skew_make(held, data->skew, &skew[i]);
        blocks += level->entries > 0 ? held : 0;
        level->cached = 0;
    }
    if (room <= 0 || blocks <= 0)
        return;
    for (int step = 0; step < STEPS; step++) { /* ln of the time, in operations */
        double time = exp((low + high) / 2), held = 0;
        for (uint32_t i = 0; i < tree->count; i++)
            if (tree->level[i].entries > 0)
                held += omi_skew_seen(&skew[i], accesses[i] * time);
        if (held > room)
            high = (low + high) / 2;
        else
            low = (low + high) / 2;
    }
    for (uint32_t i = 0; i < tree->count; i++)
        if (tree->level[i].entries > 0)
            tree->level[i].cached = omi_skew_known(&skew[i], accesses[i] * exp(low));
}

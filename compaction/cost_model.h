/*
 * cost_model.h - what an operation costs in blocks and bytes, from the shape of the tree alone.
 *
 * Per-operation I/O of a tree with T and K_i runs a level: lookups of keys that are not there and
 * that are, scans, and writes with all the merging that they cause. The formulas are those of Dayan,
 * Athanassoulis, Idreos ("Monkey", 2017), Dayan and Idreos ("Dostoevsky", 2018) and Huynh,
 * Chaudhari, Terzi, Athanassoulis ("Endure", 2022), for any K_i; leveling, tiering and lazy leveling
 * are points of them.
 *
 * Three ways to a struct omi_cost_tree, which is all that costs are computed from:
 *   omi_cost_ideal   full levels in the proportions of the shape: the closed forms of the papers
 *   omi_cost_replay  the flushes and merges that this engine's picking makes for uniform keys, on
 *                    run sizes alone (cost_replay.c): rounds, joins, free moves, overwritten entries
 *   omi_cost_live    the sizes that a database has now
 *
 * Units: entries and pages are doubles: averages. A page is page_bytes. Costs are in random page
 *        reads, by the prices.
 * Use:   these numbers rank shapes; no answer of the database depends on them.
 */
#ifndef OMI_COST_MODEL_H
#define OMI_COST_MODEL_H

#include "compaction/shape.h"

/* The four kinds of operation; a mix is a share for each. */
enum omi_tune_op {
    OMI_TUNE_GET_MISS, /* z0: of a key that is not there */
    OMI_TUNE_GET_HIT,  /* z1 */
    OMI_TUNE_SCAN,     /* q */
    OMI_TUNE_WRITE,    /* w */
    OMI_TUNE_OPS
};

enum omi_cost_filters {
    OMI_COST_NO_FILTERS,
    OMI_COST_UNIFORM, /* filter_bits for every key */
    OMI_COST_MONKEY,  /* as many bits in all, dealt out for the fewest false positives */
    OMI_COST_QUALITY, /* no more false positives in all than uniform bits would leave, dealt out for
                         the least memory: what this engine does by default */
    OMI_COST_GIVEN    /* level[].fpr stands already */
};

/* In random page reads. */
struct omi_cost_prices {
    double read;        /* a page of a get */
    double seek;        /* the first page of a run in a scan, with the way there */
    double scan_page;   /* each further page of a scan */
    double merge_read;  /* a page read by a merge */
    double merge_write; /* a page written by a flush or merge */
    double probe;       /* asking one run's filter and index: CPU */
};
extern const struct omi_cost_prices omi_cost_prices_default; /* every page 1, probes 0 */

struct omi_cost_data {
    double entries, entry_bytes,
        page_bytes;      /* an entry's bytes in a table, all overhead included */
    double page_entries; /* of a block; 0: page_bytes / entry_bytes */
    double flush_share;  /* bytes of a flushed table for each of the memtable; 0: 1 */
    double scan_entries; /* of a scan, on average */
    double filter_bits;  /* a key */
    double halving;      /* bits a key that halve the false positives; 0: 1/ln 2, of an ideal Bloom
                            filter; OMI_FILTER_BITS_PER_HALVING for this engine's */
    double line_bits;    /* filters are whole lines of so many bits; 0: of any size */
    double fpr_max;      /* that any level may have if the bits suffice; 0: 1 */
    enum omi_cost_filters filters;
    double read_writes; /* reads see the tree as it is over so many writes from the load on; 0:
                            over all that are replayed */
    double inserts;     /* share of writes that put a new key; the others overwrite */
    bool sorted;        /* keys come nearly in order: runs meet at their ends alone */
    bool spanned; /* and with them deletes of the oldest: a run's first table meets all that is
                            older, its others nothing */
    double file_entries; /* of a table, where keys come in order; 0: runs are of one table */
    double skew;         /* Zipf exponent of the keys that gets and writes come to; 0: all alike */
    bool recent;         /* scans begin near the newest keys, which few runs hold */
    double cache_hit;    /* share of data pages that gets and scans find in the cache */
    struct omi_cost_prices prices;
};

struct omi_cost_level {
    double entries, runs, fpr;
    double quality; /* of OMI_COST_QUALITY: fpr over what uniform bits would leave; 0: by size */
    double cached;  /* share of its pages that are found in the cache, besides cache_hit */
    double read, written; /* how often an entry that passes is read and written for this level */
};

struct omi_cost_tree {
    uint32_t count; /* of levels, 1 to OMEN_LEVELS_MAX */
    struct omi_cost_level level[OMEN_LEVELS_MAX];
    double space_amp; /* bytes stored for each byte of live data */
    double writes;    /* that read and written are averages over; 0: not replayed */
    double in_memory; /* share of gets of present keys that the memtable answers */
};

struct omi_cost {
    double pages[OMI_TUNE_OPS]; /* of an operation: logical page accesses, cache and prices aside */
    double cost[OMI_TUNE_OPS];  /* with cache and prices */
    double runs, fpr_sum;       /* runs that a scan opens; false positives of a fruitless get */
    double write_amp;           /* bytes written for each byte put, the log aside */
    double space_amp;
};

/* Levels that entries of entry_bytes take, as the engine counts them: 1 to OMEN_LEVELS_MAX. */
uint32_t omi_cost_level_count(const struct omi_shape *shape, double bytes);
void omi_cost_ideal(const struct omi_shape *shape, const struct omi_cost_data *data,
                    struct omi_cost_tree *tree_out);
/* Sizes and run counts that are there, [0] is level 1; merging is taken from the shape. */
void omi_cost_live(const struct omi_shape *shape, const double *entries, const double *runs,
                   uint32_t count, struct omi_cost_tree *tree_out);
/* Loads data->entries new keys, lets merges end, then writes writes of them (0: twice the entries, so
 * that rounds of all levels are seen whole) and averages merging over those, and what reads see over
 * data->read_writes of them. Deterministic. */
void omi_cost_replay(const struct omi_shape *shape, const struct omi_cost_data *data, double writes,
                     struct omi_cost_tree *tree_out);

/* Sets level[].fpr as data->filters says (omi_cost_of does it too). */
void omi_cost_filter(const struct omi_cost_data *data, struct omi_cost_tree *tree);
/* What operations on the tree cost; sets its fpr unless they are given. */
void omi_cost_of(const struct omi_cost_data *data, struct omi_cost_tree *tree,
                 struct omi_cost *cost_out);
/* Of the mix: the mean over its shares. */
double omi_cost_mix(const struct omi_cost *cost, const double mix[OMI_TUNE_OPS]);

/* The K that balances a level's merging against the runs that scans and false positives meet:
 * sqrt(writes * (merge_read + merge_write) * (T - 1) / (2B * (scans * seek + (z0 + z1) * fpr * read))),
 * 1 to T - 1. fpr: of one run with uniform filters; 0 with Monkey's, whose sum does not grow with K.
 */
double omi_cost_runs_prior(const struct omi_cost_data *data, uint32_t size_ratio,
                           const double mix[OMI_TUNE_OPS], double fpr);

/* Sets level[].cached for a cache of cache_bytes that drops what was not asked for longest, by the
 * pages that operations of the mix come to; and fpr, as omi_cost_filter does. */
void omi_cost_cache(const struct omi_cost_data *data, const double mix[OMI_TUNE_OPS],
                    double cache_bytes, struct omi_cost_tree *tree);
/* How often a page is found in a cache of cache_bytes, of data_bytes asked with Zipf exponent theta
 * (0: uniform): the share of requests that the hottest pages get that fit. */
double omi_cost_cache_hit(double cache_bytes, double data_bytes, double theta);

/* Hit rates that were measured (a miss-ratio curve): ascending in bytes. Between two points the rate
 * goes evenly; below the first from 0 at no cache, beyond the last it stays. */
enum { OMI_COST_CURVE_MAX = 64 };
struct omi_cost_curve {
    uint32_t count;
    double cache_bytes[OMI_COST_CURVE_MAX], hit[OMI_COST_CURVE_MAX];
};
double omi_cost_curve_hit(const struct omi_cost_curve *curve, double cache_bytes);

#endif

/*
 * tune_space.h - the shapes that the tuner chooses from: about 2,450 points, listed, never walked.
 *
 * A point is T, K of the upper levels, K of the last level, filter bits a key and the cache's share of
 * the memory; what filters and cache leave is the memtable's. A point whose memtable would be less
 * than the least is no point. Predicting all of them takes milliseconds, so nothing descends.
 *
 * Text: restrictions are "T=2,4,10;K=1,T-1;Z=1;h=6,10;cache=0,20" (Z: K of the last level; cache in
 *       per cent; also T/2); a list replaces the axis. Options are those of omen_options_from_string.
 * Owner: a space owns its points; indices stay valid while points are only added.
 */
#ifndef OMI_TUNE_SPACE_H
#define OMI_TUNE_SPACE_H

#include "compaction/cost_model.h"

#include <stddef.h>

struct omi_point {
    uint16_t size_ratio, runs_upper, runs_last, filter_bits, cache_pct;
};

struct omi_space_limits {
    uint64_t memory_bytes; /* M: one memtable, filters and cache together */
    uint64_t entries;      /* N: that filters are for */
    uint64_t memtable_min; /* 0: the engine's, 64 KiB */
};

struct omi_tune_space {
    struct omi_space_limits limits;
    struct omi_point *points; /* by T, K, Z, h, cache; what was added comes last */
    uint32_t count, room;
};

/* restrict_text may be NULL. OMEN_INVALID names the word that is wrong, or says that no point fits. */
OMEN_MUST_CHECK omen_err omi_space_make(const struct omi_space_limits *limits,
                                        const char *restrict_text,
                                        struct omi_tune_space *space_out);
/* The grid that methods are judged by: T 2,4,6,10; K 1, the square-root rule for the mix, lazy
 * leveling, tiering; h 6, 10; cache 0, 20, 40 %. data: what the rule's costs are. */
OMEN_MUST_CHECK omen_err omi_space_grid(const struct omi_space_limits *limits,
                                        const struct omi_cost_data *data,
                                        const double mix[OMI_TUNE_OPS],
                                        struct omi_tune_space *space_out);
/* Adds a point, wherever it lies, unless it is there; its index either way. OMEN_INVALID: it is no
 * valid shape, or does not fit the memory. */
OMEN_MUST_CHECK omen_err omi_space_add(struct omi_tune_space *space, const struct omi_point *point,
                                       uint32_t *index_out);
void omi_space_fini(struct omi_tune_space *space);
/* UINT32_MAX: not there. */
uint32_t omi_space_find(const struct omi_tune_space *space, const struct omi_point *point);

bool omi_point_same(const struct omi_point *a, const struct omi_point *b);
/* The bits, half as many more and 8 KiB: what filters of tables of a megabyte take with their heads
 * (a fifth), and the room that the engine keeps for more. 0 without filters. */
uint64_t omi_point_filter_bytes(const struct omi_space_limits *limits, const struct omi_point *p);
uint64_t omi_point_cache_bytes(const struct omi_space_limits *limits, const struct omi_point *p);
/* 0: filters and cache leave too little. */
uint64_t omi_point_memtable_bytes(const struct omi_space_limits *limits, const struct omi_point *p);
/* OMEN_INVALID in words; OMEN_OK means that it also fits the memory. */
OMEN_MUST_CHECK omen_err omi_point_check(const struct omi_space_limits *limits,
                                         const struct omi_point *p);
void omi_point_shape(const struct omi_space_limits *limits, const struct omi_point *p,
                     struct omi_shape *shape_out);

enum { OMI_POINT_TEXT = 256 };
/* "size_ratio=6,runs_upper=4,...". The engine's cache_bytes is for blocks and filters together. */
void omi_point_options(const struct omi_space_limits *limits, const struct omi_point *p,
                       char text_out[static OMI_POINT_TEXT]);
/* Back from such a text, in any order; every name it has must be one of those. */
OMEN_MUST_CHECK omen_err omi_point_parse(const struct omi_space_limits *limits, const char *text,
                                         struct omi_point *point_out);

/* One step away: the next coded T (K's go along when they are T - 1), K, Z, h or cache, up or down.
 * Returns how many. */
enum { OMI_NEIGHBOURS_MAX = 10 };
uint32_t omi_space_neighbours(const struct omi_tune_space *space, uint32_t index,
                              uint32_t out[static OMI_NEIGHBOURS_MAX]);

#endif

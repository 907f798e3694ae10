/*
 * table_filter.h - a table's filters in memory: a head, and parts that come and go. The range filter is
 * one part more, behind those of the filter.
 * Path:    get -> run -> [table filter] -> block index; filter_memory.h decides what stays.
 * Bytes:   docs/format-filter.md. A section of format 1 and a user's filter are one part, the whole.
 * Errors:  a head that cannot be read fails the opening of its table; a part comes later then. What is
 *          damaged, twice, is dropped: a head ("maybe" for all), or a part alone. Counted, and told.
 */
#ifndef OMI_TABLE_FILTER_H
#define OMI_TABLE_FILTER_H

#include "learned/range_filter.h"
#include "lsm/custom_filter.h"
#include "memtier/extent.h"

struct omi_table_part {
    /* NULL: not in memory. Where it may be far it moves: there it only says that there are bytes, and
     * readers ask the extent. */
    _Atomic(const uint8_t *) bytes;
    _Atomic(struct omi_extent *)
        extent;                   /* that they are in; changed under the filter memory's mu */
    _Atomic uint8_t used, wanted; /* since the clock turned: asked; asked in vain, to 255 */
    _Atomic uint8_t damaged;      /* never to come */
    uint8_t idle;                 /* turns without use; mu */
    uint8_t failures, rest;       /* loads that failed in a row, calls to sit out; the keeper's */
};

/* Of sampled lookups of absent keys in a region of a filter, and of those the passed ones. */
struct omi_region_counts {
    _Atomic uint32_t absent, passed;
};

struct omi_table_filter {
    struct omi_filter filter;        /* kind NONE: "maybe" */
    struct omi_custom_filter custom; /* where kind is CUSTOM */
    bool foreign;                    /* sound, and another policy's */
    bool damaged;                    /* and not used */
    bool whole;                      /* one part: the whole section, under the footer's check */
    struct omi_extent *head;         /* NULL: a user's filter needs none */
    struct omi_table_part *parts;
    uint32_t part_count;  /* of those that come and go, the range filter's among them */
    uint32_t point_parts; /* without it */
    _Atomic(struct omi_range_filter *) range; /* made with the first load, kept */
    struct omi_table *next, *prev;            /* the filter memory's ring */
    _Atomic uint32_t sampled[3];              /* by enum omi_sampled */
    /* made when there is something to count in several regions */
    _Atomic(struct omi_region_counts *) sampled_regions;
};

/* Reads the head, and the parts that there is room for. heap_bytes gets what lies beside extents. */
OMEN_MUST_CHECK omen_err omi_table_filter_open(struct omi_table *table, size_t *heap_bytes);
void omi_table_filter_close(struct omi_table *table);
bool omi_table_filter_may_hold(struct omi_table *table, omen_slice key, uint64_t hash,
                               struct omi_filter_route *route_out);

/* Does the range filter say otherwise? */
bool omi_table_filter_may_hold_range(struct omi_table *table, const omen_slice *low,
                                     const omen_slice *high);

/* As omi_range_filter_free; without the filter's bytes until is low itself. */
OMEN_MUST_CHECK omen_err omi_table_filter_free_range(struct omi_table *table, omen_slice low,
                                                     struct omi_buf *until_out, bool *none_out);

/* For the keeper: brings a part in. OMEN_ABORTED: there is no room. After OMEN_CORRUPT it will not be
 * asked for again; after another failure, not for a while. */
OMEN_MUST_CHECK omen_err omi_table_part_load(struct omi_table *table, uint32_t part);
/* Where a keeper of far memory is concerned (one thread at a time): moves the parts that may move, as far
 * as there is room and budget_bytes is not moved (OMEN_ABORTED: some stay); loads damaged ones anew; adds
 * where it all lies, and how much of it may move. */
OMEN_MUST_CHECK omen_err omi_table_filter_move(struct omi_table *table, enum omi_extent_class to,
                                               uint64_t budget_bytes, uint64_t *moved_bytes);
uint32_t omi_table_filter_repair(struct omi_table *table);
void omi_table_filter_lies(const struct omi_table *table, uint64_t bytes[static OMI_EXTENT_CLASSES],
                           uint64_t *movable_bytes);
/* As omi_table_ahead, of the filter. */
struct omi_table_ahead;
void omi_table_filter_ahead(struct omi_table *table, omen_slice key, uint64_t hash,
                            struct omi_table_ahead *ahead_out);
/* 0: it has nothing to load. */
uint64_t omi_table_part_bytes(const struct omi_table *table, uint32_t part);

#endif

/*
 * table_filter.h - a table's filter in memory: a head, and parts that come and go.
 * Path:    get -> run -> [table filter] -> block index; filter_memory.h decides what stays.
 * Bytes:   docs/format-filter.md. A section of format 1 and a user's filter are kept whole, as heads.
 * Errors:  a damaged head is dropped ("maybe" for all); so is a damaged part, alone.
 */
#ifndef OMI_TABLE_FILTER_H
#define OMI_TABLE_FILTER_H

#include "lsm/custom_filter.h"
#include "memtier/extent.h"

struct omi_table_part {
    _Atomic(const uint8_t *) bytes; /* NULL: not in memory */
    struct omi_extent *extent;      /* the keeper's */
    _Atomic uint8_t used, wanted;   /* since the keeper came by */
    bool damaged;
};

struct omi_table_filter {
    struct omi_filter filter;        /* kind NONE: "maybe" */
    struct omi_custom_filter custom; /* where kind is CUSTOM */
    bool foreign;                    /* sound, and another policy's */
    struct omi_extent *head;
    struct omi_table_part *parts;
    uint32_t part_count;              /* of those that come and go */
    _Atomic uint32_t sampled[3];      /* by enum omi_sampled */
    _Atomic uint32_t *sampled_region; /* pairs by region: absent, passed; NULL: one region */
};

/* Reads the head, and the parts that there is room for. heap_bytes gets what lies beside extents. */
OMEN_MUST_CHECK omen_err omi_table_filter_open(struct omi_table *table, size_t *heap_bytes);
void omi_table_filter_close(struct omi_table *table);
bool omi_table_filter_may_hold(struct omi_table *table, omen_slice key, uint64_t hash,
                               struct omi_filter_route *route_out);

/* For the keeper. Loading does nothing to a damaged part; false: there is no room, or no memory, or
 * the file cannot be read just now. */
bool omi_table_part_load(struct omi_table *table, uint32_t part);
/* The bytes it frees, when all readers have left. */
uint64_t omi_table_part_evict(struct omi_table *table, uint32_t part);
uint64_t omi_table_part_bytes(const struct omi_table *table, uint32_t part);

#endif

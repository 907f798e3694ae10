/*
 * block_index.h - the learned block index of a table: which data block can hold a key.
 * Path:    get, seek -> run -> filter -> [block index] -> block. Bytes: docs/format-index.md
 *
 * A monotone integer spline maps a normalised key to a cell of a fine grid, and block boundaries
 * are placed where a cell edge names them exactly (grid cuts); where none falls into the fill
 * window, a short separator is kept (keyed cuts). Cuts and block offsets are Elias-Fano coded in
 * 64-byte groups. One lookup names exactly one block, for any byte string, present or absent: no
 * fence keys, no error window. The proof stands in block_index.c. Integers only, slopes included:
 * every compiler and machine builds the same bytes. Where more than half of the cuts would be
 * keyed, where the certificate fails, and under a user's comparator, separators are explicit: same
 * interface.
 *
 * The idea of letting the model define the block is from Abu-Libdeh et al., "Learned Indexes for a
 * Google-scale Disk-based Database" (2020); the corridor is the greedy spline of Kipf et al.,
 * "RadixSpline: a single-pass learned index" (2020).
 *
 * Units:   block offsets are bytes in the file, multiples of 64.
 * Threads: a plan belongs to one thread; an opened index is immutable, any number may read.
 */
#ifndef OMI_BLOCK_INDEX_H
#define OMI_BLOCK_INDEX_H

#include "io/base/buf.h"
#include "io/base/entry.h"

/* What the planner needs of an entry; in internal order. The key is borrowed until the plan is
 * destroyed. The certificate and keyed cuts between two versions of one key use the trailer. */
struct omi_index_key {
    const uint8_t *key;
    uint64_t trailer;
    uint32_t key_size;
    uint32_t raw_bytes; /* of the entry in a block: what fills the block's target */
};

struct omi_index_params {
    const struct omi_order *order; /* a comparator: explicit whole keys, nothing learned */
    uint32_t block_bytes;          /* target of raw bytes in a block, 1 KiB to 32 KiB */
    bool explicit_only;            /* no model: for comparisons */
    bool break_certificate;        /* tests: the certificate finds a fault; must fall back */
};

/* What was built; also kept in the table's properties and summed into the statistics. */
struct omi_index_info {
    uint64_t keys, blocks, bytes, knots, keyed_cuts;
    uint32_t cells_per_block; /* R */
    bool is_explicit;
    bool certificate_failed;
    uint32_t fill_min_pct, fill_mean_pct, fill_max_pct; /* raw bytes of a block against the target;
                                                           last block and oversized entries aside */
};

struct omi_index_plan;

/* Chooses the cuts of count >= 1 entries. OMEN_NO_MEMORY, or OMEN_INVALID for parameters. */
OMEN_MUST_CHECK omen_err omi_index_plan_create(const struct omi_index_key *keys, uint32_t count,
                                               const struct omi_index_params *params,
                                               struct omi_index_plan **plan_out);
void omi_index_plan_destroy(struct omi_index_plan *plan);
/* The number of blocks, >= 1, and the first entry of each (first[0] = 0, ascending). */
uint32_t omi_index_plan_blocks(const struct omi_index_plan *plan);
const uint32_t *omi_index_plan_first(const struct omi_index_plan *plan);
/* Appends the index section to out. offsets: blocks + 1 file offsets, multiples of 64, strictly
 * ascending; block b is stored in [offsets[b], offsets[b + 1]). Opens what it wrote and certifies
 * it: the first and last entry of every block are looked up. */
OMEN_MUST_CHECK omen_err omi_index_plan_encode(struct omi_index_plan *plan, const uint64_t *offsets,
                                               struct omi_buf *out,
                                               struct omi_index_info *info_out);

struct omi_index;

/* Counters of one lookup, for statistics; add up as you like. */
struct omi_index_trace {
    uint32_t grid_hits;      /* 1: no stored key was looked at */
    uint32_t keyed_compares; /* separators compared */
};

/* Opens a section of bytes that may be anything: every count and range is checked here, so that
 * find and block cannot leave the section or [0, data_end). The bytes are borrowed and must outlive
 * the index, 64-byte aligned. OMEN_CORRUPT, OMEN_UNSUPPORTED (newer format), OMEN_NO_MEMORY. */
OMEN_MUST_CHECK omen_err omi_index_open(const uint8_t *section, size_t size,
                                        const struct omi_order *order, uint64_t data_end,
                                        struct omi_index **index_out);
void omi_index_close(struct omi_index *index);
/* Bytes on the heap beside the section. */
size_t omi_index_heap_bytes(const struct omi_index *index);
uint32_t omi_index_blocks(const struct omi_index *index);
bool omi_index_is_explicit(const struct omi_index *index);
/* The only block that can hold (key, trailer); an entry >= it is in this block or is the first of
 * the next one. trace may be NULL. */
uint32_t omi_index_find(const struct omi_index *index, omen_slice key, uint64_t trailer,
                        struct omi_index_trace *trace);
/* ---- looking up in two steps, with the group lines elsewhere ----
 * A lookup that knows its cell reads one of the group lines, and nothing else reads them; they are most of
 * a section's bytes. So they may lie in other memory, and a lookup be handed a copy of its line. */
enum { OMI_INDEX_LINE_BYTES = 64, OMI_INDEX_LINES_OFF = 64 };
/* Where they lie in the section: at OMI_INDEX_LINES_OFF. */
void omi_index_lines(const struct omi_index *index, size_t *off_out, size_t *size_out);
/* The same index over another copy of its section without the lines: head holds what is before and behind
 * them, one behind the other, and outlives it. It has no omi_index_find and omi_index_locate. */
OMEN_MUST_CHECK omen_err omi_index_split(const struct omi_index *index, const uint8_t *head,
                                         struct omi_index **split_out);
struct omi_index_way {
    uint32_t cell, group; /* group: its line will be read, at OMI_INDEX_LINE_BYTES * group */
};
void omi_index_way_to_key(const struct omi_index *index, omen_slice key,
                          struct omi_index_way *way_out);
void omi_index_way_to_block(const struct omi_index *index, uint32_t block,
                            struct omi_index_way *way_out);
/* As omi_index_find and omi_index_locate; line: a copy of the way's line. */
uint32_t omi_index_find_on(const struct omi_index *index, const struct omi_index_way *way,
                           const uint8_t *line, omen_slice key, uint64_t trailer,
                           struct omi_index_trace *trace);
void omi_index_locate_on(const struct omi_index *index, const struct omi_index_way *way,
                         const uint8_t *line, uint32_t block, uint64_t *off_out,
                         uint32_t *size_out);

/* Where block (< blocks) is stored. */
void omi_index_locate(const struct omi_index *index, uint32_t block, uint64_t *off_out,
                      uint32_t *size_out);

#endif

/*
 * groups.h - where blocks begin, by cell and by file offset: Elias-Fano codes in 64-byte lines, as
 * many blocks in each as fit, and a directory of what each line begins with. A lookup reads one
 * line.
 *
 * Directory entry, 8 bytes: first_block u32, first_cell u32.
 * Line, 512 bits, of n blocks:
 *   40 bits             base offset, in units of 64 bytes
 *   5, 5, 9, 5 bits     cell_low, off_low, cell_high, zero
 *   (n-1) x cell_low    low bits of cell - first_cell of blocks 1 to n-1
 *   cell_high           their high parts, unary
 *   n, or none          is the cut before block i keyed? when the file has keyed cuts
 *   n x off_low         low bits of offset - base of the ends of blocks 0 to n-1
 *   the rest            their high parts, unary
 */
#ifndef OMI_GROUPS_H
#define OMI_GROUPS_H

#include "io/base/buf.h"
#include "io/base/coding.h"

#include <stdbool.h>

enum { OMI_GROUP_ENTRY_BYTES = 8, OMI_GROUP_BLOCKS_MAX = 60, OMI_OFFSET_UNIT = 64 };

struct omi_groups {
    const uint8_t *directory, *lines; /* borrowed; lines 64-byte aligned in the section */
    uint32_t count, blocks;
    bool has_keyed;
};

/* Appends directory and lines to their buffers. cells[b] and keyed[b] are of the cut before block b
 * (cells[0] = 0, keyed[0] = false); offsets: blocks + 1. */
OMEN_MUST_CHECK omen_err omi_groups_encode(const uint32_t *cells, const bool *keyed,
                                           const uint64_t *offsets, uint32_t blocks, bool has_keyed,
                                           struct omi_buf *directory, struct omi_buf *lines);
/* Checks everything that lookups rely on, bytes being anything: ascending blocks, cells below
 * cells, offsets that rise strictly to data_end. keyed_out: how many keyed cuts there are. */
OMEN_MUST_CHECK omen_err omi_groups_check(const struct omi_groups *g, uint32_t cells,
                                          uint64_t data_end, uint32_t *keyed_out);

/* A lookup: its group, by the directory alone; then in the group's line, or a copy of it, which is handed
 * in. The lines are not read for anything else. */
static inline uint32_t omi_group_cell(const struct omi_groups *g, uint32_t group)
{
    return omi_get_u32(g->directory + (size_t)group * OMI_GROUP_ENTRY_BYTES + 4);
}
static inline uint32_t omi_groups_of_cell(const struct omi_groups *g, uint32_t cell)
{
    uint32_t group = 0;
    for (uint32_t left = g->count; left > 1;) { /* the last group whose first cell is <= cell */
        uint32_t half = left / 2;
        group += omi_group_cell(g, group + half) <= cell ? half : 0;
        left -= half;
    }
    return group;
}
uint32_t omi_groups_of_block(const struct omi_groups *g, uint32_t block);
static inline const uint8_t *omi_groups_line(const struct omi_groups *g, uint32_t group)
{
    return g->lines + (size_t)group * 64;
}
/* The last block whose cut's cell is <= cell. is_equal: is it that very cell? is_keyed: is the cut
 * keyed? */
uint32_t omi_groups_find(const struct omi_groups *g, uint32_t group, const uint8_t *line,
                         uint32_t cell, bool *is_equal, bool *is_keyed);
/* Keyed cuts among the blocks of a group up to and including block. */
uint32_t omi_groups_keyed_upto(const struct omi_groups *g, uint32_t group, const uint8_t *line,
                               uint32_t block);
/* The last block of a group. */
uint32_t omi_groups_last(const struct omi_groups *g, uint32_t group);
void omi_groups_locate(const struct omi_groups *g, uint32_t group, const uint8_t *line,
                       uint32_t block, uint64_t *off_out, uint32_t *size_out);

#endif

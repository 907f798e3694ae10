/*
 * ribbon_part.h - a part of a filter of kind ribbon: a table of 64 bytes, then the ribbons of its
 * classes. A class is the number of columns, so that each region of keys has the false positives that
 * its lookups deserve; the directory in the filter's head says which class a key has.
 * Bytes:   docs/format-filter.md
 */
#ifndef OMI_RIBBON_PART_H
#define OMI_RIBBON_PART_H

#include "learned/ribbon.h"

/* Table: up to 6 entries of 10 bytes, little-endian, the rest zero; ribbons follow in its order.
 *   off len field
 *     0   1 columns  0: no entry, nor any after it
 *     1   1 seed
 *     2   4 blocks
 *     6   4 upper */
enum {
    OMI_RIBBON_TABLE_BYTES = 64,
    OMI_RIBBON_ENTRY_BYTES = 10,
    OMI_RIBBON_CLASSES_MAX = 6, /* of a part */
    OMI_RIBBON_PART_ALIGN = 64
};

struct omi_ribbon_part {
    struct omi_ribbon at[OMI_RIBBON_CLASSES_MAX]; /* by columns, ascending */
    uint32_t count;
};

/* What the keys of a part want. */
struct omi_ribbon_wish {
    uint64_t keys; /* their number; 0: of a region without keys that is not known to be one */
    bool there;    /* does the part have a region of this class? */
};

/* Ribbons for a part: classes with few keys move up to the next, where that is smaller, or where there
 * are more classes than the table takes. serves_out: the class that keys of each class move to. False:
 * too large. */
bool omi_ribbon_part_plan(const struct omi_ribbon_wish wishes[OMI_RIBBON_COLUMNS_MAX + 1],
                          double more, struct omi_ribbon_part *part_out,
                          uint8_t serves_out[OMI_RIBBON_COLUMNS_MAX + 1]);
/* Table and ribbons, to a multiple of 64; 0: none. */
uint64_t omi_ribbon_part_bytes(const struct omi_ribbon_part *p);
/* Writes the table; the seeds are known by now. */
void omi_ribbon_part_put(const struct omi_ribbon_part *p, uint8_t *out);

/* The ribbon of a class in a part's bytes, which may be anything. False: there is none. */
static inline bool omi_ribbon_part_find(const uint8_t *part, uint32_t part_bytes, uint8_t columns,
                                        struct omi_ribbon *r_out, uint32_t *off_out)
{
    uint64_t off = OMI_RIBBON_TABLE_BYTES;
    for (uint32_t i = 0; i < OMI_RIBBON_CLASSES_MAX && off < part_bytes; i++) {
        const uint8_t *entry = part + (size_t)OMI_RIBBON_ENTRY_BYTES * i;
        struct omi_ribbon r = {omi_get_u32(entry + 2), omi_get_u32(entry + 6), entry[0], entry[1]};
        if (r.columns == 0 || r.columns > OMI_RIBBON_COLUMNS_MAX || r.blocks == 0 ||
            r.blocks > OMI_RIBBON_BLOCKS_MAX || r.upper > r.blocks)
            return false;
        if (r.columns == columns) {
            *r_out = r;
            *off_out = (uint32_t)off;
            return off + omi_ribbon_bytes(&r) <= part_bytes;
        }
        off += omi_ribbon_bytes(&r);
    }
    return false;
}

#endif

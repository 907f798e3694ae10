/*
 * table_salvage.h - what can still be read of a damaged table.
 *
 * Blocks say for themselves where they begin, how long they are, and, by a check seeded with file id
 * and offset, that they belong there. So a table is searched in steps of the blocks' alignment for
 * blocks that check: index, filter, properties and footer are not needed.
 */
#ifndef OMI_TABLE_SALVAGE_H
#define OMI_TABLE_SALVAGE_H

#include "lsm/table.h"

enum { OMI_SALVAGE_GAPS_MAX = 4 };

struct omi_salvage {
    /* in */
    struct omi_table_env *tenv;
    const char *name;  /* of the file to search */
    uint64_t number;   /* of the table */
    uint64_t file_id;  /* 0: not known; what header and footer say is tried */
    uint64_t data_end; /* 0: not known; the footer says it, if it can be read */
    /* out */
    uint64_t file_bytes, unread_bytes; /* unread: the device failed */
    uint64_t blocks, entries, max_seq;
    uint64_t gaps, gap_bytes; /* places where no block could be read, before the end of the data */
    uint64_t gap_off[OMI_SALVAGE_GAPS_MAX];
    /* Keys are lost between these: the last one before the first gap, the first one behind the last
     * gap; open: nothing could be read there. */
    struct omi_buf low, high;
    bool low_open, high_open;
    bool end_known; /* else blocks may be missing at the end, and nothing would tell */
};
void omi_salvage_fini(struct omi_salvage *s);

/* Searches the file. *table_out holds the blocks that can be read, for omi_table_source_open alone
 * (chunk_bytes 1, so that what lies between them is not read); NULL when there are none. Close it
 * with omi_table_close. OMEN_NOT_FOUND: no such file. OMEN_UNSUPPORTED: of a newer format, or it holds
 * entries that this build does not know. OMEN_INVALID: its keys are not in the order of tenv. */
OMEN_MUST_CHECK omen_err omi_table_salvage(struct omi_salvage *s, struct omi_table **table_out);
/* The file ids that header and footer of a file name, in any state; how many: 0 to 2. */
OMEN_MUST_CHECK omen_err omi_table_file_ids(struct omi_dir *dir, const char *name, uint64_t ids[2],
                                            uint32_t *count_out);

#endif

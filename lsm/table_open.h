/* table_open.h - an open table from the inside; private to table_*.c and run_cursor.c. */
#ifndef OMI_TABLE_OPEN_H
#define OMI_TABLE_OPEN_H

#include "lsm/table_filter.h"
#include "lsm/table_format.h"

/* A damaged index section's stand-in: where each block is and its last entry's key, from the
 * blocks. */
struct omi_walked_block {
    uint64_t off, trailer;
    uint32_t size, key_size;
    const uint8_t *key;
};

struct omi_table {
    struct omi_table_env *tenv;
    uint64_t number, file_bytes, id; /* id: what its blocks are cached under */
    char name[OMI_FILE_NAME_BYTES];
    struct omi_file *file;
    bool direct;
    struct omi_table_footer footer;
    struct omi_table_props props;
    struct omi_table_filter filter;
    struct omi_extent *index_extent; /* NULL: damaged */
    struct omi_index *index;         /* NULL: walked */
    struct omi_walked_block *walked;
    uint32_t blocks;
    size_t heap_bytes;
};

/* table_counts.c */
void omi_table_counts_fini(struct omi_table *t);

/* size bytes at off, exactly; aligned reads are this function's care. OMEN_CORRUPT at a short file.
 */
OMEN_MUST_CHECK omen_err omi_table_read(struct omi_table *t, uint64_t off, size_t size,
                                        uint8_t *out);
/* Runs a step of opening, and once more when what it read is damaged: a bit may have flipped on the
 * way, so that the device is asked again. */
OMEN_MUST_CHECK omen_err omi_table_twice(struct omi_table *t,
                                         omen_err (*step)(struct omi_table *t));
void omi_table_locate(const struct omi_table *t, uint32_t block, uint64_t *off, uint32_t *size);
/* Checks and decodes stored bytes of a block into a frame of its own, pinned. */
OMEN_MUST_CHECK omen_err omi_table_frame(struct omi_table *t, uint32_t block, const uint8_t *stored,
                                         struct omi_frame **frame_out);
/* Finds and decodes all blocks from off on, by their headers alone; each gets a block's place and
 * its decoded form, valid during the call. */
OMEN_MUST_CHECK omen_err omi_table_walk(struct omi_table *t, uint64_t off,
                                        omen_err (*each)(void *ctx, uint64_t off, uint32_t size,
                                                         const struct omi_block *block),
                                        void *ctx);

#endif

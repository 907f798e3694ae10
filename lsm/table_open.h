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
    _Atomic(struct omi_extent *)
        lines;             /* of the index, where models may be far; else NULL: in there */
    _Atomic uint8_t place; /* enum omi_extent_class, that filter and lines shall have */
    _Atomic uint32_t heat; /* sampled lookups, halved every so often (far.h) */
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
/* OMEN_IO, OMEN_CORRUPT, OMEN_NO_MEMORY: only where far memory was lost and the file does not give it
 * back. */
OMEN_MUST_CHECK omen_err omi_table_locate(struct omi_table *t, uint32_t block, uint64_t *off,
                                          uint32_t *size);

/* ---- table_model.c ---- */
OMEN_MUST_CHECK omen_err omi_table_model_open(struct omi_table *t);
void omi_table_model_close(struct omi_table *t);
/* Of a lookup to come, inside the grace: its way, and the line that it will read is fetched. */
void omi_table_model_ahead(struct omi_table *t, omen_slice key, struct omi_index_way *way_out);
/* One thread at a time. New lines for damaged ones; moves them (OMEN_ABORTED: there is no room). */
OMEN_MUST_CHECK omen_err omi_table_model_repair(struct omi_table *t);
OMEN_MUST_CHECK omen_err omi_table_model_move(struct omi_table *t, enum omi_extent_class to,
                                              uint64_t *moved_bytes);
/* Adds where the index lies, and how much of it may move. */
void omi_table_model_lies(const struct omi_table *t, uint64_t bytes[static OMI_EXTENT_CLASSES],
                          uint64_t *movable_bytes);

static inline enum omi_extent_class omi_table_place(const struct omi_table *t)
{
    return (enum omi_extent_class)atomic_load_explicit(&t->place, memory_order_relaxed);
}
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

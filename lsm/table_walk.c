/* table_walk.c - a table without its index: from header to header. */
#include "lsm/table_open.h"

#include <stdlib.h>

struct walk {
    struct omi_table *t;
    struct omi_codec_state codec;
    uint8_t *stored, *body;
    size_t stored_capacity, body_capacity;
};

static bool grow(uint8_t **bytes, size_t *capacity, size_t size)
{
    if (size <= *capacity)
        return true;
    uint8_t *more = realloc(*bytes, size);
    if (more == NULL)
        return false;
    *bytes = more;
    *capacity = size;
    return true;
}

static omen_err walk_one(struct walk *w, uint64_t off, uint32_t *size_out, struct omi_block *block)
{
    struct omi_table *t = w->t;
    uint8_t bytes[OMI_BLOCK_HEADER_BYTES];
    struct omi_block_header h;
    uint64_t left = t->footer.data_end - off;
    if (left < OMI_BLOCK_HEADER_BYTES)
        return omi_fail(OMEN_CORRUPT, 0, "%s: no block at offset %" PRIu64, t->name, off);
    omen_err err = omi_table_read(t, off, sizeof(bytes), bytes);
    if (err == OMEN_OK)
        err = omi_block_header_decode(bytes, left, off, t->name, &h);
    if (err != OMEN_OK)
        return err;
    if (!grow(&w->stored, &w->stored_capacity, h.stored_bytes) ||
        !grow(&w->body, &w->body_capacity, (size_t)h.raw_bytes + 1))
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: a block of %u bytes", t->name, h.raw_bytes);
    err = omi_table_read(t, off, h.stored_bytes, w->stored);
    if (err == OMEN_OK)
        err = omi_block_decode(w->stored, &h, t->footer.file_id, off, t->name, &w->codec, w->body,
                               block);
    *size_out = (h.stored_bytes + OMI_BLOCK_ALIGN - 1) / OMI_BLOCK_ALIGN * OMI_BLOCK_ALIGN;
    return err;
}

omen_err omi_table_walk(struct omi_table *t,
                        omen_err (*each)(void *ctx, uint64_t off, uint32_t size,
                                         const struct omi_block *block),
                        void *ctx)
{
    struct walk w = {.t = t};
    omen_err err = OMEN_OK;
    uint32_t size = 0;
    for (uint64_t off = OMI_TABLE_HEADER_BYTES; off < t->footer.data_end && err == OMEN_OK;
         off += size) {
        struct omi_block block;
        err = walk_one(&w, off, &size, &block);
        if (err == OMEN_OK)
            err = each(ctx, off, size, &block);
    }
    omi_codec_state_fini(&w.codec);
    free(w.stored);
    free(w.body);
    return err;
}

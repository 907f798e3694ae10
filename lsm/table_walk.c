/* table_walk.c - a table without its index: from header to header. */
#include "lsm/block_format.h"
#include "lsm/table_open.h"

#include <stdlib.h>

enum { WINDOW_BYTES = 256 << 10 };

struct walk {
    struct omi_table *t;
    struct omi_codec_state codec;
    /* the part of the file in memory: one read serves many blocks */
    uint8_t *window, *body;
    size_t window_capacity, body_capacity;
    uint64_t window_off;
    size_t window_bytes;
};

/* The old contents are not kept. */
static bool grow(uint8_t **bytes, size_t *capacity, size_t size)
{
    if (size <= *capacity)
        return true;
    free(*bytes);
    *bytes = malloc(size);
    *capacity = *bytes != NULL ? size : 0;
    return *bytes != NULL;
}

/* [off, off + size), which lies before the end of the data. */
static omen_err window_at(struct walk *w, uint64_t off, size_t size, const uint8_t **bytes_out)
{
    uint64_t left = w->t->footer.data_end - off, past = off - w->window_off;
    if (off < w->window_off || past > w->window_bytes || w->window_bytes - past < size) {
        size_t want = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
        want = want > size ? want : size;
        w->window_bytes = 0;
        if (!grow(&w->window, &w->window_capacity, want))
            return omi_fail(OMEN_NO_MEMORY, 0, "%s: %zu bytes to read", w->t->name, want);
        omen_err err = omi_table_read(w->t, off, want, w->window);
        if (err != OMEN_OK)
            return err;
        w->window_off = off;
        w->window_bytes = want;
    }
    *bytes_out = w->window + (off - w->window_off);
    return OMEN_OK;
}

static omen_err walk_one(struct walk *w, uint64_t off, uint32_t *size_out, struct omi_block *block)
{
    struct omi_table *t = w->t;
    const uint8_t *stored;
    struct omi_block_header h;
    uint64_t left = t->footer.data_end - off;
    if (left < OMI_BLOCK_HEADER_BYTES)
        return omi_fail(OMEN_CORRUPT, 0, "%s: no block at offset %" PRIu64, t->name, off);
    omen_err err = window_at(w, off, OMI_BLOCK_HEADER_BYTES, &stored);
    if (err == OMEN_OK)
        err = omi_block_header_decode(stored, left, off, t->name, &h);
    if (err == OMEN_OK)
        err = window_at(w, off, h.stored_bytes, &stored);
    if (err ==
        OMEN_OK) /* the window may have been read anew: what is checked must be what is used */
        err = omi_block_header_decode(stored, h.stored_bytes, off, t->name, &h);
    if (err == OMEN_OK && omi_block_swells(&h))
        err = omi_block_verify(stored, &h, t->footer.file_id, off, t->name);
    if (err != OMEN_OK)
        return err;
    if (!grow(&w->body, &w->body_capacity, (size_t)h.raw_bytes + 1))
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: a block of %u bytes", t->name, h.raw_bytes);
    *size_out = (h.stored_bytes + OMI_BLOCK_ALIGN - 1) / OMI_BLOCK_ALIGN * OMI_BLOCK_ALIGN;
    return omi_block_decode(stored, &h, t->footer.file_id, off, t->name, &w->codec, w->body, block);
}

omen_err omi_table_walk(struct omi_table *t, uint64_t off,
                        omen_err (*each)(void *ctx, uint64_t off, uint32_t size,
                                         const struct omi_block *block),
                        void *ctx)
{
    struct walk w = {.t = t};
    omen_err err = OMEN_OK;
    uint32_t size = 0;
    for (; off < t->footer.data_end && err == OMEN_OK; off += size) {
        struct omi_block block;
        err = walk_one(&w, off, &size, &block);
        if (err == OMEN_CORRUPT) { /* once more, at the device: a bit may have flipped on the way */
            t->tenv->env->ops->file_advise(t->file, OMI_ADVISE_DROP);
            w.window_bytes = 0;
            err = walk_one(&w, off, &size, &block);
        }
        if (err == OMEN_OK)
            err = each(ctx, off, size, &block);
    }
    omi_codec_state_fini(&w.codec);
    free(w.window);
    free(w.body);
    return err;
}

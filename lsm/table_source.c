/*
 * table_source.c - a run's tables as a merge source: spans of blocks in large reads, past the
 * cache, every block checked. A batch is one block's entries.
 */
#include "lsm/block_format.h"
#include "lsm/table_open.h"

#include <stdlib.h>

enum { PIECE_BYTES = 256 << 10, PIECES_MAX = 64 };

struct table_source {
    struct omi_merge_source source; /* first */
    struct omi_table *const *tables;
    uint32_t table_count, table, block; /* the next block to hand out */
    uint64_t chunk_bytes;
    /* the span in memory: blocks [block, span_end) of tables[table] */
    uint8_t *span;
    size_t span_capacity;
    uint64_t span_off;
    uint32_t span_end;
    /* the present batch */
    struct omi_codec_state codec;
    uint8_t *body;
    size_t body_capacity;
    struct omi_entry *entries;
    uint32_t entries_capacity;
    struct omi_buf keys;
};

/* The last block (exclusive) of a span from block on: chunk_bytes, one block at least. */
static omen_err span_limit(const struct table_source *s, struct omi_table *t, uint64_t *from,
                           uint64_t *end, uint32_t *last_out)
{
    uint64_t off;
    uint32_t size, last = s->block;
    omen_err err = omi_table_locate(t, last, from, &size);
    *end = *from + size;
    for (last++; last < t->blocks && err == OMEN_OK; last++) {
        err = omi_table_locate(t, last, &off, &size);
        if (off + size - *from > s->chunk_bytes)
            break;
        *end = off + size;
    }
    *last_out = last;
    return err;
}

static omen_err span_read(struct omi_table *t, uint64_t from, size_t size, uint8_t *to)
{
    struct omi_read reads[PIECES_MAX];
    size_t count = 0;
    for (size_t at = 0; at < size;) {
        size_t n = size - at < PIECE_BYTES || count + 1 == PIECES_MAX ? size - at : PIECE_BYTES;
        reads[count++] =
            (struct omi_read){.file = t->file, .buffer = to + at, .off = from + at, .size = n};
        at += n;
    }
    t->tenv->env->ops->read_batch(t->tenv->env, reads, count);
    for (size_t i = 0; i < count; i++) {
        if (reads[i].err == OMEN_IO) /* once more, alone */
            reads[i].err = omi_file_pread(t->file, reads[i].buffer, reads[i].size, reads[i].off,
                                          &reads[i].got);
        if (reads[i].err != OMEN_OK)
            return omi_fail(reads[i].err, 0, "%s: reading at offset %" PRIu64 " failed", t->name,
                            reads[i].off);
        /* A direct read is wider than the blocks; only the blocks must be there. */
        if (reads[i].got < reads[i].size && !t->direct)
            return omi_fail(OMEN_CORRUPT, 0, "%s: the file ends inside its blocks", t->name);
    }
    return OMEN_OK;
}

static omen_err span_load(struct table_source *s)
{
    struct omi_table *t = s->tables[s->table];
    uint64_t from, end;
    uint32_t last;
    s->span_end = 0;
    omen_err err = span_limit(s, t, &from, &end, &last);
    if (err != OMEN_OK)
        return err;
    if (t->direct) {
        from = from / 512 * 512;
        end = (end + 511) / 512 * 512;
    }
    size_t bytes = (size_t)(end - from);
    if (bytes > s->span_capacity) { /* a whole chunk at once: spans differ a little in size */
        uint64_t most = s->chunk_bytes + 1024;
        free(s->span);
        s->span_capacity = ((most > bytes ? (size_t)most : bytes) + 4095) / 4096 * 4096;
        s->span = aligned_alloc(4096, s->span_capacity);
        if (s->span == NULL) {
            s->span_capacity = 0;
            return omi_fail(OMEN_NO_MEMORY, 0, "%s: %zu bytes to merge", t->name, bytes);
        }
    }
    err = span_read(t, from, bytes, s->span);
    s->span_off = from;
    s->span_end = err == OMEN_OK ? last : 0;
    return err;
}

static omen_err batch_reserve(struct table_source *s, const struct omi_block_header *h)
{
    if (h->raw_bytes >= s->body_capacity) {
        free(s->body);
        s->body_capacity = (size_t)h->raw_bytes + h->raw_bytes / 4 + 64;
        s->body = malloc(s->body_capacity);
        if (s->body == NULL) {
            s->body_capacity = 0;
            return omi_fail(OMEN_NO_MEMORY, 0, "a block of %u bytes", h->raw_bytes);
        }
    }
    if (h->count > s->entries_capacity) {
        free(s->entries);
        s->entries_capacity = h->count + h->count / 4 + 16;
        s->entries = malloc(s->entries_capacity * sizeof(*s->entries));
        if (s->entries == NULL) {
            s->entries_capacity = 0;
            return omi_fail(OMEN_NO_MEMORY, 0, "a block of %u entries", h->count);
        }
    }
    return OMEN_OK;
}

static omen_err batch_show(struct table_source *s, const struct omi_block *b)
{
    size_t bytes = 0, at = 0;
    for (uint32_t i = 0; i < b->count; i++)
        bytes += omi_block_key_size(b, i);
    s->keys.size = 0;
    omen_err err = omi_buf_reserve(&s->keys, bytes + 1);
    if (err != OMEN_OK)
        return err;
    for (uint32_t i = 0; i < b->count; i++) {
        omi_block_entry(b, i, s->keys.data + at, &s->entries[i]);
        at += s->entries[i].key_size;
    }
    s->source.entries = s->entries;
    s->source.count = b->count;
    return OMEN_OK;
}

static omen_err batch_decode(struct table_source *s, struct omi_block *block)
{
    struct omi_table *t = s->tables[s->table];
    uint64_t off;
    uint32_t size;
    struct omi_block_header h;
    omen_err err = omi_table_locate(t, s->block, &off, &size);
    if (err != OMEN_OK)
        return err;
    uint8_t *stored = s->span + (off - s->span_off);
    if (size < OMI_BLOCK_HEADER_BYTES)
        return omi_fail(OMEN_CORRUPT, 0, "%s: block %u is shorter than its header", t->name,
                        s->block);
    err = omi_block_header_decode(stored, size, off, t->name, &h);
    if (err == OMEN_OK && omi_block_swells(&h))
        err = omi_block_verify(stored, &h, t->footer.file_id, off, t->name);
    if (err == OMEN_OK)
        err = batch_reserve(s, &h);
    if (err != OMEN_OK)
        return err;
    uint8_t *body = h.codec == 0 ? stored + OMI_BLOCK_HEADER_BYTES : s->body;
    return omi_block_decode(stored, &h, t->footer.file_id, off, t->name, &s->codec, body, block);
}

static omen_err source_refill(struct omi_merge_source *source)
{
    struct table_source *s = (struct table_source *)(void *)source;
    source->count = 0;
    if (s->table < s->table_count && s->block == s->tables[s->table]->blocks) {
        s->table++;
        s->block = s->span_end = 0;
    }
    if (s->table == s->table_count)
        return OMEN_OK;
    omen_err err = s->block >= s->span_end ? span_load(s) : OMEN_OK;
    struct omi_block block;
    if (err == OMEN_OK)
        err = batch_decode(s, &block);
    if (err == OMEN_CORRUPT) { /* once more, at the device: a bit may have flipped on the way */
        struct omi_table *t = s->tables[s->table];
        t->tenv->env->ops->file_advise(t->file, OMI_ADVISE_DROP);
        err = span_load(s);
        if (err == OMEN_OK)
            err = batch_decode(s, &block);
    }
    if (err == OMEN_OK)
        err = batch_show(s, &block);
    if (err == OMEN_OK)
        s->block++;
    return err;
}

omen_err omi_table_source_open(struct omi_table *const *tables, uint32_t table_count,
                               uint64_t chunk_bytes, struct omi_merge_source **source_out)
{
    struct table_source *s = calloc(1, sizeof(*s));
    *source_out = NULL;
    if (s == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a merge source");
    s->source.refill = source_refill;
    s->tables = tables;
    s->table_count = table_count;
    s->chunk_bytes = chunk_bytes;
    *source_out = &s->source;
    return OMEN_OK;
}

void omi_table_source_close(struct omi_merge_source *source)
{
    if (source == NULL)
        return;
    struct table_source *s = (struct table_source *)(void *)source;
    omi_codec_state_fini(&s->codec);
    omi_buf_fini(&s->keys);
    free(s->span);
    free(s->body);
    free(s->entries);
    free(s);
}

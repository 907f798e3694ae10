#include "lsm/table_salvage.h"

#include "io/base/coding.h"
#include "lsm/block_format.h"
#include "lsm/table_open.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADER_ID_OFF = 16, FOOTER_ID_OFF = 144 };

struct search {
    struct omi_salvage *out;
    struct omi_table *t;
    const uint8_t *bytes;
    uint64_t end;    /* of what is searched */
    uint64_t beyond; /* bytes of blocks that the file is too short for */
    uint64_t hashed;
    uint32_t capacity; /* of t->walked */
    struct omi_codec_state codec;
    struct omi_buf body, key, last_key;
    uint64_t last_trailer;
    bool any, in_gap;
};

void omi_salvage_fini(struct omi_salvage *s)
{
    omi_buf_fini(&s->low);
    omi_buf_fini(&s->high);
}

/* ---- the file as a whole --------------------------------------------------------------------- */

static omen_err file_load(struct omi_salvage *s, struct omi_file *file, uint8_t **bytes_out)
{
    *bytes_out = NULL;
    omen_err err = omi_file_size(file, &s->file_bytes);
    if (err != OMEN_OK)
        return err;
    uint8_t *bytes = malloc((size_t)s->file_bytes + 1);
    if (bytes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: %" PRIu64 " bytes to salvage", s->name,
                        s->file_bytes);
    err = omi_file_read_around(file, bytes, (size_t)s->file_bytes, &s->unread_bytes);
    /* A disk that is not there must not be taken for one that has lost everything. */
    if (err == OMEN_OK && s->file_bytes != 0 && s->unread_bytes == s->file_bytes)
        err = omi_fail(OMEN_IO, 0,
                       "not one byte of %s can be read; if the disk is as it should be, move the "
                       "file away to repair without it",
                       s->name);
    if (err == OMEN_OK)
        *bytes_out = bytes;
    else
        free(bytes);
    return err;
}

/* A newer format is not to be touched. Damage here is no news. */
static omen_err format_check(const struct omi_salvage *s, const uint8_t *bytes,
                             uint64_t *data_end_out)
{
    uint64_t size = s->file_bytes, file_id;
    struct omi_table_footer footer;
    if (size < OMI_TABLE_HEADER_BYTES)
        return OMEN_OK;
    omen_err err = omi_table_header_decode(bytes, s->name, &file_id);
    if (err == OMEN_UNSUPPORTED || size < OMI_TABLE_HEADER_BYTES + OMI_TABLE_FOOTER_BYTES)
        return err == OMEN_UNSUPPORTED ? err : OMEN_OK;
    err = omi_table_footer_decode(bytes + size - OMI_TABLE_FOOTER_BYTES, size, s->name, &footer);
    if (err == OMEN_OK)
        *data_end_out = footer.data_end;
    return err == OMEN_UNSUPPORTED ? err : OMEN_OK;
}

static uint32_t ids_of(const uint8_t *head, const uint8_t *footer, uint64_t ids[2])
{
    ids[0] = omi_get_u64(head + HEADER_ID_OFF);
    ids[1] = omi_get_u64(footer + FOOTER_ID_OFF);
    return ids[0] == ids[1] ? 1 : 2;
}

omen_err omi_table_file_ids(struct omi_dir *dir, const char *name, uint64_t ids[2],
                            uint32_t *count_out)
{
    uint8_t head[OMI_TABLE_HEADER_BYTES] = {0}, footer[OMI_TABLE_FOOTER_BYTES] = {0};
    struct omi_file *file = NULL;
    uint64_t size = 0;
    size_t got;
    *count_out = 0;
    omen_err err = omi_file_open(dir, name, OMI_OPEN_READ, 0, &file);
    if (err == OMEN_OK)
        err = omi_file_size(file, &size);
    if (err == OMEN_OK && size >= sizeof(head) + sizeof(footer)) {
        omi_ignore(omi_file_pread(file, head, sizeof(head), 0, &got)); /* what fails is zeros */
        omi_ignore(omi_file_pread(file, footer, sizeof(footer), size - sizeof(footer), &got));
        *count_out = ids_of(head, footer, ids);
    }
    (void)omi_file_close(file);
    return err;
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static omen_err gap_close(struct search *s, omen_slice first_key)
{
    struct omi_salvage *out = s->out;
    s->in_gap = false;
    out->high_open = false;
    out->high.size = 0;
    return omi_buf_append(&out->high, first_key.data, first_key.size);
}

/* No block at off: the next step may find one. */
static omen_err gap_step(struct search *s, uint64_t off)
{
    struct omi_salvage *out = s->out;
    uint64_t left = s->end - off;
    out->gap_bytes += left < OMI_BLOCK_ALIGN ? left : OMI_BLOCK_ALIGN;
    if (s->in_gap)
        return OMEN_OK;
    s->in_gap = true;
    if (out->gaps < OMI_SALVAGE_GAPS_MAX)
        out->gap_off[out->gaps] = off;
    out->high_open = true;
    if (out->gaps++ != 0)
        return OMEN_OK;
    out->low_open = !s->any;
    return s->any ? omi_buf_append(&out->low, s->last_key.data, s->last_key.size) : OMEN_OK;
}

static omen_err entry_take(struct search *s, const struct omi_entry *e)
{
    omen_slice key = omi_entry_key(e);
    struct omi_salvage *out = s->out;
    if (!omi_trailer_known(e->trailer))
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "%s holds an entry of type 0x%02x, which this build does not know",
                        out->name, (unsigned)(e->trailer & 0xff));
    if (s->any &&
        omi_internal_compare(&out->tenv->order, omi_slice(s->last_key.data, s->last_key.size),
                             s->last_trailer, key, e->trailer) >= 0)
        return omi_fail(OMEN_INVALID, 0,
                        "the keys of %s are not in %s order: its database has another comparator; "
                        "repair it through omen_repair with that one",
                        out->name, omi_order_is_bytewise(&out->tenv->order) ? "bytewise" : "this");
    s->any = true;
    s->last_trailer = e->trailer;
    s->last_key.size = 0;
    out->entries++;
    if (omi_trailer_seq(e->trailer) > out->max_seq)
        out->max_seq = omi_trailer_seq(e->trailer);
    return omi_buf_append(&s->last_key, key.data, key.size);
}

static omen_err entries_take(struct search *s, const struct omi_block *block)
{
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < block->count && err == OMEN_OK; i++) {
        struct omi_entry e;
        s->key.size = 0;
        err = omi_buf_reserve(&s->key, omi_block_key_size(block, i) + UINT64_C(1));
        if (err != OMEN_OK)
            break;
        omi_block_entry(block, i, s->key.data, &e);
        if (i == 0 && s->in_gap)
            err = gap_close(s, omi_entry_key(&e));
        if (err == OMEN_OK)
            err = entry_take(s, &e);
    }
    return err;
}

static omen_err walked_add(struct search *s, uint64_t off, uint32_t size)
{
    struct omi_table *t = s->t;
    if (t->blocks == s->capacity) {
        uint32_t capacity = s->capacity * 2 + 64;
        struct omi_walked_block *walked = realloc(t->walked, capacity * sizeof(*walked));
        if (walked == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "%s: a list of %u blocks", t->name, capacity);
        t->walked = walked;
        s->capacity = capacity;
    }
    t->walked[t->blocks++] = (struct omi_walked_block){.off = off, .size = size};
    return OMEN_OK;
}

/* OMEN_CORRUPT: no block at off. Memory is taken for what checks alone. */
static omen_err block_open(struct search *s, uint64_t off, struct omi_block_header *h,
                           struct omi_block *block)
{
    const uint8_t *stored = s->bytes + off;
    uint64_t left = s->end - off;
    if (left < OMI_BLOCK_HEADER_BYTES)
        return OMEN_CORRUPT;
    omen_err err = omi_block_header_decode(stored, left, off, s->t->name, h);
    if (err != OMEN_OK)
        return err;
    s->hashed += h->stored_bytes;
    err = omi_block_verify(stored, h, s->t->footer.file_id, off, s->t->name);
    s->body.size = 0;
    if (err == OMEN_OK)
        err = omi_buf_reserve(&s->body, (size_t)h->raw_bytes + 1);
    return err == OMEN_OK ? omi_block_decode(stored, h, s->t->footer.file_id, off, s->t->name,
                                             &s->codec, s->body.data, block)
                          : err;
}

static omen_err search_blocks(struct search *s)
{
    uint64_t budget = 16 * s->end + (1 << 20); /* what only looks like headers costs no more */
    for (uint64_t off = OMI_TABLE_HEADER_BYTES; off < s->end;) {
        struct omi_block_header h;
        struct omi_block block;
        omen_err err = s->hashed <= budget ? block_open(s, off, &h, &block) : OMEN_CORRUPT;
        if (err == OMEN_CORRUPT) {
            err = gap_step(s, off);
            off += OMI_BLOCK_ALIGN;
        } else if (err == OMEN_OK) {
            s->out->blocks++;
            err = entries_take(s, &block);
            if (err == OMEN_OK)
                err = walked_add(s, off, h.stored_bytes);
            off += (h.stored_bytes + OMI_BLOCK_ALIGN - UINT64_C(1)) / OMI_BLOCK_ALIGN *
                   OMI_BLOCK_ALIGN;
        }
        if (err != OMEN_OK)
            return err;
    }
    return OMEN_OK;
}

/* Where the end is not known, what follows the last block is sections, or was blocks: no gap. */
static void end_settle(struct search *s, uint64_t last_gap_bytes)
{
    struct omi_salvage *out = s->out;
    if (out->end_known || !s->in_gap)
        return;
    out->gap_bytes -= last_gap_bytes;
    out->gaps--;
    out->high_open = false; /* of the gap before, if there was one, high is still there */
}

static omen_err search_with(struct omi_salvage *out, struct omi_table *t, const uint8_t *bytes,
                            uint64_t data_end, uint64_t file_id)
{
    uint64_t end = data_end < out->file_bytes ? data_end : out->file_bytes;
    struct search s = {.out = out, .t = t, .bytes = bytes, .end = end, .beyond = data_end - end};
    t->footer.file_id = file_id;
    t->blocks = 0;
    out->blocks = out->entries = out->max_seq = out->gaps = out->gap_bytes = 0;
    out->low.size = out->high.size = 0;
    out->low_open = out->high_open = false;
    omen_err err = search_blocks(&s);
    if (err == OMEN_OK && s.beyond != 0) {
        err = gap_step(&s, end);
        out->gap_bytes += s.beyond;
    }
    if (err == OMEN_OK && t->blocks != 0) {
        const struct omi_walked_block *last = &t->walked[t->blocks - 1];
        uint64_t from = last->off + (last->size + OMI_BLOCK_ALIGN - UINT64_C(1)) / OMI_BLOCK_ALIGN *
                                        OMI_BLOCK_ALIGN;
        end_settle(&s, end > from ? end - from : 0);
    }
    omi_codec_state_fini(&s.codec);
    omi_buf_fini(&s.body);
    omi_buf_fini(&s.key);
    omi_buf_fini(&s.last_key);
    return err;
}

/* The id that is known, or those that the file names itself: the blocks tell which is right. */
static omen_err search_file(struct omi_salvage *s, struct omi_table *t, const uint8_t *bytes)
{
    uint64_t ids[2] = {s->file_id, 0}, footer_end = 0, size = s->file_bytes;
    uint32_t count = 1;
    omen_err err = format_check(s, bytes, &footer_end);
    if (err != OMEN_OK || size < OMI_TABLE_HEADER_BYTES)
        return err;
    uint64_t end = s->data_end != 0 ? s->data_end : footer_end;
    s->end_known = end != 0;
    end = end != 0 ? end : size;
    if (s->file_id == 0 && size >= OMI_TABLE_HEADER_BYTES + OMI_TABLE_FOOTER_BYTES)
        count = ids_of(bytes, bytes + size - OMI_TABLE_FOOTER_BYTES, ids);
    else if (s->file_id == 0)
        ids[0] = omi_get_u64(bytes + HEADER_ID_OFF);
    for (uint32_t i = 0; i < count && err == OMEN_OK && t->blocks == 0; i++)
        err = search_with(s, t, bytes, end, ids[i]);
    return err;
}

omen_err omi_table_salvage(struct omi_salvage *s, struct omi_table **table_out)
{
    *table_out = NULL;
    struct omi_table *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s", s->name);
    t->tenv = s->tenv;
    t->number = s->number;
    snprintf(t->name, sizeof(t->name), "%s", s->name);
    uint8_t *bytes = NULL;
    omen_err err = omi_file_open(s->tenv->dir, s->name, OMI_OPEN_READ, 0, &t->file);
    if (err == OMEN_OK)
        err = file_load(s, t->file, &bytes);
    if (err == OMEN_OK)
        err = search_file(s, t, bytes);
    free(bytes);
    if (err == OMEN_OK && t->blocks != 0)
        *table_out = t;
    else
        omi_table_close(t, false);
    return err;
}

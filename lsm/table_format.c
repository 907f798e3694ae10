#include "lsm/table_format.h"

#include "io/base/coding.h"
#include "io/base/hash.h"

#include <stdio.h>

#define MAGIC UINT64_C(0x3130545353454d4f) /* "OMESST01" */

void omi_table_name(uint64_t number, char name[static OMI_FILE_NAME_BYTES])
{
    snprintf(name, OMI_FILE_NAME_BYTES, "%06" PRIu64 ".sst", number);
}

void omi_table_props_fini(struct omi_table_props *p)
{
    omi_buf_fini(&p->smallest);
    omi_buf_fini(&p->largest);
}

static omen_err damaged(const char *where, const char *what)
{
    return omi_fail(OMEN_CORRUPT, 0, "%s: %s", where, what);
}

static omen_err format_check(uint32_t format, const char *where)
{
    if (format > OMI_TABLE_FORMAT)
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "%s: table format %u is newer than this build's %d; use a newer omendb",
                        where, format, OMI_TABLE_FORMAT);
    return format != 0 ? OMEN_OK : damaged(where, "table format 0");
}

void omi_table_header_encode(uint64_t file_id, uint64_t created_us,
                             uint8_t out[static OMI_TABLE_HEADER_BYTES])
{
    memset(out, 0, OMI_TABLE_HEADER_BYTES);
    omi_put_u64(out, MAGIC);
    omi_put_u32(out + 8, OMI_TABLE_FORMAT);
    omi_put_u64(out + 16, file_id);
    omi_put_u64(out + 24, created_us);
    omi_put_u64(out + 56, omi_checksum(out, 56, 0));
}

omen_err omi_table_header_decode(const uint8_t in[static OMI_TABLE_HEADER_BYTES], const char *where,
                                 uint64_t *file_id_out)
{
    if (omi_get_u64(in) != MAGIC)
        return damaged(where, "the header's magic is wrong: not a table");
    if (omi_get_u64(in + 56) != omi_checksum(in, 56, 0))
        return damaged(where, "the header's check does not match");
    *file_id_out = omi_get_u64(in + 16);
    return format_check(omi_get_u32(in + 8), where);
}

void omi_table_footer_encode(const struct omi_table_footer *f,
                             uint8_t out[static OMI_TABLE_FOOTER_BYTES])
{
    memset(out, 0, OMI_TABLE_FOOTER_BYTES);
    for (int i = 0; i < OMI_SECTIONS; i++) {
        omi_put_u64(out + 24 * i, f->sections[i].off);
        omi_put_u64(out + 24 * i + 8, f->sections[i].size);
        omi_put_u64(out + 24 * i + 16, f->sections[i].check);
    }
    omi_put_u64(out + 144, f->file_id);
    omi_put_u64(out + 152, f->data_end);
    omi_put_u32(out + 232, OMI_TABLE_FORMAT);
    omi_put_u64(out + 240, omi_checksum(out, 240, 0));
    omi_put_u64(out + 248, MAGIC);
}

omen_err omi_table_footer_decode(const uint8_t in[static OMI_TABLE_FOOTER_BYTES],
                                 uint64_t file_bytes, const char *where, struct omi_table_footer *f)
{
    if (omi_get_u64(in + 248) != MAGIC)
        return damaged(where, "the footer's magic is wrong: truncated, or not a table");
    if (omi_get_u64(in + 240) != omi_checksum(in, 240, 0))
        return damaged(where, "the footer's check does not match");
    omen_err err = format_check(omi_get_u32(in + 232), where);
    if (err != OMEN_OK)
        return err;
    uint64_t end = file_bytes - OMI_TABLE_FOOTER_BYTES;
    f->file_id = omi_get_u64(in + 144);
    f->data_end = omi_get_u64(in + 152);
    if (f->data_end < OMI_TABLE_HEADER_BYTES || f->data_end > end ||
        f->data_end % OMI_BLOCK_ALIGN != 0)
        return damaged(where, "the footer's end of data is out of range");
    for (int i = 0; i < OMI_SECTIONS; i++) {
        struct omi_section_place *s = &f->sections[i];
        s->off = omi_get_u64(in + 24 * i);
        s->size = omi_get_u64(in + 24 * i + 8);
        s->check = omi_get_u64(in + 24 * i + 16);
        if (s->size != 0 && (s->off < f->data_end || s->off > end || s->size > end - s->off))
            return damaged(where, "a section lies outside the file");
    }
    if (f->sections[OMI_SECTION_RANGE_DELETES].size != 0 ||
        f->sections[OMI_SECTION_DICTIONARY].size != 0)
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "%s: holds a section that this build does not know; use a newer omendb",
                        where);
    return OMEN_OK;
}

/* ---- properties ------------------------------------------------------------------------------ */

enum tag {
    TAG_ENTRIES = 1,
    TAG_DELETES,
    TAG_RANGE_DELETES,
    TAG_MIN_SEQ,
    TAG_MAX_SEQ,
    TAG_RAW_BYTES,
    TAG_CREATED_US,
    TAG_SMALLEST,
    TAG_LARGEST,
    TAG_INDEX
};

static omen_err put_number(struct omi_buf *out, enum tag tag, uint64_t v)
{
    uint8_t bytes[OMI_VARINT_BYTES_MAX];
    size_t n = omi_put_varint(bytes, v);
    omen_err err = omi_buf_append_varint(out, tag);
    return err == OMEN_OK ? omi_buf_append_slice(out, omi_slice(bytes, n)) : err;
}

static omen_err put_bytes(struct omi_buf *out, enum tag tag, const struct omi_buf *b)
{
    omen_err err = omi_buf_append_varint(out, tag);
    return err == OMEN_OK ? omi_buf_append_slice(out, omi_slice(b->data, b->size)) : err;
}

static omen_err put_index(struct omi_buf *out, const struct omi_index_info *x)
{
    const uint64_t figures[] = {
        x->keys,         x->blocks,          x->bytes,       x->knots,
        x->keyed_cuts,   x->cells_per_block, x->is_explicit, x->certificate_failed,
        x->fill_min_pct, x->fill_mean_pct,   x->fill_max_pct};
    uint8_t bytes[sizeof(figures) / sizeof(figures[0]) * OMI_VARINT_BYTES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        n += omi_put_varint(bytes + n, figures[i]);
    omen_err err = omi_buf_append_varint(out, TAG_INDEX);
    return err == OMEN_OK ? omi_buf_append_slice(out, omi_slice(bytes, n)) : err;
}

omen_err omi_table_props_encode(const struct omi_table_props *p, struct omi_buf *out)
{
    const struct {
        enum tag tag;
        uint64_t v;
    } numbers[] = {{TAG_ENTRIES, p->entries},
                   {TAG_DELETES, p->deletes},
                   {TAG_RANGE_DELETES, p->range_deletes},
                   {TAG_MIN_SEQ, p->min_seq},
                   {TAG_MAX_SEQ, p->max_seq},
                   {TAG_RAW_BYTES, p->raw_bytes},
                   {TAG_CREATED_US, p->created_us}};
    omen_err err = OMEN_OK;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && err == OMEN_OK; i++)
        err = put_number(out, numbers[i].tag, numbers[i].v);
    if (err == OMEN_OK)
        err = put_bytes(out, TAG_SMALLEST, &p->smallest);
    if (err == OMEN_OK)
        err = put_bytes(out, TAG_LARGEST, &p->largest);
    return err == OMEN_OK ? put_index(out, &p->index) : err;
}

static void take_index(struct omi_reader *r, struct omi_index_info *x)
{
    x->keys = omi_take_varint(r);
    x->blocks = omi_take_varint(r);
    x->bytes = omi_take_varint(r);
    x->knots = omi_take_varint(r);
    x->keyed_cuts = omi_take_varint(r);
    x->cells_per_block = (uint32_t)omi_take_varint(r);
    x->is_explicit = omi_take_varint(r) != 0;
    x->certificate_failed = omi_take_varint(r) != 0;
    x->fill_min_pct = (uint32_t)omi_take_varint(r);
    x->fill_mean_pct = (uint32_t)omi_take_varint(r);
    x->fill_max_pct = (uint32_t)omi_take_varint(r);
}

static omen_err take_field(uint64_t tag, const uint8_t *bytes, size_t size, const char *where,
                           struct omi_table_props *p)
{
    struct omi_reader r = omi_reader_of(bytes, size);
    omen_err err = OMEN_OK;
    switch (tag) {
    case TAG_ENTRIES:
        p->entries = omi_take_varint(&r);
        break;
    case TAG_DELETES:
        p->deletes = omi_take_varint(&r);
        break;
    case TAG_RANGE_DELETES:
        p->range_deletes = omi_take_varint(&r);
        break;
    case TAG_MIN_SEQ:
        p->min_seq = omi_take_varint(&r);
        break;
    case TAG_MAX_SEQ:
        p->max_seq = omi_take_varint(&r);
        break;
    case TAG_RAW_BYTES:
        p->raw_bytes = omi_take_varint(&r);
        break;
    case TAG_CREATED_US:
        p->created_us = omi_take_varint(&r);
        break;
    case TAG_SMALLEST:
        p->smallest.size = 0;
        err = omi_buf_append(&p->smallest, bytes, size);
        break;
    case TAG_LARGEST:
        p->largest.size = 0;
        err = omi_buf_append(&p->largest, bytes, size);
        break;
    case TAG_INDEX:
        take_index(&r, &p->index);
        break;
    default:
        break;
    }
    return err == OMEN_OK && r.failed ? damaged(where, "a property does not parse") : err;
}

omen_err omi_table_props_decode(const uint8_t *bytes, size_t size, const char *where,
                                struct omi_table_props *p)
{
    struct omi_reader r = omi_reader_of(bytes, size);
    memset(p, 0, sizeof(*p));
    omen_err err = OMEN_OK;
    while (omi_reader_left(&r) > 0 && err == OMEN_OK) {
        uint64_t tag = omi_take_varint(&r), field_size = omi_take_varint(&r);
        const uint8_t *field =
            field_size <= omi_reader_left(&r) ? omi_take_bytes(&r, (size_t)field_size) : NULL;
        if (r.failed || field == NULL)
            err = damaged(where, "the properties do not parse");
        else
            err = take_field(tag, field, (size_t)field_size, where, p);
    }
    if (err == OMEN_OK && (p->entries == 0 || p->smallest.size > OMEN_KEY_BYTES_MAX ||
                           p->largest.size > OMEN_KEY_BYTES_MAX))
        err = damaged(where, "the properties are out of range");
    if (err != OMEN_OK)
        omi_table_props_fini(p);
    return err;
}

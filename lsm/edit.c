/*
 * edit.c - a change of the database's state as bytes: fields of {tag varint, size varint, bytes}.
 * Tags below 64 must be understood, from 64 on they may be skipped. docs/format-manifest.md lists
 * them.
 */
#include "io/base/coding.h"
#include "lsm/manifest.h"

#include <stdlib.h>

enum tag {
    TAG_COMPARATOR = 1,
    TAG_FILTER_POLICY = 2,
    TAG_FEATURES = 3, /* compatible, read-only-compatible, incompatible: varints */
    TAG_NEXT_NUMBER = 4,
    TAG_NEXT_AGE = 5,
    TAG_LAST_SEQ = 6,
    TAG_FLUSHED = 7, /* flushed_seq, log_floor */
    TAG_SHAPE = 8,   /* T, K upper, K last, memtable bytes, fixed bits, K of each level */
    TAG_OPTIONS = 9,
    TAG_ADD = 10,    /* a table; below */
    TAG_REMOVE = 11, /* namespace, level, age, number */
    TAG_MOVE = 12,   /* namespace, from level, from age, to level, to age, number */
    TAG_SKIPPABLE = 64,
    TAG_LIFETIME = 64,
    TAG_DURABLE = 65 /* durable_seq */
};

/* Inside TAG_ADD: namespace, level, age, number, then fields like these. Reserved, not written now:
 * 20 global_seq, 21 range deletes' oldest time, 22 oldest delete's time, 23 min expiry, 24 max
 * expiry, 25 entries without expiry, 26 value files with bytes; all must be understood. */
enum file_tag {
    FILE_BYTES = 1,  /* file_id, file_bytes, raw_bytes, data_bytes, filter_bytes, created_us */
    FILE_COUNTS = 2, /* entries, deletes, range_deletes, min_seq, max_seq */
    FILE_SMALLEST = 3,
    FILE_LARGEST = 4,
    FILE_SKIPPABLE = 64,
    FILE_INDEX = 64 /* keys, blocks, bytes, knots, keyed_cuts, cells, explicit, failed */
};

/* ---- lists ----------------------------------------------------------------------------------- */

void omi_edit_fini(struct omi_edit *e)
{
    for (uint32_t i = 0; i < e->added_count; i++)
        omi_table_props_fini(&e->added[i].props);
    free(e->added);
    free(e->removed);
    free(e->moved);
    omi_buf_fini(&e->comparator);
    omi_buf_fini(&e->filter_policy);
    omi_buf_fini(&e->options);
    omi_buf_fini(&e->lifetime);
    *e = (struct omi_edit){0};
}

static omen_err list_grow(void **list, uint32_t count, uint32_t *capacity, size_t item)
{
    if (count < *capacity)
        return OMEN_OK;
    uint32_t more = *capacity * 2 + 8;
    void *grown = realloc(*list, (size_t)more * item);
    if (grown == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "an edit of %u tables", more);
    *list = grown;
    *capacity = more;
    return OMEN_OK;
}

omen_err omi_edit_add(struct omi_edit *e, uint32_t level, uint64_t age, uint64_t number,
                      struct omi_table_props *props)
{
    omen_err err =
        list_grow((void **)&e->added, e->added_count, &e->added_capacity, sizeof(*e->added));
    if (err == OMEN_OK)
        e->added[e->added_count++] = (struct omi_edit_file){level, age, number, *props};
    return err;
}

omen_err omi_edit_remove(struct omi_edit *e, uint32_t level, uint64_t age, uint64_t number)
{
    omen_err err = list_grow((void **)&e->removed, e->removed_count, &e->removed_capacity,
                             sizeof(*e->removed));
    if (err == OMEN_OK)
        e->removed[e->removed_count++] = (struct omi_edit_removal){level, age, number};
    return err;
}

omen_err omi_edit_move(struct omi_edit *e, const struct omi_edit_move *move)
{
    omen_err err =
        list_grow((void **)&e->moved, e->moved_count, &e->moved_capacity, sizeof(*e->moved));
    if (err == OMEN_OK)
        e->moved[e->moved_count++] = *move;
    return err;
}

/* ---- encoding -------------------------------------------------------------------------------- */

static omen_err put_field(struct omi_buf *out, uint64_t tag, const void *bytes, size_t size)
{
    omen_err err = omi_buf_append_varint(out, tag);
    return err == OMEN_OK ? omi_buf_append_slice(out, omi_slice(bytes, size)) : err;
}

static omen_err put_numbers(struct omi_buf *out, uint64_t tag, const uint64_t *v, size_t count)
{
    uint8_t bytes[32 * OMI_VARINT_BYTES_MAX];
    size_t n = 0;
    for (size_t i = 0; i < count; i++)
        n += omi_put_varint(bytes + n, v[i]);
    return put_field(out, tag, bytes, n);
}

#define PUT_NUMBERS(out, tag, ...)                                                                 \
    put_numbers(out, tag, (const uint64_t[]){__VA_ARGS__},                                         \
                sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static omen_err put_shape(struct omi_buf *out, const struct omi_edit *e)
{
    uint64_t v[5 + OMEN_LEVELS_MAX] = {e->shape.size_ratio, e->shape.runs_upper, e->shape.runs_last,
                                       e->shape.memtable_bytes, e->shape_fixed};
    for (int i = 0; i < OMEN_LEVELS_MAX; i++)
        v[5 + i] = e->shape.runs_level[i];
    return put_numbers(out, TAG_SHAPE, v, sizeof(v) / sizeof(v[0]));
}

static omen_err put_file(struct omi_buf *out, const struct omi_edit_file *f)
{
    const struct omi_table_props *p = &f->props;
    const struct omi_index_info *x = &p->index;
    struct omi_buf b = {0};
    omen_err err = omi_buf_append_varint(&b, 0);
    if (err == OMEN_OK)
        err = omi_buf_append_varint(&b, f->level);
    if (err == OMEN_OK)
        err = omi_buf_append_varint(&b, f->age);
    if (err == OMEN_OK)
        err = omi_buf_append_varint(&b, f->number);
    if (err == OMEN_OK)
        err = PUT_NUMBERS(&b, FILE_BYTES, p->file_id, p->file_bytes, p->raw_bytes, p->data_bytes,
                          p->filter_bytes, p->created_us);
    if (err == OMEN_OK)
        err = PUT_NUMBERS(&b, FILE_COUNTS, p->entries, p->deletes, p->range_deletes, p->min_seq,
                          p->max_seq);
    if (err == OMEN_OK)
        err = put_field(&b, FILE_SMALLEST, p->smallest.data, p->smallest.size);
    if (err == OMEN_OK)
        err = put_field(&b, FILE_LARGEST, p->largest.data, p->largest.size);
    if (err == OMEN_OK)
        err = PUT_NUMBERS(&b, FILE_INDEX, x->keys, x->blocks, x->bytes, x->knots, x->keyed_cuts,
                          x->cells_per_block, x->is_explicit, x->certificate_failed);
    if (err == OMEN_OK)
        err = put_field(out, TAG_ADD, b.data, b.size);
    omi_buf_fini(&b);
    return err;
}

static omen_err put_tables(struct omi_buf *out, const struct omi_edit *e)
{
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < e->moved_count && err == OMEN_OK; i++) {
        const struct omi_edit_move *m = &e->moved[i];
        err = PUT_NUMBERS(out, TAG_MOVE, 0, m->from_level, m->from_age, m->to_level, m->to_age,
                          m->number);
    }
    for (uint32_t i = 0; i < e->removed_count && err == OMEN_OK; i++) {
        const struct omi_edit_removal *r = &e->removed[i];
        err = PUT_NUMBERS(out, TAG_REMOVE, 0, r->level, r->age, r->number);
    }
    for (uint32_t i = 0; i < e->added_count && err == OMEN_OK; i++)
        err = put_file(out, &e->added[i]);
    return err;
}

omen_err omi_edit_encode(const struct omi_edit *e, struct omi_buf *out)
{
    omen_err err = OMEN_OK;
    if ((e->has & OMI_EDIT_IDENTITY) != 0) {
        err = put_field(out, TAG_COMPARATOR, e->comparator.data, e->comparator.size);
        if (err == OMEN_OK)
            err = put_field(out, TAG_FILTER_POLICY, e->filter_policy.data, e->filter_policy.size);
        if (err == OMEN_OK)
            err = PUT_NUMBERS(out, TAG_FEATURES, e->features_compatible, e->features_read_only,
                              e->features_incompatible);
    }
    if ((e->has & OMI_EDIT_COUNTERS) != 0 && err == OMEN_OK) {
        err = PUT_NUMBERS(out, TAG_NEXT_NUMBER, e->next_number);
        if (err == OMEN_OK)
            err = PUT_NUMBERS(out, TAG_NEXT_AGE, e->next_age);
        if (err == OMEN_OK)
            err = PUT_NUMBERS(out, TAG_LAST_SEQ, e->last_seq);
    }
    if ((e->has & OMI_EDIT_FLUSHED) != 0 && err == OMEN_OK)
        err = PUT_NUMBERS(out, TAG_FLUSHED, e->flushed_seq, e->log_floor);
    if ((e->has & OMI_EDIT_SHAPE) != 0 && err == OMEN_OK)
        err = put_shape(out, e);
    if ((e->has & OMI_EDIT_OPTIONS) != 0 && err == OMEN_OK)
        err = put_field(out, TAG_OPTIONS, e->options.data, e->options.size);
    if ((e->has & OMI_EDIT_LIFETIME) != 0 && err == OMEN_OK)
        err = put_field(out, TAG_LIFETIME, e->lifetime.data, e->lifetime.size);
    if ((e->has & OMI_EDIT_DURABLE) != 0 && err == OMEN_OK)
        err = PUT_NUMBERS(out, TAG_DURABLE, e->durable_seq);
    return err == OMEN_OK ? put_tables(out, e) : err;
}

/* ---- decoding -------------------------------------------------------------------------------- */

static omen_err bad(const char *where, const char *what)
{
    return omi_fail(OMEN_CORRUPT, 0, "%s: an edit's %s does not parse", where, what);
}

static omen_err unknown(const char *where, uint64_t tag)
{
    return omi_fail(OMEN_UNSUPPORTED, 0,
                    "%s: field %" PRIu64
                    " of an edit is not known to this build; use a newer omendb",
                    where, tag);
}

static omen_err copy(struct omi_buf *to, const uint8_t *bytes, size_t size)
{
    to->size = 0;
    return omi_buf_append(to, bytes, size);
}

/* Takes a field; NULL at a failure, which r remembers. */
static const uint8_t *take_field(struct omi_reader *r, uint64_t *tag, size_t *size)
{
    *tag = omi_take_varint(r);
    uint64_t n = omi_take_varint(r);
    *size = (size_t)n;
    if (n > omi_reader_left(r))
        r->failed = true;
    return r->failed ? NULL : omi_take_bytes(r, (size_t)n);
}

static omen_err file_field(uint64_t tag, const uint8_t *bytes, size_t size, const char *where,
                           struct omi_table_props *p)
{
    struct omi_reader r = omi_reader_of(bytes, size);
    struct omi_index_info *x = &p->index;
    omen_err err = OMEN_OK;
    switch (tag) {
    case FILE_BYTES:
        p->file_id = omi_take_varint(&r);
        p->file_bytes = omi_take_varint(&r);
        p->raw_bytes = omi_take_varint(&r);
        p->data_bytes = omi_take_varint(&r);
        p->filter_bytes = omi_take_varint(&r);
        p->created_us = omi_take_varint(&r);
        break;
    case FILE_COUNTS:
        p->entries = omi_take_varint(&r);
        p->deletes = omi_take_varint(&r);
        p->range_deletes = omi_take_varint(&r);
        p->min_seq = omi_take_varint(&r);
        p->max_seq = omi_take_varint(&r);
        break;
    case FILE_SMALLEST:
        err = copy(&p->smallest, bytes, size);
        break;
    case FILE_LARGEST:
        err = copy(&p->largest, bytes, size);
        break;
    case FILE_INDEX:
        x->keys = omi_take_varint(&r);
        x->blocks = omi_take_varint(&r);
        x->bytes = omi_take_varint(&r);
        x->knots = omi_take_varint(&r);
        x->keyed_cuts = omi_take_varint(&r);
        x->cells_per_block = (uint32_t)omi_take_varint(&r);
        x->is_explicit = omi_take_varint(&r) != 0;
        x->certificate_failed = omi_take_varint(&r) != 0;
        break;
    default:
        return tag < FILE_SKIPPABLE ? unknown(where, tag) : OMEN_OK;
    }
    return err == OMEN_OK && r.failed ? bad(where, "table") : err;
}

static omen_err take_file(struct omi_edit *e, const uint8_t *bytes, size_t size, const char *where)
{
    struct omi_reader r = omi_reader_of(bytes, size);
    struct omi_table_props props = {0};
    uint64_t space = omi_take_varint(&r), level = omi_take_varint(&r), age = omi_take_varint(&r);
    uint64_t number = omi_take_varint(&r);
    omen_err err = OMEN_OK;
    if (r.failed || level < 1 || level > OMEN_LEVELS_MAX)
        return bad(where, "table");
    if (space != 0)
        return omi_fail(OMEN_UNSUPPORTED, 0, "%s: a table of namespace %" PRIu64, where, space);
    while (omi_reader_left(&r) > 0 && err == OMEN_OK) {
        uint64_t tag;
        size_t field_size;
        const uint8_t *field = take_field(&r, &tag, &field_size);
        err =
            field != NULL ? file_field(tag, field, field_size, where, &props) : bad(where, "table");
    }
    if (err == OMEN_OK &&
        (r.failed || props.file_bytes == 0 || props.smallest.size > OMEN_KEY_BYTES_MAX ||
         props.largest.size > OMEN_KEY_BYTES_MAX))
        err = bad(where, "table");
    if (err == OMEN_OK)
        err = omi_edit_add(e, (uint32_t)level, age, number, &props);
    if (err != OMEN_OK)
        omi_table_props_fini(&props);
    return err;
}

static bool level_ok(uint64_t level)
{
    return level >= 1 && level <= OMEN_LEVELS_MAX;
}

static omen_err take_change(struct omi_edit *e, uint64_t tag, struct omi_reader *r,
                            const char *where)
{
    uint64_t space = omi_take_varint(r), level = omi_take_varint(r), age = omi_take_varint(r);
    struct omi_edit_move m = {.from_level = (uint32_t)level, .from_age = age};
    if (tag == TAG_MOVE) {
        uint64_t to = omi_take_varint(r);
        m.to_level = (uint32_t)to;
        m.to_age = omi_take_varint(r);
        if (!level_ok(to))
            r->failed = true;
    }
    m.number = omi_take_varint(r);
    if (r->failed || !level_ok(level) || space != 0)
        return bad(where, tag == TAG_MOVE ? "move" : "removal");
    return tag == TAG_MOVE ? omi_edit_move(e, &m) : omi_edit_remove(e, m.from_level, age, m.number);
}

static void take_shape(struct omi_edit *e, struct omi_reader *r)
{
    e->shape.size_ratio = (uint32_t)omi_take_varint(r);
    e->shape.runs_upper = (uint32_t)omi_take_varint(r);
    e->shape.runs_last = (uint32_t)omi_take_varint(r);
    e->shape.memtable_bytes = omi_take_varint(r);
    e->shape_fixed = omi_take_varint(r);
    for (int i = 0; i < OMEN_LEVELS_MAX; i++)
        e->shape.runs_level[i] = (uint32_t)omi_take_varint(r);
    e->has |= OMI_EDIT_SHAPE;
}

static omen_err edit_field(struct omi_edit *e, uint64_t tag, const uint8_t *bytes, size_t size,
                           const char *where)
{
    struct omi_reader r = omi_reader_of(bytes, size);
    omen_err err = OMEN_OK;
    switch (tag) {
    case TAG_COMPARATOR:
        e->has |= OMI_EDIT_IDENTITY;
        return copy(&e->comparator, bytes, size);
    case TAG_FILTER_POLICY:
        return copy(&e->filter_policy, bytes, size);
    case TAG_FEATURES:
        e->features_compatible = omi_take_varint(&r);
        e->features_read_only = omi_take_varint(&r);
        e->features_incompatible = omi_take_varint(&r);
        break;
    case TAG_NEXT_NUMBER:
        e->has |= OMI_EDIT_COUNTERS;
        e->next_number = omi_take_varint(&r);
        break;
    case TAG_NEXT_AGE:
        e->next_age = omi_take_varint(&r);
        break;
    case TAG_LAST_SEQ:
        e->last_seq = omi_take_varint(&r);
        break;
    case TAG_FLUSHED:
        e->has |= OMI_EDIT_FLUSHED;
        e->flushed_seq = omi_take_varint(&r);
        e->log_floor = omi_take_varint(&r);
        break;
    case TAG_SHAPE:
        take_shape(e, &r);
        break;
    case TAG_OPTIONS:
        e->has |= OMI_EDIT_OPTIONS;
        return copy(&e->options, bytes, size);
    case TAG_LIFETIME:
        e->has |= OMI_EDIT_LIFETIME;
        return copy(&e->lifetime, bytes, size);
    case TAG_DURABLE:
        e->has |= OMI_EDIT_DURABLE;
        e->durable_seq = omi_take_varint(&r);
        break;
    case TAG_ADD:
        return take_file(e, bytes, size, where);
    case TAG_REMOVE:
    case TAG_MOVE:
        err = take_change(e, tag, &r, where);
        break;
    default:
        return tag < TAG_SKIPPABLE ? unknown(where, tag) : OMEN_OK;
    }
    return err == OMEN_OK && r.failed ? bad(where, "field") : err;
}

/* Everything that is counted on from must leave room for it. */
static bool numbers_ok(const struct omi_edit *e)
{
    bool ok = e->next_number <= OMI_NUMBER_MAX && e->next_age <= OMI_NUMBER_MAX &&
              e->log_floor <= OMI_NUMBER_MAX && e->last_seq <= OMI_SEQ_MAX &&
              e->flushed_seq <= OMI_SEQ_MAX;
    for (uint32_t i = 0; i < e->added_count; i++)
        ok = ok && e->added[i].number <= OMI_NUMBER_MAX && e->added[i].age <= OMI_NUMBER_MAX &&
             e->added[i].props.max_seq <= OMI_SEQ_MAX;
    for (uint32_t i = 0; i < e->moved_count; i++)
        ok = ok && e->moved[i].to_age <= OMI_NUMBER_MAX;
    return ok;
}

omen_err omi_edit_decode(const uint8_t *bytes, size_t size, const char *where, struct omi_edit *e)
{
    struct omi_reader r = omi_reader_of(bytes, size);
    *e = (struct omi_edit){0};
    omen_err err = OMEN_OK;
    while (omi_reader_left(&r) > 0 && err == OMEN_OK) {
        uint64_t tag;
        size_t field_size;
        const uint8_t *field = take_field(&r, &tag, &field_size);
        err = field != NULL ? edit_field(e, tag, field, field_size, where) : bad(where, "fields");
    }
    if (err == OMEN_OK && r.failed)
        err = bad(where, "fields");
    if (err == OMEN_OK && !numbers_ok(e))
        err = omi_fail(OMEN_CORRUPT, 0, "%s: an edit's number is out of range", where);
    if (err != OMEN_OK)
        omi_edit_fini(e);
    return err;
}

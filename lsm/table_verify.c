/* table_verify.c - everything about a table that can be checked, checked. */
#include "io/base/coding.h"
#include "io/base/hash.h"
#include "lsm/table_open.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { PROBLEMS_TOLD_MAX = 20 };

struct check {
    struct omi_table *t;
    struct omi_table_verdict *verdict;
    void (*problem)(void *ctx, const char *text);
    void *ctx;
    uint32_t block;
    uint32_t unread; /* blocks that could not be read */
    uint64_t deletes, min_seq, max_seq, raw_bytes;
    struct omi_buf key, last_key;
    uint8_t *section; /* of the filter, as the file has it; NULL: none, or not to be asked */
    struct omi_filter filter;
    struct omi_custom_filter custom; /* with a policy: the section is a user's filter */
    uint8_t *range_section;          /* likewise */
    struct omi_range_filter *range;
    uint64_t last_trailer;
    bool any;
};

static void tell(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void tell(struct check *c, const char *format, ...)
{
    char text[512];
    int used = snprintf(text, sizeof(text), "%s: ", c->t->name);
    va_list args;
    va_start(args, format);
    vsnprintf(text + used, sizeof(text) - (size_t)used, format, args);
    va_end(args);
    if (++c->verdict->errors <= PROBLEMS_TOLD_MAX && c->problem != NULL)
        c->problem(c->ctx, text);
}

static bool filter_denies(const struct check *c, omen_slice key)
{
    if (c->section == NULL)
        return false;
    if (c->custom.policy != NULL)
        return !omi_custom_filter_may_hold(&c->custom, key);
    return !omi_filter_may_hold(&c->filter, c->section, key, omi_key_hash(key.data, key.size));
}

static bool range_denies(const struct check *c, omen_slice key)
{
    return c->range != NULL && !omi_range_filter_may_hold(c->range, c->range_section, &key, &key);
}

static omen_err section_read_once(struct omi_table *t, const struct omi_section_place *s,
                                  const char *what, uint8_t *section)
{
    omen_err err = omi_table_read(t, s->off, (size_t)s->size, section);
    if (err == OMEN_OK &&
        omi_checksum(section, (size_t)s->size, t->footer.file_id ^ s->off) != s->check)
        err = omi_fail(OMEN_CORRUPT, 0, "its %s is damaged and not used", what);
    return err;
}

/* A filter's whole section from the file, though parts of it may not be in memory. */
static omen_err section_read(struct omi_table *t, enum omi_table_section which, const char *what,
                             uint8_t **section_out)
{
    const struct omi_section_place *s = &t->footer.sections[which];
    *section_out = aligned_alloc(64, ((size_t)s->size + 63) / 64 * 64);
    if (*section_out == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: checking its %s", t->name, what);
    omen_err err = section_read_once(t, s, what, *section_out);
    if (err == OMEN_CORRUPT) { /* a bit may have flipped on the way */
        t->tenv->env->ops->file_advise(t->file, OMI_ADVISE_DROP);
        err = section_read_once(t, s, what, *section_out);
    }
    return err;
}

static omen_err filter_open(struct check *c, size_t size)
{
    struct omi_table *t = c->t;
    omen_err err = OMEN_OK;
    if (omi_custom_filter_is(c->section, size)) {
        err = omi_custom_filter_decode(c->section, size, &c->custom);
        if (err == OMEN_OK && omi_custom_filter_ours(t->tenv, &c->custom))
            c->custom.policy = t->tenv->filter_policy;
        return err;
    }
    err = omi_filter_open_bound(c->section, size, size, t->footer.file_id, &c->filter);
    for (uint32_t part = 0; err == OMEN_OK && part < c->filter.part_count; part++) {
        uint64_t off;
        uint32_t part_size;
        omi_filter_part(&c->filter, part, &off, &part_size);
        if (!omi_filter_part_sound(&c->filter, part, c->section + off))
            err = omi_fail(OMEN_CORRUPT, 0, "part %u of its filter is damaged and not used", part);
    }
    return err;
}

/* What the file says now is no excuse for what was read when it was opened. */
static bool misread(const struct omi_table *t)
{
    bool damaged = t->filter.damaged;
    for (uint32_t i = 0; i < t->filter.part_count; i++)
        damaged =
            damaged || atomic_load_explicit(&t->filter.parts[i].damaged, memory_order_relaxed);
    return damaged;
}

static omen_err check_filter(struct check *c)
{
    struct omi_table *t = c->t;
    const struct omi_section_place *s = &t->footer.sections[OMI_SECTION_FILTER];
    if (s->size == 0 || !omi_order_is_bytewise(&t->tenv->order))
        return OMEN_OK;
    omen_err err = section_read(t, OMI_SECTION_FILTER, "filter", &c->section);
    if (err == OMEN_OK)
        err = filter_open(c, (size_t)s->size);
    if (err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED || err == OMEN_IO)
        tell(c, "%s", omen_last_error());
    if (err != OMEN_OK || (c->filter.kind == OMI_FILTER_NONE && c->custom.policy == NULL)) {
        free(c->section);
        c->section = NULL;
    }
    return err == OMEN_NO_MEMORY ? err : OMEN_OK;
}

static omen_err check_range_filter(struct check *c)
{
    struct omi_table *t = c->t;
    const struct omi_section_place *s = &t->footer.sections[OMI_SECTION_RANGE_FILTER];
    if (s->size == 0 || !omi_order_is_bytewise(&t->tenv->order))
        return OMEN_OK;
    omen_err err = section_read(t, OMI_SECTION_RANGE_FILTER, "range filter", &c->range_section);
    if (err == OMEN_OK)
        err = omi_range_filter_open(c->range_section, (size_t)s->size, &c->range);
    if (err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED || err == OMEN_IO)
        tell(c, "%s", omen_last_error());
    return err == OMEN_NO_MEMORY ? err : OMEN_OK;
}

static omen_err check_entry(struct check *c, const struct omi_entry *e)
{
    const struct omi_order *order = &c->t->tenv->order;
    const struct omi_table_props *p = &c->t->props;
    omen_slice key = omi_entry_key(e);
    if (!c->any && c->unread == 0 &&
        !omi_bytes_equal(key.data, key.size, p->smallest.data, p->smallest.size))
        tell(c, "its first key is not the smallest key of its properties");
    if (c->any && omi_internal_compare(order, omi_slice(c->last_key.data, c->last_key.size),
                                       c->last_trailer, key, e->trailer) >= 0)
        tell(c, "block %u: entries out of order", c->block);
    if (!omi_trailer_known(e->trailer))
        tell(c, "block %u: an entry of unknown type 0x%02x", c->block,
             (unsigned)(e->trailer & 0xff));
    uint32_t found;
    omen_err err = omi_table_find_block(c->t, key, e->trailer, NULL, &found);
    if (err != OMEN_OK)
        return err;
    if (found != c->block)
        tell(c, "block %u: the index looks for one of its keys in block %u", c->block, found);
    if (filter_denies(c, key))
        tell(c, "block %u: the filter denies one of its keys", c->block);
    if (range_denies(c, key))
        tell(c, "block %u: the range filter denies one of its keys", c->block);
    uint64_t seq = omi_trailer_seq(e->trailer);
    c->deletes += omi_trailer_kind(e->trailer) == OMI_KIND_DELETE;
    c->raw_bytes += (uint64_t)e->key_size + e->value_size + OMI_ENTRY_OVERHEAD_BYTES;
    c->min_seq = seq < c->min_seq ? seq : c->min_seq;
    c->max_seq = seq > c->max_seq ? seq : c->max_seq;
    c->last_trailer = e->trailer;
    c->last_key.size = 0;
    c->any = true;
    c->verdict->entries++;
    return omi_buf_append(&c->last_key, key.data, key.size);
}

static omen_err check_block(void *ctx, uint64_t off, uint32_t size, const struct omi_block *block)
{
    struct check *c = ctx;
    uint64_t index_off = 0;
    uint32_t index_size = 0;
    omen_err err = OMEN_OK;
    if (c->block < c->t->blocks)
        err = omi_table_locate(c->t, c->block, &index_off, &index_size);
    if (err != OMEN_OK)
        return err;
    if (index_off != off || index_size != size)
        tell(c, "block %u lies at %" PRIu64 ", the index says %" PRIu64, c->block, off, index_off);
    for (uint32_t i = 0; i < block->count && err == OMEN_OK; i++) {
        struct omi_entry e;
        err = omi_buf_reserve(&c->key, omi_block_key_size(block, i) + UINT64_C(1));
        if (err == OMEN_OK) {
            omi_block_entry(block, i, c->key.data, &e);
            err = check_entry(c, &e);
        }
    }
    c->block++;
    c->verdict->blocks++;
    c->verdict->bytes += size;
    return err;
}

/* Bounds and counts, when every block was read. */
static void check_props(struct check *c)
{
    const struct omi_table_props *p = &c->t->props;
    if (c->verdict->entries != p->entries || c->deletes != p->deletes)
        tell(c,
             "holds %" PRIu64 " entries and %" PRIu64 " deletes, its properties say %" PRIu64
             " and %" PRIu64,
             c->verdict->entries, c->deletes, p->entries, p->deletes);
    if (c->min_seq != p->min_seq || c->max_seq != p->max_seq || c->raw_bytes != p->raw_bytes)
        tell(c,
             "sequence numbers are %" PRIu64 " to %" PRIu64 " and raw bytes %" PRIu64
             ", its properties say %" PRIu64 " to %" PRIu64 " and %" PRIu64,
             c->min_seq, c->max_seq, c->raw_bytes, p->min_seq, p->max_seq, p->raw_bytes);
    if (c->block != c->t->blocks)
        tell(c, "holds %u blocks, its index names %u", c->block, c->t->blocks);
    if (!omi_bytes_equal(c->last_key.data, c->last_key.size, p->largest.data, p->largest.size))
        tell(c, "its last key is not the largest key of its properties");
}

/* Walks from header to header; past a block that cannot be read, on from where the index says the
 * next one is. */
static omen_err check_blocks(struct check *c)
{
    uint64_t off = OMI_TABLE_HEADER_BYTES;
    for (;;) {
        uint32_t size;
        omen_err err = omi_table_walk(c->t, off, check_block, c);
        if (err != OMEN_CORRUPT && err != OMEN_IO)
            return err;
        tell(c, "%s", omen_last_error());
        c->unread++;
        if (++c->block >= c->t->blocks)
            return OMEN_OK;
        err = omi_table_locate(c->t, c->block, &off, &size);
        if (err != OMEN_OK)
            return err;
    }
}

omen_err omi_table_verify(struct omi_table *t, struct omi_table_verdict *verdict,
                          void (*problem)(void *ctx, const char *text), void *ctx)
{
    struct check c = {
        .t = t, .verdict = verdict, .problem = problem, .ctx = ctx, .min_seq = UINT64_MAX};
    omen_err err = check_filter(&c);
    if (err == OMEN_OK)
        err = check_range_filter(&c);
    if (err == OMEN_OK)
        err = check_blocks(&c);
    if (err == OMEN_OK && c.unread == 0)
        check_props(&c);
    if (verdict->errors == 0 && misread(t))
        tell(&c, "a filter of it was misread, and is not used until it is opened again");
    if (t->index == NULL)
        tell(&c, "its index is damaged and was rebuilt in memory");
    free(c.section);
    free(c.range_section);
    omi_range_filter_close(c.range);
    omi_buf_fini(&c.key);
    omi_buf_fini(&c.last_key);
    if (err == OMEN_OK && verdict->errors != 0)
        err = omi_fail(OMEN_CORRUPT, 0, "%s: %" PRIu64 " problems", t->name, verdict->errors);
    return err;
}

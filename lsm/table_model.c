/*
 * table_model.c - a table's block index: opening it, asking it, and keeping its group lines apart where
 * models may lie in far memory.
 *
 * Apart:   what a lookup searches (knots, the groups' directory, separators) stays in ordinary memory; the
 *          one line that it then reads, most of the bytes, may be far: one far line a lookup, found by
 *          none. The line is copied out inside the grace pair, and used once the extent is known not to
 *          have been damaged until then. Damaged: the line comes from the file, for this lookup, and
 *          somebody is called to repair the extent.
 * Without: the section stays in one piece, never moves, and is read in place.
 */
#include "io/base/hash.h"
#include "lsm/table_open.h"
#include "memtier/far_touch.h"

#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = OMI_INDEX_LINE_BYTES };

/* ---- opening --------------------------------------------------------------------------------- */

static omen_err section_read(struct omi_table *t, uint8_t *out)
{
    const struct omi_section_place *s = &t->footer.sections[OMI_SECTION_INDEX];
    omen_err err = omi_table_read(t, s->off, (size_t)s->size, out);
    if (err == OMEN_OK &&
        omi_checksum(out, (size_t)s->size, t->footer.file_id ^ s->off) != s->check)
        err = omi_fail(OMEN_CORRUPT, 0,
                       "%s: the index section at offset %" PRIu64 " does not match its check",
                       t->name, s->off);
    return err;
}

static struct omi_extent *lines_of(const struct omi_table *t)
{
    return atomic_load_explicit(&t->lines, memory_order_seq_cst);
}

static void index_drop(struct omi_table *t)
{
    omi_index_close(t->index);
    omi_extent_destroy(t->index_extent);
    omi_extent_destroy(lines_of(t));
    t->index = NULL;
    t->index_extent = NULL;
    atomic_store(&t->lines, NULL);
}

static omen_err lines_create(struct omi_table *t, const uint8_t *bytes, size_t size,
                             struct omi_extent **out)
{
    enum omi_extent_class wanted = omi_table_place(t);
    omen_err err =
        omi_extent_create_in(&t->tenv->extents, OMI_EXTENT_MODEL, wanted, size, UINT64_MAX, out);
    if (err == OMEN_OK)
        memcpy(omi_extent_bytes(*out), bytes, size);
    return err;
}

/* The opened section in two extents. */
static omen_err lines_apart(struct omi_table *t)
{
    struct omi_extent *head = NULL, *lines = NULL;
    struct omi_index *split = NULL;
    const uint8_t *section = omi_extent_bytes(t->index_extent);
    size_t whole = omi_extent_size(t->index_extent), off, size;
    omi_index_lines(t->index, &off, &size);
    omen_err err = omi_extent_create(&t->tenv->extents, OMI_EXTENT_MODEL, whole - size, &head);
    if (err == OMEN_OK)
        err = lines_create(t, section + off, size, &lines);
    if (err == OMEN_OK) {
        memcpy(omi_extent_bytes(head), section, off);
        memcpy(omi_extent_bytes(head) + off, section + off + size, whole - off - size);
        err = omi_index_split(t->index, omi_extent_bytes(head), &split);
    }
    if (err != OMEN_OK) {
        omi_extent_destroy(head);
        omi_extent_destroy(lines);
        return err;
    }
    index_drop(t);
    t->index = split;
    t->index_extent = head;
    atomic_store(&t->lines, lines);
    return OMEN_OK;
}

static omen_err index_load(struct omi_table *t)
{
    index_drop(t);
    omen_err err =
        omi_extent_create(&t->tenv->extents, OMI_EXTENT_MODEL,
                          (size_t)t->footer.sections[OMI_SECTION_INDEX].size, &t->index_extent);
    if (err == OMEN_OK)
        err = section_read(t, omi_extent_bytes(t->index_extent));
    if (err == OMEN_OK)
        err = omi_index_open(omi_extent_bytes(t->index_extent), omi_extent_size(t->index_extent),
                             &t->tenv->order, t->footer.data_end, &t->index);
    if (err == OMEN_OK && t->tenv->far)
        err = lines_apart(t);
    return err;
}

struct rebuild {
    struct omi_table *t;
    uint32_t capacity;
};

static omen_err rebuild_one(void *ctx, uint64_t off, uint32_t size, const struct omi_block *block)
{
    struct rebuild *r = ctx;
    struct omi_table *t = r->t;
    if (t->blocks == r->capacity) {
        uint32_t capacity = r->capacity * 2 + 64;
        struct omi_walked_block *walked = realloc(t->walked, capacity * sizeof(*walked));
        if (walked == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "%s: rebuilding its index", t->name);
        t->walked = walked;
        r->capacity = capacity;
    }
    uint32_t last = block->count - 1, key_size = omi_block_key_size(block, last);
    uint8_t *key = malloc((size_t)key_size + 1);
    if (key == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: rebuilding its index", t->name);
    struct omi_entry entry;
    omi_block_entry(block, last, key, &entry);
    t->walked[t->blocks++] = (struct omi_walked_block){off, entry.trailer, size, key_size, key};
    t->heap_bytes += sizeof(*t->walked) + key_size;
    return OMEN_OK;
}

omen_err omi_table_model_open(struct omi_table *t)
{
    omen_err err = OMEN_CORRUPT;
    if (t->footer.sections[OMI_SECTION_INDEX].size != 0)
        err = omi_table_twice(t, index_load);
    if (err == OMEN_OK) {
        t->blocks = omi_index_blocks(t->index);
        t->heap_bytes += omi_index_heap_bytes(t->index);
        return OMEN_OK;
    }
    if (err != OMEN_CORRUPT)
        return err;
    index_drop(t);
    struct rebuild r = {.t = t};
    err = omi_table_walk(t, OMI_TABLE_HEADER_BYTES, rebuild_one, &r);
    if (err == OMEN_OK && t->blocks == 0)
        err = omi_fail(OMEN_CORRUPT, 0, "%s holds no block", t->name);
    if (err == OMEN_OK)
        atomic_fetch_add(&t->tenv->index_rebuilt, 1);
    return err;
}

void omi_table_model_close(struct omi_table *t)
{
    index_drop(t);
    for (uint32_t i = 0; t->walked != NULL && i < t->blocks; i++)
        free((void *)(uintptr_t)t->walked[i].key);
    free(t->walked);
}

/* ---- lines ------------------------------------------------------------------------------------- */

/* From the file, for one lookup. */
static omen_err line_again(struct omi_table *t, uint32_t group, uint8_t line[static LINE_BYTES])
{
    const struct omi_section_place *s = &t->footer.sections[OMI_SECTION_INDEX];
    uint8_t *section = malloc((size_t)s->size);
    omi_far_hurt(t->tenv);
    if (section == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: its index, again", t->name);
    omen_err err = section_read(t, section);
    if (err == OMEN_CORRUPT) {
        t->tenv->env->ops->file_advise(t->file, OMI_ADVISE_DROP);
        err = section_read(t, section);
    }
    if (err == OMEN_OK)
        memcpy(line, section + OMI_INDEX_LINES_OFF + (size_t)LINE_BYTES * group, LINE_BYTES);
    free(section);
    return err;
}

/* Inside the grace. */
static omen_err line_copy(struct omi_table *t, uint32_t group, unsigned stripe,
                          uint8_t line[static LINE_BYTES])
{
    struct omi_extent *e = lines_of(t);
    const uint8_t *from = omi_extent_bytes(e) + (size_t)LINE_BYTES * group;
    omi_far_touch(e, from, LINE_BYTES);
    omi_far_count(t->tenv, stripe, OMI_EXTENT_MODEL, omi_extent_class(e));
    memcpy(line, from, LINE_BYTES);
    return omi_extent_damaged(e) ? line_again(t, group, line) : OMEN_OK;
}

static omen_err line_get(struct omi_table *t, uint32_t group, uint8_t line[static LINE_BYTES])
{
    unsigned stripe = omi_counter_stripe();
    uint32_t grace = omi_grace_enter(&t->tenv->filter_memory.grace, stripe);
    omen_err err = line_copy(t, group, stripe, line);
    omi_grace_leave(&t->tenv->filter_memory.grace, stripe, grace);
    return err;
}

void omi_table_model_ahead(struct omi_table *t, omen_slice key, struct omi_index_way *way)
{
    struct omi_extent *e = lines_of(t);
    *way = (struct omi_index_way){0};
    if (e == NULL || omi_index_is_explicit(t->index))
        return;
    omi_index_way_to_key(t->index, key, way);
    omi_far_prefetch(e, omi_extent_bytes(e) + (size_t)LINE_BYTES * way->group, LINE_BYTES);
}

omen_err omi_table_model_repair(struct omi_table *t)
{
    struct omi_extent *old = lines_of(t), *lines = NULL;
    size_t off, size;
    if (old == NULL || !omi_extent_damaged(old))
        return OMEN_OK;
    uint8_t *section = malloc((size_t)t->footer.sections[OMI_SECTION_INDEX].size);
    if (section == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: its index, again", t->name);
    omi_index_lines(t->index, &off, &size);
    omen_err err = section_read(t, section);
    if (err == OMEN_OK)
        err = lines_create(t, section + off, size, &lines);
    free(section);
    if (err != OMEN_OK)
        return err;
    atomic_store(&t->lines, lines);
    omi_extent_retire(old, &t->tenv->filter_memory.grace);
    return OMEN_OK;
}

omen_err omi_table_model_move(struct omi_table *t, enum omi_extent_class to, uint64_t *moved_bytes)
{
    struct omi_extent *e = lines_of(t);
    if (e == NULL || omi_extent_class(e) == to)
        return OMEN_OK;
    omen_err err = omi_extent_move(e, to, UINT64_MAX, &t->tenv->filter_memory.grace);
    if (err == OMEN_OK)
        *moved_bytes += omi_extent_size(e);
    return err;
}

void omi_table_model_lies(const struct omi_table *t, uint64_t bytes[static OMI_EXTENT_CLASSES],
                          uint64_t *movable_bytes)
{
    struct omi_extent *e = lines_of(t);
    if (t->index_extent != NULL)
        bytes[OMI_EXTENT_NEAR] += omi_extent_size(t->index_extent);
    if (e == NULL)
        return;
    bytes[omi_extent_class(e)] += omi_extent_size(e);
    *movable_bytes += omi_extent_size(e);
}

/* ---- looking up ------------------------------------------------------------------------------ */

/* The first block whose last entry is >= (key, trailer); past all of them, the last block. */
static uint32_t find_walked(const struct omi_table *t, omen_slice key, uint64_t trailer)
{
    uint32_t low = 0, high = t->blocks - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct omi_walked_block *w = &t->walked[middle];
        if (omi_internal_compare(&t->tenv->order, omi_slice(w->key, w->key_size), w->trailer, key,
                                 trailer) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Not in place, as all that lookups without far memory shall not pay for. */
static __attribute__((noinline)) omen_err find_apart(struct omi_table *t, omen_slice key,
                                                     uint64_t trailer,
                                                     struct omi_index_trace *trace,
                                                     uint32_t *block_out)
{
    struct omi_index_way way;
    uint8_t line[LINE_BYTES];
    *block_out = 0;
    omi_index_way_to_key(t->index, key, &way);
    if (!omi_index_is_explicit(t->index)) {
        omen_err err = line_get(t, way.group, line);
        if (err != OMEN_OK)
            return err;
    }
    *block_out = omi_index_find_on(t->index, &way, line, key, trailer, trace);
    return OMEN_OK;
}

omen_err omi_table_find_block(struct omi_table *t, omen_slice key, uint64_t trailer,
                              struct omi_index_trace *trace, uint32_t *block_out)
{
    if (t->index == NULL)
        *block_out = find_walked(t, key, trailer);
    else if (t->tenv->far)
        return find_apart(t, key, trailer, trace, block_out);
    else
        *block_out = omi_index_find(t->index, key, trailer, trace);
    return OMEN_OK;
}

omen_err omi_table_find_block_ahead(const struct omi_table_ahead *a, omen_slice key,
                                    uint64_t trailer, struct omi_index_trace *trace,
                                    uint32_t *block_out)
{
    struct omi_table *t = a->table;
    uint8_t line[LINE_BYTES];
    if (t->index == NULL || omi_index_is_explicit(t->index))
        return omi_table_find_block(t, key, trailer, trace, block_out);
    *block_out = 0;
    omen_err err = line_copy(t, a->way.group, omi_counter_stripe(), line);
    if (err == OMEN_OK)
        *block_out = omi_index_find_on(t->index, &a->way, line, key, trailer, trace);
    return err;
}

static __attribute__((noinline)) omen_err locate_apart(struct omi_table *t, uint32_t block,
                                                       uint64_t *off, uint32_t *size)
{
    struct omi_index_way way;
    uint8_t line[LINE_BYTES];
    *off = *size = 0;
    omi_index_way_to_block(t->index, block, &way);
    omen_err err = line_get(t, way.group, line);
    if (err == OMEN_OK)
        omi_index_locate_on(t->index, &way, line, block, off, size);
    return err;
}

omen_err omi_table_locate(struct omi_table *t, uint32_t block, uint64_t *off, uint32_t *size)
{
    if (t->index == NULL) {
        *off = t->walked[block].off;
        *size = t->walked[block].size;
    } else if (t->tenv->far) {
        return locate_apart(t, block, off, size);
    } else {
        omi_index_locate(t->index, block, off, size);
    }
    return OMEN_OK;
}

/*
 * run_cursor.c - a cursor over the disjoint tables of a run. From the second block in one direction
 * on, the blocks to come are fetched together, in growing spans, through the env's batches.
 */
#include "lsm/scratch.h"
#include "lsm/table_open.h"

#include <stdatomic.h>

/* A span is bounded in bytes too: blocks of large values would fill the memory. */
enum { AHEAD_MAX = 32, SPAN_BYTES_MAX = 1 << 20, PIECE_BYTES = 64 << 10 };
enum { RANGE_TABLES_MAX = 4 }; /* a range over more of them is not a short one */
enum { PIECES_MAX = SPAN_BYTES_MAX / PIECE_BYTES + 1 };
_Static_assert(sizeof(((struct omi_run_cursor *)0)->ahead) / sizeof(struct omi_frame *) ==
                   AHEAD_MAX,
               "the queue holds a whole span");

void omi_run_cursor_init(struct omi_run_cursor *c, struct omi_table *const *tables,
                         uint32_t table_count, const struct omi_order *order, bool fill_cache)
{
    memset(c, 0, offsetof(struct omi_run_cursor, ahead));
    c->tables = tables;
    c->table_count = table_count;
    c->order = order;
    c->fill_cache = fill_cache;
    c->ahead_count = c->ahead_next = 0;
    c->err = OMEN_OK;
    c->io.opens = c->io.blocks = c->io.reads = 0;
}

static void ahead_drop(struct omi_run_cursor *c)
{
    for (; c->ahead_next < c->ahead_count; c->ahead_next++)
        omi_frame_release(c->ahead[c->ahead_next]);
    c->ahead_count = c->ahead_next = 0;
}

static void frame_drop(struct omi_run_cursor *c)
{
    if (c->frame != NULL)
        omi_frame_release(c->frame);
    c->frame = NULL;
}

void omi_run_cursor_fini(struct omi_run_cursor *c)
{
    ahead_drop(c);
    frame_drop(c);
    omi_buf_fini(&c->key);
}

static void cursor_fail(struct omi_run_cursor *c, omen_err err)
{
    frame_drop(c);
    c->err = err;
}

/* ---- reading ahead --------------------------------------------------------------------------- */

/* Reads [from, from + size) of a table in pieces, as one batch. */
static omen_err read_span(struct omi_table *t, uint64_t from, size_t size, uint8_t *to)
{
    struct omi_read reads[PIECES_MAX];
    size_t count = 0;
    for (size_t at = 0; at < size;) {
        size_t n = size - at < PIECE_BYTES ? size - at : PIECE_BYTES;
        reads[count++] =
            (struct omi_read){.file = t->file, .buffer = to + at, .off = from + at, .size = n};
        at += n;
    }
    t->tenv->env->ops->read_batch(t->tenv->env, reads, count);
    for (size_t i = 0; i < count; i++)
        if (reads[i].err != OMEN_OK || reads[i].got < reads[i].size)
            return OMEN_IO; /* only a look ahead: the block itself is read again, and told then */
    return OMEN_OK;
}

/* The sectors, or bytes, that blocks [first, last] of a table lie in. SIZE_MAX: that cannot be told now,
 * and will be when the block itself is read. */
static size_t span_bytes(struct omi_table *t, uint32_t first, uint32_t last, uint64_t *start)
{
    uint64_t from, off;
    uint32_t size;
    if (omi_table_locate(t, first, &from, &size) != OMEN_OK ||
        omi_table_locate(t, last, &off, &size) != OMEN_OK)
        return SIZE_MAX;
    uint64_t end = off + size;
    if (t->direct) {
        from = from / 512 * 512;
        end = (end + 511) / 512 * 512;
    }
    *start = from;
    return (size_t)(end - from);
}

/* Fetches blocks [first, first + count) of a table, none of which is cached, in one span of the
 * thread's scratch, and queues them. step -1: the last comes first. Stops quietly at any failure.
 */
static void ahead_fetch(struct omi_run_cursor *c, struct omi_table *t, uint32_t first,
                        uint32_t count, int step)
{
    uint64_t start;
    size_t bytes = span_bytes(t, first, first + count - 1, &start);
    struct omi_scratch *scratch = omi_scratch_get();
    if (bytes == SIZE_MAX || scratch == NULL || !omi_scratch_reserve(scratch, bytes) ||
        read_span(t, start, bytes, scratch->bytes) != OMEN_OK)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t block = step > 0 ? first + i : first + count - 1 - i, size;
        uint64_t off;
        struct omi_frame *f;
        if (omi_table_locate(t, block, &off, &size) != OMEN_OK ||
            omi_table_frame(t, block, scratch->bytes + (off - start), &f) != OMEN_OK)
            break;
        /* A scan longer than an eighth of the cache passes by: it would push out the rest. */
        bool keep = c->fill_cache &&
                    (uint64_t)c->streak * f->charge <= omi_cache_capacity(t->tenv->cache) / 8;
        c->ahead[c->ahead_count++] = omi_cache_insert(t->tenv->cache, f, keep);
        c->io.reads++;
        atomic_fetch_add_explicit(&t->tenv->cache_misses, 1, memory_order_relaxed);
    }
}

/* Queues block and its successors in the direction of step, if they are not cached: as many as have
 * been passed in this direction, so that a short scan reads little that it does not show. */
static void ahead_fill(struct omi_run_cursor *c, struct omi_table *t, uint32_t block, int step)
{
    uint32_t want = c->streak < AHEAD_MAX ? c->streak : AHEAD_MAX, count = 0;
    uint32_t room = step > 0 ? t->blocks - block : block + 1;
    if (want > room)
        want = room;
    for (; count < want; count++) {
        uint32_t next = step > 0 ? block + count : block - count;
        uint64_t start;
        if (omi_cache_peek(t->tenv->cache, t->id, next) ||
            span_bytes(t, step > 0 ? block : next, step > 0 ? next : block, &start) >
                SPAN_BYTES_MAX)
            break;
    }
    if (count >= 2)
        ahead_fetch(c, t, step > 0 ? block : block - count + 1, count, step);
}

/* Makes block of table the current one; step 0: out of the blue. */
static bool block_enter(struct omi_run_cursor *c, uint32_t table, uint32_t block, int step)
{
    struct omi_table *t = c->tables[table];
    struct omi_frame *f = NULL;
    frame_drop(c);
    c->streak = step != 0 ? c->streak + 1 : 0;
    if (step == 0 || table != c->table)
        ahead_drop(c);
    if (step != 0 && c->ahead_next == c->ahead_count && c->streak >= 2) {
        ahead_drop(c);
        ahead_fill(c, t, block, step);
    }
    if (c->ahead_next < c->ahead_count) {
        f = c->ahead[c->ahead_next++];
        if (f->index != block || f->table != t->id) { /* the direction changed */
            omi_frame_release(f);
            ahead_drop(c);
            c->streak = 0;
            f = NULL;
        }
    }
    if (f == NULL) {
        bool was_read = false;
        omen_err err = omi_table_load_told(t, block, c->fill_cache, &f, &was_read);
        if (err != OMEN_OK) {
            cursor_fail(c, err);
            return false;
        }
        c->io.reads += was_read;
    }
    omi_table_asked(t, f);
    c->io.blocks++;
    c->io.opens += step == 0;
    c->frame = f;
    c->table = table;
    c->block = block;
    return true;
}

/* ---- showing entries ------------------------------------------------------------------------- */

static void entry_show(struct omi_run_cursor *c)
{
    const struct omi_block *b = &c->frame->block;
    size_t need = omi_block_key_size(b, c->index) + (size_t)1;
    if (c->key.capacity < need) {
        omen_err err = omi_buf_reserve(&c->key, need);
        if (err != OMEN_OK) {
            cursor_fail(c, err);
            return;
        }
    }
    omi_block_entry(b, c->index, c->key.data, &c->entry);
}

/* To the first entry of the next block, or of the next table; none: not valid. */
static void step_block_forward(struct omi_run_cursor *c)
{
    uint32_t table = c->table, block = c->block + 1;
    if (block == c->tables[table]->blocks) {
        table++;
        block = 0;
    }
    if (table == c->table_count) {
        frame_drop(c);
        return;
    }
    if (block_enter(c, table, block, 1)) {
        c->index = 0;
        entry_show(c);
    }
}

static void step_block_backward(struct omi_run_cursor *c)
{
    uint32_t table = c->table, block = c->block;
    if (block == 0 && table == 0) {
        frame_drop(c);
        return;
    }
    if (block == 0) {
        table--;
        block = c->tables[table]->blocks;
    }
    if (block_enter(c, table, block - 1, -1)) {
        c->index = c->frame->block.count - 1;
        entry_show(c);
    }
}

void omi_run_cursor_next(struct omi_run_cursor *c)
{
    if (++c->index < c->frame->block.count)
        entry_show(c);
    else
        step_block_forward(c);
}

void omi_run_cursor_prev(struct omi_run_cursor *c)
{
    if (c->index > 0) {
        c->index--;
        entry_show(c);
    } else {
        step_block_backward(c);
    }
}

/* ---- placing --------------------------------------------------------------------------------- */

/* The first table whose largest key is >= key; table_count when there is none. */
static uint32_t find_table(const struct omi_run_cursor *c, omen_slice key)
{
    uint32_t low = 0, high = c->table_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct omi_table_props *p = &c->tables[middle]->props;
        if (omi_key_compare(c->order, omi_slice(p->largest.data, p->largest.size), key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* To the first entry >= (key, trailer), which may lie one past the block's end: index is then the
 * block's count. False: failed, or past all tables (not valid). */
static bool place(struct omi_run_cursor *c, omen_slice key, uint64_t trailer)
{
    c->err = OMEN_OK;
    uint32_t table = find_table(c, key);
    if (table == c->table_count) {
        frame_drop(c);
        return false;
    }
    uint32_t block;
    omen_err err = omi_table_find_block(c->tables[table], key, trailer, NULL, &block);
    if (err != OMEN_OK) {
        cursor_fail(c, err);
        return false;
    }
    if (!block_enter(c, table, block, 0))
        return false;
    c->index = omi_block_lower_bound(&c->frame->block, c->order, key, trailer);
    return true;
}

bool omi_run_cursor_may_hold(const struct omi_run_cursor *c, const omen_slice *low,
                             const omen_slice *high)
{
    uint32_t table = low != NULL ? find_table(c, *low) : 0, end = table + RANGE_TABLES_MAX;
    for (; table < c->table_count; table++) {
        const struct omi_table_props *p = &c->tables[table]->props;
        if (high != NULL &&
            omi_key_compare(c->order, *high, omi_slice(p->smallest.data, p->smallest.size)) < 0)
            return false; /* and so do all tables behind it begin later */
        if (table == end || omi_table_may_hold_range(c->tables[table], low, high))
            return true;
    }
    return false;
}

omen_err omi_run_cursor_free(const struct omi_run_cursor *c, const omen_slice *low,
                             struct omi_buf *until, bool *none_out)
{
    uint32_t table = low != NULL ? find_table(c, *low) : 0;
    *none_out = table == c->table_count;
    while (!*none_out) {
        const struct omi_table_props *p = &c->tables[table]->props;
        omen_slice smallest = omi_slice(p->smallest.data, p->smallest.size);
        if (low == NULL || omi_key_compare(c->order, *low, smallest) < 0) {
            until->size = 0;
            return omi_buf_append(until, smallest.data, smallest.size);
        }
        omen_err err = omi_table_filter_free_range(c->tables[table], *low, until, none_out);
        if (err != OMEN_OK || !*none_out)
            return err;
        *none_out = ++table == c->table_count; /* the next one begins later */
    }
    return OMEN_OK;
}

void omi_run_cursor_seek(struct omi_run_cursor *c, omen_slice key, uint64_t trailer)
{
    if (!place(c, key, trailer))
        return;
    if (c->index < c->frame->block.count)
        entry_show(c);
    else
        step_block_forward(c);
}

void omi_run_cursor_seek_for_prev(struct omi_run_cursor *c, omen_slice key, uint64_t trailer)
{
    if (!place(c, key, trailer)) {
        if (c->err == OMEN_OK)
            omi_run_cursor_last(c); /* all entries are before key */
        return;
    }
    if (c->index < c->frame->block.count) {
        entry_show(c);
        if (c->frame == NULL)
            return;
        if (omi_internal_compare(c->order, omi_entry_key(&c->entry), c->entry.trailer, key,
                                 trailer) == 0)
            return;
    }
    omi_run_cursor_prev(c);
}

void omi_run_cursor_first(struct omi_run_cursor *c)
{
    c->err = OMEN_OK;
    if (c->table_count != 0 && block_enter(c, 0, 0, 0)) {
        c->index = 0;
        entry_show(c);
    }
}

void omi_run_cursor_last(struct omi_run_cursor *c)
{
    c->err = OMEN_OK;
    if (c->table_count == 0)
        return;
    uint32_t table = c->table_count - 1;
    if (block_enter(c, table, c->tables[table]->blocks - 1, 0)) {
        c->index = c->frame->block.count - 1;
        entry_show(c);
    }
}

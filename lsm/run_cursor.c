/*
 * run_cursor.c - a cursor over the disjoint tables of a run. From the second block in one direction
 * on, the blocks to come are fetched together, in growing spans, through the env's batches.
 */
#include "lsm/table_open.h"

#include <stdlib.h>

enum { AHEAD_MAX = 32, PIECE_BYTES = 64 << 10, PIECES_MAX = 64 };

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
        size_t n = size - at < PIECE_BYTES || count + 1 == PIECES_MAX ? size - at : PIECE_BYTES;
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

/* Fetches blocks [first, first + count) of a table, none of which is cached, in one span, and
 * queues them. step -1: the last comes first. Stops quietly at any failure. */
static void ahead_fetch(struct omi_run_cursor *c, struct omi_table *t, uint32_t first,
                        uint32_t count, int step)
{
    uint64_t from, last_off;
    uint32_t size, last_size;
    omi_table_locate(t, first, &from, &size);
    omi_table_locate(t, first + count - 1, &last_off, &last_size);
    uint64_t start = t->direct ? from / 512 * 512 : from;
    uint64_t end = last_off + last_size;
    if (t->direct)
        end = (end + 511) / 512 * 512;
    uint8_t *bytes = aligned_alloc(4096, (size_t)(end - start + 4095) / 4096 * 4096);
    if (bytes == NULL || read_span(t, start, (size_t)(end - start), bytes) != OMEN_OK) {
        free(bytes);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t block = step > 0 ? first + i : first + count - 1 - i;
        uint64_t off;
        struct omi_frame *f;
        omi_table_locate(t, block, &off, &size);
        if (omi_table_frame(t, block, bytes + (off - start), &f) != OMEN_OK)
            break;
        c->ahead[c->ahead_count++] = omi_cache_insert(t->tenv->cache, f, c->fill_cache);
    }
    free(bytes);
}

/* Queues block and its successors in the direction of step, if they are not cached. */
static void ahead_fill(struct omi_run_cursor *c, struct omi_table *t, uint32_t block, int step)
{
    uint32_t want = 1u << (c->streak < 5 ? c->streak : 5), count = 0;
    uint32_t room = step > 0 ? t->blocks - block : block + 1;
    if (want > room)
        want = room;
    while (count < want &&
           !omi_cache_peek(t->tenv->cache, t->id, step > 0 ? block + count : block - count))
        count++;
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
            f = NULL;
        }
    }
    if (f == NULL) {
        omen_err err = omi_table_load(t, block, c->fill_cache, &f);
        if (err != OMEN_OK) {
            cursor_fail(c, err);
            return false;
        }
    }
    c->frame = f;
    c->table = table;
    c->block = block;
    return true;
}

/* ---- showing entries ------------------------------------------------------------------------- */

static void entry_show(struct omi_run_cursor *c)
{
    const struct omi_block *b = &c->frame->block;
    c->key.size = 0;
    omen_err err = omi_buf_reserve(&c->key, omi_block_key_size(b, c->index) + UINT64_C(1));
    if (err != OMEN_OK) {
        cursor_fail(c, err);
        return;
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
    uint32_t block = omi_table_find_block(c->tables[table], key, trailer, NULL);
    if (!block_enter(c, table, block, 0))
        return false;
    c->index = omi_block_lower_bound(&c->frame->block, c->order, key, trailer);
    return true;
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
    if (block_enter(c, 0, 0, 0)) {
        c->index = 0;
        entry_show(c);
    }
}

void omi_run_cursor_last(struct omi_run_cursor *c)
{
    uint32_t table = c->table_count - 1;
    c->err = OMEN_OK;
    if (block_enter(c, table, c->tables[table]->blocks - 1, 0)) {
        c->index = c->frame->block.count - 1;
        entry_show(c);
    }
}

/*
 * memtable_cursor.c - ordered walks: a leaf's references are copied under its version and walked
 * from the copy. Leaves are only ever split, so the leaf that the copy names as next holds the keys
 * behind it, whatever happened since. Backward there is no pointer: the low fence leads to the leaf
 * before.
 */
#include "lsm/memtable_tree.h"

#include <stdlib.h>
#include <string.h>

enum { SOURCE_ENTRIES = 256 };

struct leaf_copy {
    uint32_t count, next, low;
    uint32_t refs[NODE_SLOTS];
};

/* False: the leaf changed meanwhile. */
static bool leaf_copy(struct omi_mem_leaf leaf, struct leaf_copy *out)
{
    const struct omi_mem_node *node = leaf.node;
    out->count = atomic_load_explicit(&node->count, memory_order_acquire);
    out->next = atomic_load_explicit(&node->next, memory_order_acquire);
    out->low = atomic_load_explicit(&node->low, memory_order_acquire);
    for (uint32_t i = 0; i < out->count; i++)
        out->refs[i] = atomic_load_explicit(&node->refs[i], memory_order_acquire);
    return omi_mem_unchanged(node, leaf.version);
}

static void cursor_take(struct omi_mem_cursor *c, const struct leaf_copy *copy)
{
    memcpy(c->refs, copy->refs, copy->count * sizeof(copy->refs[0]));
    c->ref_count = copy->count;
    c->next_leaf = copy->next;
    c->low_fence = copy->low;
}

/* The visible version at the present slot; false: none. */
static bool cursor_show(struct omi_mem_cursor *c)
{
    const struct omi_mem_record *r = omi_mem_visible(c->m, c->refs[c->ref_index], c->seq);
    if (r == NULL)
        return false;
    omi_mem_entry(r, &c->entry);
    c->valid = true;
    return true;
}

/* To the leaf after the copied one; false: there is none. */
static bool cursor_next_leaf(struct omi_mem_cursor *c)
{
    struct leaf_copy copy;
    if (c->next_leaf == 0)
        return false;
    struct omi_mem_leaf leaf = {omi_mem_node_at(c->m, c->next_leaf), 0};
    do {
        leaf.version = omi_mem_version(leaf.node);
    } while (!leaf_copy(leaf, &copy));
    cursor_take(c, &copy);
    c->ref_index = 0;
    return true;
}

/* The leaf before the copied one: keys just below its low fence. */
static bool cursor_prev_leaf(struct omi_mem_cursor *c)
{
    struct leaf_copy copy;
    if (c->low_fence == 0)
        return false;
    omen_slice low = omi_mem_record_key(omi_mem_record_at(c->m, c->low_fence));
    while (!leaf_copy(omi_mem_find_leaf(c->m, low, true), &copy))
        continue;
    cursor_take(c, &copy);
    c->ref_index = copy.count;
    return true;
}

/* From ref_index on to the first slot with a visible version. */
static void settle_forward(struct omi_mem_cursor *c)
{
    c->valid = false;
    for (;;) {
        for (; c->ref_index < c->ref_count; c->ref_index++)
            if (cursor_show(c))
                return;
        if (!cursor_next_leaf(c))
            return;
    }
}

/* From the slot before ref_index back to the last with a visible version. */
static void settle_backward(struct omi_mem_cursor *c)
{
    c->valid = false;
    for (;;) {
        while (c->ref_index > 0) {
            c->ref_index--;
            if (cursor_show(c))
                return;
        }
        if (!cursor_prev_leaf(c))
            return;
    }
}

void omi_mem_cursor_init(struct omi_mem_cursor *c, const struct omi_memtable *m, uint64_t seq)
{
    c->m = m;
    c->seq = seq;
    c->valid = false;
    c->ref_count = c->ref_index = 0;
    c->next_leaf = c->low_fence = 0;
}

/* Copies the leaf that holds key; ref_index becomes the number of its keys < key (<= with past). */
static void cursor_place(struct omi_mem_cursor *c, omen_slice key, bool past)
{
    struct leaf_copy copy;
    for (;;) {
        struct omi_mem_leaf leaf = omi_mem_find_leaf(c->m, key, false);
        c->ref_index = omi_mem_node_rank(c->m, leaf.node, key, past);
        if (leaf_copy(leaf, &copy))
            break;
    }
    cursor_take(c, &copy);
}

void omi_mem_cursor_seek(struct omi_mem_cursor *c, omen_slice key)
{
    cursor_place(c, key, false);
    settle_forward(c);
}

void omi_mem_cursor_seek_for_prev(struct omi_mem_cursor *c, omen_slice key)
{
    cursor_place(c, key, true);
    settle_backward(c);
}

void omi_mem_cursor_first(struct omi_mem_cursor *c)
{
    struct leaf_copy copy;
    while (!leaf_copy(omi_mem_edge_leaf(c->m, false), &copy))
        continue;
    cursor_take(c, &copy);
    c->ref_index = 0;
    settle_forward(c);
}

void omi_mem_cursor_last(struct omi_mem_cursor *c)
{
    struct leaf_copy copy;
    while (!leaf_copy(omi_mem_edge_leaf(c->m, true), &copy))
        continue;
    cursor_take(c, &copy);
    c->ref_index = copy.count;
    settle_backward(c);
}

void omi_mem_cursor_next(struct omi_mem_cursor *c)
{
    c->ref_index++;
    settle_forward(c);
}

void omi_mem_cursor_prev(struct omi_mem_cursor *c)
{
    settle_backward(c);
}

/* ---- all versions, for the flush ------------------------------------------------------------- */

struct mem_source {
    struct omi_merge_source source; /* first */
    const struct omi_memtable *m;
    struct leaf_copy leaf;
    uint32_t slot;
    uint32_t version; /* the next record of the present slot's chain; 0: the slot is done */
    struct omi_entry entries[SOURCE_ENTRIES];
};

static bool source_next_leaf(struct mem_source *s)
{
    if (s->leaf.next == 0)
        return false;
    struct omi_mem_leaf leaf = {omi_mem_node_at(s->m, s->leaf.next), 0};
    leaf.version = omi_mem_version(leaf.node);
    (void)leaf_copy(leaf, &s->leaf); /* no writer any more */
    s->slot = 0;
    for (uint32_t i = 0; i < s->leaf.count; i++)
        __builtin_prefetch(omi_mem_record_at(s->m, s->leaf.refs[i]));
    return true;
}

static omen_err source_refill(struct omi_merge_source *source)
{
    struct mem_source *s = (struct mem_source *)(void *)source;
    uint32_t n = 0;
    while (n < SOURCE_ENTRIES) {
        if (s->version == 0) {
            if (s->slot == s->leaf.count) {
                if (!source_next_leaf(s))
                    break;
                continue;
            }
            s->version = s->leaf.refs[s->slot++];
        }
        const struct omi_mem_record *r = omi_mem_record_at(s->m, s->version);
        omi_mem_entry(r, &s->entries[n++]);
        s->version = r->older;
    }
    source->entries = s->entries;
    source->count = n;
    return OMEN_OK;
}

omen_err omi_memtable_source_open(const struct omi_memtable *m,
                                  struct omi_merge_source **source_out)
{
    struct mem_source *s = calloc(1, sizeof(*s));
    *source_out = NULL;
    if (s == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a memtable's merge source");
    s->m = m;
    s->source.refill = source_refill;
    (void)leaf_copy(omi_mem_edge_leaf(m, false), &s->leaf);
    *source_out = &s->source;
    return OMEN_OK;
}

void omi_memtable_source_close(struct omi_merge_source *source)
{
    free(source);
}

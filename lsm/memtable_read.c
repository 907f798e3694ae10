/* memtable_read.c - descents without locks: sample, look, check that nothing moved, or start again.
 */
#include "lsm/memtable_tree.h"

#include "io/base/hash.h"

#include <sched.h>

enum { SPINS_MAX = 64 };

uint32_t omi_mem_version(const struct omi_mem_node *node)
{
    for (unsigned spins = 0;; spins++) {
        uint32_t v = atomic_load_explicit(&node->version, memory_order_acquire);
        if ((v & 1) == 0)
            return v;
        if (spins >= SPINS_MAX)
            sched_yield(); /* the writer may be off the processor */
    }
}

bool omi_mem_unchanged(const struct omi_mem_node *node, uint32_t version)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&node->version, memory_order_relaxed) == version;
}

static int slot_compare(const struct omi_memtable *m, const struct omi_mem_node *node, uint32_t i,
                        omen_slice key)
{
    uint32_t ref = atomic_load_explicit(&node->refs[i], memory_order_acquire);
    return omi_key_compare(&m->order, omi_mem_record_key(omi_mem_record_at(m, ref)), key);
}

/* Among slots [low, high), all with key's head, or all of them under a comparator. */
static uint32_t rank_by_key(const struct omi_memtable *m, const struct omi_mem_node *node,
                            omen_slice key, bool past_equal, uint32_t low, uint32_t high)
{
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int c = slot_compare(m, node, middle, key);
        if (c < 0 || (c == 0 && past_equal))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* How many heads are < head; no branch on the data. */
static uint32_t heads_below(const struct omi_mem_node *node, uint32_t count, uint64_t head)
{
    uint32_t low = 0;
    while (count > 0) {
        uint32_t half = (count + 1) / 2;
        uint64_t probe = atomic_load_explicit(&node->heads[low + half - 1], memory_order_relaxed);
        low += probe < head ? half : 0;
        count -= half;
    }
    return low;
}

uint32_t omi_mem_node_rank(const struct omi_memtable *m, const struct omi_mem_node *node,
                           omen_slice key, bool past_equal)
{
    uint32_t count = atomic_load_explicit(&node->count, memory_order_acquire);
    if (!m->bytewise)
        return rank_by_key(m, node, key, past_equal, 0, count);
    uint64_t head = omi_mem_head(key, atomic_load_explicit(&node->skip, memory_order_relaxed));
    uint32_t low = heads_below(node, count, head), high = low;
    while (high < count && atomic_load_explicit(&node->heads[high], memory_order_relaxed) == head)
        high++;
    return low == high ? low : rank_by_key(m, node, key, past_equal, low, high);
}

static void prefetch_node(const struct omi_mem_node *node)
{
    const char *p = (const char *)node;
    for (int line = 0; line < 6; line++)
        __builtin_prefetch(p + line * 64);
}

/* From the root to a leaf. edge: -1 the first leaf, 1 the last, 0 by key. */
static struct omi_mem_leaf descend(const struct omi_memtable *m, omen_slice key, bool left,
                                   int edge)
{
restart:;
    uint32_t ref = atomic_load_explicit(&m->root, memory_order_acquire);
    const struct omi_mem_node *node = omi_mem_node_at(m, ref);
    uint32_t version = omi_mem_version(node);
    if (atomic_load_explicit(&m->root, memory_order_acquire) != ref)
        goto restart; /* it was split, and is only the left half of the tree now */
    while (node->level > 0) {
        uint32_t i = edge < 0   ? 0
                     : edge > 0 ? atomic_load_explicit(&node->count, memory_order_acquire)
                                : omi_mem_node_rank(m, node, key, !left);
        uint32_t child_ref = atomic_load_explicit(&node->children[i], memory_order_acquire);
        if (!omi_mem_unchanged(node, version))
            goto restart;
        const struct omi_mem_node *child = omi_mem_node_at(m, child_ref);
        prefetch_node(child);
        uint32_t child_version = omi_mem_version(child);
        if (!omi_mem_unchanged(node, version))
            goto restart; /* the child may have been split since we chose it */
        node = child;
        version = child_version;
    }
    return (struct omi_mem_leaf){node, version};
}

struct omi_mem_leaf omi_mem_find_leaf(const struct omi_memtable *m, omen_slice key, bool left)
{
    return descend(m, key, left, 0);
}

struct omi_mem_leaf omi_mem_edge_leaf(const struct omi_memtable *m, bool last)
{
    return descend(m, omi_slice(NULL, 0), false, last ? 1 : -1);
}

const struct omi_mem_record *omi_mem_visible(const struct omi_memtable *m, uint32_t ref,
                                             uint64_t seq)
{
    const struct omi_mem_record *r = omi_mem_record_at(m, ref);
    while (omi_trailer_seq(r->trailer) > seq) {
        if (r->older == 0)
            return NULL;
        const struct omi_mem_record *jump = omi_mem_record_at(m, r->jump);
        r = omi_trailer_seq(jump->trailer) > seq ? jump : omi_mem_record_at(m, r->older);
    }
    return r;
}

static bool filter_may_hold(const struct omi_memtable *m, uint64_t hash)
{
    const _Atomic uint64_t *line =
        m->filter + 8 * (((hash >> 32) * (uint64_t)m->filter_lines) >> 32);
    uint64_t bits = hash * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < FILTER_PROBES; i++, bits <<= 9)
        if ((atomic_load_explicit(&line[bits >> 61], memory_order_relaxed) >> (bits >> 55 & 63) &
             1) == 0)
            return false;
    return true;
}

omen_err omi_memtable_get(const struct omi_memtable *m, omen_slice key, uint64_t key_hash,
                          uint64_t seq, struct omi_entry *entry_out)
{
    if (m->filter != NULL && !filter_may_hold(m, key_hash))
        return OMEN_NOT_FOUND;
    for (;;) {
        struct omi_mem_leaf leaf = omi_mem_find_leaf(m, key, false);
        uint32_t i = omi_mem_node_rank(m, leaf.node, key, false);
        uint32_t count = atomic_load_explicit(&leaf.node->count, memory_order_acquire);
        uint32_t ref =
            i < count ? atomic_load_explicit(&leaf.node->refs[i], memory_order_acquire) : 0;
        if (!omi_mem_unchanged(leaf.node, leaf.version))
            continue;
        if (ref == 0 ||
            omi_key_compare(&m->order, omi_mem_record_key(omi_mem_record_at(m, ref)), key) != 0)
            return OMEN_NOT_FOUND;
        const struct omi_mem_record *r = omi_mem_visible(m, ref, seq);
        if (r == NULL)
            return OMEN_NOT_FOUND;
        omi_mem_entry(r, entry_out);
        return OMEN_OK;
    }
}

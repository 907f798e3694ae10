/*
 * memtable_tree.h - the nodes and records inside a memtable; private to memtable_*.c.
 *
 * A node's keys all start with the same skip bytes, which its two fences share; heads are the eight
 * key bytes after them. Every key that a descent brings to a node lies between its fences, so it
 * shares those bytes too: heads order keys, ties are settled by the records' full keys.
 */
#ifndef OMI_MEMTABLE_TREE_H
#define OMI_MEMTABLE_TREE_H

#include "io/base/coding.h"
#include "lsm/arena.h"
#include "lsm/memtable.h"

#include <stdatomic.h>

enum { NODE_SLOTS = 30, TREE_HEIGHT_MAX = 12, FILTER_PROBES = 6 };

/* One version of one key; immutable once a slot or a newer record names it. */
struct omi_mem_record {
    uint64_t trailer;
    uint32_t older; /* the next older version of the key; 0: none */
    uint32_t jump;  /* a much older one: skew-binary skips (Myers, "An applicative random-access
                       stack", 1983), so that any version is found in O(log versions) */
    uint32_t depth; /* how many versions are older */
    uint32_t value_size;
    uint16_t key_size;
    uint8_t bytes[]; /* key, value */
};

struct omi_mem_node {
    _Atomic uint32_t version; /* odd while it changes */
    _Atomic uint16_t count, skip;
    _Atomic uint32_t next;      /* leaf: the leaf to the right */
    _Atomic uint32_t low, high; /* fences: records; 0: open. Keys are >= low and < high */
    uint32_t level;             /* 0: leaf */
    _Atomic uint64_t heads[NODE_SLOTS];
    _Atomic uint32_t refs[NODE_SLOTS]; /* leaf: records; inner: separators */
    _Atomic uint32_t children[];       /* inner: NODE_SLOTS + 1; child i holds keys < separator i */
};

struct omi_memtable {
    _Atomic uint32_t refs;
    bool bytewise;
    struct omi_order order;
    struct omi_arena arena;
    _Atomic uint32_t root;
    uint32_t last_leaf; /* the rightmost, for ascending inserts */
    _Atomic uint64_t entries, min_seq, max_seq;
    _Atomic uint64_t *filter; /* lines of eight words; NULL under a comparator */
    void *filter_bytes;       /* the same, as it is freed */
    uint32_t filter_lines;
};

static inline struct omi_mem_node *omi_mem_node_at(const struct omi_memtable *m, uint32_t ref)
{
    return omi_arena_at(&m->arena, ref);
}

static inline const struct omi_mem_record *omi_mem_record_at(const struct omi_memtable *m,
                                                             uint32_t ref)
{
    return omi_arena_at(&m->arena, ref);
}

static inline omen_slice omi_mem_record_key(const struct omi_mem_record *r)
{
    return omi_slice(r->bytes, r->key_size);
}

static inline uint64_t omi_mem_head(omen_slice key, uint32_t skip)
{
    if (key.size <= skip) /* only while a racing split changes skip; validated afterwards */
        return 0;
    return omi_head64((const uint8_t *)key.data + skip, key.size - skip);
}

/* How many of the node's keys are < key (or <= key, with past_equal). Reads may race with the
 * writer: the answer counts only if the node's version is still the same afterwards. */
uint32_t omi_mem_node_rank(const struct omi_memtable *m, const struct omi_mem_node *node,
                           omen_slice key, bool past_equal);

/* A consistent look at a leaf. */
struct omi_mem_leaf {
    const struct omi_mem_node *node;
    uint32_t version;
};
uint32_t omi_mem_version(const struct omi_mem_node *node); /* waits for an even one */
bool omi_mem_unchanged(const struct omi_mem_node *node, uint32_t version);
/* The leaf that holds key; left: the leaf for keys just below key. */
struct omi_mem_leaf omi_mem_find_leaf(const struct omi_memtable *m, omen_slice key, bool left);
struct omi_mem_leaf omi_mem_edge_leaf(const struct omi_memtable *m, bool last);

/* The newest version with seq <= seq in a chain; 0: none. */
const struct omi_mem_record *omi_mem_visible(const struct omi_memtable *m, uint32_t ref,
                                             uint64_t seq);
static inline void omi_mem_entry(const struct omi_mem_record *r, struct omi_entry *out)
{
    *out = (struct omi_entry){r->bytes, r->bytes + r->key_size, r->trailer, r->key_size,
                              r->value_size};
}

#endif

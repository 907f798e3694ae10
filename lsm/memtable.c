/* memtable.c - the writer's side: records, inserts, splits; see memtable.h for the protocol. */
#include "lsm/memtable.h"

#include "io/base/hash.h"
#include "lsm/memtable_tree.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEAF_BYTES = sizeof(struct omi_mem_node),
    INNER_BYTES = sizeof(struct omi_mem_node) + (NODE_SLOTS + 1) * sizeof(uint32_t),
    RECORD_BYTES = offsetof(struct omi_mem_record, bytes),
    FILTER_BITS = 10,
    ENTRY_GUESS_BYTES = 128 /* of memory an entry takes, to size the filter */
};

/* ---- begin and end --------------------------------------------------------------------------- */

static omen_err filter_create(struct omi_memtable *m, uint64_t expected_bytes)
{
    if (!m->bytewise)
        return OMEN_OK;
    uint64_t lines = expected_bytes / ENTRY_GUESS_BYTES * FILTER_BITS / 512 + 1;
    m->filter_bytes = aligned_alloc(64, lines * 64);
    if (m->filter_bytes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a memtable's filter");
    memset(m->filter_bytes, 0, lines * 64);
    m->filter = m->filter_bytes;
    m->filter_lines = (uint32_t)lines;
    return OMEN_OK;
}

static uint32_t node_create(struct omi_memtable *m, uint32_t level, struct omi_mem_node **out)
{
    void *at;
    uint32_t ref = omi_arena_take(&m->arena, level == 0 ? LEAF_BYTES : INNER_BYTES, &at);
    if (ref == 0)
        return 0;
    struct omi_mem_node *node = at;
    atomic_init(&node->version, 0);
    atomic_init(&node->count, 0);
    atomic_init(&node->skip, 0);
    atomic_init(&node->next, 0);
    atomic_init(&node->low, 0);
    atomic_init(&node->high, 0);
    node->level = level;
    *out = node;
    return ref;
}

omen_err omi_memtable_create(struct omi_arena_pool *pool, const struct omi_order *order,
                             uint64_t expected_bytes, struct omi_memtable **out)
{
    *out = NULL;
    struct omi_memtable *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a memtable");
    atomic_init(&m->refs, 1);
    atomic_init(&m->min_seq, UINT64_MAX);
    m->order = *order;
    m->bytewise = omi_order_is_bytewise(order);
    omen_err err = omi_arena_init(&m->arena, pool, expected_bytes + expected_bytes / 16 + 8192);
    if (err == OMEN_OK)
        err = filter_create(m, expected_bytes);
    struct omi_mem_node *root;
    if (err == OMEN_OK) {
        m->last_leaf = node_create(m, 0, &root); /* the first region always has room for it */
        atomic_init(&m->root, m->last_leaf);
        *out = m;
        return OMEN_OK;
    }
    omi_arena_fini(&m->arena);
    free(m);
    return err;
}

void omi_memtable_ref(struct omi_memtable *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
}

void omi_memtable_unref(struct omi_memtable *m)
{
    if (atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    omi_arena_fini(&m->arena);
    free(m->filter_bytes);
    free(m);
}

omen_err omi_memtable_reserve(struct omi_memtable *m, uint64_t entries, uint64_t payload_bytes)
{
    /* Each insert takes a record and, at worst, one split in eight plus one path of splits. */
    uint64_t bytes = payload_bytes + entries * (RECORD_BYTES + 8) +
                     (entries / 8 + TREE_HEIGHT_MAX + 1) * INNER_BYTES;
    return omi_arena_reserve(&m->arena, bytes);
}

uint64_t omi_memtable_memory(const struct omi_memtable *m)
{
    return atomic_load_explicit(&m->arena.mapped, memory_order_relaxed) +
           (uint64_t)m->filter_lines * 64 + sizeof(*m);
}

uint64_t omi_memtable_used(const struct omi_memtable *m)
{
    return atomic_load_explicit(&m->arena.used, memory_order_relaxed);
}

uint64_t omi_memtable_entries(const struct omi_memtable *m)
{
    return atomic_load_explicit(&m->entries, memory_order_relaxed);
}

uint64_t omi_memtable_min_seq(const struct omi_memtable *m)
{
    return atomic_load_explicit(&m->min_seq, memory_order_relaxed);
}

uint64_t omi_memtable_max_seq(const struct omi_memtable *m)
{
    return atomic_load_explicit(&m->max_seq, memory_order_relaxed);
}

/* ---- nodes, by the only writer --------------------------------------------------------------- */

static uint32_t load(const _Atomic uint32_t *p)
{
    return atomic_load_explicit(p, memory_order_relaxed);
}

static uint32_t count_of(const struct omi_mem_node *node)
{
    return atomic_load_explicit(&node->count, memory_order_relaxed);
}

static void change_begin(struct omi_mem_node *node)
{
    atomic_store_explicit(&node->version, load(&node->version) + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void change_end(struct omi_mem_node *node)
{
    atomic_store_explicit(&node->version, load(&node->version) + 1, memory_order_release);
}

static omen_slice key_at(const struct omi_memtable *m, uint32_t record)
{
    return omi_mem_record_key(omi_mem_record_at(m, record));
}

/* The fences have moved: what they share, and heads to fit. */
static void node_rehead(struct omi_memtable *m, struct omi_mem_node *node)
{
    uint32_t low = load(&node->low), high = load(&node->high), skip = 0;
    if (!m->bytewise)
        return;
    if (low != 0 && high != 0) {
        omen_slice a = key_at(m, low), b = key_at(m, high);
        skip = (uint32_t)omi_bytes_common(a.data, a.size, b.data, b.size);
    }
    atomic_store_explicit(&node->skip, (uint16_t)skip, memory_order_relaxed);
    for (uint32_t i = 0; i < count_of(node); i++)
        atomic_store_explicit(&node->heads[i], omi_mem_head(key_at(m, load(&node->refs[i])), skip),
                              memory_order_relaxed);
}

static void slot_copy(struct omi_mem_node *to, uint32_t i, const struct omi_mem_node *from,
                      uint32_t j)
{
    atomic_store_explicit(&to->heads[i],
                          atomic_load_explicit(&from->heads[j], memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&to->refs[i], load(&from->refs[j]), memory_order_release);
}

/* Inserts a record (and, in an inner node, the child to its right) at slot i. The node has room and
 * its version is odd. */
static void slot_insert(struct omi_memtable *m, struct omi_mem_node *node, uint32_t i,
                        uint32_t record, uint32_t child)
{
    uint32_t count = count_of(node);
    for (uint32_t j = count; j > i; j--)
        slot_copy(node, j, node, j - 1);
    uint32_t skip = atomic_load_explicit(&node->skip, memory_order_relaxed);
    atomic_store_explicit(&node->heads[i], omi_mem_head(key_at(m, record), skip),
                          memory_order_relaxed);
    atomic_store_explicit(&node->refs[i], record, memory_order_release);
    if (node->level > 0) {
        for (uint32_t j = count + 1; j > i + 1; j--)
            atomic_store_explicit(&node->children[j], load(&node->children[j - 1]),
                                  memory_order_release);
        atomic_store_explicit(&node->children[i + 1], child, memory_order_release);
    }
    atomic_store_explicit(&node->count, (uint16_t)(count + 1), memory_order_release);
}

/* Moves the upper part of node into right (new, not yet reachable): slots from at on. An inner
 * node's slot at goes up and belongs to neither. Returns the separator. */
static uint32_t node_divide(struct omi_memtable *m, struct omi_mem_node *node, uint32_t node_right,
                            struct omi_mem_node *right, uint32_t at, uint32_t separator)
{
    uint32_t count = count_of(node), from = node->level > 0 ? at + 1 : at;
    for (uint32_t j = from; j < count; j++)
        slot_copy(right, j - from, node, j);
    for (uint32_t j = from; node->level > 0 && j <= count; j++)
        atomic_store_explicit(&right->children[j - from], load(&node->children[j]),
                              memory_order_release);
    atomic_store_explicit(&right->count, (uint16_t)(count - from), memory_order_release);
    atomic_store_explicit(&node->count, (uint16_t)at, memory_order_release);
    atomic_store_explicit(&right->next, load(&node->next), memory_order_release);
    atomic_store_explicit(&right->low, separator, memory_order_relaxed);
    atomic_store_explicit(&right->high, load(&node->high), memory_order_relaxed);
    atomic_store_explicit(&node->high, separator, memory_order_relaxed);
    if (node->level == 0)
        atomic_store_explicit(&node->next, node_right, memory_order_release);
    node_rehead(m, right);
    node_rehead(m, node);
    return separator;
}

/* ---- insert ---------------------------------------------------------------------------------- */

struct path {
    uint32_t refs[TREE_HEIGHT_MAX]; /* [0] is the leaf */
    uint32_t slots[TREE_HEIGHT_MAX];
    uint32_t height;
};

static void path_find(struct omi_memtable *m, omen_slice key, struct path *p)
{
    uint32_t ref = load(&m->root);
    const struct omi_mem_node *node = omi_mem_node_at(m, ref);
    p->height = node->level + 1;
    assert(p->height <= TREE_HEIGHT_MAX);
    for (;;) {
        p->refs[node->level] = ref;
        if (node->level == 0)
            break;
        p->slots[node->level] = omi_mem_node_rank(m, node, key, true);
        ref = load(&node->children[p->slots[node->level]]);
        node = omi_mem_node_at(m, ref);
    }
    p->slots[0] = omi_mem_node_rank(m, node, key, false);
}

/* Splits the full nodes of the path bottom-up and inserts record. Every node that changes, the one
 * that takes the last separator included, is odd from before the first change to after the last. */
static omen_err insert_splitting(struct omi_memtable *m, const struct path *p, uint32_t record)
{
    uint32_t top = 0; /* the first level with room; height: a new root is needed */
    while (top < p->height && count_of(omi_mem_node_at(m, p->refs[top])) == NODE_SLOTS)
        top++;
    uint32_t fresh[TREE_HEIGHT_MAX + 1];
    struct omi_mem_node *nodes[TREE_HEIGHT_MAX + 1];
    uint32_t fresh_count = top < p->height ? top : top + 1;
    if (fresh_count > TREE_HEIGHT_MAX)
        return omi_fail(OMEN_NO_MEMORY, 0, "a memtable of more than %d levels", TREE_HEIGHT_MAX);
    for (uint32_t i = 0; i < fresh_count; i++) {
        fresh[i] = node_create(m, i, &nodes[i]);
        if (fresh[i] == 0)
            return OMEN_NO_MEMORY; /* nothing is changed yet; the words are the arena's */
    }
    uint32_t changed = top < p->height ? top : p->height - 1;
    for (uint32_t i = changed + 1; i-- > 0;)
        change_begin(omi_mem_node_at(m, p->refs[i]));
    uint32_t carry = record, carry_child = 0;
    for (uint32_t level = 0; level < top; level++) {
        struct omi_mem_node *node = omi_mem_node_at(m, p->refs[level]), *right = nodes[level];
        uint32_t slot = p->slots[level];
        /* At the right edge nodes are left full: ascending keys fill them. */
        bool append = load(&node->high) == 0 && slot == NODE_SLOTS;
        uint32_t at = append && level == 0 ? NODE_SLOTS : append ? NODE_SLOTS - 1 : NODE_SLOTS / 2;
        uint32_t separator = at < NODE_SLOTS ? load(&node->refs[at]) : carry;
        node_divide(m, node, fresh[level], right, at, separator);
        /* What comes before the separator goes left; appended, the record is the separator. */
        uint32_t right_first = level == 0 ? at : at + 1;
        if (slot > at || separator == carry)
            slot_insert(m, right, slot - right_first, carry, carry_child);
        else
            slot_insert(m, node, slot, carry, carry_child);
        if (level == 0 && p->refs[0] == m->last_leaf)
            m->last_leaf = fresh[0];
        carry = separator;
        carry_child = fresh[level];
    }
    if (top < p->height) {
        slot_insert(m, omi_mem_node_at(m, p->refs[top]), p->slots[top], carry, carry_child);
    } else {
        struct omi_mem_node *root = nodes[top];
        atomic_store_explicit(&root->children[0], p->refs[p->height - 1], memory_order_release);
        slot_insert(m, root, 0, carry, carry_child);
        atomic_store_explicit(&m->root, fresh[top], memory_order_release);
    }
    for (uint32_t i = 0; i <= changed; i++)
        change_end(omi_mem_node_at(m, p->refs[i]));
    return OMEN_OK;
}

static uint32_t record_create(struct omi_memtable *m, const struct omi_entry *e, uint32_t older)
{
    void *at;
    uint32_t ref =
        omi_arena_take(&m->arena, (uint64_t)RECORD_BYTES + e->key_size + e->value_size, &at);
    if (ref == 0)
        return 0;
    struct omi_mem_record *r = at;
    *r = (struct omi_mem_record){.trailer = e->trailer,
                                 .older = older,
                                 .jump = older,
                                 .value_size = e->value_size,
                                 .key_size = (uint16_t)e->key_size};
    if (e->key_size != 0)
        memcpy(r->bytes, e->key, e->key_size);
    if (e->value_size != 0)
        memcpy(r->bytes + e->key_size, e->value, e->value_size);
    if (older == 0)
        return ref;
    const struct omi_mem_record *o = omi_mem_record_at(m, older);
    r->depth = o->depth + 1;
    if (o->jump == 0)
        return ref;
    const struct omi_mem_record *j = omi_mem_record_at(m, o->jump);
    uint32_t far = j->jump != 0 ? omi_mem_record_at(m, j->jump)->depth : 0;
    if (j->jump != 0 && o->depth - j->depth == j->depth - far)
        r->jump = j->jump;
    return ref;
}

static void filter_add(struct omi_memtable *m, uint64_t hash)
{
    _Atomic uint64_t *line = m->filter + 8 * (((hash >> 32) * (uint64_t)m->filter_lines) >> 32);
    uint64_t bits = hash * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < FILTER_PROBES; i++, bits <<= 9) {
        _Atomic uint64_t *word = &line[bits >> 61];
        uint64_t v = atomic_load_explicit(word, memory_order_relaxed);
        atomic_store_explicit(word, v | UINT64_C(1) << (bits >> 55 & 63), memory_order_relaxed);
    }
}

static void count_insert(struct omi_memtable *m, uint64_t trailer)
{
    uint64_t seq = omi_trailer_seq(trailer);
    uint64_t entries = atomic_load_explicit(&m->entries, memory_order_relaxed);
    if (entries == 0)
        atomic_store_explicit(&m->min_seq, seq, memory_order_relaxed);
    atomic_store_explicit(&m->max_seq, seq, memory_order_relaxed);
    atomic_store_explicit(&m->entries, entries + 1, memory_order_relaxed);
}

/* Is key past every key of the tree? Then its place is the end of the last leaf. */
static bool is_append(const struct omi_memtable *m, omen_slice key, struct path *p)
{
    const struct omi_mem_node *leaf = omi_mem_node_at(m, m->last_leaf);
    uint32_t count = count_of(leaf);
    if (count == 0 || count == NODE_SLOTS ||
        omi_key_compare(&m->order, key_at(m, load(&leaf->refs[count - 1])), key) >= 0)
        return false;
    p->height = 1;
    p->refs[0] = m->last_leaf;
    p->slots[0] = count;
    return true;
}

omen_err omi_memtable_insert(struct omi_memtable *m, const struct omi_entry *entry)
{
    struct path p;
    omen_slice key = omi_entry_key(entry);
    bool append = is_append(m, key, &p);
    if (!append)
        path_find(m, key, &p);
    struct omi_mem_node *leaf = omi_mem_node_at(m, p.refs[0]);
    uint32_t count = count_of(leaf), slot = p.slots[0], older = 0;
    if (slot < count && omi_key_compare(&m->order, key_at(m, load(&leaf->refs[slot])), key) == 0)
        older = load(&leaf->refs[slot]);
    uint32_t record = record_create(m, entry, older);
    if (record == 0)
        return OMEN_NO_MEMORY; /* the words are the arena's */
    if (m->filter != NULL && older == 0)
        filter_add(m, omi_key_hash(key.data, key.size)); /* before the slot is published */
    omen_err err = OMEN_OK;
    if (older != 0) {
        atomic_store_explicit(&leaf->refs[slot], record, memory_order_release);
    } else if (count < NODE_SLOTS) {
        change_begin(leaf);
        slot_insert(m, leaf, slot, record, 0);
        change_end(leaf);
    } else {
        err = insert_splitting(m, &p, record);
    }
    if (err == OMEN_OK)
        count_insert(m, entry->trailer);
    return err;
}

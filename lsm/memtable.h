/*
 * memtable.h - the newest entries, in memory: a B+-tree of 8-byte key heads.
 * Path:    omen_put -> log -> [memtable] -> flush -> table
 *
 * One writer at a time (the caller holds db->commit); any number of readers without locks: a node
 * has a version that is odd while it changes, readers copy and check, records are immutable once
 * published. A split keeps the parent's version odd until the separator is in, and a reader
 * validates the parent again after it has sampled the child, since a node's skip may change under
 * it. Every version of a key hangs on one slot, newest first, with jump references, so that a read
 * at an old snapshot is O(log versions). A blocked Bloom filter over user keys stands in front (not
 * under a comparator). Records and nodes live in an arena that grows in chunks and dies with the
 * memtable. Under TSan nodes are read with scalar atomics: the twin of the SIMD path.
 */
#ifndef OMI_MEMTABLE_H
#define OMI_MEMTABLE_H

#include "compaction/merge.h"
#include "io/base/entry.h"
#include "io/base/fail.h"

struct omi_memtable;

/* Arena chunks of retired memtables, kept for the next one: fresh pages are dear. */
struct omi_arena_pool;
OMEN_MUST_CHECK omen_err omi_arena_pool_create(uint64_t keep_bytes,
                                               struct omi_arena_pool **pool_out);
void omi_arena_pool_destroy(struct omi_arena_pool *pool); /* after all its memtables */

/* expected_bytes: what it will hold (memtable_bytes); sizes chunks and filter. Reference count 1.
 */
OMEN_MUST_CHECK omen_err omi_memtable_create(struct omi_arena_pool *pool,
                                             const struct omi_order *order, uint64_t expected_bytes,
                                             struct omi_memtable **out);
void omi_memtable_ref(struct omi_memtable *m);
void omi_memtable_unref(struct omi_memtable *m);

/* Makes sure that entries inserts of payload bytes (keys and values) in all cannot fail for want of
 * memory, so that a batch is all or nothing. */
OMEN_MUST_CHECK omen_err omi_memtable_reserve(struct omi_memtable *m, uint64_t entries,
                                              uint64_t payload_bytes);
/* Copies the entry. Sequence numbers rise from call to call. Cannot fail within a reservation;
 * without one OMEN_NO_MEMORY leaves the tree as it was. */
OMEN_MUST_CHECK omen_err omi_memtable_insert(struct omi_memtable *m, const struct omi_entry *entry);

/* The newest version of key with a seq <= seq: OMEN_OK and the entry (borrowed while the memtable
 * is referenced), or OMEN_NOT_FOUND. A delete is an answer like any other. key_hash is
 * omi_key_hash(key). */
omen_err omi_memtable_get(const struct omi_memtable *m, omen_slice key, uint64_t key_hash,
                          uint64_t seq, struct omi_entry *entry_out);

uint64_t omi_memtable_memory(const struct omi_memtable *m); /* bytes taken from the system */
uint64_t omi_memtable_used(const struct omi_memtable *m);   /* bytes used by records and nodes: what
                                                    rotation compares with memtable_bytes */
uint64_t omi_memtable_entries(const struct omi_memtable *m); /* versions */
uint64_t omi_memtable_min_seq(const struct omi_memtable *m); /* UINT64_MAX when empty */
uint64_t omi_memtable_max_seq(const struct omi_memtable *m);

/* A cursor over user keys, each at its newest version <= seq (deletes included; keys with none are
 * skipped). Works beside the writer; sees at least what was inserted before the cursor moved. */
struct omi_mem_cursor {
    const struct omi_memtable *m;
    uint64_t seq;
    struct omi_entry entry;
    bool valid;
    /* private: a copied leaf */
    uint32_t refs[32];
    uint32_t ref_count, ref_index, next_leaf, low_fence;
};
void omi_mem_cursor_init(struct omi_mem_cursor *c, const struct omi_memtable *m, uint64_t seq);
void omi_mem_cursor_seek(struct omi_mem_cursor *c, omen_slice key); /* first key >= */
void omi_mem_cursor_seek_for_prev(struct omi_mem_cursor *c, omen_slice key);
void omi_mem_cursor_first(struct omi_mem_cursor *c);
void omi_mem_cursor_last(struct omi_mem_cursor *c);
void omi_mem_cursor_next(struct omi_mem_cursor *c); /* needs valid */
void omi_mem_cursor_prev(struct omi_mem_cursor *c);

/* All versions in internal order, for the flush; no writer any more. Close frees it. */
OMEN_MUST_CHECK omen_err omi_memtable_source_open(const struct omi_memtable *m,
                                                  struct omi_merge_source **source_out);
void omi_memtable_source_close(struct omi_merge_source *source);

#endif

/*
 * version.h - versions: immutable, reference-counted states of the tree, and the tables they hold.
 * A version owns a reference on each of its tables; a table whose last reference goes and that was
 * marked obsolete is deleted from the disk.
 * Threads: ref and unref from any thread; the rest is immutable once made.
 */
#ifndef OMI_VERSION_H
#define OMI_VERSION_H

#include "compaction/tree.h"
#include "lsm/manifest.h"
#include "lsm/table.h"

#include <stdatomic.h>

/* An open table with its place in picking. */
struct omi_live_table {
    struct omi_tree_file meta; /* first; its slices point into the table's properties */
    _Atomic uint32_t refs;
    _Atomic bool obsolete; /* no newer version holds it: delete the file with the last reference */
    struct omi_table *table;
    struct omi_table_env *tenv;
};
/* Opens table number with one reference. */
OMEN_MUST_CHECK omen_err omi_live_table_open(struct omi_table_env *tenv, uint64_t number,
                                             uint64_t file_bytes, struct omi_live_table **out);
/* The same, its filter and model in a class (omi_table_open_in). */
OMEN_MUST_CHECK omen_err omi_live_table_open_in(struct omi_table_env *tenv, uint64_t number,
                                                uint64_t file_bytes, enum omi_extent_class place,
                                                struct omi_live_table **out);
void omi_live_table_unref(struct omi_live_table *t);

/* One run as reads see it: tables in key order, and what finds one by key. */
struct omi_run_view {
    uint32_t level, table_count;
    uint64_t age;
    struct omi_table **tables;
    struct omi_tree_file **files;
    uint64_t *largest_heads; /* of each table's largest key, after the common prefix */
    const uint8_t *prefix;   /* common to all smallest and largest keys */
    size_t prefix_size;
    bool has_range_filter; /* one of its tables has */
};

struct omi_version {
    _Atomic uint32_t refs;
    struct omi_tree tree;
    uint32_t run_count;
    struct omi_run_view *runs; /* newest first: level by level, by age */
    uint64_t table_count, bytes, entries;
};

/* The version after edit; base may be NULL (empty). Opens added tables, or takes them from opened
 * (an array of edit->added_count handles whose references it takes over), else opens by number.
 * OMEN_CORRUPT when the edit does not fit base: a table removed that is not there, tables of a run
 * that overlap. */
OMEN_MUST_CHECK omen_err omi_version_apply(const struct omi_version *base,
                                           const struct omi_edit *edit, struct omi_table_env *tenv,
                                           struct omi_live_table *const *opened,
                                           struct omi_version **out);
void omi_version_ref(struct omi_version *v);
void omi_version_unref(struct omi_version *v);
/* Marks the tables of base that edit removed: their files go with the last reference. */
void omi_version_retire(const struct omi_version *base, const struct omi_edit *edit);
/* The whole version as the added tables of a snapshot edit. */
OMEN_MUST_CHECK omen_err omi_version_snapshot(const struct omi_version *v, struct omi_edit *edit);

/* The only table of the run that can hold key, or -1. */
int64_t omi_run_find(const struct omi_run_view *run, const struct omi_order *order, omen_slice key);

#endif

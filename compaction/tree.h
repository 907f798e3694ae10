/*
 * tree.h - what picking sees of a version: levels of runs of files. Metadata only, immutable.
 *
 * Level 1 is the newest. A run is a sequence of disjoint files in key order with an age: among runs
 * that can hold the same key, the greater age is newer, whatever the level; and every run of level i
 * is newer than every run of level i+1 it overlaps. Ages are given, never inferred from sequence
 * numbers.
 */
#ifndef OMI_TREE_H
#define OMI_TREE_H

#include "io/base/slice.h"

struct omi_tree_file { /* first member of the engine's own file object */
    uint64_t number, bytes, entries, deletes, min_seq, max_seq;
    omen_slice smallest, largest; /* user keys, inclusive */
};

struct omi_tree_run {
    uint64_t age, bytes;
    uint32_t file_count;
    struct omi_tree_file **files; /* ascending, disjoint user-key ranges */
};

struct omi_tree_level {
    uint64_t bytes;
    uint32_t run_count;
    struct omi_tree_run *runs; /* newest first */
};

struct omi_tree {
    uint32_t level_count;                          /* the deepest level that holds a run */
    struct omi_tree_level levels[OMEN_LEVELS_MAX]; /* [0] is level 1 */
};

#endif

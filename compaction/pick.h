/*
 * pick.h - which files the next merge takes, and where they go. Pure functions of tree and shape.
 *
 * A merge takes the oldest runs of its level and joins the newest run of the next level when that
 * level is at its K, or makes a new run there when it is not. Of the target run only the files that
 * overlap the inputs' hull take part; the others stay where they are. The inputs fall into
 * segments: connected components of overlapping files. A segment of one file moves by metadata
 * alone; the others are merged one after the other, so disjoint runs are concatenated for nothing.
 */
#ifndef OMI_PICK_H
#define OMI_PICK_H

#include "compaction/shape.h"
#include "compaction/tree.h"

enum omi_job_reason {
    OMI_JOB_RUNS,     /* more runs than K */
    OMI_JOB_CAPACITY, /* more bytes than the level holds */
    OMI_JOB_DEEPEN,   /* the last level is past its capacity: its runs become the next level's */
    OMI_JOB_DELETES,  /* a last-level file is mostly deletes */
    OMI_JOB_RANGE     /* asked by the user */
};

struct omi_job_input {
    uint32_t level; /* from 1 */
    uint64_t age;
    struct omi_tree_file *file;
};

struct omi_job_segment {
    uint32_t first, count; /* of job->inputs */
    bool move;
};

struct omi_job {
    enum omi_job_reason reason;
    uint32_t source_level, target_level;
    uint64_t target_age; /* of the run that the outputs join or make */
    bool joins;          /* the run exists */
    struct omi_job_input
        *inputs; /* by segment; inside one by run, newest run first, in key order */
    uint32_t input_count;
    struct omi_job_segment *segments; /* ascending, disjoint */
    uint32_t segment_count;
    uint64_t merge_bytes, move_bytes;
    omen_slice smallest, largest; /* hull, borrowed from the files */
};
void omi_job_fini(struct omi_job *job);

/* A run that a running job holds, the joined one too; is_source: it is of the job's source_level.
 * One job per source level. A run not in the tree (yet) is ignored. */
struct omi_busy_run {
    uint32_t level;
    uint64_t age;
    bool is_source;
};

/* The most urgent job, or found_out false. target_file_bytes: a file below a quarter of it is
 * merged with a neighbour segment that is merged anyway or as small, so that small files do not
 * pile up (a large file is never rewritten for a small one); a file with deletes is merged, not
 * moved, into the last level when nothing older lies below. */
OMEN_MUST_CHECK omen_err omi_job_pick(const struct omi_tree *tree, const struct omi_shape *shape,
                                      const struct omi_order *order, uint64_t target_file_bytes,
                                      const struct omi_busy_run *busy, uint32_t busy_count,
                                      struct omi_job *job_out, bool *found_out);
/* For when omi_job_pick finds nothing: a file of the deepest level that is more than half deletes
 * is rewritten in place, once nothing older lies below it and oldest_snapshot (the least seq that a
 * live snapshot or a new reader may read at) is not older than anything in it, so that all its
 * deletes go. Apart from omi_job_pick because a tree does not know its snapshots, and a rewrite
 * that a snapshot defeats would be picked again for ever. */
OMEN_MUST_CHECK omen_err omi_job_pick_deletes(const struct omi_tree *tree,
                                              const struct omi_order *order,
                                              uint64_t target_file_bytes, uint64_t oldest_snapshot,
                                              const struct omi_busy_run *busy, uint32_t busy_count,
                                              struct omi_job *job_out, bool *found_out);
/* Everything that overlaps [first, last] (NULL: open) of all levels into one run of the last level;
 * the hull grows until no file straddles it. No job may be running. found_out false: already one
 * run without deletes there. */
OMEN_MUST_CHECK omen_err omi_job_pick_range(const struct omi_tree *tree,
                                            const struct omi_shape *shape,
                                            const struct omi_order *order,
                                            uint64_t target_file_bytes, const omen_slice *first,
                                            const omen_slice *last, struct omi_job *job_out,
                                            bool *found_out);

/* May a run that is older than the job's output hold key: any run of the tree, minus the job's
 * inputs, that the output will be newer than? For dropping deletes. Stateless: binary searches. */
bool omi_job_older_may_hold(const struct omi_tree *tree, const struct omi_order *order,
                            const struct omi_job *job, omen_slice key);

/* Bytes that have to be merged until every level is within its K and capacity, each counted as
 * often as it will be rewritten on the way: the debt that pacing slows writers by. */
uint64_t omi_tree_debt(const struct omi_tree *tree, const struct omi_shape *shape);

#endif

/*
 * workload.h - workloads that shapes are measured under: mixes over phases, and their operations.
 *
 * A workload is a description; operations are drawn from it by seed, with no database in sight: the
 * same description gives the same operations. Keys are numbers: an even one is, was or will be put,
 * the odd one after it never is, so misses lie between hits.
 *
 * Names: W1 to W12 (the tuner's acceptance), endure:0 to endure:14 (the expected mixes of Huynh and
 *        others, "Endure", 2022), A to F (Cooper and others, "Benchmarking Cloud Serving Systems with
 *        YCSB", 2010, as mixes), ring (24 phases, Yu and others, "CAMAL", 2024), square (writes and
 *        scans by turns).
 * Units: ops are operations, scan lengths entries. A mix adds up to 1.
 */
#ifndef OMI_WORKLOAD_H
#define OMI_WORKLOAD_H

#include "compaction/cost_model.h"
#include "compaction/tune_random.h"

enum { OMI_PHASES_MAX = 64, OMI_SCANS_MAX = 16, OMI_WORKLOAD_NAME = 24 };

enum omi_work_dist {
    OMI_WORK_UNIFORM,
    OMI_WORK_ZIPF,  /* hot keys lie all over */
    OMI_WORK_LATEST /* Zipf by age: the newest is hottest */
};
enum omi_work_order {
    OMI_WORK_RANDOM,
    OMI_WORK_SORTED,     /* new keys are larger than all before */
    OMI_WORK_NEAR_SORTED /* but for their place among 64 */
};

struct omi_phase {
    double from[OMI_TUNE_OPS], to[OMI_TUNE_OPS]; /* the mix goes evenly from one to the other */
    uint64_t ops;
};

struct omi_workload {
    char name[OMI_WORKLOAD_NAME];
    uint64_t entries, seed; /* entries are loaded before the first phase */
    uint32_t entry_bytes;
    double memory_bits; /* a key: memtable, filters and cache together */
    enum omi_work_dist dist;
    double theta; /* of Zipf, 0 to 0.999 */
    enum omi_work_order order;
    double inserts; /* share of writes that put a new key; the others overwrite */
    double deletes; /* share of writes that delete: the oldest key if new ones come sorted, else one
                       that dist chooses, and it is gone until put again */
    uint32_t scan[OMI_SCANS_MAX], scan_count; /* lengths, each as likely */
    struct omi_phase phase[OMI_PHASES_MAX];
    uint32_t phase_count;
};

/* 100,000 entries of 1,000 bytes, 36 bits a key, 10,000 operations (per phase of ring and square),
 * scans of 4 entries: a page. OMEN_INVALID lists the names. */
OMEN_MUST_CHECK omen_err omi_workload_named(const char *name, struct omi_workload *workload_out);
/* Names, for help texts. */
const char *omi_workload_names(void);
/* OMEN_INVALID names the field. Mixes that add up to another positive sum are brought to 1. */
OMEN_MUST_CHECK omen_err omi_workload_settle(struct omi_workload *workload);
/* The mean mix, and the mean scan length. */
void omi_workload_mix(const struct omi_workload *workload, double mix_out[OMI_TUNE_OPS]);
double omi_workload_scan(const struct omi_workload *workload);
uint64_t omi_workload_ops(const struct omi_workload *workload);

enum omi_op_kind { OMI_OP_GET_MISS, OMI_OP_GET_HIT, OMI_OP_SCAN, OMI_OP_PUT, OMI_OP_DELETE };
struct omi_op {
    enum omi_op_kind kind;
    uint32_t length; /* of a scan */
    uint64_t key;
};

/* A cursor over the operations. The workload must be settled, and stay. */
struct omi_ops {
    const struct omi_workload *workload;
    struct omi_random random;
    uint32_t phase;
    uint64_t in_phase;
    uint64_t count, oldest; /* keys [oldest, count) of all that are or will be there */
    uint64_t range;         /* count at the end, at most */
    unsigned half_bits;     /* of the permutation of range */
    double zeta, zeta2, eta;
    uint64_t zipf_items;
};
void omi_ops_init(struct omi_ops *ops, const struct omi_workload *workload);
/* The key that is loaded i-th, i < entries. */
uint64_t omi_ops_load_key(const struct omi_ops *ops, uint64_t i);
bool omi_ops_next(struct omi_ops *ops, struct omi_op *op_out); /* false: all are done */

#endif

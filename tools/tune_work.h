/*
 * tune_work.h - operations of a workload on a database: keys, values, checks, times, counts.
 *
 * A key is its number in 16 decimal digits. A value's bytes follow from its key, so that every
 * answer can be checked; which keys are deleted is remembered. Kinds of operations come in the mix's
 * shares exactly, not by chance: a hundredth of scans is one in a hundred, so that labels of few
 * operations are not noise.
 * Errors:  OMEN_CORRUPT says which key answered wrong, and how.
 * Threads: one.
 */
#ifndef OMT_TUNE_WORK_H
#define OMT_TUNE_WORK_H

#include "compaction/workload.h"
#include "tools/bench_hist.h"
#include "tools/tune.h"

enum { OMT_WORK_KEY_BYTES = 16 };

/* Keys that are gone: a bit each. Nothing is kept when a workload deletes nothing. */
struct omt_gone {
    uint8_t *bits;
    uint64_t keys;
};
void omt_gone_init(struct omt_gone *gone, const struct omi_workload *workload, uint64_t keys);
void omt_gone_copy(struct omt_gone *gone, const struct omt_gone *from);
void omt_gone_fini(struct omt_gone *gone);

/* What operations took. */
struct omt_tally {
    uint64_t ops[OMT_OP_KINDS], user_bytes;
    double us[OMT_OP_KINDS];
    struct bench_hist hist[OMT_OP_KINDS];
    uint64_t kind_blocks[2]; /* of get_miss, get_hit: by_kind alone */
};

struct omt_work {
    omen_db *db;
    struct omi_workload workload;           /* a copy, whose phases say what comes next */
    struct omi_ops ops;                     /* where it stands */
    struct omi_phase phase[OMI_PHASES_MAX]; /* as they were given */
    uint32_t phase_count;
    double owed[OMI_TUNE_OPS];
    struct omt_gone gone;
    uint32_t value_bytes;
    char *value, *expected; /* value_bytes each */
    bool by_kind;
    uint64_t blocks_seen; /* inner, by_kind */
    int kind_seen;
    const volatile int *stop;
};

/* The workload must be settled. keys_ops: operations that ever come on this data, at least: keys are
 * the same for the same number. chance: which of the many sequences of operations. The work must not
 * be moved afterwards. */
void omt_work_init(struct omt_work *work, const struct omi_workload *workload, uint64_t keys_ops,
                   uint64_t chance, const volatile int *stop);
/* Goes on from where another work of the same data stands: its keys, and what is gone. */
void omt_work_after(struct omt_work *work, const struct omi_ops *ops, const struct omt_gone *gone);
void omt_work_fini(struct omt_work *work);
/* Puts every key that is there before the first phase. */
OMEN_MUST_CHECK omen_err omt_work_load(struct omt_work *work);
/* Up to count operations; tally may be NULL. Fewer are made only when the workload ends. */
OMEN_MUST_CHECK omen_err omt_work_run(struct omt_work *work, uint64_t count,
                                      struct omt_tally *tally);
uint64_t omt_gone_count(const struct omt_gone *gone);
void omt_tally_add(struct omt_tally *into, const struct omt_tally *from);

#endif

/*
 * merge.h - the one merge engine of flush and compaction: many sorted sources, one sorted stream
 * without the versions nobody can see.
 *
 * Sources hand over batches (arrays of entry views), so the inner loop makes no call per entry on
 * the way in. A loser tree on 8-byte key heads picks the next entry; heads are taken after the job's
 * common key prefix, ties fall to a full compare (TAOCP 5.4.1).
 */
#ifndef OMI_MERGE_H
#define OMI_MERGE_H

#include "io/base/entry.h"
#include "io/base/fail.h"

struct omi_merge_source {
    const struct omi_entry *entries; /* the current batch; borrowed until the next refill */
    uint32_t count;
    /* Replaces entries and count with the next batch; count 0 at the end. */
    omen_err (*refill)(struct omi_merge_source *source);
};

struct omi_merge_sink {
    /* The next surviving entry. first_of_key: a new user key starts; only there may an output file be
     * cut. The entry is valid during the call alone. */
    omen_err (*emit)(struct omi_merge_sink *sink, const struct omi_entry *entry, bool first_of_key);
    /* Called about every quantum_bytes of input, to pace, yield or cancel (any error stops). May be
     * NULL. */
    omen_err (*quantum)(struct omi_merge_sink *sink);
};

struct omi_merge_params {
    const struct omi_order *order;
    /* Live snapshots and the newest visible seq, ascending, at least one: of the versions of a key
     * that fall between two of them only the newest survives. */
    const uint64_t *snapshots;
    uint32_t snapshot_count;
    /* May a run older than this job's output hold key? A delete that no snapshot needs is dropped
     * only if not. NULL: nothing is known, deletes stay. Called in ascending key order. */
    bool (*older_may_hold)(void *ctx, omen_slice key);
    void *older_ctx;
    /* All inputs' common user-key prefix length, if known; 0 is always right. Ignored under a
     * comparator. */
    uint32_t common_prefix;
    uint64_t quantum_bytes; /* 0: 256 KiB */
};

struct omi_merge_stats {
    uint64_t entries_in, entries_out, bytes_in, bytes_out, dropped_shadowed, dropped_deletes;
};

/* Runs to the end of all sources. Sources are given newest first: among equal (key, trailer) the
 * earlier source wins and the other is dropped. An entry whose type this build does not know is
 * OMEN_UNSUPPORTED. Unordered input within a source is OMEN_CORRUPT. */
OMEN_MUST_CHECK omen_err omi_merge_run(struct omi_merge_source *const *sources,
                                       uint32_t source_count, struct omi_merge_sink *sink,
                                       const struct omi_merge_params *params,
                                       struct omi_merge_stats *stats_out);

#endif

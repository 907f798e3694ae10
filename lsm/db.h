/*
 * db.h - an open database: what it holds, which lock guards what, and the calls its files share.
 *
 * Data path: put.c -> wal.c -> memtable.c; get.c: memtables newest first, then the version's runs;
 *            scan.c merges the same sources. flush.c turns memtables into level-1 runs, compact.c
 *            merges runs; both install an edit (install.c) through the manifest.
 *
 * Lock order, outermost first: commit -> install -> mu. No file I/O under mu.
 *   commit   guards: log appends, last_seq, the active memtable's writes, rotation
 *   install  guards: manifest appends, next version
 *   mu       guards: view, memtable list, snapshots, jobs, failure, pace, settings that may change
 * No lock: visible_seq (release after the whole write is inserted, acquire by readers, who take
 *          their view first: a flush in between must not hide a key), counters, next_number.
 */
#ifndef OMI_DB_H
#define OMI_DB_H

#include "compaction/pace.h"
#include "compaction/pick.h"
#include "io/base/sync.h"
#include "lsm/counters.h"
#include "lsm/filter_params.h"
#include "lsm/log_file.h"
#include "lsm/manifest.h"
#include "lsm/memtable.h"
#include "lsm/options.h"
#include "lsm/sample.h"
#include "lsm/space.h"
#include "lsm/telemetry.h"
#include "lsm/trace.h"
#include "lsm/version.h"
#include "lsm/wal.h"

#include <stdatomic.h>

enum omi_stall { OMI_STALL_MEMTABLES, OMI_STALL_DEBT, OMI_STALLS };

/* A memtable and where the log that recovers it begins. */
struct omi_mem {
    struct omi_memtable *table;
    uint64_t first_segment;
};

enum { OMI_IMMUTABLES_MAX = 1, OMI_VIEW_MEMS_MAX = 64 };

/* What a reader holds on to: memtables newest first, and a version. Immutable, reference-counted.
 */
struct omi_view {
    _Atomic uint32_t refs;
    uint32_t mem_count;
    struct omi_memtable *mems[OMI_VIEW_MEMS_MAX];
    struct omi_version *version;
};

struct omen_snapshot {
    struct omen_db *db;
    uint64_t seq;
    struct omen_snapshot *next, *prev;
};

/* Traces of this handle; those that ended stay, for calls that had begun. */
struct omi_traced {
    struct omi_trace *trace;
    bool ended;
    struct omi_traced *next;
};

/* A failure that outlives the call that saw it. */
struct omi_failure {
    omen_err code;  /* OMEN_OK: none */
    uint64_t times; /* background work: failures so far */
    char text[400];
};

/* A running merge's hold on runs. */
enum { OMI_BUSY_MAX = 1024 };

/* Who moves filters and models between near and far memory (far.h). */
struct omi_far {
    uint64_t tick_lookups, move_bytes; /* fixed at open; tests: less */
    _Atomic bool keeping, lost_told;   /* lost_told: to the log, until something is repaired */
    _Atomic uint64_t ticks, moved_tables[OMI_EXTENT_CLASSES], unmoved, repaired;
};

struct omen_db {
    /* fixed at open */
    struct omi_env *env;
    struct omi_dir *dir;
    char *path;
    struct omi_file *lock;
    omen_options options; /* as given and stored; live fields change under mu */
    omen_comparator comparator;
    char *comparator_name;
    omen_filter_policy filter_policy; /* name owned; tenv points here */
    bool read_only, inline_work, auto_compact;
    struct omi_table_env tenv;
    struct omi_arena_pool *arenas;
    struct omi_log_file *log_file;
    const char *io_engine, *io_why;
    struct omi_sample *sample; /* what is asked of late */
    uint64_t sample_saved;     /* recorded when SAMPLE was replaced; upkeep alone, then close */
    struct omi_telemetry *telemetry;
    uint64_t telemetry_saved; /* likewise of TELEMETRY */
    struct omi_filter_pricing pricing;
    uint64_t opened_ns;
    uint64_t recovered_ops, recovered_cut_bytes;
    uint64_t stored_counters[OMI_COUNTERS]; /* from earlier handles; likewise by level */
    uint64_t stored_level_io[OMEN_LEVELS_MAX][OMI_LEVEL_COUNTERS];

    struct omi_mutex tracing;  /* outermost: guards traces */
    struct omi_traced *traces; /* the newest first */

    struct omi_mutex commit;
    struct omi_wal *wal;
    uint64_t last_seq;
    struct omi_buf ops_buf;

    struct omi_mutex install;
    struct omi_manifest *manifest;
    uint64_t manifest_weight; /* of the edits behind its first record */

    struct omi_mutex mu;
    struct omi_cond work;   /* background threads wait here */
    struct omi_cond done;   /* something finished: a flush, a merge, a view */
    struct omi_cond upkeep; /* the upkeep thread sleeps here */
    struct omi_view *view;
    struct omi_mem active;
    struct omi_mem immutables[OMI_VIEW_MEMS_MAX]; /* oldest first */
    uint32_t immutable_count;
    bool flushing, closing, exclusive;
    uint32_t merging; /* running merges */
    struct omi_busy_run busy[OMI_BUSY_MAX];
    uint32_t busy_count;
    struct omen_snapshot snapshots; /* list head, oldest first */
    uint64_t snapshot_count;
    struct omi_failure fatal; /* writes are over; reads go on */
    /* the last one failed and will be tried again */
    struct omi_failure flush_failure, merge_failure;
    uint32_t flush_tries, merge_tries;
    struct omi_pace pace;
    uint64_t paced_user_bytes; /* user bytes at the last pace update */
    struct omi_settings settings;
    struct omen_level_stats level_stats[OMEN_LEVELS_MAX]; /* history only */
    uint64_t next_age, flushed_seq;
    uint64_t manifest_slack_bytes; /* what a manifest may grow beside its contents; tests: less */

    /* no lock */
    _Atomic uint64_t visible_seq;
    _Atomic uint64_t next_number;
    _Atomic uint64_t iterators;
    _Atomic bool failed;               /* fatal.code != OK, for the write path's first look */
    _Atomic bool unpaced;              /* no debt worth slowing anybody for */
    _Atomic uint64_t build_bytes;      /* table builders' memory */
    _Atomic(struct omi_trace *) trace; /* the newest; NULL: there never was one */
    _Atomic uint64_t observed_ops;     /* inline: what windows are counted by */
    struct omi_counters counters;
    struct omi_space space; /* its own rules */
    struct omi_far far;

    void *flush_thread, *upkeep_thread;
    void *merge_threads[64];
    uint32_t merge_thread_count;
};

/* ---- open.c, recover.c ---- */
/* omen_open on an env of choice (tests: the sim env). */
OMEN_MUST_CHECK omen_err omi_db_open(struct omi_env *env, const char *path,
                                     const omen_options *options, omen_db **db_out);
OMEN_MUST_CHECK omen_err omi_db_destroy(struct omi_env *env, const char *path);
/* omen_repair on an env of choice. */
OMEN_MUST_CHECK omen_err omi_db_repair(struct omi_env *env, const char *path,
                                       const omen_options *options, uint32_t flags,
                                       omen_repair_report *report,
                                       void (*told)(void *context, const char *line),
                                       void *context);
/* Looks at the directory: OMEN_INVALID when it is something else's, OMEN_NOT_FOUND when nothing is
 * there and nothing may be made. Writes nothing. */
OMEN_MUST_CHECK omen_err omi_db_survey(omen_db *db);
/* Fills manifest, version, memtables and log of a half-made handle from its directory. */
OMEN_MUST_CHECK omen_err omi_db_recover(omen_db *db);
/* Cache, arenas and order, once the settings are known. */
OMEN_MUST_CHECK omen_err omi_db_prepare(omen_db *db);
/* Removes files that no manifest names: leftovers of a crash. */
OMEN_MUST_CHECK omen_err omi_db_remove_orphans(omen_db *db);
/* The whole state as a manifest's first record. Holds install. */
OMEN_MUST_CHECK omen_err omi_db_snapshot_edit(omen_db *db, const struct omi_version *version,
                                              uint64_t log_floor, struct omi_edit *edit);
uint64_t omi_db_next_number(void *db);
/* A new log and a new manifest that names version and that log, both durable, CURRENT included:
 * what was before may go. */
OMEN_MUST_CHECK omen_err omi_db_begin_history(omen_db *db, struct omi_version *version,
                                              const struct omi_wal_recovery *wr);
/* A handle without a directory; even on a failure *out is to be freed when it is not NULL. */
OMEN_MUST_CHECK omen_err omi_db_create(struct omi_env *env, const char *path,
                                       const omen_options *options, omen_db **out);
/* Frees whatever is there; files are left as they are. */
OMEN_MUST_CHECK omen_err omi_db_free(omen_db *db);

/* ---- view.c ---- */
struct omi_view *omi_view_ref(omen_db *db);
void omi_view_unref(struct omi_view *view);
/* An empty view, so that publishing cannot fail. */
OMEN_MUST_CHECK omen_err omi_view_create(struct omi_view **out);
/* Fills view from active, immutables and version and makes it db->view. */
void omi_view_publish_locked(omen_db *db, struct omi_version *version, struct omi_view *view)
    OMI_REQUIRES(db->mu);

/* ---- install.c ---- */
/* Makes edit durable and current: applies it, appends it to the manifest, publishes the view. A
 * flush also drops the oldest immutable. When it fails before anything was written (no memory, no
 * room on the disk) the tables that edit adds are deleted; after another failed append the
 * database is read-only. */
OMEN_MUST_CHECK omen_err omi_db_install(omen_db *db, struct omi_edit *edit, bool flushed)
    OMI_REQUIRES(db->install);
/* About the bytes of an edit in the manifest, for db->manifest_weight. */
uint64_t omi_edit_weight(const struct omi_edit *edit);
/* The first failure wins; writes are over. */
void omi_db_fail(omen_db *db, omen_err code);
/* That failure, told again to this thread; OMEN_OK when there is none. */
OMEN_MUST_CHECK omen_err omi_db_check(omen_db *db);
/* The cache gets what filters, models and open tables leave. */
void omi_db_fit_cache_locked(omen_db *db) OMI_REQUIRES(db->mu);
/* Cache capacity and pace after the tree changed. Holds mu. */
void omi_db_rebalance_locked(omen_db *db, uint64_t worked_bytes) OMI_REQUIRES(db->mu);
/* Live snapshots and the newest visible seq, ascending; malloc'ed. */
OMEN_MUST_CHECK omen_err omi_db_snapshot_seqs(omen_db *db, uint64_t **seqs_out,
                                              uint32_t *count_out);

/* ---- output.c: tables out of a merge ---- */
struct omi_output;
/* level and age of the run that the tables will join; last_level picks codec and filter; new_keys:
 * entries that will come at most. */
OMEN_MUST_CHECK omen_err omi_output_create(omen_db *db, uint32_t level, uint64_t age,
                                           bool last_level, uint64_t new_keys,
                                           struct omi_output **out);
/* The tables come in place of the inputs of job, which lives as long; their filters go by that. */
void omi_output_replaces(struct omi_output *o, const struct omi_job *job);
struct omi_merge_sink *omi_output_sink(struct omi_output *o);
/* Closes the table being built, if any: at the end and between segments. */
OMEN_MUST_CHECK omen_err omi_output_cut(struct omi_output *o);
/* Hands the tables over to edit (as added files) and syncs the directory. */
OMEN_MUST_CHECK omen_err omi_output_finish(struct omi_output *o, struct omi_edit *edit);
uint64_t omi_output_bytes(const struct omi_output *o);
void omi_output_destroy(struct omi_output *o); /* deletes tables that were not handed over */

/* ---- range_plan.c: does a new table get a range filter? ---- */
struct omi_range_plan {             /* one a job */
    uint32_t mode;                  /* omen_range_filter */
    bool upper;                     /* tables above the last level */
    struct omi_sample_view *view;   /* NULL: nothing is known of scans */
    struct omi_range_sample *scans; /* lent to the builder */
};
/* mode and upper are set. */
void omi_range_plan_begin(struct omi_range_plan *plan, omen_db *db);
void omi_range_plan_end(struct omi_range_plan *plan);
/* As omi_table_params.plan_range; plan is a struct omi_range_plan. */
OMEN_MUST_CHECK omen_err omi_range_plan(void *plan, omen_slice smallest, omen_slice largest,
                                        uint32_t entries, struct omi_range_params *params);

/* ---- flush.c, compact.c, background.c ---- */
/* Writes the oldest immutable, if any, to level 1. Not while another flush runs. */
OMEN_MUST_CHECK omen_err omi_db_flush_one(omen_db *db);
/* Tables of memtable as a new level-1 run, added to edit. */
OMEN_MUST_CHECK omen_err omi_db_flush_memtable(omen_db *db, struct omi_memtable *m, uint64_t age,
                                               struct omi_edit *edit);
/* Picks and runs one merge; found_out false when none is due. */
OMEN_MUST_CHECK omen_err omi_db_merge_one(omen_db *db, bool *found_out);
bool omi_db_merge_due_locked(omen_db *db) OMI_REQUIRES(db->mu);
OMEN_MUST_CHECK omen_err omi_db_start_threads(omen_db *db);
void omi_db_stop_threads(omen_db *db);
/* Why work that is waited for (flush_failure or merge_failure) cannot go on, having failed more than
 * times; OMEN_OK: it can. */
OMEN_MUST_CHECK omen_err omi_db_waiting_failed_locked(omen_db *db, const struct omi_failure *work,
                                                      uint64_t times) OMI_REQUIRES(db->mu);
/* Inline mode: everything due, on this thread, in order. Holds commit. */
void omi_db_work_inline(omen_db *db);
/* Switches to a new memtable and log segment; waits for room unless inline. Holds commit. */
OMEN_MUST_CHECK omen_err omi_db_rotate(omen_db *db) OMI_REQUIRES(db->commit);
void omi_db_stall(omen_db *db, enum omi_stall reason, uint64_t us);

/* ---- get.c ---- */
/* What a lookup found: a borrowed entry inside a memtable, or a pinned frame. */
struct omi_found {
    struct omi_frame *frame; /* NULL: in a memtable, which the view holds */
    omen_slice value;
};
OMEN_MUST_CHECK omen_err omi_db_lookup(omen_db *db, const struct omi_view *view, uint64_t seq,
                                       omen_slice key, bool fill_cache, struct omi_found *found);
/* The entry for key in block, newest version <= seq: OMEN_OK, OMEN_NOT_FOUND (deleted), or
 * OMEN_ABORTED when the key is not in the block at all (records no words). */
omen_err omi_block_answer(const struct omi_block *block, const struct omi_order *order,
                          omen_slice key, uint64_t seq, omen_slice *value_out);
/* Wraps what was found into a value of the user's; takes the frame over. */
OMEN_MUST_CHECK omen_err omi_value_make(const struct omi_found *found, omen_value *out);
OMEN_MUST_CHECK omen_err omi_read_options_check(const omen_db *db,
                                                const omen_read_options *options);
uint64_t omi_read_seq(omen_db *db, const omen_read_options *options);

/* ---- stats.c ---- */
void omi_stats_level(omen_db *db, uint32_t level, const struct omen_level_stats *add);
/* What a flush or merge into level left out. */
void omi_stats_merged(omen_db *db, uint32_t level, const struct omi_merge_stats *merged);
uint64_t omi_lifetime(const omen_db *db, enum omi_counter which);
OMEN_MUST_CHECK omen_err omi_lifetime_encode(omen_db *db, struct omi_buf *out);
void omi_lifetime_decode(omen_db *db, omen_slice bytes);
/* Replaces the STATS file. */
void omi_stats_publish(omen_db *db);

/* ---- stats_filter.c ---- */
void omi_stats_filters(omen_db *db, const struct omi_version *v, struct omen_stats *s);
void omi_stats_table_filter(const struct omi_table *t, struct omen_table_info *out);

/* ---- sampling.c: SAMPLE ---- */
/* Rings in proportion to the memory. */
OMEN_MUST_CHECK omen_err omi_sampling_begin(omen_db *db);
/* Puts into them, and into the open tables' counts, what SAMPLE holds. */
void omi_sampling_load(omen_db *db);
/* Replaces SAMPLE if something has been recorded since; a share-th of what it would hold (share 0:
 * anything). */
void omi_sampling_save(omen_db *db, uint32_t share);

/* ---- tracing.c ---- */
void omi_tracing_end(omen_db *db);  /* at closing: ends it if there is one */
void omi_tracing_free(omen_db *db); /* nobody records any more */
/* Where calls are to be recorded; NULL: nowhere. */
static inline struct omi_trace *omi_tracing(const omen_db *db)
{
    struct omi_trace *t = atomic_load_explicit(&db->trace, memory_order_acquire);
    return __builtin_expect(t != NULL, 0) && omi_trace_on(t) ? t : NULL;
}
/* more: the next one is of the same call. */
void omi_trace_one(struct omi_trace *t, unsigned stripe, enum omi_trace_kind kind, omen_slice key,
                   uint64_t size, bool more);
void omi_trace_batch(struct omi_trace *t, unsigned stripe, const struct omi_ops *ops);

/* ---- observing.c: telemetry, TELEMETRY ---- */
OMEN_MUST_CHECK omen_err omi_observing_begin(omen_db *db);
/* Takes over what TELEMETRY holds, and begins the first window. */
void omi_observing_load(omen_db *db);
/* Ends the window when it is time. */
void omi_observing_look(omen_db *db);
/* Replaces TELEMETRY if there is something new. */
void omi_observing_save(omen_db *db);
uint64_t omi_observed_ops(const omen_db *db); /* by this handle */
/* The operations of a batch were written, of which the first was the stripe's n-th. */
void omi_observe_written(omen_db *db, unsigned stripe, uint64_t n, const struct omi_ops *ops);
void omi_observed_inline(omen_db *db, uint64_t ops);
/* After each call, without locks: where no thread does it, windows end here. */
static inline void omi_observed(omen_db *db, uint64_t ops)
{
    if (db->inline_work)
        omi_observed_inline(db, ops);
}

#endif

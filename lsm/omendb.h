/*
 * omendb.h - the public interface of libomendb, an embedded LSM-tree key-value store with learned
 * components.
 *
 *   omen_db *db = NULL;
 *   omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_CREATE_IF_MISSING};
 *   if (omen_open("data", &o, &db) != OMEN_OK)
 *       fprintf(stderr, "%s\n", omen_last_error());
 *
 * Ownership: what you open or create you close or destroy; slices passed in are borrowed for the
 *            call; nothing is stolen. Text returned as char * is freed with omen_free.
 * Errors:    every call that can fail returns an omen_err; omen_last_error() says in words what
 *            happened on this thread. Output parameters mean something on OMEN_OK alone.
 * Threads:   an omen_db may be used by any number of threads at once. An iterator, a batch and a
 *            value belong to one thread at a time.
 * Options:   structs carry their own size first; a zero field is the default.
 * Keys are 0 to 65,535 bytes, ordered bytewise unless a comparator is given; values are 0 to
 * 256 MiB; so is a batch as a whole.
 */
#ifndef OMENDB_H
#define OMENDB_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define OMEN_API        __attribute__((visibility("default")))
#define OMEN_MUST_CHECK __attribute__((warn_unused_result))
#else
#define OMEN_API
#define OMEN_MUST_CHECK
#endif

#define OMEN_VERSION_MAJOR 0
#define OMEN_VERSION_MINOR 1
#define OMEN_VERSION_PATCH 0

/* Limits. */
#define OMEN_KEY_BYTES_MAX   65535u
#define OMEN_VALUE_BYTES_MAX (256u << 20)
#define OMEN_BATCH_BYTES_MAX (256u << 20)
#define OMEN_LEVELS_MAX      12 /* levels of the tree, level 1 is the newest */

/* "None" where zero means the default: filter_bits, cache_bytes, size limits. */
#define OMEN_NONE UINT32_MAX

/* ---- errors ---------------------------------------------------------------------------------- */

/* Values are pinned: appended to, never renumbered. */
typedef enum omen_err {
    OMEN_OK = 0,
    OMEN_NOT_FOUND = 1,    /* an outcome: no detail is recorded */
    OMEN_INVALID = 16,     /* the caller's argument is wrong */
    OMEN_UNSUPPORTED = 17, /* valid, but not by this build, file format or mode */
    OMEN_BUSY = 18,        /* locked by another process, or handles are still open */
    OMEN_EXISTS = 19,      /* there already, and error_if_exists was asked */
    OMEN_ABORTED = 20,     /* given up at the caller's wish */
    OMEN_IO = 32,          /* the machine failed a read, a write or a sync */
    OMEN_NO_MEMORY = 33,
    OMEN_FULL = 34,      /* no space on the disk; reads go on */
    OMEN_READ_ONLY = 35, /* opened read-only, or made so by an earlier failure */
    OMEN_UNKNOWN = 36,   /* a write failed half-way: it may be there after reopening */
    OMEN_CORRUPT = 48    /* the data on disk is damaged */
} omen_err;

/* The name of a code ("OMEN_OK"); a static string, also for values that are no code. */
OMEN_API const char *omen_err_name(omen_err err);
/* This thread's last failure in words; never NULL; valid until this thread's next failing call. */
OMEN_API const char *omen_last_error(void);
/* "0.1.0", static. */
OMEN_API const char *omen_version(void);
/* Frees text that a call of this header returned; NULL is fine. */
OMEN_API void omen_free(void *text);

/* ---- handles and views ----------------------------------------------------------------------- */

typedef struct omen_db omen_db;
typedef struct omen_iter omen_iter;
typedef struct omen_snapshot omen_snapshot;
typedef struct omen_batch omen_batch;

/* Bytes somebody else owns. data may be NULL when size is 0. */
typedef struct omen_slice {
    const void *data;
    size_t size;
} omen_slice;

/* A value that stays valid until omen_value_release. pin is private to the library. */
typedef struct omen_value {
    const void *data;
    size_t size;
    void *pin;
} omen_value;

/* A key order of the user's own. The name is stored with the database and must match on reopen.
 * compare returns <0, 0, >0, must be a total order and must not call into the database. With a
 * comparator the learned index and all filters are off: slower, never wrong. */
typedef struct omen_comparator {
    const char *name;
    int (*compare)(void *context, omen_slice a, omen_slice b);
    void *context;
} omen_comparator;

/* A filter of the user's own, in place of the engine's. build gets the distinct keys of a table in
 * order (deleted ones too, at least one) and hands its bytes to append, in as many pieces as it
 * likes; append answers 0, or that there is no room. Anything but 0 from build means "no filter for
 * this table". may_hold answers for those bytes, which are 8-byte aligned: 0 only if key was
 * certainly not among the keys. Each key is asked once when a filter is made: one that denies any is
 * not kept, and told in LOG. The name (1 to 255 bytes) is kept with each filter; where it is another
 * than the open policy's, the filter is not asked: change the name with the bytes' meaning. Called
 * from any thread, several at once; must not call into the database. With filter_bits OMEN_NONE or a
 * comparator nothing is built. */
typedef struct omen_filter_policy {
    const char *name;
    int (*build)(void *context, size_t count, const omen_slice *keys, void *sink,
                 int (*append)(void *sink, const void *bytes, size_t size));
    int (*may_hold)(void *context, omen_slice filter, omen_slice key);
    void *context;
} omen_filter_policy;

/* ---- options --------------------------------------------------------------------------------- */

enum { /* omen_options.flags */
       OMEN_CREATE_IF_MISSING = 1u << 0,
       OMEN_ERROR_IF_EXISTS = 1u << 1,
       OMEN_OPEN_READ_ONLY = 1u << 2, /* no LOCK, writes nothing, works beside a live writer */
       OMEN_INLINE_WORK = 1u << 3,    /* flush and compaction run on the writing thread, in order */
       OMEN_NO_AUTO_COMPACT = 1u << 4, /* flushes happen, merges only on omen_compact */
       /* A page of far memory that fails is replaced, and what was on it read again from its table; else
        * it ends the process, as anywhere in memory. Takes the process's SIGBUS, which is passed on to the
        * handler of before when it is not far memory's. */
       OMEN_FAR_GUARD = 1u << 5
};

typedef enum omen_disk { OMEN_DISK_AUTO = 0, OMEN_DISK_SSD = 1, OMEN_DISK_HDD = 2 } omen_disk;
typedef enum omen_goal {
    OMEN_GOAL_BALANCED = 0,
    OMEN_GOAL_READS = 1,
    OMEN_GOAL_WRITES = 2,
    OMEN_GOAL_SPACE = 3
} omen_goal;
typedef enum omen_codec { /* 0 in an option: from the goal */
                          OMEN_CODEC_DEFAULT = 0,
                          OMEN_CODEC_NONE = 1,
                          OMEN_CODEC_ZSTD_FAST = 2, /* zstd level -1 */
                          OMEN_CODEC_ZSTD = 3       /* zstd level 1 */
} omen_codec;
typedef enum omen_io_engine {
    OMEN_IO_ENGINE_AUTO = 0, /* io_uring where it can be had */
    OMEN_IO_ENGINE_URING = 1,
    OMEN_IO_ENGINE_PREAD = 2
} omen_io_engine;
typedef enum omen_io_mode {
    OMEN_IO_AUTO = 0, /* direct when the cache is at least a quarter of RAM, else buffered */
    OMEN_IO_BUFFERED = 1,
    OMEN_IO_DIRECT = 2
} omen_io_mode;

typedef enum omen_filter_kind {
    OMEN_FILTER_DEFAULT = 0,
    OMEN_FILTER_LEARNED =
        1,                 /* filter_bits is a quality: as few false positives as that many bits for
                                every key would leave, for the least memory */
    OMEN_FILTER_PLAIN = 2, /* a blocked Bloom filter of filter_bits for every key */
    OMEN_FILTER_RIBBON = 3 /* learned, and ribbons in the last level: smaller, slower to build */
} omen_filter_kind;
typedef enum omen_range_filter {
    OMEN_RANGE_FILTER_AUTO = 0,
    OMEN_RANGE_FILTER_OFF = 1,
    OMEN_RANGE_FILTER_ON = 2 /* on every table above the last level */
} omen_range_filter;
/* Where filters and models of the last level lie: memory that is slower and more plentiful than this
 * machine's own, as CXL devices bring it. */
typedef enum omen_far {
    /* the nearest NUMA node that has memory and no processors, if there is one */
    OMEN_FAR_AUTO = 0,
    OMEN_FAR_NONE = 1, /* everything in ordinary memory */
    OMEN_FAR_NODE = 2, /* NUMA node far_value */
    OMEN_FAR_HEAP = 3, /* ordinary memory that is counted as far: for tests */
    OMEN_FAR_DELAY = 4 /* the same, and each line of it far_value nanoseconds late: for measuring */
} omen_far;

/* omen_options o = {.struct_bytes = sizeof(o)}; every zero is the default, or on reopen the value
 * stored with the database. */
typedef struct omen_options {
    size_t struct_bytes;
    uint32_t flags;
    uint32_t disk;         /* omen_disk */
    uint32_t goal;         /* omen_goal; presets for shape, codec and filter */
    uint32_t size_ratio;   /* T, 2 to 99; default 6; may change while open */
    uint64_t memory_bytes; /* one budget for everything; default 256 MiB; from 4 MiB */
    /* Below: overrides of what the three inputs decide. */
    uint64_t memtable_bytes;    /* 64 KiB to 1 GiB; default memory/8 within 64 KiB to 64 MiB */
    uint64_t target_file_bytes; /* 64 KiB to 256 MiB; default memory/32 within 1 to 64 MiB */
    uint64_t cache_bytes;       /* blocks, and filters, models and open tables; given together with
                                   filter_bytes, blocks alone. Default: what memtables and buffers
                                   leave; OMEN_NONE: no block is kept */
    uint32_t block_bytes;       /* 1 to 32 KiB; default 4 KiB */
    uint32_t runs_upper;        /* K of every level above the last, 1 to 64; default 4; live */
    uint32_t runs_last;         /* K of the last level, 1 to 64; default 1; live */
    uint32_t codec_upper;       /* omen_codec */
    uint32_t codec_last;        /* omen_codec */
    uint32_t filter_bits;       /* bits a key; default 10; OMEN_NONE: no filters; live */
    uint32_t sync_interval_ms;  /* 0: sync only when a write asks; else also this often; live */
    uint32_t background_jobs;   /* merge threads beside the flush thread; default 1 on 2 cores */
    uint32_t io_engine;         /* omen_io_engine; OMENDB_IO_ENGINE=uring|pread in the environment
                                   wins over AUTO */
    uint32_t io_mode;           /* omen_io_mode */
    uint64_t log_file_bytes;    /* of the LOG text file before it is rotated; default 8 MiB */
    const omen_comparator *comparator; /* copied; NULL: bytewise */
    /* Called with each line of the LOG file; level 0 error, 1 warning, 2 information. Must not
     * call into the database. NULL: the file alone. */
    void (*log)(void *context, int level, const char *line);
    void *log_context;
    /* K of single levels, 0 = runs_upper or runs_last by position; [0] is level 1; live. */
    uint32_t runs_level[OMEN_LEVELS_MAX];
    /* Disk space that writes leave alone, so that flushes can end: below it they answer OMEN_FULL,
     * and come back by themselves when twice as much is free. Default two memtables, an eighth of
     * what is free if that is less; OMEN_NONE: no reserve. */
    uint64_t reserve_bytes;
    uint32_t filter;       /* omen_filter_kind; default: learned; live */
    uint32_t filter_floor; /* thousandths: the most false positives that any region of a filter may
                              have, whatever the workload of late did not ask for. Default 125;
                              OMEN_NONE: no floor; live */
    uint32_t
        range_filter; /* omen_range_filter; default: where sampled scans say that it pays; live */
    uint32_t reserved;
    uint64_t
        filter_bytes; /* the most memory that filters may take: bits are dealt out to keep to it,
                              and what is above waits on the disk. Default half of cache_bytes; live */
    const omen_filter_policy *filter_policy; /* copied; NULL: the engine's own filters */
    uint32_t
        far; /* omen_far; OMENDB_FAR in the environment wins over AUTO; where there is no such memory everything stays near: never an error,
                           see omen_stats.far_why */
    uint32_t far_value; /* node, or ns */
    uint64_t far_bytes; /* the most far memory; default: 90 % of what is free on the node */
    /* Ordinary memory for those filters and models of the last level that are asked most, of what
     * memory_bytes leaves the cache. Default cache_bytes/16; OMEN_NONE: none; live */
    uint64_t near_model_bytes;
} omen_options;

enum {
    OMEN_SYNC = 1u << 0
}; /* omen_write_options.flags: durable on disk before the call returns */
typedef struct omen_write_options {
    size_t struct_bytes;
    uint32_t flags;
    uint32_t reserved;
} omen_write_options;

enum {                               /* omen_read_options.flags */
       OMEN_NO_FILL_CACHE = 1u << 0, /* blocks read from disk are not kept */
       OMEN_HAS_LOWER = 1u << 1,     /* lower is a bound, inclusive */
       OMEN_HAS_UPPER = 1u << 2,     /* upper is a bound, exclusive */
       OMEN_HAS_PREFIX = 1u << 3     /* only keys that start with prefix; bytewise order only */
};
typedef struct omen_read_options {
    size_t struct_bytes;
    const omen_snapshot *snapshot; /* NULL: now */
    uint32_t flags;
    uint32_t reserved;
    omen_slice lower, upper, prefix; /* borrowed until the iterator is closed */
} omen_read_options;

/* Sets options from "name=value,name=value" (also spaces or new lines between; sizes take K, M, G).
 * The names are those of omen_options_describe. OMEN_INVALID names the first wrong word and, for an
 * unknown name, the nearest one. */
OMEN_API OMEN_MUST_CHECK omen_err omen_options_from_string(const char *text, omen_options *options);
/* Every option as JSON: name, type, range, default, whether it may change while open. Free with
 * omen_free; NULL when memory is short. */
OMEN_API char *omen_options_describe(void);

/* What memory_bytes, disk and goal decide, in bytes and counts. */
typedef struct omen_split {
    size_t struct_bytes;
    uint64_t memory_bytes, memtable_bytes, memtable_count, build_buffer_bytes, build_buffer_count;
    uint64_t cache_bytes; /* blocks, filters and models share this */
    uint64_t target_file_bytes;
    uint32_t block_bytes, size_ratio, runs_upper, runs_last, codec_upper, codec_last, filter_bits;
    uint32_t background_jobs;
} omen_split;
/* Resolves options without opening anything. */
OMEN_API OMEN_MUST_CHECK omen_err omen_options_split(const omen_options *options,
                                                     omen_split *split);

/* ---- a database ------------------------------------------------------------------------------ */

/* Opens the database in directory path. Recovers what an earlier process left.
 * OMEN_BUSY names the process that holds LOCK; OMEN_CORRUPT and OMEN_UNSUPPORTED name file and
 * offset. */
OMEN_API OMEN_MUST_CHECK omen_err omen_open(const char *path, const omen_options *options,
                                            omen_db **db_out);
/* Waits for running background work, flushes nothing (the log keeps unflushed writes), syncs the
 * log, and frees the handle. OMEN_BUSY while iterators, snapshots or pinned values live: the handle
 * stays open. Any other error is reported and the handle is gone all the same. */
OMEN_API OMEN_MUST_CHECK omen_err omen_close(omen_db *db);
/* Deletes the files of the database in path, and path itself when then empty. Files that are not
 * the database's are left. Not found: OMEN_OK. */
OMEN_API OMEN_MUST_CHECK omen_err omen_destroy(const char *path);

/* ---- writing --------------------------------------------------------------------------------- */
/* options may be NULL. A write survives the death of the process when the call returns, and a power
 * loss with OMEN_SYNC, after omen_sync, or after sync_interval_ms. */

OMEN_API OMEN_MUST_CHECK omen_err omen_put(omen_db *db, const omen_write_options *options,
                                           omen_slice key, omen_slice value);
OMEN_API OMEN_MUST_CHECK omen_err omen_delete(omen_db *db, const omen_write_options *options,
                                              omen_slice key);
/* All of the batch or nothing; later operations of a batch win over earlier ones. */
OMEN_API OMEN_MUST_CHECK omen_err omen_write(omen_db *db, const omen_write_options *options,
                                             const omen_batch *batch);
/* Everything acknowledged before this call survives a power loss after it. */
OMEN_API OMEN_MUST_CHECK omen_err omen_sync(omen_db *db);

OMEN_API OMEN_MUST_CHECK omen_err omen_batch_create(omen_batch **batch_out);
OMEN_API void omen_batch_destroy(omen_batch *batch);
OMEN_API void omen_batch_clear(omen_batch *batch);
OMEN_API OMEN_MUST_CHECK omen_err omen_batch_put(omen_batch *batch, omen_slice key,
                                                 omen_slice value);
OMEN_API OMEN_MUST_CHECK omen_err omen_batch_delete(omen_batch *batch, omen_slice key);
OMEN_API size_t omen_batch_count(const omen_batch *batch);
OMEN_API size_t omen_batch_bytes(const omen_batch *batch);

/* ---- reading --------------------------------------------------------------------------------- */

/* OMEN_NOT_FOUND when the key has no value. The value is pinned until omen_value_release. */
OMEN_API OMEN_MUST_CHECK omen_err omen_get(omen_db *db, const omen_read_options *options,
                                           omen_slice key, omen_value *value_out);
OMEN_API void omen_value_release(omen_value *value);
/* Copies up to buffer_bytes of the value; size_out is the whole value's size, so a larger one tells
 * that the copy was cut. */
OMEN_API OMEN_MUST_CHECK omen_err omen_get_into(omen_db *db, const omen_read_options *options,
                                                omen_slice key, void *buffer, size_t buffer_bytes,
                                                size_t *size_out);
/* count keys from one view of the database; errs[i] is each key's own result, values[i] is to be
 * released where errs[i] is OMEN_OK. Reads that miss the cache go to the disk together. Returns the
 * first error that is not OMEN_NOT_FOUND. */
OMEN_API OMEN_MUST_CHECK omen_err omen_multi_get(omen_db *db, const omen_read_options *options,
                                                 size_t count, const omen_slice *keys,
                                                 omen_value *values, omen_err *errs);

/* A view of the database as of now; released with omen_snapshot_release. */
OMEN_API OMEN_MUST_CHECK omen_err omen_snapshot_create(omen_db *db, omen_snapshot **snapshot_out);
OMEN_API void omen_snapshot_release(omen_snapshot *snapshot);

/* An iterator sees the database as of its opening, or as of options->snapshot. It starts nowhere:
 * seek first. A position past either end is not valid; read omen_iter_status after every loop. Key
 * and value stay valid until the iterator moves. */
OMEN_API OMEN_MUST_CHECK omen_err omen_iter_open(omen_db *db, const omen_read_options *options,
                                                 omen_iter **iter_out);
OMEN_API void omen_iter_close(omen_iter *iter);
OMEN_API int omen_iter_valid(const omen_iter *iter);
OMEN_API void omen_iter_seek(omen_iter *iter, omen_slice key);          /* first entry >= key */
OMEN_API void omen_iter_seek_for_prev(omen_iter *iter, omen_slice key); /* last entry <= key */
OMEN_API void omen_iter_seek_first(omen_iter *iter);
OMEN_API void omen_iter_seek_last(omen_iter *iter);
OMEN_API void omen_iter_next(omen_iter *iter); /* nothing happens when not valid */
OMEN_API void omen_iter_prev(omen_iter *iter);
OMEN_API omen_slice omen_iter_key(const omen_iter *iter);
OMEN_API omen_slice omen_iter_value(const omen_iter *iter);
OMEN_API omen_err omen_iter_status(const omen_iter *iter);

/* ---- upkeep ---------------------------------------------------------------------------------- */

/* Writes the memtables to tables and waits for it. */
OMEN_API OMEN_MUST_CHECK omen_err omen_flush(omen_db *db);
/* Flushes, then merges everything that overlaps [first, last] into the last level; NULL means open
 * on that side. */
OMEN_API OMEN_MUST_CHECK omen_err omen_compact(omen_db *db, const omen_slice *first,
                                               const omen_slice *last);
/* Waits until no flush or merge runs or is due. */
OMEN_API OMEN_MUST_CHECK omen_err omen_wait_idle(omen_db *db);
/* A database of its own in path (which must not exist), equal to this one as of some moment during
 * the call: tables by hard link (copied across file systems), the log's needed part by copy, all
 * synced. */
OMEN_API OMEN_MUST_CHECK omen_err omen_checkpoint(omen_db *db, const char *path);

typedef struct omen_verify_report {
    size_t struct_bytes;
    uint64_t files, blocks, entries, bytes, errors;
} omen_verify_report;
/* Reads every table and checks every checksum, the key order, the index and the filter. Each
 * problem is told to problem (may be NULL); OMEN_CORRUPT if there was one. */
OMEN_API OMEN_MUST_CHECK omen_err omen_verify(omen_db *db, omen_verify_report *report,
                                              void (*problem)(void *context, const char *text),
                                              void *context);

/* What omen_repair found and did; after a dry run, what it would do. */
typedef struct omen_repair_report {
    size_t struct_bytes;
    uint64_t problems; /* lines told; 0: nothing to repair, nothing was changed */
    uint64_t files;    /* looked at: tables, log segments, manifests */
    uint64_t files_damaged;
    uint64_t files_lost; /* missing, or nothing of them can be read */
    uint64_t
        files_doubtful; /* tables that may have gone on: their end is damaged, and no manifest */
    uint64_t blocks_lost, entries_lost; /* of tables; entries where the manifest tells how many */
    uint64_t entries_saved;             /* written anew, out of damaged tables or of all */
    uint64_t log_operations_saved;      /* recovered, as opening does it too */
    uint64_t log_operations_lost, log_bytes_lost;
    uint64_t tables_written;
    uint64_t bytes_kept, bytes_set_aside; /* tables left as they are; files renamed to NAME.bad */
    uint32_t manifest;                    /* omen_repair_manifest */
    uint32_t lossy;                       /* 1: something was lost */
} omen_repair_report;
typedef enum omen_repair_manifest {
    OMEN_MANIFEST_SOUND = 0,
    OMEN_MANIFEST_FOUND =
        1, /* CURRENT was damaged, or the manifest's header; its tables are known */
    OMEN_MANIFEST_REBUILT = 2 /* one run of all tables that are there; options are those given */
} omen_repair_manifest;
enum { OMEN_REPAIR_DRY_RUN = 1u << 0 }; /* omen_repair's flags: write nothing, tell all */
/* Saves what can be read of the database in path, so that it opens and verifies again. Damaged files
 * are renamed to NAME.bad, never deleted; nothing changes before all that replaces them is on disk, so
 * it may be killed at any moment and run again. told (may be NULL) gets a line a file: what was found,
 * saved and lost. Lost blocks may bring older versions of their keys to light. OMEN_BUSY names the
 * process that holds LOCK; OMEN_UNSUPPORTED: written by a newer omendb, nothing is touched;
 * OMEN_INVALID: not a database, or ordered by another comparator than options say. options as for
 * omen_open; they decide alone when no manifest can be read. */
OMEN_API OMEN_MUST_CHECK omen_err omen_repair(const char *path, const omen_options *options,
                                              uint32_t flags, omen_repair_report *report,
                                              void (*told)(void *context, const char *line),
                                              void *context);

/* Changes a live option ("size_ratio", "8"); durable before it takes effect. */
OMEN_API OMEN_MUST_CHECK omen_err omen_set_option(omen_db *db, const char *name, const char *value);

/* ---- statistics ------------------------------------------------------------------------------ */

typedef struct omen_level_stats {
    uint32_t runs, files;
    uint64_t bytes, capacity_bytes, entries;
    uint64_t read_bytes, written_bytes; /* by merges into this level (level 1: flushes) */
    uint64_t moved_bytes;               /* by merges that only changed metadata */
    uint64_t entries_in, entries_dropped;
    uint64_t merges, merge_us;
} omen_level_stats;

/* What lookups, scans and merges did in a level, over the life of the database. */
typedef struct omen_level_io {
    uint64_t filter_probes, filter_negatives, filter_false_positives; /* by lookups */
    uint64_t get_blocks, get_block_reads;   /* asked; of these, not in the cache */
    uint64_t scan_opens;                    /* runs that a seek positioned, with a block each */
    uint64_t scan_blocks, scan_block_reads; /* asked; read from the file, ahead too */
    uint64_t moved_tables;                  /* into it without being read */
    uint64_t dropped_bytes; /* of keys, values and 8 an entry, left out by merges into it */
} omen_level_io;

/* Counters over the life of the database unless marked "now". */
typedef struct omen_stats {
    size_t struct_bytes;
    uint32_t levels; /* now: how many of level[] are in use */
    uint32_t reserved;
    uint64_t uptime_us;                                             /* of this handle */
    uint64_t last_seq, snapshots, iterators, memtables, immutables; /* now */
    uint64_t puts, deletes, batches, user_bytes, log_bytes, log_syncs, device_bytes;
    uint64_t gets, get_hits, get_memtable_hits, get_blocks, multi_get_keys;
    uint64_t seeks, nexts, scan_blocks, tombstones_skipped;
    uint64_t cache_hits, cache_misses, cache_bytes, cache_capacity; /* the last two: now */
    uint64_t filter_bytes, filter_probes, filter_negatives, filter_false_positives;
    uint64_t index_bytes, index_keys, index_blocks, index_knots, index_keyed_cuts; /* now */
    uint64_t index_explicit_files, index_grid_hits, index_keyed_compares; /* the first: now */
    uint64_t index_certificate_failures, index_rebuilt;
    uint64_t flushes, flush_bytes, flush_us, merges, merge_read_bytes, merge_written_bytes;
    uint64_t stall_count[4], stall_us[4]; /* by omen_stall_name; the rest reserved */
    uint64_t memory_memtables, memory_cache, memory_filters, memory_models; /* now, bytes */
    uint64_t memory_build, memory_metadata, memory_log;                     /* now, bytes */
    uint64_t recovered_ops, recovered_cut_bytes;                            /* by this open */
    char io_engine[16];
    char io_why[112];
    omen_level_stats level[OMEN_LEVELS_MAX];
    uint64_t disk_reserve_bytes, disk_low; /* now: kept free; 1 while writes are refused */
    uint64_t disk_low_count;               /* times that writes were refused, by this handle */
    /* By this handle: tables that the filter policy made no filter for; whose filter denied a key of
     * theirs and was not kept; whose filter another policy made, so that it is not asked. */
    uint64_t filter_policy_declined, filter_policy_wrong, filter_policy_foreign;
    /* Range filters. A scan parks each run that has them; the filters are asked whether the run has
     * keys that the scan comes to, and only a run that may have is activated: its blocks are read.
     * Parked less activated: runs that cost no read at all. */
    uint64_t range_filter_bytes, range_filter_tables; /* now */
    uint64_t range_filter_asked, range_filter_parked, range_filter_activated;
    uint64_t range_filter_in_vain; /* activated by "maybe", and there was no such key */
    /* Now: tables by omen_table_filter; what is remembered of lookups and scans, and its memory. */
    uint64_t filter_tables[8];
    uint64_t sampled_gets, sampled_scans, sample_bytes;
    /* What sampled lookups met in the filters of the tables of now; the false positives of an absent
     * lookup that these promised; those that one more bit must save in each lookup, 0: not known. */
    uint64_t sampled_probes, sampled_negatives, sampled_false_positives;
    double filter_promised;
    double filter_price;
    /* Filters in memory: heads always, their parts as far as the limit goes; without its part a filter
     * answers "maybe". Now: the limit, the heads' bytes; parts, of which loaded, of which missed of
     * late. */
    uint64_t filter_limit_bytes, filter_head_bytes;
    uint64_t filter_parts, filter_parts_loaded, filter_parts_wanted;
    /* By this handle: parts loaded and evicted; "maybe" for want of a part; filters and parts that are
     * damaged and not used. */
    uint64_t filter_part_loads, filter_part_evictions, filter_parts_missed, filters_damaged;
    /* What each purpose asks of the device, whatever the page cache makes of it. Lookups: get_blocks
     * asked, get_block_reads of them not in the cache. Scans: scan_opens runs positioned by seeks,
     * scan_blocks asked, scan_block_reads read; scans count when their iterator is sought anew or
     * closed. Written: flush_bytes, merge_written_bytes, log_bytes; merges also read merge_read_bytes.
     * Searched: filter_probes, range_filter_asked, and an index for each of get_blocks and scan_opens.
     */
    uint64_t get_block_reads, scan_opens, scan_block_reads;
    uint64_t scan_entries;       /* shown by iterators */
    uint64_t user_read_bytes;    /* keys and values that lookups and scans handed out */
    uint64_t merge_overwritten;  /* older versions that flushes and merges dropped */
    uint64_t merge_deletes;      /* deletes that merges dropped, nothing being left to delete */
    uint64_t merge_moved_tables; /* to another level without being read */
    omen_level_io level_io[OMEN_LEVELS_MAX];
    /* Far memory (options far). Now: which there is (omen_far, never AUTO; NONE with far_why), its node, the
     * firmware's figures of it (0: none), limits, what is mapped and used of it; sizes of filters [0] and
     * models [1] by where they were wanted and where they lie, near [0] or far [1]; what of them is near
     * because it is asked most. */
    uint32_t far, far_node; /* far_node: OMEN_NONE when it is none */
    uint32_t far_distance, far_latency_ns;
    uint32_t far_delay_ns, far_delay_achieved_ns; /* far=delay: asked, and as measured at open */
    uint32_t far_delay_sound, far_guarded; /* 1: the two lie within 15 %; 1: far_guard is on */
    uint64_t far_limit_bytes, near_model_bytes, far_mapped_bytes, far_used_bytes;
    uint64_t far_wanted[2][2], far_got[2][2], far_promoted_bytes;
    /* By this handle: filters and models that wanted far memory and got near; asked by lookups, near and
     * far; tables moved near [0] and far [1], and the bytes; ticks; tables that found no room to move. */
    uint64_t far_refused[2], far_asked[2][2];
    uint64_t far_moved_tables[2], far_moved_bytes[2], far_ticks, far_unmoved;
    /* Pages of it that failed, filters and models hit and read again; pages whose place was asked just
     * now, and those that lie on the node. */
    uint64_t far_lost_bytes, far_damaged, far_repaired, far_pages_asked, far_pages_on_node;
    /* far=delay: lines waited for, found in the processor's cache as it is imagined, fetched ahead. */
    uint64_t far_lines, far_hits, far_prefetches, far_wait_ns;
    char far_why[160]; /* the last refusal, or why there is none at all */
} omen_stats;
/* "auto", "none", ...; NULL for what is none. */
OMEN_API const char *omen_far_name(uint32_t far);
OMEN_API OMEN_MUST_CHECK omen_err omen_get_stats(omen_db *db, omen_stats *stats_out);
/* The name of stall_count[index] ("memtables", ...); NULL past the end. */
OMEN_API const char *omen_stall_name(size_t index);
/* All statistics as JSON, or as Prometheus text; free with omen_free; NULL when memory is short. */
OMEN_API char *omen_stats_json(omen_db *db);
OMEN_API char *omen_stats_prometheus(omen_db *db);

typedef enum omen_table_filter {
    OMEN_TABLE_FILTER_NONE = 0,    /* or not to be asked: damaged, of another policy */
    OMEN_TABLE_FILTER_PLAIN = 1,   /* all keys alike */
    OMEN_TABLE_FILTER_REGIONS = 2, /* bits by region of the key space */
    OMEN_TABLE_FILTER_RIBBON = 3,
    OMEN_TABLE_FILTER_CUSTOM = 4 /* of the filter policy */
} omen_table_filter;
/* "plain", ...; NULL for what is none. */
OMEN_API const char *omen_table_filter_name(uint32_t filter);
/* omen_table_info.filter_why in words; NULL for what is none. */
OMEN_API const char *omen_filter_why_name(uint32_t why);

/* One table of the current version, for tools. Slices are valid during the callback. */
typedef struct omen_table_info {
    size_t struct_bytes;
    uint64_t number, run, bytes, entries, deletes, blocks, index_bytes, filter_bytes, knots;
    uint64_t keyed_cuts, min_seq, max_seq;
    uint32_t level;
    uint32_t index_explicit; /* 1: separators, 0: spline */
    omen_slice first_key, last_key;
    uint32_t filter; /* omen_table_filter; what follows is 0 where it is not known */
    uint32_t filter_why;
    uint32_t filter_parts, filter_regions, filter_gaps; /* gaps: regions without keys */
    uint32_t filter_prefix_bytes;                       /* of a layer of key prefixes; 0: none */
    uint32_t filter_denied;                             /* hot false positives that are listed */
    uint32_t filter_samples;                            /* lookups that it was learned from */
    uint64_t filter_keys;                               /* distinct */
    double filter_promised;             /* false positives of an absent lookup like those sampled */
    double filter_keylike;              /* the same of absent keys spread like the table's */
    double filter_plain;                /* that a plain filter would have at the same price */
    double filter_price, filter_weight; /* what it was built for */
    /* Sampled lookups that came to it, that it answered "no", and "maybe" in vain. */
    uint64_t sampled_probes, sampled_negatives, sampled_false_positives;
    /* Its filters and model in memory: near and far bytes, what of them may move; 1: shall be far; sampled
     * lookups of late. */
    uint64_t near_bytes, far_bytes, movable_bytes;
    uint32_t far, heat;
} omen_table_info;
/* Calls table for each table, level 1 first, newest run first, in key order. */
OMEN_API OMEN_MUST_CHECK omen_err omen_list_tables(
    omen_db *db, void (*table)(void *context, const omen_table_info *info), void *context);

/* A region of a table's filter, for tools. The slice is valid during the callback. */
typedef struct omen_filter_region {
    size_t struct_bytes;
    omen_slice first_key; /* where it begins, as far as filters tell keys apart */
    double width;         /* of the table's key space: all regions' add up to 1 */
    int32_t probes; /* bits asked (of ribbons: stored a key); 0: always "maybe"; -1: no keys */
    uint32_t reserved;
    uint64_t sampled; /* remembered lookups that would come here in vain */
    /* Sampled lookups of absent keys that came here since the table was opened, and that passed. */
    uint64_t absent, passed;
} omen_filter_region;
/* Calls region for each region of the filter of table number (omen_table_info), in key order; not at
 * all when there is no filter, or a policy's. OMEN_NOT_FOUND: there is no such table. */
OMEN_API OMEN_MUST_CHECK omen_err
omen_filter_regions(omen_db *db, uint64_t number,
                    void (*region)(void *context, const omen_filter_region *info), void *context);

/* ---- the workload ---------------------------------------------------------------------------- */

enum {
    OMEN_WINDOWS_MAX = 64,
    OMEN_SCAN_LENGTHS = 16,
    OMEN_HOT_KEYS_MAX = 128,
    OMEN_HOT_KEY_BYTES = 32,
    OMEN_MISS_POINTS_MAX = 64
};

/* What was asked within a window of 10,000 operations that took a second at least (with
 * OMEN_INLINE_WORK: of 10,000 operations). */
typedef struct omen_window {
    uint64_t began_us, us; /* since 1970, UTC; how long it was */
    uint64_t get_hits, get_misses, scans, puts, deletes;
    uint64_t overwrites;          /* older versions that flushes and merges dropped */
    uint64_t bytes_in, bytes_out; /* keys and values, written; handed out */
    uint64_t scan_entries;
    uint64_t scan_lengths[OMEN_SCAN_LENGTHS]; /* [0]: of no entry, [i]: of 2^(i-1) and more */
    uint64_t block_asks, block_reads;         /* by lookups and scans, as in omen_stats */
    uint64_t written_bytes;                   /* by flushes and merges */
    uint64_t flushes, stall_us;
    uint64_t debt_bytes;                                /* to be merged, at its end */
    uint32_t size_ratio, runs_upper, runs_last, levels; /* at its end */
    uint32_t sorted_permille; /* of the flushed keys' span, lies past all flushed before */
    uint32_t skew_permille;   /* thousandths of the Zipf exponent, at its end */
} omen_window;

/* A key that is asked and written often. */
typedef struct omen_hot_key {
    uint64_t hash;
    double share, share_min;         /* of all sampled operations; at most, at least */
    uint32_t key_bytes;              /* of the whole key */
    uint8_t key[OMEN_HOT_KEY_BYTES]; /* as far as it goes */
} omen_hot_key;

/* A block cache of so many bytes would miss this share of the blocks asked. */
typedef struct omen_miss_point {
    uint64_t cache_bytes;
    double misses;
} omen_miss_point;

typedef struct omen_telemetry {
    size_t struct_bytes;
    uint32_t window_count, hot_count, miss_count; /* of the lists below */
    uint32_t reserved;
    omen_window running;     /* not yet ended */
    omen_window all;         /* the ended ones and this added up; the tree's figures are of now */
    double skew, sorted;     /* Zipf exponent, 0: even; 0 random to 1 sorted keys at flushes */
    uint64_t sampled_keys;   /* operations that skew and hot keys are from; older ones count less */
    uint64_t sampled_blocks; /* likewise, of the miss-ratio curve */
    omen_hot_key hot[OMEN_HOT_KEYS_MAX];        /* hottest first */
    omen_miss_point miss[OMEN_MISS_POINTS_MAX]; /* smallest first */
    omen_window window[OMEN_WINDOWS_MAX];       /* oldest first */
} omen_telemetry;
/* What is asked of the database of late: kept with it, lazily, so that what was seen shortly before
 * the process died may be missing. */
OMEN_API OMEN_MUST_CHECK omen_err omen_get_telemetry(omen_db *db, omen_telemetry *telemetry_out);

enum {
    OMEN_TRACE_WAIT = 1u << 0
}; /* writers wait for a slow disk; else operations go unrecorded */
/* Records each operation into the file path, which must not exist, until omen_trace_stop or
 * omen_close: kind, key (the first 64 bytes and a hash), size, time. */
OMEN_API OMEN_MUST_CHECK omen_err omen_trace_start(omen_db *db, const char *path, uint32_t flags);
typedef struct omen_trace_report {
    size_t struct_bytes;
    uint64_t operations, dropped, bytes; /* recorded; not, for want of buffers; of the file */
} omen_trace_report;
/* Everything recorded is in the file on return, synced; report may be NULL. An error while writing
 * ended the recording, and is told here. */
OMEN_API OMEN_MUST_CHECK omen_err omen_trace_stop(omen_db *db, omen_trace_report *report);

#ifdef __cplusplus
}
#endif

#endif

/*
 * table.h - sorted tables (NNNNNN.sst): building, opening, point lookup, cursors, merge sources.
 * Path:    flush, merge -> table builder; get, seek -> run -> [table] -> block. Bytes:
 *          docs/format-table.md
 * File:    header | data blocks | filter | range filter | index | properties | footer. The footer's
 *          directory has slots for absent sections (range deletes, dictionary: reserved).
 * Owner:   omi_table_open gives the handle, omi_table_close takes it; frames are released by
 * whoever got them. Errors:  OMEN_CORRUPT names file, offset and section; a damaged filter is
 * dropped ("maybe" for all, counted); a damaged index section is rebuilt by walking the blocks
 * (counted). Threads: an open table: any thread. A builder, cursor or source: one.
 */
#ifndef OMI_TABLE_H
#define OMI_TABLE_H

#include "compaction/merge.h"
#include "io/env.h"
#include "learned/block_index.h"
#include "learned/filter.h"
#include "learned/range_filter.h"
#include "lsm/cache.h"
#include "lsm/counters.h"
#include "lsm/filter_memory.h"
#include "memtier/extent.h"

/* What the whole database shares with its tables. Counters are relaxed atomics. */
struct omi_log_file;
struct omi_telemetry;
struct omi_table_env {
    struct omi_env *env;
    struct omi_dir *dir;
    struct omi_cache *cache;
    struct omi_order order;
    const omen_filter_policy *filter_policy; /* the user's; NULL: the engine's own filters */
    struct omi_log_file *log;                /* NULL: nothing is told */
    /* Tests: appends every table's filter, whatever was planned. NULL: nobody. */
    omen_err (*_Atomic make_filter)(const struct omi_filter_input *input, struct omi_buf *out);
    bool direct; /* open and write table files with OMI_OPEN_DIRECT */
    struct omi_extent_stats extents;
    struct omi_filter_memory filter_memory;
    _Atomic uint64_t blocks_read, block_bytes_read; /* from the file, not from the cache */
    _Atomic uint64_t cache_hits, cache_misses;
    _Atomic uint64_t index_rebuilt, filters_dropped, certificate_failures;
    /* Tables that a policy made no filter for; whose filter denied a key and was not kept; whose
     * filter is another policy's and is not asked (custom_filter.h). */
    _Atomic uint64_t filters_declined, filters_wrong, filters_foreign;
    _Atomic uint64_t table_bytes_written;
    struct omi_telemetry *telemetry; /* told of one block in 2^follow_bits; NULL: of none */
    uint32_t follow_bits;
    _Atomic uint64_t next_table_id;       /* what blocks are cached under: the same in every run */
    _Atomic uint64_t open_metadata_bytes; /* heap of open tables beside extents */
    /* There is far memory: filters' parts and models' lines may lie in it, and move; fixed before the
     * first table. extents.tier is the tier then. */
    bool far;
    _Atomic bool far_damaged; /* something waits for omi_far_repair */
    struct omi_far_asked {    /* filters and models asked, by where they lay */
        _Alignas(64) _Atomic uint64_t n[OMI_EXTENT_KINDS][OMI_EXTENT_CLASSES];
    } far_asked[OMI_COUNTER_STRIPES];
};

static inline void omi_far_count(struct omi_table_env *tenv, unsigned stripe,
                                 enum omi_extent_kind kind, enum omi_extent_class place)
{
    atomic_fetch_add_explicit(&tenv->far_asked[stripe].n[kind][place], 1, memory_order_relaxed);
}
/* A reader met damage: it has helped itself, and somebody shall repair it. */
static inline void omi_far_hurt(struct omi_table_env *tenv)
{
    atomic_store_explicit(&tenv->far_damaged, true, memory_order_relaxed);
    omi_filter_memory_call(&tenv->filter_memory);
}

/* What the manifest keeps of a table, and the properties section. */
struct omi_table_props {
    uint64_t file_id; /* random; seeds the checks */
    uint64_t file_bytes, raw_bytes, data_bytes;
    uint64_t entries, deletes, range_deletes;
    uint64_t min_seq, max_seq;
    uint64_t created_us;
    uint64_t filter_bytes, range_filter_bytes;
    struct omi_index_info index;
    struct omi_buf smallest, largest; /* user keys; owned */
};
void omi_table_props_fini(struct omi_table_props *props);

/* ---- building ---- */

struct omi_table_params {
    uint32_t block_bytes;
    omen_codec codec;
    /* Of a plain filter, where plan_filter is NULL; 0: no filter. Where there is any, and the env has
     * a filter policy, that makes it. */
    uint32_t filter_bits;
    /* What filter to build, once the file's keys are known: fills params, whose samples it lends
     * until the next call. NULL: plain. */
    omen_err (*plan_filter)(void *ctx, omen_slice smallest, omen_slice largest, uint32_t entries,
                            struct omi_filter_params *params);
    void *plan_ctx;
    /* The same of a range filter; leaves params->bits 0 when there shall be none. NULL: none. */
    omen_err (*plan_range)(void *ctx, omen_slice smallest, omen_slice largest, uint32_t entries,
                           struct omi_range_params *params);
    void *range_ctx;
};

struct omi_table_builder;
/* Buffers of a whole file are kept and reused; create one per job, not per file. */
OMEN_MUST_CHECK omen_err omi_table_builder_create(struct omi_table_env *tenv,
                                                  const struct omi_table_params *params,
                                                  struct omi_table_builder **builder_out);
void omi_table_builder_destroy(struct omi_table_builder *builder);
/* In internal order; copies the entry. */
OMEN_MUST_CHECK omen_err omi_table_builder_add(struct omi_table_builder *builder,
                                               const struct omi_entry *entry);
uint64_t omi_table_builder_raw_bytes(const struct omi_table_builder *builder); /* added so far */
uint64_t omi_table_builder_memory(const struct omi_table_builder *builder);
/* Fits, cuts, writes and syncs file number with what was added (>= 1 entry), and is empty again.
 * The name is not yet durable: the caller syncs the directory. On an error the file is removed as
 * far as possible and the builder is empty. props_out is finished by the caller. */
OMEN_MUST_CHECK omen_err omi_table_builder_finish(struct omi_table_builder *builder,
                                                  uint64_t number,
                                                  struct omi_table_props *props_out);
void omi_table_builder_reset(struct omi_table_builder *builder); /* drops what was added */

/* "NNNNNN.sst" (at least six digits). */
enum { OMI_FILE_NAME_BYTES = 32 };
void omi_table_name(uint64_t number, char name[static OMI_FILE_NAME_BYTES]);

/* ---- reading ---- */

struct omi_table;
/* Reads footer, properties, filter and index. file_bytes as the manifest says. */
OMEN_MUST_CHECK omen_err omi_table_open(struct omi_table_env *tenv, uint64_t number,
                                        uint64_t file_bytes, struct omi_table **table_out);
/* The same, filter and model in the class if there is room (table_env.far). */
OMEN_MUST_CHECK omen_err omi_table_open_in(struct omi_table_env *tenv, uint64_t number,
                                           uint64_t file_bytes, enum omi_extent_class place,
                                           struct omi_table **table_out);
/* forget: the file is about to be deleted, so its cached blocks go too. */
void omi_table_close(struct omi_table *table, bool forget);
const struct omi_table_props *omi_table_props(const struct omi_table *table);
uint64_t omi_table_number(const struct omi_table *table);
uint32_t omi_table_blocks(const struct omi_table *table);

bool omi_table_has_range_filter(const struct omi_table *table);
/* May a key of [low, high] be there? NULL: open on that side; else low <= high. By the table's bounds,
 * then by its range filter. Inside the grace of the filters' memory. */
bool omi_table_may_hold_range(struct omi_table *table, const omen_slice *low,
                              const omen_slice *high);

/* The stages of a point lookup; get runs them in a row, multi_get side by side. */
bool omi_table_has_filter(const struct omi_table *table);
/* route_out, if not NULL, gets the region of the filter that answered. */
bool omi_table_may_hold(struct omi_table *table, omen_slice key, uint64_t key_hash,
                        struct omi_filter_route *route_out);
void omi_table_filter_info(const struct omi_table *table, struct omi_filter_info *info_out);
/* What of the filter is always in memory. */
const struct omi_filter *omi_table_filter(const struct omi_table *table);

/* Parts of its filters, the range filter among them, that have bytes; how many are in memory; how many
 * were missed of late. */
struct omi_table_parts {
    uint32_t all, loaded, wanted;
};
void omi_table_parts_count(const struct omi_table *table, struct omi_table_parts *counts_out);

/* For placement: a sampled lookup came to the table. */
void omi_table_warm(struct omi_table *table);
/* What a lookup of key will read of far memory, if it comes to the table, is on its way from here on; and
 * how it was found, so that the lookup need not find it again. Inside a grace pair, each of the three. */
struct omi_table_ahead {
    struct omi_table *table; /* NULL: nothing was found out */
    enum omi_filter_answer answer;
    struct omi_filter_route route;
    struct omi_index_way way;
};
void omi_table_ahead(struct omi_table *table, omen_slice key, uint64_t hash,
                     struct omi_table_ahead *ahead_out);
/* As omi_table_may_hold and omi_table_find_block of ahead->table. */
bool omi_table_may_hold_ahead(const struct omi_table_ahead *ahead, omen_slice key,
                              uint64_t key_hash, struct omi_filter_route *route_out);
OMEN_MUST_CHECK omen_err omi_table_find_block_ahead(const struct omi_table_ahead *ahead,
                                                    omen_slice key, uint64_t trailer,
                                                    struct omi_index_trace *trace,
                                                    uint32_t *block_out);

/* What sampled lookups met in a table with a filter; counted since it was written. */
enum omi_sampled { OMI_SAMPLED_NEGATIVE, OMI_SAMPLED_FALSE_POSITIVE, OMI_SAMPLED_HELD };
void omi_table_count_sampled(struct omi_table *table, const struct omi_filter_route *route,
                             enum omi_sampled outcome);
struct omi_table_counts;
void omi_table_counts(const struct omi_table *table, struct omi_table_counts *counts_out);
void omi_table_add_counts(struct omi_table *table, const struct omi_table_counts *counts);
/* Absent sampled lookups in a region, and those that passed. */
void omi_table_region_counts(const struct omi_table *table, uint32_t region, uint32_t *absent_out,
                             uint32_t *passed_out);
/* Fails only where far memory was lost and the file does not give it back. trace may be NULL. */
OMEN_MUST_CHECK omen_err omi_table_find_block(struct omi_table *table, omen_slice key,
                                              uint64_t trailer, struct omi_index_trace *trace,
                                              uint32_t *block_out);
/* The block from the cache, or NULL. */
struct omi_frame *omi_table_cached(struct omi_table *table, uint32_t block);
/* The block from the cache or the file, pinned. A failed check is read once more, past the cache,
 * before it is OMEN_CORRUPT. */
OMEN_MUST_CHECK omen_err omi_table_load(struct omi_table *table, uint32_t block, bool fill_cache,
                                        struct omi_frame **frame_out);
/* The same, telling whether it was read from the file. */
OMEN_MUST_CHECK omen_err omi_table_load_told(struct omi_table *table, uint32_t block,
                                             bool fill_cache, struct omi_frame **frame_out,
                                             bool *read_out);
void omi_table_tell_asked(struct omi_table *table, const struct omi_frame *frame);
/* For the telemetry: a lookup or scan goes on to the block in frame. */
static inline void omi_table_asked(struct omi_table *table, const struct omi_frame *frame)
{
    if (__builtin_expect(frame->followed, 0))
        omi_table_tell_asked(table, frame);
}
/* A load in two halves, for a batch: start fills read (buffer from malloc, aligned), the caller
 * runs env->ops->read_batch, finish checks, decodes, inserts, and frees the buffer. Always call
 * finish after start. */
OMEN_MUST_CHECK omen_err omi_table_load_start(struct omi_table *table, uint32_t block,
                                              struct omi_read *read);
OMEN_MUST_CHECK omen_err omi_table_load_finish(struct omi_table *table, uint32_t block,
                                               bool fill_cache, struct omi_read *read,
                                               struct omi_frame **frame_out);

/* ---- a cursor over a run: disjoint tables in key order, both directions ---- */

struct omi_run_cursor {
    struct omi_table *const *tables; /* borrowed, ascending */
    uint32_t table_count;
    const struct omi_order *order;
    bool fill_cache;
    /* position, private */
    uint32_t table, block, index;
    struct omi_frame *frame; /* NULL: not valid */
    struct omi_entry entry;
    struct omi_buf key;
    uint32_t streak; /* consecutive blocks read in one direction: grows the read-ahead */
    struct omi_frame *ahead[32];
    uint32_t ahead_count, ahead_next;
    omen_err err;
    struct {
        uint64_t opens, blocks, reads; /* placings; blocks asked; blocks read, ahead too */
    } io;                              /* since init; the owner may take from it */
};
void omi_run_cursor_init(struct omi_run_cursor *c, struct omi_table *const *tables,
                         uint32_t table_count, const struct omi_order *order, bool fill_cache);
void omi_run_cursor_fini(struct omi_run_cursor *c);
/* To the first entry >= (key, trailer). Failures leave it not valid with err set. */
void omi_run_cursor_seek(struct omi_run_cursor *c, omen_slice key, uint64_t trailer);
void omi_run_cursor_seek_for_prev(struct omi_run_cursor *c, omen_slice key, uint64_t trailer);
void omi_run_cursor_first(struct omi_run_cursor *c);
void omi_run_cursor_last(struct omi_run_cursor *c);
void omi_run_cursor_next(struct omi_run_cursor *c); /* needs valid */
void omi_run_cursor_prev(struct omi_run_cursor *c);
/* A key until such that the run has none in [low, until), as far as bounds and filters tell; none: it has
 * none >= low. low NULL: from the start. Inside the grace of the filters' memory. */
OMEN_MUST_CHECK omen_err omi_run_cursor_free(const struct omi_run_cursor *c, const omen_slice *low,
                                             struct omi_buf *until_out, bool *none_out);
/* May a key of [low, high] be in the run? As omi_table_may_hold_range; the position does not matter
 * and stays. */
bool omi_run_cursor_may_hold(const struct omi_run_cursor *c, const omen_slice *low,
                             const omen_slice *high);
static inline bool omi_run_cursor_valid(const struct omi_run_cursor *c)
{
    return c->frame != NULL;
}

/* ---- a merge source over a run: whole files in large reads, past the cache ---- */

/* All entries of tables[0, table_count) in order, a block a batch. Reads chunk_bytes at a time (a
 * block at least) through the env's batches. Close with omi_table_source_close. The entries of a
 * batch live until the next refill. */
OMEN_MUST_CHECK omen_err omi_table_source_open(struct omi_table *const *tables,
                                               uint32_t table_count, uint64_t chunk_bytes,
                                               struct omi_merge_source **source_out);
void omi_table_source_close(struct omi_merge_source *source);

/* ---- checking ---- */

struct omi_table_verdict {
    uint64_t blocks, entries, bytes, errors;
};
/* Reads everything: checks, order inside and across blocks, index and filter answers for every key,
 * bounds and counts against the properties. Each problem is told to problem. */
OMEN_MUST_CHECK omen_err omi_table_verify(struct omi_table *table,
                                          struct omi_table_verdict *verdict,
                                          void (*problem)(void *ctx, const char *text), void *ctx);

#endif

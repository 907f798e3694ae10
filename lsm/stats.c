/*
 * stats.c - what is measured, gathered: counters, levels, memory by owner; kept over the life of
 * the database in the manifest, and replaced in STATS for those who look without the lock.
 */
#include "lsm/db.h"
#include "lsm/far.h"

#include "io/base/coding.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

static const char *const stall_names[OMI_STALLS] = {"memtables", "debt"};

const char *omen_stall_name(size_t index)
{
    return index < OMI_STALLS ? stall_names[index] : NULL;
}

void omi_stats_level(omen_db *db, uint32_t level, const struct omen_level_stats *add)
{
    omi_mutex_lock(&db->mu);
    struct omen_level_stats *to = &db->level_stats[level - 1];
    to->read_bytes += add->read_bytes;
    to->written_bytes += add->written_bytes;
    to->moved_bytes += add->moved_bytes;
    to->entries_in += add->entries_in;
    to->entries_dropped += add->entries_dropped;
    to->merges += add->merges;
    to->merge_us += add->merge_us;
    omi_mutex_unlock(&db->mu);
}

void omi_stats_merged(omen_db *db, uint32_t level, const struct omi_merge_stats *merged)
{
    unsigned stripe = omi_counter_stripe();
    omi_count_at(&db->counters, stripe, OMI_COUNT_OVERWRITTEN, merged->dropped_shadowed);
    omi_count_at(&db->counters, stripe, OMI_COUNT_DELETES_DROPPED, merged->dropped_deletes);
    omi_count_level(&db->counters, stripe, level, OMI_LEVEL_DROPPED_BYTES,
                    merged->bytes_in - merged->bytes_out);
}

/* ---- over the life of the database ----------------------------------------------------------- */

/* Varints, three lists: how many counters, the counters; how many levels, seven figures each; how many
 * figures of how many levels, these. Unknown ones at the end of each list are skipped, missing ones
 * are zero. */
enum { LEVEL_FIGURES = 7 };

uint64_t omi_lifetime(const omen_db *db, enum omi_counter which)
{
    uint64_t v = db->stored_counters[which] + omi_counter_sum(&db->counters, which);
    if (db->wal == NULL)
        return v;
    if (which == OMI_COUNT_LOG_BYTES || which == OMI_COUNT_DEVICE_BYTES)
        v += omi_wal_bytes(db->wal);
    else if (which == OMI_COUNT_LOG_SYNCS)
        v += omi_wal_syncs(db->wal);
    return v;
}

static uint64_t level_lifetime(const omen_db *db, uint32_t level, enum omi_level_counter which)
{
    return db->stored_level_io[level - 1][which] +
           omi_level_counter_sum(&db->counters, level, which);
}

static void history_figures(const struct omen_level_stats *s, uint64_t out[static LEVEL_FIGURES])
{
    const uint64_t figures[LEVEL_FIGURES] = {s->read_bytes, s->written_bytes,   s->moved_bytes,
                                             s->entries_in, s->entries_dropped, s->merges,
                                             s->merge_us};
    memcpy(out, figures, sizeof(figures));
}

/* Levels from 1 on that have something to keep: the others need no bytes. */
static uint32_t levels_to_keep(omen_db *db, bool io)
{
    uint32_t level = OMEN_LEVELS_MAX;
    for (; level > 0; level--) {
        uint64_t any = 0, figures[LEVEL_FIGURES];
        history_figures(&db->level_stats[level - 1], figures);
        for (int i = 0; i < LEVEL_FIGURES && !io; i++)
            any |= figures[i];
        for (int i = 0; i < OMI_LEVEL_COUNTERS && io; i++)
            any |= level_lifetime(db, level, (enum omi_level_counter)i);
        if (any != 0)
            break;
    }
    return level;
}

static omen_err encode_history(omen_db *db, struct omi_buf *out)
{
    omi_mutex_lock(&db->mu);
    uint32_t levels = levels_to_keep(db, false);
    omen_err err = omi_buf_append_varint(out, levels);
    for (uint32_t l = 0; l < levels; l++) {
        uint64_t figures[LEVEL_FIGURES];
        history_figures(&db->level_stats[l], figures);
        for (int i = 0; i < LEVEL_FIGURES && err == OMEN_OK; i++)
            err = omi_buf_append_varint(out, figures[i]);
    }
    omi_mutex_unlock(&db->mu);
    return err;
}

static omen_err encode_level_io(omen_db *db, struct omi_buf *out)
{
    omi_mutex_lock(&db->mu);
    uint32_t levels = levels_to_keep(db, true);
    omi_mutex_unlock(&db->mu);
    omen_err err = omi_buf_append_varint(out, OMI_LEVEL_COUNTERS);
    if (err == OMEN_OK)
        err = omi_buf_append_varint(out, levels);
    for (uint32_t l = 1; l <= levels; l++)
        for (int i = 0; i < OMI_LEVEL_COUNTERS && err == OMEN_OK; i++)
            err = omi_buf_append_varint(out, level_lifetime(db, l, (enum omi_level_counter)i));
    return err;
}

omen_err omi_lifetime_encode(omen_db *db, struct omi_buf *out)
{
    out->size = 0;
    omen_err err = omi_buf_append_varint(out, OMI_COUNTERS);
    for (int i = 0; i < OMI_COUNTERS && err == OMEN_OK; i++)
        err = omi_buf_append_varint(out, omi_lifetime(db, (enum omi_counter)i));
    if (err == OMEN_OK)
        err = encode_history(db, out);
    return err == OMEN_OK ? encode_level_io(db, out) : err;
}

static void decode_history(omen_db *db, struct omi_reader *r)
{
    uint64_t count = omi_take_varint(r);
    for (uint64_t l = 0; l < count && !r->failed; l++) {
        uint64_t f[LEVEL_FIGURES];
        for (int i = 0; i < LEVEL_FIGURES; i++)
            f[i] = omi_take_varint(r);
        if (l < OMEN_LEVELS_MAX && !r->failed)
            db->level_stats[l] = (struct omen_level_stats){.read_bytes = f[0],
                                                           .written_bytes = f[1],
                                                           .moved_bytes = f[2],
                                                           .entries_in = f[3],
                                                           .entries_dropped = f[4],
                                                           .merges = f[5],
                                                           .merge_us = f[6]};
    }
}

static void decode_level_io(omen_db *db, struct omi_reader *r)
{
    uint64_t figures = omi_take_varint(r), levels = omi_take_varint(r);
    for (uint64_t l = 0; l < levels && !r->failed; l++)
        for (uint64_t i = 0; i < figures && !r->failed; i++) {
            uint64_t v = omi_take_varint(r);
            if (l < OMEN_LEVELS_MAX && i < OMI_LEVEL_COUNTERS && !r->failed)
                db->stored_level_io[l][i] = v;
        }
}

void omi_lifetime_decode(omen_db *db, omen_slice bytes)
{
    struct omi_reader r = omi_reader_of(bytes.data, bytes.size);
    uint64_t count = omi_take_varint(&r);
    memset(db->stored_level_io, 0, sizeof(db->stored_level_io));
    for (uint64_t i = 0; i < count && !r.failed; i++) {
        uint64_t v = omi_take_varint(&r);
        if (i < OMI_COUNTERS)
            db->stored_counters[i] = v;
    }
    decode_history(db, &r);
    decode_level_io(db, &r);
}

/* ---- gathering ------------------------------------------------------------------------------- */

static void gather_counters(omen_db *db, omen_stats *s)
{
    s->puts = omi_lifetime(db, OMI_COUNT_PUTS);
    s->deletes = omi_lifetime(db, OMI_COUNT_DELETES);
    s->batches = omi_lifetime(db, OMI_COUNT_BATCHES);
    s->user_bytes = omi_lifetime(db, OMI_COUNT_USER_BYTES);
    s->log_bytes = omi_lifetime(db, OMI_COUNT_LOG_BYTES);
    s->log_syncs = omi_lifetime(db, OMI_COUNT_LOG_SYNCS);
    s->device_bytes = omi_lifetime(db, OMI_COUNT_DEVICE_BYTES);
    s->gets = omi_lifetime(db, OMI_COUNT_GETS);
    s->get_hits = omi_lifetime(db, OMI_COUNT_GET_HITS);
    s->get_memtable_hits = omi_lifetime(db, OMI_COUNT_GET_MEMTABLE_HITS);
    s->get_blocks = omi_lifetime(db, OMI_COUNT_GET_BLOCKS);
    s->multi_get_keys = omi_lifetime(db, OMI_COUNT_MULTI_GET_KEYS);
    s->seeks = omi_lifetime(db, OMI_COUNT_SEEKS);
    s->nexts = omi_lifetime(db, OMI_COUNT_NEXTS);
    s->tombstones_skipped = omi_lifetime(db, OMI_COUNT_TOMBSTONES_SKIPPED);
    s->filter_probes = omi_lifetime(db, OMI_COUNT_FILTER_PROBES);
    s->filter_negatives = omi_lifetime(db, OMI_COUNT_FILTER_NEGATIVES);
    s->filter_false_positives = omi_lifetime(db, OMI_COUNT_FILTER_FALSE_POSITIVES);
    s->index_grid_hits = omi_lifetime(db, OMI_COUNT_INDEX_GRID_HITS);
    s->index_keyed_compares = omi_lifetime(db, OMI_COUNT_INDEX_KEYED_COMPARES);
    s->flushes = omi_lifetime(db, OMI_COUNT_FLUSHES);
    s->flush_bytes = omi_lifetime(db, OMI_COUNT_FLUSH_BYTES);
    s->flush_us = omi_lifetime(db, OMI_COUNT_FLUSH_US);
    s->merges = omi_lifetime(db, OMI_COUNT_MERGES);
    s->merge_read_bytes = omi_lifetime(db, OMI_COUNT_MERGE_READ_BYTES);
    s->merge_written_bytes = omi_lifetime(db, OMI_COUNT_MERGE_WRITTEN_BYTES);
    s->range_filter_asked = omi_lifetime(db, OMI_COUNT_RANGE_ASKED);
    s->range_filter_parked = omi_lifetime(db, OMI_COUNT_RANGE_PARKED);
    s->range_filter_activated = omi_lifetime(db, OMI_COUNT_RANGE_ACTIVATED);
    s->range_filter_in_vain = omi_lifetime(db, OMI_COUNT_RANGE_IN_VAIN);
    s->get_block_reads = omi_lifetime(db, OMI_COUNT_GET_BLOCK_READS);
    s->scan_opens = omi_lifetime(db, OMI_COUNT_SCAN_OPENS);
    s->scan_blocks = omi_lifetime(db, OMI_COUNT_SCAN_BLOCKS);
    s->scan_block_reads = omi_lifetime(db, OMI_COUNT_SCAN_BLOCK_READS);
    s->scan_entries = omi_lifetime(db, OMI_COUNT_SCAN_ENTRIES);
    s->user_read_bytes = omi_lifetime(db, OMI_COUNT_READ_BYTES);
    s->merge_overwritten = omi_lifetime(db, OMI_COUNT_OVERWRITTEN);
    s->merge_deletes = omi_lifetime(db, OMI_COUNT_DELETES_DROPPED);
    s->merge_moved_tables = omi_lifetime(db, OMI_COUNT_MOVED_TABLES);
    for (int i = 0; i < OMI_STALLS; i++) {
        s->stall_count[i] = omi_lifetime(db, (enum omi_counter)(OMI_COUNT_STALLS + i));
        s->stall_us[i] = omi_lifetime(db, (enum omi_counter)(OMI_COUNT_STALL_US + i));
    }
}

static void gather_tables(const struct omi_version *v, omen_stats *s)
{
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t j = 0; j < v->runs[i].table_count; j++) {
            const struct omi_table_props *p = omi_table_props(v->runs[i].tables[j]);
            s->index_bytes += p->index.bytes;
            s->index_keys += p->index.keys;
            s->index_blocks += p->index.blocks;
            s->index_knots += p->index.knots;
            s->index_keyed_cuts += p->index.keyed_cuts;
            s->index_explicit_files += p->index.is_explicit;
            s->filter_bytes += p->filter_bytes;
            s->range_filter_bytes += p->range_filter_bytes;
            s->range_filter_tables += p->range_filter_bytes != 0;
            s->level[v->runs[i].level - 1].entries += p->entries;
        }
}

static void gather_memory(omen_db *db, const struct omi_view *view, omen_stats *s)
{
    for (uint32_t i = 0; i < view->mem_count; i++)
        s->memory_memtables += omi_memtable_memory(view->mems[i]);
    s->memory_cache = omi_cache_bytes(db->tenv.cache);
    s->memory_filters = atomic_load(&db->tenv.extents.taken[OMI_EXTENT_FILTER][OMI_EXTENT_NEAR]);
    s->memory_models = atomic_load(&db->tenv.extents.taken[OMI_EXTENT_MODEL][OMI_EXTENT_NEAR]);
    s->memory_build = atomic_load(&db->build_bytes);
    s->memory_metadata = atomic_load(&db->tenv.open_metadata_bytes);
    s->memory_log = db->ops_buf.capacity;
}

static void gather_levels(omen_db *db, const struct omi_view *view, omen_stats *s)
{
    s->levels = view->version->tree.level_count;
    for (uint32_t l = 0; l < OMEN_LEVELS_MAX; l++) {
        const struct omi_tree_level *level = &view->version->tree.levels[l];
        s->level[l] = db->level_stats[l];
        s->level[l].runs = level->run_count;
        for (uint32_t i = 0; i < level->run_count; i++)
            s->level[l].files += level->runs[i].file_count;
        s->level[l].bytes = level->bytes;
        s->level[l].capacity_bytes = omi_shape_capacity(&db->settings.shape, l + 1);
        if ((s->level[l].merges | s->level[l].moved_bytes) != 0 && l + 1 > s->levels)
            s->levels = l + 1;
    }
}

static void gather_level_io(omen_db *db, omen_stats *s)
{
    for (uint32_t l = 1; l <= OMEN_LEVELS_MAX; l++)
        s->level_io[l - 1] = (omen_level_io){
            .filter_probes = level_lifetime(db, l, OMI_LEVEL_FILTER_PROBES),
            .filter_negatives = level_lifetime(db, l, OMI_LEVEL_FILTER_NEGATIVES),
            .filter_false_positives = level_lifetime(db, l, OMI_LEVEL_FILTER_FALSE_POSITIVES),
            .get_blocks = level_lifetime(db, l, OMI_LEVEL_GET_BLOCKS),
            .get_block_reads = level_lifetime(db, l, OMI_LEVEL_GET_BLOCK_READS),
            .scan_opens = level_lifetime(db, l, OMI_LEVEL_SCAN_OPENS),
            .scan_blocks = level_lifetime(db, l, OMI_LEVEL_SCAN_BLOCKS),
            .scan_block_reads = level_lifetime(db, l, OMI_LEVEL_SCAN_BLOCK_READS),
            .moved_tables = level_lifetime(db, l, OMI_LEVEL_MOVED_TABLES),
            .dropped_bytes = level_lifetime(db, l, OMI_LEVEL_DROPPED_BYTES)};
}

static void gather_parts(omen_db *db, const struct omi_version *v, omen_stats *s)
{
    const struct omi_filter_memory *m = &db->tenv.filter_memory;
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t j = 0; j < v->runs[i].table_count; j++) {
            struct omi_table_parts p;
            omi_table_parts_count(v->runs[i].tables[j], &p);
            s->filter_parts += p.all;
            s->filter_parts_loaded += p.loaded;
            s->filter_parts_wanted += p.wanted;
        }
    s->filter_limit_bytes = atomic_load(&m->limit_bytes);
    s->filter_head_bytes = atomic_load(&m->head_bytes);
    s->filter_part_loads = atomic_load(&m->loads);
    s->filter_part_evictions = atomic_load(&m->evictions);
    s->filter_parts_missed = atomic_load(&m->absent);
    s->filters_damaged = atomic_load(&m->damaged) + atomic_load(&db->tenv.filters_dropped);
}

static void gather(omen_db *db, omen_stats *s)
{
    memset(s, 0, sizeof(*s));
    s->struct_bytes = sizeof(*s);
    struct omi_view *view = omi_view_ref(db);
    gather_counters(db, s);
    gather_level_io(db, s);
    omi_mutex_lock(&db->mu);
    gather_levels(db, view, s);
    s->snapshots = db->snapshot_count;
    s->immutables = db->immutable_count;
    omi_mutex_unlock(&db->mu);
    gather_tables(view->version, s);
    gather_memory(db, view, s);
    omi_stats_filters(db, view->version, s);
    gather_parts(db, view->version, s);
    omi_stats_far(db, s);
    s->uptime_us = (omi_now_ns(db->env) - db->opened_ns) / 1000;
    s->last_seq = atomic_load(&db->visible_seq);
    s->iterators = atomic_load(&db->iterators);
    s->memtables = view->mem_count;
    s->cache_hits = atomic_load(&db->tenv.cache_hits);
    s->cache_misses = atomic_load(&db->tenv.cache_misses);
    s->cache_bytes = s->memory_cache;
    s->cache_capacity = omi_cache_capacity(db->tenv.cache);
    s->index_certificate_failures = atomic_load(&db->tenv.certificate_failures);
    s->index_rebuilt = atomic_load(&db->tenv.index_rebuilt);
    s->recovered_ops = db->recovered_ops;
    s->recovered_cut_bytes = db->recovered_cut_bytes;
    s->filter_policy_declined = atomic_load(&db->tenv.filters_declined);
    s->filter_policy_wrong = atomic_load(&db->tenv.filters_wrong);
    s->filter_policy_foreign = atomic_load(&db->tenv.filters_foreign);
    s->disk_reserve_bytes = db->space.reserve_bytes;
    s->disk_low = atomic_load(&db->space.low);
    s->disk_low_count = atomic_load(&db->space.low_count);
    snprintf(s->io_engine, sizeof(s->io_engine), "%s", db->io_engine);
    snprintf(s->io_why, sizeof(s->io_why), "%s", db->io_why);
    omi_view_unref(view);
}

omen_err omen_get_stats(omen_db *db, omen_stats *stats_out)
{
    size_t size = stats_out->struct_bytes;
    if (size < sizeof(size_t) || size > sizeof(omen_stats))
        return omi_fail(OMEN_INVALID, 0, "omen_stats.struct_bytes is %zu; set it to its sizeof",
                        size);
    omen_stats s;
    gather(db, &s);
    s.struct_bytes = size;
    memcpy(stats_out, &s, size);
    return OMEN_OK;
}

omen_err omen_list_tables(omen_db *db, void (*table)(void *context, const omen_table_info *info),
                          void *context)
{
    struct omi_view *view = omi_view_ref(db);
    for (uint32_t i = 0; i < view->version->run_count; i++) {
        const struct omi_run_view *run = &view->version->runs[i];
        for (uint32_t j = 0; j < run->table_count; j++) {
            const struct omi_table_props *p = omi_table_props(run->tables[j]);
            omen_table_info info = {.struct_bytes = sizeof(info),
                                    .number = run->files[j]->number,
                                    .run = run->age,
                                    .bytes = p->file_bytes,
                                    .entries = p->entries,
                                    .deletes = p->deletes,
                                    .blocks = p->index.blocks,
                                    .index_bytes = p->index.bytes,
                                    .filter_bytes = p->filter_bytes,
                                    .knots = p->index.knots,
                                    .keyed_cuts = p->index.keyed_cuts,
                                    .min_seq = p->min_seq,
                                    .max_seq = p->max_seq,
                                    .level = run->level,
                                    .index_explicit = p->index.is_explicit,
                                    .first_key = run->files[j]->smallest,
                                    .last_key = run->files[j]->largest};
            omi_stats_table_filter(run->tables[j], &info);
            omi_stats_table_far(run->tables[j], &info);
            table(context, &info);
        }
    }
    omi_view_unref(view);
    return OMEN_OK;
}

/* ---- STATS ----------------------------------------------------------------------------------- */

void omi_stats_publish(omen_db *db)
{
    char *json = omen_stats_json(db);
    if (json == NULL || omi_file_replace(db->dir, "STATS", json, strlen(json)) != OMEN_OK)
        omi_say(db->log_file, 1, "the STATS file could not be replaced: %s", omen_last_error());
    omen_free(json);
}

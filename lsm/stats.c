/*
 * stats.c - what is measured, gathered: counters, levels, memory by owner; kept over the life of
 * the database in the manifest, and replaced in STATS for those who look without the lock.
 */
#include "lsm/db.h"

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

/* ---- over the life of the database ----------------------------------------------------------- */

/* Varints: how many counters, the counters; how many levels, seven figures each. Unknown ones at
 * the end of either list are skipped, missing ones are zero. */
static uint64_t lifetime(const omen_db *db, enum omi_counter which)
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

omen_err omi_lifetime_encode(omen_db *db, struct omi_buf *out)
{
    out->size = 0;
    omen_err err = omi_buf_append_varint(out, OMI_COUNTERS);
    for (int i = 0; i < OMI_COUNTERS && err == OMEN_OK; i++)
        err = omi_buf_append_varint(out, lifetime(db, (enum omi_counter)i));
    if (err == OMEN_OK)
        err = omi_buf_append_varint(out, OMEN_LEVELS_MAX);
    omi_mutex_lock(&db->mu);
    for (int l = 0; l < OMEN_LEVELS_MAX && err == OMEN_OK; l++) {
        const struct omen_level_stats *s = &db->level_stats[l];
        const uint64_t figures[7] = {s->read_bytes, s->written_bytes,   s->moved_bytes,
                                     s->entries_in, s->entries_dropped, s->merges,
                                     s->merge_us};
        for (int i = 0; i < 7 && err == OMEN_OK; i++)
            err = omi_buf_append_varint(out, figures[i]);
    }
    omi_mutex_unlock(&db->mu);
    return err;
}

void omi_lifetime_decode(omen_db *db, omen_slice bytes)
{
    struct omi_reader r = omi_reader_of(bytes.data, bytes.size);
    uint64_t count = omi_take_varint(&r);
    for (uint64_t i = 0; i < count && !r.failed; i++) {
        uint64_t v = omi_take_varint(&r);
        if (i < OMI_COUNTERS)
            db->stored_counters[i] = v;
    }
    count = omi_take_varint(&r);
    for (uint64_t l = 0; l < count && !r.failed; l++) {
        uint64_t f[7];
        for (int i = 0; i < 7; i++)
            f[i] = omi_take_varint(&r);
        if (l < OMEN_LEVELS_MAX && !r.failed)
            db->level_stats[l] = (struct omen_level_stats){.read_bytes = f[0],
                                                           .written_bytes = f[1],
                                                           .moved_bytes = f[2],
                                                           .entries_in = f[3],
                                                           .entries_dropped = f[4],
                                                           .merges = f[5],
                                                           .merge_us = f[6]};
    }
}

/* ---- gathering ------------------------------------------------------------------------------- */

static void gather_counters(omen_db *db, omen_stats *s)
{
    s->puts = lifetime(db, OMI_COUNT_PUTS);
    s->deletes = lifetime(db, OMI_COUNT_DELETES);
    s->batches = lifetime(db, OMI_COUNT_BATCHES);
    s->user_bytes = lifetime(db, OMI_COUNT_USER_BYTES);
    s->log_bytes = lifetime(db, OMI_COUNT_LOG_BYTES);
    s->log_syncs = lifetime(db, OMI_COUNT_LOG_SYNCS);
    s->device_bytes = lifetime(db, OMI_COUNT_DEVICE_BYTES);
    s->gets = lifetime(db, OMI_COUNT_GETS);
    s->get_hits = lifetime(db, OMI_COUNT_GET_HITS);
    s->get_memtable_hits = lifetime(db, OMI_COUNT_GET_MEMTABLE_HITS);
    s->get_blocks = lifetime(db, OMI_COUNT_GET_BLOCKS);
    s->multi_get_keys = lifetime(db, OMI_COUNT_MULTI_GET_KEYS);
    s->seeks = lifetime(db, OMI_COUNT_SEEKS);
    s->nexts = lifetime(db, OMI_COUNT_NEXTS);
    s->tombstones_skipped = lifetime(db, OMI_COUNT_TOMBSTONES_SKIPPED);
    s->filter_probes = lifetime(db, OMI_COUNT_FILTER_PROBES);
    s->filter_negatives = lifetime(db, OMI_COUNT_FILTER_NEGATIVES);
    s->filter_false_positives = lifetime(db, OMI_COUNT_FILTER_FALSE_POSITIVES);
    s->index_grid_hits = lifetime(db, OMI_COUNT_INDEX_GRID_HITS);
    s->index_keyed_compares = lifetime(db, OMI_COUNT_INDEX_KEYED_COMPARES);
    s->flushes = lifetime(db, OMI_COUNT_FLUSHES);
    s->flush_bytes = lifetime(db, OMI_COUNT_FLUSH_BYTES);
    s->flush_us = lifetime(db, OMI_COUNT_FLUSH_US);
    s->merges = lifetime(db, OMI_COUNT_MERGES);
    s->merge_read_bytes = lifetime(db, OMI_COUNT_MERGE_READ_BYTES);
    s->merge_written_bytes = lifetime(db, OMI_COUNT_MERGE_WRITTEN_BYTES);
    s->range_filter_asked = lifetime(db, OMI_COUNT_RANGE_ASKED);
    s->range_filter_parked = lifetime(db, OMI_COUNT_RANGE_PARKED);
    s->range_filter_activated = lifetime(db, OMI_COUNT_RANGE_ACTIVATED);
    s->range_filter_in_vain = lifetime(db, OMI_COUNT_RANGE_IN_VAIN);
    for (int i = 0; i < OMI_STALLS; i++) {
        s->stall_count[i] = lifetime(db, (enum omi_counter)(OMI_COUNT_STALLS + i));
        s->stall_us[i] = lifetime(db, (enum omi_counter)(OMI_COUNT_STALL_US + i));
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
    s->memory_filters = atomic_load(&db->tenv.extents.bytes[OMI_EXTENT_FILTER]);
    s->memory_models = atomic_load(&db->tenv.extents.bytes[OMI_EXTENT_MODEL]);
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
    omi_mutex_lock(&db->mu);
    gather_levels(db, view, s);
    s->snapshots = db->snapshot_count;
    s->immutables = db->immutable_count;
    omi_mutex_unlock(&db->mu);
    gather_tables(view->version, s);
    gather_memory(db, view, s);
    omi_stats_filters(db, view->version, s);
    gather_parts(db, view->version, s);
    s->uptime_us = (omi_now_ns(db->env) - db->opened_ns) / 1000;
    s->last_seq = atomic_load(&db->visible_seq);
    s->iterators = atomic_load(&db->iterators);
    s->memtables = view->mem_count;
    s->cache_hits = atomic_load(&db->tenv.cache_hits);
    s->cache_misses = atomic_load(&db->tenv.cache_misses);
    s->scan_blocks = s->cache_hits + s->cache_misses > s->get_blocks
                         ? s->cache_hits + s->cache_misses - s->get_blocks
                         : 0;
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

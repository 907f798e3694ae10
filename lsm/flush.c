/* flush.c - the oldest immutable memtable becomes a run of level 1. */
#include "lsm/db.h"

#include <stdlib.h>

/* The telemetry hears between which keys the tables lie that edit adds from number from on. */
static void tell_span(omen_db *db, const struct omi_edit *edit, uint32_t from)
{
    if (!omi_order_is_bytewise(&db->tenv.order) || from == edit->added_count)
        return;
    const struct omi_table_props *first = &edit->added[from].props, *last = first;
    for (uint32_t i = from + 1; i < edit->added_count; i++) {
        const struct omi_table_props *p = &edit->added[i].props;
        if (omi_bytes_compare(p->smallest.data, p->smallest.size, first->smallest.data,
                              first->smallest.size) < 0)
            first = p;
        if (omi_bytes_compare(p->largest.data, p->largest.size, last->largest.data,
                              last->largest.size) > 0)
            last = p;
    }
    omi_telemetry_flushed(db->telemetry, omi_slice(first->smallest.data, first->smallest.size),
                          omi_slice(last->largest.data, last->largest.size));
}

omen_err omi_db_flush_memtable(omen_db *db, struct omi_memtable *m, uint64_t age,
                               struct omi_edit *edit)
{
    struct omi_merge_source *source = NULL;
    struct omi_output *output = NULL;
    uint64_t *snapshots = NULL;
    struct omi_merge_stats merged = {0};
    struct omi_merge_params params = {.order = &db->tenv.order};
    uint64_t started_ns = omi_now_ns(db->env);

    omen_err err = omi_db_snapshot_seqs(db, &snapshots, &params.snapshot_count);
    if (err != OMEN_OK)
        return err;
    params.snapshots = snapshots;
    err = omi_memtable_source_open(m, &source);
    if (err != OMEN_OK)
        goto free_snapshots;
    err = omi_output_create(db, 1, age, false, omi_memtable_entries(m), &output);
    if (err != OMEN_OK)
        goto close_source;
    uint32_t made_before = edit->added_count;
    err = omi_merge_run(&source, 1, omi_output_sink(output), &params, &merged);
    if (err == OMEN_OK)
        err = omi_output_finish(output, edit);
    if (err == OMEN_OK) {
        uint64_t us = (omi_now_ns(db->env) - started_ns) / 1000;
        uint64_t bytes = omi_output_bytes(output);
        omi_count(&db->counters, OMI_COUNT_FLUSHES, 1);
        omi_count(&db->counters, OMI_COUNT_FLUSH_BYTES, bytes);
        omi_count(&db->counters, OMI_COUNT_FLUSH_US, us);
        omi_count(&db->counters, OMI_COUNT_DEVICE_BYTES, bytes);
        struct omen_level_stats add = {.written_bytes = bytes,
                                       .merges = 1,
                                       .merge_us = us,
                                       .entries_in = merged.entries_in,
                                       .entries_dropped = merged.entries_in - merged.entries_out};
        omi_stats_level(db, 1, &add);
        omi_stats_merged(db, 1, &merged);
        tell_span(db, edit, made_before);
        omi_say(db->log_file, 2, "flush: %" PRIu64 " entries, %" PRIu64 " bytes, %" PRIu64 " us",
                merged.entries_out, bytes, us);
    }
    omi_output_destroy(output);
close_source:
    omi_memtable_source_close(source);
free_snapshots:
    free(snapshots);
    return err;
}

omen_err omi_db_flush_one(omen_db *db)
{
    omi_mutex_lock(&db->mu);
    struct omi_memtable *m = db->immutable_count > 0 ? db->immutables[0].table : NULL;
    if (m != NULL)
        omi_memtable_ref(m);
    omi_mutex_unlock(&db->mu);
    if (m == NULL)
        return OMEN_OK;
    omi_mutex_lock(&db->install);
    uint64_t age = db->next_age++;
    omi_mutex_unlock(&db->install);
    struct omi_edit edit = {0};
    omen_err err = omi_db_flush_memtable(db, m, age, &edit);
    if (err == OMEN_OK)
        err = omi_wal_settle(db->wal); /* after a log failure nothing is installed any more */
    if (err == OMEN_OK) {
        omi_mutex_lock(&db->install);
        err = omi_db_install(db, &edit, true);
        omi_mutex_unlock(&db->install);
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < edit.added_count; i++)
        bytes += edit.added[i].props.file_bytes;
    omi_edit_fini(&edit);
    omi_memtable_unref(m);
    if (err == OMEN_OK) {
        omi_mutex_lock(&db->mu);
        omi_db_rebalance_locked(db, bytes);
        omi_mutex_unlock(&db->mu);
    }
    return err;
}

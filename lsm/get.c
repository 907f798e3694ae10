/*
 * get.c - the point lookup, top to bottom: memtables newest first, then the runs newest first, each
 * by its filter, its block index, one block; the first version found is the answer.
 */
#include "io/base/hash.h"
#include "io/base/mutant.h"
#include "lsm/db.h"
#include "lsm/far.h"

#include <stdlib.h>
#include <string.h>

/* ---- options --------------------------------------------------------------------------------- */

omen_err omi_read_options_check(const omen_db *db, const omen_read_options *options)
{
    enum { KNOWN = OMEN_NO_FILL_CACHE | OMEN_HAS_LOWER | OMEN_HAS_UPPER | OMEN_HAS_PREFIX };
    if (options == NULL)
        return OMEN_OK;
    if (options->struct_bytes < sizeof(*options) || (options->flags & ~(uint32_t)KNOWN) != 0)
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "omen_read_options has an unknown flag, or struct_bytes is not its size");
    if ((options->flags & OMEN_HAS_PREFIX) != 0 && !omi_order_is_bytewise(&db->tenv.order))
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "prefix needs the bytewise order; use lower and upper with a comparator");
    if (options->snapshot != NULL && options->snapshot->db != db)
        return omi_fail(OMEN_INVALID, 0, "the snapshot is of another database");
    return OMEN_OK;
}

uint64_t omi_read_seq(omen_db *db, const omen_read_options *options)
{
    if (options != NULL && options->snapshot != NULL)
        return options->snapshot->seq + (OMI_MUTANT(OMI_MUTANT_SNAPSHOT_TOO_NEW) ? 1 : 0);
    return atomic_load_explicit(&db->visible_seq, memory_order_acquire);
}

/* ---- the lookup ------------------------------------------------------------------------------ */

static omen_err answer(uint64_t trailer)
{
    switch (omi_trailer_kind(trailer)) {
    case OMI_KIND_PUT:
        return OMEN_OK;
    case OMI_KIND_DELETE:
        return OMEN_NOT_FOUND;
    default:
        return omi_fail(OMEN_UNSUPPORTED, 0, "an entry of kind %u, which this build does not know",
                        omi_trailer_kind(trailer));
    }
}

omen_err omi_block_answer(const struct omi_block *block, const struct omi_order *order,
                          omen_slice key, uint64_t seq, omen_slice *value_out)
{
    uint32_t at = omi_block_lower_bound(block, order, key, omi_trailer_seek(seq));
    if (at == block->count)
        return OMEN_ABORTED;
    if (omi_order_is_bytewise(order)) {
        if (!omi_block_key_is(block, at, key))
            return OMEN_ABORTED;
    } else if (omi_block_lower_bound(block, order, key, 0) == at) {
        return OMEN_ABORTED; /* nothing lies between the newest and the oldest version of key */
    }
    uint64_t trailer;
    omi_block_value(block, at, &trailer, value_out);
    if (!omi_trailer_known(trailer))
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "an entry of type 0x%02x, which this build does not know",
                        (unsigned)(trailer & 0xff));
    return answer(trailer);
}

/* One run: OMEN_ABORTED when it does not hold the key. */
static omen_err lookup_run(omen_db *db, const struct omi_run_view *run, uint64_t seq,
                           omen_slice key, uint64_t hash, const struct omi_far_way *way,
                           bool fill_cache, unsigned stripe, bool sampled, struct omi_found *found)
{
    int64_t at = omi_far_run_find(way, run, &db->tenv.order, key);
    if (at < 0)
        return OMEN_ABORTED;
    struct omi_table *table = run->tables[at];
    const struct omi_table_ahead *ahead = &way->ahead;
    bool filtered = omi_table_has_filter(table);
    struct omi_filter_route route = {0};
    if (sampled)
        omi_table_warm(table);
    if (filtered) {
        omi_count_level(&db->counters, stripe, run->level, OMI_LEVEL_FILTER_PROBES, 1);
        if (ahead->table == table ? !omi_table_may_hold_ahead(ahead, key, hash, &route)
                                  : !omi_table_may_hold(table, key, hash, &route)) {
            omi_count_level(&db->counters, stripe, run->level, OMI_LEVEL_FILTER_NEGATIVES, 1);
            if (sampled)
                omi_table_count_sampled(table, &route, OMI_SAMPLED_NEGATIVE);
            return OMEN_ABORTED;
        }
    }
    struct omi_index_trace trace = {0};
    uint32_t block;
    uint64_t trailer = omi_trailer_seek(seq);
    omen_err err = ahead->table == table
                       ? omi_table_find_block_ahead(ahead, key, trailer, &trace, &block)
                       : omi_table_find_block(table, key, trailer, &trace, &block);
    if (err != OMEN_OK)
        return err;
    omi_count_at(&db->counters, stripe,
                 trace.keyed_compares == 0 ? OMI_COUNT_INDEX_GRID_HITS
                                           : OMI_COUNT_INDEX_KEYED_COMPARES,
                 trace.keyed_compares == 0 ? trace.grid_hits : trace.keyed_compares);
    struct omi_frame *frame = NULL;
    bool was_read = false;
    err = omi_table_load_told(table, block, fill_cache, &frame, &was_read);
    if (err != OMEN_OK)
        return err;
    omi_count_level(&db->counters, stripe, run->level, OMI_LEVEL_GET_BLOCKS, 1);
    if (was_read)
        omi_count_level(&db->counters, stripe, run->level, OMI_LEVEL_GET_BLOCK_READS, 1);
    omi_table_asked(table, frame);
    err = omi_block_answer(&frame->block, &db->tenv.order, key, seq, &found->value);
    if (sampled && filtered)
        omi_table_count_sampled(
            table, &route, err == OMEN_ABORTED ? OMI_SAMPLED_FALSE_POSITIVE : OMI_SAMPLED_HELD);
    if (err == OMEN_OK) {
        found->frame = frame;
        return OMEN_OK;
    }
    if (err == OMEN_ABORTED && filtered) {
        omi_count_level(&db->counters, stripe, run->level, OMI_LEVEL_FILTER_FALSE_POSITIVES, 1);
        omi_filter_costs_count(&db->pricing.costs, run->level, !was_read);
    }
    omi_frame_release(frame);
    return err;
}

static void count_hit(omen_db *db, unsigned stripe, const struct omi_found *found)
{
    omi_count_at(&db->counters, stripe, OMI_COUNT_GET_HITS, 1);
    omi_count_at(&db->counters, stripe, OMI_COUNT_READ_BYTES, found->value.size);
}

omen_err omi_db_lookup(omen_db *db, const struct omi_view *view, uint64_t seq, omen_slice key,
                       bool fill_cache, struct omi_found *found)
{
    unsigned stripe = omi_counter_stripe();
    uint64_t hash = omi_key_hash(key.data, key.size);
    found->frame = NULL;
    uint64_t n = omi_count_at(&db->counters, stripe, OMI_COUNT_GETS, 1);
    bool sampled = omi_sample_due(db->sample, n);
    if (sampled)
        omi_telemetry_key(db->telemetry, stripe, key, hash);
    for (uint32_t i = 0; i < view->mem_count; i++) {
        struct omi_entry entry;
        if (omi_memtable_get(view->mems[i], key, hash, seq, &entry) != OMEN_OK)
            continue;
        omi_count_at(&db->counters, stripe, OMI_COUNT_GET_MEMTABLE_HITS, 1);
        found->value = omi_slice(entry.value, entry.value_size);
        omen_err err = answer(entry.trailer);
        if (err == OMEN_OK)
            count_hit(db, stripe, found);
        return err;
    }
    const struct omi_version *v = view->version;
    omen_err err = OMEN_ABORTED;
    uint32_t i = 0, grace = omi_grace_enter(&db->tenv.filter_memory.grace, stripe);
    struct omi_far_way way;
    way.run = NULL;
    way.ahead.table = NULL;
    if (db->tenv.far)
        omi_far_ahead(db, v, key, hash, &way);
    for (; i < v->run_count && err == OMEN_ABORTED; i++)
        err = lookup_run(db, &v->runs[i], seq, key, hash, &way, fill_cache, stripe, sampled, found);
    omi_grace_leave(&db->tenv.filter_memory.grace, stripe, grace);
    if (sampled && err == OMEN_ABORTED)
        omi_sample_get(db->sample, stripe, key, hash, OMI_SAMPLE_MISS, 0);
    else if (sampled && (err == OMEN_OK || err == OMEN_NOT_FOUND))
        omi_sample_get(db->sample, stripe, key, hash, v->runs[i - 1].level, v->runs[i - 1].age);
    if (err == OMEN_OK)
        count_hit(db, stripe, found);
    omi_filter_memory_wanted(db);
    if (db->tenv.far)
        omi_far_looked_up(db, n, 1);
    return err == OMEN_ABORTED ? OMEN_NOT_FOUND : err;
}

static void trace_get(struct omi_trace *t, omen_slice key, uint64_t size, omen_err err)
{
    if (err == OMEN_OK || err == OMEN_NOT_FOUND)
        omi_trace_one(t, omi_counter_stripe(),
                      err == OMEN_OK ? OMI_TRACE_GET_HIT : OMI_TRACE_GET_MISS, key, size, false);
}

/* After a lookup that found a value of size, or none; without locks and the view. */
static inline void lookup_told(omen_db *db, omen_slice key, uint64_t size, omen_err err)
{
    struct omi_trace *t = omi_tracing(db);
    if (t != NULL)
        trace_get(t, key, size, err);
    omi_observed(db, 1);
}

/* ---- values ---------------------------------------------------------------------------------- */

/* omen_value.pin is a frame, or a copy made by malloc with the lowest bit set. */
static void *pin_copy(void *copy)
{
    return (unsigned char *)copy + 1;
}

omen_err omi_value_make(const struct omi_found *found, omen_value *out)
{
    if (found->frame != NULL) {
        *out = (omen_value){found->value.data, found->value.size, found->frame};
        return OMEN_OK;
    }
    /* A memtable's bytes are copied, so that a pin never holds an arena. */
    unsigned char *copy = malloc(found->value.size + 1);
    if (copy == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a value of %zu bytes", found->value.size);
    if (found->value.size != 0)
        memcpy(copy, found->value.data, found->value.size);
    *out = (omen_value){copy, found->value.size, pin_copy(copy)};
    return OMEN_OK;
}

void omen_value_release(omen_value *value)
{
    if (value == NULL || value->pin == NULL)
        return;
    if (((uintptr_t)value->pin & 1) != 0)
        free((unsigned char *)value->pin - 1);
    else
        omi_frame_release(value->pin);
    *value = (omen_value){NULL, 0, NULL};
}

static bool fills_cache(const omen_read_options *options)
{
    return options == NULL || (options->flags & OMEN_NO_FILL_CACHE) == 0;
}

omen_err omen_get(omen_db *db, const omen_read_options *options, omen_slice key,
                  omen_value *value_out)
{
    *value_out = (omen_value){NULL, 0, NULL};
    omen_err err = omi_read_options_check(db, options);
    if (err != OMEN_OK)
        return err;
    struct omi_view *view = omi_view_ref(db); /* before the seq: a flush must not hide the key */
    struct omi_found found;
    err = omi_db_lookup(db, view, omi_read_seq(db, options), key, fills_cache(options), &found);
    if (err == OMEN_OK)
        err = omi_value_make(&found, value_out);
    omi_view_unref(view);
    lookup_told(db, key, value_out->size, err);
    return err;
}

omen_err omen_get_into(omen_db *db, const omen_read_options *options, omen_slice key, void *buffer,
                       size_t buffer_bytes, size_t *size_out)
{
    *size_out = 0;
    omen_err err = omi_read_options_check(db, options);
    if (err != OMEN_OK)
        return err;
    struct omi_view *view = omi_view_ref(db);
    struct omi_found found;
    err = omi_db_lookup(db, view, omi_read_seq(db, options), key, fills_cache(options), &found);
    if (err == OMEN_OK) {
        size_t n = found.value.size < buffer_bytes ? found.value.size : buffer_bytes;
        if (n != 0)
            memcpy(buffer, found.value.data, n);
        *size_out = found.value.size;
        if (found.frame != NULL)
            omi_frame_release(found.frame);
    }
    omi_view_unref(view);
    lookup_told(db, key, *size_out, err);
    return err;
}

/* ---- snapshots ------------------------------------------------------------------------------- */

omen_err omen_snapshot_create(omen_db *db, omen_snapshot **snapshot_out)
{
    struct omen_snapshot *s = calloc(1, sizeof(*s));
    *snapshot_out = s;
    if (s == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a snapshot");
    s->db = db;
    omi_mutex_lock(&db->mu);
    s->seq = atomic_load_explicit(&db->visible_seq, memory_order_acquire);
    s->prev = db->snapshots.prev; /* seqs only rise, so the list stays sorted */
    s->next = &db->snapshots;
    s->prev->next = s;
    db->snapshots.prev = s;
    db->snapshot_count++;
    omi_mutex_unlock(&db->mu);
    return OMEN_OK;
}

void omen_snapshot_release(omen_snapshot *s)
{
    if (s == NULL)
        return;
    omi_mutex_lock(&s->db->mu);
    s->prev->next = s->next;
    s->next->prev = s->prev;
    s->db->snapshot_count--;
    omi_mutex_unlock(&s->db->mu);
    free(s);
}

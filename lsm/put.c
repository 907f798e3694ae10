/*
 * put.c - the write path, top to bottom: room, log, memtable, visible, durable.
 * Writers take turns under the commit lock; those that ask for sync share an fdatasync outside it.
 */
#include "io/base/hash.h"
#include "io/base/mutant.h"
#include "lsm/db.h"

#include <stdlib.h>
#include <string.h>

/* Pauses shorter than this cost more than they give back; they are saved up. */
enum { STALL_US_MIN = 100 };

void omi_db_stall(omen_db *db, enum omi_stall reason, uint64_t us)
{
    unsigned stripe = omi_counter_stripe();
    omi_count_at(&db->counters, stripe, (enum omi_counter)(OMI_COUNT_STALLS + reason), 1);
    omi_count_at(&db->counters, stripe, (enum omi_counter)(OMI_COUNT_STALL_US + reason), us);
}

/* ---- room in the memtable -------------------------------------------------------------------- */

/* Waits until a memtable may become immutable. */
static omen_err wait_for_flush(omen_db *db)
{
    uint64_t started_ns = 0;
    omen_err err = OMEN_OK;
    omi_mutex_lock(&db->mu);
    while (db->immutable_count >= OMI_IMMUTABLES_MAX && err == OMEN_OK) {
        err = omi_db_waiting_failed_locked(db, &db->flush_failure, 0);
        if (err == OMEN_OK) {
            if (started_ns == 0)
                started_ns = omi_now_ns(db->env);
            omi_cond_wait(&db->done, &db->mu);
        }
    }
    omi_mutex_unlock(&db->mu);
    if (started_ns != 0)
        omi_db_stall(db, OMI_STALL_MEMTABLES, (omi_now_ns(db->env) - started_ns) / 1000);
    return err;
}

omen_err omi_db_rotate(omen_db *db)
{
    omen_err err = OMEN_OK;
    if (db->inline_work)
        omi_db_work_inline(db); /* the last one, if its flush had failed */
    err = db->inline_work ? omi_db_check(db) : wait_for_flush(db);
    if (err != OMEN_OK)
        return err;
    omi_mutex_lock(&db->mu);
    bool stuck = db->immutable_count >= OMI_IMMUTABLES_MAX;
    struct omi_failure why = db->flush_failure;
    omi_mutex_unlock(&db->mu);
    if (stuck) /* inline, and the flush cannot be done: the disk is full */
        return omi_fail_again(why.code != OMEN_OK ? why.code : OMEN_FULL, why.text);
    struct omi_memtable *fresh = NULL;
    struct omi_view *view = NULL;
    err =
        omi_memtable_create(db->arenas, &db->tenv.order, db->settings.split.memtable_bytes, &fresh);
    if (err == OMEN_OK)
        err = omi_view_create(&view);
    if (err == OMEN_OK)
        err = omi_wal_rotate(db->wal);
    if (err != OMEN_OK) {
        free(view);
        if (fresh != NULL)
            omi_memtable_unref(fresh);
        return err;
    }
    omi_mutex_lock(&db->mu);
    db->immutables[db->immutable_count++] = db->active;
    db->active = (struct omi_mem){fresh, omi_wal_segment(db->wal)};
    omi_view_publish_locked(db, db->view->version, view);
    omi_cond_broadcast(&db->work);
    omi_mutex_unlock(&db->mu);
    return OMEN_OK;
}

static omen_err make_room(omen_db *db, const struct omi_ops *ops) OMI_REQUIRES(db->commit)
{
    omen_err err = omi_db_check(db);
    if (err == OMEN_OK)
        err = omi_space_admit(db, ops->size);
    if (err != OMEN_OK)
        return err;
    if (omi_memtable_used(db->active.table) >= db->settings.split.memtable_bytes) {
        err = omi_db_rotate(db);
        if (err != OMEN_OK)
            return err;
        if (db->inline_work)
            omi_db_work_inline(db);
    }
    return omi_memtable_reserve(db->active.table, ops->count, ops->size);
}

/* ---- the write ------------------------------------------------------------------------------- */

static omen_err insert_one(void *ctx, const struct omi_entry *entry)
{
    omen_db *db = ctx;
    return omi_memtable_insert(db->active.table, entry);
}

/* Log, memtable, visible. Holds commit. */
static omen_err apply(omen_db *db, const struct omi_ops *ops, uint64_t *position_out)
{
    uint64_t first_seq = db->last_seq + 1;
    if (ops->count > OMI_SEQ_MAX - db->last_seq)
        return omi_fail(OMEN_FULL, 0, "%s has used up its sequence numbers", db->path);
    omen_err err = omi_wal_append(db->wal, first_seq, ops, position_out);
    if (err == OMEN_FULL)
        omi_space_full(db);
    if (err != OMEN_OK) {
        if (omi_wal_sealed(db->wal))
            omi_db_fail(db, err);
        return err;
    }
    err = omi_ops_each(ops, first_seq, insert_one, db);
    if (err != OMEN_OK) { /* reserved, so it cannot be; the log has it, so reopening recovers it */
        omi_db_fail(db, err);
        return err;
    }
    db->last_seq += ops->count;
    atomic_store_explicit(&db->visible_seq, db->last_seq, memory_order_release);
    return OMEN_OK;
}

/* How long this writer owes the merges, once that is worth a sleep. Holds commit. */
static uint64_t pace(omen_db *db, uint64_t bytes)
{
    if (atomic_load_explicit(&db->unpaced, memory_order_relaxed))
        return 0;
    omi_mutex_lock(&db->mu);
    uint64_t us = omi_pace_charge(&db->pace, bytes, omi_now_ns(db->env));
    omi_mutex_unlock(&db->mu);
    return us >= STALL_US_MIN ? us : 0;
}

static omen_err write_flags(const omen_db *db, const omen_write_options *options, bool *sync_out)
{
    *sync_out = false;
    if (db->read_only)
        return omi_fail(OMEN_READ_ONLY, 0, "%s is open read-only", db->path);
    if (options == NULL)
        return OMEN_OK;
    if (options->struct_bytes < sizeof(*options) || (options->flags & ~(uint32_t)OMEN_SYNC) != 0)
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "omen_write_options has an unknown flag, or struct_bytes is not its size");
    *sync_out = (options->flags & OMEN_SYNC) != 0;
    return OMEN_OK;
}

/* Everything after the operations are encoded. Takes commit, which the caller holds, and drops it.
 */
static omen_err commit_ops(omen_db *db, const struct omi_ops *ops, bool sync)
    OMI_RELEASE(db->commit)
{
    uint64_t position = 0, wait_us = 0;
    omen_err err = make_room(db, ops);
    if (err == OMEN_OK)
        err = apply(db, ops, &position);
    if (err == OMEN_OK && !db->inline_work)
        wait_us = pace(db, ops->size);
    omi_mutex_unlock(&db->commit);
    if (err == OMEN_OK && sync && !OMI_MUTANT(OMI_MUTANT_ACK_BEFORE_SYNC)) {
        err = omi_wal_sync(db->wal, position);
        if (err != OMEN_OK) {
            omi_db_fail(db, err);
            err = OMEN_UNKNOWN; /* it may be there after reopening, or not */
        }
    }
    if (wait_us != 0) {
        db->env->ops->sleep_us(db->env, wait_us);
        omi_db_stall(db, OMI_STALL_DEBT, wait_us);
    }
    return err;
}

static omen_err check_sizes(omen_slice key, omen_slice value)
{
    if (key.size > OMEN_KEY_BYTES_MAX)
        return omi_fail(OMEN_INVALID, 0, "a key of %zu bytes; the limit is %u", key.size,
                        OMEN_KEY_BYTES_MAX);
    if (value.size > OMEN_VALUE_BYTES_MAX)
        return omi_fail(OMEN_INVALID, 0, "a value of %zu bytes; the limit is %u", value.size,
                        OMEN_VALUE_BYTES_MAX);
    return OMEN_OK;
}

static omen_err write_one(omen_db *db, const omen_write_options *options, unsigned kind,
                          omen_slice key, omen_slice value)
{
    bool sync;
    omen_err err = write_flags(db, options, &sync);
    if (err == OMEN_OK)
        err = check_sizes(key, value);
    if (err != OMEN_OK)
        return err;
    omi_mutex_lock(&db->commit);
    db->ops_buf.size = 0;
    err = omi_ops_append(&db->ops_buf, kind, key, value);
    if (err != OMEN_OK) {
        omi_mutex_unlock(&db->commit);
        return err;
    }
    struct omi_ops ops = {db->ops_buf.data, db->ops_buf.size, 1};
    err = commit_ops(db, &ops, sync);
    if (err == OMEN_OK) {
        unsigned stripe = omi_counter_stripe();
        uint64_t n = omi_count_at(&db->counters, stripe,
                                  kind == OMI_KIND_PUT ? OMI_COUNT_PUTS : OMI_COUNT_DELETES, 1);
        omi_count_at(&db->counters, stripe, OMI_COUNT_USER_BYTES, key.size + value.size);
        if (omi_sample_due(db->sample, n))
            omi_telemetry_key(db->telemetry, stripe, key, omi_key_hash(key.data, key.size));
        struct omi_trace *trace = omi_tracing(db);
        if (trace != NULL)
            omi_trace_one(trace, stripe, kind == OMI_KIND_PUT ? OMI_TRACE_PUT : OMI_TRACE_DELETE,
                          key, value.size, false);
        omi_observed(db, 1);
    }
    return err;
}

omen_err omen_put(omen_db *db, const omen_write_options *options, omen_slice key, omen_slice value)
{
    return write_one(db, options, OMI_KIND_PUT, key, value);
}

omen_err omen_delete(omen_db *db, const omen_write_options *options, omen_slice key)
{
    return write_one(db, options, OMI_KIND_DELETE, key, omi_slice(NULL, 0));
}

omen_err omen_sync(omen_db *db)
{
    if (db->read_only)
        return OMEN_OK;
    omen_err err = omi_db_check(db);
    if (err != OMEN_OK)
        return err;
    err = omi_wal_sync(db->wal, UINT64_MAX);
    if (err != OMEN_OK) {
        omi_db_fail(db, err);
        err = OMEN_UNKNOWN;
    }
    return err;
}

/* ---- batches --------------------------------------------------------------------------------- */

struct omen_batch {
    struct omi_buf ops;
    uint64_t user_bytes;
    uint32_t count, puts;
};

omen_err omen_batch_create(omen_batch **batch_out)
{
    *batch_out = calloc(1, sizeof(**batch_out));
    return *batch_out != NULL ? OMEN_OK : omi_fail(OMEN_NO_MEMORY, 0, "a batch");
}

void omen_batch_destroy(omen_batch *batch)
{
    if (batch == NULL)
        return;
    omi_buf_fini(&batch->ops);
    free(batch);
}

void omen_batch_clear(omen_batch *batch)
{
    batch->ops.size = 0;
    batch->user_bytes = 0;
    batch->count = batch->puts = 0;
}

static omen_err batch_add(omen_batch *batch, unsigned kind, omen_slice key, omen_slice value)
{
    omen_err err = check_sizes(key, value);
    if (err != OMEN_OK)
        return err;
    if (batch->ops.size + key.size + value.size + 16 > OMEN_BATCH_BYTES_MAX)
        return omi_fail(OMEN_INVALID, 0,
                        "the batch would grow past %u bytes; write it and begin another",
                        OMEN_BATCH_BYTES_MAX);
    size_t before = batch->ops.size;
    err = omi_ops_append(&batch->ops, kind, key, value);
    if (err != OMEN_OK) {
        batch->ops.size = before;
        return err;
    }
    batch->count++;
    batch->puts += kind == OMI_KIND_PUT;
    batch->user_bytes += key.size + value.size;
    return OMEN_OK;
}

omen_err omen_batch_put(omen_batch *batch, omen_slice key, omen_slice value)
{
    return batch_add(batch, OMI_KIND_PUT, key, value);
}

omen_err omen_batch_delete(omen_batch *batch, omen_slice key)
{
    return batch_add(batch, OMI_KIND_DELETE, key, omi_slice(NULL, 0));
}

size_t omen_batch_count(const omen_batch *batch)
{
    return batch->count;
}

size_t omen_batch_bytes(const omen_batch *batch)
{
    return batch->ops.size;
}

omen_err omen_write(omen_db *db, const omen_write_options *options, const omen_batch *batch)
{
    bool sync;
    omen_err err = write_flags(db, options, &sync);
    if (err != OMEN_OK || batch->count == 0)
        return err;
    struct omi_ops ops = {batch->ops.data, batch->ops.size, batch->count};
    omi_mutex_lock(&db->commit);
    err = commit_ops(db, &ops, sync);
    if (err == OMEN_OK) {
        unsigned stripe = omi_counter_stripe();
        uint64_t n = omi_count_at(&db->counters, stripe, OMI_COUNT_PUTS, batch->puts);
        omi_count_at(&db->counters, stripe, OMI_COUNT_DELETES, batch->count - batch->puts);
        omi_count_at(&db->counters, stripe, OMI_COUNT_BATCHES, 1);
        omi_count_at(&db->counters, stripe, OMI_COUNT_USER_BYTES, batch->user_bytes);
        omi_observe_written(db, stripe, n, &ops);
        struct omi_trace *trace = omi_tracing(db);
        if (trace != NULL)
            omi_trace_batch(trace, stripe, &ops);
        omi_observed(db, batch->count);
    }
    return err;
}

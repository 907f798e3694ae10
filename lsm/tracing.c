/* tracing.c - the database's trace: beginning and ending it, and what calls leave in it. */
#include "lsm/db.h"

#include <stdlib.h>
#include <string.h>

omen_err omen_trace_start(omen_db *db, const char *path, uint32_t flags)
{
    if ((flags & ~(uint32_t)OMEN_TRACE_WAIT) != 0)
        return omi_fail(OMEN_UNSUPPORTED, 0, "omen_trace_start: unknown flags 0x%x", flags);
    struct omi_traced *traced = calloc(1, sizeof(*traced));
    if (traced == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a trace into %s", path);
    omi_mutex_lock(&db->tracing);
    omen_err err = atomic_load(&db->trace) != NULL && !db->traces->ended
                       ? omi_fail(OMEN_BUSY, 0, "a trace is being recorded already; stop it first")
                       : omi_trace_create(db->env, path, flags, db->inline_work, &traced->trace);
    if (err == OMEN_OK) {
        traced->next = db->traces;
        db->traces = traced;
        atomic_store(&db->trace, traced->trace);
        omi_say(db->log_file, 2, "operations are recorded into %s", path);
    } else {
        free(traced);
    }
    omi_mutex_unlock(&db->tracing);
    return err;
}

omen_err omen_trace_stop(omen_db *db, omen_trace_report *report)
{
    omen_trace_report r = {.struct_bytes = sizeof(r)};
    if (report != NULL &&
        (report->struct_bytes < sizeof(size_t) || report->struct_bytes > sizeof(r)))
        return omi_fail(OMEN_INVALID, 0,
                        "omen_trace_report.struct_bytes is %zu; set it to its sizeof",
                        report->struct_bytes);
    omi_mutex_lock(&db->tracing);
    bool none = db->traces == NULL || db->traces->ended;
    omen_err err = none ? omi_fail(OMEN_INVALID, 0, "no trace is being recorded; start one first")
                        : omi_trace_end(db->traces->trace, &r);
    if (!none) {
        db->traces->ended = true;
        omi_say(db->log_file, 2,
                "the trace ends: %" PRIu64 " operations recorded, %" PRIu64 " dropped",
                r.operations, r.dropped);
    }
    omi_mutex_unlock(&db->tracing);
    if (report != NULL && !none) {
        r.struct_bytes = report->struct_bytes;
        memcpy(report, &r, report->struct_bytes);
    }
    return err;
}

void omi_tracing_end(omen_db *db)
{
    if (db->traces != NULL && !db->traces->ended && omen_trace_stop(db, NULL) != OMEN_OK)
        omi_say(db->log_file, 0, "the trace is not whole: %s", omen_last_error());
}

void omi_tracing_free(omen_db *db)
{
    while (db->traces != NULL) {
        struct omi_traced *gone = db->traces;
        db->traces = gone->next;
        omi_trace_destroy(gone->trace);
        free(gone);
    }
}

/* ---- operations ------------------------------------------------------------------------------ */

void omi_trace_one(struct omi_trace *t, unsigned stripe, enum omi_trace_kind kind, omen_slice key,
                   uint64_t size, bool more)
{
    struct omi_trace_op op = {
        .kind = kind, .more = more, .key = key, .key_bytes = (uint32_t)key.size, .size = size};
    omi_trace_add(t, stripe, &op);
}

struct batch_tracer {
    struct omi_trace *trace;
    unsigned stripe;
    uint32_t left;
};

static omen_err batch_trace(void *ctx, const struct omi_entry *entry)
{
    struct batch_tracer *b = ctx;
    bool put = omi_trailer_kind(entry->trailer) == OMI_KIND_PUT;
    omi_trace_one(b->trace, b->stripe, put ? OMI_TRACE_PUT : OMI_TRACE_DELETE, omi_entry_key(entry),
                  entry->value_size, --b->left != 0);
    return OMEN_OK;
}

void omi_trace_batch(struct omi_trace *t, unsigned stripe, const struct omi_ops *ops)
{
    struct batch_tracer b = {t, stripe, ops->count};
    omi_ignore(omi_ops_each(ops, 1, batch_trace, &b)); /* they parsed a moment ago */
}

/* trace.c - see trace.h. */
#include "lsm/trace.h"

#include "io/base/hash.h"
#include "io/base/slice.h"
#include "io/base/sync.h"
#include "lsm/counters.h"
#include "lsm/trace_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME_BYTES = 256 << 10, FLUSH_US = 1000000, TRIES = 3 };

/* An operation in a buffer; its key's bytes follow, up to a multiple of 8. */
struct record {
    uint64_t us, hash, size;
    uint32_t key_bytes;
    uint8_t kind, more, at_end, kept;
};

struct buffer {
    uint8_t *bytes;    /* NULL: not yet needed */
    size_t size, last; /* last: where the last record begins */
};

struct stripe {
    _Alignas(64) struct omi_mutex mu;
    struct buffer filling, taken; /* taken: the writer's, while there is one */
};

struct omi_trace {
    struct omi_env *env;
    struct omi_file *file;
    struct omi_dir *dir;
    char *path;
    bool waits, threaded;
    uint64_t began_ns, id;
    _Atomic bool on;
    _Atomic uint64_t operations, dropped;
    struct omi_mutex mu; /* guards what follows; behind the stripes' */
    struct omi_cond work, idle;
    bool busy, ending; /* taken buffers are to be written, or being written */
    omen_err err;
    char err_text[400];
    void *thread;
    /* the writer's alone */
    uint64_t off, frames, last_us;
    uint8_t *frame; /* header and bytes */
    struct stripe stripes[OMI_COUNTER_STRIPES];
};

/* ---- writing --------------------------------------------------------------------------------- */

static void failed(struct omi_trace *t, omen_err err)
{
    omi_mutex_lock(&t->mu);
    if (t->err == OMEN_OK) {
        t->err = err;
        snprintf(t->err_text, sizeof(t->err_text), "%s", omen_last_error());
    }
    omi_mutex_unlock(&t->mu);
    atomic_store(&t->on, false);
}

static bool has_failed(struct omi_trace *t)
{
    omi_mutex_lock(&t->mu);
    bool yes = t->err != OMEN_OK;
    omi_mutex_unlock(&t->mu);
    return yes;
}

static omen_err frame_write(struct omi_trace *t, struct omi_trace_frame *f)
{
    if (f->count == 0)
        return OMEN_OK;
    f->number = t->frames;
    f->dropped = atomic_load(&t->dropped);
    omi_trace_frame_encode(f, t->id, t->frame + OMI_TRACE_FRAME_HEADER_BYTES, t->frame);
    size_t size = OMI_TRACE_FRAME_HEADER_BYTES + (size_t)f->size;
    omen_err err = omi_file_pwrite(t->file, t->frame, size, t->off);
    if (err != OMEN_OK)
        return err;
    t->off += size;
    t->frames++;
    atomic_fetch_add(&t->operations, f->count);
    *f = (struct omi_trace_frame){0};
    return OMEN_OK;
}

static const struct record *record_at(const struct buffer *b, size_t at)
{
    return at < b->size ? (const struct record *)(const void *)(b->bytes + at) : NULL;
}

static size_t record_bytes(size_t kept)
{
    return sizeof(struct record) + (kept + 7) / 8 * 8;
}

/* The stripe whose next record is the oldest. */
static struct stripe *oldest(struct omi_trace *t, const size_t *at, const struct record **out)
{
    struct stripe *best = NULL;
    *out = NULL;
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES; i++) {
        const struct record *r = record_at(&t->stripes[i].taken, at[i]);
        if (r != NULL && (*out == NULL || r->us < (*out)->us)) {
            *out = r;
            best = &t->stripes[i];
        }
    }
    return best;
}

static void op_of(const struct record *r, struct omi_trace_op *op)
{
    *op = (struct omi_trace_op){.kind = (enum omi_trace_kind)r->kind,
                                .more = r->more != 0,
                                .at_end = r->at_end != 0,
                                .us = r->us,
                                .key = omi_slice(r + 1, r->kept),
                                .key_bytes = r->key_bytes,
                                .hash = r->hash,
                                .size = r->size};
}

/* The taken buffers, merged by time. */
static omen_err taken_write(struct omi_trace *t)
{
    size_t at[OMI_COUNTER_STRIPES] = {0};
    struct omi_trace_frame f = {0};
    uint8_t *bytes = t->frame + OMI_TRACE_FRAME_HEADER_BYTES;
    struct stripe *s = NULL;
    omen_err err = OMEN_OK;
    bool goes_on = false;
    while (err == OMEN_OK) {
        const struct record *r;
        if (goes_on)
            r = record_at(&s->taken, at[s - t->stripes]);
        else
            s = oldest(t, at, &r);
        if (r == NULL)
            break;
        struct omi_trace_op op;
        op_of(r, &op);
        at[s - t->stripes] += record_bytes(r->kept);
        op.more = op.more && record_at(&s->taken, at[s - t->stripes]) != NULL;
        if (op.us < t->last_us) /* others came between those of one call */
            op.us = t->last_us;
        if (f.count == 0)
            f.first_us = t->last_us = op.us;
        uint8_t *end = omi_trace_op_put(bytes + f.size, &op, t->last_us);
        f.size = (uint32_t)(end - bytes);
        f.count++;
        t->last_us = op.us;
        goes_on = op.more;
        if (f.size > FRAME_BYTES - OMI_TRACE_FRAME_HEADER_BYTES - OMI_TRACE_OP_BYTES_MAX)
            err = frame_write(t, &f);
    }
    return err == OMEN_OK ? frame_write(t, &f) : err;
}

/* Who has taken buffers writes them, and gives them back. */
static void taken_done(struct omi_trace *t)
{
    if (!has_failed(t)) {
        omen_err err = taken_write(t);
        if (err != OMEN_OK)
            failed(t, err);
    }
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES; i++)
        t->stripes[i].taken.size = 0;
    omi_mutex_lock(&t->mu);
    t->busy = false;
    omi_cond_broadcast(&t->idle);
    omi_mutex_unlock(&t->mu);
}

static void stripes_lock(struct omi_trace *t) OMI_UNCHECKED
{
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES; i++)
        omi_mutex_lock(&t->stripes[i].mu);
}

static void stripes_unlock(struct omi_trace *t) OMI_UNCHECKED
{
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES; i++)
        omi_mutex_unlock(&t->stripes[i].mu);
}

/* Takes all buffers at one moment; false: those of before are still being written, or all ends, and it
 * is not the end that asks. */
static bool take(struct omi_trace *t, bool end)
{
    stripes_lock(t);
    omi_mutex_lock(&t->mu);
    bool taken = !t->busy && t->ending == end;
    t->busy = t->busy || taken;
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES && taken; i++) {
        struct stripe *s = &t->stripes[i];
        struct buffer b = s->filling;
        s->filling = s->taken;
        s->taken = b;
    }
    omi_mutex_unlock(&t->mu);
    stripes_unlock(t);
    return taken;
}

static void thread_run(void *arg)
{
    struct omi_trace *t = arg;
    omi_mutex_lock(&t->mu);
    while (!t->ending) {
        bool called = t->busy;
        if (!called)
            called = omi_cond_wait_us(&t->work, &t->mu, FLUSH_US) && t->busy;
        bool ending = t->ending && !t->busy;
        omi_mutex_unlock(&t->mu);
        if (called ||
            (!ending && take(t, false))) /* nobody called: what there is goes out all the same */
            taken_done(t);
        omi_mutex_lock(&t->mu);
    }
    bool called = t->busy;
    omi_mutex_unlock(&t->mu);
    if (called)
        taken_done(t);
}

/* ---- recording ------------------------------------------------------------------------------- */

/* A buffer is full: to the writer with all of them. False: that one is busy, and nobody waits. */
static bool hand_over(struct omi_trace *t)
{
    while (!take(t, false)) {
        if (!t->waits || !atomic_load(&t->on))
            return false;
        omi_mutex_lock(&t->mu);
        while (t->busy)
            omi_cond_wait(&t->idle, &t->mu);
        omi_mutex_unlock(&t->mu);
    }
    if (!t->threaded) {
        taken_done(t);
        return true;
    }
    omi_mutex_lock(&t->mu);
    omi_cond_signal(&t->work);
    omi_mutex_unlock(&t->mu);
    return true;
}

/* False: there is no room. */
static bool record(struct omi_trace *t, struct stripe *s, const struct omi_trace_op *op)
    OMI_REQUIRES(s->mu)
{
    size_t kept = op->key_bytes < OMI_TRACE_KEY_BYTES ? op->key_bytes : (size_t)OMI_TRACE_KEY_BYTES;
    if (s->filling.bytes == NULL) {
        s->filling.bytes = malloc(OMI_TRACE_BUFFER_BYTES);
        s->filling.size = 0;
    }
    if (s->filling.bytes == NULL || s->filling.size + record_bytes(kept) > OMI_TRACE_BUFFER_BYTES)
        return false;
    struct record *r = (struct record *)(void *)(s->filling.bytes + s->filling.size);
    *r = (struct record){.us = (omi_now_ns(t->env) - t->began_ns) / 1000,
                         .size = op->size,
                         .key_bytes = op->key_bytes,
                         .kind = (uint8_t)op->kind,
                         .more = op->more,
                         .at_end = op->at_end,
                         .kept = (uint8_t)kept};
    if (op->key_bytes > OMI_TRACE_KEY_BYTES)
        r->hash = omi_key_hash(op->key.data, op->key_bytes);
    if (kept != 0)
        memcpy(r + 1, op->key.data, kept);
    s->filling.last = s->filling.size;
    s->filling.size += record_bytes(kept);
    return true;
}

bool omi_trace_on(const struct omi_trace *t)
{
    return atomic_load_explicit(&t->on, memory_order_relaxed);
}

void omi_trace_add(struct omi_trace *t, unsigned stripe, const struct omi_trace_op *op)
{
    struct stripe *s = &t->stripes[stripe];
    bool recorded = false, on = true;
    for (int tries = 0; on && !recorded && (tries == 0 || hand_over(t)); tries++) {
        if (tries == TRIES && !t->waits) /* others fill it each time */
            break;
        omi_mutex_lock(&s->mu);
        on = atomic_load(&t->on);
        recorded = on && record(t, s, op);
        omi_mutex_unlock(&s->mu);
    }
    if (recorded || !on)
        return;
    atomic_fetch_add_explicit(&t->dropped, 1, memory_order_relaxed);
    omi_mutex_lock(&s->mu);
    if (s->filling.size != 0) /* what comes next is not of the same call */
        ((struct record *)(void *)(s->filling.bytes + s->filling.last))->more = 0;
    omi_mutex_unlock(&s->mu);
}

/* ---- begin and end --------------------------------------------------------------------------- */

static omen_err file_begin(struct omi_trace *t)
{
    uint8_t header[OMI_TRACE_HEADER_BYTES];
    struct omi_trace_header h = {.began_us = t->env->ops->wall_us(t->env)};
    const char *name;
    omen_err err = omi_trace_dir(t->env, t->path, &t->dir, &name);
    if (err == OMEN_OK)
        err = omi_file_open(t->dir, name, OMI_OPEN_CREATE, 0, &t->file);
    if (err != OMEN_OK)
        return err;
    t->env->ops->random(t->env, &t->id, sizeof(t->id));
    h.id = t->id;
    omi_trace_header_encode(&h, header);
    t->off = sizeof(header);
    err = omi_file_pwrite(t->file, header, sizeof(header), 0);
    if (err != OMEN_OK)
        omi_ignore(omi_dir_unlink(t->dir, name));
    return err;
}

omen_err omi_trace_create(struct omi_env *env, const char *path, uint32_t flags, bool inline_work,
                          struct omi_trace **out)
{
    *out = NULL;
    struct omi_trace *t = aligned_alloc(64, (sizeof(*t) + 63) / 64 * 64);
    if (t == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a trace");
    memset(t, 0, sizeof(*t));
    t->env = env;
    t->waits = (flags & OMEN_TRACE_WAIT) != 0;
    t->began_ns = omi_now_ns(env);
    omi_mutex_init(&t->mu);
    omi_cond_init(&t->work);
    omi_cond_init(&t->idle);
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES; i++)
        omi_mutex_init(&t->stripes[i].mu);
    t->path = strdup(path);
    t->frame = malloc(FRAME_BYTES);
    omen_err err = t->path != NULL && t->frame != NULL
                       ? OMEN_OK
                       : omi_fail(OMEN_NO_MEMORY, 0, "a trace into %s", path);
    if (err == OMEN_OK)
        err = file_begin(t);
    if (err == OMEN_OK && !inline_work) {
        err = env->ops->thread_start(env, thread_run, t, &t->thread);
        t->threaded = err == OMEN_OK;
        if (err == OMEN_UNSUPPORTED) /* an env without threads */
            err = OMEN_OK;
    }
    if (err != OMEN_OK) {
        omi_trace_destroy(t);
        return err;
    }
    atomic_store(&t->on, true);
    *out = t;
    return OMEN_OK;
}

static void writer_end(struct omi_trace *t)
{
    stripes_lock(t); /* nobody records from here on */
    atomic_store(&t->on, false);
    stripes_unlock(t);
    omi_mutex_lock(&t->mu);
    t->ending = true;
    omi_cond_signal(&t->work);
    omi_mutex_unlock(&t->mu);
    if (t->threaded)
        t->env->ops->thread_join(t->env, t->thread);
    omi_mutex_lock(&t->mu);
    while (t->busy) /* inline: another caller writes */
        omi_cond_wait(&t->idle, &t->mu);
    omi_mutex_unlock(&t->mu);
    if (take(t, true))
        taken_done(t);
}

omen_err omi_trace_end(struct omi_trace *t, omen_trace_report *report)
{
    writer_end(t);
    omen_err err = t->err != OMEN_OK ? omi_fail_again(t->err, t->err_text) : OMEN_OK;
    if (err == OMEN_OK)
        err = omi_file_sync(t->file);
    omen_err closed = omi_file_close(t->file);
    t->file = NULL;
    if (err == OMEN_OK)
        err = closed;
    if (err == OMEN_OK)
        err = omi_dir_sync(t->dir);
    if (report != NULL) {
        report->operations = atomic_load(&t->operations);
        report->dropped = atomic_load(&t->dropped);
        report->bytes = t->off;
    }
    stripes_lock(t); /* those who come late look, and find nothing */
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES; i++) {
        free(t->stripes[i].filling.bytes);
        free(t->stripes[i].taken.bytes);
        t->stripes[i].filling = t->stripes[i].taken = (struct buffer){0};
    }
    stripes_unlock(t);
    free(t->frame);
    t->frame = NULL;
    return err;
}

void omi_trace_destroy(struct omi_trace *t)
{
    if (t == NULL)
        return;
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES; i++) {
        free(t->stripes[i].filling.bytes);
        free(t->stripes[i].taken.bytes);
        omi_mutex_fini(&t->stripes[i].mu);
    }
    omi_cond_fini(&t->work);
    omi_cond_fini(&t->idle);
    omi_mutex_fini(&t->mu);
    (void)omi_file_close(t->file);
    omi_dir_close(t->dir);
    free(t->frame);
    free(t->path);
    free(t);
}

/* wal.c - the log's writing side: append, sync, switch, release. Recovery is wal_recover.c's. */
#include "lsm/wal.h"

#include "io/base/coding.h"
#include "io/base/mutant.h"
#include "io/base/sync.h"
#include "lsm/wal_format.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = 32, SEGMENTS_MAX = 128 };

struct segment {
    uint64_t number, slot;
    struct omi_file *file;
    uint64_t bytes;  /* written; of the active one: where the next frame goes */
    uint64_t synced; /* known durable */
};

/* Order: sync_mu -> mu. sync_mu: one fdatasync at a time, and files stay open meanwhile.
 * mu guards the list of segments and the positions. */
struct omi_wal {
    struct omi_dir *dir;
    uint64_t (*next_number)(void *ctx);
    void *number_ctx;
    struct omi_mutex sync_mu, mu;
    struct segment segments[SEGMENTS_MAX]; /* oldest first, the active one last */
    uint32_t segment_count;
    bool names_pending; /* a segment was made since the directory was synced */
    uint64_t nonce, chain;
    uint64_t appended, durable; /* bytes over all segments, headers included */
    uint64_t sync_count;
    struct omi_buf frame;
    bool torn; /* the active segment met a full disk: the next frame goes to another */
    _Atomic omen_err sealed; /* set under mu */
    char sealed_text[400];
};

static void slot_name(uint64_t slot, char name[static NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "%06" PRIu64 ".log", slot);
}

static struct segment *active(struct omi_wal *w)
{
    return &w->segments[w->segment_count - 1];
}

/* The first failure is kept and told again; the log is over. */
static omen_err seal(struct omi_wal *w, omen_err err)
{
    omi_mutex_lock(&w->mu);
    if (w->sealed == OMEN_OK) {
        w->sealed = err;
        snprintf(w->sealed_text, sizeof(w->sealed_text), "%s", omen_last_error());
    }
    omi_mutex_unlock(&w->mu);
    return err;
}

bool omi_wal_sealed(const struct omi_wal *wal)
{
    return wal->sealed != OMEN_OK;
}

omen_err omi_wal_status(const struct omi_wal *wal)
{
    struct omi_wal *w = (struct omi_wal *)(uintptr_t)wal;
    omi_mutex_lock(&w->mu);
    omen_err err = w->sealed;
    if (err != OMEN_OK)
        err = omi_fail(OMEN_READ_ONLY, 0, "the log is sealed after: %s", w->sealed_text);
    omi_mutex_unlock(&w->mu);
    return err;
}

/* ---- segments -------------------------------------------------------------------------------- */

/* A new active segment; nothing of it is durable yet. */
static omen_err segment_begin(struct omi_wal *w, uint64_t number)
{
    if (w->segment_count == SEGMENTS_MAX)
        return omi_fail(OMEN_BUSY, 0, "%d log segments wait for flushes", SEGMENTS_MAX);
    struct omi_env *env = w->dir->env;
    struct segment s = {.number = number, .slot = w->next_number(w->number_ctx)};
    struct omi_wal_header h = {
        .segment = number, .chain = w->chain, .created_us = env->ops->wall_us(env)};
    env->ops->random(env, &h.nonce, sizeof(h.nonce));
    uint8_t page[OMI_WAL_FIRST_FRAME] = {0};
    omi_wal_header_encode(&h, page);
    omi_wal_header_encode(&h, page + OMI_WAL_HEADER_COPY);
    char name[NAME_BYTES];
    slot_name(s.slot, name);
    omen_err err = omi_file_open(w->dir, name, OMI_OPEN_CREATE, 0, &s.file);
    if (err != OMEN_OK)
        return err;
    err = omi_file_pwrite(s.file, page, sizeof(page), 0);
    if (err != OMEN_OK) {
        (void)omi_file_close(s.file);
        (void)omi_dir_unlink(w->dir, name);
        return err;
    }
    s.bytes = OMI_WAL_FIRST_FRAME;
    omi_mutex_lock(&w->mu);
    w->segments[w->segment_count++] = s;
    w->names_pending = true;
    w->nonce = h.nonce;
    w->appended += s.bytes;
    omi_mutex_unlock(&w->mu);
    w->torn = false;
    return OMEN_OK;
}

omen_err omi_wal_create(struct omi_dir *dir, const struct omi_wal_params *params,
                        struct omi_wal **wal_out)
{
    *wal_out = NULL;
    struct omi_wal *w = calloc(1, sizeof(*w));
    if (w == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the log");
    w->dir = dir;
    w->next_number = params->next_number;
    w->number_ctx = params->number_ctx;
    w->chain = params->chain;
    omi_mutex_init(&w->sync_mu);
    omi_mutex_init(&w->mu);
    omen_err err = segment_begin(w, params->segment);
    if (err == OMEN_OK)
        err = omi_wal_sync(w, UINT64_MAX);
    if (err != OMEN_OK) {
        omi_ignore(omi_wal_close(w));
        return err;
    }
    *wal_out = w;
    return OMEN_OK;
}

omen_err omi_wal_close(struct omi_wal *w)
{
    omen_err err = OMEN_OK;
    if (w->sealed == OMEN_OK)
        err = omi_wal_sync(w, UINT64_MAX);
    else if (w->durable < w->appended) /* acknowledged, and a power loss may take it away */
        err = omi_wal_status(w);
    for (uint32_t i = 0; i < w->segment_count; i++) {
        omen_err closed = omi_file_close(w->segments[i].file);
        if (err == OMEN_OK)
            err = closed;
    }
    omi_buf_fini(&w->frame);
    omi_mutex_fini(&w->mu);
    omi_mutex_fini(&w->sync_mu);
    free(w);
    return err;
}

omen_err omi_wal_rotate(struct omi_wal *w)
{
    omen_err err = omi_wal_status(w);
    return err == OMEN_OK ? segment_begin(w, omi_wal_segment(w) + 1) : err;
}

omen_err omi_wal_release(struct omi_wal *w, uint64_t floor)
{
    omen_err err = omi_wal_status(w); /* after a failure nothing is deleted any more */
    omi_mutex_lock(&w->sync_mu);
    while (err == OMEN_OK) {
        omi_mutex_lock(&w->mu);
        struct segment s = w->segments[0];
        bool gone = w->segment_count > 1 && s.number < floor;
        if (gone) {
            w->segment_count--;
            memmove(&w->segments[0], &w->segments[1], w->segment_count * sizeof(s));
        }
        omi_mutex_unlock(&w->mu);
        if (!gone)
            break;
        char name[NAME_BYTES];
        slot_name(s.slot, name);
        omen_err closed = omi_file_close(s.file);
        err = omi_dir_unlink(w->dir, name);
        if (err == OMEN_OK)
            err = closed;
    }
    omi_mutex_unlock(&w->sync_mu);
    return err;
}

/* ---- append ---------------------------------------------------------------------------------- */

/* Somebody's sync may have made the tail durable, and nothing has made its end so: before a later
 * segment may claim to be durable, this one is synced once more. */
static omen_err cut_off(struct omi_wal *w, struct omi_file *file, uint64_t at)
{
    omi_mutex_lock(&w->sync_mu); /* no sync that began before the cut ends after it */
    omen_err err = file->env->ops->file_truncate(file, at);
    omi_mutex_lock(&w->mu);
    active(w)->synced = 0;
    omi_mutex_unlock(&w->mu);
    omi_mutex_unlock(&w->sync_mu);
    return err;
}

/* A frame that the disk had no room for is cut off again, so it is certain that it is not there; a
 * segment that had such a tail is not appended to. Anything else that fails ends the log. */
static omen_err append_failed(struct omi_wal *w, omen_err err, struct omi_file *file, uint64_t at)
{
    if (OMI_MUTANT(OMI_MUTANT_APPEND_GOES_ON)) {
        active(w)->bytes += OMI_FRAME_ALIGN;
        return OMEN_UNKNOWN;
    }
    if (err != OMEN_FULL)
        return seal(w, OMEN_UNKNOWN);
    if (cut_off(w, file, at) != OMEN_OK)
        return seal(w, OMEN_UNKNOWN);
    w->torn = true;
    return OMEN_FULL;
}

/* Up to where everything was durable, relative to the active segment. Holds mu. */
static void durable_position(struct omi_wal *w, struct omi_frame_header *h)
{
    uint32_t i = 0;
    while (i + 1 < w->segment_count && w->segments[i].synced == w->segments[i].bytes)
        i++;
    h->durable_back = (uint32_t)(active(w)->number - w->segments[i].number);
    h->durable_bytes = w->segments[i].synced;
}

omen_err omi_wal_append(struct omi_wal *w, uint64_t first_seq, const struct omi_ops *ops,
                        uint64_t *position_out)
{
    if (w->sealed != OMEN_OK)
        return omi_wal_status(w);
    struct omi_frame_header h = {.op_count = ops->count,
                                 .size = (uint32_t)ops->size,
                                 .chain = (uint32_t)w->chain,
                                 .first_seq = first_seq};
    uint64_t bytes = omi_frame_bytes(ops->size);
    if (ops->size > UINT32_MAX - 4096)
        return omi_fail(OMEN_INVALID, 0, "a write of %zu bytes", ops->size);
    w->frame.size = 0;
    omen_err err = omi_buf_reserve(&w->frame, (size_t)bytes);
    if (err == OMEN_OK && w->torn)
        err = segment_begin(w, omi_wal_segment(w) + 1);
    if (err != OMEN_OK)
        return err;         /* nothing is written: the log goes on */
    omi_mutex_lock(&w->mu); /* a release may move the list meanwhile */
    durable_position(w, &h);
    struct omi_file *file = active(w)->file;
    uint64_t at = active(w)->bytes;
    omi_mutex_unlock(&w->mu);
    uint8_t *frame = w->frame.data;
    memcpy(frame + OMI_FRAME_HEADER_BYTES, ops->bytes, ops->size);
    memset(frame + OMI_FRAME_HEADER_BYTES + ops->size, 0,
           (size_t)bytes - OMI_FRAME_HEADER_BYTES - ops->size);
    uint64_t check = omi_frame_seal(frame, &h, w->nonce);
    err = omi_file_pwrite(file, frame, (size_t)bytes, at);
    if (err != OMEN_OK)
        return append_failed(w, err, file, at);
    w->chain = check;
    omi_mutex_lock(&w->mu);
    active(w)->bytes += bytes;
    w->appended += bytes;
    *position_out = w->appended;
    omi_mutex_unlock(&w->mu);
    if (w->frame.capacity > 16u << 20)
        omi_buf_fini(&w->frame); /* a huge batch is no reason to keep its size */
    return OMEN_OK;
}

uint64_t omi_wal_segment(const struct omi_wal *wal)
{
    struct omi_wal *w = (struct omi_wal *)(uintptr_t)wal;
    omi_mutex_lock(&w->mu);
    uint64_t number = active(w)->number;
    omi_mutex_unlock(&w->mu);
    return number;
}

uint64_t omi_wal_slot(const struct omi_wal *wal)
{
    struct omi_wal *w = (struct omi_wal *)(uintptr_t)wal;
    omi_mutex_lock(&w->mu);
    uint64_t slot = active(w)->slot;
    omi_mutex_unlock(&w->mu);
    return slot;
}

uint64_t omi_wal_segment_bytes(const struct omi_wal *wal)
{
    struct omi_wal *w = (struct omi_wal *)(uintptr_t)wal;
    omi_mutex_lock(&w->mu);
    uint64_t bytes = active(w)->bytes;
    omi_mutex_unlock(&w->mu);
    return bytes;
}

uint64_t omi_wal_bytes(const struct omi_wal *wal)
{
    struct omi_wal *w = (struct omi_wal *)(uintptr_t)wal;
    omi_mutex_lock(&w->mu);
    uint64_t bytes = w->appended;
    omi_mutex_unlock(&w->mu);
    return bytes;
}

uint64_t omi_wal_syncs(const struct omi_wal *wal)
{
    struct omi_wal *w = (struct omi_wal *)(uintptr_t)wal;
    omi_mutex_lock(&w->mu);
    uint64_t count = w->sync_count;
    omi_mutex_unlock(&w->mu);
    return count;
}

/* ---- sync ------------------------------------------------------------------------------------ */

/* Makes the segment with number durable up to what it holds now. Holds sync_mu. */
static omen_err segment_sync(struct omi_wal *w, uint64_t number)
{
    omi_mutex_lock(&w->mu);
    uint32_t i = 0;
    while (i < w->segment_count && w->segments[i].number != number)
        i++;
    bool needed = i < w->segment_count && w->segments[i].synced < w->segments[i].bytes;
    struct segment s = needed ? w->segments[i] : (struct segment){0};
    omi_mutex_unlock(&w->mu);
    if (!needed)
        return OMEN_OK;
    omen_err err = omi_file_sync(s.file);
    omi_mutex_lock(&w->mu);
    for (i = 0; i < w->segment_count && err == OMEN_OK; i++)
        if (w->segments[i].number == number)
            w->segments[i].synced = s.bytes;
    w->sync_count++;
    omi_mutex_unlock(&w->mu);
    return err;
}

/* The names, the older segments, the active one. Holds sync_mu. */
static omen_err sync_all(struct omi_wal *w)
{
    omi_mutex_lock(&w->mu);
    uint64_t first = w->segments[0].number, last = active(w)->number, target = w->appended;
    bool names = w->names_pending;
    w->names_pending = false;
    omi_mutex_unlock(&w->mu);
    /* Names first: a frame may claim a segment as durable as soon as its data is. */
    omen_err err =
        names && !OMI_MUTANT(OMI_MUTANT_NO_LOG_NAME_SYNC) ? omi_dir_sync(w->dir) : OMEN_OK;
    for (uint64_t number = first; number <= last && err == OMEN_OK; number++)
        err = segment_sync(w, number);
    omi_mutex_lock(&w->mu);
    if (err == OMEN_OK && target > w->durable)
        w->durable = target;
    omi_mutex_unlock(&w->mu);
    return err;
}

omen_err omi_wal_sync(struct omi_wal *w, uint64_t position)
{
    omi_mutex_lock(&w->mu);
    if (position > w->appended)
        position = w->appended;
    omi_mutex_unlock(&w->mu);
    omi_mutex_lock(&w->sync_mu);
    omi_mutex_lock(&w->mu);
    bool done = w->durable >= position;
    omi_mutex_unlock(&w->mu);
    omen_err err = done ? OMEN_OK : omi_wal_status(w);
    if (err == OMEN_OK && !done) {
        err = sync_all(w);
        if (OMI_MUTANT(OMI_MUTANT_SYNC_ERROR_LOST))
            err = OMEN_OK;
        if (err != OMEN_OK)
            (void)seal(w, err);
    }
    omi_mutex_unlock(&w->sync_mu);
    return err;
}

omen_err omi_wal_settle(struct omi_wal *w)
{
    omi_mutex_lock(&w->sync_mu);
    omen_err err = omi_wal_status(w); /* another's sync may have failed while this one waited */
    if (err != OMEN_OK) {
        omi_mutex_unlock(&w->sync_mu);
        return err;
    }
    omi_mutex_lock(&w->mu);
    uint64_t number = active(w)->number;
    bool fresh = active(w)->synced == 0, names = w->names_pending;
    w->names_pending = false;
    omi_mutex_unlock(&w->mu);
    if (names)
        err = omi_dir_sync(w->dir);
    if (err == OMEN_OK && fresh)
        err = segment_sync(w, number);
    if (err != OMEN_OK)
        (void)seal(w, err);
    omi_mutex_unlock(&w->sync_mu);
    return err;
}

/* ---- checkpoint ------------------------------------------------------------------------------ */

/* Both headers, and frames without a gap to the end? */
static bool segment_whole(const uint8_t *bytes, uint64_t size, const char *name)
{
    struct omi_wal_header h;
    struct omi_frame_header frame;
    uint64_t hashed = 0, at = OMI_WAL_FIRST_FRAME;
    if (omi_wal_header_decode(bytes + OMI_WAL_HEADER_COPY, name, &h) != OMEN_OK ||
        omi_wal_header_decode(bytes, name, &h) != OMEN_OK)
        return false;
    while (at < size && omi_frame_open(bytes + at, size - at, h.nonce, &frame, &hashed))
        at += omi_frame_bytes(frame.size);
    return at == size;
}

/* Checked, and read once more when a bit may have flipped on the way: what is wrong in a copy would
 * look like an unsynced tail there. */
static omen_err segment_read(const struct segment *s, const char *name, uint8_t *bytes)
{
    size_t got = 0;
    for (int i = 0; i < 2; i++) {
        omen_err err = omi_file_pread(s->file, bytes, (size_t)s->bytes, 0, &got);
        if (err != OMEN_OK)
            return err;
        if (got == s->bytes && segment_whole(bytes, s->bytes, name))
            return OMEN_OK;
        s->file->env->ops->file_advise(s->file, OMI_ADVISE_DROP);
    }
    return omi_fail(OMEN_CORRUPT, 0, "%s: not what was written to it", name);
}

static omen_err copy_segment(const struct segment *s, struct omi_dir *to)
{
    char name[NAME_BYTES];
    struct omi_file *out = NULL;
    uint8_t *bytes = malloc((size_t)s->bytes);
    slot_name(s->slot, name);
    if (bytes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: %" PRIu64 " bytes to copy", name, s->bytes);
    omen_err err = segment_read(s, name, bytes);
    if (err == OMEN_OK)
        err = omi_file_open(to, name, OMI_OPEN_CREATE, 0, &out);
    if (err == OMEN_OK)
        err = omi_file_pwrite(out, bytes, (size_t)s->bytes, 0);
    if (err == OMEN_OK)
        err = omi_file_sync(out);
    omen_err closed = omi_file_close(out);
    free(bytes);
    return err == OMEN_OK ? closed : err;
}

omen_err omi_wal_copy(struct omi_wal *w, struct omi_dir *from, struct omi_dir *to, uint64_t floor)
{
    (void)from;
    struct segment *copy = malloc(sizeof(w->segments));
    if (copy == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a list of log segments");
    omi_mutex_lock(&w->sync_mu); /* files stay open */
    omi_mutex_lock(&w->mu);
    uint32_t count = w->segment_count;
    memcpy(copy, w->segments, count * sizeof(*copy));
    omi_mutex_unlock(&w->mu);
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < count && err == OMEN_OK; i++)
        if (copy[i].number >= floor)
            err = copy_segment(&copy[i], to);
    omi_mutex_unlock(&w->sync_mu);
    free(copy);
    return err;
}

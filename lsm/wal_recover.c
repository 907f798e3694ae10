/*
 * wal_recover.c - the log's reading side. A bad frame is either the unsynced tail that a crash
 * tore, and then everything after it in order is dropped, or damage to synced data, and then
 * nothing opens. What tells: frames behind it that were written when more was already durable.
 */
#include "io/base/coding.h"
#include "io/base/mutant.h"
#include "io/base/sync.h"
#include "lsm/wal.h"
#include "lsm/wal_format.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = 64, FRAME_LOOK_BYTES = 1 << 20 };

struct found {
    char name[NAME_BYTES];
    struct omi_wal_header header;
    uint64_t bytes;
    bool valid;
};
struct survey {
    struct omi_dir *dir;
    struct found *items;
    size_t count, capacity;
    bool around; /* what the device cannot read is no header, and no error */
};

/* ---- which segments there are ---------------------------------------------------------------- */

static bool is_log(const char *name)
{
    size_t n = strlen(name), digits = strspn(name, "0123456789");
    return digits >= 6 && digits + 4 == n && strcmp(name + digits, ".log") == 0 && n < NAME_BYTES;
}

static omen_err survey_one(void *ctx, const struct omi_dir_entry *e)
{
    struct survey *s = ctx;
    if (!is_log(e->name))
        return OMEN_OK;
    if (s->count == s->capacity) {
        size_t capacity = s->capacity * 2 + 8;
        struct found *items = realloc(s->items, capacity * sizeof(*items));
        if (items == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "the list of log segments");
        s->items = items;
        s->capacity = capacity;
    }
    struct found *f = &s->items[s->count++];
    memset(f, 0, sizeof(*f));
    snprintf(f->name, sizeof(f->name), "%s", e->name);
    return OMEN_OK;
}

/* Does the nonce open the first frame? Asked of two headers that differ; a frame of more than is
 * looked at is opened by neither. */
static bool opens_frame(struct omi_file *file, uint64_t nonce)
{
    struct omi_frame_header h;
    uint64_t hashed = 0;
    size_t got = 0;
    uint8_t *bytes = malloc(FRAME_LOOK_BYTES);
    bool opens =
        bytes != NULL &&
        omi_file_pread(file, bytes, FRAME_LOOK_BYTES, OMI_WAL_FIRST_FRAME, &got) == OMEN_OK &&
        got >= OMI_FRAME_HEADER_BYTES && omi_frame_open(bytes, got, nonce, &h, &hashed);
    free(bytes);
    return opens;
}

/* Both, one or none of the two headers; two that differ are not of one segment. */
static omen_err header_choose(const struct survey *s, struct omi_file *file, const uint8_t *page,
                              struct found *f)
{
    struct omi_wal_header copy;
    omen_err first = omi_wal_header_decode(page, f->name, &f->header);
    if (first == OMEN_UNSUPPORTED)
        return first;
    omen_err second = omi_wal_header_decode(page + OMI_WAL_HEADER_COPY, f->name, &copy);
    if (second == OMEN_UNSUPPORTED)
        return second;
    bool differ = first == OMEN_OK && second == OMEN_OK &&
                  memcmp(page, page + OMI_WAL_HEADER_COPY, OMI_WAL_HEADER_BYTES) != 0;
    if (differ && !s->around)
        return omi_fail(OMEN_CORRUPT, 0,
                        "%s: its two headers are of different segments; run omendb repair",
                        f->name);
    if (first != OMEN_OK || (differ && opens_frame(file, copy.nonce)))
        f->header = copy;
    f->valid = first == OMEN_OK || second == OMEN_OK;
    return OMEN_OK; /* none: torn at its making, no segment */
}

/* Once more when the headers are not alike: a bit, or a whole sector, may be wrong on the way. */
static omen_err page_read(struct omi_file *file, uint8_t page[static OMI_WAL_FIRST_FRAME],
                          size_t *got_out)
{
    omen_err err = OMEN_OK;
    for (int i = 0; i < 2 && err == OMEN_OK; i++) {
        err = omi_file_pread(file, page, OMI_WAL_FIRST_FRAME, 0, got_out);
        struct omi_wal_header h;
        if (err == OMEN_OK && *got_out == OMI_WAL_FIRST_FRAME &&
            omi_wal_header_decode(page, "", &h) == OMEN_OK &&
            memcmp(page, page + OMI_WAL_HEADER_COPY, OMI_WAL_HEADER_BYTES) == 0)
            break;
        file->env->ops->file_advise(file, OMI_ADVISE_DROP);
    }
    return err;
}

static omen_err header_read(struct survey *s, struct found *f)
{
    uint8_t page[OMI_WAL_FIRST_FRAME];
    struct omi_file *file = NULL;
    uint64_t unread;
    size_t got = 0;
    omen_err err = omi_file_open(s->dir, f->name, OMI_OPEN_READ, 0, &file);
    if (err == OMEN_NOT_FOUND)
        return OMEN_OK; /* released by a live writer since we looked */
    if (err == OMEN_OK)
        err = omi_file_size(file, &f->bytes);
    if (err == OMEN_OK)
        err = page_read(file, page, &got);
    if (err == OMEN_IO && s->around && (got = sizeof(page)) != 0)
        err = omi_file_read_around(file, page, sizeof(page), &unread);
    if (err == OMEN_OK && got == sizeof(page))
        err = header_choose(s, file, page, f);
    (void)omi_file_close(file);
    return err;
}

static int by_segment(const void *a, const void *b)
{
    const struct found *x = a, *y = b;
    if (x->valid != y->valid)
        return x->valid ? -1 : 1;
    return (x->header.segment > y->header.segment) - (x->header.segment < y->header.segment);
}

static omen_err survey_all(struct survey *s)
{
    omen_err err = omi_dir_list(s->dir, survey_one, s);
    for (size_t i = 0; i < s->count && err == OMEN_OK; i++)
        err = header_read(s, &s->items[i]);
    if (err == OMEN_OK && s->count > 0)
        qsort(s->items, s->count, sizeof(*s->items), by_segment);
    return err;
}

/* ---- one segment's bytes --------------------------------------------------------------------- */

static omen_err segment_load(struct omi_dir *dir, const struct found *f, uint8_t **bytes_out,
                             uint64_t *size_out)
{
    struct omi_file *file = NULL;
    uint64_t size = 0;
    size_t got = 0;
    *bytes_out = NULL;
    omen_err err = omi_file_open(dir, f->name, OMI_OPEN_READ, 0, &file);
    if (err == OMEN_NOT_FOUND)
        return omi_fail(OMEN_CORRUPT, 0, "%s is gone", f->name);
    if (err == OMEN_OK)
        err = omi_file_size(file, &size);
    if (err == OMEN_OK && (*bytes_out = malloc((size_t)size + 1)) == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "%s: %" PRIu64 " bytes to recover", f->name, size);
    if (err == OMEN_OK)
        err = omi_file_pread(file, *bytes_out, (size_t)size, 0, &got);
    (void)omi_file_close(file);
    if (err != OMEN_OK) {
        free(*bytes_out);
        *bytes_out = NULL;
    }
    *size_out = got;
    return err;
}

/* ---- where the log ends ---------------------------------------------------------------------- */

struct replay {
    struct omi_dir *dir;
    struct omi_wal_recovery *out;
    omen_err (*each)(void *ctx, const struct omi_entry *entry);
    void *each_ctx;
    uint64_t chain; /* check of the last good frame */
    bool any;       /* a frame was seen, so sequence numbers must go on */
    uint64_t next_seq;
    /* the first bad place */
    bool cut;
    uint64_t cut_segment, cut_off;
    char cut_name[NAME_BYTES];
};

static void cut_here(struct replay *r, const struct found *f, uint64_t segment, uint64_t off)
{
    if (r->cut)
        return;
    r->cut = true;
    r->cut_segment = segment;
    r->cut_off = off;
    snprintf(r->cut_name, sizeof(r->cut_name), "%s", f->name);
}

/* Does a frame of segment claim that bytes at or behind the cut were durable? */
static omen_err claim_check(const struct replay *r, uint64_t segment,
                            const struct omi_frame_header *h)
{
    uint64_t durable = h->durable_back <= segment ? segment - h->durable_back : 0;
    if (durable < r->cut_segment || (durable == r->cut_segment && h->durable_bytes <= r->cut_off))
        return OMEN_OK;
    return omi_fail(
        OMEN_CORRUPT, 0,
        "%s is damaged at offset %" PRIu64
        ": synced data behind it would be lost; restore it from a backup, or save what is "
        "whole with omendb repair",
        r->cut_name, r->cut_off);
}

/* Looks for whole frames behind the cut; what they claim decides. The work is linear: a frame found
 * is skipped as a whole, and hashing of what only looks like frames is bounded. */
static omen_err scan_behind(struct replay *r, const struct found *f, const uint8_t *bytes,
                            uint64_t size, uint64_t from)
{
    uint64_t hashed = 0;
    struct omi_frame_header h;
    for (uint64_t off = from; off + OMI_FRAME_HEADER_BYTES <= size;) {
        if (!omi_frame_open(bytes + off, size - off, f->header.nonce, &h, &hashed)) {
            off += OMI_FRAME_ALIGN;
            if (hashed > 8 * size + (1 << 20))
                return omi_fail(OMEN_CORRUPT, 0, "%s: too much looks like frames and is none",
                                f->name);
            continue;
        }
        omen_err err = claim_check(r, f->header.segment, &h);
        if (err != OMEN_OK)
            return err;
        off += omi_frame_bytes(h.size);
    }
    if (size > from)
        r->out->cut_bytes += size - from;
    return OMEN_OK;
}

static omen_err replay_one(void *ctx, const struct omi_entry *entry)
{
    struct replay *r = ctx;
    if (omi_trailer_seq(entry->trailer) <= r->out->flushed_seq)
        return OMEN_OK;
    if (OMI_MUTANT(OMI_MUTANT_TORN_BATCH) && r->any && omi_trailer_seq(entry->trailer) % 5 == 0 &&
        omi_trailer_seq(entry->trailer) != r->next_seq)
        return OMEN_OK;
    r->out->operations++;
    return r->each(r->each_ctx, entry);
}

static omen_err replay_frame(struct replay *r, const struct found *f, uint64_t off,
                             const uint8_t *bytes, const struct omi_frame_header *h)
{
    struct omi_ops ops = {bytes + OMI_FRAME_HEADER_BYTES, h->size, h->op_count};
    omen_err err = omi_ops_each(&ops, h->first_seq, replay_one, r);
    if (err == OMEN_CORRUPT) {
        char text[300];
        snprintf(text, sizeof(text), "%s", omen_last_error());
        err = omi_fail(OMEN_CORRUPT, 0, "%s: frame at offset %" PRIu64 ": %s", f->name, off, text);
    }
    return err;
}

/* A frame that may follow what was read so far? */
static bool follows(const struct replay *r, const struct omi_frame_header *h)
{
    return h->chain == (uint32_t)r->chain && h->first_seq != 0 &&
           h->first_seq <= OMI_SEQ_MAX - h->op_count && (!r->any || h->first_seq == r->next_seq);
}

/* A segment's bytes in memory. */
struct image {
    uint8_t *bytes;
    uint64_t size;
};

/* Once more from the device: a bit may have flipped on the way. */
static omen_err image_reload(struct replay *r, const struct found *f, struct image *image)
{
    struct image again;
    omen_err err = segment_load(r->dir, f, &again.bytes, &again.size);
    if (err != OMEN_OK)
        return err;
    free(image->bytes);
    *image = again;
    return OMEN_OK;
}

static omen_err segment_replay(struct replay *r, const struct found *f, struct image *image)
{
    uint64_t off = OMI_WAL_FIRST_FRAME, hashed = 0;
    bool reloaded = false;
    struct omi_frame_header h;
    while (off < image->size) {
        const uint8_t *bytes = image->bytes;
        omen_err err = OMEN_OK;
        if (!omi_frame_open(bytes + off, image->size - off, f->header.nonce, &h, &hashed) ||
            !follows(r, &h)) {
            if (!reloaded) {
                reloaded = true;
                err = image_reload(r, f, image);
                if (err != OMEN_OK)
                    return err;
                continue;
            }
            cut_here(r, f, f->header.segment, off);
            return scan_behind(r, f, bytes, image->size, off);
        }
        err = replay_frame(r, f, off, bytes + off, &h);
        if (err != OMEN_OK)
            return err;
        r->chain = h.check;
        r->any = true;
        r->next_seq = h.first_seq + h.op_count;
        if (r->next_seq - 1 > r->out->last_seq)
            r->out->last_seq = r->next_seq - 1;
        off += omi_frame_bytes(h.size);
    }
    return OMEN_OK;
}

/* One segment: replayed while the log is whole, only looked through behind a cut. */
static omen_err segment_visit(struct replay *r, const struct found *f, const struct found *before,
                              bool first)
{
    struct image image = {NULL, 0};
    omen_err err = segment_load(r->dir, f, &image.bytes, &image.size);
    if (err == OMEN_IO && OMI_MUTANT(OMI_MUTANT_READ_ERROR_IS_END))
        err = OMEN_OK; /* no bytes */
    if (err != OMEN_OK)
        return err;
    if (first)
        r->chain = f->header.chain; /* what it follows is gone, rightly */
    else if (!r->cut &&
             (f->header.chain != r->chain || f->header.segment != before->header.segment + 1))
        cut_here(r, before, before->header.segment, before->bytes);
    err = r->cut ? scan_behind(r, f, image.bytes, image.size, OMI_WAL_FIRST_FRAME)
                 : segment_replay(r, f, &image);
    free(image.bytes);
    return err;
}

omen_err omi_wal_recover(struct omi_dir *dir, struct omi_wal_recovery *recovery,
                         omen_err (*each)(void *ctx, const struct omi_entry *entry), void *ctx)
{
    struct survey s = {.dir = dir};
    struct replay r = {.dir = dir, .out = recovery, .each = each, .each_ctx = ctx};
    recovery->last_seq = recovery->flushed_seq;
    recovery->next_segment = recovery->floor + 1;
    recovery->chain = 0;
    recovery->operations = recovery->cut_bytes = recovery->files = 0;
    omen_err err = survey_all(&s);
    const struct found *before = NULL;
    for (size_t i = 0; i < s.count && s.items[i].valid && err == OMEN_OK; i++) {
        const struct found *f = &s.items[i];
        if (f->header.segment >= recovery->next_segment)
            recovery->next_segment = f->header.segment + 1;
        if (f->header.segment < recovery->floor)
            continue;
        if (before == NULL && recovery->floor != 0 && f->header.segment != recovery->floor) {
            err = omi_fail(OMEN_CORRUPT, 0,
                           "log segment %" PRIu64 " is missing; the oldest there is %" PRIu64
                           " in %s",
                           recovery->floor, f->header.segment, f->name);
            break;
        }
        err = segment_visit(&r, f, before, before == NULL);
        before = f;
        recovery->files++;
    }
    if (err == OMEN_OK && before == NULL && recovery->floor != 0)
        err = omi_fail(OMEN_CORRUPT, 0, "log segment %" PRIu64 " is missing", recovery->floor);
    recovery->chain = r.chain;
    free(s.items);
    return err;
}

/* ---- salvage --------------------------------------------------------------------------------- */

static omen_err no_entry(void *ctx, const struct omi_entry *entry)
{
    (void)ctx;
    (void)entry;
    return OMEN_OK;
}

/* What the tables hold is not missing. */
static void note_missing(const struct replay *r, struct omi_segment_verdict *v, uint64_t first_seq)
{
    uint64_t flushed = r->out->flushed_seq;
    uint64_t expected = r->next_seq > flushed ? r->next_seq : flushed + 1;
    if (first_seq <= expected)
        return;
    if (v->missing == 0)
        v->missing_first_seq = expected;
    v->missing += first_seq - expected;
    v->missing_last_seq = first_seq - 1;
}

/* A whole frame, of operations that parse, behind what was handed out? The chain may be broken. */
static bool is_salvageable(const struct replay *r, const uint8_t *bytes, uint64_t available,
                           uint64_t nonce, struct omi_frame_header *h, uint64_t *hashed,
                           omen_err *err)
{
    if (!omi_frame_open(bytes, available, nonce, h, hashed) || h->first_seq == 0 ||
        h->first_seq > OMI_SEQ_MAX - h->op_count || (r->any && h->first_seq < r->next_seq))
        return false;
    struct omi_ops ops = {bytes + OMI_FRAME_HEADER_BYTES, h->size, h->op_count};
    *err = omi_ops_each(&ops, h->first_seq, no_entry, NULL);
    return *err == OMEN_OK;
}

static omen_err frame_salvage(struct replay *r, const struct found *f, uint64_t off,
                              const uint8_t *bytes, const struct omi_frame_header *h,
                              struct omi_segment_verdict *v)
{
    uint64_t before = r->out->operations;
    omen_err err = replay_frame(r, f, off, bytes, h);
    v->operations += r->out->operations - before;
    if (r->next_seq != 0)
        note_missing(r, v, h->first_seq);
    r->any = true;
    r->chain = h->check;
    r->next_seq = h->first_seq + h->op_count;
    if (r->next_seq - 1 > r->out->last_seq)
        r->out->last_seq = r->next_seq - 1;
    return err;
}

static omen_err image_salvage(struct replay *r, const struct found *f, const struct image *image,
                              struct omi_segment_verdict *v)
{
    uint64_t off = OMI_WAL_FIRST_FRAME, hashed = 0;
    struct omi_frame_header h;
    while (off < image->size) {
        uint64_t left = image->size - off;
        omen_err err = OMEN_OK;
        if (is_salvageable(r, image->bytes + off, left, f->header.nonce, &h, &hashed, &err)) {
            err = frame_salvage(r, f, off, image->bytes + off, &h, v);
            off += omi_frame_bytes(h.size);
        } else {
            /* Hashing of what only looks like frames is bounded. */
            uint64_t step = hashed > 8 * image->size + (1 << 20) ? left : OMI_FRAME_ALIGN;
            if (v->lost_bytes == 0)
                v->damaged_off = off;
            v->lost_bytes += step < left ? step : left;
            off += step;
        }
        if (err != OMEN_OK && err != OMEN_CORRUPT)
            return err;
    }
    return OMEN_OK;
}

static omen_err segment_salvage(struct replay *r, const struct found *f,
                                struct omi_segment_verdict *v)
{
    struct omi_file *file = NULL;
    struct image image = {NULL, 0};
    uint64_t unread;
    omen_err err = omi_file_open(r->dir, f->name, OMI_OPEN_READ, 0, &file);
    if (err == OMEN_OK)
        err = omi_file_size(file, &image.size);
    if (err == OMEN_OK && (image.bytes = malloc((size_t)image.size + 1)) == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "%s: %" PRIu64 " bytes to repair", f->name, image.size);
    if (err == OMEN_OK)
        err = omi_file_read_around(file, image.bytes, (size_t)image.size, &unread);
    (void)omi_file_close(file);
    if (err == OMEN_OK)
        err = image_salvage(r, f, &image, v);
    free(image.bytes);
    return err;
}

static void tell_absent(const struct omi_wal_salvage *salvage, uint64_t first, uint64_t count)
{
    struct omi_segment_verdict v = {.segment = first, .absent = count};
    salvage->verdict(salvage->verdict_ctx, &v);
}

static omen_err salvage_one(struct replay *r, const struct omi_wal_salvage *salvage,
                            const struct found *f)
{
    struct omi_segment_verdict v = {
        .name = f->name, .segment = f->header.segment, .bytes = f->bytes, .headless = !f->valid};
    omen_err err = OMEN_OK;
    if (f->valid)
        err = segment_salvage(r, f, &v);
    else
        v.lost_bytes = f->bytes;
    r->out->cut_bytes += v.lost_bytes;
    r->out->files++;
    if (err == OMEN_OK)
        salvage->verdict(salvage->verdict_ctx, &v);
    return err;
}

omen_err omi_wal_salvage(struct omi_dir *dir, struct omi_wal_recovery *recovery,
                         const struct omi_wal_salvage *salvage,
                         omen_err (*each)(void *ctx, const struct omi_entry *entry), void *ctx)
{
    struct survey s = {.dir = dir, .around = true};
    struct replay r = {.dir = dir, .out = recovery, .each = each, .each_ctx = ctx};
    uint64_t expected = recovery->floor;
    recovery->last_seq = recovery->flushed_seq;
    recovery->next_segment = recovery->floor + 1;
    recovery->chain = 0;
    recovery->operations = recovery->cut_bytes = recovery->files = 0;
    r.next_seq = salvage->flushed_known ? recovery->flushed_seq + 1 : 0;
    omen_err err = survey_all(&s);
    for (size_t i = 0; i < s.count && err == OMEN_OK; i++) {
        const struct found *f = &s.items[i];
        if (f->valid && f->header.segment >= recovery->next_segment)
            recovery->next_segment = f->header.segment + 1;
        if (f->valid ? f->header.segment < recovery->floor : f->bytes <= OMI_WAL_FIRST_FRAME)
            continue;
        if (f->valid && expected != 0 && expected < f->header.segment)
            tell_absent(salvage, expected, f->header.segment - expected);
        err = salvage_one(&r, salvage, f);
        expected = f->valid ? f->header.segment + 1 : expected;
    }
    if (err == OMEN_OK && recovery->floor != 0 && expected == recovery->floor)
        tell_absent(salvage, expected, 1);
    recovery->chain = r.chain;
    free(s.items);
    return err;
}

omen_err omi_wal_holds(struct omi_dir *dir, uint64_t segment, bool *there_out)
{
    struct survey s = {.dir = dir, .around = true};
    omen_err err = survey_all(&s);
    *there_out = false;
    for (size_t i = 0; i < s.count; i++)
        *there_out = *there_out || (s.items[i].valid && s.items[i].header.segment == segment);
    free(s.items);
    return err;
}

omen_err omi_wal_remove_below(struct omi_dir *dir, uint64_t floor, uint64_t slot)
{
    struct survey s = {.dir = dir};
    omen_err err = survey_all(&s);
    for (size_t i = 0; i < s.count && err == OMEN_OK; i++) {
        const struct found *f = &s.items[i];
        bool in_use = strtoull(f->name, NULL, 10) == slot; /* whatever its header seems to say */
        if (!in_use && (!f->valid || f->header.segment < floor))
            err = omi_dir_unlink(dir, f->name);
    }
    free(s.items);
    return err;
}

/* trace_read.c - see trace_read.h. */
#include "lsm/trace_read.h"

#include "io/base/slice.h"
#include "io/env_path.h"

#include <stdio.h>
#include <stdlib.h>

struct omi_trace_reader {
    struct omi_file *file;
    char *path;
    struct omi_trace_header header;
    uint64_t file_bytes, off; /* off: of the next frame */
    uint64_t frames, us;      /* read; of the last operation */
    struct omi_trace_frame frame;
    uint8_t *bytes; /* of the frame */
    size_t capacity, at;
    uint32_t done; /* operations of the frame handed out */
};

static omen_err damaged(const struct omi_trace_reader *r, uint64_t off)
{
    return omi_fail(OMEN_CORRUPT, 0,
                    "%s: the frame at offset %" PRIu64 " is damaged or cut off; what comes before "
                    "it is sound",
                    r->path, off);
}

static omen_err read_exactly(struct omi_trace_reader *r, uint8_t *to, size_t size, uint64_t off)
{
    size_t got = 0;
    omen_err err = omi_file_pread(r->file, to, size, off, &got);
    return err == OMEN_OK && got != size ? damaged(r, r->off) : err;
}

static omen_err header_read(struct omi_trace_reader *r)
{
    uint8_t bytes[OMI_TRACE_HEADER_BYTES];
    omen_err err = omi_file_size(r->file, &r->file_bytes);
    if (err == OMEN_OK && r->file_bytes < sizeof(bytes))
        return omi_fail(OMEN_CORRUPT, 0, "%s is not a trace of operations", r->path);
    if (err == OMEN_OK)
        err = read_exactly(r, bytes, sizeof(bytes), 0);
    if (err == OMEN_OK)
        err = omi_trace_header_decode(bytes, r->path, &r->header);
    r->off = sizeof(bytes);
    return err;
}

omen_err omi_trace_dir(struct omi_env *env, const char *path, struct omi_dir **dir_out,
                       const char **name_out)
{
    size_t size = strlen(path), parent_bytes = omi_path_parent_bytes(path, size);
    size_t at = size;
    while (at > 0 && path[at - 1] != '/')
        at--;
    *dir_out = NULL;
    *name_out = path + at;
    if (!omi_name_is_plain(*name_out))
        return omi_fail(OMEN_INVALID, 0, "\"%s\" does not name a file", path);
    char *parent = parent_bytes == 0 ? strdup(".") : strndup(path, parent_bytes);
    if (parent == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a path");
    omen_err err = omi_dir_open(env, parent, false, dir_out);
    if (err == OMEN_NOT_FOUND)
        err = omi_fail(OMEN_NOT_FOUND, 0, "there is no directory %s", parent);
    free(parent);
    return err;
}

static omen_err file_open(struct omi_env *env, struct omi_trace_reader *r)
{
    struct omi_dir *dir = NULL;
    const char *name;
    omen_err err = omi_trace_dir(env, r->path, &dir, &name);
    if (err != OMEN_OK)
        return err;
    err = omi_file_open(dir, name, OMI_OPEN_READ, 0, &r->file);
    omi_dir_close(dir);
    if (err == OMEN_NOT_FOUND)
        return omi_fail(OMEN_NOT_FOUND, 0, "there is no trace %s", r->path);
    return err;
}

omen_err omi_trace_open(struct omi_env *env, const char *path, struct omi_trace_reader **out)
{
    *out = NULL;
    struct omi_trace_reader *r = calloc(1, sizeof(*r));
    if (r != NULL)
        r->path = strdup(path);
    if (r == NULL || r->path == NULL) {
        free(r);
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: reading it", path);
    }
    omen_err err = file_open(env, r);
    if (err == OMEN_OK)
        err = header_read(r);
    if (err != OMEN_OK) {
        omi_trace_close(r);
        return err;
    }
    *out = r;
    return OMEN_OK;
}

void omi_trace_close(struct omi_trace_reader *r)
{
    if (r == NULL)
        return;
    (void)omi_file_close(r->file);
    free(r->bytes);
    free(r->path);
    free(r);
}

static omen_err bytes_reserve(struct omi_trace_reader *r, size_t size)
{
    if (size <= r->capacity)
        return OMEN_OK;
    free(r->bytes);
    r->bytes = malloc(size);
    r->capacity = r->bytes != NULL ? size : 0;
    return r->bytes != NULL
               ? OMEN_OK
               : omi_fail(OMEN_NO_MEMORY, 0, "%s: a frame of %zu bytes", r->path, size);
}

static omen_err frame_read(struct omi_trace_reader *r)
{
    uint8_t header[OMI_TRACE_FRAME_HEADER_BYTES];
    struct omi_trace_frame f;
    r->frame.count = r->done = 0; /* a failure hands out nothing more */
    if (r->off == r->file_bytes)
        return OMEN_NOT_FOUND;
    if (r->file_bytes - r->off < sizeof(header))
        return damaged(r, r->off);
    omen_err err = read_exactly(r, header, sizeof(header), r->off);
    if (err == OMEN_OK)
        err = omi_trace_frame_decode(header, r->path, r->off, &f);
    if (err == OMEN_OK && (f.number != r->frames || f.first_us < r->us ||
                           f.size > r->file_bytes - r->off - sizeof(header)))
        err = damaged(r, r->off);
    if (err == OMEN_OK)
        err = bytes_reserve(r, (size_t)f.size + 1);
    if (err == OMEN_OK)
        err = read_exactly(r, r->bytes, f.size, r->off + sizeof(header));
    if (err == OMEN_OK && !omi_trace_frame_sound(header, r->header.id, r->bytes, f.size))
        err = damaged(r, r->off);
    if (err != OMEN_OK)
        return err;
    r->frame = f;
    r->frames++;
    r->at = 0;
    r->us = f.first_us;
    return OMEN_OK;
}

omen_err omi_trace_next(struct omi_trace_reader *r, struct omi_trace_op *op)
{
    while (r->done == r->frame.count) {
        omen_err err = frame_read(r);
        if (err != OMEN_OK)
            return err;
        if (r->frame.count == 0)
            r->off += OMI_TRACE_FRAME_HEADER_BYTES + r->frame.size;
    }
    size_t took = omi_trace_op_take(r->bytes + r->at, r->frame.size - r->at, r->us, op);
    bool last = r->done + 1 == r->frame.count;
    if (took == 0 || (last && r->at + took != r->frame.size)) {
        r->frame.count = r->done = 0;
        r->file_bytes = r->off + 1; /* and so for each further call */
        return damaged(r, r->off);
    }
    r->at += took;
    r->us = op->us;
    r->done++;
    if (last)
        r->off += OMI_TRACE_FRAME_HEADER_BYTES + r->frame.size;
    return OMEN_OK;
}

uint64_t omi_trace_dropped(const struct omi_trace_reader *r)
{
    return r->frame.dropped;
}

uint64_t omi_trace_began_us(const struct omi_trace_reader *r)
{
    return r->header.began_us;
}

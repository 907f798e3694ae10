/*
 * fuzz_trace.c - a trace of operations. The input: a byte that says what the bytes that follow are:
 * the file (0), or the operations of frames whose headers are made to fit (1, the frames' number in the
 * next bits). What is read must come out the same when written again.
 */
#include "io/base/coding.h"
#include "io/base/slice.h"
#include "lsm/trace_read.h"
#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FRAMES_MAX = 3, FILE_MAX = 64 << 10 };

static void expect_same(const struct omi_trace_op *op, uint64_t before_us)
{
    uint8_t bytes[OMI_TRACE_OP_BYTES_MAX];
    struct omi_trace_op again;
    size_t size = (size_t)(omi_trace_op_put(bytes, op, before_us) - bytes);
    FUZZ_CHECK(size <= sizeof(bytes));
    FUZZ_CHECK(omi_trace_op_take(bytes, size, before_us, &again) == size);
    FUZZ_CHECK(again.kind == op->kind && again.more == op->more && again.at_end == op->at_end &&
               again.us == op->us && again.size == op->size && again.key_bytes == op->key_bytes &&
               again.hash == op->hash && again.key.size == op->key.size &&
               (op->key.size == 0 || memcmp(again.key.data, op->key.data, op->key.size) == 0));
    for (size_t cut = 0; cut < size; cut++)
        FUZZ_CHECK(omi_trace_op_take(bytes, cut, before_us, &again) == 0);
}

static void read_file(const uint8_t *data, size_t size)
{
    struct omi_dir *dir;
    struct omi_trace_reader *r;
    struct omi_trace_op op;
    char path[64];
    uint64_t us = 0, ops = 0;
    struct omi_env *env = fuzz_env_create(&dir);
    fuzz_file_write(dir, "trace", data, size);
    snprintf(path, sizeof(path), "%s/trace", fuzz_path);
    omen_err err = omi_trace_open(env, path, &r);
    while (err == OMEN_OK) {
        err = omi_trace_next(r, &op);
        if (err != OMEN_OK)
            break;
        FUZZ_CHECK(op.us >= us && op.key.size <= OMI_TRACE_KEY_BYTES && ++ops <= size);
        expect_same(&op, us);
        us = op.us;
    }
    FUZZ_CHECK(err == OMEN_NOT_FOUND || err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED);
    if (r != NULL)
        FUZZ_CHECK(omi_trace_next(r, &op) == err);
    omi_trace_close(r);
    fuzz_env_destroy(env, dir);
}

/* Operations in size bytes, as far as they parse; bytes_out: that they take. */
static uint32_t count_ops(const uint8_t *bytes, size_t size, size_t *bytes_out, uint64_t *us)
{
    struct omi_trace_op op;
    uint32_t count = 0;
    *bytes_out = 0;
    for (size_t took;
         (took = omi_trace_op_take(bytes + *bytes_out, size - *bytes_out, *us, &op)) != 0;
         count++) {
        *bytes_out += took;
        *us = op.us;
    }
    return count;
}

/* A file around the bytes: cut into frames, whose last one may say more than is sound. */
static size_t wrap(uint8_t *file, const uint8_t *data, size_t size, uint32_t frames)
{
    struct omi_trace_header h = {.began_us = 5, .id = 9};
    uint8_t *at = file + OMI_TRACE_HEADER_BYTES;
    uint64_t us = 0;
    omi_trace_header_encode(&h, file);
    for (uint32_t n = 0; n < frames; n++) {
        size_t part = n + 1 == frames ? size : size / 2, used;
        struct omi_trace_frame f = {.number = n, .dropped = n, .first_us = us};
        f.count = count_ops(data, part, &used, &us);
        f.size = (uint32_t)used;
        uint8_t *bytes = at + OMI_TRACE_FRAME_HEADER_BYTES;
        memcpy(bytes, data, used);
        omi_trace_frame_encode(&f, h.id, bytes, at);
        at = bytes + used;
        data += part;
        size -= part;
    }
    return (size_t)(at - file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t
        file[FILE_MAX + OMI_TRACE_HEADER_BYTES + FRAMES_MAX * OMI_TRACE_FRAME_HEADER_BYTES];
    if (size < 1 || size > FILE_MAX)
        return 0;
    if ((data[0] & 1) == 0)
        read_file(data + 1, size - 1);
    else
        read_file(file, wrap(file, data + 1, size - 1, 1 + (data[0] >> 1) % FRAMES_MAX));
    return 0;
}

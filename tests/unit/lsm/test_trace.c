/* Traces: what calls leave in them, in which order; that they end whole; that bytes may be anything. */
#include "io/base/coding.h"
#include "io/base/hash.h"
#include "io/env_sim.h"
#include "lsm/db.h"
#include "lsm/trace_read.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(trace, .timeout = 60);

static struct omi_env *env;
static omen_db *db;

static void setup(void)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memtable_bytes = 64u << 10};
    env = omi_sim_create(3);
    cr_assert(env != NULL);
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
}

static void teardown(void)
{
    cr_assert_eq(omen_close(db), OMEN_OK, "%s", omen_last_error());
    omi_sim_destroy(env);
}

static omen_slice text(const char *s)
{
    return omi_slice(s, strlen(s));
}

static struct omi_trace_reader *open_trace(struct omi_env *e, const char *path)
{
    struct omi_trace_reader *r;
    cr_assert_eq(omi_trace_open(e, path, &r), OMEN_OK, "%s", omen_last_error());
    return r;
}

static void expect(struct omi_trace_reader *r, enum omi_trace_kind kind, const char *key,
                   uint64_t size, bool more)
{
    struct omi_trace_op op;
    cr_assert_eq(omi_trace_next(r, &op), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(op.kind, kind, "%d, not %d of %s", op.kind, kind, key);
    cr_assert_eq(op.size, size);
    cr_assert_eq(op.more, more);
    cr_assert_eq(op.at_end, key == NULL);
    if (key == NULL)
        return;
    cr_assert(op.key.size == strlen(key) && memcmp(op.key.data, key, op.key.size) == 0);
    cr_assert_eq(op.key_bytes, strlen(key));
    cr_assert_eq(op.hash, omi_key_hash(key, strlen(key)));
}

static void scan(const char *from, bool back, int steps)
{
    omen_iter *it;
    cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
    if (from == NULL && back)
        omen_iter_seek_last(it);
    else if (from == NULL)
        omen_iter_seek_first(it);
    else if (back)
        omen_iter_seek_for_prev(it, text(from));
    else
        omen_iter_seek(it, text(from));
    for (int i = 0; i < steps; i++)
        if (back)
            omen_iter_prev(it);
        else
            omen_iter_next(it);
    omen_iter_seek(it, text("b")); /* a scan of its own */
    omen_iter_close(it);
}

Test(trace, each_call_leaves_its_operations_in_order, .init = setup, .fini = teardown)
{
    omen_value value;
    char buffer[2];
    size_t size;
    cr_assert_eq(omen_put(db, NULL, text("before"), text("it began")), OMEN_OK);
    cr_assert_eq(omen_trace_start(db, "/db.trace", 0), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omen_trace_start(db, "/other.trace", 0), OMEN_BUSY);
    cr_assert_eq(omen_put(db, NULL, text("a"), text("12345")), OMEN_OK);
    cr_assert_eq(omen_delete(db, NULL, text("x")), OMEN_OK);
    cr_assert_eq(omen_get(db, NULL, text("a"), &value), OMEN_OK);
    omen_value_release(&value);
    cr_assert_eq(omen_get(db, NULL, text("no"), &value), OMEN_NOT_FOUND);
    cr_assert_eq(omen_get_into(db, NULL, text("before"), buffer, 2, &size), OMEN_OK);
    omen_batch *batch;
    cr_assert_eq(omen_batch_create(&batch), OMEN_OK);
    cr_assert_eq(omen_batch_put(batch, text("b"), text("")), OMEN_OK);
    cr_assert_eq(omen_batch_delete(batch, text("a")), OMEN_OK);
    cr_assert_eq(omen_batch_put(batch, text("c"), text("123")), OMEN_OK);
    cr_assert_eq(omen_write(db, NULL, batch), OMEN_OK);
    omen_batch_destroy(batch);
    omen_slice keys[3] = {text("c"), text("a"), text("b")};
    omen_value values[3];
    omen_err errs[3];
    cr_assert_eq(omen_multi_get(db, NULL, 3, keys, values, errs), OMEN_OK);
    for (int i = 0; i < 3; i++)
        omen_value_release(&values[i]);
    scan("aa", false, 1); /* b, before; then b */
    scan("bz", true, 5);  /* before, b */
    scan(NULL, false, 1);
    scan(NULL, true, 0);
    omen_trace_report report = {.struct_bytes = sizeof(report)};
    cr_assert_eq(omen_trace_stop(db, &report), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(report.operations, 5 + 3 + 3 + 8);
    cr_assert_eq(report.dropped, 0);
    cr_assert_eq(omen_put(db, NULL, text("after"), text("it ended")), OMEN_OK);
    cr_assert_eq(omen_trace_stop(db, &report), OMEN_INVALID);

    struct omi_trace_reader *r = open_trace(env, "/db.trace");
    expect(r, OMI_TRACE_PUT, "a", 5, false);
    expect(r, OMI_TRACE_DELETE, "x", 0, false);
    expect(r, OMI_TRACE_GET_HIT, "a", 5, false);
    expect(r, OMI_TRACE_GET_MISS, "no", 0, false);
    expect(r, OMI_TRACE_GET_HIT, "before", 8, false);
    expect(r, OMI_TRACE_PUT, "b", 0, true);
    expect(r, OMI_TRACE_DELETE, "a", 0, true);
    expect(r, OMI_TRACE_PUT, "c", 3, false);
    expect(r, OMI_TRACE_GET_HIT, "c", 3, true);
    expect(r, OMI_TRACE_GET_MISS, "a", 0, true);
    expect(r, OMI_TRACE_GET_HIT, "b", 0, false);
    expect(r, OMI_TRACE_SCAN, "aa", 2, false);
    expect(r, OMI_TRACE_SCAN, "b", 1, false);
    expect(r, OMI_TRACE_SCAN_BACK, "bz", 2, false);
    expect(r, OMI_TRACE_SCAN, "b", 1, false);
    expect(r, OMI_TRACE_SCAN, NULL, 2, false);
    expect(r, OMI_TRACE_SCAN, "b", 1, false);
    expect(r, OMI_TRACE_SCAN_BACK, NULL, 1, false);
    expect(r, OMI_TRACE_SCAN, "b", 1, false);
    struct omi_trace_op op;
    cr_assert_eq(omi_trace_next(r, &op), OMEN_NOT_FOUND);
    cr_assert_eq(omi_trace_next(r, &op), OMEN_NOT_FOUND);
    cr_assert_eq(omi_trace_dropped(r), 0);
    omi_trace_close(r);
}

Test(trace, long_keys_are_cut_and_hashed, .init = setup, .fini = teardown)
{
    static uint8_t key[OMEN_KEY_BYTES_MAX];
    memset(key, 'k', sizeof(key));
    cr_assert_eq(omen_trace_start(db, "/db.trace", 0), OMEN_OK);
    const uint32_t sizes[] = {0, 1, 63, 64, 65, 1000, OMEN_KEY_BYTES_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        cr_assert_eq(omen_put(db, NULL, omi_slice(key, sizes[i]), text("v")), OMEN_OK);
    cr_assert_eq(omen_trace_stop(db, NULL), OMEN_OK);
    struct omi_trace_reader *r = open_trace(env, "/db.trace");
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct omi_trace_op op;
        cr_assert_eq(omi_trace_next(r, &op), OMEN_OK, "%s", omen_last_error());
        cr_assert_eq(op.key_bytes, sizes[i]);
        cr_assert_eq(op.key.size, sizes[i] < 64 ? sizes[i] : 64);
        cr_assert_eq(op.hash, omi_key_hash(key, sizes[i]));
    }
    omi_trace_close(r);
}

/* Many buffers' worth: no operation is missing, and none comes out of turn. */
Test(trace, a_long_trace_is_whole, .init = setup, .fini = teardown)
{
    enum { OPS = 30000 };
    cr_assert_eq(omen_trace_start(db, "/db.trace", 0), OMEN_OK);
    for (uint32_t i = 0; i < OPS; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%08u", i);
        cr_assert_eq(omen_put(db, NULL, text(key), omi_slice(key, i % 9)), OMEN_OK);
    }
    omen_trace_report report = {.struct_bytes = sizeof(report)};
    cr_assert_eq(omen_trace_stop(db, &report), OMEN_OK);
    cr_assert(report.operations == OPS && report.dropped == 0);
    struct omi_trace_reader *r = open_trace(env, "/db.trace");
    uint64_t us = 0;
    for (uint32_t i = 0; i < OPS; i++) {
        struct omi_trace_op op;
        char key[16];
        snprintf(key, sizeof(key), "%08u", i);
        cr_assert_eq(omi_trace_next(r, &op), OMEN_OK, "%s", omen_last_error());
        cr_assert(op.key.size == 8 && memcmp(op.key.data, key, 8) == 0 && op.size == i % 9);
        cr_assert_geq(op.us, us);
        us = op.us;
    }
    omi_trace_close(r);
}

Test(trace, a_path_that_is_taken_or_cannot_be_is_refused, .init = setup, .fini = teardown)
{
    cr_assert_eq(omen_trace_start(db, "/nowhere/db.trace", 0), OMEN_NOT_FOUND);
    cr_assert(strstr(omen_last_error(), "/nowhere") != NULL);
    cr_assert_eq(omen_trace_start(db, "/", 0), OMEN_INVALID);
    cr_assert_eq(omen_trace_start(db, "", 0), OMEN_INVALID);
    cr_assert_eq(omen_trace_start(db, "/db.trace", 4), OMEN_UNSUPPORTED);
    cr_assert_eq(omen_trace_start(db, "/db.trace", 0), OMEN_OK);
    cr_assert_eq(omen_trace_stop(db, NULL), OMEN_OK);
    cr_assert_eq(omen_trace_start(db, "/db.trace", 0), OMEN_EXISTS);
    cr_assert_eq(omen_trace_start(db, "/again.trace", 0), OMEN_OK, "and it can go on elsewhere");
    cr_assert_eq(omen_put(db, NULL, text("a"), text("b")), OMEN_OK);
    struct omi_trace_reader *r;
    cr_assert_eq(omi_trace_open(env, "/none", &r), OMEN_NOT_FOUND);
    cr_assert_eq(omi_trace_open(env, "/db/LOG", &r), OMEN_CORRUPT);
}

static void expect_count(const char *path, uint32_t want)
{
    struct omi_trace_op op;
    uint32_t count = 0;
    struct omi_trace_reader *r = open_trace(env, path);
    while (omi_trace_next(r, &op) == OMEN_OK)
        count++;
    omi_trace_close(r);
    cr_assert_eq(count, want, "%s", path);
}

/* The nth failing call: whatever it is, the database goes on, and the trace tells. */
Test(trace, a_failing_disk_ends_the_recording_and_nothing_else, .init = setup, .fini = teardown)
{
    const enum omi_sim_fault kinds[] = {OMI_FAULT_WRITE, OMI_FAULT_SYNC, OMI_FAULT_NAME,
                                        OMI_FAULT_NO_SPACE};
    unsigned tellings = 0;
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++)
        for (uint64_t nth = 1;; nth++) {
            char path[32];
            omen_value value;
            snprintf(path, sizeof(path), "/trace-%zu-%lu", k, (unsigned long)nth);
            uint64_t faults = omi_sim_faults(env);
            omi_sim_fail(env, kinds[k], nth, false);
            omen_err started = omen_trace_start(db, path, 0), ended = OMEN_OK;
            for (int i = 0; i < 7000; i++) /* reads alone: what fails is the trace's */
                cr_assert_eq(omen_get(db, NULL, text("a key that is not there"), &value),
                             OMEN_NOT_FOUND);
            if (started == OMEN_OK)
                ended = omen_trace_stop(db, NULL);
            bool failed = omi_sim_faults(env) != faults;
            omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
            bool told = started != OMEN_OK || ended != OMEN_OK;
            cr_assert(failed || !told, "%s", omen_last_error());
            if (!told) /* it was the diary's: the trace is whole */
                expect_count(path, 7000);
            tellings += told;
            cr_assert_eq(omen_put(db, NULL, text("it"), text("goes on")), OMEN_OK);
            if (!failed)
                break;
        }
    cr_assert_gt(tellings, 8u);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { THREADS = 4, THREAD_OPS = 20000 };

struct worker {
    omen_db *db;
    unsigned number;
};

static void *worker_run(void *arg)
{
    struct worker *w = arg;
    omen_batch *batch;
    char key[32];
    cr_assert_eq(omen_batch_create(&batch), OMEN_OK);
    for (unsigned i = 0; i < THREAD_OPS; i++) {
        omen_value value;
        snprintf(key, sizeof(key), "%u-%08u", w->number, i);
        if (i % 10 != 0) {
            cr_assert_eq(omen_get(w->db, NULL, text(key), &value), OMEN_NOT_FOUND);
            continue;
        }
        omen_batch_clear(batch);
        for (int n = 0; n < 3; n++)
            cr_assert_eq(omen_batch_put(batch, text(key), text("v")), OMEN_OK);
        cr_assert_eq(omen_write(w->db, NULL, batch), OMEN_OK, "%s", omen_last_error());
    }
    omen_batch_destroy(batch);
    return NULL;
}

/* Each thread's operations in its order, batches in one piece, times that do not go back. */
Test(trace, threads_are_merged_by_time)
{
    char path[2][64];
    snprintf(path[0], sizeof(path[0]), "/tmp/omendb_trace_%ld", (long)getpid());
    snprintf(path[1], sizeof(path[1]), "/tmp/omendb_trace_%ld.trace", (long)getpid());
    omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_CREATE_IF_MISSING};
    omen_db *real;
    cr_assert_eq(omen_open(path[0], &o, &real), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omen_trace_start(real, path[1], OMEN_TRACE_WAIT), OMEN_OK, "%s",
                 omen_last_error());
    pthread_t threads[THREADS];
    struct worker workers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){real, i};
        cr_assert_eq(pthread_create(&threads[i], NULL, worker_run, &workers[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    omen_trace_report report = {.struct_bytes = sizeof(report)};
    cr_assert_eq(omen_trace_stop(real, &report), OMEN_OK);
    cr_assert_eq(report.dropped, 0, "they wait");
    cr_assert_eq(report.operations, THREADS * (THREAD_OPS / 10 * 9 + THREAD_OPS / 10 * 3));
    cr_assert_eq(omen_close(real), OMEN_OK);
    struct omi_trace_reader *r = open_trace(omi_env_posix(OMEN_IO_ENGINE_AUTO), path[1]);
    uint64_t us = 0, count = 0, split = 0;
    unsigned next[THREADS] = {0}, in_batch[THREADS] = {0};
    struct omi_trace_op op;
    omen_err err;
    while ((err = omi_trace_next(r, &op)) == OMEN_OK) {
        char key[32] = {0};
        unsigned number, i;
        memcpy(key, op.key.data, op.key.size);
        cr_assert_eq(sscanf(key, "%u-%u", &number, &i), 2);
        cr_assert_geq(op.us, us);
        us = op.us;
        cr_assert_eq(i, next[number], "thread %u", number);
        bool put = op.kind == OMI_TRACE_PUT, last = !put || ++in_batch[number] == 3;
        split += put && !last && !op.more; /* where a buffer ended */
        next[number] += last;
        if (last)
            in_batch[number] = 0;
        cr_assert(!last || !op.more);
        count++;
    }
    cr_assert_eq(err, OMEN_NOT_FOUND, "%s", omen_last_error());
    cr_assert_eq(count, report.operations);
    cr_assert_lt(split, 300);
    omi_trace_close(r);
    cr_assert_eq(omen_destroy(path[0]), OMEN_OK);
    cr_assert_eq(unlink(path[1]), 0);
}

/* ---- bytes that may be anything -------------------------------------------------------------- */

static size_t made_trace(uint8_t *bytes, const struct omi_trace_op *ops, uint32_t count)
{
    struct omi_trace_header h = {.began_us = 1700000000000000, .id = 0x1122334455667788};
    struct omi_trace_frame f = {.first_us = 100, .count = count, .dropped = 7};
    uint8_t *frame = bytes + OMI_TRACE_HEADER_BYTES, *first = frame + OMI_TRACE_FRAME_HEADER_BYTES;
    uint8_t *at = first;
    uint64_t us = 100;
    omi_trace_header_encode(&h, bytes);
    for (uint32_t i = 0; i < count; i++) {
        at = omi_trace_op_put(at, &ops[i], us);
        us = ops[i].us;
    }
    f.size = (uint32_t)(at - first);
    omi_trace_frame_encode(&f, h.id, first, frame);
    return (size_t)(at - bytes);
}

static const struct omi_trace_op made_ops[] = {
    {.kind = OMI_TRACE_PUT, .us = 100, .key = {"abc", 3}, .key_bytes = 3, .size = 1000},
    {.kind = OMI_TRACE_GET_HIT, .more = true, .us = 300, .key = {"", 0}, .size = 3},
    {.kind = OMI_TRACE_GET_MISS, .us = 300, .key = {"x", 1}, .key_bytes = 1},
    {.kind = OMI_TRACE_SCAN_BACK, .at_end = true, .us = 100000, .size = 128},
};
enum { MADE = sizeof(made_ops) / sizeof(made_ops[0]) };

static omen_err read_all(const uint8_t *bytes, size_t size, uint32_t *ops_out)
{
    struct omi_env *e = omi_sim_create(1);
    struct omi_dir *dir;
    struct omi_file *f;
    struct omi_trace_reader *r;
    struct omi_trace_op op;
    *ops_out = 0;
    cr_assert_eq(omi_dir_open(e, "/t", true, &dir), OMEN_OK);
    cr_assert_eq(omi_file_open(dir, "trace", OMI_OPEN_CREATE, 0, &f), OMEN_OK);
    cr_assert(size == 0 || omi_file_pwrite(f, bytes, size, 0) == OMEN_OK);
    cr_assert_eq(omi_file_close(f), OMEN_OK);
    omi_dir_close(dir);
    omen_err err = omi_trace_open(e, "/t/trace", &r);
    while (err == OMEN_OK) {
        err = omi_trace_next(r, &op);
        *ops_out += err == OMEN_OK;
    }
    omi_trace_close(r);
    omi_sim_destroy(e);
    return err;
}

/* Format 1, for ever: docs/format-trace.md. */
Test(trace, its_bytes_are_pinned)
{
    uint8_t bytes[512];
    const uint8_t ops[] = {3, 0, 3, 'a', 'b', 'c', 0xe8, 0x07, 0x11, 0xc8, 0x01, 0,
                           3, 2, 0, 1,   'x', 0,   0x26, 0xf4, 0x8a, 0x06, 0x80, 0x01};
    size_t size = made_trace(bytes, made_ops, MADE);
    cr_assert_eq(size, 32 + 40 + sizeof(ops));
    cr_assert(memcmp(bytes, "OMNTRACE", 8) == 0 && omi_get_u32(bytes + 8) == 1);
    cr_assert_eq(omi_get_u64(bytes + 16), 1700000000000000);
    cr_assert_eq(omi_get_u64(bytes + 32 + 8), 7);
    cr_assert_eq(omi_get_u64(bytes + 32 + 16), 100);
    cr_assert_eq(omi_get_u32(bytes + 32 + 24), sizeof(ops));
    cr_assert_eq(omi_get_u32(bytes + 32 + 28), MADE);
    cr_assert(memcmp(bytes + 72, ops, sizeof(ops)) == 0);
    cr_assert_eq(omi_checksum(bytes, size, 0), UINT64_C(0x9ffe34b816384a80), "0x%016lx",
                 (unsigned long)omi_checksum(bytes, size, 0));
}

Test(trace, what_was_cut_or_changed_is_told)
{
    uint8_t bytes[512], worse[512];
    uint32_t ops;
    size_t size = made_trace(bytes, made_ops, MADE);
    cr_assert_eq(read_all(bytes, size, &ops), OMEN_NOT_FOUND);
    cr_assert_eq(ops, MADE);
    for (size_t at = 0; at < size; at++) {
        memcpy(worse, bytes, size);
        worse[at] ^= 0x40;
        cr_assert_eq(read_all(worse, size, &ops), OMEN_CORRUPT, "byte %zu", at);
        cr_assert_eq(ops, 0);
        if (at != OMI_TRACE_HEADER_BYTES)
            cr_assert_eq(read_all(bytes, at, &ops), OMEN_CORRUPT, "cut at %zu", at);
    }
    cr_assert_eq(read_all(bytes, OMI_TRACE_HEADER_BYTES, &ops), OMEN_NOT_FOUND, "nothing happened");
    omi_put_u32(bytes + 8, 2);
    omi_put_u32(bytes + 12, (uint32_t)omi_checksum(bytes + 16, 16, omi_checksum(bytes, 12, 0)));
    cr_assert_eq(read_all(bytes, size, &ops), OMEN_UNSUPPORTED);
}

/* Sound by its check, and wrong in itself. */
Test(trace, frames_that_cannot_be_are_refused)
{
    uint8_t bytes[1024];
    uint32_t ops;
    size_t size = made_trace(bytes, made_ops, MADE);
    uint8_t *frame = bytes + OMI_TRACE_HEADER_BYTES, *first = frame + OMI_TRACE_FRAME_HEADER_BYTES;
    struct omi_trace_frame f, good;
    cr_assert_eq(omi_trace_frame_decode(frame, "t", 0, &good), OMEN_OK);
    for (int n = 0; n < 6; n++) {
        f = good;
        if (n == 0)
            f.count++; /* more than there are */
        if (n == 1)
            f.count--;
        if (n == 2)
            f.number = 1;
        if (n == 3)
            first[0] = 7; /* an unknown kind */
        if (n == 4)
            first[0] = 0x43; /* an unknown flag */
        if (n == 5)
            first[0] = 0x15; /* a scan of several */
        omi_trace_frame_encode(&f, 0x1122334455667788, first, frame);
        cr_assert_eq(read_all(bytes, size, &ops), OMEN_CORRUPT, "case %d", n);
        first[0] = 3;
    }
    omi_trace_frame_encode(&good, 0x1122334455667788, first, frame);
    size_t frame_size = size - OMI_TRACE_HEADER_BYTES;
    memcpy(bytes + size, frame, frame_size); /* time would go back */
    f = good;
    f.number = 1;
    omi_trace_frame_encode(&f, 0x1122334455667788, first, bytes + size);
    cr_assert_eq(read_all(bytes, size + frame_size, &ops), OMEN_CORRUPT);
    cr_assert_eq(ops, MADE, "what comes before is sound");
    f.first_us = 100000;
    omi_trace_frame_encode(&f, 0x1122334455667788, first, bytes + size);
    cr_assert_eq(read_all(bytes, size + frame_size, &ops), OMEN_NOT_FOUND, "%s", omen_last_error());
    cr_assert_eq(ops, 2 * MADE);
}

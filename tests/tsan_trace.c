/*
 * tsan_trace.c - operations on several threads while traces begin and end and the telemetry is looked
 * at, restarted windows and all: for ThreadSanitizer and for the eye. A trace must read back whole, as
 * many operations as were told, and what was counted must add up.
 *
 *   tsan_trace [SECONDS]
 */
#include "lsm/db.h"
#include "lsm/trace_read.h"
#include "tests/model.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The database saves TELEMETRY itself once a minute; until then it is ours to save. */
enum { KEYS = 20000, WORKERS = 3, SECONDS_MAX = 50 };

struct shared {
    omen_db *db;
    uint64_t seed;
    char path[64];
    _Atomic bool stop;
    _Atomic uint64_t traces, recorded, dropped, looks;
};

struct worker {
    struct shared *s;
    uint64_t number;
};

static omen_slice key_of(uint64_t i, uint8_t key[static MODEL_KEY_BYTES_MAX])
{
    return omi_slice(key, key_make(KEYS_USER, i, key));
}

static void write_some(struct shared *s, struct rng *r)
{
    uint8_t key[MODEL_KEY_BYTES_MAX];
    omen_batch *b;
    CHECK_OK(omen_put(s->db, NULL, key_of(rng_below(r, KEYS), key), omi_slice("value", 5)));
    CHECK_OK(omen_delete(s->db, NULL, key_of(rng_below(r, KEYS), key)));
    CHECK_OK(omen_batch_create(&b));
    for (int i = 0; i < 5; i++)
        CHECK_OK(omen_batch_put(b, key_of(rng_below(r, KEYS), key), omi_slice("of a batch", 10)));
    CHECK_OK(omen_write(s->db, NULL, b));
    omen_batch_destroy(b);
}

static void read_some(struct shared *s, struct rng *r)
{
    enum { MANY = 8 };
    uint8_t keys[MANY][MODEL_KEY_BYTES_MAX];
    omen_slice slices[MANY];
    omen_value values[MANY];
    omen_err errs[MANY];
    omen_iter *it;
    for (int i = 0; i < MANY; i++)
        slices[i] = key_of(rng_below(r, 2 * KEYS), keys[i]);
    CHECK_OK(omen_multi_get(s->db, NULL, MANY, slices, values, errs));
    for (int i = 0; i < MANY; i++)
        omen_value_release(&values[i]);
    omen_err err = omen_get(s->db, NULL, slices[0], &values[0]);
    if (err != OMEN_NOT_FOUND)
        CHECK_OK(err);
    omen_value_release(&values[0]);
    CHECK_OK(omen_iter_open(s->db, NULL, &it));
    omen_iter_seek(it, slices[1]);
    for (int i = 0; i < 5; i++)
        omen_iter_next(it);
    omen_iter_seek_last(it);
    CHECK_OK(omen_iter_status(it));
    omen_iter_close(it);
}

static void *work(void *arg)
{
    struct worker *me = arg;
    struct rng r = {me->s->seed + me->number};
    while (!atomic_load(&me->s->stop)) {
        write_some(me->s, &r);
        read_some(me->s, &r);
    }
    return NULL;
}

/* Reads it back: times do not go back, and there are as many as were told. */
static void check_trace(const char *path, const omen_trace_report *report)
{
    struct omi_trace_reader *r;
    struct omi_trace_op op;
    uint64_t count = 0, us = 0;
    omen_err err;
    CHECK_OK(omi_trace_open(omi_env_posix(OMEN_IO_ENGINE_AUTO), path, &r));
    for (; (err = omi_trace_next(r, &op)) == OMEN_OK; count++) {
        if (op.us < us)
            fail_now("%s: operation %" PRIu64 " was before the one before it", path, count);
        us = op.us;
    }
    if (err != OMEN_NOT_FOUND)
        CHECK_OK(err);
    if (count != report->operations)
        fail_now("%s has %" PRIu64 " operations, %" PRIu64 " were recorded", path, count,
                 report->operations);
    omi_trace_close(r);
}

static void *trace(void *arg)
{
    struct shared *s = arg;
    char path[128];
    snprintf(path, sizeof(path), "%s.trace", s->path);
    while (!atomic_load(&s->stop)) {
        omen_trace_report report = {.struct_bytes = sizeof(report)};
        uint64_t n = atomic_fetch_add(&s->traces, 1);
        CHECK_OK(omen_trace_start(s->db, path, n % 2 == 0 ? OMEN_TRACE_WAIT : 0));
        usleep(n % 4 < 3 ? 20000 : 1100000); /* a second: what there is goes out by itself */
        CHECK_OK(omen_trace_stop(s->db, &report));
        check_trace(path, &report);
        if (n % 2 == 0 && report.dropped > WORKERS * 8)
            fail_now("%" PRIu64 " operations were dropped that should have waited", report.dropped);
        atomic_fetch_add(&s->recorded, report.operations);
        atomic_fetch_add(&s->dropped, report.dropped);
        if (unlink(path) != 0)
            fail_now("%s cannot be removed", path);
    }
    return NULL;
}

static void *look(void *arg)
{
    struct shared *s = arg;
    omen_telemetry *t = malloc(sizeof(*t));
    while (!atomic_load(&s->stop)) {
        t->struct_bytes = sizeof(*t);
        omi_observing_look(s->db);
        CHECK_OK(omen_get_telemetry(s->db, t));
        for (uint32_t i = 0; i < t->hot_count; i++)
            if (t->hot[i].share_min > t->hot[i].share || t->hot[i].share > 1)
                fail_now("a hot key's share is %f to %f", t->hot[i].share_min, t->hot[i].share);
        for (uint32_t i = 0; i < t->window_count; i++)
            if (omi_window_ops(&t->window[i]) <
                OMI_TELEMETRY_OPS / 2) /* readers count as they go */
                fail_now("a window of %" PRIu64 " operations", omi_window_ops(&t->window[i]));
        omi_observing_save(s->db);
        atomic_fetch_add(&s->looks, 1);
    }
    free(t);
    return NULL;
}

static void run(struct shared *s, int seconds)
{
    pthread_t threads[WORKERS + 2];
    struct worker workers[WORKERS];
    for (uint64_t t = 0; t < WORKERS; t++) {
        workers[t] = (struct worker){s, t};
        pthread_create(&threads[t], NULL, work, &workers[t]);
    }
    pthread_create(&threads[WORKERS], NULL, trace, s);
    pthread_create(&threads[WORKERS + 1], NULL, look, s);
    sleep((unsigned)seconds);
    atomic_store(&s->stop, true);
    for (int t = 0; t < WORKERS + 2; t++)
        pthread_join(threads[t], NULL);
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 2;
    seconds = seconds < 1 ? 1 : seconds < SECONDS_MAX ? seconds : SECONDS_MAX;
    static struct shared s;
    s.seed = (uint64_t)time(NULL);
    omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_CREATE_IF_MISSING};
    replay_set("%s %d (seed %" PRIu64 ")", argv[0], seconds, s.seed);
    snprintf(s.path, sizeof(s.path), "/tmp/omendb-traced-XXXXXX");
    if (mkdtemp(s.path) == NULL)
        fail_now("no directory %s", s.path);
    CHECK_OK(
        omen_options_from_string("memory_bytes=8M,memtable_bytes=256K,target_file_bytes=512K", &o));
    CHECK_OK(omen_open(s.path, &o, &s.db));
    omi_sample_set_every(s.db->sample, 0);
    run(&s, seconds);
    CHECK_OK(omen_close(s.db));
    CHECK_OK(omen_destroy(s.path));
    printf("%" PRIu64 " traces of %" PRIu64 " operations, %" PRIu64 " dropped, %" PRIu64
           " looks, seed %" PRIu64 "\n",
           atomic_load(&s.traces), atomic_load(&s.recorded), atomic_load(&s.dropped),
           atomic_load(&s.looks), s.seed);
    return 0;
}

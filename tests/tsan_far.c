/*
 * tsan_far.c - filters and models that move between near and far memory under their readers, for
 * ThreadSanitizer and for the eye: lookups and scans run while everything moves to and fro, far memory is
 * said to have failed, filter_bytes and near_model_bytes change, and tables are merged away.
 *
 *   tsan_far [SECONDS [SEED]]
 */
#include "lsm/far.h"
#include "lsm/table_open.h"
#include "tests/model.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { READERS = 3, MOVER = READERS, HURTER, THREADS, KEYS = 20000, BATCH = 24 };

static uint64_t seed = 1;
static _Atomic bool stop;
static omen_db *db;
static _Atomic uint64_t gets, scanned, hurts, rounds;

/* Even numbers are keys, each its own value. */
static omen_slice key_at(uint64_t v, uint8_t out[static 8])
{
    for (int b = 7; b >= 0; b--, v >>= 8)
        out[b] = (uint8_t)v;
    return omi_slice(out, 8);
}

static void check_value(uint64_t v, omen_err err, omen_value *value)
{
    if (v % 2 != 0
            ? err != OMEN_NOT_FOUND
            : err != OMEN_OK || value->size != sizeof(v) || memcmp(value->data, &v, sizeof(v)) != 0)
        fail_now("%" PRIu64 " answers %s", v, omen_err_name(err));
    omen_value_release(value);
    atomic_fetch_add_explicit(&gets, 1, memory_order_relaxed);
}

static void get_one(uint64_t v)
{
    uint8_t key[8];
    omen_value value;
    omen_err err = omen_get(db, NULL, key_at(v, key), &value);
    check_value(v, err, &value);
}

static void get_many(struct rng *r)
{
    uint8_t bytes[BATCH][8];
    omen_slice keys[BATCH];
    omen_value values[BATCH];
    omen_err errs[BATCH];
    uint64_t v[BATCH];
    for (int i = 0; i < BATCH; i++) {
        v[i] = rng_below(r, 2 * KEYS);
        keys[i] = key_at(v[i], bytes[i]);
    }
    CHECK_OK(omen_multi_get(db, NULL, BATCH, keys, values, errs));
    for (int i = 0; i < BATCH; i++)
        check_value(v[i], errs[i], &values[i]);
}

static void scan_some(struct rng *r)
{
    uint8_t key[8], want[8];
    omen_iter *it;
    uint64_t v = rng_below(r, 2 * KEYS), end = v + rng_below(r, 40);
    CHECK_OK(omen_iter_open(db, NULL, &it));
    omen_iter_seek(it, key_at(v, key));
    for (v += v % 2; v < end && v < 2 * KEYS; v += 2) {
        if (!omen_iter_valid(it) || !omi_bytes_equal(omen_iter_key(it).data, omen_iter_key(it).size,
                                                     key_at(v, want).data, 8))
            fail_now("a scan misses %" PRIu64, v);
        omen_iter_next(it);
        atomic_fetch_add_explicit(&scanned, 1, memory_order_relaxed);
    }
    CHECK_OK(omen_iter_status(it));
    omen_iter_close(it);
}

static void *reader(void *arg)
{
    struct rng r = {seed + 100 + (uint64_t)(uintptr_t)arg};
    while (!atomic_load(&stop)) {
        uint64_t hot = rng_below(&r, 2 * KEYS);
        for (int i = 0; i < 100; i++)
            get_one((hot + rng_below(&r, KEYS / 8)) % (2 * KEYS));
        get_many(&r);
        scan_some(&r);
    }
    return NULL;
}

static void *mover(void *arg)
{
    static const char *const near[] = {"none", "4K", "16K", "1M", "8K"};
    static const char *const filters[] = {"8K", "32K", "1M"};
    struct rng r = {seed + 200 + (uint64_t)(uintptr_t)arg};
    while (!atomic_load(&stop)) {
        if (rng_one_in(&r, 4))
            CHECK_OK(omen_set_option(db, "near_model_bytes", near[rng_below(&r, 5)]));
        if (rng_one_in(&r, 16))
            CHECK_OK(omen_set_option(db, "filter_bytes", filters[rng_below(&r, 3)]));
        omi_far_tick(db);
        omen_stats s = {.struct_bytes = sizeof(s)};
        CHECK_OK(omen_get_stats(db, &s));
        if (s.filters_damaged != 0)
            fail_now("%" PRIu64 " filters are damaged", s.filters_damaged);
        usleep(2000);
    }
    return NULL;
}

/* The flag alone: other bytes would race with the readers by intent. */
static void hurt(struct omi_extent *e)
{
    if (e == NULL || omi_extent_class(e) != OMI_EXTENT_FAR)
        return;
    atomic_store(&e->damaged, 1);
    atomic_fetch_add(&hurts, 1);
}

static void *hurter(void *arg)
{
    struct rng r = {seed + 300 + (uint64_t)(uintptr_t)arg};
    while (!atomic_load(&stop)) {
        struct omi_view *view = omi_view_ref(db);
        const struct omi_version *v = view->version;
        unsigned stripe = omi_counter_stripe();
        uint32_t grace = omi_grace_enter(&db->tenv.filter_memory.grace, stripe);
        const struct omi_run_view *run =
            v->run_count != 0 ? &v->runs[rng_below(&r, v->run_count)] : NULL;
        struct omi_table *t = run != NULL ? run->tables[rng_below(&r, run->table_count)] : NULL;
        if (t != NULL && rng_one_in(&r, 2))
            hurt(atomic_load(&t->lines));
        else if (t != NULL && t->filter.point_parts != 0)
            hurt(atomic_load(&t->filter.parts[rng_below(&r, t->filter.point_parts)].extent));
        omi_grace_leave(&db->tenv.filter_memory.grace, stripe, grace);
        omi_view_unref(view);
        usleep(1000);
    }
    return NULL;
}

static void write_all(uint64_t step, uint64_t from)
{
    uint8_t key[8];
    for (uint64_t v = 2 * from; v < 2 * KEYS; v += 2 * step)
        CHECK_OK(omen_put(db, NULL, key_at(v, key), omi_slice(&v, sizeof(v))));
}

static void *thread_run(void *arg)
{
    uintptr_t i = (uintptr_t)arg;
    return i == MOVER ? mover(arg) : i == HURTER ? hurter(arg) : reader(arg);
}

static void db_run(unsigned seconds, const char *options)
{
    char path[] = "/tmp/omendb-tsan-far-XXXXXX";
    pthread_t threads[THREADS];
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 128u << 10,
                      .target_file_bytes = 64u << 10};
    CHECK_OK(omen_options_from_string(options, &o));
    if (mkdtemp(path) == NULL)
        fail_now("no directory in /tmp");
    CHECK_OK(omen_open(path, &o, &db));
    db->far.move_bytes = 12000;
    omi_sample_set_every(db->sample, 2);
    write_all(1, 0);
    CHECK_OK(omen_compact(db, NULL, NULL));
    atomic_store(&stop, false);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, thread_run, (void *)i);
    for (time_t end = time(NULL) + seconds; time(NULL) < end; atomic_fetch_add(&rounds, 1)) {
        write_all(3, atomic_load(&rounds) % 3);
        CHECK_OK(omen_flush(db));
        if (atomic_load(&rounds) % 2 != 0)
            CHECK_OK(omen_compact(db, NULL, NULL));
    }
    atomic_store(&stop, true);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    omen_stats s = {.struct_bytes = sizeof(s)};
    CHECK_OK(omen_get_stats(db, &s));
    CHECK_OK(omen_close(db));
    CHECK_OK(omen_destroy(path));
    printf("%s: %" PRIu64 " gets, %" PRIu64 " entries scanned, %" PRIu64
           " rounds of writes; %" PRIu64 " tables moved near, %" PRIu64 " far; %" PRIu64
           " extents said to have failed, %" PRIu64 " read again\n",
           options, atomic_load(&gets), atomic_load(&scanned), atomic_load(&rounds),
           s.far_moved_tables[0], s.far_moved_tables[1], atomic_load(&hurts), s.far_repaired);
    if (s.far_moved_tables[0] == 0 || s.far_moved_tables[1] == 0 || s.far_repaired == 0)
        fail_now("nothing moved, or nothing was repaired: the run proves nothing");
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
    seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    replay_set("tsan_far %u %" PRIu64, seconds, seed);
    db_run(seconds - seconds / 2, "far=heap,near_model_bytes=16K,filter_bytes=64K");
    db_run(seconds / 2 + 1, "far=delay:100,near_model_bytes=4K,filter=ribbon,far_bytes=256K");
    printf("tsan_far: seed %" PRIu64 "\n", seed);
    return 0;
}

/*
 * tsan_sample.c - lookups and scans that are all sampled, on several threads, while tables are
 * written by what they ask for, views are taken and SAMPLE is saved: for ThreadSanitizer and for the
 * eye. No lookup may be wrong, and what is remembered must be whole.
 *
 *   tsan_sample [SECONDS]
 */
#include "io/base/hash.h"
#include "lsm/db.h"
#include "tests/model.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The database saves SAMPLE itself once a minute; until then it is ours to save. */
enum { KEYS = 20000, READERS = 3, BATCH = 16, SECONDS_MAX = 50 };

struct shared {
    omen_db *db;
    uint64_t seed;
    _Atomic bool stop;
    _Atomic uint64_t gets, scans, views;
};

struct reader {
    struct shared *s;
    uint64_t number;
};

/* Even numbers are there, odd ones are not. */
static omen_slice key_of(uint64_t i, uint8_t key[static MODEL_KEY_BYTES_MAX])
{
    return omi_slice(key, key_make(KEYS_USER, i, key));
}

static void check_answer(uint64_t i, omen_err err)
{
    if (err != (i % 2 == 0 ? OMEN_OK : OMEN_NOT_FOUND))
        fail_now("key %" PRIu64 ": %s: %s", i, omen_err_name(err), omen_last_error());
}

static void get_some(struct shared *s, struct rng *r)
{
    uint8_t key[MODEL_KEY_BYTES_MAX];
    omen_value v;
    for (int n = 0; n < BATCH; n++) {
        uint64_t i = rng_below(r, 2 * KEYS);
        check_answer(i, omen_get(s->db, NULL, key_of(i, key), &v));
        omen_value_release(&v);
    }
}

static void multi_get_some(struct shared *s, struct rng *r)
{
    uint8_t keys[BATCH][MODEL_KEY_BYTES_MAX];
    omen_slice slices[BATCH];
    omen_value values[BATCH];
    omen_err errs[BATCH];
    uint64_t at[BATCH];
    for (int n = 0; n < BATCH; n++) {
        at[n] = rng_below(r, 2 * KEYS);
        slices[n] = key_of(at[n], keys[n]);
    }
    CHECK_OK(omen_multi_get(s->db, NULL, BATCH, slices, values, errs));
    for (int n = 0; n < BATCH; n++) {
        check_answer(at[n], errs[n]);
        omen_value_release(&values[n]);
    }
}

static void scan_some(struct shared *s, struct rng *r)
{
    uint8_t key[MODEL_KEY_BYTES_MAX];
    omen_iter *it;
    CHECK_OK(omen_iter_open(s->db, NULL, &it));
    omen_iter_seek(it, key_of(rng_below(r, 2 * KEYS), key));
    for (int n = 0; n < 10 && omen_iter_valid(it); n++)
        omen_iter_next(it);
    CHECK_OK(omen_iter_status(it));
    omen_iter_close(it);
}

static void *reader(void *arg)
{
    struct reader *me = arg;
    struct shared *s = me->s;
    struct rng r = {s->seed + me->number};
    while (!atomic_load(&s->stop)) {
        get_some(s, &r);
        multi_get_some(s, &r);
        scan_some(s, &r);
        atomic_fetch_add_explicit(&s->gets, 2 * BATCH, memory_order_relaxed);
        atomic_fetch_add_explicit(&s->scans, 1, memory_order_relaxed);
    }
    return NULL;
}

/* A remembered key is one of ours, and its hash is of it. */
static void check_view(const struct omi_sample_view *v)
{
    for (uint32_t i = 0; i < v->get_count; i++) {
        const struct omi_filter_sample *k = &v->gets[i].key;
        if (k->key_size > OMI_SAMPLE_HEAD_BYTES || k->hash != omi_key_hash(k->head, k->key_size))
            fail_now("a remembered lookup of %u bytes is not whole", k->key_size);
    }
}

static void tables_add(void *ctx, const omen_table_info *info)
{
    *(uint64_t *)ctx = info->number;
}

static void region_look(void *ctx, const omen_filter_region *info)
{
    *(double *)ctx += info->width;
}

static void *looker(void *arg)
{
    struct shared *s = arg;
    while (!atomic_load(&s->stop)) {
        omen_stats stats = {.struct_bytes = sizeof(stats)};
        uint64_t number = 0;
        double width = 0;
        struct omi_sample_view *v = omi_sample_view_ref(s->db->sample);
        if (v != NULL) {
            struct omi_filter_sample *samples;
            size_t count;
            check_view(v);
            CHECK_OK(
                omi_sample_absent(v, omi_slice("a", 1), omi_slice("z", 1), 1, 1, &samples, &count));
            free(samples);
        }
        omi_sample_view_unref(v);
        omi_sampling_save(s->db, 0);
        CHECK_OK(omen_get_stats(s->db, &stats));
        CHECK_OK(omen_list_tables(s->db, tables_add, &number));
        omen_err err = omen_filter_regions(s->db, number, region_look, &width);
        if (err != OMEN_OK && err != OMEN_NOT_FOUND) /* it may be merged away by now */
            fail_now("regions of table %" PRIu64 ": %s", number, omen_last_error());
        atomic_fetch_add(&s->views, 1);
    }
    return NULL;
}

/* Writes the keys again and again: flushes and merges, with filters by the sample of now. */
static void write_all(omen_db *db, uint64_t round)
{
    uint8_t key[MODEL_KEY_BYTES_MAX], value[100];
    for (uint64_t i = 0; i < KEYS; i++) {
        value_make(round * KEYS + i, sizeof(value), value);
        CHECK_OK(omen_put(db, NULL, key_of(2 * i, key), omi_slice(value, sizeof(value))));
    }
}

static void run(struct shared *s, int seconds)
{
    pthread_t threads[READERS + 1];
    struct reader readers[READERS];
    struct timespec begun, now;
    uint64_t rounds = 1;
    omi_sample_set_every(s->db->sample, 0);
    write_all(s->db, 0);
    for (uint64_t t = 0; t < READERS; t++) {
        readers[t] = (struct reader){s, t};
        pthread_create(&threads[t], NULL, reader, &readers[t]);
    }
    pthread_create(&threads[READERS], NULL, looker, s);
    clock_gettime(CLOCK_MONOTONIC, &begun);
    do {
        write_all(s->db, rounds);
        if (rounds++ % 3 == 0)
            CHECK_OK(omen_compact(s->db, NULL, NULL));
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begun.tv_sec < seconds);
    atomic_store(&s->stop, true);
    for (int t = 0; t <= READERS; t++)
        pthread_join(threads[t], NULL);
    struct rng rest = {s->seed};
    for (int n = 0; n < 100; n++) /* a merge may just have begun all tables' counts anew */
        get_some(s, &rest);
    printf("%" PRIu64 " rounds of writing, ", rounds);
}

int main(int argc, char **argv)
{
    int seconds = argc > 1 ? atoi(argv[1]) : 2;
    seconds = seconds < SECONDS_MAX ? seconds : SECONDS_MAX;
    char path[] = "/tmp/omendb-sampled-XXXXXX";
    struct shared s = {.seed = (uint64_t)time(NULL)};
    omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_CREATE_IF_MISSING};
    omen_stats stats = {.struct_bytes = sizeof(stats)};
    replay_set("%s %d (seed %" PRIu64 ")", argv[0], seconds, s.seed);
    if (mkdtemp(path) == NULL)
        fail_now("no directory %s", path);
    CHECK_OK(omen_options_from_string("memory_bytes=8M,memtable_bytes=256K,target_file_bytes=512K,"
                                      "size_ratio=3,filter_bytes=64K,range_filter=on",
                                      &o));
    CHECK_OK(omen_open(path, &o, &s.db));
    run(&s, seconds);
    CHECK_OK(omen_get_stats(s.db, &stats));
    if (stats.sampled_gets == 0 || stats.sampled_scans == 0 || stats.sampled_probes == 0)
        fail_now("nothing was remembered");
    uint64_t kept = stats.sampled_gets;
    CHECK_OK(omen_close(s.db));
    CHECK_OK(omen_open(path, &o, &s.db));
    CHECK_OK(omen_get_stats(s.db, &stats));
    if (stats.sampled_gets != kept)
        fail_now("%" PRIu64 " lookups were remembered, %" PRIu64 " are back", kept,
                 stats.sampled_gets);
    CHECK_OK(omen_close(s.db));
    CHECK_OK(omen_destroy(path));
    printf("%" PRIu64 " lookups, %" PRIu64 " scans, %" PRIu64 " views, %" PRIu64
           " lookups remembered, seed %" PRIu64 "\n",
           atomic_load(&s.gets), atomic_load(&s.scans), atomic_load(&s.views), kept, s.seed);
    return 0;
}

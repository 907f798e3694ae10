/*
 * tsan_filter.c - filters whose parts come and go under their readers, for ThreadSanitizer and for the
 * eye. First what is retired under readers without locks; then a database in which lookups and scans
 * run while filter_bytes goes up and down, tables are merged away, and somebody looks at statistics.
 *
 *   tsan_filter [SECONDS [SEED]]
 */
#include "io/base/grace.h"
#include "lsm/counters.h"
#include "lsm/db.h"
#include "tests/model.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { READERS = 3, KEYS = 20000, BATCH = 24 };

static uint64_t seed = 1;
static _Atomic bool stop;

/* ---- grace ----------------------------------------------------------------------------------- */

enum { SLOTS = 4, WORDS = 16 };
static const uint64_t sound = UINT64_C(0x50f7d00d50f7d00d), poison = UINT64_C(0xdeaddeaddeaddead);

struct thing {
    struct omi_grace_item item;
    uint64_t words[WORDS];
};

static struct omi_grace grace;
static _Atomic(struct thing *) slots[SLOTS];
static _Atomic uint64_t looks, retired, freed;

static void thing_free(struct omi_grace_item *item)
{
    struct thing *t = (struct thing *)(void *)item;
    for (int i = 0; i < WORDS; i++)
        t->words[i] = poison;
    atomic_fetch_add(&freed, 1);
    free(t);
}

static struct thing *thing_make(void)
{
    struct thing *t = malloc(sizeof(*t));
    if (t == NULL)
        fail_now("no memory");
    t->item.free = thing_free;
    for (int i = 0; i < WORDS; i++)
        t->words[i] = sound;
    return t;
}

static void look_at(struct rng *r, unsigned stripe, int depth)
{
    uint32_t phase = omi_grace_enter(&grace, stripe);
    const struct thing *t = atomic_load(&slots[rng_below(r, SLOTS)]);
    for (int i = 0; i < WORDS; i++)
        if (t->words[i] != sound)
            fail_now("a reader sees what was freed: %" PRIx64, t->words[i]);
    if (depth < 3 && rng_one_in(r, 3))
        look_at(r, stripe, depth + 1);
    if (t->words[rng_below(r, WORDS)] != sound)
        fail_now("what a reader sees is freed under it");
    omi_grace_leave(&grace, stripe, phase);
    atomic_fetch_add_explicit(&looks, 1, memory_order_relaxed);
}

static void *looker(void *arg)
{
    struct rng r = {seed + (uint64_t)(uintptr_t)arg};
    while (!atomic_load(&stop))
        look_at(&r, omi_counter_stripe(), 0);
    return NULL;
}

static void *replacer(void *arg)
{
    struct rng r = {seed + (uint64_t)(uintptr_t)arg};
    while (!atomic_load(&stop)) {
        struct thing *old = atomic_exchange(&slots[rng_below(&r, SLOTS)], thing_make());
        omi_grace_retire(&grace, &old->item);
        atomic_fetch_add(&retired, 1);
        if (rng_one_in(&r, 4))
            omi_grace_poll(&grace);
    }
    return NULL;
}

static void grace_run(unsigned seconds)
{
    pthread_t threads[READERS + 2];
    omi_grace_init(&grace);
    for (int i = 0; i < SLOTS; i++)
        atomic_store(&slots[i], thing_make());
    atomic_store(&stop, false);
    for (uintptr_t i = 0; i < READERS + 2; i++)
        pthread_create(&threads[i], NULL, i < READERS ? looker : replacer, (void *)i);
    sleep(seconds);
    atomic_store(&stop, true);
    for (int i = 0; i < READERS + 2; i++)
        pthread_join(threads[i], NULL);
    uint64_t before = atomic_load(&freed);
    for (int i = 0; i < SLOTS; i++)
        omi_grace_retire(&grace, &atomic_load(&slots[i])->item);
    omi_grace_poll(&grace);
    if (atomic_load(&freed) != atomic_load(&retired) + SLOTS || before == 0)
        fail_now("%" PRIu64 " retired, %" PRIu64 " freed, %" PRIu64 " of them while there were "
                 "readers",
                 atomic_load(&retired) + SLOTS, atomic_load(&freed), before);
    omi_grace_fini(&grace);
    printf("grace: %" PRIu64 " looks, %" PRIu64 " things retired under them\n", atomic_load(&looks),
           atomic_load(&retired));
}

/* ---- a database ------------------------------------------------------------------------------ */

static omen_db *db;
static _Atomic uint64_t gets, scanned, limits_set, rounds;

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

static void *limiter(void *arg)
{
    static const char *const limits[] = {"4K", "32K", "16K", "1M", "20K"};
    struct rng r = {seed + 200 + (uint64_t)(uintptr_t)arg};
    while (!atomic_load(&stop)) {
        omen_stats s = {.struct_bytes = sizeof(s)};
        CHECK_OK(omen_set_option(db, "filter_bytes",
                                 limits[rng_below(&r, sizeof(limits) / sizeof(limits[0]))]));
        CHECK_OK(omen_get_stats(db, &s));
        if (s.filters_damaged != 0 || s.filter_parts_loaded > s.filter_parts ||
            s.memory_filters > (1u << 20))
            fail_now("%" PRIu64 " damaged, %" PRIu64 " of %" PRIu64 " parts, %" PRIu64 " bytes",
                     s.filters_damaged, s.filter_parts_loaded, s.filter_parts, s.memory_filters);
        atomic_fetch_add(&limits_set, 1);
        usleep(3000);
    }
    return NULL;
}

static void write_all(uint64_t step, uint64_t from)
{
    uint8_t key[8];
    for (uint64_t v = 2 * from; v < 2 * KEYS; v += 2 * step)
        CHECK_OK(omen_put(db, NULL, key_at(v, key), omi_slice(&v, sizeof(v))));
}

static void db_run(unsigned seconds)
{
    char path[] = "/tmp/omendb-tsan-filter-XXXXXX";
    pthread_t threads[READERS + 1];
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 128u << 10,
                      .target_file_bytes = 64u << 10};
    CHECK_OK(omen_options_from_string("filter_bytes=16K,range_filter=on", &o));
    if (mkdtemp(path) == NULL)
        fail_now("no directory in /tmp");
    CHECK_OK(omen_open(path, &o, &db));
    write_all(1, 0);
    CHECK_OK(omen_compact(db, NULL, NULL));
    atomic_store(&stop, false);
    for (uintptr_t i = 0; i <= READERS; i++)
        pthread_create(&threads[i], NULL, i < READERS ? reader : limiter, (void *)i);
    for (time_t end = time(NULL) + seconds; time(NULL) < end; atomic_fetch_add(&rounds, 1)) {
        write_all(3, atomic_load(&rounds) % 3);
        CHECK_OK(omen_flush(db));
        if (atomic_load(&rounds) % 2 != 0)
            CHECK_OK(omen_compact(db, NULL, NULL));
    }
    atomic_store(&stop, true);
    for (int i = 0; i <= READERS; i++)
        pthread_join(threads[i], NULL);
    omen_stats s = {.struct_bytes = sizeof(s)};
    CHECK_OK(omen_get_stats(db, &s));
    CHECK_OK(omen_close(db));
    CHECK_OK(omen_destroy(path));
    printf("filters: %" PRIu64 " gets, %" PRIu64 " entries scanned, %" PRIu64 " limits, %" PRIu64
           " rounds of writes; %" PRIu64 " parts loaded, %" PRIu64 " evicted, %" PRIu64 " missed\n",
           atomic_load(&gets), atomic_load(&scanned), atomic_load(&limits_set),
           atomic_load(&rounds), s.filter_part_loads, s.filter_part_evictions,
           s.filter_parts_missed);
    if (s.filter_part_loads == 0 || s.filter_part_evictions == 0 || s.filter_parts_missed == 0)
        fail_now("no part came or went: the run proves nothing");
}

int main(int argc, char **argv)
{
    unsigned seconds = argc > 1 ? (unsigned)atoi(argv[1]) : 5;
    seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    replay_set("tsan_filter %u %" PRIu64, seconds, seed);
    grace_run(seconds / 3 + 1);
    db_run(seconds - seconds / 3);
    printf("tsan_filter: seed %" PRIu64 "\n", seed);
    return 0;
}

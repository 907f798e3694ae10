/*
 * tsan_memtable.c - one writer and several readers on one memtable, for ThreadSanitizer and for the
 * eye: every value tells which key and seq it is of.
 *
 *   tsan_memtable [SECONDS]
 */
#include "io/base/hash.h"
#include "lsm/memtable.h"
#include "tests/model.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS = 3000, READERS = 3 };

struct shared {
    struct omi_memtable *m;
    _Atomic uint64_t visible;
    _Atomic bool stop;
    _Atomic uint64_t reads, walks;
};

static void check(const struct omi_entry *e, uint64_t seq_max)
{
    uint64_t told[2];
    if (e->value_size != sizeof(told))
        fail_now("a value of %u bytes", e->value_size);
    memcpy(told, e->value, sizeof(told));
    if (told[0] != omi_key_hash(e->key, e->key_size) || told[1] != omi_trailer_seq(e->trailer) ||
        told[1] > seq_max)
        fail_now("an entry of seq %" PRIu64 " tells of seq %" PRIu64, omi_trailer_seq(e->trailer),
                 told[1]);
}

static void *reader(void *arg)
{
    struct shared *s = arg;
    struct rng r = {(uint64_t)(uintptr_t)&arg};
    while (!atomic_load(&s->stop)) {
        uint64_t seq = atomic_load_explicit(&s->visible, memory_order_acquire);
        uint8_t key[MODEL_KEY_BYTES_MAX];
        struct omi_entry e;
        for (int i = 0; i < 50; i++) {
            size_t n = key_make(KEYS_USER, rng_below(&r, KEYS), key);
            if (omi_memtable_get(s->m, omi_slice(key, n), omi_key_hash(key, n), seq, &e) == OMEN_OK)
                check(&e, seq);
            atomic_fetch_add_explicit(&s->reads, 1, memory_order_relaxed);
        }
        struct omi_mem_cursor c;
        uint8_t last[MODEL_KEY_BYTES_MAX];
        size_t last_size = 0, seen = 0;
        bool forward = rng_one_in(&r, 2);
        omi_mem_cursor_init(&c, s->m, seq);
        if (forward)
            omi_mem_cursor_first(&c);
        else
            omi_mem_cursor_last(&c);
        for (; c.valid; seen++) {
            check(&c.entry, seq);
            int order = seen != 0
                            ? omi_bytes_compare(last, last_size, c.entry.key, c.entry.key_size)
                        : forward ? -1
                                  : 1;
            if (forward ? order >= 0 : order <= 0)
                fail_now("a walk is out of order");
            memcpy(last, c.entry.key, c.entry.key_size);
            last_size = c.entry.key_size;
            if (forward)
                omi_mem_cursor_next(&c);
            else
                omi_mem_cursor_prev(&c);
        }
        atomic_fetch_add_explicit(&s->walks, 1, memory_order_relaxed);
    }
    return NULL;
}

static void round_run(uint64_t seed, struct shared *total)
{
    struct omi_arena_pool *pool;
    struct omi_order order = {NULL};
    struct shared s = {0};
    pthread_t threads[READERS];
    struct rng r = {seed};
    CHECK_OK(omi_arena_pool_create(0, &pool));
    CHECK_OK(omi_memtable_create(pool, &order, 2 << 20, &s.m));
    for (int i = 0; i < READERS; i++)
        pthread_create(&threads[i], NULL, reader, &s);
    for (uint64_t seq = 1; seq <= 20000; seq++) {
        uint8_t key[MODEL_KEY_BYTES_MAX];
        size_t n = key_make(KEYS_USER, rng_below(&r, KEYS), key);
        uint64_t value[2] = {omi_key_hash(key, n), seq};
        struct omi_entry e = {key, (const uint8_t *)value, omi_trailer(seq, OMI_KIND_PUT),
                              (uint32_t)n, sizeof(value)};
        CHECK_OK(omi_memtable_insert(s.m, &e));
        atomic_store_explicit(&s.visible, seq, memory_order_release);
    }
    atomic_store(&s.stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    total->reads += s.reads;
    total->walks += s.walks;
    omi_memtable_unref(s.m);
    omi_arena_pool_destroy(pool);
}

int main(int argc, char **argv)
{
    time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);
    struct shared total = {0};
    uint64_t rounds = 0;
    replay_set("tsan_memtable");
    do
        round_run(++rounds, &total);
    while (time(NULL) < end);
    printf("memtable: %" PRIu64 " rounds, %" PRIu64 " reads and %" PRIu64
           " walks beside a writer\n",
           rounds, total.reads, total.walks);
    return 0;
}

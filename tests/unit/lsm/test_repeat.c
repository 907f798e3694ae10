/*
 * With OMEN_INLINE_WORK the same operations do the same: counters and trees do not depend on time,
 * on random numbers, on where a database lies or on what the process did before.
 */
#include "io/env_sim.h"
#include "lsm/db.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(repeat, .timeout = 300);

enum { KEYS = 40000, LOAD = 30000, OPS = 100000 };

struct dice {
    uint64_t state;
};

static uint64_t roll(struct dice *d, uint64_t n)
{
    d->state = d->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (d->state >> 24) % n;
}

/* Small numbers more often. */
static uint64_t roll_skewed(struct dice *d, uint64_t n)
{
    uint64_t below = 1 + roll(d, n);
    return roll(d, 4) == 0 ? roll(d, n) : roll(d, below);
}

static omen_slice key_of(uint64_t number, char text[static 24])
{
    int n = snprintf(text, 24, "user%012" PRIu64, number * 7919 % (2 * KEYS));
    return omi_slice(text, (size_t)n);
}

static void put(omen_db *db, struct dice *d, uint64_t number)
{
    char key[24], value[96];
    memset(value, 'a' + (int)(number % 26), sizeof(value));
    cr_assert_eq(omen_put(db, NULL, key_of(number, key), omi_slice(value, 16 + roll(d, 80))),
                 OMEN_OK, "%s", omen_last_error());
}

static void batch(omen_db *db, struct dice *d)
{
    omen_batch *b;
    char key[24];
    cr_assert_eq(omen_batch_create(&b), OMEN_OK);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(omen_batch_put(b, key_of(roll(d, KEYS), key), omi_slice("batch", 5)), OMEN_OK);
        cr_assert_eq(omen_batch_delete(b, key_of(roll(d, KEYS), key)), OMEN_OK);
    }
    cr_assert_eq(omen_write(db, NULL, b), OMEN_OK);
    omen_batch_destroy(b);
}

static void get(omen_db *db, uint64_t number)
{
    char key[24];
    omen_value value;
    omen_err err = omen_get(db, NULL, key_of(number, key), &value);
    cr_assert(err == OMEN_OK || err == OMEN_NOT_FOUND, "%s", omen_last_error());
    omen_value_release(&value);
}

static void get_many(omen_db *db, struct dice *d)
{
    enum { MANY = 40 };
    char text[MANY][24];
    omen_slice keys[MANY];
    omen_value values[MANY];
    omen_err errs[MANY];
    for (int i = 0; i < MANY; i++)
        keys[i] = key_of(roll_skewed(d, 2 * KEYS), text[i]);
    cr_assert_eq(omen_multi_get(db, NULL, MANY, keys, values, errs), OMEN_OK, "%s",
                 omen_last_error());
    for (int i = 0; i < MANY; i++)
        omen_value_release(&values[i]);
}

static void scan(omen_db *db, struct dice *d)
{
    omen_iter *it;
    char key[24];
    cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
    bool back = roll(d, 4) == 0;
    if (back)
        omen_iter_seek_for_prev(it, key_of(roll(d, KEYS), key));
    else
        omen_iter_seek(it, key_of(roll_skewed(d, KEYS), key));
    for (uint64_t left = roll(d, 30); left > 0 && omen_iter_valid(it); left--)
        if (back)
            omen_iter_prev(it);
        else
            omen_iter_next(it);
    cr_assert_eq(omen_iter_status(it), OMEN_OK, "%s", omen_last_error());
    omen_iter_close(it);
}

static void load(omen_db *db, uint64_t seed)
{
    struct dice d = {seed};
    for (uint64_t i = 0; i < LOAD; i++)
        put(db, &d, i);
}

static void mixed(omen_db *db, uint64_t seed, uint64_t ops)
{
    struct dice d = {seed};
    char key[24];
    for (uint64_t i = 0; i < ops; i++) {
        uint64_t what = roll(&d, 100);
        if (what < 30)
            put(db, &d, roll_skewed(&d, KEYS));
        else if (what < 34)
            cr_assert_eq(omen_delete(db, NULL, key_of(roll(&d, KEYS), key)), OMEN_OK);
        else if (what == 34)
            batch(db, &d);
        else if (what == 35)
            get_many(db, &d);
        else if (what < 45)
            scan(db, &d);
        else
            get(db, what < 75 ? roll_skewed(&d, KEYS) : KEYS + roll(&d, KEYS));
    }
}

/* ---- comparing ------------------------------------------------------------------------------- */

struct looks {
    omen_stats stats;
    omen_telemetry telemetry;
    uint64_t tables, digest; /* of all that is told of the tables */
};

static void digest(struct looks *l, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        l->digest = (l->digest ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
}

static void table_look(void *context, const omen_table_info *info)
{
    struct looks *l = context;
    omen_table_info i = *info;
    digest(l, i.first_key.data, i.first_key.size);
    digest(l, i.last_key.data, i.last_key.size);
    i.first_key = i.last_key = (omen_slice){NULL, 0};
    digest(l, &i, sizeof(i));
    l->tables++;
}

static void window_look(omen_window *w)
{
    w->began_us = w->us = w->stall_us = 0;
}

/* All that a clock has no part in. */
static void look(omen_db *db, struct looks *l)
{
    memset(l, 0, sizeof(*l));
    l->stats.struct_bytes = sizeof(l->stats);
    cr_assert_eq(omen_get_stats(db, &l->stats), OMEN_OK);
    cr_assert_eq(omen_list_tables(db, table_look, l), OMEN_OK);
    l->stats.uptime_us = l->stats.flush_us = 0;
    memset(l->stats.stall_us, 0, sizeof(l->stats.stall_us));
    for (int i = 0; i < OMEN_LEVELS_MAX; i++)
        l->stats.level[i].merge_us = 0;
    l->telemetry.struct_bytes = sizeof(l->telemetry);
    cr_assert_eq(omen_get_telemetry(db, &l->telemetry), OMEN_OK);
    window_look(&l->telemetry.running);
    window_look(&l->telemetry.all);
    for (uint32_t i = 0; i < l->telemetry.window_count; i++)
        window_look(&l->telemetry.window[i]);
}

static void expect_same(const struct looks *a, const struct looks *b, const char *what)
{
    for (size_t at = 0; at < sizeof(a->stats); at += 8)
        cr_assert_eq(memcmp((const char *)&a->stats + at, (const char *)&b->stats + at, 8), 0,
                     "%s: the statistics differ at offset %zu: %" PRIu64 " and %" PRIu64, what, at,
                     *(const uint64_t *)(const void *)((const char *)&a->stats + at),
                     *(const uint64_t *)(const void *)((const char *)&b->stats + at));
    cr_assert(memcmp(&a->telemetry, &b->telemetry, sizeof(a->telemetry)) == 0,
              "%s: the telemetry differs", what);
    cr_assert_eq(a->tables, b->tables, "%s", what);
    cr_assert_eq(a->digest, b->digest, "%s: the trees differ", what);
}

/* ---- the runs -------------------------------------------------------------------------------- */

/* A filter of the last bytes that keys have. */
static int last_build(void *context, size_t count, const omen_slice *keys, void *sink,
                      int (*append)(void *sink, const void *bytes, size_t size))
{
    uint8_t there[256] = {0};
    (void)context;
    for (size_t i = 0; i < count; i++)
        there[((const uint8_t *)keys[i].data)[keys[i].size - 1]] = 1;
    return append(sink, there, sizeof(there));
}

static int last_may_hold(void *context, omen_slice filter, omen_slice key)
{
    (void)context;
    return ((const uint8_t *)filter.data)[((const uint8_t *)key.data)[key.size - 1]];
}

static const omen_filter_policy policy = {"last byte", last_build, last_may_hold, NULL};

enum { CASES = 6 };

static omen_options options_of(int which)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .cache_bytes = 64u << 10,
                      .filter_bytes = 64u << 10,
                      .size_ratio = 3,
                      .runs_upper = 2};
    switch (which) {
    case 1:
        o.filter = OMEN_FILTER_PLAIN;
        o.range_filter = OMEN_RANGE_FILTER_ON;
        break;
    case 2:
        o.filter = OMEN_FILTER_RIBBON;
        o.cache_bytes = OMEN_NONE;
        break;
    case 3:
        o.filter_bits = OMEN_NONE;
        o.cache_bytes = 8u << 20; /* several shards, and shared with models */
        o.filter_bytes = 0;
        break;
    case 4:
        o.filter_policy = &policy;
        break;
    case 5:
        o.filter_bytes = 8u << 10; /* parts come and go */
        o.range_filter = OMEN_RANGE_FILTER_ON;
        break;
    default:
        break;
    }
    return o;
}

static omen_db *open_at(struct omi_env *env, const char *path, const omen_options *o)
{
    omen_db *db;
    cr_assert_eq(omi_db_open(env, path, o, &db), OMEN_OK, "%s", omen_last_error());
    return db;
}

static void run(struct omi_env *env, const char *path, const omen_options *o, struct looks *fresh,
                struct looks *again)
{
    omen_db *db = open_at(env, path, o);
    load(db, 1);
    mixed(db, 2, OPS / 2);
    look(db, fresh);
    cr_assert_eq(omen_close(db), OMEN_OK);
    db = open_at(env, path, o);
    mixed(db, 3, OPS / 2);
    look(db, again);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(repeat, another_run_counts_the_same_for_every_kind_of_filter)
{
    for (int which = 0; which < CASES; which++) {
        static struct looks one[2], two[2];
        omen_options o = options_of(which);
        struct omi_env *env = omi_sim_create(11), *other = omi_sim_create(12);
        run(env, "/db", &o, &one[0], &one[1]);
        run(other, "/elsewhere", &o, &two[0], &two[1]);
        char what[64];
        snprintf(what, sizeof(what), "options %d", which);
        expect_same(&one[0], &two[0], what);
        expect_same(&one[1], &two[1], what);
        cr_assert_geq(one[0].stats.levels, 3u);
        cr_assert_gt(one[0].tables, 20u);
        cr_assert_gt(one[1].telemetry.window_count, 10u);
        omi_sim_destroy(env);
        omi_sim_destroy(other);
    }
}

Test(repeat, forks_of_one_build_count_the_same)
{
    struct omi_env *env = omi_sim_create(13);
    omen_options o = options_of(0);
    omen_db *db = open_at(env, "/built", &o);
    load(db, 1);
    cr_assert_eq(omen_flush(db), OMEN_OK);
    cr_assert_eq(omen_wait_idle(db), OMEN_OK);
    cr_assert_eq(omen_checkpoint(db, "/fork1"), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omen_checkpoint(db, "/fork2"), OMEN_OK, "%s", omen_last_error());
    static struct looks looks[2];
    for (int i = 0; i < 2; i++) {
        omen_db *fork = open_at(env, i == 0 ? "/fork1" : "/fork2", &o);
        mixed(fork, 5, OPS);
        look(fork, &looks[i]);
        cr_assert_eq(omen_close(fork), OMEN_OK);
    }
    expect_same(&looks[0], &looks[1], "forks");
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

struct real_run {
    const char *path;
    omen_options options;
    struct looks fresh, again;
};

static void *real_run(void *arg)
{
    struct real_run *r = arg;
    run(omi_env_posix(OMEN_IO_ENGINE_AUTO), r->path, &r->options, &r->fresh, &r->again);
    cr_assert_eq(omen_destroy(r->path), OMEN_OK);
    return NULL;
}

static void *stripe_take(void *arg)
{
    (void)arg;
    return (void *)(uintptr_t)(1 + omi_counter_stripe());
}

/* Real files, a real clock, another thread. */
Test(repeat, real_files_count_the_same)
{
    static struct real_run runs[2];
    char path[2][64];
    for (int i = 0; i < 2; i++) {
        pthread_t thread;
        snprintf(path[i], sizeof(path[i]), "/tmp/omendb_repeat_%ld_%d", (long)getpid(), i);
        runs[i].path = path[i];
        runs[i].options = options_of(5);
        for (int n = 0; n < i; n++) { /* the next thread counts elsewhere */
            cr_assert_eq(pthread_create(&thread, NULL, stripe_take, NULL), 0);
            cr_assert_eq(pthread_join(thread, NULL), 0);
        }
        cr_assert_eq(pthread_create(&thread, NULL, real_run, &runs[i]), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
    }
    expect_same(&runs[0].fresh, &runs[1].fresh, "real files");
    expect_same(&runs[0].again, &runs[1].again, "real files, opened again");
}

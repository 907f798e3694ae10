/* A database whose filters are more than filter_bytes: right always, within the limit always, and what
 * is hot is there. */
#include "io/base/coding.h"
#include "io/env_sim.h"
#include "lsm/db.h"
#include "lsm/table_open.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

TestSuite(filter_memory, .timeout = 120);

enum { KEYS = 60000, LIMIT = 24 << 10 };

static struct omi_env *env;
static uint64_t draws;

static uint64_t draw(uint64_t n)
{
    uint64_t z = (draws += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % n;
}

static uint64_t seed_of(void)
{
    const char *text = getenv("OMENDB_TEST_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 42;
}

static void must(omen_err err)
{
    cr_assert_eq(err, OMEN_OK, "%s: %s; replay: OMENDB_TEST_SEED=%lu", omen_err_name(err),
                 omen_last_error(), seed_of());
}

/* ---- a database of small tables -------------------------------------------------------------- */

static omen_db *open_at(struct omi_env *e, const char *path, uint32_t flags, const char *options)
{
    omen_db *db;
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | flags,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 256u << 10,
                      .target_file_bytes = 64u << 10};
    must(omen_options_from_string(options, &o));
    must(omi_db_open(e, path, &o, &db));
    return db;
}

static omen_db *open_db(const char *options)
{
    return open_at(env, "/db", OMEN_INLINE_WORK, options);
}

static omen_slice key_of(uint64_t i, uint8_t out[static 8])
{
    uint64_t v = i * 16;
    for (int b = 7; b >= 0; b--, v >>= 8)
        out[b] = (uint8_t)v;
    return omi_slice(out, 8);
}

static void fill(omen_db *db, uint64_t from, uint64_t step)
{
    uint8_t key[9];
    for (uint64_t i = from; i < KEYS; i += step)
        must(omen_put(db, NULL, key_of(i, key), omi_slice(&i, sizeof(i))));
}

static omen_db *make_db(const char *options)
{
    draws = seed_of();
    env = omi_sim_create(seed_of());
    omen_db *db = open_db(options);
    fill(db, 0, 1);
    must(omen_compact(db, NULL, NULL));
    return db;
}

static uint64_t charged(omen_db *db)
{
    return atomic_load(&db->tenv.extents.bytes[OMI_EXTENT_FILTER]);
}

static void check_limit(omen_db *db)
{
    uint64_t limit = atomic_load(&db->tenv.filter_memory.limit_bytes);
    cr_assert_leq(charged(db), limit);
}

/* Key i, there or not. */
static void get_one(omen_db *db, uint64_t i, bool there)
{
    uint8_t key[9];
    omen_value v;
    omen_slice k = key_of(i, key);
    if (!there)
        key[7]++;
    omen_err err = omen_get(db, NULL, k, &v);
    cr_assert_eq(err, there ? OMEN_OK : OMEN_NOT_FOUND, "key %lu: %s; replay: OMENDB_TEST_SEED=%lu",
                 i, omen_err_name(err), seed_of());
    if (err == OMEN_OK)
        cr_assert(omi_bytes_equal(v.data, v.size, &i, sizeof(i)));
    omen_value_release(&v);
}

static void get_some(omen_db *db, uint64_t count, uint64_t from, uint64_t to)
{
    for (uint64_t n = 0; n < count; n++) {
        get_one(db, from + draw(to - from), n % 4 == 0);
        if (db->tenv.filter_memory.limit_bytes > 16384)
            check_limit(db);
    }
}

static omen_stats stats_of(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    must(omen_get_stats(db, &s));
    return s;
}

static void close_db(omen_db *db)
{
    must(omen_close(db));
    omi_sim_destroy(env);
}

/* ---- one thread ------------------------------------------------------------------------------ */

Test(filter_memory, four_times_the_limit_is_right_and_within_it_at_every_moment)
{
    omen_db *db = make_db("filter=plain,filter_bytes=24K");
    omen_stats s = stats_of(db);
    cr_assert_gt(s.filter_bytes, 3 * LIMIT);
    cr_assert_eq(s.filter_limit_bytes, LIMIT);
    cr_assert_gt(s.filter_parts, 20);
    for (int round = 0; round < 4; round++) {
        get_some(db, 5000, 0, KEYS);
        s = stats_of(db);
        cr_assert_leq(s.memory_filters, LIMIT);
        cr_assert_leq(s.memory_filters + s.memory_cache + s.memory_models + s.memory_metadata,
                      db->settings.split.cache_bytes + (64 << 10));
        fill(db, (uint64_t)round, 7);
        check_limit(db);
        must(omen_flush(db));
        check_limit(db);
    }
    must(omen_compact(db, NULL, NULL));
    check_limit(db);
    get_some(db, 5000, 0, KEYS);
    s = stats_of(db);
    cr_assert_gt(s.filter_parts_loaded, 0);
    cr_assert_gt(s.filter_parts_missed, 0);
    cr_assert_eq(s.filters_damaged, 0);
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    must(omen_verify(db, &report, NULL, NULL));
    close_db(db);
}

Test(filter_memory, what_is_hot_is_there_after_a_while)
{
    omen_db *db = make_db("filter=plain,filter_bytes=24K");
    for (uint64_t part = 0; part < 6; part++) { /* one stretch after the other */
        uint64_t from = part * KEYS / 6, to = (part + 1) * KEYS / 6;
        get_some(db, 30000, from, to);
        uint64_t missed = stats_of(db).filter_parts_missed;
        get_some(db, 2000, from, to);
        missed = stats_of(db).filter_parts_missed - missed;
        cr_assert_leq(missed, 20, "stretch %lu: %lu of 2000 lookups without a part", part, missed);
    }
    cr_assert_gt(stats_of(db).filter_part_evictions, 20);
    close_db(db);
}

Test(filter_memory, an_even_load_above_the_limit_leaves_parts_where_they_are)
{
    omen_db *db = make_db("filter=plain,filter_bytes=24K");
    get_some(db, 10000, 0, KEYS);
    omen_stats before = stats_of(db);
    get_some(db, 40000, 0, KEYS);
    omen_stats after = stats_of(db);
    uint64_t missed = after.filter_parts_missed - before.filter_parts_missed;
    uint64_t loads = after.filter_part_loads - before.filter_part_loads;
    cr_assert_gt(missed, 15000);
    cr_assert_lt(loads, missed / 200, "%lu loads in %lu misses", loads, missed);
    cr_assert_eq(after.filter_parts_loaded, before.filter_parts_loaded);
    close_db(db);
}

Test(filter_memory, a_tiny_limit_only_makes_it_slower)
{
    omen_db *db = make_db("filter=plain,filter_bytes=4K");
    get_some(db, 20000, 0, KEYS);
    omen_stats s = stats_of(db);
    cr_assert_leq(s.memory_filters, s.filter_head_bytes > 4096 ? s.filter_head_bytes : 4096);
    uint8_t keys[64][9];
    omen_slice slices[64];
    omen_value values[64];
    omen_err errs[64];
    for (uint64_t round = 0; round < 200; round++) {
        for (uint64_t i = 0; i < 64; i++) {
            slices[i] = key_of(draw(KEYS), keys[i]);
            keys[i][7] = (uint8_t)(keys[i][7] + i % 2);
        }
        must(omen_multi_get(db, NULL, 64, slices, values, errs));
        for (uint64_t i = 0; i < 64; i++) {
            cr_assert_eq(errs[i], i % 2 == 0 ? OMEN_OK : OMEN_NOT_FOUND);
            omen_value_release(&values[i]);
        }
    }
    close_db(db);
}

Test(filter_memory, the_limit_is_live)
{
    static const char *const limits[] = {"4K", "1M", "24K", "12K", "8M", "4K", "40K"};
    omen_db *db = make_db("filter=plain,filter_bytes=1M");
    omen_stats s = stats_of(db);
    cr_assert_eq(s.filter_parts_loaded, s.filter_parts);
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        must(omen_set_option(db, "filter_bytes", limits[i]));
        s = stats_of(db);
        cr_assert_leq(s.memory_filters, s.filter_limit_bytes > s.filter_head_bytes
                                            ? s.filter_limit_bytes
                                            : s.filter_head_bytes);
        cr_assert_leq(s.cache_capacity + s.memory_filters, db->settings.split.cache_bytes);
        get_some(db, 8000, 0, KEYS);
        s = stats_of(db);
        if (s.filter_limit_bytes >= 1 << 20)
            cr_assert_eq(s.filter_parts_loaded, s.filter_parts, "all come again");
        cr_assert_leq(s.cache_capacity + s.memory_filters, db->settings.split.cache_bytes);
    }
    close_db(db);
}

/* An iterator keeps the tables of its time open; their filters count and go like others. */
Test(filter_memory, what_iterators_hold_stays_within_the_limit)
{
    enum { HELD = 4 };
    omen_db *db = make_db("filter=plain,filter_bytes=48K");
    omen_iter *held[HELD];
    for (int i = 0; i < HELD; i++) {
        get_some(db, 3000, 0, KEYS);
        must(omen_iter_open(db, NULL, &held[i]));
        omen_iter_seek_first(held[i]);
        fill(db, (uint64_t)i, 3);
        must(omen_compact(db, NULL, NULL));
        check_limit(db);
    }
    get_some(db, 10000, 0, KEYS / 8);
    uint64_t missed = stats_of(db).filter_parts_missed;
    get_some(db, 1000, 0, KEYS / 8);
    cr_assert_leq(stats_of(db).filter_parts_missed - missed, 100);
    for (int i = 0; i < HELD; i++) {
        uint64_t n = 0;
        for (; omen_iter_valid(held[i]); omen_iter_next(held[i]))
            n++;
        cr_assert_eq(n, KEYS);
        omen_iter_close(held[i]);
    }
    close_db(db);
}

Test(filter_memory, a_read_only_database_brings_in_what_it_wants)
{
    omen_db *db = make_db("filter=plain,filter_bytes=24K");
    must(omen_close(db));
    db = open_at(env, "/db", OMEN_OPEN_READ_ONLY, "filter_bytes=24K");
    get_some(db, 30000, KEYS / 2, KEYS / 2 + KEYS / 8);
    uint64_t missed = stats_of(db).filter_parts_missed;
    get_some(db, 2000, KEYS / 2, KEYS / 2 + KEYS / 8);
    cr_assert_leq(stats_of(db).filter_parts_missed - missed, 20);
    close_db(db);
}

/* What could not be read now must not cost a lookup its answer, nor its words. */
Test(filter_memory, a_part_that_fails_to_load_fails_no_lookup)
{
    omen_db *db = make_db("filter=plain,filter_bytes=4K,cache_bytes=4M");
    for (uint64_t i = 0; i < KEYS; i++) /* blocks are in the cache now */
        get_one(db, i, true);
    must(omen_set_option(db, "filter_bytes", "1M"));
    uint8_t key[9];
    omen_value v;
    cr_assert_eq(omen_set_option(db, "no_such_option", "1"), OMEN_INVALID);
    char words[512];
    snprintf(words, sizeof(words), "%s", omen_last_error());
    omi_sim_fail(env, OMI_FAULT_READ, 1, true);
    for (uint64_t i = 0; i < 3000; i++) {
        omen_err err = omen_get(db, NULL, key_of(draw(KEYS), key), &v);
        if (err == OMEN_OK) {
            omen_value_release(&v);
            cr_assert_str_eq(omen_last_error(), words);
        } else {
            cr_assert_eq(err, OMEN_IO);
            cr_assert_eq(omen_set_option(db, "no_such_option", "1"), OMEN_INVALID);
        }
    }
    cr_assert_gt(omi_sim_faults(env), 20);
    omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
    get_some(db, 40000, 0, KEYS);
    omen_stats s = stats_of(db);
    cr_assert_eq(s.filter_parts_loaded, s.filter_parts, "%lu of %lu", s.filter_parts_loaded,
                 s.filter_parts);
    close_db(db);
}

/* ---- with threads ---------------------------------------------------------------------------- */

Test(filter_memory, the_upkeep_thread_brings_in_what_is_wanted)
{
    char path[64] = "/tmp/omendb-filters-XXXXXX";
    cr_assert_not_null(mkdtemp(path));
    draws = seed_of();
    omen_db *db = open_at(omi_env_posix(OMEN_IO_ENGINE_AUTO), path, 0,
                          "filter=plain,filter_bytes=24K,sync_interval_ms=60000");
    fill(db, 0, 1);
    must(omen_compact(db, NULL, NULL));
    must(omen_wait_idle(db));
    check_limit(db);
    uint64_t missed = 1, syncs = stats_of(db).log_syncs;
    for (int i = 0; i < 100 && missed != 0; i++) {
        uint64_t before = stats_of(db).filter_parts_missed;
        get_some(db, 1000, 0, KEYS / 6);
        missed = stats_of(db).filter_parts_missed - before;
        if (missed != 0)
            usleep(50000);
    }
    cr_assert_eq(missed, 0);
    cr_assert_eq(stats_of(db).log_syncs, syncs, "the interval of syncs is its own");
    must(omen_close(db));
    must(omen_destroy(path));
}

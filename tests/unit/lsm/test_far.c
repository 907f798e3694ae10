/* A database whose last level's filters and models are far: the same answers, in the right place, and what
 * is asked most comes near. */
#include "io/env_sim.h"
#include "lsm/far.h"
#include "lsm/far_move.h"
#include "lsm/table_open.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(far, .timeout = 120);

enum { KEYS = 40000 };

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

static omen_db *open_with(struct omi_env *env, const char *options)
{
    omen_db *db;
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 128u << 10,
                      .target_file_bytes = 128u << 10,
                      .block_bytes = 1024,
                      .size_ratio = 3,
                      .runs_upper = 3};
    must(omen_options_from_string(options, &o));
    must(omi_db_open(env, "/db", &o, &db));
    omi_sample_set_every(db->sample, 0); /* every lookup */
    return db;
}

static omen_slice key_of(uint64_t i, char out[static 24])
{
    int n = snprintf(out, 24, "key%013lu", i * 10);
    return omi_slice(out, (size_t)n);
}

static void put_one(omen_db *db, uint64_t i, uint64_t value)
{
    char key[24];
    must(omen_put(db, NULL, key_of(i, key), omi_slice(&value, sizeof(value))));
}

/* What was born near and has come to the last level without a merge has moved, too. */
static omen_db *make_db(struct omi_env *env, const char *options)
{
    draws = seed_of();
    omen_db *db = open_with(env, options);
    for (uint64_t i = 0; i < KEYS; i++)
        put_one(db, i, i);
    must(omen_compact(db, NULL, NULL));
    uint64_t near_model_bytes = db->settings.near_model_bytes;
    db->settings.near_model_bytes = 0; /* none stays for want of others */
    if (db->tenv.far)
        omi_far_tick(db);
    db->settings.near_model_bytes = near_model_bytes;
    return db;
}

static void close_db(omen_db *db)
{
    cr_assert_eq(omen_close(db), OMEN_OK, "%s", omen_last_error());
}

static omen_stats stats_of(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    must(omen_get_stats(db, &s));
    return s;
}

static void verify(omen_db *db)
{
    omen_verify_report r = {.struct_bytes = sizeof(r)};
    must(omen_verify(db, &r, NULL, NULL));
}

static void get_one(omen_db *db, uint64_t i, bool there)
{
    char key[24];
    omen_slice k = key_of(i, key);
    if (!there)
        key[k.size - 1]++;
    omen_value v;
    omen_err err = omen_get(db, NULL, k, &v);
    cr_assert_eq(err, there ? OMEN_OK : OMEN_NOT_FOUND, "key %lu: %s %s", i, omen_err_name(err),
                 omen_last_error());
    if (err == OMEN_OK)
        cr_assert(omi_bytes_equal(v.data, v.size, &i, sizeof(i)));
    omen_value_release(&v);
}

static void get_all(omen_db *db, uint64_t step)
{
    for (uint64_t i = 0; i < KEYS; i += step) {
        get_one(db, i, true);
        get_one(db, i, false);
    }
}

/* ---- tables ---------------------------------------------------------------------------------- */

enum { TABLES_MAX = 200 };
struct tables {
    omen_table_info at[TABLES_MAX];
    uint32_t count, last_level;
};

static void table_note(void *ctx, const omen_table_info *info)
{
    struct tables *t = ctx;
    cr_assert_lt(t->count, TABLES_MAX);
    t->at[t->count++] = *info;
    t->last_level = info->level > t->last_level ? info->level : t->last_level;
}

static struct tables *tables_of(omen_db *db)
{
    static struct tables t;
    t = (struct tables){0};
    must(omen_list_tables(db, table_note, &t));
    return &t;
}

/* The i-th table of the last run. */
static struct omi_table *table_at(omen_db *db, uint32_t i)
{
    const struct omi_version *v = db->view->version;
    const struct omi_run_view *run = &v->runs[v->run_count - 1];
    cr_assert_lt(i, run->table_count);
    return run->tables[i];
}

static uint64_t far_bytes_of(const struct omi_table *t)
{
    omen_table_info info = {.struct_bytes = sizeof(info)};
    omi_stats_table_far(t, &info);
    return info.far_bytes;
}

static uint64_t movable_of(const struct omi_table *t)
{
    omen_table_info info = {.struct_bytes = sizeof(info)};
    omi_stats_table_far(t, &info);
    return info.movable_bytes;
}

/* Asks for keys of the table, count times. */
static void ask_table(omen_db *db, uint32_t i, uint64_t count)
{
    const struct omi_table_props *p = omi_table_props(table_at(db, i));
    char low[24] = {0}, high[24] = {0};
    memcpy(low, p->smallest.data, p->smallest.size);
    memcpy(high, p->largest.data, p->largest.size);
    uint64_t from = strtoull(low + 3, NULL, 10) / 10, to = strtoull(high + 3, NULL, 10) / 10;
    for (uint64_t n = 0; n < count; n++)
        get_one(db, from + n % (to - from), true);
}

/* ---- the choice -------------------------------------------------------------------------------- */

Test(far, what_is_asked_most_a_byte_is_chosen_as_far_as_the_bytes_go)
{
    struct omi_far_choice c[] = {{.bytes = 100, .heat = 10, .index = 0},
                                 {.bytes = 10, .heat = 5, .index = 1},
                                 {.bytes = 100, .heat = 0, .index = 2},
                                 {.bytes = 50, .heat = 20, .index = 3}};
    omi_far_choose(c, 4, 60);
    cr_assert_eq(c[0].index, 1);
    cr_assert_eq(c[1].index, 3);
    cr_assert(c[0].near && c[1].near && !c[2].near && !c[3].near);
    omi_far_choose(c, 4, 1000);
    for (int i = 0; i < 4; i++)
        cr_assert_eq(c[i].near, c[i].heat != 0, "without heat nothing moves");
    omi_far_choose(c, 4, 0);
    for (int i = 0; i < 4; i++)
        cr_assert(!c[i].near);
    omi_far_choose(c, 0, 10);
}

Test(far, one_that_is_near_stays_against_one_up_to_twice_as_warm)
{
    for (uint32_t rival = 0; rival < 60; rival++) {
        struct omi_far_choice c[] = {{.bytes = 100, .heat = 20, .is_near = true, .index = 0},
                                     {.bytes = 100, .heat = rival, .index = 1}};
        omi_far_choose(c, 2, 100);
        cr_assert_eq(c[0].index, rival > 2 * 20 + OMI_FAR_STAY_HEAT, "a rival of %u", rival);
        cr_assert(c[0].near && !c[1].near);
    }
    /* Nobody's heat moves nobody. */
    struct omi_far_choice c[] = {{.bytes = 100, .is_near = true, .index = 0},
                                 {.bytes = 100, .heat = OMI_FAR_STAY_HEAT, .index = 1}};
    omi_far_choose(c, 2, 100);
    cr_assert_eq(c[0].index, 0);
}

/* ---- placement ------------------------------------------------------------------------------- */

Test(far, the_last_level_is_born_far_and_what_is_above_near)
{
    struct omi_env *env = omi_sim_create(seed_of());
    omen_db *db = make_db(env, "far=heap");
    for (int reopened = 0; reopened < 2; reopened++) {
        for (uint64_t i = 0; i < KEYS; i += 9)
            put_one(db, i, i);
        must(omen_flush(db));
        struct tables *t = tables_of(db);
        uint32_t far = 0, near = 0;
        cr_assert_geq(t->last_level, 2);
        for (uint32_t i = 0; i < t->count; i++) {
            bool last = t->at[i].level == t->last_level;
            cr_assert_eq(t->at[i].far, last, "table of level %u", t->at[i].level);
            cr_assert_eq(t->at[i].far_bytes, last ? t->at[i].movable_bytes : 0);
            cr_assert_gt(t->at[i].movable_bytes, 0);
            cr_assert_gt(t->at[i].near_bytes, 0, "the head and what is searched are near");
            *(last ? &far : &near) += 1;
        }
        cr_assert(far > 3 && near > 0, "%u far, %u near", far, near);
        omen_stats s = stats_of(db);
        cr_assert_eq(s.far, OMEN_FAR_HEAP);
        for (int k = 0; k < 2; k++) {
            cr_assert_gt(s.far_got[k][1], 0);
            cr_assert_gt(s.far_got[k][0], 0);
            cr_assert_eq(s.far_wanted[k][1], s.far_got[k][1]);
            cr_assert_eq(s.far_refused[k], 0);
        }
        get_all(db, 7);
        s = stats_of(db);
        cr_assert(s.far_asked[0][1] > 0 && s.far_asked[1][1] > 0 && s.far_asked[0][0] > 0);
        close_db(db);
        if (reopened == 0)
            db = open_with(env, "far=heap");
    }
    omi_sim_destroy(env);
}

Test(far, far_bytes_are_not_charged_and_the_cache_gets_them)
{
    struct omi_env *env = omi_sim_create(seed_of()), *other = omi_sim_create(seed_of());
    omen_db *far = make_db(env, "far=heap,filter_bits=20"),
            *near = make_db(other, "far=none,filter_bits=20");
    omen_stats f = stats_of(far), n = stats_of(near);
    cr_assert_eq(n.far, OMEN_FAR_NONE);
    cr_assert_str_eq(n.far_why, "far=none");
    uint64_t with = f.memory_filters + f.memory_models,
             without = n.memory_filters + n.memory_models;
    cr_assert_lt(with, without / 3, "%lu of %lu bytes stay near", with, without);
    cr_assert_geq(f.cache_capacity + 1000, n.cache_capacity + (without - with));
    close_db(far);
    close_db(near);
    omi_sim_destroy(env);
    omi_sim_destroy(other);
}

Test(far, where_there_is_no_room_it_is_near_and_counted)
{
    struct omi_env *env = omi_sim_create(seed_of());
    omen_db *db = make_db(env, "far=heap,far_bytes=64K,filter_bits=20");
    omen_stats s = stats_of(db);
    cr_assert_leq(s.far_used_bytes, 64u << 10);
    cr_assert_gt(s.far_refused[0] + s.far_refused[1], 0);
    cr_assert_neq(s.far_why[0], 0);
    cr_assert_gt(s.far_wanted[0][1], s.far_got[0][1]);
    get_all(db, 3);
    close_db(db);
    db = open_with(env, "far=node:63");
    s = stats_of(db);
    cr_assert_eq(s.far, OMEN_FAR_NONE);
    cr_assert_neq(s.far_why[0], 0);
    cr_assert_eq(s.far_used_bytes, 0);
    get_all(db, 3);
    close_db(db);
    omi_sim_destroy(env);
}

/* ---- the same answers -------------------------------------------------------------------------- */

static void both_get(omen_db *a, omen_db *b, omen_slice key)
{
    omen_value x, y;
    omen_err e = omen_get(a, NULL, key, &x), f = omen_get(b, NULL, key, &y);
    cr_assert_eq(e, f, "%s and %s", omen_err_name(e), omen_err_name(f));
    if (e == OMEN_OK)
        cr_assert(omi_bytes_equal(x.data, x.size, y.data, y.size));
    omen_value_release(&x);
    omen_value_release(&y);
}

static void both_multi_get(omen_db *a, omen_db *b)
{
    enum { N = 40 };
    char text[N][24];
    omen_slice keys[N];
    omen_value x[N], y[N];
    omen_err e[N], f[N];
    for (int i = 0; i < N; i++) {
        keys[i] = key_of(draw(KEYS), text[i]);
        text[i][keys[i].size - 1] += (char)draw(2);
    }
    must(omen_multi_get(a, NULL, N, keys, x, e));
    must(omen_multi_get(b, NULL, N, keys, y, f));
    for (int i = 0; i < N; i++) {
        cr_assert_eq(e[i], f[i]);
        if (e[i] == OMEN_OK)
            cr_assert(omi_bytes_equal(x[i].data, x[i].size, y[i].data, y[i].size));
        omen_value_release(&x[i]);
        omen_value_release(&y[i]);
    }
}

static void both_scan(omen_db *a, omen_db *b)
{
    char text[24];
    omen_iter *x, *y;
    omen_slice from = key_of(draw(KEYS), text);
    must(omen_iter_open(a, NULL, &x));
    must(omen_iter_open(b, NULL, &y));
    omen_iter_seek(x, from);
    omen_iter_seek(y, from);
    for (int i = 0; i < 30 && omen_iter_valid(x); i++) {
        cr_assert(omen_iter_valid(y));
        omen_slice k = omen_iter_key(x), l = omen_iter_key(y);
        cr_assert(omi_bytes_equal(k.data, k.size, l.data, l.size));
        omen_iter_next(x);
        omen_iter_next(y);
    }
    cr_assert_eq(omen_iter_valid(x), omen_iter_valid(y));
    must(omen_iter_status(x));
    must(omen_iter_status(y));
    omen_iter_close(x);
    omen_iter_close(y);
}

static void same_answers(const char *far_options)
{
    struct omi_env *env = omi_sim_create(seed_of()), *other = omi_sim_create(seed_of());
    omen_db *far = open_with(env, far_options), *near = open_with(other, "far=none");
    far->far.tick_lookups = 50;
    far->far.move_bytes = 20000;
    draws = seed_of();
    for (uint64_t n = 0; n < 60000; n++) {
        char key[24];
        omen_slice k = key_of(draw(KEYS), key);
        uint64_t what = draw(20);
        if (what < 12) {
            must(omen_put(far, NULL, k, omi_slice(&n, sizeof(n))));
            must(omen_put(near, NULL, k, omi_slice(&n, sizeof(n))));
        } else if (what < 14) {
            must(omen_delete(far, NULL, k));
            must(omen_delete(near, NULL, k));
        } else if (what < 19) {
            key[k.size - 1] += (char)draw(2);
            both_get(far, near, k);
        } else if (draw(4) == 0) {
            both_scan(far, near);
        } else {
            both_multi_get(far, near);
        }
    }
    omen_stats s = stats_of(far);
    cr_assert(s.far_asked[0][1] > 1000 && s.far_asked[1][1] > 1000, "%lu filters, %lu models",
              s.far_asked[0][1], s.far_asked[1][1]);
    cr_assert_gt(s.far_ticks, 10);
    cr_assert_gt(s.far_moved_tables[0], 0);
    verify(far);
    close_db(far);
    close_db(near);
    omi_sim_destroy(env);
    omi_sim_destroy(other);
}

Test(far, a_random_workload_gets_the_same_answers_with_the_tier_on_and_off)
{
    same_answers("far=heap,near_model_bytes=12K");
    same_answers("far=delay:200,near_model_bytes=10K,filter=ribbon");
    same_answers("far=heap,far_bytes=64K,near_model_bytes=8K,filter_bytes=24K");
}

/* ---- lines ------------------------------------------------------------------------------------- */

Test(far, a_lookup_reads_one_far_line_of_the_filter_and_one_of_the_model_both_fetched_ahead)
{
    struct omi_env *env = omi_sim_create(seed_of());
    omen_db *db = make_db(env, "far=delay:1,near_model_bytes=none,filter_bits=20");
    db->far.tick_lookups = UINT64_MAX;
    get_all(db,
            1); /* blocks come into the cache, for those whose lines are not asked again below */
    omen_stats before = stats_of(db);
    get_all(db, 5);
    omen_stats s = stats_of(db);
    uint64_t found = KEYS / 5, all = 2 * found;
    uint64_t filters = s.far_asked[0][1] - before.far_asked[0][1],
             models = s.far_asked[1][1] - before.far_asked[1][1];
    cr_assert(filters > found && filters <= all, "%lu filters for %lu lookups", filters, all);
    /* Blocks that are not cached are located once more, on the same line. */
    cr_assert(models >= found && models <= 3 * found, "%lu models", models);
    cr_assert_leq(s.far_lines - before.far_lines, filters + models);
    cr_assert_gt(s.far_prefetches, 0);
    cr_assert_geq(100 * s.far_prefetches, 98 * s.far_lines, "%lu of %lu lines were fetched ahead",
                  s.far_prefetches, s.far_lines);
    close_db(db);
    omi_sim_destroy(env);
}

/* ---- promotion ------------------------------------------------------------------------------- */

Test(far, what_is_asked_comes_near_and_goes_back_when_others_are_asked_more)
{
    struct omi_env *env = omi_sim_create(seed_of());
    omen_db *db = make_db(env, "far=heap,near_model_bytes=4K");
    uint64_t one = movable_of(table_at(db, 1)), other = movable_of(table_at(db, 2));
    cr_assert(one < 4096 && other < 4096 && one + other > 4096, "%lu and %lu", one, other);
    uint64_t gone = stats_of(db).far_moved_tables[1];
    db->far.tick_lookups = UINT64_MAX;
    omi_far_tick(db);
    cr_assert_eq(stats_of(db).far_moved_tables[0], 0, "nothing was asked");
    ask_table(db, 1, 400);
    omi_far_tick(db);
    cr_assert_eq(far_bytes_of(table_at(db, 1)), 0, "it is near");
    omen_stats s = stats_of(db);
    cr_assert_eq(s.far_moved_tables[0], 1);
    cr_assert_eq(s.far_promoted_bytes, one);
    /* Others are asked somewhat more: not for that. */
    ask_table(db, 1, 100);
    ask_table(db, 2, 300);
    omi_far_tick(db); /* heat of table 1: 200 + 100 */
    cr_assert_eq(far_bytes_of(table_at(db, 1)), 0);
    cr_assert_eq(far_bytes_of(table_at(db, 2)), other);
    /* And a lot more. */
    ask_table(db, 2, 1500);
    omi_far_tick(db);
    cr_assert_eq(far_bytes_of(table_at(db, 2)), 0);
    cr_assert_eq(far_bytes_of(table_at(db, 1)), one);
    s = stats_of(db);
    cr_assert_eq(s.far_moved_tables[1], gone + 1);
    cr_assert_eq(s.far_promoted_bytes, other);
    must(omen_set_option(db, "near_model_bytes", "none"));
    omi_far_tick(db);
    cr_assert_eq(stats_of(db).far_promoted_bytes, 0, "the option is live");
    cr_assert_eq(far_bytes_of(table_at(db, 2)), other);
    get_all(db, 11);
    close_db(db);
    omi_sim_destroy(env);
}

Test(far, a_tick_moves_no_more_than_its_bytes)
{
    struct omi_env *env = omi_sim_create(seed_of());
    omen_db *db = make_db(env, "far=heap,near_model_bytes=1M");
    uint64_t most = 0, all = 0, moved = 0, ticks = 0;
    for (uint32_t i = 0; i < 4; i++) {
        most = movable_of(table_at(db, i)) > most ? movable_of(table_at(db, i)) : most;
        all += movable_of(table_at(db, i));
    }
    db->far.tick_lookups = UINT64_MAX;
    db->far.move_bytes = 1000;
    for (; moved < all && ticks < 100; ticks++) {
        for (uint32_t i = 0; i < 4; i++)
            ask_table(db, i, 50);
        uint64_t before = stats_of(db).far_moved_bytes[0];
        omi_far_tick(db);
        moved = stats_of(db).far_moved_bytes[0];
        cr_assert_leq(moved - before, 1000 + most, "one extent may go past it");
    }
    cr_assert_geq(ticks, 4);
    cr_assert_geq(moved, all);
    close_db(db);
    omi_sim_destroy(env);
}

Test(far, without_an_upkeep_thread_ticks_are_counted_in_lookups)
{
    struct omi_env *env = omi_sim_create(seed_of());
    omen_db *db = make_db(env, "far=heap");
    db->far.tick_lookups = 1000;
    uint64_t before = stats_of(db).gets, ticks = stats_of(db).far_ticks;
    get_all(db, 8);
    uint64_t gets = stats_of(db).gets - before;
    ticks = stats_of(db).far_ticks - ticks;
    cr_assert(ticks >= gets / 1000 - 1 && ticks <= gets / 1000 + 1, "%lu ticks", ticks);
    close_db(db);
    omi_sim_destroy(env);
}

Test(far, outputs_inherit_the_mean_heat_of_what_they_replace)
{
    struct omi_env *env = omi_sim_create(seed_of());
    omen_db *db = make_db(env, "far=heap,near_model_bytes=none");
    ask_table(db, 0, 640);
    uint32_t hot = atomic_load(&table_at(db, 0)->heat), cold = atomic_load(&table_at(db, 3)->heat);
    cr_assert_geq(hot, 640);
    cr_assert_eq(cold, 0);
    for (uint64_t i = 0; i < KEYS; i += 3)
        put_one(db, i, i);
    must(omen_compact(db, NULL, NULL));
    uint32_t first = atomic_load(&table_at(db, 0)->heat);
    const struct omi_version *v = db->view->version;
    uint32_t last = atomic_load(&table_at(db, v->runs[v->run_count - 1].table_count - 1)->heat);
    cr_assert(first > 20 && first <= hot, "%u after %u", first, hot);
    cr_assert_lt(last, first);
    close_db(db);
    omi_sim_destroy(env);
}

/* ---- damage ------------------------------------------------------------------------------------ */

/* As the guard does it: the flag, then other bytes. */
static void hurt(struct omi_extent *e, uint64_t *count)
{
    if (e == NULL || omi_extent_class(e) != OMI_EXTENT_FAR)
        return;
    atomic_store(&e->damaged, 1);
    for (size_t i = 0; i < omi_extent_size(e); i++)
        omi_extent_bytes(e)[i] = (uint8_t)draw(3) == 0 ? 0xff : (uint8_t)draw(256);
    ++*count;
}

static uint64_t hurt_all(omen_db *db, bool filters, bool models)
{
    uint64_t count = 0;
    const struct omi_version *v = db->view->version;
    for (uint32_t r = 0; r < v->run_count; r++)
        for (uint32_t i = 0; i < v->runs[r].table_count; i++) {
            struct omi_table *t = v->runs[r].tables[i];
            for (uint32_t p = 0; filters && p < t->filter.part_count; p++)
                hurt(atomic_load(&t->filter.parts[p].extent), &count);
            if (models)
                hurt(atomic_load(&t->lines), &count);
        }
    return count;
}

static void check_damage(const char *options, bool filters, bool models)
{
    struct omi_env *env = omi_sim_create(seed_of());
    omen_db *db = make_db(env, options);
    uint64_t count = hurt_all(db, filters, models);
    cr_assert_gt(count, 3);
    get_one(db, 5, true); /* calls; without a thread that looks after it, this one repairs all */
    get_one(db, 5, false);
    get_all(db, 5);
    omen_stats s = stats_of(db);
    cr_assert_eq(s.far_repaired, count, "%lu of %lu", s.far_repaired, count);
    cr_assert_eq(s.filter_parts_loaded, s.filter_parts);
    verify(db);
    count = hurt_all(db, filters, models);
    char text[24];
    omen_iter *it; /* one after the other, in the middle of a scan */
    must(omen_iter_open(db, NULL, &it));
    uint64_t n = 0;
    for (omen_iter_seek(it, key_of(0, text)); omen_iter_valid(it); omen_iter_next(it), n++)
        if (n % 4000 == 100)
            count += hurt_all(db, filters, models);
    must(omen_iter_status(it));
    cr_assert_eq(n, KEYS);
    omen_iter_close(it);
    must(omen_compact(db, NULL, NULL));
    get_all(db, 13);
    close_db(db);
    omi_sim_destroy(env);
}

Test(far, damaged_filters_say_maybe_and_come_back)
{
    check_damage("far=heap", true, false);
    check_damage("far=heap,filter=ribbon", true, false);
}

Test(far, damaged_models_are_read_from_the_file_and_come_back)
{
    check_damage("far=heap", false, true);
    check_damage("far=heap", true, true);
}

Test(far, a_damaged_model_that_the_file_does_not_give_back_fails_the_lookup_and_no_answer_is_wrong)
{
    struct omi_env *env = omi_sim_create(seed_of());
    omen_db *db = make_db(env, "far=heap,filter_bits=none");
    char key[24];
    omen_value v;
    cr_assert_gt(hurt_all(db, false, true), 3);
    omi_sim_fail(env, OMI_FAULT_READ, 1, true);
    for (uint64_t i = 0; i < KEYS; i += 997)
        cr_assert_eq(omen_get(db, NULL, key_of(i, key), &v), OMEN_IO);
    omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
    get_all(db, 31);
    close_db(db);
    omi_sim_destroy(env);
}

/* ---- options ----------------------------------------------------------------------------------- */

Test(far, the_option_takes_words_and_numbers_and_says_what_it_takes)
{
    omen_options o = {.struct_bytes = sizeof(o)};
    must(omen_options_from_string("far=node:3", &o));
    cr_assert(o.far == OMEN_FAR_NODE && o.far_value == 3);
    must(omen_options_from_string("far=delay:250,far_bytes=1G,near_model_bytes=none,far_guard=on",
                                  &o));
    cr_assert(o.far == OMEN_FAR_DELAY && o.far_value == 250 && o.far_bytes == 1u << 30);
    cr_assert(o.near_model_bytes == OMEN_NONE && (o.flags & OMEN_FAR_GUARD) != 0);
    must(omen_options_from_string("far=heap", &o));
    cr_assert(o.far == OMEN_FAR_HEAP && o.far_value == 0);
    static const char *const wrong[] = {"far=node",    "far=node:",    "far=node:64", "far=delay:x",
                                        "far=heap:1",  "far=delay:9G", "far=",        "far=cxl",
                                        "far=node:-1", "far_bytes=1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_eq(omen_options_from_string(wrong[i], &o), OMEN_INVALID, "%s", wrong[i]);
    o = (omen_options){.struct_bytes = sizeof(o), .far = OMEN_FAR_HEAP, .far_value = 1};
    omen_split split = {.struct_bytes = sizeof(split)};
    cr_assert_eq(omen_options_split(&o, &split), OMEN_INVALID);
    o = (omen_options){.struct_bytes = sizeof(o), .far = OMEN_FAR_DELAY + 1};
    cr_assert_eq(omen_options_split(&o, &split), OMEN_INVALID);
}

Test(far, the_environment_wins_over_auto_alone)
{
    struct omi_env *env = omi_sim_create(seed_of());
    setenv("OMENDB_FAR", "heap", 1);
    omen_db *db = open_with(env, "");
    cr_assert_eq(stats_of(db).far, OMEN_FAR_HEAP);
    close_db(db);
    db = open_with(env, "far=none");
    cr_assert_eq(stats_of(db).far, OMEN_FAR_NONE);
    close_db(db);
    setenv("OMENDB_FAR", "cxl", 1);
    omen_options o = {.struct_bytes = sizeof(o)};
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "OMENDB_FAR") != NULL, "%s", omen_last_error());
    unsetenv("OMENDB_FAR");
    omi_sim_destroy(env);
}

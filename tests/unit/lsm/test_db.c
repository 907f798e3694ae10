/* The public calls: what they refuse, and what they promise beside plain reads and writes. */
#include "io/env_sim.h"
#include "lsm/db.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(db, .timeout = 60);

static char root[64];

static void setup(void)
{
    strcpy(root, "/tmp/omendb-unit-XXXXXX");
    cr_assert(mkdtemp(root) != NULL);
}

static void teardown(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}

static const char *path(const char *name)
{
    static char full[2][200];
    static int turn;
    turn ^= 1;
    snprintf(full[turn], sizeof(full[0]), "%s/%s", root, name);
    return full[turn];
}

static omen_slice text(const char *s)
{
    return omi_slice(s, strlen(s));
}

static omen_db *open_db(const char *dir, const char *options)
{
    omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_CREATE_IF_MISSING};
    omen_db *db;
    cr_assert_eq(omen_options_from_string(options, &o), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omen_open(dir, &o, &db), OMEN_OK, "%s", omen_last_error());
    return db;
}

static void put(omen_db *db, const char *key, const char *value)
{
    cr_assert_eq(omen_put(db, NULL, text(key), text(value)), OMEN_OK, "%s", omen_last_error());
}

static void expect(omen_db *db, const char *key, const char *value)
{
    omen_value v;
    omen_err err = omen_get(db, NULL, text(key), &v);
    if (value == NULL) {
        cr_assert_eq(err, OMEN_NOT_FOUND);
        return;
    }
    cr_assert_eq(err, OMEN_OK, "%s: %s", key, omen_last_error());
    cr_assert(omi_bytes_equal(v.data, v.size, value, strlen(value)));
    omen_value_release(&v);
}

static void refuses(omen_err want, const char *dir, const omen_options *o, const char *words)
{
    omen_db *db;
    omen_err err = omen_open(dir, o, &db);
    cr_assert_eq(err, want, "%s: %s", omen_err_name(err), omen_last_error());
    cr_assert(strstr(omen_last_error(), words) != NULL, "\"%s\" lacks \"%s\"", omen_last_error(),
              words);
}

Test(db, open_refuses_what_is_not_a_database, .init = setup, .fini = teardown)
{
    omen_options o = {.struct_bytes = sizeof(o)};
    refuses(OMEN_NOT_FOUND, path("none"), &o, "none");
    o.flags = OMEN_CREATE_IF_MISSING;
    refuses(OMEN_NOT_FOUND, path("none/deeper"), &o, "above");
    cr_assert_eq(mkdir(path("other"), 0700), 0);
    FILE *f = fopen(path("other/letter.txt"), "w");
    cr_assert(f != NULL);
    fclose(f);
    refuses(OMEN_INVALID, path("other"), &o, "letter.txt");
    cr_assert_neq(access(path("other/LOCK"), F_OK), 0,
                  "nothing is written into a stranger's place");
    refuses(OMEN_INVALID, path("other/letter.txt"), &o, "letter.txt");
}

Test(db, open_refuses_bad_options_by_name)
{
    omen_options o = {.struct_bytes = sizeof(o), .block_bytes = 1 << 20};
    omen_db *db;
    cr_assert_eq(omen_open("/nowhere", &o, &db), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "block_bytes") != NULL);
    o = (omen_options){.struct_bytes = sizeof(o), .flags = 1u << 30};
    cr_assert_eq(omen_open("/nowhere", &o, &db), OMEN_UNSUPPORTED);
    o = (omen_options){.struct_bytes = 0};
    cr_assert_eq(omen_open("/nowhere", &o, &db), OMEN_INVALID);
    o = (omen_options){.struct_bytes = sizeof(o)};
    cr_assert_eq(omen_options_from_string("memory_byte=5", &o), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "memory_bytes") != NULL, "%s", omen_last_error());
    cr_assert_eq(omen_options_from_string("goal=speed", &o), OMEN_INVALID);
    cr_assert_eq(omen_options_from_string("memory_bytes=64M, goal=reads runs_2=3", &o), OMEN_OK);
    cr_assert_eq(o.memory_bytes, 64u << 20);
    cr_assert_eq(o.goal, OMEN_GOAL_READS);
    cr_assert_eq(o.runs_level[1], 3);
}

/* The nth table's path, in the order of their numbers. */
static const char *table_path(const char *dir, int nth)
{
    char name[64];
    for (int number = 1; number < 100; number++) {
        snprintf(name, sizeof(name), "%s/%06d.sst", dir, number);
        if (access(path(name), F_OK) == 0 && nth-- == 0)
            return path(name);
    }
    cr_assert_fail("no such table");
    return NULL;
}

Test(db, a_table_under_another_ones_name_is_refused, .init = setup, .fini = teardown)
{
    omen_options o = {.struct_bytes = sizeof(o)};
    char older[200], newer[200], between[200];
    omen_db *db = open_db(path("a"), "");
    put(db, "k", "old");
    cr_assert_eq(omen_flush(db), OMEN_OK);
    put(db, "k", "new");
    cr_assert_eq(omen_flush(db), OMEN_OK);
    cr_assert_eq(omen_close(db), OMEN_OK);
    snprintf(older, sizeof(older), "%s", table_path("a", 0));
    snprintf(newer, sizeof(newer), "%s", table_path("a", 1));
    snprintf(between, sizeof(between), "%s", path("a/between"));
    cr_assert_eq(rename(older, between), 0);
    cr_assert_eq(rename(newer, older), 0);
    cr_assert_eq(rename(between, newer), 0);
    refuses(OMEN_CORRUPT, path("a"), &o, "another table");
    cr_assert_eq(omen_repair(path("a"), &o, 0, NULL, NULL, NULL), OMEN_OK);
    cr_assert_eq(omen_open(path("a"), &o, &db), OMEN_OK, "%s", omen_last_error());
    expect(db, "k", "new");
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(db, the_lock_names_its_holder, .init = setup, .fini = teardown)
{
    omen_db *db = open_db(path("a"), ""), *second;
    omen_options o = {.struct_bytes = sizeof(o)};
    char pid[24];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    cr_assert_eq(omen_open(path("a"), &o, &second), OMEN_BUSY);
    cr_assert(strstr(omen_last_error(), pid) != NULL, "%s", omen_last_error());
    cr_assert_eq(omen_close(db), OMEN_OK);
    db = open_db(path("a"), "");
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(db, error_if_exists_and_another_comparator_are_refused, .init = setup, .fini = teardown)
{
    static const omen_comparator other = {"other.order", NULL, NULL};
    omen_db *db = open_db(path("a"), "");
    cr_assert_eq(omen_close(db), OMEN_OK);
    omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_ERROR_IF_EXISTS};
    refuses(OMEN_EXISTS, path("a"), &o, "already");
    omen_comparator c = other;
    c.compare = (int (*)(void *, omen_slice, omen_slice))(uintptr_t)strcmp;
    o = (omen_options){.struct_bytes = sizeof(o), .comparator = &c};
    refuses(OMEN_INVALID, path("a"), &o, "other.order");
}

Test(db, limits_are_told_and_nothing_is_lost, .init = setup, .fini = teardown)
{
    omen_db *db = open_db(path("a"), "");
    char *big = calloc(1, OMEN_KEY_BYTES_MAX + 1u);
    put(db, "before", "1");
    cr_assert_eq(omen_put(db, NULL, omi_slice(big, OMEN_KEY_BYTES_MAX), text("v")), OMEN_OK);
    cr_assert_eq(omen_put(db, NULL, omi_slice(big, OMEN_KEY_BYTES_MAX + 1u), text("v")),
                 OMEN_INVALID);
    cr_assert_eq(omen_put(db, NULL, text("k"), omi_slice(big, OMEN_VALUE_BYTES_MAX + 1u)),
                 OMEN_INVALID);
    cr_assert_eq(omen_put(db, NULL, omi_slice(NULL, 0), omi_slice(NULL, 0)), OMEN_OK);
    cr_assert_eq(omen_flush(db), OMEN_OK);
    omen_value v;
    cr_assert_eq(omen_get(db, NULL, omi_slice(big, OMEN_KEY_BYTES_MAX), &v), OMEN_OK);
    omen_value_release(&v);
    cr_assert_eq(omen_get(db, NULL, omi_slice(NULL, 0), &v), OMEN_OK);
    cr_assert_eq(v.size, 0);
    omen_value_release(&v);
    expect(db, "before", "1");
    free(big);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(db, close_waits_for_iterators_snapshots_and_values, .init = setup, .fini = teardown)
{
    omen_db *db = open_db(path("a"), "");
    omen_iter *it;
    omen_snapshot *s;
    omen_value v;
    put(db, "k", "v");
    cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
    cr_assert_eq(omen_close(db), OMEN_BUSY);
    omen_iter_close(it);
    cr_assert_eq(omen_snapshot_create(db, &s), OMEN_OK);
    cr_assert_eq(omen_close(db), OMEN_BUSY);
    omen_snapshot_release(s);
    cr_assert_eq(omen_flush(db), OMEN_OK);
    cr_assert_eq(omen_get(db, NULL, text("k"), &v), OMEN_OK);
    cr_assert_eq(omen_close(db), OMEN_BUSY, "a pinned value");
    omen_value_release(&v);
    put(db, "k", "still works");
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(db, a_read_only_handle_sees_a_live_writers_state, .init = setup, .fini = teardown)
{
    omen_db *writer = open_db(path("a"), "memtable_bytes=64K"), *reader;
    omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_OPEN_READ_ONLY};
    char key[16];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "key%05d", i);
        put(writer, key, "value");
    }
    cr_assert_eq(omen_open(path("a"), &o, &reader), OMEN_OK, "%s", omen_last_error());
    expect(reader, "key00000", "value");
    expect(reader, "key02999", "value");
    cr_assert_eq(omen_put(reader, NULL, text("x"), text("y")), OMEN_READ_ONLY);
    put(writer, "later", "1");
    expect(reader, "later", NULL);
    cr_assert_eq(omen_close(reader), OMEN_OK);
    cr_assert_eq(omen_close(writer), OMEN_OK);
}

Test(db, a_checkpoint_is_a_database_of_its_own, .init = setup, .fini = teardown)
{
    omen_db *db = open_db(path("a"), "memtable_bytes=64K"), *copy;
    char key[16];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "key%05d", i);
        put(db, key, "one");
    }
    cr_assert_eq(omen_checkpoint(db, path("b")), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omen_checkpoint(db, path("b")), OMEN_EXISTS);
    put(db, "key00001", "two");
    cr_assert_eq(omen_compact(db, NULL, NULL), OMEN_OK);
    copy = open_db(path("b"), "");
    expect(copy, "key00001", "one");
    expect(copy, "key02999", "one");
    put(copy, "own", "1");
    expect(db, "own", NULL);
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    cr_assert_eq(omen_verify(copy, &report, NULL, NULL), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omen_close(copy), OMEN_OK);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(db, options_are_kept_and_live_ones_change, .init = setup, .fini = teardown)
{
    omen_db *db = open_db(path("a"), "size_ratio=5,memory_bytes=32M");
    cr_assert_eq(omen_set_option(db, "runs_upper", "7"), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omen_set_option(db, "memory_bytes", "64M"), OMEN_UNSUPPORTED);
    cr_assert_eq(omen_set_option(db, "runs_uper", "7"), OMEN_INVALID);
    cr_assert_eq(omen_set_option(db, "size_ratio", "1"), OMEN_INVALID);
    cr_assert_eq(omen_close(db), OMEN_OK);
    db = open_db(path("a"), "");
    cr_assert_eq(db->settings.shape.size_ratio, 5);
    cr_assert_eq(db->settings.shape.runs_upper, 7);
    cr_assert_eq(db->settings.split.memory_bytes, 32u << 20);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(db, one_run_reads_exactly_one_block_a_get, .init = setup, .fini = teardown)
{
    omen_db *db = open_db(path("a"), "memtable_bytes=256K");
    char key[32];
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "user%d", i * 7919 % 20011);
        put(db, key, "a value of some bytes");
    }
    cr_assert_eq(omen_compact(db, NULL, NULL), OMEN_OK);
    omen_stats before = {.struct_bytes = sizeof(before)}, after = before;
    cr_assert_eq(omen_get_stats(db, &before), OMEN_OK);
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof(key), "user%d", i * 7919 % 20011);
        expect(db, key, "a value of some bytes");
    }
    cr_assert_eq(omen_get_stats(db, &after), OMEN_OK);
    cr_assert_eq(after.get_blocks - before.get_blocks, 20000);
    cr_assert_eq(after.gets - before.gets, 20000);
    cr_assert_gt(after.index_grid_hits - before.index_grid_hits, 10000, "the model answered %lu",
                 after.index_grid_hits - before.index_grid_hits);
    cr_assert_eq(after.index_explicit_files, 0);
    cr_assert_eq(after.index_certificate_failures, 0);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(db, sequential_inserts_are_hardly_rewritten, .init = setup, .fini = teardown)
{
    omen_db *db = open_db(path("a"), "memtable_bytes=256K,target_file_bytes=64K");
    char key[32];
    for (int i = 0; i < 40000; i++) {
        snprintf(key, sizeof(key), "%012d", i);
        put(db, key, "0123456789012345678901234567890123456789");
    }
    cr_assert_eq(omen_wait_idle(db), OMEN_OK);
    omen_stats s = {.struct_bytes = sizeof(s)};
    cr_assert_eq(omen_get_stats(db, &s), OMEN_OK);
    cr_assert_gt(s.flushes, 8);
    cr_assert_lt(s.merge_written_bytes * 5, s.flush_bytes, "%lu rewritten of %lu",
                 s.merge_written_bytes, s.flush_bytes);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

/* ---- faults, on the simulated env ------------------------------------------------------------ */

static omen_err open_sim(struct omi_env *env, omen_db **db)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memtable_bytes = 64 << 10,
                      .target_file_bytes = 64 << 10};
    return omi_db_open(env, "/db", &o, db);
}

Test(db, a_full_disk_is_told_and_reads_go_on)
{
    struct omi_env *env = omi_sim_create(3);
    omen_db *db;
    char key[16];
    int written = 0;
    cr_assert_eq(open_sim(env, &db), OMEN_OK);
    omi_sim_capacity(env, omi_sim_used(env) + (300 << 10));
    omen_err err = OMEN_OK;
    for (; written < 100000 && err == OMEN_OK; written++) {
        snprintf(key, sizeof(key), "key%06d", written);
        err = omen_put(db, NULL, text(key), text("a value that takes some space on the disk"));
    }
    cr_assert_eq(err, OMEN_FULL, "%s: %s", omen_err_name(err), omen_last_error());
    expect(db, "key000000", "a value that takes some space on the disk");
    err = omen_close(db);
    (void)err;
    omi_sim_capacity(env, UINT64_MAX);
    cr_assert_eq(open_sim(env, &db), OMEN_OK, "%s", omen_last_error());
    for (int i = 0; i < written - 1; i += 97) {
        snprintf(key, sizeof(key), "key%06d", i);
        expect(db, key, "a value that takes some space on the disk");
    }
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

/* Fills until FULL; returns how many are there. */
static int fill_up(omen_db *db, int from)
{
    char key[16];
    omen_err err = OMEN_OK;
    int n = from;
    for (; err == OMEN_OK && n < from + 100000; n++) {
        snprintf(key, sizeof(key), "key%06d", n);
        err = omen_put(db, NULL, text(key), text("a value that takes some space on the disk"));
    }
    cr_assert_eq(err, OMEN_FULL, "%s: %s", omen_err_name(err), omen_last_error());
    return n - 1;
}

static void expect_filled(omen_db *db, int count)
{
    char key[16];
    for (int i = 0; i < count; i++) {
        snprintf(key, sizeof(key), "key%06d", i);
        expect(db, key, "a value that takes some space on the disk");
    }
    snprintf(key, sizeof(key), "key%06d", count);
    expect(db, key, NULL); /* what was refused is not there */
}

/* With the default reserve, and with none: then every file meets the full disk in its turn. */
static void full_and_back(const char *options)
{
    struct omi_env *env = omi_sim_create(3);
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK};
    omen_db *db;
    int written = 0;
    cr_assert_eq(omen_options_from_string(options, &o), OMEN_OK);
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK);
    for (int round = 0; round < 30; round++) {
        /* An odd rest each time, so that the end falls into every kind of file. */
        omi_sim_capacity(env, omi_sim_used(env) + (400u << 10) + (unsigned)round * 7777);
        written = fill_up(db, written);
        expect_filled(db, written);
        struct omi_env *left = omi_sim_crash(env, OMI_CRASH_KEEP_ALL, 1);
        omi_sim_capacity(left, UINT64_MAX);
        omen_db *after;
        cr_assert_eq(omi_db_open(left, "/db", &o, &after), OMEN_OK, "%s", omen_last_error());
        expect_filled(after, written);
        cr_assert_eq(omen_close(after), OMEN_OK);
        omi_sim_destroy(left);
        omi_sim_capacity(env, UINT64_MAX);
        env->ops->sleep_us(env, 1000000);
    }
    put(db, "and", "on");
    cr_assert_eq(omen_flush(db), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omen_close(db), OMEN_OK);
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK);
    expect_filled(db, written);
    expect(db, "and", "on");
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

Test(db, writes_come_back_by_themselves_after_a_full_disk)
{
    full_and_back("memtable_bytes=64K,target_file_bytes=64K");
}

Test(db, without_a_reserve_a_full_disk_loses_nothing_either)
{
    full_and_back("memtable_bytes=64K,target_file_bytes=64K,reserve_bytes=none");
}

Test(db, writes_stop_at_the_reserve_and_flushes_have_room)
{
    struct omi_env *env = omi_sim_create(3);
    omen_db *db;
    omen_stats s = {.struct_bytes = sizeof(s)};
    omi_sim_capacity(env, omi_sim_used(env) + (64u << 20));
    cr_assert_eq(open_sim(env, &db), OMEN_OK);
    cr_assert_eq(omen_get_stats(db, &s), OMEN_OK);
    cr_assert_eq(s.disk_reserve_bytes, 128u << 10);
    omi_sim_capacity(env, omi_sim_used(env) + (600u << 10));
    int written = fill_up(db, 0);
    cr_assert_eq(omen_get_stats(db, &s), OMEN_OK);
    cr_assert_eq(s.disk_low, 1);
    cr_assert(strstr(omen_last_error(), "262144") != NULL, "%s", omen_last_error());
    cr_assert_eq(omen_flush(db), OMEN_OK, "what was taken can be flushed: %s", omen_last_error());
    expect_filled(db, written);
    omi_sim_capacity(env, omi_sim_used(env) + (200u << 10));
    env->ops->sleep_us(env, 1000000);
    cr_assert_eq(omen_put(db, NULL, text("k"), text("v")), OMEN_FULL, "not yet twice the reserve");
    omi_sim_capacity(env, omi_sim_used(env) + (300u << 10));
    cr_assert_eq(omen_put(db, NULL, text("k"), text("v")), OMEN_FULL, "not looked at each time");
    env->ops->sleep_us(env, 1000000);
    put(db, "k", "v");
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

Test(db, a_failed_sync_makes_it_read_only_and_loses_nothing_synced)
{
    struct omi_env *env = omi_sim_create(3);
    omen_db *db;
    omen_write_options sync = {.struct_bytes = sizeof(sync), .flags = OMEN_SYNC};
    cr_assert_eq(open_sim(env, &db), OMEN_OK);
    cr_assert_eq(omen_put(db, &sync, text("a"), text("1")), OMEN_OK);
    omi_sim_fail(env, OMI_FAULT_SYNC, 1, false);
    cr_assert_eq(omen_put(db, &sync, text("b"), text("2")), OMEN_UNKNOWN);
    cr_assert_eq(omen_put(db, NULL, text("c"), text("3")), OMEN_READ_ONLY);
    expect(db, "a", "1");
    struct omi_env *after = omi_sim_crash(env, OMI_CRASH_STRICT, 1);
    omen_err closed = omen_close(db);
    (void)closed;
    omi_sim_destroy(env);
    cr_assert_eq(open_sim(after, &db), OMEN_OK, "%s", omen_last_error());
    expect(db, "a", "1");
    expect(db, "c", NULL);
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(after);
}

static omen_err first_log(void *ctx, const struct omi_dir_entry *e)
{
    char *name = ctx;
    size_t n = strlen(e->name);
    if (name[0] == 0 && n > 4 && n < 64 && strcmp(e->name + n - 4, ".log") == 0)
        strcpy(name, e->name);
    return OMEN_OK;
}

/* Takes the last bytes off the first .log file of dir. */
static void cut_log(struct omi_env *env, const char *dir, uint64_t bytes)
{
    struct omi_dir *d;
    struct omi_file *file;
    uint64_t size;
    char name[64] = "";
    cr_assert_eq(omi_dir_open(env, dir, false, &d), OMEN_OK);
    cr_assert_eq(omi_dir_list(d, first_log, name), OMEN_OK);
    cr_assert_eq(omi_file_open(d, name, OMI_OPEN_WRITE, 0, &file), OMEN_OK);
    cr_assert_eq(omi_file_size(file, &size), OMEN_OK);
    cr_assert_eq(env->ops->file_truncate(file, size - bytes), OMEN_OK);
    cr_assert_eq(omi_file_sync(file), OMEN_OK);
    cr_assert_eq(omi_file_close(file), OMEN_OK);
    omi_dir_close(d);
}

/* Nothing in a log tells that it once was longer; the manifest does. */
Test(db, a_log_cut_after_a_clean_close_or_in_a_checkpoint_is_noticed)
{
    struct omi_env *env = omi_sim_create(4);
    omen_db *db;
    cr_assert_eq(open_sim(env, &db), OMEN_OK);
    put(db, "a", "1");
    put(db, "b", "2");
    cr_assert_eq(omen_checkpoint(db, "/copy"), OMEN_OK, "%s", omen_last_error());
    struct omi_env *killed = omi_sim_crash(env, OMI_CRASH_KEEP_ALL, 1);
    cr_assert_eq(omen_close(db), OMEN_OK);
    for (int i = 0; i < 2; i++) {
        omen_options o = {.struct_bytes = sizeof(o)};
        const char *dir = i == 0 ? "/copy" : "/db";
        cut_log(env, dir, 8);
        cr_assert_eq(omi_db_open(env, dir, &o, &db), OMEN_CORRUPT);
        cr_assert(strstr(omen_last_error(), "cut short") != NULL, "%s", omen_last_error());
    }
    omi_sim_destroy(env);
    cut_log(killed, "/db", 8); /* not closed: this may be a torn tail */
    cr_assert_eq(open_sim(killed, &db), OMEN_OK);
    expect(db, "a", "1");
    expect(db, "b", NULL);
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(killed);
}

/* A read that fails once has not failed. */
Test(db, a_read_error_that_passes_is_not_told)
{
    struct omi_env *env = omi_sim_create(5);
    omen_db *db;
    cr_assert_eq(open_sim(env, &db), OMEN_OK);
    put(db, "a", "1");
    cr_assert_eq(omen_flush(db), OMEN_OK);
    omi_sim_fail(env, OMI_FAULT_READ, 1, false);
    expect(db, "a", "1");
    cr_assert_eq(omen_close(db), OMEN_OK);
    cr_assert_eq(open_sim(env, &db), OMEN_OK);
    omi_sim_fail(env, OMI_FAULT_READ, 1, true);
    omen_read_options ro = {.struct_bytes = sizeof(ro), .flags = OMEN_NO_FILL_CACHE};
    omen_slice keys[2] = {text("a"), text("b")};
    omen_value v, values[2];
    omen_err errs[2];
    cr_assert_eq(omen_get(db, NULL, text("a"), &v), OMEN_IO);
    cr_assert_eq(omen_multi_get(db, &ro, 2, keys, values, errs), OMEN_IO);
    omi_sim_fail(env, OMI_FAULT_READ, 1, false);
    cr_assert_eq(omen_multi_get(db, &ro, 2, keys, values, errs), OMEN_OK);
    omen_value_release(&values[0]);
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

/* The n-th write, sync or name change fails, for n = 1, 2, ... until a run passes: never a crash,
 * never a lost acknowledged write. */
Test(db, any_failing_call_loses_nothing_acknowledged)
{
    static const enum omi_sim_fault kinds[] = {OMI_FAULT_WRITE, OMI_FAULT_SYNC, OMI_FAULT_NAME};
    for (int k = 0; k < 3; k++) {
        bool failed = true;
        for (uint64_t nth = 1; failed; nth += nth < 40 ? 1 : 17) {
            struct omi_env *env = omi_sim_create(nth);
            omen_db *db = NULL;
            int acked = 0;
            char key[16];
            omi_sim_fail(env, kinds[k], nth, false);
            failed = open_sim(env, &db) != OMEN_OK;
            for (int i = 0; i < 2500 && !failed; i++) {
                snprintf(key, sizeof(key), "key%06d", i);
                failed = omen_put(db, NULL, text(key),
                                  text("some sixty bytes of value, or about"
                                       " that many bytes")) != OMEN_OK;
                acked += !failed;
                if (i % 1000 == 999 && !failed)
                    failed = omen_compact(db, NULL, NULL) != OMEN_OK;
            }
            omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
            if (db != NULL) {
                omen_err closed = omen_close(db);
                (void)closed;
            }
            cr_assert_eq(open_sim(env, &db), OMEN_OK, "kind %d, call %lu: %s", k, nth,
                         omen_last_error());
            for (int i = 0; i < acked; i += 13) {
                snprintf(key, sizeof(key), "key%06d", i);
                expect(db, key, "some sixty bytes of value, or about that many bytes");
            }
            cr_assert_eq(omen_close(db), OMEN_OK);
            omi_sim_destroy(env);
        }
    }
}

/* omendb.h: data may be NULL when size is 0. */
Test(db, the_empty_key_may_be_null, .init = setup, .fini = teardown)
{
    omen_slice empty = {NULL, 0};
    omen_db *db = open_db(path("d"), "");
    omen_iter *it;
    omen_value v;
    cr_assert_eq(omen_put(db, NULL, empty, empty), OMEN_OK);
    put(db, "a", "1");
    for (int round = 0; round < 2; round++) { /* from the memtable, then from a table */
        cr_assert_eq(omen_get(db, NULL, empty, &v), OMEN_OK, "%s", omen_last_error());
        cr_assert_eq(v.size, 0);
        omen_value_release(&v);
        cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
        omen_iter_seek(it, empty);
        cr_assert(omen_iter_valid(it));
        cr_assert_eq(omen_iter_key(it).size, 0);
        omen_iter_close(it);
        cr_assert_eq(omen_flush(db), OMEN_OK);
    }
    cr_assert_eq(omen_close(db), OMEN_OK);
}

/* ---- nothing left behind --------------------------------------------------------------------- */

static omen_err count_table(void *ctx, const struct omi_dir_entry *e)
{
    uint64_t *count = ctx;
    size_t n = strlen(e->name);
    *count += n > 4 && strcmp(e->name + n - 4, ".sst") == 0;
    return OMEN_OK;
}

static void count_live(void *ctx, const omen_table_info *info)
{
    (void)info;
    ++*(uint64_t *)ctx;
}

static void merge_until_idle(struct omi_env *env)
{
    omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_CREATE_IF_MISSING};
    omen_db *db;
    struct omi_dir *dir;
    char key[16];
    uint64_t files = 0, live = 0;
    cr_assert_eq(omen_options_from_string("size_ratio=2,runs_upper=1,memory_bytes=4M", &o), 0);
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
    for (int i = 0; i < 12; i++) {
        snprintf(key, sizeof(key), "key%d", i % 5);
        put(db, key, "value");
        cr_assert_eq(omen_flush(db), OMEN_OK);
    }
    cr_assert_eq(omen_wait_idle(db), OMEN_OK);
    cr_assert_eq(omen_list_tables(db, count_live, &live), OMEN_OK);
    cr_assert_eq(omi_dir_open(env, "/db", false, &dir), OMEN_OK);
    for (int i = 0; i == 0 || (files != live && i < 200); i++) { /* who gathers statistics just now
                                                                    may hold a version for a while */
        files = 0;
        cr_assert_eq(omi_dir_list(dir, count_table, &files), OMEN_OK);
        cr_assert_eq(omen_wait_idle(db), OMEN_OK);
    }
    omi_dir_close(dir);
    cr_assert_eq(files, live, "%lu files of %lu tables", (unsigned long)files, (unsigned long)live);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(db, when_idle_the_inputs_of_merges_are_gone)
{
    for (uint64_t seed = 1; seed <= 60; seed++) { /* in many orders of the threads' steps */
        struct omi_env *env = omi_sim_create(seed);
        cr_assert(env != NULL);
        omi_sim_turns(env, seed, 3);
        merge_until_idle(env);
        omi_sim_destroy(env);
    }
}

/* ---- a frame that the disk had no room for --------------------------------------------------- */

struct syncs {
    omen_db *db;
    int count;
};

static void sync_often(void *arg)
{
    struct syncs *s = arg;
    for (int i = 0; i < s->count; i++)
        cr_assert_eq(omen_sync(s->db), OMEN_OK, "%s", omen_last_error());
}

/* Some puts meet a full disk while another thread syncs; then the power fails. */
static void fill_beside_syncs(struct omi_env *env, uint64_t seed)
{
    omen_write_options durable = {.struct_bytes = sizeof(durable), .flags = OMEN_SYNC};
    omen_db *db, *after;
    void *thread;
    cr_assert_eq(open_sim(env, &db), OMEN_OK);
    struct syncs s = {db, 12};
    cr_assert_eq(env->ops->thread_start(env, sync_often, &s, &thread), OMEN_OK);
    omi_sim_fail(env, OMI_FAULT_NO_SPACE, 3 + seed % 8, false);
    for (int i = 0; i < 12; i++) {
        omen_err err = omen_put(db, NULL, text("key"), text("value"));
        cr_assert(err == OMEN_OK || err == OMEN_FULL, "%s", omen_last_error());
        if (err == OMEN_FULL)
            env->ops->sleep_us(env, 1000000);
    }
    env->ops->thread_join(env, thread);
    cr_assert_eq(omen_put(db, &durable, text("last"), text("value")), OMEN_OK);
    cr_assert_eq(omen_put(db, NULL, text("key"), text("value")), OMEN_OK);
    cr_assert_eq(omen_sync(db), OMEN_OK);
    struct omi_env *clone = omi_sim_crash(env, OMI_CRASH_STRICT, seed);
    cr_assert_eq(open_sim(clone, &after), OMEN_OK, "seed %lu: %s", (unsigned long)seed,
                 omen_last_error());
    expect(after, "last", "value");
    cr_assert_eq(omen_close(after), OMEN_OK);
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(clone);
}

Test(db, a_sync_amid_a_full_disk_does_not_bring_a_cut_off_frame_back)
{
    for (uint64_t seed = 1; seed <= 300; seed++) { /* in many orders of the threads' steps */
        struct omi_env *env = omi_sim_create(seed);
        cr_assert(env != NULL);
        omi_sim_turns(env, seed, 2);
        fill_beside_syncs(env, seed);
        omi_sim_destroy(env);
    }
}

/* ---- a checkpoint read through a device that errs ---------------------------------------------- */

static void checkpoint_amid(enum omi_sim_fault kind, uint64_t nth, bool lasting, bool *fired_out)
{
    struct omi_env *env = omi_sim_create(nth);
    omen_db *db, *copy;
    cr_assert(env != NULL);
    cr_assert_eq(open_sim(env, &db), OMEN_OK);
    put(db, "first", "one");
    put(db, "last", "two");
    uint64_t before = omi_sim_faults(env);
    omi_sim_fail(env, kind, nth, lasting);
    omen_err err = omen_checkpoint(db, "/copy");
    *fired_out = omi_sim_faults(env) != before;
    omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
    cr_assert(err == OMEN_OK || err == OMEN_CORRUPT, "%s", omen_last_error());
    cr_assert(lasting || err == OMEN_OK, "%s", omen_last_error());
    if (err == OMEN_OK) {
        omen_options o = {.struct_bytes = sizeof(o)};
        cr_assert_eq(omi_db_open(env, "/copy", &o, &copy), OMEN_OK, "%s", omen_last_error());
        expect(copy, "first", "one");
        expect(copy, "last", "two");
        cr_assert_eq(omen_close(copy), OMEN_OK);
    }
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

Test(db, a_checkpoint_through_a_wrong_read_is_whole_or_refused)
{
    static const enum omi_sim_fault kinds[] = {OMI_FAULT_FLIP, OMI_FAULT_ZERO};
    for (int k = 0; k < 2; k++)
        for (int lasting = 0; lasting < 2; lasting++) {
            bool fired = true;
            uint64_t nth = 1;
            for (; fired; nth++)
                checkpoint_amid(kinds[k], nth, lasting == 1, &fired);
            cr_assert(nth > 2, "no read was spoiled");
        }
}

/* The manifest's first record again, as one that CURRENT names, with counters that are too low. */
static omen_err count_low(void *ctx, struct omi_edit *edit)
{
    struct omi_manifest *m;
    if ((edit->has & OMI_EDIT_IDENTITY) == 0)
        return OMEN_OK;
    cr_assert_eq(edit->added_count, 1);
    edit->next_age = 1;
    edit->last_seq = 0;
    cr_assert_eq(omi_manifest_create(ctx, 500, edit, &m), OMEN_OK);
    return omi_manifest_close(m);
}

/* What the log holds would become a run of the same age as the table's, and take it for its own. */
Test(db, a_manifest_that_counts_too_low_is_counted_up)
{
    struct omi_env *env = omi_sim_create(7);
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 4u << 20};
    struct omi_dir *dir;
    omen_db *db;
    uint64_t number;
    for (int round = 0; round < 2; round++) {
        cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
        put(db, "a", round == 0 ? "old" : "new");
        if (round == 0)
            cr_assert_eq(omen_flush(db), OMEN_OK);
        cr_assert_eq(omen_close(db), OMEN_OK);
    }
    cr_assert_eq(omi_dir_open(env, "/db", false, &dir), OMEN_OK);
    cr_assert_eq(omi_manifest_read(dir, count_low, dir, &number), OMEN_OK, "%s", omen_last_error());
    omi_dir_close(dir);
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
    expect(db, "a", "new");
    cr_assert_eq(omen_compact(db, NULL, NULL), OMEN_OK);
    expect(db, "a", "new");
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

/* ---- threads without background work ---------------------------------------------------------- */

static void write_on(void *arg)
{
    static const char value[8000];
    char key[16];
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "key%d", i % 50);
        cr_assert_eq(omen_put(arg, NULL, text(key), omi_slice(value, sizeof(value))), OMEN_OK, "%s",
                     omen_last_error());
    }
}

/* A flush that another thread had begun was waited for, and its end was told to nobody. */
Test(db, inline_flushes_of_many_threads_wait_for_nobody)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct omi_env *env = omi_sim_create(seed);
        omen_db *db;
        void *writer;
        omen_options o = {.struct_bytes = sizeof(o),
                          .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK | OMEN_NO_AUTO_COMPACT,
                          .memtable_bytes = 64 << 10};
        omi_sim_turns(env, seed, 30);
        cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
        cr_assert_eq(env->ops->thread_start(env, write_on, db, &writer), OMEN_OK);
        for (int i = 0; i < 40; i++) {
            cr_assert_eq(omen_flush(db), OMEN_OK, "%s", omen_last_error());
            cr_assert_eq(omen_wait_idle(db), OMEN_OK, "%s", omen_last_error());
        }
        env->ops->thread_join(env, writer);
        cr_assert_eq(omen_close(db), OMEN_OK);
        omi_sim_destroy(env);
    }
}

/* The flush thread tries again twice a second; who calls meanwhile is not told what is over. */
Test(db, a_flush_when_there_is_room_again_is_tried_at_once)
{
    static const char value[8000];
    struct omi_env *env = omi_sim_create(7);
    omen_db *db;
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING,
                      .memtable_bytes = 64 << 10,
                      .reserve_bytes = OMEN_NONE};
    omi_sim_turns(env, 7, 10);
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 6; i++)
            cr_assert_eq(omen_put(db, NULL, text("key"), omi_slice(value, sizeof(value))), OMEN_OK);
        omi_sim_capacity(env, omi_sim_used(env) + 8200); /* a new log segment fits, no table */
        cr_assert_eq(omen_flush(db), OMEN_FULL);
        cr_assert_eq(omen_flush(db), OMEN_FULL, "it is tried again, and there is still no room");
        omi_sim_capacity(env, UINT64_MAX);
        cr_assert_eq(omen_flush(db), OMEN_OK, "%s", omen_last_error());
        cr_assert_eq(omen_wait_idle(db), OMEN_OK, "%s", omen_last_error());
    }
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

#include "io/base/coding.h"
#include "io/base/hash.h"
#include "io/env_sim.h"
#include "lsm/db.h"
#include "lsm/table_format.h"
#include "lsm/wal_format.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

/* A database in a simulated directory: keys 0 to 399 in two tables of levels 2 and 1 (every tenth
 * overwritten, so that the newer table holds 40 of them), then keys 400 to 419 in the log, a write
 * each, all synced but the last. */
enum { KEYS = 400, LOGGED = 20 };

static struct omi_env *env;
static struct omi_dir *dir;
static omen_repair_report report;
static char told[8192];

static void must(omen_err err)
{
    cr_assert_eq(err, OMEN_OK, "%s: %s", omen_err_name(err), omen_last_error());
}

static omen_options options(void)
{
    return (omen_options){.struct_bytes = sizeof(omen_options),
                          .flags = OMEN_INLINE_WORK | OMEN_NO_AUTO_COMPACT,
                          .memory_bytes = 4u << 20,
                          .memtable_bytes = 256u << 10,
                          .block_bytes = 1024};
}

static omen_err open_db(omen_db **db)
{
    omen_options o = options();
    return omi_db_open(env, "/db", &o, db);
}

static void put(omen_db *db, int key, const char *value, bool sync)
{
    char k[32], v[64];
    int n = snprintf(k, sizeof(k), "key%05d", key);
    int m = snprintf(v, sizeof(v), "%s of %05d, and some more bytes", value, key);
    omen_write_options wo = {.struct_bytes = sizeof(wo), .flags = sync ? OMEN_SYNC : 0};
    must(omen_put(db, &wo, omi_slice(k, (size_t)n), omi_slice(v, (size_t)m)));
}

static omen_err sync_one(void *ctx, const struct omi_dir_entry *e)
{
    struct omi_file *f;
    (void)ctx;
    must(omi_file_open(dir, e->name, OMI_OPEN_WRITE, 0, &f));
    must(omi_file_sync(f));
    return omi_file_close(f);
}

static void make_with(const omen_comparator *comparator)
{
    omen_options o = options();
    omen_db *db;
    o.flags |= OMEN_CREATE_IF_MISSING;
    o.comparator = comparator;
    env = omi_sim_create(7);
    must(omi_db_open(env, "/db", &o, &db));
    for (int i = 0; i < KEYS; i++)
        put(db, i, "old", false);
    must(omen_compact(db, NULL, NULL));
    for (int i = 0; i < KEYS; i += 10)
        put(db, i, "new", false);
    must(omen_flush(db));
    for (int i = 0; i < LOGGED; i++)
        put(db, KEYS + i, "new", i + 1 < LOGGED);
    /* A killed process, long ago: what was written is durable. */
    struct omi_env *killed = omi_sim_crash(env, OMI_CRASH_KEEP_ALL, 1);
    must(omen_close(db));
    omi_sim_destroy(env);
    env = killed;
    must(omi_dir_open(env, "/db", false, &dir));
    must(omi_dir_list(dir, sync_one, NULL));
    must(omi_dir_sync(dir));
}

static void make(void)
{
    make_with(NULL);
}

static void unmake(void)
{
    omi_dir_close(dir);
    omi_sim_destroy(env);
}

TestSuite(repair, .init = make, .fini = unmake, .timeout = 60);

/* ---- what is there --------------------------------------------------------------------------- */

struct listing {
    char names[64][48];
    uint64_t bytes[64];
    size_t count;
};

static omen_err list_one(void *ctx, const struct omi_dir_entry *e)
{
    struct listing *l = ctx;
    cr_assert_lt(l->count, 64);
    snprintf(l->names[l->count], sizeof(l->names[0]), "%s", e->name);
    l->bytes[l->count++] = e->bytes;
    return OMEN_OK;
}

static struct listing list(void)
{
    struct listing l = {.count = 0};
    must(omi_dir_list(dir, list_one, &l));
    return l;
}

/* The nth name, from 0, that ends so; listings are in no order that matters: there are few. */
static const char *name_of(const char *end, int nth)
{
    static char found[48];
    struct listing l = list();
    for (size_t i = 0; i < l.count; i++) {
        size_t n = strlen(l.names[i]), m = strlen(end);
        bool is = strcmp(end, "MANIFEST") == 0
                      ? strncmp(l.names[i], "MANIFEST-", 9) == 0 && strlen(l.names[i]) == 15
                      : n >= m && strcmp(l.names[i] + n - m, end) == 0;
        if (is && nth-- == 0) {
            snprintf(found, sizeof(found), "%s", l.names[i]);
            return found;
        }
    }
    return NULL;
}

static uint64_t bytes_of(const char *name)
{
    struct listing l = list();
    for (size_t i = 0; i < l.count; i++)
        if (strcmp(l.names[i], name) == 0)
            return l.bytes[i];
    cr_assert_fail("there is no %s", name);
    return 0;
}

/* The table with all the keys, and the newer one. */
static const char *table(bool large)
{
    static char name[2][48];
    snprintf(name[0], sizeof(name[0]), "%s", name_of(".sst", 0));
    snprintf(name[1], sizeof(name[1]), "%s", name_of(".sst", 1));
    bool first_is_large = bytes_of(name[0]) > bytes_of(name[1]);
    return name[first_is_large == large ? 0 : 1];
}

static void overwrite(const char *name, uint64_t off, const void *bytes, size_t size)
{
    struct omi_file *f;
    must(omi_file_open(dir, name, OMI_OPEN_WRITE, 0, &f));
    must(omi_file_pwrite(f, bytes, size, off));
    must(omi_file_sync(f));
    must(omi_file_close(f));
}

static void cut(const char *name, uint64_t size)
{
    struct omi_file *f;
    must(omi_file_open(dir, name, OMI_OPEN_WRITE, 0, &f));
    must(env->ops->file_truncate(f, size));
    must(omi_file_sync(f));
    must(omi_file_close(f));
}

static void exchange(const char *a, const char *b)
{
    must(omi_dir_rename(dir, a, "between"));
    must(omi_dir_rename(dir, b, a));
    must(omi_dir_rename(dir, "between", b));
    must(omi_dir_sync(dir));
}

static const uint8_t garbage[600] = "not what was here";

/* ---- repairing and looking ------------------------------------------------------------------- */

static void tell(void *ctx, const char *line)
{
    (void)ctx;
    size_t used = strlen(told);
    snprintf(told + used, sizeof(told) - used, "%s\n", line);
}

static omen_err repair_with(uint32_t flags, const omen_comparator *comparator)
{
    omen_options o = options();
    o.comparator = comparator;
    told[0] = 0;
    report = (omen_repair_report){.struct_bytes = sizeof(report)};
    return omi_db_repair(env, "/db", &o, flags, &report, tell, NULL);
}

static void repair(void)
{
    must(repair_with(0, NULL));
    cr_assert_gt(report.problems, 0, "nothing was found");
}

static void says(const char *words)
{
    cr_assert(strstr(told, words) != NULL, "the report lacks \"%s\":\n%s", words, told);
}

/* 'n'ew, 'o'ld, or 0: not found. */
static char answer(omen_db *db, int key)
{
    char k[32];
    omen_value v;
    int n = snprintf(k, sizeof(k), "key%05d", key);
    omen_err err = omen_get(db, NULL, omi_slice(k, (size_t)n), &v);
    if (err == OMEN_NOT_FOUND)
        return 0;
    must(err);
    char first = *(const char *)v.data;
    omen_value_release(&v);
    return first;
}

static char wanted(int key)
{
    return key >= KEYS || key % 10 == 0 ? 'n' : 'o';
}

static void print_problem(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%s\n", text);
}

/* Sound, needs no repair, opens; the keys of [0, KEYS + LOGGED) that do not answer as they should are
 * counted. */
static int wrong_answers(void)
{
    omen_db *db;
    int wrong = 0;
    must(repair_with(0, NULL));
    cr_assert_eq(report.problems, 0, "a second repair finds: %s", told);
    must(open_db(&db));
    must(omen_verify(db, NULL, print_problem, NULL));
    for (int i = 0; i < KEYS + LOGGED; i++)
        wrong += answer(db, i) != wanted(i);
    must(omen_close(db));
    return wrong;
}

static void all_is_right(void)
{
    cr_assert_eq(report.lossy, 0, "a loss is reported: %s", told);
    cr_assert_eq(wrong_answers(), 0);
}

/* ---- nothing to do --------------------------------------------------------------------------- */

Test(repair, a_sound_database_is_left_alone)
{
    struct listing before = list();
    uint64_t steps = omi_sim_steps(env);
    must(repair_with(0, NULL));
    cr_assert_eq(report.problems, 0, "%s", told);
    cr_assert_eq(report.lossy, 0);
    cr_assert_eq(list().count, before.count);
    cr_assert_leq(omi_sim_steps(env), steps + 1, "more than the lock was taken");
    all_is_right();
}

Test(repair, a_dry_run_tells_the_same_and_writes_nothing)
{
    overwrite(table(true), 2048, garbage, sizeof(garbage));
    overwrite("CURRENT", 0, "x", 1);
    struct listing before = list();
    uint64_t steps = omi_sim_steps(env);
    char dry[sizeof(told)];
    must(repair_with(OMEN_REPAIR_DRY_RUN, NULL));
    cr_assert_leq(omi_sim_steps(env), steps + 1, "more than the lock was taken");
    struct listing after = list();
    cr_assert_eq(before.count, after.count);
    cr_assert_arr_eq(before.bytes, after.bytes, sizeof(before.bytes));
    snprintf(dry, sizeof(dry), "%s", told);
    repair();
    cr_assert_str_eq(dry, told);
}

Test(repair, a_database_in_use_is_refused)
{
    omen_db *db;
    must(open_db(&db));
    cr_assert_eq(repair_with(0, NULL), OMEN_BUSY);
    cr_assert_eq(repair_with(OMEN_REPAIR_DRY_RUN, NULL), OMEN_BUSY);
    must(omen_close(db));
}

Test(repair, a_directory_of_something_else_is_refused)
{
    struct omi_dir *other;
    omen_options o = options();
    must(omi_dir_open(env, "/other", true, &other));
    omi_dir_close(other);
    cr_assert_eq(omi_db_repair(env, "/other", &o, 0, NULL, NULL, NULL), OMEN_INVALID);
    cr_assert_eq(omi_db_repair(env, "/none", &o, 0, NULL, NULL, NULL), OMEN_NOT_FOUND);
}

/* ---- tables ---------------------------------------------------------------------------------- */

Test(repair, a_damaged_block_costs_its_own_keys_alone)
{
    overwrite(table(true), 2048, garbage, 64);
    repair();
    says("damaged at offset");
    says("keys between '6b65793030");
    cr_assert_eq(report.manifest, OMEN_MANIFEST_SOUND);
    cr_assert_eq(report.files_damaged, 1);
    cr_assert_eq(report.lossy, 1);
    int wrong = wrong_answers();
    cr_assert_gt(wrong, 0);
    cr_assert_lt(wrong, 60, "%d keys of a block or two are gone", wrong);
}

Test(repair, blocks_behind_a_damaged_block_header_are_found)
{
    uint8_t zeros[32] = {0};
    overwrite(table(true), OMI_TABLE_HEADER_BYTES, zeros, sizeof(zeros));
    repair();
    says("keys between the first and '");
    cr_assert_eq(report.blocks_lost, 1);
    cr_assert_eq(report.entries_lost + report.entries_saved, KEYS);
    cr_assert_lt(wrong_answers(), 40);
}

Test(repair, a_table_without_header_footer_index_and_filter_is_read_from_its_blocks)
{
    const char *name = table(true);
    uint64_t size = bytes_of(name);
    overwrite(name, 0, garbage, 64);
    overwrite(name, size - 600, garbage, 600);
    repair();
    says("outside its blocks");
    cr_assert_eq(report.entries_saved, KEYS);
    all_is_right();
}

Test(repair, of_a_cut_table_the_beginning_is_kept)
{
    const char *name = table(true);
    cut(name, bytes_of(name) / 2);
    repair();
    says("and the last are lost");
    cr_assert_gt(report.entries_saved, 100);
    cr_assert_gt(report.entries_lost, 100);
    int wrong = wrong_answers();
    cr_assert(wrong > 80 && wrong < 300, "%d", wrong);
}

Test(repair, a_missing_table_is_taken_out_and_older_versions_show)
{
    must(omi_dir_unlink(dir, table(false)));
    repair();
    says("is missing: its 40 entries from '6b65793030303030' to '6b65793030333930' are lost");
    cr_assert_eq(report.files_lost, 1);
    omen_db *db;
    cr_assert_eq(wrong_answers(), 40);
    must(open_db(&db));
    cr_assert_eq(answer(db, 10), 'o');
    must(omen_close(db));
}

Test(repair, exchanged_tables_are_told_apart_by_their_ids)
{
    exchange(table(true), table(false));
    repair();
    cr_assert_eq(report.files_damaged, 2);
    all_is_right();
}

Test(repair, a_table_of_a_newer_format_is_not_touched)
{
    uint8_t header[OMI_TABLE_HEADER_BYTES];
    const char *name = table(true);
    struct omi_file *f;
    size_t got;
    must(omi_file_open(dir, name, OMI_OPEN_READ, 0, &f));
    must(omi_file_pread(f, header, sizeof(header), 0, &got));
    must(omi_file_close(f));
    omi_put_u32(header + 8, OMI_TABLE_FORMAT + 1);
    omi_put_u64(header + 56, omi_checksum(header, 56, 0));
    overwrite(name, 0, header, sizeof(header));
    struct listing before = list();
    cr_assert_eq(repair_with(0, NULL), OMEN_UNSUPPORTED);
    cr_assert_not_null(strstr(omen_last_error(), "newer"));
    cr_assert_eq(list().count, before.count);
}

/* Puts image in the place of what is being looked at. */
static void look_at(struct omi_env *image)
{
    unmake();
    env = image;
    must(omi_dir_open(env, "/db", false, &dir));
}

Test(repair, a_read_that_fails_once_costs_nothing)
{
    overwrite(table(true), bytes_of(table(true)) - 100, garbage, 8); /* of the footer */
    struct omi_env *damaged = omi_sim_crash(env, OMI_CRASH_KEEP_ALL, 1);
    for (uint64_t nth = 1;; nth++) {
        look_at(omi_sim_crash(damaged, OMI_CRASH_KEEP_ALL, 1));
        omi_sim_fail(env, OMI_FAULT_READ, nth, false);
        omen_err err = repair_with(0, NULL);
        bool past = omi_sim_calls(env, OMI_FAULT_READ) < nth;
        omi_sim_fail(env, OMI_FAULT_READ, 0, false);
        cr_assert(err == OMEN_OK || err == OMEN_IO, "read %d: %s", (int)nth, omen_err_name(err));
        if (err != OMEN_OK)
            repair();
        cr_assert_eq(report.lossy, 0, "read %d: %s", (int)nth, told);
        cr_assert_eq(wrong_answers(), 0, "read %d", (int)nth);
        if (past)
            break;
    }
    omi_sim_destroy(damaged);
}

Test(repair, a_disk_that_reads_nothing_is_not_taken_for_an_empty_one)
{
    struct listing before = list();
    omi_sim_fail(env, OMI_FAULT_READ, 1, true);
    cr_assert_eq(repair_with(0, NULL), OMEN_IO);
    omi_sim_fail(env, OMI_FAULT_READ, 0, false);
    cr_assert_eq(list().count, before.count);
    must(repair_with(0, NULL));
    cr_assert_eq(report.problems, 0);
}

/* ---- CURRENT and the manifest ---------------------------------------------------------------- */

Test(repair, without_CURRENT_the_newest_manifest_is_found)
{
    omen_db *db;
    must(omi_dir_unlink(dir, "CURRENT"));
    cr_assert_eq(open_db(&db), OMEN_CORRUPT);
    cr_assert_not_null(strstr(omen_last_error(), "omendb repair"));
    repair();
    says("CURRENT is missing");
    cr_assert_eq(report.manifest, OMEN_MANIFEST_FOUND);
    all_is_right();
}

Test(repair, a_damaged_CURRENT_is_kept_beside_the_new_one)
{
    overwrite("CURRENT", 0, "garbage", 7);
    repair();
    cr_assert_not_null(name_of("CURRENT.bad", 0));
    cr_assert_eq(report.manifest, OMEN_MANIFEST_FOUND);
    all_is_right();
}

Test(repair, a_manifest_with_a_damaged_header_still_names_its_tables)
{
    overwrite(name_of("MANIFEST", 0), 0, "x", 1);
    repair();
    cr_assert_eq(report.manifest, OMEN_MANIFEST_FOUND);
    cr_assert_eq(report.tables_written, 1, "only the log's operations are written anew");
    all_is_right();
}

Test(repair, without_a_manifest_all_tables_and_the_log_become_one_run)
{
    must(omi_dir_unlink(dir, name_of("MANIFEST", 0)));
    repair();
    says("merged into one run, with the options given");
    cr_assert_eq(report.manifest, OMEN_MANIFEST_REBUILT);
    cr_assert_eq(report.log_operations_saved, LOGGED);
    all_is_right();
}

Test(repair, a_manifest_damaged_in_its_middle_gives_its_options_alone)
{
    overwrite(name_of("MANIFEST", 0), bytes_of(name_of("MANIFEST", 0)) / 2, garbage, 8);
    repair();
    says("is damaged");
    cr_assert_not_null(name_of(".bad", 0));
    all_is_right();
}

/* The manifest's first record, changed, as one with right checks that CURRENT names. */
static omen_err into_one_run(void *ctx, struct omi_edit *edit)
{
    struct omi_manifest *m;
    if ((edit->has & OMI_EDIT_IDENTITY) == 0)
        return OMEN_OK;
    for (uint32_t i = 0; i < edit->added_count; i++) {
        edit->added[i].level = 1;
        edit->added[i].age = 1;
    }
    must(omi_manifest_create(ctx, 500, edit, &m));
    return omi_manifest_close(m);
}

static omen_err with_other_bounds(void *ctx, struct omi_edit *edit)
{
    struct omi_manifest *m;
    if ((edit->has & OMI_EDIT_IDENTITY) == 0)
        return OMEN_OK;
    must(omi_buf_append(&edit->added[0].props.largest, "x", 1));
    must(omi_manifest_create(ctx, 500, edit, &m));
    return omi_manifest_close(m);
}

static void rewrite_manifest(omen_err (*change)(void *ctx, struct omi_edit *edit))
{
    omen_db *db;
    uint64_t number;
    must(open_db(&db)); /* so that the first record tells everything */
    must(omen_close(db));
    must(omi_manifest_read(dir, change, dir, &number));
}

Test(repair, tables_of_one_run_that_overlap_are_merged)
{
    omen_db *db;
    rewrite_manifest(into_one_run);
    cr_assert_eq(open_db(&db), OMEN_CORRUPT);
    repair();
    says("overlap");
    cr_assert_eq(report.manifest, OMEN_MANIFEST_REBUILT);
    all_is_right();
}

Test(repair, a_table_of_other_bounds_than_the_manifest_says_is_written_anew)
{
    rewrite_manifest(with_other_bounds);
    repair();
    says("outside its blocks");
    cr_assert_eq(report.tables_written, 1);
    all_is_right();
}

Test(repair, a_manifest_cut_between_records_is_not_believed)
{
    cut(name_of("MANIFEST", 0), 0);
    repair();
    cr_assert_eq(report.manifest, OMEN_MANIFEST_REBUILT);
    all_is_right();
}

Test(repair, damage_without_a_manifest_costs_what_it_hit)
{
    must(omi_dir_unlink(dir, name_of("MANIFEST", 0)));
    overwrite(table(true), 2048, garbage, 64);
    repair();
    cr_assert_eq(report.manifest, OMEN_MANIFEST_REBUILT);
    cr_assert_gt(report.blocks_lost, 0);
    int wrong = wrong_answers();
    cr_assert(wrong > 0 && wrong < 60, "%d", wrong);
}

static int backwards(void *ctx, omen_slice a, omen_slice b)
{
    (void)ctx;
    return omi_bytes_compare(b.data, b.size, a.data, a.size);
}

Test(repair, a_lost_manifest_of_another_order_asks_for_the_comparator)
{
    static const omen_comparator reverse = {.name = "reverse", .compare = backwards};
    unmake();
    make_with(&reverse);
    struct listing before = list();
    cr_assert_eq(repair_with(0, NULL), OMEN_INVALID, "the manifest names another comparator");
    must(omi_dir_unlink(dir, name_of("MANIFEST", 0)));
    cr_assert_eq(repair_with(0, NULL), OMEN_INVALID);
    cr_assert_not_null(strstr(omen_last_error(), "comparator"));
    cr_assert_eq(list().count, before.count - 1);
    must(repair_with(0, &reverse));
    cr_assert_eq(report.lossy, 0);
    omen_options o = options();
    o.comparator = &reverse;
    omen_db *db;
    must(omi_db_open(env, "/db", &o, &db));
    for (int i = 0; i < KEYS + LOGGED; i++)
        cr_assert_eq(answer(db, i), wanted(i));
    must(omen_close(db));
}

/* ---- the log --------------------------------------------------------------------------------- */

Test(repair, whole_frames_behind_damage_in_the_log_are_saved)
{
    omen_db *db;
    char name[48];
    snprintf(name, sizeof(name), "%s", name_of(".log", 0));
    uint64_t middle = OMI_WAL_FIRST_FRAME + (bytes_of(name) - OMI_WAL_FIRST_FRAME) / 2;
    overwrite(name, middle, garbage, 8);
    cr_assert_eq(open_db(&db), OMEN_CORRUPT);
    cr_assert_not_null(strstr(omen_last_error(), "omendb repair"));
    repair();
    says("operations are saved");
    says("1 operations numbered");
    cr_assert_eq(report.log_operations_saved, LOGGED - 1);
    cr_assert_eq(report.log_operations_lost, 1);
    cr_assert_not_null(name_of(".log.bad", 0));
    cr_assert_eq(wrong_answers(), 1);
}

Test(repair, a_missing_log_segment_is_told)
{
    omen_db *db;
    must(omi_dir_unlink(dir, name_of(".log", 0)));
    cr_assert_eq(open_db(&db), OMEN_CORRUPT);
    repair();
    says("is missing");
    cr_assert_eq(wrong_answers(), LOGGED);
}

Test(repair, an_unsynced_tail_is_no_damage)
{
    char name[48];
    snprintf(name, sizeof(name), "%s", name_of(".log", 0));
    cut(name, bytes_of(name) - 20);
    must(repair_with(0, NULL));
    cr_assert_eq(report.problems, 0, "%s", told);
    cr_assert_eq(report.log_operations_saved, LOGGED - 1);
}

Test(repair, a_log_cut_after_a_clean_close_is_told)
{
    omen_db *db;
    must(open_db(&db));
    put(db, KEYS, "newer", false);
    put(db, KEYS + 1, "newer", false);
    must(omen_close(db));
    char name[48];
    for (int i = 0; name_of(".log", i) != NULL; i++)
        snprintf(name, sizeof(name), "%s", name_of(".log", i));
    cut(name, bytes_of(name) - 20);
    cr_assert_eq(open_db(&db), OMEN_CORRUPT);
    cr_assert_not_null(strstr(omen_last_error(), "omendb repair"));
    repair();
    says("those between are missing");
    cr_assert_eq(report.log_operations_saved, 1);
    cr_assert_eq(report.log_operations_lost, 1);
    cr_assert_eq(wrong_answers(), 0, "the older version of one key, which also begins with n");
}

/* ---- afterwards ------------------------------------------------------------------------------ */

Test(repair, opening_keeps_files_set_aside_and_destroying_removes_them)
{
    overwrite(table(true), 2048, garbage, 64);
    repair();
    omen_db *db;
    must(open_db(&db));
    must(omen_close(db));
    cr_assert_not_null(name_of(".sst.bad", 0));
    must(omi_db_destroy(env, "/db"));
    cr_assert_null(name_of(".sst.bad", 0));
}

Test(repair, numbers_of_files_set_aside_are_not_given_again)
{
    char bad[48];
    overwrite(table(false), 64, garbage, 64);
    repair();
    snprintf(bad, sizeof(bad), "%s", name_of(".sst.bad", 0));
    uint64_t number = strtoull(bad, NULL, 10);
    omen_db *db;
    must(open_db(&db));
    for (int i = 0; i < 5; i++) {
        put(db, i, "new", false);
        must(omen_flush(db));
    }
    must(omen_close(db));
    char name[OMI_FILE_NAME_BYTES];
    omi_table_name(number, name);
    struct omi_file *f;
    cr_assert_eq(omi_file_open(dir, name, OMI_OPEN_READ, 0, &f), OMEN_NOT_FOUND);
}

Test(repair, a_disk_that_fills_up_leaves_the_damaged_database_as_it_was)
{
    overwrite(table(true), 2048, garbage, 64);
    omi_sim_capacity(env, omi_sim_used(env) + 6000);
    cr_assert_eq(repair_with(0, NULL), OMEN_FULL, "%s", omen_last_error());
    omi_sim_capacity(env, UINT64_MAX);
    cr_assert_null(name_of(".bad", 0));
    repair();
    int wrong = wrong_answers();
    cr_assert(wrong > 0 && wrong < 60, "%d", wrong);
}

Test(repair, a_crash_at_any_sync_leaves_something_to_repair_or_the_repaired)
{
    overwrite(table(true), 2048, garbage, 64);
    overwrite("CURRENT", 0, "garbage", 7);
    struct omi_env *damaged = omi_sim_crash(env, OMI_CRASH_KEEP_ALL, 1);
    int wrong = -1;
    for (uint64_t step = 0;; step++) {
        look_at(omi_sim_crash(damaged, OMI_CRASH_KEEP_ALL, 1));
        omi_sim_fail(env, OMI_FAULT_SYNC, step + 1, true);
        omen_err err = repair_with(0, NULL);
        look_at(omi_sim_crash(env, OMI_CRASH_STRICT, step));
        must(repair_with(0, NULL));
        int now = wrong_answers();
        cr_assert(wrong < 0 || now == wrong, "step %d: %d keys are wrong, not %d", (int)step, now,
                  wrong);
        wrong = now;
        if (err == OMEN_OK)
            break;
    }
    omi_sim_destroy(damaged);
}

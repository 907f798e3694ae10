/* What calls say when the disk or the memory fails, and what is left behind. */
#include "io/env_sim.h"
#include "lsm/db.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(failing, .timeout = 60);

static struct omi_env *env;

static void setup(void)
{
    env = omi_sim_create(5);
    cr_assert(env != NULL);
}

static void teardown(void)
{
    omi_sim_destroy(env);
}

static omen_slice text(const char *s)
{
    return omi_slice(s, strlen(s));
}

static omen_db *open_it(void)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 4u << 20};
    omen_db *db;
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
    return db;
}

Test(failing, words_are_of_the_call_and_not_of_the_diary, .init = setup, .fini = teardown)
{
    omen_db *db = open_it();
    omi_sim_fail(env, OMI_FAULT_WRITE, 1, true);
    cr_assert_eq(omen_put(db, NULL, text("a"), text("1")), OMEN_UNKNOWN);
    cr_assert(strstr(omen_last_error(), ".log") != NULL, "%s", omen_last_error());
    omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
    omi_ignore(omen_close(db));
}

Test(failing, a_close_that_leaves_writes_unsynced_says_so, .init = setup, .fini = teardown)
{
    omen_db *db = open_it();
    cr_assert_eq(omen_put(db, NULL, text("a"), text("1")), OMEN_OK);
    omi_sim_fail(env, OMI_FAULT_WRITE, 1, false);
    cr_assert_eq(omen_put(db, NULL, text("b"), text("2")), OMEN_UNKNOWN);
    cr_assert_eq(omen_close(db), OMEN_READ_ONLY);
}

Test(failing, a_close_after_a_failed_write_is_fine_when_all_was_synced, .init = setup,
     .fini = teardown)
{
    omen_write_options sync = {.struct_bytes = sizeof(sync), .flags = OMEN_SYNC};
    omen_db *db = open_it();
    cr_assert_eq(omen_put(db, &sync, text("a"), text("1")), OMEN_OK);
    omi_sim_fail(env, OMI_FAULT_WRITE, 1, false);
    cr_assert_eq(omen_put(db, NULL, text("b"), text("2")), OMEN_UNKNOWN);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

/* CURRENT has no check of its own. */
Test(failing, a_bit_flipped_on_the_way_from_current_does_no_harm, .init = setup, .fini = teardown)
{
    for (uint64_t nth = 1; nth <= 4; nth++) {
        omen_db *db = open_it();
        cr_assert_eq(omen_put(db, NULL, text("a"), text("1")), OMEN_OK);
        cr_assert_eq(omen_close(db), OMEN_OK);
        omi_sim_fail(env, OMI_FAULT_FLIP, nth, false);
        db = open_it();
        omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
        cr_assert_eq(omen_close(db), OMEN_OK);
    }
}

static uint64_t slot_number(void *ctx)
{
    return ++*(uint64_t *)ctx;
}

struct settling {
    struct omi_wal *wal;
    omen_err err;
};

static void settle(void *arg)
{
    struct settling *s = arg;
    s->err = omi_wal_settle(s->wal);
}

static omen_err no_entry(void *ctx, const struct omi_entry *entry)
{
    (void)ctx;
    (void)entry;
    return OMEN_OK;
}

/* A second fdatasync may succeed because the pages count as clean: it proves nothing. */
static void race_a_failing_sync(uint64_t seed)
{
    uint64_t slots = 0;
    struct omi_wal_params params = {.next_number = slot_number, .number_ctx = &slots, .segment = 1};
    struct settling s = {NULL, OMEN_OK};
    struct omi_dir *dir;
    void *thread;
    env = omi_sim_create(seed);
    omi_sim_turns(env, seed, 2);
    cr_assert_eq(omi_dir_open(env, "/w", true, &dir), OMEN_OK);
    cr_assert_eq(omi_wal_create(dir, &params, &s.wal), OMEN_OK);
    cr_assert_eq(omi_wal_rotate(s.wal), OMEN_OK);
    omi_sim_fail(env, OMI_FAULT_SYNC_REVERT, 1, false);
    cr_assert_eq(env->ops->thread_start(env, settle, &s, &thread), OMEN_OK);
    omen_err synced = omi_wal_sync(s.wal, UINT64_MAX);
    env->ops->thread_join(env, thread);
    cr_assert(synced != OMEN_OK || s.err != OMEN_OK);
    if (s.err == OMEN_OK) {
        struct omi_wal_recovery r = {.floor = omi_wal_segment(s.wal)};
        cr_assert_eq(omi_wal_recover(dir, &r, no_entry, NULL), OMEN_OK, "seed %lu: %s", seed,
                     omen_last_error());
    }
    omi_ignore(omi_wal_close(s.wal));
    omi_dir_close(dir);
    omi_sim_destroy(env);
}

Test(failing, a_settled_segment_is_durable_though_another_sync_fails)
{
    for (uint64_t seed = 1; seed <= 200; seed++)
        race_a_failing_sync(seed);
}

Test(failing, a_checkpoint_copies_no_bit_that_flipped_on_the_way, .init = setup, .fini = teardown)
{
    char path[16];
    bool flipped = true;
    omen_db *db = open_it(), *copy;
    for (int i = 0; i < 100; i++)
        cr_assert_eq(omen_put(db, NULL, text("a"), text("one of many values of some size")),
                     OMEN_OK);
    for (unsigned nth = 1; flipped; nth++) {
        uint64_t faults = omi_sim_faults(env);
        snprintf(path, sizeof(path), "/copy%u", nth);
        omi_sim_fail(env, OMI_FAULT_FLIP, nth, false);
        cr_assert_eq(omen_checkpoint(db, path), OMEN_OK, "%s", omen_last_error());
        flipped = omi_sim_faults(env) != faults;
        omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
        omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_INLINE_WORK};
        cr_assert_eq(omi_db_open(env, path, &o, &copy), OMEN_OK, "%s", omen_last_error());
        omen_stats stats = {.struct_bytes = sizeof(stats)};
        cr_assert_eq(omen_get_stats(copy, &stats), OMEN_OK);
        cr_assert_eq(stats.recovered_ops, 100);
        cr_assert_eq(omen_close(copy), OMEN_OK);
    }
    cr_assert_eq(omen_close(db), OMEN_OK);
}

static omen_err entry_count(void *ctx, const struct omi_entry *entry)
{
    uint64_t *count = ctx;
    (void)entry;
    ++*count;
    return OMEN_OK;
}

/* Two segments with an operation each. */
static struct omi_dir *two_segments(void)
{
    uint64_t slots = 0, position;
    struct omi_wal_params params = {.next_number = slot_number, .number_ctx = &slots, .segment = 1};
    struct omi_buf buf = {0};
    struct omi_wal *wal;
    struct omi_dir *dir;
    cr_assert_eq(omi_dir_open(env, "/w", true, &dir), OMEN_OK);
    cr_assert_eq(omi_wal_create(dir, &params, &wal), OMEN_OK);
    cr_assert_eq(omi_ops_append(&buf, OMI_KIND_PUT, text("key"), text("value")), OMEN_OK);
    struct omi_ops ops = {buf.data, buf.size, 1};
    cr_assert_eq(omi_wal_append(wal, 1, &ops, &position), OMEN_OK);
    cr_assert_eq(omi_wal_rotate(wal), OMEN_OK);
    cr_assert_eq(omi_wal_append(wal, 2, &ops, &position), OMEN_OK);
    cr_assert_eq(omi_wal_close(wal), OMEN_OK);
    omi_buf_fini(&buf);
    return dir;
}

/* A segment whose header is read wrongly must not count as one that was torn at its making, nor as
 * another one. */
Test(failing, a_log_header_read_wrongly_is_read_again)
{
    static const enum omi_sim_fault kinds[] = {OMI_FAULT_FLIP, OMI_FAULT_ZERO, OMI_FAULT_STALE,
                                               OMI_FAULT_MISDIRECTED};
    for (uint64_t run = 0; run < 2000; run++) {
        uint64_t count = 0;
        env = omi_sim_create(run);
        struct omi_dir *dir = two_segments();
        struct omi_wal_recovery r = {.floor = 1};
        omi_sim_fail(env, kinds[run % 4], 1 + run / 4 % 6, false);
        cr_assert_eq(omi_wal_recover(dir, &r, entry_count, &count), OMEN_OK, "run %lu: %s", run,
                     omen_last_error());
        cr_assert_eq(count, 2, "run %lu: %lu operations", run, count);
        omi_dir_close(dir);
        omi_sim_destroy(env);
    }
}

/* What else it holds may be unreadable for a while; the log that is being written stays. */
Test(failing, the_log_in_use_is_never_taken_for_a_leftover, .init = setup, .fini = teardown)
{
    uint64_t slots = 0;
    struct omi_wal_params params = {.next_number = slot_number, .number_ctx = &slots, .segment = 1};
    struct omi_wal *old, *new;
    struct omi_dir *dir;
    struct omi_file *file;
    cr_assert_eq(omi_dir_open(env, "/w", true, &dir), OMEN_OK);
    cr_assert_eq(omi_wal_create(dir, &params, &old), OMEN_OK);
    cr_assert_eq(omi_wal_close(old), OMEN_OK);
    params.segment = 2;
    cr_assert_eq(omi_wal_create(dir, &params, &new), OMEN_OK);
    for (uint64_t i = 0; i < 8; i++) {
        uint8_t zeros[512] = {0};
        cr_assert_eq(omi_sim_overwrite(env, "/w", "000002.log", i * 512, zeros, 512), OMEN_OK);
    }
    cr_assert_eq(omi_wal_remove_below(dir, 2, 2), OMEN_OK);
    cr_assert_eq(omi_file_open(dir, "000001.log", OMI_OPEN_READ, 0, &file), OMEN_NOT_FOUND);
    cr_assert_eq(omi_file_open(dir, "000002.log", OMI_OPEN_READ, 0, &file), OMEN_OK);
    cr_assert_eq(omi_file_close(file), OMEN_OK);
    cr_assert_eq(omi_wal_close(new), OMEN_OK);
    omi_dir_close(dir);
}

static omen_db *failing;
static void fail_in_merge(void *ctx, uint64_t number)
{
    (void)ctx;
    (void)number;
    if (!atomic_load(&failing->failed)) {
        omi_ignore(omi_fail(OMEN_IO, 0, "another thread's write failed"));
        omi_db_fail(failing, OMEN_IO);
    }
}

/* Not that the database is closing, which is only what ends the merge. */
Test(failing, a_compaction_that_another_failure_ends_tells_that_failure, .init = setup,
     .fini = teardown)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK | OMEN_NO_AUTO_COMPACT,
                      .memory_bytes = 4u << 20,
                      .target_file_bytes = 64u << 10};
    char value[1000] = "v", key[16];
    cr_assert_eq(omi_db_open(env, "/db", &o, &failing), OMEN_OK, "%s", omen_last_error());
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "key%06d", i * 7 % 1000);
        cr_assert_eq(omen_put(failing, NULL, text(key), omi_slice(value, sizeof(value))), OMEN_OK);
        if (i == 500)
            cr_assert_eq(omen_flush(failing), OMEN_OK);
    }
    cr_assert_eq(omen_flush(failing), OMEN_OK);
    omi_sim_on_step(env, fail_in_merge, NULL);
    omen_err err = omen_compact(failing, NULL, NULL);
    omi_sim_on_step(env, NULL, NULL);
    cr_assert_eq(err, OMEN_READ_ONLY, "%s: %s", omen_err_name(err), omen_last_error());
    cr_assert(strstr(omen_last_error(), "another thread's") != NULL, "%s", omen_last_error());
    omi_ignore(omen_close(failing));
}

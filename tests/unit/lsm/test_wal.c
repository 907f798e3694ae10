#include "io/base/coding.h"
#include "io/base/hash.h"
#include "io/env_sim.h"
#include "lsm/wal.h"
#include "lsm/wal_format.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(wal, .timeout = 60);

enum { OPS_MAX = 512 };

static uint64_t seed_of(void)
{
    const char *text = getenv("OMENDB_TEST_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 42;
}

/* ---- a log whose operation seq has a key and a value made from seq --------------------------- */

struct log {
    struct omi_env *env;
    struct omi_dir *dir;
    struct omi_wal *wal;
    uint64_t slot, last_seq, synced_seq, position;
    struct omi_buf ops;
};

static uint64_t next_slot(void *ctx)
{
    struct log *l = ctx;
    return ++l->slot;
}

static void log_create(struct log *l, uint64_t segment, uint64_t chain)
{
    struct omi_wal_params p = {
        .next_number = next_slot, .number_ctx = l, .segment = segment, .chain = chain};
    cr_assert_eq(omi_wal_create(l->dir, &p, &l->wal), OMEN_OK, "%s", omen_last_error());
}

static void log_start(struct log *l)
{
    memset(l, 0, sizeof(*l));
    l->env = omi_sim_create(seed_of());
    cr_assert_eq(omi_dir_open(l->env, "/d", true, &l->dir), OMEN_OK);
    log_create(l, 1, 0);
}

static size_t key_of(uint64_t seq, char key[32])
{
    return (size_t)snprintf(key, 32, "key%" PRIu64, seq);
}

static size_t value_size_of(uint64_t seq)
{
    return (size_t)(seq * 37 % 211);
}

static omen_err log_append(struct log *l, uint32_t count)
{
    char key[32];
    uint8_t value[256];
    l->ops.size = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t seq = l->last_seq + 1 + i;
        memset(value, (int)seq, sizeof(value));
        cr_assert_eq(omi_ops_append(&l->ops, seq % 5 == 0 ? OMI_KIND_DELETE : OMI_KIND_PUT,
                                    omi_slice(key, key_of(seq, key)),
                                    omi_slice(value, value_size_of(seq))),
                     OMEN_OK);
    }
    struct omi_ops ops = {l->ops.data, l->ops.size, count};
    omen_err err = omi_wal_append(l->wal, l->last_seq + 1, &ops, &l->position);
    if (err == OMEN_OK)
        l->last_seq += count;
    return err;
}

static omen_err log_sync(struct log *l)
{
    omen_err err = omi_wal_sync(l->wal, l->position);
    if (err == OMEN_OK)
        l->synced_seq = l->last_seq;
    return err;
}

static void must(omen_err err)
{
    cr_assert_eq(err, OMEN_OK, "%s: %s", omen_err_name(err), omen_last_error());
}

static void log_end(struct log *l)
{
    if (l->wal != NULL)
        omi_ignore(omi_wal_close(l->wal));
    omi_buf_fini(&l->ops);
    omi_dir_close(l->dir);
    omi_sim_destroy(l->env);
}

/* ---- reading it back ------------------------------------------------------------------------- */

struct reading {
    uint64_t expected; /* the next seq */
    bool wrong;
};

static omen_err check_one(void *ctx, const struct omi_entry *e)
{
    struct reading *r = ctx;
    char key[32];
    uint64_t seq = r->expected++;
    bool put = seq % 5 != 0;
    if (omi_trailer_seq(e->trailer) != seq || (omi_trailer_kind(e->trailer) == OMI_KIND_PUT) != put)
        r->wrong = true;
    size_t n = key_of(seq, key);
    if (!omi_bytes_equal(e->key, e->key_size, key, n) ||
        e->value_size != (put ? value_size_of(seq) : 0))
        r->wrong = true;
    for (uint32_t i = 0; i < e->value_size; i++)
        if (e->value[i] != (uint8_t)seq)
            r->wrong = true;
    return OMEN_OK;
}

/* Operations come in order, whole, right; last_out is the last one. */
static omen_err recover_dir(struct omi_dir *dir, uint64_t floor, uint64_t flushed,
                            struct omi_wal_recovery *out)
{
    struct reading r = {.expected = flushed + 1};
    *out = (struct omi_wal_recovery){.floor = floor, .flushed_seq = flushed};
    omen_err err = omi_wal_recover(dir, out, check_one, &r);
    cr_assert(!r.wrong, "a recovered operation is not the one that was written");
    if (err == OMEN_OK)
        cr_assert_eq(r.expected, out->last_seq + 1, "last_seq is not the last one handed out");
    return err;
}

static omen_err recover_env(struct omi_env *env, uint64_t floor, uint64_t flushed,
                            struct omi_wal_recovery *out)
{
    struct omi_dir *dir = NULL;
    must(omi_dir_open(env, "/d", true, &dir));
    omen_err err = recover_dir(dir, floor, flushed, out);
    omi_dir_close(dir);
    return err;
}

static uint64_t file_bytes(struct log *l, const char *name)
{
    uint8_t *bytes;
    size_t size;
    must(omi_file_read_all(l->dir, name, SIZE_MAX / 2, &bytes, &size));
    free(bytes);
    return size;
}

static void file_put(struct omi_dir *dir, const char *name, const void *bytes, size_t size)
{
    struct omi_file *file = NULL;
    omi_ignore(omi_dir_unlink(dir, name));
    must(omi_file_open(dir, name, OMI_OPEN_CREATE, 0, &file));
    must(omi_file_pwrite(file, bytes, size, 0));
    must(omi_file_sync(file));
    must(omi_file_close(file));
    must(omi_dir_sync(dir));
}

/* ---- round trips ----------------------------------------------------------------------------- */

Test(wal, what_was_appended_is_recovered_over_several_segments)
{
    struct log l;
    struct omi_wal_recovery r;
    log_start(&l);
    for (uint32_t i = 1; i <= 30; i++) {
        must(log_append(&l, i % 4 + 1));
        if (i % 10 == 0)
            must(omi_wal_rotate(l.wal));
    }
    must(log_append(&l, 1));
    must(recover_dir(l.dir, 1, 0, &r));
    cr_assert_eq(r.last_seq, l.last_seq);
    cr_assert_eq(r.operations, l.last_seq);
    cr_assert_eq(r.cut_bytes, 0);
    cr_assert_eq(r.next_segment, 5);
    must(recover_dir(l.dir, 1, 17, &r));
    cr_assert_eq(r.operations, l.last_seq - 17, "flushed operations are skipped");
    log_end(&l);
}

Test(wal, a_second_life_of_the_log_goes_on_where_recovery_ended)
{
    struct log l;
    struct omi_wal_recovery r;
    log_start(&l);
    must(log_append(&l, 3));
    must(omi_wal_close(l.wal));
    must(recover_dir(l.dir, 1, 0, &r));
    log_create(&l, r.next_segment, r.chain);
    must(log_append(&l, 4));
    must(recover_dir(l.dir, 1, 0, &r));
    cr_assert_eq(r.last_seq, 7);
    must(recover_dir(l.dir, 2, 3, &r));
    cr_assert_eq(r.operations, 4);
    log_end(&l);
}

Test(wal, a_frame_of_megabytes_comes_back)
{
    struct log l;
    struct omi_wal_recovery r;
    log_start(&l);
    uint8_t *value = malloc(9u << 20);
    memset(value, 7, 9u << 20);
    struct omi_buf b = {0};
    must(omi_ops_append(&b, OMI_KIND_PUT, omi_slice("k", 1), omi_slice(value, 9u << 20)));
    struct omi_ops ops = {b.data, b.size, 1};
    uint64_t position;
    must(omi_wal_append(l.wal, 1, &ops, &position));
    must(omi_wal_sync(l.wal, position));
    struct omi_wal_recovery in = {.floor = 1};
    struct reading ignored = {.expected = 1};
    must(omi_wal_recover(l.dir, &in, check_one, &ignored));
    cr_assert_eq(in.operations, 1);
    r = in;
    cr_assert_eq(r.last_seq, 1);
    omi_buf_fini(&b);
    free(value);
    log_end(&l);
}

Test(wal, one_sync_covers_all_appended_and_a_covered_position_costs_none)
{
    struct log l;
    log_start(&l);
    uint64_t first;
    must(log_append(&l, 1));
    first = l.position;
    must(log_append(&l, 1));
    uint64_t before = omi_wal_syncs(l.wal);
    must(omi_wal_sync(l.wal, UINT64_MAX));
    cr_assert_eq(omi_wal_syncs(l.wal), before + 1);
    must(omi_wal_sync(l.wal, first));
    must(omi_wal_sync(l.wal, l.position));
    cr_assert_eq(omi_wal_syncs(l.wal), before + 1);
    log_end(&l);
}

Test(wal, an_append_is_one_write)
{
    struct log l;
    log_start(&l);
    must(log_append(&l, 3));
    uint64_t before = omi_sim_steps(l.env);
    must(log_append(&l, 3));
    cr_assert_eq(omi_sim_steps(l.env), before + 1);
    log_end(&l);
}

/* ---- release, removal, checkpoint ------------------------------------------------------------ */

Test(wal, released_segments_are_gone_and_the_rest_is_recovered)
{
    struct log l;
    struct omi_wal_recovery r;
    log_start(&l);
    must(log_append(&l, 5));
    must(omi_wal_rotate(l.wal));
    must(log_append(&l, 5));
    must(omi_wal_settle(l.wal));
    must(omi_wal_release(l.wal, 2));
    struct omi_file *file = NULL;
    cr_assert_eq(omi_file_open(l.dir, "000001.log", OMI_OPEN_READ, 0, &file), OMEN_NOT_FOUND);
    must(recover_dir(l.dir, 2, 5, &r));
    cr_assert_eq(r.last_seq, 10);
    must(omi_wal_release(l.wal, 99)); /* never the active one */
    must(log_append(&l, 1));
    must(recover_dir(l.dir, 2, 5, &r));
    cr_assert_eq(r.last_seq, 11);
    log_end(&l);
}

Test(wal, remove_below_deletes_old_and_headless_logs_and_nothing_else)
{
    struct log l;
    struct omi_file *file = NULL;
    log_start(&l);
    must(log_append(&l, 2));
    must(omi_wal_rotate(l.wal));
    file_put(l.dir, "000777.log", "no header", 9);
    file_put(l.dir, "000778.sst", "a table", 7);
    file_put(l.dir, "12.log", "too few digits", 14);
    must(omi_wal_remove_below(l.dir, 2, omi_wal_slot(l.wal)));
    cr_assert_eq(omi_file_open(l.dir, "000001.log", OMI_OPEN_READ, 0, &file), OMEN_NOT_FOUND);
    cr_assert_eq(omi_file_open(l.dir, "000777.log", OMI_OPEN_READ, 0, &file), OMEN_NOT_FOUND);
    const char *stay[] = {"000002.log", "000778.sst", "12.log"};
    for (int i = 0; i < 3; i++) {
        must(omi_file_open(l.dir, stay[i], OMI_OPEN_READ, 0, &file));
        must(omi_file_close(file));
    }
    log_end(&l);
}

Test(wal, a_copy_holds_everything_appended_before_it_and_survives_a_power_loss)
{
    struct log l;
    struct omi_wal_recovery r;
    struct omi_dir *to = NULL, *after = NULL;
    log_start(&l);
    must(log_append(&l, 5));
    must(omi_wal_rotate(l.wal));
    must(log_append(&l, 6));
    must(omi_dir_open(l.env, "/copy", true, &to));
    must(omi_wal_copy(l.wal, l.dir, to, 1));
    must(log_append(&l, 7));
    must(omi_dir_sync(to));
    struct omi_env *crashed = omi_sim_crash(l.env, OMI_CRASH_STRICT, seed_of());
    must(omi_dir_open(crashed, "/copy", false, &after));
    must(recover_dir(after, 1, 0, &r));
    cr_assert_eq(r.last_seq, 11);
    omi_dir_close(after);
    omi_sim_destroy(crashed);
    omi_dir_close(to);
    log_end(&l);
}

/* ---- failures while writing ------------------------------------------------------------------ */

Test(wal, a_failed_sync_seals_the_log_and_is_never_tried_again)
{
    struct log l;
    log_start(&l);
    must(log_append(&l, 1));
    must(log_sync(&l));
    must(log_append(&l, 1));
    omi_sim_fail(l.env, OMI_FAULT_SYNC, 1, false);
    cr_assert_eq(log_sync(&l), OMEN_IO);
    uint64_t syncs = omi_sim_calls(l.env, OMI_FAULT_SYNC);
    cr_assert_eq(log_sync(&l), OMEN_READ_ONLY);
    cr_assert_eq(log_append(&l, 1), OMEN_READ_ONLY);
    cr_assert_eq(omi_wal_rotate(l.wal), OMEN_READ_ONLY);
    cr_assert_eq(omi_wal_release(l.wal, 1), OMEN_READ_ONLY);
    cr_assert_eq(omi_wal_status(l.wal), OMEN_READ_ONLY);
    cr_assert_not_null(strstr(omen_last_error(), "syncing"), "the first failure's words: %s",
                       omen_last_error());
    cr_assert_eq(omi_sim_calls(l.env, OMI_FAULT_SYNC), syncs);
    struct omi_env *crashed = omi_sim_crash(l.env, OMI_CRASH_STRICT, seed_of());
    struct omi_wal_recovery r;
    must(recover_env(crashed, 1, 0, &r));
    cr_assert_eq(r.last_seq, 1);
    omi_sim_destroy(crashed);
    log_end(&l);
}

Test(wal, a_failed_append_is_unknown_and_seals)
{
    struct log l;
    struct omi_wal_recovery r;
    log_start(&l);
    must(log_append(&l, 3));
    omi_sim_fail(l.env, OMI_FAULT_WRITE, 1, false);
    cr_assert_eq(log_append(&l, 3), OMEN_UNKNOWN);
    cr_assert_eq(log_append(&l, 3), OMEN_READ_ONLY);
    must(recover_dir(l.dir, 1, 0, &r));
    cr_assert_eq(r.last_seq, 3, "half a frame is cut");
    cr_assert_gt(r.cut_bytes, 0);
    log_end(&l);
}

Test(wal, a_full_disk_is_told_as_such_and_what_was_acknowledged_survives)
{
    struct log l;
    struct omi_wal_recovery r;
    log_start(&l);
    must(log_append(&l, 3));
    must(log_sync(&l));
    omi_sim_capacity(l.env, omi_sim_used(l.env) + 20);
    cr_assert_eq(log_append(&l, 3), OMEN_FULL);
    cr_assert_eq(log_append(&l, 3), OMEN_FULL, "no room for another segment either");
    must(recover_dir(l.dir, 1, 0, &r));
    cr_assert_eq(r.last_seq, 3);
    cr_assert_eq(r.cut_bytes, 0, "the torn frame is gone");
    log_end(&l);
}

Test(wal, after_a_full_disk_the_log_goes_on_in_another_segment)
{
    struct log l;
    struct omi_wal_recovery r;
    log_start(&l);
    must(log_append(&l, 3));
    omi_sim_capacity(l.env, omi_sim_used(l.env) + 20);
    cr_assert_eq(log_append(&l, 3), OMEN_FULL);
    omi_sim_capacity(l.env, UINT64_MAX);
    must(log_append(&l, 4));
    cr_assert_eq(omi_wal_segment(l.wal), 2);
    must(log_append(&l, 2));
    must(recover_dir(l.dir, 1, 0, &r)); /* as after a kill */
    cr_assert_eq(r.last_seq, 9);
    cr_assert_eq(r.cut_bytes, 0);
    for (int mode = 0; mode < OMI_CRASH_MODES; mode++) /* the cut itself may be lost */
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct omi_env *left = omi_sim_crash(l.env, (enum omi_crash_mode)mode, seed);
            struct omi_dir *d;
            must(omi_dir_open(left, "/d", false, &d));
            must(recover_dir(d, 1, 0, &r));
            cr_assert(r.last_seq == 0 || r.last_seq == 3 || r.last_seq == 7 || r.last_seq == 9);
            omi_dir_close(d);
            omi_sim_destroy(left);
        }
    must(log_sync(&l));
    struct omi_env *left = omi_sim_crash(l.env, OMI_CRASH_STRICT, 1);
    struct omi_dir *d;
    must(omi_dir_open(left, "/d", false, &d));
    must(recover_dir(d, 1, 0, &r));
    cr_assert_eq(r.last_seq, 9);
    omi_dir_close(d);
    omi_sim_destroy(left);
    log_end(&l);
}

Test(wal, a_rotation_that_fails_leaves_the_old_segment_in_use)
{
    struct log l;
    struct omi_wal_recovery r;
    log_start(&l);
    must(log_append(&l, 3));
    omi_sim_capacity(l.env, omi_sim_used(l.env) + 100);
    cr_assert_eq(omi_wal_rotate(l.wal), OMEN_FULL);
    omi_sim_capacity(l.env, UINT64_MAX);
    cr_assert_eq(omi_wal_segment(l.wal), 1);
    must(log_append(&l, 3));
    must(omi_wal_rotate(l.wal));
    must(log_append(&l, 3));
    must(recover_dir(l.dir, 1, 0, &r));
    cr_assert_eq(r.last_seq, 9);
    log_end(&l);
}

Test(wal, a_read_error_is_never_the_end_of_the_log)
{
    struct log l;
    struct omi_wal_recovery r;
    log_start(&l);
    must(log_append(&l, 3));
    must(omi_wal_rotate(l.wal));
    must(log_append(&l, 3));
    uint64_t before = omi_sim_calls(l.env, OMI_FAULT_READ);
    must(recover_dir(l.dir, 1, 0, &r));
    uint64_t reads = omi_sim_calls(l.env, OMI_FAULT_READ) - before;
    cr_assert_geq(reads, 2);
    for (uint64_t n = 1; n <= reads; n++) {
        omi_sim_fail(l.env, OMI_FAULT_READ, n, true);
        cr_assert_eq(recover_dir(l.dir, 1, 0, &r), OMEN_IO, "read %" PRIu64, n);
    }
    omi_sim_fail(l.env, OMI_FAULT_READ, 0, false);
    log_end(&l);
}

/* ---- crashes --------------------------------------------------------------------------------- */

struct crash_run {
    struct log *l;
    uint64_t floor, flushed; /* as a manifest would have them at this moment */
    uint64_t points;
};

/* Recovered must be a prefix that holds all that was synced, in every mode, also from what a
 * recovery and a second power loss leave. */
static void crash_here(void *ctx, uint64_t number)
{
    struct crash_run *c = ctx;
    for (int mode = 0; mode < OMI_CRASH_MODES; mode++) {
        for (uint64_t draw = 0; draw < 3; draw++) {
            uint64_t seed = seed_of() * 1000003 + number * 100 + (uint64_t)mode * 10 + draw;
            struct omi_env *env = omi_sim_crash(c->l->env, (enum omi_crash_mode)mode, seed);
            struct omi_wal_recovery r;
            cr_assert_not_null(env);
            omen_err err = recover_env(env, c->floor, c->flushed, &r);
            cr_assert_eq(err, OMEN_OK, "step %" PRIu64 " mode %d draw %" PRIu64 ": %s", number,
                         mode, draw, omen_last_error());
            uint64_t least = c->l->synced_seq > c->flushed ? c->l->synced_seq : c->flushed;
            cr_assert(r.last_seq >= least,
                      "step %" PRIu64 " mode %d draw %" PRIu64 " seed %" PRIu64
                      ": recovered %" PRIu64 ", synced %" PRIu64
                      "; replay: OMENDB_TEST_SEED=%" PRIu64 " test_wal",
                      number, mode, draw, seed_of(), r.last_seq, least, seed_of());
            omi_sim_destroy(env);
            c->points++;
        }
    }
}

Test(wal, a_crash_at_any_step_leaves_a_prefix_with_all_that_was_synced)
{
    struct log l;
    log_start(&l);
    struct crash_run c = {.l = &l, .floor = 1};
    omi_sim_on_step(l.env, crash_here, &c);
    for (uint32_t i = 1; i <= 36; i++) {
        must(log_append(&l, i % 3 + 1));
        if (i % 7 == 0)
            must(log_sync(&l));
        if (i % 5 == 0)
            must(omi_wal_rotate(l.wal)); /* some with, some without a sync before and after */
        if (i % 12 == 0) {               /* a flush: the manifest says so before files go */
            must(omi_wal_rotate(l.wal));
            must(omi_wal_settle(l.wal));
            c.flushed = l.last_seq;
            c.floor = omi_wal_segment(l.wal);
            must(omi_wal_release(l.wal, c.floor));
        }
    }
    crash_here(&c, 0);
    omi_sim_on_step(l.env, NULL, NULL);
    cr_assert_gt(c.points, 1000);
    log_end(&l);
}

Test(wal, a_switch_without_sync_never_leaves_a_hole_after_a_power_loss)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct log l;
        struct omi_wal_recovery r;
        log_start(&l);
        must(log_append(&l, 2));
        must(log_sync(&l));
        must(log_append(&l, 4));
        must(omi_wal_rotate(l.wal));
        must(log_append(&l, 4)); /* may be on disk while the end of segment 1 is not */
        must(omi_dir_sync(l.dir));
        struct omi_env *env = omi_sim_crash(l.env, OMI_CRASH_PAGES, seed);
        must(recover_env(env, 1, 0, &r));
        cr_assert_geq(r.last_seq, 2);
        omi_sim_destroy(env);
        log_end(&l);
    }
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* Eight frames of two operations, each synced by itself; the last is there to prove the others. */
static void log_synced_frames(struct log *l)
{
    log_start(l);
    for (int i = 0; i < 8; i++) {
        must(log_append(l, 2));
        must(log_sync(l));
    }
}

Test(wal, every_flipped_byte_of_frames_is_refused_but_in_the_last_two)
{
    struct log l;
    struct omi_wal_recovery r;
    log_synced_frames(&l);
    uint64_t size = file_bytes(&l, "000001.log");
    uint64_t refused = 0;
    for (uint64_t off = 0; off < size; off++) {
        must(omi_sim_damage(l.env, "/d", "000001.log", off, (unsigned)(off % 8)));
        omen_err err = recover_dir(l.dir, 1, 0, &r);
        if (err == OMEN_OK) /* filling, or the last frame, which nothing proves */
            cr_assert_geq(r.last_seq, 14, "offset %" PRIu64 ": %" PRIu64, off, r.last_seq);
        else
            cr_assert(err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED, "offset %" PRIu64 ": %s", off,
                      omen_err_name(err));
        refused += err != OMEN_OK;
        must(omi_sim_damage(l.env, "/d", "000001.log", off, (unsigned)(off % 8)));
    }
    cr_assert_gt(refused, 500);
    log_end(&l);
}

Test(wal, damage_names_the_file_and_the_offset)
{
    struct log l;
    struct omi_wal_recovery r;
    log_synced_frames(&l);
    must(omi_sim_damage(l.env, "/d", "000001.log", OMI_WAL_FIRST_FRAME + 50, 3));
    cr_assert_eq(recover_dir(l.dir, 1, 0, &r), OMEN_CORRUPT);
    cr_assert_not_null(strstr(omen_last_error(), "000001.log"));
    cr_assert_not_null(strstr(omen_last_error(), "4096"));
    log_end(&l);
}

Test(wal, a_tail_cut_at_any_length_leaves_the_whole_frames_before_it)
{
    struct log l;
    struct omi_wal_recovery r;
    uint8_t *bytes;
    size_t size;
    uint64_t ends[16], frames = 0;
    log_start(&l);
    for (int i = 0; i < 6; i++) { /* never synced: nothing claims anything */
        must(log_append(&l, 2));
        ends[frames++] = file_bytes(&l, "000001.log");
    }
    must(omi_file_read_all(l.dir, "000001.log", SIZE_MAX / 2, &bytes, &size));
    for (size_t cut = OMI_WAL_FIRST_FRAME; cut <= size; cut++) {
        uint64_t whole = 0;
        while (whole < frames && ends[whole] <= cut)
            whole++;
        file_put(l.dir, "000001.log", bytes, cut);
        must(recover_dir(l.dir, 1, 0, &r));
        cr_assert(r.last_seq >= 2 * whole && r.last_seq <= 2 * (whole + 1), "cut %zu", cut);
    }
    free(bytes);
    log_end(&l);
}

Test(wal, zeros_behind_the_last_frame_are_no_damage)
{
    struct log l;
    struct omi_wal_recovery r;
    uint8_t *bytes;
    size_t size;
    log_synced_frames(&l);
    must(omi_file_read_all(l.dir, "000001.log", SIZE_MAX / 2, &bytes, &size));
    bytes = realloc(bytes, size + 10000);
    memset(bytes + size, 0, 10000);
    file_put(l.dir, "000001.log", bytes, size + 10000);
    must(recover_dir(l.dir, 1, 0, &r));
    cr_assert_eq(r.last_seq, 16);
    free(bytes);
    log_end(&l);
}

Test(wal, frames_of_an_earlier_activation_of_the_slot_are_not_replayed)
{
    struct log l, old;
    struct omi_wal_recovery r;
    uint8_t *now, *before;
    size_t now_size, before_size;
    log_synced_frames(&old);
    must(omi_file_read_all(old.dir, "000001.log", SIZE_MAX / 2, &before, &before_size));
    log_end(&old);
    log_start(&l);
    l.last_seq = 0;
    must(log_append(&l, 1));
    /* Another nonce than the twin env's: draw once more. */
    must(omi_wal_rotate(l.wal));
    must(omi_file_read_all(l.dir, "000002.log", SIZE_MAX / 2, &now, &now_size));
    memcpy(before, now, OMI_WAL_FIRST_FRAME); /* the new header over the old slot */
    file_put(l.dir, "000002.log", before, before_size);
    must(recover_dir(l.dir, 1, 0, &r));
    cr_assert_eq(r.last_seq, 1, "stale frames are neither replayed nor taken for damage");
    free(now);
    free(before);
    log_end(&l);
}

/* Three segments of two synced frames each; proof lies in the third. */
static void log_three_segments(struct log *l, bool sync)
{
    log_start(l);
    for (int s = 0; s < 3; s++) {
        for (int i = 0; i < 3; i++) {
            must(log_append(l, 2));
            if (sync)
                must(log_sync(l));
        }
        if (s < 2)
            must(omi_wal_rotate(l->wal));
    }
}

Test(wal, a_missing_middle_segment_is_corrupt_when_synced_and_a_cut_when_not)
{
    struct log l;
    struct omi_wal_recovery r;
    log_three_segments(&l, true);
    must(omi_dir_unlink(l.dir, "000002.log"));
    cr_assert_eq(recover_dir(l.dir, 1, 0, &r), OMEN_CORRUPT);
    log_end(&l);
    log_three_segments(&l, false);
    must(omi_dir_unlink(l.dir, "000002.log"));
    must(recover_dir(l.dir, 1, 0, &r));
    cr_assert_eq(r.last_seq, 6, "only what comes before the hole");
    log_end(&l);
}

Test(wal, a_segment_cut_at_a_frame_boundary_is_noticed_by_the_next_one)
{
    for (int sync = 0; sync < 2; sync++) {
        struct log l;
        struct omi_wal_recovery r;
        uint8_t *bytes;
        size_t size;
        log_start(&l);
        must(log_append(&l, 2));
        size_t boundary = (size_t)file_bytes(&l, "000001.log");
        must(log_append(&l, 2));
        if (sync)
            must(log_sync(&l));
        must(omi_wal_rotate(l.wal));
        must(log_append(&l, 2));
        must(omi_file_read_all(l.dir, "000001.log", SIZE_MAX / 2, &bytes, &size));
        file_put(l.dir, "000001.log", bytes, boundary);
        omen_err err = recover_dir(l.dir, 1, 0, &r);
        cr_assert_eq(err, sync ? OMEN_CORRUPT : OMEN_OK, "%s", omen_err_name(err));
        if (!sync)
            cr_assert_eq(r.last_seq, 2);
        free(bytes);
        log_end(&l);
    }
}

Test(wal, damage_below_the_floor_does_not_matter)
{
    struct log l;
    struct omi_wal_recovery r;
    log_three_segments(&l, true);
    must(omi_sim_damage(l.env, "/d", "000001.log", OMI_WAL_FIRST_FRAME + 44, 0));
    cr_assert_eq(recover_dir(l.dir, 1, 0, &r), OMEN_CORRUPT);
    must(recover_dir(l.dir, 2, 6, &r));
    cr_assert_eq(r.last_seq, 18);
    log_end(&l);
}

Test(wal, a_newer_format_is_unsupported_and_a_missing_floor_is_corrupt)
{
    struct log l;
    struct omi_wal_recovery r;
    uint8_t *bytes;
    size_t size;
    log_start(&l);
    must(log_append(&l, 2));
    must(omi_file_read_all(l.dir, "000001.log", SIZE_MAX / 2, &bytes, &size));
    struct omi_wal_header h;
    must(omi_wal_header_decode(bytes, "x", &h));
    h.segment = 2;
    omi_wal_header_encode(&h, bytes);
    bytes[8] = OMI_WAL_FORMAT + 1; /* under a wrong check first, then under a right one */
    cr_assert_eq(omi_wal_header_decode(bytes, "x", &h), OMEN_CORRUPT);
    omi_put_u64(bytes + 56, omi_checksum(bytes, 56, 0));
    cr_assert_eq(omi_wal_header_decode(bytes, "x", &h), OMEN_UNSUPPORTED);
    file_put(l.dir, "000002.log", bytes, size);
    cr_assert_eq(recover_dir(l.dir, 1, 0, &r), OMEN_UNSUPPORTED);
    must(omi_dir_unlink(l.dir, "000002.log"));
    cr_assert_eq(recover_dir(l.dir, 7, 0, &r), OMEN_CORRUPT);
    free(bytes);
    log_end(&l);
}

Test(wal, random_bytes_behind_a_header_always_get_an_answer)
{
    uint64_t x = seed_of() | 1;
    struct log l;
    log_start(&l);
    uint8_t *bytes;
    size_t size;
    must(log_append(&l, 4));
    must(omi_file_read_all(l.dir, "000001.log", SIZE_MAX / 2, &bytes, &size));
    bytes = realloc(bytes, size + 4096);
    for (int round = 0; round < 300; round++) {
        for (size_t i = 0; i < 4096; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            bytes[size + i] = (uint8_t)(round % 3 == 0 ? bytes[OMI_WAL_FIRST_FRAME + i % 64] : x);
        }
        file_put(l.dir, "000001.log", bytes, size + 4096);
        struct omi_wal_recovery r;
        omen_err err = recover_dir(l.dir, 1, 0, &r);
        cr_assert(err == OMEN_OK ? r.last_seq == 4 : err == OMEN_CORRUPT,
                  "round %d: %s; replay: OMENDB_TEST_SEED=%" PRIu64 " test_wal", round,
                  omen_err_name(err), seed_of());
    }
    free(bytes);
    log_end(&l);
}

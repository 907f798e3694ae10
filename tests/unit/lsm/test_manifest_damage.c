#include "io/base/coding.h"
#include "io/base/hash.h"
#include "io/env_sim.h"
#include "lsm/manifest.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(manifest_damage, .timeout = 60);

static uint64_t seed_of(void)
{
    const char *text = getenv("OMENDB_TEST_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 42;
}

static void must(omen_err err)
{
    cr_assert_eq(err, OMEN_OK, "%s: %s", omen_err_name(err), omen_last_error());
}

/* ---- edits ----------------------------------------------------------------------------------- */

static void buf_set(struct omi_buf *b, const char *text)
{
    must(omi_buf_append(b, text, strlen(text)));
}

static void full_edit(struct omi_edit *e)
{
    *e = (struct omi_edit){
        .has = OMI_EDIT_IDENTITY | OMI_EDIT_COUNTERS | OMI_EDIT_FLUSHED | OMI_EDIT_SHAPE |
               OMI_EDIT_OPTIONS | OMI_EDIT_LIFETIME,
        .features_compatible = 5,
        .next_number = 1000,
        .next_age = 77,
        .last_seq = 123456,
        .flushed_seq = 120000,
        .log_floor = 9,
        .shape = {.size_ratio = 6, .runs_upper = 4, .runs_last = 1, .memtable_bytes = 1u << 20},
        .shape_fixed = 3};
    e->shape.runs_level[2] = 7;
    buf_set(&e->comparator, "reverse");
    buf_set(&e->filter_policy, "blocked");
    buf_set(&e->options, "size_ratio=6\n");
    buf_set(&e->lifetime, "opaque");
    struct omi_table_props p = {.file_id = UINT64_MAX,
                                .file_bytes = 4096,
                                .raw_bytes = 4000,
                                .data_bytes = 3000,
                                .entries = 10,
                                .deletes = 2,
                                .range_deletes = 1,
                                .min_seq = 3,
                                .max_seq = 12,
                                .created_us = 99,
                                .filter_bytes = 64,
                                .index = {.keys = 10, .blocks = 2, .knots = 3}};
    buf_set(&p.smallest, "a");
    buf_set(&p.largest, "zz");
    must(omi_edit_add(e, OMEN_LEVELS_MAX, 5, 31, &p));
    must(omi_edit_remove(e, 1, 6, 32));
    must(omi_edit_move(e, &(struct omi_edit_move){1, 2, 7, 8, 33}));
}

Test(manifest_damage, an_edit_with_everything_comes_back)
{
    struct omi_edit e, d;
    struct omi_buf b = {0}, again = {0};
    full_edit(&e);
    must(omi_edit_encode(&e, &b));
    must(omi_edit_decode(b.data, b.size, "here", &d));
    cr_assert_eq(d.has, e.has);
    cr_assert_eq(d.flushed_seq, 120000);
    cr_assert_eq(d.log_floor, 9);
    cr_assert_eq(d.shape.runs_level[2], 7);
    cr_assert_eq(d.shape_fixed, 3);
    cr_assert_eq(d.added_count, 1);
    cr_assert_eq(d.added[0].level, OMEN_LEVELS_MAX);
    cr_assert_eq(d.added[0].props.file_id, UINT64_MAX);
    cr_assert_eq(d.added[0].props.range_deletes, 1);
    cr_assert_eq(d.added[0].props.index.knots, 3);
    cr_assert_eq(d.removed[0].number, 32);
    cr_assert_eq(d.moved[0].to_age, 8);
    must(omi_edit_encode(&d, &again)); /* every field: the same bytes again */
    cr_assert(omi_bytes_equal(b.data, b.size, again.data, again.size));
    omi_buf_fini(&b);
    omi_buf_fini(&again);
    omi_edit_fini(&e);
    omi_edit_fini(&d);
}

Test(manifest_damage, unknown_fields_are_skipped_or_refused_by_their_tag)
{
    struct omi_edit d;
    struct omi_buf b = {0};
    must(omi_buf_append_varint(&b, 99));
    must(omi_buf_append_slice(&b, omi_slice("later", 5)));
    must(omi_edit_decode(b.data, b.size, "here", &d));
    cr_assert_eq(d.has, 0);
    omi_edit_fini(&d);
    must(omi_buf_append_varint(&b, 63));
    must(omi_buf_append_slice(&b, omi_slice("later", 5)));
    cr_assert_eq(omi_edit_decode(b.data, b.size, "here", &d), OMEN_UNSUPPORTED);
    cr_assert_not_null(strstr(omen_last_error(), "63"));
    omi_buf_fini(&b);
}

Test(manifest_damage, an_edit_cut_or_flipped_anywhere_gets_an_answer)
{
    struct omi_edit e, d;
    struct omi_buf b = {0};
    full_edit(&e);
    must(omi_edit_encode(&e, &b));
    for (size_t i = 0; i < b.size; i++) {
        for (int kind = 0; kind < 9; kind++) {
            size_t size = kind == 8 ? i : b.size;
            uint8_t *exact = malloc(size + 1); /* a sanitizer sees a read past the end */
            memcpy(exact, b.data, size);
            if (kind < 8)
                exact[i] ^= (uint8_t)(1u << kind);
            omen_err err = omi_edit_decode(exact, size, "here", &d);
            cr_assert(err == OMEN_OK || err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED);
            if (err == OMEN_OK)
                omi_edit_fini(&d);
            free(exact);
        }
    }
    omi_buf_fini(&b);
    omi_edit_fini(&e);
}

Test(manifest_damage, random_bytes_decode_to_an_edit_or_an_error)
{
    uint64_t x = seed_of() | 1;
    for (int round = 0; round < 30000; round++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        size_t size = x >> 58;
        uint8_t *bytes = malloc(size + 1);
        for (size_t i = 0; i < size; i++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            bytes[i] = (uint8_t)(i % 3 != 2 ? x % 16 : x);
        }
        struct omi_edit d;
        omen_err err = omi_edit_decode(bytes, size, "here", &d);
        cr_assert(err == OMEN_OK || err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED,
                  "%s; replay: OMENDB_TEST_SEED=%" PRIu64 " test_manifest_damage",
                  omen_err_name(err), seed_of());
        if (err == OMEN_OK)
            omi_edit_fini(&d);
        free(bytes);
    }
}

/* ---- the file: edit n of a history says last_seq = n ----------------------------------------- */

struct history {
    uint64_t seqs[64];
    uint32_t count;
};

static omen_err remember(void *ctx, struct omi_edit *e)
{
    struct history *h = ctx;
    if (h->count < 64)
        h->seqs[h->count++] = e->last_seq;
    return OMEN_OK;
}

static struct omi_edit counter_edit(uint64_t seq)
{
    return (struct omi_edit){
        .has = OMI_EDIT_COUNTERS, .next_number = 9, .next_age = 9, .last_seq = seq};
}

static struct omi_env *env;
static struct omi_dir *dir;

static void open_dir(void)
{
    env = omi_sim_create(seed_of());
    must(omi_dir_open(env, "/d", true, &dir));
}

static void close_dir(void)
{
    omi_dir_close(dir);
    omi_sim_destroy(env);
}

/* Manifest 1 with edits 1 to count, still open. */
static struct omi_manifest *history_write(uint64_t count)
{
    struct omi_manifest *m = NULL;
    struct omi_edit e = counter_edit(1);
    must(omi_manifest_create(dir, 1, &e, &m));
    for (uint64_t seq = 2; seq <= count; seq++) {
        e = counter_edit(seq);
        must(omi_manifest_append(m, &e));
    }
    return m;
}

static omen_err history_read(struct omi_dir *from, struct history *h, uint64_t *number)
{
    *h = (struct history){0};
    *number = 0;
    omen_err err = omi_manifest_read(from, remember, h, number);
    for (uint32_t i = 0; i < h->count; i++)
        cr_assert_eq(h->seqs[i], h->seqs[0] + i, "edits out of order");
    return err;
}

static void file_put(const char *name, const void *bytes, size_t size)
{
    struct omi_file *file = NULL;
    omi_ignore(omi_dir_unlink(dir, name));
    must(omi_file_open(dir, name, OMI_OPEN_CREATE, 0, &file));
    must(omi_file_pwrite(file, bytes, size, 0));
    must(omi_file_close(file));
}

Test(manifest_damage, edits_are_read_in_order_the_snapshot_first)
{
    struct history h;
    uint64_t number;
    open_dir();
    cr_assert_eq(history_read(dir, &h, &number), OMEN_NOT_FOUND, "a new directory");
    struct omi_manifest *m = history_write(6);
    cr_assert_eq(omi_manifest_number(m), 1);
    must(history_read(dir, &h, &number));
    cr_assert_eq(number, 1);
    cr_assert_eq(h.count, 6);
    must(omi_manifest_close(m));
    close_dir();
}

Test(manifest_damage, a_failed_write_or_sync_seals_it)
{
    const enum omi_sim_fault kinds[] = {OMI_FAULT_WRITE, OMI_FAULT_SYNC};
    for (int i = 0; i < 2; i++) {
        open_dir();
        struct omi_manifest *m = history_write(3);
        struct omi_edit e = counter_edit(4);
        omi_sim_fail(env, kinds[i], 1, false);
        cr_assert_eq(omi_manifest_append(m, &e), OMEN_IO);
        cr_assert_eq(omi_manifest_append(m, &e), OMEN_READ_ONLY);
        struct history h;
        uint64_t number;
        must(history_read(dir, &h, &number));
        cr_assert(h.count == 3 || h.count == 4);
        must(omi_manifest_close(m));
        close_dir();
    }
}

Test(manifest_damage, a_full_disk_keeps_what_was_durable)
{
    open_dir();
    struct omi_manifest *m = history_write(3);
    struct omi_edit e = counter_edit(4);
    omi_sim_capacity(env, omi_sim_used(env) + 7);
    cr_assert_eq(omi_manifest_append(m, &e), OMEN_FULL);
    struct history h;
    uint64_t number;
    must(history_read(dir, &h, &number));
    cr_assert_eq(h.count, 3);
    cr_assert(!omi_manifest_sealed(m));
    omi_sim_capacity(env, UINT64_MAX);
    must(omi_manifest_append(m, &e)); /* the torn record was taken off */
    must(history_read(dir, &h, &number));
    cr_assert_eq(h.count, 4);
    must(omi_manifest_close(m));
    close_dir();
}

/* ---- crashes --------------------------------------------------------------------------------- */

struct crash_run {
    bool created; /* manifest 1 is durable */
    uint64_t durable_seq, issued_seq, points;
};

static void crash_here(void *ctx, uint64_t step)
{
    struct crash_run *c = ctx;
    for (int mode = 0; mode < OMI_CRASH_MODES; mode++) {
        for (uint64_t draw = 0; draw < 4; draw++) {
            struct omi_env *left =
                omi_sim_crash(env, (enum omi_crash_mode)mode, seed_of() + step * 1000 + draw);
            struct omi_dir *d = NULL;
            struct history h;
            uint64_t number;
            cr_assert_not_null(left);
            must(omi_dir_open(left, "/d", true, &d));
            omen_err err = history_read(d, &h, &number);
            if (err == OMEN_NOT_FOUND) {
                cr_assert(!c->created, "step %" PRIu64 " mode %d: neither state is there", step,
                          mode);
            } else {
                cr_assert_eq(err, OMEN_OK, "step %" PRIu64 " mode %d draw %" PRIu64 ": %s", step,
                             mode, draw, omen_last_error());
                uint64_t last = h.seqs[h.count - 1];
                cr_assert(last >= c->durable_seq && last <= c->issued_seq,
                          "step %" PRIu64 " mode %d draw %" PRIu64 ": state %" PRIu64 " of %" PRIu64
                          " to %" PRIu64 "; replay: OMENDB_TEST_SEED=%" PRIu64
                          " test_manifest_damage",
                          step, mode, draw, last, c->durable_seq, c->issued_seq, seed_of());
            }
            omi_dir_close(d);
            omi_sim_destroy(left);
            c->points++;
        }
    }
}

Test(manifest_damage, a_crash_at_any_step_leaves_the_old_or_the_new_state)
{
    struct crash_run c = {.issued_seq = 1};
    open_dir();
    omi_sim_on_step(env, crash_here, &c);
    struct omi_manifest *m = NULL;
    struct omi_edit e = counter_edit(1);
    for (uint64_t number = 1; number <= 4; number++) {
        struct omi_manifest *next = NULL;
        e = counter_edit(c.issued_seq);
        must(omi_manifest_create(dir, number, &e, &next));
        c.created = true;
        c.durable_seq = c.issued_seq;
        if (m != NULL) {
            char name[32];
            must(omi_manifest_close(m));
            snprintf(name, sizeof(name), "MANIFEST-%06" PRIu64, number - 1);
            must(omi_dir_unlink(dir, name));
        }
        m = next;
        for (int i = 0; i < 3; i++) {
            e = counter_edit(++c.issued_seq);
            must(omi_manifest_append(m, &e));
            c.durable_seq = c.issued_seq;
        }
    }
    crash_here(&c, 0);
    omi_sim_on_step(env, NULL, NULL);
    cr_assert_gt(c.points, 1000);
    must(omi_manifest_close(m));
    close_dir();
}

/* ---- damage ---------------------------------------------------------------------------------- */

Test(manifest_damage, a_torn_last_record_is_dropped_at_every_length)
{
    uint8_t *bytes;
    size_t size;
    uint64_t ends[8] = {0}, number;
    struct history h;
    open_dir();
    struct omi_manifest *m = history_write(1);
    ends[1] = omi_manifest_bytes(m);
    for (uint64_t seq = 2; seq <= 5; seq++) {
        struct omi_edit e = counter_edit(seq);
        must(omi_manifest_append(m, &e));
        ends[seq] = omi_manifest_bytes(m);
    }
    must(omi_manifest_close(m));
    must(omi_file_read_all(dir, "MANIFEST-000001", SIZE_MAX / 2, &bytes, &size));
    for (size_t cut = 0; cut <= size; cut++) {
        file_put("MANIFEST-000001", bytes, cut);
        omen_err err = history_read(dir, &h, &number);
        if (cut ==
            32) /* header alone: no state; the engine refuses it for having no first record */
            continue;
        if (cut < ends[1]) {
            cr_assert_eq(err, OMEN_CORRUPT, "the snapshot is never torn; cut %zu", cut);
            continue;
        }
        cr_assert_eq(err, OMEN_OK, "cut %zu: %s", cut, omen_last_error());
        uint64_t whole = 1;
        while (whole < 5 && ends[whole + 1] <= cut)
            whole++;
        cr_assert_eq(h.count, whole, "cut %zu", cut);
    }
    free(bytes);
    close_dir();
}

Test(manifest_damage, every_flipped_byte_before_the_last_record_is_refused)
{
    struct history h;
    uint64_t number;
    open_dir();
    struct omi_manifest *m = history_write(5);
    uint64_t last = omi_manifest_bytes(m);
    struct omi_edit e = counter_edit(6);
    must(omi_manifest_append(m, &e));
    uint64_t end = omi_manifest_bytes(m);
    must(omi_manifest_close(m));
    for (uint64_t off = 0; off < end; off++) {
        must(omi_sim_damage(env, "/d", "MANIFEST-000001", off, (unsigned)(off % 8)));
        omen_err err = history_read(dir, &h, &number);
        if (off < last)
            cr_assert(err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED, "offset %" PRIu64, off);
        else
            cr_assert(err == OMEN_OK && h.count == 5, "the last record, as if torn: %" PRIu64, off);
        must(omi_sim_damage(env, "/d", "MANIFEST-000001", off, (unsigned)(off % 8)));
    }
    close_dir();
}

Test(manifest_damage, a_wrong_magic_is_corrupt_and_a_newer_format_unsupported)
{
    uint8_t *bytes;
    size_t size;
    struct history h;
    uint64_t number;
    open_dir();
    must(omi_manifest_close(history_write(1)));
    must(omi_file_read_all(dir, "MANIFEST-000001", SIZE_MAX / 2, &bytes, &size));
    omi_put_u32(bytes + 8, 2);
    omi_put_u64(bytes + 24, omi_checksum(bytes, 24, 0));
    file_put("MANIFEST-000001", bytes, size);
    cr_assert_eq(history_read(dir, &h, &number), OMEN_UNSUPPORTED);
    bytes[0] ^= 1;
    omi_put_u64(bytes + 24, omi_checksum(bytes, 24, 0));
    file_put("MANIFEST-000001", bytes, size);
    cr_assert_eq(history_read(dir, &h, &number), OMEN_CORRUPT);
    free(bytes);
    close_dir();
}

Test(manifest_damage, a_current_that_names_nothing_good_is_corrupt)
{
    const char *lines[] = {"",
                           "\n",
                           "MANIFEST-000001",
                           "MANIFEST-000002\n",
                           "MANIFEST-1\n",
                           "MANIFEST-000001\nx",
                           "../MANIFEST-000001\n",
                           "MANIFEST-99999999999999999999999\n",
                           "MANIFEST-00000a\n"};
    struct history h;
    uint64_t number;
    open_dir();
    must(omi_manifest_close(history_write(1)));
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        file_put("CURRENT", lines[i], strlen(lines[i]));
        cr_assert_eq(history_read(dir, &h, &number), OMEN_CORRUPT, "\"%s\"", lines[i]);
    }
    file_put("CURRENT", "MANIFEST-000001\n", 16);
    must(history_read(dir, &h, &number));
    close_dir();
}

Test(manifest_damage, a_read_error_is_not_the_end_of_it)
{
    struct history h;
    uint64_t number;
    open_dir();
    must(omi_manifest_close(history_write(4)));
    for (uint64_t n = 1; n <= 2; n++) {
        omi_sim_fail(env, OMI_FAULT_READ, n, true);
        cr_assert_eq(history_read(dir, &h, &number), OMEN_IO);
    }
    close_dir();
}

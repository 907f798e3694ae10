#include "io/env_sim.h"
#include "lsm/manifest.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(manifest, .timeout = 60);

static struct omi_env *env;
static struct omi_dir *dir;

static void setup(void)
{
    env = omi_sim_create(7);
    cr_assert_eq(omi_dir_open(env, "/m", true, &dir), OMEN_OK);
}

static void teardown(void)
{
    omi_dir_close(dir);
    omi_sim_destroy(env);
}

/* The snapshot edit has last_seq 1; later edits count on from it. */
static struct omi_edit make_edit(uint64_t n)
{
    struct omi_edit e = {.has = OMI_EDIT_COUNTERS | OMI_EDIT_FLUSHED | OMI_EDIT_SHAPE,
                         .next_number = n + 10,
                         .next_age = n + 1,
                         .last_seq = n,
                         .flushed_seq = n,
                         .log_floor = n / 2};
    struct omi_table_props props = {.file_id = n * 77,
                                    .file_bytes = 1000 + n,
                                    .raw_bytes = 5000,
                                    .entries = 9,
                                    .deletes = 2,
                                    .min_seq = 1,
                                    .max_seq = n};
    e.shape.size_ratio = 6;
    e.shape.runs_upper = 4;
    e.shape.runs_last = 1;
    e.shape.memtable_bytes = 1 << 20;
    e.shape.runs_level[3] = 5;
    cr_assert_eq(omi_buf_append(&props.smallest, "aa", 2), OMEN_OK);
    cr_assert_eq(omi_buf_append(&props.largest, "zz\0z", 4), OMEN_OK);
    cr_assert_eq(omi_edit_add(&e, 1 + (uint32_t)(n % 3), n, n, &props), OMEN_OK);
    cr_assert_eq(omi_edit_remove(&e, 2, n, n + 5), OMEN_OK);
    struct omi_edit_move move = {1, 2, n, n + 1, n + 7};
    cr_assert_eq(omi_edit_move(&e, &move), OMEN_OK);
    if (n == 1) {
        e.has |= OMI_EDIT_IDENTITY | OMI_EDIT_OPTIONS;
        cr_assert_eq(omi_buf_append(&e.options, "size_ratio=6\n", 13), OMEN_OK);
    }
    return e;
}

struct seen {
    uint64_t count, last;
    bool broken;
};

static omen_err see(void *ctx, struct omi_edit *e)
{
    struct seen *s = ctx;
    s->count++;
    s->last = e->last_seq;
    if (e->last_seq != s->count || e->added_count != 1 || e->removed_count != 1 ||
        e->moved_count != 1 || e->added[0].props.file_bytes != 1000 + e->last_seq ||
        e->added[0].props.file_id != e->last_seq * 77 || e->added[0].props.largest.size != 4 ||
        e->shape.runs_level[3] != 5 || e->flushed_seq != e->last_seq ||
        e->removed[0].number != e->last_seq + 5 || e->moved[0].to_age != e->last_seq + 1)
        s->broken = true;
    return OMEN_OK;
}

static omen_err read_in(struct omi_env *in, struct seen *s, uint64_t *number)
{
    struct omi_dir *d;
    *s = (struct seen){0};
    cr_assert_eq(omi_dir_open(in, "/m", false, &d), OMEN_OK);
    omen_err err = omi_manifest_read(d, see, s, number);
    cr_assert_not(s->broken, "an edit came back changed");
    omi_dir_close(d);
    return err;
}

static struct omi_manifest *create(uint64_t number)
{
    struct omi_manifest *m;
    struct omi_edit e = make_edit(1);
    cr_assert_eq(omi_manifest_create(dir, number, &e, &m), OMEN_OK, "%s", omen_last_error());
    omi_edit_fini(&e);
    return m;
}

static omen_err append(struct omi_manifest *m, uint64_t n)
{
    struct omi_edit e = make_edit(n);
    omen_err err = omi_manifest_append(m, &e);
    omi_edit_fini(&e);
    return err;
}

Test(manifest, gives_back_its_edits_in_order, .init = setup, .fini = teardown)
{
    struct seen s;
    uint64_t number;
    cr_assert_eq(read_in(env, &s, &number), OMEN_NOT_FOUND);
    struct omi_manifest *m = create(4);
    for (uint64_t n = 2; n <= 20; n++)
        cr_assert_eq(append(m, n), OMEN_OK);
    cr_assert_eq(omi_manifest_close(m), OMEN_OK);
    cr_assert_eq(read_in(env, &s, &number), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(s.count, 20);
    cr_assert_eq(number, 4);
}

Test(manifest, every_flipped_bit_is_noticed_or_drops_only_the_last_edit, .init = setup,
     .fini = teardown)
{
    struct seen s;
    uint64_t number;
    struct omi_manifest *m = create(4);
    for (uint64_t n = 2; n <= 5; n++)
        cr_assert_eq(append(m, n), OMEN_OK);
    uint64_t bytes = omi_manifest_bytes(m);
    cr_assert_eq(omi_manifest_close(m), OMEN_OK);
    for (uint64_t off = 0; off < bytes; off++) {
        cr_assert_eq(omi_sim_damage(env, "/m", "MANIFEST-000004", off, 4), OMEN_OK);
        omen_err err = read_in(env, &s, &number);
        cr_assert(err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED ||
                      (err == OMEN_OK && s.count >= 4),
                  "offset %lu: %s after %lu", off, omen_err_name(err), s.count);
        cr_assert_eq(omi_sim_damage(env, "/m", "MANIFEST-000004", off, 4), OMEN_OK);
    }
    for (uint64_t off = 0; off < 16; off++) {
        cr_assert_eq(omi_sim_damage(env, "/m", "CURRENT", off, 1), OMEN_OK);
        cr_assert_eq(read_in(env, &s, &number), OMEN_CORRUPT, "CURRENT, offset %lu", off);
        cr_assert_eq(omi_sim_damage(env, "/m", "CURRENT", off, 1), OMEN_OK);
    }
}

struct crash {
    uint64_t durable, checks;
};

static void crash_step(void *ctx, uint64_t step)
{
    struct crash *c = ctx;
    for (int mode = 0; mode < OMI_CRASH_MODES; mode++) {
        struct omi_env *clone = omi_sim_crash(env, (enum omi_crash_mode)mode, step * 32 + 5);
        struct seen s;
        uint64_t number;
        omen_err err = read_in(clone, &s, &number);
        cr_assert_eq(err, OMEN_OK, "mode %d, step %lu: %s", mode, step, omen_last_error());
        cr_assert_geq(s.count, c->durable, "mode %d, step %lu", mode, step);
        omi_sim_destroy(clone);
        c->checks++;
    }
}

Test(manifest, a_crash_at_any_step_shows_the_old_or_the_new_state, .init = setup, .fini = teardown)
{
    struct omi_manifest *m = create(1), *next;
    struct crash c = {.durable = 1};
    omi_sim_on_step(env, crash_step, &c);
    for (uint64_t n = 2; n <= 12; n++) {
        cr_assert_eq(append(m, n), OMEN_OK);
        c.durable = n;
    }
    c.durable = 1; /* the new manifest begins with a snapshot, which counts as one edit here */
    next = create(2);
    omi_sim_on_step(env, NULL, NULL);
    cr_assert_gt(c.checks, 100);
    cr_assert_eq(omi_manifest_close(m), OMEN_OK);
    cr_assert_eq(omi_manifest_close(next), OMEN_OK);
}

Test(manifest, a_failed_sync_seals_it, .init = setup, .fini = teardown)
{
    struct omi_manifest *m = create(1);
    omi_sim_fail(env, OMI_FAULT_SYNC, 1, false);
    cr_assert_eq(append(m, 2), OMEN_IO);
    omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
    cr_assert_eq(append(m, 3), OMEN_READ_ONLY);
    cr_assert_eq(omi_manifest_close(m), OMEN_OK);
}

Test(manifest, edits_of_any_bytes_are_refused_or_decoded)
{
    struct omi_edit e = make_edit(3), out;
    struct omi_buf bytes = {0};
    cr_assert_eq(omi_edit_encode(&e, &bytes), OMEN_OK);
    omi_edit_fini(&e);
    for (size_t at = 0; at < bytes.size; at++)
        for (int bit = 0; bit < 8; bit++) {
            bytes.data[at] ^= (uint8_t)(1 << bit);
            omen_err err = omi_edit_decode(bytes.data, bytes.size, "t", &out);
            cr_assert(err == OMEN_OK || err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED);
            if (err == OMEN_OK)
                omi_edit_fini(&out);
            bytes.data[at] ^= (uint8_t)(1 << bit);
        }
    for (size_t size = 0; size < bytes.size; size++)
        if (omi_edit_decode(bytes.data, size, "t", &out) == OMEN_OK)
            omi_edit_fini(&out);
    omi_buf_fini(&bytes);
}

Test(manifest, unknown_fields_are_skipped_or_refused_by_their_tag)
{
    static const uint8_t skippable[] = {100, 2, 'x', 'y'}, needed[] = {40, 1, 'x'};
    struct omi_edit e;
    cr_assert_eq(omi_edit_decode(skippable, sizeof(skippable), "t", &e), OMEN_OK);
    omi_edit_fini(&e);
    cr_assert_eq(omi_edit_decode(needed, sizeof(needed), "t", &e), OMEN_UNSUPPORTED);
}

static omen_err decode_again(const struct omi_edit *e)
{
    struct omi_buf bytes = {0};
    struct omi_edit again;
    cr_assert_eq(omi_edit_encode(e, &bytes), OMEN_OK);
    omen_err err = omi_edit_decode(bytes.data, bytes.size, "t", &again);
    if (err == OMEN_OK)
        omi_edit_fini(&again);
    omi_buf_fini(&bytes);
    return err;
}

/* A number that cannot be counted on from would make names that CURRENT cannot hold, or a sequence
 * number that no trailer can. */
Test(manifest, numbers_out_of_range_are_refused)
{
    struct omi_edit e = make_edit(3);
    uint64_t *const numbers[] = {&e.next_number,     &e.next_age,     &e.log_floor,
                                 &e.added[0].number, &e.added[0].age, &e.moved[0].to_age};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        uint64_t was = *numbers[i];
        *numbers[i] = OMI_NUMBER_MAX;
        cr_assert_eq(decode_again(&e), OMEN_OK);
        *numbers[i] = OMI_NUMBER_MAX + 1;
        cr_assert_eq(decode_again(&e), OMEN_CORRUPT, "number %zu", i);
        *numbers[i] = was;
    }
    e.last_seq = OMI_SEQ_MAX + 1;
    cr_assert_eq(decode_again(&e), OMEN_CORRUPT);
    e.last_seq = OMI_SEQ_MAX;
    cr_assert_eq(decode_again(&e), OMEN_OK);
    e.flushed_seq = OMI_SEQ_MAX + 1;
    cr_assert_eq(decode_again(&e), OMEN_CORRUPT);
    omi_edit_fini(&e);
}

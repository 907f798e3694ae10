/* Scans with range filters show what scans without them show, and read less. */
#include "io/base/coding.h"
#include "io/env_sim.h"
#include "lsm/db.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(scan_range, .timeout = 240);

static uint64_t rng_state;

static uint64_t rnd(void)
{
    uint64_t z = rng_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct twin { /* the same database, with range filters and without */
    struct omi_env *env[2];
    omen_db *db[2];
    omen_snapshot *snapshot[2];
};

static void open_twin(struct twin *t, const char *options)
{
    for (int i = 0; i < 2; i++) {
        char text[300];
        omen_options o = {.struct_bytes = sizeof(o),
                          .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK};
        snprintf(text, sizeof(text), "memory_bytes=16M,memtable_bytes=64K,block_bytes=1K,%s,%s",
                 i == 0 ? "range_filter=off" : "range_filter=on", options);
        if (t->env[i] == NULL)
            t->env[i] = omi_sim_create(7);
        cr_assert_eq(omen_options_from_string(text, &o), OMEN_OK, "%s", omen_last_error());
        cr_assert_eq(omi_db_open(t->env[i], "/db", &o, &t->db[i]), OMEN_OK, "%s",
                     omen_last_error());
    }
}

static void close_twin(struct twin *t)
{
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(omen_close(t->db[i]), OMEN_OK, "%s", omen_last_error());
        omi_sim_destroy(t->env[i]);
    }
}

static omen_stats stats_of(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    cr_assert_eq(omen_get_stats(db, &s), OMEN_OK);
    return s;
}

/* ---- keys ------------------------------------------------------------------------------------ */

enum family { DENSE, SPREAD, TEXT, NESTED, FAMILIES };

static size_t make_key(enum family family, uint64_t i, uint8_t out[static 64])
{
    uint64_t v = family == DENSE ? i * 3 : i * UINT64_C(0x9e3779b97f4a7c15);
    switch (family) {
    case TEXT:
        return (size_t)snprintf((char *)out, 64, "user%09llu", (unsigned long long)(i * 7));
    case NESTED:
        memset(out, 'a' + (int)(i % 3), 40);
        return 1 + i / 3 % 40;
    default:
        for (int b = 0; b < 8; b++)
            out[b] = (uint8_t)(v >> (56 - 8 * b));
        return 8;
    }
}

/* One that may be there, or lies between those that may. */
static size_t near_key(enum family family, uint64_t count, uint8_t out[static 64])
{
    size_t size = make_key(family, rnd() % (count + 2), out);
    switch (rnd() % 4) {
    case 0:
        out[size++] = (uint8_t)rnd();
        break;
    case 1:
        size -= size > 0;
        break;
    case 2:
        out[rnd() % size] = (uint8_t)rnd();
        break;
    default:
        break;
    }
    return size;
}

/* ---- the same in both ------------------------------------------------------------------------ */

static void write_some(struct twin *t, enum family family, uint64_t count, uint32_t operations)
{
    uint8_t key[64], value[120];
    for (uint32_t n = 0; n < operations; n++) {
        omen_slice k = omi_slice(key, make_key(family, rnd() % count, key));
        size_t size = 8 + rnd() % 100;
        bool is_delete = rnd() % 4 == 0;
        memset(value, (int)rnd(), size);
        omi_put_u64(value, rnd());
        for (int i = 0; i < 2; i++)
            cr_assert_eq(is_delete ? omen_delete(t->db[i], NULL, k)
                                   : omen_put(t->db[i], NULL, k, omi_slice(value, size)),
                         OMEN_OK, "%s", omen_last_error());
    }
}

static void compare(omen_iter *const it[2], const char *how)
{
    cr_assert_eq(omen_iter_status(it[0]), OMEN_OK);
    cr_assert_eq(omen_iter_status(it[1]), OMEN_OK);
    cr_assert_eq(omen_iter_valid(it[0]), omen_iter_valid(it[1]), "%s: valid", how);
    omen_slice k[2], v[2];
    for (int i = 0; i < 2; i++) {
        k[i] = omen_iter_key(it[i]);
        v[i] = omen_iter_value(it[i]);
    }
    cr_assert(omi_bytes_equal(k[0].data, k[0].size, k[1].data, k[1].size), "%s: key", how);
    cr_assert(omi_bytes_equal(v[0].data, v[0].size, v[1].data, v[1].size), "%s: value", how);
}

/* Bounds drawn into low and high; either may be absent. */
static omen_read_options draw_bounds(enum family family, uint64_t count, uint8_t low[static 64],
                                     uint8_t high[static 64])
{
    omen_read_options o = {.struct_bytes = sizeof(o)};
    o.lower = omi_slice(low, near_key(family, count, low));
    o.upper = omi_slice(high, near_key(family, count, high));
    if (rnd() % 3 == 0)
        o.flags |= OMEN_HAS_LOWER;
    if (rnd() % 3 == 0)
        o.flags |= OMEN_HAS_UPPER;
    if (rnd() % 4 == 0) {
        o.prefix = omi_slice(low, o.lower.size < 5 ? o.lower.size : 1 + rnd() % 5);
        o.flags |= OMEN_HAS_PREFIX;
    }
    return o;
}

static void walk(struct twin *t, enum family family, uint64_t count)
{
    uint8_t low[64], high[64], key[64];
    omen_iter *it[2];
    omen_read_options o = draw_bounds(family, count, low, high);
    bool past = rnd() % 3 == 0 && t->snapshot[0] != NULL;
    for (int i = 0; i < 2; i++) {
        o.snapshot = past ? t->snapshot[i] : NULL;
        cr_assert_eq(omen_iter_open(t->db[i], &o, &it[i]), OMEN_OK, "%s", omen_last_error());
    }
    for (uint64_t seeks = 1 + rnd() % 4; seeks-- > 0;) {
        omen_slice k = omi_slice(key, near_key(family, count, key));
        uint64_t how = rnd() % 8;
        for (int i = 0; i < 2; i++) {
            if (how == 0)
                omen_iter_seek_first(it[i]);
            else if (how == 1)
                omen_iter_seek_last(it[i]);
            else if (how < 4)
                omen_iter_seek_for_prev(it[i], k);
            else
                omen_iter_seek(it[i], k);
        }
        compare(it, how < 4 && how != 0 ? "seek back" : "seek");
        bool forward = rnd() % 2;
        uint64_t turn_one_in = 2 + rnd() % 12;
        for (uint64_t steps = rnd() % (rnd() % 4 == 0 ? 80 : 12); steps-- > 0;) {
            if (rnd() % turn_one_in == 0)
                forward = !forward;
            for (int i = 0; i < 2; i++)
                forward ? omen_iter_next(it[i]) : omen_iter_prev(it[i]);
            compare(it, forward ? "next" : "prev");
        }
    }
    for (int i = 0; i < 2; i++)
        omen_iter_close(it[i]);
}

static void take_snapshot(struct twin *t)
{
    for (int i = 0; i < 2; i++) {
        omen_snapshot_release(t->snapshot[i]);
        cr_assert_eq(omen_snapshot_create(t->db[i], &t->snapshot[i]), OMEN_OK);
    }
}

static void check_family(enum family family, const char *options, uint64_t count)
{
    struct twin t = {0};
    rng_state = 100 + (uint64_t)family;
    open_twin(&t, options);
    for (uint32_t round = 0; round < 60; round++) {
        write_some(&t, family, count, 700);
        for (uint32_t n = 0; n < 60; n++)
            walk(&t, family, count);
        if (round % 7 == 3)
            take_snapshot(&t);
        if (round == 40)
            for (int i = 0; i < 2; i++)
                cr_assert_eq(omen_compact(t.db[i], NULL, NULL), OMEN_OK);
    }
    omen_stats off = stats_of(t.db[0]), on = stats_of(t.db[1]);
    cr_assert_eq(off.range_filter_parked, 0);
    cr_assert_eq(off.range_filter_bytes, 0);
    cr_assert_gt(on.range_filter_parked, 1000);
    cr_assert_lt(on.range_filter_activated, on.range_filter_parked);
    cr_assert_lt(on.scan_blocks, off.scan_blocks);
    for (int i = 0; i < 2; i++) {
        omen_snapshot_release(t.snapshot[i]);
        cr_assert_eq(omen_verify(t.db[i],
                                 &(omen_verify_report){.struct_bytes = sizeof(omen_verify_report)},
                                 NULL, NULL),
                     OMEN_OK, "%s", omen_last_error());
    }
    close_twin(&t);
}

Test(scan_range, shows_the_same_over_dense_numbers)
{
    check_family(DENSE, "size_ratio=3,runs_upper=3", 4000);
}

Test(scan_range, shows_the_same_over_spread_numbers)
{
    check_family(SPREAD, "size_ratio=2,runs_upper=2,target_file_bytes=64K", 6000);
}

Test(scan_range, shows_the_same_over_text)
{
    check_family(TEXT, "size_ratio=4,runs_upper=6,codec_last=zstd,filter_bits=none", 3000);
}

Test(scan_range, shows_the_same_over_keys_within_keys)
{
    check_family(NESTED, "size_ratio=3,runs_upper=4", 120);
}

/* Filters come and go under a budget for a few of them; what is not there says "maybe". */
Test(scan_range, shows_the_same_while_filters_come_and_go)
{
    check_family(SPREAD, "size_ratio=2,runs_upper=2,target_file_bytes=64K,filter_bytes=6K", 6000);
}

/* ---- what it saves --------------------------------------------------------------------------- */

static uint64_t scan_ten(omen_db *db, uint64_t start, uint64_t *digest)
{
    uint8_t key[64];
    omen_iter *it;
    uint64_t rows = 0;
    for (int b = 0; b < 8; b++)
        key[b] = (uint8_t)(start >> (56 - 8 * b));
    cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
    for (omen_iter_seek(it, omi_slice(key, 8)); omen_iter_valid(it) && rows < 10; rows++) {
        *digest = (*digest ^ omi_head64(omen_iter_key(it).data, 8)) * UINT64_C(0x100000001b3);
        if (rows + 1 < 10)
            omen_iter_next(it);
    }
    cr_assert_eq(omen_iter_status(it), OMEN_OK);
    omen_iter_close(it);
    return rows;
}

/* Check 21 of the design note: ten rows over five levels, of which the upper ones hold about a tenth
 * of the data. A run whose block is read in vain is one that has no key among the rows. */
Test(scan_range, four_in_five_blocks_read_in_vain_above_the_last_level_are_not)
{
    enum { LAST = 240000, UPPER = 27000, SCANS = 4000 };
    struct twin t = {0};
    rng_state = 5;
    open_twin(&t, "size_ratio=3,runs_upper=2,target_file_bytes=256K");
    uint8_t key[64], value[64] = {0};
    for (uint64_t i = 0; i < LAST + UPPER; i++) {
        omen_slice k = omi_slice(key, make_key(SPREAD, rnd() % (2 * LAST), key));
        for (int d = 0; d < 2; d++)
            cr_assert_eq(omen_put(t.db[d], NULL, k, omi_slice(value, 64)), OMEN_OK);
        if (i + 1 == LAST)
            for (int d = 0; d < 2; d++)
                cr_assert_eq(omen_compact(t.db[d], NULL, NULL), OMEN_OK);
    }
    omen_stats before[2], after[2];
    uint64_t digest[2] = {0}, start[SCANS];
    for (uint32_t i = 0; i < SCANS; i++)
        start[i] = rnd();
    for (int d = 0; d < 2; d++) {
        before[d] = stats_of(t.db[d]);
        for (uint32_t i = 0; i < SCANS; i++)
            scan_ten(t.db[d], start[i], &digest[d]);
        after[d] = stats_of(t.db[d]);
    }
    cr_assert_eq(digest[0], digest[1]);
    cr_assert_geq(after[1].levels, 5);
    uint64_t saved = (after[0].scan_blocks - before[0].scan_blocks) -
                     (after[1].scan_blocks - before[1].scan_blocks);
    uint64_t in_vain = after[1].range_filter_in_vain - before[1].range_filter_in_vain;
    uint64_t parked = after[1].range_filter_parked - before[1].range_filter_parked;
    uint64_t activated = after[1].range_filter_activated - before[1].range_filter_activated;
    printf("levels %u, blocks a scan %.2f -> %.2f; parked %llu, activated %llu, in vain %llu\n",
           after[1].levels, (double)(after[0].scan_blocks - before[0].scan_blocks) / SCANS,
           (double)(after[1].scan_blocks - before[1].scan_blocks) / SCANS,
           (unsigned long long)parked, (unsigned long long)activated, (unsigned long long)in_vain);
    for (uint32_t l = 0; l < after[1].levels; l++)
        printf("level %u: %u runs, %llu entries\n", l + 1, after[1].level[l].runs,
               (unsigned long long)after[1].level[l].entries);
    cr_assert_geq(saved, parked - activated, "each run left unread is a block less");
    cr_assert_geq(10 * saved, 8 * (saved + in_vain), "saved %llu, in vain %llu",
                  (unsigned long long)saved, (unsigned long long)in_vain);
    cr_assert_gt(parked, 2 * SCANS);
    close_twin(&t);
}

/* ---- whether they are made ------------------------------------------------------------------- */

static void fill(omen_db *db, uint64_t from, uint64_t count)
{
    uint8_t key[64], value[64] = {0};
    for (uint64_t i = from; i < from + count; i++)
        cr_assert_eq(
            omen_put(db, NULL, omi_slice(key, make_key(SPREAD, i, key)), omi_slice(value, 64)),
            OMEN_OK);
}

static void scan_rows(omen_db *db, uint32_t scans, uint32_t rows)
{
    uint8_t key[64];
    for (uint32_t i = 0; i < scans; i++) {
        omen_iter *it;
        cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
        omen_iter_seek(it, omi_slice(key, make_key(SPREAD, rnd(), key)));
        for (uint32_t n = 1; n < rows; n++)
            omen_iter_next(it);
        omen_iter_close(it);
    }
}

/* Tables with range filters after scans of so many rows, in a database that left it to the engine. */
static uint64_t tables_after_scans(const char *mode, uint32_t scans, uint32_t rows, uint32_t gets)
{
    struct twin t = {0};
    char options[100];
    uint8_t key[64];
    rng_state = 9;
    snprintf(options, sizeof(options), "size_ratio=4,runs_upper=4,range_filter=%s", mode);
    open_twin(&t, options);
    omi_sample_set_every(t.db[1]->sample, 0);
    fill(t.db[1], 0, 20000);
    cr_assert_eq(omen_compact(t.db[1], NULL, NULL), OMEN_OK);
    scan_rows(t.db[1], scans, rows);
    for (uint32_t i = 0; i < gets; i++) {
        omen_value v;
        if (omen_get(t.db[1], NULL, omi_slice(key, make_key(SPREAD, rnd(), key)), &v) == OMEN_OK)
            omen_value_release(&v);
    }
    fill(t.db[1], 20000, 400);
    cr_assert_eq(omen_flush(t.db[1]), OMEN_OK);
    omen_stats s = stats_of(t.db[1]);
    cr_assert((s.range_filter_tables == 0) == (s.range_filter_bytes == 0));
    close_twin(&t);
    return s.range_filter_tables;
}

Test(scan_range, filters_are_made_where_short_scans_were_seen)
{
    cr_expect_eq(tables_after_scans("auto", 2000, 10, 0), 1);
    cr_expect_eq(tables_after_scans("auto", 2000, 10, 2000), 1);
    cr_expect_eq(tables_after_scans("off", 2000, 10, 0), 0);
    cr_expect_eq(tables_after_scans("auto", 0, 0, 2000), 0, "no scans");
    cr_expect_eq(tables_after_scans("auto", 20, 10, 0), 0, "too few scans");
    cr_expect_eq(tables_after_scans("auto", 100, 10, 20000), 0, "too few beside the lookups");
    cr_expect_eq(tables_after_scans("auto", 2000, 400, 0), 0, "long scans");
    cr_expect_eq(tables_after_scans("on", 0, 0, 0), 1);
}

Test(scan_range, none_are_made_in_the_last_level_or_when_switched_off)
{
    struct twin t = {0};
    open_twin(&t, "size_ratio=4");
    fill(t.db[1], 0, 5000);
    cr_assert_gt(stats_of(t.db[1]).range_filter_tables, 0);
    cr_assert_eq(omen_compact(t.db[1], NULL, NULL), OMEN_OK);
    cr_assert_eq(stats_of(t.db[1]).range_filter_tables, 0);
    cr_assert_eq(omen_set_option(t.db[1], "range_filter", "off"), OMEN_OK);
    fill(t.db[1], 5000, 300);
    cr_assert_eq(omen_flush(t.db[1]), OMEN_OK);
    cr_assert_eq(stats_of(t.db[1]).range_filter_tables, 0);
    close_twin(&t);
}

/* What purposes ask of the device: counted exactly, by level, kept with the database. */
#include "io/base/coding.h"
#include "io/env_sim.h"
#include "lsm/db.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

TestSuite(stats_io, .timeout = 60);

static struct omi_env *env;

static void setup(void)
{
    env = omi_sim_create(4);
    cr_assert(env != NULL);
}

static void teardown(void)
{
    omi_sim_destroy(env);
}

static omen_db *open_db(uint64_t cache_bytes)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .cache_bytes = cache_bytes,
                      .filter_bytes = 1u << 20,
                      .size_ratio = 3,
                      .runs_upper = 2,
                      .codec_last = OMEN_CODEC_NONE};
    omen_db *db;
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
    return db;
}

static omen_stats stats_of(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    cr_assert_eq(omen_get_stats(db, &s), OMEN_OK, "%s", omen_last_error());
    return s;
}

static omen_slice key_of(uint64_t number, char text[static 24])
{
    return omi_slice(text, (size_t)snprintf(text, 24, "key%010" PRIu64, number));
}

static void put(omen_db *db, uint64_t number)
{
    char key[24], value[100] = {0};
    cr_assert_eq(omen_put(db, NULL, key_of(number, key), omi_slice(value, sizeof(value))), OMEN_OK);
}

static void get(omen_db *db, uint64_t number)
{
    char key[24];
    omen_value value;
    omen_err err = omen_get(db, NULL, key_of(number, key), &value);
    cr_assert(err == OMEN_OK || err == OMEN_NOT_FOUND, "%s", omen_last_error());
    omen_value_release(&value);
}

static void expect_sums(const omen_stats *s)
{
    omen_level_io sum = {0};
    for (int l = 0; l < OMEN_LEVELS_MAX; l++) {
        const omen_level_io *io = &s->level_io[l];
        sum.filter_probes += io->filter_probes;
        sum.filter_negatives += io->filter_negatives;
        sum.filter_false_positives += io->filter_false_positives;
        sum.get_blocks += io->get_blocks;
        sum.get_block_reads += io->get_block_reads;
        sum.scan_opens += io->scan_opens;
        sum.scan_blocks += io->scan_blocks;
        sum.scan_block_reads += io->scan_block_reads;
        sum.moved_tables += io->moved_tables;
    }
    cr_assert_eq(sum.filter_probes, s->filter_probes);
    cr_assert_eq(sum.filter_negatives, s->filter_negatives);
    cr_assert_eq(sum.filter_false_positives, s->filter_false_positives);
    cr_assert_eq(sum.get_blocks, s->get_blocks);
    cr_assert_eq(sum.get_block_reads, s->get_block_reads);
    cr_assert_eq(sum.scan_opens, s->scan_opens);
    cr_assert_eq(sum.scan_blocks, s->scan_blocks);
    cr_assert_eq(sum.scan_block_reads, s->scan_block_reads);
    cr_assert_eq(sum.moved_tables, s->merge_moved_tables);
}

Test(stats_io, one_run_is_one_block_a_lookup_and_one_opening_a_seek, .init = setup,
     .fini = teardown)
{
    enum { KEYS = 20000 };
    omen_db *db = open_db(OMEN_NONE);
    for (uint64_t i = 0; i < KEYS; i++)
        put(db, 2 * i);
    cr_assert_eq(omen_compact(db, NULL, NULL), OMEN_OK);
    omen_stats before = stats_of(db), s;
    uint32_t level = before.levels - 1;
    for (uint64_t i = 0; i < 500; i++)
        get(db, 2 * (i * 37 % KEYS));
    s = stats_of(db);
    cr_assert_eq(s.level_io[level].filter_probes - before.level_io[level].filter_probes, 500);
    cr_assert_eq(s.level_io[level].get_blocks - before.level_io[level].get_blocks, 500);
    cr_assert_eq(s.get_block_reads - before.get_block_reads, 500, "nothing is kept");
    cr_assert_eq(s.user_read_bytes - before.user_read_bytes, 500 * 100);
    before = s;
    for (uint64_t i = 0; i < 300; i++) {
        omen_iter *it;
        char key[24];
        cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
        omen_iter_seek(it, key_of(2 * (i * 37 % KEYS), key));
        cr_assert(omen_iter_valid(it));
        omen_iter_close(it);
    }
    s = stats_of(db);
    cr_assert_eq(s.scan_opens - before.scan_opens, 300);
    cr_assert_eq(s.scan_blocks - before.scan_blocks, 300);
    cr_assert_eq(s.scan_block_reads - before.scan_block_reads, 300);
    cr_assert_eq(s.scan_entries - before.scan_entries, 300);
    before = s;
    omen_iter *it; /* all blocks, each asked and read once */
    cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
    for (omen_iter_seek_first(it); omen_iter_valid(it);)
        omen_iter_next(it);
    omen_iter_close(it);
    s = stats_of(db);
    cr_assert_eq(s.scan_opens - before.scan_opens, 1);
    cr_assert_eq(s.scan_blocks - before.scan_blocks, s.index_blocks);
    cr_assert_eq(s.scan_block_reads - before.scan_block_reads, s.index_blocks);
    cr_assert_eq(s.scan_entries - before.scan_entries, KEYS);
    cr_assert_eq(s.nexts - before.nexts, KEYS);
    expect_sums(&s);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(stats_io, keys_of_one_block_are_read_together, .init = setup, .fini = teardown)
{
    omen_db *db = open_db(256u << 10);
    for (uint64_t i = 0; i < 3000; i++)
        put(db, i);
    cr_assert_eq(omen_compact(db, NULL, NULL), OMEN_OK);
    omen_stats before = stats_of(db), s;
    char text[20][24];
    omen_slice keys[20];
    omen_value values[20];
    omen_err errs[20];
    for (uint64_t i = 0; i < 20; i++)
        keys[i] = key_of(1500 + i, text[i]);
    cr_assert_eq(omen_multi_get(db, NULL, 20, keys, values, errs), OMEN_OK);
    for (int i = 0; i < 20; i++)
        omen_value_release(&values[i]);
    s = stats_of(db);
    cr_assert_eq(s.get_blocks - before.get_blocks, 20);
    cr_assert_leq(s.get_block_reads - before.get_block_reads, 2);
    cr_assert_geq(s.get_block_reads - before.get_block_reads, 1);
    before = s;
    get(db, 1500);
    s = stats_of(db);
    cr_assert_eq(s.get_blocks - before.get_blocks, 1);
    cr_assert_eq(s.get_block_reads - before.get_block_reads, 0, "it is in the cache");
    cr_assert_eq(omen_close(db), OMEN_OK);
}

Test(stats_io, they_are_kept_with_the_database, .init = setup, .fini = teardown)
{
    omen_db *db = open_db(64u << 10);
    for (uint64_t i = 0; i < 30000; i++)
        put(db, i < 10000 ? i : i * 7919 % 40000); /* in order: tables move */
    for (uint64_t i = 0; i < 5000; i++)
        get(db, i * 31 % 60000);
    omen_iter *it;
    cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
    for (int i = 0; i < 50; i++) {
        omen_iter_seek_first(it);
        omen_iter_next(it);
    }
    omen_iter_close(it);
    omen_stats before = stats_of(db);
    expect_sums(&before);
    cr_assert_gt(before.merge_moved_tables, 5);
    cr_assert_gt(before.get_block_reads, 100);
    uint64_t dropped = 0;
    for (int l = 0; l < OMEN_LEVELS_MAX; l++)
        dropped += before.level_io[l].dropped_bytes;
    cr_assert_gt(before.merge_overwritten, 1000);
    cr_assert_eq(dropped, before.merge_overwritten * (13 + 100 + 8), "key, value, trailer");
    cr_assert_gt(before.scan_opens, 100);
    cr_assert_eq(before.cache_capacity, 64u << 10, "given with filter_bytes it is exact");
    cr_assert_leq(before.cache_bytes, 64u << 10);
    cr_assert_eq(omen_close(db), OMEN_OK);
    db = open_db(64u << 10);
    omen_stats s = stats_of(db);
    expect_sums(&s);
    cr_assert_eq(memcmp(s.level_io, before.level_io, sizeof(s.level_io)), 0);
    cr_assert_eq(s.scan_entries, before.scan_entries);
    cr_assert_eq(s.user_read_bytes, before.user_read_bytes);
    cr_assert_eq(s.merge_overwritten, before.merge_overwritten);
    get(db, 1);
    cr_assert_gt(stats_of(db).filter_probes, s.filter_probes);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

/* Two lists, as builds wrote them that knew fewer counters and none by level; and what a later build
 * may write. */
Test(stats_io, counters_of_other_builds_are_read_as_far_as_they_go, .init = setup, .fini = teardown)
{
    enum { OLD = OMI_COUNT_GET_BLOCK_READS };
    struct omi_buf b = {0};
    omen_db *db = open_db(64u << 10);
    cr_assert_eq(omi_buf_append_varint(&b, OLD), OMEN_OK);
    for (uint64_t i = 0; i < OLD; i++)
        cr_assert_eq(omi_buf_append_varint(&b, 1000 + i), OMEN_OK);
    cr_assert_eq(omi_buf_append_varint(&b, OMEN_LEVELS_MAX), OMEN_OK);
    for (uint64_t i = 0; i < 7 * OMEN_LEVELS_MAX; i++)
        cr_assert_eq(omi_buf_append_varint(&b, i), OMEN_OK);
    omi_lifetime_decode(db, omi_slice(b.data, b.size));
    omen_stats s = stats_of(db);
    cr_assert_eq(s.puts, 1000);
    cr_assert_eq(s.filter_probes, 1000 + OMI_COUNT_FILTER_PROBES);
    cr_assert_eq(s.get_block_reads, 0);
    cr_assert_eq(s.level[2].read_bytes, 14);
    cr_assert_eq(s.level_io[0].filter_probes, 0);
    cr_assert_eq(omi_buf_append_varint(&b, OMI_LEVEL_COUNTERS + 2), OMEN_OK);
    cr_assert_eq(omi_buf_append_varint(&b, OMEN_LEVELS_MAX + 3), OMEN_OK);
    for (uint64_t i = 0; i < (OMI_LEVEL_COUNTERS + 2) * (OMEN_LEVELS_MAX + 3); i++)
        cr_assert_eq(omi_buf_append_varint(&b, i), OMEN_OK);
    omi_lifetime_decode(db, omi_slice(b.data, b.size));
    s = stats_of(db);
    cr_assert_eq(s.level_io[1].filter_probes, OMI_LEVEL_COUNTERS + 2);
    cr_assert_eq(s.level_io[11].dropped_bytes, 11 * (OMI_LEVEL_COUNTERS + 2) + 9);
    for (size_t cut = 0; cut < b.size; cut++)
        omi_lifetime_decode(db, omi_slice(b.data, cut)); /* whatever it is, it ends */
    omi_buf_fini(&b);
    cr_assert_eq(omen_close(db), OMEN_OK);
}

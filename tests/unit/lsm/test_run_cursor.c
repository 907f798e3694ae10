#include "tests/unit/lsm/table_sample.h"

TestSuite(run_cursor, .timeout = 60);

static void walk(uint32_t entries, size_t value_max, omen_codec codec, uint64_t cache_bytes,
                 bool fill_cache)
{
    setup(cache_bytes);
    struct sample s = sample_create(entries, value_max);
    struct omi_table *run[16];
    uint32_t count = build_run(&s, 7, run, codec);
    check_walks(&s, run, count, fill_cache);
    for (uint32_t i = 0; i < count; i++)
        omi_table_close(run[i], true);
    sample_destroy(&s);
    teardown();
}

Test(run_cursor, shows_what_a_sorted_array_shows_in_both_directions)
{
    walk(2, 10, OMEN_CODEC_NONE, 1 << 20, true);
    walk(40, 10, OMEN_CODEC_NONE, 0, true);
    walk(4000, 60, OMEN_CODEC_NONE, 8 << 20, true);
    walk(4000, 60, OMEN_CODEC_NONE, 8 << 20, false);
    walk(4000, 60, OMEN_CODEC_ZSTD, 64 << 10, true);
    walk(1500, 2500, OMEN_CODEC_ZSTD_FAST, 0, false);
}

Test(run_cursor, an_empty_run_has_no_entry)
{
    setup(0);
    struct omi_run_cursor c;
    omi_run_cursor_init(&c, NULL, 0, &tenv.order, true);
    omi_run_cursor_first(&c);
    cr_assert_not(omi_run_cursor_valid(&c));
    omi_run_cursor_last(&c);
    cr_assert_not(omi_run_cursor_valid(&c));
    omi_run_cursor_seek(&c, omi_slice("a", 1), 0);
    cr_assert_not(omi_run_cursor_valid(&c));
    omi_run_cursor_seek_for_prev(&c, omi_slice("a", 1), 0);
    cr_assert_not(omi_run_cursor_valid(&c));
    cr_assert_eq(c.err, OMEN_OK);
    omi_run_cursor_fini(&c);
    teardown();
}

/* ---- reading ahead --------------------------------------------------------------------------- */

Test(run_cursor, a_scan_reads_in_long_spans_and_no_block_twice)
{
    setup(0);
    struct sample s = sample_create(8000, 60);
    struct omi_table *run[16];
    uint32_t count = build_run(&s, 2, run, OMEN_CODEC_NONE), blocks = 0;
    for (uint32_t i = 0; i < count; i++)
        blocks += omi_table_blocks(run[i]);
    for (int back = 0; back < 2; back++) {
        struct omi_run_cursor c;
        uint64_t blocks_before = tenv.blocks_read, reads = omi_sim_calls(env, OMI_FAULT_READ);
        uint32_t shown = 0;
        omi_run_cursor_init(&c, run, count, &tenv.order, false);
        if (back != 0)
            for (omi_run_cursor_last(&c); omi_run_cursor_valid(&c); omi_run_cursor_prev(&c))
                shown++;
        else
            for (omi_run_cursor_first(&c); omi_run_cursor_valid(&c); omi_run_cursor_next(&c))
                shown++;
        omi_run_cursor_fini(&c);
        cr_assert_eq(shown, s.count);
        cr_assert_eq(tenv.blocks_read - blocks_before, blocks);
        cr_assert_lt(omi_sim_calls(env, OMI_FAULT_READ) - reads, blocks / 8);
    }
    for (uint32_t i = 0; i < count; i++)
        omi_table_close(run[i], true);
    sample_destroy(&s);
    teardown();
}

Test(run_cursor, a_short_scan_reads_at_most_twice_what_it_shows)
{
    setup(0);
    struct sample s = sample_create(8000, 60);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    for (uint32_t steps = 1; steps <= 40; steps++) {
        struct omi_run_cursor c;
        uint64_t before = tenv.blocks_read;
        omi_run_cursor_init(&c, &t, 1, &tenv.order, false);
        omi_run_cursor_first(&c);
        while (c.block + 1 < steps)
            omi_run_cursor_next(&c);
        omi_run_cursor_fini(&c);
        cr_assert_leq(tenv.blocks_read - before, 2 * steps, "%u blocks shown, %lu read", steps,
                      tenv.blocks_read - before);
    }
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

Test(run_cursor, turning_at_the_edge_of_a_block_reads_no_long_spans)
{
    setup(0);
    struct sample s = sample_create(8000, 60);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    struct omi_run_cursor c;
    omi_run_cursor_init(&c, &t, 1, &tenv.order, false);
    for (omi_run_cursor_first(&c); c.block < 50;)
        omi_run_cursor_next(&c);
    uint64_t before = tenv.blocks_read;
    enum { TURNS = 100 }; /* two edges are passed in each */
    for (int i = 0; i < TURNS; i++) {
        omi_run_cursor_prev(&c);
        omi_run_cursor_next(&c);
    }
    cr_assert_leq(tenv.blocks_read - before, 3 * TURNS);
    omi_run_cursor_fini(&c);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

Test(run_cursor, large_values_are_not_read_far_ahead)
{
    setup(0);
    enum { ENTRIES = 60, VALUE_BYTES = 300 << 10 };
    uint8_t *value = calloc(1, VALUE_BYTES);
    char keys[ENTRIES][8];
    struct sample s = {.entries = calloc(ENTRIES, sizeof(struct omi_entry)), .count = ENTRIES};
    for (uint32_t i = 0; i < ENTRIES; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%04u", i);
        s.entries[i] = (struct omi_entry){(const uint8_t *)keys[i], value,
                                          omi_trailer(i + 1, OMI_KIND_PUT), 4, VALUE_BYTES};
    }
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    struct omi_run_cursor c;
    uint64_t most = 0;
    omi_run_cursor_init(&c, &t, 1, &tenv.order, false);
    for (omi_run_cursor_first(&c); omi_run_cursor_valid(&c); omi_run_cursor_next(&c))
        most = omi_cache_bytes(tenv.cache) > most ? omi_cache_bytes(tenv.cache) : most;
    cr_assert_eq(c.err, OMEN_OK);
    cr_assert_lt(most, 2 << 20, "%lu bytes are pinned", most);
    omi_run_cursor_fini(&c);
    omi_table_close(t, true);
    free(value);
    sample_destroy(&s);
    teardown();
}

/* ---- failures -------------------------------------------------------------------------------- */

Test(run_cursor, a_failed_read_ends_the_walk_with_its_error_and_a_seek_starts_anew)
{
    setup(0);
    struct sample s = sample_create(3000, 60);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    struct omi_run_cursor c;
    omi_run_cursor_init(&c, &t, 1, &tenv.order, false);
    bool passed = false;
    for (uint64_t nth = 1; !passed; nth++) {
        uint32_t at = 0;
        omi_sim_fail(env, OMI_FAULT_READ, nth, true);
        for (omi_run_cursor_first(&c); omi_run_cursor_valid(&c); omi_run_cursor_next(&c))
            check_at(&c, &s, at++, "until the failure");
        omi_sim_fail(env, OMI_FAULT_READ, 0, false);
        passed = c.err == OMEN_OK;
        cr_assert(passed ? at == s.count : at < s.count && c.err == OMEN_IO);
        long want = s.count / 2;
        const struct omi_entry *e = &s.entries[want];
        omi_run_cursor_seek(&c, omi_entry_key(e), e->trailer);
        check_at(&c, &s, want, "after the failure");
    }
    omi_run_cursor_fini(&c);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

Test(run_cursor, one_failure_while_reading_ahead_is_not_seen)
{
    setup(0);
    struct sample s = sample_create(6000, 60);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    struct omi_run_cursor c;
    uint32_t at = 0;
    omi_run_cursor_init(&c, &t, 1, &tenv.order, false);
    omi_run_cursor_first(&c);
    for (; c.block < 2; omi_run_cursor_next(&c)) /* from the third block on it reads ahead */
        at++;
    omi_sim_fail(env, OMI_FAULT_READ, 1, false);
    for (; omi_run_cursor_valid(&c); omi_run_cursor_next(&c))
        check_at(&c, &s, at++, "forward");
    cr_assert_eq(at, s.count);
    cr_assert_eq(c.err, OMEN_OK);
    omi_run_cursor_fini(&c);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

Test(run_cursor, a_damaged_block_ends_the_walk_just_before_it)
{
    setup(0);
    struct sample s = sample_create(4000, 60);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    uint32_t hurt = omi_table_blocks(t) / 2, size, before = 0, after = 0;
    uint64_t off;
    for (uint32_t i = 0; i < s.count; i++) {
        uint32_t block = find_block(t, omi_entry_key(&s.entries[i]), s.entries[i].trailer);
        before += block < hurt;
        after += block > hurt;
    }
    locate(t, hurt, &off, &size);
    cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off + 50, 2), OMEN_OK);
    struct omi_run_cursor c;
    uint32_t at = 0;
    omi_run_cursor_init(&c, &t, 1, &tenv.order, true);
    for (omi_run_cursor_first(&c); omi_run_cursor_valid(&c); omi_run_cursor_next(&c))
        check_at(&c, &s, at++, "forward");
    cr_assert_eq(c.err, OMEN_CORRUPT);
    cr_assert_eq(at, before);
    at = s.count;
    for (omi_run_cursor_last(&c); omi_run_cursor_valid(&c); omi_run_cursor_prev(&c))
        check_at(&c, &s, --at, "backward");
    cr_assert_eq(c.err, OMEN_CORRUPT);
    cr_assert_eq(at, s.count - after);
    omi_run_cursor_fini(&c);

    struct omi_merge_source *source;
    cr_assert_eq(omi_table_source_open(&t, 1, 64 << 10, &source), OMEN_OK);
    omen_err err = OMEN_OK;
    for (at = 0; (err = source->refill(source)) == OMEN_OK && source->count != 0;)
        at += source->count;
    cr_assert_eq(err, OMEN_CORRUPT);
    cr_assert_eq(at, before);
    omi_table_source_close(source);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

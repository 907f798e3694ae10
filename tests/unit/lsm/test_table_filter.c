/* A table's filters in memory: heads, parts that come and go, and the limit over all of them. */
#include "tests/unit/lsm/table_sample.h"

#include <malloc.h>

TestSuite(table_filter, .timeout = 60);

enum { KEYS = 40000, PART_BYTES = 4096, ABSENT = 4000 };

/* ---- tables with filters of many parts ------------------------------------------------------- */

static uint64_t key_of(uint64_t i)
{
    return i * 1000003;
}

static void put_be(uint64_t v, uint8_t out[static 8])
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        out[i] = (uint8_t)v;
}

static omen_err plan_parts(void *ctx, omen_slice smallest, omen_slice largest, uint32_t entries,
                           struct omi_filter_params *params)
{
    (void)ctx, (void)smallest, (void)largest, (void)entries;
    *params =
        (struct omi_filter_params){.kind = OMI_FILTER_PLAIN, .bits = 10, .part_bytes = PART_BYTES};
    return OMEN_OK;
}

/* Keys [from, to). */
static uint64_t write_table(uint64_t number, uint64_t from, uint64_t to)
{
    struct omi_table_params params = {
        .block_bytes = 4096, .filter_bits = 10, .plan_filter = plan_parts};
    struct omi_table_builder *b;
    struct omi_table_props props;
    cr_assert_eq(omi_table_builder_create(&tenv, &params, &b), OMEN_OK);
    for (uint64_t i = from; i < to; i++) {
        uint8_t key[8];
        put_be(key_of(i), key);
        struct omi_entry e = {key, key, omi_trailer(1, OMI_KIND_PUT), 8, 0};
        cr_assert_eq(omi_table_builder_add(b, &e), OMEN_OK);
    }
    cr_assert_eq(omi_table_builder_finish(b, number, &props), OMEN_OK, "%s", omen_last_error());
    uint64_t bytes = props.file_bytes;
    omi_table_props_fini(&props);
    omi_table_builder_destroy(b);
    return bytes;
}

static struct omi_table *open_table(uint64_t number, uint64_t bytes)
{
    struct omi_table *t;
    cr_assert_eq(omi_table_open(&tenv, number, bytes, &t), OMEN_OK, "%s", omen_last_error());
    return t;
}

static bool asks(struct omi_table *t, uint64_t v)
{
    uint8_t key[8];
    put_be(v, key);
    return omi_table_may_hold(t, omi_slice(key, 8), omi_key_hash(key, 8), NULL);
}

static void check_keys(struct omi_table *t, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        cr_assert(asks(t, key_of(i)), "key %lu is denied", i);
}

/* How many of ABSENT absent keys, spread evenly over keys [from, to), may be there. */
static uint64_t count_maybe(struct omi_table *t, uint64_t from, uint64_t to)
{
    uint64_t maybe = 0;
    for (uint64_t i = 0; i < ABSENT; i++)
        maybe += asks(t, key_of(from + i * (to - from) / ABSENT) + 7);
    return maybe;
}

static struct omi_table_parts parts_of(const struct omi_table *t)
{
    struct omi_table_parts p;
    omi_table_parts_count(t, &p);
    return p;
}

static uint64_t charged(void)
{
    return atomic_load(&tenv.extents.bytes[OMI_EXTENT_FILTER]);
}

static void finish(void)
{
    cr_assert_eq(atomic_load(&tenv.filter_memory.live_bytes), 0);
    cr_assert_eq(atomic_load(&tenv.filter_memory.head_bytes), 0);
    cr_assert_eq(atomic_load(&tenv.filter_memory.loaded), 0);
    teardown();
}

static void begin(uint64_t limit)
{
    setup(0);
    omi_filter_memory_init(&tenv.filter_memory);
    omi_filter_memory_limit(&tenv.filter_memory, limit);
}

/* ---- coming and going ------------------------------------------------------------------------ */

Test(table_filter, without_a_limit_all_parts_are_there_from_the_start)
{
    begin(0);
    struct omi_table *t = open_table(1, write_table(1, 0, KEYS));
    struct omi_table_parts p = parts_of(t);
    cr_assert_geq(p.all, 10);
    cr_assert_eq(p.loaded, p.all);
    check_keys(t, 0, KEYS);
    cr_assert_leq(count_maybe(t, 0, KEYS), ABSENT / 40);
    cr_assert_eq(atomic_load(&tenv.filter_memory.absent), 0);
    omi_table_close(t, true);
    finish();
}

Test(table_filter, what_has_no_room_answers_maybe_is_wanted_and_can_be_loaded)
{
    begin(4 * (PART_BYTES + 400));
    struct omi_table *t = open_table(1, write_table(1, 0, KEYS));
    struct omi_table_parts p = parts_of(t);
    cr_assert(p.loaded >= 2 && p.loaded < p.all / 2, "%u of %u", p.loaded, p.all);
    cr_assert_eq(p.wanted, p.all - p.loaded, "what does not fit is to come first");
    cr_assert_leq(charged(), atomic_load(&tenv.filter_memory.limit_bytes));
    check_keys(t, 0, KEYS);
    uint64_t maybe = count_maybe(t, 0, KEYS), missed = atomic_load(&tenv.filter_memory.absent);
    cr_assert_gt(maybe, (uint64_t)ABSENT * (p.all - p.loaded) / p.all - ABSENT / 10);
    cr_assert_gt(missed, maybe);
    cr_assert_eq(omi_table_part_load(t, p.all - 1), OMEN_ABORTED);
    omi_filter_memory_limit(&tenv.filter_memory, 1 << 20);
    for (uint32_t i = 0; i < p.all; i++)
        if (atomic_load(&t->filter.parts[i].bytes) == NULL)
            cr_assert_eq(omi_table_part_load(t, i), OMEN_OK);
    check_keys(t, 0, KEYS);
    cr_assert_leq(count_maybe(t, 0, KEYS), ABSENT / 40);
    cr_assert_eq(atomic_load(&tenv.filter_memory.absent), missed);
    omi_table_close(t, true);
    finish();
}

Test(table_filter, a_smaller_limit_is_kept_at_once_but_for_what_is_being_read)
{
    begin(1 << 20);
    struct omi_table *t = open_table(1, write_table(1, 0, KEYS));
    uint64_t before = charged(), limit = before / 3;
    uint32_t phase = omi_grace_enter(&tenv.filter_memory.grace, 5);
    omi_filter_memory_limit(&tenv.filter_memory, limit);
    cr_assert_eq(charged(), before, "a reader may be looking at any of it");
    cr_assert_leq(atomic_load(&tenv.filter_memory.live_bytes), limit);
    cr_assert_eq(omi_table_part_load(t, parts_of(t).all - 1), OMEN_ABORTED);
    omi_grace_leave(&tenv.filter_memory.grace, 5, phase);
    omi_grace_poll(&tenv.filter_memory.grace);
    cr_assert_leq(charged(), limit);
    cr_assert_gt(parts_of(t).loaded, 0);
    check_keys(t, 0, KEYS);
    omi_table_close(t, true);
    finish();
}

/* The limit is one for all tables, heads come first, and what tables bring with them never breaks it. */
Test(table_filter, a_storm_of_new_tables_stays_within_the_limit)
{
    enum { TABLES = 24, EACH = 6000 };
    uint64_t limit = 40000, bytes[TABLES];
    struct omi_table *tables[TABLES];
    begin(limit);
    for (uint64_t i = 0; i < TABLES; i++)
        bytes[i] = write_table(i + 1, i * EACH, (i + 1) * EACH);
    for (uint64_t round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < TABLES; i++) {
            tables[i] = open_table(i + 1, bytes[i]);
            cr_assert_leq(charged(), limit, "after table %lu", i + 1);
        }
        for (uint64_t i = 0; i < TABLES; i++)
            check_keys(tables[i], i * EACH, (i + 1) * EACH);
        for (uint64_t i = 0; i < TABLES; i++)
            omi_table_close(tables[(i + round) % TABLES], false);
        cr_assert_eq(charged(), 0);
    }
    cr_assert_gt(atomic_load(&tenv.filter_memory.evictions), 0, "heads went before parts");
    finish();
}

Test(table_filter, heads_that_alone_are_more_than_the_limit_stay_and_nothing_fails)
{
    begin(64);
    uint64_t bytes = write_table(1, 0, KEYS);
    struct omi_table *t = open_table(1, bytes);
    cr_assert_eq(parts_of(t).loaded, 0);
    cr_assert_gt(atomic_load(&tenv.filter_memory.head_bytes), 64);
    cr_assert_eq(charged(), atomic_load(&tenv.filter_memory.head_bytes));
    check_keys(t, 0, KEYS);
    cr_assert_eq(omi_table_part_load(t, 0), OMEN_ABORTED);
    omi_table_close(t, true);
    finish();
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OTHER_ALLOCATOR true /* which does not tell what it gives */
#else
#define OTHER_ALLOCATOR false
#endif

Test(table_filter, what_is_charged_is_what_the_allocator_gives, .disabled = OTHER_ALLOCATOR)
{
    begin(0);
    uint64_t bytes = write_table(1, 0, KEYS);
    struct omi_table *t = open_table(1, bytes);
    size_t with = mallinfo2().uordblks + mallinfo2().hblkhd;
    uint64_t charge = charged(), heads = atomic_load(&tenv.filter_memory.head_bytes);
    omi_filter_memory_limit(&tenv.filter_memory, 1); /* all parts go */
    size_t without = mallinfo2().uordblks + mallinfo2().hblkhd;
    cr_assert_eq(charged(), heads);
    double given = (double)(with - without), counted = (double)(charge - heads);
    cr_assert(given > counted * 0.99 - 1024 && given < counted * 1.01 + 1024,
              "%.0f bytes, counted as %.0f", given, counted);
    omi_table_close(t, true);
    finish();
}

/* ---- the clock ------------------------------------------------------------------------------- */

/* Asks absent keys of one part until a turn is over. */
static void turn(struct omi_table *t, uint32_t missing, uint64_t keys)
{
    for (uint64_t i = 0; i < keys; i++) {
        uint8_t key[8];
        struct omi_filter_route r;
        put_be(key_of(i) + 7, key);
        if (omi_filter_route(&t->filter.filter, omi_slice(key, 8), omi_key_hash(key, 8), &r) ==
                OMI_FILTER_PROBE &&
            r.part == missing)
            (void)asks(t, key_of(i) + 7);
        if (omi_filter_memory_turn(&tenv.filter_memory))
            return;
    }
    cr_assert_fail("part %u was not asked for often enough", missing);
}

Test(table_filter, a_part_goes_for_another_only_after_two_turns_without_use)
{
    begin(4 * (PART_BYTES + 400));
    struct omi_table *t = open_table(1, write_table(1, 0, KEYS));
    struct omi_table_parts p = parts_of(t);
    uint32_t last = p.all - 1;
    size_t size = (size_t)omi_table_part_bytes(t, last);
    cr_assert_null(atomic_load(&t->filter.parts[last].bytes));
    turn(t, last, KEYS); /* what was loaded counts as used */
    cr_assert_not(omi_filter_memory_make_room(&tenv.filter_memory, size));
    turn(t, last, KEYS);
    cr_assert_not(omi_filter_memory_make_room(&tenv.filter_memory, size));
    cr_assert_eq(parts_of(t).loaded, p.loaded);
    for (uint32_t i = 0; i < p.all; i++) /* all but one are used again */
        if (i != 1)
            atomic_store(&t->filter.parts[i].used, 1);
    turn(t, last, KEYS);
    cr_assert(omi_filter_memory_make_room(&tenv.filter_memory, size));
    cr_assert_eq(parts_of(t).loaded, p.loaded - 1);
    cr_assert_null(atomic_load(&t->filter.parts[1].bytes));
    cr_assert_eq(omi_table_part_load(t, last), OMEN_OK);
    cr_assert_not(omi_filter_memory_make_room(&tenv.filter_memory, size), "nobody else may go");
    check_keys(t, 0, KEYS);
    omi_table_close(t, true);
    finish();
}

/* ---- damage and failures --------------------------------------------------------------------- */

static void count_problem(void *ctx, const char *text)
{
    *(int *)ctx += strstr(text, "filter") != NULL;
}

static int filter_problems(struct omi_table *t)
{
    struct omi_table_verdict verdict = {0};
    int problems = 0;
    omen_err err = omi_table_verify(t, &verdict, count_problem, &problems);
    cr_assert_eq(err, problems != 0 ? OMEN_CORRUPT : OMEN_OK, "%s", omen_last_error());
    return problems;
}

Test(table_filter, a_damaged_part_is_dropped_alone_and_told)
{
    begin(0);
    uint64_t bytes = write_table(1, 0, KEYS), off;
    uint32_t size;
    struct omi_table *t = open_table(1, bytes);
    struct omi_table_parts p = parts_of(t);
    cr_assert_eq(filter_problems(t), 0);
    omi_filter_part(&t->filter.filter, 2, &off, &size);
    off += t->footer.sections[OMI_SECTION_FILTER].off;
    omi_table_close(t, false);
    cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off + 99, 3), OMEN_OK);
    t = open_table(1, bytes);
    cr_assert_eq(parts_of(t).loaded, p.all - 1);
    cr_assert_eq(atomic_load(&tenv.filter_memory.damaged), 1);
    check_keys(t, 0, KEYS);
    uint64_t maybe = count_maybe(t, 0, KEYS);
    cr_assert(maybe >= ABSENT / p.all / 2 && maybe <= 2 * ABSENT / p.all + ABSENT / 40, "%lu",
              maybe);
    cr_assert_eq(atomic_load(&tenv.filter_memory.absent), 0, "nobody waits for it");
    cr_assert_eq(filter_problems(t), 1);
    /* Mended on the disk, it is still not trusted before the table is opened again. */
    cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off + 99, 3), OMEN_OK);
    cr_assert_eq(filter_problems(t), 1);
    omi_table_close(t, false);
    t = open_table(1, bytes);
    cr_assert_eq(parts_of(t).loaded, p.all);
    cr_assert_eq(filter_problems(t), 0);
    omi_table_close(t, true);
    finish();
}

Test(table_filter, damage_of_a_part_that_is_not_loaded_is_seen_by_verify)
{
    begin(64);
    uint64_t bytes = write_table(1, 0, KEYS), off;
    uint32_t size;
    struct omi_table *t = open_table(1, bytes);
    omi_filter_part(&t->filter.filter, 5, &off, &size);
    off += t->footer.sections[OMI_SECTION_FILTER].off;
    cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off, 0), OMEN_OK);
    cr_assert_eq(filter_problems(t), 1);
    cr_assert_eq(atomic_load(&tenv.filter_memory.loads), 0);
    omi_table_close(t, true);
    finish();
}

Test(table_filter, a_damaged_head_means_no_filter)
{
    begin(0);
    uint64_t bytes = write_table(1, 0, KEYS);
    struct omi_table *t = open_table(1, bytes);
    uint64_t off = t->footer.sections[OMI_SECTION_FILTER].off;
    uint32_t head = t->filter.filter.head_bytes;
    omi_table_close(t, false);
    for (uint64_t at = 0; at < head; at += 5) {
        cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off + at, (unsigned)(at % 8)),
                     OMEN_OK);
        uint64_t dropped = atomic_load(&tenv.filters_dropped);
        t = open_table(1, bytes);
        cr_assert_not(omi_table_has_filter(t), "byte %lu", at);
        cr_assert_eq(atomic_load(&tenv.filters_dropped), dropped + 1);
        cr_assert_eq(parts_of(t).all, 0);
        cr_assert(asks(t, 5));
        cr_assert_eq(filter_problems(t), 1);
        omi_table_close(t, false);
        cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off + at, (unsigned)(at % 8)),
                     OMEN_OK);
    }
    cr_assert_eq(charged(), 0);
    finish();
}

/* The same place of another table holds a sound head, too. */
Test(table_filter, another_tables_head_is_not_taken_for_its_own)
{
    begin(0);
    uint64_t bytes = write_table(1, 0, 500);
    cr_assert_eq(write_table(2, 500, 1000), bytes);
    struct omi_table *a = open_table(1, bytes), *b = open_table(2, bytes);
    struct omi_filter f;
    uint64_t section = a->footer.sections[OMI_SECTION_FILTER].size;
    cr_assert_eq(section, b->footer.sections[OMI_SECTION_FILTER].size);
    cr_assert_eq(omi_filter_open_bound(b->filter.filter.head, b->filter.filter.head_bytes, section,
                                       b->footer.file_id, &f),
                 OMEN_OK);
    cr_assert_eq(omi_filter_open_bound(b->filter.filter.head, b->filter.filter.head_bytes, section,
                                       a->footer.file_id, &f),
                 OMEN_CORRUPT);
    omi_table_close(a, true);
    omi_table_close(b, true);
    finish();
}

Test(table_filter, a_disk_that_fails_while_opening_is_told_and_leaves_nothing_behind)
{
    begin(0);
    uint64_t bytes = write_table(1, 0, KEYS), before = omi_sim_calls(env, OMI_FAULT_READ);
    omi_table_close(open_table(1, bytes), false);
    uint64_t reads = omi_sim_calls(env, OMI_FAULT_READ) - before;
    cr_assert_gt(reads, 15);
    for (uint64_t nth = 1; nth <= reads; nth++) {
        struct omi_table *t = NULL;
        omi_sim_fail(env, OMI_FAULT_READ, nth, true);
        cr_assert_eq(omi_table_open(&tenv, 1, bytes, &t), OMEN_IO, "read %lu", nth);
        omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
        cr_assert_eq(charged(), 0);
    }
    finish();
}

Test(table_filter, a_part_that_cannot_be_read_now_comes_later)
{
    begin(64);
    struct omi_table *t = open_table(1, write_table(1, 0, KEYS));
    struct omi_table_part *p = &t->filter.parts[3];
    omi_filter_memory_limit(&tenv.filter_memory, 0);
    uint8_t rest = 0;
    for (int i = 0; i < 3; i++) {
        omi_sim_fail(env, OMI_FAULT_READ, 1, true);
        cr_assert_eq(omi_table_part_load(t, 3), OMEN_IO);
        omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
        cr_assert_gt(p->rest, rest, "it is left alone for longer and longer");
        rest = p->rest;
        cr_assert_null(atomic_load(&p->bytes));
        check_keys(t, 0, KEYS);
    }
    cr_assert_eq(atomic_load(&tenv.filter_memory.damaged), 0);
    cr_assert_eq(omi_table_part_load(t, 3), OMEN_OK);
    cr_assert_not_null(atomic_load(&p->bytes));
    cr_assert_eq(p->failures, 0);
    omi_table_close(t, true);
    finish();
}

Test(table_filter, a_bit_that_flips_on_the_way_is_read_again)
{
    begin(0);
    uint64_t bytes = write_table(1, 0, KEYS);
    struct omi_table *t;
    for (uint64_t nth = 1; nth <= 30; nth++) {
        omi_sim_fail(env, OMI_FAULT_FLIP, nth, false);
        t = open_table(1, bytes);
        omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
        cr_assert_eq(parts_of(t).loaded, parts_of(t).all);
        cr_assert_leq(count_maybe(t, 0, KEYS), ABSENT / 40);
        omi_table_close(t, false);
    }
    cr_assert_eq(atomic_load(&tenv.filter_memory.damaged) + atomic_load(&tenv.filters_dropped), 0);
    finish();
}

/* ---- sections without checks of their parts -------------------------------------------------- */

/* A section of format 1: what it says is at the same places, and the rest is zero. */
static omen_err make_format_1(const struct omi_filter_input *input, struct omi_buf *out)
{
    struct omi_filter_params params = {.kind = OMI_FILTER_PLAIN, .bits = 10};
    size_t start = out->size;
    omen_err err = omi_filter_build(input, &params, out, NULL);
    if (err != OMEN_OK)
        return err;
    uint8_t *header = out->data + start;
    uint8_t probes = header[2];
    uint32_t lines = omi_get_u32(header + 4);
    memset(header, 0, OMI_FILTER_HEADER_BYTES);
    header[0] = 1;
    header[1] = OMI_FILTER_PLAIN;
    header[2] = probes;
    omi_put_u32(header + 4, lines);
    return OMEN_OK;
}

Test(table_filter, a_section_of_format_1_is_one_part_and_checked_as_a_whole)
{
    begin(0);
    atomic_store(&tenv.make_filter, make_format_1);
    uint64_t bytes = write_table(1, 0, KEYS);
    struct omi_table *t = open_table(1, bytes);
    uint64_t off = t->footer.sections[OMI_SECTION_FILTER].off;
    cr_assert_eq(parts_of(t).all, 1);
    cr_assert_eq(parts_of(t).loaded, 1);
    check_keys(t, 0, KEYS);
    cr_assert_leq(count_maybe(t, 0, KEYS), ABSENT / 40);
    cr_assert_eq(filter_problems(t), 0);
    omi_filter_memory_limit(&tenv.filter_memory, 1000);
    cr_assert_eq(parts_of(t).loaded, 0);
    cr_assert_leq(charged(), 1000);
    check_keys(t, 0, KEYS);
    cr_assert_eq(count_maybe(t, 0, KEYS), ABSENT);
    omi_filter_memory_limit(&tenv.filter_memory, 0);
    cr_assert_eq(omi_table_part_load(t, 0), OMEN_OK);
    check_keys(t, 0, KEYS);
    cr_assert_leq(count_maybe(t, 0, KEYS), ABSENT / 40);
    omi_table_close(t, false);
    static const uint64_t places[] = {2, 4, 40, 64, 2000}; /* header and lines */
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off + places[i], 1), OMEN_OK);
        t = open_table(1, bytes);
        check_keys(t, 0, KEYS);
        cr_assert_eq(filter_problems(t), 1, "byte %lu", places[i]);
        cr_assert_eq(count_maybe(t, 0, KEYS), ABSENT, "byte %lu", places[i]);
        omi_table_close(t, false);
        cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off + places[i], 1), OMEN_OK);
    }
    finish();
}

/* A policy whose filter is its keys' first six bytes, one after the other. */
static int heads_build(void *ctx, size_t count, const omen_slice *keys, void *sink,
                       int (*append)(void *sink, const void *bytes, size_t size))
{
    (void)ctx;
    for (size_t i = 0; i < count; i++)
        if (append(sink, keys[i].data, 6) != 0)
            return 1;
    return 0;
}

static int heads_may_hold(void *ctx, omen_slice filter, omen_slice key)
{
    const uint8_t *bytes = filter.data;
    size_t low = 0, high = filter.size / 6;
    (void)ctx;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int c = memcmp(bytes + 6 * middle, key.data, 6);
        if (c == 0)
            return 1;
        if (c < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return 0;
}

Test(table_filter, a_users_filter_is_one_part_that_comes_and_goes)
{
    static const omen_filter_policy heads = {"test.heads", heads_build, heads_may_hold, NULL};
    static const omen_filter_policy other = {"test.other", heads_build, heads_may_hold, NULL};
    begin(0);
    tenv.filter_policy = &heads;
    uint64_t bytes = write_table(1, 0, KEYS);
    struct omi_table *t = open_table(1, bytes);
    cr_assert_eq(parts_of(t).loaded, 1);
    check_keys(t, 0, KEYS);
    cr_assert_not(asks(t, key_of(5) + 500000));
    omi_filter_memory_limit(&tenv.filter_memory, 1000);
    cr_assert_eq(charged(), 0);
    check_keys(t, 0, KEYS);
    cr_assert(asks(t, key_of(5) + 500000));
    omi_table_close(t, false);
    t = open_table(1, bytes);
    cr_assert_eq(parts_of(t).loaded, 0);
    cr_assert_eq(parts_of(t).wanted, 1);
    omi_filter_memory_limit(&tenv.filter_memory, 1 << 20);
    cr_assert_eq(omi_table_part_load(t, 0), OMEN_OK);
    cr_assert_not(asks(t, key_of(5) + 500000));
    check_keys(t, 0, KEYS);
    cr_assert_eq(filter_problems(t), 0);
    omi_table_close(t, false);
    tenv.filter_policy = &other;
    t = open_table(1, bytes);
    cr_assert_eq(atomic_load(&tenv.filters_foreign), 1);
    cr_assert_not(omi_table_has_filter(t));
    cr_assert_eq(charged(), 0);
    cr_assert(asks(t, key_of(5) + 500000));
    omi_table_close(t, true);
    finish();
}

#include "io/base/hash.h"
#include "io/env_sim.h"
#include "lsm/table_open.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(table, .timeout = 60);

struct rng {
    uint64_t state;
};

static uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 31);
}

static uint64_t seed_of(void)
{
    const char *text = getenv("OMENDB_TEST_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 42;
}

/* ---- a directory in memory, and entries ------------------------------------------------------ */

static struct omi_env *env;
static struct omi_table_env tenv;

static void setup(uint64_t cache_bytes)
{
    env = omi_sim_create(seed_of());
    memset(&tenv, 0, sizeof(tenv));
    tenv.env = env;
    cr_assert_eq(omi_dir_open(env, "/t", true, &tenv.dir), OMEN_OK);
    cr_assert_eq(omi_cache_create(cache_bytes, &tenv.cache), OMEN_OK);
}

static void teardown(void)
{
    cr_assert_eq(omi_cache_pinned(tenv.cache), 0, "frames are still pinned");
    omi_cache_destroy(tenv.cache);
    omi_dir_close(tenv.dir);
    omi_sim_destroy(env);
    for (int k = 0; k < OMI_EXTENT_KINDS; k++)
        cr_assert_eq(tenv.extents.bytes[k], 0, "extents are still held");
}

struct sample {
    struct omi_entry *entries;
    uint32_t count;
    struct omi_buf bytes;
};

static int compare_entries(const void *a, const void *b)
{
    const struct omi_entry *x = a, *y = b;
    return omi_internal_compare(&tenv.order, omi_entry_key(x), x->trailer, omi_entry_key(y),
                                y->trailer);
}

static struct sample sample_create(uint32_t count, size_t value_max)
{
    struct rng r = {seed_of() + count};
    struct sample s = {.entries = calloc(count, sizeof(struct omi_entry))};
    cr_assert_eq(omi_buf_reserve(&s.bytes, (size_t)count * (64 + value_max)), OMEN_OK);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *key = s.bytes.data + s.bytes.size;
        uint64_t x = rng_next(&r);
        size_t n = (size_t)sprintf((char *)key, "user%llu", (unsigned long long)(x % (count * 4)));
        if (x % 50 == 0)
            n = (size_t)sprintf((char *)key, "user7"); /* a long chain of versions */
        size_t value = rng_next(&r) % (value_max + 1);
        memset(key + n, (int)x, value);
        s.entries[s.count++] = (struct omi_entry){
            key, key + n, omi_trailer(i + 1, x % 9 == 0 ? OMI_KIND_DELETE : OMI_KIND_PUT),
            (uint32_t)n, (uint32_t)value};
        s.bytes.size += n + value;
    }
    qsort(s.entries, s.count, sizeof(struct omi_entry), compare_entries);
    return s;
}

static void sample_destroy(struct sample *s)
{
    free(s->entries);
    omi_buf_fini(&s->bytes);
}

/* Entries [from, to) of s as table number. */
static struct omi_table *build(const struct sample *s, uint32_t from, uint32_t to, uint64_t number,
                               omen_codec codec)
{
    struct omi_table_params params = {
        .block_bytes = 1024, .filter_bits = 10, .codec = codec, .target_bytes = 1 << 20};
    struct omi_table_builder *b;
    struct omi_table_props props;
    struct omi_table *t;
    if (!omi_order_is_bytewise(&tenv.order))
        params.filter_bits = 0;
    cr_assert_eq(omi_table_builder_create(&tenv, &params, &b), OMEN_OK);
    for (uint32_t i = from; i < to; i++)
        cr_assert_eq(omi_table_builder_add(b, &s->entries[i]), OMEN_OK);
    cr_assert_eq(omi_table_builder_finish(b, number, &props), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(props.entries, to - from);
    cr_assert_eq(omi_table_open(&tenv, number, props.file_bytes, &t), OMEN_OK, "%s",
                 omen_last_error());
    omi_table_props_fini(&props);
    omi_table_builder_destroy(b);
    return t;
}

/* The first entry >= (key, trailer); s->count when there is none. */
static uint32_t lower_bound(const struct sample *s, omen_slice key, uint64_t trailer)
{
    uint32_t low = 0, high = s->count;
    while (low < high) {
        uint32_t m = low + (high - low) / 2;
        if (omi_internal_compare(&tenv.order, omi_entry_key(&s->entries[m]), s->entries[m].trailer,
                                 key, trailer) < 0)
            low = m + 1;
        else
            high = m;
    }
    return low;
}

static void check_lookups(const struct sample *s, struct omi_table *t)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct omi_entry *e = &s->entries[i];
        cr_assert(omi_table_may_hold(t, omi_key_hash(e->key, e->key_size)));
        uint32_t block = omi_table_find_block(t, omi_entry_key(e), e->trailer | 0xff, NULL);
        struct omi_frame *f;
        cr_assert_eq(omi_table_load(t, block, true, &f), OMEN_OK, "%s", omen_last_error());
        uint32_t at =
            omi_block_lower_bound(&f->block, &tenv.order, omi_entry_key(e), e->trailer | 0xff);
        cr_assert_lt(at, f->block.count, "entry %u is not in the block the index names", i);
        uint64_t trailer;
        omen_slice value;
        omi_block_value(&f->block, at, &trailer, &value);
        cr_assert_eq(trailer, e->trailer, "entry %u", i);
        cr_assert(omi_bytes_equal(value.data, value.size, e->value, e->value_size));
        omi_frame_release(f);
    }
}

static void check_at(const struct omi_run_cursor *c, const struct sample *s, long at,
                     const char *how)
{
    cr_assert_eq(c->err, OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omi_run_cursor_valid(c), at >= 0 && at < (long)s->count, "%s at %ld (seed %lu)",
                 how, at, seed_of());
    if (!omi_run_cursor_valid(c))
        return;
    const struct omi_entry *e = &s->entries[at];
    cr_assert(omi_bytes_equal(c->entry.key, c->entry.key_size, e->key, e->key_size), "%s at %ld",
              how, at);
    cr_assert_eq(c->entry.trailer, e->trailer, "%s at %ld", how, at);
    cr_assert(omi_bytes_equal(c->entry.value, c->entry.value_size, e->value, e->value_size));
}

static void check_walks(const struct sample *s, struct omi_table *const *tables, uint32_t count)
{
    struct rng r = {seed_of()};
    struct omi_run_cursor c;
    omi_run_cursor_init(&c, tables, count, &tenv.order, true);
    long at = 0;
    for (omi_run_cursor_first(&c); omi_run_cursor_valid(&c); omi_run_cursor_next(&c))
        check_at(&c, s, at++, "forward");
    cr_assert_eq(at, s->count);
    for (omi_run_cursor_last(&c); omi_run_cursor_valid(&c); omi_run_cursor_prev(&c))
        check_at(&c, s, --at, "backward");
    cr_assert_eq(at, 0);
    for (int q = 0; q < 300; q++) {
        const struct omi_entry *e = &s->entries[rng_next(&r) % s->count];
        uint8_t key[80];
        size_t n = e->key_size;
        memcpy(key, e->key, n);
        if (q % 3 == 0)
            key[n++] = '5';
        uint64_t trailer = q % 4 == 0 ? 0 : q % 4 == 1 ? UINT64_MAX : e->trailer;
        omen_slice k = omi_slice(key, n);
        long want = lower_bound(s, k, trailer);
        if (q % 2 == 0) {
            omi_run_cursor_seek(&c, k, trailer);
        } else {
            bool equal = want < (long)s->count &&
                         omi_internal_compare(&tenv.order, omi_entry_key(&s->entries[want]),
                                              s->entries[want].trailer, k, trailer) == 0;
            want -= !equal;
            omi_run_cursor_seek_for_prev(&c, k, trailer);
        }
        check_at(&c, s, want, q % 2 == 0 ? "seek" : "seek_for_prev");
        for (int steps = 0; steps < 60 && omi_run_cursor_valid(&c); steps++) {
            if (rng_next(&r) % 4 != 0) {
                omi_run_cursor_next(&c);
                want++;
            } else {
                omi_run_cursor_prev(&c);
                want--;
            }
            check_at(&c, s, want, "step");
        }
    }
    omi_run_cursor_fini(&c);
}

static void check_source(const struct sample *s, struct omi_table *const *tables, uint32_t count)
{
    struct omi_merge_source *source;
    uint32_t at = 0;
    cr_assert_eq(omi_table_source_open(tables, count, 8 << 10, &source), OMEN_OK);
    for (;;) {
        cr_assert_eq(source->refill(source), OMEN_OK, "%s", omen_last_error());
        if (source->count == 0)
            break;
        for (uint32_t i = 0; i < source->count; i++, at++) {
            const struct omi_entry *e = &s->entries[at], *got = &source->entries[i];
            cr_assert(omi_bytes_equal(got->key, got->key_size, e->key, e->key_size));
            cr_assert_eq(got->trailer, e->trailer);
            cr_assert(omi_bytes_equal(got->value, got->value_size, e->value, e->value_size));
        }
    }
    cr_assert_eq(at, s->count);
    omi_table_source_close(source);
}

/* Cuts s into tables between user keys. */
static uint32_t build_run(const struct sample *s, uint32_t wanted, struct omi_table **tables,
                          omen_codec codec)
{
    uint32_t count = 0, from = 0;
    while (from < s->count) {
        uint32_t to = from + s->count / wanted + 1;
        if (to > s->count)
            to = s->count;
        while (to < s->count && omi_key_compare(&tenv.order, omi_entry_key(&s->entries[to - 1]),
                                                omi_entry_key(&s->entries[to])) == 0)
            to++;
        tables[count] = build(s, from, to, 100 + count, codec);
        count++;
        from = to;
    }
    return count;
}

static void round_trip(uint32_t entries, size_t value_max, omen_codec codec, uint64_t cache_bytes)
{
    setup(cache_bytes);
    struct sample s = sample_create(entries, value_max);
    struct omi_table *one = build(&s, 0, s.count, 1, codec), *run[16];
    check_lookups(&s, one);
    check_walks(&s, &one, 1);
    check_source(&s, &one, 1);
    struct omi_table_verdict verdict = {0};
    cr_assert_eq(omi_table_verify(one, &verdict, NULL, NULL), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(verdict.entries, s.count);
    omi_table_close(one, true);
    uint32_t count = build_run(&s, 5, run, codec);
    check_walks(&s, run, count);
    check_source(&s, run, count);
    for (uint32_t i = 0; i < count; i++)
        omi_table_close(run[i], false);
    sample_destroy(&s);
    teardown();
}

Test(table, gives_back_every_entry_with_every_codec_with_and_without_a_cache)
{
    round_trip(3000, 60, OMEN_CODEC_NONE, 4 << 20);
    round_trip(3000, 60, OMEN_CODEC_ZSTD, 4 << 20);
    round_trip(2000, 3000, OMEN_CODEC_ZSTD_FAST, 0);
    round_trip(1, 10, OMEN_CODEC_NONE, 1 << 20);
}

static int reverse_compare(void *ctx, omen_slice a, omen_slice b)
{
    (void)ctx;
    return omi_bytes_compare(b.data, b.size, a.data, a.size);
}

Test(table, obeys_a_comparator)
{
    static const omen_comparator reverse = {"reverse", reverse_compare, NULL};
    setup(1 << 20);
    tenv.order.comparator = &reverse;
    struct sample s = sample_create(2000, 40);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    check_lookups(&s, t);
    check_walks(&s, &t, 1);
    check_source(&s, &t, 1);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

/* The table again, after a bit of its file was flipped. */
static omen_err reopen_damaged(uint64_t number, uint64_t bytes, uint64_t off, struct omi_table **t)
{
    char name[OMI_FILE_NAME_BYTES];
    omi_table_name(number, name);
    cr_assert_eq(omi_sim_damage(env, "/t", name, off, 3), OMEN_OK, "%s", omen_last_error());
    return omi_table_open(&tenv, number, bytes, t);
}

Test(table, a_damaged_index_is_rebuilt_and_a_damaged_filter_dropped)
{
    setup(1 << 20);
    struct sample s = sample_create(2000, 40);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    uint64_t bytes = t->file_bytes;
    uint64_t index = t->footer.sections[OMI_SECTION_INDEX].off;
    uint64_t filter = t->footer.sections[OMI_SECTION_FILTER].off;
    omi_table_close(t, true);
    cr_assert_eq(reopen_damaged(1, bytes, index + 20, &t), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(tenv.index_rebuilt, 1);
    check_lookups(&s, t);
    check_walks(&s, &t, 1);
    check_source(&s, &t, 1);
    omi_table_close(t, true);
    cr_assert_eq(reopen_damaged(1, bytes, filter + 100, &t), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(tenv.filters_dropped, 1);
    cr_assert_not(omi_table_has_filter(t));
    check_lookups(&s, t);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

static void count_problem(void *ctx, const char *text)
{
    (void)text;
    ++*(int *)ctx;
}

Test(table, a_damaged_block_is_corrupt_and_the_others_still_read)
{
    setup(0);
    struct sample s = sample_create(2000, 40);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    uint64_t off;
    uint32_t size;
    omi_table_locate(t, 3, &off, &size);
    cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off + 40, 1), OMEN_OK);
    for (uint32_t b = 0; b < omi_table_blocks(t); b++) {
        struct omi_frame *f = NULL;
        omen_err err = omi_table_load(t, b, true, &f);
        cr_assert_eq(err, b == 3 ? OMEN_CORRUPT : OMEN_OK, "block %u", b);
        if (b == 3)
            cr_assert(strstr(omen_last_error(), "000001.sst") != NULL, "%s", omen_last_error());
        if (f != NULL)
            omi_frame_release(f);
    }
    struct omi_table_verdict verdict = {0};
    int problems = 0;
    cr_assert_eq(omi_table_verify(t, &verdict, count_problem, &problems), OMEN_CORRUPT);
    cr_assert_gt(problems, 0);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

Test(table, any_flipped_bit_of_its_ends_is_noticed_or_harmless)
{
    setup(0);
    struct sample s = sample_create(60, 30);
    struct omi_table *t = build(&s, 0, s.count, 1, OMEN_CODEC_NONE);
    uint64_t bytes = t->file_bytes, data_end = t->footer.data_end;
    omi_table_close(t, true);
    for (uint64_t off = 0; off < bytes; off++) {
        if (off == OMI_TABLE_HEADER_BYTES)
            off = data_end;
        omen_err err = reopen_damaged(1, bytes, off, &t);
        if (err == OMEN_OK) {
            check_lookups(&s, t);
            omi_table_close(t, true);
        } else {
            cr_assert(err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED, "offset %lu: %s", off,
                      omen_err_name(err));
        }
        cr_assert_eq(omi_sim_damage(env, "/t", "000001.sst", off, 3), OMEN_OK); /* and back */
    }
    sample_destroy(&s);
    teardown();
}

Test(table, a_failed_write_leaves_no_file_and_a_builder_that_works)
{
    setup(0);
    struct sample s = sample_create(500, 40);
    struct omi_table_params params = {.block_bytes = 1024, .filter_bits = 10};
    struct omi_table_builder *b;
    struct omi_table_props props;
    cr_assert_eq(omi_table_builder_create(&tenv, &params, &b), OMEN_OK);
    for (int kind = OMI_FAULT_WRITE; kind <= OMI_FAULT_SYNC; kind++) {
        for (uint32_t i = 0; i < s.count; i++)
            cr_assert_eq(omi_table_builder_add(b, &s.entries[i]), OMEN_OK);
        omi_sim_fail(env, (enum omi_sim_fault)kind, 1, false);
        cr_assert_eq(omi_table_builder_finish(b, 5, &props), OMEN_IO);
        omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
        struct omi_file *f;
        cr_assert_eq(omi_file_open(tenv.dir, "000005.sst", OMI_OPEN_READ, 0, &f), OMEN_NOT_FOUND);
        cr_assert_eq(omi_table_builder_raw_bytes(b), 0);
    }
    omi_table_builder_destroy(b);
    struct omi_table *t = build(&s, 0, s.count, 5, OMEN_CODEC_NONE);
    check_lookups(&s, t);
    omi_table_close(t, true);
    sample_destroy(&s);
    teardown();
}

/*
 * table_sample.h - private to these tests: a directory in memory, entries, tables made of them, and
 * cursors compared with them.
 */
#ifndef TABLE_SAMPLE_H
#define TABLE_SAMPLE_H

#include "io/base/hash.h"
#include "io/env_sim.h"
#include "lsm/table_open.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rng {
    uint64_t state;
};

static inline uint64_t rng_next(struct rng *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 31);
}

static inline uint64_t seed_of(void)
{
    const char *text = getenv("OMENDB_TEST_SEED");
    return text != NULL ? strtoull(text, NULL, 10) : 42;
}

/* Appended to what an assertion says. */
#define REPLAY "; replay: OMENDB_TEST_SEED=%" PRIu64

/* ---- a directory in memory, and entries ------------------------------------------------------ */

static struct omi_env *env;
static struct omi_table_env tenv;

static inline void setup(uint64_t cache_bytes)
{
    env = omi_sim_create(seed_of());
    memset(&tenv, 0, sizeof(tenv));
    tenv.env = env;
    cr_assert_eq(omi_dir_open(env, "/t", true, &tenv.dir), OMEN_OK);
    cr_assert_eq(omi_cache_create(cache_bytes, &tenv.cache), OMEN_OK);
}

static inline void teardown(void)
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

static inline int compare_entries(const void *a, const void *b)
{
    const struct omi_entry *x = a, *y = b;
    return omi_internal_compare(&tenv.order, omi_entry_key(x), x->trailer, omi_entry_key(y),
                                y->trailer);
}

static inline struct sample sample_create(uint32_t count, size_t value_max)
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

static inline void sample_destroy(struct sample *s)
{
    free(s->entries);
    omi_buf_fini(&s->bytes);
}

/* Entries [from, to) of s as table number. */
static inline struct omi_table *build(const struct sample *s, uint32_t from, uint32_t to,
                                      uint64_t number, omen_codec codec)
{
    struct omi_table_params params = {.block_bytes = 1024, .filter_bits = 10, .codec = codec};
    struct omi_table_builder *b;
    struct omi_table_props props;
    struct omi_table *t;
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
static inline uint32_t lower_bound(const struct sample *s, omen_slice key, uint64_t trailer)
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

static inline uint32_t find_block(struct omi_table *t, omen_slice key, uint64_t trailer)
{
    uint32_t block;
    cr_assert_eq(omi_table_find_block(t, key, trailer, NULL, &block), OMEN_OK);
    return block;
}

static inline void locate(struct omi_table *t, uint32_t block, uint64_t *off, uint32_t *size)
{
    cr_assert_eq(omi_table_locate(t, block, off, size), OMEN_OK);
}

static inline void check_lookups(const struct sample *s, struct omi_table *t)
{
    for (uint32_t i = 0; i < s->count; i++) {
        const struct omi_entry *e = &s->entries[i];
        cr_assert(omi_table_may_hold(t, omi_entry_key(e), omi_key_hash(e->key, e->key_size), NULL));
        uint32_t block = find_block(t, omi_entry_key(e), e->trailer | 0xff);
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

static inline void check_at(const struct omi_run_cursor *c, const struct sample *s, long at,
                            const char *how)
{
    cr_assert_eq(c->err, OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omi_run_cursor_valid(c), at >= 0 && at < (long)s->count, "%s at %ld" REPLAY, how,
                 at, seed_of());
    if (!omi_run_cursor_valid(c))
        return;
    const struct omi_entry *e = &s->entries[at];
    cr_assert(omi_bytes_equal(c->entry.key, c->entry.key_size, e->key, e->key_size),
              "%s at %ld" REPLAY, how, at, seed_of());
    cr_assert_eq(c->entry.trailer, e->trailer, "%s at %ld" REPLAY, how, at, seed_of());
    cr_assert(omi_bytes_equal(c->entry.value, c->entry.value_size, e->value, e->value_size));
}

static inline void check_walks(const struct sample *s, struct omi_table *const *tables,
                               uint32_t count, bool fill_cache)
{
    struct rng r = {seed_of()};
    struct omi_run_cursor c;
    omi_run_cursor_init(&c, tables, count, &tenv.order, fill_cache);
    long at = 0;
    for (omi_run_cursor_first(&c); omi_run_cursor_valid(&c); omi_run_cursor_next(&c))
        check_at(&c, s, at++, "forward");
    cr_assert_eq(at, s->count);
    for (omi_run_cursor_last(&c); omi_run_cursor_valid(&c); omi_run_cursor_prev(&c))
        check_at(&c, s, --at, "backward");
    cr_assert_eq(at, 0);
    for (int q = 0; q < 300; q++) {
        const struct omi_entry *e = &s->entries[rng_next(&r) % s->count];
        static uint8_t key[OMEN_KEY_BYTES_MAX];
        size_t n = e->key_size;
        if (n != 0)
            memcpy(key, e->key, n);
        if (q % 3 == 0 && n < sizeof(key))
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

static inline void check_source(const struct sample *s, struct omi_table *const *tables,
                                uint32_t count)
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
static inline uint32_t build_run(const struct sample *s, uint32_t wanted, struct omi_table **tables,
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

#endif

#include "io/base/hash.h"
#include "lsm/memtable.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(memtable, .timeout = 30);

enum { KEYS = 700, KEY_MAX = 1100 };

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

enum family { BE64, NESTED, LONG_PREFIX, RUNS, FAMILIES };

static size_t make_key(enum family f, uint64_t i, uint8_t *out)
{
    size_t n = 0;
    switch (f) {
    case BE64:
        for (int b = 0; b < 8; b++)
            out[n++] = (uint8_t)(i * 2654435761u >> (56 - 8 * b));
        for (int b = 0; b < 4; b++)
            out[n++] = (uint8_t)(i >> (24 - 8 * b));
        break;
    case NESTED: /* prefixes of each other, the empty key among them */
        for (; i > 0; i /= 3) {
            i--;
            out[n++] = (uint8_t) "\x00\x61\xff"[i % 3];
        }
        break;
    case LONG_PREFIX:
        memset(out, 'p', 1024);
        n = 1024 + (size_t)sprintf((char *)out + 1024, "%llu", (unsigned long long)i);
        break;
    default: /* runs of 0x00 and 0xff of many lengths */
        n = i / 2 + 1;
        memset(out, i % 2 != 0 ? 0xff : 0x00, n);
        out[n++] = 'x';
        break;
    }
    return n;
}

struct version {
    uint64_t seq;
    uint32_t value;
    bool is_delete;
};

struct model { /* versions by key, oldest first */
    uint8_t keys[KEYS][KEY_MAX];
    size_t sizes[KEYS];
    struct version *versions[KEYS];
    size_t counts[KEYS];
    uint64_t seq;
};

static enum family sorting;
static bool reversed;
static int compare_numbers(const void *a, const void *b)
{
    uint8_t x[KEY_MAX], y[KEY_MAX];
    size_t nx = make_key(sorting, *(const uint64_t *)a, x);
    size_t ny = make_key(sorting, *(const uint64_t *)b, y);
    int c = omi_bytes_compare(x, nx, y, ny);
    return reversed ? -c : c;
}

static struct model *model_create(enum family f, bool reverse)
{
    struct model *m = calloc(1, sizeof(*m));
    uint64_t numbers[KEYS];
    for (uint64_t i = 0; i < KEYS; i++)
        numbers[i] = i;
    sorting = f;
    reversed = reverse;
    qsort(numbers, KEYS, sizeof(numbers[0]), compare_numbers);
    for (size_t i = 0; i < KEYS; i++)
        m->sizes[i] = make_key(f, numbers[i], m->keys[i]);
    return m;
}

static void model_destroy(struct model *m)
{
    for (size_t i = 0; i < KEYS; i++)
        free(m->versions[i]);
    free(m);
}

static omen_slice key_of(const struct model *m, size_t i)
{
    return omi_slice(m->keys[i], m->sizes[i]);
}

static void write_random(struct model *m, struct omi_memtable *t, struct rng *r)
{
    size_t i = rng_next(r) % KEYS;
    uint32_t value = (uint32_t)rng_next(r);
    bool is_delete = rng_next(r) % 5 == 0;
    struct omi_entry e = {m->keys[i], (const uint8_t *)&value,
                          omi_trailer(++m->seq, is_delete ? OMI_KIND_DELETE : OMI_KIND_PUT),
                          (uint32_t)m->sizes[i], is_delete ? 0 : sizeof(value)};
    cr_assert_eq(omi_memtable_insert(t, &e), OMEN_OK, "%s", omen_last_error());
    m->versions[i] = realloc(m->versions[i], (m->counts[i] + 1) * sizeof(struct version));
    m->versions[i][m->counts[i]++] = (struct version){m->seq, value, is_delete};
}

/* The newest version of key i at seq; NULL: none. */
static const struct version *visible(const struct model *m, size_t i, uint64_t seq)
{
    for (size_t v = m->counts[i]; v-- > 0;)
        if (m->versions[i][v].seq <= seq)
            return &m->versions[i][v];
    return NULL;
}

static void check_entry(const struct model *m, size_t i, uint64_t seq, const struct omi_entry *e)
{
    const struct version *v = visible(m, i, seq);
    cr_assert(v != NULL, "key %zu has nothing at seq %lu (seed %lu)", i, seq, seed_of());
    cr_assert(omi_bytes_equal(e->key, e->key_size, m->keys[i], m->sizes[i]),
              "another key than %zu (seed %lu)", i, seed_of());
    cr_assert_eq(omi_trailer_seq(e->trailer), v->seq, "key %zu (seed %lu)", i, seed_of());
    cr_assert_eq(omi_trailer_kind(e->trailer), v->is_delete ? OMI_KIND_DELETE : OMI_KIND_PUT);
    if (!v->is_delete)
        cr_assert(memcmp(e->value, &v->value, sizeof(v->value)) == 0);
}

static void check_gets(const struct model *m, const struct omi_memtable *t, uint64_t seq)
{
    for (size_t i = 0; i < KEYS; i++) {
        struct omi_entry e;
        omen_slice key = key_of(m, i);
        omen_err err = omi_memtable_get(t, key, omi_key_hash(key.data, key.size), seq, &e);
        cr_assert_eq(err == OMEN_OK, visible(m, i, seq) != NULL, "key %zu at %lu (seed %lu)", i,
                     seq, seed_of());
        if (err == OMEN_OK)
            check_entry(m, i, seq, &e);
    }
}

/* The first key from i on, in direction step, that has a version at seq; -1: none. */
static long next_visible(const struct model *m, long i, long step, uint64_t seq)
{
    for (; i >= 0 && i < KEYS; i += step)
        if (visible(m, (size_t)i, seq) != NULL)
            return i;
    return -1;
}

static void check_walk(const struct model *m, const struct omi_memtable *t, uint64_t seq,
                       struct rng *r)
{
    struct omi_mem_cursor c;
    omi_mem_cursor_init(&c, t, seq);
    long start = (long)(rng_next(r) % KEYS), at;
    switch (rng_next(r) % 4) {
    case 0:
        omi_mem_cursor_first(&c);
        at = next_visible(m, 0, 1, seq);
        break;
    case 1:
        omi_mem_cursor_last(&c);
        at = next_visible(m, KEYS - 1, -1, seq);
        break;
    case 2:
        omi_mem_cursor_seek(&c, key_of(m, (size_t)start));
        at = next_visible(m, start, 1, seq);
        break;
    default:
        omi_mem_cursor_seek_for_prev(&c, key_of(m, (size_t)start));
        at = next_visible(m, start, -1, seq);
        break;
    }
    for (int steps = 0; steps < 200; steps++) {
        cr_assert_eq(c.valid, at >= 0, "at %ld (seed %lu)", at, seed_of());
        if (at < 0)
            return;
        check_entry(m, (size_t)at, seq, &c.entry);
        if (rng_next(r) % 3 != 0) {
            omi_mem_cursor_next(&c);
            at = next_visible(m, at + 1, 1, seq);
        } else {
            omi_mem_cursor_prev(&c);
            at = next_visible(m, at - 1, -1, seq);
        }
    }
}

static void check_source(const struct model *m, const struct omi_memtable *t)
{
    struct omi_merge_source *s;
    cr_assert_eq(omi_memtable_source_open(t, &s), OMEN_OK);
    size_t key = 0, left = m->counts[0];
    for (;;) {
        cr_assert_eq(s->refill(s), OMEN_OK);
        if (s->count == 0)
            break;
        for (uint32_t i = 0; i < s->count; i++) {
            while (left == 0)
                left = m->counts[++key];
            check_entry(m, key, m->versions[key][--left].seq, &s->entries[i]);
        }
    }
    while (left == 0 && key + 1 < KEYS)
        left = m->counts[++key];
    cr_assert_eq(left, 0, "the source ended at key %zu", key);
    omi_memtable_source_close(s);
}

static void run_oracle(enum family f, const struct omi_order *order, bool reverse)
{
    struct rng r = {seed_of()};
    struct model *m = model_create(f, reverse);
    struct omi_arena_pool *pool;
    struct omi_memtable *t;
    cr_assert_eq(omi_arena_pool_create(1 << 20, &pool), OMEN_OK);
    cr_assert_eq(omi_memtable_create(pool, order, 256 << 10, &t), OMEN_OK);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 150; i++)
            write_random(m, t, &r);
        check_gets(m, t, m->seq);
        check_gets(m, t, rng_next(&r) % (m->seq + 1));
        for (int i = 0; i < 10; i++)
            check_walk(m, t, rng_next(&r) % (m->seq + 1), &r);
    }
    check_source(m, t);
    cr_assert_eq(omi_memtable_entries(t), m->seq);
    cr_assert_eq(omi_memtable_min_seq(t), 1);
    cr_assert_eq(omi_memtable_max_seq(t), m->seq);
    omi_memtable_unref(t);
    omi_arena_pool_destroy(pool);
    model_destroy(m);
}

Test(memtable, answers_like_a_sorted_map_for_every_family_of_keys)
{
    struct omi_order order = {NULL};
    for (int f = 0; f < FAMILIES; f++)
        run_oracle((enum family)f, &order, false);
}

static int reverse_compare(void *ctx, omen_slice a, omen_slice b)
{
    (void)ctx;
    return omi_bytes_compare(b.data, b.size, a.data, a.size);
}

Test(memtable, obeys_a_comparator)
{
    omen_comparator c = {"reverse", reverse_compare, NULL};
    struct omi_order order = {&c};
    run_oracle(NESTED, &order, true);
    run_oracle(BE64, &order, true);
}

static void insert(struct omi_memtable *t, const char *key, uint64_t seq, size_t value_size)
{
    uint8_t *value = calloc(1, value_size + 1);
    struct omi_entry e = {(const uint8_t *)key, value, omi_trailer(seq, OMI_KIND_PUT),
                          (uint32_t)strlen(key), (uint32_t)value_size};
    cr_assert_eq(omi_memtable_insert(t, &e), OMEN_OK, "%s", omen_last_error());
    free(value);
}

Test(memtable, finds_any_of_100000_versions_of_one_key)
{
    struct omi_order order = {NULL};
    struct omi_arena_pool *pool;
    struct omi_memtable *t;
    cr_assert_eq(omi_arena_pool_create(0, &pool), OMEN_OK);
    cr_assert_eq(omi_memtable_create(pool, &order, 8 << 20, &t), OMEN_OK);
    for (uint64_t seq = 1; seq <= 100000; seq++)
        insert(t, "key", 2 * seq, 8);
    for (uint64_t seq = 1; seq <= 200001; seq += 97) {
        struct omi_entry e;
        omen_err err = omi_memtable_get(t, omi_slice("key", 3), omi_key_hash("key", 3), seq, &e);
        uint64_t want = seq > 200000 ? 200000 : seq / 2 * 2;
        cr_assert_eq(err, want == 0 ? OMEN_NOT_FOUND : OMEN_OK);
        if (err == OMEN_OK)
            cr_assert_eq(omi_trailer_seq(e.trailer), want);
    }
    omi_memtable_unref(t);
    omi_arena_pool_destroy(pool);
}

Test(memtable, takes_values_far_larger_than_its_size)
{
    struct omi_order order = {NULL};
    struct omi_arena_pool *pool;
    struct omi_memtable *t;
    cr_assert_eq(omi_arena_pool_create(1 << 20, &pool), OMEN_OK);
    cr_assert_eq(omi_memtable_create(pool, &order, 64 << 10, &t), OMEN_OK);
    char key[16];
    for (uint64_t i = 1; i <= 40; i++) {
        snprintf(key, sizeof(key), "k%llu", (unsigned long long)i);
        insert(t, key, i, i % 4 == 0 ? 3 << 20 : 100);
    }
    for (uint64_t i = 1; i <= 40; i++) {
        struct omi_entry e;
        size_t n = (size_t)snprintf(key, sizeof(key), "k%llu", (unsigned long long)i);
        cr_assert_eq(omi_memtable_get(t, omi_slice(key, n), omi_key_hash(key, n), 40, &e), OMEN_OK);
        cr_assert_eq(e.value_size, i % 4 == 0 ? 3u << 20 : 100u);
    }
    omi_memtable_unref(t);
    omi_arena_pool_destroy(pool);
}

Test(memtable, reservation_makes_room_for_a_whole_batch)
{
    struct omi_order order = {NULL};
    struct omi_arena_pool *pool;
    struct omi_memtable *t;
    cr_assert_eq(omi_arena_pool_create(1 << 20, &pool), OMEN_OK);
    cr_assert_eq(omi_memtable_create(pool, &order, 64 << 10, &t), OMEN_OK);
    cr_assert_eq(omi_memtable_reserve(t, 20000, 20000 * 28), OMEN_OK);
    uint64_t before = omi_memtable_memory(t);
    char key[32];
    for (uint64_t i = 1; i <= 20000; i++) {
        snprintf(key, sizeof(key), "%020llu", (unsigned long long)(i * 7919 % 20011));
        insert(t, key, i, 8);
    }
    cr_assert_eq(omi_memtable_memory(t), before, "inserts within a reservation took more memory");
    omi_memtable_unref(t);
    omi_arena_pool_destroy(pool);
}

#include "learned/block_index.h"

#include "io/base/coding.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(block_index, .timeout = 60);

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

static const struct omi_order bytewise = {NULL};

/* ---- key sets -------------------------------------------------------------------------------- */

struct keys {
    struct omi_index_key *items;
    uint32_t count, capacity;
    const struct omi_order *order;
};

static void keys_add(struct keys *k, const void *bytes, size_t size, uint64_t trailer, uint32_t raw)
{
    if (k->count == k->capacity) {
        k->capacity = k->capacity * 2 + 64;
        k->items = realloc(k->items, k->capacity * sizeof(*k->items));
    }
    uint8_t *copy = malloc(size + 1);
    memcpy(copy, bytes, size);
    k->items[k->count++] = (struct omi_index_key){copy, trailer, (uint32_t)size, raw};
}

static const struct omi_order *sort_order;
static int compare_items(const void *a, const void *b)
{
    const struct omi_index_key *x = a, *y = b;
    return omi_internal_compare(sort_order, omi_slice(x->key, x->key_size), x->trailer,
                                omi_slice(y->key, y->key_size), y->trailer);
}

static void keys_sort(struct keys *k)
{
    uint32_t kept = 0;
    sort_order = k->order != NULL ? k->order : &bytewise;
    qsort(k->items, k->count, sizeof(*k->items), compare_items);
    for (uint32_t i = 0; i < k->count; i++) {
        if (kept > 0 && compare_items(&k->items[kept - 1], &k->items[i]) == 0)
            free((void *)(uintptr_t)k->items[i].key);
        else
            k->items[kept++] = k->items[i];
    }
    k->count = kept;
}

static void keys_free(struct keys *k)
{
    for (uint32_t i = 0; i < k->count; i++)
        free((void *)(uintptr_t)k->items[i].key);
    free(k->items);
}

static void add_text(struct keys *k, const char *format, unsigned long long i)
{
    char text[1500];
    int n = snprintf(text, sizeof(text), format, i);
    keys_add(k, text, (size_t)n, omi_trailer(1, OMI_KIND_PUT), 120);
}

/* ---- building and asking --------------------------------------------------------------------- */

struct built {
    struct omi_index_plan *plan;
    struct omi_index *index;
    struct omi_index_info info;
    uint8_t *section;
    size_t size;
    uint64_t end;
    uint32_t blocks;
    const uint32_t *first;
    const struct omi_order *order;
    struct omi_index *split;
    uint8_t *head, *lines; /* of the split one */
};

/* The same index with its lines apart, and moved after it was made. */
static void split_off(struct built *b)
{
    size_t off, size;
    omi_index_lines(b->index, &off, &size);
    cr_assert(off == OMI_INDEX_LINES_OFF && size % OMI_INDEX_LINE_BYTES == 0);
    b->head = malloc(b->size - size);
    b->lines = aligned_alloc(64, size);
    memcpy(b->head, b->section, off);
    memcpy(b->head + off, b->section + off + size, b->size - off - size);
    memcpy(b->lines, b->section + off, size);
    uint8_t *moved = malloc(b->size);
    memcpy(moved, b->section, b->size);
    struct omi_index *from;
    cr_assert_eq(omi_index_open(moved, b->size, b->order, b->end, &from), OMEN_OK);
    cr_assert_eq(omi_index_split(from, b->head, &b->split), OMEN_OK, "%s", omen_last_error());
    omi_index_close(from);
    memset(moved, 0xff, b->size);
    free(moved);
}

static void split_line(const struct built *b, const struct omi_index_way *way,
                       uint8_t line[static OMI_INDEX_LINE_BYTES])
{
    memcpy(line, b->lines + (size_t)way->group * OMI_INDEX_LINE_BYTES, OMI_INDEX_LINE_BYTES);
}

static struct built build(const struct keys *k, const struct omi_index_params *given)
{
    struct built b = {0};
    struct omi_index_params params = *given;
    struct omi_buf out = {0};
    params.order = k->order != NULL ? k->order : &bytewise;
    cr_assert_eq(omi_index_plan_create(k->items, k->count, &params, &b.plan), OMEN_OK, "%s",
                 omen_last_error());
    b.blocks = omi_index_plan_blocks(b.plan);
    b.first = omi_index_plan_first(b.plan);
    uint64_t *offsets = calloc(b.blocks + (size_t)1, sizeof(*offsets));
    offsets[0] = 64;
    for (uint32_t i = 0; i < b.blocks; i++)
        offsets[i + 1] = offsets[i] + 64 * (1 + (i * UINT64_C(7919)) % 70);
    b.end = offsets[b.blocks];
    cr_assert_eq(omi_index_plan_encode(b.plan, offsets, &out, &b.info), OMEN_OK, "%s",
                 omen_last_error());
    b.size = out.size;
    b.section = aligned_alloc(64, (out.size + 127) / 64 * 64);
    memcpy(b.section, out.data, out.size);
    cr_assert_eq(omi_index_open(b.section, b.size, params.order, b.end, &b.index), OMEN_OK, "%s",
                 omen_last_error());
    b.order = params.order;
    split_off(&b);
    for (uint32_t i = 0; i < b.blocks; i++) {
        uint64_t off, off_split;
        uint32_t size, size_split;
        uint8_t line[OMI_INDEX_LINE_BYTES];
        struct omi_index_way way;
        omi_index_locate(b.index, i, &off, &size);
        cr_assert_eq(off, offsets[i]);
        cr_assert_eq(off + size, offsets[i + 1]);
        omi_index_way_to_block(b.split, i, &way);
        split_line(&b, &way, line);
        omi_index_locate_on(b.split, &way, line, i, &off_split, &size_split);
        cr_assert(off_split == off && size_split == size, "block %u with its line apart", i);
    }
    omi_buf_fini(&out);
    free(offsets);
    return b;
}

static void built_free(struct built *b)
{
    omi_index_close(b->index);
    omi_index_close(b->split);
    omi_index_plan_destroy(b->plan);
    free(b->section);
    free(b->head);
    free(b->lines);
}

static void ask(const struct keys *k, const struct built *b, const uint8_t *key, size_t size,
                uint64_t trailer)
{
    const struct omi_order *order = k->order != NULL ? k->order : &bytewise;
    uint32_t block = omi_index_find(b->index, omi_slice(key, size), trailer, NULL);
    cr_assert_lt(block, b->blocks);
    struct omi_index_way way;
    uint8_t line[OMI_INDEX_LINE_BYTES];
    omi_index_way_to_key(b->split, omi_slice(key, size), &way);
    split_line(b, &way, line);
    cr_assert_eq(omi_index_find_on(b->split, &way, line, omi_slice(key, size), trailer, NULL),
                 block, "a key of %zu bytes with the lines apart (seed %lu)", size, seed_of());
    if (block > 0) {
        const struct omi_index_key *x = &k->items[b->first[block] - 1];
        cr_assert_lt(omi_internal_compare(order, omi_slice(x->key, x->key_size), x->trailer,
                                          omi_slice(key, size), trailer),
                     0, "a key of %zu bytes belongs before block %u (seed %lu)", size, block,
                     seed_of());
    }
    if (block + 1 < b->blocks) {
        const struct omi_index_key *x = &k->items[b->first[block + 1]];
        cr_assert_gt(omi_internal_compare(order, omi_slice(x->key, x->key_size), x->trailer,
                                          omi_slice(key, size), trailer),
                     0, "a key of %zu bytes belongs behind block %u (seed %lu)", size, block,
                     seed_of());
    }
}

static void ask_all(const struct keys *k, const struct built *b)
{
    struct rng r = {seed_of()};
    uint8_t *key = malloc(70000);
    for (uint32_t i = 0; i < k->count; i++) {
        const struct omi_index_key *x = &k->items[i];
        size_t n = x->key_size;
        ask(k, b, x->key, n, x->trailer);
        ask(k, b, x->key, n, x->trailer | 0xff);
        ask(k, b, x->key, n, UINT64_MAX);
        ask(k, b, x->key, n, 0);
        memcpy(key, x->key, n);
        switch (rng_next(&r) % 6) {
        case 0:
            if (n > 0)
                key[rng_next(&r) % n] = (uint8_t)rng_next(&r);
            break;
        case 1:
            n = n > 0 ? rng_next(&r) % n : 0;
            break;
        case 2:
            key[n++] = 0;
            break;
        case 3:
            key[n++] = 0xff;
            break;
        case 4:
            if (n > 0)
                key[n - 1]++;
            break;
        default:
            if (n > 0)
                key[n - 1]--;
            break;
        }
        ask(k, b, key, n, UINT64_MAX);
    }
    ask(k, b, key, 0, UINT64_MAX);
    memset(key, 0xff, 70000);
    ask(k, b, key, 300, 0);
    free(key);
}

static struct omi_index_info check(struct keys *k, uint32_t block_bytes)
{
    struct omi_index_params params = {.block_bytes = block_bytes};
    keys_sort(k);
    struct built b = build(k, &params);
    ask_all(k, &b);
    cr_assert_not(b.info.certificate_failed);
    struct omi_index_info info = b.info;
    built_free(&b);
    keys_free(k);
    return info;
}

/* ---- the tests ------------------------------------------------------------------------------- */

Test(block_index, finds_every_key_with_a_long_run_of_equal_first_bytes)
{
    struct keys k = {0};
    for (unsigned long long i = 0; i < 20000; i++)
        add_text(&k, "key_%010llu", i);
    struct omi_index_info info = check(&k, 4096);
    cr_assert_not(info.is_explicit, "a counter needs no separators");
    cr_assert_lt(info.bytes * 10, info.keys, "%lu bytes for %lu keys", info.bytes, info.keys);
}

Test(block_index, takes_unpadded_decimals)
{
    struct keys k = {0};
    for (unsigned long long i = 0; i < 20000; i++)
        add_text(&k, "%llu", i * 7);
    check(&k, 1024);
}

Test(block_index, takes_keys_that_are_prefixes_of_each_other_and_the_empty_key)
{
    struct keys k = {0};
    uint8_t key[600];
    for (size_t n = 0; n < 500; n++)
        for (int c = 0; c < 3; c++) {
            memset(key, "\x00\x61\xff"[c], n);
            keys_add(&k, key, n, omi_trailer(1, 1), 90);
        }
    check(&k, 1024);
}

Test(block_index, takes_a_common_prefix_of_1_kib_and_queries_shorter_than_it)
{
    struct keys k = {0};
    uint8_t key[1100];
    memset(key, 'p', 1024);
    for (unsigned i = 0; i < 5000; i++) {
        int n = sprintf((char *)key + 1024, "%u", i * 31);
        keys_add(&k, key, 1024 + (size_t)n, omi_trailer(1, 1), 1200);
    }
    struct omi_index_params params = {.block_bytes = 4096};
    keys_sort(&k);
    struct built b = build(&k, &params);
    ask_all(&k, &b);
    for (size_t n = 0; n < 1024; n += 37)
        ask(&k, &b, key, n, UINT64_MAX);
    key[500] = 'q';
    ask(&k, &b, key, 900, UINT64_MAX);
    key[500] = 'a';
    ask(&k, &b, key, 900, UINT64_MAX);
    cr_assert_lt(b.size, 20000, "the prefix is kept once");
    built_free(&b);
    keys_free(&k);
}

Test(block_index, takes_100000_versions_of_one_key_over_many_blocks)
{
    struct keys k = {0};
    add_text(&k, "a%llu", 1);
    for (uint64_t v = 0; v < 100000; v++)
        keys_add(&k, "hot", 3, omi_trailer(3 * v + 10, 1), 60);
    add_text(&k, "z%llu", 1);
    keys_sort(&k);
    struct omi_index_params params = {.block_bytes = 4096};
    struct built b = build(&k, &params);
    cr_assert_gt(b.blocks, 1000);
    ask_all(&k, &b);
    for (uint64_t seq = 0; seq < 300020; seq += 101)
        ask(&k, &b, (const uint8_t *)"hot", 3, omi_trailer_seek(seq));
    built_free(&b);
    keys_free(&k);
}

Test(block_index, gives_an_entry_larger_than_a_block_a_block_of_its_own)
{
    struct rng r = {seed_of()};
    struct keys k = {0};
    for (unsigned i = 0; i < 5000; i++) {
        char text[32];
        int n = sprintf(text, "%08u", i);
        keys_add(&k, text, (size_t)n, omi_trailer(1, 1),
                 rng_next(&r) % 40 == 0 ? 50000 : 50 + (uint32_t)(rng_next(&r) % 100));
    }
    keys_sort(&k);
    struct omi_index_params params = {.block_bytes = 4096};
    struct built b = build(&k, &params);
    for (uint32_t i = 0; i < b.blocks; i++) {
        uint32_t end = i + 1 < b.blocks ? b.first[i + 1] : k.count, bytes = 0;
        for (uint32_t e = b.first[i]; e < end; e++)
            bytes += k.items[e].raw_bytes;
        cr_assert(bytes <= 4096 + 2048 || end - b.first[i] == 1, "block %u holds %u bytes", i,
                  bytes);
    }
    ask_all(&k, &b);
    built_free(&b);
    keys_free(&k);
}

Test(block_index, takes_one_key_and_keys_with_equal_codes)
{
    struct keys one = {0}, same = {0};
    add_text(&one, "%llu", 5);
    check(&one, 4096);
    uint8_t key[200];
    memset(key, 'x', sizeof(key));
    for (unsigned i = 0; i < 4000; i++) { /* they differ only far behind any position that counts */
        key[150] = (uint8_t)(i >> 8);
        key[151] = (uint8_t)i;
        key[0] = (uint8_t)('a' + (i & 1));
        keys_add(&same, key, 160, omi_trailer(1, 1), 300);
    }
    check(&same, 4096);
}

Test(block_index, takes_outliers_and_skew)
{
    struct rng r = {seed_of()};
    struct keys k = {0};
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t v = i < 21 ? UINT64_C(1) << 62 | rng_next(&r) >> 3
                            : rng_next(&r) % (UINT64_C(1) << (10 + rng_next(&r) % 40));
        uint8_t key[8];
        for (int b = 0; b < 8; b++)
            key[b] = (uint8_t)(v >> (56 - 8 * b));
        keys_add(&k, key, 8, omi_trailer(1, 1), 40 + (uint32_t)(rng_next(&r) % 200));
    }
    check(&k, 4096);
}

Test(block_index, a_failed_certificate_falls_back_to_separators)
{
    struct keys k = {0};
    for (unsigned long long i = 0; i < 5000; i++)
        add_text(&k, "user%llu", i * UINT64_C(0x9e3779b97f4a7c15));
    keys_sort(&k);
    struct omi_index_params params = {.block_bytes = 4096, .break_certificate = true};
    struct built b = build(&k, &params);
    cr_assert(b.info.certificate_failed && b.info.is_explicit);
    cr_assert(omi_index_is_explicit(b.index));
    ask_all(&k, &b);
    built_free(&b);
    keys_free(&k);
}

Test(block_index, tells_whether_the_model_answered)
{
    struct keys k = {0};
    struct omi_index_trace trace = {0};
    for (unsigned long long i = 0; i < 5000; i++)
        add_text(&k, "%012llu", i);
    keys_sort(&k);
    struct omi_index_params params = {.block_bytes = 4096};
    struct built b = build(&k, &params);
    (void)omi_index_find(b.index, omi_slice(k.items[777].key, k.items[777].key_size), 0, &trace);
    cr_assert_eq(trace.grid_hits, 1);
    cr_assert_eq(trace.keyed_compares, 0);
    built_free(&b);
    keys_free(&k);
}

static int reverse_compare(void *ctx, omen_slice a, omen_slice b)
{
    (void)ctx;
    return omi_bytes_compare(b.data, b.size, a.data, a.size);
}

Test(block_index, obeys_a_comparator_with_whole_keys)
{
    static const omen_comparator reverse = {"reverse", reverse_compare, NULL};
    static const struct omi_order order = {&reverse};
    struct keys k = {.order = &order};
    for (unsigned long long i = 0; i < 4000; i++)
        add_text(&k, "user%llu", i * 13);
    for (uint64_t v = 0; v < 500; v++)
        keys_add(&k, "user700", 7, omi_trailer(2 * v + 10, 1), 120);
    struct omi_index_info info = check(&k, 1024);
    cr_assert(info.is_explicit);
}

/* Any bytes at all: refused, or answered without leaving the section. */
Test(block_index, survives_hostile_bytes)
{
    struct rng r = {seed_of()};
    for (int shape = 0; shape < 3; shape++) {
        struct keys k = {0};
        for (unsigned long long i = 0; i < 1500; i++)
            add_text(&k, shape == 0 ? "%010llu" : "user%llu",
                     shape == 2 ? rng_next(&r) >> (rng_next(&r) % 50) : i * 997);
        keys_sort(&k);
        struct omi_index_params params = {.block_bytes = 1024, .explicit_only = shape == 1};
        struct built b = build(&k, &params);
        uint8_t *copy = aligned_alloc(64, (b.size + 127) / 64 * 64);
        for (size_t at = 0; at < b.size; at++)
            for (int bit = 0; bit < 8; bit += 2) {
                struct omi_index *x;
                memcpy(copy, b.section, b.size);
                copy[at] ^= (uint8_t)(1 << bit);
                if (omi_index_open(copy, b.size, &bytewise, b.end, &x) != OMEN_OK)
                    continue;
                for (int q = 0; q < 4; q++) {
                    const struct omi_index_key *key = &k.items[rng_next(&r) % k.count];
                    uint64_t off;
                    uint32_t size,
                        block = omi_index_find(x, omi_slice(key->key, key->key_size), 0, NULL);
                    cr_assert_lt(block, omi_index_blocks(x));
                    omi_index_locate(x, block, &off, &size);
                    cr_assert_leq(off + size, b.end);
                }
                omi_index_close(x);
            }
        for (size_t size = 0; size < b.size; size += 1 + b.size / 200) {
            struct omi_index *x;
            cr_assert_neq(omi_index_open(b.section, size, &bytewise, b.end, &x), OMEN_OK);
        }
        free(copy);
        built_free(&b);
        keys_free(&k);
    }
}

Test(block_index, refuses_a_newer_format)
{
    struct keys k = {0};
    struct omi_index *x;
    for (unsigned long long i = 0; i < 100; i++)
        add_text(&k, "%05llu", i);
    keys_sort(&k);
    struct omi_index_params params = {.block_bytes = 1024};
    struct built b = build(&k, &params);
    b.section[0] = 2;
    cr_assert_eq(omi_index_open(b.section, b.size, &bytewise, b.end, &x), OMEN_UNSUPPORTED);
    built_free(&b);
    keys_free(&k);
}

/* ---- sections by hand ------------------------------------------------------------------------ */

enum { HAND_LINE = 64, HAND_KNOT = 128, HAND_DIRECTORY = 144, HAND_SEPARATORS = 152 };

/* A section of one block behind byte 64, its line's bits from 64 on being bits, with one separator,
 * "m", when keyed. Returns its size. */
static size_t section_by_hand(uint8_t section[static 256], uint32_t cells, uint32_t cell_high,
                              uint64_t bits, bool keyed)
{
    static const uint8_t separator[] = {0x71, 'm', 0, 0, 0, 0}, positions[] = {1, 'a', 'z'};
    uint32_t separators_size = keyed ? sizeof(separator) : 0;
    memset(section, 0, 256);
    section[0] = 1;                  /* format */
    section[2] = 1;                  /* positions */
    section[4] = 1;                  /* blocks */
    omi_put_u32(section + 8, cells); /* cells */
    section[12] = 1;                 /* knots */
    section[16] = 1;                 /* groups */
    section[24] = sizeof(positions);
    section[28] = keyed;
    section[32] = (uint8_t)separators_size;
    omi_put_u64(section + HAND_LINE, 1 | (uint64_t)cell_high << 50);
    omi_put_u64(section + HAND_LINE + 8, bits);
    omi_put_u32(section + HAND_KNOT + 8, cells - 1);
    memcpy(section + HAND_SEPARATORS, separator, separators_size);
    memcpy(section + HAND_SEPARATORS + separators_size, positions, sizeof(positions));
    return HAND_SEPARATORS + separators_size + sizeof(positions);
}

static void expect_open(const uint8_t *section, size_t size, omen_err want)
{
    struct omi_index *x = NULL;
    cr_assert_eq(omi_index_open(section, size, &bytewise, 128, &x), want, "%s", omen_last_error());
    if (x == NULL)
        return;
    cr_assert_eq(omi_index_find(x, omi_slice("a", 1), 0, NULL), 0);
    cr_assert_eq(omi_index_find(x, omi_slice("zz", 2), 0, NULL), 0);
    omi_index_close(x);
}

/* Nothing lies before the first block, so nothing can be cut off from it: a key below such a
 * separator would be looked for in block -1. */
Test(block_index, refuses_a_keyed_cut_before_the_first_block)
{
    _Alignas(64) uint8_t section[256];
    expect_open(section, section_by_hand(section, 1, 0, 1u << 1, false), OMEN_OK);
    expect_open(section, section_by_hand(section, 1, 0, 1u << 0 | 1u << 2, true), OMEN_CORRUPT);
}

/* One more set bit among the cells' high parts than there are cuts would name a block more. */
Test(block_index, refuses_more_cells_than_cuts)
{
    _Alignas(64) uint8_t section[256];
    expect_open(section, section_by_hand(section, 2, 2, 1u << 3, false), OMEN_OK);
    expect_open(section, section_by_hand(section, 2, 2, 1u << 0 | 1u << 3, false), OMEN_CORRUPT);
}

#include "io/base/coding.h"
#include "io/base/hash.h"
#include "learned/elias_fano.h"
#include "learned/range_filter.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(range_filter, .timeout = 120);

/* ---- keys and filters ------------------------------------------------------------------------ */

static uint64_t rng_state = 1;

static uint64_t rnd(void)
{
    uint64_t z = rng_state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

enum { KEY_MAX = 48 };
struct key {
    uint8_t bytes[KEY_MAX];
    uint32_t size;
};

struct built {
    struct key *keys; /* ascending, distinct */
    uint32_t count;
    struct omi_buf section;
    struct omi_range_info info;
    struct omi_range_filter *f;
};

static int key_order(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    return omi_bytes_compare(x->bytes, x->size, y->bytes, y->size);
}

static omen_slice slice_of(const struct key *k)
{
    return omi_slice(k->bytes, k->size);
}

static struct key key_be64(uint64_t v)
{
    struct key k = {.size = 8};
    for (int i = 0; i < 8; i++)
        k.bytes[i] = (uint8_t)(v >> (56 - 8 * i));
    return k;
}

static void keys_sort(struct built *b)
{
    uint32_t kept = 1;
    qsort(b->keys, b->count, sizeof(*b->keys), key_order);
    for (uint32_t i = 1; i < b->count; i++)
        if (key_order(&b->keys[i], &b->keys[kept - 1]) != 0)
            b->keys[kept++] = b->keys[i];
    b->count = kept;
}

static void build(struct built *b, const struct omi_range_params *params)
{
    struct omi_index_key *keys = malloc(b->count * sizeof(*keys));
    for (uint32_t i = 0; i < b->count; i++)
        keys[i] = (struct omi_index_key){b->keys[i].bytes, 1, b->keys[i].size, 20};
    b->section.size = 0;
    cr_assert_eq(omi_range_filter_build(keys, b->count, params, &b->section, &b->info), OMEN_OK,
                 "%s", omen_last_error());
    free(keys);
    b->f = NULL;
    if (b->info.kind == OMI_RANGE_NONE)
        return;
    cr_assert_eq(b->info.bytes, b->section.size);
    cr_assert_eq(omi_range_filter_open(b->section.data, b->section.size, &b->f), OMEN_OK, "%s",
                 omen_last_error());
}

static void rebuild(struct built *b, enum omi_range_kind kind, uint32_t bits)
{
    omi_range_filter_close(b->f);
    build(b, &(struct omi_range_params){.kind = kind, .bits = bits, .seed = 42});
}

static void finish(struct built *b)
{
    omi_range_filter_close(b->f);
    omi_buf_fini(&b->section);
    free(b->keys);
}

static bool ask(const struct built *b, const struct key *low, const struct key *high)
{
    omen_slice l = slice_of(low), h = slice_of(high);
    return omi_range_filter_may_hold(b->f, b->section.data, &l, &h);
}

/* The first key >= key. */
static uint32_t bound(const struct built *b, const struct key *key)
{
    uint32_t low = 0, high = b->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (key_order(&b->keys[middle], key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool truly_holds(const struct built *b, const struct key *low, const struct key *high)
{
    uint32_t i = bound(b, low);
    return i < b->count && key_order(&b->keys[i], high) <= 0;
}

/* ---- data sets of the design note ------------------------------------------------------------ */

static uint64_t value_of(const struct key *k)
{
    return omi_head64(k->bytes, k->size);
}

enum data { UNIFORM, CLUSTERS, SERIES, DENSE };

static struct built data_make(enum data data, uint32_t count, uint64_t seed)
{
    struct built b = {.keys = malloc(count * sizeof(struct key)), .count = count};
    uint64_t base = 0;
    rng_state = seed;
    for (uint32_t i = 0; i < count; i++) {
        if (data == CLUSTERS && i % 1000 == 0)
            base = rnd();
        if (data == SERIES && i % 50 == 0)
            base = rnd() >> 32 << 32;
        uint64_t v = data == UNIFORM    ? rnd()
                     : data == CLUSTERS ? base + (rnd() >> 24)
                     : data == SERIES   ? base + 1700000000u + 72 * (i % 50)
                                        : rnd() % (100 * (uint64_t)count);
        b.keys[i] = key_be64(v);
    }
    keys_sort(&b);
    return b;
}

/* Which lower bounds: anywhere between the first and last key, in the middle of a gap between two
 * keys picked at random, or shortly after a key. */
enum start { ANYWHERE, IN_GAP, AFTER_KEY };

/* Does the stretch that is free from low on pass high? */
static bool free_past(const struct built *b, const struct key *low, const struct key *high)
{
    struct omi_buf until = {0};
    omen_slice l = slice_of(low);
    bool none;
    cr_assert_eq(omi_range_filter_free(b->f, b->section.data, &l, &until, &none), OMEN_OK);
    bool past = none || omi_bytes_compare(until.data, until.size, high->bytes, high->size) > 0;
    omi_buf_fini(&until);
    return past;
}

/* Per cent of truly empty ranges of length codes that are passed; -1: hardly any is empty. */
static double passed_pct(const struct built *b, enum start start, uint64_t length)
{
    enum { WANTED = 60000 };
    uint64_t first = value_of(&b->keys[0]), last = value_of(&b->keys[b->count - 1]);
    uint32_t empty = 0, passed = 0, free_before = 0;
    for (uint32_t t = 0; t < 20 * WANTED && empty < WANTED; t++) {
        uint64_t low;
        uint32_t i = (uint32_t)(rnd() % (b->count - 1));
        uint64_t here = value_of(&b->keys[i]), width = value_of(&b->keys[i + 1]) - here;
        if (start == ANYWHERE)
            low = first + rnd() % (last - first);
        else if (start == IN_GAP)
            low = here + 1 + rnd() % width;
        else
            low = here + 1 + rnd() % 16;
        if (low + length - 1 < low || low + length - 1 > last)
            continue;
        struct key l = key_be64(low), h = key_be64(low + length - 1);
        if (truly_holds(b, &l, &h))
            continue;
        empty++;
        bool passes = ask(b, &l, &h);
        passed += passes;
        free_before += !passes && !free_past(b, &l, &h);
    }
    cr_expect_leq(200 * free_before, empty, "%u of %u: they end too early", free_before, empty);
    return empty < 200 ? -1 : 100.0 * passed / empty;
}

static void expect(const struct built *b, enum start start, const char *what, unsigned shift,
                   double most_pct)
{
    double pct = passed_pct(b, start, UINT64_C(1) << shift);
    if (pct < 0)
        return;
    printf("%s, 2^%u: %.3f %% of at most %.2f, %.2f bits a key\n", what, shift, pct, most_pct,
           8.0 * (double)b->info.bytes / b->count);
    cr_expect_leq(pct, most_pct, "%s, ranges of 2^%u: %.3f %%", what, shift, pct);
}

/* Check 18 of the note. */
Test(range_filter, a_spline_rarely_passes_empty_ranges_of_any_length)
{
    static const unsigned shifts[] = {0, 6, 16, 32, 40};
    struct built u = data_make(UNIFORM, 500000, 9), c = data_make(CLUSTERS, 500000, 10);
    rebuild(&u, OMI_RANGE_SPLINE, 12);
    rebuild(&c, OMI_RANGE_SPLINE, 12);
    cr_expect_leq(u.info.bytes * 8, 12 * (uint64_t)u.count);
    cr_expect_leq(c.info.bytes * 8, 12 * (uint64_t)c.count);
    for (size_t i = 0; i < sizeof(shifts) / sizeof(shifts[0]); i++) {
        expect(&u, ANYWHERE, "uniform", shifts[i], 0.2);
        expect(&u, IN_GAP, "uniform, in gaps", shifts[i], 1.0);
        expect(&c, ANYWHERE, "clusters", shifts[i], 1.0);
        expect(&c, IN_GAP, "clusters, in gaps", shifts[i], 1.0);
    }
    finish(&u);
    finish(&c);
}

/* Check 19. */
Test(range_filter, hashing_does_not_care_where_short_ranges_begin)
{
    static const struct {
        unsigned shift;
        double most;
    } bounds[] = {{0, 0.15}, {4, 2.0}, {6, 7.0}};
    static const char *const names[] = {"uniform", "clusters", "series"};
    static const enum data data[] = {UNIFORM, CLUSTERS, SERIES};
    for (size_t d = 0; d < 3; d++) {
        struct built b = data_make(data[d], 500000, 11 + d);
        rebuild(&b, OMI_RANGE_HASHED, 12);
        cr_expect_leq(b.info.bytes * 8, 12 * (uint64_t)b.count);
        for (size_t i = 0; i < 3; i++)
            for (int s = ANYWHERE; s <= AFTER_KEY; s++)
                expect(&b, (enum start)s, names[d], bounds[i].shift, bounds[i].most);
        finish(&b);
    }
}

/* Check 20. */
Test(range_filter, dense_numbers_are_told_exactly)
{
    struct built b = data_make(DENSE, 500000, 14);
    rebuild(&b, OMI_RANGE_NONE, 12);
    cr_assert_eq(b.info.kind, OMI_RANGE_EXACT);
    double range = (double)(value_of(&b.keys[b.count - 1]) - value_of(&b.keys[0]));
    double log2_share = 0;
    for (double x = range / b.count; x > 1; x /= 2)
        log2_share += x >= 2 ? 1 : x - 1;
    cr_expect_leq(8.0 * (double)b.info.bytes / b.count, 2.3 + log2_share);
    for (unsigned shift = 0; shift < 8; shift++)
        for (int s = ANYWHERE; s <= AFTER_KEY; s++)
            expect(&b, (enum start)s, "dense", shift, 0);
    finish(&b);
}

static void key_text(struct key *k, const char *format, uint64_t v)
{
    k->size = (uint32_t)snprintf((char *)k->bytes, KEY_MAX, format, (unsigned long long)v);
}

Test(range_filter, decimal_numbers_are_dense_too)
{
    struct built b = {.keys = malloc(100000 * sizeof(struct key)), .count = 100000};
    rng_state = 5;
    for (uint32_t i = 0; i < b.count; i++)
        key_text(&b.keys[i], "user%016llu", 1000000 + rnd() % 5000000);
    keys_sort(&b);
    rebuild(&b, OMI_RANGE_NONE, 12);
    cr_assert_eq(b.info.kind, OMI_RANGE_EXACT);
    for (uint64_t i = 0; i < 100000; i++) {
        struct key k;
        key_text(&k, "user%016llu", 1000000 + rnd() % 5000000);
        cr_assert_eq(ask(&b, &k, &k), truly_holds(&b, &k, &k));
    }
    finish(&b);
}

Test(range_filter, hexadecimal_text_passes_as_little_as_numbers_do)
{
    struct built b = {.keys = malloc(200000 * sizeof(struct key)), .count = 200000};
    uint32_t passed = 0, asked = 100000;
    rng_state = 6;
    for (uint32_t i = 0; i < b.count; i++)
        key_text(&b.keys[i], "%016llx", rnd());
    keys_sort(&b);
    rebuild(&b, OMI_RANGE_NONE, 12);
    cr_assert_eq(b.info.kind, OMI_RANGE_SPLINE);
    for (uint32_t i = 0; i < asked; i++) {
        struct key k;
        key_text(&k, "%016llx", rnd());
        passed += ask(&b, &k, &k);
    }
    cr_assert_leq(passed, asked / 500, "%u of %u", passed, asked);
    finish(&b);
}

/* ---- no range that holds a key is denied ----------------------------------------------------- */

enum shape {
    ANY_BYTES,
    NESTED,
    TAILS,
    EQUAL_HEADS,
    TWO_SYMBOLS,
    SHORT,
    TEXT,
    NUMBERS,
    PAIRS,
    SHAPES
};

/* A key of a shape, or one nearly so: ranges begin and end beside keys. */
static struct key shape_key(enum shape shape)
{
    static const char text[] = "0123456789abcdef-_/XYZ";
    struct key k = {.size = (uint32_t)(rnd() % 20)};
    switch (shape) {
    case NESTED: /* prefixes of each other */
        memset(k.bytes, 'a', k.size);
        if (k.size != 0 && rnd() % 2 == 0)
            k.bytes[k.size - 1] = (uint8_t)rnd();
        break;
    case TAILS: /* ends of 0x00 and 0xff */
        k.size = 4 + (uint32_t)(rnd() % 16);
        memset(k.bytes, rnd() % 2 ? 0xff : 0, k.size);
        k.bytes[0] = (uint8_t)(rnd() % 4);
        k.bytes[3] = (uint8_t)(rnd() % 3 * 127);
        break;
    case EQUAL_HEADS: /* that differ far behind */
        k.size = 40 + (uint32_t)(rnd() % 8);
        memset(k.bytes, 'h', k.size);
        k.bytes[rnd() % 2 ? 10 : 39] = (uint8_t)rnd();
        break;
    case TWO_SYMBOLS:
        k.size = 30;
        for (uint32_t i = 0; i < k.size; i++)
            k.bytes[i] = rnd() % 2 ? 0x00 : 0xff;
        break;
    case SHORT:
        k.size = (uint32_t)(rnd() % 3);
        for (uint32_t i = 0; i < k.size; i++)
            k.bytes[i] = (uint8_t)rnd();
        break;
    case TEXT:
        for (uint32_t i = 0; i < k.size; i++)
            k.bytes[i] = (uint8_t)text[rnd() % (sizeof(text) - 1)];
        break;
    case NUMBERS:
        k = key_be64(rnd() >> (rnd() % 64));
        break;
    case PAIRS: /* a number, then a text: of different lengths */
        k = key_be64(rnd() % 50);
        k.size = 8 + (uint32_t)(rnd() % 12);
        for (uint32_t i = 8; i < k.size; i++)
            k.bytes[i] = (uint8_t)text[rnd() % 10];
        break;
    default:
        for (uint32_t i = 0; i < k.size; i++)
            k.bytes[i] = (uint8_t)rnd();
    }
    return k;
}

/* A key, or one that differs in a byte, in its length, or in everything. */
static struct key near(const struct built *b, enum shape shape)
{
    struct key k = b->keys[rnd() % b->count];
    switch (rnd() % 6) {
    case 0:
        return shape_key(shape);
    case 1:
        return shape_key((enum shape)(rnd() % SHAPES));
    case 2:
        if (k.size != 0)
            k.bytes[rnd() % k.size] = (uint8_t)rnd();
        break;
    case 3:
        k.size = k.size != 0 ? k.size - 1 : 0;
        break;
    case 4:
        if (k.size < KEY_MAX)
            k.bytes[k.size++] = rnd() % 2 ? 0 : (uint8_t)rnd();
        break;
    default:
        break;
    }
    return k;
}

/* No key lies before where the filter says that there may be one. */
static void check_free(const struct built *b, const struct key *low)
{
    struct omi_buf until = {0};
    omen_slice l = slice_of(low);
    bool none;
    uint32_t i = bound(b, low);
    cr_assert_eq(omi_range_filter_free(b->f, b->section.data, &l, &until, &none), OMEN_OK);
    if (i < b->count) {
        cr_assert_not(none);
        cr_assert_leq(omi_bytes_compare(until.data, until.size, b->keys[i].bytes, b->keys[i].size),
                      0);
    }
    omi_buf_fini(&until);
}

static void check_ranges(const struct built *b, enum shape shape, uint32_t ranges)
{
    for (uint32_t i = 0; i < b->count; i++) {
        omen_slice k = slice_of(&b->keys[i]);
        cr_assert(omi_range_filter_may_hold(b->f, b->section.data, &k, &k), "shape %d, key %u",
                  shape, i);
        cr_assert(omi_range_filter_may_hold(b->f, b->section.data, NULL, &k));
        cr_assert(omi_range_filter_may_hold(b->f, b->section.data, &k, NULL));
    }
    for (uint32_t i = 0; i < ranges; i++) {
        struct key low = near(b, shape), high = near(b, shape);
        if (key_order(&low, &high) > 0) {
            struct key kept = low;
            low = high;
            high = kept;
        }
        if (truly_holds(b, &low, &high))
            cr_assert(ask(b, &low, &high), "shape %d, kind %d, range %u", shape, b->info.kind, i);
        check_free(b, &low);
    }
}

/* Sampled scans of any sort decide what a hash leaves out. */
static void rebuild_sampled(struct built *b, enum shape shape, uint32_t bits)
{
    enum { SAMPLES = 40 };
    static struct key ends[SAMPLES][2];
    static struct omi_range_sample samples[SAMPLES];
    for (uint32_t i = 0; i < SAMPLES; i++) {
        ends[i][0] = ends[i][1] = near(b, shape);
        uint8_t *tail = &ends[i][1].bytes[ends[i][1].size / 2];
        *tail = (uint8_t)(*tail < 200 ? *tail + rnd() % 50 : *tail);
        samples[i] = (struct omi_range_sample){slice_of(&ends[i][0]), slice_of(&ends[i][1])};
    }
    omi_range_filter_close(b->f);
    build(b, &(struct omi_range_params){.kind = OMI_RANGE_HASHED,
                                        .bits = bits,
                                        .seed = rnd(),
                                        .samples = samples,
                                        .sample_count = SAMPLES});
}

Test(range_filter, never_denies_a_range_that_holds_a_key)
{
    uint32_t shifted = 0;
    static const uint32_t bits[] = {4, 8, 12, 24}, counts[] = {1, 2, 3, 65, 700, 6000};
    rng_state = 77;
    for (int shape = 0; shape < SHAPES; shape++)
        for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
            struct built b = {.keys = malloc(counts[c] * sizeof(struct key)), .count = counts[c]};
            for (uint32_t i = 0; i < b.count; i++)
                b.keys[i] = shape_key((enum shape)shape);
            keys_sort(&b);
            for (int kind = OMI_RANGE_NONE; kind <= OMI_RANGE_HASHED; kind++) {
                if (kind == OMI_RANGE_EXACT)
                    continue; /* NONE takes it where it can be */
                rebuild(&b, (enum omi_range_kind)kind, bits[rnd() % 4]);
                check_ranges(&b, (enum shape)shape, 20 * b.count);
            }
            rebuild_sampled(&b, (enum shape)shape, 12);
            shifted += b.info.shift != 0;
            check_ranges(&b, (enum shape)shape, 20 * b.count);
            finish(&b);
        }
    cr_assert_gt(shifted, 5);
}

/* ---- choosing -------------------------------------------------------------------------------- */

static struct omi_range_info build_sampled(struct built *b, enum start start, uint64_t length,
                                           uint32_t useful_permille)
{
    enum { SAMPLES = 300 };
    static struct key ends[SAMPLES][2];
    static struct omi_range_sample samples[SAMPLES];
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint64_t first = value_of(&b->keys[0]), last = value_of(&b->keys[b->count - 1]);
        uint64_t low = start == ANYWHERE
                           ? first + rnd() % (last - first)
                           : value_of(&b->keys[rnd() % b->count]) + (start == IN_GAP ? 24 : 1);
        ends[i][0] = key_be64(low);
        ends[i][1] = key_be64(low + length - 1);
        samples[i] = (struct omi_range_sample){slice_of(&ends[i][0]), slice_of(&ends[i][1])};
    }
    build(b, &(struct omi_range_params){.bits = 12,
                                        .seed = 1,
                                        .samples = samples,
                                        .sample_count = SAMPLES,
                                        .useful_permille = useful_permille});
    return b->info;
}

Test(range_filter, the_sampled_scans_choose_between_spline_and_hash)
{
    struct built b = data_make(UNIFORM, 100000, 3);
    struct omi_range_info info = build_sampled(&b, ANYWHERE, 1u << 20, 500);
    cr_assert_eq(info.kind, OMI_RANGE_SPLINE);
    cr_assert_eq(info.samples, 300);
    cr_assert_leq(info.passed, 3);
    omi_range_filter_close(b.f);
    info = build_sampled(&b, AFTER_KEY, 16, 500);
    cr_assert_eq(info.kind, OMI_RANGE_HASHED);
    cr_assert_leq(info.passed, 20);
    finish(&b);
}

/* Scans of points in time lie close to the keys, and span many codes. */
Test(range_filter, the_sampled_scans_decide_how_exactly_a_hash_tells_keys_apart)
{
    struct built b = data_make(SERIES, 100000, 5);
    struct omi_range_info info = build_sampled(&b, IN_GAP, 30, 500);
    cr_assert_eq(info.kind, OMI_RANGE_HASHED);
    cr_assert_geq(info.shift, 1);
    cr_assert_leq(100 * info.passed, 10 * info.empty, "%u of %u", info.passed, info.empty);
    finish(&b);
}

Test(range_filter, is_not_built_where_scans_would_find_keys_anyhow)
{
    struct built b = data_make(UNIFORM, 100000, 4);
    struct omi_range_info info = build_sampled(&b, ANYWHERE, UINT64_C(1) << 52, 500);
    cr_assert_eq(info.kind, OMI_RANGE_NONE);
    cr_assert_eq(b.section.size, 0);
    info = build_sampled(&b, ANYWHERE, UINT64_C(1) << 52, 0);
    cr_assert_eq(info.kind, OMI_RANGE_SPLINE);
    finish(&b);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Every machine and compiler writes the same; a change here is a new format. */
Test(range_filter, the_bytes_are_those_of_format_1)
{
    static const struct {
        enum omi_range_kind kind;
        uint32_t bits;
        uint64_t digest;
    } golden[] = {{OMI_RANGE_EXACT, 12, UINT64_C(0xd74830c043412f44)},
                  {OMI_RANGE_SPLINE, 12, UINT64_C(0x370f368d996a1025)},
                  {OMI_RANGE_SPLINE, 9, UINT64_C(0xde5fc2f3452b6106)},
                  {OMI_RANGE_HASHED, 12, UINT64_C(0xdd8ca425315487de)}};
    struct built b = data_make(DENSE, 20000, 8);
    for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
        rebuild(&b, golden[i].kind, golden[i].bits);
        uint64_t digest = omi_checksum(b.section.data, b.section.size, 0);
        cr_expect_eq(digest, golden[i].digest, "%zu: 0x%016llx", i, (unsigned long long)digest);
    }
    finish(&b);
}

Test(range_filter, refuses_damaged_bytes_and_formats_it_does_not_know)
{
    struct omi_range_filter *f;
    struct built b = data_make(CLUSTERS, 3000, 8);
    for (int kind = OMI_RANGE_SPLINE; kind <= OMI_RANGE_HASHED; kind++) {
        rebuild(&b, (enum omi_range_kind)kind, 12);
        uint8_t *bytes = b.section.data;
        size_t size = b.section.size;
        for (size_t n = 0; n < size; n += n < 200 ? 1 : 97)
            cr_assert_neq(omi_range_filter_open(bytes, n, &f), OMEN_OK);
        for (size_t i = 0; i < size; i += i < 200 ? 1 : 41) {
            bytes[i] ^= (uint8_t)(1u << rnd() % 8);
            uint8_t damaged = bytes[i];
            omen_err err = omi_range_filter_open(bytes, size, &f);
            cr_assert(err == OMEN_CORRUPT || (i < 1 && err == OMEN_UNSUPPORTED), "byte %zu", i);
            cr_assert_null(f);
            (void)damaged;
            rebuild(&b, (enum omi_range_kind)kind, 12);
            bytes = b.section.data;
        }
    }
    finish(&b);
}

/* Sums that are right again over bytes that are not: refused, or answered, never more. */
Test(range_filter, stays_inside_bytes_whose_check_was_forged)
{
    struct built b = data_make(CLUSTERS, 2000, 8);
    uint32_t opened = 0;
    for (uint32_t t = 0; t < 20000; t++) {
        if (t % 500 == 0)
            rebuild(&b, t / 500 % 2 ? OMI_RANGE_SPLINE : OMI_RANGE_HASHED, 12);
        size_t size = b.section.size;
        uint8_t *bytes = malloc(size);
        struct omi_range_filter *f;
        memcpy(bytes, b.section.data, size);
        for (uint64_t n = 1 + rnd() % 3; n-- > 0;)
            bytes[rnd() % 2 ? rnd() % 64 : rnd() % size] = (uint8_t)rnd();
        bytes[0] = 1;
        omi_put_u64(bytes + 56, omi_checksum(bytes + 64, size - 64, omi_checksum(bytes, 56, 0)));
        if (omi_range_filter_open(bytes, size, &f) == OMEN_OK) {
            opened++;
            for (uint32_t i = 0; i < 20; i++) {
                struct key k = key_be64(rnd()), l = b.keys[rnd() % b.count];
                omen_slice a = slice_of(&k), c = slice_of(&l);
                (void)omi_range_filter_may_hold(f, bytes, &a, NULL);
                (void)omi_range_filter_may_hold(f, bytes, NULL, &c);
                (void)omi_range_filter_may_hold(f, bytes, key_order(&k, &l) < 0 ? &a : &c,
                                                key_order(&k, &l) < 0 ? &c : &a);
            }
            omi_range_filter_close(f);
        }
        free(bytes);
    }
    cr_assert_gt(opened, 1000);
    finish(&b);
}

/* ---- the set --------------------------------------------------------------------------------- */

Test(range_filter, a_set_answers_like_a_search)
{
    enum { COUNT = 400 };
    rng_state = 21;
    for (uint32_t t = 0; t < 400; t++) {
        uint64_t numbers[COUNT], upper_bytes, sample_bytes, low_bytes;
        uint32_t count = 1 + (uint32_t)(rnd() % COUNT);
        uint64_t at = rnd() % 3, step = 1 + rnd() % (UINT64_C(1) << rnd() % 30);
        for (uint32_t i = 0; i < count; i++, at += 1 + rnd() % step * (rnd() % 9 == 0 ? 50 : 1))
            numbers[i] = at;
        struct omi_ef_shape s = {.top = numbers[count - 1] + rnd() % 3, .count = count};
        uint32_t least = 0;
        while (s.top >> least > 100000)
            least++;
        s.low_bits = least + (uint32_t)(rnd() % 8);
        cr_assert(omi_ef_sizes(&s, &upper_bytes, &sample_bytes, &low_bytes));
        uint8_t *upper = calloc(1, upper_bytes), *samples = calloc(1, sample_bytes),
                *lows = calloc(1, low_bytes);
        omi_ef_encode(&s, numbers, upper, samples, lows);
        struct omi_ef ef = {s, upper, samples, lows};
        cr_assert(omi_ef_check(&ef));
        for (uint32_t i = 0; i < 2000; i++) {
            uint64_t from = rnd() % 2 ? rnd() % (s.top + 1) : numbers[rnd() % count];
            uint64_t more = rnd() % 2 ? 0 : rnd() % (2 * step), to = from + more;
            to = to < s.top ? to : s.top;
            bool any = false;
            for (uint32_t n = 0; n < count && !any; n++)
                any = numbers[n] >= from && numbers[n] <= to;
            cr_assert_eq(omi_ef_any(&ef, from, to), any, "set %u, question %u", t, i);
            uint64_t next = s.top + 1, told = omi_ef_next(&ef, from);
            for (uint32_t n = count; n-- > 0 && numbers[n] >= from;)
                next = numbers[n];
            cr_assert(told == next || (told > from && told < next), "set %u, next %u", t, i);
            /* It looks 4,096 places on: fewer buckets than that are never given up. */
            cr_assert(told == next || (next >> s.low_bits) - (from >> s.low_bits) >= 4000,
                      "set %u: given up too early", t);
        }
        free(upper);
        free(samples);
        free(lows);
    }
}

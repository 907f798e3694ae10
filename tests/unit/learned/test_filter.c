#include "learned/bloom_line.h"
#include "learned/filter_head.h"
#include "learned/line_rank.h"
#include "tests/filter_cases.h"

#include <criterion/criterion.h>

TestSuite(filter, .timeout = 60);

/* ---- helpers ----------------------------------------------------------------------------------- */

/* count keys of eight bytes: (from + i) * step. */
static struct case_keys number_keys(uint64_t from, uint64_t step, uint32_t count)
{
    struct case_keys k = {.keys = cases_alloc(count, sizeof(*k.keys)),
                          .hashes = cases_alloc(count, sizeof(*k.hashes)),
                          .count = count,
                          .bytes = cases_alloc(count, 8)};
    for (uint32_t i = 0; i < count; i++) {
        case_number((from + i) * step, k.bytes + 8 * (size_t)i);
        k.keys[i] = (struct omi_index_key){k.bytes + 8 * (size_t)i, 1, 8, 20};
        k.hashes[i] = omi_key_hash(k.keys[i].key, 8);
    }
    return k;
}

static struct case_filter build(const struct case_keys *k, double bits)
{
    struct omi_filter_input input = case_input(k);
    struct omi_filter_params params = {.kind = OMI_FILTER_PLAIN, .bits = bits};
    struct omi_buf out = {0};
    cr_assert_eq(omi_filter_build(&input, &params, &out, NULL), OMEN_OK, "%s", omen_last_error());
    struct case_filter c = case_filter_open(&out);
    omi_buf_fini(&out);
    return c;
}

static struct case_filter encode(const struct case_keys *k, const struct omi_filter_layout *l)
{
    struct omi_filter_input input = case_input(k);
    struct omi_filter_info info;
    struct omi_buf out = {0};
    cr_assert_eq(omi_filter_encode(&input, l, &out, &info), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(info.bytes, out.size);
    struct case_filter c = case_filter_open(&out);
    cr_assert_eq(info.regions, c.f.region_count);
    cr_assert_eq(info.head_bytes, c.f.head_bytes);
    omi_buf_fini(&out);
    return c;
}

static bool asks(const struct case_filter *c, uint64_t number)
{
    uint8_t key[8];
    case_number(number, key);
    return omi_filter_may_hold(&c->f, c->section, omi_slice(key, 8), omi_key_hash(key, 8));
}

static double wrong_pct(const struct case_filter *c, uint64_t from, uint64_t step, uint32_t count)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < count; i++)
        wrong += asks(c, (from + i) * step);
    return 100.0 * wrong / count;
}

/* Regions of these keys: bounds and classes as given. */
static struct omi_filter_layout layout_of(const struct case_keys *k, const uint32_t *bounds,
                                          const uint8_t *classes, uint32_t count)
{
    const struct omi_index_key *last = &k->keys[k->count - 1];
    return (struct omi_filter_layout){
        .kind = OMI_FILTER_REGIONS,
        .digest = omi_digest_make(omi_slice(k->keys[0].key, k->keys[0].key_size),
                                  omi_slice(last->key, last->key_size)),
        .bounds = bounds,
        .classes = classes,
        .region_count = count,
        .bits_per_probe = 1.6};
}

/* ---- plain filters ------------------------------------------------------------------------------ */

Test(filter, never_denies_a_key_and_rarely_admits_another)
{
    static const struct {
        double bits, worst_pct;
    } cases[] = {{2, 45}, {4, 17}, {10, 1.0}, {16, 0.1}, {20, 0.05}};
    struct case_keys k = number_keys(0, 1, 1000000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct case_filter c = build(&k, cases[i].bits);
        cr_assert_eq(case_denied(&c, &k), 0, "%g bits", cases[i].bits);
        double wrong = wrong_pct(&c, k.count, 1, 1000000);
        cr_assert_leq(wrong, cases[i].worst_pct, "%g bits: %.4f %%", cases[i].bits, wrong);
        case_filter_free(&c);
    }
    case_keys_free(&k);
}

Test(filter, a_plain_filter_has_a_head_of_64_bytes)
{
    static const uint32_t counts[] = {1, 51, 52, 1000, 51200, 100000};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
        for (uint32_t bits = 1; bits <= 64; bits++) {
            struct case_keys k = number_keys(7, 3, counts[i]);
            if (counts[i] > 1000 && bits % 7 != 3)
                goto next;
            struct case_filter c = build(&k, bits);
            uint64_t lines = ((uint64_t)counts[i] * bits + 511) / 512;
            cr_assert_eq(c.size, 64 + 64 * lines, "%u keys at %u bits: %zu bytes", counts[i], bits,
                         c.size);
            case_filter_free(&c);
        next:
            case_keys_free(&k);
        }
}

Test(filter, versions_of_a_key_count_once)
{
    struct dice d = {4};
    struct case_shape s = {.family = CASE_RANDOM};
    struct case_keys once = case_keys_make(&s, 5000, 0, &d);
    d.state = 4;
    struct case_keys twice = case_keys_make(&s, 5000, 1, &d);
    struct case_filter a = build(&once, 10), b = build(&twice, 10);
    struct omi_filter_info info;
    cr_assert_eq(twice.count, 2 * once.count);
    cr_assert_eq(a.size, b.size);
    cr_assert_arr_eq(a.section, b.section, a.size);
    omi_filter_describe(&b.f, &info);
    cr_assert_eq(info.keys, once.count);
    case_filter_free(&a);
    case_filter_free(&b);
    case_keys_free(&once);
    case_keys_free(&twice);
}

Test(filter, an_absent_filter_says_maybe)
{
    struct case_filter c = {0};
    cr_assert(asks(&c, 12345));
}

Test(filter, a_large_plain_filter_is_cut_into_parts)
{
    struct case_keys k = number_keys(3, 7, 100000);
    struct omi_filter_input input = case_input(&k);
    struct omi_filter_params params = {
        .kind = OMI_FILTER_PLAIN, .bits = 10, .part_bytes = 16 << 10};
    struct omi_buf out = {0};
    struct omi_filter_info info;
    cr_assert_eq(omi_filter_build(&input, &params, &out, &info), OMEN_OK);
    cr_assert_eq(info.parts, 8);
    cr_assert_eq(info.regions, 8);
    struct case_filter c = case_filter_open(&out);
    uint64_t at = c.f.head_bytes;
    for (uint32_t p = 0; p < c.f.part_count; p++) {
        uint64_t off;
        uint32_t size;
        omi_filter_part(&c.f, p, &off, &size);
        cr_assert_eq(off, at);
        cr_assert(size > 15000 && size <= 16 << 10, "part %u has %u bytes", p, size);
        at += size;
    }
    cr_assert_eq(at, c.size);
    cr_assert_eq(case_denied(&c, &k), 0);
    cr_assert(case_sound(&c));
    /* The head alone says where each key's part is, and equal keys have one part. */
    struct omi_filter_route before = {0}, now;
    for (uint32_t i = 0; i < k.count; i++) {
        cr_assert_eq(omi_filter_route(&c.f, omi_slice(k.keys[i].key, 8), k.hashes[i], &now),
                     OMI_FILTER_PROBE);
        cr_assert(now.part == before.part || now.part == before.part + 1);
        before = now;
    }
    cr_assert_eq(before.part, 7);
    double wrong = wrong_pct(&c, 1000000, 1, 1000000 / 2);
    cr_assert(wrong < 1.15, "%.3f %%", wrong);
    case_filter_free(&c);
    omi_buf_fini(&out);
    case_keys_free(&k);
}

/* ---- what is written twice ---------------------------------------------------------------------- */

static bool holds_everywhere(const uint8_t *line, uint64_t hash, uint32_t probes)
{
    bool held = omi_line_holds(line, hash, probes);
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        cr_assert_eq(omi_line_holds_avx2(line, hash, probes), held, "hash %lx, %u probes",
                     (unsigned long)hash, probes);
#endif
    return held;
}

Test(filter, a_line_answers_alike_on_every_machine)
{
    struct dice d = {77};
    _Alignas(64) uint8_t line[64];
    uint32_t held = 0, asked = 0;
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t probes = dice_below(&d, OMI_LINE_PROBES_MAX + 1), keys = dice_below(&d, 60);
        uint64_t seed = d.state;
        memset(line, 0, sizeof(line));
        for (uint32_t i = 0; i < keys; i++)
            omi_line_set(line, dice_next(&d), probes);
        d.state = seed;
        for (uint32_t i = 0; i < keys; i++)
            cr_assert(holds_everywhere(line, dice_next(&d), probes));
        for (uint32_t i = 0; i < 64; i++, asked++)
            held += holds_everywhere(line, dice_next(&d), probes);
        /* All but one bit of a key: no. */
        uint64_t hash = dice_next(&d), bits = omi_line_bits(hash);
        if (probes == 0)
            continue;
        memset(line, 0xff, sizeof(line));
        for (uint32_t i = dice_below(&d, probes < 7 ? probes : 7); i > 0; i--)
            bits <<= 9;
        line[bits >> 58] &= (uint8_t) ~(1u << (bits >> 55 & 7));
        cr_assert_not(holds_everywhere(line, hash, probes));
    }
    cr_assert(held > asked / 20 && held < asked / 2, "%u of %u", held, asked);
}

Test(filter, a_rank_is_the_same_on_every_machine)
{
    struct dice d = {78};
    _Alignas(64) uint8_t line[64];
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t numbers[16], rank = 0, shift = dice_below(&d, 32);
        for (uint32_t i = 0; i < 16; i++)
            numbers[i] = (uint32_t)dice_next(&d) >> shift;
        uint32_t x = numbers[dice_below(&d, 16)] + round % 3 - 1;
        if (round % 2 != 0)
            x = (uint32_t)dice_next(&d) >> shift;
        numbers[dice_below(&d, 16)] = round % 3 == 0 ? UINT32_MAX : 0;
        qsort(numbers, 16, sizeof(numbers[0]), case_u32_compare);
        for (uint32_t i = 0; i < 16; i++) {
            omi_put_u32(line + 4 * (size_t)i, numbers[i]);
            rank += numbers[i] <= x;
        }
        cr_assert_eq(omi_line_rank(line, x), rank);
#ifdef __x86_64__
        if (__builtin_cpu_supports("avx2"))
            cr_assert_eq(omi_line_rank_avx2(line, x), rank);
#endif
    }
}

/* ---- regions ----------------------------------------------------------------------------------- */

Test(filter, a_region_has_the_false_positives_of_its_class_and_a_gap_none)
{
    /* keys 0..99999 and 300000..399999, even ones; a gap between them and behind */
    struct case_keys k = number_keys(0, 2, 100000);
    for (uint32_t i = 50000; i < k.count; i++) {
        case_number(300000 + 2 * (uint64_t)(i - 50000), k.bytes + 8 * (size_t)i);
        k.hashes[i] = omi_key_hash(k.keys[i].key, 8);
    }
    uint32_t bounds[] = {0, 50000, 99999, 300000, 350000};
    uint8_t classes[] = {3, 10, OMI_FILTER_CLASS_NO_KEYS, 0, 6}, key[8];
    struct omi_filter_layout l = layout_of(&k, bounds, classes, 5);
    for (uint32_t i = 0; i < 5; i++) {
        case_number(bounds[i], key);
        bounds[i] = omi_digest_of(&l.digest, key, 8);
    }
    uint32_t gap = bounds[2];
    struct case_filter c = encode(&k, &l);
    struct omi_filter_info info;
    uint32_t digest;
    int class_code;
    cr_assert_eq(case_denied(&c, &k), 0);
    double poor = wrong_pct(&c, 0, 2, 25000), rich = 0;
    for (uint32_t i = 0; i < 25000; i++) {
        poor += asks(&c, 2 * i + 1) * (100.0 / 25000);
        rich += asks(&c, 50000 + 2 * i + 1) * (100.0 / 25000);
    }
    poor -= 100; /* the keys themselves */
    cr_assert(poor > 5 && poor < 20, "%.3f %%", poor);
    cr_assert(rich < 0.5, "%.3f %%", rich);
    for (uint32_t i = 99999; i < 300000; i++)
        cr_assert_not(asks(&c, i), "%u lies in a gap", i);
    for (uint32_t i = 300000; i < 350000; i++)
        cr_assert(asks(&c, i), "%u lies where no bits are spent", i);
    omi_filter_describe(&c.f, &info);
    cr_assert_eq(info.gaps, 1);
    cr_assert_eq(info.parts, 1);
    omi_filter_region(&c.f, 2, &digest, &class_code);
    cr_assert(digest == gap && class_code == -1);
    omi_filter_region(&c.f, 4, &digest, &class_code);
    cr_assert(digest == bounds[4] && class_code == 6);
    case_filter_free(&c);
    case_keys_free(&k);
}

/* Every count of regions: one, two and three levels, and their edges. */
Test(filter, finds_the_region_of_any_digest)
{
    struct case_keys k = number_keys(0, 1, 70000);
    static uint32_t bounds[OMI_FILTER_REGIONS_MAX];
    static uint8_t classes[OMI_FILTER_REGIONS_MAX];
    static const uint32_t counts[] = {2, 15, 16, 17, 32, 33, 255, 256, 257, 511, 4095, 4096};
    case_number(UINT64_MAX, k.bytes + 8 * (size_t)(k.count - 1)); /* digests up to the last */
    k.hashes[k.count - 1] = omi_key_hash(k.keys[k.count - 1].key, 8);
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        uint32_t n = counts[c], step = UINT32_MAX / n;
        for (uint32_t r = 0; r < n; r++) {
            bounds[r] = r == n - 1 ? UINT32_MAX : r * step;
            classes[r] = (uint8_t)(1 + r % 14);
        }
        struct omi_filter_layout l = layout_of(&k, bounds, classes, n);
        cr_assert_eq(l.digest.shift, 32);
        struct case_filter f = encode(&k, &l);
        for (uint32_t r = 0; r < n; r++)
            for (int by = -1; by <= 1; by++) {
                if ((r == 0 && by < 0) || (r == n - 1 && by > 0))
                    continue;
                struct omi_filter_route route;
                uint32_t digest = bounds[r] + (uint32_t)by;
                uint8_t key[8];
                case_number((uint64_t)digest << 32, key);
                cr_assert_eq(omi_filter_route(&f.f, omi_slice(key, 8), 1, &route),
                             OMI_FILTER_PROBE);
                cr_assert_eq(route.region, by < 0 ? r - 1 : r, "digest %u of %u regions", digest,
                             n);
            }
        case_filter_free(&f);
    }
    case_keys_free(&k);
}

Test(filter, an_impossible_layout_is_invalid_and_leaves_nothing)
{
    struct case_keys k = number_keys(0, 1, 1000);
    uint32_t bounds[] = {0, 500};
    uint8_t classes[] = {3, 3};
    struct omi_filter_input input = case_input(&k);
    struct omi_filter_layout good = layout_of(&k, bounds, classes, 2), bad[11];
    uint32_t not_zero[] = {1, 500}, descending[] = {0, 0};
    uint8_t unknown[] = {3, 15}, gap[] = {3, OMI_FILTER_CLASS_NO_KEYS};
    for (size_t i = 0; i < 11; i++)
        bad[i] = good;
    bad[0].bounds = not_zero;
    bad[1].bounds = descending;
    bad[2].classes = unknown;
    bad[3].classes = gap;
    bad[4].region_count = 0;
    bad[5].region_count = OMI_FILTER_REGIONS_MAX + 1;
    bad[6].bits_per_probe = 0;
    bad[7].kind = OMI_FILTER_NONE;
    bad[8].prefix_bytes = OMI_SAMPLE_HEAD_BYTES + 1;
    bad[8].prefix_bits = 10;
    bad[8].prefix_probes = 6;
    bad[9].prefix_bytes = 3;
    bad[10].digest.shift = 40;
    struct omi_buf out = {0};
    cr_assert_eq(omi_buf_append_u32(&out, 77), OMEN_OK);
    for (size_t i = 0; i < 11; i++) {
        cr_assert_eq(omi_filter_encode(&input, &bad[i], &out, NULL), OMEN_INVALID, "layout %zu", i);
        cr_assert_eq(out.size, 4);
        cr_assert_eq(omi_get_u32(out.data), 77);
    }
    cr_assert_eq(omi_filter_encode(&input, &good, &out, NULL), OMEN_OK);
    omi_buf_fini(&out);
    case_keys_free(&k);
}

Test(filter, a_filter_without_bits_has_a_part_of_no_bytes)
{
    struct case_keys k = number_keys(0, 1, 1000);
    uint32_t bound = 0, size;
    uint8_t class_code = OMI_FILTER_CLASS_MAYBE;
    uint64_t off;
    struct omi_filter_layout l = layout_of(&k, &bound, &class_code, 1);
    struct case_filter c = encode(&k, &l);
    cr_assert_eq(c.size, 64);
    omi_filter_part(&c.f, 0, &off, &size);
    cr_assert_eq(size, 0);
    cr_assert(omi_filter_part_sound(&c.f, 0, NULL));
    cr_assert(asks(&c, 5) && asks(&c, 5000));
    case_filter_free(&c);
    case_keys_free(&k);
}

/* ---- prefix layer ------------------------------------------------------------------------------ */

Test(filter, a_prefix_that_no_key_has_needs_no_bits_a_key)
{
    struct dice d = {8};
    struct case_shape s = {.family = CASE_PAIRS, .clusters = 500, .salt = 3, .stride = 1 << 20};
    struct case_keys k = case_keys_make(&s, 50000, 0, &d);
    uint32_t bound = 0, wrong = 0;
    uint8_t class_code = OMI_FILTER_CLASS_MAYBE;
    struct omi_filter_layout l = layout_of(&k, &bound, &class_code, 1);
    l.prefix_bytes = 4;
    l.prefix_probes = 7;
    l.prefix_bits = 12;
    struct case_filter c = encode(&k, &l);
    struct omi_filter_info info;
    omi_filter_describe(&c.f, &info);
    cr_assert_eq(info.prefix_bytes, 4);
    cr_assert_leq(c.size, 64 + 500 * 12 / 8 + 64);
    cr_assert_eq(case_denied(&c, &k), 0);
    for (uint32_t i = 0; i < 100000; i++) /* a twentieth of the 2^32 prefixes in no key */
        wrong += asks(&c, (uint64_t)(i * 43019 + 1) << 32);
    cr_assert_leq(wrong, 800);
    case_filter_free(&c);
    case_keys_free(&k);
}

/* ---- deny list --------------------------------------------------------------------------------- */

Test(filter, denies_hot_absent_keys_but_never_a_key)
{
    struct case_keys k = number_keys(0, 2, 20000);
    enum { SAMPLES = 600 };
    static struct omi_filter_sample samples[SAMPLES];
    uint32_t bounds[] = {0, 20000}, passed = 0, list = 0;
    uint8_t classes[] = {2, 0}, key[8];
    struct omi_filter_layout l = layout_of(&k, bounds, classes, 2);
    struct case_filter plain = encode(&k, &l);
    for (uint32_t i = 0; i < SAMPLES; i++) { /* every third carries a key's hash */
        case_number(2 * (uint64_t)i * 30 + 1, key);
        case_sample_of(key, 8, i % 3 == 0 ? k.hashes[i] : omi_key_hash(key, 8), &samples[i]);
    }
    for (uint32_t i = 0; i < SAMPLES; i++)
        passed += i % 3 != 0 && asks(&plain, 2 * (uint64_t)i * 30 + 1);
    l.deny = samples;
    l.deny_count = SAMPLES;
    struct case_filter c = encode(&k, &l);
    struct omi_filter_info info;
    omi_filter_describe(&c.f, &info);
    cr_assert_gt(passed, OMI_FILTER_DENIED_MAX);
    cr_assert_eq(info.denied, OMI_FILTER_DENIED_MAX);
    cr_assert_eq(case_denied(&c, &k), 0);
    for (uint32_t i = 0; i < SAMPLES; i++) {
        uint64_t number = 2 * (uint64_t)i * 30 + 1;
        if (i % 3 == 0 || !asks(&plain, number))
            continue;
        cr_assert_eq(asks(&c, number), list >= OMI_FILTER_DENIED_MAX, "sample %u", i);
        list++;
    }
    case_filter_free(&c);

    l.deny_count = 1; /* a key's hash alone: nothing to deny */
    c = encode(&k, &l);
    cr_assert_eq(c.size, plain.size);
    cr_assert_arr_eq(c.section, plain.section, c.size);
    case_filter_free(&c);
    case_filter_free(&plain);
    case_keys_free(&k);
}

/* ---- no key is denied -------------------------------------------------------------------------- */

static void never_denies(uint64_t seed, bool same_hashes)
{
    struct dice d = {seed};
    static struct case_layout l;
    struct case_shape s = case_shape_of(&d);
    uint32_t count = 1 + dice_below(&d, dice_below(&d, 3) != 0 ? 300 : 6000);
    struct case_keys k = case_keys_make(&s, count, dice_below(&d, 4), &d);
    /* Distinct neighbours may share a hash. */
    for (uint32_t i = 1; same_hashes && i < k.count; i++)
        if (case_key_compare(&k.keys[i], &k.keys[i - 1]) == 0 || dice_below(&d, 3) == 0)
            k.hashes[i] = k.hashes[i - 1];
    uint32_t sample_count = dice_below(&d, 2) != 0 ? dice_below(&d, 700) : 0;
    enum case_samples kind = (enum case_samples)dice_below(&d, SAMPLES_KINDS);
    struct omi_filter_sample *samples = case_samples_make(&k, &s, kind, sample_count, &d);
    case_layout_make(&k, &d, samples, sample_count, &l);
    struct case_filter c = encode(&k, &l.layout);
    cr_assert_eq(case_denied(&c, &k), 0, "seed %lu", (unsigned long)seed);
    cr_assert(case_sound(&c), "seed %lu", (unsigned long)seed);
    case_filter_free(&c);
    free(samples);
    case_keys_free(&k);
}

Test(filter, no_layout_denies_a_key)
{
    for (uint64_t seed = 0; seed < 1500; seed++)
        never_denies(seed, seed % 4 == 0);
}

Test(filter, keys_of_one_digest_are_one_part)
{
    struct dice d = {5};
    struct case_shape s = {.family = CASE_ZEROS, .stem = 9};
    struct case_keys k = case_keys_make(&s, 3000, 0, &d);
    uint32_t bounds[] = {0, 1};
    uint8_t classes[] = {7, OMI_FILTER_CLASS_NO_KEYS};
    struct omi_filter_layout l = layout_of(&k, bounds, classes, 2);
    l.part_bytes = 64;
    struct case_filter c = encode(&k, &l);
    cr_assert_eq(c.f.part_count, 1);
    cr_assert_eq(case_denied(&c, &k), 0);
    case_filter_free(&c);
    case_keys_free(&k);
}

Test(filter, parts_are_no_more_than_there_may_be)
{
    struct case_keys k = number_keys(0, 1, 400000);
    static uint32_t bounds[OMI_FILTER_REGIONS_MAX];
    static uint8_t classes[OMI_FILTER_REGIONS_MAX];
    static const uint32_t counts[] = {1, 4000, 4096};
    for (size_t i = 0; i < 3; i++) {
        for (uint32_t r = 0; r < counts[i]; r++) {
            bounds[r] = r * 90;
            classes[r] = (uint8_t)(1 + r % 13);
        }
        struct omi_filter_layout l = layout_of(&k, bounds, classes, counts[i]);
        l.part_bytes = 64;
        struct case_filter c = encode(&k, &l);
        cr_assert_leq(c.f.region_count, OMI_FILTER_REGIONS_MAX);
        cr_assert_geq(c.f.part_count, i == 2 ? 1 : 90, "%u parts", c.f.part_count);
        cr_assert_eq(case_denied(&c, &k), 0);
        cr_assert(case_sound(&c));
        case_filter_free(&c);
    }
    case_keys_free(&k);
}

/* ---- the header -------------------------------------------------------------------------------- */

Test(filter, the_header_keeps_what_it_was_told)
{
    struct case_keys k = number_keys(50, 3, 3000);
    uint32_t bounds[] = {0, 700};
    uint8_t classes[] = {3, 5};
    struct omi_filter_layout l = layout_of(&k, bounds, classes, 2);
    struct omi_filter_info said = {.why = OMI_FILTER_WHY_GAIN,
                                   .samples = 4096,
                                   .promised_fpr = 0.00731,
                                   .keylike_fpr = 1,
                                   .plain_fpr = 0,
                                   .price = 3.3e-11,
                                   .weight = 0.5},
                           info;
    l.info = said;
    struct case_filter c = encode(&k, &l);
    struct omi_digest digest;
    omi_filter_describe(&c.f, &info);
    omi_filter_digest(&c.f, &digest);
    cr_assert_eq(info.kind, OMI_FILTER_REGIONS);
    cr_assert_eq(info.why, said.why);
    cr_assert_eq(info.samples, said.samples);
    cr_assert_eq(info.keys, k.count);
    cr_assert_float_eq(info.promised_fpr, said.promised_fpr, 0.00001);
    cr_assert_float_eq(info.price, said.price, 1e-13);
    cr_assert(info.keylike_fpr == 1 && info.plain_fpr == 0 && info.weight == 0.5);
    cr_assert(digest.base == l.digest.base && digest.strip == l.digest.strip &&
              digest.shift == l.digest.shift);
    case_filter_free(&c);
    case_keys_free(&k);
}

/* A filter with all there can be, as it was first written: what changes its bytes changes the format. */
Test(filter, its_bytes_are_those_of_format_2)
{
    struct case_keys k = number_keys(1000, 7, 5000);
    static uint32_t bounds[300];
    static uint8_t classes[300];
    struct omi_filter_sample denied[3];
    uint8_t key[8];
    for (uint32_t r = 0; r < 300; r++) {
        bounds[r] = r * 10000000;
        classes[r] = (uint8_t)(r % 9);
    }
    struct omi_filter_layout l = layout_of(&k, bounds, classes, 300);
    l.bits_per_probe = 1.5;
    l.part_bytes = 1024;
    l.prefix_bytes = 7;
    l.prefix_probes = 3;
    l.prefix_bits = 4;
    for (uint32_t i = 0; i < 3; i++) { /* of the first region, which has no bits */
        case_number(7 * (1000 + (uint64_t)i) + 1, key);
        case_sample_of(key, 8, UINT64_C(0xabcdef0123456789) * (i + 1), &denied[i]);
    }
    l.deny = denied;
    l.deny_count = 3;
    l.info = (struct omi_filter_info){.why = OMI_FILTER_WHY_GAIN,
                                      .samples = 512,
                                      .promised_fpr = 0.01,
                                      .keylike_fpr = 0.05,
                                      .plain_fpr = 0.02,
                                      .price = 1e-9,
                                      .weight = 0.25};
    struct case_filter c = encode(&k, &l);
    struct omi_filter_info info;
    omi_filter_describe(&c.f, &info);
    cr_assert_gt(info.parts, 2);
    cr_assert_eq(info.denied, 3);
    cr_assert_eq(info.prefix_bytes, 7);
    cr_assert_eq(case_denied(&c, &k), 0);
    cr_assert_eq(c.size, 6464, "%zu bytes", c.size);
    cr_assert_eq(omi_checksum(c.section, c.size, 0), UINT64_C(0x064b4a7c0b4c9d45), "%016lx",
                 (unsigned long)omi_checksum(c.section, c.size, 0));
    case_filter_free(&c);
    case_keys_free(&k);
}

/* ---- damage ------------------------------------------------------------------------------------ */

/* The filter answers from bytes that have passed their checks alone, as lsm/ does. */
static bool denies_a_key(const uint8_t *section, size_t size, const struct case_keys *k)
{
    struct case_filter c = {.section = NULL, .size = size};
    if (omi_filter_open(section, size, size, &c.f) != OMEN_OK)
        return false;
    for (uint32_t i = 0; i < k->count; i++) {
        struct omi_filter_route route;
        uint64_t off;
        uint32_t bytes;
        enum omi_filter_answer answer = omi_filter_route(
            &c.f, omi_slice(k->keys[i].key, k->keys[i].key_size), k->hashes[i], &route);
        omi_filter_part(&c.f, route.part, &off, &bytes);
        if (answer == OMI_FILTER_NO ||
            (answer == OMI_FILTER_PROBE && omi_filter_part_sound(&c.f, route.part, section + off) &&
             !omi_filter_probe(&c.f, &route, section + off, k->hashes[i])))
            return true;
    }
    return false;
}

/* Each bit of each byte flipped, and random damage of several bytes: seen, or harmless. */
Test(filter, no_damage_makes_it_deny_a_key)
{
    static struct case_layout l;
    uint32_t trials = 0;
    for (uint64_t seed = 0; trials < 110000; seed++) {
        struct dice d = {seed + 9000};
        struct case_shape s = case_shape_of(&d);
        struct case_keys k = case_keys_make(&s, 1 + dice_below(&d, 60), 3, &d);
        struct omi_filter_sample *samples = case_samples_make(&k, &s, SAMPLES_RANDOM, 40, &d);
        case_layout_make(&k, &d, samples, 40, &l);
        if (seed % 5 == 0)
            l.layout.region_count = 1, l.classes[0] = 6;
        struct case_filter c = encode(&k, &l.layout);
        uint32_t bits = (uint32_t)c.size * 8, every = bits > 24000 ? bits / 6000 : 1;
        for (uint32_t bit = dice_below(&d, every); bit < bits; bit += every, trials++) {
            c.section[bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert_not(denies_a_key(c.section, c.size, &k), "seed %lu, bit %u",
                          (unsigned long)seed, bit);
            c.section[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        uint8_t *bad = cases_alloc(c.size, 1);
        for (uint32_t i = 0; i < 200; i++, trials++) {
            memcpy(bad, c.section, c.size);
            uint32_t at = dice_below(&d, (uint32_t)c.size), n = 1 + dice_below(&d, 200);
            for (uint32_t b = at; b < at + n && b < c.size; b++)
                bad[b] = i % 3 == 0 ? 0 : i % 3 == 1 ? 0xff : (uint8_t)dice_next(&d);
            cr_assert_not(denies_a_key(bad, c.size, &k), "seed %lu, damage %u", (unsigned long)seed,
                          i);
        }
        free(bad);
        cr_assert_not(denies_a_key(c.section, c.size, &k));
        case_filter_free(&c);
        free(samples);
        case_keys_free(&k);
    }
}

static void head_mend(uint8_t *head, uint64_t section_bytes)
{
    struct omi_filter_header h;
    struct omi_filter_places p;
    if (head[0] != 2 || omi_filter_header_decode(head, section_bytes, &h) != OMEN_OK)
        return;
    omi_filter_places_find(&h, &p);
    omi_put_u64(head + 8, omi_filter_head_check(head, p.end, 0));
}

/* With a check that is right, a head may lie about everything, and is never left. */
Test(filter, a_hostile_head_leads_nowhere)
{
    static struct case_layout l;
    uint32_t opened = 0, refused = 0;
    for (uint64_t seed = 0; seed < 150; seed++) {
        struct dice d = {seed + 70000};
        struct case_shape s = case_shape_of(&d);
        struct case_keys k = case_keys_make(&s, 1 + dice_below(&d, 200), 0, &d);
        struct omi_filter_sample *samples = case_samples_make(&k, &s, SAMPLES_RANDOM, 40, &d);
        case_layout_make(&k, &d, samples, 40, &l);
        struct case_filter c = encode(&k, &l.layout), bad = c;
        bad.section = aligned_alloc(64, c.size);
        for (uint32_t i = 0; i < 300; i++) {
            memcpy(bad.section, c.section, c.size);
            for (uint32_t n = 1 + dice_below(&d, 4); n > 0; n--) {
                uint32_t where = dice_below(&d, 2) != 0 ? 64 : c.f.head_bytes;
                uint8_t *byte = &bad.section[dice_below(&d, where)];
                *byte = dice_below(&d, 2) != 0 ? (uint8_t)dice_next(&d)
                                               : (uint8_t)(*byte + dice_below(&d, 3) - 1);
            }
            if (dice_below(&d, 4) != 0)
                memcpy(bad.section, c.section, 2);
            head_mend(bad.section, bad.size);
            if (omi_filter_open(bad.section, bad.size, bad.size, &bad.f) == OMEN_OK) {
                opened++;
                (void)case_denied(&bad, &k);
                (void)case_sound(&bad);
                (void)asks(&bad, dice_next(&d));
                for (uint32_t r = 0; r < bad.f.region_count; r++) {
                    uint32_t digest;
                    int class_code;
                    omi_filter_region(&bad.f, r, &digest, &class_code);
                    cr_assert(class_code >= -1 && class_code <= OMI_FILTER_PROBES_MAX);
                }
            } else {
                refused++;
                cr_assert(asks(&bad, dice_next(&d)), "a refused filter answers maybe");
            }
        }
        free(bad.section);
        case_filter_free(&c);
        free(samples);
        case_keys_free(&k);
    }
    cr_assert(opened > 1000 && refused > 1000, "%u opened, %u refused", opened, refused);
}

/* Every field of the header in turn, with a check that is right. */
Test(filter, a_field_out_of_range_is_refused)
{
    static const struct {
        size_t off;
        uint8_t bytes, value;
        omen_err err;
    } cases[] = {
        {0, 1, 3, OMEN_UNSUPPORTED},                             /* format */
        {1, 1, 9, OMEN_UNSUPPORTED},                             /* kind */
        {2, 1, 1, OMEN_CORRUPT},                                 /* a class for several regions */
        {4, 4, 255, OMEN_CORRUPT},                               /* lines */
        {34, 1, 63, OMEN_CORRUPT},                               /* shift 63 */
        {36, 4, 255, OMEN_CORRUPT},                              /* prefix lines */
        {40, 2, 0, OMEN_CORRUPT},                                /* regions */
        {40, 2, 255, OMEN_CORRUPT},  {42, 2, 0, OMEN_CORRUPT},   /* parts */
        {42, 2, 255, OMEN_CORRUPT},  {44, 2, 255, OMEN_CORRUPT}, /* denied */
    };
    struct case_keys k = number_keys(0, 1, 3000);
    uint32_t bounds[] = {0, 700};
    uint8_t classes[] = {3, 5};
    struct omi_filter_layout l = layout_of(&k, bounds, classes, 2);
    struct case_filter c = encode(&k, &l);
    struct omi_filter f;
    uint8_t *bad = aligned_alloc(64, c.size);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        memcpy(bad, c.section, c.size);
        memset(bad + cases[i].off, cases[i].value, cases[i].bytes);
        head_mend(bad, c.size);
        cr_assert_eq(omi_filter_open(bad, c.size, c.size, &f), cases[i].err, "byte %zu",
                     cases[i].off);
        cr_assert_eq(f.kind, OMI_FILTER_NONE);
    }
    /* The directory: first digest, an order, a class, and lines where a class has bits. */
    static const struct {
        size_t off;
        uint8_t value;
    } inside[] = {{64, 1}, {68, 0}, {72, 0}, {128, 0x0f}, {129, 0x5b}};
    for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
        memcpy(bad, c.section, c.size);
        memset(bad + inside[i].off, inside[i].value, inside[i].off < 128 ? 4 : 1);
        head_mend(bad, c.size);
        cr_assert_eq(omi_filter_open(bad, c.size, c.size, &f), OMEN_CORRUPT, "byte %zu",
                     inside[i].off);
    }
    cr_assert_eq(omi_filter_open(c.section, c.size, c.size - 64, &f), OMEN_CORRUPT);
    cr_assert_eq(omi_filter_open(c.section, c.f.head_bytes - (size_t)1, c.size, &f), OMEN_CORRUPT);
    cr_assert_eq(omi_filter_open(c.section, 10, 10, &f), OMEN_CORRUPT);
    cr_assert_eq(omi_filter_open(c.section, c.f.head_bytes, c.size, &f), OMEN_OK);
    free(bad);
    case_filter_free(&c);
    case_keys_free(&k);
}

Test(filter, a_bound_filter_opens_for_its_file_alone)
{
    struct case_keys k = number_keys(0, 1, 300);
    struct case_filter c = build(&k, 10);
    struct omi_filter f;
    omi_filter_bind(c.section, c.size, 1234567);
    cr_assert_eq(omi_filter_open_bound(c.section, c.size, c.size, 1234567, &f), OMEN_OK);
    cr_assert_eq(omi_filter_open_bound(c.section, c.size, c.size, 1234568, &f), OMEN_CORRUPT);
    cr_assert_eq(omi_filter_open(c.section, c.size, c.size, &f), OMEN_CORRUPT);
    case_filter_free(&c);
    case_keys_free(&k);
}

/* ---- the format before this one ---------------------------------------------------------------- */

Test(filter, format_1_still_answers)
{
    struct case_keys k = number_keys(0, 1, 1000);
    struct case_filter c = build(&k, 10);
    struct omi_filter f;
    struct omi_filter_info info;
    uint64_t off;
    uint32_t size, head_bytes;
    memset(c.section + 8, 0, 56); /* all that format 1 has is a kind, probes and lines */
    c.section[0] = 1;
    c.section[3] = 0;
    cr_assert_eq(omi_filter_head_bytes(c.section, c.size, &head_bytes), OMEN_OK);
    cr_assert_eq(head_bytes, 64);
    cr_assert_eq(omi_filter_open(c.section, 64, c.size, &c.f), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(case_denied(&c, &k), 0);
    double wrong = wrong_pct(&c, 1000, 1, 100000);
    cr_assert(wrong > 0.3 && wrong < 1.5, "%.3f %%", wrong);
    omi_filter_part(&c.f, 0, &off, &size);
    cr_assert(off == 64 && size == c.size - 64);
    omi_filter_describe(&c.f, &info);
    cr_assert(info.kind == OMI_FILTER_PLAIN && info.regions == 1 && info.bytes == c.size);
    cr_assert_eq(omi_filter_open(c.section, 64, c.size - 64, &f), OMEN_CORRUPT);
    c.section[2] = 200;
    cr_assert_eq(omi_filter_open(c.section, 64, c.size, &f), OMEN_CORRUPT);
    c.section[2] = 0;
    cr_assert_eq(omi_filter_open(c.section, 64, c.size, &f), OMEN_CORRUPT);
    c.section[1] = OMI_FILTER_REGIONS;
    cr_assert_eq(omi_filter_open(c.section, 64, c.size, &f), OMEN_UNSUPPORTED);
    case_filter_free(&c);
    case_keys_free(&k);
}

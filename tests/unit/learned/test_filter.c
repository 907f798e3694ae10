#include "io/base/coding.h"
#include "io/base/hash.h"
#include "learned/filter.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(filter, .timeout = 30);

struct built {
    struct omi_filter f;
    uint8_t *section;
    size_t size;
};

static omen_slice key_of(uint64_t i)
{
    static uint8_t bytes[8];
    omi_put_u64(bytes, i);
    return omi_slice(bytes, 8);
}

static bool asks(const struct built *b, uint64_t i)
{
    omen_slice key = key_of(i);
    return omi_filter_may_hold(&b->f, b->section, key, omi_key_hash(key.data, key.size));
}

static struct built build(uint32_t count, uint32_t bits)
{
    uint8_t *bytes = malloc(8 * (size_t)count);
    struct omi_index_key *keys = malloc(count * sizeof(*keys));
    uint64_t *hashes = malloc(count * sizeof(*hashes));
    struct omi_filter_input input = {keys, hashes, count};
    struct omi_filter_params params = {.kind = OMI_FILTER_PLAIN, .bits = bits};
    struct omi_buf out = {0};
    struct built b;
    for (uint32_t i = 0; i < count; i++) {
        memcpy(bytes + 8 * (size_t)i, key_of(i).data, 8);
        keys[i] = (struct omi_index_key){bytes + 8 * (size_t)i, 1, 8, 20};
        hashes[i] = omi_key_hash(keys[i].key, 8);
    }
    cr_assert_eq(omi_filter_build(&input, &params, &out, NULL), OMEN_OK, "%s", omen_last_error());
    b.size = out.size;
    b.section = aligned_alloc(64, (out.size + 63) / 64 * 64);
    memcpy(b.section, out.data, out.size);
    cr_assert_eq(omi_filter_open(b.section, out.size, out.size, &b.f), OMEN_OK, "%s",
                 omen_last_error());
    omi_buf_fini(&out);
    free(hashes);
    free(keys);
    free(bytes);
    return b;
}

Test(filter, never_denies_a_key_and_rarely_admits_another)
{
    static const struct {
        uint32_t bits;
        double worst_pct;
    } cases[] = {{4, 17}, {10, 1.3}, {14, 0.35}, {20, 0.12}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        uint32_t count = 200000, wrong = 0;
        struct built b = build(count, cases[c].bits);
        for (uint32_t i = 0; i < count; i++)
            cr_assert(asks(&b, i), "key %u at %u bits", i, cases[c].bits);
        for (uint32_t i = count; i < 2 * count; i++)
            wrong += asks(&b, i);
        cr_assert_leq(100.0 * wrong / count, cases[c].worst_pct, "%u bits: %u", cases[c].bits,
                      wrong);
        free(b.section);
    }
}

Test(filter, takes_one_key)
{
    struct built b = build(1, 64);
    cr_assert(asks(&b, 0));
    free(b.section);
}

Test(filter, an_absent_filter_says_maybe)
{
    struct built b = {0};
    cr_assert(asks(&b, 12345));
}

Test(filter, refuses_sections_that_do_not_add_up_and_kinds_it_does_not_know)
{
    struct omi_filter f;
    struct built b = build(1000, 10);
    cr_assert_eq(omi_filter_open(b.section, b.size, b.size - 64, &f), OMEN_CORRUPT);
    cr_assert_eq(omi_filter_open(b.section, 10, 10, &f), OMEN_CORRUPT);
    b.section[2] = 200;
    cr_assert_eq(omi_filter_open(b.section, b.size, b.size, &f), OMEN_CORRUPT);
    b.section[1] = 9;
    cr_assert_eq(omi_filter_open(b.section, b.size, b.size, &f), OMEN_UNSUPPORTED);
    free(b.section);
}

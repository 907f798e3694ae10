#include "io/base/hash.h"
#include "learned/filter.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

TestSuite(filter, .timeout = 30);

static uint64_t hash_of(uint64_t i)
{
    return omi_key_hash(&i, sizeof(i));
}

static uint8_t *build(size_t count, uint32_t bits, struct omi_filter *f)
{
    uint64_t *hashes = malloc((count + 1) * sizeof(*hashes));
    struct omi_buf out = {0};
    for (size_t i = 0; i < count; i++)
        hashes[i] = hash_of(i);
    cr_assert_eq(omi_filter_build(hashes, count, bits, &out), OMEN_OK, "%s", omen_last_error());
    uint8_t *section = aligned_alloc(64, (out.size + 63) / 64 * 64);
    memcpy(section, out.data, out.size);
    cr_assert_eq(omi_filter_open(section, out.size, f), OMEN_OK, "%s", omen_last_error());
    omi_buf_fini(&out);
    free(hashes);
    return section;
}

Test(filter, never_denies_a_key_and_rarely_admits_another)
{
    static const struct {
        uint32_t bits;
        double worst_pct;
    } cases[] = {{4, 17}, {10, 1.3}, {14, 0.35}, {20, 0.12}};
    for (size_t c = 0; c < sizeof(cases) / sizeof(cases[0]); c++) {
        struct omi_filter f;
        size_t count = 200000, wrong = 0;
        uint8_t *section = build(count, cases[c].bits, &f);
        for (size_t i = 0; i < count; i++)
            cr_assert(omi_filter_may_hold(&f, hash_of(i)), "key %zu at %u bits", i, cases[c].bits);
        for (size_t i = count; i < 2 * count; i++)
            wrong += omi_filter_may_hold(&f, hash_of(i));
        cr_assert_leq(100.0 * (double)wrong / (double)count, cases[c].worst_pct, "%u bits: %zu",
                      cases[c].bits, wrong);
        free(section);
    }
}

Test(filter, takes_one_key_and_none)
{
    struct omi_filter f;
    free(build(0, 10, &f));
    uint8_t *section = build(1, 64, &f);
    cr_assert(omi_filter_may_hold(&f, hash_of(0)));
    free(section);
}

Test(filter, an_absent_filter_says_maybe)
{
    struct omi_filter f = {0};
    cr_assert(omi_filter_may_hold(&f, 12345));
}

Test(filter, refuses_sections_that_do_not_add_up_and_kinds_it_does_not_know)
{
    struct omi_filter f;
    uint8_t *section = build(1000, 10, &f);
    size_t size = 64 * ((size_t)f.line_count + 1);
    cr_assert_eq(omi_filter_open(section, size - 64, &f), OMEN_CORRUPT);
    cr_assert_eq(omi_filter_open(section, 10, &f), OMEN_CORRUPT);
    section[2] = 200;
    cr_assert_eq(omi_filter_open(section, size, &f), OMEN_CORRUPT);
    section[1] = 9;
    cr_assert_eq(omi_filter_open(section, size, &f), OMEN_UNSUPPORTED);
    free(section);
}

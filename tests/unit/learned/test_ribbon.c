/* Ribbons: no key denied, false positives by columns, space, and keys that have no solution. */
#include "learned/ribbon.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

TestSuite(ribbon, .timeout = 60);

/* ---- helpers --------------------------------------------------------------------------------- */

static uint64_t next_hash(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t *hashes_make(uint32_t count, uint64_t *state)
{
    uint64_t *hashes = malloc((count + (size_t)1) * sizeof(*hashes));
    for (uint32_t i = 0; i < count; i++)
        hashes[i] = next_hash(state);
    return hashes;
}

struct built {
    struct omi_ribbon r;
    uint8_t *bytes; /* as many as it has, so that a sanitizer sees any other that is read */
};

static struct built build(const uint64_t *hashes, uint32_t count, uint8_t columns, double more)
{
    struct built b = {.r = omi_ribbon_shape((uint32_t)omi_ribbon_blocks(count), columns, more)};
    b.bytes = malloc((size_t)omi_ribbon_bytes(&b.r));
    cr_assert_eq(omi_ribbon_solve(&b.r, hashes, count, b.bytes), OMEN_OK, "%s", omen_last_error());
    for (uint32_t i = 0; i < count; i++)
        cr_assert(omi_ribbon_holds(&b.r, b.bytes, hashes[i]), "key %u of %u, %u columns", i, count,
                  columns);
    return b;
}

static double fpr_of(const struct built *b, uint32_t lookups, uint64_t *state)
{
    uint32_t passed = 0;
    for (uint32_t i = 0; i < lookups; i++)
        passed += omi_ribbon_holds(&b->r, b->bytes, next_hash(state));
    return (double)passed / lookups;
}

static double bits_a_key(const struct built *b, uint32_t count)
{
    return 8 * (double)omi_ribbon_bytes(&b->r) / count;
}

/* ---- tests ----------------------------------------------------------------------------------- */

Test(ribbon, holds_every_key_at_the_false_positives_of_its_columns)
{
    enum { KEYS = 20000, LOOKUPS = 400000 };
    uint64_t state = 1;
    for (uint8_t columns = 1; columns <= OMI_RIBBON_COLUMNS_MAX; columns++)
        for (int more = 0; more < 4; more++) {
            uint64_t *hashes = hashes_make(KEYS, &state);
            struct built b = build(hashes, KEYS, columns, more / 4.0);
            double want = exp2(-columns) * (1 - more / 8.0), fpr = fpr_of(&b, LOOKUPS, &state);
            double noise = 5 * sqrt(want / LOOKUPS) + 0.01 * want; /* and of the share, in blocks */
            cr_assert(fabs(fpr - want) < noise, "%u columns and %d/4: %g, not %g", columns, more,
                      fpr, want);
            free(b.bytes);
            free(hashes);
        }
}

Test(ribbon, takes_a_twentieth_more_than_its_columns)
{
    static const uint32_t counts[] = {100000, 131072, 150000, 400000, 1000000};
    uint64_t state = 2;
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        uint64_t *hashes = hashes_make(counts[i], &state);
        struct built b = build(hashes, counts[i], 7, 0);
        double bits = bits_a_key(&b, counts[i]), fpr = fpr_of(&b, 1000000, &state);
        cr_assert_leq(bits, 1.05 * 7, "%u keys: %.4f bits", counts[i], bits);
        cr_assert_leq(fpr, 0.0082, "%u keys: %.4f %%", counts[i], 100 * fpr); /* 5 sigma of .78 */
        free(b.bytes);
        /* One in a hundred, by six columns and some more. */
        double density = omi_ribbon_density(counts[i]);
        b = build(hashes, counts[i], 6, 7.05 / density - 6);
        bits = bits_a_key(&b, counts[i]);
        fpr = fpr_of(&b, 1000000, &state);
        cr_assert_leq(bits, 7.06, "%u keys: %.4f bits", counts[i], bits);
        cr_assert_leq(fpr, 0.0102, "%u keys: %.4f %% at %.3f bits", counts[i], 100 * fpr, bits);
        free(b.bytes);
        free(hashes);
    }
}

Test(ribbon, few_keys_and_repeated_hashes_are_no_matter)
{
    uint64_t state = 3;
    for (uint32_t count = 0; count < 600; count = count < 8 ? count + 1 : count * 2) {
        uint64_t *hashes = hashes_make(count, &state);
        for (uint32_t i = 0; i + 1 < count; i += 2)
            hashes[i] = hashes[count / 2];
        struct built b = build(hashes, count, 7, 0.5);
        cr_assert_leq(fpr_of(&b, 10000, &state), 0.02);
        free(b.bytes);
        free(hashes);
    }
    uint64_t same[5000];
    for (uint32_t i = 0; i < 5000; i++)
        same[i] = 12345;
    struct built b = build(same, 5000, 13, 0);
    free(b.bytes);
}

/* Numbers in place of hashes, as a careless caller's or a hostile one's may be. */
Test(ribbon, hashes_that_are_badly_mixed_are_mixed_again)
{
    enum { KEYS = 30000 };
    for (int shift = 0; shift <= 48; shift += 12) {
        uint64_t *hashes = malloc(KEYS * sizeof(*hashes)), passed = 0;
        for (uint64_t i = 0; i < KEYS; i++)
            hashes[i] = i << shift;
        struct built b = build(hashes, KEYS, 7, 0);
        for (uint64_t i = KEYS; i < 2 * KEYS; i++)
            passed += omi_ribbon_holds(&b.r, b.bytes, i << shift);
        cr_assert(passed > KEYS / 200 && passed < KEYS / 100, "%lu of %d", (unsigned long)passed,
                  KEYS);
        free(b.bytes);
        free(hashes);
    }
}

Test(ribbon, more_keys_than_slots_have_no_solution_and_that_is_told)
{
    uint64_t state = 4, *hashes = hashes_make(3000, &state);
    struct omi_ribbon r = omi_ribbon_shape(10, 7, 0);
    uint8_t *bytes = malloc((size_t)omi_ribbon_bytes(&r));
    cr_assert_eq(omi_ribbon_solve(&r, hashes, 3000, bytes), OMEN_ABORTED);
    free(bytes);
    free(hashes);
}

Test(ribbon, another_seed_is_tried)
{
    /* Full to the brim: many a seed finds no solution. */
    enum { KEYS = 2040, TRIALS = 200 };
    uint64_t state = 5;
    int by_seed[OMI_RIBBON_SEEDS + 1] = {0};
    for (int t = 0; t < TRIALS; t++) {
        uint64_t *hashes = hashes_make(KEYS, &state);
        struct omi_ribbon r = omi_ribbon_shape(16, 3, 0);
        uint8_t *bytes = malloc((size_t)omi_ribbon_bytes(&r));
        omen_err err = omi_ribbon_solve(&r, hashes, KEYS, bytes);
        by_seed[err == OMEN_OK ? r.seed : OMI_RIBBON_SEEDS]++;
        for (uint32_t i = 0; err == OMEN_OK && i < KEYS; i++)
            cr_assert(omi_ribbon_holds(&r, bytes, hashes[i]));
        free(bytes);
        free(hashes);
    }
    for (int s = 0; s < OMI_RIBBON_SEEDS; s++)
        cr_assert_gt(by_seed[s], 0, "seed %d was never it: %d %d %d, none %d", s, by_seed[0],
                     by_seed[1], by_seed[2], by_seed[3]);
}

/* What comes from disk may be anything: any bytes of the right length, any shape. */
Test(ribbon, any_bytes_can_be_asked)
{
    uint64_t state = 6;
    for (int t = 0; t < 2000; t++) {
        uint32_t blocks = 1 + (uint32_t)(next_hash(&state) % 9);
        struct omi_ribbon r = {.blocks = blocks,
                               .upper = (uint32_t)(next_hash(&state) % (blocks + 1)),
                               .columns = (uint8_t)(1 + next_hash(&state) % OMI_RIBBON_COLUMNS_MAX),
                               .seed = (uint8_t)next_hash(&state)};
        size_t size = (size_t)omi_ribbon_bytes(&r);
        uint8_t *bytes = malloc(size);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)next_hash(&state);
        for (int i = 0; i < 50; i++) {
            uint64_t hash = next_hash(&state);
            omi_ribbon_prefetch(&r, bytes, hash);
            (void)omi_ribbon_holds(&r, bytes, hash);
        }
        free(bytes);
    }
}

Test(ribbon, shapes_stay_in_their_range)
{
    for (uint32_t blocks = 1; blocks < 40; blocks++)
        for (double more = -0.5; more <= 1.5; more += 0.01) {
            struct omi_ribbon r = omi_ribbon_shape(blocks, 5, more);
            cr_assert(r.upper <= blocks && r.blocks == blocks && r.columns == 5);
            cr_assert(more > 0 || r.upper == blocks);
            cr_assert(more < 1 || r.upper == 0);
        }
    uint64_t before = 0;
    for (uint64_t keys = 0; keys < UINT64_C(1) << 40; keys = keys * 3 / 2 + 1) {
        uint64_t blocks = omi_ribbon_blocks(keys);
        cr_assert(blocks >= 1 && blocks >= before && blocks * 128 >= keys + 127);
        before = blocks;
    }
}

Test(ribbon, the_same_keys_give_the_same_bytes)
{
    uint64_t state = 7, *hashes = hashes_make(10000, &state);
    struct built a = build(hashes, 10000, 7, 0.3), b = build(hashes, 10000, 7, 0.3);
    cr_assert_eq(a.r.seed, b.r.seed);
    cr_assert_eq(memcmp(a.bytes, b.bytes, (size_t)omi_ribbon_bytes(&a.r)), 0);
    free(a.bytes);
    free(b.bytes);
    free(hashes);
}

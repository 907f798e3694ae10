#include "io/base/coding.h"
#include "lsm/block.h"
#include "lsm/block_format.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(block, .timeout = 30);

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

enum { ENTRIES_MAX = 400, FILE_ID = 77, OFF = 4096 };

struct sample {
    struct omi_entry entries[ENTRIES_MAX];
    uint32_t count;
    struct omi_buf bytes;
};

static const struct omi_order bytewise = {NULL};

static int compare_entries(const void *a, const void *b)
{
    const struct omi_entry *x = a, *y = b;
    return omi_internal_compare(&bytewise, omi_entry_key(x), x->trailer, omi_entry_key(y),
                                y->trailer);
}

/* Random keys of a shape: 0 long shared prefix, 1 short keys and the empty one, 2 runs of one byte,
 * 3 many versions, 4 equal sizes, 5 long keys. */
static struct sample *sample_create(struct rng *r, int shape, uint32_t count, size_t value_max)
{
    struct sample *s = calloc(1, sizeof(*s));
    cr_assert_eq(omi_buf_reserve(&s->bytes, (size_t)count * (3000 + value_max)), OMEN_OK);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *key = s->bytes.data + s->bytes.size;
        size_t n = 0;
        uint64_t x = rng_next(r);
        switch (shape) {
        case 0:
            n = (size_t)sprintf((char *)key, "a/long/prefix/shared/by/all/%llu",
                                (unsigned long long)(x % 100000));
            break;
        case 1:
            for (n = 0; n < x % 6; n++)
                key[n] = (uint8_t)("\x00\x01\xff"[rng_next(r) % 3]);
            break;
        case 2:
            n = x % 40;
            memset(key, (x >> 8) % 2 != 0 ? 0xff : 0, n);
            break;
        case 3:
            key[0] = (uint8_t)('a' + x % 3);
            n = 1;
            break;
        case 4:
            memcpy(key, &x, 8);
            memcpy(key + 8, "00000000", 8);
            n = 16;
            break;
        default:
            n = 1000 + x % 2000;
            memset(key, 'k', n);
            memcpy(key + x % 900, &x, 8);
            break;
        }
        size_t value = value_max != 0 ? rng_next(r) % (value_max + 1) : 0;
        if (shape == 4)
            value = value_max;
        memset(key + n, (int)x, value);
        uint64_t type = x % 7 == 0 ? OMI_KIND_DELETE : OMI_KIND_PUT;
        s->entries[s->count++] =
            (struct omi_entry){key, key + n, omi_trailer(1000 + i * (x % 5 + 1), (unsigned)type),
                               (uint32_t)n, (uint32_t)value};
        s->bytes.size += n + value;
    }
    qsort(s->entries, s->count, sizeof(s->entries[0]), compare_entries);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (kept == 0 || compare_entries(&s->entries[kept - 1], &s->entries[i]) != 0)
            s->entries[kept++] = s->entries[i];
    s->count = kept;
    return s;
}

static void sample_destroy(struct sample *s)
{
    omi_buf_fini(&s->bytes);
    free(s);
}

static uint8_t *aligned_copy(const struct omi_buf *b)
{
    uint8_t *copy = aligned_alloc(64, (b->size + 127) / 64 * 64);
    memcpy(copy, b->data, b->size);
    return copy;
}

static void check_same(const struct omi_block *b, const struct sample *s)
{
    uint8_t key[4096];
    cr_assert_eq(b->count, s->count);
    for (uint32_t i = 0; i < s->count; i++) {
        struct omi_entry e;
        const struct omi_entry *want = &s->entries[i];
        cr_assert_eq(omi_block_key_size(b, i), want->key_size);
        omi_block_entry(b, i, key, &e);
        cr_assert(omi_bytes_equal(e.key, e.key_size, want->key, want->key_size));
        cr_assert_eq(e.trailer, want->trailer);
        cr_assert(omi_bytes_equal(e.value, e.value_size, want->value, want->value_size));
        cr_assert(omi_block_key_is(b, i, omi_entry_key(want)));
    }
}

static void check_search(const struct omi_block *b, const struct sample *s, struct rng *r)
{
    for (int q = 0; q < 400; q++) {
        uint8_t key[4096];
        const struct omi_entry *from = &s->entries[rng_next(r) % s->count];
        size_t n = from->key_size;
        memcpy(key, from->key, n);
        uint64_t trailer = from->trailer;
        switch (rng_next(r) % 6) {
        case 0:
            if (n > 0)
                key[rng_next(r) % n] = (uint8_t)rng_next(r);
            break;
        case 1:
            n = n > 0 ? rng_next(r) % n : 0;
            break;
        case 2:
            key[n++] = (uint8_t)(rng_next(r) % 2 * 255);
            break;
        case 3:
            trailer = rng_next(r) % 3 == 0 ? UINT64_MAX : trailer - 1;
            break;
        case 4:
            if (n > 0)
                key[n - 1]++;
            break;
        default:
            break;
        }
        uint32_t want = 0;
        while (want < s->count &&
               omi_internal_compare(&bytewise, omi_entry_key(&s->entries[want]),
                                    s->entries[want].trailer, omi_slice(key, n), trailer) < 0)
            want++;
        uint32_t got = omi_block_lower_bound(b, &bytewise, omi_slice(key, n), trailer);
        cr_assert_eq(got, want, "query %d of %zu bytes (seed %lu)", q, n, seed_of());
        if (got < s->count)
            cr_assert_eq(omi_block_key_is(b, got, omi_slice(key, n)),
                         omi_bytes_equal(key, n, s->entries[got].key, s->entries[got].key_size));
    }
}

static void round_trip(struct rng *r, int shape, uint32_t count, size_t value_max, omen_codec codec)
{
    struct sample *s = sample_create(r, shape, count, value_max);
    struct omi_codec_state codec_state = {0};
    struct omi_buf stored = {0};
    cr_assert_eq(
        omi_block_encode(s->entries, s->count, true, codec, &codec_state, FILE_ID, OFF, &stored),
        OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(stored.size % OMI_BLOCK_ALIGN, 0);
    struct omi_block_header h;
    cr_assert_eq(omi_block_header_decode(stored.data, stored.size, OFF, "t", &h), OMEN_OK);
    cr_assert_eq(h.count, s->count);
    uint8_t *body = aligned_alloc(64, ((size_t)h.raw_bytes + 127) / 64 * 64);
    struct omi_block b;
    cr_assert_eq(omi_block_decode(stored.data, &h, FILE_ID, OFF, "t", &codec_state, body, &b),
                 OMEN_OK, "%s", omen_last_error());
    check_same(&b, s);
    check_search(&b, s, r);
    if (h.codec == OMI_BLOCK_CODEC_NONE) { /* also in place */
        uint8_t *copy = aligned_copy(&stored);
        cr_assert_eq(omi_block_decode(copy, &h, FILE_ID, OFF, "t", &codec_state,
                                      copy + OMI_BLOCK_HEADER_BYTES, &b),
                     OMEN_OK);
        check_same(&b, s);
        free(copy);
    }
    /* at another place, or of another file, it is refused */
    cr_assert_eq(omi_block_decode(stored.data, &h, FILE_ID, OFF + 64, "t", &codec_state, body, &b),
                 OMEN_CORRUPT);
    cr_assert_eq(omi_block_decode(stored.data, &h, FILE_ID + 1, OFF, "t", &codec_state, body, &b),
                 OMEN_CORRUPT);
    free(body);
    omi_buf_fini(&stored);
    omi_codec_state_fini(&codec_state);
    sample_destroy(s);
}

Test(block, gives_back_and_finds_every_entry_of_every_shape_and_codec)
{
    struct rng r = {seed_of()};
    static const omen_codec codecs[] = {OMEN_CODEC_NONE, OMEN_CODEC_ZSTD_FAST, OMEN_CODEC_ZSTD};
    for (int round = 0; round < 12; round++)
        for (int shape = 0; shape < 6; shape++)
            for (int c = 0; c < 3; c++)
                round_trip(&r, shape, 1 + (uint32_t)(rng_next(&r) % 60), round % 3 == 0 ? 0 : 200,
                           codecs[c]);
}

Test(block, takes_offsets_past_64_kib)
{
    struct rng r = {seed_of()};
    round_trip(&r, 5, 60, 4000, OMEN_CODEC_NONE);
    round_trip(&r, 0, 300, 1000, OMEN_CODEC_ZSTD);
}

Test(block, takes_a_lone_entry_of_any_size)
{
    struct rng r = {seed_of()};
    round_trip(&r, 0, 1, 1 << 20, OMEN_CODEC_NONE);
    round_trip(&r, 1, 1, 1 << 20, OMEN_CODEC_ZSTD);
    round_trip(&r, 5, 1, 0, OMEN_CODEC_NONE);
}

static int reverse_compare(void *ctx, omen_slice a, omen_slice b)
{
    (void)ctx;
    return omi_bytes_compare(b.data, b.size, a.data, a.size);
}

Test(block, is_searched_by_a_comparator)
{
    omen_comparator c = {"reverse", reverse_compare, NULL};
    struct omi_order order = {&c};
    struct omi_entry entries[3] = {{(const uint8_t *)"pear", NULL, omi_trailer(3, 1), 4, 0},
                                   {(const uint8_t *)"fig", NULL, omi_trailer(5, 1), 3, 0},
                                   {(const uint8_t *)"apple", NULL, omi_trailer(4, 1), 5, 0}};
    struct omi_codec_state state = {0};
    struct omi_buf stored = {0};
    struct omi_block_header h;
    struct omi_block b;
    uint8_t body[512];
    cr_assert_eq(omi_block_encode(entries, 3, false, OMEN_CODEC_NONE, &state, 1, 64, &stored),
                 OMEN_OK);
    cr_assert_eq(omi_block_header_decode(stored.data, stored.size, 64, "t", &h), OMEN_OK);
    cr_assert_eq(omi_block_decode(stored.data, &h, 1, 64, "t", &state, body, &b), OMEN_OK);
    cr_assert_eq(omi_block_lower_bound(&b, &order, omi_slice("zebra", 5), 0), 0);
    cr_assert_eq(omi_block_lower_bound(&b, &order, omi_slice("fig", 3), UINT64_MAX), 1);
    cr_assert_eq(omi_block_lower_bound(&b, &order, omi_slice("fig", 3), 0), 2);
    cr_assert_eq(omi_block_lower_bound(&b, &order, omi_slice("a", 1), 0), 3);
    omi_buf_fini(&stored);
}

Test(block, takes_keys_of_the_longest_size)
{
    enum { KEYS = 3 };
    uint8_t *bytes = calloc(KEYS, OMEN_KEY_BYTES_MAX);
    struct omi_entry entries[KEYS], e;
    struct omi_codec_state state = {0};
    struct omi_buf stored = {0};
    struct omi_block_header h;
    struct omi_block b;
    for (uint32_t i = 0; i < KEYS; i++) {
        uint8_t *key = bytes + (size_t)i * OMEN_KEY_BYTES_MAX;
        key[i == 0 ? 0 : OMEN_KEY_BYTES_MAX - 1] = (uint8_t)i; /* the first two differ at the end */
        key[0] = i == 2;
        entries[i] = (struct omi_entry){key, NULL, omi_trailer(1, 1), OMEN_KEY_BYTES_MAX, 0};
    }
    for (int codec = OMEN_CODEC_NONE; codec <= OMEN_CODEC_ZSTD; codec++)
        for (uint32_t count = 1; count <= KEYS; count++) {
            stored.size = 0;
            cr_assert_eq(
                omi_block_encode(entries, count, true, (omen_codec)codec, &state, 1, 64, &stored),
                OMEN_OK);
            cr_assert_eq(omi_block_header_decode(stored.data, stored.size, 64, "t", &h), OMEN_OK);
            uint8_t *body = malloc(h.raw_bytes), *key = malloc(OMEN_KEY_BYTES_MAX);
            cr_assert_eq(omi_block_decode(stored.data, &h, 1, 64, "t", &state, body, &b), OMEN_OK);
            for (uint32_t i = 0; i < count; i++) {
                cr_assert_eq(
                    omi_block_lower_bound(&b, &bytewise, omi_entry_key(&entries[i]), UINT64_MAX),
                    i);
                omi_block_entry(&b, i, key, &e);
                cr_assert(omi_bytes_equal(e.key, e.key_size, entries[i].key, entries[i].key_size));
            }
            free(body);
            free(key);
        }
    free(bytes);
    omi_buf_fini(&stored);
    omi_codec_state_fini(&state);
}

Test(block, a_damaged_header_asks_for_no_memory_before_its_check)
{
    struct omi_codec_state state = {0};
    struct omi_buf stored = {0};
    struct omi_block_header h;
    uint8_t value[60000] = {0};
    struct omi_entry e = {(const uint8_t *)"k", value, omi_trailer(1, 1), 1, sizeof(value)};
    cr_assert_eq(omi_block_encode(&e, 1, true, OMEN_CODEC_ZSTD, &state, 1, 64, &stored), OMEN_OK);
    cr_assert_eq(omi_block_header_decode(stored.data, stored.size, 64, "t", &h), OMEN_OK);
    cr_assert_eq(h.codec, OMI_BLOCK_CODEC_ZSTD);
    cr_assert(omi_block_swells(&h)); /* honest, and verified first all the same */
    cr_assert_eq(omi_block_verify(stored.data, &h, 1, 64, "t"), OMEN_OK);
    stored.data[7] = 0x01; /* 16 MiB and more */
    cr_assert_eq(omi_block_header_decode(stored.data, stored.size, 64, "t", &h),
                 h.raw_bytes / 4096 > (h.stored_bytes - OMI_BLOCK_HEADER_BYTES) * UINT64_C(32)
                     ? OMEN_CORRUPT
                     : OMEN_OK);
    cr_assert(omi_block_swells(&h));
    cr_assert_eq(omi_block_verify(stored.data, &h, 1, 64, "t"), OMEN_CORRUPT);
    stored.data[4] = stored.data[5] = stored.data[6] = stored.data[7] = 0; /* packed, yet larger */
    cr_assert_eq(omi_block_header_decode(stored.data, stored.size, 64, "t", &h), OMEN_CORRUPT);
    omi_buf_fini(&stored);
    omi_codec_state_fini(&state);
}

/* Bytes with a valid check, as an attacker would write them: never out of bounds, whatever they
 * say. */
Test(block, survives_hostile_bytes_with_a_valid_check)
{
    struct rng r = {seed_of()};
    struct omi_codec_state state = {0};
    for (int shape = 0; shape < 5; shape++) {
        struct sample *s = sample_create(&r, shape, 20, 60);
        struct omi_buf stored = {0};
        cr_assert_eq(omi_block_encode(s->entries, s->count, true, OMEN_CODEC_NONE, &state, FILE_ID,
                                      OFF, &stored),
                     OMEN_OK);
        for (size_t at = 0; at < stored.size; at++)
            for (int bit = 0; bit < 8; bit += 3) {
                uint8_t *copy = aligned_copy(&stored);
                struct omi_block_header h;
                struct omi_block b;
                copy[at] ^= (uint8_t)(1 << bit);
                if (omi_block_header_decode(copy, stored.size, OFF, "t", &h) == OMEN_OK) {
                    uint64_t check = omi_block_check(copy, h.stored_bytes, FILE_ID, OFF);
                    for (int i = 0; i < 8; i++)
                        copy[24 + i] = (uint8_t)(check >> (8 * i));
                    uint8_t *body = malloc((size_t)h.raw_bytes + 1);
                    if (omi_block_decode(copy, &h, FILE_ID, OFF, "t", &state, body, &b) ==
                        OMEN_OK) {
                        uint8_t *key = malloc(OMEN_KEY_BYTES_MAX);
                        struct omi_entry e;
                        uint64_t sum = 0;
                        for (uint32_t i = 0; i < b.count; i++) {
                            omi_block_entry(&b, i, key, &e);
                            for (uint32_t v = 0; v < e.value_size; v++)
                                sum += e.value[v];
                        }
                        (void)omi_block_lower_bound(&b, &bytewise, omi_slice("key", 3), sum);
                        free(key);
                    }
                    free(body);
                }
                free(copy);
            }
        omi_buf_fini(&stored);
        sample_destroy(s);
    }
    omi_codec_state_fini(&state);
}

/* A key of one byte whose head claims more would be shown by a walk and missed by a search. */
Test(block, refuses_a_short_head_that_is_not_padded)
{
    struct omi_codec_state state = {0};
    struct omi_buf stored = {0};
    struct omi_entry entries[2] = {
        {(const uint8_t *)"a", NULL, omi_trailer(1, OMI_KIND_PUT), 1, 0},
        {(const uint8_t *)"bcdef", NULL, omi_trailer(2, OMI_KIND_PUT), 5, 0}};
    uint8_t body[256];
    struct omi_block_header h;
    struct omi_block b;
    cr_assert_eq(omi_block_encode(entries, 2, true, OMEN_CODEC_NONE, &state, FILE_ID, OFF, &stored),
                 OMEN_OK);
    for (int damage = 0; damage < 2; damage++) {
        uint8_t *copy = aligned_copy(&stored);
        copy[OMI_BLOCK_HEADER_BYTES + OMI_COLUMNS_BYTES] ^= (uint8_t)damage;
        cr_assert_eq(omi_block_header_decode(copy, stored.size, OFF, "t", &h), OMEN_OK);
        omi_put_u64(copy + 24, omi_block_check(copy, h.stored_bytes, FILE_ID, OFF));
        cr_assert_eq(omi_block_decode(copy, &h, FILE_ID, OFF, "t", &state, body, &b),
                     damage == 0 ? OMEN_OK : OMEN_CORRUPT);
        free(copy);
    }
    omi_buf_fini(&stored);
    omi_codec_state_fini(&state);
}

/* With a right check a header may claim what its frame does not hold: found before the claim is
 * believed and its memory asked for. */
Test(block, refuses_a_frame_of_another_size_before_asking_for_memory)
{
    struct omi_codec_state state = {0};
    struct omi_buf stored = {0};
    struct omi_block_header h;
    uint8_t value[60000] = {0};
    struct omi_entry e = {(const uint8_t *)"k", value, omi_trailer(1, 1), 1, sizeof(value)};
    cr_assert_eq(omi_block_encode(&e, 1, true, OMEN_CODEC_ZSTD, &state, FILE_ID, OFF, &stored),
                 OMEN_OK);
    omi_put_u32(stored.data + 4, sizeof(value) + 4096);
    cr_assert_eq(omi_block_header_decode(stored.data, stored.size, OFF, "t", &h), OMEN_OK);
    omi_put_u64(stored.data + 24, omi_block_check(stored.data, h.stored_bytes, FILE_ID, OFF));
    cr_assert(omi_block_swells(&h));
    cr_assert_eq(omi_block_verify(stored.data, &h, FILE_ID, OFF, "t"), OMEN_CORRUPT);
    omi_buf_fini(&stored);
    omi_codec_state_fini(&state);
}

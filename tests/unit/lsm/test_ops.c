#include "io/base/coding.h"
#include "lsm/wal.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(ops, .timeout = 10);

struct seen {
    struct omi_entry entries[16];
    uint32_t count, stop_at; /* 0: never */
};

static omen_err keep(void *ctx, const struct omi_entry *e)
{
    struct seen *s = ctx;
    if (s->stop_at != 0 && s->count + 1 == s->stop_at)
        return omi_fail(OMEN_ABORTED, 0, "enough");
    if (s->count < 16)
        s->entries[s->count] = *e;
    s->count++;
    return OMEN_OK;
}

static omen_slice text(const char *s)
{
    return omi_slice(s, strlen(s));
}

static void three(struct omi_buf *b)
{
    cr_assert_eq(omi_ops_append(b, OMI_KIND_PUT, text("apple"), text("red")), OMEN_OK);
    cr_assert_eq(omi_ops_append(b, OMI_KIND_DELETE, text(""), text("ignored")), OMEN_OK);
    cr_assert_eq(omi_ops_append(b, OMI_KIND_PUT, text(""), text("")), OMEN_OK);
}

Test(ops, what_was_appended_comes_back_with_counted_up_sequences)
{
    struct omi_buf b = {0};
    struct seen s = {0};
    three(&b);
    struct omi_ops ops = {b.data, b.size, 3};
    cr_assert_eq(omi_ops_each(&ops, 41, keep, &s), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(s.count, 3);
    cr_assert_eq(s.entries[0].trailer, omi_trailer(41, OMI_KIND_PUT));
    cr_assert(omi_bytes_equal(s.entries[0].key, s.entries[0].key_size, "apple", 5));
    cr_assert(omi_bytes_equal(s.entries[0].value, s.entries[0].value_size, "red", 3));
    cr_assert_eq(s.entries[1].trailer, omi_trailer(42, OMI_KIND_DELETE));
    cr_assert_eq(s.entries[1].value_size, 0, "a delete carries no value");
    cr_assert_eq(s.entries[2].trailer, omi_trailer(43, OMI_KIND_PUT));
    omi_buf_fini(&b);
}

Test(ops, the_largest_key_comes_back_and_a_larger_one_is_corrupt)
{
    struct omi_buf b = {0};
    struct seen s = {0};
    uint8_t *key = calloc(1, OMEN_KEY_BYTES_MAX + 1);
    cr_assert_eq(
        omi_ops_append(&b, OMI_KIND_DELETE, omi_slice(key, OMEN_KEY_BYTES_MAX), omi_slice(NULL, 0)),
        OMEN_OK);
    struct omi_ops ops = {b.data, b.size, 1};
    cr_assert_eq(omi_ops_each(&ops, 1, keep, &s), OMEN_OK);
    cr_assert_eq(s.entries[0].key_size, OMEN_KEY_BYTES_MAX);
    struct omi_buf c = {0};
    cr_assert_eq(omi_buf_append(&c, (const uint8_t[]){OMI_KIND_DELETE, 0}, 2), OMEN_OK);
    cr_assert_eq(omi_buf_append_slice(&c, omi_slice(key, OMEN_KEY_BYTES_MAX + 1)), OMEN_OK);
    ops = (struct omi_ops){c.data, c.size, 1};
    cr_assert_eq(omi_ops_each(&ops, 1, keep, &s), OMEN_CORRUPT);
    omi_buf_fini(&b);
    omi_buf_fini(&c);
    free(key);
}

Test(ops, a_wrong_count_is_corrupt_either_way)
{
    struct omi_buf b = {0};
    struct seen s = {0};
    three(&b);
    struct omi_ops ops = {b.data, b.size, 2};
    cr_assert_eq(omi_ops_each(&ops, 1, keep, &s), OMEN_CORRUPT);
    ops.count = 4;
    cr_assert_eq(omi_ops_each(&ops, 1, keep, &s), OMEN_CORRUPT);
    omi_buf_fini(&b);
}

Test(ops, a_cut_at_any_byte_is_corrupt)
{
    struct omi_buf b = {0};
    three(&b);
    for (size_t size = 0; size < b.size; size++) {
        struct seen s = {0};
        uint8_t *exact = malloc(size + 1); /* so that a sanitizer sees a read past the cut */
        memcpy(exact, b.data, size);
        struct omi_ops ops = {exact, size, 3};
        cr_assert_eq(omi_ops_each(&ops, 1, keep, &s), OMEN_CORRUPT, "cut to %zu bytes", size);
        free(exact);
    }
    omi_buf_fini(&b);
}

Test(ops, unknown_types_flags_and_namespaces_are_unsupported)
{
    const uint8_t reserved[] = {OMI_KIND_RANGE_DELETE, OMI_KIND_MERGE,
                                OMI_KIND_PUT | OMI_TYPE_REFERENCE, OMI_KIND_PUT | OMI_TYPE_EXPIRY,
                                0x0f};
    struct seen s = {0};
    for (size_t i = 0; i < sizeof(reserved); i++) {
        uint8_t bytes[] = {reserved[i], 0, 0, 0};
        struct omi_ops ops = {bytes, sizeof(bytes), 1};
        cr_assert_eq(omi_ops_each(&ops, 1, keep, &s), OMEN_UNSUPPORTED, "type %02x", reserved[i]);
    }
    uint8_t other[] = {OMI_KIND_DELETE, 7, 0};
    struct omi_ops ops = {other, sizeof(other), 1};
    cr_assert_eq(omi_ops_each(&ops, 1, keep, &s), OMEN_UNSUPPORTED);
    cr_assert_eq(s.count, 0);
}

Test(ops, an_error_of_the_callback_stops_the_walk)
{
    struct omi_buf b = {0};
    struct seen s = {.stop_at = 2};
    three(&b);
    struct omi_ops ops = {b.data, b.size, 3};
    cr_assert_eq(omi_ops_each(&ops, 1, keep, &s), OMEN_ABORTED);
    cr_assert_eq(s.count, 1);
    omi_buf_fini(&b);
}

Test(ops, random_bytes_never_read_outside_and_always_get_an_answer)
{
    const char *env = getenv("OMENDB_TEST_SEED");
    uint64_t seed = env != NULL ? strtoull(env, NULL, 10) : 1, x = seed | 1;
    for (int round = 0; round < 20000; round++) {
        uint8_t *bytes = malloc(48);
        size_t size = 0;
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        for (size = 0; size < x % 48; size++)
            bytes[size] = (uint8_t)((x >> (size % 57)) % (round % 2 != 0 ? 4 : 256));
        bytes = realloc(bytes, size + 1);
        struct seen s = {0};
        struct omi_ops ops = {bytes, size, (uint32_t)(x >> 60)};
        omen_err err = omi_ops_each(&ops, 1, keep, &s);
        cr_assert(err == OMEN_OK || err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED,
                  "seed %" PRIu64 ": %s; replay: OMENDB_TEST_SEED=%" PRIu64 " test_ops", seed,
                  omen_err_name(err), seed);
        free(bytes);
    }
}

/*
 * fuzz_range_filter.c - range filters, opened and asked. The input: a byte, whose lowest bit says what
 * follows:
 *   0   a section of any bytes
 *   1   keys, each with its length before it: sorted, and built into a filter; the byte's next bits are
 *       its kind (2) and bits (5)
 * A filter that was built denies no range with a key in it, and none that is part of what it denies; a
 * section that opens does not lead anywhere.
 */
#include "io/base/coding.h"
#include "learned/range_filter.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mend.h"

#include <stdlib.h>
#include <string.h>

enum { ASKED = 256, KEYS_MAX = 1024 };

static void ask_section(const uint8_t *data, size_t size)
{
    struct omi_range_filter *f;
    struct omi_range_info info;
    struct omi_buf until = {0};
    bool none;
    uint8_t *section = malloc(size + 1);
    FUZZ_CHECK(section != NULL);
    memcpy(section, data, size);
    if (omi_range_filter_open(section, size, &f) == OMEN_OK) {
        omi_range_filter_describe(f, section, &info);
        FUZZ_CHECK(info.bytes == size && info.gaps <= info.knots && info.kind != OMI_RANGE_NONE);
        FUZZ_OK(omi_range_filter_again(f, section, size));
        (void)omi_range_filter_may_hold(f, section, NULL, NULL);
        for (uint32_t i = 0; i < ASKED; i++) {
            size_t at = i * 31 % size, left = size - at;
            omen_slice a = omi_slice(section + at, left < i % 20 ? left : i % 20);
            omen_slice b = omi_slice(section + at / 2, i % 9 < size - at / 2 ? i % 9 : 0);
            bool rises = omi_bytes_compare(a.data, a.size, b.data, b.size) <= 0;
            (void)omi_range_filter_may_hold(f, section, rises ? &a : &b, rises ? &b : &a);
            (void)omi_range_filter_may_hold(f, section, &a, NULL);
            FUZZ_OK(omi_range_filter_free(f, section, &a, &until, &none));
            (void)omi_range_filter_may_hold(f, section, NULL, &b);
        }
    } else {
        FUZZ_CHECK(f == NULL);
    }
    omi_range_filter_close(f);
    omi_buf_fini(&until);
    free(section);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static struct omi_index_key keys[KEYS_MAX];

static int compare_keys(const void *a, const void *b)
{
    const struct omi_index_key *x = a, *y = b;
    return omi_bytes_compare(x->key, x->key_size, y->key, y->key_size);
}

static uint32_t keys_take(const uint8_t *data, size_t size)
{
    struct omi_reader r = omi_reader_of(data, size);
    uint32_t count = 0;
    while (omi_reader_left(&r) != 0 && count < KEYS_MAX) {
        size_t n = omi_take_u8(&r);
        const uint8_t *key = omi_take_bytes(&r, n);
        if (key == NULL)
            break;
        keys[count++] = (struct omi_index_key){key, 1, (uint32_t)n, 20};
    }
    qsort(keys, count, sizeof(keys[0]), compare_keys); /* equal ones: versions */
    return count;
}

static omen_slice key_slice(uint32_t i)
{
    return omi_slice(keys[i].key, keys[i].key_size);
}

/* Ranges around key i: to itself, to a later key, between it and the next. */
static void ask_around(const struct omi_range_filter *f, const uint8_t *section, uint32_t i,
                       uint32_t count)
{
    static uint8_t longer[300];
    omen_slice key = key_slice(i), later = key_slice(i + (count - i) / 2);
    FUZZ_CHECK(omi_range_filter_may_hold(f, section, &key, &key));
    FUZZ_CHECK(omi_range_filter_may_hold(f, section, &key, &later));
    FUZZ_CHECK(omi_range_filter_may_hold(f, section, NULL, &key));
    FUZZ_CHECK(omi_range_filter_may_hold(f, section, &key, NULL));
    if (key.size != 0)
        memcpy(longer, key.data, key.size);
    longer[key.size] = (uint8_t)i;
    omen_slice low = omi_slice(longer, key.size + 1);
    bool any = i + 1 < count && compare_keys(&keys[i], &keys[i + 1]) != 0 &&
               omi_bytes_compare(low.data, low.size, later.data, later.size) <= 0;
    if (!any)
        return;
    bool whole = omi_range_filter_may_hold(f, section, &low, &later);
    bool part = omi_range_filter_may_hold(f, section, &low, &low);
    FUZZ_CHECK(whole || !part);
    FUZZ_CHECK(whole); /* later is a key */
}

static void build(const uint8_t *data, size_t size, uint8_t dice)
{
    uint32_t count = keys_take(data, size);
    struct omi_range_params params = {.kind = (enum omi_range_kind)(dice & 3),
                                      .bits = OMI_RANGE_BITS_MIN + (uint32_t)(dice >> 2) % 21,
                                      .seed = size};
    struct omi_range_filter *f;
    struct omi_range_info info;
    struct omi_buf out = {0};
    if (count == 0)
        return;
    omen_err err = omi_range_filter_build(keys, count, &params, &out, &info);
    if (err != OMEN_OK) { /* not dense enough */
        FUZZ_CHECK(err == OMEN_INVALID && params.kind == OMI_RANGE_EXACT && out.size == 0);
        omi_buf_fini(&out);
        return;
    }
    FUZZ_OK(omi_range_filter_open(out.data, out.size, &f));
    for (uint32_t i = 0; i < count; i++)
        ask_around(f, out.data, i, count);
    omi_range_filter_close(f);
    omi_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    if ((data[0] & 1) != 0)
        build(data + 1, size - 1, data[0] >> 1);
    else
        ask_section(data + 1, size - 1);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size > 1 && seed % 8 != 0 && (data[0] & 1) == 0)
        mend_range_filter(data + 1, size - 1);
    return size;
}

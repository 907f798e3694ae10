/*
 * fuzz_sample.c - the SAMPLE file. The input: a byte, whose lowest bit says whether the bytes that
 * follow are the file as it is (0), or what stands before its check, whose counts are made to fit (1).
 * What is read must be written the same again, and be of use for any table without leading anywhere.
 */
#include "io/base/coding.h"
#include "io/base/hash.h"
#include "lsm/sample_file.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 24, GET_BYTES = 51, SCAN_BYTES = 68, TABLE_BYTES = 20, CHECK_BYTES = 8 };

static void expect_same(const struct omi_sample_image *image, const uint8_t *data, size_t size)
{
    struct omi_buf out = {0};
    FUZZ_OK(omi_sample_encode(image, &out));
    FUZZ_CHECK(out.size == size && memcmp(out.data, data, size) == 0);
    omi_buf_fini(&out);
}

static void expect_sorted(const struct omi_sample_view *v)
{
    for (uint32_t i = 1; i < v->get_count; i++) {
        const struct omi_filter_sample *a = &v->gets[i - 1].key, *b = &v->gets[i].key;
        size_t known =
            b->key_size < OMI_SAMPLE_HEAD_BYTES ? b->key_size : (size_t)OMI_SAMPLE_HEAD_BYTES;
        FUZZ_CHECK(omi_sample_compare(a->head, a->key_size, omi_slice(b->head, known)) <= 0);
    }
}

/* What a table between two of the sampled keys was asked for in vain. */
static void ask(const struct omi_sample_view *v, const struct omi_sampled_get *low,
                const struct omi_sampled_get *high)
{
    struct omi_filter_sample *samples;
    size_t count, counted, low_size = low->key.key_size, high_size = high->key.key_size;
    low_size = low_size < OMI_SAMPLE_HEAD_BYTES ? low_size : (size_t)OMI_SAMPLE_HEAD_BYTES;
    high_size = high_size < OMI_SAMPLE_HEAD_BYTES ? high_size : (size_t)OMI_SAMPLE_HEAD_BYTES;
    omen_slice from = omi_slice(low->key.head, low_size);
    omen_slice to = omi_slice(high->key.head, high_size);
    FUZZ_OK(omi_sample_absent(v, from, to, high->level, high->age, &samples, &count));
    FUZZ_OK(omi_sample_absent(v, from, to, high->level, high->age, NULL, &counted));
    FUZZ_CHECK(count == counted && count <= v->get_count);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(omi_sample_compare(samples[i].head, samples[i].key_size, from) >= 0 &&
                   omi_sample_compare(samples[i].head, samples[i].key_size, to) <= 0);
    free(samples);
}

static void use(const struct omi_sample_rings *rings)
{
    struct omi_sample *s;
    uint64_t gets, scans;
    FUZZ_OK(omi_sample_create(64, 16, &s));
    omi_sample_restore(s, rings);
    omi_sample_held(s, &gets, &scans);
    FUZZ_CHECK(gets == (rings->get_count < 64 ? rings->get_count : 64));
    FUZZ_CHECK(scans == (rings->scan_count < 16 ? rings->scan_count : 16));
    struct omi_sample_view *v = omi_sample_view_ref(s);
    FUZZ_CHECK(v != NULL && v->get_count == gets && v->scan_count == scans);
    expect_sorted(v);
    for (uint32_t i = 0; i < v->get_count; i++)
        ask(v, &v->gets[i / 2], &v->gets[i]);
    omi_sample_view_unref(v);
    omi_sample_destroy(s);
}

static void read_file(const uint8_t *data, size_t size)
{
    struct omi_sample_image image;
    if (omi_sample_decode(data, size, &image) == OMEN_OK) {
        expect_same(&image, data, size);
        use(&image.rings);
    } else {
        FUZZ_CHECK(image.rings.gets == NULL && image.rings.scans == NULL && image.tables == NULL);
    }
    omi_sample_image_fini(&image);
}

/* As many gets, scans and tables as the bytes after the header make up, by what it asks for. */
static size_t fit(uint8_t *file, size_t size)
{
    size_t left = size - HEADER_BYTES - CHECK_BYTES;
    static const size_t each[] = {GET_BYTES, SCAN_BYTES, TABLE_BYTES};
    size_t at = HEADER_BYTES;
    for (size_t i = 0; i < 3; i++) {
        size_t most = left / each[i], want = omi_get_u32(file + 12 + 4 * i) % 16;
        want = want < most ? want : most;
        omi_put_u32(file + 12 + 4 * i, (uint32_t)want);
        left -= want * each[i];
        at += want * each[i];
    }
    omi_put_u64(file + at, omi_checksum(file, at, 0));
    return at + CHECK_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    if ((data[0] & 1) == 0 || size - 1 < HEADER_BYTES) {
        read_file(data + 1, size - 1);
        return 0;
    }
    uint8_t *file = malloc(size - 1 + CHECK_BYTES);
    FUZZ_CHECK(file != NULL);
    memcpy(file, data + 1, size - 1);
    read_file(file, fit(file, size - 1 + CHECK_BYTES));
    free(file);
    return 0;
}

/*
 * fuzz_telemetry.c - the TELEMETRY file. The input: a byte, whose lowest bit says whether the bytes
 * that follow are the file as it is (0), or what stands before its check, whose counts are made to fit
 * (1). What is read must be written the same again, and be of use without leading anywhere.
 */
#include "io/base/coding.h"
#include "io/base/hash.h"
#include "io/base/slice.h"
#include "lsm/telemetry_file.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADER_BYTES = 32,
    WINDOW_BYTES = 288,
    HOT_BYTES = 50,
    REST_BYTES = 16 + 8 + 8 * OMI_REUSE_BUCKETS,
    CHECK_BYTES = 8
};

static void use(const struct omi_telemetry_image *image)
{
    static struct omi_telemetry_image again;
    struct omi_telemetry *t;
    omen_window now = {0}, running, all = {0};
    omen_miss_point points[OMEN_MISS_POINTS_MAX];
    uint64_t asked;
    FUZZ_OK(omi_telemetry_create(4, &t));
    omi_telemetry_restore(t, image);
    for (uint8_t i = 0; i < 40; i++) {
        omi_telemetry_key(t, 0, omi_slice(&i, 1), i % 2 == 0 ? i : image->hot.keys[i].hash);
        omi_telemetry_block(t, 0, i % 7, 4096);
    }
    omi_telemetry_copy(t, &now, &again, &running);
    FUZZ_CHECK(again.window_count == image->window_count &&
               again.hot.total == image->hot.total + 40);
    for (uint32_t i = 0; i < again.hot.count; i++)
        FUZZ_CHECK(again.hot.keys[i].count > again.hot.keys[i].error);
    for (uint32_t i = 0; i < again.window_count; i++)
        omi_window_add(&all, &again.windows[i]);
    uint32_t count = omi_reuse_points(&again.curve, points, OMEN_MISS_POINTS_MAX, &asked);
    FUZZ_CHECK(count <= OMEN_MISS_POINTS_MAX && asked >= 40);
    for (uint32_t i = 0; i < count; i++)
        FUZZ_CHECK(points[i].misses >= 0 && points[i].misses <= 1 &&
                   (i == 0 || points[i].cache_bytes > points[i - 1].cache_bytes));
    now.puts = OMI_TELEMETRY_OPS * OMI_TELEMETRY_HALVE;
    for (int i = 0; i < 2 * OMI_TELEMETRY_HALVE; i++, now.puts += OMI_TELEMETRY_OPS)
        FUZZ_CHECK(omi_telemetry_tick(t, &now, 0));
    omi_telemetry_destroy(t);
}

static void read_file(const uint8_t *data, size_t size)
{
    static struct omi_telemetry_image image;
    struct omi_buf out = {0};
    if (omi_telemetry_decode(data, size, &image) == OMEN_OK) {
        FUZZ_OK(omi_telemetry_encode(&image, &out));
        FUZZ_CHECK(out.size == size && memcmp(out.data, data, 24) == 0);
        FUZZ_CHECK(memcmp(out.data + 24, data + 24, size - 24) == 0);
        use(&image);
    } else {
        FUZZ_CHECK(image.window_count == 0 && image.hot.count == 0 && image.curve.far == 0);
    }
    omi_buf_fini(&out);
}

/* As many windows and keys as the bytes after the header make up, by what it asks for; the rest is cut
 * or filled with zeros. */
static size_t fit(uint8_t *file, const uint8_t *data, size_t size)
{
    uint32_t windows = omi_get_u32(data + 12) % 8, hot = omi_get_u32(data + 16) % 8;
    size_t whole =
        HEADER_BYTES + windows * (size_t)WINDOW_BYTES + hot * (size_t)HOT_BYTES + REST_BYTES;
    memset(file, 0, whole);
    memcpy(file, data, size < whole ? size : whole);
    omi_put_u32(file + 12, windows);
    omi_put_u32(file + 16, hot);
    omi_put_u64(file + whole, omi_checksum(file, whole, 0));
    return whole + CHECK_BYTES;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t file[HEADER_BYTES + 8 * (WINDOW_BYTES + HOT_BYTES) + REST_BYTES + CHECK_BYTES];
    if (size < 1)
        return 0;
    if ((data[0] & 1) == 0 || size - 1 < HEADER_BYTES)
        read_file(data + 1, size - 1);
    else
        read_file(file, fit(file, data + 1, size - 1));
    return 0;
}

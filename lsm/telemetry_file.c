/*
 * telemetry_file.c - TELEMETRY, format 1, little-endian:
 *   0 8 magic | 8 4 format | 12 4 window_count | 16 4 hot_count | 20 4 buckets | 24 8 windows ended
 *   windows, oldest first, each 288 bytes: 17 u64, scan lengths 16 u64, 6 u32
 *   hot keys, each 50 bytes: hash u64, count u32, error u32, key_size u16, head 32
 *   their total u64, floor u64 | curve: far u64, near buckets * u64
 *   check u64: XXH3 of all before it
 */
#include "lsm/telemetry_file.h"

#include "io/base/coding.h"
#include "io/base/hash.h"

#include <string.h>

enum {
    FORMAT = 1,
    HEADER_BYTES = 32,
    LONGS = 17,
    SHORTS = 6,
    WINDOW_BYTES = 8 * (LONGS + OMEN_SCAN_LENGTHS) + 4 * SHORTS,
    HOT_BYTES = 18 + OMEN_HOT_KEY_BYTES,
    CURVE_BYTES = 8 + 8 * OMI_REUSE_BUCKETS,
    CHECK_BYTES = 8,
    FLOOR_MAX = 1 << 30
};
/* Counts above it are no counts: sums of them must not wrap. */
#define COUNT_MAX  (UINT64_C(1) << 48)
#define WINDOW_MAX (UINT64_C(1) << 56) /* dates among them */

static const uint8_t magic[8] = {'O', 'M', 'N', 'T', 'E', 'L', 'E', 'M'};

static size_t image_bytes(uint32_t windows, uint32_t hot)
{
    return HEADER_BYTES + (size_t)windows * WINDOW_BYTES + (size_t)hot * HOT_BYTES + 16 +
           CURVE_BYTES + CHECK_BYTES;
}

/* ---- windows --------------------------------------------------------------------------------- */

static void window_write(const omen_window *w, uint8_t *at)
{
    const uint64_t longs[LONGS] = {
        w->began_us,     w->us,         w->get_hits,    w->get_misses,    w->scans,
        w->puts,         w->deletes,    w->overwrites,  w->bytes_in,      w->bytes_out,
        w->scan_entries, w->block_asks, w->block_reads, w->written_bytes, w->flushes,
        w->stall_us,     w->debt_bytes};
    const uint32_t shorts[SHORTS] = {w->size_ratio, w->runs_upper,      w->runs_last,
                                     w->levels,     w->sorted_permille, w->skew_permille};
    for (int i = 0; i < LONGS; i++, at += 8)
        omi_put_u64(at, longs[i]);
    for (int i = 0; i < OMEN_SCAN_LENGTHS; i++, at += 8)
        omi_put_u64(at, w->scan_lengths[i]);
    for (int i = 0; i < SHORTS; i++, at += 4)
        omi_put_u32(at, shorts[i]);
}

static bool window_read(const uint8_t *at, omen_window *w)
{
    uint64_t v[LONGS + OMEN_SCAN_LENGTHS];
    bool sound = true;
    for (int i = 0; i < LONGS + OMEN_SCAN_LENGTHS; i++, at += 8) {
        v[i] = omi_get_u64(at);
        sound = sound && v[i] <= WINDOW_MAX;
    }
    *w = (omen_window){.began_us = v[0],
                       .us = v[1],
                       .get_hits = v[2],
                       .get_misses = v[3],
                       .scans = v[4],
                       .puts = v[5],
                       .deletes = v[6],
                       .overwrites = v[7],
                       .bytes_in = v[8],
                       .bytes_out = v[9],
                       .scan_entries = v[10],
                       .block_asks = v[11],
                       .block_reads = v[12],
                       .written_bytes = v[13],
                       .flushes = v[14],
                       .stall_us = v[15],
                       .debt_bytes = v[16]};
    memcpy(w->scan_lengths, &v[LONGS], sizeof(w->scan_lengths));
    w->size_ratio = omi_get_u32(at);
    w->runs_upper = omi_get_u32(at + 4);
    w->runs_last = omi_get_u32(at + 8);
    w->levels = omi_get_u32(at + 12);
    w->sorted_permille = omi_get_u32(at + 16);
    w->skew_permille = omi_get_u32(at + 20);
    return sound && w->sorted_permille <= 1000 && w->skew_permille <= OMI_HOT_SKEW_MAX;
}

/* ---- hot keys -------------------------------------------------------------------------------- */

static void hot_write(const struct omi_hot_key *h, uint8_t *at)
{
    omi_put_u64(at, h->hash);
    omi_put_u32(at + 8, h->count);
    omi_put_u32(at + 12, h->error);
    omi_put_u16(at + 16, h->key_size);
    memcpy(at + 18, h->head, OMEN_HOT_KEY_BYTES);
}

static bool hot_read(const uint8_t *at, struct omi_hot_key *h)
{
    *h = (struct omi_hot_key){.hash = omi_get_u64(at),
                              .count = omi_get_u32(at + 8),
                              .error = omi_get_u32(at + 12),
                              .key_size = omi_get_u16(at + 16)};
    memcpy(h->head, at + 18, OMEN_HOT_KEY_BYTES);
    return h->count > h->error && h->count <= FLOOR_MAX;
}

/* ---- all of it ------------------------------------------------------------------------------- */

omen_err omi_telemetry_encode(const struct omi_telemetry_image *i, struct omi_buf *out)
{
    size_t size = image_bytes(i->window_count, i->hot.count);
    omen_err err = omi_buf_reserve(out, out->size + size);
    if (err != OMEN_OK)
        return err;
    uint8_t *first = out->data + out->size, *at = first + HEADER_BYTES;
    memcpy(first, magic, sizeof(magic));
    omi_put_u32(first + 8, FORMAT);
    omi_put_u32(first + 12, i->window_count);
    omi_put_u32(first + 16, i->hot.count);
    omi_put_u32(first + 20, OMI_REUSE_BUCKETS);
    omi_put_u64(first + 24, i->windows_ended);
    for (uint32_t n = 0; n < i->window_count; n++, at += WINDOW_BYTES)
        window_write(&i->windows[n], at);
    for (uint32_t n = 0; n < i->hot.count; n++, at += HOT_BYTES)
        hot_write(&i->hot.keys[n], at);
    omi_put_u64(at, i->hot.total);
    omi_put_u64(at + 8, i->hot.floor);
    omi_put_u64(at + 16, i->curve.far);
    at += 24;
    for (uint32_t n = 0; n < OMI_REUSE_BUCKETS; n++, at += 8)
        omi_put_u64(at, i->curve.near[n]);
    omi_put_u64(at, omi_checksum(first, (size_t)(at - first), 0));
    out->size += size;
    return OMEN_OK;
}

static omen_err image_check(const uint8_t *bytes, size_t size)
{
    if (size < HEADER_BYTES + CHECK_BYTES || memcmp(bytes, magic, sizeof(magic)) != 0)
        return omi_fail(OMEN_CORRUPT, 0, "TELEMETRY is not a file of telemetry");
    if (omi_checksum(bytes, size - CHECK_BYTES, 0) != omi_get_u64(bytes + size - CHECK_BYTES))
        return omi_fail(OMEN_CORRUPT, 0, "TELEMETRY does not match its check");
    if (omi_get_u32(bytes + 8) != FORMAT)
        return omi_fail(OMEN_UNSUPPORTED, 0, "TELEMETRY is of format %u", omi_get_u32(bytes + 8));
    uint32_t windows = omi_get_u32(bytes + 12), hot = omi_get_u32(bytes + 16);
    if (windows > OMEN_WINDOWS_MAX || hot > OMEN_HOT_KEYS_MAX ||
        omi_get_u32(bytes + 20) != OMI_REUSE_BUCKETS || image_bytes(windows, hot) != size)
        return omi_fail(OMEN_CORRUPT, 0, "TELEMETRY has sizes that do not add up");
    return OMEN_OK;
}

omen_err omi_telemetry_decode(const uint8_t *bytes, size_t size, struct omi_telemetry_image *i)
{
    memset(i, 0, sizeof(*i));
    omen_err err = image_check(bytes, size);
    if (err != OMEN_OK)
        return err;
    const uint8_t *at = bytes + HEADER_BYTES;
    bool sound = true;
    i->window_count = omi_get_u32(bytes + 12);
    i->hot.count = omi_get_u32(bytes + 16);
    i->windows_ended = omi_get_u64(bytes + 24);
    for (uint32_t n = 0; n < i->window_count; n++, at += WINDOW_BYTES)
        sound = window_read(at, &i->windows[n]) && sound;
    for (uint32_t n = 0; n < i->hot.count; n++, at += HOT_BYTES)
        sound = hot_read(at, &i->hot.keys[n]) && sound;
    i->hot.total = omi_get_u64(at);
    i->hot.floor = omi_get_u64(at + 8);
    i->curve.far = omi_get_u64(at + 16);
    at += 24;
    sound = sound && i->hot.total <= COUNT_MAX && i->hot.floor <= FLOOR_MAX &&
            i->curve.far <= COUNT_MAX;
    for (uint32_t n = 0; n < OMI_REUSE_BUCKETS; n++, at += 8) {
        i->curve.near[n] = omi_get_u64(at);
        sound = sound && i->curve.near[n] <= COUNT_MAX;
    }
    if (sound)
        return OMEN_OK;
    memset(i, 0, sizeof(*i));
    return omi_fail(OMEN_CORRUPT, 0, "TELEMETRY has counts that cannot be");
}

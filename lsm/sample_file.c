/*
 * sample_file.c - SAMPLE, format 1, little-endian:
 *   0 8 magic | 8 4 format | 12 4 get_count | 16 4 scan_count | 20 4 table_count
 *   gets, each 51 bytes: hash u64, age u64, key_size u16, level u8, head 32
 *   scans, each 68 bytes: start_size u16, end_size u16, start 32, end 32
 *   tables, each 20 bytes, numbers ascending: number u64, probes u32, negatives u32, false u32
 *   check u64: XXH3 of all before it
 */
#include "lsm/sample_file.h"

#include "io/base/coding.h"
#include "io/base/hash.h"

#include <stdlib.h>

enum {
    FORMAT = 1,
    HEADER_BYTES = 24,
    GET_BYTES = 51,
    SCAN_BYTES = 68,
    TABLE_BYTES = 20,
    CHECK_BYTES = 8,
    COUNT_MAX = 1 << 24
};
static const uint8_t magic[8] = {'O', 'M', 'N', 'S', 'A', 'M', 'P', 'L'};

void omi_sample_image_fini(struct omi_sample_image *i)
{
    omi_sample_rings_fini(&i->rings);
    free(i->tables);
    *i = (struct omi_sample_image){0};
}

static uint64_t image_bytes(uint64_t gets, uint64_t scans, uint64_t tables)
{
    return HEADER_BYTES + gets * GET_BYTES + scans * SCAN_BYTES + tables * TABLE_BYTES +
           CHECK_BYTES;
}

static void get_write(const struct omi_sampled_get *g, uint8_t *at)
{
    omi_put_u64(at, g->key.hash);
    omi_put_u64(at + 8, g->age);
    omi_put_u16(at + 16, g->key.key_size);
    at[18] = g->level;
    memcpy(at + 19, g->key.head, OMI_SAMPLE_HEAD_BYTES);
}

static void get_read(const uint8_t *at, struct omi_sampled_get *g)
{
    *g =
        (struct omi_sampled_get){.key = {.hash = omi_get_u64(at), .key_size = omi_get_u16(at + 16)},
                                 .age = omi_get_u64(at + 8),
                                 .level = at[18]};
    memcpy(g->key.head, at + 19, OMI_SAMPLE_HEAD_BYTES);
}

static void scan_write(const struct omi_sampled_scan *s, uint8_t *at)
{
    omi_put_u16(at, s->start_size);
    omi_put_u16(at + 2, s->end_size);
    memcpy(at + 4, s->start, OMI_SAMPLE_HEAD_BYTES);
    memcpy(at + 4 + OMI_SAMPLE_HEAD_BYTES, s->end, OMI_SAMPLE_HEAD_BYTES);
}

static void scan_read(const uint8_t *at, struct omi_sampled_scan *s)
{
    *s = (struct omi_sampled_scan){.start_size = omi_get_u16(at), .end_size = omi_get_u16(at + 2)};
    memcpy(s->start, at + 4, OMI_SAMPLE_HEAD_BYTES);
    memcpy(s->end, at + 4 + OMI_SAMPLE_HEAD_BYTES, OMI_SAMPLE_HEAD_BYTES);
}

static void table_write(const struct omi_table_counts *t, uint8_t *at)
{
    omi_put_u64(at, t->number);
    omi_put_u32(at + 8, t->probes);
    omi_put_u32(at + 12, t->negatives);
    omi_put_u32(at + 16, t->false_positives);
}

static void table_read(const uint8_t *at, struct omi_table_counts *t)
{
    *t = (struct omi_table_counts){omi_get_u64(at), omi_get_u32(at + 8), omi_get_u32(at + 12),
                                   omi_get_u32(at + 16)};
}

omen_err omi_sample_encode(const struct omi_sample_image *i, struct omi_buf *out)
{
    size_t size = (size_t)image_bytes(i->rings.get_count, i->rings.scan_count, i->table_count);
    omen_err err = omi_buf_reserve(out, size);
    if (err != OMEN_OK)
        return err;
    uint8_t *first = out->data + out->size, *at = first + HEADER_BYTES;
    memcpy(first, magic, sizeof(magic));
    omi_put_u32(first + 8, FORMAT);
    omi_put_u32(first + 12, i->rings.get_count);
    omi_put_u32(first + 16, i->rings.scan_count);
    omi_put_u32(first + 20, i->table_count);
    for (uint32_t n = 0; n < i->rings.get_count; n++, at += GET_BYTES)
        get_write(&i->rings.gets[n], at);
    for (uint32_t n = 0; n < i->rings.scan_count; n++, at += SCAN_BYTES)
        scan_write(&i->rings.scans[n], at);
    for (uint32_t n = 0; n < i->table_count; n++, at += TABLE_BYTES)
        table_write(&i->tables[n], at);
    omi_put_u64(at, omi_checksum(first, (size_t)(at - first), 0));
    out->size += size;
    return OMEN_OK;
}

static omen_err image_check(const uint8_t *bytes, size_t size)
{
    if (size < HEADER_BYTES + CHECK_BYTES || memcmp(bytes, magic, sizeof(magic)) != 0)
        return omi_fail(OMEN_CORRUPT, 0, "SAMPLE is not a file of sampled lookups");
    if (omi_checksum(bytes, size - CHECK_BYTES, 0) != omi_get_u64(bytes + size - CHECK_BYTES))
        return omi_fail(OMEN_CORRUPT, 0, "SAMPLE does not match its check");
    if (omi_get_u32(bytes + 8) != FORMAT)
        return omi_fail(OMEN_UNSUPPORTED, 0, "SAMPLE is of format %u", omi_get_u32(bytes + 8));
    uint32_t gets = omi_get_u32(bytes + 12), scans = omi_get_u32(bytes + 16);
    uint32_t tables = omi_get_u32(bytes + 20);
    if (gets > COUNT_MAX || scans > COUNT_MAX || tables > COUNT_MAX ||
        image_bytes(gets, scans, tables) != size)
        return omi_fail(OMEN_CORRUPT, 0, "SAMPLE has sizes that do not add up");
    return OMEN_OK;
}

omen_err omi_sample_decode(const uint8_t *bytes, size_t size, struct omi_sample_image *i)
{
    *i = (struct omi_sample_image){0};
    omen_err err = image_check(bytes, size);
    if (err != OMEN_OK)
        return err;
    const uint8_t *at = bytes + HEADER_BYTES;
    i->rings.get_count = omi_get_u32(bytes + 12);
    i->rings.scan_count = omi_get_u32(bytes + 16);
    i->table_count = omi_get_u32(bytes + 20);
    i->rings.gets = calloc(i->rings.get_count + UINT64_C(1), sizeof(*i->rings.gets));
    i->rings.scans = calloc(i->rings.scan_count + UINT64_C(1), sizeof(*i->rings.scans));
    i->tables = calloc(i->table_count + UINT64_C(1), sizeof(*i->tables));
    if (i->rings.gets == NULL || i->rings.scans == NULL || i->tables == NULL) {
        omi_sample_image_fini(i);
        return omi_fail(OMEN_NO_MEMORY, 0, "the sampled lookups of SAMPLE");
    }
    for (uint32_t n = 0; n < i->rings.get_count; n++, at += GET_BYTES)
        get_read(at, &i->rings.gets[n]);
    for (uint32_t n = 0; n < i->rings.scan_count; n++, at += SCAN_BYTES)
        scan_read(at, &i->rings.scans[n]);
    for (uint32_t n = 0; n < i->table_count; n++, at += TABLE_BYTES) {
        table_read(at, &i->tables[n]);
        if (n > 0 && i->tables[n].number <= i->tables[n - 1].number)
            err = omi_fail(OMEN_CORRUPT, 0, "SAMPLE names its tables out of order");
    }
    if (err != OMEN_OK)
        omi_sample_image_fini(i);
    return err;
}

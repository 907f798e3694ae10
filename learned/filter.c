/*
 * filter.c - the blocked Bloom filter. Section: 64-byte header, then 64-byte lines.
 *   0 1 format | 1 1 kind | 2 1 probes | 3 1 zero | 4 4 line_count | 8 56 zero
 * A key's line is chosen by the high half of its hash; nine bits of a remix of the hash choose each
 * of its bits there.
 */
#include "learned/filter.h"

#include "io/base/coding.h"
#include "io/base/mutant.h"

enum { FORMAT = 1, LINE_BYTES = 64, PROBES_MAX = 14 };

/* Best for 512-bit lines: a little under bits * ln 2, for lines are unevenly filled. */
static uint32_t probes_for(uint32_t bits)
{
    uint32_t probes = (bits * 61 + 50) / 100;
    return probes < 1 ? 1 : probes > PROBES_MAX ? PROBES_MAX : probes;
}

static uint64_t line_of(uint64_t hash, uint32_t line_count)
{
    return (hash >> 32) * line_count >> 32;
}

/* Two remixes give 14 times nine bits. */
static inline bool line_probe(const uint8_t *line, uint64_t hash, uint32_t probes)
{
    uint64_t bits = hash * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; i < probes; i++, bits <<= 9) {
        if (i == 7)
            bits = (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
        if ((line[bits >> 58] >> (bits >> 55 & 7) & 1) == 0)
            return false;
    }
    return true;
}

static inline void line_set(uint8_t *line, uint64_t hash, uint32_t probes)
{
    uint64_t bits = hash * UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; i < probes; i++, bits <<= 9) {
        if (i == 7)
            bits = (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
        line[bits >> 58] |= (uint8_t)(1u << (bits >> 55 & 7));
    }
}

omen_err omi_filter_build(const struct omi_filter_input *input,
                          const struct omi_filter_params *params, struct omi_buf *out,
                          struct omi_filter_info *info_out)
{
    enum { AHEAD = 16 };
    uint32_t bits = (uint32_t)params->bits, count = input->count, distinct = count;
    const uint64_t *hashes = input->hashes;
    if (bits < 1 || bits > 64)
        return omi_fail(OMEN_INVALID, 0, "a filter of %u bits a key; 1 to 64 can be", bits);
    for (uint32_t i = 1; i < count; i++) /* versions of a key */
        distinct -= hashes[i] == hashes[i - 1];
    uint64_t lines = ((uint64_t)distinct * bits + 511) / 512;
    lines = lines != 0 ? lines : 1;
    if (lines > UINT32_MAX)
        return omi_fail(OMEN_INVALID, 0, "a filter of %u keys", count);
    size_t size = (size_t)(lines + 1) * LINE_BYTES;
    omen_err err = omi_buf_reserve(out, size);
    if (err != OMEN_OK)
        return err;
    uint8_t *section = out->data + out->size, *first = section + LINE_BYTES;
    uint32_t probes = probes_for(bits);
    memset(section, 0, size);
    section[0] = FORMAT;
    section[1] = OMI_FILTER_PLAIN;
    section[2] = (uint8_t)probes;
    omi_put_u32(section + 4, (uint32_t)lines);
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            __builtin_prefetch(first + LINE_BYTES * line_of(hashes[i + AHEAD], (uint32_t)lines), 1);
        line_set(first + LINE_BYTES * line_of(hashes[i], (uint32_t)lines), hashes[i], probes);
    }
    for (size_t i = 0; i < count; i++) /* of the final bytes: memory may be bad */
        if (!line_probe(first + LINE_BYTES * line_of(hashes[i], (uint32_t)lines), hashes[i],
                        probes))
            return omi_fail(OMEN_CORRUPT, 0, "a filter just built denies one of its keys");
    out->size += size;
    if (info_out != NULL)
        *info_out = (struct omi_filter_info){.kind = OMI_FILTER_PLAIN,
                                             .keys = count,
                                             .bytes = size,
                                             .head_bytes = LINE_BYTES,
                                             .parts = 1,
                                             .regions = 1};
    return OMEN_OK;
}

omen_err omi_filter_head_bytes(const uint8_t *header, uint64_t section_bytes,
                               uint32_t *head_bytes_out)
{
    *head_bytes_out = OMI_FILTER_HEADER_BYTES;
    if (section_bytes < 2 * LINE_BYTES)
        return omi_fail(OMEN_CORRUPT, 0, "a filter section of %" PRIu64 " bytes", section_bytes);
    if (header[0] != FORMAT || header[1] != OMI_FILTER_PLAIN)
        return omi_fail(OMEN_UNSUPPORTED, 0, "a filter of format %u, kind %u", header[0],
                        header[1]);
    return OMEN_OK;
}

omen_err omi_filter_open(const uint8_t *head, size_t head_bytes, uint64_t section_bytes,
                         struct omi_filter *f)
{
    *f = (struct omi_filter){0};
    uint32_t wanted;
    if (head_bytes < OMI_FILTER_HEADER_BYTES)
        return omi_fail(OMEN_CORRUPT, 0, "a filter section of %zu bytes", head_bytes);
    omen_err err = omi_filter_head_bytes(head, section_bytes, &wanted);
    if (err != OMEN_OK)
        return err;
    uint64_t lines = omi_get_u32(head + 4);
    if (head[2] < 1 || head[2] > PROBES_MAX || lines == 0 ||
        (lines + 1) * LINE_BYTES != section_bytes)
        return omi_fail(OMEN_CORRUPT, 0, "a filter section whose sizes do not add up");
    *f = (struct omi_filter){.kind = OMI_FILTER_PLAIN,
                             .head_bytes = wanted,
                             .part_count = 1,
                             .region_count = 1,
                             .line_count = (uint32_t)lines,
                             .probes = head[2],
                             .head = head};
    return OMEN_OK;
}

void omi_filter_part(const struct omi_filter *f, uint32_t part, uint64_t *off_out,
                     uint32_t *size_out)
{
    (void)part;
    *off_out = f->head_bytes;
    *size_out = f->line_count * LINE_BYTES;
}

bool omi_filter_part_sound(const struct omi_filter *f, uint32_t part, const uint8_t *bytes)
{
    (void)f;
    (void)part;
    (void)bytes;
    return true;
}

void omi_filter_describe(const struct omi_filter *f, struct omi_filter_info *info)
{
    *info = (struct omi_filter_info){.kind = f->kind,
                                     .bytes = f->head_bytes + (uint64_t)f->line_count * LINE_BYTES,
                                     .head_bytes = f->head_bytes,
                                     .parts = f->part_count,
                                     .regions = f->region_count};
}

void omi_filter_region(const struct omi_filter *f, uint32_t region, uint32_t *digest_out,
                       int *class_out)
{
    (void)region;
    *digest_out = 0;
    *class_out = (int)f->probes;
}

void omi_filter_digest(const struct omi_filter *f, struct omi_digest *digest_out)
{
    (void)f;
    *digest_out = (struct omi_digest){0};
}

enum omi_filter_answer omi_filter_route(const struct omi_filter *f, omen_slice key, uint64_t hash,
                                        struct omi_filter_route *route)
{
    (void)key;
    *route = (struct omi_filter_route){.probes = (uint8_t)f->probes};
    if (OMI_MUTANT(OMI_MUTANT_FILTER_LOSES_KEYS) && hash % 512 == 7)
        return OMI_FILTER_NO;
    return f->kind == OMI_FILTER_NONE ? OMI_FILTER_MAYBE : OMI_FILTER_PROBE;
}

void omi_filter_prefetch(const struct omi_filter *f, const struct omi_filter_route *route,
                         const uint8_t *part, uint64_t hash)
{
    (void)route;
    __builtin_prefetch(part + LINE_BYTES * line_of(hash, f->line_count));
}

bool omi_filter_probe(const struct omi_filter *f, const struct omi_filter_route *route,
                      const uint8_t *part, uint64_t hash)
{
    return line_probe(part + LINE_BYTES * line_of(hash, f->line_count), hash, route->probes);
}

bool omi_filter_may_hold(const struct omi_filter *f, const uint8_t *section, omen_slice key,
                         uint64_t hash)
{
    struct omi_filter_route route;
    enum omi_filter_answer answer = omi_filter_route(f, key, hash, &route);
    if (answer != OMI_FILTER_PROBE)
        return answer == OMI_FILTER_MAYBE;
    uint64_t off;
    uint32_t size;
    omi_filter_part(f, route.part, &off, &size);
    return omi_filter_probe(f, &route, section + off, hash);
}

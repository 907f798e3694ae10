/*
 * filter.c - the blocked Bloom filter. Section: 64-byte header, then 64-byte lines.
 *   0 1 format | 1 1 kind | 2 1 probes | 3 1 zero | 4 4 line_count | 8 56 zero
 * A key's line is chosen by the high half of its hash; nine bits of a remix of the hash choose each
 * of its bits there.
 */
#include "learned/filter.h"

#include "io/base/coding.h"
#include "io/base/mutant.h"

enum { FORMAT = 1, KIND_BLOCKED_BLOOM = 1, LINE_BYTES = 64, PROBES_MAX = 14 };

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

omen_err omi_filter_build(const uint64_t *hashes, size_t count, uint32_t bits, struct omi_buf *out)
{
    enum { AHEAD = 16 };
    if (bits < 1 || bits > 64)
        return omi_fail(OMEN_INVALID, 0, "a filter of %u bits a key; 1 to 64 can be", bits);
    uint64_t lines = ((uint64_t)count * bits + 511) / 512;
    lines = lines != 0 ? lines : 1;
    if (lines > UINT32_MAX)
        return omi_fail(OMEN_INVALID, 0, "a filter of %zu keys", count);
    size_t size = (size_t)(lines + 1) * LINE_BYTES;
    omen_err err = omi_buf_reserve(out, size);
    if (err != OMEN_OK)
        return err;
    uint8_t *section = out->data + out->size, *first = section + LINE_BYTES;
    uint32_t probes = probes_for(bits);
    memset(section, 0, size);
    section[0] = FORMAT;
    section[1] = KIND_BLOCKED_BLOOM;
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
    return OMEN_OK;
}

omen_err omi_filter_open(const uint8_t *section, size_t size, struct omi_filter *f)
{
    *f = (struct omi_filter){0};
    if (size < 2 * LINE_BYTES)
        return omi_fail(OMEN_CORRUPT, 0, "a filter section of %zu bytes", size);
    if (section[0] != FORMAT || section[1] != KIND_BLOCKED_BLOOM)
        return omi_fail(OMEN_UNSUPPORTED, 0, "a filter of format %u, kind %u", section[0],
                        section[1]);
    uint64_t lines = omi_get_u32(section + 4);
    if (section[2] < 1 || section[2] > PROBES_MAX || lines == 0 || (lines + 1) * LINE_BYTES != size)
        return omi_fail(OMEN_CORRUPT, 0, "a filter section whose sizes do not add up");
    *f = (struct omi_filter){section + LINE_BYTES, (uint32_t)lines, section[2]};
    return OMEN_OK;
}

bool omi_filter_may_hold(const struct omi_filter *f, uint64_t hash)
{
    if (OMI_MUTANT(OMI_MUTANT_FILTER_LOSES_KEYS) && hash % 512 == 7)
        return false;
    return f->line_count == 0 ||
           line_probe(f->lines + LINE_BYTES * line_of(hash, f->line_count), hash, f->probes);
}

/*
 * range_format.h - the bytes of a range filter section; docs/format-range-filter.md shows the same.
 *
 * Header, 64 bytes:
 *    0 1 format | 1 1 kind | 2 1 low_bits | 3 1 positions of the normaliser
 *    4 4 count of the set | 8 8 top, its largest possible number
 *   16 8 smallest code | 24 8 largest code
 *   32 4 knots | 36 4 SPLINE: slots, positions to each code; HASHED: shift, low bits of codes left out
 *   40 2 prefix_size | 42 2 symbols_size
 *   44 4 distinct codes | 48 8 seed
 *   56 8 check: XXH3 of [64, end), seeded with XXH3 of [0, 56)
 * Then, one behind the other: upper | knot codes (u64 each) | samples | knot ranks (u32 each) |
 * lows | prefix | symbols.
 */
#ifndef OMI_RANGE_FORMAT_H
#define OMI_RANGE_FORMAT_H

#include "learned/elias_fano.h"
#include "learned/normaliser.h"
#include "learned/range_filter.h"

enum { OMI_RANGE_FORMAT = 1, OMI_RANGE_HEADER_BYTES = 64 };
enum { OMI_RANGE_SLOTS_MAX = 1 << 24 };

/* What the header says, and where the parts lie: the section itself may come and go. */
struct omi_range_filter {
    enum omi_range_kind kind;
    uint32_t knot_count, slots, shift, codes;
    uint64_t min, max, seed, check;
    struct omi_ef_shape shape;
    size_t knot_codes_off, samples_off, knot_ranks_off, lows_off, prefix_off, section_bytes;
    struct omi_normaliser norm; /* its prefix: set where it is asked */
    struct omi_norm_position positions[];
};

/* Beside its section: what is asked. */
struct omi_range_view {
    const struct omi_range_filter *f;
    struct omi_ef set;
    struct omi_normaliser norm;
    const uint8_t *knot_codes, *knot_ranks;
};

static inline struct omi_range_view omi_range_view_of(const struct omi_range_filter *f,
                                                      const uint8_t *section)
{
    struct omi_range_view v = {.f = f,
                               .set = {.shape = f->shape,
                                       .upper = section + OMI_RANGE_HEADER_BYTES,
                                       .samples = section + f->samples_off,
                                       .lows = section + f->lows_off},
                               .norm = f->norm,
                               .knot_codes = section + f->knot_codes_off,
                               .knot_ranks = section + f->knot_ranks_off};
    v.norm.prefix = section + f->prefix_off;
    return v;
}

static inline uint64_t omi_range_knot_code(const struct omi_range_view *v, uint32_t k)
{
    return omi_get_u64(v->knot_codes + 8 * (size_t)k);
}

static inline uint64_t omi_range_knot_rank(const struct omi_range_view *v, uint32_t k)
{
    return omi_get_u32(v->knot_ranks + 4 * (size_t)k);
}

/* May codes in [low, high] be there? min <= low <= high <= max. */
bool omi_range_ask(const struct omi_range_view *v, uint64_t low, uint64_t high);

/* SPLINE: the position of a code from knot k on: of a lower bound inside a gap the gap's end, of an
 * upper bound its start. */
static inline uint64_t omi_range_spline_at(const struct omi_range_view *v, uint32_t k,
                                           uint64_t code, bool is_high)
{
    uint64_t from = omi_range_knot_code(v, k), rank = omi_range_knot_rank(v, k);
    uint64_t slots = v->f->slots;
    if (code == from)
        return rank * slots;
    uint64_t ranks = omi_range_knot_rank(v, k + 1) - rank;
    if (ranks == 1)
        return (is_high ? rank : rank + 1) * slots;
    uint64_t width = omi_range_knot_code(v, k + 1) - from;
    return rank * slots + (uint64_t)((unsigned __int128)(code - from) * (ranks * slots) / width);
}

/* HASHED: where the block of codes begins in [0, range). */
static inline uint64_t omi_range_scatter(uint64_t seed, uint64_t block, uint64_t range)
{
    uint64_t x = block ^ seed;
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 32;
    return (uint64_t)((unsigned __int128)x * range >> 64);
}

#endif

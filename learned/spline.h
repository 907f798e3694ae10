/*
 * spline.h - the monotone function from codes to cells: a few knots, integers only.
 * Path:    key -> normaliser -> code -> [spline] -> cell -> group line -> block.
 *
 * Between two knots a straight line, rounded down and held at the next knot's cell; before the
 * first knot its cell, after the last one its cell. Fitted by one greedy pass that keeps the line
 * between two knots within a corridor around all points between them. A knot, 16 bytes: u64 code,
 * u32 cell, u32 slope = 25 bits mantissa << 7 | 7 bits shift.
 */
#ifndef OMI_SPLINE_H
#define OMI_SPLINE_H

#include "io/base/coding.h"
#include "lsm/omendb.h"

enum { OMI_KNOT_BYTES = 16 };

struct omi_spline {
    const uint8_t *knots; /* borrowed */
    uint32_t knot_count;  /* >= 1 */
};

/* A key's code, and the raw bytes before it in the file. */
struct omi_spline_point {
    uint64_t code, bytes;
};

static inline uint64_t omi_knot_code(const uint8_t *knots, uint32_t k)
{
    return omi_get_u64(knots + (size_t)OMI_KNOT_BYTES * k);
}

static inline uint32_t omi_knot_cell(const uint8_t *knots, uint32_t k)
{
    return omi_get_u32(knots + (size_t)OMI_KNOT_BYTES * k + 8);
}

/* The cell of a code that lies at or after knot k, and before knot k + 1 if there is one. */
static inline uint32_t omi_spline_at(const struct omi_spline *s, uint32_t k, uint64_t code)
{
    uint32_t cell = omi_knot_cell(s->knots, k);
    if (k + 1 == s->knot_count)
        return cell;
    uint32_t slope = omi_get_u32(s->knots + (size_t)OMI_KNOT_BYTES * k + 12);
    uint32_t next = omi_knot_cell(s->knots, k + 1);
    unsigned __int128 run = (unsigned __int128)(code - omi_knot_code(s->knots, k)) * (slope >> 7);
    unsigned __int128 rise = run >> (slope & 127);
    return rise < next - cell ? cell + (uint32_t)rise : next;
}

/* The cell of any code. */
static inline uint32_t omi_spline_cell(const struct omi_spline *s, uint64_t code)
{
    uint32_t k = 0;
    for (uint32_t left = s->knot_count; left > 1;) {
        uint32_t half = left / 2;
        k += omi_knot_code(s->knots, k + half) <= code ? half : 0;
        left -= half;
    }
    return code < omi_knot_code(s->knots, k) ? omi_knot_cell(s->knots, 0)
                                             : omi_spline_at(s, k, code);
}

/* Picks the knots among count >= 1 points, ascending in both, so that the line between two picked
 * ones passes every point between them within tolerance bytes. picked has room for count; the first
 * and the last point are always picked. Returns how many. */
uint32_t omi_spline_pick(const struct omi_spline_point *points, uint32_t count, uint64_t tolerance,
                         uint32_t *picked);
/* Writes the knots, OMI_KNOT_BYTES each, of the picked points. cells_per_block cells for each
 * block_bytes bytes; the last cell must stay below 2^31. */
void omi_spline_encode(const struct omi_spline_point *points, const uint32_t *picked,
                       uint32_t picked_count, uint32_t cells_per_block, uint32_t block_bytes,
                       uint8_t *knots_out);
/* Bytes that may be anything: codes ascend, cells never fall and stay below cells. */
OMEN_MUST_CHECK omen_err omi_spline_check(const struct omi_spline *s, uint32_t cells);

#endif

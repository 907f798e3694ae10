#include "learned/spline.h"

#include "io/base/fail.h"

enum { MANTISSA_BITS = 25 };

/* A slope as an exact fraction; run > 0. */
struct slope {
    int64_t rise;
    uint64_t run;
};

static bool slope_less(struct slope a, struct slope b)
{
    return (__int128)a.rise * (__int128)b.run < (__int128)b.rise * (__int128)a.run;
}

static struct slope slope_to(const struct omi_spline_point *from, const struct omi_spline_point *to,
                             int64_t shift)
{
    return (struct slope){(int64_t)(to->bytes - from->bytes) + shift, to->code - from->code};
}

uint32_t omi_spline_pick(const struct omi_spline_point *points, uint32_t count, uint64_t tolerance,
                         uint32_t *picked)
{
    uint32_t n = 0;
    picked[n++] = 0;
    if (count == 1)
        return n;
    int64_t wide = (int64_t)tolerance;
    const struct omi_spline_point *base = &points[0];
    struct slope upper = slope_to(base, &points[1], wide),
                 lower = slope_to(base, &points[1], -wide);
    for (uint32_t i = 2; i < count; i++) {
        struct slope here = slope_to(base, &points[i], 0);
        if (slope_less(upper, here) || slope_less(here, lower)) {
            picked[n++] = i - 1;
            base = &points[i - 1];
            upper = slope_to(base, &points[i], wide);
            lower = slope_to(base, &points[i], -wide);
            continue;
        }
        struct slope high = slope_to(base, &points[i], wide);
        struct slope low = slope_to(base, &points[i], -wide);
        if (slope_less(high, upper))
            upper = high;
        if (slope_less(lower, low))
            lower = low;
    }
    picked[n++] = count - 1;
    return n;
}

/* The largest slope of 25 bits and a shift that is not above rise / run: rounding down keeps the
 * line under the next knot. */
static uint32_t slope_encode(uint64_t rise, uint64_t run)
{
    if (rise == 0)
        return 0;
    uint32_t shift = 0;
    unsigned __int128 mantissa = rise / run;
    if (mantissa >> MANTISSA_BITS != 0)
        return ((1u << MANTISSA_BITS) - 1) << 7;
    /* rise < 2^31 and run < 2^64, so a shift of up to 89 stays inside 128 bits */
    int bits = 64 - __builtin_clzll(run) - (64 - __builtin_clzll(rise)) + MANTISSA_BITS;
    if (bits > 0) {
        shift = (uint32_t)bits;
        mantissa = ((unsigned __int128)rise << shift) / run;
        while (mantissa >> MANTISSA_BITS != 0) {
            mantissa >>= 1;
            shift--;
        }
    }
    return (uint32_t)mantissa << 7 | shift;
}

void omi_spline_encode(const struct omi_spline_point *points, const uint32_t *picked,
                       uint32_t picked_count, uint32_t cells_per_block, uint32_t block_bytes,
                       uint8_t *knots_out)
{
    uint64_t cell = 0;
    for (uint32_t k = 0; k < picked_count; k++) {
        const struct omi_spline_point *at = &points[picked[k]];
        uint8_t *knot = knots_out + (size_t)OMI_KNOT_BYTES * k;
        uint32_t slope = 0;
        uint64_t next = cell;
        if (k + 1 < picked_count) {
            const struct omi_spline_point *to = &points[picked[k + 1]];
            next = to->bytes * cells_per_block / block_bytes;
            slope = slope_encode(next - cell, to->code - at->code);
        }
        omi_put_u64(knot, at->code);
        omi_put_u32(knot + 8, (uint32_t)cell);
        omi_put_u32(knot + 12, slope);
        cell = next;
    }
}

omen_err omi_spline_check(const struct omi_spline *s, uint32_t cells)
{
    for (uint32_t k = 0; k < s->knot_count; k++) {
        bool first = k == 0;
        uint32_t cell = omi_knot_cell(s->knots, k);
        if (cell >= cells ||
            (!first && (cell < omi_knot_cell(s->knots, k - 1) ||
                        omi_knot_code(s->knots, k) <= omi_knot_code(s->knots, k - 1))))
            return omi_fail(OMEN_CORRUPT, 0, "block index: knot %" PRIu32 " of %" PRIu32, k,
                            s->knot_count);
    }
    return OMEN_OK;
}

#include "learned/elias_fano.h"

#include "learned/bits.h"

static uint64_t buckets_of(const struct omi_ef_shape *s)
{
    return (s->top >> s->low_bits) + 1;
}

bool omi_ef_sizes(const struct omi_ef_shape *s, uint64_t *upper_out, uint64_t *samples_out,
                  uint64_t *lows_out)
{
    if (s->low_bits > OMI_EF_LOW_BITS_MAX || s->top >> s->low_bits > UINT32_MAX)
        return false;
    uint64_t buckets = buckets_of(s), bits = buckets + s->count;
    if (bits > UINT32_MAX)
        return false;
    *upper_out = (bits + 63) / 64 * 8;
    *samples_out = (buckets + OMI_EF_STRIDE - 1) / OMI_EF_STRIDE * 4;
    *lows_out = ((uint64_t)s->count * s->low_bits + 7) / 8 + 8;
    return true;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void low_put(uint8_t *lows, uint32_t low_bits, uint64_t i, uint64_t low)
{
    uint64_t bit = i * low_bits;
    uint8_t *at = lows + bit / 8;
    omi_put_u64(at, omi_get_u64(at) | low << bit % 8);
}

void omi_ef_encode(const struct omi_ef_shape *s, const uint64_t *numbers, uint8_t *upper,
                   uint8_t *samples, uint8_t *lows)
{
    uint64_t mask = (UINT64_C(1) << s->low_bits) - 1, bucket = 0;
    for (uint32_t i = 0; i < s->count; i++) {
        uint64_t high = numbers[i] >> s->low_bits, place = high + i;
        upper[place / 8] |= (uint8_t)(1u << place % 8);
        low_put(lows, s->low_bits, i, numbers[i] & mask);
        for (; bucket < high; bucket++) /* i numbers stand before this bucket's zero */
            if (bucket % OMI_EF_STRIDE == 0)
                omi_put_u32(samples + 4 * (bucket / OMI_EF_STRIDE), (uint32_t)(bucket + i));
    }
    for (; bucket < buckets_of(s); bucket++)
        if (bucket % OMI_EF_STRIDE == 0)
            omi_put_u32(samples + 4 * (bucket / OMI_EF_STRIDE), (uint32_t)(bucket + s->count));
}

/* ---- checking -------------------------------------------------------------------------------- */

/* So many ones and zeros as there must be, a zero last, and each sample where its zero is. */
bool omi_ef_check(const struct omi_ef *ef)
{
    uint64_t bits = buckets_of(&ef->shape) + ef->shape.count, zeros = 0, next = 0;
    for (uint64_t at = 0; at < bits; at += 64) {
        uint64_t word = omi_get_u64(ef->upper + at / 8), left = bits - at;
        uint64_t real = left < 64 ? (UINT64_C(1) << left) - 1 : ~UINT64_C(0);
        if ((word & ~real) != 0)
            return false;
        uint32_t here = omi_popcount(~word & real);
        for (; next < zeros + here; next += OMI_EF_STRIDE)
            if (omi_get_u32(ef->samples + 4 * (next / OMI_EF_STRIDE)) !=
                at + omi_select(~word & real, (uint32_t)(next - zeros)))
                return false;
        zeros += here;
    }
    uint64_t last = bits - 1;
    return zeros == buckets_of(&ef->shape) && (ef->upper[last / 8] >> last % 8 & 1) == 0;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The place of the first zero at or after a place; there is one. */
static uint64_t zero_from(const uint8_t *upper, uint64_t at)
{
    uint64_t word = ~omi_get_u64(upper + at / 64 * 8) & ~UINT64_C(0) << at % 64;
    while (word == 0) {
        at = (at | 63) + 1;
        word = ~omi_get_u64(upper + at / 8);
    }
    return at / 64 * 64 + (uint64_t)__builtin_ctzll(word);
}

/* The place of zero number k. */
static uint64_t zero_place(const struct omi_ef *ef, uint64_t k)
{
    uint64_t at = omi_get_u32(ef->samples + 4 * (k / OMI_EF_STRIDE));
    uint32_t skip = (uint32_t)(k % OMI_EF_STRIDE);
    if (skip == 0)
        return at;
    uint64_t word = ~omi_get_u64(ef->upper + at / 64 * 8) & ~UINT64_C(0) << at % 64;
    for (at = at / 64 * 64;; at += 64, word = ~omi_get_u64(ef->upper + at / 8)) {
        uint32_t zeros = omi_popcount(word);
        if (skip < zeros)
            return at + omi_select(word, skip);
        skip -= zeros;
    }
}

static uint64_t low_get(const struct omi_ef *ef, uint64_t i)
{
    uint64_t bit = i * ef->shape.low_bits;
    return omi_get_u64(ef->lows + bit / 8) >> bit % 8 & ((UINT64_C(1) << ef->shape.low_bits) - 1);
}

/* The first of numbers [i, end), all of one bucket, whose low part is >= low. */
static uint64_t low_bound(const struct omi_ef *ef, uint64_t i, uint64_t end, uint64_t low)
{
    while (i < end) {
        uint64_t middle = i + (end - i) / 2;
        if (low_get(ef, middle) < low)
            i = middle + 1;
        else
            end = middle;
    }
    return i;
}

/* The first number >= from in its bucket. i_out: of the number, or else of the first one after the
 * bucket; zero_out: the place where the bucket ends. */
static bool bucket_find(const struct omi_ef *ef, uint64_t from, uint64_t *i_out, uint64_t *zero_out)
{
    uint32_t low_bits = ef->shape.low_bits;
    uint64_t high = from >> low_bits;
    uint64_t start = high != 0 ? zero_place(ef, high - 1) + 1 : 0;
    uint64_t zero = zero_from(ef->upper, start);
    uint64_t end = zero - high; /* numbers up to and with this bucket */
    *zero_out = zero;
    *i_out = low_bound(ef, start - high, end, from & ((UINT64_C(1) << low_bits) - 1));
    return *i_out < end;
}

/* The place of the first one at or after a place; stop + 1 or more when it is not at or before stop. */
static uint64_t one_from(const struct omi_ef *ef, uint64_t at, uint64_t stop)
{
    uint64_t word = omi_get_u64(ef->upper + at / 64 * 8) & ~UINT64_C(0) << at % 64;
    for (at = at / 64 * 64; word == 0; word = omi_get_u64(ef->upper + at / 8)) {
        at += 64;
        if (at > stop)
            return at;
    }
    return at + (uint64_t)__builtin_ctzll(word);
}

bool omi_ef_any(const struct omi_ef *ef, uint64_t from, uint64_t to)
{
    uint32_t low_bits = ef->shape.low_bits;
    uint64_t last = to >> low_bits, to_low = to & ((UINT64_C(1) << low_bits) - 1), i, zero;
    if (bucket_find(ef, from, &i, &zero))
        return from >> low_bits < last || low_get(ef, i) <= to_low;
    /* The next number, if its bucket is not past the last: number i of bucket h stands at h + i. */
    uint64_t stop = last + i;
    if (i == ef->shape.count || zero >= stop)
        return false;
    uint64_t at = one_from(ef, zero + 1, stop);
    return at < stop || (at == stop && low_get(ef, i) <= to_low);
}

uint64_t omi_ef_next(const struct omi_ef *ef, uint64_t from)
{
    enum { PLACES_MAX = 64 * 64 };
    uint32_t low_bits = ef->shape.low_bits;
    uint64_t i, zero;
    if (bucket_find(ef, from, &i, &zero))
        return from >> low_bits << low_bits | low_get(ef, i);
    if (i == ef->shape.count)
        return ef->shape.top + 1;
    uint64_t stop = (ef->shape.top >> low_bits) + i; /* within the words */
    stop = stop < zero + PLACES_MAX ? stop : zero + PLACES_MAX;
    uint64_t at = one_from(ef, zero + 1, stop);
    if (at > stop)
        return (stop - i) << low_bits; /* no bucket before it has a number */
    return (at - i) << low_bits | low_get(ef, i);
}

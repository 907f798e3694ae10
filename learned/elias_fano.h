/*
 * elias_fano.h - a set of ascending numbers in about two bits each beside its low bits, asked
 * "is one of you in [from, to]?" (Elias 1974, Fano 1971).
 *
 * A number's high part stands in unary: bucket after bucket, a one for each number of the bucket,
 * then a zero. The low parts stand side by side. Every OMI_EF_STRIDE-th zero's place is sampled.
 *   upper    u64 words: count + buckets bits, the rest zero
 *   samples  u32: places of zeros 0, 512, 1024, ...
 *   lows     count x low_bits bits, and eight bytes more, so that each can be read as a word
 */
#ifndef OMI_ELIAS_FANO_H
#define OMI_ELIAS_FANO_H

#include "io/base/coding.h"
#include "lsm/omendb.h"

enum { OMI_EF_STRIDE = 512, OMI_EF_LOW_BITS_MAX = 56 };

struct omi_ef_shape {
    uint64_t top;   /* no number is larger */
    uint32_t count; /* >= 1 */
    uint32_t low_bits;
};
struct omi_ef {
    struct omi_ef_shape shape;
    const uint8_t *upper, *samples, *lows; /* borrowed */
};

/* What the parts take; false when places would not fit 32 bits. */
bool omi_ef_sizes(const struct omi_ef_shape *s, uint64_t *upper_out, uint64_t *samples_out,
                  uint64_t *lows_out);
/* Of count ascending, distinct numbers; the parts are zeroed beforehand. */
void omi_ef_encode(const struct omi_ef_shape *s, const uint64_t *numbers, uint8_t *upper,
                   uint8_t *samples, uint8_t *lows);
/* Bytes that may be anything, of the sizes above: afterwards no question leaves them. */
bool omi_ef_check(const struct omi_ef *ef);
/* Is there a number in [from, to]? from <= to <= top. */
bool omi_ef_any(const struct omi_ef *ef, uint64_t from, uint64_t to);
/* Some number n >= from (<= top) with no number of the set in [from, n): the next of the set, or, after
 * a look at a few words of none, no more than that. top + 1: there is none. */
uint64_t omi_ef_next(const struct omi_ef *ef, uint64_t from);

#endif

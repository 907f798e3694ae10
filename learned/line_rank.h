/*
 * line_rank.h - how many of the 16 ascending 32-bit numbers of a 64-byte line are at most x: all are
 * compared, no branch is guessed. Once with the compiler's vectors, for any machine, and once with
 * AVX2's, twice as wide; the answer is the same.
 */
#ifndef OMI_LINE_RANK_H
#define OMI_LINE_RANK_H

#include "io/base/coding.h"

#ifdef __x86_64__
#include <immintrin.h>
#endif

static inline uint32_t omi_line_rank(const uint8_t *line, uint32_t x)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    typedef uint32_t four __attribute__((vector_size(16)));
    typedef uint64_t two __attribute__((vector_size(16)));
    four a, b, c, d, xs = {x, x, x, x};
    memcpy(&a, line, 16);
    memcpy(&b, line + 16, 16);
    memcpy(&c, line + 32, 16);
    memcpy(&d, line + 48, 16);
    /* A lane where it holds is all ones: less one. */
    four lanes = (four)(a <= xs) + (four)(b <= xs) + (four)(c <= xs) + (four)(d <= xs);
    two sums = (two)-lanes;
    uint64_t sum = sums[0] + sums[1];
    return (uint32_t)(sum + (sum >> 32));
#else
    uint32_t n = 0;
    for (uint32_t i = 0; i < 16; i++)
        n += omi_get_u32(line + 4 * (size_t)i) <= x;
    return n;
#endif
}

#ifdef __x86_64__
__attribute__((target("avx2"))) static inline uint32_t omi_line_rank_avx2(const uint8_t *line,
                                                                          uint32_t x)
{
    __m256i xs = _mm256_set1_epi32((int)x);
    __m256i a = _mm256_loadu_si256((const void *)line);
    __m256i b = _mm256_loadu_si256((const void *)(line + 32));
    a = _mm256_cmpeq_epi32(_mm256_max_epu32(a, xs), xs);
    b = _mm256_cmpeq_epi32(_mm256_max_epu32(b, xs), xs);
    unsigned first = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(a));
    unsigned second = (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(b));
    return (uint32_t)__builtin_ctz(~(first | second << 8)); /* ascending: ones, then zeros */
}
#endif

#endif

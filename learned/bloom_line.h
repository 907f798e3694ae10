/*
 * bloom_line.h - one 64-byte line of a blocked Bloom filter: which line a hash has, and its bits
 * there. Part of the file format (docs/format-filter.md); the filter and its prefix layer use it.
 * Units: probes are bits set for a key, 1 to OMI_LINE_PROBES_MAX; 0 is in every line.
 */
#ifndef OMI_BLOOM_LINE_H
#define OMI_BLOOM_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

enum { OMI_LINE_BYTES = 64, OMI_LINE_PROBES_MAX = 14 };

/* Of line_count >= 1 lines. */
static inline size_t omi_line_off(uint64_t hash, uint32_t line_count)
{
    return (size_t)((hash >> 32) * line_count >> 32) * OMI_LINE_BYTES;
}

/* Seven probes of nine bits each from the top of one product, seven from another. */
static inline uint64_t omi_line_bits(uint64_t hash)
{
    return hash * UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint64_t omi_line_more_bits(uint64_t hash)
{
    return (hash ^ hash >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
}

static inline void omi_line_set(uint8_t *line, uint64_t hash, uint32_t probes)
{
    uint64_t bits = omi_line_bits(hash);
    for (uint32_t i = 0; i < probes; i++, bits <<= 9) {
        if (i == 7)
            bits = omi_line_more_bits(hash);
        line[bits >> 58] |= (uint8_t)(1u << (bits >> 55 & 7));
    }
}

/* No way out before the last probe: absent keys fail at any of them, and a wrong guess of the branch
 * costs more than the rest of the probes. */
static inline bool omi_line_holds(const uint8_t *line, uint64_t hash, uint32_t probes)
{
    uint64_t bits = omi_line_bits(hash);
    uint32_t all = 1;
    for (uint32_t i = 0; i < probes; i++, bits <<= 9) {
        if (i == 7)
            bits = omi_line_more_bits(hash);
        all &= (uint32_t)line[bits >> 58] >> (bits >> 55 & 7);
    }
    return all != 0;
}

#ifdef __x86_64__
/* Seven probes in one step, those past probes left out: 4 ns where the loop takes 8 or, when the number
 * of probes changes from key to key and no branch is guessed, 15. Words of 32 bits here; the same
 * bits. */
__attribute__((target("avx2"))) static inline bool omi_line_seven_avx2(const uint8_t *line,
                                                                       uint64_t bits, int probes)
{
    /* Lanes hold probes 0 4 1 5 2 6 3 and none. */
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 99);
    __m256i all = _mm256_set1_epi64x((long long)bits), mask = _mm256_set1_epi64x(511);
    __m256i low = _mm256_srlv_epi64(all, _mm256_setr_epi64x(55, 46, 37, 28));
    __m256i high = _mm256_srlv_epi64(all, _mm256_setr_epi64x(19, 10, 1, 0));
    __m256i at = _mm256_or_si256(_mm256_and_si256(low, mask),
                                 _mm256_slli_epi64(_mm256_and_si256(high, mask), 32));
    __m256i word = _mm256_srli_epi32(at, 5);
    __m256i front = _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const void *)line), word);
    __m256i back = _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const void *)(line + 32)), word);
    __m256i in_back = _mm256_srai_epi32(_mm256_slli_epi32(at, 23), 31);
    __m256i words = _mm256_blendv_epi8(front, back, in_back);
    __m256i wanted =
        _mm256_sllv_epi32(_mm256_set1_epi32(1), _mm256_and_si256(at, _mm256_set1_epi32(31)));
    wanted = _mm256_and_si256(wanted, _mm256_cmpgt_epi32(_mm256_set1_epi32(probes), order));
    return _mm256_testc_si256(words, wanted) != 0;
}

__attribute__((target("avx2"))) static inline bool
omi_line_holds_avx2(const uint8_t *line, uint64_t hash, uint32_t probes)
{
    return omi_line_seven_avx2(line, omi_line_bits(hash), (int)probes) &&
           (probes <= 7 || omi_line_seven_avx2(line, omi_line_more_bits(hash), (int)probes - 7));
}
#endif

#endif

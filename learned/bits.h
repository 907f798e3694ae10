/*
 * bits.h - counting and selecting bits a word at a time, and fields inside a 64-byte line.
 * Plain C on purpose: the library is built for any x86-64 and aarch64, where popcnt and pdep may be
 * missing or slow; these are a few multiplications and no branch.
 */
#ifndef OMI_BITS_H
#define OMI_BITS_H

#include "io/base/coding.h"

enum { OMI_LINE_BYTES = 64, OMI_LINE_BITS = 512 };

#define OMI_BYTES_01 UINT64_C(0x0101010101010101)
#define OMI_BYTES_80 UINT64_C(0x8080808080808080)

/* Byte i of the result: how many bits are set in bytes 0 to i of x. */
static inline uint64_t omi_byte_ranks(uint64_t x)
{
    x -= x >> 1 & UINT64_C(0x5555555555555555);
    x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
    x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    return x * OMI_BYTES_01;
}

static inline uint32_t omi_popcount(uint64_t x)
{
    return (uint32_t)(omi_byte_ranks(x) >> 56);
}

/* The place of the set bit that has k set bits below it. Some place below 64 when there is none. */
static inline uint32_t omi_select(uint64_t x, uint32_t k)
{
    /* First the byte: the lowest whose rank exceeds k. Ranks and k are below 128, so that the
     * subtraction cannot borrow from the next byte. */
    uint64_t ranks = omi_byte_ranks(x);
    uint64_t past = ((ranks | OMI_BYTES_80) - (k + 1) * OMI_BYTES_01) & OMI_BYTES_80;
    uint32_t shift = (uint32_t)__builtin_ctzll(past | UINT64_C(1) << 63) & ~7u;
    uint32_t rest = k - (uint32_t)(ranks << 8 >> shift & 0xff);
    /* Then the bit, by the same comparison over the byte's bits spread to one a byte. */
    uint64_t bits = (x >> shift & 0xff) * OMI_BYTES_01 & UINT64_C(0x8040201008040201);
    bits = ((bits + UINT64_C(0x7f7f7f7f7f7f7f7f)) >> 7 & OMI_BYTES_01) * OMI_BYTES_01;
    past = ((bits | OMI_BYTES_80) - ((rest & 0x3f) + 1) * OMI_BYTES_01) & OMI_BYTES_80;
    return shift + ((uint32_t)__builtin_ctzll(past | UINT64_C(1) << 63) >> 3);
}

/* Bits [at, at + width) of a line, width 0 to 57, at + width <= 512. Reads inside the line only. */
static inline uint64_t omi_line_bits(const uint8_t *line, uint32_t at, uint32_t width)
{
    uint32_t byte = at >> 3 < OMI_LINE_BYTES - 8 ? at >> 3 : OMI_LINE_BYTES - 8;
    return omi_get_u64(line + byte) >> (at - 8 * byte) & ((UINT64_C(1) << width) - 1);
}

static inline void omi_line_set(uint8_t *line, uint32_t at, uint32_t width, uint64_t value)
{
    for (uint32_t i = 0; i < width; i++)
        line[(at + i) >> 3] |= (uint8_t)((value >> i & 1) << ((at + i) & 7));
}

/* The place of the (k+1)-th bit equal to value at or after bit at; 512 when there is none. At most
 * eight turns. */
static inline uint32_t omi_line_select(const uint8_t *line, uint32_t at, uint32_t k, bool value)
{
    uint64_t flip = value ? 0 : ~UINT64_C(0);
    uint64_t mask = ~UINT64_C(0) << (at & 63);
    for (uint32_t word = at >> 6; word < OMI_LINE_BITS / 64; word++) {
        uint64_t x = (omi_get_u64(line + 8 * word) ^ flip) & mask;
        uint32_t ones = omi_popcount(x);
        if (k < ones)
            return 64 * word + omi_select(x, k);
        k -= ones;
        mask = ~UINT64_C(0);
    }
    return OMI_LINE_BITS;
}

#endif

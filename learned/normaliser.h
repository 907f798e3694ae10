/*
 * normaliser.h - byte strings to 64-bit codes that keep their order.
 * Path:    key -> [normaliser] -> code -> spline -> cell -> group line -> block.
 *
 * After the keys' common prefix, each of a few positions counts in its own radix: the bytes that
 * occur there, and the end of the key, which is the least symbol. A byte that does not occur there
 * is sent to the top of the code range of the next lower one, and what follows it is ignored. So
 * any byte string has a code, and x < y gives code(x) <= code(y) (proof in block_index.c); a symbol
 * set that is too large or too small costs density, never order. Threads: immutable once made.
 */
#ifndef OMI_NORMALISER_H
#define OMI_NORMALISER_H

#include "io/base/buf.h"
#include "io/base/coding.h"
#include "io/base/slice.h"
#include "learned/block_index.h"

enum { OMI_NORM_POSITIONS_MAX = 32, OMI_NORM_RANGES_MAX = 8 };

/* The symbols of one position: perhaps the end of the key, and 1 to 8 ascending ranges of bytes. */
struct omi_norm_position {
    uint64_t weight;                    /* product of the radices of later positions */
    uint16_t base[OMI_NORM_RANGES_MAX]; /* rank of the first byte of a range */
    uint8_t low[OMI_NORM_RANGES_MAX];   /* first byte of a range */
    uint8_t span[OMI_NORM_RANGES_MAX];  /* last byte minus first */
    uint16_t radix;
    uint8_t has_end, range_count;
};

struct omi_normaliser {
    const uint8_t *prefix; /* borrowed */
    uint32_t prefix_size, position_count;
    struct omi_norm_position *positions; /* borrowed, OMI_NORM_POSITIONS_MAX suffice */
};

/* The code of any byte string; UINT64_MAX above everything that starts with the prefix. */
static inline uint64_t omi_normalise(const struct omi_normaliser *n, const uint8_t *key,
                                     size_t size)
{
    size_t common = omi_bytes_common(key, size, n->prefix, n->prefix_size);
    if (__builtin_expect(common < n->prefix_size, 0))
        return common < size && key[common] > n->prefix[common] ? UINT64_MAX : 0;
    size_t left = size - n->prefix_size;
    uint32_t count = left < n->position_count ? (uint32_t)left : n->position_count;
    const uint8_t *p = n->prefix_size != 0 ? key + n->prefix_size : key;
    uint64_t code = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct omi_norm_position *at = &n->positions[i];
        uint32_t byte = p[i], r = 0;
        for (uint32_t k = 1; k < at->range_count; k++)
            r += byte >= at->low[k];
        uint32_t d = byte - at->low[r];
        if (__builtin_expect(d > at->span[r], 0)) {
            if (byte < at->low[0]) /* nothing below it but perhaps the end */
                return at->has_end ? code + (at->weight - 1) : code;
            return code + (uint64_t)(at->base[r] + at->span[r]) * at->weight + (at->weight - 1);
        }
        code += (uint64_t)(at->base[r] + d) * at->weight;
    }
    return code; /* a key that ends here adds nothing: the end is the least symbol */
}

/* Bytes b that, behind the prefix, part the keys by code: every key below prefix + b has a smaller
 * code than this (if it is not 0). Returns how many. */
size_t omi_denormalise(const struct omi_normaliser *n, uint64_t code,
                       uint8_t out[static OMI_NORM_POSITIONS_MAX]);

/* Chooses positions and symbols for count >= 1 keys in order, from samples: the number of positions
 * by where neighbours first differ near block ends. n->positions has room for the maximum. */
void omi_normaliser_fit(struct omi_normaliser *n, const struct omi_index_key *keys, uint32_t count,
                        uint32_t block_bytes);
/* The same with as many positions as 64 bits have room for, for those who tell single keys apart. */
void omi_normaliser_fit_whole(struct omi_normaliser *n, const struct omi_index_key *keys,
                              uint32_t count);
/* Positions alone; the prefix is kept by the section. */
OMEN_MUST_CHECK omen_err omi_normaliser_encode(const struct omi_normaliser *n, struct omi_buf *out);
/* From bytes that may be anything; position_count is set, at most OMI_NORM_POSITIONS_MAX. */
OMEN_MUST_CHECK omen_err omi_normaliser_decode(struct omi_normaliser *n, uint32_t position_count,
                                               const uint8_t *bytes, size_t size);
OMEN_MUST_CHECK omen_err omi_normaliser_decode_whole(struct omi_normaliser *n,
                                                     uint32_t position_count, const uint8_t *bytes,
                                                     size_t size);

#endif

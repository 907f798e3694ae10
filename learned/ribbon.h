/*
 * ribbon.h - a standard ribbon filter of width 128 (Dillinger, Walzer, "Ribbon filter: practically
 * smaller than Bloom and Xor", 2021): a little over r bits a key for false positives of 2^-r, where
 * blocked Bloom lines take half as much again. It is a table of r-bit rows, stored by columns, in
 * which the rows that a key's 128 coefficients choose add up, without carries, to the key's own r
 * bits; building solves for such a table, and may find that these keys have none.
 * Bytes:   docs/format-filter.md
 * Units:   slots are rows; a block is 128 of them: 16 bytes for each of its columns.
 * Threads: pure functions.
 */
#ifndef OMI_RIBBON_H
#define OMI_RIBBON_H

#include "io/base/coding.h"
#include "io/base/fail.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OMI_RIBBON_WIDTH = 128,       /* slots of a block, and coefficients of a key */
    OMI_RIBBON_COLUMN_BYTES = 16, /* of a block */
    OMI_RIBBON_COLUMNS_MAX = 13,
    OMI_RIBBON_SEEDS = 3,
    OMI_RIBBON_BLOCKS_MAX = 1 << 24
};

/* Blocks from upper on have one column more, so that false positives between two powers of two can
 * be had. */
struct omi_ribbon {
    uint32_t blocks; /* 1 to BLOCKS_MAX */
    uint32_t upper;  /* to blocks: none has more */
    uint8_t columns; /* 1 to COLUMNS_MAX */
    uint8_t seed;
};

/* Enough for keys of distinct hashes: at that size one seed in a hundred or fewer finds no solution.
 * More than BLOCKS_MAX when that is too many. */
uint64_t omi_ribbon_blocks(uint64_t keys);
/* Bits of one column for each of so many keys. */
double omi_ribbon_density(uint64_t keys);
/* Of so many blocks (1 to BLOCKS_MAX) and columns, this share of the keys under one more. */
struct omi_ribbon omi_ribbon_shape(uint32_t blocks, uint8_t columns, double more);

static inline uint64_t omi_ribbon_bytes(const struct omi_ribbon *r)
{
    return OMI_RIBBON_COLUMN_BYTES * ((uint64_t)r->blocks * r->columns + (r->blocks - r->upper));
}

/* Fills omi_ribbon_bytes and sets the seed. hashes: well mixed, may repeat. OMEN_ABORTED: none of the
 * seeds has a solution, which more blocks would cure; OMEN_NO_MEMORY: 18 bytes a slot. */
OMEN_MUST_CHECK omen_err omi_ribbon_solve(struct omi_ribbon *r, const uint64_t *hashes,
                                          size_t count, uint8_t *out);

/* ---- asking ------------------------------------------------------------------------------------ */

typedef unsigned __int128 omi_row; /* coefficients, the lowest slot's in the lowest bit */

/* What a hash asks of a ribbon. */
struct omi_ribbon_key {
    uint32_t start;   /* the first of its 128 slots */
    uint32_t results; /* bit j: of column j */
    omi_row row;      /* its lowest bit is set */
};

static inline uint64_t omi_ribbon_fold(uint64_t a, uint64_t b)
{
    omi_row product = (omi_row)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline struct omi_ribbon_key omi_ribbon_key_of(uint64_t hash, uint32_t blocks, uint8_t seed)
{
    uint64_t x = hash + seed * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x ^= x >> 29;
    uint64_t starts = (uint64_t)blocks * OMI_RIBBON_WIDTH - (OMI_RIBBON_WIDTH - 1);
    uint64_t low = omi_ribbon_fold(x, UINT64_C(0xa0761d6478bd642f)),
             high = omi_ribbon_fold(x ^ UINT64_C(0xe7037ed1a0b428db), UINT64_C(0x8ebc6af09c88c6e3));
    return (struct omi_ribbon_key){(uint32_t)((x >> 32) * starts >> 32),
                                   (uint32_t)(x * UINT64_C(0xbf58476d1ce4e5b9) >> 48),
                                   (omi_row)high << 64 | low | 1};
}

/* Where a block's columns begin. */
static inline size_t omi_ribbon_block_off(const struct omi_ribbon *r, uint32_t block)
{
    uint64_t more = block > r->upper ? block - r->upper : 0;
    return (size_t)((uint64_t)block * r->columns + more) * OMI_RIBBON_COLUMN_BYTES;
}

static inline void omi_ribbon_prefetch(const struct omi_ribbon *r, const uint8_t *bytes,
                                       uint64_t hash)
{
    uint32_t start = omi_ribbon_key_of(hash, r->blocks, r->seed).start;
    const uint8_t *at = bytes + omi_ribbon_block_off(r, start / OMI_RIBBON_WIDTH);
    __builtin_prefetch(at);
    __builtin_prefetch(at + OMI_RIBBON_COLUMN_BYTES * (size_t)r->columns);
}

static inline omi_row omi_ribbon_load(const uint8_t *p)
{
    return (omi_row)omi_get_u64(p + 8) << 64 | omi_get_u64(p);
}

/* False: the hash was not among those it was built of. bytes: omi_ribbon_bytes of anything. */
static inline bool omi_ribbon_holds(const struct omi_ribbon *r, const uint8_t *bytes, uint64_t hash)
{
    struct omi_ribbon_key k = omi_ribbon_key_of(hash, r->blocks, r->seed);
    uint32_t block = k.start / OMI_RIBBON_WIDTH, shift = k.start % OMI_RIBBON_WIDTH;
    uint32_t columns = r->columns + (uint32_t)(block >= r->upper);
    const uint8_t *here = bytes + omi_ribbon_block_off(r, block);
    /* From the first slot of a block nothing of the next is asked, which may not be there. */
    const uint8_t *next = shift != 0 ? here + OMI_RIBBON_COLUMN_BYTES * (size_t)columns : here;
    omi_row first = k.row << shift, second = k.row >> 1 >> (OMI_RIBBON_WIDTH - 1 - shift);
    uint32_t wrong = 0;
    for (uint32_t j = 0; j < columns; j++) {
        omi_row sum = (omi_ribbon_load(here + OMI_RIBBON_COLUMN_BYTES * (size_t)j) & first) ^
                      (omi_ribbon_load(next + OMI_RIBBON_COLUMN_BYTES * (size_t)j) & second);
        uint64_t folded = (uint64_t)sum ^ (uint64_t)(sum >> 64);
        wrong |= ((uint32_t)__builtin_parityll(folded) ^ k.results >> j) & 1;
        /* An absent key is mostly out after four; to ask after each would be to guess each. */
        if (j % 4 == 3 && wrong != 0)
            return false;
    }
    return wrong == 0;
}

#endif

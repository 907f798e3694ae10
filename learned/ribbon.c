#include "learned/ribbon.h"

#include <stdlib.h>
#include <string.h>

/* ---- sizes ------------------------------------------------------------------------------------- */

/* Slots for each key: the more keys, the more places where too many of them can fall together. By
 * trials one seed in a hundred fails at 72,000 keys with 1.043 slots each, and every doubling wants
 * 0.006 more. The most is not enough for millions: those come in parts. */
static double slots_per_key(uint64_t keys)
{
    enum { FEW = 4096 };
    double doublings = 0, rest = (double)keys / FEW;
    for (; rest >= 2; rest /= 2)
        doublings++;
    doublings += rest > 1 ? rest - 1 : 0;
    double slots = 1.018 + 0.006 * doublings;
    return slots < 1.048 ? slots : 1.048;
}

uint64_t omi_ribbon_blocks(uint64_t keys)
{
    double slots = (double)keys * slots_per_key(keys) + (OMI_RIBBON_WIDTH - 1);
    return (uint64_t)(slots / OMI_RIBBON_WIDTH) + 1; /* never none */
}

double omi_ribbon_density(uint64_t keys)
{
    return keys == 0 ? 0 : (double)(omi_ribbon_blocks(keys) * OMI_RIBBON_WIDTH) / (double)keys;
}

struct omi_ribbon omi_ribbon_shape(uint32_t blocks, uint8_t columns, double more)
{
    double upper = (double)blocks * (1 - more) + 0.5;
    struct omi_ribbon r = {.blocks = blocks, .upper = blocks, .columns = columns};
    if (upper < (double)blocks)
        r.upper = upper > 0 ? (uint32_t)upper : 0;
    return r;
}

/* ---- solving ----------------------------------------------------------------------------------- */

/* Equations in echelon form: that of slot i has no coefficient before i. 0: none yet. */
struct band {
    omi_row *rows;
    uint16_t *results;
    uint32_t slots;
};

static inline uint32_t lowest_bit(omi_row row)
{
    uint64_t low = (uint64_t)row;
    return (uint32_t)(low != 0 ? __builtin_ctzll(low)
                               : 64 + __builtin_ctzll((uint64_t)(row >> 64)));
}

/* False: the equation contradicts those before it. */
static inline bool band_add(struct band *b, struct omi_ribbon_key k, uint32_t mask)
{
    uint32_t at = k.start, results = k.results & mask;
    omi_row row = k.row;
    while (b->rows[at] != 0) {
        row ^= b->rows[at];
        results ^= b->results[at];
        if (row == 0)
            return results == 0;
        uint32_t step = lowest_bit(row);
        row >>= step;
        at += step;
    }
    b->rows[at] = row;
    b->results[at] = (uint16_t)results;
    return true;
}

static bool band_fill(struct band *b, const struct omi_ribbon *r, const uint64_t *hashes,
                      size_t count)
{
    enum { AHEAD = 8 };
    uint32_t mask = (UINT32_C(2) << r->columns) - 1; /* one more: some slots have it */
    memset(b->rows, 0, b->slots * sizeof(*b->rows));
    for (size_t i = 0; i < count; i++) {
        if (i + AHEAD < count) {
            uint32_t start = omi_ribbon_key_of(hashes[i + AHEAD], r->blocks, r->seed).start;
            __builtin_prefetch(&b->rows[start], 1);
            __builtin_prefetch(&b->results[start], 1);
        }
        if (!band_add(b, omi_ribbon_key_of(hashes[i], r->blocks, r->seed), mask))
            return false;
    }
    return true;
}

static void row_store(uint8_t *p, omi_row row)
{
    omi_put_u64(p, (uint64_t)row);
    omi_put_u64(p + 8, (uint64_t)(row >> 64));
}

/* From the last slot to the first; a slot without an equation is free, and zero. */
static void band_solve(const struct band *b, const struct omi_ribbon *r, uint8_t *out)
{
    omi_row after[OMI_RIBBON_COLUMNS_MAX + 1] = {0}; /* bit i of a column: the slot i further on */
    for (uint32_t block = r->blocks; block-- > 0;) {
        uint32_t columns = r->columns + (uint32_t)(block >= r->upper);
        for (uint32_t i = OMI_RIBBON_WIDTH; i-- > 0;) {
            omi_row row = b->rows[block * OMI_RIBBON_WIDTH + i];
            uint32_t results = row != 0 ? b->results[block * OMI_RIBBON_WIDTH + i] : 0;
            for (uint32_t j = 0; j < columns; j++) {
                omi_row sum = (after[j] <<= 1) & row;
                uint64_t folded = (uint64_t)sum ^ (uint64_t)(sum >> 64);
                after[j] |= ((uint32_t)__builtin_parityll(folded) ^ results >> j) & 1;
            }
        }
        uint8_t *at = out + omi_ribbon_block_off(r, block);
        for (uint32_t j = 0; j < columns; j++)
            row_store(at + OMI_RIBBON_COLUMN_BYTES * (size_t)j, after[j]);
    }
}

omen_err omi_ribbon_solve(struct omi_ribbon *r, const uint64_t *hashes, size_t count, uint8_t *out)
{
    struct band b = {.slots = r->blocks * OMI_RIBBON_WIDTH};
    omen_err err = OMEN_OK;
    b.rows = malloc(b.slots * sizeof(*b.rows));
    b.results = malloc(b.slots * sizeof(*b.results));
    if (b.rows == NULL || b.results == NULL) {
        err = omi_fail(OMEN_NO_MEMORY, 0, "a ribbon of %u blocks", r->blocks);
        goto done;
    }
    for (r->seed = 0; r->seed < OMI_RIBBON_SEEDS; r->seed++)
        if (band_fill(&b, r, hashes, count))
            break;
    if (r->seed == OMI_RIBBON_SEEDS)
        err = omi_fail(OMEN_ABORTED, 0, "no ribbon of %u blocks holds %zu keys", r->blocks, count);
    else
        band_solve(&b, r, out);

done:
    free(b.rows);
    free(b.results);
    return err;
}

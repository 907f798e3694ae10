/*
 * cuts.h - where blocks are cut: at cell edges that the model names where one lies in the fill
 * window, at short separators elsewhere.
 */
#ifndef OMI_CUTS_H
#define OMI_CUTS_H

#include "learned/block_index.h"

/* What placing reads and writes. cells may be NULL: every cut is then keyed. */
struct omi_cuts {
    const struct omi_index_key *keys;
    uint32_t count, block_bytes;
    bool bytewise;
    /* out: the first entry of each block and whether its cut is keyed; room for count of each */
    uint32_t *first;
    bool *keyed;
    uint32_t blocks, keyed_count;
    uint64_t separator_bytes; /* a guess at what the keyed cuts will take */
};
/* Places cuts in entries [from, to); cell_of gives the cell of an entry and is asked in ascending
 * order inside a block's window, at times again. Blocks are appended. */
void omi_cuts_place(struct omi_cuts *c, uint32_t from, uint32_t to,
                    uint32_t (*cell_of)(void *ctx, uint32_t entry), void *ctx);

#endif

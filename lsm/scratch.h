/* scratch.h - what a thread keeps for reading blocks: a codec context and an aligned buffer. Made
 * on first use, freed when the thread ends. */
#ifndef OMI_SCRATCH_H
#define OMI_SCRATCH_H

#include "lsm/block.h"

struct omi_scratch {
    struct omi_codec_state codec;
    uint8_t *bytes; /* 4096-byte aligned */
    size_t capacity;
};
/* NULL when memory is short. */
struct omi_scratch *omi_scratch_get(void);
/* At least size bytes at s->bytes; false when memory is short. */
bool omi_scratch_reserve(struct omi_scratch *s, size_t size);

#endif

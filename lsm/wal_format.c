#include "lsm/wal_format.h"

#include "io/base/coding.h"
#include "io/base/entry.h"
#include "io/base/hash.h"
#include "io/base/mutant.h"

#define MAGIC  UINT64_C(0x31304c41574d4f21) /* "!OMWAL01" */
#define MARKER UINT32_C(0x4d415246)         /* "FRAM" */

void omi_wal_header_encode(const struct omi_wal_header *h, uint8_t out[static OMI_WAL_HEADER_BYTES])
{
    memset(out, 0, OMI_WAL_HEADER_BYTES);
    omi_put_u64(out, MAGIC);
    omi_put_u32(out + 8, OMI_WAL_FORMAT);
    omi_put_u64(out + 16, h->segment);
    omi_put_u64(out + 24, h->nonce);
    omi_put_u64(out + 32, h->chain);
    omi_put_u64(out + 40, h->created_us);
    omi_put_u64(out + 56, omi_checksum(out, 56, 0));
}

omen_err omi_wal_header_decode(const uint8_t in[static OMI_WAL_HEADER_BYTES], const char *where,
                               struct omi_wal_header *h)
{
    if (omi_get_u64(in) != MAGIC || omi_get_u64(in + 56) != omi_checksum(in, 56, 0))
        return omi_fail(OMEN_CORRUPT, 0, "%s: no log header at its beginning", where);
    if (omi_get_u32(in + 8) != OMI_WAL_FORMAT)
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "%s: log format %u is not this build's %d; use a newer omendb", where,
                        omi_get_u32(in + 8), OMI_WAL_FORMAT);
    if (omi_get_u64(in + 16) > OMI_NUMBER_MAX)
        return omi_fail(OMEN_CORRUPT, 0, "%s: its segment number is out of range", where);
    *h = (struct omi_wal_header){.segment = omi_get_u64(in + 16),
                                 .nonce = omi_get_u64(in + 24),
                                 .chain = omi_get_u64(in + 32),
                                 .created_us = omi_get_u64(in + 40)};
    return OMEN_OK;
}

uint64_t omi_frame_bytes(uint64_t size)
{
    return (OMI_FRAME_HEADER_BYTES + size + OMI_FRAME_ALIGN - 1) / OMI_FRAME_ALIGN *
           OMI_FRAME_ALIGN;
}

static uint64_t frame_check(const uint8_t *frame, uint32_t size, uint64_t nonce)
{
    return omi_checksum(frame + OMI_FRAME_HEADER_BYTES, size, omi_checksum(frame, 32, nonce));
}

uint64_t omi_frame_seal(uint8_t *frame, const struct omi_frame_header *h, uint64_t nonce)
{
    omi_put_u32(frame, (uint32_t)nonce ^ MARKER);
    omi_put_u32(frame + 4, h->op_count);
    omi_put_u32(frame + 8, h->size);
    omi_put_u32(frame + 12, h->chain);
    omi_put_u64(frame + 16, h->first_seq);
    omi_put_u32(frame + 24, h->durable_back);
    omi_put_u32(frame + 28, (uint32_t)(h->durable_bytes / OMI_FRAME_ALIGN));
    uint64_t check = frame_check(frame, h->size, nonce);
    omi_put_u64(frame + 32, check);
    return check;
}

bool omi_frame_open(const uint8_t *bytes, uint64_t available, uint64_t nonce,
                    struct omi_frame_header *h, uint64_t *hashed)
{
    if (available < OMI_FRAME_HEADER_BYTES || omi_get_u32(bytes) != ((uint32_t)nonce ^ MARKER))
        return false;
    *h = (struct omi_frame_header){.op_count = omi_get_u32(bytes + 4),
                                   .size = omi_get_u32(bytes + 8),
                                   .chain = omi_get_u32(bytes + 12),
                                   .first_seq = omi_get_u64(bytes + 16),
                                   .durable_back = omi_get_u32(bytes + 24),
                                   .durable_bytes =
                                       (uint64_t)omi_get_u32(bytes + 28) * OMI_FRAME_ALIGN,
                                   .check = omi_get_u64(bytes + 32)};
    if (h->size > available - OMI_FRAME_HEADER_BYTES || h->op_count == 0)
        return false;
    *hashed += h->size;
    return frame_check(bytes, h->size, nonce) == h->check || OMI_MUTANT(OMI_MUTANT_FRAME_UNCHECKED);
}

/*
 * wal_format.h - the bytes of a log segment; docs/format-wal.md shows the same.
 *
 * Header, twice, at bytes 0 and 2048, so that one damaged sector is not the end of a segment:
 *   off len field
 *     0   8 magic
 *     8   4 format
 *    12   4 zero
 *    16   8 segment
 *    24   8 nonce
 *    32   8 chain         the check of the last frame of the segment before
 *    40   8 created_us
 *    48   8 zero
 *    56   8 check         XXH3 of [0,56)
 *
 * Frames, from byte 4096 on, at multiples of 8:
 *     0   4 marker        low half of the nonce ^ a constant: tells what may be a frame
 *     4   4 op_count
 *     8   4 size          of the operations
 *    12   4 chain         low half of the check of the frame before (first: of the header's chain)
 *    16   8 first_seq
 *    24   4 durable_back  the durable position at writing: so many segments back
 *    28   4 durable_units and so many times 8 bytes of that one
 *    32   8 check         XXH3 of the operations, seeded with XXH3 of [0,32) seeded with the nonce
 *    40     operations    zero padded to 8
 */
#ifndef OMI_WAL_FORMAT_H
#define OMI_WAL_FORMAT_H

#include "io/base/fail.h"

#include <stdbool.h>

enum {
    OMI_WAL_FORMAT = 1,
    OMI_WAL_HEADER_BYTES = 64,
    OMI_WAL_HEADER_COPY = 2048,
    OMI_WAL_FIRST_FRAME = 4096,
    OMI_FRAME_HEADER_BYTES = 40,
    OMI_FRAME_ALIGN = 8
};

struct omi_wal_header {
    uint64_t segment, nonce, chain, created_us;
};
void omi_wal_header_encode(const struct omi_wal_header *h,
                           uint8_t out[static OMI_WAL_HEADER_BYTES]);
/* OMEN_CORRUPT: no header of ours (records words); OMEN_UNSUPPORTED: newer. */
OMEN_MUST_CHECK omen_err omi_wal_header_decode(const uint8_t in[static OMI_WAL_HEADER_BYTES],
                                               const char *where, struct omi_wal_header *h);

struct omi_frame_header {
    uint32_t op_count, size, chain, durable_back;
    uint64_t first_seq, durable_bytes, check;
};
/* Fills the first OMI_FRAME_HEADER_BYTES of frame; the operations follow them already. Returns the
 * frame's check. */
uint64_t omi_frame_seal(uint8_t *frame, const struct omi_frame_header *h, uint64_t nonce);
/* Is there a whole frame with a right check at bytes? Its chain is not looked at. hashed counts the
 * bytes that were hashed. */
bool omi_frame_open(const uint8_t *bytes, uint64_t available, uint64_t nonce,
                    struct omi_frame_header *h, uint64_t *hashed);
/* Header, operations and padding. */
uint64_t omi_frame_bytes(uint64_t size);

#endif

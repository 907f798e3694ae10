/*
 * wal_format.h - the bytes of a log segment: its header and its frames; docs/format-wal.md shows the
 * same.
 *
 * Header, the first 4096 bytes: two equal copies, at 0 and at 2048, so that one damaged sector is
 * repaired from the other; zeros between. A copy, 128 bytes:
 *   off len field
 *     0   8 magic
 *     8   4 format
 *    12   4 flags: 1: previous, chain and durable are known (not so when activated ahead)
 *    16   8 segment: the number that orders the log
 *    24   8 nonce: random, of this activation
 *    32   8 previous: the segment before, 0 at the start of a process's log
 *    40   8 chain: the check of the last frame before this segment
 *    48  16 durable: segment and file offset; everything before is known to be durable
 *    64   8 created_us
 *    72  48 zero
 *   120   8 check: XXH3 of [0,120)
 *
 * Frame, 8-aligned, from byte 4096 on:
 *     0   8 check: XXH3 of [8,size), seeded with nonce ^ offset of the frame in the file
 *     8   4 size: bytes of header and payload; zeros fill up to the next multiple of 8
 *    12   4 count: operations; 0: a marker, written when the log is closed
 *    16   8 first_seq
 *    24   8 chain: the check of the frame before, of whichever segment
 *    32   4 durable_back: how many segments back the durable position lies; 2^32-1: none is claimed
 *    36   4 durable_units: its file offset / 8
 *    40     payload: the operations
 */
#ifndef OMI_WAL_FORMAT_H
#define OMI_WAL_FORMAT_H

#include "io/base/fail.h"

#include <stdbool.h>

enum {
    OMI_WAL_FORMAT = 1,
    OMI_WAL_HEADER_BYTES = 4096,
    OMI_WAL_COPY_BYTES = 128,
    OMI_WAL_COPY_OFF = 2048,
    OMI_WAL_FRAME_BYTES = 40,
    OMI_WAL_NAME_BYTES = 32,
    OMI_WAL_CHAINED = 1u << 0 /* header flag */
};
#define OMI_WAL_SEGMENT_MAX (((uint64_t)1 << 62) - 1)

/* A place in the log: everything before byte off of that segment's file, and all earlier segments. */
struct omi_wal_place {
    uint64_t segment, off;
};
static inline bool omi_wal_place_after(struct omi_wal_place a, struct omi_wal_place b)
{
    return a.segment != b.segment ? a.segment > b.segment : a.off > b.off;
}

struct omi_wal_header {
    uint32_t flags;
    uint64_t segment, nonce, previous, chain, created_us;
    struct omi_wal_place durable;
};
void omi_wal_header_encode(const struct omi_wal_header *h, uint8_t out[static OMI_WAL_HEADER_BYTES]);
/* OMEN_NOT_FOUND (no words): neither copy is valid. */
OMEN_MUST_CHECK omen_err omi_wal_header_decode(const uint8_t in[static OMI_WAL_HEADER_BYTES],
                                               const char *where, struct omi_wal_header *out);

struct omi_wal_frame {
    uint64_t check, first_seq, chain;
    uint32_t size, count, durable_back, durable_units;
};
/* All but the check. */
void omi_wal_frame_encode(const struct omi_wal_frame *f, uint8_t out[static OMI_WAL_FRAME_BYTES]);
/* Fills in the check of a whole frame at off, and returns it. */
uint64_t omi_wal_frame_seal(uint8_t *frame, uint32_t size, uint64_t nonce, uint64_t off);
/* Header fields as they stand; false when they cannot be a frame at off with left bytes to the end
 * of the file. Cheap: the check is not computed. */
OMEN_MUST_CHECK bool omi_wal_frame_decode(const uint8_t in[static OMI_WAL_FRAME_BYTES],
                                          uint64_t segment, uint64_t off, uint64_t left,
                                          struct omi_wal_frame *out);
/* The whole frame is there; is its check right? */
OMEN_MUST_CHECK bool omi_wal_frame_valid(const struct omi_wal_frame *f, const uint8_t *frame,
                                         uint64_t nonce, uint64_t off);
/* Bytes of a frame in the file, filling included. */
static inline uint64_t omi_wal_frame_span(uint64_t size)
{
    return (size + 7) & ~(uint64_t)7;
}
/* The durable position a frame claims; {0, 0} for none. */
static inline struct omi_wal_place omi_wal_frame_claim(const struct omi_wal_frame *f,
                                                       uint64_t segment)
{
    if (f->durable_back == UINT32_MAX)
        return (struct omi_wal_place){0, 0};
    return (struct omi_wal_place){segment - f->durable_back, (uint64_t)f->durable_units * 8};
}
void omi_wal_frame_set_claim(struct omi_wal_frame *f, uint64_t segment,
                             struct omi_wal_place durable);

/* "NNNNNN.log", at least six digits. */
void omi_wal_name(uint64_t slot, char name[static OMI_WAL_NAME_BYTES]);
/* Only the form that omi_wal_name gives. */
OMEN_MUST_CHECK bool omi_wal_name_parse(const char *name, uint64_t *slot_out);

#endif

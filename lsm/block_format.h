/*
 * block_format.h - the bytes of a data block; docs/format-table.md shows the same.
 *
 * Header, 32 bytes:
 *   off len field
 *     0   4 stored_bytes  header and stored body, without the padding to 64
 *     4   4 raw_bytes     of the body
 *     8   4 count         entries, at least 1
 *    12   1 codec         0 none, 1 zstd
 *    13   1 layout        0 columnar, 1 a single entry
 *    14  10 zero
 *    24   8 check         XXH3 of the stored body, seeded with XXH3 of [0,24), seeded with
 *                         file id ^ offset
 *
 * Columnar body:
 *     0   2 prefix_size
 *     2   1 flags         below
 *     3   1 trailer_width 0 to 8
 *     4   4 tail_size     of every entry (FIXED_TAILS), else 0
 *     8   4 value_size    of every entry (FIXED_VALUES), else 0
 *    12   4 zero
 *    16   8 trailer_base
 *    24     heads         count x u32: the four key bytes after the prefix, first byte highest,
 *                         zero padded
 *           tail_offs     (count + 1) x u16, or u32 when WIDE; absent when FIXED_TAILS
 *           value_offs    likewise; absent when FIXED_VALUES
 *           head_sizes    count x u8, 0 to 4: key bytes in the head; only with SHORT_KEYS
 *           trailers      count x trailer_width: trailer - trailer_base, little-endian
 *           prefix, tails, values
 *
 * Single body: trailer u64, key_size u32, value_size u32, key, value.
 */
#ifndef OMI_BLOCK_FORMAT_H
#define OMI_BLOCK_FORMAT_H

#include "lsm/block.h"

enum { OMI_BLOCK_CODEC_NONE = 0, OMI_BLOCK_CODEC_ZSTD = 1 };
enum { OMI_BLOCK_COLUMNAR = 0, OMI_BLOCK_SINGLE = 1 };
enum {
    OMI_BLOCK_FIXED_TAILS = 1,
    OMI_BLOCK_FIXED_VALUES = 2,
    OMI_BLOCK_SHORT_KEYS = 4,
    OMI_BLOCK_WIDE = 8,
    OMI_BLOCK_FLAGS_KNOWN = 15
};
enum { OMI_COLUMNS_BYTES = 24, OMI_SINGLE_BYTES = 16, OMI_HEAD_BYTES = 4 };
/* A body is an entry at most, or a block target and a half, which is far less. */
#define OMI_BLOCK_RAW_MAX (OMEN_VALUE_BYTES_MAX + 2 * OMEN_KEY_BYTES_MAX)

/* Does a header ask for far more memory than its block takes? Then verify before allocating: where
 * the header is damaged, the answer is OMEN_CORRUPT and not a shortage of memory. */
static inline bool omi_block_swells(const struct omi_block_header *h)
{
    return h->raw_bytes / 64 > h->stored_bytes;
}
/* What omi_block_decode does first: the check, and whether the codec's own frame is of raw_bytes. */
OMEN_MUST_CHECK omen_err omi_block_verify(const uint8_t *stored, const struct omi_block_header *h,
                                          uint64_t file_id, uint64_t off, const char *where);

uint64_t omi_block_check(const uint8_t *stored, uint32_t stored_bytes, uint64_t file_id,
                         uint64_t off);

#endif

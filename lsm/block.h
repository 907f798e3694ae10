/*
 * block.h - a data block: entries in columns, searched by 4-byte key heads.
 * Path:    get -> run -> filter -> block index -> [block]. Bytes: docs/format-table.md
 *
 * Stored form: a fixed header (stored size, raw size, count, codec, layout, check) and the body,
 * maybe compressed. Body, columnar: common prefix, u32 heads (the 4 key bytes after the prefix),
 * tail offsets (or one tail size), tails, trailers (base and width), value offsets (or one value
 * size), values. A single entry larger than the target has a layout of its own.
 * The check is XXH3 over header and stored body, seeded with file id ^ offset, so that a block that
 * was swapped or is stale fails.
 */
#ifndef OMI_BLOCK_H
#define OMI_BLOCK_H

#include "io/base/buf.h"
#include "io/base/entry.h"

enum {
    OMI_BLOCK_ALIGN = 64, /* every stored block starts at a multiple of this */
    OMI_BLOCK_HEADER_BYTES = 32,
    OMI_BLOCK_ENTRIES_MAX = 65535
};
/* An entry counts this much beside key and value against the block target. */
enum { OMI_ENTRY_OVERHEAD_BYTES = 12 };

/* zstd contexts and scratch of one thread; zero-initialise. */
struct omi_codec_state {
    void *compress, *decompress;
    struct omi_buf scratch;
};
void omi_codec_state_fini(struct omi_codec_state *state);

/* Appends one stored block with entries[0, count) (internal order, count >= 1) to out, padded with
 * zeros to OMI_BLOCK_ALIGN. Stored uncompressed when codec does not pay (less than 1/16 saved). off
 * is the block's offset in the file. bytewise false: the prefix is computed over all keys. */
OMEN_MUST_CHECK omen_err omi_block_encode(const struct omi_entry *entries, uint32_t count,
                                          bool bytewise, omen_codec codec,
                                          struct omi_codec_state *state, uint64_t file_id,
                                          uint64_t off, struct omi_buf *out);

/* The header of a stored block, from bytes that may be anything. */
struct omi_block_header {
    uint32_t stored_bytes; /* header and body, without padding */
    uint32_t raw_bytes;    /* of the body, uncompressed */
    uint32_t count;
    uint8_t codec, layout;
};
/* bytes: at least OMI_BLOCK_HEADER_BYTES; available: bytes from here to the end of the data.
 * where names the file for the words. */
OMEN_MUST_CHECK omen_err omi_block_header_decode(const uint8_t *bytes, uint64_t available,
                                                 uint64_t off, const char *where,
                                                 struct omi_block_header *header_out);

/* A decoded block: views into its body, all offsets checked, so that the calls below are safe. */
struct omi_block {
    const uint8_t *prefix, *heads, *tails, *trailers, *values;
    const uint8_t *head_sizes;             /* NULL: every head is four key bytes */
    const uint8_t *tail_offs, *value_offs; /* NULL: all of tail_size, of value_size */
    uint64_t trailer_base;
    uint32_t count, prefix_size, tail_size, value_size;
    uint8_t trailer_width;
    uint8_t wide; /* offsets are 4 bytes, not 2 */
};

/* Verifies the check, decompresses into body (8-byte aligned, capacity >= header.raw_bytes; the
 * stored body's own place is allowed, and free, when header.codec is 0) and validates every offset.
 * The block's views point into body. OMEN_CORRUPT names where and off. */
OMEN_MUST_CHECK omen_err omi_block_decode(const uint8_t *stored,
                                          const struct omi_block_header *header, uint64_t file_id,
                                          uint64_t off, const char *where,
                                          struct omi_codec_state *state, uint8_t *body,
                                          struct omi_block *block_out);

/* First entry >= (key, trailer) in internal order; block->count when there is none. */
uint32_t omi_block_lower_bound(const struct omi_block *block, const struct omi_order *order,
                               omen_slice key, uint64_t trailer);
uint32_t omi_block_key_size(const struct omi_block *block, uint32_t index);
/* Writes the key (key_size bytes) to key_buffer; out->key points there, out->value into the body.
 */
void omi_block_entry(const struct omi_block *block, uint32_t index, uint8_t *key_buffer,
                     struct omi_entry *out);
/* Is entry index's key equal to key? Without assembling it. */
bool omi_block_key_is(const struct omi_block *block, uint32_t index, omen_slice key);
/* Trailer and value alone. */
void omi_block_value(const struct omi_block *block, uint32_t index, uint64_t *trailer_out,
                     omen_slice *value_out);

#endif

/* block_decode.c - stored bytes, which may be anything, into a block whose every offset is checked.
 */
#include "io/base/coding.h"
#include "io/base/mutant.h"
#include "lsm/block_format.h"

#include <zstd.h>

static omen_err damaged(const char *where, uint64_t off, const char *what)
{
    return omi_fail(OMEN_CORRUPT, 0, "%s: block at offset %" PRIu64 ": %s", where, off, what);
}

omen_err omi_block_header_decode(const uint8_t *bytes, uint64_t available, uint64_t off,
                                 const char *where, struct omi_block_header *h)
{
    *h = (struct omi_block_header){.stored_bytes = omi_get_u32(bytes),
                                   .raw_bytes = omi_get_u32(bytes + 4),
                                   .count = omi_get_u32(bytes + 8),
                                   .codec = bytes[12],
                                   .layout = bytes[13]};
    if (h->stored_bytes < OMI_BLOCK_HEADER_BYTES || h->stored_bytes > available)
        return damaged(where, off, "the stored size does not fit");
    if (h->codec > OMI_BLOCK_CODEC_ZSTD || h->layout > OMI_BLOCK_SINGLE)
        return damaged(where, off, "codec or layout is unknown");
    if (h->raw_bytes > OMI_BLOCK_RAW_MAX || h->count == 0 || h->count > OMI_BLOCK_ENTRIES_MAX)
        return damaged(where, off, "size or count is out of range");
    uint32_t body = h->stored_bytes - OMI_BLOCK_HEADER_BYTES;
    /* Compressed, a body is smaller, or it would not have been stored so. */
    if (h->codec == OMI_BLOCK_CODEC_NONE
            ? body != h->raw_bytes
            : body >= h->raw_bytes || h->raw_bytes / 4096 > (uint64_t)body * 32)
        return damaged(where, off, "the raw size does not fit the stored one");
    return OMEN_OK;
}

static omen_err unpack(const uint8_t *stored, const struct omi_block_header *h, uint64_t off,
                       const char *where, struct omi_codec_state *state, uint8_t *body)
{
    const uint8_t *from = stored + OMI_BLOCK_HEADER_BYTES;
    size_t size = h->stored_bytes - OMI_BLOCK_HEADER_BYTES;
    if (h->codec == OMI_BLOCK_CODEC_NONE) {
        if (body != from && size != 0)
            memcpy(body, from, size);
        return OMEN_OK;
    }
    if (state->decompress == NULL && (state->decompress = ZSTD_createDCtx()) == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a zstd context");
    size_t n = ZSTD_decompressDCtx(state->decompress, body, h->raw_bytes, from, size);
    if (ZSTD_isError(n) || n != h->raw_bytes)
        return damaged(where, off, "it does not decompress");
    return OMEN_OK;
}

static const uint8_t zeros[8];

static omen_err single_open(const uint8_t *body, const struct omi_block_header *h, uint64_t off,
                            const char *where, struct omi_block *b)
{
    if (h->count != 1 || h->raw_bytes < OMI_SINGLE_BYTES)
        return damaged(where, off, "a single entry's head is short");
    uint32_t key_size = omi_get_u32(body + 8), value_size = omi_get_u32(body + 12);
    if (key_size > OMEN_KEY_BYTES_MAX ||
        (uint64_t)OMI_SINGLE_BYTES + key_size + value_size != h->raw_bytes)
        return damaged(where, off, "a single entry's sizes do not add up");
    *b = (struct omi_block){.prefix = body + OMI_SINGLE_BYTES,
                            .heads = zeros,
                            .head_sizes = zeros,
                            .tails = zeros,
                            .trailers = zeros,
                            .values = body + OMI_SINGLE_BYTES + key_size,
                            .trailer_base = omi_get_u64(body),
                            .count = 1,
                            .prefix_size = key_size,
                            .value_size = value_size};
    return OMEN_OK;
}

static uint32_t off_at(const uint8_t *offs, uint32_t i, bool wide)
{
    return wide ? omi_get_u32(offs + (size_t)i * 4) : omi_get_u16(offs + (size_t)i * 2);
}

/* The end of a column of offsets that starts at 0 and never falls; false otherwise. */
static bool offs_check(const uint8_t *offs, uint32_t count, bool wide, uint32_t *end_out)
{
    uint32_t last = off_at(offs, 0, wide);
    if (last != 0)
        return false;
    for (uint32_t i = 1; i <= count; i++) {
        uint32_t off = off_at(offs, i, wide);
        if (off < last)
            return false;
        last = off;
    }
    *end_out = last;
    return true;
}

/* Is a head of size < 4 key bytes zero behind them? Searching compares whole heads. */
static bool head_is_padded(const struct omi_block *b, uint32_t i, uint32_t size)
{
    uint32_t head = omi_get_u32(b->heads + (size_t)i * OMI_HEAD_BYTES);
    return (head & UINT32_MAX >> (8 * size)) == 0;
}

/* A key with a short head has no tail, and no key is over the limit. */
static bool keys_check(const struct omi_block *b)
{
    for (uint32_t i = 0; i < b->count; i++) {
        uint32_t head = b->head_sizes != NULL ? b->head_sizes[i] : OMI_HEAD_BYTES;
        uint32_t tail = b->tail_offs != NULL ? off_at(b->tail_offs, i + 1, b->wide) -
                                                   off_at(b->tail_offs, i, b->wide)
                                             : b->tail_size;
        if (head > OMI_HEAD_BYTES ||
            (head < OMI_HEAD_BYTES && (tail != 0 || !head_is_padded(b, i, head))) ||
            (uint64_t)b->prefix_size + head + tail > OMEN_KEY_BYTES_MAX)
            return false;
    }
    return true;
}

static omen_err columns_open(const uint8_t *body, const struct omi_block_header *h, uint64_t off,
                             const char *where, struct omi_block *b)
{
    struct omi_reader r = omi_reader_of(body, h->raw_bytes);
    const uint8_t *fixed = omi_take_bytes(&r, OMI_COLUMNS_BYTES);
    if (fixed == NULL || (fixed[2] & ~OMI_BLOCK_FLAGS_KNOWN) != 0 || fixed[3] > 8)
        return damaged(where, off, "the columns' head is not understood");
    uint8_t flags = fixed[2];
    *b = (struct omi_block){.count = h->count,
                            .prefix_size = omi_get_u16(fixed),
                            .trailer_width = fixed[3],
                            .tail_size = omi_get_u32(fixed + 4),
                            .value_size = omi_get_u32(fixed + 8),
                            .trailer_base = omi_get_u64(fixed + 16),
                            .wide = (flags & OMI_BLOCK_WIDE) != 0};
    size_t offs_bytes = ((size_t)h->count + 1) * (b->wide ? 4 : 2);
    b->heads = omi_take_bytes(&r, (size_t)h->count * OMI_HEAD_BYTES);
    if ((flags & OMI_BLOCK_FIXED_TAILS) == 0)
        b->tail_offs = omi_take_bytes(&r, offs_bytes);
    if ((flags & OMI_BLOCK_FIXED_VALUES) == 0)
        b->value_offs = omi_take_bytes(&r, offs_bytes);
    if ((flags & OMI_BLOCK_SHORT_KEYS) != 0)
        b->head_sizes = omi_take_bytes(&r, h->count);
    b->trailers = omi_take_bytes(&r, (size_t)h->count * b->trailer_width);
    b->prefix = omi_take_bytes(&r, b->prefix_size);
    if (r.failed)
        return damaged(where, off, "the columns do not fit");
    uint64_t tails = (uint64_t)b->tail_size * h->count, values = (uint64_t)b->value_size * h->count;
    uint32_t end;
    if (b->tail_offs != NULL) {
        if (!offs_check(b->tail_offs, h->count, b->wide, &end))
            return damaged(where, off, "key offsets fall");
        tails = end;
    }
    if (b->value_offs != NULL) {
        if (!offs_check(b->value_offs, h->count, b->wide, &end))
            return damaged(where, off, "value offsets fall");
        values = end;
    }
    if (tails + values != omi_reader_left(&r))
        return damaged(where, off, "keys and values do not fill the block");
    b->tails = r.next;
    b->values = r.next + tails;
    return keys_check(b) ? OMEN_OK : damaged(where, off, "a key's size is out of range");
}

omen_err omi_block_verify(const uint8_t *stored, const struct omi_block_header *h, uint64_t file_id,
                          uint64_t off, const char *where)
{
    uint64_t check = omi_block_check(stored, h->stored_bytes, file_id, off);
    if (check != omi_get_u64(stored + 24) && !OMI_MUTANT(OMI_MUTANT_BLOCK_UNCHECKED))
        return damaged(where, off, "its check does not match: the data is damaged or misplaced");
    const uint8_t *body = stored + OMI_BLOCK_HEADER_BYTES;
    if (h->codec == OMI_BLOCK_CODEC_ZSTD &&
        ZSTD_getFrameContentSize(body, h->stored_bytes - OMI_BLOCK_HEADER_BYTES) != h->raw_bytes)
        return damaged(where, off, "its codec's frame is of another size");
    return OMEN_OK;
}

omen_err omi_block_decode(const uint8_t *stored, const struct omi_block_header *h, uint64_t file_id,
                          uint64_t off, const char *where, struct omi_codec_state *state,
                          uint8_t *body, struct omi_block *b)
{
    omen_err err = omi_block_verify(stored, h, file_id, off, where);
    if (err == OMEN_OK)
        err = unpack(stored, h, off, where, state, body);
    if (err != OMEN_OK)
        return err;
    return h->layout == OMI_BLOCK_SINGLE ? single_open(body, h, off, where, b)
                                         : columns_open(body, h, off, where, b);
}

/* block_encode.c - entries into columns. */
#include "io/base/coding.h"
#include "io/base/hash.h"
#include "lsm/block_format.h"

#include <stdlib.h>
#include <zstd.h>

enum { ZSTD_FAST_LEVEL = -1, ZSTD_LEVEL = 1 };

void omi_codec_state_fini(struct omi_codec_state *state)
{
    ZSTD_freeCCtx(state->compress);
    ZSTD_freeDCtx(state->decompress);
    omi_buf_fini(&state->scratch);
    *state = (struct omi_codec_state){0};
}

uint64_t omi_block_check(const uint8_t *stored, uint32_t stored_bytes, uint64_t file_id,
                         uint64_t off)
{
    uint64_t seed = omi_checksum(stored, 24, file_id ^ off);
    return omi_checksum(stored + OMI_BLOCK_HEADER_BYTES, stored_bytes - OMI_BLOCK_HEADER_BYTES,
                        seed);
}

/* What the columns will look like. */
struct columns {
    uint32_t prefix_size, tail_size, value_size;
    uint64_t tails_bytes, values_bytes, trailer_base;
    uint8_t flags, trailer_width;
};

static uint32_t common_prefix(const struct omi_entry *entries, uint32_t count, bool bytewise)
{
    const struct omi_entry *first = &entries[0];
    size_t size = first->key_size;
    /* Sorted bytewise, all keys lie between the first and the last and share what these share. */
    for (uint32_t i = bytewise ? count - 1 : 0; i < count && size > 0; i++)
        size = omi_bytes_common(first->key, size, entries[i].key, entries[i].key_size);
    return (uint32_t)size;
}

static uint32_t head_size(const struct omi_entry *e, uint32_t prefix_size)
{
    uint32_t rest = e->key_size - prefix_size;
    return rest < OMI_HEAD_BYTES ? rest : OMI_HEAD_BYTES;
}

static uint32_t tail_size(const struct omi_entry *e, uint32_t prefix_size)
{
    return e->key_size - prefix_size - head_size(e, prefix_size);
}

static uint8_t bytes_for(uint64_t v)
{
    uint8_t n = 0;
    for (; v != 0; v >>= 8)
        n++;
    return n;
}

static struct columns measure(const struct omi_entry *entries, uint32_t count, bool bytewise)
{
    struct columns c = {.prefix_size = common_prefix(entries, count, bytewise),
                        .flags = OMI_BLOCK_FIXED_TAILS | OMI_BLOCK_FIXED_VALUES,
                        .trailer_base = entries[0].trailer};
    c.tail_size = tail_size(&entries[0], c.prefix_size);
    c.value_size = entries[0].value_size;
    uint64_t trailer_max = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct omi_entry *e = &entries[i];
        uint32_t tail = tail_size(e, c.prefix_size);
        if (tail != c.tail_size)
            c.flags &= (uint8_t)~OMI_BLOCK_FIXED_TAILS;
        if (e->value_size != c.value_size)
            c.flags &= (uint8_t)~OMI_BLOCK_FIXED_VALUES;
        if (head_size(e, c.prefix_size) < OMI_HEAD_BYTES)
            c.flags |= OMI_BLOCK_SHORT_KEYS;
        c.tails_bytes += tail;
        c.values_bytes += e->value_size;
        if (e->trailer < c.trailer_base)
            c.trailer_base = e->trailer;
        if (e->trailer > trailer_max)
            trailer_max = e->trailer;
    }
    c.trailer_width = bytes_for(trailer_max - c.trailer_base);
    if (((c.flags & OMI_BLOCK_FIXED_TAILS) == 0 && c.tails_bytes > UINT16_MAX) ||
        ((c.flags & OMI_BLOCK_FIXED_VALUES) == 0 && c.values_bytes > UINT16_MAX))
        c.flags |= OMI_BLOCK_WIDE;
    if ((c.flags & OMI_BLOCK_FIXED_TAILS) == 0)
        c.tail_size = 0;
    if ((c.flags & OMI_BLOCK_FIXED_VALUES) == 0)
        c.value_size = 0;
    return c;
}

static uint64_t columns_bytes(const struct columns *c, uint32_t count)
{
    uint64_t off_bytes = (c->flags & OMI_BLOCK_WIDE) != 0 ? 4 : 2, size = OMI_COLUMNS_BYTES;
    size += (uint64_t)count * OMI_HEAD_BYTES;
    if ((c->flags & OMI_BLOCK_FIXED_TAILS) == 0)
        size += (count + UINT64_C(1)) * off_bytes;
    if ((c->flags & OMI_BLOCK_FIXED_VALUES) == 0)
        size += (count + UINT64_C(1)) * off_bytes;
    if ((c->flags & OMI_BLOCK_SHORT_KEYS) != 0)
        size += count;
    size += (uint64_t)count * c->trailer_width;
    return size + c->prefix_size + c->tails_bytes + c->values_bytes;
}

static uint8_t *put_off(uint8_t *p, uint64_t off, bool wide)
{
    if (wide) {
        omi_put_u32(p, (uint32_t)off);
        return p + 4;
    }
    omi_put_u16(p, (uint16_t)off);
    return p + 2;
}

static uint8_t *put_offs(uint8_t *p, const struct omi_entry *entries, uint32_t count,
                         const struct columns *c, bool tails)
{
    bool wide = (c->flags & OMI_BLOCK_WIDE) != 0;
    uint64_t off = 0;
    for (uint32_t i = 0; i < count; i++) {
        p = put_off(p, off, wide);
        off += tails ? tail_size(&entries[i], c->prefix_size) : entries[i].value_size;
    }
    return put_off(p, off, wide);
}

static void columns_write(const struct omi_entry *entries, uint32_t count, const struct columns *c,
                          uint8_t *p)
{
    omi_put_u16(p, (uint16_t)c->prefix_size);
    p[2] = c->flags;
    p[3] = c->trailer_width;
    omi_put_u32(p + 4, c->tail_size);
    omi_put_u32(p + 8, c->value_size);
    omi_put_u32(p + 12, 0);
    omi_put_u64(p + 16, c->trailer_base);
    p += OMI_COLUMNS_BYTES;
    for (uint32_t i = 0; i < count; i++, p += OMI_HEAD_BYTES)
        omi_put_u32(
            p, omi_head32(entries[i].key + c->prefix_size, entries[i].key_size - c->prefix_size));
    if ((c->flags & OMI_BLOCK_FIXED_TAILS) == 0)
        p = put_offs(p, entries, count, c, true);
    if ((c->flags & OMI_BLOCK_FIXED_VALUES) == 0)
        p = put_offs(p, entries, count, c, false);
    for (uint32_t i = 0; (c->flags & OMI_BLOCK_SHORT_KEYS) != 0 && i < count; i++)
        *p++ = (uint8_t)head_size(&entries[i], c->prefix_size);
    for (uint32_t i = 0; i < count && c->trailer_width != 0; i++, p += c->trailer_width) {
        uint8_t bytes[8];
        omi_put_u64(bytes, entries[i].trailer - c->trailer_base);
        memcpy(p, bytes, c->trailer_width);
    }
    if (c->prefix_size != 0)
        memcpy(p, entries[0].key, c->prefix_size);
    p += c->prefix_size;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t tail = tail_size(&entries[i], c->prefix_size);
        if (tail != 0)
            memcpy(p, entries[i].key + entries[i].key_size - tail, tail);
        p += tail;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (entries[i].value_size != 0)
            memcpy(p, entries[i].value, entries[i].value_size);
        p += entries[i].value_size;
    }
}

static void single_write(const struct omi_entry *e, uint8_t *p)
{
    omi_put_u64(p, e->trailer);
    omi_put_u32(p + 8, e->key_size);
    omi_put_u32(p + 12, e->value_size);
    if (e->key_size != 0)
        memcpy(p + OMI_SINGLE_BYTES, e->key, e->key_size);
    if (e->value_size != 0)
        memcpy(p + OMI_SINGLE_BYTES + e->key_size, e->value, e->value_size);
}

/* Compresses body to to; size 0 when it does not pay. */
static omen_err compress(struct omi_codec_state *state, omen_codec codec, const uint8_t *body,
                         size_t size, uint8_t *to, size_t capacity, size_t *size_out)
{
    *size_out = 0;
    if (state->compress == NULL && (state->compress = ZSTD_createCCtx()) == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a zstd context");
    int level = codec == OMEN_CODEC_ZSTD ? ZSTD_LEVEL : ZSTD_FAST_LEVEL;
    size_t n = ZSTD_compressCCtx(state->compress, to, capacity, body, size, level);
    if (!ZSTD_isError(n) && n < size - size / 16)
        *size_out = n;
    return OMEN_OK;
}

omen_err omi_block_encode(const struct omi_entry *entries, uint32_t count, bool bytewise,
                          omen_codec codec, struct omi_codec_state *state, uint64_t file_id,
                          uint64_t off, struct omi_buf *out)
{
    /* A lone large entry needs no columns. */
    bool single = count == 1 && (uint64_t)entries[0].key_size + entries[0].value_size > 1024;
    struct columns c = {0};
    uint64_t raw;
    if (single) {
        raw = (uint64_t)OMI_SINGLE_BYTES + entries[0].key_size + entries[0].value_size;
    } else {
        c = measure(entries, count, bytewise);
        raw = columns_bytes(&c, count);
    }
    if (raw > OMI_BLOCK_RAW_MAX)
        return omi_fail(OMEN_INVALID, 0, "a block of %" PRIu64 " bytes", raw);
    bool packs = codec == OMEN_CODEC_ZSTD || codec == OMEN_CODEC_ZSTD_FAST;
    size_t bound = packs ? ZSTD_compressBound((size_t)raw) : 0;
    if (bound < raw)
        bound = (size_t)raw;
    omen_err err = omi_buf_reserve(out, OMI_BLOCK_HEADER_BYTES + bound + OMI_BLOCK_ALIGN);
    if (err == OMEN_OK && packs) {
        state->scratch.size = 0;
        err = omi_buf_reserve(&state->scratch, (size_t)raw);
    }
    if (err != OMEN_OK)
        return err;
    uint8_t *header = out->data + out->size, *to = header + OMI_BLOCK_HEADER_BYTES;
    uint8_t *body = packs ? state->scratch.data : to;
    if (single)
        single_write(&entries[0], body);
    else
        columns_write(entries, count, &c, body);
    size_t packed = 0;
    if (packs) {
        err = compress(state, codec, body, (size_t)raw, to, bound, &packed);
        if (err != OMEN_OK)
            return err;
        if (packed == 0)
            memcpy(to, body, (size_t)raw);
    }
    uint32_t stored = OMI_BLOCK_HEADER_BYTES + (uint32_t)(packed != 0 ? packed : raw);
    memset(header, 0, OMI_BLOCK_HEADER_BYTES);
    omi_put_u32(header, stored);
    omi_put_u32(header + 4, (uint32_t)raw);
    omi_put_u32(header + 8, count);
    header[12] = packed != 0 ? OMI_BLOCK_CODEC_ZSTD : OMI_BLOCK_CODEC_NONE;
    header[13] = single ? OMI_BLOCK_SINGLE : OMI_BLOCK_COLUMNAR;
    omi_put_u64(header + 24, omi_block_check(header, stored, file_id, off));
    uint32_t padding = (OMI_BLOCK_ALIGN - stored % OMI_BLOCK_ALIGN) % OMI_BLOCK_ALIGN;
    memset(header + stored, 0, padding);
    out->size += stored + padding;
    return OMEN_OK;
}

/*
 * coding.h - integers to and from bytes: little-endian, varints, big-endian key heads.
 * Decoders of hostile bytes use struct omi_reader: every take is checked, and after the first
 * failure all further takes fail, so a decoder may check once at the end.
 */
#ifndef OMI_CODING_H
#define OMI_CODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t omi_get_u16(const uint8_t *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static inline uint32_t omi_get_u32(const uint8_t *p) /* compilers make this one load */
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t omi_get_u64(const uint8_t *p)
{
    return (uint64_t)omi_get_u32(p) | (uint64_t)omi_get_u32(p + 4) << 32;
}

static inline void omi_put_u16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

static inline void omi_put_u32(uint8_t *p, uint32_t v)
{
    omi_put_u16(p, (uint16_t)v);
    omi_put_u16(p + 2, (uint16_t)(v >> 16));
}

static inline void omi_put_u64(uint8_t *p, uint64_t v)
{
    omi_put_u32(p, (uint32_t)v);
    omi_put_u32(p + 4, (uint32_t)(v >> 32));
}

/* The first eight bytes of a key as a big-endian number, zero padded: keeps byte order, but equal
 * heads do not mean equal keys. */
static inline uint64_t omi_head64(const uint8_t *key, size_t size)
{
    if (size >= 8) {
        uint64_t v;
        memcpy(&v, key, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        v = __builtin_bswap64(v);
#endif
        return v;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v |= (uint64_t)key[i] << (56 - 8 * i);
    return v;
}

/* The first four bytes likewise. */
static inline uint32_t omi_head32(const uint8_t *key, size_t size)
{
    if (size >= 4) {
        uint32_t v;
        memcpy(&v, key, 4);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
        v = __builtin_bswap32(v);
#endif
        return v;
    }
    uint32_t v = 0;
    for (size_t i = 0; i < size; i++)
        v |= (uint32_t)key[i] << (24 - 8 * i);
    return v;
}

enum { OMI_VARINT_BYTES_MAX = 10 };

/* LEB128; writes 1 to 10 bytes and returns how many. */
static inline size_t omi_put_varint(uint8_t *p, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        p[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (uint8_t)v;
    return n;
}

static inline size_t omi_varint_bytes(uint64_t v)
{
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

/* A cursor over bytes that may be anything. */
struct omi_reader {
    const uint8_t *next, *end;
    bool failed;
};

static inline struct omi_reader omi_reader_of(const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    return (struct omi_reader){.next = p, .end = size != 0 ? p + size : p, .failed = false};
}

static inline size_t omi_reader_left(const struct omi_reader *r)
{
    return r->failed ? 0 : (size_t)(r->end - r->next);
}

/* size bytes, borrowed from the input; NULL when they are not there. */
static inline const uint8_t *omi_take_bytes(struct omi_reader *r, size_t size)
{
    if (omi_reader_left(r) < size || r->failed) {
        r->failed = true;
        return NULL;
    }
    const uint8_t *p = r->next;
    r->next += size;
    return p;
}

static inline uint8_t omi_take_u8(struct omi_reader *r)
{
    const uint8_t *p = omi_take_bytes(r, 1);
    return p != NULL ? *p : 0;
}

static inline uint32_t omi_take_u32(struct omi_reader *r)
{
    const uint8_t *p = omi_take_bytes(r, 4);
    return p != NULL ? omi_get_u32(p) : 0;
}

static inline uint64_t omi_take_u64(struct omi_reader *r)
{
    const uint8_t *p = omi_take_bytes(r, 8);
    return p != NULL ? omi_get_u64(p) : 0;
}

static inline uint64_t omi_take_varint(struct omi_reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t b = omi_take_u8(r);
        if (r->failed)
            return 0;
        if (shift == 63 && b > 1)
            break;
        v |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return v;
    }
    r->failed = true;
    return 0;
}

#endif

/*
 * digest.h - the keys of a file as 32-bit numbers in the same order: the axis on which filters
 * learn regions. Two keys may share a digest; what is decided by digest is decided for both.
 */
#ifndef OMI_DIGEST_H
#define OMI_DIGEST_H

#include "io/base/coding.h"
#include "io/base/slice.h"

#include <stdbool.h>

/* Leading bytes that all keys of the file share are stripped; the next eight, big-endian and padded
 * with zeros, less the smallest key's, are shifted until the largest key's fits 32 bits. */
struct omi_digest {
    uint64_t base; /* the smallest key's eight bytes */
    uint16_t strip;
    uint8_t shift; /* 0 to 32 */
};

static inline uint64_t omi_digest_bytes(uint16_t strip, const void *key, size_t size)
{
    return size > strip ? omi_head64((const uint8_t *)key + strip, size - strip) : 0;
}

/* Of the smallest and largest key of a file. */
static inline struct omi_digest omi_digest_make(omen_slice smallest, omen_slice largest)
{
    size_t common = omi_bytes_common(smallest.data, smallest.size, largest.data, largest.size);
    struct omi_digest d = {.strip = (uint16_t)common};
    d.base = omi_digest_bytes(d.strip, smallest.data, smallest.size);
    uint64_t width = omi_digest_bytes(d.strip, largest.data, largest.size) - d.base;
    while (width >> d.shift > UINT32_MAX)
        d.shift++;
    return d;
}

/* Monotone over the keys between smallest and largest, and defined for any other. */
static inline uint32_t omi_digest_of(const struct omi_digest *d, const void *key, size_t size)
{
    uint64_t at = omi_digest_bytes(d->strip, key, size);
    uint64_t off = at > d->base ? (at - d->base) >> d->shift : 0;
    return off < UINT32_MAX ? (uint32_t)off : UINT32_MAX;
}

#endif

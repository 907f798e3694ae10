#include "io/base/hash.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

uint64_t omi_checksum(const void *bytes, size_t size, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes, size, seed);
}

uint64_t omi_key_hash(const void *key, size_t size)
{
    return XXH3_64bits(key, size);
}

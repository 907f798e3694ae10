/*
 * hash.h - XXH3 (64 bits): the checksum of everything on disk and the key hash of the filters.
 * Written by Yann Collet, BSD; header-only, from the system's package.
 */
#ifndef OMI_HASH_H
#define OMI_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The checksum seed binds bytes to their place: file id ^ offset, a log's nonce, … */
uint64_t omi_checksum(const void *bytes, size_t size, uint64_t seed);
/* The one hash of a user key; every filter probes with it. Part of the file formats. */
uint64_t omi_key_hash(const void *key, size_t size);

#endif

/*
 * bench_keys.h - the keys of a benchmark: number n in [0, num) -> bytes.
 * be64, the default, is RocksDB's layout; it is built here, inline.
 */
#ifndef OMT_BENCH_KEYS_H
#define OMT_BENCH_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lsm/omendb.h"

enum bench_key_kind {
    BENCH_KEY_BE64,       /* 8 bytes big-endian, then '0' to the key size */
    BENCH_KEY_DECIMAL,    /* digits, '0' in front, as wide as the key size */
    BENCH_KEY_YCSB,       /* "user" and YCSB's hash in decimal */
    BENCH_KEY_UUID,       /* a version-4 UUID in text, from a hash */
    BENCH_KEY_TIMESERIES, /* 8 bytes series, 8 bytes time, both big-endian */
    BENCH_KEY_FILE        /* the lines of a file */
};

struct bench_keys {
    enum bench_key_kind kind;
    char *text; /* of the file */
    const char **lines;
    const char *prefix;
    size_t prefix_len, key_size;
    uint64_t num, line_count;
};

/* dist as --key_dist says. False, told on stderr, when there is no such kind or file. */
bool bench_keys_init(struct bench_keys *k, const char *dist, const char *prefix, uint64_t key_size,
                     uint64_t num);
void bench_keys_fini(struct bench_keys *k);
/* Bytes a key has: of be64 exactly, else about. */
size_t bench_keys_size(const struct bench_keys *k);

size_t bench_key_other(const struct bench_keys *k, uint64_t n, uint8_t *out);
/* Writes the key into out (BENCH_KEY_ROOM bytes), returns its length. */
static inline size_t bench_key(const struct bench_keys *k, uint64_t n, uint8_t *out)
{
    if (k->kind != BENCH_KEY_BE64 || k->prefix_len != 0 || k->key_size < 8)
        return bench_key_other(k, n, out);
    uint64_t be = __builtin_bswap64(n);
    memcpy(out, &be, 8);
    memset(out + 8, '0', k->key_size - 8);
    return k->key_size;
}

/* YCSB's hash of a record number: FNV-1a over its 8 bytes, low byte first, made positive. */
uint64_t bench_ycsb_hash(uint64_t n);
/* n in decimal, '0' in front up to width; returns the length. */
size_t bench_digits(uint8_t *out, uint64_t n, size_t width);

/* A permutation of [0, num): each number once, in an order that looks random; no memory. */
struct bench_shuffle {
    uint64_t num, seed;
    unsigned half_bits;
};
struct bench_shuffle bench_shuffle(uint64_t num, uint64_t seed);
uint64_t bench_shuffle_at(const struct bench_shuffle *s, uint64_t i);

#endif

/*
 * bench_values.h - the values benchmarks write: slices of one pool that compresses to a given part.
 * With checked values, a value follows from its key's number, so that every read can be verified:
 * 8 bytes of the number, then the pool at a place the number names.
 * Threads: the pool is read-only; a cursor belongs to one thread.
 */
#ifndef OMT_BENCH_VALUES_H
#define OMT_BENCH_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "lsm/omendb.h"

enum bench_sizes { BENCH_SIZE_FIXED, BENCH_SIZE_UNIFORM, BENCH_SIZE_NORMAL };

struct bench_values {
    uint8_t *pool;
    uint64_t pool_bytes, bytes; /* bytes: of a value, or the largest */
    uint64_t bytes_min;
    enum bench_sizes sizes;
    bool checked;
};
struct bench_cursor {
    const struct bench_values *values;
    uint64_t at;
    uint8_t *copy; /* room for a checked value */
};

bool bench_values_init(struct bench_values *v, uint64_t bytes, double ratio);
void bench_values_fini(struct bench_values *v);
bool bench_cursor_init(struct bench_cursor *c, const struct bench_values *v, uint64_t start);
void bench_cursor_fini(struct bench_cursor *c);
/* The value to write for key number n; random feeds sizes that vary. Until the next call. */
omen_slice bench_value_odd(struct bench_cursor *c, uint64_t n, uint64_t random);
static inline omen_slice bench_value(struct bench_cursor *c, uint64_t n, uint64_t random)
{
    const struct bench_values *v = c->values;
    if (v->checked || v->sizes != BENCH_SIZE_FIXED)
        return bench_value_odd(c, n, random);
    if (c->at + v->bytes > v->pool_bytes)
        c->at = 0;
    omen_slice s = {v->pool + c->at, v->bytes};
    c->at += v->bytes;
    return s;
}
/* Whether data is the checked value of key number n. */
bool bench_value_check(const struct bench_values *v, uint64_t n, const void *data, size_t size);

#endif

#include "tools/bench_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_BYTES = 1 << 20, PIECE_BYTES = 100, NUMBER_BYTES = 8 };

static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

bool bench_values_init(struct bench_values *v, uint64_t bytes, double ratio)
{
    /* A value must fit, and a checked one must find room for its place to vary. */
    uint64_t pool_bytes = bytes > POOL_BYTES / 2 ? bytes + POOL_BYTES : POOL_BYTES;
    *v = (struct bench_values){.pool_bytes = pool_bytes, .bytes = bytes};
    v->pool = malloc(pool_bytes);
    if (v->pool == NULL)
        return false;
    uint64_t fresh = ratio <= 0 ? 1 : (uint64_t)(PIECE_BYTES * (ratio > 1 ? 1 : ratio));
    fresh = fresh == 0 ? 1 : fresh;
    uint64_t seed = 301;
    for (uint64_t at = 0; at < pool_bytes; at++) {
        uint64_t in_piece = at % PIECE_BYTES;
        if (in_piece < fresh) /* printable bytes, then repeated to the end of the piece */
            v->pool[at] = (uint8_t)(' ' + mix(seed++ * 0x9e3779b97f4a7c15u) % 95);
        else
            v->pool[at] = v->pool[at - fresh];
    }
    return true;
}

void bench_values_fini(struct bench_values *v)
{
    free(v->pool);
    v->pool = NULL;
}

bool bench_cursor_init(struct bench_cursor *c, const struct bench_values *v, uint64_t start)
{
    *c = (struct bench_cursor){.values = v};
    c->at = mix(start) % (v->pool_bytes - v->bytes);
    if (v->checked)
        c->copy = malloc(v->bytes == 0 ? 1 : v->bytes);
    return !v->checked || c->copy != NULL;
}

void bench_cursor_fini(struct bench_cursor *c)
{
    free(c->copy);
    c->copy = NULL;
}

static uint64_t varied_size(const struct bench_values *v, uint64_t random)
{
    uint64_t span = v->bytes - v->bytes_min;
    if (v->sizes == BENCH_SIZE_UNIFORM)
        return v->bytes_min + (uint64_t)((unsigned __int128)random * (span + 1) >> 64);
    /* Normal: mean in the middle, three deviations to either end; Box-Muller on two halves. */
    double a = ((double)(uint32_t)random + 1) / 4294967296.0;
    double b = (double)(uint32_t)(random >> 32) / 4294967296.0;
    double x = sqrt(-2 * log(a)) * cos(6.283185307179586 * b);
    double size = (double)v->bytes_min + (double)span / 2 + x * (double)span / 6;
    if (size < (double)v->bytes_min)
        return v->bytes_min;
    return size > (double)v->bytes ? v->bytes : (uint64_t)size;
}

static const uint8_t *checked_rest(const struct bench_values *v, uint64_t n)
{
    return v->pool + mix(n + 1) % (v->pool_bytes - v->bytes);
}

omen_slice bench_value_odd(struct bench_cursor *c, uint64_t n, uint64_t random)
{
    const struct bench_values *v = c->values;
    uint64_t size =
        v->sizes == BENCH_SIZE_FIXED ? v->bytes : varied_size(v, v->checked ? mix(n) : random);
    if (!v->checked) {
        if (c->at + size > v->pool_bytes)
            c->at = 0;
        omen_slice s = {v->pool + c->at, size};
        c->at += size;
        return s;
    }
    uint64_t head = size < NUMBER_BYTES ? size : NUMBER_BYTES;
    memcpy(c->copy, &n, head);
    memcpy(c->copy + head, checked_rest(v, n), size - head);
    return (omen_slice){c->copy, size};
}

bool bench_value_check(const struct bench_values *v, uint64_t n, const void *data, size_t size)
{
    uint64_t want = v->sizes == BENCH_SIZE_FIXED ? v->bytes : varied_size(v, mix(n));
    if (size != want)
        return false;
    uint64_t head = size < NUMBER_BYTES ? size : NUMBER_BYTES;
    return memcmp(data, &n, head) == 0 &&
           memcmp((const uint8_t *)data + head, checked_rest(v, n), size - head) == 0;
}

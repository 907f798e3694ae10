#include "tests/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t rng_next(struct rng *r) /* splitmix64 */
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
    return rng_next(r) % n;
}

bool rng_one_in(struct rng *r, uint64_t n)
{
    return rng_below(r, n) == 0;
}

const char *key_family_name(enum key_family family)
{
    static const char *const names[] = {"be64", "user", "nested", "long-prefix", "binary"};
    return names[family];
}

static size_t key_nested(uint64_t i, uint8_t *out)
{
    /* 0 is the empty key; others are strings over {0x00, 'a', 0xff}: prefixes of each other. */
    static const uint8_t letters[3] = {0x00, 'a', 0xff};
    size_t n = 0;
    while (i > 0) {
        i--;
        out[n++] = letters[i % 3];
        i /= 3;
    }
    return n;
}

size_t key_make(enum key_family family, uint64_t i, uint8_t out[static MODEL_KEY_BYTES_MAX])
{
    switch (family) {
    case KEYS_BE64:
        for (int b = 0; b < 8; b++)
            out[b] = (uint8_t)(i >> (56 - 8 * b));
        memset(out + 8, '0', 8);
        return 16;
    case KEYS_USER:
        return (size_t)snprintf((char *)out, MODEL_KEY_BYTES_MAX, "user%llu",
                                (unsigned long long)(i * UINT64_C(0x9e3779b97f4a7c15)));
    case KEYS_NESTED:
        return key_nested(i, out);
    case KEYS_LONG_PREFIX:
        memset(out, 'p', 300);
        return 300 + (size_t)snprintf((char *)out + 300, 64, "%llu", (unsigned long long)i);
    default: {
        struct rng r = {i};
        size_t n = 2 + rng_below(&r, 20);
        out[0] = (uint8_t)(i >> 8);
        out[1] = (uint8_t)i;
        for (size_t b = 2; b < n; b++)
            out[b] = (uint8_t)rng_next(&r);
        return n;
    }
    }
}

void value_make(uint64_t id, size_t size, uint8_t *out)
{
    struct rng r = {id ^ size << 40};
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        /* Half of each word repeats, so that codecs have work and pay. */
        uint64_t v = rng_next(&r) & UINT64_C(0xffffffff);
        memcpy(out + i, &v, 8);
    }
    for (; i < size; i++)
        out[i] = (uint8_t)rng_next(&r);
}

size_t value_size(uint64_t id, size_t max)
{
    struct rng r = {id * 31 + 7};
    uint64_t kind = rng_below(&r, 64);
    if (kind == 0)
        return 0;
    if (kind == 1)
        return rng_below(&r, max + 1);
    size_t small = max < 150 ? max : 150;
    return rng_below(&r, small + 1);
}

static char replay[512];

void replay_set(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(replay, sizeof(replay), format, args);
    va_end(args);
}

void fail_now(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "FAILED: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\nreplay: %s\n", replay);
    va_end(args);
    exit(1);
}

/* stress_keys.c - families of keys, each hard on another part, sorted once; values from numbers. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/stress.h"

enum { KEY_BYTES_MAX = 340 };

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

static size_t key_binary(uint64_t i, uint8_t *out)
{
    struct stress_rng r = stress_rng_of(3, i, 0);
    size_t n = 3 + stress_below(&r, 20);
    for (int b = 0; b < 3; b++)
        out[b] = (uint8_t)(i >> (16 - 8 * b));
    for (size_t b = 3; b < n; b++)
        out[b] = (uint8_t)stress_next(&r);
    return n;
}

/* Key number i of a family; distinct for distinct i below 2^24. */
static size_t key_make(enum stress_family family, uint64_t i, uint8_t out[static KEY_BYTES_MAX])
{
    switch (family) {
    case STRESS_BE64:
        for (int b = 0; b < 8; b++)
            out[b] = (uint8_t)(i >> (56 - 8 * b));
        memset(out + 8, '0', 8);
        return 16;
    case STRESS_USER:
        return (size_t)snprintf((char *)out, KEY_BYTES_MAX, "user%" PRIu64,
                                i * UINT64_C(0x9e3779b97f4a7c15));
    case STRESS_NESTED:
        return key_nested(i, out);
    case STRESS_LONG_PREFIX:
        memset(out, 'p', 300);
        return 300 + (size_t)snprintf((char *)out + 300, KEY_BYTES_MAX - 300, "%" PRIu64, i);
    default:
        return key_binary(i, out);
    }
}

static int slice_compare(const void *a, const void *b)
{
    const omen_slice *x = a, *y = b;
    return omi_bytes_compare(x->data, x->size, y->data, y->size);
}

bool stress_keys_make(enum stress_family family, uint64_t count, struct stress_keys *out)
{
    uint8_t key[KEY_BYTES_MAX];
    size_t bytes = 0;
    for (uint64_t i = 0; i < count; i++)
        bytes += key_make(family, i, key);
    uint8_t *unsorted = malloc(bytes + KEY_BYTES_MAX);
    omen_slice *slices = malloc(count * sizeof(*slices));
    *out = (struct stress_keys){malloc(bytes + 1), malloc((count + 1) * sizeof(uint64_t)), count};
    bool done = unsorted != NULL && slices != NULL && out->bytes != NULL && out->offs != NULL;
    size_t at = 0;
    for (uint64_t i = 0; i < count && done; i++) {
        slices[i] = omi_slice(unsorted + at, key_make(family, i, unsorted + at));
        at += slices[i].size;
    }
    if (done)
        qsort(slices, count, sizeof(*slices), slice_compare);
    at = 0;
    for (uint64_t i = 0; i < count && done; i++) {
        out->offs[i] = at;
        if (slices[i].size != 0)
            memcpy(out->bytes + at, slices[i].data, slices[i].size);
        at += slices[i].size;
        out->offs[i + 1] = at;
    }
    free(unsorted);
    free(slices);
    return done;
}

void stress_keys_free(struct stress_keys *k)
{
    free(k->bytes);
    free(k->offs);
}

omen_slice stress_key(const struct stress_keys *k, uint64_t rank)
{
    return omi_slice(k->bytes + k->offs[rank], k->offs[rank + 1] - k->offs[rank]);
}

int64_t stress_key_coord(const struct stress_keys *k, omen_slice key)
{
    uint64_t low = 0, high = k->count;
    while (low < high) {
        uint64_t mid = low + (high - low) / 2;
        omen_slice m = stress_key(k, mid);
        int c = omi_bytes_compare(m.data, m.size, key.data, key.size);
        if (c == 0)
            return (int64_t)(2 * mid + 1);
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return (int64_t)(2 * low);
}

/* ---- counters -------------------------------------------------------------------------------- */

static const char counter_prefix[] = "counter of ";

omen_slice stress_counter_key(uint32_t thread, uint8_t out[static STRESS_COUNTER_BYTES])
{
    memset(out, 0, STRESS_COUNTER_BYTES);
    int n = snprintf((char *)out, STRESS_COUNTER_BYTES, "%s%u", counter_prefix, thread);
    return omi_slice(out, (size_t)n);
}

bool stress_is_counter(omen_slice key)
{
    return key.size == sizeof(counter_prefix) && /* one digit */
           memcmp(key.data, counter_prefix, sizeof(counter_prefix) - 1) == 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

size_t stress_value_size(uint64_t id, uint64_t value_max)
{
    struct stress_rng r = stress_rng_of(4, id, 0);
    uint64_t kind = stress_below(&r, 64);
    if (kind == 0)
        return 0;
    if (kind == 1)
        return stress_below(&r, value_max + 1);
    return stress_below(&r, (value_max < 150 ? value_max : 150) + 1);
}

/* Self-describing from 8 bytes on: the id comes first. */
void stress_value_make(uint64_t rank, uint64_t id, size_t size, uint8_t *out)
{
    struct stress_rng r = stress_rng_of(rank, id, size);
    size_t i = 0;
    if (size >= 8) {
        memcpy(out, &id, 8);
        i = 8;
    }
    for (; i + 8 <= size; i += 8) {
        /* Half of each word repeats, so that codecs have work and pay. */
        uint64_t v = stress_next(&r) & UINT64_C(0xffffffff);
        memcpy(out + i, &v, 8);
    }
    for (; i < size; i++)
        out[i] = (uint8_t)stress_next(&r);
}

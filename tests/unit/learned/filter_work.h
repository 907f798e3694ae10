/*
 * filter_work.h - key sets and absent lookups of several shapes, for tests of filters: keys of eight
 * big-endian bytes, made from a seed.
 */
#ifndef FILTER_WORK_H
#define FILTER_WORK_H

#include "io/base/coding.h"
#include "io/base/hash.h"
#include "learned/filter.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

enum work_shape { WORK_HASHED, WORK_CLUSTERS, WORK_HALF_CLUSTERS, WORK_METRICS, WORK_NEWEST };

struct work {
    enum work_shape shape;
    uint64_t state;
    uint64_t *numbers; /* ascending, distinct */
    uint8_t *bytes;
    struct omi_index_key *keys;
    uint64_t *hashes;
    uint32_t count, metrics_known;
    uint32_t *metrics; /* ten times as many as known ones */
};

static uint64_t work_random(struct work *w)
{
    uint64_t z = w->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static int work_compare(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    return (x > y) - (x < y);
}

static uint64_t work_time_key(uint32_t metric, uint64_t second)
{
    return (uint64_t)metric << 32 | (1700000000u + second);
}

static uint64_t work_number(struct work *w, uint32_t i, uint64_t *base)
{
    enum { CLUSTERS = 1000, POINTS = 50 };
    if (w->shape == WORK_CLUSTERS || w->shape == WORK_HALF_CLUSTERS) {
        if (i % (w->count / CLUSTERS + 1) == 0)
            *base = work_random(w);
        uint64_t width = w->shape == WORK_CLUSTERS ? UINT64_C(1) << 40 : UINT64_C(5) << 50;
        return *base + work_random(w) % width;
    }
    if (w->shape == WORK_METRICS) {
        uint32_t metric = w->metrics[i / POINTS % w->metrics_known];
        return work_time_key(metric, i % POINTS * UINT64_C(72) + metric % 10);
    }
    if (w->shape == WORK_NEWEST)
        return work_random(w) % (w->count * UINT64_C(100)) * 1000;
    return work_random(w);
}

static void work_put_be(uint8_t *out, uint64_t v)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        out[i] = (uint8_t)v;
}

static inline struct work work_make(enum work_shape shape, uint32_t count, uint64_t seed)
{
    struct work w = {.shape = shape, .state = seed, .count = count};
    uint64_t base = 0;
    uint32_t kept = 0;
    w.numbers = malloc(count * sizeof(*w.numbers));
    w.metrics_known = count / 50;
    w.metrics = malloc((w.metrics_known * 10 + 1) * sizeof(*w.metrics));
    for (uint32_t i = 0; i < 10 * w.metrics_known; i++)
        w.metrics[i] = (uint32_t)work_random(&w);
    for (uint32_t i = 0; i < count; i++)
        w.numbers[i] = work_number(&w, i, &base);
    qsort(w.numbers, count, sizeof(*w.numbers), work_compare);
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || w.numbers[i] != w.numbers[kept - 1])
            w.numbers[kept++] = w.numbers[i];
    w.count = kept;
    w.bytes = malloc(kept * (size_t)8);
    w.keys = malloc(kept * sizeof(*w.keys));
    w.hashes = malloc(kept * sizeof(*w.hashes));
    for (uint32_t i = 0; i < kept; i++) {
        uint8_t *key = w.bytes + i * (size_t)8;
        work_put_be(key, w.numbers[i]);
        w.keys[i] = (struct omi_index_key){key, 1, 8, 40};
        w.hashes[i] = omi_key_hash(key, 8);
    }
    return w;
}

static inline void work_free(struct work *w)
{
    free(w->numbers);
    free(w->metrics);
    free(w->bytes);
    free(w->keys);
    free(w->hashes);
}

static uint64_t work_candidate(struct work *w)
{
    uint64_t first = w->numbers[0], span = w->numbers[w->count - 1] - first;
    switch (w->shape) {
    case WORK_CLUSTERS:
    case WORK_HALF_CLUSTERS:
        return first + work_random(w) % span;
    case WORK_METRICS:
        return work_time_key(w->metrics[w->metrics_known + work_random(w) % (9 * w->metrics_known)],
                             work_random(w) % 3600);
    case WORK_NEWEST: {
        uint64_t ids = w->count * UINT64_C(100), hot = ids / 10 * 9;
        bool newest = work_random(w) % 10 < 8;
        return (newest ? hot + work_random(w) % (ids / 10) : work_random(w) % ids) * 1000;
    }
    case WORK_HASHED:
        break;
    }
    return work_random(w);
}

/* A key that is not there, as this shape's clients ask for it. */
static inline struct omi_filter_sample work_absent(struct work *w)
{
    struct omi_filter_sample s = {.key_size = 8};
    uint64_t number = work_candidate(w);
    while (bsearch(&number, w->numbers, w->count, sizeof(number), work_compare) != NULL)
        number = work_candidate(w);
    work_put_be(s.head, number);
    s.hash = omi_key_hash(s.head, 8);
    return s;
}

/* A filter with its section, as a table holds it. */
struct work_filter {
    struct omi_filter f;
    struct omi_filter_info info;
    uint8_t *section;
    size_t size;
};

static inline struct work_filter work_build(struct work *w, const struct omi_filter_params *params)
{
    struct omi_filter_input input = {w->keys, w->hashes, w->count};
    struct omi_buf out = {0};
    struct work_filter b = {.section = NULL};
    cr_assert_eq(omi_filter_build(&input, params, &out, &b.info), OMEN_OK, "%s", omen_last_error());
    b.size = out.size;
    if (out.size == 0)
        return b;
    b.section = aligned_alloc(64, (out.size + 63) / 64 * 64);
    memcpy(b.section, out.data, out.size);
    cr_assert_eq(omi_filter_open(b.section, (size_t)b.info.head_bytes, out.size, &b.f), OMEN_OK,
                 "%s", omen_last_error());
    omi_buf_fini(&out);
    return b;
}

static inline bool work_asks(const struct work_filter *b, const uint8_t *key, uint32_t size,
                             uint64_t hash)
{
    return b->size == 0 || omi_filter_may_hold(&b->f, b->section, omi_slice(key, size), hash);
}

static inline void work_expect_no_key_denied(const struct work *w, const struct work_filter *b)
{
    for (uint32_t i = 0; i < w->count; i++)
        cr_assert(work_asks(b, w->keys[i].key, w->keys[i].key_size, w->hashes[i]), "key %u", i);
}

/* The share of absent lookups that pass. */
static inline double work_fpr(struct work *w, const struct work_filter *b, uint32_t lookups)
{
    uint32_t passed = 0;
    for (uint32_t i = 0; i < lookups; i++) {
        struct omi_filter_sample s = work_absent(w);
        passed += work_asks(b, s.head, s.key_size, s.hash);
    }
    return (double)passed / lookups;
}

#endif

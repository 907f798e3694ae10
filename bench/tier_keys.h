/*
 * tier_keys.h - the keys of bench/tier_bench: 16 digits, drawn uniformly or by Zipf 0.99 as in YCSB.
 */
#ifndef BENCH_TIER_KEYS_H
#define BENCH_TIER_KEYS_H

#include "lsm/omendb.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

static inline uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

struct draw {
    uint64_t state;
    double zipf_n, zeta, eta; /* of Zipf 0.99, as in YCSB */
};

static inline uint64_t draw_next(struct draw *d)
{
    return mix(d->state += UINT64_C(0x9e3779b97f4a7c15));
}

static inline double draw_unit(struct draw *d)
{
    return (double)(draw_next(d) >> 11) * 0x1p-53;
}

static const double theta = 0.99;

static inline void zipf_begin(struct draw *d, uint64_t n)
{
    d->zipf_n = (double)n;
    d->zeta = 0;
    for (uint64_t i = 1; i <= n; i++)
        d->zeta += 1 / pow((double)i, theta);
    d->eta = (1 - pow(2 / d->zipf_n, 1 - theta)) / (1 - (1 + pow(0.5, theta)) / d->zeta);
}

static inline uint64_t zipf_next(struct draw *d)
{
    double u = draw_unit(d), uz = u * d->zeta;
    if (uz < 1)
        return 0;
    if (uz < 1 + pow(0.5, theta))
        return 1;
    return (uint64_t)(d->zipf_n * pow(d->eta * u - d->eta + 1, 1 / (1 - theta))) %
           (uint64_t)d->zipf_n;
}

/* Sixteen digits; the i-th key in order is 10 i, absent ones lie between. */
enum { KEY_BYTES = 16 };
static inline omen_slice key_of(uint64_t i, bool there, char out[static KEY_BYTES + 1])
{
    uint64_t v = 10 * i + (there ? 0 : 5);
    for (int b = KEY_BYTES - 1; b >= 0; b--, v /= 10)
        out[b] = (char)('0' + v % 10);
    return (omen_slice){out, KEY_BYTES};
}

#endif

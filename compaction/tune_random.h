/*
 * tune_random.h - random numbers of the tuner: splitmix64 (Steele, Lea, Flood, "Fast Splittable
 * Pseudorandom Number Generators", 2014), so that a seed means the same choices everywhere.
 */
#ifndef OMI_TUNE_RANDOM_H
#define OMI_TUNE_RANDOM_H

#include <stdint.h>

struct omi_random {
    uint64_t state;
};

static inline uint64_t omi_random_mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint64_t omi_random_next(struct omi_random *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    return omi_random_mix(r->state);
}

/* [0, 1) in steps of 2^-53 */
static inline double omi_random_unit(struct omi_random *r)
{
    return (double)(omi_random_next(r) >> 11) * 0x1p-53;
}

/* [0, limit); limit is not 0. Below 2^32 the bias is under 2^-32. */
static inline uint64_t omi_random_below(struct omi_random *r, uint64_t limit)
{
    if (limit <= UINT32_MAX)
        return (omi_random_next(r) >> 32) * limit >> 32;
    return omi_random_next(r) % limit;
}

#endif

/*
 * shape.c - limits of the fluid shape.
 */
#include "compaction/shape.h"

#include <string.h>

enum { RUNS_MAX = 64, SIZE_RATIO_MIN = 2, SIZE_RATIO_MAX = 99 };

omen_err omi_shape_check(const struct omi_shape *shape)
{
    if (shape->size_ratio < SIZE_RATIO_MIN || shape->size_ratio > SIZE_RATIO_MAX)
        return omi_fail(OMEN_INVALID, 0, "size_ratio is %" PRIu32 ", must be %d to %d",
                        shape->size_ratio, SIZE_RATIO_MIN, SIZE_RATIO_MAX);
    if (shape->runs_upper < 1 || shape->runs_upper > RUNS_MAX)
        return omi_fail(OMEN_INVALID, 0, "runs_upper is %" PRIu32 ", must be 1 to %d",
                        shape->runs_upper, RUNS_MAX);
    if (shape->runs_last < 1 || shape->runs_last > RUNS_MAX)
        return omi_fail(OMEN_INVALID, 0, "runs_last is %" PRIu32 ", must be 1 to %d",
                        shape->runs_last, RUNS_MAX);
    for (int i = 0; i < OMEN_LEVELS_MAX; i++)
        if (shape->runs_level[i] > RUNS_MAX)
            return omi_fail(OMEN_INVALID, 0,
                            "runs_level of level %d is %" PRIu32 ", must be 0 to %d", i + 1,
                            shape->runs_level[i], RUNS_MAX);
    if (shape->memtable_bytes == 0)
        return omi_fail(OMEN_INVALID, 0, "memtable_bytes is 0");
    return OMEN_OK;
}

uint64_t omi_shape_capacity(const struct omi_shape *shape, uint32_t level)
{
    uint64_t capacity = shape->memtable_bytes;
    if (__builtin_mul_overflow(capacity, (uint64_t)shape->size_ratio - 1, &capacity))
        return UINT64_MAX;
    for (uint32_t i = 1; i < level; i++)
        if (__builtin_mul_overflow(capacity, (uint64_t)shape->size_ratio, &capacity))
            return UINT64_MAX;
    return capacity;
}

uint32_t omi_shape_runs(const struct omi_shape *shape, uint32_t level, uint32_t last_level)
{
    if (level >= 1 && level <= OMEN_LEVELS_MAX && shape->runs_level[level - 1] != 0)
        return shape->runs_level[level - 1];
    return level < last_level ? shape->runs_upper : shape->runs_last;
}

omen_err omi_shape_preset(struct omi_shape *shape, const char *name)
{
    uint32_t tiered = shape->size_ratio > 2 ? shape->size_ratio - 1 : 1;
    if (tiered > RUNS_MAX)
        tiered = RUNS_MAX;
    uint32_t upper = 1, last = 1, first = 0;
    if (strcmp(name, "leveling") == 0)
        ;
    else if (strcmp(name, "tiering") == 0)
        upper = last = tiered;
    else if (strcmp(name, "lazy-leveling") == 0)
        upper = tiered;
    else if (strcmp(name, "1-leveling") == 0)
        first = tiered;
    else
        return omi_fail(OMEN_INVALID, 0,
                        "shape \"%s\": not one of leveling, tiering, lazy-leveling, 1-leveling",
                        name);
    memset(shape->runs_level, 0, sizeof(shape->runs_level));
    shape->runs_level[0] = first;
    shape->runs_upper = upper;
    shape->runs_last = last;
    return OMEN_OK;
}

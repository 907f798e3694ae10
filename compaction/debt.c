/*
 * debt.c - how much merging a tree is behind.
 *
 * Only what lies past a limit counts, not the whole round that will be merged when the limit is
 * passed: so the debt of a tree at its limits is 0, grows with every byte written past them, and
 * does not jump when a level fills up.
 */
#include "compaction/pick.h"

static uint64_t add(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* bytes of the count newest runs of the level */
static uint64_t newest_bytes(const struct omi_tree_level *level, uint32_t count)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count && i < level->run_count; i++)
        bytes = add(bytes, level->runs[i].bytes);
    return bytes;
}

/* What moving excess bytes out of a level of level_bytes rewrites of the run it joins: the run's
 * bytes shared among the whole round. Never more than size_ratio times the excess. */
static uint64_t joined_bytes(uint64_t excess, uint64_t level_bytes, uint64_t run_bytes,
                             uint32_t size_ratio)
{
    uint64_t round = level_bytes > excess ? level_bytes : excess;
    uint64_t times_1024 = run_bytes <= UINT64_MAX / 1024 ? run_bytes * 1024 / round : UINT64_MAX;
    if (times_1024 > (uint64_t)size_ratio * 1024)
        times_1024 = (uint64_t)size_ratio * 1024;
    return excess <= UINT64_MAX / (99 * 1024) ? excess * times_1024 / 1024 : UINT64_MAX;
}

uint64_t omi_tree_debt(const struct omi_tree *tree, const struct omi_shape *shape)
{
    uint32_t last = tree->level_count > 2 ? tree->level_count : 2;
    uint64_t debt = 0, arriving = 0; /* from the level above */
    for (uint32_t l = 1; l <= last; l++) {
        const struct omi_tree_level *level = &tree->levels[l - 1];
        uint32_t runs = omi_shape_runs(shape, l, last);
        uint64_t bytes = add(level->bytes, arriving);
        uint64_t capacity = omi_shape_capacity(shape, l);
        uint64_t excess =
            level->run_count > runs ? newest_bytes(level, level->run_count - runs) : 0;
        if (l == last) /* past its capacity it moves down for nothing */
            return add(debt, excess);
        if (bytes > capacity && bytes - capacity > excess)
            excess = bytes - capacity;
        arriving = excess;
        if (excess == 0)
            continue;
        debt = add(debt, excess);
        const struct omi_tree_level *next = &tree->levels[l];
        if (next->run_count >= omi_shape_runs(shape, l + 1, last))
            debt = add(debt, joined_bytes(excess, bytes, next->runs[0].bytes, shape->size_ratio));
    }
    return debt;
}

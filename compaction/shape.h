/*
 * shape.h - the fluid shape of the tree: size ratio T and K_i runs a level (Dayan and Idreos,
 * "Dostoevsky: Better Space-Time Trade-Offs for LSM-Tree Based Key-Value Stores", 2018).
 *
 * Level i (from 1) holds (T - 1) * T^(i-1) memtables in at most K_i runs; past either it merges into
 * the next. Leveling (all K = 1), tiering (all K = T - 1), lazy leveling (K above, 1 last: the
 * default) and 1-leveling (K = 1 but for level 1) are points of it. Any layout of runs is legal under
 * any shape: a shape triggers work, it never decides validity, so it may change at any time.
 */
#ifndef OMI_SHAPE_H
#define OMI_SHAPE_H

#include "io/base/fail.h"

#include <stdbool.h>

struct omi_shape {
    uint32_t size_ratio;                  /* T, 2 to 99 */
    uint32_t runs_upper, runs_last;       /* 1 to 64 */
    uint32_t runs_level[OMEN_LEVELS_MAX]; /* 0: from the two above */
    uint64_t memtable_bytes;              /* what capacities count in */
};

/* OMEN_INVALID names the field. */
OMEN_MUST_CHECK omen_err omi_shape_check(const struct omi_shape *shape);
/* Of level (1 to OMEN_LEVELS_MAX), saturating at UINT64_MAX. */
uint64_t omi_shape_capacity(const struct omi_shape *shape, uint32_t level);
/* K of level when last_level is the deepest one. */
uint32_t omi_shape_runs(const struct omi_shape *shape, uint32_t level, uint32_t last_level);
/* "leveling", "tiering", "lazy-leveling", "1-leveling": sets the K's for the shape's T. OMEN_INVALID
 * lists the names. */
OMEN_MUST_CHECK omen_err omi_shape_preset(struct omi_shape *shape, const char *name);

#endif

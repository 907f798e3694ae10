/*
 * cost_replay.c - the rounds of flushes and merges, on sizes alone.
 *
 * pick.c's rules on runs that all overlap: what a merge reads and writes is the sum and the union of
 * its inputs, a lone run that joins nothing moves for free. A run is the part of the loaded keys
 * that it holds (no two runs share one) and how many keys were written over since (uniform over all
 * of them, so the union of two sets is known on average). test_cost_model.c holds it against pick.c.
 */
#include "compaction/cost_model.h"

#include <math.h>

enum { RUNS_MAX = 64 + 2 };

struct sized_run {
    double loaded, fresh; /* entries */
};

struct sized_level {
    uint32_t count;
    struct sized_run runs[RUNS_MAX]; /* oldest first: flushes append */
};

struct replay {
    const struct omi_shape *shape;
    double keys, entry_bytes;
    uint32_t level_count;
    struct sized_level level[OMEN_LEVELS_MAX];
    double read[OMEN_LEVELS_MAX], written[OMEN_LEVELS_MAX]; /* entries, since counting began */
};

static double run_entries(const struct replay *r, const struct sized_run *run)
{
    return run->loaded + run->fresh - run->loaded * run->fresh / r->keys;
}

static double level_entries(const struct replay *r, const struct sized_level *level)
{
    double sum = 0;
    for (uint32_t i = 0; i < level->count; i++)
        sum += run_entries(r, &level->runs[i]);
    return sum;
}

static void run_join(const struct replay *r, struct sized_run *into, const struct sized_run *run)
{
    into->loaded += run->loaded;
    into->fresh += run->fresh - into->fresh * run->fresh / r->keys;
}

static void runs_remove(struct sized_level *level, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i + count < level->count; i++)
        level->runs[i] = level->runs[i + count];
    level->count -= count;
}

/* count runs of from, starting at first, into one; into joined (NULL: a new one) of level target. */
static struct sized_run merge(struct replay *r, const struct sized_level *from, uint32_t first,
                              uint32_t count, const struct sized_run *joined, uint32_t target)
{
    struct sized_run out = joined != NULL ? *joined : (struct sized_run){0};
    if (count == 1 && joined == NULL) /* nothing overlaps: moved, not merged */
        return from->runs[first];
    double read = joined != NULL ? run_entries(r, joined) : 0;
    for (uint32_t i = first; i < first + count; i++) {
        read += run_entries(r, &from->runs[i]);
        run_join(r, &out, &from->runs[i]);
    }
    r->read[target - 1] += read;
    r->written[target - 1] += run_entries(r, &out);
    return out;
}

enum wish { WISH_NONE, WISH_DOWN, WISH_DEEPEN, WISH_INSIDE };

/* As level_wish of pick.c. */
static enum wish level_wish(const struct replay *r, uint32_t l, uint32_t last, double *ratio_out)
{
    const struct sized_level *level = &r->level[l - 1];
    double runs = omi_shape_runs(r->shape, l, last);
    double bytes = level_entries(r, level) * r->entry_bytes;
    double capacity = (double)omi_shape_capacity(r->shape, l);
    enum wish wish = WISH_NONE;
    *ratio_out = 0;
    if (level->count > runs) {
        wish = l == last ? WISH_INSIDE : WISH_DOWN;
        *ratio_out = level->count / runs;
    }
    if (bytes > capacity * (1 + 1e-9) && l < OMEN_LEVELS_MAX) {
        if (l == last)
            wish = WISH_DEEPEN;
        else if (wish == WISH_NONE)
            wish = WISH_DOWN;
        if (bytes / capacity > *ratio_out)
            *ratio_out = bytes / capacity;
    }
    return wish;
}

static void wish_grant(struct replay *r, enum wish wish, uint32_t l, uint32_t last)
{
    struct sized_level *from = &r->level[l - 1];
    if (wish == WISH_INSIDE) {
        uint32_t surplus = from->count - omi_shape_runs(r->shape, l, l);
        from->runs[0] = merge(r, from, 1, surplus, &from->runs[0], l);
        runs_remove(from, 1, surplus);
        return;
    }
    struct sized_level *to = &r->level[l];
    uint32_t count = wish == WISH_DEEPEN ? 1 : from->count;
    bool joins = wish == WISH_DOWN && to->count >= omi_shape_runs(r->shape, l + 1, last);
    if (joins)
        to->runs[to->count - 1] = merge(r, from, 0, count, &to->runs[to->count - 1], l + 1);
    else
        to->runs[to->count++] = merge(r, from, 0, count, NULL, l + 1);
    runs_remove(from, 0, count);
    if (l + 1 > r->level_count)
        r->level_count = l + 1;
}

static void settle(struct replay *r)
{
    for (;;) {
        enum wish best = WISH_NONE;
        double best_ratio = 0;
        uint32_t at = 0, last = r->level_count > 2 ? r->level_count : 2;
        for (uint32_t l = 1; l <= r->level_count; l++) {
            double ratio;
            enum wish wish = level_wish(r, l, last, &ratio);
            if (wish != WISH_NONE && ratio > best_ratio) {
                best = wish;
                best_ratio = ratio;
                at = l;
            }
        }
        if (best == WISH_NONE)
            return;
        wish_grant(r, best, at, last);
    }
}

static void flush(struct replay *r, struct sized_run run)
{
    struct sized_level *first = &r->level[0];
    first->runs[first->count++] = run;
    r->written[0] += run_entries(r, &run);
    settle(r);
}

void omi_cost_replay(const struct omi_shape *shape, const struct omi_cost_data *data, double writes,
                     struct omi_cost_tree *tree_out)
{
    struct replay r = {.shape = shape, .keys = data->entries, .entry_bytes = data->entry_bytes};
    double share = data->flush_share > 0 ? data->flush_share : 1;
    double batch = (double)shape->memtable_bytes * share / data->entry_bytes, left = data->entries;
    if (batch < 1)
        batch = 1;
    r.level_count = 1;
    for (; left > 0; left -= batch)
        flush(&r, (struct sized_run){.loaded = left < batch ? left : batch});
    for (uint32_t i = 0; i < OMEN_LEVELS_MAX; i++)
        r.read[i] = r.written[i] = 0;

    /* One full cycle of the level above the last: what a round costs is then seen whole. */
    if (writes <= 0) {
        uint32_t above = r.level_count > 1 ? r.level_count - 1 : 1;
        writes = 2 * (double)omi_shape_capacity(shape, above) / data->entry_bytes;
        writes = writes < data->entries ? writes : data->entries;
    }
    double put = 0, runs[OMEN_LEVELS_MAX] = {0}, entries[OMEN_LEVELS_MAX] = {0};
    while (put < writes) { /* between two flushes reads see what the last one left */
        double step = writes - put < batch ? writes - put : batch;
        for (uint32_t i = 0; i < r.level_count; i++) {
            runs[i] += step * r.level[i].count;
            entries[i] += step * level_entries(&r, &r.level[i]);
        }
        put += step;
        if (step == batch) /* the rest stays in memory */
            flush(&r, (struct sized_run){.fresh = -r.keys * expm1(-batch / r.keys)});
    }
    *tree_out = (struct omi_cost_tree){.count = r.level_count};
    double all = 0;
    for (uint32_t i = 0; i < r.level_count; i++) {
        tree_out->level[i] = (struct omi_cost_level){.entries = entries[i] / put,
                                                     .runs = runs[i] / put,
                                                     .read = r.read[i] / put,
                                                     .written = r.written[i] / put};
        all += tree_out->level[i].entries;
    }
    tree_out->space_amp = all / data->entries;
}

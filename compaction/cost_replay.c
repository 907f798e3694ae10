/*
 * cost_replay.c - the rounds of flushes and merges, on sizes alone.
 *
 * pick.c's rules on runs that all overlap: what a merge reads and writes is the sum and the union of
 * its inputs, a lone run that joins nothing moves for free. A run is the part of the keys that it was
 * the first to hold (no two runs share one) and a number of writes of others since: how many different
 * ones those are is known on average, also of two runs together. test_cost_model.c holds it against
 * pick.c. Of runs in key order only the files at their ends meet and are merged; the others move.
 */
#include "compaction/cost_model.h"
#include "compaction/cost_skew.h"

#include <math.h>

enum { RUNS_MAX = 64 + 2, CURVE_POINTS = 128 };

struct sized_run {
    double loaded;  /* keys that it was the first to hold */
    double writes;  /* and writes of others that it holds, each key once */
    double entries; /* of both; changed by run_settle alone */
    double quality; /* of its filters, by what else there was when it was written */
};

struct sized_level {
    uint32_t count;
    struct sized_run runs[RUNS_MAX]; /* oldest first: flushes append */
};

struct replay {
    const struct omi_shape *shape;
    double keys, entry_bytes;
    double file_entries; /* of keys that come in order; 0: in random order */
    bool spanned;
    struct omi_skew skew;
    double curve[CURVE_POINTS], curve_step; /* different keys among 2^(step * i) - 1 writes */
    uint32_t level_count;
    struct sized_level level[OMEN_LEVELS_MAX];
    double read[OMEN_LEVELS_MAX], written[OMEN_LEVELS_MAX]; /* entries, since counting began */
};

/* How many different keys so many writes are of. Asked for all the time: of uneven ones, a table. */
static double different(const struct replay *r, double writes)
{
    if (r->skew.count == 1)
        return -r->keys * expm1(-writes / r->keys);
    double at = log2(writes + 1) / r->curve_step;
    uint32_t i = (uint32_t)at;
    if (i + 1 >= CURVE_POINTS)
        return r->curve[CURVE_POINTS - 1];
    return r->curve[i] + (at - i) * (r->curve[i + 1] - r->curve[i]);
}

static void curve_make(struct replay *r, double writes_max)
{
    r->curve_step = log2(writes_max + 1) / (CURVE_POINTS - 1);
    for (int i = 0; i < CURVE_POINTS && r->skew.count > 1; i++)
        r->curve[i] = omi_skew_seen(&r->skew, exp2(r->curve_step * i) - 1);
}

static void run_settle(const struct replay *r, struct sized_run *run)
{
    double other = different(r, run->writes);
    run->entries = run->loaded + other - run->loaded * other / r->keys;
}

static double level_entries(const struct sized_level *level)
{
    double sum = 0;
    for (uint32_t i = 0; i < level->count; i++)
        sum += level->runs[i].entries;
    return sum;
}

static void run_join(struct sized_run *into, const struct sized_run *run)
{
    into->loaded += run->loaded;
    into->writes += run->writes;
}

static void runs_remove(struct sized_level *level, uint32_t first, uint32_t count)
{
    for (uint32_t i = first; i + count < level->count; i++)
        level->runs[i] = level->runs[i + count];
    level->count -= count;
}

/* How much of a run a merge reads: all of it, or the tables at one or both of its ends, when keys come
 * in order; with deletes of the oldest keys, only of the newest run the others are left alone. */
static double part_read(const struct replay *r, const struct sized_run *run, bool oldest,
                        bool newest)
{
    double tables = oldest || newest ? 1 : 2;
    if (r->file_entries <= 0 || (r->spanned && !newest))
        return run->entries;
    return fmin(run->entries, tables * r->file_entries);
}

/* count runs of from, starting at first, into one; into joined (NULL: a new one) of level target. */
static struct sized_run merge(struct replay *r, const struct sized_level *from, uint32_t first,
                              uint32_t count, const struct sized_run *joined, uint32_t target)
{
    struct sized_run out = joined != NULL ? *joined : (struct sized_run){0};
    if (count == 1 && joined == NULL) /* nothing overlaps: moved, not merged */
        return from->runs[first];
    double read = 0, all = 0;
    if (joined != NULL) {
        read = part_read(r, joined, true, false);
        all = joined->entries;
    }
    for (uint32_t i = first; i < first + count; i++) {
        read += part_read(r, &from->runs[i], i == first && joined == NULL, i + 1 == first + count);
        all += from->runs[i].entries;
        run_join(&out, &from->runs[i]);
    }
    run_settle(r, &out);
    r->read[target - 1] += read;
    r->written[target - 1] += all > 0 ? out.entries * read / all : 0;
    return out;
}

/* The share of all false positives that the engine's price of a bit allows a run that is new. */
static void quality_settle(const struct replay *r, struct sized_run *run)
{
    double runs = 0, entries = 0;
    for (uint32_t i = 0; i < r->level_count; i++) {
        runs += r->level[i].count;
        entries += level_entries(&r->level[i]);
    }
    run->quality = entries > 0 ? runs * run->entries / entries : 1;
}

enum wish { WISH_NONE, WISH_DOWN, WISH_DEEPEN, WISH_INSIDE };

/* As level_wish of pick.c. */
static enum wish level_wish(const struct replay *r, uint32_t l, uint32_t last, double *ratio_out)
{
    const struct sized_level *level = &r->level[l - 1];
    double runs = omi_shape_runs(r->shape, l, last);
    double bytes = level_entries(level) * r->entry_bytes;
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
    *ratio_out = floor(*ratio_out * 1024); /* as fine as pick.c's */
    return wish;
}

static void wish_grant(struct replay *r, enum wish wish, uint32_t l, uint32_t last)
{
    struct sized_level *from = &r->level[l - 1];
    if (wish == WISH_INSIDE) {
        uint32_t surplus = from->count - omi_shape_runs(r->shape, l, l);
        from->runs[0] = merge(r, from, 1, surplus, &from->runs[0], l);
        runs_remove(from, 1, surplus);
        quality_settle(r, &from->runs[0]);
        return;
    }
    struct sized_level *to = &r->level[l];
    uint32_t count = wish == WISH_DEEPEN ? 1 : from->count;
    bool moved = count == 1;
    bool joins = wish == WISH_DOWN && to->count >= omi_shape_runs(r->shape, l + 1, last);
    if (joins)
        to->runs[to->count - 1] = merge(r, from, 0, count, &to->runs[to->count - 1], l + 1);
    else
        to->runs[to->count++] = merge(r, from, 0, count, NULL, l + 1);
    runs_remove(from, 0, count);
    if (l + 1 > r->level_count)
        r->level_count = l + 1;
    if (joins || !moved)
        quality_settle(r, &to->runs[to->count - 1]);
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
    run_settle(r, &run);
    first->runs[first->count++] = run;
    r->written[0] += run.entries;
    quality_settle(r, &first->runs[first->count - 1]);
    settle(r);
}

/* Sums over writes of what reads see. */
struct seen {
    double writes, runs[OMEN_LEVELS_MAX], entries[OMEN_LEVELS_MAX], quality[OMEN_LEVELS_MAX], space;
    uint32_t level_count;
};

/* For the next step writes nothing changes on the disk. */
static void look(const struct replay *r, double step, struct seen *seen)
{
    for (uint32_t i = 0; i < r->level_count; i++) {
        seen->runs[i] += step * r->level[i].count;
        seen->entries[i] += step * level_entries(&r->level[i]);
        seen->space += step * level_entries(&r->level[i]) / r->keys;
        for (uint32_t k = 0; k < r->level[i].count; k++)
            seen->quality[i] += step * r->level[i].runs[k].quality;
    }
    seen->level_count = r->level_count;
    seen->writes += step;
}

static double batch_of(const struct omi_shape *shape, const struct omi_cost_data *data)
{
    double share = data->flush_share > 0 ? data->flush_share : 1;
    double batch = (double)shape->memtable_bytes * share / data->entry_bytes;
    return batch < 1 ? 1 : batch;
}

static void tree_of(const struct replay *r, const struct seen *seen, double writes,
                    struct omi_cost_tree *tree_out)
{
    *tree_out = (struct omi_cost_tree){
        .count = r->level_count, .writes = writes, .space_amp = seen->space / seen->writes};
    for (uint32_t i = 0; i < r->level_count; i++) {
        struct omi_cost_level *level = &tree_out->level[i];
        level->read = r->read[i] / writes;
        level->written = r->written[i] / writes;
        if (i >= seen->level_count)
            continue;
        level->entries = seen->entries[i] / seen->writes;
        level->runs = seen->runs[i] / seen->writes;
        level->quality = seen->runs[i] > 0 ? seen->quality[i] / seen->runs[i] : 0;
    }
}

/* A memtable of writes: inserts of them are new keys. */
static void batch_flush(struct replay *r, double batch, double inserts)
{
    struct sized_run run = {.loaded = batch * inserts, .writes = batch * (1 - inserts)};
    r->keys += run.loaded;
    flush(r, run);
}

/* Gets find in the memtable, half full on average, what was written of late. */
static double in_memory(const struct replay *r, const struct omi_cost_data *data, double batch)
{
    double half = batch / 2;
    if (data->read_writes > 0 && data->read_writes < half)
        half = data->read_writes;
    return data->skew > 0 ? omi_skew_known(&r->skew, half * (1 - data->inserts)) : 0;
}

void omi_cost_replay(const struct omi_shape *shape, const struct omi_cost_data *data, double writes,
                     struct omi_cost_tree *tree_out)
{
    struct replay r = {.shape = shape,
                       .keys = data->entries,
                       .entry_bytes = data->entry_bytes,
                       .file_entries = data->sorted ? data->file_entries : 0,
                       .spanned = data->spanned,
                       .level_count = 1};
    double batch = batch_of(shape, data), put = 0;
    struct seen seen = {0};
    writes = writes > 0 ? writes : 2 * data->entries;
    omi_skew_make(data->entries, data->skew, &r.skew);
    curve_make(&r, writes);
    for (double left = data->entries; left > 0; left -= batch)
        flush(&r, (struct sized_run){.loaded = left < batch ? left : batch});
    for (uint32_t i = 0; i < OMEN_LEVELS_MAX; i++)
        r.read[i] = r.written[i] = 0;
    double window = data->read_writes > 0 ? data->read_writes : writes;
    while (put < writes) { /* between two flushes reads see what the last one left */
        double step = writes - put < batch ? writes - put : batch, left = window - put;
        if (left > 0)
            look(&r, left < step ? left : step, &seen);
        put += step;
        if (step == batch) /* the rest stays in memory */
            batch_flush(&r, batch, data->inserts);
    }
    tree_of(&r, &seen, writes, tree_out);
    tree_out->in_memory = in_memory(&r, data, batch);
}

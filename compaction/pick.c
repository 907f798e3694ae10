/*
 * pick.c - the most urgent job of a tree.
 *
 * What keeps the tree valid whatever is picked (docs/compaction.md has the proof): a job takes the
 * oldest runs of its level, so what it leaves behind is newer; it adds to the newest run of the
 * next level or makes a newer one, so what it finds there is older; and runs that a running job
 * holds are never touched.
 */
#include "compaction/pick.h"

#include "compaction/plan.h"
#include "compaction/search.h"

#include <stdlib.h>

struct picker {
    const struct omi_tree *tree;
    const struct omi_shape *shape;
    const struct omi_order *order;
    uint64_t target_file_bytes;
    const struct omi_busy_run *busy;
    uint32_t busy_count;
};

/* A level past a limit. */
struct wish {
    uint32_t level;
    enum omi_job_reason reason;
    uint64_t ratio; /* how far past, in 1/1024; 0: granted or refused already */
};

void omi_job_fini(struct omi_job *job)
{
    free(job->inputs);
    free(job->segments);
    *job = (struct omi_job){0};
}

/* Flushes land in level 1, so it is never the last one: it would be merged with itself at every
 * flush. */
static uint32_t last_level(const struct omi_tree *tree)
{
    return tree->level_count > 2 ? tree->level_count : 2;
}

static bool run_is_busy(const struct picker *p, uint32_t level, uint64_t age)
{
    for (uint32_t i = 0; i < p->busy_count; i++)
        if (p->busy[i].level == level && p->busy[i].age == age)
            return true;
    return false;
}

static bool level_is_source(const struct picker *p, uint32_t level)
{
    for (uint32_t i = 0; i < p->busy_count; i++)
        if (p->busy[i].level == level && p->busy[i].is_source)
            return true;
    return false;
}

/* How many runs of the level are free, counted from the oldest up to the first busy one: a job that
 * took one newer than a run left behind would turn their order round. */
static uint32_t oldest_free(const struct picker *p, uint32_t level)
{
    const struct omi_tree_level *l = &p->tree->levels[level - 1];
    uint32_t count = 0;
    while (count < l->run_count && !run_is_busy(p, level, l->runs[l->run_count - 1 - count].age))
        count++;
    return count;
}

/* part of whole in 1/1024, saturating. */
static uint64_t ratio_of(uint64_t part, uint64_t whole)
{
    if (part <= UINT64_MAX / 1024)
        return part * 1024 / whole;
    return whole / 1024 == 0 ? UINT64_MAX : part / (whole / 1024);
}

static struct wish level_wish(const struct picker *p, uint32_t level)
{
    const struct omi_tree_level *l = &p->tree->levels[level - 1];
    uint32_t last = last_level(p->tree), runs = omi_shape_runs(p->shape, level, last);
    uint64_t capacity = omi_shape_capacity(p->shape, level);
    struct wish wish = {.level = level};
    if (l->run_count == 0 || level_is_source(p, level))
        return wish;
    if (l->run_count > runs) {
        wish.reason = OMI_JOB_RUNS;
        wish.ratio = ratio_of(l->run_count, runs);
    }
    if (l->bytes > capacity && level < OMEN_LEVELS_MAX) {
        uint64_t ratio = ratio_of(l->bytes, capacity);
        /* Deepening is free and gives the level room: it comes before merging its runs. */
        if (level == last)
            wish.reason = OMI_JOB_DEEPEN;
        else if (ratio > wish.ratio)
            wish.reason = OMI_JOB_CAPACITY;
        wish.ratio = ratio > wish.ratio ? ratio : wish.ratio;
    }
    return wish;
}

/* Adds the count oldest runs of level but for the skip oldest of all, newest first. */
static omen_err add_oldest(struct omi_plan *plan, uint32_t level, uint32_t skip, uint32_t count)
{
    const struct omi_tree_level *l = &plan->tree->levels[level - 1];
    for (uint32_t i = l->run_count - skip - count; i < l->run_count - skip; i++) {
        omen_err err = omi_plan_add(plan, level, &l->runs[i], 0, l->runs[i].file_count);
        if (err != OMEN_OK)
            return err;
    }
    return OMEN_OK;
}

/* Joins run: its files over the hull of what was added so far take part. */
static omen_err add_target(struct omi_plan *plan, uint32_t level, const struct omi_tree_run *run)
{
    plan->job.target_level = level;
    plan->job.target_age = run->age;
    plan->job.joins = true;
    uint32_t from = omi_search_from(plan->order, run, plan->job.smallest);
    uint32_t to = omi_search_to(plan->order, run, plan->job.largest);
    return from < to ? omi_plan_add(plan, level, run, from, to - from) : OMEN_OK;
}

/* The free runs of the level into the next one. */
static omen_err plan_down(const struct picker *p, struct omi_plan *plan, uint32_t level)
{
    const struct omi_tree_level *source = &p->tree->levels[level - 1];
    const struct omi_tree_level *target = &p->tree->levels[level];
    uint32_t count = oldest_free(p, level);
    uint32_t room = omi_shape_runs(p->shape, level + 1, last_level(p->tree));
    if (count == 0)
        return OMEN_OK;
    if (target->run_count >= room && run_is_busy(p, level + 1, target->runs[0].age))
        return OMEN_OK;
    omen_err err = add_oldest(plan, level, 0, count);
    if (err != OMEN_OK)
        return err;
    if (target->run_count >= room)
        return add_target(plan, level + 1, &target->runs[0]);
    plan->job.target_level = level + 1;
    plan->job.target_age = source->runs[source->run_count - count].age;
    return OMEN_OK;
}

/* The oldest run of the last level becomes the next level; the others may stay. */
static omen_err plan_deepen(const struct picker *p, struct omi_plan *plan, uint32_t level)
{
    const struct omi_tree_level *l = &p->tree->levels[level - 1];
    if (oldest_free(p, level) == 0)
        return OMEN_OK;
    plan->job.target_level = level + 1;
    plan->job.target_age = l->runs[l->run_count - 1].age;
    return add_oldest(plan, level, 0, 1);
}

/* The last level past its K: the runs next to the oldest join it, as many as are too many. */
static omen_err plan_inside(const struct picker *p, struct omi_plan *plan, uint32_t level)
{
    const struct omi_tree_level *l = &p->tree->levels[level - 1];
    uint32_t free_count = oldest_free(p, level);
    uint32_t surplus = l->run_count - omi_shape_runs(p->shape, level, level);
    if (free_count < 2)
        return OMEN_OK;
    uint32_t count = surplus < free_count - 1 ? surplus : free_count - 1;
    omen_err err = add_oldest(plan, level, 1, count);
    return err != OMEN_OK ? err : add_target(plan, level, &l->runs[l->run_count - 1]);
}

static omen_err wish_try(const struct picker *p, const struct wish *wish, struct omi_job *job_out,
                         bool *found_out)
{
    struct omi_plan plan = {
        .tree = p->tree,
        .order = p->order,
        .target_file_bytes = p->target_file_bytes,
        .job = {.reason = wish->reason, .source_level = wish->level},
    };
    omen_err err;
    if (wish->reason == OMI_JOB_DEEPEN)
        err = plan_deepen(p, &plan, wish->level);
    else if (wish->level == last_level(p->tree))
        err = plan_inside(p, &plan, wish->level);
    else
        err = plan_down(p, &plan, wish->level);
    if (err == OMEN_OK)
        err = omi_plan_finish(&plan, job_out, found_out);
    omi_plan_fini(&plan);
    return err;
}

omen_err omi_job_pick(const struct omi_tree *tree, const struct omi_shape *shape,
                      const struct omi_order *order, uint64_t target_file_bytes,
                      const struct omi_busy_run *busy, uint32_t busy_count, struct omi_job *job_out,
                      bool *found_out)
{
    const struct picker p = {tree, shape, order, target_file_bytes, busy, busy_count};
    struct wish wishes[OMEN_LEVELS_MAX];
    uint32_t count = tree->level_count < OMEN_LEVELS_MAX ? tree->level_count : OMEN_LEVELS_MAX;
    *job_out = (struct omi_job){0};
    *found_out = false;
    for (uint32_t i = 0; i < count; i++)
        wishes[i] = level_wish(&p, i + 1);
    for (;;) {
        struct wish *best = NULL;
        for (uint32_t i = 0; i < count; i++)
            if (wishes[i].ratio != 0 && (best == NULL || wishes[i].ratio > best->ratio))
                best = &wishes[i];
        if (best == NULL)
            return OMEN_OK;
        omen_err err = wish_try(&p, best, job_out, found_out);
        if (err != OMEN_OK || *found_out)
            return err;
        best->ratio = 0;
    }
}

/* Does a run of the deepest level that is older than run i there overlap the file? */
static bool older_overlaps(const struct omi_tree_level *level, const struct omi_order *order,
                           uint32_t i, const struct omi_tree_file *file)
{
    for (uint32_t k = i + 1; k < level->run_count; k++)
        if (omi_search_overlaps(order, &level->runs[k], file->smallest, file->largest))
            return true;
    return false;
}

omen_err omi_job_pick_deletes(const struct omi_tree *tree, const struct omi_order *order,
                              uint64_t target_file_bytes, uint64_t oldest_snapshot,
                              const struct omi_busy_run *busy, uint32_t busy_count,
                              struct omi_job *job_out, bool *found_out)
{
    const struct picker p = {tree, NULL, order, target_file_bytes, busy, busy_count};
    uint32_t last = tree->level_count;
    *job_out = (struct omi_job){0};
    *found_out = false;
    if (last == 0 || level_is_source(&p, last))
        return OMEN_OK;
    const struct omi_tree_level *level = &tree->levels[last - 1];
    for (uint32_t i = level->run_count; i-- > 0;) {
        const struct omi_tree_run *run = &level->runs[i];
        if (run_is_busy(&p, last, run->age))
            continue;
        for (uint32_t k = 0; k < run->file_count; k++) {
            const struct omi_tree_file *file = run->files[k];
            if (file->deletes <= file->entries / 2 || file->max_seq > oldest_snapshot ||
                older_overlaps(level, order, i, file))
                continue;
            struct omi_plan plan = {
                .tree = tree,
                .order = order,
                .target_file_bytes = target_file_bytes,
                .job = {.reason = OMI_JOB_DELETES,
                        .source_level = last,
                        .target_level = last,
                        .target_age = run->age,
                        .joins = true},
            };
            omen_err err = omi_plan_add(&plan, last, run, k, 1);
            if (err == OMEN_OK)
                err = omi_plan_finish(&plan, job_out, found_out);
            omi_plan_fini(&plan);
            return err;
        }
    }
    return OMEN_OK;
}

bool omi_job_older_may_hold(const struct omi_tree *tree, const struct omi_order *order,
                            const struct omi_job *job, omen_slice key)
{
    /* No input is among these runs: those of the target level are of the target run or newer. */
    for (uint32_t l = job->target_level; l <= tree->level_count; l++) {
        const struct omi_tree_level *level = &tree->levels[l - 1];
        for (uint32_t i = 0; i < level->run_count; i++) {
            const struct omi_tree_run *run = &level->runs[i];
            if (l == job->target_level && run->age >= job->target_age)
                continue;
            if (omi_search_overlaps(order, run, key, key))
                return true;
        }
    }
    return false;
}

/*
 * range.c - the job that a user asks for: a key range of all levels into one run of the last level.
 */
#include "compaction/plan.h"
#include "compaction/search.h"

/* A growing range; an open end stays open. */
struct hull {
    bool open_first, open_last;
    omen_slice first, last;
};

static void hull_files(const struct hull *hull, const struct omi_order *order,
                       const struct omi_tree_run *run, uint32_t *from, uint32_t *to)
{
    *from = hull->open_first ? 0 : omi_search_from(order, run, hull->first);
    *to = hull->open_last ? run->file_count : omi_search_to(order, run, hull->last);
}

/* Widens the hull to the files of run that straddle it. True: it grew. */
static bool hull_grow(struct hull *hull, const struct omi_order *order,
                      const struct omi_tree_run *run)
{
    uint32_t from, to;
    bool grew = false;
    hull_files(hull, order, run, &from, &to);
    if (from >= to)
        return false;
    if (!hull->open_first && omi_key_compare(order, run->files[from]->smallest, hull->first) < 0) {
        hull->first = run->files[from]->smallest;
        grew = true;
    }
    if (!hull->open_last && omi_key_compare(order, run->files[to - 1]->largest, hull->last) > 0) {
        hull->last = run->files[to - 1]->largest;
        grew = true;
    }
    return grew;
}

static void hull_close_over(struct hull *hull, const struct omi_order *order,
                            const struct omi_tree *tree)
{
    for (bool grew = true; grew;) {
        grew = false;
        for (uint32_t l = 0; l < tree->level_count; l++)
            for (uint32_t i = 0; i < tree->levels[l].run_count; i++)
                if (hull_grow(hull, order, &tree->levels[l].runs[i]))
                    grew = true;
    }
}

omen_err omi_job_pick_range(const struct omi_tree *tree, const struct omi_shape *shape,
                            const struct omi_order *order, uint64_t target_file_bytes,
                            const omen_slice *first, const omen_slice *last,
                            struct omi_job *job_out, bool *found_out)
{
    (void)shape; /* the range goes to the last level there is, whatever its limits */
    *job_out = (struct omi_job){0};
    *found_out = false;
    if (tree->level_count == 0)
        return OMEN_OK;
    struct hull hull = {.open_first = first == NULL, .open_last = last == NULL};
    if (first != NULL)
        hull.first = *first;
    if (last != NULL)
        hull.last = *last;
    if (first != NULL && last != NULL && omi_key_compare(order, *first, *last) > 0)
        return OMEN_OK;
    hull_close_over(&hull, order, tree);

    /* Nothing outside the job overlaps the hull now, so the outputs may join any run of the last
     * level; the oldest has nothing below it. A new run would need an age of its own, and ages are
     * given to flushes alone. */
    const struct omi_tree_level *deepest = &tree->levels[tree->level_count - 1];
    struct omi_plan plan = {
        .tree = tree,
        .order = order,
        .target_file_bytes = target_file_bytes,
        .job = {.reason = OMI_JOB_RANGE,
                .target_level = tree->level_count,
                .target_age = deepest->runs[deepest->run_count - 1].age,
                .joins = true},
    };
    omen_err err = OMEN_OK;
    for (uint32_t l = 0; l < tree->level_count && err == OMEN_OK; l++) {
        for (uint32_t i = 0; i < tree->levels[l].run_count && err == OMEN_OK; i++) {
            const struct omi_tree_run *run = &tree->levels[l].runs[i];
            uint32_t from, to;
            hull_files(&hull, order, run, &from, &to);
            if (from >= to)
                continue;
            if (plan.job.source_level == 0)
                plan.job.source_level = l + 1;
            err = omi_plan_add(&plan, l + 1, run, from, to - from);
        }
    }
    if (err == OMEN_OK)
        err = omi_plan_finish(&plan, job_out, found_out);
    omi_plan_fini(&plan);
    return err;
}

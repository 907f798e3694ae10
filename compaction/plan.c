/*
 * plan.c - segments: the connected components of overlapping files, in key order.
 */
#include "compaction/plan.h"

#include "compaction/search.h"

#include <assert.h>
#include <stdlib.h>

/* A component; count inputs from first. */
struct part {
    uint32_t first, count;
    bool merge; /* its bytes are rewritten */
    bool small; /* one file that is worth rewriting to be rid of it */
};

omen_err omi_plan_add(struct omi_plan *plan, uint32_t level, const struct omi_tree_run *run,
                      uint32_t first, uint32_t count)
{
    struct omi_job *job = &plan->job;
    assert(first <= run->file_count && count <= run->file_count - first);
    if (count > plan->capacity - job->input_count) {
        uint64_t want = (uint64_t)job->input_count + count;
        want += want / 2;
        if (want > UINT32_MAX)
            return omi_fail(OMEN_NO_MEMORY, 0, "merge of more than %" PRIu32 " files", UINT32_MAX);
        struct omi_job_input *grown = realloc(job->inputs, (size_t)want * sizeof(*grown));
        if (grown == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "merge of %" PRIu64 " files", want);
        job->inputs = grown;
        plan->capacity = (uint32_t)want;
    }
    for (uint32_t i = first; i < first + count; i++) {
        struct omi_tree_file *file = run->files[i];
        if (job->input_count == 0 ||
            omi_key_compare(plan->order, file->smallest, job->smallest) < 0)
            job->smallest = file->smallest;
        if (job->input_count == 0 || omi_key_compare(plan->order, file->largest, job->largest) > 0)
            job->largest = file->largest;
        job->inputs[job->input_count++] = (struct omi_job_input){level, run->age, file};
    }
    return OMEN_OK;
}

void omi_plan_fini(struct omi_plan *plan)
{
    omi_job_fini(&plan->job);
    plan->capacity = 0;
}

/* Newest run first. Levels come before ages: what lies deeper is older. */
static int compare_runs(const struct omi_job_input *a, const struct omi_job_input *b)
{
    int by_level = (a->level > b->level) - (a->level < b->level);
    return by_level != 0 ? by_level : (a->age < b->age) - (a->age > b->age);
}

static int compare_inputs(const struct omi_order *order, bool by_run, const struct omi_job_input *a,
                          const struct omi_job_input *b)
{
    int run = compare_runs(a, b);
    if (by_run && run != 0)
        return run;
    int key = omi_key_compare(order, a->file->smallest, b->file->smallest);
    return key != 0 ? key : run;
}

/* Merge sort: qsort takes no context, and the order may be the user's. */
static void inputs_sort(const struct omi_order *order, bool by_run, struct omi_job_input *inputs,
                        struct omi_job_input *spare, size_t count)
{
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            size_t mid = low + width < count ? low + width : count;
            size_t high = mid + width < count ? mid + width : count;
            size_t a = low, b = mid;
            for (size_t out = low; out < high; out++) {
                bool take_b = a == mid || (b < high && compare_inputs(order, by_run, &inputs[b],
                                                                      &inputs[a]) < 0);
                spare[out] = inputs[take_b ? b++ : a++];
            }
        }
        memcpy(inputs, spare, count * sizeof(*inputs));
    }
}

/* Is the input a file of the run that the outputs join? Left alone it is where it belongs. */
static bool in_target(const struct omi_job *job, const struct omi_job_input *input)
{
    return job->joins && input->level == job->target_level && input->age == job->target_age;
}

/* Would rewriting this file now rid it of its deletes (snapshots permitting)? */
static bool sheds_deletes(const struct omi_plan *plan, const struct omi_job_input *input)
{
    const struct omi_job *job = &plan->job;
    if (input->file->deletes == 0 || job->target_level < plan->tree->level_count)
        return false;
    /* A file at its place is rewritten for its deletes only by jobs meant for that: under a
     * snapshot that keeps them, every job passing by would rewrite it. */
    if (in_target(job, input) && job->reason != OMI_JOB_DELETES && job->reason != OMI_JOB_RANGE)
        return false;
    const struct omi_tree_level *level = &plan->tree->levels[job->target_level - 1];
    for (uint32_t i = 0; i < level->run_count; i++)
        if (level->runs[i].age < job->target_age &&
            omi_search_overlaps(plan->order, &level->runs[i], input->file->smallest,
                                input->file->largest))
            return false;
    return true;
}

/* Ranges that touch in one key overlap: versions of a key are never separated. */
static uint32_t parts_find(const struct omi_plan *plan, struct part *parts)
{
    const struct omi_job *job = &plan->job;
    uint32_t count = 0;
    for (uint32_t i = 0; i < job->input_count;) {
        struct part *part = &parts[count++];
        omen_slice largest = job->inputs[i].file->largest;
        *part = (struct part){.first = i, .count = 1};
        for (i++; i < job->input_count; i++, part->count++) {
            const struct omi_tree_file *file = job->inputs[i].file;
            if (omi_key_compare(plan->order, file->smallest, largest) > 0)
                break;
            if (omi_key_compare(plan->order, file->largest, largest) > 0)
                largest = file->largest;
        }
        if (job->reason == OMI_JOB_DEEPEN && part->count == 1)
            continue;
        const struct omi_job_input *input = &job->inputs[part->first];
        part->merge = part->count > 1 || sheds_deletes(plan, input);
        /* A range is done when it is one run: what lies there already is left in peace. */
        bool done = job->reason == OMI_JOB_RANGE && in_target(job, input);
        part->small = !part->merge && !done && input->file->bytes < plan->target_file_bytes / 4;
    }
    return count;
}

/* A small file joins a neighbour that is rewritten anyway or is small too. It is not worth
 * rewriting a large file for: as two small ones never stay side by side, at most every other file
 * is small. */
static uint32_t parts_glue(struct part *parts, uint32_t count)
{
    uint32_t out = 0;
    for (uint32_t i = 1; i < count; i++) {
        struct part *p = &parts[out];
        const struct part *next = &parts[i];
        if ((p->small && (next->small || next->merge)) || (next->small && p->merge)) {
            p->count += next->count;
            p->merge = true;
            p->small = false;
        } else {
            parts[++out] = *next;
        }
    }
    return out + 1;
}

static void segments_fill(struct omi_plan *plan, const struct part *parts, uint32_t part_count,
                          struct omi_job_input *spare)
{
    struct omi_job *job = &plan->job;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < part_count; i++) {
        const struct part *part = &parts[i];
        struct omi_job_input *inputs = &job->inputs[part->first];
        if (!part->merge && in_target(job, inputs))
            continue;
        inputs_sort(plan->order, true, inputs, spare, part->count);
        for (uint32_t k = 0; k < part->count; k++)
            *(part->merge ? &job->merge_bytes : &job->move_bytes) += inputs[k].file->bytes;
        memmove(&job->inputs[kept], inputs, part->count * sizeof(*inputs));
        job->segments[job->segment_count++] =
            (struct omi_job_segment){kept, part->count, !part->merge};
        kept += part->count;
    }
    job->input_count = kept;
    for (uint32_t i = 0; i < kept; i++) {
        const struct omi_tree_file *file = job->inputs[i].file;
        if (i == 0 || omi_key_compare(plan->order, file->smallest, job->smallest) < 0)
            job->smallest = file->smallest;
        if (i == 0 || omi_key_compare(plan->order, file->largest, job->largest) > 0)
            job->largest = file->largest;
    }
}

omen_err omi_plan_finish(struct omi_plan *plan, struct omi_job *job_out, bool *found_out)
{
    struct omi_job *job = &plan->job;
    *found_out = false;
    if (job->input_count == 0)
        return OMEN_OK;
    omen_err err = OMEN_OK;
    struct part *parts = calloc(job->input_count, sizeof(*parts));
    struct omi_job_input *spare = calloc(job->input_count, sizeof(*spare));
    job->segments = calloc(job->input_count, sizeof(*job->segments));
    if (parts == NULL || spare == NULL || job->segments == NULL) {
        err = omi_fail(OMEN_NO_MEMORY, 0, "merge of %" PRIu32 " files", job->input_count);
        goto free_arrays;
    }
    inputs_sort(plan->order, false, job->inputs, spare, job->input_count);
    uint32_t part_count = parts_glue(parts, parts_find(plan, parts));
    segments_fill(plan, parts, part_count, spare);
    if (job->segment_count != 0) {
        *job_out = *job;
        *job = (struct omi_job){0};
        *found_out = true;
    }
free_arrays:
    free(spare);
    free(parts);
    return err;
}

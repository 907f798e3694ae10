/* What is picked from small trees drawn by hand; test_pick_model.c has the random ones. */
#include "compaction/pick.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(pick, .timeout = 10);

enum { FILES_MAX = 4096, RUN_FILES_MAX = 512, RUNS_MAX = 16, TARGET = 1000 };

static struct omi_tree tree;
static struct omi_tree_run runs[OMEN_LEVELS_MAX][RUNS_MAX];
static struct omi_tree_file files[FILES_MAX];
static struct omi_tree_file *slots[OMEN_LEVELS_MAX][RUNS_MAX][RUN_FILES_MAX];
static uint8_t keys[FILES_MAX][2][2];
static uint32_t file_count;
static const struct omi_order bytewise = {NULL};
static const struct omi_shape shape = {
    .size_ratio = 6, .runs_upper = 4, .runs_last = 1, .memtable_bytes = 10000};
static struct omi_job job;
static bool found;

static omen_slice key_at(uint32_t file, uint32_t end, uint32_t key)
{
    keys[file][end][0] = (uint8_t)(key >> 8);
    keys[file][end][1] = (uint8_t)key;
    return omi_slice(keys[file][end], 2);
}

/* A run older than those of the level so far. */
static void run_add(uint32_t level, uint64_t age)
{
    struct omi_tree_level *l = &tree.levels[level - 1];
    l->runs = runs[level - 1];
    l->runs[l->run_count] =
        (struct omi_tree_run){.age = age, .files = slots[level - 1][l->run_count]};
    l->run_count++;
    if (tree.level_count < level)
        tree.level_count = level;
}

static struct omi_tree_file *file_add(uint32_t level, uint32_t first, uint32_t last, uint64_t bytes)
{
    struct omi_tree_level *l = &tree.levels[level - 1];
    struct omi_tree_run *run = &l->runs[l->run_count - 1];
    struct omi_tree_file *f = &files[file_count];
    *f = (struct omi_tree_file){.number = file_count + 1,
                                .bytes = bytes,
                                .entries = 100,
                                .smallest = key_at(file_count, 0, first),
                                .largest = key_at(file_count, 1, last)};
    file_count++;
    run->files[run->file_count++] = f;
    run->bytes += bytes;
    l->bytes += bytes;
    return f;
}

static void pick(const struct omi_busy_run *busy, uint32_t busy_count)
{
    omi_job_fini(&job);
    cr_assert_eq(omi_job_pick(&tree, &shape, &bytewise, TARGET, busy, busy_count, &job, &found),
                 OMEN_OK);
}

Test(pick, a_tree_within_its_limits_has_no_job_and_no_debt)
{
    for (uint64_t age = 4; age >= 1; age--) {
        run_add(1, age);
        file_add(1, 0, 100, 1000);
    }
    pick(NULL, 0);
    cr_assert_not(found);
    cr_assert_eq(omi_tree_debt(&tree, &shape), 0);
}

Test(pick, a_level_past_its_runs_sends_all_of_them_down_as_a_new_run)
{
    for (uint64_t age = 5; age >= 1; age--) {
        run_add(1, age);
        file_add(1, 0, 100, 1000);
    }
    pick(NULL, 0);
    cr_assert(found);
    cr_assert_eq(job.reason, OMI_JOB_RUNS);
    cr_assert_eq(job.target_level, 2);
    cr_assert_eq(job.target_age, 5);
    cr_assert_not(job.joins);
    cr_assert_eq(job.segment_count, 1);
    cr_assert_eq(job.input_count, 5);
    cr_assert_eq(job.inputs[0].age, 5);
    cr_assert_eq(job.inputs[4].age, 1);
    cr_assert_eq(job.merge_bytes, 5000);
    omi_job_fini(&job);
}

static void five_over_a_full_level(void)
{
    for (uint64_t age = 12; age >= 8; age--) {
        run_add(1, age);
        file_add(1, 100, 200, 1000);
    }
    run_add(2, 3);
    file_add(2, 0, 99, 1000);
    file_add(2, 150, 160, 1000);
    file_add(2, 201, 300, 1000);
}

Test(pick, a_join_takes_only_the_targets_files_that_overlap)
{
    five_over_a_full_level();
    pick(NULL, 0);
    cr_assert(found && job.joins);
    cr_assert_eq(job.target_age, 3);
    cr_assert_eq(job.input_count, 6);
    cr_assert_eq(job.inputs[5].file->number, 7);
    omi_job_fini(&job);
}

Test(pick, a_busy_target_or_source_makes_the_level_wait)
{
    five_over_a_full_level();
    struct omi_busy_run busy = {.level = 2, .age = 3};
    pick(&busy, 1);
    cr_assert_not(found);
    busy = (struct omi_busy_run){.level = 1, .age = 8, .is_source = true};
    pick(&busy, 1);
    cr_assert_not(found);
}

Test(pick, files_that_only_touch_are_merged_together)
{
    for (uint64_t age = 5; age >= 1; age--) {
        run_add(1, age);
        file_add(1, (uint32_t)age * 10, (uint32_t)age * 10 + (age == 2 ? 10 : 9), 1000);
    }
    pick(NULL, 0);
    cr_assert(found);
    cr_assert_eq(job.segment_count, 4);
    cr_assert(job.segments[0].move);
    cr_assert_eq(job.segments[1].count, 2);
    cr_assert_not(job.segments[1].move);
    cr_assert_eq(job.inputs[1].age, 3, "inside a segment the newest run comes first");
    cr_assert_eq(job.move_bytes, 3000);
    omi_job_fini(&job);
}

Test(pick, small_files_are_glued_to_small_or_merged_neighbours_only)
{
    static const uint64_t bytes[] = {1000, 10, 1000, 20, 30, 1000};
    for (uint64_t age = 6; age >= 1; age--) {
        run_add(1, age);
        file_add(1, (uint32_t)(7 - age) * 10, (uint32_t)(7 - age) * 10 + 5, bytes[6 - age]);
    }
    pick(NULL, 0);
    cr_assert(found);
    cr_assert_eq(job.segment_count, 5);
    cr_assert_eq(job.segments[3].count, 2);
    cr_assert_eq(job.merge_bytes, 50);
    omi_job_fini(&job);
}

Test(pick, a_file_with_deletes_is_merged_when_nothing_older_lies_below)
{
    for (uint64_t age = 5; age >= 1; age--) {
        run_add(1, age);
        file_add(1, (uint32_t)age * 10, (uint32_t)age * 10 + 5, 1000)->deletes = age == 3;
    }
    pick(NULL, 0);
    cr_assert_eq(job.merge_bytes, 1000);
    run_add(3, 0);
    file_add(3, 1, 2, 1000);
    pick(NULL, 0);
    cr_assert_eq(job.merge_bytes, 0);
    omi_job_fini(&job);
}

Test(pick, the_last_level_past_its_capacity_becomes_the_next_one_unchanged)
{
    run_add(2, 7);
    for (uint32_t i = 0; i < 301; i++)
        file_add(2, i * 10, i * 10 + 5, i % 2 ? 1990 : 10);
    pick(NULL, 0);
    cr_assert(found);
    cr_assert_eq(job.reason, OMI_JOB_DEEPEN);
    cr_assert_eq(job.target_level, 3);
    cr_assert_eq(job.target_age, 7);
    cr_assert_eq(job.merge_bytes, 0);
    cr_assert_eq(job.segment_count, 301);
    omi_job_fini(&job);
}

Test(pick, the_deepest_possible_level_is_never_left)
{
    run_add(OMEN_LEVELS_MAX, 7);
    file_add(OMEN_LEVELS_MAX, 0, 9, UINT64_MAX);
    pick(NULL, 0);
    cr_assert_not(found);
}

Test(pick, surplus_runs_of_the_last_level_join_its_oldest)
{
    run_add(3, 9);
    file_add(3, 0, 5, 1000);
    run_add(3, 8);
    file_add(3, 4, 20, 1000);
    run_add(3, 2);
    file_add(3, 3, 6, 1000);
    file_add(3, 30, 40, 1000);
    pick(NULL, 0);
    cr_assert(found && job.joins);
    cr_assert_eq(job.source_level, 3);
    cr_assert_eq(job.target_level, 3);
    cr_assert_eq(job.target_age, 2);
    cr_assert_eq(job.input_count, 3);
    omi_job_fini(&job);
}

Test(pick, the_level_further_past_its_limit_goes_first)
{
    for (uint64_t age = 25; age >= 21; age--) { /* 5 of 4 */
        run_add(1, age);
        file_add(1, 0, 100, 1000);
    }
    for (uint64_t age = 10; age >= 4; age--) { /* 7 of 4 */
        run_add(2, age);
        file_add(2, 0, 100, 1000);
    }
    run_add(3, 1);
    file_add(3, 0, 100, 1000);
    pick(NULL, 0);
    cr_assert_eq(job.source_level, 2);
    struct omi_busy_run busy = {.level = 3, .age = 1};
    pick(&busy, 1);
    cr_assert(found, "level 2 waits for its target, so the next urgent one goes");
    cr_assert_eq(job.source_level, 1);
    omi_job_fini(&job);
}

Test(pick, a_file_of_deletes_is_rewritten_once_no_snapshot_and_no_older_run_needs_them)
{
    run_add(2, 5);
    file_add(2, 0, 9, 1000);
    struct omi_tree_file *f = file_add(2, 10, 19, 1000);
    f->deletes = 51;
    f->max_seq = 40;
    cr_assert_eq(omi_job_pick_deletes(&tree, &bytewise, TARGET, 39, NULL, 0, &job, &found),
                 OMEN_OK);
    cr_assert_not(found);
    cr_assert_eq(omi_job_pick_deletes(&tree, &bytewise, TARGET, 40, NULL, 0, &job, &found),
                 OMEN_OK);
    cr_assert(found && job.joins);
    cr_assert_eq(job.reason, OMI_JOB_DELETES);
    cr_assert_eq(job.input_count, 1);
    cr_assert_eq(job.inputs[0].file, f);
    cr_assert_not(job.segments[0].move);
    omi_job_fini(&job);
    f->deletes = 50;
    cr_assert_eq(omi_job_pick_deletes(&tree, &bytewise, TARGET, 40, NULL, 0, &job, &found),
                 OMEN_OK);
    cr_assert_not(found);
    f->deletes = 100;
    run_add(2, 4);
    file_add(2, 15, 15, 1000);
    cr_assert_eq(omi_job_pick_deletes(&tree, &bytewise, TARGET, 40, NULL, 0, &job, &found),
                 OMEN_OK);
    cr_assert_not(found);
}

Test(pick, a_range_takes_whole_files_of_every_level_and_nothing_else)
{
    run_add(1, 9);
    file_add(1, 0, 9, 1000);
    file_add(1, 15, 30, 1000);
    run_add(3, 2);
    file_add(3, 0, 14, 1000);
    file_add(3, 28, 40, 1000);
    file_add(3, 41, 50, 1000);
    const uint8_t bytes[2] = {0, 20};
    omen_slice key = omi_slice(bytes, 2);
    cr_assert_eq(omi_job_pick_range(&tree, &shape, &bytewise, TARGET, &key, &key, &job, &found),
                 OMEN_OK);
    cr_assert(found && job.joins);
    cr_assert_eq(job.source_level, 1);
    cr_assert_eq(job.target_level, 3);
    cr_assert_eq(job.input_count, 2);
    cr_assert_eq(job.inputs[1].file->number, 4);
    omi_job_fini(&job);
}

Test(pick, a_range_in_one_run_without_deletes_is_done)
{
    run_add(2, 2);
    file_add(2, 0, 14, 10);
    struct omi_tree_file *f = file_add(2, 28, 40, 10);
    cr_assert_eq(omi_job_pick_range(&tree, &shape, &bytewise, TARGET, NULL, NULL, &job, &found),
                 OMEN_OK);
    cr_assert_not(found);
    f->deletes = 1;
    cr_assert_eq(omi_job_pick_range(&tree, &shape, &bytewise, TARGET, NULL, NULL, &job, &found),
                 OMEN_OK);
    cr_assert(found);
    omi_job_fini(&job);
}

/* Flushes of disjoint, ascending key ranges; every job is carried out by moving files. */
Test(pick, sequential_inserts_are_moved_and_hardly_rewritten)
{
    static struct omi_tree_file *last_level[FILES_MAX];
    uint64_t flushed = 0, rewritten = 0, age = 0;
    uint32_t last_count = 0;
    for (uint32_t flush = 0; flush < 300; flush++) {
        struct omi_tree_level *l = &tree.levels[0];
        memmove(&runs[0][1], &runs[0][0], l->run_count * sizeof(runs[0][0]));
        l->run_count++;
        l->runs = runs[0];
        tree.level_count = tree.level_count > 1 ? tree.level_count : 1;
        l->runs[0] = (struct omi_tree_run){.age = ++age, .files = slots[0][flush % RUNS_MAX]};
        for (uint32_t i = 0; i < 11; i++) { /* ten whole files and a small one */
            struct omi_tree_file *f = &files[file_count];
            uint32_t at = flush * 100 + i * 9;
            *f = (struct omi_tree_file){.bytes = i < 10 ? 990 : 100,
                                        .smallest = key_at(file_count, 0, at),
                                        .largest = key_at(file_count, 1, at + 8)};
            file_count++;
            l->runs[0].files[l->runs[0].file_count++] = f;
            l->runs[0].bytes += f->bytes;
            l->bytes += f->bytes;
            flushed += f->bytes;
        }
        pick(NULL, 0);
        if (!found)
            continue;
        cr_assert_eq(job.source_level, 1);
        rewritten += job.merge_bytes;
        for (uint32_t i = 0; i < job.input_count; i++)
            last_level[last_count++] = job.inputs[i].file;
        tree.level_count = 2;
        tree.levels[1] = (struct omi_tree_level){.run_count = 1, .runs = runs[1]};
        runs[1][0] = (struct omi_tree_run){.age = 1, .file_count = last_count, .files = last_level};
        tree.levels[0].run_count = 0;
        tree.levels[0].bytes = 0;
    }
    cr_assert_gt(last_count, 3000);
    cr_assert_leq(rewritten * 50, flushed);
    omi_job_fini(&job);
}

/* ---- debt ------------------------------------------------------------------------------------ */

Test(pick, debt_grows_with_each_byte_past_a_limit_and_never_jumps)
{
    run_add(2, 1);
    file_add(2, 0, 100, 290000);
    run_add(1, 2);
    struct omi_tree_file *f = file_add(1, 0, 100, 0);
    uint64_t before = 0;
    for (uint64_t bytes = 0; bytes <= 200000; bytes += 500) {
        f->bytes = runs[0][0].bytes = tree.levels[0].bytes = bytes;
        uint64_t debt = omi_tree_debt(&tree, &shape);
        cr_assert_geq(debt, before);
        cr_assert_leq(debt - before, 500 * 7, "each byte costs at most size ratio + 1");
        if (bytes <= 50000)
            cr_assert_eq(debt, 0);
        else
            cr_assert_geq(debt, bytes - 50000);
        before = debt;
    }
}

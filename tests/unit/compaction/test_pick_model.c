/*
 * A tree of maps driven by random flushes, picks and jobs, up to two jobs at a time, under shapes
 * that change while it runs. After each step every lookup must give the newest version, every run
 * must be disjoint and ages must fall from level to level; at rest every limit must hold.
 */
#include "compaction/pick.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(pick_model, .timeout = 60);

enum { KEYS = 96, RUNS = 64, JOBS = 2, BUSY = 64, ENTRY_BYTES = 100 };

struct model_file {
    struct omi_tree_file meta;
    uint64_t seq[KEYS]; /* 0: not here */
    bool deleted[KEYS];
    struct model_file *next_made;
};

struct model_run {
    uint64_t age;
    uint32_t file_count;
    struct model_file *files[2 * KEYS];
};

struct model_level {
    uint32_t run_count;
    struct model_run runs[RUNS]; /* newest first */
};

struct running {
    bool active, is_range;
    struct omi_job job;
    struct omi_tree *tree; /* as of the pick */
};

struct model {
    uint64_t seed, random, seq, age, number, target_file_bytes;
    struct omi_shape shape;
    struct omi_order order;
    struct model_level levels[OMEN_LEVELS_MAX];
    struct model_file *made; /* all files ever, freed at the end */
    uint64_t truth_seq[KEYS];
    bool truth_deleted[KEYS];
    struct running jobs[JOBS];
    uint64_t flushed_bytes, merged_bytes, moved_bytes;
};

static uint8_t key_bytes[2][KEYS][2]; /* ascending, descending */

#define CHECK(m, condition)                                                                        \
    cr_assert(condition, "seed %" PRIu64 "; replay: OMENDB_TEST_SEED=%" PRIu64 " test_pick_model", \
              (m)->seed, (m)->seed)

static uint64_t model_random(struct model *m)
{
    m->random += 0x9e3779b97f4a7c15u;
    uint64_t z = m->random;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static uint32_t below(struct model *m, uint32_t n)
{
    return (uint32_t)(model_random(m) % n);
}

static int reverse_compare(void *context, omen_slice a, omen_slice b)
{
    (void)context;
    return omi_bytes_compare(b.data, b.size, a.data, a.size);
}
static const omen_comparator reverse = {"reverse", reverse_compare, NULL};

/* Key number k in the order of the model. */
static omen_slice key_of(const struct model *m, uint32_t k)
{
    return omi_slice(key_bytes[m->order.comparator != NULL][k], 2);
}

/* ---- files and trees ------------------------------------------------------------------------- */

static struct model_file *file_make(struct model *m)
{
    struct model_file *f = calloc(1, sizeof(*f));
    CHECK(m, f != NULL);
    f->meta.number = ++m->number;
    f->next_made = m->made;
    m->made = f;
    return f;
}

static void file_seal(struct model *m, struct model_file *f)
{
    f->meta.min_seq = UINT64_MAX;
    for (uint32_t k = 0; k < KEYS; k++) {
        if (f->seq[k] == 0)
            continue;
        if (f->meta.entries++ == 0)
            f->meta.smallest = key_of(m, k);
        f->meta.largest = key_of(m, k);
        f->meta.deletes += f->deleted[k];
        f->meta.bytes += ENTRY_BYTES;
        f->meta.min_seq = f->seq[k] < f->meta.min_seq ? f->seq[k] : f->meta.min_seq;
        f->meta.max_seq = f->seq[k] > f->meta.max_seq ? f->seq[k] : f->meta.max_seq;
    }
    CHECK(m, f->meta.entries != 0);
}

/* Cuts a map into files at the target size, sometimes earlier; appends them to run. */
static void files_cut(struct model *m, const struct model_file *map, struct model_run *run)
{
    struct model_file *f = NULL;
    uint32_t room = 0;
    for (uint32_t k = 0; k < KEYS; k++) {
        if (map->seq[k] == 0)
            continue;
        if (f == NULL) {
            f = file_make(m);
            room = (uint32_t)(m->target_file_bytes / ENTRY_BYTES);
            room = below(m, 8) == 0 ? 1 + below(m, room) : room;
            CHECK(m, run->file_count < 2 * KEYS);
            run->files[run->file_count++] = f;
        }
        f->seq[k] = map->seq[k];
        f->deleted[k] = map->deleted[k];
        if (--room == 0) {
            file_seal(m, f);
            f = NULL;
        }
    }
    if (f != NULL)
        file_seal(m, f);
}

static struct omi_tree *tree_make(const struct model *m)
{
    struct omi_tree *tree = calloc(1, sizeof(*tree));
    for (uint32_t l = 0; l < OMEN_LEVELS_MAX; l++) {
        const struct model_level *from = &m->levels[l];
        struct omi_tree_level *level = &tree->levels[l];
        level->run_count = from->run_count;
        if (from->run_count == 0)
            continue;
        tree->level_count = l + 1;
        level->runs = calloc(from->run_count, sizeof(*level->runs));
        for (uint32_t r = 0; r < from->run_count; r++) {
            struct omi_tree_run *run = &level->runs[r];
            run->age = from->runs[r].age;
            run->file_count = from->runs[r].file_count;
            run->files = calloc(run->file_count, sizeof(struct omi_tree_file *));
            for (uint32_t i = 0; i < run->file_count; i++) {
                run->files[i] = &from->runs[r].files[i]->meta;
                run->bytes += run->files[i]->bytes;
            }
            level->bytes += run->bytes;
        }
    }
    return tree;
}

static void tree_free(struct omi_tree *tree)
{
    for (uint32_t l = 0; l < OMEN_LEVELS_MAX; l++) {
        for (uint32_t r = 0; r < tree->levels[l].run_count; r++)
            free(tree->levels[l].runs[r].files);
        free(tree->levels[l].runs);
    }
    free(tree);
}

static struct model_run *run_find(struct model *m, uint32_t level, uint64_t age)
{
    struct model_level *l = &m->levels[level - 1];
    for (uint32_t r = 0; r < l->run_count; r++)
        if (l->runs[r].age == age)
            return &l->runs[r];
    return NULL;
}

static struct model_run *run_insert(struct model *m, uint32_t level, uint64_t age)
{
    struct model_level *l = &m->levels[level - 1];
    uint32_t at = 0;
    CHECK(m, l->run_count < RUNS);
    while (at < l->run_count && l->runs[at].age > age)
        at++;
    memmove(&l->runs[at + 1], &l->runs[at], (l->run_count - at) * sizeof(l->runs[0]));
    l->run_count++;
    l->runs[at] = (struct model_run){.age = age};
    return &l->runs[at];
}

static void empty_runs_remove(struct model *m)
{
    for (uint32_t l = 0; l < OMEN_LEVELS_MAX; l++) {
        struct model_level *level = &m->levels[l];
        uint32_t kept = 0;
        for (uint32_t r = 0; r < level->run_count; r++)
            if (level->runs[r].file_count != 0) {
                if (kept != r)
                    level->runs[kept] = level->runs[r];
                kept++;
            }
        level->run_count = kept;
    }
}

/* ---- checks ---------------------------------------------------------------------------------- */

static void order_check(struct model *m)
{
    uint64_t age_above = UINT64_MAX;
    for (uint32_t l = 0; l < OMEN_LEVELS_MAX; l++)
        for (uint32_t r = 0; r < m->levels[l].run_count; r++) {
            const struct model_run *run = &m->levels[l].runs[r];
            CHECK(m, run->age < age_above);
            age_above = run->age;
            for (uint32_t i = 1; i < run->file_count; i++)
                CHECK(m, omi_key_compare(&m->order, run->files[i - 1]->meta.largest,
                                         run->files[i]->meta.smallest) < 0);
        }
}

static const struct model_file *lookup(const struct model *m, uint32_t k)
{
    for (uint32_t l = 0; l < OMEN_LEVELS_MAX; l++)
        for (uint32_t r = 0; r < m->levels[l].run_count; r++) {
            const struct model_run *run = &m->levels[l].runs[r];
            for (uint32_t i = 0; i < run->file_count; i++)
                if (run->files[i]->seq[k] != 0)
                    return run->files[i];
        }
    return NULL;
}

static void lookups_check(struct model *m)
{
    for (uint32_t k = 0; k < KEYS; k++) {
        const struct model_file *f = lookup(m, k);
        if (m->truth_seq[k] != 0 && !m->truth_deleted[k])
            CHECK(m, f != NULL && f->seq[k] == m->truth_seq[k] && !f->deleted[k]);
        else
            CHECK(m, f == NULL || (f->deleted[k] && f->seq[k] == m->truth_seq[k]));
    }
}

static void job_check(struct model *m, const struct omi_job *job)
{
    uint32_t next = 0;
    uint64_t merge_bytes = 0, move_bytes = 0;
    omen_slice before = {0};
    CHECK(m, job->segment_count != 0 && job->target_level <= OMEN_LEVELS_MAX);
    CHECK(m, job->joins == (run_find(m, job->target_level, job->target_age) != NULL));
    for (uint32_t s = 0; s < job->segment_count; s++) {
        const struct omi_job_segment *segment = &job->segments[s];
        omen_slice smallest = {0}, largest = {0};
        CHECK(m, segment->first == next && segment->count != 0);
        CHECK(m, !segment->move || segment->count == 1);
        next += segment->count;
        for (uint32_t i = 0; i < segment->count; i++) {
            const struct omi_job_input *in = &job->inputs[segment->first + i], *last = in - 1;
            *(segment->move ? &move_bytes : &merge_bytes) += in->file->bytes;
            if (i == 0 || omi_key_compare(&m->order, in->file->smallest, smallest) < 0)
                smallest = in->file->smallest;
            if (i == 0 || omi_key_compare(&m->order, in->file->largest, largest) > 0)
                largest = in->file->largest;
            if (i == 0)
                continue;
            bool same_run = last->level == in->level && last->age == in->age;
            bool older_run =
                in->level > last->level || (in->level == last->level && in->age < last->age);
            CHECK(m, same_run || older_run);
            if (same_run)
                CHECK(m, omi_key_compare(&m->order, last->file->largest, in->file->smallest) < 0);
        }
        if (s != 0)
            CHECK(m, omi_key_compare(&m->order, before, smallest) < 0);
        else
            CHECK(m, omi_key_compare(&m->order, job->smallest, smallest) == 0);
        before = largest;
    }
    CHECK(m, next == job->input_count);
    CHECK(m, omi_key_compare(&m->order, job->largest, before) == 0);
    CHECK(m, merge_bytes == job->merge_bytes && move_bytes == job->move_bytes);
}

static void rest_check(struct model *m)
{
    struct omi_tree *tree = tree_make(m);
    uint32_t last = tree->level_count > 2 ? tree->level_count : 2;
    for (uint32_t l = 1; l <= tree->level_count; l++) {
        CHECK(m, tree->levels[l - 1].run_count <= omi_shape_runs(&m->shape, l, last));
        if (l < OMEN_LEVELS_MAX)
            CHECK(m, tree->levels[l - 1].bytes <= omi_shape_capacity(&m->shape, l));
    }
    CHECK(m, omi_tree_debt(tree, &m->shape) == 0);
    tree_free(tree);
}

/* ---- steps ----------------------------------------------------------------------------------- */

static void flush(struct model *m)
{
    if (m->levels[0].run_count >= RUNS - 2)
        return;
    struct model_file map = {0};
    uint32_t first = below(m, KEYS), span = 1 + below(m, KEYS), any = 0;
    uint32_t share = 1 + below(m, 3), deletes = below(m, 4);
    for (uint32_t k = first; k < KEYS && k < first + span; k++) {
        if (below(m, share) != 0)
            continue;
        map.seq[k] = m->truth_seq[k] = ++m->seq;
        map.deleted[k] = m->truth_deleted[k] = below(m, 4) < deletes;
        any++;
    }
    if (any == 0)
        return;
    files_cut(m, &map, run_insert(m, 1, ++m->age));
    m->flushed_bytes += (uint64_t)any * ENTRY_BYTES;
}

static uint32_t busy_list(const struct model *m, struct omi_busy_run *busy)
{
    uint32_t count = 0;
    for (uint32_t j = 0; j < JOBS; j++) {
        const struct omi_job *job = &m->jobs[j].job;
        if (!m->jobs[j].active)
            continue;
        for (uint32_t i = 0; i < job->input_count; i++) {
            const struct omi_job_input *in = &job->inputs[i];
            uint32_t b = 0;
            while (b < count && (busy[b].level != in->level || busy[b].age != in->age))
                b++;
            if (b == count)
                busy[count++] =
                    (struct omi_busy_run){in->level, in->age, in->level == job->source_level};
        }
        busy[count++] = (struct omi_busy_run){job->target_level, job->target_age, false};
        cr_assert_lt(count, BUSY - 1);
    }
    return count;
}

static bool start(struct model *m, struct running *slot, uint32_t kind)
{
    struct omi_busy_run busy[BUSY];
    uint32_t busy_count = busy_list(m, busy);
    bool found = false;
    omen_err err;
    slot->tree = tree_make(m);
    slot->is_range = kind == 2;
    if (kind == 0) {
        err = omi_job_pick(slot->tree, &m->shape, &m->order, m->target_file_bytes, busy, busy_count,
                           &slot->job, &found);
    } else if (kind == 1) {
        uint64_t snapshot = below(m, 2) ? UINT64_MAX : 1 + below(m, (uint32_t)m->seq + 1);
        err = omi_job_pick_deletes(slot->tree, &m->order, m->target_file_bytes, snapshot, busy,
                                   busy_count, &slot->job, &found);
    } else {
        uint32_t a = below(m, KEYS), b = below(m, KEYS);
        omen_slice first = key_of(m, a < b ? a : b), last = key_of(m, a < b ? b : a);
        err = omi_job_pick_range(slot->tree, &m->shape, &m->order, m->target_file_bytes,
                                 below(m, 4) ? &first : NULL, below(m, 4) ? &last : NULL,
                                 &slot->job, &found);
    }
    CHECK(m, err == OMEN_OK);
    if (!found) {
        tree_free(slot->tree);
        return false;
    }
    job_check(m, &slot->job);
    for (uint32_t i = 0; i < slot->job.input_count; i++)
        for (uint32_t b = 0; b < busy_count; b++)
            CHECK(m, busy[b].level != slot->job.inputs[i].level ||
                         busy[b].age != slot->job.inputs[i].age);
    slot->active = true;
    return true;
}

static struct model_file *input_take(struct model *m, const struct omi_job_input *in)
{
    struct model_run *run = run_find(m, in->level, in->age);
    CHECK(m, run != NULL);
    for (uint32_t i = 0; i < run->file_count; i++) {
        struct model_file *f = run->files[i];
        if (&f->meta != in->file)
            continue;
        run->file_count--;
        memmove(&run->files[i], &run->files[i + 1], (run->file_count - i) * sizeof(f));
        return f;
    }
    CHECK(m, false); /* a running job's input has left the tree */
    return NULL;
}

static void segment_run(struct model *m, struct running *slot,
                        const struct omi_job_segment *segment, const struct omi_tree *now,
                        struct model_run *out)
{
    const struct omi_job_input *inputs = &slot->job.inputs[segment->first];
    struct model_file map = {0};
    if (segment->move) {
        out->files[out->file_count++] = input_take(m, &inputs[0]);
        m->moved_bytes += inputs[0].file->bytes;
        return;
    }
    bool snapshot = !slot->is_range && below(m, 8) == 0; /* an old one: deletes stay */
    for (uint32_t i = 0; i < segment->count; i++) {
        const struct model_file *f = input_take(m, &inputs[i]);
        m->merged_bytes += f->meta.bytes;
        for (uint32_t k = 0; k < KEYS; k++)
            if (f->seq[k] != 0 && map.seq[k] == 0) {
                map.seq[k] = f->seq[k];
                map.deleted[k] = f->deleted[k];
            }
    }
    for (uint32_t k = 0; k < KEYS; k++)
        if (map.seq[k] != 0 && map.deleted[k] && !snapshot &&
            !omi_job_older_may_hold(now, &m->order, &slot->job, key_of(m, k)))
            map.seq[k] = 0;
    files_cut(m, &map, out);
}

static int compare_files(const void *va, const void *vb)
{
    const struct model_file *a = *(struct model_file *const *)va;
    const struct model_file *b = *(struct model_file *const *)vb;
    uint32_t ka = 0, kb = 0; /* key numbers are in key order */
    while (a->seq[ka] == 0)
        ka++;
    while (b->seq[kb] == 0)
        kb++;
    return (ka > kb) - (ka < kb);
}

static void finish(struct model *m, struct running *slot)
{
    struct omi_tree *now = tree_make(m);
    struct model_run out = {0};
    const struct omi_job *job = &slot->job;
    for (uint32_t s = 0; s < job->segment_count; s++)
        segment_run(m, slot, &job->segments[s], below(m, 2) ? now : slot->tree, &out);
    struct model_run *run = run_find(m, job->target_level, job->target_age);
    CHECK(m, job->joins == (run != NULL) || job->source_level == job->target_level);
    if (run == NULL)
        run = run_insert(m, job->target_level, job->target_age);
    for (uint32_t i = 0; i < out.file_count; i++)
        run->files[run->file_count++] = out.files[i];
    qsort(run->files, run->file_count, sizeof(run->files[0]), compare_files);
    empty_runs_remove(m);
    tree_free(now);
    tree_free(slot->tree);
    omi_job_fini(&slot->job);
    slot->active = false;
    order_check(m);
    lookups_check(m);
}

static void finish_all(struct model *m)
{
    for (uint32_t j = 0; j < JOBS; j++)
        if (m->jobs[j].active)
            finish(m, &m->jobs[j]);
}

static void come_to_rest(struct model *m)
{
    uint32_t steps = 0;
    finish_all(m);
    while (start(m, &m->jobs[0], 0)) {
        finish(m, &m->jobs[0]);
        CHECK(m, ++steps < 400);
    }
    rest_check(m);
}

/* After a range job nothing in the range is left above the last level, nor any delete. */
static void range_step(struct model *m)
{
    finish_all(m);
    uint64_t random = m->random;
    if (!start(m, &m->jobs[0], 2))
        return;
    finish(m, &m->jobs[0]);
    m->random = random; /* the same range again, if level_count did not move: nothing to do */
    struct omi_tree *tree = tree_make(m);
    bool still_one_place = tree->level_count != 0;
    tree_free(tree);
    if (still_one_place)
        CHECK(m, !start(m, &m->jobs[0], 2));
}

static void shape_change(struct model *m)
{
    m->shape = (struct omi_shape){.size_ratio = 2 + below(m, 5),
                                  .runs_upper = 1 + below(m, 4),
                                  .runs_last = below(m, 3) == 0 ? 1 + below(m, 3) : 1,
                                  .memtable_bytes = 500 + below(m, 4000)};
    if (below(m, 3) == 0)
        m->shape.runs_level[below(m, 4)] = 1 + below(m, 4);
    CHECK(m, omi_shape_check(&m->shape) == OMEN_OK);
}

static void model_round(uint64_t seed)
{
    struct model *m = calloc(1, sizeof(*m));
    m->seed = m->random = seed;
    m->order.comparator = below(m, 3) == 0 ? &reverse : NULL;
    m->target_file_bytes = 100 + below(m, 1200);
    shape_change(m);
    for (uint32_t step = 0; step < 250; step++) {
        uint32_t what = below(m, 100);
        struct running *slot = &m->jobs[below(m, JOBS)];
        if (what < 40)
            flush(m);
        else if (what < 90)
            slot->active ? finish(m, slot) : (void)start(m, slot, 0);
        else if (what < 94 && !slot->active)
            (void)start(m, slot, 1);
        else if (what < 96)
            range_step(m);
        else if (what < 98)
            shape_change(m);
        else
            come_to_rest(m);
    }
    come_to_rest(m);
    for (struct model_file *f = m->made, *next; f != NULL; f = next) {
        next = f->next_made;
        free(f);
    }
    free(m);
}

Test(pick_model, the_newest_version_is_found_whatever_is_picked_and_limits_hold_at_rest)
{
    for (uint32_t k = 0; k < KEYS; k++) {
        key_bytes[0][k][1] = (uint8_t)k;
        key_bytes[1][k][1] = (uint8_t)(KEYS - 1 - k);
    }
    const char *text = getenv("OMENDB_TEST_SEED");
    if (text != NULL) {
        model_round(strtoull(text, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= 150; seed++)
        model_round(seed);
}

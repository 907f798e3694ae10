/*
 * compact.c - one merge, from picking to installing; and the user's omen_compact.
 * What to merge is compaction/pick.c's, how is compaction/merge.c's; here are the files.
 */
#include "io/base/mutant.h"
#include "lsm/db.h"

#include <stdlib.h>
#include <string.h>

/* ---- holding runs ---------------------------------------------------------------------------- */

static bool busy_has_locked(omen_db *db, uint32_t level, uint64_t age) OMI_REQUIRES(db->mu)
{
    for (uint32_t i = 0; i < db->busy_count; i++)
        if (db->busy[i].level == level && db->busy[i].age == age)
            return true;
    return false;
}

/* Holds the runs of job; false when the list is full. */
static bool job_hold_locked(omen_db *db, const struct omi_job *job) OMI_REQUIRES(db->mu)
{
    uint32_t before = db->busy_count;
    for (uint32_t i = 0; i < job->input_count; i++) {
        const struct omi_job_input *in = &job->inputs[i];
        if (busy_has_locked(db, in->level, in->age))
            continue;
        if (db->busy_count + 2 > OMI_BUSY_MAX) {
            db->busy_count = before;
            return false;
        }
        db->busy[db->busy_count++] =
            (struct omi_busy_run){in->level, in->age, in->level == job->source_level};
    }
    if (!busy_has_locked(db, job->target_level, job->target_age))
        db->busy[db->busy_count++] =
            (struct omi_busy_run){job->target_level, job->target_age, false};
    return true;
}

static void job_let_go_locked(omen_db *db, const struct omi_job *job) OMI_REQUIRES(db->mu)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < db->busy_count; i++) {
        bool ours = db->busy[i].level == job->target_level && db->busy[i].age == job->target_age;
        for (uint32_t j = 0; j < job->input_count && !ours; j++)
            ours =
                db->busy[i].level == job->inputs[j].level && db->busy[i].age == job->inputs[j].age;
        if (!ours)
            db->busy[kept++] = db->busy[i];
    }
    db->busy_count = kept;
}

/* ---- running a job --------------------------------------------------------------------------- */

struct job_run {
    omen_db *db;
    struct omi_version *version; /* what the job was picked from; holds its files */
    struct omi_job *job;
    struct omi_edit edit;
    struct omi_output *output;
    uint64_t *snapshots;
    uint32_t snapshot_count;
    struct omi_merge_stats merged;
    uint64_t read_bytes;
    uint32_t moved_tables; /* to the target level, without being read */
};

static bool older_may_hold(void *ctx, omen_slice key)
{
    struct job_run *r = ctx;
    if (OMI_MUTANT(OMI_MUTANT_DELETE_RESURRECTED))
        return false;
    return omi_job_older_may_hold(&r->version->tree, &r->db->tenv.order, r->job, key);
}

static omen_err segment_move(struct job_run *r, const struct omi_job_segment *s)
{
    for (uint32_t i = s->first; i < s->first + s->count; i++) {
        const struct omi_job_input *in = &r->job->inputs[i];
        if (in->level == r->job->target_level && in->age == r->job->target_age)
            continue; /* of the target run: already there */
        struct omi_edit_move move = {.from_level = in->level,
                                     .to_level = r->job->target_level,
                                     .from_age = in->age,
                                     .to_age = r->job->target_age,
                                     .number = in->file->number};
        omen_err err = omi_edit_move(&r->edit, &move);
        if (err != OMEN_OK)
            return err;
        r->moved_tables += in->level != r->job->target_level;
    }
    return OMEN_OK;
}

/* The tables of one input run, in key order: one source. Inputs of a segment come run by run,
 * newest run first. */
static omen_err segment_sources(struct job_run *r, const struct omi_job_segment *s,
                                struct omi_table **tables, struct omi_merge_source **sources,
                                uint32_t *source_count)
{
    uint64_t chunk = r->db->settings.split.target_file_bytes / 8;
    chunk = chunk < (64u << 10) ? 64u << 10 : chunk > (1u << 20) ? 1u << 20 : chunk;
    uint32_t i = s->first, end = s->first + s->count;
    *source_count = 0;
    while (i < end) {
        uint32_t from = i;
        const struct omi_job_input *in = &r->job->inputs[i];
        for (; i < end && r->job->inputs[i].level == in->level && r->job->inputs[i].age == in->age;
             i++)
            tables[i] = ((struct omi_live_table *)(void *)r->job->inputs[i].file)->table;
        omen_err err =
            omi_table_source_open(&tables[from], i - from, chunk, &sources[*source_count]);
        if (err != OMEN_OK)
            return err;
        (*source_count)++;
    }
    return OMEN_OK;
}

static omen_err segment_remove_inputs(struct job_run *r, const struct omi_job_segment *s)
{
    for (uint32_t i = s->first; i < s->first + s->count; i++) {
        const struct omi_job_input *in = &r->job->inputs[i];
        r->read_bytes += in->file->bytes;
        omen_err err = omi_edit_remove(&r->edit, in->level, in->age, in->file->number);
        if (err != OMEN_OK)
            return err;
    }
    return OMEN_OK;
}

static void merged_add(struct omi_merge_stats *to, const struct omi_merge_stats *more)
{
    to->entries_in += more->entries_in;
    to->entries_out += more->entries_out;
    to->bytes_in += more->bytes_in;
    to->bytes_out += more->bytes_out;
    to->dropped_shadowed += more->dropped_shadowed;
    to->dropped_deletes += more->dropped_deletes;
}

static omen_err segment_merge(struct job_run *r, const struct omi_job_segment *s)
{
    struct omi_table **tables = calloc(r->job->input_count, sizeof(*tables));
    struct omi_merge_source **sources = calloc(s->count, sizeof(*sources));
    uint32_t source_count = 0;
    struct omi_merge_stats stats = {0};
    struct omi_merge_params params = {.order = &r->db->tenv.order,
                                      .snapshots = r->snapshots,
                                      .snapshot_count = r->snapshot_count,
                                      .older_may_hold = older_may_hold,
                                      .older_ctx = r};
    omen_err err = OMEN_OK;
    if (tables == NULL || sources == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "a merge of %u tables", s->count);
    if (err == OMEN_OK)
        err = segment_sources(r, s, tables, sources, &source_count);
    if (err == OMEN_OK && omi_order_is_bytewise(&r->db->tenv.order))
        params.common_prefix =
            (uint32_t)omi_bytes_common(r->job->smallest.data, r->job->smallest.size,
                                       r->job->largest.data, r->job->largest.size);
    if (err == OMEN_OK)
        err = omi_merge_run(sources, source_count, omi_output_sink(r->output), &params, &stats);
    if (err == OMEN_OK)
        err = omi_output_cut(r->output); /* the next segment lies beyond a moved table */
    if (err == OMEN_OK)
        err = segment_remove_inputs(r, s);
    for (uint32_t i = 0; i < source_count; i++)
        omi_table_source_close(sources[i]);
    free(sources);
    free(tables);
    merged_add(&r->merged, &stats);
    return err;
}

static void job_report(struct job_run *r, uint64_t us)
{
    omen_db *db = r->db;
    uint64_t written = omi_output_bytes(r->output);
    omi_count(&db->counters, OMI_COUNT_MERGES, 1);
    omi_count(&db->counters, OMI_COUNT_MERGE_READ_BYTES, r->read_bytes);
    omi_count(&db->counters, OMI_COUNT_MERGE_WRITTEN_BYTES, written);
    omi_count(&db->counters, OMI_COUNT_DEVICE_BYTES, written);
    struct omen_level_stats add = {.read_bytes = r->read_bytes,
                                   .written_bytes = written,
                                   .moved_bytes = r->job->move_bytes,
                                   .entries_in = r->merged.entries_in,
                                   .entries_dropped = r->merged.entries_in - r->merged.entries_out,
                                   .merges = 1,
                                   .merge_us = us};
    omi_stats_level(db, r->job->target_level, &add);
    omi_stats_merged(db, r->job->target_level, &r->merged);
    omi_count_level(&db->counters, omi_counter_stripe(), r->job->target_level,
                    OMI_LEVEL_MOVED_TABLES, r->moved_tables);
    omi_say(db->log_file, 2,
            "merge: level %u to %u, %u tables, read %" PRIu64 ", wrote %" PRIu64 ", moved %" PRIu64
            " bytes, dropped %" PRIu64 " entries, %" PRIu64 " us",
            r->job->source_level, r->job->target_level, r->job->input_count, r->read_bytes, written,
            r->job->move_bytes, r->merged.entries_in - r->merged.entries_out, us);
}

/* Entries of the inputs that are merged: what the target run gets at most. */
static uint64_t job_entries(const struct omi_job *job)
{
    uint64_t entries = 0;
    for (uint32_t i = 0; i < job->input_count; i++)
        entries += omi_table_props(
                       ((const struct omi_live_table *)(const void *)job->inputs[i].file)->table)
                       ->entries;
    return entries;
}

static omen_err job_run(omen_db *db, struct omi_version *version, struct omi_job *job)
{
    struct job_run r = {.db = db, .version = version, .job = job};
    uint64_t started_ns = omi_now_ns(db->env);
    bool last = job->target_level >= version->tree.level_count;
    omen_err err = omi_output_create(db, job->target_level, job->target_age, last, job_entries(job),
                                     &r.output);
    if (err == OMEN_OK)
        omi_output_replaces(r.output, job);
    if (err == OMEN_OK)
        err = omi_db_snapshot_seqs(db, &r.snapshots, &r.snapshot_count);
    for (uint32_t i = 0; i < job->segment_count && err == OMEN_OK; i++)
        err = job->segments[i].move ? segment_move(&r, &job->segments[i])
                                    : segment_merge(&r, &job->segments[i]);
    if (err == OMEN_OK)
        err = omi_output_finish(r.output, &r.edit);
    if (err == OMEN_OK) {
        omi_mutex_lock(&db->install);
        err = omi_db_install(db, &r.edit, false);
        omi_mutex_unlock(&db->install);
    }
    if (err == OMEN_OK) {
        job_report(&r, (omi_now_ns(db->env) - started_ns) / 1000);
        omi_mutex_lock(&db->mu);
        omi_db_rebalance_locked(db, r.read_bytes + omi_output_bytes(r.output));
        omi_mutex_unlock(&db->mu);
    }
    omi_output_destroy(r.output);
    omi_edit_fini(&r.edit);
    free(r.snapshots);
    return err;
}

/* ---- the background's merges ----------------------------------------------------------------- */

static uint64_t oldest_snapshot_locked(omen_db *db) OMI_REQUIRES(db->mu)
{
    return db->snapshots.next != &db->snapshots ? db->snapshots.next->seq
                                                : atomic_load(&db->visible_seq);
}

/* The next merge that is due, if any. */
static omen_err pick_locked(omen_db *db, struct omi_job *job, bool *found_out) OMI_REQUIRES(db->mu)
{
    const struct omi_tree *tree = &db->view->version->tree;
    *found_out = false;
    if (!db->auto_compact || db->exclusive || db->closing || db->fatal.code != OMEN_OK)
        return OMEN_OK;
    omen_err err = omi_job_pick(tree, &db->settings.shape, &db->tenv.order,
                                db->settings.split.target_file_bytes, db->busy, db->busy_count, job,
                                found_out);
    if (err == OMEN_OK && !*found_out)
        err = omi_job_pick_deletes(tree, &db->tenv.order, db->settings.split.target_file_bytes,
                                   oldest_snapshot_locked(db), db->busy, db->busy_count, job,
                                   found_out);
    return err;
}

bool omi_db_merge_due_locked(omen_db *db)
{
    struct omi_job job;
    bool found = false;
    if (pick_locked(db, &job, &found) != OMEN_OK)
        return false;
    if (found)
        omi_job_fini(&job);
    return found;
}

static omen_err merge_pick(omen_db *db, struct omi_job *job, struct omi_version **version_out,
                           bool *found_out)
{
    omi_mutex_lock(&db->mu);
    omen_err err = pick_locked(db, job, found_out);
    if (err == OMEN_OK && *found_out && !job_hold_locked(db, job)) {
        omi_job_fini(job);
        *found_out = false;
    }
    if (err == OMEN_OK && *found_out) {
        *version_out = db->view->version;
        omi_version_ref(*version_out);
        db->merging++;
    }
    omi_mutex_unlock(&db->mu);
    return err;
}

static void merge_done(omen_db *db, struct omi_job *job, struct omi_version *version)
{
    omi_version_unref(version); /* first: who waits for the merge finds its inputs gone */
    omi_mutex_lock(&db->mu);
    job_let_go_locked(db, job);
    db->merging--;
    omi_cond_broadcast(&db->done);
    omi_cond_broadcast(&db->work);
    omi_mutex_unlock(&db->mu);
    omi_job_fini(job);
}

omen_err omi_db_merge_one(omen_db *db, bool *found_out)
{
    struct omi_job job;
    struct omi_version *version = NULL;
    omen_err err = merge_pick(db, &job, &version, found_out);
    if (err != OMEN_OK || !*found_out)
        return err;
    err = omi_space_merge(db, job.merge_bytes);
    if (err == OMEN_OK)
        err = job_run(db, version, &job);
    merge_done(db, &job, version);
    return err;
}

/* ---- omen_compact ---------------------------------------------------------------------------- */

/* Waits until no merge runs and keeps new ones away. */
static void exclusive_enter(omen_db *db)
{
    omi_mutex_lock(&db->mu);
    while (db->exclusive)
        omi_cond_wait(&db->done, &db->mu);
    db->exclusive = true;
    while (db->merging > 0)
        omi_cond_wait(&db->done, &db->mu);
    omi_mutex_unlock(&db->mu);
}

static void exclusive_leave(omen_db *db)
{
    omi_mutex_lock(&db->mu);
    db->exclusive = false;
    omi_cond_broadcast(&db->done);
    omi_cond_broadcast(&db->work);
    omi_mutex_unlock(&db->mu);
}

static omen_err compact_range(omen_db *db, const omen_slice *first, const omen_slice *last)
{
    struct omi_job job;
    bool found = false;
    omi_mutex_lock(&db->mu);
    struct omi_version *v = db->view->version;
    omi_version_ref(v);
    omen_err err =
        omi_job_pick_range(&v->tree, &db->settings.shape, &db->tenv.order,
                           db->settings.split.target_file_bytes, first, last, &job, &found);
    omi_mutex_unlock(&db->mu);
    if (err == OMEN_OK && found) {
        err = omi_space_merge(db, job.merge_bytes);
        if (err == OMEN_OK)
            err = job_run(db, v, &job);
        omi_job_fini(&job);
    }
    omi_version_unref(v);
    return err;
}

omen_err omen_compact(omen_db *db, const omen_slice *first, const omen_slice *last)
{
    if (db->read_only)
        return omi_fail(OMEN_READ_ONLY, 0, "%s is open read-only; it cannot be compacted",
                        db->path);
    if (first != NULL && last != NULL && omi_key_compare(&db->tenv.order, *first, *last) > 0)
        return omi_fail(OMEN_INVALID, 0, "omen_compact: first lies after last");
    omen_err err = omen_flush(db);
    if (err != OMEN_OK)
        return err;
    exclusive_enter(db);
    err = compact_range(db, first, last);
    exclusive_leave(db);
    if (err == OMEN_ABORTED) { /* another thread's failure ended writes meanwhile: tell that one */
        omen_err failed = omi_db_check(db);
        err = failed != OMEN_OK ? failed : err;
    }
    return err;
}

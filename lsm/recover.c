/*
 * recover.c - from a directory to a state: manifest, tables, log.
 *
 * What the log holds is replayed into memtables; those that fill, and the last, are written as
 * level-1 runs and synced; then a new log and a new manifest that names everything are made
 * durable; only then are old logs and manifests deleted. Nothing that exists is ever appended to,
 * so what a failed fsync left in the page cache cannot be mistaken for durable.
 */
#include "io/base/mutant.h"
#include "lsm/edit_replay.h"
#include "lsm/file_kind.h"
#include "lsm/wal_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

uint64_t omi_db_next_number(void *ctx)
{
    omen_db *db = ctx;
    return atomic_fetch_add(&db->next_number, 1);
}

/* ---- what is in the directory ---------------------------------------------------------------- */

struct survey {
    uint64_t number_max, tables, logs, others; /* logs: that hold a frame */
    bool current;
    char other[128];
};

static omen_err survey_one(void *ctx, const struct omi_dir_entry *e)
{
    struct survey *s = ctx;
    uint64_t number;
    switch (omi_file_kind(e->name, &number)) {
    case OMI_FILE_TABLE:
        s->tables++;
        break;
    case OMI_FILE_LOG:
        s->logs += e->bytes > OMI_WAL_FIRST_FRAME;
        break;
    case OMI_FILE_MANIFEST:
    case OMI_FILE_BAD: /* its number is not given again */
        break;
    case OMI_FILE_OURS:
        s->current = s->current || strcmp(e->name, "CURRENT") == 0;
        return OMEN_OK;
    default:
        s->others++;
        snprintf(s->other, sizeof(s->other), "%s", e->name);
        return OMEN_OK;
    }
    if (number > s->number_max)
        s->number_max = number;
    return OMEN_OK;
}

/* No CURRENT: may a database be made here? */
static omen_err check_fresh(omen_db *db, const struct survey *s)
{
    /* A manifest and an empty log alone are what a first open left that did not end. */
    if (s->tables + s->logs != 0)
        return omi_fail(OMEN_CORRUPT, 0,
                        "%s holds tables or logs but no CURRENT; run omendb repair on a copy of it",
                        db->path);
    if (s->others != 0)
        return omi_fail(OMEN_INVALID, 0,
                        "%s is not a database: it holds \"%s\"; name an empty or a new directory",
                        db->path, s->other);
    if ((db->options.flags & OMEN_CREATE_IF_MISSING) == 0)
        return omi_fail(OMEN_NOT_FOUND, 0,
                        "%s holds no database; open it with create_if_missing to make one",
                        db->path);
    return OMEN_OK;
}

omen_err omi_db_survey(omen_db *db)
{
    struct survey survey = {0};
    omen_err err = omi_dir_list(db->dir, survey_one, &survey);
    if (err == OMEN_OK && !survey.current)
        err = check_fresh(db, &survey);
    atomic_store(&db->next_number, survey.number_max + 1);
    return err;
}

/* ---- the log --------------------------------------------------------------------------------- */

static omen_err first_view(omen_db *db, struct omi_version *version)
{
    struct omi_view *view;
    omen_err err = omi_view_create(&view);
    if (err != OMEN_OK)
        return err;
    omi_mutex_lock(&db->mu);
    omi_view_publish_locked(db, version, view);
    omi_mutex_unlock(&db->mu);
    return OMEN_OK;
}

omen_err omi_db_begin_history(omen_db *db, struct omi_version *version,
                              const struct omi_wal_recovery *wr)
{
    struct omi_wal_params params = {.next_number = omi_db_next_number,
                                    .number_ctx = db,
                                    .segment = wr->next_segment,
                                    .chain = wr->chain};
    omen_err err = omi_wal_create(db->dir, &params, &db->wal);
    if (err != OMEN_OK)
        return err;
    db->active.first_segment = omi_wal_segment(db->wal);
    uint64_t number = omi_db_next_number(db);
    struct omi_edit snapshot = {0};
    err = omi_db_snapshot_edit(db, version, db->active.first_segment, &snapshot);
    if (err == OMEN_OK)
        err = omi_manifest_create(db->dir, number, &snapshot, &db->manifest);
    omi_edit_fini(&snapshot);
    return err;
}

static omen_err recover_log(omen_db *db, struct omi_replay *r, struct omi_version *version)
{
    struct omi_log_replay l = {.db = db};
    struct omi_wal_recovery wr = {.floor = r->log_floor, .flushed_seq = db->flushed_seq};
    struct omi_version *next = NULL;
    omen_err err = omi_memtable_create(db->arenas, &db->tenv.order,
                                       db->settings.split.memtable_bytes, &db->active.table);
    if (err == OMEN_OK)
        err = omi_wal_recover(db->dir, &wr, omi_log_replay_entry, &l);
    if (err == OMEN_OK && wr.last_seq < r->durable_seq)
        err = omi_fail(OMEN_CORRUPT, 0,
                       "the log of %s ends at operation %" PRIu64 ", but %" PRIu64
                       " were synced: a .log file was cut short or removed; omendb repair goes on "
                       "with what is there",
                       db->path, wr.last_seq, r->durable_seq);
    if (err == OMEN_OK) {
        db->last_seq = wr.last_seq > r->last_seq ? wr.last_seq : r->last_seq;
        db->recovered_ops = wr.operations;
        db->recovered_cut_bytes = wr.cut_bytes;
        if (wr.cut_bytes != 0)
            omi_say(db->log_file, 1, "the log's unsynced tail of %" PRIu64 " bytes was cut",
                    wr.cut_bytes);
    }
    if (err == OMEN_OK && !db->read_only)
        err = omi_log_replay_flush(&l);
    atomic_store(&db->visible_seq, db->last_seq);
    if (err == OMEN_OK && !db->read_only)
        db->flushed_seq = db->last_seq;
    if (err == OMEN_OK)
        err = omi_version_apply(version, &l.flushed, &db->tenv, NULL, &next);
    if (err == OMEN_OK)
        err = first_view(db, next);
    if (err == OMEN_OK && !db->read_only)
        err = omi_db_begin_history(db, next, &wr);
    if (err == OMEN_OK && !db->read_only)
        err = omi_wal_remove_below(db->dir, db->active.first_segment, omi_wal_slot(db->wal));
    omi_version_unref(next);
    omi_edit_fini(&l.flushed);
    return err;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static omen_err count_edit(void *ctx, struct omi_edit *edit)
{
    uint64_t *edits = ctx;
    (void)edit;
    ++*edits;
    return OMEN_OK;
}

/* Read-only, beside a writer: what we read fits together only if the manifest is still the same. */
static omen_err check_unchanged(omen_db *db, uint64_t number, uint64_t edits)
{
    uint64_t number_now = 0, edits_now = 0;
    omen_err err = omi_manifest_read(db->dir, count_edit, &edits_now, &number_now);
    if (err == OMEN_OK && (number_now != number || edits_now != edits))
        err = omi_fail(OMEN_CORRUPT, 0, "%s changed while it was being opened read-only", db->path);
    return err;
}

omen_err omi_db_recover(omen_db *db)
{
    struct omi_replay r;
    struct omi_version *version = NULL;
    uint64_t manifest_number = 0;
    db->next_age = 1;
    omi_replay_init(&r, db);
    omen_err err = omi_manifest_read(db->dir, omi_replay_edit, &r, &manifest_number);
    bool fresh = err == OMEN_NOT_FOUND;
    if (fresh)
        err = OMEN_OK; /* the survey allowed it */
    else if (err == OMEN_OK && !r.have_identity)
        err = omi_fail(OMEN_CORRUPT, 0, "MANIFEST-%06" PRIu64 " of %s has no first record",
                       manifest_number, db->path);
    else if (err == OMEN_OK && (db->options.flags & OMEN_ERROR_IF_EXISTS) != 0)
        err = omi_fail(OMEN_EXISTS, 0, "%s holds a database already", db->path);
    if (err == OMEN_OK)
        err = omi_replay_settle(&r);
    if (err == OMEN_OK)
        err = omi_db_prepare(db);
    if (err == OMEN_OK && !db->read_only)
        omi_space_begin(db);
    if (err == OMEN_OK)
        err = omi_version_apply(NULL, &r.live.tables, &db->tenv, NULL, &version);
    if (err == OMEN_NOT_FOUND)
        err = omi_fail(OMEN_CORRUPT, 0,
                       "a table that MANIFEST-%06" PRIu64 " names is missing from %s",
                       manifest_number, db->path);
    if (err == OMEN_OK)
        err = recover_log(db, &r, version);
    if (err == OMEN_OK && db->read_only && !fresh)
        err = check_unchanged(db, manifest_number, r.edits);
    omi_version_unref(version);
    omi_replay_fini(&r);
    return err;
}

struct orphans {
    omen_db *db;
    char (*names)[OMI_FILE_NAME_BYTES];
    size_t count, capacity;
};

static bool version_names(const struct omi_version *v, uint64_t number)
{
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t j = 0; j < v->runs[i].table_count; j++)
            if (v->runs[i].files[j]->number == number)
                return true;
    return false;
}

static omen_err orphan_one(void *ctx, const struct omi_dir_entry *e)
{
    struct orphans *o = ctx;
    uint64_t number;
    enum omi_file_kind kind = omi_file_kind(e->name, &number);
    bool gone = (kind == OMI_FILE_TABLE && !version_names(o->db->view->version, number)) ||
                (kind == OMI_FILE_MANIFEST && number != omi_manifest_number(o->db->manifest)) ||
                strcmp(e->name, "CURRENT.tmp") == 0 || strcmp(e->name, "STATS.tmp") == 0 ||
                strcmp(e->name, "SAMPLE.tmp") == 0 || strcmp(e->name, "TELEMETRY.tmp") == 0;
    if (!gone || strlen(e->name) >= OMI_FILE_NAME_BYTES)
        return OMEN_OK;
    if (o->count == o->capacity) {
        size_t capacity = o->capacity * 2 + 16;
        void *names = realloc(o->names, capacity * sizeof(*o->names));
        if (names == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "the list of leftover files");
        o->names = names;
        o->capacity = capacity;
    }
    snprintf(o->names[o->count++], OMI_FILE_NAME_BYTES, "%s", e->name);
    return OMEN_OK;
}

omen_err omi_db_remove_orphans(omen_db *db)
{
    struct orphans o = {.db = db};
    omen_err err = omi_dir_list(db->dir, orphan_one, &o);
    for (size_t i = 0; i < o.count && err == OMEN_OK; i++) {
        omi_say(db->log_file, 2, "removing %s, a leftover that the manifest does not name",
                o.names[i]);
        err = omi_dir_unlink(db->dir, o.names[i]);
    }
    free(o.names);
    return err;
}

/* ---- omen_destroy ---------------------------------------------------------------------------- */

struct destroy_list {
    char (*names)[64];
    size_t count, capacity;
    bool others, current;
};

static omen_err destroy_one(void *ctx, const struct omi_dir_entry *e)
{
    struct destroy_list *d = ctx;
    uint64_t number;
    if (omi_file_kind(e->name, &number) == OMI_FILE_OTHER) {
        d->others = true;
        return OMEN_OK;
    }
    if (strcmp(e->name, "LOCK") == 0)
        return OMEN_OK; /* last, when it is ours */
    if (d->count == d->capacity) {
        size_t capacity = d->capacity * 2 + 16;
        void *names = realloc(d->names, capacity * sizeof(*d->names));
        if (names == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "the list of files to delete");
        d->names = names;
        d->capacity = capacity;
    }
    d->current = d->current || strcmp(e->name, "CURRENT") == 0;
    snprintf(d->names[d->count++], sizeof(d->names[0]), "%s", e->name);
    return OMEN_OK;
}

omen_err omi_db_destroy(struct omi_env *env, const char *path)
{
    struct omi_dir *dir;
    omen_err err = omi_dir_open(env, path, false, &dir);
    if (err == OMEN_NOT_FOUND)
        return OMEN_OK;
    if (err != OMEN_OK)
        return err;
    struct omi_file *lock = NULL;
    struct destroy_list d = {0};
    err = omi_dir_list(dir, destroy_one, &d);
    bool empty = err == OMEN_OK && d.count == 0;
    if (err == OMEN_OK && d.count > 0)
        err = omi_dir_lock(dir, "LOCK", &lock);
    /* CURRENT goes first: a half-deleted database must not open. */
    if (err == OMEN_OK && d.current)
        err = omi_dir_unlink(dir, "CURRENT");
    if (err == OMEN_OK && d.current)
        err = omi_dir_sync(dir);
    for (size_t i = 0; i < d.count && err == OMEN_OK; i++)
        if (strcmp(d.names[i], "CURRENT") != 0)
            err = omi_dir_unlink(dir, d.names[i]);
    if (err == OMEN_OK && lock != NULL)
        err = omi_dir_unlink(dir, "LOCK");
    (void)omi_file_close(lock);
    omi_dir_close(dir);
    free(d.names);
    if (err == OMEN_OK && !d.others && !empty)
        err = env->ops->dir_remove(env, path);
    return err;
}

omen_err omen_destroy(const char *path)
{
    return omi_db_destroy(omi_env_posix(OMEN_IO_ENGINE_AUTO), path);
}

/*
 * recover.c - from a directory to a state: manifest, tables, log.
 *
 * What the log holds is replayed into memtables; those that fill, and the last, are written as
 * level-1 runs and synced; then a new log and a new manifest that names everything are made
 * durable; only then are old logs and manifests deleted. Nothing that exists is ever appended to,
 * so what a failed fsync left in the page cache cannot be mistaken for durable.
 */
#include "io/base/mutant.h"
#include "lsm/db.h"
#include "lsm/live_set.h"
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

enum file_kind { KIND_OTHER, KIND_TABLE, KIND_LOG, KIND_MANIFEST, KIND_OURS };

/* Reads "NNNNNN.sst", "NNNNNN.log", "MANIFEST-NNNNNN"; the fixed names; *.tmp. */
static enum file_kind file_kind(const char *name, uint64_t *number_out)
{
    static const char *const fixed[] = {"CURRENT", "LOCK", "LOG", "LOG.old", "RESERVE", "STATS"};
    char canonical[OMI_FILE_NAME_BYTES + 16];
    *number_out = 0;
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (strcmp(name, fixed[i]) == 0)
            return KIND_OURS;
    size_t size = strlen(name);
    if (strcmp(name, "CURRENT.tmp") == 0 || strcmp(name, "STATS.tmp") == 0)
        return KIND_OURS;
    if (size >= sizeof(canonical))
        return KIND_OTHER;
    const char *digits = strncmp(name, "MANIFEST-", 9) == 0 ? name + 9 : name;
    char *end;
    if (*digits < '0' || *digits > '9')
        return KIND_OTHER;
    *number_out = strtoull(digits, &end, 10);
    if (*number_out > OMI_NUMBER_MAX)
        return KIND_OTHER;
    static const struct {
        const char *format;
        enum file_kind kind;
    } forms[] = {{"MANIFEST-%06" PRIu64, KIND_MANIFEST},
                 {"%06" PRIu64 ".sst", KIND_TABLE},
                 {"%06" PRIu64 ".log", KIND_LOG}};
    for (size_t i = 0; i < 3; i++) {
        switch (forms[i].kind) {
        case KIND_MANIFEST:
            snprintf(canonical, sizeof(canonical), "MANIFEST-%06" PRIu64, *number_out);
            break;
        case KIND_TABLE:
            snprintf(canonical, sizeof(canonical), "%06" PRIu64 ".sst", *number_out);
            break;
        default:
            snprintf(canonical, sizeof(canonical), "%06" PRIu64 ".log", *number_out);
            break;
        }
        if (strcmp(canonical, name) == 0)
            return forms[i].kind;
    }
    return KIND_OTHER;
}

struct survey {
    uint64_t number_max, tables, logs, others; /* logs: that hold a frame */
    bool current;
    char other[128];
};

static omen_err survey_one(void *ctx, const struct omi_dir_entry *e)
{
    struct survey *s = ctx;
    uint64_t number;
    switch (file_kind(e->name, &number)) {
    case KIND_TABLE:
        s->tables++;
        break;
    case KIND_LOG:
        s->logs += e->bytes > OMI_WAL_FIRST_FRAME;
        break;
    case KIND_MANIFEST:
        break;
    case KIND_OURS:
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
                        "%s holds tables or logs but no CURRENT; restore CURRENT (one "
                        "line, the newest MANIFEST's name) or the whole directory from a backup",
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

/* ---- the manifest's edits -------------------------------------------------------------------- */

struct replay {
    omen_db *db;
    struct omi_version *version;
    struct omi_live_set live; /* all edits so far, as one placement: applied once at the end */
    struct omi_buf options;
    uint64_t last_seq, durable_seq, log_floor;
    bool have_identity;
    uint64_t edits;
};

static omen_err replay_identity(struct replay *r, struct omi_edit *edit)
{
    omen_db *db = r->db;
    if (edit->features_incompatible != 0 || (edit->features_read_only != 0 && !db->read_only))
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "%s was written by a newer omendb (features 0x%" PRIx64
                        "); open it with that one",
                        db->path, edit->features_incompatible | edit->features_read_only);
    const char *ours = db->comparator_name != NULL ? db->comparator_name : "";
    if (!omi_bytes_equal(ours, strlen(ours), edit->comparator.data, edit->comparator.size))
        return omi_fail(OMEN_INVALID, 0,
                        "%s is ordered by comparator \"%.*s\"; it was opened with \"%s\" (\"\" is "
                        "the bytewise order)",
                        db->path, (int)edit->comparator.size,
                        edit->comparator.size != 0 ? (const char *)edit->comparator.data : "",
                        ours);
    r->have_identity = true;
    return OMEN_OK;
}

/* Moves what edit adds into one running set and takes out what it removes, so that only tables
 * that are still there are opened. */
static omen_err replay_tables(struct replay *r, struct omi_edit *edit)
{
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < edit->moved_count && err == OMEN_OK; i++)
        err = omi_live_set_move(&r->live, &edit->moved[i]);
    for (uint32_t i = 0; i < edit->removed_count && err == OMEN_OK; i++)
        err = omi_live_set_remove(&r->live, edit->removed[i].number);
    for (uint32_t i = 0; i < edit->added_count && err == OMEN_OK; i++) {
        struct omi_edit_file *f = &edit->added[i];
        if (OMI_MUTANT(OMI_MUTANT_RECORD_TWICE)) {
            struct omi_edit_file twice = *f;
            twice.props = (struct omi_table_props){.file_bytes = f->props.file_bytes};
            omi_ignore(omi_live_set_add(&r->live, &twice));
        }
        err = omi_live_set_add(&r->live, f);
        if (err == OMEN_OK)
            f->props = (struct omi_table_props){0}; /* taken */
    }
    return err;
}

static omen_err replay_one(void *ctx, struct omi_edit *edit)
{
    struct replay *r = ctx;
    omen_db *db = r->db;
    omen_err err = OMEN_OK;
    r->edits++;
    if ((edit->has & OMI_EDIT_IDENTITY) != 0)
        err = replay_identity(r, edit);
    if ((edit->has & OMI_EDIT_COUNTERS) != 0) {
        if (edit->next_number > atomic_load(&db->next_number))
            atomic_store(&db->next_number, edit->next_number);
        if (edit->next_age > db->next_age)
            db->next_age = edit->next_age;
        if (edit->last_seq > r->last_seq)
            r->last_seq = edit->last_seq;
    }
    if ((edit->has & OMI_EDIT_FLUSHED) != 0) {
        db->flushed_seq = edit->flushed_seq;
        r->log_floor = edit->log_floor;
    }
    if ((edit->has & OMI_EDIT_DURABLE) != 0)
        r->durable_seq = edit->durable_seq;
    if (err == OMEN_OK && (edit->has & OMI_EDIT_OPTIONS) != 0) {
        r->options.size = 0;
        err = omi_buf_append(&r->options, edit->options.data, edit->options.size);
    }
    if ((edit->has & OMI_EDIT_LIFETIME) != 0)
        omi_lifetime_decode(db, omi_slice(edit->lifetime.data, edit->lifetime.size));
    return err == OMEN_OK ? replay_tables(r, edit) : err;
}

/* Stored options under the given ones; then everything is decided. */
static omen_err settle_options(omen_db *db, struct replay *r)
{
    omen_err err =
        omi_options_merge_stored(&db->options, omi_slice(r->options.data, r->options.size));
    if (err == OMEN_OK)
        err = omi_options_resolve(&db->options, &db->settings);
    if (err == OMEN_OK)
        db->tenv.direct = db->settings.direct;
    return err;
}

/* ---- the log --------------------------------------------------------------------------------- */

struct log_replay {
    omen_db *db;
    struct omi_edit flushed; /* tables written from full memtables */
};

static omen_err flush_active(struct log_replay *l)
{
    omen_db *db = l->db;
    if (omi_memtable_entries(db->active.table) == 0)
        return OMEN_OK;
    atomic_store(&db->visible_seq, omi_memtable_max_seq(db->active.table));
    omen_err err = omi_db_flush_memtable(db, db->active.table, db->next_age++, &l->flushed);
    if (err != OMEN_OK)
        return err;
    omi_memtable_unref(db->active.table);
    db->active.table = NULL;
    return omi_memtable_create(db->arenas, &db->tenv.order, db->settings.split.memtable_bytes,
                               &db->active.table);
}

static omen_err replay_entry(void *ctx, const struct omi_entry *entry)
{
    struct log_replay *l = ctx;
    omen_db *db = l->db;
    /* A batch may be spread over two tables here: all of them become current in one edit. */
    if (!db->read_only &&
        omi_memtable_used(db->active.table) >= db->settings.split.memtable_bytes) {
        omen_err err = flush_active(l);
        if (err != OMEN_OK)
            return err;
    }
    if (!omi_trailer_known(entry->trailer))
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "the log holds an entry of type 0x%02x, which this build does not know",
                        (unsigned)(entry->trailer & 0xff));
    return omi_memtable_insert(db->active.table, entry);
}

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

/* New log, new manifest; then the old ones may go. */
static omen_err begin_history(omen_db *db, struct omi_version *version,
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
    if (err == OMEN_OK)
        err = omi_wal_remove_below(db->dir, db->active.first_segment);
    return err;
}

static omen_err recover_log(omen_db *db, struct replay *r, struct omi_version *version)
{
    struct log_replay l = {.db = db};
    struct omi_wal_recovery wr = {.floor = r->log_floor, .flushed_seq = db->flushed_seq};
    struct omi_version *next = NULL;
    omen_err err = omi_memtable_create(db->arenas, &db->tenv.order,
                                       db->settings.split.memtable_bytes, &db->active.table);
    if (err == OMEN_OK)
        err = omi_wal_recover(db->dir, &wr, replay_entry, &l);
    if (err == OMEN_OK && wr.last_seq < r->durable_seq)
        err = omi_fail(OMEN_CORRUPT, 0,
                       "the log of %s ends at operation %" PRIu64 ", but %" PRIu64
                       " were synced: a .log file was cut short or removed",
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
        err = flush_active(&l);
    atomic_store(&db->visible_seq, db->last_seq);
    if (err == OMEN_OK && !db->read_only)
        db->flushed_seq = db->last_seq;
    if (err == OMEN_OK)
        err = omi_version_apply(version, &l.flushed, &db->tenv, NULL, &next);
    if (err == OMEN_OK)
        err = first_view(db, next);
    if (err == OMEN_OK && !db->read_only)
        err = begin_history(db, next, &wr);
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
    struct replay r = {.db = db};
    struct omi_version *version = NULL;
    uint64_t manifest_number = 0;
    db->next_age = 1;
    db->env->ops->random(db->env, &r.live.seed, sizeof(r.live.seed));
    omen_err err = omi_manifest_read(db->dir, replay_one, &r, &manifest_number);
    bool fresh = err == OMEN_NOT_FOUND;
    if (fresh)
        err = OMEN_OK; /* the survey allowed it */
    else if (err == OMEN_OK && !r.have_identity)
        err = omi_fail(OMEN_CORRUPT, 0, "MANIFEST-%06" PRIu64 " of %s has no first record",
                       manifest_number, db->path);
    else if (err == OMEN_OK && (db->options.flags & OMEN_ERROR_IF_EXISTS) != 0)
        err = omi_fail(OMEN_EXISTS, 0, "%s holds a database already", db->path);
    if (err == OMEN_OK)
        err = settle_options(db, &r);
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
    omi_live_set_fini(&r.live);
    omi_buf_fini(&r.options);
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
    enum file_kind kind = file_kind(e->name, &number);
    bool gone = (kind == KIND_TABLE && !version_names(o->db->view->version, number)) ||
                (kind == KIND_MANIFEST && number != omi_manifest_number(o->db->manifest)) ||
                strcmp(e->name, "CURRENT.tmp") == 0 || strcmp(e->name, "STATS.tmp") == 0;
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
    if (file_kind(e->name, &number) == KIND_OTHER) {
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

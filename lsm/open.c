/* open.c - a handle's beginning and end. What a directory holds is recover.c's. */
#include "lsm/custom_filter.h"
#include "lsm/db.h"
#include "lsm/far.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_ONLY_TRIES = 20, MANIFEST_SLACK_BYTES = (1 << 20) + 16384 };

static omen_err copy_comparator(omen_db *db)
{
    if (db->options.comparator == NULL)
        return OMEN_OK;
    db->comparator = *db->options.comparator;
    db->comparator_name = strdup(db->comparator.name);
    if (db->comparator_name == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a comparator's name");
    db->comparator.name = db->comparator_name;
    db->options.comparator = &db->comparator;
    db->tenv.order.comparator = &db->comparator;
    return OMEN_OK;
}

static omen_err copy_filter_policy(omen_db *db)
{
    if (db->options.filter_policy == NULL)
        return OMEN_OK;
    omen_err err = omi_filter_policy_copy(db->options.filter_policy, &db->filter_policy);
    if (err != OMEN_OK)
        return err;
    db->options.filter_policy = &db->filter_policy;
    db->tenv.filter_policy = &db->filter_policy;
    return OMEN_OK;
}

omen_err omi_db_prepare(omen_db *db)
{
    uint64_t capacity = omi_shape_capacity(&db->settings.shape, 1);
    omi_pace_init(&db->pace, capacity);
    atomic_store(&db->unpaced, true);
    omi_filter_memory_limit(&db->tenv.filter_memory, db->settings.filter_bytes);
    omen_err err = omi_cache_create(db->settings.split.cache_bytes, &db->tenv.cache);
    if (err == OMEN_OK)
        err = omi_far_open(db);
    if (err == OMEN_OK)
        err = omi_sampling_begin(db);
    if (err == OMEN_OK)
        err = omi_observing_begin(db);
    if (err == OMEN_OK)
        err = omi_arena_pool_create(db->settings.split.memtable_bytes * 5 / 4, &db->arenas);
    return err;
}

omen_err omi_db_create(struct omi_env *env, const char *path, const omen_options *options,
                       omen_db **out)
{
    *out = NULL;
    omen_options copy;
    omen_err err = omi_options_copy(options, &copy);
    if (err != OMEN_OK)
        return err;
    omen_db *db = aligned_alloc(64, (sizeof(*db) + 63) / 64 * 64);
    if (db == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a database handle");
    memset(db, 0, sizeof(*db));
    db->env = env;
    db->options = copy;
    db->read_only = (copy.flags & OMEN_OPEN_READ_ONLY) != 0;
    db->inline_work = (copy.flags & OMEN_INLINE_WORK) != 0;
    db->auto_compact = (copy.flags & OMEN_NO_AUTO_COMPACT) == 0;
    db->snapshots.next = db->snapshots.prev = &db->snapshots;
    db->opened_ns = omi_now_ns(env);
    db->manifest_slack_bytes = MANIFEST_SLACK_BYTES;
    omi_mutex_init(&db->tracing);
    omi_mutex_init(&db->commit);
    omi_mutex_init(&db->install);
    omi_mutex_init(&db->mu);
    omi_mutex_init(&db->pricing.mu);
    omi_filter_memory_init(&db->tenv.filter_memory);
    omi_cond_init(&db->work);
    omi_cond_init(&db->done);
    omi_cond_init(&db->upkeep);
    *out = db;
    db->path = strdup(path);
    if (db->path == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a database's path");
    err = copy_comparator(db);
    if (err == OMEN_OK)
        err = copy_filter_policy(db);
    if (err == OMEN_OK)
        err = omi_env_io_engine(env, &db->io_engine, &db->io_why);
    return err;
}

omen_err omi_db_free(omen_db *db)
{
    omen_err err = OMEN_OK, e;
    if (db->wal != NULL && (e = omi_wal_close(db->wal)) != OMEN_OK)
        err = e;
    if (db->manifest != NULL && (e = omi_manifest_close(db->manifest)) != OMEN_OK && err == OMEN_OK)
        err = e;
    omi_view_unref(db->view);
    if (db->active.table != NULL)
        omi_memtable_unref(db->active.table);
    for (uint32_t i = 0; i < db->immutable_count; i++)
        omi_memtable_unref(db->immutables[i].table);
    if (db->arenas != NULL)
        omi_arena_pool_destroy(db->arenas);
    if (db->tenv.cache != NULL)
        omi_cache_destroy(db->tenv.cache);
    omi_sample_destroy(db->sample);
    omi_telemetry_destroy(db->telemetry);
    omi_tracing_free(db);
    omi_log_file_destroy(db->log_file);
    if (db->lock != NULL && (e = omi_file_close(db->lock)) != OMEN_OK && err == OMEN_OK)
        err = e;
    omi_dir_close(db->dir);
    omi_buf_fini(&db->ops_buf);
    omi_cond_fini(&db->work);
    omi_cond_fini(&db->done);
    omi_cond_fini(&db->upkeep);
    omi_mutex_fini(&db->tracing);
    omi_mutex_fini(&db->commit);
    omi_mutex_fini(&db->install);
    omi_mutex_fini(&db->mu);
    omi_mutex_fini(&db->pricing.mu);
    omi_filter_memory_fini(&db->tenv.filter_memory); /* and with its grace the last extents */
    omi_far_close(db);
    free(db->comparator_name);
    omi_filter_policy_fini(&db->filter_policy);
    free(db->path);
    free(db);
    return err;
}

static omen_err directory_open(omen_db *db)
{
    bool create = !db->read_only && (db->options.flags & OMEN_CREATE_IF_MISSING) != 0;
    omen_err err = omi_dir_open(db->env, db->path, create, &db->dir);
    if (err == OMEN_NOT_FOUND)
        return omi_fail(OMEN_NOT_FOUND, 0,
                        create ? "the directory above %s does not exist; make it first"
                               : "there is no directory %s; open with create_if_missing to make it",
                        db->path);
    if (err != OMEN_OK)
        return err;
    db->tenv.env = db->env;
    db->tenv.dir = db->dir;
    err = omi_db_survey(db); /* before anything is written into a stranger's directory */
    if (err == OMEN_OK && !db->read_only)
        err = omi_dir_lock(db->dir, "LOCK", &db->lock);
    if (err == OMEN_OK)
        err = omi_log_file_create(db->env, db->dir, &db->options, !db->read_only, &db->log_file);
    db->tenv.log = db->log_file;
    return err;
}

static omen_err db_open_once(struct omi_env *env, const char *path, const omen_options *options,
                             omen_db **out)
{
    omen_db *db = NULL;
    *out = NULL;
    omen_err err = omi_db_create(env, path, options, &db);
    if (err == OMEN_OK)
        err = directory_open(db);
    if (err == OMEN_OK)
        err = omi_db_recover(db);
    if (err == OMEN_OK && !db->read_only)
        err = omi_db_remove_orphans(db);
    if (err == OMEN_OK) {
        omi_mutex_lock(&db->mu);
        omi_db_rebalance_locked(db, 0);
        omi_mutex_unlock(&db->mu);
        omi_sampling_load(db);
        omi_observing_load(db);
        if (!db->read_only)
            omi_space_look(db);
        omi_say(db->log_file, 2,
                "omendb %s opened %s: %" PRIu64 " tables, %" PRIu64 " bytes, %" PRIu64
                " operations recovered from the log; memory %" PRIu64 ", T %u, K %u above and %u "
                "last; reads through %s (%s)",
                omen_version(), path, db->view->version->table_count, db->view->version->bytes,
                db->recovered_ops, db->settings.split.memory_bytes, db->settings.shape.size_ratio,
                db->settings.shape.runs_upper, db->settings.shape.runs_last, db->io_engine,
                db->io_why);
        err = omi_db_start_threads(db);
        if (err == OMEN_UNSUPPORTED) { /* an env without threads works inline */
            db->inline_work = true;
            err = OMEN_OK;
        }
    }
    if (err == OMEN_OK) {
        *out = db;
        return OMEN_OK;
    }
    if (db != NULL) {
        char text[512];
        snprintf(text, sizeof(text), "%s", omen_last_error());
        omi_db_stop_threads(db);
        omi_ignore(omi_db_free(db));
        (void)omi_fail_again(err, text); /* the first failure is the one to tell */
    }
    return err;
}

omen_err omi_db_open(struct omi_env *env, const char *path, const omen_options *options,
                     omen_db **db_out)
{
    *db_out = NULL;
    if (path == NULL || path[0] == 0)
        return omi_fail(OMEN_INVALID, 0, "a database needs a path");
    omen_err err = db_open_once(env, path, options, db_out);
    /* Beside a live writer files may go between our looking and our opening: look again. */
    bool read_only = options != NULL && (options->flags & OMEN_OPEN_READ_ONLY) != 0;
    for (int i = 0; i < READ_ONLY_TRIES && read_only && err == OMEN_CORRUPT; i++) {
        env->ops->sleep_us(env, 2000u << (i < 6 ? i : 6));
        err = db_open_once(env, path, options, db_out);
    }
    return err;
}

omen_err omen_open(const char *path, const omen_options *options, omen_db **db_out)
{
    *db_out = NULL;
    omen_options copy;
    omen_err err = omi_options_copy(options, &copy);
    if (err != OMEN_OK)
        return err;
    return omi_db_open(omi_env_posix((omen_io_engine)copy.io_engine), path, options, db_out);
}

static omen_err check_unused(omen_db *db)
{
    uint64_t iterators = atomic_load(&db->iterators), values = omi_cache_pinned(db->tenv.cache);
    omi_mutex_lock(&db->mu);
    uint64_t snapshots = db->snapshot_count;
    omi_mutex_unlock(&db->mu);
    if (iterators + snapshots + values == 0)
        return OMEN_OK;
    return omi_fail(OMEN_BUSY, 0,
                    "%s cannot be closed: %" PRIu64 " iterators, %" PRIu64 " snapshots and %" PRIu64
                    " values are still held",
                    db->path, iterators, snapshots, values);
}

/* The counters of this handle, for the next one, and how far the synced log reaches, so that the
 * next one notices when it was cut meanwhile. Worth no error: the log is durable without it. */
static void save_state(omen_db *db)
{
    struct omi_edit edit = {.has = OMI_EDIT_LIFETIME | OMI_EDIT_DURABLE,
                            .durable_seq = db->last_seq};
    omi_mutex_lock(&db->install);
    if (omi_db_check(db) == OMEN_OK && omi_lifetime_encode(db, &edit.lifetime) == OMEN_OK &&
        omi_manifest_append(db->manifest, &edit) != OMEN_OK)
        omi_say(db->log_file, 1, "the counters were not saved: %s", omen_last_error());
    omi_mutex_unlock(&db->install);
    omi_edit_fini(&edit);
}

/* What a handle that may write leaves behind. A log that failed has been told of. */
static omen_err finish_writing(omen_db *db)
{
    omen_err err = OMEN_OK;
    if (!omi_wal_sealed(db->wal)) {
        err = omi_wal_sync(db->wal, UINT64_MAX);
        if (err == OMEN_OK)
            save_state(db);
    }
    omi_stats_publish(db);
    omi_sampling_save(db, 0);
    omi_observing_save(db);
    omi_say(db->log_file, 2, "closed");
    return err;
}

omen_err omen_close(omen_db *db)
{
    if (db == NULL)
        return OMEN_OK;
    omen_err err = check_unused(db);
    if (err != OMEN_OK)
        return err;
    omi_tracing_end(db);
    omi_db_stop_threads(db);
    if (!db->read_only)
        err = finish_writing(db);
    omen_err freed = omi_db_free(db);
    return err != OMEN_OK ? err : freed;
}

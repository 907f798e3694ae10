/*
 * background.c - the threads that flush, merge and keep up; or the same work inline.
 * A failed flush or merge is tried again after a pause, to new files; after three tries, or at once
 * when the data is damaged, the database becomes read-only. A full disk is waited for.
 */
#include "lsm/db.h"
#include "lsm/far.h"

#include <stdio.h>

enum { TRIES_MAX = 3, RETRY_US = 500000, STATS_EVERY_US = 10000000 };
/* SAMPLE goes with every so many STATS, when so large a share of it is new. */
enum { SAMPLE_EVERY = 6, SAMPLE_SHARE = 16 };
/* Filters' parts are looked after at most so often, and so many times in a row. */
enum { FILTERS_EVERY_US = 250000, FILTER_CALLS = 8, FAR_EVERY_US = 1000000 };

/* What passes by itself: no room on the disk, no memory. Told to those who wait, tried again. */
static bool passes(omen_err err)
{
    return err == OMEN_FULL || err == OMEN_NO_MEMORY;
}

/* After a flush or merge: counts tries; true when it is over for good. */
static bool work_failed(omen_db *db, omen_err err, struct omi_failure *failure, uint32_t *tries)
{
    omi_mutex_lock(&db->mu);
    bool news = failure->code != err; /* a full disk may last: it is said once */
    failure->code = err;
    failure->times++;
    snprintf(failure->text, sizeof(failure->text), "%s", omen_last_error());
    bool fatal = err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED;
    if (!passes(err) && err != OMEN_ABORTED && ++*tries >= TRIES_MAX)
        fatal = true;
    omi_cond_broadcast(&db->done);
    omi_mutex_unlock(&db->mu);
    if (news)
        omi_say(db->log_file, 0, "background work failed: %s", omen_last_error());
    if (fatal)
        omi_db_fail(db, err);
    return fatal;
}

static void work_succeeded(omen_db *db, struct omi_failure *failure, uint32_t *tries)
{
    omi_mutex_lock(&db->mu);
    *tries = 0;
    failure->code = OMEN_OK;
    omi_mutex_unlock(&db->mu);
}

/* One flush and what its outcome means; false when there is no sense in another now. */
static bool flush_once(omen_db *db)
{
    omen_err err = omi_db_flush_one(db);
    if (err == OMEN_OK)
        work_succeeded(db, &db->flush_failure, &db->flush_tries);
    else if (err == OMEN_FULL)
        omi_space_full(db);
    return err == OMEN_OK ||
           (!work_failed(db, err, &db->flush_failure, &db->flush_tries) && !passes(err));
}

/* ---- threads --------------------------------------------------------------------------------- */

static void flush_loop(void *arg)
{
    omen_db *db = arg;
    omi_mutex_lock(&db->mu);
    while (!db->closing) {
        if (db->immutable_count == 0 || db->fatal.code != OMEN_OK) {
            omi_cond_wait(&db->work, &db->mu);
            continue;
        }
        db->flushing = true;
        omi_mutex_unlock(&db->mu);
        (void)flush_once(db);
        omi_mutex_lock(&db->mu);
        db->flushing = false;
        omi_cond_broadcast(&db->done);
        omi_cond_broadcast(&db->work);
        if (db->flush_failure.code != OMEN_OK && !db->closing)
            (void)omi_cond_wait_us(&db->work, &db->mu, RETRY_US);
    }
    omi_mutex_unlock(&db->mu);
}

static void merge_loop(void *arg)
{
    omen_db *db = arg;
    omi_mutex_lock(&db->mu);
    while (!db->closing) {
        if (!omi_db_merge_due_locked(db)) {
            omi_cond_wait(&db->work, &db->mu);
            continue;
        }
        omi_mutex_unlock(&db->mu);
        bool found = false;
        omen_err err = omi_db_merge_one(db, &found);
        if (err == OMEN_OK)
            work_succeeded(db, &db->merge_failure, &db->merge_tries);
        else if (err != OMEN_ABORTED)
            (void)work_failed(db, err, &db->merge_failure, &db->merge_tries);
        omi_mutex_lock(&db->mu);
        if ((err != OMEN_OK || !found) && !db->closing)
            (void)omi_cond_wait_us(&db->work, &db->mu, RETRY_US);
    }
    omi_mutex_unlock(&db->mu);
}

static uint64_t us_until(const omen_db *db, uint64_t due_ns)
{
    uint64_t now_ns = omi_now_ns(db->env);
    return due_ns > now_ns ? (due_ns - now_ns + 999) / 1000 : 0;
}

static uint64_t in_us(const omen_db *db, uint64_t us)
{
    return omi_now_ns(db->env) + UINT64_C(1000) * us;
}

struct upkeep {
    uint64_t stats_ns, filters_ns, windows_ns, far_ns, synced_ns; /* but for the last: when due */
    uint64_t seen_ops;
    uint32_t published;
};

/* Until the next thing is due, or somebody calls. */
static void upkeep_wait_locked(omen_db *db, const struct upkeep *u) OMI_REQUIRES(db->mu)
{
    uint64_t wait_us = us_until(db, u->stats_ns), sync_ms = db->settings.sync_interval_ms, due_us;
    if (sync_ms != 0 && (due_us = us_until(db, u->synced_ns + sync_ms * 1000000)) < wait_us)
        wait_us = due_us;
    if (atomic_load(&db->tenv.filter_memory.call) != OMI_FILTER_CALL_NONE &&
        (due_us = us_until(db, u->filters_ns)) < wait_us)
        wait_us = due_us;
    if ((due_us = us_until(db, u->windows_ns)) < wait_us)
        wait_us = due_us;
    if (db->tenv.far && (due_us = us_until(db, u->far_ns)) < wait_us)
        wait_us = due_us;
    if (wait_us != 0)
        (void)omi_cond_wait_us(&db->upkeep, &db->mu, wait_us);
}

static void keep_filters(omen_db *db)
{
    for (int i = 0; i < FILTER_CALLS && omi_filter_memory_keep(db, UINT32_MAX); i++)
        ;
}

static void publish(omen_db *db, struct upkeep *u)
{
    omi_mutex_lock(&db->commit);
    omi_space_look(db);
    omi_mutex_unlock(&db->commit);
    omi_stats_publish(db);
    if (++u->published % SAMPLE_EVERY == 0)
        omi_sampling_save(db, SAMPLE_SHARE);
    if (u->published % SAMPLE_EVERY == 0)
        omi_observing_save(db);
}

/* A window may end; a database that nobody uses is looked at more rarely. */
static void observe(omen_db *db, struct upkeep *u)
{
    uint64_t ops = omi_observed_ops(db);
    omi_observing_look(db);
    u->windows_ns = in_us(db, ops != u->seen_ops ? OMI_TELEMETRY_US : STATS_EVERY_US);
    u->seen_ops = ops;
}

/* The interval sync, filters, far memory, the STATS file, and SAMPLE. */
static void upkeep_loop(void *arg)
{
    omen_db *db = arg;
    struct upkeep u = {.stats_ns = in_us(db, STATS_EVERY_US),
                       .windows_ns = in_us(db, OMI_TELEMETRY_US),
                       .synced_ns = omi_now_ns(db->env)};
    omi_mutex_lock(&db->mu);
    while (!db->closing) {
        upkeep_wait_locked(db, &u);
        uint64_t sync_ns = UINT64_C(1000000) * db->settings.sync_interval_ms;
        bool sync = sync_ns != 0 && !db->closing && us_until(db, u.synced_ns + sync_ns) == 0;
        bool filters = atomic_load(&db->tenv.filter_memory.call) != OMI_FILTER_CALL_NONE &&
                       !db->closing && us_until(db, u.filters_ns) == 0;
        omi_mutex_unlock(&db->mu);
        if (sync) {
            u.synced_ns = omi_now_ns(db->env);
            if (omen_sync(db) != OMEN_OK)
                omi_say(db->log_file, 0, "the interval sync failed: %s", omen_last_error());
        }
        if (filters) {
            keep_filters(db);
            u.filters_ns = in_us(db, FILTERS_EVERY_US);
        }
        if (us_until(db, u.windows_ns) == 0)
            observe(db, &u);
        if (db->tenv.far && us_until(db, u.far_ns) == 0) {
            omi_far_tick(db);
            u.far_ns = in_us(db, FAR_EVERY_US);
        }
        if (us_until(db, u.stats_ns) == 0) {
            publish(db, &u);
            u.stats_ns = in_us(db, STATS_EVERY_US);
        }
        omi_mutex_lock(&db->mu);
    }
    omi_mutex_unlock(&db->mu);
}

static omen_err thread_start(omen_db *db, void (*run)(void *), void **thread)
{
    return db->env->ops->thread_start(db->env, run, db, thread);
}

omen_err omi_db_start_threads(omen_db *db)
{
    if (db->inline_work || db->read_only)
        return OMEN_OK;
    omen_err err = thread_start(db, flush_loop, &db->flush_thread);
    if (err == OMEN_OK)
        err = thread_start(db, upkeep_loop, &db->upkeep_thread);
    for (uint32_t i = 0; i < db->settings.split.background_jobs && err == OMEN_OK; i++) {
        err = thread_start(db, merge_loop, &db->merge_threads[i]);
        if (err == OMEN_OK)
            db->merge_thread_count++;
    }
    return err;
}

void omi_db_stop_threads(omen_db *db)
{
    omi_mutex_lock(&db->mu);
    db->closing = true;
    omi_cond_broadcast(&db->work);
    omi_cond_broadcast(&db->done);
    omi_cond_broadcast(&db->upkeep);
    omi_mutex_unlock(&db->mu);
    if (db->flush_thread != NULL)
        db->env->ops->thread_join(db->env, db->flush_thread);
    if (db->upkeep_thread != NULL)
        db->env->ops->thread_join(db->env, db->upkeep_thread);
    for (uint32_t i = 0; i < db->merge_thread_count; i++)
        db->env->ops->thread_join(db->env, db->merge_threads[i]);
    db->flush_thread = db->upkeep_thread = NULL;
    db->merge_thread_count = 0;
}

/* ---- inline ---------------------------------------------------------------------------------- */

void omi_db_work_inline(omen_db *db)
{
    for (;;) {
        omi_mutex_lock(&db->mu);
        bool more = db->immutable_count > 0 && db->fatal.code == OMEN_OK;
        omi_mutex_unlock(&db->mu);
        if (!more)
            break;
        if (!flush_once(db))
            return;
    }
    bool found = true;
    while (found) {
        omen_err err = omi_db_merge_one(db, &found);
        if (err == OMEN_OK)
            work_succeeded(db, &db->merge_failure, &db->merge_tries);
        else if (work_failed(db, err, &db->merge_failure, &db->merge_tries) || passes(err))
            return;
        else
            found = true;
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* What a waiter is told when the work it waits for cannot go on. */
omen_err omi_db_waiting_failed_locked(omen_db *db, const struct omi_failure *work, uint64_t times)
{
    if (db->fatal.code != OMEN_OK)
        return omi_fail_again(OMEN_READ_ONLY, db->fatal.text);
    return passes(work->code) && work->times > times ? omi_fail_again(work->code, work->text)
                                                     : OMEN_OK;
}

/* Holds commit, so that nobody else makes work: all that is due is done on return, or cannot be.
 * Nothing is waited for: without threads there would be nobody to end it. */
static omen_err work_inline_told(omen_db *db, bool merges_too)
{
    omen_err err = OMEN_OK;
    omi_db_work_inline(db);
    omi_mutex_lock(&db->mu);
    if (db->immutable_count > 0)
        err = omi_db_waiting_failed_locked(db, &db->flush_failure, 0);
    if (err == OMEN_OK && merges_too && omi_db_merge_due_locked(db))
        err = omi_db_waiting_failed_locked(db, &db->merge_failure, 0);
    omi_mutex_unlock(&db->mu);
    return err;
}

/* What failed before is tried once more at once: only an attempt that began after the call may say
 * that there is still no room. */
static uint64_t flush_again_locked(omen_db *db) OMI_REQUIRES(db->mu)
{
    if (db->flush_failure.code != OMEN_OK)
        omi_cond_broadcast(&db->work);
    return db->flush_failure.times + (db->flushing ? 1 : 0);
}

static omen_err wait_flushed(omen_db *db)
{
    omen_err err = OMEN_OK;
    omi_mutex_lock(&db->mu);
    uint64_t times = flush_again_locked(db);
    while (db->immutable_count > 0 && err == OMEN_OK) {
        err = omi_db_waiting_failed_locked(db, &db->flush_failure, times);
        if (err == OMEN_OK)
            omi_cond_wait(&db->done, &db->mu);
    }
    omi_mutex_unlock(&db->mu);
    return err;
}

omen_err omen_flush(omen_db *db)
{
    if (db->read_only)
        return omi_fail(OMEN_READ_ONLY, 0, "%s is open read-only; there is nothing to flush",
                        db->path);
    omen_err err = db->inline_work ? OMEN_OK : wait_flushed(db); /* of what was full before */
    if (err != OMEN_OK)
        return err;
    omi_mutex_lock(&db->commit);
    err = omi_db_check(db);
    if (err == OMEN_OK && omi_memtable_entries(db->active.table) > 0)
        err = omi_db_rotate(db);
    if (err == OMEN_OK && db->inline_work)
        err = work_inline_told(db, false);
    omi_mutex_unlock(&db->commit);
    return err != OMEN_OK || db->inline_work ? err : wait_flushed(db);
}

static omen_err wait_idle(omen_db *db)
{
    omen_err err = OMEN_OK;
    omi_mutex_lock(&db->mu);
    uint64_t flushes = flush_again_locked(db), merges = db->merge_failure.times;
    if (db->merge_failure.code != OMEN_OK)
        omi_cond_broadcast(&db->work);
    while (err == OMEN_OK && (db->immutable_count > 0 || db->merging > 0 || db->flushing ||
                              omi_db_merge_due_locked(db))) {
        err = omi_db_waiting_failed_locked(db, &db->flush_failure, flushes);
        if (err == OMEN_OK)
            err = omi_db_waiting_failed_locked(db, &db->merge_failure, merges);
        if (err == OMEN_OK)
            omi_cond_wait(&db->done, &db->mu);
    }
    omi_mutex_unlock(&db->mu);
    return err;
}

omen_err omen_wait_idle(omen_db *db)
{
    if (db->read_only)
        return OMEN_OK;
    if (!db->inline_work)
        return wait_idle(db);
    omi_mutex_lock(&db->commit);
    omen_err err = work_inline_told(db, true);
    omi_mutex_unlock(&db->commit);
    return err;
}

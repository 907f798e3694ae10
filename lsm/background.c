/*
 * background.c - the threads that flush, merge and keep up; or the same work inline.
 * A failed flush or merge is tried again after a pause, to new files; after three tries, or at once
 * when the data is damaged, the database becomes read-only. A full disk is waited for.
 */
#include "lsm/db.h"

#include <stdio.h>

enum { TRIES_MAX = 3, RETRY_US = 500000, STATS_EVERY_US = 10000000 };

static void failure_set_locked(omen_db *db, omen_err code) OMI_REQUIRES(db->mu)
{
    db->background.code = code;
    snprintf(db->background.text, sizeof(db->background.text), "%s", omen_last_error());
}

/* After a flush or merge: counts tries; true when it is over for good. */
static bool work_failed(omen_db *db, omen_err err, uint32_t *tries)
{
    omi_say(db->log_file, 0, "background work failed: %s", omen_last_error());
    omi_mutex_lock(&db->mu);
    failure_set_locked(db, err);
    bool fatal = err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED;
    if (err != OMEN_FULL && err != OMEN_ABORTED && ++*tries >= TRIES_MAX)
        fatal = true;
    omi_cond_broadcast(&db->done);
    omi_mutex_unlock(&db->mu);
    if (fatal)
        omi_db_fail(db, err);
    return fatal;
}

static void work_succeeded(omen_db *db, uint32_t *tries)
{
    omi_mutex_lock(&db->mu);
    *tries = 0;
    db->background.code = OMEN_OK;
    omi_mutex_unlock(&db->mu);
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
        omen_err err = omi_db_flush_one(db);
        if (err == OMEN_OK)
            work_succeeded(db, &db->flush_tries);
        else
            (void)work_failed(db, err, &db->flush_tries);
        omi_mutex_lock(&db->mu);
        db->flushing = false;
        omi_cond_broadcast(&db->done);
        omi_cond_broadcast(&db->work);
        if (err != OMEN_OK && !db->closing)
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
            work_succeeded(db, &db->merge_tries);
        else if (err != OMEN_ABORTED)
            (void)work_failed(db, err, &db->merge_tries);
        omi_mutex_lock(&db->mu);
        if ((err != OMEN_OK || !found) && !db->closing)
            (void)omi_cond_wait_us(&db->work, &db->mu, RETRY_US);
    }
    omi_mutex_unlock(&db->mu);
}

/* The interval sync and the STATS file. */
static void upkeep_loop(void *arg)
{
    omen_db *db = arg;
    uint64_t stats_due_ns = omi_now_ns(db->env) + UINT64_C(1000) * STATS_EVERY_US;
    omi_mutex_lock(&db->mu);
    while (!db->closing) {
        uint64_t wait_us = db->settings.sync_interval_ms != 0
                               ? (uint64_t)db->settings.sync_interval_ms * 1000
                               : STATS_EVERY_US;
        if (wait_us > STATS_EVERY_US)
            wait_us = STATS_EVERY_US;
        (void)omi_cond_wait_us(&db->upkeep, &db->mu, wait_us);
        bool sync = db->settings.sync_interval_ms != 0 && !db->closing;
        omi_mutex_unlock(&db->mu);
        if (sync && omen_sync(db) != OMEN_OK)
            omi_say(db->log_file, 0, "the interval sync failed: %s", omen_last_error());
        if (omi_now_ns(db->env) >= stats_due_ns) {
            omi_stats_publish(db);
            stats_due_ns = omi_now_ns(db->env) + UINT64_C(1000) * STATS_EVERY_US;
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
    omen_err err = OMEN_OK;
    for (;;) {
        omi_mutex_lock(&db->mu);
        bool more = db->immutable_count > 0 && db->fatal.code == OMEN_OK;
        omi_mutex_unlock(&db->mu);
        if (!more)
            break;
        err = omi_db_flush_one(db);
        if (err == OMEN_OK)
            work_succeeded(db, &db->flush_tries);
        else if (work_failed(db, err, &db->flush_tries) || err == OMEN_FULL)
            return;
    }
    bool found = true;
    while (found) {
        err = omi_db_merge_one(db, &found);
        if (err == OMEN_OK)
            work_succeeded(db, &db->merge_tries);
        else if (work_failed(db, err, &db->merge_tries) || err == OMEN_FULL)
            return;
        else
            found = true;
    }
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* What a waiter is told when the work it waits for cannot go on: the latched failure. */
static omen_err waiting_failed_locked(omen_db *db) OMI_REQUIRES(db->mu)
{
    if (db->fatal.code != OMEN_OK)
        return omi_fail_again(OMEN_READ_ONLY, db->fatal.text);
    if (db->background.code == OMEN_FULL)
        return omi_fail_again(OMEN_FULL, db->background.text);
    return OMEN_OK;
}

omen_err omen_flush(omen_db *db)
{
    if (db->read_only)
        return omi_fail(OMEN_READ_ONLY, 0, "%s is open read-only; there is nothing to flush",
                        db->path);
    omi_mutex_lock(&db->commit);
    omen_err err = omi_db_check(db);
    if (err == OMEN_OK && omi_memtable_entries(db->active.table) > 0)
        err = omi_db_rotate(db);
    if (err == OMEN_OK && db->inline_work)
        omi_db_work_inline(db);
    omi_mutex_unlock(&db->commit);
    if (err != OMEN_OK)
        return err;
    omi_mutex_lock(&db->mu);
    while (db->immutable_count > 0 && err == OMEN_OK) {
        err = waiting_failed_locked(db);
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
    omen_err err = OMEN_OK;
    if (db->inline_work) {
        omi_mutex_lock(&db->commit);
        omi_db_work_inline(db);
        omi_mutex_unlock(&db->commit);
        return omi_db_check(db);
    }
    omi_mutex_lock(&db->mu);
    while (err == OMEN_OK && (db->immutable_count > 0 || db->merging > 0 || db->flushing ||
                              omi_db_merge_due_locked(db))) {
        err = waiting_failed_locked(db);
        if (err == OMEN_OK)
            omi_cond_wait(&db->done, &db->mu);
    }
    omi_mutex_unlock(&db->mu);
    return err;
}

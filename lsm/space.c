#include "lsm/space.h"

#include "lsm/db.h"

#include <stdlib.h>

enum { LOOKS_PER_RESERVE = 8, HOLD_TIMES = 4, LOW_LOOK_NS = 50000000 };
static const char reserve_name[] = "RESERVE";

/* UINT64_MAX when the file system does not say. */
static uint64_t space_free(omen_db *db)
{
    uint64_t free_bytes;
    return omi_dir_space(db->dir, &free_bytes) == OMEN_OK ? free_bytes : UINT64_MAX;
}

static uint64_t tables_bytes(omen_db *db)
{
    omi_mutex_lock(&db->mu);
    uint64_t bytes = db->view->version->bytes;
    omi_mutex_unlock(&db->mu);
    return bytes;
}

/* ---- the file -------------------------------------------------------------------------------- */

static void reserve_give_up(omen_db *db)
{
    if (atomic_exchange(&db->space.held, false) && omi_dir_unlink(db->dir, reserve_name) == OMEN_OK)
        omi_say(db->log_file, 1, "the disk is full: RESERVE (%" PRIu64 " bytes) was given up",
                db->space.reserve_bytes);
}

/* A file that takes space and holds nothing; worth no error. */
static void reserve_hold(omen_db *db)
{
    struct omi_file *file;
    if (atomic_load(&db->space.held) ||
        omi_file_open(db->dir, reserve_name, OMI_OPEN_CREATE, 0, &file) != OMEN_OK)
        return;
    omen_err err = db->env->ops->file_allocate(file, db->space.reserve_bytes);
    (void)omi_file_close(file);
    if (err == OMEN_OK)
        atomic_store(&db->space.held, true);
    else
        (void)omi_dir_unlink(db->dir, reserve_name);
}

/* ---- looking --------------------------------------------------------------------------------- */

static void low_begin(omen_db *db, const char *why)
{
    if (atomic_exchange(&db->space.low, true))
        return;
    atomic_fetch_add(&db->space.low_count, 1);
    omi_say(db->log_file, 0, "writes are refused until %" PRIu64 " bytes are free: %s",
            2 * db->space.reserve_bytes, why);
}

void omi_space_look(omen_db *db)
{
    struct omi_space *s = &db->space;
    if (s->reserve_bytes == 0)
        return;
    uint64_t free_bytes = space_free(db);
    s->unlooked_bytes = 0;
    s->next_look_ns = omi_now_ns(db->env) + LOW_LOOK_NS;
    if (free_bytes < s->reserve_bytes)
        low_begin(db, "the disk is nearly full");
    if (free_bytes < 2 * s->reserve_bytes)
        return;
    if (atomic_exchange(&s->low, false))
        omi_say(db->log_file, 1, "there is room on the disk again; writes go on");
    if (free_bytes - 2 * s->reserve_bytes >= s->reserve_bytes &&
        tables_bytes(db) / HOLD_TIMES >= s->reserve_bytes)
        reserve_hold(db);
}

omen_err omi_space_admit(omen_db *db, uint64_t bytes)
{
    struct omi_space *s = &db->space;
    bool low = atomic_load_explicit(&s->low, memory_order_relaxed);
    s->unlooked_bytes += bytes;
    if (low ? omi_now_ns(db->env) >= s->next_look_ns
            : s->unlooked_bytes >= s->reserve_bytes / LOOKS_PER_RESERVE)
        omi_space_look(db);
    if (!atomic_load_explicit(&s->low, memory_order_relaxed))
        return OMEN_OK;
    return omi_fail(OMEN_FULL, 0,
                    "%s: the disk is full but for the reserve; writes come back by themselves when "
                    "%" PRIu64 " bytes are free",
                    db->path, 2 * s->reserve_bytes);
}

void omi_space_full(omen_db *db)
{
    if (db->space.reserve_bytes == 0)
        return;
    low_begin(db, omen_last_error());
    reserve_give_up(db);
}

omen_err omi_space_merge(omen_db *db, uint64_t bytes)
{
    uint64_t free_bytes = space_free(db), besides = db->space.reserve_bytes / 2;
    if (bytes == 0 || db->space.reserve_bytes == 0 ||
        (free_bytes >= besides && free_bytes - besides >= bytes))
        return OMEN_OK;
    return omi_fail(OMEN_FULL, 0,
                    "%s: a merge may need %" PRIu64 " bytes; %" PRIu64
                    " are free, of which %" PRIu64 " are kept for flushes",
                    db->path, bytes, free_bytes, besides);
}

void omi_space_begin(omen_db *db)
{
    omi_ignore(omi_dir_unlink(db->dir, reserve_name)); /* there or not */
    uint64_t free_bytes = space_free(db);
    uint64_t reserve = db->options.reserve_bytes;
    if (reserve == OMEN_NONE)
        reserve = 0;
    else if (reserve == 0) /* what the memtables hold must be able to become tables */
        reserve = 2 * db->settings.split.memtable_bytes;
    if (reserve > free_bytes / 8) /* a small disk is to be used, too */
        reserve = free_bytes / 8;
    db->space.reserve_bytes = reserve;
}

/*
 * install.c - a change of the tree becomes durable and current.
 * Order: tables written and synced, directory synced (output.c); edit appended to the manifest and
 * synced; view published; only then may inputs and log segments go.
 */
#include "io/base/mutant.h"
#include "lsm/db.h"
#include "lsm/far.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void omi_db_fail(omen_db *db, omen_err code)
{
    omi_mutex_lock(&db->mu);
    if (db->fatal.code == OMEN_OK) {
        db->fatal.code = code;
        snprintf(db->fatal.text, sizeof(db->fatal.text), "%s", omen_last_error());
        atomic_store(&db->failed, true);
        omi_say(db->log_file, 0, "read-only from now on: %s", db->fatal.text);
    }
    omi_cond_broadcast(&db->done);
    omi_cond_broadcast(&db->work);
    omi_mutex_unlock(&db->mu);
}

omen_err omi_db_check(omen_db *db)
{
    if (!atomic_load_explicit(&db->failed, memory_order_relaxed))
        return OMEN_OK;
    omi_mutex_lock(&db->mu);
    char text[sizeof(db->fatal.text) + 64];
    snprintf(text, sizeof(text), "read-only until reopened, after: %s", db->fatal.text);
    omi_mutex_unlock(&db->mu);
    return omi_fail_again(OMEN_READ_ONLY, text);
}

/* How much room the cache has once filters, models and open tables are charged, but for what of them is
 * far; those who gave both it and filters their bytes get what they gave. */
static uint64_t cache_room(omen_db *db)
{
    if (db->settings.cache_alone)
        return db->settings.split.cache_bytes;
    uint64_t taken = atomic_load(&db->tenv.open_metadata_bytes);
    for (int k = 0; k < OMI_EXTENT_KINDS; k++)
        taken += atomic_load(&db->tenv.extents.taken[k][OMI_EXTENT_NEAR]);
    uint64_t all = db->settings.split.cache_bytes;
    return all > taken ? all - taken : 0;
}

void omi_db_fit_cache_locked(omen_db *db)
{
    omi_cache_set_capacity(db->tenv.cache, cache_room(db));
}

void omi_db_rebalance_locked(omen_db *db, uint64_t worked_bytes)
{
    omi_db_fit_cache_locked(db);
    uint64_t user = omi_counter_sum(&db->counters, OMI_COUNT_USER_BYTES);
    uint64_t debt =
        db->auto_compact ? omi_tree_debt(&db->view->version->tree, &db->settings.shape) : 0;
    omi_pace_update(&db->pace, debt, worked_bytes, user - db->paced_user_bytes,
                    omi_now_ns(db->env));
    db->paced_user_bytes = user;
    atomic_store(&db->unpaced, db->pace.allowed_bytes_per_s == UINT64_MAX);
}

static omen_err manifest_unlink(omen_db *db, uint64_t number)
{
    char name[OMI_FILE_NAME_BYTES];
    snprintf(name, sizeof(name), "MANIFEST-%06" PRIu64, number);
    return omi_dir_unlink(db->dir, name);
}

/* For want of room, and CURRENT still names the old manifest: that one goes on. Otherwise CURRENT
 * may name the new one already, and the old one is over. */
static omen_err roll_failed(omen_db *db, omen_err err, uint64_t old, uint64_t number)
{
    uint64_t current;
    if ((err == OMEN_FULL || err == OMEN_NO_MEMORY) &&
        omi_manifest_current(db->dir, &current) == OMEN_OK && current == old)
        omi_ignore(manifest_unlink(db, number));
    else
        omi_db_fail(db, err);
    return err;
}

/* Not the bytes themselves: times and random numbers are among them, and the numbers that tables get
 * may not depend on those. */
uint64_t omi_edit_weight(const struct omi_edit *edit)
{
    enum { EDIT = 256, ADDED = 160, REMOVED = 16 };
    uint64_t weight = EDIT + edit->options.size + (uint64_t)edit->added_count * ADDED +
                      (uint64_t)(edit->removed_count + edit->moved_count) * REMOVED;
    for (uint32_t i = 0; i < edit->added_count; i++)
        weight += edit->added[i].props.smallest.size + edit->added[i].props.largest.size;
    return weight;
}

/* A new manifest when the old one has grown to a multiple of what it says. */
static omen_err roll_manifest(omen_db *db, const struct omi_version *version, uint64_t log_floor)
{
    uint64_t live = version->table_count * 256;
    if (db->manifest_weight < 3 * live + db->manifest_slack_bytes)
        return OMEN_OK;
    struct omi_edit snapshot = {0};
    struct omi_manifest *next = NULL;
    uint64_t number = omi_db_next_number(db);
    omen_err err = omi_db_snapshot_edit(db, version, log_floor, &snapshot);
    if (err == OMEN_OK)
        err = omi_manifest_create(db->dir, number, &snapshot, &next);
    omi_edit_fini(&snapshot);
    uint64_t old = omi_manifest_number(db->manifest);
    if (err != OMEN_OK)
        return roll_failed(db, err, old, number);
    err = omi_manifest_close(db->manifest);
    db->manifest = next;
    db->manifest_weight = 0;
    omen_err gone = manifest_unlink(db, old);
    return err == OMEN_OK ? gone : err;
}

/* The lowest log segment that a memtable still needs, the oldest immutable aside when dropped. */
static uint64_t log_floor_locked(omen_db *db, bool without_oldest) OMI_REQUIRES(db->mu)
{
    uint32_t first = without_oldest ? 1 : 0;
    return db->immutable_count > first ? db->immutables[first].first_segment
                                       : db->active.first_segment;
}

static omen_err edit_counters(omen_db *db, struct omi_edit *edit, bool flushed)
{
    edit->has |= OMI_EDIT_COUNTERS | OMI_EDIT_LIFETIME;
    edit->next_number = atomic_load(&db->next_number);
    edit->next_age = db->next_age;
    edit->last_seq = atomic_load(&db->visible_seq);
    if (flushed) {
        omi_mutex_lock(&db->mu);
        edit->has |= OMI_EDIT_FLUSHED;
        edit->flushed_seq = omi_memtable_max_seq(db->immutables[0].table) +
                            (OMI_MUTANT(OMI_MUTANT_FLUSHED_TOO_HIGH) ? 1 : 0);
        edit->log_floor = log_floor_locked(db, true);
        omi_mutex_unlock(&db->mu);
    }
    return omi_lifetime_encode(db, &edit->lifetime);
}

/* Takes the published oldest immutable off the list; returned for its reference to be dropped
 * outside mu. */
static struct omi_memtable *drop_oldest_locked(omen_db *db) OMI_REQUIRES(db->mu)
{
    struct omi_memtable *oldest = db->immutables[0].table;
    db->immutable_count--;
    memmove(&db->immutables[0], &db->immutables[1],
            db->immutable_count * sizeof(db->immutables[0]));
    return oldest;
}

omen_err omi_db_install(omen_db *db, struct omi_edit *edit, bool flushed)
{
    omi_mutex_lock(&db->mu);
    struct omi_version *base = db->view->version;
    omi_version_ref(base); /* only install changes it, so it stays current until we publish */
    omi_mutex_unlock(&db->mu);
    struct omi_version *next = NULL;
    struct omi_view *view = NULL;
    struct omi_memtable *dropped = NULL;
    omen_err err = edit_counters(db, edit, flushed);
    if (err == OMEN_OK)
        err = omi_version_apply(base, edit, &db->tenv, NULL, &next);
    if (err == OMEN_OK)
        err = omi_view_create(&view);
    if (err != OMEN_OK)
        goto discard;
    if (db->tenv.far)
        omi_far_inherit(base, edit, next);
    if (OMI_MUTANT(OMI_MUTANT_LOG_GONE_EARLY) && flushed)
        omi_ignore(omi_wal_release(db->wal, edit->log_floor));
    err = omi_manifest_append(db->manifest, edit);
    if (err != OMEN_OK && omi_manifest_sealed(db->manifest)) {
        free(view); /* the edit may be durable or not: nothing is deleted any more */
        omi_db_fail(db, err);
        goto unref;
    }
    if (err != OMEN_OK)
        goto discard;
    db->manifest_weight += omi_edit_weight(edit);
    omi_mutex_lock(&db->mu);
    if (flushed) {
        dropped = drop_oldest_locked(db);
        db->flushed_seq = edit->flushed_seq;
    }
    uint64_t floor = log_floor_locked(db, false);
    omi_view_publish_locked(db, next, view);
    omi_mutex_unlock(&db->mu);
    omi_version_retire(base, edit);
    if (flushed)
        err = omi_wal_release(db->wal, floor);
    if (err == OMEN_OK)
        err = roll_manifest(db, next, floor);
    if (err != OMEN_OK) {
        omi_say(db->log_file, 1, "clean-up after a change of the tree: %s", omen_last_error());
        err = OMEN_OK;
    }
unref:
    omi_version_unref(next);
    omi_version_unref(base);
    if (dropped != NULL)
        omi_memtable_unref(dropped);
    return err;

discard: /* nothing has changed: what is tried again makes new tables */
    free(view);
    for (uint32_t i = 0; i < edit->added_count; i++) {
        char name[OMI_FILE_NAME_BYTES];
        omi_table_name(edit->added[i].number, name);
        omi_ignore(omi_dir_unlink(db->dir, name));
    }
    goto unref;
}

omen_err omi_db_snapshot_edit(omen_db *db, const struct omi_version *version, uint64_t log_floor,
                              struct omi_edit *edit)
{
    edit->has = OMI_EDIT_IDENTITY | OMI_EDIT_COUNTERS | OMI_EDIT_FLUSHED | OMI_EDIT_SHAPE |
                OMI_EDIT_OPTIONS | OMI_EDIT_LIFETIME;
    const char *order = db->comparator_name != NULL ? db->comparator_name : "";
    /* For people: each table says whose filter it has. */
    const char *policy =
        db->filter_policy.name != NULL ? db->filter_policy.name : OMI_FILTER_POLICY;
    omen_err err = omi_buf_append(&edit->comparator, order, strlen(order));
    if (err == OMEN_OK)
        err = omi_buf_append(&edit->filter_policy, policy, strlen(policy));
    edit->next_number = atomic_load(&db->next_number);
    edit->next_age = db->next_age;
    edit->last_seq = atomic_load(&db->visible_seq);
    edit->flushed_seq = db->flushed_seq;
    edit->log_floor = log_floor;
    edit->shape = db->settings.shape;
    edit->shape_fixed = db->settings.shape_fixed;
    if (err == OMEN_OK)
        err = omi_options_store(&db->options, &edit->options);
    if (err == OMEN_OK)
        err = omi_lifetime_encode(db, &edit->lifetime);
    if (err == OMEN_OK)
        err = omi_version_snapshot(version, edit);
    return err;
}

omen_err omi_db_snapshot_seqs(omen_db *db, uint64_t **seqs_out, uint32_t *count_out)
{
    omi_mutex_lock(&db->mu);
    uint64_t *seqs = malloc((db->snapshot_count + 1) * sizeof(*seqs));
    uint32_t n = 0;
    if (seqs != NULL) {
        if (!OMI_MUTANT(OMI_MUTANT_SNAPSHOT_IGNORED))
            for (const struct omen_snapshot *s = db->snapshots.next; s != &db->snapshots;
                 s = s->next)
                if (n == 0 || seqs[n - 1] != s->seq)
                    seqs[n++] = s->seq;
        uint64_t visible = atomic_load_explicit(&db->visible_seq, memory_order_acquire);
        if (n == 0 || seqs[n - 1] != visible)
            seqs[n++] = visible;
    }
    omi_mutex_unlock(&db->mu);
    if (seqs == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the list of snapshots");
    *seqs_out = seqs;
    *count_out = n;
    return OMEN_OK;
}

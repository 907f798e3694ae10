/*
 * checkpoint.c - a database of its own, equal to this one: tables by hard link (by copy across file
 * systems), the log's needed part by copy, a manifest of its own. Nothing can be installed
 * meanwhile, so the version, the log's floor and the copied log belong together.
 */
#include "lsm/db.h"

#include <stdlib.h>

enum { COPY_BYTES = 1 << 20 };

static omen_err copy_bytes(struct omi_file *from, struct omi_file *to, uint64_t size)
{
    uint8_t *buffer = malloc(COPY_BYTES);
    if (buffer == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a buffer to copy a table");
    omen_err err = OMEN_OK;
    for (uint64_t at = 0; at < size && err == OMEN_OK;) {
        size_t want = size - at < COPY_BYTES ? (size_t)(size - at) : COPY_BYTES, got = 0;
        err = omi_file_pread(from, buffer, want, at, &got);
        if (err == OMEN_OK && got != want)
            err = omi_fail(OMEN_CORRUPT, 0, "a table is shorter than the manifest says");
        if (err == OMEN_OK)
            err = omi_file_pwrite(to, buffer, want, at);
        at += want;
    }
    if (err == OMEN_OK)
        err = omi_file_sync(to);
    free(buffer);
    return err;
}

static omen_err copy_file(struct omi_dir *from_dir, struct omi_dir *to_dir, const char *name,
                          uint64_t size)
{
    struct omi_file *from = NULL, *to = NULL;
    omen_err err = omi_file_open(from_dir, name, OMI_OPEN_READ, 0, &from);
    if (err == OMEN_OK)
        err = omi_file_open(to_dir, name, OMI_OPEN_CREATE, 0, &to);
    if (err == OMEN_OK)
        err = copy_bytes(from, to, size);
    omen_err closed = omi_file_close(to);
    if (err == OMEN_OK)
        err = closed;
    (void)omi_file_close(from);
    return err;
}

static omen_err take_tables(const struct omi_version *v, struct omi_dir *from, struct omi_dir *to)
{
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t j = 0; j < v->runs[i].table_count; j++) {
            char name[OMI_FILE_NAME_BYTES];
            omi_table_name(v->runs[i].files[j]->number, name);
            omen_err err = omi_dir_link(from, name, to, name);
            if (err == OMEN_UNSUPPORTED)
                err = copy_file(from, to, name, v->runs[i].files[j]->bytes);
            if (err != OMEN_OK)
                return err;
        }
    return OMEN_OK;
}

static omen_err refuse_entry(void *ctx, const struct omi_dir_entry *e)
{
    (void)e;
    return omi_fail(OMEN_EXISTS, 0, "%s exists and is not empty; name a new directory",
                    (const char *)ctx);
}

/* Holds install: version and floor stand still. Writes up to synced_seq are durable. */
static omen_err checkpoint_into(omen_db *db, struct omi_dir *to, uint64_t synced_seq)
{
    struct omi_view *view = omi_view_ref(db);
    omi_mutex_lock(&db->mu);
    uint64_t floor =
        db->immutable_count > 0 ? db->immutables[0].first_segment : db->active.first_segment;
    omi_mutex_unlock(&db->mu);
    struct omi_edit snapshot = {0};
    struct omi_manifest *manifest = NULL;
    omen_err err = take_tables(view->version, db->dir, to);
    if (err == OMEN_OK)
        err = omi_wal_copy(db->wal, db->dir, to, floor);
    if (err == OMEN_OK)
        err = omi_dir_sync(to);
    if (err == OMEN_OK)
        err = omi_db_snapshot_edit(db, view->version, floor, &snapshot);
    snapshot.has |= OMI_EDIT_DURABLE;
    snapshot.durable_seq = synced_seq;
    /* A number that no file there has; not taken, so that this database goes on as without it, and
     * two checkpoints of one state are alike. */
    if (err == OMEN_OK)
        err = omi_manifest_create(to, atomic_load(&db->next_number), &snapshot, &manifest);
    if (err == OMEN_OK)
        err = omi_manifest_close(manifest);
    omi_edit_fini(&snapshot);
    omi_view_unref(view);
    return err;
}

omen_err omen_checkpoint(omen_db *db, const char *path)
{
    if (db->read_only)
        return omi_fail(OMEN_READ_ONLY, 0,
                        "%s is open read-only; a checkpoint needs the writer's handle", db->path);
    uint64_t synced_seq = atomic_load(&db->visible_seq);
    omen_err err = omen_sync(db);
    if (err != OMEN_OK)
        return err;
    struct omi_dir *to = NULL;
    err = omi_dir_open(db->env, path, true, &to);
    if (err == OMEN_OK)
        err = omi_dir_list(to, refuse_entry, (void *)(uintptr_t)path);
    if (err == OMEN_OK) {
        omi_mutex_lock(&db->install);
        err = checkpoint_into(db, to, synced_seq);
        omi_mutex_unlock(&db->install);
    }
    omi_dir_close(to);
    return err;
}

#include "lsm/edit_replay.h"

#include "io/base/mutant.h"

#include <string.h>

/* ---- the manifest's edits -------------------------------------------------------------------- */

static omen_err replay_identity(struct omi_replay *r, struct omi_edit *edit)
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
static omen_err replay_tables(struct omi_replay *r, struct omi_edit *edit)
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

omen_err omi_replay_edit(void *ctx, struct omi_edit *edit)
{
    struct omi_replay *r = ctx;
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

/* New runs are younger than all there are, and new writes newer, whatever the manifest counts: two
 * runs of one age would be taken for one. */
static void count_up(struct omi_replay *r)
{
    const struct omi_edit *tables = &r->live.tables;
    for (uint32_t i = 0; i < tables->added_count; i++) {
        const struct omi_edit_file *f = &tables->added[i];
        if (f->age >= r->db->next_age)
            r->db->next_age = f->age + 1;
        if (f->props.max_seq > r->last_seq)
            r->last_seq = f->props.max_seq;
    }
}

omen_err omi_replay_settle(struct omi_replay *r)
{
    omen_db *db = r->db;
    count_up(r);
    omen_err err =
        omi_options_merge_stored(&db->options, omi_slice(r->options.data, r->options.size));
    if (err == OMEN_OK)
        err = omi_options_resolve(&db->options, &db->settings);
    if (err == OMEN_OK)
        db->tenv.direct = db->settings.direct;
    return err;
}

void omi_replay_init(struct omi_replay *r, omen_db *db)
{
    *r = (struct omi_replay){.db = db};
    db->env->ops->random(db->env, &r->live.seed, sizeof(r->live.seed));
}

void omi_replay_fini(struct omi_replay *r)
{
    omi_live_set_fini(&r->live);
    omi_buf_fini(&r->options);
}

/* ---- the log --------------------------------------------------------------------------------- */

omen_err omi_log_replay_flush(struct omi_log_replay *l)
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

omen_err omi_log_replay_entry(void *ctx, const struct omi_entry *entry)
{
    struct omi_log_replay *l = ctx;
    omen_db *db = l->db;
    /* A batch may be spread over two tables here: all of them become current in one edit. */
    if (!db->read_only &&
        omi_memtable_used(db->active.table) >= db->settings.split.memtable_bytes) {
        omen_err err = omi_log_replay_flush(l);
        if (err != OMEN_OK)
            return err;
    }
    if (!omi_trailer_known(entry->trailer))
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "the log holds an entry of type 0x%02x, which this build does not know",
                        (unsigned)(entry->trailer & 0xff));
    return omi_memtable_insert(db->active.table, entry);
}

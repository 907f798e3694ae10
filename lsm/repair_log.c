/* repair_log.c - what the log holds beside the tables, around its damage. */
#include "lsm/repair.h"

#include <stdio.h>
#include <stdlib.h>

/* A rebuild takes everything: it does not know what the tables have. */
static struct omi_wal_recovery recovery_of(const struct omi_repair *rp)
{
    return rp->rebuild ? (struct omi_wal_recovery){0}
                       : (struct omi_wal_recovery){.floor = rp->replay.log_floor,
                                                   .flushed_seq = rp->db->flushed_seq};
}

/* ---- looking --------------------------------------------------------------------------------- */

static omen_err look_at_entry(void *ctx, const struct omi_entry *entry)
{
    (void)ctx;
    if (!omi_trailer_known(entry->trailer))
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "the log holds an entry of type 0x%02x, which this build does not know",
                        (unsigned)(entry->trailer & 0xff));
    return OMEN_OK;
}

static void tell_absent(struct omi_repair *rp, const struct omi_segment_verdict *v)
{
    rp->report.files_lost += v->absent;
    if (v->absent == 1)
        omi_repair_tell(rp, "log segment %" PRIu64 " is missing", v->segment);
    else
        omi_repair_tell(rp, "log segments %" PRIu64 " to %" PRIu64 " are missing", v->segment,
                        v->segment + v->absent - 1);
}

static void look_at_segment(void *ctx, const struct omi_segment_verdict *v)
{
    struct omi_repair *rp = ctx;
    char missing[120] = "";
    if (v->name == NULL) {
        tell_absent(rp, v);
        return;
    }
    rp->report.log_operations_lost += v->missing;
    rp->report.log_bytes_lost += v->lost_bytes;
    if (v->headless) {
        rp->report.files_lost++;
        omi_repair_set_aside(rp, omi_repair_find(rp, v->name));
        omi_repair_tell(rp, "%s has no header that can be read: its %" PRIu64 " bytes are lost",
                        v->name, v->bytes);
        return;
    }
    if (v->missing != 0)
        snprintf(missing, sizeof(missing),
                 "; %" PRIu64 " operations numbered %" PRIu64 " to %" PRIu64 " are missing",
                 v->missing, v->missing_first_seq, v->missing_last_seq);
    if (v->lost_bytes != 0) {
        rp->report.files_damaged++;
        omi_repair_set_aside(rp, omi_repair_find(rp, v->name));
        omi_repair_tell(rp,
                        "%s is damaged at offset %" PRIu64 ": %" PRIu64
                        " operations are saved, %" PRIu64 " bytes are lost%s",
                        v->name, v->damaged_off, v->operations, v->lost_bytes, missing);
    } else if (v->missing != 0) {
        omi_repair_tell(rp, "%s is whole: %" PRIu64 " operations are saved%s", v->name,
                        v->operations, missing);
    }
}

/* A clean close said how far the log reached. */
static void tell_short(struct omi_repair *rp, uint64_t last_seq)
{
    uint64_t durable = rp->replay.durable_seq;
    if (last_seq >= durable)
        return;
    rp->report.log_operations_lost += durable - last_seq;
    omi_repair_tell(rp,
                    "the log ends at operation %" PRIu64 ", but %" PRIu64
                    " were synced: those between are missing",
                    last_seq, durable);
}

omen_err omi_repair_look_at_log(struct omi_repair *rp)
{
    struct omi_wal_recovery wr = recovery_of(rp);
    omen_err err = omi_wal_recover(rp->db->dir, &wr, look_at_entry, NULL);
    if (err == OMEN_OK && !rp->rebuild && wr.last_seq < rp->replay.durable_seq)
        err = omi_fail(OMEN_CORRUPT, 0, "it ends before what was synced");
    if (err == OMEN_CORRUPT || err == OMEN_IO) {
        char why[400];
        snprintf(why, sizeof(why), "%s", omen_last_error());
        uint64_t problems = rp->report.problems;
        struct omi_wal_salvage salvage = {
            .flushed_known = !rp->rebuild, .verdict = look_at_segment, .verdict_ctx = rp};
        rp->log_damaged = true;
        wr = recovery_of(rp);
        err = omi_wal_salvage(rp->db->dir, &wr, &salvage, look_at_entry, NULL);
        if (err == OMEN_OK && !rp->rebuild)
            tell_short(rp, wr.last_seq);
        if (err == OMEN_OK && rp->report.problems == problems)
            omi_repair_tell(rp, "the log does not hang together (%s): all of it is kept", why);
    }
    rp->report.log_operations_saved = wr.operations;
    return err;
}

/* ---- replaying ------------------------------------------------------------------------------- */

static omen_err memtable_begin(struct omi_repair *rp)
{
    omen_db *db = rp->db;
    return omi_memtable_create(db->arenas, &db->tenv.order, db->settings.split.memtable_bytes,
                               &db->active.table);
}

/* The active memtable joins those that the rebuild will merge. */
static omen_err memtable_put_by(struct omi_repair *rp)
{
    if (rp->mem_count == rp->mem_capacity) {
        uint32_t capacity = rp->mem_capacity * 2 + 8;
        struct omi_memtable **mems = realloc(rp->mems, capacity * sizeof(*mems));
        if (mems == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "the list of memtables");
        rp->mems = mems;
        rp->mem_capacity = capacity;
    }
    rp->mems[rp->mem_count++] = rp->db->active.table;
    rp->db->active.table = NULL;
    return memtable_begin(rp);
}

static omen_err keep_entry(void *ctx, const struct omi_entry *entry)
{
    struct omi_repair *rp = ctx;
    omen_db *db = rp->db;
    if (omi_memtable_used(db->active.table) >= db->settings.split.memtable_bytes) {
        omen_err err = memtable_put_by(rp);
        if (err != OMEN_OK)
            return err;
    }
    return omi_memtable_insert(db->active.table, entry);
}

static void no_verdict(void *ctx, const struct omi_segment_verdict *v)
{
    (void)ctx;
    (void)v;
}

static omen_err replay_with(struct omi_repair *rp, struct omi_wal_recovery *wr,
                            omen_err (*each)(void *ctx, const struct omi_entry *entry), void *ctx)
{
    struct omi_wal_salvage salvage = {.flushed_known = !rp->rebuild, .verdict = no_verdict};
    *wr = recovery_of(rp);
    return rp->log_damaged ? omi_wal_salvage(rp->db->dir, wr, &salvage, each, ctx)
                           : omi_wal_recover(rp->db->dir, wr, each, ctx);
}

static omen_err edit_take(struct omi_edit *to, struct omi_edit *from)
{
    omen_err err = OMEN_OK;
    while (from->added_count > 0 && err == OMEN_OK) {
        struct omi_edit_file *f = &from->added[from->added_count - 1];
        err = omi_edit_add(to, f->level, f->age, f->number, &f->props);
        if (err == OMEN_OK)
            from->added_count--;
    }
    return err;
}

omen_err omi_repair_replay_log(struct omi_repair *rp, struct omi_wal_recovery *wr)
{
    omen_err err = memtable_begin(rp);
    if (err != OMEN_OK)
        return err;
    if (rp->rebuild) {
        err = replay_with(rp, wr, keep_entry, rp);
        return err == OMEN_OK ? memtable_put_by(rp) : err;
    }
    struct omi_log_replay l = {.db = rp->db};
    uint32_t before = rp->tables.added_count;
    err = replay_with(rp, wr, omi_log_replay_entry, &l);
    if (err == OMEN_OK)
        err = omi_log_replay_flush(&l);
    omen_err taken =
        edit_take(&rp->tables, &l.flushed); /* all, so that a failure can remove them */
    rp->report.tables_written += rp->tables.added_count - before;
    omi_edit_fini(&l.flushed);
    return err == OMEN_OK ? taken : err;
}

/* repair.c - omen_repair from beginning to end; repair.h says what makes it safe. */
#include "lsm/repair.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- telling --------------------------------------------------------------------------------- */

void omi_repair_tell(struct omi_repair *rp, const char *format, ...)
{
    char line[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    rp->report.problems++;
    if (rp->told != NULL)
        rp->told(rp->told_ctx, line);
}

const char *omi_repair_key(omen_slice key, char text[static OMI_KEY_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    enum { SHOWN_MAX = 32 };
    const uint8_t *bytes = key.data;
    size_t shown = key.size < SHOWN_MAX ? key.size : SHOWN_MAX, at = 0;
    text[at++] = '\'';
    for (size_t i = 0; i < shown; i++) {
        text[at++] = digits[bytes[i] >> 4];
        text[at++] = digits[bytes[i] & 15];
    }
    snprintf(text + at, OMI_KEY_TEXT_BYTES - at, "%s'", key.size > shown ? "..." : "");
    return text;
}

void omi_repair_set_aside(struct omi_repair *rp, struct omi_repair_file *file)
{
    if (file == NULL || file->aside)
        return;
    file->aside = true;
    rp->report.bytes_set_aside += file->bytes;
}

/* ---- the first half: nothing is written ------------------------------------------------------ */

static omen_err begin(struct omi_repair *rp)
{
    omen_db *db = rp->db;
    omen_err err = omi_dir_open(db->env, db->path, false, &db->dir);
    if (err == OMEN_NOT_FOUND)
        return omi_fail(OMEN_NOT_FOUND, 0, "there is no directory %s", db->path);
    if (err != OMEN_OK)
        return err;
    db->tenv.env = db->env;
    db->tenv.dir = db->dir;
    err = omi_repair_survey(rp);
    /* Whoever has it open made LOCK; a dry run makes none. */
    if (err == OMEN_OK && (!rp->dry_run || rp->lock_there))
        err = omi_dir_lock(db->dir, "LOCK", &db->lock);
    if (err != OMEN_OK)
        return err;
    /* Once more, now that nobody changes it. */
    rp->file_count = 0;
    rp->report.files = 0;
    atomic_store(&db->next_number, 0);
    return omi_repair_survey(rp);
}

static omen_err look(struct omi_repair *rp)
{
    omen_err err = omi_repair_read_manifest(rp);
    if (err == OMEN_OK)
        err = omi_replay_settle(&rp->replay);
    if (err == OMEN_OK)
        err = omi_db_prepare(rp->db);
    if (err == OMEN_OK)
        err = omi_repair_look_at_tables(rp);
    if (err == OMEN_OK)
        err = omi_repair_look_at_log(rp);
    omen_repair_report *r = &rp->report;
    r->lossy = r->files_lost + r->files_doubtful + r->blocks_lost + r->entries_lost +
                   r->log_operations_lost + r->log_bytes_lost !=
               0;
    return err;
}

/* ---- the second half ------------------------------------------------------------------------- */

static void remove_new_tables(struct omi_repair *rp)
{
    char words[512]; /* the failure that led here is the one to tell */
    snprintf(words, sizeof(words), "%s", omen_last_error());
    for (uint32_t i = 0; i < rp->tables.added_count; i++) {
        char name[OMI_FILE_NAME_BYTES];
        omi_table_name(rp->tables.added[i].number, name);
        if (rp->tables.added[i].number >= rp->first_new)
            omi_ignore(omi_dir_unlink(rp->db->dir, name)); /* an orphan at worst */
    }
    omi_ignore(omi_fail_again(OMEN_IO, words));
}

static omen_err write_tables(struct omi_repair *rp, struct omi_wal_recovery *wr,
                             struct omi_version **version_out)
{
    omen_err err = omi_repair_replay_log(rp, wr);
    if (err == OMEN_OK)
        err = rp->rebuild ? omi_repair_write_rebuilt(rp) : omi_repair_write_items(rp);
    /* Opens every table: what is to become the database is sound, or nothing changes. */
    if (err == OMEN_OK)
        err = omi_version_apply(NULL, &rp->tables, &rp->db->tenv, NULL, version_out);
    if (err != OMEN_OK)
        remove_new_tables(rp);
    return err;
}

static uint64_t greatest(uint64_t a, uint64_t b, uint64_t c)
{
    uint64_t m = a > b ? a : b;
    return m > c ? m : c;
}

/* One durable step before the other: a CURRENT that names nothing goes before the new one comes, so
 * that it is not overwritten; in between the newest manifest is found by its number. */
static omen_err switch_over(struct omi_repair *rp, struct omi_wal_recovery *wr,
                            struct omi_version *version)
{
    omen_db *db = rp->db;
    /* A rebuild has looked at whatever segments there are; the manifest may know of later ones. */
    if (wr->next_segment <= rp->replay.log_floor)
        wr->next_segment = rp->replay.log_floor + 1;
    db->last_seq = greatest(wr->last_seq, rp->replay.last_seq, rp->table_seq_max);
    db->flushed_seq = db->last_seq;
    atomic_store(&db->visible_seq, db->last_seq);
    struct omi_repair_file *current = omi_repair_find(rp, "CURRENT");
    omen_err err = OMEN_OK;
    if (current != NULL && current->aside)
        err = omi_dir_rename(db->dir, "CURRENT", "CURRENT" OMI_BAD_SUFFIX);
    return err == OMEN_OK ? omi_db_begin_history(db, version, wr) : err;
}

static omen_err rename_damaged(struct omi_repair *rp)
{
    omen_err err = OMEN_OK;
    for (size_t i = 0; i < rp->file_count && err == OMEN_OK; i++) {
        struct omi_repair_file *f = &rp->files[i];
        char bad[OMI_FILE_NAME_BYTES + sizeof(OMI_BAD_SUFFIX)];
        if (!f->aside || strcmp(f->name, "CURRENT") == 0)
            continue;
        snprintf(bad, sizeof(bad), "%s%s", f->name, OMI_BAD_SUFFIX);
        err = omi_dir_rename(rp->db->dir, f->name, bad);
        omi_say(rp->db->log_file, 1, "repair: %s is now %s", f->name, bad);
    }
    return err == OMEN_OK ? omi_dir_sync(rp->db->dir) : err;
}

static omen_err mend(struct omi_repair *rp)
{
    omen_db *db = rp->db;
    struct omi_version *version = NULL;
    struct omi_wal_recovery wr;
    omen_err err = omi_log_file_create(db->env, db->dir, &db->options, true, &db->log_file);
    if (err != OMEN_OK)
        return err;
    db->tenv.log = db->log_file;
    rp->first_new = atomic_load(&db->next_number);
    omi_say(db->log_file, 1, "repair: %" PRIu64 " problems", rp->report.problems);
    err = write_tables(rp, &wr, &version);
    if (err == OMEN_OK)
        err = switch_over(rp, &wr, version);
    if (err == OMEN_OK)
        err = rename_damaged(rp);
    if (err == OMEN_OK)
        omi_say(db->log_file, 1,
                "repair: done; %" PRIu64 " tables written, %" PRIu64 " blocks and %" PRIu64
                " bytes of log lost",
                rp->report.tables_written, rp->report.blocks_lost, rp->report.log_bytes_lost);
    omi_version_unref(version);
    return err;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static void report_copy(const omen_repair_report *from, omen_repair_report *to)
{
    if (to == NULL)
        return;
    size_t size = to->struct_bytes;
    memcpy(to, from, size < sizeof(*from) ? size : sizeof(*from));
    to->struct_bytes = size;
}

static void repair_fini(struct omi_repair *rp)
{
    for (uint32_t i = 0; i < rp->mem_count; i++)
        omi_memtable_unref(rp->mems[i]);
    free(rp->mems);
    free(rp->items);
    free(rp->files);
    omi_edit_fini(&rp->tables);
    omi_replay_fini(&rp->replay);
}

static omen_err repair_run(struct omi_repair *rp)
{
    omen_err err = begin(rp);
    if (err == OMEN_OK)
        err = look(rp);
    if (err == OMEN_OK && rp->report.problems != 0 && !rp->dry_run)
        err = mend(rp);
    repair_fini(rp); /* before the pool that its memtables came from */
    return err;
}

static omen_err arguments_check(const char *path, uint32_t flags, const omen_repair_report *report)
{
    if (path == NULL || path[0] == 0)
        return omi_fail(OMEN_INVALID, 0, "a repair needs a path");
    if ((flags & ~(uint32_t)OMEN_REPAIR_DRY_RUN) != 0)
        return omi_fail(OMEN_UNSUPPORTED, 0, "omen_repair's flags have unknown bits 0x%x", flags);
    if (report != NULL && report->struct_bytes < sizeof(size_t))
        return omi_fail(OMEN_INVALID, 0,
                        "omen_repair_report.struct_bytes is %zu; set it to sizeof it",
                        report->struct_bytes);
    return OMEN_OK;
}

omen_err omi_db_repair(struct omi_env *env, const char *path, const omen_options *options,
                       uint32_t flags, omen_repair_report *report,
                       void (*told)(void *context, const char *line), void *context)
{
    omen_options copy;
    omen_err err = arguments_check(path, flags, report);
    if (err == OMEN_OK)
        err = omi_options_copy(options, &copy);
    if (err != OMEN_OK)
        return err;
    copy.flags = OMEN_INLINE_WORK;
    struct omi_repair rp = {.dry_run = (flags & OMEN_REPAIR_DRY_RUN) != 0,
                            .report = {.struct_bytes = sizeof(rp.report)},
                            .told = told,
                            .told_ctx = context};
    err = omi_db_create(env, path, &copy, &rp.db);
    if (err == OMEN_OK)
        err = repair_run(&rp);
    if (rp.db != NULL) {
        char words[512];
        snprintf(words, sizeof(words), "%s", omen_last_error());
        omen_err closed = omi_db_free(rp.db);
        if (err != OMEN_OK)
            omi_ignore(omi_fail_again(err, words)); /* the first failure is the one to tell */
        else
            err = closed;
    }
    report_copy(&rp.report, report);
    return err;
}

omen_err omen_repair(const char *path, const omen_options *options, uint32_t flags,
                     omen_repair_report *report, void (*told)(void *context, const char *line),
                     void *context)
{
    omen_options copy;
    omen_err err = omi_options_copy(options, &copy);
    if (err != OMEN_OK)
        return err;
    return omi_db_repair(omi_env_posix((omen_io_engine)copy.io_engine), path, options, flags,
                         report, told, context);
}

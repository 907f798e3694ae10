/*
 * repair.h - a repair in progress; private to repair*.c.
 *
 * Two halves. The first looks and decides, and writes nothing: which manifest says what the database
 * holds (repair_state.c), which tables are sound (repair_table.c), whether the log is
 * (repair_log.c). A dry run and a sound database end there. The second writes what replaces the
 * damaged: tables, a log, a manifest, CURRENT, each durable before the next; only then are damaged
 * files renamed (repair.c). So a crash leaves either the old state, to be repaired again, or the new
 * one.
 */
#ifndef OMI_REPAIR_H
#define OMI_REPAIR_H

#include "lsm/edit_replay.h"
#include "lsm/file_kind.h"
#include "lsm/table_salvage.h"

struct omi_repair_file { /* of the directory */
    char name[OMI_FILE_NAME_BYTES];
    enum omi_file_kind kind;
    uint64_t number, bytes;
    bool aside; /* to be renamed */
};

struct omi_repair_item { /* a table to be read around its damage */
    const char *name;    /* of the file that holds it */
    uint64_t number, file_id, data_end, age;
    uint32_t level;
};

struct omi_repair {
    omen_db *db;
    bool dry_run, rebuild; /* rebuild: out of all tables there are, whatever named them */
    omen_repair_report report;
    void (*told)(void *context, const char *line);
    void *told_ctx;
    struct omi_repair_file *files; /* sorted by name */
    size_t file_count, file_capacity;
    bool lock_there;
    struct omi_replay replay;
    bool log_damaged;
    struct omi_edit tables; /* of the database to be */
    struct omi_repair_item *items;
    uint32_t item_count, item_capacity;
    uint64_t first_new; /* tables from this number on are ours */
    uint64_t table_seq_max, rebuild_bytes;
    struct omi_memtable **mems; /* the log, of a rebuild */
    uint32_t mem_count, mem_capacity;
};

/* A line for the report; counts as a problem. */
void omi_repair_tell(struct omi_repair *rp, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* "'6b6579...'": hex, cut at 32 bytes. */
enum { OMI_KEY_TEXT_BYTES = 80 };
const char *omi_repair_key(omen_slice key, char text[static OMI_KEY_TEXT_BYTES]);
/* NULL: not there. */
struct omi_repair_file *omi_repair_find(const struct omi_repair *rp, const char *name);
/* To be renamed at the end. */
void omi_repair_set_aside(struct omi_repair *rp, struct omi_repair_file *file);

/* ---- repair_state.c ---- */
OMEN_MUST_CHECK omen_err omi_repair_survey(struct omi_repair *rp);
/* The state that the best manifest tells, into rp->replay; or that it is to be rebuilt. */
OMEN_MUST_CHECK omen_err omi_repair_read_manifest(struct omi_repair *rp);

/* ---- repair_table.c ---- */
/* Sound tables go to rp->tables, the others to rp->items. */
OMEN_MUST_CHECK omen_err omi_repair_look_at_tables(struct omi_repair *rp);
/* Each item's readable entries into tables of the same run. */
OMEN_MUST_CHECK omen_err omi_repair_write_items(struct omi_repair *rp);
/* Everything readable into one run. */
OMEN_MUST_CHECK omen_err omi_repair_write_rebuilt(struct omi_repair *rp);

/* ---- repair_log.c ---- */
OMEN_MUST_CHECK omen_err omi_repair_look_at_log(struct omi_repair *rp);
/* The log's operations into level-1 runs, or into rp->mems for a rebuild. */
OMEN_MUST_CHECK omen_err omi_repair_replay_log(struct omi_repair *rp, struct omi_wal_recovery *wr);

#endif

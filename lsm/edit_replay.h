/*
 * edit_replay.h - what opening and repair share: the manifest's edits summed up into one placement of
 * tables, and the log's operations turned into level-1 runs.
 */
#ifndef OMI_EDIT_REPLAY_H
#define OMI_EDIT_REPLAY_H

#include "lsm/db.h"
#include "lsm/live_set.h"

struct omi_replay {
    omen_db *db;              /* its counters rise with the edits' */
    struct omi_live_set live; /* all edits so far, as one placement: applied once at the end */
    struct omi_buf options;
    uint64_t last_seq, durable_seq, log_floor;
    bool have_identity;
    uint64_t edits;
};
void omi_replay_init(struct omi_replay *r, omen_db *db);
/* For omi_manifest_read; ctx is a struct omi_replay. */
OMEN_MUST_CHECK omen_err omi_replay_edit(void *replay, struct omi_edit *edit);
/* Stored options under the given ones; then everything is decided. */
OMEN_MUST_CHECK omen_err omi_replay_settle(struct omi_replay *r);
void omi_replay_fini(struct omi_replay *r);

struct omi_log_replay {
    omen_db *db;             /* db->active takes the operations */
    struct omi_edit flushed; /* tables written from full memtables */
};
/* For omi_wal_recover; ctx is a struct omi_log_replay. */
OMEN_MUST_CHECK omen_err omi_log_replay_entry(void *replay, const struct omi_entry *entry);
/* The active memtable becomes a run of level 1; a new one takes its place. */
OMEN_MUST_CHECK omen_err omi_log_replay_flush(struct omi_log_replay *l);

#endif

/*
 * space.h - room on the disk: writes stop at a reserve, while what was taken can still be flushed,
 * and come back by themselves.
 *
 * Low:    free space fell below the reserve, or a write met a full disk. Writes answer OMEN_FULL,
 *         reads go on, flushes and merges that fit go on. Over once twice the reserve is free.
 * Held:   RESERVE, a file of the reserve's size without content, once the tables take HOLD_TIMES as
 *         much; given up when a flush, a merge or the log meets a full disk all the same (somebody
 *         else fills it), made again when the disk is no longer low.
 * Where the file system does not say what is free, or has no preallocation, there is less of it.
 * Threads: admit and look under db->commit; the rest from any thread.
 */
#ifndef OMI_SPACE_H
#define OMI_SPACE_H

#include "io/base/fail.h"

#include <stdatomic.h>
#include <stdbool.h>

struct omen_db;

struct omi_space {
    uint64_t reserve_bytes;  /* 0: no reserve, every write tries its luck */
    uint64_t unlooked_bytes; /* written since the free space was looked at; under commit */
    uint64_t next_look_ns;   /* while low, at most so often; under commit */
    _Atomic uint64_t low_count;
    _Atomic bool low, held;
};

/* Decides the reserve from the settings and what is free, and removes a RESERVE left before: what
 * opening writes may need it. */
void omi_space_begin(struct omen_db *db);
/* Before a write of bytes: OMEN_FULL while low. */
OMEN_MUST_CHECK omen_err omi_space_admit(struct omen_db *db, uint64_t bytes);
/* Looks again; also makes RESERVE when it is time. */
void omi_space_look(struct omen_db *db);
/* Somebody met a full disk. */
void omi_space_full(struct omen_db *db);
/* Before a merge that will write about bytes: OMEN_FULL when they would not fit beside a memtable. */
OMEN_MUST_CHECK omen_err omi_space_merge(struct omen_db *db, uint64_t bytes);

#endif

/*
 * filter_memory.h - the memory of filters: heads always, parts as far as filter_bytes goes.
 *
 * A part that is not there answers "maybe", is wanted from then on, and is loaded behind the readers'
 * backs: into free room, or in place of parts that nobody has used since the hand came by last.
 * Room is taken before memory is, so that the limit holds at every moment.
 * Threads: readers ask inside omi_grace_enter and leave; keeping is one thread's at a time.
 */
#ifndef OMI_FILTER_MEMORY_H
#define OMI_FILTER_MEMORY_H

#include "io/base/fail.h"
#include "io/base/grace.h"

struct omi_filter_memory {
    struct omi_grace grace;
    struct omi_mutex mu;          /* taking room */
    _Atomic uint64_t limit_bytes; /* 0: none */
    _Atomic uint32_t wanted;      /* parts asked for since the last look */
    _Atomic bool keeping;         /* somebody is */
    uint64_t hand;                /* of the keeper: where the clock stands */
    _Atomic uint64_t loads, evictions, absent, damaged;
};

void omi_filter_memory_init(struct omi_filter_memory *m);
void omi_filter_memory_fini(struct omi_filter_memory *m);

struct omen_db;
/* Brings parts in and out: at most loads of them in. */
void omi_filter_memory_keep(struct omen_db *db, uint32_t loads);
/* After a lookup, outside the grace: keeps at once where no thread does it, else wakes that one. */
void omi_filter_memory_wanted(struct omen_db *db);

#endif

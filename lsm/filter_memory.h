/*
 * filter_memory.h - the memory of filters: heads always, parts as far as filter_bytes goes.
 * Path:    table open, get, seek -> table filter -> [filter memory] <- upkeep (filter_keep.c).
 *
 * A part that is not there answers "maybe", is wanted from then on, and is loaded behind the readers'
 * backs. The limit holds at every moment: a part is counted before its memory is taken, and until its
 * last reader has left; heads come first, parts go for them, and a little room is left for heads to
 * come. Parts of old versions' tables, which iterators may hold, count and go like others.
 *
 * What stays is decided by a clock. Its turns are counted in answers that were missing, not in time,
 * so that it is the same for a slow load and a fast one. A part goes for another only if nobody asked
 * it for two turns, and the other was asked for several times in one: where all parts are asked
 * evenly, those that are there stay.
 *
 * Units:   bytes as omi_extent_charge counts them.
 * Threads: readers ask inside omi_grace_enter and leave. Parts come and go under mu, which is held
 *          over no I/O; only the grace's lock is taken inside. A table's parts are loaded by who opens
 *          it, later by who has set keeping.
 */
#ifndef OMI_FILTER_MEMORY_H
#define OMI_FILTER_MEMORY_H

#include "io/base/grace.h"
#include "memtier/extent.h"

struct omi_table;

enum omi_filter_call {
    OMI_FILTER_CALL_NONE,
    OMI_FILTER_CALL_RAISED, /* something that is wanted may come in */
    OMI_FILTER_CALL_TOLD    /* and the upkeep thread has been woken */
};

struct omi_filter_memory {
    struct omi_grace grace;
    struct omi_mutex mu;
    _Atomic uint64_t limit_bytes; /* 0: none */
    _Atomic uint64_t live_bytes;  /* heads and parts, less what is only kept for its readers */
    _Atomic uint64_t head_bytes;
    _Atomic uint64_t loaded;                   /* parts that are there */
    _Atomic uint64_t loads, evictions, absent; /* absent: "maybe" for want of a part */
    _Atomic uint64_t damaged;                  /* parts that never come again */
    _Atomic uint64_t absent_at_turn;           /* when the clock last turned */
    _Atomic uint32_t call;                     /* enum omi_filter_call */
    _Atomic bool keeping;
    struct omi_table *hand; /* of the clock, in a ring of all open tables with parts; mu */
    uint32_t hand_part;
    uint64_t parts; /* of the ring; mu */
};

void omi_filter_memory_init(struct omi_filter_memory *m);
void omi_filter_memory_fini(struct omi_filter_memory *m);
/* From now on; parts above it go at once. */
void omi_filter_memory_limit(struct omi_filter_memory *m, uint64_t limit_bytes);

/* An opened table's parts take part from now on, none of them there. */
void omi_filter_memory_add(struct omi_filter_memory *m, struct omi_table *table);
/* Nobody asks it any more; its parts are freed. Not in the ring: nothing. */
void omi_filter_memory_remove(struct omi_filter_memory *m, struct omi_table *table);

/* A head's memory: parts go where it would not fit. */
OMEN_MUST_CHECK omen_err omi_filter_memory_head(struct omi_filter_memory *m,
                                                struct omi_extent_stats *extents, size_t size,
                                                struct omi_extent **extent_out);
void omi_filter_memory_head_destroy(struct omi_filter_memory *m, struct omi_extent *extent);
/* A part's, to be filled. OMEN_ABORTED: there is no room (without words). */
OMEN_MUST_CHECK omen_err omi_filter_memory_part(struct omi_filter_memory *m,
                                                struct omi_extent_stats *extents,
                                                enum omi_extent_class place, size_t size,
                                                struct omi_extent **extent_out);
struct omi_table_part;
/* The part answers from bytes, inside extent. */
void omi_filter_memory_publish(struct omi_filter_memory *m, struct omi_table_part *part,
                               struct omi_extent *extent, const uint8_t *bytes);
/* It moves to the class, with its bytes. OMEN_ABORTED: it is not there, or there is no room. */
OMEN_MUST_CHECK omen_err omi_filter_memory_move(struct omi_filter_memory *m,
                                                struct omi_table_part *part,
                                                enum omi_extent_class to, uint64_t *moved_bytes);
/* If its memory is damaged it is as if it had been evicted. True: it was. */
bool omi_filter_memory_drop_damaged(struct omi_filter_memory *m, struct omi_table_part *part);
/* Something is to be done: the keeper is called after the lookup. */
void omi_filter_memory_call(struct omi_filter_memory *m);
/* A reader missed a part of size. */
void omi_filter_memory_missed(struct omi_filter_memory *m, struct omi_table_part *part,
                              uint64_t size);

/* Unused parts go until one of size fits; false: there are too few. */
bool omi_filter_memory_make_room(struct omi_filter_memory *m, size_t size);
/* When a turn is over, all use is counted anew. */
bool omi_filter_memory_turn(struct omi_filter_memory *m);

/* ---- filter_keep.c ---- */
struct omen_db;
/* Loads what is wanted and fits, at most loads of them. True: there may be more. */
bool omi_filter_memory_keep(struct omen_db *db, uint32_t loads);
/* After a lookup, outside the grace: if something is wanted, loads a part where no thread does it, else
 * wakes that one. */
void omi_filter_memory_wanted(struct omen_db *db);

#endif

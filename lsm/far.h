/*
 * far.h - where filters and models lie: the last level's in far memory, if there is some, the others and
 * the busiest near.
 * Path:    open -> [far] -> tier (memtier/tier.h); install, get, upkeep -> [far] -> table_filter, table_model.
 *
 * Born:    a table of the last level far, any other near. Heads of filters, range
 *          filters, users' filters, and what of an index is searched are always near.
 * Heat:    sampled lookups that came to a table, halved every tick; a merge's outputs begin with the mean
 *          of the inputs that they overlap, so that a merge does not chill what was busy.
 * Tick:    each second, or without an upkeep thread each TICK_LOOKUPS lookups: who lies wrongly for its
 *          level moves; of the last level's tables, those with the most heat a byte move near, as far as
 *          near_model_bytes goes. One that is near stays against one twice as warm, and a little; no more
 *          than MOVE_BYTES a tick.
 * Room:    far bytes are not charged to memory_bytes: the cache gets what they leave.
 * Damage:  lookups that met damaged far memory helped themselves and have called: omi_far_repair reads it
 *          again from the files.
 * Threads: any; one at a time moves and repairs, another goes away at once.
 */
#ifndef OMI_FAR_H
#define OMI_FAR_H

#include "lsm/db.h"
#include "memtier/tier.h"

/* As the settings say, before the first table is opened. Lack of far memory is told to the log, and no
 * error. */
OMEN_MUST_CHECK omen_err omi_far_open(omen_db *db);
/* After the last table and extent. */
void omi_far_close(omen_db *db);

/* ---- for lookups; only where db->tenv.far ---- */
/* What was found out before the lookup: of the oldest run that it may come to. */
struct omi_far_way {
    const struct omi_run_view *run; /* NULL: nothing */
    int64_t at;                     /* as omi_run_find */
    struct omi_table_ahead ahead;   /* table NULL: it is not far */
};
/* Inside the grace: what a lookup of key may read of far memory is on its way from here on. */
void omi_far_ahead(omen_db *db, const struct omi_version *version, omen_slice key, uint64_t hash,
                   struct omi_far_way *way_out);
/* omi_run_find, found already or not. */
static inline int64_t omi_far_run_find(const struct omi_far_way *way,
                                       const struct omi_run_view *run,
                                       const struct omi_order *order, omen_slice key)
{
    return way->run == run ? way->at : omi_run_find(run, order, key);
}
/* The stripe's count of lookups was n and has grown by count: a tick, where no thread makes it. */
void omi_far_looked_up(omen_db *db, uint64_t n, uint64_t count);

/* ---- keeping ---- */
void omi_far_tick(omen_db *db);
/* If a reader has called: true, something was repaired. */
bool omi_far_repair(omen_db *db);
/* next is base after edit, and not yet read by anybody. */
void omi_far_inherit(const struct omi_version *base, const struct omi_edit *edit,
                     struct omi_version *next);

/* ---- far_stats.c ---- */
uint32_t omi_far_kind(enum omi_far_mode mode); /* omen_far */
void omi_stats_far(omen_db *db, struct omen_stats *s);
void omi_stats_table_far(const struct omi_table *t, struct omen_table_info *out);

#endif

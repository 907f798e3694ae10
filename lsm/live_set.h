/*
 * live_set.h - the tables that a manifest's edits leave, by number, while it is replayed.
 * A hash from number to place: a manifest may be long, and what it says is not to be trusted, so
 * finding a table must not mean looking at all of them, whatever their numbers.
 * Owner: the set owns the properties of its tables. Threads: one.
 */
#ifndef OMI_LIVE_SET_H
#define OMI_LIVE_SET_H

#include "lsm/manifest.h"

struct omi_live_set {
    struct omi_edit tables; /* its added ones, in no order */
    uint32_t *slots;        /* places in tables.added plus 1, by a hash of the number; 0: empty */
    uint32_t slot_count;    /* 0, or a power of two, twice the tables at least */
    uint64_t seed;          /* of the hash: something that whoever wrote the manifest cannot know */
};
/* Zero-initialise, but for the seed, before use. */
void omi_live_set_fini(struct omi_live_set *set);
/* Takes file's properties over on OMEN_OK. OMEN_CORRUPT: the number is there. */
OMEN_MUST_CHECK omen_err omi_live_set_add(struct omi_live_set *set, struct omi_edit_file *file);
/* OMEN_CORRUPT: it is not there, or not where it is to be moved from. */
OMEN_MUST_CHECK omen_err omi_live_set_remove(struct omi_live_set *set, uint64_t number);
OMEN_MUST_CHECK omen_err omi_live_set_move(struct omi_live_set *set,
                                           const struct omi_edit_move *move);

#endif

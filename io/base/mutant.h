/*
 * mutant.h - bugs planted by hand, to prove that the tests would find them. Only in builds with
 * -DOMI_MUTANTS_BUILD; OMENDB_MUTANT=n in the environment switches one on. Elsewhere OMI_MUTANT is
 * 0. `make mutants` runs the list and says which test found each.
 */
#ifndef OMI_MUTANT_H
#define OMI_MUTANT_H

enum omi_mutant {
    OMI_MUTANT_NONE,
    OMI_MUTANT_NO_DIR_SYNC,         /* new tables' names are not made durable */
    OMI_MUTANT_NO_TABLE_SYNC,       /* new tables' data is not made durable */
    OMI_MUTANT_ACK_BEFORE_SYNC,     /* a sync write returns before the log is durable */
    OMI_MUTANT_LOG_GONE_EARLY,      /* log segments go before the manifest says so */
    OMI_MUTANT_NO_MANIFEST_SYNC,    /* edits are appended, not synced */
    OMI_MUTANT_DELETE_RESURRECTED,  /* deletes are dropped though older runs hold the key */
    OMI_MUTANT_SNAPSHOT_IGNORED,    /* merges drop versions that a snapshot needs */
    OMI_MUTANT_SNAPSHOT_TOO_NEW,    /* a snapshot reads later writes */
    OMI_MUTANT_FLUSHED_TOO_HIGH,    /* recovery skips an operation that no table holds */
    OMI_MUTANT_FRAME_UNCHECKED,     /* a log frame's check is not compared */
    OMI_MUTANT_BLOCK_UNCHECKED,     /* a block's check is not compared */
    OMI_MUTANT_FILTER_LOSES_KEYS,   /* a filter answers no for some keys it holds */
    OMI_MUTANT_KNOT_OFF_BY_ONE,     /* a lookup names the block before */
    OMI_MUTANT_RECORD_TWICE,        /* a manifest record's tables enter the tree twice */
    OMI_MUTANT_TORN_BATCH,          /* recovery leaves operations of a batch out */
    OMI_MUTANT_READ_ERROR_IS_END,   /* a log that cannot be read counts as empty */
    OMI_MUTANT_SYNC_ERROR_LOST,     /* a failed sync of the log is reported as done */
    OMI_MUTANT_CUT_WITHIN_KEY,      /* tables of a run are cut between versions of a key */
    OMI_MUTANT_APPEND_GOES_ON,      /* frames follow one that could not be written */
    OMI_MUTANT_NO_LOG_NAME_SYNC,    /* a new log segment's name is not made durable */
    OMI_MUTANT_FILTER_DENIES_KEYS,  /* a deny list is not compared with the keys */
    OMI_MUTANT_SHORT_KEY_PREFIX,    /* keys shorter than a filter's prefixes are not looked for */
    OMI_MUTANT_PART_GONE_IS_NO,     /* a filter without its part says no instead of maybe */
    OMI_MUTANT_PART_UNCHECKED,      /* the check of a filter's part is not compared */
    OMI_MUTANT_RANGE_END_EXCLUSIVE, /* a range filter leaves out the end of what it is asked */
    OMI_MUTANT_PARKED_KEY_MISSED,   /* a scan does not ask parked runs for the key it shows */
    OMI_MUTANTS
};

#ifdef OMI_MUTANTS_BUILD
int omi_mutant_is(enum omi_mutant m);
#define OMI_MUTANT(m) omi_mutant_is(m)
#else
#define OMI_MUTANT(m) 0
#endif

#endif

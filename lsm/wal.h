/*
 * wal.h - the write-ahead log: segments of checked, chained frames, one frame per write group.
 * Path:    omen_put -> [log] -> memtable -> flush -> table. Bytes: docs/format-wal.md
 *
 * Files NNNNNN.log are slots; the segment number in the header, not the name, orders them. Each
 * activation of a slot has a random nonce; a frame is hashed with XXH3 seeded by the nonce, carries
 * the hash of the frame before it (the first frame of a segment: the last hash of the segment
 * before) and the length of this segment already known to be durable. So: stale bytes of a recycled
 * slot, a cut at a frame boundary and a missing segment are all noticed. Durability: the header is
 * synced, and the directory, before the first frame of a segment counts as synced; a sync covers
 * older needed segments first. A failed fdatasync or append seals the log for ever: later calls
 * return OMEN_READ_ONLY with the first failure's words; never retried. Errors:  a failed append
 * returns OMEN_UNKNOWN (the frame may be there after reopening), or OMEN_FULL when the disk is full:
 * the frame is cut off again, the log goes on in another segment. Threads: append: one at a time (holds
 * db->commit). omi_wal_sync: any number, beside appends; they share one fdatasync. A lone caller
 * syncs itself.
 */
#ifndef OMI_WAL_H
#define OMI_WAL_H

#include "io/base/buf.h"
#include "io/base/entry.h"
#include "io/env.h"

/* The operations of one write, encoded once, by the batch: op count and bytes. An operation is
 * type u8, namespace varint (0), key size varint, [value size varint], key, [value]. */
struct omi_ops {
    const uint8_t *bytes;
    size_t size;
    uint32_t count;
};
/* Appends one operation in that form. type: OMI_KIND_PUT or OMI_KIND_DELETE (value ignored). */
OMEN_MUST_CHECK omen_err omi_ops_append(struct omi_buf *out, unsigned type, omen_slice key,
                                        omen_slice value);
/* Walks operations that may be any bytes: each gets entry (trailer seq counted up from first_seq).
 * OMEN_CORRUPT when they do not parse or do not count to ops->count; OMEN_UNSUPPORTED for an
 * unknown type or a namespace other than 0. An error from each stops. */
OMEN_MUST_CHECK omen_err omi_ops_each(const struct omi_ops *ops, uint64_t first_seq,
                                      omen_err (*each)(void *ctx, const struct omi_entry *entry),
                                      void *ctx);

struct omi_wal;

struct omi_wal_params {
    uint64_t (*next_number)(void *ctx); /* of the next slot file */
    void *number_ctx;
    uint64_t segment; /* of the first segment to activate */
    uint64_t chain;   /* last hash of the segment before; 0 at the start of a history */
};

/* Creates and activates a first segment: on return its header and name are durable. */
OMEN_MUST_CHECK omen_err omi_wal_create(struct omi_dir *dir, const struct omi_wal_params *params,
                                        struct omi_wal **wal_out);
/* Syncs what is not synced (error reported), closes. Files stay. OMEN_READ_ONLY when the log was
 * sealed before everything in it was durable. */
OMEN_MUST_CHECK omen_err omi_wal_close(struct omi_wal *wal);

/* One frame with ops whose first operation has first_seq. position_out: what omi_wal_sync needs to
 * make it durable. */
OMEN_MUST_CHECK omen_err omi_wal_append(struct omi_wal *wal, uint64_t first_seq,
                                        const struct omi_ops *ops, uint64_t *position_out);
/* Everything up to position is durable on return. position UINT64_MAX: all appended so far. */
OMEN_MUST_CHECK omen_err omi_wal_sync(struct omi_wal *wal, uint64_t position);
/* Switches to a new segment (at a memtable rotation): later frames go there. The old one is synced
 * no later than the next sync. */
OMEN_MUST_CHECK omen_err omi_wal_rotate(struct omi_wal *wal);
/* Makes the active segment's header and name durable, so that the manifest may name it as the
 * lowest needed one. Does not sync older segments: they are about to be released. */
OMEN_MUST_CHECK omen_err omi_wal_settle(struct omi_wal *wal);
uint64_t omi_wal_segment(const struct omi_wal *wal);       /* the active one */
uint64_t omi_wal_slot(const struct omi_wal *wal);          /* its file's number */
uint64_t omi_wal_segment_bytes(const struct omi_wal *wal); /* appended to the active one */
uint64_t omi_wal_bytes(const struct omi_wal *wal);         /* appended in all */
uint64_t omi_wal_syncs(const struct omi_wal *wal);
/* Deletes the files of segments below floor; the manifest edit that says so is already durable. */
OMEN_MUST_CHECK omen_err omi_wal_release(struct omi_wal *wal, uint64_t floor);
bool omi_wal_sealed(const struct omi_wal *wal);
/* OMEN_OK, or why the log is sealed. */
OMEN_MUST_CHECK omen_err omi_wal_status(const struct omi_wal *wal);

/* ---- recovery ---- */

struct omi_wal_recovery {
    uint64_t floor;                 /* in: lowest segment still needed; lower ones are ignored */
    uint64_t flushed_seq;           /* in: operations with seq <= this are skipped */
    uint64_t last_seq;              /* out: of the last operation found (or flushed_seq) */
    uint64_t next_segment, chain;   /* out: for omi_wal_params */
    uint64_t operations, cut_bytes; /* out: replayed; dropped as unsynced tail */
    uint64_t files;                 /* out */
};
/* Reads all .log files of dir, in segment order, and hands every operation in seq order to each.
 * At the first bad frame: if a later valid frame of this segment or a later segment proves that
 * synced data is damaged: OMEN_CORRUPT naming file and offset. If none does, it is an unsynced
 * tail: cut there, counted, and everything after it in order is dropped. A read error is never the
 * end of the log. */
OMEN_MUST_CHECK omen_err omi_wal_recover(struct omi_dir *dir, struct omi_wal_recovery *recovery,
                                         omen_err (*each)(void *ctx, const struct omi_entry *entry),
                                         void *ctx);
/* What is known of one segment of a damaged log. */
struct omi_segment_verdict {
    const char *name; /* NULL: there is no such file */
    uint64_t segment, bytes;
    uint64_t absent;      /* so many segments from this one on, when name is NULL */
    bool headless;        /* no header: nothing in it can be checked */
    uint64_t damaged_off; /* the first bad place, when lost_bytes is not 0 */
    uint64_t lost_bytes;  /* that belong to no whole frame */
    uint64_t operations;  /* handed out */
    uint64_t missing;     /* operations between the whole frames that no frame holds */
    uint64_t missing_first_seq, missing_last_seq; /* they lie within these */
};
struct omi_wal_salvage {
    bool flushed_known; /* in: an operation right behind flushed_seq is to be expected */
    void (*verdict)(void *ctx, const struct omi_segment_verdict *v); /* one a segment */
    void *verdict_ctx;
};
/* For repair, where omi_wal_recover answers OMEN_CORRUPT: hands out every operation of every whole
 * frame whose sequence number goes up, behind damage too. cut_bytes: what belongs to no such frame. */
OMEN_MUST_CHECK omen_err omi_wal_salvage(struct omi_dir *dir, struct omi_wal_recovery *recovery,
                                         const struct omi_wal_salvage *salvage,
                                         omen_err (*each)(void *ctx, const struct omi_entry *entry),
                                         void *ctx);
/* Is there a file with this segment's header? */
OMEN_MUST_CHECK omen_err omi_wal_holds(struct omi_dir *dir, uint64_t segment, bool *there_out);
/* After recovered operations are durable in tables: deletes all .log files with a segment below
 * floor, or that hold no valid header, but not the one numbered slot: it is being written. */
OMEN_MUST_CHECK omen_err omi_wal_remove_below(struct omi_dir *dir, uint64_t floor, uint64_t slot);
/* For omen_checkpoint: copies the segments >= floor up to the present append position into to. */
OMEN_MUST_CHECK omen_err omi_wal_copy(struct omi_wal *wal, struct omi_dir *from, struct omi_dir *to,
                                      uint64_t floor);

#endif

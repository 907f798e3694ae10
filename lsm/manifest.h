/*
 * manifest.h - MANIFEST-NNNNNN: the append-only record of the tree; CURRENT names the live one.
 * Bytes: docs/format-manifest.md
 *
 * A manifest starts with a snapshot edit (the whole state); every later edit is a change. Records
 * are checked with XXH3 seeded by the manifest's random id, numbered and length-framed. Never
 * appended to by a later process: each open writes a new manifest (written, synced; CURRENT.tmp
 * written, synced, renamed; directory synced; then old ones deleted). Errors: after a failed append
 * or sync nothing is deleted and the handle is sealed (OMEN_READ_ONLY). Threads: one at a time
 * (holds db->install).
 */
#ifndef OMI_MANIFEST_H
#define OMI_MANIFEST_H

#include "compaction/shape.h"
#include "io/base/buf.h"
#include "io/env.h"
#include "lsm/table.h"

struct omi_edit_file { /* a table entering the tree */
    uint32_t level;
    uint64_t age, number;
    struct omi_table_props props; /* owned by the edit until taken */
};
struct omi_edit_removal {
    uint32_t level;
    uint64_t age, number;
};
struct omi_edit_move { /* a table changing its run by metadata alone */
    uint32_t from_level, to_level;
    uint64_t from_age, to_age, number;
};

enum {                              /* omi_edit.has */
       OMI_EDIT_IDENTITY = 1u << 0, /* comparator, filter_policy, features */
       OMI_EDIT_COUNTERS = 1u << 1, /* next_number, next_age, last_seq */
       OMI_EDIT_FLUSHED = 1u << 2,  /* flushed_seq, log_floor */
       OMI_EDIT_SHAPE = 1u << 3,
       OMI_EDIT_OPTIONS = 1u << 4,  /* options text */
       OMI_EDIT_LIFETIME = 1u << 5, /* lifetime counters, opaque bytes of stats.c */
       OMI_EDIT_DURABLE = 1u << 6   /* durable_seq */
};

struct omi_edit {
    uint32_t has;
    /* identity; bytes owned by the edit */
    struct omi_buf comparator, filter_policy;
    uint64_t features_compatible, features_read_only, features_incompatible;
    /* counters */
    uint64_t next_number, next_age, last_seq;
    /* flushed: operations with seq <= flushed_seq are in tables; segments below log_floor are not
     * needed */
    uint64_t flushed_seq, log_floor;
    /* operations with seq <= durable_seq are in tables or in the log: a log that ends before has
     * lost something */
    uint64_t durable_seq;
    struct omi_shape shape;
    uint64_t shape_fixed;   /* bit per live option: set by the user, not by a tuner */
    struct omi_buf options; /* "name=value\n" lines */
    struct omi_buf lifetime;
    struct omi_edit_removal *removed;
    uint32_t removed_count, removed_capacity;
    struct omi_edit_file *added;
    uint32_t added_count, added_capacity;
    struct omi_edit_move *moved;
    uint32_t moved_count, moved_capacity;
};
void omi_edit_fini(struct omi_edit *edit); /* zero-initialise before use */
/* Takes props over (its buffers) on OMEN_OK. */
OMEN_MUST_CHECK omen_err omi_edit_add(struct omi_edit *edit, uint32_t level, uint64_t age,
                                      uint64_t number, struct omi_table_props *props);
OMEN_MUST_CHECK omen_err omi_edit_remove(struct omi_edit *edit, uint32_t level, uint64_t age,
                                         uint64_t number);
OMEN_MUST_CHECK omen_err omi_edit_move(struct omi_edit *edit, const struct omi_edit_move *move);
/* To and from a record's payload; decode takes bytes that may be anything. Unknown compatible
 * fields are skipped by their length, unknown others are OMEN_UNSUPPORTED. Namespace id 0 is
 * written with every file. */
OMEN_MUST_CHECK omen_err omi_edit_encode(const struct omi_edit *edit, struct omi_buf *out);
OMEN_MUST_CHECK omen_err omi_edit_decode(const uint8_t *bytes, size_t size, const char *where,
                                         struct omi_edit *edit_out);

struct omi_manifest;

/* Writes MANIFEST-number with snapshot as its first record and makes CURRENT name it, durably. */
OMEN_MUST_CHECK omen_err omi_manifest_create(struct omi_dir *dir, uint64_t number,
                                             const struct omi_edit *snapshot,
                                             struct omi_manifest **manifest_out);
OMEN_MUST_CHECK omen_err omi_manifest_close(struct omi_manifest *manifest);
/* Appends and syncs; on OMEN_OK the edit is durable. When nothing was written, or a full disk cut
 * the record and it could be taken off again, the manifest goes on; else it is sealed. */
OMEN_MUST_CHECK omen_err omi_manifest_append(struct omi_manifest *manifest,
                                             const struct omi_edit *edit);
bool omi_manifest_sealed(const struct omi_manifest *manifest);
/* The number in CURRENT. */
OMEN_MUST_CHECK omen_err omi_manifest_current(struct omi_dir *dir, uint64_t *number_out);
uint64_t omi_manifest_bytes(const struct omi_manifest *manifest);
uint64_t omi_manifest_number(const struct omi_manifest *manifest);
/* Reads CURRENT and the manifest it names; each record's edit goes to each, in order, the snapshot
 * first. A torn last record (unsynced tail) is dropped; a bad record before a valid one is
 * OMEN_CORRUPT. OMEN_NOT_FOUND: no CURRENT (a new directory). number_out: the manifest's. */
OMEN_MUST_CHECK omen_err omi_manifest_read(struct omi_dir *dir,
                                           omen_err (*each)(void *ctx, struct omi_edit *edit),
                                           void *ctx, uint64_t *number_out);
/* For repair: reads manifest number as far as it can be read, whatever CURRENT says. An error is the
 * same as reading's, after the edits before the damage; complete_out: each got every edit, so that
 * only the header is damaged. OMEN_NOT_FOUND: no such file. */
OMEN_MUST_CHECK omen_err omi_manifest_salvage(struct omi_dir *dir, uint64_t number,
                                              omen_err (*each)(void *ctx, struct omi_edit *edit),
                                              void *ctx, bool *complete_out);

#endif

/*
 * telemetry.h - what is asked of the database of late, in windows: operations by kind, scan lengths,
 * skew and hot keys, and how many blocks a cache of any size would miss.
 * Path:    get, scan, put -> [telemetry] -> omen_get_telemetry, the file TELEMETRY. Bytes:
 *          docs/format-telemetry.md
 *
 * Windows are differences of the engine's counters (counters.h), so that nothing but those is touched
 * on the hot paths. One operation in 64 also leaves its key, and one block in 16 to 256 (by hash) its
 * name, in the stripe of its thread; full stripes are emptied into what all share.
 * Hot keys: hot_keys.h; skew is the slope of log frequency over log rank.
 * Aging:    counts of keys and reuses are halved every OMI_TELEMETRY_HALVE windows.
 * Units:    shares in thousandths where they are stored; times in us.
 * Threads:  recording from any thread, each into its stripe; the rest from any thread too.
 */
#ifndef OMI_TELEMETRY_H
#define OMI_TELEMETRY_H

#include "lsm/counters.h"
#include "lsm/hot_keys.h"
#include "lsm/reuse.h"

enum { OMI_TELEMETRY_OPS = 10000, OMI_TELEMETRY_US = 1000000, OMI_TELEMETRY_HALVE = 16 };

/* All that is kept, and saved. */
struct omi_telemetry_image {
    uint32_t window_count;
    uint64_t windows_ended;                /* ever: those kept are the last of them */
    omen_window windows[OMEN_WINDOWS_MAX]; /* oldest first */
    struct omi_hot_top hot;
    struct omi_reuse_curve curve;
};

struct omi_telemetry;

/* every_bits: one block in 2^every_bits is followed. */
OMEN_MUST_CHECK omen_err omi_telemetry_create(uint32_t every_bits, struct omi_telemetry **out);
void omi_telemetry_destroy(struct omi_telemetry *t); /* NULL is fine */
uint64_t omi_telemetry_bytes(void);

/* A sampled operation on key: one in 64 of lookups and writes alike. */
void omi_telemetry_key(struct omi_telemetry *t, unsigned stripe, omen_slice key, uint64_t hash);
uint32_t omi_telemetry_every_bits(const struct omi_telemetry *t);
/* Is a block with this hash one of those followed? */
static inline bool omi_telemetry_follows(uint32_t every_bits, uint64_t block_hash)
{
    return every_bits == 0 || block_hash >> (64 - every_bits) == 0;
}
/* It was asked for. */
void omi_telemetry_block(struct omi_telemetry *t, unsigned stripe, uint64_t block_hash,
                         uint32_t bytes);
/* A flush wrote keys from smallest to largest, in bytewise order. */
void omi_telemetry_flushed(struct omi_telemetry *t, omen_slice smallest, omen_slice largest);
/* Rises with all that is kept: has anything come since? */
uint64_t omi_telemetry_recorded(struct omi_telemetry *t);

/* Below, now holds the handle's counters of now, as the counts of a window; began_us: the date, us: of
 * a clock that never goes back. */

/* The first window begins. */
void omi_telemetry_begin(struct omi_telemetry *t, const omen_window *now);
/* Ends the running window if it has operations enough and is min_us old; true if it did. */
bool omi_telemetry_tick(struct omi_telemetry *t, const omen_window *now, uint64_t min_us);
/* What is kept, stripes emptied; and the running window. */
void omi_telemetry_copy(struct omi_telemetry *t, const omen_window *now,
                        struct omi_telemetry_image *out, omen_window *running_out);
/* Puts in what was saved; before anything is recorded. */
void omi_telemetry_restore(struct omi_telemetry *t, const struct omi_telemetry_image *image);

uint64_t omi_window_ops(const omen_window *w);
/* more comes after to. */
void omi_window_add(omen_window *to, const omen_window *more);

#endif

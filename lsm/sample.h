/*
 * sample.h - what is asked of the database: one in 64 lookups and scans, remembered.
 * Path:    get, multi_get, scan -> [sample] -> filter_params.c plans filters from it.
 *
 * A ring of the newest sampled lookups (head of the key, hash, where it was found) and one of scans
 * (first and last key), in memory that is charged to the budget; saved lazily to the file SAMPLE
 * (sample_file.h), whose loss harms nothing. Which lookups would have come to a file and missed
 * follows from where they were found: one found at a deeper level, or in an older run, passed every
 * file above it. One sample for the whole database, cut by key when a file is written, needs no
 * weights when files are merged.
 * Threads: recording from any thread, each into its stripe; views are immutable.
 */
#ifndef OMI_SAMPLE_H
#define OMI_SAMPLE_H

#include "io/base/sync.h"
#include "learned/filter.h"

#include <stdatomic.h>

enum { OMI_SAMPLE_MISS = 255, OMI_SAMPLE_EVERY_BITS = 6 };

struct omi_sampled_get {
    struct omi_filter_sample key;
    uint64_t age;     /* of the run where it was found */
    uint32_t arrival; /* in a view: order of age */
    uint8_t level;    /* where it was found, or OMI_SAMPLE_MISS */
};
struct omi_sampled_scan {
    uint16_t start_size, end_size; /* of the whole keys */
    uint8_t start[OMI_SAMPLE_HEAD_BYTES], end[OMI_SAMPLE_HEAD_BYTES];
    uint32_t arrival;
};

struct omi_sample;

/* gets and scans: entries of the rings. */
OMEN_MUST_CHECK omen_err omi_sample_create(uint32_t gets, uint32_t scans,
                                           struct omi_sample **sample_out);
void omi_sample_destroy(struct omi_sample *sample);
/* From now on the memory of rings and views is part of *counter. */
void omi_sample_charge(struct omi_sample *sample, _Atomic uint64_t *counter);
uint64_t omi_sample_bytes(struct omi_sample *sample);    /* of memory, the view in force included */
uint64_t omi_sample_recorded(struct omi_sample *sample); /* so far, gets and scans */
/* What the rings hold now. */
void omi_sample_held(struct omi_sample *sample, uint64_t *gets_out, uint64_t *scans_out);
/* Tests: one in 2^bits instead of 64; 0: every one. */
void omi_sample_set_every(struct omi_sample *sample, uint32_t bits);

/* Is the n-th operation of a stripe to be sampled? Scattered, so that a client's own rhythm does not
 * matter, and the same in every run. */
bool omi_sample_due(const struct omi_sample *sample, uint64_t n);

/* A lookup that went on to the tables; level and age: of the run where it was found; level
 * OMI_SAMPLE_MISS: nowhere. */
void omi_sample_get(struct omi_sample *sample, unsigned stripe, omen_slice key, uint64_t hash,
                    uint32_t level, uint64_t age);
/* A scan from start to the last key it showed (or its bound, when it came there). */
void omi_sample_scan(struct omi_sample *sample, unsigned stripe, omen_slice start, omen_slice end);

/* ---- views: the rings at some moment, sorted by key ---- */

struct omi_sample_view {
    _Atomic uint32_t refs;
    uint32_t get_count, scan_count;
    uint64_t generation;       /* rises from view to view */
    _Atomic uint64_t *charged; /* NULL: nobody counts its bytes */
    uint64_t bytes;
    double scans_per_get;
    struct omi_sampled_get *gets;   /* by key head, then arrival */
    struct omi_sampled_scan *scans; /* by start, then arrival */
};
/* The newest view; made anew when a sixteenth is new, and 64 at least. NULL when memory is short: as
 * without samples. */
struct omi_sample_view *omi_sample_view_ref(struct omi_sample *sample);
void omi_sample_view_unref(struct omi_sample_view *view);

/* The sampled lookups between smallest and largest that a file of this level and age would have been
 * asked for in vain, oldest first. out NULL: they are only counted. Free *out. */
OMEN_MUST_CHECK omen_err omi_sample_absent(const struct omi_sample_view *view, omen_slice smallest,
                                           omen_slice largest, uint32_t level, uint64_t age,
                                           struct omi_filter_sample **out, size_t *count_out);
/* How a key compares with a sampled head of a key of some size, as far as the head shows. */
int omi_sample_compare(const uint8_t *head, uint16_t size, omen_slice key);

/* ---- for saving: the rings as they are, oldest first ---- */

struct omi_sample_rings {
    struct omi_sampled_get *gets;
    struct omi_sampled_scan *scans;
    uint32_t get_count, scan_count;
};
OMEN_MUST_CHECK omen_err omi_sample_copy(struct omi_sample *sample, struct omi_sample_rings *out);
void omi_sample_rings_fini(struct omi_sample_rings *rings);
/* Puts saved entries in, as older than all that was recorded since. */
void omi_sample_restore(struct omi_sample *sample, const struct omi_sample_rings *rings);

#endif

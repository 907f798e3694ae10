/*
 * sample.h - what is asked of the database: one in 64 lookups and scans, remembered.
 * Path:    get, multi_get, scan -> [sample] -> output.c plans filters from it.
 *
 * A ring of the newest sampled lookups (head of the key, hash, where it was found) and one of scans
 * (first and last key), in memory that is charged to the budget; saved lazily to the file SAMPLE,
 * whose loss harms nothing. Which lookups would have come to a file and missed follows from where
 * they were found: one found at a deeper level, or in an older run, passed every file above it.
 * Threads: recording from any thread, each into its stripe; views are immutable.
 */
#ifndef OMI_SAMPLE_H
#define OMI_SAMPLE_H

#include "io/base/sync.h"
#include "learned/filter.h"

enum { OMI_SAMPLE_EVERY = 64, OMI_SAMPLE_MISS = 255 };

struct omi_sample;

/* entries: of each ring. */
OMEN_MUST_CHECK omen_err omi_sample_create(uint32_t entries, struct omi_sample **sample_out);
void omi_sample_destroy(struct omi_sample *sample);
uint64_t omi_sample_bytes(const struct omi_sample *sample);

/* Is the n-th operation of a stripe one of the 1 in 64? Scattered, so that a client's own rhythm
 * does not matter, and the same in every run. */
static inline bool omi_sample_due(uint64_t n)
{
    return (n * UINT64_C(0x9e3779b97f4a7c15)) >> 58 == 0;
}

/* A lookup that went on to the tables; level: where it was found, or OMI_SAMPLE_MISS. */
void omi_sample_get(struct omi_sample *sample, unsigned stripe, omen_slice key, uint64_t hash,
                    uint32_t level, uint64_t age);
/* A scan from start to the last key it showed (or its bound, if it came there). */
void omi_sample_scan(struct omi_sample *sample, unsigned stripe, omen_slice start, omen_slice end);

/* ---- views: the rings at some moment, sorted by key ---- */

struct omi_sampled_get {
    struct omi_filter_sample key;
    uint8_t level; /* where found; OMI_SAMPLE_MISS */
    uint32_t arrival;
    uint64_t age; /* of the run where found */
};
struct omi_sampled_scan {
    uint16_t start_size, end_size; /* of the whole keys */
    uint8_t start[OMI_SAMPLE_HEAD_BYTES], end[OMI_SAMPLE_HEAD_BYTES];
    uint32_t arrival;
};
struct omi_sample_view {
    _Atomic uint32_t refs;
    uint32_t get_count, scan_count;
    uint64_t generation;            /* rises with every newer view */
    struct omi_sampled_get *gets;   /* by key head, then arrival */
    struct omi_sampled_scan *scans; /* by start, then arrival */
    double scans_per_get;           /* of late */
};
/* The newest view; made anew only when enough has been recorded since. NULL when memory is short:
 * as without samples. */
struct omi_sample_view *omi_sample_view_ref(struct omi_sample *sample);
void omi_sample_view_unref(struct omi_sample_view *view);

/* The sampled lookups between smallest and largest that a file of this level and age would have been
 * asked for in vain, oldest first; free *out. */
OMEN_MUST_CHECK omen_err omi_sample_absent(const struct omi_sample_view *view, omen_slice smallest,
                                           omen_slice largest, uint32_t level, uint64_t age,
                                           struct omi_filter_sample **out, size_t *count_out);

#endif

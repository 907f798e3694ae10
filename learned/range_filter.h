/*
 * range_filter.h - "can a key of [low, high] be in this table?", without false negatives.
 * Path:    seek, next -> merge -> [range filter] -> run cursor. Bytes: docs/format-range-filter.md
 *
 * A key becomes a code (normaliser.h), a code a position, and the set of all positions is kept in
 * Elias-Fano form (elias_fano.h). Codes and positions never fall as keys rise, rounding included, so
 * a key within the bounds has its position between theirs. Three ways from code to position:
 *   EXACT   code less the smallest: dense numbers, no false answer at all
 *   SPLINE  a few straight lines along the keys' distribution, so that all stretches are equally
 *           full, and the wide gaps between keys exactly: right for scans that begin anywhere, of
 *           any length
 *   HASHED  blocks of codes scattered, order kept inside: right for scans that begin next to keys and
 *           are short (the idea of Costa, Ferragina, Vinciguerra, "Grafite: Taming Adversarial
 *           Queries with Optimal Range Filters", 2024), or not longer than the sampled scans are:
 *           these decide how many low bits of a code count for nothing
 * Keys that share a code (they differ past what 64 bits can tell) share a position.
 * Integers only: every machine builds and reads the same bytes.
 * Threads: immutable once opened.
 */
#ifndef OMI_RANGE_FILTER_H
#define OMI_RANGE_FILTER_H

#include "io/base/buf.h"
#include "learned/block_index.h"

#include <stdbool.h>

/* On disk; appended to. */
enum omi_range_kind {
    OMI_RANGE_NONE = 0, /* as a parameter: whichever fits */
    OMI_RANGE_EXACT = 1,
    OMI_RANGE_SPLINE = 2,
    OMI_RANGE_HASHED = 3
};

enum { OMI_RANGE_BITS_MIN = 4, OMI_RANGE_BITS_MAX = 24, OMI_RANGE_KEYS_MAX = 1 << 28 };

/* ---- building ---- */

struct omi_range_sample { /* a scan of late; both ends inclusive */
    omen_slice low, high;
};

struct omi_range_params {
    enum omi_range_kind kind; /* NONE: exact if that takes no more than bits; else what passes
                                 fewer of the empty samples; without samples the spline */
    uint32_t bits;            /* a key, everything included; few keys take a little more */
    uint64_t seed;            /* of HASHED; random, so that nobody can aim */
    const struct omi_range_sample *samples;
    size_t sample_count;
    uint32_t useful_permille; /* of samples must be answered "no", else nothing is built */
};

struct omi_range_info {
    enum omi_range_kind kind; /* NONE: not worth while */
    uint32_t codes;           /* distinct */
    uint32_t knots, gaps;     /* SPLINE; gaps: without keys, told exactly */
    uint32_t shift;           /* HASHED: low bits of codes left out */
    uint64_t bytes;
    uint32_t samples, empty, passed; /* samples; of them truly empty; of these not recognised */
};

/* Appends a section, or nothing (info kind NONE) when it would not be useful. keys in internal order,
 * count >= 1; versions of a key are neighbours. Every key is asked of the final bytes.
 * OMEN_INVALID for parameters, OMEN_NO_MEMORY. */
OMEN_MUST_CHECK omen_err omi_range_filter_build(const struct omi_index_key *keys, uint32_t count,
                                                const struct omi_range_params *params,
                                                struct omi_buf *out,
                                                struct omi_range_info *info_out);

/* ---- asking ---- */

/* Refers to nothing in its section, which comes with every question: it may lie elsewhere then. */
struct omi_range_filter;

/* Of bytes that may be anything. OMEN_CORRUPT, OMEN_UNSUPPORTED, OMEN_NO_MEMORY. */
OMEN_MUST_CHECK omen_err omi_range_filter_open(const uint8_t *section, size_t size,
                                               struct omi_range_filter **filter_out);
/* Are these bytes, read anew, the section that filter was opened from, and as sound? The same errors.
 */
OMEN_MUST_CHECK omen_err omi_range_filter_again(const struct omi_range_filter *filter,
                                                const uint8_t *section, size_t size);
void omi_range_filter_close(struct omi_range_filter *filter); /* NULL is fine */
size_t omi_range_filter_heap_bytes(const struct omi_range_filter *filter);
void omi_range_filter_describe(const struct omi_range_filter *filter, const uint8_t *section,
                               struct omi_range_info *info_out);
/* False: no key k of the table has low <= k <= high. NULL: open on that side; else low <= high. */
bool omi_range_filter_may_hold(const struct omi_range_filter *filter, const uint8_t *section,
                               const omen_slice *low, const omen_slice *high);
/* A key until_out such that no key k of the table has low <= k < until; one <= low when low itself may
 * be there. none_out: the table has no key >= low. low NULL: from the start. Or OMEN_NO_MEMORY. */
OMEN_MUST_CHECK omen_err omi_range_filter_free(const struct omi_range_filter *filter,
                                               const uint8_t *section, const omen_slice *low,
                                               struct omi_buf *until_out, bool *none_out);

#endif

/*
 * filter.h - the filter slot of a table: "can this key be here?" without false negatives.
 * Path:    get -> run -> [filter] -> block index -> block. Bytes: docs/format-filter.md
 *
 * Kind 1 is a blocked Bloom filter: 512-bit blocks, one cache line a probe (Putze, Sanders,
 * Singler, "Cache-, Hash- and Space-Efficient Bloom Filters", 2007). Other kinds take numbers after
 * it; a kind this build does not know answers "maybe" and is counted as UNSUPPORTED at open.
 * Threads: immutable once opened.
 */
#ifndef OMI_FILTER_H
#define OMI_FILTER_H

#include "io/base/buf.h"

#include <stdbool.h>

#define OMI_FILTER_POLICY "omendb.blocked-bloom"

/* An opened filter: a view into its section, nothing to free. */
struct omi_filter {
    const uint8_t *lines;
    uint32_t line_count; /* 0: no filter, always "maybe" */
    uint32_t probes;
};

/* Appends a filter section for count keys' hashes (omi_key_hash; duplicates allowed), bits per key
 * 1 to 64. The lines start at a multiple of 64 from the start of the section. Every hash is asked
 * again of the final bytes before it returns. */
OMEN_MUST_CHECK omen_err omi_filter_build(const uint64_t *hashes, size_t count, uint32_t bits,
                                          struct omi_buf *out);
/* Checks a section that may be anything. The bytes are borrowed, 64-byte aligned. */
OMEN_MUST_CHECK omen_err omi_filter_open(const uint8_t *section, size_t size,
                                         struct omi_filter *filter_out);

/* False: certainly absent. */
bool omi_filter_may_hold(const struct omi_filter *filter, uint64_t hash);

#endif

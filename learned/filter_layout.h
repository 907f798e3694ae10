/*
 * filter_layout.h - a filter as decided (filter_plan.h), and its bytes.
 */
#ifndef OMI_FILTER_LAYOUT_H
#define OMI_FILTER_LAYOUT_H

#include "learned/filter.h"

/* A region's class. The codes on disk: probes as they are, "no keys" neither all zeros nor all
 * ones, so that no blanked page reads as it; 0 answers "maybe". */
enum { OMI_FILTER_CLASS_MAYBE = 0, OMI_FILTER_PROBES_MAX = 14, OMI_FILTER_CLASS_NO_KEYS = 0x5a };
enum { OMI_FILTER_REGIONS_MAX = 4096, OMI_FILTER_DENIED_MAX = 256, OMI_FILTER_PARTS_MAX = 4096 };
enum { OMI_FILTER_BITS_MAX = 256 }; /* of the array, a key or prefix */

struct omi_filter_layout {
    enum omi_filter_kind kind;
    struct omi_digest digest;
    /* Ascending first digests, bounds[0] = 0, and classes. A key in a NO_KEYS region is a planner's
     * mistake: encoding answers OMEN_INVALID. */
    const uint32_t *bounds;
    const uint8_t *classes;
    uint32_t region_count; /* >= 1 */
    double bits_per_probe; /* array bits for each key and probe; ribbons ignore it */
    double more; /* ribbons: the share [0, 1) of keys with one column more than their class */
    uint32_t prefix_bytes; /* 0: no prefix layer, to OMI_SAMPLE_HEAD_BYTES */
    uint32_t prefix_probes;
    double prefix_bits; /* array bits for each distinct prefix */
    /* Absent keys to deny, those asked for most first. The first OMI_FILTER_DENIED_MAX of them enter
     * that have no key's hash and that the filter would pass. */
    const struct omi_filter_sample *deny;
    uint32_t deny_count;
    uint32_t part_bytes;         /* of a part, about; 0: one part */
    struct omi_filter_info info; /* why, samples, fpr figures, price, weight go into the header */
};

/* Appends the section and asks every key of it again; OMEN_CORRUPT when one is denied. OMEN_INVALID
 * for a layout that cannot be; OMEN_ABORTED when a ribbon has no solution. On an error out is as
 * before. */
OMEN_MUST_CHECK omen_err omi_filter_encode(const struct omi_filter_input *input,
                                           const struct omi_filter_layout *layout,
                                           struct omi_buf *out, struct omi_filter_info *info_out);

#endif

/*
 * sample_file.h - the file SAMPLE: what was asked of late, for the next process. Its loss or damage
 * harms nothing, so nothing about it is ever an error of the database. Bytes: docs/format-sample.md
 */
#ifndef OMI_SAMPLE_FILE_H
#define OMI_SAMPLE_FILE_H

#include "io/base/buf.h"
#include "lsm/sample.h"

/* What was counted of one table by sampled lookups. */
struct omi_table_counts {
    uint64_t number;
    uint32_t probes, negatives, false_positives;
};

struct omi_sample_image {
    struct omi_sample_rings rings;
    struct omi_table_counts *tables; /* by number, ascending */
    uint32_t table_count;
};
void omi_sample_image_fini(struct omi_sample_image *image);
OMEN_MUST_CHECK omen_err omi_sample_encode(const struct omi_sample_image *image,
                                           struct omi_buf *out);
/* Of bytes that may be anything: OMEN_CORRUPT, OMEN_UNSUPPORTED, OMEN_NO_MEMORY. */
OMEN_MUST_CHECK omen_err omi_sample_decode(const uint8_t *bytes, size_t size,
                                           struct omi_sample_image *image_out);

#endif

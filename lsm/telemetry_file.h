/*
 * telemetry_file.h - the file TELEMETRY: what was asked of late, for the next process. Its loss or
 * damage harms nothing, so nothing about it is ever an error of the database. Bytes:
 * docs/format-telemetry.md
 */
#ifndef OMI_TELEMETRY_FILE_H
#define OMI_TELEMETRY_FILE_H

#include "io/base/buf.h"
#include "lsm/telemetry.h"

OMEN_MUST_CHECK omen_err omi_telemetry_encode(const struct omi_telemetry_image *image,
                                              struct omi_buf *out);
/* Of bytes that may be anything: OMEN_CORRUPT, OMEN_UNSUPPORTED. */
OMEN_MUST_CHECK omen_err omi_telemetry_decode(const uint8_t *bytes, size_t size,
                                              struct omi_telemetry_image *image_out);

#endif

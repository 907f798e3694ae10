/*
 * trace_read.h - a recorded trace, operation by operation. Bytes: docs/format-trace.md
 * Units:   times in microseconds since the recording began, never going back.
 * Errors:  a frame that is damaged or cut off is OMEN_CORRUPT, with file and offset; what comes before
 *          it is sound. A newer format is OMEN_UNSUPPORTED.
 * Threads: one.
 */
#ifndef OMI_TRACE_READ_H
#define OMI_TRACE_READ_H

#include "io/env.h"
#include "lsm/trace_format.h"

struct omi_trace_reader;

OMEN_MUST_CHECK omen_err omi_trace_open(struct omi_env *env, const char *path,
                                        struct omi_trace_reader **out);
void omi_trace_close(struct omi_trace_reader *reader); /* NULL is fine */
/* The next operation; its key is valid until the next call. OMEN_NOT_FOUND: all are done (records no
 * words). */
OMEN_MUST_CHECK omen_err omi_trace_next(struct omi_trace_reader *reader,
                                        struct omi_trace_op *op_out);
/* Operations that were not recorded, as far as the frames read so far tell. */
uint64_t omi_trace_dropped(const struct omi_trace_reader *reader);
/* The directory that path lies in, to be closed, and the name in it. */
OMEN_MUST_CHECK omen_err omi_trace_dir(struct omi_env *env, const char *path,
                                       struct omi_dir **dir_out, const char **name_out);
uint64_t omi_trace_began_us(const struct omi_trace_reader *reader); /* since 1970, UTC */

#endif

/*
 * trace.h - recording operations into a file, one after the other, without holding anybody up.
 * Path:    get, put, scan -> [trace] -> FILE -> trace_read.h. Bytes: docs/format-trace.md
 *
 * Each stripe of threads has a buffer, stamped with times under its lock. When one is full all stripes'
 * buffers are taken away together, so that what is in them is older than all that follows, and merged
 * by time into frames of the file: by a thread that lives as long as the recording, or where there are
 * none, by the caller. While that goes on the second set of buffers fills; when that is full as well
 * operations are dropped, and counted, or wait (OMEN_TRACE_WAIT).
 * Memory:  two buffers of OMI_TRACE_BUFFER_BYTES for each stripe that is used.
 * Errors:  the first failed write ends the recording; stop tells it.
 * Locks:   start and stop come one at a time (db->tracing). Stripes in order, then the trace's own; no
 *          lock is held over I/O but that of start and stop.
 */
#ifndef OMI_TRACE_H
#define OMI_TRACE_H

#include "io/env.h"
#include "lsm/trace_format.h"

#include <stdatomic.h>

enum { OMI_TRACE_BUFFER_BYTES = 128 << 10 };

struct omi_trace;

/* Begins a recording into path. Inline: no thread of its own. */
OMEN_MUST_CHECK omen_err omi_trace_create(struct omi_env *env, const char *path, uint32_t flags,
                                          bool inline_work, struct omi_trace **out);
/* Ends it: all is in the file, synced. report may be NULL. The trace stays, for those who are about to
 * record; they record nothing. Not twice. */
OMEN_MUST_CHECK omen_err omi_trace_end(struct omi_trace *t, omen_trace_report *report);
/* After that, when nobody can be recording. NULL is fine. */
void omi_trace_destroy(struct omi_trace *t);
bool omi_trace_on(const struct omi_trace *t);
/* One operation that is over; its us, and the hash of a key that is whole, are filled in here. Without
 * locks of the database. */
void omi_trace_add(struct omi_trace *t, unsigned stripe, const struct omi_trace_op *op);

#endif

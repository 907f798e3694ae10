/*
 * tune_trace.h - recorded traces: what workload they are like, and their operations once more.
 *
 * A trace has the first 64 bytes of a key, a hash of all of it, and no values: a longer key is played
 * as those bytes and the hash, a value is as many bytes as it had.
 * Errors:  told on stderr.
 */
#ifndef OMT_TUNE_TRACE_H
#define OMT_TUNE_TRACE_H

#include "tools/tune.h"
#include "tools/tune_work.h"

/* Does the file begin as a trace does? */
bool omt_trace_is(const char *path);
/* Mix, scan lengths, entry size, skew and order as in the trace; as many entries as keys were seen, or
 * as the repeats of keys tell that there are. */
bool omt_trace_spec(const char *path, struct omi_workload *workload_out);

struct omt_trace;
bool omt_trace_open(const char *path, struct omt_trace **out);
void omt_trace_close(struct omt_trace *trace);
/* Puts the keys that the trace finds before it puts them. */
OMEN_MUST_CHECK omen_err omt_trace_load(struct omt_trace *trace, omen_db *db, uint32_t value_bytes,
                                        const volatile int *stop);
/* Up to count operations onto db; fewer: the trace is over. differ counts lookups that found what was
 * not found when recorded, or the other way. */
OMEN_MUST_CHECK omen_err omt_trace_play(struct omt_trace *trace, omen_db *db, uint64_t count,
                                        struct omt_tally *tally, uint64_t *played_out,
                                        uint64_t *differ, const volatile int *stop);

#endif

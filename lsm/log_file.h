/*
 * log_file.h - LOG, one line an event, for people; rotated to LOG.old when it is full.
 * Owner:   create gives the handle, destroy takes it back. A NULL handle swallows every line.
 * Errors:  none: the database works without its diary. Telling leaves omen_last_error as it was.
 * Threads: any; its lock is the innermost of all.
 */
#ifndef OMI_LOG_FILE_H
#define OMI_LOG_FILE_H

#include "io/env.h"
#include "lsm/omendb.h"

struct omi_log_file;
OMEN_MUST_CHECK omen_err omi_log_file_create(struct omi_env *env, struct omi_dir *dir,
                                             const omen_options *options, bool write_file,
                                             struct omi_log_file **out);
void omi_log_file_destroy(struct omi_log_file *log);
/* level: 0 error, 1 warning, 2 information. NULL log: nothing. */
void omi_say(struct omi_log_file *log, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif

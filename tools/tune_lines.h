/*
 * tune_lines.h - files of JSON lines: read whole, appended to whole lines at a time.
 * Errors:  told on stderr.
 */
#ifndef OMT_TUNE_LINES_H
#define OMT_TUNE_LINES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/json_read.h"

/* DIR/NAME into path, of 4096 bytes; false: told, too long. */
bool omt_lines_path(char path[static 4096], const char *dir, const char *name);
/* Calls line for each; a last one without its line break is torn and left out. whole_out (may be
 * NULL): bytes up to the end of the last whole line. A file that is not there has no lines. */
bool omt_lines_read(const char *path,
                    bool (*line)(void *context, const struct omt_node *node,
                                 char why[static OMT_JSON_WHY]),
                    void *context, uint64_t *whole_out);
/* Replaces the file by what write puts out: tmp and rename. */
bool omt_lines_replace(const char *path, void (*write)(void *context, FILE *out), void *context);

#endif

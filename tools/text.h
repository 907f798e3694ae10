/*
 * text.h - bytes as people read and write them: hex, escapes, base64, human units, progress.
 * Owner:   struct omt_bytes owns its memory; omt_bytes_free gives it back.
 * Errors:  running out of memory ends the program with exit code 3: a command-line tool has no
 *          caller that could go on.
 */
#ifndef OMT_TEXT_H
#define OMT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lsm/omendb.h"

void *omt_realloc(void *old, size_t bytes);

struct omt_bytes {
    char *data; /* size bytes and a NUL after them once something was appended */
    size_t size, room;
};
void omt_bytes_append(struct omt_bytes *b, const void *data, size_t size);
void omt_bytes_free(struct omt_bytes *b);
static inline omen_slice omt_bytes_slice(const struct omt_bytes *b)
{
    return (omen_slice){b->data, b->size};
}

enum omt_form {
    OMT_RAW,
    OMT_HEX,    /* 00ff41 */
    OMT_ESCAPE, /* C-like: \t \n \r \\ \xNN for what does not print */
    OMT_BASE64  /* RFC 4648 with padding; padding is optional on input */
};
/* Appends to out. Decoding: false with the reason in words when text is not of the form. */
void omt_encode(enum omt_form form, omen_slice in, struct omt_bytes *out);
bool omt_decode(enum omt_form form, const char *text, size_t size, struct omt_bytes *out,
                const char **why);
bool omt_utf8_valid(omen_slice in);

enum { OMT_HUMAN_LEN = 24 };
const char *omt_human_bytes(char out[static OMT_HUMAN_LEN], uint64_t bytes); /* "1.5 GiB" */
const char *omt_human_count(char out[static OMT_HUMAN_LEN], uint64_t count); /* "12.3 M" */

/* Bold and colour where stdout is a terminal and NO_COLOR is not set; else "". */
const char *omt_bold(void);
const char *omt_plain(void);

/* A line on stderr, rewritten in place, on a terminal only, at most five times a second. */
struct omt_progress {
    const char *what; /* "entries" */
    bool on;
    double start_s, shown_s;
};
void omt_progress_start(struct omt_progress *p, const char *what);
void omt_progress_update(struct omt_progress *p, uint64_t done, uint64_t bytes, uint64_t bytes_all);
void omt_progress_end(struct omt_progress *p);

double omt_now_s(void); /* monotonic */

#endif

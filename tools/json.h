/*
 * json.h - writes JSON to a stream: commas, indentation, escapes.
 * Every call takes the member's name, or NULL inside an array. Bytes that are no UTF-8 cannot be a
 * JSON string: omt_json_bytes writes them in base64 under NAME_base64.
 */
#ifndef OMT_JSON_H
#define OMT_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "lsm/omendb.h"

struct omt_json {
    FILE *out;
    bool lines;     /* no line breaks inside: one object a line (JSONL) */
    unsigned depth; /* open objects and arrays */
    bool more;      /* something stands before on this level */
};
void omt_json_object(struct omt_json *j, const char *name);
void omt_json_object_end(struct omt_json *j);
void omt_json_array(struct omt_json *j, const char *name);
void omt_json_array_end(struct omt_json *j);
void omt_json_text(struct omt_json *j, const char *name, const char *text);
void omt_json_bytes(struct omt_json *j, const char *name, omen_slice bytes);
void omt_json_u64(struct omt_json *j, const char *name, uint64_t v);
void omt_json_f64(struct omt_json *j, const char *name, double v, int digits);
void omt_json_bool(struct omt_json *j, const char *name, bool v);
void omt_json_end(struct omt_json *j); /* the last line break */

#endif

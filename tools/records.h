/*
 * records.h - reads key/value records from text: lines KEY<TAB>VALUE, CSV, or JSON lines.
 * Errors:  a bad record is OMT_RECORD_BAD with the reason in why; reading may go on after it.
 */
#ifndef OMT_RECORDS_H
#define OMT_RECORDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "tools/text.h"

enum omt_record_format { OMT_RECORD_LINES, OMT_RECORD_CSV, OMT_RECORD_JSONL };
enum omt_record { OMT_RECORD_OK, OMT_RECORD_END, OMT_RECORD_BAD, OMT_RECORD_IO };

struct omt_records {
    FILE *in;
    enum omt_record_format format;
    enum omt_form form;          /* of keys and values in lines and CSV, and of JSON strings */
    uint64_t line;               /* of the record read last, from 1 */
    uint64_t bytes;              /* read so far */
    const char *why;             /* of OMT_RECORD_BAD */
    struct omt_bytes key, value; /* of OMT_RECORD_OK, until the next read */
    struct omt_bytes text[2];    /* inner */
    char *buffer;                /* inner: getline's */
    size_t buffer_room;          /* inner */
    uint64_t lines_read;         /* inner */
};
enum omt_record omt_records_next(struct omt_records *r);
void omt_records_fini(struct omt_records *r);

#endif

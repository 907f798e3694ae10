/*
 * fuzz_cli.c - what the tool reads from people: keys and values in hex, escapes and base64, and
 * records as lines, CSV and JSON lines. The input: a byte of choices, then text. What was encoded
 * must decode to itself, and a record that was written must be read back.
 */
#include "tests/fuzz/fuzz.h"
#include "tools/json.h"
#include "tools/records.h"

#include <stdlib.h>
#include <string.h>

enum { RECORDS_MAX = 2000 };

static bool equal(omen_slice a, omen_slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* ---- single texts ---------------------------------------------------------------------------- */

static void round_trip(enum omt_form form, omen_slice bytes)
{
    struct omt_bytes text = {0}, again = {0};
    const char *why = NULL;
    omt_encode(form, bytes, &text);
    FUZZ_CHECK(omt_decode(form, text.data, text.size, &again, &why));
    FUZZ_CHECK(equal(bytes, omt_bytes_slice(&again)));
    omt_bytes_free(&text);
    omt_bytes_free(&again);
}

static void decode(enum omt_form form, omen_slice text)
{
    struct omt_bytes out = {0};
    const char *why = NULL;
    if (omt_decode(form, text.data, text.size, &out, &why))
        round_trip(form, omt_bytes_slice(&out));
    else
        FUZZ_CHECK(why != NULL);
    FUZZ_CHECK(out.size <= text.size);
    omt_bytes_free(&out);
}

/* ---- records --------------------------------------------------------------------------------- */

/* Everything that text holds; returns how many records were good. */
static uint64_t read_all(enum omt_record_format format, enum omt_form form, omen_slice text)
{
    struct omt_records r = {.format = format, .form = form};
    enum omt_record got = OMT_RECORD_BAD;
    uint64_t good = 0, all = 0;
    if (text.size == 0)
        return 0;
    r.in = fmemopen((void *)(uintptr_t)text.data, text.size, "r");
    FUZZ_CHECK(r.in != NULL);
    while (all < RECORDS_MAX && (got = omt_records_next(&r)) != OMT_RECORD_END) {
        FUZZ_CHECK(got == OMT_RECORD_OK || (got == OMT_RECORD_BAD && r.why != NULL));
        FUZZ_CHECK(r.bytes <= text.size && r.line >= 1 && r.line <= text.size + 1);
        good += got == OMT_RECORD_OK;
        all++;
    }
    FUZZ_CHECK(all == RECORDS_MAX || r.bytes == text.size);
    fclose(r.in);
    omt_records_fini(&r);
    return good;
}

static void expect_record(enum omt_record_format format, enum omt_form form, const char *text,
                          size_t size, omen_slice key, omen_slice value)
{
    struct omt_records r = {.format = format, .form = form};
    r.in = fmemopen((void *)(uintptr_t)text, size, "r");
    FUZZ_CHECK(r.in != NULL);
    FUZZ_CHECK(omt_records_next(&r) == OMT_RECORD_OK);
    FUZZ_CHECK(equal(omt_bytes_slice(&r.key), key) && equal(omt_bytes_slice(&r.value), value));
    FUZZ_CHECK(omt_records_next(&r) == OMT_RECORD_END);
    fclose(r.in);
    omt_records_fini(&r);
}

/* As the tool writes it: an encoded line, and a JSON line. */
static void write_and_read(enum omt_form form, omen_slice key, omen_slice value)
{
    struct omt_bytes line = {0};
    char *text = NULL;
    size_t size = 0;
    omt_encode(form == OMT_RAW ? OMT_ESCAPE : form, key, &line);
    omt_bytes_append(&line, "\t", 1);
    omt_encode(form == OMT_RAW ? OMT_ESCAPE : form, value, &line);
    omt_bytes_append(&line, "\n", 1);
    expect_record(OMT_RECORD_LINES, form == OMT_RAW ? OMT_ESCAPE : form, line.data, line.size, key,
                  value);
    omt_bytes_free(&line);
    struct omt_json json = {.out = open_memstream(&text, &size), .lines = true};
    FUZZ_CHECK(json.out != NULL);
    omt_json_object(&json, NULL);
    omt_json_bytes(&json, "key", key);
    omt_json_bytes(&json, "value", value);
    omt_json_object_end(&json);
    omt_json_end(&json);
    fclose(json.out);
    expect_record(OMT_RECORD_JSONL, OMT_RAW, text, size, key, value);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char human[OMT_HUMAN_LEN];
    if (size < 2)
        return 0;
    enum omt_form form = (enum omt_form)(data[0] & 3);
    enum omt_record_format format = (enum omt_record_format)((data[0] >> 2) % 3);
    omen_slice text = {data + 1, size - 1}, first = {data + 1, (size - 1) / 3};
    omen_slice rest = {data + 1 + first.size, text.size - first.size};
    round_trip(form, text);
    decode(form, text);
    (void)read_all(format, form, text);
    write_and_read(form, first, rest);
    FUZZ_CHECK(strlen(omt_human_bytes(human, size << (data[1] & 55))) < OMT_HUMAN_LEN);
    FUZZ_CHECK(strlen(omt_human_count(human, size << (data[1] & 55))) < OMT_HUMAN_LEN);
    return 0;
}

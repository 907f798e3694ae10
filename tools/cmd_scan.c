/* cmd_scan.c - scan, count, export: walks over key ranges. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/json.h"

/* ---- ranges ---------------------------------------------------------------------------------- */

void omt_range_free(struct omt_range *range)
{
    omt_bytes_free(&range->from_bytes);
    omt_bytes_free(&range->to_bytes);
    omt_bytes_free(&range->prefix_bytes);
}

int omt_range_walk(omen_db *db, const char *command, struct omt_range *range, enum omt_form form,
                   bool (*entry)(void *context, omen_slice key, omen_slice value), void *context)
{
    omen_read_options o = {.struct_bytes = sizeof(o), .flags = OMEN_NO_FILL_CACHE};
    if (range->from != NULL) {
        if (!omt_argument(command, form, range->from, &range->from_bytes))
            return OMT_EXIT_USAGE;
        o.flags |= OMEN_HAS_LOWER;
        o.lower = omt_bytes_slice(&range->from_bytes);
    }
    if (range->to != NULL) {
        if (!omt_argument(command, form, range->to, &range->to_bytes))
            return OMT_EXIT_USAGE;
        o.flags |= OMEN_HAS_UPPER;
        o.upper = omt_bytes_slice(&range->to_bytes);
    }
    if (range->prefix != NULL) {
        if (!omt_argument(command, form, range->prefix, &range->prefix_bytes))
            return OMT_EXIT_USAGE;
        o.flags |= OMEN_HAS_PREFIX;
        o.prefix = omt_bytes_slice(&range->prefix_bytes);
    }
    omen_iter *it = NULL;
    omen_err err = omen_iter_open(db, &o, &it);
    if (err != OMEN_OK)
        return omt_tell(command, err);
    uint64_t left = range->limit == 0 ? UINT64_MAX : range->limit;
    if (range->reverse)
        omen_iter_seek_last(it);
    else
        omen_iter_seek_first(it);
    while (left-- > 0 && omen_iter_valid(it) &&
           entry(context, omen_iter_key(it), omen_iter_value(it))) {
        if (range->reverse)
            omen_iter_prev(it);
        else
            omen_iter_next(it);
    }
    err = omen_iter_status(it);
    omen_iter_close(it);
    return err == OMEN_OK ? OMT_EXIT_OK : omt_tell(command, err);
}

/* ---- printing entries ------------------------------------------------------------------------ */

enum entry_format { FORMAT_LINES, FORMAT_JSONL, FORMAT_JSON, FORMAT_CSV };

struct entry_writer {
    FILE *out;
    enum entry_format format;
    enum omt_form form;
    bool keys_only, values_only;
    bool strict;     /* refuse what a raw line cannot hold, so that an export can be read back */
    const char *why; /* set when refused */
    struct omt_json json;
    struct omt_bytes text;
    struct omt_progress progress;
    uint64_t count, bytes;
};

static bool has_any(omen_slice s, const char *chars)
{
    for (; *chars != '\0'; chars++)
        if (s.size != 0 && memchr(s.data, *chars, s.size) != NULL)
            return true;
    return false;
}

static void csv_field(struct omt_bytes *out, enum omt_form form, omen_slice s)
{
    struct omt_bytes text = {0};
    omt_encode(form, s, &text);
    omen_slice t = omt_bytes_slice(&text);
    if (!has_any(t, "\",\r\n")) {
        omt_bytes_append(out, t.data, t.size);
    } else {
        omt_bytes_append(out, "\"", 1);
        for (size_t i = 0; i < text.size; i++) {
            omt_bytes_append(out, &text.data[i], 1);
            if (text.data[i] == '"')
                omt_bytes_append(out, "\"", 1);
        }
        omt_bytes_append(out, "\"", 1);
    }
    omt_bytes_free(&text);
}

static void entry_json(struct entry_writer *w, omen_slice key, omen_slice value)
{
    struct omt_json lines = {.out = w->out, .lines = true};
    struct omt_json *j = w->format == FORMAT_JSON ? &w->json : &lines;
    struct omt_bytes text = {0};
    omt_json_object(j, NULL);
    if (!w->values_only) {
        if (w->form != OMT_RAW) {
            omt_encode(w->form, key, &text);
            key = omt_bytes_slice(&text);
        }
        omt_json_bytes(j, "key", key);
    }
    if (!w->keys_only) {
        text.size = 0;
        if (w->form != OMT_RAW) {
            omt_encode(w->form, value, &text);
            value = omt_bytes_slice(&text);
        }
        omt_json_bytes(j, "value", value);
    }
    omt_json_object_end(j);
    if (w->format == FORMAT_JSONL)
        omt_json_end(j);
    omt_bytes_free(&text);
}

static bool entry_write(void *context, omen_slice key, omen_slice value)
{
    struct entry_writer *w = context;
    w->count++;
    w->bytes += key.size + value.size;
    omt_progress_update(&w->progress, w->count, w->bytes, 0);
    struct omt_bytes *t = &w->text;
    t->size = 0;
    switch (w->format) {
    case FORMAT_JSONL:
    case FORMAT_JSON:
        entry_json(w, key, value);
        return ferror(w->out) == 0;
    case FORMAT_CSV:
        if (!w->values_only)
            csv_field(t, w->form, key);
        if (!w->values_only && !w->keys_only)
            omt_bytes_append(t, ",", 1);
        if (!w->keys_only)
            csv_field(t, w->form, value);
        break;
    case FORMAT_LINES:
        if (w->strict && w->form == OMT_RAW && (has_any(key, "\t\n\r") || has_any(value, "\n\r"))) {
            w->why = "an entry holds a tab or line break that plain lines cannot carry; "
                     "add --escape (and --escape to import), or use --jsonl";
            return false;
        }
        if (!w->values_only)
            omt_encode(w->form, key, t);
        if (!w->values_only && !w->keys_only)
            omt_bytes_append(t, "\t", 1);
        if (!w->keys_only)
            omt_encode(w->form, value, t);
        break;
    }
    omt_bytes_append(t, "\n", 1);
    fwrite(t->data, 1, t->size, w->out);
    return ferror(w->out) == 0;
}

/* ---- scan and export ------------------------------------------------------------------------- */

/* Export is scan with lines that import reads back: nothing is escaped unless asked. */
static int walk_command(int argc, char **argv, bool export)
{
    const char *command = export ? "export" : "scan";
    struct omt_open open = {0};
    struct omt_form_flags forms = {0};
    struct omt_range range = {0};
    struct entry_writer w = {.out = stdout, .strict = export};
    bool json = false, jsonl = false, csv = false, raw = false;
    const char *output = NULL;
    const struct omt_flag flags[] = {
        OMT_RANGE_FLAGS(&range),
        {"keys_only", OMT_BOOL, &w.keys_only, NULL, "no values", NULL},
        {"values_only", OMT_BOOL, &w.values_only, NULL, "no keys", NULL},
        {"json", OMT_BOOL, &json, NULL, "one JSON array", NULL},
        {"jsonl", OMT_BOOL, &jsonl, NULL, "one JSON object a line", NULL},
        {"csv", OMT_BOOL, &csv, NULL, "comma-separated, quoted where needed", NULL},
        OMT_FORM_FLAGS(&forms),
        {"raw", OMT_BOOL, &raw, NULL,
         export ? "bytes as they are (the default)" : "bytes as they are (default: --escape)",
         NULL},
        {"output", OMT_TEXT, &output, "FILE", "write to FILE, not to stdout", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = command,
        .usage = export ? "omendb export [flags] DIR" : "omendb scan [flags] DIR",
        .text = export
                    ? "Writes all entries as lines KEY<TAB>VALUE that omendb import reads back.\n"
                      "--from, --to and --prefix are given in the same form as the output.\n"
                    : "Prints entries in key order, KEY<TAB>VALUE. What does not print is escaped\n"
                      "unless --raw, --hex, --base64 or a JSON form is asked.\n",
        .examples = export ? "  omendb export --jsonl data > data.jsonl\n"
                             "  omendb export data | omendb import copy\n"
                           : "  omendb scan --prefix=user --limit=10 data\n"
                             "  omendb scan --from=a --to=b --keys_only data\n"
                             "  omendb scan --reverse --limit=1 data        # the last entry\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed == OMT_PARSE_HELP)
        r = OMT_EXIT_OK;
    if (parsed != OMT_PARSE_OK || !omt_form_of(command, &forms, &w.form))
        goto free_args;
    if (args.word_count != 1) {
        omt_usage(command, "one directory is needed");
        goto free_args;
    }
    if (json + jsonl + csv > 1 || (w.keys_only && w.values_only) || (raw && w.form != OMT_RAW)) {
        omt_usage(command, "flags that exclude each other");
        goto free_args;
    }
    w.format = json ? FORMAT_JSON : jsonl ? FORMAT_JSONL : csv ? FORMAT_CSV : FORMAT_LINES;
    enum omt_form key_form = w.form; /* of --from and the like: a typed key is not escaped */
    if (!export && !raw && w.form == OMT_RAW && w.format == FORMAT_LINES)
        w.form = OMT_ESCAPE;
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, OMEN_OPEN_READ_ONLY, &db);
    if (r != OMT_EXIT_OK)
        goto free_args;
    if (output != NULL) {
        w.out = fopen(output, "w");
        if (w.out == NULL) {
            fprintf(stderr, "omendb: %s: %m; check the path\n", output);
            r = omt_db_close(db, OMT_EXIT_ERROR);
            goto free_args;
        }
    }
    omt_progress_start(&w.progress, "entries");
    w.progress.on = w.progress.on && output != NULL;
    if (json) {
        w.json = (struct omt_json){.out = w.out};
        omt_json_array(&w.json, NULL);
    }
    r = omt_range_walk(db, command, &range, key_form, entry_write, &w);
    if (json) {
        omt_json_array_end(&w.json);
        omt_json_end(&w.json);
    }
    omt_progress_end(&w.progress);
    if (w.why != NULL) {
        fprintf(stderr, "omendb: %s: %s\n", command, w.why);
        r = OMT_EXIT_ERROR;
    }
    r = omt_db_close(db, r);
    if (output != NULL) {
        bool bad = ferror(w.out) != 0;
        if (fclose(w.out) != 0 || bad) {
            fprintf(stderr, "omendb: %s: writing failed; check the disk's space\n", output);
            r = OMT_EXIT_ERROR;
        }
    }
    r = omt_stdout_end(r);
free_args:
    omt_bytes_free(&w.text);
    omt_range_free(&range);
    omt_args_free(&args);
    return r;
}

int omt_cmd_scan(int argc, char **argv)
{
    return walk_command(argc, argv, false);
}

int omt_cmd_export(int argc, char **argv)
{
    return walk_command(argc, argv, true);
}

/* ---- count ----------------------------------------------------------------------------------- */

struct counter {
    uint64_t count, key_bytes, value_bytes;
    struct omt_progress progress;
};

static bool entry_count(void *context, omen_slice key, omen_slice value)
{
    struct counter *c = context;
    c->count++;
    c->key_bytes += key.size;
    c->value_bytes += value.size;
    if (c->count % 4096 == 0)
        omt_progress_update(&c->progress, c->count, c->key_bytes + c->value_bytes, 0);
    return true;
}

int omt_cmd_count(int argc, char **argv)
{
    struct omt_open open = {0};
    struct omt_form_flags forms = {0};
    struct omt_range range = {0};
    bool json = false;
    const struct omt_flag flags[] = {
        OMT_RANGE_FLAGS(&range),
        OMT_FORM_FLAGS(&forms),
        {"json", OMT_BOOL, &json, NULL, "count, key and value bytes as JSON", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "count",
        .usage = "omendb count [flags] DIR",
        .text = "Counts the entries by reading them all; omendb stats has a quick estimate.\n",
        .examples = "  omendb count data\n"
                    "  omendb count --prefix=user --json data\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_form form = OMT_RAW;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed == OMT_PARSE_HELP)
        r = OMT_EXIT_OK;
    if (parsed != OMT_PARSE_OK || !omt_form_of("count", &forms, &form))
        goto free_args;
    if (args.word_count != 1) {
        omt_usage("count", "one directory is needed");
        goto free_args;
    }
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, OMEN_OPEN_READ_ONLY, &db);
    if (r != OMT_EXIT_OK)
        goto free_args;
    struct counter c = {0};
    omt_progress_start(&c.progress, "entries");
    r = omt_range_walk(db, "count", &range, form, entry_count, &c);
    omt_progress_end(&c.progress);
    if (r == OMT_EXIT_OK && json) {
        struct omt_json j = {.out = stdout};
        omt_json_object(&j, NULL);
        omt_json_u64(&j, "count", c.count);
        omt_json_u64(&j, "key_bytes", c.key_bytes);
        omt_json_u64(&j, "value_bytes", c.value_bytes);
        omt_json_object_end(&j);
        omt_json_end(&j);
    } else if (r == OMT_EXIT_OK) {
        printf("%" PRIu64 "\n", c.count);
    }
    r = omt_stdout_end(omt_db_close(db, r));
free_args:
    omt_range_free(&range);
    omt_args_free(&args);
    return r;
}

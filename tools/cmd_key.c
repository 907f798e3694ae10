/* cmd_key.c - get, put, del: single keys from the command line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/json.h"

/* ---- get ------------------------------------------------------------------------------------- */

struct get_out {
    enum omt_form form;
    bool json, raw, many;
};

static void get_print(const struct get_out *o, omen_slice key, const omen_value *value)
{
    if (o->json) {
        struct omt_json j = {.out = stdout, .lines = true};
        omt_json_object(&j, NULL);
        omt_json_bytes(&j, "key", key);
        omt_json_bool(&j, "found", value != NULL);
        if (value != NULL)
            omt_json_bytes(&j, "value", (omen_slice){value->data, value->size});
        omt_json_object_end(&j);
        omt_json_end(&j);
        return;
    }
    if (value == NULL)
        return;
    struct omt_bytes text = {0};
    if (o->many) {
        omt_encode(o->form, key, &text);
        omt_bytes_append(&text, "\t", 1);
    }
    omt_encode(o->form, (omen_slice){value->data, value->size}, &text);
    if (!o->raw)
        omt_bytes_append(&text, "\n", 1);
    fwrite(text.data, 1, text.size, stdout);
    omt_bytes_free(&text);
}

int omt_cmd_get(int argc, char **argv)
{
    struct omt_open open = {0};
    struct omt_form_flags forms = {0};
    bool json = false, raw = false, quiet = false;
    const struct omt_flag flags[] = {
        OMT_FORM_FLAGS(&forms),
        {"json", OMT_BOOL, &json, NULL, "one JSON object a key", NULL},
        {"raw", OMT_BOOL, &raw, NULL, "no line break after the value", NULL},
        {"quiet", OMT_BOOL, &quiet, NULL, "say nothing about keys that are not there", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "get",
        .usage = "omendb get [flags] DIR KEY...",
        .text = "Prints the value of each key. With several keys each line is KEY<TAB>VALUE.\n"
                "Reads beside a process that has the database open. Exit code 1: a key is not "
                "there.\n",
        .examples = "  omendb get data user17\n"
                    "  omendb get --hex data 00000000000000ff\n"
                    "  omendb get --raw data picture > picture.png\n",
    };
    int r = OMT_EXIT_USAGE;
    struct get_out o = {OMT_RAW, false, false, false};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed == OMT_PARSE_HELP)
        r = OMT_EXIT_OK;
    if (parsed != OMT_PARSE_OK || !omt_form_of("get", &forms, &o.form))
        goto free_args;
    if (args.word_count < 2) {
        omt_usage("get", "a directory and a key are needed");
        goto free_args;
    }
    o.json = json;
    o.raw = raw;
    o.many = args.word_count > 2;
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, OMEN_OPEN_READ_ONLY, &db);
    if (r != OMT_EXIT_OK)
        goto free_args;
    struct omt_bytes key = {0};
    for (int i = 1; i < args.word_count; i++) {
        if (!omt_argument("get", o.form, args.words[i], &key)) {
            r = OMT_EXIT_USAGE;
            break;
        }
        omen_value value = {0};
        omen_err err = omen_get(db, NULL, omt_bytes_slice(&key), &value);
        if (err == OMEN_OK) {
            get_print(&o, omt_bytes_slice(&key), &value);
            omen_value_release(&value);
        } else if (err == OMEN_NOT_FOUND) {
            get_print(&o, omt_bytes_slice(&key), NULL);
            if (!quiet && !json)
                fprintf(stderr, "omendb: %s: no such key; omendb scan %s lists keys\n",
                        args.words[i], args.words[0]);
            r = OMT_EXIT_PROBLEM;
        } else {
            r = omt_tell(args.words[i], err);
            break;
        }
    }
    omt_bytes_free(&key);
    r = omt_stdout_end(omt_db_close(db, r));
free_args:
    omt_args_free(&args);
    return r;
}

/* ---- put ------------------------------------------------------------------------------------- */

static bool stdin_read(struct omt_bytes *out)
{
    static char chunk[1 << 16];
    size_t n;
    omt_bytes_append(out, "", 0);
    while ((n = fread(chunk, 1, sizeof(chunk), stdin)) > 0) {
        if (out->size + n > OMEN_VALUE_BYTES_MAX) {
            fprintf(stderr, "omendb: put: the value is over 256 MiB; split it\n");
            return false;
        }
        omt_bytes_append(out, chunk, n);
    }
    if (ferror(stdin) != 0) {
        fprintf(stderr, "omendb: put: reading the value: %s; check the input\n", strerror(errno));
        return false;
    }
    return true;
}

int omt_cmd_put(int argc, char **argv)
{
    struct omt_open open = {0};
    struct omt_form_flags forms = {0};
    bool from_stdin = false, sync = false;
    const struct omt_flag flags[] = {
        OMT_FORM_FLAGS(&forms),
        {"stdin", OMT_BOOL, &from_stdin, NULL, "the value is what stdin holds, byte for byte",
         NULL},
        {"sync", OMT_BOOL, &sync, NULL, "on disk before it returns (survives a power loss)", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "put",
        .usage = "omendb put [flags] DIR KEY VALUE",
        .text = "Writes one entry. The database is made when DIR holds none.\n",
        .examples = "  omendb put data user17 Anna\n"
                    "  omendb put --stdin data picture < picture.png\n"
                    "  omendb put --hex --sync data 0000000a 00ff\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_form form = OMT_RAW;
    struct omt_bytes key = {0}, value = {0};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed == OMT_PARSE_HELP)
        r = OMT_EXIT_OK;
    if (parsed != OMT_PARSE_OK || !omt_form_of("put", &forms, &form))
        goto free_args;
    if (args.word_count != (from_stdin ? 2 : 3)) {
        omt_usage("put", from_stdin ? "with --stdin a directory and a key are needed"
                                    : "a directory, a key and a value are needed");
        goto free_args;
    }
    if (!omt_argument("put", form, args.words[1], &key) ||
        (!from_stdin && !omt_argument("put", form, args.words[2], &value)))
        goto free_args;
    if (from_stdin && !stdin_read(&value)) {
        r = OMT_EXIT_ERROR;
        goto free_args;
    }
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, OMEN_CREATE_IF_MISSING, &db);
    if (r != OMT_EXIT_OK)
        goto free_args;
    omen_write_options w = {.struct_bytes = sizeof(w), .flags = sync ? OMEN_SYNC : 0};
    omen_err err = omen_put(db, &w, omt_bytes_slice(&key), omt_bytes_slice(&value));
    if (err != OMEN_OK)
        r = omt_tell("put", err);
    r = omt_db_close(db, r);
free_args:
    omt_bytes_free(&key);
    omt_bytes_free(&value);
    omt_args_free(&args);
    return r;
}

/* ---- del ------------------------------------------------------------------------------------- */

int omt_cmd_del(int argc, char **argv)
{
    struct omt_open open = {0};
    struct omt_form_flags forms = {0};
    bool sync = false;
    const struct omt_flag flags[] = {
        OMT_FORM_FLAGS(&forms),
        {"sync", OMT_BOOL, &sync, NULL, "on disk before it returns (survives a power loss)", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "del",
        .usage = "omendb del [flags] DIR KEY...",
        .text = "Deletes the keys, all of them or none. A key that is not there is no error.\n",
        .examples = "  omendb del data user17 user18\n"
                    "  omendb del --hex data 0000000a\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_form form = OMT_RAW;
    struct omt_bytes key = {0};
    omen_batch *batch = NULL;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed == OMT_PARSE_HELP)
        r = OMT_EXIT_OK;
    if (parsed != OMT_PARSE_OK || !omt_form_of("del", &forms, &form))
        goto free_args;
    if (args.word_count < 2) {
        omt_usage("del", "a directory and a key are needed");
        goto free_args;
    }
    omen_err err = omen_batch_create(&batch);
    for (int i = 1; err == OMEN_OK && i < args.word_count; i++) {
        if (!omt_argument("del", form, args.words[i], &key))
            goto free_args;
        err = omen_batch_delete(batch, omt_bytes_slice(&key));
    }
    if (err != OMEN_OK) {
        r = omt_tell("del", err);
        goto free_args;
    }
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, 0, &db);
    if (r != OMT_EXIT_OK)
        goto free_args;
    omen_write_options w = {.struct_bytes = sizeof(w), .flags = sync ? OMEN_SYNC : 0};
    err = omen_write(db, &w, batch);
    if (err != OMEN_OK)
        r = omt_tell("del", err);
    r = omt_db_close(db, r);
free_args:
    omen_batch_destroy(batch);
    omt_bytes_free(&key);
    omt_args_free(&args);
    return r;
}

/* cmd_upkeep.c - verify, compact: work over the whole database. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/json.h"

/* ---- verify ---------------------------------------------------------------------------------- */

struct problems {
    struct omt_json *json; /* NULL: lines on stdout */
    uint64_t count;
};

static void problem_print(void *context, const char *text)
{
    struct problems *p = context;
    p->count++;
    if (p->json != NULL)
        omt_json_text(p->json, NULL, text);
    else
        printf("damaged: %s\n", text);
}

int omt_cmd_verify(int argc, char **argv)
{
    struct omt_open open = {0};
    bool json = false, quiet = false;
    const struct omt_flag flags[] = {
        {"json", OMT_BOOL, &json, NULL, "the report as JSON", NULL},
        {"quiet", OMT_BOOL, &quiet, NULL, "nothing when all is well", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "verify",
        .usage = "omendb verify [flags] DIR",
        .text = "Reads every table and checks every checksum, the key order, the index and the "
                "filter.\nExit code 1: damage was found (listed); 4: too damaged to open.\n",
        .examples = "  omendb verify data\n"
                    "  omendb verify --quiet data || mail -s 'damage' admin\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        r = parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
        goto free_args;
    }
    if (args.word_count != 1) {
        omt_usage("verify", "one directory is needed");
        goto free_args;
    }
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, OMEN_OPEN_READ_ONLY, &db);
    if (r != OMT_EXIT_OK)
        goto free_args;
    struct omt_json j = {.out = stdout};
    struct problems problems = {json ? &j : NULL, 0};
    if (json) {
        omt_json_object(&j, NULL);
        omt_json_array(&j, "problems");
    }
    double start_s = omt_now_s();
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    omen_err err = omen_verify(db, &report, problem_print, &problems);
    if (json) {
        omt_json_array_end(&j);
        omt_json_u64(&j, "files", report.files);
        omt_json_u64(&j, "blocks", report.blocks);
        omt_json_u64(&j, "entries", report.entries);
        omt_json_u64(&j, "bytes", report.bytes);
        omt_json_u64(&j, "errors", report.errors);
        omt_json_object_end(&j);
        omt_json_end(&j);
    } else if (!quiet || err != OMEN_OK) {
        char bytes[OMT_HUMAN_LEN];
        printf("%s: %" PRIu64 " files, %" PRIu64 " blocks, %" PRIu64 " entries, %s in %.1f s, "
               "%" PRIu64 " errors\n",
               err == OMEN_OK ? "sound" : "not sound", report.files, report.blocks, report.entries,
               omt_human_bytes(bytes, report.bytes), omt_now_s() - start_s, report.errors);
    }
    if (err == OMEN_CORRUPT) {
        fprintf(stderr,
                "omendb: verify: damage in %s; copy the directory, then omendb repair saves what "
                "can be read\n",
                args.words[0]);
        r = OMT_EXIT_PROBLEM;
    } else if (err != OMEN_OK) {
        r = omt_tell("verify", err);
    }
    r = omt_stdout_end(omt_db_close(db, r));
free_args:
    omt_args_free(&args);
    return r;
}

/* ---- compact --------------------------------------------------------------------------------- */

static uint64_t tables_bytes(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    uint64_t bytes = 0;
    if (omen_get_stats(db, &s) == OMEN_OK)
        for (uint32_t i = 0; i < s.levels && i < OMEN_LEVELS_MAX; i++)
            bytes += s.level[i].bytes;
    return bytes;
}

int omt_cmd_compact(int argc, char **argv)
{
    struct omt_open open = {0};
    struct omt_form_flags forms = {0};
    const char *from = NULL, *to = NULL;
    bool quiet = false;
    const struct omt_flag flags[] = {
        {"from", OMT_TEXT, &from, "KEY", "first key of the range", NULL},
        {"to", OMT_TEXT, &to, "KEY", "last key of the range", NULL},
        OMT_FORM_FLAGS(&forms),
        {"quiet", OMT_BOOL, &quiet, NULL, "no report", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "compact",
        .usage = "omendb compact [flags] DIR",
        .text = "Merges everything, or what overlaps the range, into the last level: deleted and\n"
                "overwritten entries go, scans read one run. The database must not be open\n"
                "elsewhere (exit code 5).\n",
        .examples = "  omendb compact data\n"
                    "  omendb compact --from=user --to=user~ data\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_form form = OMT_RAW;
    struct omt_bytes first = {0}, last = {0};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed == OMT_PARSE_HELP)
        r = OMT_EXIT_OK;
    if (parsed != OMT_PARSE_OK || !omt_form_of("compact", &forms, &form))
        goto free_args;
    if (args.word_count != 1) {
        omt_usage("compact", "one directory is needed");
        goto free_args;
    }
    if ((from != NULL && !omt_argument("compact", form, from, &first)) ||
        (to != NULL && !omt_argument("compact", form, to, &last)))
        goto free_args;
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, 0, &db);
    if (r != OMT_EXIT_OK)
        goto free_args;
    uint64_t before = tables_bytes(db);
    double start_s = omt_now_s();
    omen_slice a = omt_bytes_slice(&first), b = omt_bytes_slice(&last);
    omen_err err = omen_compact(db, from != NULL ? &a : NULL, to != NULL ? &b : NULL);
    if (err == OMEN_OK)
        err = omen_wait_idle(db);
    if (err != OMEN_OK) {
        r = omt_tell("compact", err);
    } else if (!quiet) {
        char s0[OMT_HUMAN_LEN], s1[OMT_HUMAN_LEN];
        printf("tables: %s before, %s now, in %.1f s\n", omt_human_bytes(s0, before),
               omt_human_bytes(s1, tables_bytes(db)), omt_now_s() - start_s);
    }
    r = omt_stdout_end(omt_db_close(db, r));
free_args:
    omt_bytes_free(&first);
    omt_bytes_free(&last);
    omt_args_free(&args);
    return r;
}

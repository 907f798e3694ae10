/* cmd_import.c - import: entries from text into a database, in batches. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cmd.h"
#include "tools/records.h"

enum { IMPORT_BATCH_BYTES = 1 << 20 };

struct import {
    omen_db *db;
    omen_batch *batch;
    struct omt_records records;
    const char *source;
    uint64_t batch_entries, skip_bad, entries, bad, source_bytes;
    struct omt_progress progress;
};

static int batch_write(struct import *im)
{
    if (omen_batch_count(im->batch) == 0)
        return OMT_EXIT_OK;
    omen_err err = omen_write(im->db, NULL, im->batch);
    omen_batch_clear(im->batch);
    return err == OMEN_OK ? OMT_EXIT_OK : omt_tell("import", err);
}

/* A bad record stops the import unless --skip_bad; what came before it is in the database. */
static int record_bad(struct import *im)
{
    im->bad++;
    omt_progress_end(&im->progress);
    fprintf(stderr, "omendb: %s:%" PRIu64 ": %s; %s\n", im->source, im->records.line,
            im->records.why,
            im->skip_bad != 0 ? "left out" : "mend it, or go on past such records with --skip_bad");
    return im->skip_bad != 0 ? OMT_EXIT_OK : OMT_EXIT_ERROR;
}

static int import_run(struct import *im)
{
    for (;;) {
        int r;
        switch (omt_records_next(&im->records)) {
        case OMT_RECORD_END:
            return batch_write(im);
        case OMT_RECORD_IO:
            fprintf(stderr, "omendb: %s: %s; check the input\n", im->source, strerror(errno));
            batch_write(im);
            return OMT_EXIT_ERROR;
        case OMT_RECORD_BAD:
            r = record_bad(im);
            if (r != OMT_EXIT_OK) {
                batch_write(im);
                return r;
            }
            continue;
        case OMT_RECORD_OK:
            break;
        }
        size_t bytes = im->records.key.size + im->records.value.size;
        if (omen_batch_bytes(im->batch) + bytes > IMPORT_BATCH_BYTES &&
            (r = batch_write(im)) != OMT_EXIT_OK)
            return r;
        omen_err err = omen_batch_put(im->batch, omt_bytes_slice(&im->records.key),
                                      omt_bytes_slice(&im->records.value));
        if (err != OMEN_OK)
            return omt_tell("import", err);
        im->entries++;
        if (omen_batch_count(im->batch) >= im->batch_entries &&
            (r = batch_write(im)) != OMT_EXIT_OK)
            return r;
        if (im->entries % 256 == 0)
            omt_progress_update(&im->progress, im->entries, im->records.bytes, im->source_bytes);
    }
}

int omt_cmd_import(int argc, char **argv)
{
    struct omt_open open = {0};
    struct omt_form_flags forms = {0};
    struct import im = {.batch_entries = 1000, .source = "stdin"};
    bool csv = false, jsonl = false, header = false, skip_bad = false, quiet = false;
    const struct omt_flag flags[] = {
        {"csv", OMT_BOOL, &csv, NULL, "records KEY,VALUE, quoted as RFC 4180 says", NULL},
        {"jsonl", OMT_BOOL, &jsonl, NULL, "one JSON object a line, with key and value", NULL},
        {"header", OMT_BOOL, &header, NULL, "leave out the first record of --csv", NULL},
        OMT_FORM_FLAGS(&forms),
        {"batch", OMT_U64, &im.batch_entries, NULL, "entries a write (default 1000)", NULL},
        {"skip_bad", OMT_BOOL, &skip_bad, NULL, "go on past bad records; exit code 1 then", NULL},
        {"quiet", OMT_BOOL, &quiet, NULL, "no closing line on stderr", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "import",
        .usage = "omendb import [flags] DIR [FILE]",
        .text =
            "Reads lines KEY<TAB>VALUE from FILE or stdin and writes them. The database is made "
            "when\nDIR holds none. Everything is on disk when it returns.\n",
        .examples = "  omendb export --jsonl old | omendb import --jsonl new\n"
                    "  omendb import --csv --header data people.csv\n"
                    "  printf 'a\\t1\\nb\\t2\\n' | omendb import data\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed == OMT_PARSE_HELP)
        r = OMT_EXIT_OK;
    if (parsed != OMT_PARSE_OK || !omt_form_of("import", &forms, &im.records.form))
        goto free_args;
    if (args.word_count < 1 || args.word_count > 2 || (csv && jsonl) || im.batch_entries == 0) {
        omt_usage("import", args.word_count < 1   ? "a directory is needed"
                            : args.word_count > 2 ? "a directory and one file at most"
                            : csv && jsonl        ? "--csv and --jsonl exclude each other"
                                                  : "--batch must be 1 or more");
        goto free_args;
    }
    im.skip_bad = skip_bad;
    im.records.format = csv ? OMT_RECORD_CSV : jsonl ? OMT_RECORD_JSONL : OMT_RECORD_LINES;
    im.records.in = stdin;
    bool file = args.word_count == 2 && strcmp(args.words[1], "-") != 0;
    if (file) {
        im.source = args.words[1];
        im.records.in = fopen(im.source, "r");
        if (im.records.in == NULL) {
            fprintf(stderr, "omendb: %s: %s; check the path\n", im.source, strerror(errno));
            r = OMT_EXIT_ERROR;
            goto free_args;
        }
    }
    struct stat st;
    if (fstat(fileno(im.records.in), &st) == 0 && S_ISREG(st.st_mode))
        im.source_bytes = (uint64_t)st.st_size;
    if (header && omt_records_next(&im.records) == OMT_RECORD_IO)
        fprintf(stderr, "omendb: %s: %s\n", im.source, strerror(errno));
    r = omt_db_open(args.words[0], &open, OMEN_CREATE_IF_MISSING, &im.db);
    if (r != OMT_EXIT_OK)
        goto close_file;
    omen_err err = omen_batch_create(&im.batch);
    double start_s = omt_now_s();
    omt_progress_start(&im.progress, "entries");
    r = err == OMEN_OK ? import_run(&im) : omt_tell("import", err);
    omt_progress_end(&im.progress);
    omen_batch_destroy(im.batch);
    err = omen_sync(im.db);
    if (err != OMEN_OK && r == OMT_EXIT_OK)
        r = omt_tell("import: sync", err);
    r = omt_db_close(im.db, r);
    if (!quiet && r == OMT_EXIT_OK) {
        char n[OMT_HUMAN_LEN];
        double spent = omt_now_s() - start_s;
        fprintf(stderr, "%" PRIu64 " entries in %.1f s (%s/s)%s\n", im.entries, spent,
                omt_human_count(n, (uint64_t)((double)im.entries / (spent > 0 ? spent : 1e-9))),
                im.bad != 0 ? ", bad records left out" : "");
    }
    if (r == OMT_EXIT_OK && im.bad != 0)
        r = OMT_EXIT_PROBLEM;
close_file:
    if (file)
        fclose(im.records.in);
free_args:
    omt_records_fini(&im.records);
    omt_args_free(&args);
    return r;
}

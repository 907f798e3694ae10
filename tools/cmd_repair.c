/* cmd_repair.c - saves what can be read of a damaged database. */
#include <inttypes.h>
#include <stdio.h>

#include "tools/cmd.h"
#include "tools/json.h"

static void line_print(void *context, const char *line)
{
    struct omt_json *json = context;
    if (json != NULL)
        omt_json_text(json, NULL, line);
    else
        printf("%s\n", line);
}

static const char *const manifests[] = {"sound", "found", "rebuilt"};

static void report_json(struct omt_json *j, const omen_repair_report *r, bool dry_run)
{
    const struct {
        const char *name;
        uint64_t value;
    } figures[] = {{"files", r->files},
                   {"files_damaged", r->files_damaged},
                   {"files_lost", r->files_lost},
                   {"files_doubtful", r->files_doubtful},
                   {"blocks_lost", r->blocks_lost},
                   {"entries_lost", r->entries_lost},
                   {"entries_saved", r->entries_saved},
                   {"log_operations_saved", r->log_operations_saved},
                   {"log_operations_lost", r->log_operations_lost},
                   {"log_bytes_lost", r->log_bytes_lost},
                   {"tables_written", r->tables_written},
                   {"bytes_kept", r->bytes_kept},
                   {"bytes_set_aside", r->bytes_set_aside}};
    omt_json_bool(j, "dry_run", dry_run);
    omt_json_bool(j, "sound", r->problems == 0);
    omt_json_bool(j, "lossy", r->lossy != 0);
    omt_json_text(j, "manifest", r->manifest < 3 ? manifests[r->manifest] : "unknown");
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        omt_json_u64(j, figures[i].name, figures[i].value);
}

static void report_print(const omen_repair_report *r, bool dry_run)
{
    char bad[OMT_HUMAN_LEN];
    if (r->problems == 0) {
        printf("nothing to repair: %" PRIu64 " files looked at, all sound\n", r->files);
        return;
    }
    printf("%s: %" PRIu64 " files looked at, %" PRIu64 " damaged, %" PRIu64 " lost; %" PRIu64
           " entries of damaged tables and %" PRIu64 " operations of the log %s\n",
           dry_run ? "would be repaired" : "repaired", r->files, r->files_damaged, r->files_lost,
           r->entries_saved, r->log_operations_saved, dry_run ? "can be saved" : "saved");
    if (r->lossy != 0)
        printf("lost: %" PRIu64 " blocks of tables (%" PRIu64 " entries are known of), %" PRIu64
               " operations and %" PRIu64 " bytes of the log\n",
               r->blocks_lost, r->entries_lost, r->log_operations_lost, r->log_bytes_lost);
    else
        printf("nothing was lost\n");
    if (!dry_run && r->bytes_set_aside != 0)
        printf("the damaged files, %s, are kept as NAME.bad\n",
               omt_human_bytes(bad, r->bytes_set_aside));
}

static int run(const char *path, const omen_options *options, bool dry_run, bool json)
{
    struct omt_json j = {.out = stdout};
    omen_repair_report report = {.struct_bytes = sizeof(report)};
    if (json) {
        omt_json_object(&j, NULL);
        omt_json_array(&j, "problems");
    }
    omen_err err = omen_repair(path, options, dry_run ? OMEN_REPAIR_DRY_RUN : 0, &report,
                               line_print, json ? &j : NULL);
    if (json) {
        omt_json_array_end(&j);
        report_json(&j, &report, dry_run);
        omt_json_object_end(&j);
        omt_json_end(&j);
    } else if (err == OMEN_OK) {
        report_print(&report, dry_run);
    }
    if (err == OMEN_INVALID || err == OMEN_NOT_FOUND) { /* the directory is wrong, not the usage */
        fprintf(stderr, "omendb: repair: %s\n", omen_last_error());
        return OMT_EXIT_ERROR;
    }
    if (err != OMEN_OK)
        return omt_tell("repair", err);
    bool loss = dry_run ? report.problems != 0 : report.lossy != 0;
    return loss ? OMT_EXIT_PROBLEM : OMT_EXIT_OK;
}

int omt_cmd_repair(int argc, char **argv)
{
    struct omt_open open = {0};
    bool json = false, dry_run = false;
    const struct omt_flag flags[] = {
        {"dry_run", OMT_BOOL, &dry_run, NULL, "write nothing, tell what would be done", NULL},
        {"json", OMT_BOOL, &json, NULL, "the report as JSON", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "repair",
        .usage = "omendb repair [flags] DIR",
        .text =
            "Saves what can be read of a damaged database, so that it opens and verifies again.\n"
            "Damaged tables are written anew without their damaged blocks; of a damaged log all\n"
            "whole writes are kept; without a manifest the tables that are there make the\n"
            "database. Where a block is lost, older versions of its keys may show.\n"
            "Nothing is deleted: damaged files are renamed to NAME.bad. It may be stopped at any\n"
            "moment and run again. Still, copy the directory first if there is room, and run\n"
            "--dry-run to see what is lost before anything is changed.\n"
            "A database with a comparator of its own is repaired through omen_repair.\n"
            "Exit code 0: nothing to repair, or repaired without a loss; 1: something is lost, or\n"
            "--dry-run found damage; 3: it failed, and nothing readable was lost; 5: it is open\n"
            "elsewhere.\n",
        .examples = "  omendb verify data             # is it damaged?\n"
                    "  cp -a data data.before\n"
                    "  omendb repair --dry-run data   # what would be lost\n"
                    "  omendb repair data && omendb verify data\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        r = parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
        goto free_args;
    }
    if (args.word_count != 1) {
        omt_usage("repair", "one directory is needed");
        goto free_args;
    }
    omen_options o = {.struct_bytes = sizeof(o)};
    omen_err err = open.options != NULL ? omen_options_from_string(open.options, &o) : OMEN_OK;
    if (open.memory_bytes != 0)
        o.memory_bytes = open.memory_bytes;
    r = err == OMEN_OK ? run(args.words[0], &o, dry_run, json) : omt_tell("--options", err);
    r = omt_stdout_end(r);
free_args:
    omt_args_free(&args);
    return r;
}

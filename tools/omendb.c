/*
 * omendb.c - the command-line tool: finds the subcommand and calls it.
 * Called under the name db_bench it is `omendb bench`.
 */
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct command commands[] = {
    {"get", omt_cmd_get, "print the value of a key"},
    {"put", omt_cmd_put, "write an entry"},
    {"del", omt_cmd_del, "delete keys"},
    {"scan", omt_cmd_scan, "print entries in key order"},
    {"count", omt_cmd_count, "count entries"},
    {"import", omt_cmd_import, "read entries from text, CSV or JSON lines"},
    {"export", omt_cmd_export, "write entries as text, CSV or JSON lines"},
    {"stats", omt_cmd_stats, "what a database holds and has done"},
    {"levels", omt_cmd_levels, "the shape of the tree"},
    {"filter", omt_cmd_filter, "the filters of tables, promised and kept"},
    {"tier", omt_cmd_tier, "which filters and models lie in far memory, and why"},
    {"verify", omt_cmd_verify, "check every byte of every table"},
    {"repair", omt_cmd_repair, "save what can be read of a damaged database"},
    {"compact", omt_cmd_compact, "merge everything into the last level"},
    {"doctor", omt_cmd_doctor, "what of this machine is used, and what is missing"},
    {"bench", omt_cmd_bench, "benchmarks, with the flags and lines of db_bench"},
    {"ycsb", omt_cmd_ycsb, "YCSB workloads A to F"},
    {"lab", omt_cmd_lab, "experiments on parts of the engine"},
    {"tune", omt_cmd_tune, "find the tree's shape for a workload, by measuring"},
    {"stress", omt_cmd_stress, "random work with crashes, every answer checked"},
};
enum { COMMAND_COUNT = sizeof(commands) / sizeof(commands[0]) };

static void help_print(FILE *out)
{
    fprintf(out, "usage: omendb COMMAND [flags] ...\n\n"
                 "omendb keeps sorted keys and values in a directory.\n\ncommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-9s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\n"
                 "first steps:\n"
                 "  omendb put demo hello world       # makes the database demo\n"
                 "  omendb get demo hello\n"
                 "  omendb scan demo\n"
                 "  omendb bench --benchmarks=fillrandom,readrandom --num=1000000\n"
                 "\n"
                 "omendb COMMAND --help tells the flags of a command, with examples.\n"
                 "exit codes: 0 ok, 1 not found or problem found, 2 usage, 3 input, output or\n"
                 "database error, 4 damaged data, 5 the database is open elsewhere\n");
}

static const char *command_name(const void *context, size_t index)
{
    return ((const struct command *)context)[index].name;
}

static const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *self = argc == 0 ? "omendb" : slash != NULL ? slash + 1 : argv[0];
    if (strcmp(self, "db_bench") == 0)
        return omt_cmd_bench(argc, argv);
    if (argc < 2) {
        help_print(stderr);
        return OMT_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0 || strcmp(word, "version") == 0) {
        printf("omendb %s\n", omen_version());
        return omt_stdout_end(OMT_EXIT_OK);
    }
    bool help = strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
    if (help && argc >= 3) { /* omendb help get */
        const struct command *c = command_find(argv[2]);
        static char flag[] = "--help";
        char *words[] = {argv[2], flag, NULL};
        if (c != NULL)
            return c->run(2, words);
    }
    if (help) {
        help_print(stdout);
        return omt_stdout_end(OMT_EXIT_OK);
    }
    const struct command *c = command_find(word);
    if (c != NULL)
        return c->run(argc - 1, argv + 1);
    const char *near = omt_nearest(word, COMMAND_COUNT, command_name, commands);
    if (near != NULL)
        fprintf(stderr, "omendb: no command \"%s\"; did you mean %s? (omendb --help)\n", word,
                near);
    else
        fprintf(stderr, "omendb: no command \"%s\"; see omendb --help\n", word);
    return OMT_EXIT_USAGE;
}

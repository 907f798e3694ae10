/* cmd_tune.c - tune: finds the tree's shape for a workload, by measuring; its verbs. */
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/tune.h"

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

static const struct verb verbs[] = {
    {"calibrate", omt_tune_calibrate, "what pages cost on this disk"},
    {"observe", omt_tune_observe, "what is asked of a database, as a workload"},
    {"sample", omt_tune_sample, "measure one configuration under one workload"},
    {"grid", omt_tune_grid, "measure every configuration of a grid"},
    {"learn", omt_tune_learn, "find the best configuration with few measurements"},
    {"compare", omt_tune_compare, "methods of choosing beside each other"},
    {"replay", omt_tune_replay, "phases or a trace on one database, as it happens"},
    {"apply", omt_tune_apply, "set a configuration on a database"},
    {"explain", omt_tune_explain, "why a shape is the one to have, in words"},
    {"report", omt_tune_report, "a campaign as a page with charts"},
    {"figure", omt_tune_figure, "one figure, as CSV and SVG"},
    {"accept", omt_tune_accept, "check what the tuner must reach"},
};
enum { VERBS = sizeof(verbs) / sizeof(verbs[0]) };

static void help_print(FILE *out)
{
    fputs("usage: omendb tune VERB [flags] ...\n\n"
          "Finds the shape of the tree (size ratio T, runs K and Z, filter bits h, the cache's\n"
          "share) that costs a workload least, by measuring configurations on throw-away\n"
          "databases of its own. Only apply changes a database of yours.\n\nverbs:\n",
          out);
    for (size_t i = 0; i < VERBS; i++)
        fprintf(out, "  %-10s %s\n", verbs[i].name, verbs[i].help);
    fprintf(
        out,
        "\n"
        "workloads: %s,\n"
        "or a file, or JSON: {\"n\":100000,\"entry\":1000,\"phases\":[{\"mix\":[25,25,25,25]}]}\n"
        "\n"
        "first steps:\n"
        "  omendb tune sample --workloads=W5                # the default, writes mostly\n"
        "  omendb tune learn /tmp/t --workloads=W5 --jobs=2 # what is best for it\n"
        "  omendb tune apply --point=T=10,K=9,Z=1,h=8,cache=20 --dry-run DB\n"
        "\n"
        "omendb tune VERB --help tells the flags of a verb, with examples.\n"
        "exit codes: 0 ok, 1 interrupted, out of time or short of a bound, 2 usage, 3 input,\n"
        "output or database error, 4 a wrong answer or damaged data, 5 busy elsewhere\n",
        omi_workload_names());
}

static const char *verb_name(const void *context, size_t index)
{
    return ((const struct verb *)context)[index].name;
}

int omt_cmd_tune(int argc, char **argv)
{
    if (argc < 2) {
        help_print(stderr);
        return OMT_EXIT_USAGE;
    }
    const char *word = argv[1];
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        help_print(stdout);
        return omt_stdout_end(OMT_EXIT_OK);
    }
    for (size_t i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].name, word) == 0)
            return verbs[i].run(argc - 1, argv + 1);
    const char *near = omt_nearest(word, VERBS, verb_name, verbs);
    fprintf(stderr, "omendb: tune: no verb \"%s\"%s%s; see omendb tune --help\n", word,
            near != NULL ? "; did you mean " : "", near != NULL ? near : "");
    return OMT_EXIT_USAGE;
}

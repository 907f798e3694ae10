/* cmd_lab.c - lab: experiments on the parts of the engine, each with its own flags. */
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/lab.h"

static const char lab_help[] =
    "usage: omendb lab EXPERIMENT [flags]\n"
    "\n"
    "Measures parts of the engine on their own, away from a database.\n"
    "\n"
    "experiments:\n"
    "  index      the learned index beside its rivals: bytes a key, ns a lookup\n"
    "  filter     learned filters beside plain ones: false positives, bits a key, ns\n"
    "  range      range filters: bits a key, scans that find nothing and are not recognised\n"
    "\n"
    "examples:\n"
    "  omendb lab index --help\n"
    "  omendb lab filter --gen B2\n";

int omt_cmd_lab(int argc, char **argv)
{
    if (argc < 2) {
        fputs(lab_help, stderr);
        return OMT_EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        fputs(lab_help, stdout);
        return OMT_EXIT_OK;
    }
    if (strcmp(argv[1], "index") == 0)
        return omt_lab_index(argc - 1, argv + 1);
    if (strcmp(argv[1], "filter") == 0)
        return omt_lab_filter(argc - 1, argv + 1);
    if (strcmp(argv[1], "range") == 0)
        return omt_lab_range(argc - 1, argv + 1);
    fprintf(stderr, "omendb: lab: no experiment \"%s\"; see omendb lab --help\n", argv[1]);
    return OMT_EXIT_USAGE;
}

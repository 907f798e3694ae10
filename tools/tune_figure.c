/*
 * tune_figure.c - figure: one figure of docs/tuning.md as numbers (CSV) and as a chart (SVG).
 */
#include "tools/tune_figure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"

/* ---- files ----------------------------------------------------------------------------------- */

FILE *omt_figure_file(const struct omt_figure_request *f, const char *id, const char *extension,
                      char path[static OMT_TUNE_PATH])
{
    snprintf(path, OMT_TUNE_PATH, "%s/%s.%s", f->out, id, extension);
    FILE *file = fopen(path, "w");
    if (file == NULL)
        fprintf(stderr, "omendb: tune figure: cannot write %s: %s; --out names the directory\n",
                path, strerror(errno));
    return file;
}

bool omt_figure_end(FILE *file, const char *path)
{
    bool bad = ferror(file) != 0;
    if (fclose(file) == 0 && !bad)
        return true;
    fprintf(stderr, "omendb: tune figure: writing %s: %s\n", path, strerror(errno));
    return false;
}

/* ---- sections of a report ---------------------------------------------------------------------- */

static bool section_files(const struct omt_figure_request *f, const struct omt_report *r,
                          const struct omt_section *s)
{
    char path[OMT_TUNE_PATH], finding[OMT_FINDING];
    s->finding(r, finding);
    FILE *csv = omt_figure_file(f, s->id, "csv", path);
    if (csv == NULL)
        return false;
    s->table(r, csv, OMT_DOC_CSV);
    if (!omt_figure_end(csv, path))
        return false;
    FILE *svg = omt_figure_file(f, s->id, "svg", path);
    if (svg == NULL)
        return false;
    s->chart(r, svg, finding);
    if (!omt_figure_end(svg, path))
        return false;
    printf("%s.\n%s/%s.csv, %s/%s.svg\n", finding, f->out, s->id, f->out, s->id);
    return true;
}

static int figure_section(const struct omt_figure_request *f, const struct omt_section *s,
                          const char *dir)
{
    struct omt_report *r = omt_realloc(NULL, sizeof(*r));
    int result = OMT_EXIT_ERROR;
    if (omt_report_load(r, dir)) {
        if (!s->has(r))
            fprintf(stderr, "omendb: tune figure: %s has no labels or choices for %s\n", dir,
                    s->id);
        else if (section_files(f, r, s))
            result = OMT_EXIT_OK;
        omt_report_free(r);
    }
    free(r);
    return result;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static bool figure_check(const struct omt_figure_request *f)
{
    if (f->entries < 1000 || f->entries > UINT64_C(1000000000000))
        omt_usage("tune figure", "--entries must be 1000 to 10^12");
    else if (f->entry_bytes < 16 || f->entry_bytes > 1 << 20)
        omt_usage("tune figure", "--entry must be 16 to 1048576 bytes");
    else if (!(f->bits == 0 || (f->bits >= 1 && f->bits <= 1e4)))
        omt_usage("tune figure", "--bits must be 1 to 10000 bits of memory a key");
    else if (f->draws < 100 || f->draws > 10000000)
        omt_usage("tune figure", "--draws must be 100 to 10000000");
    else
        return true;
    return false;
}

static int figure_make(const struct omt_figure_request *f, const char *id, const char *const *dirs,
                       int count)
{
    bool is_study = strcmp(id, "F8") == 0, is_scales = strcmp(id, "F4") == 0;
    if (is_study && count == 0)
        return omt_figure_study(f);
    if (is_study)
        return omt_usage("tune figure", "F8 takes no campaign");
    if (is_scales && count < 2)
        return omt_usage("tune figure", "F4 takes a campaign of each scale, the smallest first");
    if (is_scales)
        return omt_figure_scales(f, dirs, count);
    if (count != 1)
        return omt_usage("tune figure", "of which campaign? Give its directory");
    if (strcmp(id, "F5") == 0)
        return omt_figure_memory(f, dirs[0]);
    for (unsigned i = 0; i < omt_section_count; i++)
        if (strcmp(id, omt_sections[i].id) == 0)
            return figure_section(f, &omt_sections[i], dirs[0]);
    return omt_usage("tune figure", "no such figure");
}

int omt_tune_figure(int argc, char **argv)
{
    struct omt_figure_request f = {.out = ".",
                                   .entries = 11000000,
                                   .entry_bytes = 1000,

                                   .draws = 10000,
                                   .seed = 1};
    struct omt_flag flags[] = {
        {"out", OMT_TEXT, &f.out, "DIR", "where the files go (.)", NULL},
        {"entries", OMT_U64, &f.entries, NULL, "of F8: entries (11000000)", NULL},
        {"entry", OMT_U64, &f.entry_bytes, NULL, "bytes of an entry (1000)", NULL},
        {"bits", OMT_F64, &f.bits, NULL, "memory, bits a key (W1's)", NULL},
        {"draws", OMT_U64, &f.draws, NULL, "random mixes (10000)", NULL},
        {"space", OMT_TEXT, &f.space, "T=..;K=..", "which shapes F8 considers (all)", NULL},
        {"seed", OMT_U64, &f.seed, NULL, "of the random mixes (1)", NULL},
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune figure",
        .usage = "omendb tune figure [flags] F1|F2|F3|F5|F10|heat|scatter|amp|tail DIR\n"
                 "       omendb tune figure [flags] F4 DIR0 DIR1 [DIR2]\n"
                 "       omendb tune figure [flags] F8",
        .text =
            "Makes a figure of the tuning guide: ID.csv and ID.svg in --out.\n"
            "F1   cost by workload and method      F8    robust choice against drift, from the\n"
            "F2   cost by merge policy                   cost model alone\n"
            "F3   regret against samples           F10   cost model against the engine\n"
            "F4   small scale's choices at larger  heat, scatter, amp, tail: as in a report\n"
            "F5   gain by memory and skew\n",
        .examples = "  omendb tune figure F1 camp --out=/tmp\n"
                    "  omendb tune figure F4 grid-s0 grid-s1\n"
                    "  omendb tune figure F8 --entries=100000000 --bits=16\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    int result = OMT_EXIT_USAGE;
    if (parsed == OMT_PARSE_HELP)
        result = OMT_EXIT_OK;
    else if (parsed == OMT_PARSE_OK && args.word_count == 0)
        result = omt_usage("tune figure", "which one?");
    else if (parsed == OMT_PARSE_OK && figure_check(&f))
        result = figure_make(&f, args.words[0], args.words + 1, args.word_count - 1);
    omt_args_free(&args);
    return omt_stdout_end(result);
}

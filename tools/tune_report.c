/*
 * tune_report.c - report: a campaign as a page that says what was found.
 */
#include "tools/tune_report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"

struct request {
    const char *html, *md;
    bool json;
};

/* "-": standard output. */
static bool page_write(const struct omt_report *r, const char *path,
                       void (*write)(const struct omt_report *r, FILE *out))
{
    if (strcmp(path, "-") == 0) {
        write(r, stdout);
        return true;
    }
    FILE *file = fopen(path, "w");
    bool bad = file == NULL;
    if (!bad) {
        write(r, file);
        bad = ferror(file) != 0;
        bad = fclose(file) != 0 || bad;
    }
    if (bad)
        fprintf(stderr, "omendb: tune report: cannot write %s: %s\n", path, strerror(errno));
    return !bad;
}

static void findings_json(const struct omt_report *r)
{
    struct omt_json j = {.out = stdout};
    omt_json_object(&j, NULL);
    omt_json_u64(&j, "runs", r->c.label_count);
    omt_json_array(&j, "findings");
    for (unsigned i = 0; i < omt_section_count; i++) {
        char text[OMT_FINDING];
        if (!omt_sections[i].has(r))
            continue;
        omt_sections[i].finding(r, text);
        omt_json_object(&j, NULL);
        omt_json_text(&j, "id", omt_sections[i].id);
        omt_json_text(&j, "what", omt_sections[i].what);
        omt_json_text(&j, "finding", text);
        omt_json_object_end(&j);
    }
    omt_json_array_end(&j);
    omt_json_object_end(&j);
    omt_json_end(&j);
}

static int report(const struct request *q, const char *dir)
{
    struct omt_report *r = omt_realloc(NULL, sizeof(*r));
    int result = OMT_EXIT_ERROR;
    if (omt_report_load(r, dir)) {
        bool good = r->c.label_count != 0;
        if (!good)
            fprintf(stderr, "omendb: tune report: %s has no labels yet\n", dir);
        if (good && q->html != NULL)
            good = page_write(r, q->html, omt_report_html);
        if (good && q->md != NULL)
            good = page_write(r, q->md, omt_report_markdown);
        if (good && q->json)
            findings_json(r);
        if (good && q->html == NULL && q->md == NULL && !q->json)
            good = page_write(r, "-", omt_report_markdown);
        result = good ? OMT_EXIT_OK : OMT_EXIT_ERROR;
        omt_report_free(r);
    }
    free(r);
    return result;
}

int omt_tune_report(int argc, char **argv)
{
    struct request q = {0};
    struct omt_flag flags[] = {
        {"html", OMT_TEXT, &q.html, "FILE", "one page with charts, needs nothing else", NULL},
        {"md", OMT_TEXT, &q.md, "FILE", "Markdown, the tables alone (- : here)", NULL},
        {"json", OMT_BOOL, &q.json, NULL, "the findings as JSON", NULL},
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune report",
        .usage = "omendb tune report [flags] DIR",
        .text = "Says what the labels of a campaign show: cost by workload and method, merge\n"
                "policies, regret against samples, T against K, predicted against measured,\n"
                "amplification, slow operations. Without flags Markdown on standard output. The\n"
                "campaign may still be running.",
        .examples = "  omendb tune report camp\n"
                    "  omendb tune report camp --html=camp.html --md=camp.md\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    int result = OMT_EXIT_USAGE;
    if (parsed == OMT_PARSE_HELP)
        result = OMT_EXIT_OK;
    else if (parsed == OMT_PARSE_OK && args.word_count != 1)
        result = omt_usage("tune report", "of which campaign? Give its directory");
    else if (parsed == OMT_PARSE_OK)
        result = report(&q, args.words[0]);
    omt_args_free(&args);
    return omt_stdout_end(result);
}

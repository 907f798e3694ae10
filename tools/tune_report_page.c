/* tune_report_page.c - the report as a page: Markdown, or HTML that needs nothing but itself. */
#include <inttypes.h>
#include <string.h>

#include "tools/svg.h"
#include "tools/text.h"
#include "tools/tune_report.h"

static const char page_style[] =
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,Helvetica,Arial,sans-serif;max-width:56rem;margin:0 auto;"
    "padding:1.5rem 1rem;color:#1a1a1a;background:#fff}"
    "h1{font-size:1.6rem;margin:0 0 .3rem}h2{font-size:1.15rem;margin:2.4rem 0 .2rem;"
    "color:#555;font-weight:600}"
    "p.f{font-size:1.15rem;font-weight:600;margin:.1rem 0 .7rem}p.n{color:#555;font-size:.9rem}"
    "svg{max-width:100%;height:auto}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.88rem;margin:.6rem 0}"
    "th,td{padding:.18rem .7rem;text-align:left;border-bottom:1px solid #ddd}"
    "td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}"
    "summary{cursor:pointer;color:#555;font-size:.9rem}"
    "nav a{margin-right:1rem}a{color:#0072b2}"
    "@media screen and (prefers-color-scheme:dark){body{color:#e6e6e6;background:#161616}"
    "h2,p.n,summary{color:#aaa}th,td{border-color:#3a3a3a}a{color:#4aa8e0}}"
    "@media print{body{max-width:none;padding:0;font-size:11pt;color:#000;background:#fff}"
    "section{break-inside:avoid}nav{display:none}}";

static void about(const struct omt_report *r, char *text, size_t size)
{
    const struct omi_workload *w = &r->c.config.workload[0];
    char entries[OMT_HUMAN_LEN], memory[OMT_HUMAN_LEN];
    struct omi_space_limits limits = omt_spec_limits(w);
    snprintf(text, size,
             "%" PRIu32 " runs of %" PRIu32 " workloads, made by omendb tune %s with seed %" PRIu64
             ". Scale %u: %s entries of %" PRIu32 " bytes, %s for memtable, filters and cache.",
             r->c.label_count, r->count, r->c.config.verb, r->c.config.seed, r->c.config.scale,
             omt_human_count(entries, w->entries), w->entry_bytes,
             omt_human_bytes(memory, limits.memory_bytes));
}

static void mixes_table(const struct omt_report *r, FILE *out, enum omt_doc_form form)
{
    static const char *const heads[] = {"workload", "keys",   "absent lookups", "present lookups",
                                        "scans",    "writes", "scan length",    "runs"};
    struct omt_doc_table t;
    omt_doc_table_begin(&t, out, form, heads, 8, 2);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct omi_workload *w = &r->c.config.workload[i];
        double mix[OMI_TUNE_OPS];
        char keys[48] = "uniform";
        if (w->dist != OMI_WORK_UNIFORM)
            snprintf(keys, sizeof(keys), "%s %.2f",
                     w->dist == OMI_WORK_ZIPF ? "Zipf" : "newest first, Zipf", w->theta);
        omi_workload_mix(w, mix);
        omt_doc_text(&t, w->name);
        omt_doc_text(&t, keys);
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            omt_doc_percent(&t, mix[op], 0);
        omt_doc_number(&t, omi_workload_scan(w), 0);
        omt_doc_number(&t, r->workloads[i].labels, 0);
    }
    omt_doc_table_end(&t);
}

void omt_report_markdown(const struct omt_report *r, FILE *out)
{
    char text[OMT_FINDING + 160];
    about(r, text, sizeof(text));
    fprintf(out, "# Tuning report\n\n%s\n\n", text);
    mixes_table(r, out, OMT_DOC_MARKDOWN);
    for (unsigned i = 0; i < omt_section_count; i++) {
        const struct omt_section *s = &omt_sections[i];
        if (!s->has(r))
            continue;
        s->finding(r, text);
        fprintf(out, "## %s\n\n**%s.**\n\n", s->what, text);
        s->table(r, out, OMT_DOC_MARKDOWN);
        fprintf(out, "%s\n\n", s->note);
    }
}

static void section_html(const struct omt_report *r, FILE *out, const struct omt_section *s)
{
    char text[OMT_FINDING];
    s->finding(r, text);
    fprintf(out, "<section id=\"%s\">\n<h2>", s->id);
    omt_xml_text(out, s->what);
    fputs("</h2>\n<p class=\"f\">", out);
    omt_xml_text(out, text);
    fputs("</p>\n", out);
    s->chart(r, out, text);
    fputs("<p class=\"n\">", out);
    omt_xml_text(out, s->note);
    fputs("</p>\n<details><summary>the numbers</summary>\n", out);
    s->table(r, out, OMT_DOC_HTML);
    fputs("</details>\n</section>\n", out);
}

void omt_report_html(const struct omt_report *r, FILE *out)
{
    char text[OMT_FINDING + 160];
    about(r, text, sizeof(text));
    fprintf(out,
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
            "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
            "<title>omendb tuning report</title>\n<style>%s</style>\n</head>\n<body>\n"
            "<h1>Tuning report</h1>\n<p>",
            page_style);
    omt_xml_text(out, text);
    fputs("</p>\n<nav>", out);
    for (unsigned i = 0; i < omt_section_count; i++)
        if (omt_sections[i].has(r)) {
            fprintf(out, "<a href=\"#%s\">", omt_sections[i].id);
            omt_xml_text(out, omt_sections[i].what);
            fputs("</a>\n", out);
        }
    fputs("</nav>\n", out);
    mixes_table(r, out, OMT_DOC_HTML);
    for (unsigned i = 0; i < omt_section_count; i++)
        if (omt_sections[i].has(r))
            section_html(r, out, &omt_sections[i]);
    fputs("</body>\n</html>\n", out);
}

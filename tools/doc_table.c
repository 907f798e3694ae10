#include "tools/doc_table.h"

#include <math.h>
#include <string.h>

#include "tools/svg.h"

static void csv_text(FILE *out, const char *text)
{
    if (strpbrk(text, ",\"\n") == NULL) {
        fputs(text, out);
        return;
    }
    putc('"', out);
    for (const char *p = text; *p != 0; p++) {
        if (*p == '"')
            putc('"', out);
        putc(*p, out);
    }
    putc('"', out);
}

/* A bar would end the cell, an angle bracket begin HTML. */
static void markdown_text(FILE *out, const char *text)
{
    for (const char *p = text; *p != 0; p++) {
        if (strchr("|\\`*_<>[]", *p) != NULL)
            putc('\\', out);
        putc(*p == '\n' ? ' ' : *p, out);
    }
}

static void cell_write(struct omt_doc_table *t, const char *text, bool number)
{
    bool first = t->at == 0, last = t->at == t->columns - 1;
    switch (t->form) {
    case OMT_DOC_MARKDOWN:
        fputs(first ? "| " : " | ", t->out);
        markdown_text(t->out, text);
        fputs(last ? " |\n" : "", t->out);
        break;
    case OMT_DOC_HTML:
        fprintf(t->out, "%s<td%s>", first ? "<tr>" : "", number ? " class=\"n\"" : "");
        omt_xml_text(t->out, text);
        fprintf(t->out, "</td>%s", last ? "</tr>\n" : "");
        break;
    case OMT_DOC_CSV:
        csv_text(t->out, text);
        putc(last ? '\n' : ',', t->out);
    }
    t->at = last ? 0 : t->at + 1;
}

void omt_doc_table_begin(struct omt_doc_table *t, FILE *out, enum omt_doc_form form,
                         const char *const *heads, unsigned columns, unsigned numbers)
{
    *t = (struct omt_doc_table){.out = out, .form = form, .columns = columns};
    if (form == OMT_DOC_HTML)
        fputs("<div class=\"wide\"><table>\n<thead><tr>", out);
    for (unsigned i = 0; i < columns; i++) {
        if (form != OMT_DOC_HTML) {
            cell_write(t, heads[i], false);
            continue;
        }
        fprintf(out, "<th%s>", i >= numbers ? " class=\"n\"" : "");
        omt_xml_text(out, heads[i]);
        fputs("</th>", out);
    }
    if (form == OMT_DOC_HTML)
        fputs("</tr></thead>\n<tbody>\n", out);
    for (unsigned i = 0; form == OMT_DOC_MARKDOWN && i < columns; i++)
        fprintf(out, "%s%s", i >= numbers ? "|--:" : "|---", i == columns - 1 ? "|\n" : "");
}

void omt_doc_table_end(struct omt_doc_table *t)
{
    if (t->form == OMT_DOC_HTML)
        fputs("</tbody></table></div>\n", t->out);
    if (t->form == OMT_DOC_MARKDOWN)
        putc('\n', t->out);
}

void omt_doc_text(struct omt_doc_table *t, const char *text)
{
    cell_write(t, text, false);
}

void omt_doc_number(struct omt_doc_table *t, double value, int digits)
{
    char text[48] = "";
    if (isfinite(value) && t->form == OMT_DOC_CSV)
        snprintf(text, sizeof(text), "%.9g", value);
    else if (isfinite(value))
        snprintf(text, sizeof(text), "%.*f", digits, value);
    cell_write(t, text, true);
}

void omt_doc_percent(struct omt_doc_table *t, double share, int digits)
{
    char text[48] = "";
    if (t->form == OMT_DOC_CSV) {
        omt_doc_number(t, share, digits);
        return;
    }
    if (isfinite(share))
        snprintf(text, sizeof(text), "%.*f %%", digits, 100 * share);
    cell_write(t, text, true);
}

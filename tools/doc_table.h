/*
 * doc_table.h - one table, written as Markdown, HTML or CSV. Columns of numbers are aligned right.
 */
#ifndef OMT_DOC_TABLE_H
#define OMT_DOC_TABLE_H

#include <stdbool.h>
#include <stdio.h>

enum omt_doc_form { OMT_DOC_MARKDOWN, OMT_DOC_HTML, OMT_DOC_CSV };

struct omt_doc_table {
    FILE *out;
    enum omt_doc_form form;
    unsigned columns, at; /* inner */
};

/* numbers: columns from this one on are numbers. */
void omt_doc_table_begin(struct omt_doc_table *t, FILE *out, enum omt_doc_form form,
                         const char *const *heads, unsigned columns, unsigned numbers);
void omt_doc_table_end(struct omt_doc_table *t);
void omt_doc_text(struct omt_doc_table *t, const char *text);
/* NAN: an empty cell. In CSV with all digits, so that nothing is lost. */
void omt_doc_number(struct omt_doc_table *t, double value, int digits);
void omt_doc_percent(struct omt_doc_table *t, double share, int digits); /* CSV: the share */

#endif

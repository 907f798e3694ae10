/*
 * tune_report.h - what a campaign's labels and choices say, as sections: a finding in words, a chart
 * and a table each.
 *
 * Path:   campaign directory -> omt_report_load -> sections (tune_report_sections.c,
 *         tune_report_runs.c) -> page (tune_report_page.c) or one figure (tune_figure.c)
 * Units:  J is J_io in random page reads an operation; shares are shares.
 * Owner:  a report owns its campaign, choices and predictions; labels are borrowed from it.
 */
#ifndef OMT_TUNE_REPORT_H
#define OMT_TUNE_REPORT_H

#include "tools/doc_table.h"
#include "tools/tune.h"

enum { OMT_METHODS_MAX = 8, OMT_BUDGETS_MAX = 24, OMT_FINDING = 320 };

enum omt_policy { OMT_LEVELING, OMT_TIERING, OMT_LAZY, OMT_BETWEEN, OMT_POLICIES };
extern const char *const omt_policy_names[OMT_POLICIES];
enum omt_policy omt_policy_of(const struct omi_point *point);

struct omt_report_workload {
    const char *name;
    uint32_t labels;                  /* of repeat 0 */
    const struct omt_label *standard; /* what ships; NULL: not measured */
    const struct omt_label *best;     /* of all; NULL: nothing was measured */
    const struct omt_label *of[OMT_POLICIES];
    double method[OMT_METHODS_MAX]; /* J of its choice, mean over seeds, largest budget; NAN */
};

struct omt_report_budget {    /* of one method */
    uint32_t budget, count;   /* choices that the means are of */
    double regret, se, worst; /* se: of the mean over seeds */
};

struct omt_report {
    struct omt_campaign c;
    struct omt_choice *choices;
    uint32_t choice_count;
    struct omt_report_workload *workloads;
    uint32_t count;
    char methods[OMT_METHODS_MAX][OMT_TUNE_NAME];
    uint32_t method_count;
    struct omt_report_budget budget[OMT_METHODS_MAX][OMT_BUDGETS_MAX];
    uint32_t budget_count[OMT_METHODS_MAX];
    double *predicted;       /* of each label: as recorded, else the theory's; NAN: neither */
    bool predicted_by_model; /* all that count were recorded with it */
};

/* Told on stderr. */
bool omt_report_load(struct omt_report *r, const char *dir);
void omt_report_free(struct omt_report *r);

struct omt_section {
    const char *id;   /* a figure's name, and the anchor in a page */
    const char *what; /* heading */
    bool (*has)(const struct omt_report *r);
    void (*finding)(const struct omt_report *r, char text[static OMT_FINDING]);
    void (*chart)(const struct omt_report *r, FILE *out, const char *title);
    void (*table)(const struct omt_report *r, FILE *out, enum omt_doc_form form);
    const char *note; /* how to read it */
};
extern const struct omt_section omt_sections[];
extern const unsigned omt_section_count;

/* tune_report_runs.c */
bool omt_scatter_has(const struct omt_report *r);
void omt_scatter_finding(const struct omt_report *r, char text[static OMT_FINDING]);
void omt_scatter_chart(const struct omt_report *r, FILE *out, const char *title);
void omt_scatter_table(const struct omt_report *r, FILE *out, enum omt_doc_form form);
bool omt_heat_has(const struct omt_report *r);
void omt_heat_finding(const struct omt_report *r, char text[static OMT_FINDING]);
void omt_heat_chart(const struct omt_report *r, FILE *out, const char *title);
void omt_heat_table(const struct omt_report *r, FILE *out, enum omt_doc_form form);
bool omt_amp_has(const struct omt_report *r);
void omt_amp_finding(const struct omt_report *r, char text[static OMT_FINDING]);
void omt_amp_chart(const struct omt_report *r, FILE *out, const char *title);
void omt_amp_table(const struct omt_report *r, FILE *out, enum omt_doc_form form);
bool omt_tail_has(const struct omt_report *r);
void omt_tail_finding(const struct omt_report *r, char text[static OMT_FINDING]);
void omt_tail_chart(const struct omt_report *r, FILE *out, const char *title);
void omt_tail_table(const struct omt_report *r, FILE *out, enum omt_doc_form form);
bool omt_blocks_has(const struct omt_report *r);
void omt_blocks_finding(const struct omt_report *r, char text[static OMT_FINDING]);
void omt_blocks_chart(const struct omt_report *r, FILE *out, const char *title);
void omt_blocks_table(const struct omt_report *r, FILE *out, enum omt_doc_form form);

/* tune_report_page.c */
void omt_report_markdown(const struct omt_report *r, FILE *out);
void omt_report_html(const struct omt_report *r, FILE *out);

#endif

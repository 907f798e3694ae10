/* tune_report_load.c - a campaign's labels and choices, sorted by workload, method and budget. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "compaction/tune_theory.h"
#include "tools/text.h"
#include "tools/tune_report.h"

const char *const omt_policy_names[OMT_POLICIES] = {"leveling", "tiering", "lazy leveling",
                                                    "between"};

enum omt_policy omt_policy_of(const struct omi_point *p)
{
    uint32_t all = p->size_ratio - 1u;
    if (p->runs_upper == 1 && p->runs_last == 1)
        return OMT_LEVELING;
    if (p->runs_upper >= all && p->runs_last >= all)
        return OMT_TIERING;
    if (p->runs_upper >= all && p->runs_last == 1)
        return OMT_LAZY;
    return OMT_BETWEEN;
}

/* ---- workloads ------------------------------------------------------------------------------- */

static const struct omt_label *cheaper(const struct omt_label *a, const struct omt_label *b)
{
    return a == NULL || b->j_io < a->j_io ? b : a;
}

static void label_sort_in(struct omt_report *r, const struct omt_label *label)
{
    for (uint32_t w = 0; w < r->count; w++) {
        struct omt_report_workload *to = &r->workloads[w];
        struct omi_space_limits limits = omt_spec_limits(&r->c.config.workload[w]);
        struct omi_point standard = omt_default_point(&limits);
        if (strcmp(to->name, label->workload) != 0 || label->repeat != 0)
            continue;
        enum omt_policy policy = omt_policy_of(&label->point);
        to->labels++;
        to->best = cheaper(to->best, label);
        to->of[policy] = cheaper(to->of[policy], label);
        /* An older campaign's default may be another point than today's. */
        bool is_standard = omi_point_same(&standard, &label->point);
        if (is_standard || (to->standard == NULL && strcmp(label->method, "default") == 0))
            to->standard = label;
    }
}

static void workloads_make(struct omt_report *r)
{
    r->count = r->c.config.workload_count;
    r->workloads = omt_realloc(NULL, (r->count + 1) * sizeof(*r->workloads));
    for (uint32_t w = 0; w < r->count; w++) {
        r->workloads[w] = (struct omt_report_workload){.name = r->c.config.workload[w].name};
        for (int m = 0; m < OMT_METHODS_MAX; m++)
            r->workloads[w].method[m] = NAN;
    }
    for (uint32_t i = 0; i < r->c.label_count; i++)
        label_sort_in(r, &r->c.labels[i]);
}

/* ---- choices --------------------------------------------------------------------------------- */

static uint32_t method_index(struct omt_report *r, const char *name)
{
    uint32_t m = 0;
    while (m < r->method_count && strcmp(r->methods[m], name) != 0)
        m++;
    if (m == r->method_count && m < OMT_METHODS_MAX) {
        snprintf(r->methods[m], sizeof(r->methods[m]), "%s", name);
        r->method_count++;
    }
    return m;
}

/* Budgets of a method, ascending. */
static void budget_note(struct omt_report *r, uint32_t m, uint32_t budget)
{
    uint32_t at = 0, count = r->budget_count[m];
    while (at < count && r->budget[m][at].budget < budget)
        at++;
    if ((at < count && r->budget[m][at].budget == budget) || count == OMT_BUDGETS_MAX)
        return;
    for (uint32_t i = count; i > at; i--)
        r->budget[m][i] = r->budget[m][i - 1];
    r->budget[m][at] = (struct omt_report_budget){.budget = budget};
    r->budget_count[m]++;
}

enum { SEEDS_MAX = 256 };

/* The mean over workloads for each seed first: choices of one seed share a pool. */
static void budget_fill(const struct omt_report *r, uint32_t m, struct omt_report_budget *b)
{
    uint64_t seeds[SEEDS_MAX];
    double sums[SEEDS_MAX] = {0}, squares = 0;
    uint32_t counts[SEEDS_MAX] = {0}, seed_count = 0;
    for (uint32_t i = 0; i < r->choice_count; i++) {
        const struct omt_choice *c = &r->choices[i];
        uint32_t s = 0;
        if (strcmp(c->method, r->methods[m]) != 0 || c->budget != b->budget)
            continue;
        while (s < seed_count && seeds[s] != c->seed)
            s++;
        if (s == SEEDS_MAX)
            continue;
        if (s == seed_count)
            seeds[seed_count++] = c->seed;
        sums[s] += c->regret;
        counts[s]++;
        b->count++;
        b->worst = c->regret > b->worst ? c->regret : b->worst;
    }
    for (uint32_t s = 0; s < seed_count; s++)
        b->regret += sums[s] / counts[s] / seed_count;
    for (uint32_t s = 0; s < seed_count; s++)
        squares += pow(sums[s] / counts[s] - b->regret, 2);
    b->se = seed_count > 1 ? sqrt(squares / (seed_count - 1) / seed_count) : 0;
}

/* J of a method's choices for a workload: the mean over seeds at its largest budget. */
static double method_mean(const struct omt_report *r, uint32_t m, const char *workload)
{
    uint32_t largest = r->budget[m][r->budget_count[m] - 1].budget, count = 0;
    double sum = 0;
    for (uint32_t i = 0; i < r->choice_count; i++) {
        const struct omt_choice *c = &r->choices[i];
        if (strcmp(c->method, r->methods[m]) != 0 || c->budget != largest ||
            strcmp(c->workload, workload) != 0)
            continue;
        sum += c->j;
        count++;
    }
    return count != 0 ? sum / count : NAN;
}

static void methods_make(struct omt_report *r)
{
    for (uint32_t i = 0; i < r->choice_count; i++) {
        if (strcmp(r->choices[i].method, "default") == 0) /* all is measured against it */
            continue;
        uint32_t m = method_index(r, r->choices[i].method);
        if (m < OMT_METHODS_MAX)
            budget_note(r, m, r->choices[i].budget);
    }
    for (uint32_t m = 0; m < r->method_count; m++) {
        for (uint32_t b = 0; b < r->budget_count[m]; b++)
            budget_fill(r, m, &r->budget[m][b]);
        for (uint32_t w = 0; w < r->count; w++)
            r->workloads[w].method[m] = method_mean(r, m, r->workloads[w].name);
    }
}

/* ---- predictions ----------------------------------------------------------------------------- */

static bool theory_predict(struct omt_report *r, uint32_t w, struct omi_theory *theory)
{
    struct omi_tune_workload workload;
    omi_tune_workload_of(&r->c.config.workload[w], &r->c.config.prices, &workload);
    if (theory->slots == NULL || !omi_theory_same(&theory->data, &workload.data)) {
        omi_theory_fini(theory);
        omi_theory_init(theory, &workload.data);
    }
    for (uint32_t i = 0; i < r->c.label_count; i++) {
        const struct omt_label *label = &r->c.labels[i];
        struct omi_shape shape;
        struct omi_cost_tree tree;
        struct omi_cost cost;
        if (strcmp(label->workload, r->workloads[w].name) != 0 || isfinite(r->predicted[i]) ||
            omi_point_check(&workload.limits, &label->point) != OMEN_OK)
            continue;
        omi_point_shape(&workload.limits, &label->point, &shape);
        if (omi_theory_tree(theory, &shape, &tree) != OMEN_OK)
            return false;
        omi_theory_cost_of(&workload, &label->point, &tree, &cost);
        r->predicted[i] = omi_cost_mix(&cost, workload.mix);
    }
    return true;
}

static bool predictions_make(struct omt_report *r)
{
    struct omi_theory theory = {0};
    bool good = true;
    uint32_t recorded = 0;
    r->predicted = omt_realloc(NULL, (r->c.label_count + 1) * sizeof(*r->predicted));
    for (uint32_t i = 0; i < r->c.label_count; i++) {
        const struct omt_label *label = &r->c.labels[i];
        bool has = label->predicted_sd > 0;
        r->predicted[i] = has ? label->predicted : NAN;
        recorded += has;
    }
    /* One kind of prediction in one chart: the model's where most labels have it. */
    r->predicted_by_model = 2 * recorded > r->c.label_count;
    for (uint32_t i = 0; i < r->c.label_count && !r->predicted_by_model; i++)
        r->predicted[i] = NAN;
    for (uint32_t w = 0; w < r->count && good && !r->predicted_by_model; w++)
        good = theory_predict(r, w, &theory);
    omi_theory_fini(&theory);
    return good;
}

/* ---- all of it ------------------------------------------------------------------------------- */

bool omt_report_load(struct omt_report *r, const char *dir)
{
    memset(r, 0, sizeof(*r));
    if (!omt_campaign_open(&r->c, dir))
        return false;
    if (!omt_choices_load(dir, &r->choices, &r->choice_count)) {
        omt_campaign_end(&r->c);
        return false;
    }
    workloads_make(r);
    methods_make(r);
    if (predictions_make(r))
        return true;
    fprintf(stderr, "omendb: tune report: %s\n", omen_last_error());
    omt_report_free(r);
    return false;
}

void omt_report_free(struct omt_report *r)
{
    free(r->predicted);
    free(r->workloads);
    free(r->choices);
    omt_campaign_end(&r->c);
}

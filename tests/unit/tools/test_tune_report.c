/*
 * Reports and trials over a campaign that was made up: what is default, best, of a policy, regret
 * by budget; a page that is well-formed; samplers that draw from what is recorded.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/tune_report.h"
#include "tools/tune_trial.h"

static char dir[64];

static void dir_make(void)
{
    strcpy(dir, "/tmp/omendb-report.XXXXXX");
    cr_assert(mkdtemp(dir) != NULL);
}

static void dir_remove(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(report, .init = dir_make, .fini = dir_remove, .timeout = 60);

/* The truth: the theory's cost, a little bent, so that there is something to learn. */
static double truth(const struct omi_tune_workload *w, const struct omi_point *p)
{
    struct omi_cost_tree tree;
    struct omi_cost cost;
    cr_assert_eq(omi_theory_cost(w, p, &tree, &cost), OMEN_OK);
    return omi_cost_mix(&cost, w->mix) * (1 + 0.02 * p->size_ratio);
}

static void label_add(struct omt_campaign *c, uint32_t w, const struct omi_point *p,
                      const char *method)
{
    struct omi_tune_workload workload;
    struct omt_label label;
    memset(&label, 0, sizeof(label));
    omi_tune_workload_of(&c->config.workload[w], &c->config.prices, &workload);
    snprintf(label.workload, sizeof(label.workload), "%s", c->config.workload[w].name);
    snprintf(label.method, sizeof(label.method), "%s", method);
    snprintf(label.build, sizeof(label.build), "test");
    label.point = *p;
    label.j_io = truth(&workload, p);
    label.entries = c->config.workload[w].entries;
    label.entry_bytes = 1000;
    label.write_amp = 3;
    label.read_amp = 2;
    label.space_amp = 1.1;
    label.operations = label.ops[0] = 1000;
    label.wall.j_us = label.j_io * 10;
    for (int i = 0; i < 4; i++)
        label.wall.latency_us[0][i] = 1 + i;
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        label.pages[op] = -1;
    memcpy(label.mix, workload.mix, sizeof(label.mix));
    cr_assert(omt_campaign_add(c, &label));
}

static void campaign_make(const char *const *names, uint32_t count)
{
    struct omt_campaign c;
    static struct omt_campaign_config config;
    memset(&config, 0, sizeof(config));
    config.prices = omi_cost_prices_default;
    config.seed = 1;
    config.workload_count = count;
    snprintf(config.verb, sizeof(config.verb), "grid");
    for (uint32_t i = 0; i < count; i++)
        cr_assert_eq(omi_workload_named(names[i], &config.workload[i]), OMEN_OK);
    cr_assert(omt_campaign_create(&c, dir, &config, true));
    for (uint32_t w = 0; w < count; w++) {
        struct omi_tune_workload workload;
        struct omi_tune_space grid;
        omi_tune_workload_of(&config.workload[w], &config.prices, &workload);
        struct omi_point standard = omt_default_point(&workload.limits);
        cr_assert_eq(omi_space_grid(&workload.limits, &workload.data, workload.mix, &grid),
                     OMEN_OK);
        label_add(&c, w, &standard, "default");
        for (uint32_t i = 0; i < grid.count; i++)
            label_add(&c, w, &grid.points[i], "grid");
        omi_space_fini(&grid);
    }
    cr_assert(omt_campaign_end(&c));
}

static void choices_make(const char *method, uint32_t budget, uint64_t seed, double regret)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/choices.jsonl", dir);
    FILE *file = fopen(path, "a");
    struct omt_choice c;
    cr_assert(file != NULL);
    memset(&c, 0, sizeof(c));
    snprintf(c.method, sizeof(c.method), "%s", method);
    snprintf(c.workload, sizeof(c.workload), "W1");
    c.seed = seed;
    c.budget = c.measured = budget;
    c.point = (struct omi_point){6, 4, 1, 10, 0};
    c.j_best = 1;
    c.j = 1 + regret;
    c.j_default = 2;
    c.regret = regret;
    omt_choice_write(file, &c);
    cr_assert_eq(fclose(file), 0);
}

Test(report, the_best_of_each_policy_and_the_default_are_found)
{
    static const char *const names[] = {"W1", "W5"};
    struct omt_report r;
    campaign_make(names, 2);
    cr_assert(omt_report_load(&r, dir));
    cr_assert_eq(r.count, 2);
    for (uint32_t w = 0; w < r.count; w++) {
        const struct omt_report_workload *rw = &r.workloads[w];
        cr_assert(rw->standard != NULL && rw->best != NULL);
        cr_assert_str_eq(rw->standard->method, "default");
        for (uint32_t i = 0; i < r.c.label_count; i++) {
            const struct omt_label *label = &r.c.labels[i];
            if (strcmp(label->workload, rw->name) != 0)
                continue;
            cr_assert(label->j_io >= rw->best->j_io);
            cr_assert(label->j_io >= rw->of[omt_policy_of(&label->point)]->j_io);
        }
    }
    cr_assert_eq(omt_policy_of(&r.workloads[1].best->point), OMT_TIERING);
    omt_report_free(&r);
}

Test(report, regret_is_the_mean_over_seeds_by_budget)
{
    static const char *const names[] = {"W1"};
    struct omt_report r;
    campaign_make(names, 1);
    choices_make("lcb", 12, 1, 0.02);
    choices_make("lcb", 12, 2, 0.06);
    choices_make("lcb", 6, 1, 0.2);
    choices_make("random", 12, 1, 0.3);
    cr_assert(omt_report_load(&r, dir));
    cr_assert_eq(r.method_count, 2);
    cr_assert_eq(r.budget_count[0], 2);
    cr_assert_eq(r.budget[0][0].budget, 6);
    cr_assert_float_eq(r.budget[0][1].regret, 0.04, 1e-9);
    cr_assert_float_eq(r.budget[0][1].se, 0.02, 1e-9);
    cr_assert_float_eq(r.budget[0][1].worst, 0.06, 1e-9);
    cr_assert_float_eq(r.workloads[0].method[0], 1.04, 1e-9); /* of the largest budget */
    omt_report_free(&r);
}

Test(report, a_page_has_every_section_that_there_are_numbers_for)
{
    static const char *const names[] = {"W1", "W4", "W5"};
    struct omt_report r;
    char *text = NULL;
    size_t size = 0;
    campaign_make(names, 3);
    choices_make("lcb", 12, 1, 0.02);
    cr_assert(omt_report_load(&r, dir));
    FILE *out = open_memstream(&text, &size);
    omt_report_html(&r, out);
    omt_report_markdown(&r, out);
    cr_assert_eq(fclose(out), 0);
    unsigned has = 0;
    for (unsigned i = 0; i < omt_section_count; i++) {
        char anchor[64];
        snprintf(anchor, sizeof(anchor), "<section id=\"%s\">", omt_sections[i].id);
        cr_assert_eq(strstr(text, anchor) != NULL, omt_sections[i].has(&r));
        has += omt_sections[i].has(&r);
    }
    cr_assert_eq(has, 7); /* all but F10: no label counts blocks by kind */
    cr_assert(strstr(text, "nan") == NULL && strstr(text, "<script") == NULL);
    cr_assert(strstr(text, "http://") == NULL ||
              strstr(text, "http://www.w3.org/2000/svg") != NULL);
    free(text);
    omt_report_free(&r);
}

Test(report, samplers_draw_from_what_is_recorded_and_lcb_beats_random)
{
    static const char *const names[] = {"W1", "W4", "W5", "W9"};
    struct omt_campaign c;
    struct omt_pool pool;
    const struct omt_measure_options options = {.jobs = 1};
    double regret[2] = {0, 0};
    campaign_make(names, 4);
    cr_assert(omt_campaign_open(&c, dir));
    cr_assert(omt_pool_open(&pool, &c, NULL, NULL, &options));
    for (uint64_t seed = 1; seed <= 3; seed++)
        for (int m = 0; m < 2; m++) {
            static struct omt_trial t;
            memset(&t, 0, sizeof(t));
            t.config.mode = m == 0 ? OMI_CHOOSE_LCB : OMI_CHOOSE_RANDOM;
            t.config.budget = 8;
            t.config.seed = seed;
            t.recorded_only = true;
            t.count = 4;
            for (uint32_t i = 0; i < 4; i++)
                t.workload[i] = i;
            cr_assert(omt_trial_run(&pool, &t, NULL));
            for (uint32_t i = 0; i < 4; i++) {
                cr_assert(omt_trial_regret(&pool, &t, i) >= 0);
                cr_assert(omt_campaign_find(&c, i, &t.choice[i], 0) != NULL);
                cr_assert(t.j[i] <= t.j_default[i] * (1 + 1e-12));
            }
            regret[m] += omt_trial_regrets(&pool, &t).mean / 3;
        }
    cr_assert(regret[0] <= 0.05, "lcb %g", regret[0]);
    cr_assert(regret[0] <= regret[1] + 1e-9, "lcb %g, random %g", regret[0], regret[1]);
    cr_assert(omt_pool_close(&pool));
    omt_campaign_end(&c);
}

Test(report, a_label_that_is_not_recorded_is_told_not_made_up)
{
    static const char *const names[] = {"W1"};
    struct omt_campaign c;
    struct omt_pool pool;
    const struct omt_measure_options options = {.jobs = 1};
    const struct omt_label *label;
    const struct omt_wish wish = {.point = {7, 3, 1, 9, 0}};
    campaign_make(names, 1);
    cr_assert(omt_campaign_open(&c, dir));
    cr_assert(omt_pool_open(&pool, &c, NULL, NULL, &options));
    cr_assert_not(omt_pool_labels(&pool, &wish, 1, &label));
    omt_campaign_end(&c);
}

/*
 * tune_compare.c - compare: methods beside each other, at several budgets, over many seeds.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/tune_flags.h"

enum { METHODS_MAX = 16, BUDGETS_MAX = 16, SEEDS_MAX = 1000 };

struct compare {
    struct omt_campaign *c;
    struct omt_measure_options measure;
    bool recorded, wall, json;
    uint32_t workload[OMT_WORKLOADS_MAX], workload_count;
    char method[METHODS_MAX][OMT_TUNE_NAME];
    uint32_t method_count, budget[BUDGETS_MAX], budget_count, seeds;
    uint64_t seed;
    const char *restrict_text;
};

/* Over workloads and seeds. */
struct outcome {
    double mean, se, max; /* of regret; se: of the seeds' means */
    double gain;          /* mean of 1 - J / J of the default */
    uint32_t seeds;
};

static bool list_parse(const char *text, struct compare *x, bool methods)
{
    char copy[512], *save = NULL;
    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return false;
    for (char *word = strtok_r(copy, ", ", &save); word != NULL;
         word = strtok_r(NULL, ", ", &save)) {
        uint64_t v;
        if (methods) {
            if (x->method_count == METHODS_MAX || strlen(word) >= OMT_TUNE_NAME)
                return false;
            snprintf(x->method[x->method_count++], OMT_TUNE_NAME, "%s", word);
        } else {
            if (x->budget_count == BUDGETS_MAX || !omt_parse_u64(word, &v) || v < 1 || v > 100000)
                return false;
            x->budget[x->budget_count++] = (uint32_t)v;
        }
    }
    return methods ? x->method_count > 0 : x->budget_count > 0;
}

/* Methods that measure nothing to choose are the same at every budget and seed. */
static bool needs_no_samples(const char *method)
{
    return strcmp(method, "default") == 0 || strcmp(method, "theory") == 0 ||
           strncmp(method, "endure:", 7) == 0;
}

/* What ships, as a choice. */
static omen_err choose_default(struct compare *x, struct omt_choice *choices)
{
    struct omt_learn_options o = {.method = "theory",
                                  .seed = x->seed,
                                  .wall = x->wall,
                                  .recorded = x->recorded,
                                  .restrict_text = x->restrict_text,
                                  .measure = &x->measure};
    omen_err err = omt_learn(x->c, x->workload, x->workload_count, &o, choices, NULL, NULL);
    for (uint32_t i = 0; i < x->workload_count && err == OMEN_OK; i++) {
        struct omi_space_limits limits = omt_spec_limits(&x->c->config.workload[x->workload[i]]);
        snprintf(choices[i].method, sizeof(choices[i].method), "default");
        choices[i].point = omt_default_point(&limits);
        choices[i].j = choices[i].j_default;
        choices[i].predicted = choices[i].predicted_sd = 0;
        choices[i].kept_default = true;
        choices[i].regret = choices[i].j / choices[i].j_best - 1;
        if (!(choices[i].j > 0))
            return omi_fail(OMEN_INVALID, 0, "%s has no label of the default", choices[i].workload);
    }
    return err;
}

static omen_err choose(struct compare *x, const char *method, uint32_t budget, uint64_t seed,
                       struct omt_choice *choices)
{
    if (strcmp(method, "default") == 0)
        return choose_default(x, choices);
    struct omt_learn_options o = {.method = method,
                                  .budget = budget,
                                  .seed = seed,
                                  .wall = x->wall,
                                  .recorded = x->recorded,
                                  .restrict_text = x->restrict_text,
                                  .measure = &x->measure};
    return omt_learn(x->c, x->workload, x->workload_count, &o, choices, NULL, NULL);
}

static omen_err outcome_of(struct compare *x, const char *method, uint32_t budget,
                           struct outcome *out)
{
    struct omt_choice choices[OMT_WORKLOADS_MAX];
    double sum = 0, square = 0;
    *out = (struct outcome){.seeds = needs_no_samples(method) ? 1 : x->seeds};
    for (uint32_t s = 0; s < out->seeds; s++) {
        double mean = 0;
        omen_err err = choose(x, method, budget, x->seed + s, choices);
        if (err != OMEN_OK)
            return err;
        for (uint32_t i = 0; i < x->workload_count; i++) {
            mean += choices[i].regret / x->workload_count;
            out->max = choices[i].regret > out->max ? choices[i].regret : out->max;
            if (choices[i].j_default > 0)
                out->gain += (1 - choices[i].j / choices[i].j_default) / x->workload_count;
            choices[i].budget = needs_no_samples(method) ? 0 : budget;
        }
        sum += mean;
        square += mean * mean;
        if (!omt_choices_save(x->c->dir, choices, x->workload_count))
            return omi_fail(OMEN_IO, 0, "the choices could not be written");
    }
    double n = out->seeds, variance = n > 1 ? (square - sum * sum / n) / (n - 1) : 0;
    out->mean = sum / n;
    out->se = variance > 0 ? sqrt(variance / n) : 0;
    out->gain /= n;
    return OMEN_OK;
}

static void outcome_print(const struct compare *x, struct omt_json *j, const char *method,
                          uint32_t budget, const struct outcome *o)
{
    if (x->json) {
        omt_json_object(j, NULL);
        omt_json_text(j, "method", method);
        omt_json_u64(j, "budget", budget);
        omt_json_u64(j, "seeds", o->seeds);
        omt_json_f64(j, "regret", o->mean, 6);
        omt_json_f64(j, "regret_se", o->se, 6);
        omt_json_f64(j, "regret_max", o->max, 6);
        omt_json_f64(j, "gain", o->gain, 6);
        omt_json_object_end(j);
        omt_json_end(j);
        return;
    }
    char budget_text[16] = "-";
    if (budget != 0)
        snprintf(budget_text, sizeof(budget_text), "%" PRIu32, budget);
    printf("%-12s %7s %6" PRIu32 " %8.1f%% +- %4.1f %8.1f%% %9.1f%%\n", method, budget_text,
           o->seeds, o->mean * 100, o->se * 100, o->max * 100, o->gain * 100);
    fflush(stdout);
}

/* Live runs are all made before any regret is told, so that all methods are judged by the same best.
 */
static omen_err compare_pass(struct compare *x, bool tell)
{
    struct omt_json j = {.out = stdout, .lines = true};
    omen_err err = OMEN_OK;
    if (tell && !x->json)
        printf("%-12s %7s %6s %18s %9s %10s\n", "method", "budget", "seeds", "mean regret", "worst",
               "better");
    for (uint32_t m = 0; m < x->method_count && err == OMEN_OK; m++) {
        bool still = needs_no_samples(x->method[m]);
        for (uint32_t b = 0; b < (still ? 1 : x->budget_count) && err == OMEN_OK; b++) {
            struct outcome outcome;
            err = outcome_of(x, x->method[m], x->budget[b], &outcome);
            if (err == OMEN_OK && tell)
                outcome_print(x, &j, x->method[m], still ? 0 : x->budget[b], &outcome);
        }
    }
    return err;
}

static int compare_run(struct compare *x, const struct omt_tune_flags *f)
{
    if (!x->recorded &&
        !omt_tune_flags_measure(f, x->c->dir, &x->c->config, "compare", &x->measure))
        return OMT_EXIT_USAGE;
    omen_err err = x->recorded ? OMEN_OK : compare_pass(x, false);
    if (err == OMEN_OK)
        err = compare_pass(x, true);
    if (!f->keep && !x->recorded)
        rmdir(x->measure.run.work);
    return omt_tune_ended(err, "compare");
}

/* Recorded: the workloads are the campaign's, unless some of them are named. */
static bool compare_open(struct compare *x, const char *dir, const struct omt_tune_flags *f,
                         struct omt_campaign_config *config)
{
    bool named = f->workloads != NULL || f->specs.count > 0;
    if (x->recorded && !named) {
        if (!omt_campaign_open(x->c, dir))
            return false;
        x->c->read_only = true;
        *config = x->c->config;
        if (f->seed != 1)
            config->seed = f->seed;
    } else if (!omt_tune_flags_config(f, "compare", "W1,W5", config) ||
               !omt_campaign_create(x->c, dir, config, f->resume || x->recorded)) {
        return false;
    }
    for (uint32_t i = 0; i < config->workload_count; i++)
        x->workload[i] = omt_tune_workload_find(x->c, &config->workload[i]);
    x->workload_count = config->workload_count;
    return true;
}

int omt_tune_compare(int argc, char **argv)
{
    struct omt_tune_flags f;
    struct compare x = {.seeds = 0};
    const char *methods = "default,theory,random,decoupled,lcb", *budgets = "6,12,24";
    const char *objective = "io";
    uint64_t seeds = 1;
    omt_tune_flags_init(&f);
    const struct omt_flag flags[] = {
        {"methods", OMT_TEXT, &methods, "default,theory,endure:0.5,random,decoupled,lcb",
         "what to compare", NULL},
        {"budget", OMT_TEXT, &budgets, "6,12,24", "measurements a workload", NULL},
        {"seeds", OMT_U64, &seeds, NULL, "that many, from --seed on (1)", NULL},
        {"objective", OMT_TEXT, &objective, "io|wall", "what is to be least (io)", NULL},
        {"recorded", OMT_BOOL, &x.recorded, NULL, "among DIR's labels; nothing is run", NULL},
        {"space", OMT_TEXT, &f.space, "T=2,4;K=1,T-1;Z=1;h=6,10;cache=0,20",
         "these points in place of all", NULL},
        {"json", OMT_BOOL, &f.json, NULL, "JSON lines", NULL},
        OMT_TUNE_WORK_FLAGS(&f),
        OMT_TUNE_RUN_FLAGS(&f)};
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune compare",
        .usage = "omendb tune compare [flags] DIR",
        .text = "Lets methods choose for the same workloads, and says how far each stays from the "
                "best\nthat was measured. With --recorded it draws from the labels of a grid: "
                "instant, for many\nseeds. The choices are added to choices.jsonl.",
        .examples = "  omendb tune compare /tmp/grid --recorded --seeds=10\n"
                    "  omendb tune compare /tmp/t --workloads=W1,W5 --budget=8 --jobs=2\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        omt_args_free(&args);
        omt_tune_flags_fini(&f);
        return parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
    }
    struct omt_campaign_config *config = omt_realloc(NULL, sizeof(*config));
    int result = OMT_EXIT_USAGE;
    x.c = omt_realloc(NULL, sizeof(*x.c));
    x.wall = strcmp(objective, "wall") == 0;
    x.seeds = (uint32_t)seeds;
    x.seed = f.seed;
    x.json = f.json;
    x.restrict_text = f.space;
    if (args.word_count != 1)
        omt_usage("tune compare", "name the campaign's directory");
    else if (!x.wall && strcmp(objective, "io") != 0)
        omt_usage("tune compare", "--objective is io or wall");
    else if (seeds < 1 || seeds > SEEDS_MAX)
        omt_usage("tune compare", "--seeds is 1 to 1000");
    else if (!list_parse(methods, &x, true) || !list_parse(budgets, &x, false))
        omt_usage("tune compare", "--methods and --budget are lists, of 16 at most");
    else {
        result = OMT_EXIT_ERROR;
        if (compare_open(&x, args.words[0], &f, config)) {
            result = compare_run(&x, &f);
            if (!omt_campaign_end(x.c) && result == OMT_EXIT_OK)
                result = OMT_EXIT_ERROR;
        }
    }
    free(config);
    free(x.c);
    omt_args_free(&args);
    omt_tune_flags_fini(&f);
    return omt_stdout_end(result);
}

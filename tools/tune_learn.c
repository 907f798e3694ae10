/*
 * tune_learn.c - the loop of active learning: a step of every workload, their measurements, the
 * labels back; and the verb learn.
 *
 * A broken campaign goes on by itself: the same steps come again, and find their labels there.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compaction/tune_choose.h"
#include "tools/tune_flags.h"
#include "tools/tune_lines.h"

double omt_label_value(const struct omt_label *label, bool wall)
{
    return wall ? label->wall.j_us : label->j_io;
}

double omt_campaign_mean(const struct omt_campaign *c, uint32_t workload,
                         const struct omi_point *point, bool wall)
{
    const char *name = c->config.workload[workload].name;
    double sum = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->label_count; i++)
        if (omi_point_same(&c->labels[i].point, point) &&
            strcmp(c->labels[i].workload, name) == 0) {
            sum += omt_label_value(&c->labels[i], wall);
            n++;
        }
    return n > 0 ? sum / n : 0;
}

/* Of all points, each the mean over its repeats. */
static double best_mean(const struct omt_campaign *c, uint32_t workload, bool wall)
{
    const char *name = c->config.workload[workload].name;
    double best = 0;
    for (uint32_t i = 0; i < c->label_count; i++) {
        if (strcmp(c->labels[i].workload, name) != 0)
            continue;
        double mean = omt_campaign_mean(c, workload, &c->labels[i].point, wall);
        if (best <= 0 || mean < best)
            best = mean;
    }
    return best;
}

/* ---- the sampler's world ------------------------------------------------------------------------- */

struct learn {
    struct omt_campaign *c;
    const struct omt_learn_options *options;
    const uint32_t *workloads; /* of the campaign */
    uint32_t count;
    struct omi_choose_config config;
    struct omi_tune_space *spaces;
    struct omi_choose *choose;
};

static const struct omi_workload *workload_at(const struct learn *l, uint32_t i)
{
    return &l->c->config.workload[l->workloads[i]];
}

/* What has labels, and only that. */
static omen_err space_recorded(const struct learn *l, uint32_t i, struct omi_tune_space *space)
{
    const char *name = workload_at(l, i)->name;
    uint32_t index;
    omen_err err = OMEN_OK;
    *space = (struct omi_tune_space){.limits = omt_spec_limits(workload_at(l, i))};
    for (uint32_t k = 0; k < l->c->label_count && err == OMEN_OK; k++)
        if (strcmp(l->c->labels[k].workload, name) == 0)
            err = omi_space_add(space, &l->c->labels[k].point, &index);
    if (err == OMEN_OK && space->count == 0)
        return omi_fail(OMEN_INVALID, 0, "no label of %s is recorded; tune grid makes them", name);
    return err;
}

static omen_err spaces_make(struct learn *l)
{
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < l->count && err == OMEN_OK; i++) {
        struct omi_space_limits limits = omt_spec_limits(workload_at(l, i));
        err = l->options->recorded
                  ? space_recorded(l, i, &l->spaces[i])
                  : omi_space_make(&limits, l->options->restrict_text, &l->spaces[i]);
    }
    return err;
}

static omen_err learn_begin(struct learn *l)
{
    l->spaces = omt_realloc(NULL, l->count * sizeof(*l->spaces));
    memset(l->spaces, 0, l->count * sizeof(*l->spaces));
    omen_err err = omi_choose_mode_parse(l->options->method, &l->config);
    if (err == OMEN_OK)
        err = spaces_make(l);
    if (err != OMEN_OK)
        return err;
    l->config.budget = l->options->budget;
    l->config.repeats = l->options->repeats;
    l->config.seed = l->options->seed;
    struct omi_space_limits limits = omt_spec_limits(workload_at(l, 0));
    l->config.standard = omt_default_point(&limits);
    struct omi_choose_workload *works = omt_realloc(NULL, l->count * sizeof(*works));
    for (uint32_t i = 0; i < l->count; i++) {
        omi_tune_workload_of(workload_at(l, i), &l->c->config.prices, &works[i].workload);
        works[i].space = &l->spaces[i];
    }
    err = omi_choose_create(&l->config, works, l->count, &l->choose);
    free(works);
    return err;
}

static void learn_end(struct learn *l)
{
    omi_choose_destroy(l->choose);
    for (uint32_t i = 0; i < l->count && l->spaces != NULL; i++)
        omi_space_fini(&l->spaces[i]);
    free(l->spaces);
}

/* ---- the loop ------------------------------------------------------------------------------------ */

/* A finalist's repeats are measured together: on one build. */
static uint32_t wishes_of(const struct learn *l, uint32_t i, const struct omi_choose_step *step,
                          struct omt_wish *wishes)
{
    uint32_t n = step->stage == OMI_CHOOSE_FINAL && l->config.repeats > 1 ? l->config.repeats : 1;
    for (uint32_t r = 0; r < n; r++) {
        wishes[r] = (struct omt_wish){
            .workload = l->workloads[i], .repeat = step->repeat + r, .point = step->point};
        if (step->guess.log_sd > 0) {
            wishes[r].predicted = exp(step->guess.log_mean);
            wishes[r].predicted_sd = step->guess.log_sd;
        }
        snprintf(wishes[r].method, sizeof(wishes[r].method), "%s", l->options->method);
    }
    return n;
}

static omen_err labels_back(struct learn *l, const struct omi_choose_step *steps)
{
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < l->count && err == OMEN_OK; i++) {
        if (steps[i].done)
            continue;
        const struct omt_label *label =
            omt_campaign_find(l->c, l->workloads[i], &steps[i].point, steps[i].repeat);
        char text[OMT_POINT_TEXT];
        if (label == NULL)
            return omi_fail(OMEN_INVALID, 0, "%s has no label of %s, repeat %" PRIu32,
                            workload_at(l, i)->name, omt_point_text(&steps[i].point, text),
                            steps[i].repeat);
        err = omi_choose_add(l->choose, i, &steps[i].point,
                             omt_label_value(label, l->options->wall), 1);
    }
    return err;
}

/* One step of each workload; done_out: there was none. */
static omen_err learn_round(struct learn *l, struct omi_choose_step *steps, struct omt_wish *wishes,
                            bool *done_out)
{
    uint32_t n = 0;
    omen_err err = OMEN_OK;
    *done_out = true;
    for (uint32_t i = 0; i < l->count && err == OMEN_OK; i++) {
        err = omi_choose_next(l->choose, i, &steps[i]);
        if (err != OMEN_OK || steps[i].done)
            continue;
        *done_out = false;
        n += wishes_of(l, i, &steps[i], wishes + n);
    }
    if (err == OMEN_OK && n > 0 && !l->options->recorded)
        err = omt_measure(l->c, l->options->measure, wishes, n);
    return err == OMEN_OK ? labels_back(l, steps) : err;
}

static omen_err choice_make(struct learn *l, uint32_t i, struct omt_choice *choice)
{
    struct omi_choose_result r;
    omen_err err = omi_choose_result(l->choose, i, &r);
    if (err != OMEN_OK)
        return err;
    uint32_t w = l->workloads[i];
    bool wall = l->options->wall;
    *choice =
        (struct omt_choice){.seed = l->options->seed,
                            .budget = l->config.budget,
                            .measured = r.measured,
                            .point = r.point,
                            .j = omt_campaign_mean(l->c, w, &r.point, wall),
                            .j_default = omt_campaign_mean(l->c, w, &l->config.standard, wall),
                            .j_best = best_mean(l->c, w, wall),
                            .predicted = r.guess.log_mean,
                            .predicted_sd = r.guess.log_sd,
                            .kept_default = r.kept_standard};
    snprintf(choice->method, sizeof(choice->method), "%s", l->options->method);
    snprintf(choice->workload, sizeof(choice->workload), "%s", workload_at(l, i)->name);
    choice->regret = choice->j > 0 && choice->j_best > 0 ? choice->j / choice->j_best - 1 : 0;
    return OMEN_OK;
}

static omen_err model_make(struct learn *l, uint8_t **model_out, size_t *bytes_out)
{
    const struct omi_tune_model *model;
    if (l->config.mode == OMI_CHOOSE_THEORY || l->config.mode == OMI_CHOOSE_ENDURE)
        return OMEN_OK;
    omen_err err = omi_choose_model(l->choose, &model);
    if (err != OMEN_OK)
        return err;
    *bytes_out = omi_tune_model_bytes(model);
    *model_out = omt_realloc(NULL, *bytes_out);
    omi_tune_model_encode(model, *model_out);
    return OMEN_OK;
}

/* A choice that was never measured (theory's, or a model's best) is measured now. */
static omen_err choices_measure(struct learn *l, const struct omt_choice *choices)
{
    struct omt_wish *wishes = omt_realloc(NULL, 2 * l->count * sizeof(*wishes));
    uint32_t n = 0;
    for (uint32_t i = 0; i < l->count; i++)
        for (int standard = 0; standard < 2; standard++) {
            const struct omi_point *p = standard != 0 ? &l->config.standard : &choices[i].point;
            wishes[n] = (struct omt_wish){.workload = l->workloads[i], .point = *p};
            snprintf(wishes[n++].method, sizeof(wishes->method), "%s", l->options->method);
        }
    omen_err err = omt_measure(l->c, l->options->measure, wishes, n);
    free(wishes);
    return err;
}

static omen_err learn_run(struct learn *l, struct omt_choice *choices_out)
{
    uint32_t each = l->options->repeats > 1 ? l->options->repeats : 1;
    struct omi_choose_step *steps = omt_realloc(NULL, l->count * sizeof(*steps));
    struct omt_wish *wishes = omt_realloc(NULL, (size_t)l->count * each * sizeof(*wishes));
    bool done = false;
    omen_err err = OMEN_OK;
    while (!done && err == OMEN_OK)
        err = learn_round(l, steps, wishes, &done);
    for (int pass = 0; pass < 2 && err == OMEN_OK; pass++) {
        for (uint32_t i = 0; i < l->count && err == OMEN_OK; i++)
            err = choice_make(l, i, &choices_out[i]);
        if (l->options->recorded || pass == 1)
            break;
        if (err == OMEN_OK)
            err = choices_measure(l, choices_out);
    }
    free(steps);
    free(wishes);
    return err;
}

omen_err omt_learn(struct omt_campaign *c, const uint32_t *workloads, uint32_t count,
                   const struct omt_learn_options *options, struct omt_choice *choices_out,
                   uint8_t **model_out, size_t *model_bytes_out)
{
    struct learn l = {.c = c, .options = options, .workloads = workloads, .count = count};
    if (model_out != NULL)
        *model_out = NULL;
    omen_err err = learn_begin(&l);
    if (err == OMEN_OK)
        err = learn_run(&l, choices_out);
    if (err == OMEN_OK && model_out != NULL)
        err = model_make(&l, model_out, model_bytes_out);
    learn_end(&l);
    return err;
}

/* ---- the verb ------------------------------------------------------------------------------------ */

static void choices_print(const struct omt_choice *choices, uint32_t count, bool wall)
{
    char text[OMT_POINT_TEXT];
    printf("%-12s %10s %10s %8s  %s\n", "workload", "default", "chosen", "better",
           wall ? "configuration (J_wall, us)" : "configuration (J_io, page reads)");
    for (uint32_t i = 0; i < count; i++) {
        const struct omt_choice *c = &choices[i];
        double gain = c->j_default > 0 ? 1 - c->j / c->j_default : 0;
        printf("%-12s %10.4f %10.4f %7.1f%%  %s%s%s%s\n", c->workload, c->j_default, c->j,
               gain * 100, omt_bold(), omt_point_text(&c->point, text), omt_plain(),
               c->kept_default ? "  (the default: nothing is better beyond doubt)" : "");
    }
}

struct model_bytes {
    const uint8_t *data;
    size_t size;
};

static void model_write(void *context, FILE *out)
{
    const struct model_bytes *m = context;
    fwrite(m->data, 1, m->size, out);
}

static bool model_save(const char *dir, const uint8_t *model, size_t size)
{
    char path[OMT_TUNE_PATH];
    struct model_bytes m = {model, size};
    if (model == NULL)
        return true;
    return omt_lines_path(path, dir, "model.omtm") && omt_lines_replace(path, model_write, &m);
}

static int learn_verb(struct omt_tune_flags *f, struct omt_learn_options *o, struct omt_campaign *c,
                      const struct omt_campaign_config *config)
{
    struct omt_measure_options measure;
    struct omt_choice choices[OMT_WORKLOADS_MAX];
    uint32_t workloads[OMT_WORKLOADS_MAX];
    uint8_t *model = NULL;
    size_t model_bytes = 0;
    if (!omt_tune_flags_measure(f, c->dir, &c->config, o->method, &measure))
        return OMT_EXIT_USAGE;
    for (uint32_t i = 0; i < config->workload_count; i++)
        workloads[i] = omt_tune_workload_find(c, &config->workload[i]);
    o->measure = &measure;
    omen_err err =
        omt_learn(c, workloads, config->workload_count, o, choices, &model, &model_bytes);
    if (!f->keep && !o->recorded)
        rmdir(measure.run.work);
    int result = omt_tune_ended(err, "learn");
    if (err == OMEN_OK && (!omt_choices_save(c->dir, choices, config->workload_count) ||
                           !model_save(c->dir, model, model_bytes)))
        result = OMT_EXIT_ERROR;
    free(model);
    if (err != OMEN_OK)
        return result;
    if (f->json)
        for (uint32_t i = 0; i < config->workload_count; i++)
            omt_choice_write(stdout, &choices[i]);
    else
        choices_print(choices, config->workload_count, o->wall);
    return result;
}

static bool objective_parse(const char *verb, const char *text, bool *wall_out)
{
    *wall_out = strcmp(text, "wall") == 0;
    if (*wall_out || strcmp(text, "io") == 0)
        return true;
    fprintf(stderr, "omendb: tune %s: --objective is io or wall; see omendb tune %s --help\n", verb,
            verb);
    return false;
}

int omt_tune_learn(int argc, char **argv)
{
    struct omt_tune_flags f;
    struct omt_learn_options o = {.method = "lcb"};
    const char *objective = "io";
    uint64_t budget = 12;
    omt_tune_flags_init(&f);
    f.repeats = 3;
    const struct omt_flag flags[] = {
        {"mode", OMT_TEXT, &o.method, "lcb|decoupled|random|grid|theory|endure:RHO",
         "how to choose what to measure (lcb)", NULL},
        {"budget", OMT_U64, &budget, NULL, "measurements a workload (12)", NULL},
        {"repeats", OMT_U64, &f.repeats, NULL, "of each finalist (3; 0: no finals)", NULL},
        {"objective", OMT_TEXT, &objective, "io|wall", "what is to be least (io)", NULL},
        {"recorded", OMT_BOOL, &o.recorded, NULL, "among DIR's labels; nothing is run", NULL},
        {"space", OMT_TEXT, &f.space, "T=2,4;K=1,T-1;Z=1;h=6,10;cache=0,20",
         "these points in place of all", NULL},
        {"json", OMT_BOOL, &f.json, NULL, "the choices as JSON lines", NULL},
        OMT_TUNE_WORK_FLAGS(&f),
        OMT_TUNE_RUN_FLAGS(&f)};
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune learn",
        .usage = "omendb tune learn [flags] DIR",
        .text = "Finds the configuration that costs each workload least: measures a few, fits a "
                "model to\nall labels of the campaign DIR, measures what the model thinks best "
                "or knows least, and\nrepeats the finalists. Writes choices.jsonl and "
                "model.omtm into DIR.\nCtrl-C leaves what is measured; --resume goes on.",
        .examples = "  omendb tune learn /tmp/t --workloads=W5 --jobs=2\n"
                    "  omendb tune learn /tmp/t --workloads=W5 --jobs=2 --resume\n"
                    "  omendb tune learn /tmp/t --spec=mine.json --budget=24 --objective=wall\n"
                    "  omendb tune learn /tmp/grid --recorded --resume --repeats=0\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        omt_args_free(&args);
        omt_tune_flags_fini(&f);
        return parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
    }
    struct omt_campaign *c = omt_realloc(NULL, sizeof(*c));
    struct omt_campaign_config *config = omt_realloc(NULL, sizeof(*config));
    int result = OMT_EXIT_USAGE;
    o.seed = f.seed;
    o.budget = (uint32_t)budget;
    o.repeats = o.recorded ? 0 : (uint32_t)f.repeats;
    o.restrict_text = f.space;
    if (args.word_count != 1)
        omt_usage("tune learn", "name the campaign's directory");
    else if (budget < 1 || budget > 100000 || f.repeats > 100)
        omt_usage("tune learn", "--budget is 1 to 100000, --repeats 0 to 100");
    else if (objective_parse("learn", objective, &o.wall) &&
             omt_tune_flags_config(&f, "learn", "W1", config)) {
        result = OMT_EXIT_ERROR;
        if (omt_campaign_create(c, args.words[0], config, f.resume)) {
            result = learn_verb(&f, &o, c, config);
            if (!omt_campaign_end(c) && result == OMT_EXIT_OK)
                result = OMT_EXIT_ERROR;
        }
    }
    free(config);
    free(c);
    omt_args_free(&args);
    omt_tune_flags_fini(&f);
    return omt_stdout_end(result);
}

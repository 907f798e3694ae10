#include "tools/tune_trial.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"

/* ---- pools ----------------------------------------------------------------------------------- */

bool omt_pool_open(struct omt_pool *pool, const struct omt_campaign *recorded,
                   const struct omt_campaign_config *config, const char *work,
                   const struct omt_measure_options *options)
{
    *pool = (struct omt_pool){.recorded = recorded, .options = *options};
    pool->config = recorded != NULL ? &recorded->config : config;
    if (work == NULL)
        return true;
    struct omt_campaign_config live = *pool->config;
    snprintf(live.verb, sizeof(live.verb), "accept");
    live.restrict_text[0] = 0;
    if (!omt_campaign_create(&pool->live, work, &live, true))
        return false;
    pool->options.run.prices = pool->config->prices;
    if (pool->options.run.work != NULL)
        return true;
    snprintf(pool->databases, sizeof(pool->databases), "%s/work", work);
    pool->options.run.work = pool->databases;
    return true;
}

bool omt_pool_close(struct omt_pool *pool)
{
    return pool->live.dir[0] == 0 || omt_campaign_end(&pool->live);
}

static const struct omt_label *pool_find(const struct omt_pool *pool, const struct omt_wish *wish)
{
    const struct omt_label *label = NULL;
    if (pool->recorded != NULL)
        label = omt_campaign_find(pool->recorded, wish->workload, &wish->point, wish->repeat);
    if (label == NULL && pool->live.dir[0] != 0)
        label = omt_campaign_find(&pool->live, wish->workload, &wish->point, wish->repeat);
    return label;
}

static bool missing_tell(const struct omt_pool *pool, const struct omt_wish *wish)
{
    char options[OMI_POINT_TEXT];
    struct omi_space_limits limits = omt_spec_limits(&pool->config->workload[wish->workload]);
    omi_point_options(&limits, &wish->point, options);
    fprintf(stderr,
            "omendb: tune accept: no label of %s for %s; finish the campaign with omendb tune grid "
            "--resume\n",
            pool->config->workload[wish->workload].name, options);
    return false;
}

static bool missing_measure(struct omt_pool *pool, const struct omt_wish *wishes, uint32_t count)
{
    uint32_t before = pool->live.label_count;
    omen_err err = omt_measure(&pool->live, &pool->options, wishes, count);
    pool->made += pool->live.label_count - before;
    if (err == OMEN_ABORTED) {
        fprintf(stderr, "omendb: tune accept: stopped; the same command goes on from there\n");
        return false;
    }
    if (err != OMEN_OK)
        omt_tell("tune accept", err);
    return err == OMEN_OK;
}

bool omt_pool_labels(struct omt_pool *pool, const struct omt_wish *wishes, uint32_t count,
                     const struct omt_label **labels_out)
{
    struct omt_wish *missing = omt_realloc(NULL, (count + 1) * sizeof(*missing));
    uint32_t missing_count = 0;
    bool good = true;
    for (uint32_t i = 0; i < count; i++)
        if (pool_find(pool, &wishes[i]) == NULL)
            missing[missing_count++] = wishes[i];
    if (missing_count != 0)
        good = pool->live.dir[0] != 0 ? missing_measure(pool, missing, missing_count)
                                      : missing_tell(pool, &missing[0]);
    for (uint32_t i = 0; i < count && good; i++) {
        labels_out[i] = pool_find(pool, &wishes[i]);
        good = labels_out[i] != NULL || missing_tell(pool, &wishes[i]);
    }
    free(missing);
    return good;
}

double omt_pool_best(const struct omt_pool *pool, uint32_t workload)
{
    const struct omt_label *a = NULL, *b = NULL;
    if (pool->recorded != NULL)
        a = omt_campaign_best(pool->recorded, workload);
    if (pool->live.dir[0] != 0)
        b = omt_campaign_best(&pool->live, workload);
    if (a == NULL || (b != NULL && b->j_io < a->j_io))
        a = b;
    return a != NULL ? a->j_io : NAN;
}

bool omt_pool_space(const struct omt_pool *pool, uint32_t workload,
                    struct omi_tune_space *space_out)
{
    const struct omt_campaign *c = pool->recorded;
    const struct omi_workload *w = &pool->config->workload[workload];
    *space_out = (struct omi_tune_space){.limits = omt_spec_limits(w)};
    for (uint32_t i = 0; c != NULL && i < c->label_count; i++) {
        uint32_t at;
        if (strcmp(c->labels[i].workload, w->name) != 0)
            continue;
        omen_err err = omi_space_add(space_out, &c->labels[i].point, &at);
        if (err != OMEN_OK) {
            omi_space_fini(space_out);
            omt_tell("tune accept: a recorded point", err);
            return false;
        }
    }
    if (space_out->count != 0)
        return true;
    fprintf(stderr, "omendb: tune accept: nothing is recorded of workload %s; see --labels\n",
            w->name);
    return false;
}

/* ---- trials ---------------------------------------------------------------------------------- */

static bool spaces_make(struct omt_pool *pool, const struct omt_trial *t,
                        struct omi_tune_space *spaces)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->recorded_only) {
            if (!omt_pool_space(pool, t->workload[i], &spaces[i]))
                return false;
            continue;
        }
        struct omi_space_limits limits = omt_spec_limits(&pool->config->workload[t->workload[i]]);
        omen_err err = omi_space_make(&limits, t->restrict_text, &spaces[i]);
        if (err != OMEN_OK) {
            omt_tell("tune accept", err);
            return false;
        }
    }
    return true;
}

/* One step of each workload, then all their labels: how many steps were made; -1: told. */
static int round_run(struct omt_pool *pool, struct omt_trial *t, struct omi_choose *choose)
{
    struct omt_wish wishes[OMT_WORKLOADS_MAX];
    const struct omt_label *labels[OMT_WORKLOADS_MAX];
    uint32_t of[OMT_WORKLOADS_MAX], count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        struct omi_choose_step step;
        omen_err err = omi_choose_next(choose, i, &step);
        if (err != OMEN_OK) {
            omt_tell("tune accept", err);
            return -1;
        }
        if (step.done)
            continue;
        of[count] = i;
        wishes[count] = (struct omt_wish){.workload = t->workload[i],
                                          .repeat = step.repeat,
                                          .point = step.point,
                                          .predicted = exp(step.guess.log_mean),
                                          .predicted_sd = step.guess.log_sd};
        snprintf(wishes[count].method, sizeof(wishes[count].method), "%s",
                 omi_choose_mode_name(t->config.mode));
        count++;
    }
    if (!omt_pool_labels(pool, wishes, count, labels))
        return -1;
    for (uint32_t k = 0; k < count; k++) {
        omen_err err = omi_choose_add(choose, of[k], &wishes[k].point, labels[k]->j_io, 1);
        if (err != OMEN_OK) {
            omt_tell("tune accept", err);
            return -1;
        }
    }
    return (int)count;
}

/* What was chosen, and the default, as measured: theory chooses without measuring. */
static bool results_take(struct omt_pool *pool, struct omt_trial *t, struct omi_choose *choose)
{
    struct omt_wish wishes[2 * OMT_WORKLOADS_MAX];
    const struct omt_label *labels[2 * OMT_WORKLOADS_MAX];
    for (uint32_t i = 0; i < t->count; i++) {
        struct omi_choose_result r;
        struct omi_space_limits limits = omt_spec_limits(&pool->config->workload[t->workload[i]]);
        omen_err err = omi_choose_result(choose, i, &r);
        if (err != OMEN_OK) {
            omt_tell("tune accept", err);
            return false;
        }
        t->choice[i] = r.point;
        t->measured[i] = r.measured;
        wishes[2 * i] = (struct omt_wish){.workload = t->workload[i], .point = r.point};
        wishes[2 * i + 1] =
            (struct omt_wish){.workload = t->workload[i], .point = omt_default_point(&limits)};
        snprintf(wishes[2 * i].method, OMT_TUNE_NAME, "%s", omi_choose_mode_name(t->config.mode));
        snprintf(wishes[2 * i + 1].method, OMT_TUNE_NAME, "default");
    }
    if (!omt_pool_labels(pool, wishes, 2 * t->count, labels))
        return false;
    for (uint32_t i = 0; i < t->count; i++) {
        t->j[i] = labels[2 * i]->j_io;
        t->j_default[i] = labels[2 * i + 1]->j_io;
    }
    return true;
}

static bool trial_run(struct omt_pool *pool, struct omt_trial *t,
                      const struct omi_tune_space *spaces, struct omi_tune_model *model_out)
{
    struct omi_choose_workload workloads[OMT_WORKLOADS_MAX];
    struct omi_choose *choose;
    for (uint32_t i = 0; i < t->count; i++) {
        workloads[i].space = &spaces[i];
        omi_tune_workload_of(&pool->config->workload[t->workload[i]], &pool->config->prices,
                             &workloads[i].workload);
    }
    t->config.standard = omt_default_point(&workloads[0].workload.limits);
    omen_err err = omi_choose_create(&t->config, workloads, t->count, &choose);
    if (err != OMEN_OK) {
        omt_tell("tune accept", err);
        return false;
    }
    int made;
    do
        made = round_run(pool, t, choose);
    while (made > 0);
    bool good = made == 0 && results_take(pool, t, choose);
    const struct omi_tune_model *model;
    if (good && model_out != NULL) {
        err = omi_choose_model(choose, &model);
        good = err == OMEN_OK;
        if (good)
            *model_out = *model;
        else
            omt_tell("tune accept", err);
    }
    omi_choose_destroy(choose);
    return good;
}

bool omt_trial_run(struct omt_pool *pool, struct omt_trial *t, struct omi_tune_model *model_out)
{
    struct omi_tune_space spaces[OMT_WORKLOADS_MAX] = {0};
    bool good = spaces_make(pool, t, spaces) && trial_run(pool, t, spaces, model_out);
    for (uint32_t i = 0; i < t->count; i++)
        omi_space_fini(&spaces[i]);
    return good;
}

double omt_trial_regret(const struct omt_pool *pool, const struct omt_trial *t, uint32_t i)
{
    return t->j[i] / omt_pool_best(pool, t->workload[i]) - 1;
}

struct omt_spread omt_spread_of(const double *values, uint32_t count)
{
    struct omt_spread s = {.max = -INFINITY, .count = count};
    double squares = 0;
    for (uint32_t i = 0; i < count; i++) {
        s.mean += values[i] / count;
        s.max = values[i] > s.max ? values[i] : s.max;
    }
    for (uint32_t i = 0; i < count; i++)
        squares += (values[i] - s.mean) * (values[i] - s.mean);
    s.se = count > 1 ? sqrt(squares / (count - 1) / count) : 0;
    return s;
}

struct omt_spread omt_trial_regrets(const struct omt_pool *pool, const struct omt_trial *t)
{
    double regret[OMT_WORKLOADS_MAX];
    for (uint32_t i = 0; i < t->count; i++)
        regret[i] = omt_trial_regret(pool, t, i);
    return omt_spread_of(regret, t->count);
}

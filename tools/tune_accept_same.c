/*
 * tune_accept_same.c - A20: two campaigns from nothing with one seed give the same labels, choices
 * and model, byte for byte, whatever the number of processes.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/tune_accept.h"

enum { TWICE = 2, ENTRIES = 20000 };

struct outcome {
    struct omt_bytes labels, choices, model;
    uint32_t runs;
};

static void outcome_free(struct outcome *o)
{
    omt_bytes_free(&o->labels);
    omt_bytes_free(&o->choices);
    omt_bytes_free(&o->model);
}

static bool config_make(const struct omt_accept *a, struct omt_campaign_config *c)
{
    static const char *const names[] = {"W1", "W5", "W11", "W12"};
    memset(c, 0, sizeof(*c));
    c->prices = omi_cost_prices_default;
    c->seed = a->seed;
    snprintf(c->verb, sizeof(c->verb), "accept");
    c->workload_count = a->is_short ? 2 : 4;
    for (uint32_t i = 0; i < c->workload_count; i++) {
        struct omi_workload *w = &c->workload[i];
        omen_err err = omi_workload_named(names[a->is_short ? i * 2 : i], w);
        if (err != OMEN_OK) {
            omt_tell("tune accept", err);
            return false;
        }
        w->entries = ENTRIES;
        w->memory_bits = 62;
        w->phase[0].ops = 4000;
    }
    return true;
}

/* As they stand in labels.jsonl, without what depends on the clock. */
static void labels_take(const struct omt_campaign *c, struct omt_bytes *out)
{
    char *text = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&text, &size);
    if (memory == NULL)
        return;
    for (uint32_t i = 0; i < c->label_count; i++)
        omt_label_write(memory, &c->labels[i], false);
    if (fclose(memory) == 0)
        omt_bytes_append(out, text, size);
    free(text);
}

static void choices_take(const struct omt_trial *t, const struct omi_tune_model *model,
                         struct outcome *out)
{
    for (uint32_t i = 0; i < t->count; i++) {
        char line[160];
        const struct omi_point *p = &t->choice[i];
        int n = snprintf(line, sizeof(line), "%u %u %u %u %u %a %a\n", p->size_ratio, p->runs_upper,
                         p->runs_last, p->filter_bits, p->cache_pct, t->j[i], t->j_default[i]);
        omt_bytes_append(&out->choices, line, (size_t)n);
    }
    size_t size = omi_tune_model_bytes(model);
    uint8_t *bytes = omt_realloc(NULL, size);
    omi_tune_model_encode(model, bytes);
    omt_bytes_append(&out->model, bytes, size);
    free(bytes);
}

static bool campaign_run(struct omt_accept *a, const struct omt_campaign_config *config,
                         const char *name, uint32_t jobs, struct outcome *out)
{
    struct omt_pool pool;
    struct omt_measure_options options = a->options;
    char dir[OMT_TUNE_PATH];
    options.jobs = jobs;
    if (!omt_accept_dir(a, name, dir) || !omt_pool_open(&pool, NULL, config, dir, &options))
        return false;
    struct omt_trial *t = omt_realloc(NULL, sizeof(*t));
    struct omi_tune_model *model = omt_realloc(NULL, sizeof(*model));
    memset(t, 0, sizeof(*t));
    t->config.mode = OMI_CHOOSE_LCB;
    t->config.budget = a->is_short ? 6 : 8;
    t->config.seed = a->seed;
    t->count = config->workload_count;
    for (uint32_t i = 0; i < t->count; i++)
        t->workload[i] = i;
    bool good = omt_trial_run(&pool, t, model);
    if (good) {
        labels_take(&pool.live, &out->labels);
        choices_take(t, model, out);
        out->runs = pool.live.label_count;
    }
    free(model);
    free(t);
    return omt_pool_close(&pool) && good;
}

static uint32_t bytes_differ(const struct omt_bytes *a, const struct omt_bytes *b)
{
    return a->size != b->size || a->size == 0 || memcmp(a->data, b->data, a->size) != 0;
}

bool omt_accept_a20(struct omt_accept *a, struct omt_row *row)
{
    struct omt_campaign_config *config = omt_realloc(NULL, sizeof(*config));
    struct outcome out[TWICE] = {0};
    bool good = config_make(a, config);
    /* The second from nothing, with another number of processes. */
    good = good && campaign_run(a, config, "same-1", 1, &out[0]);
    good = good && campaign_run(a, config, "same-2", 2, &out[1]);
    uint32_t labels = bytes_differ(&out[0].labels, &out[1].labels);
    uint32_t choices = bytes_differ(&out[0].choices, &out[1].choices);
    uint32_t model = bytes_differ(&out[0].model, &out[1].model);
    omt_accept_say(a, "labels %s, choices %s, model %s\n", labels ? "differ" : "alike",
                   choices ? "differ" : "alike", model ? "differs" : "alike");
    row->figure[0] =
        (struct omt_figure){"differences", OMT_COUNT, false, labels + choices + model, 0, NAN};
    row->count = 1;
    snprintf(row->note, sizeof(row->note),
             "two campaigns of %" PRIu32 " runs, with one process and with two", out[0].runs);
    for (int i = 0; i < TWICE; i++)
        outcome_free(&out[i]);
    free(config);
    return good;
}

#include "tools/tune_flags.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/tune_lines.h"

void omt_tune_flags_init(struct omt_tune_flags *f)
{
    *f = (struct omt_tune_flags){.seed = 1, .jobs = 1};
}

void omt_tune_flags_fini(struct omt_tune_flags *f)
{
    free(f->specs.at); /* the texts are argv's */
}

static bool tell(const char *verb, const char *why)
{
    fprintf(stderr, "omendb: tune %s: %s; see omendb tune %s --help\n", verb, why, verb);
    return false;
}

/* Operations of a later phase stay in their proportion to the first's. */
static void workload_fit(const struct omt_tune_flags *f, bool named, struct omi_workload *w)
{
    if (named || f->scale != 0)
        omt_spec_scale(w, (unsigned)f->scale);
    if (f->n != 0)
        w->entries = f->n;
    for (uint32_t i = 0; i < w->phase_count && f->ops != 0; i++)
        w->phase[i].ops = f->ops;
    if (f->bits > 0)
        w->memory_bits = f->bits;
    if (named || f->seed != 1)
        w->seed = f->seed;
}

static bool workload_add(const struct omt_tune_flags *f, const char *verb, const char *text,
                         struct omt_campaign_config *c)
{
    char why[96];
    struct omi_workload w, named;
    if (c->workload_count == OMT_WORKLOADS_MAX)
        return tell(verb, "more than 64 workloads");
    if (!omt_spec_load(text, &w))
        return false;
    workload_fit(f, omi_workload_named(text, &named) == OMEN_OK, &w);
    if (omi_workload_settle(&w) != OMEN_OK)
        return tell(verb, omen_last_error());
    for (uint32_t i = 0; i < c->workload_count; i++)
        if (strcmp(c->workload[i].name, w.name) == 0) {
            snprintf(why, sizeof(why), "two workloads are called %s; give one another name",
                     w.name);
            return tell(verb, why);
        }
    c->workload[c->workload_count++] = w;
    return true;
}

static bool names_add(const struct omt_tune_flags *f, const char *verb, const char *names,
                      struct omt_campaign_config *c)
{
    char copy[1024], *save = NULL;
    if (snprintf(copy, sizeof(copy), "%s", names) >= (int)sizeof(copy))
        return tell(verb, "--workloads is too long");
    for (char *word = strtok_r(copy, ", ", &save); word != NULL; word = strtok_r(NULL, ", ", &save))
        if (!workload_add(f, verb, word, c))
            return false;
    return true;
}

bool omt_tune_flags_config(const struct omt_tune_flags *f, const char *verb, const char *fallback,
                           struct omt_campaign_config *config_out)
{
    struct omt_campaign_config *c = config_out;
    memset(c, 0, sizeof(*c));
    snprintf(c->verb, sizeof(c->verb), "%s", verb);
    if (f->scale > 2)
        return tell(verb, "--scale is 0, 1 or 2");
    if (f->space != NULL && strlen(f->space) >= sizeof(c->restrict_text))
        return tell(verb, "--space is too long");
    snprintf(c->restrict_text, sizeof(c->restrict_text), "%s", f->space != NULL ? f->space : "");
    c->scale = (unsigned)f->scale;
    c->seed = f->seed;
    if (!omt_prices_load(f->prices, &c->prices))
        return false;
    if (f->workloads != NULL && !names_add(f, verb, f->workloads, c))
        return false;
    for (size_t i = 0; i < f->specs.count; i++)
        if (!workload_add(f, verb, f->specs.at[i], c))
            return false;
    if (c->workload_count == 0 && !names_add(f, verb, fallback, c))
        return false;
    return c->workload_count != 0 || tell(verb, "name a workload with --workloads or --spec");
}

/* Long enough never to meet again. */
static const char *session_make(char out[static 20])
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    uint64_t id = omi_random_mix((uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec) ^
                  omi_random_mix((uint64_t)getpid());
    snprintf(out, 20, "%016" PRIx64, id);
    return out;
}

bool omt_tune_flags_measure(const struct omt_tune_flags *f, const char *dir,
                            const struct omt_campaign_config *config, const char *what,
                            struct omt_measure_options *options_out)
{
    static char session[20], work[OMT_TUNE_PATH]; /* one campaign a process */
    if (f->jobs < 1 || f->jobs > 64)
        return tell(config->verb, "--jobs is 1 to 64");
    if (f->time_limit < 0)
        return tell(config->verb, "--time-limit is in seconds");
    if (f->work == NULL && !omt_lines_path(work, dir, "work"))
        return false;
    if (f->work == NULL && !f->keep)
        omt_measure_clear(work);
    *options_out = (struct omt_measure_options){.run = {.prices = config->prices,
                                                        .by_kind = f->by_kind,
                                                        .keep = f->keep,
                                                        .session = session_make(session),
                                                        .work = f->work != NULL ? f->work : work,
                                                        .options = f->options,
                                                        .stop = &omt_measure_stopped},
                                                .jobs = (uint32_t)f->jobs,
                                                .time_limit_s = f->time_limit,
                                                .progress = true,
                                                .what = what};
    omt_measure_catch();
    return true;
}

uint32_t omt_tune_workload_find(const struct omt_campaign *c, const struct omi_workload *workload)
{
    for (uint32_t i = 0; i < c->config.workload_count; i++)
        if (strcmp(c->config.workload[i].name, workload->name) == 0)
            return i;
    return UINT32_MAX;
}

int omt_tune_ended(omen_err err, const char *verb)
{
    if (err == OMEN_OK)
        return OMT_EXIT_OK;
    fprintf(stderr, "omendb: tune %s: %s%s\n", verb, omen_last_error(),
            err == OMEN_ABORTED ? "; the labels so far are kept, --resume goes on from there" : "");
    return err == OMEN_ABORTED ? OMT_EXIT_PROBLEM : omt_exit_of(err);
}

/*
 * tune_accept_wall.c - A3, A4, A7, A8, A9: time, and larger scales. Runs are kept below --work and
 * taken up again, so that a row may be reached in several goes.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/tune_accept.h"
#include "tools/tune_explain.h"

enum { REPEATS = 3 };

/* ---- twins: what ships and what was chosen, run by turns --------------------------------------- */

struct twins {
    struct omt_accept *a;
    struct omt_campaign campaign; /* their labels; a point and a repeat each */
    struct omt_measure_options options;
    uint32_t repeats;
    char work[OMT_TUNE_PATH];
};

static bool twins_open(struct twins *t, struct omt_accept *a, unsigned scale, uint32_t repeats)
{
    struct omt_campaign_config *config = omt_realloc(NULL, sizeof(*config));
    char name[16], dir[OMT_TUNE_PATH];
    memset(t, 0, sizeof(*t));
    t->a = a;
    t->repeats = repeats;
    t->options = a->options;
    *config = *a->pool.config;
    config->scale = scale;
    snprintf(config->verb, sizeof(config->verb), "accept");
    config->restrict_text[0] = 0;
    for (uint32_t i = 0; i < config->workload_count; i++)
        omt_spec_scale(&config->workload[i], scale);
    snprintf(name, sizeof(name), "s%u", scale);
    bool good =
        omt_accept_dir(a, name, dir) && omt_campaign_create(&t->campaign, dir, config, true);
    free(config);
    snprintf(name, sizeof(name), "s%u-work", scale);
    if (good && a->databases == NULL) {
        good = omt_accept_dir(a, name, t->work);
        t->options.run.work = t->work;
    }
    t->options.run.prices = t->campaign.config.prices;
    return good;
}

static bool twin_run(struct twins *t, struct omt_build *build, uint32_t w, uint32_t repeat,
                     const char *method)
{
    struct omt_label *label = omt_realloc(NULL, sizeof(*label));
    omen_err err = omt_run(build, &t->campaign.config.workload[w], repeat, label);
    bool good = err == OMEN_OK;
    if (good) {
        snprintf(label->method, sizeof(label->method), "%s", method);
        good = omt_campaign_add(&t->campaign, label);
    } else {
        omt_tell("tune accept", err);
    }
    free(label);
    return good;
}

static bool twins_complete(const struct twins *t, uint32_t w, const struct omi_point points[2])
{
    for (uint32_t r = 0; r < t->repeats; r++)
        for (int i = 0; i < 2; i++)
            if (omt_campaign_find(&t->campaign, w, &points[i], r) == NULL)
                return false;
    return true;
}

/* points[0]: what ships; [1]: what was chosen. Both stand on the disk at once, and run by turns: what
 * the machine does meanwhile strikes both. */
static bool twins_run(struct twins *t, uint32_t w, const struct omi_point points[2])
{
    static const char *const methods[2] = {"default", "lcb"};
    struct omt_build *builds[2] = {NULL, NULL};
    const struct omi_workload *workload = &t->campaign.config.workload[w];
    int kinds = omi_point_same(&points[0], &points[1]) ? 1 : 2;
    bool good = true;
    if (twins_complete(t, w, points))
        return true;
    for (int i = 0; i < kinds && good; i++) {
        omen_err err = omt_build_make(&t->options.run, workload, &points[i], &builds[i]);
        good = err == OMEN_OK;
        if (!good)
            omt_tell("tune accept", err);
    }
    for (uint32_t r = 0; r < t->repeats && good; r++)
        for (int i = 0; i < kinds && good; i++) {
            int turn = (int)(r % 2) ^ i; /* first one, then the other goes first */
            turn = kinds == 1 ? 0 : turn;
            if (omt_campaign_find(&t->campaign, w, &points[turn], r) == NULL)
                good = twin_run(t, builds[turn], w, r, methods[turn]);
        }
    for (int i = 0; i < kinds; i++)
        if (builds[i] != NULL)
            omt_build_destroy(builds[i]);
    return good;
}

struct twin_times {
    double us[2][REPEATS], io[2];
};

static void twins_times(const struct twins *t, uint32_t w, const struct omi_point points[2],
                        struct twin_times *out)
{
    for (int i = 0; i < 2; i++)
        for (uint32_t r = 0; r < t->repeats; r++) {
            const struct omt_label *label = omt_campaign_find(&t->campaign, w, &points[i], r);
            out->us[i][r] = label != NULL ? label->wall.j_us : NAN;
            out->io[i] = label != NULL ? label->j_io : NAN;
        }
}

/* What ships and what was chosen at S0, at the twins' scale: shares of memory stay. */
static void twins_points(const struct twins *t, uint32_t i, struct omi_point points[2])
{
    const struct omt_trial *chosen = &t->a->lcb[1];
    struct omi_space_limits limits =
        omt_spec_limits(&t->campaign.config.workload[chosen->workload[i]]);
    points[0] = omt_default_point(&limits);
    points[1] = chosen->choice[i];
}

/* ---- A3 and A4 ------------------------------------------------------------------------------- */

struct gains {
    uint32_t count;
    double gain[OMT_WORKLOADS_MAX]; /* of J_wall: 0.3 is 30 % less */
    double times_best, w5, w7;
    /* After confirmation on all repeats but the last: the last one, which had no say in it. */
    double worse_wall, worse_io;
    uint32_t kept_default;
};

static double mean_of(const double *values, uint32_t count)
{
    return omt_spread_of(values, count).mean;
}

/* Is what was chosen better beyond doubt, by all repeats but the last? */
static bool confirmed(const struct twin_times *times, uint32_t repeats)
{
    struct omt_spread a = omt_spread_of(times->us[0], repeats - 1);
    struct omt_spread b = omt_spread_of(times->us[1], repeats - 1);
    return a.mean - b.mean > 2 * sqrt(a.se * a.se + b.se * b.se) && times->io[1] <= times->io[0];
}

static void gains_add(struct gains *g, const char *name, const struct twin_times *times,
                      uint32_t repeats)
{
    double before = mean_of(times->us[0], repeats), after = mean_of(times->us[1], repeats);
    double gain = 1 - after / before, times_better = before / after;
    g->gain[g->count++] = gain;
    g->times_best = times_better > g->times_best ? times_better : g->times_best;
    g->w5 = strcmp(name, "W5") == 0 ? gain : g->w5;
    g->w7 = strcmp(name, "W7") == 0 ? gain : g->w7;
    if (!confirmed(times, repeats)) {
        g->kept_default++;
        return;
    }
    double wall = times->us[1][repeats - 1] / times->us[0][repeats - 1] - 1;
    double io = times->io[1] / times->io[0] - 1;
    g->worse_wall = wall > g->worse_wall ? wall : g->worse_wall;
    g->worse_io = io > g->worse_io ? io : g->worse_io;
}

/* Was it asked for? Without --workloads the row's own list says. */
static bool listed(const struct omt_accept *a, const char *own, const char *name)
{
    const char *list = a->spec_text != NULL ? a->spec_text : own;
    size_t want = strlen(name);
    for (const char *at = list; at != NULL && *at != 0;) {
        size_t n = strcspn(at, ",");
        if (n == want && strncmp(at, name, n) == 0)
            return true;
        at += n + (at[n] == ',');
    }
    return list == NULL;
}

/* Runs what is listed and tells of all that is there: a row may be reached in several goes. */
static bool gains_make(struct omt_accept *a, unsigned scale, uint32_t repeats, const char *own,
                       struct gains *g)
{
    struct twins *t = omt_realloc(NULL, sizeof(*t));
    *g = (struct gains){.w5 = NAN, .w7 = NAN, .worse_wall = -INFINITY, .worse_io = -INFINITY};
    bool good = omt_accept_lcb(a, 1) && twins_open(t, a, scale, repeats);
    bool opened = good;
    omt_accept_say(a, "%-10s %-36s %12s %12s %8s\n", "workload", "choice", "default us", "us",
                   "change");
    for (uint32_t i = 0; i < a->lcb[1].count && good; i++) {
        uint32_t w = a->lcb[1].workload[i];
        const char *name = t->campaign.config.workload[w].name;
        struct omi_point points[2];
        struct twin_times times;
        char shape[OMT_SHAPE_TEXT];
        twins_points(t, i, points);
        if (listed(a, own, name))
            good = twins_run(t, w, points);
        if (!good)
            break;
        if (!twins_complete(t, w, points))
            continue;
        twins_times(t, w, points, &times);
        gains_add(g, name, &times, repeats);
        omt_accept_say(a, "%-10s %-36s %12.2f %12.2f %+7.1f%%\n", name,
                       omt_shape_text(shape, &points[1]), mean_of(times.us[0], repeats),
                       mean_of(times.us[1], repeats), -100 * g->gain[g->count - 1]);
    }
    if (opened)
        good = omt_campaign_end(&t->campaign) && good;
    free(t);
    return good;
}

bool omt_accept_a3(struct omt_accept *a, struct omt_row *row)
{
    struct gains g;
    if (!gains_make(a, 1, REPEATS, NULL, &g))
        return false;
    double mean = mean_of(g.gain, g.count);
    row->figure[0] = (struct omt_figure){"mean gain", OMT_PER_CENT, true, mean, 0.20, 0.28};
    row->figure[1] = (struct omt_figure){"best", OMT_TIMES, true, g.times_best, NAN, 8};
    row->count = 2;
    if (isfinite(g.w5))
        row->figure[row->count++] = (struct omt_figure){"W5", OMT_PER_CENT, true, g.w5, 0.6, NAN};
    if (isfinite(g.w7))
        row->figure[row->count++] = (struct omt_figure){"W7", OMT_PER_CENT, true, g.w7, 0.4, NAN};
    snprintf(row->note, sizeof(row->note),
             "J_wall of %" PRIu32 " workloads at S1, %d interleaved repeats of each", g.count,
             REPEATS);
    return true;
}

bool omt_accept_a4(struct omt_accept *a, struct omt_row *row)
{
    struct gains g;
    if (!gains_make(a, 1, REPEATS, NULL, &g))
        return false;
    double wall = g.kept_default < g.count ? g.worse_wall : 0;
    double io = g.kept_default < g.count ? g.worse_io : 0;
    row->figure[0] = (struct omt_figure){"worst J_wall", OMT_PER_CENT, false, wall, 0.03, 0};
    row->figure[1] = (struct omt_figure){"J_io", OMT_PER_CENT, false, io, 0, 0};
    row->count = 2;
    snprintf(row->note, sizeof(row->note),
             "change against what ships in the last repeat, of the %" PRIu32
             " choices that the others confirmed; %" PRIu32 " of %" PRIu32 " kept what ships",
             g.count - g.kept_default, g.kept_default, g.count);
    return true;
}

/* ---- A9 -------------------------------------------------------------------------------------- */

bool omt_accept_a9(struct omt_accept *a, struct omt_row *row)
{
    struct gains g;
    if (!gains_make(a, 2, 1, "W1,W4,W5,W7,W9,W10", &g))
        return false;
    uint32_t lower = 0;
    for (uint32_t i = 0; i < g.count; i++)
        lower += g.gain[i] > 0;
    double allowed = g.count >= 6 ? 1 : 0; /* of six, one may be no better */
    row->figure[0] =
        (struct omt_figure){"lower on", OMT_COUNT, true, lower, g.count - allowed, g.count};
    row->figure[1] =
        (struct omt_figure){"mean gain", OMT_PER_CENT, true, mean_of(g.gain, g.count), NAN, 0.20};
    row->count = 2;
    snprintf(row->note, sizeof(row->note), "J_wall of %" PRIu32 " workloads at S2", g.count);
    return true;
}

/* ---- A7 -------------------------------------------------------------------------------------- */

bool omt_accept_a7(struct omt_accept *a, struct omt_row *row)
{
    struct omt_campaign_config *config = omt_realloc(NULL, sizeof(*config));
    struct omt_trial *t = omt_realloc(NULL, sizeof(*t));
    struct omt_pool pool;
    char dir[OMT_TUNE_PATH];
    *config = a->recorded.dir[0] != 0 ? a->recorded.config : a->config;
    memset(t, 0, sizeof(*t));
    t->config.mode = OMI_CHOOSE_LCB;
    t->config.budget = 12;
    t->config.seed = a->seed;
    t->count = config->workload_count;
    for (uint32_t i = 0; i < t->count; i++)
        t->workload[i] = i;
    double from = omt_now_s();
    bool opened =
        omt_accept_dir(a, "a7", dir) && omt_pool_open(&pool, NULL, config, dir, &a->options);
    bool fresh = opened && pool.live.label_count == 0;
    bool good = opened && omt_trial_run(&pool, t, NULL);
    uint32_t runs = opened ? pool.live.label_count : 0;
    if (opened)
        good = omt_pool_close(&pool) && good;
    double minutes = (omt_now_s() - from) / 60;
    if (good && !fresh) {
        fprintf(stderr, "omendb: tune accept: A7 takes time from nothing; remove %s first\n", dir);
        good = false;
    }
    row->figure[0] = (struct omt_figure){"a campaign", OMT_MINUTES, false, minutes, 30, 15};
    row->count = 1;
    snprintf(row->note, sizeof(row->note),
             "%" PRIu32 " workloads, %" PRIu32 " runs, %" PRIu64 " processes", t->count, runs,
             a->jobs);
    free(t);
    free(config);
    return good;
}

/* ---- A8 -------------------------------------------------------------------------------------- */

/* Which workload of the campaign has that name; UINT32_MAX: none. */
static uint32_t workload_named(const struct omt_campaign_config *config, const char *name)
{
    for (uint32_t i = 0; i < config->workload_count; i++)
        if (strcmp(config->workload[i].name, name) == 0)
            return i;
    return UINT32_MAX;
}

static bool transfer_pool(struct omt_accept *a, struct omt_pool *pool)
{
    char dir[OMT_TUNE_PATH];
    if (a->recorded_s1.dir[0] == 0) {
        fprintf(stderr, "omendb: tune accept: A8 needs --labels-s1, a campaign that omendb tune "
                        "grid --scale=1 made\n");
        return false;
    }
    return omt_accept_dir(a, "a8", dir) &&
           omt_pool_open(pool, &a->recorded_s1, NULL, dir, &a->options);
}

bool omt_accept_a8(struct omt_accept *a, struct omt_row *row)
{
    struct omt_pool *pool = omt_realloc(NULL, sizeof(*pool));
    struct omt_wish wishes[OMT_WORKLOADS_MAX];
    const struct omt_label *labels[OMT_WORKLOADS_MAX];
    double more[OMT_WORKLOADS_MAX];
    uint32_t of[OMT_WORKLOADS_MAX], count = 0;
    bool good = omt_accept_lcb(a, 1) && transfer_pool(a, pool);
    if (!good) {
        free(pool);
        return false;
    }
    for (uint32_t i = 0; i < a->lcb[1].count; i++) {
        const char *name = a->pool.config->workload[a->lcb[1].workload[i]].name;
        uint32_t w = workload_named(pool->config, name);
        if (w == UINT32_MAX)
            continue;
        of[count] = i;
        wishes[count] = (struct omt_wish){.workload = w, .point = a->lcb[1].choice[i]};
        snprintf(wishes[count++].method, OMT_TUNE_NAME, "lcb");
    }
    good = omt_pool_labels(pool, wishes, count, labels);
    omt_accept_say(a, "%-10s %12s %12s\n", "workload", "regret S0", "regret S1");
    for (uint32_t k = 0; k < count && good; k++) {
        double small = omt_trial_regret(&a->pool, &a->lcb[1], of[k]);
        double large = labels[k]->j_io / omt_pool_best(pool, wishes[k].workload) - 1;
        more[k] = large - small;
        omt_accept_say(a, "%-10s %10.1f %% %10.1f %%\n", labels[k]->workload, 100 * small,
                       100 * large);
    }
    good = omt_pool_close(pool) && good;
    struct omt_spread s = omt_spread_of(more, good ? count : 0);
    row->figure[0] = (struct omt_figure){"mean regret more by",     OMT_PER_CENT, false,
                                         count != 0 ? s.mean : NAN, 0.05,         0.03};
    row->count = 1;
    snprintf(row->note, sizeof(row->note),
             "points of J_io regret, %" PRIu32 " workloads, worst %.1f", count, 100 * s.max);
    free(pool);
    return good;
}

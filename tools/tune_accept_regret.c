/*
 * tune_accept_regret.c - A1, A2, A5, A6: how far choices lie from the best point known.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tune_accept.h"
#include "tools/tune_explain.h"

static const double nothing = NAN;

/* ---- trials ---------------------------------------------------------------------------------- */

static void trial_start(const struct omt_accept *a, struct omt_trial *t, const char *mode,
                        uint32_t budget)
{
    *t = (struct omt_trial){.count = a->pool.config->workload_count};
    omen_err err = omi_choose_mode_parse(mode, &t->config);
    (void)err; /* the names here are right, and the row fails where one is not */
    t->config.budget = budget;
    t->config.seed = a->seed;
    for (uint32_t i = 0; i < t->count; i++)
        t->workload[i] = i;
}

bool omt_accept_lcb(struct omt_accept *a, unsigned which)
{
    uint32_t budget = a->is_short ? 8 : which == 0 ? 12 : 24;
    if (a->has_lcb[which])
        return true;
    if (!omt_accept_pool(a))
        return false;
    trial_start(a, &a->lcb[which], "lcb", budget);
    a->has_lcb[which] = omt_trial_run(&a->pool, &a->lcb[which], NULL);
    return a->has_lcb[which];
}

static void trial_say(const struct omt_accept *a, const struct omt_trial *t)
{
    omt_accept_say(a, "%-10s %-36s %8s %8s %8s %8s\n", "workload", "choice", "J_io", "best",
                   "regret", "default");
    for (uint32_t i = 0; i < t->count; i++) {
        char shape[OMT_SHAPE_TEXT];
        omt_accept_say(a, "%-10s %-36s %8.3f %8.3f %6.1f %% %8.3f\n",
                       a->pool.config->workload[t->workload[i]].name,
                       omt_shape_text(shape, &t->choice[i]), t->j[i],
                       omt_pool_best(&a->pool, t->workload[i]),
                       100 * omt_trial_regret(&a->pool, t, i), t->j_default[i]);
    }
}

static bool regret_row(struct omt_accept *a, struct omt_row *row, unsigned which,
                       const double bounds[4])
{
    if (!omt_accept_lcb(a, which))
        return false;
    const struct omt_trial *t = &a->lcb[which];
    struct omt_spread s = omt_trial_regrets(&a->pool, t);
    trial_say(a, t);
    row->figure[0] =
        (struct omt_figure){"mean regret", OMT_PER_CENT, false, s.mean, bounds[0], bounds[2]};
    row->figure[1] = (struct omt_figure){"max", OMT_PER_CENT, false, s.max, bounds[1], bounds[3]};
    row->count = 2;
    snprintf(row->note, sizeof(row->note), "%" PRIu32 " workloads, %" PRIu32 " samples each, J_io",
             t->count, t->config.budget);
    return true;
}

bool omt_accept_a1(struct omt_accept *a, struct omt_row *row)
{
    static const double bounds[4] = {0.08, 0.25, 0.05, 0.15};
    static const double bounds_short[4] = {0.12, NAN, 0.08, NAN};
    return regret_row(a, row, 0, a->is_short ? bounds_short : bounds);
}

bool omt_accept_a2(struct omt_accept *a, struct omt_row *row)
{
    static const double bounds[4] = {0.05, 0.15, 0.03, 0.10};
    return regret_row(a, row, 1, bounds);
}

/* ---- A5: the theory alone -------------------------------------------------------------------- */

bool omt_accept_a5(struct omt_accept *a, struct omt_row *row)
{
    struct omt_trial theory;
    if (!omt_accept_lcb(a, 1))
        return false;
    trial_start(a, &theory, "theory", 1);
    if (!omt_trial_run(&a->pool, &theory, NULL))
        return false;
    trial_say(a, &theory);
    struct omt_spread t = omt_trial_regrets(&a->pool, &theory);
    struct omt_spread lcb = omt_trial_regrets(&a->pool, &a->lcb[1]);
    row->figure[0] =
        (struct omt_figure){"mean regret", OMT_PER_CENT, false, lcb.mean, t.mean / 2, t.mean / 4};
    row->figure[1] =
        (struct omt_figure){"theory alone", OMT_PER_CENT, false, t.mean, nothing, nothing};
    row->count = 2;
    row->passes_anyway = lcb.mean <= 0.03 && lcb.max <= 0.10;
    if (row->passes_anyway)
        snprintf(row->note, sizeof(row->note), "A2's goal is met");
    return true;
}

/* ---- A6: against other samplers, on what is recorded ------------------------------------------ */

enum { RIVALS = 3, SEEDS_MAX = 100 };
static const char *const rivals[RIVALS] = {"lcb", "random", "decoupled"};

static double paired_se(const double *a, const double *b, uint32_t count)
{
    double difference[SEEDS_MAX];
    for (uint32_t i = 0; i < count; i++)
        difference[i] = a[i] - b[i];
    return omt_spread_of(difference, count).se;
}

bool omt_accept_a6(struct omt_accept *a, struct omt_row *row)
{
    double regret[RIVALS][SEEDS_MAX];
    struct omt_pool pool;
    uint32_t seeds = a->seeds < SEEDS_MAX ? (uint32_t)a->seeds : SEEDS_MAX;
    if (!omt_accept_pool(a) ||
        !omt_pool_open(&pool, a->pool.recorded != NULL ? a->pool.recorded : &a->pool.live, NULL,
                       NULL, &a->options))
        return false;
    for (uint32_t seed = 0; seed < seeds; seed++)
        for (int m = 0; m < RIVALS; m++) {
            struct omt_trial t;
            trial_start(a, &t, rivals[m], a->is_short ? 8 : 12);
            t.config.seed = a->seed + seed;
            t.recorded_only = true;
            if (!omt_trial_run(&pool, &t, NULL))
                return false;
            regret[m][seed] = omt_trial_regrets(&pool, &t).mean;
        }
    struct omt_spread s[RIVALS];
    for (int m = 0; m < RIVALS; m++) {
        s[m] = omt_spread_of(regret[m], seeds);
        omt_accept_say(a, "%-10s mean regret %5.2f %% +- %.2f %%, worst seed %.1f %%\n", rivals[m],
                       100 * s[m].mean, 100 * s[m].se, 100 * s[m].max);
    }
    double random_se = paired_se(regret[0], regret[1], seeds);
    double rounds_se = paired_se(regret[0], regret[2], seeds);
    double random_must = s[1].mean + random_se, rounds_must = s[2].mean + rounds_se;
    double must = random_must < rounds_must ? random_must : rounds_must;
    row->figure[0] =
        (struct omt_figure){"mean regret", OMT_PER_CENT, false, s[0].mean, must, s[1].mean / 2};
    row->figure[1] =
        (struct omt_figure){"random", OMT_PER_CENT, false, s[1].mean, nothing, nothing};
    row->figure[2] =
        (struct omt_figure){"CAMAL's rounds", OMT_PER_CENT, false, s[2].mean, nothing, nothing};
    row->count = 3;
    snprintf(row->note, sizeof(row->note),
             "%" PRIu32 " seeds on recorded points; must: the lower of the two and one standard "
             "error of the difference",
             seeds);
    return omt_pool_close(&pool);
}

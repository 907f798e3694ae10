/* tune_explain_make.c - the search behind explain: every point of the space, priced. */
#include <math.h>
#include <stdlib.h>

#include "compaction/cost_optimum.h"
#include "compaction/robust.h"
#include "tools/tune_explain.h"

/* A point by the theory, and by the model when there is one. */
static void shape_judge(const struct omt_explain *e, struct omt_explain_shape *s)
{
    const struct omi_tune_workload *w = &e->workload;
    omi_theory_cost_of(w, &s->point, &s->tree, &s->cost);
    s->theory = omi_cost_mix(&s->cost, w->mix);
    s->j = s->theory;
    s->log_sd = 0;
    if (!e->has_model)
        return;
    struct omi_tune_input input;
    omi_tune_input_make(w->mix, &s->point, s->tree.count, &s->cost, w->skew, w->data.scan_entries,
                        &input);
    struct omi_tune_guess guess = omi_tune_predict(&e->model, &input);
    s->j = exp(guess.log_mean);
    s->log_sd = guess.log_sd;
}

static bool same_shape(const struct omi_point *a, const struct omi_point *b)
{
    return a->size_ratio == b->size_ratio && a->runs_upper == b->runs_upper &&
           a->runs_last == b->runs_last;
}

/* Keeps the cheapest point of each shape, the cheapest shapes first, at most top of them. */
static void best_offer(struct omt_explain *e, const struct omt_explain_shape *s, uint32_t top)
{
    uint32_t at = 0;
    while (at < e->best_count && !same_shape(&e->best[at].point, &s->point))
        at++;
    if (at < e->best_count) {
        if (e->best[at].j <= s->j)
            return;
    } else if (e->best_count < top) {
        e->best_count++;
    } else if (e->best[--at].j <= s->j) {
        return;
    }
    for (; at > 0 && e->best[at - 1].j > s->j; at--)
        e->best[at] = e->best[at - 1];
    e->best[at] = *s;
}

static void robust_offer(struct omt_explain *e, const struct omt_explain_shape *s)
{
    double cost = omi_robust_cost(s->cost.cost, e->workload.mix, e->rho, NULL);
    if (cost >= e->robust_cost)
        return;
    e->robust_cost = cost;
    e->robust = *s;
}

static omen_err space_search(struct omt_explain *e, const struct omi_tune_space *space,
                             struct omi_theory *theory, uint32_t top)
{
    for (uint32_t i = 0; i < space->count; i++) {
        struct omt_explain_shape s = {.point = space->points[i]};
        struct omi_shape shape;
        omi_point_shape(&e->workload.limits, &s.point, &shape);
        omen_err err = omi_theory_tree(theory, &shape, &s.tree);
        if (err != OMEN_OK)
            return err;
        shape_judge(e, &s);
        best_offer(e, &s, top);
        robust_offer(e, &s);
    }
    return OMEN_OK;
}

static void priors_make(struct omt_explain *e)
{
    const struct omi_tune_workload *w = &e->workload;
    struct omi_cost_data data = w->data;
    const struct omi_point *best = &e->best[0].point;
    double memtable = (double)omi_point_memtable_bytes(&w->limits, best);
    data.filter_bits = best->filter_bits;
    e->ratio_leveling = omi_cost_ratio_leveling(&data, w->mix);
    e->ratio_tiering = omi_cost_ratio_tiering(&data, w->mix, memtable, 0);
    e->runs_prior = omi_cost_runs_prior(&data, best->size_ratio, w->mix, 0);
    e->bits_prior =
        omi_cost_bits_best(&data, w->mix, e->ratio_leveling, false, (double)w->limits.memory_bytes);
}

static omen_err now_judge(struct omt_explain *e)
{
    struct omi_cost cost;
    omen_err err = omi_theory_cost(&e->workload, &e->now.point, &e->now.tree, &cost);
    if (err != OMEN_OK)
        return err;
    shape_judge(e, &e->now);
    if (e->is_live) {
        e->live.point = e->now.point;
        shape_judge(e, &e->live);
    }
    return OMEN_OK;
}

omen_err omt_explain_make(struct omt_explain *e, const char *restrict_text, uint32_t top)
{
    struct omi_tune_space space;
    struct omi_theory theory;
    omen_err err = now_judge(e);
    if (err == OMEN_OK)
        err = omi_space_make(&e->workload.limits, restrict_text, &space);
    if (err != OMEN_OK)
        return err;
    e->space_count = space.count;
    e->best_count = 0;
    e->robust_cost = INFINITY;
    omi_theory_init(&theory, &e->workload.data);
    err = space_search(e, &space, &theory, top < OMT_EXPLAIN_TOP_MAX ? top : OMT_EXPLAIN_TOP_MAX);
    omi_theory_fini(&theory);
    omi_space_fini(&space);
    if (err != OMEN_OK)
        return err;
    priors_make(e);
    e->best_robust_cost = omi_robust_cost(e->best[0].cost.cost, e->workload.mix, e->rho, NULL);
    return OMEN_OK;
}

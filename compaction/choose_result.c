/*
 * choose_result.c - the choice, and what the model thinks of any point.
 */
#include "compaction/choose_state.h"

#include <math.h>
#include <stdlib.h>

static const double errors_sure = 2; /* standard errors that a gain must be more than */

static uint32_t theory_best(const struct omi_choose *choose, const struct omi_choose_work *work)
{
    uint32_t best = 0;
    double least = INFINITY;
    for (uint32_t i = 0; i < work->choosable; i++) {
        double cost = omi_choose_theory_cost(choose, work, i);
        if (cost < least) {
            least = cost;
            best = i;
        }
    }
    return best;
}

/* ---- measured -------------------------------------------------------------------------------- */

static bool may_be_chosen(const struct omi_choose_work *work, uint32_t index)
{
    return index < work->choosable || index == work->standard;
}

/* UINT32_MAX: nothing is measured. */
uint32_t omi_choose_incumbent(const struct omi_choose_work *work)
{
    uint32_t best = UINT32_MAX;
    double least = INFINITY;
    for (uint32_t i = 0; i < work->ready; i++) {
        const struct omi_choose_tally *t = &work->tallies[i];
        if (t->count == 0 || !may_be_chosen(work, i) || t->sum / t->weight >= least)
            continue;
        least = t->sum / t->weight;
        best = i;
    }
    return best;
}

/* Mean and its standard error, of the repeats alone if there are any: the first label of a finalist
 * helped to make it one. */
static void measured_of(const struct omi_choose_tally *t, double *mean_out, double *se_out)
{
    double n = t->final_count;
    *se_out = 0;
    if (t->final_count == 0) {
        *mean_out = t->count != 0 ? t->sum / t->weight : 0;
        return;
    }
    *mean_out = t->final_sum / n;
    double variance = t->final_square / n - *mean_out * *mean_out;
    if (t->final_count > 1 && variance > 0)
        *se_out = sqrt(variance / (n - 1));
}

/* The finalist with the least mean, unless the default is as good within the errors. */
static uint32_t finalist_best(const struct omi_choose_work *work)
{
    uint32_t best = UINT32_MAX;
    double least = INFINITY, least_se = 0, mean, se;
    for (uint32_t i = 0; i < work->finalist_count; i++) {
        const struct omi_choose_tally *t = &work->tallies[work->finalists[i]];
        measured_of(t, &mean, &se);
        if (t->final_count != 0 && mean < least) {
            least = mean;
            least_se = se;
            best = work->finalists[i];
        }
    }
    const struct omi_choose_tally *standard = &work->tallies[work->standard];
    if (best == UINT32_MAX || standard->final_count == 0)
        return best;
    measured_of(standard, &mean, &se);
    bool better = mean - least > errors_sure * sqrt(se * se + least_se * least_se);
    return better ? best : work->standard;
}

/* ---- the choice ------------------------------------------------------------------------------ */

/* lcb and grid believe what they have measured. Random and decoupled runs are samples for a model;
 * the choice is the model's, over all points, as CAMAL's is. */
static omen_err choice_find(struct omi_choose *choose, const struct omi_choose_work *work,
                            uint32_t *index_out)
{
    enum omi_choose_mode mode = choose->config.mode;
    omen_err err = OMEN_OK;
    uint32_t count;
    *index_out = UINT32_MAX;
    if (work->rows != 0 && mode != OMI_CHOOSE_THEORY && mode != OMI_CHOOSE_ENDURE)
        *index_out = finalist_best(work);
    if (*index_out != UINT32_MAX)
        return OMEN_OK;
    if (work->rows == 0 || mode == OMI_CHOOSE_THEORY || mode == OMI_CHOOSE_ENDURE) {
        *index_out = theory_best(choose, work);
    } else if (mode == OMI_CHOOSE_RANDOM || mode == OMI_CHOOSE_DECOUPLED) {
        err = omi_choose_rank(choose, work, OMI_CHOOSE_ALL, &count);
        if (err == OMEN_OK)
            *index_out = choose->ranked[0].index;
    } else {
        *index_out = omi_choose_incumbent(work);
    }
    return err;
}

omen_err omi_choose_result(struct omi_choose *choose, uint32_t workload,
                           struct omi_choose_result *result_out)
{
    uint32_t index;
    *result_out = (struct omi_choose_result){0};
    if (workload >= choose->work_count)
        return omi_fail(OMEN_INVALID, 0, "workload %" PRIu32 " of %" PRIu32, workload,
                        choose->work_count);
    const struct omi_choose_work *work = &choose->works[workload];
    omen_err err = choice_find(choose, work, &index);
    if (err == OMEN_OK && (choose->row_count != 0 || choose->config.has_prior))
        err = omi_choose_fit(choose);
    if (err != OMEN_OK)
        return err;
    struct omi_choose_result r = {.point = work->space.points[index],
                                  .measured = work->rows,
                                  .kept_standard = index == work->standard};
    double ignored;
    measured_of(&work->tallies[index], &r.label, &r.label_se);
    measured_of(&work->tallies[work->standard], &r.standard_label, &ignored);
    if (choose->fitted)
        r.guess = omi_choose_predicted(choose, work, index);
    *result_out = r;
    return OMEN_OK;
}

/* ---- questions ------------------------------------------------------------------------------- */

omen_err omi_choose_model(struct omi_choose *choose, const struct omi_tune_model **model_out)
{
    *model_out = NULL;
    omen_err err = omi_choose_fit(choose);
    if (err == OMEN_OK)
        *model_out = choose->model;
    return err;
}

omen_err omi_choose_guess(struct omi_choose *choose, uint32_t workload,
                          const struct omi_point *point, struct omi_tune_guess *guess_out,
                          struct omi_cost *cost_out)
{
    struct omi_shape shape;
    struct omi_cost_tree tree;
    struct omi_cost cost;
    struct omi_tune_input input;
    *guess_out = (struct omi_tune_guess){0};
    if (workload >= choose->work_count)
        return omi_fail(OMEN_INVALID, 0, "workload %" PRIu32 " of %" PRIu32, workload,
                        choose->work_count);
    const struct omi_choose_work *work = &choose->works[workload];
    const struct omi_tune_workload *w = &work->workload;
    omen_err err = omi_point_check(&w->limits, point);
    if (err == OMEN_OK) {
        omi_point_shape(&w->limits, point, &shape);
        err = omi_theory_tree(&choose->theories[work->theory], &shape, &tree);
    }
    if (err == OMEN_OK)
        err = omi_choose_fit(choose);
    if (err != OMEN_OK)
        return err;
    omi_theory_cost_of(w, point, &tree, &cost);
    omi_tune_input_make(w->mix, point, tree.count, &cost, w->skew, w->data.scan_entries, &input);
    *guess_out = omi_tune_predict(choose->model, &input);
    if (cost_out != NULL)
        *cost_out = cost;
    return OMEN_OK;
}

omen_err omi_choose_best(struct omi_choose *choose, uint32_t workload, struct omi_point *points_out,
                         uint32_t count, uint32_t *count_out)
{
    uint32_t ranked;
    *count_out = 0;
    if (workload >= choose->work_count)
        return omi_fail(OMEN_INVALID, 0, "workload %" PRIu32 " of %" PRIu32, workload,
                        choose->work_count);
    const struct omi_choose_work *work = &choose->works[workload];
    omen_err err = omi_choose_rank(choose, work, OMI_CHOOSE_ALL, &ranked);
    for (uint32_t i = 0; i < ranked && i < count && err == OMEN_OK; i++)
        points_out[(*count_out)++] = work->space.points[choose->ranked[i].index];
    return err;
}

#include "compaction/choose_state.h"
#include "compaction/robust.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BUDGET_DEFAULT = 12, EXPLORE_EVERY = 5, WEAK_STEPS = 3, FINAL_TOP = 3, RHO_MAX = 16 };

static const double kappa_default = 1, promising = 0.1;

static const char *const mode_names[OMI_CHOOSE_MODES] = {"lcb",  "decoupled", "random",
                                                         "grid", "theory",    "endure"};

/* ---- names ----------------------------------------------------------------------------------- */

const char *omi_choose_mode_name(enum omi_choose_mode mode)
{
    return mode < OMI_CHOOSE_MODES ? mode_names[mode] : "?";
}

const char *omi_choose_stage_name(enum omi_choose_stage stage)
{
    static const char *const names[] = {"warm", "exploit", "explore", "final"};
    return stage <= OMI_CHOOSE_FINAL ? names[stage] : "?";
}

omen_err omi_choose_mode_parse(const char *text, struct omi_choose_config *config)
{
    static const char endure[] = "endure:";
    for (int mode = 0; mode < OMI_CHOOSE_ENDURE; mode++)
        if (strcmp(text, mode_names[mode]) == 0) {
            config->mode = (enum omi_choose_mode)mode;
            return OMEN_OK;
        }
    if (strncmp(text, endure, sizeof(endure) - 1) == 0) {
        const char *number = text + sizeof(endure) - 1;
        char *end;
        double rho = strtod(number, &end);
        if (*number >= '0' && *number <= '9' && *end == 0 && rho >= 0 && rho <= RHO_MAX) {
            config->mode = OMI_CHOOSE_ENDURE;
            config->rho = rho;
            return OMEN_OK;
        }
        return omi_fail(OMEN_INVALID, 0, "\"%.40s\": rho must be a number from 0 to %d", text,
                        RHO_MAX);
    }
    return omi_fail(OMEN_INVALID, 0,
                    "\"%.40s\" is no way to choose; there are lcb, decoupled, random, grid, theory "
                    "and endure:RHO",
                    text);
}

/* ---- costs and guesses ----------------------------------------------------------------------- */

double omi_choose_theory_cost(const struct omi_choose *choose, const struct omi_choose_work *work,
                              uint32_t index)
{
    const struct omi_tune_input *input = &work->inputs[index];
    const double *prior = choose->config.has_prior ? choose->config.prior : NULL;
    double cost[OMI_TUNE_OPS], sum = 0;
    for (int op = 0; op < OMI_TUNE_OPS; op++) {
        cost[op] = input->cost[op];
        if (prior != NULL)
            cost[op] = cost[op] * prior[op] + prior[OMI_TUNE_OPS + op];
        sum += input->mix[op] * cost[op];
    }
    if (choose->config.mode == OMI_CHOOSE_ENDURE)
        return omi_robust_cost(cost, input->mix, choose->config.rho, NULL);
    return sum;
}

omen_err omi_choose_fit(struct omi_choose *choose)
{
    if (choose->fitted)
        return OMEN_OK;
    const double *prior = choose->config.has_prior ? choose->config.prior : NULL;
    omen_err err =
        omi_tune_fit(choose->rows, choose->row_count, choose->config.seed, prior, choose->model);
    choose->fitted = err == OMEN_OK;
    return err;
}

struct omi_tune_guess omi_choose_predicted(const struct omi_choose *choose,
                                           const struct omi_choose_work *work, uint32_t index)
{
    return omi_tune_predict(choose->model, &work->inputs[index]);
}

struct omi_random omi_choose_random(const struct omi_choose *choose,
                                    const struct omi_choose_work *work)
{
    uint64_t which = (uint64_t)(work - choose->works) << 32 | work->rows;
    return (struct omi_random){omi_random_mix(choose->config.seed) ^ omi_random_mix(which + 1)};
}

uint32_t omi_choose_draw(const struct omi_choose *choose, const struct omi_choose_work *work,
                         omi_choose_candidate candidate, const void *context, bool alike)
{
    struct omi_random rng = omi_choose_random(choose, work);
    uint32_t chosen = UINT32_MAX;
    double sum = 0;
    for (uint32_t i = 0; i < work->choosable; i++) {
        if (work->tallies[i].count != 0 ||
            (candidate != NULL && !candidate(context, &work->space.points[i])))
            continue;
        double chance = alike ? 1 : exp(-omi_choose_predicted(choose, work, i).log_mean);
        sum += chance;
        if (omi_random_unit(&rng) * sum < chance) /* kept so far with its share of the sum */
            chosen = i;
    }
    return chosen;
}

/* ---- creation -------------------------------------------------------------------------------- */

static omen_err theory_share(struct omi_choose *choose, const struct omi_cost_data *data,
                             uint32_t *theory_out)
{
    for (uint32_t i = 0; i < choose->theory_count; i++)
        if (omi_theory_same(&choose->theories[i].data, data)) {
            *theory_out = i;
            return OMEN_OK;
        }
    *theory_out = choose->theory_count++; /* as many as workloads, at most */
    omi_theory_init(&choose->theories[*theory_out], data);
    return OMEN_OK;
}

/* Inputs and tallies for the points that the space has gained. */
static omen_err work_ready(struct omi_choose *choose, struct omi_choose_work *work)
{
    if (work->space.count > work->room) {
        uint32_t room = work->space.room;
        struct omi_tune_input *inputs = realloc(work->inputs, room * sizeof(*inputs));
        if (inputs != NULL)
            work->inputs = inputs;
        struct omi_choose_tally *tallies = realloc(work->tallies, room * sizeof(*tallies));
        if (tallies != NULL)
            work->tallies = tallies;
        if (inputs == NULL || tallies == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "%" PRIu32 " points of the tuner", room);
        work->room = room;
    }
    for (; work->ready < work->space.count; work->ready++) {
        const struct omi_tune_workload *w = &work->workload;
        const struct omi_point *point = &work->space.points[work->ready];
        struct omi_shape shape;
        struct omi_cost_tree tree;
        struct omi_cost cost;
        omi_point_shape(&w->limits, point, &shape);
        omen_err err = omi_theory_tree(&choose->theories[work->theory], &shape, &tree);
        if (err != OMEN_OK)
            return err;
        omi_theory_cost_of(w, point, &tree, &cost);
        omi_tune_input_make(w->mix, point, tree.count, &cost, w->skew, w->data.scan_entries,
                            &work->inputs[work->ready]);
        work->tallies[work->ready] = (struct omi_choose_tally){0};
    }
    return OMEN_OK;
}

/* The index of a point, wherever it lies. */
static omen_err point_index(struct omi_choose *choose, struct omi_choose_work *work,
                            const struct omi_point *point, uint32_t *index_out)
{
    omen_err err = omi_space_add(&work->space, point, index_out);
    return err == OMEN_OK ? work_ready(choose, work) : err;
}

static omen_err standard_find(struct omi_choose *choose, struct omi_choose_work *work)
{
    struct omi_point p = choose->config.standard;
    while (omi_point_memtable_bytes(&work->workload.limits, &p) == 0 && p.cache_pct > 0)
        p.cache_pct = p.cache_pct > 5 ? (uint16_t)(p.cache_pct - 5) : 0;
    while (omi_point_memtable_bytes(&work->workload.limits, &p) == 0 && p.filter_bits > 0)
        p.filter_bits--;
    return point_index(choose, work, &p, &work->standard);
}

static int policy_class(const struct omi_point *p)
{
    return p->runs_upper == 1 ? 0 : p->runs_upper + 1 >= p->size_ratio ? 1 : 2;
}

static void warm_add(struct omi_choose_work *work, uint32_t index)
{
    for (uint32_t i = 0; i < work->warm_count; i++)
        if (work->warm[i] == index)
            return;
    work->warm[work->warm_count++] = index;
}

/* The default, and what the theory likes best: of all, and with one, all and some runs a level. */
static void warm_find(const struct omi_choose *choose, struct omi_choose_work *work)
{
    double least[3] = {INFINITY, INFINITY, INFINITY};
    uint32_t best[3] = {UINT32_MAX, UINT32_MAX, UINT32_MAX}, order[3] = {0, 1, 2};
    for (uint32_t i = 0; i < work->choosable; i++) {
        int k = policy_class(&work->space.points[i]);
        double cost = omi_choose_theory_cost(choose, work, i);
        if (cost < least[k]) {
            least[k] = cost;
            best[k] = i;
        }
    }
    warm_add(work, work->standard);
    for (int i = 0; i < 3; i++) /* best first, should the budget end before */
        for (int j = i + 1; j < 3; j++)
            if (least[order[j]] < least[order[i]]) {
                uint32_t swap = order[i];
                order[i] = order[j];
                order[j] = swap;
            }
    for (int i = 0; i < 3; i++)
        if (best[order[i]] != UINT32_MAX)
            warm_add(work, best[order[i]]);
}

static omen_err work_init(struct omi_choose *choose, const struct omi_choose_workload *given,
                          struct omi_choose_work *work)
{
    const struct omi_tune_space *space = given->space;
    if (space == NULL || space->count == 0)
        return omi_fail(OMEN_INVALID, 0, "a workload without points to choose from");
    work->workload = given->workload;
    work->space =
        (struct omi_tune_space){.limits = given->workload.limits, .room = space->count + 8};
    work->space.points = malloc(work->space.room * sizeof(*space->points));
    if (work->space.points == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%" PRIu32 " points of the tuner", space->count);
    for (uint32_t i = 0; i < space->count; i++) {
        omen_err err = omi_point_check(&work->space.limits, &space->points[i]);
        if (err != OMEN_OK)
            return err;
        work->space.points[work->space.count++] = space->points[i];
    }
    work->choosable = work->space.count;
    omen_err err = theory_share(choose, &work->workload.data, &work->theory);
    if (err == OMEN_OK)
        err = work_ready(choose, work);
    if (err == OMEN_OK)
        err = standard_find(choose, work);
    if (err != OMEN_OK)
        return err;
    warm_find(choose, work);
    work->sampled =
        choose->config.mode == OMI_CHOOSE_THEORY || choose->config.mode == OMI_CHOOSE_ENDURE;
    return OMEN_OK;
}

omen_err omi_choose_create(const struct omi_choose_config *config,
                           const struct omi_choose_workload *workloads, uint32_t count,
                           struct omi_choose **out)
{
    *out = NULL;
    if (count == 0 || config->mode >= OMI_CHOOSE_MODES)
        return omi_fail(OMEN_INVALID, 0, "nothing to choose for");
    struct omi_choose *choose = calloc(1, sizeof(*choose));
    if (choose == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a campaign of %" PRIu32 " workloads", count);
    choose->config = *config;
    choose->config.budget = config->budget != 0 ? config->budget : BUDGET_DEFAULT;
    choose->config.kappa = config->kappa > 0 ? config->kappa : kappa_default;
    choose->works = calloc(count, sizeof(*choose->works));
    choose->theories = calloc(count, sizeof(*choose->theories));
    choose->model = calloc(1, sizeof(*choose->model));
    omen_err err = OMEN_OK;
    if (choose->works == NULL || choose->theories == NULL || choose->model == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "a campaign of %" PRIu32 " workloads", count);
    for (uint32_t i = 0; i < count && err == OMEN_OK; i++) {
        choose->work_count = i + 1;
        err = work_init(choose, &workloads[i], &choose->works[i]);
    }
    if (err != OMEN_OK) {
        omi_choose_destroy(choose);
        return err;
    }
    *out = choose;
    return OMEN_OK;
}

void omi_choose_destroy(struct omi_choose *choose)
{
    if (choose == NULL)
        return;
    for (uint32_t i = 0; i < choose->work_count; i++) {
        omi_space_fini(&choose->works[i].space);
        free(choose->works[i].inputs);
        free(choose->works[i].tallies);
    }
    for (uint32_t i = 0; i < choose->theory_count; i++)
        omi_theory_fini(&choose->theories[i]);
    free(choose->works);
    free(choose->theories);
    free(choose->rows);
    free(choose->model);
    free(choose->ranked);
    free(choose);
}

/* ---- ranking --------------------------------------------------------------------------------- */

static int compare_ranked(const void *a, const void *b)
{
    const struct omi_choose_ranked *x = a, *y = b;
    if (x->mean != y->mean)
        return x->mean < y->mean ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

omen_err omi_choose_rank(struct omi_choose *choose, const struct omi_choose_work *work,
                         enum omi_choose_which which, uint32_t *count_out)
{
    omen_err err = omi_choose_fit(choose);
    if (err == OMEN_OK && work->space.count > choose->ranked_room) {
        struct omi_choose_ranked *grown =
            realloc(choose->ranked, work->space.count * sizeof(*grown));
        if (grown == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "%" PRIu32 " points of the tuner",
                            work->space.count);
        choose->ranked = grown;
        choose->ranked_room = work->space.count;
    }
    *count_out = 0;
    for (uint32_t i = 0; i < work->space.count && err == OMEN_OK; i++) {
        bool measured = work->tallies[i].count != 0;
        if (i >= work->choosable && i != work->standard)
            continue;
        if ((which == OMI_CHOOSE_UNMEASURED && measured) ||
            (which == OMI_CHOOSE_MEASURED && !measured))
            continue;
        struct omi_tune_guess guess = omi_choose_predicted(choose, work, i);
        choose->ranked[(*count_out)++] =
            (struct omi_choose_ranked){guess.log_mean, guess.log_sd, i};
    }
    if (*count_out > 1)
        qsort(choose->ranked, *count_out, sizeof(*choose->ranked), compare_ranked);
    return err;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* The least lower confidence bound of what is not measured. UINT32_MAX: all is. */
static omen_err bound_least(struct omi_choose *choose, const struct omi_choose_work *work,
                            uint32_t *index_out, double *bound_out)
{
    uint32_t count;
    omen_err err = omi_choose_rank(choose, work, OMI_CHOOSE_UNMEASURED, &count);
    *index_out = UINT32_MAX;
    *bound_out = INFINITY;
    for (uint32_t i = 0; i < count && err == OMEN_OK; i++) {
        const struct omi_choose_ranked *r = &choose->ranked[i];
        double bound = r->mean - choose->config.kappa * r->sd;
        if (bound < *bound_out) {
            *bound_out = bound;
            *index_out = r->index;
        }
    }
    return err;
}

static omen_err least_known(struct omi_choose *choose, const struct omi_choose_work *work,
                            uint32_t *index_out)
{
    uint32_t count;
    double most = -1;
    omen_err err = omi_choose_rank(choose, work, OMI_CHOOSE_UNMEASURED, &count);
    *index_out = UINT32_MAX;
    if (err != OMEN_OK || count == 0)
        return err;
    uint32_t top = (uint32_t)(count * promising);
    for (uint32_t i = 0; i < (top > 1 ? top : 1); i++)
        if (choose->ranked[i].sd > most) {
            most = choose->ranked[i].sd;
            *index_out = choose->ranked[i].index;
        }
    return err;
}

static omen_err lcb_next(struct omi_choose *choose, struct omi_choose_work *work,
                         struct omi_choose_step *step, uint32_t *index_out)
{
    double bound;
    step->stage = OMI_CHOOSE_WARM;
    for (uint32_t i = 0; i < work->warm_count; i++)
        if (work->tallies[work->warm[i]].count == 0) {
            *index_out = work->warm[i];
            return OMEN_OK;
        }
    uint32_t after = work->rows > work->warm_count ? work->rows - work->warm_count : 0;
    if (after % EXPLORE_EVERY == EXPLORE_EVERY - 1) {
        step->stage = OMI_CHOOSE_EXPLORE;
        return least_known(choose, work, index_out);
    }
    step->stage = OMI_CHOOSE_EXPLOIT;
    return bound_least(choose, work, index_out, &bound);
}

static omen_err index_next(struct omi_choose *choose, struct omi_choose_work *work,
                           struct omi_choose_step *step, uint32_t *index_out)
{
    *index_out = UINT32_MAX;
    step->stage = OMI_CHOOSE_EXPLORE;
    switch (choose->config.mode) {
    case OMI_CHOOSE_LCB:
        return lcb_next(choose, work, step, index_out);
    case OMI_CHOOSE_DECOUPLED:
        return omi_choose_rounds_next(choose, work, index_out);
    case OMI_CHOOSE_RANDOM:
        *index_out = omi_choose_draw(choose, work, NULL, NULL, true);
        return OMEN_OK;
    case OMI_CHOOSE_GRID:
        for (uint32_t i = work->choosable; i > 0; i--)
            if (work->tallies[i - 1].count == 0)
                *index_out = i - 1;
        return OMEN_OK;
    default:
        return OMEN_OK;
    }
}

omen_err omi_choose_next(struct omi_choose *choose, uint32_t workload,
                         struct omi_choose_step *step_out)
{
    *step_out = (struct omi_choose_step){.done = true};
    if (workload >= choose->work_count)
        return omi_fail(OMEN_INVALID, 0, "workload %" PRIu32 " of %" PRIu32, workload,
                        choose->work_count);
    struct omi_choose_work *work = &choose->works[workload];
    struct omi_choose_step step = {0};
    uint32_t index = UINT32_MAX;
    omen_err err = OMEN_OK;
    if (!work->sampled) {
        err = index_next(choose, work, &step, &index);
    } else if (work->final_rows < work->finalist_count * choose->config.repeats) {
        step.stage = OMI_CHOOSE_FINAL;
        index = work->finalists[work->final_rows % work->finalist_count];
    }
    if (err != OMEN_OK || index == UINT32_MAX)
        return err;
    step.point = work->space.points[index];
    step.repeat = work->tallies[index].count;
    if (choose->row_count != 0 || choose->config.has_prior) {
        err = omi_choose_fit(choose);
        if (err != OMEN_OK)
            return err;
        step.guess = omi_choose_predicted(choose, work, index);
    }
    *step_out = step;
    return OMEN_OK;
}

/* ---- rows ------------------------------------------------------------------------------------ */

static void finalist_add(struct omi_choose_work *work, uint32_t index)
{
    for (uint32_t i = 0; i < work->finalist_count; i++)
        if (work->finalists[i] == index)
            return;
    if (work->finalist_count < OMI_CHOOSE_FINALISTS)
        work->finalists[work->finalist_count++] = index;
}

static omen_err finalists_find(struct omi_choose *choose, struct omi_choose_work *work)
{
    uint32_t count, incumbent = omi_choose_incumbent(work);
    bool by_model =
        choose->config.mode == OMI_CHOOSE_RANDOM || choose->config.mode == OMI_CHOOSE_DECOUPLED;
    omen_err err =
        omi_choose_rank(choose, work, by_model ? OMI_CHOOSE_ALL : OMI_CHOOSE_MEASURED, &count);
    if (err != OMEN_OK)
        return err;
    for (uint32_t i = 0; i < count && i < FINAL_TOP; i++)
        finalist_add(work, choose->ranked[i].index);
    if (incumbent != UINT32_MAX)
        finalist_add(work, incumbent);
    finalist_add(work, work->standard);
    return OMEN_OK;
}

static bool all_measured(const struct omi_choose_work *work)
{
    for (uint32_t i = 0; i < work->choosable; i++)
        if (work->tallies[i].count == 0)
            return false;
    return true;
}

static omen_err rows_reserve(struct omi_choose *choose)
{
    if (choose->row_count < choose->row_room)
        return OMEN_OK;
    uint32_t room = choose->row_room != 0 ? choose->row_room * 2 : 64;
    struct omi_tune_row *grown = realloc(choose->rows, room * sizeof(*grown));
    if (grown == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%" PRIu32 " rows of the tuner", room);
    choose->rows = grown;
    choose->row_room = room;
    return OMEN_OK;
}

/* Did what was asked for last still promise something? */
static omen_err promise_weigh(struct omi_choose *choose, const struct omi_choose_work *work,
                              uint32_t *weak_out)
{
    uint32_t index, incumbent = omi_choose_incumbent(work);
    double bound;
    *weak_out = 0;
    if (choose->config.mode != OMI_CHOOSE_LCB || choose->config.stop_gain <= 0 || work->sampled ||
        work->rows < work->warm_count || incumbent == UINT32_MAX)
        return OMEN_OK;
    omen_err err = bound_least(choose, work, &index, &bound);
    const struct omi_choose_tally *t = &work->tallies[incumbent];
    double least = log(t->sum / t->weight) + log1p(-choose->config.stop_gain);
    if (err == OMEN_OK && bound >= least)
        *weak_out = work->weak_steps + 1;
    return err;
}

/* What a row settles for good. */
static omen_err work_settle(struct omi_choose *choose, struct omi_choose_work *work)
{
    if (work->sampled)
        return OMEN_OK;
    omen_err err = OMEN_OK;
    if (choose->config.mode == OMI_CHOOSE_DECOUPLED)
        err = omi_choose_rounds_settle(choose, work);
    bool spent = choose->config.mode != OMI_CHOOSE_GRID && work->rows >= choose->config.budget;
    if (err != OMEN_OK || (!spent && work->weak_steps < WEAK_STEPS && !all_measured(work)))
        return err;
    if (choose->config.repeats != 0)
        err = finalists_find(choose, work);
    work->sampled = err == OMEN_OK;
    return err;
}

static bool is_finalist(const struct omi_choose_work *work, uint32_t index)
{
    for (uint32_t i = 0; i < work->finalist_count; i++)
        if (work->finalists[i] == index)
            return true;
    return false;
}

omen_err omi_choose_add(struct omi_choose *choose, uint32_t workload, const struct omi_point *point,
                        double label, double weight)
{
    uint32_t index, weak;
    if (workload >= choose->work_count)
        return omi_fail(OMEN_INVALID, 0, "workload %" PRIu32 " of %" PRIu32, workload,
                        choose->work_count);
    if (!(label > 0 && label <= 1e100 && weight > 0 && weight <= 1e6))
        return omi_fail(OMEN_INVALID, 0, "a label is %g of weight %g; both must be positive", label,
                        weight);
    struct omi_choose_work *work = &choose->works[workload];
    omen_err err = rows_reserve(choose);
    if (err == OMEN_OK)
        err = point_index(choose, work, point, &index);
    if (err == OMEN_OK)
        err = promise_weigh(choose, work, &weak);
    if (err != OMEN_OK)
        return err;
    choose->rows[choose->row_count++] =
        (struct omi_tune_row){.input = work->inputs[index], .label = label, .weight = weight};
    choose->fitted = false;
    struct omi_choose_tally *t = &work->tallies[index];
    t->weight += weight;
    t->sum += weight * label;
    t->square += weight * label * label;
    t->count++;
    if (work->sampled && is_finalist(work, index)) {
        t->final_sum += label;
        t->final_square += label * label;
        t->final_count++;
        work->final_rows++;
    }
    work->rows++;
    work->weak_steps = weak;
    return work_settle(choose, work);
}

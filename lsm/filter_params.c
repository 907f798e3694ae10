/*
 * filter_params.c - what filter each new table gets: its price from all tables and the sampled
 * lookups, its weight and sample from those that would have come to it.
 */
#include "lsm/filter_params.h"

#include "lsm/db.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PART_BYTES = 96 << 10, TABLES_A_JOB = 128 };
static const double keys_changed = 0.05; /* of all, written anew: the price is worked out again */

/* ---- weights --------------------------------------------------------------------------------- */

/* Absent lookups that come to tables that hold a share of a run's keys, per lookup: those sampled,
 * and a few as if every run were asked once by each. Too few sampled: the latter alone. */
static double weight_of(const struct omi_sample_view *view, omen_slice smallest, omen_slice largest,
                        uint32_t level, uint64_t age, double run_share)
{
    size_t absent = 0;
    if (view == NULL || view->get_count < OMI_SAMPLE_ENOUGH ||
        omi_sample_absent(view, smallest, largest, level, age, NULL, &absent) != OMEN_OK)
        return run_share;
    return ((double)absent + OMI_SAMPLE_PRIOR * run_share) /
           ((double)view->get_count + OMI_SAMPLE_PRIOR);
}

static double share_of(double keys, double run_keys)
{
    return keys < run_keys ? keys / run_keys : 1;
}

static double table_keys(const struct omi_table *table)
{
    return (double)omi_table_props(table)->entries;
}

/* ---- what a false positive costs ------------------------------------------------------------- */

/* Most of those in small upper runs meet a block that the cache holds; bits belong where reads are. A
 * cached one counts at least for a 16th, lest lookups search too many blocks in vain. */
static const double cost_least = 1.0 / 16;
enum { COSTS_PRIOR = 64, COSTS_KEPT = 4096 };

static uint32_t relaxed(const _Atomic uint32_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

/* Counts of late say more: half of what there is is forgotten now and then. */
static void costs_fade(struct omi_filter_costs *c, uint32_t i)
{
    uint32_t cached = relaxed(&c->cached[i]), read = relaxed(&c->read[i]);
    if (cached + read < COSTS_KEPT)
        return;
    atomic_fetch_sub_explicit(&c->cached[i], cached / 2, memory_order_relaxed);
    atomic_fetch_sub_explicit(&c->read[i], read / 2, memory_order_relaxed);
}

/* By level, of the dearest level's; a level that met few is as all together. */
static void costs_find(struct omi_filter_costs *c, double cost[static OMEN_LEVELS_MAX])
{
    double read = 1, all = 1, dearest = 0;
    for (uint32_t i = 0; i < OMEN_LEVELS_MAX; i++) {
        costs_fade(c, i);
        read += relaxed(&c->read[i]);
        all += (double)relaxed(&c->read[i]) + relaxed(&c->cached[i]);
    }
    for (uint32_t i = 0; i < OMEN_LEVELS_MAX; i++) {
        double of_level = (double)relaxed(&c->read[i]) + relaxed(&c->cached[i]);
        cost[i] = (relaxed(&c->read[i]) + COSTS_PRIOR * read / all) / (of_level + COSTS_PRIOR);
        dearest = cost[i] > dearest ? cost[i] : dearest;
    }
    for (uint32_t i = 0; i < OMEN_LEVELS_MAX; i++)
        cost[i] = cost[i] / dearest > cost_least ? cost[i] / dearest : cost_least;
}

/* ---- what a job replaces --------------------------------------------------------------------- */

struct replaced {
    uint64_t *numbers; /* ascending; NULL: none */
    uint32_t count;
};

static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static omen_err replaced_gather(const struct omi_job *job, struct replaced *r)
{
    *r = (struct replaced){0};
    if (job == NULL)
        return OMEN_OK;
    r->numbers = malloc((job->input_count + UINT64_C(1)) * sizeof(*r->numbers));
    if (r->numbers == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a list of %u tables", job->input_count);
    for (uint32_t i = 0; i < job->input_count; i++)
        r->numbers[r->count++] = job->inputs[i].file->number;
    qsort(r->numbers, r->count, sizeof(*r->numbers), compare_numbers);
    return OMEN_OK;
}

static bool is_replaced(const struct replaced *r, uint64_t number)
{
    return r->count != 0 &&
           bsearch(&number, r->numbers, r->count, sizeof(number), compare_numbers) != NULL;
}

static const struct omi_table *input_table(const struct omi_job *job, uint32_t i)
{
    return ((const struct omi_live_table *)(const void *)job->inputs[i].file)->table;
}

/* Inputs of one run that stand in a row: in a job of several segments a part of the run. */
struct input_run {
    uint32_t first, count;
    double keys;
};

static struct input_run largest_run(const struct omi_job *job)
{
    struct input_run run = {0}, largest = {0};
    for (uint32_t i = 0; i < job->input_count; i++) {
        const struct omi_job_input *in = &job->inputs[i];
        if (i == 0 || in->level != in[-1].level || in->age != in[-1].age)
            run = (struct input_run){.first = i};
        run.count++;
        run.keys += table_keys(input_table(job, i));
        if (run.keys > largest.keys)
            largest = run;
    }
    return largest;
}

/* Keys of those of the run's tables that stay. */
static double keys_left(const struct omi_run_view *run, const struct replaced *gone)
{
    double keys = 0;
    for (uint32_t i = 0; i < run->table_count; i++)
        if (!is_replaced(gone, run->files[i]->number))
            keys += table_keys(run->tables[i]);
    return keys;
}

/* ---- the price ------------------------------------------------------------------------------- */

static double halving(enum omi_filter_kind kind)
{
    return kind == OMI_FILTER_RIBBON ? OMI_RIBBON_BITS_PER_HALVING : OMI_FILTER_BITS_PER_HALVING;
}

/* Tables to be priced together, and how many of them an average lookup asks in vain. */
struct priced_list {
    struct omi_priced_table *tables;
    size_t count;
    double asked;
};

static void list_add(struct priced_list *list, struct omi_priced_table table, double cost)
{
    list->asked += table.weight;
    table.weight *= cost;
    list->tables[list->count++] = table;
}

/* What its filter saves, a key, of what the law says for the price and the lookups that it was built
 * for. */
static double saved_bits(const struct omi_filter_info *info, double keys, double bits, double floor)
{
    if (!(info->price > 0) || !(keys > 0) || info->kind == OMI_FILTER_PLAIN)
        return 0;
    struct omi_priced_table t = {
        .keys = keys, .weight = info->weight, .halving = halving(info->kind)};
    return omi_priced_table_bits(&t, info->price, floor) - bits / keys;
}

static double filter_bits_of(const struct omi_table *table)
{
    return 8.0 * (double)omi_table_props(table)->filter_bytes;
}

static struct omi_priced_table priced(const struct omi_run_view *run, uint32_t i, double run_keys,
                                      const struct omi_filter_params_source *s)
{
    struct omi_filter_info info;
    double keys = table_keys(run->tables[i]), bits = filter_bits_of(run->tables[i]);
    omi_table_filter_info(run->tables[i], &info);
    return (struct omi_priced_table){.keys = keys,
                                     .weight = weight_of(s->view, run->files[i]->smallest,
                                                         run->files[i]->largest, run->level,
                                                         run->age, share_of(keys, run_keys)),
                                     .bits = bits,
                                     .saved = saved_bits(&info, keys, bits, s->floor),
                                     .halving = halving(info.kind)};
}

/* What learning saved in the tables that the job replaces it will save in the new ones. */
static double saved_before(const struct omi_filter_params_source *s)
{
    double keys = 0, saved = 0;
    for (uint32_t i = 0; i < s->job->input_count; i++) {
        struct omi_filter_info info;
        const struct omi_table *t = input_table(s->job, i);
        omi_table_filter_info(t, &info);
        keys += table_keys(t);
        saved += table_keys(t) * saved_bits(&info, table_keys(t), filter_bits_of(t), s->floor);
    }
    return keys > 0 ? saved / keys : 0;
}

/* The new tables, as the tables of the largest run that goes in will be: where lookups come to some of
 * them alone, the others need few bits. A new run of level 1 is asked by every lookup that goes on to
 * the tables. */
static void list_add_new(struct priced_list *list, const struct omi_filter_params_source *s)
{
    const double cost = s->cost[s->level - 1];
    struct omi_priced_table t = {.keys = s->new_keys, .weight = 1, .halving = halving(s->kind)};
    if (s->job == NULL) {
        list_add(list, t, cost);
        return;
    }
    struct input_run run = largest_run(s->job);
    t.saved = saved_before(s);
    for (uint32_t i = run.first; i < run.first + run.count; i++) {
        const struct omi_tree_file *file = s->job->inputs[i].file;
        t.keys = table_keys(input_table(s->job, i)) / run.keys * s->new_keys;
        t.weight = weight_of(s->view, file->smallest, file->largest, s->level, s->found_age,
                             share_of(t.keys, s->run_keys));
        list_add(list, t, cost);
    }
}

/* Asked for is a quality: so few false positives a lookup as uniform bits would leave, in the runs
 * that there are, or in one that each lookup were asked of in vain. A tree of one run that lookups
 * hit would otherwise be held to a hundredth of that, by bits that nobody misses. */
static struct omi_priced_table priced_rest(const struct priced_list *list)
{
    return (struct omi_priced_table){.weight = list->asked < 1 ? 1 - list->asked : 0};
}

/* ---- runs to come ---------------------------------------------------------------------------- */

/* A merge empties levels that fill again before its own filters change: their filters need room in the
 * budget too. Level 1 is full of its runs, a deeper one of its bytes; room for the last quarter is left
 * to luck, because it is needed for a short time only. */
static const double ahead_share = 0.75;
struct levels_ahead {
    uint32_t deepest;
    double keys[OMEN_LEVELS_MAX], bytes, all_keys; /* that are there; [0] is level 1 */
};

static void ahead_count(struct levels_ahead *a, const struct omi_version *version,
                        const struct replaced *gone, const struct omi_filter_params_source *s)
{
    *a = (struct levels_ahead){.deepest = s->level};
    a->keys[s->level - 1] = s->new_keys;
    for (uint32_t r = 0; r < version->run_count; r++) {
        const struct omi_run_view *run = &version->runs[r];
        double keys = keys_left(run, gone);
        a->keys[run->level - 1] += keys;
        if (keys > 0 && run->level > a->deepest)
            a->deepest = run->level;
        for (uint32_t i = 0; i < run->table_count; i++) {
            a->bytes += (double)omi_table_props(run->tables[i])->raw_bytes;
            a->all_keys += table_keys(run->tables[i]);
        }
    }
}

/* flush_keys: of a run of level 1. Returns how many tables it added. */
static size_t ahead_add(const struct levels_ahead *a, const struct omi_shape *shape,
                        double flush_keys, const double cost[static OMEN_LEVELS_MAX],
                        struct priced_list *list)
{
    size_t before = list->count;
    for (uint32_t level = 1; level < a->deepest && a->bytes > 0; level++) {
        double runs = omi_shape_runs(shape, level, a->deepest);
        double full = (double)omi_shape_capacity(shape, level) * a->all_keys / a->bytes;
        if (level == 1)
            full = fmin(full, runs * flush_keys);
        struct omi_priced_table t = {.keys = full * ahead_share - a->keys[level - 1],
                                     .weight = fmax(1, runs / 2)};
        if (t.keys > 0)
            list_add(list, t, cost[level - 1]);
    }
    return list->count - before;
}

/* ---- the price of all ------------------------------------------------------------------------ */

static void list_fill(struct priced_list *list, const struct omi_filter_params_source *s,
                      const struct omi_version *version, const struct replaced *gone)
{
    for (uint32_t r = 0; r < version->run_count; r++) {
        const struct omi_run_view *run = &version->runs[r];
        double keys = keys_left(run, &(struct replaced){0}); /* of all */
        for (uint32_t i = 0; i < run->table_count; i++)
            if (!is_replaced(gone, run->files[i]->number))
                list_add(list, priced(run, i, keys, s), s->cost[run->level - 1]);
    }
    list_add_new(list, s);
    list_add(list, priced_rest(list), 1);
}

static omen_err price_find(const struct omi_filter_params_source *s,
                           const struct omi_version *version, const struct replaced *gone,
                           double flush_keys, double *price_out)
{
    omen_db *db = s->db;
    struct priced_list list = {0};
    struct levels_ahead ahead;
    list.tables = malloc((2 * version->table_count + 2 + OMEN_LEVELS_MAX) * sizeof(*list.tables));
    if (list.tables == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the price of %" PRIu64 " filters",
                        version->table_count);
    omi_mutex_lock(&db->mu);
    struct omi_filter_demand demand = {.uniform_bits = db->settings.filter_bits,
                                       .budget_bits = 8.0 * (double)db->settings.filter_bytes,
                                       .floor = db->settings.filter_floor_permille / 1000.0};
    struct omi_shape shape = db->settings.shape;
    omi_mutex_unlock(&db->mu);
    list_fill(&list, s, version, gone);
    ahead_count(&ahead, version, gone, s);
    demand.expected = ahead_add(&ahead, &shape, flush_keys, s->cost, &list);
    *price_out = omi_filter_price(list.tables, list.count, &demand);
    free(list.tables);
    return OMEN_OK;
}

/* Does the last price still hold? A merge takes runs away, and with them what their filters cost; newer
 * lookups tell more; and what was written since may be much. A look at all tables is paid for by the
 * jobs since, unless a good part of the keys has been written anew. */
static bool price_holds_locked(const struct omi_filter_pricing *p,
                               const struct omi_filter_params_source *s) OMI_REQUIRES(p->mu)
{
    uint64_t generation = s->view != NULL ? s->view->generation : 0;
    bool paid = p->jobs * TABLES_A_JOB >= p->tables;
    if (!(p->price > 0) || p->settings != s->settings || p->written > p->keys * keys_changed)
        return false;
    return !paid || (s->job == NULL && generation == p->generation);
}

static omen_err price_settle(struct omi_filter_params_source *s, const struct omi_version *version,
                             const struct replaced *gone)
{
    struct omi_filter_pricing *p = &s->db->pricing;
    omi_mutex_lock(&p->mu);
    p->jobs++;
    p->written += s->new_keys;
    if (s->job == NULL)
        p->flush_keys = fmax(s->new_keys, p->flush_keys * 3 / 4); /* some are made early */
    double flush_keys = p->flush_keys;
    bool holds = price_holds_locked(p, s);
    s->price = p->price;
    memcpy(s->cost, p->cost, sizeof(s->cost));
    omi_mutex_unlock(&p->mu);
    if (holds)
        return OMEN_OK;
    costs_find(&p->costs, s->cost);
    omen_err err = price_find(s, version, gone, flush_keys, &s->price);
    if (err != OMEN_OK)
        return err;
    omi_mutex_lock(&p->mu);
    p->price = s->price;
    memcpy(p->cost, s->cost, sizeof(p->cost));
    p->keys = s->new_keys;
    for (uint32_t r = 0; r < version->run_count; r++)
        p->keys += keys_left(&version->runs[r], gone);
    p->written = 0;
    p->jobs = 0;
    p->generation = s->view != NULL ? s->view->generation : 0;
    p->settings = s->settings;
    p->tables = version->table_count;
    omi_mutex_unlock(&p->mu);
    return OMEN_OK;
}

double omi_filter_price_now(omen_db *db)
{
    omi_mutex_lock(&db->pricing.mu);
    double price = db->pricing.price;
    omi_mutex_unlock(&db->pricing.mu);
    return price;
}

/* ---- one job --------------------------------------------------------------------------------- */

void omi_filter_params_begin(omen_db *db, uint32_t level, uint64_t age, bool last_level,
                             double new_keys, struct omi_filter_params_source *s)
{
    omi_mutex_lock(&db->mu);
    uint32_t filter = db->settings.filter;
    *s = (struct omi_filter_params_source){
        .db = db,
        .in_keys = new_keys,
        .level = level,
        .age = age,
        .found_age = age,
        .new_keys = new_keys > 1 ? new_keys : 1,
        .bits = db->settings.filter_bits,
        .floor = db->settings.filter_floor_permille / 1000.0,
        .settings = db->settings.filter_bits ^ (uint64_t)db->settings.filter_floor_permille << 8 ^
                    db->settings.filter_bytes << 20,
        .kind = filter == OMEN_FILTER_PLAIN                  ? OMI_FILTER_PLAIN
                : filter == OMEN_FILTER_RIBBON && last_level ? OMI_FILTER_RIBBON
                                                             : OMI_FILTER_REGIONS};
    omi_mutex_unlock(&db->mu);
}

void omi_filter_params_replaces(struct omi_filter_params_source *s, const struct omi_job *job)
{
    s->job = job;
    for (uint32_t i = 0; i < job->input_count; i++) /* what its own inputs answered */
        if (job->inputs[i].level == s->level && job->inputs[i].age < s->found_age)
            s->found_age = job->inputs[i].age;
}

void omi_filter_params_done(struct omi_filter_params_source *s)
{
    if (s->job == NULL || !(s->in_keys > 0))
        return;
    omi_mutex_lock(&s->db->pricing.mu);
    s->db->pricing.kept[s->level - 1] = s->out_keys / s->in_keys;
    omi_mutex_unlock(&s->db->pricing.mu);
}

void omi_filter_params_end(struct omi_filter_params_source *s)
{
    omi_sample_view_unref(s->view);
    free(s->samples);
    s->view = NULL;
    s->samples = NULL;
}

/* The version of now; NULL while opening or repairing. */
static struct omi_version *version_ref(omen_db *db)
{
    omi_mutex_lock(&db->mu);
    struct omi_version *v = db->view != NULL ? db->view->version : NULL;
    if (v != NULL)
        omi_version_ref(v);
    omi_mutex_unlock(&db->mu);
    return v;
}

/* Versions that go are not known before: as many as in the last merge into the level, but no key of the
 * largest run. */
static void new_keys_guess(struct omi_filter_params_source *s)
{
    if (s->job == NULL)
        return;
    omi_mutex_lock(&s->db->pricing.mu);
    double kept = s->db->pricing.kept[s->level - 1];
    omi_mutex_unlock(&s->db->pricing.mu);
    if (kept > 0)
        s->new_keys = fmax(1, fmax(largest_run(s->job).keys, kept * s->in_keys));
}

static omen_err settle(struct omi_filter_params_source *s)
{
    struct omi_version *version = version_ref(s->db);
    struct replaced gone;
    s->settled = true;
    if (version == NULL)
        return OMEN_OK;
    s->view = omi_sample_view_ref(s->db->sample);
    omen_err err = replaced_gather(s->job, &gone);
    new_keys_guess(s);
    s->run_keys = s->new_keys;
    for (uint32_t r = 0; r < version->run_count && err == OMEN_OK; r++)
        if (version->runs[r].level == s->level && version->runs[r].age == s->age)
            s->run_keys += keys_left(&version->runs[r], &gone); /* the job leaves them */
    if (err == OMEN_OK)
        err = price_settle(s, version, &gone);
    free(gone.numbers);
    omi_version_unref(version);
    return err;
}

omen_err omi_filter_params_fill(void *ctx, omen_slice smallest, omen_slice largest,
                                uint32_t entries, struct omi_filter_params *params)
{
    struct omi_filter_params_source *s = ctx;
    s->out_keys += entries;
    *params = (struct omi_filter_params){.kind = s->kind, .part_bytes = PART_BYTES};
    if (s->bits == 0)
        params->kind = OMI_FILTER_NONE;
    omen_err err = OMEN_OK;
    if (s->bits != 0 && s->kind != OMI_FILTER_PLAIN && !s->settled)
        err = settle(s);
    if (err != OMEN_OK)
        return err;
    if (!(s->price > 0)) { /* plain, or opening and repairing, when there is no tree to look at */
        params->kind = s->bits != 0 ? OMI_FILTER_PLAIN : OMI_FILTER_NONE;
        params->bits = s->bits;
        return OMEN_OK;
    }
    params->price = s->price / s->cost[s->level - 1];
    params->floor = s->floor;
    params->weight = weight_of(s->view, smallest, largest, s->level, s->found_age,
                               share_of(entries, s->run_keys));
    free(s->samples);
    s->samples = NULL;
    if (s->view == NULL)
        return OMEN_OK;
    err = omi_sample_absent(s->view, smallest, largest, s->level, s->found_age, &s->samples,
                            &params->sample_count);
    params->samples = s->samples;
    return err;
}

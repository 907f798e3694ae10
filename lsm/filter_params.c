/*
 * filter_params.c - what filter each new table gets: its price from all tables and the sampled
 * lookups, its weight and sample from those that would have come to it.
 */
#include "lsm/filter_params.h"

#include "lsm/db.h"

#include <stdlib.h>

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

static struct omi_priced_table priced(const struct omi_run_view *run, uint32_t i, double run_keys,
                                      const struct omi_sample_view *view)
{
    struct omi_filter_info info;
    double keys = table_keys(run->tables[i]);
    omi_table_filter_info(run->tables[i], &info);
    return (struct omi_priced_table){
        .keys = keys,
        .weight = weight_of(view, run->files[i]->smallest, run->files[i]->largest, run->level,
                            run->age, share_of(keys, run_keys)),
        .bits = 8.0 * (double)omi_table_props(run->tables[i])->filter_bytes,
        .price = info.price,
        .halving = halving(info.kind)};
}

/* All that is being written as one table: what it weighs is the same, however it is cut. A new run
 * of level 1 is asked by every lookup that goes on to the tables. */
static struct omi_priced_table priced_new(const struct omi_filter_params_source *s)
{
    double weight = 1;
    if (s->job != NULL)
        weight = weight_of(s->view, s->job->smallest, s->job->largest, s->level, s->found_age,
                           share_of(s->new_keys, s->run_keys));
    return (struct omi_priced_table){
        .keys = s->new_keys, .weight = weight, .halving = halving(s->kind)};
}

/* Asked for is a quality: so few false positives a lookup as uniform bits would leave, in the runs
 * that there are, or in one that each lookup were asked of in vain. A tree of one run that lookups
 * hit would otherwise be held to a hundredth of that, by bits that nobody misses. */
static struct omi_priced_table priced_rest(const struct omi_priced_table *tables, size_t count)
{
    double asked = 0;
    for (size_t i = 0; i < count; i++)
        asked += tables[i].weight;
    return (struct omi_priced_table){.weight = asked < 1 ? 1 - asked : 0};
}

static omen_err price_find(const struct omi_filter_params_source *s,
                           const struct omi_version *version, const struct replaced *gone,
                           double *price_out)
{
    omen_db *db = s->db;
    struct omi_priced_table *tables = malloc((version->table_count + 2) * sizeof(*tables));
    size_t count = 0;
    if (tables == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the price of %" PRIu64 " filters",
                        version->table_count);
    for (uint32_t r = 0; r < version->run_count; r++) {
        const struct omi_run_view *run = &version->runs[r];
        double keys = keys_left(run, &(struct replaced){0}); /* of all */
        for (uint32_t i = 0; i < run->table_count; i++)
            if (!is_replaced(gone, run->files[i]->number))
                tables[count++] = priced(run, i, keys, s->view);
    }
    tables[count++] = priced_new(s);
    tables[count] = priced_rest(tables, count);
    count++;
    omi_mutex_lock(&db->mu);
    struct omi_filter_demand demand = {.uniform_bits = db->settings.filter_bits,
                                       .budget_bits = 8.0 * (double)db->settings.filter_bytes,
                                       .floor = db->settings.filter_floor_permille / 1000.0};
    omi_mutex_unlock(&db->mu);
    *price_out = omi_filter_price(tables, count, &demand);
    free(tables);
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
    bool holds = price_holds_locked(p, s);
    s->price = p->price;
    omi_mutex_unlock(&p->mu);
    if (holds)
        return OMEN_OK;
    omen_err err = price_find(s, version, gone, &s->price);
    if (err != OMEN_OK)
        return err;
    omi_mutex_lock(&p->mu);
    p->price = s->price;
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

static omen_err settle(struct omi_filter_params_source *s)
{
    struct omi_version *version = version_ref(s->db);
    struct replaced gone;
    s->settled = true;
    if (version == NULL)
        return OMEN_OK;
    s->view = omi_sample_view_ref(s->db->sample);
    omen_err err = replaced_gather(s->job, &gone);
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
    params->price = s->price;
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

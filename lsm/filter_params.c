/*
 * filter_params.c - what filter each new table gets: its price from all tables and the sampled
 * lookups, its weight and sample from those that would have come to it.
 */
#include "lsm/filter_params.h"

#include "lsm/db.h"
#include "lsm/table_open.h"

#include <stdlib.h>

enum { PART_BYTES = 96 << 10 };
static const double keys_changed = 0.05; /* of all: the price is worked out again */

/* ---- weights --------------------------------------------------------------------------------- */

/* Absent lookups that come to a table, per lookup: those sampled, and a few as if every run were
 * asked once by each, in proportion to its keys. */
static double weight_of(const struct omi_sample_view *view, omen_slice smallest, omen_slice largest,
                        uint32_t level, uint64_t age, double run_share)
{
    size_t absent = 0;
    double lookups = view != NULL ? view->get_count : 0;
    if (view == NULL ||
        omi_sample_absent(view, smallest, largest, level, age, NULL, &absent) != OMEN_OK)
        absent = 0;
    return ((double)absent + OMI_SAMPLE_PRIOR * run_share) / (lookups + OMI_SAMPLE_PRIOR);
}

static double run_keys(const struct omi_run_view *run)
{
    double keys = 0;
    for (uint32_t i = 0; i < run->table_count; i++)
        keys += (double)omi_table_props(run->tables[i])->entries;
    return keys;
}

/* ---- the price ------------------------------------------------------------------------------- */

static struct omi_priced_table priced(const struct omi_run_view *run, uint32_t i, double keys,
                                      const struct omi_sample_view *view)
{
    const struct omi_table_props *p = omi_table_props(run->tables[i]);
    struct omi_filter_info info;
    omi_table_filter_info(run->tables[i], &info);
    return (struct omi_priced_table){.keys = (double)p->entries,
                                     .weight = weight_of(view, run->files[i]->smallest,
                                                         run->files[i]->largest, run->level,
                                                         run->age, (double)p->entries / keys),
                                     .bits = 8.0 * (double)p->filter_bytes,
                                     .price = info.price};
}

/* All tables of version (NULL: none yet), and one more of as many keys as are about to be written, asked by each
 * lookup. */
static omen_err price_find(omen_db *db, const struct omi_version *version,
                           const struct omi_sample_view *view, double new_keys, double *price_out)
{
    uint64_t table_count = version != NULL ? version->table_count : 0;
    struct omi_priced_table *tables = malloc((table_count + 1) * sizeof(*tables));
    size_t count = 0;
    if (tables == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the price of %" PRIu64 " filters", table_count);
    for (uint32_t r = 0; version != NULL && r < version->run_count; r++) {
        double keys = run_keys(&version->runs[r]);
        for (uint32_t i = 0; i < version->runs[r].table_count; i++)
            tables[count++] = priced(&version->runs[r], i, keys, view);
    }
    tables[count++] = (struct omi_priced_table){.keys = new_keys, .weight = 1};
    omi_mutex_lock(&db->mu);
    struct omi_filter_demand demand = {.uniform_bits = db->settings.filter_bits,
                                       .budget_bits = 8.0 * (double)db->settings.filter_bytes,
                                       .floor = db->settings.filter_floor_permille / 1000.0};
    omi_mutex_unlock(&db->mu);
    *price_out = omi_filter_price(tables, count, &demand);
    free(tables);
    return OMEN_OK;
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

/* The price of now; worked out anew when the keys or the sample have changed enough. */
static omen_err price_now(struct omi_filter_params_source *s, double *price_out)
{
    omen_db *db = s->db;
    struct omi_filter_pricing *p = &db->pricing;
    uint64_t generation = s->view != NULL ? s->view->generation : 0;
    omen_err err = OMEN_OK;
    struct omi_version *version = version_ref(db);
    omi_mutex_lock(&p->mu);
    double keys = s->run_keys + (version != NULL ? (double)version->entries : 0);
    bool fresh = p->price > 0 && p->generation == generation && p->settings == s->settings &&
                 keys > p->keys * (1 - keys_changed) && keys < p->keys * (1 + keys_changed);
    if (!fresh) {
        err = price_find(db, version, s->view, s->run_keys, &p->price);
        p->generation = generation;
        p->keys = keys;
        p->settings = s->settings;
    }
    *price_out = p->price;
    omi_mutex_unlock(&p->mu);
    if (version != NULL)
        omi_version_unref(version);
    return err;
}

/* ---- one file -------------------------------------------------------------------------------- */

omen_err omi_filter_params_begin(omen_db *db, uint32_t level, uint64_t age, bool last_level,
                                 double run_keys_expected, struct omi_filter_params_source *s)
{
    omi_mutex_lock(&db->mu);
    uint32_t filter = db->settings.filter;
    *s = (struct omi_filter_params_source){
        .db = db,
        .level = level,
        .age = age,
        .run_keys = run_keys_expected > 1 ? run_keys_expected : 1,
        .bits = db->settings.filter_bits,
        .floor = db->settings.filter_floor_permille / 1000.0,
        .settings = db->settings.filter_bits ^ (uint64_t)db->settings.filter_floor_permille << 8 ^
                    db->settings.filter_bytes << 20,
        .kind = filter == OMEN_FILTER_PLAIN                  ? OMI_FILTER_PLAIN
                : filter == OMEN_FILTER_RIBBON && last_level ? OMI_FILTER_RIBBON
                                                             : OMI_FILTER_REGIONS};
    omi_mutex_unlock(&db->mu);
    if (s->bits == 0 || s->kind == OMI_FILTER_PLAIN)
        return OMEN_OK;
    s->view = omi_sample_view_ref(db->sample);
    omen_err err = price_now(s, &s->price);
    if (err != OMEN_OK)
        omi_filter_params_end(s);
    return err;
}

void omi_filter_params_end(struct omi_filter_params_source *s)
{
    omi_sample_view_unref(s->view);
    free(s->samples);
    s->view = NULL;
    s->samples = NULL;
}

omen_err omi_filter_params_fill(void *ctx, omen_slice smallest, omen_slice largest,
                                uint32_t entries, struct omi_filter_params *params)
{
    struct omi_filter_params_source *s = ctx;
    *params = (struct omi_filter_params){.kind = s->kind, .part_bytes = PART_BYTES};
    if (s->bits == 0)
        params->kind = OMI_FILTER_NONE;
    if (s->bits == 0 || s->kind == OMI_FILTER_PLAIN) {
        params->bits = s->bits;
        return OMEN_OK;
    }
    double share = entries < s->run_keys ? entries / s->run_keys : 1;
    params->price = s->price;
    params->floor = s->floor;
    params->weight = weight_of(s->view, smallest, largest, s->level, s->age, share);
    free(s->samples);
    s->samples = NULL;
    if (s->view == NULL)
        return OMEN_OK;
    omen_err err = omi_sample_absent(s->view, smallest, largest, s->level, s->age, &s->samples,
                                     &params->sample_count);
    params->samples = s->samples;
    return err;
}

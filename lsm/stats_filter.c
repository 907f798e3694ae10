/*
 * stats_filter.c - what is told of filters: in the statistics, of each table, of a table's regions.
 */
#include "lsm/db.h"
#include "lsm/sample_file.h"

#include <stdlib.h>

static const char *const kind_names[] = {"none", "plain", "regions", "ribbon", "custom"};
static const char *const why_names[] = {
    "plain was asked for",   "too few sampled lookups",    "too few keys",
    "no gain from learning", "learned from what is asked", "the learned form failed"};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

const char *omen_table_filter_name(uint32_t filter)
{
    return filter < COUNT_OF(kind_names) ? kind_names[filter] : NULL;
}

const char *omen_filter_why_name(uint32_t why)
{
    return why < COUNT_OF(why_names) ? why_names[why] : NULL;
}

/* ---- the statistics -------------------------------------------------------------------------- */

/* Promises are weighed by how often each was tried; before any was, by what the filters were built
 * for. */
struct promises {
    double tried, kept, planned, planned_kept;
};

static void add_table(const struct omi_table *t, struct omen_stats *s, struct promises *p)
{
    struct omi_filter_info info;
    struct omi_table_counts counts;
    omi_table_filter_info(t, &info);
    omi_table_counts(t, &counts);
    if ((size_t)info.kind < COUNT_OF(s->filter_tables))
        s->filter_tables[info.kind]++;
    s->sampled_probes += counts.probes;
    s->sampled_negatives += counts.negatives;
    s->sampled_false_positives += counts.false_positives;
    double absent = (double)counts.negatives + (double)counts.false_positives;
    p->tried += absent;
    p->kept += absent * info.promised_fpr;
    p->planned += info.weight;
    p->planned_kept += info.weight * info.promised_fpr;
}

void omi_stats_filters(omen_db *db, const struct omi_version *v, struct omen_stats *s)
{
    struct promises p = {0};
    for (uint32_t r = 0; r < v->run_count; r++)
        for (uint32_t i = 0; i < v->runs[r].table_count; i++)
            add_table(v->runs[r].tables[i], s, &p);
    s->filter_promised = p.tried > 0     ? p.kept / p.tried
                         : p.planned > 0 ? p.planned_kept / p.planned
                                         : 0;
    s->filter_price = omi_filter_price_now(db);
    omi_sample_held(db->sample, &s->sampled_gets, &s->sampled_scans);
    s->sample_bytes = omi_sample_bytes(db->sample);
}

void omi_stats_table_filter(const struct omi_table *t, struct omen_table_info *out)
{
    struct omi_filter_info info;
    struct omi_table_counts counts;
    omi_table_filter_info(t, &info);
    omi_table_counts(t, &counts);
    out->filter = info.kind;
    out->filter_why = info.why;
    out->filter_parts = info.parts;
    out->filter_regions = info.regions;
    out->filter_gaps = info.gaps;
    out->filter_prefix_bytes = info.prefix_bytes;
    out->filter_denied = info.denied;
    out->filter_samples = info.samples;
    out->filter_keys = info.keys;
    out->filter_promised = info.promised_fpr;
    out->filter_keylike = info.keylike_fpr;
    out->filter_plain = info.plain_fpr;
    out->filter_price = info.price;
    out->filter_weight = info.weight;
    out->sampled_probes = counts.probes;
    out->sampled_negatives = counts.negatives;
    out->sampled_false_positives = counts.false_positives;
}

/* ---- regions --------------------------------------------------------------------------------- */

struct regions {
    const struct omi_table *table;
    const struct omi_filter *filter;
    struct omi_digest digest;
    omen_slice smallest, largest;
    uint64_t *sampled; /* by region */
};

static uint32_t region_first(const struct regions *g, uint32_t region)
{
    uint32_t first;
    int class_code;
    omi_filter_region(g->filter, region, &first, &class_code);
    return first;
}

static uint32_t region_of(const struct regions *g, uint32_t digest)
{
    uint32_t low = 0, high = g->filter->region_count; /* the last that begins at digest or before */
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (region_first(g, middle) <= digest)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static omen_err sampled_count(omen_db *db, struct regions *g, uint32_t level, uint64_t age)
{
    struct omi_filter_sample *samples = NULL;
    size_t count = 0;
    struct omi_sample_view *view = omi_sample_view_ref(db->sample);
    if (view == NULL)
        return OMEN_OK; /* as without samples */
    omen_err err = omi_sample_absent(view, g->smallest, g->largest, level, age, &samples, &count);
    omi_sample_view_unref(view);
    for (size_t i = 0; i < count && err == OMEN_OK; i++) {
        size_t known = samples[i].key_size < OMI_SAMPLE_HEAD_BYTES ? samples[i].key_size
                                                                   : OMI_SAMPLE_HEAD_BYTES;
        g->sampled[region_of(g, omi_digest_of(&g->digest, samples[i].head, known))]++;
    }
    free(samples);
    return err;
}

/* The least key of a digest: the stripped bytes, then eight less the zeros at their end. */
static omen_err first_key(const struct regions *g, uint32_t first, struct omi_buf *out)
{
    uint8_t bytes[8];
    uint64_t at = g->digest.base + ((uint64_t)first << g->digest.shift);
    size_t count = sizeof(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(at >> (56 - 8 * i));
    while (count > 0 && bytes[count - 1] == 0)
        count--;
    out->size = 0;
    omen_err err =
        omi_buf_append(out, g->smallest.data,
                       g->digest.strip < g->smallest.size ? g->digest.strip : g->smallest.size);
    return err == OMEN_OK ? omi_buf_append(out, bytes, count) : err;
}

static omen_err regions_tell(const struct regions *g,
                             void (*region)(void *context, const omen_filter_region *info),
                             void *context)
{
    struct omi_buf key = {0};
    omen_err err = OMEN_OK;
    uint32_t count = g->filter->region_count;
    double all = 1 + (double)omi_digest_of(&g->digest, g->largest.data, g->largest.size);
    for (uint32_t r = 0; r < count && err == OMEN_OK; r++) {
        omen_filter_region info = {.struct_bytes = sizeof(info), .sampled = g->sampled[r]};
        uint32_t first, absent, passed;
        int class_code;
        omi_filter_region(g->filter, r, &first, &class_code);
        double end = r + 1 < count ? (double)region_first(g, r + 1) : all;
        end = end < all ? end : all;
        info.width = count == 1 ? 1 : end > first ? (end - first) / all : 0;
        info.probes = class_code;
        omi_table_region_counts(g->table, r, &absent, &passed);
        if (count == 1) { /* then the table's own counts are the region's */
            struct omi_table_counts counts;
            omi_table_counts(g->table, &counts);
            absent = counts.negatives + counts.false_positives;
            passed = counts.false_positives;
        }
        info.absent = absent;
        info.passed = passed;
        info.first_key = g->smallest;
        if (r > 0) {
            err = first_key(g, first, &key);
            info.first_key = omi_slice(key.data, key.size);
        }
        if (err == OMEN_OK)
            region(context, &info);
    }
    omi_buf_fini(&key);
    return err;
}

static omen_err regions_of(omen_db *db, const struct omi_run_view *run, uint32_t i,
                           void (*region)(void *context, const omen_filter_region *info),
                           void *context)
{
    struct regions g = {.table = run->tables[i],
                        .filter = omi_table_filter(run->tables[i]),
                        .smallest = run->files[i]->smallest,
                        .largest = run->files[i]->largest};
    if (g.filter->kind == OMI_FILTER_NONE || g.filter->kind == OMI_FILTER_CUSTOM)
        return OMEN_OK;
    omi_filter_digest(g.filter, &g.digest);
    g.sampled = calloc(g.filter->region_count + UINT64_C(1), sizeof(*g.sampled));
    if (g.sampled == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%u regions of a filter", g.filter->region_count);
    omen_err err = sampled_count(db, &g, run->level, run->age);
    if (err == OMEN_OK)
        err = regions_tell(&g, region, context);
    free(g.sampled);
    return err;
}

omen_err omen_filter_regions(omen_db *db, uint64_t number,
                             void (*region)(void *context, const omen_filter_region *info),
                             void *context)
{
    struct omi_view *view = omi_view_ref(db);
    omen_err err = OMEN_NOT_FOUND;
    for (uint32_t r = 0; r < view->version->run_count && err == OMEN_NOT_FOUND; r++)
        for (uint32_t i = 0; i < view->version->runs[r].table_count; i++)
            if (view->version->runs[r].files[i]->number == number) {
                err = regions_of(db, &view->version->runs[r], i, region, context);
                break;
            }
    omi_view_unref(view);
    return err;
}

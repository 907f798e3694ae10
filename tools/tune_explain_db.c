/*
 * tune_explain_db.c - a database as explain sees it: what was asked of it, and the tree that lies
 * there. Reads only; works beside a writer.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/tune_explain.h"

struct seen {
    omen_stats stats;
    omen_telemetry telemetry;
};

/* What the windows saw of late; without any, the counters of the database's life. */
static void mix_of(const struct seen *s, double mix[OMI_TUNE_OPS], double *scan_entries)
{
    const omen_window *w = &s->telemetry.all;
    double ops[OMI_TUNE_OPS] = {(double)w->get_misses, (double)w->get_hits, (double)w->scans,
                                (double)(w->puts + w->deletes)};
    double shown = (double)w->scan_entries, sum = ops[0] + ops[1] + ops[2] + ops[3];
    if (sum <= 0) {
        ops[OMI_TUNE_GET_MISS] = (double)(s->stats.gets - s->stats.get_hits);
        ops[OMI_TUNE_GET_HIT] = (double)s->stats.get_hits;
        ops[OMI_TUNE_SCAN] = (double)s->stats.seeks;
        ops[OMI_TUNE_WRITE] = (double)(s->stats.puts + s->stats.deletes);
        shown = (double)s->stats.scan_entries;
        sum = ops[0] + ops[1] + ops[2] + ops[3];
    }
    *scan_entries = ops[OMI_TUNE_SCAN] > 0 ? shown / ops[OMI_TUNE_SCAN] : 1;
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        mix[op] = sum > 0 ? ops[op] / sum : 0;
}

static void curve_of(const omen_telemetry *t, struct omi_cost_curve *curve)
{
    curve->count = 0;
    for (uint32_t i = 0; i < t->miss_count && curve->count < OMI_COST_CURVE_MAX; i++) {
        curve->cache_bytes[curve->count] = (double)t->miss[i].cache_bytes;
        curve->hit[curve->count++] = 1 - t->miss[i].misses;
    }
}

/* The shape that it has now. */
static void point_of(const struct seen *s, struct omt_explain *e, double filter_bits)
{
    const omen_window *w = &s->telemetry.all;
    double memory = (double)e->workload.limits.memory_bytes;
    double blocks = (double)s->stats.cache_capacity - (double)s->stats.filter_bytes;
    e->now.point = (struct omi_point){.size_ratio = (uint16_t)w->size_ratio,
                                      .runs_upper = (uint16_t)w->runs_upper,
                                      .runs_last = (uint16_t)w->runs_last,
                                      .filter_bits = (uint16_t)(filter_bits + 0.5)};
    if (blocks > 0)
        e->now.point.cache_pct = (uint16_t)(100 * blocks / memory);
}

static void tree_of(const struct seen *s, struct omt_explain *e, const struct omi_shape *shape)
{
    double entries[OMEN_LEVELS_MAX], runs[OMEN_LEVELS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->stats.levels && i < OMEN_LEVELS_MAX; i++) {
        entries[count] = (double)s->stats.level[i].entries;
        runs[count++] = s->stats.level[i].runs;
    }
    omi_cost_live(shape, entries, runs, count, &e->live.tree);
}

static bool seen_fit(const char *path, const struct seen *s, struct omt_explain *e,
                     const struct omi_cost_prices *prices)
{
    struct omi_workload like;
    double entries = 0, bytes = 0, scan_entries;
    for (uint32_t i = 0; i < s->stats.levels; i++) {
        entries += (double)s->stats.level[i].entries;
        bytes += (double)s->stats.level[i].bytes;
    }
    if (entries < 1 || s->telemetry.all.size_ratio < 2) {
        fprintf(stderr, "omendb: tune explain: %s has no tables yet: nothing to explain\n", path);
        return false;
    }
    if (omi_workload_named("W1", &like) != OMEN_OK) /* this engine's pages and filters */
        return false;
    omi_tune_workload_of(&like, prices, &e->workload);
    struct omi_tune_workload *w = &e->workload;
    mix_of(s, w->mix, &scan_entries);
    if (w->mix[0] + w->mix[1] + w->mix[2] + w->mix[3] <= 0) {
        fprintf(stderr,
                "omendb: tune explain: nothing was asked of %s yet; give a --spec to say what "
                "will be\n",
                path);
        return false;
    }
    /* Level 1 holds T - 1 memtables. */
    uint64_t memtable = s->stats.level[0].capacity_bytes / (s->telemetry.all.size_ratio - 1);
    w->skew = s->telemetry.skew;
    w->data.entries = entries;
    w->data.entry_bytes = bytes / entries;
    w->data.scan_entries = scan_entries;
    w->data.sorted = s->telemetry.sorted > 0.5;
    w->limits = (struct omi_space_limits){.memory_bytes = memtable + s->stats.cache_capacity,
                                          .entries = (uint64_t)entries};
    curve_of(&s->telemetry, &e->curve);
    if (e->curve.count != 0)
        w->curve = &e->curve;
    point_of(s, e, 8 * (double)s->stats.filter_bytes / entries);
    struct omi_shape shape = {.size_ratio = e->now.point.size_ratio,
                              .runs_upper = e->now.point.runs_upper,
                              .runs_last = e->now.point.runs_last,
                              .memtable_bytes = memtable};
    tree_of(s, e, &shape);
    e->is_live = true;
    snprintf(e->subject, sizeof(e->subject), "database %s", path);
    return true;
}

int omt_explain_db(const char *path, const struct omi_cost_prices *prices, struct omt_explain *e)
{
    struct omt_open open = {0};
    omen_db *db;
    int result = omt_db_open(path, &open, OMEN_OPEN_READ_ONLY, &db);
    if (result != OMT_EXIT_OK)
        return result;
    struct seen *s = omt_realloc(NULL, sizeof(*s));
    memset(s, 0, sizeof(*s));
    s->stats.struct_bytes = sizeof(s->stats);
    s->telemetry.struct_bytes = sizeof(s->telemetry);
    omen_err err = omen_get_stats(db, &s->stats);
    if (err == OMEN_OK)
        err = omen_get_telemetry(db, &s->telemetry);
    if (err != OMEN_OK)
        result = omt_tell(path, err);
    else if (!seen_fit(path, s, e, prices))
        result = OMT_EXIT_PROBLEM;
    free(s);
    return omt_db_close(db, result);
}

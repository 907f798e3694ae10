/*
 * tune_run.c - one labelled run: a workload's operations from every station, and what they cost.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/text.h"
#include "tools/tune_build.h"

struct run {
    struct omt_build *build;
    const struct omi_workload *workload;
    struct omt_label *label;
    struct omt_tally *tally;
    double drain_us, live_bytes, stored_bytes;
};

/* ---- what the counters say ----------------------------------------------------------------------- */

static double pages(uint64_t bytes)
{
    return (double)bytes / 4096;
}

/* What merges and flushes did between the two. */
static void count_merges(struct omt_label *label, const omen_stats *a, const omen_stats *b)
{
    label->merge_read_pages += pages(b->merge_read_bytes - a->merge_read_bytes);
    label->merge_written_pages +=
        pages(b->merge_written_bytes - a->merge_written_bytes + b->flush_bytes - a->flush_bytes);
    label->merges += b->merges - a->merges;
    label->flushes += b->flushes - a->flushes;
    for (int l = 0; l < OMEN_LEVELS_MAX; l++)
        label->moved_bytes += b->level[l].moved_bytes - a->level[l].moved_bytes;
    for (int i = 0; i < 4; i++) {
        label->wall.stalls += b->stall_count[i] - a->stall_count[i];
        label->wall.stall_us += b->stall_us[i] - a->stall_us[i];
    }
}

static void count_reads(struct omt_label *label, const omen_stats *a, const omen_stats *b)
{
    label->get_blocks += b->get_blocks - a->get_blocks;
    label->get_reads += b->get_block_reads - a->get_block_reads;
    label->scan_seeks += b->scan_opens - a->scan_opens;
    label->scan_blocks += b->scan_blocks - a->scan_blocks;
    label->scan_reads += b->scan_block_reads - a->scan_block_reads;
    label->probes += b->filter_probes - a->filter_probes;
    label->false_positives += b->filter_false_positives - a->filter_false_positives;
    label->cache_hits += b->cache_hits - a->cache_hits;
    label->cache_misses += b->cache_misses - a->cache_misses;
    for (int l = 0; l < OMEN_LEVELS_MAX; l++) {
        const omen_level_io *x = &a->level_io[l], *y = &b->level_io[l];
        struct omt_label_level *level = &label->level[l];
        level->probes += y->filter_probes - x->filter_probes;
        level->false_positives += y->filter_false_positives - x->filter_false_positives;
        level->blocks += y->get_blocks - x->get_blocks + y->scan_blocks - x->scan_blocks;
    }
}

/* The tree as the operations found it: the mean of their beginning and end, of this station. */
static void count_tree(struct run *r, const omen_stats *s, double weight)
{
    struct omt_label *label = r->label;
    label->filter_memory_bytes += weight * (double)s->memory_filters;
    if (s->levels > label->levels)
        label->levels = s->levels;
    for (uint32_t l = 0; l < s->levels; l++) {
        label->level[l].runs += weight * s->level[l].runs;
        label->level[l].files += weight * s->level[l].files;
        label->level[l].bytes += weight * (double)s->level[l].bytes;
        label->level[l].entries += weight * (double)s->level[l].entries;
        r->stored_bytes += weight * (double)s->level[l].bytes;
    }
}

static void count_live(struct run *r, const struct omt_work *work, double weight)
{
    uint64_t keys = work->ops.count - work->ops.oldest;
    uint64_t gone = omt_gone_count(&work->gone);
    /* Of sorted streams the deleted keys lie below the oldest. */
    if (work->ops.oldest == 0 && gone < keys)
        keys -= gone;
    r->live_bytes += weight * (double)(keys * work->workload.entry_bytes);
}

/* ---- one station --------------------------------------------------------------------------------- */

/* The first tenth warms the cache and is not counted. */
static omen_err operations(struct run *r, struct omt_work *work, uint64_t count, uint32_t stations)
{
    omen_stats before = {.struct_bytes = sizeof(before)}, after = before, drained = before;
    double weight = 0.5 / stations;
    omen_err err = omt_work_run(work, count / 10, NULL);
    if (err == OMEN_OK)
        err = omen_get_stats(work->db, &before);
    if (err != OMEN_OK)
        return err;
    count_tree(r, &before, weight);
    count_live(r, work, weight);
    work->by_kind = r->build->options.by_kind;
    err = omt_work_run(work, UINT64_MAX, r->tally);
    if (err == OMEN_OK)
        err = omen_get_stats(work->db, &after);
    if (err != OMEN_OK)
        return err;
    count_reads(r->label, &before, &after);
    count_tree(r, &after, weight);
    count_live(r, work, weight);
    double from = omt_now_s();
    err = omen_flush(work->db);
    if (err == OMEN_OK)
        err = omen_wait_idle(work->db);
    r->drain_us += (omt_now_s() - from) * 1e6;
    if (err == OMEN_OK)
        err = omen_get_stats(work->db, &drained);
    if (err == OMEN_OK)
        count_merges(r->label, &before, &drained);
    return err;
}

/* A part of each phase, so that every station sees the workload as a whole. The warm-up is a tenth
 * more, at the first phase's expense. */
static uint64_t part_make(const struct omi_workload *workload, uint32_t stations,
                          struct omi_workload *part)
{
    uint64_t ops = 0;
    *part = *workload;
    for (uint32_t i = 0; i < part->phase_count; i++) {
        uint64_t n = workload->phase[i].ops / stations;
        part->phase[i].ops = n > 0 ? n : 1;
        ops += part->phase[i].ops;
    }
    part->phase[0].ops += ops / 10;
    return ops;
}

static omen_err station_run(struct run *r, const struct omt_stream *stream, uint32_t index,
                            uint64_t chance)
{
    const struct omt_station *station = &stream->station[index];
    struct omi_workload part;
    struct omt_work *work = omt_realloc(NULL, sizeof(*work));
    char dir[OMT_TUNE_PATH] = "";
    omen_db *db = NULL;
    uint64_t ops = part_make(r->workload, stream->count, &part);
    omt_work_init(work, &part, r->build->keys_ops, chance * OMT_STATIONS_MAX + index + 1,
                  r->build->options.stop);
    omt_work_after(work, &station->ops, &station->gone);
    omen_err err = omt_build_fork(r->build, station, dir, &db);
    work->db = db;
    if (err == OMEN_OK)
        err = operations(r, work, ops, stream->count);
    err = omt_build_drop(r->build, dir, db, err);
    omt_work_fini(work);
    free(work);
    return err;
}

/* ---- the label ----------------------------------------------------------------------------------- */

static double ratio(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

static void label_begin(const struct omt_build *build, const struct omi_workload *w,
                        const struct omt_stream *stream, uint32_t repeat, struct omt_label *label)
{
    struct omi_space_limits limits = omt_spec_limits(w);
    memset(label, 0, sizeof(*label));
    snprintf(label->workload, sizeof(label->workload), "%s", w->name);
    snprintf(label->spec, sizeof(label->spec), "%016" PRIx64, omt_spec_hash(w));
    snprintf(label->build, sizeof(label->build), "%s", build->build_id);
    label->point = build->point;
    label->repeat = repeat;
    label->seed = w->seed;
    label->entries = w->entries;
    label->entry_bytes = w->entry_bytes;
    label->memory_bytes = limits.memory_bytes;
    label->memtable_bytes = omi_point_memtable_bytes(&limits, &build->point);
    label->filter_share_bytes = omi_point_filter_bytes(&limits, &build->point);
    label->cache_bytes = omi_point_cache_bytes(&limits, &build->point);
    omi_workload_mix(w, label->mix);
    label->skew = w->dist == OMI_WORK_UNIFORM ? 0 : w->theta;
    label->scan_entries = omi_workload_scan(w);
    label->cycle_writes = stream->writes;
    label->cycle_whole = stream->whole;
    label->cycle_read_pages = stream->read_pages;
    label->cycle_written_pages = stream->written_pages;
    label->wall.cycle_write_us = stream->write_us;
    label->wall.build_us = build->build_us;
    snprintf(label->wall.session, sizeof(label->wall.session), "%s", build->options.session);
}

static void label_pages(struct omt_label *label, const struct omt_tally *tally, bool by_kind)
{
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        label->pages[op] = -1;
    if (!by_kind)
        return;
    for (int kind = 0; kind < 2; kind++)
        if (tally->ops[kind] != 0)
            label->pages[kind] = (double)tally->kind_blocks[kind] / (double)tally->ops[kind];
    if (label->ops[OMI_OP_SCAN] != 0)
        label->pages[OMI_TUNE_SCAN] = (double)label->scan_blocks / (double)label->ops[OMI_OP_SCAN];
    if (label->ops[OMI_OP_PUT] + label->ops[OMI_OP_DELETE] != 0)
        label->pages[OMI_TUNE_WRITE] = label->cycle_read_pages + label->cycle_written_pages;
}

static void label_wall(struct run *r)
{
    static const double percent[4] = {50, 95, 99, 99.9};
    struct omt_label_wall *wall = &r->label->wall;
    double reads = 0, all = 0, ops = (double)r->label->operations;
    double writes = (double)(r->label->ops[OMI_OP_PUT] + r->label->ops[OMI_OP_DELETE]);
    for (int kind = 0; kind < OMT_OP_KINDS; kind++) {
        all += r->tally->us[kind];
        if (kind != OMI_OP_PUT && kind != OMI_OP_DELETE)
            reads += r->tally->us[kind];
        for (int p = 0; p < 4; p++)
            wall->latency_us[kind][p] = bench_hist_percentile_us(&r->tally->hist[kind], percent[p]);
    }
    wall->run_us = all + r->drain_us;
    wall->drain_us = r->drain_us;
    wall->j_us = ratio(reads + writes * wall->cycle_write_us, ops);
    wall->ops_s = ratio(ops * 1e6, wall->run_us);
    wall->time = (uint64_t)time(NULL);
}

static void label_end(struct run *r)
{
    struct omt_label *label = r->label;
    const struct omi_cost_prices *prices = &r->build->options.prices;
    for (int kind = 0; kind < OMT_OP_KINDS; kind++) {
        label->ops[kind] = r->tally->ops[kind];
        label->operations += r->tally->ops[kind];
    }
    label->user_bytes = r->tally->user_bytes;
    label_pages(label, r->tally, r->build->options.by_kind);
    double ops = (double)label->operations;
    double writes = (double)(label->ops[OMI_OP_PUT] + label->ops[OMI_OP_DELETE]);
    label->j_io = omt_label_cost(label, prices);
    label->write_cost = ratio(writes, ops) * (label->cycle_read_pages * prices->merge_read +
                                              label->cycle_written_pages * prices->merge_write);
    label->read_cost = label->j_io - label->write_cost;
    label->j_io_run = label->read_cost + ratio(label->merge_read_pages * prices->merge_read +
                                                   label->merge_written_pages * prices->merge_write,
                                               ops);
    label->write_amp = label->cycle_written_pages * 4096 / (double)label->entry_bytes;
    label->read_amp = ratio((double)(label->get_blocks + label->scan_blocks), ops - writes);
    label->space_amp = ratio(r->stored_bytes, r->live_bytes);
    label_wall(r);
}

omen_err omt_run(struct omt_build *build, const struct omi_workload *workload, uint32_t repeat,
                 struct omt_label *label_out)
{
    const struct omt_stream *stream;
    omen_err err = omt_build_stream(build, workload, &stream);
    if (err != OMEN_OK)
        return err;
    struct run r = {.build = build, .workload = workload, .label = label_out};
    r.tally = omt_realloc(NULL, sizeof(*r.tally));
    memset(r.tally, 0, sizeof(*r.tally));
    label_begin(build, workload, stream, repeat, label_out);
    for (uint32_t i = 0; i < stream->count && err == OMEN_OK; i++)
        err = station_run(&r, stream, i, repeat);
    if (err == OMEN_OK)
        label_end(&r);
    free(r.tally);
    return err;
}

/*
 * tune_replay.c - replay: a schedule of phases, or a trace, on one database from its beginning to its
 * end; with --oracle the shape is chosen anew for each phase, as it begins, by someone who knows it.
 *
 * Unlike a label this is what happened, with whatever merging fell where it fell; changing the shape
 * costs what it costs.
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compaction/tune_model.h"
#include "compaction/tune_theory.h"
#include "tools/tune_build.h"
#include "tools/tune_flags.h"
#include "tools/tune_lines.h"
#include "tools/tune_trace.h"

enum { TRACE_WINDOW = 10000 };

struct replay {
    const struct omt_tune_flags *flags;
    const struct omt_campaign_config *config;
    struct omi_workload workload; /* data, and phases unless there is a trace */
    struct omt_build build;
    struct omi_point point; /* in force */
    bool oracle;
    struct omi_tune_model *model; /* NULL: the theory chooses */
    struct omi_tune_space space;
    omen_stats before;
    struct omt_tally tally;
    struct omt_json json;
    uint32_t segments;
    double cost, us;
    uint64_t ops, differ;
};

/* ---- choosing ------------------------------------------------------------------------------------ */

static bool model_load(struct replay *r, const char *dir)
{
    char path[OMT_TUNE_PATH];
    uint8_t *bytes = omt_realloc(NULL, OMI_TUNE_MODEL_BYTES_MAX + 1);
    if (!omt_lines_path(path, dir, "model.omtm"))
        return false;
    FILE *in = fopen(path, "rb");
    size_t got = in != NULL ? fread(bytes, 1, OMI_TUNE_MODEL_BYTES_MAX + 1, in) : 0;
    if (in == NULL) {
        fprintf(stderr, "omendb: tune replay: %s: %s; omendb tune learn makes it\n", path,
                strerror(errno));
        free(bytes);
        return false;
    }
    fclose(in);
    r->model = omt_realloc(NULL, sizeof(*r->model));
    omen_err err = omi_tune_model_decode(bytes, got, r->model);
    free(bytes);
    if (err != OMEN_OK)
        fprintf(stderr, "omendb: tune replay: %s: %s\n", path, omen_last_error());
    return err == OMEN_OK;
}

/* Of a phase's mean mix at a point of which only T and K's may differ from now. */
static double expected(struct replay *r, const struct omi_phase *phase, const struct omi_point *p)
{
    struct omi_workload one = r->workload;
    struct omi_tune_workload w;
    struct omi_cost_tree tree;
    struct omi_cost cost;
    struct omi_tune_input input;
    one.phase_count = 1;
    one.phase[0] = *phase;
    omi_tune_workload_of(&one, &r->config->prices, &w);
    if (omi_theory_cost(&w, p, &tree, &cost) != OMEN_OK)
        return INFINITY;
    if (r->model == NULL)
        return omi_cost_mix(&cost, w.mix);
    omi_tune_input_make(w.mix, p, tree.count, &cost, w.skew, w.data.scan_entries, &input);
    return omi_tune_predict(r->model, &input).log_mean;
}

static struct omi_point chosen(struct replay *r, const struct omi_phase *phase)
{
    struct omi_point best = r->point;
    double least = expected(r, phase, &best);
    for (uint32_t i = 0; i < r->space.count; i++) {
        struct omi_point p = r->space.points[i];
        p.filter_bits = r->point.filter_bits;
        p.cache_pct = r->point.cache_pct;
        double j = expected(r, phase, &p);
        if (j < least) {
            least = j;
            best = p;
        }
    }
    return best;
}

static omen_err point_set(struct replay *r, const struct omi_point *p)
{
    const struct {
        const char *name;
        uint16_t from, to;
    } knobs[] = {{"size_ratio", r->point.size_ratio, p->size_ratio},
                 {"runs_upper", r->point.runs_upper, p->runs_upper},
                 {"runs_last", r->point.runs_last, p->runs_last}};
    omen_err err = OMEN_OK;
    for (int i = 0; i < 3 && err == OMEN_OK; i++) {
        char value[16];
        snprintf(value, sizeof(value), "%u", knobs[i].to);
        if (knobs[i].from != knobs[i].to)
            err = omen_set_option(r->build.base, knobs[i].name, value);
    }
    if (err == OMEN_OK)
        r->point = *p;
    return err;
}

/* ---- telling ------------------------------------------------------------------------------------- */

static double pages(uint64_t bytes)
{
    return (double)bytes / 4096;
}

/* What happened between the two, at the prices. */
static double cost_of(const struct replay *r, const omen_stats *a, const omen_stats *b)
{
    const struct omi_cost_prices *p = &r->config->prices;
    double seeks = (double)(b->scan_opens - a->scan_opens);
    double asked = (double)(b->scan_blocks - a->scan_blocks);
    double first = asked > 0 ? seeks / asked : 0;
    first = first < 1 ? first : 1;
    double written = pages(b->merge_written_bytes - a->merge_written_bytes) +
                     pages(b->flush_bytes - a->flush_bytes);
    return (double)(b->get_block_reads - a->get_block_reads) * p->read +
           (double)(b->scan_block_reads - a->scan_block_reads) *
               (first * p->seek + (1 - first) * p->scan_page) +
           (double)(b->filter_probes - a->filter_probes) * p->probe +
           pages(b->merge_read_bytes - a->merge_read_bytes) * p->merge_read +
           written * p->merge_write;
}

static uint64_t ops_of(const struct omt_tally *t)
{
    uint64_t ops = 0;
    for (int k = 0; k < OMT_OP_KINDS; k++)
        ops += t->ops[k];
    return ops;
}

static double p99_of(const struct omt_tally *t)
{
    struct bench_hist *all = omt_realloc(NULL, sizeof(*all));
    memset(all, 0, sizeof(*all));
    for (int k = 0; k < OMT_OP_KINDS; k++)
        bench_hist_merge(all, &t->hist[k]);
    double p99 = bench_hist_percentile_us(all, 99);
    free(all);
    return p99;
}

static void segment_json(struct replay *r, double j, double us, double runs, double bytes)
{
    const struct omt_tally *t = &r->tally;
    omt_json_object(&r->json, NULL);
    omt_json_u64(&r->json, "phase", r->segments);
    omt_json_u64(&r->json, "T", r->point.size_ratio);
    omt_json_u64(&r->json, "K", r->point.runs_upper);
    omt_json_u64(&r->json, "Z", r->point.runs_last);
    omt_json_array(&r->json, "ops");
    for (int k = 0; k < OMT_OP_KINDS; k++)
        omt_json_u64(&r->json, NULL, t->ops[k]);
    omt_json_array_end(&r->json);
    omt_json_f64(&r->json, "j_io", j, 6);
    omt_json_f64(&r->json, "runs", runs, 1);
    omt_json_f64(&r->json, "bytes", bytes, 0);
    omt_json_object(&r->json, "wall");
    omt_json_f64(&r->json, "j_us", us, 3);
    omt_json_f64(&r->json, "p99_us", p99_of(t), 1);
    omt_json_object_end(&r->json);
    omt_json_object_end(&r->json);
    omt_json_end(&r->json);
}

static void segment_print(struct replay *r, double j, double us, double runs, double bytes)
{
    const struct omt_tally *t = &r->tally;
    char text[OMT_POINT_TEXT], size[OMT_HUMAN_LEN];
    double n = (double)ops_of(t) / 100;
    if (r->segments == 0)
        printf("%5s %5s %5s %5s %5s %10s %8s %8s %5s %10s  %s\n", "phase", "miss", "hit", "scan",
               "write", "page reads", "us", "p99 us", "runs", "size", "shape");
    printf("%5" PRIu32 " %4.0f%% %4.0f%% %4.0f%% %4.0f%% %10.4f %8.2f %8.1f %5.0f %10s  %s\n",
           r->segments, (double)t->ops[OMI_OP_GET_MISS] / n, (double)t->ops[OMI_OP_GET_HIT] / n,
           (double)t->ops[OMI_OP_SCAN] / n,
           (double)(t->ops[OMI_OP_PUT] + t->ops[OMI_OP_DELETE]) / n, j, us, p99_of(t), runs,
           omt_human_bytes(size, (uint64_t)bytes), omt_point_text(&r->point, text));
    fflush(stdout);
}

static omen_err segment_end(struct replay *r)
{
    omen_stats after = {.struct_bytes = sizeof(after)};
    omen_err err = omen_get_stats(r->build.base, &after);
    uint64_t ops = ops_of(&r->tally);
    if (err != OMEN_OK || ops == 0)
        return err;
    double us = 0, runs = 0, bytes = 0, cost = cost_of(r, &r->before, &after);
    for (int k = 0; k < OMT_OP_KINDS; k++)
        us += r->tally.us[k];
    for (uint32_t l = 0; l < after.levels; l++) {
        runs += after.level[l].runs;
        bytes += (double)after.level[l].bytes;
    }
    if (r->flags->json)
        segment_json(r, cost / (double)ops, us / (double)ops, runs, bytes);
    else
        segment_print(r, cost / (double)ops, us / (double)ops, runs, bytes);
    r->cost += cost;
    r->us += us;
    r->ops += ops;
    r->segments++;
    r->before = after;
    memset(&r->tally, 0, sizeof(r->tally));
    return OMEN_OK;
}

/* ---- playing ------------------------------------------------------------------------------------- */

static omen_err settle(struct replay *r)
{
    omen_err err = omen_flush(r->build.base);
    if (err == OMEN_OK)
        err = omen_wait_idle(r->build.base);
    r->before.struct_bytes = sizeof(r->before);
    return err == OMEN_OK ? omen_get_stats(r->build.base, &r->before) : err;
}

static omen_err phases_play(struct replay *r)
{
    struct omt_work *work = omt_realloc(NULL, sizeof(*work));
    omt_work_init(work, &r->workload, 0, 1, &omt_measure_stopped);
    work->db = r->build.base;
    omen_err err = omt_work_load(work);
    if (err == OMEN_OK)
        err = settle(r);
    for (uint32_t i = 0; i < r->workload.phase_count && err == OMEN_OK; i++) {
        const struct omi_phase *phase = &r->workload.phase[i];
        if (r->oracle) {
            struct omi_point p = chosen(r, phase);
            err = point_set(r, &p);
        }
        if (err == OMEN_OK)
            err = omt_work_run(work, phase->ops, &r->tally);
        if (err == OMEN_OK)
            err = segment_end(r);
    }
    omt_work_fini(work);
    free(work);
    return err;
}

static omen_err trace_play(struct replay *r, struct omt_trace *trace)
{
    uint64_t played = TRACE_WINDOW;
    uint32_t value = r->workload.entry_bytes > OMT_WORK_KEY_BYTES
                         ? r->workload.entry_bytes - OMT_WORK_KEY_BYTES
                         : 0;
    omen_err err = omt_trace_load(trace, r->build.base, value, &omt_measure_stopped);
    if (err == OMEN_OK)
        err = settle(r);
    while (err == OMEN_OK && played == TRACE_WINDOW) {
        err = omt_trace_play(trace, r->build.base, TRACE_WINDOW, &r->tally, &played, &r->differ,
                             &omt_measure_stopped);
        if (err == OMEN_OK && played > 0)
            err = segment_end(r);
    }
    return err;
}

static void total_print(const struct replay *r, bool trace)
{
    if (r->flags->json || r->ops == 0)
        return;
    printf("%sall%s: %" PRIu64 " operations, %.4f page reads and %.2f us each\n", omt_bold(),
           omt_plain(), r->ops, r->cost / (double)r->ops, r->us / (double)r->ops);
    if (trace && r->differ > 0)
        printf("%" PRIu64 " lookups found what was not found when recorded, or the other way: what "
               "the trace\ndoes not tell of the data (keys scanned but never looked up)\n",
               r->differ);
}

static int replay_run(struct replay *r, const char *point_text, const char *trace_path)
{
    struct omt_measure_options options;
    struct omi_space_limits limits = omt_spec_limits(&r->workload);
    struct omt_trace *trace = NULL;
    if (!omt_point_parse(point_text, &limits, &r->point) ||
        !omt_tune_flags_measure(r->flags, ".", r->config, "replay", &options) ||
        (trace_path != NULL && !omt_trace_open(trace_path, &trace)))
        return OMT_EXIT_USAGE;
    r->build = (struct omt_build){
        .options = options.run, .data = r->workload, .point = r->point, .limits = limits};
    omen_err err = r->oracle ? omi_space_make(&limits, r->flags->space, &r->space) : OMEN_OK;
    snprintf(r->build.base_dir, sizeof(r->build.base_dir), "%s", options.run.work);
    if (err == OMEN_OK)
        err = omt_build_open(&r->build, r->build.base_dir, &r->build.base);
    if (err == OMEN_OK)
        err = trace != NULL ? trace_play(r, trace) : phases_play(r);
    if (err == OMEN_OK)
        total_print(r, trace != NULL);
    err = omt_build_drop(&r->build, r->build.base_dir, r->build.base, err);
    omi_space_fini(&r->space);
    omt_trace_close(trace);
    free(r->model);
    return omt_tune_ended(err, "replay");
}

static int replay_verb(struct replay *r, struct omt_campaign_config *config, const char *point,
                       const char *from, const char *trace)
{
    char work[OMT_TUNE_PATH];
    const char *tmp = getenv("TMPDIR");
    struct omt_tune_flags flags = *r->flags;
    if (trace != NULL) { /* its own operations, on data as its own */
        struct omi_workload w;
        if (!omt_trace_spec(trace, &w))
            return OMT_EXIT_ERROR;
        flags.specs.count = 0;
        flags.workloads = NULL;
        if (!omt_tune_flags_config(&flags, "replay", "W1", config))
            return OMT_EXIT_USAGE;
        config->workload[0] = w;
        if (flags.bits > 0)
            config->workload[0].memory_bits = flags.bits;
    } else if (!omt_tune_flags_config(&flags, "replay", "ring", config)) {
        return OMT_EXIT_USAGE;
    }
    if (config->workload_count != 1)
        return omt_usage("tune replay", "one workload at a time");
    if (from != NULL && !model_load(r, from))
        return OMT_EXIT_ERROR;
    if (flags.work == NULL) {
        snprintf(work, sizeof(work), "%s/omendb-tune-%ld", tmp != NULL ? tmp : "/tmp",
                 (long)getpid());
        flags.work = work;
    }
    r->flags = &flags;
    r->config = config;
    r->workload = config->workload[0];
    return replay_run(r, point, trace);
}

int omt_tune_replay(int argc, char **argv)
{
    struct omt_tune_flags f;
    const char *point = "default", *from = NULL, *trace = NULL;
    struct replay *r = omt_realloc(NULL, sizeof(*r));
    memset(r, 0, sizeof(*r));
    omt_tune_flags_init(&f);
    const struct omt_flag flags[] = {
        {"point", OMT_TEXT, &point, "POINT", "the configuration (default)", NULL},
        {"trace", OMT_TEXT, &trace, "FILE", "a recorded trace in place of a workload", NULL},
        {"oracle", OMT_BOOL, &r->oracle, NULL, "choose T, K and Z anew for each phase", NULL},
        {"from", OMT_TEXT, &from, "DIR", "with this campaign's model; else the theory chooses",
         NULL},
        {"space", OMT_TEXT, &f.space, "T=2,4;K=1,T-1;Z=1;h=10;cache=20", "to choose from", NULL},
        {"json", OMT_BOOL, &f.json, NULL, "a JSON line a phase", NULL},
        OMT_TUNE_WORK_FLAGS(&f),
        OMT_TUNE_RUN_FLAGS(&f)};
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune replay",
        .usage = "omendb tune replay [flags]",
        .text = "Plays the phases of a workload, or a trace in windows of 10,000 operations, on "
                "one\ndatabase, and says what each cost as it happened. With --oracle the shape "
                "is changed\nlive before each phase to what is expected to be best for it.",
        .examples = "  omendb tune replay --spec=ring\n"
                    "  omendb tune replay --spec=ring --oracle\n"
                    "  omendb tune replay --spec=square --oracle --from=/tmp/t\n"
                    "  omendb tune replay --trace=/tmp/day.trace --point=T=10,K=9\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    int result = parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
    if (parsed == OMT_PARSE_OK) {
        struct omt_campaign_config *config = omt_realloc(NULL, sizeof(*config));
        r->flags = &f;
        r->json = (struct omt_json){.out = stdout, .lines = true};
        if (args.word_count != 0)
            omt_usage("tune replay", "it takes flags alone");
        else if (trace != NULL && r->oracle)
            omt_usage("tune replay", "--oracle needs phases; a trace has none");
        else
            result = replay_verb(r, config, point, from, trace);
        free(config);
    }
    omt_args_free(&args);
    omt_tune_flags_fini(&f);
    free(r);
    return omt_stdout_end(result);
}

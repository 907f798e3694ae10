/*
 * tune_grid.c - sample: one labelled run; grid: every configuration of a grid under every workload.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compaction/tune_theory.h"
#include "tools/tune_flags.h"

static const char twelve[] = "W1,W2,W3,W4,W5,W6,W7,W8,W9,W10,W11,W12";

/* ---- sample ------------------------------------------------------------------------------------ */

static void sample_print(const struct omt_label *l)
{
    char point[OMT_POINT_TEXT], memory[OMT_HUMAN_LEN], memtable[OMT_HUMAN_LEN],
        cache[OMT_HUMAN_LEN], filters[OMT_HUMAN_LEN];
    printf("%s%s%s at %s: %s%.4f page reads an operation%s, %.1f us\n", omt_bold(), l->workload,
           omt_plain(), omt_point_text(&l->point, point), omt_bold(), l->j_io, omt_plain(),
           l->wall.j_us);
    printf("  memory    %s: memtable %s, cache %s, filters %s\n",
           omt_human_bytes(memory, l->memory_bytes), omt_human_bytes(memtable, l->memtable_bytes),
           omt_human_bytes(cache, l->cache_bytes),
           omt_human_bytes(filters, (uint64_t)l->filter_memory_bytes));
    printf("  reads     %.4f of it: %" PRIu64 " blocks by gets (%" PRIu64 " not cached), %" PRIu64
           " by scans\n",
           l->read_cost, l->get_blocks, l->get_reads, l->scan_blocks);
    printf("  writes    %.4f of it: %.3f pages read and %.3f written for each, over %" PRIu64
           "%s\n",
           l->write_cost, l->cycle_read_pages, l->cycle_written_pages, l->cycle_writes,
           l->cycle_whole ? ", a whole cycle" : ", less than a cycle");
    printf("  amplified write %.2f, read %.2f, space %.2f\n", l->write_amp, l->read_amp,
           l->space_amp);
    for (uint32_t i = 0; i < l->levels; i++)
        printf("  level %-3" PRIu32 " %.1f runs, %.1f files, %s\n", i + 1, l->level[i].runs,
               l->level[i].files, omt_human_bytes(memory, (uint64_t)l->level[i].bytes));
    for (int k = 0; k < OMT_OP_KINDS; k++)
        if (l->ops[k] != 0)
            printf("  %-9s %" PRIu64 ": p50 %.1f, p95 %.1f, p99 %.1f, p99.9 %.1f us\n",
                   omt_op_name(k), l->ops[k], l->wall.latency_us[k][0], l->wall.latency_us[k][1],
                   l->wall.latency_us[k][2], l->wall.latency_us[k][3]);
}

static int sample_run(const struct omt_tune_flags *f, const struct omt_campaign_config *config,
                      const char *point_text, const char *dir)
{
    struct omt_measure_options options;
    struct omt_build *build = NULL;
    struct omi_point point;
    struct omi_space_limits limits = omt_spec_limits(&config->workload[0]);
    if (!omt_point_parse(point_text, &limits, &point) ||
        !omt_tune_flags_measure(f, dir, config, "sample", &options))
        return OMT_EXIT_USAGE;
    struct omt_label *label = omt_realloc(NULL, sizeof(*label));
    omen_err err = omt_build_make(&options.run, &config->workload[0], &point, &build);
    for (uint64_t i = 0; i < (f->repeats > 0 ? f->repeats : 1) && err == OMEN_OK; i++) {
        err = omt_run(build, &config->workload[0], (uint32_t)i, label);
        snprintf(label->method, sizeof(label->method), "sample");
        if (err == OMEN_OK && f->json)
            omt_label_write(stdout, label, true);
        else if (err == OMEN_OK)
            sample_print(label);
    }
    omt_build_destroy(build);
    free(label);
    if (!f->keep)
        rmdir(options.run.work);
    return omt_tune_ended(err, "sample");
}

int omt_tune_sample(int argc, char **argv)
{
    struct omt_tune_flags f;
    const char *point = "default";
    omt_tune_flags_init(&f);
    const struct omt_flag flags[] = {
        {"point", OMT_TEXT, &point, "POINT", "what to measure (default)", NULL},
        {"repeats", OMT_U64, &f.repeats, NULL, "runs (1)", NULL},
        {"json", OMT_BOOL, &f.json, NULL, "the label as a JSON line", NULL},
        OMT_TUNE_WORK_FLAGS(&f),
        OMT_TUNE_RUN_FLAGS(&f)};
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune sample",
        .usage = "omendb tune sample [flags]",
        .text = "Builds one configuration, runs one workload on it, and says what it cost.\n"
                "A point is T=6,K=4,Z=1,h=10,cache=20: size ratio, runs of the upper levels and of "
                "the\nlast, filter bits a key, the cache's share of the memory in per cent; what "
                "is left\nis the memtable's. A policy may come first: leveling, tiering, "
                "lazy-leveling.",
        .examples = "  omendb tune sample --workloads=W5 --point=default\n"
                    "  omendb tune sample --workloads=W5 --point=tiering,T=10,h=6,cache=0 --json\n"
                    "  omendb tune sample --spec='{\"like\":\"W1\",\"dist\":\"zipf\"}'\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        omt_args_free(&args);
        omt_tune_flags_fini(&f);
        return parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
    }
    int words = args.word_count;
    omt_args_free(&args);
    struct omt_campaign_config *config = omt_realloc(NULL, sizeof(*config));
    const char *tmp = getenv("TMPDIR");
    int result = OMT_EXIT_USAGE;
    if (words != 0)
        omt_usage("tune sample", "it takes flags alone");
    else if (omt_tune_flags_config(&f, "sample", "W1", config)) {
        if (config->workload_count != 1)
            omt_usage("tune sample", "one workload at a time; tune grid takes many");
        else {
            char work[OMT_TUNE_PATH];
            snprintf(work, sizeof(work), "%s/omendb-tune-%ld", tmp != NULL ? tmp : "/tmp",
                     (long)getpid());
            if (f.work == NULL)
                f.work = work;
            result = sample_run(&f, config, point, ".");
        }
    }
    free(config);
    omt_tune_flags_fini(&f);
    return omt_stdout_end(result);
}

/* ---- grid -------------------------------------------------------------------------------------- */

static bool space_fail(const char *why)
{
    fprintf(stderr, "omendb: tune grid: %s; see omendb tune grid --help\n", why);
    return false;
}

/* All workloads' points together, so that every one is measured under every workload. */
static bool points_gather(const struct omt_campaign *c, struct omi_tune_space *all)
{
    const struct omt_campaign_config *config = &c->config;
    uint32_t index;
    *all = (struct omi_tune_space){.limits = omt_spec_limits(&config->workload[0])};
    for (uint32_t i = 0; i < config->workload_count; i++) {
        struct omi_space_limits limits = omt_spec_limits(&config->workload[i]);
        struct omi_tune_space space;
        struct omi_tune_workload w;
        omi_tune_workload_of(&config->workload[i], &config->prices, &w);
        omen_err err = config->restrict_text[0] != '\0'
                           ? omi_space_make(&limits, config->restrict_text, &space)
                           : omi_space_grid(&limits, &w.data, w.mix, &space);
        if (err != OMEN_OK)
            return space_fail(omen_last_error());
        if (limits.memory_bytes != all->limits.memory_bytes ||
            limits.entries != all->limits.entries)
            return space_fail("all workloads of a grid need the same entries and memory");
        for (uint32_t k = 0; k < space.count && err == OMEN_OK; k++)
            err = omi_space_add(all, &space.points[k], &index);
        omi_space_fini(&space);
        if (err != OMEN_OK)
            return space_fail(omen_last_error());
    }
    struct omi_point standard = omt_default_point(&all->limits);
    if (omi_space_add(all, &standard, &index) != OMEN_OK)
        return space_fail(omen_last_error());
    return true;
}

/* The default first, so that there is something to compare with early. */
static struct omt_wish *wishes_make(const struct omt_campaign *c,
                                    const struct omi_tune_space *space, uint32_t repeats,
                                    uint32_t *count_out)
{
    uint32_t workloads = c->config.workload_count, n = 0;
    size_t most = (size_t)space->count * workloads * repeats;
    struct omt_wish *wishes = omt_realloc(NULL, most * sizeof(*wishes));
    for (uint32_t p = 0; p < space->count; p++)
        for (uint32_t w = 0; w < workloads; w++)
            for (uint32_t r = 0; r < repeats; r++) {
                wishes[n] =
                    (struct omt_wish){.workload = w,
                                      .repeat = r,
                                      .point = space->points[p == 0 ? space->count - 1 : p - 1]};
                snprintf(wishes[n++].method, sizeof(wishes->method), "grid");
            }
    *count_out = n;
    return wishes;
}

static void grid_print(const struct omt_campaign *c, const struct omi_point *standard, bool json)
{
    char text[OMT_POINT_TEXT];
    struct omt_json j = {.out = stdout};
    if (json)
        omt_json_array(&j, NULL);
    else
        printf("%-12s %10s %10s %8s  %s\n", "workload", "default", "best", "better",
               "best configuration");
    for (uint32_t w = 0; w < c->config.workload_count; w++) {
        const struct omt_label *best = omt_campaign_best(c, w);
        const struct omt_label *was = omt_campaign_find(c, w, standard, 0);
        if (best == NULL)
            continue;
        double gain = was != NULL && was->j_io > 0 ? 1 - best->j_io / was->j_io : 0;
        if (json) {
            omt_json_object(&j, NULL);
            omt_json_text(&j, "workload", best->workload);
            omt_json_f64(&j, "default", was != NULL ? was->j_io : NAN, 6);
            omt_json_f64(&j, "best", best->j_io, 6);
            omt_json_f64(&j, "better", gain, 6);
            omt_json_text(&j, "point", omt_point_text(&best->point, text));
            omt_json_object_end(&j);
        } else {
            printf("%-12s %10.4f %10.4f %7.1f%%  %s\n", best->workload,
                   was != NULL ? was->j_io : NAN, best->j_io, gain * 100,
                   omt_point_text(&best->point, text));
        }
    }
    if (json) {
        omt_json_array_end(&j);
        omt_json_end(&j);
    }
}

static int grid_run(const struct omt_tune_flags *f, struct omt_campaign *c)
{
    struct omt_measure_options options;
    struct omi_tune_space space;
    uint32_t count;
    if (!points_gather(c, &space)) {
        omi_space_fini(&space);
        return OMT_EXIT_USAGE;
    }
    if (!omt_tune_flags_measure(f, c->dir, &c->config, "grid", &options)) {
        omi_space_fini(&space);
        return OMT_EXIT_USAGE;
    }
    struct omt_wish *wishes =
        wishes_make(c, &space, f->repeats > 0 ? (uint32_t)f->repeats : 1, &count);
    omen_err err = omt_measure(c, &options, wishes, count);
    free(wishes);
    struct omi_point standard = space.points[space.count - 1];
    omi_space_fini(&space);
    if (!f->keep)
        rmdir(options.run.work);
    int result = omt_tune_ended(err, "grid");
    if (result == OMT_EXIT_OK || err == OMEN_ABORTED)
        grid_print(c, &standard, f->json);
    return result;
}

int omt_tune_grid(int argc, char **argv)
{
    struct omt_tune_flags f;
    omt_tune_flags_init(&f);
    const struct omt_flag flags[] = {
        {"space", OMT_TEXT, &f.space, "T=2,4;K=1,T-1;Z=1;h=6,10;cache=0,20",
         "these points in place of the grid", NULL},
        {"repeats", OMT_U64, &f.repeats, NULL, "runs of each, with other operations (1)", NULL},
        {"json", OMT_BOOL, &f.json, NULL, "the summary as JSON", NULL},
        OMT_TUNE_WORK_FLAGS(&f),
        OMT_TUNE_RUN_FLAGS(&f)};
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune grid",
        .usage = "omendb tune grid [flags] DIR",
        .text = "Measures every configuration of a grid under every workload into the campaign "
                "DIR:\nT 2,4,6,10; K 1, the square-root rule, lazy leveling, tiering; 6 and 10 "
                "bits; cache 0,\n20, 40 %; and the default. Ctrl-C leaves what is measured; "
                "--resume goes on.",
        .examples = "  omendb tune grid /tmp/grid --jobs=2\n"
                    "  omendb tune grid /tmp/grid --resume\n"
                    "  omendb tune grid /tmp/small --workloads=W1,W5 --n=5000 --ops=500\n"
                    "  omendb tune grid /tmp/mine --space='T=4,8;K=1,T-1;Z=1;h=10;cache=20'\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        omt_args_free(&args);
        omt_tune_flags_fini(&f);
        return parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
    }
    struct omt_campaign *c = omt_realloc(NULL, sizeof(*c));
    struct omt_campaign_config *config = omt_realloc(NULL, sizeof(*config));
    int result = OMT_EXIT_USAGE;
    if (args.word_count != 1)
        omt_usage("tune grid", "name the campaign's directory");
    else if (f.repeats > 1000)
        omt_usage("tune grid", "--repeats goes to 1000");
    else if (omt_tune_flags_config(&f, "grid", twelve, config)) {
        result = OMT_EXIT_ERROR;
        if (omt_campaign_create(c, args.words[0], config, f.resume)) {
            result = grid_run(&f, c);
            if (!omt_campaign_end(c) && result == OMT_EXIT_OK)
                result = OMT_EXIT_ERROR;
        }
    }
    free(config);
    free(c);
    omt_args_free(&args);
    omt_tune_flags_fini(&f);
    return omt_stdout_end(result);
}

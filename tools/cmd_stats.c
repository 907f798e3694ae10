/* cmd_stats.c - stats, levels: what a database holds and what it has done. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/json.h"
#include "tools/stats_workload.h"

static double ratio(uint64_t a, uint64_t b)
{
    return b == 0 ? 0 : (double)a / (double)b;
}

static const char *hb(uint64_t bytes)
{
    static _Thread_local char ring[8][OMT_HUMAN_LEN]; /* a printf may use eight at once */
    static _Thread_local unsigned at;
    return omt_human_bytes(ring[at++ % 8], bytes);
}

static const char *hc(uint64_t count)
{
    static _Thread_local char ring[8][OMT_HUMAN_LEN];
    static _Thread_local unsigned at;
    return omt_human_count(ring[at++ % 8], count);
}

static void head(const char *title)
{
    printf("%s%s%s\n", omt_bold(), title, omt_plain());
}

static omen_level_stats levels_sum(const omen_stats *s)
{
    omen_level_stats sum = {0};
    for (uint32_t i = 0; i < s->levels && i < OMEN_LEVELS_MAX; i++) {
        const omen_level_stats *l = &s->level[i];
        sum.runs += l->runs;
        sum.files += l->files;
        sum.bytes += l->bytes;
        sum.entries += l->entries;
        sum.read_bytes += l->read_bytes;
        sum.written_bytes += l->written_bytes;
        sum.moved_bytes += l->moved_bytes;
        sum.entries_in += l->entries_in;
        sum.entries_dropped += l->entries_dropped;
        sum.merges += l->merges;
        sum.merge_us += l->merge_us;
    }
    return sum;
}

static void level_row(const char *name, const omen_level_stats *l)
{
    printf("%-5s %5" PRIu32 " %6" PRIu32 " %10s %10s %9s %10s %10s %10s %7" PRIu64 " %9.1f\n", name,
           l->runs, l->files, hb(l->bytes), l->capacity_bytes == 0 ? "-" : hb(l->capacity_bytes),
           hc(l->entries), hb(l->read_bytes), hb(l->written_bytes), hb(l->moved_bytes), l->merges,
           (double)l->merge_us / 1e6);
}

static void levels_table(const omen_stats *s)
{
    printf("%-5s %5s %6s %10s %10s %9s %10s %10s %10s %7s %9s\n", "level", "runs", "files", "size",
           "capacity", "entries", "read", "written", "moved", "merges", "seconds");
    for (uint32_t i = 0; i < s->levels && i < OMEN_LEVELS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "L%" PRIu32, i + 1);
        level_row(name, &s->level[i]);
    }
    omen_level_stats sum = levels_sum(s);
    level_row("sum", &sum);
}

static void stats_human(const omen_stats *s)
{
    omen_level_stats sum = levels_sum(s);
    head("data");
    printf("  %s in %" PRIu32 " tables on %" PRIu32 " levels, %s entries in tables, last sequence "
           "%" PRIu64 "\n",
           hb(sum.bytes), sum.files, s->levels, hc(sum.entries), s->last_seq);
    head("writes");
    printf("  %s puts, %s deletes in %s batches, %s from the user\n", hc(s->puts), hc(s->deletes),
           hc(s->batches), hb(s->user_bytes));
    printf("  to the device: %s, log %s in %s syncs; write amplification %.2f (%.2f without the "
           "log)\n",
           hb(s->device_bytes), hb(s->log_bytes), hc(s->log_syncs),
           ratio(s->device_bytes, s->user_bytes),
           ratio(s->flush_bytes + s->merge_written_bytes, s->user_bytes));
    printf("  flushes: %s, %s; merges: %s, read %s, wrote %s\n", hc(s->flushes), hb(s->flush_bytes),
           hc(s->merges), hb(s->merge_read_bytes), hb(s->merge_written_bytes));
    for (size_t i = 0; i < sizeof(s->stall_count) / sizeof(s->stall_count[0]); i++) {
        const char *name = omen_stall_name(i);
        if (name != NULL && s->stall_count[i] != 0)
            printf("  writers slowed by %s: %s times, %.1f s in all\n", name, hc(s->stall_count[i]),
                   (double)s->stall_us[i] / 1e6);
    }
    head("reads");
    printf("  %s gets, %.1f%% found, %.1f%% from memtables, %.3f blocks a get\n", hc(s->gets),
           100 * ratio(s->get_hits, s->gets), 100 * ratio(s->get_memtable_hits, s->gets),
           ratio(s->get_blocks, s->gets));
    printf("  %s keys by multi-get; %s seeks, %s steps, %s blocks by scans, %s deletes stepped "
           "over\n",
           hc(s->multi_get_keys), hc(s->seeks), hc(s->nexts), hc(s->scan_blocks),
           hc(s->tombstones_skipped));
    printf("  not in the cache: %s blocks of gets, %s of scans, which opened %.2f runs a seek\n",
           hc(s->get_block_reads), hc(s->scan_block_reads), ratio(s->scan_opens, s->seeks));
    printf("  block cache: %s of %s used, %.1f%% hits\n", hb(s->cache_bytes), hb(s->cache_capacity),
           100 * ratio(s->cache_hits, s->cache_hits + s->cache_misses));
    head("learned index");
    printf("  %s for %s keys: %.3f B a key, %.2f B a block, %s blocks, %s knots\n",
           hb(s->index_bytes), hc(s->index_keys), ratio(s->index_bytes, s->index_keys),
           ratio(s->index_bytes, s->index_blocks), hc(s->index_blocks), hc(s->index_knots));
    printf("  %s keyed cuts (%.1f%% of blocks), %" PRIu64 " files with explicit separators, "
           "%" PRIu64 " certificate failures, %" PRIu64 " rebuilt\n",
           hc(s->index_keyed_cuts), 100 * ratio(s->index_keyed_cuts, s->index_blocks),
           s->index_explicit_files, s->index_certificate_failures, s->index_rebuilt);
    head("filters");
    printf("  %s, %.2f bits a key; %s probes, %s answered no, %s false positives (%.4f%% of "
           "absent keys)\n",
           hb(s->filter_bytes), 8 * ratio(s->filter_bytes, s->index_keys), hc(s->filter_probes),
           hc(s->filter_negatives), hc(s->filter_false_positives),
           100 * ratio(s->filter_false_positives, s->filter_negatives + s->filter_false_positives));
    printf("  %s of %s parts in memory, %s of heads, at most %s; %s missed, %s loaded, %s went for "
           "others; %s damaged\n",
           hc(s->filter_parts_loaded), hc(s->filter_parts), hb(s->filter_head_bytes),
           hb(s->filter_limit_bytes), hc(s->filter_parts_missed), hc(s->filter_part_loads),
           hc(s->filter_part_evictions), hc(s->filters_damaged));
    head("levels");
    levels_table(s);
    head("memory of this process");
    printf("  memtables %s, cache %s, filters %s, models %s, build %s, metadata %s, log %s\n",
           hb(s->memory_memtables), hb(s->memory_cache), hb(s->memory_filters),
           hb(s->memory_models), hb(s->memory_build), hb(s->memory_metadata), hb(s->memory_log));
    if (s->far != OMEN_FAR_NONE) {
        head("far memory");
        printf(
            "  %s: filters %s far and %s near, models %s and %s; %s near as they are asked most; "
            "omendb tier tells more\n",
            omen_far_name(s->far), hb(s->far_got[0][1]), hb(s->far_got[0][0]), hb(s->far_got[1][1]),
            hb(s->far_got[1][0]), hb(s->far_promoted_bytes));
    }
    head("input and output");
    printf("  engine %.16s: %.112s\n", s->io_engine, s->io_why);
    printf("  recovered by this open: %s operations, %s cut off\n", hc(s->recovered_ops),
           hb(s->recovered_cut_bytes));
}

static int text_print(char *text, const char *what)
{
    if (text == NULL) {
        fprintf(stderr, "omendb: %s: out of memory; close programs\n", what);
        return OMT_EXIT_ERROR;
    }
    size_t n = strlen(text);
    fwrite(text, 1, n, stdout);
    if (n == 0 || text[n - 1] != '\n')
        putchar('\n');
    omen_free(text);
    return OMT_EXIT_OK;
}

int omt_cmd_stats(int argc, char **argv)
{
    struct omt_open open = {0};
    bool json = false, prometheus = false;
    const struct omt_flag flags[] = {
        {"json", OMT_BOOL, &json, NULL, "all statistics as JSON", NULL},
        {"prometheus", OMT_BOOL, &prometheus, NULL, "as Prometheus text", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "stats",
        .usage = "omendb stats [flags] DIR",
        .text = "Prints what the database holds and what it has done over its life. Opens it for\n"
                "reading, so it works beside a process that is writing.\n",
        .examples = "  omendb stats data\n"
                    "  omendb stats data --json | jq .index\n"
                    "  omendb stats data --prometheus | promtool check metrics\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        r = parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
        goto free_args;
    }
    if (args.word_count != 1 || (json && prometheus)) {
        omt_usage("stats", args.word_count != 1 ? "one directory is needed"
                                                : "--json and --prometheus exclude each other");
        goto free_args;
    }
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, OMEN_OPEN_READ_ONLY, &db);
    if (r != OMT_EXIT_OK)
        goto free_args;
    if (json) {
        r = text_print(omen_stats_json(db), "stats");
    } else if (prometheus) {
        r = text_print(omen_stats_prometheus(db), "stats");
    } else {
        omen_stats s = {.struct_bytes = sizeof(s)};
        omen_err err = omen_get_stats(db, &s);
        static omen_telemetry telemetry;
        omen_telemetry *t = &telemetry;
        t->struct_bytes = sizeof(*t);
        if (err == OMEN_OK)
            err = omen_get_telemetry(db, t);
        if (err == OMEN_OK) {
            stats_human(&s);
            omt_workload_print(t);
        }
        if (err != OMEN_OK)
            r = omt_tell("stats", err);
    }
    r = omt_stdout_end(omt_db_close(db, r));
free_args:
    omt_args_free(&args);
    return r;
}

/* ---- levels ---------------------------------------------------------------------------------- */

struct tables_out {
    struct omt_json *json; /* NULL: lines */
};

static void table_json(struct omt_json *j, const omen_table_info *t)
{
    omt_json_object(j, NULL);
    omt_json_u64(j, "number", t->number);
    omt_json_u64(j, "level", t->level);
    omt_json_u64(j, "run", t->run);
    omt_json_u64(j, "bytes", t->bytes);
    omt_json_u64(j, "entries", t->entries);
    omt_json_u64(j, "deletes", t->deletes);
    omt_json_u64(j, "blocks", t->blocks);
    omt_json_u64(j, "index_bytes", t->index_bytes);
    omt_json_u64(j, "filter_bytes", t->filter_bytes);
    omt_json_u64(j, "knots", t->knots);
    omt_json_u64(j, "keyed_cuts", t->keyed_cuts);
    omt_json_bool(j, "index_explicit", t->index_explicit != 0);
    omt_json_u64(j, "min_seq", t->min_seq);
    omt_json_u64(j, "max_seq", t->max_seq);
    omt_json_bytes(j, "first_key", t->first_key);
    omt_json_bytes(j, "last_key", t->last_key);
    omt_json_object_end(j);
}

static void key_print(omen_slice key)
{
    struct omt_bytes text = {0};
    bool cut = key.size > 24;
    omt_encode(OMT_ESCAPE, (omen_slice){key.data, cut ? 24 : key.size}, &text);
    printf(" %s%s", text.data, cut ? "..." : "");
    omt_bytes_free(&text);
}

static void table_print(void *context, const omen_table_info *t)
{
    struct tables_out *out = context;
    if (out->json != NULL) {
        table_json(out->json, t);
        return;
    }
    printf("L%-3" PRIu32 " %6" PRIu64 " %9" PRIu64 " %10s %9s %7" PRIu64 " %7.3f %7.2f %s",
           t->level, t->run, t->number, hb(t->bytes), hc(t->entries), t->blocks,
           ratio(t->index_bytes, t->entries), 8 * ratio(t->filter_bytes, t->entries),
           t->index_explicit != 0 ? "explicit" : "spline  ");
    key_print(t->first_key);
    printf(" ..");
    key_print(t->last_key);
    putchar('\n');
}

static void levels_json(struct omt_json *j, const omen_stats *s)
{
    omt_json_array(j, "levels");
    for (uint32_t i = 0; i < s->levels && i < OMEN_LEVELS_MAX; i++) {
        const omen_level_stats *l = &s->level[i];
        omt_json_object(j, NULL);
        omt_json_u64(j, "level", i + 1);
        omt_json_u64(j, "runs", l->runs);
        omt_json_u64(j, "files", l->files);
        omt_json_u64(j, "bytes", l->bytes);
        omt_json_u64(j, "capacity_bytes", l->capacity_bytes);
        omt_json_u64(j, "entries", l->entries);
        omt_json_u64(j, "read_bytes", l->read_bytes);
        omt_json_u64(j, "written_bytes", l->written_bytes);
        omt_json_u64(j, "moved_bytes", l->moved_bytes);
        omt_json_u64(j, "entries_in", l->entries_in);
        omt_json_u64(j, "entries_dropped", l->entries_dropped);
        omt_json_u64(j, "merges", l->merges);
        omt_json_u64(j, "merge_us", l->merge_us);
        omt_json_object_end(j);
    }
    omt_json_array_end(j);
}

int omt_cmd_levels(int argc, char **argv)
{
    struct omt_open open = {0};
    bool json = false, files = false;
    const struct omt_flag flags[] = {
        {"files", OMT_BOOL, &files, NULL, "also each table", NULL},
        {"json", OMT_BOOL, &json, NULL, "as JSON", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "levels",
        .usage = "omendb levels [flags] DIR",
        .text =
            "Prints the shape of the tree: runs, files and sizes of each level, and what merges "
            "into it\nread, wrote and moved. L1 is the newest.\n",
        .examples = "  omendb levels data\n"
                    "  omendb levels --files data\n"
                    "  omendb levels --files --json data | jq '.tables[].index_bytes'\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        r = parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
        goto free_args;
    }
    if (args.word_count != 1) {
        omt_usage("levels", "one directory is needed");
        goto free_args;
    }
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, OMEN_OPEN_READ_ONLY, &db);
    if (r != OMT_EXIT_OK)
        goto free_args;
    omen_stats s = {.struct_bytes = sizeof(s)};
    omen_err err = omen_get_stats(db, &s);
    struct omt_json j = {.out = stdout};
    struct tables_out out = {json ? &j : NULL};
    if (err == OMEN_OK && json) {
        omt_json_object(&j, NULL);
        levels_json(&j, &s);
        if (files) {
            omt_json_array(&j, "tables");
            err = omen_list_tables(db, table_print, &out);
            omt_json_array_end(&j);
        }
        omt_json_object_end(&j);
        omt_json_end(&j);
    } else if (err == OMEN_OK) {
        levels_table(&s);
        if (files) {
            printf("\n%-4s %6s %9s %10s %9s %7s %7s %7s %-8s keys\n", "lvl", "run", "table", "size",
                   "entries", "blocks", "idx B/k", "flt b/k", "index");
            err = omen_list_tables(db, table_print, &out);
        }
    }
    if (err != OMEN_OK)
        r = omt_tell("levels", err);
    r = omt_stdout_end(omt_db_close(db, r));
free_args:
    omt_args_free(&args);
    return r;
}

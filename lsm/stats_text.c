/* stats_text.c - the statistics as JSON and as Prometheus text. */
#include "lsm/db.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

struct figure {
    const char *name;
    uint64_t value;
};

static omen_err json_object(struct omi_buf *out, const char *name, const struct figure *figures,
                            size_t count)
{
    omen_err err = omi_buf_printf(out, "  \"%s\": {", name);
    for (size_t i = 0; i < count && err == OMEN_OK; i++)
        err = omi_buf_printf(out, "%s\"%s\": %" PRIu64, i != 0 ? ", " : "", figures[i].name,
                             figures[i].value);
    return err == OMEN_OK ? omi_buf_printf(out, "},\n") : err;
}

#define OBJECT(out, name, ...)                                                                     \
    json_object(out, name, (const struct figure[]){__VA_ARGS__},                                   \
                sizeof((const struct figure[]){__VA_ARGS__}) / sizeof(struct figure))

static omen_err json_levels(struct omi_buf *out, const omen_stats *s)
{
    omen_err err = omi_buf_printf(out, "  \"levels\": [");
    for (uint32_t l = 0; l < s->levels && err == OMEN_OK; l++) {
        const omen_level_stats *v = &s->level[l];
        const omen_level_io *io = &s->level_io[l];
        err = omi_buf_printf(
            out,
            "%s\n    {\"level\": %u, \"runs\": %u, \"files\": %u, \"bytes\": %" PRIu64
            ", \"capacity_bytes\": %" PRIu64 ", \"entries\": %" PRIu64 ", \"read_bytes\": %" PRIu64
            ", \"written_bytes\": %" PRIu64 ", \"moved_bytes\": %" PRIu64
            ", \"entries_in\": %" PRIu64 ", \"entries_dropped\": %" PRIu64 ", \"merges\": %" PRIu64
            ", \"merge_us\": %" PRIu64 ", \"filter_probes\": %" PRIu64
            ", \"filter_negatives\": %" PRIu64 ", \"filter_false_positives\": %" PRIu64
            ", \"get_blocks\": %" PRIu64 ", \"get_block_reads\": %" PRIu64
            ", \"scan_opens\": %" PRIu64 ", \"scan_blocks\": %" PRIu64
            ", \"scan_block_reads\": %" PRIu64 ", \"moved_tables\": %" PRIu64
            ", \"dropped_bytes\": %" PRIu64 "}",
            l != 0 ? "," : "", l + 1, v->runs, v->files, v->bytes, v->capacity_bytes, v->entries,
            v->read_bytes, v->written_bytes, v->moved_bytes, v->entries_in, v->entries_dropped,
            v->merges, v->merge_us, io->filter_probes, io->filter_negatives,
            io->filter_false_positives, io->get_blocks, io->get_block_reads, io->scan_opens,
            io->scan_blocks, io->scan_block_reads, io->moved_tables, io->dropped_bytes);
    }
    return err == OMEN_OK ? omi_buf_printf(out, "\n  ],\n") : err;
}

static omen_err json_stalls(struct omi_buf *out, const omen_stats *s)
{
    omen_err err = omi_buf_printf(out, "  \"stall\": {");
    for (size_t i = 0; omen_stall_name(i) != NULL && err == OMEN_OK; i++)
        err = omi_buf_printf(out, "%s\"%s\": {\"count\": %" PRIu64 ", \"us\": %" PRIu64 "}",
                             i != 0 ? ", " : "", omen_stall_name(i), s->stall_count[i],
                             s->stall_us[i]);
    return err == OMEN_OK ? omi_buf_printf(out, "},\n") : err;
}

/* What filters are like now, and what is remembered of lookups. */
static omen_err json_filters(struct omi_buf *out, const omen_stats *s)
{
    omen_err err = OBJECT(out, "sample", {"gets", s->sampled_gets}, {"scans", s->sampled_scans},
                          {"bytes", s->sample_bytes}, {"probes", s->sampled_probes},
                          {"negatives", s->sampled_negatives},
                          {"false_positives", s->sampled_false_positives});
    if (err == OMEN_OK)
        err = omi_buf_printf(out, "  \"filters\": {\"price\": %.6g, \"promised\": %.6g",
                             s->filter_price, s->filter_promised);
    for (uint32_t k = 0; omen_table_filter_name(k) != NULL && err == OMEN_OK; k++)
        err = omi_buf_printf(out, ", \"%s\": %" PRIu64, omen_table_filter_name(k),
                             s->filter_tables[k]);
    return err == OMEN_OK ? omi_buf_printf(out, "},\n") : err;
}

static omen_err json_reads(struct omi_buf *out, const omen_stats *s)
{
    omen_err err =
        OBJECT(out, "get", {"count", s->gets}, {"hits", s->get_hits},
               {"memtable_hits", s->get_memtable_hits}, {"blocks_asked", s->get_blocks},
               {"blocks_read", s->get_block_reads}, {"multi_get_keys", s->multi_get_keys});
    if (err == OMEN_OK)
        err = OBJECT(out, "scan", {"seeks", s->seeks}, {"steps", s->nexts},
                     {"entries", s->scan_entries}, {"runs_opened", s->scan_opens},
                     {"blocks_asked", s->scan_blocks}, {"blocks_read", s->scan_block_reads},
                     {"tombstones_skipped", s->tombstones_skipped});
    if (err == OMEN_OK)
        err = OBJECT(out, "cache", {"hits", s->cache_hits}, {"misses", s->cache_misses},
                     {"bytes", s->cache_bytes}, {"capacity", s->cache_capacity});
    if (err == OMEN_OK)
        err = OBJECT(
            out, "filter", {"bytes", s->filter_bytes}, {"probes", s->filter_probes},
            {"negatives", s->filter_negatives}, {"false_positives", s->filter_false_positives},
            {"policy_declined", s->filter_policy_declined},
            {"policy_wrong", s->filter_policy_wrong}, {"policy_foreign", s->filter_policy_foreign});
    if (err == OMEN_OK)
        err = OBJECT(out, "range_filter", {"bytes", s->range_filter_bytes},
                     {"tables", s->range_filter_tables}, {"asked", s->range_filter_asked},
                     {"parked", s->range_filter_parked}, {"activated", s->range_filter_activated},
                     {"in_vain", s->range_filter_in_vain});
    if (err == OMEN_OK)
        err = json_filters(out, s);
    if (err == OMEN_OK)
        err = OBJECT(out, "filter_parts", {"count", s->filter_parts},
                     {"loaded", s->filter_parts_loaded}, {"wanted", s->filter_parts_wanted},
                     {"loads", s->filter_part_loads}, {"evictions", s->filter_part_evictions},
                     {"missed", s->filter_parts_missed}, {"damaged", s->filters_damaged},
                     {"head_bytes", s->filter_head_bytes}, {"limit_bytes", s->filter_limit_bytes});
    if (err == OMEN_OK)
        err = OBJECT(
            out, "index", {"bytes", s->index_bytes}, {"keys", s->index_keys},
            {"blocks", s->index_blocks}, {"knots", s->index_knots},
            {"keyed_cuts", s->index_keyed_cuts}, {"explicit_files", s->index_explicit_files},
            {"grid_hits", s->index_grid_hits}, {"keyed_compares", s->index_keyed_compares},
            {"certificate_failures", s->index_certificate_failures}, {"rebuilt", s->index_rebuilt});
    return err;
}

static omen_err json_writes(struct omi_buf *out, const omen_stats *s)
{
    omen_err err = OBJECT(out, "write", {"puts", s->puts}, {"deletes", s->deletes},
                          {"batches", s->batches}, {"user_bytes", s->user_bytes},
                          {"device_bytes", s->device_bytes}, {"read_bytes", s->user_read_bytes},
                          {"log_bytes", s->log_bytes}, {"log_syncs", s->log_syncs});
    if (err == OMEN_OK)
        err = OBJECT(out, "flush", {"count", s->flushes}, {"bytes", s->flush_bytes},
                     {"us", s->flush_us});
    if (err == OMEN_OK)
        err =
            OBJECT(out, "merge", {"count", s->merges}, {"read_bytes", s->merge_read_bytes},
                   {"written_bytes", s->merge_written_bytes}, {"overwritten", s->merge_overwritten},
                   {"deletes_dropped", s->merge_deletes}, {"moved_tables", s->merge_moved_tables});
    return err;
}

/* Text of the engine's own: no characters that JSON would not take. */
static omen_err json_far(struct omi_buf *out, const omen_stats *s)
{
    omen_err err = omi_buf_printf(out, "  \"far_memory\": {\"kind\": \"%s\", \"why\": \"%s\"},\n",
                                  omen_far_name(s->far), s->far_why);
    if (err == OMEN_OK)
        err = OBJECT(out, "far", {"node", s->far_node == OMEN_NONE ? 0 : s->far_node},
                     {"distance", s->far_distance}, {"latency_ns", s->far_latency_ns},
                     {"delay_ns", s->far_delay_ns}, {"delay_achieved_ns", s->far_delay_achieved_ns},
                     {"delay_sound", s->far_delay_sound}, {"guarded", s->far_guarded},
                     {"limit_bytes", s->far_limit_bytes}, {"near_model_bytes", s->near_model_bytes},
                     {"mapped_bytes", s->far_mapped_bytes}, {"used_bytes", s->far_used_bytes},
                     {"promoted_bytes", s->far_promoted_bytes},
                     {"moved_near", s->far_moved_tables[0]}, {"moved_far", s->far_moved_tables[1]},
                     {"moved_near_bytes", s->far_moved_bytes[0]},
                     {"moved_far_bytes", s->far_moved_bytes[1]}, {"ticks", s->far_ticks},
                     {"unmoved", s->far_unmoved}, {"lost_bytes", s->far_lost_bytes},
                     {"damaged", s->far_damaged}, {"repaired", s->far_repaired},
                     {"pages_asked", s->far_pages_asked}, {"pages_on_node", s->far_pages_on_node},
                     {"lines", s->far_lines}, {"hits", s->far_hits},
                     {"prefetches", s->far_prefetches}, {"wait_ns", s->far_wait_ns});
    for (int k = 0; k < 2 && err == OMEN_OK; k++)
        err = OBJECT(out, k == 0 ? "far_filters" : "far_models", {"want_near", s->far_wanted[k][0]},
                     {"want_far", s->far_wanted[k][1]}, {"near_bytes", s->far_got[k][0]},
                     {"far_bytes", s->far_got[k][1]}, {"refused", s->far_refused[k]},
                     {"asked_near", s->far_asked[k][0]}, {"asked_far", s->far_asked[k][1]});
    return err;
}

char *omen_stats_json(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    struct omi_buf out = {0};
    omen_err err = omen_get_stats(db, &s);
    if (err == OMEN_OK)
        err = omi_buf_printf(&out, "{\n  \"version\": \"%s\",\n", omen_version());
    if (err == OMEN_OK)
        err = OBJECT(&out, "now", {"uptime_us", s.uptime_us}, {"last_seq", s.last_seq},
                     {"snapshots", s.snapshots}, {"iterators", s.iterators},
                     {"memtables", s.memtables}, {"immutables", s.immutables},
                     {"recovered_ops", s.recovered_ops},
                     {"recovered_cut_bytes", s.recovered_cut_bytes});
    if (err == OMEN_OK)
        err = json_reads(&out, &s);
    if (err == OMEN_OK)
        err = json_writes(&out, &s);
    if (err == OMEN_OK)
        err = json_stalls(&out, &s);
    if (err == OMEN_OK)
        err = json_levels(&out, &s);
    if (err == OMEN_OK)
        err = OBJECT(&out, "memory", {"memtables", s.memory_memtables}, {"cache", s.memory_cache},
                     {"filters", s.memory_filters}, {"models", s.memory_models},
                     {"build", s.memory_build}, {"metadata", s.memory_metadata},
                     {"log", s.memory_log});
    if (err == OMEN_OK)
        err = json_far(&out, &s);
    if (err == OMEN_OK)
        err = OBJECT(&out, "disk", {"reserve_bytes", s.disk_reserve_bytes}, {"low", s.disk_low},
                     {"low_count", s.disk_low_count});
    if (err == OMEN_OK)
        err = omi_buf_printf(&out, "  \"io\": {\"engine\": \"%s\", \"why\": \"%s\"}\n}\n",
                             s.io_engine, s.io_why);
    if (err != OMEN_OK) {
        omi_buf_fini(&out);
        return NULL;
    }
    return (char *)out.data;
}

static omen_err metric(struct omi_buf *out, const char *name, const char *type, const char *help,
                       uint64_t value)
{
    return omi_buf_printf(out, "# HELP omendb_%s %s\n# TYPE omendb_%s %s\nomendb_%s %" PRIu64 "\n",
                          name, help, name, type, name, value);
}

static omen_err metric_filters(struct omi_buf *out, const omen_stats *s)
{
    omen_err err = omi_buf_printf(
        out,
        "# HELP omendb_filter_price False positives a lookup that one more bit must save\n"
        "# TYPE omendb_filter_price gauge\nomendb_filter_price %.6g\n"
        "# HELP omendb_filter_promised False positives of an absent lookup, as filters promised\n"
        "# TYPE omendb_filter_promised gauge\nomendb_filter_promised %.6g\n"
        "# HELP omendb_filter_tables Tables by their kind of filter\n"
        "# TYPE omendb_filter_tables gauge\n",
        s->filter_price, s->filter_promised);
    for (uint32_t k = 0; omen_table_filter_name(k) != NULL && err == OMEN_OK; k++)
        err = omi_buf_printf(out, "omendb_filter_tables{filter=\"%s\"} %" PRIu64 "\n",
                             omen_table_filter_name(k), s->filter_tables[k]);
    return err;
}

static omen_err metric_level_io(struct omi_buf *out, const omen_stats *s)
{
    const struct {
        const char *name, *help;
        size_t offset;
    } metrics[] = {
        {"filter_probes", "Filters asked by level", offsetof(omen_level_io, filter_probes)},
        {"filter_false_positives", "Filters that said maybe in vain by level",
         offsetof(omen_level_io, filter_false_positives)},
        {"get_block_reads", "Data blocks that lookups read by level",
         offsetof(omen_level_io, get_block_reads)},
        {"scan_opens", "Runs that seeks positioned by level", offsetof(omen_level_io, scan_opens)},
        {"scan_block_reads", "Data blocks that scans read by level",
         offsetof(omen_level_io, scan_block_reads)},
    };
    omen_err err = OMEN_OK;
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++) {
        if (err == OMEN_OK)
            err = omi_buf_printf(
                out, "# HELP omendb_level_%s_total %s\n# TYPE omendb_level_%s_total counter\n",
                metrics[i].name, metrics[i].help, metrics[i].name);
        for (uint32_t l = 0; l < s->levels && err == OMEN_OK; l++) {
            uint64_t v;
            memcpy(&v, (const char *)&s->level_io[l] + metrics[i].offset, sizeof(v));
            err = omi_buf_printf(out, "omendb_level_%s_total{level=\"%u\"} %" PRIu64 "\n",
                                 metrics[i].name, l + 1, v);
        }
    }
    return err;
}

static omen_err metric_far(struct omi_buf *out, const omen_stats *s)
{
    static const char *const kinds[] = {"filter", "model"}, *const places[] = {"near", "far"};
    omen_err err =
        omi_buf_printf(out,
                       "# HELP omendb_far_memory 1 for the kind of far memory that there is\n"
                       "# TYPE omendb_far_memory gauge\nomendb_far_memory{kind=\"%s\"} 1\n"
                       "# HELP omendb_tier_bytes Bytes of filters and models by where they lie\n"
                       "# TYPE omendb_tier_bytes gauge\n",
                       omen_far_name(s->far));
    for (int i = 0; i < 4 && err == OMEN_OK; i++)
        err = omi_buf_printf(out, "omendb_tier_bytes{kind=\"%s\",place=\"%s\"} %" PRIu64 "\n",
                             kinds[i / 2], places[i % 2], s->far_got[i / 2][i % 2]);
    if (err == OMEN_OK)
        err = omi_buf_printf(
            out, "# HELP omendb_tier_asked_total Filters and models asked, by where they lay\n"
                 "# TYPE omendb_tier_asked_total counter\n");
    for (int i = 0; i < 4 && err == OMEN_OK; i++)
        err = omi_buf_printf(out, "omendb_tier_asked_total{kind=\"%s\",place=\"%s\"} %" PRIu64 "\n",
                             kinds[i / 2], places[i % 2], s->far_asked[i / 2][i % 2]);
    return err;
}

static omen_err metric_levels(struct omi_buf *out, const omen_stats *s)
{
    omen_err err = omi_buf_printf(out, "# HELP omendb_level_bytes Bytes of tables in a level\n"
                                       "# TYPE omendb_level_bytes gauge\n");
    for (uint32_t l = 0; l < s->levels && err == OMEN_OK; l++)
        err = omi_buf_printf(out, "omendb_level_bytes{level=\"%u\"} %" PRIu64 "\n", l + 1,
                             s->level[l].bytes);
    if (err == OMEN_OK)
        err = omi_buf_printf(out, "# HELP omendb_stall_us_total Microseconds writers waited\n"
                                  "# TYPE omendb_stall_us_total counter\n");
    for (size_t i = 0; omen_stall_name(i) != NULL && err == OMEN_OK; i++)
        err = omi_buf_printf(out, "omendb_stall_us_total{reason=\"%s\"} %" PRIu64 "\n",
                             omen_stall_name(i), s->stall_us[i]);
    return err;
}

char *omen_stats_prometheus(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    struct omi_buf out = {0};
    omen_err err = omen_get_stats(db, &s);
    const struct {
        const char *name, *type, *help;
        uint64_t value;
    } metrics[] = {
        {"puts_total", "counter", "Keys written", s.puts},
        {"deletes_total", "counter", "Deletes written", s.deletes},
        {"user_bytes_total", "counter", "Bytes of keys and values written by users", s.user_bytes},
        {"device_bytes_total", "counter", "Bytes written to log and tables", s.device_bytes},
        {"log_syncs_total", "counter", "Log syncs", s.log_syncs},
        {"gets_total", "counter", "Keys looked up", s.gets},
        {"get_blocks_total", "counter", "Data blocks that lookups searched", s.get_blocks},
        {"get_block_reads_total", "counter", "Of these, blocks not in the cache",
         s.get_block_reads},
        {"seeks_total", "counter", "Positionings of iterators", s.seeks},
        {"scan_opens_total", "counter", "Runs that seeks positioned", s.scan_opens},
        {"scan_blocks_total", "counter", "Data blocks that scans asked for", s.scan_blocks},
        {"scan_block_reads_total", "counter", "Data blocks that scans read from files",
         s.scan_block_reads},
        {"scan_entries_total", "counter", "Entries that iterators showed", s.scan_entries},
        {"user_read_bytes_total", "counter", "Bytes handed out by lookups and scans",
         s.user_read_bytes},
        {"filter_probes_total", "counter", "Filters asked", s.filter_probes},
        {"filter_negatives_total", "counter", "Filters that said no", s.filter_negatives},
        {"filter_false_positives_total", "counter", "Filters that said maybe in vain",
         s.filter_false_positives},
        {"filter_policy_declined_total", "counter",
         "Tables that the filter policy made no filter for", s.filter_policy_declined},
        {"filter_policy_wrong_total", "counter", "Filters that denied a key and were not kept",
         s.filter_policy_wrong},
        {"filter_policy_foreign_total", "counter", "Tables opened with another policy's filter",
         s.filter_policy_foreign},
        {"filter_parts", "gauge", "Parts of filters", s.filter_parts},
        {"filter_parts_loaded", "gauge", "Parts of filters in memory", s.filter_parts_loaded},
        {"filter_limit_bytes", "gauge", "Most memory of filters", s.filter_limit_bytes},
        {"filter_head_bytes", "gauge", "Bytes of filters' heads", s.filter_head_bytes},
        {"filter_part_loads_total", "counter", "Parts of filters read", s.filter_part_loads},
        {"filter_part_evictions_total", "counter", "Parts of filters that went for others",
         s.filter_part_evictions},
        {"filter_parts_missed_total", "counter", "Filters that said maybe for want of a part",
         s.filter_parts_missed},
        {"filters_damaged_total", "counter", "Filters and parts of them found damaged",
         s.filters_damaged},
        {"range_filter_bytes", "gauge", "Bytes of range filters", s.range_filter_bytes},
        {"range_filter_parked_total", "counter", "Runs that scans left unread at first",
         s.range_filter_parked},
        {"range_filter_activated_total", "counter", "Runs of these that scans then read",
         s.range_filter_activated},
        {"range_filter_in_vain_total", "counter", "Runs read because a range filter was wrong",
         s.range_filter_in_vain},
        {"flushes_total", "counter", "Memtables written to tables", s.flushes},
        {"merges_total", "counter", "Merges done", s.merges},
        {"flush_bytes_total", "counter", "Bytes that flushes wrote", s.flush_bytes},
        {"log_bytes_total", "counter", "Bytes written to the log", s.log_bytes},
        {"merge_read_bytes_total", "counter", "Bytes that merges read", s.merge_read_bytes},
        {"merge_written_bytes_total", "counter", "Bytes that merges wrote", s.merge_written_bytes},
        {"merge_overwritten_total", "counter", "Older versions that flushes and merges dropped",
         s.merge_overwritten},
        {"merge_deletes_total", "counter", "Deletes that merges dropped", s.merge_deletes},
        {"merge_moved_tables_total", "counter",
         "Tables that changed their level without being read", s.merge_moved_tables},
        {"cache_bytes", "gauge", "Bytes of blocks in the cache", s.cache_bytes},
        {"filter_bytes", "gauge", "Bytes of filters", s.filter_bytes},
        {"index_bytes", "gauge", "Bytes of block indexes", s.index_bytes},
        {"index_keys", "gauge", "Entries that the block indexes cover", s.index_keys},
        {"disk_low", "gauge", "1 while writes are refused for want of disk space", s.disk_low},
        {"memtable_bytes", "gauge", "Bytes of memtables", s.memory_memtables},
        {"sampled_gets", "gauge", "Lookups that are remembered", s.sampled_gets},
        {"sampled_scans", "gauge", "Scans that are remembered", s.sampled_scans},
        {"sample_bytes", "gauge", "Bytes of memory of what is remembered", s.sample_bytes},
        {"sampled_filter_negatives", "gauge", "Sampled lookups that filters of now answered no",
         s.sampled_negatives},
        {"sampled_filter_false_positives", "gauge",
         "Sampled lookups that filters of now answered maybe in vain", s.sampled_false_positives},
        {"far_used_bytes", "gauge", "Far memory in use", s.far_used_bytes},
        {"far_promoted_bytes", "gauge", "Bytes near because they are asked most",
         s.far_promoted_bytes},
        {"far_refused_total", "counter", "Filters and models that found no far memory",
         s.far_refused[0] + s.far_refused[1]},
        {"far_moved_near_total", "counter", "Tables whose filter and model moved near",
         s.far_moved_tables[0]},
        {"far_moved_far_total", "counter", "Tables whose filter and model moved far",
         s.far_moved_tables[1]},
        {"far_lost_bytes_total", "counter", "Far memory that failed", s.far_lost_bytes},
        {"far_repaired_total", "counter", "Filters and models read again after that",
         s.far_repaired},
    };
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]) && err == OMEN_OK; i++)
        err = metric(&out, metrics[i].name, metrics[i].type, metrics[i].help, metrics[i].value);
    if (err == OMEN_OK)
        err = metric_filters(&out, &s);
    if (err == OMEN_OK)
        err = metric_far(&out, &s);
    if (err == OMEN_OK)
        err = metric_levels(&out, &s);
    if (err == OMEN_OK)
        err = metric_level_io(&out, &s);
    if (err != OMEN_OK) {
        omi_buf_fini(&out);
        return NULL;
    }
    return (char *)out.data;
}

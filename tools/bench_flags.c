#include "tools/bench_flags.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CACHE_BYTES_LEAST = 256 << 10, JOBS_MOST = 64 };

static const char one_format[] = "omendb has one table format";
static const char one_family[] = "one key space a database";
static const char paced[] = "omendb paces writers by debt";
static const char one_log[] = "every write is logged; the log lies in the database's directory";
static const char budget[] = "--memory_bytes is one budget for all of it";
static const char no_merge[] = "no merge operators in this version";
static const char no_ttl[] = "no expiry in this version";
static const char no_blob[] = "values are kept in the tables";
static const char no_secondary[] = "a read-only open works beside a live writer";
static const char own_io[] = "see the library's options io_engine and io_mode";
static const char own_shape[] = "the tree's shape is size_ratio, runs_upper and runs_last";
static const char no_trace[] = "no trace files";
static const char no_mix[] = "mixgraph is not built";
static const char no_txn[] = "no transactions in this version";
static const char own_reports[] = "see --json and --report_file";
static const char always[] = "always done";

#define IGNORE(n, why)                                                                             \
    {                                                                                              \
        n, OMT_TEXT, NULL, NULL, NULL, why                                                         \
    }
#define IGNORE_BOOL(n, why)                                                                        \
    {                                                                                              \
        n, OMT_BOOL, NULL, NULL, NULL, why                                                         \
    }

static const char bench_text[] =
    "Runs benchmarks in the order given, with the flags, defaults and output lines of RocksDB's\n"
    "db_bench. Benchmarks whose names begin with \"fill\" destroy the database in --db first, "
    "unless\n"
    "--use_existing_db.\n"
    "\n"
    "write: fillseq fillrandom fillbatch fillsync fill100K filluniquerandom overwrite "
    "updaterandom\n"
    "       deleteseq deleterandom timeseries\n"
    "read:  readrandom readmissing readhot readseq readreverse readtocache multireadrandom\n"
    "       seekrandom seekordered\n"
    "mixed: readwhilewriting seekrandomwhilewriting readrandomwriterandom\n"
    "other: open compact waitforcompaction flush stats resetstats levelstats sstables memstats\n"
    "       verifychecksum crc32c\n"
    "name[X3] runs three times and averages, name[W1-X3] warms up once first.\n";

static const char bench_examples[] =
    "  omendb bench --benchmarks=fillrandom,readrandom --num=1000000\n"
    "  omendb bench --benchmarks=fillseq,compact,stats,readrandom[W1-X3] --db=/ssd/b --histogram\n"
    "  omendb bench --benchmarks=readrandom --use_existing_db --db=/ssd/b --threads=4 "
    "--duration=30\n"
    "  omendb bench --benchmarks=fillrandom --key_dist=ycsb "
    "--omendb_options=size_ratio=8,goal=reads\n";

/* The table needs f's address, so it is filled in place; it stays small enough for the stack. */
int bench_flags_parse(struct bench_flags *f, int argc, char **argv)
{
    *f = (struct bench_flags){
        .benchmarks = "fillseq,fillsync,fillrandom,overwrite,readrandom,readseq,readreverse,"
                      "compact,readrandom,readseq,readreverse,fill100K,stats,levelstats",
        .num = 1000000,
        .reads = -1,
        .writes = -1,
        .deletes = -1,
        .threads = 1,
        .batch_size = 1,
        .key_size = 16,
        .value_size = 100,
        .value_size_min = 100,
        .value_size_max = 102400,
        .value_size_distribution_type = "fixed",
        .key_dist = "be64",
        .compression_ratio = 0.5,
        .readwritepercent = 90,
        .key_id_range = 100000,
        .time_range = 100000,
        .multiread_batched = true,
        .bloom_bits = -1,
        .cache_size = UINT64_MAX, /* not given */
        .compaction_style = -1,
        .min_level_to_compress = -1,
        .progress_reports = isatty(STDERR_FILENO) != 0,
        .report_file = "report.csv",
        .compat = "omendb",
    };
    const struct omt_flag flags[] = {
        {"benchmarks", OMT_TEXT, &f->benchmarks, "A,B,...", "what to run, in order", NULL},
        {"db", OMT_TEXT, &f->db, "DIR", "the database (default: in TMPDIR or /tmp)", NULL},
        {"num", OMT_I64, &f->num, NULL, "keys (1000000)", NULL},
        {"reads", OMT_I64, &f->reads, NULL, "reads a thread (-1: num)", NULL},
        {"writes", OMT_I64, &f->writes, NULL, "writes a thread (-1: num)", NULL},
        {"deletes", OMT_I64, &f->deletes, NULL, "deletes a thread (-1: num)", NULL},
        {"threads", OMT_I64, &f->threads, NULL, "client threads (1)", NULL},
        {"duration", OMT_I64, &f->duration, "SECONDS", "run so long, whatever the counts", NULL},
        {"seed", OMT_U64, &f->seed, NULL, "of the random numbers (0: the clock, printed)", NULL},
        {"batch_size", OMT_I64, &f->batch_size, NULL, "entries a write, keys a multi-get (1)",
         NULL},
        {"use_existing_db", OMT_BOOL, &f->use_existing_db, NULL, "keep what --db holds", NULL},
        {"readonly", OMT_BOOL, &f->readonly, NULL, "open read-only", NULL},
        {"key_size", OMT_I64, &f->key_size, NULL, "bytes a key (16)", NULL},
        {"value_size", OMT_I64, &f->value_size, NULL, "bytes a value (100)", NULL},
        {"value_size_distribution_type", OMT_TEXT, &f->value_size_distribution_type,
         "fixed|uniform|normal", "sizes of values (fixed)", NULL},
        {"value_size_min", OMT_I64, &f->value_size_min, NULL, "least, when not fixed (100)", NULL},
        {"value_size_max", OMT_I64, &f->value_size_max, NULL, "most, when not fixed (102400)",
         NULL},
        {"compression_ratio", OMT_F64, &f->compression_ratio, NULL,
         "values compress to this part (0.5)", NULL},
        {"key_dist", OMT_TEXT, &f->key_dist, "KIND",
         "be64|decimal|ycsb|uuid|timeseries|file:PATH (be64)", NULL},
        {"key_prefix", OMT_TEXT, &f->key_prefix, NULL, "put before every key", NULL},
        {"verify_values", OMT_BOOL, &f->verify_values, NULL,
         "values derive from the key; every read checks its value", NULL},
        {"sync", OMT_BOOL, &f->sync, NULL, "every write durable before it returns", NULL},
        {"seek_nexts", OMT_I64, &f->seek_nexts, NULL, "steps after each seek (0)", NULL},
        {"reverse_iterator", OMT_BOOL, &f->reverse_iterator, NULL, "steps go backwards", NULL},
        {"reuse_iterator", OMT_BOOL, &f->reuse_iterator, NULL,
         "one iterator for all seeks of a thread", NULL},
        {"readwritepercent", OMT_I64, &f->readwritepercent, NULL,
         "reads of readrandomwriterandom (90)", NULL},
        {"multiread_batched", OMT_BOOL, &f->multiread_batched, NULL,
         "multireadrandom by multi-get (true), or by single gets", NULL},
        {"key_id_range", OMT_I64, &f->key_id_range, NULL, "series of timeseries (100000)", NULL},
        {"time_range", OMT_I64, &f->time_range, NULL, "span timeseries reads look at (100000)",
         NULL},
        {"benchmark_write_rate_limit", OMT_SIZE, &f->benchmark_write_rate_limit, NULL,
         "bytes a second of a writer (0: none)", NULL},
        {"benchmark_read_rate_limit", OMT_U64, &f->benchmark_read_rate_limit, NULL,
         "reads a second of a reader (0: none)", NULL},
        {"memory_bytes", OMT_SIZE, &f->memory_bytes, NULL, "one memory budget for everything",
         NULL},
        {"goal", OMT_TEXT, &f->goal, "NAME", "balanced|reads|writes|space", NULL},
        {"disk", OMT_TEXT, &f->disk, "NAME", "auto|ssd|hdd", NULL},
        {"far", OMT_TEXT, &f->far, "WHAT",
         "auto|none|node:N|heap|delay:NS: memory for the last level's filters and models (auto)",
         NULL},
        {"omendb_options", OMT_TEXT, &f->omendb_options, "NAME=VALUE,...",
         "any option of the library; wins over the flags", NULL},
        {"trace", OMT_TEXT, &f->trace, "FILE",
         "records every operation into FILE (FILE.2 of a second database, ...)", NULL},
        {"cache_size", OMT_SIZE, &f->cache_size, NULL, "-> cache_bytes (0: 256K)", NULL},
        {"write_buffer_size", OMT_SIZE, &f->write_buffer_size, NULL, "-> memtable_bytes", NULL},
        {"target_file_size_base", OMT_SIZE, &f->target_file_size_base, NULL, "-> target_file_bytes",
         NULL},
        {"max_file_size", OMT_SIZE, &f->target_file_size_base, NULL, "the same, LevelDB's name",
         NULL},
        {"block_size", OMT_SIZE, &f->block_size, NULL, "-> block_bytes", NULL},
        {"bloom_bits", OMT_I64, &f->bloom_bits, NULL, "-> filter_bits (-1: default, 0: none)",
         NULL},
        {"compression_type", OMT_TEXT, &f->compression_type, "NAME",
         "none|zstd|zstd-fast; others become the nearest", NULL},
        {"compression", OMT_TEXT, &f->compression_type, "NAME", "the same, LevelDB's name", NULL},
        {"compression_level", OMT_I64, &f->compression_level, NULL, "below 0: zstd-fast", NULL},
        {"min_level_to_compress", OMT_I64, &f->min_level_to_compress, NULL,
         "above 0: the last level only", NULL},
        {"max_bytes_for_level_multiplier", OMT_F64, &f->max_bytes_for_level_multiplier, NULL,
         "-> size_ratio", NULL},
        {"level0_file_num_compaction_trigger", OMT_I64, &f->level0_file_num_compaction_trigger,
         NULL, "-> runs of level 1", NULL},
        {"compaction_style", OMT_I64, &f->compaction_style, NULL,
         "0: one run a level; 1: tiering (default: the library's)", NULL},
        {"max_background_jobs", OMT_I64, &f->max_background_jobs, NULL, "-> background_jobs", NULL},
        {"max_background_compactions", OMT_I64, &f->max_background_compactions, NULL,
         "-> background_jobs", NULL},
        {"disable_auto_compactions", OMT_BOOL, &f->disable_auto_compactions, NULL,
         "merges only by the benchmark compact", NULL},
        {"use_direct_reads", OMT_BOOL, &f->use_direct_reads, NULL, "-> io_mode=direct", NULL},
        {"use_direct_io_for_flush_and_compaction", OMT_BOOL,
         &f->use_direct_io_for_flush_and_compaction, NULL, "-> io_mode=direct", NULL},
        {"histogram", OMT_BOOL, &f->histogram, NULL, "print latency histograms", NULL},
        {"statistics", OMT_BOOL, &f->statistics, NULL, "print the counters at the end", NULL},
        {"stats_interval", OMT_I64, &f->stats_interval, NULL, "a line each N operations", NULL},
        {"stats_interval_seconds", OMT_I64, &f->stats_interval_seconds, NULL,
         "a line each N seconds", NULL},
        {"stats_per_interval", OMT_BOOL, &f->stats_per_interval, NULL, "and the stats table", NULL},
        {"progress_reports", OMT_BOOL, &f->progress_reports, NULL,
         "the running \"... finished N ops\" (true)", NULL},
        {"report_interval_seconds", OMT_I64, &f->report_interval_seconds, NULL,
         "a row of --report_file each N seconds", NULL},
        {"report_file", OMT_TEXT, &f->report_file, "FILE", "CSV of rates over time (report.csv)",
         NULL},
        {"json", OMT_TEXT, &f->json, "FILE", "results as JSON", NULL},
        {"latency_sample", OMT_I64, &f->latency_sample, NULL,
         "time one of N operations (0: each; one of 64 in scans)", NULL},
        {"confidence_interval_only", OMT_BOOL, &f->confidence_interval_only, NULL,
         "of repeats, print the interval alone", NULL},
        {"compat", OMT_TEXT, &f->compat, "NAME", "labels of omendb|rocksdb|leveldb", NULL},
        {"strict_flags", OMT_BOOL, &f->strict_flags, NULL,
         "a flag without effect is an error; write it first", NULL},
        /* Known, without effect here. */
        IGNORE("num_column_families", one_family),
        IGNORE("num_hot_column_families", one_family),
        IGNORE("column_family_distribution", one_family),
        IGNORE("num_multi_db", one_family),
        IGNORE("prefix_size", "keys have no declared prefix; see --key_prefix"),
        IGNORE("keys_per_prefix", "keys have no declared prefix; see --key_prefix"),
        IGNORE_BOOL("use_existing_keys", "keys follow from --num and --key_dist"),
        IGNORE_BOOL("total_order_seek", always),
        IGNORE_BOOL("prefix_same_as_start", "no prefix mode"),
        IGNORE("max_scan_distance", "see --seek_nexts"),
        IGNORE("user_timestamp_size", "no user timestamps"),
        IGNORE_BOOL("disable_wal", one_log),
        IGNORE("wal_dir", one_log),
        IGNORE("wal_bytes_per_sync", one_log),
        IGNORE("wal_ttl_seconds", one_log),
        IGNORE("wal_size_limit_MB", one_log),
        IGNORE("wal_compression", one_log),
        IGNORE_BOOL("manual_wal_flush", one_log),
        IGNORE("max_total_wal_size", one_log),
        IGNORE("recycle_log_file_num", always),
        IGNORE("ttl", no_ttl),
        IGNORE("ttl_seconds", no_ttl),
        IGNORE("ttl_us", no_ttl),
        IGNORE("expire_style", no_ttl),
        IGNORE("periodic_compaction_seconds", no_ttl),
        IGNORE("fifo_compaction_ttl", no_ttl),
        IGNORE("fifo_compaction_max_table_files_size_mb", no_ttl),
        IGNORE_BOOL("fifo_compaction_allow_compaction", no_ttl),
        IGNORE("fifo_age_for_warm", no_ttl),
        IGNORE("options_file", "see --omendb_options"),
        IGNORE("max_write_buffer_number", "two memtables and a spare"),
        IGNORE("min_write_buffer_number_to_merge", "each memtable is flushed on its own"),
        IGNORE("max_write_buffer_size_to_maintain", "memtables go after their flush"),
        IGNORE("max_write_buffer_number_to_maintain", "memtables go after their flush"),
        IGNORE("db_write_buffer_size", budget),
        IGNORE_BOOL("cost_write_buffer_to_cache", budget),
        IGNORE("arena_block_size", budget),
        IGNORE("write_buffer_manager_size", budget),
        IGNORE("cache_numshardbits", "the cache has no shards"),
        IGNORE("cache_high_pri_pool_ratio", budget),
        IGNORE("cache_low_pri_pool_ratio", budget),
        IGNORE("cache_type", "one cache"),
        IGNORE_BOOL("cache_index_and_filter_blocks", budget),
        IGNORE_BOOL("cache_index_and_filter_blocks_with_high_priority", budget),
        IGNORE_BOOL("pin_l0_filter_and_index_blocks_in_cache", budget),
        IGNORE_BOOL("pin_top_level_index_and_filter", budget),
        IGNORE("compressed_cache_size", budget),
        IGNORE("row_cache_size", budget),
        IGNORE_BOOL("use_compressed_secondary_cache", budget),
        IGNORE("simcache_size", budget),
        IGNORE("persistent_cache_path", budget),
        IGNORE("open_files", "tables stay open"),
        IGNORE("file_opening_threads", "tables are opened on demand"),
        IGNORE_BOOL("skip_stats_update_on_db_open", always),
        IGNORE("num_levels", own_shape),
        IGNORE("max_bytes_for_level_base", own_shape),
        IGNORE("max_bytes_for_level_multiplier_additional", own_shape),
        IGNORE("target_file_size_multiplier", own_shape),
        IGNORE_BOOL("level_compaction_dynamic_level_bytes", own_shape),
        IGNORE("universal_size_ratio", own_shape),
        IGNORE("universal_min_merge_width", own_shape),
        IGNORE("universal_max_merge_width", own_shape),
        IGNORE("universal_max_size_amplification_percent", own_shape),
        IGNORE("universal_compression_size_percent", own_shape),
        IGNORE_BOOL("universal_allow_trivial_move", own_shape),
        IGNORE_BOOL("universal_incremental", own_shape),
        IGNORE("compaction_pri", own_shape),
        IGNORE("max_compaction_bytes", own_shape),
        IGNORE("compaction_readahead_size", own_io),
        IGNORE("level0_slowdown_writes_trigger", paced),
        IGNORE("level0_stop_writes_trigger", paced),
        IGNORE("soft_pending_compaction_bytes_limit", paced),
        IGNORE("hard_pending_compaction_bytes_limit", paced),
        IGNORE("delayed_write_rate", paced),
        IGNORE("rate_limiter_bytes_per_sec", paced),
        IGNORE("rate_limiter_refill_period_us", paced),
        IGNORE_BOOL("rate_limiter_auto_tuned", paced),
        IGNORE_BOOL("rate_limit_bg_reads", paced),
        IGNORE_BOOL("rate_limit_user_ops", paced),
        IGNORE_BOOL("rate_limit_auto_wal_flush", paced),
        IGNORE_BOOL("sine_write_rate", paced),
        IGNORE_BOOL("sine_mix_rate", no_mix),
        IGNORE("sine_a", no_mix),
        IGNORE("sine_b", no_mix),
        IGNORE("sine_c", no_mix),
        IGNORE("sine_d", no_mix),
        IGNORE("max_background_flushes", "one flush thread"),
        IGNORE("num_low_pri_threads", "see --max_background_jobs"),
        IGNORE("num_high_pri_threads", "one flush thread"),
        IGNORE("num_bottom_pri_threads", "see --max_background_jobs"),
        IGNORE("subcompactions", "see --max_background_jobs"),
        IGNORE_BOOL("verify_checksum", always),
        IGNORE("block_protection_bytes_per_key", "blocks carry XXH3 checksums"),
        IGNORE("memtable_protection_bytes_per_key", "blocks carry XXH3 checksums"),
        IGNORE_BOOL("paranoid_checks", always),
        IGNORE_BOOL("force_consistency_checks", always),
        IGNORE_BOOL("mmap_read", own_io),
        IGNORE_BOOL("mmap_write", own_io),
        IGNORE_BOOL("async_io", own_io),
        IGNORE_BOOL("optimize_multiget_for_io", always),
        IGNORE_BOOL("adaptive_readahead", always),
        IGNORE("readahead_size", own_io),
        IGNORE("random_access_max_buffer_size", own_io),
        IGNORE("writable_file_max_buffer_size", own_io),
        IGNORE("bytes_per_sync", own_io),
        IGNORE_BOOL("use_fsync", "fdatasync is used"),
        IGNORE_BOOL("advise_random_on_open", always),
        IGNORE("compaction_fadvice", own_io),
        IGNORE_BOOL("allow_concurrent_memtable_write", "one writer inserts for a whole group"),
        IGNORE_BOOL("enable_pipelined_write", "one writer inserts for a whole group"),
        IGNORE_BOOL("unordered_write", "one writer inserts for a whole group"),
        IGNORE_BOOL("inplace_update_support", "versions are kept"),
        IGNORE("inplace_update_num_locks", "versions are kept"),
        IGNORE_BOOL("enable_write_thread_adaptive_yield", "one writer inserts for a whole group"),
        IGNORE("write_thread_max_yield_usec", "one writer inserts for a whole group"),
        IGNORE("write_thread_slow_yield_usec", "one writer inserts for a whole group"),
        IGNORE("memtablerep", "one memtable: a B+-tree"),
        IGNORE("hash_bucket_count", "one memtable: a B+-tree"),
        IGNORE("memtable_bloom_size_ratio", "the memtable has its own filter"),
        IGNORE_BOOL("memtable_whole_key_filtering", "the memtable has its own filter"),
        IGNORE("memtable_insert_with_hint_prefix_size", "one memtable: a B+-tree"),
        IGNORE_BOOL("memtable_use_huge_page", always),
        IGNORE("skip_list_lookahead", "one memtable: a B+-tree"),
        IGNORE_BOOL("use_block_based_filter", one_format),
        IGNORE_BOOL("use_ribbon_filter", one_format),
        IGNORE_BOOL("partition_index", one_format),
        IGNORE_BOOL("partition_index_and_filters", one_format),
        IGNORE_BOOL("whole_key_filtering", always),
        IGNORE_BOOL("optimize_filters_for_hits", "filter bits are settled by measured misses"),
        IGNORE_BOOL("optimize_filters_for_memory", "filter bits are settled by measured misses"),
        IGNORE_BOOL("use_plain_table", one_format),
        IGNORE_BOOL("use_cuckoo_table", one_format),
        IGNORE("cuckoo_hash_ratio", one_format),
        IGNORE("bloom_locality", one_format),
        IGNORE("format_version", one_format),
        IGNORE("index_type", one_format),
        IGNORE_BOOL("use_hash_search", one_format),
        IGNORE_BOOL("use_data_block_hash_index", one_format),
        IGNORE("data_block_hash_table_util_ratio", one_format),
        IGNORE("block_restart_interval", one_format),
        IGNORE("index_block_restart_interval", one_format),
        IGNORE("index_shortening_mode", one_format),
        IGNORE("metadata_block_size", one_format),
        IGNORE_BOOL("enable_index_compression", one_format),
        IGNORE_BOOL("block_align", one_format),
        IGNORE("read_amp_bytes_per_bit", "stats tell blocks read a get"),
        IGNORE("compression_max_dict_bytes", "no dictionaries in this version"),
        IGNORE("compression_zstd_max_train_bytes", "no dictionaries in this version"),
        IGNORE("compression_max_dict_buffer_bytes", "no dictionaries in this version"),
        IGNORE_BOOL("compression_use_zstd_dict_trainer", "no dictionaries in this version"),
        IGNORE("compression_parallel_threads", "see --max_background_jobs"),
        IGNORE("sample_for_compression", "codecs follow from the goal"),
        IGNORE_BOOL("new_table_reader_for_compaction_inputs", own_io),
        IGNORE("merge_operator", no_merge),
        IGNORE("merge_keys", no_merge),
        IGNORE("mergereadpercent", no_merge),
        IGNORE("max_successive_merges", no_merge),
        IGNORE("deletepercent", "no benchmark here deletes a share"),
        IGNORE_BOOL("use_single_deletes", "deletes are plain"),
        IGNORE("max_num_range_tombstones", "no range deletes in this version"),
        IGNORE("writes_per_range_tombstone", "no range deletes in this version"),
        IGNORE("range_tombstone_width", "no range deletes in this version"),
        IGNORE_BOOL("expand_range_tombstones", "no range deletes in this version"),
        IGNORE("num_deletion_threads", "no benchmark here deletes beside others"),
        IGNORE_BOOL("enable_blob_files", no_blob),
        IGNORE("min_blob_size", no_blob),
        IGNORE("blob_file_size", no_blob),
        IGNORE("blob_compression_type", no_blob),
        IGNORE_BOOL("enable_blob_garbage_collection", no_blob),
        IGNORE("blob_garbage_collection_age_cutoff", no_blob),
        IGNORE("blob_garbage_collection_force_threshold", no_blob),
        IGNORE("blob_compaction_readahead_size", no_blob),
        IGNORE("blob_file_starting_level", no_blob),
        IGNORE_BOOL("use_blob_db", no_blob),
        IGNORE_BOOL("use_blob_cache", no_blob),
        IGNORE_BOOL("use_shared_block_and_blob_cache", no_blob),
        IGNORE("blob_cache_size", no_blob),
        IGNORE("blob_cache_numshardbits", no_blob),
        IGNORE("prepopulate_blob_cache", no_blob),
        IGNORE("prepopulate_block_cache", "blocks cached before a merge are put back after it"),
        IGNORE_BOOL("use_secondary_db", no_secondary),
        IGNORE("secondary_path", no_secondary),
        IGNORE("secondary_update_interval", no_secondary),
        IGNORE("env_uri", "one file system"),
        IGNORE("fs_uri", "one file system"),
        IGNORE("hdfs", "one file system"),
        IGNORE_BOOL("simulate_hdd", "one file system"),
        IGNORE_BOOL("simulate_hybrid_fs_file", "one file system"),
        IGNORE("perf_level", own_reports),
        IGNORE("slow_usecs", own_reports),
        IGNORE_BOOL("thread_status_per_interval", own_reports),
        IGNORE_BOOL("show_table_properties", own_reports),
        IGNORE("stats_level", own_reports),
        IGNORE("statistics_string", own_reports),
        IGNORE("stats_dump_period_sec", own_reports),
        IGNORE("stats_persist_period_sec", own_reports),
        IGNORE_BOOL("persist_stats_to_disk", always),
        IGNORE("stats_history_buffer_size", own_reports),
        IGNORE_BOOL("enable_io_prio", "no I/O priorities"),
        IGNORE_BOOL("enable_cpu_prio", "no CPU priorities"),
        IGNORE_BOOL("enable_numa", "see the library's options"),
        IGNORE_BOOL("dump_malloc_stats", "memory is counted by owner in stats"),
        IGNORE_BOOL("report_bg_io_stats", always),
        IGNORE_BOOL("report_file_operations", own_reports),
        IGNORE_BOOL("use_stderr_info_logger", "the LOG file in the database's directory"),
        IGNORE("info_log_level", "the LOG file in the database's directory"),
        IGNORE("trace_file", no_trace),
        IGNORE("trace_replay_fast_forward", no_trace),
        IGNORE("trace_replay_threads", no_trace),
        IGNORE("block_cache_trace_file", no_trace),
        IGNORE("block_cache_trace_sampling_frequency", no_trace),
        IGNORE("block_cache_trace_max_trace_file_size_in_bytes", no_trace),
        IGNORE("key_dist_a", no_mix),
        IGNORE("key_dist_b", no_mix),
        IGNORE("value_theta", no_mix),
        IGNORE("value_k", no_mix),
        IGNORE("value_sigma", no_mix),
        IGNORE("iter_theta", no_mix),
        IGNORE("iter_k", no_mix),
        IGNORE("iter_sigma", no_mix),
        IGNORE("mix_get_ratio", no_mix),
        IGNORE("mix_put_ratio", no_mix),
        IGNORE("mix_seek_ratio", no_mix),
        IGNORE("mix_max_scan_len", no_mix),
        IGNORE("mix_max_value_size", no_mix),
        IGNORE("mix_ave_kv_size", no_mix),
        IGNORE("keyrange_num", no_mix),
        IGNORE("keyrange_dist_a", no_mix),
        IGNORE("keyrange_dist_b", no_mix),
        IGNORE("keyrange_dist_c", no_mix),
        IGNORE("keyrange_dist_d", no_mix),
        IGNORE("read_random_exp_range", "random keys are uniform"),
        IGNORE("overwrite_probability", "see overwrite"),
        IGNORE("overwrite_window_size", "see overwrite"),
        IGNORE("multiread_stride", "keys of a multi-get are independent"),
        IGNORE_BOOL("use_tailing_iterator", "see --reuse_iterator"),
        IGNORE_BOOL("use_iterator_bounds", "see --seek_nexts"),
        IGNORE_BOOL("auto_prefix_mode", "no prefix mode"),
        IGNORE_BOOL("rate_limit_reads", paced),
        IGNORE_BOOL("finish_after_writes", "readers end on their own counts"),
        IGNORE("ops_between_duration_checks", "the clock is read anyway"),
        IGNORE("read_cache_path", own_io),
        IGNORE("read_cache_size", own_io),
        IGNORE("seek_missing_prefix", "no prefix mode"),
        IGNORE_BOOL("transaction_db", no_txn),
        IGNORE_BOOL("optimistic_transaction_db", no_txn),
        IGNORE("transaction_sets", no_txn),
        IGNORE_BOOL("transaction_set_snapshot", no_txn),
        IGNORE("transaction_sleep", no_txn),
        IGNORE("transaction_lock_timeout", no_txn),
        IGNORE("numdistinct", "see updaterandom"),
        IGNORE_BOOL("allow_data_in_errors", always),
        IGNORE_BOOL("avoid_flush_during_recovery", always),
        IGNORE("log2_max_entries", "no such benchmark"),
        IGNORE_BOOL("comparisons", own_reports),
        IGNORE_BOOL("reuse_logs", always),
    };
    enum { FLAG_COUNT = sizeof(flags) / sizeof(flags[0]) };
    struct omt_args args = {
        .flags = flags,
        .count = FLAG_COUNT,
        .command = "bench",
        .usage = "omendb bench [flags]",
        .text = bench_text,
        .examples = bench_examples,
        .gflags = true,
        .strict = &f->strict_flags,
    };
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    int result = parsed == OMT_PARSE_HELP ? 1 : parsed == OMT_PARSE_ERROR ? 3 : 0;
    if (result == 0 && args.word_count > 0) {
        fprintf(stderr, "omendb: bench: \"%s\" is no flag; write --benchmarks=%s\n", args.words[0],
                args.words[0]);
        result = 3;
    }
    f->texts = args.files;
    args.files = (struct omt_list){NULL, 0};
    omt_args_free(&args);
    return result;
}

void bench_flags_fini(struct bench_flags *f)
{
    omt_list_free(&f->texts);
}

/* ---- options --------------------------------------------------------------------------------- */

static bool refuse(const char *flag, const char *value, const char *want)
{
    fprintf(stderr, "omendb: bench: --%s=%s: %s\n", flag, value, want);
    return false;
}

static bool codec_map(const struct bench_flags *f, omen_options *o)
{
    static const struct {
        const char *name;
        omen_codec codec;
        bool exact;
    } map[] = {
        {"none", OMEN_CODEC_NONE, true},
        {"no", OMEN_CODEC_NONE, true},
        {"0", OMEN_CODEC_NONE, true},
        {"1", OMEN_CODEC_ZSTD_FAST, true},
        {"zstd", OMEN_CODEC_ZSTD, true},
        {"zstd_fast", OMEN_CODEC_ZSTD_FAST, true},
        {"zstd-fast", OMEN_CODEC_ZSTD_FAST, true},
        {"snappy", OMEN_CODEC_ZSTD_FAST, false},
        {"lz4", OMEN_CODEC_ZSTD_FAST, false},
        {"lz4hc", OMEN_CODEC_ZSTD, false},
        {"zlib", OMEN_CODEC_ZSTD, false},
        {"bzip2", OMEN_CODEC_ZSTD, false},
        {"xpress", OMEN_CODEC_ZSTD_FAST, false},
    };
    for (size_t i = 0; f->compression_type != NULL && i < sizeof(map) / sizeof(map[0]); i++) {
        if (strcasecmp(f->compression_type, map[i].name) != 0)
            continue;
        uint32_t codec = map[i].codec;
        if (codec == OMEN_CODEC_ZSTD && f->compression_level < 0)
            codec = OMEN_CODEC_ZSTD_FAST;
        if (!map[i].exact)
            fprintf(stderr, "omendb: note: no %s in this build; %s is used\n", map[i].name,
                    codec == OMEN_CODEC_ZSTD ? "zstd" : "zstd-fast");
        o->codec_last = codec;
        o->codec_upper = f->min_level_to_compress > 0 ? OMEN_CODEC_NONE : codec;
        return true;
    }
    return f->compression_type == NULL ||
           refuse("compression_type", f->compression_type, "give none, zstd or zstd-fast");
}

static bool name_map(const char *flag, const char *value, const char *const *names, size_t count,
                     uint32_t *out)
{
    for (size_t i = 0; value != NULL && i < count; i++) {
        if (strcasecmp(value, names[i]) == 0) {
            *out = (uint32_t)i;
            return true;
        }
    }
    return value == NULL || refuse(flag, value, "unknown name; see omendb bench --help");
}

bool bench_options_make(const struct bench_flags *f, omen_options *options_out)
{
    static const char *const goals[] = {"balanced", "reads", "writes", "space"};
    static const char *const disks[] = {"auto", "ssd", "hdd"};
    omen_options o = {.struct_bytes = sizeof(o)};
    o.flags = f->readonly ? OMEN_OPEN_READ_ONLY : OMEN_CREATE_IF_MISSING;
    o.memory_bytes = f->memory_bytes;
    o.memtable_bytes = f->write_buffer_size;
    o.target_file_bytes = f->target_file_size_base;
    /* db_bench's 0 asks for no cache; the library always has one, so a small one it is */
    o.cache_bytes = f->cache_size == UINT64_MAX ? 0
                    : f->cache_size == 0        ? CACHE_BYTES_LEAST
                                                : f->cache_size;
    if (f->block_size > UINT32_MAX || f->max_bytes_for_level_multiplier < 0 ||
        f->max_bytes_for_level_multiplier > 1000)
        return refuse("block_size or --max_bytes_for_level_multiplier", "?", "out of range");
    o.block_bytes = (uint32_t)f->block_size;
    o.size_ratio = (uint32_t)f->max_bytes_for_level_multiplier;
    if (f->bloom_bits > 1000)
        return refuse("bloom_bits", "?", "out of range; -1 default, 0 none, else bits a key");
    o.filter_bits = f->bloom_bits == 0  ? OMEN_NONE
                    : f->bloom_bits > 0 ? (uint32_t)f->bloom_bits
                                        : 0;
    if (f->compaction_style == 0) {
        o.runs_upper = o.runs_last = 1;
    } else if (f->compaction_style == 1) {
        o.runs_upper = o.runs_last = o.size_ratio == 0 ? 6 : o.size_ratio > 64 ? 64 : o.size_ratio;
    } else if (f->compaction_style != -1) {
        return refuse("compaction_style", "?", "0 (levels) and 1 (tiers) are known here");
    }
    if (f->level0_file_num_compaction_trigger > 0)
        o.runs_level[0] = f->level0_file_num_compaction_trigger > 64
                              ? 64
                              : (uint32_t)f->level0_file_num_compaction_trigger;
    int64_t jobs =
        f->max_background_compactions > 0 ? f->max_background_compactions : f->max_background_jobs;
    o.background_jobs = jobs > JOBS_MOST ? JOBS_MOST : jobs > 0 ? (uint32_t)jobs : 0;
    if (f->use_direct_reads || f->use_direct_io_for_flush_and_compaction)
        o.io_mode = OMEN_IO_DIRECT;
    if (f->disable_auto_compactions)
        o.flags |= OMEN_NO_AUTO_COMPACT;
    if (!codec_map(f, &o) || !name_map("goal", f->goal, goals, 4, &o.goal) ||
        !name_map("disk", f->disk, disks, 3, &o.disk))
        return false;
    if (f->omendb_options != NULL) {
        omen_err err = omen_options_from_string(f->omendb_options, &o);
        if (err != OMEN_OK) {
            fprintf(stderr, "omendb: bench: --omendb_options: %s; see omendb bench --help\n",
                    omen_last_error());
            return false;
        }
    }
    if (f->far != NULL) {
        char text[64];
        int n = snprintf(text, sizeof(text), "far=%s", f->far);
        if (n < 0 || (size_t)n >= sizeof(text) || omen_options_from_string(text, &o) != OMEN_OK)
            return refuse("far", f->far, "give auto, none, node:N, heap or delay:NS");
    }
    *options_out = o;
    return true;
}

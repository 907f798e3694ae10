/*
 * bench_flags.h - the flags of omendb bench: RocksDB's names and defaults, and a few of our own.
 */
#ifndef OMT_BENCH_FLAGS_H
#define OMT_BENCH_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "lsm/omendb.h"
#include "tools/args.h"

struct bench_flags {
    const char *benchmarks, *db;
    int64_t num, reads, writes, deletes, threads, duration;
    uint64_t seed;
    int64_t batch_size;
    bool use_existing_db, readonly;
    /* data */
    int64_t key_size, value_size, value_size_min, value_size_max;
    const char *value_size_distribution_type, *key_dist, *key_prefix;
    double compression_ratio;
    bool verify_values;
    /* durability */
    bool sync;
    /* shape of the load */
    int64_t seek_nexts, readwritepercent, key_id_range, time_range;
    bool reverse_iterator, reuse_iterator, multiread_batched;
    uint64_t benchmark_write_rate_limit, benchmark_read_rate_limit;
    /* options that are mapped */
    uint64_t cache_size, write_buffer_size, target_file_size_base, block_size, memory_bytes;
    int64_t bloom_bits, compression_level, min_level_to_compress;
    int64_t max_background_jobs, max_background_compactions, compaction_style;
    int64_t level0_file_num_compaction_trigger;
    double max_bytes_for_level_multiplier;
    const char *compression_type, *goal, *disk, *omendb_options, *far;
    bool use_direct_reads, use_direct_io_for_flush_and_compaction, disable_auto_compactions;
    /* reports */
    bool histogram, statistics, stats_per_interval, progress_reports, strict_flags;
    int64_t stats_interval, stats_interval_seconds, report_interval_seconds, latency_sample;
    const char *report_file, *json, *compat, *trace;
    bool confidence_interval_only;
    struct omt_list texts; /* of flag files: the flags point into them */
};

/* Parses argv into f. The result is 0, or an exit code with one added (1: help was printed). */
int bench_flags_parse(struct bench_flags *f, int argc, char **argv);
void bench_flags_fini(struct bench_flags *f);
/* The library's options these flags ask for. False, told on stderr, when a value has no meaning. */
bool bench_options_make(const struct bench_flags *f, omen_options *options_out);

#endif

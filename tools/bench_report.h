/*
 * bench_report.h - what a benchmark prints, in the layout of RocksDB 7's db_bench, which scripts
 * read by field number; LevelDB's on --compat=leveldb. Results on stdout, running notes on stderr.
 */
#ifndef OMT_BENCH_REPORT_H
#define OMT_BENCH_REPORT_H

#include "tools/bench_run.h"

enum bench_compat { BENCH_OMENDB, BENCH_ROCKSDB, BENCH_LEVELDB };

void bench_print_header(const struct bench_flags *f, const struct bench_engine *engine,
                        enum bench_compat compat, size_t key_bytes, uint64_t value_bytes);
void bench_print_result(const struct bench_result *r, enum bench_compat compat, bool histogram);
/* The lines that end repeats: "avg", median and the 95 % interval of count results. */
void bench_print_repeats(const struct bench_result *results, size_t count, bool interval_only);

/* Counters of now less those of base (the opening of this handle); what is a state stays. */
omen_stats bench_stats_less(const omen_stats *now, const omen_stats *base);
/* The stats table; since is where the interval columns start, now the counters of this moment. */
void bench_print_stats(const omen_stats *now, const omen_stats *since);
void bench_print_levelstats(const omen_stats *now);
void bench_print_memstats(const omen_stats *now);
void bench_print_statistics(const omen_stats *now);
void bench_print_tables(const struct bench_engine *engine, void *db);

/* False, told on stderr, when the file cannot be written. */
bool bench_write_json(const char *path, const struct bench_result *results, size_t count);

#endif

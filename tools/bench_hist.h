/*
 * bench_hist.h - latency histograms with logarithmic buckets, one a thread and kind of operation.
 * Units:   nanoseconds in, microseconds out. A bucket is at most 1/32 wide (3 %).
 * Threads: one writer; merge after the threads have ended.
 */
#ifndef OMT_BENCH_HIST_H
#define OMT_BENCH_HIST_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { BENCH_HIST_SUB = 32, BENCH_HIST_BUCKETS = 60 * BENCH_HIST_SUB };

struct bench_hist {
    uint64_t count, min_ns, max_ns, sum_ns;
    double sum_squares_us; /* of microseconds, for the deviation */
    uint64_t bucket[BENCH_HIST_BUCKETS];
};

static inline size_t bench_hist_index(uint64_t ns)
{
    if (ns < BENCH_HIST_SUB)
        return (size_t)ns;
    unsigned exp = 63 - (unsigned)__builtin_clzll(ns); /* 5 .. 63 */
    return (size_t)(exp - 4) * BENCH_HIST_SUB + (size_t)(ns >> (exp - 5) & (BENCH_HIST_SUB - 1));
}

static inline void bench_hist_add(struct bench_hist *h, uint64_t ns)
{
    if (h->count == 0 || ns < h->min_ns)
        h->min_ns = ns;
    if (ns > h->max_ns)
        h->max_ns = ns;
    h->count++;
    h->sum_ns += ns;
    double us = (double)ns * 1e-3;
    h->sum_squares_us += us * us;
    h->bucket[bench_hist_index(ns)]++;
}

void bench_hist_merge(struct bench_hist *into, const struct bench_hist *from);
/* The value below which percent of the samples lie, in microseconds; 0 when empty. */
double bench_hist_percentile_us(const struct bench_hist *h, double percent);
double bench_hist_mean_us(const struct bench_hist *h);
double bench_hist_deviation_us(const struct bench_hist *h);
/* db_bench's block: counts, percentiles, and its own buckets (whole microseconds, x1.5).
 * leveldb: LevelDB's, without the percentile line and with half-open rows. */
void bench_hist_print(const struct bench_hist *h, FILE *out, int leveldb);

#endif

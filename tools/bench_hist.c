#include "tools/bench_hist.h"

#include <inttypes.h>
#include <math.h>

void bench_hist_merge(struct bench_hist *into, const struct bench_hist *from)
{
    if (from->count == 0)
        return;
    if (into->count == 0 || from->min_ns < into->min_ns)
        into->min_ns = from->min_ns;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    into->count += from->count;
    into->sum_ns += from->sum_ns;
    into->sum_squares_us += from->sum_squares_us;
    for (size_t i = 0; i < BENCH_HIST_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}

/* Buckets hold [first(i), first(i + 1)). */
static double bucket_first_ns(size_t i)
{
    if (i < BENCH_HIST_SUB)
        return (double)i;
    unsigned exp = (unsigned)(i / BENCH_HIST_SUB) + 4;
    return ldexp((double)(BENCH_HIST_SUB + i % BENCH_HIST_SUB), (int)exp - 5);
}

double bench_hist_percentile_us(const struct bench_hist *h, double percent)
{
    if (h->count == 0)
        return 0;
    double want = (double)h->count * percent / 100, seen = 0;
    for (size_t i = 0; i < BENCH_HIST_BUCKETS; i++) {
        double n = (double)h->bucket[i];
        if (n == 0 || seen + n < want) {
            seen += n;
            continue;
        }
        double a = bucket_first_ns(i), b = bucket_first_ns(i + 1);
        double ns = a + (b - a) * (want - seen) / n;
        if (ns < (double)h->min_ns)
            ns = (double)h->min_ns;
        if (ns > (double)h->max_ns)
            ns = (double)h->max_ns;
        return ns * 1e-3;
    }
    return (double)h->max_ns * 1e-3;
}

double bench_hist_mean_us(const struct bench_hist *h)
{
    return h->count == 0 ? 0 : (double)h->sum_ns * 1e-3 / (double)h->count;
}

double bench_hist_deviation_us(const struct bench_hist *h)
{
    if (h->count == 0)
        return 0;
    double mean = bench_hist_mean_us(h);
    double v = h->sum_squares_us / (double)h->count - mean * mean;
    return v <= 0 ? 0 : sqrt(v);
}

/* The limits db_bench prints: 1, 2, then x1.5 cut to two leading digits. */
static uint64_t next_limit(uint64_t limit, double *exact)
{
    if (limit == 1) {
        *exact = 2;
        return 2;
    }
    *exact *= 1.5;
    uint64_t v = (uint64_t)*exact, power = 1;
    while (v / 10 > 10) {
        v /= 10;
        power *= 10;
    }
    return v * power;
}

/* Our fine buckets, spread over a row's [left, right) by the middle of each. */
static void rows_print(const struct bench_hist *h, FILE *out, int leveldb)
{
    uint64_t left = 0, right = 1;
    double exact = 1, cumulative = 0;
    size_t i = 0;
    while (i < BENCH_HIST_BUCKETS && cumulative < (double)h->count) {
        uint64_t n = 0;
        for (; i < BENCH_HIST_BUCKETS; i++) {
            double middle_us = (bucket_first_ns(i) + bucket_first_ns(i + 1)) / 2 * 1e-3;
            if (middle_us >= (double)right)
                break;
            n += h->bucket[i];
        }
        if (n != 0) {
            double part = 100.0 * (double)n / (double)h->count;
            cumulative += (double)n;
            fprintf(out,
                    leveldb != 0 ? "%c %7" PRIu64 ", %7" PRIu64 " ) %7" PRIu64 " %7.3f%% %7.3f%% "
                                 : "%c %7" PRIu64 ", %7" PRIu64 " ] %8" PRIu64 " %7.3f%% %7.3f%% ",
                    left == 0 || leveldb != 0 ? '[' : '(', left, right, n, part,
                    100.0 * cumulative / (double)h->count);
            for (int marks = (int)(part / 5 + 0.5); marks > 0; marks--)
                putc('#', out);
            putc('\n', out);
        }
        left = right;
        right = next_limit(right, &exact);
    }
}

void bench_hist_print(const struct bench_hist *h, FILE *out, int leveldb)
{
    static const char dashes[] = "------------------------------------------------------";
    double mean = bench_hist_mean_us(h), median = bench_hist_percentile_us(h, 50);
    double deviation = bench_hist_deviation_us(h);
    if (leveldb != 0) {
        fprintf(out, "Count: %" PRIu64 "  Average: %.4f  StdDev: %.2f\n", h->count, mean,
                deviation);
        fprintf(out, "Min: %.4f  Median: %.4f  Max: %.4f\n%s\n", (double)h->min_ns * 1e-3, median,
                (double)h->max_ns * 1e-3, dashes);
    } else {
        fprintf(out, "Count: %" PRIu64 " Average: %.4f  StdDev: %.2f\n", h->count, mean, deviation);
        fprintf(out, "Min: %" PRIu64 "  Median: %.4f  Max: %" PRIu64 "\n", h->min_ns / 1000, median,
                h->max_ns / 1000);
        fprintf(out, "Percentiles: P50: %.2f P75: %.2f P99: %.2f P99.9: %.2f P99.99: %.2f\n%s\n",
                median, bench_hist_percentile_us(h, 75), bench_hist_percentile_us(h, 99),
                bench_hist_percentile_us(h, 99.9), bench_hist_percentile_us(h, 99.99), dashes);
    }
    rows_print(h, out, leveldb);
}

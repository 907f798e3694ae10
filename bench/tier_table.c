#include "bench/tier_table.h"

#include <inttypes.h>

void table_head(const struct flags *f, const struct bench_case *c)
{
    printf("\n%s: %s. Far beside its base, turn and turn about: %d turns of %.1f s each; %s\n",
           c->name, c->about, f->runs, f->seconds, f->far_node >= 0 ? "hardware" : "injected");
    printf("%-10s %-8s %6s %9s %9s %6s %-12s %14s %14s %6s %10s %6s\n", "far", "base", "D got",
           "base/s", "far/s", "ratio", "least..most", "p50 us", "p99 us", "lines", "reads", "DRAM");
}

void result_print(const struct result *r, const char *far, const char *base)
{
    double dram =
        r->structure_bytes != 0 ? 100 * (double)r->near_bytes / (double)r->structure_bytes : 0;
    printf("%-10s %-8s %6" PRIu32 " %9.0f %9.0f %6.3f %5.3f..%5.3f %6.2f:%7.2f %6.2f:%7.2f %6.2f "
           "%4.2f:%5.2f %5.0f%%\n",
           far, base, r->achieved_ns, r->near_per_s, r->far_per_s, r->ratio, r->low, r->high,
           r->near_p50, r->far_p50, r->near_p99, r->far_p99, r->far_lines, r->near_reads,
           r->far_reads, dram);
    fflush(stdout);
}

void result_json(const struct flags *f, const struct bench_case *c, const struct result *r,
                 const char *far, const char *base)
{
    fprintf(
        f->json_out,
        "{\"case\":\"%s\",\"label\":\"%s\",\"entries\":%" PRIu64
        ",\"far\":\"%s\",\"base\":\"%s\",\"achieved_ns\":%" PRIu32
        ",\"turns\":%d,\"seconds\":%.2f,\"near_per_s\":%.0f,"
        "\"far_per_s\":%.0f,\"ratio\":%.4f,\"least\":%.4f,\"most\":%.4f,\"near_p50_us\":%.3f,"
        "\"far_p50_us\":%.3f,\"near_p99_us\":%.3f,\"far_p99_us\":%.3f,\"far_lines\":%.3f,"
        "\"wait_ns\":%.1f,\"near_blocks_read\":%.4f,\"far_blocks_read\":%.4f,\"structure_bytes\":"
        "%" PRIu64 ",\"near_bytes\":%" PRIu64 ",\"far_bytes\":%" PRIu64 "}\n",
        c->name, f->far_node >= 0 ? "hardware" : "injected", f->num, far, base, r->achieved_ns,
        f->runs, f->seconds, r->near_per_s, r->far_per_s, r->ratio, r->low, r->high, r->near_p50,
        r->far_p50, r->near_p99, r->far_p99, r->far_lines, r->far_waits, r->near_reads,
        r->far_reads, r->structure_bytes, r->near_bytes, r->far_bytes);
    fflush(f->json_out);
}

/*
 * tier_table.h - what bench/tier_bench was asked, what it found, and how that is told.
 */
#ifndef BENCH_TIER_TABLE_H
#define BENCH_TIER_TABLE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct flags {
    const char *dir, *cases, *delays, *svg, *json;
    uint64_t num, value_bytes;
    double seconds;
    int runs, far_node;
    bool force;
    FILE *json_out; /* NULL: none */
};

enum pick { PICK_UNIFORM, PICK_ZIPF, PICK_ZIPF_RANGE };

struct bench_case {
    const char *name, *about;
    enum pick pick;
    double hits; /* share of lookups that find something */
    bool batched;
    double cache_share;       /* of the data; 0: all of it, and then some */
    double near_share;        /* near_model_bytes, of filters and models */
    double near_filter_share; /* filter_bytes of the near side, of the filters */
};

struct result {
    double ratio, low, high; /* far / near lookups a second: median, least, most of the turns */
    double near_per_s, far_per_s, near_p50, far_p50, near_p99, far_p99; /* us */
    double far_lines, far_waits, near_reads, far_reads; /* a lookup; waits in ns; reads: blocks */
    uint64_t structure_bytes, near_bytes,
        far_bytes; /* filters and models; what the far side has near; far */
    uint32_t achieved_ns;
};

void table_head(const struct flags *f, const struct bench_case *c);
void result_print(const struct result *r, const char *far, const char *base);
/* To f->json_out. */
void result_json(const struct flags *f, const struct bench_case *c, const struct result *r,
                 const char *far, const char *base);

#endif

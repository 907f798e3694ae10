/*
 * far_lines.h - what a thread's caches would hold of far memory: the model behind injected latency.
 *
 * A line that is not cached costs one delay, from when it is asked for. Prefetching asks and goes on;
 * touching waits. So lines that are prefetched together arrive together, and a line that is only known
 * when another has been read comes after it. OMI_FAR_FLIGHTS lines may be on their way (a core's fill
 * buffers); one more waits for the first of them. What has arrived stays for about 1 MiB of other far
 * lines (a thread's share of caches): 16-way sets, one of a full set goes by chance.
 *
 * Not modelled: work that the core does behind a load that waits, the hardware's own prefetching, page
 * walks, stores, other threads in the shared cache, the tail of a device's latency.
 * Units:   lines are addresses / 64; times are ns of any clock that does not go back.
 * Threads: one each.
 */
#ifndef OMI_FAR_LINES_H
#define OMI_FAR_LINES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { OMI_FAR_SETS = 1024, OMI_FAR_WAYS = 16, OMI_FAR_FLIGHTS = 12 };

/* Shared by all threads: no more than so many lines a second, with some allowance for bursts. */
struct omi_far_bucket {
    uint64_t line_ps;    /* between two lines; 0: no limit */
    _Atomic uint64_t at; /* ps: when the lines that were let through would all have come */
};
/* When a line that is asked for now may leave. */
uint64_t omi_far_bucket_take(struct omi_far_bucket *bucket, uint64_t now_ns);

struct omi_far_lines {
    uint32_t tag[OMI_FAR_SETS][OMI_FAR_WAYS]; /* 0: nothing */
    uint32_t chance;                          /* of which way goes */
    uint32_t flights;
    struct {
        uint64_t line, ready;
    } flight[OMI_FAR_FLIGHTS];
};

enum omi_far_answer { OMI_FAR_HIT, OMI_FAR_COMING, OMI_FAR_MISS };

/* lines is zeroed at first. until_out: when the caller goes on, now or later. */
enum omi_far_answer omi_far_lines_touch(struct omi_far_lines *lines, struct omi_far_bucket *bucket,
                                        uint64_t line, uint64_t now_ns, uint64_t delay_ns,
                                        uint64_t *until_out);
enum omi_far_answer omi_far_lines_prefetch(struct omi_far_lines *lines,
                                           struct omi_far_bucket *bucket, uint64_t line,
                                           uint64_t now_ns, uint64_t delay_ns, uint64_t *until_out);

#endif

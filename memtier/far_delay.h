/*
 * far_delay.h - injected latency: the clock of far_clock.h, and a far_lines.h for each thread.
 * far_touch.h is what readers call.
 * Threads: any; a thread's lines are taken when it first touches, and freed with it. A thread that gets
 * no memory for them pays no delay.
 */
#ifndef OMI_FAR_DELAY_H
#define OMI_FAR_DELAY_H

#include "io/base/fail.h"
#include "memtier/far_touch.h"

struct omi_far_delay_stats {
    uint64_t lines;      /* that had to come, asked for by a touch or ahead */
    uint64_t hits;       /* touches of what a thread's caches would hold */
    uint64_t prefetches; /* of lines, those asked for ahead */
    uint64_t wait_ns;    /* what touches waited, all threads together */
};

/* bandwidth: bytes a second; 0: no limit. */
OMEN_MUST_CHECK omen_err omi_far_delay_create(uint32_t delay_ns, uint64_t bandwidth,
                                              struct omi_far_delay **out);
void omi_far_delay_destroy(struct omi_far_delay *d); /* NULL is fine */
void omi_far_delay_get_stats(const struct omi_far_delay *d, struct omi_far_delay_stats *out);

#endif

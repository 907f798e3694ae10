/*
 * pace.h - slowing writers smoothly, so that merges keep up without a stop.
 *
 * Between a soft and a hard limit of debt the permitted ingest falls from the drain rate's share to
 * a tenth of it, after a short ramp from four times that share; a writer waits for its bytes, at
 * most OMI_PACE_WAIT_US_MAX a call for small writes (scaled by bytes for large ones). No cliff:
 * below the soft limit nothing waits. Integers only. Threads: omi_pace_update and omi_pace_charge
 * are called under the caller's lock.
 */
#ifndef OMI_PACE_H
#define OMI_PACE_H

#include <stdint.h>

enum { OMI_PACE_WAIT_US_MAX = 200 };

struct omi_pace {
    uint64_t soft_bytes, hard_bytes; /* of debt */
    uint64_t debt_bytes;
    uint64_t drain_bytes_per_s;   /* smoothed rate of background bytes; floor 1 MiB/s */
    uint64_t write_amp_pct;       /* background bytes per ingested byte, times 100 */
    uint64_t allowed_bytes_per_s; /* UINT64_MAX: no limit */
    uint64_t tokens_ns;           /* when the bytes charged so far will have been allowed */
    uint64_t window_start_ns, window_bytes;
    uint64_t amp_worked_bytes, amp_ingested_bytes; /* sums with forgetting, for write_amp_pct */
};

void omi_pace_init(struct omi_pace *p, uint64_t capacity_bytes);
/* After a version change or a piece of background work (flushes too): worked_bytes were read and
 * written by it, ingested_bytes came in since the last call. */
void omi_pace_update(struct omi_pace *p, uint64_t debt_bytes, uint64_t worked_bytes,
                     uint64_t ingested_bytes, uint64_t now_ns);
/* How long the writer of bytes should wait, in us; 0 below the soft limit. */
uint64_t omi_pace_charge(struct omi_pace *p, uint64_t bytes, uint64_t now_ns);

#endif

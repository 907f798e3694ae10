/*
 * far_touch.h - where readers say which far bytes they are about to use. With the delay backend this
 * is where the injected latency is paid; with any other it is one branch on the extent, never taken.
 *
 * Prefetch first all lines that depend on the key alone, then touch and use each:
 *     omi_far_prefetch(extent, line_of_filter, 64);  ... of all candidates
 *     omi_far_touch(extent, line_of_filter, 64);     just before its bytes are read
 * Two prefetched lines cost one delay, two of which the second is found by the first cost two, a line
 * that was touched recently costs none (far_lines.h has the rules).
 * omi_far_prefetch also issues the real prefetch, whatever the backend.
 */
#ifndef OMI_FAR_TOUCH_H
#define OMI_FAR_TOUCH_H

#include "memtier/extent.h"

/* far_delay.c */
void omi_far_delay_touch(struct omi_far_delay *delay, const void *bytes, size_t size);
void omi_far_delay_prefetch(struct omi_far_delay *delay, const void *bytes, size_t size);

/* bytes: of the extent, as loaded in this grace pair; size 0 touches nothing. */
static inline void omi_far_touch(const struct omi_extent *extent, const void *bytes, size_t size)
{
    struct omi_far_delay *delay = atomic_load_explicit(&extent->delay, memory_order_relaxed);
    if (__builtin_expect(delay != NULL, 0))
        omi_far_delay_touch(delay, bytes, size);
}

static inline void omi_far_prefetch(const struct omi_extent *extent, const void *bytes, size_t size)
{
    struct omi_far_delay *delay = atomic_load_explicit(&extent->delay, memory_order_relaxed);
    for (size_t at = 0; at < size; at += 64)
        __builtin_prefetch((const uint8_t *)bytes + at);
    if (__builtin_expect(delay != NULL, 0))
        omi_far_delay_prefetch(delay, bytes, size);
}

#endif

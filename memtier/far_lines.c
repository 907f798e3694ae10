#include "memtier/far_lines.h"

#include <stddef.h>

enum { BURST_LINES = 64, LINE_BITS = 42, SET_BITS = 10 };
_Static_assert(1 << SET_BITS == OMI_FAR_SETS, "sets are addressed by SET_BITS");

/* ---- bandwidth ------------------------------------------------------------------------------- */

/* The generic cell rate algorithm: at runs ahead of now by what was let through in advance. */
uint64_t omi_far_bucket_take(struct omi_far_bucket *b, uint64_t now_ns)
{
    uint64_t now = now_ns * 1000, at = atomic_load_explicit(&b->at, memory_order_relaxed), after;
    if (b->line_ps == 0)
        return now_ns;
    do
        after = (at > now ? at : now) + b->line_ps;
    while (!atomic_compare_exchange_weak_explicit(&b->at, &at, after, memory_order_relaxed,
                                                  memory_order_relaxed));
    uint64_t ahead = b->line_ps * BURST_LINES;
    return after > now + ahead ? (after - ahead + 999) / 1000 : now_ns;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* An odd multiplier only shuffles the lines, so set and tag together still name one. */
static uint64_t shuffled(uint64_t line)
{
    return line * UINT64_C(0x9e3779b97f4a7c15) & ((UINT64_C(1) << LINE_BITS) - 1);
}

static uint32_t *set_of(struct omi_far_lines *l, uint64_t line)
{
    return l->tag[shuffled(line) >> (LINE_BITS - SET_BITS)];
}

/* 32 bits; the one line in 2^32 that would be 0 is taken for its neighbour. */
static uint32_t tag_of(uint64_t line)
{
    uint32_t tag = (uint32_t)shuffled(line);
    return tag != 0 ? tag : 1;
}

static bool cached(struct omi_far_lines *l, uint64_t line)
{
    const uint32_t *set = set_of(l, line);
    uint32_t tag = tag_of(line), found = 0;
    for (int way = 0; way < OMI_FAR_WAYS; way++)
        found |= set[way] == tag;
    return found != 0;
}

/* In a way that is free, else in any. */
static void keep(struct omi_far_lines *l, uint64_t line)
{
    uint32_t *set = set_of(l, line), way = 0;
    while (way < OMI_FAR_WAYS && set[way] != 0)
        way++;
    if (way == OMI_FAR_WAYS) {
        l->chance = l->chance * 1664525 + 1013904223;
        way = l->chance >> 16 & (OMI_FAR_WAYS - 1);
    }
    set[way] = tag_of(line);
}

static void land(struct omi_far_lines *l, uint64_t now)
{
    for (uint32_t i = 0; i < l->flights;)
        if (l->flight[i].ready <= now)
            l->flight[i] = l->flight[--l->flights];
        else
            i++;
}

static uint64_t first_ready(const struct omi_far_lines *l)
{
    uint64_t first = l->flight[0].ready;
    for (uint32_t i = 1; i < l->flights; i++)
        if (l->flight[i].ready < first)
            first = l->flight[i].ready;
    return first;
}

/* When the line is there; NULL: not on its way. */
static const uint64_t *coming(const struct omi_far_lines *l, uint64_t line)
{
    for (uint32_t i = 0; i < l->flights; i++)
        if (l->flight[i].line == line)
            return &l->flight[i].ready;
    return NULL;
}

/* When a line that is asked for now leaves: with a buffer free, for which the thread waits, and with the
 * bandwidth, for which the line does. */
static uint64_t departure(struct omi_far_lines *l, struct omi_far_bucket *bucket, uint64_t now,
                          uint64_t *free_at)
{
    *free_at = l->flights == OMI_FAR_FLIGHTS ? first_ready(l) : now;
    uint64_t let_at = omi_far_bucket_take(bucket, now);
    land(l, *free_at);
    return *free_at > let_at ? *free_at : let_at;
}

enum omi_far_answer omi_far_lines_touch(struct omi_far_lines *l, struct omi_far_bucket *bucket,
                                        uint64_t line, uint64_t now, uint64_t delay,
                                        uint64_t *until_out)
{
    land(l, now);
    const uint64_t *ready = coming(l, line);
    uint64_t free_at;
    *until_out = ready != NULL ? *ready : now;
    if (ready != NULL)
        return OMI_FAR_COMING;
    if (cached(l, line))
        return OMI_FAR_HIT;
    *until_out = departure(l, bucket, now, &free_at) + delay;
    keep(l, line);
    return OMI_FAR_MISS;
}

enum omi_far_answer omi_far_lines_prefetch(struct omi_far_lines *l, struct omi_far_bucket *bucket,
                                           uint64_t line, uint64_t now, uint64_t delay,
                                           uint64_t *until_out)
{
    land(l, now);
    *until_out = now;
    if (coming(l, line) != NULL)
        return OMI_FAR_COMING;
    if (cached(l, line))
        return OMI_FAR_HIT;
    uint64_t leaves = departure(l, bucket, now, until_out);
    l->flight[l->flights].line = line;
    l->flight[l->flights++].ready = leaves + delay;
    keep(l, line);
    return OMI_FAR_MISS;
}

/* stress_model.c - the writes of a thread by number, and what its keys are after them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/stress.h"

enum { COUNTER_ALONE_ONE_IN = 12, SCRAMBLE = 7919 };

uint64_t stress_own_count(const struct stress_plan *p, uint32_t thread)
{
    return (p->keys - thread + p->threads - 1) / p->threads;
}

/* Skewed: the k-th most popular key is asked for about 1/k as often as the first. */
static uint64_t draw_own(const struct stress_plan *p, struct stress_rng *r, uint64_t count)
{
    if (!p->zipf)
        return stress_below(r, count);
    double u = (double)(stress_next(r) >> 11) / 9007199254740992.0;
    uint64_t popular = (uint64_t)(pow((double)count + 1, u) - 1);
    if (popular >= count)
        popular = count - 1;
    return popular * SCRAMBLE % count; /* neighbours in popularity are none in key order */
}

void stress_write_make(const struct stress_plan *p, uint32_t thread, uint64_t n,
                       struct stress_write *out)
{
    struct stress_rng r = stress_rng_of(p->seed, 100 + thread, n);
    uint64_t own = stress_own_count(p, thread);
    out->count = 0;
    if (stress_one_in(&r, COUNTER_ALONE_ONE_IN))
        return;
    uint32_t count = (uint32_t)(stress_one_in(&r, 3) ? 1 : 1 + stress_below(&r, p->batch_max));
    for (; out->count < count; out->count++) {
        bool put = stress_below(&r, 100) >= p->delete_percent;
        out->changes[out->count] =
            (struct stress_change){draw_own(p, &r, own), stress_id(n, out->count, put)};
    }
}

void stress_state_init(const struct stress_plan *p, uint32_t thread, struct stress_state *s)
{
    s->n = 0;
    s->count = stress_own_count(p, thread);
    s->ids = stress_alloc(s->count * sizeof(*s->ids));
}

void stress_state_fini(struct stress_state *s)
{
    free(s->ids);
    *s = (struct stress_state){0};
}

void stress_state_copy(struct stress_state *to, const struct stress_state *from)
{
    to->n = from->n;
    if (to->ids == NULL) {
        to->count = from->count;
        to->ids = stress_alloc(to->count * sizeof(*to->ids));
    }
    memcpy(to->ids, from->ids, to->count * sizeof(*to->ids));
}

void stress_state_advance(const struct stress_plan *p, uint32_t thread, struct stress_state *s,
                          uint64_t n)
{
    struct stress_write w;
    while (s->n < n) {
        stress_write_make(p, thread, ++s->n, &w);
        for (uint32_t i = 0; i < w.count; i++)
            s->ids[w.changes[i].own] = w.changes[i].id;
    }
}

int64_t stress_state_next(const struct stress_plan *p, uint32_t thread,
                          const struct stress_state *s, int64_t coord, int step, int64_t low,
                          int64_t high)
{
    int64_t threads = p->threads, first = thread;
    /* The first rank past coord: 2r + 1 > coord; before it: 2r + 1 < coord. */
    int64_t rank = step > 0 ? (coord < 0 ? 0 : coord / 2 + (coord & 1)) : coord / 2 - 1;
    if (step > 0 && rank < low)
        rank = low;
    if (step < 0 && rank >= high)
        rank = high - 1;
    int64_t own = step > 0 ? (rank - first + threads - 1) / threads
                           : (rank < first ? -1 : (rank - first) / threads);
    if (step > 0 && rank <= first)
        own = 0;
    for (; own >= 0 && own < (int64_t)s->count; own += step) {
        rank = own * threads + first;
        if (rank < low || rank >= high)
            return -1;
        if (stress_id_lives(s->ids[own]))
            return rank;
    }
    return -1;
}

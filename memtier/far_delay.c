#include "memtier/far_delay.h"

#include "memtier/far_clock.h"
#include "memtier/far_lines.h"

#include <pthread.h>
#include <stdlib.h>

enum { STRIPES = 8, LINE = 64 };

struct omi_far_delay {
    uint64_t delay_ns;
    struct omi_far_bucket bucket;
    struct {
        _Alignas(64) _Atomic uint64_t lines;
        _Atomic uint64_t hits, prefetches, wait_ns;
    } stripe[STRIPES];
};

omen_err omi_far_delay_create(uint32_t delay_ns, uint64_t bandwidth, struct omi_far_delay **out)
{
    struct omi_far_delay *d = aligned_alloc(64, sizeof(*d));
    *out = d;
    if (d == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "injected delay of far memory");
    *d = (struct omi_far_delay){.delay_ns = delay_ns};
    d->bucket.line_ps = bandwidth != 0 ? UINT64_C(1000000000000) * LINE / bandwidth : 0;
    return OMEN_OK;
}

void omi_far_delay_destroy(struct omi_far_delay *d)
{
    free(d);
}

static void add(_Atomic uint64_t *n, uint64_t more)
{
    atomic_fetch_add_explicit(n, more, memory_order_relaxed);
}

void omi_far_delay_get_stats(const struct omi_far_delay *d, struct omi_far_delay_stats *out)
{
    *out = (struct omi_far_delay_stats){0};
    for (int i = 0; i < STRIPES; i++) {
        out->lines += atomic_load_explicit(&d->stripe[i].lines, memory_order_relaxed);
        out->hits += atomic_load_explicit(&d->stripe[i].hits, memory_order_relaxed);
        out->prefetches += atomic_load_explicit(&d->stripe[i].prefetches, memory_order_relaxed);
        out->wait_ns += atomic_load_explicit(&d->stripe[i].wait_ns, memory_order_relaxed);
    }
}

/* ---- a thread's lines ------------------------------------------------------------------------ */

struct thread_lines {
    struct omi_far_lines lines;
    unsigned stripe;
};

static struct {
    pthread_once_t once;
    pthread_key_t key;
    bool usable; /* only read after once */
    _Atomic uint32_t threads;
} all = {.once = PTHREAD_ONCE_INIT};

static _Thread_local struct thread_lines *mine;

static void thread_end(void *lines)
{
    mine = NULL;
    free(lines);
}

static void key_make(void)
{
    all.usable = pthread_key_create(&all.key, thread_end) == 0;
}

static struct thread_lines *lines_make(void)
{
    pthread_once(&all.once, key_make);
    struct thread_lines *t = all.usable ? calloc(1, sizeof(*t)) : NULL;
    if (t == NULL)
        return NULL;
    if (pthread_setspecific(all.key, t) != 0) {
        free(t);
        return NULL;
    }
    t->stripe = atomic_fetch_add(&all.threads, 1) % STRIPES;
    return mine = t;
}

/* ---- touching -------------------------------------------------------------------------------- */

void omi_far_delay_touch(struct omi_far_delay *d, const void *bytes, size_t size)
{
    struct thread_lines *t = mine != NULL ? mine : lines_make();
    if (t == NULL || size == 0)
        return;
    uint64_t first = (uintptr_t)bytes / LINE, last = ((uintptr_t)bytes + size - 1) / LINE;
    for (uint64_t line = first; line <= last; line++) {
        uint64_t now = omi_far_clock_now(), until;
        enum omi_far_answer answer =
            omi_far_lines_touch(&t->lines, &d->bucket, line, now, d->delay_ns, &until);
        add(&d->stripe[t->stripe].hits, answer == OMI_FAR_HIT);
        add(&d->stripe[t->stripe].lines, answer == OMI_FAR_MISS);
        if (until <= now)
            continue;
        omi_far_clock_wait(until);
        add(&d->stripe[t->stripe].wait_ns, until - now);
    }
}

void omi_far_delay_prefetch(struct omi_far_delay *d, const void *bytes, size_t size)
{
    struct thread_lines *t = mine != NULL ? mine : lines_make();
    if (t == NULL || size == 0)
        return;
    uint64_t first = (uintptr_t)bytes / LINE, last = ((uintptr_t)bytes + size - 1) / LINE;
    for (uint64_t line = first; line <= last; line++) {
        uint64_t now = omi_far_clock_now(), until;
        enum omi_far_answer answer =
            omi_far_lines_prefetch(&t->lines, &d->bucket, line, now, d->delay_ns, &until);
        add(&d->stripe[t->stripe].prefetches, answer == OMI_FAR_MISS);
        add(&d->stripe[t->stripe].lines, answer == OMI_FAR_MISS);
        omi_far_clock_wait(until);
    }
}

#include "memtier/far_clock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

enum { MEASURE_NS = 2000000, WAITS = 401, SHIFT = 32, SOUND_PERMILLE = 150, LOOKS = 64 };

/* ---- the counter ----------------------------------------------------------------------------- */

static uint64_t system_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline uint64_t counter(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#elif defined(__aarch64__)
    uint64_t v;
    __asm__ volatile("isb; mrs %0, cntvct_el0" : "=r"(v)::"memory");
    return v;
#else
    return system_ns();
#endif
}

static inline void turn(void)
{
#if defined(__x86_64__)
    _mm_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Measured once; only read after. ns = (counter - start) * scale / 2^SHIFT. */
static struct {
    pthread_once_t once;
    uint64_t start, scale, read_ns;
} rate = {.once = PTHREAD_ONCE_INIT};

/* Counter and system's clock as of one moment: the look that was least disturbed of some. */
static void look(uint64_t *counter_out, uint64_t *ns_out)
{
    uint64_t best = UINT64_MAX;
    for (int i = 0; i < 16; i++) {
        uint64_t before = counter(), ns = system_ns(), took = counter() - before;
        if (took >= best)
            continue;
        best = took;
        *counter_out = before + took / 2;
        *ns_out = ns;
    }
}

static inline uint64_t now_ns(void)
{
    uint64_t c = counter();
    c = c > rate.start ? c - rate.start : 0; /* another processor's may lag a little */
    return (uint64_t)(((unsigned __int128)c * rate.scale) >> SHIFT);
}

static void measure(void)
{
    uint64_t ns, ns_end;
    uint64_t start, end;
    look(&start, &ns);
    while (system_ns() < ns + MEASURE_NS)
        ;
    look(&end, &ns_end);
    rate.start = start;
    rate.scale = end > start ? ((ns_end - ns) << SHIFT) / (end - start) : UINT64_C(1) << SHIFT;
    /* A counter may step in tens of ns: many looks tell what one costs. */
    uint64_t least = UINT64_MAX;
    for (int i = 0; i < 16; i++) {
        uint64_t before = counter(), took;
        for (int k = 1; k < LOOKS; k++)
            (void)now_ns();
        took = counter() - before;
        least = took < least ? took : least;
    }
    rate.read_ns = (uint64_t)(((unsigned __int128)least * rate.scale / LOOKS) >> SHIFT);
}

uint64_t omi_far_clock_now(void)
{
    pthread_once(&rate.once, measure);
    return now_ns();
}

/* A look tells of a moment about half its cost ago, and is late by half its cost on average. */
void omi_far_clock_wait(uint64_t until_ns)
{
    pthread_once(&rate.once, measure);
    uint64_t now = now_ns();
    while (now + rate.read_ns / 2 < until_ns) {
        if (until_ns - now > 8 * rate.read_ns)
            turn();
        now = now_ns();
    }
}

/* ---- calibration ----------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

uint32_t omi_far_achieved_ns(uint32_t delay_ns)
{
    uint64_t took[WAITS];
    for (int i = 0; i < WAITS; i++) {
        uint64_t before = omi_far_clock_now();
        omi_far_clock_wait(before + delay_ns);
        uint64_t ns = omi_far_clock_now() - before;
        took[i] = ns > rate.read_ns ? ns - rate.read_ns : 0;
    }
    qsort(took, WAITS, sizeof(took[0]), compare);
    return took[WAITS / 2] < UINT32_MAX ? (uint32_t)took[WAITS / 2] : UINT32_MAX;
}

static uint32_t off_permille(uint32_t asked, uint32_t achieved)
{
    uint64_t off = asked > achieved ? asked - achieved : achieved - asked;
    uint64_t permille = asked != 0 ? off * 1000 / asked : 0;
    return permille < UINT32_MAX ? (uint32_t)permille : UINT32_MAX;
}

bool omi_far_sound(uint32_t asked_ns, uint32_t achieved_ns)
{
    return off_permille(asked_ns, achieved_ns) <= SOUND_PERMILLE;
}

void omi_far_calibrate(struct omi_far_calibration *out)
{
    static const uint32_t asked[OMI_FAR_ASKED] = {50, 100, 200, 400};
    *out = (struct omi_far_calibration){0};
    (void)omi_far_clock_now();
    out->read_ns = (uint32_t)rate.read_ns;
    for (int i = 0; i < OMI_FAR_ASKED; i++) {
        uint32_t achieved = omi_far_achieved_ns(asked[i]), off = off_permille(asked[i], achieved);
        out->wait[i] = (struct omi_far_wait){asked[i], achieved};
        if (asked[i] >= 100 && off > out->worst_off_permille)
            out->worst_off_permille = off;
    }
}

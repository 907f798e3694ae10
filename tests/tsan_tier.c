/*
 * tsan_tier.c - extents that move and are replaced under their readers, for ThreadSanitizer and for the
 * eye. Readers sum what they read inside the grace; movers take extents near and far, keepers replace
 * them by new ones, and pages are "lost" as the guard does it: whoever believes a sum must be right.
 *
 *   tsan_tier [SECONDS [SEED]]
 */
#include "lsm/counters.h"
#include "memtier/far_guard.h"
#include "memtier/far_touch.h"
#include "memtier/tier.h"
#include "tests/model.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { READERS = 3, PLACES = 24, BYTES_MAX = 40000 };

static uint64_t seed = 1;
static _Atomic bool stop;
static struct omi_grace grace;
static struct omi_extent_stats stats;
static struct omi_tier *tier;

/* One keeper's: who moves, loses or replaces holds mu; readers hold nothing. */
static struct place {
    struct omi_mutex mu;
    _Atomic(struct omi_extent *) extent;
} places[PLACES];
static _Atomic uint64_t believed, doubted, moved, replaced, lost;

/* Every word of an extent is its size, so a sum tells whose bytes were read. */
static struct omi_extent *extent_make(struct rng *r)
{
    struct omi_extent *e = NULL;
    size_t words = 1 + rng_below(r, BYTES_MAX / 8);
    enum omi_extent_class wanted = rng_one_in(r, 2) ? OMI_EXTENT_FAR : OMI_EXTENT_NEAR;
    if (omi_extent_create_in(&stats, OMI_EXTENT_FILTER, wanted, words * 8, UINT64_MAX, &e) !=
        OMEN_OK)
        fail_now("%s", omen_last_error());
    uint64_t *to = (uint64_t *)(void *)omi_extent_bytes(e);
    for (size_t i = 0; i < words; i++)
        to[i] = words;
    return e;
}

/* Under ThreadSanitizer a page that is replaced is memory that nobody wrote; the rest is plain reading. */
static void look_at(struct rng *r, unsigned stripe)
{
    uint32_t phase = omi_grace_enter(&grace, stripe);
    struct omi_extent *e = atomic_load(&places[rng_below(r, PLACES)].extent);
    const uint64_t *words = (const uint64_t *)(void *)omi_extent_bytes(e);
    size_t count = omi_extent_size(e) / 8, first = rng_below(r, (uint32_t)count);
    uint64_t wrong = 0;
    omi_far_prefetch(e, &words[first], 64);
    omi_far_touch(e, &words[first], 8);
    for (size_t i = first; i < count && i < first + 1000; i++)
        wrong += words[i] != count;
    bool damaged = omi_extent_damaged(e);
    if (!damaged && wrong != 0)
        fail_now("a reader believes %" PRIu64 " wrong words", wrong);
    omi_grace_leave(&grace, stripe, phase);
    atomic_fetch_add_explicit(damaged ? &doubted : &believed, 1, memory_order_relaxed);
}

static void *reader(void *arg)
{
    struct rng r = {seed + (uint64_t)(uintptr_t)arg};
    unsigned stripe = omi_counter_stripe();
    while (!atomic_load(&stop))
        look_at(&r, stripe);
    return NULL;
}

static void replace(struct place *p, struct rng *r)
{
    struct omi_extent *old = atomic_load(&p->extent);
    atomic_store(&p->extent, extent_make(r));
    omi_extent_retire(old, &grace);
    atomic_fetch_add(&replaced, 1);
}

static void *keeper(void *arg)
{
    struct rng r = {seed * 31 + (uint64_t)(uintptr_t)arg};
    while (!atomic_load(&stop)) {
        struct place *p = &places[rng_below(&r, PLACES)];
        omi_mutex_lock(&p->mu);
        struct omi_extent *e = atomic_load(&p->extent);
        if (omi_extent_damaged(e) || rng_one_in(&r, 10)) {
            replace(p, &r);
        } else if (rng_one_in(&r, 40) && omi_extent_class(e) == OMI_EXTENT_FAR) {
            if (!omi_guard_repair(omi_extent_bytes(e) + rng_below(&r, (uint32_t)e->size), 1))
                fail_now("a page of a far extent is nobody's");
            atomic_fetch_add(&lost, 1);
        } else {
            enum omi_extent_class to =
                omi_extent_class(e) == OMI_EXTENT_FAR ? OMI_EXTENT_NEAR : OMI_EXTENT_FAR;
            moved += omi_extent_move(e, to, UINT64_MAX, &grace) == OMEN_OK;
        }
        omi_mutex_unlock(&p->mu);
    }
    return NULL;
}

static void *looker(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop)) {
        struct omi_tier_stats s;
        struct omi_tier_verified v;
        omi_tier_get_stats(tier, &s);
        omi_tier_verify(tier, 50, &v);
        if (v.on_node != v.asked || s.used_bytes > s.mapped_bytes)
            fail_now("%" PRIu64 " of %" PRIu64 " pages", v.on_node, v.asked);
        omi_tier_limit(tier, s.far_limit_bytes == 16u << 20 ? 8u << 20 : 16u << 20, 300000);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    struct omi_tier_settings s = {.mode = OMI_FAR_DELAY,
                                  .delay_ns = 100,
                                  .far_bytes = 16u << 20,
                                  .near_model_bytes = 300000,
                                  .guard = true};
    pthread_t threads[READERS + 3];
    int seconds = argc > 1 ? atoi(argv[1]) : 2;
    seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    printf("seed %" PRIu64 "\n", seed);
    if (omi_tier_open(&s, &tier) != OMEN_OK)
        fail_now("%s", omen_last_error());
    stats.tier = tier;
    omi_grace_init(&grace);
    struct rng r = {seed};
    for (int i = 0; i < PLACES; i++) {
        omi_mutex_init(&places[i].mu);
        atomic_store(&places[i].extent, extent_make(&r));
    }
    for (uintptr_t i = 0; i < READERS + 3; i++)
        if (pthread_create(&threads[i], NULL,
                           i < READERS       ? reader
                           : i < READERS + 2 ? keeper
                                             : looker,
                           (void *)(i + 1)) != 0)
            fail_now("no thread");
    struct timespec sleep = {.tv_sec = seconds};
    nanosleep(&sleep, NULL);
    atomic_store(&stop, true);
    for (int i = 0; i < READERS + 3; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PLACES; i++)
        omi_extent_destroy(atomic_load(&places[i].extent));
    omi_grace_fini(&grace);
    for (int c = 0; c < OMI_EXTENT_CLASSES; c++)
        if (stats.taken[OMI_EXTENT_FILTER][c] != 0 || stats.got[OMI_EXTENT_FILTER][c] != 0)
            fail_now("extents are still counted");
    omi_tier_close(tier);
    printf("%" PRIu64 " believed, %" PRIu64 " doubted; %" PRIu64 " moves, %" PRIu64
           " replaced, %" PRIu64 " pages lost\n",
           (uint64_t)believed, (uint64_t)doubted, (uint64_t)moved, (uint64_t)replaced,
           (uint64_t)lost);
    if (believed == 0 || moved == 0 || replaced == 0 || lost == 0)
        fail_now("that was no test");
    return 0;
}

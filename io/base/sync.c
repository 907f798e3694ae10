#include "io/base/sync.h"

#include "io/base/turns.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void must(int errnum, const char *what)
{
    if (errnum != 0) {
        fprintf(stderr, "omendb: %s failed with %d: a lock is misused\n", what, errnum);
        abort();
    }
}

void omi_mutex_init(struct omi_mutex *m)
{
    must(pthread_mutex_init(&m->m, NULL), "pthread_mutex_init");
}

void omi_mutex_fini(struct omi_mutex *m)
{
    must(pthread_mutex_destroy(&m->m), "pthread_mutex_destroy");
}

_Thread_local struct omi_turns *omi_turns_here;

static void lock_in_turn(struct omi_turns *turns, struct omi_mutex *m)
{
    int r;
    turns->point(turns);
    while ((r = pthread_mutex_trylock(&m->m)) == EBUSY)
        (void)turns->wait(turns, m, UINT64_MAX);
    must(r, "pthread_mutex_trylock");
}

void omi_mutex_lock(struct omi_mutex *m) OMI_UNCHECKED
{
    if (omi_turns_here != NULL)
        lock_in_turn(omi_turns_here, m);
    else
        must(pthread_mutex_lock(&m->m), "pthread_mutex_lock");
}

void omi_mutex_unlock(struct omi_mutex *m) OMI_UNCHECKED
{
    must(pthread_mutex_unlock(&m->m), "pthread_mutex_unlock");
    if (omi_turns_here != NULL)
        omi_turns_here->wake(omi_turns_here, m);
}

void omi_cond_init(struct omi_cond *c)
{
    pthread_condattr_t attr;
    must(pthread_condattr_init(&attr), "pthread_condattr_init");
    must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), "pthread_condattr_setclock");
    must(pthread_cond_init(&c->c, &attr), "pthread_cond_init");
    must(pthread_condattr_destroy(&attr), "pthread_condattr_destroy");
}

void omi_cond_fini(struct omi_cond *c)
{
    must(pthread_cond_destroy(&c->c), "pthread_cond_destroy");
}

static bool wait_in_turn(struct omi_turns *turns, struct omi_cond *c, struct omi_mutex *m,
                         uint64_t wait_us) OMI_UNCHECKED
{
    must(pthread_mutex_unlock(&m->m), "pthread_mutex_unlock");
    turns->wake(turns, m); /* nobody else runs before the wait has begun */
    bool woken = turns->wait(turns, c, wait_us);
    lock_in_turn(turns, m);
    return woken;
}

void omi_cond_wait(struct omi_cond *c, struct omi_mutex *m)
{
    if (omi_turns_here != NULL) {
        (void)wait_in_turn(omi_turns_here, c, m, UINT64_MAX);
        return;
    }
    must(pthread_cond_wait(&c->c, &m->m), "pthread_cond_wait");
}

bool omi_cond_wait_us(struct omi_cond *c, struct omi_mutex *m, uint64_t wait_us)
{
    if (omi_turns_here != NULL)
        return wait_in_turn(omi_turns_here, c, m, wait_us);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + wait_us % 1000000 * 1000;
    until.tv_sec += (time_t)(wait_us / 1000000 + ns / 1000000000);
    until.tv_nsec = (long)(ns % 1000000000);
    int r = pthread_cond_timedwait(&c->c, &m->m, &until);
    if (r == ETIMEDOUT)
        return false;
    must(r, "pthread_cond_timedwait");
    return true;
}

void omi_cond_signal(struct omi_cond *c)
{
    must(pthread_cond_signal(&c->c), "pthread_cond_signal");
    if (omi_turns_here != NULL)
        omi_turns_here->wake(omi_turns_here, c);
}

void omi_cond_broadcast(struct omi_cond *c)
{
    must(pthread_cond_broadcast(&c->c), "pthread_cond_broadcast");
    if (omi_turns_here != NULL)
        omi_turns_here->wake(omi_turns_here, c);
}

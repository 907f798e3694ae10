/*
 * sync.h - mutexes and conditions, with the annotations clang's -Wthread-safety checks.
 * Thin over pthreads: a failing lock call is our own mistake and stops the process.
 */
#ifndef OMI_SYNC_H
#define OMI_SYNC_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__clang__)
#define OMI_CAPABILITY  __attribute__((capability("mutex")))
#define OMI_ACQUIRE(m)  __attribute__((acquire_capability(m)))
#define OMI_RELEASE(m)  __attribute__((release_capability(m)))
#define OMI_REQUIRES(m) __attribute__((requires_capability(m)))
#define OMI_UNCHECKED   __attribute__((no_thread_safety_analysis))
#else
#define OMI_CAPABILITY
#define OMI_ACQUIRE(m)
#define OMI_RELEASE(m)
#define OMI_REQUIRES(m)
#define OMI_UNCHECKED
#endif

struct OMI_CAPABILITY omi_mutex {
    pthread_mutex_t m;
};
struct omi_cond {
    pthread_cond_t c; /* waits measure CLOCK_MONOTONIC */
};

void omi_mutex_init(struct omi_mutex *m);
void omi_mutex_fini(struct omi_mutex *m);
void omi_mutex_lock(struct omi_mutex *m) OMI_ACQUIRE(*m);
void omi_mutex_unlock(struct omi_mutex *m) OMI_RELEASE(*m);

void omi_cond_init(struct omi_cond *c);
void omi_cond_fini(struct omi_cond *c);
void omi_cond_wait(struct omi_cond *c, struct omi_mutex *m) OMI_REQUIRES(*m);
/* False when wait_us passed without a signal. */
bool omi_cond_wait_us(struct omi_cond *c, struct omi_mutex *m, uint64_t wait_us) OMI_REQUIRES(*m);
void omi_cond_signal(struct omi_cond *c);
void omi_cond_broadcast(struct omi_cond *c);

#endif

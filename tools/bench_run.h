/*
 * bench_run.h - runs one benchmark over threads and counts: engine-neutral.
 * A workload is a function called once a thread; it loops until bench_more says no and calls
 * bench_done after each operation. All statistics are a thread's own until the threads have ended.
 */
#ifndef OMT_BENCH_RUN_H
#define OMT_BENCH_RUN_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "tools/bench_engine.h"
#include "tools/bench_flags.h"
#include "tools/bench_hist.h"
#include "tools/text.h"

enum bench_op { BENCH_READ, BENCH_WRITE, BENCH_DELETE, BENCH_SEEK, BENCH_UPDATE, BENCH_OTHER };
enum { BENCH_OPS = BENCH_OTHER + 1, BENCH_MESSAGE_LEN = 160, BENCH_KEY_ROOM = 4096 };

struct bench_keys; /* bench_keys.h */

/* One run: the flags with a benchmark's own changes applied. */
struct bench_run {
    const struct bench_flags *flags;
    const struct bench_engine *engine;
    void *db;
    const struct bench_keys *keys;
    const char *name;
    const char *path;            /* of the database; used by open */
    const omen_options *options; /* used by open */
    uint64_t num, reads, writes, deletes, seed;
    uint32_t threads; /* all of them, a background writer included */
    uint32_t sample;  /* time one of so many operations */
    uint64_t batch;
    uint64_t value_bytes;
    size_t key_more; /* bytes longer than keys of the database: readmissing */
    bool sync, writer;
    bool unique, sequential;                 /* order of a write benchmark */
    void (*interval)(struct bench_run *run); /* after an interval line; may be NULL */
    void (*ended)(struct bench_run *run);    /* the threads are through; may be NULL */
    _Atomic(struct bench_thread *) all;      /* until ended: threads of them */
    atomic_uint readers_left;
    atomic_bool failed;
    pthread_mutex_t mu; /* guards ready and go */
    pthread_cond_t changed;
    uint32_t ready;
    bool go;
};

struct bench_thread {
    struct bench_run *run;
    uint32_t index;
    uint64_t rng;
    uint64_t start_ns, end_ns, last_ns;
    uint64_t done; /* written by this thread; the reporter reads it relaxed */
    uint64_t look; /* done at which the interval and progress lines are looked at */
    uint64_t interval_done, interval_ns;
    uint64_t bytes, found, total;
    uint32_t sample_left;
    bool exclude; /* a background writer: not in the totals */
    char message[BENCH_MESSAGE_LEN];
    uint64_t limit_start_ns, limit_used; /* pacing */
    struct bench_hist *hist[BENCH_OPS];  /* made at first use */
};

/* What came out, all threads together. */
struct bench_result {
    char name[64];
    double seconds, thread_seconds; /* wall; sum over threads */
    uint64_t operations, bytes, found, total, background_operations;
    double micros_per_op, ops_per_sec, mb_per_sec;
    struct bench_hist *hist[BENCH_OPS]; /* NULL: none of the kind */
    struct bench_hist all;
    char message[BENCH_MESSAGE_LEN];
    bool failed;
};

typedef void (*bench_method)(struct bench_thread *t);

/* Runs method in run->threads threads; false when memory or threads are short. */
bool bench_run_threads(struct bench_run *run, bench_method method, struct bench_result *result);
void bench_result_fini(struct bench_result *result);
/* Tells an engine's error once and stops all threads. */
void bench_fail(struct bench_thread *t, const char *what, omen_err err);

static inline uint64_t bench_now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static inline uint64_t bench_random(struct bench_thread *t)
{
    /* splitmix64: one addition of state, so threads with different seeds never meet soon */
    uint64_t z = t->rng += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform over [0, n). */
static inline uint64_t bench_random_below(struct bench_thread *t, uint64_t n)
{
    return (uint64_t)((unsigned __int128)bench_random(t) * n >> 64);
}

/* The end of a loop: a duration in seconds wins over a count. Started by bench_until. */
struct bench_until {
    uint64_t left, end_ns;
};
struct bench_until bench_until(const struct bench_thread *t, int64_t seconds, uint64_t count);
bool bench_more_timed(struct bench_thread *t, const struct bench_until *until);
static inline bool bench_more(struct bench_thread *t, struct bench_until *until, uint64_t ops)
{
    if (atomic_load_explicit(&t->run->failed, memory_order_relaxed))
        return false;
    if (until->end_ns != 0)
        return bench_more_timed(t, until);
    if (until->left < ops)
        return false;
    until->left -= ops;
    return true;
}

void bench_time(struct bench_thread *t, enum bench_op op);
void bench_look(struct bench_thread *t);
/* ops operations of one kind ended just now, as one call. */
static inline void bench_done(struct bench_thread *t, uint64_t ops, enum bench_op op)
{
    if (--t->sample_left <= 1)
        bench_time(t, op);
    uint64_t done = t->done + ops;
    __atomic_store_n(&t->done, done, __ATOMIC_RELAXED);
    if (done >= t->look)
        bench_look(t);
}

/* Sleeps so that amount a second is not passed; 0: no limit. */
void bench_pace(struct bench_thread *t, uint64_t amount, uint64_t limit);

#endif

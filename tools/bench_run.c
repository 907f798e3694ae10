#include "tools/bench_run.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bench_until bench_until(const struct bench_thread *t, int64_t seconds, uint64_t count)
{
    if (seconds <= 0)
        return (struct bench_until){count, 0};
    return (struct bench_until){0, t->start_ns + (uint64_t)seconds * 1000000000u};
}

bool bench_more_timed(struct bench_thread *t, const struct bench_until *until)
{
    /* With every operation timed the time is known; else look at the clock now and then. */
    if (t->run->sample == 1)
        return t->last_ns < until->end_ns;
    return t->done % 64 != 0 || bench_now_ns() < until->end_ns;
}

void bench_fail(struct bench_thread *t, const char *what, omen_err err)
{
    if (!atomic_exchange(&t->run->failed, true))
        fprintf(stderr, "omendb: %s: %s: %s; the run is stopped\n", t->run->name, what,
                omen_last_error()[0] != '\0' ? omen_last_error() : omen_err_name(err));
}

/* Called with sample_left 1 (the next operation is to be timed) or 0 (this one was). */
void bench_time(struct bench_thread *t, enum bench_op op)
{
    uint64_t now = bench_now_ns();
    if (t->sample_left == 0) {
        if (t->hist[op] == NULL)
            t->hist[op] = calloc(1, sizeof(*t->hist[op]));
        if (t->hist[op] != NULL)
            bench_hist_add(t->hist[op], now - t->last_ns);
        /* With 1 the end of this operation is the start of the next. */
        t->sample_left = t->run->sample == 1 ? 1 : t->run->sample;
    }
    t->last_ns = now;
}

static void interval_line(struct bench_thread *t)
{
    uint64_t now = bench_now_ns();
    double spent = (double)(now - t->interval_ns) * 1e-9;
    double all = (double)(now - t->start_ns) * 1e-9;
    char date[40];
    time_t clock = time(NULL);
    struct tm tm;
    localtime_r(&clock, &tm);
    strftime(date, sizeof(date), "%Y/%m/%d-%H:%M:%S", &tm);
    fprintf(stderr,
            "%s ... thread %" PRIu32 ": (%" PRIu64 ",%" PRIu64
            ") ops and (%.1f,%.1f) ops/second in (%.6f,%.6f) seconds\n",
            date, t->index, t->done - t->interval_done, t->done,
            (double)(t->done - t->interval_done) / (spent > 0 ? spent : 1e-9),
            (double)t->done / (all > 0 ? all : 1e-9), spent, all);
    t->interval_done = t->done;
    t->interval_ns = now;
    if (t->run->interval != NULL && t->index == 0)
        t->run->interval(t->run);
}

static uint64_t progress_step(uint64_t done)
{
    return done < 1000     ? 100
           : done < 5000   ? 500
           : done < 10000  ? 1000
           : done < 50000  ? 5000
           : done < 100000 ? 10000
           : done < 500000 ? 50000
                           : 100000;
}

void bench_look(struct bench_thread *t)
{
    const struct bench_flags *f = t->run->flags;
    if (f->stats_interval > 0) {
        interval_line(t);
        t->look = t->done + (uint64_t)f->stats_interval;
        return;
    }
    if (f->stats_interval_seconds > 0) {
        if (bench_now_ns() - t->interval_ns >= (uint64_t)f->stats_interval_seconds * 1000000000u)
            interval_line(t);
        t->look = t->done + 1000;
        return;
    }
    if (!f->progress_reports) {
        t->look = UINT64_MAX;
        return;
    }
    t->look = t->done + progress_step(t->done);
    fprintf(stderr, "... finished %" PRIu64 " ops%30s\r", t->done, "");
}

void bench_pace(struct bench_thread *t, uint64_t amount, uint64_t limit)
{
    if (limit == 0)
        return;
    if (t->limit_start_ns == 0)
        t->limit_start_ns = bench_now_ns();
    t->limit_used += amount;
    uint64_t due_ns = (uint64_t)((double)t->limit_used / (double)limit * 1e9);
    uint64_t now_ns = bench_now_ns() - t->limit_start_ns;
    if (due_ns > now_ns + 1000000) { /* a sleep of under 1 ms is not worth its wake-up */
        uint64_t ns = due_ns - now_ns;
        struct timespec ts = {.tv_sec = (time_t)(ns / 1000000000u),
                              .tv_nsec = (long)(ns % 1000000000u)};
        nanosleep(&ts, NULL);
        t->last_ns = bench_now_ns(); /* waiting for our own limit is nobody's latency */
    }
}

/* ---- threads --------------------------------------------------------------------------------- */

struct thread_start {
    struct bench_thread *t;
    bench_method method;
    pthread_t id;
};

static void *thread_main(void *arg)
{
    struct thread_start *s = arg;
    struct bench_thread *t = s->t;
    struct bench_run *run = t->run;
    pthread_mutex_lock(&run->mu);
    run->ready++;
    pthread_cond_broadcast(&run->changed);
    while (!run->go)
        pthread_cond_wait(&run->changed, &run->mu);
    pthread_mutex_unlock(&run->mu);
    t->start_ns = t->last_ns = t->interval_ns = bench_now_ns();
    s->method(t);
    t->end_ns = bench_now_ns();
    if (!(run->writer && t->index == 0))
        atomic_fetch_sub(&run->readers_left, 1);
    return NULL;
}

struct reporter {
    struct bench_run *run;
    struct bench_thread *threads;
    FILE *out;
    atomic_bool stop;
    pthread_t id;
};

static void *reporter_main(void *arg)
{
    struct reporter *r = arg;
    uint64_t step_ns = (uint64_t)r->run->flags->report_interval_seconds * 1000000000u;
    uint64_t start = bench_now_ns(), next = start + step_ns, before = 0;
    while (!atomic_load(&r->stop)) {
        struct timespec nap = {0, 20000000};
        nanosleep(&nap, NULL);
        uint64_t now = bench_now_ns();
        if (now < next)
            continue;
        uint64_t done = 0;
        for (uint32_t i = 0; i < r->run->threads; i++)
            done += __atomic_load_n(&r->threads[i].done, __ATOMIC_RELAXED);
        fprintf(r->out, "%.0f,%.0f\n", (double)(now - start) * 1e-9,
                (double)(done - before) / ((double)(step_ns + now - next) * 1e-9));
        fflush(r->out);
        before = done;
        next = now + step_ns - (now - next) % step_ns;
    }
    return NULL;
}

static bool reporter_begin(struct reporter *r, struct bench_run *run, struct bench_thread *threads)
{
    r->run = run;
    r->threads = threads;
    r->out = NULL;
    atomic_init(&r->stop, false);
    if (run->flags->report_interval_seconds <= 0)
        return true;
    r->out = fopen(run->flags->report_file, "w");
    if (r->out == NULL) {
        fprintf(stderr, "omendb: --report_file=%s: %m; check the path\n", run->flags->report_file);
        return false;
    }
    fprintf(r->out, "secs_elapsed,interval_qps\n");
    if (pthread_create(&r->id, NULL, reporter_main, r) == 0)
        return true;
    fclose(r->out);
    r->out = NULL;
    return false;
}

static void reporter_end(struct reporter *r)
{
    if (r->out == NULL)
        return;
    atomic_store(&r->stop, true);
    pthread_join(r->id, NULL);
    fclose(r->out);
}

static void thread_init(struct bench_thread *t, struct bench_run *run, uint32_t index)
{
    const struct bench_flags *f = run->flags;
    *t = (struct bench_thread){.run = run, .index = index};
    t->rng = (run->seed + index + 1) * 0xd6e8feb86659fd93u;
    t->sample_left = run->sample == 1 ? 1 : 2; /* 2: the first operation opens a sample */
    t->exclude = run->writer && index == 0;
    t->look = f->stats_interval > 0           ? (uint64_t)f->stats_interval
              : f->stats_interval_seconds > 0 ? 1000
              : f->progress_reports           ? 100
                                              : UINT64_MAX;
}

static void result_add(struct bench_result *r, struct bench_thread *t)
{
    if (t->exclude) {
        r->background_operations += t->done;
        return;
    }
    r->operations += t->done;
    r->bytes += t->bytes;
    r->found += t->found;
    r->total += t->total;
    r->thread_seconds += (double)(t->end_ns - t->start_ns) * 1e-9;
    for (int op = 0; op < BENCH_OPS; op++) {
        if (t->hist[op] == NULL)
            continue;
        bench_hist_merge(&r->all, t->hist[op]);
        if (r->hist[op] == NULL) {
            r->hist[op] = t->hist[op];
            t->hist[op] = NULL;
        } else {
            bench_hist_merge(r->hist[op], t->hist[op]);
        }
    }
    if (r->message[0] == '\0')
        memcpy(r->message, t->message, sizeof(r->message));
}

bool bench_run_threads(struct bench_run *run, bench_method method, struct bench_result *result)
{
    bool ok = false;
    struct bench_thread *threads = calloc(run->threads, sizeof(*threads));
    struct thread_start *starts = calloc(run->threads, sizeof(*starts));
    if (threads == NULL || starts == NULL) {
        fprintf(stderr, "omendb: %s: out of memory; use fewer threads\n", run->name);
        goto free_threads;
    }
    pthread_mutex_init(&run->mu, NULL);
    pthread_cond_init(&run->changed, NULL);
    atomic_init(&run->failed, false);
    atomic_init(&run->readers_left, run->threads - (run->writer ? 1 : 0));
    atomic_store(&run->all, threads);
    run->ready = 0;
    run->go = false;
    uint32_t started = 0;
    for (; started < run->threads; started++) {
        thread_init(&threads[started], run, started);
        starts[started] = (struct thread_start){.t = &threads[started], .method = method};
        if (pthread_create(&starts[started].id, NULL, thread_main, &starts[started]) != 0) {
            fprintf(stderr, "omendb: %s: no more threads after %" PRIu32 "; use fewer\n", run->name,
                    started);
            atomic_store(&run->failed, true);
            break;
        }
    }
    struct reporter reporter;
    bool reporting = reporter_begin(&reporter, run, threads);
    pthread_mutex_lock(&run->mu);
    while (run->ready < started)
        pthread_cond_wait(&run->changed, &run->mu);
    run->go = true;
    pthread_cond_broadcast(&run->changed);
    pthread_mutex_unlock(&run->mu);
    for (uint32_t i = 0; i < started; i++)
        pthread_join(starts[i].id, NULL);
    if (reporting)
        reporter_end(&reporter);
    if (run->ended != NULL)
        run->ended(run); /* whoever looks at the threads stops here: they are freed below */
    atomic_store(&run->all, NULL);
    pthread_cond_destroy(&run->changed);
    pthread_mutex_destroy(&run->mu);

    uint64_t first = UINT64_MAX, last = 0;
    for (uint32_t i = 0; i < started; i++) {
        result_add(result, &threads[i]);
        if (threads[i].exclude)
            continue;
        first = threads[i].start_ns < first ? threads[i].start_ns : first;
        last = threads[i].end_ns > last ? threads[i].end_ns : last;
    }
    if (result->operations == 0)
        result->operations = 1; /* as db_bench: a method that counts nothing was one operation */
    result->seconds = last > first ? (double)(last - first) * 1e-9 : 1e-9;
    result->micros_per_op = result->thread_seconds * 1e6 / (double)result->operations;
    result->ops_per_sec = (double)result->operations / result->seconds;
    result->mb_per_sec = (double)result->bytes / 1048576.0 / result->seconds;
    result->failed = atomic_load(&run->failed);
    snprintf(result->name, sizeof(result->name), "%s", run->name);
    for (uint32_t i = 0; i < started; i++)
        for (int op = 0; op < BENCH_OPS; op++)
            free(threads[i].hist[op]);
    ok = true;
free_threads:
    free(starts);
    free(threads);
    return ok;
}

void bench_result_fini(struct bench_result *result)
{
    for (int op = 0; op < BENCH_OPS; op++) {
        free(result->hist[op]);
        result->hist[op] = NULL;
    }
}

/* stress_run.c - a run's life: openings, rounds of threads, the end; and dir mode. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/json.h"
#include "tools/stress.h"
#include "tools/text.h"

enum { STUCK_S = 180, POLL_NS = 2000000, ROUND_OPS_MAX = 200000 };

struct stress_page *stress_page_make(void)
{
    void *page = mmap(NULL, sizeof(struct stress_page), PROT_READ | PROT_WRITE,
                      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED)
        stress_fail("no shared memory: %s", strerror(errno));
    return page;
}

void stress_run_init(struct stress_run *run, const struct stress_plan *plan,
                     struct stress_page *page)
{
    run->plan = *plan;
    run->page = page;
    run->rng = stress_rng_of(plan->seed, 5, 0);
    stress_tell_begin(run);
    if (!stress_keys_make(plan->family, plan->keys, &run->keys))
        stress_fail("no memory for %" PRIu64 " keys; give fewer --keys", plan->keys);
    for (uint32_t t = 0; t < plan->threads; t++) {
        struct stress_worker *w = &run->workers[t];
        w->run = run;
        w->thread = t;
        stress_state_init(plan, t, &w->base);
        stress_state_init(plan, t, &w->now);
        w->scratch = stress_alloc(plan->value_max + 8);
        STRESS_OK(omen_batch_create(&w->batch));
    }
}

void stress_run_fini(struct stress_run *run)
{
    for (uint32_t t = 0; t < run->plan.threads; t++) {
        struct stress_worker *w = &run->workers[t];
        stress_state_fini(&w->base);
        stress_state_fini(&w->now);
        for (int i = 0; i < STRESS_HELD_MAX; i++) {
            stress_state_fini(&w->snapshots[i].state);
            stress_state_fini(&w->iters[i].state);
        }
        free(w->scratch);
        omen_batch_destroy(w->batch);
    }
    stress_keys_free(&run->keys);
    stress_tell_begin(NULL);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void open_log(void *ctx, int level, const char *line)
{
    (void)ctx;
    (void)level;
    fprintf(stderr, "    %s\n", line);
}

omen_err stress_open_at(struct stress_run *run, struct omi_env *env, const char *dir,
                        bool inline_work, omen_db **db_out)
{
    omen_options o = {.struct_bytes = sizeof(o)};
    *db_out = NULL;
    omen_err err = omen_options_from_string(run->options, &o);
    if (err != OMEN_OK)
        stress_fail("options \"%s\": %s", run->options, omen_last_error());
    if (inline_work)
        o.flags |= OMEN_INLINE_WORK;
    if (run->plan.verbose && dir == run->dir && env == run->env) /* no copies, no clones */
        o.log = open_log;
    err = omi_db_open(env, dir, &o, db_out);
    if (err == OMEN_OK) /* runs are short: filters are to learn from them all the same */
        omi_sample_set_every((*db_out)->sample, run->plan.mode == STRESS_DIR ? 3 : 0);
    return err;
}

/* The engine is an option; each has an env of its own. */
static void env_choose(struct stress_run *run)
{
    omen_options o = {.struct_bytes = sizeof(o)};
    if (run->plan.mode == STRESS_SIM)
        return;
    if (omen_options_from_string(run->options, &o) != OMEN_OK)
        stress_fail("options \"%s\": %s", run->options, omen_last_error());
    run->env = omi_env_posix((omen_io_engine)o.io_engine);
}

omen_db *stress_open(struct stress_run *run)
{
    omen_db *db;
    stress_plan_options(&run->plan, atomic_fetch_add(&run->page->generation, 1), run->options);
    env_choose(run);
    omen_err err = stress_open_at(run, run->env, run->dir, false, &db);
    if (err != OMEN_OK && atomic_load(&run->page->down))
        return NULL;
    if (err != OMEN_OK)
        stress_fail("the database does not open: %s: %s", omen_err_name(err), omen_last_error());
    run->faulty = run->sync_failed = false;
    atomic_store(&run->broken, false);
    return db;
}

void stress_settle(struct stress_run *run, const uint64_t prefixes[static STRESS_THREADS_MAX])
{
    for (uint32_t t = 0; t < run->plan.threads; t++) {
        struct stress_worker *w = &run->workers[t];
        struct stress_shared *s = &run->page->of[t];
        stress_state_advance(&run->plan, t, &w->base, prefixes[t]);
        stress_state_copy(&w->now, &w->base);
        atomic_store(&s->issued, prefixes[t]);
        atomic_store(&s->acked, prefixes[t]);
        atomic_store(&s->durable, prefixes[t]);
    }
}

void stress_reopen(struct stress_run *run)
{
    uint64_t prefixes[STRESS_THREADS_MAX];
    bool faulty = run->faulty, sync_failed = run->sync_failed;
    for (uint32_t t = 0; t < run->plan.threads; t++)
        stress_read_release(&run->workers[t]);
    omen_db *db = run->db;
    run->db = NULL; /* no crash points while there is no handle to speak of */
    omen_err err = omen_close(db);
    if (err != OMEN_OK && !faulty)
        stress_fail("close: %s: %s", omen_err_name(err), omen_last_error());
    if (err == OMEN_OK && !atomic_load(&run->broken)) {
        stress_acked_all(run, prefixes); /* close syncs the log */
        stress_durable_raise(run, prefixes);
    }
    db = stress_open(run);
    stress_check_prefix(run, db, !sync_failed, prefixes);
    stress_settle(run, prefixes);
    run->db = db; /* crash points are judged by the settled numbers */
}

/* ---- rounds ---------------------------------------------------------------------------------- */

static bool worker_done(const struct stress_worker *w)
{
    return w->steps >= w->steps_end || atomic_load(&w->run->stop) || atomic_load(&w->run->broken);
}

static void worker_main(void *arg)
{
    struct stress_worker *w = arg;
    stress_here = w;
    while (!worker_done(w))
        stress_step(w);
    stress_here = NULL;
    atomic_store(&w->over, true);
}

/* An env without threads: one step of anybody's at a time. */
static void round_alone(struct stress_run *run, uint64_t ops)
{
    for (; ops > 0 && !atomic_load(&run->broken); ops--) {
        struct stress_worker *w = &run->workers[stress_below(&run->rng, run->plan.threads)];
        stress_here = w;
        stress_step(w);
        stress_here = NULL;
    }
}

static bool has_threads(const struct stress_run *run)
{
    return run->plan.mode != STRESS_SIM || !run->plan.inline_work;
}

void stress_round_begin(struct stress_run *run, uint64_t ops)
{
    atomic_store(&run->stop, false);
    if (!has_threads(run)) {
        round_alone(run, ops);
        return;
    }
    uint64_t threads = run->plan.threads;
    for (uint32_t t = 0; t < threads; t++) {
        struct stress_worker *w = &run->workers[t];
        w->steps_end = w->steps + ops / threads + (t < ops % threads);
        atomic_store(&w->over, false);
        STRESS_OK(run->env->ops->thread_start(run->env, worker_main, w, &w->os_thread));
    }
}

void stress_round_end(struct stress_run *run)
{
    for (uint32_t t = 0; t < run->plan.threads && has_threads(run); t++)
        run->env->ops->thread_join(run->env, run->workers[t].os_thread);
    for (uint32_t t = 0; t < run->plan.threads; t++) {
        struct stress_worker *w = &run->workers[t];
        uint64_t durable = atomic_load(&run->page->of[t].durable);
        stress_state_advance(&run->plan, t, &w->base, durable < w->now.n ? durable : w->now.n);
    }
}

void stress_finish(struct stress_run *run)
{
    stress_reopen(run);
    stress_check_files(run);
    stress_check_verify(run);
    STRESS_OK(omen_compact(run->db, NULL, NULL));
    stress_check_now(run);
    stress_check_files(run);
    stress_check_verify(run);
    omen_db *db = run->db;
    run->db = NULL;
    STRESS_OK(omen_close(db));
}

/* ---- the end --------------------------------------------------------------------------------- */

static void summary_json(const struct stress_plan *p, const struct stress_page *page,
                         double seconds)
{
    struct omt_json j = {.out = stdout};
    omt_json_object(&j, NULL);
    omt_json_text(&j, "mode", stress_mode_name(p->mode));
    omt_json_u64(&j, "seed", p->seed);
    omt_json_u64(&j, "runs", page->runs);
    omt_json_u64(&j, "writes", page->writes);
    omt_json_u64(&j, "reads", page->reads);
    omt_json_u64(&j, "crashes", page->crashes);
    omt_json_u64(&j, "recovery_crashes", page->recovery_crashes);
    omt_json_u64(&j, "lost_tails", page->lost_tails);
    omt_json_u64(&j, "refused_calls", page->refusals);
    omt_json_u64(&j, "whole_checks", page->checks);
    omt_json_u64(&j, "violations", 0);
    omt_json_f64(&j, "seconds", seconds, 1);
    omt_json_object_end(&j);
    omt_json_end(&j);
}

void stress_summary(const struct stress_plan *p, const struct stress_page *page, double seconds)
{
    if (p->json) {
        summary_json(p, page, seconds);
        return;
    }
    switch (p->mode) {
    case STRESS_DIR:
        printf("stress: %" PRIu64 " writes and %" PRIu64 " reads", page->writes, page->reads);
        break;
    case STRESS_SIM:
        printf("stress: %" PRIu64 " simulated crashes (%" PRIu64 " during recovery, %" PRIu64
               " lost an unsynced tail) in %" PRIu64 " runs, %" PRIu64 " writes, %" PRIu64
               " calls refused for injected faults",
               page->crashes, page->recovery_crashes, page->lost_tails, page->runs, page->writes,
               page->refusals);
        break;
    case STRESS_KILL:
        printf("stress: %" PRIu64 " kills among %" PRIu64 " writes", page->crashes, page->writes);
        break;
    default:
        printf("stress: %" PRIu64 " shutdowns of %s (%" PRIu64 " lost an unsynced tail) among "
               "%" PRIu64 " writes",
               page->crashes, p->fs, page->lost_tails, page->writes);
        break;
    }
    printf(", %" PRIu64 " whole comparisons, 0 violations, seed %" PRIu64 ", %.1f s\n",
           page->checks, p->seed, seconds);
}

/* ---- dir mode -------------------------------------------------------------------------------- */

static bool all_over(const struct stress_run *run)
{
    for (uint32_t t = 0; t < run->plan.threads; t++)
        if (!atomic_load(&run->workers[t].over))
            return false;
    return true;
}

/* Waits for the threads; asks them to stop at end_s. */
static void round_watch(struct stress_run *run, double end_s, struct omt_progress *progress)
{
    const struct timespec nap = {.tv_nsec = POLL_NS};
    uint64_t steps = 0;
    double moved_s = omt_now_s();
    while (!all_over(run)) {
        nanosleep(&nap, NULL);
        double now_s = omt_now_s();
        if (now_s >= end_s)
            atomic_store(&run->stop, true);
        uint64_t have = atomic_load(&run->page->steps);
        if (have != steps)
            moved_s = now_s;
        steps = have;
        if (now_s - moved_s > STUCK_S)
            stress_fail("no thread has ended an operation for %d s", STUCK_S);
        omt_progress_update(progress, atomic_load(&run->page->writes), 0, 0);
    }
}

static void dir_round(struct stress_run *run, double end_s, uint64_t ops,
                      struct omt_progress *progress)
{
    double round_s = omt_now_s() + 0.05 + (double)stress_below(&run->rng, 1500) / 1000;
    stress_round_begin(run, ops);
    round_watch(run, round_s < end_s ? round_s : end_s, progress);
    stress_round_end(run);
    stress_check_now(run);
    switch (stress_below(&run->rng, 6)) {
    case 0:
        stress_reopen(run);
        stress_check_files(run);
        break;
    case 1:
        stress_check_verify(run);
        break;
    default:
        break;
    }
}

/* The directory to work in: the given one, or a new one. */
static bool base_make(const struct stress_plan *plan, char base[static STRESS_PATH_BYTES])
{
    const char *tmp = getenv("TMPDIR");
    if (plan->dir == NULL) {
        snprintf(base, STRESS_PATH_BYTES, "%s/omendb-stress-XXXXXX", tmp != NULL ? tmp : "/tmp");
        return mkdtemp(base) != NULL;
    }
    snprintf(base, STRESS_PATH_BYTES, "%s", plan->dir);
    return mkdir(base, 0700) == 0 || errno == EEXIST;
}

bool stress_dir_make(struct stress_run *run, char base[static STRESS_PATH_BYTES])
{
    struct stat st;
    if (!base_make(&run->plan, base)) {
        fprintf(stderr, "omendb: stress: %s cannot be made: %s; name another directory\n", base,
                strerror(errno));
        return false;
    }
    snprintf(run->dir, sizeof(run->dir), "%.*s/db", STRESS_PATH_BYTES - 8, base);
    if (stat(run->dir, &st) == 0) {
        fprintf(stderr,
                "omendb: stress: %s is there already; remove it or name another directory\n",
                run->dir);
        return false;
    }
    return true;
}

static void directory_remove(int at, const char *name)
{
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(fd, e->d_name, 0);
    if (dir != NULL)
        closedir(dir);
    unlinkat(at, name, AT_REMOVEDIR);
}

/* Copies that a child was killed over; they are this run's own. */
static void copies_remove(const char *base)
{
    DIR *dir = opendir(base);
    for (struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;)
        if (strncmp(e->d_name, "db.copy-", 8) == 0)
            directory_remove(dirfd(dir), e->d_name);
    if (dir != NULL)
        closedir(dir);
}

void stress_dir_remove(struct stress_run *run, const char *base)
{
    copies_remove(base);
    STRESS_OK(omi_db_destroy(run->env, run->dir));
    if (run->plan.dir == NULL && rmdir(base) != 0)
        stress_fail("%s is not empty in the end: %s", base, strerror(errno));
}

int stress_main_dir(const struct stress_plan *plan)
{
    struct stress_page *page = stress_page_make();
    struct stress_run *run = stress_alloc(sizeof(*run));
    struct omt_progress progress;
    char base[STRESS_PATH_BYTES];
    stress_run_init(run, plan, page);
    if (!stress_dir_make(run, base))
        return 2;
    double start_s = omt_now_s();
    double end_s = start_s + (plan->seconds != 0 ? (double)plan->seconds : 1e9);
    run->db = stress_open(run);
    omt_progress_start(&progress, "writes");
    while (omt_now_s() < end_s && (plan->ops == 0 || page->steps < plan->ops)) {
        uint64_t ops = plan->ops != 0 ? plan->ops - page->steps : UINT64_MAX / 2;
        dir_round(run, end_s, ops, &progress);
    }
    omt_progress_end(&progress);
    stress_finish(run);
    stress_dir_remove(run, base);
    page->runs = 1;
    stress_summary(plan, page, omt_now_s() - start_s);
    stress_run_fini(run);
    free(run);
    return 0;
}

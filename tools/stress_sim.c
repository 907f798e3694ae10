/*
 * stress_sim.c - stress in the simulated env: crashes at random steps, judged on a clone while the
 * run stands still; crashes that the run goes on from; injected faults. Deterministic from the seed.
 * Work inline, or threads that take turns.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/base/turns.h"
#include "io/env_sim.h"
#include "tools/stress.h"
#include "tools/text.h"

enum { RUN_OPS_MAX = 4000, ROUND_OPS_MAX = 300, DEPTH_MAX = 2, RECOVERY_STEPS = 24 };
enum { COME_BACK_TRIES = 100, COME_BACK_US = 100000, STUCK_S = 60 };

/* One crash: what of env is kept, and how it may be made once more for a look. */
struct crash {
    struct stress_run *run;
    struct omi_env *env; /* the one that crashes */
    enum omi_crash_mode mode;
    uint64_t seed, at;
    int depth;
    bool kept; /* every crash on the way here kept everything */
    struct omi_env *clone;
};
static struct crash last; /* being judged */

static void crash_check(struct crash *c);

/* ---- judging --------------------------------------------------------------------------------- */

static void sim_clean_up(struct stress_run *run)
{
    if (run->plan.image == NULL)
        return;
    omi_sim_on_step(run->env, NULL, NULL);
    omi_sim_fail(run->env, OMI_FAULT_NONE, 0, false);
    if (last.env == NULL) {
        stress_image_write(run->env, run->dir, run->plan.image);
        return;
    }
    fprintf(stderr, "crash mode %d, seed %" PRIu64 ", %s\n", last.mode, last.seed,
            last.depth == 0 ? "of the run" : "during a recovery");
    struct omi_env *again = omi_sim_crash(last.env, last.mode, last.seed);
    if (again != NULL)
        stress_image_write(again, run->dir, run->plan.image);
    omi_sim_destroy(again);
}

static void recovery_step(void *ctx, uint64_t number)
{
    struct crash *c = ctx;
    if (number != c->at)
        return;
    struct stress_rng r = stress_rng_of(c->seed, 6, 0);
    struct crash next = {.run = c->run,
                         .env = c->clone,
                         .mode = (enum omi_crash_mode)stress_below(&r, OMI_CRASH_MODES),
                         .seed = stress_next(&r),
                         .depth = c->depth + 1,
                         .kept = c->kept};
    struct crash before = last;
    atomic_fetch_add(&c->run->page->recovery_crashes, 1);
    crash_check(&next);
    last = before;
}

/* Makes the clone, opens it, compares; it also works on: it closes, and opens once more. */
static void crash_check(struct crash *c)
{
    struct stress_run *run = c->run;
    struct stress_rng r = stress_rng_of(c->seed, 7, 0);
    uint64_t prefixes[STRESS_THREADS_MAX], again[STRESS_THREADS_MAX];
    c->kept = c->kept && c->mode == OMI_CRASH_KEEP_ALL;
    last = *c;
    if (run->plan.verbose)
        fprintf(stderr, "  crash: mode %d, depth %d%s\n", c->mode, c->depth,
                c->kept ? ", kept" : "");
    c->clone = omi_sim_crash(c->env, c->mode, c->seed);
    if (c->clone == NULL)
        stress_fail("no memory for a crash clone");
    omi_sim_capacity(c->clone, UINT64_MAX); /* opening may write what the log holds */
    c->at = omi_sim_steps(c->clone) + 1 + stress_below(&r, RECOVERY_STEPS);
    if (c->depth < DEPTH_MAX && stress_one_in(&r, 3))
        omi_sim_on_step(c->clone, recovery_step, c);
    omen_db *db;
    omen_err err = stress_open_at(run, c->clone, run->dir, true, &db);
    if (err != OMEN_OK)
        stress_fail("after a crash (mode %d) the database does not open: %s: %s", c->mode,
                    omen_err_name(err), omen_last_error());
    stress_check_prefix(run, db, c->kept, prefixes);
    omi_sim_on_step(c->clone, NULL, NULL);
    STRESS_OK(omen_close(db));
    if (stress_one_in(&r, 16)) {
        STRESS_OK(stress_open_at(run, c->clone, run->dir, true, &db));
        stress_check_prefix(run, db, c->kept, again);
        if (memcmp(prefixes, again, run->plan.threads * sizeof(again[0])) != 0)
            stress_fail("opening after a recovery shows another state");
        STRESS_OK(omen_close(db));
    }
    omi_sim_destroy(c->clone);
    atomic_fetch_add(&run->page->crashes, 1);
    last.env = NULL;
}

static void run_step(void *ctx, uint64_t number)
{
    struct stress_run *run = ctx;
    (void)number;
    if (run->db == NULL || !stress_one_in(&run->rng, run->plan.point_one_in))
        return;
    struct omi_turns *turns = omi_turns_here;
    omi_turns_here = NULL; /* the clone is looked at while all threads of the run stand still */
    struct crash c = {.run = run,
                      .env = run->env,
                      .mode = (enum omi_crash_mode)stress_below(&run->rng, OMI_CRASH_MODES),
                      .seed = stress_next(&run->rng),
                      .kept = !run->sync_failed};
    crash_check(&c);
    omi_turns_here = turns;
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* Those that a database must stand. A sync that lies (OMI_FAULT_SYNC_LATE) is promised nothing. */
static const enum omi_sim_fault faults[] = {
    OMI_FAULT_READ, OMI_FAULT_WRITE, OMI_FAULT_SYNC,        OMI_FAULT_NAME,
    OMI_FAULT_FLIP, OMI_FAULT_OPEN,  OMI_FAULT_NO_SPACE,    OMI_FAULT_SYNC_REVERT,
    OMI_FAULT_ZERO, OMI_FAULT_STALE, OMI_FAULT_MISDIRECTED, OMI_FAULT_SLOW,
    OMI_FAULT_STUCK};

static void sim_calm(struct stress_run *run)
{
    omi_sim_fail(run->env, OMI_FAULT_NONE, 0, false);
    omi_sim_capacity(run->env, UINT64_MAX);
}

static void fault_say(const struct stress_run *run, const char *what, uint64_t n)
{
    if (run->plan.verbose)
        fprintf(stderr, "  faults: %s %" PRIu64 "\n", what, n);
}

static void faults_begin(struct stress_run *run)
{
    struct stress_rng *r = &run->rng;
    run->faulty = true;
    if (stress_one_in(r, 4)) { /* a disk that fills up */
        uint64_t room = stress_below(r, 400000);
        fault_say(run, "room left", room);
        omi_sim_capacity(run->env, omi_sim_used(run->env) + room);
        return;
    }
    for (uint64_t n = 1 + stress_below(r, 2); n > 0; n--) {
        enum omi_sim_fault kind = faults[stress_below(r, sizeof(faults) / sizeof(faults[0]))];
        run->sync_failed =
            run->sync_failed || kind == OMI_FAULT_SYNC || kind == OMI_FAULT_SYNC_REVERT;
        uint64_t nth = 1 + stress_below(r, 100), one_in = 2 + stress_below(r, 300);
        bool lasting = stress_one_in(r, 4);
        fault_say(run, "kind", kind);
        if (stress_one_in(r, 2)) {
            fault_say(run, lasting ? "from call" : "call", nth);
            omi_sim_fail(run->env, kind, nth, lasting);
        } else {
            fault_say(run, "one call in", one_in);
            omi_sim_fail_rate(run->env, kind, one_in);
        }
    }
}

/* With the faults over, a handle that was not ended by them takes writes again by itself. */
static void faults_end(struct stress_run *run)
{
    static const char absent[] = "a key that nobody puts";
    sim_calm(run);
    omen_err err = OMEN_OK;
    for (int i = 0; i < COME_BACK_TRIES; i++) {
        err = omen_delete(run->db, NULL, omi_slice(absent, sizeof(absent)));
        if (err == OMEN_OK)
            return;
        if (err == OMEN_READ_ONLY) {
            atomic_store(&run->broken, true);
            return;
        }
        if (run->plan.inline_work || i % 10 == 9)
            omi_ignore(omen_flush(run->db));
        run->env->ops->sleep_us(run->env, COME_BACK_US);
    }
    stress_fail("the faults are over, writes are still refused: %s: %s", omen_err_name(err),
                omen_last_error());
}

/* ---- a run ----------------------------------------------------------------------------------- */

/* The machine goes down, and the run goes on from what that leaves. */
static void crash_for_real(struct stress_run *run)
{
    uint64_t prefixes[STRESS_THREADS_MAX];
    struct omi_env *before = run->env;
    enum omi_crash_mode mode = (enum omi_crash_mode)stress_below(&run->rng, OMI_CRASH_MODES);
    uint64_t seed = stress_next(&run->rng), turns = stress_next(&run->rng);
    bool kept = mode == OMI_CRASH_KEEP_ALL && !run->sync_failed, faulty = run->faulty;
    for (uint32_t t = 0; t < run->plan.threads; t++)
        stress_read_release(&run->workers[t]);
    struct omi_turns *here = omi_turns_here;
    omi_turns_here = NULL; /* nobody goes on while it is made */
    struct omi_env *clone = omi_sim_crash(before, mode, seed);
    omi_turns_here = here;
    if (clone == NULL)
        stress_fail("no memory for a crash clone");
    omi_sim_capacity(clone, UINT64_MAX);
    omen_db *db = run->db;
    run->db = NULL;
    omen_err err = omen_close(db);
    if (err != OMEN_OK && !faulty)
        stress_fail("close: %s: %s", omen_err_name(err), omen_last_error());
    run->env = clone;
    omi_sim_destroy(before);
    if (!run->plan.inline_work)
        omi_sim_turns(clone, turns, run->plan.turn_one_in);
    db = stress_open(run);
    stress_check_prefix(run, db, kept, prefixes);
    stress_settle(run, prefixes);
    run->db = db;
    omi_sim_on_step(clone, run_step, run);
    atomic_fetch_add(&run->page->crashes, 1);
}

/* A call that fails may stop an opening, but what it leaves is opened by the next one, and nothing
 * that was acknowledged is taken for a torn tail. */
static void reopen_amid_faults(struct stress_run *run)
{
    static const enum omi_sim_fault kinds[] = {OMI_FAULT_READ, OMI_FAULT_WRITE, OMI_FAULT_SYNC,
                                               OMI_FAULT_NAME, OMI_FAULT_OPEN,  OMI_FAULT_NO_SPACE};
    uint64_t prefixes[STRESS_THREADS_MAX];
    bool kept = !run->sync_failed, faulty = run->faulty;
    enum omi_sim_fault kind = kinds[stress_below(&run->rng, sizeof(kinds) / sizeof(kinds[0]))];
    for (uint32_t t = 0; t < run->plan.threads; t++)
        stress_read_release(&run->workers[t]);
    omen_db *db = run->db;
    run->db = NULL;
    omen_err err = omen_close(db);
    if (err != OMEN_OK && !faulty)
        stress_fail("close: %s: %s", omen_err_name(err), omen_last_error());
    omi_sim_fail(run->env, kind, 1 + stress_below(&run->rng, 30), stress_one_in(&run->rng, 3));
    fault_say(run, "while opening, kind", kind);
    err = stress_open_at(run, run->env, run->dir, run->plan.inline_work, &db);
    sim_calm(run);
    if (err == OMEN_OK)
        omi_ignore(omen_close(db)); /* it may have met the fault since */
    else if (err != OMEN_IO && err != OMEN_FULL && err != OMEN_UNKNOWN && err != OMEN_READ_ONLY)
        stress_fail("an opening that met a failing call: %s: %s", omen_err_name(err),
                    omen_last_error());
    db = stress_open(run);
    stress_check_prefix(run, db, kept, prefixes);
    stress_settle(run, prefixes);
    run->db = db;
}

static void between_rounds(struct stress_run *run)
{
    uint64_t kind = stress_below(&run->rng, 5);
    if (kind == 0) {
        crash_for_real(run);
    } else if (kind == 3 && run->plan.faults) {
        reopen_amid_faults(run);
    } else if (kind == 1 || atomic_load(&run->broken)) {
        stress_reopen(run);
        stress_check_files(run);
    } else if (kind == 2) {
        stress_check_now(run);
        if (!run->faulty) /* else a filter may be left out that was read wrongly */
            stress_check_verify(run);
    }
}

void stress_sim_once(const struct stress_plan *plan, struct stress_page *page)
{
    struct stress_run *run = stress_alloc(sizeof(*run));
    memset(page->of, 0, sizeof(page->of));
    atomic_store(&page->generation, 0);
    stress_run_init(run, plan, page);
    snprintf(run->dir, sizeof(run->dir), "/db");
    run->clean_up = sim_clean_up;
    run->calm = sim_calm;
    last.env = NULL;
    run->env = omi_sim_create(stress_next(&run->rng));
    if (run->env == NULL)
        stress_fail("no memory for a simulated env");
    if (!plan->inline_work)
        omi_sim_turns(run->env, stress_next(&run->rng), plan->turn_one_in);
    run->db = stress_open(run);
    omi_sim_on_step(run->env, run_step, run);
    for (uint64_t left = plan->ops; left > 0;) {
        uint64_t ops = 1 + stress_below(&run->rng, ROUND_OPS_MAX);
        ops = ops < left ? ops : left;
        left -= ops;
        bool faulty = plan->faults && stress_one_in(&run->rng, 2);
        if (faulty)
            faults_begin(run);
        stress_round_begin(run, ops);
        stress_round_end(run);
        if (faulty)
            faults_end(run);
        between_rounds(run);
    }
    stress_finish(run);
    omi_sim_on_step(run->env, NULL, NULL);
    omi_sim_destroy(run->env);
    stress_run_fini(run);
    free(run);
    atomic_fetch_add(&page->runs, 1);
}

/* ---- run after run, in a child --------------------------------------------------------------- */

static bool more(const struct stress_plan *plan, const struct stress_page *page, double end_s)
{
    if (plan->ops != 0 && plan->ops <= RUN_OPS_MAX) /* a replay of one run */
        return page->runs == 0;
    return omt_now_s() < end_s && (plan->ops == 0 || page->steps < plan->ops) &&
           (plan->crashes == 0 || page->crashes < plan->crashes);
}

/* The plan of run number i: a seed of its own, and what is left of the operations. */
static struct stress_plan plan_of(const struct stress_plan *plan, const struct stress_page *page,
                                  uint64_t i)
{
    struct stress_plan one = *plan;
    one.seed += i;
    stress_plan_draw(&one);
    one.ops = RUN_OPS_MAX;
    if (plan->ops != 0 && plan->ops - page->steps < one.ops)
        one.ops = plan->ops - page->steps;
    return one;
}

static _Noreturn void runs_child(const struct stress_plan *plan, struct stress_page *page,
                                 double end_s)
{
    struct omt_progress progress;
    omt_progress_start(&progress, "crashes");
    for (uint64_t i = 0; more(plan, page, end_s); i++) {
        struct stress_plan one = plan_of(plan, page, i);
        atomic_store(&page->run_seed, one.seed);
        atomic_store(&page->run_ops, one.ops);
        stress_sim_once(&one, page);
        omt_progress_update(&progress, atomic_load(&page->crashes), 0, 0);
    }
    omt_progress_end(&progress);
    exit(0); /* leaks are looked for */
}

/* Its status, or SIGKILL's when nothing has moved for STUCK_S and it was killed. */
static int child_watch(pid_t child, const struct stress_page *page)
{
    const struct timespec poll = {.tv_nsec = 20000000};
    uint64_t before = 0;
    int status = 0;
    double moved_s = omt_now_s();
    for (;;) {
        pid_t done = waitpid(child, &status, WNOHANG);
        if (done != 0)
            return done == child ? status : -1;
        nanosleep(&poll, NULL);
        uint64_t now = page->steps + page->crashes + page->checks + page->recovery_crashes;
        if (now != before)
            moved_s = omt_now_s();
        before = now;
        if (omt_now_s() - moved_s > STUCK_S)
            kill(child, SIGKILL);
    }
}

int stress_main_sim(const struct stress_plan *plan)
{
    struct stress_page *page = stress_page_make();
    double start_s = omt_now_s();
    double end_s = start_s + (plan->seconds != 0 ? (double)plan->seconds : 1e9);
    fflush(stdout);
    pid_t child = fork();
    if (child == 0)
        runs_child(plan, page, end_s);
    if (child < 0)
        stress_fail("no child process");
    int status = child_watch(child, page);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        stress_summary(plan, page, omt_now_s() - start_s);
        return 0;
    }
    bool hangs = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (hangs)
        fprintf(stderr, "FAILED: nothing has moved for %d s\n", STUCK_S);
    else if (WIFSIGNALED(status))
        fprintf(stderr, "FAILED: signal %d\n", WTERMSIG(status));
    struct stress_plan one = plan_of(plan, page, 0);
    one.seed = page->run_seed;
    one.ops = page->run_ops;
    stress_plan_draw(&one);
    char line[STRESS_OPTIONS_BYTES];
    stress_plan_replay(&one, line, sizeof(line));
    if (WIFSIGNALED(status)) /* else it has said so itself */
        fprintf(stderr, "replay: %s\n", line);
    stress_shrink(&one, hangs);
    return 1;
}

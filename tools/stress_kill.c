/*
 * stress_kill.c - crashes of a real kind: a child works, counting in shared memory what was begun,
 * acknowledged and durable. kill mode: SIGKILL at a random moment; everything acknowledged must be
 * there. fs mode: the file system is shut down under it, unmounted, mounted again; everything
 * durable must be there. The next child goes on from what was found.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/stress.h"
#include "tools/stress_mount.h"
#include "tools/text.h"

enum { CRASHES_DEFAULT = 50, EXIT_SKIPPED = 0 };

static volatile sig_atomic_t interrupted;
static struct stress_mount mount_point; /* of fs mode */

static void on_interrupt(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- the child ------------------------------------------------------------------------------- */

static _Noreturn void wait_for_the_end(void)
{
    for (;;)
        pause();
}

static _Noreturn void work_until_killed(struct stress_run *run)
{
    run->clean_up = NULL; /* the parent's to do */
    signal(SIGINT, SIG_IGN);
    run->db = stress_open(run);
    if (run->db == NULL)
        wait_for_the_end();
    stress_round_begin(run, UINT64_MAX / 2);
    wait_for_the_end();
}

/* ---- the parent ------------------------------------------------------------------------------ */

/* Often soon, so that openings are hit, too. */
static void nap(struct stress_run *run)
{
    uint64_t longest_us = stress_one_in(&run->rng, 3) ? 12000 : 150000;
    usleep((useconds_t)(500 + stress_below(&run->rng, longest_us)));
}

static void fs_clean_up(struct stress_run *run)
{
    (void)run;
    fprintf(stderr, "the file system is kept in %s\n", mount_point.image);
    stress_mount_end(&mount_point, true);
}

/* One child, from its start to its end. */
static void one_child(struct stress_run *run)
{
    bool fs = run->plan.mode == STRESS_FS;
    atomic_store(&run->page->down, false);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        work_until_killed(run);
    if (child < 0)
        stress_fail("no child process");
    nap(run);
    if (fs) {
        atomic_store(&run->page->down, true);
        if (!stress_mount_shutdown(&mount_point))
            stress_fail("the file system was not shut down");
    }
    kill(child, SIGKILL);
    int status;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) || WTERMSIG(status) != SIGKILL)
        stress_fail("the child ended by itself: %s %d", WIFEXITED(status) ? "exit" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    if (fs && !stress_mount_again(&mount_point))
        stress_fail("the file system does not come back");
    atomic_fetch_add(&run->page->crashes, 1);
}

static void judge(struct stress_run *run)
{
    uint64_t prefixes[STRESS_THREADS_MAX];
    atomic_store(&run->page->down, false);
    run->db = stress_open(run);
    stress_check_prefix(run, run->db, run->plan.mode == STRESS_KILL, prefixes);
    stress_settle(run, prefixes);
    switch (stress_below(&run->rng, 6)) {
    case 0:
        stress_check_verify(run);
        break;
    case 1: /* what a reopening finds is the same, and no file too many */
        stress_reopen(run);
        stress_check_files(run);
        break;
    default:
        break;
    }
    omen_db *db = run->db;
    run->db = NULL;
    STRESS_OK(omen_close(db));
}

static uint64_t crashes_wanted(const struct stress_plan *plan)
{
    if (plan->crashes != 0)
        return plan->crashes;
    return plan->seconds != 0 ? UINT64_MAX : CRASHES_DEFAULT;
}

static void crash_again_and_again(struct stress_run *run)
{
    const struct stress_plan *plan = &run->plan;
    struct omt_progress progress;
    double start_s = omt_now_s();
    double end_s = start_s + (plan->seconds != 0 ? (double)plan->seconds : 1e9);
    omt_progress_start(&progress, "crashes");
    while (!interrupted && omt_now_s() < end_s && run->page->crashes < crashes_wanted(plan)) {
        one_child(run);
        judge(run);
        omt_progress_update(&progress, run->page->crashes, 0, 0);
    }
    omt_progress_end(&progress);
    if (run->page->writes == 0)
        stress_fail("no child got as far as a write: the run proves nothing");
    run->page->runs = 1;
    stress_summary(plan, run->page, omt_now_s() - start_s);
}

static struct stress_run *run_begin(const struct stress_plan *plan)
{
    struct stress_run *run = stress_alloc(sizeof(*run));
    stress_run_init(run, plan, stress_page_make());
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    return run;
}

int stress_main_kill(const struct stress_plan *plan)
{
    char base[STRESS_PATH_BYTES];
    struct stress_run *run = run_begin(plan);
    if (!stress_dir_make(run, base))
        return 2;
    crash_again_and_again(run);
    stress_dir_remove(run, base);
    stress_run_fini(run);
    free(run);
    return 0;
}

int stress_main_fs(const struct stress_plan *plan)
{
    char base[STRESS_PATH_BYTES];
    const char *missing = stress_mount_missing(plan->fs);
    if (missing != NULL) {
        printf("skipped: %s\n", missing);
        return EXIT_SKIPPED;
    }
    struct stress_run *run = run_begin(plan);
    if (!stress_dir_make(run, base))
        return 2;
    if (!stress_mount_begin(&mount_point, plan->fs, base))
        return 3;
    run->clean_up = fs_clean_up;
    snprintf(run->dir, sizeof(run->dir), "%.490s/db", mount_point.at);
    crash_again_and_again(run);
    stress_mount_end(&mount_point, false);
    if (plan->dir == NULL)
        rmdir(base);
    stress_run_fini(run);
    free(run);
    return 0;
}

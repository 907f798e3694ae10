/*
 * stress_shrink.c - a simulated run that failed is run again in child processes, smaller each time:
 * fewer operations, whole kinds of them left out, fewer threads. A minute at most. What is left is
 * told operation by operation, and the directory it left is written out.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/stress.h"
#include "tools/text.h"

enum { SHRINK_S = 60, TRY_S = 20, HANG_S = 8, SHOWN_LINES = 60 };

static double end_s;
static bool hanging; /* what is looked for does not end */

/* Runs plan in a child whose words go to log; true when it fails. Time that runs out is a failure when
 * the first one was of that kind. */
static bool fails(const struct stress_plan *plan, const char *log)
{
    struct stress_page *page = stress_page_make();
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (fd >= 0) {
            dup2(fd, STDOUT_FILENO);
            dup2(fd, STDERR_FILENO);
        }
        alarm(hanging ? HANG_S : TRY_S);
        stress_sim_once(plan, page);
        _exit(0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    return WIFEXITED(status) ? WEXITSTATUS(status) != 0 && !hanging
                             : (WTERMSIG(status) == SIGALRM) == hanging;
}

static bool still_fails(const struct stress_plan *plan)
{
    return omt_now_s() < end_s && fails(plan, "/dev/null");
}

static void fewer_operations(struct stress_plan *plan)
{
    uint64_t low = 0, high = plan->ops; /* high fails */
    while (high - low > 1 + high / 50) {
        struct stress_plan one = *plan;
        one.ops = low + (high - low) / 2;
        if (still_fails(&one))
            high = one.ops;
        else
            low = one.ops;
    }
    plan->ops = high;
}

static void fewer_kinds(struct stress_plan *plan)
{
    for (unsigned k = STRESS_KINDS; k-- > STRESS_WRITE + 1;) {
        struct stress_plan one = *plan;
        one.without |= 1u << k;
        if (still_fails(&one))
            plan->without = one.without;
    }
}

static void fewer_threads(struct stress_plan *plan)
{
    for (uint32_t threads = 1; threads < plan->threads; threads *= 2) {
        struct stress_plan one = *plan;
        one.threads = threads;
        one.threads_given = true;
        if (still_fails(&one)) {
            *plan = one;
            return;
        }
    }
}

static void show(const char *log)
{
    FILE *in = fopen(log, "r");
    char line[512], tail[SHOWN_LINES][256];
    uint64_t count = 0;
    while (in != NULL && fgets(line, sizeof(line), in) != NULL)
        snprintf(tail[count++ % SHOWN_LINES], sizeof(tail[0]), "%.250s", line);
    if (in != NULL)
        fclose(in);
    if (count > SHOWN_LINES)
        fprintf(stderr, "  ... %" PRIu64 " lines before these are in %s\n", count - SHOWN_LINES,
                log);
    for (uint64_t i = count > SHOWN_LINES ? count - SHOWN_LINES : 0; i < count; i++)
        fputs(tail[i % SHOWN_LINES], stderr);
}

void stress_shrink(const struct stress_plan *plan, bool hangs)
{
    hanging = hangs;
    const char *tmp = getenv("TMPDIR");
    char to[STRESS_PATH_BYTES], log[STRESS_PATH_BYTES + 32];
    snprintf(to, sizeof(to), "%s/failed-%" PRIu64,
             plan->dir != NULL ? plan->dir
             : tmp != NULL     ? tmp
                               : "/tmp",
             plan->seed);
    if (plan->dir != NULL)
        mkdir(plan->dir, 0700);
    mkdir(to, 0700);
    snprintf(log, sizeof(log), "%s/operations.txt", to);
    struct stress_plan least = *plan;
    least.verbose = false;
    end_s = omt_now_s() + SHRINK_S;
    if (!still_fails(&least)) {
        fprintf(stderr, "the run does not fail when it is run once more on its own\n");
        return;
    }
    fewer_operations(&least);
    fewer_threads(&least);
    fewer_kinds(&least);
    fewer_operations(&least);
    char image[STRESS_PATH_BYTES + 32], line[STRESS_OPTIONS_BYTES];
    snprintf(image, sizeof(image), "%s/db", to);
    least.verbose = true;
    least.image = image;
    (void)fails(&least, log);
    fprintf(stderr, "\nreduced to:\n");
    show(log);
    stress_plan_replay(&least, line, sizeof(line));
    fprintf(stderr, "reduced: %s\n", line);
}

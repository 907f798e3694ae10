/*
 * crash_scripts.c - short scripts (scripts.h) that crash before every step that writes, syncs or
 * changes a name, in every mode; in a part of them recovery crashes too, and the recovery after that.
 * Each time the database opens and holds a prefix of the writes, with everything synced, and after
 * the mere death of the process with everything acknowledged.
 *
 *   crash_scripts [--script NAME] [--every N] [--seed S] [--threads 0|1]
 */
#include "tests/scripts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { AGAIN_ONE_IN = 4, DEPTH_MAX = 2 };

struct crashes {
    struct rng rng;
    uint64_t steps, every, skip, points, again;
};

static void crash_here(void *ctx, struct script_run *s)
{
    struct crashes *c = ctx;
    if ((c->steps++ + c->skip) % c->every != 0)
        return;
    for (int mode = 0; mode < OMI_CRASH_MODES; mode++) {
        int depth = rng_one_in(&c->rng, AGAIN_ONE_IN) ? DEPTH_MAX : 0;
        uint64_t looked =
            script_check_crash(s, (enum omi_crash_mode)mode, rng_next(&c->rng), depth);
        c->points += looked;
        c->again += looked - 1;
    }
}

static void run_script(const struct script *script, bool threads, uint64_t seed, struct crashes *c)
{
    uint64_t points = c->points, steps = c->steps;
    replay_set("crash_scripts --script %s --threads %d --every %" PRIu64 " --seed %" PRIu64,
               script->name, threads, c->every, seed);
    script_watch();
    c->rng.state = seed;
    c->skip = seed % c->every;
    struct script_run *s = script_begin(script, seed, threads);
    s->on_step = crash_here;
    s->on_step_ctx = c;
    script_play(s, NULL);
    script_end(s);
    printf("crash_scripts: %s%s: %" PRIu64 " steps, %" PRIu64 " points\n", script->name,
           threads ? " with threads" : "", c->steps - steps, c->points - points);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct crashes c = {.every = 1};
    uint64_t seed = (uint64_t)time(NULL);
    const char *script = NULL, *threads = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--script") == 0)
            script = argv[i + 1];
        else if (strcmp(argv[i], "--every") == 0)
            c.every = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--threads") == 0)
            threads = argv[i + 1];
    }
    if (c.every == 0 || (script != NULL && script_find(script) < 0)) {
        fprintf(stderr, "crash_scripts: a wrong argument; the head of tests/crash_scripts.c lists "
                        "them\n");
        return 2;
    }
    for (uint32_t i = 0; i < script_count; i++)
        for (int t = 0; t < 2; t++)
            if ((script == NULL || strcmp(script, scripts[i].name) == 0) &&
                (threads == NULL || (strcmp(threads, "1") == 0) == t))
                run_script(&scripts[i], t, seed, &c);
    printf("crash_scripts: %" PRIu64 " simulated crash points, %" PRIu64
           " of them during recovery, seed %" PRIu64 ", 0 violations\n",
           c.points, c.again, seed);
    return 0;
}

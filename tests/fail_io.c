/*
 * fail_io.c - short scripts (scripts.h) whose n-th call of a kind fails, once or from there on, for
 * n = 1, 2, ... until a script ends before its n-th call. Every answer on the way must be right or an
 * error that fits; at the end the database is closed, opened, and crashed, and must hold what was
 * promised (script_check.c).
 *
 *   fail_io [--script NAME] [--kind NAME] [--part K/N] [--every N] [--seed S]
 *           [--form once|on] [--at N] [--threads 0|1]
 */
#include "tests/scripts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What the calls that see it may answer. */
enum answers { ANSWER_IO, ANSWER_WRITE, ANSWER_FULL, ANSWER_SPOILT, ANSWER_NOTHING };

static const struct kind {
    const char *name;
    enum omi_sim_fault fault;
    enum answers answers;
    bool loses_pending, loses_pages, lies;
} kinds[] = {
    {.name = "read", .fault = OMI_FAULT_READ, .answers = ANSWER_IO},
    {.name = "write", .fault = OMI_FAULT_WRITE, .answers = ANSWER_WRITE},
    {.name = "sync", .fault = OMI_FAULT_SYNC, .answers = ANSWER_WRITE, .loses_pending = true},
    {.name = "name", .fault = OMI_FAULT_NAME, .answers = ANSWER_WRITE},
    {.name = "open", .fault = OMI_FAULT_OPEN, .answers = ANSWER_WRITE},
    {.name = "no-space", .fault = OMI_FAULT_NO_SPACE, .answers = ANSWER_FULL},
    {.name = "sync-revert",
     .fault = OMI_FAULT_SYNC_REVERT,
     .answers = ANSWER_WRITE,
     .loses_pending = true,
     .loses_pages = true},
    {.name = "sync-late",
     .fault = OMI_FAULT_SYNC_LATE,
     .answers = ANSWER_WRITE,
     .loses_pending = true,
     .lies = true},
    {.name = "flip", .fault = OMI_FAULT_FLIP, .answers = ANSWER_SPOILT},
    {.name = "zero", .fault = OMI_FAULT_ZERO, .answers = ANSWER_SPOILT},
    {.name = "stale", .fault = OMI_FAULT_STALE, .answers = ANSWER_SPOILT},
    {.name = "misdirected", .fault = OMI_FAULT_MISDIRECTED, .answers = ANSWER_SPOILT},
    {.name = "slow", .fault = OMI_FAULT_SLOW, .answers = ANSWER_NOTHING},
    {.name = "stuck", .fault = OMI_FAULT_STUCK, .answers = ANSWER_NOTHING},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct io_fault {
    const struct kind *kind;
    uint64_t nth;  /* that fails, of those that the script itself makes */
    uint64_t seen; /* before the present env was armed */
    uint64_t mark; /* the env's count then */
    bool on;       /* and all after it */
    bool armed;
};

static uint64_t seen_now(const struct io_fault *f, const struct script_run *s)
{
    return f->seen + (f->armed ? omi_sim_calls(s->env, f->kind->fault) - f->mark : 0);
}

static void fault_pause(void *ctx, struct script_run *s)
{
    struct io_fault *f = ctx;
    f->seen = seen_now(f, s);
    f->armed = false;
    omi_sim_fail(s->env, f->kind->fault, 0, false);
}

static void fault_resume(void *ctx, struct script_run *s)
{
    struct io_fault *f = ctx;
    f->mark = omi_sim_calls(s->env, f->kind->fault);
    f->armed = true;
    if (f->seen < f->nth)
        omi_sim_fail(s->env, f->kind->fault, f->nth - f->seen, f->on);
    else if (f->on)
        omi_sim_fail(s->env, f->kind->fault, 1, true);
}

static bool fault_fired(void *ctx, struct script_run *s)
{
    const struct io_fault *f = ctx;
    return seen_now(f, s) >= f->nth;
}

static bool fault_allows(void *ctx, struct script_run *s, omen_err err)
{
    const struct io_fault *f = ctx;
    (void)s;
    switch (f->kind->answers) {
    case ANSWER_IO:
        return err == OMEN_IO || err == OMEN_READ_ONLY;
    case ANSWER_WRITE:
        return err == OMEN_IO || err == OMEN_UNKNOWN || err == OMEN_READ_ONLY;
    case ANSWER_FULL:
        return err == OMEN_FULL;
    case ANSWER_SPOILT: /* once: the second look is right */
        return f->on && (err == OMEN_CORRUPT || err == OMEN_READ_ONLY);
    default:
        return false;
    }
}

/* ---- the loop -------------------------------------------------------------------------------- */

static uint64_t seed, every = 1, part = 1, parts = 1, only_nth;
static uint64_t runs, hits, errors;

/* True: the fault was met. */
static bool run_once(const struct script *script, struct io_fault *f, bool threads)
{
    struct script_faults faults = {.ctx = f,
                                   .pause = fault_pause,
                                   .resume = fault_resume,
                                   .fired = fault_fired,
                                   .allows = fault_allows,
                                   .loses_pending = f->kind->loses_pending,
                                   .loses_pages = f->kind->loses_pages,
                                   .lies = f->kind->lies,
                                   .spoils = f->kind->answers == ANSWER_SPOILT && f->on};
    replay_set("fail_io --script %s --kind %s --form %s --threads %d --at %" PRIu64
               " --seed %" PRIu64,
               script->name, f->kind->name, f->on ? "on" : "once", threads, f->nth, seed);
    script_watch();
    struct script_run *s = script_begin(script, seed, threads);
    script_play(s, &faults);
    bool hit = fault_fired(f, s);
    errors += s->errors;
    script_end(s);
    runs++;
    hits += hit;
    return hit;
}

/* Without faults first: the script must do what it says. */
static void run_plain(const struct script *script, bool threads)
{
    replay_set("fail_io --script %s --threads %d --kind none --seed %" PRIu64, script->name,
               threads, seed);
    script_watch();
    struct script_run *s = script_begin(script, seed, threads);
    script_play(s, NULL);
    script_end(s);
}

static void run_kind(const struct script *script, const struct kind *kind, bool on, bool threads)
{
    static uint64_t combination;
    combination++;
    if (only_nth != 0) {
        struct io_fault f = {.kind = kind, .nth = only_nth, .on = on};
        (void)run_once(script, &f, threads);
        return;
    }
    uint64_t step = every * parts, first = (seed + combination) % every * parts + part;
    for (uint64_t nth = first;; nth += step) {
        struct io_fault f = {.kind = kind, .nth = nth, .on = on};
        if (!run_once(script, &f, threads))
            return;
    }
}

struct choice {
    const char *script, *kind, *form, *threads;
};

static bool chosen(const char *wanted, const char *name)
{
    return wanted == NULL || strcmp(wanted, name) == 0;
}

static void run_script(const struct script *script, const struct choice *c)
{
    uint64_t hits_before = hits, errors_before = errors;
    for (int threads = 0; threads < 2; threads++) {
        if (!chosen(c->threads, threads ? "1" : "0"))
            continue;
        run_plain(script, threads);
        for (uint32_t k = 0; k < KINDS; k++)
            for (int on = 0; on < 2 && chosen(c->kind, kinds[k].name); on++)
                if (chosen(c->form, on ? "on" : "once"))
                    run_kind(script, &kinds[k], on, threads);
    }
    printf("fail_io: %s: %" PRIu64 " runs in which a call failed, %" PRIu64 " errors seen\n",
           script->name, hits - hits_before, errors - errors_before);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct choice c = {NULL, NULL, NULL, NULL};
    seed = (uint64_t)time(NULL);
    for (int i = 1; i + 1 < argc; i += 2) {
        const char *value = argv[i + 1];
        if (strcmp(argv[i], "--script") == 0)
            c.script = value;
        else if (strcmp(argv[i], "--kind") == 0)
            c.kind = value;
        else if (strcmp(argv[i], "--form") == 0)
            c.form = value;
        else if (strcmp(argv[i], "--threads") == 0)
            c.threads = value;
        else if (strcmp(argv[i], "--every") == 0)
            every = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--at") == 0)
            only_nth = strtoull(value, NULL, 10);
        else if (strcmp(argv[i], "--part") == 0 &&
                 sscanf(value, "%" SCNu64 "/%" SCNu64, &part, &parts) != 2)
            parts = 0;
    }
    if (every == 0 || part == 0 || part > parts ||
        (c.script != NULL && script_find(c.script) < 0)) {
        fprintf(stderr, "fail_io: a wrong argument; the head of tests/fail_io.c lists them\n");
        return 2;
    }
    for (uint32_t i = 0; i < script_count; i++)
        if (chosen(c.script, scripts[i].name))
            run_script(&scripts[i], &c);
    printf("fail_io: %" PRIu64 " failing calls in %" PRIu64 " runs, seed %" PRIu64
           ", 0 violations\n",
           hits, runs, seed);
    return 0;
}

/*
 * sim_turns.c - the threads of a simulated env, one at a time, in an order drawn from a seed.
 *
 * Real threads, of which exactly one has the turn. It is passed on at random when a lock is taken,
 * and whenever its holder would block: for a lock or a condition by its address, or for a thread's
 * end. Waits with a time limit end early or late as the seed says; when all threads wait, simulated
 * time jumps to the first limit. When there is none either, that is a deadlock, and the program
 * stops and says so.
 */
#include "io/base/turns.h"
#include "io/sim.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { TASKS_MAX = 32, EARLY_ONE_IN = 64 };

struct task {
    struct omi_sim_turns *turns;
    void (*run)(void *arg);
    void *arg;
    pthread_t thread;
    pthread_cond_t go;
    const void *waits_for; /* NULL: may run */
    uint64_t until_ns;     /* of a wait with a limit; else UINT64_MAX */
    bool used, timed_out;
};

struct omi_sim_turns {
    struct omi_turns base;
    struct omi_sim_env *env;
    pthread_mutex_t mu;           /* guards the rest; never held while a task runs */
    struct task tasks[TASKS_MAX]; /* [0] is the thread that began */
    uint32_t current;
    uint64_t random_state, one_in, switches;
};

static uint64_t turns_draw(struct omi_sim_turns *t, uint64_t below)
{
    return omi_sim_draw(++t->random_state, 1, 0) % below;
}

static void clock_advance(struct omi_sim_turns *t, uint64_t until_ns)
{
    struct omi_turns *here = omi_turns_here;
    omi_turns_here = NULL; /* no turn is passed on in here */
    omi_mutex_lock(&t->env->mu);
    if (t->env->now_ns < until_ns)
        t->env->now_ns = until_ns;
    omi_mutex_unlock(&t->env->mu);
    omi_turns_here = here;
}

/* The wait with the earliest limit is over, since nobody else can go on. */
static uint32_t first_limit(struct omi_sim_turns *t)
{
    uint32_t first = TASKS_MAX;
    for (uint32_t i = 0; i < TASKS_MAX; i++)
        if (t->tasks[i].used && t->tasks[i].until_ns != UINT64_MAX &&
            (first == TASKS_MAX || t->tasks[i].until_ns < t->tasks[first].until_ns))
            first = i;
    if (first == TASKS_MAX) {
        fprintf(stderr, "deadlock: every thread of the simulated env waits\n");
        abort();
    }
    return first;
}

static void time_out(struct omi_sim_turns *t, struct task *k)
{
    clock_advance(t, k->until_ns);
    k->waits_for = NULL;
    k->until_ns = UINT64_MAX;
    k->timed_out = true;
}

/* Who goes next: anybody who can, each as likely; at times a wait that has a limit. */
static uint32_t next_task(struct omi_sim_turns *t)
{
    uint32_t ready[TASKS_MAX], count = 0;
    bool early = turns_draw(t, EARLY_ONE_IN) == 0;
    for (uint32_t i = 0; i < TASKS_MAX; i++)
        if (t->tasks[i].used &&
            (t->tasks[i].waits_for == NULL || (early && t->tasks[i].until_ns != UINT64_MAX)))
            ready[count++] = i;
    uint32_t next = count != 0 ? ready[turns_draw(t, count)] : first_limit(t);
    if (t->tasks[next].waits_for != NULL)
        time_out(t, &t->tasks[next]);
    return next;
}

/* Gives the turn to another task and waits for it to come back, unless it stays or me is over. */
static void pass_on(struct omi_sim_turns *t, uint32_t me)
{
    t->current = next_task(t);
    if (t->current == me)
        return;
    t->switches++;
    pthread_cond_signal(&t->tasks[t->current].go);
    while (t->tasks[me].used && t->current != me)
        pthread_cond_wait(&t->tasks[me].go, &t->mu);
}

static void turns_point(struct omi_turns *base)
{
    struct omi_sim_turns *t = (struct omi_sim_turns *)base;
    pthread_mutex_lock(&t->mu);
    if (turns_draw(t, t->one_in) == 0)
        pass_on(t, t->current);
    pthread_mutex_unlock(&t->mu);
}

static bool turns_wait(struct omi_turns *base, const void *what, uint64_t wait_us)
{
    struct omi_sim_turns *t = (struct omi_sim_turns *)base;
    pthread_mutex_lock(&t->mu);
    struct task *k = &t->tasks[t->current];
    k->waits_for = what;
    k->until_ns = wait_us == UINT64_MAX ? UINT64_MAX : t->env->now_ns + wait_us * 1000;
    k->timed_out = false;
    pass_on(t, t->current);
    bool woken = !k->timed_out;
    pthread_mutex_unlock(&t->mu);
    return woken;
}

static void turns_wake_locked(struct omi_sim_turns *t, const void *what)
{
    for (uint32_t i = 0; i < TASKS_MAX; i++)
        if (t->tasks[i].used && t->tasks[i].waits_for == what) {
            t->tasks[i].waits_for = NULL;
            t->tasks[i].until_ns = UINT64_MAX;
        }
}

static void turns_wake(struct omi_turns *base, const void *what)
{
    struct omi_sim_turns *t = (struct omi_sim_turns *)base;
    pthread_mutex_lock(&t->mu);
    turns_wake_locked(t, what);
    pthread_mutex_unlock(&t->mu);
}

/* ---- threads --------------------------------------------------------------------------------- */

static void *task_main(void *arg)
{
    struct task *k = arg;
    struct omi_sim_turns *t = k->turns;
    uint32_t me = (uint32_t)(k - t->tasks);
    pthread_mutex_lock(&t->mu);
    while (t->current != me)
        pthread_cond_wait(&k->go, &t->mu);
    pthread_mutex_unlock(&t->mu);
    omi_turns_here = &t->base;
    k->run(k->arg);
    omi_turns_here = NULL;
    pthread_mutex_lock(&t->mu);
    k->used = false;
    turns_wake_locked(t, k);
    pass_on(t, me);
    pthread_mutex_unlock(&t->mu);
    return NULL;
}

omen_err omi_sim_turns_start(struct omi_sim_turns *t, void (*run)(void *arg), void *arg,
                             void **thread_out)
{
    omen_err err = OMEN_OK;
    pthread_mutex_lock(&t->mu);
    uint32_t i = 1;
    while (i < TASKS_MAX && (t->tasks[i].used || t->tasks[i].run != NULL))
        i++;
    assert(i < TASKS_MAX);
    struct task *k = &t->tasks[i];
    k->turns = t;
    k->run = run;
    k->arg = arg;
    k->waits_for = NULL;
    k->until_ns = UINT64_MAX;
    k->used = true;
    if (pthread_create(&k->thread, NULL, task_main, k) != 0) {
        k->used = false;
        k->run = NULL;
        err = omi_fail(OMEN_NO_MEMORY, 0, "a thread of the simulated env");
    }
    *thread_out = err == OMEN_OK ? k : NULL;
    pthread_mutex_unlock(&t->mu);
    return err;
}

void omi_sim_turns_join(struct omi_sim_turns *t, void *thread)
{
    struct task *k = thread;
    pthread_mutex_lock(&t->mu);
    bool over = !k->used;
    pthread_mutex_unlock(&t->mu);
    if (!over) /* nobody else runs between the look and the wait */
        (void)turns_wait(&t->base, k, UINT64_MAX);
    pthread_join(k->thread, NULL);
    k->run = NULL;
}

void omi_sim_turns(struct omi_env *env, uint64_t seed, uint64_t one_in)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    assert(s->turns == NULL && one_in != 0);
    struct omi_sim_turns *t = calloc(1, sizeof(*t));
    if (t == NULL)
        abort();
    t->base = (struct omi_turns){turns_point, turns_wait, turns_wake};
    t->env = s;
    t->one_in = one_in;
    t->random_state = omi_sim_draw(seed, 2, 0);
    pthread_mutex_init(&t->mu, NULL);
    for (uint32_t i = 0; i < TASKS_MAX; i++) {
        t->tasks[i].until_ns = UINT64_MAX;
        pthread_cond_init(&t->tasks[i].go, NULL);
    }
    t->tasks[0].used = true;
    s->turns = t;
    omi_turns_here = &t->base;
}

uint64_t omi_sim_switches(const struct omi_env *env)
{
    const struct omi_sim_turns *t = ((const struct omi_sim_env *)env)->turns;
    return t != NULL ? t->switches : 0;
}

void omi_sim_turns_end(struct omi_sim_env *s)
{
    struct omi_sim_turns *t = s->turns;
    if (t == NULL)
        return;
    if (omi_turns_here == &t->base)
        omi_turns_here = NULL;
    for (uint32_t i = 0; i < TASKS_MAX; i++)
        pthread_cond_destroy(&t->tasks[i].go);
    pthread_mutex_destroy(&t->mu);
    free(t);
    s->turns = NULL;
}

/* Threads of the simulated env: one at a time, in an order that the seed decides. */
#include "io/base/sync.h"
#include "io/env_sim.h"

#include <criterion/criterion.h>
#include <string.h>

TestSuite(sim_turns, .timeout = 30);

enum { WORKERS = 3, ROUNDS = 40 };

struct shared {
    struct omi_mutex mu;
    struct omi_cond changed;
    char order[WORKERS * ROUNDS + 1];
    int count, inside, waiting;
};
struct worker {
    struct shared *shared;
    int number;
};

static void work(void *arg)
{
    struct worker *w = arg;
    struct shared *s = w->shared;
    for (int i = 0; i < ROUNDS; i++) {
        omi_mutex_lock(&s->mu);
        cr_assert_eq(s->inside++, 0, "two threads hold one lock");
        s->order[s->count++] = (char)('a' + w->number);
        s->inside--;
        omi_mutex_unlock(&s->mu);
    }
}

static void order_of(uint64_t seed, char *order)
{
    struct omi_env *env = omi_sim_create(1);
    struct shared s = {.count = 0};
    struct worker workers[WORKERS];
    void *threads[WORKERS];
    omi_sim_turns(env, seed, 3);
    omi_mutex_init(&s.mu);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){&s, i};
        cr_assert_eq(env->ops->thread_start(env, work, &workers[i], &threads[i]), OMEN_OK);
    }
    for (int i = 0; i < WORKERS; i++)
        env->ops->thread_join(env, threads[i]);
    cr_assert_eq(s.count, WORKERS * ROUNDS);
    cr_assert_gt(omi_sim_switches(env), 10);
    memcpy(order, s.order, sizeof(s.order));
    omi_mutex_fini(&s.mu);
    omi_sim_destroy(env);
}

Test(sim_turns, the_order_is_the_seeds)
{
    char first[WORKERS * ROUNDS + 1] = "", second[sizeof(first)] = "", third[sizeof(first)] = "";
    order_of(7, first);
    order_of(7, second);
    order_of(8, third);
    cr_assert_str_eq(first, second);
    cr_assert_str_neq(first, third);
}

static void wait_for_two(void *arg)
{
    struct shared *s = arg;
    omi_mutex_lock(&s->mu);
    s->waiting++;
    omi_cond_broadcast(&s->changed);
    while (s->waiting < 2)
        omi_cond_wait(&s->changed, &s->mu);
    omi_mutex_unlock(&s->mu);
}

Test(sim_turns, waits_end_by_a_signal_or_when_their_time_has_passed)
{
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct omi_env *env = omi_sim_create(1);
        struct shared s = {.count = 0};
        void *threads[2];
        omi_sim_turns(env, seed, 2);
        omi_mutex_init(&s.mu);
        omi_cond_init(&s.changed);
        for (int i = 0; i < 2; i++)
            cr_assert_eq(env->ops->thread_start(env, wait_for_two, &s, &threads[i]), OMEN_OK);
        for (int i = 0; i < 2; i++)
            env->ops->thread_join(env, threads[i]);
        cr_assert_eq(s.waiting, 2);
        uint64_t before = env->ops->now_ns(env);
        omi_mutex_lock(&s.mu);
        cr_assert(!omi_cond_wait_us(&s.changed, &s.mu, 5000), "nobody is there to signal");
        omi_mutex_unlock(&s.mu);
        cr_assert_geq(env->ops->now_ns(env) - before, 5000000);
        env->ops->sleep_us(env, 1000);
        cr_assert_geq(env->ops->now_ns(env) - before, 6000000);
        omi_cond_fini(&s.changed);
        omi_mutex_fini(&s.mu);
        omi_sim_destroy(env);
    }
}

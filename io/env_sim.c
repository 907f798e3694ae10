#include "io/env_sim.h"

#include "io/base/turns.h"
#include "io/sim.h"

#include <stdlib.h>
#include <string.h>

enum { CALL_NS = 1000 };                         /* what asking for the time costs */
#define WALL_START_US UINT64_C(1767225600000000) /* 2026-01-01: no test depends on today */

/* ---- steps, random --------------------------------------------------------------------------- */

void omi_sim_step(struct omi_sim_env *s)
{
    omi_sim_delay(s);
    omi_mutex_lock(&s->mu);
    uint64_t number = s->steps + 1;
    void (*on_step)(void *ctx, uint64_t number) = s->on_step;
    void *ctx = s->on_step_ctx;
    omi_mutex_unlock(&s->mu);
    if (on_step != NULL)
        on_step(ctx, number); /* may make a crash clone, or jump out of the engine for good */
    omi_mutex_lock(&s->mu);
    s->steps++;
    s->now_ns += CALL_NS;
    omi_mutex_unlock(&s->mu);
}

uint64_t omi_sim_random_locked(struct omi_sim_env *s)
{
    s->random_state++;
    return omi_sim_draw(s->random_state, 0, 0);
}

uint64_t omi_sim_steps(const struct omi_env *env)
{
    return ((const struct omi_sim_env *)env)->steps;
}

void omi_sim_on_step(struct omi_env *env, void (*step)(void *ctx, uint64_t number), void *ctx)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    omi_mutex_lock(&s->mu);
    s->on_step = step;
    s->on_step_ctx = ctx;
    omi_mutex_unlock(&s->mu);
}

void omi_sim_ignore_file_sync(struct omi_env *env, bool on)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    omi_mutex_lock(&s->mu);
    s->ignore_file_sync = on;
    omi_mutex_unlock(&s->mu);
}

void omi_sim_ignore_dir_sync(struct omi_env *env, bool on)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    omi_mutex_lock(&s->mu);
    s->ignore_dir_sync = on;
    omi_mutex_unlock(&s->mu);
}

/* ---- time, random, threads, batches ---------------------------------------------------------- */

static void sim_read_batch(struct omi_env *env, struct omi_read *reads, size_t count)
{
    (void)env;
    for (size_t i = 0; i < count; i++)
        reads[i].err = omi_sim_file_pread(reads[i].file, reads[i].buffer, reads[i].size,
                                          reads[i].off, &reads[i].got);
}

static uint64_t sim_now_ns(struct omi_env *env)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    omi_mutex_lock(&s->mu);
    s->now_ns += CALL_NS;
    uint64_t now = s->now_ns;
    omi_mutex_unlock(&s->mu);
    return now;
}

static uint64_t sim_wall_us(struct omi_env *env)
{
    return WALL_START_US + sim_now_ns(env) / 1000;
}

static void sim_sleep_us(struct omi_env *env, uint64_t us)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    if (s->turns != NULL && omi_turns_here != NULL) { /* others go on meanwhile */
        (void)omi_turns_here->wait(omi_turns_here, &us, us);
        return;
    }
    omi_mutex_lock(&s->mu);
    s->now_ns += us * 1000;
    omi_mutex_unlock(&s->mu);
}

static void sim_random(struct omi_env *env, void *bytes, size_t size)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    uint8_t *to = bytes;
    omi_mutex_lock(&s->mu);
    while (size > 0) {
        uint64_t bits = omi_sim_random_locked(s);
        size_t step = size < sizeof(bits) ? size : sizeof(bits);
        memcpy(to, &bits, step);
        to += step;
        size -= step;
    }
    omi_mutex_unlock(&s->mu);
}

static omen_err sim_thread_start(struct omi_env *env, void (*run)(void *arg), void *arg,
                                 void **thread_out)
{
    struct omi_sim_env *s = omi_sim_env_of(env);
    if (s->turns != NULL)
        return omi_sim_turns_start(s->turns, run, arg, thread_out);
    *thread_out = NULL;
    return omi_fail(OMEN_UNSUPPORTED, 0, "the simulated env has no threads");
}

static void sim_thread_join(struct omi_env *env, void *thread)
{
    omi_sim_turns_join(omi_sim_env_of(env)->turns, thread);
}

static const struct omi_env_ops sim_ops = {
    .name = "sim",
    .dir_open = omi_sim_dir_open,
    .dir_close = omi_sim_dir_close,
    .dir_sync = omi_sim_dir_sync,
    .dir_list = omi_sim_dir_list,
    .dir_rename = omi_sim_dir_rename,
    .dir_unlink = omi_sim_dir_unlink,
    .dir_link = omi_sim_dir_link,
    .dir_remove = omi_sim_dir_remove,
    .dir_lock = omi_sim_dir_lock,
    .dir_space = omi_sim_dir_space,
    .file_open = omi_sim_file_open,
    .file_close = omi_sim_file_close,
    .file_pread = omi_sim_file_pread,
    .file_pwrite = omi_sim_file_pwrite,
    .file_sync = omi_sim_file_sync,
    .file_write_back = omi_sim_file_write_back,
    .file_truncate = omi_sim_file_truncate,
    .file_allocate = omi_sim_file_allocate,
    .file_size = omi_sim_file_size,
    .file_advise = omi_sim_file_advise,
    .file_direct = omi_sim_file_direct,
    .read_batch = sim_read_batch,
    .now_ns = sim_now_ns,
    .wall_us = sim_wall_us,
    .sleep_us = sim_sleep_us,
    .random = sim_random,
    .thread_start = sim_thread_start,
    .thread_join = sim_thread_join,
};

/* ---- the env --------------------------------------------------------------------------------- */

struct omi_sim_env *omi_sim_env_make(uint64_t seed)
{
    struct omi_sim_env *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    s->base.ops = &sim_ops;
    s->random_state = omi_sim_draw(seed, 0, 0);
    s->fault_seed = omi_sim_draw(seed, 3, 0);
    s->capacity = UINT64_MAX;
    omi_mutex_init(&s->mu);
    return s;
}

struct omi_env *omi_sim_create(uint64_t seed)
{
    struct omi_sim_env *s = omi_sim_env_make(seed);
    if (s == NULL)
        return NULL;
    omi_mutex_lock(&s->mu);
    bool made = omi_sim_directory_make_locked(s, "/") != NULL &&
                omi_sim_directory_make_locked(s, ".") != NULL;
    omi_mutex_unlock(&s->mu);
    if (!made) {
        omi_sim_destroy(&s->base);
        return NULL;
    }
    return &s->base;
}

void omi_sim_destroy(struct omi_env *env)
{
    if (env == NULL)
        return;
    struct omi_sim_env *s = omi_sim_env_of(env);
    omi_sim_turns_end(s);
    omi_mutex_lock(&s->mu);
    while (s->directories != NULL) {
        struct omi_sim_directory *d = s->directories;
        s->directories = d->next;
        omi_sim_directory_free_locked(s, d);
    }
    /* Handles that a simulated kill left open still count their inodes. */
    while (s->inodes != NULL) {
        s->inodes->refs = 1;
        omi_sim_inode_unref_locked(s, s->inodes);
    }
    omi_mutex_unlock(&s->mu);
    omi_mutex_fini(&s->mu);
    free(s);
}

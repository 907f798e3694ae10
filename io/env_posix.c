#include "io/env_posix.h"

#include "io/base/hash.h"
#include "io/ring.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* ---- which engine serves batches ------------------------------------------------------------- */

struct posix_env {
    struct omi_env base;
    omen_io_engine engine; /* as the option says */
};

static const char variable[] = "OMENDB_IO_ENGINE";
static pthread_once_t variable_once = PTHREAD_ONCE_INIT;
static omen_io_engine variable_engine; /* AUTO: not set; these three are written under the once */
static bool variable_wrong;
static char variable_value[32];

static void variable_read(void)
{
    const char *value = getenv(variable);
    if (value == NULL || value[0] == '\0' || strcmp(value, "auto") == 0)
        return;
    if (strcmp(value, "uring") == 0) {
        variable_engine = OMEN_IO_ENGINE_URING;
    } else if (strcmp(value, "pread") == 0) {
        variable_engine = OMEN_IO_ENGINE_PREAD;
    } else {
        variable_wrong = true;
        size_t size = strnlen(value, sizeof(variable_value) - 1);
        memcpy(variable_value, value, size);
    }
}

/* The engine asked for, by the option or else by the variable. */
static omen_io_engine engine_asked(const struct omi_env *env)
{
    omen_io_engine engine = ((const struct posix_env *)env)->engine;
    pthread_once(&variable_once, variable_read);
    if (engine != OMEN_IO_ENGINE_AUTO)
        return engine;
    return variable_wrong ? OMEN_IO_ENGINE_PREAD : variable_engine;
}

static void posix_read_batch(struct omi_env *env, struct omi_read *reads, size_t count)
{
    if (count >= 2 && engine_asked(env) != OMEN_IO_ENGINE_PREAD &&
        omi_ring_read_batch(reads, count))
        return;
    for (size_t i = 0; i < count; i++) {
        reads[i].got = 0;
        omi_posix_read_rest(&reads[i]);
    }
}

/* ---- time, random, threads ------------------------------------------------------------------- */

static uint64_t clock_read_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t posix_now_ns(struct omi_env *env)
{
    (void)env;
    return clock_read_ns(CLOCK_MONOTONIC);
}

static uint64_t posix_wall_us(struct omi_env *env)
{
    (void)env;
    return clock_read_ns(CLOCK_REALTIME) / 1000;
}

static void posix_sleep_us(struct omi_env *env, uint64_t us)
{
    (void)env;
    struct timespec left = {.tv_sec = (time_t)(us / 1000000),
                            .tv_nsec = (long)(us % 1000000 * 1000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR)
        ;
}

/* Only where getrandom is refused: our random numbers keep names and logs apart, they are no
 * secrets, so time, process and a count will do. */
static void random_poor(uint8_t *to, size_t size)
{
    static atomic_uint_fast64_t count;
    while (size > 0) {
        uint64_t mix[4] = {clock_read_ns(CLOCK_REALTIME), clock_read_ns(CLOCK_MONOTONIC),
                           (uint64_t)getpid(), atomic_fetch_add(&count, 1)};
        uint64_t bits = omi_checksum(mix, sizeof(mix), (uint64_t)(uintptr_t)&count);
        size_t step = size < sizeof(bits) ? size : sizeof(bits);
        memcpy(to, &bits, step);
        to += step;
        size -= step;
    }
}

static void posix_random(struct omi_env *env, void *bytes, size_t size)
{
    (void)env;
    uint8_t *to = bytes;
    while (size > 0) {
        ssize_t got = getrandom(to, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            random_poor(to, size);
            return;
        }
        to += got;
        size -= (size_t)got;
    }
}

struct posix_thread {
    pthread_t id;
    void (*run)(void *arg);
    void *arg;
};

static void *thread_main(void *arg)
{
    struct posix_thread *t = arg;
    t->run(t->arg);
    return NULL;
}

/* The host's signal handlers run on the host's threads: ours start with all signals blocked. */
static omen_err posix_thread_start(struct omi_env *env, void (*run)(void *arg), void *arg,
                                   void **thread_out)
{
    (void)env;
    *thread_out = NULL;
    struct posix_thread *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a background thread");
    t->run = run;
    t->arg = arg;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int errnum = pthread_create(&t->id, NULL, thread_main, t);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum != 0) {
        free(t);
        return omi_fail(errnum == ENOMEM ? OMEN_NO_MEMORY : OMEN_IO, errnum,
                        "starting a background thread (limits: ulimit -u, memory)");
    }
    pthread_setname_np(t->id, "omendb");
    *thread_out = t;
    return OMEN_OK;
}

static void posix_thread_join(struct omi_env *env, void *thread)
{
    (void)env;
    struct posix_thread *t = thread;
    if (t == NULL)
        return;
    pthread_join(t->id, NULL);
    free(t);
}

/* ---- the env --------------------------------------------------------------------------------- */

static const struct omi_env_ops posix_ops = {
    .name = "posix",
    .dir_open = omi_posix_dir_open,
    .dir_close = omi_posix_dir_close,
    .dir_sync = omi_posix_dir_sync,
    .dir_list = omi_posix_dir_list,
    .dir_rename = omi_posix_dir_rename,
    .dir_unlink = omi_posix_dir_unlink,
    .dir_link = omi_posix_dir_link,
    .dir_remove = omi_posix_dir_remove,
    .dir_lock = omi_posix_dir_lock,
    .dir_space = omi_posix_dir_space,
    .file_open = omi_posix_file_open,
    .file_close = omi_posix_file_close,
    .file_pread = omi_posix_file_pread,
    .file_pwrite = omi_posix_file_pwrite,
    .file_sync = omi_posix_file_sync,
    .file_write_back = omi_posix_file_write_back,
    .file_truncate = omi_posix_file_truncate,
    .file_allocate = omi_posix_file_allocate,
    .file_size = omi_posix_file_size,
    .file_advise = omi_posix_file_advise,
    .file_direct = omi_posix_file_direct,
    .read_batch = posix_read_batch,
    .now_ns = posix_now_ns,
    .wall_us = posix_wall_us,
    .sleep_us = posix_sleep_us,
    .random = posix_random,
    .thread_start = posix_thread_start,
    .thread_join = posix_thread_join,
};

struct omi_env *omi_env_posix(omen_io_engine engine)
{
    static struct posix_env envs[] = {
        {{&posix_ops}, OMEN_IO_ENGINE_AUTO},
        {{&posix_ops}, OMEN_IO_ENGINE_URING},
        {{&posix_ops}, OMEN_IO_ENGINE_PREAD},
    };
    for (size_t i = 0; i < sizeof(envs) / sizeof(envs[0]); i++)
        if (envs[i].engine == engine)
            return &envs[i].base;
    return &envs[0].base;
}

omen_err omi_env_io_engine(struct omi_env *env, const char **engine_out, const char **why_out)
{
    if (env->ops != &posix_ops) {
        *engine_out = env->ops->name;
        *why_out = "not the system's files";
        return OMEN_OK;
    }
    bool by_option = ((const struct posix_env *)env)->engine != OMEN_IO_ENGINE_AUTO;
    omen_io_engine asked = engine_asked(env);
    *engine_out = "pread";
    if (!by_option && variable_wrong) {
        *why_out = "OMENDB_IO_ENGINE is wrong";
        return omi_fail(OMEN_INVALID, 0, "%s is \"%s\"; it may be uring, pread or auto", variable,
                        variable_value);
    }
    if (asked == OMEN_IO_ENGINE_PREAD) {
        *why_out = by_option ? "asked by the option io_engine" : "asked by OMENDB_IO_ENGINE";
        return OMEN_OK;
    }
    if (omi_ring_usable(why_out)) {
        *engine_out = "io_uring";
        return OMEN_OK;
    }
    if (asked == OMEN_IO_ENGINE_URING)
        return omi_fail(OMEN_UNSUPPORTED, 0, "%s asks for io_uring, which cannot be had: %s",
                        by_option ? "the option io_engine" : variable, *why_out);
    return OMEN_OK;
}

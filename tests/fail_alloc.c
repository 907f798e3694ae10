/*
 * fail_alloc.c - short scripts (scripts.h) in which the engine's n-th allocation fails, once or from
 * there on, for n = 1, 2, ... until a script ends before its n-th. The call answers OMEN_NO_MEMORY or
 * does without; nothing is half applied; the database goes on; everything is freed at the end.
 *
 *   fail_alloc [--script NAME] [--every N] [--seed S] [--form once|on] [--at N]
 *
 * The linker puts the functions below before malloc and its like (--wrap). They count what is
 * allocated inside a call of the engine (script_in_engine) and outside of the simulated file system,
 * whose calls are wrapped as well (guarded). A run has a thread of its own, so that what the engine
 * keeps for a thread is allocated, and freed, each time.
 */
#include "tests/scripts.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* ---- the allocator --------------------------------------------------------------------------- */

static uint64_t nth, seen; /* only one thread runs at a time */
static bool on, counting;
static _Thread_local int outside; /* calls of the file system that are under way */
static _Atomic int64_t live;      /* blocks, of the engine, the file system and the harness */

static bool denied(void)
{
    if (!counting || !script_in_engine || outside > 0)
        return false;
    seen++;
    if (on ? seen < nth : seen != nth)
        return false;
    errno = ENOMEM;
    return true;
}

static void *counted(void *p)
{
    live += p != NULL;
    return p;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    return denied() ? NULL : counted(__real_malloc(size));
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    return denied() ? NULL : counted(__real_calloc(count, size));
}

void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size)
{
    return denied() ? NULL : counted(__real_aligned_alloc(align, size));
}

void *__real_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_realloc(void *p, size_t size)
{
    if (denied())
        return NULL;
    void *q = __real_realloc(p, size);
    live += p == NULL && q != NULL;
    return q;
}

char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
char *__wrap_strdup(const char *text)
{
    return denied() ? NULL : counted(__real_strdup(text));
}

char *__real_strndup(const char *text, size_t size);
char *__wrap_strndup(const char *text, size_t size);
char *__wrap_strndup(const char *text, size_t size)
{
    return denied() ? NULL : counted(__real_strndup(text, size));
}

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
    live -= p != NULL;
    __real_free(p);
}

void *__real_mmap(void *at, size_t size, int protection, int flags, int file, off_t off);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int file, off_t off);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int file, off_t off)
{
    return denied() ? MAP_FAILED : __real_mmap(at, size, protection, flags, file, off);
}

/* ---- the file system, whose allocations are not the engine's ---------------------------------- */

static const struct omi_env_ops *real;

/* The value of call, made outside of the engine. */
#define OUTSIDE(type, call)                                                                        \
    do {                                                                                           \
        outside++;                                                                                 \
        type value_ = (call);                                                                      \
        outside--;                                                                                 \
        return value_;                                                                             \
    } while (0)

static omen_err guard_dir_open(struct omi_env *env, const char *path, bool create,
                               struct omi_dir **out)
{
    OUTSIDE(omen_err, real->dir_open(env, path, create, out));
}

static omen_err guard_dir_sync(struct omi_dir *dir)
{
    OUTSIDE(omen_err, real->dir_sync(dir));
}

struct listing {
    omen_err (*each)(void *ctx, const struct omi_dir_entry *e);
    void *ctx;
};

/* The callback is the engine's again. */
static omen_err list_one(void *ctx, const struct omi_dir_entry *e)
{
    const struct listing *l = ctx;
    outside--;
    omen_err err = l->each(l->ctx, e);
    outside++;
    return err;
}

static omen_err guard_dir_list(struct omi_dir *dir,
                               omen_err (*each)(void *ctx, const struct omi_dir_entry *e),
                               void *ctx)
{
    struct listing l = {each, ctx};
    OUTSIDE(omen_err, real->dir_list(dir, list_one, &l));
}

static omen_err guard_dir_rename(struct omi_dir *dir, const char *from, const char *to)
{
    OUTSIDE(omen_err, real->dir_rename(dir, from, to));
}

static omen_err guard_dir_unlink(struct omi_dir *dir, const char *name)
{
    OUTSIDE(omen_err, real->dir_unlink(dir, name));
}

static omen_err guard_dir_link(struct omi_dir *from_dir, const char *from, struct omi_dir *to_dir,
                               const char *to)
{
    OUTSIDE(omen_err, real->dir_link(from_dir, from, to_dir, to));
}

static omen_err guard_dir_remove(struct omi_env *env, const char *path)
{
    OUTSIDE(omen_err, real->dir_remove(env, path));
}

static omen_err guard_dir_lock(struct omi_dir *dir, const char *name, struct omi_file **out)
{
    OUTSIDE(omen_err, real->dir_lock(dir, name, out));
}

static omen_err guard_file_open(struct omi_dir *dir, const char *name, enum omi_open_mode mode,
                                unsigned flags, struct omi_file **out)
{
    OUTSIDE(omen_err, real->file_open(dir, name, mode, flags, out));
}

static omen_err guard_file_pread(struct omi_file *file, void *buffer, size_t size, uint64_t off,
                                 size_t *got_out)
{
    OUTSIDE(omen_err, real->file_pread(file, buffer, size, off, got_out));
}

static omen_err guard_file_pwrite(struct omi_file *file, const void *bytes, size_t size,
                                  uint64_t off)
{
    OUTSIDE(omen_err, real->file_pwrite(file, bytes, size, off));
}

static omen_err guard_file_sync(struct omi_file *file)
{
    OUTSIDE(omen_err, real->file_sync(file));
}

static omen_err guard_file_truncate(struct omi_file *file, uint64_t size)
{
    OUTSIDE(omen_err, real->file_truncate(file, size));
}

static omen_err guard_file_allocate(struct omi_file *file, uint64_t size)
{
    OUTSIDE(omen_err, real->file_allocate(file, size));
}

static void guard(struct omi_env *env)
{
    static struct omi_env_ops guarded;
    if (env->ops == &guarded)
        return;
    real = env->ops;
    guarded = *real;
    guarded.dir_open = guard_dir_open;
    guarded.dir_sync = guard_dir_sync;
    guarded.dir_list = guard_dir_list;
    guarded.dir_rename = guard_dir_rename;
    guarded.dir_unlink = guard_dir_unlink;
    guarded.dir_link = guard_dir_link;
    guarded.dir_remove = guard_dir_remove;
    guarded.dir_lock = guard_dir_lock;
    guarded.file_open = guard_file_open;
    guarded.file_pread = guard_file_pread;
    guarded.file_pwrite = guard_file_pwrite;
    guarded.file_sync = guard_file_sync;
    guarded.file_truncate = guard_file_truncate;
    guarded.file_allocate = guard_file_allocate;
    env->ops = &guarded;
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void alloc_pause(void *ctx, struct script_run *s)
{
    (void)ctx;
    (void)s;
    counting = false;
}

static void alloc_resume(void *ctx, struct script_run *s)
{
    (void)ctx;
    guard(s->env); /* a crash clone is a new one */
    counting = true;
}

static bool alloc_fired(void *ctx, struct script_run *s)
{
    (void)ctx;
    (void)s;
    return seen >= nth;
}

static bool alloc_allows(void *ctx, struct script_run *s, omen_err err)
{
    (void)ctx;
    (void)s;
    return err == OMEN_NO_MEMORY;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static uint64_t seed, every = 1, only_nth, runs, hits;
static const struct script_faults faults = {
    .pause = alloc_pause, .resume = alloc_resume, .fired = alloc_fired, .allows = alloc_allows};

static void *run_thread(void *arg)
{
    struct script_run *s = script_begin(arg, seed, false);
    script_play(s, &faults);
    script_end(s);
    return NULL;
}

/* True: an allocation was denied. */
static bool run_once(const struct script *script)
{
    pthread_t thread;
    seen = 0;
    counting = false;
    replay_set("fail_alloc --script %s --form %s --at %" PRIu64 " --seed %" PRIu64, script->name,
               on ? "on" : "once", nth, seed);
    script_watch();
    int64_t before = live;
    if (pthread_create(&thread, NULL, run_thread, (void *)(uintptr_t)script) != 0 ||
        pthread_join(thread, NULL) != 0)
        fail_now("no thread");
    if (live != before)
        fail_now("%s: %" PRId64 " blocks are not freed", script->name, live - before);
    runs++;
    hits += seen >= nth;
    return seen >= nth;
}

static void run_script(const struct script *script, const char *form)
{
    uint64_t before = hits;
    for (int f = 0; f < 2; f++) {
        on = f != 0;
        if (form != NULL && strcmp(form, on ? "on" : "once") != 0)
            continue;
        nth = only_nth != 0 ? only_nth : 1 + (seed + (uint64_t)f) % every;
        while (run_once(script) && only_nth == 0)
            nth += every;
    }
    printf("fail_alloc: %s: %" PRIu64 " runs in which an allocation failed\n", script->name,
           hits - before);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const char *script = NULL, *form = NULL;
    seed = (uint64_t)time(NULL);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--script") == 0)
            script = argv[i + 1];
        else if (strcmp(argv[i], "--form") == 0)
            form = argv[i + 1];
        else if (strcmp(argv[i], "--every") == 0)
            every = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--at") == 0)
            only_nth = strtoull(argv[i + 1], NULL, 10);
    }
    if (every == 0 || (script != NULL && script_find(script) < 0)) {
        fprintf(stderr,
                "fail_alloc: a wrong argument; the head of tests/fail_alloc.c lists them\n");
        return 2;
    }
    for (uint32_t i = 0; i < script_count; i++)
        if (script == NULL || strcmp(script, scripts[i].name) == 0)
            run_script(&scripts[i], form);
    printf("fail_alloc: %" PRIu64 " failing allocations in %" PRIu64 " runs, seed %" PRIu64
           ", 0 violations\n",
           hits, runs, seed);
    return 0;
}

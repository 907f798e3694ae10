#include "io/ring.h"
#include "tests/unit/io/env_pair.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { FILE_BYTES = 1 << 20, BLOCK = 4096, BLOCKS = FILE_BYTES / BLOCK };

static char path[256];
static struct omi_dir *dir;
static struct omi_file *file;

static void setup(void)
{
    tmpdir_make(path, NULL);
    must(omi_dir_open(omi_env_posix(OMEN_IO_ENGINE_AUTO), path, false, &dir));
    static uint8_t bytes[FILE_BYTES];
    for (size_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = (uint8_t)(i / BLOCK * 7 + i % 13);
    file_put(dir, "f", bytes, sizeof(bytes), false);
    must(omi_file_open(dir, "f", OMI_OPEN_READ, 0, &file));
}

static void teardown(void)
{
    must(omi_file_close(file));
    omi_dir_close(dir);
    tmpdir_remove(path);
}

TestSuite(ring, .init = setup, .fini = teardown, .timeout = 60);

/* Blocks in a scattered order, each checked; false: something was not as written. */
static bool batch_is_right(struct omi_env *env, size_t count, unsigned salt)
{
    struct omi_read *reads = calloc(count, sizeof(*reads));
    uint8_t *buffers = malloc(count * BLOCK);
    bool right = reads != NULL && buffers != NULL;
    for (size_t i = 0; i < count && right; i++)
        reads[i] = (struct omi_read){.file = file,
                                     .buffer = buffers + i * BLOCK,
                                     .off = (i * 101 + salt) % BLOCKS * BLOCK,
                                     .size = BLOCK};
    if (right)
        env->ops->read_batch(env, reads, count);
    for (size_t i = 0; i < count && right; i++) {
        right = reads[i].err == OMEN_OK && reads[i].got == BLOCK;
        for (size_t b = 0; b < BLOCK && right; b++) {
            size_t at = (size_t)reads[i].off + b;
            right = buffers[i * BLOCK + b] == (uint8_t)(at / BLOCK * 7 + at % 13);
        }
    }
    free(reads);
    free(buffers);
    return right;
}

static void engine_is(struct omi_env *env, const char *engine, const char *why)
{
    const char *is = "", *because = "";
    must(omi_env_io_engine(env, &is, &because));
    cr_assert_str_eq(is, engine, "%s: %s", is, because);
    if (why != NULL)
        cr_assert(strstr(because, why) != NULL, "%s", because);
}

Test(ring, a_batch_larger_than_the_queue_is_read_whole)
{
    struct omi_env *env = omi_env_posix(OMEN_IO_ENGINE_AUTO);
    for (unsigned round = 0; round < 20; round++)
        for (size_t count = 1; count < 1000; count = count * 3 + 1)
            cr_assert(batch_is_right(env, count, round), "%s", omen_last_error());
}

Test(ring, one_failing_read_leaves_the_others)
{
    struct omi_env *env = omi_env_posix(OMEN_IO_ENGINE_AUTO);
    static uint8_t buffers[200][BLOCK];
    struct omi_read reads[200];
    for (size_t i = 0; i < 200; i++)
        reads[i] =
            (struct omi_read){.file = file, .buffer = buffers[i], .off = i * BLOCK, .size = BLOCK};
    reads[7].off = UINT64_MAX - 5;
    reads[150].buffer = (void *)8; /* EFAULT */
    env->ops->read_batch(env, reads, 200);
    for (size_t i = 0; i < 200; i++) {
        if (i == 7 || i == 150)
            continue;
        must(reads[i].err);
        cr_assert_eq(reads[i].got, BLOCK);
        cr_assert_eq(buffers[i][0], (uint8_t)(i * 7 + i * BLOCK % 13));
    }
    cr_assert_eq(reads[7].err, OMEN_INVALID);
    cr_assert_eq(reads[150].err, OMEN_IO);
}

static void *batches(void *arg)
{
    unsigned salt = *(unsigned *)arg;
    bool right = true;
    for (unsigned i = 0; i < 50 && right; i++)
        right = batch_is_right(omi_env_posix(OMEN_IO_ENGINE_AUTO), 100, salt + i);
    return right ? arg : NULL;
}

Test(ring, every_thread_has_its_own_and_they_go_with_the_threads)
{
    for (unsigned round = 0; round < 20; round++) {
        pthread_t threads[4];
        unsigned salts[4];
        for (unsigned i = 0; i < 4; i++) {
            salts[i] = round * 4 + i;
            cr_assert_eq(pthread_create(&threads[i], NULL, batches, &salts[i]), 0);
        }
        for (unsigned i = 0; i < 4; i++) {
            void *right = NULL;
            pthread_join(threads[i], &right);
            cr_assert_not_null(right);
        }
    }
}

Test(ring, the_option_picks_pread)
{
    struct omi_env *env = omi_env_posix(OMEN_IO_ENGINE_PREAD);
    engine_is(env, "pread", "option");
    cr_assert(batch_is_right(env, 200, 1));
}

Test(ring, the_variable_picks_pread_for_auto_alone)
{
    setenv("OMENDB_IO_ENGINE", "pread", 1);
    engine_is(omi_env_posix(OMEN_IO_ENGINE_AUTO), "pread", "asked by OMENDB_IO_ENGINE");
    cr_assert(batch_is_right(omi_env_posix(OMEN_IO_ENGINE_AUTO), 200, 1));
    const char *engine = NULL, *why = NULL, *unused = NULL;
    if (omi_ring_usable(&unused)) {
        must(omi_env_io_engine(omi_env_posix(OMEN_IO_ENGINE_URING), &engine, &why));
        cr_assert_str_eq(engine, "io_uring");
    }
}

Test(ring, a_wrong_variable_is_named)
{
    setenv("OMENDB_IO_ENGINE", "aio", 1);
    const char *engine = NULL, *why = NULL;
    cr_assert_eq(omi_env_io_engine(omi_env_posix(OMEN_IO_ENGINE_AUTO), &engine, &why),
                 OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "OMENDB_IO_ENGINE is \"aio\"") != NULL, "%s",
              omen_last_error());
    cr_assert(batch_is_right(omi_env_posix(OMEN_IO_ENGINE_AUTO), 200, 1));
}

/* From here on this process gets EPERM from one system call. */
static void refuse(unsigned call)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter), 0);
}

Test(ring, a_refused_set_up_falls_back_and_says_why)
{
    refuse(SYS_io_uring_setup);
    engine_is(omi_env_posix(OMEN_IO_ENGINE_AUTO), "pread",
              "io_uring_setup: Operation not permitted");
    cr_assert(batch_is_right(omi_env_posix(OMEN_IO_ENGINE_AUTO), 200, 1));
    const char *engine = NULL, *why = NULL;
    cr_assert_eq(omi_env_io_engine(omi_env_posix(OMEN_IO_ENGINE_URING), &engine, &why),
                 OMEN_UNSUPPORTED);
    cr_assert(strstr(omen_last_error(), "Operation not permitted") != NULL, "%s",
              omen_last_error());
    cr_assert(batch_is_right(omi_env_posix(OMEN_IO_ENGINE_URING), 200, 1));
}

Test(ring, a_ring_refused_after_set_up_is_left_for_pread)
{
    struct omi_env *env = omi_env_posix(OMEN_IO_ENGINE_AUTO);
    cr_assert(batch_is_right(env, 200, 1));
    refuse(SYS_io_uring_enter);
    for (unsigned i = 0; i < 5; i++)
        cr_assert(batch_is_right(env, 200, i), "%s", omen_last_error());
}

Test(ring, a_child_of_fork_reads_by_pread)
{
    struct omi_env *env = omi_env_posix(OMEN_IO_ENGINE_AUTO);
    cr_assert(batch_is_right(env, 200, 1));
    const char *engine = NULL, *why = NULL;
    must(omi_env_io_engine(env, &engine, &why));
    bool had_ring = strcmp(engine, "io_uring") == 0;
    pid_t pid = fork();
    if (pid == 0) {
        bool right = batch_is_right(env, 200, 2) &&
                     omi_env_io_engine(env, &engine, &why) == OMEN_OK &&
                     (!had_ring || (strcmp(engine, "pread") == 0 && strstr(why, "fork") != NULL));
        _exit(right ? 0 : 1);
    }
    int status = -1;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    cr_assert(batch_is_right(env, 200, 3), "the parent's ring works on");
}

Test(ring, the_simulated_env_names_itself)
{
    struct omi_env *sim = omi_sim_create(1);
    engine_is(sim, "sim", NULL);
    omi_sim_destroy(sim);
}

#include "tests/unit/io/env_pair.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static char path[256];
static struct omi_env *env;
static struct omi_dir *dir;

static void setup(void)
{
    tmpdir_make(path, NULL);
    env = omi_env_posix(OMEN_IO_ENGINE_AUTO);
    must(omi_dir_open(env, path, false, &dir));
}

static void teardown(void)
{
    omi_dir_close(dir);
    tmpdir_remove(path);
}

TestSuite(env_posix, .init = setup, .fini = teardown, .timeout = 10);

static const char *in_dir(const char *name)
{
    static char full[400];
    snprintf(full, sizeof(full), "%s/%s", path, name);
    return full;
}

Test(env_posix, only_regular_files_are_opened)
{
    struct omi_file *file = NULL;
    file_put(dir, "real", "x", 1, false);
    cr_assert_eq(symlink("real", in_dir("link")), 0);
    cr_assert_eq(mkfifo(in_dir("pipe"), 0600), 0);
    cr_assert_eq(mkdir(in_dir("sub"), 0700), 0);
    cr_assert_eq(omi_file_open(dir, "link", OMI_OPEN_READ, 0, &file), OMEN_IO);
    cr_assert(strstr(omen_last_error(), "symbolic link") != NULL, "%s", omen_last_error());
    cr_assert_eq(omi_file_open(dir, "pipe", OMI_OPEN_READ, 0, &file), OMEN_IO);
    cr_assert(strstr(omen_last_error(), "not a regular file") != NULL, "%s", omen_last_error());
    cr_assert_eq(omi_file_open(dir, "sub", OMI_OPEN_READ, 0, &file), OMEN_IO);
    cr_assert_eq(omi_dir_lock(dir, "pipe", &file), OMEN_IO);
    cr_assert_eq(omi_dir_lock(dir, "link", &file), OMEN_IO);
}

Test(env_posix, files_and_directories_are_private)
{
    struct omi_dir *sub = NULL;
    struct stat st;
    umask(0);
    file_put(dir, "a", "x", 1, false);
    must(omi_dir_open(env, in_dir("sub"), true, &sub));
    omi_dir_close(sub);
    cr_assert_eq(stat(in_dir("a"), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0600);
    cr_assert_eq(stat(in_dir("sub"), &st), 0);
    cr_assert_eq(st.st_mode & 0777, 0700);
}

Test(env_posix, a_directory_of_another_user_is_not_locked)
{
    if (geteuid() != 0)
        cr_skip_test("needs root");
    cr_assert_eq(chmod(path, 0777), 0);
    pid_t pid = fork();
    if (pid == 0) {
        struct omi_file *file = NULL;
        bool refused = setuid(65534) == 0 && omi_dir_lock(dir, "LOCK", &file) == OMEN_INVALID &&
                       strstr(omen_last_error(), "belongs to user 0") != NULL;
        _exit(refused ? 0 : 1);
    }
    int status = 0;
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0);
    struct omi_file *file = NULL;
    must(omi_dir_lock(dir, "LOCK", &file)); /* root may */
    must(omi_file_close(file));
}

/* The child takes the lock, tells so, and waits to be killed. */
static pid_t lock_in_child(int ready)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct omi_dir *d = NULL;
    struct omi_file *lock = NULL;
    char answer =
        omi_dir_open(env, path, false, &d) == OMEN_OK && omi_dir_lock(d, "LOCK", &lock) == OMEN_OK
            ? 'y'
            : 'n';
    (void)!write(ready, &answer, 1);
    for (;;)
        pause();
}

Test(env_posix, another_process_holding_the_lock_is_named_and_its_death_frees_it)
{
    int ready[2];
    char answer = 0, words[64];
    cr_assert_eq(pipe(ready), 0);
    pid_t pid = lock_in_child(ready[1]);
    cr_assert_gt(pid, 0);
    cr_assert_eq(read(ready[0], &answer, 1), 1);
    cr_assert_eq(answer, 'y');
    struct omi_file *lock = NULL;
    cr_assert_eq(omi_dir_lock(dir, "LOCK", &lock), OMEN_BUSY);
    snprintf(words, sizeof(words), "locked by process %ld", (long)pid);
    cr_assert(strstr(omen_last_error(), words) != NULL, "%s", omen_last_error());
    cr_assert(strstr(omen_last_error(), path) != NULL, "%s", omen_last_error());
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    must(omi_dir_lock(dir, "LOCK", &lock));
    must(omi_file_close(lock));
    close(ready[0]);
    close(ready[1]);
}

Test(env_posix, a_lock_excludes_other_paths_to_the_same_file)
{
    struct omi_dir *other = NULL;
    struct omi_file *lock = NULL, *second = NULL;
    must(omi_dir_open(env, in_dir("."), false, &other));
    must(omi_dir_lock(dir, "LOCK", &lock));
    cr_assert_eq(omi_dir_lock(other, "LOCK", &second), OMEN_BUSY);
    must(omi_file_close(lock));
    must(omi_dir_lock(other, "LOCK", &second));
    must(omi_file_close(second));
    omi_dir_close(other);
}

Test(env_posix, too_many_open_files_names_the_limit)
{
    struct rlimit limit;
    struct omi_file *file = NULL;
    file_put(dir, "a", "x", 1, false);
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = 3;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    omen_err err = omi_file_open(dir, "a", OMI_OPEN_READ, 0, &file);
    limit.rlim_cur = before;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(err, OMEN_IO);
    cr_assert(strstr(omen_last_error(), "limit of 3 open files") != NULL, "%s", omen_last_error());
    cr_assert(strstr(omen_last_error(), "ulimit -n") != NULL, "%s", omen_last_error());
}

/* A direct handle reads and writes aligned pieces, and ends where the file ends. */
static void direct_round_trip(struct omi_dir *at, bool *was_direct)
{
    enum { BYTES = 3 * 4096 };
    struct omi_file *file = NULL;
    uint8_t *buffer = aligned_alloc(4096, BYTES);
    cr_assert_not_null(buffer);
    memset(buffer, 'd', BYTES);
    must(omi_file_open(at, "direct", OMI_OPEN_CREATE, OMI_OPEN_DIRECT, &file));
    must(omi_file_pwrite(file, buffer, BYTES, 0));
    must(env->ops->file_truncate(file, 10000));
    must(omi_file_sync(file));
    must(omi_file_close(file));

    must(omi_file_open(at, "direct", OMI_OPEN_READ, OMI_OPEN_DIRECT, &file));
    *was_direct = env->ops->file_direct(file);
    size_t got = 0;
    memset(buffer, 0, BYTES);
    must(omi_file_pread(file, buffer, BYTES, 0, &got));
    cr_assert_eq(got, 10000, "the unaligned end of the file is no error");
    cr_assert(buffer[0] == 'd' && buffer[9999] == 'd');
    must(omi_file_pread(file, buffer, 1024, 512, &got));
    cr_assert_eq(got, 1024);
    struct omi_read reads[3] = {
        {.file = file, .buffer = buffer, .off = 8192, .size = 4096},
        {.file = file, .buffer = buffer + 4096, .off = 512, .size = 512},
        {.file = file, .buffer = buffer + 8192, .off = 12288, .size = 4096},
    };
    env->ops->read_batch(env, reads, 3);
    must(reads[0].err);
    must(reads[1].err);
    must(reads[2].err);
    cr_assert_eq(reads[0].got, 10000 - 8192);
    cr_assert_eq(reads[1].got, 512);
    cr_assert_eq(reads[2].got, 0);
    must(omi_file_close(file));
    free(buffer);
}

Test(env_posix, direct_files_work_where_the_file_system_can_and_elsewhere_buffered)
{
    bool direct = false;
    direct_round_trip(dir, &direct);
    char shm[256];
    if (access("/dev/shm", W_OK) != 0)
        return;
    tmpdir_make(shm, "/dev/shm");
    struct omi_dir *memory = NULL;
    must(omi_dir_open(env, shm, false, &memory));
    direct_round_trip(memory, &direct);
    cr_assert(!direct, "memory has no direct reads");
    omi_dir_close(memory);
    tmpdir_remove(shm);
}

static void count_up(void *arg)
{
    ++*(int *)arg;
}

Test(env_posix, threads_start_and_join)
{
    int count = 0;
    void *thread = NULL;
    must(env->ops->thread_start(env, count_up, &count, &thread));
    env->ops->thread_join(env, thread);
    cr_assert_eq(count, 1);
}

Test(env_posix, offsets_past_any_file_are_refused)
{
    struct omi_file *file = NULL;
    char buffer[4];
    size_t got = 0;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    cr_assert_eq(omi_file_pread(file, buffer, 4, UINT64_MAX - 1, &got), OMEN_INVALID);
    cr_assert_eq(omi_file_pwrite(file, buffer, 4, (uint64_t)INT64_MAX - 1), OMEN_INVALID);
    cr_assert_eq(env->ops->file_truncate(file, UINT64_MAX), OMEN_INVALID);
    must(omi_file_close(file));
}

Test(env_posix, a_write_cut_short_goes_on_and_then_tells_the_error)
{
    struct rlimit limit = {4096, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct omi_file *file = NULL;
    uint8_t bytes[8192] = {0};
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    cr_assert_eq(omi_file_pwrite(file, bytes, sizeof(bytes), 0), OMEN_IO, "short, then EFBIG");
    cr_assert(strstr(omen_last_error(), "/a: writing 8192 bytes at 0") != NULL, "%s",
              omen_last_error());
    uint64_t size = 0;
    must(omi_file_size(file, &size));
    cr_assert_eq(size, 4096);
    must(omi_file_close(file));
}

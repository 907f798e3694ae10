/*
 * refused.c - a kernel that refuses io_uring, O_DIRECT or both changes no answer. Children under a
 * seccomp filter open a copy of the same database and do the same work: gets, multi-gets, scans,
 * writes, a merge, a reopen, a verify. A sum of all answers is compared, and what omen_stats says of
 * the engine. Skipped where seccomp itself is not permitted.
 *
 *   refused [--seed S] [--dir DIR]
 */
#include "io/base/slice.h"
#include "io/env.h"
#include "tests/model.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#define THIS_MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define THIS_MACHINE AUDIT_ARCH_AARCH64
#else
#define THIS_MACHINE 0 /* nothing to filter by: skipped */
#endif

enum { KEYS = 12000, GROUP = 48, VALUE_MAX = 300, SKIPPED = 77, FILTER_MAX = 24 };

struct refusal {
    const char *name;
    int uring_errno; /* 0: not refused */
    bool direct;     /* refused */
    const char *engine_variable;
};
static const struct refusal refusals[] = {
    {"nothing", 0, false, NULL},         {"uring-enosys", ENOSYS, false, NULL},
    {"uring-eperm", EPERM, false, NULL}, {"direct", 0, true, NULL},
    {"both", ENOSYS, true, NULL},        {"by-variable", 0, false, "pread"},
};
enum { REFUSALS = sizeof(refusals) / sizeof(refusals[0]) };
static const char *const io_modes[] = {"buffered", "direct"};

/* ---- the filter ------------------------------------------------------------------------------ */

struct filter {
    struct sock_filter code[FILTER_MAX];
    unsigned short count;
};

static void emit(struct filter *f, struct sock_filter one)
{
    if (f->count == FILTER_MAX)
        fail_now("the filter is too long");
    f->code[f->count++] = one;
}

static void emit_load(struct filter *f, size_t off)
{
    emit(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)off));
}

/* Goes on when it compares so, else jumps over skip instructions. */
static void emit_if(struct filter *f, unsigned how, uint32_t with, unsigned skip)
{
    emit(f,
         (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | BPF_K | how), with, 0, (uint8_t)skip));
}

static void emit_return(struct filter *f, uint32_t action)
{
    emit(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

/* The low half of an argument, which has all flags; both machines are little-endian. */
static void emit_load_arg(struct filter *f, size_t index)
{
    emit_load(f, offsetof(struct seccomp_data, args) + index * 8);
}

static void filter_build(struct filter *f, const struct refusal *r)
{
    const uint32_t wrong = SECCOMP_RET_ERRNO | EINVAL;
    emit_load(f, offsetof(struct seccomp_data, arch));
    emit_if(f, BPF_JEQ, THIS_MACHINE, 1);
    emit_load(f, offsetof(struct seccomp_data, nr)); /* of another machine: no number matches */
    if (r->uring_errno != 0) {
        emit_if(f, BPF_JEQ, SYS_io_uring_setup, 1);
        emit_return(f, SECCOMP_RET_ERRNO | (uint32_t)r->uring_errno);
    }
    if (r->direct) {
        emit_if(f, BPF_JEQ, SYS_openat, 4);
        emit_load_arg(f, 2);
        emit_if(f, BPF_JSET, O_DIRECT, 1);
        emit_return(f, wrong);
        emit_return(f, SECCOMP_RET_ALLOW);
        emit_if(f, BPF_JEQ, SYS_fcntl, 5);
        emit_load_arg(f, 1);
        emit_if(f, BPF_JEQ, F_SETFL, 3);
        emit_load_arg(f, 2);
        emit_if(f, BPF_JSET, O_DIRECT, 1);
        emit_return(f, wrong);
    }
    emit_return(f, SECCOMP_RET_ALLOW);
}

static void filter_check(const struct refusal *r, const char *dir)
{
    errno = 0;
    if (r->uring_errno != 0 &&
        (syscall(SYS_io_uring_setup, 1, NULL) != -1 || errno != r->uring_errno))
        fail_now("%s: io_uring_setup is not refused as it should be: %s", r->name, strerror(errno));
    errno = 0;
    if (r->direct && (openat(AT_FDCWD, dir, O_RDONLY | O_DIRECT) != -1 || errno != EINVAL))
        fail_now("%s: openat with O_DIRECT is not refused: %s", r->name, strerror(errno));
    errno = 0;
    if (r->direct && (fcntl(STDERR_FILENO, F_SETFL, O_DIRECT) != -1 || errno != EINVAL))
        fail_now("%s: fcntl with O_DIRECT is not refused: %s", r->name, strerror(errno));
}

static void filter_install(const struct refusal *r, const char *dir)
{
    if (r->uring_errno == 0 && !r->direct)
        return;
    struct filter f = {.count = 0};
    filter_build(&f, r);
    struct sock_fprog program = {.len = f.count, .filter = f.code};
    if (THIS_MACHINE == 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) {
        fprintf(stderr, "seccomp is not permitted here: %s\n",
                THIS_MACHINE == 0 ? "unknown machine" : strerror(errno));
        exit(SKIPPED);
    }
    filter_check(r, dir);
}

/* ---- the database ---------------------------------------------------------------------------- */

static omen_err open_db(const char *dir, const char *io_mode, omen_io_engine engine, omen_db **db)
{
    char text[64];
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .cache_bytes = 64u << 10, /* so that reads go to the files */
                      .io_engine = engine};
    snprintf(text, sizeof(text), "io_mode=%s,block_bytes=1K", io_mode);
    CHECK_OK(omen_options_from_string(text, &o));
    return omen_open(dir, &o, db);
}

/* Key number i is there when i is even; value 0 is none. */
static void put_value(omen_db *db, uint64_t i, uint64_t id)
{
    uint8_t key[MODEL_KEY_BYTES_MAX], value[VALUE_MAX];
    omen_slice k = omi_slice(key, key_make(KEYS_USER, i, key));
    if (id == 0) {
        CHECK_OK(omen_delete(db, NULL, k));
        return;
    }
    size_t size = value_size(id, VALUE_MAX);
    value_make(id, size, value);
    CHECK_OK(omen_put(db, NULL, k, omi_slice(value, size)));
}

static void make_db(const char *dir, uint64_t seed)
{
    omen_db *db;
    CHECK_OK(open_db(dir, "buffered", OMEN_IO_ENGINE_PREAD, &db));
    for (uint64_t i = 0; i < KEYS; i += 2)
        put_value(db, i, seed + i + 1);
    for (uint64_t i = 0; i < KEYS; i += 14)
        put_value(db, i, i % 28 == 0 ? 0 : seed + KEYS + i);
    CHECK_OK(omen_close(db));
}

/* ---- the answers, added up ------------------------------------------------------------------- */

static void sum_bytes(uint64_t *sum, const void *bytes, size_t size)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < size; i++)
        *sum = (*sum ^ b[i]) * UINT64_C(0x100000001b3);
    *sum = (*sum ^ size) * UINT64_C(0x100000001b3);
}

static void sum_answer(uint64_t *sum, omen_err err, omen_value *v)
{
    if (err != OMEN_NOT_FOUND)
        CHECK_OK(err);
    sum_bytes(sum, &err, sizeof(err));
    if (err == OMEN_OK) {
        sum_bytes(sum, v->data, v->size);
        omen_value_release(v);
    }
}

static void sum_gets(omen_db *db, uint64_t *sum)
{
    uint8_t key[MODEL_KEY_BYTES_MAX];
    for (uint64_t i = 0; i < KEYS; i += 5) {
        omen_value v;
        omen_err err = omen_get(db, NULL, omi_slice(key, key_make(KEYS_USER, i, key)), &v);
        sum_answer(sum, err, &v);
    }
}

static void sum_multi_gets(omen_db *db, uint64_t *sum)
{
    static uint8_t bytes[GROUP][MODEL_KEY_BYTES_MAX];
    omen_slice keys[GROUP];
    omen_value values[GROUP];
    omen_err errs[GROUP];
    for (uint64_t first = 0; first < KEYS; first += 97) {
        for (uint64_t i = 0; i < GROUP; i++)
            keys[i] = omi_slice(bytes[i], key_make(KEYS_USER, (first + i * 241) % KEYS, bytes[i]));
        CHECK_OK(omen_multi_get(db, NULL, GROUP, keys, values, errs));
        for (int i = 0; i < GROUP; i++)
            sum_answer(sum, errs[i], &values[i]);
    }
}

/* Returns how many entries there were. */
static uint64_t sum_scan(omen_db *db, bool forward, uint64_t *sum)
{
    omen_iter *it;
    uint64_t count = 0;
    CHECK_OK(omen_iter_open(db, NULL, &it));
    if (forward)
        omen_iter_seek_first(it);
    else
        omen_iter_seek_last(it);
    for (; omen_iter_valid(it); count++) {
        omen_slice k = omen_iter_key(it), v = omen_iter_value(it);
        sum_bytes(sum, k.data, k.size);
        sum_bytes(sum, v.data, v.size);
        if (forward)
            omen_iter_next(it);
        else
            omen_iter_prev(it);
    }
    CHECK_OK(omen_iter_status(it));
    omen_iter_close(it);
    return count;
}

static void sum_reads(omen_db *db, uint64_t *sum)
{
    sum_gets(db, sum);
    sum_multi_gets(db, sum);
    uint64_t forward = sum_scan(db, true, sum), backward = sum_scan(db, false, sum);
    if (forward != backward || forward < KEYS / 4)
        fail_now("%" PRIu64 " entries forward, %" PRIu64 " backward", forward, backward);
    sum_bytes(sum, &forward, sizeof(forward));
}

static void problem_say(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "verify: %s\n", text);
}

/* ---- a child --------------------------------------------------------------------------------- */

/* What is refused is not used, and the statistics say so. */
static void engine_check(omen_db *db, const struct refusal *r, omen_stats *s)
{
    *s = (omen_stats){.struct_bytes = sizeof(*s)};
    CHECK_OK(omen_get_stats(db, s));
    bool pread = strcmp(s->io_engine, "pread") == 0;
    if (!pread && (r->uring_errno != 0 || r->engine_variable != NULL))
        fail_now("%s: the engine is said to be %s", r->name, s->io_engine);
    /* Where io_uring cannot be had at all, that is a reason, too. */
    const char *why = r->engine_variable != NULL ? "OMENDB_IO_ENGINE" : "io_uring_setup: ";
    const char *how = r->uring_errno != 0 ? strerror(r->uring_errno) : "";
    if (pread && (strstr(s->io_why, why) == NULL || strstr(s->io_why, how) == NULL))
        fail_now("%s: the reason is said to be \"%s\"", r->name, s->io_why);
}

static void demand_check(const char *dir, const struct refusal *r)
{
    omen_db *db;
    if (r->uring_errno == 0)
        return;
    omen_err err = open_db(dir, "direct", OMEN_IO_ENGINE_URING, &db);
    if (err != OMEN_UNSUPPORTED || strstr(omen_last_error(), strerror(r->uring_errno)) == NULL)
        fail_now("%s: asking for io_uring: %s: %s", r->name, omen_err_name(err), omen_last_error());
}

struct first_table {
    char name[64];
};

static omen_err table_find(void *ctx, const struct omi_dir_entry *e)
{
    struct first_table *t = ctx;
    size_t size = strlen(e->name);
    if (size > 4 && size < sizeof(t->name) && strcmp(e->name + size - 4, ".sst") == 0)
        memcpy(t->name, e->name, size + 1);
    return OMEN_OK;
}

/* Is a table that is opened for direct reading read so? */
static bool direct_is_on(const char *path)
{
    struct omi_env *env = omi_env_posix(OMEN_IO_ENGINE_AUTO);
    struct first_table t = {""};
    struct omi_dir *dir;
    struct omi_file *file;
    CHECK_OK(omi_dir_open(env, path, false, &dir));
    CHECK_OK(omi_dir_list(dir, table_find, &t));
    if (t.name[0] == '\0')
        fail_now("%s has no table", path);
    CHECK_OK(omi_file_open(dir, t.name, OMI_OPEN_READ, OMI_OPEN_DIRECT, &file));
    bool on = env->ops->file_direct(file);
    CHECK_OK(omi_file_close(file));
    omi_dir_close(dir);
    return on;
}

static int child(const char *dir, const struct refusal *r, const char *io_mode, uint64_t seed)
{
    omen_db *db;
    omen_stats s;
    uint64_t sum = 0;
    filter_install(r, dir);
    demand_check(dir, r);
    bool direct = direct_is_on(dir);
    if (direct && r->direct)
        fail_now("%s: a file says that O_DIRECT is on", r->name);
    CHECK_OK(open_db(dir, io_mode, OMEN_IO_ENGINE_AUTO, &db));
    engine_check(db, r, &s);
    sum_reads(db, &sum);
    for (uint64_t i = 0; i < KEYS; i += 3)
        put_value(db, i, i % 9 == 0 ? 0 : seed + 7 * KEYS + i);
    sum_reads(db, &sum);
    CHECK_OK(omen_compact(db, NULL, NULL));
    sum_reads(db, &sum);
    CHECK_OK(omen_close(db));
    CHECK_OK(open_db(dir, io_mode, OMEN_IO_ENGINE_AUTO, &db));
    sum_reads(db, &sum);
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    CHECK_OK(omen_verify(db, &report, problem_say, NULL));
    sum_bytes(&sum, &report.entries, sizeof(report.entries));
    CHECK_OK(omen_close(db));
    printf("%016" PRIx64 " %s, O_DIRECT %s, %s", sum, s.io_engine, direct ? "on" : "off", s.io_why);
    return 0;
}

/* ---- the parent ------------------------------------------------------------------------------ */

/* A fresh process, since what a process found out about io_uring it keeps. Returns its exit code;
 * line gets what it said. */
static int child_run(char *const argv[], const char *engine_variable, char *line, size_t size)
{
    int ends[2], status;
    if (pipe(ends) != 0)
        fail_now("no pipe: %s", strerror(errno));
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        fail_now("no child: %s", strerror(errno));
    if (pid == 0) {
        if (engine_variable != NULL)
            setenv("OMENDB_IO_ENGINE", engine_variable, 1);
        else
            unsetenv("OMENDB_IO_ENGINE");
        dup2(ends[1], STDOUT_FILENO);
        close(ends[0]);
        close(ends[1]);
        execv("/proc/self/exe", argv);
        _exit(127);
    }
    close(ends[1]);
    size_t got = 0;
    ssize_t n;
    while (got + 1 < size && (n = read(ends[0], line + got, size - 1 - got)) > 0)
        got += (size_t)n;
    line[got] = '\0';
    close(ends[0]);
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        fail_now("a child was killed");
    return WEXITSTATUS(status);
}

/* False: skipped. */
static bool compare(char *program, const char *dir, unsigned refusal, unsigned mode, uint64_t seed,
                    uint64_t *sum)
{
    const struct refusal *r = &refusals[refusal];
    char path[300], number[16], seed_text[24], line[256];
    snprintf(path, sizeof(path), "%s/%s-%s", dir, r->name, io_modes[mode]);
    snprintf(number, sizeof(number), "%u", refusal * 2 + mode);
    snprintf(seed_text, sizeof(seed_text), "%" PRIu64, seed);
    char *argv[] = {program, (char[]){"--child"}, number, path, seed_text, NULL};
    int code = child_run(argv, r->engine_variable, line, sizeof(line));
    CHECK_OK(omen_destroy(path));
    if (code == SKIPPED)
        return false;
    if (code != 0)
        fail_now("%s, %s: the child failed with %d", r->name, io_modes[mode], code);
    printf("%-12s %-8s %s\n", r->name, io_modes[mode], line);
    uint64_t got = strtoull(line, NULL, 16);
    if (*sum != 0 && got != *sum)
        fail_now("%s, %s: other answers than when nothing is refused", r->name, io_modes[mode]);
    *sum = got;
    return true;
}

static void copies_make(const char *dir, uint64_t seed)
{
    char path[300];
    omen_db *db;
    snprintf(path, sizeof(path), "%s/made", dir);
    make_db(path, seed);
    CHECK_OK(open_db(path, "buffered", OMEN_IO_ENGINE_PREAD, &db));
    for (unsigned i = 0; i < REFUSALS * 2; i++) {
        char copy[300];
        snprintf(copy, sizeof(copy), "%s/%s-%s", dir, refusals[i / 2].name, io_modes[i % 2]);
        CHECK_OK(omen_checkpoint(db, copy));
    }
    CHECK_OK(omen_close(db));
    CHECK_OK(omen_destroy(path));
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL);
    char dir[200] = "";
    if (argc == 5 && strcmp(argv[1], "--child") == 0) {
        unsigned number = (unsigned)strtoul(argv[2], NULL, 10) % (REFUSALS * 2);
        seed = strtoull(argv[4], NULL, 10);
        replay_set("refused --seed %" PRIu64, seed);
        return child(argv[3], &refusals[number / 2], io_modes[number % 2], seed);
    }
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0)
            snprintf(dir, sizeof(dir), "%s", argv[i + 1]);
    }
    replay_set("refused --seed %" PRIu64, seed);
    bool own = dir[0] == '\0';
    if (own) {
        const char *base = getenv("TMPDIR");
        snprintf(dir, sizeof(dir), "%.150s/omendb-refused-XXXXXX", base != NULL ? base : "/tmp");
        if (mkdtemp(dir) == NULL)
            fail_now("no temporary directory");
    }
    copies_make(dir, seed);
    uint64_t sum = 0;
    unsigned done = 0;
    for (unsigned i = 0; i < REFUSALS * 2; i++)
        done += compare(argv[0], dir, i / 2, i % 2, seed, &sum);
    if (own)
        rmdir(dir);
    if (done == REFUSALS * 2)
        printf("refused: %u children, equal answers, seed %" PRIu64 "\n", done, seed);
    else
        printf("refused: skipped, seccomp is not permitted here (%u of %u children)\n", done,
               (unsigned)REFUSALS * 2);
    return 0;
}

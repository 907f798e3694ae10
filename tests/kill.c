/*
 * kill.c - kill -9 on a real directory: a child writes, counting in shared memory what was
 * acknowledged; the parent kills it at a random moment, opens the directory and checks that the
 * state is a prefix of the writes that holds everything acknowledged. Again and again on the same
 * directory.
 *
 *   kill [--kills N] [--seed S] [--dir DIR]
 */
#include "lsm/db.h"
#include "tests/filter_mix.h"
#include "tests/model.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 5000, BATCH = 3 };

/* Write number n (from 1) is a batch that sets BATCH keys to n: all or none of them. */
struct shared {
    _Atomic uint64_t issued, acked;
};

static uint64_t key_number(uint64_t seed, uint64_t n, int which)
{
    struct rng r = {seed ^ n * UINT64_C(0x2545f4914f6cdd1d)};
    for (int i = 0; i < which; i++)
        (void)rng_next(&r);
    return rng_below(&r, KEYS);
}

static uint64_t run_seed;

static omen_db *open_db(const char *dir)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING,
                      .memory_bytes = 8u << 20,
                      .memtable_bytes = 256u << 10,
                      .target_file_bytes = 128u << 10,
                      .background_jobs = 2};
    omen_db *db;
    filter_mix_choose(run_seed, &o);
    CHECK_OK(omen_open(dir, &o, &db));
    filter_mix_install(run_seed, db);
    return db;
}

static _Noreturn void write_until_killed(const char *dir, uint64_t seed, struct shared *s)
{
    omen_db *db = open_db(dir);
    omen_batch *b;
    uint8_t key[MODEL_KEY_BYTES_MAX], value[512];
    CHECK_OK(omen_batch_create(&b));
    for (uint64_t n = atomic_load(&s->acked) + 1;; n++) {
        omen_batch_clear(b);
        size_t size = 8 + n % 500;
        value_make(n, size, value);
        memcpy(value, &n, 8);
        for (int i = 0; i < BATCH; i++) {
            size_t k = key_make(KEYS_USER, key_number(seed, n, i), key);
            CHECK_OK(omen_batch_put(b, omi_slice(key, k), omi_slice(value, size)));
        }
        atomic_store(&s->issued, n);
        CHECK_OK(omen_write(db, NULL, b));
        atomic_store(&s->acked, n);
    }
}

/* The newest write number that set each key, among writes 1 to p, in expected. */
static void expect(uint64_t seed, uint64_t p, uint64_t *expected)
{
    memset(expected, 0, KEYS * sizeof(*expected));
    for (uint64_t n = 1; n <= p; n++)
        for (int i = 0; i < BATCH; i++)
            expected[key_number(seed, n, i)] = n;
}

static uint64_t check(const char *dir, uint64_t seed, const struct shared *s)
{
    static uint64_t expected[KEYS], got[KEYS];
    uint8_t key[MODEL_KEY_BYTES_MAX], value[512];
    omen_db *db = open_db(dir);
    uint64_t newest = 0;
    for (uint64_t i = 0; i < KEYS; i++) {
        omen_value v;
        omen_err err = omen_get(db, NULL, omi_slice(key, key_make(KEYS_USER, i, key)), &v);
        got[i] = 0;
        if (err == OMEN_NOT_FOUND)
            continue;
        CHECK_OK(err);
        memcpy(&got[i], v.data, 8);
        size_t size = 8 + got[i] % 500;
        value_make(got[i], size, value);
        memcpy(value, &got[i], 8);
        if (v.size != size || memcmp(v.data, value, size) != 0)
            fail_now("key %" PRIu64 " has a damaged value", i);
        omen_value_release(&v);
        newest = got[i] > newest ? got[i] : newest;
    }
    CHECK_OK(omen_close(db));
    if (newest < atomic_load(&s->acked))
        fail_now("write %" PRIu64 " was acknowledged, the newest found is %" PRIu64,
                 atomic_load(&s->acked), newest);
    if (newest > atomic_load(&s->issued))
        fail_now("write %" PRIu64 " was never issued", newest);
    expect(seed, newest, expected);
    for (uint64_t i = 0; i < KEYS; i++)
        if (expected[i] != got[i])
            fail_now("key %" PRIu64 " should be of write %" PRIu64 ", is of %" PRIu64
                     " (newest %" PRIu64 ")",
                     i, expected[i], got[i], newest);
    return newest;
}

int main(int argc, char **argv)
{
    uint64_t kills = 50, seed = (uint64_t)time(NULL);
    char dir[256] = "";
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--kills") == 0)
            kills = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0)
            snprintf(dir, sizeof(dir), "%s", argv[i + 1]);
    }
    if (dir[0] == 0) {
        snprintf(dir, sizeof(dir), "/tmp/omendb-kill-XXXXXX");
        if (mkdtemp(dir) == NULL)
            fail_now("no temporary directory");
    }
    run_seed = seed;
    replay_set("kill --seed %" PRIu64 " --kills %" PRIu64, seed, kills);
    struct shared *s =
        mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED)
        fail_now("no shared memory");
    struct rng r = {seed};
    for (uint64_t k = 0; k < kills; k++) {
        pid_t child = fork();
        if (child == 0)
            write_until_killed(dir, seed, s);
        usleep((useconds_t)(5000 + rng_below(&r, 150000)));
        kill(child, SIGKILL);
        int status;
        waitpid(child, &status, 0);
        if (!WIFSIGNALED(status))
            fail_now("the writer ended by itself with status %d", status);
        uint64_t newest = check(dir, seed, s);
        atomic_store(&s->issued, newest);
        atomic_store(&s->acked, newest);
    }
    printf("kill: %" PRIu64 " kills, %" PRIu64
           " writes, nothing acknowledged was lost, seed %" PRIu64 "\n",
           kills, atomic_load(&s->acked), seed);
    CHECK_OK(omen_destroy(dir));
    return 0;
}

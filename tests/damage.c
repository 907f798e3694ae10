/*
 * damage.c - every byte of a small database, in every file, gets one flipped bit. Opening and
 * reading must answer rightly or say CORRUPT: never a wrong answer, a crash, or a silent loss.
 *
 *   damage [--step N] [--seed S]     every N-th byte (default 1)
 */
#include "io/env_sim.h"
#include "lsm/db.h"
#include "tests/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 300, FILES_MAX = 64 };

struct file_list {
    char names[FILES_MAX][64];
    uint64_t sizes[FILES_MAX];
    uint32_t count;
};

static uint64_t detected, harmless;

static omen_err open_db(struct omi_env *env, omen_db **db)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .block_bytes = 1024};
    return omi_db_open(env, "/db", &o, db);
}

static size_t value_of(uint64_t i, uint64_t round, uint8_t *out)
{
    size_t size = 8 + value_size(i + round * KEYS, 200);
    value_make(i + round * KEYS, size, out);
    return size;
}

/* Round 0 is flushed, round 1 (every third key) stays in the log, synced; one write more is not
 * synced: it may be lost, and it tells that the others must not be. */
static void fill(omen_db *db)
{
    uint8_t key[MODEL_KEY_BYTES_MAX], value[512];
    omen_write_options sync = {.struct_bytes = sizeof(sync), .flags = OMEN_SYNC};
    for (uint64_t round = 0; round < 2; round++) {
        for (uint64_t i = 0; i < KEYS; i += round == 0 ? 1 : 3) {
            size_t k = key_make(KEYS_USER, i, key);
            CHECK_OK(
                omen_put(db, NULL, omi_slice(key, k), omi_slice(value, value_of(i, round, value))));
        }
        if (round == 0)
            CHECK_OK(omen_flush(db));
    }
    uint8_t last = 0;
    CHECK_OK(omen_put(db, &sync, omi_slice("zz", 2), omi_slice(&last, 1)));
    CHECK_OK(omen_put(db, NULL, omi_slice("zzz", 3), omi_slice(&last, 1)));
}

static omen_err list_one(void *ctx, const struct omi_dir_entry *e)
{
    struct file_list *l = ctx;
    if (strcmp(e->name, "LOCK") == 0 || strncmp(e->name, "LOG", 3) == 0 ||
        strcmp(e->name, "STATS") == 0 || l->count == FILES_MAX)
        return OMEN_OK;
    snprintf(l->names[l->count], sizeof(l->names[0]), "%s", e->name);
    l->sizes[l->count++] = e->bytes;
    return OMEN_OK;
}

/* Every answer is right, or the call says CORRUPT. */
static void check_answers(omen_db *db, const char *what)
{
    uint8_t key[MODEL_KEY_BYTES_MAX], value[512];
    uint64_t bad = 0;
    for (uint64_t i = 0; i < KEYS; i++) {
        size_t k = key_make(KEYS_USER, i, key), n = value_of(i, i % 3 == 0, value);
        omen_value v;
        omen_err err = omen_get(db, NULL, omi_slice(key, k), &v);
        if (err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED) {
            bad++;
            continue;
        }
        if (err != OMEN_OK)
            fail_now("%s: key %" PRIu64 " answers %s: %s", what, i, omen_err_name(err),
                     omen_last_error());
        if (v.size != n || memcmp(v.data, value, n) != 0)
            fail_now("%s: key %" PRIu64 " has a wrong value", what, i);
        omen_value_release(&v);
    }
    omen_iter *it;
    CHECK_OK(omen_iter_open(db, NULL, &it));
    uint64_t seen = 0;
    for (omen_iter_seek_first(it); omen_iter_valid(it); omen_iter_next(it))
        seen++;
    omen_err err = omen_iter_status(it);
    omen_iter_close(it);
    if (err == OMEN_OK && seen != KEYS + 1 && seen != KEYS + 2)
        fail_now("%s: a scan shows %" PRIu64 " of %d entries and no error", what, seen, KEYS + 2);
    if (bad != 0 || err != OMEN_OK)
        detected++;
    else
        harmless++;
}

static void check_one(struct omi_env *env, const char *what)
{
    omen_db *db;
    omen_err err = open_db(env, &db);
    if (err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED) {
        detected++;
        return;
    }
    if (err != OMEN_OK)
        fail_now("%s: open answers %s: %s", what, omen_err_name(err), omen_last_error());
    check_answers(db, what);
    CHECK_OK(omen_close(db));
}

static struct omi_env *clone_of(struct omi_env *env)
{
    struct omi_env *clone = omi_sim_crash(env, OMI_CRASH_KEEP_ALL, 1);
    if (clone == NULL)
        fail_now("no memory");
    return clone;
}

int main(int argc, char **argv)
{
    uint64_t step = 1, seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--step") == 0)
            step = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
    }
    replay_set("damage --step %" PRIu64 " --seed %" PRIu64, step, seed);
    struct omi_env *env = omi_sim_create(seed);
    struct rng rng = {seed};
    omen_db *db;
    if (env == NULL)
        fail_now("no memory");
    CHECK_OK(open_db(env, &db));
    fill(db);
    struct omi_env *image = clone_of(env); /* a killed process's directory: log and all */
    CHECK_OK(omen_close(db));
    omi_sim_destroy(env);

    struct file_list list = {.count = 0};
    struct omi_dir *dir;
    CHECK_OK(omi_dir_open(image, "/db", false, &dir));
    CHECK_OK(omi_dir_list(dir, list_one, &list));
    omi_dir_close(dir);
    for (uint32_t f = 0; f < list.count; f++) {
        for (uint64_t off = rng_below(&rng, step); off < list.sizes[f]; off += step) {
            char what[128];
            unsigned bit = (unsigned)rng_below(&rng, 8);
            struct omi_env *clone = clone_of(image);
            snprintf(what, sizeof(what), "%s, byte %" PRIu64 ", bit %u", list.names[f], off, bit);
            CHECK_OK(omi_sim_damage(clone, "/db", list.names[f], off, bit));
            check_one(clone, what);
            omi_sim_destroy(clone);
        }
        printf("damage: %-16s %8" PRIu64 " bytes\n", list.names[f], list.sizes[f]);
    }
    omi_sim_destroy(image);
    printf("damage: %" PRIu64 " flips, %" PRIu64 " detected, %" PRIu64
           " harmless, 0 wrong answers\n",
           detected + harmless, detected, harmless);
    if (detected == 0)
        fail_now("nothing was detected: the run proves nothing");
    return 0;
}

/*
 * crash.c - simulated crashes: at random steps of random work the file system is cloned as a crash
 * would leave it, in every mode; the clone is opened (and crashed again while it recovers) and must
 * equal the model after some prefix of the writes, at or beyond the last acknowledged sync, batches
 * whole. A mere process kill (everything kept) must lose nothing acknowledged.
 *
 *   crash [--points N] [--seed S] [--seconds T]
 */
#include "io/base/turns.h"
#include "io/env_sim.h"
#include "lsm/db.h"
#include "tests/filter_mix.h"
#include "tests/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS = 48, RUN_OPS = 400, VALUE_MAX = 3000, DEPTH_MAX = 2 };

/* The state after each write is a sum of one term a key, so that prefixes compare in O(1). */
struct history {
    uint64_t sums[RUN_OPS + 1]; /* after write i; [0]: empty */
    uint64_t issued;            /* writes begun */
    uint64_t acked;             /* writes whose call returned */
    uint64_t synced;            /* writes covered by a successful sync */
};

struct run {
    struct omi_env *env;
    omen_db *db;
    struct rng rng;
    enum key_family family;
    struct history history;
    uint64_t ids[KEYS];
    uint64_t next_id;
    bool threads;    /* flush and merge threads, taking turns with the writer */
    uint64_t one_in; /* a crash point at one step in so many */
    uint8_t *scratch;
    const char *options;
    uint64_t seed;
};

static uint64_t points, points_max, recovery_points, cut_points, thread_points, switches;
static uint64_t by_mode[OMI_CRASH_MODES];

static uint64_t term(uint64_t rank, uint64_t id)
{
    struct rng r = {rank * UINT64_C(0x100000001b3) + id};
    return id == 0 ? 0 : rng_next(&r);
}

static bool verbose;

static void say(void *ctx, int level, const char *line)
{
    (void)ctx;
    (void)level;
    fprintf(stderr, "    %s\n", line);
}

static omen_err open_db(const struct run *r, struct omi_env *env, bool threads, omen_db **db)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | (threads ? 0 : OMEN_INLINE_WORK),
                      .background_jobs = 2,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .cache_bytes = 64u << 10,
                      .block_bytes = 1024};
    CHECK_OK(omen_options_from_string(r->options, &o));
    filter_mix_choose(r->seed, &o);
    if (verbose)
        o.log = say;
    omen_err err = omi_db_open(env, "/db", &o, db);
    if (err == OMEN_OK)
        filter_mix_install(r->seed, *db);
    return err;
}

/* ---- after a crash --------------------------------------------------------------------------- */

static uint64_t read_state(struct run *r, omen_db *db)
{
    uint64_t sum = 0;
    uint8_t key[MODEL_KEY_BYTES_MAX];
    uint64_t found = 0, scanned = 0;
    for (uint64_t i = 0; i < KEYS; i++) {
        omen_value v;
        size_t n = key_make(r->family, i, key);
        omen_err err = omen_get(db, NULL, omi_slice(key, n), &v);
        if (err == OMEN_NOT_FOUND)
            continue;
        CHECK_OK(err);
        uint64_t id = 0;
        if (v.size < 8)
            fail_now("key %" PRIu64 " has a value of %zu bytes", i, v.size);
        memcpy(&id, v.data, 8);
        uint8_t *want = malloc(v.size);
        if (want == NULL)
            fail_now("no memory");
        value_make(id, v.size, want);
        memcpy(want, &id, 8);
        if (memcmp(want, v.data, v.size) != 0)
            fail_now("key %" PRIu64 ": value %" PRIu64 " is damaged", i, id);
        free(want);
        omen_value_release(&v);
        sum += term(i, id);
        found++;
    }
    omen_iter *it;
    CHECK_OK(omen_iter_open(db, NULL, &it));
    for (omen_iter_seek_first(it); omen_iter_valid(it); omen_iter_next(it))
        scanned++;
    CHECK_OK(omen_iter_status(it));
    omen_iter_close(it);
    if (scanned != found)
        fail_now("gets find %" PRIu64 " keys, a scan %" PRIu64, found, scanned);
    return sum;
}

/* kept: every crash on the way here kept everything. */
static void check_prefix(struct run *r, omen_db *db, enum omi_crash_mode mode, bool kept)
{
    const struct history *h = &r->history;
    uint64_t sum = read_state(r, db);
    uint64_t low = kept ? h->acked : h->synced;
    for (uint64_t p = low; p <= h->issued; p++)
        if (h->sums[p] == sum) {
            cut_points += p < h->acked;
            return;
        }
    for (uint64_t p = 0; p < low; p++)
        if (h->sums[p] == sum)
            fail_now("crash mode %d: recovered write %" PRIu64 ", but %" PRIu64
                     " were acknowledged as durable (%" PRIu64 " issued)",
                     mode, p, low, h->issued);
    fail_now("crash mode %d: the recovered state is no prefix of the writes (%" PRIu64
             " durable, %" PRIu64 " acknowledged, %" PRIu64 " issued)",
             mode, h->synced, h->acked, h->issued);
}

struct again { /* a crash during recovery */
    struct run *run;
    uint64_t at;
    int depth;
    bool kept;
    enum omi_crash_mode mode;
    struct omi_env *clone;
    uint64_t seed;
};

static void check_crash(struct run *r, struct omi_env *env, enum omi_crash_mode mode, uint64_t seed,
                        int depth, bool kept);

static void recovery_step(void *ctx, uint64_t number)
{
    struct again *a = ctx;
    if (number != a->at)
        return;
    recovery_points++;
    check_crash(a->run, a->clone, a->mode, a->seed, a->depth + 1, a->kept);
}

/* Clones env as a crash in mode would leave it, opens the clone, compares. */
static void check_crash(struct run *r, struct omi_env *env, enum omi_crash_mode mode, uint64_t seed,
                        int depth, bool kept)
{
    struct rng rng = {seed};
    kept = kept && mode == OMI_CRASH_KEEP_ALL;
    struct omi_env *clone = omi_sim_crash(env, mode, rng_next(&rng));
    if (clone == NULL)
        fail_now("no memory for a crash clone");
    struct again a = {.run = r,
                      .at = omi_sim_steps(clone) + 1 + rng_below(&rng, 24),
                      .depth = depth,
                      .kept = kept,
                      .mode = (enum omi_crash_mode)rng_below(&rng, OMI_CRASH_MODES),
                      .clone = clone,
                      .seed = rng_next(&rng)};
    if (depth < DEPTH_MAX && rng_one_in(&rng, 3))
        omi_sim_on_step(clone, recovery_step, &a);
    omen_db *db;
    omen_err err = open_db(r, clone, false, &db);
    if (err != OMEN_OK)
        fail_now("crash mode %d: the database does not open: %s: %s", mode, omen_err_name(err),
                 omen_last_error());
    check_prefix(r, db, mode, kept);
    omi_sim_on_step(clone, NULL, NULL);
    if (rng_one_in(&rng,
                   16)) { /* it also works on: a write, a clean close, and all is still there */
        uint64_t before = read_state(r, db);
        CHECK_OK(omen_close(db));
        CHECK_OK(open_db(r, clone, false, &db));
        if (read_state(r, db) != before)
            fail_now("crash mode %d: reopening after recovery shows another state", mode);
    }
    CHECK_OK(omen_close(db));
    omi_sim_destroy(clone);
    by_mode[mode]++;
    points++;
}

static void on_step(void *ctx, uint64_t number)
{
    struct run *r = ctx;
    (void)number;
    if (r->db == NULL || !rng_one_in(&r->rng, r->one_in))
        return;
    struct omi_turns *turns = omi_turns_here;
    omi_turns_here = NULL; /* the clone is looked at while all threads of the run stand still */
    check_crash(r, r->env, (enum omi_crash_mode)rng_below(&r->rng, OMI_CRASH_MODES),
                rng_next(&r->rng), 0, true);
    omi_turns_here = turns;
    thread_points += turns != NULL;
}

/* ---- the work -------------------------------------------------------------------------------- */

static omen_slice make_value(struct run *r, uint64_t id)
{
    size_t size = 8 + value_size(id, VALUE_MAX);
    value_make(id, size, r->scratch);
    memcpy(r->scratch, &id, 8);
    return omi_slice(r->scratch, size);
}

static void write_one(struct run *r, omen_batch *b)
{
    struct history *h = &r->history;
    uint8_t key[MODEL_KEY_BYTES_MAX];
    uint64_t sum = h->sums[h->issued];
    bool sync = rng_one_in(&r->rng, 12);
    omen_write_options wo = {.struct_bytes = sizeof(wo), .flags = sync ? OMEN_SYNC : 0};
    omen_batch_clear(b);
    for (uint64_t n = rng_one_in(&r->rng, 3) ? 1 + rng_below(&r->rng, 12) : 1; n > 0; n--) {
        uint64_t rank = rng_below(&r->rng, KEYS);
        omen_slice k = omi_slice(key, key_make(r->family, rank, key));
        uint64_t id = rng_one_in(&r->rng, 4) ? 0 : r->next_id++;
        if (id == 0)
            CHECK_OK(omen_batch_delete(b, k));
        else
            CHECK_OK(omen_batch_put(b, k, make_value(r, id)));
        sum += term(rank, id) - term(rank, r->ids[rank]);
        r->ids[rank] = id;
    }
    h->sums[++h->issued] = sum;
    CHECK_OK(omen_write(r->db, &wo, b));
    h->acked = h->issued;
    if (sync)
        h->synced = h->issued;
}

static void other_work(struct run *r)
{
    switch (rng_below(&r->rng, 12)) {
    case 0:
        CHECK_OK(omen_flush(r->db));
        break;
    case 1:
        CHECK_OK(omen_compact(r->db, NULL, NULL));
        break;
    case 2: {
        omen_db *db = r->db;
        r->db = NULL; /* no crash points while there is no handle to speak of */
        CHECK_OK(omen_close(db));
        r->history.synced = r->history.acked; /* close syncs the log */
        CHECK_OK(open_db(r, r->env, r->threads, &db));
        r->db = db;
        break;
    }
    case 3:
        CHECK_OK(omen_set_option(r->db, "size_ratio", rng_one_in(&r->rng, 2) ? "2" : "4"));
        break;
    default:
        CHECK_OK(omen_sync(r->db));
        r->history.synced = r->history.acked;
        break;
    }
}

static void run_once(uint64_t seed)
{
    static const char *const options[] = {"size_ratio=3,runs_upper=2",
                                          "size_ratio=2,runs_upper=1,codec_upper=zstd-fast",
                                          "size_ratio=4,runs_upper=4,runs_last=4"};
    struct run *r = calloc(1, sizeof(*r));
    omen_batch *b;
    if (r == NULL || (r->scratch = malloc(VALUE_MAX + 16)) == NULL)
        fail_now("no memory");
    replay_set("crash --seed %" PRIu64 " --points %" PRIu64, seed, points_max);
    r->rng.state = seed;
    r->seed = seed;
    r->family = (enum key_family)rng_below(&r->rng, KEY_FAMILIES);
    r->options = options[rng_below(&r->rng, 3)];
    r->one_in = 1 + rng_below(&r->rng, 12);
    r->next_id = 1;
    r->env = omi_sim_create(rng_next(&r->rng));
    if (r->env == NULL)
        fail_now("no memory");
    r->threads = rng_one_in(&r->rng, 2);
    if (r->threads)
        omi_sim_turns(r->env, rng_next(&r->rng), 1 + rng_below(&r->rng, 30));
    CHECK_OK(omen_batch_create(&b));
    CHECK_OK(open_db(r, r->env, r->threads, &r->db));
    omi_sim_on_step(r->env, on_step, r);
    uint64_t writes = 20 + rng_below(&r->rng, RUN_OPS - 20);
    while (r->history.issued < writes && points < points_max) {
        if (rng_one_in(&r->rng, 25))
            other_work(r);
        else
            write_one(r, b);
    }
    omi_sim_on_step(r->env, NULL, NULL);
    omen_batch_destroy(b);
    CHECK_OK(omen_close(r->db));
    switches += omi_sim_switches(r->env);
    omi_sim_destroy(r->env);
    free(r->scratch);
    free(r);
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL), seconds = 3600;
    points_max = 10000;
    verbose = getenv("OMENDB_TEST_VERBOSE") != NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--points") == 0)
            points_max = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seconds") == 0)
            seconds = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
    }
    time_t end = time(NULL) + (time_t)seconds;
    uint64_t first = seed, runs = 0;
    for (; points < points_max && time(NULL) < end; seed++, runs++)
        run_once(seed);
    printf("crash: %" PRIu64 " points in %" PRIu64 " runs (%" PRIu64 " during recovery, %" PRIu64
           " among threads that took %" PRIu64 " turns, %" PRIu64
           " lost an unsynced tail), seeds from %" PRIu64 ", 0 violations\n",
           points, runs, recovery_points, thread_points, switches, cut_points, first);
    filter_mix_tell("crash");
    printf("crash: by mode");
    for (int m = 0; m < OMI_CRASH_MODES; m++)
        printf(" %" PRIu64, by_mode[m]);
    printf("\n");
    return points >= points_max || time(NULL) >= end ? 0 : 1;
}

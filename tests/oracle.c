/*
 * oracle.c - random operations against a map in memory, under many option sets; every answer
 * compared.
 *
 *   oracle [--ops N] [--seed S] [--set I]     N operations in each set; one set, or all
 *
 * Sets differ in shape, codec, filter, key family, comparator, and in where they run: the sim env
 * (deterministic; work inline, or threads that take turns) or a real directory with background threads.
 */
#include "io/env_sim.h"
#include "lsm/db.h"
#include "tests/filter_mix.h"
#include "tests/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEYS = 1500, SNAPSHOTS = 4, VALUE_MAX = 9000, MULTI = 40 };

/* Where a set runs: in the sim env, work inline or by threads that take turns; or a real directory. */
enum place { INLINE, TURNS, REAL };

struct set {
    const char *name, *options;
    enum key_family family;
    enum place place;
    bool reverse, mixed; /* mixed: filters of any shape */
    const omen_filter_policy *policy;
};

static const struct set sets[] = {
    {"lazy-leveling", "size_ratio=3,runs_upper=4,runs_last=1,range_filter=on", KEYS_BE64, INLINE,
     false, false, NULL},
    {"leveling", "size_ratio=4,runs_upper=1,runs_last=1,codec_last=zstd", KEYS_USER, INLINE, false,
     false, NULL},
    {"tiering K=8", "size_ratio=9,runs_upper=8,runs_last=8,range_filter=on", KEYS_NESTED, INLINE,
     false, false, NULL},
    {"T=2", "size_ratio=2,runs_upper=2,runs_last=1,codec_upper=zstd-fast,range_filter=on",
     KEYS_LONG_PREFIX, INLINE, false, false, NULL},
    {"no filter", "size_ratio=3,filter_bits=none,block_bytes=8K", KEYS_BINARY, INLINE, false, false,
     NULL},
    {"comparator", "size_ratio=3,runs_upper=3", KEYS_USER, INLINE, true, false, NULL},
    {"comparator, nested", "size_ratio=3,runs_upper=2,codec_last=zstd", KEYS_NESTED, INLINE, true,
     false, NULL},
    {"turns", "size_ratio=3,runs_upper=4,background_jobs=2,range_filter=on", KEYS_NESTED, TURNS,
     false, false, NULL},
    {"turns, tiering", "size_ratio=4,runs_upper=8,runs_last=8,background_jobs=3", KEYS_USER, TURNS,
     false, false, NULL},
    {"threads", "size_ratio=3,runs_upper=4,background_jobs=2,range_filter=on", KEYS_USER, REAL,
     false, false, NULL},
    {"threads, tiering", "size_ratio=4,runs_upper=8,runs_last=8,background_jobs=2", KEYS_BINARY,
     REAL, false, false, NULL},
    {"threads, pread", "size_ratio=3,goal=space,io_engine=pread,io_mode=direct", KEYS_LONG_PREFIX,
     REAL, false, false, NULL},
    {"filters of any shape", "size_ratio=3,runs_upper=4,filter_bytes=4K,range_filter=on",
     KEYS_NESTED, INLINE, false, true, NULL},
    {"learned, no floor", "size_ratio=3,runs_upper=3,filter_floor=none,range_filter=on", KEYS_BE64,
     INLINE, false, false, NULL},
    {"ribbons", "size_ratio=4,runs_upper=1,filter=ribbon,filter_bytes=64K", KEYS_LONG_PREFIX,
     INLINE, false, false, NULL},
    {"a filter policy", "size_ratio=3,runs_upper=4,range_filter=on", KEYS_BINARY, INLINE, false,
     false, &filter_mix_policy},
    {"turns, filters of any shape",
     "size_ratio=3,filter_bytes=8K,background_jobs=2,range_filter=on", KEYS_USER, TURNS, false,
     true, NULL},
    {"threads, filters of any shape", "size_ratio=3,filter_bytes=8K,background_jobs=2", KEYS_BINARY,
     REAL, false, true, NULL},
};
enum { SETS = sizeof(sets) / sizeof(sets[0]) };

struct state { /* value id by rank of the key; 0: absent */
    uint64_t ids[KEYS];
};

struct world {
    const struct set *set;
    struct rng rng;
    struct omi_env *env;
    char dir[64];
    omen_db *db;
    uint8_t keys[KEYS][MODEL_KEY_BYTES_MAX]; /* in the database's order */
    size_t key_sizes[KEYS];
    struct state now;
    omen_snapshot *snapshots[SNAPSHOTS];
    struct state *pasts[SNAPSHOTS];
    uint64_t next_id, operations;
    uint8_t *scratch;
};

static int reverse_compare(void *ctx, omen_slice a, omen_slice b)
{
    (void)ctx;
    return omi_bytes_compare(b.data, b.size, a.data, a.size);
}
static const omen_comparator reverse = {"test.reverse", reverse_compare, NULL};

static omen_slice key_of(const struct world *w, size_t rank)
{
    return omi_slice(w->keys[rank], w->key_sizes[rank]);
}

static const struct set *sorting;
static int sort_keys(const void *a, const void *b)
{
    const size_t *x = a, *y = b;
    uint8_t kx[MODEL_KEY_BYTES_MAX], ky[MODEL_KEY_BYTES_MAX];
    size_t nx = key_make(sorting->family, *x, kx), ny = key_make(sorting->family, *y, ky);
    int c = omi_bytes_compare(kx, nx, ky, ny);
    return sorting->reverse ? -c : c;
}

static void make_keys(struct world *w)
{
    static size_t order[KEYS];
    for (size_t i = 0; i < KEYS; i++)
        order[i] = i;
    sorting = w->set;
    qsort(order, KEYS, sizeof(order[0]), sort_keys);
    for (size_t i = 0; i < KEYS; i++)
        w->key_sizes[i] = key_make(w->set->family, order[i], w->keys[i]);
}

static void open_db(struct world *w)
{
    omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_CREATE_IF_MISSING};
    o.memory_bytes = 4u << 20;
    o.memtable_bytes = 64u << 10;
    o.target_file_bytes = 64u << 10;
    o.block_bytes = 1024;
    if (w->set->place == INLINE)
        o.flags |= OMEN_INLINE_WORK;
    CHECK_OK(omen_options_from_string(w->set->options, &o));
    if (w->set->reverse)
        o.comparator = &reverse;
    o.filter_policy = w->set->policy;
    CHECK_OK(omi_db_open(w->env, w->dir, &o, &w->db));
    if (w->set->mixed)
        atomic_store(&w->db->tenv.make_filter, filter_mix);
}

/* ---- checking -------------------------------------------------------------------------------- */

static void check_value(struct world *w, size_t rank, uint64_t id, omen_slice got, const char *how)
{
    size_t size = value_size(id, VALUE_MAX);
    value_make(id, size, w->scratch);
    if (!omi_bytes_equal(got.data, got.size, w->scratch, size))
        fail_now("%s: key %zu has %zu bytes that are not value %" PRIu64, how, rank, got.size, id);
}

static void check_get(struct world *w, const struct state *s, const omen_read_options *ro,
                      size_t rank)
{
    omen_value value;
    omen_err err = omen_get(w->db, ro, key_of(w, rank), &value);
    if (s->ids[rank] == 0) {
        if (err != OMEN_NOT_FOUND)
            fail_now("get: key %zu is absent, got %s (%s)", rank, omen_err_name(err),
                     omen_last_error());
        return;
    }
    if (err != OMEN_OK)
        fail_now("get: key %zu is value %" PRIu64 ", got %s (%s)", rank, s->ids[rank],
                 omen_err_name(err), omen_last_error());
    check_value(w, rank, s->ids[rank], omi_slice(value.data, value.size), "get");
    omen_value_release(&value);
}

static void check_multi_get(struct world *w, const struct state *s, const omen_read_options *ro)
{
    size_t ranks[MULTI], n = 1 + rng_below(&w->rng, MULTI);
    omen_slice keys[MULTI];
    omen_value values[MULTI];
    omen_err errs[MULTI];
    for (size_t i = 0; i < n; i++) {
        ranks[i] = rng_below(&w->rng, KEYS);
        keys[i] = key_of(w, ranks[i]);
    }
    CHECK_OK(omen_multi_get(w->db, ro, n, keys, values, errs));
    for (size_t i = 0; i < n; i++) {
        uint64_t id = s->ids[ranks[i]];
        if ((id == 0) != (errs[i] == OMEN_NOT_FOUND))
            fail_now("multi_get: key %zu should be value %" PRIu64 ", got %s", ranks[i], id,
                     omen_err_name(errs[i]));
        if (id != 0) {
            check_value(w, ranks[i], id, omi_slice(values[i].data, values[i].size), "multi_get");
            omen_value_release(&values[i]);
        }
    }
}

/* The present rank at or after (step 1) or before (step -1) from, within [low, high); -1: none. */
static long present(const struct state *s, long from, int step, long low, long high)
{
    for (long r = from; r >= low && r < high; r += step)
        if (s->ids[r] != 0)
            return r;
    return -1;
}

static void check_position(struct world *w, const struct state *s, omen_iter *it, long rank,
                           const char *how)
{
    CHECK_OK(omen_iter_status(it));
    if ((rank >= 0) != (omen_iter_valid(it) != 0))
        fail_now("%s: should stand at %ld, valid is %d", how, rank, omen_iter_valid(it));
    if (rank < 0)
        return;
    omen_slice key = omen_iter_key(it), want = key_of(w, (size_t)rank);
    if (!omi_bytes_equal(key.data, key.size, want.data, want.size))
        fail_now("%s: should stand at key %ld, stands at another of %zu bytes", how, rank,
                 key.size);
    check_value(w, (size_t)rank, s->ids[rank], omen_iter_value(it), how);
}

/* A random walk within random bounds, compared at each step. */
static void check_walk(struct world *w, const struct state *s, omen_read_options ro)
{
    long low = 0, high = KEYS;
    if (rng_one_in(&w->rng, 3)) {
        low = (long)rng_below(&w->rng, KEYS);
        ro.flags |= OMEN_HAS_LOWER;
        ro.lower = key_of(w, (size_t)low);
    }
    if (rng_one_in(&w->rng, 3)) {
        high = (long)rng_below(&w->rng, KEYS);
        ro.flags |= OMEN_HAS_UPPER;
        ro.upper = key_of(w, (size_t)high);
    }
    omen_iter *it;
    CHECK_OK(omen_iter_open(w->db, &ro, &it));
    long at = -1;
    long seek = (long)rng_below(&w->rng, KEYS);
    switch (rng_below(&w->rng, 4)) {
    case 0:
        omen_iter_seek_first(it);
        at = present(s, low, 1, low, high);
        break;
    case 1:
        omen_iter_seek_last(it);
        at = present(s, high - 1, -1, low, high);
        break;
    case 2:
        omen_iter_seek(it, key_of(w, (size_t)seek));
        at = present(s, seek < low ? low : seek, 1, low, high);
        break;
    default:
        omen_iter_seek_for_prev(it, key_of(w, (size_t)seek));
        at = present(s, seek >= high ? high - 1 : seek, -1, low, high);
        break;
    }
    check_position(w, s, it, at, "seek");
    int bias = rng_one_in(&w->rng, 2) ? 1 : -1;
    for (size_t steps = rng_below(&w->rng, 60); steps > 0 && at >= 0; steps--) {
        int step = rng_one_in(&w->rng, 8) ? -bias : bias;
        if (step > 0)
            omen_iter_next(it);
        else
            omen_iter_prev(it);
        at = present(s, at + step, step, low, high);
        check_position(w, s, it, at, step > 0 ? "next" : "prev");
        w->operations++;
    }
    omen_iter_close(it);
}

static void check_all(struct world *w)
{
    omen_read_options ro = {.struct_bytes = sizeof(ro)};
    omen_iter *it;
    CHECK_OK(omen_iter_open(w->db, &ro, &it));
    omen_iter_seek_first(it);
    for (long at = present(&w->now, 0, 1, 0, KEYS);; at = present(&w->now, at + 1, 1, 0, KEYS)) {
        check_position(w, &w->now, it, at, "full scan");
        if (at < 0)
            break;
        omen_iter_next(it);
    }
    omen_iter_close(it);
    for (size_t i = 0; i < KEYS; i++)
        check_get(w, &w->now, NULL, i);
}

/* ---- operations ------------------------------------------------------------------------------ */

static void do_put(struct world *w)
{
    size_t rank = rng_below(&w->rng, KEYS);
    uint64_t id = w->next_id++;
    size_t size = value_size(id, VALUE_MAX);
    value_make(id, size, w->scratch);
    omen_write_options wo = {.struct_bytes = sizeof(wo),
                             .flags = rng_one_in(&w->rng, 200) ? OMEN_SYNC : 0};
    CHECK_OK(omen_put(w->db, &wo, key_of(w, rank), omi_slice(w->scratch, size)));
    w->now.ids[rank] = id;
}

static void do_delete(struct world *w)
{
    size_t rank = rng_below(&w->rng, KEYS);
    CHECK_OK(omen_delete(w->db, NULL, key_of(w, rank)));
    w->now.ids[rank] = 0;
}

static void do_batch(struct world *w)
{
    omen_batch *b;
    CHECK_OK(omen_batch_create(&b));
    for (size_t n = 1 + rng_below(&w->rng, 30); n > 0; n--) {
        size_t rank = rng_below(&w->rng, KEYS);
        if (rng_one_in(&w->rng, 3)) {
            CHECK_OK(omen_batch_delete(b, key_of(w, rank)));
            w->now.ids[rank] = 0;
        } else {
            uint64_t id = w->next_id++;
            size_t size = value_size(id, VALUE_MAX);
            value_make(id, size, w->scratch);
            CHECK_OK(omen_batch_put(b, key_of(w, rank), omi_slice(w->scratch, size)));
            w->now.ids[rank] = id;
        }
    }
    CHECK_OK(omen_write(w->db, NULL, b));
    omen_batch_destroy(b);
}

static void do_snapshot(struct world *w)
{
    size_t i = rng_below(&w->rng, SNAPSHOTS);
    if (w->snapshots[i] != NULL) {
        omen_snapshot_release(w->snapshots[i]);
        w->snapshots[i] = NULL;
        return;
    }
    CHECK_OK(omen_snapshot_create(w->db, &w->snapshots[i]));
    *w->pasts[i] = w->now;
}

static void do_shape(struct world *w)
{
    static const char *const names[] = {"size_ratio", "runs_upper", "runs_last",
                                        "runs_1",     "runs_2",     "filter_bits"};
    static const uint64_t lows[] = {2, 1, 1, 0, 0, 1}, spans[] = {8, 8, 4, 9, 9, 14};
    /* With each number of bits another of these, too. */
    static const char *const filters[][2] = {
        {"filter", "plain"},      {"filter", "learned"},   {"filter", "ribbon"},
        {"filter_floor", "none"}, {"filter_floor", "125"}, {"filter_floor", "5"},
        {"filter_bytes", "4K"},   {"filter_bytes", "64K"}, {"filter_bytes", "1M"},
        {"range_filter", "on"},   {"range_filter", "off"}, {"range_filter", "auto"},
        {"filter_bits", "none"},  {"filter_bits", "12"}};
    size_t i = rng_below(&w->rng, 6);
    uint64_t v = rng_below(&w->rng, spans[i]);
    char value[24];
    snprintf(value, sizeof(value), "%" PRIu64, lows[i] + v);
    CHECK_OK(omen_set_option(w->db, names[i], value));
    if (i == 5)
        CHECK_OK(omen_set_option(w->db, filters[v][0], filters[v][1]));
}

static void release_snapshots(struct world *w)
{
    for (size_t i = 0; i < SNAPSHOTS; i++) {
        omen_snapshot_release(w->snapshots[i]);
        w->snapshots[i] = NULL;
    }
}

static void do_reopen(struct world *w)
{
    release_snapshots(w);
    CHECK_OK(omen_close(w->db));
    open_db(w);
}

static void do_compact(struct world *w)
{
    if (rng_one_in(&w->rng, 3)) {
        CHECK_OK(omen_compact(w->db, NULL, NULL));
        return;
    }
    size_t a = rng_below(&w->rng, KEYS), b = rng_below(&w->rng, KEYS);
    omen_slice first = key_of(w, a < b ? a : b), last = key_of(w, a < b ? b : a);
    CHECK_OK(omen_compact(w->db, &first, &last));
}

static void do_read(struct world *w)
{
    omen_read_options ro = {.struct_bytes = sizeof(ro)};
    const struct state *s = &w->now;
    size_t i = rng_below(&w->rng, SNAPSHOTS * 3);
    if (i < SNAPSHOTS && w->snapshots[i] != NULL) {
        ro.snapshot = w->snapshots[i];
        s = w->pasts[i];
    }
    uint64_t kind = rng_below(&w->rng, 20);
    if (kind < 14)
        check_get(w, s, &ro, rng_below(&w->rng, KEYS));
    else if (kind < 17)
        check_multi_get(w, s, &ro);
    else
        check_walk(w, s, ro);
}

static void do_one(struct world *w)
{
    uint64_t op = rng_below(&w->rng, 100000);
    if (op < 30000)
        do_put(w);
    else if (op < 36000)
        do_delete(w);
    else if (op < 38000)
        do_batch(w);
    else if (op < 38300)
        do_snapshot(w);
    else if (op < 38320)
        CHECK_OK(omen_flush(w->db));
    else if (op < 38326)
        do_compact(w);
    else if (op < 38346)
        do_shape(w);
    else if (op < 38352)
        do_reopen(w);
    else if (op < 38354)
        check_all(w);
    else
        do_read(w);
    w->operations++;
}

/* ---- running --------------------------------------------------------------------------------- */

static void verify_problem(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "verify: %s\n", text);
}

static void finish(struct world *w)
{
    check_all(w);
    do_reopen(w);
    check_all(w);
    CHECK_OK(omen_compact(w->db, NULL, NULL));
    CHECK_OK(omen_wait_idle(w->db));
    check_all(w);
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    CHECK_OK(omen_verify(w->db, &report, verify_problem, NULL));
    omen_stats s = {.struct_bytes = sizeof(s)};
    CHECK_OK(omen_get_stats(w->db, &s));
    if (!w->set->reverse && s.index_grid_hits + s.index_keyed_compares == 0)
        fail_now("no lookup went through a block index");
    if (s.flushes == 0 || s.merges == 0)
        fail_now("%" PRIu64 " flushes and %" PRIu64 " merges: the run proves nothing", s.flushes,
                 s.merges);
    release_snapshots(w);
    CHECK_OK(omen_close(w->db));
    CHECK_OK(omi_db_destroy(w->env, w->dir));
}

static uint64_t run_set(size_t index, uint64_t seed, uint64_t ops)
{
    struct world *w = calloc(1, sizeof(*w));
    if (w == NULL || (w->scratch = malloc(VALUE_MAX + 8)) == NULL)
        fail_now("no memory");
    for (size_t i = 0; i < SNAPSHOTS; i++)
        if ((w->pasts[i] = calloc(1, sizeof(struct state))) == NULL)
            fail_now("no memory");
    w->set = &sets[index];
    w->rng.state = seed * 1000 + index;
    w->next_id = 1;
    replay_set("oracle --set %zu --seed %" PRIu64 " --ops %" PRIu64, index, seed, ops);
    if (w->set->place == REAL) {
        snprintf(w->dir, sizeof(w->dir), "/tmp/omendb-oracle-XXXXXX");
        if (mkdtemp(w->dir) == NULL)
            fail_now("no temporary directory");
        w->env = omi_env_posix(OMEN_IO_ENGINE_AUTO);
    } else {
        snprintf(w->dir, sizeof(w->dir), "/db");
        w->env = omi_sim_create(seed);
        if (w->env != NULL && w->set->place == TURNS)
            omi_sim_turns(w->env, seed, 8);
    }
    make_keys(w);
    open_db(w);
    for (uint64_t i = 0; i < ops; i++)
        do_one(w);
    finish(w);
    uint64_t done = w->operations;
    if (w->set->place != REAL)
        omi_sim_destroy(w->env);
    for (size_t i = 0; i < SNAPSHOTS; i++)
        free(w->pasts[i]);
    free(w->scratch);
    free(w);
    return done;
}

int main(int argc, char **argv)
{
    uint64_t ops = 100000, seed = 1;
    long only = -1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--ops") == 0)
            ops = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--set") == 0)
            only = strtol(argv[i + 1], NULL, 10);
    }
    uint64_t total = 0;
    for (size_t i = 0; i < SETS; i++) {
        if (only >= 0 && (size_t)only != i)
            continue;
        uint64_t done = run_set(i, seed, ops);
        printf("oracle: %-20s %-12s %9" PRIu64 " operations, 0 differences\n", sets[i].name,
               key_family_name(sets[i].family), done);
        fflush(stdout);
        total += done;
    }
    printf("oracle: %" PRIu64 " operations in all, seed %" PRIu64 "\n", total, seed);
    return 0;
}

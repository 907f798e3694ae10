/* stress_check.c - a whole database against the expected states: after crashes, and between rounds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/stress.h"

enum { GETS_MAX = 400 };

/* ---- which writes are in it ------------------------------------------------------------------ */

/* If write p of thread is there, so is all that it had seen acknowledged. */
static void check_seen(const struct stress_run *run, uint32_t thread,
                       const uint64_t prefixes[static STRESS_THREADS_MAX])
{
    const struct stress_shared *s = &run->page->of[thread];
    uint64_t p = prefixes[thread], issued = atomic_load(&s->issued);
    if (p == 0 || p > issued || issued - p >= STRESS_SEEN_MAX)
        return; /* no longer remembered */
    for (uint32_t t = 0; t < run->plan.threads; t++) {
        uint64_t seen = s->seen[p % STRESS_SEEN_MAX][t];
        if (prefixes[t] < seen)
            stress_fail("write %" PRIu64 " of thread %u is there, which had seen write %" PRIu64
                        " of thread %u acknowledged; of that thread only %" PRIu64 " are there",
                        p, thread, seen, t, prefixes[t]);
    }
}

static void check_counters(struct stress_run *run, omen_db *db, bool killed,
                           uint64_t prefixes[static STRESS_THREADS_MAX])
{
    for (uint32_t t = 0; t < run->plan.threads; t++) {
        const struct stress_shared *s = &run->page->of[t];
        uint64_t durable = atomic_load(&s->durable), acked = atomic_load(&s->acked);
        uint64_t issued = atomic_load(&s->issued);
        STRESS_OK(stress_counter_read(db, NULL, t, &prefixes[t]));
        if (prefixes[t] < (killed ? acked : durable) || prefixes[t] > issued)
            stress_fail("%" PRIu64 " writes of thread %u are there; %" PRIu64 " were durable, "
                        "%" PRIu64 " acknowledged, %" PRIu64 " begun (%s)",
                        prefixes[t], t, durable, acked, issued,
                        killed ? "process killed" : "power lost");
    }
    for (uint32_t t = 0; t < run->plan.threads; t++)
        check_seen(run, t, prefixes);
}

/* ---- every key ------------------------------------------------------------------------------- */

struct whole {
    const struct stress_run *run;
    const struct stress_state *states; /* one a thread */
    uint8_t *scratch;
};

static uint64_t id_of(const struct whole *h, uint64_t rank)
{
    uint32_t threads = h->run->plan.threads;
    return h->states[rank % threads].ids[rank / threads];
}

static void check_entry(const struct whole *h, uint64_t rank, omen_slice got, const char *how)
{
    uint64_t id = id_of(h, rank);
    size_t size = stress_value_size(id, h->run->plan.value_max);
    stress_value_make(rank, id, size, h->scratch);
    if (!omi_bytes_equal(got.data, got.size, h->scratch, size))
        stress_fail("%s: key %" PRIu64 " of thread %" PRIu64 " has %zu bytes that are not those of "
                    "its write %" PRIu64,
                    how, rank, rank % h->run->plan.threads, got.size, id >> 6);
}

/* The present rank at or after (step 1) or before (step -1) rank; -1: none. */
static int64_t present(const struct whole *h, int64_t rank, int step)
{
    while (rank >= 0 && rank < (int64_t)h->run->keys.count)
        if (stress_id_lives(id_of(h, (uint64_t)rank)))
            return rank;
        else
            rank += step;
    return -1;
}

static void skip_counters(omen_iter *it, int step)
{
    while (omen_iter_valid(it) && stress_is_counter(omen_iter_key(it))) {
        if (step > 0)
            omen_iter_next(it);
        else
            omen_iter_prev(it);
    }
}

static void check_scan(const struct whole *h, omen_db *db, int step)
{
    omen_iter *it;
    STRESS_OK(omen_iter_open(db, NULL, &it));
    if (step > 0)
        omen_iter_seek_first(it);
    else
        omen_iter_seek_last(it);
    int64_t rank = present(h, step > 0 ? 0 : (int64_t)h->run->keys.count - 1, step);
    for (;; rank = present(h, rank + step, step)) {
        skip_counters(it, step);
        STRESS_OK(omen_iter_status(it));
        if (rank < 0 || !omen_iter_valid(it))
            break;
        omen_slice key = omen_iter_key(it), want = stress_key(&h->run->keys, (uint64_t)rank);
        if (!omi_bytes_equal(key.data, key.size, want.data, want.size))
            stress_fail("a whole scan (%+d) should stand at key %" PRId64 " of thread %" PRId64
                        " (its write %" PRIu64 "), stands at coordinate %" PRId64,
                        step, rank, rank % (int64_t)h->run->plan.threads,
                        id_of(h, (uint64_t)rank) >> 6, stress_key_coord(&h->run->keys, key));
        check_entry(h, (uint64_t)rank, omen_iter_value(it), "a whole scan");
        if (step > 0)
            omen_iter_next(it);
        else
            omen_iter_prev(it);
    }
    if (rank >= 0)
        stress_fail("a whole scan (%+d) ends before key %" PRId64 " of thread %" PRId64
                    " (its write %" PRIu64 ")",
                    step, rank, rank % (int64_t)h->run->plan.threads,
                    id_of(h, (uint64_t)rank) >> 6);
    if (omen_iter_valid(it))
        stress_fail("a whole scan (%+d) shows a key too many, at coordinate %" PRId64, step,
                    stress_key_coord(&h->run->keys, omen_iter_key(it)));
    omen_iter_close(it);
}

/* All keys when they are few, else evenly spread ones. */
static void check_gets(const struct whole *h, omen_db *db, uint64_t first)
{
    uint64_t count = h->run->keys.count, gap = count / GETS_MAX + 1;
    for (uint64_t rank = first % gap; rank < count; rank += gap) {
        omen_value v;
        omen_err err = omen_get(db, NULL, stress_key(&h->run->keys, rank), &v);
        bool lives = stress_id_lives(id_of(h, rank));
        if (lives != (err == OMEN_OK) || (!lives && err != OMEN_NOT_FOUND))
            stress_fail(
                "get: key %" PRIu64 " of thread %" PRIu64 " is %s of write %" PRIu64 ", got %s: %s",
                rank, rank % h->run->plan.threads, lives ? "a put" : "a delete (or nothing)",
                id_of(h, rank) >> 6, omen_err_name(err), omen_last_error());
        if (err != OMEN_OK)
            continue;
        check_entry(h, rank, omi_slice(v.data, v.size), "get");
        omen_value_release(&v);
    }
}

static void check_whole(struct stress_run *run, omen_db *db, const struct stress_state *states,
                        uint64_t salt)
{
    struct whole h = {run, states, stress_alloc(run->plan.value_max + 8)};
    check_scan(&h, db, 1);
    if (salt % 3 == 0)
        check_scan(&h, db, -1);
    check_gets(&h, db, salt);
    free(h.scratch);
    atomic_fetch_add(&run->page->checks, 1);
}

void stress_check_prefix(struct stress_run *run, omen_db *db, bool killed,
                         uint64_t prefixes_out[static STRESS_THREADS_MAX])
{
    struct stress_state states[STRESS_THREADS_MAX] = {0};
    uint64_t salt = 0;
    bool lost = false;
    check_counters(run, db, killed, prefixes_out);
    for (uint32_t t = 0; t < run->plan.threads; t++) {
        const struct stress_worker *w = &run->workers[t];
        stress_state_copy(&states[t], &w->base);
        stress_state_advance(&run->plan, t, &states[t], prefixes_out[t]);
        salt += prefixes_out[t];
        lost = lost || prefixes_out[t] < atomic_load(&run->page->of[t].acked);
    }
    check_whole(run, db, states, salt);
    atomic_fetch_add(&run->page->lost_tails, lost);
    for (uint32_t t = 0; t < run->plan.threads; t++)
        stress_state_fini(&states[t]);
}

void stress_check_now(struct stress_run *run)
{
    struct stress_state states[STRESS_THREADS_MAX];
    uint64_t salt = 0;
    for (uint32_t t = 0; t < run->plan.threads; t++) {
        uint64_t n;
        states[t] = run->workers[t].now;
        salt += states[t].n;
        STRESS_OK(stress_counter_read(run->db, NULL, t, &n));
        if (n != states[t].n)
            stress_fail("thread %u has made %" PRIu64 " writes, its counter is %" PRIu64, t,
                        states[t].n, n);
    }
    check_whole(run, run->db, states, salt);
}

/* ---- files ----------------------------------------------------------------------------------- */

enum { TABLES_MAX = 1 << 16 };
struct files {
    uint64_t *tables; /* that the version names */
    size_t table_count, found;
    unsigned manifests, logs;
};

static void table_add(void *ctx, const omen_table_info *info)
{
    struct files *f = ctx;
    if (f->table_count < TABLES_MAX)
        f->tables[f->table_count++] = info->number;
}

static omen_err file_look(void *ctx, const struct omi_dir_entry *e)
{
    static const char *const fixed[] = {
        "CURRENT",   "LOCK",   "LOG",        "LOG.old",   "RESERVE",      "STATS",
        "STATS.tmp", "SAMPLE", "SAMPLE.tmp", "TELEMETRY", "TELEMETRY.tmp"}; /* written at times */
    struct files *f = ctx;
    uint64_t number;
    int end = 0;
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (strcmp(e->name, fixed[i]) == 0)
            return OMEN_OK;
    if (sscanf(e->name, "MANIFEST-%" SCNu64 "%n", &number, &end) == 1 && e->name[end] == '\0') {
        f->manifests++;
        return OMEN_OK;
    }
    if (sscanf(e->name, "%" SCNu64 ".log%n", &number, &end) == 1 && end > 0 &&
        e->name[end] == '\0') {
        f->logs++;
        return OMEN_OK;
    }
    end = 0;
    if (sscanf(e->name, "%" SCNu64 ".sst%n", &number, &end) != 1 || end == 0 ||
        e->name[end] != '\0')
        stress_fail("the database has a file %s", e->name);
    size_t i = 0;
    while (i < f->table_count && f->tables[i] != number)
        i++;
    if (i == f->table_count)
        stress_fail("the database has a table %s that no version names", e->name);
    f->found++;
    return OMEN_OK;
}

void stress_check_files(struct stress_run *run)
{
    struct files f = {.tables = stress_alloc(TABLES_MAX * sizeof(uint64_t))};
    struct omi_dir *dir;
    STRESS_OK(omen_wait_idle(run->db));
    STRESS_OK(omen_list_tables(run->db, table_add, &f));
    STRESS_OK(omi_dir_open(run->env, run->dir, false, &dir));
    STRESS_OK(omi_dir_list(dir, file_look, &f));
    omi_dir_close(dir);
    if (f.found != f.table_count && f.table_count < TABLES_MAX)
        stress_fail("%zu of %zu tables have a file", f.found, f.table_count);
    if (f.manifests != 1)
        stress_fail("the database has %u manifests", f.manifests);
    if (f.logs == 0 || f.logs > 2)
        stress_fail("an idle database has %u log segments", f.logs);
    free(f.tables);
}

static void verify_problem(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "verify: %s\n", text);
}

void stress_check_verify(struct stress_run *run)
{
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    STRESS_OK(omen_verify(run->db, &report, verify_problem, NULL));
}

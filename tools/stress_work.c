/* stress_work.c - one operation of one thread: the writes, and what else may happen to a database. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/stress.h"

enum { ABSENT_ONE_IN = 60 };

/* ---- numbers --------------------------------------------------------------------------------- */

omen_err stress_counter_read(omen_db *db, const omen_read_options *ro, uint32_t thread,
                             uint64_t *n_out)
{
    uint8_t key[STRESS_COUNTER_BYTES];
    omen_value v;
    *n_out = 0;
    omen_err err = omen_get(db, ro, stress_counter_key(thread, key), &v);
    if (err == OMEN_NOT_FOUND)
        return OMEN_OK;
    if (err != OMEN_OK)
        return err;
    if (v.size != sizeof(*n_out))
        stress_fail("the counter of thread %u has %zu bytes", thread, v.size);
    memcpy(n_out, v.data, sizeof(*n_out));
    omen_value_release(&v);
    return OMEN_OK;
}

void stress_acked_all(const struct stress_run *run, uint64_t acked[static STRESS_THREADS_MAX])
{
    for (uint32_t t = 0; t < run->plan.threads; t++)
        acked[t] = atomic_load(&run->page->of[t].acked);
}

/* Once the file system is being shut down, a sync may say OK and be lost all the same: xfs lets the
 * file go before the sync looks whether anything of it is still to be written. A device that loses
 * its power tells nobody anything any more, so such an answer counts for nothing. */
void stress_durable_raise(struct stress_run *run, const uint64_t acked[static STRESS_THREADS_MAX])
{
    if (atomic_load(&run->page->down))
        return;
    for (uint32_t t = 0; t < run->plan.threads; t++) {
        uint64_t have = atomic_load(&run->page->of[t].durable);
        while (have < acked[t] &&
               !atomic_compare_exchange_weak(&run->page->of[t].durable, &have, acked[t]))
            ;
    }
}

/* ---- writes ---------------------------------------------------------------------------------- */

static void write_build(struct stress_worker *w, const struct stress_write *write)
{
    const struct stress_plan *p = &w->run->plan;
    uint8_t key[STRESS_COUNTER_BYTES];
    uint64_t n = w->now.n + 1;
    omen_batch_clear(w->batch);
    for (uint32_t i = 0; i < write->count; i++) {
        const struct stress_change *c = &write->changes[i];
        uint64_t rank = c->own * p->threads + w->thread;
        omen_slice k = stress_key(&w->run->keys, rank);
        if (stress_id_lives(c->id)) {
            size_t size = stress_value_size(c->id, p->value_max);
            stress_value_make(rank, c->id, size, w->scratch);
            STRESS_OK(omen_batch_put(w->batch, k, omi_slice(w->scratch, size)));
        } else {
            STRESS_OK(omen_batch_delete(w->batch, k));
        }
    }
    STRESS_OK(
        omen_batch_put(w->batch, stress_counter_key(w->thread, key), omi_slice(&n, sizeof(n))));
}

static omen_err write_call(struct stress_worker *w, const struct stress_write *write, bool sync)
{
    omen_write_options wo = {.struct_bytes = sizeof(wo), .flags = sync ? OMEN_SYNC : 0};
    uint8_t key[STRESS_COUNTER_BYTES];
    uint64_t n = w->now.n + 1;
    if (write->count == 0)
        return omen_put(w->run->db, &wo, stress_counter_key(w->thread, key),
                        omi_slice(&n, sizeof(n)));
    write_build(w, write);
    return omen_write(w->run->db, &wo, w->batch);
}

/* After a call that may have written or not, the counter says what readers see. */
static void write_unsure(struct stress_worker *w)
{
    struct stress_run *run = w->run;
    uint64_t n;
    if (run->calm != NULL)
        run->calm(run);
    omen_err err = stress_counter_read(run->db, NULL, w->thread, &n);
    if (!stress_tolerate(w, err, false, "the counter after a failed write"))
        return;
    if (n != w->now.n && n != w->now.n + 1)
        stress_fail("after a failed write %" PRIu64 " the counter of thread %u is %" PRIu64,
                    w->now.n + 1, w->thread, n);
    stress_state_advance(&run->plan, w->thread, &w->now, n);
}

static void write_refused(struct stress_worker *w, omen_err err)
{
    struct stress_shared *s = &w->run->page->of[w->thread];
    if (stress_tolerate(w, err, true, "write"))
        return;
    if (err == OMEN_FULL || err == OMEN_NO_MEMORY || err == OMEN_READ_ONLY)
        atomic_store(&s->issued, w->now.n); /* certainly not there */
    else
        write_unsure(w);
}

static void do_write(struct stress_worker *w, struct stress_rng *r)
{
    struct stress_run *run = w->run;
    struct stress_shared *s = &run->page->of[w->thread];
    struct stress_write write;
    uint64_t n = w->now.n + 1;
    stress_write_make(&run->plan, w->thread, n, &write);
    bool sync = stress_one_in(r, run->plan.sync_one_in);
    stress_note(w, "write %" PRIu64 ": %u changes%s", n, write.count, sync ? ", sync" : "");
    uint64_t *seen = s->seen[n % STRESS_SEEN_MAX];
    stress_acked_all(run, seen);
    uint64_t durable[STRESS_THREADS_MAX];
    memcpy(durable, seen, sizeof(durable));
    durable[w->thread] = n;
    atomic_store(&s->issued, n);
    omen_err err = write_call(w, &write, sync);
    if (err != OMEN_OK) {
        write_refused(w, err);
        return;
    }
    atomic_store(&s->acked, n);
    if (sync)
        stress_durable_raise(run, durable);
    stress_state_advance(&run->plan, w->thread, &w->now, n);
    atomic_fetch_add_explicit(&run->page->writes, 1, memory_order_relaxed);
}

/* A delete of a key that was never there changes nothing. */
static void delete_absent(struct stress_worker *w)
{
    static const char absent[] = "a key that nobody puts";
    stress_note(w, "delete of an absent key");
    (void)stress_tolerate(w, omen_delete(w->run->db, NULL, omi_slice(absent, sizeof(absent))), true,
                          "delete");
}

/* ---- upkeep ---------------------------------------------------------------------------------- */

static void do_sync(struct stress_worker *w)
{
    uint64_t acked[STRESS_THREADS_MAX];
    stress_acked_all(w->run, acked);
    stress_note(w, "sync");
    if (stress_tolerate(w, omen_sync(w->run->db), true, "sync"))
        stress_durable_raise(w->run, acked);
}

static void do_compact(struct stress_worker *w, struct stress_rng *r)
{
    struct stress_run *run = w->run;
    uint64_t a = stress_below(r, run->keys.count), b = stress_below(r, run->keys.count);
    omen_slice first = stress_key(&run->keys, a < b ? a : b);
    omen_slice last = stress_key(&run->keys, a < b ? b : a);
    bool from = !stress_one_in(r, 3), to = !stress_one_in(r, 3);
    stress_note(w, "compact %" PRIu64 "..%" PRIu64, from ? (a < b ? a : b) : 0,
                to ? (a < b ? b : a) : run->keys.count);
    (void)stress_tolerate(w, omen_compact(run->db, from ? &first : NULL, to ? &last : NULL), true,
                          "compact");
}

static void do_option(struct stress_worker *w, struct stress_rng *r)
{
    static const char *const names[] = {"size_ratio", "runs_upper",  "runs_last",       "runs_1",
                                        "runs_2",     "filter_bits", "sync_interval_ms"};
    static const uint64_t lows[] = {2, 1, 1, 0, 0, 1, 1}, spans[] = {8, 8, 4, 9, 9, 14, 40};
    /* With each number of filter bits another of these, too. */
    static const char *const filters[][2] = {
        {"filter", "plain"},      {"filter", "learned"},   {"filter", "ribbon"},
        {"filter_floor", "none"}, {"filter_floor", "125"}, {"filter_floor", "5"},
        {"filter_bytes", "4K"},   {"filter_bytes", "64K"}, {"filter_bytes", "1M"},
        {"range_filter", "on"},   {"range_filter", "off"}, {"range_filter", "auto"},
        {"filter", "default"},    {"filter_bytes", "16M"}};
    uint64_t i = stress_below(r, sizeof(names) / sizeof(names[0]));
    uint64_t v = stress_below(r, spans[i]);
    char value[24];
    snprintf(value, sizeof(value), "%" PRIu64, lows[i] + v);
    if (i == 5 && stress_one_in(r, 3))
        snprintf(value, sizeof(value), "none");
    stress_note(w, "set_option %s %s", names[i], value);
    (void)stress_tolerate(w, omen_set_option(w->run->db, names[i], value), true, "set_option");
    if (i != 5)
        return;
    stress_note(w, "set_option %s %s", filters[v][0], filters[v][1]);
    (void)stress_tolerate(w, omen_set_option(w->run->db, filters[v][0], filters[v][1]), true,
                          "set_option");
}

static void do_checkpoint(struct stress_worker *w, struct stress_rng *r)
{
    struct stress_run *run = w->run;
    char path[STRESS_PATH_BYTES + 64];
    uint64_t acked[STRESS_THREADS_MAX];
    snprintf(path, sizeof(path), "%s.copy-%u-%" PRIu64 "-%" PRIu64, run->dir, w->thread,
             atomic_load(&run->page->generation), w->checkpoints++);
    stress_acked_all(run, acked);
    stress_note(w, "checkpoint");
    if (!stress_tolerate(w, omen_checkpoint(run->db, path), true, "checkpoint"))
        return;
    stress_durable_raise(run, acked);
    omen_db *copy = NULL;
    omen_err err = stress_open_at(run, run->env, path, stress_one_in(r, 2), &copy);
    if (err == OMEN_NOT_FOUND)
        stress_fail("the checkpoint %s is gone", path);
    if (!stress_tolerate(w, err, true, "opening a checkpoint"))
        return;
    stress_read_own(w, copy);
    (void)stress_tolerate(w, omen_close(copy), true, "closing a checkpoint");
    (void)stress_tolerate(w, omi_db_destroy(run->env, path), true, "removing a checkpoint");
}

/* ---- which ----------------------------------------------------------------------------------- */

static enum stress_kind draw_kind(const struct stress_plan *p, struct stress_rng *r)
{
    uint64_t sum = 0, k = 0;
    for (int i = 0; i < STRESS_KINDS; i++)
        sum += p->weights[i];
    for (uint64_t at = stress_below(r, sum); at >= p->weights[k]; k++)
        at -= p->weights[k];
    return (enum stress_kind)k;
}

void stress_step(struct stress_worker *w)
{
    struct stress_run *run = w->run;
    struct stress_rng r = stress_rng_of(
        run->plan.seed, 200 + w->thread + (atomic_load(&run->page->generation) << 8), w->steps++);
    enum stress_kind kind = draw_kind(&run->plan, &r);
    atomic_fetch_add_explicit(&run->page->steps, 1, memory_order_relaxed);
    if ((run->plan.without >> kind & 1) != 0)
        return;
    switch (kind) {
    case STRESS_WRITE:
        if (stress_one_in(&r, ABSENT_ONE_IN))
            delete_absent(w);
        else
            do_write(w, &r);
        break;
    case STRESS_GET:
        stress_read_get(w, &r);
        break;
    case STRESS_MULTI_GET:
        stress_read_multi(w, &r);
        break;
    case STRESS_WALK:
        stress_read_walk(w, &r);
        break;
    case STRESS_SNAPSHOT:
        stress_read_snapshot(w, &r);
        break;
    case STRESS_ITERATOR:
        stress_read_iterator(w, &r);
        break;
    case STRESS_SYNC:
        do_sync(w);
        break;
    case STRESS_FLUSH:
        stress_note(w, "flush");
        (void)stress_tolerate(w, omen_flush(run->db), true, "flush");
        break;
    case STRESS_COMPACT:
        do_compact(w, &r);
        break;
    case STRESS_OPTION:
        do_option(w, &r);
        break;
    default:
        do_checkpoint(w, &r);
        break;
    }
}

/*
 * stress_read.c - reads, each compared with what the thread's own keys must be. Keys of the other
 * threads move meanwhile: of those it is known that a value is one that was written there.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/stress.h"

enum { MULTI_MAX = 40, WALK_STEPS_MAX = 60 };

/* ---- one value ------------------------------------------------------------------------------- */

static int64_t rank_of_own(const struct stress_worker *w, uint64_t own)
{
    return (int64_t)(own * w->run->plan.threads + w->thread);
}

static uint64_t own_of_rank(const struct stress_worker *w, int64_t rank)
{
    return (uint64_t)rank / w->run->plan.threads;
}

static bool is_own(const struct stress_worker *w, int64_t rank)
{
    return (uint64_t)rank % w->run->plan.threads == w->thread;
}

static void check_bytes(struct stress_worker *w, int64_t rank, uint64_t id, omen_slice got,
                        const char *how)
{
    size_t size = stress_value_size(id, w->run->plan.value_max);
    stress_value_make((uint64_t)rank, id, size, w->scratch);
    if (!omi_bytes_equal(got.data, got.size, w->scratch, size))
        stress_fail("%s: key %" PRId64 " has %zu bytes that are not those of write %" PRIu64
                    " (%zu bytes)",
                    how, rank, got.size, id >> 6, size);
}

/* A key of another thread: its value names a write that was begun and did put this key. */
static void check_foreign(struct stress_worker *w, int64_t rank, omen_slice got, const char *how)
{
    const struct stress_plan *p = &w->run->plan;
    uint32_t thread = (uint32_t)((uint64_t)rank % p->threads);
    if (got.size < 8)
        return;
    uint64_t id;
    memcpy(&id, got.data, 8);
    struct stress_write write;
    uint64_t n = id >> 6, place = id >> 1 & 31;
    if (n == 0 || n > atomic_load(&w->run->page->of[thread].issued))
        stress_fail("%s: key %" PRId64 " of thread %u holds a write that was never begun: %" PRIu64,
                    how, rank, thread, n);
    stress_write_make(p, thread, n, &write);
    if (place >= write.count || write.changes[place].id != id ||
        write.changes[place].own != (uint64_t)rank / p->threads)
        stress_fail("%s: write %" PRIu64 " of thread %u did not put key %" PRId64, how, n, thread,
                    rank);
    check_bytes(w, rank, id, got, how);
}

bool stress_tolerate(struct stress_worker *w, omen_err err, bool write, const char *what)
{
    struct stress_run *run = w->run;
    if (err == OMEN_OK || err == OMEN_NOT_FOUND)
        return true;
    bool fits = err == OMEN_IO || err == OMEN_CORRUPT || err == OMEN_NO_MEMORY;
    if (write)
        fits = fits || err == OMEN_UNKNOWN || err == OMEN_FULL || err == OMEN_READ_ONLY;
    bool expected = run->faulty || atomic_load(&run->page->down);
    if (!expected || !fits)
        stress_fail("%s: %s: %s", what, omen_err_name(err), omen_last_error());
    stress_note(w, "%s: %s: %.70s", what, omen_err_name(err), omen_last_error());
    atomic_fetch_add(&run->page->refusals, 1);
    if (err == OMEN_UNKNOWN || err == OMEN_READ_ONLY || atomic_load(&run->page->down))
        atomic_store(&run->broken, true);
    return false;
}

/* ---- gets ------------------------------------------------------------------------------------ */

static void check_answer(struct stress_worker *w, const struct stress_state *s, int64_t rank,
                         omen_err err, omen_slice got, const char *how)
{
    if (!is_own(w, rank)) {
        if (err == OMEN_OK)
            check_foreign(w, rank, got, how);
        return;
    }
    uint64_t id = s->ids[own_of_rank(w, rank)];
    if (stress_id_lives(id) != (err == OMEN_OK))
        stress_fail("%s: key %" PRId64 " is %s of write %" PRIu64 ", got %s", how, rank,
                    stress_id_lives(id) ? "a put" : "a delete (or nothing)", id >> 6,
                    omen_err_name(err));
    if (err == OMEN_OK)
        check_bytes(w, rank, id, got, how);
}

/* Mostly own keys, at times anybody's. */
static int64_t draw_rank(const struct stress_worker *w, struct stress_rng *r)
{
    if (stress_one_in(r, 8))
        return (int64_t)stress_below(r, w->run->keys.count);
    return rank_of_own(w, stress_below(r, w->now.count));
}

static void get_one(struct stress_worker *w, omen_db *db, const struct stress_state *s,
                    const omen_read_options *ro, int64_t rank, const char *how)
{
    omen_value v;
    omen_err err = omen_get(db, ro, stress_key(&w->run->keys, (uint64_t)rank), &v);
    if (!stress_tolerate(w, err, false, how))
        return;
    check_answer(w, s, rank, err, err == OMEN_OK ? omi_slice(v.data, v.size) : omi_slice(NULL, 0),
                 how);
    if (err == OMEN_OK)
        omen_value_release(&v);
    atomic_fetch_add_explicit(&w->run->page->reads, 1, memory_order_relaxed);
}

static void get_into_one(struct stress_worker *w, int64_t rank, uint8_t *buffer, size_t room)
{
    size_t size = 0;
    omen_err err = omen_get_into(w->run->db, NULL, stress_key(&w->run->keys, (uint64_t)rank),
                                 buffer, room, &size);
    if (!stress_tolerate(w, err, false, "get_into"))
        return;
    if (err != OMEN_OK || size <= room)
        check_answer(w, &w->now, rank, err, omi_slice(buffer, size), "get_into");
    atomic_fetch_add_explicit(&w->run->page->reads, 1, memory_order_relaxed);
}

void stress_read_get(struct stress_worker *w, struct stress_rng *r)
{
    int64_t rank = draw_rank(w, r);
    if (!stress_one_in(r, 4)) {
        stress_note(w, "get %" PRId64, rank);
        get_one(w, w->run->db, &w->now, NULL, rank, "get");
        return;
    }
    uint8_t buffer[256];
    stress_note(w, "get_into %" PRId64, rank);
    get_into_one(w, rank, buffer, sizeof(buffer));
}

static void multi_get(struct stress_worker *w, omen_db *db, const struct stress_state *s,
                      const omen_read_options *ro, struct stress_rng *r)
{
    int64_t ranks[MULTI_MAX];
    omen_slice keys[MULTI_MAX];
    omen_value values[MULTI_MAX];
    omen_err errs[MULTI_MAX];
    size_t n = 1 + stress_below(r, MULTI_MAX);
    for (size_t i = 0; i < n; i++) {
        ranks[i] = draw_rank(w, r);
        keys[i] = stress_key(&w->run->keys, (uint64_t)ranks[i]);
    }
    omen_err err = omen_multi_get(db, ro, n, keys, values, errs);
    bool whole = stress_tolerate(w, err, false, "multi_get");
    for (size_t i = 0; i < n; i++) {
        omen_slice got =
            errs[i] == OMEN_OK ? omi_slice(values[i].data, values[i].size) : omi_slice(NULL, 0);
        if (whole || errs[i] == OMEN_OK)
            check_answer(w, s, ranks[i], errs[i], got, "multi_get");
        if (errs[i] == OMEN_OK)
            omen_value_release(&values[i]);
    }
    atomic_fetch_add_explicit(&w->run->page->reads, n, memory_order_relaxed);
}

void stress_read_multi(struct stress_worker *w, struct stress_rng *r)
{
    stress_note(w, "multi_get");
    multi_get(w, w->run->db, &w->now, NULL, r);
}

/* ---- walks ----------------------------------------------------------------------------------- */

/* An iterator, what it must show, and where it stands. */
struct walk {
    omen_iter *it;
    const struct stress_state *state;
    int64_t coord, low, high; /* ranks in [low, high) */
};

/* It stands at the first entry past w->coord in direction step, or past the end. No own key may
 * have been passed over. False: not valid any more. */
static bool walk_check(struct stress_worker *w, struct walk *k, int step, const char *how)
{
    const struct stress_plan *p = &w->run->plan;
    int64_t own = stress_state_next(p, w->thread, k->state, k->coord, step, k->low, k->high);
    if (!stress_tolerate(w, omen_iter_status(k->it), false, how))
        return false;
    if (!omen_iter_valid(k->it)) {
        if (own >= 0)
            stress_fail("%s: key %" PRId64 " of write %" PRIu64 " is missing at the end", how, own,
                        k->state->ids[own_of_rank(w, own)] >> 6);
        return false;
    }
    omen_slice key = omen_iter_key(k->it), value = omen_iter_value(k->it);
    int64_t coord = stress_key_coord(&w->run->keys, key);
    bool counter = stress_is_counter(key);
    if ((coord & 1) == 0 && !counter)
        stress_fail("%s: a key of %zu bytes that nobody wrote, at %" PRId64, how, key.size, coord);
    bool forward = step > 0 ? coord > k->coord : coord < k->coord;
    if (!forward && !(counter && coord == k->coord))
        stress_fail("%s: stands at %" PRId64 " after %" PRId64 ", that is no step of %d", how,
                    coord, k->coord, step);
    if (!counter && (coord / 2 < k->low || coord / 2 >= k->high))
        stress_fail("%s: key %" PRId64 " lies outside of the bounds %" PRId64 " and %" PRId64, how,
                    coord / 2, k->low, k->high);
    int64_t own_coord = own < 0 ? -1 : 2 * own + 1;
    if (own >= 0 && (step > 0 ? coord > own_coord : coord < own_coord))
        stress_fail("%s: key %" PRId64 " of write %" PRIu64 " was passed over", how, own,
                    k->state->ids[own_of_rank(w, own)] >> 6);
    if (!counter) {
        if (is_own(w, coord / 2) && coord != own_coord)
            stress_fail("%s: key %" PRId64 " should be absent", how, coord / 2);
        check_answer(w, k->state, coord / 2, OMEN_OK, value, how);
    }
    k->coord = coord;
    return true;
}

static bool walk_seek(struct stress_worker *w, struct walk *k, struct stress_rng *r)
{
    int64_t to = (int64_t)stress_below(r, w->run->keys.count);
    omen_slice key = stress_key(&w->run->keys, (uint64_t)to);
    switch (stress_below(r, 4)) {
    case 0:
        omen_iter_seek_first(k->it);
        k->coord = -1;
        return walk_check(w, k, 1, "seek_first");
    case 1:
        omen_iter_seek_last(k->it);
        k->coord = 2 * (int64_t)w->run->keys.count + 1;
        return walk_check(w, k, -1, "seek_last");
    case 2:
        omen_iter_seek(k->it, key);
        k->coord = 2 * to; /* a counter may stand at 2 * to as well, but before the key */
        return walk_check(w, k, 1, "seek");
    default:
        omen_iter_seek_for_prev(k->it, key);
        k->coord = 2 * to + 2;
        return walk_check(w, k, -1, "seek_for_prev");
    }
}

static void walk_steps(struct stress_worker *w, struct walk *k, uint64_t steps,
                       struct stress_rng *r)
{
    int bias = stress_one_in(r, 2) ? 1 : -1;
    for (; steps > 0; steps--) {
        int step = stress_one_in(r, 8) ? -bias : bias;
        if (step > 0)
            omen_iter_next(k->it);
        else
            omen_iter_prev(k->it);
        if (!walk_check(w, k, step, step > 0 ? "next" : "prev"))
            return;
    }
}

static int64_t bound_of(const struct stress_worker *w, omen_slice key)
{
    int64_t coord = stress_key_coord(&w->run->keys, key);
    return coord / 2; /* the first rank at or after key */
}

static void draw_prefix(const struct stress_worker *w, omen_read_options *ro, struct walk *k,
                        struct stress_rng *r)
{
    omen_slice key = stress_key(&w->run->keys, stress_below(r, w->run->keys.count));
    ro->flags |= OMEN_HAS_PREFIX;
    ro->prefix = omi_slice(key.data, stress_below(r, key.size + 1));
    k->low = bound_of(w, ro->prefix);
    k->high = (int64_t)w->run->keys.count;
    int64_t first = k->low;
    while (first < k->high) { /* the first rank that does not start so */
        int64_t mid = first + (k->high - first) / 2;
        omen_slice m = stress_key(&w->run->keys, (uint64_t)mid);
        if (m.size >= ro->prefix.size && memcmp(m.data, ro->prefix.data, ro->prefix.size) == 0)
            first = mid + 1;
        else
            k->high = mid;
    }
}

static void draw_bounds(const struct stress_worker *w, omen_read_options *ro, struct walk *k,
                        struct stress_rng *r)
{
    k->low = 0;
    k->high = (int64_t)w->run->keys.count;
    if (stress_one_in(r, 6)) {
        draw_prefix(w, ro, k, r);
        return;
    }
    if (stress_one_in(r, 3)) {
        k->low = (int64_t)stress_below(r, w->run->keys.count);
        ro->flags |= OMEN_HAS_LOWER;
        ro->lower = stress_key(&w->run->keys, (uint64_t)k->low);
    }
    if (stress_one_in(r, 3)) {
        k->high = (int64_t)stress_below(r, w->run->keys.count);
        ro->flags |= OMEN_HAS_UPPER;
        ro->upper = stress_key(&w->run->keys, (uint64_t)k->high);
    }
}

static void walk_once(struct stress_worker *w, const struct stress_state *s, omen_read_options ro,
                      struct stress_rng *r)
{
    struct walk k = {.state = s};
    draw_bounds(w, &ro, &k, r);
    stress_note(w, "walk in %" PRId64 "..%" PRId64, k.low, k.high);
    if (!stress_tolerate(w, omen_iter_open(w->run->db, &ro, &k.it), false, "iter_open"))
        return;
    if (walk_seek(w, &k, r))
        walk_steps(w, &k, stress_below(r, WALK_STEPS_MAX), r);
    omen_iter_close(k.it);
    atomic_fetch_add_explicit(&w->run->page->reads, 1, memory_order_relaxed);
}

void stress_read_walk(struct stress_worker *w, struct stress_rng *r)
{
    omen_read_options ro = {.struct_bytes = sizeof(ro),
                            .flags = stress_one_in(r, 4) ? OMEN_NO_FILL_CACHE : 0};
    walk_once(w, &w->now, ro, r);
}

void stress_read_own(struct stress_worker *w, omen_db *db)
{
    uint64_t n;
    if (!stress_tolerate(w, stress_counter_read(db, NULL, w->thread, &n), false, "a counter"))
        return;
    if (n != w->now.n)
        stress_fail("a copy holds %" PRIu64 " writes of thread %u, which had made %" PRIu64, n,
                    w->thread, w->now.n);
    struct walk k = {.state = &w->now, .coord = -1, .high = (int64_t)w->run->keys.count};
    if (!stress_tolerate(w, omen_iter_open(db, NULL, &k.it), false, "iter_open"))
        return;
    omen_iter_seek_first(k.it);
    while (walk_check(w, &k, 1, "a scan of a copy"))
        omen_iter_next(k.it);
    omen_iter_close(k.it);
}

/* ---- what is held on to ---------------------------------------------------------------------- */

/* The counters of a snapshot: exactly the own one; the others' between what was acknowledged before
 * and what was begun after. */
static void snapshot_take(struct stress_worker *w, struct stress_held *h)
{
    struct stress_run *run = w->run;
    uint64_t acked[STRESS_THREADS_MAX];
    stress_acked_all(run, acked);
    stress_note(w, "snapshot");
    if (!stress_tolerate(w, omen_snapshot_create(run->db, &h->snapshot), false, "snapshot"))
        return;
    stress_state_copy(&h->state, &w->now);
    if (run->faulty)
        return;
    omen_read_options ro = {.struct_bytes = sizeof(ro), .snapshot = h->snapshot};
    for (uint32_t t = 0; t < run->plan.threads; t++) {
        uint64_t n;
        if (!stress_tolerate(w, stress_counter_read(run->db, &ro, t, &n), false, "a counter"))
            return;
        uint64_t issued = atomic_load(&run->page->of[t].issued);
        if (t == w->thread ? n != w->now.n : n < acked[t] || n > issued)
            stress_fail("a snapshot holds write %" PRIu64 " of thread %u; %" PRIu64
                        " were acknowledged before, %" PRIu64 " begun after",
                        n, t, acked[t], issued);
    }
}

void stress_read_snapshot(struct stress_worker *w, struct stress_rng *r)
{
    struct stress_held *h = &w->snapshots[stress_below(r, STRESS_HELD_MAX)];
    if (h->snapshot == NULL) {
        snapshot_take(w, h);
        return;
    }
    if (stress_one_in(r, 6)) {
        stress_note(w, "snapshot released");
        omen_snapshot_release(h->snapshot);
        h->snapshot = NULL;
        return;
    }
    omen_read_options ro = {.struct_bytes = sizeof(ro), .snapshot = h->snapshot};
    int64_t rank = draw_rank(w, r);
    stress_note(w, "read of a snapshot as of write %" PRIu64, h->state.n);
    switch (stress_below(r, 3)) {
    case 0:
        get_one(w, w->run->db, &h->state, &ro, rank, "get in a snapshot");
        return;
    case 1:
        multi_get(w, w->run->db, &h->state, &ro, r);
        return;
    default:
        walk_once(w, &h->state, ro, r);
        return;
    }
}

void stress_read_iterator(struct stress_worker *w, struct stress_rng *r)
{
    struct stress_held *h = &w->iters[stress_below(r, STRESS_HELD_MAX)];
    if (h->iter == NULL) {
        stress_note(w, "iterator opened, to be kept");
        if (!stress_tolerate(w, omen_iter_open(w->run->db, NULL, &h->iter), false, "iter_open")) {
            h->iter = NULL;
            return;
        }
        stress_state_copy(&h->state, &w->now);
        return;
    }
    struct walk k = {h->iter, &h->state, 0, 0, (int64_t)w->run->keys.count};
    stress_note(w, "walk of an iterator as of write %" PRIu64, h->state.n);
    if (walk_seek(w, &k, r))
        walk_steps(w, &k, stress_below(r, WALK_STEPS_MAX), r);
    if (stress_one_in(r, 5)) {
        omen_iter_close(h->iter);
        h->iter = NULL;
    }
    atomic_fetch_add_explicit(&w->run->page->reads, 1, memory_order_relaxed);
}

void stress_read_release(struct stress_worker *w)
{
    for (int i = 0; i < STRESS_HELD_MAX; i++) {
        omen_snapshot_release(w->snapshots[i].snapshot);
        if (w->iters[i].iter != NULL)
            omen_iter_close(w->iters[i].iter);
        w->snapshots[i].snapshot = NULL;
        w->iters[i].iter = NULL;
    }
}

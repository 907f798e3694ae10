#include "tools/bench_work.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Keys and values of one thread. */
struct hand {
    const struct bench_run *run;
    const struct bench_values *values;
    struct bench_cursor cursor;
    uint8_t key[BENCH_KEY_ROOM];
};

static bool hand_init(struct hand *h, struct bench_thread *t)
{
    const struct bench_load *load = (const struct bench_load *)t->run;
    h->run = t->run;
    h->values = &load->values;
    if (bench_cursor_init(&h->cursor, h->values, bench_random(t)))
        return true;
    bench_fail(t, "memory", OMEN_NO_MEMORY);
    return false;
}

static inline omen_slice hand_key(struct hand *h, uint64_t n)
{
    size_t len = bench_key(h->run->keys, n, h->key);
    for (size_t i = 0; i < h->run->key_more; i++)
        h->key[len++] = '0';
    return (omen_slice){h->key, len};
}

static inline void value_checked(struct bench_thread *t, const struct hand *h, uint64_t n,
                                 const void *data, size_t size)
{
    if (!h->values->checked || bench_value_check(h->values, n, data, size))
        return;
    fprintf(stderr, "omendb: %s: the value of key number %" PRIu64 " is wrong (%zu bytes)\n",
            t->run->name, n, size);
    atomic_store(&t->run->failed, true);
}

/* ---- writes ---------------------------------------------------------------------------------- */

/* Until the loop's end, or for a background writer until the readers are through. */
static bool write_more(struct bench_thread *t, struct bench_until *until, uint64_t ops)
{
    if (!t->exclude)
        return bench_more(t, until, ops);
    return atomic_load(&t->run->readers_left) != 0 && !atomic_load(&t->run->failed);
}

void bench_write(struct bench_thread *t)
{
    struct bench_run *run = t->run;
    const struct bench_engine *e = run->engine;
    struct hand h;
    if (!hand_init(&h, t))
        return;
    void *batch = NULL;
    omen_err err = run->batch > 1 ? e->batch_create(&batch) : OMEN_OK;
    struct bench_shuffle shuffle = bench_shuffle(run->num, run->seed);
    /* In order, and each key once: the count is the count, whatever the duration. */
    bool counted = run->sequential || run->unique;
    struct bench_until until = bench_until(t, counted ? 0 : run->flags->duration, run->writes);
    for (uint64_t i = 0; err == OMEN_OK && write_more(t, &until, run->batch);) {
        uint64_t bytes = 0;
        for (uint64_t b = 0; err == OMEN_OK && b < run->batch; b++, i++) {
            uint64_t n = run->sequential ? i % run->num
                         : run->unique   ? bench_shuffle_at(&shuffle, i % run->num)
                                         : bench_random_below(t, run->num);
            omen_slice key = hand_key(&h, n);
            omen_slice value =
                bench_value(&h.cursor, n, h.values->sizes != 0 ? bench_random(t) : 0);
            bytes += key.size + value.size;
            err = batch != NULL ? e->batch_put(batch, key, value)
                                : e->put(run->db, key, value, run->sync);
        }
        if (batch != NULL && err == OMEN_OK) {
            err = e->write(run->db, batch, run->sync);
            e->batch_clear(batch);
        }
        t->bytes += bytes;
        bench_done(t, run->batch, BENCH_WRITE);
        bench_pace(t, bytes, run->flags->benchmark_write_rate_limit);
    }
    if (err != OMEN_OK)
        bench_fail(t, "put", err);
    if (batch != NULL)
        e->batch_destroy(batch);
    bench_cursor_fini(&h.cursor);
}

void bench_delete(struct bench_thread *t)
{
    struct bench_run *run = t->run;
    const struct bench_engine *e = run->engine;
    struct hand h;
    if (!hand_init(&h, t))
        return;
    void *batch = NULL;
    omen_err err = run->batch > 1 ? e->batch_create(&batch) : OMEN_OK;
    struct bench_until until =
        bench_until(t, run->sequential ? 0 : run->flags->duration, run->deletes);
    for (uint64_t i = 0; err == OMEN_OK && bench_more(t, &until, run->batch);) {
        for (uint64_t b = 0; err == OMEN_OK && b < run->batch; b++, i++) {
            uint64_t n = run->sequential ? i % run->num : bench_random_below(t, run->num);
            omen_slice key = hand_key(&h, n);
            err = batch != NULL ? e->batch_del(batch, key) : e->del(run->db, key, run->sync);
        }
        if (batch != NULL && err == OMEN_OK) {
            err = e->write(run->db, batch, run->sync);
            e->batch_clear(batch);
        }
        bench_done(t, run->batch, BENCH_DELETE);
    }
    if (err != OMEN_OK)
        bench_fail(t, "delete", err);
    if (batch != NULL)
        e->batch_destroy(batch);
    bench_cursor_fini(&h.cursor);
}

/* A get and a put of the same key, as one operation. */
void bench_update(struct bench_thread *t)
{
    struct bench_run *run = t->run;
    const struct bench_engine *e = run->engine;
    struct hand h;
    if (!hand_init(&h, t))
        return;
    omen_err err = OMEN_OK;
    struct bench_until until = bench_until(t, run->flags->duration, run->writes);
    while (err == OMEN_OK && bench_more(t, &until, 1)) {
        uint64_t n = bench_random_below(t, run->num);
        omen_slice key = hand_key(&h, n);
        omen_value old = {0};
        err = e->get(run->db, key, &old);
        t->total++;
        if (err == OMEN_OK) {
            t->found++;
            t->bytes += key.size + old.size;
            value_checked(t, &h, n, old.data, old.size);
            e->release(&old);
        } else if (err != OMEN_NOT_FOUND) {
            break;
        }
        omen_slice value = bench_value(&h.cursor, n, h.values->sizes != 0 ? bench_random(t) : 0);
        err = e->put(run->db, key, value, run->sync);
        t->bytes += key.size + value.size;
        bench_done(t, 1, BENCH_UPDATE);
    }
    if (err != OMEN_OK)
        bench_fail(t, "update", err);
    bench_cursor_fini(&h.cursor);
}

static size_t series_key(uint8_t out[16], uint64_t id, uint64_t time)
{
    uint64_t be[2] = {__builtin_bswap64(id), __builtin_bswap64(time)};
    memcpy(out, be, sizeof(be));
    return sizeof(be);
}

/* Thread 0 appends points of random series; the others read one series' newest points. */
void bench_timeseries(struct bench_thread *t)
{
    struct bench_run *run = t->run;
    const struct bench_engine *e = run->engine;
    struct hand h;
    if (!hand_init(&h, t))
        return;
    uint64_t ids = (uint64_t)run->flags->key_id_range, span = (uint64_t)run->flags->time_range;
    omen_err err = OMEN_OK;
    struct bench_until until =
        bench_until(t, run->flags->duration, t->index == 0 ? run->writes : run->reads);
    for (uint64_t i = 0; err == OMEN_OK && bench_more(t, &until, 1); i++) {
        uint8_t low[16], high[16];
        uint64_t id = bench_random_below(t, ids);
        if (t->index == 0) {
            omen_slice key = {low, series_key(low, id, i)};
            omen_slice value = bench_value(&h.cursor, i, bench_random(t));
            err = e->put(run->db, key, value, run->sync);
            t->bytes += key.size + value.size;
            bench_done(t, 1, BENCH_WRITE);
            bench_pace(t, key.size + value.size, run->flags->benchmark_write_rate_limit);
            continue;
        }
        uint64_t from = run->writes > span ? bench_random_below(t, run->writes - span) : 0;
        omen_read_options o = {.struct_bytes = sizeof(o), .flags = OMEN_HAS_LOWER | OMEN_HAS_UPPER};
        o.lower = (omen_slice){low, series_key(low, id, from)};
        o.upper = (omen_slice){high, series_key(high, id, from + span)};
        void *it = NULL;
        err = e->iter_open(run->db, &o, &it);
        if (err != OMEN_OK)
            break;
        omen_slice key, value;
        uint64_t before = t->bytes;
        for (bool on = e->iter_first(it, &key, &value); on; on = e->iter_next(it, &key, &value))
            t->bytes += key.size + value.size;
        t->total++;
        t->found += t->bytes != before;
        err = e->iter_status(it);
        e->iter_close(it);
        bench_done(t, 1, BENCH_SEEK);
    }
    if (err != OMEN_OK)
        bench_fail(t, "timeseries", err);
    bench_cursor_fini(&h.cursor);
}

/* ---- reads ----------------------------------------------------------------------------------- */

static void read_some(struct bench_thread *t, uint64_t range)
{
    struct bench_run *run = t->run;
    const struct bench_engine *e = run->engine;
    struct hand h;
    if (!hand_init(&h, t))
        return;
    struct bench_until until = bench_until(t, run->flags->duration, run->reads);
    while (bench_more(t, &until, 1)) {
        uint64_t n = bench_random_below(t, range);
        omen_slice key = hand_key(&h, n);
        omen_value value = {0};
        omen_err err = e->get(run->db, key, &value);
        t->total++;
        if (err == OMEN_OK) {
            t->found++;
            t->bytes += key.size + value.size;
            value_checked(t, &h, n, value.data, value.size);
            e->release(&value);
        } else if (err != OMEN_NOT_FOUND) {
            bench_fail(t, "get", err);
            break;
        }
        bench_done(t, 1, BENCH_READ);
        bench_pace(t, 1, run->flags->benchmark_read_rate_limit);
    }
    bench_cursor_fini(&h.cursor);
}

void bench_read_random(struct bench_thread *t)
{
    read_some(t, t->run->num);
}

void bench_read_hot(struct bench_thread *t)
{
    read_some(t, (t->run->num + 99) / 100);
}

static void read_in_order(struct bench_thread *t, bool backward)
{
    struct bench_run *run = t->run;
    const struct bench_engine *e = run->engine;
    void *it = NULL;
    omen_err err = e->iter_open(run->db, NULL, &it);
    if (err != OMEN_OK) {
        bench_fail(t, "iterator", err);
        return;
    }
    bool (*step)(void *, omen_slice *, omen_slice *) = backward ? e->iter_prev : e->iter_next;
    omen_slice key = {0}, value = {0};
    bool on = backward ? e->iter_last(it, &key, &value) : e->iter_first(it, &key, &value);
    for (uint64_t left = run->reads; on && left > 0; left--) {
        t->bytes += key.size + value.size;
        bench_done(t, 1, BENCH_READ);
        on = step(it, &key, &value);
    }
    err = e->iter_status(it);
    if (err != OMEN_OK)
        bench_fail(t, "iterator", err);
    e->iter_close(it);
}

void bench_read_forward(struct bench_thread *t)
{
    read_in_order(t, false);
}

void bench_read_backward(struct bench_thread *t)
{
    read_in_order(t, true);
}

/* One multi-get of run->batch keys, or as many gets. */
static omen_err multi_read_once(struct bench_thread *t, struct hand *h, const uint64_t *numbers,
                                omen_slice *keys, omen_value *values, omen_err *errs)
{
    struct bench_run *run = t->run;
    const struct bench_engine *e = run->engine;
    omen_err err = OMEN_OK;
    if (run->flags->multiread_batched) {
        err = e->multi_get(run->db, run->batch, keys, values, errs);
    } else {
        for (uint64_t i = 0; i < run->batch && err == OMEN_OK; i++) {
            errs[i] = e->get(run->db, keys[i], &values[i]);
            if (errs[i] != OMEN_OK && errs[i] != OMEN_NOT_FOUND) {
                err = errs[i];
                for (uint64_t k = i + 1; k < run->batch; k++)
                    errs[k] = OMEN_NOT_FOUND;
            }
        }
    }
    for (uint64_t i = 0; i < run->batch; i++) {
        if (errs[i] != OMEN_OK)
            continue;
        t->found++;
        t->bytes += keys[i].size + values[i].size;
        value_checked(t, h, numbers[i], values[i].data, values[i].size);
        e->release(&values[i]);
    }
    return err;
}

void bench_multi_read(struct bench_thread *t)
{
    struct bench_run *run = t->run;
    struct hand h;
    if (!hand_init(&h, t))
        return;
    size_t n = run->batch, key_room = bench_keys_size(run->keys) + run->key_more + 64;
    uint64_t *numbers = omt_realloc(NULL, n * sizeof(*numbers));
    omen_slice *keys = omt_realloc(NULL, n * sizeof(*keys));
    omen_value *values = omt_realloc(NULL, n * sizeof(*values));
    omen_err *errs = omt_realloc(NULL, n * sizeof(*errs));
    uint8_t *key_bytes = omt_realloc(NULL, n * key_room);
    struct bench_until until = bench_until(t, run->flags->duration, run->reads);
    while (bench_more(t, &until, n)) {
        for (size_t i = 0; i < n; i++) {
            numbers[i] = bench_random_below(t, run->num);
            omen_slice key = hand_key(&h, numbers[i]);
            size_t len = key.size < key_room ? key.size : key_room;
            memcpy(key_bytes + i * key_room, key.data, len);
            keys[i] = (omen_slice){key_bytes + i * key_room, len};
            values[i] = (omen_value){0};
            errs[i] = OMEN_NOT_FOUND;
        }
        omen_err err = multi_read_once(t, &h, numbers, keys, values, errs);
        t->total += n;
        if (err != OMEN_OK && err != OMEN_NOT_FOUND) {
            bench_fail(t, "multi-get", err);
            break;
        }
        bench_done(t, n, BENCH_READ);
    }
    free(key_bytes);
    free(errs);
    free(values);
    free(keys);
    free(numbers);
    bench_cursor_fini(&h.cursor);
}

void bench_seek(struct bench_thread *t)
{
    struct bench_run *run = t->run;
    const struct bench_engine *e = run->engine;
    const struct bench_flags *f = run->flags;
    struct hand h;
    if (!hand_init(&h, t))
        return;
    void *it = NULL;
    omen_err err = OMEN_OK;
    struct bench_until until = bench_until(t, f->duration, run->reads);
    bool (*step)(void *, omen_slice *, omen_slice *) =
        f->reverse_iterator ? e->iter_prev : e->iter_next;
    for (uint64_t i = 0; bench_more(t, &until, 1); i++) {
        if (it == NULL && (err = e->iter_open(run->db, NULL, &it)) != OMEN_OK)
            break;
        /* seekordered goes up through the keys in large steps, as LevelDB's does */
        uint64_t n = run->sequential ? i * 100 % run->num : bench_random_below(t, run->num);
        omen_slice want = hand_key(&h, n), key = {0}, value = {0};
        bool on = f->reverse_iterator ? e->iter_seek_for_prev(it, want, &key, &value)
                                      : e->iter_seek(it, want, &key, &value);
        t->total++;
        if (on && key.size == want.size && memcmp(key.data, want.data, key.size) == 0) {
            t->found++;
            value_checked(t, &h, n, value.data, value.size);
        }
        for (int64_t k = 0; k < f->seek_nexts && on; k++) {
            t->bytes += key.size + value.size;
            on = step(it, &key, &value);
        }
        err = e->iter_status(it);
        if (err != OMEN_OK)
            break;
        if (!f->reuse_iterator) {
            e->iter_close(it);
            it = NULL;
        }
        bench_done(t, 1, BENCH_SEEK);
        bench_pace(t, 1, f->benchmark_read_rate_limit);
    }
    if (err != OMEN_OK)
        bench_fail(t, "seek", err);
    if (it != NULL)
        e->iter_close(it);
    bench_cursor_fini(&h.cursor);
}

/* ---- mixed ----------------------------------------------------------------------------------- */

void bench_read_while_writing(struct bench_thread *t)
{
    if (t->exclude)
        bench_write(t);
    else
        bench_read_random(t);
}

void bench_seek_while_writing(struct bench_thread *t)
{
    if (t->exclude)
        bench_write(t);
    else
        bench_seek(t);
}

void bench_read_write(struct bench_thread *t)
{
    struct bench_run *run = t->run;
    const struct bench_engine *e = run->engine;
    struct hand h;
    if (!hand_init(&h, t))
        return;
    uint64_t reads = 0, writes = 0;
    uint64_t percent = (uint64_t)run->flags->readwritepercent;
    omen_err err = OMEN_OK;
    /* num operations a thread; reads if given */
    struct bench_until until =
        bench_until(t, run->flags->duration, run->flags->reads < 0 ? run->num : run->reads);
    for (uint64_t i = 0; bench_more(t, &until, 1); i++) {
        uint64_t n = bench_random_below(t, run->num);
        omen_slice key = hand_key(&h, n);
        if (i % 100 < percent) { /* so many reads, then the writes, as db_bench */
            omen_value value = {0};
            err = e->get(run->db, key, &value);
            if (err == OMEN_OK) {
                t->found++;
                value_checked(t, &h, n, value.data, value.size);
                e->release(&value);
            } else if (err != OMEN_NOT_FOUND) {
                break;
            }
            err = OMEN_OK;
            reads++;
            bench_done(t, 1, BENCH_READ);
        } else {
            omen_slice value =
                bench_value(&h.cursor, n, h.values->sizes != 0 ? bench_random(t) : 0);
            err = e->put(run->db, key, value, run->sync);
            if (err != OMEN_OK)
                break;
            writes++;
            bench_done(t, 1, BENCH_WRITE);
        }
    }
    if (err != OMEN_OK)
        bench_fail(t, "get or put", err);
    t->total = reads;
    snprintf(t->message, sizeof(t->message),
             "( reads:%" PRIu64 " writes:%" PRIu64 " total:%" PRIu64 " found:%" PRIu64 ")", reads,
             writes, run->num, t->found);
    bench_cursor_fini(&h.cursor);
}

/* ---- the database as a whole ----------------------------------------------------------------- */

void bench_open(struct bench_thread *t)
{
    struct bench_run *run = t->run;
    omen_options options = *run->options;
    for (uint64_t i = 0; i < run->reads; i++) {
        omen_err err = run->db == NULL ? OMEN_OK : run->engine->close(run->db);
        run->db = NULL;
        if (err == OMEN_OK)
            err = run->engine->open(run->path, &options, &run->db);
        if (err != OMEN_OK) {
            bench_fail(t, "open", err);
            return;
        }
        bench_done(t, 1, BENCH_OTHER);
    }
}

void bench_compact(struct bench_thread *t)
{
    omen_err err = t->run->engine->compact(t->run->db);
    if (err != OMEN_OK)
        bench_fail(t, "compact", err);
}

void bench_verify(struct bench_thread *t)
{
    omen_err err = t->run->engine->verify(t->run->db);
    if (err != OMEN_OK)
        bench_fail(t, "verify", err);
}

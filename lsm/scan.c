/*
 * scan.c - the user's iterator: memtables and runs merged, the newest visible version of each key,
 * deletes left out, in both directions, within bounds.
 *
 * Forward, the sources stand at the current entry; the winner and the runner-up are remembered, so
 * that in a tree where most entries lie in one run a step is one compare. Backward, the sources
 * stand before the current key, whose entry is a copy.
 */
#include "io/base/coding.h"
#include "lsm/db.h"

#include <stdlib.h>
#include <string.h>

struct source {
    uint64_t head; /* of the current key; heads first, full compare on ties */
    const struct omi_entry *entry;
    bool valid, is_run;
    union {
        struct omi_mem_cursor mem;
        struct omi_run_cursor run;
    } at;
};

enum direction { UNPLACED, FORWARD, BACKWARD };

struct omen_iter {
    omen_db *db;
    struct omi_view *view;
    const struct omi_order *order;
    uint64_t seq;
    bool bytewise, valid;
    enum direction direction;
    bool has_lower, has_upper;
    omen_slice lower, upper;
    struct omi_buf upper_owned; /* the successor of a prefix */
    struct omi_buf key, value;  /* the current key's copy (a value's, backward) */
    omen_slice current_key, current_value;
    omen_err err;
    char err_text[400];
    unsigned stripe;
    uint32_t source_count, winner, runner_up; /* source_count: none */
    struct source sources[];
};

/* ---- sources --------------------------------------------------------------------------------- */

static void source_settle(struct omen_iter *it, struct source *s)
{
    if (s->is_run) {
        s->valid = omi_run_cursor_valid(&s->at.run);
        s->entry = &s->at.run.entry;
        if (!s->valid && s->at.run.err != OMEN_OK && it->err == OMEN_OK) {
            it->err = s->at.run.err;
            strncpy(it->err_text, omen_last_error(), sizeof(it->err_text) - 1);
        }
    } else {
        s->valid = s->at.mem.valid;
        s->entry = &s->at.mem.entry;
    }
    if (s->valid)
        s->head = omi_head64(s->entry->key, s->entry->key_size);
}

static void source_next(struct omen_iter *it, struct source *s)
{
    if (s->is_run)
        omi_run_cursor_next(&s->at.run);
    else
        omi_mem_cursor_next(&s->at.mem);
    source_settle(it, s);
}

static void source_prev(struct omen_iter *it, struct source *s)
{
    if (s->is_run)
        omi_run_cursor_prev(&s->at.run);
    else
        omi_mem_cursor_prev(&s->at.mem);
    source_settle(it, s);
}

static void source_seek(struct omen_iter *it, struct source *s, omen_slice key)
{
    if (s->is_run)
        omi_run_cursor_seek(&s->at.run, key, omi_trailer_seek(it->seq));
    else
        omi_mem_cursor_seek(&s->at.mem, key);
    source_settle(it, s);
}

/* To the last entry with a key < key, or <= key when inclusive. */
static void source_seek_back(struct omen_iter *it, struct source *s, omen_slice key, bool inclusive)
{
    if (s->is_run) {
        omi_run_cursor_seek_for_prev(&s->at.run, key, inclusive ? 0 : UINT64_MAX);
    } else {
        omi_mem_cursor_seek_for_prev(&s->at.mem, key);
        if (!inclusive && s->at.mem.valid &&
            omi_key_compare(it->order, omi_entry_key(&s->at.mem.entry), key) == 0)
            omi_mem_cursor_prev(&s->at.mem);
    }
    source_settle(it, s);
}

static void source_end(struct omen_iter *it, struct source *s, bool last)
{
    if (s->is_run) {
        if (last)
            omi_run_cursor_last(&s->at.run);
        else
            omi_run_cursor_first(&s->at.run);
    } else if (last) {
        omi_mem_cursor_last(&s->at.mem);
    } else {
        omi_mem_cursor_first(&s->at.mem);
    }
    source_settle(it, s);
}

/* ---- picking the winner ---------------------------------------------------------------------- */

static int source_compare(const struct omen_iter *it, const struct source *a,
                          const struct source *b)
{
    if (it->bytewise && a->head != b->head)
        return a->head < b->head ? -1 : 1;
    return omi_internal_compare(it->order, omi_entry_key(a->entry), a->entry->trailer,
                                omi_entry_key(b->entry), b->entry->trailer);
}

/* Full look at all sources; sign 1: the smallest wins, -1: the largest. */
static void choose(struct omen_iter *it, int sign)
{
    uint32_t none = it->source_count, best = none, second = none;
    for (uint32_t i = 0; i < it->source_count; i++) {
        if (!it->sources[i].valid)
            continue;
        if (best == none || sign * source_compare(it, &it->sources[i], &it->sources[best]) < 0) {
            second = best;
            best = i;
        } else if (second == none ||
                   sign * source_compare(it, &it->sources[i], &it->sources[second]) < 0) {
            second = i;
        }
    }
    it->winner = best;
    it->runner_up = second;
}

/* After the winner moved: it stays while it is before the runner-up. */
static void choose_again(struct omen_iter *it, int sign)
{
    const struct source *w = &it->sources[it->winner];
    if (w->valid && (it->runner_up == it->source_count ||
                     sign * source_compare(it, w, &it->sources[it->runner_up]) < 0))
        return;
    choose(it, sign);
}

/* ---- forward --------------------------------------------------------------------------------- */

static omen_err keep(struct omi_buf *buf, const void *bytes, size_t size)
{
    buf->size = 0;
    return omi_buf_append(buf, bytes, size);
}

static void stop(struct omen_iter *it, omen_err err)
{
    it->valid = false;
    if (err != OMEN_OK && it->err == OMEN_OK) {
        it->err = err;
        strncpy(it->err_text, omen_last_error(), sizeof(it->err_text) - 1);
    }
}

static bool key_is(const struct omen_iter *it, const struct omi_entry *e, const struct omi_buf *key)
{
    if (it->bytewise)
        return omi_bytes_equal(e->key, e->key_size, key->data, key->size);
    return omi_key_compare(it->order, omi_entry_key(e), omi_slice(key->data, key->size)) == 0;
}

static bool entry_known(struct omen_iter *it, const struct omi_entry *e)
{
    if (omi_trailer_known(e->trailer))
        return true;
    stop(it,
         omi_fail(OMEN_UNSUPPORTED, 0, "an entry of type 0x%02x, which this build does not know",
                  (unsigned)(e->trailer & 0xff)));
    return false;
}

/* From the winner on to the first entry to show. skip: it->key is a key that is done with. */
static void forward_settle(struct omen_iter *it, bool skip)
{
    uint64_t dead = 0;
    it->valid = false;
    while (it->err == OMEN_OK && it->winner != it->source_count) {
        struct source *s = &it->sources[it->winner];
        const struct omi_entry *e = s->entry;
        if (it->has_upper && omi_key_compare(it->order, omi_entry_key(e), it->upper) >= 0)
            break;
        if (omi_trailer_seq(e->trailer) <= it->seq && !(skip && key_is(it, e, &it->key))) {
            if (!entry_known(it, e))
                break;
            omen_err err = keep(&it->key, e->key, e->key_size);
            if (err != OMEN_OK) {
                stop(it, err);
                break;
            }
            if (omi_trailer_kind(e->trailer) == OMI_KIND_PUT) {
                it->current_key = omi_slice(it->key.data, it->key.size);
                it->current_value = omi_slice(e->value, e->value_size);
                it->valid = true;
                break;
            }
            skip = true;
            dead++;
        }
        source_next(it, s);
        choose_again(it, 1);
    }
    if (it->err != OMEN_OK)
        it->valid = false;
    if (dead != 0)
        omi_count_at(&it->db->counters, it->stripe, OMI_COUNT_TOMBSTONES_SKIPPED, dead);
}

static void forward_from(struct omen_iter *it, omen_slice key)
{
    if (it->has_lower && omi_key_compare(it->order, key, it->lower) < 0)
        key = it->lower;
    it->direction = FORWARD;
    for (uint32_t i = 0; i < it->source_count; i++)
        source_seek(it, &it->sources[i], key);
    choose(it, 1);
    forward_settle(it, false);
}

/* ---- backward -------------------------------------------------------------------------------- */

/* The sources stand at the last entries below where we were: collects the newest visible version of
 * the largest key there, and leaves the sources before that key. Versions come oldest first. */
static void backward_settle(struct omen_iter *it)
{
    uint64_t dead = 0;
    it->valid = false;
    bool have = false, is_put = false;
    while (it->err == OMEN_OK) {
        struct source *s = it->winner != it->source_count ? &it->sources[it->winner] : NULL;
        const struct omi_entry *e = s != NULL ? s->entry : NULL;
        if (have && (e == NULL || !key_is(it, e, &it->key))) {
            if (is_put) {
                it->current_key = omi_slice(it->key.data, it->key.size);
                it->current_value = omi_slice(it->value.data, it->value.size);
                it->valid = true;
                break;
            }
            dead++;
            have = false;
        }
        if (e == NULL ||
            (it->has_lower && omi_key_compare(it->order, omi_entry_key(e), it->lower) < 0))
            break;
        if (omi_trailer_seq(e->trailer) <= it->seq) {
            if (!entry_known(it, e))
                break;
            is_put = omi_trailer_kind(e->trailer) == OMI_KIND_PUT;
            omen_err err = have ? OMEN_OK : keep(&it->key, e->key, e->key_size);
            if (err == OMEN_OK && is_put)
                err = keep(&it->value, e->value, e->value_size);
            if (err != OMEN_OK) {
                stop(it, err);
                break;
            }
            have = true;
        }
        source_prev(it, s);
        choose_again(it, -1);
    }
    if (it->err != OMEN_OK)
        it->valid = false;
    if (dead != 0)
        omi_count_at(&it->db->counters, it->stripe, OMI_COUNT_TOMBSTONES_SKIPPED, dead);
}

static void backward_from(struct omen_iter *it, omen_slice key, bool inclusive)
{
    if (it->has_upper && omi_key_compare(it->order, key, it->upper) >= 0) {
        key = it->upper;
        inclusive = false;
    }
    it->direction = BACKWARD;
    for (uint32_t i = 0; i < it->source_count; i++)
        source_seek_back(it, &it->sources[i], key, inclusive);
    choose(it, -1);
    backward_settle(it);
}

/* ---- the public calls ------------------------------------------------------------------------ */

/* Bounds from lower, upper and prefix; a prefix p is [p, successor(p)), without an upper end when p
 * is all 0xFF. */
static omen_err iter_bounds(struct omen_iter *it, const omen_read_options *o)
{
    if (o == NULL)
        return OMEN_OK;
    it->has_lower = (o->flags & OMEN_HAS_LOWER) != 0;
    it->has_upper = (o->flags & OMEN_HAS_UPPER) != 0;
    it->lower = o->lower;
    it->upper = o->upper;
    if ((o->flags & OMEN_HAS_PREFIX) == 0)
        return OMEN_OK;
    if (!it->has_lower || omi_key_compare(it->order, o->prefix, it->lower) > 0)
        it->lower = o->prefix;
    it->has_lower = true;
    omen_err err = keep(&it->upper_owned, o->prefix.data, o->prefix.size);
    if (err != OMEN_OK)
        return err;
    struct omi_buf *u = &it->upper_owned;
    while (u->size > 0 && u->data[u->size - 1] == 0xff)
        u->size--;
    if (u->size == 0)
        return OMEN_OK;
    u->data[u->size - 1]++;
    omen_slice end = omi_slice(u->data, u->size);
    if (!it->has_upper || omi_key_compare(it->order, end, it->upper) < 0)
        it->upper = end;
    it->has_upper = true;
    return OMEN_OK;
}

omen_err omen_iter_open(omen_db *db, const omen_read_options *options, omen_iter **iter_out)
{
    *iter_out = NULL;
    omen_err err = omi_read_options_check(db, options);
    if (err != OMEN_OK)
        return err;
    struct omi_view *view = omi_view_ref(db);
    uint32_t count = view->mem_count + view->version->run_count;
    struct omen_iter *it = malloc(sizeof(*it) + count * sizeof(struct source));
    if (it == NULL) {
        omi_view_unref(view);
        return omi_fail(OMEN_NO_MEMORY, 0, "an iterator");
    }
    memset(it, 0, sizeof(*it));
    it->db = db;
    it->view = view;
    it->order = &db->tenv.order;
    it->bytewise = omi_order_is_bytewise(it->order);
    it->seq = omi_read_seq(db, options);
    it->stripe = omi_counter_stripe();
    bool fill = options == NULL || (options->flags & OMEN_NO_FILL_CACHE) == 0;
    for (uint32_t i = 0; i < view->mem_count; i++) {
        if (omi_memtable_entries(view->mems[i]) == 0)
            continue;
        struct source *s = &it->sources[it->source_count++];
        *s = (struct source){.is_run = false};
        omi_mem_cursor_init(&s->at.mem, view->mems[i], it->seq);
    }
    for (uint32_t i = 0; i < view->version->run_count; i++) {
        const struct omi_run_view *run = &view->version->runs[i];
        struct source *s = &it->sources[it->source_count++];
        s->is_run = true;
        s->valid = false;
        omi_run_cursor_init(&s->at.run, run->tables, run->table_count, it->order, fill);
    }
    it->winner = it->runner_up = it->source_count;
    atomic_fetch_add(&db->iterators, 1);
    err = iter_bounds(it, options);
    if (err != OMEN_OK) {
        omen_iter_close(it);
        return err;
    }
    *iter_out = it;
    return OMEN_OK;
}

void omen_iter_close(omen_iter *it)
{
    if (it == NULL)
        return;
    for (uint32_t i = 0; i < it->source_count; i++)
        if (it->sources[i].is_run)
            omi_run_cursor_fini(&it->sources[i].at.run);
    omi_view_unref(it->view);
    omi_buf_fini(&it->upper_owned);
    omi_buf_fini(&it->key);
    omi_buf_fini(&it->value);
    atomic_fetch_sub(&it->db->iterators, 1);
    free(it);
}

int omen_iter_valid(const omen_iter *it)
{
    return it->valid;
}

static void begin(struct omen_iter *it)
{
    it->err = OMEN_OK;
    it->err_text[0] = 0;
    omi_count_at(&it->db->counters, it->stripe, OMI_COUNT_SEEKS, 1);
}

void omen_iter_seek(omen_iter *it, omen_slice key)
{
    begin(it);
    forward_from(it, key);
}

void omen_iter_seek_for_prev(omen_iter *it, omen_slice key)
{
    begin(it);
    backward_from(it, key, true);
}

void omen_iter_seek_first(omen_iter *it)
{
    begin(it);
    if (it->has_lower) {
        forward_from(it, it->lower);
        return;
    }
    it->direction = FORWARD;
    for (uint32_t i = 0; i < it->source_count; i++)
        source_end(it, &it->sources[i], false);
    choose(it, 1);
    forward_settle(it, false);
}

void omen_iter_seek_last(omen_iter *it)
{
    begin(it);
    if (it->has_upper) {
        backward_from(it, it->upper, false);
        return;
    }
    it->direction = BACKWARD;
    for (uint32_t i = 0; i < it->source_count; i++)
        source_end(it, &it->sources[i], true);
    choose(it, -1);
    backward_settle(it);
}

void omen_iter_next(omen_iter *it)
{
    if (!it->valid)
        return;
    omi_count_at(&it->db->counters, it->stripe, OMI_COUNT_NEXTS, 1);
    if (it->direction == BACKWARD) { /* back to the current key's versions; they are skipped */
        it->direction = FORWARD;
        for (uint32_t i = 0; i < it->source_count; i++)
            source_seek(it, &it->sources[i], omi_slice(it->key.data, it->key.size));
        choose(it, 1);
    } else {
        source_next(it, &it->sources[it->winner]);
        choose_again(it, 1);
    }
    forward_settle(it, true);
}

void omen_iter_prev(omen_iter *it)
{
    if (!it->valid)
        return;
    omi_count_at(&it->db->counters, it->stripe, OMI_COUNT_NEXTS, 1);
    if (it->direction == FORWARD)
        backward_from(it, omi_slice(it->key.data, it->key.size), false);
    else
        backward_settle(it);
}

omen_slice omen_iter_key(const omen_iter *it)
{
    return it->valid ? it->current_key : omi_slice(NULL, 0);
}

omen_slice omen_iter_value(const omen_iter *it)
{
    return it->valid ? it->current_value : omi_slice(NULL, 0);
}

omen_err omen_iter_status(const omen_iter *it)
{
    return it->err == OMEN_OK ? OMEN_OK : omi_fail_again(it->err, it->err_text);
}

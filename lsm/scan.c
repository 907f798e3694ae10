/*
 * scan.c - the user's iterator: memtables and runs merged, the newest visible version of each key,
 * deletes left out, in both directions, within bounds.
 *
 * Forward, the sources stand at the current entry; the winner and the runner-up are remembered, so
 * that in a tree where most entries lie in one run a step is one compare. Backward, the sources
 * stand before the current key, whose entry is a copy.
 *
 * A run with range filters (learned/range_filter.h) is parked at the bound instead of being
 * positioned: it reads nothing. Forward, the filter tells once up to which key there is none in the
 * run; entries before that key are shown without the run, and with the first that is not, that very
 * key included, for the run may hold a newer version or a delete of it, the run is activated:
 * positioned where it would have come to by itself. Backward, the filter is asked entry by entry
 * about what lies between the bound and the entry, both included. So what is shown does not depend on
 * any filter's answer.
 */
#include "io/base/coding.h"
#include "io/base/mutant.h"
#include "lsm/db.h"

#include <stdlib.h>
#include <string.h>

/* Keys passed backward after which asking filters costs more than it can save. */
enum { PARKED_KEYS_MAX = 32 };

struct source {
    uint64_t head; /* of the current key; heads first, full compare on ties */
    const struct omi_entry *entry;
    bool valid, is_run;
    uint32_t level;          /* of a run */
    bool has_filter, parked; /* parked: not valid, and not positioned */
    bool free_forever;       /* parked, forward: no key from the bound on */
    struct omi_buf free;     /* else: none from the bound to this key */
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
    /* Parked sources have no entry between where this direction began and the bound; forward the
     * bound stays there, and none has one before the key next_free. */
    uint32_t parked_count, parked_keys;
    omen_slice next_free;
    bool has_next_free; /* false: none has one at all */
    struct omi_buf bound;
    bool has_bound;       /* false: the very start, or end */
    bool bound_inclusive; /* does an activated source begin at the bound, or past it? */
    bool bound_asked;     /* have the parked sources said that the bound itself is not there? */
    struct {
        uint64_t asked, parked, activated, in_vain, nexts, entries, bytes;
    } counts;                   /* since they were added to the database's */
    bool scanning;              /* placed since then */
    bool sampled, seen;         /* remember this scan; it has passed a key */
    struct omi_trace *trace;    /* to tell of it when it ends; NULL: nobody */
    bool from_end, backward;    /* it began at an end; downwards */
    struct omi_buf sample_from; /* where it began, if sampled or traced */
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

/* ---- parked sources -------------------------------------------------------------------------- */

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

static omen_slice bound_key(const struct omen_iter *it)
{
    return omi_slice(it->bound.data, it->bound.size);
}

/* The first key that a source parked forward can have an entry of: the bound's, or a later one. */
static omen_slice free_key(const struct omen_iter *it, const struct source *s)
{
    omen_slice key = omi_slice(s->free.data, s->free.size), bound = bound_key(it);
    return it->has_bound && omi_key_compare(it->order, key, bound) < 0 ? bound : key;
}

/* To where it would stand, had it been positioned with the others. */
static void activate(struct omen_iter *it, struct source *s)
{
    s->parked = false;
    it->parked_count--;
    it->counts.activated++;
    if (it->direction == FORWARD)
        source_seek(it, s, free_key(it, s));
    else if (!it->has_bound)
        source_end(it, s, true);
    else
        source_seek_back(it, s, bound_key(it), it->bound_inclusive);
}

static void activate_all(struct omen_iter *it)
{
    for (uint32_t i = 0; i < it->source_count && it->parked_count != 0; i++)
        if (it->sources[i].parked)
            activate(it, &it->sources[i]);
}

/* Forward: how far has a source nothing? False: memory is short. */
static bool find_free(struct omen_iter *it, struct source *s)
{
    omen_slice key = bound_key(it);
    struct omi_grace *grace = &it->db->tenv.filter_memory.grace;
    uint32_t phase = omi_grace_enter(grace, it->stripe);
    omen_err err =
        omi_run_cursor_free(&s->at.run, it->has_bound ? &key : NULL, &s->free, &s->free_forever);
    omi_grace_leave(grace, it->stripe, phase);
    it->counts.asked++;
    return err == OMEN_OK;
}

/* Backward: may a parked source have a key between limit (NULL: the first) and the bound? */
static bool may_hold(struct omen_iter *it, const struct source *s, const omen_slice *limit)
{
    omen_slice key = bound_key(it);
    struct omi_grace *grace = &it->db->tenv.filter_memory.grace;
    uint32_t phase = omi_grace_enter(grace, it->stripe);
    bool may = omi_run_cursor_may_hold(&s->at.run, limit, it->has_bound ? &key : NULL);
    omi_grace_leave(grace, it->stripe, phase);
    it->counts.asked++;
    return may;
}

/* Forward: may a parked source have a key before the upper bound? */
static bool free_ends(const struct omen_iter *it, const struct source *s)
{
    return !s->free_forever &&
           !(it->has_upper && omi_key_compare(it->order, free_key(it, s), it->upper) >= 0);
}

/* Forward: the least of the keys that parked sources may have. */
static void find_next_free(struct omen_iter *it)
{
    it->has_next_free = false;
    for (uint32_t i = 0; i < it->source_count && it->parked_count != 0; i++) {
        const struct source *s = &it->sources[i];
        if (!s->parked || s->free_forever)
            continue;
        omen_slice key = free_key(it, s);
        if (!it->has_next_free || omi_key_compare(it->order, key, it->next_free) < 0)
            it->next_free = key;
        it->has_next_free = true;
    }
}

/* Nothing to be found up to where the scan may go: neither positioned nor asked again. */
static void retire(struct omen_iter *it, struct source *s)
{
    s->parked = false;
    it->parked_count--;
}

/* Parks a source that has filters; false: it has none, or memory is short. */
static bool park(struct omen_iter *it, struct source *s)
{
    s->parked = s->has_filter && (it->direction == BACKWARD || find_free(it, s));
    if (!s->parked)
        return false;
    s->valid = false;
    it->parked_count++;
    it->counts.parked++;
    if (it->direction == FORWARD ? !free_ends(it, s)
                                 : it->has_lower && !may_hold(it, s, &it->lower))
        retire(it, s);
    return true;
}

/* Places all sources at from (NULL: the end of this direction), or parks them there. */
static void place(struct omen_iter *it, enum direction direction, const omen_slice *from,
                  bool inclusive)
{
    bool forward = direction == FORWARD;
    omen_slice start = from != NULL ? *from : omi_slice(NULL, 0);
    it->direction = direction;
    it->parked_count = it->parked_keys = 0;
    it->has_bound = from != NULL;
    it->bound_inclusive = inclusive;
    it->bound_asked = false;
    bool may_park = from == NULL || keep(&it->bound, start.data, start.size) == OMEN_OK;
    for (uint32_t i = 0; i < it->source_count; i++) {
        struct source *s = &it->sources[i];
        s->parked = false;
        if (may_park && park(it, s))
            continue;
        if (from == NULL)
            source_end(it, s, !forward);
        else if (forward)
            source_seek(it, s, start);
        else
            source_seek_back(it, s, start, inclusive);
    }
    if (forward)
        find_next_free(it);
    choose(it, forward ? 1 : -1);
}

/* Is key, the best of the positioned sources, also the best of all? False: sources were activated;
 * choose again. */
static bool forward_pass(struct omen_iter *it, omen_slice key)
{
    if (!it->has_next_free || (omi_key_compare(it->order, key, it->next_free) < 0 &&
                               !OMI_MUTANT(OMI_MUTANT_PARKED_KEY_MISSED)))
        return true;
    bool pass = true;
    for (uint32_t i = 0; i < it->source_count; i++) {
        struct source *s = &it->sources[i];
        int passed =
            s->parked && !s->free_forever ? omi_key_compare(it->order, free_key(it, s), key) : 1;
        if (passed > 0 || (passed == 0 && OMI_MUTANT(OMI_MUTANT_PARKED_KEY_MISSED)))
            continue;
        activate(it, s);
        pass = false;
        it->counts.in_vain += /* a false alarm */
            !s->valid || omi_key_compare(it->order, omi_entry_key(s->entry), key) > 0;
    }
    find_next_free(it);
    return pass;
}

static bool backward_pass(struct omen_iter *it, omen_slice key)
{
    if (it->bound_asked && omi_key_compare(it->order, key, bound_key(it)) >= 0)
        return true;
    if (it->parked_keys >= PARKED_KEYS_MAX) {
        activate_all(it);
        return false;
    }
    bool pass = true;
    for (uint32_t i = 0; i < it->source_count; i++) {
        struct source *s = &it->sources[i];
        if (!s->parked || !may_hold(it, s, &key))
            continue;
        activate(it, s);
        pass = false;
        it->counts.in_vain +=
            !s->valid || omi_key_compare(it->order, omi_entry_key(s->entry), key) < 0;
    }
    if (keep(&it->bound, key.data, key.size) != OMEN_OK) { /* parking is a saving, never a must */
        activate_all(it);
        return false;
    }
    it->has_bound = it->bound_asked = it->bound_inclusive = true;
    it->parked_keys++;
    return pass;
}

/* No positioned source has an entry within the limits: has a parked one? True: choose again. */
static bool parked_revive(struct omen_iter *it)
{
    bool any = false;
    for (uint32_t i = 0; i < it->source_count && it->parked_count != 0; i++) {
        struct source *s = &it->sources[i];
        if (!s->parked)
            continue;
        if (it->direction == FORWARD ? free_ends(it, s)
                                     : may_hold(it, s, it->has_lower ? &it->lower : NULL)) {
            activate(it, s);
            any = true;
        } else {
            retire(it, s);
        }
    }
    if (it->direction == FORWARD)
        find_next_free(it);
    return any;
}

/* What the runs of a source's level were read for. */
static void io_add(struct omen_iter *it, struct source *s)
{
    const uint64_t add[] = {s->at.run.io.opens, s->at.run.io.blocks, s->at.run.io.reads};
    const enum omi_level_counter which[] = {OMI_LEVEL_SCAN_OPENS, OMI_LEVEL_SCAN_BLOCKS,
                                            OMI_LEVEL_SCAN_BLOCK_READS};
    for (size_t i = 0; i < sizeof(add) / sizeof(add[0]); i++)
        if (add[i] != 0)
            omi_count_level(&it->db->counters, it->stripe, s->level, which[i], add[i]);
    memset(&s->at.run.io, 0, sizeof(s->at.run.io));
}

/* 0 for none, i for 2^(i-1) and more. */
static unsigned length_class(uint64_t entries)
{
    unsigned i = 0;
    for (; entries != 0 && i < OMEN_SCAN_LENGTHS - 1; entries /= 2)
        i++;
    return i;
}

/* The scan so far ends: what it did is counted. */
static void counts_add(struct omen_iter *it)
{
    const struct {
        enum omi_counter which;
        uint64_t n;
    } add[] = {{OMI_COUNT_RANGE_ASKED, it->counts.asked},
               {OMI_COUNT_RANGE_PARKED, it->counts.parked},
               {OMI_COUNT_RANGE_ACTIVATED, it->counts.activated},
               {OMI_COUNT_RANGE_IN_VAIN, it->counts.in_vain},
               {OMI_COUNT_NEXTS, it->counts.nexts},
               {OMI_COUNT_SCAN_ENTRIES, it->counts.entries},
               {OMI_COUNT_READ_BYTES, it->counts.bytes}};
    if (!it->scanning)
        return;
    it->scanning = false;
    for (size_t i = 0; i < sizeof(add) / sizeof(add[0]); i++)
        if (add[i].n != 0)
            omi_count_at(&it->db->counters, it->stripe, add[i].which, add[i].n);
    for (uint32_t i = 0; i < it->source_count; i++)
        if (it->sources[i].is_run)
            io_add(it, &it->sources[i]);
    omi_count_at(&it->db->counters, it->stripe,
                 (enum omi_counter)(OMI_COUNT_SCAN_LENGTHS + length_class(it->counts.entries)), 1);
    if (it->counts.asked != 0)
        omi_filter_memory_wanted(it->db);
    memset(&it->counts, 0, sizeof(it->counts));
}

static void count_shown(struct omen_iter *it)
{
    if (!it->valid)
        return;
    it->counts.entries++;
    it->counts.bytes += it->current_key.size + it->current_value.size;
}

static void trace_end(struct omen_iter *it)
{
    if (it->trace == NULL)
        return;
    struct omi_trace_op op = {.kind = it->backward ? OMI_TRACE_SCAN_BACK : OMI_TRACE_SCAN,
                              .at_end = it->from_end,
                              .size = it->counts.entries};
    if (!it->from_end) {
        op.key = omi_slice(it->sample_from.data, it->sample_from.size);
        op.key_bytes = (uint32_t)it->sample_from.size;
    }
    omi_trace_add(it->trace, it->stripe, &op);
    it->trace = NULL;
}

/* ---- forward --------------------------------------------------------------------------------- */

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
    while (it->err == OMEN_OK) {
        struct source *s = it->winner != it->source_count ? &it->sources[it->winner] : NULL;
        const struct omi_entry *e = s != NULL ? s->entry : NULL;
        if (e == NULL ||
            (it->has_upper && omi_key_compare(it->order, omi_entry_key(e), it->upper) >= 0)) {
            if (it->parked_count == 0 || !parked_revive(it))
                break;
            choose(it, 1);
            continue;
        }
        if (omi_trailer_seq(e->trailer) <= it->seq && !(skip && key_is(it, e, &it->key))) {
            if (it->parked_count != 0 && !forward_pass(it, omi_entry_key(e))) {
                choose(it, 1);
                continue;
            }
            if (!entry_known(it, e))
                break;
            omen_err err = keep(&it->key, e->key, e->key_size);
            if (err != OMEN_OK) {
                stop(it, err);
                break;
            }
            it->seen = true;
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
    count_shown(it);
    if (dead != 0)
        omi_count_at(&it->db->counters, it->stripe, OMI_COUNT_TOMBSTONES_SKIPPED, dead);
}

static void forward_from(struct omen_iter *it, omen_slice key)
{
    if (it->has_lower && omi_key_compare(it->order, key, it->lower) < 0)
        key = it->lower;
    place(it, FORWARD, &key, true);
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
            (it->has_lower && omi_key_compare(it->order, omi_entry_key(e), it->lower) < 0)) {
            if (it->parked_count == 0 || !parked_revive(it))
                break;
            choose(it, -1);
            continue;
        }
        if (omi_trailer_seq(e->trailer) <= it->seq) {
            if (!have && it->parked_count != 0 && !backward_pass(it, omi_entry_key(e))) {
                choose(it, -1);
                continue;
            }
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
            have = it->seen = true;
        }
        source_prev(it, s);
        choose_again(it, -1);
    }
    if (it->err != OMEN_OK)
        it->valid = false;
    count_shown(it);
    if (dead != 0)
        omi_count_at(&it->db->counters, it->stripe, OMI_COUNT_TOMBSTONES_SKIPPED, dead);
}

static void backward_from(struct omen_iter *it, omen_slice key, bool inclusive)
{
    if (it->has_upper && omi_key_compare(it->order, key, it->upper) >= 0) {
        key = it->upper;
        inclusive = false;
    }
    place(it, BACKWARD, &key, inclusive);
    backward_settle(it);
}

/* ---- sampling -------------------------------------------------------------------------------- */

/* The scan until now, if it is one of those remembered: from where it began to the key it shows, or
 * to the bound that it came to. */
static void sample_end(struct omen_iter *it)
{
    if (!it->sampled)
        return;
    bool forward = it->direction == FORWARD;
    omen_slice from = omi_slice(it->sample_from.data, it->sample_from.size), to = from;
    if (!it->valid && (forward ? it->has_upper : it->has_lower))
        to = forward ? it->upper : it->lower;
    else if (it->seen)
        to = omi_slice(it->key.data, it->key.size);
    if (omi_bytes_compare(from.data, from.size, to.data, to.size) > 0) {
        omen_slice kept = from;
        from = to;
        to = kept;
    }
    if (to.size <= OMEN_KEY_BYTES_MAX && from.size <= OMEN_KEY_BYTES_MAX)
        omi_sample_scan(it->db->sample, it->stripe, from, to);
    it->sampled = false;
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
        s->level = run->level;
        s->valid = s->parked = false;
        s->has_filter = run->has_range_filter;
        s->free = (struct omi_buf){0};
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
        if (it->sources[i].is_run) {
            omi_run_cursor_fini(&it->sources[i].at.run);
            omi_buf_fini(&it->sources[i].free);
        }
    trace_end(it);
    counts_add(it);
    sample_end(it);
    omi_view_unref(it->view);
    omi_buf_fini(&it->upper_owned);
    omi_buf_fini(&it->bound);
    omi_buf_fini(&it->sample_from);
    omi_buf_fini(&it->key);
    omi_buf_fini(&it->value);
    atomic_fetch_sub(&it->db->iterators, 1);
    free(it);
}

int omen_iter_valid(const omen_iter *it)
{
    return it->valid;
}

/* A positioning at key, or at an end of all (NULL), where nothing is sampled unless it is bounded. */
static void begin(struct omen_iter *it, const omen_slice *key, bool backward)
{
    trace_end(it);
    counts_add(it);
    sample_end(it);
    omi_observed(it->db, 1);
    it->err = OMEN_OK;
    it->err_text[0] = 0;
    it->seen = false;
    it->scanning = true;
    uint64_t n = omi_count_at(&it->db->counters, it->stripe, OMI_COUNT_SEEKS, 1);
    it->sampled = key != NULL && it->bytewise && omi_sample_due(it->db->sample, n);
    it->trace = omi_tracing(it->db);
    it->from_end = key == NULL;
    it->backward = backward;
    if ((it->sampled || it->trace != NULL) && key != NULL &&
        keep(&it->sample_from, key->data, key->size) != OMEN_OK) {
        it->sampled = false;
        it->trace = NULL;
    }
}

void omen_iter_seek(omen_iter *it, omen_slice key)
{
    begin(it, &key, false);
    forward_from(it, key);
}

void omen_iter_seek_for_prev(omen_iter *it, omen_slice key)
{
    begin(it, &key, true);
    backward_from(it, key, true);
}

void omen_iter_seek_first(omen_iter *it)
{
    begin(it, it->has_lower ? &it->lower : NULL, false);
    if (it->has_lower) {
        forward_from(it, it->lower);
        return;
    }
    place(it, FORWARD, NULL, true);
    forward_settle(it, false);
}

void omen_iter_seek_last(omen_iter *it)
{
    begin(it, it->has_upper ? &it->upper : NULL, true);
    if (it->has_upper) {
        backward_from(it, it->upper, false);
        return;
    }
    place(it, BACKWARD, NULL, true);
    backward_settle(it);
}

void omen_iter_next(omen_iter *it)
{
    if (!it->valid)
        return;
    it->counts.nexts++;
    if (it->direction == BACKWARD) { /* back to the current key's versions; they are skipped */
        omen_slice here = omi_slice(it->key.data, it->key.size);
        place(it, FORWARD, &here, true);
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
    it->counts.nexts++;
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

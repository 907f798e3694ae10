/* telemetry.c - see telemetry.h. Stripes collect, one lock guards what they are emptied into. */
#include "lsm/telemetry.h"

#include "io/base/buf.h"
#include "io/base/coding.h"
#include "io/base/slice.h"
#include "io/base/sync.h"

#include <stdlib.h>
#include <string.h>

enum { STRIPE_KEYS = 16, STRIPE_BLOCKS = 32 };

struct sampled_block {
    uint64_t hash;
    uint32_t bytes;
};

struct stripe {
    _Alignas(64) struct omi_mutex mu; /* before the telemetry's own */
    uint32_t key_count, block_count;
    struct omi_hot_key keys[STRIPE_KEYS]; /* count and error unused */
    struct sampled_block blocks[STRIPE_BLOCKS];
};

struct omi_telemetry {
    uint32_t every_bits;
    struct omi_mutex mu; /* guards the rest but for the stripes */
    uint32_t window_count;
    uint64_t windows_ended;
    omen_window windows[OMEN_WINDOWS_MAX]; /* oldest first */
    struct omi_hot_keys *hot;
    struct omi_reuse *reuse;
    struct omi_reuse_curve curve;             /* of earlier handles */
    omen_window base;                         /* the counters when the running window began */
    uint64_t sorted_permille, sorted_flushes; /* of the flushes since then */
    uint64_t recorded;                        /* keys and blocks, ever */
    struct omi_buf last_largest;              /* of all flushed keys */
    bool has_last_largest;
    struct stripe stripes[OMI_COUNTER_STRIPES];
};

/* ---- begin and end --------------------------------------------------------------------------- */

omen_err omi_telemetry_create(uint32_t every_bits, struct omi_telemetry **out)
{
    *out = NULL;
    struct omi_telemetry *t = aligned_alloc(64, (sizeof(*t) + 63) / 64 * 64);
    if (t == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the telemetry");
    memset(t, 0, sizeof(*t));
    t->every_bits = every_bits;
    omi_mutex_init(&t->mu);
    for (uint32_t i = 0; i < OMI_COUNTER_STRIPES; i++)
        omi_mutex_init(&t->stripes[i].mu);
    omen_err err = omi_reuse_create(&t->reuse);
    if (err == OMEN_OK)
        err = omi_hot_create(&t->hot);
    if (err != OMEN_OK) {
        omi_telemetry_destroy(t);
        return err;
    }
    *out = t;
    return OMEN_OK;
}

void omi_telemetry_destroy(struct omi_telemetry *t)
{
    if (t == NULL)
        return;
    for (uint32_t i = 0; i < OMI_COUNTER_STRIPES; i++)
        omi_mutex_fini(&t->stripes[i].mu);
    omi_mutex_fini(&t->mu);
    omi_buf_fini(&t->last_largest);
    omi_reuse_destroy(t->reuse);
    omi_hot_destroy(t->hot);
    free(t);
}

uint64_t omi_telemetry_bytes(void)
{
    return sizeof(struct omi_telemetry) + omi_reuse_bytes() + omi_hot_bytes();
}

uint32_t omi_telemetry_every_bits(const struct omi_telemetry *t)
{
    return t->every_bits;
}

/* ---- recording ------------------------------------------------------------------------------- */

static void stripe_empty(struct omi_telemetry *t, struct stripe *s) OMI_REQUIRES(s->mu)
{
    omi_mutex_lock(&t->mu);
    for (uint32_t i = 0; i < s->key_count; i++)
        omi_hot_add(t->hot, &s->keys[i]);
    for (uint32_t i = 0; i < s->block_count; i++)
        omi_reuse_ask(t->reuse, s->blocks[i].hash, s->blocks[i].bytes, t->every_bits);
    t->recorded += s->key_count + s->block_count;
    omi_mutex_unlock(&t->mu);
    s->key_count = s->block_count = 0;
}

static void stripes_empty(struct omi_telemetry *t)
{
    for (uint32_t i = 0; i < OMI_COUNTER_STRIPES; i++) {
        omi_mutex_lock(&t->stripes[i].mu);
        stripe_empty(t, &t->stripes[i]);
        omi_mutex_unlock(&t->stripes[i].mu);
    }
}

void omi_telemetry_key(struct omi_telemetry *t, unsigned stripe, omen_slice key, uint64_t hash)
{
    struct stripe *s = &t->stripes[stripe];
    struct omi_hot_key k = {.hash = hash, .key_size = (uint16_t)key.size};
    size_t n = key.size < sizeof(k.head) ? key.size : sizeof(k.head);
    if (n != 0)
        memcpy(k.head, key.data, n);
    omi_mutex_lock(&s->mu);
    if (s->key_count == STRIPE_KEYS)
        stripe_empty(t, s);
    s->keys[s->key_count++] = k;
    omi_mutex_unlock(&s->mu);
}

void omi_telemetry_block(struct omi_telemetry *t, unsigned stripe, uint64_t hash, uint32_t bytes)
{
    struct stripe *s = &t->stripes[stripe];
    omi_mutex_lock(&s->mu);
    if (s->block_count == STRIPE_BLOCKS)
        stripe_empty(t, s);
    s->blocks[s->block_count++] = (struct sampled_block){hash, bytes};
    omi_mutex_unlock(&s->mu);
}

uint64_t omi_telemetry_recorded(struct omi_telemetry *t)
{
    stripes_empty(t);
    omi_mutex_lock(&t->mu);
    uint64_t recorded = t->recorded + t->windows_ended;
    omi_mutex_unlock(&t->mu);
    return recorded;
}

static double head_behind(omen_slice key, size_t common)
{
    if (key.size <= common)
        return 0;
    return (double)omi_head64((const uint8_t *)key.data + common, key.size - common);
}

/* How much of what lies between smallest and largest lies past last, in thousandths, taking keys to
 * lie evenly. */
static uint32_t past(omen_slice smallest, omen_slice largest, omen_slice last)
{
    if (omi_bytes_compare(last.data, last.size, smallest.data, smallest.size) < 0)
        return 1000;
    if (omi_bytes_compare(last.data, last.size, largest.data, largest.size) >= 0)
        return 0;
    size_t common = omi_bytes_common(smallest.data, smallest.size, largest.data, largest.size);
    double from = head_behind(smallest, common), to = head_behind(largest, common);
    return to > from ? (uint32_t)(1000 * ((to - head_behind(last, common)) / (to - from))) : 0;
}

void omi_telemetry_flushed(struct omi_telemetry *t, omen_slice smallest, omen_slice largest)
{
    omi_mutex_lock(&t->mu);
    struct omi_buf *last = &t->last_largest;
    omen_slice before = omi_slice(last->data, last->size);
    if (t->has_last_largest) {
        t->sorted_permille += past(smallest, largest, before);
        t->sorted_flushes++;
    }
    if (!t->has_last_largest ||
        omi_bytes_compare(largest.data, largest.size, before.data, before.size) > 0) {
        last->size = 0;
        t->has_last_largest = omi_buf_append(last, largest.data, largest.size) == OMEN_OK;
    }
    omi_mutex_unlock(&t->mu);
}

/* ---- windows --------------------------------------------------------------------------------- */

uint64_t omi_window_ops(const omen_window *w)
{
    return w->get_hits + w->get_misses + w->scans + w->puts + w->deletes;
}

/* What adds up; sign: 1 or -1. */
static void counts_add(omen_window *to, const omen_window *more, uint64_t sign)
{
    to->us += sign * more->us;
    to->get_hits += sign * more->get_hits;
    to->get_misses += sign * more->get_misses;
    to->scans += sign * more->scans;
    to->puts += sign * more->puts;
    to->deletes += sign * more->deletes;
    to->overwrites += sign * more->overwrites;
    to->bytes_in += sign * more->bytes_in;
    to->bytes_out += sign * more->bytes_out;
    to->scan_entries += sign * more->scan_entries;
    for (int i = 0; i < OMEN_SCAN_LENGTHS; i++)
        to->scan_lengths[i] += sign * more->scan_lengths[i];
    to->block_asks += sign * more->block_asks;
    to->block_reads += sign * more->block_reads;
    to->written_bytes += sign * more->written_bytes;
    to->flushes += sign * more->flushes;
    to->stall_us += sign * more->stall_us;
}

void omi_window_add(omen_window *to, const omen_window *more)
{
    uint64_t flushes = to->flushes + more->flushes;
    if (flushes != 0)
        to->sorted_permille = (uint32_t)(((double)to->sorted_permille * (double)to->flushes +
                                          (double)more->sorted_permille * (double)more->flushes) /
                                         (double)flushes);
    if (omi_window_ops(to) == 0)
        to->began_us = more->began_us;
    counts_add(to, more, 1);
    to->debt_bytes = more->debt_bytes;
    to->size_ratio = more->size_ratio;
    to->runs_upper = more->runs_upper;
    to->runs_last = more->runs_last;
    to->levels = more->levels;
    to->skew_permille = more->skew_permille;
}

static void running_locked(const struct omi_telemetry *t, const omen_window *now, omen_window *out)
{
    *out = *now;
    out->began_us = t->base.began_us;
    counts_add(out, &t->base, UINT64_MAX); /* minus */
    out->sorted_permille =
        t->sorted_flushes != 0 ? (uint32_t)(t->sorted_permille / t->sorted_flushes) : 0;
    out->skew_permille = omi_hot_skew(t->hot);
}

static void window_push(struct omi_telemetry *t, const omen_window *w) OMI_REQUIRES(t->mu)
{
    if (t->window_count == OMEN_WINDOWS_MAX) {
        memmove(&t->windows[0], &t->windows[1], (OMEN_WINDOWS_MAX - 1) * sizeof(t->windows[0]));
        t->window_count--;
    }
    t->windows[t->window_count++] = *w;
    t->windows_ended++;
}

void omi_telemetry_begin(struct omi_telemetry *t, const omen_window *now)
{
    omi_mutex_lock(&t->mu);
    t->base = *now;
    omi_mutex_unlock(&t->mu);
}

bool omi_telemetry_tick(struct omi_telemetry *t, const omen_window *now, uint64_t min_us)
{
    omen_window w;
    stripes_empty(t);
    omi_mutex_lock(&t->mu);
    bool ends = omi_window_ops(now) - omi_window_ops(&t->base) >= OMI_TELEMETRY_OPS &&
                now->us - t->base.us >= min_us;
    if (ends) {
        running_locked(t, now, &w);
        window_push(t, &w);
        t->base = *now;
        t->sorted_permille = t->sorted_flushes = 0;
        if (t->windows_ended % OMI_TELEMETRY_HALVE == 0) {
            omi_hot_halve(t->hot);
            omi_reuse_halve(&t->curve);
            omi_reuse_halve(omi_reuse_curve(t->reuse));
        }
    }
    omi_mutex_unlock(&t->mu);
    return ends;
}

void omi_telemetry_copy(struct omi_telemetry *t, const omen_window *now,
                        struct omi_telemetry_image *out, omen_window *running)
{
    stripes_empty(t);
    omi_mutex_lock(&t->mu);
    memset(out, 0, sizeof(*out));
    out->window_count = t->window_count;
    out->windows_ended = t->windows_ended;
    memcpy(out->windows, t->windows, t->window_count * sizeof(t->windows[0]));
    omi_hot_top(t->hot, &out->hot);
    out->curve = t->curve;
    const struct omi_reuse_curve *since = omi_reuse_curve(t->reuse);
    for (uint32_t i = 0; i < OMI_REUSE_BUCKETS; i++)
        out->curve.near[i] += since->near[i];
    out->curve.far += since->far;
    running_locked(t, now, running);
    omi_mutex_unlock(&t->mu);
}

void omi_telemetry_restore(struct omi_telemetry *t, const struct omi_telemetry_image *image)
{
    omi_mutex_lock(&t->mu);
    t->window_count = image->window_count;
    t->windows_ended = image->windows_ended;
    memcpy(t->windows, image->windows, sizeof(t->windows));
    omi_hot_restore(t->hot, &image->hot);
    t->curve = image->curve;
    omi_mutex_unlock(&t->mu);
}

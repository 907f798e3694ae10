/* sample.c - see sample.h. Stripes collect, rings keep, views are sorted copies. */
#include "lsm/sample.h"

#include "lsm/counters.h"

#include <stdlib.h>
#include <string.h>

enum { STRIPE_GETS = 32, STRIPE_SCANS = 8, FRESH_MIN = 64, FRESH_SHARE = 16 };

struct stripe {
    _Alignas(64) struct omi_mutex mu; /* before the sample's own */
    uint32_t get_count, scan_count;
    struct omi_sampled_get gets[STRIPE_GETS];
    struct omi_sampled_scan scans[STRIPE_SCANS];
};

struct omi_sample {
    uint32_t get_capacity, scan_capacity;
    _Atomic uint32_t every_bits;
    struct omi_mutex mu; /* guards the rest but for the stripes */
    struct omi_sampled_get *gets;
    struct omi_sampled_scan *scans;
    uint64_t get_total, scan_total; /* ever put into the rings: the next goes to total % capacity */
    uint64_t viewed_total;          /* of both, when the view was made */
    uint64_t generation;            /* of the newest view */
    double recent_gets, recent_scans;
    struct omi_sample_view *view;
    _Atomic uint64_t *charged; /* NULL: nobody counts the bytes */
    struct stripe stripes[OMI_COUNTER_STRIPES];
};

/* Of everything but views. */
static uint64_t fixed_bytes(const struct omi_sample *s)
{
    return sizeof(*s) + s->get_capacity * sizeof(*s->gets) + s->scan_capacity * sizeof(*s->scans);
}

omen_err omi_sample_create(uint32_t gets, uint32_t scans, struct omi_sample **out)
{
    size_t size = (sizeof(struct omi_sample) + 63) / 64 * 64;
    struct omi_sample *s = aligned_alloc(64, size);
    *out = NULL;
    if (s == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a sample of %u lookups", gets);
    memset(s, 0, size);
    s->get_capacity = gets;
    s->scan_capacity = scans;
    atomic_init(&s->every_bits, OMI_SAMPLE_EVERY_BITS);
    s->gets = calloc(gets, sizeof(*s->gets));
    s->scans = calloc(scans, sizeof(*s->scans));
    omi_mutex_init(&s->mu);
    for (uint32_t i = 0; i < OMI_COUNTER_STRIPES; i++)
        omi_mutex_init(&s->stripes[i].mu);
    if (s->gets == NULL || s->scans == NULL) {
        omi_sample_destroy(s);
        return omi_fail(OMEN_NO_MEMORY, 0, "a sample of %u lookups", gets);
    }
    *out = s;
    return OMEN_OK;
}

void omi_sample_destroy(struct omi_sample *s)
{
    if (s == NULL)
        return;
    omi_sample_view_unref(s->view);
    if (s->charged != NULL)
        atomic_fetch_sub(s->charged, fixed_bytes(s));
    for (uint32_t i = 0; i < OMI_COUNTER_STRIPES; i++)
        omi_mutex_fini(&s->stripes[i].mu);
    omi_mutex_fini(&s->mu);
    free(s->gets);
    free(s->scans);
    free(s);
}

void omi_sample_charge(struct omi_sample *s, _Atomic uint64_t *counter)
{
    s->charged = counter;
    atomic_fetch_add(counter, fixed_bytes(s));
}

uint64_t omi_sample_bytes(struct omi_sample *s)
{
    omi_mutex_lock(&s->mu);
    uint64_t bytes = fixed_bytes(s) + (s->view != NULL ? s->view->bytes : 0);
    omi_mutex_unlock(&s->mu);
    return bytes;
}

void omi_sample_set_every(struct omi_sample *s, uint32_t bits)
{
    atomic_store_explicit(&s->every_bits, bits, memory_order_relaxed);
}

bool omi_sample_due(const struct omi_sample *s, uint64_t n)
{
    uint32_t bits = atomic_load_explicit(&s->every_bits, memory_order_relaxed);
    return bits == 0 || (n * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - bits) == 0;
}

/* ---- recording ------------------------------------------------------------------------------- */

static void get_put(struct omi_sample *s, const struct omi_sampled_get *g) OMI_REQUIRES(s->mu)
{
    s->gets[s->get_total++ % s->get_capacity] = *g;
    s->recent_gets++;
}

static void scan_put(struct omi_sample *s, const struct omi_sampled_scan *c) OMI_REQUIRES(s->mu)
{
    s->scans[s->scan_total++ % s->scan_capacity] = *c;
    s->recent_scans++;
}

static void stripe_empty(struct omi_sample *s, struct stripe *t) OMI_REQUIRES(t->mu)
{
    omi_mutex_lock(&s->mu);
    for (uint32_t i = 0; i < t->get_count; i++)
        get_put(s, &t->gets[i]);
    for (uint32_t i = 0; i < t->scan_count; i++)
        scan_put(s, &t->scans[i]);
    if (s->recent_gets + s->recent_scans > s->get_capacity) { /* the older counts half */
        s->recent_gets /= 2;
        s->recent_scans /= 2;
    }
    omi_mutex_unlock(&s->mu);
    t->get_count = t->scan_count = 0;
}

static void stripes_empty(struct omi_sample *s)
{
    for (uint32_t i = 0; i < OMI_COUNTER_STRIPES; i++) {
        omi_mutex_lock(&s->stripes[i].mu);
        stripe_empty(s, &s->stripes[i]);
        omi_mutex_unlock(&s->stripes[i].mu);
    }
}

static void head_copy(uint8_t head[static OMI_SAMPLE_HEAD_BYTES], omen_slice key)
{
    size_t n = key.size < OMI_SAMPLE_HEAD_BYTES ? key.size : OMI_SAMPLE_HEAD_BYTES;
    if (n != 0)
        memcpy(head, key.data, n);
}

void omi_sample_get(struct omi_sample *s, unsigned stripe, omen_slice key, uint64_t hash,
                    uint32_t level, uint64_t age)
{
    struct omi_sampled_get g = {
        .key = {.hash = hash, .key_size = (uint16_t)key.size}, .age = age, .level = (uint8_t)level};
    struct stripe *t = &s->stripes[stripe];
    head_copy(g.key.head, key);
    omi_mutex_lock(&t->mu);
    if (t->get_count == STRIPE_GETS)
        stripe_empty(s, t);
    t->gets[t->get_count++] = g;
    omi_mutex_unlock(&t->mu);
}

void omi_sample_scan(struct omi_sample *s, unsigned stripe, omen_slice start, omen_slice end)
{
    struct omi_sampled_scan c = {.start_size = (uint16_t)start.size,
                                 .end_size = (uint16_t)end.size};
    struct stripe *t = &s->stripes[stripe];
    head_copy(c.start, start);
    head_copy(c.end, end);
    omi_mutex_lock(&t->mu);
    if (t->scan_count == STRIPE_SCANS)
        stripe_empty(s, t);
    t->scans[t->scan_count++] = c;
    omi_mutex_unlock(&t->mu);
}

uint64_t omi_sample_recorded(struct omi_sample *s)
{
    stripes_empty(s);
    omi_mutex_lock(&s->mu);
    uint64_t total = s->get_total + s->scan_total;
    omi_mutex_unlock(&s->mu);
    return total;
}

static uint32_t held(uint64_t total, uint32_t capacity)
{
    return total < capacity ? (uint32_t)total : capacity;
}

void omi_sample_held(struct omi_sample *s, uint64_t *gets_out, uint64_t *scans_out)
{
    stripes_empty(s);
    omi_mutex_lock(&s->mu);
    *gets_out = held(s->get_total, s->get_capacity);
    *scans_out = held(s->scan_total, s->scan_capacity);
    omi_mutex_unlock(&s->mu);
}

/* ---- copies ---------------------------------------------------------------------------------- */

static omen_err rings_copy_locked(struct omi_sample *s, struct omi_sample_rings *out)
    OMI_REQUIRES(s->mu)
{
    out->get_count = held(s->get_total, s->get_capacity);
    out->scan_count = held(s->scan_total, s->scan_capacity);
    out->gets = malloc((out->get_count + 1) * sizeof(*out->gets));
    out->scans = malloc((out->scan_count + 1) * sizeof(*out->scans));
    if (out->gets == NULL || out->scans == NULL) {
        omi_sample_rings_fini(out);
        return omi_fail(OMEN_NO_MEMORY, 0, "a copy of the sampled lookups");
    }
    for (uint32_t i = 0; i < out->get_count; i++) {
        out->gets[i] = s->gets[(s->get_total - out->get_count + i) % s->get_capacity];
        out->gets[i].arrival = i;
    }
    for (uint32_t i = 0; i < out->scan_count; i++) {
        out->scans[i] = s->scans[(s->scan_total - out->scan_count + i) % s->scan_capacity];
        out->scans[i].arrival = i;
    }
    return OMEN_OK;
}

omen_err omi_sample_copy(struct omi_sample *s, struct omi_sample_rings *out)
{
    *out = (struct omi_sample_rings){0};
    stripes_empty(s);
    omi_mutex_lock(&s->mu);
    omen_err err = rings_copy_locked(s, out);
    omi_mutex_unlock(&s->mu);
    return err;
}

void omi_sample_rings_fini(struct omi_sample_rings *r)
{
    free(r->gets);
    free(r->scans);
    *r = (struct omi_sample_rings){0};
}

void omi_sample_restore(struct omi_sample *s, const struct omi_sample_rings *rings)
{
    struct omi_sample_rings since;
    if (omi_sample_copy(s, &since) != OMEN_OK)
        return;
    omi_mutex_lock(&s->mu);
    struct omi_sample_view *old = s->view; /* of what was there without these */
    s->view = NULL;
    s->get_total = s->scan_total = 0;
    for (uint32_t i = 0; i < rings->get_count; i++)
        get_put(s, &rings->gets[i]);
    for (uint32_t i = 0; i < since.get_count; i++)
        get_put(s, &since.gets[i]);
    for (uint32_t i = 0; i < rings->scan_count; i++)
        scan_put(s, &rings->scans[i]);
    for (uint32_t i = 0; i < since.scan_count; i++)
        scan_put(s, &since.scans[i]);
    omi_mutex_unlock(&s->mu);
    omi_sample_view_unref(old);
    omi_sample_rings_fini(&since);
}

/* ---- views ----------------------------------------------------------------------------------- */

static int head_compare(const uint8_t *a, uint16_t a_size, const uint8_t *b, uint16_t b_size)
{
    size_t n = a_size < b_size ? a_size : b_size;
    n = n < OMI_SAMPLE_HEAD_BYTES ? n : OMI_SAMPLE_HEAD_BYTES;
    int c = memcmp(a, b, n);
    if (c == 0 && n < OMI_SAMPLE_HEAD_BYTES) /* beyond a head nothing is known */
        c = (int)a_size - (int)b_size;
    return (c > 0) - (c < 0);
}

static int compare_gets(const void *a, const void *b)
{
    const struct omi_sampled_get *x = a, *y = b;
    int c = head_compare(x->key.head, x->key.key_size, y->key.head, y->key.key_size);
    return c != 0 ? c : (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

static int compare_scans(const void *a, const void *b)
{
    const struct omi_sampled_scan *x = a, *y = b;
    int c = head_compare(x->start, x->start_size, y->start, y->start_size);
    return c != 0 ? c : (x->arrival > y->arrival) - (x->arrival < y->arrival);
}

int omi_sample_compare(const uint8_t *head, uint16_t size, omen_slice key)
{
    uint8_t other[OMI_SAMPLE_HEAD_BYTES];
    head_copy(other, key);
    return head_compare(head, size, other, (uint16_t)key.size);
}

/* The view in force, referenced, unless it is too old. */
static struct omi_sample_view *view_current_locked(struct omi_sample *s) OMI_REQUIRES(s->mu)
{
    uint64_t fresh = s->get_total + s->scan_total - s->viewed_total;
    if (s->view == NULL ||
        fresh >= FRESH_MIN + (s->view->get_count + s->view->scan_count) / FRESH_SHARE)
        return NULL;
    atomic_fetch_add_explicit(&s->view->refs, 1, memory_order_relaxed);
    return s->view;
}

static struct omi_sample_view *view_make(const struct omi_sample_rings *rings,
                                         _Atomic uint64_t *charged)
{
    struct omi_sample_view *v = calloc(1, sizeof(*v));
    if (v == NULL)
        return NULL;
    atomic_init(&v->refs, 2); /* the caller's and the sample's */
    v->bytes =
        sizeof(*v) + rings->get_count * sizeof(*v->gets) + rings->scan_count * sizeof(*v->scans);
    v->charged = charged;
    if (charged != NULL)
        atomic_fetch_add(charged, v->bytes);
    v->gets = rings->gets;
    v->scans = rings->scans;
    v->get_count = rings->get_count;
    v->scan_count = rings->scan_count;
    qsort(v->gets, v->get_count, sizeof(*v->gets), compare_gets);
    qsort(v->scans, v->scan_count, sizeof(*v->scans), compare_scans);
    return v;
}

struct omi_sample_view *omi_sample_view_ref(struct omi_sample *s)
{
    struct omi_sample_rings rings = {0};
    stripes_empty(s);
    omi_mutex_lock(&s->mu);
    struct omi_sample_view *v = view_current_locked(s);
    omen_err err = v == NULL ? rings_copy_locked(s, &rings) : OMEN_OK;
    uint64_t total = s->get_total + s->scan_total;
    double scans_per_get =
        s->recent_gets > 0 ? s->recent_scans / s->recent_gets : (s->recent_scans > 0 ? 1e9 : 0);
    omi_mutex_unlock(&s->mu);
    if (v != NULL || err != OMEN_OK)
        return v;
    v = view_make(&rings, s->charged); /* sorted without the lock; two at once do no harm */
    if (v == NULL) {
        omi_sample_rings_fini(&rings);
        return NULL;
    }
    v->scans_per_get = scans_per_get;
    omi_mutex_lock(&s->mu);
    struct omi_sample_view *old = s->view;
    v->generation = ++s->generation;
    s->view = v;
    s->viewed_total = total;
    omi_mutex_unlock(&s->mu);
    omi_sample_view_unref(old);
    return v;
}

void omi_sample_view_unref(struct omi_sample_view *v)
{
    if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (v->charged != NULL)
        atomic_fetch_sub(v->charged, v->bytes);
    free(v->gets);
    free(v->scans);
    free(v);
}

/* ---- what a file is asked for in vain -------------------------------------------------------- */

/* The first that compares with key as more than past: -1: not before key; 0: after it. */
static uint32_t bound(const struct omi_sample_view *v, omen_slice key, int past)
{
    uint32_t low = 0, high = v->get_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct omi_filter_sample *k = &v->gets[middle].key;
        if (omi_sample_compare(k->head, k->key_size, key) <= past)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int compare_arrival(const void *a, const void *b)
{
    const struct omi_sampled_get *const *x = a, *const *y = b;
    return ((*x)->arrival > (*y)->arrival) - ((*x)->arrival < (*y)->arrival);
}

omen_err omi_sample_absent(const struct omi_sample_view *v, omen_slice smallest, omen_slice largest,
                           uint32_t level, uint64_t age, struct omi_filter_sample **out,
                           size_t *count_out)
{
    uint32_t from = bound(v, smallest, -1), end = bound(v, largest, 0);
    size_t count = 0;
    *count_out = 0;
    end = end > from ? end : from;
    const struct omi_sampled_get **chosen = NULL;
    if (out != NULL) {
        *out = NULL;
        chosen = malloc((end - from + 1) * sizeof(*chosen));
        if (chosen == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "a list of %u sampled lookups", end - from);
    }
    for (uint32_t i = from; i < end; i++) {
        const struct omi_sampled_get *g = &v->gets[i];
        if (g->level < level || (g->level == level && g->age >= age))
            continue; /* found before it would have come here, or here */
        if (chosen != NULL)
            chosen[count] = g;
        count++;
    }
    *count_out = count;
    if (out == NULL)
        return OMEN_OK;
    *out = malloc((count + 1) * sizeof(**out));
    if (*out != NULL) {
        qsort(chosen, count, sizeof(*chosen), compare_arrival);
        for (size_t i = 0; i < count; i++)
            (*out)[i] = chosen[i]->key;
    }
    free(chosen);
    return *out != NULL ? OMEN_OK
                        : omi_fail(OMEN_NO_MEMORY, 0, "a list of %zu sampled lookups", count);
}

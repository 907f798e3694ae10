#include "lsm/filter_memory.h"

#include "lsm/table_open.h"

#include <assert.h>

enum { IDLE_TURNS = 2, TURN_MISSES = 64, HEADS_SHARE = 32 };

void omi_filter_memory_init(struct omi_filter_memory *m)
{
    omi_grace_init(&m->grace);
    omi_mutex_init(&m->mu);
}

void omi_filter_memory_fini(struct omi_filter_memory *m)
{
    assert(m->hand == NULL);
    omi_grace_fini(&m->grace);
    omi_mutex_fini(&m->mu);
}

static uint64_t relaxed(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

static void add(_Atomic uint64_t *n, uint64_t more)
{
    atomic_fetch_add_explicit(n, more, memory_order_relaxed);
}

static void take(_Atomic uint64_t *n, uint64_t less)
{
    atomic_fetch_sub_explicit(n, less, memory_order_relaxed);
}

static uint64_t charge_of(const struct omi_extent *e)
{
    return omi_extent_charge(omi_extent_size(e));
}

static uint64_t limit(const struct omi_filter_memory *m)
{
    uint64_t bytes = relaxed(&m->limit_bytes);
    return bytes != 0 ? bytes : UINT64_MAX;
}

/* How far parts go: new tables' heads find room before anything has to go for them. */
static uint64_t parts_limit(const struct omi_filter_memory *m)
{
    return limit(m) - limit(m) / HEADS_SHARE;
}

static bool fits(const struct omi_filter_memory *m, uint64_t charge)
{
    uint64_t most = parts_limit(m);
    return charge <= most && relaxed(&m->live_bytes) <= most - charge;
}

/* ---- the clock ------------------------------------------------------------------------------- */

static void drop_locked(struct omi_filter_memory *m, struct omi_table_part *p) OMI_REQUIRES(m->mu)
{
    struct omi_extent *e = atomic_exchange(&p->extent, NULL);
    atomic_store(&p->bytes, NULL);
    take(&m->live_bytes, charge_of(e));
    take(&m->loaded, 1);
    omi_extent_retire(e, &m->grace);
}

/* The part under the hand, which moves on. The ring is not empty. */
static struct omi_table_part *hand_next_locked(struct omi_filter_memory *m) OMI_REQUIRES(m->mu)
{
    while (m->hand_part >= m->hand->filter.part_count) {
        m->hand = m->hand->filter.next;
        m->hand_part = 0;
    }
    return &m->hand->filter.parts[m->hand_part++];
}

/* The next part that nobody uses goes. Forced: use only buys another round. */
static bool evict_locked(struct omi_filter_memory *m, bool forced) OMI_REQUIRES(m->mu)
{
    uint64_t looks = relaxed(&m->loaded) == 0 ? 0 : forced ? 2 * m->parts + 1 : m->parts;
    for (; looks > 0; looks--) {
        struct omi_table_part *p = hand_next_locked(m);
        bool used = atomic_load_explicit(&p->used, memory_order_relaxed) != 0;
        if (used && forced)
            atomic_store_explicit(&p->used, 0, memory_order_relaxed);
        if (atomic_load(&p->extent) == NULL || used || (!forced && p->idle < IDLE_TURNS))
            continue;
        drop_locked(m, p);
        add(&m->evictions, 1);
        return true;
    }
    return false;
}

/* Until charge more bytes stay within the limit, or no part is left. */
static void trim_locked(struct omi_filter_memory *m, uint64_t charge) OMI_REQUIRES(m->mu)
{
    uint64_t most = limit(m), keep = most > charge ? most - charge : 0;
    while (relaxed(&m->live_bytes) > keep && evict_locked(m, true))
        ;
}

bool omi_filter_memory_make_room(struct omi_filter_memory *m, size_t size)
{
    uint64_t charge = omi_extent_charge(size);
    if (charge > parts_limit(m))
        return false;
    omi_mutex_lock(&m->mu);
    while (!fits(m, charge) && evict_locked(m, false))
        ;
    omi_mutex_unlock(&m->mu);
    return fits(m, charge);
}

static void table_turn(struct omi_table_filter *f)
{
    for (uint32_t i = 0; i < f->part_count; i++) {
        struct omi_table_part *p = &f->parts[i];
        if (atomic_exchange_explicit(&p->used, 0, memory_order_relaxed) != 0)
            p->idle = 0;
        else if (p->idle < UINT8_MAX)
            p->idle++;
    }
}

bool omi_filter_memory_turn(struct omi_filter_memory *m)
{
    uint64_t absent = relaxed(&m->absent);
    if (absent - relaxed(&m->absent_at_turn) < TURN_MISSES)
        return false;
    atomic_store_explicit(&m->absent_at_turn, absent, memory_order_relaxed);
    omi_mutex_lock(&m->mu);
    struct omi_table *t = m->hand;
    while (t != NULL) {
        table_turn(&t->filter);
        t = t->filter.next != m->hand ? t->filter.next : NULL;
    }
    omi_mutex_unlock(&m->mu);
    return true;
}

void omi_filter_memory_limit(struct omi_filter_memory *m, uint64_t limit_bytes)
{
    atomic_store_explicit(&m->limit_bytes, limit_bytes, memory_order_relaxed);
    omi_mutex_lock(&m->mu);
    trim_locked(m, 0);
    omi_mutex_unlock(&m->mu);
    omi_grace_poll(&m->grace);
}

/* ---- tables ---------------------------------------------------------------------------------- */

void omi_filter_memory_add(struct omi_filter_memory *m, struct omi_table *t)
{
    struct omi_table_filter *f = &t->filter;
    if (f->part_count == 0)
        return;
    omi_mutex_lock(&m->mu);
    if (m->hand == NULL) {
        f->next = f->prev = m->hand = t;
        m->hand_part = 0;
    } else { /* behind the hand: the last to be looked at */
        f->next = m->hand;
        f->prev = m->hand->filter.prev;
        f->prev->filter.next = t;
        m->hand->filter.prev = t;
    }
    m->parts += f->part_count;
    omi_mutex_unlock(&m->mu);
}

void omi_filter_memory_remove(struct omi_filter_memory *m, struct omi_table *t)
{
    struct omi_table_filter *f = &t->filter;
    omi_mutex_lock(&m->mu); /* for next, too: neighbours come and go */
    if (f->next == NULL) {
        omi_mutex_unlock(&m->mu);
        return;
    }
    for (uint32_t i = 0; i < f->part_count; i++)
        if (atomic_load(&f->parts[i].extent) != NULL)
            drop_locked(m, &f->parts[i]);
    m->parts -= f->part_count;
    if (m->hand == t) {
        m->hand = f->next != t ? f->next : NULL;
        m->hand_part = 0;
    }
    f->prev->filter.next = f->next;
    f->next->filter.prev = f->prev;
    f->next = f->prev = NULL;
    omi_mutex_unlock(&m->mu);
}

/* ---- memory ---------------------------------------------------------------------------------- */

omen_err omi_filter_memory_head(struct omi_filter_memory *m, struct omi_extent_stats *extents,
                                size_t size, struct omi_extent **extent_out)
{
    uint64_t charge = omi_extent_charge(size);
    omi_mutex_lock(&m->mu);
    trim_locked(m, charge);
    omi_mutex_unlock(&m->mu);
    omen_err err = omi_extent_create(extents, OMI_EXTENT_FILTER, size, extent_out);
    if (err == OMEN_OK) {
        add(&m->live_bytes, charge);
        add(&m->head_bytes, charge);
    }
    return err;
}

void omi_filter_memory_head_destroy(struct omi_filter_memory *m, struct omi_extent *e)
{
    if (e == NULL)
        return;
    take(&m->live_bytes, charge_of(e));
    take(&m->head_bytes, charge_of(e));
    omi_extent_destroy(e);
}

omen_err omi_filter_memory_part(struct omi_filter_memory *m, struct omi_extent_stats *extents,
                                enum omi_extent_class place, size_t size,
                                struct omi_extent **extent_out)
{
    omen_err err =
        omi_extent_create_in(extents, OMI_EXTENT_FILTER, place, size, parts_limit(m), extent_out);
    if (err != OMEN_ABORTED)
        return err;
    omi_grace_poll(&m->grace); /* what was kept for its readers may be over */
    return omi_extent_create_in(extents, OMI_EXTENT_FILTER, place, size, parts_limit(m),
                                extent_out);
}

/* Of what is kept free for heads a moment's second copy may take. */
omen_err omi_filter_memory_move(struct omi_filter_memory *m, struct omi_table_part *p,
                                enum omi_extent_class to, uint64_t *moved_bytes)
{
    omen_err err = OMEN_ABORTED;
    omi_mutex_lock(&m->mu);
    struct omi_extent *e = atomic_load(&p->extent);
    if (e != NULL && omi_extent_class(e) == to) {
        err = OMEN_OK;
    } else if (e != NULL) {
        err = omi_extent_move(e, to, limit(m), &m->grace);
        if (err == OMEN_OK)
            *moved_bytes += omi_extent_size(e);
    }
    omi_mutex_unlock(&m->mu);
    return err;
}

bool omi_filter_memory_drop_damaged(struct omi_filter_memory *m, struct omi_table_part *p)
{
    omi_mutex_lock(&m->mu);
    struct omi_extent *e = atomic_load(&p->extent);
    bool damaged = e != NULL && omi_extent_damaged(e);
    if (damaged)
        drop_locked(m, p);
    omi_mutex_unlock(&m->mu);
    return damaged;
}

void omi_filter_memory_publish(struct omi_filter_memory *m, struct omi_table_part *p,
                               struct omi_extent *extent, const uint8_t *bytes)
{
    omi_mutex_lock(&m->mu);
    atomic_store(&p->extent, extent);
    p->idle = 0;
    atomic_store_explicit(&p->used, 1, memory_order_relaxed);
    atomic_store_explicit(&p->wanted, 0, memory_order_relaxed);
    atomic_store(&p->bytes, bytes);
    add(&m->live_bytes, charge_of(extent));
    add(&m->loaded, 1);
    add(&m->loads, 1);
    trim_locked(m, 0); /* the limit may have come down meanwhile */
    omi_mutex_unlock(&m->mu);
}

void omi_filter_memory_missed(struct omi_filter_memory *m, struct omi_table_part *p, uint64_t size)
{
    uint8_t wanted = atomic_load_explicit(&p->wanted, memory_order_relaxed);
    if (wanted < UINT8_MAX) /* one of two readers' counts may be lost */
        atomic_store_explicit(&p->wanted, (uint8_t)(wanted + 1), memory_order_relaxed);
    add(&m->absent, 1);
    if (relaxed(&m->absent) - relaxed(&m->absent_at_turn) >= TURN_MISSES ||
        fits(m, omi_extent_charge((size_t)size)))
        omi_filter_memory_call(m);
}

void omi_filter_memory_call(struct omi_filter_memory *m)
{
    if (atomic_load_explicit(&m->call, memory_order_relaxed) == OMI_FILTER_CALL_NONE)
        atomic_store_explicit(&m->call, OMI_FILTER_CALL_RAISED, memory_order_relaxed);
}

#include "memtier/extent.h"

#include "memtier/tier.h"

#include <stdlib.h>
#include <string.h>

/* MALLOC_OVERHEAD: what malloc takes for itself of each chunk. */
enum { ALIGN = 64, MALLOC_OVERHEAD = 16 };

/* Bytes that an extent has left, until their last reader has. */
struct left_bytes {
    struct omi_grace_item item; /* first: retired as this */
    struct omi_extent_stats *stats;
    uint8_t *bytes;
    size_t size;
    enum omi_extent_kind kind;
    enum omi_extent_class place;
};

static size_t rounded(size_t size)
{
    return size / ALIGN * ALIGN + ALIGN;
}

uint64_t omi_extent_charge(size_t size)
{
    return rounded(size) + sizeof(struct omi_extent) + 2 * (uint64_t)MALLOC_OVERHEAD;
}

static void add(_Atomic uint64_t *n, uint64_t more)
{
    atomic_fetch_add_explicit(n, more, memory_order_relaxed);
}

static void sub(_Atomic uint64_t *n, uint64_t less)
{
    atomic_fetch_sub_explicit(n, less, memory_order_relaxed);
}

/* Charges first, so that nobody sees more than bytes_max. */
static bool charge_within(struct omi_extent_stats *stats, enum omi_extent_kind kind,
                          uint64_t charge, uint64_t bytes_max)
{
    uint64_t bytes = atomic_load_explicit(&stats->bytes[kind], memory_order_relaxed);
    do
        if (bytes > bytes_max || charge > bytes_max - bytes)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&stats->bytes[kind], &bytes, bytes + charge,
                                                  memory_order_relaxed, memory_order_relaxed));
    return true;
}

/* ---- bytes in either class ------------------------------------------------------------------- */

/* What size bytes take there, without the struct of their extent. */
static uint64_t taken_by(const struct omi_extent_stats *stats, enum omi_extent_class place,
                         size_t size)
{
    return place == OMI_EXTENT_FAR ? omi_tier_charge(stats->tier, size)
                                   : rounded(size) + (uint64_t)MALLOC_OVERHEAD;
}

/* Zeroed; NULL when the class has no room. */
static uint8_t *bytes_take(struct omi_extent_stats *stats, enum omi_extent_kind kind,
                           enum omi_extent_class place, size_t size, _Atomic uint8_t *damaged)
{
    uint8_t *bytes;
    if (place == OMI_EXTENT_FAR)
        bytes = omi_tier_take(stats->tier, size, damaged);
    else
        bytes = rounded(size) > size ? aligned_alloc(ALIGN, rounded(size)) : NULL;
    if (bytes == NULL)
        return NULL;
    if (place == OMI_EXTENT_NEAR)
        memset(bytes, 0, rounded(size));
    add(&stats->taken[kind][place], taken_by(stats, place, size));
    return bytes;
}

static void bytes_give(struct omi_extent_stats *stats, enum omi_extent_kind kind,
                       enum omi_extent_class place, size_t size, uint8_t *bytes)
{
    if (place == OMI_EXTENT_FAR)
        omi_tier_give(stats->tier, bytes, size);
    else
        free(bytes);
    sub(&stats->taken[kind][place], taken_by(stats, place, size));
}

/* In the class that is wanted, else near; NULL: no memory at all. */
static uint8_t *bytes_place(struct omi_extent *e, enum omi_extent_class *place_out)
{
    struct omi_extent_stats *stats = e->stats;
    enum omi_extent_kind kind = (enum omi_extent_kind)e->kind;
    *place_out = OMI_EXTENT_FAR;
    uint8_t *bytes = e->wanted == OMI_EXTENT_FAR
                         ? bytes_take(stats, kind, OMI_EXTENT_FAR, e->size, &e->damaged)
                         : NULL;
    if (bytes != NULL)
        return bytes;
    if (e->wanted == OMI_EXTENT_FAR)
        add(&stats->refused[kind], 1);
    *place_out = OMI_EXTENT_NEAR;
    return bytes_take(stats, kind, OMI_EXTENT_NEAR, e->size, NULL);
}

static void place_set(struct omi_extent *e, uint8_t *bytes, enum omi_extent_class place)
{
    struct omi_far_delay *delay = place == OMI_EXTENT_FAR ? omi_tier_delay(e->stats->tier) : NULL;
    atomic_store_explicit(&e->delay, delay, memory_order_relaxed);
    atomic_store_explicit(&e->place, (uint8_t)place, memory_order_relaxed);
    atomic_store_explicit(&e->bytes, bytes, memory_order_seq_cst);
}

/* ---- their lives ----------------------------------------------------------------------------- */

omen_err omi_extent_create_in(struct omi_extent_stats *stats, enum omi_extent_kind kind,
                              enum omi_extent_class wanted, size_t size, uint64_t bytes_max,
                              struct omi_extent **extent_out)
{
    bool possible = rounded(size) > size;
    enum omi_extent_class place = OMI_EXTENT_NEAR;
    *extent_out = NULL;
    if (possible && !charge_within(stats, kind, omi_extent_charge(size), bytes_max))
        return OMEN_ABORTED;
    struct omi_extent *e = possible ? calloc(1, sizeof(*e)) : NULL;
    uint8_t *bytes = NULL;
    if (e != NULL) {
        e->stats = stats;
        e->size = size;
        e->kind = (uint8_t)kind;
        e->wanted = (uint8_t)wanted;
        bytes = bytes_place(e, &place);
    }
    if (bytes == NULL) {
        free(e);
        if (possible)
            sub(&stats->bytes[kind], omi_extent_charge(size));
        return omi_fail(OMEN_NO_MEMORY, 0, "%zu bytes for a %s", size,
                        kind == OMI_EXTENT_FILTER ? "filter" : "model");
    }
    place_set(e, bytes, place);
    add(&stats->taken[kind][OMI_EXTENT_NEAR], sizeof(*e) + MALLOC_OVERHEAD);
    add(&stats->wanted[kind][wanted], size);
    add(&stats->got[kind][place], size);
    *extent_out = e;
    return OMEN_OK;
}

omen_err omi_extent_create_within(struct omi_extent_stats *stats, enum omi_extent_kind kind,
                                  size_t size, uint64_t bytes_max, struct omi_extent **extent_out)
{
    return omi_extent_create_in(stats, kind, OMI_EXTENT_NEAR, size, bytes_max, extent_out);
}

omen_err omi_extent_create(struct omi_extent_stats *stats, enum omi_extent_kind kind, size_t size,
                           struct omi_extent **extent_out)
{
    return omi_extent_create_within(stats, kind, size, UINT64_MAX, extent_out);
}

void omi_extent_destroy(struct omi_extent *e)
{
    if (e == NULL)
        return;
    struct omi_extent_stats *stats = e->stats;
    enum omi_extent_kind kind = (enum omi_extent_kind)e->kind;
    enum omi_extent_class place = omi_extent_class(e);
    sub(&stats->wanted[kind][e->wanted], e->size);
    sub(&stats->got[kind][place], e->size);
    if (e->promoted)
        sub(&stats->promoted_bytes, e->size);
    bytes_give(stats, kind, place, e->size, atomic_load_explicit(&e->bytes, memory_order_relaxed));
    sub(&stats->taken[kind][OMI_EXTENT_NEAR], sizeof(*e) + MALLOC_OVERHEAD);
    sub(&stats->bytes[kind], omi_extent_charge(e->size));
    free(e);
}

static void destroy_retired(struct omi_grace_item *item)
{
    omi_extent_destroy((struct omi_extent *)(void *)item);
}

void omi_extent_retire(struct omi_extent *e, struct omi_grace *grace)
{
    if (e == NULL)
        return;
    e->item.free = destroy_retired;
    omi_grace_retire(grace, &e->item);
}

/* ---- moving ---------------------------------------------------------------------------------- */

static void left_free(struct omi_grace_item *item)
{
    struct left_bytes *l = (struct left_bytes *)(void *)item;
    bytes_give(l->stats, l->kind, l->place, l->size, l->bytes);
    sub(&l->stats->taken[l->kind][OMI_EXTENT_NEAR], sizeof(*l) + MALLOC_OVERHEAD);
    sub(&l->stats->bytes[l->kind], omi_extent_charge(l->size));
    free(l);
}

static void want_far(struct omi_extent *e)
{
    if (e->wanted == OMI_EXTENT_FAR)
        return;
    sub(&e->stats->wanted[e->kind][e->wanted], e->size);
    add(&e->stats->wanted[e->kind][OMI_EXTENT_FAR], e->size);
    e->wanted = OMI_EXTENT_FAR;
}

/* A copy there, with nothing lost on the way; OMEN_ABORTED: not so. */
static omen_err copy_make(struct omi_extent *e, enum omi_extent_class to, uint8_t **copy_out)
{
    struct omi_extent_stats *stats = e->stats;
    enum omi_extent_kind kind = (enum omi_extent_kind)e->kind;
    *copy_out = bytes_take(stats, kind, to, e->size, &e->damaged);
    if (*copy_out == NULL && to == OMI_EXTENT_FAR) {
        add(&stats->refused[kind], 1);
        return OMEN_ABORTED;
    }
    if (*copy_out == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%zu bytes to move a filter or model near", e->size);
    memcpy(*copy_out, atomic_load_explicit(&e->bytes, memory_order_relaxed), e->size);
    if (!omi_extent_damaged(e))
        return OMEN_OK;
    bytes_give(stats, kind, to, e->size, *copy_out);
    return OMEN_ABORTED;
}

/* Counts what the move is allowed by; move_uncount takes it back. */
static bool move_count(struct omi_extent *e, enum omi_extent_class to, uint64_t bytes_max)
{
    struct omi_extent_stats *stats = e->stats;
    enum omi_extent_kind kind = (enum omi_extent_kind)e->kind;
    if (omi_extent_damaged(e) || !charge_within(stats, kind, omi_extent_charge(e->size), bytes_max))
        return false;
    if (to == OMI_EXTENT_FAR || omi_tier_promote(stats->tier, stats, e->size))
        return true;
    sub(&stats->bytes[kind], omi_extent_charge(e->size));
    return false;
}

static void move_uncount(struct omi_extent *e, enum omi_extent_class to)
{
    sub(&e->stats->bytes[e->kind], omi_extent_charge(e->size));
    if (to == OMI_EXTENT_NEAR)
        sub(&e->stats->promoted_bytes, e->size);
}

omen_err omi_extent_move(struct omi_extent *e, enum omi_extent_class to, uint64_t bytes_max,
                         struct omi_grace *grace)
{
    struct omi_extent_stats *stats = e->stats;
    enum omi_extent_class from = omi_extent_class(e);
    uint8_t *copy = NULL;
    if (to == OMI_EXTENT_FAR)
        want_far(e);
    if (to == from)
        return OMEN_OK;
    if (!move_count(e, to, bytes_max))
        return OMEN_ABORTED;
    struct left_bytes *left = malloc(sizeof(*left));
    omen_err err = left == NULL ? omi_fail(OMEN_NO_MEMORY, 0, "moving a filter or model")
                                : copy_make(e, to, &copy);
    if (err != OMEN_OK) {
        free(left);
        move_uncount(e, to);
        return err;
    }
    *left = (struct left_bytes){.item.free = left_free,
                                .stats = stats,
                                .bytes = atomic_load_explicit(&e->bytes, memory_order_relaxed),
                                .size = e->size,
                                .kind = (enum omi_extent_kind)e->kind,
                                .place = from};
    add(&stats->taken[e->kind][OMI_EXTENT_NEAR], sizeof(*left) + MALLOC_OVERHEAD);
    place_set(e, copy, to);
    if (e->promoted)
        sub(&stats->promoted_bytes, e->size);
    e->promoted = to == OMI_EXTENT_NEAR;
    sub(&stats->got[e->kind][from], e->size);
    add(&stats->got[e->kind][to], e->size);
    add(&stats->moves[to], 1);
    add(&stats->moved_bytes[to], e->size);
    omi_grace_retire(grace, &left->item);
    return OMEN_OK;
}

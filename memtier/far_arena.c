#include "memtier/far_arena.h"

#include "io/base/sync.h"
#include "memtier/far_guard.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#endif

enum {
    HUGE_PAGE = 2 << 20,
    UNIT_MIN_BYTES = 4096,
    WORD_UNITS = 64,
    REST_MAX = 4096,
    TAKES_MAX = 8
};

enum { UNITS_MAX = 1 << 30 }; /* of one piece */

struct chunk {
    struct chunk *next;
    unsigned char *bytes;
    size_t size;
    uint32_t units, used_units, hint; /* hint: no free unit lies before it */
    int slot;                         /* the guard's; -1: none */
    struct omi_guard_unit *unit;      /* of each */
    uint64_t map[];                   /* a set bit: the unit is taken, or lost */
};

struct omi_far_arena {
    const struct omi_place_calls *calls;
    int node;
    bool guarded;
    size_t unit_bytes;
    struct omi_guard_losses losses;
    struct omi_mutex grow; /* guards rest and growing itself */
    bool forbidden;        /* for good */
    uint32_t rest, rested; /* takes to sit out after a refusal, and how many were; 0: none */
    struct omi_mutex mu;   /* guards what follows */
    uint64_t freed;        /* times that something was given back */
    uint64_t freed_at_refusal;
    struct chunk *chunks;
    struct omi_far_arena_stats stats;
};

omen_err omi_far_arena_create(const struct omi_place_calls *calls, int node, uint64_t limit_bytes,
                              bool guarded, struct omi_far_arena **out)
{
    struct omi_far_arena *a = calloc(1, sizeof(*a));
    *out = a;
    if (a == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "an arena for node %d", node);
    size_t page = omi_place_page_bytes();
    a->calls = calls;
    a->node = node;
    a->guarded = guarded;
    a->unit_bytes = page > UNIT_MIN_BYTES ? page : UNIT_MIN_BYTES;
    a->stats.limit_bytes = limit_bytes;
    omi_mutex_init(&a->grow);
    omi_mutex_init(&a->mu);
    return OMEN_OK;
}

void omi_far_arena_limit(struct omi_far_arena *a, uint64_t limit_bytes)
{
    omi_mutex_lock(&a->mu);
    a->stats.limit_bytes = limit_bytes;
    a->freed++; /* worth another try */
    omi_mutex_unlock(&a->mu);
}

static uint64_t units_of(const struct omi_far_arena *a, size_t size)
{
    return size == 0 ? 1 : (size - 1) / a->unit_bytes + 1;
}

uint64_t omi_far_arena_charge(const struct omi_far_arena *a, size_t size)
{
    return units_of(a, size) * a->unit_bytes;
}

/* Nobody may look into memory that nobody holds. */
static void forbid(void *bytes, size_t size)
{
#ifdef ARENA_ASAN
    __asan_poison_memory_region(bytes, size);
#else
    (void)bytes, (void)size;
#endif
}

static void permit(void *bytes, size_t size)
{
#ifdef ARENA_ASAN
    __asan_unpoison_memory_region(bytes, size);
#else
    (void)bytes, (void)size;
#endif
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static void chunk_free(struct omi_far_arena *a, struct chunk *c)
{
    omi_guard_drop(c->slot);
    permit(c->bytes, c->size);
    a->calls->unmap(a->calls->ctx, c->bytes, c->size);
    free(c->unit);
    free(c);
}

void omi_far_arena_destroy(struct omi_far_arena *a)
{
    if (a == NULL)
        return;
    while (a->chunks != NULL) {
        struct chunk *next = a->chunks->next;
        chunk_free(a, a->chunks);
        a->chunks = next;
    }
    omi_mutex_fini(&a->mu);
    omi_mutex_fini(&a->grow);
    free(a);
}

/* Why the arena does not grow; err 0: no system error to name. */
struct refusal {
    const char *what;
    int err;
};

/* Maps, places, takes up and looks. */
static bool chunk_place(struct omi_far_arena *a, struct chunk *c, struct refusal *why)
{
    const struct omi_place_calls *calls = a->calls;
    size_t on_node = 0, asked = 0;
    void *bytes = NULL;
    *why = (struct refusal){"no address space", calls->map(calls->ctx, c->size, &bytes)};
    if (why->err != 0)
        return false;
    c->bytes = bytes;
    *why = (struct refusal){"the system does not place memory",
                            calls->prefer(calls->ctx, bytes, c->size, a->node)};
    a->forbidden = why->err != 0 && why->err != ENOMEM;
    if (why->err == 0)
        *why = (struct refusal){"the memory cannot be taken up",
                                calls->populate(calls->ctx, bytes, c->size)};
    if (why->err == 0) {
        *why =
            (struct refusal){"the system does not say where memory lies",
                             omi_place_count(calls, bytes, c->size, a->node, 1, &on_node, &asked)};
        a->forbidden = why->err != 0 && why->err != ENOMEM;
    }
    if (why->err == 0 && on_node * 100 >= asked * 99)
        return true;
    if (why->err == 0)
        *why = (struct refusal){"the far node is full", 0};
    calls->unmap(calls->ctx, bytes, c->size);
    return false;
}

static struct chunk *chunk_make(struct omi_far_arena *a, size_t size, struct refusal *why)
{
    uint32_t units = (uint32_t)(size / a->unit_bytes);
    size_t words = (units + WORD_UNITS - 1) / WORD_UNITS;
    struct chunk *c = calloc(1, sizeof(*c) + words * sizeof(uint64_t));
    *why = (struct refusal){"no memory to keep book of it", 0};
    if (c == NULL)
        return NULL;
    c->slot = -1;
    c->size = size;
    c->units = units;
    c->unit = calloc(units, sizeof(*c->unit));
    if (c->unit == NULL || !chunk_place(a, c, why)) {
        free(c->unit);
        free(c);
        return NULL;
    }
    if (a->guarded)
        c->slot = omi_guard_add(&(struct omi_guard_chunk){.bytes = c->bytes,
                                                          .size = c->size,
                                                          .unit_bytes = a->unit_bytes,
                                                          .units = c->unit,
                                                          .losses = &a->losses});
    if (a->guarded && c->slot < 0) {
        *why = (struct refusal){"the guard's table is full", 0};
        chunk_free(a, c);
        return NULL;
    }
    forbid(c->bytes, c->size);
    return c;
}

/* How large the next chunk for need bytes should be, within the limit; 0: the limit is reached. */
static size_t chunk_size(const struct omi_far_arena *a, uint64_t need) OMI_REQUIRES(a->mu)
{
    uint64_t limit = a->stats.limit_bytes, mapped = a->stats.mapped_bytes;
    uint64_t left = limit > mapped ? limit - mapped : 0;
    uint64_t size = OMI_ARENA_CHUNK_MIN_BYTES;
    while (size < mapped && size < OMI_ARENA_CHUNK_BYTES)
        size *= 2;
    if (size < need)
        size = (need + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (size > left)
        size = left / a->unit_bytes * a->unit_bytes;
    return size < need ? 0 : (size_t)size;
}

static void refuse_locked(struct omi_far_arena *a, const struct refusal *why) OMI_REQUIRES(a->mu)
{
    a->stats.refused++;
    a->freed_at_refusal = a->freed;
    if (why->err != 0)
        snprintf(a->stats.why, sizeof(a->stats.why), "%s: %s", why->what, strerror(why->err));
    else
        snprintf(a->stats.why, sizeof(a->stats.why), "%s", why->what);
}

/* ---- units ----------------------------------------------------------------------------------- */

static bool unit_taken(const struct chunk *c, uint32_t unit)
{
    return (c->map[unit / WORD_UNITS] >> unit % WORD_UNITS & 1) != 0;
}

static void unit_mark(struct chunk *c, uint32_t unit, bool taken)
{
    uint64_t bit = UINT64_C(1) << unit % WORD_UNITS, *word = &c->map[unit / WORD_UNITS];
    *word = taken ? *word | bit : *word & ~bit;
}

/* The first run of count free units, or c->units. */
static uint32_t units_find(const struct chunk *c, uint32_t count)
{
    uint32_t run = 0;
    for (uint32_t i = c->hint; i < c->units; i++) {
        if (i % WORD_UNITS == 0 && c->map[i / WORD_UNITS] == UINT64_MAX) {
            i += WORD_UNITS - 1;
            run = 0;
            continue;
        }
        run = unit_taken(c, i) ? 0 : run + 1;
        if (run == count)
            return i + 1 - count;
    }
    return c->units;
}

static void *chunk_take(struct omi_far_arena *a, struct chunk *c, uint64_t count,
                        _Atomic uint8_t *damaged) OMI_REQUIRES(a->mu)
{
    if (c->units - c->used_units < count)
        return NULL;
    uint32_t first = units_find(c, (uint32_t)count);
    if (first == c->units)
        return NULL;
    for (uint32_t i = first; i < first + count; i++) {
        unit_mark(c, i, true);
        atomic_store(&c->unit[i].damaged, damaged);
    }
    c->used_units += (uint32_t)count;
    while (c->hint < c->units && unit_taken(c, c->hint))
        c->hint++;
    a->stats.used_bytes += count * a->unit_bytes;
    permit(c->bytes + first * a->unit_bytes, count * a->unit_bytes);
    return c->bytes + first * a->unit_bytes;
}

static void *chunks_take(struct omi_far_arena *a, uint64_t count, _Atomic uint8_t *damaged)
    OMI_REQUIRES(a->mu)
{
    void *bytes = NULL;
    for (struct chunk *c = a->chunks; c != NULL && bytes == NULL; c = c->next)
        bytes = chunk_take(a, c, count, damaged);
    return bytes;
}

static void *grow_and_take(struct omi_far_arena *a, uint64_t count, _Atomic uint8_t *damaged)
    OMI_REQUIRES(a->grow)
{
    uint64_t need = count * a->unit_bytes;
    struct refusal why = {"far_bytes is reached", 0};
    omi_mutex_lock(&a->mu);
    void *bytes = chunks_take(a, count, damaged); /* somebody else has grown it meanwhile? */
    bool resting = a->freed == a->freed_at_refusal && a->rested < a->rest;
    size_t size = bytes == NULL && !a->forbidden && !resting ? chunk_size(a, need) : 0;
    if (bytes == NULL && a->forbidden)
        a->stats.refused++;
    else if (bytes == NULL && !resting && size == 0)
        refuse_locked(a, &why);
    omi_mutex_unlock(&a->mu);
    a->rested += resting;
    if (size == 0)
        return bytes;
    struct chunk *c = chunk_make(a, size, &why);
    size_t least = (size_t)((need + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
    if (c == NULL && !a->forbidden && least < size) /* a smaller one may find its place */
        c = chunk_make(a, least, &why);
    a->rested = 0;
    a->rest = c != NULL ? 0 : a->rest == 0 ? 64 : a->rest < REST_MAX ? a->rest * 2 : REST_MAX;
    omi_mutex_lock(&a->mu);
    if (c != NULL) {
        c->next = a->chunks;
        a->chunks = c;
        a->stats.chunks++;
        a->stats.mapped_bytes += c->size;
        bytes = chunk_take(a, c, count, damaged);
    } else {
        refuse_locked(a, &why);
    }
    omi_mutex_unlock(&a->mu);
    return bytes;
}

static void *take_once(struct omi_far_arena *a, size_t size, _Atomic uint8_t *damaged)
{
    uint64_t count = units_of(a, size);
    omi_mutex_lock(&a->mu);
    void *bytes = chunks_take(a, count, damaged);
    omi_mutex_unlock(&a->mu);
    if (bytes == NULL) {
        omi_mutex_lock(&a->grow);
        bytes = grow_and_take(a, count, damaged);
        omi_mutex_unlock(&a->grow);
    }
    if (bytes != NULL)
        memset(bytes, 0, size);
    return bytes;
}

/* Memory may turn out to be lost when it is written: that stays out of use, other is taken. */
void *omi_far_arena_take(struct omi_far_arena *a, size_t size, _Atomic uint8_t *damaged)
{
    if (size / a->unit_bytes >= UNITS_MAX)
        return NULL;
    for (int i = 0; i < TAKES_MAX; i++) {
        void *bytes = take_once(a, size, damaged);
        if (bytes == NULL || atomic_load(damaged) == 0)
            return bytes;
        omi_far_arena_give(a, bytes, size);
        atomic_store(damaged, 0);
    }
    return NULL;
}

static struct chunk **chunk_of(struct omi_far_arena *a, const void *address) OMI_REQUIRES(a->mu)
{
    struct chunk **at = &a->chunks;
    while (*at != NULL && ((const unsigned char *)address < (*at)->bytes ||
                           (const unsigned char *)address >= (*at)->bytes + (*at)->size))
        at = &(*at)->next;
    return at;
}

/* Keeps one empty chunk of a usual size, so that a table rewritten does not map it anew; else the chunk
 * to free. */
static struct chunk *chunk_empty(struct omi_far_arena *a, struct chunk **at) OMI_REQUIRES(a->mu)
{
    struct chunk *c = *at;
    bool spare = c->size <= OMI_ARENA_CHUNK_BYTES && a->stats.mapped_bytes <= a->stats.limit_bytes;
    for (const struct chunk *o = a->chunks; o != NULL; o = o->next)
        spare = spare && (o == c || o->used_units != 0);
    if (spare)
        return NULL;
    *at = c->next;
    a->stats.chunks--;
    a->stats.mapped_bytes -= c->size;
    return c;
}

void omi_far_arena_give(struct omi_far_arena *a, void *bytes, size_t size)
{
    struct chunk *empty = NULL;
    if (bytes == NULL)
        return;
    uint64_t count = units_of(a, size);
    forbid(bytes, count * a->unit_bytes);
    omi_mutex_lock(&a->mu);
    struct chunk **at = chunk_of(a, bytes), *c = *at;
    uint32_t first = (uint32_t)((size_t)((unsigned char *)bytes - c->bytes) / a->unit_bytes);
    for (uint32_t i = first; i < first + count; i++) {
        atomic_store(&c->unit[i].damaged, NULL);
        if (atomic_load(&c->unit[i].lost) != 0)
            continue; /* for good; so its chunk never becomes empty */
        unit_mark(c, i, false);
        c->used_units--;
    }
    c->hint = first < c->hint ? first : c->hint;
    a->stats.used_bytes -= count * a->unit_bytes;
    a->freed++;
    if (c->used_units == 0)
        empty = chunk_empty(a, at);
    omi_mutex_unlock(&a->mu);
    if (empty != NULL)
        chunk_free(a, empty);
}

/* ---- looking --------------------------------------------------------------------------------- */

void omi_far_arena_get_stats(struct omi_far_arena *a, struct omi_far_arena_stats *out)
{
    omi_mutex_lock(&a->mu);
    *out = a->stats;
    omi_mutex_unlock(&a->mu);
    out->damaged = atomic_load(&a->losses.extents);
    out->lost_bytes = atomic_load(&a->losses.bytes);
}

enum { VERIFY_AT_ONCE = 512 };

/* Pages in use, every stride-th from the skip-th on, at most VERIFY_AT_ONCE from the from-th. */
static size_t pages_collect(struct omi_far_arena *a, uint64_t stride, uint64_t *from,
                            void *pages[static VERIFY_AT_ONCE])
{
    uint64_t seen = 0;
    size_t count = 0;
    omi_mutex_lock(&a->mu);
    for (const struct chunk *c = a->chunks; c != NULL && count < VERIFY_AT_ONCE; c = c->next)
        for (uint32_t u = 0; u < c->units && count < VERIFY_AT_ONCE; u++) {
            if (!unit_taken(c, u) || atomic_load(&c->unit[u].lost) != 0 || seen++ < *from ||
                (seen - 1) % stride != 0)
                continue;
            pages[count++] = c->bytes + u * a->unit_bytes;
            *from = seen;
        }
    omi_mutex_unlock(&a->mu);
    return count;
}

void omi_far_arena_verify(struct omi_far_arena *a, uint64_t pages_max, uint64_t *on_node_out,
                          uint64_t *asked_out)
{
    void *pages[VERIFY_AT_ONCE];
    int status[VERIFY_AT_ONCE];
    struct omi_far_arena_stats stats;
    omi_far_arena_get_stats(a, &stats);
    uint64_t units = stats.used_bytes / a->unit_bytes, from = 0;
    uint64_t stride = pages_max == 0 || units <= pages_max ? 1 : units / pages_max;
    size_t count;
    *on_node_out = *asked_out = 0;
    while ((count = pages_collect(a, stride, &from, pages)) != 0) {
        if (a->calls->where(a->calls->ctx, count, pages, status) != 0)
            return;
        for (size_t i = 0; i < count; i++) {
            *asked_out += status[i] >= 0;
            *on_node_out += status[i] == a->node;
        }
        if (count < VERIFY_AT_ONCE)
            return;
    }
}

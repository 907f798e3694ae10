#include "memtier/far_arena.h"

#include "io/base/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 4096,
    HUGE_PAGE = 2 << 20,
    SAMPLE_STRIDE = 8, /* of a new chunk's pages, one in so many is looked at */
    WORD_UNITS = 64
};

struct chunk {
    struct chunk *next;
    unsigned char *bytes;
    size_t size;
    uint32_t units, used_units, hint; /* hint: no free unit lies before it */
    uint64_t map[];                   /* a set bit: the unit is taken */
};

struct omi_far_arena {
    const struct omi_place_calls *calls;
    int node;
    uint64_t limit_bytes;
    struct omi_mutex mu; /* guards the rest */
    struct chunk *chunks;
    bool full;
    struct omi_far_arena_stats stats;
};

omen_err omi_far_arena_create(const struct omi_place_calls *calls, int node, uint64_t limit_bytes,
                              struct omi_far_arena **out)
{
    struct omi_far_arena *a = calloc(1, sizeof(*a));
    *out = a;
    if (a == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "an arena for node %d", node);
    a->calls = calls;
    a->node = node;
    a->limit_bytes = limit_bytes;
    omi_mutex_init(&a->mu);
    return OMEN_OK;
}

/* ---- chunks ---------------------------------------------------------------------------------- */

static void chunk_free(struct omi_far_arena *a, struct chunk *c)
{
    a->calls->unmap(a->calls->ctx, c->bytes, c->size);
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
    free(a);
}

static void refuse(struct omi_far_arena *a, const char *what, int err)
{
    a->stats.refused++;
    a->full = true;
    if (err != 0)
        snprintf(a->stats.why, sizeof(a->stats.why), "%s: %s", what, strerror(err));
    else
        snprintf(a->stats.why, sizeof(a->stats.why), "%s", what);
}

/* Maps, places, takes up and looks; false with the reason told. */
static bool chunk_place(struct omi_far_arena *a, struct chunk *c)
{
    const struct omi_place_calls *calls = a->calls;
    size_t on_node = 0, asked = 0;
    void *bytes = NULL;
    int err = calls->map(calls->ctx, c->size, &bytes);
    if (err != 0) {
        refuse(a, "no address space", err);
        return false;
    }
    c->bytes = bytes;
    const char *what = "the kernel does not place memory";
    err = calls->prefer(calls->ctx, bytes, c->size, a->node);
    if (err == 0) {
        what = "the memory cannot be taken up";
        err = calls->populate(calls->ctx, bytes, c->size);
    }
    if (err == 0) {
        what = "the kernel does not say where memory lies";
        err = omi_place_count(calls, bytes, c->size, a->node, SAMPLE_STRIDE, &on_node, &asked);
    }
    if (err == 0 && on_node * 100 >= asked * 99)
        return true;
    refuse(a, err != 0 ? what : "the far node is full", err);
    calls->unmap(calls->ctx, bytes, c->size);
    return false;
}

static struct chunk *chunk_make(struct omi_far_arena *a, size_t size)
{
    size_t whole = size <= OMI_ARENA_CHUNK_BYTES ? OMI_ARENA_CHUNK_BYTES
                                                 : (size + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    if (whole > a->limit_bytes || a->stats.mapped_bytes > a->limit_bytes - whole) {
        refuse(a, "far_bytes is reached", 0);
        return NULL;
    }
    uint32_t units = (uint32_t)(whole / OMI_ARENA_UNIT_BYTES);
    struct chunk *c = calloc(1, sizeof(*c) + units / WORD_UNITS * sizeof(uint64_t));
    if (c == NULL)
        return NULL;
    c->size = whole;
    c->units = units;
    if (!chunk_place(a, c)) {
        free(c);
        return NULL;
    }
    c->next = a->chunks;
    a->chunks = c;
    a->stats.chunks++;
    a->stats.mapped_bytes += whole;
    return c;
}

/* ---- units ----------------------------------------------------------------------------------- */

static bool unit_taken(const struct chunk *c, uint32_t unit)
{
    return (c->map[unit / WORD_UNITS] >> unit % WORD_UNITS & 1) != 0;
}

static void units_mark(struct chunk *c, uint32_t first, uint32_t count, bool taken)
{
    for (uint32_t i = first; i < first + count; i++) {
        uint64_t bit = UINT64_C(1) << i % WORD_UNITS;
        c->map[i / WORD_UNITS] =
            taken ? c->map[i / WORD_UNITS] | bit : c->map[i / WORD_UNITS] & ~bit;
    }
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

static void *chunk_take(struct omi_far_arena *a, struct chunk *c, uint32_t count)
{
    if (c->units - c->used_units < count)
        return NULL;
    uint32_t at = units_find(c, count);
    if (at == c->units)
        return NULL;
    units_mark(c, at, count, true);
    c->used_units += count;
    while (c->hint < c->units && unit_taken(c, c->hint))
        c->hint++;
    a->stats.used_bytes += (uint64_t)count * OMI_ARENA_UNIT_BYTES;
    return c->bytes + (size_t)at * OMI_ARENA_UNIT_BYTES;
}

void *omi_far_arena_take(struct omi_far_arena *a, size_t size)
{
    void *bytes = NULL;
    if (size > a->limit_bytes)
        return NULL;
    uint32_t count = (uint32_t)((size + OMI_ARENA_UNIT_BYTES - 1) / OMI_ARENA_UNIT_BYTES);
    count = count != 0 ? count : 1;
    omi_mutex_lock(&a->mu);
    for (struct chunk *c = a->chunks; c != NULL && bytes == NULL; c = c->next)
        bytes = chunk_take(a, c, count);
    if (bytes == NULL && !a->full) {
        struct chunk *c = chunk_make(a, size);
        if (c != NULL)
            bytes = chunk_take(a, c, count);
    }
    omi_mutex_unlock(&a->mu);
    if (bytes != NULL)
        memset(bytes, 0, size);
    return bytes;
}

static struct chunk **chunk_of(struct omi_far_arena *a, const void *address)
{
    struct chunk **at = &a->chunks;
    while (*at != NULL && ((const unsigned char *)address < (*at)->bytes ||
                           (const unsigned char *)address >= (*at)->bytes + (*at)->size))
        at = &(*at)->next;
    return at;
}

/* Keeps one empty chunk of the usual size, so that a table rewritten does not map it anew. */
static void chunk_empty(struct omi_far_arena *a, struct chunk **at)
{
    struct chunk *c = *at;
    bool spare = c->size == OMI_ARENA_CHUNK_BYTES;
    for (const struct chunk *o = a->chunks; o != NULL; o = o->next)
        spare = spare && (o == c || o->used_units != 0);
    if (spare)
        return;
    *at = c->next;
    a->stats.chunks--;
    a->stats.mapped_bytes -= c->size;
    chunk_free(a, c);
}

void omi_far_arena_give(struct omi_far_arena *a, void *bytes, size_t size)
{
    if (bytes == NULL)
        return;
    uint32_t count = (uint32_t)((size + OMI_ARENA_UNIT_BYTES - 1) / OMI_ARENA_UNIT_BYTES);
    count = count != 0 ? count : 1;
    omi_mutex_lock(&a->mu);
    struct chunk **at = chunk_of(a, bytes), *c = *at;
    if (c != NULL) {
        uint32_t first =
            (uint32_t)((size_t)((unsigned char *)bytes - c->bytes) / OMI_ARENA_UNIT_BYTES);
        units_mark(c, first, count, false);
        c->used_units -= count;
        c->hint = first < c->hint ? first : c->hint;
        a->stats.used_bytes -= (uint64_t)count * OMI_ARENA_UNIT_BYTES;
        a->full = false;
        if (c->used_units == 0)
            chunk_empty(a, at);
    }
    omi_mutex_unlock(&a->mu);
}

/* ---- looking --------------------------------------------------------------------------------- */

void omi_far_arena_get_stats(struct omi_far_arena *a, struct omi_far_arena_stats *out)
{
    omi_mutex_lock(&a->mu);
    *out = a->stats;
    omi_mutex_unlock(&a->mu);
}

/* The pages of a chunk's taken units, every stride-th. */
static void chunk_verify(struct omi_far_arena *a, const struct chunk *c, size_t stride,
                         uint64_t *on_node, uint64_t *asked)
{
    enum { PAGE_UNITS = PAGE / OMI_ARENA_UNIT_BYTES };
    for (size_t page = 0; page < c->size / PAGE; page += stride) {
        bool used = false;
        for (uint32_t u = 0; u < PAGE_UNITS; u++)
            used = used || unit_taken(c, (uint32_t)page * PAGE_UNITS + u);
        size_t on = 0, one = 0;
        if (!used ||
            omi_place_count(a->calls, c->bytes + page * PAGE, PAGE, a->node, 1, &on, &one) != 0)
            continue;
        *on_node += on;
        *asked += one;
    }
}

void omi_far_arena_verify(struct omi_far_arena *a, size_t stride, uint64_t *on_node_out,
                          uint64_t *asked_out)
{
    *on_node_out = *asked_out = 0;
    omi_mutex_lock(&a->mu);
    for (const struct chunk *c = a->chunks; c != NULL; c = c->next)
        chunk_verify(a, c, stride, on_node_out, asked_out);
    omi_mutex_unlock(&a->mu);
}

bool omi_far_arena_holds(struct omi_far_arena *a, const void *address)
{
    omi_mutex_lock(&a->mu);
    bool held = *chunk_of(a, address) != NULL;
    omi_mutex_unlock(&a->mu);
    return held;
}

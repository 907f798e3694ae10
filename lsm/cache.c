#include "lsm/cache.h"

#include "io/base/sync.h"

#include <stdatomic.h>
#include <stdlib.h>

enum { SHARDS_MAX = 16, SIZE_CLASS = 512, MALLOC_OVERHEAD = 16, BUCKETS_MIN = 64 };
/* A shard's share is the largest frame that is kept: a small cache has fewer shards. */
#define SHARD_BYTES_MIN (UINT64_C(1) << 20)

struct shard {
    _Alignas(64) struct omi_mutex mu;
    struct omi_frame **buckets;
    uint32_t bucket_count, frame_count;
    struct omi_frame *hand; /* of the clock: a ring of linked frames */
    uint64_t bytes;         /* of linked frames */
};

struct omi_cache {
    _Atomic uint64_t capacity;
    _Atomic uint64_t bytes; /* linked and pinned frames */
    _Atomic uint64_t pinned;
    uint32_t shard_count; /* a power of two */
    struct shard shards[SHARDS_MAX];
};

static uint64_t slot_hash(uint64_t table, uint32_t index)
{
    uint64_t h = (table * UINT64_C(0x9e3779b97f4a7c15)) ^ (index * UINT64_C(0xff51afd7ed558ccd));
    return h ^ h >> 29;
}

static struct shard *shard_of(struct omi_cache *c, uint64_t hash)
{
    return &c->shards[(hash >> 60) & (c->shard_count - 1)];
}

omen_err omi_cache_create(uint64_t capacity_bytes, struct omi_cache **cache_out)
{
    *cache_out = NULL;
    struct omi_cache *c = aligned_alloc(64, (sizeof(*c) + 63) / 64 * 64);
    if (c == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the block cache");
    memset(c, 0, sizeof(*c));
    atomic_init(&c->capacity, capacity_bytes);
    c->shard_count = SHARDS_MAX;
    while (c->shard_count > 1 && capacity_bytes / c->shard_count < SHARD_BYTES_MIN)
        c->shard_count /= 2;
    for (uint32_t i = 0; i < c->shard_count; i++) {
        struct shard *s = &c->shards[i];
        omi_mutex_init(&s->mu);
        s->bucket_count = BUCKETS_MIN;
        s->buckets = calloc(s->bucket_count, sizeof(*s->buckets));
        if (s->buckets == NULL) {
            omi_cache_destroy(c);
            return omi_fail(OMEN_NO_MEMORY, 0, "the block cache");
        }
    }
    *cache_out = c;
    return OMEN_OK;
}

static void frame_free(struct omi_frame *f)
{
    atomic_fetch_sub_explicit(&f->cache->bytes, f->charge, memory_order_relaxed);
    free(f);
}

/* ---- inside a shard; its mutex is held ------------------------------------------------------- */

static struct omi_frame **bucket_of(struct shard *s, uint64_t hash)
{
    return &s->buckets[hash & (s->bucket_count - 1)];
}

static struct omi_frame *frame_find(struct shard *s, uint64_t hash, uint64_t table, uint32_t index)
{
    struct omi_frame *f = *bucket_of(s, hash);
    while (f != NULL && !(f->table == table && f->index == index))
        f = f->hash_next;
    return f;
}

/* Twice the buckets; when memory is short the chains just grow. */
static void buckets_grow(struct shard *s)
{
    uint32_t count = s->bucket_count * 2;
    struct omi_frame **buckets = calloc(count, sizeof(*buckets));
    if (buckets == NULL)
        return;
    for (uint32_t i = 0; i < s->bucket_count; i++)
        for (struct omi_frame *f = s->buckets[i], *next; f != NULL; f = next) {
            next = f->hash_next;
            struct omi_frame **b = &buckets[slot_hash(f->table, f->index) & (count - 1)];
            f->hash_next = *b;
            *b = f;
        }
    free(s->buckets);
    s->buckets = buckets;
    s->bucket_count = count;
}

static void frame_link(struct shard *s, uint64_t hash, struct omi_frame *f)
{
    if (s->frame_count >= s->bucket_count)
        buckets_grow(s);
    struct omi_frame **b = bucket_of(s, hash);
    f->hash_next = *b;
    *b = f;
    if (s->hand == NULL) {
        f->clock_next = f->clock_prev = f;
        s->hand = f;
    } else { /* just behind the hand: the last to be looked at */
        f->clock_next = s->hand;
        f->clock_prev = s->hand->clock_prev;
        f->clock_prev->clock_next = f;
        s->hand->clock_prev = f;
    }
    f->linked = true;
    s->frame_count++;
    s->bytes += f->charge;
}

/* Takes the cache's own reference away. True: it was the last. */
static bool frame_unlink(struct shard *s, struct omi_frame *f)
{
    struct omi_frame **at = bucket_of(s, slot_hash(f->table, f->index));
    while (*at != f)
        at = &(*at)->hash_next;
    *at = f->hash_next;
    if (s->hand == f)
        s->hand = f->clock_next != f ? f->clock_next : NULL;
    f->clock_prev->clock_next = f->clock_next;
    f->clock_next->clock_prev = f->clock_prev;
    f->linked = false;
    s->frame_count--;
    s->bytes -= f->charge;
    return atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1;
}

/* CLOCK: frames used since the hand last came by get another round; pinned ones are passed. */
static void shard_evict(struct shard *s, uint64_t keep_bytes)
{
    uint64_t looks = 2 * (uint64_t)s->frame_count + 1;
    while (s->bytes > keep_bytes && s->hand != NULL && looks-- > 0) {
        struct omi_frame *f = s->hand;
        s->hand = f->clock_next;
        if (atomic_load_explicit(&f->refs, memory_order_acquire) > 1)
            continue;
        if (atomic_exchange_explicit(&f->used, 0, memory_order_relaxed) != 0)
            continue;
        if (frame_unlink(s, f))
            frame_free(f);
    }
}

/* ---- the calls ------------------------------------------------------------------------------- */

void omi_cache_destroy(struct omi_cache *c)
{
    for (uint32_t i = 0; i < c->shard_count; i++) {
        struct shard *s = &c->shards[i];
        while (s->hand != NULL) {
            struct omi_frame *f = s->hand;
            if (frame_unlink(s, f))
                frame_free(f);
        }
        free(s->buckets);
        omi_mutex_fini(&s->mu);
    }
    free(c);
}

uint64_t omi_cache_bytes(const struct omi_cache *c)
{
    return atomic_load_explicit(&c->bytes, memory_order_relaxed);
}

uint64_t omi_cache_capacity(const struct omi_cache *c)
{
    return atomic_load_explicit(&c->capacity, memory_order_relaxed);
}

uint64_t omi_cache_pinned(const struct omi_cache *c)
{
    return atomic_load_explicit(&c->pinned, memory_order_relaxed);
}

void omi_cache_set_capacity(struct omi_cache *c, uint64_t capacity_bytes)
{
    uint64_t before = atomic_exchange(&c->capacity, capacity_bytes);
    for (uint32_t i = 0; i < c->shard_count && capacity_bytes < before; i++) {
        omi_mutex_lock(&c->shards[i].mu);
        shard_evict(&c->shards[i], capacity_bytes / c->shard_count);
        omi_mutex_unlock(&c->shards[i].mu);
    }
}

struct omi_frame *omi_cache_get(struct omi_cache *c, uint64_t table, uint32_t index)
{
    uint64_t hash = slot_hash(table, index);
    struct shard *s = shard_of(c, hash);
    omi_mutex_lock(&s->mu);
    struct omi_frame *f = frame_find(s, hash, table, index);
    if (f != NULL) {
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
        if (atomic_load_explicit(&f->used, memory_order_relaxed) == 0)
            atomic_store_explicit(&f->used, 1, memory_order_relaxed);
    }
    omi_mutex_unlock(&s->mu);
    if (f != NULL)
        atomic_fetch_add_explicit(&c->pinned, 1, memory_order_relaxed);
    return f;
}

bool omi_cache_peek(struct omi_cache *c, uint64_t table, uint32_t index)
{
    uint64_t hash = slot_hash(table, index);
    struct shard *s = shard_of(c, hash);
    omi_mutex_lock(&s->mu);
    bool there = frame_find(s, hash, table, index) != NULL;
    omi_mutex_unlock(&s->mu);
    return there;
}

struct omi_frame *omi_frame_create(struct omi_cache *c, uint64_t table, uint32_t index,
                                   size_t body_bytes)
{
    size_t need = sizeof(struct omi_frame) + body_bytes;
    size_t size = (need + SIZE_CLASS - 1) / SIZE_CLASS * SIZE_CLASS;
    if (size - need < MALLOC_OVERHEAD) /* what malloc takes is a class where it can be */
        size += MALLOC_OVERHEAD;
    if (body_bytes > UINT32_MAX / 2)
        return NULL;
    struct omi_frame *f = malloc(size - MALLOC_OVERHEAD);
    if (f == NULL)
        return NULL;
    memset(f, 0, sizeof(*f));
    f->cache = c;
    f->table = table;
    f->index = index;
    f->charge = (uint32_t)size;
    atomic_init(&f->refs, 1);
    atomic_init(&f->used, 0);
    atomic_fetch_add_explicit(&c->bytes, f->charge, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->pinned, 1, memory_order_relaxed);
    return f;
}

struct omi_frame *omi_cache_insert(struct omi_cache *c, struct omi_frame *f, bool keep)
{
    uint64_t share = omi_cache_capacity(c) / c->shard_count;
    if (!keep || f->charge > share)
        return f;
    uint64_t hash = slot_hash(f->table, f->index);
    struct shard *s = shard_of(c, hash);
    omi_mutex_lock(&s->mu);
    struct omi_frame *first = frame_find(s, hash, f->table, f->index);
    if (first != NULL) {
        atomic_fetch_add_explicit(&first->refs, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&c->pinned, 1, memory_order_relaxed);
    } else {
        shard_evict(s, share - f->charge);
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed); /* the cache's own */
        frame_link(s, hash, f);
    }
    omi_mutex_unlock(&s->mu);
    if (first == NULL)
        return f;
    omi_frame_release(f);
    return first;
}

void omi_frame_release(struct omi_frame *f)
{
    atomic_fetch_sub_explicit(&f->cache->pinned, 1, memory_order_relaxed);
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) == 1)
        frame_free(f);
}

void omi_cache_forget(struct omi_cache *c, uint64_t table, uint32_t blocks)
{
    for (uint32_t index = 0; index < blocks; index++) {
        uint64_t hash = slot_hash(table, index);
        struct shard *s = shard_of(c, hash);
        omi_mutex_lock(&s->mu);
        struct omi_frame *f = frame_find(s, hash, table, index);
        bool last = f != NULL && frame_unlink(s, f);
        omi_mutex_unlock(&s->mu);
        if (last)
            frame_free(f);
    }
}

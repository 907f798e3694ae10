/* hot_keys.c - see hot_keys.h. A heap, the least on top, and a hash table into it. */
#include "lsm/hot_keys.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 2 * OMI_HOT_LIST, SURE_MIN = 5, RANKS_MIN = 4 };

struct entry {
    uint64_t hash;
    uint32_t count, error;
    uint16_t name; /* index of names */
    uint16_t slot; /* that points here */
};

struct omi_hot_keys {
    uint64_t total, floor;
    uint32_t count;
    struct entry heap[OMI_HOT_LIST];
    uint16_t slots[SLOTS]; /* 1 + index of the heap, by hash; linear probing */
    struct {
        uint16_t key_size;
        uint8_t head[OMEN_HOT_KEY_BYTES];
    } names[OMI_HOT_LIST];
};

omen_err omi_hot_create(struct omi_hot_keys **out)
{
    *out = calloc(1, sizeof(**out));
    return *out != NULL ? OMEN_OK : omi_fail(OMEN_NO_MEMORY, 0, "the list of hot keys");
}

void omi_hot_destroy(struct omi_hot_keys *h)
{
    free(h);
}

uint64_t omi_hot_bytes(void)
{
    return sizeof(struct omi_hot_keys);
}

/* ---- slots ----------------------------------------------------------------------------------- */

static uint32_t home(uint64_t hash)
{
    return (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 40) % SLOTS;
}

/* The slot of this hash, or the free one where it belongs. */
static uint32_t slot_find(const struct omi_hot_keys *h, uint64_t hash)
{
    uint32_t slot = home(hash);
    while (h->slots[slot] != 0 && h->heap[h->slots[slot] - 1].hash != hash)
        slot = (slot + 1) % SLOTS;
    return slot;
}

static void slot_point(struct omi_hot_keys *h, uint32_t slot, uint32_t at)
{
    h->slots[slot] = (uint16_t)(at + 1);
    h->heap[at].slot = (uint16_t)slot;
}

/* Those behind it that were pushed there by it move up. */
static void slot_free(struct omi_hot_keys *h, uint32_t slot)
{
    uint32_t hole = slot;
    for (uint32_t i = (slot + 1) % SLOTS; h->slots[i] != 0; i = (i + 1) % SLOTS) {
        uint32_t at = h->slots[i] - 1u, wish = home(h->heap[at].hash);
        if ((i - wish + SLOTS) % SLOTS < (i - hole + SLOTS) % SLOTS)
            continue; /* its home lies behind the hole */
        slot_point(h, hole, at);
        hole = i;
    }
    h->slots[hole] = 0;
}

/* ---- the heap -------------------------------------------------------------------------------- */

static void swap(struct omi_hot_keys *h, uint32_t a, uint32_t b)
{
    struct entry e = h->heap[a];
    h->heap[a] = h->heap[b];
    h->heap[b] = e;
    h->slots[h->heap[a].slot] = (uint16_t)(a + 1);
    h->slots[h->heap[b].slot] = (uint16_t)(b + 1);
}

/* Its count has grown. */
static void sink(struct omi_hot_keys *h, uint32_t at)
{
    for (;;) {
        uint32_t least = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < h->count; child++)
            if (h->heap[child].count < h->heap[least].count)
                least = child;
        if (least == at)
            return;
        swap(h, at, least);
        at = least;
    }
}

static void rise(struct omi_hot_keys *h, uint32_t at)
{
    for (; at > 0 && h->heap[at].count < h->heap[(at - 1) / 2].count; at = (at - 1) / 2)
        swap(h, at, (at - 1) / 2);
}

/* Puts key with its count and error at the end; there is room. */
static void append(struct omi_hot_keys *h, const struct omi_hot_key *key)
{
    uint32_t at = h->count++;
    h->heap[at] = (struct entry){
        .hash = key->hash, .count = key->count, .error = key->error, .name = (uint16_t)at};
    h->names[at].key_size = key->key_size;
    memcpy(h->names[at].head, key->head, sizeof(key->head));
    slot_point(h, slot_find(h, key->hash), at);
    rise(h, at);
}

void omi_hot_add(struct omi_hot_keys *h, const struct omi_hot_key *key)
{
    uint32_t slot = slot_find(h, key->hash);
    h->total++;
    if (h->slots[slot] != 0) {
        uint32_t at = h->slots[slot] - 1u;
        h->heap[at].count++;
        sink(h, at);
        return;
    }
    struct omi_hot_key fresh = *key;
    if (h->count < OMI_HOT_LIST) {
        fresh.error = (uint32_t)h->floor;
        fresh.count = fresh.error + 1;
        append(h, &fresh);
        return;
    }
    struct entry *least = &h->heap[0];
    slot_free(h, least->slot);
    least->hash = key->hash;
    least->error = least->count++;
    h->names[least->name].key_size = key->key_size;
    memcpy(h->names[least->name].head, key->head, sizeof(key->head));
    slot_point(h, slot_find(h, key->hash), 0);
    sink(h, 0);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static struct omi_hot_key key_of(const struct omi_hot_keys *h, uint32_t at)
{
    const struct entry *e = &h->heap[at];
    struct omi_hot_key k = {.hash = e->hash,
                            .count = e->count,
                            .error = e->error,
                            .key_size = h->names[e->name].key_size};
    memcpy(k.head, h->names[e->name].head, sizeof(k.head));
    return k;
}

void omi_hot_halve(struct omi_hot_keys *h)
{
    struct omi_hot_keys *old = malloc(sizeof(*old));
    if (old == NULL) /* then later */
        return;
    *old = *h;
    memset(h, 0, sizeof(*h));
    h->total = old->total / 2;
    h->floor = old->floor / 2;
    for (uint32_t i = 0; i < old->count; i++) {
        struct omi_hot_key k = key_of(old, i);
        k.count /= 2;
        k.error /= 2;
        if (k.count > k.error)
            append(h, &k);
        else if (k.count > h->floor)
            h->floor = k.count;
    }
    free(old);
}

static int compare_sure(const void *a, const void *b)
{
    const struct omi_hot_key *x = a, *y = b;
    uint32_t x_sure = x->count - x->error, y_sure = y->count - y->error;
    if (x_sure != y_sure)
        return x_sure < y_sure ? 1 : -1;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

void omi_hot_top(const struct omi_hot_keys *h, struct omi_hot_top *out)
{
    struct omi_hot_key *all = malloc(OMI_HOT_LIST * sizeof(*all));
    memset(out, 0, sizeof(*out));
    out->total = h->total;
    out->floor = h->floor;
    if (all == NULL)
        return;
    for (uint32_t i = 0; i < h->count; i++)
        all[i] = key_of(h, i);
    qsort(all, h->count, sizeof(*all), compare_sure);
    out->count = h->count < OMEN_HOT_KEYS_MAX ? h->count : OMEN_HOT_KEYS_MAX;
    memcpy(out->keys, all, out->count * sizeof(*all));
    for (uint32_t i = out->count; i < h->count; i++)
        if (all[i].count > out->floor)
            out->floor = all[i].count;
    free(all);
}

void omi_hot_restore(struct omi_hot_keys *h, const struct omi_hot_top *top)
{
    memset(h, 0, sizeof(*h));
    h->total = top->total;
    h->floor = top->floor;
    for (uint32_t i = 0; i < top->count; i++)
        if (h->slots[slot_find(h, top->keys[i].hash)] == 0)
            append(h, &top->keys[i]);
}

static int compare_counts(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

/* A line through log count over log rank, each rank weighing as much as it counts; only counts that
 * are certain, and too large to be chance. */
uint32_t omi_hot_skew(const struct omi_hot_keys *h)
{
    double w = 0, wx = 0, wy = 0, wxx = 0, wxy = 0;
    uint32_t sure[OMI_HOT_LIST], ranks = 0;
    for (uint32_t i = 0; i < h->count; i++)
        if (h->heap[i].count - h->heap[i].error >= SURE_MIN)
            sure[ranks++] = h->heap[i].count - h->heap[i].error;
    qsort(sure, ranks, sizeof(sure[0]), compare_counts);
    ranks = ranks < OMEN_HOT_KEYS_MAX ? ranks : OMEN_HOT_KEYS_MAX;
    if (ranks < RANKS_MIN)
        return 0;
    for (uint32_t i = 0; i < ranks; i++) {
        double x = log(i + 1.0), y = log(sure[i]), n = sure[i];
        w += n;
        wx += n * x;
        wy += n * y;
        wxx += n * x * x;
        wxy += n * x * y;
    }
    double slope = (wxy * w - wx * wy) / (wxx * w - wx * wx); /* there are ranks enough */
    double permille = -slope * 1000 + 0.5;
    return permille <= 0                 ? 0
           : permille > OMI_HOT_SKEW_MAX ? (uint32_t)OMI_HOT_SKEW_MAX
                                         : (uint32_t)permille;
}

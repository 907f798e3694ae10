/* reuse.c - see reuse.h. Followed blocks lie on a time line; a tree of sums over it gives distances. */
#include "lsm/reuse.h"

#include <stdlib.h>
#include <string.h>

/* SLOTS: of the hash table, twice the blocks; TIMES: of the line, before it is renumbered. */
enum { SLOTS = 2 * OMI_REUSE_BLOCKS, TIMES = 4 * OMI_REUSE_BLOCKS, UNIT_BYTES = 64 };

struct block {
    uint64_t hash;
    uint32_t units, time; /* units 0: free */
};

struct omi_reuse {
    struct omi_reuse_curve curve;
    struct block blocks[OMI_REUSE_BLOCKS];
    uint16_t slots[SLOTS];    /* 1 + index of a block, by hash; linear probing */
    uint16_t at[TIMES];       /* 1 + index of the block that was last asked then */
    uint32_t sums[TIMES + 1]; /* Fenwick's tree of units by time */
    uint32_t now, oldest, count;
};

omen_err omi_reuse_create(struct omi_reuse **out)
{
    *out = calloc(1, sizeof(**out));
    return *out != NULL ? OMEN_OK : omi_fail(OMEN_NO_MEMORY, 0, "what blocks are asked again");
}

void omi_reuse_destroy(struct omi_reuse *r)
{
    free(r);
}

uint64_t omi_reuse_bytes(void)
{
    return sizeof(struct omi_reuse);
}

struct omi_reuse_curve *omi_reuse_curve(struct omi_reuse *r)
{
    return &r->curve;
}

/* ---- buckets: four to an octave -------------------------------------------------------------- */

uint64_t omi_reuse_bucket_bytes(uint32_t bucket)
{
    unsigned octave = OMI_REUSE_SMALLEST_BITS + bucket / 4;
    return (UINT64_C(1) << octave) + ((UINT64_C(1) << octave) / 4) * (bucket % 4 + 1);
}

static uint32_t bucket_of(uint64_t bytes)
{
    uint32_t low = 0, high = OMI_REUSE_BUCKETS - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (omi_reuse_bucket_bytes(middle) < bytes)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- the time line --------------------------------------------------------------------------- */

static void sums_add(struct omi_reuse *r, uint32_t time, uint32_t units) /* may be "negative" */
{
    for (uint32_t i = time + 1; i <= TIMES; i += i & (0 - i))
        r->sums[i] += units;
}

/* Of all times before time. */
static uint32_t sums_before(const struct omi_reuse *r, uint32_t time)
{
    uint32_t sum = 0;
    for (uint32_t i = time; i > 0; i -= i & (0 - i))
        sum += r->sums[i];
    return sum;
}

static void time_set(struct omi_reuse *r, struct block *b)
{
    b->time = r->now++;
    r->at[b->time] = (uint16_t)(1 + (b - r->blocks));
    sums_add(r, b->time, b->units);
}

static void time_clear(struct omi_reuse *r, const struct block *b)
{
    r->at[b->time] = 0;
    sums_add(r, b->time, 0 - b->units);
}

/* The line is full: times are dealt anew from 0 on, in the same order. */
static void renumber(struct omi_reuse *r)
{
    uint32_t next = 0;
    memset(r->sums, 0, sizeof(r->sums));
    for (uint32_t time = 0; time < TIMES; time++) {
        uint16_t owner = r->at[time];
        if (owner == 0)
            continue;
        r->at[time] = 0;
        r->at[next] = owner;
        r->blocks[owner - 1].time = next;
        sums_add(r, next++, r->blocks[owner - 1].units);
    }
    r->now = next;
    r->oldest = 0;
}

/* ---- blocks by hash -------------------------------------------------------------------------- */

static uint32_t home(uint64_t hash)
{
    return (uint32_t)(hash * UINT64_C(0x9e3779b97f4a7c15) >> 40) %
           SLOTS; /* its top bits are alike */
}

/* The slot with this hash, or the free one where it belongs. */
static uint32_t slot_find(const struct omi_reuse *r, uint64_t hash)
{
    uint32_t slot = home(hash);
    while (r->slots[slot] != 0 && r->blocks[r->slots[slot] - 1].hash != hash)
        slot = (slot + 1) % SLOTS;
    return slot;
}

/* Those behind it that were pushed there by it move up. */
static void slot_free(struct omi_reuse *r, uint32_t slot)
{
    uint32_t hole = slot;
    for (uint32_t i = (slot + 1) % SLOTS; r->slots[i] != 0; i = (i + 1) % SLOTS) {
        uint32_t wish = home(r->blocks[r->slots[i] - 1].hash);
        if ((i - wish + SLOTS) % SLOTS < (i - hole + SLOTS) % SLOTS)
            continue; /* its home lies behind the hole */
        r->slots[hole] = r->slots[i];
        hole = i;
    }
    r->slots[hole] = 0;
}

/* The block that waits longest is followed no more; its place. */
static struct block *oldest_drop(struct omi_reuse *r)
{
    while (r->at[r->oldest] == 0)
        r->oldest++;
    struct block *b = &r->blocks[r->at[r->oldest] - 1];
    time_clear(r, b);
    slot_free(r, slot_find(r, b->hash));
    return b;
}

static struct block *block_new(struct omi_reuse *r, uint64_t hash)
{
    struct block *b = r->count < OMI_REUSE_BLOCKS ? &r->blocks[r->count++] : oldest_drop(r);
    b->hash = hash;
    r->slots[slot_find(r, hash)] = (uint16_t)(1 + (b - r->blocks));
    return b;
}

void omi_reuse_ask(struct omi_reuse *r, uint64_t hash, uint32_t bytes, uint32_t every_bits)
{
    if (r->now == TIMES)
        renumber(r);
    uint16_t owner = r->slots[slot_find(r, hash)];
    struct block *b = owner != 0 ? &r->blocks[owner - 1] : NULL;
    if (b != NULL) {
        time_clear(r, b);
        uint64_t others = sums_before(r, r->now) - sums_before(r, b->time);
        r->curve.near[bucket_of((others * UNIT_BYTES << every_bits) + bytes)]++;
    } else {
        b = block_new(r, hash);
        r->curve.far++;
    }
    b->units = bytes / UNIT_BYTES + 1;
    time_set(r, b);
}

/* ---- the curve ------------------------------------------------------------------------------- */

void omi_reuse_halve(struct omi_reuse_curve *c)
{
    for (uint32_t i = 0; i < OMI_REUSE_BUCKETS; i++)
        c->near[i] /= 2;
    c->far /= 2;
}

uint32_t omi_reuse_points(const struct omi_reuse_curve *c, omen_miss_point *points, uint32_t max,
                          uint64_t *asked_out)
{
    uint64_t asked = c->far, within = 0;
    uint32_t used = 0, count = 0, seen = 0;
    for (uint32_t i = 0; i < OMI_REUSE_BUCKETS; i++) {
        asked += c->near[i];
        used += c->near[i] != 0;
    }
    *asked_out = asked;
    uint32_t step = used == 0 ? 1 : (used + max - 1) / max;
    for (uint32_t i = 0; i < OMI_REUSE_BUCKETS; i++) {
        within += c->near[i];
        if (c->near[i] == 0 || (++seen % step != 0 && seen != used))
            continue;
        points[count++] = (omen_miss_point){.cache_bytes = omi_reuse_bucket_bytes(i),
                                            .misses = (double)(asked - within) / (double)asked};
    }
    return count;
}

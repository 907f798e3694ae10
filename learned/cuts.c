#include "learned/cuts.h"

enum { NONE = UINT32_MAX };

/* The gap before entry i as a place to cut: how far the block's size is from its target. */
struct best {
    uint32_t at;
    uint64_t distance;
};

static void consider(struct best *b, uint32_t at, uint64_t size, uint64_t target)
{
    uint64_t distance = size > target ? size - target : target - size;
    if (b->at == NONE || distance < b->distance)
        *b = (struct best){at, distance};
}

static bool is_large(const struct omi_cuts *c, uint32_t i)
{
    return c->keys[i].raw_bytes > c->block_bytes;
}

static uint32_t shared_before(const struct omi_cuts *c, uint32_t i)
{
    const struct omi_index_key *a = &c->keys[i - 1], *b = &c->keys[i];
    return c->bytewise ? (uint32_t)omi_bytes_common(a->key, a->key_size, b->key, b->key_size) : 0;
}

/* The end of the block that begins at start: the next block's first entry, or to. */
static uint32_t block_end(const struct omi_cuts *c, uint32_t start, uint32_t to,
                          uint32_t (*cell_of)(void *ctx, uint32_t entry), void *ctx,
                          bool *keyed_out)
{
    uint64_t t = c->block_bytes, size = c->keys[start].raw_bytes;
    struct best near = {NONE, 0}, far = {NONE, 0}, any = {NONE, 0};
    uint32_t shortest = NONE, shortest_shared = NONE, last_cell = 0, i = start + 1;
    bool have_cell = false, must = is_large(c, start);
    for (; i < to && !must; i++) {
        if (size > t + t / 2)
            break;
        if (is_large(c, i)) { /* it stands alone: the block ends here, however empty */
            any = (struct best){i, 0};
            near.at = far.at = shortest = NONE;
            must = true;
            break;
        }
        consider(&any, i, size, t);
        if (size >= t / 2) {
            bool inside = size * 5 >= t * 4 && size * 5 <= t * 6;
            uint32_t cell = 0;
            if (cell_of != NULL) {
                if (!have_cell)
                    last_cell = cell_of(ctx, i - 1);
                cell = cell_of(ctx, i);
                have_cell = true;
                if (cell > last_cell) {
                    consider(&far, i, size, t);
                    if (inside)
                        consider(&near, i, size, t);
                }
                last_cell = cell;
            }
            if (inside) {
                uint32_t shared = shared_before(c, i);
                if (shared < shortest_shared) {
                    shortest = i;
                    shortest_shared = shared;
                }
            }
        }
        size += c->keys[i].raw_bytes;
    }
    if (i >= to && !must && size * 5 <= t * 6) {
        *keyed_out = false;
        return to;
    }
    if (must && any.at == NONE) /* a large entry alone */
        any.at = start + 1;
    *keyed_out = true;
    uint32_t at = near.at != NONE ? near.at : far.at;
    if (at != NONE) {
        *keyed_out = false;
        return at;
    }
    at = shortest != NONE ? shortest : any.at;
    /* Around a large entry a cell edge may happen to lie at the gap. */
    if (at < to && cell_of != NULL && shortest == NONE && cell_of(ctx, at) > cell_of(ctx, at - 1))
        *keyed_out = false;
    return at;
}

static void separator_guess(struct omi_cuts *c, uint32_t at)
{
    uint32_t shared = shared_before(c, at);
    const struct omi_index_key *a = &c->keys[at - 1], *b = &c->keys[at];
    bool versions = c->bytewise && shared == a->key_size && shared == b->key_size;
    c->separator_bytes += versions ? 12 : 7; /* most of a separator is shared with its neighbour */
}

void omi_cuts_place(struct omi_cuts *c, uint32_t from, uint32_t to,
                    uint32_t (*cell_of)(void *ctx, uint32_t entry), void *ctx)
{
    bool keyed = false;
    for (uint32_t start = from; start < to;) {
        c->first[c->blocks] = start;
        c->keyed[c->blocks++] = keyed;
        if (keyed) {
            c->keyed_count++;
            separator_guess(c, start);
        }
        start = block_end(c, start, to, cell_of, ctx, &keyed);
    }
}

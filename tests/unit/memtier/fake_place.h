/*
 * fake_place.h - a machine with a far node of so many bytes, for tests of who uses it. Memory is real;
 * what is "on the node" is counted, and each call can be made to fail.
 */
#ifndef FAKE_PLACE_H
#define FAKE_PLACE_H

#include "memtier/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { FAKE_NODE = 1, FAKE_CHUNKS = 256 };

struct fake_place {
    uint64_t node_bytes; /* room on the node; what comes after lies elsewhere */
    int map_err, prefer_err, populate_err, where_err, allowed_err; /* to be answered */
    uint64_t allowed;
    uint64_t maps, unmaps, mapped_bytes, on_node_bytes;
    struct {
        unsigned char *bytes;
        size_t size, on_node; /* the first so many bytes lie on the node */
    } chunk[FAKE_CHUNKS];
};

static inline int fake_map(void *ctx, size_t size, void **out)
{
    struct fake_place *f = ctx;
    if (f->map_err != 0)
        return f->map_err;
    for (int i = 0; i < FAKE_CHUNKS; i++) {
        if (f->chunk[i].size != 0)
            continue;
        int err = omi_place_heap()->map(NULL, size, out);
        if (err != 0)
            return err;
        f->chunk[i].bytes = *out;
        f->chunk[i].size = size;
        f->chunk[i].on_node = 0;
        f->maps++;
        f->mapped_bytes += size;
        return 0;
    }
    return ENOMEM;
}

static inline int fake_find(const struct fake_place *f, const void *address)
{
    for (int i = 0; i < FAKE_CHUNKS; i++)
        if (f->chunk[i].size != 0 && (const unsigned char *)address >= f->chunk[i].bytes &&
            (const unsigned char *)address < f->chunk[i].bytes + f->chunk[i].size)
            return i;
    return -1;
}

static inline void fake_unmap(void *ctx, void *pages, size_t size)
{
    struct fake_place *f = ctx;
    int i = fake_find(f, pages);
    if (i < 0 || f->chunk[i].bytes != pages || f->chunk[i].size != size)
        abort();
    f->unmaps++;
    f->mapped_bytes -= size;
    f->on_node_bytes -= f->chunk[i].on_node;
    f->chunk[i].size = 0;
    omi_place_heap()->unmap(NULL, pages, size);
}

static inline int fake_prefer(void *ctx, void *pages, size_t size, int node)
{
    struct fake_place *f = ctx;
    (void)pages, (void)size;
    return f->prefer_err != 0 ? f->prefer_err : node == FAKE_NODE ? 0 : EINVAL;
}

static inline int fake_populate(void *ctx, void *pages, size_t size)
{
    struct fake_place *f = ctx;
    if (f->populate_err != 0)
        return f->populate_err;
    uint64_t room = f->node_bytes > f->on_node_bytes ? f->node_bytes - f->on_node_bytes : 0;
    int i = fake_find(f, pages);
    f->chunk[i].on_node = room < size ? (size_t)room : size;
    f->on_node_bytes += f->chunk[i].on_node;
    return 0;
}

static inline int fake_where(void *ctx, size_t count, void *const *pages, int *status)
{
    struct fake_place *f = ctx;
    if (f->where_err != 0)
        return f->where_err;
    for (size_t p = 0; p < count; p++) {
        int i = fake_find(f, pages[p]);
        status[p] = i < 0 ? -EFAULT
                    : (size_t)((unsigned char *)pages[p] - f->chunk[i].bytes) < f->chunk[i].on_node
                        ? FAKE_NODE
                        : 0;
    }
    return 0;
}

static inline int fake_allowed(void *ctx, uint64_t *nodes_out)
{
    const struct fake_place *f = ctx;
    *nodes_out = f->allowed;
    return f->allowed_err;
}

static inline struct omi_place_calls fake_calls(struct fake_place *f)
{
    return (struct omi_place_calls){.map = fake_map,
                                    .unmap = fake_unmap,
                                    .prefer = fake_prefer,
                                    .populate = fake_populate,
                                    .where = fake_where,
                                    .allowed = fake_allowed,
                                    .ctx = f};
}

#endif

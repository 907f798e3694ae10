#include "memtier/place.h"

#include <errno.h>
#include <numaif.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5
#endif
#ifndef MPOL_F_MEMS_ALLOWED
#define MPOL_F_MEMS_ALLOWED (1 << 2)
#endif

enum { HUGE_PAGE = 2 << 20, ASKED_AT_ONCE = 512, NODES_MAX = 64 };

/* The kernel reads one bit less than maxnode says, and get_mempolicy wants room for all the nodes that
 * it was built for, which are 1024 at most. */
enum { MASK_WORDS = 1024 / (8 * (int)sizeof(unsigned long)), MASK_BITS = NODES_MAX + 1 };

size_t omi_place_page_bytes(void)
{
    long page = sysconf(_SC_PAGESIZE);
    return page > 0 ? (size_t)page : 4096;
}

/* ---- the system's ---------------------------------------------------------------------------- */

static int system_map(void *ctx, size_t size, void **out)
{
    (void)ctx;
    unsigned char *wide = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (wide == MAP_FAILED)
        return errno;
    size_t skip = (HUGE_PAGE - (uintptr_t)wide % HUGE_PAGE) % HUGE_PAGE;
    if (skip != 0)
        munmap(wide, skip);
    munmap(wide + skip + size, HUGE_PAGE - skip);
    *out = wide + skip;
    return 0;
}

static void system_unmap(void *ctx, void *pages, size_t size)
{
    (void)ctx;
    munmap(pages, size);
}

static int system_prefer(void *ctx, void *pages, size_t size, int node)
{
    (void)ctx;
    if (node < 0 || node >= NODES_MAX)
        return EINVAL;
    unsigned long mask[NODES_MAX / (8 * sizeof(unsigned long)) + 1] = {0};
    mask[(size_t)node / (8 * sizeof(mask[0]))] |= 1ul << (size_t)node % (8 * sizeof(mask[0]));
    if (mbind(pages, size, MPOL_PREFERRED_MANY, mask, MASK_BITS, 0) != 0 &&
        (errno != EINVAL || mbind(pages, size, MPOL_PREFERRED, mask, MASK_BITS, 0) != 0))
        return errno;
    (void)madvise(pages, size, MADV_HUGEPAGE); /* without it only slower */
    return 0;
}

static int system_populate(void *ctx, void *pages, size_t size)
{
    (void)ctx;
    if (madvise(pages, size, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS && errno != EPERM)
        return errno;
    size_t page = omi_place_page_bytes();
    for (size_t i = 0; i < size; i += page) /* before Linux 5.14 */
        ((volatile unsigned char *)pages)[i] = 0;
    return 0;
}

static int system_where(void *ctx, size_t count, void *const *pages, int *status)
{
    (void)ctx;
    void *asked[ASKED_AT_ONCE];
    if (count > ASKED_AT_ONCE)
        return E2BIG;
    memcpy(asked, pages, count * sizeof(*asked));
    return move_pages(0, count, asked, NULL, status, 0) == 0 ? 0 : errno;
}

static int system_allowed(void *ctx, uint64_t *nodes_out)
{
    (void)ctx;
    unsigned long mask[MASK_WORDS] = {0};
    if (get_mempolicy(NULL, mask, sizeof(mask) * 8, NULL, MPOL_F_MEMS_ALLOWED) != 0)
        return errno;
    *nodes_out = 0;
    for (unsigned node = 0; node < NODES_MAX; node++)
        if ((mask[node / (8 * sizeof(mask[0]))] >> node % (8 * sizeof(mask[0])) & 1) != 0)
            *nodes_out |= UINT64_C(1) << node;
    return 0;
}

const struct omi_place_calls *omi_place_system(void)
{
    static const struct omi_place_calls calls = {.map = system_map,
                                                 .unmap = system_unmap,
                                                 .prefer = system_prefer,
                                                 .populate = system_populate,
                                                 .where = system_where,
                                                 .allowed = system_allowed};
    return &calls;
}

/* ---- memory that is called far --------------------------------------------------------------- */

static int heap_prefer(void *ctx, void *pages, size_t size, int node)
{
    (void)ctx, (void)pages, (void)size, (void)node;
    return 0;
}

static int heap_populate(void *ctx, void *pages, size_t size)
{
    (void)ctx, (void)pages, (void)size;
    return 0;
}

static int heap_where(void *ctx, size_t count, void *const *pages, int *status)
{
    (void)ctx, (void)pages;
    for (size_t i = 0; i < count; i++)
        status[i] = OMI_PLACE_HEAP;
    return 0;
}

static int heap_allowed(void *ctx, uint64_t *nodes_out)
{
    (void)ctx;
    *nodes_out = UINT64_C(1) << OMI_PLACE_HEAP;
    return 0;
}

const struct omi_place_calls *omi_place_heap(void)
{
    static const struct omi_place_calls calls = {.map = system_map,
                                                 .unmap = system_unmap,
                                                 .prefer = heap_prefer,
                                                 .populate = heap_populate,
                                                 .where = heap_where,
                                                 .allowed = heap_allowed};
    return &calls;
}

/* ---- looking --------------------------------------------------------------------------------- */

int omi_place_count(const struct omi_place_calls *calls, void *pages, size_t size, int node,
                    size_t stride, size_t *on_node_out, size_t *asked_out)
{
    void *asked[ASKED_AT_ONCE];
    int status[ASKED_AT_ONCE];
    size_t step = stride * omi_place_page_bytes();
    *on_node_out = *asked_out = 0;
    for (size_t at = 0; at < size;) {
        size_t count = 0;
        for (; count < ASKED_AT_ONCE && at < size; at += step)
            asked[count++] = (unsigned char *)pages + at;
        int err = calls->where(calls->ctx, count, asked, status);
        if (err != 0)
            return err;
        for (size_t i = 0; i < count; i++)
            *on_node_out += status[i] == node;
        *asked_out += count;
    }
    return 0;
}

#include "memtier/place.h"

#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MPOL_PREFERRED_MANY
#define MPOL_PREFERRED_MANY 5
#endif

enum { PAGE = 4096, HUGE_PAGE = 2 << 20, ASKED_AT_ONCE = 512 };

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
    if (numa_available() < 0 || node < 0 || node >= 64)
        return ENOSYS;
    unsigned long mask = 1ul << node;
    if (mbind(pages, size, MPOL_PREFERRED_MANY, &mask, 65, 0) != 0 &&
        (errno != EINVAL || mbind(pages, size, MPOL_PREFERRED, &mask, 65, 0) != 0))
        return errno;
    (void)madvise(pages, size, MADV_HUGEPAGE); /* without it only slower */
    return 0;
}

static int system_populate(void *ctx, void *pages, size_t size)
{
    (void)ctx;
    if (madvise(pages, size, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno != EINVAL)
        return errno;
    for (size_t i = 0; i < size; i += PAGE) /* before Linux 5.14 */
        ((volatile unsigned char *)pages)[i] = 0;
    return 0;
}

static int system_where(void *ctx, size_t count, void *const *pages, int *status)
{
    (void)ctx;
    void *asked[ASKED_AT_ONCE];
    for (size_t i = 0; i < count; i++)
        asked[i] = pages[i];
    return move_pages(0, count, asked, NULL, status, 0) == 0 ? 0 : errno;
}

const struct omi_place_calls *omi_place_system(void)
{
    static const struct omi_place_calls calls = {.map = system_map,
                                                 .unmap = system_unmap,
                                                 .prefer = system_prefer,
                                                 .populate = system_populate,
                                                 .where = system_where};
    return &calls;
}

int omi_place_count(const struct omi_place_calls *calls, void *pages, size_t size, int node,
                    size_t stride, size_t *on_node_out, size_t *asked_out)
{
    void *asked[ASKED_AT_ONCE];
    int status[ASKED_AT_ONCE];
    *on_node_out = *asked_out = 0;
    for (size_t at = 0; at < size;) {
        size_t count = 0;
        for (; count < ASKED_AT_ONCE && at < size; at += stride * PAGE)
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

#include "io/pages.h"

#include <stdint.h>
#include <sys/mman.h>

enum { HUGE_BYTES = 2 << 20 };

static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                   -1, 0);
    return p != MAP_FAILED ? p : NULL;
}

void *omi_pages_map(size_t size)
{
    if (size < HUGE_BYTES)
        return map(size);
    unsigned char *wide = map(size + HUGE_BYTES); /* trimmed to an aligned part */
    if (wide == NULL)
        return NULL;
    size_t skip = (HUGE_BYTES - (uintptr_t)wide % HUGE_BYTES) % HUGE_BYTES;
    if (skip != 0)
        munmap(wide, skip);
    if (skip != HUGE_BYTES)
        munmap(wide + skip + size, HUGE_BYTES - skip);
    (void)madvise(wide + skip, size, MADV_HUGEPAGE); /* without it only slower */
    return wide + skip;
}

void omi_pages_unmap(void *pages, size_t size)
{
    if (pages != NULL)
        munmap(pages, size);
}

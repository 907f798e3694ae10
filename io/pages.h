/* pages.h - memory straight from the system, by whole pages. */
#ifndef OMI_PAGES_H
#define OMI_PAGES_H

#include <stddef.h>

/* size (a multiple of 4 KiB) zeroed bytes, page-aligned; from 2 MiB on aligned to 2 MiB and asked
 * to be huge pages. Taken up only when touched. NULL when memory is short. */
void *omi_pages_map(size_t size);
void omi_pages_unmap(void *pages, size_t size); /* NULL is fine */

#endif

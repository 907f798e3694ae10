/*
 * place.h - putting pages on a NUMA node, and asking where they are: mmap, mbind and move_pages.
 * The calls go through a table, so that tests can have them fail.
 */
#ifndef OMI_PLACE_H
#define OMI_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 0, or an errno value. */
struct omi_place_calls {
    int (*map)(void *ctx, size_t size, void **out); /* anonymous, aligned to 2 MiB */
    void (*unmap)(void *ctx, void *pages, size_t size);
    /* Prefers node for the range's pages; never binds: a bound range kills the process when the
     * node is full. */
    int (*prefer)(void *ctx, void *pages, size_t size, int node);
    int (*populate)(void *ctx, void *pages, size_t size); /* takes the pages up now */
    /* status[i]: the node of pages[i], or a negative errno. */
    int (*where)(void *ctx, size_t count, void *const *pages, int *status);
    int (*allowed)(void *ctx, uint64_t *nodes_out); /* the nodes this process may use, a bit each */
    void *ctx;
};

/* The system's own. */
const struct omi_place_calls *omi_place_system(void);
/* Memory that is merely called far: mapped, taken up as it is touched, all of it "on" OMI_PLACE_HEAP.
 */
const struct omi_place_calls *omi_place_heap(void);
enum { OMI_PLACE_HEAP = 0 };

/* The smallest piece of memory that has a place: the system's page. */
size_t omi_place_page_bytes(void);

/* How many of a range's pages are on node; every stride-th is asked (1: all). Pages of which the system
 * says nothing count as asked, and not as on the node. 0 or errno. */
int omi_place_count(const struct omi_place_calls *calls, void *pages, size_t size, int node,
                    size_t stride, size_t *on_node_out, size_t *asked_out);

#endif

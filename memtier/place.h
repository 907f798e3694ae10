/*
 * place.h - putting pages on a NUMA node, and asking where they are: mbind and move_pages.
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
    void *ctx;
};

/* The system's own. */
const struct omi_place_calls *omi_place_system(void);

/* How many of the 4 KiB pages of a range are on node; every stride-th is asked (1: all). 0 or errno.
 */
int omi_place_count(const struct omi_place_calls *calls, void *pages, size_t size, int node,
                    size_t stride, size_t *on_node_out, size_t *asked_out);

#endif

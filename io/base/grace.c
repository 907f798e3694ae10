#include "io/base/grace.h"

#include <stdbool.h>
#include <stddef.h>

void omi_grace_init(struct omi_grace *g)
{
    for (unsigned i = 0; i < OMI_GRACE_STRIPES; i++) {
        atomic_init(&g->stripe[i].in[0], 0);
        atomic_init(&g->stripe[i].in[1], 0);
    }
    atomic_init(&g->phase, 0);
    omi_mutex_init(&g->mu);
    g->fresh = g->waiting = NULL;
}

static void free_all(struct omi_grace_item *items)
{
    while (items != NULL) {
        struct omi_grace_item *next = items->next;
        items->free(items);
        items = next;
    }
}

void omi_grace_fini(struct omi_grace *g)
{
    free_all(g->waiting);
    free_all(g->fresh);
    g->fresh = g->waiting = NULL;
    omi_mutex_fini(&g->mu);
}

void omi_grace_retire(struct omi_grace *g, struct omi_grace_item *item)
{
    omi_mutex_lock(&g->mu);
    item->next = g->fresh;
    g->fresh = item;
    omi_mutex_unlock(&g->mu);
    omi_grace_poll(g);
}

/* A reader enters and leaves in one stripe, so each stripe may be looked at on its own. */
static bool phase_empty(const struct omi_grace *g, uint32_t phase)
{
    for (unsigned i = 0; i < OMI_GRACE_STRIPES; i++)
        if (atomic_load_explicit(&g->stripe[i].in[phase], memory_order_seq_cst) != 0)
            return false;
    return true;
}

/* The phase that is not current has been seen empty: those who were in it when the fresh were
 * retired are gone. Then the phases switch; when the other one has been seen empty too, what waits
 * is over. */
static struct omi_grace_item *advance_locked(struct omi_grace *g) OMI_REQUIRES(g->mu)
{
    uint32_t phase = atomic_load_explicit(&g->phase, memory_order_relaxed) & 1;
    if (!phase_empty(g, phase ^ 1))
        return NULL;
    struct omi_grace_item *over = g->waiting;
    g->waiting = g->fresh;
    g->fresh = NULL;
    atomic_store_explicit(&g->phase, phase ^ 1, memory_order_seq_cst);
    return over;
}

void omi_grace_poll(struct omi_grace *g)
{
    for (int i = 0; i < 2; i++) { /* two switches free all, when nobody reads */
        omi_mutex_lock(&g->mu);
        bool any = g->fresh != NULL || g->waiting != NULL;
        struct omi_grace_item *over = any ? advance_locked(g) : NULL;
        omi_mutex_unlock(&g->mu);
        free_all(over);
        if (!any)
            return;
    }
}

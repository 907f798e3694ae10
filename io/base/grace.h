/*
 * grace.h - readers without locks beside one who frees: enter and leave around reading, and memory
 * that is retired is freed once everybody who may have seen it has left.
 *
 * Readers count themselves into one of two phases (McKenney, "Sleepable Read-Copy Update", 2006).
 * A reader may have read the phase just before it switched and count itself into the old one late,
 * so what is retired waits until both phases have been seen empty, one after the other. Nothing ever
 * blocks: what is retired stays queued until a poll finds its time over.
 * What is retired must be unreachable already: its pointer was replaced with a sequentially
 * consistent store, and readers load it so after entering.
 */
#ifndef OMI_GRACE_H
#define OMI_GRACE_H

#include "io/base/sync.h"

#include <stdatomic.h>
#include <stdint.h>

enum { OMI_GRACE_STRIPES = 8 };

/* Embedded in what is retired, so that retiring cannot fail. */
struct omi_grace_item {
    struct omi_grace_item *next;
    void (*free)(struct omi_grace_item *item);
};

struct omi_grace {
    struct {
        _Alignas(64) _Atomic uint64_t in[2];
    } stripe[OMI_GRACE_STRIPES];
    _Atomic uint32_t phase;
    struct omi_mutex mu;                    /* guards the queue */
    struct omi_grace_item *fresh, *waiting; /* since the last switch; since the one before */
};

void omi_grace_init(struct omi_grace *g);
/* Nobody reads any more: frees what is queued. */
void omi_grace_fini(struct omi_grace *g);
/* Frees item by its function, when nobody can be reading it. From any thread. */
void omi_grace_retire(struct omi_grace *g, struct omi_grace_item *item);
/* Frees what is over by now. */
void omi_grace_poll(struct omi_grace *g);

/* From any thread; pairs may nest. The result goes to omi_grace_leave, with the same stripe (below
 * OMI_GRACE_STRIPES). */
static inline uint32_t omi_grace_enter(struct omi_grace *g, unsigned stripe)
{
    uint32_t phase = atomic_load_explicit(&g->phase, memory_order_relaxed) & 1;
    atomic_fetch_add_explicit(&g->stripe[stripe].in[phase], 1, memory_order_seq_cst);
    return phase;
}

static inline void omi_grace_leave(struct omi_grace *g, unsigned stripe, uint32_t phase)
{
    atomic_fetch_sub_explicit(&g->stripe[stripe].in[phase], 1, memory_order_release);
}

#endif

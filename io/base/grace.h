/*
 * grace.h - readers without locks beside one who frees: enter and leave around reading, and memory
 * that is retired is freed once everybody who may have seen it has left.
 *
 * Two phases of striped counts (McKenney, "Sleepable Read-Copy Update", 2006): a reader counts
 * itself into the current phase; a phase is over when its count has come to zero after the switch.
 * Nothing waits: retired memory stays queued until a later call finds its phase over.
 */
#ifndef OMI_GRACE_H
#define OMI_GRACE_H

#include "io/base/sync.h"

#include <stdatomic.h>
#include <stdint.h>

enum { OMI_GRACE_STRIPES = 8 };

struct omi_grace_item; /* see grace.c */

struct omi_grace {
    struct {
        _Alignas(64) _Atomic uint64_t in[2];
    } stripe[OMI_GRACE_STRIPES];
    _Atomic uint32_t phase;
    struct omi_mutex mu;                      /* the queue */
    struct omi_grace_item *waiting, *retired; /* of the phase that ends; since */
};

void omi_grace_init(struct omi_grace *g);
void omi_grace_fini(struct omi_grace *g); /* nobody reads any more: frees everything queued */

/* Any thread; may nest. The result goes to omi_grace_leave, with the same stripe. */
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

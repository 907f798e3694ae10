#include "lsm/counters.h"

#include "io/base/turns.h"

#include <stddef.h>

unsigned omi_counter_stripe(void)
{
    static _Atomic unsigned next;
    static _Thread_local unsigned mine; /* 0: not dealt yet */
    if (omi_turns_here !=
        NULL) /* what is sampled may not depend on which threads there were before */
        return 0;
    if (mine == 0)
        mine = 1 + atomic_fetch_add_explicit(&next, 1, memory_order_relaxed) % OMI_COUNTER_STRIPES;
    return mine - 1;
}

uint64_t omi_counter_sum(const struct omi_counters *c, enum omi_counter which)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < OMI_COUNTER_STRIPES; i++)
        sum += atomic_load_explicit(&c->stripe[i].v[which], memory_order_relaxed);
    return sum;
}

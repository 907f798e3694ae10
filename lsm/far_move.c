#include "lsm/far_move.h"

#include <stdlib.h>

static uint64_t worth(const struct omi_far_choice *c)
{
    return c->is_near ? 2 * (uint64_t)c->heat + OMI_FAR_STAY_HEAT : c->heat;
}

/* By worth / bytes, without dividing. */
static int choice_compare(const void *a, const void *b)
{
    const struct omi_far_choice *x = a, *y = b;
    unsigned __int128 left = (unsigned __int128)worth(x) * (y->bytes + 1);
    unsigned __int128 right = (unsigned __int128)worth(y) * (x->bytes + 1);
    if (left != right)
        return left > right ? -1 : 1;
    return x->index < y->index ? -1 : x->index > y->index;
}

void omi_far_choose(struct omi_far_choice *choices, size_t count, uint64_t near_bytes)
{
    uint64_t left = near_bytes;
    if (count > 1)
        qsort(choices, count, sizeof(*choices), choice_compare);
    for (size_t i = 0; i < count; i++) {
        struct omi_far_choice *c = &choices[i];
        c->near = worth(c) != 0 && c->bytes <= left;
        if (c->near)
            left -= c->bytes;
    }
}

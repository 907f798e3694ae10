#include "tests/fuzz/plain_mutate.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

struct rng plain_dice = {1};

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    size_t at = size != 0 ? rng_below(&plain_dice, size) : 0;
    switch (size == 0 ? 3 : rng_below(&plain_dice, 6)) {
    case 0:
        data[at] ^= (uint8_t)(1u << rng_below(&plain_dice, 8));
        return size;
    case 1:
        data[at] = (uint8_t)rng_next(&plain_dice);
        return size;
    case 2: /* some bytes less */
        return size - rng_below(&plain_dice, size - at < 9 ? size - at : 9);
    case 3: /* one more */
        if (size == max_size)
            return size;
        memmove(data + at + 1, data + at, size - at);
        data[at] = (uint8_t)rng_next(&plain_dice);
        return size + 1;
    case 4: { /* some from elsewhere */
        size_t from = rng_below(&plain_dice, size), most = size - (from > at ? from : at);
        memmove(data + at, data + from, rng_below(&plain_dice, most + 1));
        return size;
    }
    default: /* a number as they are at the ends of ranges */
        for (size_t i = 0, n = (size_t)1 << rng_below(&plain_dice, 4); i < n && at + i < size; i++)
            data[at + i] = (uint8_t)(rng_one_in(&plain_dice, 2) ? 0xff : 0);
        return size;
    }
}

/*
 * slice.h - byte strings: order, equality, common prefix, the user's key order.
 */
#ifndef OMI_SLICE_H
#define OMI_SLICE_H

#include "lsm/omendb.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline omen_slice omi_slice(const void *data, size_t size)
{
    return (omen_slice){data, size};
}

/* What is behind the first n bytes, n <= s.size. The data of an empty slice may be NULL, and NULL
 * takes no arithmetic. */
static inline omen_slice omi_slice_behind(omen_slice s, size_t n)
{
    return n != 0 ? omi_slice((const uint8_t *)s.data + n, s.size - n) : s;
}

static inline int omi_bytes_compare(const void *a, size_t a_size, const void *b, size_t b_size)
{
    size_t common = a_size < b_size ? a_size : b_size;
    int c = common != 0 ? memcmp(a, b, common) : 0;
    return c != 0 ? c : (a_size > b_size) - (a_size < b_size);
}

static inline bool omi_bytes_equal(const void *a, size_t a_size, const void *b, size_t b_size)
{
    return a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0);
}

static inline size_t omi_bytes_common(const uint8_t *a, size_t a_size, const uint8_t *b,
                                      size_t b_size)
{
    size_t limit = a_size < b_size ? a_size : b_size, i = 0;
    for (; i + 8 <= limit; i += 8) {
        uint64_t x, y;
        memcpy(&x, a + i, 8);
        memcpy(&y, b + i, 8);
        if (x != y) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
            return i + (size_t)(__builtin_ctzll(x ^ y) >> 3);
#else
            return i + (size_t)(__builtin_clzll(x ^ y) >> 3);
#endif
        }
    }
    while (i < limit && a[i] == b[i])
        i++;
    return i;
}

/* The order of user keys. comparator NULL is bytewise, the fast path everywhere. */
struct omi_order {
    const omen_comparator *comparator;
};

static inline bool omi_order_is_bytewise(const struct omi_order *order)
{
    return order->comparator == NULL;
}

static inline int omi_key_compare(const struct omi_order *order, omen_slice a, omen_slice b)
{
    if (order->comparator == NULL)
        return omi_bytes_compare(a.data, a.size, b.data, b.size);
    return order->comparator->compare(order->comparator->context, a, b);
}

#endif

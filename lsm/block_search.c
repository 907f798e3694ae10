/* block_search.c - finding and showing entries of a decoded block. */
#include "io/base/coding.h"
#include "lsm/block_format.h"

static uint32_t off_at(const struct omi_block *b, const uint8_t *offs, uint32_t i)
{
    return b->wide ? omi_get_u32(offs + (size_t)i * 4) : omi_get_u16(offs + (size_t)i * 2);
}

static uint32_t head_size(const struct omi_block *b, uint32_t i)
{
    return b->head_sizes != NULL ? b->head_sizes[i] : OMI_HEAD_BYTES;
}

static omen_slice tail_of(const struct omi_block *b, uint32_t i)
{
    if (b->tail_offs == NULL)
        return omi_slice(b->tails + (size_t)i * b->tail_size, b->tail_size);
    uint32_t from = off_at(b, b->tail_offs, i);
    return omi_slice(b->tails + from, off_at(b, b->tail_offs, i + 1) - from);
}

static omen_slice value_of(const struct omi_block *b, uint32_t i)
{
    if (b->value_offs == NULL)
        return omi_slice(b->values + (size_t)i * b->value_size, b->value_size);
    uint32_t from = off_at(b, b->value_offs, i);
    return omi_slice(b->values + from, off_at(b, b->value_offs, i + 1) - from);
}

/* Two loads that may overlap cover any width, and where they overlap they agree. */
static uint64_t trailer_of(const struct omi_block *b, uint32_t i)
{
    uint32_t width = b->trailer_width;
    const uint8_t *p = b->trailers + (size_t)i * width;
    uint64_t v = 0;
    if (width >= 4)
        v = omi_get_u32(p) | (uint64_t)omi_get_u32(p + width - 4) << (8 * (width - 4));
    else if (width >= 2)
        v = omi_get_u16(p) | (uint64_t)omi_get_u16(p + width - 2) << (8 * (width - 2));
    else if (width == 1)
        v = *p;
    return b->trailer_base + v;
}

static uint32_t head_of(const struct omi_block *b, uint32_t i)
{
    return omi_get_u32(b->heads + (size_t)i * OMI_HEAD_BYTES);
}

uint32_t omi_block_key_size(const struct omi_block *b, uint32_t i)
{
    return b->prefix_size + head_size(b, i) + (uint32_t)tail_of(b, i).size;
}

static void put_head(uint32_t head, uint32_t size, uint8_t *p)
{
    if (size == OMI_HEAD_BYTES) {
        omi_put_u32(p, __builtin_bswap32(head));
        return;
    }
    for (uint32_t i = 0; i < size; i++)
        p[i] = (uint8_t)(head >> (24 - 8 * i));
}

/* Key parts are short as a rule, and a call of memcpy costs more than they do. */
static void put_bytes(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size > 16) {
        memcpy(to, from, size);
    } else if (size >= 8) {
        uint64_t first, last;
        memcpy(&first, from, 8);
        memcpy(&last, from + size - 8, 8);
        memcpy(to, &first, 8);
        memcpy(to + size - 8, &last, 8);
    } else if (size >= 4) {
        uint32_t first, last;
        memcpy(&first, from, 4);
        memcpy(&last, from + size - 4, 4);
        memcpy(to, &first, 4);
        memcpy(to + size - 4, &last, 4);
    } else {
        for (size_t i = 0; i < size; i++)
            to[i] = from[i];
    }
}

void omi_block_entry(const struct omi_block *b, uint32_t i, uint8_t *key_buffer,
                     struct omi_entry *out)
{
    uint8_t *p = key_buffer;
    put_bytes(p, b->prefix, b->prefix_size);
    p += b->prefix_size;
    uint32_t head = head_size(b, i);
    put_head(head_of(b, i), head, p);
    p += head;
    omen_slice tail = tail_of(b, i), value = value_of(b, i);
    put_bytes(p, tail.data, tail.size);
    p += tail.size;
    *out = (struct omi_entry){.key = key_buffer,
                              .value = value.data,
                              .trailer = trailer_of(b, i),
                              .key_size = (uint32_t)(p - key_buffer),
                              .value_size = (uint32_t)value.size};
}

void omi_block_value(const struct omi_block *b, uint32_t i, uint64_t *trailer_out,
                     omen_slice *value_out)
{
    *trailer_out = trailer_of(b, i);
    *value_out = value_of(b, i);
}

/* Entry i's key behind the prefix against rest, given that the padded heads are equal: where one of
 * them ends inside its head, it is a prefix of the other or equal. */
static int compare_equal_heads(const struct omi_block *b, uint32_t i, omen_slice rest)
{
    uint32_t head = head_size(b, i);
    if (head < OMI_HEAD_BYTES || rest.size < OMI_HEAD_BYTES) {
        size_t size = head + tail_of(b, i).size;
        return (size > rest.size) - (size < rest.size);
    }
    omen_slice tail = tail_of(b, i);
    return omi_bytes_compare(tail.data, tail.size, (const uint8_t *)rest.data + OMI_HEAD_BYTES,
                             rest.size - OMI_HEAD_BYTES);
}

bool omi_block_key_is(const struct omi_block *b, uint32_t i, omen_slice key)
{
    if (key.size != omi_block_key_size(b, i) ||
        (b->prefix_size != 0 && memcmp(key.data, b->prefix, b->prefix_size) != 0))
        return false;
    omen_slice rest = omi_slice_behind(key, b->prefix_size);
    return omi_head32(rest.data, rest.size) == head_of(b, i) &&
           compare_equal_heads(b, i, rest) == 0;
}

/* How many heads are < head; no branch on the data. */
static uint32_t heads_below(const struct omi_block *b, uint32_t head)
{
    uint32_t low = 0, count = b->count;
    while (count > 0) {
        uint32_t half = (count + 1) / 2;
        low += head_of(b, low + half - 1) < head ? half : 0;
        count -= half;
    }
    return low;
}

static uint32_t lower_bound_bytewise(const struct omi_block *b, omen_slice key, uint64_t trailer)
{
    size_t common = key.size < b->prefix_size ? key.size : b->prefix_size;
    int c = common != 0 ? memcmp(key.data, b->prefix, common) : 0;
    if (c != 0 || key.size < b->prefix_size)
        return c > 0 ? b->count : 0;
    omen_slice rest = omi_slice_behind(key, b->prefix_size);
    uint32_t head = omi_head32(rest.data, rest.size), low = heads_below(b, head), high = low;
    while (high < b->count && head_of(b, high) == head)
        high++;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int by_key = compare_equal_heads(b, middle, rest);
        if (by_key < 0 || (by_key == 0 && trailer_of(b, middle) > trailer))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Under a comparator keys are put together whole; the limit fits on the stack. */
static uint32_t lower_bound_ordered(const struct omi_block *b, const struct omi_order *order,
                                    omen_slice key, uint64_t trailer)
{
    uint8_t buffer[OMEN_KEY_BYTES_MAX];
    uint32_t low = 0, high = b->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct omi_entry e;
        omi_block_entry(b, middle, buffer, &e);
        if (omi_internal_compare(order, omi_entry_key(&e), e.trailer, key, trailer) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t omi_block_lower_bound(const struct omi_block *b, const struct omi_order *order,
                               omen_slice key, uint64_t trailer)
{
    return omi_order_is_bytewise(order) ? lower_bound_bytewise(b, key, trailer)
                                        : lower_bound_ordered(b, order, key, trailer);
}

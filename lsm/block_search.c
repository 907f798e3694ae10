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

static uint64_t trailer_of(const struct omi_block *b, uint32_t i)
{
    uint8_t bytes[8] = {0};
    if (b->trailer_width != 0)
        memcpy(bytes, b->trailers + (size_t)i * b->trailer_width, b->trailer_width);
    return b->trailer_base + omi_get_u64(bytes);
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
    for (uint32_t i = 0; i < size; i++)
        p[i] = (uint8_t)(head >> (24 - 8 * i));
}

void omi_block_entry(const struct omi_block *b, uint32_t i, uint8_t *key_buffer,
                     struct omi_entry *out)
{
    uint8_t *p = key_buffer;
    if (b->prefix_size != 0)
        memcpy(p, b->prefix, b->prefix_size);
    p += b->prefix_size;
    uint32_t head = head_size(b, i);
    put_head(head_of(b, i), head, p);
    p += head;
    omen_slice tail = tail_of(b, i), value = value_of(b, i);
    if (tail.size != 0)
        memcpy(p, tail.data, tail.size);
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
    omen_slice rest =
        omi_slice((const uint8_t *)key.data + b->prefix_size, key.size - b->prefix_size);
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
    omen_slice rest =
        omi_slice((const uint8_t *)key.data + b->prefix_size, key.size - b->prefix_size);
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

/* ops.c - the operations of a write: encoded once, logged as they are, replayed from the log. */
#include "io/base/coding.h"
#include "lsm/wal.h"

omen_err omi_ops_append(struct omi_buf *out, unsigned type, omen_slice key, omen_slice value)
{
    bool has_value = (type & OMI_TYPE_KIND_MASK) == OMI_KIND_PUT;
    size_t need = 2 + 2 * OMI_VARINT_BYTES_MAX + key.size + (has_value ? value.size : 0);
    omen_err err = omi_buf_reserve(out, need);
    if (err != OMEN_OK)
        return err;
    uint8_t *p = out->data + out->size;
    *p++ = (uint8_t)type;
    *p++ = 0; /* namespace */
    p += omi_put_varint(p, key.size);
    if (has_value)
        p += omi_put_varint(p, value.size);
    if (key.size != 0)
        memcpy(p, key.data, key.size);
    p += key.size;
    if (has_value && value.size != 0)
        memcpy(p, value.data, value.size);
    p += has_value ? value.size : 0;
    out->size = (size_t)(p - out->data);
    return OMEN_OK;
}

static omen_err ops_bad(const struct omi_ops *ops, const uint8_t *at)
{
    return omi_fail(OMEN_CORRUPT, 0, "an operation at byte %zu of %zu does not parse",
                    (size_t)(at - ops->bytes), ops->size);
}

omen_err omi_ops_each(const struct omi_ops *ops, uint64_t first_seq,
                      omen_err (*each)(void *ctx, const struct omi_entry *entry), void *ctx)
{
    struct omi_reader r = omi_reader_of(ops->bytes, ops->size);
    for (uint32_t i = 0; i < ops->count; i++) {
        const uint8_t *start = r.next;
        uint8_t type = omi_take_u8(&r);
        uint64_t space = omi_take_varint(&r);
        if (!r.failed && (space != 0 || !omi_trailer_known(type)))
            return omi_fail(OMEN_UNSUPPORTED, 0,
                            "an operation of type 0x%02x in namespace %" PRIu64
                            ", which this build does not know",
                            type, space);
        uint64_t key_size = omi_take_varint(&r);
        uint64_t value_size = (type & OMI_TYPE_KIND_MASK) == OMI_KIND_PUT ? omi_take_varint(&r) : 0;
        if (r.failed || key_size > OMEN_KEY_BYTES_MAX || value_size > OMEN_VALUE_BYTES_MAX)
            return ops_bad(ops, start);
        const uint8_t *key = omi_take_bytes(&r, (size_t)key_size);
        const uint8_t *value = omi_take_bytes(&r, (size_t)value_size);
        if (r.failed)
            return ops_bad(ops, start);
        struct omi_entry e = {key, value, omi_trailer(first_seq + i, type), (uint32_t)key_size,
                              (uint32_t)value_size};
        omen_err err = each(ctx, &e);
        if (err != OMEN_OK)
            return err;
    }
    return omi_reader_left(&r) == 0 ? OMEN_OK : ops_bad(ops, r.next);
}

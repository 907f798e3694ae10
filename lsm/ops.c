#include "io/base/coding.h"
#include "lsm/wal.h"

enum { NAMESPACE = 0 };

omen_err omi_ops_append(struct omi_buf *out, unsigned type, omen_slice key, omen_slice value)
{
    if (!omi_trailer_known(type))
        return omi_fail(OMEN_INVALID, 0, "an operation of type 0x%02x", type);
    if (key.size > OMEN_KEY_BYTES_MAX || value.size > OMEN_VALUE_BYTES_MAX)
        return omi_fail(OMEN_INVALID, 0, "an operation with a key of %zu and a value of %zu bytes",
                        key.size, value.size);
    size_t value_size = type == OMI_KIND_PUT ? value.size : 0;
    omen_err err =
        omi_buf_reserve(out, 2 + (size_t)2 * OMI_VARINT_BYTES_MAX + key.size + value_size);
    if (err != OMEN_OK)
        return err;
    uint8_t *p = out->data + out->size;
    *p++ = (uint8_t)type;
    *p++ = NAMESPACE;
    p += omi_put_varint(p, key.size);
    if (type == OMI_KIND_PUT)
        p += omi_put_varint(p, value_size);
    if (key.size != 0)
        memcpy(p, key.data, key.size);
    p += key.size;
    if (value_size != 0)
        memcpy(p, value.data, value_size);
    p += value_size;
    out->size = (size_t)(p - out->data);
    return OMEN_OK;
}

static omen_err operation_take(struct omi_reader *r, uint64_t seq, struct omi_entry *entry)
{
    unsigned type = omi_take_u8(r);
    if (!r->failed && !omi_trailer_known(type))
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "operation %" PRIu64 " is of type 0x%02x, which this omendb does not know",
                        seq, type);
    uint64_t space = omi_take_varint(r);
    if (!r->failed && space != NAMESPACE)
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "operation %" PRIu64 " is in namespace %" PRIu64
                        ", which this omendb does not know",
                        seq, space);
    uint64_t key_size = omi_take_varint(r);
    uint64_t value_size = type == OMI_KIND_PUT ? omi_take_varint(r) : 0;
    if (r->failed || key_size > OMEN_KEY_BYTES_MAX || value_size > OMEN_VALUE_BYTES_MAX)
        return omi_fail(OMEN_CORRUPT, 0, "operation %" PRIu64 " does not parse", seq);
    entry->key = omi_take_bytes(r, (size_t)key_size);
    entry->value = omi_take_bytes(r, (size_t)value_size);
    entry->trailer = omi_trailer(seq, type);
    entry->key_size = (uint32_t)key_size;
    entry->value_size = (uint32_t)value_size;
    if (r->failed)
        return omi_fail(OMEN_CORRUPT, 0, "operation %" PRIu64 " ends outside its frame", seq);
    return OMEN_OK;
}

omen_err omi_ops_each(const struct omi_ops *ops, uint64_t first_seq,
                      omen_err (*each)(void *ctx, const struct omi_entry *entry), void *ctx)
{
    struct omi_reader r = omi_reader_of(ops->bytes, ops->size);
    if (first_seq > OMI_SEQ_MAX || ops->count > OMI_SEQ_MAX - first_seq + 1)
        return omi_fail(OMEN_CORRUPT, 0, "%u operations from sequence %" PRIu64, ops->count,
                        first_seq);
    for (uint32_t i = 0; i < ops->count; i++) {
        struct omi_entry entry;
        omen_err err = operation_take(&r, first_seq + i, &entry);
        if (err == OMEN_OK)
            err = each(ctx, &entry);
        if (err != OMEN_OK)
            return err;
    }
    if (omi_reader_left(&r) != 0)
        return omi_fail(OMEN_CORRUPT, 0, "%zu bytes after the last of %u operations",
                        omi_reader_left(&r), ops->count);
    return OMEN_OK;
}

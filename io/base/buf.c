#include "io/base/buf.h"

#include "io/base/coding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void omi_buf_fini(struct omi_buf *b)
{
    free(b->data);
    *b = (struct omi_buf){0};
}

omen_err omi_buf_reserve(struct omi_buf *b, size_t extra)
{
    if (extra <= b->capacity - b->size)
        return OMEN_OK;
    size_t need;
    if (__builtin_add_overflow(b->size, extra, &need))
        return omi_fail(OMEN_NO_MEMORY, 0, "a buffer of more bytes than memory can address");
    size_t capacity = b->capacity + b->capacity / 2;
    if (capacity < need)
        capacity = need;
    if (capacity < 64)
        capacity = 64;
    uint8_t *data = realloc(b->data, capacity);
    if (data == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a buffer of %zu bytes", capacity);
    b->data = data;
    b->capacity = capacity;
    return OMEN_OK;
}

omen_err omi_buf_append(struct omi_buf *b, const void *bytes, size_t size)
{
    omen_err err = omi_buf_reserve(b, size);
    if (err != OMEN_OK)
        return err;
    if (size != 0)
        memcpy(b->data + b->size, bytes, size);
    b->size += size;
    return OMEN_OK;
}

omen_err omi_buf_append_u8(struct omi_buf *b, uint8_t v)
{
    return omi_buf_append(b, &v, 1);
}

omen_err omi_buf_append_u32(struct omi_buf *b, uint32_t v)
{
    uint8_t bytes[4];
    omi_put_u32(bytes, v);
    return omi_buf_append(b, bytes, sizeof(bytes));
}

omen_err omi_buf_append_u64(struct omi_buf *b, uint64_t v)
{
    uint8_t bytes[8];
    omi_put_u64(bytes, v);
    return omi_buf_append(b, bytes, sizeof(bytes));
}

omen_err omi_buf_append_varint(struct omi_buf *b, uint64_t v)
{
    uint8_t bytes[OMI_VARINT_BYTES_MAX];
    return omi_buf_append(b, bytes, omi_put_varint(bytes, v));
}

omen_err omi_buf_append_slice(struct omi_buf *b, omen_slice s)
{
    omen_err err = omi_buf_append_varint(b, s.size);
    return err != OMEN_OK ? err : omi_buf_append(b, s.data, s.size);
}

omen_err omi_buf_printf(struct omi_buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int need = vsnprintf(NULL, 0, format, args);
    va_end(args);
    omen_err err = need < 0 ? omi_fail(OMEN_INVALID, 0, "a text that cannot be formatted")
                            : omi_buf_reserve(b, (size_t)need + 1);
    if (err == OMEN_OK) {
        vsnprintf((char *)b->data + b->size, (size_t)need + 1, format, again);
        b->size += (size_t)need;
    }
    va_end(again);
    return err;
}

/*
 * buf.h - a growing byte buffer. Zero-initialise it; omi_buf_fini frees it.
 * After a failed growth the contents are unchanged.
 */
#ifndef OMI_BUF_H
#define OMI_BUF_H

#include "io/base/fail.h"

struct omi_buf {
    uint8_t *data;
    size_t size, capacity;
};

void omi_buf_fini(struct omi_buf *b);
/* Room for extra more bytes past size. */
OMEN_MUST_CHECK omen_err omi_buf_reserve(struct omi_buf *b, size_t extra);
OMEN_MUST_CHECK omen_err omi_buf_append(struct omi_buf *b, const void *bytes, size_t size);
OMEN_MUST_CHECK omen_err omi_buf_append_u8(struct omi_buf *b, uint8_t v);
OMEN_MUST_CHECK omen_err omi_buf_append_u32(struct omi_buf *b, uint32_t v);
OMEN_MUST_CHECK omen_err omi_buf_append_u64(struct omi_buf *b, uint64_t v);
OMEN_MUST_CHECK omen_err omi_buf_append_varint(struct omi_buf *b, uint64_t v);
/* varint length, then the bytes */
OMEN_MUST_CHECK omen_err omi_buf_append_slice(struct omi_buf *b, omen_slice s);
/* Text for people and JSON; keeps a 0 byte after size. */
OMEN_MUST_CHECK omen_err omi_buf_printf(struct omi_buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

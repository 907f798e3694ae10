/*
 * trace_format.h - operations of a trace as bytes, and back. docs/format-trace.md
 */
#ifndef OMI_TRACE_FORMAT_H
#define OMI_TRACE_FORMAT_H

#include "io/base/fail.h"

#include <stdbool.h>

enum omi_trace_kind {
    OMI_TRACE_GET_HIT = 1,
    OMI_TRACE_GET_MISS = 2,
    OMI_TRACE_PUT = 3,
    OMI_TRACE_DELETE = 4,
    OMI_TRACE_SCAN = 5,     /* upwards from key; told when it ends */
    OMI_TRACE_SCAN_BACK = 6 /* downwards */
};

/* One operation. */
struct omi_trace_op {
    enum omi_trace_kind kind;
    bool more;          /* the next one is of the same call: a batch, or a multi_get */
    bool at_end;        /* of a scan: it began at the first, or last, entry, and has no key */
    uint64_t us;        /* since the recording began */
    omen_slice key;     /* its first OMI_TRACE_KEY_BYTES */
    uint32_t key_bytes; /* of the whole key */
    uint64_t hash;      /* of the whole key: omi_key_hash */
    uint64_t size;      /* of the value; entries that a scan showed */
};

enum {
    OMI_TRACE_FORMAT = 1,
    OMI_TRACE_KEY_BYTES = 64,
    OMI_TRACE_HEADER_BYTES = 32,
    OMI_TRACE_FRAME_HEADER_BYTES = 40,
    OMI_TRACE_FRAME_BYTES_MAX = 4 << 20,
    OMI_TRACE_OP_BYTES_MAX = 1 + 10 + 5 + OMI_TRACE_KEY_BYTES + 8 + 10
};

struct omi_trace_header {
    uint64_t began_us, id; /* id: random; seeds the frames' checks */
};
struct omi_trace_frame {
    uint64_t number, dropped; /* from 0; operations lost before this frame, in all */
    uint64_t first_us;        /* that its first operation's time counts from */
    uint32_t size, count;     /* of its bytes and operations */
};

void omi_trace_header_encode(const struct omi_trace_header *h,
                             uint8_t out[static OMI_TRACE_HEADER_BYTES]);
OMEN_MUST_CHECK omen_err omi_trace_header_decode(const uint8_t in[static OMI_TRACE_HEADER_BYTES],
                                                 const char *name, struct omi_trace_header *out);
/* The check covers frame header and bytes. */
void omi_trace_frame_encode(const struct omi_trace_frame *f, uint64_t id, const uint8_t *bytes,
                            uint8_t out[static OMI_TRACE_FRAME_HEADER_BYTES]);
/* The header's fields alone; sizes are within bounds. */
OMEN_MUST_CHECK omen_err
omi_trace_frame_decode(const uint8_t in[static OMI_TRACE_FRAME_HEADER_BYTES], const char *name,
                       uint64_t off, struct omi_trace_frame *out);
bool omi_trace_frame_sound(const uint8_t header[static OMI_TRACE_FRAME_HEADER_BYTES], uint64_t id,
                           const uint8_t *bytes, uint32_t size);

/* Appends op, whose us is counted from before_us; at most OMI_TRACE_OP_BYTES_MAX bytes. Returns the
 * end. */
uint8_t *omi_trace_op_put(uint8_t *at, const struct omi_trace_op *op, uint64_t before_us);
/* Bytes taken; 0: they are no operation. */
size_t omi_trace_op_take(const uint8_t *at, size_t size, uint64_t before_us,
                         struct omi_trace_op *out);

#endif

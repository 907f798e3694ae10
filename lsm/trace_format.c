/* trace_format.c - see trace_format.h and docs/format-trace.md. */
#include "lsm/trace_format.h"

#include "io/base/coding.h"
#include "io/base/hash.h"
#include "io/base/slice.h"

#include <string.h>

/* The first byte of an operation: its kind, and these. */
enum { MORE = 0x10, AT_END = 0x20, KIND_MASK = 0x0f, KNOWN = MORE | AT_END | KIND_MASK };

static const uint8_t magic[8] = {'O', 'M', 'N', 'T', 'R', 'A', 'C', 'E'};

/* ---- the file's header: magic | format u32 | check u32 | began_us u64 | id u64 ---------------- */

static uint32_t header_check(const uint8_t in[static OMI_TRACE_HEADER_BYTES])
{
    return (uint32_t)omi_checksum(in + 16, 16, omi_checksum(in, 12, 0));
}

void omi_trace_header_encode(const struct omi_trace_header *h,
                             uint8_t out[static OMI_TRACE_HEADER_BYTES])
{
    memcpy(out, magic, sizeof(magic));
    omi_put_u32(out + 8, OMI_TRACE_FORMAT);
    omi_put_u64(out + 16, h->began_us);
    omi_put_u64(out + 24, h->id);
    omi_put_u32(out + 12, header_check(out));
}

omen_err omi_trace_header_decode(const uint8_t in[static OMI_TRACE_HEADER_BYTES], const char *name,
                                 struct omi_trace_header *out)
{
    if (memcmp(in, magic, sizeof(magic)) != 0)
        return omi_fail(OMEN_CORRUPT, 0, "%s is not a trace of operations", name);
    if (omi_get_u32(in + 12) != header_check(in))
        return omi_fail(OMEN_CORRUPT, 0, "%s: its header does not match its check", name);
    if (omi_get_u32(in + 8) != OMI_TRACE_FORMAT)
        return omi_fail(OMEN_UNSUPPORTED, 0, "%s is a trace of format %u; use a newer omendb", name,
                        omi_get_u32(in + 8));
    *out = (struct omi_trace_header){.began_us = omi_get_u64(in + 16), .id = omi_get_u64(in + 24)};
    return OMEN_OK;
}

/* ---- a frame's: number u64 | dropped u64 | first_us u64 | size u32 | count u32 | check u64 ----- */

static uint64_t frame_check(const uint8_t header[static OMI_TRACE_FRAME_HEADER_BYTES], uint64_t id,
                            const uint8_t *bytes, size_t size)
{
    return omi_checksum(bytes, size, omi_checksum(header, 32, id));
}

void omi_trace_frame_encode(const struct omi_trace_frame *f, uint64_t id, const uint8_t *bytes,
                            uint8_t out[static OMI_TRACE_FRAME_HEADER_BYTES])
{
    omi_put_u64(out, f->number);
    omi_put_u64(out + 8, f->dropped);
    omi_put_u64(out + 16, f->first_us);
    omi_put_u32(out + 24, f->size);
    omi_put_u32(out + 28, f->count);
    omi_put_u64(out + 32, frame_check(out, id, bytes, f->size));
}

omen_err omi_trace_frame_decode(const uint8_t in[static OMI_TRACE_FRAME_HEADER_BYTES],
                                const char *name, uint64_t off, struct omi_trace_frame *out)
{
    *out = (struct omi_trace_frame){.number = omi_get_u64(in),
                                    .dropped = omi_get_u64(in + 8),
                                    .first_us = omi_get_u64(in + 16),
                                    .size = omi_get_u32(in + 24),
                                    .count = omi_get_u32(in + 28)};
    if (out->size > OMI_TRACE_FRAME_BYTES_MAX || out->count > out->size)
        return omi_fail(OMEN_CORRUPT, 0, "%s: the frame at offset %" PRIu64 " is damaged", name,
                        off);
    return OMEN_OK;
}

bool omi_trace_frame_sound(const uint8_t header[static OMI_TRACE_FRAME_HEADER_BYTES], uint64_t id,
                           const uint8_t *bytes, uint32_t size)
{
    return omi_get_u64(header + 32) == frame_check(header, id, bytes, size);
}

/* ---- operations ------------------------------------------------------------------------------ */

static size_t kept_bytes(uint64_t key_bytes)
{
    return key_bytes < OMI_TRACE_KEY_BYTES ? (size_t)key_bytes : (size_t)OMI_TRACE_KEY_BYTES;
}

uint8_t *omi_trace_op_put(uint8_t *at, const struct omi_trace_op *op, uint64_t before_us)
{
    size_t kept = kept_bytes(op->key_bytes);
    *at++ = (uint8_t)((unsigned)op->kind | (op->more ? MORE : 0u) | (op->at_end ? AT_END : 0u));
    at += omi_put_varint(at, op->us - before_us);
    if (!op->at_end) {
        at += omi_put_varint(at, op->key_bytes);
        if (kept != 0)
            memcpy(at, op->key.data, kept);
        at += kept;
        if (op->key_bytes > OMI_TRACE_KEY_BYTES) {
            omi_put_u64(at, op->hash);
            at += 8;
        }
    }
    return at + omi_put_varint(at, op->size);
}

static bool is_scan(enum omi_trace_kind kind)
{
    return kind == OMI_TRACE_SCAN || kind == OMI_TRACE_SCAN_BACK;
}

/* The key, and its hash where the key is not whole. */
static bool key_take(struct omi_reader *r, struct omi_trace_op *op)
{
    uint64_t key_bytes = omi_take_varint(r);
    if (r->failed || key_bytes > OMEN_KEY_BYTES_MAX)
        return false;
    size_t kept = kept_bytes(key_bytes);
    const uint8_t *key = omi_take_bytes(r, kept);
    if (key == NULL)
        return false;
    op->key = omi_slice(key, kept);
    op->key_bytes = (uint32_t)key_bytes;
    if (key_bytes <= OMI_TRACE_KEY_BYTES) {
        op->hash = omi_key_hash(key, kept);
        return true;
    }
    op->hash = omi_take_u64(r);
    return !r->failed;
}

size_t omi_trace_op_take(const uint8_t *at, size_t size, uint64_t before_us,
                         struct omi_trace_op *out)
{
    struct omi_reader r = omi_reader_of(at, size);
    unsigned first = omi_take_u8(&r), kind = first & KIND_MASK;
    uint64_t us = omi_take_varint(&r);
    if (r.failed || (first & ~(unsigned)KNOWN) != 0 || kind < OMI_TRACE_GET_HIT ||
        kind > OMI_TRACE_SCAN_BACK || us > UINT64_MAX - before_us)
        return 0;
    *out = (struct omi_trace_op){.kind = (enum omi_trace_kind)kind,
                                 .more = (first & MORE) != 0,
                                 .at_end = (first & AT_END) != 0,
                                 .us = before_us + us};
    if (is_scan(out->kind) ? out->more : out->at_end)
        return 0;
    if (!out->at_end && !key_take(&r, out))
        return 0;
    out->size = omi_take_varint(&r);
    return r.failed ? 0 : (size_t)(r.next - at);
}

#include "lsm/wal_format.h"

#include "io/base/coding.h"
#include "io/base/entry.h"
#include "io/base/hash.h"

#include <stdio.h>
#include <stdlib.h>

#define WAL_MAGIC UINT64_C(0x4c41574e454d4f1b) /* 1b "OMENWAL" in the file */

enum { CHECK_OFF = 120, OPERATION_BYTES_MIN = 3 /* type, namespace, key size */ };

/* ---- header ---------------------------------------------------------------------------------- */

void omi_wal_header_encode(const struct omi_wal_header *h, uint8_t out[static OMI_WAL_HEADER_BYTES])
{
    memset(out, 0, OMI_WAL_HEADER_BYTES);
    omi_put_u64(out, WAL_MAGIC);
    omi_put_u32(out + 8, OMI_WAL_FORMAT);
    omi_put_u32(out + 12, h->flags);
    omi_put_u64(out + 16, h->segment);
    omi_put_u64(out + 24, h->nonce);
    omi_put_u64(out + 32, h->previous);
    omi_put_u64(out + 40, h->chain);
    omi_put_u64(out + 48, h->durable.segment);
    omi_put_u64(out + 56, h->durable.off);
    omi_put_u64(out + 64, h->created_us);
    omi_put_u64(out + CHECK_OFF, omi_checksum(out, CHECK_OFF, 0));
    memcpy(out + OMI_WAL_COPY_OFF, out, OMI_WAL_COPY_BYTES);
}

/* OMEN_NOT_FOUND: not valid. */
static omen_err copy_decode(const uint8_t *in, const char *where, struct omi_wal_header *out)
{
    if (omi_get_u64(in) != WAL_MAGIC ||
        omi_get_u64(in + CHECK_OFF) != omi_checksum(in, CHECK_OFF, 0))
        return OMEN_NOT_FOUND;
    uint32_t format = omi_get_u32(in + 8), flags = omi_get_u32(in + 12);
    if (format > OMI_WAL_FORMAT || (flags & ~(uint32_t)OMI_WAL_CHAINED) != 0)
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "%s: log format %u, flags 0x%x; this omendb knows format %d; open it with "
                        "a newer one",
                        where, format, flags, OMI_WAL_FORMAT);
    *out = (struct omi_wal_header){.flags = flags,
                                   .segment = omi_get_u64(in + 16),
                                   .nonce = omi_get_u64(in + 24),
                                   .previous = omi_get_u64(in + 32),
                                   .chain = omi_get_u64(in + 40),
                                   .created_us = omi_get_u64(in + 64),
                                   .durable = {omi_get_u64(in + 48), omi_get_u64(in + 56)}};
    return format != 0 && out->segment <= OMI_WAL_SEGMENT_MAX ? OMEN_OK : OMEN_NOT_FOUND;
}

omen_err omi_wal_header_decode(const uint8_t in[static OMI_WAL_HEADER_BYTES], const char *where,
                               struct omi_wal_header *out)
{
    struct omi_wal_header other;
    omen_err first = copy_decode(in, where, out);
    omen_err second = copy_decode(in + OMI_WAL_COPY_OFF, where, &other);
    if (first == OMEN_UNSUPPORTED || second == OMEN_UNSUPPORTED)
        return OMEN_UNSUPPORTED;
    if (second == OMEN_OK && (first != OMEN_OK || other.segment > out->segment)) {
        *out = other; /* of two activations in one slot the later one counts */
        return OMEN_OK;
    }
    return first;
}

/* ---- frames ---------------------------------------------------------------------------------- */

void omi_wal_frame_encode(const struct omi_wal_frame *f, uint8_t out[static OMI_WAL_FRAME_BYTES])
{
    omi_put_u64(out, 0);
    omi_put_u32(out + 8, f->size);
    omi_put_u32(out + 12, f->count);
    omi_put_u64(out + 16, f->first_seq);
    omi_put_u64(out + 24, f->chain);
    omi_put_u32(out + 32, f->durable_back);
    omi_put_u32(out + 36, f->durable_units);
}

uint64_t omi_wal_frame_seal(uint8_t *frame, uint32_t size, uint64_t nonce, uint64_t off)
{
    uint64_t check = omi_checksum(frame + 8, size - 8, nonce ^ off);
    omi_put_u64(frame, check);
    return check;
}

bool omi_wal_frame_decode(const uint8_t in[static OMI_WAL_FRAME_BYTES], uint64_t segment,
                          uint64_t off, uint64_t left, struct omi_wal_frame *out)
{
    *out = (struct omi_wal_frame){.check = omi_get_u64(in),
                                  .size = omi_get_u32(in + 8),
                                  .count = omi_get_u32(in + 12),
                                  .first_seq = omi_get_u64(in + 16),
                                  .chain = omi_get_u64(in + 24),
                                  .durable_back = omi_get_u32(in + 32),
                                  .durable_units = omi_get_u32(in + 36)};
    if (out->size < OMI_WAL_FRAME_BYTES || out->size > left)
        return false;
    uint32_t payload = out->size - OMI_WAL_FRAME_BYTES;
    if (out->count > payload / OPERATION_BYTES_MIN || (out->count == 0) != (payload == 0))
        return false;
    if (out->first_seq == 0 || out->first_seq > OMI_SEQ_MAX ||
        out->count > OMI_SEQ_MAX - out->first_seq)
        return false;
    if (out->durable_back == UINT32_MAX)
        return true;
    return out->durable_back <= segment &&
           (out->durable_back != 0 || (uint64_t)out->durable_units * 8 <= off);
}

bool omi_wal_frame_valid(const struct omi_wal_frame *f, const uint8_t *frame, uint64_t nonce,
                         uint64_t off)
{
    return f->check == omi_checksum(frame + 8, f->size - 8, nonce ^ off);
}

void omi_wal_frame_set_claim(struct omi_wal_frame *f, uint64_t segment,
                             struct omi_wal_place durable)
{
    uint64_t back = segment - durable.segment, units = durable.off / 8;
    f->durable_back = back < UINT32_MAX ? (uint32_t)back : UINT32_MAX;
    f->durable_units = units < UINT32_MAX ? (uint32_t)units : UINT32_MAX; /* less is still true */
}

/* ---- names ----------------------------------------------------------------------------------- */

void omi_wal_name(uint64_t slot, char name[static OMI_WAL_NAME_BYTES])
{
    snprintf(name, OMI_WAL_NAME_BYTES, "%06" PRIu64 ".log", slot);
}

bool omi_wal_name_parse(const char *name, uint64_t *slot_out)
{
    char canonical[OMI_WAL_NAME_BYTES];
    if (*name < '0' || *name > '9')
        return false;
    *slot_out = strtoull(name, NULL, 10);
    omi_wal_name(*slot_out, canonical);
    return strcmp(canonical, name) == 0;
}

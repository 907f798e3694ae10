#include "tests/fuzz/mend.h"

#include "io/base/coding.h"
#include "io/base/hash.h"
#include "learned/filter_head.h"
#include "learned/range_format.h"
#include "lsm/block_format.h"
#include "lsm/table_format.h"
#include "lsm/wal_format.h"
#include "tests/fuzz/fuzz.h"

/* ---- manifest -------------------------------------------------------------------------------- */

enum { MANIFEST_HEADER = 32, RECORD_HEAD = 16 };

void mend_manifest(uint8_t *bytes, size_t size)
{
    if (size < MANIFEST_HEADER)
        return;
    memcpy(bytes, "#OMMAN01", 8);
    omi_put_u64(bytes + 24, omi_checksum(bytes, 24, 0));
    uint64_t id = omi_get_u64(bytes + 16);
    size_t off = MANIFEST_HEADER;
    for (uint32_t number = 1; size - off >= RECORD_HEAD; number++) {
        uint8_t *record = bytes + off;
        size_t left = size - off - RECORD_HEAD;
        uint32_t payload = omi_get_u32(record);
        if (payload > left) {
            payload = (uint32_t)left;
            omi_put_u32(record, payload);
        }
        omi_put_u32(record + 4, number);
        omi_put_u64(record + 8,
                    omi_checksum(record + RECORD_HEAD, payload, omi_checksum(record, 8, id)));
        off += RECORD_HEAD + (size_t)payload;
    }
}

/* ---- log ------------------------------------------------------------------------------------- */

void mend_log(uint8_t *header, uint8_t *frames, size_t size, uint64_t *chain)
{
    memcpy(header, "!OMWAL01", 8);
    omi_put_u64(header + 32, *chain);
    omi_put_u64(header + 56, omi_checksum(header, 56, 0));
    uint64_t nonce = omi_get_u64(header + 24);
    for (size_t off = 0; off < size && size - off >= OMI_FRAME_HEADER_BYTES;) {
        uint8_t *frame = frames + off;
        size_t left = size - off - OMI_FRAME_HEADER_BYTES;
        struct omi_frame_header h = {.op_count = omi_get_u32(frame + 4),
                                     .size = omi_get_u32(frame + 8),
                                     .chain = (uint32_t)*chain,
                                     .first_seq = omi_get_u64(frame + 16),
                                     .durable_back = omi_get_u32(frame + 24),
                                     .durable_bytes =
                                         (uint64_t)omi_get_u32(frame + 28) * OMI_FRAME_ALIGN};
        if (h.size > left)
            h.size = (uint32_t)left;
        *chain = omi_frame_seal(frame, &h, nonce);
        off += omi_frame_bytes(h.size);
    }
}

/* ---- table ----------------------------------------------------------------------------------- */

struct table_parts {
    uint8_t *footer;
    uint64_t file_id, data_end, end; /* end: where the footer begins */
};

static bool parts_find(uint8_t *bytes, size_t size, struct table_parts *p)
{
    if (size < OMI_TABLE_HEADER_BYTES + OMI_TABLE_FOOTER_BYTES)
        return false;
    p->footer = bytes + size - OMI_TABLE_FOOTER_BYTES;
    p->end = size - OMI_TABLE_FOOTER_BYTES;
    p->file_id = omi_get_u64(p->footer + 144);
    p->data_end = omi_get_u64(p->footer + 152);
    return p->data_end >= OMI_TABLE_HEADER_BYTES && p->data_end <= p->end;
}

/* How many bytes the block at off takes, its check and padding left aside; 0: there is none. */
static size_t block_bytes(const uint8_t *bytes, uint64_t off, uint64_t data_end)
{
    if (data_end - off < OMI_BLOCK_HEADER_BYTES)
        return 0;
    uint32_t stored = omi_get_u32(bytes + off);
    return stored >= OMI_BLOCK_HEADER_BYTES && stored <= data_end - off ? stored : 0;
}

static size_t padded(size_t size)
{
    return (size + OMI_BLOCK_ALIGN - 1) / OMI_BLOCK_ALIGN * OMI_BLOCK_ALIGN;
}

void mend_table(uint8_t *bytes, size_t size)
{
    struct table_parts p;
    if (!parts_find(bytes, size, &p))
        return;
    size_t stored;
    for (uint64_t off = OMI_TABLE_HEADER_BYTES;
         off < p.data_end && (stored = block_bytes(bytes, off, p.data_end)) != 0;
         off += padded(stored))
        omi_put_u64(bytes + off + 24,
                    omi_block_check(bytes + off, (uint32_t)stored, p.file_id, off));
    for (int i = 0; i < OMI_SECTIONS; i++) {
        uint8_t *place = p.footer + 24 * i;
        uint64_t off = omi_get_u64(place), section = omi_get_u64(place + 8);
        if (off > p.end || section > p.end - off)
            continue;
        if (i == OMI_SECTION_FILTER)
            mend_filter(bytes + off, section, p.file_id);
        if (i == OMI_SECTION_RANGE_FILTER)
            mend_range_filter(bytes + off, section);
        omi_put_u64(place + 16, omi_checksum(bytes + off, section, p.file_id ^ off));
    }
    memcpy(p.footer + 248, "OMESST01", 8);
    omi_put_u64(p.footer + 240, omi_checksum(p.footer, 240, 0));
    memcpy(bytes, "OMESST01", 8);
    omi_put_u64(bytes + 16, p.file_id);
    omi_put_u64(bytes + 56, omi_checksum(bytes, 56, 0));
}

/* Everything from byte at on has moved. */
static void places_move(uint8_t *footer, uint64_t at, uint64_t by)
{
    for (int i = 0; i < OMI_SECTIONS; i++) {
        uint8_t *place = footer + 24 * i;
        if (omi_get_u64(place) >= at)
            omi_put_u64(place, omi_get_u64(place) + by);
    }
}

static size_t mutate_section(uint8_t *bytes, size_t size, size_t max_size, unsigned which)
{
    struct table_parts p;
    if (!parts_find(bytes, size, &p))
        return size;
    uint64_t off = omi_get_u64(p.footer + 24 * which),
             part = omi_get_u64(p.footer + 24 * which + 8);
    size_t now;
    if (off < p.data_end || off > p.end || part > p.end - off)
        return size;
    size = fuzz_mutate_part(bytes, size, max_size, off, part, max_size, &now);
    if (which == OMI_SECTION_INDEX)
        mend_index(bytes + off, now);
    if (which == OMI_SECTION_FILTER)
        mend_filter(bytes + off, now, p.file_id);
    if (which == OMI_SECTION_RANGE_FILTER)
        mend_range_filter(bytes + off, now);
    uint8_t *footer = bytes + size - OMI_TABLE_FOOTER_BYTES;
    places_move(footer, off + 1, now - part);
    omi_put_u64(footer + 24 * which + 8, now);
    return size;
}

/* A block's body changes, and with it the sizes in its header; it stays padded. */
static size_t mutate_block(uint8_t *bytes, size_t size, size_t max_size, struct fuzz_dice *dice)
{
    struct table_parts p;
    if (!parts_find(bytes, size, &p))
        return size;
    uint64_t off = OMI_TABLE_HEADER_BYTES;
    size_t stored = 0, now;
    for (uint32_t skip = fuzz_below(dice, 8);; skip--) {
        stored = off < p.data_end ? block_bytes(bytes, off, p.data_end) : 0;
        if (stored == 0 || padded(stored) > p.data_end - off)
            return size;
        if (skip == 0 || off + padded(stored) >= p.data_end)
            break;
        off += padded(stored);
    }
    size_t room = padded(stored), body = stored - OMI_BLOCK_HEADER_BYTES;
    /* Within its padding, so that the index's offsets hold; at times not. */
    size_t most = fuzz_below(dice, 4) != 0 ? room - OMI_BLOCK_HEADER_BYTES : max_size;
    size = fuzz_mutate_part(bytes, size, max_size - OMI_BLOCK_ALIGN, off + OMI_BLOCK_HEADER_BYTES,
                            body, most, &now);
    /* Pads again: what stands behind the body is to begin at a multiple of the alignment. */
    size_t want = padded(OMI_BLOCK_HEADER_BYTES + now) - OMI_BLOCK_HEADER_BYTES - now;
    size_t have = room - stored, after = off + OMI_BLOCK_HEADER_BYTES + now;
    memmove(bytes + after + want, bytes + after + have, size - after - have);
    memset(bytes + after, 0, want);
    size = size - have + want;
    omi_put_u32(bytes + off, (uint32_t)(OMI_BLOCK_HEADER_BYTES + now));
    if (bytes[off + 12] == OMI_BLOCK_CODEC_NONE)
        omi_put_u32(bytes + off + 4, (uint32_t)now);
    uint64_t by = padded(OMI_BLOCK_HEADER_BYTES + now) - room;
    uint8_t *footer = bytes + size - OMI_TABLE_FOOTER_BYTES;
    omi_put_u64(footer + 152, omi_get_u64(footer + 152) + by);
    places_move(footer, off + 1, by);
    return size;
}

size_t mutate_table(uint8_t *bytes, size_t size, size_t max_size, struct fuzz_dice *dice)
{
    switch (size < OMI_TABLE_HEADER_BYTES + OMI_TABLE_FOOTER_BYTES ? 0 : fuzz_below(dice, 11)) {
    case 0:
        return LLVMFuzzerMutate(bytes, size, max_size);
    case 1:
        fuzz_mutate_fixed(bytes + size - OMI_TABLE_FOOTER_BYTES, 240);
        return size;
    case 2: /* a block's header, its sizes among it */
        fuzz_mutate_fixed(bytes + OMI_TABLE_HEADER_BYTES, 24);
        return size;
    case 3:
        return mutate_section(bytes, size, max_size, OMI_SECTION_FILTER);
    case 4:
        return mutate_section(bytes, size, max_size, OMI_SECTION_PROPERTIES);
    case 5:
    case 6:
        return mutate_section(bytes, size, max_size, OMI_SECTION_INDEX);
    case 7:
        return mutate_section(bytes, size, max_size, OMI_SECTION_RANGE_FILTER);
    default:
        return mutate_block(bytes, size, max_size, dice);
    }
}

/* ---- sections -------------------------------------------------------------------------------- */

void mend_index(uint8_t *bytes, size_t size)
{
    if (size < 64)
        return;
    bytes[0] = 1;
    /* The separators take what the other parts leave. */
    uint64_t parts = 64 + (uint64_t)omi_get_u32(bytes + 12) * 16 +
                     (uint64_t)omi_get_u32(bytes + 16) * 72 + omi_get_u32(bytes + 20) +
                     omi_get_u32(bytes + 24);
    if (parts <= size)
        omi_put_u32(bytes + 32, (uint32_t)(size - parts));
}

/* The parts take what the head leaves; whose checks are the head's, and then the head's own. */
static void mend_filter_2(uint8_t *bytes, size_t size, uint64_t file_id)
{
    struct omi_filter_header h;
    struct omi_filter_places p;
    /* The fields are there even where they are out of range. */
    if (omi_filter_header_decode(bytes, size, &h) == OMEN_UNSUPPORTED || h.region_count < 1 ||
        h.part_count < 1)
        return;
    omi_filter_places_find(&h, &p);
    if (p.end > size || (size - p.end) / 64 > UINT32_MAX)
        return;
    uint32_t lines = (uint32_t)((size - p.end) / 64), from = 0;
    omi_put_u32(bytes + 4, lines);
    for (uint32_t part = 0; part < h.part_count; part++) {
        uint32_t to = lines;
        if (part + 1 < h.part_count)
            to = omi_get_u32(bytes + p.lines + 4 * (size_t)(part + 1));
        else if (part != 0)
            omi_put_u32(bytes + p.lines + 4 * (size_t)h.part_count, lines);
        if (to < from || to > lines)
            break;
        omi_put_u64(
            bytes + (part == 0 ? 16 : p.checks + 8 * (size_t)(part - 1)),
            omi_checksum(bytes + p.end + 64 * (size_t)from, 64 * (size_t)(to - from), part));
        from = to;
    }
    omi_put_u64(bytes + 8, omi_filter_head_check(bytes, p.end, file_id));
}

void mend_filter(uint8_t *bytes, size_t size, uint64_t file_id)
{
    if (size < 64 || bytes[1] > OMI_FILTER_RIBBON) /* not one of these */
        return;
    if (bytes[1] == OMI_FILTER_NONE)
        bytes[1] = OMI_FILTER_PLAIN;
    if (bytes[0] == 1 && size >= 128) {
        bytes[1] = OMI_FILTER_PLAIN;
        omi_put_u32(bytes + 4, (uint32_t)(size / 64 - 1));
        return;
    }
    bytes[0] = 2;
    mend_filter_2(bytes, size, file_id);
}

void mend_range_filter(uint8_t *bytes, size_t size)
{
    if (size < OMI_RANGE_HEADER_BYTES)
        return;
    struct omi_ef_shape shape = {omi_get_u64(bytes + 8), omi_get_u32(bytes + 4), bytes[2]};
    uint64_t upper, samples, lows, symbols = omi_get_u16(bytes + 42);
    if (omi_ef_sizes(&shape, &upper, &samples, &lows)) {
        uint64_t parts = OMI_RANGE_HEADER_BYTES + upper + samples + lows + symbols +
                         UINT64_C(12) * omi_get_u32(bytes + 32);
        if (parts <= size && size - parts <= UINT16_MAX)
            omi_put_u16(bytes + 40, (uint16_t)(size - parts));
    }
    bytes[0] = OMI_RANGE_FORMAT;
    omi_put_u64(bytes + 56,
                omi_checksum(bytes + OMI_RANGE_HEADER_BYTES, size - OMI_RANGE_HEADER_BYTES,
                             omi_checksum(bytes, 56, 0)));
}

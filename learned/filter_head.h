/*
 * filter_head.h - the head of a filter section: its 64-byte header, and where the rest lies.
 * Bytes: docs/format-filter.md. filter_encode.c writes heads, filter.c reads them.
 */
#ifndef OMI_FILTER_HEAD_H
#define OMI_FILTER_HEAD_H

#include "learned/filter_layout.h"
#include "learned/ribbon.h"

/* Filter header, format 2: 64 bytes, little-endian.
 *   off len field
 *     0   1 format       a larger number is OMEN_UNSUPPORTED
 *     1   1 kind
 *     2   1 class        of the one region; 0 where there are several
 *     3   1 why
 *     4   4 line_count   of all parts; a ribbon's are counted in 64 bytes, too
 *     8   8 check        of the head: XXH3 of bytes [16, end), seeded with that of bytes [0, 8)
 *    16   8 part_check   of part 0, seeded with 0
 *    24   8 digest base
 *    32   2 digest strip
 *    34   2 digest shift (6 bits, low) | prefix_bytes (6 bits) | prefix_probes (4 bits)
 *    36   4 prefix_line_count
 *    40   2 region_count
 *    42   2 part_count
 *    44   2 deny_count
 *    46   8 promised, key-like, plain false-positive rates, price; 2 bytes each: halvings / 1024
 *    54   2 weight, likewise
 *    56   4 key_count
 *    60   4 sample_count
 * In format 1 bytes 2 and 4 mean the same and the rest is zero. */
struct omi_filter_header {
    uint8_t format;
    enum omi_filter_kind kind;
    enum omi_filter_why why;
    uint8_t class_code;
    uint32_t line_count;
    uint64_t check, part_check;
    struct omi_digest digest;
    uint8_t prefix_bytes, prefix_probes;
    uint32_t prefix_line_count, region_count, part_count, deny_count;
    double promised_fpr, keylike_fpr, plain_fpr, price, weight;
    uint32_t key_count, sample_count;
};

void omi_filter_header_encode(const struct omi_filter_header *h,
                              uint8_t out[static OMI_FILTER_HEADER_BYTES]);
/* Every field is in its range, and the parts fill a section of section_bytes; no check is looked
 * at. OMEN_CORRUPT, OMEN_UNSUPPORTED. */
OMEN_MUST_CHECK omen_err omi_filter_header_decode(const uint8_t in[static OMI_FILTER_HEADER_BYTES],
                                                  uint64_t section_bytes,
                                                  struct omi_filter_header *h);

/* The largest class: of probes, or of columns. */
static inline uint32_t omi_filter_class_max(enum omi_filter_kind kind)
{
    return kind == OMI_FILTER_RIBBON ? (uint32_t)OMI_RIBBON_COLUMNS_MAX
                                     : (uint32_t)OMI_FILTER_PROBES_MAX;
}

/* Where the parts of a head begin, in this order; all from the counts of the header. */
struct omi_filter_places {
    uint64_t bounds; /* levels of u32, 16 to a line; none for one region */
    uint64_t leaf;   /* the last of the levels */
    uint64_t prefix; /* lines of the prefix layer */
    uint64_t checks; /* u64 of each part but the first */
    uint64_t lines;  /* u32, the first line of each part, and line_count; only with several parts */
    uint64_t part_of; /* u16 of each region; only with several parts */
    uint64_t classes; /* u8 of each region; none for one region */
    uint64_t deny;    /* u64, ascending */
    uint64_t end;     /* of the head, a multiple of 64 */
};
void omi_filter_places_find(const struct omi_filter_header *h, struct omi_filter_places *places);

/* Of a head whose header says so many bytes; file_id binds it to its file. */
uint64_t omi_filter_head_check(const uint8_t *head, uint64_t head_bytes, uint64_t file_id);

/* Not the key's own hash even where the prefix is the whole key. */
static inline uint64_t omi_filter_prefix_hash(uint64_t hash)
{
    return hash ^ UINT64_C(0x5851f42d4c957f2d);
}

#endif

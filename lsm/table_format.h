/*
 * table_format.h - header, section directory, properties and footer of a table file;
 * docs/format-table.md shows the same.
 *
 * Header, the first 64 bytes:
 *   0 8 magic | 8 4 format | 12 4 zero | 16 8 file_id | 24 8 created_us | 32 24 zero
 *   56 8 check: XXH3 of [0,56)
 * Data blocks from byte 64 on, each at a multiple of 64, up to data_end.
 * Footer, the last 256 bytes:
 *     0 144 directory: six slots of {offset u64, size u64, check u64}: filter, index, properties,
 *           range deletes, range filter, dictionary (range deletes and dictionary reserved);
 *           size 0: absent.
 *           check: XXH3 of the section, seeded with file_id ^ offset
 *   144   8 file_id
 *   152   8 data_end
 *   160  72 zero
 *   232   4 format
 *   236   4 zero
 *   240   8 check: XXH3 of [0,240)
 *   248   8 magic, last in the file, so that a torn tail shows first
 * Properties: fields of {tag varint, size varint, bytes}; unknown tags are skipped.
 */
#ifndef OMI_TABLE_FORMAT_H
#define OMI_TABLE_FORMAT_H

#include "lsm/table.h"

enum {
    OMI_TABLE_FORMAT = 1,
    OMI_TABLE_HEADER_BYTES = 64,
    OMI_TABLE_FOOTER_BYTES = 256,
};
enum omi_table_section {
    OMI_SECTION_FILTER,
    OMI_SECTION_INDEX,
    OMI_SECTION_PROPERTIES,
    OMI_SECTION_RANGE_DELETES,
    OMI_SECTION_RANGE_FILTER,
    OMI_SECTION_DICTIONARY,
    OMI_SECTIONS
};

struct omi_section_place {
    uint64_t off, size, check;
};
struct omi_table_footer {
    struct omi_section_place sections[OMI_SECTIONS];
    uint64_t file_id, data_end;
};

void omi_table_header_encode(uint64_t file_id, uint64_t created_us,
                             uint8_t out[static OMI_TABLE_HEADER_BYTES]);
OMEN_MUST_CHECK omen_err omi_table_header_decode(const uint8_t in[static OMI_TABLE_HEADER_BYTES],
                                                 const char *where, uint64_t *file_id_out);
void omi_table_footer_encode(const struct omi_table_footer *f,
                             uint8_t out[static OMI_TABLE_FOOTER_BYTES]);
OMEN_MUST_CHECK omen_err omi_table_footer_decode(const uint8_t in[static OMI_TABLE_FOOTER_BYTES],
                                                 uint64_t file_bytes, const char *where,
                                                 struct omi_table_footer *out);
OMEN_MUST_CHECK omen_err omi_table_props_encode(const struct omi_table_props *p,
                                                struct omi_buf *out);
OMEN_MUST_CHECK omen_err omi_table_props_decode(const uint8_t *bytes, size_t size,
                                                const char *where, struct omi_table_props *out);

#endif

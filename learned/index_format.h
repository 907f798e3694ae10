/*
 * index_format.h - the bytes of an index section; docs/format-index.md shows the same.
 *
 * Header, 64 bytes:
 *    0 1 format | 1 1 mode | 2 1 positions | 3 1 zero
 *    4 4 blocks | 8 4 cells | 12 4 knots | 16 4 groups | 20 4 prefix_size | 24 4 positions_size
 *   28 4 separators | 32 4 separators_size | 36 4 zero | 40 24 zero
 * Then, one behind the other: group lines (64 each) | knots (16 each) | group directory (8 each) |
 * separators | prefix | positions.
 */
#ifndef OMI_INDEX_FORMAT_H
#define OMI_INDEX_FORMAT_H

#include "learned/block_index.h"

/* omi_index_find without the tests' planted bug: what the certificate asks. */
uint32_t omi_index_certify(const struct omi_index *x, omen_slice key, uint64_t trailer);

enum { OMI_INDEX_FORMAT = 1, OMI_INDEX_HEADER_BYTES = 64 };
enum { OMI_INDEX_SPLINE = 0, OMI_INDEX_EXPLICIT = 1, OMI_INDEX_ORDERED = 2 };

#endif

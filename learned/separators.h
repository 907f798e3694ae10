/*
 * separators.h - the keys of cuts that the model cannot name, packed: front-coded with a restart
 * every 32, one header byte for most. All separators of a file ascend.
 *
 * A separator stands for the internal key (bytes, trailer); without a trailer of its own it stands
 * before every version of those bytes. An entry of the section:
 *   header u8     low nibble: 0-14 the size of the suffix, 15 a varint follows;
 *                 high nibble: 0-13 the shared size minus the previous one's, plus 7; 14 a varint
 *                 with the shared size follows; 15 the same, and a trailer follows the suffix
 *   [shared varint] [suffix size varint] suffix [trailer u64]
 * A restart's shared size is 0 and the previous one's counts as 0. Behind the entries stand the
 * restarts' offsets, u32 each.
 */
#ifndef OMI_SEPARATORS_H
#define OMI_SEPARATORS_H

#include "io/base/buf.h"
#include "io/base/slice.h"

#include <stdbool.h>

enum { OMI_SEPARATOR_RESTART = 32 };

struct omi_separator_writer {
    struct omi_buf *out;
    struct omi_buf restarts, last;
    size_t start;
    uint32_t count, last_shared;
};
void omi_separator_writer_init(struct omi_separator_writer *w, struct omi_buf *out);
/* trailer UINT64_MAX: none of its own. */
OMEN_MUST_CHECK omen_err omi_separator_add(struct omi_separator_writer *w, const uint8_t *key,
                                           uint32_t size, uint64_t trailer);
OMEN_MUST_CHECK omen_err omi_separator_finish(struct omi_separator_writer *w);
void omi_separator_writer_fini(struct omi_separator_writer *w);

struct omi_separators {
    const uint8_t *entries, *restarts; /* borrowed */
    uint32_t entries_size, count;
};
/* A section of count separators, from bytes that may be anything: every entry is walked. */
OMEN_MUST_CHECK omen_err omi_separators_open(const uint8_t *bytes, size_t size, uint32_t count,
                                             struct omi_separators *out);
/* How many separators are <= (key, trailer). Bytewise. compares counts what was compared. */
uint32_t omi_separators_rank(const struct omi_separators *s, const uint8_t *key, size_t key_size,
                             uint64_t trailer, uint32_t *compares);
/* The same under a comparator. */
uint32_t omi_separators_rank_ordered(const struct omi_separators *s, const struct omi_order *order,
                                     omen_slice key, uint64_t trailer, uint32_t *compares);

#endif

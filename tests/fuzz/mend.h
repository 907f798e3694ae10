/*
 * mend.h - makes the checks of mutated files right again. A checksum is no defence against somebody
 * who can compute it, and a fuzzer that cannot would never get past it.
 *
 * Everything here looks at bytes that may be anything and changes checks, magics and counts of
 * bytes alone; what it cannot find it leaves.
 */
#ifndef OMI_FUZZ_MEND_H
#define OMI_FUZZ_MEND_H

#include <stddef.h>
#include <stdint.h>

struct fuzz_dice;

/* A manifest: its header, and the checks and numbers of its records. */
void mend_manifest(uint8_t *bytes, size_t size);
/* A table: blocks, sections, footer, header. */
void mend_table(uint8_t *bytes, size_t size);
/* A log's header, 64 bytes, and the frames that follow it, size bytes; chain is the check of the
 * frame before, in and out. */
void mend_log(uint8_t *header, uint8_t *frames, size_t size, uint64_t *chain);
/* An index section: the sizes of its parts fill it again. */
void mend_index(uint8_t *bytes, size_t size);
/* A filter section: its count of lines, and in format 2 the checks of its parts and head. file_id: what
 * it is bound to, or 0. */
void mend_filter(uint8_t *bytes, size_t size, uint64_t file_id);

/* A range filter section: its check, and the lengths of prefix and symbols, which take what the other
 * parts leave. */
void mend_range_filter(uint8_t *bytes, size_t size);

/* Mutates one part of a table (a block, a section, the header, the footer) and moves the others, so
 * that their places hold. Returns the new size. */
size_t mutate_table(uint8_t *bytes, size_t size, size_t max_size, struct fuzz_dice *dice);

#endif

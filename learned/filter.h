/*
 * filter.h - the filter of a table: "can this key be here?", without false negatives.
 * Path:    get -> run -> [filter] -> block index -> block. Bytes: docs/format-filter.md
 *
 * One array of 64-byte blocked-Bloom lines (Putze, Sanders, Singler, "Cache-, Hash- and
 * Space-Efficient Bloom Filters", 2007) in which the number of probes follows the region of the key
 * space that a key lies in: bits go where absent keys are asked for, stretches without keys answer
 * "no" for nothing. A layer of key prefixes and a list of hot false positives stand beside it. What
 * to build is decided in filter_plan.h from a sample of past lookups, and only kept when held-back
 * samples confirm the gain; otherwise the filter is a plain one. No answer depends on the sample
 * being right: every key is asked again of the final bytes.
 *
 * A filter is a head (directory, prefix layer, deny list: always in memory) and parts, cut by key,
 * each loaded and dropped on its own; without its part a filter answers "maybe".
 * Units:   digests (digest.h); probes; bits a key are fractions.
 * Threads: immutable once opened.
 */
#ifndef OMI_FILTER_H
#define OMI_FILTER_H

#include "io/base/buf.h"
#include "learned/block_index.h"
#include "learned/digest.h"

#include <stdbool.h>

#define OMI_FILTER_POLICY "omendb.learned"

/* On disk; appended to. A kind this build does not know answers "maybe". */
enum omi_filter_kind {
    OMI_FILTER_NONE = 0,
    OMI_FILTER_PLAIN = 1,   /* blocked Bloom, one region */
    OMI_FILTER_REGIONS = 2, /* blocked Bloom, probes by region */
    OMI_FILTER_RIBBON = 3,  /* ribbon, result bits by region */
    OMI_FILTER_CUSTOM = 4   /* the user's own; lsm/table_filter.h */
};

/* Why a filter is what it is. */
enum omi_filter_why {
    OMI_FILTER_WHY_ASKED = 0,       /* plain was asked for */
    OMI_FILTER_WHY_FEW_SAMPLES = 1, /* fewer than 256: nothing learned */
    OMI_FILTER_WHY_FEW_KEYS = 2,    /* the directory would outweigh the filter */
    OMI_FILTER_WHY_NO_GAIN = 3,     /* held-back samples did not confirm 3 % */
    OMI_FILTER_WHY_GAIN = 4,        /* learned */
    OMI_FILTER_WHY_BUILD_FAILED =
        5 /* the learned form denied a key, or a ribbon found no solution */
};

/* ---- building ---- */

/* A lookup of a key that was not in the file but would have come to it. */
enum { OMI_SAMPLE_HEAD_BYTES = 32 };
struct omi_filter_sample {
    uint64_t hash;
    uint16_t key_size; /* of the whole key */
    uint8_t head[OMI_SAMPLE_HEAD_BYTES];
};

struct omi_filter_input {
    const struct omi_index_key *keys; /* in internal order; versions of a key are neighbours */
    const uint64_t *hashes;           /* omi_key_hash of each */
    uint32_t count;                   /* >= 1 */
};

struct omi_filter_params {
    enum omi_filter_kind kind; /* PLAIN, REGIONS or RIBBON: the most that may be built */
    double bits;               /* > 0: bits a key of the whole filter, whatever the price says */
    double price;   /* else: lookups' false positives that one bit must save (filter_price.h) */
    double weight;  /* absent lookups that come to this file, per lookup of the database */
    double floor;   /* the most false positives of any region, (0, 1]; 1: none. 0: 0.125 */
    double keylike; /* the same of absent keys spread like the file's keys, (0, 1].
                        0: the smaller of floor and five times a plain filter's at this price */
    uint32_t part_bytes;                     /* of a part; 0: never cut */
    const struct omi_filter_sample *samples; /* oldest first */
    size_t sample_count;
};

/* What was built; in the section's header. */
struct omi_filter_info {
    enum omi_filter_kind kind;
    enum omi_filter_why why;
    uint64_t keys, bytes, head_bytes;
    uint32_t parts, regions, gaps; /* gaps: regions without keys */
    uint32_t prefix_bytes;         /* the prefix layer's key bytes; 0: no layer */
    uint32_t prefix_array_bytes;
    uint32_t denied;     /* entries of the deny list */
    uint32_t samples;    /* that it was learned from */
    double promised_fpr; /* of the sampled lookups */
    double keylike_fpr;  /* of absent keys spread like the file's keys */
    double plain_fpr;    /* that a plain filter would have at this price */
    double price, weight;
};

/* Appends a filter section. What can be built cheaper or at all is decided inside; the last resort
 * is a plain filter. info_out may be NULL. OMEN_INVALID for parameters, OMEN_NO_MEMORY. */
OMEN_MUST_CHECK omen_err omi_filter_build(const struct omi_filter_input *input,
                                          const struct omi_filter_params *params,
                                          struct omi_buf *out, struct omi_filter_info *info_out);

/* ---- opening ---- */

enum { OMI_FILTER_HEADER_BYTES = 64 };

/* An opened head: a view into its bytes, nothing to free; head is its only pointer. What is behind
 * it belongs to filter.c. */
struct omi_filter {
    enum omi_filter_kind kind; /* NONE: always "maybe" */
    uint32_t head_bytes, part_count, region_count, line_count;
    uint32_t probes; /* of the only region; several have classes */
    const uint8_t *head;
    struct omi_digest digest;
    uint32_t leaf_off, prefix_off, checks_off, lines_off, part_of_off, classes_off, deny_off;
    uint32_t prefix_line_count;
    uint16_t deny_count;
    uint8_t format, prefix_bytes, prefix_probes;
};

/* How long the head is, from the first OMI_FILTER_HEADER_BYTES of a section of section_bytes.
 * OMEN_CORRUPT, OMEN_UNSUPPORTED. */
OMEN_MUST_CHECK omen_err omi_filter_head_bytes(const uint8_t *header, uint64_t section_bytes,
                                               uint32_t *head_bytes_out);
/* Checks a head that may be anything. The bytes are borrowed, 64-byte aligned for speed alone. On an
 * error the filter answers "maybe". */
OMEN_MUST_CHECK omen_err omi_filter_open(const uint8_t *head, size_t head_bytes,
                                         uint64_t section_bytes, struct omi_filter *filter_out);
/* A head that is read without the rest of its section should be known to belong to its file: bind
 * changes the check of a section just built, and open_bound goes by it. file_id 0: not bound. */
void omi_filter_bind(uint8_t *section, uint64_t section_bytes, uint64_t file_id);
OMEN_MUST_CHECK omen_err omi_filter_open_bound(const uint8_t *head, size_t head_bytes,
                                               uint64_t section_bytes, uint64_t file_id,
                                               struct omi_filter *filter_out);
/* Where part (< part_count) lies: offset from the start of the section, a multiple of 64. size 0: no
 * key of the part has bits, there is nothing to load. */
void omi_filter_part(const struct omi_filter *f, uint32_t part, uint64_t *off_out,
                     uint32_t *size_out);
/* Do these bytes, read from there, match the head's check of them? Always, in format 1: there the
 * whole section has one check, the table's. */
bool omi_filter_part_sound(const struct omi_filter *f, uint32_t part, const uint8_t *bytes);
void omi_filter_describe(const struct omi_filter *f, struct omi_filter_info *info_out);
/* Region (< region_count): its first digest, and class: probes (or ribbon bits), or -1: no keys. */
void omi_filter_region(const struct omi_filter *f, uint32_t region, uint32_t *digest_out,
                       int *class_out);
void omi_filter_digest(const struct omi_filter *f, struct omi_digest *digest_out);

/* ---- asking, in two steps, so that a line can be fetched in between ---- */

enum omi_filter_answer { OMI_FILTER_NO, OMI_FILTER_MAYBE, OMI_FILTER_PROBE };
struct omi_filter_route {
    uint32_t part, region;
    uint8_t probes; /* of the region's class */
};
/* From the head alone. route_out is set in every case that a region was found. */
enum omi_filter_answer omi_filter_route(const struct omi_filter *f, omen_slice key, uint64_t hash,
                                        struct omi_filter_route *route_out);
/* After PROBE; where there is one part also before, with a route of zeros: a line's place does not
 * depend on the region. */
void omi_filter_prefetch(const struct omi_filter *f, const struct omi_filter_route *route,
                         const uint8_t *part, uint64_t hash);
/* What omi_filter_probe reads of a part's bytes: a line, or of a ribbon its table, and then a second spot
 * that is found there (false: there is none). */
struct omi_filter_spot {
    uint32_t off, size;
};
void omi_filter_spot(const struct omi_filter *f, const struct omi_filter_route *route,
                     uint64_t hash, struct omi_filter_spot *spot_out);
bool omi_filter_second_spot(const struct omi_filter *f, const struct omi_filter_route *route,
                            const uint8_t *part, uint64_t hash, struct omi_filter_spot *spot_out);
/* After PROBE. False: certainly absent. */
bool omi_filter_probe(const struct omi_filter *f, const struct omi_filter_route *route,
                      const uint8_t *part, uint64_t hash);
/* Both steps over a whole section in memory (the head's bytes are its start). */
bool omi_filter_may_hold(const struct omi_filter *f, const uint8_t *section, omen_slice key,
                         uint64_t hash);

#endif

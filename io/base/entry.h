/*
 * entry.h - one version of one key, as every layer passes it along.
 * Internal order: user key ascending, then trailer descending (newest version first).
 */
#ifndef OMI_ENTRY_H
#define OMI_ENTRY_H

#include "io/base/slice.h"

/* The low 4 bits of a trailer's type byte. Unknown kinds and flags are OMEN_UNSUPPORTED. */
enum omi_kind {
    OMI_KIND_DELETE = 0,
    OMI_KIND_PUT = 1,
    OMI_KIND_RANGE_DELETE = 2, /* reserved in the formats */
    OMI_KIND_MERGE = 3         /* reserved in the formats */
};
enum {
    OMI_TYPE_KIND_MASK = 0x0f,
    OMI_TYPE_REFERENCE = 0x10, /* reserved: the value is a reference into a value file */
    OMI_TYPE_EXPIRY = 0x20     /* reserved: an 8-byte expiry stands before the value */
};
#define OMI_SEQ_MAX (((uint64_t)1 << 56) - 1)
/* The largest file number, run age and log segment that is believed: nobody comes here by counting,
 * and past 18 digits CURRENT could not name a manifest. */
#define OMI_NUMBER_MAX ((uint64_t)1 << 56)

/* Larger than any entry's trailer at that seq: the seek position of "newest version <= seq". */
static inline uint64_t omi_trailer_seek(uint64_t seq)
{
    return seq << 8 | 0xff;
}

static inline uint64_t omi_trailer(uint64_t seq, unsigned type)
{
    return seq << 8 | (type & 0xff);
}

static inline uint64_t omi_trailer_seq(uint64_t trailer)
{
    return trailer >> 8;
}

static inline unsigned omi_trailer_kind(uint64_t trailer)
{
    return (unsigned)(trailer & OMI_TYPE_KIND_MASK);
}

/* Does this build know the type byte? */
static inline bool omi_trailer_known(uint64_t trailer)
{
    unsigned type = (unsigned)(trailer & 0xff);
    return type == OMI_KIND_PUT || type == OMI_KIND_DELETE;
}

/* A borrowed view; who lends it says how long it lives. */
struct omi_entry {
    const uint8_t *key;
    const uint8_t *value;
    uint64_t trailer;
    uint32_t key_size;
    uint32_t value_size;
};

static inline omen_slice omi_entry_key(const struct omi_entry *e)
{
    return omi_slice(e->key, e->key_size);
}

/* Internal order; see the top. */
static inline int omi_internal_compare(const struct omi_order *order, omen_slice a_key,
                                       uint64_t a_trailer, omen_slice b_key, uint64_t b_trailer)
{
    int c = omi_key_compare(order, a_key, b_key);
    return c != 0 ? c : (a_trailer < b_trailer) - (a_trailer > b_trailer);
}

#endif

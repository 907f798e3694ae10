/*
 * options.h - from three inputs (memory, disk, goal) and overrides to the figures the engine runs
 * by. Path: omen_open -> check -> merge with what the database stored -> resolve.
 */
#ifndef OMI_OPTIONS_H
#define OMI_OPTIONS_H

#include "compaction/shape.h"
#include "io/base/buf.h"
#include "lsm/omendb.h"

/* Everything decided; no zeros that mean a default. */
struct omi_settings {
    omen_split split;
    struct omi_shape shape;
    uint64_t shape_fixed; /* bit per option of omi_option_bit: given by a user */
    uint32_t sync_interval_ms;
    uint32_t filter_bits; /* 0: none */
    uint32_t filter, filter_floor_permille, range_filter;
    uint64_t filter_bytes;
    bool
        cache_alone; /* cache_bytes are of blocks; else filters, models and open tables share them */
    uint64_t near_model_bytes; /* 0: none */
    uint64_t log_file_bytes;
    bool direct;
};

/* Copies the caller's struct, which may be of an older, shorter size, and checks every field's
 * range. NULL: all defaults. */
OMEN_MUST_CHECK omen_err omi_options_copy(const omen_options *from, omen_options *to);
/* Fields that are 0 in options take what text ("name=value" lines of the manifest) says. */
OMEN_MUST_CHECK omen_err omi_options_merge_stored(omen_options *options, omen_slice text);
/* The explicit, storable options as "name=value\n" lines. */
OMEN_MUST_CHECK omen_err omi_options_store(const omen_options *options, struct omi_buf *out);
OMEN_MUST_CHECK omen_err omi_options_resolve(const omen_options *options, struct omi_settings *out);
/* Sets one option by name from text; live_only refuses what cannot change while open. */
OMEN_MUST_CHECK omen_err omi_options_set(omen_options *options, const char *name, size_t name_size,
                                         const char *value, size_t value_size, bool live_only);

#endif

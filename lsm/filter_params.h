/*
 * filter_params.h - what filter each new table gets. One source a job: begin looks at the sampled
 * lookups and settles the price, fill is asked for each file (omi_table_params.plan_filter), end.
 */
#ifndef OMI_FILTER_PARAMS_H
#define OMI_FILTER_PARAMS_H

#include "learned/filter_price.h"
#include "lsm/sample.h"

/* The last price, and what it was worked out from. */
struct omi_filter_pricing {
    struct omi_mutex mu; /* guards the rest */
    double price, keys;
    uint64_t generation, settings;
};

struct omi_filter_params_source {
    struct omen_db *db;
    struct omi_sample_view *view; /* NULL: nothing is known */
    uint32_t level, bits;         /* bits 0: no filters */
    uint64_t age, settings;       /* of the run being written; a digest of the options */
    enum omi_filter_kind kind;
    double run_keys, price, floor;
    struct omi_filter_sample *samples; /* lent to the file being built */
};

/* run_keys: entries that the run is expected to get. */
OMEN_MUST_CHECK omen_err omi_filter_params_begin(struct omen_db *db, uint32_t level, uint64_t age,
                                                 bool last_level, double run_keys,
                                                 struct omi_filter_params_source *source);
void omi_filter_params_end(struct omi_filter_params_source *source);
/* omi_table_params.plan_filter; ctx is the source. */
OMEN_MUST_CHECK omen_err omi_filter_params_fill(void *ctx, omen_slice smallest, omen_slice largest,
                                                uint32_t entries, struct omi_filter_params *params);

#endif

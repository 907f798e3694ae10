/*
 * filter_params.h - what filter each new table gets. One source a job: begin takes the options, the
 * first fill (omi_table_params.plan_filter, asked for each file) looks at the sampled lookups and
 * settles the price, end gives back what was lent. A job that only moves files costs nothing.
 * Threads: a source belongs to its job; the price is shared, under its lock.
 */
#ifndef OMI_FILTER_PARAMS_H
#define OMI_FILTER_PARAMS_H

#include "learned/filter_price.h"
#include "lsm/sample.h"

struct omi_job;

/* The last price, and what it was worked out from. */
struct omi_filter_pricing {
    struct omi_mutex mu; /* guards the rest; never held with another */
    double price;        /* 0: not worked out yet */
    double keys;         /* of all tables then */
    double written;      /* by jobs since */
    uint64_t generation, settings, tables, jobs;
};

/* Fewer sampled lookups than ENOUGH say nothing about tables; PRIOR of them are assumed beside those
 * sampled: every run asked once by each. */
enum { OMI_SAMPLE_ENOUGH = 256, OMI_SAMPLE_PRIOR = 64 };

struct omi_filter_params_source {
    struct omen_db *db;
    const struct omi_job *job; /* whose inputs go when the new tables come; NULL: none do */
    uint32_t level, bits;      /* bits 0: no filters */
    uint64_t age, settings;    /* of the run being written; a digest of the options */
    enum omi_filter_kind kind;
    double new_keys, floor;       /* entries that the job writes at most */
    bool settled;                 /* the rest is known */
    struct omi_sample_view *view; /* NULL: nothing is known */
    uint64_t found_age;     /* lookups found in the level's runs of this age or newer are hits */
    double run_keys, price; /* of the whole run; price 0: no tree to price by yet */
    struct omi_filter_sample *samples; /* lent to the file being built */
};

/* new_keys: entries that the job writes at most. */
void omi_filter_params_begin(struct omen_db *db, uint32_t level, uint64_t age, bool last_level,
                             double new_keys, struct omi_filter_params_source *source);
/* The new tables come in place of job's inputs; before the first fill. job outlives the source. */
void omi_filter_params_replaces(struct omi_filter_params_source *source, const struct omi_job *job);
void omi_filter_params_end(struct omi_filter_params_source *source);
/* omi_table_params.plan_filter; ctx is the source. */
OMEN_MUST_CHECK omen_err omi_filter_params_fill(void *ctx, omen_slice smallest, omen_slice largest,
                                                uint32_t entries, struct omi_filter_params *params);
/* The price of now; 0: none was worked out yet. */
double omi_filter_price_now(struct omen_db *db);

#endif

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

/* What false positives of each level met: a block in the cache, or a read. [0] is level 1. */
struct omi_filter_costs {
    _Atomic uint32_t cached[OMEN_LEVELS_MAX], read[OMEN_LEVELS_MAX];
};

/* From any thread. */
static inline void omi_filter_costs_count(struct omi_filter_costs *c, uint32_t level, bool cached)
{
    atomic_fetch_add_explicit(cached ? &c->cached[level - 1] : &c->read[level - 1], 1,
                              memory_order_relaxed);
}

/* The last price, and what it was worked out from. */
struct omi_filter_pricing {
    struct omi_filter_costs costs;
    struct omi_mutex mu;          /* guards the rest; never held with another */
    double cost[OMEN_LEVELS_MAX]; /* of a false positive in each level, of the dearest level's */
    double price;                 /* 0: not worked out yet */
    double keys;                  /* of all tables then */
    double flush_keys;            /* of the last flush */
    /* Entries written for each that went in, by the last merge into each level. */
    double kept[OMEN_LEVELS_MAX];
    double written; /* by jobs since */
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
    double in_keys, out_keys;     /* entries that go in at most; written so far */
    double new_keys, floor;       /* entries that the job will write, as far as one can tell */
    bool settled;                 /* the rest is known */
    struct omi_sample_view *view; /* NULL: nothing is known */
    uint64_t found_age;     /* lookups found in the level's runs of this age or newer are hits */
    double run_keys, price; /* of the whole run; price 0: no tree to price by yet */
    double cost[OMEN_LEVELS_MAX];
    struct omi_filter_sample *samples; /* lent to the file being built */
};

/* new_keys: entries that the job writes at most. */
void omi_filter_params_begin(struct omen_db *db, uint32_t level, uint64_t age, bool last_level,
                             double new_keys, struct omi_filter_params_source *source);
/* The new tables come in place of job's inputs; before the first fill. job outlives the source. */
void omi_filter_params_replaces(struct omi_filter_params_source *source, const struct omi_job *job);
/* All of the job is written. */
void omi_filter_params_done(struct omi_filter_params_source *source);
void omi_filter_params_end(struct omi_filter_params_source *source);
/* omi_table_params.plan_filter; ctx is the source. */
OMEN_MUST_CHECK omen_err omi_filter_params_fill(void *ctx, omen_slice smallest, omen_slice largest,
                                                uint32_t entries, struct omi_filter_params *params);
/* The price of now; 0: none was worked out yet. */
double omi_filter_price_now(struct omen_db *db);

#endif

/*
 * filter_mix.h - filters of any shape, whether or not it pays: regions with and without bits or keys,
 * parts of a few lines, prefix layers, deny lists, ribbons. Small databases would have plain filters
 * alone; with these, what stands around filters meets every kind of them. And in half of the runs far
 * memory that they lie in, and move out of and into every few lookups.
 */
#ifndef OMI_TEST_FILTER_MIX_H
#define OMI_TEST_FILTER_MIX_H

#include "learned/filter.h"
#include "lsm/db.h"

enum { /* what to have of it for certain; the rest is drawn */
       MIX_GAPS = 1u << 0,
       MIX_PARTS = 1u << 1,
       MIX_PREFIX = 1u << 2,
       MIX_DENY = 1u << 3,
       MIX_RIBBON = 1u << 4,
       MIX_PLAIN = 1u << 5 /* one region, and nothing that is not asked for */
};

/* As omi_table_env.make_filter. What is drawn follows from the keys alone. */
OMEN_MUST_CHECK omen_err filter_mix(const struct omi_filter_input *input, struct omi_buf *out);
OMEN_MUST_CHECK omen_err filter_mix_of(const struct omi_filter_input *input, unsigned features,
                                       uint64_t seed, struct omi_buf *out,
                                       struct omi_filter_info *info_out);

/* What run number seed has for filters: options and perhaps a policy into o, before opening; and
 * perhaps filter_mix into the handle, after, whose lookups are sampled more often. The first few numbers have the defaults. */
void filter_mix_choose(uint64_t seed, omen_options *o);
void filter_mix_install(uint64_t seed, omen_db *db);

/* A policy of a bit for each head of a key's hash. */
extern const omen_filter_policy filter_mix_policy;

/* Filters made so far in this process, and how many of them had what. */
struct filter_mix_made {
    uint64_t filters, regions, gaps, parts, prefixes, denied, ribbons;
    uint64_t over_far; /* databases with far memory */
};
struct filter_mix_made filter_mix_made(void);
/* One line of them. */
void filter_mix_tell(const char *program);

#endif

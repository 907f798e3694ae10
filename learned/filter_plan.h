/*
 * filter_plan.h - from a file's keys and a sample of absent lookups to the filter worth having;
 * private to learned/filter_*.c.
 *
 * The old half of the sample proposes (gaps, cuts, a prefix length), the newer half estimates the
 * masses that the bits are dealt out by: one half for both promises too much.
 */
#ifndef OMI_FILTER_PLAN_H
#define OMI_FILTER_PLAN_H

#include "learned/filter_layout.h"
#include "learned/filter_price.h"

enum {
    OMI_PLAN_SAMPLES_MIN = 256, /* below: nothing is learned */
    OMI_PLAN_SAMPLES_MAX = 32768,
    OMI_PLAN_KEYS_MIN = 2000,
    /* Two regions each and one: fewer than a filter has room for, as its parts take more. */
    OMI_PLAN_GAPS_MAX = 1480,
    OMI_PLAN_CUTS_MAX = 512,
    OMI_PLAN_DENIED_MAX = 4 * OMI_FILTER_DENIED_MAX /* candidates; the filter passes few of them */
};

/* A usable sample on the axis. */
struct omi_plan_sample {
    uint32_t digest;
    uint32_t rank; /* keys of smaller digest */
    uint8_t known; /* leading bytes that it shares with some key, to OMI_SAMPLE_HEAD_BYTES */
    bool in_gap;   /* between two digests, and in a gap that was taken */
    bool repeated; /* the older half asks for it again and again: the deny list's to answer */
    const struct omi_filter_sample *from;
};

/* The keys of the file and the sampled lookups on the axis of digests. */
struct omi_plan_axis {
    const struct omi_filter_input *input;
    struct omi_digest digest;
    uint32_t *digests; /* of the distinct keys, ascending */
    uint32_t *firsts;  /* the entry of each; NULL: no key has versions */
    uint32_t count;
    uint32_t prefixes[OMI_SAMPLE_HEAD_BYTES + 1]; /* distinct prefixes by length; [0] unused */
    struct omi_plan_sample *older, *newer;        /* by digest */
    uint32_t older_count, newer_count;
    struct omi_filter_sample const **repeated; /* asked for twice or more, most often first, as many
                                                  as may be denied */
    uint32_t repeated_count;
    uint32_t usable; /* samples of either half */
};
OMEN_MUST_CHECK omen_err omi_plan_axis_init(struct omi_plan_axis *a,
                                            const struct omi_filter_input *input,
                                            const struct omi_filter_sample *samples, size_t count);
void omi_plan_axis_fini(struct omi_plan_axis *a);
/* Keys of a digest below x. */
uint32_t omi_plan_rank(const struct omi_plan_axis *a, uint32_t x);

/* Regions: first digests, ascending from 0, and what lies in each. Between two cuts lookups are
 * taken to be spread evenly over the keys, whatever gaps lie there: such a cell is estimated as one. */
struct omi_plan_region {
    uint32_t first;
    uint32_t keys, cell_keys; /* its own, and of all regions of its cell */
    uint32_t cell;            /* from 0 */
    uint8_t probes;
    double known, unknown; /* its share of the cell's newer samples, by whether their prefix (of the
                              length in question) exists */
};
struct omi_plan_regions {
    struct omi_plan_region *at;
    uint32_t count, cell_count;
};
/* Gaps and cuts by the older half; keys by region. */
OMEN_MUST_CHECK omen_err omi_plan_regions_find(struct omi_plan_axis *a,
                                               struct omi_plan_regions *out);
/* Counts the newer half into the regions, for prefixes of prefix_bytes (0: all are known); what will
 * be denied does not count. */
void omi_plan_regions_count(const struct omi_plan_axis *a, struct omi_plan_regions *r,
                            uint32_t prefix_bytes);

/* False positives by bits for each key and probe (rows) and probes (columns). A ribbon's result
 * columns are its probes: there is one row, each halves. */
enum {
    OMI_PLAN_DENSITIES = 11,
    OMI_PLAN_ANY_DENSITY = -1,
    OMI_PLAN_PROBES_MAX = 13,
    OMI_PLAN_REGION_BITS = 43
};
struct omi_plan_model {
    uint32_t rows;
    double density[OMI_PLAN_DENSITIES];
    double fpr[OMI_PLAN_DENSITIES][OMI_PLAN_PROBES_MAX + 1];
    bool ribbon;
};
void omi_plan_model_init(struct omi_plan_model *m);
void omi_plan_model_init_ribbon(struct omi_plan_model *m, double density);

/* What bits cost and what false positives do. */
struct omi_plan_terms {
    const struct omi_plan_model *model;
    double price, weight, floor, keylike;
    double pass;    /* share of lookups of unknown prefix that come through the prefix layer; 1: no
                       layer */
    double samples; /* of the newer half */
    int row;        /* the one density to try; OMI_PLAN_ANY_DENSITY: the best */
};
struct omi_plan_outcome {
    int row;                     /* of the density */
    double bits_per_probe, bits; /* bits: of the lines and the directory */
    double more;                 /* of ribbons: the share of keys with one column more */
    double fpr, keylike;
    double cost; /* weight * fpr + price * bits */
};
/* Probes for every region, and what comes of it. */
void omi_plan_solve(struct omi_plan_regions *r, const struct omi_plan_terms *terms,
                    struct omi_plan_outcome *out);
/* The same for at most so many bits, at whatever price that takes; the price goes into terms. */
void omi_plan_solve_bits(struct omi_plan_regions *r, struct omi_plan_terms *terms, double bits,
                         struct omi_plan_outcome *out);

/* The prefix layer that serves best. */
struct omi_plan_prefix {
    uint32_t bytes; /* 0: none */
    uint32_t probes;
    double bits_per_prefix, bits, pass;
};
/* most_bits: of the filter, or 0 when the price decides. r is left as it was counted last; count and
 * solve again for what was chosen. */
void omi_plan_prefix_choose(const struct omi_plan_axis *a, struct omi_plan_regions *r,
                            const struct omi_plan_terms *terms, double most_bits,
                            struct omi_plan_prefix *out);

#endif

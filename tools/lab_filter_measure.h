/*
 * lab_filter_measure.h - filters as lab filter builds and asks them.
 * Units: bits are bits a key of the whole section, head included; times are of this thread.
 */
#ifndef OMT_LAB_FILTER_MEASURE_H
#define OMT_LAB_FILTER_MEASURE_H

#include "learned/filter_layout.h"
#include "tools/lab_filter_work.h"

struct omt_built {
    struct omi_filter f;
    struct omi_filter_info info;
    uint8_t *section; /* NULL: none is worth having, every answer is "maybe" */
    size_t size;
    double bits, build_ns; /* both a key */
};

/* omi_filter_build, opened again as a reader would. */
OMEN_MUST_CHECK omen_err omt_built_make(const struct omt_filter_work *w,
                                        const struct omi_filter_params *params,
                                        struct omt_built *out);
OMEN_MUST_CHECK omen_err omt_built_encode(const struct omt_filter_work *w,
                                          const struct omi_filter_layout *layout,
                                          struct omt_built *out);
void omt_built_free(struct omt_built *b);
bool omt_built_asks(const struct omt_built *b, const uint8_t *key, uint32_t size, uint64_t hash);
/* Share of absent lookups that pass. */
double omt_built_fpr(const struct omt_built *b, const struct omt_asked_list *asked);
/* False positives of the worst region that has keys, by the model; 1 where a region has no bits. */
double omt_built_worst(const struct omt_built *b, const struct omt_filter_work *w);
/* Keys that the filter denies: none, or it is broken. */
uint64_t omt_built_denies(const struct omt_built *b, const struct omt_filter_work *w);

/* The fewest bits whose measured false positives stay within fpr; params' bits do not matter.
 * out holds that filter; its size is 0 when no 32 bits a key do. */
OMEN_MUST_CHECK omen_err omt_built_for_fpr(const struct omt_filter_work *w,
                                           const struct omi_filter_params *params,
                                           const struct omt_asked_list *asked, double fpr,
                                           struct omt_built *out);

/* Nanoseconds a lookup of two filters that take turns; medians of some rounds. */
struct omt_ask_times {
    double each[2];  /* one lookup does not wait for another */
    double after[2]; /* each waits for the answer of the one before */
};
void omt_time_asking(const struct omt_built *a, const struct omt_built *b,
                     const struct omt_asked_list *asked, struct omt_ask_times *out);

/* Nanoseconds a key of what building consists of, the least of some rounds. */
struct omt_build_times {
    double fill;  /* bits set, checks made: encoding less verifying */
    double learn; /* deciding what to build: building less encoding the same */
    double verify;
};
OMEN_MUST_CHECK omen_err omt_time_building(const struct omt_filter_work *w,
                                           const struct omi_filter_params *params,
                                           struct omt_build_times *out);

#endif

/*
 * tune_study.h - the model study of Huynh, Chaudhari, Terzi, Athanassoulis ("Endure", 2022) over
 * this engine's shapes: what the robust choice gains and loses against the nominal one as the mix
 * drifts.
 *
 * Analytic: no database runs. For each of fifteen expected mixes and each rho the cheapest shape in
 * the worst mix within rho is set against the cheapest in the expected mix, over random mixes drawn
 * evenly from all there are, by how far each lies from the expected one.
 * Units:  KL is the Kullback-Leibler divergence from the expected mix in nats; a gain is the change
 *         of throughput when the device is the limit, cost of nominal / cost of robust - 1.
 */
#ifndef OMT_TUNE_STUDY_H
#define OMT_TUNE_STUDY_H

#include <stdint.h>

#include "compaction/tune_space.h"

enum {
    OMT_STUDY_MIXES = 15,
    OMT_STUDY_RHOS = 17, /* 0 to 4 in steps of a quarter */
    OMT_STUDY_BINS = 16  /* of KL, a quarter wide; the last takes all that is farther */
};

struct omt_study_bin {
    uint32_t count;
    double mean, low, high; /* gain; low and high: the 10th and 90th percentile */
};
struct omt_study {
    uint64_t entries, seed;
    uint32_t entry_bytes, draws, shapes;
    double memory_bits;
    const char *space; /* of tune_space.h; NULL: all shapes */
    struct omi_point nominal[OMT_STUDY_MIXES], robust[OMT_STUDY_MIXES][OMT_STUDY_RHOS];
    struct omt_study_bin bin[OMT_STUDY_MIXES][OMT_STUDY_RHOS][OMT_STUDY_BINS];
};

/* Takes entries, entry_bytes, memory_bits (memory a key), space, seed and draws; fills in the rest.
 * OMEN_INVALID: no shape fits that memory. */
OMEN_MUST_CHECK omen_err omt_study_run(struct omt_study *study);
double omt_study_rho(unsigned index);
/* The mean gain over all mixes' draws whose KL lies in [low, high), and how many there are. */
double omt_study_gain(const struct omt_study *study, unsigned rho, double low, double high,
                      uint64_t *count_out);

#endif

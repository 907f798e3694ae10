/*
 * robust.h - the cost of a shape when the mix may drift (Huynh, Chaudhari, Terzi, Athanassoulis,
 * "Endure: A Robust Tuning Paradigm for LSM Trees Under Workload Uncertainty", 2022).
 *
 * The worst expected cost over all mixes whose Kullback-Leibler divergence from the expected one is
 * at most rho. By duality that is one minimum in one dimension:
 *     min over lambda > 0 of  lambda * ln(sum_j w_j e^(c_j / lambda)) + rho * lambda
 * Convex in lambda; found by golden section. rho 0 gives the expected cost, a large rho the dearest
 * operation that occurs at all: a share of 0 stays 0.
 */
#ifndef OMI_ROBUST_H
#define OMI_ROBUST_H

#include "compaction/cost_model.h"

#include <stddef.h>

/* worst_out (may be NULL): the mix that costs so much. */
double omi_robust_cost(const double cost[OMI_TUNE_OPS], const double mix[OMI_TUNE_OPS], double rho,
                       double worst_out[OMI_TUNE_OPS]);
/* Kullback-Leibler divergence of mix from reference, in nats; INFINITY where reference has none of
 * what mix has. */
double omi_mix_divergence(const double mix[OMI_TUNE_OPS], const double reference[OMI_TUNE_OPS]);
/* Share of operations that changed kind: total variation. */
double omi_mix_drift(const double mix[OMI_TUNE_OPS], const double reference[OMI_TUNE_OPS]);
/* rho for windows of mixes, oldest first: the 90th percentile of the divergence between neighbours,
 * 0.1 to 2. */
double omi_robust_rho(const double (*windows)[OMI_TUNE_OPS], size_t count);

#endif

/*
 * cost_optimum.h - where the simplified costs of the papers have their minimum, in closed form: T and
 * the filters' memory for leveling and for tiering. Starting points for a search, and something to
 * tell a user; the replayed costs (cost_model.h) know better.
 *
 * Derived from the costs of Huynh and others ("Endure", 2022), as Yu and others ("CAMAL", 2024) use
 * them: levels L = ln(N E / memtable) / ln T, uniform or Monkey's filters.
 *
 * Units: prices as in struct omi_cost_data; bits are of all filters together.
 */
#ifndef OMI_COST_OPTIMUM_H
#define OMI_COST_OPTIMUM_H

#include "compaction/cost_model.h"

/* T of leveling: a T (ln T - 1) = q, with a the price of one merge of one entry and q that of the run
 * that a level more costs a scan. 2 to 99; without scans it is e. */
double omi_cost_ratio_leveling(const struct omi_cost_data *data, const double mix[OMI_TUNE_OPS]);
/* T of tiering, by bisection: more runs of a level against less merging. fpr: of one run. */
double omi_cost_ratio_tiering(const struct omi_cost_data *data, const double mix[OMI_TUNE_OPS],
                              double memtable_bytes, double fpr);
/* Filter bits a key out of memory_bytes that filters and memtable share: one bit more saves as many
 * false positives as the smaller memtable costs merges and runs. tiering: K = T - 1. */
double omi_cost_bits_best(const struct omi_cost_data *data, const double mix[OMI_TUNE_OPS],
                          double size_ratio, bool tiering, double memory_bytes);

#endif

/*
 * cost_skew.h - keys that are asked for unevenly: how many different ones a number of draws meets, and
 * how much of all asking those are.
 *
 * Ranks follow Zipf's law; they are taken one by one at first and then in ever wider classes of
 * about equal chance, so that a sum over all keys is a sum over some forty. With theta 0 there is
 * one class: all keys alike.
 */
#ifndef OMI_COST_SKEW_H
#define OMI_COST_SKEW_H

#include <stdint.h>

enum { OMI_SKEW_CLASSES_MAX = 96 };

struct omi_skew {
    uint32_t count;
    double keys[OMI_SKEW_CLASSES_MAX];   /* of a class */
    double chance[OMI_SKEW_CLASSES_MAX]; /* of each of them, in one draw */
};
/* keys: at least 1; theta: 0 to 0.999. */
void omi_skew_make(double keys, double theta, struct omi_skew *skew_out);
/* Different keys among so many draws, on average. */
double omi_skew_seen(const struct omi_skew *skew, double draws);
/* The chance that one draw more is of a key among them. */
double omi_skew_known(const struct omi_skew *skew, double draws);
/* The mean of the lesser of rank (1 for the hottest) and most. */
double omi_skew_rank_within(const struct omi_skew *skew, double most);

#endif

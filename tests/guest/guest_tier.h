/* guest_tier.h - what the cases of guest_tier share: they run on a machine whose node 1 is far. */
#ifndef GUEST_TIER_H
#define GUEST_TIER_H

#include "memtier/tier.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Ends the case, told. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define REQUIRE(condition, ...)                                                                    \
    do                                                                                             \
        if (!(condition))                                                                          \
            fail(__VA_ARGS__);                                                                     \
    while (0)

enum { NEAR_NODE = 0, FAR_NODE = 1, MIB = 1 << 20 };

/* --slow: an emulated CXL device takes a microsecond an access; sizes are divided by this, and nothing is
 * timed. Else 1. */
extern size_t slow;

/* A tier, its extents, and the grace that they move under. */
struct rig {
    struct omi_tier *tier;
    struct omi_extent_stats stats;
    struct omi_grace *grace;
    struct omi_extent **extents;
    size_t count;
};
void rig_open(struct rig *r, const struct omi_tier_settings *settings);
/* Makes extents of that kind that want far, until bytes of them are there; each is filled. */
void rig_fill(struct rig *r, enum omi_extent_kind kind, size_t bytes, size_t each);
void rig_check(const struct rig *r, size_t index); /* it holds what it was filled with */
void rig_check_all(const struct rig *r);
uint64_t rig_far_bytes(const struct rig *r); /* sizes of extents that say they are far */
void rig_close(struct rig *r);

/* Of the pages of size bytes, as the system says; 99.0 for 99 %. */
double share_on(const void *bytes, size_t size, int node);
/* From the node's meminfo. */
uint64_t node_free_bytes(int node);
void tier_look(const struct rig *r, struct omi_tier_stats *out);

/* guest_tier_lost.c */
void case_lost_filter_and_model(void);
void case_lost_without_guard(void);
void case_lost_under_readers(void);
void case_other_sigbus(void);

#endif

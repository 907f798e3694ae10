/* far_stats.c - what is told of far memory. */
#include "lsm/far.h"
#include "lsm/table_open.h"

#include <stdio.h>

enum { VERIFY_PAGES = 256 };

const char *omen_far_name(uint32_t far)
{
    static const char *const names[] = {"auto", "none", "node", "heap", "delay"};
    return far < sizeof(names) / sizeof(names[0]) ? names[far] : NULL;
}

static uint64_t relaxed(const _Atomic uint64_t *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

uint32_t omi_far_kind(enum omi_far_mode mode)
{
    static const uint32_t kinds[] = {[OMI_FAR_AUTO] = OMEN_FAR_AUTO,
                                     [OMI_FAR_NONE] = OMEN_FAR_NONE,
                                     [OMI_FAR_NODE] = OMEN_FAR_NODE,
                                     [OMI_FAR_HEAP] = OMEN_FAR_HEAP,
                                     [OMI_FAR_DELAY] = OMEN_FAR_DELAY};
    return kinds[mode];
}

static void tier_tell(struct omi_tier *tier, struct omen_stats *s)
{
    struct omi_tier_stats t;
    struct omi_tier_verified v;
    omi_tier_get_stats(tier, &t);
    omi_tier_verify(tier, VERIFY_PAGES, &v);
    s->far = omi_far_kind(t.mode);
    s->far_node = t.node >= 0 ? (uint32_t)t.node : OMEN_NONE;
    s->far_distance = t.node_distance;
    s->far_latency_ns = t.node_latency_ns;
    s->far_delay_ns = t.delay_ns;
    s->far_guarded = t.guarded;
    s->far_delay_achieved_ns = t.delay_achieved_ns;
    s->far_delay_sound = t.delay_sound;
    s->far_limit_bytes = t.far_limit_bytes;
    s->near_model_bytes = t.near_model_bytes;
    s->far_mapped_bytes = t.mapped_bytes;
    s->far_used_bytes = t.used_bytes;
    s->far_lost_bytes = t.lost_bytes;
    s->far_damaged = t.damaged_extents;
    s->far_lines = t.far_lines;
    s->far_hits = t.far_hits;
    s->far_prefetches = t.far_prefetches;
    s->far_wait_ns = t.far_wait_ns;
    s->far_pages_asked = v.asked;
    s->far_pages_on_node = v.on_node;
    snprintf(s->far_why, sizeof(s->far_why), "%s", t.why);
}

void omi_stats_far(omen_db *db, struct omen_stats *s)
{
    const struct omi_extent_stats *e = &db->tenv.extents;
    s->far = OMEN_FAR_NONE;
    s->far_node = OMEN_NONE;
    if (e->tier != NULL)
        tier_tell(e->tier, s);
    else
        snprintf(s->far_why, sizeof(s->far_why), "far=none");
    for (int k = 0; k < OMI_EXTENT_KINDS; k++) {
        for (int c = 0; c < OMI_EXTENT_CLASSES; c++) {
            s->far_wanted[k][c] = relaxed(&e->wanted[k][c]);
            s->far_got[k][c] = relaxed(&e->got[k][c]);
            for (int i = 0; i < OMI_COUNTER_STRIPES; i++)
                s->far_asked[k][c] += relaxed(&db->tenv.far_asked[i].n[k][c]);
        }
        s->far_refused[k] = relaxed(&e->refused[k]);
    }
    for (int c = 0; c < OMI_EXTENT_CLASSES; c++) {
        s->far_moved_tables[c] = relaxed(&db->far.moved_tables[c]);
        s->far_moved_bytes[c] = relaxed(&e->moved_bytes[c]);
    }
    s->far_promoted_bytes = relaxed(&e->promoted_bytes);
    s->far_ticks = relaxed(&db->far.ticks);
    s->far_unmoved = relaxed(&db->far.unmoved);
    s->far_repaired = relaxed(&db->far.repaired);
}

void omi_stats_table_far(const struct omi_table *t, struct omen_table_info *out)
{
    uint64_t lies[OMI_EXTENT_CLASSES] = {0};
    out->movable_bytes = 0;
    omi_table_filter_lies(t, lies, &out->movable_bytes);
    omi_table_model_lies(t, lies, &out->movable_bytes);
    out->near_bytes = lies[OMI_EXTENT_NEAR];
    out->far_bytes = lies[OMI_EXTENT_FAR];
    out->far = omi_table_place(t) == OMI_EXTENT_FAR;
    out->heat = atomic_load_explicit(&t->heat, memory_order_relaxed);
}

#include "memtier/tier.h"

#include "memtier/far_arena.h"
#include "memtier/far_clock.h"
#include "memtier/far_delay.h"
#include "memtier/far_guard.h"
#include "memtier/nodes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DELAY_MAX_NS = 100000 };
static const uint64_t bandwidth_default = UINT64_C(20000000000);

struct omi_tier {
    enum omi_far_mode mode; /* what was got */
    struct omi_far_node node;
    struct omi_far_arena *arena; /* NULL: nothing is far */
    struct omi_far_delay *delay;
    uint32_t delay_ns, delay_achieved_ns;
    bool guarded;
    uint64_t node_limit; /* of the node's own; UINT64_MAX: none is known */
    _Atomic uint64_t near_model_bytes;
    char why[OMI_TIER_WHY_BYTES]; /* there is no far memory, or no guard of it */
};

/* ---- which memory ---------------------------------------------------------------------------- */

static bool node_allowed(const struct omi_place_calls *calls, int node)
{
    uint64_t allowed;
    if (calls->allowed(calls->ctx, &allowed) != 0)
        return true; /* not known: placing will tell */
    return (allowed >> node & 1) != 0;
}

static void none(struct omi_tier *t, const char *why)
{
    t->mode = OMI_FAR_NONE;
    t->node.node = -1;
    snprintf(t->why, sizeof(t->why), "%s", why);
}

/* The nearest node that this process may use. */
static void node_auto(struct omi_tier *t, const struct omi_place_calls *calls, const char *root)
{
    struct omi_far_node nodes[OMI_NODES_MAX];
    size_t count = omi_nodes_far(root, nodes, OMI_NODES_MAX);
    for (size_t i = 0; i < count; i++)
        if (node_allowed(calls, nodes[i].node)) {
            t->mode = OMI_FAR_NODE;
            t->node = nodes[i];
            return;
        }
    if (count == 0)
        none(t, "no node has memory and no processors");
    else
        none(t, "the far node is not among those that this process may use");
}

static void node_asked(struct omi_tier *t, const struct omi_place_calls *calls, const char *root,
                       int node)
{
    char why[OMI_TIER_WHY_BYTES];
    t->mode = OMI_FAR_NODE;
    if (omi_nodes_one(root, node, &t->node) && node_allowed(calls, node))
        return;
    snprintf(why, sizeof(why),
             t->node.node == node && t->node.total_bytes != 0
                 ? "node %d is not among those that this process may use"
                 : "no node %d with memory",
             node);
    none(t, why);
}

static const struct omi_place_calls *memory_choose(struct omi_tier *t,
                                                   const struct omi_tier_settings *s)
{
    const struct omi_place_calls *calls = s->calls != NULL ? s->calls : omi_place_system();
    const char *root = s->nodes_root != NULL ? s->nodes_root : OMI_NODES_ROOT;
    t->mode = s->mode;
    t->node = (struct omi_far_node){.node = OMI_PLACE_HEAP};
    if (s->mode == OMI_FAR_NONE)
        none(t, "far=none");
    else if (s->mode == OMI_FAR_AUTO)
        node_auto(t, calls, root);
    else if (s->mode == OMI_FAR_NODE)
        node_asked(t, calls, root, s->node);
    else if (s->calls == NULL)
        return omi_place_heap();
    return calls;
}

/* ---- lives ----------------------------------------------------------------------------------- */

static uint64_t limit_of(const struct omi_tier *t, uint64_t far_bytes)
{
    return far_bytes != 0 && far_bytes < t->node_limit ? far_bytes : t->node_limit;
}

static omen_err delay_open(struct omi_tier *t, const struct omi_tier_settings *s)
{
    uint64_t bandwidth = s->delay_bandwidth != 0 ? s->delay_bandwidth : bandwidth_default;
    if (t->mode != OMI_FAR_DELAY)
        return OMEN_OK;
    t->delay_ns = s->delay_ns < DELAY_MAX_NS ? s->delay_ns : DELAY_MAX_NS;
    t->delay_achieved_ns = omi_far_achieved_ns(t->delay_ns);
    return omi_far_delay_create(t->delay_ns, bandwidth, &t->delay);
}

omen_err omi_tier_open(const struct omi_tier_settings *s, struct omi_tier **tier_out)
{
    *tier_out = NULL;
    struct omi_tier *t = calloc(1, sizeof(*t));
    if (t == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the memory tier");
    const struct omi_place_calls *calls = memory_choose(t, s);
    t->node_limit = UINT64_MAX;
    if (t->mode == OMI_FAR_NODE && t->node.total_bytes != 0)
        t->node_limit = t->node.free_bytes / 10 * 9;
    atomic_store(&t->near_model_bytes, s->near_model_bytes);
    omen_err err = delay_open(t, s);
    if (err != OMEN_OK)
        goto free_tier;
    t->guarded = t->mode != OMI_FAR_NONE && s->guard && omi_guard_install();
    if (t->mode != OMI_FAR_NONE)
        err = omi_far_arena_create(calls, t->node.node, limit_of(t, s->far_bytes), t->guarded,
                                   &t->arena);
    if (err != OMEN_OK)
        goto remove_guard;
    if (t->mode != OMI_FAR_NONE && s->guard && !t->guarded)
        snprintf(t->why, sizeof(t->why), "the handler of SIGBUS could not be installed");
    *tier_out = t;
    return OMEN_OK;

remove_guard:
    if (t->guarded)
        omi_guard_remove();
    omi_far_delay_destroy(t->delay);
free_tier:
    free(t);
    return err;
}

void omi_tier_close(struct omi_tier *t)
{
    if (t == NULL)
        return;
    omi_far_arena_destroy(t->arena);
    if (t->guarded)
        omi_guard_remove();
    omi_far_delay_destroy(t->delay);
    free(t);
}

void omi_tier_limit(struct omi_tier *t, uint64_t far_bytes, uint64_t near_model_bytes)
{
    atomic_store_explicit(&t->near_model_bytes, near_model_bytes, memory_order_relaxed);
    if (t->arena != NULL)
        omi_far_arena_limit(t->arena, limit_of(t, far_bytes));
}

bool omi_tier_has_far(const struct omi_tier *t)
{
    return t != NULL && t->arena != NULL;
}

bool omi_tier_guard_install(void)
{
    return omi_guard_install();
}

void omi_tier_guard_remove(void)
{
    omi_guard_remove();
}

/* ---- looking --------------------------------------------------------------------------------- */

void omi_tier_get_stats(struct omi_tier *t, struct omi_tier_stats *out)
{
    struct omi_far_arena_stats arena = {0};
    struct omi_far_delay_stats delay = {0};
    if (t->arena != NULL)
        omi_far_arena_get_stats(t->arena, &arena);
    if (t->delay != NULL)
        omi_far_delay_get_stats(t->delay, &delay);
    *out = (struct omi_tier_stats){
        .mode = t->mode,
        .node = t->mode == OMI_FAR_NODE ? t->node.node : -1,
        .node_distance = t->node.distance,
        .node_latency_ns = t->node.latency_ns,
        .delay_ns = t->delay_ns,
        .delay_achieved_ns = t->delay_achieved_ns,
        .delay_sound = omi_far_sound(t->delay_ns, t->delay_achieved_ns),
        .guarded = t->guarded,
        .far_limit_bytes = arena.limit_bytes,
        .near_model_bytes = atomic_load_explicit(&t->near_model_bytes, memory_order_relaxed),
        .mapped_bytes = arena.mapped_bytes,
        .used_bytes = arena.used_bytes,
        .chunks = arena.chunks,
        .chunks_refused = arena.refused,
        .damaged_extents = arena.damaged,
        .lost_bytes = arena.lost_bytes,
        .far_lines = delay.lines,
        .far_prefetches = delay.prefetches,
        .far_hits = delay.hits,
        .far_wait_ns = delay.wait_ns,
    };
    snprintf(out->why, sizeof(out->why), "%s", arena.why[0] != 0 ? arena.why : t->why);
}

void omi_tier_verify(struct omi_tier *t, uint64_t pages_max, struct omi_tier_verified *out)
{
    *out = (struct omi_tier_verified){0};
    if (t->arena != NULL)
        omi_far_arena_verify(t->arena, pages_max, &out->on_node, &out->asked);
}

/* ---- for extents ----------------------------------------------------------------------------- */

uint8_t *omi_tier_take(struct omi_tier *t, size_t size, _Atomic uint8_t *damaged)
{
    return omi_tier_has_far(t) ? omi_far_arena_take(t->arena, size, damaged) : NULL;
}

void omi_tier_give(struct omi_tier *t, uint8_t *bytes, size_t size)
{
    omi_far_arena_give(t->arena, bytes, size);
}

uint64_t omi_tier_charge(const struct omi_tier *t, size_t size)
{
    return omi_far_arena_charge(t->arena, size);
}

struct omi_far_delay *omi_tier_delay(const struct omi_tier *t)
{
    return t->delay;
}

bool omi_tier_promote(const struct omi_tier *t, struct omi_extent_stats *stats, size_t size)
{
    uint64_t most = atomic_load_explicit(&t->near_model_bytes, memory_order_relaxed);
    uint64_t bytes = atomic_load_explicit(&stats->promoted_bytes, memory_order_relaxed);
    do
        if (bytes > most || size > most - bytes)
            return false;
    while (!atomic_compare_exchange_weak_explicit(&stats->promoted_bytes, &bytes, bytes + size,
                                                  memory_order_relaxed, memory_order_relaxed));
    return true;
}

/*
 * range_plan.c - whether a new table gets a range filter, and of which scans it learns.
 * Above the last level alone: most of the data lies there, so that scans read it anyhow, and every
 * level above is read for nothing by a short scan that finds no key in it.
 */
#include "lsm/db.h"

#include <stdlib.h>

enum { BITS = 12, SCANS_MIN = 32, SCANS_MAX = 1024, USEFUL_PERMILLE = 500 };
#define SCANS_PER_GET_MIN (1.0 / 64)

static size_t head_bytes(uint16_t size)
{
    return size < OMI_SAMPLE_HEAD_BYTES ? size : OMI_SAMPLE_HEAD_BYTES;
}

static omen_slice scan_start(const struct omi_sampled_scan *s)
{
    return omi_slice(s->start, head_bytes(s->start_size));
}

/* The first sampled scan that begins at or after key. */
static uint32_t scans_bound(const struct omi_sample_view *view, omen_slice key)
{
    uint32_t low = 0, high = view->scan_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        omen_slice start = scan_start(&view->scans[middle]);
        if (omi_bytes_compare(start.data, start.size, key.data, key.size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Lends params the sampled scans that begin within the table, or some of them evenly. */
static omen_err lend_scans(struct omi_range_plan *plan, omen_slice smallest, omen_slice largest,
                           struct omi_range_params *params)
{
    if (plan->view == NULL)
        return OMEN_OK;
    uint32_t first = scans_bound(plan->view, smallest);
    uint32_t count = scans_bound(plan->view, largest) - first;
    uint32_t taken = count < SCANS_MAX ? count : SCANS_MAX;
    if (taken == 0)
        return OMEN_OK;
    if (plan->scans == NULL)
        plan->scans = malloc(SCANS_MAX * sizeof(*plan->scans));
    if (plan->scans == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a sample of scans");
    for (uint32_t i = 0; i < taken; i++) {
        const struct omi_sampled_scan *s = &plan->view->scans[first + (uint64_t)i * count / taken];
        plan->scans[i] =
            (struct omi_range_sample){scan_start(s), omi_slice(s->end, head_bytes(s->end_size))};
    }
    params->samples = plan->scans;
    params->sample_count = taken;
    return OMEN_OK;
}

void omi_range_plan_begin(struct omi_range_plan *plan, omen_db *db)
{
    if (plan->upper && plan->mode != OMEN_RANGE_FILTER_OFF &&
        omi_order_is_bytewise(&db->tenv.order))
        plan->view = omi_sample_view_ref(db->sample);
}

void omi_range_plan_end(struct omi_range_plan *plan)
{
    omi_sample_view_unref(plan->view);
    free(plan->scans);
    plan->view = NULL;
    plan->scans = NULL;
}

omen_err omi_range_plan(void *ctx, omen_slice smallest, omen_slice largest, uint32_t entries,
                        struct omi_range_params *params)
{
    struct omi_range_plan *plan = ctx;
    (void)entries;
    *params = (struct omi_range_params){0};
    if (!plan->upper || plan->mode == OMEN_RANGE_FILTER_OFF)
        return OMEN_OK;
    omen_err err = lend_scans(plan, smallest, largest, params);
    if (err != OMEN_OK)
        return err;
    if (plan->mode == OMEN_RANGE_FILTER_AUTO) {
        if (params->sample_count < SCANS_MIN || plan->view->scans_per_get < SCANS_PER_GET_MIN)
            return OMEN_OK;
        params->useful_permille = USEFUL_PERMILLE;
    }
    params->bits = BITS;
    return OMEN_OK;
}

/*
 * workload_ops.c - operations, drawn from a workload by its seed.
 *
 * Keys have an index, the order in which they come, and a number, their place among all: the same
 * for sorted ones, a permutation's image for random ones, and shuffled among 64 in between.
 */
#include "compaction/workload.h"

#include <math.h>

enum { NEAR = 64, ZIPF_EXACT = 10000 };

/* ---- numbers --------------------------------------------------------------------------------- */

/* Four Feistel rounds permute [0, 4^half_bits); walking on until the result is below range keeps it
 * a permutation of that, in under four steps on average. */
static uint64_t permuted(const struct omi_ops *ops, uint64_t i)
{
    uint64_t mask = (UINT64_C(1) << ops->half_bits) - 1;
    do {
        uint64_t left = i >> ops->half_bits, right = i & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t mixed = omi_random_mix(right ^ (ops->workload->seed << 2) ^ round << 60);
            uint64_t next = left ^ (mixed & mask);
            left = right;
            right = next;
        }
        i = left << ops->half_bits | right;
    } while (i >= ops->range);
    return i;
}

static uint64_t key_number(const struct omi_ops *ops, uint64_t index)
{
    switch (ops->workload->order) {
    case OMI_WORK_RANDOM:
        return permuted(ops, index);
    case OMI_WORK_NEAR_SORTED: /* range is whole blocks */
        return index ^ (omi_random_mix(index / NEAR + ops->workload->seed) % NEAR);
    case OMI_WORK_SORTED:
    default:
        return index;
    }
}

uint64_t omi_ops_load_key(const struct omi_ops *ops, uint64_t i)
{
    return 2 * key_number(ops, i);
}

/* ---- Zipf ------------------------------------------------------------------------------------ */

/* The sum of k^-theta: the first terms one by one, the rest as an integral with its first two
 * corrections (Euler-Maclaurin); what is left out is below 10^-9. */
static double zeta(uint64_t items, double theta)
{
    double sum = 0;
    uint64_t exact = items < ZIPF_EXACT ? items : ZIPF_EXACT;
    for (uint64_t k = 1; k <= exact; k++)
        sum += pow((double)k, -theta);
    if (items == exact)
        return sum;
    double a = (double)exact, b = (double)items;
    sum += (pow(b, 1 - theta) - pow(a, 1 - theta)) / (1 - theta);
    sum += (pow(b, -theta) - pow(a, -theta)) / 2;
    return sum + theta / 12 * (pow(a, -theta - 1) - pow(b, -theta - 1));
}

static void zipf_init(struct omi_ops *ops, uint64_t items)
{
    double theta = ops->workload->theta;
    ops->zipf_items = items;
    ops->zeta = zeta(items, theta);
    ops->zeta2 = 1 + pow(0.5, theta);
    ops->eta = (1 - pow(2 / (double)items, 1 - theta)) / (1 - ops->zeta2 / ops->zeta);
}

/* Gray and others, "Quickly Generating Billion-Record Synthetic Databases", 1994. */
static uint64_t zipf_rank(struct omi_ops *ops)
{
    double theta = ops->workload->theta, u = omi_random_unit(&ops->random), uz = u * ops->zeta;
    if (uz < 1 || ops->zipf_items == 1)
        return 0;
    if (uz < ops->zeta2 || ops->zipf_items == 2)
        return 1;
    double rank = (double)ops->zipf_items * pow(ops->eta * u - ops->eta + 1, 1 / (1 - theta));
    return rank < (double)ops->zipf_items ? (uint64_t)rank : ops->zipf_items - 1;
}

/* ---- operations ------------------------------------------------------------------------------ */

/* New keys at most, in whole blocks. */
static uint64_t range_of(const struct omi_workload *w)
{
    uint64_t range = w->entries;
    if (w->inserts > 0)
        range += omi_workload_ops(w);
    return (range + NEAR - 1) / NEAR * NEAR;
}

void omi_ops_init(struct omi_ops *ops, const struct omi_workload *workload)
{
    *ops = (struct omi_ops){.workload = workload,
                            .random = {workload->seed},
                            .count = workload->entries,
                            .range = range_of(workload),
                            .half_bits = 1};
    while (ops->half_bits < 31 && (UINT64_C(1) << 2 * ops->half_bits) < ops->range)
        ops->half_bits++;
    if (workload->dist != OMI_WORK_UNIFORM)
        zipf_init(ops, workload->entries);
}

/* The index of a key that is there. */
static uint64_t index_choose(struct omi_ops *ops)
{
    uint64_t there = ops->count - ops->oldest;
    switch (ops->workload->dist) {
    case OMI_WORK_ZIPF:
        /* Hot ranks are scattered by the keys' own order; sorted keys need one of their own. */
        return ops->oldest + (ops->workload->order == OMI_WORK_RANDOM
                                  ? zipf_rank(ops) % there
                                  : omi_random_mix(zipf_rank(ops)) % there);
    case OMI_WORK_LATEST:
        return ops->count - 1 - zipf_rank(ops) % there;
    case OMI_WORK_UNIFORM:
    default:
        return ops->oldest + omi_random_below(&ops->random, there);
    }
}

static void write_choose(struct omi_ops *ops, struct omi_op *op)
{
    const struct omi_workload *w = ops->workload;
    double u = omi_random_unit(&ops->random);
    bool sorted = w->order != OMI_WORK_RANDOM && w->inserts > 0;
    if (u < w->deletes && ops->count - ops->oldest > 1) {
        op->kind = OMI_OP_DELETE;
        op->key = 2 * key_number(ops, sorted ? ops->oldest++ : index_choose(ops));
        return;
    }
    op->kind = OMI_OP_PUT;
    bool fresh = omi_random_unit(&ops->random) < w->inserts && ops->count < ops->range;
    op->key = 2 * key_number(ops, fresh ? ops->count++ : index_choose(ops));
}

static int kind_choose(struct omi_ops *ops, const struct omi_phase *phase)
{
    double at = phase->ops > 1 ? (double)ops->in_phase / (double)(phase->ops - 1) : 0;
    double u = omi_random_unit(&ops->random);
    int last = 0;
    for (int op = 0; op < OMI_TUNE_OPS; op++) {
        double share = phase->from[op] + at * (phase->to[op] - phase->from[op]);
        if (share <= 0)
            continue;
        last = op; /* rounding may leave a rest of u at the end */
        if (u < share)
            return op;
        u -= share;
    }
    return last;
}

bool omi_ops_next(struct omi_ops *ops, struct omi_op *op_out)
{
    const struct omi_workload *w = ops->workload;
    if (ops->phase == w->phase_count)
        return false;
    const struct omi_phase *phase = &w->phase[ops->phase];
    *op_out = (struct omi_op){0};
    switch (kind_choose(ops, phase)) {
    case OMI_TUNE_GET_MISS:
        op_out->kind = OMI_OP_GET_MISS;
        op_out->key = 2 * key_number(ops, index_choose(ops)) + 1;
        break;
    case OMI_TUNE_GET_HIT:
        op_out->kind = OMI_OP_GET_HIT;
        op_out->key = 2 * key_number(ops, index_choose(ops));
        break;
    case OMI_TUNE_SCAN:
        op_out->kind = OMI_OP_SCAN;
        op_out->length = w->scan[omi_random_below(&ops->random, w->scan_count)];
        op_out->key = 2 * key_number(ops, index_choose(ops));
        break;
    default:
        write_choose(ops, op_out);
        break;
    }
    if (++ops->in_phase == phase->ops) {
        ops->in_phase = 0;
        ops->phase++;
    }
    return true;
}

/*
 * filter_prefix.c - a layer of key prefixes in front of the lines: where many keys share a prefix,
 * "is the prefix there at all" is a cheaper question, and for lookups of unknown prefixes enough.
 */
#include "learned/filter_plan.h"

#include <math.h>

enum { FEW = 64 };

/* Lookups whose prefix of this length no key has. */
static double share_unknown(const struct omi_plan_axis *a, uint32_t bytes)
{
    uint32_t unknown = 0;
    for (uint32_t i = 0; i < a->newer_count; i++)
        unknown += a->newer[i].known < bytes;
    return a->newer_count > 0 ? (double)unknown / a->newer_count : 0;
}

static double serve(struct omi_plan_regions *r, struct omi_plan_terms t, double pass,
                    double prefix_bits, double most_bits, int *row_out)
{
    struct omi_plan_outcome out;
    t.pass = pass;
    if (most_bits > 0)
        omi_plan_solve_bits(r, &t, most_bits - prefix_bits, &out);
    else
        omi_plan_solve(r, &t, &out);
    *row_out = out.row;
    return most_bits > 0 ? out.fpr : out.cost + t.price * prefix_bits;
}

void omi_plan_prefix_choose(const struct omi_plan_axis *a, struct omi_plan_regions *r,
                            const struct omi_plan_terms *terms, double most_bits,
                            struct omi_plan_prefix *out)
{
    *out = (struct omi_plan_prefix){.pass = 1};
    omi_plan_regions_count(a, r, 0);
    struct omi_plan_terms t = *terms;
    int row;
    double best = serve(r, t, 1, 0, most_bits, &row);
    if (r->count > FEW)
        t.row = row; /* near enough to compare by; few regions have few ways to divide bits */
    for (uint32_t n = 1; n <= OMI_SAMPLE_HEAD_BYTES; n++) {
        bool longer_same = n < OMI_SAMPLE_HEAD_BYTES && a->prefixes[n + 1] == a->prefixes[n];
        if (longer_same || a->prefixes[n] > a->count / 4 || share_unknown(a, n) < 0.05)
            continue;
        omi_plan_regions_count(a, r, n);
        for (uint32_t halvings = 2; halvings <= 10; halvings += 2) {
            double each = halvings * OMI_FILTER_BITS_PER_HALVING, pass = omi_filter_fpr(each);
            double bits = each * a->prefixes[n];
            if (most_bits > 0 && bits >= most_bits)
                break;
            double served = serve(r, t, pass, bits, most_bits, &row);
            if (served < best) {
                best = served;
                *out = (struct omi_plan_prefix){n, omi_filter_probes(each), each, bits, pass};
            }
        }
    }
}

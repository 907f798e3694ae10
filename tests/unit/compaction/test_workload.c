/* Workloads: names, checks, and the operations drawn from them. */
#include "compaction/workload.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(workload, .timeout = 60);

static struct omi_workload work_make(const char *name)
{
    struct omi_workload w;
    cr_assert_eq(omi_workload_named(name, &w), OMEN_OK, "%s", omen_last_error());
    return w;
}

static void counts_of(const struct omi_workload *w, uint64_t counts[5])
{
    struct omi_ops ops;
    struct omi_op op;
    memset(counts, 0, 5 * sizeof(counts[0]));
    omi_ops_init(&ops, w);
    while (omi_ops_next(&ops, &op))
        counts[op.kind]++;
}

Test(workload, every_name_is_valid_and_adds_up_to_one)
{
    char name[32];
    for (int i = 0; i < 12 + 15 + 6 + 2; i++) {
        if (i < 12)
            snprintf(name, sizeof(name), "W%d", i + 1);
        else if (i < 27)
            snprintf(name, sizeof(name), "endure:%d", i - 12);
        else if (i < 33)
            snprintf(name, sizeof(name), "%c", 'A' + i - 27);
        else
            snprintf(name, sizeof(name), "%s", i == 33 ? "ring" : "square");
        struct omi_workload w = work_make(name);
        double mix[OMI_TUNE_OPS], sum = 0;
        omi_workload_mix(&w, mix);
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            sum += mix[op];
        cr_assert(fabs(sum - 1) < 1e-12, "%s", name);
        cr_assert_str_eq(w.name, name);
    }
    static const char *const none[] = {
        "W0", "W13", "W01", "w1", "endure:15", "endure:", "G", "", "AA", "W", "W1 ", "ringg"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        struct omi_workload w;
        cr_assert_eq(omi_workload_named(none[i], &w), OMEN_INVALID, "\"%s\"", none[i]);
        cr_assert(strstr(omen_last_error(), "W1 to W12") != NULL);
    }
}

Test(workload, operations_come_in_the_shares_of_the_mix)
{
    static const char *const names[] = {"W1", "W2", "W5", "W10", "W11", "W12", "B", "E", "F"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct omi_workload w = work_make(names[i]);
        double mix[OMI_TUNE_OPS];
        uint64_t counts[5];
        w.phase[0].ops = 100000;
        omi_workload_mix(&w, mix);
        counts_of(&w, counts);
        for (int op = 0; op < OMI_TUNE_OPS; op++) {
            double share = (double)counts[op] + (op == OMI_TUNE_WRITE ? (double)counts[4] : 0);
            double sd = sqrt(1e5 * mix[op] * (1 - mix[op]));
            cr_assert(fabs(share - 1e5 * mix[op]) <= 5 * sd, "%s, %d: %g of %g", names[i], op,
                      share, 1e5 * mix[op]);
        }
    }
}

Test(workload, the_ring_goes_round_and_moves_inside_its_phases)
{
    struct omi_workload w = work_make("ring");
    cr_assert_eq(w.phase_count, 24);
    static const double first[OMI_TUNE_OPS] = {0.91, 0.03, 0.03, 0.03};
    static const double third[OMI_TUNE_OPS] = {0.45, 0.45, 0.05, 0.05};
    for (int op = 0; op < OMI_TUNE_OPS; op++) {
        cr_assert(fabs(w.phase[0].from[op] - first[op]) < 1e-12);
        cr_assert(fabs(w.phase[23].to[op] - first[op]) < 1e-12, "back where it began");
        cr_assert(fabs(w.phase[3].from[op] - third[op]) < 1e-12);
        for (uint32_t i = 0; i + 1 < 24; i++)
            cr_assert(fabs(w.phase[i].to[op] - w.phase[i + 1].from[op]) < 1e-12);
    }
    for (int corner = 0; corner < OMI_TUNE_OPS; corner++)
        cr_assert(fabs(w.phase[6 * corner].from[corner] - 0.91) < 1e-12);
    /* the first half of a phase from writes to reads has more writes than the second */
    w.phase_count = 1;
    memcpy(w.phase[0].from, (double[]){0, 0, 0, 1}, sizeof(first));
    memcpy(w.phase[0].to, (double[]){1, 0, 0, 0}, sizeof(first));
    struct omi_ops ops;
    struct omi_op op;
    uint64_t early = 0, late = 0, n = 0;
    omi_ops_init(&ops, &w);
    for (; omi_ops_next(&ops, &op); n++)
        *(n < 5000 ? &early : &late) += op.kind == OMI_OP_PUT;
    cr_assert_eq(n, 10000);
    cr_assert(early > 3500 && early < 4000 && late > 1000 && late < 1500);
}

Test(workload, the_same_seed_draws_the_same_operations)
{
    static const char *const names[] = {"W1", "W11", "W12", "D"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct omi_workload w = work_make(names[i]), v = w;
        struct omi_ops a, b, c;
        struct omi_op x, y, z;
        uint64_t differ = 0;
        v.seed = 2;
        omi_ops_init(&a, &w);
        omi_ops_init(&b, &w);
        omi_ops_init(&c, &v);
        while (omi_ops_next(&a, &x)) {
            cr_assert(omi_ops_next(&b, &y) && omi_ops_next(&c, &z));
            cr_assert(x.kind == y.kind && x.key == y.key && x.length == y.length);
            differ += x.key != z.key;
        }
        cr_assert_gt(differ, 5000);
    }
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Test(workload, each_key_is_loaded_once_in_every_order)
{
    enum { N = 5000 };
    static uint64_t keys[N];
    for (int order = 0; order < 3; order++) {
        struct omi_workload w = work_make("W1");
        struct omi_ops ops;
        uint64_t rises = 0, farthest = 0;
        w.entries = N;
        w.order = (enum omi_work_order)order;
        omi_ops_init(&ops, &w);
        for (uint64_t i = 0; i < N; i++) {
            keys[i] = omi_ops_load_key(&ops, i);
            cr_assert_eq(keys[i] % 2, 0);
            rises += i > 0 && keys[i] > keys[i - 1];
            uint64_t off = keys[i] / 2 > i ? keys[i] / 2 - i : i - keys[i] / 2;
            farthest = off > farthest ? off : farthest;
        }
        cr_assert(order != OMI_WORK_SORTED || rises == N - 1);
        cr_assert(order != OMI_WORK_NEAR_SORTED || (farthest < 64 && rises < N - 100));
        cr_assert(order != OMI_WORK_RANDOM || (farthest > N / 2 && rises > 2300 && rises < 2700));
        qsort(keys, N, sizeof(keys[0]), compare_u64);
        for (int i = 1; i < N; i++)
            cr_assert_neq(keys[i], keys[i - 1]);
    }
}

/* Against a set of what is there: hits hit, misses miss, whatever is inserted and deleted. */
Test(workload, hits_hit_and_misses_miss)
{
    static const char *const names[] = {"W1", "W11", "W12", "D", "E"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct omi_workload w = work_make(names[i]);
        struct omi_ops ops;
        struct omi_op op;
        w.entries = 3000;
        w.phase[0].ops = 20000;
        omi_ops_init(&ops, &w);
        bool *there = calloc(2 * ops.range + 2, 1);
        for (uint64_t k = 0; k < w.entries; k++)
            there[omi_ops_load_key(&ops, k)] = true;
        while (omi_ops_next(&ops, &op)) {
            cr_assert_lt(op.key, 2 * ops.range);
            if (op.kind == OMI_OP_GET_MISS)
                cr_assert(!there[op.key]);
            else if (op.kind == OMI_OP_GET_HIT || op.kind == OMI_OP_DELETE)
                cr_assert(there[op.key], "%s: kind %d", names[i], op.kind);
            cr_assert_eq(op.kind == OMI_OP_SCAN, op.length != 0);
            if (op.kind == OMI_OP_PUT || op.kind == OMI_OP_DELETE)
                there[op.key] = op.kind == OMI_OP_PUT;
        }
        free(there);
    }
}

Test(workload, a_time_series_puts_at_its_end_and_deletes_at_its_beginning)
{
    struct omi_workload w = work_make("W12");
    struct omi_ops ops;
    struct omi_op op;
    uint64_t puts = 0, deletes = 0, scans = 0, near_end = 0, newest = w.entries;
    omi_ops_init(&ops, &w);
    while (omi_ops_next(&ops, &op)) {
        if (op.kind == OMI_OP_PUT) {
            puts++;
            cr_assert(op.key / 2 + 64 > newest && op.key / 2 < newest + 128);
            newest = op.key / 2 > newest ? op.key / 2 : newest;
        } else if (op.kind == OMI_OP_DELETE) {
            cr_assert(op.key / 2 < deletes + 64);
            deletes++;
        } else {
            scans++;
            cr_assert_eq(op.length, 100);
            near_end += op.key / 2 + 10000 > newest;
        }
    }
    cr_assert(puts > 8800 && puts < 9200 && deletes > 400 && deletes < 600, "%lu puts, %lu deletes",
              (unsigned long)puts, (unsigned long)deletes);
    cr_assert_gt(near_end * 10, scans * 7);
}

/* The hottest key of Zipf with n keys has 1 / zeta of all requests, and ranks fall as their power. */
Test(workload, zipf_requests_follow_their_law)
{
    struct omi_workload w = work_make("W11");
    struct omi_ops ops;
    struct omi_op op;
    w.entries = 20000;
    w.phase[0].ops = 400000;
    memcpy(w.phase[0].from, (double[]){0, 1, 0, 0}, sizeof(w.phase[0].from));
    memcpy(w.phase[0].to, w.phase[0].from, sizeof(w.phase[0].to));
    omi_ops_init(&ops, &w);
    double exact = 0;
    for (int k = 1; k <= 20000; k++)
        exact += pow(k, -0.99);
    cr_assert(fabs(ops.zeta - exact) < 1e-8, "%.12g, %.12g", ops.zeta, exact);
    uint64_t *count = calloc(2 * ops.range, sizeof(*count));
    while (omi_ops_next(&ops, &op))
        count[op.key]++;
    qsort(count, 2 * ops.range, sizeof(*count), compare_u64);
    const uint64_t *top = count + 2 * ops.range - 1;
    double first = (double)top[0] / 4e5 * exact, tenth = (double)top[-9] / 4e5 * exact;
    cr_assert(fabs(first - 1) < 0.05, "%g", first);
    cr_assert(fabs(tenth / pow(10, -0.99) - 1) < 0.3, "%g", tenth);
    free(count);
}

Test(workload, wrong_fields_are_named)
{
    struct omi_workload good = work_make("W1"), w = good;
    w.entries = 0;
    cr_assert_eq(omi_workload_settle(&w), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "n is 0") != NULL);
    w = good;
    w.theta = 1;
    cr_assert_eq(omi_workload_settle(&w), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "theta") != NULL);
    w = good;
    w.deletes = NAN;
    cr_assert_eq(omi_workload_settle(&w), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "deletes") != NULL);
    w = good;
    w.phase[0].to[2] = -1;
    cr_assert_eq(omi_workload_settle(&w), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "phase 1") != NULL);
    w = good;
    memset(w.phase[0].from, 0, sizeof(w.phase[0].from));
    cr_assert_eq(omi_workload_settle(&w), OMEN_INVALID);
    w = good;
    w.scan[0] = 0;
    cr_assert_eq(omi_workload_settle(&w), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "scan") != NULL);
    w = good;
    w.phase_count = OMI_PHASES_MAX + 1;
    cr_assert_eq(omi_workload_settle(&w), OMEN_INVALID);
    w = good;
    w.phase[0].ops = 0;
    cr_assert_eq(omi_workload_settle(&w), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "ops of phase 1") != NULL);
    w = good;
    for (int op = 0; op < OMI_TUNE_OPS; op++) /* a sum of 0.9 is brought to 1 */
        w.phase[0].from[op] = w.phase[0].to[op] = 0.225;
    cr_assert_eq(omi_workload_settle(&w), OMEN_OK);
    cr_assert_eq(w.phase[0].from[0], 0.25);
}

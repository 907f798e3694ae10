/*
 * workload.c - descriptions: what the names mean, and what is valid.
 */
#include "compaction/workload.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Per cent: z0, z1, q, w. */
static const double acceptance[12][OMI_TUNE_OPS] = {
    {25, 25, 25, 25}, {97, 1, 1, 1},   {1, 97, 1, 1},  {1, 1, 97, 1},
    {1, 1, 1, 97},    {49, 49, 1, 1},  {49, 1, 1, 49}, {1, 49, 1, 49},
    {1, 1, 49, 49},   {1, 33, 33, 33}, {5, 90, 0, 5},  {0, 0, 5, 95}};
static const double endure[15][OMI_TUNE_OPS] = {
    {25, 25, 25, 25}, {97, 1, 1, 1},   {1, 97, 1, 1},   {1, 1, 97, 1},   {1, 1, 1, 97},
    {49, 49, 1, 1},   {49, 1, 49, 1},  {49, 1, 1, 49},  {1, 49, 49, 1},  {1, 49, 1, 49},
    {1, 1, 49, 49},   {33, 33, 33, 1}, {33, 33, 1, 33}, {33, 1, 33, 33}, {1, 33, 33, 33}};

static void phase_add(struct omi_workload *w, const double *from, const double *to)
{
    struct omi_phase *phase = &w->phase[w->phase_count++];
    memcpy(phase->from, from, sizeof(phase->from));
    memcpy(phase->to, to, sizeof(phase->to));
    phase->ops = 10000;
}

/* One corner of the mixes after the other: 91 % of one kind, then in five steps to the next. */
static void ring_make(struct omi_workload *w)
{
    static const double up[5] = {15, 30, 45, 60, 75};
    double mix[25][OMI_TUNE_OPS];
    for (int i = 0; i < 25; i++) {
        int corner = i / 6 % OMI_TUNE_OPS, step = i % 6;
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            mix[i][op] = step == 0 ? 3 : 5;
        mix[i][corner] = step == 0 ? 91 : up[5 - step];
        if (step != 0)
            mix[i][(corner + 1) % OMI_TUNE_OPS] = up[step - 1];
    }
    for (int i = 0; i < 24; i++)
        phase_add(w, mix[i], mix[i + 1]);
}

static bool number_after(const char *text, const char *prefix, unsigned least, unsigned most,
                         unsigned *number_out)
{
    size_t n = strlen(prefix);
    if (strncmp(text, prefix, n) != 0 || strlen(text) - n < 1 || strlen(text) - n > 2)
        return false;
    *number_out = 0;
    for (const char *p = text + n; *p != 0; p++) {
        if (*p < '0' || *p > '9')
            return false;
        *number_out = *number_out * 10 + (unsigned)(*p - '0');
    }
    return *number_out >= least && *number_out <= most && (text[n] != '0' || text[n + 1] == 0);
}

static void acceptance_make(struct omi_workload *w, unsigned number)
{
    phase_add(w, acceptance[number - 1], acceptance[number - 1]);
    if (number == 11) {
        w->dist = OMI_WORK_ZIPF;
        w->theta = 0.99;
    }
    if (number ==
        12) { /* a time series: puts at its end, scans near it, deletes at its beginning */
        w->dist = OMI_WORK_LATEST;
        w->theta = 0.99;
        w->order = OMI_WORK_NEAR_SORTED;
        w->inserts = 1;
        w->deletes = 5.0 / 95;
        w->scan[0] = 100;
    }
}

/* As mixes: a read-modify-write is a get and a put. */
static bool ycsb_make(struct omi_workload *w, const char *name)
{
    static const double mixes[6][OMI_TUNE_OPS] = {{0, 50, 0, 50}, {0, 95, 0, 5}, {0, 100, 0, 0},
                                                  {0, 95, 0, 5},  {0, 0, 95, 5}, {0, 100, 0, 50}};
    if (name[0] < 'A' || name[0] > 'F' || name[1] != 0)
        return false;
    int letter = name[0] - 'A';
    phase_add(w, mixes[letter], mixes[letter]);
    w->dist = letter == 3 ? OMI_WORK_LATEST : OMI_WORK_ZIPF;
    w->theta = 0.99;
    w->inserts = letter == 3 || letter == 4 ? 1 : 0;
    if (letter == 4) { /* 1 to 100, in sixteen steps */
        w->scan_count = 16;
        for (uint32_t i = 0; i < 16; i++)
            w->scan[i] = 1 + i * 99 / 15;
    }
    return true;
}

const char *omi_workload_names(void)
{
    return "W1 to W12, endure:0 to endure:14, A to F, ring, square";
}

omen_err omi_workload_named(const char *name, struct omi_workload *workload_out)
{
    struct omi_workload w = {.entries = 100000,
                             .seed = 1,
                             .entry_bytes = 1000,
                             .memory_bits = 36,
                             .scan = {4},
                             .scan_count = 1};
    unsigned number;
    *workload_out = (struct omi_workload){0};
    if (number_after(name, "W", 1, 12, &number))
        acceptance_make(&w, number);
    else if (number_after(name, "endure:", 0, 14, &number))
        phase_add(&w, endure[number], endure[number]);
    else if (strcmp(name, "ring") == 0)
        ring_make(&w);
    else if (strcmp(name, "square") == 0)
        for (int i = 0; i < 6; i++)
            phase_add(&w, acceptance[i % 2 == 0 ? 4 : 3], acceptance[i % 2 == 0 ? 4 : 3]);
    else if (!ycsb_make(&w, name))
        return omi_fail(OMEN_INVALID, 0, "no workload is called \"%.40s\"; there are %s", name,
                        omi_workload_names());
    snprintf(w.name, sizeof(w.name), "%s", name);
    omen_err err = omi_workload_settle(&w);
    if (err == OMEN_OK)
        *workload_out = w;
    return err;
}

/* ---- checks ---------------------------------------------------------------------------------- */

static omen_err mix_settle(double mix[OMI_TUNE_OPS], uint32_t phase)
{
    double sum = 0;
    for (int op = 0; op < OMI_TUNE_OPS; op++) {
        if (!(mix[op] >= 0 && mix[op] <= 1e9))
            return omi_fail(OMEN_INVALID, 0, "mix of phase %" PRIu32 ": a share is %g", phase + 1,
                            mix[op]);
        sum += mix[op];
    }
    if (sum < 1e-9)
        return omi_fail(OMEN_INVALID, 0, "mix of phase %" PRIu32 " is all 0", phase + 1);
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        mix[op] /= sum;
    return OMEN_OK;
}

static omen_err range_check(const char *field, double value, double least, double most)
{
    if (value >= least && value <= most)
        return OMEN_OK;
    return omi_fail(OMEN_INVALID, 0, "%s is %g, must be %g to %g", field, value, least, most);
}

omen_err omi_workload_settle(struct omi_workload *w)
{
    const struct {
        const char *field;
        double value, least, most;
    } ranges[] = {
        {"n", (double)w->entries, 1, 1e12},
        {"entry", w->entry_bytes, 16, 1 << 20},
        {"bits_per_key_total", w->memory_bits, 0.1, 1e6},
        {"theta", w->theta, 0, 0.999},
        {"inserts", w->inserts, 0, 1},
        {"deletes", w->deletes, 0, 1},
        {"the number of phases", w->phase_count, 1, OMI_PHASES_MAX},
        {"the number of scan lengths", w->scan_count, 1, OMI_SCANS_MAX},
    };
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        omen_err err =
            range_check(ranges[i].field, ranges[i].value, ranges[i].least, ranges[i].most);
        if (err != OMEN_OK)
            return err;
    }
    for (uint32_t i = 0; i < w->scan_count; i++)
        if (w->scan[i] < 1 || w->scan[i] > 1000000)
            return omi_fail(OMEN_INVALID, 0, "scan is %" PRIu32 ", must be 1 to 1000000",
                            w->scan[i]);
    for (uint32_t i = 0; i < w->phase_count; i++) {
        struct omi_phase *phase = &w->phase[i];
        if (phase->ops < 1 || phase->ops > UINT64_C(1000000000000))
            return omi_fail(OMEN_INVALID, 0,
                            "ops of phase %" PRIu32 " is %" PRIu64 ", must be 1 to 10^12", i + 1,
                            phase->ops);
        omen_err err = mix_settle(phase->from, i);
        if (err == OMEN_OK)
            err = mix_settle(phase->to, i);
        if (err != OMEN_OK)
            return err;
    }
    return OMEN_OK;
}

void omi_workload_mix(const struct omi_workload *w, double mix_out[OMI_TUNE_OPS])
{
    double all = 0;
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        mix_out[op] = 0;
    for (uint32_t i = 0; i < w->phase_count; i++) {
        const struct omi_phase *phase = &w->phase[i];
        all += (double)phase->ops;
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            mix_out[op] += (double)phase->ops * (phase->from[op] + phase->to[op]) / 2;
    }
    for (int op = 0; op < OMI_TUNE_OPS && all > 0; op++)
        mix_out[op] /= all;
}

double omi_workload_scan(const struct omi_workload *w)
{
    double sum = 0;
    for (uint32_t i = 0; i < w->scan_count; i++)
        sum += w->scan[i];
    return w->scan_count != 0 ? sum / w->scan_count : 0;
}

uint64_t omi_workload_ops(const struct omi_workload *w)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < w->phase_count; i++)
        sum += w->phase[i].ops;
    return sum;
}

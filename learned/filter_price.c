/*
 * filter_price.c - see filter_price.h. Bisection in log space over a price, the one unknown: false
 * positives rise with it, bits fall.
 */
#include "learned/filter_price.h"

#include <math.h>
#include <stdbool.h>

enum { LINE_BITS = 512, PROBES_MAX = 14, STEPS = 60 };
static const double price_low = 0x1p-80, price_high = 0x1p10;

/* ---- the model of a line --------------------------------------------------------------------- */

/* A line of 512 bits holds a Poisson number of keys; each key's probes set bits at random. */
double omi_filter_fpr_probes(double bits_per_key, unsigned probes)
{
    if (!(bits_per_key > 0) || probes == 0)
        return 1;
    double keys = LINE_BITS / bits_per_key, share = exp(-keys), sum = 0, seen = 0;
    if (share == 0) /* so many keys that every bit is set */
        return 1;
    double clear = pow(1 - 1.0 / LINE_BITS, probes), empty = 1; /* of one bit, after i keys */
    int most = (int)(keys + 12 * sqrt(keys) + 20);
    for (int i = 0; i <= most; i++, empty *= clear) {
        if (i > 0)
            share *= keys / i;
        sum += share * pow(1 - empty, probes);
        seen += share;
    }
    return sum / seen;
}

unsigned omi_filter_probes(double bits_per_key)
{
    /* Where the next number of probes becomes the better one, by the model above. */
    static const double upto[] = {2.08, 3.58,  5.1,  6.64, 8.3,  10.07, 11.72,
                                  14,   16.05, 18.3, 20.6, 22.9, 25.3};
    unsigned probes = 1;
    for (unsigned i = 0; i < sizeof(upto) / sizeof(upto[0]) && bits_per_key > upto[i]; i++)
        probes++;
    return probes;
}

double omi_filter_fpr(double bits_per_key)
{
    return omi_filter_fpr_probes(bits_per_key, omi_filter_probes(bits_per_key));
}

/* ---- one table at a price -------------------------------------------------------------------- */

static double clamp(double v, double low, double high)
{
    return !(v > low) ? low : v > high ? high : v;
}

/* Figures come from counters, files and users: nonsense is nothing, and spreads no further. */
static double sane(double v)
{
    return isfinite(v) && v > 0 ? v : 0;
}

static double halving_of(const struct omi_priced_table *t)
{
    double c = sane(t->halving);
    return c > 0 ? c : OMI_FILTER_BITS_PER_HALVING;
}

double omi_priced_table_fpr(const struct omi_priced_table *t, double price, double floor)
{
    double weight = sane(t->weight);
    floor = clamp(floor, OMI_FILTER_FPR_MIN, 1);
    if (weight == 0)
        return floor;
    return clamp(price * halving_of(t) * sane(t->keys) / (weight * M_LN2), OMI_FILTER_FPR_MIN,
                 floor);
}

double omi_priced_table_bits(const struct omi_priced_table *t, double price, double floor)
{
    return halving_of(t) * log2(1 / omi_priced_table_fpr(t, price, floor));
}

double omi_priced_bits(double price, double keys, double weight, double floor)
{
    struct omi_priced_table t = {.keys = keys, .weight = weight};
    return omi_priced_table_bits(&t, price, floor);
}

/* ---- all tables ------------------------------------------------------------------------------ */

static double harm(const struct omi_priced_table *tables, size_t count, double price, double floor)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += sane(tables[i].weight) * omi_priced_table_fpr(&tables[i], price, floor);
    return sum;
}

static double bits_anew(const struct omi_priced_table *t, double price, double floor)
{
    double saved = isfinite(t->saved) ? t->saved : 0;
    return sane(sane(t->keys) * (omi_priced_table_bits(t, price, floor) - saved));
}

static double memory_anew(const struct omi_priced_table *tables, size_t count, double price,
                          double floor)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += bits_anew(&tables[i], price, floor);
    return sum;
}

static double memory(const struct omi_priced_table *tables, size_t count, double price,
                     double floor)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += sane(tables[i].bits) > 0 ? tables[i].bits : bits_anew(&tables[i], price, floor);
    return sum;
}

/* The price where what rises with it (or falls) comes to most: the last one within it. */
static double price_within(const struct omi_priced_table *tables, size_t count, double most,
                           double floor,
                           double (*sum)(const struct omi_priced_table *tables, size_t count,
                                         double price, double floor),
                           bool rises)
{
    double low = price_low, high = price_high;
    for (int i = 0; i < STEPS; i++) {
        double middle = sqrt(low * high);
        if ((sum(tables, count, middle, floor) > most) == rises)
            high = middle;
        else
            low = middle;
    }
    return rises ? low : high;
}

/* The price that keeps to the budget. */
static double price_of_budget(const struct omi_priced_table *tables, size_t count, size_t there,
                              double budget, double floor)
{
    if (memory(tables, count, price_high, floor) <= budget)
        return price_within(tables, count, budget, floor, memory, false);
    return price_within(tables, there, budget, floor, memory_anew, false);
}

double omi_filter_price(const struct omi_priced_table *tables, size_t count,
                        const struct omi_filter_demand *demand)
{
    double uniform = omi_filter_fpr(demand->uniform_bits), most = 0;
    double floor = clamp(demand->floor, OMI_FILTER_FPR_MIN, 1);
    size_t there = demand->expected < count ? count - demand->expected : 0;
    for (size_t i = 0; i < there; i++)
        most += sane(tables[i].weight) * uniform;
    double price = price_within(tables, there, most, floor, harm, true);
    if (demand->budget_bits > 0 && memory(tables, count, price, floor) > demand->budget_bits) {
        double dearer = price_of_budget(tables, count, there, demand->budget_bits, floor);
        price = dearer > price ? dearer : price;
    }
    return price;
}

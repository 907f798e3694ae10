/*
 * filter_price.h - one price of a filter bit for the whole database, from what every table is asked.
 *
 * Minimise, over all tables, false positives per lookup + price * bits: a table of n keys that w
 * absent lookups come to (per lookup of the database) has a false-positive rate of
 *     f = price * C * n / (w * ln 2), between OMI_FILTER_FPR_MIN and the floor,
 * where C is the bits a key for each halving of f. Equal w gives Monkey's allocation (Dayan,
 * Athanassoulis, Idreos, "Monkey: Optimal Navigable Key-Value Store", 2017); w = 0 on the last level
 * gives "no filter for hits"; inside one table the same law weighs regions (Vaidya, Knorr,
 * Mitzenmacher, Kraska, "Partitioned Learned Bloom Filters", 2021). Deciding what to store is the
 * only use of these numbers: no answer depends on them.
 */
#ifndef OMI_FILTER_PRICE_H
#define OMI_FILTER_PRICE_H

#include <stddef.h>

/* Bits a key for each halving of the false positives of 64-byte lines, around 10 bits a key. */
#define OMI_FILTER_BITS_PER_HALVING 1.49
/* The same of ribbons (ribbon.h), room for the solution to exist included. */
#define OMI_RIBBON_BITS_PER_HALVING 1.05
#define OMI_FILTER_FPR_MIN          (1.0 / 8192)
#define OMI_FILTER_FLOOR_DEFAULT    0.125

/* What is not a number, not finite or negative counts as 0 (saved alone may be negative). */
struct omi_priced_table {
    double keys;
    /* Absent lookups that come here, per lookup of the database, times what one costs that passes. */
    double weight;
    double halving; /* C, of the kind of filter that it has or would get; 0: of lines */
    double saved;   /* bits a key that learning saves of what the law says; 0: not known */
    double bits;    /* of its filter, all in all, which stays; 0: it is to be written */
};

struct omi_filter_demand {
    /* Bits a key whose false positives, on every table alike, are good enough. */
    double uniform_bits;
    double budget_bits; /* the most that all filters together may take; 0: no limit */
    double floor;       /* (0, 1] */
    /* So many of the tables, the last ones, are not there yet: they add no false positives, but room is
     * left for their bits. */
    size_t expected;
};

/* False positives of 64-byte lines at bits a key (probes chosen for it), and with given probes. */
double omi_filter_fpr(double bits_per_key);
double omi_filter_fpr_probes(double bits_per_key, unsigned probes);
/* The best number of probes at bits a key, 1 to 14. */
unsigned omi_filter_probes(double bits_per_key);
/* What a table's filter has at a price by the law alone: false-positive rate, and bits a key. */
double omi_priced_table_fpr(const struct omi_priced_table *table, double price, double floor);
double omi_priced_table_bits(const struct omi_priced_table *table, double price, double floor);
/* Those bits, of a plain filter of lines. */
double omi_priced_bits(double price, double keys, double weight, double floor);
/* The price at which all tables together have no more false positives per lookup than uniform bits
 * would give, for the least memory; or, where that is more than the budget, the price that keeps to
 * it: with what the filters that stay and the expected ones leave; where not even the floor can be had
 * for that, the price at which those that are there would fit if all were written anew. */
double omi_filter_price(const struct omi_priced_table *tables, size_t count,
                        const struct omi_filter_demand *demand);

#endif

/*
 * lab_filter_accept.c - what filters must reach, each figure beside its bound. A figure of time is
 * told and fails nothing: it says as much of the machine as of the filter.
 */
#include "tools/json.h"
#include "tools/lab.h"
#include "tools/lab_filter_measure.h"

#include "io/base/fail.h"
#include "learned/filter_price.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RIBBON_PART_BYTES = 96 << 10 };
enum { LOOKUPS = 200000, FALSE_POSITIVES_MIN = 100, REGIONS = 256, FAR_KEYS = 16 };

struct accept {
    uint32_t keys, samples;
    uint64_t seed;
    bool is_json;
    struct omt_json json;
    int check;
    bool is_short;
    omen_err err;
};

/* ---- telling --------------------------------------------------------------------------------- */

static void tell(struct accept *a, const char *figure, double value, bool at_least, double bound,
                 bool is_time)
{
    bool good = at_least ? value >= bound : value <= bound;
    const char *verdict = good ? "pass" : "short";
    a->is_short = a->is_short || (!good && !is_time);
    if (!a->is_json) {
        printf("%3d  %-58s %9.4g  %s %-8.4g %s%s\n", a->check, figure, value,
               at_least ? ">=" : "<=", bound, verdict, is_time ? " (time)" : "");
        fflush(stdout);
        return;
    }
    omt_json_object(&a->json, NULL);
    omt_json_u64(&a->json, "check", (uint64_t)a->check);
    omt_json_text(&a->json, "figure", figure);
    omt_json_f64(&a->json, "value", value, 8);
    omt_json_text(&a->json, "bound", at_least ? "at least" : "at most");
    omt_json_f64(&a->json, "bound_value", bound, 8);
    omt_json_bool(&a->json, "time", is_time);
    omt_json_text(&a->json, "verdict", verdict);
    omt_json_object_end(&a->json);
}

static void at_most(struct accept *a, const char *figure, double value, double bound)
{
    tell(a, figure, value, false, bound, false);
}

static void at_least(struct accept *a, const char *figure, double value, double bound)
{
    tell(a, figure, value, true, bound, false);
}

static void time_at_most(struct accept *a, const char *figure, double value, double bound)
{
    tell(a, figure, value, false, bound, true);
}

/* ---- one shape of keys and lookups ----------------------------------------------------------- */

struct trial {
    struct omt_filter_work work;
    struct omt_asked_list seen, asked;
    struct omi_filter_sample *samples;
};

static void note(struct accept *a, omen_err err)
{
    a->err = a->err == OMEN_OK ? err : a->err;
}

/* After a failure everything is left out up to the end, where it is told. */
static bool trial_open(struct accept *a, const char *shape, struct trial *t)
{
    const char *why;
    *t = (struct trial){0};
    if (a->err != OMEN_OK)
        return false;
    if (omt_filter_work_make(shape, a->keys, a->seed, &t->work, &why) == 0) {
        t->seen = omt_filter_work_ask(&t->work, OMT_ASK_AS_EVER, a->samples);
        t->asked = omt_filter_work_ask(&t->work, OMT_ASK_AS_EVER, LOOKUPS);
        t->samples = omt_asked_samples(&t->seen);
    }
    if (t->asked.at == NULL || t->samples == NULL)
        note(a, omi_fail(OMEN_NO_MEMORY, 0, "keys and lookups of shape %s", shape));
    return a->err == OMEN_OK;
}

static void trial_close(struct trial *t)
{
    free(t->samples);
    omt_asked_free(&t->seen);
    omt_asked_free(&t->asked);
    omt_filter_work_free(&t->work);
}

static struct omi_filter_params plain_params(double bits)
{
    return (struct omi_filter_params){.kind = OMI_FILTER_PLAIN, .bits = bits};
}

static struct omi_filter_params learned_params(const struct trial *t, double bits, double floor,
                                               double keylike)
{
    return (struct omi_filter_params){.kind = OMI_FILTER_REGIONS,
                                      .bits = bits,
                                      .floor = floor,
                                      .keylike = keylike,
                                      .samples = t->samples,
                                      .sample_count = t->seen.count};
}

/* Builds, or notes why not; a filter that denies a key is an error of its own. */
static struct omt_built make(struct accept *a, const struct trial *t,
                             const struct omi_filter_params *params)
{
    struct omt_built b = {0};
    if (a->err == OMEN_OK)
        note(a, omt_built_make(&t->work, params, &b));
    if (a->err == OMEN_OK && omt_built_denies(&b, &t->work) != 0)
        note(a, omi_fail(OMEN_CORRUPT, 0, "shape %s: the filter denies keys", t->work.name));
    return b;
}

static double bits_for(struct accept *a, const struct trial *t,
                       const struct omi_filter_params *params)
{
    struct omt_built b = {0};
    double bits = INFINITY;
    if (a->err == OMEN_OK)
        note(a, omt_built_for_fpr(&t->work, params, &t->asked, 0.01, &b));
    if (b.size != 0)
        bits = b.bits;
    if (a->err == OMEN_OK && omt_built_denies(&b, &t->work) != 0)
        note(a, omi_fail(OMEN_CORRUPT, 0, "shape %s: the filter denies keys", t->work.name));
    omt_built_free(&b);
    return bits;
}

/* How many percent fewer bits than a plain filter's, at one false positive in a hundred. */
static double saved_pct(struct accept *a, const struct trial *t)
{
    struct omi_filter_params plain = plain_params(0), learned = learned_params(t, 0, 0, 0.05);
    double before = bits_for(a, t, &plain), now = bits_for(a, t, &learned);
    return 100 * (1 - now / before);
}

static void expect_saved(struct accept *a, const char *shape, const char *figure, double bound)
{
    struct trial t;
    if (trial_open(a, shape, &t))
        at_least(a, figure, saved_pct(a, &t), bound);
    trial_close(&t);
}

/* ---- the checks ------------------------------------------------------------------------------ */

static void check_plain(struct accept *a)
{
    static const double bits[] = {10, 16}, bounds[] = {1.0, 0.10};
    static const char *const figures[] = {"plain, 10 bits a key: false positives, %",
                                          "plain, 16 bits a key: false positives, %"};
    struct trial t;
    if (trial_open(a, "A", &t)) {
        struct omt_asked_list more = omt_filter_work_ask(&t.work, OMT_ASK_AS_EVER, 10 * LOOKUPS);
        for (int i = 0; i < 2 && more.at != NULL; i++) {
            struct omi_filter_params p = plain_params(bits[i]);
            struct omt_built b = make(a, &t, &p);
            at_most(a, figures[i], 100 * omt_built_fpr(&b, &more), bounds[i]);
            omt_built_free(&b);
        }
        if (more.at == NULL)
            note(a, omi_fail(OMEN_NO_MEMORY, 0, "%d lookups", 10 * LOOKUPS));
        omt_asked_free(&more);
    }
    trial_close(&t);
}

static void check_ribbon(struct accept *a)
{
    struct trial t;
    if (trial_open(a, "A", &t)) {
        struct omi_filter_params p = {.kind = OMI_FILTER_RIBBON, .part_bytes = RIBBON_PART_BYTES};
        struct omt_asked_list more = omt_filter_work_ask(&t.work, OMT_ASK_AS_EVER, 5 * LOOKUPS);
        if (more.at == NULL)
            note(a, omi_fail(OMEN_NO_MEMORY, 0, "%d lookups", 5 * LOOKUPS));
        omt_asked_free(&t.asked); /* too few to tell a hundredth of a bit by */
        t.asked = more;
        at_most(a, "ribbon: bits a key at one in a hundred", bits_for(a, &t, &p), 7.1);
        p.bits = 7.38;
        struct omt_built b = make(a, &t, &p);
        at_most(a, "ribbon of seven columns: bits a key", b.bits, 7.4);
        at_most(a, "ribbon of seven columns: false positives, %", 100 * omt_built_fpr(&b, &t.asked),
                0.8);
        omt_built_free(&b);
    }
    trial_close(&t);
}

/* A filter of equal regions that lookups are spread over evenly, beside a plain one. */
static void regions_time(struct accept *a, const struct omt_filter_work *w,
                         const struct omt_asked_list *asked, struct omt_ask_times *times)
{
    uint32_t bounds[REGIONS];
    uint8_t classes[REGIONS];
    struct omi_filter_params p = plain_params(10);
    struct omt_built plain = {0}, learned = {0};
    struct omi_filter_layout layout = {.kind = OMI_FILTER_REGIONS,
                                       .bounds = bounds,
                                       .classes = classes,
                                       .region_count = REGIONS,
                                       .bits_per_probe = 1.62};
    const struct omi_index_key *first = &w->keys[0], *last = &w->keys[w->count - 1];
    layout.digest = omi_digest_make(omi_slice(first->key, first->key_size),
                                    omi_slice(last->key, last->key_size));
    for (uint32_t i = 0; i < REGIONS; i++) {
        bounds[i] = i * (UINT32_MAX / REGIONS + 1);
        classes[i] = (uint8_t)(5 + i % 3);
    }
    note(a, omt_built_make(w, &p, &plain));
    if (a->err == OMEN_OK)
        note(a, omt_built_encode(w, &layout, &learned));
    if (a->err == OMEN_OK)
        omt_time_asking(&plain, &learned, asked, times);
    omt_built_free(&plain);
    omt_built_free(&learned);
}

static void check_asking(struct accept *a)
{
    struct trial t;
    struct omt_ask_times times = {{0}, {0}};
    if (trial_open(a, "A", &t)) {
        regions_time(a, &t.work, &t.asked, &times);
        time_at_most(a, "256 regions, ns more than plain, any number at once",
                     times.each[1] - times.each[0], 6);
        time_at_most(a, "256 regions, ns more than plain, one by one",
                     times.after[1] - times.after[0], 10);
        time_at_most(a, "256 regions, ns, any number at once", times.each[1], 12);
        time_at_most(a, "256 regions, ns, one by one", times.after[1], 35);
    }
    trial_close(&t);
}

static void check_asking_far(struct accept *a)
{
    struct omt_filter_work w;
    struct omt_ask_times times = {{0}, {0}};
    const char *why;
    if (a->err != OMEN_OK)
        return;
    if (omt_filter_work_even(a->keys * FAR_KEYS, a->seed, &w, &why) != 0) {
        note(a, omi_fail(OMEN_NO_MEMORY, 0, "%" PRIu32 " keys", a->keys * FAR_KEYS));
        return;
    }
    struct omt_asked_list asked = omt_filter_work_ask(&w, OMT_ASK_AS_EVER, 4 * LOOKUPS);
    if (asked.at == NULL)
        note(a, omi_fail(OMEN_NO_MEMORY, 0, "%d lookups", 4 * LOOKUPS));
    else
        regions_time(a, &w, &asked, &times);
    time_at_most(a, "16 times the keys, 256 regions, one by one, of plain's time",
                 times.after[1] / times.after[0], 1.15);
    omt_asked_free(&asked);
    omt_filter_work_free(&w);
}

/* At a price, as the database builds: bits are what the lab asks for. */
static void check_building(struct accept *a)
{
    static const char *const shapes[] = {"B2", "C1.0", "D3", "E"};
    struct omt_build_times most = {0, 0, 0};
    for (int i = 0; i < 4; i++) {
        struct trial t;
        struct omt_build_times times = {0, 0, 0};
        if (trial_open(a, shapes[i], &t)) {
            struct omi_filter_params p = learned_params(&t, 0, 0, 0);
            p.weight = 1;
            p.price = 0.01 * M_LN2 / (1.49 * t.work.count); /* plain would let 1 % pass */
            note(a, omt_time_building(&t.work, &p, &times));
        }
        trial_close(&t);
        most.fill = fmax(most.fill, times.fill);
        most.learn = fmax(most.learn, times.learn);
        most.verify = fmax(most.verify, times.verify);
    }
    if (a->err != OMEN_OK)
        return;
    time_at_most(a, "the slowest of B2 C1.0 D3 E: fill, ns a key", most.fill, 15);
    time_at_most(a, "the slowest of B2 C1.0 D3 E: learn, ns a key", most.learn, 15);
    time_at_most(a, "the slowest of B2 C1.0 D3 E: verify, ns a key", most.verify, 15);
}

static void check_nothing_to_learn(struct accept *a)
{
    struct trial t;
    if (trial_open(a, "A", &t)) {
        struct omi_filter_params p = plain_params(10), q = learned_params(&t, 10, 0, 0);
        struct omt_built plain = make(a, &t, &p), learned = make(a, &t, &q);
        double before = omt_built_fpr(&plain, &t.asked), now = omt_built_fpr(&learned, &t.asked);
        at_most(a, "A, 10 bits: bytes more than plain, less 0.1 % of it",
                (double)learned.size - 1.001 * (double)plain.size, 64);
        at_most(a, "A, 10 bits: false positives, of plain's", now / before, 1.03);
        omt_built_free(&plain);
        omt_built_free(&learned);
    }
    trial_close(&t);
}

static void check_clusters(struct accept *a)
{
    struct trial t;
    if (trial_open(a, "B", &t)) {
        struct omi_filter_params p = plain_params(10), q = learned_params(&t, 10, 0, 0);
        struct omt_built plain = make(a, &t, &p), learned = make(a, &t, &q);
        double before = omt_built_fpr(&plain, &t.asked), now = omt_built_fpr(&learned, &t.asked);
        at_most(a, "B, 10 bits: false positives, of plain's", now / before, 0.02);
        omt_built_free(&plain);
        omt_built_free(&learned);
        at_least(a, "B, 1 % of false positives, 5 % key-like: fewer bits, %", saved_pct(a, &t), 30);
    }
    trial_close(&t);
}

static void check_wide_clusters(struct accept *a)
{
    expect_saved(a, "B2", "B2, 1 % of false positives, 5 % key-like: fewer bits, %", 18);
}

static void check_hot_prefixes(struct accept *a)
{
    expect_saved(a, "C1.0", "C1.0, 1 % of false positives, 5 % key-like: fewer bits, %", 5);
    expect_saved(a, "C1.2", "C1.2, 1 % of false positives, 5 % key-like: fewer bits, %", 15);
}

static void check_prefixes(struct accept *a)
{
    struct trial t;
    if (trial_open(a, "D1", &t)) {
        struct omi_filter_params keylike = learned_params(&t, 0, 0.125, 0.05),
                                 floor = learned_params(&t, 0, 0.125, 0.125),
                                 none = learned_params(&t, 0, 1, 1);
        at_most(a, "D1, 1 % of false positives, 5 % key-like: bits a key",
                bits_for(a, &t, &keylike), 6.8);
        at_most(a, "D1, 1 % of false positives, floor alone: bits a key", bits_for(a, &t, &floor),
                5.2);
        at_most(a, "D1, 1 % of false positives, no floor: bits a key", bits_for(a, &t, &none), 0.5);
    }
    trial_close(&t);
    if (trial_open(a, "D3", &t)) {
        struct omi_filter_params keylike = learned_params(&t, 0, 0.125, 0.05);
        at_most(a, "D3, 1 % of false positives, 5 % key-like: bits a key",
                bits_for(a, &t, &keylike), 7.0);
    }
    trial_close(&t);
}

static void check_newest(struct accept *a)
{
    expect_saved(a, "E", "E, 1 % of false positives, 5 % key-like: fewer bits, %", 22);
}

/* Which of the hottest keys pass is chance, and one of them is a large part of all lookups: many
 * draws, of a smaller file, of so few bits that it happens often enough to be counted. */
static void check_denied(struct accept *a)
{
    enum { DRAWS = 64 };
    struct accept each = *a;
    double with = 0, without = 0;
    uint32_t denied = 0;
    each.keys = a->keys / 16 + 1;
    for (int i = 0; i < DRAWS; i++) {
        struct trial t;
        each.seed = a->seed + (uint64_t)i;
        if (trial_open(&each, "A2", &t)) {
            struct omi_filter_params p = learned_params(&t, 6, 0, 0);
            struct omt_built b = make(&each, &t, &p);
            with += omt_built_fpr(&b, &t.asked);
            denied = b.f.deny_count > denied ? b.f.deny_count : denied;
            b.f.deny_count = 0;
            without += omt_built_fpr(&b, &t.asked);
            omt_built_free(&b);
        }
        trial_close(&t);
    }
    note(a, each.err);
    at_most(a, "A2, 6 bits, deny list: false positives, of those without",
            without > 0 ? with / without : 1, 0.7);
    at_most(a, "A2, 6 bits: bytes of the longest deny list", 8.0 * denied, 2048);
}

static void check_drift(struct accept *a)
{
    static const char *const shapes[] = {"C0.8", "C1.0", "C1.2"};
    double most = 0, worst = 0;
    for (int i = 0; i < 3; i++) {
        struct trial t;
        if (trial_open(a, shapes[i], &t)) {
            struct omi_filter_params p = plain_params(10), q = learned_params(&t, 10, 0, 0);
            struct omt_built plain = make(a, &t, &p), learned = make(a, &t, &q);
            struct omt_asked_list drifted = omt_filter_work_ask(&t.work, OMT_ASK_DRIFTED, LOOKUPS);
            if (drifted.at == NULL)
                note(a, omi_fail(OMEN_NO_MEMORY, 0, "%d lookups", LOOKUPS));
            most = fmax(most, omt_built_fpr(&learned, &drifted) / omt_built_fpr(&plain, &t.asked));
            worst = fmax(worst, omt_built_worst(&learned, &t.work));
            omt_asked_free(&drifted);
            omt_built_free(&plain);
            omt_built_free(&learned);
        }
        trial_close(&t);
    }
    at_most(a, "C, others become hot, 10 bits: false positives, of plain's", most, 1.3);
    at_most(a, "C, 10 bits: false positives of the worst region", worst, 0.125);
}

static void check_promises(struct accept *a)
{
    static const char *const shapes[] = {"A",    "A2",   "B",  "B2", "B3", "C0.8",
                                         "C1.0", "C1.2", "D1", "D2", "D3", "E"};
    double most = 0;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        for (double bits = 6; bits <= 10; bits += 4) {
            struct trial t;
            if (trial_open(a, shapes[i], &t)) {
                struct omi_filter_params p = learned_params(&t, bits, 0, 0);
                struct omt_built b = make(a, &t, &p);
                double seen = omt_built_fpr(&b, &t.asked);
                if (seen * LOOKUPS >= FALSE_POSITIVES_MIN)
                    most = fmax(most, seen / b.info.promised_fpr);
                omt_built_free(&b);
            }
            trial_close(&t);
        }
    at_most(a, "all shapes, 6 and 10 bits: false positives, of those promised", most, 1.35);
}

/* ---- all tables ------------------------------------------------------------------------------ */

enum { LEVELS = 4 };

struct at_a_price {
    double bits;    /* a key, over all levels */
    double insured; /* false positives a lookup if nothing were found any more */
};

/* Levels ten times each other, keys asked for evenly; this share of lookups finds nothing. */
static struct at_a_price levels_at_their_price(double miss, double halving, double floor)
{
    struct omi_priced_table tables[LEVELS];
    struct omi_filter_demand demand = {.uniform_bits = 10, .floor = floor};
    struct at_a_price out = {0, 0};
    double all = 0, above = 0, keys = 1e4;
    for (int i = 0; i < LEVELS; i++, keys *= 10) {
        tables[i] = (struct omi_priced_table){.keys = keys, .halving = halving};
        all += keys;
    }
    for (int i = 0; i < LEVELS; i++) {
        above += tables[i].keys;
        tables[i].weight = 1 - (1 - miss) * above / all;
    }
    double price = omi_filter_price(tables, LEVELS, &demand);
    for (int i = 0; i < LEVELS; i++) {
        out.bits += tables[i].keys / all * omi_priced_table_bits(&tables[i], price, floor);
        out.insured += omi_priced_table_fpr(&tables[i], price, floor);
    }
    return out;
}

static void check_levels(struct accept *a)
{
    static const double ribbon = OMI_RIBBON_BITS_PER_HALVING, floor = OMI_FILTER_FLOOR_DEFAULT;
    at_most(a, "four levels, all miss: bits a key as good as ten on each",
            levels_at_their_price(1, 0, floor).bits, 7.9);
    at_most(a, "50 % misses", levels_at_their_price(0.5, 0, floor).bits, 6.9);
    at_most(a, "5 % misses", levels_at_their_price(0.05, 0, floor).bits, 5.2);
    at_most(a, "5 % misses, ribbons", levels_at_their_price(0.05, ribbon, floor).bits, 3.7);
    at_most(a, "5 % misses, then all: false positives a lookup",
            levels_at_their_price(0.05, 0, floor).insured, 0.16);
}

/* ---- all of them ----------------------------------------------------------------------------- */

static const struct {
    int number;
    void (*run)(struct accept *);
} checks[] = {{1, check_plain},      {2, check_ribbon},         {5, check_asking},
              {6, check_asking_far}, {7, check_building},       {8, check_nothing_to_learn},
              {9, check_clusters},   {10, check_wide_clusters}, {11, check_hot_prefixes},
              {12, check_prefixes},  {13, check_newest},        {14, check_denied},
              {15, check_drift},     {16, check_levels},        {17, check_promises}};
enum { CHECKS = sizeof(checks) / sizeof(checks[0]) };

/* "9,10" or "all" -> which. -1: some word is no check. */
static int wanted(const char *list, bool out[CHECKS])
{
    for (int i = 0; i < CHECKS; i++)
        out[i] = strcmp(list, "all") == 0;
    if (strcmp(list, "all") == 0)
        return 0;
    for (const char *at = list;; at++) {
        char *end;
        long n = strtol(at, &end, 10);
        int i = 0;
        while (i < CHECKS && checks[i].number != n)
            i++;
        if (end == at || i == CHECKS || (*end != ',' && *end != 0))
            return -1;
        out[i] = true;
        at = end;
        if (*end == 0)
            return 0;
    }
}

int omt_lab_filter_accept(const char *list, uint32_t keys, uint32_t samples, uint64_t seed,
                          bool json)
{
    struct accept a = {
        .keys = keys, .samples = samples, .seed = seed, .is_json = json, .json = {.out = stdout}};
    bool run[CHECKS];
    if (wanted(list, run) != 0) {
        fprintf(stderr, "omendb: lab filter: --accept=%s: \"all\", or of", list);
        for (int i = 0; i < CHECKS; i++)
            fprintf(stderr, " %d", checks[i].number);
        fprintf(stderr, " those you want, with commas between\n");
        return 2;
    }
    if (json)
        omt_json_array(&a.json, NULL);
    for (int i = 0; i < CHECKS; i++) {
        a.check = checks[i].number;
        if (run[i] && a.err == OMEN_OK)
            checks[i].run(&a);
    }
    if (json) {
        omt_json_array_end(&a.json);
        omt_json_end(&a.json);
    }
    if (a.err != OMEN_OK)
        fprintf(stderr, "omendb: lab filter: %s\n", omen_last_error());
    return a.err != OMEN_OK || a.is_short;
}

/* The steps of planning a filter on their own: keys and samples on one axis, regions, probes. */
#include "learned/filter_plan.h"
#include "tests/unit/learned/filter_work.h"

TestSuite(filter_regions, .timeout = 60);

enum { KEYS = 20000, SAMPLES = 2000, SHAPES = 5 };

static struct omi_plan_axis axis_of(const struct work *w, const struct omi_filter_sample *samples,
                                    size_t count)
{
    struct omi_filter_input input = {w->keys, w->hashes, w->count};
    static struct omi_filter_input kept; /* the axis points to it */
    struct omi_plan_axis a;
    kept = input;
    cr_assert_eq(omi_plan_axis_init(&a, &kept, samples, count), OMEN_OK, "%s", omen_last_error());
    return a;
}

static struct omi_filter_sample *absent_make(struct work *w, uint32_t count)
{
    struct omi_filter_sample *samples = malloc(count * sizeof(*samples));
    for (uint32_t i = 0; i < count; i++)
        samples[i] = work_absent(w);
    return samples;
}

static struct omi_filter_sample sample_of(const struct omi_index_key *k)
{
    struct omi_filter_sample s = {omi_key_hash(k->key, k->key_size), (uint16_t)k->key_size, {0}};
    memcpy(s.head, k->key,
           k->key_size < OMI_SAMPLE_HEAD_BYTES ? k->key_size : OMI_SAMPLE_HEAD_BYTES);
    return s;
}

/* ---- the axis -------------------------------------------------------------------------------- */

Test(filter_regions, lookups_of_keys_and_of_other_files_are_no_samples)
{
    struct work w = work_make(WORK_HASHED, KEYS, 1);
    struct work whole = w;
    struct omi_filter_sample *samples = absent_make(&w, SAMPLES);
    w.keys += KEYS / 4; /* the file holds the middle half */
    w.hashes += KEYS / 4;
    w.count /= 2;
    uint64_t first = w.numbers[KEYS / 4], last = w.numbers[KEYS / 4 + w.count - 1];
    uint32_t inside = 0;
    for (uint32_t i = 0; i < SAMPLES; i++) {
        if (i % 4 == 0)
            samples[i] = sample_of(&w.keys[work_random(&w) % w.count]);
        uint64_t number = 0;
        for (int b = 0; b < 8; b++)
            number = number << 8 | samples[i].head[b];
        inside += i % 4 != 0 && number > first && number < last;
    }
    struct omi_plan_axis a = axis_of(&w, samples, SAMPLES);
    cr_assert_eq(a.usable, inside);
    cr_assert_eq(a.older_count, inside / 2);
    cr_assert_eq(a.older_count + a.newer_count, inside);
    for (uint32_t i = 0; i < a.older_count; i++) /* the older half is the older one */
        for (uint32_t j = 0; j < a.newer_count; j += 50)
            cr_assert_lt(a.older[i].from, a.newer[j].from);
    omi_plan_axis_fini(&a);
    free(samples);
    work_free(&whole);
}

Test(filter_regions, prefixes_and_what_samples_share_with_keys_are_counted_right)
{
    for (uint64_t seed = 1; seed <= SHAPES; seed++) {
        struct work w = work_make((enum work_shape)(seed % SHAPES), 3000, seed);
        struct omi_filter_sample *samples = absent_make(&w, 300);
        struct omi_plan_axis a = axis_of(&w, samples, 300);
        for (uint32_t n = 1; n <= 8; n++) {
            uint32_t distinct = 1;
            for (uint32_t i = 1; i < w.count; i++)
                distinct += memcmp(w.keys[i].key, w.keys[i - 1].key, n) != 0;
            cr_assert_eq(a.prefixes[n], distinct, "seed %" PRIu64 ", %u bytes", seed, n);
        }
        for (uint32_t i = 0; i < a.usable; i++) {
            size_t best = 0;
            for (uint32_t k = 0; k < w.count; k++) {
                size_t common = omi_bytes_common(w.keys[k].key, 8, a.older[i].from->head, 8);
                best = common > best ? common : best;
            }
            cr_assert_eq(a.older[i].known, best, "seed %" PRIu64 ", sample %u", seed, i);
        }
        omi_plan_axis_fini(&a);
        free(samples);
        work_free(&w);
    }
}

Test(filter_regions, versions_of_a_key_are_one_key)
{
    struct work w = work_make(WORK_CLUSTERS, 3000, 5);
    struct work twice = w;
    twice.keys = malloc(2 * w.count * sizeof(*w.keys));
    twice.hashes = malloc(2 * w.count * sizeof(*w.hashes));
    twice.count = 0;
    for (uint32_t i = 0; i < w.count; i++)
        for (uint32_t v = 0; v <= (i > 100 && i % 3 == 0); v++) {
            twice.keys[twice.count] = w.keys[i];
            twice.hashes[twice.count++] = w.hashes[i];
        }
    struct omi_filter_sample *samples = absent_make(&w, SAMPLES);
    struct omi_plan_axis a = axis_of(&w, samples, SAMPLES);
    struct omi_plan_axis b = axis_of(&twice, samples, SAMPLES);
    cr_assert_gt(twice.count, w.count);
    cr_assert_eq(a.count, b.count);
    cr_assert_eq(memcmp(a.digests, b.digests, a.count * sizeof(*a.digests)), 0);
    cr_assert_eq(memcmp(a.prefixes, b.prefixes, sizeof(a.prefixes)), 0);
    for (uint32_t i = 0; i < a.usable; i++)
        cr_assert_eq(a.older[i].known, b.older[i].known);
    omi_plan_axis_fini(&a);
    omi_plan_axis_fini(&b);
    free(twice.keys);
    free(twice.hashes);
    free(samples);
    work_free(&w);
}

/* ---- regions --------------------------------------------------------------------------------- */

/* Samples that crowd into a few stretches and keys, or are any bytes. */
static void distort(struct work *w, struct omi_filter_sample *samples, uint32_t count)
{
    uint64_t kind = work_random(w) % 5, pick = work_random(w);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t r = work_random(w);
        if (kind == 1 && r % 2 == 0)
            samples[i] = samples[pick % count];
        if (kind == 2)
            samples[i].head[0] = (uint8_t)(pick >> 8 * (r % 4));
        if (kind == 3)
            memcpy(samples[i].head, &r, sizeof(r));
        if (kind == 4)
            samples[i].key_size = (uint16_t)(r >> 16);
    }
}

static void expect_sound(const struct omi_plan_axis *a, const struct omi_plan_regions *r)
{
    uint32_t keys = 0, cell_keys = 0, gaps = 0;
    cr_assert(r->count >= 1 && r->count < OMI_FILTER_REGIONS_MAX, "%u regions", r->count);
    cr_assert_eq(r->at[0].first, 0);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct omi_plan_region *at = &r->at[i];
        bool last = i + 1 == r->count, cell_begins = i == 0 || at->cell != at[-1].cell;
        cr_assert(i == 0 || at->first > at[-1].first);
        cr_assert_eq(at->keys, (last ? a->count : omi_plan_rank(a, at[1].first)) -
                                   omi_plan_rank(a, at->first));
        cr_assert_eq(at->cell, i == 0 ? 0 : at[-1].cell + cell_begins);
        cr_assert(cell_begins || at->cell_keys == at[-1].cell_keys);
        cell_keys = cell_begins ? at->keys : cell_keys + at->keys;
        if (last || at[1].cell != at->cell)
            cr_assert_eq(cell_keys, at->cell_keys, "region %u", i);
        keys += at->keys;
        gaps += at->keys == 0;
    }
    cr_assert_eq(keys, a->count);
    cr_assert_eq(r->at[r->count - 1].cell + 1, r->cell_count);
    cr_assert_leq(gaps, OMI_PLAN_GAPS_MAX + OMI_PLAN_CUTS_MAX);
}

Test(filter_regions, regions_tile_the_axis_whatever_the_samples_are)
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct work w = work_make((enum work_shape)(seed % SHAPES), 3000, seed);
        struct omi_filter_sample *samples = absent_make(&w, SAMPLES);
        distort(&w, samples, SAMPLES);
        struct omi_plan_axis a = axis_of(&w, samples, SAMPLES);
        struct omi_plan_regions r;
        cr_assert_eq(omi_plan_regions_find(&a, &r), OMEN_OK);
        expect_sound(&a, &r);
        for (uint32_t prefix = 0; prefix <= 8; prefix += 4) { /* no lookup is counted twice */
            double known = 0, unknown = 0;
            omi_plan_regions_count(&a, &r, prefix);
            for (uint32_t i = 0; i < r.count; i++) {
                known += r.at[i].known;
                unknown += r.at[i].unknown;
                cr_assert(r.at[i].keys > 0 || r.at[i].known + r.at[i].unknown == 0);
            }
            cr_assert_leq(known + unknown, a.newer_count + 1e-6, "seed %" PRIu64, seed);
            cr_assert(prefix != 0 || unknown == 0);
        }
        free(r.at);
        omi_plan_axis_fini(&a);
        free(samples);
        work_free(&w);
    }
}

Test(filter_regions, hashed_keys_are_hardly_cut)
{
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct work w = work_make(WORK_HASHED, KEYS, seed);
        struct omi_filter_sample *samples = absent_make(&w, SAMPLES);
        struct omi_plan_axis a = axis_of(&w, samples, SAMPLES);
        struct omi_plan_regions r;
        cr_assert_eq(omi_plan_regions_find(&a, &r), OMEN_OK);
        cr_assert_leq(r.count, 16, "%u regions, seed %" PRIu64, r.count, seed);
        free(r.at);
        omi_plan_axis_fini(&a);
        free(samples);
        work_free(&w);
    }
}

/* One key asked for all the time buys no gap: it is denied. Many keys of one gap do. */
Test(filter_regions, one_hot_key_is_no_gap)
{
    for (int many = 0; many < 2; many++) {
        struct work w = work_make(WORK_HASHED, KEYS, 3);
        struct omi_filter_sample *samples = absent_make(&w, SAMPLES);
        uint32_t at = KEYS / 2;
        for (uint32_t i = 0; i < SAMPLES; i += 5) {
            uint8_t key[8];
            work_put_be(key, w.numbers[at] + (w.numbers[at + 1] - w.numbers[at]) / 4 * 2 +
                                 (many != 0 ? i : 0));
            samples[i] = sample_of(&(struct omi_index_key){.key = key, .key_size = 8});
        }
        struct omi_plan_axis a = axis_of(&w, samples, SAMPLES);
        struct omi_plan_regions r;
        uint32_t digest = omi_digest_of(&a.digest, samples[0].head, 8);
        uint32_t repeated = 0, at_digest = 0;
        cr_assert_eq(omi_plan_regions_find(&a, &r), OMEN_OK);
        omi_plan_regions_count(&a, &r, 0);
        double counted = 0;
        while (at_digest + 1 < r.count && r.at[at_digest + 1].first <= digest)
            at_digest++;
        for (uint32_t i = 0; i < r.count; i++)
            counted += r.at[i].known;
        for (uint32_t i = 0; i < a.newer_count; i++)
            repeated += a.newer[i].repeated;
        cr_assert(many != 0 ? r.at[at_digest].keys == 0 : r.at[at_digest].keys > 0);
        cr_assert(many != 0 ? repeated == 0 : repeated > 100, "%u repeated", repeated);
        cr_assert_lt(counted, 0.85 * a.newer_count, "what is denied or in a gap asks for no bits");
        cr_assert_eq(a.repeated_count, many == 0);
        free(r.at);
        omi_plan_axis_fini(&a);
        free(samples);
        work_free(&w);
    }
}

/* ---- probes ---------------------------------------------------------------------------------- */

enum { FEW = 4 };

static struct omi_plan_regions few_make(struct work *w, struct omi_plan_region *at)
{
    for (uint32_t i = 0; i < FEW; i++) {
        at[i] = (struct omi_plan_region){.first = i * 1000,
                                         .keys = 1 + (uint32_t)(work_random(w) % 1000),
                                         .cell = i,
                                         .known = (double)(work_random(w) % 500),
                                         .unknown = (double)(work_random(w) % 100)};
        at[i].cell_keys = at[i].keys;
    }
    return (struct omi_plan_regions){at, FEW, FEW};
}

/* Bits, false positives and key-like ones of some probes, computed on their own. */
static void few_weigh(const struct omi_plan_regions *r, const struct omi_plan_terms *t,
                      const uint8_t *probes, double density, struct omi_plan_outcome *out)
{
    double keys = 0;
    *out = (struct omi_plan_outcome){.bits = 0};
    for (uint32_t i = 0; i < r->count; i++)
        keys += r->at[i].keys;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct omi_plan_region *at = &r->at[i];
        double f = omi_filter_fpr_probes(density * probes[i], probes[i]);
        out->fpr += (at->known + t->pass * at->unknown + 0.5) / (t->samples + 0.5 * FEW) * f;
        out->keylike += at->keys / keys * f;
        out->bits += density * at->keys * probes[i];
    }
    out->cost = t->weight * out->fpr + t->price * out->bits;
}

/* All divisions of 0 to 9 probes to four regions, within the floor. */
static double few_best(const struct omi_plan_regions *r, const struct omi_plan_terms *t)
{
    double best = INFINITY, density = t->model->density[t->row];
    for (uint32_t n = 0; n < 10000; n++) {
        uint8_t probes[FEW] = {(uint8_t)(n % 10), (uint8_t)(n / 10 % 10), (uint8_t)(n / 100 % 10),
                               (uint8_t)(n / 1000)};
        struct omi_plan_outcome o;
        bool within = true;
        for (uint32_t i = 0; i < FEW; i++)
            within = within && omi_filter_fpr_probes(density * probes[i], probes[i]) <= t->floor;
        if (!within)
            continue;
        few_weigh(r, t, probes, density, &o);
        best = o.cost < best ? o.cost : best;
    }
    return best;
}

Test(filter_regions, no_other_division_of_probes_is_cheaper)
{
    struct work w = {.state = 77};
    struct omi_plan_model model;
    omi_plan_model_init(&model);
    for (int round = 0; round < 12; round++) {
        struct omi_plan_region at[FEW];
        struct omi_plan_regions r = few_make(&w, at);
        struct omi_plan_terms t = {.model = &model,
                                   .price = 1e-5 / (double)(1 + work_random(&w) % 50),
                                   .weight = 0.5,
                                   .floor = round % 3 == 0 ? 0.125 : 1,
                                   .keylike = 1,
                                   .pass = 0.1,
                                   .samples = 3000,
                                   .row = (int)(work_random(&w) % OMI_PLAN_DENSITIES)};
        struct omi_plan_outcome out;
        omi_plan_solve(&r, &t, &out);
        for (uint32_t i = 0; i < FEW; i++)
            if (at[i].probes > 9)
                cr_skip("round %d needs more probes than are tried here", round);
        double best = few_best(&r, &t);
        uint8_t probes[FEW] = {at[0].probes, at[1].probes, at[2].probes, at[3].probes};
        struct omi_plan_outcome own;
        few_weigh(&r, &t, probes, out.bits_per_probe, &own);
        cr_assert_float_eq(own.fpr, out.fpr, 1e-9);
        cr_assert_float_eq(own.keylike, out.keylike, 1e-9);
        cr_assert_leq(own.cost, best * (1 + 1e-9), "round %d: %g against %g", round, own.cost,
                      best);
    }
}

Test(filter_regions, floor_and_key_like_bound_hold_or_the_plan_is_refused)
{
    struct work w = {.state = 5};
    struct omi_plan_model model;
    omi_plan_model_init(&model);
    for (int round = 0; round < 300; round++) {
        static const double floors[] = {1, 0.5, 0.125, 0.02}, likes[] = {1, 0.3, 0.05, 0.005};
        struct omi_plan_region at[FEW];
        struct omi_plan_regions r = few_make(&w, at);
        struct omi_plan_terms t = {.model = &model,
                                   .price = pow(10, -9 + (double)(work_random(&w) % 70) / 10),
                                   .weight = (double)(work_random(&w) % 100) / 100,
                                   .floor = floors[work_random(&w) % 4],
                                   .keylike = likes[work_random(&w) % 4],
                                   .pass = 1,
                                   .samples = 3000,
                                   .row = OMI_PLAN_ANY_DENSITY};
        struct omi_plan_outcome out;
        if (round % 2 == 0)
            omi_plan_solve(&r, &t, &out);
        else
            omi_plan_solve_bits(&r, &t, 1e4, &out);
        if (isinf(out.cost))
            continue;
        cr_assert_leq(out.keylike, t.keylike);
        cr_assert(round % 2 == 0 || out.bits <= 1e4 + 1e-6, "%g bits", out.bits);
        for (uint32_t i = 0; i < FEW; i++) {
            double f = omi_filter_fpr_probes(out.bits_per_probe * at[i].probes, at[i].probes);
            cr_assert_leq(f, t.floor + 1e-12, "round %d, region %u", round, i);
        }
    }
}

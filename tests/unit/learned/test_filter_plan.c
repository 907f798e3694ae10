/* What filters learn: by shape of keys and lookups, beside a plain filter of as many bits. */
#include "tests/unit/learned/filter_work.h"

TestSuite(filter_plan, .timeout = 60);

enum { KEYS = 200000, SAMPLES = 4096, LOOKUPS = 100000 };

static struct omi_filter_sample *samples_make(struct work *w, uint32_t count)
{
    struct omi_filter_sample *samples = malloc(count * sizeof(*samples));
    for (uint32_t i = 0; i < count; i++)
        samples[i] = work_absent(w);
    return samples;
}

/* Builds both filters of bits a key and expects the learned one to let at most share of the plain
 * one's false positives pass. */
static void expect_gain(enum work_shape shape, double bits, double share)
{
    struct work w = work_make(shape, KEYS, 7);
    struct omi_filter_sample *samples = samples_make(&w, SAMPLES);
    struct omi_filter_params plain = {.kind = OMI_FILTER_PLAIN, .bits = bits};
    struct omi_filter_params learned = {.kind = OMI_FILTER_REGIONS,
                                        .bits = bits,
                                        .floor = 1,
                                        .keylike = 1,
                                        .samples = samples,
                                        .sample_count = SAMPLES};
    struct work_filter a = work_build(&w, &plain), b = work_build(&w, &learned);
    work_expect_no_key_denied(&w, &b);
    double plain_fpr = work_fpr(&w, &a, LOOKUPS), learned_fpr = work_fpr(&w, &b, LOOKUPS);
    cr_assert_leq(b.size, a.size + 64 + a.size / 1000, "%zu bytes against %zu", b.size, a.size);
    cr_assert_leq(learned_fpr, share * plain_fpr + 10.0 / LOOKUPS, "%.5f against %.5f", learned_fpr,
                  plain_fpr);
    if (share < 0.9) {
        cr_assert_eq(b.info.why, OMI_FILTER_WHY_GAIN);
        cr_assert_leq(learned_fpr, 1.35 * b.info.promised_fpr + 20.0 / LOOKUPS);
    }
    free(a.section);
    free(b.section);
    free(samples);
    work_free(&w);
}

Test(filter_plan, clusters_leave_gaps_that_cost_nothing)
{
    expect_gain(WORK_CLUSTERS, 10, 0.02);
}

Test(filter_plan, clusters_over_a_quarter_of_the_space_gain_by_the_gaps_between)
{
    expect_gain(WORK_HALF_CLUSTERS, 10, 0.6);
}

Test(filter_plan, unknown_prefixes_are_stopped_by_a_layer_of_their_own)
{
    expect_gain(WORK_METRICS, 10, 0.05);
}

Test(filter_plan, a_hot_tenth_gets_the_bits_of_the_rest)
{
    expect_gain(WORK_NEWEST, 10, 0.5);
}

Test(filter_plan, hashed_keys_have_nothing_to_learn_and_lose_nothing)
{
    expect_gain(WORK_HASHED, 10, 1.08);
}

/* At a price at which a plain filter lets one in a hundred pass: bits of the learned one in percent of
 * the plain one's, at most; and what it promises of held-back lookups is what others see. */
static void expect_fewer_bits(enum work_shape shape, double percent)
{
    struct work w = work_make(shape, KEYS, 21);
    struct omi_filter_sample *samples = samples_make(&w, SAMPLES);
    struct omi_filter_params p = {.kind = OMI_FILTER_PLAIN,
                                  .price = 0.01 * M_LN2 / (1.49 * w.count),
                                  .weight = 1,
                                  .samples = samples,
                                  .sample_count = SAMPLES};
    struct work_filter plain = work_build(&w, &p);
    p.kind = OMI_FILTER_REGIONS;
    struct work_filter learned = work_build(&w, &p);
    double plain_fpr = work_fpr(&w, &plain, LOOKUPS), fpr = work_fpr(&w, &learned, LOOKUPS);
    work_expect_no_key_denied(&w, &learned);
    cr_assert_leq((double)learned.size, percent / 100 * (double)plain.size, "%zu bytes of %zu",
                  learned.size, plain.size);
    cr_assert_leq(fpr, 1.35 * learned.info.promised_fpr + 20.0 / LOOKUPS, "%.5f, promised %.5f",
                  fpr, learned.info.promised_fpr);
    cr_assert_leq(fpr, 1.35 * plain_fpr);
    cr_assert_leq(learned.info.keylike_fpr, 5 * plain.info.plain_fpr);
    free(plain.section);
    free(learned.section);
    free(samples);
    work_free(&w);
}

Test(filter_plan, at_one_price_gaps_save_bits)
{
    expect_fewer_bits(WORK_CLUSTERS, 72);
    expect_fewer_bits(WORK_HALF_CLUSTERS, 82);
}

Test(filter_plan, at_one_price_a_prefix_layer_saves_bits)
{
    expect_fewer_bits(WORK_METRICS, 73);
}

Test(filter_plan, at_one_price_regions_save_bits)
{
    expect_fewer_bits(WORK_NEWEST, 80);
}

Test(filter_plan, hashed_keys_have_a_plain_filter_at_every_price)
{
    struct work w = work_make(WORK_HASHED, 50000, 9);
    struct omi_filter_sample *samples = samples_make(&w, SAMPLES);
    for (double price = 1e-5; price > 1e-10; price /= 1.7) {
        struct omi_filter_params p = {.kind = OMI_FILTER_REGIONS,
                                      .price = price,
                                      .weight = 1,
                                      .samples = samples,
                                      .sample_count = SAMPLES};
        struct work_filter b = work_build(&w, &p);
        cr_assert_eq(b.info.kind, OMI_FILTER_PLAIN, "price %g", price);
        cr_assert_eq(b.info.why, OMI_FILTER_WHY_NO_GAIN);
        cr_assert_eq(b.info.samples, SAMPLES);
        free(b.section);
    }
    free(samples);
    work_free(&w);
}

/* Lookups of which two fifths are of a hundred keys, those that the sample shows again and again. */
static struct omi_filter_sample hot_absent(struct work *w, const struct omi_filter_sample *hot)
{
    return work_random(w) % 10 < 4 ? hot[work_random(w) % 100] : work_absent(w);
}

Test(filter_plan, what_the_deny_list_answers_asks_for_no_bits)
{
    struct work w = work_make(WORK_HASHED, KEYS, 31);
    struct omi_filter_sample hot[100], *samples = samples_make(&w, SAMPLES);
    for (uint32_t i = 0; i < 100; i++)
        hot[i] = work_absent(&w);
    for (uint32_t i = 0; i < SAMPLES; i++)
        samples[i] = hot_absent(&w, hot);
    struct omi_filter_params p = {.kind = OMI_FILTER_PLAIN,
                                  .price = 0.05 * M_LN2 / (1.49 * w.count),
                                  .weight = 1,
                                  .samples = samples,
                                  .sample_count = SAMPLES};
    struct work_filter plain = work_build(&w, &p);
    p.kind = OMI_FILTER_REGIONS;
    struct work_filter b = work_build(&w, &p);
    uint32_t passed = 0, hot_passed = 0;
    for (uint32_t i = 0; i < LOOKUPS; i++) {
        struct omi_filter_sample s = hot_absent(&w, hot);
        passed += work_asks(&b, s.head, 8, s.hash);
    }
    for (uint32_t i = 0; i < 100; i++)
        hot_passed += work_asks(&b, hot[i].head, 8, hot[i].hash);
    cr_assert_eq(hot_passed, 0);
    cr_assert_eq(b.info.why, OMI_FILTER_WHY_GAIN);
    cr_assert(b.info.denied >= 1 && b.info.denied <= 100, "%u denied", b.info.denied);
    cr_assert_leq((double)b.size, 0.93 * (double)plain.size, "%zu bytes of %zu", b.size,
                  plain.size);
    cr_assert_leq((double)passed / LOOKUPS, 1.1 * b.info.promised_fpr);
    work_expect_no_key_denied(&w, &b);
    free(plain.section);
    free(b.section);
    free(samples);
    work_free(&w);
}

Test(filter_plan, keys_out_of_order_still_get_a_filter_that_holds_them)
{
    struct work w = work_make(WORK_CLUSTERS, KEYS, 41);
    struct omi_filter_sample *samples = samples_make(&w, SAMPLES);
    for (uint32_t i = 100; i < 200; i++) {
        struct omi_index_key k = w.keys[i];
        uint64_t h = w.hashes[i];
        w.keys[i] = w.keys[KEYS - 2 * i];
        w.hashes[i] = w.hashes[KEYS - 2 * i];
        w.keys[KEYS - 2 * i] = k;
        w.hashes[KEYS - 2 * i] = h;
    }
    struct omi_filter_params p = {.kind = OMI_FILTER_REGIONS,
                                  .bits = 10,
                                  .floor = 1,
                                  .keylike = 1,
                                  .samples = samples,
                                  .sample_count = SAMPLES};
    struct work_filter b = work_build(&w, &p);
    work_expect_no_key_denied(&w, &b);
    cr_assert(b.info.why == OMI_FILTER_WHY_BUILD_FAILED || b.info.regions == 1);
    free(b.section);
    free(samples);
    work_free(&w);
}

Test(filter_plan, parameters_that_cannot_be_are_refused)
{
    struct work w = work_make(WORK_HASHED, 100, 1);
    struct omi_filter_input input = {w.keys, w.hashes, w.count};
    const struct omi_filter_params bad[] = {
        {.kind = OMI_FILTER_NONE, .bits = 10},
        {.kind = OMI_FILTER_CUSTOM, .bits = 10},
        {.kind = OMI_FILTER_REGIONS},
        {.kind = OMI_FILTER_REGIONS, .bits = 65},
        {.kind = OMI_FILTER_REGIONS, .bits = -1, .price = 1e-8},
        {.kind = OMI_FILTER_REGIONS, .bits = (double)NAN, .price = 1e-8},
        {.kind = OMI_FILTER_REGIONS, .price = -1e-8},
        {.kind = OMI_FILTER_REGIONS, .price = (double)INFINITY},
        {.kind = OMI_FILTER_REGIONS, .price = (double)NAN},
        {.kind = OMI_FILTER_REGIONS, .price = 1e-8, .weight = -1},
        {.kind = OMI_FILTER_REGIONS, .price = 1e-8, .weight = (double)NAN},
        {.kind = OMI_FILTER_REGIONS, .bits = 10, .floor = 1.5},
        {.kind = OMI_FILTER_REGIONS, .bits = 10, .floor = (double)NAN},
        {.kind = OMI_FILTER_REGIONS, .bits = 10, .keylike = 1.5},
        {.kind = OMI_FILTER_REGIONS, .bits = 10, .keylike = -0.1},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct omi_buf out = {0};
        struct omi_filter_info info;
        cr_assert_eq(omi_filter_build(&input, &bad[i], &out, &info), OMEN_INVALID, "case %zu", i);
        cr_assert_eq(out.size, 0);
        omi_buf_fini(&out);
    }
    work_free(&w);
}

Test(filter_plan, few_samples_or_few_keys_mean_a_plain_filter)
{
    struct work w = work_make(WORK_CLUSTERS, KEYS, 3);
    struct omi_filter_sample *samples = samples_make(&w, SAMPLES);
    struct omi_filter_params p = {
        .kind = OMI_FILTER_REGIONS, .bits = 10, .samples = samples, .sample_count = 200};
    struct work_filter b = work_build(&w, &p);
    cr_assert_eq(b.info.kind, OMI_FILTER_PLAIN);
    cr_assert_eq(b.info.why, OMI_FILTER_WHY_FEW_SAMPLES);
    free(b.section);
    w.count = 1500;
    p.sample_count = SAMPLES;
    b = work_build(&w, &p);
    cr_assert_eq(b.info.kind, OMI_FILTER_PLAIN);
    cr_assert_neq(b.info.why, OMI_FILTER_WHY_GAIN);
    free(b.section);
    free(samples);
    w.count = KEYS / 2;
    work_free(&w);
}

Test(filter_plan, the_floor_bounds_every_region_and_the_key_like_rate)
{
    struct work w = work_make(WORK_NEWEST, KEYS, 11);
    struct omi_filter_sample *samples = samples_make(&w, SAMPLES);
    struct omi_filter_params p = {.kind = OMI_FILTER_REGIONS,
                                  .price = 1e-5,
                                  .weight = 1,
                                  .floor = 0.125,
                                  .samples = samples,
                                  .sample_count = SAMPLES};
    struct work_filter b = work_build(&w, &p);
    uint32_t passed = 0;
    cr_assert_leq(b.info.keylike_fpr, 0.125);
    for (uint32_t i = 0; i < LOOKUPS; i++) { /* neighbours of keys */
        uint8_t key[8];
        work_put_be(key, w.numbers[work_random(&w) % w.count] + 1);
        passed += work_asks(&b, key, 8, omi_key_hash(key, 8));
    }
    cr_assert_leq(passed, 0.16 * LOOKUPS, "%u of %d", passed, LOOKUPS);
    free(b.section);
    free(samples);
    work_free(&w);
}

Test(filter_plan, the_price_decides_the_bits)
{
    struct work w = work_make(WORK_HASHED, KEYS, 5);
    double prices[] = {1e-9, 1e-8, 1e-7};
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < 3; i++) {
        struct omi_filter_params p = {
            .kind = OMI_FILTER_REGIONS, .price = prices[i], .weight = 1, .floor = 1};
        struct work_filter b = work_build(&w, &p);
        cr_assert_lt(b.size, last, "%zu bytes at price %g", b.size, prices[i]);
        last = b.size;
        free(b.section);
    }
    struct omi_filter_params nobody = {
        .kind = OMI_FILTER_REGIONS, .price = 1e-8, .weight = 0, .floor = 1};
    struct work_filter none = work_build(&w, &nobody);
    cr_assert_eq(none.size, 0, "nobody asks, and there is no floor: no filter");
    work_free(&w);
}

/* Keys that share more bytes than a sample keeps: nothing is seen of them but the hash. */
Test(filter_plan, hot_false_positives_are_denied)
{
    enum { SHARED = 40, HOT = 100, SIZE = SHARED + 8 };
    struct work w = work_make(WORK_HASHED, KEYS, 13);
    uint8_t *bytes = malloc((size_t)w.count * SIZE), hot[HOT][SIZE];
    for (uint32_t i = 0; i < w.count; i++) {
        uint8_t *key = bytes + (size_t)i * SIZE;
        memset(key, 'p', SHARED);
        memcpy(key + SHARED, w.keys[i].key, 8);
        w.keys[i] = (struct omi_index_key){key, 1, SIZE, SIZE + 20};
        w.hashes[i] = omi_key_hash(key, SIZE);
    }
    struct omi_filter_params p = {.kind = OMI_FILTER_PLAIN, .bits = 6};
    struct work_filter plain = work_build(&w, &p);
    struct omi_filter_sample samples[SAMPLES];
    for (uint32_t i = 0; i < SAMPLES; i++) { /* a hundred that pass, again and again */
        samples[i] = samples[i % HOT];
        for (bool passes = i >= HOT; !passes;) {
            memset(hot[i], 'p', SHARED);
            memcpy(hot[i] + SHARED, work_absent(&w).head, 8);
            samples[i] = (struct omi_filter_sample){omi_key_hash(hot[i], SIZE), SIZE, {0}};
            memcpy(samples[i].head, hot[i], OMI_SAMPLE_HEAD_BYTES);
            passes = work_asks(&plain, hot[i], SIZE, samples[i].hash);
        }
    }
    p.kind = OMI_FILTER_REGIONS;
    p.samples = samples;
    p.sample_count = SAMPLES;
    struct work_filter b = work_build(&w, &p);
    uint32_t passed = 0;
    for (uint32_t i = 0; i < HOT; i++)
        passed += work_asks(&b, hot[i], SIZE, samples[i].hash);
    cr_assert_eq(passed, 0, "%u of the hundred still pass", passed);
    cr_assert_eq(b.info.denied, HOT);
    work_expect_no_key_denied(&w, &b);
    free(plain.section);
    free(b.section);
    free(bytes);
    work_free(&w);
}

/* Samples that lie: keys of the file, hashes of other keys, sizes past the head, all alike. */
Test(filter_plan, hostile_samples_cannot_hide_a_key)
{
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct work w = work_make((enum work_shape)(seed % 5), 4000, seed);
        struct omi_filter_sample samples[2048];
        for (uint32_t i = 0; i < 2048; i++) {
            uint64_t r = work_random(&w), pick = r % w.count;
            samples[i] = work_absent(&w);
            if (seed % 4 == 0 || r % 7 == 0)
                samples[i].hash = w.hashes[pick];
            if (seed % 4 == 1 || r % 7 == 1)
                memcpy(samples[i].head, w.keys[pick].key, 8);
            if (seed % 4 == 2 || r % 7 == 2)
                samples[i].key_size = (uint16_t)(r >> 32);
            if (seed % 4 == 3)
                samples[i] = samples[0];
        }
        struct omi_filter_params p = {.kind = OMI_FILTER_REGIONS,
                                      .bits = 0.5 + (double)(seed % 12),
                                      .floor = 1,
                                      .keylike = 1,
                                      .part_bytes = seed % 3 == 0 ? 512 : 0,
                                      .samples = samples,
                                      .sample_count = 2048};
        struct work_filter b = work_build(&w, &p);
        work_expect_no_key_denied(&w, &b);
        free(b.section);
        work_free(&w);
    }
}

Test(filter_plan, the_same_input_gives_the_same_bytes)
{
    struct work w = work_make(WORK_HALF_CLUSTERS, 50000, 17);
    struct omi_filter_sample *samples = samples_make(&w, SAMPLES);
    struct omi_filter_params p = {.kind = OMI_FILTER_REGIONS,
                                  .price = 1e-8,
                                  .weight = 0.7,
                                  .part_bytes = 8192,
                                  .samples = samples,
                                  .sample_count = SAMPLES};
    struct work_filter a = work_build(&w, &p), b = work_build(&w, &p);
    cr_assert_eq(a.size, b.size);
    cr_assert_eq(memcmp(a.section, b.section, a.size), 0);
    cr_assert_gt(a.info.parts, 1);
    free(a.section);
    free(b.section);
    free(samples);
    work_free(&w);
}

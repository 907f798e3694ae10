/* Filters of kind ribbon: space, false positives, classes by region, and what becomes of keys that
 * have no ribbon. */
#include "learned/filter_head.h"
#include "learned/filter_price.h"
#include "learned/ribbon_part.h"
#include "tests/filter_cases.h"
#include "tests/unit/learned/filter_work.h"

TestSuite(filter_ribbon, .timeout = 60);

enum { KEYS = 200000, SAMPLES = 4096, LOOKUPS = 200000, PART_BYTES = 96 << 10 };

static struct omi_filter_sample *samples_make(struct work *w)
{
    struct omi_filter_sample *samples = malloc(SAMPLES * sizeof(*samples));
    for (uint32_t i = 0; i < SAMPLES; i++)
        samples[i] = work_absent(w);
    return samples;
}

static void expect_parts_sound(const struct work_filter *b)
{
    for (uint32_t p = 0; p < b->f.part_count; p++) {
        uint64_t off;
        uint32_t size;
        omi_filter_part(&b->f, p, &off, &size);
        cr_assert(off % 64 == 0 && off + size <= b->size);
        cr_assert(omi_filter_part_sound(&b->f, p, b->section + off), "part %u", p);
    }
}

/* ---- space and false positives ----------------------------------------------------------------- */

Test(filter_ribbon, one_in_a_hundred_for_seven_bits_a_key)
{
    static const uint32_t counts[] = {100000, 300000, 1000000};
    static const uint32_t part_bytes[] = {0, 64 << 10, PART_BYTES};
    for (size_t c = 0; c < 3; c++)
        for (size_t p = 0; p < 3; p++) {
            struct work w = work_make(WORK_HASHED, counts[c], c + 1);
            struct omi_filter_params params = {
                .kind = OMI_FILTER_RIBBON, .bits = 7.08, .part_bytes = part_bytes[p]};
            struct work_filter b = work_build(&w, &params);
            double bits = 8.0 * (double)b.size / w.count, fpr = work_fpr(&w, &b, 2 * LOOKUPS);
            cr_assert_eq(b.info.kind, OMI_FILTER_RIBBON);
            cr_assert_eq(b.info.why, OMI_FILTER_WHY_FEW_SAMPLES);
            cr_assert_eq(b.info.parts > 1, part_bytes[p] != 0 && b.size > part_bytes[p] + 4096);
            work_expect_no_key_denied(&w, &b);
            expect_parts_sound(&b);
            cr_assert_leq(bits, 7.1, "%u keys: %.4f bits a key", w.count, bits);
            cr_assert_leq(fpr, 0.0103, "%u keys, %u: %.4f %%", w.count, part_bytes[p], 100 * fpr);
            cr_assert_leq(fabs(fpr / b.info.promised_fpr - 1), 0.1, "%g, promised %g", fpr,
                          b.info.promised_fpr);
            free(b.section);
            work_free(&w);
        }
}

Test(filter_ribbon, seven_columns_take_seven_bits_and_a_third)
{
    struct work w = work_make(WORK_HASHED, KEYS, 4);
    struct omi_filter_params params = {
        .kind = OMI_FILTER_RIBBON, .bits = 7.38, .part_bytes = PART_BYTES};
    struct work_filter b = work_build(&w, &params);
    double bits = 8.0 * (double)b.size / w.count, fpr = work_fpr(&w, &b, 1000000);
    cr_assert_leq(bits, 7.4, "%.4f bits a key", bits);
    cr_assert_leq(fpr, 0.008, "%.4f %%", 100 * fpr);
    free(b.section);
    work_free(&w);
}

Test(filter_ribbon, every_number_of_bits_is_kept_to_and_used)
{
    struct work w = work_make(WORK_HASHED, 60000, 5);
    double before = 1;
    for (double asked = 1.2; asked < 15; asked += 0.37) {
        struct omi_filter_params params = {
            .kind = OMI_FILTER_RIBBON, .bits = asked, .part_bytes = 32 << 10};
        struct work_filter b = work_build(&w, &params);
        double bits = 8.0 * (double)b.size / w.count;
        work_expect_no_key_denied(&w, &b);
        cr_assert_eq(b.info.kind, OMI_FILTER_RIBBON, "%g bits", asked);
        cr_assert_leq(bits, 1.005 * asked + 0.05, "%g bits asked, %g taken", asked, bits);
        cr_assert_geq(bits, fmin(0.985 * asked, 13), "%g bits asked, %g taken", asked, bits);
        cr_assert_leq(b.info.promised_fpr, before);
        before = b.info.promised_fpr;
        free(b.section);
    }
    work_free(&w);
}

/* The price that a plain filter is built at gives as many false positives with fewer bits, for the
 * bits of a ribbon do more. */
Test(filter_ribbon, the_price_buys_more_of_a_ribbon)
{
    struct work w = work_make(WORK_HASHED, KEYS, 6);
    for (double price = 1e-6; price > 1e-11; price /= 7) {
        struct omi_filter_params params = {
            .kind = OMI_FILTER_REGIONS, .price = price, .weight = 0.5, .part_bytes = PART_BYTES};
        struct work_filter plain = work_build(&w, &params);
        params.kind = OMI_FILTER_RIBBON;
        struct work_filter b = work_build(&w, &params);
        double want = omi_priced_table_fpr(
            &(struct omi_priced_table){.keys = w.count, .weight = 0.5, .halving = 1.045}, price,
            0.125);
        double fpr = work_fpr(&w, &b, LOOKUPS);
        cr_assert_eq(b.info.kind, OMI_FILTER_RIBBON);
        cr_assert_leq(b.info.promised_fpr, 0.1251);
        cr_assert_leq(fabs(b.info.promised_fpr / want - 1), 0.02, "price %g: %g, not %g", price,
                      b.info.promised_fpr, want);
        cr_assert_leq(fabs(fpr - want), 5 * sqrt(want / LOOKUPS) + 0.02 * want, "%g, not %g", fpr,
                      want);
        cr_assert_leq((double)b.size, 0.85 * (double)plain.size, "price %g: %zu against %zu", price,
                      b.size, plain.size);
        free(plain.section);
        free(b.section);
    }
    work_free(&w);
}

Test(filter_ribbon, few_keys_or_few_bits_are_left_to_lines)
{
    struct work w = work_make(WORK_HASHED, 1500, 7);
    struct omi_filter_params params = {.kind = OMI_FILTER_RIBBON, .bits = 8};
    struct work_filter b = work_build(&w, &params);
    cr_assert_eq(b.info.kind, OMI_FILTER_PLAIN);
    free(b.section);
    work_free(&w);
    w = work_make(WORK_HASHED, 20000, 8);
    params.bits = 0.8;
    b = work_build(&w, &params);
    cr_assert_eq(b.info.kind, OMI_FILTER_PLAIN);
    free(b.section);
    work_free(&w);
}

/* ---- learned ----------------------------------------------------------------------------------- */

/* At equal bits, against a ribbon that learned nothing. */
static void expect_gain(enum work_shape shape, double bits, double share)
{
    struct work w = work_make(shape, KEYS, 9);
    struct omi_filter_sample *samples = samples_make(&w);
    struct omi_filter_params params = {
        .kind = OMI_FILTER_RIBBON, .bits = bits, .floor = 1, .keylike = 1, .part_bytes = 64 << 10};
    struct work_filter plain = work_build(&w, &params);
    params.samples = samples;
    params.sample_count = SAMPLES;
    struct work_filter b = work_build(&w, &params);
    double before = work_fpr(&w, &plain, LOOKUPS), fpr = work_fpr(&w, &b, LOOKUPS);
    work_expect_no_key_denied(&w, &b);
    expect_parts_sound(&b);
    cr_assert_eq(b.info.kind, OMI_FILTER_RIBBON);
    cr_assert_eq(b.info.why, share < 1 ? OMI_FILTER_WHY_GAIN : OMI_FILTER_WHY_NO_GAIN);
    cr_assert_leq((double)b.size, 1.01 * (double)plain.size + 512, "%zu bytes against %zu", b.size,
                  plain.size);
    cr_assert_leq(fpr, share * before + 10.0 / LOOKUPS, "%.5f against %.5f", fpr, before);
    if (share < 1)
        cr_assert_leq(fpr, 1.35 * b.info.promised_fpr + 20.0 / LOOKUPS, "%.5f, promised %.5f", fpr,
                      b.info.promised_fpr);
    free(plain.section);
    free(b.section);
    free(samples);
    work_free(&w);
}

Test(filter_ribbon, regions_get_the_columns_that_their_lookups_deserve)
{
    expect_gain(WORK_NEWEST, 7, 0.5);
}

Test(filter_ribbon, gaps_cost_nothing)
{
    expect_gain(WORK_CLUSTERS, 7, 0.02);
}

Test(filter_ribbon, clusters_over_a_quarter_of_the_space_gain)
{
    expect_gain(WORK_HALF_CLUSTERS, 7, 0.6);
}

Test(filter_ribbon, a_layer_of_prefixes_stands_before_ribbons_too)
{
    expect_gain(WORK_METRICS, 7, 0.05);
}

Test(filter_ribbon, hashed_keys_have_nothing_to_learn)
{
    expect_gain(WORK_HASHED, 7, 1.08);
}

Test(filter_ribbon, the_floor_holds_in_every_region)
{
    struct work w = work_make(WORK_NEWEST, KEYS, 10);
    struct omi_filter_sample *samples = samples_make(&w);
    struct omi_filter_params params = {.kind = OMI_FILTER_RIBBON,
                                       .price = 1e-5,
                                       .weight = 1,
                                       .floor = 0.125,
                                       .samples = samples,
                                       .sample_count = SAMPLES};
    struct work_filter b = work_build(&w, &params);
    for (uint32_t r = 0; r < b.f.region_count; r++) {
        uint32_t digest;
        int columns;
        omi_filter_region(&b.f, r, &digest, &columns);
        cr_assert(columns == -1 || columns >= 3, "region %u has %d columns", r, columns);
    }
    free(b.section);
    free(samples);
    work_free(&w);
}

/* ---- keys that have no ribbon ------------------------------------------------------------------ */

/* Hashes as a foe of every seed would choose them: a third of them starts within a few slots of each
 * other, whichever seed is tried. */
static void hashes_crowd(struct work *w, uint32_t blocks)
{
    uint32_t n = 0, slots = blocks * OMI_RIBBON_WIDTH;
    for (uint8_t seed = 0; seed < OMI_RIBBON_SEEDS; seed++)
        for (uint32_t crowd = 0; crowd < 400;) {
            uint64_t hash = work_random(w);
            if (omi_ribbon_key_of(hash, blocks, seed).start / 64 != slots / 128)
                continue;
            w->hashes[n++] = hash;
            crowd++;
        }
}

Test(filter_ribbon, keys_without_a_solution_get_lines)
{
    struct work w = work_make(WORK_NEWEST, 20000, 11);
    struct omi_filter_sample *samples = samples_make(&w);
    hashes_crowd(&w, (uint32_t)omi_ribbon_blocks(w.count));
    for (int learned = 0; learned < 2; learned++) {
        struct omi_filter_params params = {.kind = OMI_FILTER_RIBBON,
                                           .bits = 7,
                                           .floor = 1,
                                           .keylike = 1,
                                           .samples = samples,
                                           .sample_count = learned ? SAMPLES : 0};
        struct work_filter b = work_build(&w, &params);
        work_expect_no_key_denied(&w, &b);
        cr_assert_eq(b.info.why, OMI_FILTER_WHY_BUILD_FAILED);
        cr_assert_eq(b.info.kind, learned ? OMI_FILTER_REGIONS : OMI_FILTER_PLAIN);
        free(b.section);
    }
    struct omi_buf out = {0};
    struct omi_filter_input input = {w.keys, w.hashes, w.count};
    uint32_t bound = 0;
    uint8_t columns = 7;
    struct omi_filter_layout l = {
        .kind = OMI_FILTER_RIBBON, .bounds = &bound, .classes = &columns, .region_count = 1};
    cr_assert_eq(omi_filter_encode(&input, &l, &out, NULL), OMEN_ABORTED);
    cr_assert_eq(out.size, 0);
    omi_buf_fini(&out);
    free(samples);
    work_free(&w);
}

/* ---- classes of a part ------------------------------------------------------------------------- */

Test(filter_ribbon, a_part_has_six_classes_at_most_and_small_ones_move_up)
{
    struct omi_ribbon_wish wishes[OMI_RIBBON_COLUMNS_MAX + 1] = {{0, false}};
    uint8_t serves[OMI_RIBBON_COLUMNS_MAX + 1];
    struct omi_ribbon_part p;
    cr_assert(omi_ribbon_part_plan(wishes, 0, &p, serves));
    cr_assert(p.count == 0 && omi_ribbon_part_bytes(&p) == 0);
    for (uint8_t c = 1; c <= OMI_RIBBON_COLUMNS_MAX; c++)
        wishes[c] = (struct omi_ribbon_wish){30000, true};
    cr_assert(omi_ribbon_part_plan(wishes, 0, &p, serves));
    cr_assert_eq(p.count, OMI_RIBBON_CLASSES_MAX);
    for (uint8_t c = 1; c <= OMI_RIBBON_COLUMNS_MAX; c++)
        cr_assert(serves[c] >= c, "class %u is served by %u", c, serves[c]);
    memset(wishes, 0, sizeof(wishes));
    wishes[3] = (struct omi_ribbon_wish){50000, true};
    wishes[6] = (struct omi_ribbon_wish){20, true};
    wishes[7] = (struct omi_ribbon_wish){10000, true};
    wishes[12] = (struct omi_ribbon_wish){40, true};
    cr_assert(omi_ribbon_part_plan(wishes, 0, &p, serves));
    cr_assert(serves[3] == 3 && serves[6] == 7 && serves[7] == 7 && serves[12] == 12, "%u %u %u %u",
              serves[3], serves[6], serves[7], serves[12]);
    cr_assert_eq(p.count, 3);
    wishes[3].keys = UINT64_C(1) << 40;
    cr_assert_not(omi_ribbon_part_plan(wishes, 0, &p, serves));
}

static struct case_filter encode_classes(const struct case_keys *k, uint32_t regions)
{
    uint32_t bounds[64];
    uint8_t classes[64], key[8];
    const struct omi_index_key *last = &k->keys[k->count - 1];
    struct omi_filter_layout l = {
        .kind = OMI_FILTER_RIBBON,
        .digest = omi_digest_make(omi_slice(k->keys[0].key, 8), omi_slice(last->key, 8)),
        .bounds = bounds,
        .classes = classes,
        .region_count = regions,
        .part_bytes = 4096};
    for (uint32_t r = 0; r < regions; r++) {
        case_number((uint64_t)r * k->count / regions * 2, key);
        bounds[r] = r == 0 ? 0 : omi_digest_of(&l.digest, key, 8);
        classes[r] = (uint8_t)(r % (OMI_RIBBON_COLUMNS_MAX + 1));
    }
    struct omi_filter_input input = case_input(k);
    struct omi_buf out = {0};
    cr_assert_eq(omi_filter_encode(&input, &l, &out, NULL), OMEN_OK, "%s", omen_last_error());
    struct case_filter c = case_filter_open(&out);
    omi_buf_fini(&out);
    return c;
}

/* Even numbers; the odd ones between them are asked for. */
static struct case_keys even_keys(uint32_t count)
{
    struct case_keys k = {.keys = cases_alloc(count, sizeof(*k.keys)),
                          .hashes = cases_alloc(count, sizeof(*k.hashes)),
                          .count = count,
                          .bytes = cases_alloc(count, 8)};
    for (uint32_t i = 0; i < count; i++) {
        case_number(2 * (uint64_t)i, k.bytes + 8 * (size_t)i);
        k.keys[i] = (struct omi_index_key){k.bytes + 8 * (size_t)i, 1, 8, 20};
        k.hashes[i] = omi_key_hash(k.keys[i].key, 8);
    }
    return k;
}

Test(filter_ribbon, every_region_has_the_false_positives_of_its_class_or_fewer)
{
    enum { REGIONS = 42, EACH = 4000 };
    struct case_keys k = even_keys(REGIONS * EACH);
    struct case_filter c = encode_classes(&k, REGIONS);
    cr_assert_eq(case_denied(&c, &k), 0);
    cr_assert(case_sound(&c) && c.f.part_count > 10);
    for (uint32_t r = 0; r < REGIONS; r++) {
        uint32_t passed = 0, most = EACH >> r % (OMI_RIBBON_COLUMNS_MAX + 1);
        for (uint32_t i = r * EACH; i < (r + 1) * EACH - 1; i++) {
            uint8_t key[8];
            case_number(2 * (uint64_t)i + 1, key);
            passed += omi_filter_may_hold(&c.f, c.section, omi_slice(key, 8), omi_key_hash(key, 8));
        }
        cr_assert_leq(passed, most + 6 * sqrt(most) + 6, "region %u: %u of %u", r, passed, EACH);
    }
    case_filter_free(&c);
    case_keys_free(&k);
}

/* ---- damage ------------------------------------------------------------------------------------ */

Test(filter_ribbon, every_flipped_bit_of_a_part_is_noticed)
{
    struct case_keys k = even_keys(3000);
    struct case_filter c = encode_classes(&k, 9);
    for (uint32_t p = 0; p < c.f.part_count; p++) {
        uint64_t off;
        uint32_t size;
        omi_filter_part(&c.f, p, &off, &size);
        for (uint32_t bit = 0; bit < 8 * size; bit++) {
            c.section[off + bit / 8] ^= (uint8_t)(1u << bit % 8);
            cr_assert_not(omi_filter_part_sound(&c.f, p, c.section + off), "part %u, bit %u", p,
                          bit);
            c.section[off + bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    case_filter_free(&c);
    case_keys_free(&k);
}

/* A part may hold anything and match its check all the same: nothing outside of it is read, which the
 * sanitizers watch, for it ends where its memory does. */
Test(filter_ribbon, parts_of_any_bytes_can_be_asked)
{
    struct case_keys k = even_keys(3000);
    struct case_filter c = encode_classes(&k, 9);
    struct dice d = {12};
    uint32_t denied = 0;
    for (uint32_t p = 0; p < c.f.part_count; p++) {
        uint64_t off;
        uint32_t size;
        omi_filter_part(&c.f, p, &off, &size);
        uint8_t *part = malloc(size);
        for (uint32_t t = 0; t < 4000; t++) {
            memcpy(part, c.section + off, size);
            for (uint32_t n = 1 + dice_below(&d, 3); n > 0; n--) {
                uint32_t at =
                    dice_below(&d, dice_below(&d, 4) != 0 ? OMI_RIBBON_TABLE_BYTES : size);
                if (dice_below(&d, 2) != 0)
                    part[at] ^= (uint8_t)(1u << dice_below(&d, 8));
                else
                    part[at] = (uint8_t)dice_next(&d);
            }
            for (uint32_t i = 0; i < 8; i++) {
                struct omi_filter_route route;
                uint32_t at = dice_below(&d, k.count);
                omen_slice key = omi_slice(k.keys[at].key, 8);
                if (omi_filter_route(&c.f, key, k.hashes[at], &route) != OMI_FILTER_PROBE ||
                    route.part != p)
                    continue;
                omi_filter_prefetch(&c.f, &route, part, k.hashes[at]);
                denied += !omi_filter_probe(&c.f, &route, part, k.hashes[at]);
            }
        }
        free(part);
    }
    cr_assert_gt(denied, 0, "no key was lost: nothing was damaged");
    case_filter_free(&c);
    case_keys_free(&k);
}

Test(filter_ribbon, classes_that_no_ribbon_has_are_refused)
{
    struct case_keys k = even_keys(3000);
    struct omi_filter_input input = case_input(&k);
    struct omi_buf out = {0};
    uint32_t bound = 0;
    uint8_t columns = OMI_RIBBON_COLUMNS_MAX + 1;
    struct omi_filter_layout l = {
        .kind = OMI_FILTER_RIBBON, .bounds = &bound, .classes = &columns, .region_count = 1};
    cr_assert_eq(omi_filter_encode(&input, &l, &out, NULL), OMEN_INVALID);
    columns = 5;
    l.more = 1;
    cr_assert_eq(omi_filter_encode(&input, &l, &out, NULL), OMEN_INVALID);
    l.more = 0;
    cr_assert_eq(omi_filter_encode(&input, &l, &out, NULL), OMEN_OK);
    struct omi_filter f;
    out.data[2] = OMI_RIBBON_COLUMNS_MAX + 1;
    omi_put_u64(out.data + 8, omi_filter_head_check(out.data, OMI_FILTER_HEADER_BYTES, 0));
    cr_assert_eq(omi_filter_open(out.data, out.size, out.size, &f), OMEN_CORRUPT);
    cr_assert_eq(f.kind, OMI_FILTER_NONE);
    omi_buf_fini(&out);
    case_keys_free(&k);
}

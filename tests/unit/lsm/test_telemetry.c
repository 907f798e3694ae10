/* What is told of the workload: windows, hot keys and skew, sortedness, misses by cache size; kept. */
#include "io/base/coding.h"
#include "io/base/hash.h"
#include "io/env_sim.h"
#include "lsm/db.h"
#include "lsm/telemetry_file.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(telemetry, .timeout = 120);

static uint64_t dice_state = 20260101; /* the seed, told by failing tests */

static uint64_t roll(uint64_t n)
{
    dice_state = dice_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (dice_state >> 24) % n;
}

static omen_slice key_of(uint64_t number, char text[static 24])
{
    return omi_slice(text, (size_t)snprintf(text, 24, "key%010" PRIu64, number));
}

static uint64_t hash_of(omen_slice key)
{
    return omi_key_hash(key.data, key.size);
}

static omen_db *open_db(struct omi_env *env, uint32_t flags)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK | flags,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .cache_bytes = 256u << 10,
                      .filter_bytes = 1u << 20};
    omen_db *db;
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
    return db;
}

static void put(omen_db *db, uint64_t number, size_t size)
{
    char key[24], value[512] = {0};
    cr_assert_eq(omen_put(db, NULL, key_of(number, key), omi_slice(value, size)), OMEN_OK, "%s",
                 omen_last_error());
}

static bool get(omen_db *db, uint64_t number)
{
    char key[24];
    omen_value value;
    omen_err err = omen_get(db, NULL, key_of(number, key), &value);
    cr_assert(err == OMEN_OK || err == OMEN_NOT_FOUND, "%s", omen_last_error());
    omen_value_release(&value);
    return err == OMEN_OK;
}

static void scan(omen_db *db, uint64_t from, uint64_t entries)
{
    omen_iter *it;
    char key[24];
    cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
    omen_iter_seek(it, key_of(from, key));
    for (uint64_t i = 1; i < entries; i++)
        omen_iter_next(it);
    omen_iter_close(it);
}

static omen_telemetry *telemetry_of(omen_db *db)
{
    static omen_telemetry t;
    t.struct_bytes = sizeof(t);
    cr_assert_eq(omen_get_telemetry(db, &t), OMEN_OK, "%s", omen_last_error());
    return &t;
}

/* ---- windows --------------------------------------------------------------------------------- */

Test(telemetry, a_window_is_ten_thousand_operations_and_counts_them_by_kind)
{
    struct omi_env *env = omi_sim_create(1);
    omen_db *db = open_db(env, 0);
    for (uint64_t i = 0; i < 5000; i++)
        put(db, i, 100);
    for (uint64_t i = 0; i < 4000; i++)
        cr_assert(get(db, i));
    for (uint64_t i = 0; i < 900; i++)
        cr_assert(!get(db, 10000 + i));
    for (uint64_t i = 0; i < 100; i++) { /* to the ten thousandth */
        char key[24];
        cr_assert_eq(omen_delete(db, NULL, key_of(i, key)), OMEN_OK);
    }
    for (uint64_t i = 0; i < 70; i++)
        scan(db, 200, i);
    omen_telemetry *t = telemetry_of(db);
    cr_assert_eq(t->window_count, 1);
    omen_window w = t->window[0];
    cr_assert(w.puts == 5000 && w.get_hits == 4000 && w.get_misses == 900 && w.deletes == 100 &&
              w.scans == 0);
    cr_assert_eq(w.bytes_in, 5000 * 113 + 100 * 13);
    cr_assert_eq(w.bytes_out, 4000 * 100);
    cr_assert_gt(w.flushes, 5);
    cr_assert_gt(w.written_bytes, w.bytes_in / 2);
    cr_assert_gt(w.block_asks, 1000);
    cr_assert_leq(w.block_reads, w.block_asks);
    cr_assert_eq(w.size_ratio, 6);
    w = t->running;
    cr_assert(w.puts + w.get_hits + w.get_misses + w.deletes == 0 && w.scans == 70);
    cr_assert_eq(w.scan_lengths[0], 0, "a seek shows one entry");
    cr_assert_eq(w.scan_lengths[1], 2);
    cr_assert_eq(w.scan_lengths[2], 2);
    cr_assert_eq(w.scan_lengths[3], 4);
    cr_assert_eq(w.scan_lengths[7], 6);
    cr_assert_eq(w.scan_entries, 1 + 69 * 70 / 2);
    cr_assert_eq(w.bytes_out, w.scan_entries * 113);
    cr_assert(t->all.puts == 5000 && t->all.scans == 70 && t->all.get_hits == 4000);
    for (uint64_t n = 0; n < 70 * OMI_TELEMETRY_OPS; n++)
        get(db, roll(5000));
    t = telemetry_of(db);
    cr_assert_eq(t->window_count, OMEN_WINDOWS_MAX);
    cr_assert_eq(t->window[0].puts, 0, "the oldest are gone");
    cr_assert_eq(t->window[OMEN_WINDOWS_MAX - 1].get_hits +
                     t->window[OMEN_WINDOWS_MAX - 1].get_misses,
                 OMI_TELEMETRY_OPS);
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

Test(telemetry, versions_that_merges_drop_are_counted)
{
    struct omi_env *env = omi_sim_create(1);
    omen_db *db = open_db(env, 0);
    for (uint64_t i = 0; i < 20000; i++)
        put(db, i % 1000, 50);
    cr_assert_eq(omen_compact(db, NULL, NULL), OMEN_OK);
    cr_assert_eq(telemetry_of(db)->all.overwrites, 19000);
    omen_stats s = {.struct_bytes = sizeof(s)};
    cr_assert_eq(omen_get_stats(db, &s), OMEN_OK);
    cr_assert_eq(s.merge_overwritten, 19000);
    for (uint64_t i = 0; i < 1000; i++) {
        char key[24];
        cr_assert_eq(omen_delete(db, NULL, key_of(i, key)), OMEN_OK);
    }
    cr_assert_eq(omen_compact(db, NULL, NULL), OMEN_OK);
    cr_assert_eq(omen_get_stats(db, &s), OMEN_OK);
    cr_assert_eq(s.merge_overwritten, 20000);
    cr_assert_eq(s.merge_deletes, 1000);
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

Test(telemetry, flushes_tell_sorted_keys_from_random_ones)
{
    struct omi_env *env = omi_sim_create(1);
    for (int sorted = 0; sorted < 3; sorted++) {
        omen_db *db = open_db(env, 0);
        for (uint64_t i = 0; i < 30000; i++) /* 2: near-sorted, among 64 */
            put(db, sorted == 0 ? roll(1000000) : sorted == 1 ? i : i / 64 * 64 + roll(64), 60);
        double found = telemetry_of(db)->sorted;
        if (sorted == 0)
            cr_assert_lt(found, 0.05);
        else
            cr_assert_gt(found, sorted == 1 ? 0.999 : 0.8, "%d: %f", sorted, found);
        cr_assert_eq(omen_close(db), OMEN_OK);
        cr_assert_eq(omi_db_destroy(env, "/db"), OMEN_OK);
    }
    omi_sim_destroy(env);
}

/* ---- skew ------------------------------------------------------------------------------------ */

enum { ITEMS = 100000 };

/* Draws from a Zipf distribution by its table of sums. */
static double *zipf_sums(double theta)
{
    double *sums = malloc(ITEMS * sizeof(*sums)), sum = 0;
    cr_assert(sums != NULL);
    for (int i = 0; i < ITEMS; i++)
        sums[i] = sum += pow(i + 1, -theta);
    return sums;
}

static uint64_t zipf(const double *sums)
{
    double x = (double)roll(UINT64_C(1) << 40) / (double)(UINT64_C(1) << 40) * sums[ITEMS - 1];
    uint64_t low = 0, high = ITEMS - 1;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (sums[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void expect_skew(double theta, double low, double high)
{
    struct omi_telemetry *t;
    double *sums = zipf_sums(theta);
    char key[24];
    cr_assert_eq(omi_telemetry_create(4, &t), OMEN_OK);
    for (int n = 0; n < 8000; n++) { /* what 64 windows leave */
        omen_slice k = key_of(zipf(sums), key);
        omi_telemetry_key(t, (unsigned)n % OMI_COUNTER_STRIPES, k, hash_of(k));
    }
    omen_window now = {0}, running;
    static struct omi_telemetry_image image;
    omi_telemetry_copy(t, &now, &image, &running);
    double skew = running.skew_permille / 1000.0;
    cr_log_info("theta %.2f: skew %.3f", theta, skew);
    cr_assert(skew >= low && skew <= high, "theta %.2f: %.3f", theta, skew);
    omi_telemetry_destroy(t);
    free(sums);
}

Test(telemetry, skew_is_the_zipf_exponent_where_it_matters)
{
    expect_skew(0, 0, 0);
    expect_skew(0.8, 0.55, 1.05);
    expect_skew(0.99, 0.8, 1.15);
    expect_skew(1.2, 1.0, 1.35);
}

Test(telemetry, hot_keys_are_found_with_bounds_on_their_share)
{
    struct omi_env *env = omi_sim_create(1);
    omen_db *db = open_db(env, 0);
    omi_sample_set_every(db->sample, 2);
    for (uint64_t i = 0; i < 2000; i++)
        put(db, i, 20);
    for (uint64_t i = 0; i < 40000; i++) /* a tenth to one key, a twentieth to another */
        get(db, i % 10 == 3 ? 77 : i % 20 == 6 ? 99 : roll(2000));
    omen_telemetry *t = telemetry_of(db);
    cr_assert_eq(t->hot_count, OMEN_HOT_KEYS_MAX);
    char key[24];
    const omen_hot_key *first = &t->hot[0], *second = &t->hot[1];
    cr_assert(first->key_bytes == 13 && memcmp(first->key, key_of(77, key).data, 13) == 0);
    cr_assert(second->key_bytes == 13 && memcmp(second->key, key_of(99, key).data, 13) == 0);
    cr_assert_eq(first->hash, hash_of(key_of(77, key)));
    double share = 4000 / 42000.0;
    cr_assert(first->share_min < share * 1.1 && first->share > share * 0.9, "%f to %f",
              first->share_min, first->share);
    cr_assert_gt(first->share_min, 0.07);
    cr_assert(t->sampled_keys > 9000 && t->sampled_keys < 12000, "%lu",
              (unsigned long)t->sampled_keys);
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

/* ---- misses by cache size -------------------------------------------------------------------- */

enum { LRU_BLOCKS = 400 };

/* Misses of an LRU cache of so many bytes, one by one. */
static uint64_t lru_misses(const uint32_t *asked, uint64_t count, uint64_t bytes,
                           const uint32_t *sizes)
{
    uint32_t order[LRU_BLOCKS], n = 0; /* newest first */
    uint64_t misses = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t at = 0;
        uint64_t before = 0;
        while (at < n && order[at] != asked[i])
            before += sizes[order[at++]];
        misses += at == n || before + sizes[asked[i]] > bytes;
        if (at == n)
            n++;
        memmove(&order[1], &order[0], at * sizeof(order[0]));
        order[0] = asked[i];
    }
    return misses;
}

static double curve_at(const omen_miss_point *points, uint32_t count, uint64_t bytes)
{
    double misses = 1;
    for (uint32_t i = 0; i < count && points[i].cache_bytes <= bytes; i++)
        misses = points[i].misses;
    return misses;
}

Test(telemetry, the_curve_of_all_blocks_is_that_of_an_lru_cache)
{
    enum { ASKED = 20000 };
    static uint32_t asked[ASKED], sizes[LRU_BLOCKS];
    struct omi_reuse *r;
    cr_assert_eq(omi_reuse_create(&r), OMEN_OK);
    for (int i = 0; i < LRU_BLOCKS; i++)
        sizes[i] = 2048 + 512 * (uint32_t)roll(9);
    for (int i = 0; i < ASKED; i++) {
        asked[i] = (uint32_t)(roll(3) == 0 ? roll(LRU_BLOCKS) : roll(1 + roll(LRU_BLOCKS)));
        omi_reuse_ask(r, asked[i] * UINT64_C(0xff51afd7ed558ccd), sizes[asked[i]], 0);
    }
    omen_miss_point points[OMEN_MISS_POINTS_MAX];
    uint64_t total;
    uint32_t count = omi_reuse_points(omi_reuse_curve(r), points, OMEN_MISS_POINTS_MAX, &total);
    cr_assert_eq(total, ASKED);
    cr_assert_gt(count, 10);
    for (uint32_t i = 0; i < count; i++) {
        /* Sizes are counted in 64 bytes and one more: a point stands for a little less. */
        double upper =
            (double)lru_misses(asked, ASKED, points[i].cache_bytes * 31 / 32, sizes) / ASKED;
        double lower = (double)lru_misses(asked, ASKED, points[i].cache_bytes, sizes) / ASKED;
        cr_assert(points[i].misses <= upper + 1e-9 && points[i].misses >= lower - 1e-9,
                  "%lu bytes: %f, not %f to %f", (unsigned long)points[i].cache_bytes,
                  points[i].misses, lower, upper);
        if (i > 0)
            cr_assert(points[i].cache_bytes > points[i - 1].cache_bytes &&
                      points[i].misses <= points[i - 1].misses);
    }
    omi_reuse_destroy(r);
}

/* What is followed does not depend on what came before; more blocks than can be followed at once. */
Test(telemetry, a_sixteenth_of_the_blocks_tells_nearly_the_same)
{
    enum { BLOCKS = 6000, ASKED = 400000 };
    struct omi_reuse *r[2]; /* a quarter is followed more closely than can be: up to its bound */
    omen_miss_point points[2][OMEN_MISS_POINTS_MAX];
    uint32_t count[2];
    uint64_t total;
    const uint32_t bits[2] = {4, 6};
    for (int i = 0; i < 2; i++)
        cr_assert_eq(omi_reuse_create(&r[i]), OMEN_OK);
    for (uint64_t n = 0; n < ASKED; n++) {
        uint64_t block = roll(1 + roll(BLOCKS));
        uint64_t hash = omi_key_hash(&block, sizeof(block));
        for (int i = 0; i < 2; i++)
            if (omi_telemetry_follows(bits[i], hash))
                omi_reuse_ask(r[i], hash, 4608, bits[i]);
    }
    for (int i = 0; i < 2; i++)
        count[i] = omi_reuse_points(omi_reuse_curve(r[i]), points[i], OMEN_MISS_POINTS_MAX, &total);
    for (uint64_t mib = 2; mib <= 24; mib *= 2) {
        double a = curve_at(points[0], count[0], mib << 20);
        double b = curve_at(points[1], count[1], mib << 20);
        cr_assert_lt(fabs(a - b), 0.15, "%lu MiB: %f and %f", (unsigned long)mib, a, b);
        cr_assert(mib > 16 || (a > 0.02 && a < 0.98));
    }
    omi_reuse_destroy(r[0]);
    omi_reuse_destroy(r[1]);
}

Test(telemetry, the_curve_foretells_the_misses_of_the_database)
{
    struct omi_env *env = omi_sim_create(1);
    omen_db *db = open_db(env, 0);
    for (uint64_t i = 0; i < 40000; i++)
        put(db, i, 100);
    cr_assert_eq(omen_compact(db, NULL, NULL), OMEN_OK);
    for (uint64_t n = 0; n < 100000; n++)
        get(db, roll(1 + roll(40000)));
    omen_stats before = {.struct_bytes = sizeof(before)}, after = before;
    cr_assert_eq(omen_get_stats(db, &before), OMEN_OK);
    for (uint64_t n = 0; n < 200000; n++)
        get(db, roll(1 + roll(40000)));
    cr_assert_eq(omen_get_stats(db, &after), OMEN_OK);
    double misses = (double)(after.get_block_reads - before.get_block_reads) /
                    (double)(after.get_blocks - before.get_blocks);
    omen_telemetry *t = telemetry_of(db);
    double foretold = curve_at(t->miss, t->miss_count, after.cache_capacity);
    cr_log_info("%f of the blocks missed, %f foretold", misses, foretold);
    cr_assert_eq(after.cache_capacity, 256u << 10, "it is the cache's alone");
    cr_assert_lt(fabs(misses - foretold), 0.1, "%f of the blocks missed, %f foretold", misses,
                 foretold);
    cr_assert_eq(omen_close(db), OMEN_OK);
    omi_sim_destroy(env);
}

/* ---- the file -------------------------------------------------------------------------------- */

static struct omi_telemetry_image made_image(uint32_t windows, uint32_t hot)
{
    struct omi_telemetry_image i = {.window_count = windows,
                                    .windows_ended = 99,
                                    .hot = {.count = hot, .total = 4711, .floor = 3}};
    for (uint32_t n = 0; n < windows; n++) {
        uint64_t *longs = (uint64_t *)(void *)&i.windows[n];
        for (size_t f = 0; f < offsetof(omen_window, size_ratio) / 8; f++)
            longs[f] = n * 1000 + f;
        i.windows[n].size_ratio = 4 + n;
        i.windows[n].runs_upper = 3;
        i.windows[n].runs_last = 1;
        i.windows[n].levels = 5;
        i.windows[n].sorted_permille = 123;
        i.windows[n].skew_permille = 987;
    }
    for (uint32_t n = 0; n < hot; n++) {
        i.hot.keys[n] = (struct omi_hot_key){
            .hash = n * 77, .count = 9 + n, .error = n, .key_size = (uint16_t)n};
        memset(i.hot.keys[n].head, (int)n, sizeof(i.hot.keys[n].head));
    }
    for (uint32_t n = 0; n < OMI_REUSE_BUCKETS; n++)
        i.curve.near[n] = n * n;
    i.curve.far = 31;
    return i;
}

Test(telemetry, what_is_saved_is_read_as_it_was)
{
    const uint32_t counts[][2] = {{0, 0}, {1, 2}, {OMEN_WINDOWS_MAX, OMEN_HOT_KEYS_MAX}};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        static struct omi_telemetry_image image, read;
        struct omi_buf out = {0};
        image = made_image(counts[i][0], counts[i][1]);
        cr_assert_eq(omi_telemetry_encode(&image, &out), OMEN_OK);
        cr_assert_eq(out.size, 32 + 288 * counts[i][0] + 50 * counts[i][1] + 16 + 8 + 128 * 8 + 8);
        cr_assert_eq(omi_telemetry_decode(out.data, out.size, &read), OMEN_OK, "%s",
                     omen_last_error());
        cr_assert(memcmp(image.windows, read.windows, sizeof(image.windows)) == 0);
        cr_assert(image.window_count == read.window_count && image.hot.count == read.hot.count &&
                  image.windows_ended == read.windows_ended && image.hot.total == read.hot.total &&
                  image.hot.floor == read.hot.floor);
        cr_assert(memcmp(&image.curve, &read.curve, sizeof(image.curve)) == 0);
        for (uint32_t n = 0; n < image.hot.count; n++)
            cr_assert(
                memcmp(&image.hot.keys[n], &read.hot.keys[n], offsetof(struct omi_hot_key, head)) ==
                    0 &&
                memcmp(image.hot.keys[n].head, read.hot.keys[n].head, OMEN_HOT_KEY_BYTES) == 0);
        omi_buf_fini(&out);
    }
}

/* Format 1, for ever: docs/format-telemetry.md. */
Test(telemetry, its_bytes_are_pinned)
{
    static struct omi_telemetry_image image;
    struct omi_buf out = {0};
    const uint8_t head[] = {'O', 'M', 'N', 'T', 'E', 'L', 'E', 'M', 1,  0, 0, 0, 2, 0, 0, 0,
                            1,   0,   0,   0,   128, 0,   0,   0,   99, 0, 0, 0, 0, 0, 0, 0};
    image = made_image(2, 1);
    cr_assert_eq(omi_telemetry_encode(&image, &out), OMEN_OK);
    cr_assert(memcmp(out.data, head, sizeof(head)) == 0);
    cr_assert_eq(omi_get_u64(out.data + 32 + 2 * 8), 2, "lookups that hit, of the first window");
    cr_assert_eq(omi_get_u64(out.data + 32 + 16 * 8), offsetof(omen_window, debt_bytes) / 8);
    cr_assert_eq(omi_get_u64(out.data + 32 + 17 * 8), offsetof(omen_window, scan_lengths) / 8);
    cr_assert_eq(omi_get_u32(out.data + 32 + 33 * 8), 4, "T of the first window");
    cr_assert_eq(omi_get_u32(out.data + 32 + 288 + 33 * 8), 5, "T of the second");
    cr_assert_eq(omi_get_u32(out.data + 32 + 2 * 288 + 8), 9, "the hot key's count");
    cr_assert_eq(omi_get_u64(out.data + 32 + 2 * 288 + 50), 4711);
    cr_assert_eq(omi_get_u64(out.data + 32 + 2 * 288 + 66), 31);
    cr_assert_eq(omi_get_u64(out.data + 32 + 2 * 288 + 74 + 8 * 5), 25);
    cr_assert_eq(omi_checksum(out.data, out.size, 0), UINT64_C(0x73b8a8a8288bebd9), "0x%016lx",
                 (unsigned long)omi_checksum(out.data, out.size, 0));
    omi_buf_fini(&out);
}

static void expect_refused(uint8_t *bytes, size_t size, bool mend, omen_err want)
{
    static struct omi_telemetry_image image;
    if (mend)
        omi_put_u64(bytes + size - 8, omi_checksum(bytes, size - 8, 0));
    cr_assert_eq(omi_telemetry_decode(bytes, size, &image), want);
    cr_assert(image.window_count == 0 && image.hot.count == 0 && image.hot.total == 0);
}

Test(telemetry, what_was_cut_or_changed_or_is_of_another_format_is_refused)
{
    static struct omi_telemetry_image image;
    struct omi_buf out = {0};
    image = made_image(3, 4);
    cr_assert_eq(omi_telemetry_encode(&image, &out), OMEN_OK);
    for (size_t at = 0; at < out.size; at++) {
        out.data[at] ^= 0x10;
        expect_refused(out.data, out.size, false, OMEN_CORRUPT);
        out.data[at] ^= 0x10;
        expect_refused(out.data, at, false, OMEN_CORRUPT);
    }
    const struct {
        size_t off;
        uint8_t byte;
        omen_err want;
    } bad[] = {
        {8, 2, OMEN_UNSUPPORTED},
        {12, 65, OMEN_CORRUPT},            /* more windows than are kept */
        {12, 2, OMEN_CORRUPT},             /* another size */
        {16, 200, OMEN_CORRUPT},           /* more keys */
        {20, 127, OMEN_CORRUPT},           /* other buckets */
        {32 + 2 * 8 + 7, 2, OMEN_CORRUPT}, /* a window's counts */
        {32 + 32 * 8 + 7, 2, OMEN_CORRUPT},
        {32 + 281, 4, OMEN_CORRUPT}, /* more sorted than sorted */
        {32 + 285, 0x20, OMEN_CORRUPT},
        {32 + 3 * 288 + 12, 99, OMEN_CORRUPT},           /* error above count */
        {32 + 3 * 288 + 4 * 50 + 7, 0xff, OMEN_CORRUPT}, /* a count that cannot be */
        {32 + 3 * 288 + 4 * 50 + 15, 0xff, OMEN_CORRUPT},
        {32 + 3 * 288 + 4 * 50 + 23, 0xff, OMEN_CORRUPT},
        {32 + 3 * 288 + 4 * 50 + 8 * 50 + 7, 1, OMEN_CORRUPT},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint8_t was = out.data[bad[i].off];
        out.data[bad[i].off] = bad[i].byte;
        expect_refused(out.data, out.size, true, bad[i].want);
        out.data[bad[i].off] = was;
    }
    omi_buf_fini(&out);
}

static void work(omen_db *db)
{
    for (uint64_t i = 0; i < 12000; i++) {
        put(db, i % 3000, 40);
        get(db, roll(100));
    }
}

Test(telemetry, it_is_kept_with_the_database_and_lost_without_harm)
{
    struct omi_env *env = omi_sim_create(1);
    omen_db *db = open_db(env, 0);
    work(db);
    cr_assert_eq(telemetry_of(db)->window_count, 2);
    uint64_t sampled = telemetry_of(db)->sampled_keys, blocks = telemetry_of(db)->sampled_blocks;
    cr_assert_eq(omen_close(db), OMEN_OK);
    omen_options reader = {.struct_bytes = sizeof(reader), .flags = OMEN_OPEN_READ_ONLY};
    cr_assert_eq(omi_db_open(env, "/db", &reader, &db), OMEN_OK, "%s", omen_last_error());
    omen_telemetry *t = telemetry_of(db);
    cr_assert_eq(t->window_count, 2);
    cr_assert_eq(t->window[0].puts, 5000);
    cr_assert_eq(t->sampled_keys, sampled);
    cr_assert_eq(t->sampled_blocks, blocks);
    cr_assert_gt(t->hot_count, 100);
    cr_assert_eq(omen_close(db), OMEN_OK);
    db = open_db(env, 0);
    work(db);
    t = telemetry_of(db);
    cr_assert_eq(t->window_count, 4);
    cr_assert_gt(t->sampled_keys, sampled);
    cr_assert_eq(omen_close(db), OMEN_OK);
    for (uint64_t off = 0; off < 40; off += 13) {
        cr_assert_eq(omi_sim_damage(env, "/db", "TELEMETRY", off, 3), OMEN_OK);
        db = open_db(env, 0);
        cr_assert_eq(telemetry_of(db)->window_count, 0);
        cr_assert(get(db, 5));
        work(db);
        cr_assert_eq(telemetry_of(db)->window_count, 2);
        cr_assert_eq(omen_close(db), OMEN_OK);
    }
    db = open_db(env, 0);
    cr_assert_eq(telemetry_of(db)->window_count, 2);
    cr_assert_eq(omen_checkpoint(db, "/copy"), OMEN_OK);
    cr_assert_eq(omen_close(db), OMEN_OK);
    cr_assert_eq(omi_db_open(env, "/copy", NULL, &db), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(telemetry_of(db)->window_count, 0, "a checkpoint begins anew");
    cr_assert_eq(omen_close(db), OMEN_OK);
    cr_assert_eq(omi_db_destroy(env, "/db"), OMEN_OK);
    struct omi_dir *dir;
    cr_assert_eq(omi_dir_open(env, "/db", false, &dir), OMEN_NOT_FOUND, "nothing is left over");
    omi_sim_destroy(env);
}

/* Whatever fails while it is written: the database closes and opens, and has the old one or none. */
Test(telemetry, a_file_that_cannot_be_written_or_read_is_no_error)
{
    const enum omi_sim_fault kinds[] = {OMI_FAULT_WRITE, OMI_FAULT_SYNC, OMI_FAULT_NAME,
                                        OMI_FAULT_NO_SPACE, OMI_FAULT_OPEN};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        struct omi_env *env = omi_sim_create(2);
        for (uint64_t nth = 1;; nth++) {
            omen_db *db = open_db(env, 0);
            work(db);
            uint64_t faults = omi_sim_faults(env);
            omi_sim_fail(env, kinds[k], nth, false);
            omi_observing_save(db);
            bool failed = omi_sim_faults(env) != faults;
            omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
            cr_assert_eq(omen_put(db, NULL, omi_slice("still", 5), omi_slice("open", 4)), OMEN_OK);
            cr_assert_eq(omen_close(db), OMEN_OK, "%s", omen_last_error());
            db = open_db(env, 0);
            cr_assert_eq(telemetry_of(db)->window_count, nth < 32 ? 2 * nth : OMEN_WINDOWS_MAX,
                         "what failed was done again at closing");
            cr_assert_eq(omen_close(db), OMEN_OK);
            if (!failed)
                break;
        }
        omi_sim_destroy(env);
    }
}

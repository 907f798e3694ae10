/* What is asked is sampled, remembered over closing, and decides the filters of new tables. */
#include "io/base/hash.h"
#include "io/env_sim.h"
#include "lsm/db.h"
#include "lsm/sample_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TestSuite(sample, .timeout = 120);

static omen_slice text(const char *s)
{
    return omi_slice(s, strlen(s));
}

static uint64_t hash_of(omen_slice key)
{
    return omi_key_hash(key.data, key.size);
}

static struct omi_sample *sample_of(uint32_t gets, uint32_t scans)
{
    struct omi_sample *s;
    cr_assert_eq(omi_sample_create(gets, scans, &s), OMEN_OK, "%s", omen_last_error());
    return s;
}

static void got(struct omi_sample *s, const char *key, uint32_t level, uint64_t age)
{
    omi_sample_get(s, 0, text(key), hash_of(text(key)), level, age);
}

/* ---- the sample ------------------------------------------------------------------------------ */

Test(sample, one_operation_in_64_is_due)
{
    struct omi_sample *s = sample_of(1024, 256);
    uint32_t due = 0, stretch = 0, longest = 0;
    for (uint64_t n = 0; n < 1 << 20; n++) {
        bool is = omi_sample_due(s, n);
        due += is;
        stretch = is ? 0 : stretch + 1;
        longest = stretch > longest ? stretch : longest;
    }
    cr_assert(due > (1 << 14) * 0.99 && due < (1 << 14) * 1.01, "%u", due);
    cr_assert(longest < 640, "%u in a row are not", longest);
    uint32_t period = 0; /* a client's rhythm does not hide from it */
    for (uint64_t n = 0; n < 1 << 20; n += 64)
        period += omi_sample_due(s, n);
    cr_assert(period > 128 && period < 512, "%u of each 64th", period);
    omi_sample_set_every(s, 0);
    cr_assert(omi_sample_due(s, 1) && omi_sample_due(s, 12345));
    omi_sample_destroy(s);
}

Test(sample, a_ring_keeps_the_newest_and_views_are_sorted)
{
    struct omi_sample *s = sample_of(1024, 256);
    char key[16];
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "k%05d", i * 7 % 3000);
        got(s, key, OMI_SAMPLE_MISS, 0);
    }
    cr_assert_eq(omi_sample_recorded(s), 3000);
    struct omi_sample_view *v = omi_sample_view_ref(s);
    cr_assert(v != NULL && v->get_count == 1024);
    bool seen[1024] = {false};
    for (uint32_t i = 0; i < v->get_count; i++) {
        const struct omi_sampled_get *g = &v->gets[i];
        cr_assert(g->arrival < 1024 && !seen[g->arrival]);
        seen[g->arrival] = true;
        snprintf(key, sizeof(key), "k%05d", (int)(3000 - 1024 + g->arrival) * 7 % 3000);
        cr_assert(memcmp(g->key.head, key, 6) == 0 && g->key.hash == hash_of(text(key)));
        cr_assert(i == 0 || memcmp(v->gets[i - 1].key.head, g->key.head, 32) < 0);
    }
    omi_sample_view_unref(v);
    omi_sample_destroy(s);
}

static void expect_absent(const struct omi_sample_view *v, const char *smallest,
                          const char *largest, uint32_t level, uint64_t age, const char *want)
{
    struct omi_filter_sample *samples;
    size_t count, counted;
    char have[256] = "";
    cr_assert_eq(omi_sample_absent(v, text(smallest), text(largest), level, age, &samples, &count),
                 OMEN_OK);
    cr_assert_eq(omi_sample_absent(v, text(smallest), text(largest), level, age, NULL, &counted),
                 OMEN_OK);
    cr_assert_eq(count, counted);
    for (size_t i = 0; i < count; i++) {
        size_t at = strlen(have);
        snprintf(have + at, sizeof(have) - at, "%s%.*s", i != 0 ? " " : "",
                 (int)samples[i].key_size, (const char *)samples[i].head);
    }
    cr_assert_str_eq(have, want);
    free(samples);
}

Test(sample, a_lookup_passed_what_lies_above_where_it_was_found)
{
    struct omi_sample *s = sample_of(1024, 256);
    got(s, "miss", OMI_SAMPLE_MISS, 0);
    got(s, "deep", 3, 5);
    got(s, "two-old", 2, 10);
    got(s, "two-new", 2, 20);
    got(s, "one", 1, 30);
    struct omi_sample_view *v = omi_sample_view_ref(s);
    expect_absent(v, "a", "z", 1, 40, "miss deep two-old two-new one"); /* newer than all */
    expect_absent(v, "a", "z", 1, 30, "miss deep two-old two-new");     /* where it was found */
    expect_absent(v, "a", "z", 1, 29, "miss deep two-old two-new");     /* older: never came */
    expect_absent(v, "a", "z", 2, 20, "miss deep two-old");
    expect_absent(v, "a", "z", 2, 15, "miss deep two-old");
    expect_absent(v, "a", "z", 2, 10, "miss deep");
    expect_absent(v, "a", "z", 3, 5, "miss");
    expect_absent(v, "a", "z", 4, 1, "miss");
    expect_absent(v, "deep", "one", 1, 40, "miss deep one"); /* bounds are inclusive */
    expect_absent(v, "deepe", "ond", 1, 40, "miss");
    expect_absent(v, "dee", "deepest", 1, 40, "deep");
    expect_absent(v, "n", "o", 1, 40, "");
    expect_absent(v, "z", "a", 1, 40, ""); /* nonsense is nothing */
    omi_sample_view_unref(v);
    omi_sample_destroy(s);
}

Test(sample, keys_are_known_as_far_as_their_heads)
{
    struct omi_sample *s = sample_of(1024, 256);
    char same[33], key[64], bound[64];
    memset(same, 'p', 32);
    same[32] = 0;
    got(s, "", OMI_SAMPLE_MISS, 0);
    got(s, "ab", OMI_SAMPLE_MISS, 0);
    snprintf(key, sizeof(key), "%smiddle", same);
    got(s, key, OMI_SAMPLE_MISS, 0);
    struct omi_sample_view *v = omi_sample_view_ref(s);
    size_t n;
    /* Beyond its head a key may lie on either side: it counts as inside. */
    snprintf(bound, sizeof(bound), "%sa", same);
    cr_assert_eq(omi_sample_absent(v, text(bound), text("q"), 1, 1, NULL, &n), OMEN_OK);
    cr_assert_eq(n, 1);
    snprintf(bound, sizeof(bound), "%szzzzzzzzzz", same); /* of whatever size */
    cr_assert_eq(omi_sample_absent(v, text(bound), text("q"), 1, 1, NULL, &n), OMEN_OK);
    cr_assert_eq(n, 1);
    cr_assert_eq(omi_sample_absent(v, text("q"), text("r"), 1, 1, NULL, &n), OMEN_OK);
    cr_assert_eq(n, 0);
    same[31] = 'o'; /* within the head it is outside */
    cr_assert_eq(omi_sample_absent(v, text("a"), text(same), 1, 1, NULL, &n), OMEN_OK);
    cr_assert_eq(n, 1);
    cr_assert_eq(omi_sample_absent(v, text(""), text("ab"), 1, 1, NULL, &n), OMEN_OK);
    cr_assert_eq(n, 2);
    cr_assert_eq(omi_sample_absent(v, text("ab\x01"), text("ac"), 1, 1, NULL, &n), OMEN_OK);
    cr_assert_eq(n, 0, "a prefix of the bound lies before it");
    omi_sample_view_unref(v);
    omi_sample_destroy(s);
}

Test(sample, views_are_made_anew_when_enough_is_new_and_their_memory_is_charged)
{
    _Atomic uint64_t charged = 7;
    struct omi_sample *s = sample_of(4096, 256);
    omi_sample_charge(s, &charged);
    uint64_t rings = charged - 7;
    cr_assert(rings >= 4096 * sizeof(struct omi_sampled_get));
    for (int i = 0; i < 3200; i++)
        got(s, "k", OMI_SAMPLE_MISS, 0);
    struct omi_sample_view *v = omi_sample_view_ref(s), *w = omi_sample_view_ref(s);
    cr_assert_eq(v, w);
    cr_assert_eq(charged - 7, rings + v->bytes);
    cr_assert_eq(omi_sample_bytes(s), charged - 7);
    omi_sample_view_unref(w);
    for (int i = 0; i < 200; i++) /* 200 is a sixteenth of 3,200; and 64 */
        got(s, "k", OMI_SAMPLE_MISS, 0);
    w = omi_sample_view_ref(s);
    cr_assert_eq(v, w);
    omi_sample_view_unref(w);
    for (int i = 0; i < 64; i++)
        got(s, "k", OMI_SAMPLE_MISS, 0);
    w = omi_sample_view_ref(s);
    cr_assert_neq(v, w);
    cr_assert(w->generation > v->generation && w->get_count == 3464 && v->get_count == 3200);
    omi_sample_view_unref(v);
    cr_assert_eq(charged - 7, rings + w->bytes);
    omi_sample_view_unref(w);
    omi_sample_destroy(s);
    cr_assert_eq(charged, 7);
}

/* ---- the file -------------------------------------------------------------------------------- */

static void image_fill(struct omi_sample_image *i)
{
    struct omi_sample *s = sample_of(1024, 256);
    got(s, "apple", 2, 7);
    got(s, "", OMI_SAMPLE_MISS, 0);
    got(s, "a key that is longer than the head of a sampled key", 12, UINT64_MAX);
    omi_sample_scan(s, 0, text("b"), text("bz"));
    *i = (struct omi_sample_image){.table_count = 2};
    cr_assert_eq(omi_sample_copy(s, &i->rings), OMEN_OK);
    omi_sample_destroy(s);
    i->tables = calloc(2, sizeof(*i->tables));
    i->tables[0] = (struct omi_table_counts){3, 100, 60, 5};
    i->tables[1] = (struct omi_table_counts){UINT64_C(1) << 40, UINT32_MAX, 1, 0};
}

Test(sample, a_saved_sample_is_read_as_it_was)
{
    struct omi_sample_image i, back;
    struct omi_buf out = {0};
    image_fill(&i);
    cr_assert_eq(omi_sample_encode(&i, &out), OMEN_OK);
    cr_assert_eq(omi_sample_decode(out.data, out.size, &back), OMEN_OK, "%s", omen_last_error());
    cr_assert(back.rings.get_count == 3 && back.rings.scan_count == 1 && back.table_count == 2);
    for (int n = 0; n < 3; n++) {
        const struct omi_sampled_get *a = &i.rings.gets[n], *b = &back.rings.gets[n];
        cr_assert(a->key.hash == b->key.hash && a->key.key_size == b->key.key_size &&
                  a->age == b->age && a->level == b->level &&
                  memcmp(a->key.head, b->key.head, sizeof(a->key.head)) == 0);
    }
    cr_assert_eq(back.rings.scans[0].start_size, 1);
    cr_assert_eq(back.rings.scans[0].end_size, 2);
    cr_assert(memcmp(i.tables, back.tables, 2 * sizeof(*i.tables)) == 0);
    omi_sample_image_fini(&i);
    omi_sample_image_fini(&back);
    omi_buf_fini(&out);
}

Test(sample, a_sample_that_was_cut_or_changed_is_refused)
{
    struct omi_sample_image i, back;
    struct omi_buf out = {0};
    image_fill(&i);
    cr_assert_eq(omi_sample_encode(&i, &out), OMEN_OK);
    for (size_t n = 0; n < out.size; n++)
        cr_assert_eq(omi_sample_decode(out.data, n, &back), OMEN_CORRUPT);
    for (size_t bit = 0; bit < out.size * 8; bit++) {
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        cr_assert_eq(omi_sample_decode(out.data, out.size, &back), OMEN_CORRUPT);
        out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    cr_assert_eq(omi_sample_decode(out.data, out.size, &back), OMEN_OK);
    omi_sample_image_fini(&back);
    omi_sample_image_fini(&i);
    omi_buf_fini(&out);
}

Test(sample, what_was_saved_is_older_than_what_came_since)
{
    struct omi_sample *s = sample_of(1024, 256);
    struct omi_sample_rings rings;
    got(s, "old", OMI_SAMPLE_MISS, 0);
    cr_assert_eq(omi_sample_copy(s, &rings), OMEN_OK);
    omi_sample_destroy(s);
    s = sample_of(1024, 256);
    struct omi_sample_view *v = omi_sample_view_ref(s); /* as opening makes one, of nothing */
    cr_assert_eq(v->get_count, 0);
    omi_sample_view_unref(v);
    got(s, "new", OMI_SAMPLE_MISS, 0);
    omi_sample_restore(s, &rings);
    omi_sample_rings_fini(&rings);
    v = omi_sample_view_ref(s);
    expect_absent(v, "a", "z", 1, 1, "old new");
    omi_sample_view_unref(v);
    omi_sample_destroy(s);
}

/* ---- in a database --------------------------------------------------------------------------- */

enum { KEY_BYTES = 8, VALUE_BYTES = 16 };

static struct omi_env *env_of(void)
{
    struct omi_env *env = omi_sim_create(1);
    cr_assert(env != NULL);
    return env;
}

/* Filters are priced one table at a time: files of some thousand keys. */
static omen_db *open_db(struct omi_env *env, const char *more, uint32_t every_bits)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK};
    char options[256];
    omen_db *db;
    snprintf(options, sizeof(options),
             "memory_bytes=8M,memtable_bytes=256K,target_file_bytes=512K,size_ratio=4,%s", more);
    cr_assert_eq(omen_options_from_string(options, &o), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
    omi_sample_set_every(db->sample, every_bits);
    return db;
}

static void put_be(uint8_t *at, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        at[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* Present keys end with a 0 bit, absent ones with a 1; both lie all over the key space. */
static omen_slice key_of(uint64_t n, bool present, uint8_t key[static KEY_BYTES])
{
    uint64_t x = (n + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    put_be(key, (x & ~UINT64_C(1)) | !present);
    return omi_slice(key, KEY_BYTES);
}

static void fill(omen_db *db, uint64_t from, uint64_t end)
{
    uint8_t key[KEY_BYTES], value[VALUE_BYTES] = {0};
    for (uint64_t n = from; n < end; n++)
        cr_assert_eq(omen_put(db, NULL, key_of(n, true, key), omi_slice(value, sizeof(value))),
                     OMEN_OK, "%s", omen_last_error());
}

static void ask(omen_db *db, omen_slice key, bool present)
{
    omen_value v;
    cr_assert_eq(omen_get(db, NULL, key, &v), present ? OMEN_OK : OMEN_NOT_FOUND);
    omen_value_release(&v);
}

/* count lookups of keys [0, keys), absent_percent of them for absent ones. */
static void ask_many(omen_db *db, uint64_t keys, uint32_t count, uint32_t absent_percent)
{
    uint8_t key[KEY_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        bool present = i * UINT64_C(2654435761) / 7 % 100 >= absent_percent;
        ask(db, key_of(i * UINT64_C(7919) % keys, present, key), present);
    }
}

static omen_stats stats_of(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    cr_assert_eq(omen_get_stats(db, &s), OMEN_OK);
    return s;
}

struct level_filters {
    uint64_t keys[OMEN_LEVELS_MAX + 1], bytes[OMEN_LEVELS_MAX + 1];
    uint32_t last, learned, plain;
};

static void level_add(void *ctx, const omen_table_info *t)
{
    struct level_filters *f = ctx;
    f->keys[t->level] += t->filter_keys;
    f->bytes[t->level] += t->filter_bytes;
    f->last = t->level > f->last ? t->level : f->last;
    f->learned += t->filter_regions > 1 || t->filter_prefix_bytes != 0;
    f->plain += t->filter == OMEN_TABLE_FILTER_PLAIN;
}

static struct level_filters filters_of(omen_db *db)
{
    struct level_filters f = {0};
    cr_assert_eq(omen_list_tables(db, level_add, &f), OMEN_OK);
    return f;
}

static double bits(const struct level_filters *f, uint32_t level)
{
    return f->keys[level] != 0 ? 8.0 * (double)f->bytes[level] / (double)f->keys[level] : 0;
}

/* All in the last level, written anew by what the sample says now. */
static void rewrite(omen_db *db, uint64_t keys)
{
    fill(db, 0, keys / 50);
    cr_assert_eq(omen_compact(db, NULL, NULL), OMEN_OK, "%s", omen_last_error());
}

static void close_db(omen_db *db)
{
    cr_assert_eq(omen_close(db), OMEN_OK, "%s", omen_last_error());
}

Test(sample, lookups_that_go_on_to_the_tables_are_sampled)
{
    struct omi_env *env = env_of();
    omen_db *db = open_db(env, "filter_bits=10", OMI_SAMPLE_EVERY_BITS);
    uint8_t key[KEY_BYTES];
    fill(db, 0, 100);
    ask_many(db, 100, 6400, 0); /* memtable */
    cr_assert_eq(stats_of(db).sampled_gets, 0);
    cr_assert_eq(omen_flush(db), OMEN_OK);
    ask_many(db, 100, 64000, 50);
    uint64_t sampled = stats_of(db).sampled_gets;
    cr_assert(sampled > 900 && sampled < 1100, "%lu", (unsigned long)sampled);
    omen_stats s = stats_of(db);
    cr_assert_eq(s.sampled_negatives + s.sampled_false_positives +
                     (s.sampled_probes - s.sampled_negatives - s.sampled_false_positives),
                 s.sampled_probes);
    cr_assert(s.sampled_negatives > sampled * 3 / 10 && s.sampled_probes <= sampled);
    omi_sample_set_every(db->sample, 0);
    for (uint64_t n = 0; n < 20; n++) { /* of a batch each is one */
        uint8_t keys[8][KEY_BYTES];
        omen_slice slices[8];
        omen_value values[8];
        omen_err errs[8];
        for (uint64_t i = 0; i < 8; i++)
            slices[i] = key_of(n * 5 + i / 2, i % 2 == 0, keys[i]);
        cr_assert_eq(omen_multi_get(db, NULL, 8, slices, values, errs), OMEN_OK);
        for (int i = 0; i < 8; i++)
            omen_value_release(&values[i]);
    }
    cr_assert_eq(omi_sample_recorded(db->sample), sampled + 160);
    ask(db, key_of(1, true, key), true);
    cr_assert_eq(omi_sample_recorded(db->sample), sampled + 161);
    struct omi_sample_view *v = omi_sample_view_ref(db->sample);
    for (uint32_t i = 0; i < v->get_count; i++) {
        const struct omi_sampled_get *g = &v->gets[i];
        bool absent = (g->key.head[KEY_BYTES - 1] & 1) != 0;
        cr_assert_eq(g->level, absent ? OMI_SAMPLE_MISS : 1);
        cr_assert(g->key.key_size == KEY_BYTES &&
                  g->key.hash == omi_key_hash(g->key.head, KEY_BYTES));
    }
    omi_sample_view_unref(v);
    close_db(db);
    omi_sim_destroy(env);
}

Test(sample, scans_are_sampled_from_where_they_began_to_where_they_came)
{
    struct omi_env *env = env_of();
    omen_db *db = open_db(env, "filter_bits=10", 0);
    omen_iter *it;
    const char *keys[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(omen_put(db, NULL, text(keys[i]), text("v")), OMEN_OK);
    cr_assert_eq(omen_flush(db), OMEN_OK);
    cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
    omen_iter_seek(it, text("aa"));
    omen_iter_next(it); /* shows b, then c */
    omen_iter_seek_for_prev(it, text("cc"));
    omen_iter_prev(it); /* c, then b */
    omen_iter_close(it);
    struct omi_sample_rings r;
    cr_assert_eq(omi_sample_copy(db->sample, &r), OMEN_OK);
    cr_assert_eq(r.scan_count, 2);
    cr_assert(r.scans[0].start_size == 2 && memcmp(r.scans[0].start, "aa", 2) == 0);
    cr_assert(r.scans[0].end_size == 1 && r.scans[0].end[0] == 'c');
    cr_assert(r.scans[1].start_size == 1 && r.scans[1].start[0] == 'b');
    cr_assert(r.scans[1].end_size == 2 && memcmp(r.scans[1].end, "cc", 2) == 0);
    omi_sample_rings_fini(&r);
    cr_assert_eq(stats_of(db).sampled_scans, 2);
    close_db(db);
    omi_sim_destroy(env);
}

/* ---- what becomes of it ---------------------------------------------------------------------- */

enum { MANY = 40000 };

Test(sample, without_samples_upper_levels_have_more_bits_for_the_same_sum)
{
    struct omi_env *env = env_of();
    omen_db *db = open_db(env, "filter_bits=10", 0);
    fill(db, 0, MANY);
    rewrite(db, MANY);
    fill(db, MANY, MANY + 4000);
    cr_assert_eq(omen_flush(db), OMEN_OK);
    struct level_filters f = filters_of(db);
    cr_assert(f.last > 1 && f.keys[1] >= 4000);
    cr_assert(bits(&f, 1) > bits(&f, f.last) + 2, "%.2f and %.2f", bits(&f, 1), bits(&f, f.last));
    cr_assert(bits(&f, f.last) > 9 && bits(&f, f.last) < 10.5, "%.2f", bits(&f, f.last));
    cr_assert(stats_of(db).filter_price > 0);
    close_db(db);
    omi_sim_destroy(env);
}

/* Bits a key of the last level and of a newer run, after lookups of which some are for absent keys. */
static void bits_after(uint32_t absent_percent, const char *options, double *last_out,
                       double *upper_out)
{
    struct omi_env *env = env_of();
    omen_db *db = open_db(env, options, 1);
    fill(db, 0, MANY);
    rewrite(db, MANY);
    ask_many(db, MANY, 20000, absent_percent);
    rewrite(db, MANY);
    ask_many(db, MANY, 20000, absent_percent);
    fill(db, MANY, MANY + 4000);
    cr_assert_eq(omen_flush(db), OMEN_OK);
    struct level_filters f = filters_of(db);
    *last_out = bits(&f, f.last);
    *upper_out = bits(&f, 1);
    close_db(db);
    omi_sim_destroy(env);
}

Test(sample, lookups_that_hit_leave_the_last_level_at_the_floor)
{
    double last, upper, few_last, few_upper, miss_last, miss_upper;
    bits_after(0, "filter_bits=10", &last, &upper);
    /* An eighth is three halvings, 1.49 bits a key each. */
    cr_assert(last > 4 && last < 5.2, "%.2f bits a key", last);
    cr_assert(upper > last + 5, "%.2f above %.2f", upper, last);
    bits_after(5, "filter_bits=10", &few_last, &few_upper);
    cr_assert(few_last < 6.5 && few_upper > few_last + 4, "%.2f above %.2f", few_upper, few_last);
    bits_after(100, "filter_bits=10", &miss_last, &miss_upper);
    cr_assert(miss_last > few_last + 2 && miss_last < 11, "%.2f", miss_last);
    bits_after(0, "filter_bits=10,filter_floor=none", &last, &upper);
    cr_assert(last < few_last - 0.5, "%.2f bits a key without a floor, %.2f", last, few_last);
    bits_after(5, "filter_bits=10,filter=plain", &last, &upper);
    cr_assert(last > 9.9 && last < 10.5 && upper > 9.9 && upper < 10.5, "plain is plain");
}

/* What false positives met is counted by level: those in cached blocks leave bits to the others. */
Test(sample, levels_whose_false_positives_meet_cached_blocks_get_fewer_bits)
{
    double bits_of[2];
    for (int cached = 0; cached < 2; cached++) {
        struct omi_env *env = env_of();
        omen_db *db = open_db(env, "filter_bits=10", 1);
        fill(db, 0, MANY);
        rewrite(db, MANY);
        for (int i = 0; i < 2000; i++) {
            omi_filter_costs_count(&db->pricing.costs, 1, cached != 0);
            omi_filter_costs_count(&db->pricing.costs, filters_of(db).last, false);
        }
        rewrite(db, MANY);
        fill(db, MANY, MANY + 4000);
        cr_assert_eq(omen_flush(db), OMEN_OK);
        struct level_filters f = filters_of(db);
        bits_of[cached] = bits(&f, 1);
        close_db(db);
        omi_sim_destroy(env);
    }
    cr_assert(bits_of[1] < bits_of[0] - 2, "%.2f against %.2f", bits_of[1], bits_of[0]);
}

Test(sample, filters_keep_to_their_budget)
{
    struct omi_env *env = env_of();
    omen_db *db = open_db(env, "filter_bits=16,filter_bytes=40K", 1);
    fill(db, 0, MANY);
    rewrite(db, MANY);
    ask_many(db, MANY, 10000, 100);
    rewrite(db, MANY);
    uint64_t bytes = stats_of(db).filter_bytes;
    /* 8 bits a key; the price is worked out before the lines are, and leaves room for runs to come. */
    cr_assert(bytes * 100 < (40 << 10) * 103 && bytes * 10 > (40 << 10) * 7, "%lu",
              (unsigned long)bytes);
    close_db(db);
    omi_sim_destroy(env);
}

/* Absent keys are asked for in a sixteenth of the key space alone; keys lie all over it. */
static void ask_corner(omen_db *db, uint64_t keys, uint32_t count)
{
    uint8_t key[KEY_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        ask(db, key_of(i * UINT64_C(7919) % keys, true, key), true);
        (void)key_of(keys + i, false, key);
        key[0] &= 0x0f;
        ask(db, omi_slice(key, KEY_BYTES), false);
    }
}

struct region_sum {
    double width;
    uint64_t regions, sampled, absent, passed;
    int corner_probes, other_probes; /* the most */
    uint64_t corner_sampled;
};

static void region_add(void *ctx, const omen_filter_region *r)
{
    struct region_sum *sum = ctx;
    bool corner = r->first_key.size == 0 || *(const uint8_t *)r->first_key.data < 0x10;
    int *probes = corner ? &sum->corner_probes : &sum->other_probes;
    cr_assert(r->struct_bytes == sizeof(*r) && r->probes >= -1 && r->width >= 0);
    *probes = r->probes > *probes ? r->probes : *probes;
    sum->corner_sampled += corner ? r->sampled : 0;
    sum->width += r->width;
    sum->regions++;
    sum->sampled += r->sampled;
    sum->absent += r->absent;
    sum->passed += r->passed;
}

struct region_walk {
    omen_db *db;
    struct region_sum corner; /* of the table with the smallest keys */
    uint64_t tables, absent, counted;
};

static void region_check(void *ctx, const omen_table_info *t)
{
    struct region_walk *w = ctx;
    struct region_sum sum = {0};
    cr_assert_eq(omen_filter_regions(w->db, t->number, region_add, &sum), OMEN_OK);
    cr_assert_eq(sum.regions, t->filter_regions);
    cr_assert(sum.width > 0.999999 && sum.width < 1.000001, "%g", sum.width);
    w->corner = w->tables++ == 0 ? sum : w->corner;
    w->absent += sum.absent;
    w->counted += t->sampled_negatives + t->sampled_false_positives;
}

Test(sample, bits_go_to_where_absent_keys_are_asked_for)
{
    struct omi_env *env = env_of();
    omen_db *db = open_db(env, "filter_bits=10,target_file_bytes=4M", 0);
    fill(db, 0, MANY);
    rewrite(db, MANY);
    cr_assert_eq(filters_of(db).learned, 0, "nothing was known yet");
    struct region_walk plain = {.db = db};
    cr_assert_eq(omen_list_tables(db, region_check, &plain), OMEN_OK);
    cr_assert_eq(plain.corner.regions, 1);
    ask_corner(db, MANY, 8000);
    rewrite(db, MANY);
    omen_stats before = stats_of(db);
    ask_corner(db, MANY, 8000);
    struct region_walk w = {.db = db};
    cr_assert_eq(omen_list_tables(db, region_check, &w), OMEN_OK);
    cr_assert_eq(w.tables, 1);
    cr_assert(w.corner.regions > 1 && w.corner.corner_probes >= w.corner.other_probes + 3,
              "%d probes in the corner, %d elsewhere", w.corner.corner_probes,
              w.corner.other_probes);
    cr_assert(w.corner.corner_sampled > 500 &&
              w.corner.corner_sampled * 100 >= w.corner.sampled * 99);
    cr_assert_eq(w.absent, w.counted);
    cr_assert(w.absent > 7500);
    struct level_filters f = filters_of(db);
    cr_assert(f.learned == 1 && bits(&f, f.last) < 7, "%.2f bits a key", bits(&f, f.last));
    omen_stats s = stats_of(db);
    cr_assert_eq(s.filter_tables[OMEN_TABLE_FILTER_REGIONS], 1);
    /* What was promised is kept, for less than half of what a plain filter takes. */
    double kept = (double)(s.filter_false_positives - before.filter_false_positives) / 8000;
    cr_assert(s.filter_promised < 0.02 && kept < 0.02, "promised %g, kept %g", s.filter_promised,
              kept);
    struct region_sum sum = {0};
    cr_assert_eq(omen_filter_regions(db, 1 << 30, region_add, &sum), OMEN_NOT_FOUND);
    close_db(db);
    omi_sim_destroy(env);
}

static omen_slice crowd_key(uint64_t n, bool present, uint8_t key[static KEY_BYTES])
{
    /* a hundred crowds far apart; what is absent lies between them */
    put_be(key, (n % 100) << 56 | (present ? n / 100 : UINT64_C(1) << 50 | n << 8));
    return omi_slice(key, KEY_BYTES);
}

Test(sample, lookups_beside_the_keys_cost_next_to_nothing)
{
    struct omi_env *env = env_of();
    omen_db *db = open_db(env, "filter_bits=10,filter_floor=none", 1);
    uint8_t key[KEY_BYTES], value[VALUE_BYTES] = {0};
    for (int round = 0; round < 2; round++) {
        for (uint64_t n = 0; n < 20000; n++)
            cr_assert_eq(omen_put(db, NULL, crowd_key(n, true, key), omi_slice(value, 16)),
                         OMEN_OK);
        cr_assert_eq(omen_compact(db, NULL, NULL), OMEN_OK);
        for (uint64_t n = 0; n < 6000; n++)
            ask(db, crowd_key(n, false, key), false);
    }
    struct level_filters f = filters_of(db);
    cr_assert(f.learned > 0 && f.plain == 0 && bits(&f, f.last) < 8, "%u learned, %.2f bits a key",
              f.learned, bits(&f, f.last));
    cr_assert(stats_of(db).filter_promised < 0.005, "%g", stats_of(db).filter_promised);
    close_db(db);
    omi_sim_destroy(env);
}

static void digest_table(void *ctx, const omen_table_info *t)
{
    uint64_t *sum = ctx;
    const uint64_t figures[] = {
        t->number,     t->level,          t->entries,        t->filter_bytes,   t->filter,
        t->filter_why, t->filter_regions, t->filter_samples, t->sampled_probes, t->bytes};
    *sum = omi_checksum(figures, sizeof(figures), *sum);
}

static uint64_t run_digest(void)
{
    uint64_t sum = 0;
    struct omi_env *env = env_of();
    omen_db *db = open_db(env, "filter_bits=10", OMI_SAMPLE_EVERY_BITS);
    fill(db, 0, 20000);
    ask_many(db, 20000, 40000, 60);
    fill(db, 10000, 30000);
    ask_many(db, 30000, 40000, 60);
    rewrite(db, 30000);
    cr_assert_eq(omen_list_tables(db, digest_table, &sum), OMEN_OK);
    close_db(db);
    omi_sim_destroy(env);
    return sum;
}

Test(sample, the_same_operations_make_the_same_filters)
{
    cr_assert_eq(run_digest(), run_digest());
}

/* ---- over closing ---------------------------------------------------------------------------- */

static void sample_bytes(struct omi_env *env, uint8_t **bytes, size_t *size)
{
    struct omi_dir *dir;
    cr_assert_eq(omi_dir_open(env, "/db", false, &dir), OMEN_OK);
    cr_assert_eq(omi_file_read_all(dir, "SAMPLE", 1 << 24, bytes, size), OMEN_OK, "%s",
                 omen_last_error());
    omi_dir_close(dir);
}

static void sample_replace(struct omi_env *env, const uint8_t *bytes, size_t size)
{
    struct omi_dir *dir;
    cr_assert_eq(omi_dir_open(env, "/db", false, &dir), OMEN_OK);
    cr_assert_eq(omi_file_replace(dir, "SAMPLE", bytes, size), OMEN_OK);
    omi_dir_close(dir);
}

Test(sample, a_database_remembers_and_forgets_without_harm)
{
    struct omi_env *env = env_of();
    omen_db *db = open_db(env, "filter_bits=10", 1);
    uint8_t key[KEY_BYTES], *bytes;
    size_t size;
    fill(db, 0, 5000);
    cr_assert_eq(omen_flush(db), OMEN_OK);
    ask_many(db, 5000, 4000, 50);
    omen_stats before = stats_of(db);
    cr_assert(before.sampled_gets > 900 && before.sampled_negatives > 300);
    close_db(db);
    db = open_db(env, "filter_bits=10", 1);
    omen_stats after = stats_of(db);
    cr_assert_eq(after.sampled_gets, before.sampled_gets);
    cr_assert_eq(after.sampled_probes, before.sampled_probes);
    cr_assert_eq(after.sampled_negatives, before.sampled_negatives);
    cr_assert_eq(after.sampled_false_positives, before.sampled_false_positives);
    close_db(db); /* nothing was asked since */
    sample_bytes(env, &bytes, &size);
    for (int damage = 0; damage < 4; damage++) {
        if (damage == 0)
            bytes[size / 2] ^= 1;
        if (damage == 1)
            omi_put_u32(bytes + 8, 77); /* a format to come, with another check */
        sample_replace(env, bytes, damage == 2 ? 10 : damage == 3 ? 0 : size);
        db = open_db(env, "filter_bits=10", 1);
        cr_assert_eq(stats_of(db).sampled_gets, 0);
        cr_assert_eq(stats_of(db).sampled_probes, 0);
        ask(db, key_of(7, true, key), true);
        ask(db, key_of(7, false, key), false);
        close_db(db);
    }
    free(bytes);
    omi_sim_destroy(env);
}

Test(sample, a_reader_looks_at_the_sample_and_leaves_it)
{
    struct omi_env *env = env_of();
    omen_options o = {.struct_bytes = sizeof(o), .flags = OMEN_OPEN_READ_ONLY};
    uint8_t *first, *second;
    size_t first_size, second_size;
    omen_db *db = open_db(env, "filter_bits=10", 1);
    fill(db, 0, 2000);
    cr_assert_eq(omen_flush(db), OMEN_OK);
    ask_many(db, 2000, 1000, 50);
    uint64_t gets = stats_of(db).sampled_gets;
    close_db(db);
    sample_bytes(env, &first, &first_size);
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
    omi_sample_set_every(db->sample, 0);
    cr_assert_eq(stats_of(db).sampled_gets, gets);
    ask_many(db, 2000, 1000, 50);
    close_db(db);
    sample_bytes(env, &second, &second_size);
    cr_assert(first_size == second_size && memcmp(first, second, first_size) == 0);
    free(first);
    free(second);
    cr_assert_eq(omi_db_destroy(env, "/db"), OMEN_OK, "%s", omen_last_error());
    omi_sim_destroy(env);
}

Test(sample, a_sample_that_cannot_be_written_is_no_error)
{
    for (uint64_t nth = 1; nth <= 6; nth++) {
        struct omi_env *env = env_of();
        omen_db *db = open_db(env, "filter_bits=10", 1);
        fill(db, 0, 2000);
        cr_assert_eq(omen_flush(db), OMEN_OK);
        ask_many(db, 2000, 1000, 50);
        cr_assert_eq(omen_sync(db), OMEN_OK);
        omi_sim_fail(env, OMI_FAULT_NAME, nth, true); /* STATS' and SAMPLE's names */
        omi_sampling_save(db, 0);
        close_db(db);
        omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
        db = open_db(env, "filter_bits=10", 1);
        ask_many(db, 2000, 1000, 50);
        close_db(db);
        omi_sim_destroy(env);
    }
}

/* ---- where there is no tree to price by ------------------------------------------------------ */

static void expect_ten_bits(void *ctx, const omen_table_info *t)
{
    double b = 8.0 * (double)t->filter_bytes / (double)t->filter_keys;
    cr_assert(b > 9.5 && b < 10.8, "%.2f bits a key", b);
    ++*(uint64_t *)ctx;
}

Test(sample, repair_and_recovery_give_tables_the_plain_bits)
{
    struct omi_env *env = env_of();
    omen_db *db = open_db(env, "filter_bits=10,memtable_bytes=1M", 1);
    omen_options o = {.struct_bytes = sizeof(o), .filter_bits = 10};
    omen_repair_report report = {.struct_bytes = sizeof(report)};
    struct omi_dir *dir;
    uint64_t tables = 0;
    fill(db, 0, 8000); /* stay in the log: opening writes them */
    close_db(db);
    db = open_db(env, "filter_bits=10,memtable_bytes=1M", 1);
    cr_assert_eq(omen_list_tables(db, expect_ten_bits, &tables), OMEN_OK);
    cr_assert(tables > 0);
    close_db(db);
    cr_assert_eq(omi_dir_open(env, "/db", false, &dir), OMEN_OK);
    cr_assert_eq(omi_dir_unlink(dir, "CURRENT"), OMEN_OK);
    omi_dir_close(dir);
    cr_assert_eq(omi_db_repair(env, "/db", &o, 0, &report, NULL, NULL), OMEN_OK, "%s",
                 omen_last_error());
    cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_OK, "%s", omen_last_error());
    tables = 0;
    cr_assert_eq(omen_list_tables(db, expect_ten_bits, &tables), OMEN_OK);
    cr_assert(tables > 0);
    close_db(db);
    omi_sim_destroy(env);
}

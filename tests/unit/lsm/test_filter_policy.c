/* A filter of the user's own: obeyed where it can be, never believed against the keys. */
#include "io/base/coding.h"
#include "io/base/hash.h"
#include "io/env_sim.h"
#include "lsm/custom_filter.h"
#include "lsm/db.h"
#include "lsm/table_format.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEYS = 3000 };

static struct omi_env *env;

/* What a policy was asked, and how it is to behave. Its filter is the keys themselves: a count, an
 * offset each, the bytes; so it is never wrong. */
struct exact {
    _Atomic uint64_t built, asked, misaligned, unordered;
    enum manner { HONEST, DECLINES, LIES, TOO_MUCH, IGNORES_APPEND } manner;
};
static struct exact exact;

static int build_exact(void *context, size_t count, const omen_slice *keys, void *sink,
                       int (*append)(void *sink, const void *bytes, size_t size))
{
    struct exact *x = context;
    atomic_fetch_add(&x->built, 1);
    for (size_t i = 1; i < count; i++)
        if (omi_bytes_compare(keys[i - 1].data, keys[i - 1].size, keys[i].data, keys[i].size) >= 0)
            atomic_fetch_add(&x->unordered, 1);
    if (x->manner == DECLINES)
        return 1;
    if (x->manner == TOO_MUCH)
        return append(sink, "", SIZE_MAX);
    if (x->manner == IGNORES_APPEND)
        (void)append(sink, "", SIZE_MAX / 2);
    uint32_t n = (uint32_t)count, at = 0;
    int failed = append(sink, &n, sizeof(n));
    for (size_t i = 0; i < count && !failed; i++) {
        failed = append(sink, &at, sizeof(at));
        at += (uint32_t)keys[i].size;
    }
    if (!failed)
        failed = append(sink, &at, sizeof(at));
    for (size_t i = 0; i < count && !failed; i++)
        failed = append(sink, keys[i].data, keys[i].size);
    return x->manner == IGNORES_APPEND ? 0 : failed;
}

static int may_hold_exact(void *context, omen_slice filter, omen_slice key)
{
    struct exact *x = context;
    atomic_fetch_add_explicit(&x->asked, 1, memory_order_relaxed);
    if ((uintptr_t)filter.data % 8 != 0)
        atomic_fetch_add(&x->misaligned, 1);
    if (x->manner == LIES && key.size != 0 && ((const char *)key.data)[key.size - 1] == '4')
        return 0;
    const uint32_t *words = filter.data;
    const uint8_t *bytes = (const uint8_t *)(words + words[0] + 2);
    uint32_t low = 0, high = words[0];
    while (low < high) {
        uint32_t m = low + (high - low) / 2;
        int c = omi_bytes_compare(bytes + words[m + 1], words[m + 2] - words[m + 1], key.data,
                                  key.size);
        if (c == 0)
            return 1;
        if (c < 0)
            low = m + 1;
        else
            high = m;
    }
    return 0;
}

static const omen_filter_policy policy = {"test.exact", build_exact, may_hold_exact, &exact};
static const omen_filter_policy other = {"test.other", build_exact, may_hold_exact, &exact};

/* ---- a database with it ---------------------------------------------------------------------- */

static char told[4096]; /* lines of level 0 and 1 */

static void tell(void *context, int level, const char *line)
{
    (void)context;
    size_t used = strlen(told);
    if (level < 2)
        snprintf(told + used, sizeof(told) - used, "%d %s\n", level, line);
}

static void must(omen_err err)
{
    cr_assert_eq(err, OMEN_OK, "%s: %s", omen_err_name(err), omen_last_error());
}

static omen_options options_with(const omen_filter_policy *p)
{
    return (omen_options){.struct_bytes = sizeof(omen_options),
                          .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK | OMEN_NO_AUTO_COMPACT,
                          .memory_bytes = 4u << 20,
                          .memtable_bytes = 256u << 10,
                          .block_bytes = 1024,
                          .log = tell,
                          .filter_policy = p};
}

static omen_db *open_db(const char *path, const omen_filter_policy *p)
{
    omen_options o = options_with(p);
    omen_db *db;
    told[0] = 0;
    must(omi_db_open(env, path, &o, &db));
    return db;
}

static omen_slice key_of(int i, char text[static 32])
{
    return omi_slice(text, (size_t)snprintf(text, 32, "key%06d", i));
}

/* Even keys up to 2 * count; every tenth deleted when deletes. */
static void fill(omen_db *db, int count, const char *value, bool deletes)
{
    char k[32];
    for (int i = 0; i < count; i++) {
        omen_slice key = key_of(2 * i, k);
        must(deletes && i % 10 == 0 ? omen_delete(db, NULL, key)
                                    : omen_put(db, NULL, key, omi_slice(value, strlen(value))));
    }
}

/* The even keys have value, the odd ones none; with deletes every tenth is gone. */
static void expect_all(omen_db *db, int count, const char *value, bool deletes)
{
    char k[32];
    for (int i = 0; i < 2 * count; i++) {
        omen_value v;
        omen_err err = omen_get(db, NULL, key_of(i, k), &v);
        if (i % 2 != 0 || (deletes && i % 20 == 0)) {
            cr_assert_eq(err, OMEN_NOT_FOUND, "key %d: %s", i, omen_err_name(err));
            continue;
        }
        cr_assert_eq(err, OMEN_OK, "key %d: %s", i, omen_err_name(err));
        cr_assert(omi_bytes_equal(v.data, v.size, value, strlen(value)), "key %d", i);
        omen_value_release(&v);
    }
}

static omen_stats stats_of(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    must(omen_get_stats(db, &s));
    return s;
}

static void print_problem(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "%s\n", text);
}

static void verify(omen_db *db)
{
    must(omen_verify(db, NULL, print_problem, NULL));
}

/* /db: an older run of all keys, a newer one of a tenth of them. */
static void make_db(const omen_filter_policy *p)
{
    omen_db *db = open_db("/db", p);
    fill(db, KEYS, "value", false);
    must(omen_compact(db, NULL, NULL));
    fill(db, KEYS / 10, "value", false);
    must(omen_flush(db));
    must(omen_close(db));
}

static void setup(void)
{
    env = omi_sim_create(11);
    memset(&exact, 0, sizeof(exact));
}

static void teardown(void)
{
    omi_sim_destroy(env);
    cr_assert_eq(exact.misaligned, 0, "a filter was not 8-byte aligned");
    cr_assert_eq(exact.unordered, 0, "keys were not distinct and in order");
}

TestSuite(filter_policy, .init = setup, .fini = teardown, .timeout = 60);

/* ---- obeyed ---------------------------------------------------------------------------------- */

Test(filter_policy, an_exact_one_removes_all_useless_block_reads)
{
    make_db(&policy);
    omen_db *db = open_db("/db", &policy);
    omen_stats before = stats_of(db);
    cr_assert_gt(before.filter_bytes, 0);
    for (int i = 1; i < 2 * KEYS; i += 2) {
        char k[32];
        omen_value v;
        cr_assert_eq(omen_get(db, NULL, key_of(i, k), &v), OMEN_NOT_FOUND);
    }
    omen_stats after = stats_of(db);
    cr_assert_eq(after.get_blocks, before.get_blocks, "blocks were read for absent keys");
    cr_assert_eq(after.filter_false_positives, before.filter_false_positives);
    cr_assert_eq(after.filter_negatives - before.filter_negatives,
                 after.filter_probes - before.filter_probes);
    cr_assert_geq(after.filter_probes - before.filter_probes, KEYS);
    cr_assert_eq(
        after.filter_policy_declined + after.filter_policy_wrong + after.filter_policy_foreign, 0);
    expect_all(db, KEYS, "value", false);
    verify(db);
    must(omen_close(db));
    cr_assert_str_empty(told);
}

Test(filter_policy, batches_of_keys_ask_it_too)
{
    enum { N = 200 };
    make_db(&policy);
    omen_db *db = open_db("/db", &policy);
    static char text[N][32];
    omen_slice keys[N];
    omen_value values[N];
    omen_err errs[N];
    for (int i = 0; i < N; i++)
        keys[i] = key_of(i, text[i]);
    must(omen_multi_get(db, NULL, N, keys, values, errs));
    omen_stats s = stats_of(db);
    for (int i = 0; i < N; i++) {
        cr_assert_eq(errs[i], i % 2 == 0 ? OMEN_OK : OMEN_NOT_FOUND, "key %d", i);
        if (errs[i] == OMEN_OK)
            omen_value_release(&values[i]);
    }
    cr_assert_eq(s.filter_false_positives, 0);
    cr_assert_geq(s.filter_negatives, N / 2);
    must(omen_close(db));
}

/* Versions that a snapshot holds are one key; deleted keys are keys. */
Test(filter_policy, it_gets_distinct_keys_and_deleted_ones)
{
    omen_db *db = open_db("/db", &policy);
    omen_snapshot *snapshot;
    fill(db, KEYS, "first", false);
    must(omen_snapshot_create(db, &snapshot));
    fill(db, KEYS, "second", true);
    must(omen_flush(db));
    expect_all(db, KEYS, "second", true);
    verify(db);
    must(omen_compact(db, NULL, NULL));
    expect_all(db, KEYS, "second", true);
    omen_snapshot_release(snapshot);
    must(omen_compact(db, NULL, NULL));
    expect_all(db, KEYS, "second", true);
    verify(db);
    must(omen_close(db));
    cr_assert_gt(exact.built, 2);
}

/* ---- not believed ---------------------------------------------------------------------------- */

Test(filter_policy, one_that_denies_keys_is_caught_when_it_is_built)
{
    exact.manner = LIES;
    make_db(&policy);
    cr_assert(strstr(told, "0 ") == told && strstr(told, "denies") != NULL, "LOG: %s", told);
    exact.manner = HONEST;
    omen_db *db = open_db("/db", &policy);
    omen_stats s = stats_of(db);
    cr_assert_eq(s.filter_bytes, 0, "a filter that denies keys was kept");
    expect_all(db, KEYS, "value", false);
    verify(db);
    exact.manner = LIES;
    must(omen_compact(db, NULL, NULL));
    s = stats_of(db);
    cr_assert_gt(s.filter_policy_wrong, 0);
    cr_assert_eq(s.filter_bytes, 0);
    exact.manner = HONEST;
    expect_all(db, KEYS, "value", false);
    must(omen_close(db));
}

/* A policy that goes wrong afterwards hides keys, which nobody can prevent; verify tells. */
Test(filter_policy, one_that_denies_keys_later_is_told_by_verify)
{
    make_db(&policy);
    omen_db *db = open_db("/db", &policy);
    exact.manner = LIES;
    cr_assert_eq(omen_verify(db, NULL, NULL, NULL), OMEN_CORRUPT);
    exact.manner = HONEST;
    verify(db);
    must(omen_close(db));
}

static void builds_nothing(enum manner manner)
{
    exact.manner = manner;
    make_db(&policy);
    omen_db *db = open_db("/db", &policy);
    must(omen_compact(db, NULL, NULL));
    omen_stats s = stats_of(db);
    cr_assert_eq(s.filter_bytes, 0);
    cr_assert_gt(s.filter_policy_declined, 0);
    cr_assert_eq(s.filter_policy_wrong, 0);
    cr_assert(strstr(told, "test.exact") != NULL, "LOG: %s", told);
    cr_assert_eq(exact.asked, 0);
    expect_all(db, KEYS, "value", false);
    verify(db);
    must(omen_close(db));
}

Test(filter_policy, one_that_declines_leaves_tables_without)
{
    builds_nothing(DECLINES);
}

Test(filter_policy, more_bytes_than_fit_leave_tables_without)
{
    builds_nothing(TOO_MUCH);
}

Test(filter_policy, a_refused_append_counts_whatever_build_answers)
{
    builds_nothing(IGNORES_APPEND);
}

/* ---- of another name, or gone ---------------------------------------------------------------- */

static void not_asked(const omen_filter_policy *opened)
{
    make_db(&policy);
    exact.asked = 0;
    exact.manner = LIES; /* would show */
    omen_db *db = open_db("/db", opened);
    omen_stats s = stats_of(db);
    cr_assert_geq(s.filter_policy_foreign, 2);
    expect_all(db, KEYS, "value", false);
    verify(db);
    s = stats_of(db);
    cr_assert_eq(s.filter_probes - s.filter_negatives, s.filter_probes, "something was denied");
    cr_assert_eq(exact.asked, 0, "another policy's filter was asked");
    cr_assert(strstr(told, "test.exact") != NULL, "LOG: %s", told);
    cr_assert_null(strstr(strstr(told, "test.exact") + 1, "test.exact"), "told twice: %s", told);
    /* What is merged gets a filter of the open kind. */
    exact.manner = HONEST;
    must(omen_compact(db, NULL, NULL));
    omen_stats before = stats_of(db);
    expect_all(db, KEYS, "value", false);
    omen_stats after = stats_of(db);
    cr_assert_gt(after.filter_negatives, before.filter_negatives);
    cr_assert_eq(exact.asked > 0, opened != NULL);
    must(omen_close(db));
}

Test(filter_policy, filters_are_not_asked_without_it)
{
    not_asked(NULL);
}

Test(filter_policy, filters_are_not_asked_of_a_policy_of_another_name)
{
    not_asked(&other);
}

Test(filter_policy, the_engines_own_filters_are_asked_when_one_is_given)
{
    make_db(NULL);
    omen_db *db = open_db("/db", &policy);
    expect_all(db, KEYS, "value", false);
    omen_stats s = stats_of(db);
    cr_assert_gt(s.filter_negatives, KEYS / 2);
    cr_assert_eq(s.filter_policy_foreign, 0);
    cr_assert_eq(exact.asked, 0);
    must(omen_close(db));
}

/* ---- switched off, refused ------------------------------------------------------------------- */

static int bytewise(void *context, omen_slice a, omen_slice b)
{
    (void)context;
    return omi_bytes_compare(a.data, a.size, b.data, b.size);
}

Test(filter_policy, no_filters_means_none_of_the_users_either)
{
    static const omen_comparator order = {"test.order", bytewise, NULL};
    for (int turn = 0; turn < 2; turn++) {
        omen_options o = options_with(&policy);
        omen_db *db;
        o.comparator = turn == 0 ? &order : NULL;
        o.filter_bits = turn == 0 ? 0 : OMEN_NONE;
        must(omi_db_open(env, turn == 0 ? "/ordered" : "/none", &o, &db));
        fill(db, KEYS, "value", false);
        must(omen_compact(db, NULL, NULL));
        expect_all(db, KEYS, "value", false);
        verify(db);
        must(omen_close(db));
    }
    cr_assert_eq(exact.built + exact.asked, 0);
}

Test(filter_policy, what_is_no_policy_is_refused_by_name)
{
    char long_name[300];
    memset(long_name, 'n', sizeof(long_name));
    long_name[256] = 0;
    const omen_filter_policy bad[] = {{NULL, build_exact, may_hold_exact, NULL},
                                      {"", build_exact, may_hold_exact, NULL},
                                      {long_name, build_exact, may_hold_exact, NULL},
                                      {"no.build", NULL, may_hold_exact, NULL},
                                      {"no.may_hold", build_exact, NULL, NULL}};
    omen_db *db;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        omen_options o = options_with(&bad[i]);
        cr_assert_eq(omi_db_open(env, "/db", &o, &db), OMEN_INVALID, "policy %zu", i);
        cr_assert(strstr(omen_last_error(), "filter_policy") != NULL, "%s", omen_last_error());
    }
    long_name[255] = 0;
    omen_filter_policy longest = {long_name, build_exact, may_hold_exact, &exact};
    make_db(&longest);
    db = open_db("/db", &longest);
    cr_assert_eq(stats_of(db).filter_policy_foreign, 0);
    expect_all(db, KEYS, "value", false);
    must(omen_close(db));
}

/* Name and policy are the database's copies: the caller's may go. */
Test(filter_policy, the_callers_struct_may_go)
{
    char *name = strdup("test.exact");
    omen_filter_policy *mine = malloc(sizeof(*mine));
    *mine = (omen_filter_policy){name, build_exact, may_hold_exact, &exact};
    omen_db *db = open_db("/db", mine);
    memset(name, 'x', strlen(name));
    free(name);
    memset(mine, 0xee, sizeof(*mine));
    free(mine);
    fill(db, KEYS, "value", false);
    must(omen_compact(db, NULL, NULL));
    must(omen_close(db));
    db = open_db("/db", &policy);
    cr_assert_eq(stats_of(db).filter_policy_foreign, 0);
    expect_all(db, KEYS, "value", false);
    must(omen_close(db));
}

/* ---- copies and repairs ---------------------------------------------------------------------- */

Test(filter_policy, a_checkpoint_has_the_same_filters)
{
    make_db(&policy);
    omen_db *db = open_db("/db", &policy);
    must(omen_checkpoint(db, "/copy"));
    must(omen_close(db));
    exact.asked = 0;
    db = open_db("/copy", &policy);
    expect_all(db, KEYS, "value", false);
    cr_assert_gt(exact.asked, KEYS);
    cr_assert_eq(stats_of(db).filter_policy_foreign, 0);
    verify(db);
    must(omen_close(db));
}

static omen_err largest_table(void *ctx, const struct omi_dir_entry *e)
{
    char *name = ctx;
    if (strstr(e->name, ".sst") != NULL && (name[0] == 0 || strcmp(e->name, name) < 0))
        snprintf(name, 64, "%s", e->name);
    return OMEN_OK;
}

/* A block of the older table is damaged: what is left of it is written anew, with new filters. */
static void repair_as(const omen_filter_policy *p)
{
    char name[64] = "";
    static const uint8_t garbage[700] = "not what was here";
    struct omi_dir *dir;
    struct omi_file *f;
    make_db(&policy);
    must(omi_dir_open(env, "/db", false, &dir));
    must(omi_dir_list(dir, largest_table, name));
    must(omi_file_open(dir, name, OMI_OPEN_WRITE, 0, &f));
    must(omi_file_pwrite(f, garbage, sizeof(garbage), OMI_TABLE_HEADER_BYTES + 1024));
    must(omi_file_sync(f));
    must(omi_file_close(f));
    omi_dir_close(dir);
    omen_options o = options_with(p);
    omen_repair_report report = {.struct_bytes = sizeof(report)};
    uint64_t built = exact.built;
    must(omi_db_repair(env, "/db", &o, 0, &report, NULL, NULL));
    cr_assert_gt(report.blocks_lost, 0);
    cr_assert_gt(report.tables_written, 0);
    cr_assert_eq(exact.built > built, p != NULL);
    omen_db *db = open_db("/db", &policy);
    char k[32];
    int lost = 0;
    for (int i = 0; i < 2 * KEYS; i += 2) {
        omen_value v;
        omen_err err = omen_get(db, NULL, key_of(i, k), &v);
        lost += err == OMEN_NOT_FOUND;
        if (err == OMEN_OK)
            omen_value_release(&v);
    }
    cr_assert_leq(lost, 200, "%d keys are not there", lost);
    verify(db);
    must(omen_close(db));
}

Test(filter_policy, repair_makes_its_filters_anew)
{
    repair_as(&policy);
}

Test(filter_policy, repair_without_it_makes_the_engines_own)
{
    repair_as(NULL);
}

/* ---- threads --------------------------------------------------------------------------------- */

static omen_db *shared;
static _Atomic bool stop;
static _Atomic uint64_t wrong;

static void *read_keys(void *ctx)
{
    uint64_t x = (uint64_t)(uintptr_t)ctx;
    char k[32];
    while (!stop) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        int i = (int)((x >> 33) % (2 * KEYS));
        omen_value v;
        omen_err err = omen_get(shared, NULL, key_of(i, k), &v);
        if (err != (i % 2 == 0 ? OMEN_OK : OMEN_NOT_FOUND))
            atomic_fetch_add(&wrong, 1);
        if (err == OMEN_OK)
            omen_value_release(&v);
    }
    return NULL;
}

Test(filter_policy, threads_ask_while_tables_are_written_and_merged)
{
    char path[] = "/tmp/omendb-policy-XXXXXX", command[64];
    cr_assert_not_null(mkdtemp(path));
    omen_options o = options_with(&policy);
    o.flags = OMEN_CREATE_IF_MISSING;
    must(omen_open(path, &o, &shared));
    fill(shared, KEYS, "value", false);
    pthread_t readers[3];
    for (uintptr_t i = 0; i < 3; i++)
        cr_assert_eq(pthread_create(&readers[i], NULL, read_keys, (void *)(i + 1)), 0);
    for (int turn = 0; turn < 5; turn++) {
        fill(shared, KEYS, turn % 2 == 0 ? "odd" : "even", false);
        must(turn % 2 == 0 ? omen_flush(shared) : omen_compact(shared, NULL, NULL));
    }
    stop = true;
    for (int i = 0; i < 3; i++)
        pthread_join(readers[i], NULL);
    cr_assert_eq(wrong, 0, "%llu answers were wrong", (unsigned long long)wrong);
    expect_all(shared, KEYS, "odd", false);
    verify(shared);
    must(omen_close(shared));
    snprintf(command, sizeof(command), "rm -rf %s", path);
    cr_assert_eq(system(command), 0);
}

/* ---- the bytes ------------------------------------------------------------------------------- */

/* A section of three keys, at an 8-byte aligned place. */
static size_t make_section(struct omi_table_env *tenv, uint8_t bytes[static 512])
{
    static const char *const words[] = {"apple", "fig", "kiwi"};
    struct omi_index_key keys[4];
    struct omi_buf out = {0};
    for (int i = 0; i < 4; i++) /* the last twice: two versions */
        keys[i] = (struct omi_index_key){(const uint8_t *)words[i < 3 ? i : 2], 9 - (uint64_t)i,
                                         (uint32_t)strlen(words[i < 3 ? i : 2]), 20};
    struct omi_filter_input input = {keys, NULL, 4};
    must(omi_custom_filter_build(tenv, "000001.sst", &input, &out));
    cr_assert(out.size > OMI_FILTER_HEADER_BYTES && out.size < 512);
    size_t size = out.size;
    memcpy(bytes, out.data, size);
    omi_buf_fini(&out);
    return size;
}

Test(filter_policy, every_flipped_bit_of_a_section_is_noticed)
{
    struct omi_table_env tenv = {.filter_policy = &policy};
    _Alignas(8) uint8_t bytes[512];
    size_t size = make_section(&tenv, bytes);
    struct omi_custom_filter f;
    must(omi_custom_filter_open(&tenv, "t", bytes, size, &f));
    cr_assert_eq(f.key_count, 3);
    cr_assert(omi_custom_filter_may_hold(&f, omi_slice("fig", 3)));
    cr_assert_not(omi_custom_filter_may_hold(&f, omi_slice("figs", 4)));
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        cr_assert_neq(omi_custom_filter_open(&tenv, "t", bytes, size, &f), OMEN_OK, "bit %zu", bit);
        cr_assert_null(f.policy);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t cut = 0; cut < size; cut++)
        cr_assert_eq(omi_custom_filter_open(&tenv, "t", bytes, cut, &f), OMEN_CORRUPT);
    cr_assert_eq(tenv.filters_foreign, 0);
}

/* With its check mended, a section with wrong sizes is refused for these. */
Test(filter_policy, sizes_that_do_not_add_up_are_refused)
{
    struct omi_table_env tenv = {.filter_policy = &policy};
    _Alignas(8) uint8_t bytes[512], was[512];
    size_t size = make_section(&tenv, was);
    struct omi_custom_filter f;
    for (size_t at = 0; at < 24; at++)
        for (int v = 0; v < 256; v++) {
            memcpy(bytes, was, size);
            bytes[at] = (uint8_t)v;
            uint64_t first = omi_checksum(bytes, 8, size);
            omi_put_u64(bytes + 8, omi_checksum(bytes + 16, size - 16, first));
            omen_err err = omi_custom_filter_open(&tenv, "t", bytes, size, &f);
            bool same = memcmp(bytes, was, size) == 0;
            cr_assert(same ? err == OMEN_OK : err == OMEN_CORRUPT || f.policy == NULL,
                      "byte %zu = %d: %s", at, v, omen_err_name(err));
            cr_assert(f.payload.size == 0 ||
                      (const uint8_t *)f.payload.data + f.payload.size == bytes + size);
        }
}

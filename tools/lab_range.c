/*
 * lab_range.c - range filters on any key set, and the bounds that they are held to.
 *
 * The key set is a database; a file above its last level holds a share of it, at random. A scan of so
 * many rows begins at a random key of the database: when the file has none of its rows, and the filter
 * says "maybe" all the same, a block of the file is read in vain.
 */
#include "tools/lab.h"

#include "io/base/coding.h"
#include "io/env_sim.h"
#include "learned/range_filter.h"
#include "lsm/db.h"
#include "tools/args.h"
#include "tools/cmd.h"
#include "tools/keyset.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
    const char *keys, *gen, *accept;
    uint64_t num, bits, share_pct, seed;
};

/* A file's keys, its filter, and all keys of the database. */
struct file {
    struct omt_keyset set;
    struct omi_index_key *keys;
    uint32_t *number; /* of the key in the set, for each of the file's */
    uint32_t count;
    struct omi_buf section;
    struct omi_range_info info;
    struct omi_range_filter *f;
    double build_ns;
};

static const char *const kind_names[] = {"none", "exact", "spline", "hashed"};

static uint64_t next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static omen_slice set_key(const struct file *f, size_t i)
{
    return omi_slice(f->set.keys[i].data, f->set.keys[i].size);
}

static void file_free(struct file *f)
{
    omi_range_filter_close(f->f);
    omi_buf_fini(&f->section);
    free(f->keys);
    free(f->number);
    omt_keyset_free(&f->set);
}

/* A share of the set's keys becomes the file's. */
static omen_err file_draw(struct file *f, uint64_t share_pct, uint64_t *state)
{
    f->keys = malloc((f->set.count + 1) * sizeof(*f->keys));
    f->number = malloc((f->set.count + 1) * sizeof(*f->number));
    if (f->keys == NULL || f->number == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%zu keys", f->set.count);
    for (size_t i = 0; i < f->set.count; i++) {
        if (next(state) % 100 >= share_pct && !(i + 1 == f->set.count && f->count == 0))
            continue;
        f->keys[f->count] = (struct omi_index_key){f->set.keys[i].data, 1, f->set.keys[i].size, 20};
        f->number[f->count++] = (uint32_t)i;
    }
    return OMEN_OK;
}

static omen_err file_build(struct file *f, const struct omi_range_params *params)
{
    omi_range_filter_close(f->f);
    f->f = NULL;
    f->section.size = 0;
    double started = now_s();
    omen_err err = omi_range_filter_build(f->keys, f->count, params, &f->section, &f->info);
    f->build_ns = (now_s() - started) * 1e9 / f->count;
    if (err == OMEN_OK && f->info.kind != OMI_RANGE_NONE)
        err = omi_range_filter_open(f->section.data, f->section.size, &f->f);
    return err;
}

/* How many of the file's keys come before key number n of the set. */
static uint32_t file_rank(const struct file *f, size_t n)
{
    uint32_t low = 0, high = f->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (f->number[middle] < n)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct rows_result {
    double passed_pct, ns; /* of empty scans; a question */
    uint64_t empty, wrong; /* wrong: keys were denied */
};

static struct rows_result ask_rows(const struct file *f, size_t rows, uint64_t *state)
{
    enum { SCANS = 100000 };
    struct rows_result r = {0};
    uint64_t passed = 0;
    double started = now_s();
    for (int i = 0; i < SCANS; i++) {
        size_t first = next(state) % f->set.count;
        size_t last = first + rows < f->set.count ? first + rows - 1 : f->set.count - 1;
        omen_slice low = set_key(f, first), high = set_key(f, last);
        bool may = omi_range_filter_may_hold(f->f, f->section.data, &low, &high);
        uint32_t at = file_rank(f, first);
        bool empty = at == f->count || f->number[at] > last;
        r.empty += empty;
        passed += empty && may;
        r.wrong += !empty && !may;
    }
    r.ns = (now_s() - started) * 1e9 / SCANS; /* with a search of the truth beside it */
    r.passed_pct = r.empty != 0 ? 100.0 * (double)passed / (double)r.empty : 0;
    return r;
}

static const size_t rows_asked[] = {1, 3, 10, 30};

/* rows_seen: of the sampled scans; 0: none were sampled. */
static int print_kind(struct file *f, const struct options *o, enum omi_range_kind kind,
                      size_t rows_seen)
{
    enum { SAMPLES = 1000 };
    static struct omi_range_sample samples[SAMPLES];
    uint64_t state = o->seed + 1;
    struct omi_range_params params = {.kind = kind, .bits = (uint32_t)o->bits, .seed = o->seed};
    for (int i = 0; i < SAMPLES && rows_seen != 0; i++) {
        size_t first = next(&state) % f->set.count, last = first + rows_seen - 1;
        samples[i].low = set_key(f, first);
        samples[i].high = set_key(f, last < f->set.count ? last : f->set.count - 1);
        params.samples = samples;
        params.sample_count = SAMPLES;
    }
    omen_err err = file_build(f, &params);
    if (err == OMEN_INVALID && kind == OMI_RANGE_EXACT) {
        printf("%-7s  not dense enough\n", kind_names[kind]);
        return OMT_EXIT_OK;
    }
    if (err != OMEN_OK)
        return omt_tell("lab range", err);
    printf("%-7s %4zu %6.2f %6" PRIu32 " %6" PRIu32 " %6" PRIu32 " %7.1f", kind_names[f->info.kind],
           rows_seen, 8.0 * (double)f->info.bytes / f->count, f->info.knots, f->info.gaps,
           f->info.shift, f->build_ns);
    uint64_t wrong = 0;
    for (size_t i = 0; i < sizeof(rows_asked) / sizeof(rows_asked[0]); i++) {
        struct rows_result r = ask_rows(f, rows_asked[i], &state);
        printf(" %8.3f", r.passed_pct);
        wrong += r.wrong;
    }
    printf("  %" PRIu64 "\n", wrong);
    return wrong == 0 ? OMT_EXIT_OK : OMT_EXIT_PROBLEM;
}

static int compare_kinds(const struct options *o)
{
    struct file f = {0};
    const char *why = NULL;
    uint64_t state = o->seed;
    int made = o->keys != NULL ? omt_keyset_load(o->keys, &f.set, &why)
                               : omt_keyset_make(o->gen, o->num, o->seed, &f.set, &why);
    if (made != 0) {
        return omt_usage("lab range", why);
    }
    omen_err err = file_draw(&f, o->share_pct, &state);
    int exit_code = err != OMEN_OK ? omt_tell("lab range", err) : OMT_EXIT_OK;
    if (err == OMEN_OK) {
        printf("a file of %" PRIu32 " keys out of %zu\n\n", f.count, f.set.count);
        printf("%-7s %4s %6s %6s %6s %6s %7s %35s\n", "", "rows", "bits", "", "", "", "build",
               "empty scans passed, %");
        printf("%-7s %4s %6s %6s %6s %6s %7s %8s %8s %8s %8s  %s\n", "kind", "seen", "a key",
               "knots", "gaps", "shift", "ns/key", "1 row", "3 rows", "10 rows", "30 rows",
               "denied");
    }
    for (int kind = OMI_RANGE_EXACT; kind <= OMI_RANGE_HASHED && exit_code == OMT_EXIT_OK; kind++)
        exit_code = print_kind(&f, o, (enum omi_range_kind)kind, 0);
    for (size_t i = 0; i < 4 && exit_code == OMT_EXIT_OK; i++)
        exit_code = print_kind(&f, o, OMI_RANGE_NONE, rows_asked[i]);
    file_free(&f);
    return exit_code;
}

/* ---- the bounds of the design ---------------------------------------------------------------- */

enum data { UNIFORM, CLUSTERS, SERIES, DENSE };
enum start { ANYWHERE, IN_GAP, AFTER_KEY };
static const char *const data_names[] = {"uniform", "clusters", "series", "dense"};
static const char *const start_names[] = {"anywhere", "in a gap", "after a key"};
enum { DATA_KEYS = 500000 };

struct numbers {
    uint64_t *v;
    uint8_t *bytes; /* the same, big-endian */
    struct file file;
};

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static void put_be64(uint8_t *out, uint64_t v)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

static bool numbers_make(struct numbers *n, enum data data, uint64_t *state)
{
    uint64_t base = 0;
    uint32_t count = 0;
    memset(n, 0, sizeof(*n));
    n->v = malloc(DATA_KEYS * sizeof(*n->v));
    n->bytes = malloc(8 * (size_t)DATA_KEYS);
    n->file.keys = malloc(DATA_KEYS * sizeof(*n->file.keys));
    if (n->v == NULL || n->bytes == NULL || n->file.keys == NULL)
        return false;
    for (uint32_t i = 0; i < DATA_KEYS; i++) {
        if (data == CLUSTERS && i % 1000 == 0)
            base = next(state);
        if (data == SERIES && i % 50 == 0)
            base = next(state) >> 32 << 32;
        n->v[i] = data == UNIFORM    ? next(state)
                  : data == CLUSTERS ? base + (next(state) >> 24)
                  : data == SERIES   ? base + 1700000000u + 72 * (i % 50)
                                     : next(state) % (100 * (uint64_t)DATA_KEYS);
    }
    qsort(n->v, DATA_KEYS, sizeof(*n->v), by_value);
    for (uint32_t i = 0; i < DATA_KEYS; i++)
        if (i == 0 || n->v[i] != n->v[count - 1])
            n->v[count++] = n->v[i];
    for (uint32_t i = 0; i < count; i++) {
        put_be64(n->bytes + 8 * (size_t)i, n->v[i]);
        n->file.keys[i] = (struct omi_index_key){n->bytes + 8 * (size_t)i, 1, 8, 20};
    }
    n->file.count = count;
    return true;
}

static void numbers_free(struct numbers *n)
{
    file_free(&n->file);
    free(n->v);
    free(n->bytes);
}

static uint64_t draw_start(const struct numbers *n, enum start start, uint64_t *state)
{
    uint32_t last = n->file.count - 1, i = (uint32_t)(next(state) % last);
    if (start == ANYWHERE)
        return n->v[0] + next(state) % (n->v[last] - n->v[0]);
    return n->v[i] + 1 + next(state) % (start == IN_GAP ? n->v[i + 1] - n->v[i] : 16);
}

/* Prints a row: per cent of empty ranges passed, against the bound. False: above it. */
static bool check_ranges(const struct numbers *n, int check, enum data data, enum start start,
                         unsigned shift, double most, uint64_t *state)
{
    enum { WANTED = 100000 };
    uint64_t more = (UINT64_C(1) << shift) - 1, empty = 0, passed = 0;
    for (uint32_t t = 0; t < 10 * WANTED && empty < WANTED; t++) {
        uint8_t l[8], h[8];
        uint64_t low = draw_start(n, start, state), high = low + more;
        if (high < low || high > n->v[n->file.count - 1])
            continue;
        uint32_t a = 0, b = n->file.count;
        while (a < b) {
            uint32_t middle = a + (b - a) / 2;
            if (n->v[middle] < low)
                a = middle + 1;
            else
                b = middle;
        }
        if (a < n->file.count && n->v[a] <= high)
            continue;
        put_be64(l, low);
        put_be64(h, high);
        omen_slice from = omi_slice(l, 8), to = omi_slice(h, 8);
        empty++;
        passed += omi_range_filter_may_hold(n->file.f, n->file.section.data, &from, &to);
    }
    if (empty < 200)
        return true; /* hardly any range is empty */
    double pct = 100.0 * (double)passed / (double)empty;
    printf("%-5d %-8s %-7s %-12s 2^%-3u %8.3f %8.2f %6.2f  %s\n", check, data_names[data],
           kind_names[n->file.info.kind], start_names[start], shift, pct, most,
           8.0 * (double)n->file.info.bytes / n->file.count, pct <= most ? "ok" : "ABOVE");
    return pct <= most;
}

/* All rows of a check on one set of data. */
static bool check_data(int check, enum data data, enum omi_range_kind kind, const unsigned *shifts,
                       const double *most, size_t shift_count, const bool starts[3], uint64_t seed)
{
    struct numbers n;
    uint64_t state = seed;
    bool good =
        numbers_make(&n, data, &state) &&
        file_build(&n.file, &(struct omi_range_params){.kind = kind, .bits = 12, .seed = seed}) ==
            OMEN_OK &&
        8 * n.file.info.bytes <= 12 * (uint64_t)n.file.count;
    for (size_t i = 0; i < shift_count && good; i++)
        for (int s = ANYWHERE; s <= AFTER_KEY; s++)
            if (starts[s] &&
                !check_ranges(&n, check, data, (enum start)s, shifts[i],
                              most[check == 18 ? (size_t)(data != UNIFORM || s != ANYWHERE) : i],
                              &state))
                good = false;
    numbers_free(&n);
    return good;
}

static bool check_18_to_20(int check, uint64_t seed)
{
    static const unsigned spline[] = {0, 6, 16, 32, 40}, hashed[] = {0, 4, 6},
                          dense[] = {0, 1, 2, 4, 6, 8};
    static const double spline_most[] = {0.2, 1.0}, hashed_most[] = {0.15, 2, 7},
                        dense_most[] = {0, 0, 0, 0, 0, 0};
    static const bool free_starts[3] = {true, true, false}, all[3] = {true, true, true};
    bool good = true; /* all rows are printed, whatever one says */
    for (int data = UNIFORM; data <= SERIES && check != 20; data++)
        if (check == 19)
            good = check_data(19, (enum data)data, OMI_RANGE_HASHED, hashed, hashed_most, 3, all,
                              seed) &&
                   good;
        else if (data != SERIES)
            good = check_data(18, (enum data)data, OMI_RANGE_SPLINE, spline, spline_most, 5,
                              free_starts, seed) &&
                   good;
    if (check != 20)
        return good;
    return check_data(20, DENSE, OMI_RANGE_NONE, dense, dense_most, 6, all, seed);
}

/* ---- short scans in a whole database --------------------------------------------------------- */

static omen_err open_21(struct omi_env *env, bool on, omen_db **db)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 16u << 20,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 256u << 10,
                      .block_bytes = 1024,
                      .size_ratio = 3,
                      .runs_upper = 2,
                      .range_filter = on ? OMEN_RANGE_FILTER_ON : OMEN_RANGE_FILTER_OFF};
    return omi_db_open(env, "/db", &o, db);
}

/* Most of the keys in the last level, a tenth in those above. */
static omen_err fill_21(omen_db *db, uint64_t seed)
{
    enum { LAST = 240000, UPPER = 27000 };
    uint8_t key[8], value[64] = {0};
    uint64_t state = seed;
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < LAST + UPPER && err == OMEN_OK; i++) {
        put_be64(key, next(&state) % (2 * LAST) * UINT64_C(0x9e3779b97f4a7c15));
        err = omen_put(db, NULL, omi_slice(key, 8), omi_slice(value, sizeof(value)));
        if (err == OMEN_OK && i + 1 == LAST)
            err = omen_compact(db, NULL, NULL);
    }
    return err;
}

static omen_err scan_21(omen_db *db, uint64_t seed, uint32_t scans, omen_stats *before,
                        omen_stats *after, uint64_t *digest)
{
    uint64_t state = seed + 1;
    omen_err err = omen_get_stats(db, before);
    for (uint32_t i = 0; i < scans && err == OMEN_OK; i++) {
        uint8_t key[8];
        omen_iter *it;
        put_be64(key, next(&state));
        err = omen_iter_open(db, NULL, &it);
        if (err != OMEN_OK)
            return err;
        uint32_t rows = 0;
        for (omen_iter_seek(it, omi_slice(key, 8)); omen_iter_valid(it); omen_iter_next(it)) {
            *digest = (*digest ^ omi_head64(omen_iter_key(it).data, 8)) * UINT64_C(0x100000001b3);
            if (++rows == 10)
                break;
        }
        err = omen_iter_status(it);
        omen_iter_close(it);
    }
    return err == OMEN_OK ? omen_get_stats(db, after) : err;
}

static bool check_21(uint64_t seed)
{
    enum { SCANS = 4000 };
    omen_stats before = {.struct_bytes = sizeof(before)}, after = before;
    uint64_t blocks[2], digest[2] = {0};
    for (int on = 0; on < 2; on++) {
        struct omi_env *env = omi_sim_create(seed);
        omen_db *db = NULL;
        omen_err err = env != NULL ? open_21(env, on != 0, &db)
                                   : omi_fail(OMEN_NO_MEMORY, 0, "a simulated disk");
        if (err == OMEN_OK)
            err = fill_21(db, seed);
        if (err == OMEN_OK)
            err = scan_21(db, seed, SCANS, &before, &after, &digest[on]);
        omen_err closed = db != NULL ? omen_close(db) : OMEN_OK;
        if (env != NULL)
            omi_sim_destroy(env);
        if (err != OMEN_OK || closed != OMEN_OK) {
            (void)omt_tell("lab range", err != OMEN_OK ? err : closed);
            return false;
        }
        blocks[on] = after.scan_blocks - before.scan_blocks;
    }
    uint64_t in_vain = after.range_filter_in_vain - before.range_filter_in_vain;
    double saved = (double)(blocks[0] - blocks[1]);
    double pct = 100.0 * saved / (saved + (double)in_vain);
    printf("21    ten rows over %" PRIu32
           " levels: %.2f blocks a scan without range filters, %.2f with; "
           "of those read in vain above the last level %.1f %% gone (at least 80); rows %s\n",
           after.levels, (double)blocks[0] / SCANS, (double)blocks[1] / SCANS, pct,
           digest[0] == digest[1] ? "alike" : "DIFFER");
    return pct >= 80 && digest[0] == digest[1];
}

static int run_checks(const struct options *o)
{
    bool good = true;
    printf("%-5s %-8s %-7s %-12s %-5s %8s %8s %6s\n", "check", "keys", "kind", "ranges begin",
           "codes", "passed %", "most %", "bits");
    for (const char *at = o->accept; *at != 0;) {
        char *end;
        long check = strtol(at, &end, 10);
        if (check < 18 || check > 21 || (*end != 0 && *end != ',')) {
            return omt_usage("lab range", "--accept takes 18 to 21, with commas between");
        }
        good = (check == 21 ? check_21(o->seed) : check_18_to_20((int)check, o->seed)) && good;
        at = *end == ',' ? end + 1 : end;
    }
    printf("%s\n", good ? "within all bounds" : "NOT within all bounds");
    return good ? OMT_EXIT_OK : OMT_EXIT_PROBLEM;
}

/* ---- the command ----------------------------------------------------------------------------- */

int omt_lab_range(int argc, char **argv)
{
    struct options o = {.gen = "be64", .num = 1000000, .bits = 12, .share_pct = 10, .seed = 1};
    const struct omt_flag flags[] = {
        {"keys", OMT_TEXT, &o.keys, "FILE", "one key a line", NULL},
        {"gen", OMT_TEXT, &o.gen, "NAME", "made keys, as in lab index", NULL},
        {"num", OMT_U64, &o.num, NULL, "how many keys the database has, with --gen", NULL},
        {"share", OMT_U64, &o.share_pct, "PCT", "of them in the file, 1 to 100", NULL},
        {"bits", OMT_U64, &o.bits, NULL, "a key of the file, 4 to 24", NULL},
        {"seed", OMT_U64, &o.seed, NULL, "of everything random", NULL},
        {"accept", OMT_TEXT, &o.accept, "LIST", "check bounds 18, 19, 20, 21 instead", NULL},
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "lab range",
        .usage = "omendb lab range [flags]",
        .text = "Builds range filters of each kind over a file that holds a share of a database's "
                "keys, and asks\nthem about scans of a few rows: how many that find nothing in the "
                "file are not recognised.",
        .examples = "  omendb lab range --gen ycsb\n"
                    "  omendb lab range --accept=18,19,20,21\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    int words = args.word_count;
    omt_args_free(&args);
    if (parsed == OMT_PARSE_HELP)
        return OMT_EXIT_OK;
    if (parsed == OMT_PARSE_ERROR)
        return OMT_EXIT_USAGE;
    if (words != 0 || o.num < 1 || o.num > UINT32_MAX || o.share_pct < 1 || o.share_pct > 100 ||
        o.bits < OMI_RANGE_BITS_MIN || o.bits > OMI_RANGE_BITS_MAX) {
        return omt_usage("lab range", "a value is out of range");
    }
    return o.accept != NULL ? run_checks(&o) : compare_kinds(&o);
}

/*
 * tune_engine.c - the cost model against the engine: pages of an operation of each kind, predicted
 * (compaction/cost_model.h) and counted, for leveling, tiering and lazy leveling at T 2, 4, 8, 10.
 *
 *   tune_engine [DIR] [--entries N] [--entry BYTES] [--bits M] [--filter KIND] [--only SHAPE:T] [--quiet]
 *
 * Each database is loaded in random order and settled; then it is overwritten for a whole cycle of
 * merges, and at moments evenly spread over that, gets of absent and of present keys and scans are
 * made. Work is inline: the same figures every time. Ends in median and 90th percentile of the
 * relative errors; exit code 1 when they are past 10 and 25 %.
 */
#include "compaction/tune_theory.h"
#include "lsm/omendb.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEY_BYTES = 16, STATIONS = 16, GETS = 1600, SCANS = 80, ERRORS_MAX = 4096 };

static const double median_must = 0.10, p90_must = 0.25;
static const char *const kinds[OMI_TUNE_OPS] = {"miss", "hit", "scan", "write"};

static struct omi_workload described;
static struct omi_tune_workload workload;
static const char *filter_kind = "learned";
static char *value;
static double errors[ERRORS_MAX];
static size_t error_count;
static bool quiet;

static void check(omen_err err, const char *what)
{
    if (err == OMEN_OK)
        return;
    fprintf(stderr, "tune_engine: %s: %s\n", what, omen_last_error());
    exit(2);
}

static omen_slice key_of(uint64_t number, char key[static KEY_BYTES + 1])
{
    snprintf(key, KEY_BYTES + 1, "%016" PRIu64, number);
    return (omen_slice){key, KEY_BYTES};
}

/* ---- a database ------------------------------------------------------------------------------ */

static omen_db *db_open(const char *path, const struct omi_point *point)
{
    char text[OMI_POINT_TEXT], all[OMI_POINT_TEXT + 192];
    omen_options options = {.struct_bytes = sizeof(options)};
    omen_db *db = NULL;
    omi_point_options(&workload.limits, point, text);
    /* Filters of old versions too, as the model has them: no limit keeps some of them on the disk. What
     * is counted is blocks asked for, in the cache or not. */
    snprintf(all, sizeof(all),
             "%s,filter=%s,target_file_bytes=1M,codec_upper=none,codec_last=none,filter_bytes=64M,"
             "cache_bytes=65M",
             text, filter_kind);
    check(omen_options_from_string(all, &options), all);
    options.flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK;
    check(omen_open(path, &options, &db), path);
    return db;
}

static void put(omen_db *db, uint64_t number)
{
    char key[KEY_BYTES + 1];
    omen_slice v = {value, described.entry_bytes - KEY_BYTES};
    memcpy(value, &number, sizeof(number));
    check(omen_put(db, NULL, key_of(number, key), v), "put");
}

static void load(omen_db *db, struct omi_ops *ops)
{
    for (uint64_t i = 0; i < described.entries; i++)
        put(db, omi_ops_load_key(ops, i));
    check(omen_wait_idle(db), "wait_idle");
}

static omen_stats stats_of(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    check(omen_get_stats(db, &s), "get_stats");
    return s;
}

static uint64_t blocks_of(const omen_stats *s)
{
    return s->cache_hits + s->cache_misses;
}

/* ---- operations ------------------------------------------------------------------------------ */

/* A key that was loaded. */
static uint64_t number_draw(const struct omi_ops *ops, struct omi_random *rng)
{
    return omi_ops_load_key(ops, omi_random_below(rng, described.entries));
}

static double gets(omen_db *db, const struct omi_ops *ops, struct omi_random *rng, bool present)
{
    char key[KEY_BYTES + 1], out[1 << 16];
    omen_stats before = stats_of(db);
    for (int i = 0; i < GETS; i++) {
        uint64_t number = number_draw(ops, rng) + !present;
        size_t size;
        omen_err err = omen_get_into(db, NULL, key_of(number, key), out, sizeof(out), &size);
        if (err != (present ? OMEN_OK : OMEN_NOT_FOUND))
            check(err == OMEN_OK ? OMEN_CORRUPT : err, "get");
    }
    omen_stats after = stats_of(db);
    return (double)(after.get_blocks - before.get_blocks) / GETS;
}

static double scans(omen_db *db, const struct omi_ops *ops, struct omi_random *rng)
{
    char key[KEY_BYTES + 1];
    omen_stats before = stats_of(db);
    for (int i = 0; i < SCANS; i++) {
        omen_iter *iter = NULL;
        check(omen_iter_open(db, NULL, &iter), "iter_open");
        uint64_t number = number_draw(ops, rng);
        omen_iter_seek(iter, key_of(number, key));
        for (uint32_t k = 1; k < described.scan[0] && omen_iter_valid(iter); k++)
            omen_iter_next(iter);
        check(omen_iter_status(iter), "scan");
        omen_iter_close(iter);
    }
    omen_stats after = stats_of(db);
    return (double)(blocks_of(&after) - blocks_of(&before)) / SCANS;
}

/* As many overwrites as the replay averages over, in pages read and written by all merging. */
static double writes(omen_db *db, const struct omi_ops *ops, struct omi_random *rng, uint64_t count)
{
    omen_stats before = stats_of(db);
    for (uint64_t i = 0; i < count; i++)
        put(db, number_draw(ops, rng));
    omen_stats after = stats_of(db);
    double bytes = (double)(after.merge_read_bytes - before.merge_read_bytes) +
                   (double)(after.merge_written_bytes - before.merge_written_bytes) +
                   (double)(after.flush_bytes - before.flush_bytes);
    return bytes / workload.data.page_bytes / (double)count;
}

/* ---- comparing ------------------------------------------------------------------------------- */

static void compare(const char *name, uint32_t t, const double counted[OMI_TUNE_OPS],
                    const double predicted[OMI_TUNE_OPS])
{
    for (int op = 0; op < OMI_TUNE_OPS; op++) {
        double error = counted[op] > 0 ? predicted[op] / counted[op] - 1 : 0;
        if (counted[op] <= 0.005 && predicted[op] <= 0.02)
            error = 0; /* twenty blocks of four thousand gets: chance */
        if (!quiet)
            printf("%-13s T %-2" PRIu32 " %-5s  counted %8.4f  predicted %8.4f  %+6.1f %%\n", name,
                   t, kinds[op], counted[op], predicted[op], 100 * error);
        if (error_count < ERRORS_MAX)
            errors[error_count++] = fabs(error);
    }
}

static void levels_tell(omen_db *db, const struct omi_cost_tree *tree)
{
    omen_stats s = stats_of(db);
    printf("    filters %" PRIu64 " of %" PRIu64 " bytes, %" PRIu64 " parts missed\n",
           s.memory_filters, s.filter_limit_bytes, s.filter_parts_missed);
    for (uint32_t i = 0; i < tree->count || i < s.levels; i++)
        printf("    level %" PRIu32 ": %" PRIu32 " runs of %" PRIu64 " entries in the end, "
               "%.2f of %.0f expected on average\n",
               i + 1, s.level[i].runs, s.level[i].entries, tree->level[i].runs,
               tree->level[i].entries);
}

/* Reads at the middle of each of so many equal parts of the writes. */
static void cycle(omen_db *db, const struct omi_ops *ops, uint64_t count,
                  double counted[OMI_TUNE_OPS])
{
    struct omi_random rng = {count};
    uint64_t done = 0;
    (void)gets(db, ops, &rng, false); /* parts of filters come in when they are missed */
    for (int i = 0; i <= STATIONS; i++) {
        uint64_t until = i < STATIONS ? count * (2 * (uint64_t)i + 1) / (2 * STATIONS) : count;
        double share = (double)(until - done) / (double)count;
        counted[OMI_TUNE_WRITE] += share * writes(db, ops, &rng, until - done);
        done = until;
        if (i == STATIONS)
            break;
        counted[OMI_TUNE_GET_MISS] += gets(db, ops, &rng, false) / STATIONS;
        counted[OMI_TUNE_GET_HIT] += gets(db, ops, &rng, true) / STATIONS;
        counted[OMI_TUNE_SCAN] += scans(db, ops, &rng) / STATIONS;
    }
}

static void measure(const char *dir, const char *name, const struct omi_point *point)
{
    char path[4096];
    struct omi_ops ops;
    struct omi_cost_tree tree;
    struct omi_cost cost;
    double counted[OMI_TUNE_OPS] = {0};
    check(omi_theory_cost(&workload, point, &tree, &cost), name);
    snprintf(path, sizeof(path), "%s/%s-%u", dir, name, point->size_ratio);
    omi_ops_init(&ops, &described);
    omen_db *db = db_open(path, point);
    load(db, &ops);
    cycle(db, &ops, (uint64_t)tree.writes, counted);
    if (!quiet)
        levels_tell(db, &tree);
    check(omen_close(db), "close");
    check(omen_destroy(path), "destroy");
    compare(name, point->size_ratio, counted, cost.pages);
}

static int compare_errors(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    static const uint16_t ratios[] = {2, 4, 8, 10};
    const char *dir = NULL, *only = NULL;
    char made[] = "/tmp/tune_engine.XXXXXX";
    check(omi_workload_named("W1", &described), "workload");
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--quiet") == 0)
            quiet = true;
        else if (strcmp(argv[i], "--entries") == 0 && i + 1 < argc)
            described.entries = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--entry") == 0 && i + 1 < argc)
            described.entry_bytes = (uint32_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--bits") == 0 && i + 1 < argc)
            described.memory_bits = strtod(argv[++i], NULL);
        else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc)
            filter_kind = argv[++i];
        else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else if (argv[i][0] != '-' && dir == NULL)
            dir = argv[i];
        else {
            fprintf(stderr, "tune_engine: \"%s\": see the top of tests/tune_engine.c\n", argv[i]);
            return 2;
        }
    }
    check(omi_workload_settle(&described), "workload");
    omi_tune_workload_of(&described, NULL, &workload);
    if (strcmp(filter_kind, "plain") == 0)
        workload.data.filters = OMI_COST_UNIFORM;
    value = calloc(1, described.entry_bytes + 8);
    if (dir == NULL)
        dir = mkdtemp(made);
    if (value == NULL || dir == NULL)
        return 2;
    for (size_t i = 0; i < sizeof(ratios) / sizeof(ratios[0]); i++) {
        uint16_t t = ratios[i], all = (uint16_t)(t - 1);
        const struct {
            const char *name;
            struct omi_point point;
        } shapes[] = {{"leveling", {t, 1, 1, 10, 0}},
                      {"lazy", {t, all, 1, 10, 0}},
                      {"tiering", {t, all, all, 10, 0}}};
        for (int k = 0; k < (t > 2 ? 3 : 1); k++) { /* T - 1 is 1 */
            char name[32];
            snprintf(name, sizeof(name), "%s:%u", shapes[k].name, t);
            if (only == NULL || strcmp(only, name) == 0)
                measure(dir, shapes[k].name, &shapes[k].point);
        }
    }
    if (dir == made)
        rmdir(made);
    free(value);
    qsort(errors, error_count, sizeof(errors[0]), compare_errors);
    double median = error_count != 0 ? errors[error_count / 2] : 0;
    double p90 = error_count != 0 ? errors[(error_count * 9 + 9) / 10 - 1] : 0;
    printf("cost model: %zu figures, median error %.1f %%, 90th percentile %.1f %%\n", error_count,
           100 * median, 100 * p90);
    return median <= median_must && p90 <= p90_must ? 0 : 1;
}

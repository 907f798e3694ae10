/*
 * tier_bench.c - what far memory costs and gives: lookups with the last level's filters and models in ordinary
 * memory beside ones with them far, in pairs that take turns, over the ns that a far line costs more.
 *   tier_bench DIR [flags]; bench/tier.sh runs the whole of it.
 * The database is made in DIR when it is not there. Both sides of a pair read the same files through
 * handles of their own. What a delay is worth is only what it says: sensitivity to latency, on a core that
 * can do nothing else meanwhile; it is no figure of any device.
 */
#include "bench/tier_keys.h"
#include "bench/tier_plot.h"
#include "bench/tier_table.h"
#include "lsm/omendb.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_FAILED = 1, EXIT_WRONG_USE = 2, EXIT_TOO_BUSY = 3 };
enum { BATCH = 16, RUNS_MAX = 31, LATENCY_EVERY = 16, LATENCIES_MAX = 1 << 20 };

static const char usage[] =
    "usage: tier_bench DIR [flags]\n"
    "\n"
    "  --num N         entries (default 5000000)\n"
    "  --value N       bytes of a value (default 100)\n"
    "  --cases LIST    of uniform,zipf,zipf-range,multiget,disk,starved (default: all)\n"
    "  --delays LIST   ns that a far line costs more (default 0,100,150,250,400,1000)\n"
    "  --far-node N    a real far node, in place of delays\n"
    "  --seconds S     of one side's turn (default 2)\n"
    "  --runs N        turns of each side (default 5)\n"
    "  --json FILE     also a line of JSON for each case and delay\n"
    "  --svg FILE      the curves\n"
    "  --force         also on a busy machine; its figures mean nothing\n"
    "\n"
    "exit code 3: the machine is too busy to measure anything\n";

static void die(const char *what)
{
    fprintf(stderr, "tier_bench: %s: %s\n", what, omen_last_error());
    exit(EXIT_FAILED);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- is it quiet? ------------------------------------------------------------------------------ */

/* The share of a busy loop's time that went to somebody else. */
static double time_stolen(double seconds)
{
    double start = now_s(), last = start, lost = 0;
    while (last - start < seconds) {
        double now = now_s();
        if (now - last > 20e-6)
            lost += now - last;
        last = now;
    }
    return lost / seconds;
}

static double load_now(void)
{
    double load[1] = {0};
    return getloadavg(load, 1) == 1 ? load[0] : 0;
}

static void quiet_or_exit(const struct flags *f)
{
    double stolen = time_stolen(0.5), load = load_now();
    double processors = (double)sysconf(_SC_NPROCESSORS_ONLN);
    bool busy = stolen > 0.02 || load > 0.75 * processors;
    printf("# machine: %.0f processors, load %.2f, %.1f %% of a loop's time taken by others: %s\n",
           processors, load, 100 * stolen, busy ? "BUSY" : "quiet");
    if (!busy)
        return;
    if (!f->force) {
        fprintf(stderr,
                "tier_bench: the machine is busy; what is measured now means nothing. Try again "
                "when it is quiet (--force runs all the same)\n");
        exit(EXIT_TOO_BUSY);
    }
}

/* ---- the database ---------------------------------------------------------------------------- */

static omen_db *open_with(const struct flags *f, uint32_t flags, const char *options)
{
    omen_db *db;
    omen_options o = {.struct_bytes = sizeof(o), .flags = flags};
    if (omen_options_from_string(options, &o) != OMEN_OK)
        die(options);
    if (omen_open(f->dir, &o, &db) != OMEN_OK)
        die(f->dir);
    return db;
}

static void put_one(omen_db *db, const struct flags *f, uint64_t i, char *value)
{
    char key[KEY_BYTES + 1];
    memcpy(value, &i, sizeof(i));
    if (omen_put(db, NULL, key_of(i, true, key), (omen_slice){value, f->value_bytes}) != OMEN_OK)
        die("put");
}

/* All in one run of the last level, and a twelfth of the keys once more above it. */
static void database_make(const struct flags *f)
{
    struct draw d = {.state = 7};
    char *value = calloc(1, f->value_bytes + sizeof(uint64_t));
    omen_db *db = open_with(f, OMEN_CREATE_IF_MISSING,
                            "memory_bytes=256M,memtable_bytes=4M,codec_last=none,far=none");
    omen_stats s = {.struct_bytes = sizeof(s)};
    if (value == NULL || omen_get_stats(db, &s) != OMEN_OK)
        die("stats");
    if (s.index_keys < f->num) {
        printf("# loading %" PRIu64 " entries\n", f->num);
        uint64_t step = 2 * (f->num / 5) + 1; /* in an order of its own */
        while (f->num % step == 0)
            step += 2;
        for (uint64_t n = 0, i = 0; n < f->num; n++, i = (i + step) % f->num)
            put_one(db, f, i, value);
        if (omen_compact(db, NULL, NULL) != OMEN_OK)
            die("compact");
        for (uint64_t n = 0; n < f->num / 12; n++)
            put_one(db, f, draw_next(&d) % f->num, value);
        if (omen_flush(db) != OMEN_OK || omen_wait_idle(db) != OMEN_OK)
            die("flush");
    }
    free(value);
    if (omen_close(db) != OMEN_OK)
        die("close");
}

/* ---- cases ----------------------------------------------------------------------------------- */

struct sizes {
    uint64_t data_bytes, filter_bytes, index_bytes;
};

static const struct bench_case cases[] = {
    {"uniform", "all cached, uniform", PICK_UNIFORM, 1, false, 0, 0, 0},
    {"zipf", "all cached, Zipf 0.99 over scattered keys, 10 % near", PICK_ZIPF, 1, false, 0, 0.1,
     0},
    {"zipf-range", "all cached, Zipf 0.99 over neighbours, 10 % near", PICK_ZIPF_RANGE, 1, false, 0,
     0.1, 0},
    {"multiget", "all cached, uniform, MultiGet 16", PICK_UNIFORM, 1, true, 0, 0, 0},
    {"disk", "block cache 5 % of the data, uniform, equal DRAM", PICK_UNIFORM, 1, false, 0.05, 0,
     0},
    {"starved", "block cache 5 %, half misses; near: filters get a tenth of what they need",
     PICK_UNIFORM, 0.5, false, 0.05, 0, 0.1},
};
enum { CASES = sizeof(cases) / sizeof(cases[0]) };

static omen_db *side_open(const struct flags *f, const struct bench_case *c, const struct sizes *s,
                          const char *far)
{
    char text[512];
    uint64_t structures = s->filter_bytes + s->index_bytes;
    bool near = strcmp(far, "none") == 0; /* the base of a starved case */
    uint64_t cache = c->cache_share != 0 ? (uint64_t)(c->cache_share * (double)s->data_bytes)
                                         : 2 * s->data_bytes + 4 * structures;
    uint64_t filters = 4 * s->filter_bytes + (1 << 20), budget = 4096;
    if (near && c->near_filter_share != 0)
        filters = (uint64_t)(c->near_filter_share * (double)s->filter_bytes) + 4096;
    if (c->near_share != 0)
        budget = (uint64_t)(c->near_share * (double)structures) + 4096;
    snprintf(text, sizeof(text),
             "memory_bytes=%" PRIu64 ",cache_bytes=%" PRIu64 ",filter_bytes=%" PRIu64
             ",io_mode=%s,far=%s,near_model_bytes=%" PRIu64,
             cache + (64u << 20), cache, filters, c->cache_share != 0 ? "direct" : "buffered", far,
             budget);
    if (c->near_share == 0)
        strcpy(strstr(text, ",near_model_bytes="), ",near_model_bytes=none");
    return open_with(f, OMEN_OPEN_READ_ONLY, text);
}

/* One side of a pair. */
struct side {
    omen_db *db;
    struct draw draw;
    double per_s[RUNS_MAX];
    uint64_t lookups;
    float *latencies; /* us */
    size_t latency_count;
};

static uint64_t pick(struct side *s, const struct bench_case *c, uint64_t num)
{
    switch (c->pick) {
    case PICK_ZIPF:
        return mix(zipf_next(&s->draw) + 1) % num;
    case PICK_ZIPF_RANGE:
        return zipf_next(&s->draw);
    default:
        return draw_next(&s->draw) % num;
    }
}

static void get_one(struct side *s, omen_slice key, bool there)
{
    omen_value v;
    omen_err err = omen_get(s->db, NULL, key, &v);
    if (err != (there ? OMEN_OK : OMEN_NOT_FOUND))
        die("a wrong answer");
    omen_value_release(&v);
}

static void get_batch(struct side *s, const struct bench_case *c, uint64_t num)
{
    char bytes[BATCH][KEY_BYTES + 1];
    omen_slice keys[BATCH];
    omen_value values[BATCH];
    omen_err errs[BATCH];
    for (int i = 0; i < BATCH; i++)
        keys[i] = key_of(pick(s, c, num), true, bytes[i]);
    if (omen_multi_get(s->db, NULL, BATCH, keys, values, errs) != OMEN_OK)
        die("multi_get");
    for (int i = 0; i < BATCH; i++) {
        if (errs[i] != OMEN_OK)
            die("a wrong answer");
        omen_value_release(&values[i]);
    }
    s->lookups += BATCH;
}

static void lookup(struct side *s, const struct bench_case *c, uint64_t num)
{
    char key[KEY_BYTES + 1];
    if (c->batched) {
        get_batch(s, c, num);
        return;
    }
    bool there = c->hits >= 1 || draw_unit(&s->draw) < c->hits;
    omen_slice k = key_of(pick(s, c, num), there, key);
    bool timed = s->lookups % LATENCY_EVERY == 0 && s->latency_count < LATENCIES_MAX;
    double start = timed ? now_s() : 0;
    get_one(s, k, there);
    if (timed)
        s->latencies[s->latency_count++] = (float)((now_s() - start) * 1e6);
    s->lookups++;
}

static double turn(struct side *s, const struct bench_case *c, const struct flags *f)
{
    uint64_t before = s->lookups;
    double start = now_s(), now = start;
    while (now - start < f->seconds) {
        for (int i = 0; i < 64; i++)
            lookup(s, c, f->num);
        now = now_s();
    }
    return (double)(s->lookups - before) / (now - start);
}

static void warm(struct side *s, const struct bench_case *c, const struct flags *f)
{
    char key[KEY_BYTES + 1];
    for (uint64_t i = 0; c->cache_share == 0 && i < f->num; i++)
        get_one(s, key_of(i, true, key), true);
    (void)turn(s, c, f);
    s->lookups = s->latency_count = 0;
}

/* ---- figures --------------------------------------------------------------------------------- */

static int compare_f64(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int compare_f32(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double median(const double *v, int n)
{
    double copy[RUNS_MAX];
    memcpy(copy, v, (size_t)n * sizeof(*v));
    qsort(copy, (size_t)n, sizeof(*copy), compare_f64);
    return n % 2 != 0 ? copy[n / 2] : (copy[n / 2 - 1] + copy[n / 2]) / 2;
}

static double percentile(struct side *s, double p)
{
    if (s->latency_count == 0)
        return 0;
    qsort(s->latencies, s->latency_count, sizeof(*s->latencies), compare_f32);
    return (double)s->latencies[(size_t)(p * (double)(s->latency_count - 1))];
}

static omen_stats stats_of(omen_db *db)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    if (omen_get_stats(db, &s) != OMEN_OK)
        die("stats");
    return s;
}

static double each(uint64_t after, uint64_t before, uint64_t lookups)
{
    return lookups != 0 ? (double)(after - before) / (double)lookups : 0;
}

static void side_begin(struct side *s, omen_db *db, const struct bench_case *c,
                       const struct flags *f)
{
    *s = (struct side){.db = db, .draw.state = 11};
    s->latencies = malloc(LATENCIES_MAX * sizeof(*s->latencies));
    if (s->latencies == NULL)
        exit(EXIT_FAILED);
    if (c->pick != PICK_UNIFORM)
        zipf_begin(&s->draw, f->num);
    warm(s, c, f);
}

static void side_end(struct side *s)
{
    free(s->latencies);
    if (omen_close(s->db) != OMEN_OK)
        die("close");
}

static void sound_or_exit(const struct flags *f, const omen_stats *s, uint64_t asked_ns)
{
    if (f->far_node >= 0 ? s->far != OMEN_FAR_NONE : s->far_delay_sound != 0 || asked_ns == 0)
        return;
    if (f->far_node >= 0) {
        fprintf(stderr, "tier_bench: there is no far node %d: %s\n", f->far_node, s->far_why);
        exit(EXIT_FAILED);
    }
    fprintf(stderr,
            "tier_bench: %" PRIu64 " ns were asked and %" PRIu32
            " achieved: the machine is too busy, or cannot wait so shortly%s\n",
            asked_ns, s->far_delay_achieved_ns, f->force ? "" : " (--force runs all the same)");
    if (!f->force)
        exit(EXIT_TOO_BUSY);
}

static struct result pair_run(const struct flags *f, const struct bench_case *c,
                              const struct sizes *sizes, const char *far, const char *base,
                              uint64_t delay_ns)
{
    struct side near, away;
    double ratios[RUNS_MAX];
    side_begin(&near, side_open(f, c, sizes, base), c, f);
    side_begin(&away, side_open(f, c, sizes, far), c, f);
    omen_stats n0 = stats_of(near.db), f0 = stats_of(away.db);
    sound_or_exit(f, &f0, delay_ns);
    for (int r = 0; r < f->runs; r++) {
        if (r % 2 == 0)
            near.per_s[r] = turn(&near, c, f);
        away.per_s[r] = turn(&away, c, f);
        if (r % 2 != 0)
            near.per_s[r] = turn(&near, c, f);
        ratios[r] = away.per_s[r] / near.per_s[r];
    }
    omen_stats n1 = stats_of(near.db), f1 = stats_of(away.db);
    struct result out = {
        .ratio = median(ratios, f->runs),
        .near_per_s = median(near.per_s, f->runs),
        .far_per_s = median(away.per_s, f->runs),
        .near_p50 = percentile(&near, 0.5),
        .far_p50 = percentile(&away, 0.5),
        .near_p99 = percentile(&near, 0.99),
        .far_p99 = percentile(&away, 0.99),
        .far_lines = each(f1.far_lines, f0.far_lines, away.lookups),
        .far_waits = each(f1.far_wait_ns, f0.far_wait_ns, away.lookups),
        .near_reads = each(n1.cache_misses, n0.cache_misses, near.lookups),
        .far_reads = each(f1.cache_misses, f0.cache_misses, away.lookups),
        .structure_bytes =
            f1.far_got[0][0] + f1.far_got[0][1] + f1.far_got[1][0] + f1.far_got[1][1],
        .near_bytes = f1.memory_filters + f1.memory_models,
        .far_bytes = f1.far_used_bytes,
        .achieved_ns = f1.far_delay_achieved_ns,
    };
    out.low = out.high = ratios[0];
    for (int r = 1; r < f->runs; r++) {
        out.low = fmin(out.low, ratios[r]);
        out.high = fmax(out.high, ratios[r]);
    }
    side_end(&near);
    side_end(&away);
    return out;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += n)
        if ((at == list || at[-1] == ',') && (at[n] == ',' || at[n] == 0))
            return true;
    return false;
}

static size_t delays_parse(const char *text, uint64_t *out)
{
    size_t n = 0;
    while (n < PLOT_POINTS_MAX) {
        char *end;
        out[n] = strtoull(text, &end, 10);
        if (end == text || (*end != 0 && *end != ','))
            return 0;
        n++;
        if (*end == 0)
            return n;
        text = end + 1;
    }
    return 0;
}

static struct result row_run(const struct flags *f, const struct bench_case *c,
                             const struct sizes *sizes, const char *far, const char *base,
                             uint64_t delay_ns)
{
    struct result r = pair_run(f, c, sizes, far, base, delay_ns);
    result_print(&r, far, base);
    if (f->json_out != NULL)
        result_json(f, c, &r, far, base);
    return r;
}

/* What the engine does for far memory costs something (heap), what injects the delay too (delay:0): with
 * that as the base, the others cost what their delay costs. Where the base lacks memory it is that base in
 * every row. */
static void case_run(const struct flags *f, const struct bench_case *c, const struct sizes *sizes,
                     const uint64_t *delays, size_t delay_count, struct plot_curve *curve)
{
    char far[32];
    *curve = (struct plot_curve){.name = c->name};
    table_head(f, c);
    (void)row_run(f, c, sizes, "heap", "none", 0);
    if (f->far_node >= 0) {
        snprintf(far, sizeof(far), "node:%d", f->far_node);
        (void)row_run(f, c, sizes, far, "none", 0);
        return;
    }
    for (size_t i = 0; i < delay_count; i++) {
        bool starved = c->near_filter_share != 0;
        snprintf(far, sizeof(far), "delay:%" PRIu64, delays[i]);
        struct result r =
            row_run(f, c, sizes, far, starved || delays[i] == 0 ? "none" : "delay:0", delays[i]);
        bool itself = delays[i] == 0 && !starved;
        curve->x[i] = (double)delays[i];
        curve->y[i] = itself ? 1 : r.ratio;
        curve->low[i] = itself ? 1 : r.low;
        curve->high[i] = itself ? 1 : r.high;
        curve->count = i + 1;
    }
}

static struct sizes sizes_of(const struct flags *f)
{
    omen_db *db = open_with(f, OMEN_OPEN_READ_ONLY, "far=none");
    omen_stats s = stats_of(db);
    struct sizes out = {.filter_bytes = s.filter_bytes, .index_bytes = s.index_bytes};
    for (uint32_t l = 0; l < s.levels; l++)
        out.data_bytes += s.level[l].bytes;
    printf("# %" PRIu64 " entries of %d + %" PRIu64
           " bytes: tables %.1f MB, filters %.2f MB, models "
           "%.2f MB, %" PRIu32 " levels\n",
           f->num, KEY_BYTES, f->value_bytes, (double)out.data_bytes / 1e6,
           (double)out.filter_bytes / 1e6, (double)out.index_bytes / 1e6, s.levels);
    if (omen_close(db) != OMEN_OK)
        die("close");
    return out;
}

static int wrong_use(const char *what)
{
    fprintf(stderr, "tier_bench: %s\n%s", what, usage);
    return EXIT_WRONG_USE;
}

static bool flag_take(struct flags *f, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **text;
    } texts[] = {
        {"--cases", &f->cases}, {"--delays", &f->delays}, {"--svg", &f->svg}, {"--json", &f->json}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].text = value;
            return true;
        }
    char *end;
    double v = strtod(value, &end);
    if (end == value || *end != 0 || v < 0 || v > 1e12)
        return false;
    if (strcmp(name, "--num") == 0)
        f->num = (uint64_t)v;
    else if (strcmp(name, "--value") == 0)
        f->value_bytes = (uint64_t)v;
    else if (strcmp(name, "--seconds") == 0)
        f->seconds = v;
    else if (strcmp(name, "--runs") == 0)
        f->runs = (int)v;
    else if (strcmp(name, "--far-node") == 0)
        f->far_node = (int)v;
    else
        return false;
    return true;
}

static bool flags_take(struct flags *f, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--force") == 0)
            f->force = true;
        else if (argv[i][0] != '-')
            f->dir = argv[i];
        else if (i + 1 >= argc || !flag_take(f, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    return f->dir != NULL && f->num >= 1000 && f->runs >= 1 && f->runs <= RUNS_MAX &&
           f->value_bytes >= 8 && f->seconds > 0;
}

int main(int argc, char **argv)
{
    struct flags f = {.cases = "uniform,zipf,zipf-range,multiget,disk,starved",
                      .delays = "0,100,150,250,400,1000",
                      .num = 5000000,
                      .value_bytes = 100,
                      .seconds = 2,
                      .runs = 5,
                      .far_node = -1};
    uint64_t delays[PLOT_POINTS_MAX];
    if (!flags_take(&f, argc, argv))
        return wrong_use("a wrong flag, or no directory");
    size_t delay_count = delays_parse(f.delays, delays);
    if (delay_count == 0)
        return wrong_use("--delays takes up to 16 numbers of ns, with commas between");
    if (f.json != NULL && (f.json_out = fopen(f.json, "w")) == NULL) {
        fprintf(stderr, "tier_bench: %s: %s\n", f.json, strerror(errno));
        return EXIT_FAILED;
    }
    quiet_or_exit(&f);
    database_make(&f);
    struct sizes sizes = sizes_of(&f);
    struct plot_curve curves[CASES];
    size_t count = 0;
    for (size_t i = 0; i < CASES; i++)
        if (listed(f.cases, cases[i].name))
            case_run(&f, &cases[i], &sizes, delays, delay_count, &curves[count++]);
    if (count == 0)
        return wrong_use("--cases names none that there is");
    char caption[256];
    snprintf(caption, sizeof(caption),
             "%s; %" PRIu64 " entries of %d + %" PRIu64
             " bytes; %d turns of %.1f s; bars: least to most",
             f.far_node >= 0 ? "hardware" : "injected latency, no device", f.num, KEY_BYTES,
             f.value_bytes, f.runs, f.seconds);
    if (f.svg != NULL &&
        !plot_write(f.svg, "Lookups a second, far / near", caption, curves, count)) {
        fprintf(stderr, "tier_bench: %s: %s\n", f.svg, strerror(errno));
        return EXIT_FAILED;
    }
    if (f.json_out != NULL && fclose(f.json_out) != 0) {
        fprintf(stderr, "tier_bench: %s: %s\n", f.json, strerror(errno));
        return EXIT_FAILED;
    }
    return 0;
}

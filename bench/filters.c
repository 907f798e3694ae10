/*
 * filters.c - what filters save end to end: reads from the device for each lookup, plain beside
 * learned, on key sets whose absent lookups have a shape.
 *   filters DIR WORKLOAD [--num N] [--gets N] [--options "name=value,..."] [--inline] [--drift] [--json]
 * Loads N keys in random order, asks (so that the engine sees what is asked), loads the same keys
 * again (so that every table is written anew), and measures: as the tree comes to rest, and at eight
 * moments while a half of the keys is written once more, because how many runs there are depends on the
 * moment. bench/filters.sh runs the pairs.
 */
#include "lsm/omendb.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUE_BYTES = 24, METRIC_POINTS = 50, CLUSTERS = 1000 };

static const char usage[] =
    "usage: filters DIR WORKLOAD [flags]\n"
    "\n"
    "  WORKLOAD   A       hashed keys, absent keys alike\n"
    "             B, B2   clusters over 0.006 % and 26 % of the key space, absent keys uniform\n"
    "             D1, D3  time series: unknown metrics; 80 % of those and 20 % unknown times\n"
    "             E       80 % of the absent keys in the newest tenth of the ids\n"
    "             C       absent keys Zipf 1.0 over 4096 prefixes\n"
    "             hits    hashed keys, 95 % of the lookups find theirs\n"
    "  --num N        keys (default 1000000)\n"
    "  --gets N       lookups in each measurement (default 1000000)\n"
    "  --options TEXT the engine's options\n"
    "  --inline       flushes and merges on the writer's thread: the same counts in every run\n"
    "  --drift        then ask elsewhere, load again, and measure after each\n"
    "  --json         one line of JSON for each measurement\n"
    "\n"
    "Measured: \"first\" before the engine knew the lookups; \"learned\" with all tables written "
    "anew,\n"
    "at rest; \"moving\" the mean of eight moments while half of the keys are written once more "
    "(of\n"
    "filter bytes: the most).\n";

struct work {
    const char *name;
    uint64_t num, state;
    uint64_t *keys;    /* ascending */
    uint32_t *metrics; /* known ones first */
    uint32_t metrics_known, metrics_all;
    double *zipf;       /* cumulative, 4096 */
    uint16_t *prefixes; /* by rank */
    double hit_share;
    bool drifted;
};

static void die(const char *what)
{
    fprintf(stderr, "filters: %s: %s\n", what, omen_last_error());
    exit(1);
}

static uint64_t random_next(struct work *w)
{
    uint64_t z = w->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double random_unit(struct work *w)
{
    return (double)(random_next(w) >> 11) * 0x1p-53;
}

static bool is(const struct work *w, const char *name)
{
    return strcmp(w->name, name) == 0;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, 8);
    memcpy(&y, b, 8);
    return (x > y) - (x < y);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static uint64_t time_key(uint32_t metric, uint32_t second)
{
    return (uint64_t)metric << 32 | (1700000000u + second);
}

static void keys_clustered(struct work *w, double cover)
{
    uint64_t width = cover > 0.01 ? (uint64_t)(cover * 0x1p64 / CLUSTERS) : UINT64_C(1) << 40;
    uint64_t base = 0;
    for (uint64_t i = 0; i < w->num; i++) {
        if (i % (w->num / CLUSTERS + 1) == 0)
            base = random_next(w);
        w->keys[i] = base + random_next(w) % width;
    }
}

static void keys_make(struct work *w)
{
    w->keys = malloc(w->num * sizeof(*w->keys));
    if (w->keys == NULL)
        exit(1);
    if (is(w, "B") || is(w, "B2")) {
        keys_clustered(w, is(w, "B") ? 0 : 0.3);
    } else if (is(w, "D1") || is(w, "D3")) {
        w->metrics_known = (uint32_t)(w->num / METRIC_POINTS);
        w->metrics_all = 10 * w->metrics_known;
        w->metrics = malloc(w->metrics_all * sizeof(*w->metrics));
        for (uint32_t i = 0; i < w->metrics_all; i++)
            w->metrics[i] = (uint32_t)random_next(w);
        for (uint64_t i = 0; i < w->num; i++) {
            uint32_t metric = w->metrics[(i / METRIC_POINTS) % w->metrics_known];
            w->keys[i] = time_key(metric, (uint32_t)(i % METRIC_POINTS) * 72 + metric % 10);
        }
    } else if (is(w, "E")) {
        for (uint64_t i = 0; i < w->num; i++)
            w->keys[i] = random_next(w) % (w->num * 100) * 1000;
    } else {
        for (uint64_t i = 0; i < w->num; i++)
            w->keys[i] = random_next(w);
    }
    qsort(w->keys, w->num, sizeof(*w->keys), compare_u64);
    uint64_t kept = 0;
    for (uint64_t i = 0; i < w->num; i++)
        if (kept == 0 || w->keys[i] != w->keys[kept - 1])
            w->keys[kept++] = w->keys[i];
    w->num = kept;
    w->hit_share = is(w, "hits") ? 0.95 : 0;
    if (!is(w, "C"))
        return;
    w->zipf = malloc(4096 * sizeof(*w->zipf));
    w->prefixes = malloc(4096 * sizeof(*w->prefixes));
    double sum = 0;
    for (uint32_t i = 0; i < 4096; i++) {
        w->zipf[i] = sum += 1.0 / (i + 1);
        w->prefixes[i] = (uint16_t)i;
    }
    for (uint32_t i = 4095; i > 0; i--) {
        uint32_t j = (uint32_t)(random_next(w) % (i + 1));
        uint16_t t = w->prefixes[i];
        w->prefixes[i] = w->prefixes[j];
        w->prefixes[j] = t;
    }
}

static bool is_key(const struct work *w, uint64_t key)
{
    return bsearch(&key, w->keys, w->num, sizeof(key), compare_u64) != NULL;
}

static uint64_t zipf_prefix(struct work *w)
{
    double u = random_unit(w) * w->zipf[4095];
    uint32_t low = 0, high = 4095;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (w->zipf[middle] < u)
            low = middle + 1;
        else
            high = middle;
    }
    return w->prefixes[w->drifted ? (low + 2048) % 4096 : low];
}

static uint64_t draw_absent(struct work *w)
{
    for (;;) {
        uint64_t key;
        double u = random_unit(w);
        if (is(w, "B") || is(w, "B2")) {
            double span = (double)(w->keys[w->num - 1] - w->keys[0]);
            key = w->keys[0] + (uint64_t)(u * span);
        } else if (is(w, "D1") || is(w, "D3")) {
            bool unknown = is(w, "D1") || u < 0.8;
            uint64_t m = random_next(w);
            uint32_t metric =
                unknown ? w->metrics[w->metrics_known + m % (w->metrics_all - w->metrics_known)]
                        : w->metrics[m % w->metrics_known];
            key = time_key(metric, (uint32_t)(random_next(w) % 3600));
        } else if (is(w, "E")) {
            uint64_t ids = w->num * 100, hot = w->drifted ? 0 : ids / 10 * 9;
            uint64_t id = u < 0.8 ? hot + random_next(w) % (ids / 10) : random_next(w) % ids;
            key = id * 1000;
        } else if (is(w, "C")) {
            key = zipf_prefix(w) << 52 | random_next(w) >> 12;
        } else {
            key = random_next(w);
        }
        if (!is_key(w, key))
            return key;
    }
}

static omen_slice key_bytes(uint64_t key, uint8_t out[static 8])
{
    for (int i = 7; i >= 0; i--, key >>= 8)
        out[i] = (uint8_t)key;
    return (omen_slice){out, 8};
}

/* ---- work ------------------------------------------------------------------------------------ */

/* A step that shares no factor with the number of keys: all keys in an order of their own. */
static uint64_t load_step(const struct work *w)
{
    for (uint64_t step = UINT64_C(2654435761) % w->num | 1;; step += 2) {
        uint64_t a = step, b = w->num;
        while (b != 0) {
            uint64_t t = a % b;
            a = b;
            b = t;
        }
        if (a == 1)
            return step;
    }
}

/* count keys of that order, from the from-th on. */
static void load(omen_db *db, struct work *w, uint64_t round, uint64_t from, uint64_t count)
{
    uint8_t key[8], value[VALUE_BYTES];
    uint64_t step = load_step(w), at = (uint64_t)((unsigned __int128)step * from % w->num);
    memset(value, (int)round, sizeof(value));
    for (uint64_t i = from; i < from + count; i++, at = (at + step) % w->num) {
        memcpy(value, &i, sizeof(i));
        if (omen_put(db, NULL, key_bytes(w->keys[at], key), (omen_slice){value, sizeof(value)}) !=
            OMEN_OK)
            die("put");
    }
    if (omen_flush(db) != OMEN_OK || omen_wait_idle(db) != OMEN_OK)
        die("wait");
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct figures {
    double ns, device_reads, useless, filter_bytes, bits;
};

static struct figures ask(omen_db *db, struct work *w, uint64_t gets)
{
    omen_stats before = {.struct_bytes = sizeof(before)}, after = before;
    uint8_t key[8], value[VALUE_BYTES];
    double spent = 0;
    if (omen_get_stats(db, &before) != OMEN_OK)
        die("stats");
    enum { GROUP = 1024 };
    static uint64_t group[GROUP];
    for (uint64_t done = 0; done < gets; done += GROUP) {
        bool hit[GROUP];
        for (int i = 0; i < GROUP; i++) {
            hit[i] = random_unit(w) < w->hit_share;
            group[i] = hit[i] ? w->keys[random_next(w) % w->num] : draw_absent(w);
        }
        double started = now_s();
        for (int i = 0; i < GROUP; i++) {
            size_t size;
            omen_err err =
                omen_get_into(db, NULL, key_bytes(group[i], key), value, sizeof(value), &size);
            if (err != (hit[i] ? OMEN_OK : OMEN_NOT_FOUND))
                die("get answered wrong");
        }
        spent += now_s() - started;
    }
    if (omen_get_stats(db, &after) != OMEN_OK)
        die("stats");
    double n = (double)(after.gets - before.gets);
    return (struct figures){
        .ns = 1e9 * spent / n,
        .device_reads = (double)(after.cache_misses - before.cache_misses) / n,
        .useless = (double)(after.filter_false_positives - before.filter_false_positives) / n,
        .filter_bytes = (double)after.memory_filters,
        .bits = 8.0 * (double)after.memory_filters / (double)w->num};
}

/* Over a part of the writes that move the tree from one merge of its last level towards the next. */
static struct figures ask_moving(omen_db *db, struct work *w, uint64_t gets)
{
    enum { MOMENTS = 8, SHARE = 2 };
    struct figures sum = {0};
    for (uint64_t i = 0; i < MOMENTS; i++) {
        uint64_t from = w->num / SHARE * i / MOMENTS, to = w->num / SHARE * (i + 1) / MOMENTS;
        load(db, w, 2, from, to - from);
        struct figures f = ask(db, w, gets / MOMENTS);
        sum.ns += f.ns / MOMENTS;
        sum.device_reads += f.device_reads / MOMENTS;
        sum.useless += f.useless / MOMENTS;
        sum.filter_bytes = f.filter_bytes > sum.filter_bytes ? f.filter_bytes : sum.filter_bytes;
        sum.bits = 8.0 * sum.filter_bytes / (double)w->num;
    }
    return sum;
}

static void print(const struct work *w, const char *phase, const struct figures *f, bool json)
{
    if (json)
        printf("{\"workload\":\"%s\",\"phase\":\"%s\",\"keys\":%" PRIu64
               ",\"ns_per_get\":%.0f,\"device_reads_per_get\":%.5f,\"useless_reads_per_get\":%.5f,"
               "\"filter_bytes\":%.0f,\"filter_bits_per_key\":%.3f}\n",
               w->name, phase, w->num, f->ns, f->device_reads, f->useless, f->filter_bytes,
               f->bits);
    else
        printf("%-5s %-10s %8.0f ns a get  %.5f device reads a get  %.5f of them useless  %6.2f MB "
               "of filters, %.2f bits a key\n",
               w->name, phase, f->ns, f->device_reads, f->useless, f->filter_bytes / 1e6, f->bits);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct work w = {.num = 1000000, .state = 1};
    uint64_t gets = 1000000;
    const char *options = "";
    bool drift = false, json = false, in_line = false;
    if (argc < 3) {
        fputs(usage, stderr);
        return 2;
    }
    w.name = argv[2];
    for (int i = 3; i < argc; i++) {
        if (strcmp(argv[i], "--num") == 0 && i + 1 < argc)
            w.num = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--gets") == 0 && i + 1 < argc)
            gets = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--options") == 0 && i + 1 < argc)
            options = argv[++i];
        else if (strcmp(argv[i], "--inline") == 0)
            in_line = true;
        else if (strcmp(argv[i], "--drift") == 0)
            drift = true;
        else if (strcmp(argv[i], "--json") == 0)
            json = true;
        else {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (w.num < 2 * CLUSTERS) {
        fprintf(stderr, "filters: at least %d keys\n", 2 * CLUSTERS);
        return 2;
    }
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_ERROR_IF_EXISTS |
                               (in_line ? OMEN_INLINE_WORK : 0)};
    omen_db *db = NULL;
    if (omen_options_from_string(options, &o) != OMEN_OK || omen_open(argv[1], &o, &db) != OMEN_OK)
        die(argv[1]);
    keys_make(&w);
    load(db, &w, 0, 0, w.num);
    struct figures f = ask(db, &w, gets);
    print(&w, "first", &f, json);
    ask(db, &w, 2 * gets);
    load(db, &w, 1, 0, w.num);
    f = ask(db, &w, gets);
    print(&w, "learned", &f, json);
    f = ask_moving(db, &w, gets);
    print(&w, "moving", &f, json);
    if (drift) {
        w.drifted = true;
        f = ask(db, &w, gets);
        print(&w, "drifted", &f, json);
        ask(db, &w, 2 * gets);
        load(db, &w, 3, 0, w.num);
        f = ask(db, &w, gets);
        print(&w, "recovered", &f, json);
    }
    if (omen_close(db) != OMEN_OK || omen_destroy(argv[1]) != OMEN_OK)
        die("close");
    free(w.keys);
    free(w.metrics);
    free(w.zipf);
    free(w.prefixes);
    return 0;
}

#include "tools/bench_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/json.h"

/* ---- header ---------------------------------------------------------------------------------- */

/* "2 * AMD EPYC" and "512 KB", from the kernel's list; where it has none, nothing is printed. */
static void machine_print(void)
{
    FILE *in = fopen("/proc/cpuinfo", "r");
    if (in == NULL)
        return;
    char line[512], model[256] = "", cache[64] = "";
    int cpus = 0;
    while (fgets(line, sizeof(line), in) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL)
            continue;
        char *value = colon + 1 + strspn(colon + 1, " \t");
        value[strcspn(value, "\n")] = '\0';
        if (strncmp(line, "processor", 9) == 0)
            cpus++;
        else if (strncmp(line, "model name", 10) == 0)
            snprintf(model, sizeof(model), "%.255s", value);
        else if (strncmp(line, "cache size", 10) == 0)
            snprintf(cache, sizeof(cache), "%.63s", value);
    }
    fclose(in);
    fprintf(stderr, "CPU:        %d * %s\n", cpus, model);
    fprintf(stderr, "CPUCache:   %s\n", cache);
}

static const char *codec_name(const struct bench_flags *f)
{
    return f->compression_type != NULL ? f->compression_type : "default";
}

void bench_print_header(const struct bench_flags *f, const struct bench_engine *engine,
                        enum bench_compat compat, size_t key_bytes, uint64_t value_bytes)
{
    /* The version is ours whatever the label: no result may pass for another engine's. */
    static const char *const label[] = {"omendb:    ", "RocksDB:   ", "LevelDB:   "};
    fprintf(stderr, "%s version %s%s%s\n", label[compat], engine->version(),
            compat == BENCH_OMENDB ? "" : " of ", compat == BENCH_OMENDB ? "" : engine->label);
    time_t now = time(NULL);
    char date[64];
    fprintf(stderr, "Date:       %s", ctime_r(&now, date));
    machine_print();

    double value = (double)value_bytes, entries = (double)f->num;
    double raw = ((double)key_bytes + value) * entries / 1048576.0;
    double file = ((double)key_bytes + value * f->compression_ratio) * entries / 1048576.0;
    int packed = (int)(value * f->compression_ratio + 0.5);
    if (compat == BENCH_LEVELDB) {
        printf("Keys:       %zu bytes each\n", key_bytes);
        printf("Values:     %" PRIu64 " bytes each (%d bytes after compression)\n", value_bytes,
               packed);
        printf("Entries:    %" PRId64 "\n", f->num);
        printf("RawSize:    %.1f MB (estimated)\nFileSize:   %.1f MB (estimated)\n", raw, file);
    } else {
        printf("Keys:       %zu bytes each (+ 0 bytes user-defined timestamp)\n", key_bytes);
        printf("Values:     %" PRIu64 " bytes each (%d bytes after compression)\n", value_bytes,
               packed);
        printf("Entries:    %" PRId64 "\n", f->num);
        printf("Prefix:    0 bytes\nKeys per prefix:    0\n");
        printf("RawSize:    %.1f MB (estimated)\nFileSize:   %.1f MB (estimated)\n", raw, file);
        printf("Write rate: %" PRIu64 " bytes/second\n", f->benchmark_write_rate_limit);
        printf("Read rate: %" PRIu64 " ops/second\n", f->benchmark_read_rate_limit);
        printf("Compression: %s\nCompression sampling rate: 0\n", codec_name(f));
        printf("Memtablerep: btree\nPerf Level: 1\n");
    }
#ifndef __OPTIMIZE__
    printf("WARNING: Optimization is disabled: benchmarks unnecessarily slow\n");
#endif
    printf("------------------------------------------------\n");
    fflush(stdout);
}

/* ---- results --------------------------------------------------------------------------------- */

void bench_print_result(const struct bench_result *r, enum bench_compat compat, bool histogram)
{
    static const char *const kinds[BENCH_OPS] = {
        [BENCH_READ] = "read", [BENCH_WRITE] = "write",   [BENCH_DELETE] = "delete",
        [BENCH_SEEK] = "seek", [BENCH_UPDATE] = "update", [BENCH_OTHER] = "op",
    };
    char rate[40] = "";
    if (r->bytes != 0)
        snprintf(rate, sizeof(rate), " %6.1f MB/s", r->mb_per_sec);
    const char *space = r->message[0] != '\0' ? " " : "";
    if (compat == BENCH_LEVELDB)
        printf("%-12s : %11.3f micros/op;%s%s%s\n", r->name, r->micros_per_op, rate, space,
               r->message);
    else
        printf("%-12s : %11.3f micros/op %ld ops/sec %.3f seconds %" PRIu64 " operations;%s%s%s\n",
               r->name, r->micros_per_op, (long)r->ops_per_sec, r->seconds, r->operations, rate,
               space, r->message);
    if (histogram && compat == BENCH_LEVELDB && r->all.count != 0) {
        printf("Microseconds per op:\n");
        bench_hist_print(&r->all, stdout, 1);
        printf("\n");
    }
    for (int op = 0; histogram && compat != BENCH_LEVELDB && op < BENCH_OPS; op++) {
        if (r->hist[op] == NULL || r->hist[op]->count == 0)
            continue;
        printf("Microseconds per %s:\n", kinds[op]);
        bench_hist_print(r->hist[op], stdout, 0);
        printf("\n");
    }
    fflush(stdout);
}

static int double_compare(const void *a, const void *b)
{
    double x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

struct spread {
    double mean, deviation, median, half; /* half the width of the 95 % interval */
};

static struct spread spread_of(double *v, size_t n)
{
    struct spread s = {0};
    for (size_t i = 0; i < n; i++)
        s.mean += v[i] / (double)n;
    for (size_t i = 0; i < n; i++)
        s.deviation += (v[i] - s.mean) * (v[i] - s.mean);
    s.deviation = n > 1 ? sqrt(s.deviation / (double)(n - 1)) : 0;
    s.half = 1.96 * s.deviation / sqrt((double)n);
    qsort(v, n, sizeof(*v), double_compare);
    s.median = n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
    return s;
}

void bench_print_repeats(const struct bench_result *results, size_t count, bool interval_only)
{
    if (count < 2)
        return;
    double *ops = omt_realloc(NULL, count * sizeof(*ops));
    double *mb = omt_realloc(NULL, count * sizeof(*mb));
    for (size_t i = 0; i < count; i++) {
        ops[i] = results[i].ops_per_sec;
        mb[i] = results[i].mb_per_sec;
    }
    bool bytes = results[0].bytes != 0;
    struct spread o = spread_of(ops, count), m = spread_of(mb, count);
    const char *name = results[0].name;
    if (!interval_only) {
        printf("%s [AVG    %zu runs] : %d (\xC2\xB1 %d) ops/sec", name, count, (int)o.mean,
               (int)o.half);
        if (bytes)
            printf("; %6.1f (\xC2\xB1 %.1f) MB/sec", m.mean, m.half);
        printf("\n%s [MEDIAN %zu runs] : %d ops/sec", name, count, (int)o.median);
        if (bytes)
            printf("; %6.1f MB/sec", m.median);
        printf("\n");
    }
    printf("%s [CI95   %zu runs] : (%d, %d) ops/sec", name, count, (int)(o.mean - o.half),
           (int)(o.mean + o.half));
    if (bytes)
        printf("; (%.1f, %.1f) MB/sec", m.mean - m.half, m.mean + m.half);
    printf("\n");
    fflush(stdout);
    free(ops);
    free(mb);
}

bool bench_write_json(const char *path, const struct bench_result *results, size_t count)
{
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (out == NULL) {
        fprintf(stderr, "omendb: --json=%s: %m; check the path\n", path);
        return false;
    }
    struct omt_json j = {.out = out};
    omt_json_array(&j, NULL);
    for (size_t i = 0; i < count; i++) {
        const struct bench_result *r = &results[i];
        omt_json_object(&j, NULL);
        omt_json_text(&j, "name", r->name);
        omt_json_f64(&j, "micros_per_op", r->micros_per_op, 4);
        omt_json_f64(&j, "ops_per_sec", r->ops_per_sec, 1);
        omt_json_f64(&j, "seconds", r->seconds, 6);
        omt_json_u64(&j, "operations", r->operations);
        omt_json_f64(&j, "mb_per_sec", r->mb_per_sec, 3);
        omt_json_u64(&j, "found", r->found);
        omt_json_u64(&j, "total", r->total);
        omt_json_f64(&j, "p50_us", bench_hist_percentile_us(&r->all, 50), 3);
        omt_json_f64(&j, "p99_us", bench_hist_percentile_us(&r->all, 99), 3);
        omt_json_f64(&j, "p999_us", bench_hist_percentile_us(&r->all, 99.9), 3);
        omt_json_f64(&j, "max_us", (double)r->all.max_ns * 1e-3, 3);
        if (r->background_operations != 0)
            omt_json_u64(&j, "background_operations", r->background_operations);
        omt_json_object_end(&j);
    }
    omt_json_array_end(&j);
    omt_json_end(&j);
    bool ok = ferror(out) == 0;
    if (out != stdout)
        ok = fclose(out) == 0 && ok;
    if (!ok)
        fprintf(stderr, "omendb: --json=%s: writing failed; check the disk's space\n", path);
    return ok;
}

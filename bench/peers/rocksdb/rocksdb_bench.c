/*
 * rocksdb_bench.c - the same workloads on RocksDB through its C interface, for bench/compare.sh;
 * built only where librocksdb-dev is there.
 *
 *   rocksdb_bench WORKLOADS NUM READS DIR CACHE_BYTES KEYS     workloads with commas; KEYS be64 or
 * ycsb rocksdb_bench index FILE DIR                               index bytes of a key file, by
 * RocksDB's own table properties Prints one JSON object a line. Keys and values are those of omendb
 * bench: 16 bytes big-endian and '0's (or user + hash), 100 bytes that compress to half. Every
 * value read is checked for its size.
 */
#include <rocksdb/c.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { VALUE_BYTES = 100, POOL_BYTES = 1 << 20, SEEK_NEXTS = 10, MULTI = 32 };

struct bench {
    rocksdb_t *db;
    rocksdb_options_t *options;
    rocksdb_writeoptions_t *wo;
    rocksdb_readoptions_t *ro;
    const char *dir;
    uint64_t num, reads, state;
    int ycsb;
    char *pool;
    size_t pool_at;
};

static void must(char *err)
{
    if (err != NULL) {
        fprintf(stderr, "rocksdb_bench: %s\n", err);
        exit(1);
    }
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static size_t make_key(const struct bench *b, uint64_t n, int extra, char *out)
{
    size_t size = 16;
    if (b->ycsb) {
        uint64_t h = UINT64_C(0xcbf29ce484222325), v = n;
        for (int i = 0; i < 8; i++, v >>= 8)
            h = (h ^ (v & 255)) * UINT64_C(1099511628211);
        size = (size_t)sprintf(out, "user%" PRIu64, h >> 1);
    } else {
        for (int i = 0; i < 8; i++)
            out[i] = (char)(n >> (56 - 8 * i));
        memset(out + 8, '0', 8);
    }
    if (extra)
        out[size++] = '.';
    return size;
}

static void make_pool(struct bench *b)
{
    b->pool = malloc(POOL_BYTES + VALUE_BYTES);
    if (b->pool == NULL)
        exit(1);
    uint64_t s = 301;
    for (size_t i = 0; i < POOL_BYTES + VALUE_BYTES; i++)
        b->pool[i] = i % 100 < 50 ? (char)(' ' + mix(&s) % 95) : b->pool[i - 50];
}

static const char *next_value(struct bench *b)
{
    if (b->pool_at + VALUE_BYTES > POOL_BYTES)
        b->pool_at = 0;
    const char *v = b->pool + b->pool_at;
    b->pool_at += VALUE_BYTES;
    return v;
}

static void open_db(struct bench *b, int fresh)
{
    char *err = NULL;
    if (b->db != NULL)
        rocksdb_close(b->db);
    b->db = NULL;
    if (fresh) {
        rocksdb_destroy_db(b->options, b->dir, &err);
        free(err);
        err = NULL;
    }
    b->db = rocksdb_open(b->options, b->dir, &err);
    must(err);
}

static uint64_t fill(struct bench *b, int random)
{
    char key[64], *err = NULL;
    for (uint64_t i = 0; i < b->num; i++) {
        size_t n = make_key(b, random ? mix(&b->state) % b->num : i, 0, key);
        rocksdb_put(b->db, b->wo, key, n, next_value(b), VALUE_BYTES, &err);
        must(err);
    }
    return b->num;
}

static uint64_t get(struct bench *b, int missing, uint64_t *found)
{
    char key[64], *err = NULL;
    for (uint64_t i = 0; i < b->reads; i++) {
        size_t n = make_key(b, mix(&b->state) % b->num, missing, key);
        rocksdb_pinnableslice_t *v = rocksdb_get_pinned(b->db, b->ro, key, n, &err);
        must(err);
        if (v != NULL) {
            size_t size;
            (void)rocksdb_pinnableslice_value(v, &size);
            if (size != VALUE_BYTES)
                must("a value of another size");
            ++*found;
            rocksdb_pinnableslice_destroy(v);
        }
    }
    return b->reads;
}

static uint64_t multi_get(struct bench *b, uint64_t *found)
{
    static char keys[MULTI][64];
    const char *names[MULTI];
    size_t sizes[MULTI], value_sizes[MULTI];
    char *values[MULTI], *errs[MULTI];
    for (uint64_t done = 0; done < b->reads; done += MULTI) {
        for (int k = 0; k < MULTI; k++) {
            sizes[k] = make_key(b, mix(&b->state) % b->num, 0, keys[k]);
            names[k] = keys[k];
        }
        rocksdb_multi_get(b->db, b->ro, MULTI, names, sizes, values, value_sizes, errs);
        for (int k = 0; k < MULTI; k++) {
            must(errs[k]);
            *found += values[k] != NULL;
            free(values[k]);
        }
    }
    return b->reads;
}

static uint64_t scan(struct bench *b, int seeks, uint64_t *found)
{
    char key[64], *err = NULL;
    uint64_t steps = 0;
    size_t size;
    for (uint64_t i = 0; i < (seeks ? b->reads : 1); i++) {
        rocksdb_iterator_t *it = rocksdb_create_iterator(b->db, b->ro);
        if (seeks) {
            size_t n = make_key(b, mix(&b->state) % b->num, 0, key);
            rocksdb_iter_seek(it, key, n);
            *found += rocksdb_iter_valid(it) != 0;
            for (int k = 0; k < SEEK_NEXTS && rocksdb_iter_valid(it); k++) {
                (void)rocksdb_iter_value(it, &size);
                rocksdb_iter_next(it);
            }
        } else {
            for (rocksdb_iter_seek_to_first(it); rocksdb_iter_valid(it) && steps < b->num;
                 rocksdb_iter_next(it), steps++)
                (void)rocksdb_iter_value(it, &size);
            *found = steps;
        }
        rocksdb_iter_get_error(it, &err);
        must(err);
        rocksdb_iter_destroy(it);
    }
    return seeks ? b->reads : steps;
}

static void wait_for_merges(struct bench *b)
{
    char *err = NULL;
    rocksdb_flushoptions_t *fo = rocksdb_flushoptions_create();
    rocksdb_flush(b->db, fo, &err);
    must(err);
    rocksdb_flushoptions_destroy(fo);
    for (;;) {
        char *pending = rocksdb_property_value(b->db, "rocksdb.compaction-pending");
        char *running = rocksdb_property_value(b->db, "rocksdb.num-running-compactions");
        int busy = (pending != NULL && strcmp(pending, "0") != 0) ||
                   (running != NULL && strcmp(running, "0") != 0);
        free(pending);
        free(running);
        if (!busy)
            return;
        struct timespec t = {0, 100 * 1000 * 1000};
        nanosleep(&t, NULL);
    }
}

static void run(struct bench *b, const char *name)
{
    uint64_t ops = 0, found = 0;
    if (strncmp(name, "fill", 4) == 0)
        open_db(b, 1);
    double start = now_s();
    if (strcmp(name, "fillseq") == 0)
        ops = fill(b, 0);
    else if (strcmp(name, "fillrandom") == 0)
        ops = fill(b, 1);
    else if (strcmp(name, "readrandom") == 0)
        ops = get(b, 0, &found);
    else if (strcmp(name, "readmissing") == 0)
        ops = get(b, 1, &found);
    else if (strcmp(name, "multireadrandom") == 0)
        ops = multi_get(b, &found);
    else if (strcmp(name, "seekrandom") == 0)
        ops = scan(b, 1, &found);
    else if (strcmp(name, "readseq") == 0)
        ops = scan(b, 0, &found);
    else if (strcmp(name, "waitforcompaction") == 0)
        wait_for_merges(b);
    else {
        fprintf(stderr, "rocksdb_bench: no workload \"%s\"\n", name);
        exit(2);
    }
    double seconds = now_s() - start;
    if (ops != 0)
        printf("{\"name\": \"%s\", \"operations\": %" PRIu64 ", \"seconds\": %.3f, "
               "\"ops_per_sec\": %.0f, \"found\": %" PRIu64 "}\n",
               name, ops, seconds, (double)ops / seconds, found);
    fflush(stdout);
}

static void set_options(struct bench *b, size_t cache_bytes, int restart_interval)
{
    rocksdb_block_based_table_options_t *t = rocksdb_block_based_options_create();
    b->options = rocksdb_options_create();
    rocksdb_options_set_create_if_missing(b->options, 1);
    rocksdb_options_set_compression(b->options, rocksdb_no_compression);
    rocksdb_options_set_max_background_jobs(b->options, 2);
    rocksdb_block_based_options_set_filter_policy(t, rocksdb_filterpolicy_create_bloom_full(10));
    rocksdb_block_based_options_set_block_cache(t, rocksdb_cache_create_lru(cache_bytes));
    rocksdb_block_based_options_set_format_version(t, 5);
    (void)restart_interval;
    rocksdb_options_set_block_based_table_factory(b->options, t);
    b->wo = rocksdb_writeoptions_create();
    b->ro = rocksdb_readoptions_create();
}

/* Raw index size from the table properties, everything merged into one level. */
static int index_mode(const char *file, const char *dir)
{
    struct bench b = {.dir = dir};
    char line[70000], *err = NULL;
    uint64_t keys = 0;
    FILE *f = fopen(file, "r");
    if (f == NULL) {
        perror(file);
        return 1;
    }
    set_options(&b, 64 << 20, 1);
    make_pool(&b);
    open_db(&b, 1);
    while (fgets(line, sizeof(line), f) != NULL) {
        size_t n = strcspn(line, "\n");
        rocksdb_put(b.db, b.wo, line, n, next_value(&b), VALUE_BYTES, &err);
        must(err);
        keys += n != 0;
    }
    fclose(f);
    wait_for_merges(&b);
    rocksdb_compact_range(b.db, NULL, 0, NULL, 0);
    char *props = rocksdb_property_value(b.db, "rocksdb.aggregated-table-properties");
    const char *at = props != NULL ? strstr(props, "index block size") : NULL;
    uint64_t bytes = 0;
    if (at != NULL && (at = strchr(at, '=')) != NULL)
        bytes = strtoull(at + 1, NULL, 10);
    printf("{\"name\": \"index\", \"keys\": %" PRIu64 ", \"index_bytes\": %" PRIu64
           ", \"index_bytes_per_key\": %.4f}\n",
           keys, bytes, keys != 0 ? (double)bytes / (double)keys : 0);
    free(props);
    rocksdb_close(b.db);
    rocksdb_destroy_db(b.options, dir, &err);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "index") == 0)
        return index_mode(argv[2], argv[3]);
    if (argc != 7) {
        fprintf(stderr, "usage: rocksdb_bench WORKLOADS NUM READS DIR CACHE_BYTES be64|ycsb\n"
                        "       rocksdb_bench index FILE DIR\n");
        return 2;
    }
    struct bench b = {.num = strtoull(argv[2], NULL, 10),
                      .reads = strtoull(argv[3], NULL, 10),
                      .dir = argv[4],
                      .ycsb = strcmp(argv[6], "ycsb") == 0,
                      .state = 42};
    set_options(&b, (size_t)strtoull(argv[5], NULL, 10), 1);
    make_pool(&b);
    open_db(&b, 0);
    for (char *name = strtok(argv[1], ","); name != NULL; name = strtok(NULL, ","))
        run(&b, name);
    rocksdb_close(b.db);
    return 0;
}

/*
 * sampler.c - this machine's counters as a time series into a database: key = counter's name and
 * time, value = number. Then the last samples of one counter, by a reverse scan.
 *   sampler DIR [SECONDS]
 */
#include "omendb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void must(omen_err err)
{
    if (err != OMEN_OK) {
        fprintf(stderr, "%s\n", omen_last_error());
        exit(1);
    }
}

static unsigned long long now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000;
}

static void put_sample(omen_batch *b, const char *name, unsigned long long us, const char *value)
{
    char key[128];
    int n = snprintf(key, sizeof(key), "%s/%016llu", name, us);
    must(omen_batch_put(b, (omen_slice){key, (size_t)n}, (omen_slice){value, strlen(value)}));
}

/* Every number of a /proc file, named by file, line and column. */
static void sample_file(omen_batch *b, const char *path, const char *label, unsigned long long us)
{
    char line[4096], name[96];
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return;
    for (int row = 0; fgets(line, sizeof(line), f) != NULL && row < 40; row++) {
        int column = 0;
        for (char *word = strtok(line, " \t\n:"); word != NULL && column < 20;
             word = strtok(NULL, " \t\n:"), column++) {
            if (word[0] < '0' || word[0] > '9')
                continue;
            snprintf(name, sizeof(name), "%s.%02d.%02d", label, row, column);
            put_sample(b, name, us, word);
        }
    }
    fclose(f);
}

int main(int argc, char **argv)
{
    omen_options options = {.struct_bytes = sizeof(options), .flags = OMEN_CREATE_IF_MISSING};
    double seconds = argc > 2 ? atof(argv[2]) : 0.2;
    unsigned long long end = now_us() + (unsigned long long)(seconds * 1e6), samples = 0;
    omen_db *db;
    omen_batch *b;
    must(omen_open(argc > 1 ? argv[1] : "sampler.db", &options, &db));
    must(omen_batch_create(&b));
    while (now_us() < end) {
        unsigned long long us = now_us();
        omen_batch_clear(b);
        sample_file(b, "/proc/stat", "stat", us);
        sample_file(b, "/proc/interrupts", "interrupts", us);
        sample_file(b, "/proc/diskstats", "diskstats", us);
        sample_file(b, "/proc/net/dev", "net", us);
        must(omen_write(db, NULL, b));
        samples += omen_batch_count(b);
    }
    printf("%llu samples\n", samples);
    omen_read_options one = {
        .struct_bytes = sizeof(one), .flags = OMEN_HAS_PREFIX, .prefix = {"stat.00.01/", 11}};
    omen_iter *it;
    must(omen_iter_open(db, &one, &it));
    omen_iter_seek_last(it);
    for (int i = 0; i < 3 && omen_iter_valid(it); i++, omen_iter_prev(it))
        printf("  %.*s = %.*s\n", (int)omen_iter_key(it).size, (const char *)omen_iter_key(it).data,
               (int)omen_iter_value(it).size, (const char *)omen_iter_value(it).data);
    must(omen_iter_status(it));
    omen_iter_close(it);
    omen_batch_destroy(b);
    must(omen_close(db));
    return 0;
}

/*
 * filter_policy.c - a filter of one's own, for keys of which one knows more than the engine: here
 * "sensor/minute" with few sensors, so that a filter of the sensors alone, a bit each, answers for
 * all their readings.   filter_policy DIR
 */
#include "omendb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENSORS = 4096, MINUTES = 60, FILTER_BYTES = SENSORS / 8 };

static void must(omen_err err)
{
    if (err != OMEN_OK) {
        fprintf(stderr, "%s\n", omen_last_error());
        exit(1);
    }
}

static omen_slice key_of(unsigned sensor, unsigned minute, char text[static 32])
{
    return (omen_slice){text, (size_t)snprintf(text, 32, "%05u/%05u", sensor, minute)};
}

/* SENSORS and above: not a key of ours, of which the filter knows nothing. */
static unsigned sensor_of(omen_slice key)
{
    unsigned sensor = 0;
    const char *at = key.data;
    if (key.size < 5)
        return SENSORS;
    for (int i = 0; i < 5; i++) {
        if (at[i] < '0' || at[i] > '9')
            return SENSORS;
        sensor = sensor * 10 + (unsigned)(at[i] - '0');
    }
    return sensor;
}

/* The keys of one table, in order. Anything but 0 means "no filter for this table". */
static int build(void *context, size_t count, const omen_slice *keys, void *sink,
                 int (*append)(void *sink, const void *bytes, size_t size))
{
    unsigned char bits[FILTER_BYTES] = {0};
    (void)context;
    for (size_t i = 0; i < count; i++) {
        unsigned sensor = sensor_of(keys[i]);
        if (sensor >= SENSORS)
            return -1;
        bits[sensor / 8] |= (unsigned char)(1u << sensor % 8);
    }
    return append(sink, bits, sizeof(bits));
}

/* 0 only where the key is certainly not in the table. */
static int may_hold(void *context, omen_slice filter, omen_slice key)
{
    unsigned sensor = sensor_of(key);
    (void)context;
    if (sensor >= SENSORS)
        return 0; /* a table with such a key has no filter */
    return ((const unsigned char *)filter.data)[sensor / 8] >> sensor % 8 & 1;
}

int main(int argc, char **argv)
{
    /* The name stands for the meaning of the bytes: another meaning, another name. */
    static const omen_filter_policy policy = {"example.sensors", build, may_hold, NULL};
    omen_options options = {
        .struct_bytes = sizeof(options), .flags = OMEN_CREATE_IF_MISSING, .filter_policy = &policy};
    omen_stats stats = {.struct_bytes = sizeof(stats)};
    omen_db *db;
    char text[32];
    must(omen_open(argc > 1 ? argv[1] : "filter_policy.db", &options, &db));
    for (unsigned sensor = 0; sensor < SENSORS; sensor += 2) /* the even ones are switched on */
        for (unsigned minute = 0; minute < MINUTES; minute++)
            must(omen_put(db, NULL, key_of(sensor, minute, text), (omen_slice){"21.5", 4}));
    must(omen_compact(db, NULL, NULL));
    unsigned found = 0;
    for (unsigned sensor = 0; sensor < SENSORS; sensor++) {
        omen_value value;
        omen_err err = omen_get(db, NULL, key_of(sensor, sensor % MINUTES, text), &value);
        if (err != OMEN_NOT_FOUND)
            must(err);
        if (err == OMEN_OK)
            found++;
        omen_value_release(&value);
    }
    must(omen_get_stats(db, &stats));
    printf("%u of %u sensors have a reading; %llu blocks read, %.3f bits of filter a key\n", found,
           SENSORS, (unsigned long long)stats.get_blocks,
           8.0 * (double)stats.filter_bytes / (SENSORS / 2 * MINUTES));
    must(omen_close(db));
    return found == SENSORS / 2 ? 0 : 1;
}

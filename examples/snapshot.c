/* snapshot.c - reading the past while the present moves on.   snapshot DIR */
#include "omendb.h"

#include <stdio.h>
#include <stdlib.h>

static void must(omen_err err)
{
    if (err != OMEN_OK) {
        fprintf(stderr, "%s\n", omen_last_error());
        exit(1);
    }
}

static void show(omen_db *db, const char *when, const omen_snapshot *snapshot)
{
    omen_read_options options = {.struct_bytes = sizeof(options), .snapshot = snapshot};
    char value[16];
    size_t size;
    must(omen_get_into(db, &options, (omen_slice){"counter", 7}, value, sizeof(value), &size));
    printf("%s: %.*s\n", when, (int)size, value);
}

int main(int argc, char **argv)
{
    omen_options options = {.struct_bytes = sizeof(options), .flags = OMEN_CREATE_IF_MISSING};
    omen_db *db;
    omen_snapshot *before;
    must(omen_open(argc > 1 ? argv[1] : "snapshot.db", &options, &db));
    must(omen_put(db, NULL, (omen_slice){"counter", 7}, (omen_slice){"1", 1}));
    must(omen_snapshot_create(db, &before));
    must(omen_put(db, NULL, (omen_slice){"counter", 7}, (omen_slice){"2", 1}));
    show(db, "in the snapshot", before);
    show(db, "now", NULL);
    omen_snapshot_release(before);
    must(omen_close(db));
    return 0;
}

/* hello.c - open a database, put a value, get it back.   hello DIR */
#include "omendb.h"

#include <stdio.h>

int main(int argc, char **argv)
{
    const char *dir = argc > 1 ? argv[1] : "hello.db";
    omen_options options = {.struct_bytes = sizeof(options), .flags = OMEN_CREATE_IF_MISSING};
    omen_db *db;
    if (omen_open(dir, &options, &db) != OMEN_OK) {
        fprintf(stderr, "%s\n", omen_last_error());
        return 1;
    }
    omen_slice key = {"greeting", 8}, value = {"hello, world", 12};
    omen_value found;
    omen_err err = omen_put(db, NULL, key, value);
    if (err == OMEN_OK)
        err = omen_get(db, NULL, key, &found);
    if (err == OMEN_OK) {
        printf("%.*s\n", (int)found.size, (const char *)found.data);
        omen_value_release(&found);
    }
    omen_err closed = omen_close(db);
    if (err != OMEN_OK || closed != OMEN_OK) {
        fprintf(stderr, "%s\n", omen_last_error());
        return 1;
    }
    return 0;
}

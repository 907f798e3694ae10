/* multiget.c - many keys at once; blocks that are not cached are read together.   multiget DIR */
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

int main(int argc, char **argv)
{
    omen_options options = {.struct_bytes = sizeof(options), .flags = OMEN_CREATE_IF_MISSING};
    omen_db *db;
    must(omen_open(argc > 1 ? argv[1] : "multiget.db", &options, &db));
    must(omen_put(db, NULL, (omen_slice){"one", 3}, (omen_slice){"1", 1}));
    must(omen_put(db, NULL, (omen_slice){"three", 5}, (omen_slice){"3", 1}));
    omen_slice keys[3] = {{"one", 3}, {"two", 3}, {"three", 5}};
    omen_value values[3];
    omen_err errs[3];
    must(omen_multi_get(db, NULL, 3, keys, values, errs));
    for (int i = 0; i < 3; i++) {
        if (errs[i] == OMEN_NOT_FOUND)
            printf("%.*s is not there\n", (int)keys[i].size, (const char *)keys[i].data);
        else
            printf("%.*s = %.*s\n", (int)keys[i].size, (const char *)keys[i].data,
                   (int)values[i].size, (const char *)values[i].data);
        omen_value_release(&values[i]);
    }
    must(omen_close(db));
    return 0;
}

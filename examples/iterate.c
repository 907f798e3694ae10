/* iterate.c - a prefix forwards and backwards.   iterate DIR */
#include "omendb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(omen_err err)
{
    if (err != OMEN_OK) {
        fprintf(stderr, "%s\n", omen_last_error());
        exit(1);
    }
}

static void show(const omen_iter *it)
{
    omen_slice k = omen_iter_key(it), v = omen_iter_value(it);
    printf("  %.*s = %.*s\n", (int)k.size, (const char *)k.data, (int)v.size, (const char *)v.data);
}

int main(int argc, char **argv)
{
    static const char *const fruit[] = {"fruit/apple", "fruit/fig", "fruit/pear", "tree/oak"};
    omen_options options = {.struct_bytes = sizeof(options), .flags = OMEN_CREATE_IF_MISSING};
    omen_db *db;
    omen_iter *it;
    must(omen_open(argc > 1 ? argv[1] : "iterate.db", &options, &db));
    for (size_t i = 0; i < 4; i++)
        must(omen_put(db, NULL, (omen_slice){fruit[i], strlen(fruit[i])}, (omen_slice){"1", 1}));
    omen_read_options prefix = {
        .struct_bytes = sizeof(prefix), .flags = OMEN_HAS_PREFIX, .prefix = {"fruit/", 6}};
    must(omen_iter_open(db, &prefix, &it));
    puts("forwards:");
    for (omen_iter_seek_first(it); omen_iter_valid(it); omen_iter_next(it))
        show(it);
    must(omen_iter_status(it));
    puts("backwards:");
    for (omen_iter_seek_last(it); omen_iter_valid(it); omen_iter_prev(it))
        show(it);
    must(omen_iter_status(it));
    omen_iter_close(it);
    must(omen_close(db));
    return 0;
}

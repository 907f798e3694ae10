/* comparator.c - a key order of one's own: here, shorter keys first.   comparator DIR */
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

static int by_size(void *context, omen_slice a, omen_slice b)
{
    (void)context;
    if (a.size != b.size)
        return a.size < b.size ? -1 : 1;
    return a.size != 0 ? memcmp(a.data, b.data, a.size) : 0;
}

int main(int argc, char **argv)
{
    static const omen_comparator order = {"example.by-size", by_size, NULL};
    static const char *const keys[] = {"banana", "fig", "apple", "kiwi"};
    omen_options options = {
        .struct_bytes = sizeof(options), .flags = OMEN_CREATE_IF_MISSING, .comparator = &order};
    omen_db *db;
    omen_iter *it;
    must(omen_open(argc > 1 ? argv[1] : "comparator.db", &options, &db));
    for (size_t i = 0; i < 4; i++)
        must(omen_put(db, NULL, (omen_slice){keys[i], strlen(keys[i])}, (omen_slice){"", 0}));
    must(omen_iter_open(db, NULL, &it));
    for (omen_iter_seek_first(it); omen_iter_valid(it); omen_iter_next(it))
        printf("%.*s\n", (int)omen_iter_key(it).size, (const char *)omen_iter_key(it).data);
    must(omen_iter_status(it));
    omen_iter_close(it);
    must(omen_close(db));
    return 0;
}

/* batch.c - several changes as one: all of them or none, durable before the call returns.   batch
 * DIR */
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
    omen_write_options durable = {.struct_bytes = sizeof(durable), .flags = OMEN_SYNC};
    omen_db *db;
    omen_batch *batch;
    must(omen_open(argc > 1 ? argv[1] : "batch.db", &options, &db));
    must(omen_batch_create(&batch));
    must(omen_batch_put(batch, (omen_slice){"account/alice", 13}, (omen_slice){"90", 2}));
    must(omen_batch_put(batch, (omen_slice){"account/bob", 11}, (omen_slice){"110", 3}));
    must(omen_batch_delete(batch, (omen_slice){"pending/1", 9}));
    must(omen_write(db, &durable, batch));
    printf("%zu changes, %zu bytes, on disk\n", omen_batch_count(batch), omen_batch_bytes(batch));
    omen_batch_destroy(batch);
    must(omen_close(db));
    return 0;
}

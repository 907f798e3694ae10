/*
 * bench_engine.h - what the benchmarks ask of an engine, so that a rival can stand in its place.
 * One table of functions an engine; handles are void *. Scans hand over key and value in one call,
 * so that the table costs one indirect call a step.
 */
#ifndef OMT_BENCH_ENGINE_H
#define OMT_BENCH_ENGINE_H

#include <stdbool.h>

#include "lsm/omendb.h"

struct bench_engine {
    const char *label; /* "omendb" */
    const char *(*version)(void);
    omen_err (*open)(const char *path, const omen_options *options, void **db_out);
    omen_err (*close)(void *db);
    omen_err (*destroy)(const char *path);
    omen_err (*put)(void *db, omen_slice key, omen_slice value, bool sync);
    omen_err (*del)(void *db, omen_slice key, bool sync);
    omen_err (*batch_create)(void **batch_out);
    void (*batch_destroy)(void *batch);
    void (*batch_clear)(void *batch);
    omen_err (*batch_put)(void *batch, omen_slice key, omen_slice value);
    omen_err (*batch_del)(void *batch, omen_slice key);
    omen_err (*write)(void *db, void *batch, bool sync);
    omen_err (*get)(void *db, omen_slice key, omen_value *value_out); /* release after OMEN_OK */
    void (*release)(omen_value *value);
    omen_err (*multi_get)(void *db, size_t count, const omen_slice *keys, omen_value *values,
                          omen_err *errs);
    omen_err (*iter_open)(void *db, const omen_read_options *options, void **iter_out);
    void (*iter_close)(void *iter);
    /* Each moves, and returns whether it stands on an entry; key and value are then set. */
    bool (*iter_seek)(void *iter, omen_slice key, omen_slice *key_out, omen_slice *value_out);
    bool (*iter_seek_for_prev)(void *iter, omen_slice key, omen_slice *key_out,
                               omen_slice *value_out);
    bool (*iter_first)(void *iter, omen_slice *key_out, omen_slice *value_out);
    bool (*iter_last)(void *iter, omen_slice *key_out, omen_slice *value_out);
    bool (*iter_next)(void *iter, omen_slice *key_out, omen_slice *value_out);
    bool (*iter_prev)(void *iter, omen_slice *key_out, omen_slice *value_out);
    omen_err (*iter_status)(void *iter);
    omen_err (*flush)(void *db);
    omen_err (*compact)(void *db);
    omen_err (*wait_idle)(void *db);
    omen_err (*verify)(void *db);
    omen_err (*stats)(void *db, omen_stats *stats_out);
    omen_err (*tables)(void *db, void (*table)(void *context, const omen_table_info *info),
                       void *context);
};

extern const struct bench_engine bench_engine_omendb;

#endif

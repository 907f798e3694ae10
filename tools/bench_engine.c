#include "tools/bench_engine.h"

#include <stdio.h>

static omen_err engine_open(const char *path, const omen_options *options, void **db_out)
{
    omen_db *db = NULL;
    omen_err err = omen_open(path, options, &db);
    *db_out = db;
    return err;
}

static omen_err engine_close(void *db)
{
    return omen_close(db);
}

static const omen_write_options write_sync = {.struct_bytes = sizeof(write_sync),
                                              .flags = OMEN_SYNC};

static omen_err engine_put(void *db, omen_slice key, omen_slice value, bool sync)
{
    return omen_put(db, sync ? &write_sync : NULL, key, value);
}

static omen_err engine_del(void *db, omen_slice key, bool sync)
{
    return omen_delete(db, sync ? &write_sync : NULL, key);
}

static omen_err engine_batch_create(void **batch_out)
{
    omen_batch *batch = NULL;
    omen_err err = omen_batch_create(&batch);
    *batch_out = batch;
    return err;
}

static void engine_batch_destroy(void *batch)
{
    omen_batch_destroy(batch);
}

static void engine_batch_clear(void *batch)
{
    omen_batch_clear(batch);
}

static omen_err engine_batch_put(void *batch, omen_slice key, omen_slice value)
{
    return omen_batch_put(batch, key, value);
}

static omen_err engine_batch_del(void *batch, omen_slice key)
{
    return omen_batch_delete(batch, key);
}

static omen_err engine_write(void *db, void *batch, bool sync)
{
    return omen_write(db, sync ? &write_sync : NULL, batch);
}

static omen_err engine_get(void *db, omen_slice key, omen_value *value_out)
{
    return omen_get(db, NULL, key, value_out);
}

static omen_err engine_multi_get(void *db, size_t count, const omen_slice *keys, omen_value *values,
                                 omen_err *errs)
{
    return omen_multi_get(db, NULL, count, keys, values, errs);
}

static omen_err engine_iter_open(void *db, const omen_read_options *options, void **iter_out)
{
    omen_iter *it = NULL;
    omen_err err = omen_iter_open(db, options, &it);
    *iter_out = it;
    return err;
}

static void engine_iter_close(void *iter)
{
    omen_iter_close(iter);
}

static inline bool stands(omen_iter *it, omen_slice *key_out, omen_slice *value_out)
{
    if (omen_iter_valid(it) == 0)
        return false;
    *key_out = omen_iter_key(it);
    *value_out = omen_iter_value(it);
    return true;
}

static bool engine_iter_seek(void *iter, omen_slice key, omen_slice *key_out, omen_slice *value_out)
{
    omen_iter_seek(iter, key);
    return stands(iter, key_out, value_out);
}

static bool engine_iter_seek_for_prev(void *iter, omen_slice key, omen_slice *key_out,
                                      omen_slice *value_out)
{
    omen_iter_seek_for_prev(iter, key);
    return stands(iter, key_out, value_out);
}

static bool engine_iter_first(void *iter, omen_slice *key_out, omen_slice *value_out)
{
    omen_iter_seek_first(iter);
    return stands(iter, key_out, value_out);
}

static bool engine_iter_last(void *iter, omen_slice *key_out, omen_slice *value_out)
{
    omen_iter_seek_last(iter);
    return stands(iter, key_out, value_out);
}

static bool engine_iter_next(void *iter, omen_slice *key_out, omen_slice *value_out)
{
    omen_iter_next(iter);
    return stands(iter, key_out, value_out);
}

static bool engine_iter_prev(void *iter, omen_slice *key_out, omen_slice *value_out)
{
    omen_iter_prev(iter);
    return stands(iter, key_out, value_out);
}

static omen_err engine_iter_status(void *iter)
{
    return omen_iter_status(iter);
}

static omen_err engine_flush(void *db)
{
    return omen_flush(db);
}

static omen_err engine_compact(void *db)
{
    return omen_compact(db, NULL, NULL);
}

static omen_err engine_wait_idle(void *db)
{
    return omen_wait_idle(db);
}

static void problem_print(void *context, const char *text)
{
    (void)context;
    fprintf(stderr, "damaged: %s\n", text);
}

static omen_err engine_verify(void *db)
{
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    return omen_verify(db, &report, problem_print, NULL);
}

static omen_err engine_stats(void *db, omen_stats *stats_out)
{
    stats_out->struct_bytes = sizeof(*stats_out);
    return omen_get_stats(db, stats_out);
}

static omen_err engine_tables(void *db, void (*table)(void *context, const omen_table_info *info),
                              void *context)
{
    return omen_list_tables(db, table, context);
}

const struct bench_engine bench_engine_omendb = {
    .label = "omendb",
    .version = omen_version,
    .open = engine_open,
    .close = engine_close,
    .destroy = omen_destroy,
    .put = engine_put,
    .del = engine_del,
    .batch_create = engine_batch_create,
    .batch_destroy = engine_batch_destroy,
    .batch_clear = engine_batch_clear,
    .batch_put = engine_batch_put,
    .batch_del = engine_batch_del,
    .write = engine_write,
    .get = engine_get,
    .release = omen_value_release,
    .multi_get = engine_multi_get,
    .iter_open = engine_iter_open,
    .iter_close = engine_iter_close,
    .iter_seek = engine_iter_seek,
    .iter_seek_for_prev = engine_iter_seek_for_prev,
    .iter_first = engine_iter_first,
    .iter_last = engine_iter_last,
    .iter_next = engine_iter_next,
    .iter_prev = engine_iter_prev,
    .iter_status = engine_iter_status,
    .flush = engine_flush,
    .compact = engine_compact,
    .wait_idle = engine_wait_idle,
    .verify = engine_verify,
    .stats = engine_stats,
    .tables = engine_tables,
};

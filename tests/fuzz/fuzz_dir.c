/*
 * fuzz_dir.c - a whole directory: opened read-only, opened, read in every way, written to, flushed,
 * merged, closed, reopened. The input: a byte of choices, then files as in image.h. Whatever the
 * files hold, a call says OMEN_OK or why not, and what was just written is read back.
 */
#include "lsm/db.h"
#include "tests/fuzz/image.h"

#include <stdlib.h>

enum {
    CHOICE_READ_ONLY = 1 << 0,
    CHOICE_MERGE = 1 << 1,
    CHOICE_VERIFY = 1 << 2,
    CHOICE_DESTROY = 1 << 3,
    CHOICE_CREATE = 1 << 4,
    CHOICE_COPY = 1 << 5,
    CHOICE_REPAIR = 1 << 6,
    STEPS_MAX = 5000,
    KEYS_MAX = 16
};

static const char copy_path[] = "/copy";

static omen_options options_with(uint32_t flags)
{
    return (omen_options){.struct_bytes = sizeof(omen_options),
                          .flags = flags | OMEN_INLINE_WORK,
                          .memory_bytes = 4u << 20,
                          .memtable_bytes = 64u << 10,
                          .target_file_bytes = 64u << 10,
                          .cache_bytes = 64u << 10,
                          .block_bytes = 1024,
                          .background_jobs = 1,
                          .io_mode = OMEN_IO_BUFFERED,
                          .log_file_bytes = 4u << 10,
                          .reserve_bytes = OMEN_NONE};
}

static omen_err open_db(struct omi_env *env, const char *path, uint32_t flags, omen_db **db)
{
    omen_options o = options_with(flags);
    return omi_db_open(env, path, &o, db);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct keys {
    struct omi_buf items[KEYS_MAX];
    uint32_t count;
};

static void keys_keep(struct keys *k, omen_slice key)
{
    if (k->count < KEYS_MAX)
        FUZZ_OK(omi_buf_append(&k->items[k->count++], key.data, key.size));
}

/* clean: the verifier found nothing wrong, so both directions must show the same number of keys. */
static void scan(omen_db *db, struct keys *k, bool clean)
{
    omen_iter *it;
    uint32_t forward = 0, backward = 0;
    FUZZ_OK(omen_iter_open(db, NULL, &it));
    for (omen_iter_seek_first(it); omen_iter_valid(it) && forward < STEPS_MAX; omen_iter_next(it))
        if (forward++ % 8 == 0)
            keys_keep(k, omen_iter_key(it));
    FUZZ_CHECK(!clean || omen_iter_status(it) == OMEN_OK);
    for (omen_iter_seek_last(it); omen_iter_valid(it) && backward < STEPS_MAX; omen_iter_prev(it))
        backward++;
    FUZZ_CHECK(!clean || (omen_iter_status(it) == OMEN_OK && forward == backward));
    for (uint32_t i = 0; i < k->count; i++) {
        omen_slice key = omi_slice(k->items[i].data, k->items[i].size);
        omen_iter_seek(it, key);
        omen_iter_prev(it);
        omen_iter_seek_for_prev(it, key);
        omen_iter_next(it);
    }
    omen_iter_close(it);
}

static void get_all(omen_db *db, const struct keys *k)
{
    omen_slice keys[KEYS_MAX];
    omen_value values[KEYS_MAX];
    omen_err errs[KEYS_MAX];
    for (uint32_t i = 0; i < k->count; i++) {
        keys[i] = omi_slice(k->items[i].data, k->items[i].size);
        omen_value v;
        if (omen_get(db, NULL, keys[i], &v) == OMEN_OK)
            omen_value_release(&v);
    }
    omi_ignore(omen_multi_get(db, NULL, k->count, keys, values, errs));
    for (uint32_t i = 0; i < k->count; i++)
        if (errs[i] == OMEN_OK)
            omen_value_release(&values[i]);
}

static void told(void *ctx, const char *text)
{
    uint64_t *problems = ctx;
    *problems += text[0] != 0;
}

static void shown(void *ctx, const omen_table_info *info)
{
    uint64_t *tables = ctx;
    *tables += info->level >= 1 && info->level <= OMEN_LEVELS_MAX;
}

/* Does the verifier find nothing wrong? False when it was not asked. */
static bool look_at(omen_db *db, unsigned choices)
{
    omen_stats stats = {.struct_bytes = sizeof(stats)};
    uint64_t tables = 0, problems = 0;
    FUZZ_OK(omen_get_stats(db, &stats));
    char *json = omen_stats_json(db);
    FUZZ_CHECK(json != NULL);
    omen_free(json);
    FUZZ_OK(omen_list_tables(db, shown, &tables));
    if ((choices & CHOICE_VERIFY) == 0)
        return false;
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    omen_err err = omen_verify(db, &report, told, &problems);
    FUZZ_CHECK((err == OMEN_OK) == (report.errors == 0) && (report.errors == 0 || problems > 0));
    return err == OMEN_OK;
}

static void read_all(omen_db *db, struct keys *k, unsigned choices)
{
    scan(db, k, look_at(db, choices));
    get_all(db, k);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* From the memtable a key must come back, whatever lies below. */
static void put(omen_db *db, omen_slice key, const char *value)
{
    omen_value v;
    if (omen_put(db, NULL, key, omi_slice(value, strlen(value))) != OMEN_OK)
        return;
    FUZZ_OK(omen_get(db, NULL, key, &v));
    FUZZ_CHECK(omi_bytes_equal(v.data, v.size, value, strlen(value)));
    omen_value_release(&v);
}

static void write_some(omen_db *db, const struct keys *k)
{
    omen_value v;
    put(db, omi_slice("fuzz", 4), "a value");
    for (uint32_t i = 0; i < k->count; i++) {
        omen_slice key = omi_slice(k->items[i].data, k->items[i].size);
        if (i % 3 != 0)
            put(db, key, "another");
        else if (omen_delete(db, NULL, key) == OMEN_OK)
            FUZZ_CHECK(omen_get(db, NULL, key, &v) == OMEN_NOT_FOUND);
    }
}

/* A copy that was made opens and shows what it holds. */
static void copy(struct omi_env *env, omen_db *db)
{
    struct keys keys = {0};
    omen_db *other;
    if (omen_checkpoint(db, copy_path) != OMEN_OK)
        return;
    if (open_db(env, copy_path, 0, &other) == OMEN_OK) {
        read_all(other, &keys, 0);
        omi_ignore(omen_close(other));
    }
    for (uint32_t i = 0; i < keys.count; i++)
        omi_buf_fini(&keys.items[i]);
}

/* What was repaired opens, holds nothing damaged, and needs no repair. */
static void repair(struct omi_env *env)
{
    omen_options o = options_with(0);
    omen_repair_report report = {.struct_bytes = sizeof(report)};
    uint64_t lines = 0;
    struct keys keys = {0};
    omen_db *db;
    omi_ignore(omi_db_repair(env, fuzz_path, &o, OMEN_REPAIR_DRY_RUN, &report, told, &lines));
    report = (omen_repair_report){.struct_bytes = sizeof(report)};
    if (omi_db_repair(env, fuzz_path, &o, 0, &report, told, &lines) != OMEN_OK)
        return;
    FUZZ_OK(open_db(env, fuzz_path, 0, &db));
    FUZZ_OK(omen_verify(db, NULL, NULL, NULL));
    scan(db, &keys, true);
    for (uint32_t i = 0; i < keys.count; i++)
        omi_buf_fini(&keys.items[i]);
    omi_ignore(omen_close(db));
    report = (omen_repair_report){.struct_bytes = sizeof(report)};
    FUZZ_OK(omi_db_repair(env, fuzz_path, &o, OMEN_REPAIR_DRY_RUN, &report, told, &lines));
    FUZZ_CHECK(report.problems == 0);
}

static void use(struct omi_env *env, unsigned choices)
{
    omen_db *db;
    struct keys keys = {0};
    uint32_t flags = (choices & CHOICE_CREATE) != 0 ? OMEN_CREATE_IF_MISSING : 0;
    if ((choices & CHOICE_REPAIR) != 0)
        repair(env);
    if ((choices & CHOICE_READ_ONLY) != 0 &&
        open_db(env, fuzz_path, OMEN_OPEN_READ_ONLY, &db) == OMEN_OK) {
        read_all(db, &keys, choices);
        FUZZ_OK(omen_close(db));
    }
    if (open_db(env, fuzz_path, flags, &db) == OMEN_OK) {
        read_all(db, &keys, choices);
        write_some(db, &keys);
        if ((choices & CHOICE_COPY) != 0)
            copy(env, db);
        omi_ignore(omen_flush(db));
        if ((choices & CHOICE_MERGE) != 0)
            omi_ignore(omen_compact(db, NULL, NULL));
        get_all(db, &keys);
        omi_ignore(omen_close(db));
        /* A handle that closed well left a database that opens. */
        if (open_db(env, fuzz_path, flags, &db) == OMEN_OK) {
            read_all(db, &keys, 0);
            omi_ignore(omen_close(db));
        }
    }
    if ((choices & CHOICE_DESTROY) != 0)
        omi_ignore(omi_db_destroy(env, fuzz_path));
    for (uint32_t i = 0; i < keys.count; i++)
        omi_buf_fini(&keys.items[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_file files[IMAGE_FILES_MAX];
    struct omi_dir *dir;
    if (size == 0)
        return 0;
    struct omi_env *env = fuzz_env_create(&dir);
    /* The bytes are only read: writing them takes no const. */
    uint32_t count = image_cut((uint8_t *)(uintptr_t)data + 1, size - 1, files);
    for (uint32_t i = 0; i < count; i++)
        image_write(dir, &files[i]);
    FUZZ_OK(omi_dir_sync(dir));
    use(env, data[0]);
    fuzz_env_destroy(env, dir);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size == 0 || max_size < 2 || seed % 64 == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    if (seed % 16 == 1)
        data[0] = (uint8_t)(seed >> 8);
    return 1 + image_mutate(data + 1, size - 1, max_size - 1, seed);
}

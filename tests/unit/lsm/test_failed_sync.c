/* A database on the system's files whose fdatasync fails: it is never tried again on that file,
 * since the second answer would mean nothing. */
#include "lsm/db.h"
#include "tests/unit/io/posix_wrap.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char root[64], where[80];
static const omen_write_options sync_write = {.struct_bytes = sizeof(sync_write),
                                              .flags = OMEN_SYNC};

static void setup(void)
{
    strcpy(root, "/tmp/omendb-unit-XXXXXX");
    cr_assert(mkdtemp(root) != NULL);
    snprintf(where, sizeof(where), "%s/db", root);
    wrap_clear();
}

static void teardown(void)
{
    char command[128];
    wrap_clear();
    snprintf(command, sizeof(command), "rm -rf %s", root);
    cr_assert_eq(system(command), 0);
}

TestSuite(failed_sync, .init = setup, .fini = teardown, .timeout = 60);

static omen_slice text(const char *s)
{
    return omi_slice(s, strlen(s));
}

static omen_err open_here(uint32_t flags, omen_db **db)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | flags,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .io_engine = OMEN_IO_ENGINE_PREAD};
    return omen_open(where, &o, db);
}

static omen_db *open_db(uint32_t flags)
{
    omen_db *db = NULL;
    cr_assert_eq(open_here(flags, &db), OMEN_OK, "%s", omen_last_error());
    return db;
}

/* The value of key; "-": none. */
static const char *value_of(omen_db *db, const char *key)
{
    static char value[128];
    size_t size = 0;
    omen_err err = omen_get_into(db, NULL, text(key), value, sizeof(value) - 1, &size);
    if (err == OMEN_NOT_FOUND)
        return "-";
    cr_assert_eq(err, OMEN_OK, "%s", omen_last_error());
    value[size] = '\0';
    return value;
}

static void reopened_is_whole(uint32_t flags)
{
    wrap_clear();
    omen_db *db = open_db(flags);
    cr_assert_str_eq(value_of(db, "a"), "1");
    const char *b = value_of(db, "b");
    cr_assert(strcmp(b, "2") == 0 || strcmp(b, "-") == 0, "%s", b);
    cr_assert_str_eq(value_of(db, "c"), "-", "what was refused is not there");
    cr_assert_eq(omen_put(db, &sync_write, text("d"), text("4")), OMEN_OK);
    cr_assert_str_eq(value_of(db, "d"), "4");
    cr_assert_eq(omen_close(db), OMEN_OK);
}

/* One failure alone: a second try would succeed, and be noticed here. */
static void log_sync_fails_once(uint32_t flags, int errnum, bool by_sync)
{
    omen_db *db = open_db(flags);
    cr_assert_eq(omen_put(db, &sync_write, text("a"), text("1")), OMEN_OK);
    wrap_clear();
    wrap_fail(WRAP_FDATASYNC, 1, 1, errnum);
    if (by_sync) {
        cr_assert_eq(omen_put(db, NULL, text("b"), text("2")), OMEN_OK);
        cr_assert_eq(omen_sync(db), OMEN_UNKNOWN);
    } else {
        cr_assert_eq(omen_put(db, &sync_write, text("b"), text("2")), OMEN_UNKNOWN);
    }
    cr_assert(strstr(omen_last_error(), ".log: syncing") != NULL, "%s", omen_last_error());
    cr_assert_eq(omen_put(db, NULL, text("c"), text("3")), OMEN_READ_ONLY);
    cr_assert_eq(omen_put(db, &sync_write, text("c"), text("3")), OMEN_READ_ONLY);
    cr_assert_eq(omen_delete(db, &sync_write, text("a")), OMEN_READ_ONLY);
    cr_assert_eq(omen_sync(db), OMEN_READ_ONLY);
    cr_assert_neq(omen_flush(db), OMEN_OK);
    cr_assert_neq(omen_compact(db, NULL, NULL), OMEN_OK);
    cr_assert_str_eq(value_of(db, "a"), "1", "reads go on");
    omen_iter *it;
    cr_assert_eq(omen_iter_open(db, NULL, &it), OMEN_OK);
    omen_iter_seek_first(it);
    cr_assert(omen_iter_valid(it) && omen_iter_key(it).size == 1);
    omen_iter_close(it);
    omi_ignore(omen_close(db));
    cr_assert_eq(atomic_load(&wrap_again), 0, "not by closing either");
    reopened_is_whole(flags);
    cr_assert_eq(omen_destroy(where), OMEN_OK);
}

Test(failed_sync, of_the_log_makes_it_read_only_and_is_not_tried_again)
{
    static const int errnums[] = {EIO, ENOSPC, EDQUOT, EINTR};
    for (int e = 0; e < 4; e++)
        for (int how = 0; how < 4; how++)
            log_sync_fails_once(how % 2 == 0 ? 0 : OMEN_INLINE_WORK, errnums[e], how / 2 == 1);
}

/* ---- a group ----------------------------------------------------------------------------------- */

enum { WRITERS = 6 };

struct writer {
    pthread_t thread;
    omen_db *db;
    char key[16];
    omen_err err;
};

static void *write_one(void *arg)
{
    struct writer *w = arg;
    w->err = omen_put(w->db, &sync_write, text(w->key), text("v"));
    return NULL;
}

Test(failed_sync, tells_each_writer_that_waited_for_it)
{
    struct writer writers[WRITERS];
    omen_db *db = open_db(0);
    unsigned unknown = 0;
    cr_assert_eq(omen_put(db, &sync_write, text("a"), text("1")), OMEN_OK);
    wrap_clear();
    wrap_fail(WRAP_FDATASYNC, 1, 1, EIO);
    wraps[WRAP_FDATASYNC].delay_us = 200000; /* the others append meanwhile, and wait */
    for (int i = 0; i < WRITERS; i++) {
        writers[i].db = db;
        snprintf(writers[i].key, sizeof(writers[i].key), "w%d", i);
        cr_assert_eq(pthread_create(&writers[i].thread, NULL, write_one, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(writers[i].thread, NULL);
        cr_assert(writers[i].err == OMEN_UNKNOWN || writers[i].err == OMEN_READ_ONLY, "%s",
                  omen_err_name(writers[i].err));
        unknown += writers[i].err == OMEN_UNKNOWN;
    }
    cr_assert_geq(unknown, 1);
    omi_ignore(omen_close(db));
    cr_assert_eq(atomic_load(&wrap_again), 0);
    wrap_clear();
    db = open_db(0);
    cr_assert_str_eq(value_of(db, "a"), "1");
    for (int i = 0; i < WRITERS; i++)
        if (writers[i].err == OMEN_READ_ONLY)
            cr_assert_str_eq(value_of(db, writers[i].key), "-");
    cr_assert_eq(omen_close(db), OMEN_OK);
}

/* ---- any file ---------------------------------------------------------------------------------- */

/* Writes, flushes, merges; returns how many puts were acknowledged. */
static int work(omen_db *db)
{
    char key[16];
    int acked = 0;
    omen_err err = OMEN_OK;
    for (int i = 0; i < 1500 && err == OMEN_OK; i++) {
        snprintf(key, sizeof(key), "key%05d", i);
        err = omen_put(db, i % 100 == 0 ? &sync_write : NULL, text(key),
                       text("a value of some sixty bytes, so that memtables fill, and so on"));
        acked += err == OMEN_OK;
        if (err == OMEN_OK && i % 500 == 499)
            err = omen_compact(db, NULL, NULL);
    }
    return acked;
}

static void check_acked(int acked)
{
    char key[16];
    omen_db *db = open_db(OMEN_INLINE_WORK);
    for (int i = 0; i < acked; i++) {
        snprintf(key, sizeof(key), "key%05d", i);
        cr_assert_neq(strcmp(value_of(db, key), "-"), 0, "%s of %d is lost", key, acked);
    }
    cr_assert_eq(omen_close(db), OMEN_OK);
}

/* Each every-th sync fails in its turn. */
static void any_sync_fails(uint32_t flags, uint64_t every)
{
    uint64_t nth = 1 - every, calls;
    do { /* from the first sync of the opening to the last of the closing */
        omen_db *db = NULL;
        int acked = 0;
        wrap_clear();
        nth += every;
        wrap_fail(WRAP_FDATASYNC, nth, 1, EIO);
        if (open_here(flags, &db) == OMEN_OK) {
            acked = work(db);
            omi_ignore(omen_close(db));
        }
        calls = wrap_calls(WRAP_FDATASYNC);
        cr_assert_eq(atomic_load(&wrap_again), 0, "sync number %d", (int)nth);
        wrap_clear();
        check_acked(acked);
        cr_assert_eq(omen_destroy(where), OMEN_OK);
    } while (calls >= nth);
    cr_assert_gt(nth, 20);
}

Test(failed_sync, of_any_file_is_not_tried_again_and_loses_nothing_acknowledged)
{
    any_sync_fails(OMEN_INLINE_WORK, 1);
}

Test(failed_sync, under_background_threads_likewise)
{
    any_sync_fails(0, 4); /* each flush or merge that fails is tried again after a pause */
}

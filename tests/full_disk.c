/*
 * full_disk.c - a small file system filled to the last byte, freed and filled again: reads answer all
 * the while, nothing acknowledged is lost, a refused write is not there, and writes come back by
 * themselves, mostly without reopening.
 *
 *   full_disk --dir DIR [--fills N] [--seed S]     DIR: an empty directory of a small file system
 *
 * Space is taken by the database itself, or by a file of somebody else's; it comes back when that
 * file shrinks, or by deletes and a compaction once there is room for one.
 */
#include "lsm/db.h"
#include "tests/model.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { KEYS = 20000, VALUE_MAX = 3000, BALLAST_MIB = 12, COME_BACK_TRIES = 600, NAP_US = 20000 };

static char db_dir[256], ballast_name[256];
static uint64_t ids[KEYS]; /* value by key; 0: absent */
static uint64_t next_id = 1, refused, accepted;
static uint8_t scratch[VALUE_MAX + 8];

static omen_db *open_db(void)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING,
                      .memory_bytes = 8u << 20,
                      .memtable_bytes = 512u << 10,
                      .target_file_bytes = 512u << 10,
                      .size_ratio = 4};
    omen_db *db;
    CHECK_OK(omen_open(db_dir, &o, &db));
    return db;
}

static uint64_t free_bytes(void)
{
    struct statvfs st;
    if (statvfs(ballast_name, &st) != 0)
        fail_now("statvfs: %s", strerror(errno));
    return (uint64_t)st.f_bavail * st.f_frsize;
}

/* ---- the ballast: somebody else's file ------------------------------------------------------- */

static void ballast_size(uint64_t bytes)
{
    int fd = open(ballast_name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, 0) != 0)
        fail_now("%s: %s", ballast_name, strerror(errno));
    if (bytes != 0)
        (void)!posix_fallocate(fd, 0, (off_t)bytes); /* as much as there is, at most */
    close(fd);
}

/* Grows until nothing is free. */
static void ballast_fill(void)
{
    static const uint8_t block[1 << 16];
    int fd = open(ballast_name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        fail_now("%s: %s", ballast_name, strerror(errno));
    for (size_t size = sizeof(block); size >= 4096; size /= 2)
        while (write(fd, block, size) == (ssize_t)size)
            ;
    close(fd);
}

/* ---- the database ---------------------------------------------------------------------------- */

static omen_slice key_of(uint64_t rank)
{
    static uint8_t key[MODEL_KEY_BYTES_MAX];
    return omi_slice(key, key_make(KEYS_USER, rank, key));
}

static omen_err put_one(omen_db *db, struct rng *r)
{
    uint64_t rank = rng_below(r, KEYS), id = next_id;
    size_t size = 508 + rng_below(r, VALUE_MAX - 500);
    value_make(id, size, scratch);
    memcpy(scratch, &id, 8);
    omen_err err = omen_put(db, NULL, key_of(rank), omi_slice(scratch, size));
    if (err == OMEN_OK) {
        ids[rank] = next_id++;
        accepted++;
    } else if (err == OMEN_FULL) {
        next_id++; /* if this id is seen ever again, a refused write is there */
        refused++;
    } else {
        fail_now("put: %s: %s", omen_err_name(err), omen_last_error());
    }
    return err;
}

static void check_all(omen_db *db)
{
    uint64_t found = 0, present = 0;
    for (uint64_t i = 0; i < KEYS; i++) {
        omen_value v;
        omen_err err = omen_get(db, NULL, key_of(i), &v);
        present += ids[i] != 0;
        if (err == OMEN_NOT_FOUND && ids[i] == 0)
            continue;
        CHECK_OK(err);
        uint64_t id = 0;
        if (v.size >= 8)
            memcpy(&id, v.data, 8);
        if (id != ids[i])
            fail_now("key %" PRIu64 " holds value %" PRIu64 ", should hold %" PRIu64, i, id,
                     ids[i]);
        value_make(id, v.size, scratch);
        memcpy(scratch, &id, 8);
        if (memcmp(v.data, scratch, v.size) != 0)
            fail_now("key %" PRIu64 ": value %" PRIu64 " is damaged", i, id);
        omen_value_release(&v);
    }
    omen_iter *it;
    CHECK_OK(omen_iter_open(db, NULL, &it));
    for (omen_iter_seek_first(it); omen_iter_valid(it); omen_iter_next(it))
        found++;
    CHECK_OK(omen_iter_status(it));
    omen_iter_close(it);
    if (found != present)
        fail_now("a scan finds %" PRIu64 " keys of %" PRIu64, found, present);
}

static void fill(omen_db *db, struct rng *r)
{
    while (put_one(db, r) == OMEN_OK)
        ;
    for (int i = 0; i < 50; i++) /* it stays full, and goes on answering */
        (void)put_one(db, r);
}

static void come_back(omen_db *db, struct rng *r)
{
    for (int i = 0; i < COME_BACK_TRIES; i++) {
        if (put_one(db, r) == OMEN_OK)
            return;
        usleep(NAP_US);
    }
    fail_now("%" PRIu64 " bytes are free, writes do not come back: %s", free_bytes(),
             omen_last_error());
}

/* All at once may need more room than there is; each part needs less. */
static void compact_in_parts(omen_db *db)
{
    for (char digit = '1'; digit <= '9'; digit++) {
        char low[] = "user?", high[] = "user?~";
        low[4] = high[4] = digit;
        omen_slice first = omi_slice(low, 5), last = omi_slice(high, 6);
        omen_err err = omen_compact(db, &first, &last);
        if (err != OMEN_FULL)
            CHECK_OK(err);
    }
}

/* Deletes most keys, so that the next fill has the room again. */
static void delete_most(omen_db *db, struct rng *r)
{
    for (uint64_t i = 0; i < KEYS; i++) {
        if (ids[i] == 0 || rng_one_in(r, 10))
            continue;
        omen_err err = omen_delete(db, NULL, key_of(i));
        for (int tries = 0; err == OMEN_FULL && tries < COME_BACK_TRIES; tries++) {
            usleep(NAP_US); /* merges make room behind us */
            err = omen_delete(db, NULL, key_of(i));
        }
        CHECK_OK(err);
        ids[i] = 0;
    }
    compact_in_parts(db);
}

static omen_db *one_fill(omen_db *db, struct rng *r)
{
    bool somebody_else = rng_one_in(r, 2);
    ballast_size((uint64_t)BALLAST_MIB << 20);
    for (uint64_t n = somebody_else ? rng_below(r, 5000) : 0; n > 0; n--)
        if (put_one(db, r) != OMEN_OK)
            break;
    if (somebody_else)
        ballast_fill();
    fill(db, r);
    check_all(db);
    bool before = rng_one_in(r, 8); /* reopened with room, or without it by and by */
    ballast_size(0);
    if (before) {
        CHECK_OK(omen_close(db));
        db = open_db();
    }
    come_back(db, r);
    delete_most(db, r);
    check_all(db);
    if (rng_one_in(r, 4)) {
        CHECK_OK(omen_close(db));
        db = open_db();
        check_all(db);
    }
    return db;
}

int main(int argc, char **argv)
{
    uint64_t fills = 100, seed = (uint64_t)time(NULL);
    const char *dir = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--fills") == 0)
            fills = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--dir") == 0)
            dir = argv[i + 1];
    }
    replay_set("full_disk.sh BUILD %" PRIu64 " %" PRIu64, fills, seed);
    if (dir == NULL)
        fail_now("--dir is missing; tests/full_disk.sh mounts one");
    snprintf(db_dir, sizeof(db_dir), "%s/db", dir);
    snprintf(ballast_name, sizeof(ballast_name), "%s/ballast", dir);
    ballast_size(0);
    if (free_bytes() > 256u << 20)
        fail_now("%s has %" PRIu64 " bytes free; give a small file system of its own", dir,
                 free_bytes());
    struct rng r = {seed};
    omen_db *db = open_db();
    for (uint64_t i = 0; i < fills; i++)
        db = one_fill(db, &r);
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    CHECK_OK(omen_verify(db, &report, NULL, NULL));
    CHECK_OK(omen_close(db));
    if (refused == 0)
        fail_now("no write was refused: the run proves nothing");
    CHECK_OK(omen_destroy(db_dir));
    unlink(ballast_name);
    printf("full_disk: %" PRIu64 " fills, 0 lost (%" PRIu64 " accepted, %" PRIu64
           " refused), seed %" PRIu64 "\n",
           fills, accepted, refused, seed);
    return 0;
}

/* A database on a disk that answers wrongly, late or not at all: each kind of fault of the simulated
 * env, against what was acknowledged. */
#include "io/env_sim.h"
#include "lsm/db.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 1200 };

TestSuite(db_faults, .timeout = 60);

static omen_err open_sim(struct omi_env *env, omen_db **db)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .cache_bytes = 16u << 10, /* so that gets read */
                      .block_bytes = 1024};
    *db = NULL;
    return omi_db_open(env, "/db", &o, db);
}

/* Key i has a value that tells i; odd keys are never written. */
static size_t key_of(unsigned i, char key[static 16])
{
    return (size_t)snprintf(key, 16, "key%06u", i);
}

static size_t value_of(unsigned i, char value[static 330])
{
    return (size_t)snprintf(value, 330, "%u is the value of %0*u", i, (int)(100 + i % 200), i);
}

static omen_err put(omen_db *db, unsigned i, bool sync)
{
    char key[16], value[330];
    omen_write_options how = {.struct_bytes = sizeof(how), .flags = sync ? OMEN_SYNC : 0};
    size_t k = key_of(i, key), v = value_of(i, value);
    return omen_put(db, &how, omi_slice(key, k), omi_slice(value, v));
}

/* 'y' there, 'n' not there, 'e' an error; a wrong value fails the test. */
static char look(omen_db *db, unsigned i)
{
    char key[16], value[330];
    omen_value got;
    size_t k = key_of(i, key), v = value_of(i, value);
    omen_err err = omen_get(db, NULL, omi_slice(key, k), &got);
    if (err == OMEN_OK) {
        cr_assert(got.size == v && memcmp(got.data, value, v) == 0, "key %u: a wrong value", i);
        omen_value_release(&got);
        return 'y';
    }
    cr_assert(err == OMEN_NOT_FOUND || err == OMEN_CORRUPT || err == OMEN_IO, "%s: %s",
              omen_err_name(err), omen_last_error());
    return err == OMEN_NOT_FOUND ? 'n' : 'e';
}

/* Even keys below count are there and nothing else, in gets and in a scan. Returns how many reads
 * ended with an error instead. */
static unsigned check(omen_db *db, unsigned count, const char *what)
{
    unsigned errors = 0, scanned = 0;
    for (unsigned i = 0; i < count; i++) {
        char found = look(db, i);
        errors += found == 'e';
        cr_assert(found == 'e' || found == (i % 2 == 0 ? 'y' : 'n'), "%s: key %u of %u: %c", what,
                  i, count, found);
    }
    omen_iter *it;
    if (omen_iter_open(db, NULL, &it) != OMEN_OK)
        return errors + 1;
    for (omen_iter_seek_first(it); omen_iter_valid(it); omen_iter_next(it))
        scanned++;
    if (omen_iter_status(it) == OMEN_OK)
        cr_assert_geq(scanned, (count + 1) / 2, "%s", what);
    else
        errors++;
    omen_iter_close(it);
    return errors;
}

/* A database of KEYS keys, in tables and in the log, all synced. */
static struct omi_env *made(void)
{
    struct omi_env *env = omi_sim_create(5);
    omen_db *db;
    cr_assert_eq(open_sim(env, &db), OMEN_OK);
    for (unsigned i = 0; i < KEYS; i += 2)
        cr_assert_eq(put(db, i, false), OMEN_OK);
    cr_assert_eq(omen_sync(db), OMEN_OK);
    struct omi_env *left = omi_sim_crash(env, OMI_CRASH_STRICT, 1);
    omi_ignore(omen_close(db));
    omi_sim_destroy(env);
    cr_assert_not_null(left);
    return left;
}

static const struct {
    enum omi_sim_fault kind;
    const char *name;
} wrong_reads[] = {{OMI_FAULT_READ, "EIO"},
                   {OMI_FAULT_FLIP, "a flipped bit"},
                   {OMI_FAULT_ZERO, "a sector of zeros"},
                   {OMI_FAULT_STALE, "a stale sector"},
                   {OMI_FAULT_MISDIRECTED, "a misdirected sector"}};
enum { WRONG_READS = sizeof(wrong_reads) / sizeof(wrong_reads[0]) };

Test(db_faults, what_is_read_wrongly_is_read_again_or_told)
{
    struct omi_env *base = made();
    for (int k = 0; k < WRONG_READS; k++) {
        struct omi_env *env = omi_sim_crash(base, OMI_CRASH_KEEP_ALL, 2);
        omen_db *db;
        cr_assert_eq(open_sim(env, &db), OMEN_OK);
        omi_sim_fail_rate(env, wrong_reads[k].kind, 6);
        unsigned errors = 0;
        for (int round = 0; round < 5; round++)
            errors += check(db, KEYS, wrong_reads[k].name);
        cr_assert_gt(omi_sim_faults(env), 50);
        if (wrong_reads[k].kind != OMI_FAULT_READ)
            cr_assert_lt(errors, omi_sim_faults(env) / 2, "most are read again");
        omi_sim_fail_rate(env, wrong_reads[k].kind, 0);
        cr_assert_eq(check(db, KEYS, wrong_reads[k].name), 0, "nothing wrong is kept");
        cr_assert_eq(omen_close(db), OMEN_OK);
        omi_sim_destroy(env);
    }
    omi_sim_destroy(base);
}

Test(db_faults, a_wrong_read_while_opening_loses_nothing)
{
    struct omi_env *base = made();
    for (int k = 0; k < WRONG_READS; k++) {
        uint64_t faults = 1;
        for (uint64_t nth = 1; faults != 0; nth++) {
            struct omi_env *env = omi_sim_crash(base, OMI_CRASH_KEEP_ALL, nth);
            omen_db *db;
            omi_sim_fail(env, wrong_reads[k].kind, nth, false);
            omen_err err = open_sim(env, &db);
            faults = omi_sim_faults(env);
            omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
            if (err != OMEN_OK) {
                cr_assert(err == OMEN_IO || err == OMEN_CORRUPT, "%s", omen_err_name(err));
                cr_assert_eq(open_sim(env, &db), OMEN_OK, "%s, read %d: %s", wrong_reads[k].name,
                             (int)nth, omen_last_error());
            }
            cr_assert_eq(check(db, KEYS, wrong_reads[k].name), 0);
            cr_assert_eq(omen_close(db), OMEN_OK);
            omi_sim_destroy(env);
        }
    }
    omi_sim_destroy(base);
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Puts from *next on, every other synced, a merge at times, until one fails or all are written.
 * *next: the first that was not acknowledged; *synced: the first that may go with the power. */
static omen_err write_some(omen_db *db, unsigned *next, unsigned *synced)
{
    omen_err err = OMEN_OK;
    while (*next < KEYS && err == OMEN_OK) {
        bool sync = *next % 32 == 0;
        err = put(db, *next, sync);
        if (err != OMEN_OK)
            break;
        *next += 2;
        if (sync)
            *synced = *next;
        if (*next % 800 == 0)
            err = omen_compact(db, NULL, NULL);
    }
    return err;
}

/* Opens env and expects at least the even keys below count, and a prefix. */
static void expect_prefix(struct omi_env *env, unsigned count, const char *what)
{
    omen_db *db;
    cr_assert_eq(open_sim(env, &db), OMEN_OK, "%s: %s", what, omen_last_error());
    cr_assert_eq(check(db, count, what), 0);
    bool ended = false;
    for (unsigned i = count; i < KEYS; i++) {
        char found = look(db, i);
        cr_assert(found != 'e' && (found == 'n' || (i % 2 == 0 && !ended)), "%s: key %u", what, i);
        ended = ended || (i % 2 == 0 && found == 'n');
    }
    cr_assert_eq(omen_close(db), OMEN_OK);
}

/* With the pages that a failed sync throws away go writes that were not synced before. */
static const struct {
    enum omi_sim_fault kind;
    const char *name;
} refusals[] = {{OMI_FAULT_OPEN, "no descriptors"},
                {OMI_FAULT_NO_SPACE, "no space"},
                {OMI_FAULT_WRITE, "a failed write"},
                {OMI_FAULT_SYNC, "a failed sync"},
                {OMI_FAULT_SYNC_REVERT, "a sync that reverts"},
                {OMI_FAULT_NAME, "a name"},
                {OMI_FAULT_STUCK, "a stuck call"}};

/* Returns whether the fault came. */
static bool refuse_one(int k, uint64_t nth, bool persistent)
{
    struct omi_env *env = omi_sim_create(nth);
    omen_db *db;
    unsigned next = 0, synced = 0;
    char what[64];
    snprintf(what, sizeof(what), "%s, call %d%s", refusals[k].name, (int)nth,
             persistent ? " and on" : "");
    omi_sim_fail(env, refusals[k].kind, nth, persistent);
    omen_err err = open_sim(env, &db);
    if (err == OMEN_OK) {
        err = write_some(db, &next, &synced);
        cr_assert_eq(check(db, next, what), 0, "reads go on: %s", omen_last_error());
    }
    bool came = omi_sim_faults(env) != 0;
    cr_assert(err == OMEN_OK || (came && refusals[k].kind != OMI_FAULT_STUCK), "%s: %s", what,
              omen_last_error());
    unsigned kept = refusals[k].kind == OMI_FAULT_SYNC_REVERT && came ? synced : next;
    for (int mode = 0; mode < OMI_CRASH_MODES; mode++) {
        struct omi_env *left = omi_sim_crash(env, (enum omi_crash_mode)mode, nth);
        expect_prefix(left, mode == OMI_CRASH_KEEP_ALL ? kept : synced, what);
        omi_sim_destroy(left);
    }
    omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
    if (db != NULL)
        omi_ignore(omen_close(db));
    expect_prefix(env, kept, what);
    omi_sim_destroy(env);
    return came;
}

Test(db_faults, whatever_is_refused_nothing_acknowledged_is_lost)
{
    for (int k = 0; k < (int)(sizeof(refusals) / sizeof(refusals[0])); k++)
        for (int persistent = 0; persistent < 2; persistent++) {
            uint64_t nth = 1;
            while (refuse_one(k, nth, persistent == 1))
                nth += nth < 20 ? 1 : 41;
            cr_assert_gt(nth, 5);
        }
}

/* After a sync that lied and a power loss nobody can have all; what is left is a prefix, or it is
 * told that something is missing. Returns whether the fault came. */
static bool lie_once(uint64_t nth, unsigned *refused)
{
    struct omi_env *env = omi_sim_create(nth);
    omen_db *db;
    unsigned next = 0, synced = 0, errors = 0;
    omi_sim_fail(env, OMI_FAULT_SYNC_LATE, nth, false);
    if (open_sim(env, &db) == OMEN_OK)
        omi_ignore(write_some(db, &next, &synced));
    bool came = omi_sim_faults(env) != 0;
    struct omi_env *left = omi_sim_crash(env, OMI_CRASH_STRICT, nth);
    if (db != NULL)
        omi_ignore(omen_close(db));
    omen_err err = open_sim(left, &db);
    cr_assert(err == OMEN_OK || err == OMEN_CORRUPT, "%s: %s", omen_err_name(err),
              omen_last_error());
    bool ended = false;
    for (unsigned i = 0; i < KEYS && err == OMEN_OK; i += 2) {
        char found = look(db, i);
        cr_assert(found != 'y' || !ended, "sync %d: key %u behind a hole", (int)nth, i);
        ended = ended || found == 'n';
        errors += found == 'e';
    }
    if (err == OMEN_OK)
        omi_ignore(omen_close(db));
    *refused += err != OMEN_OK || errors != 0;
    omi_sim_destroy(left);
    omi_sim_destroy(env);
    return came;
}

Test(db_faults, a_sync_that_lies_leaves_a_prefix_or_is_told)
{
    unsigned refused = 0;
    uint64_t nth = 1;
    while (lie_once(nth, &refused))
        nth++;
    cr_assert_gt(nth, 20);
    cr_assert_gt(refused, 0);
}

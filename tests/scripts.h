/*
 * scripts.h - short scripted work over the public API on a simulated file system, with a model small
 * enough to be exact: fail_io and fail_alloc make its n-th call fail, crash_scripts crashes it at
 * every step.
 *
 * A script goes on after a failing call as a sensible user would: it notes the error; after UNKNOWN
 * or READ_ONLY it closes the database and opens it again. What is known about its writes:
 *   refused       FULL, NO_MEMORY, READ_ONLY, IO, ...: certainly not there
 *   issued        UNKNOWN, or the call is still running: there or not
 *   acknowledged  there after the death of the process
 *   synced        there after a power loss
 * A log that has failed takes no more writes, so only the newest write can be UNKNOWN, and whatever
 * is found after reopening must be the model after a prefix of the writes. What reopening shows is
 * durable; the history begins anew from there.
 */
#ifndef OMI_TEST_SCRIPTS_H
#define OMI_TEST_SCRIPTS_H

#include "io/env_sim.h"
#include "lsm/db.h"
#include "tests/model.h"

enum { SCRIPT_KEYS = 48, SCRIPT_WRITES = 256 };

/* The value numbers of all keys; 0: none. */
struct script_state {
    uint32_t ids[SCRIPT_KEYS];
};

struct script_run;

/* What makes calls fail. NULL: nothing does, and every error is a violation. */
struct script_faults {
    void *ctx;
    /* The checks of the harness itself run without faults; what is left is kept. */
    void (*pause)(void *ctx, struct script_run *s);
    void (*resume)(void *ctx, struct script_run *s);
    bool (*fired)(void *ctx, struct script_run *s);
    bool (*allows)(void *ctx, struct script_run *s, omen_err err);
    /* Each is what holds once it has fired. */
    bool loses_pending; /* a crash loses acknowledged writes though the process lives on */
    bool loses_pages;   /* ... and so does reopening */
    bool lies;          /* a sync says OK and is none */
    bool spoils;        /* what is read may be wrong time and again */
};

enum {
    SCRIPT_DAMAGES = 1u << 0 /* leaves damage behind on purpose: omen_verify complains */
};
struct script {
    const char *name;
    void (*run)(struct script_run *s);
    unsigned flags;
    uint32_t value_max; /* sizes are drawn up to here */
};
extern const struct script scripts[];
extern const uint32_t script_count;
/* -1: no script is called so. */
int script_find(const char *name);

struct script_run {
    const struct script *script;
    struct omi_env *env;
    omen_db *db;
    uint64_t seed;
    bool threads;
    const struct script_faults *faults;
    /* Called before each step that writes, of the present env; may look at a crash clone. */
    void (*on_step)(void *ctx, struct script_run *s);
    void *on_step_ctx;

    struct script_state states[SCRIPT_WRITES + 1]; /* after write i of this history */
    uint32_t issued, acked, synced;
    uint32_t next_id;
    uint64_t clones;     /* made so far: each has random numbers of its own */
    uint32_t opens;      /* that failed; after a few the script gives up */
    bool gave_up;        /* nothing is done any more */
    bool crashed_on_lie; /* a crash after a sync that lied: it may not open any more */
    bool full;           /* the disk is small on purpose: FULL is no surprise */
    uint64_t errors;     /* calls that failed */
    uint64_t crash_left; /* steps until recovery crashes; 0: it does not */
    enum omi_crash_mode crash_mode;
    struct omi_env *crashed; /* what that left */

    omen_snapshot *snapshot;
    omen_iter *iter;
    struct script_state snapshot_state, iter_state;
    uint32_t iter_next; /* key number that the iterator has yet to pass */
    bool copied;        /* a checkpoint was made, in /copy */
    struct script_state copy_state;
};

/* True inside a call of the engine: what is allocated there is the engine's. */
extern _Thread_local bool script_in_engine;

/* A run that hangs from here on, or that an assertion ends, tells how to replay it. */
void script_watch(void);
/* One run from an empty file system to the last check. faults may be NULL. */
struct script_run *script_begin(const struct script *script, uint64_t seed, bool threads);
void script_play(struct script_run *s, const struct script_faults *faults);
void script_end(struct script_run *s);

/* script_check.c: opens a crash clone of the run's env and compares; depth: how many crashes during
 * recovery may follow. Returns the clones looked at. */
uint64_t script_check_crash(struct script_run *s, enum omi_crash_mode mode, uint64_t seed,
                            int depth);
/* What db holds, as an index into states; fails when it is none from low on. where: for words. */
uint32_t script_match(struct script_run *s, omen_db *db, uint32_t low, const char *where);
/* After the script: clones, a clean close, a last opening. Faults are off. */
void script_check_end(struct script_run *s);
/* Every key by get, multi_get and both directions of a scan equals want; want NULL: unchecked.
 * Errors are judged by the run's faults. */
void script_read(struct script_run *s, const omen_snapshot *snapshot,
                 const struct script_state *want);
omen_slice script_key(uint32_t key, char buffer[static 16]);
bool script_equal(omen_slice a, omen_slice b);
omen_slice script_value(const struct script_run *s, uint32_t id, uint8_t *buffer);
enum { SCRIPT_VALUE_MAX = 4096 };

/* script_run.c: what scripts are made of. Each is skipped once the script gave up. */
void script_open(struct script_run *s);
void script_close(struct script_run *s);
void script_put(struct script_run *s, uint32_t key, bool sync);
void script_delete(struct script_run *s, uint32_t key, bool sync);
/* Puts keys [first, first + count), and deletes the one before first, in one batch. */
void script_batch(struct script_run *s, uint32_t first, uint32_t count, bool sync);
void script_sync(struct script_run *s);
void script_flush(struct script_run *s);
void script_compact(struct script_run *s);
void script_idle(struct script_run *s);
void script_set_option(struct script_run *s, const char *name, const char *value);
void script_checkpoint(struct script_run *s);
void script_snapshot(struct script_run *s);
void script_snapshot_end(struct script_run *s);
void script_iter(struct script_run *s);
void script_iter_walk(struct script_run *s, uint32_t entries);
void script_iter_end(struct script_run *s);
void script_read_all(struct script_run *s);
/* Statistics as numbers and as texts. */
void script_stats(struct script_run *s);
/* The process is killed: the file system goes on with everything written. */
void script_kill(struct script_run *s);
/* The next opening crashes after so many steps, in this mode; another recovers from there. */
void script_crash_recovery(struct script_run *s, uint64_t steps, enum omi_crash_mode mode);
/* The index of each table is damaged on the disk; the database must be closed. */
void script_damage_indexes(struct script_run *s);
/* Only said of a run in which nothing failed. */
void script_expect(struct script_run *s, bool fact, const char *words);

/* What a crash now would leave; fails when memory is short. */
struct omi_env *script_clone(struct script_run *s, enum omi_crash_mode mode);

bool script_fired(struct script_run *s);
void script_pause(struct script_run *s);
void script_resume(struct script_run *s);
/* True for OMEN_OK; an error that the faults do not explain is a violation. */
bool script_judge(struct script_run *s, omen_err err, const char *what);
omen_err script_db_open(struct script_run *s, struct omi_env *env, bool threads, omen_db **db);

#define SCRIPT_CALL(err, call)                                                                     \
    do {                                                                                           \
        script_in_engine = true;                                                                   \
        (err) = (call);                                                                            \
        script_in_engine = false;                                                                  \
    } while (0)
#define SCRIPT_DO(call)                                                                            \
    do {                                                                                           \
        script_in_engine = true;                                                                   \
        call;                                                                                      \
        script_in_engine = false;                                                                  \
    } while (0)

#endif

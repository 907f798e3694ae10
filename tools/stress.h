/*
 * stress.h - omendb stress: random work by many threads, every answer known beforehand.
 *
 * The oracle: each thread owns every threads-th key. Its write number n is a pure function of (seed,
 * thread, n): which keys, put or deleted, which bytes. Every write is one batch that also sets the
 * thread's counter key to n. So the counter that is read tells what all of the thread's keys must be, with
 * nothing stored beside the database; after a crash the counters tell a prefix of each thread's
 * writes, and what each had seen acknowledged by the others when it wrote ties the prefixes together.
 *
 * Numbers, per thread: durable <= recovered <= issued after a power loss, acked <= recovered <=
 * issued after the death of the process. They live in shared memory, so that they outlive a child.
 * Failures end the program: stress_fail prints what is known and never returns.
 */
#ifndef OMT_STRESS_H
#define OMT_STRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "io/env.h"
#include "lsm/db.h"

enum {
    STRESS_THREADS_MAX = 8,
    STRESS_BATCH_MAX = 24,
    STRESS_SEEN_MAX = 1024, /* recent writes whose view of the other threads is kept */
    STRESS_HELD_MAX = 2,
    STRESS_PATH_BYTES = 512,
    STRESS_OPTIONS_BYTES = 1024
};

/* ---- stress_plan.c: what a seed decides ------------------------------------------------------ */

struct stress_rng {
    uint64_t state;
};
uint64_t stress_next(struct stress_rng *r);
uint64_t stress_below(struct stress_rng *r, uint64_t n); /* [0, n), n >= 1 */
bool stress_one_in(struct stress_rng *r, uint64_t n);
/* A generator of its own for each (seed, a, b). */
struct stress_rng stress_rng_of(uint64_t seed, uint64_t a, uint64_t b);

enum stress_mode { STRESS_DIR, STRESS_SIM, STRESS_KILL, STRESS_FS };
enum stress_family {
    STRESS_BE64,
    STRESS_USER,
    STRESS_NESTED,
    STRESS_LONG_PREFIX,
    STRESS_BINARY,
    STRESS_FAMILIES
};
enum stress_kind {
    STRESS_WRITE,
    STRESS_GET,
    STRESS_MULTI_GET,
    STRESS_WALK,
    STRESS_SNAPSHOT,
    STRESS_ITERATOR, /* held open over what others do */
    STRESS_SYNC,
    STRESS_FLUSH,
    STRESS_COMPACT,
    STRESS_OPTION,
    STRESS_CHECKPOINT,
    STRESS_KINDS
};

struct stress_plan {
    enum stress_mode mode;
    uint64_t seed, keys, value_max, ops, seconds, crashes;
    uint32_t threads;
    enum stress_family family;
    bool zipf, inline_work, faults, verbose, json, quiet;
    uint64_t weights[STRESS_KINDS];
    uint64_t delete_percent, batch_max, sync_one_in;
    uint64_t point_one_in, turn_one_in; /* sim: steps a crash point, locks a turn */
    uint32_t without;                   /* bit per stress_kind: left out */
    const char *set;   /* options of the user's, stronger than drawn ones; or NULL */
    const char *fs;    /* "ext4", "xfs" */
    const char *dir;   /* given; or NULL */
    const char *image; /* sim: where a failure leaves the directory; or NULL */
    bool keys_given, threads_given;
};
/* Fills everything that is not given from the seed. */
void stress_plan_draw(struct stress_plan *p);
/* The options of opening number generation: shapes and sizes change from one to the next. */
void stress_plan_options(const struct stress_plan *p, uint64_t generation,
                         char out[static STRESS_OPTIONS_BYTES]);
/* The command that does the same again. */
void stress_plan_replay(const struct stress_plan *p, char *out, size_t size);
void stress_plan_print(const struct stress_plan *p, FILE *out);
const char *stress_mode_name(enum stress_mode mode);
const char *stress_kind_name(enum stress_kind kind);
/* "flush,compact" to bits; false: an unknown word. */
bool stress_without_parse(const char *text, uint32_t *out);

/* ---- stress_keys.c: keys in order, and values ------------------------------------------------ */

/* Keys are spoken of by rank, their place in key order. A place between keys has a coordinate, too:
 * key r stands at 2r + 1, what lies between r - 1 and r at 2r. */
struct stress_keys {
    uint8_t *bytes;
    uint64_t *offs; /* count + 1 of them */
    uint64_t count;
};
bool stress_keys_make(enum stress_family family, uint64_t count, struct stress_keys *out);
void stress_keys_free(struct stress_keys *k);
omen_slice stress_key(const struct stress_keys *k, uint64_t rank);
int64_t stress_key_coord(const struct stress_keys *k, omen_slice key);
/* The key of thread's counter. */
enum { STRESS_COUNTER_BYTES = 16 };
omen_slice stress_counter_key(uint32_t thread, uint8_t out[static STRESS_COUNTER_BYTES]);
bool stress_is_counter(omen_slice key);

/* An id names one put or delete: write number, place in its batch, and whether it is a put. */
static inline uint64_t stress_id(uint64_t n, uint64_t place, bool put)
{
    return n << 6 | place << 1 | (uint64_t)put;
}
static inline bool stress_id_lives(uint64_t id)
{
    return (id & 1) != 0;
}
size_t stress_value_size(uint64_t id, uint64_t value_max);
void stress_value_make(uint64_t rank, uint64_t id, size_t size, uint8_t *out);

/* ---- stress_model.c: what a thread's keys must be -------------------------------------------- */

struct stress_change {
    uint64_t own, id; /* own: the own-th key of the thread, rank own * threads + thread */
};
struct stress_write {
    uint32_t count; /* 0: the counter alone, by omen_put */
    struct stress_change changes[STRESS_BATCH_MAX];
};
void stress_write_make(const struct stress_plan *p, uint32_t thread, uint64_t n,
                       struct stress_write *out);

/* One thread's keys after its write n: the last id of each. */
struct stress_state {
    uint64_t n, count;
    uint64_t *ids;
};
uint64_t stress_own_count(const struct stress_plan *p, uint32_t thread);
void stress_state_init(const struct stress_plan *p, uint32_t thread, struct stress_state *s);
void stress_state_fini(struct stress_state *s);
void stress_state_copy(struct stress_state *to, const struct stress_state *from);
/* Replays writes until s->n is n. */
void stress_state_advance(const struct stress_plan *p, uint32_t thread, struct stress_state *s,
                          uint64_t n);
/* The next present own key past coord (step 1) or before it (step -1), with rank in [low, high);
 * -1: none. */
int64_t stress_state_next(const struct stress_plan *p, uint32_t thread,
                          const struct stress_state *s, int64_t coord, int step, int64_t low,
                          int64_t high);

/* ---- a run ----------------------------------------------------------------------------------- */

/* What outlives the process that writes. One writer a thread; raise_durable by any. */
struct stress_shared {
    _Atomic uint64_t issued, acked, durable;
    uint64_t seen[STRESS_SEEN_MAX][STRESS_THREADS_MAX]; /* [n % MAX]: acked of all before write n */
};
struct stress_page {                /* of a whole run; MAP_SHARED */
    _Atomic bool down;              /* the file system was shut down: errors are expected */
    _Atomic uint64_t generation;    /* openings so far */
    _Atomic uint64_t steps;         /* operations begun, all threads */
    _Atomic uint64_t writes, reads; /* acknowledged, answered */
    _Atomic uint64_t checks;        /* whole states compared */
    _Atomic uint64_t crashes, recovery_crashes, lost_tails, refusals, run_seed, run_ops, runs;
    struct stress_shared of[STRESS_THREADS_MAX];
};

struct stress_held {
    omen_snapshot *snapshot;
    omen_iter *iter;
    struct stress_state state;
    int64_t coord, low, high;
};

enum { STRESS_NOTES = 24, STRESS_NOTE_BYTES = 120 };
struct stress_worker {
    struct stress_run *run;
    uint32_t thread;
    struct stress_state base; /* at or before what is durable; moves between rounds alone */
    struct stress_state now;
    struct stress_held snapshots[STRESS_HELD_MAX], iters[STRESS_HELD_MAX];
    omen_batch *batch;
    uint8_t *scratch;
    uint64_t steps, steps_end, checkpoints;
    char notes[STRESS_NOTES][STRESS_NOTE_BYTES]; /* the last operations, for a failure */
    uint64_t note_count;
    void *os_thread;
    _Atomic bool over;
};

struct stress_run {
    struct stress_plan plan;
    struct stress_keys keys;
    struct stress_page *page;
    struct omi_env *env;
    omen_db *db;
    char dir[STRESS_PATH_BYTES]; /* of the database; checkpoints stand beside it */
    char options[STRESS_OPTIONS_BYTES];
    struct stress_worker workers[STRESS_THREADS_MAX];
    _Atomic bool stop;   /* end the round */
    _Atomic bool broken; /* an injected fault ended the handle's writes */
    bool faulty;         /* faults were injected since the database was opened */
    bool sync_failed;    /* one of them into a sync: a mere kill may lose what is not durable */
    struct stress_rng rng;
    void (*clean_up)(struct stress_run *run); /* before a failure ends the program; or NULL */
    void (*calm)(struct stress_run *run);     /* no more faults; or NULL */
};

/* ---- stress_tell.c: failures ----------------------------------------------------------------- */

/* The worker whose operations a failure shows; set by each thread. */
extern _Thread_local struct stress_worker *stress_here;
/* For stress_fail. */
void stress_tell_begin(struct stress_run *run);
void stress_note(struct stress_worker *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum { STRESS_EXIT_FAILED = 1 };
_Noreturn void stress_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *stress_alloc(size_t bytes); /* zeroed; never NULL */
#define STRESS_OK(call) stress_ok((call), #call)
void stress_ok(omen_err err, const char *call);
/* Writes every file of dir in env into the real directory to. */
void stress_image_write(struct omi_env *env, const char *dir, const char *to);

/* ---- stress_read.c --------------------------------------------------------------------------- */

void stress_read_get(struct stress_worker *w, struct stress_rng *r);
void stress_read_multi(struct stress_worker *w, struct stress_rng *r);
void stress_read_walk(struct stress_worker *w, struct stress_rng *r);
void stress_read_snapshot(struct stress_worker *w, struct stress_rng *r);
void stress_read_iterator(struct stress_worker *w, struct stress_rng *r);
void stress_read_release(struct stress_worker *w); /* snapshots and iterators */
/* All own keys of a database that stands still, such as a checkpoint. */
void stress_read_own(struct stress_worker *w, omen_db *db);
/* False: the call was refused because of an injected fault. Anything unexpected fails. */
bool stress_tolerate(struct stress_worker *w, omen_err err, bool write, const char *what);

/* ---- stress_work.c --------------------------------------------------------------------------- */

/* One operation. */
void stress_step(struct stress_worker *w);
/* What thread's counter says in db; 0 when there is none. */
OMEN_MUST_CHECK omen_err stress_counter_read(omen_db *db, const omen_read_options *ro,
                                             uint32_t thread, uint64_t *n_out);
void stress_acked_all(const struct stress_run *run, uint64_t acked[static STRESS_THREADS_MAX]);
/* Everything acknowledged in acked is durable. */
void stress_durable_raise(struct stress_run *run, const uint64_t acked[static STRESS_THREADS_MAX]);

/* ---- stress_check.c -------------------------------------------------------------------------- */

/* db must equal a prefix of each thread's writes; prefixes_out gets them. killed: everything
 * acknowledged is in it; otherwise everything durable. */
void stress_check_prefix(struct stress_run *run, omen_db *db, bool killed,
                         uint64_t prefixes_out[static STRESS_THREADS_MAX]);
/* Between rounds: exactly what was acknowledged. */
void stress_check_now(struct stress_run *run);
/* No files but those the database should have, and every byte of them sound. */
void stress_check_files(struct stress_run *run);
void stress_check_verify(struct stress_run *run);

/* ---- stress_run.c ---------------------------------------------------------------------------- */

void stress_run_init(struct stress_run *run, const struct stress_plan *plan,
                     struct stress_page *page);
void stress_run_fini(struct stress_run *run);
struct stress_page *stress_page_make(void);
/* With new options; run->db is the caller's to set. NULL: the file system was shut down. */
omen_db *stress_open(struct stress_run *run);
omen_err stress_open_at(struct stress_run *run, struct omi_env *env, const char *dir,
                        bool inline_work, omen_db **db_out);
/* Closes, opens, and checks that everything acknowledged is there. */
void stress_reopen(struct stress_run *run);
/* The threads' states become those after prefixes, which are durable now. */
void stress_settle(struct stress_run *run, const uint64_t prefixes[static STRESS_THREADS_MAX]);
/* Starts the threads, for ops operations each. */
void stress_round_begin(struct stress_run *run, uint64_t ops);
void stress_round_end(struct stress_run *run);
/* Reopens, merges everything, checks everything. */
void stress_finish(struct stress_run *run);
void stress_summary(const struct stress_plan *p, const struct stress_page *page, double seconds);

/* Makes base and names run->dir in it; false, told, when that cannot be. */
bool stress_dir_make(struct stress_run *run, char base[static STRESS_PATH_BYTES]);
void stress_dir_remove(struct stress_run *run, const char *base);

int stress_main_dir(const struct stress_plan *plan);
int stress_main_sim(const struct stress_plan *plan);  /* stress_sim.c */
int stress_main_kill(const struct stress_plan *plan); /* stress_kill.c */
int stress_main_fs(const struct stress_plan *plan);   /* stress_kill.c */
/* One run of sim mode with plan->ops operations, in this process. */
void stress_sim_once(const struct stress_plan *plan, struct stress_page *page);
/* Looks for a smaller plan that fails (or hangs), too; prints it and its operations
 * (stress_shrink.c). */
void stress_shrink(const struct stress_plan *plan, bool hangs);

#endif

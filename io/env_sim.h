/*
 * env_sim.h - a file system in memory that a test can crash, deterministic from its seed.
 *
 * Per file: a durable image and the ordered list of writes and truncates since the last sync. Per
 * directory: durable names and the ordered list of creates, renames, unlinks and links since the
 * last dir_sync. omi_sim_crash copies the durable state plus a seed-picked part of what was pending
 * into a new env; the original goes on. Time is a counter that only sleeps and calls move. There
 * are no threads (thread_start answers OMEN_UNSUPPORTED, so the engine works inline), or threads
 * that take turns (omi_sim_turns).
 */
#ifndef OMI_ENV_SIM_H
#define OMI_ENV_SIM_H

#include "io/env.h"

enum omi_crash_mode {
    OMI_CRASH_STRICT,   /* everything pending is lost */
    OMI_CRASH_KEEP_ALL, /* everything pending is kept (a process kill) */
    OMI_CRASH_PREFIX,   /* per file and directory: the first n pending operations, in order */
    OMI_CRASH_PAGES,    /* each 4 KiB page on its own as it was at some moment since the sync, as
                           likely its first or its last as any other */
    OMI_CRASH_SECTORS,  /* the same for each 512 B */
    OMI_CRASH_TORN,     /* all kept but the last write of each file, cut at 512 B */
    OMI_CRASH_SIZE,     /* sizes have grown, pending contents are zeros or garbage */
    OMI_CRASH_NAMES,    /* data kept; directory operations a random subset, out of order between
                           different names */
    OMI_CRASH_MIXED,    /* each file and directory draws one of the above */
    OMI_CRASH_MODES
};

struct omi_env *omi_sim_create(uint64_t seed); /* NULL when memory is short */
void omi_sim_destroy(struct omi_env *env);
/* A new env as a crash at this moment would leave it; destroy both. NULL when memory is short. */
struct omi_env *omi_sim_crash(struct omi_env *env, enum omi_crash_mode mode, uint64_t seed);

/* From now on the env has threads: real ones that take turns, in an order drawn from seed, so that
 * a run replays exactly. The turn may pass at one lock in one_in, and passes when its holder would
 * block. The calling thread is one of them, until the env is destroyed. A callback that works on
 * another env (a crash clone) does so with omi_turns_here (io/base/turns.h) set to NULL. */
void omi_sim_turns(struct omi_env *env, uint64_t seed, uint64_t one_in);
/* How often the turn has passed so far. */
uint64_t omi_sim_switches(const struct omi_env *env);

/* Every call that writes, syncs or changes a name is one step. */
uint64_t omi_sim_steps(const struct omi_env *env);
/* Called before step (counted from 1) happens: a test crashes there by omi_sim_crash. NULL: none.
 * The callback gets ctx and the number of the step to come. */
void omi_sim_on_step(struct omi_env *env, void (*step)(void *ctx, uint64_t number), void *ctx);

/* Each kind counts the calls that it could hit. What a read fault spoils is the answer alone, one
 * 512-byte sector or bit of it: the file stays right, and so is a second read. */
enum omi_sim_fault {
    OMI_FAULT_NONE,
    OMI_FAULT_READ,        /* EIO from pread */
    OMI_FAULT_WRITE,       /* EIO from pwrite, half of the bytes written; from truncate */
    OMI_FAULT_SYNC,        /* EIO from sync; the pages count as clean and show on, but what was
                              pending is lost at a crash */
    OMI_FAULT_NAME,        /* EIO from create, rename, unlink, link, mkdir, rmdir, dir_sync */
    OMI_FAULT_FLIP,        /* a read returns one flipped bit */
    OMI_FAULT_OPEN,        /* EMFILE from opening a file or directory, dir_lock, dir_list */
    OMI_FAULT_NO_SPACE,    /* ENOSPC from pwrite, half of the bytes written; from create, rename,
                              link, mkdir, allocate */
    OMI_FAULT_SYNC_REVERT, /* EIO from sync; readers too see the durable contents again */
    OMI_FAULT_SYNC_LATE,   /* loses as OMI_FAULT_SYNC does, but says OK; the next sync of that file
                              makes its own part durable and says EIO */
    OMI_FAULT_ZERO,        /* a read returns a sector of zeros */
    OMI_FAULT_STALE,       /* ... as before the last write that changed it; zeros if that was the
                              first */
    OMI_FAULT_MISDIRECTED, /* ... of another place of the file, or of another file */
    OMI_FAULT_SLOW,        /* a call that goes to the disk takes 2 s of simulated time */
    OMI_FAULT_STUCK,       /* ... 120 s */
    OMI_FAULT_KINDS
};
/* The nth (from 1) matching call fails; persistent: and all after it. nth 0 disarms, and with
 * OMI_FAULT_NONE it disarms every kind, rates included. */
void omi_sim_fail(struct omi_env *env, enum omi_sim_fault kind, uint64_t nth, bool persistent);
/* One matching call in one_in fails, drawn from the env's seed; 0: none. Beside omi_sim_fail. */
void omi_sim_fail_rate(struct omi_env *env, enum omi_sim_fault kind, uint64_t one_in);
/* Calls of that kind so far. */
uint64_t omi_sim_calls(const struct omi_env *env, enum omi_sim_fault kind);
/* Calls that were made to fail so far, of all kinds. */
uint64_t omi_sim_faults(const struct omi_env *env);
/* A disk of so many bytes, for crash clones too; UINT64_MAX: no limit. A file takes its size, or
 * what was allocated if that is more, while it has a name or a handle. */
void omi_sim_capacity(struct omi_env *env, uint64_t bytes);
/* What the files take now. */
uint64_t omi_sim_used(struct omi_env *env);
/* Flips bit (off*8+bit) of a file's durable and current contents. */
omen_err omi_sim_damage(struct omi_env *env, const char *dir, const char *name, uint64_t off,
                        unsigned bit);
/* Changes size bytes at off, all within the file, in its durable and current contents. */
omen_err omi_sim_overwrite(struct omi_env *env, const char *dir, const char *name, uint64_t off,
                           const void *bytes, size_t size);
/* Test-only misbehaviour for the mutation check: syncs that do nothing. */
void omi_sim_ignore_file_sync(struct omi_env *env, bool on);
void omi_sim_ignore_dir_sync(struct omi_env *env, bool on);

#endif

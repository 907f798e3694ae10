/*
 * sim.h - private to the simulated file system: what its parts share.
 *
 * Files (inodes) and directories live in the env; names point at inodes and count them, as do
 * pending name operations and open handles. Everything is guarded by the env's one mutex, but the
 * images' counts, which crash clones share.
 */
#ifndef OMI_SIM_H
#define OMI_SIM_H

#include "io/base/sync.h"
#include "io/env_sim.h"
#include "io/sim_image.h"

enum omi_sim_op_kind { OMI_SIM_WRITE, OMI_SIM_TRUNCATE };

/* One pending change of a file's bytes. */
struct omi_sim_op {
    uint64_t off;   /* of a truncate: the new size */
    size_t size;    /* of a truncate: 0 */
    size_t log_off; /* of the bytes in the inode's log */
    enum omi_sim_op_kind kind;
};

struct omi_sim_inode {
    struct omi_sim_inode *next, *prev; /* of the env's list */
    struct omi_sim_inode *twin;        /* in the clone being made; NULL otherwise */
    struct omi_sim_image *current;     /* what reads see */
    struct omi_sim_image *durable;
    struct omi_sim_image *before; /* sectors as they were before the last write that changed them */
    struct omi_sim_op *ops;       /* durable + ops = current, unless lost */
    uint8_t *log;
    size_t op_count, op_capacity, log_size, log_capacity;
    uint64_t id;              /* in the order of making: what draws depend on */
    uint64_t allocated_bytes; /* reserved on the disk, size included */
    uint64_t mark;            /* the last count of space that met a name of it */
    unsigned refs;
    unsigned handles; /* of refs, those that keep its space without a name */
    bool lost;        /* a failed sync dropped ops whose bytes current still shows */
    bool late;        /* the next sync tells of an earlier failure */
    bool locked;
};

struct omi_sim_name {
    char *name;
    struct omi_sim_inode *inode;
};
struct omi_sim_names { /* sorted by name */
    struct omi_sim_name *items;
    size_t count, capacity;
};

/* One pending change of names, atomic: clear goes, then set is there. Either may be NULL. */
struct omi_sim_name_op {
    char *clear;
    char *set;
    struct omi_sim_inode *inode; /* of set */
};

struct omi_sim_directory {
    struct omi_sim_directory *next; /* in the order of making */
    struct omi_sim_names current, durable;
    struct omi_sim_name_op *ops;
    size_t op_count, op_capacity;
    uint64_t id;
    bool removed; /* handles may still point here */
    char path[];  /* without trailing slashes */
};

struct omi_sim_turns;

struct omi_sim_trap {
    uint64_t calls; /* since the env was made */
    uint64_t left;  /* matching calls until one fails; 0: disarmed */
    uint64_t one_in;
    bool persistent;
};

struct omi_sim_env {
    struct omi_env base;
    struct omi_mutex mu;
    struct omi_sim_inode *inodes;
    struct omi_sim_directory *directories;
    uint64_t ids;
    uint64_t random_state;
    uint64_t now_ns;
    uint64_t steps;
    uint64_t capacity;
    uint64_t marks; /* counts of space so far */
    void (*on_step)(void *ctx, uint64_t number);
    void *on_step_ctx;
    uint64_t fault_seed, faults;
    struct omi_sim_trap traps[OMI_FAULT_KINDS];
    bool ignore_file_sync, ignore_dir_sync;
    struct omi_sim_turns *turns; /* NULL: no threads */
};

struct omi_sim_dir_handle {
    struct omi_dir base;
    struct omi_sim_directory *at;
};
struct omi_sim_file_handle {
    struct omi_file base;
    struct omi_sim_inode *inode;
    bool writable, lock;
    char path[]; /* directory/name at opening, for words */
};

static inline struct omi_sim_env *omi_sim_env_of(struct omi_env *env)
{
    return (struct omi_sim_env *)env;
}

/* A number that depends on all of its arguments: draws need no state, so their order is free. */
static inline uint64_t omi_sim_draw(uint64_t seed, uint64_t a, uint64_t b)
{
    uint64_t x =
        seed ^ (a + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (b + 1) * UINT64_C(0xd1b54a32d192ed03);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ x >> 32) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 32;
}

/* env_sim.c */
struct omi_sim_env *omi_sim_env_make(uint64_t seed);
/* Before a call that writes, syncs or changes a name: calls the test's hook, without the lock. */
void omi_sim_step(struct omi_sim_env *s);
uint64_t omi_sim_random_locked(struct omi_sim_env *s) OMI_REQUIRES(s->mu);

/* sim_fault.c */
/* Counts a call; true: it is to fail. */
bool omi_sim_trapped_locked(struct omi_sim_env *s, enum omi_sim_fault kind) OMI_REQUIRES(s->mu);
/* Before a call that goes to the disk: a slow one takes its time here, without the lock. */
void omi_sim_delay(struct omi_sim_env *s);
/* Before a descriptor is made for path; OMEN_OK unless there is to be none. */
omen_err omi_sim_open_fault_locked(struct omi_sim_env *s, const char *path) OMI_REQUIRES(s->mu);
/* What reading does to the size bytes at off of a file, on their way. */
void omi_sim_read_spoil_locked(struct omi_sim_env *s, const struct omi_sim_inode *inode,
                               uint64_t off, uint8_t *bytes, size_t size) OMI_REQUIRES(s->mu);

/* sim_space.c */
omen_err omi_sim_dir_space(struct omi_dir *dir, uint64_t *free_bytes_out);
/* The size that an open file may have on this disk; never less than what it takes. */
uint64_t omi_sim_reach_locked(struct omi_sim_env *s, const struct omi_sim_inode *inode)
    OMI_REQUIRES(s->mu);

/* sim_turns.c: threads */
OMEN_MUST_CHECK omen_err omi_sim_turns_start(struct omi_sim_turns *turns, void (*run)(void *arg),
                                             void *arg, void **thread_out);
void omi_sim_turns_join(struct omi_sim_turns *turns, void *thread);
void omi_sim_turns_end(struct omi_sim_env *s);

/* sim_inode.c: bytes */
struct omi_sim_inode *omi_sim_inode_make_locked(struct omi_sim_env *s) OMI_REQUIRES(s->mu);
void omi_sim_inode_unref_locked(struct omi_sim_env *s, struct omi_sim_inode *inode)
    OMI_REQUIRES(s->mu);
/* False when memory is short: nothing has changed. */
bool omi_sim_inode_write_locked(struct omi_sim_env *s, struct omi_sim_inode *inode, uint64_t off,
                                const uint8_t *bytes, size_t size) OMI_REQUIRES(s->mu);
bool omi_sim_inode_truncate_locked(struct omi_sim_env *s, struct omi_sim_inode *inode,
                                   uint64_t size) OMI_REQUIRES(s->mu);
bool omi_sim_inode_sync_locked(struct omi_sim_env *s, struct omi_sim_inode *inode)
    OMI_REQUIRES(s->mu);
/* A sync that failed: what was pending is clean to the system and not on the disk. */
void omi_sim_inode_lose_locked(struct omi_sim_env *s, struct omi_sim_inode *inode)
    OMI_REQUIRES(s->mu);
/* Likewise, but the system has forgotten it as well. */
void omi_sim_inode_revert_locked(struct omi_sim_env *s, struct omi_sim_inode *inode)
    OMI_REQUIRES(s->mu);
/* Applies one pending change to an image. False when memory is short. */
bool omi_sim_op_apply(const struct omi_sim_inode *inode, const struct omi_sim_op *op,
                      struct omi_sim_image **image);

/* sim_names.c: sets of names */
struct omi_sim_inode *omi_sim_names_find(const struct omi_sim_names *names, const char *name);
bool omi_sim_names_copy_locked(struct omi_sim_env *s, struct omi_sim_names *to,
                               const struct omi_sim_names *from) OMI_REQUIRES(s->mu);
void omi_sim_names_fini_locked(struct omi_sim_env *s, struct omi_sim_names *names)
    OMI_REQUIRES(s->mu);
/* Inserts or replaces; counts the inode. False when memory is short. */
bool omi_sim_names_set_locked(struct omi_sim_env *s, struct omi_sim_names *names, const char *name,
                              struct omi_sim_inode *inode) OMI_REQUIRES(s->mu);
void omi_sim_names_clear_locked(struct omi_sim_env *s, struct omi_sim_names *names,
                                const char *name) OMI_REQUIRES(s->mu);
/* One change, as in omi_sim_name_op. False when memory is short: nothing has changed. */
bool omi_sim_names_change_locked(struct omi_sim_env *s, struct omi_sim_names *names,
                                 const char *clear, const char *set, struct omi_sim_inode *inode)
    OMI_REQUIRES(s->mu);
/* Appends a pending change, counting its inode. False when memory is short. */
bool omi_sim_name_op_add_locked(struct omi_sim_env *s, struct omi_sim_directory *d,
                                const char *clear, const char *set, struct omi_sim_inode *inode)
    OMI_REQUIRES(s->mu);
/* Keeps the first count of them. */
void omi_sim_name_ops_cut_locked(struct omi_sim_env *s, struct omi_sim_directory *d, size_t count)
    OMI_REQUIRES(s->mu);

/* sim_dir.c */
struct omi_sim_directory *omi_sim_directory_find_locked(struct omi_sim_env *s, const char *path)
    OMI_REQUIRES(s->mu);
/* path without trailing slashes */
struct omi_sim_directory *omi_sim_directory_make_locked(struct omi_sim_env *s, const char *path)
    OMI_REQUIRES(s->mu);
void omi_sim_directory_free_locked(struct omi_sim_env *s, struct omi_sim_directory *d)
    OMI_REQUIRES(s->mu);
/* Makes a file under name, pending until the directory is synced. */
omen_err omi_sim_name_create_locked(struct omi_sim_env *s, struct omi_sim_directory *d,
                                    const char *name, struct omi_sim_inode **inode_out)
    OMI_REQUIRES(s->mu);
omen_err omi_sim_dir_open(struct omi_env *env, const char *path, bool create, struct omi_dir **out);
void omi_sim_dir_close(struct omi_dir *dir);
omen_err omi_sim_dir_sync(struct omi_dir *dir);
omen_err omi_sim_dir_list(struct omi_dir *dir,
                          omen_err (*each)(void *ctx, const struct omi_dir_entry *e), void *ctx);
omen_err omi_sim_dir_rename(struct omi_dir *dir, const char *from, const char *to);
omen_err omi_sim_dir_unlink(struct omi_dir *dir, const char *name);
omen_err omi_sim_dir_link(struct omi_dir *from_dir, const char *from, struct omi_dir *to_dir,
                          const char *to);
omen_err omi_sim_dir_remove(struct omi_env *env, const char *path);

/* sim_file.c */
omen_err omi_sim_dir_lock(struct omi_dir *dir, const char *name, struct omi_file **out);
omen_err omi_sim_file_open(struct omi_dir *dir, const char *name, enum omi_open_mode mode,
                           unsigned flags, struct omi_file **out);
omen_err omi_sim_file_close(struct omi_file *file);
omen_err omi_sim_file_pread(struct omi_file *file, void *buffer, size_t size, uint64_t off,
                            size_t *got_out);
omen_err omi_sim_file_pwrite(struct omi_file *file, const void *bytes, size_t size, uint64_t off);
omen_err omi_sim_file_sync(struct omi_file *file);
void omi_sim_file_write_back(struct omi_file *file, uint64_t off, uint64_t size);
omen_err omi_sim_file_truncate(struct omi_file *file, uint64_t size);
omen_err omi_sim_file_allocate(struct omi_file *file, uint64_t size);
omen_err omi_sim_file_size(struct omi_file *file, uint64_t *size_out);
void omi_sim_file_advise(struct omi_file *file, enum omi_advice advice);
bool omi_sim_file_direct(const struct omi_file *file);

#endif

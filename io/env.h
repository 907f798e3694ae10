/*
 * env.h - everything the engine asks of the operating system: files, directories, time, threads,
 * random numbers. No other file of the engine calls the system for these (make layers checks).
 *
 * Two implementations: omi_env_posix (env_posix.c, with io_uring for batches, ring.c) and omi_env_sim
 * (env_sim.c: in memory, deterministic, crash clones, injected faults).
 *
 * Names are plain file names inside a directory handle; they never contain a slash. Files are opened
 * with O_NOFOLLOW | O_CLOEXEC, made 0600; directories 0700.
 * Durability: omi_file_sync makes data and size durable, not the name; omi_dir_sync makes names
 * (create, rename, unlink, link) durable. close makes nothing durable.
 * Errors: OMEN_NOT_FOUND (records no words) when a name is not there; OMEN_EXISTS; OMEN_FULL for
 * ENOSPC and EDQUOT; OMEN_READ_ONLY for EROFS; OMEN_IO otherwise; words name directory and file.
 * Threads: any call from any thread; one file's appends are the caller's to order.
 */
#ifndef OMI_ENV_H
#define OMI_ENV_H

#include "io/base/fail.h"

#include <stdbool.h>

struct omi_env;
struct omi_dir;
struct omi_file;

enum omi_open_mode {
    OMI_OPEN_READ = 0,   /* must exist; regular files only */
    OMI_OPEN_CREATE = 1, /* for pwrite; must not exist (OMEN_EXISTS) */
    OMI_OPEN_WRITE = 2   /* for pwrite; must exist */
};
enum {
    OMI_OPEN_DIRECT = 1u << 0 /* O_DIRECT where the file system can; see omi_file_direct */
};
enum omi_advice { OMI_ADVISE_RANDOM, OMI_ADVISE_SEQUENTIAL, OMI_ADVISE_DROP /* from the cache */ };

/* One read of a batch. */
struct omi_read {
    struct omi_file *file;
    void *buffer;
    uint64_t off;
    size_t size;
    size_t got;   /* out: less than size only at the end of the file */
    omen_err err; /* out */
};

struct omi_dir_entry {
    const char *name;
    uint64_t bytes;
    bool regular;
};

struct omi_env_ops {
    const char *name;
    /* directories; create makes the last component when missing and syncs its parent */
    omen_err (*dir_open)(struct omi_env *env, const char *path, bool create, struct omi_dir **out);
    void (*dir_close)(struct omi_dir *dir);
    omen_err (*dir_sync)(struct omi_dir *dir);
    omen_err (*dir_list)(struct omi_dir *dir,
                         omen_err (*each)(void *ctx, const struct omi_dir_entry *e),
                         void *ctx); /* an error from each stops and is returned */
    omen_err (*dir_rename)(struct omi_dir *dir, const char *from, const char *to);
    omen_err (*dir_unlink)(struct omi_dir *dir, const char *name);
    /* hard link; OMEN_UNSUPPORTED when the file systems differ or have no links */
    omen_err (*dir_link)(struct omi_dir *from_dir, const char *from, struct omi_dir *to_dir,
                         const char *to);
    omen_err (*dir_remove)(struct omi_env *env, const char *path); /* an empty directory */
    /* Creates name if needed and locks it until the returned file is closed. OMEN_BUSY names the
     * holder's pid (written into the file). Also excludes other handles of this process.
     * OMEN_INVALID: the directory is another user's, and this one is not root. */
    omen_err (*dir_lock)(struct omi_dir *dir, const char *name, struct omi_file **out);
    omen_err (*dir_space)(struct omi_dir *dir, uint64_t *free_bytes_out);
    /* files */
    omen_err (*file_open)(struct omi_dir *dir, const char *name, enum omi_open_mode mode,
                          unsigned flags, struct omi_file **out);
    omen_err (*file_close)(struct omi_file *file); /* the handle is gone whatever is returned */
    omen_err (*file_pread)(struct omi_file *file, void *buffer, size_t size, uint64_t off,
                           size_t *got_out); /* loops over short reads; short only at the end */
    omen_err (*file_pwrite)(struct omi_file *file, const void *bytes, size_t size, uint64_t off);
    omen_err (*file_sync)(struct omi_file *file); /* fdatasync; never retried by anybody */
    /* Starts writing back dirty bytes [off, off+size) without waiting; a hint. */
    void (*file_write_back)(struct omi_file *file, uint64_t off, uint64_t size);
    omen_err (*file_truncate)(struct omi_file *file, uint64_t size);
    omen_err (*file_allocate)(struct omi_file *file,
                              uint64_t size); /* keeps the size; best effort */
    omen_err (*file_size)(struct omi_file *file, uint64_t *size_out);
    void (*file_advise)(struct omi_file *file, enum omi_advice advice);
    bool (*file_direct)(const struct omi_file *file); /* is O_DIRECT really on? */
    /* All reads of the batch; returns when all are done, each with its own err and got. */
    void (*read_batch)(struct omi_env *env, struct omi_read *reads, size_t count);
    /* time, threads, random */
    uint64_t (*now_ns)(struct omi_env *env);  /* monotonic */
    uint64_t (*wall_us)(struct omi_env *env); /* since 1970, UTC */
    void (*sleep_us)(struct omi_env *env, uint64_t us);
    void (*random)(struct omi_env *env, void *bytes, size_t size);
    /* OMEN_UNSUPPORTED: no threads in this env; the engine then works inline. */
    omen_err (*thread_start)(struct omi_env *env, void (*run)(void *arg), void *arg,
                             void **thread_out);
    void (*thread_join)(struct omi_env *env, void *thread);
};

struct omi_env {
    const struct omi_env_ops *ops;
};
struct omi_dir { /* first member of an implementation's own */
    struct omi_env *env;
};
struct omi_file { /* likewise */
    struct omi_env *env;
};

/* The process's posix env; engine picks how batches are read (the environment variable
 * OMENDB_IO_ENGINE=uring|pread wins over AUTO). Static storage, never closed. */
struct omi_env *omi_env_posix(omen_io_engine engine);
/* Which engine serves batches, and why, for stats: "io_uring", "single-issuer, deferred task run".
 * Probes once. OMEN_UNSUPPORTED when URING was asked and cannot be had. */
omen_err omi_env_io_engine(struct omi_env *env, const char **engine_out, const char **why_out);

/* Short forms; the engine uses only these. */
static inline omen_err omi_dir_open(struct omi_env *env, const char *path, bool create,
                                    struct omi_dir **out)
{
    return env->ops->dir_open(env, path, create, out);
}
static inline void omi_dir_close(struct omi_dir *dir)
{
    if (dir != NULL)
        dir->env->ops->dir_close(dir);
}
static inline omen_err omi_dir_sync(struct omi_dir *dir)
{
    return dir->env->ops->dir_sync(dir);
}
static inline omen_err omi_dir_list(struct omi_dir *dir,
                                    omen_err (*each)(void *ctx, const struct omi_dir_entry *e),
                                    void *ctx)
{
    return dir->env->ops->dir_list(dir, each, ctx);
}
static inline omen_err omi_dir_rename(struct omi_dir *dir, const char *from, const char *to)
{
    return dir->env->ops->dir_rename(dir, from, to);
}
static inline omen_err omi_dir_unlink(struct omi_dir *dir, const char *name)
{
    return dir->env->ops->dir_unlink(dir, name);
}
static inline omen_err omi_dir_link(struct omi_dir *from_dir, const char *from,
                                    struct omi_dir *to_dir, const char *to)
{
    return from_dir->env->ops->dir_link(from_dir, from, to_dir, to);
}
static inline omen_err omi_dir_lock(struct omi_dir *dir, const char *name, struct omi_file **out)
{
    return dir->env->ops->dir_lock(dir, name, out);
}
static inline omen_err omi_dir_space(struct omi_dir *dir, uint64_t *free_bytes_out)
{
    return dir->env->ops->dir_space(dir, free_bytes_out);
}
static inline omen_err omi_file_open(struct omi_dir *dir, const char *name, enum omi_open_mode mode,
                                     unsigned flags, struct omi_file **out)
{
    return dir->env->ops->file_open(dir, name, mode, flags, out);
}
static inline omen_err omi_file_close(struct omi_file *file)
{
    return file != NULL ? file->env->ops->file_close(file) : OMEN_OK;
}
/* A read that fails is tried once more: some failures pass. */
static inline omen_err omi_file_pread(struct omi_file *file, void *buffer, size_t size,
                                      uint64_t off, size_t *got_out)
{
    omen_err err = file->env->ops->file_pread(file, buffer, size, off, got_out);
    return err != OMEN_IO ? err : file->env->ops->file_pread(file, buffer, size, off, got_out);
}
static inline omen_err omi_file_pwrite(struct omi_file *file, const void *bytes, size_t size,
                                       uint64_t off)
{
    return file->env->ops->file_pwrite(file, bytes, size, off);
}
static inline omen_err omi_file_sync(struct omi_file *file)
{
    return file->env->ops->file_sync(file);
}
static inline omen_err omi_file_size(struct omi_file *file, uint64_t *size_out)
{
    return file->env->ops->file_size(file, size_out);
}
static inline uint64_t omi_now_ns(struct omi_env *env)
{
    return env->ops->now_ns(env);
}

/* The whole of a small file; buffer is malloc'ed. OMEN_CORRUPT past limit bytes. */
omen_err omi_file_read_all(struct omi_dir *dir, const char *name, size_t limit, uint8_t **bytes_out,
                           size_t *size_out);
/* size bytes from the beginning of a file on a failing disk: what cannot be read is zeros, and is
 * counted. Any error but OMEN_IO is returned. */
omen_err omi_file_read_around(struct omi_file *file, uint8_t *bytes, size_t size,
                              uint64_t *unread_bytes_out);
/* Writes name.tmp, syncs it, renames it to name, syncs dir: old or new contents after a crash. */
omen_err omi_file_replace(struct omi_dir *dir, const char *name, const void *bytes, size_t size);

#endif

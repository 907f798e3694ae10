/*
 * env_posix.h - private to the posix env: its handles, and what its files share.
 */
#ifndef OMI_ENV_POSIX_H
#define OMI_ENV_POSIX_H

#include "io/env.h"

struct omi_posix_lock;

struct omi_posix_dir {
    struct omi_dir base;
    int fd;
    char path[]; /* as the caller gave it, for words */
};

struct omi_posix_file {
    struct omi_file base;
    int fd;
    bool direct;                 /* O_DIRECT is on */
    struct omi_posix_lock *lock; /* of dir_lock alone */
    char path[];                 /* directory/name, for words */
};

static inline struct omi_posix_dir *omi_posix_dir_of(struct omi_dir *dir)
{
    return (struct omi_posix_dir *)dir;
}

static inline struct omi_posix_file *omi_posix_file_of(struct omi_file *file)
{
    return (struct omi_posix_file *)file;
}

/* posix_fail.c: "path: doing: reason" under the code that errnum means; ENOENT records nothing. */
omen_err omi_posix_fail(int errnum, const char *path, const char *doing);

/* posix_dir.c */
omen_err omi_posix_dir_open(struct omi_env *env, const char *path, bool create,
                            struct omi_dir **out);
void omi_posix_dir_close(struct omi_dir *dir);
omen_err omi_posix_dir_sync(struct omi_dir *dir);
omen_err omi_posix_dir_list(struct omi_dir *dir,
                            omen_err (*each)(void *ctx, const struct omi_dir_entry *e), void *ctx);
omen_err omi_posix_dir_rename(struct omi_dir *dir, const char *from, const char *to);
omen_err omi_posix_dir_unlink(struct omi_dir *dir, const char *name);
omen_err omi_posix_dir_link(struct omi_dir *from_dir, const char *from, struct omi_dir *to_dir,
                            const char *to);
omen_err omi_posix_dir_remove(struct omi_env *env, const char *path);
omen_err omi_posix_dir_space(struct omi_dir *dir, uint64_t *free_bytes_out);

/* posix_lock.c */
omen_err omi_posix_dir_lock(struct omi_dir *dir, const char *name, struct omi_file **out);
/* Closes fd and gives the lock back in one step; the result is close's. lock is freed. */
int omi_posix_lock_release(struct omi_posix_lock *lock, int fd);

/* posix_file.c */
/* A handle without a descriptor yet; NULL when memory is short. */
struct omi_posix_file *omi_posix_file_make(struct omi_posix_dir *dir, const char *name);
omen_err omi_posix_file_open(struct omi_dir *dir, const char *name, enum omi_open_mode mode,
                             unsigned flags, struct omi_file **out);
omen_err omi_posix_file_close(struct omi_file *file);
omen_err omi_posix_file_pread(struct omi_file *file, void *buffer, size_t size, uint64_t off,
                              size_t *got_out);
omen_err omi_posix_file_pwrite(struct omi_file *file, const void *bytes, size_t size, uint64_t off);
omen_err omi_posix_file_sync(struct omi_file *file);
void omi_posix_file_write_back(struct omi_file *file, uint64_t off, uint64_t size);
omen_err omi_posix_file_truncate(struct omi_file *file, uint64_t size);
omen_err omi_posix_file_allocate(struct omi_file *file, uint64_t size);
omen_err omi_posix_file_size(struct omi_file *file, uint64_t *size_out);
void omi_posix_file_advise(struct omi_file *file, enum omi_advice advice);
bool omi_posix_file_direct(const struct omi_file *file);
/* Does [off, off+size) fit the system's offsets? */
bool omi_posix_range_fits(uint64_t off, uint64_t size);
/* What is left of one read of a batch, by pread on this thread; sets err and got. */
void omi_posix_read_rest(struct omi_read *read);

#endif

/*
 * posix_lock.c - one holder per lock file, between processes and within this one.
 * The kernel's open-file-description lock goes with the descriptor, so a killed process leaves
 * nothing behind. The table of this process's locks, keyed by device and inode, gives the better
 * words, and still holds where a file system's locks do nothing.
 */
#include "io/base/sync.h"
#include "io/env_path.h"
#include "io/env_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { REPLACED_TRIES = 16 };

struct omi_posix_lock {
    struct omi_posix_lock *next;
    dev_t dev;
    ino_t ino;
    pid_t pid; /* a fork's copy of the table holds nothing in the child's name */
};

static struct omi_mutex table_mu = {PTHREAD_MUTEX_INITIALIZER};
static struct omi_posix_lock *table; /* guarded by table_mu */

static bool table_has_locked(dev_t dev, ino_t ino) OMI_REQUIRES(table_mu)
{
    for (const struct omi_posix_lock *l = table; l != NULL; l = l->next)
        if (l->dev == dev && l->ino == ino && l->pid == getpid())
            return true;
    return false;
}

static omen_err busy(const struct omi_posix_file *f)
{
    char text[32] = "";
    ssize_t got = pread(f->fd, text, sizeof(text) - 1, 0);
    char *end = text;
    long pid = got > 0 ? strtol(text, &end, 10) : 0;
    if (pid <= 0 || end == text)
        return omi_fail(OMEN_BUSY, 0, "%s: locked by another process", f->path);
    return omi_fail(OMEN_BUSY, 0, "%s: locked by process %ld%s", f->path, pid,
                    pid == (long)getpid() ? ", this one" : "");
}

/* For people alone; a full disk must not keep a database from being opened. */
static void pid_write(int fd)
{
    char text[32];
    int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (size > 0 && pwrite(fd, text, (size_t)size, 0) == size)
        (void)!ftruncate(fd, size);
}

/* Files made here would be another user's than the directory's owner, who could not read them. */
static omen_err owner_check(const struct omi_posix_dir *d)
{
    struct stat st;
    if (fstat(d->fd, &st) != 0)
        return omi_posix_fail(errno, d->path, "reading its attributes");
    if (st.st_uid == geteuid() || geteuid() == 0)
        return OMEN_OK;
    return omi_fail(OMEN_INVALID, 0,
                    "%s belongs to user %u, this process runs as user %u; run it as that one, or "
                    "open read-only",
                    d->path, st.st_uid, geteuid());
}

/* Locks the open file; *replaced: the name stands for another file by now. */
static omen_err lock_take_locked(struct omi_posix_dir *d, const char *name,
                                 struct omi_posix_file *f, bool *replaced) OMI_REQUIRES(table_mu)
{
    struct stat st, named;
    *replaced = false;
    if (fstat(f->fd, &st) != 0)
        return omi_posix_fail(errno, f->path, "reading its attributes");
    if (!S_ISREG(st.st_mode))
        return omi_fail(OMEN_IO, 0, "%s: locking: it is not a regular file", f->path);
    if (table_has_locked(st.st_dev, st.st_ino))
        return omi_fail(OMEN_BUSY, 0, "%s: locked by process %ld, this one", f->path,
                        (long)getpid());
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int r;
    do
        r = fcntl(f->fd, F_OFD_SETLK, &range);
    while (r != 0 && errno == EINTR);
    if (r != 0 && (errno == EAGAIN || errno == EACCES))
        return busy(f);
    if (r != 0)
        return omi_posix_fail(errno, f->path, "locking (does this file system have locks?)");
    if (fstatat(d->fd, name, &named, AT_SYMLINK_NOFOLLOW) != 0 || named.st_dev != st.st_dev ||
        named.st_ino != st.st_ino) {
        *replaced = true;
        return OMEN_OK;
    }
    f->lock->dev = st.st_dev;
    f->lock->ino = st.st_ino;
    f->lock->pid = getpid();
    f->lock->next = table;
    table = f->lock;
    pid_write(f->fd);
    return OMEN_OK;
}

static omen_err lock_once(struct omi_posix_dir *d, const char *name, struct omi_posix_file *f,
                          bool *replaced)
{
    *replaced = false;
    do
        f->fd = openat(d->fd, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    while (f->fd < 0 && errno == EINTR);
    if (f->fd < 0)
        return omi_posix_fail(errno, f->path, "opening the lock file");
    omi_mutex_lock(&table_mu);
    omen_err err = lock_take_locked(d, name, f, replaced);
    omi_mutex_unlock(&table_mu);
    if (err != OMEN_OK || *replaced)
        close(f->fd);
    return err;
}

omen_err omi_posix_dir_lock(struct omi_dir *dir, const char *name, struct omi_file **out)
{
    *out = NULL;
    struct omi_posix_dir *d = omi_posix_dir_of(dir);
    omen_err err = omi_name_check(d->path, name);
    if (err == OMEN_OK)
        err = owner_check(d);
    if (err != OMEN_OK)
        return err;
    struct omi_posix_file *f = omi_posix_file_make(d, name);
    if (f == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s/%s", d->path, name);
    f->lock = calloc(1, sizeof(*f->lock));
    if (f->lock == NULL) {
        err = omi_fail(OMEN_NO_MEMORY, 0, "%s/%s", d->path, name);
        goto free_file;
    }
    bool replaced = true;
    for (int tries = 0; tries < REPLACED_TRIES && err == OMEN_OK && replaced; tries++)
        err = lock_once(d, name, f, &replaced);
    if (err == OMEN_OK && replaced)
        err = omi_fail(OMEN_BUSY, 0, "%s: somebody keeps replacing the lock file", f->path);
    if (err != OMEN_OK)
        goto free_lock;
    *out = &f->base;
    return OMEN_OK;

free_lock:
    free(f->lock);
free_file:
    free(f);
    return err;
}

int omi_posix_lock_release(struct omi_posix_lock *lock, int fd)
{
    omi_mutex_lock(&table_mu);
    struct omi_posix_lock **at = &table;
    while (*at != NULL && *at != lock)
        at = &(*at)->next;
    if (*at != NULL)
        *at = lock->next;
    int r = close(fd);
    int errnum = errno;
    omi_mutex_unlock(&table_mu);
    free(lock);
    errno = errnum;
    return r;
}

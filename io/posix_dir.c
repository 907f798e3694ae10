#include "io/env_path.h"
#include "io/env_posix.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static omen_err name_fail(int errnum, const struct omi_posix_dir *d, const char *name,
                          const char *doing)
{
    if (errnum == ENOENT)
        return OMEN_NOT_FOUND;
    char path[400];
    snprintf(path, sizeof(path), "%s/%s", d->path, name);
    return omi_posix_fail(errnum, path, doing);
}

static int open_directory(int at, const char *path)
{
    int fd;
    do
        fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static omen_err open_fail(int errnum, const char *path)
{
    struct stat st;
    if (errnum == ENOENT && lstat(path, &st) == 0 && S_ISLNK(st.st_mode))
        return omi_fail(OMEN_NOT_FOUND, 0,
                        "directory %s: it is a symbolic link to something that does not exist",
                        path);
    if (errnum == ENOENT)
        return omi_fail(OMEN_NOT_FOUND, 0, "directory %s does not exist", path);
    if (errnum == ENOTDIR && stat(path, &st) == 0)
        return omi_fail(OMEN_INVALID, 0, "%s is a file, not a directory", path);
    if (errnum == ENOTDIR)
        return omi_fail(OMEN_INVALID, 0, "directory %s: a part of this path is a file", path);
    return omi_posix_fail(errnum, path, "opening the directory");
}

/* A directory that was there already may be one whose maker died before the sync, so it is synced
 * again; but then a parent that we may not open, or that cannot change, is no reason to fail. */
static omen_err parent_sync(const char *path, bool made)
{
    size_t size = omi_path_parent_bytes(path, omi_path_trimmed_bytes(path));
    char *parent = size == 0 ? strdup(".") : strndup(path, size);
    if (parent == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "directory %s", path);
    omen_err err = OMEN_OK;
    int fd = open_directory(AT_FDCWD, parent);
    if (fd < 0) {
        if (made)
            err = omi_posix_fail(errno, parent, "opening the directory to sync a new name in it");
        goto free_parent;
    }
    if (fsync(fd) != 0 && (made || (errno != EROFS && errno != EINVAL)))
        err = omi_posix_fail(errno, parent, "syncing the directory");
    close(fd);
free_parent:
    free(parent);
    return err;
}

static omen_err directory_make(const char *path)
{
    bool made = mkdir(path, 0700) == 0;
    if (!made && errno == ENOENT)
        return omi_fail(OMEN_NOT_FOUND, 0, "directory %s: its parent directory does not exist",
                        path);
    /* EROFS and the like also come for a directory that exists: opening it will tell. */
    if (!made && errno != EEXIST) {
        int errnum = errno;
        struct stat st;
        if (stat(path, &st) == 0)
            return OMEN_OK;
        if (errnum == ENOTDIR)
            return omi_fail(OMEN_INVALID, 0, "directory %s: a part of this path is a file", path);
        return omi_posix_fail(errnum, path, "making the directory");
    }
    omen_err err = parent_sync(path, made);
    if (err != OMEN_OK && made)
        rmdir(path);
    return err;
}

omen_err omi_posix_dir_open(struct omi_env *env, const char *path, bool create,
                            struct omi_dir **out)
{
    *out = NULL;
    if (path[0] == '\0')
        return omi_fail(OMEN_INVALID, 0, "the path of the directory is empty");
    if (create) {
        omen_err err = directory_make(path);
        if (err != OMEN_OK)
            return err;
    }
    size_t size = omi_path_trimmed_bytes(path);
    struct omi_posix_dir *d = calloc(1, sizeof(*d) + size + 1);
    if (d == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "directory %s", path);
    memcpy(d->path, path, size);
    d->base.env = env;
    d->fd = open_directory(AT_FDCWD, path);
    if (d->fd < 0) {
        int errnum = errno;
        free(d);
        return open_fail(errnum, path);
    }
    *out = &d->base;
    return OMEN_OK;
}

void omi_posix_dir_close(struct omi_dir *dir)
{
    struct omi_posix_dir *d = omi_posix_dir_of(dir);
    close(d->fd);
    free(d);
}

omen_err omi_posix_dir_sync(struct omi_dir *dir)
{
    struct omi_posix_dir *d = omi_posix_dir_of(dir);
    if (fsync(d->fd) != 0)
        return omi_posix_fail(errno, d->path, "syncing the directory");
    return OMEN_OK;
}

static omen_err list_open(const struct omi_posix_dir *d, DIR **stream_out)
{
    int fd = open_directory(d->fd, "."); /* an offset of its own */
    if (fd < 0)
        return omi_posix_fail(errno, d->path, "listing the directory");
    *stream_out = fdopendir(fd);
    if (*stream_out == NULL) {
        int errnum = errno;
        close(fd);
        return omi_posix_fail(errnum, d->path, "listing the directory");
    }
    return OMEN_OK;
}

omen_err omi_posix_dir_list(struct omi_dir *dir,
                            omen_err (*each)(void *ctx, const struct omi_dir_entry *e), void *ctx)
{
    struct omi_posix_dir *d = omi_posix_dir_of(dir);
    DIR *stream = NULL;
    omen_err err = list_open(d, &stream);
    while (err == OMEN_OK) {
        errno = 0;
        const struct dirent *found = readdir(stream);
        if (found == NULL) {
            if (errno != 0)
                err = omi_posix_fail(errno, d->path, "listing the directory");
            break;
        }
        if (strcmp(found->d_name, ".") == 0 || strcmp(found->d_name, "..") == 0)
            continue;
        struct stat st;
        if (fstatat(d->fd, found->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
            if (errno != ENOENT) /* gone since */
                err = name_fail(errno, d, found->d_name, "reading its attributes");
            continue;
        }
        struct omi_dir_entry entry = {
            .name = found->d_name, .bytes = (uint64_t)st.st_size, .regular = S_ISREG(st.st_mode)};
        err = each(ctx, &entry);
    }
    if (stream != NULL)
        closedir(stream);
    return err;
}

omen_err omi_posix_dir_rename(struct omi_dir *dir, const char *from, const char *to)
{
    struct omi_posix_dir *d = omi_posix_dir_of(dir);
    omen_err err = omi_name_check(d->path, from);
    if (err == OMEN_OK)
        err = omi_name_check(d->path, to);
    if (err != OMEN_OK)
        return err;
    if (renameat(d->fd, from, d->fd, to) != 0)
        return name_fail(errno, d, from, "renaming");
    return OMEN_OK;
}

omen_err omi_posix_dir_unlink(struct omi_dir *dir, const char *name)
{
    struct omi_posix_dir *d = omi_posix_dir_of(dir);
    omen_err err = omi_name_check(d->path, name);
    if (err != OMEN_OK)
        return err;
    if (unlinkat(d->fd, name, 0) != 0)
        return name_fail(errno, d, name, "deleting");
    return OMEN_OK;
}

omen_err omi_posix_dir_link(struct omi_dir *from_dir, const char *from, struct omi_dir *to_dir,
                            const char *to)
{
    struct omi_posix_dir *f = omi_posix_dir_of(from_dir), *t = omi_posix_dir_of(to_dir);
    omen_err err = omi_name_check(f->path, from);
    if (err == OMEN_OK)
        err = omi_name_check(t->path, to);
    if (err != OMEN_OK)
        return err;
    if (linkat(f->fd, from, t->fd, to, 0) == 0)
        return OMEN_OK;
    switch (errno) {
    case EXDEV:
    case EPERM: /* also: the file system has no hard links */
    case EMLINK:
    case ENOSYS:
    case EOPNOTSUPP:
        return omi_fail(OMEN_UNSUPPORTED, errno, "linking %s/%s into %s", f->path, from, t->path);
    default:
        return name_fail(errno, t, to, "linking");
    }
}

omen_err omi_posix_dir_remove(struct omi_env *env, const char *path)
{
    (void)env;
    if (rmdir(path) == 0)
        return OMEN_OK;
    if (errno == ENOTEMPTY || errno == EEXIST)
        return omi_fail(OMEN_EXISTS, 0, "directory %s is not empty", path);
    return omi_posix_fail(errno, path, "removing the directory");
}

omen_err omi_posix_dir_space(struct omi_dir *dir, uint64_t *free_bytes_out)
{
    struct omi_posix_dir *d = omi_posix_dir_of(dir);
    struct statvfs fs;
    int r;
    do
        r = fstatvfs(d->fd, &fs);
    while (r != 0 && errno == EINTR);
    if (r != 0)
        return omi_posix_fail(errno, d->path, "asking for the free space");
    *free_bytes_out = (uint64_t)fs.f_bavail * fs.f_frsize;
    return OMEN_OK;
}

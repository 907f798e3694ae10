#include "io/env_path.h"
#include "io/env_posix.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    DIRECT_UNIT = 512,         /* the engine's reads of direct files are multiples of this */
    DIRECT_WRITE_UNIT = 4096,  /* and its writes of this */
    DIRECT_UNIT_UNKNOWN = 4096 /* what to expect of a file system that does not say */
};
#define CALL_BYTES_MAX ((size_t)1 << 30)

bool omi_posix_range_fits(uint64_t off, uint64_t size)
{
    return off <= (uint64_t)INT64_MAX && size <= (uint64_t)INT64_MAX - off;
}

struct omi_posix_file *omi_posix_file_make(struct omi_posix_dir *dir, const char *name)
{
    size_t dir_size = strlen(dir->path), name_size = strlen(name);
    struct omi_posix_file *f = calloc(1, sizeof(*f) + dir_size + name_size + 2);
    if (f == NULL)
        return NULL;
    f->base.env = dir->base.env;
    f->fd = -1;
    memcpy(f->path, dir->path, dir_size);
    f->path[dir_size] = '/';
    memcpy(f->path + dir_size + 1, name, name_size);
    return f;
}

/* The alignment that direct reads and writes of this file need; 0: none will do. */
static uint64_t direct_unit(int fd)
{
#ifdef STATX_DIOALIGN
    struct statx sx;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &sx) == 0 &&
        (sx.stx_mask & STATX_DIOALIGN) != 0) {
        if (sx.stx_dio_mem_align == 0 || sx.stx_dio_offset_align == 0)
            return 0;
        return sx.stx_dio_mem_align > sx.stx_dio_offset_align ? sx.stx_dio_mem_align
                                                              : sx.stx_dio_offset_align;
    }
#else
    (void)fd;
#endif
    return DIRECT_UNIT_UNKNOWN;
}

/* Opened with O_NONBLOCK, so that a pipe put in a file's place cannot hang us; regular files get
 * it taken away again, since io_uring looks at it. */
static omen_err file_settle(struct omi_posix_file *f, enum omi_open_mode mode, unsigned flags)
{
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return omi_posix_fail(errno, f->path, "reading its attributes");
    if (!S_ISREG(st.st_mode))
        return omi_fail(OMEN_IO, 0, "%s: opening: it is not a regular file", f->path);
    if ((flags & OMI_OPEN_DIRECT) != 0) {
        uint64_t unit = direct_unit(f->fd);
        uint64_t unit_max = mode == OMI_OPEN_READ ? DIRECT_UNIT : DIRECT_WRITE_UNIT;
        if (unit != 0 && unit <= unit_max && fcntl(f->fd, F_SETFL, O_DIRECT) == 0) {
            f->direct = true;
            return OMEN_OK;
        }
    }
    if (fcntl(f->fd, F_SETFL, 0) != 0)
        return omi_posix_fail(errno, f->path, "opening");
    return OMEN_OK;
}

omen_err omi_posix_file_open(struct omi_dir *dir, const char *name, enum omi_open_mode mode,
                             unsigned flags, struct omi_file **out)
{
    *out = NULL;
    struct omi_posix_dir *d = omi_posix_dir_of(dir);
    omen_err err = omi_name_check(d->path, name);
    if (err != OMEN_OK)
        return err;
    struct omi_posix_file *f = omi_posix_file_make(d, name);
    if (f == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s/%s", d->path, name);
    int how = O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
    how |= mode == OMI_OPEN_READ ? O_RDONLY : O_RDWR;
    if (mode == OMI_OPEN_CREATE)
        how |= O_CREAT | O_EXCL;
    do
        f->fd = openat(d->fd, name, how, 0600);
    while (f->fd < 0 && errno == EINTR);
    if (f->fd < 0) {
        err = omi_posix_fail(errno, f->path, mode == OMI_OPEN_CREATE ? "creating" : "opening");
        goto free_file;
    }
    err = file_settle(f, mode, flags);
    if (err != OMEN_OK)
        goto close_fd;
    *out = &f->base;
    return OMEN_OK;

close_fd:
    close(f->fd);
free_file:
    free(f);
    return err;
}

omen_err omi_posix_file_close(struct omi_file *file)
{
    struct omi_posix_file *f = omi_posix_file_of(file);
    int r = f->lock != NULL ? omi_posix_lock_release(f->lock, f->fd) : close(f->fd);
    omen_err err = OMEN_OK;
    /* After EINTR the descriptor is gone all the same, and close promises nothing about data. */
    if (r != 0 && errno != EINTR)
        err = omi_posix_fail(errno, f->path, "closing");
    free(f);
    return err;
}

omen_err omi_posix_file_pread(struct omi_file *file, void *buffer, size_t size, uint64_t off,
                              size_t *got_out)
{
    struct omi_posix_file *f = omi_posix_file_of(file);
    uint8_t *to = buffer;
    size_t got = 0;
    *got_out = 0;
    if (!omi_posix_range_fits(off, size))
        return omi_fail(OMEN_INVALID, 0, "%s: reading %zu bytes at %" PRIu64 ": past any file",
                        f->path, size, off);
    while (got < size) {
        size_t want = size - got < CALL_BYTES_MAX ? size - got : CALL_BYTES_MAX;
        ssize_t r = pread(f->fd, to + got, want, (off_t)(off + got));
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0) {
            char doing[96];
            snprintf(doing, sizeof(doing), "reading %zu bytes at %" PRIu64 "%s", size, off,
                     f->direct && errno == EINVAL ? " (direct: all must be aligned)" : "");
            *got_out = got;
            return omi_posix_fail(errno, f->path, doing);
        }
        if (r == 0)
            break;
        got += (size_t)r;
        /* Only the end of the file leaves a direct read unaligned; going on would be EINVAL. */
        if (f->direct && (size_t)r % DIRECT_UNIT != 0)
            break;
    }
    *got_out = got;
    return OMEN_OK;
}

void omi_posix_read_rest(struct omi_read *read)
{
    size_t more = 0;
    read->err = omi_posix_file_pread(read->file, (uint8_t *)read->buffer + read->got,
                                     read->size - read->got, read->off + read->got, &more);
    read->got += more;
}

omen_err omi_posix_file_pwrite(struct omi_file *file, const void *bytes, size_t size, uint64_t off)
{
    struct omi_posix_file *f = omi_posix_file_of(file);
    const uint8_t *from = bytes;
    size_t done = 0;
    if (!omi_posix_range_fits(off, size))
        return omi_fail(OMEN_INVALID, 0, "%s: writing %zu bytes at %" PRIu64 ": past any file",
                        f->path, size, off);
    while (done < size) {
        size_t want = size - done < CALL_BYTES_MAX ? size - done : CALL_BYTES_MAX;
        ssize_t r = pwrite(f->fd, from + done, want, (off_t)(off + done));
        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0) {
            int errnum = r == 0 ? EIO : errno;
            char doing[96];
            snprintf(doing, sizeof(doing), "writing %zu bytes at %" PRIu64 "%s", size, off,
                     f->direct && errnum == EINVAL ? " (direct: all must be aligned)" : "");
            return omi_posix_fail(errnum, f->path, doing);
        }
        done += (size_t)r;
    }
    return OMEN_OK;
}

/* Never again after a failure, EINTR included: the kernel may have marked the pages clean, and a
 * second call would then report a success that did not happen. */
omen_err omi_posix_file_sync(struct omi_file *file)
{
    struct omi_posix_file *f = omi_posix_file_of(file);
    if (fdatasync(f->fd) != 0)
        return omi_posix_fail(errno, f->path, "syncing");
    return OMEN_OK;
}

void omi_posix_file_write_back(struct omi_file *file, uint64_t off, uint64_t size)
{
    struct omi_posix_file *f = omi_posix_file_of(file);
    if (f->direct || !omi_posix_range_fits(off, size))
        return;
    (void)sync_file_range(f->fd, (off_t)off, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

omen_err omi_posix_file_truncate(struct omi_file *file, uint64_t size)
{
    struct omi_posix_file *f = omi_posix_file_of(file);
    if (!omi_posix_range_fits(0, size))
        return omi_fail(OMEN_INVALID, 0, "%s: a size of %" PRIu64 " bytes", f->path, size);
    int r;
    do
        r = ftruncate(f->fd, (off_t)size);
    while (r != 0 && errno == EINTR);
    if (r != 0)
        return omi_posix_fail(errno, f->path, "setting its size");
    return OMEN_OK;
}

omen_err omi_posix_file_allocate(struct omi_file *file, uint64_t size)
{
    struct omi_posix_file *f = omi_posix_file_of(file);
    if (size == 0)
        return OMEN_OK;
    if (!omi_posix_range_fits(0, size))
        return omi_fail(OMEN_INVALID, 0, "%s: a size of %" PRIu64 " bytes", f->path, size);
    int r;
    do
        r = fallocate(f->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)size);
    while (r != 0 && errno == EINTR);
    if (r == 0 || errno == EOPNOTSUPP || errno == ENOSYS)
        return OMEN_OK;
    return omi_posix_fail(errno, f->path, "reserving space");
}

omen_err omi_posix_file_size(struct omi_file *file, uint64_t *size_out)
{
    struct omi_posix_file *f = omi_posix_file_of(file);
    struct stat st;
    if (fstat(f->fd, &st) != 0)
        return omi_posix_fail(errno, f->path, "reading its attributes");
    *size_out = (uint64_t)st.st_size;
    return OMEN_OK;
}

void omi_posix_file_advise(struct omi_file *file, enum omi_advice advice)
{
    struct omi_posix_file *f = omi_posix_file_of(file);
    int how = advice == OMI_ADVISE_RANDOM       ? POSIX_FADV_RANDOM
              : advice == OMI_ADVISE_SEQUENTIAL ? POSIX_FADV_SEQUENTIAL
                                                : POSIX_FADV_DONTNEED;
    (void)posix_fadvise(f->fd, 0, 0, how);
}

bool omi_posix_file_direct(const struct omi_file *file)
{
    return ((const struct omi_posix_file *)file)->direct;
}

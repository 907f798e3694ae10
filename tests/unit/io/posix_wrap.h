/*
 * posix_wrap.h - private to the tests that stand between the posix env and the system: they are
 * linked with --wrap for the calls below, so each goes through here and may be interrupted, cut
 * short or refused. One program includes it once.
 */
#ifndef POSIX_WRAP_H
#define POSIX_WRAP_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum wrapped {
    WRAP_PREAD,
    WRAP_PWRITE,
    WRAP_FALLOCATE,
    WRAP_OPENAT,
    WRAP_FDATASYNC,
    WRAP_FSYNC,
    WRAPPED
};

struct wrap {
    _Atomic uint64_t calls; /* since the last wrap_clear */
    uint64_t at, count;     /* calls [at, at + count), from 1, fail; count 0: none */
    int errnum;             /* with this; 0: answered with 0, as if nothing could be moved */
    uint64_t interrupts;    /* one call in so many answers EINTR; 0: none */
    size_t piece;           /* what a call moves at most; 0: all */
    unsigned delay_us;      /* before a failure */
};

static struct wrap wraps[WRAPPED];
static _Atomic int wrap_failed_fd = -1; /* keeps the file whose fdatasync failed */
static _Atomic uint64_t wrap_again;     /* fdatasyncs of that file since */

static inline void wrap_clear(void)
{
    for (int i = 0; i < WRAPPED; i++) {
        atomic_store(&wraps[i].calls, 0);
        wraps[i].at = wraps[i].count = wraps[i].interrupts = 0;
        wraps[i].errnum = 0;
        wraps[i].piece = 0;
        wraps[i].delay_us = 0;
    }
    int fd = atomic_exchange(&wrap_failed_fd, -1);
    if (fd >= 0)
        close(fd);
    atomic_store(&wrap_again, 0);
}

static inline void wrap_fail(enum wrapped what, uint64_t at, uint64_t count, int errnum)
{
    wraps[what].at = at;
    wraps[what].count = count;
    wraps[what].errnum = errnum;
}

static inline uint64_t wrap_calls(enum wrapped what)
{
    return atomic_load(&wraps[what].calls);
}

/* Counts a call. False: *result is its answer. */
static inline bool wrap_passes(enum wrapped what, int *result)
{
    struct wrap *w = &wraps[what];
    uint64_t call = atomic_fetch_add(&w->calls, 1) + 1;
    *result = -1;
    if (w->interrupts != 0 && call % w->interrupts == 0) {
        errno = EINTR;
        return false;
    }
    if (call < w->at || call - w->at >= w->count)
        return true;
    if (w->delay_us != 0)
        usleep(w->delay_us);
    *result = w->errnum != 0 ? -1 : 0;
    errno = w->errnum;
    return false;
}

static inline size_t wrap_piece(enum wrapped what, size_t size)
{
    return wraps[what].piece != 0 && size > wraps[what].piece ? wraps[what].piece : size;
}

ssize_t __real_pread(int fd, void *buffer, size_t size, off_t off);
ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t off);
int __real_fallocate(int fd, int mode, off_t off, off_t size);
int __real_openat(int at, const char *path, int flags, ...);
int __real_fdatasync(int fd);
int __real_fsync(int fd);
ssize_t __wrap_pread(int fd, void *buffer, size_t size, off_t off);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t off);
int __wrap_fallocate(int fd, int mode, off_t off, off_t size);
int __wrap_openat(int at, const char *path, int flags, ...);
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);

ssize_t __wrap_pread(int fd, void *buffer, size_t size, off_t off)
{
    int result;
    if (!wrap_passes(WRAP_PREAD, &result))
        return result;
    return __real_pread(fd, buffer, wrap_piece(WRAP_PREAD, size), off);
}

ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t off)
{
    int result;
    if (!wrap_passes(WRAP_PWRITE, &result))
        return result;
    return __real_pwrite(fd, bytes, wrap_piece(WRAP_PWRITE, size), off);
}

int __wrap_fallocate(int fd, int mode, off_t off, off_t size)
{
    int result;
    return wrap_passes(WRAP_FALLOCATE, &result) ? __real_fallocate(fd, mode, off, size) : result;
}

int __wrap_openat(int at, const char *path, int flags, ...)
{
    int result;
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return wrap_passes(WRAP_OPENAT, &result) ? __real_openat(at, path, flags, mode) : result;
}

static inline bool wrap_same_file(int a, int b)
{
    struct stat x, y;
    return a >= 0 && fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* The first file that fails is kept open, so that no other can get its number. */
int __wrap_fdatasync(int fd)
{
    int result;
    if (wrap_same_file(atomic_load(&wrap_failed_fd), fd))
        atomic_fetch_add(&wrap_again, 1);
    if (wrap_passes(WRAP_FDATASYNC, &result))
        return __real_fdatasync(fd);
    int errnum = errno, none = -1, kept = dup(fd);
    if (!atomic_compare_exchange_strong(&wrap_failed_fd, &none, kept))
        close(kept);
    errno = errnum;
    return result;
}

int __wrap_fsync(int fd)
{
    int result;
    return wrap_passes(WRAP_FSYNC, &result) ? __real_fsync(fd) : result;
}

#endif

/* doctor_dir.c - a directory: its file system, room, O_DIRECT, and what syncing costs there. */
#include "tools/doctor.h"
#include "tools/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { SYNCS = 20, BLOCK = 4096 };

static const struct file_system {
    uint64_t magic;
    const char *name, *cost, *advice; /* NULL: nothing is wrong with it */
} file_systems[] = {
    {0xef53, "ext4", NULL, NULL},
    {0x58465342, "xfs", NULL, NULL},
    {0x9123683e, "btrfs", "copies what it writes: syncs are slower, and space is freed late",
     "chattr +C on the empty directory"},
    {0xf2f52010, "f2fs", NULL, NULL},
    {0x2fc12fc1, "zfs", "compresses and caches a second time",
     "primarycache=metadata, compression=off"},
    {0x01021994, "tmpfs", "in memory: nothing of it is there after a restart of the machine",
     "a directory on a disk, unless that is meant"},
    {0x794c7630, "overlayfs", "the layers of a container: slower, and gone with it",
     "a volume for the database"},
    {0x6969, "nfs", "over a network: syncs are slow, and a lock may be lost", "a local disk"},
    {0xfe534d42, "smb", "over a network: syncs are slow, and a lock may be lost", "a local disk"},
    {0xff534d42, "cifs", "over a network: syncs are slow, and a lock may be lost", "a local disk"},
    {0x65735546, "fuse", "what a sync promises there depends on the program behind it",
     "a file system of the kernel's"},
    {0x01021997, "9p", "shared with the host: what a sync promises depends on it",
     "a disk of the machine's own"},
    {0x00c36400, "ceph", "over a network: syncs are slow", "a local disk"},
};

static const struct file_system *file_system_of(uint64_t magic)
{
    for (size_t i = 0; i < sizeof(file_systems) / sizeof(file_systems[0]); i++)
        if (file_systems[i].magic == magic)
            return &file_systems[i];
    return NULL;
}

static void kind_and_room(struct omt_doctor *d, int dir)
{
    struct omt_finding *f = omt_finding_add(d, "file system");
    char room[OMT_HUMAN_LEN], all[OMT_HUMAN_LEN];
    struct statfs s;
    if (fstatfs(dir, &s) != 0) {
        omt_found(f, "not known: %s", strerror(errno));
        return;
    }
    uint64_t magic = (uint64_t)s.f_type & UINT32_MAX, unit = (uint64_t)s.f_bsize;
    uint64_t free_bytes = (uint64_t)s.f_bavail * unit, size = (uint64_t)s.f_blocks * unit;
    const struct file_system *known = file_system_of(magic);
    if (known != NULL)
        omt_found(f, "%s", known->name);
    else
        omt_found(f, "of type 0x%" PRIx64, magic);
    if (known == NULL)
        omt_ails(f, OMT_NOTE, "not one that the engine is tested on", "ext4 or xfs");
    else if (known->cost != NULL)
        omt_ails(f, OMT_NOTE, known->cost, known->advice);
    f = omt_finding_add(d, "disk space");
    omt_found(f, "%s free of %s", omt_human_bytes(room, free_bytes), omt_human_bytes(all, size));
    if (free_bytes < UINT64_C(64) << 20)
        omt_ails(f, OMT_BAD,
                 "writes will stop: a merge needs room for what it writes beside what it reads",
                 "free some, or another directory");
    else if (free_bytes < size / 20)
        omt_ails(f, OMT_NOTE, "a merge needs room for what it writes beside what it reads",
                 "keep a tenth of the data free");
}

/* A file that nobody else sees. -1 and errno. */
static int file_make(int dir, int flags)
{
    int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC | flags, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    char name[64];
    snprintf(name, sizeof(name), ".omendb-doctor-%ld", (long)getpid());
    fd = openat(dir, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    int errnum = errno;
    if (fd >= 0)
        (void)unlinkat(dir, name, 0);
    errno = errnum;
    return fd;
}

static void direct(struct omt_doctor *d, int dir)
{
    struct omt_finding *f = omt_finding_add(d, "O_DIRECT");
    void *block = aligned_alloc(BLOCK, BLOCK);
    int fd = block != NULL ? file_make(dir, O_DIRECT) : -1;
    bool can = false;
    unsigned align = 0;
    if (fd >= 0) {
        memset(block, 0, BLOCK);
        can = pwrite(fd, block, BLOCK, 0) == BLOCK;
        for (unsigned size = 512; can && align == 0 && size <= BLOCK; size *= 2)
            align = pread(fd, block, size, 0) == (ssize_t)size ? size : 0;
    }
    int errnum = errno;
    if (can && align != 0)
        omt_found(f, "works, in units of %u bytes", align);
    else
        omt_found(f, "not there: %s", strerror(errnum));
    if (!can || align > 512)
        omt_ails(
            f, OMT_NOTE,
            "tables are read through the system's page cache, which takes memory of its own",
            "ext4 or xfs on a disk with sectors of 512 bytes; or leave room for the page cache");
    free(block);
    if (fd >= 0)
        close(fd);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void sync_cost(struct omt_doctor *d, int dir)
{
    struct omt_finding *f = omt_finding_add(d, "sync");
    static const char block[BLOCK];
    double took[SYNCS];
    int fd = file_make(dir, 0);
    if (fd < 0) {
        omt_found(f, "no file can be made: %s", strerror(errno));
        omt_ails(f, OMT_BAD, "a database cannot be written here, only read",
                 "write permission for the directory");
        return;
    }
    for (int i = 0; i < SYNCS; i++) {
        double start = omt_now_s();
        if (pwrite(fd, block, BLOCK, (off_t)i * BLOCK) != BLOCK || fdatasync(fd) != 0) {
            omt_found(f, "fails: %s", strerror(errno));
            omt_ails(f, OMT_BAD, "no write can be made durable here", "another directory");
            close(fd);
            return;
        }
        took[i] = omt_now_s() - start;
    }
    close(fd);
    qsort(took, SYNCS, sizeof(took[0]), compare);
    double median_us = took[SYNCS / 2] * 1e6;
    omt_found(f,
              "%.0f us, the median of %d (from %.0f to %.0f): about %.0f synced writes a second, "
              "one writer",
              median_us, SYNCS, took[0] * 1e6, took[SYNCS - 1] * 1e6, 1e6 / median_us);
    if (median_us < 20)
        omt_ails(f, OMT_NOTE,
                 "faster than a disk can be: what is synced may not survive a power loss",
                 "none, where that is known; else see what lies below the file system");
    else if (median_us > 20000)
        omt_ails(f, OMT_NOTE, "a write with sync waits that long",
                 "several writers, whose writes share a sync; batches; sync at intervals");
}

bool omt_doctor_dir(struct omt_doctor *d, const char *path)
{
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        fprintf(stderr,
                "omendb: doctor: %s: %s; name a directory that is there, such as the one that "
                "the database is to be made in\n",
                path, strerror(errno));
        return false;
    }
    kind_and_room(d, dir);
    direct(d, dir);
    sync_cost(d, dir);
    close(dir);
    return true;
}

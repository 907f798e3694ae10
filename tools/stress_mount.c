#include "tools/stress_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The same number for both file systems; flag 2: the journal is not written out first. */
#define FS_SHUTDOWN _IOR('X', 125, uint32_t)
enum { NO_LOG_FLUSH = 2, UNMOUNT_TRIES = 2000, NAP_US = 1000 };
enum { EXT4_MIB = 96, XFS_MIB = 320 };

static const char *mkfs_path(const char *fs)
{
    static const char *const ext4[] = {"/sbin/mkfs.ext4", "/usr/sbin/mkfs.ext4", NULL};
    static const char *const xfs[] = {"/sbin/mkfs.xfs", "/usr/sbin/mkfs.xfs", NULL};
    const char *const *at = strcmp(fs, "xfs") == 0 ? xfs : ext4;
    while (*at != NULL && access(*at, X_OK) != 0)
        at++;
    return *at;
}

const char *stress_mount_missing(const char *fs)
{
    if (geteuid() != 0)
        return "needs root";
    if (mkfs_path(fs) == NULL)
        return strcmp(fs, "xfs") == 0 ? "no mkfs.xfs" : "no mkfs.ext4";
    return access("/dev/loop-control", R_OK | W_OK) == 0 ? NULL : "no loop devices";
}

static bool complain(const char *what, const char *name)
{
    fprintf(stderr, "omendb: stress: %s %s: %s\n", what, name, strerror(errno));
    return false;
}

static bool image_make(const struct stress_mount *m)
{
    off_t mib = strcmp(m->fs, "xfs") == 0 ? XFS_MIB : EXT4_MIB;
    int fd = open(m->image, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool made = fd >= 0 && ftruncate(fd, mib << 20) == 0;
    if (fd >= 0)
        close(fd);
    if (!made)
        return complain("making", m->image);
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (null >= 0)
            dup2(null, STDOUT_FILENO);
        execl(mkfs_path(m->fs), m->fs, "-q", m->image, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    if (child > 0)
        waitpid(child, &status, 0);
    return status == 0 ? true : complain("mkfs for", m->image);
}

static bool loop_attach(struct stress_mount *m)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int file = open(m->image, O_RDWR | O_CLOEXEC);
    for (int tries = 0; tries < 20 && control >= 0 && file >= 0 && m->loop < 0; tries++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        snprintf(m->device, sizeof(m->device), "/dev/loop%d", number);
        int loop = number < 0 ? -1 : open(m->device, O_RDWR | O_CLOEXEC);
        if (loop >= 0 && ioctl(loop, LOOP_SET_FD, file) == 0)
            m->loop = loop;
        else if (loop >= 0) /* somebody was faster */
            close(loop);
    }
    if (control >= 0)
        close(control);
    if (file >= 0)
        close(file);
    return m->loop >= 0 ? true : complain("attaching", m->image);
}

static bool mount_it(struct stress_mount *m)
{
    m->mounted = mount(m->device, m->at, m->fs, MS_NOATIME, NULL) == 0;
    return m->mounted ? true : complain("mounting", m->device);
}

/* What a killed process had open is let go of a little later. */
static bool unmount_it(struct stress_mount *m)
{
    for (int tries = 0; tries < UNMOUNT_TRIES && m->mounted; tries++) {
        m->mounted = umount(m->at) != 0;
        if (m->mounted && errno != EBUSY)
            break;
        if (m->mounted)
            usleep(NAP_US);
    }
    return !m->mounted ? true : complain("unmounting", m->at);
}

bool stress_mount_begin(struct stress_mount *m, const char *fs, const char *base)
{
    *m = (struct stress_mount){.fs = fs, .loop = -1};
    snprintf(m->image, sizeof(m->image), "%.490s/image", base);
    snprintf(m->at, sizeof(m->at), "%.490s/mount", base);
    if (mkdir(m->at, 0700) != 0)
        return complain("making", m->at);
    if (image_make(m) && loop_attach(m) && mount_it(m))
        return true;
    stress_mount_end(m, false);
    return false;
}

bool stress_mount_shutdown(const struct stress_mount *m)
{
    uint32_t flags = NO_LOG_FLUSH;
    int fd = open(m->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && ioctl(fd, FS_SHUTDOWN, &flags) == 0;
    if (!done)
        complain("shutting down", m->at);
    if (fd >= 0)
        close(fd);
    return done;
}

bool stress_mount_again(struct stress_mount *m)
{
    return unmount_it(m) && mount_it(m);
}

void stress_mount_end(struct stress_mount *m, bool keep_image)
{
    (void)unmount_it(m);
    if (m->loop >= 0) {
        ioctl(m->loop, LOOP_CLR_FD);
        close(m->loop);
        m->loop = -1;
    }
    if (!m->mounted)
        rmdir(m->at);
    if (!keep_image)
        unlink(m->image);
}

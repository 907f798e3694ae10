/*
 * stress_mount.h - a small file system of one's own, on a loop device over an image file, that can
 * be shut down as a power loss would: what is not on its disk is gone. Needs root.
 */
#ifndef OMT_STRESS_MOUNT_H
#define OMT_STRESS_MOUNT_H

#include <stdbool.h>

struct stress_mount {
    const char *fs; /* "ext4" or "xfs" */
    char image[512], at[512], device[64];
    int loop; /* -1: none */
    bool mounted;
};

/* Why it cannot be done here ("needs root", "no mkfs.xfs"); NULL: it can. */
const char *stress_mount_missing(const char *fs);
/* Makes image and mount point in base, and mounts. False, told on stderr, when that fails. */
bool stress_mount_begin(struct stress_mount *m, const char *fs, const char *base);
/* From now on nothing reaches the device any more. */
bool stress_mount_shutdown(const struct stress_mount *m);
/* Unmounts and mounts again: the journal is replayed. Everything that used it must have ended. */
bool stress_mount_again(struct stress_mount *m);
/* Unmounts, frees the device; removes the image, too, unless it is to be kept. */
void stress_mount_end(struct stress_mount *m, bool keep_image);

#endif

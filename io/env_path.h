/*
 * env_path.h - what both envs ask of file names and directory paths.
 */
#ifndef OMI_ENV_PATH_H
#define OMI_ENV_PATH_H

#include "io/base/fail.h"

#include <stdbool.h>
#include <string.h>

enum { OMI_NAME_BYTES_MAX = 255 };

/* A name inside one directory. Some names come from bytes on disk, so this is a check, not an
 * assertion. */
static inline bool omi_name_is_plain(const char *name)
{
    size_t size = strlen(name);
    return size != 0 && size <= OMI_NAME_BYTES_MAX && strchr(name, '/') == NULL &&
           strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static inline omen_err omi_name_check(const char *dir, const char *name)
{
    if (omi_name_is_plain(name))
        return OMEN_OK;
    return omi_fail(OMEN_INVALID, 0, "directory %s: \"%.64s\" is not a plain file name", dir, name);
}

/* Bytes of path without trailing slashes; "/" keeps its one. */
static inline size_t omi_path_trimmed_bytes(const char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    return size;
}

/* Bytes of the parent's part of path[0, trimmed): 0 means ".", and "/" is its own parent. */
static inline size_t omi_path_parent_bytes(const char *path, size_t trimmed)
{
    size_t size = trimmed;
    while (size > 0 && path[size - 1] != '/')
        size--;
    while (size > 1 && path[size - 1] == '/')
        size--;
    return size;
}

#endif

#include "io/env.h"
#include "io/env_path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WIDE_BYTES = 1 << 20, SECTOR_BYTES = 512 };

static omen_err contents_read(struct omi_file *file, const char *name, size_t limit,
                              uint8_t **bytes_out, size_t *size_out)
{
    uint64_t size = 0;
    omen_err err = omi_file_size(file, &size);
    if (err != OMEN_OK)
        return err;
    if (size > limit)
        return omi_fail(OMEN_CORRUPT, 0, "%s: %" PRIu64 " bytes, and it can have at most %zu", name,
                        size, limit);
    uint8_t *bytes = malloc(size != 0 ? (size_t)size : 1);
    if (bytes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%s: %" PRIu64 " bytes", name, size);
    err = omi_file_pread(file, bytes, (size_t)size, 0, size_out);
    if (err != OMEN_OK) {
        free(bytes);
        return err;
    }
    *bytes_out = bytes;
    return OMEN_OK;
}

omen_err omi_file_read_all(struct omi_dir *dir, const char *name, size_t limit, uint8_t **bytes_out,
                           size_t *size_out)
{
    *bytes_out = NULL;
    *size_out = 0;
    struct omi_file *file = NULL;
    omen_err err = omi_file_open(dir, name, OMI_OPEN_READ, 0, &file);
    if (err != OMEN_OK)
        return err;
    err = contents_read(file, name, limit, bytes_out, size_out);
    (void)omi_file_close(file); /* nothing was written: its error says nothing */
    return err;
}

/* [off, off + size); zeros where the file ends or the device fails. */
static omen_err piece_read(struct omi_file *file, uint8_t *bytes, size_t size, uint64_t off,
                           bool *failed_out)
{
    size_t got = 0;
    omen_err err = omi_file_pread(file, bytes, size, off, &got);
    *failed_out = err == OMEN_IO;
    if (err != OMEN_OK)
        got = 0;
    memset(bytes + got, 0, size - got);
    return *failed_out ? OMEN_OK : err;
}

omen_err omi_file_read_around(struct omi_file *file, uint8_t *bytes, size_t size,
                              uint64_t *unread_bytes_out)
{
    *unread_bytes_out = 0;
    omen_err err = OMEN_OK;
    for (size_t at = 0; at < size && err == OMEN_OK;) {
        size_t wide = size - at < WIDE_BYTES ? size - at : WIDE_BYTES, end = at + wide;
        bool failed;
        err = piece_read(file, bytes + at, wide, at, &failed);
        /* A failure costs one sector, not all that was asked for. */
        for (; failed && at < end && err == OMEN_OK;) {
            size_t n = end - at < SECTOR_BYTES ? end - at : SECTOR_BYTES;
            bool lost;
            err = piece_read(file, bytes + at, n, at, &lost);
            *unread_bytes_out += lost ? n : 0;
            at += n;
        }
        at = end;
    }
    return err;
}

static omen_err contents_write(struct omi_dir *dir, const char *name, const void *bytes,
                               size_t size)
{
    struct omi_file *file = NULL;
    omen_err err = omi_file_open(dir, name, OMI_OPEN_CREATE, 0, &file);
    if (err != OMEN_OK)
        return err;
    err = omi_file_pwrite(file, bytes, size, 0);
    if (err == OMEN_OK)
        err = omi_file_sync(file);
    omen_err close_err = omi_file_close(file);
    return err != OMEN_OK ? err : close_err;
}

omen_err omi_file_replace(struct omi_dir *dir, const char *name, const void *bytes, size_t size)
{
    char temporary[OMI_NAME_BYTES_MAX + 1];
    int length = snprintf(temporary, sizeof(temporary), "%s.tmp", name);
    if (length < 0 || (size_t)length >= sizeof(temporary))
        return omi_fail(OMEN_INVALID, 0, "%.64s…: the name is too long", name);
    omen_err err = omi_dir_unlink(dir, temporary); /* left by a crash */
    if (err != OMEN_OK && err != OMEN_NOT_FOUND)
        return err;
    err = contents_write(dir, temporary, bytes, size);
    if (err == OMEN_OK)
        err = omi_dir_rename(dir, temporary, name);
    if (err == OMEN_OK)
        return omi_dir_sync(dir);
    char words[512]; /* the clean-up may fail too, and must not hide why it was needed */
    snprintf(words, sizeof(words), "%s", omen_last_error());
    (void)omi_dir_unlink(dir, temporary);
    return omi_fail_again(err, words);
}

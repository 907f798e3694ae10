#include "io/env.h"
#include "io/env_path.h"

#include <stdio.h>
#include <stdlib.h>

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

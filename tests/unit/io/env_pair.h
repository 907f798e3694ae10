/*
 * env_pair.h - private to these tests: a directory in each env, so that one test body can say what
 * both do alike, and short forms that fail the test.
 */
#ifndef ENV_PAIR_H
#define ENV_PAIR_H

#include "io/env.h"
#include "io/env_sim.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define must(call)                                                                                 \
    do {                                                                                           \
        omen_err must_err = (call);                                                                \
        cr_assert_eq(must_err, OMEN_OK, "%s: %s", omen_err_name(must_err), omen_last_error());     \
    } while (0)

static inline int tmpdir_unlink(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

/* A new directory, in base or in $TMPDIR or /tmp. */
static inline void tmpdir_make(char path[static 256], const char *base)
{
    if (base == NULL)
        base = getenv("TMPDIR");
    snprintf(path, 256, "%s/omendb-io-XXXXXX", base != NULL ? base : "/tmp");
    cr_assert_not_null(mkdtemp(path));
}

static inline void tmpdir_remove(const char *path)
{
    nftw(path, tmpdir_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* Runs body on a fresh directory of the posix env, then of the simulated one. */
static inline void in_both(void (*body)(struct omi_env *env, const char *path))
{
    char path[256];
    tmpdir_make(path, NULL);
    body(omi_env_posix(OMEN_IO_ENGINE_AUTO), path);
    tmpdir_remove(path);

    struct omi_env *sim = omi_sim_create(1);
    cr_assert_not_null(sim);
    struct omi_dir *dir = NULL;
    must(omi_dir_open(sim, "/db", true, &dir));
    omi_dir_close(dir);
    body(sim, "/db");
    omi_sim_destroy(sim);
}

static inline void file_put(struct omi_dir *dir, const char *name, const void *bytes, size_t size,
                            bool sync)
{
    struct omi_file *file = NULL;
    must(omi_file_open(dir, name, OMI_OPEN_CREATE, 0, &file));
    must(omi_file_pwrite(file, bytes, size, 0));
    if (sync)
        must(omi_file_sync(file));
    must(omi_file_close(file));
}

/* The contents of a short file as a string, "-" when it is not there. */
static inline const char *file_text(struct omi_dir *dir, const char *name)
{
    static char text[8192];
    uint8_t *bytes = NULL;
    size_t size = 0;
    omen_err err = omi_file_read_all(dir, name, sizeof(text) - 1, &bytes, &size);
    if (err == OMEN_NOT_FOUND)
        return "-";
    must(err);
    memcpy(text, bytes, size);
    text[size] = '\0';
    free(bytes);
    return text;
}

static inline bool file_exists(struct omi_dir *dir, const char *name)
{
    struct omi_file *file = NULL;
    omen_err err = omi_file_open(dir, name, OMI_OPEN_READ, 0, &file);
    if (err == OMEN_NOT_FOUND)
        return false;
    must(err);
    must(omi_file_close(file));
    return true;
}

#endif

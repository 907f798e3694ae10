#include "tests/fuzz/fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fuzz_fail(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s does not hold (last error: %s)\n", file, line, what,
            omen_last_error());
    abort();
}

/* ---- a directory in memory ------------------------------------------------------------------- */

const char fuzz_path[] = "/d";

struct omi_env *fuzz_env_create(struct omi_dir **dir_out)
{
    struct omi_env *env = omi_sim_create(1);
    FUZZ_CHECK(env != NULL);
    FUZZ_OK(omi_dir_open(env, fuzz_path, true, dir_out));
    return env;
}

void fuzz_env_destroy(struct omi_env *env, struct omi_dir *dir)
{
    omi_dir_close(dir);
    omi_sim_destroy(env);
}

void fuzz_file_write(struct omi_dir *dir, const char *name, const void *bytes, size_t size)
{
    struct omi_file *file = NULL;
    omi_ignore(omi_dir_unlink(dir, name)); /* there or not */
    FUZZ_OK(omi_file_open(dir, name, OMI_OPEN_CREATE, 0, &file));
    if (size != 0)
        FUZZ_OK(omi_file_pwrite(file, bytes, size, 0));
    FUZZ_OK(omi_file_close(file));
}

/* ---- mutating -------------------------------------------------------------------------------- */

uint32_t fuzz_below(struct fuzz_dice *dice, uint32_t n)
{
    uint64_t z = (dice->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t)((z ^ z >> 31) % n);
}

void fuzz_mutate_fixed(uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size);
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, bytes, size);
    size_t now = LLVMFuzzerMutate(copy, size, size);
    memcpy(bytes, copy, now);
    free(copy);
}

size_t fuzz_mutate_part(uint8_t *data, size_t size, size_t max_size, size_t from, size_t part,
                        size_t part_max, size_t *part_out)
{
    size_t rest = size - from - part;
    size_t room = max_size > from + rest ? max_size - from - rest : 0;
    size_t limit = part_max < room ? part_max : room;
    *part_out = part;
    if (limit == 0 || part > limit)
        return size;
    uint8_t *copy = malloc(limit);
    FUZZ_CHECK(copy != NULL);
    if (part != 0)
        memcpy(copy, data + from, part);
    size_t now = LLVMFuzzerMutate(copy, part, limit);
    memmove(data + from + now, data + from + part, rest);
    memcpy(data + from, copy, now);
    free(copy);
    *part_out = now;
    return from + now + rest;
}

/*
 * fuzz.h - what the fuzz targets share: the fuzzer's calls, checks that cannot be compiled out, a
 * directory in memory, the choice of what a mutator does.
 *
 * A target is one file, fuzz_NAME.c: LLVMFuzzerTestOneInput, and LLVMFuzzerCustomMutator where bytes
 * are checksummed. Built by clang it is a fuzzer; built by any compiler and linked with replay.c it
 * goes through a corpus. Nothing a target does depends on anything but its input.
 */
#ifndef OMI_FUZZ_H
#define OMI_FUZZ_H

#include "io/env_sim.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
/* The fuzzer's own mutations; replay.c has simple ones. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

/* Says what does not hold and dies, so that the input is kept. */
_Noreturn void fuzz_fail(const char *file, int line, const char *what);
#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fuzz_fail(__FILE__, __LINE__, #condition);                                             \
    } while (0)
#define FUZZ_OK(call) FUZZ_CHECK((call) == OMEN_OK)

/* A simulated file system with the directory that fuzz_path names. */
extern const char fuzz_path[];
struct omi_env *fuzz_env_create(struct omi_dir **dir_out);
void fuzz_env_destroy(struct omi_env *env, struct omi_dir *dir);
/* Replaces a file. */
void fuzz_file_write(struct omi_dir *dir, const char *name, const void *bytes, size_t size);

/* Numbers out of a mutator's seed. */
struct fuzz_dice {
    uint64_t state;
};
uint32_t fuzz_below(struct fuzz_dice *dice, uint32_t n); /* [0, n), n >= 1 */

/* Mutates size bytes where they are. */
void fuzz_mutate_fixed(uint8_t *bytes, size_t size);
/* Mutates data[from, from + part) of size bytes and moves what is behind it. Returns the new size,
 * at most max_size; part_out is the part's new size, at most part_max. */
size_t fuzz_mutate_part(uint8_t *data, size_t size, size_t max_size, size_t from, size_t part,
                        size_t part_max, size_t *part_out);

#endif

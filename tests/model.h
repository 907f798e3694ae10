/*
 * model.h - what the stress programs share: a seeded generator, key families, values that can be made
 * again from a number, and the closing lines with the replay command.
 */
#ifndef OMI_TEST_MODEL_H
#define OMI_TEST_MODEL_H

#include "lsm/omendb.h"

#include <stdbool.h>
#include <stdint.h>

struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *r);
uint64_t rng_below(struct rng *r, uint64_t n); /* [0, n), n >= 1 */
bool rng_one_in(struct rng *r, uint64_t n);

/* Families of keys, each hard on another part. */
enum key_family { KEYS_BE64, KEYS_USER, KEYS_NESTED, KEYS_LONG_PREFIX, KEYS_BINARY, KEY_FAMILIES };
const char *key_family_name(enum key_family family);
enum { MODEL_KEY_BYTES_MAX = 400 };
/* Key number i of a family; distinct for distinct i. */
size_t key_make(enum key_family family, uint64_t i, uint8_t out[static MODEL_KEY_BYTES_MAX]);

/* The bytes of value number id: size bytes, self-describing. */
void value_make(uint64_t id, size_t size, uint8_t *out);
/* A size for value id: mostly small, at times up to max. */
size_t value_size(uint64_t id, size_t max);

/* Prints where and why, the seed and the command that replays it; exits with 1. */
_Noreturn void fail_now(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* What fail_now tells: "build/release/tests/oracle --seed 7 ...". */
void replay_set(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        omen_err check_err_ = (call);                                                              \
        if (check_err_ != OMEN_OK)                                                                 \
            fail_now("%s:%d: %s: %s: %s", __FILE__, __LINE__, #call, omen_err_name(check_err_),    \
                     omen_last_error());                                                           \
    } while (0)

#endif

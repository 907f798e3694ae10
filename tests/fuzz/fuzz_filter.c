/*
 * fuzz_filter.c - a filter section: opened and asked. The input: a byte, then the section, or, when
 * the byte's lowest bit is set, keys of eight bytes to build a filter of, which may deny none.
 */
#include "learned/filter.h"

#include "io/base/coding.h"
#include "io/base/hash.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/mend.h"

#include <stdlib.h>

enum { ASKED = 256, KEYS_MAX = 2048 };

static void ask_section(const uint8_t *data, size_t size)
{
    struct omi_filter f;
    uint8_t *section = aligned_alloc(64, size / 64 * 64 + 64);
    uint32_t held = 0;
    FUZZ_CHECK(section != NULL);
    memcpy(section, data, size);
    if (omi_filter_open(section, size, size, &f) == OMEN_OK) {
        for (uint64_t i = 0; i < ASKED; i++)
            held += omi_filter_may_hold(&f, section, omi_slice(&i, sizeof(i)),
                                        omi_key_hash(&i, sizeof(i)));
        held += omi_filter_may_hold(&f, section, omi_slice(NULL, 0), 0) +
                omi_filter_may_hold(&f, section, omi_slice(NULL, 0), UINT64_MAX);
    } else {
        FUZZ_CHECK(f.kind == OMI_FILTER_NONE &&
                   omi_filter_may_hold(&f, section, omi_slice(NULL, 0), 0)); /* none: maybe */
    }
    FUZZ_CHECK(held <= ASKED + 2);
    free(section);
}

static void build(const uint8_t *data, size_t size, uint32_t bits)
{
    uint32_t count = size / 8 < KEYS_MAX ? (uint32_t)(size / 8) : KEYS_MAX;
    static struct omi_index_key keys[KEYS_MAX];
    static uint64_t hashes[KEYS_MAX];
    struct omi_filter_input input = {keys, hashes, count};
    struct omi_filter_params params = {.kind = OMI_FILTER_PLAIN, .bits = bits};
    struct omi_buf out = {0};
    struct omi_filter f;
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = (struct omi_index_key){data + i * (size_t)8, 1, 8, 20};
        hashes[i] = omi_key_hash(data + i * (size_t)8, 8);
    }
    FUZZ_OK(omi_filter_build(&input, &params, &out, NULL));
    FUZZ_OK(omi_filter_open(out.data, out.size, out.size, &f));
    for (uint32_t i = 0; i < count; i++)
        FUZZ_CHECK(omi_filter_may_hold(&f, out.data, omi_slice(keys[i].key, 8), hashes[i]));
    omi_buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if ((data[0] & 1) != 0)
        build(data + 1, size - 1, 1 + (data[0] >> 1) % 64);
    else
        ask_section(data + 1, size - 1);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size == 0 || seed % 8 == 0 || (data[0] & 1) != 0)
        return size;
    size = 1 + (size - 1) / 64 * 64;
    mend_filter(data + 1, size - 1);
    return size;
}

/*
 * fuzz_options.c - options from text. The input: a byte, then text; the byte says whether it is what
 * a user gives or what a manifest stored. What was accepted must survive being stored.
 */
#include "lsm/options.h"

#include "io/base/slice.h"
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

/* Storing, reading and storing again gives the same text. */
static void store_again(const omen_options *o)
{
    omen_options again = {.struct_bytes = sizeof(again)};
    struct omi_buf first = {0}, second = {0};
    FUZZ_OK(omi_options_store(o, &first));
    FUZZ_OK(omi_options_merge_stored(&again, omi_slice(first.data, first.size)));
    FUZZ_OK(omi_options_store(&again, &second));
    FUZZ_CHECK(omi_bytes_equal(first.data, first.size, second.data, second.size));
    omi_buf_fini(&first);
    omi_buf_fini(&second);
}

static void resolve(const omen_options *o)
{
    omen_options copy;
    omen_split split = {.struct_bytes = sizeof(split)};
    FUZZ_OK(omi_options_copy(o, &copy)); /* every field is in its range */
    FUZZ_OK(omen_options_split(o, &split));
    FUZZ_CHECK(split.memory_bytes >= 4u << 20 && split.memtable_bytes >= 64u << 10);
    FUZZ_CHECK(split.block_bytes >= 1024 && split.block_bytes <= 32u << 10);
    FUZZ_CHECK(split.size_ratio >= 2 && split.runs_upper >= 1 && split.runs_last >= 1);
    FUZZ_CHECK(split.cache_bytes != 0 && split.background_jobs != 0);
}

static void set_live(const char *text)
{
    omen_options o = {.struct_bytes = sizeof(o)};
    const char *equals = strchr(text, '=');
    if (equals == NULL)
        return;
    if (omi_options_set(&o, text, (size_t)(equals - text), equals + 1, strlen(equals + 1), true) ==
        OMEN_OK)
        resolve(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    omen_options o = {.struct_bytes = sizeof(o)};
    char *text = malloc(size);
    FUZZ_CHECK(text != NULL);
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    omen_err err = (data[0] & 1) != 0 ? omi_options_merge_stored(&o, omi_slice(text, size - 1))
                                      : omen_options_from_string(text, &o);
    if (err == OMEN_OK) {
        resolve(&o);
        store_again(&o);
    } else {
        FUZZ_CHECK(err == OMEN_INVALID || err == OMEN_CORRUPT);
    }
    set_live(text);
    free(text);
    return 0;
}

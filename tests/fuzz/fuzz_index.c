/*
 * fuzz_index.c - an index section: opened, asked for keys made of its own bytes, all blocks located.
 * Every answer must be a block of it, every block must lie inside the data and behind the one before; and
 * the same index with its lines apart must answer the same.
 * The input: flags u8 (1: under a comparator), data_end u32 in units of 64 bytes, the section.
 */
#include "learned/block_index.h"

#include "io/base/coding.h"
#include "tests/fuzz/made_table.h"
#include "tests/fuzz/mend.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 5, KEYS_MAX = 256, COMPARES_MAX = 200 };

/* The same section in two pieces. */
static struct {
    struct omi_index *index;
    uint8_t *head, *lines;
} apart;

static void apart_make(const struct omi_index *x, const uint8_t *section, size_t size)
{
    size_t off, line_bytes;
    omi_index_lines(x, &off, &line_bytes);
    apart.head = malloc(size - line_bytes);
    apart.lines = aligned_alloc(64, line_bytes);
    FUZZ_CHECK(apart.head != NULL && apart.lines != NULL);
    memcpy(apart.head, section, off);
    memcpy(apart.head + off, section + off + line_bytes, size - off - line_bytes);
    memcpy(apart.lines, section + off, line_bytes);
    FUZZ_OK(omi_index_split(x, apart.head, &apart.index));
}

static void apart_free(void)
{
    omi_index_close(apart.index);
    free(apart.head);
    free(apart.lines);
}

static void ask(const struct omi_index *x, const uint8_t *key, size_t size, uint64_t trailer)
{
    struct omi_index_trace trace = {0};
    struct omi_index_way way;
    uint32_t block = omi_index_find(x, omi_slice(key, size), trailer, &trace);
    FUZZ_CHECK(block < omi_index_blocks(x));
    FUZZ_CHECK(trace.keyed_compares <= COMPARES_MAX); /* a restart is found by halving */
    omi_index_way_to_key(apart.index, omi_slice(key, size), &way);
    FUZZ_CHECK(omi_index_find_on(apart.index, &way,
                                 apart.lines + (size_t)way.group * OMI_INDEX_LINE_BYTES,
                                 omi_slice(key, size), trailer, NULL) == block);
}

static void ask_all(const struct omi_index *x, const uint8_t *bytes, size_t size)
{
    uint8_t key[96], high[40], low[40] = {0};
    uint32_t prefix = omi_get_u32(bytes + 20);
    memset(high, 0xff, sizeof(high));
    ask(x, NULL, 0, UINT64_MAX);
    ask(x, high, sizeof(high), 0);
    ask(x, low, sizeof(low), 0);
    for (size_t i = 0; i < KEYS_MAX; i++) {
        size_t at = i * 7919 % size, n = size - at < i % 33 ? size - at : i % 33;
        ask(x, bytes + at, n, i << 8);
        /* Behind the section's prefix, or a key would never get beyond it. */
        if (prefix > sizeof(key) - 33 || prefix > size)
            continue;
        uint64_t parts = 64 + (uint64_t)omi_get_u32(bytes + 12) * 16 +
                         (uint64_t)omi_get_u32(bytes + 16) * 72 + omi_get_u32(bytes + 32);
        memcpy(key, bytes + parts, prefix);
        memcpy(key + prefix, bytes + at, n);
        ask(x, key, prefix + n, i << 8);
        memset(key + prefix, (int)i, 33);
        ask(x, key, prefix + i % 9, UINT64_MAX);
    }
}

static void locate_all(const struct omi_index *x, uint64_t data_end)
{
    uint64_t end = 0;
    for (uint32_t b = 0; b < omi_index_blocks(x); b++) {
        uint64_t off;
        uint32_t size;
        omi_index_locate(x, b, &off, &size);
        struct omi_index_way way;
        uint64_t off_apart;
        uint32_t size_apart;
        omi_index_way_to_block(apart.index, b, &way);
        omi_index_locate_on(apart.index, &way,
                            apart.lines + (size_t)way.group * OMI_INDEX_LINE_BYTES, b, &off_apart,
                            &size_apart);
        FUZZ_CHECK(off_apart == off && size_apart == size);
        FUZZ_CHECK(size != 0 && off + size <= data_end && (b == 0 || off == end));
        end = off + size;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEAD + 64)
        return 0;
    struct omi_order order = {(data[0] & 1) != 0 ? &sample_backwards : NULL};
    uint64_t data_end = (uint64_t)omi_get_u32(data + 1) * 64;
    size -= HEAD;
    uint8_t *section = aligned_alloc(64, (size + 63) / 64 * 64);
    FUZZ_CHECK(section != NULL);
    memcpy(section, data + HEAD, size);
    struct omi_index *x;
    if (omi_index_open(section, size, &order, data_end, &x) == OMEN_OK) {
        apart_make(x, section, size);
        ask_all(x, section, size);
        locate_all(x, data_end);
        apart_free();
        FUZZ_CHECK(omi_index_heap_bytes(x) <= 4096 + size);
        omi_index_close(x);
    }
    free(section);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8 != 0 && size > HEAD)
        mend_index(data + HEAD, size - HEAD);
    return size;
}

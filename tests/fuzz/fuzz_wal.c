/*
 * fuzz_wal.c - log recovery over up to three segments. The input: the floor, the flushed sequence
 * number, then segments as in image.h. What is replayed must come in order, and once recovery has
 * said yes, doing it again must find the same.
 */
#include "lsm/wal.h"
#include "tests/fuzz/image.h"

enum { HEAD = 2, SEGMENTS_MAX = 3 };

struct seen {
    uint64_t last_seq, entries, bytes;
};

static omen_err see(void *ctx, const struct omi_entry *e)
{
    struct seen *s = ctx;
    FUZZ_CHECK(omi_trailer_seq(e->trailer) > s->last_seq);
    FUZZ_CHECK(e->key_size <= OMEN_KEY_BYTES_MAX && e->value_size <= OMEN_VALUE_BYTES_MAX);
    s->last_seq = omi_trailer_seq(e->trailer);
    s->entries++;
    for (uint32_t i = 0; i < e->key_size; i++)
        s->bytes += e->key[i];
    for (uint32_t i = 0; i < e->value_size; i++)
        s->bytes += e->value[i];
    return OMEN_OK;
}

static omen_err recover(struct omi_dir *dir, const uint8_t *head, struct omi_wal_recovery *r,
                        struct seen *seen)
{
    *seen = (struct seen){.last_seq = head[1]};
    *r = (struct omi_wal_recovery){.floor = head[0] & 15, .flushed_seq = head[1]};
    return omi_wal_recover(dir, r, see, seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image_file files[IMAGE_FILES_MAX];
    struct omi_wal_recovery first, second;
    struct seen saw_first, saw_second;
    struct omi_dir *dir;
    if (size < HEAD)
        return 0;
    struct omi_env *env = fuzz_env_create(&dir);
    /* The bytes are only read: writing them takes no const. */
    uint32_t count = image_cut((uint8_t *)(uintptr_t)data + HEAD, size - HEAD, files);
    for (uint32_t i = 0; i < count && i < SEGMENTS_MAX; i++) {
        files[i].kind = IMAGE_LOG;
        image_write(dir, &files[i]);
    }
    if (recover(dir, data, &first, &saw_first) == OMEN_OK) {
        FUZZ_CHECK(first.operations == saw_first.entries);
        FUZZ_CHECK(first.last_seq >= saw_first.last_seq);
        FUZZ_OK(recover(dir, data, &second, &saw_second));
        FUZZ_CHECK(memcmp(&first, &second, sizeof(first)) == 0);
        FUZZ_CHECK(saw_first.bytes == saw_second.bytes);
        FUZZ_OK(omi_wal_remove_below(dir, first.next_segment, UINT64_MAX));
    }
    fuzz_env_destroy(env, dir);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    if (size < HEAD || max_size <= HEAD || seed % 16 == 0)
        return LLVMFuzzerMutate(data, size, max_size);
    return HEAD + image_mutate(data + HEAD, size - HEAD, max_size - HEAD, seed);
}

/* index_digest.c - a hash of the index bytes of each generator's keys, to compare compilers by. The
 * keys themselves are hashed too: a difference there is the generator's, not the index's. */
#include "io/base/hash.h"
#include "learned/block_index.h"
#include "tests/model.h"
#include "tools/keyset.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 30000 };

/* Generators without floating point, so that all compilers make the same keys. */
static const char *const generators[] = {"be64", "decimal", "ycsb", "uuid"};

/* Skewed keys by integers alone: clusters of many sizes. */
static void skewed(struct omi_index_key *keys, uint8_t *bytes, uint32_t count)
{
    struct rng r = {11};
    uint64_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        at += 1 + rng_next(&r) % (UINT64_C(1) << rng_below(&r, 44));
        for (int b = 0; b < 8; b++)
            bytes[8 * (size_t)i + (size_t)b] = (uint8_t)(at >> (56 - 8 * b));
        keys[i] = (struct omi_index_key){bytes + 8 * (size_t)i, omi_trailer(1, 1), 8,
                                         120 + (uint32_t)rng_below(&r, 60)};
    }
}

static void digest(const char *name, const struct omi_index_key *keys, uint32_t count)
{
    static const struct omi_order order = {NULL};
    struct omi_index_params params = {.order = &order, .block_bytes = 4096};
    struct omi_index_plan *plan;
    struct omi_index_info info;
    struct omi_buf out = {0};
    CHECK_OK(omi_index_plan_create(keys, count, &params, &plan));
    uint32_t blocks = omi_index_plan_blocks(plan);
    uint64_t *offsets = malloc((blocks + (size_t)1) * sizeof(*offsets));
    if (offsets == NULL)
        fail_now("no memory");
    for (uint32_t b = 0; b <= blocks; b++)
        offsets[b] = 64 + (uint64_t)b * 4096 + (b * UINT64_C(2654435761) >> 7) % 8 * 64;
    CHECK_OK(omi_index_plan_encode(plan, offsets, &out, &info));
    printf("%-8s %u keys, %u blocks, %zu bytes, %016" PRIx64 "\n", name, count, blocks, out.size,
           omi_checksum(out.data, out.size, 0));
    omi_buf_fini(&out);
    omi_index_plan_destroy(plan);
    free(offsets);
}

int main(void)
{
    struct omi_index_key *keys = malloc(KEYS * sizeof(*keys));
    uint8_t *bytes = malloc((size_t)KEYS * 8);
    if (keys == NULL || bytes == NULL)
        fail_now("no memory");
    for (size_t g = 0; g < sizeof(generators) / sizeof(generators[0]); g++) {
        struct omt_keyset set;
        const char *why;
        if (omt_keyset_make(generators[g], KEYS, 5, &set, &why) != 0)
            fail_now("%s", why);
        for (size_t i = 0; i < set.count; i++)
            keys[i] = (struct omi_index_key){set.keys[i].data, omi_trailer(1, 1), set.keys[i].size,
                                             set.keys[i].size + 112};
        digest(generators[g], keys, (uint32_t)set.count);
        omt_keyset_free(&set);
    }
    skewed(keys, bytes, KEYS);
    digest("skewed", keys, KEYS);
    free(bytes);
    free(keys);
    return 0;
}

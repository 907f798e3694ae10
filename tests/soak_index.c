/*
 * soak_index.c - block index lookups by the million: present and absent keys of every generator, in
 * blocks of several sizes, each answer checked against the blocks' bounds.
 *
 *   soak_index [LOOKUPS] [SEED]
 */
#include "learned/block_index.h"
#include "tests/model.h"
#include "tools/keyset.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const generators[] = {"be64",       "decimal", "ycsb",  "uuid", "lognormal",
                                         "timeseries", "osm",     "names", "url",  "path",
                                         "cascade",    "expo",    "fb"};
enum { GENERATORS = sizeof(generators) / sizeof(generators[0]), KEY_MAX = 1200 };

static uint64_t lookups, learned_files, explicit_files, grid_hits;

struct built {
    struct omi_index_key *keys;
    uint32_t count, blocks;
    const uint32_t *first;
    struct omi_index_plan *plan;
    struct omi_index *index;
    uint8_t *section;
};

static void build(struct built *b, struct rng *r)
{
    static const struct omi_order order = {NULL};
    struct omi_index_params params = {.order = &order,
                                      .block_bytes = 1024u << rng_below(r, 4),
                                      .break_certificate = rng_one_in(r, 50)};
    struct omi_index_info info;
    struct omi_buf out = {0};
    CHECK_OK(omi_index_plan_create(b->keys, b->count, &params, &b->plan));
    b->blocks = omi_index_plan_blocks(b->plan);
    b->first = omi_index_plan_first(b->plan);
    uint64_t *offsets = malloc((b->blocks + (size_t)1) * sizeof(*offsets));
    if (offsets == NULL)
        fail_now("no memory");
    offsets[0] = 64;
    for (uint32_t i = 0; i < b->blocks; i++)
        offsets[i + 1] = offsets[i] + 64 * (1 + rng_below(r, 80));
    CHECK_OK(omi_index_plan_encode(b->plan, offsets, &out, &info));
    if (info.certificate_failed != params.break_certificate)
        fail_now("a certificate failed by itself");
    b->section = aligned_alloc(64, (out.size + 127) / 64 * 64);
    if (b->section == NULL)
        fail_now("no memory");
    memcpy(b->section, out.data, out.size);
    CHECK_OK(omi_index_open(b->section, out.size, &order, offsets[b->blocks], &b->index));
    learned_files += !info.is_explicit;
    explicit_files += info.is_explicit;
    omi_buf_fini(&out);
    free(offsets);
}

static int compare(const struct omi_index_key *k, const uint8_t *key, size_t size, uint64_t trailer)
{
    static const struct omi_order order = {NULL};
    return omi_internal_compare(&order, omi_slice(k->key, k->key_size), k->trailer,
                                omi_slice(key, size), trailer);
}

static void ask(const struct built *b, const uint8_t *key, size_t size, uint64_t trailer)
{
    struct omi_index_trace trace = {0};
    uint32_t block = omi_index_find(b->index, omi_slice(key, size), trailer, &trace);
    grid_hits += trace.grid_hits;
    lookups++;
    if (block >= b->blocks)
        fail_now("block %u of %u", block, b->blocks);
    if (block > 0 && compare(&b->keys[b->first[block] - 1], key, size, trailer) >= 0)
        fail_now("a key of %zu bytes belongs before block %u", size, block);
    if (block + 1 < b->blocks && compare(&b->keys[b->first[block + 1]], key, size, trailer) <= 0)
        fail_now("a key of %zu bytes belongs behind block %u", size, block);
}

static void ask_near(const struct built *b, uint32_t i, struct rng *r)
{
    uint8_t key[KEY_MAX];
    size_t n = b->keys[i].key_size;
    uint64_t trailer = b->keys[i].trailer;
    if (n > KEY_MAX - 2)
        return;
    memcpy(key, b->keys[i].key, n);
    switch (rng_below(r, 7)) {
    case 0:
        if (n > 0)
            key[rng_below(r, n)] = (uint8_t)rng_next(r);
        break;
    case 1:
        n = n > 0 ? rng_below(r, n) : 0;
        break;
    case 2:
        key[n++] = (uint8_t)rng_next(r);
        break;
    case 3:
        if (n > 0)
            key[n - 1] = (uint8_t)(key[n - 1] + (rng_one_in(r, 2) ? 1 : -1));
        break;
    case 4:
        trailer = rng_one_in(r, 2) ? UINT64_MAX : trailer + rng_below(r, 3) - 1;
        break;
    case 5:
        for (size_t k = 0; k < n; k++)
            if (rng_one_in(r, 6))
                key[k] = (uint8_t)rng_next(r);
        break;
    default:
        key[n++] = rng_one_in(r, 2) ? 0 : 0xff;
        break;
    }
    ask(b, key, n, trailer);
}

static void run(const char *generator, struct rng *r, uint64_t wanted)
{
    struct omt_keyset set;
    const char *why;
    size_t count = 1 + rng_below(r, rng_one_in(r, 4) ? 200 : 20000);
    if (omt_keyset_make(generator, count, rng_next(r), &set, &why) != 0)
        fail_now("%s: %s", generator, why);
    struct built b = {.keys = malloc((set.count * 2 + 400) * sizeof(*b.keys))};
    if (b.keys == NULL)
        fail_now("no memory");
    uint32_t values = (uint32_t)rng_below(r, 300);
    for (size_t i = 0; i < set.count; i++) {
        uint64_t versions = rng_one_in(r, 3000) ? 1 + rng_below(r, 150) : 1;
        if (b.count + versions > set.count * 2 + 400)
            versions = 1;
        for (uint64_t v = versions; v > 0; v--) {
            uint32_t value = rng_one_in(r, 2000) ? (uint32_t)rng_below(r, 100000) : values;
            b.keys[b.count++] =
                (struct omi_index_key){set.keys[i].data, omi_trailer(v * 3, OMI_KIND_PUT),
                                       set.keys[i].size, set.keys[i].size + value + 12};
        }
    }
    build(&b, r);
    for (uint32_t i = 0; i < b.count; i++)
        ask(&b, b.keys[i].key, b.keys[i].key_size, b.keys[i].trailer);
    for (uint64_t i = 0; i < wanted; i++)
        ask_near(&b, (uint32_t)rng_below(r, b.count), r);
    omi_index_close(b.index);
    omi_index_plan_destroy(b.plan);
    free(b.section);
    free(b.keys);
    omt_keyset_free(&set);
}

int main(int argc, char **argv)
{
    uint64_t wanted = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct rng r = {seed};
    replay_set("soak_index %" PRIu64 " %" PRIu64, wanted, seed);
    for (uint64_t i = 0; lookups < wanted; i++)
        run(generators[i % GENERATORS], &r, 30000);
    printf("index: %" PRIu64 " lookups, 0 wrong; %" PRIu64 " learned and %" PRIu64
           " explicit indexes, %" PRIu64 " grid hits, seed %" PRIu64 "\n",
           lookups, learned_files, explicit_files, grid_hits, seed);
    if (grid_hits == 0 || learned_files == 0)
        fail_now("the model was never used");
    return 0;
}

#include "tests/filter_mix.h"

#include "io/base/hash.h"
#include "learned/filter_layout.h"
#include "tests/model.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REGIONS_MAX = 40, DENY_MAX = 60, TRIES = 40 };

static _Atomic uint64_t filters, with_regions, with_gaps, with_parts, with_prefix, with_denied,
    ribbons, over_far;

/* ---- regions --------------------------------------------------------------------------------- */

static omen_slice key_at(const struct omi_filter_input *in, uint32_t i)
{
    return omi_slice(in->keys[i].key, in->keys[i].key_size);
}

static uint32_t digest_at(const struct omi_filter_input *in, const struct omi_digest *d, uint32_t i)
{
    return omi_digest_of(d, in->keys[i].key, in->keys[i].key_size);
}

static int bound_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

struct regions {
    uint32_t bounds[REGIONS_MAX], keys[REGIONS_MAX];
    uint8_t classes[REGIONS_MAX];
    uint32_t count, gaps;
};

/* Bounds at a key, right behind one, or anywhere. */
static void bounds_draw(struct rng *r, const struct omi_filter_input *in,
                        const struct omi_digest *d, uint32_t wanted, struct regions *out)
{
    uint32_t last = digest_at(in, d, in->count - 1), n = 1;
    out->bounds[0] = 0;
    while (n < wanted) {
        uint32_t at = digest_at(in, d, (uint32_t)rng_below(r, in->count));
        if (rng_one_in(r, 3))
            at = (uint32_t)rng_below(r, last + UINT64_C(1));
        else if (rng_one_in(r, 2) && at < UINT32_MAX)
            at++;
        out->bounds[n++] = at;
    }
    qsort(out->bounds, n, sizeof(out->bounds[0]), bound_compare);
    for (uint32_t i = 0; i < n; i++)
        if (out->count == 0 || out->bounds[i] != out->bounds[out->count - 1])
            out->bounds[out->count++] = out->bounds[i];
}

static void regions_draw(struct rng *r, const struct omi_filter_input *in,
                         const struct omi_digest *d, unsigned features, struct regions *out)
{
    *out = (struct regions){0};
    bounds_draw(r, in, d,
                (features & MIX_PLAIN) != 0 ? 1 : 2 + (uint32_t)rng_below(r, REGIONS_MAX - 2), out);
    for (uint32_t i = 0, at = 0; i < in->count; i++) {
        uint32_t digest = digest_at(in, d, i);
        while (at + 1 < out->count && out->bounds[at + 1] <= digest)
            at++;
        out->keys[at]++;
    }
    for (uint32_t i = 0; i < out->count; i++) {
        uint8_t class = (uint8_t)(1 + rng_below(r, OMI_FILTER_PROBES_MAX));
        if (out->keys[i] == 0 && ((features & MIX_GAPS) != 0 || !rng_one_in(r, 4)))
            class = OMI_FILTER_CLASS_NO_KEYS;
        else if (out->count > 1 && rng_one_in(r, 6))
            class = OMI_FILTER_CLASS_MAYBE;
        out->classes[i] = class;
        out->gaps += class == OMI_FILTER_CLASS_NO_KEYS;
    }
}

/* ---- denied keys ----------------------------------------------------------------------------- */

/* Keys, which must not enter the list, and neighbours of keys, which will be asked for. */
static uint32_t deny_draw(struct rng *r, const struct omi_filter_input *in,
                          struct omi_filter_sample out[static DENY_MAX])
{
    for (uint32_t i = 0; i < DENY_MAX; i++) {
        uint8_t key[OMEN_KEY_BYTES_MAX + 1];
        omen_slice k = key_at(in, (uint32_t)rng_below(r, in->count));
        size_t size = k.size;
        if (size != 0)
            memcpy(key, k.data, size);
        if (!rng_one_in(r, 3)) {
            if (size != 0 && rng_one_in(r, 2))
                key[size - 1] ^= (uint8_t)(1 + rng_below(r, 15));
            else if (size < OMEN_KEY_BYTES_MAX)
                key[size++] = (uint8_t)rng_below(r, 3);
        }
        out[i] =
            (struct omi_filter_sample){.hash = omi_key_hash(key, size), .key_size = (uint16_t)size};
        memcpy(out[i].head, key, size < sizeof(out[i].head) ? size : sizeof(out[i].head));
    }
    return DENY_MAX;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static bool has(struct rng *r, unsigned features, unsigned feature, uint64_t one_in)
{
    bool drawn = rng_one_in(r, one_in);
    return (features & feature) != 0 || ((features & MIX_PLAIN) == 0 && drawn);
}

static void count_made(const struct omi_filter_info *info)
{
    atomic_fetch_add(&filters, 1);
    atomic_fetch_add(&with_regions, info->regions > 1);
    atomic_fetch_add(&with_gaps, info->gaps > 0);
    atomic_fetch_add(&with_parts, info->parts > 1);
    atomic_fetch_add(&with_prefix, info->prefix_bytes > 0);
    atomic_fetch_add(&with_denied, info->denied > 0);
    atomic_fetch_add(&ribbons, info->kind == OMI_FILTER_RIBBON);
}

static bool is_wanted(const struct omi_filter_info *i, unsigned features)
{
    return ((features & MIX_GAPS) == 0 || i->gaps > 0) &&
           ((features & MIX_PARTS) == 0 || i->parts > 1) &&
           ((features & MIX_PREFIX) == 0 || i->prefix_bytes > 0) &&
           ((features & MIX_DENY) == 0 || i->denied > 0) &&
           ((features & MIX_RIBBON) == 0 || i->kind == OMI_FILTER_RIBBON);
}

static omen_err make_one(struct rng *rng, const struct omi_filter_input *in, unsigned features,
                         struct omi_buf *out, struct omi_filter_info *info_out)
{
    struct rng r = {rng_next(rng)};
    struct omi_digest digest = omi_digest_make(key_at(in, 0), key_at(in, in->count - 1));
    struct regions regions;
    struct omi_filter_sample deny[DENY_MAX];
    regions_draw(&r, in, &digest, features, &regions);
    struct omi_filter_layout layout = {
        .kind = regions.count == 1 ? OMI_FILTER_PLAIN : OMI_FILTER_REGIONS,
        .digest = digest,
        .bounds = regions.bounds,
        .classes = regions.classes,
        .region_count = regions.count,
        .bits_per_probe = 0.5 + (double)rng_below(&r, 20) / 10,
        .deny = deny,
        .info = {.why = OMI_FILTER_WHY_GAIN, .samples = DENY_MAX, .promised_fpr = 0.01}};
    if (has(&r, features, MIX_RIBBON, 3)) {
        layout.kind = OMI_FILTER_RIBBON;
        layout.more = (double)rng_below(&r, 4) / 4;
        for (uint32_t i = 0; i < regions.count; i++) /* the last class is of lines alone */
            if (regions.classes[i] == OMI_FILTER_PROBES_MAX)
                regions.classes[i]--;
    }
    if (has(&r, features, MIX_PARTS, 2))
        layout.part_bytes = 8u << rng_below(&r, 6);
    if (has(&r, features, MIX_PREFIX, 3)) {
        layout.prefix_bytes = 1 + (uint32_t)rng_below(&r, OMI_SAMPLE_HEAD_BYTES);
        layout.prefix_probes = 1 + (uint32_t)rng_below(&r, 6);
        layout.prefix_bits = 1 + (double)rng_below(&r, 12);
    }
    if (has(&r, features, MIX_DENY, 2))
        layout.deny_count = deny_draw(&r, in, deny);
    return omi_filter_encode(in, &layout, out, info_out);
}

omen_err filter_mix_of(const struct omi_filter_input *in, unsigned features, uint64_t seed,
                       struct omi_buf *out, struct omi_filter_info *info_out)
{
    struct rng r = {seed};
    struct omi_filter_info info;
    size_t size = out->size;
    omen_err err = make_one(&r, in, features, out, &info);
    for (int i = 1; i < TRIES && err == OMEN_OK && !is_wanted(&info, features); i++) {
        out->size = size;
        err = make_one(&r, in, features, out, &info);
    }
    if (err == OMEN_OK)
        count_made(&info);
    if (err == OMEN_OK && info_out != NULL)
        *info_out = info;
    return err;
}

omen_err filter_mix(const struct omi_filter_input *in, struct omi_buf *out)
{
    uint64_t seed = in->hashes[0] ^ in->hashes[in->count - 1] * 3 ^ in->count;
    return filter_mix_of(in, 0, seed, out, NULL);
}

/* ---- choices --------------------------------------------------------------------------------- */

enum { HEADS = 4096 };

static uint64_t head_of(omen_slice key)
{
    return omi_key_hash(key.data, key.size) % HEADS;
}

static int heads_build(void *ctx, size_t count, const omen_slice *keys, void *sink,
                       int (*append)(void *sink, const void *bytes, size_t size))
{
    uint8_t bits[HEADS / 8] = {0};
    (void)ctx;
    for (size_t i = 0; i < count; i++)
        bits[head_of(keys[i]) / 8] |= (uint8_t)(1u << head_of(keys[i]) % 8);
    return append(sink, bits, sizeof(bits));
}

static int heads_may_hold(void *ctx, omen_slice filter, omen_slice key)
{
    (void)ctx;
    return ((const uint8_t *)filter.data)[head_of(key) / 8] >> head_of(key) % 8 & 1;
}

const omen_filter_policy filter_mix_policy = {"test.heads", heads_build, heads_may_hold, NULL};

/* Numbers of runs are often neighbours. */
static struct rng choice_rng(uint64_t seed)
{
    return (struct rng){seed * UINT64_C(0x9fb21c651e98df25)};
}

enum { PLAINLY = 8 }; /* runs that are as they always were */

/* Far memory of its own draw: those above stay what they were. */
static void far_choose(uint64_t seed, omen_options *o)
{
    static const char *const choices[] = {"far=heap", "far=heap,near_model_bytes=4K",
                                          "far=heap,near_model_bytes=none,far_bytes=64K",
                                          "far=delay:200,near_model_bytes=16K"};
    struct rng r = choice_rng(seed ^ UINT64_C(0xfa4));
    if (rng_one_in(&r, 2))
        CHECK_OK(omen_options_from_string(
            choices[rng_below(&r, sizeof(choices) / sizeof(choices[0]))], o));
}

void filter_mix_choose(uint64_t seed, omen_options *o)
{
    static const char *const choices[] = {
        "",
        "filter=plain",
        "filter=learned,filter_bytes=4K,range_filter=on",
        "filter=learned,filter_floor=none,range_filter=on",
        "filter=learned,filter_floor=10,filter_bytes=64K",
        "filter=ribbon",
        "filter=ribbon,filter_floor=none,filter_bytes=4K,range_filter=off",
        "filter=ribbon,filter_floor=500,range_filter=on"};
    struct rng r = choice_rng(seed);
    if (seed < PLAINLY)
        return;
    CHECK_OK(
        omen_options_from_string(choices[rng_below(&r, sizeof(choices) / sizeof(choices[0]))], o));
    if (rng_one_in(&r, 6))
        o->filter_policy = &filter_mix_policy;
    far_choose(seed, o);
}

void filter_mix_install(uint64_t seed, omen_db *db)
{
    struct rng r = choice_rng(~seed);
    db->far.tick_lookups = 16; /* before there are lookups */
    db->far.move_bytes = 16384;
    atomic_fetch_add(&over_far, db->tenv.far);
    if (seed < PLAINLY)
        return;
    if (rng_one_in(&r, 2))
        atomic_store(&db->tenv.make_filter, filter_mix);
    omi_sample_set_every(db->sample, (uint32_t)rng_below(&r, 3));
}

/* ---- telling --------------------------------------------------------------------------------- */

struct filter_mix_made filter_mix_made(void)
{
    return (struct filter_mix_made){filters,     with_regions, with_gaps, with_parts,
                                    with_prefix, with_denied,  ribbons,   over_far};
}

void filter_mix_tell(const char *program)
{
    struct filter_mix_made m = filter_mix_made();
    printf("%s: %" PRIu64 " filters of any shape: %" PRIu64 " with regions, %" PRIu64
           " gaps, %" PRIu64 " parts, %" PRIu64 " prefix layers, %" PRIu64 " deny lists, %" PRIu64
           " ribbons; %" PRIu64 " databases over far memory\n",
           program, m.filters, m.regions, m.gaps, m.parts, m.prefixes, m.denied, m.ribbons,
           m.over_far);
}

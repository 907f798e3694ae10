/* lab_filter_measure.c - see lab_filter_measure.h. */
#include "tools/lab_filter_measure.h"

#include "io/base/fail.h"
#include "learned/filter_price.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 7, BUILD_ROUNDS = 3, TIMED_LOOKUPS = 50000, LINE_BITS = 512 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e9 * (double)t.tv_sec + (double)t.tv_nsec;
}

/* ---- building -------------------------------------------------------------------------------- */

static struct omi_filter_input input_of(const struct omt_filter_work *w)
{
    return (struct omi_filter_input){w->keys, w->hashes, w->count};
}

static omen_err built_open(const struct omt_filter_work *w, struct omi_buf *bytes,
                           struct omt_built *b)
{
    omen_err err = OMEN_OK;
    b->size = bytes->size;
    b->bits = 8 * (double)bytes->size / w->count;
    if (bytes->size != 0) {
        b->section = aligned_alloc(64, (bytes->size + 63) / 64 * 64);
        if (b->section == NULL)
            err = omi_fail(OMEN_NO_MEMORY, 0, "a filter of %zu bytes", bytes->size);
    }
    if (b->section != NULL) {
        memcpy(b->section, bytes->data, bytes->size);
        err = omi_filter_open(b->section, bytes->size, bytes->size, &b->f);
    }
    omi_buf_fini(bytes);
    return err;
}

omen_err omt_built_make(const struct omt_filter_work *w, const struct omi_filter_params *params,
                        struct omt_built *out)
{
    struct omi_filter_input input = input_of(w);
    struct omi_buf bytes = {0};
    *out = (struct omt_built){0};
    double started = now_ns();
    omen_err err = omi_filter_build(&input, params, &bytes, &out->info);
    out->build_ns = (now_ns() - started) / w->count;
    return err == OMEN_OK ? built_open(w, &bytes, out) : err;
}

omen_err omt_built_encode(const struct omt_filter_work *w, const struct omi_filter_layout *layout,
                          struct omt_built *out)
{
    struct omi_filter_input input = input_of(w);
    struct omi_buf bytes = {0};
    *out = (struct omt_built){0};
    double started = now_ns();
    omen_err err = omi_filter_encode(&input, layout, &bytes, &out->info);
    out->build_ns = (now_ns() - started) / w->count;
    return err == OMEN_OK ? built_open(w, &bytes, out) : err;
}

void omt_built_free(struct omt_built *b)
{
    free(b->section);
    *b = (struct omt_built){0};
}

/* ---- answers --------------------------------------------------------------------------------- */

bool omt_built_asks(const struct omt_built *b, const uint8_t *key, uint32_t size, uint64_t hash)
{
    return omi_filter_may_hold(&b->f, b->section, omi_slice(key, size), hash);
}

double omt_built_fpr(const struct omt_built *b, const struct omt_asked_list *asked)
{
    size_t passed = 0;
    for (size_t i = 0; i < asked->count; i++)
        passed += omt_built_asks(b, asked->at[i].data, asked->at[i].size, asked->at[i].hash);
    return asked->count != 0 ? (double)passed / (double)asked->count : 0;
}

uint64_t omt_built_denies(const struct omt_built *b, const struct omt_filter_work *w)
{
    uint64_t denied = 0;
    for (uint32_t i = 0; i < w->count; i++)
        denied += !omt_built_asks(b, w->keys[i].key, w->keys[i].key_size, w->hashes[i]);
    return denied;
}

/* Keys of each region, regions being counted from the first key's on. */
static uint32_t *region_keys(const struct omt_built *b, const struct omt_filter_work *w)
{
    uint32_t *keys = calloc(b->f.region_count + (size_t)1, sizeof(*keys)), region = 0, first;
    struct omi_digest digest;
    int class;
    omi_filter_digest(&b->f, &digest);
    for (uint32_t i = 0; keys != NULL && i < w->count; i++) {
        uint32_t at = omi_digest_of(&digest, w->keys[i].key, w->keys[i].key_size);
        for (; region + 1 < b->f.region_count; region++) {
            omi_filter_region(&b->f, region + 1, &first, &class);
            if (first > at)
                break;
        }
        keys[region]++;
    }
    return keys;
}

/* The density of the lines, in bits for each key and probe. */
static double bits_per_probe(const struct omt_built *b, const uint32_t *keys)
{
    double probes = 0;
    for (uint32_t r = 0; r < b->f.region_count; r++) {
        uint32_t first;
        int class;
        omi_filter_region(&b->f, r, &first, &class);
        probes += class > 0 ? (double)keys[r] * class : 0;
    }
    return probes > 0 ? (double)b->f.line_count * LINE_BITS / probes : 0;
}

double omt_built_worst(const struct omt_built *b, const struct omt_filter_work *w)
{
    uint32_t *keys = b->section != NULL ? region_keys(b, w) : NULL;
    if (keys == NULL)
        return 1;
    double worst = 0, density = bits_per_probe(b, keys);
    for (uint32_t r = 0; r < b->f.region_count; r++) {
        uint32_t first;
        int class;
        omi_filter_region(&b->f, r, &first, &class);
        double fpr = 0;
        if (keys[r] != 0)
            fpr = b->info.kind == OMI_FILTER_RIBBON
                      ? 1.0 / (1u << class)
                      : omi_filter_fpr_probes(density * class, (unsigned)class);
        worst = fpr > worst ? fpr : worst;
    }
    free(keys);
    return worst;
}

omen_err omt_built_for_fpr(const struct omt_filter_work *w, const struct omi_filter_params *params,
                           const struct omt_asked_list *asked, double fpr, struct omt_built *out)
{
    struct omi_filter_params p = *params;
    double low = 0.02, high = 32;
    *out = (struct omt_built){0};
    p.price = 0;
    for (int i = 0; i < 12; i++) {
        struct omt_built b;
        p.bits = i == 0 ? high : (low + high) / 2;
        omen_err err = omt_built_make(w, &p, &b);
        if (err != OMEN_OK)
            return err;
        bool good = omt_built_fpr(&b, asked) <= fpr;
        if (good) {
            omt_built_free(out);
            *out = b;
            high = p.bits;
        } else {
            omt_built_free(&b);
            low = p.bits;
            if (i == 0)
                return OMEN_OK;
        }
    }
    return OMEN_OK;
}

/* ---- time to ask ----------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *at, int count)
{
    qsort(at, (size_t)count, sizeof(*at), by_value);
    return at[count / 2];
}

static volatile size_t sink; /* answers must be needed */

static double time_each(const struct omt_built *b, const struct omt_asked_list *asked)
{
    size_t passed = 0;
    double started = now_ns();
    for (size_t i = 0; i < asked->count; i++)
        passed += omt_built_asks(b, asked->at[i].data, asked->at[i].size, asked->at[i].hash);
    sink = passed;
    return (now_ns() - started) / (double)asked->count;
}

/* Which lookup comes next depends on every answer before. */
static double time_after(const struct omt_built *b, const struct omt_asked_list *asked)
{
    size_t at = 0, passed = 0;
    double started = now_ns();
    for (size_t i = 0; i < asked->count; i++) {
        const struct omt_asked *a = &asked->at[at];
        size_t answer = omt_built_asks(b, a->data, a->size, a->hash);
        passed += answer;
        at = at + 1 + (answer & 1);
        at = at < asked->count ? at : 0;
    }
    sink = passed;
    return (now_ns() - started) / (double)asked->count;
}

void omt_time_asking(const struct omt_built *a, const struct omt_built *b,
                     const struct omt_asked_list *asked, struct omt_ask_times *out)
{
    const struct omt_built *both[2] = {a, b};
    struct omt_asked_list few = *asked; /* that stay in the caches with the filter */
    few.count = few.count < TIMED_LOOKUPS ? few.count : TIMED_LOOKUPS;
    double each[2][ROUNDS], after[2][ROUNDS];
    for (int round = 0; round < ROUNDS; round++)
        for (int side = 0; side < 2; side++) {
            time_each(both[side], &few); /* the other side has had the caches */
            each[side][round] = time_each(both[side], &few);
            after[side][round] = time_after(both[side], &few);
        }
    for (int side = 0; side < 2; side++) {
        out->each[side] = median(each[side], ROUNDS);
        out->after[side] = median(after[side], ROUNDS);
    }
}

/* ---- time to build --------------------------------------------------------------------------- */

static double distinct_prefixes(const struct omt_filter_work *w, uint32_t bytes)
{
    uint32_t n = w->count != 0;
    for (uint32_t i = 1; i < w->count; i++) {
        const struct omi_index_key *k = &w->keys[i];
        n += omi_bytes_common(k->key, k->key_size, k[-1].key, k[-1].key_size) < bytes;
    }
    return n;
}

/* What was built, once more, when nothing has to be decided. */
static omen_err time_encode(const struct omt_filter_work *w, const struct omt_built *b,
                            double *ns_out)
{
    uint32_t *bounds = calloc(b->f.region_count, sizeof(*bounds)), *keys = region_keys(b, w);
    uint8_t *classes = calloc(b->f.region_count, 1);
    omen_err err = OMEN_OK;
    if (bounds == NULL || classes == NULL || keys == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "%u regions", b->f.region_count);
    for (uint32_t r = 0; err == OMEN_OK && r < b->f.region_count; r++) {
        int class;
        omi_filter_region(&b->f, r, &bounds[r], &class);
        classes[r] = class < 0 ? OMI_FILTER_CLASS_NO_KEYS : (uint8_t) class;
    }
    if (err == OMEN_OK) {
        struct omi_filter_layout layout = {.kind = b->info.kind,
                                           .bounds = bounds,
                                           .classes = classes,
                                           .region_count = b->f.region_count,
                                           .bits_per_probe = bits_per_probe(b, keys),
                                           .prefix_bytes = b->f.prefix_bytes,
                                           .prefix_probes = b->f.prefix_probes,
                                           .prefix_bits = 8.0 * b->info.prefix_array_bytes /
                                                          distinct_prefixes(w, b->f.prefix_bytes)};
        struct omt_built again;
        omi_filter_digest(&b->f, &layout.digest);
        err = omt_built_encode(w, &layout, &again);
        *ns_out = again.build_ns;
        omt_built_free(&again);
    }
    free(bounds);
    free(classes);
    free(keys);
    return err;
}

static void keep_least(double *at, double ns)
{
    *at = *at == 0 || ns < *at ? ns : *at;
}

omen_err omt_time_building(const struct omt_filter_work *w, const struct omi_filter_params *params,
                           struct omt_build_times *out)
{
    double build = 0, encode = 0, verify = 0;
    *out = (struct omt_build_times){0};
    for (int round = 0; round < BUILD_ROUNDS; round++) {
        struct omt_built b;
        double ns = 0;
        omen_err err = omt_built_make(w, params, &b);
        if (err != OMEN_OK || b.section == NULL)
            return err;
        keep_least(&build, b.build_ns);
        err = time_encode(w, &b, &ns);
        keep_least(&encode, ns);
        double started = now_ns();
        sink = omt_built_denies(&b, w);
        keep_least(&verify, (now_ns() - started) / w->count);
        omt_built_free(&b);
        if (err != OMEN_OK)
            return err;
    }
    out->learn = build > encode ? build - encode : 0;
    out->fill = encode > verify ? encode - verify : 0;
    out->verify = verify;
    return OMEN_OK;
}

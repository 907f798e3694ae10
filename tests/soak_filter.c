/*
 * soak_filter.c - filters by the thousand, none of which may deny a key: keys of random shapes, under
 * samples that are none, random, all alike, all present, adversarial, corrupt or all beside keys;
 * plain, learned and laid out by dice; each asked for every key it was made of.
 *
 *   soak_filter [MILLIONS OF KEYS ASKED] [SEED]
 */
#include "tests/filter_cases.h"
#include "tests/model.h"
#include "tools/keyset.h"

#include <inttypes.h>

enum { SHAPES_MIN = 1000, SAMPLES_MAX = 4096, FILTERS_EACH = 4 };

static const char *const generators[] = {"be64",       "decimal", "ycsb",  "uuid", "lognormal",
                                         "timeseries", "osm",     "names", "url",  "path",
                                         "cascade",    "expo",    "fb"};
enum { GENERATORS = sizeof(generators) / sizeof(generators[0]) };

static struct {
    uint64_t asked, filters, shapes;
    uint64_t by_kind[8], learned, with_prefix, with_gaps, with_denied, in_parts;
} count;

/* ---- asking ------------------------------------------------------------------------------------ */

static void note(const struct omi_filter_info *info)
{
    count.filters++;
    count.by_kind[info->kind & 7]++;
    count.with_prefix += info->prefix_bytes != 0;
    count.with_gaps += info->gaps != 0;
    count.with_denied += info->denied != 0;
    count.in_parts += info->parts > 1;
}

/* The section as a table would find it again. */
static void expect_all(const struct omi_buf *out, const struct case_keys *k, const char *what,
                       const struct omi_filter_info *info)
{
    note(info);
    if (out->size == 0) /* none: nobody asks */
        return;
    struct case_filter c = case_filter_open(out);
    uint32_t denied = case_denied(&c, k);
    count.asked += k->count;
    if (denied != 0)
        fail_now("a %s filter denies %u of its %u keys, shape %" PRIu64, what, denied, k->count,
                 count.shapes);
    if (!case_sound(&c))
        fail_now("a %s filter's parts do not match their checks, shape %" PRIu64, what,
                 count.shapes);
    case_filter_free(&c);
}

static void build(const struct case_keys *k, const struct omi_filter_params *params,
                  const char *what)
{
    struct omi_filter_input input = case_input(k);
    struct omi_filter_info info;
    struct omi_buf out = {0};
    CHECK_OK(omi_filter_build(&input, params, &out, &info));
    count.learned += info.why == OMI_FILTER_WHY_GAIN;
    expect_all(&out, k, what, &info);
    omi_buf_fini(&out);
}

static void build_learned(const struct case_keys *k, enum omi_filter_kind kind,
                          const struct omi_filter_sample *samples, uint32_t sample_count,
                          struct dice *d)
{
    static const double floors[] = {0, 1, 0.125, 0.05, 1};
    struct omi_filter_params p = {.kind = kind, .samples = samples, .sample_count = sample_count};
    p.weight = dice_below(d, 101) / 100.0;
    p.floor = floors[dice_below(d, 5)];
    p.keylike = floors[dice_below(d, 5)];
    if (dice_below(d, 2) != 0)
        p.part_bytes = 1024u << dice_below(d, 7);
    if (dice_below(d, 3) == 0)
        p.price = 1 / (double)(1 + dice_next(d) % (1000 * (uint64_t)k->count));
    else
        p.bits = 1 + dice_below(d, 200) / 10.0;
    build(k, &p, kind == OMI_FILTER_RIBBON ? "ribbon" : "learned");
}

static void build_plain(const struct case_keys *k, struct dice *d)
{
    struct omi_filter_params p = {.kind = OMI_FILTER_PLAIN, .bits = 1 + dice_below(d, 25)};
    p.part_bytes = dice_below(d, 2) != 0 ? 64u << dice_below(d, 10) : 0;
    build(k, &p, "plain");
}

static void lay_out(const struct case_keys *k, const struct omi_filter_sample *samples,
                    uint32_t sample_count, struct dice *d)
{
    static struct case_layout l;
    struct omi_filter_input input = case_input(k);
    struct omi_filter_info info;
    struct omi_buf out = {0};
    case_layout_make(k, d, samples, sample_count, &l);
    CHECK_OK(omi_filter_encode(&input, &l.layout, &out, &info));
    expect_all(&out, k, "laid out", &info);
    omi_buf_fini(&out);
}

/* ---- keys -------------------------------------------------------------------------------------- */

/* A key set of the lab's, as keys of a file. */
static struct case_keys generated(const char *name, uint32_t wanted, uint64_t seed)
{
    struct omt_keyset set;
    const char *why;
    if (omt_keyset_make(name, wanted, seed, &set, &why) != 0)
        fail_now("%s: %s", name, why);
    struct case_keys k = {.keys = cases_alloc(set.count, sizeof(*k.keys)),
                          .hashes = cases_alloc(set.count, sizeof(*k.hashes)),
                          .count = (uint32_t)set.count,
                          .bytes = set.bytes};
    for (uint32_t i = 0; i < k.count; i++) {
        k.keys[i] = (struct omi_index_key){set.keys[i].data, 1, set.keys[i].size, 20};
        k.hashes[i] = omi_key_hash(set.keys[i].data, set.keys[i].size);
    }
    set.bytes = NULL; /* k's now */
    omt_keyset_free(&set);
    return k;
}

static void run(uint64_t seed, uint32_t wanted)
{
    struct dice d = {seed};
    struct case_shape s = case_shape_of(&d);
    bool lab = dice_below(&d, 8) == 0;
    struct case_keys k = lab ? generated(generators[dice_below(&d, GENERATORS)], wanted, seed)
                             : case_keys_make(&s, wanted, dice_below(&d, 5), &d);
    enum case_samples kind = (enum case_samples)(seed % SAMPLES_KINDS);
    uint32_t sample_count = kind == SAMPLES_NONE ? 0 : dice_below(&d, SAMPLES_MAX);
    struct omi_filter_sample *samples = case_samples_make(&k, &s, kind, sample_count, &d);
    count.shapes++;
    build_plain(&k, &d);
    build_learned(&k, OMI_FILTER_REGIONS, samples, sample_count, &d);
    build_learned(&k, OMI_FILTER_RIBBON, samples, sample_count, &d);
    lay_out(&k, samples, sample_count, &d);
    free(samples);
    case_keys_free(&k);
}

int main(int argc, char **argv)
{
    double millions = argc > 1 ? strtod(argv[1], NULL) : 2;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    uint64_t wanted = (uint64_t)(millions * 1e6);
    uint32_t most = (uint32_t)(wanted / SHAPES_MIN / FILTERS_EACH);
    struct dice d = {seed};
    replay_set("soak_filter %g %" PRIu64, millions, seed);
    while (count.asked < wanted || count.shapes < SHAPES_MIN) {
        /* Mostly small, at times large enough to learn much: on average what is wanted. */
        uint32_t size = dice_below(&d, 8) == 0 ? 7 * most : most / 2;
        run(seed * 1000003 + count.shapes, 1 + dice_below(&d, size + 1) + size / 3);
    }
    printf("filters: %" PRIu64 " keys asked of %" PRIu64 " filters, 0 denied; %" PRIu64
           " shapes of keys, seed %" PRIu64 "\n",
           count.asked, count.filters, count.shapes, seed);
    printf("learned %" PRIu64 ", ribbons %" PRIu64 ", with gaps %" PRIu64
           ", a prefix layer %" PRIu64 ", a deny list %" PRIu64 ", parts %" PRIu64 "\n",
           count.learned, count.by_kind[OMI_FILTER_RIBBON], count.with_gaps, count.with_prefix,
           count.with_denied, count.in_parts);
    if (count.learned == 0 || count.with_gaps == 0 || count.with_prefix == 0 ||
        count.with_denied == 0 || count.in_parts == 0 || count.by_kind[OMI_FILTER_RIBBON] == 0)
        fail_now("not every kind of filter was made");
    return 0;
}

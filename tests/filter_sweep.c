/*
 * filter_sweep.c - one flipped bit in a filter: for a small database of every kind of filter, each bit
 * of the sections of filters (and range filters) is flipped in the file, one at a time, and the
 * database opened; every key and as many absent ones are asked for, and short scans made. A filter
 * that is damaged may be slow, and never wrong.
 *
 *   filter_sweep [--step N] [--seed S] [--kind NAME]     every N-th bit; 1: all
 */
#include "io/base/hash.h"
#include "io/env_sim.h"
#include "lsm/db.h"
#include "lsm/table_open.h"
#include "tests/filter_mix.h"
#include "tests/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 4096, KEY_MAX = 24, SAMPLES = 1024, SMALL = 300, LARGE = 2600, SCANS = 6 };

/* ---- kinds ----------------------------------------------------------------------------------- */

static uint64_t seed = 1;
static unsigned features;              /* of filter_mix */
static struct omi_filter_info largest; /* of the filters made, the one of most bytes */
static struct omi_filter_sample samples[SAMPLES];
static const char *options_now;

static void note_made(const struct omi_filter_info *info)
{
    if (info->bytes >= largest.bytes)
        largest = *info;
}

static omen_err make_mixed(const struct omi_filter_input *in, struct omi_buf *out)
{
    struct omi_filter_info info;
    omen_err err = filter_mix_of(in, features, seed + in->count, out, &info);
    if (err == OMEN_OK)
        note_made(&info);
    return err;
}

/* As the engine would, from the samples of this kind. */
static omen_err make_planned(const struct omi_filter_input *in, struct omi_buf *out)
{
    struct omi_filter_info info;
    struct omi_filter_params params = {.kind = OMI_FILTER_REGIONS,
                                       .bits = 8,
                                       .floor = 1,
                                       .keylike = 1,
                                       .samples = samples,
                                       .sample_count = SAMPLES};
    omen_err err = omi_filter_build(in, &params, out, &info);
    if (err == OMEN_OK)
        note_made(&info);
    return err;
}

#define RANGES "range_filter=on,filter_bits=none"
enum shape { HASHED, CLUSTERS, METRICS, DENSE };
static const struct kind {
    const char *name, *options;
    enum shape shape;
    uint64_t keys;
    omen_err (*make)(const struct omi_filter_input *in, struct omi_buf *out);
    unsigned features;
    const omen_filter_policy *policy;
    enum omi_range_kind range; /* of the upper table; NONE: no range filter */
} kinds[] = {
    {"plain", "filter=plain,filter_bits=10", HASHED, SMALL, NULL, 0, NULL, OMI_RANGE_NONE},
    {"plain, parts", "", HASHED, SMALL, make_mixed, MIX_PLAIN | MIX_PARTS, NULL, OMI_RANGE_NONE},
    {"regions, gaps", "", CLUSTERS, SMALL, make_mixed, MIX_GAPS, NULL, OMI_RANGE_NONE},
    {"parts", "", HASHED, SMALL, make_mixed, MIX_PARTS, NULL, OMI_RANGE_NONE},
    {"ribbons", "", CLUSTERS, SMALL, make_mixed, MIX_RIBBON | MIX_PARTS, NULL, OMI_RANGE_NONE},
    {"prefix layer", "", METRICS, SMALL, make_mixed, MIX_PREFIX, NULL, OMI_RANGE_NONE},
    {"deny list", "", HASHED, SMALL, make_mixed, MIX_DENY, NULL, OMI_RANGE_NONE},
    {"everything", "", METRICS, SMALL, make_mixed, MIX_GAPS | MIX_PARTS | MIX_PREFIX | MIX_DENY,
     NULL, OMI_RANGE_NONE},
    {"little memory", "filter_bytes=4K", HASHED, 900, make_mixed, MIX_PARTS, NULL, OMI_RANGE_NONE},
    {"learned gaps", "", CLUSTERS, LARGE, make_planned, 0, NULL, OMI_RANGE_NONE},
    {"learned prefix", "", METRICS, LARGE, make_planned, 0, NULL, OMI_RANGE_NONE},
    {"custom", "", HASHED, SMALL, NULL, 0, &filter_mix_policy, OMI_RANGE_NONE},
    {"range, exact", RANGES, DENSE, SMALL, NULL, 0, NULL, OMI_RANGE_EXACT},
    {"range, spline", RANGES, CLUSTERS, SMALL, NULL, 0, NULL, OMI_RANGE_SPLINE},
    {"range, hashed", RANGES, METRICS, SMALL, NULL, 0, NULL, OMI_RANGE_HASHED},
};
enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

/* ---- keys, the same for a kind and seed -------------------------------------------------------- */

struct text {
    uint8_t bytes[KEY_MAX];
    size_t size;
};
static struct text keys[KEYS_MAX], absent[KEYS_MAX];
static uint64_t key_count;

static void put_be(uint64_t v, struct text *out)
{
    for (int i = 7; i >= 0; i--, v >>= 8)
        out->bytes[i] = (uint8_t)v;
    out->size = 8;
}

static uint64_t draw_number(struct rng *r, enum shape shape, uint64_t i)
{
    if (shape == DENSE)
        return 1000 + i * 3;
    if (shape == CLUSTERS) /* of 50, far from each other */
        return (i / 50) * UINT64_C(0x0123456789abcd00) % UINT64_C(0x7fffffffffffff00) +
               rng_below(r, 5000);
    if (shape == METRICS) /* 40 points of each */
        return (i / 40 * 7919 % 65536) << 40 | (i % 40 * 30 + rng_below(r, 20));
    return rng_next(r);
}

static int text_compare(const void *a, const void *b)
{
    const struct text *x = a, *y = b;
    return omi_bytes_compare(x->bytes, x->size, y->bytes, y->size);
}

static bool is_key(const struct text *t)
{
    return bsearch(t, keys, key_count, sizeof(*keys), text_compare) != NULL;
}

static omen_slice slice_of(const struct text *t)
{
    return omi_slice(t->bytes, t->size);
}

/* Next to a key, or where no key is near. */
static void draw_absent(struct rng *r, enum shape shape, struct text *out)
{
    do {
        const struct text *k = &keys[rng_below(r, key_count)];
        *out = *k;
        if (shape == METRICS && rng_one_in(r, 2))
            put_be(rng_below(r, 65536) << 40 | rng_below(r, 1200), out);
        else if (shape == DENSE && rng_one_in(r, 2))
            put_be(rng_below(r, 4000), out);
        else if (shape == CLUSTERS && rng_one_in(r, 2))
            put_be(rng_next(r) >> 1, out);
        else if (rng_one_in(r, 3))
            out->size = rng_below(r, out->size + 1);
        else if (rng_one_in(r, 2))
            out->bytes[out->size++] = (uint8_t)rng_below(r, 256);
        else
            out->bytes[7] ^= (uint8_t)(1 + rng_below(r, 255));
    } while (is_key(out));
}

static void make_keys(const struct kind *kind, struct rng *r)
{
    key_count = 0;
    for (uint64_t i = 0; i < kind->keys; i++)
        put_be(draw_number(r, kind->shape, i), &keys[i]);
    qsort(keys, kind->keys, sizeof(*keys), text_compare);
    for (uint64_t i = 0; i < kind->keys; i++)
        if (key_count == 0 || text_compare(&keys[key_count - 1], &keys[i]) != 0)
            keys[key_count++] = keys[i];
    for (uint64_t i = 0; i < key_count; i++)
        draw_absent(r, kind->shape, &absent[i]);
    for (size_t i = 0; i < SAMPLES; i++) { /* far from keys, as lookups that filters learn from */
        struct text t;
        do
            draw_absent(r, kind->shape, &t);
        while (t.size != 8);
        samples[i] = (struct omi_filter_sample){.hash = omi_key_hash(t.bytes, t.size),
                                                .key_size = (uint16_t)t.size};
        memcpy(samples[i].head, t.bytes, t.size);
    }
}

/* ---- the database ---------------------------------------------------------------------------- */

static omen_db *open_db(struct omi_env *env, const struct kind *kind, unsigned flags)
{
    omen_db *db;
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_INLINE_WORK | OMEN_NO_AUTO_COMPACT | flags,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 1u << 20,
                      .block_bytes = 1024,
                      .filter_policy = kind->policy};
    CHECK_OK(omen_options_from_string(options_now, &o));
    CHECK_OK(omi_db_open(env, "/db", &o, &db));
    if (kind->make != NULL)
        atomic_store(&db->tenv.make_filter, kind->make);
    return db;
}

static void scans_note(struct omi_sample *sample)
{
    omi_sample_set_every(sample, 0);
    for (uint64_t i = 0; i < key_count; i++) {
        struct text low = keys[i], high = keys[i];
        low.bytes[7]++;
        high.bytes[7] = (uint8_t)(low.bytes[7] + 4);
        if (low.bytes[7] != 0 && high.bytes[7] > low.bytes[7])
            omi_sample_scan(sample, 0, slice_of(&low), slice_of(&high));
    }
}

/* All keys in the last level, and every seventh again above. */
static void fill(omen_db *db, enum omi_range_kind range)
{
    for (uint64_t i = 0; i < key_count; i++)
        CHECK_OK(omen_put(db, NULL, slice_of(&keys[i]), omi_slice(&i, sizeof(i))));
    CHECK_OK(omen_compact(db, NULL, NULL));
    if (range == OMI_RANGE_HASHED) /* which is for short scans that begin next to keys */
        scans_note(db->sample);
    for (uint64_t i = 0; i < key_count; i += 7)
        CHECK_OK(omen_put(db, NULL, slice_of(&keys[i]), omi_slice(&i, sizeof(i))));
    CHECK_OK(omen_flush(db));
}

/* ---- asking ---------------------------------------------------------------------------------- */

static uint64_t asked_keys, asked_absent, scanned;

static void ask_one(omen_db *db, uint64_t i, const char *what)
{
    omen_value v;
    omen_err err = omen_get(db, NULL, slice_of(&keys[i]), &v);
    asked_keys++;
    if (err != OMEN_OK)
        fail_now("%s: key %" PRIu64 " answers %s: %s", what, i, omen_err_name(err),
                 omen_last_error());
    if (!omi_bytes_equal(v.data, v.size, &i, sizeof(i)))
        fail_now("%s: key %" PRIu64 " has another value", what, i);
    omen_value_release(&v);
    err = omen_get(db, NULL, slice_of(&absent[i]), &v);
    asked_absent++;
    if (err != OMEN_NOT_FOUND)
        fail_now("%s: the absent key by key %" PRIu64 " answers %s", what, i, omen_err_name(err));
}

/* The first key at or after t; key_count: none. */
static uint64_t first_from(const struct text *t)
{
    uint64_t low = 0, high = key_count;
    while (low < high) {
        uint64_t m = low + (high - low) / 2;
        if (text_compare(&keys[m], t) < 0)
            low = m + 1;
        else
            high = m;
    }
    return low;
}

/* From a key or from between keys, some entries on, forwards or back; perhaps to a bound. */
static void scan_some(omen_db *db, struct rng *r, const char *what)
{
    omen_read_options ro = {.struct_bytes = sizeof(ro)};
    omen_iter *it;
    bool forward = rng_one_in(r, 2), at_key = rng_one_in(r, 3), bound = rng_one_in(r, 2);
    uint64_t i = rng_below(r, key_count), steps = 1 + rng_below(r, 12);
    const struct text *from = at_key ? &keys[i] : &absent[i];
    uint64_t at = first_from(from); /* key_count and beyond: past either end */
    if (!forward && !at_key)
        at--;
    if (bound && forward) {
        ro.flags |= OMEN_HAS_UPPER;
        ro.upper = at + steps < key_count ? slice_of(&keys[at + steps]) : omi_slice("\xff\xff", 2);
    } else if (bound) {
        ro.flags |= OMEN_HAS_LOWER;
        ro.lower = at < key_count && at >= steps ? slice_of(&keys[at - steps]) : omi_slice("", 0);
    }
    CHECK_OK(omen_iter_open(db, &ro, &it));
    if (forward)
        omen_iter_seek(it, slice_of(from));
    else
        omen_iter_seek_for_prev(it, slice_of(from));
    for (; steps > 0 && at < key_count; steps--, at += forward ? 1 : UINT64_MAX) {
        omen_slice want = slice_of(&keys[at]);
        if (!omen_iter_valid(it) ||
            !omi_bytes_equal(omen_iter_key(it).data, omen_iter_key(it).size, want.data, want.size))
            fail_now("%s: a scan misses key %" PRIu64, what, at);
        if (forward)
            omen_iter_next(it);
        else
            omen_iter_prev(it);
        scanned++;
    }
    if (at >= key_count && omen_iter_valid(it))
        fail_now("%s: a scan shows a key past the last", what);
    CHECK_OK(omen_iter_status(it));
    omen_iter_close(it);
}

/* Of many keys one in some by a get, and all of the filters alone. */
static void ask_filters(omen_db *db, const char *what)
{
    const struct omi_version *v = db->view->version;
    for (uint32_t i = 0; i < v->run_count; i++) {
        const struct omi_run_view *run = &v->runs[i];
        for (uint64_t k = 0; k < key_count; k++) {
            if (i + 1 < v->run_count && k % 7 != 0)
                continue; /* not in the upper run */
            omen_slice key = slice_of(&keys[k]);
            int64_t at = omi_run_find(run, &db->tenv.order, key);
            if (at < 0 ||
                !omi_table_may_hold(run->tables[at], key, omi_key_hash(key.data, key.size), NULL))
                fail_now("%s: a table denies key %" PRIu64, what, k);
        }
    }
}

static void ask_all(omen_db *db, struct rng *r, const char *what)
{
    uint64_t step = key_count > 1000 ? 29 : 1;
    ask_filters(db, what);
    for (uint64_t i = rng_below(r, step); i < key_count; i += step)
        ask_one(db, i, what);
    for (int i = 0; i < SCANS; i++)
        scan_some(db, r, what);
}

/* ---- the sweep ------------------------------------------------------------------------------- */

struct place {
    char name[OMI_FILE_NAME_BYTES];
    const char *section;
    uint64_t off, size;
};
struct places {
    struct place at[32];
    uint32_t count;
};

static void places_find(omen_db *db, struct places *out)
{
    static const struct {
        enum omi_table_section section;
        const char *name;
    } wanted[] = {{OMI_SECTION_FILTER, "filter"}, {OMI_SECTION_RANGE_FILTER, "range filter"}};
    const struct omi_version *v = db->view->version;
    for (uint32_t i = 0; i < v->run_count; i++)
        for (uint32_t j = 0; j < v->runs[i].table_count; j++)
            for (size_t s = 0; s < 2; s++) {
                const struct omi_table *t = v->runs[i].tables[j];
                const struct omi_section_place *p = &t->footer.sections[wanted[s].section];
                if (p->size == 0 || out->count == 32)
                    continue;
                struct place *at = &out->at[out->count++];
                memcpy(at->name, t->name, sizeof(at->name));
                at->section = wanted[s].name;
                at->off = p->off;
                at->size = p->size;
            }
}

static uint64_t detected, harmless;

static void sweep_bit(struct omi_env *env, const struct kind *kind, const struct place *p,
                      uint64_t bit, struct rng *r)
{
    char what[160];
    snprintf(what, sizeof(what), "%s: %s, %s section, bit %" PRIu64, kind->name, p->name,
             p->section, bit);
    CHECK_OK(omi_sim_damage(env, "/db", p->name, p->off + bit / 8, (unsigned)(bit % 8)));
    omen_db *db = open_db(env, kind, OMEN_OPEN_READ_ONLY);
    ask_all(db, r, what);
    if (db->tenv.filters_dropped + db->tenv.filter_memory.damaged != 0)
        detected++;
    else
        harmless++;
    CHECK_OK(omen_close(db));
    CHECK_OK(omi_sim_damage(env, "/db", p->name, p->off + bit / 8, (unsigned)(bit % 8)));
}

/* What was made is what the kind is called. */
static void kind_check(const struct kind *kind, omen_db *db)
{
    const struct omi_filter_info *i = &largest;
    bool planned = kind->make == make_planned;
    struct omi_table_filter *top = &db->view->version->runs[0].tables[0]->filter;
    struct omi_range_info range = {.kind = OMI_RANGE_NONE};
    const struct omi_range_filter *filter = atomic_load(&top->range);
    if (filter != NULL)
        omi_range_filter_describe(filter, atomic_load(&top->parts[top->point_parts].bytes), &range);
    if (range.kind != kind->range)
        fail_now("%s: the range filter is of kind %d", kind->name, (int)range.kind);
    if (kind->policy != NULL && db->tenv.filters_declined + db->tenv.filters_wrong != 0)
        fail_now("%s: the policy's filters were not kept", kind->name);
    if (((kind->features & MIX_GAPS) != 0 && i->gaps == 0) ||
        ((kind->features & MIX_PARTS) != 0 && i->parts < 2) ||
        ((kind->features & MIX_RIBBON) != 0 && i->kind != OMI_FILTER_RIBBON) ||
        ((kind->features & MIX_PREFIX) != 0 && i->prefix_bytes == 0) ||
        ((kind->features & MIX_DENY) != 0 && i->denied == 0) ||
        (planned && i->why != OMI_FILTER_WHY_GAIN))
        fail_now(
            "%s: the filter has %u regions, %u gaps, %u parts, %u prefix bytes, %u denied, why "
            "%d",
            kind->name, i->regions, i->gaps, i->parts, i->prefix_bytes, i->denied, (int)i->why);
}

static uint64_t sweep_kind(const struct kind *kind, uint64_t step)
{
    struct rng r = {seed * 100 + (uint64_t)(kind - kinds)};
    struct omi_env *env = omi_sim_create(rng_next(&r));
    struct places places = {.count = 0};
    uint64_t bits = 0, bytes = 0, detected_before = detected;
    if (env == NULL)
        fail_now("no memory");
    features = kind->features;
    options_now = kind->options;
    largest = (struct omi_filter_info){0};
    make_keys(kind, &r);
    omen_db *db = open_db(env, kind, OMEN_CREATE_IF_MISSING);
    fill(db, kind->range);
    kind_check(kind, db);
    CHECK_OK(omen_close(db));
    db = open_db(env, kind, OMEN_OPEN_READ_ONLY);
    ask_all(db, &r, kind->name);
    places_find(db, &places);
    CHECK_OK(omen_close(db));
    if (places.count < (kind->range != OMI_RANGE_NONE ? 1 : 2))
        fail_now("%s: there are %u filters", kind->name, places.count);
    for (uint32_t i = 0; i < places.count; i++) {
        const struct place *p = &places.at[i];
        for (uint64_t bit = rng_below(&r, step); bit < p->size * 8; bit += step, bits++)
            sweep_bit(env, kind, p, bit, &r);
        bytes += p->size;
    }
    omi_sim_destroy(env);
    printf("filter_sweep: %-16s %u sections of %" PRIu64 " bytes, %" PRIu64
           " bits flipped, %" PRIu64 " detected\n",
           kind->name, places.count, bytes, bits, detected - detected_before);
    fflush(stdout);
    return bits;
}

int main(int argc, char **argv)
{
    uint64_t step = 1, bits = 0;
    const char *only = NULL;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--step") == 0)
            step = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--kind") == 0)
            only = argv[i + 1];
    }
    if (step == 0)
        step = 1;
    for (size_t k = 0; k < KINDS; k++) {
        if (only != NULL && strcmp(only, kinds[k].name) != 0)
            continue;
        replay_set("filter_sweep --kind '%s' --step %" PRIu64 " --seed %" PRIu64, kinds[k].name,
                   step, seed);
        bits += sweep_kind(&kinds[k], step);
    }
    printf("filter_sweep: %" PRIu64 " bits flipped, %" PRIu64 " detected, %" PRIu64
           " harmless; %" PRIu64 " keys, %" PRIu64 " absent ones and %" PRIu64
           " scanned entries asked, 0 wrong answers\n",
           bits, detected, harmless, asked_keys, asked_absent, scanned);
    if (detected == 0)
        fail_now("nothing was detected: the run proves nothing");
    return 0;
}

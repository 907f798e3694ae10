/* The merge engine against a naive one, and its refusals. */
#include "compaction/merge.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(merge, .timeout = 30);

enum { KEY_MAX = 40, ENTRIES_MAX = 4000, SOURCES_MAX = 12 };

struct item { /* one entry of a test, owning its bytes */
    uint8_t key[KEY_MAX];
    uint32_t key_size, source;
    uint64_t trailer;
    uint32_t value; /* tells whose copy survived */
};

/* A source whose batches live in heap memory that dies at refill, so that a sanitizer sees every
 * late use. */
struct test_source {
    struct omi_merge_source base;
    const struct item *items;
    uint32_t count, at, batch_max;
    struct omi_entry *batch;
    uint8_t *bytes;
    uint32_t fail_at; /* refill number that fails; 0: none */
    uint32_t refills;
};

struct test_sink {
    struct omi_merge_sink base;
    struct item got[ENTRIES_MAX];
    bool first_of_key[ENTRIES_MAX];
    uint32_t count, quanta;
    uint32_t emit_fails_at, quantum_fails_at; /* 0: never */
};

static uint64_t random_state;
static uint64_t random_next(void)
{
    random_state += 0x9e3779b97f4a7c15u;
    uint64_t z = random_state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}
static uint32_t random_below(uint32_t n)
{
    return (uint32_t)(random_next() % n);
}

static void batch_free(struct test_source *s)
{
    free(s->batch);
    free(s->bytes);
    s->batch = NULL;
    s->bytes = NULL;
}

static omen_err source_refill(struct omi_merge_source *base)
{
    struct test_source *s = (struct test_source *)base;
    batch_free(s);
    if (++s->refills == s->fail_at)
        return omi_fail(OMEN_IO, 0, "test refill");
    uint32_t n = s->count - s->at;
    if (n > s->batch_max)
        n = 1 + random_below(s->batch_max);
    base->count = n;
    if (n == 0)
        return OMEN_OK;
    s->batch = malloc(n * sizeof(*s->batch));
    s->bytes = malloc((size_t)n * KEY_MAX);
    for (uint32_t i = 0; i < n; i++) {
        const struct item *item = &s->items[s->at + i];
        uint8_t *key = s->bytes + (size_t)i * KEY_MAX;
        memcpy(key, item->key, KEY_MAX);
        s->batch[i] = (struct omi_entry){
            .key = item->key_size != 0 ? key : NULL,
            .value = (const uint8_t *)&item->value,
            .trailer = item->trailer,
            .key_size = item->key_size,
            .value_size = sizeof(item->value),
        };
    }
    s->at += n;
    base->entries = s->batch;
    return OMEN_OK;
}

static omen_err sink_emit(struct omi_merge_sink *base, const struct omi_entry *e, bool first)
{
    struct test_sink *s = (struct test_sink *)base;
    cr_assert_lt(s->count, ENTRIES_MAX);
    struct item *item = &s->got[s->count];
    memset(item, 0, sizeof(*item));
    if (e->key_size != 0)
        memcpy(item->key, e->key, e->key_size);
    item->key_size = e->key_size;
    item->trailer = e->trailer;
    memcpy(&item->value, e->value, sizeof(item->value));
    s->first_of_key[s->count++] = first;
    if (s->count == s->emit_fails_at)
        return omi_fail(OMEN_FULL, 0, "test emit");
    return OMEN_OK;
}

static omen_err sink_quantum(struct omi_merge_sink *base)
{
    struct test_sink *s = (struct test_sink *)base;
    if (++s->quanta == s->quantum_fails_at)
        return omi_fail(OMEN_ABORTED, 0, "test quantum");
    return OMEN_OK;
}

static int reverse_compare(void *context, omen_slice a, omen_slice b)
{
    (void)context;
    return omi_bytes_compare(b.data, b.size, a.data, a.size);
}
static const omen_comparator reverse = {"reverse", reverse_compare, NULL};

static struct omi_order test_order;
static int item_compare(const void *va, const void *vb)
{
    const struct item *a = va, *b = vb;
    int c = omi_internal_compare(&test_order, omi_slice(a->key, a->key_size), a->trailer,
                                 omi_slice(b->key, b->key_size), b->trailer);
    return c != 0 ? c : (a->source > b->source) - (a->source < b->source);
}
static bool same_key(const struct item *a, const struct item *b)
{
    return omi_bytes_equal(a->key, a->key_size, b->key, b->key_size);
}

static bool holds_below(void *ctx, omen_slice key)
{
    uint32_t sum = *(const uint32_t *)ctx;
    const uint8_t *p = key.data;
    for (size_t i = 0; i < key.size; i++)
        sum = sum * 31 + p[i];
    return sum % 3 == 0;
}

/* Says of every version who can see it, without looking at its neighbours' stripes. */
static uint32_t naive_merge(struct item *all, uint32_t count, const struct omi_merge_params *params,
                            struct item *out)
{
    uint32_t kept = 0;
    uint64_t newest = params->snapshots[params->snapshot_count - 1];
    qsort(all, count, sizeof(*all), item_compare);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t seq = omi_trailer_seq(all[i].trailer);
        bool duplicate =
            i != 0 && same_key(&all[i], &all[i - 1]) && all[i].trailer == all[i - 1].trailer;
        bool seen = seq > newest;
        for (uint32_t s = 0; s < params->snapshot_count && !seen; s++) {
            if (seq > params->snapshots[s])
                continue;
            seen = true;
            for (uint32_t k = 0; k < i; k++)
                if (same_key(&all[k], &all[i]) &&
                    omi_trailer_seq(all[k].trailer) <= params->snapshots[s])
                    seen = false;
        }
        bool needless =
            omi_trailer_kind(all[i].trailer) == OMI_KIND_DELETE && seq <= params->snapshots[0] &&
            params->older_may_hold != NULL &&
            !params->older_may_hold(params->older_ctx, omi_slice(all[i].key, all[i].key_size));
        if (seen && !duplicate && !needless)
            out[kept++] = all[i];
    }
    return kept;
}

static void key_make(struct item *item, uint32_t key_space, uint32_t prefix, bool long_tails)
{
    uint32_t v = random_below(key_space);
    memset(item->key, 0, sizeof(item->key));
    memset(item->key, 'p', prefix);
    item->key_size = prefix;
    if (long_tails) { /* equal heads, different keys; zeros that padding must not hide */
        uint32_t zeros = v % 13;
        item->key_size += zeros;
        if (v % 3 != 0)
            item->key[item->key_size++] = (uint8_t)(v >> 4);
    } else {
        item->key[item->key_size++] = v % 5 == 0 ? 0xff : (uint8_t)(v >> 8);
        item->key[item->key_size++] = v % 35 == 0 ? 0xff : (uint8_t)v; /* heads of all ones, too */
        if (v % 7 == 0) {
            memset(item->key + item->key_size, 0xff, 8);
            item->key_size += 8;
        }
    }
}

static uint32_t source_fill(struct item *items, uint32_t count, uint32_t source, uint32_t key_space,
                            uint32_t prefix, uint32_t seq_max)
{
    bool long_tails = random_below(3) == 0;
    for (uint32_t i = 0; i < count; i++) {
        key_make(&items[i], key_space, prefix, long_tails);
        uint64_t seq = 1 + random_below(seq_max);
        items[i].trailer = omi_trailer(seq, seq % 3 == 0 ? OMI_KIND_DELETE : OMI_KIND_PUT);
        items[i].source = source;
        items[i].value = (uint32_t)random_next();
    }
    qsort(items, count, sizeof(*items), item_compare);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (kept == 0 || !same_key(&items[i], &items[kept - 1]) ||
            items[i].trailer != items[kept - 1].trailer)
            items[kept++] = items[i];
    return kept;
}

#define CHECK(condition, seed)                                                                     \
    cr_assert(condition, "seed %" PRIu64 "; replay: OMENDB_TEST_SEED=%" PRIu64 " test_merge",      \
              seed, seed)

static void merge_round(uint64_t seed)
{
    static struct item items[ENTRIES_MAX], all[ENTRIES_MAX], want[ENTRIES_MAX];
    static struct test_sink sink;
    struct test_source sources[SOURCES_MAX] = {0};
    struct omi_merge_source *list[SOURCES_MAX];
    random_state = seed;
    test_order.comparator = random_below(4) == 0 ? &reverse : NULL;
    uint32_t source_count = 1 + random_below(SOURCES_MAX), used = 0;
    uint32_t prefix = random_below(2) * random_below(12), seq_max = 1 + random_below(60);
    uint32_t key_space = 1 + random_below(200);
    for (uint32_t i = 0; i < source_count; i++) {
        uint32_t n = source_fill(items + used, random_below(60), i, key_space, prefix, seq_max);
        sources[i] = (struct test_source){.base.refill = source_refill,
                                          .items = items + used,
                                          .count = n,
                                          .batch_max = 1 + random_below(20)};
        if (random_below(2) == 0) /* some sources come with their first batch loaded */
            cr_assert_eq(source_refill(&sources[i].base), OMEN_OK);
        list[i] = &sources[i].base;
        used += n;
    }
    uint64_t snapshots[6];
    uint32_t snapshot_count = 1 + random_below(6);
    for (uint32_t i = 0; i < snapshot_count; i++)
        snapshots[i] = (i == 0 ? 0 : snapshots[i - 1]) + random_below(20);
    if (random_below(2) == 0)
        snapshots[snapshot_count - 1] = OMI_SEQ_MAX;
    uint32_t salt = random_below(1000);
    struct omi_merge_params params = {.order = &test_order,
                                      .snapshots = snapshots,
                                      .snapshot_count = snapshot_count,
                                      .older_may_hold = random_below(4) ? holds_below : NULL,
                                      .older_ctx = &salt,
                                      .common_prefix = random_below(prefix + 1),
                                      .quantum_bytes = 100};
    memset(&sink, 0, sizeof(sink));
    sink.base = (struct omi_merge_sink){sink_emit, sink_quantum};
    memcpy(all, items, used * sizeof(items[0]));
    uint32_t want_count = naive_merge(all, used, &params, want);

    struct omi_merge_stats stats;
    cr_assert_eq(omi_merge_run(list, source_count, &sink.base, &params, &stats), OMEN_OK, "%s",
                 omen_last_error());
    CHECK(sink.count == want_count, seed);
    for (uint32_t i = 0; i < want_count; i++) {
        CHECK(same_key(&sink.got[i], &want[i]), seed);
        CHECK(sink.got[i].trailer == want[i].trailer, seed);
        CHECK(sink.got[i].value == want[i].value, seed);
        bool first = i == 0 || !same_key(&want[i], &want[i - 1]);
        CHECK(sink.first_of_key[i] == first, seed);
    }
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < used; i++)
        bytes += items[i].key_size + 4 + 8;
    CHECK(stats.entries_in == used, seed);
    CHECK(stats.entries_out == want_count, seed);
    CHECK(stats.bytes_in == bytes, seed);
    CHECK(stats.dropped_shadowed + stats.dropped_deletes == used - want_count, seed);
    CHECK(sink.quanta <= bytes / 100, seed);
    if (bytes > 1000)
        CHECK(sink.quanta > bytes / 200, seed);
    for (uint32_t i = 0; i < source_count; i++)
        batch_free(&sources[i]);
}

Test(merge, equals_a_naive_merge_for_random_sources)
{
    const char *text = getenv("OMENDB_TEST_SEED");
    if (text != NULL) {
        merge_round(strtoull(text, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= 2000; seed++)
        merge_round(seed);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static struct item item_of(const char *key, uint64_t seq, unsigned type)
{
    struct item item = {.key_size = (uint32_t)strlen(key), .trailer = omi_trailer(seq, type)};
    memcpy(item.key, key, item.key_size);
    return item;
}

static struct test_sink *plain_sink(void)
{
    static struct test_sink sink;
    memset(&sink, 0, sizeof(sink));
    sink.base = (struct omi_merge_sink){sink_emit, sink_quantum};
    return &sink;
}

static omen_err merge_two(const struct item *a, uint32_t a_count, const struct item *b,
                          uint32_t b_count, uint32_t batch_max, uint32_t prefix,
                          struct test_sink *sink, uint32_t fail_at)
{
    struct test_source s[2] = {
        {.base.refill = source_refill,
         .items = a,
         .count = a_count,
         .batch_max = batch_max,
         .fail_at = fail_at},
        {.base.refill = source_refill, .items = b, .count = b_count, .batch_max = batch_max}};
    struct omi_merge_source *list[2] = {&s[0].base, &s[1].base};
    uint64_t snapshot = OMI_SEQ_MAX;
    struct omi_order order = {NULL};
    struct omi_merge_params params = {.order = &order,
                                      .snapshots = &snapshot,
                                      .snapshot_count = 1,
                                      .common_prefix = prefix,
                                      .quantum_bytes = 1};
    struct omi_merge_stats stats;
    omen_err err = omi_merge_run(list, b_count != 0 ? 2 : 1, &sink->base, &params, &stats);
    batch_free(&s[0]);
    batch_free(&s[1]);
    return err;
}

Test(merge, an_unknown_type_is_unsupported)
{
    struct item a[] = {item_of("a", 1, OMI_KIND_PUT), item_of("b", 2, OMI_KIND_MERGE)};
    cr_assert_eq(merge_two(a, 2, NULL, 0, 9, 0, plain_sink(), 0), OMEN_UNSUPPORTED);
    a[1] = item_of("b", 2, OMI_KIND_PUT | OMI_TYPE_EXPIRY);
    cr_assert_eq(merge_two(a, 2, NULL, 0, 9, 0, plain_sink(), 0), OMEN_UNSUPPORTED);
}

Test(merge, a_source_out_of_order_is_corrupt_inside_a_batch_and_between_two)
{
    struct item keys[] = {item_of("b", 1, OMI_KIND_PUT), item_of("a", 2, OMI_KIND_PUT)};
    struct item versions[] = {item_of("a", 1, OMI_KIND_PUT), item_of("a", 2, OMI_KIND_PUT)};
    struct item twice[] = {item_of("a", 1, OMI_KIND_PUT), item_of("a", 1, OMI_KIND_PUT)};
    struct item other[] = {item_of("aa", 7, OMI_KIND_PUT), item_of("c", 8, OMI_KIND_PUT)};
    for (uint32_t batch = 1; batch <= 2; batch++) {
        for (uint32_t others = 0; others <= 2; others += 2) {
            cr_assert_eq(merge_two(keys, 2, other, others, batch, 0, plain_sink(), 0),
                         OMEN_CORRUPT);
            cr_assert_eq(merge_two(versions, 2, other, others, batch, 0, plain_sink(), 0),
                         OMEN_CORRUPT);
            cr_assert_eq(merge_two(twice, 2, other, others, batch, 0, plain_sink(), 0),
                         OMEN_CORRUPT);
        }
    }
}

Test(merge, a_key_without_the_promised_prefix_is_corrupt)
{
    struct item a[] = {item_of("user1", 1, OMI_KIND_PUT), item_of("usex", 2, OMI_KIND_PUT)};
    cr_assert_eq(merge_two(a, 2, NULL, 0, 9, 4, plain_sink(), 0), OMEN_CORRUPT);
    a[1] = item_of("us", 2, OMI_KIND_PUT);
    cr_assert_eq(merge_two(a, 2, NULL, 0, 9, 4, plain_sink(), 0), OMEN_CORRUPT);
    a[0] = a[1];
    cr_assert_eq(merge_two(a, 1, NULL, 0, 9, 4, plain_sink(), 0), OMEN_CORRUPT);
}

Test(merge, any_error_of_source_or_sink_stops_the_merge)
{
    struct item a[] = {item_of("a", 1, OMI_KIND_PUT), item_of("c", 2, OMI_KIND_PUT)};
    struct item b[] = {item_of("b", 3, OMI_KIND_PUT), item_of("d", 4, OMI_KIND_PUT)};
    for (uint32_t n = 1; n <= 2; n++) {
        cr_assert_eq(merge_two(a, 2, b, 2, 1, 0, plain_sink(), n), OMEN_IO);
        struct test_sink *sink = plain_sink();
        sink->emit_fails_at = n;
        cr_assert_eq(merge_two(a, 2, b, 2, 1, 0, sink, 0), OMEN_FULL);
        cr_assert_eq(sink->count, n);
        sink = plain_sink();
        sink->quantum_fails_at = n;
        cr_assert_eq(merge_two(a, 2, b, 2, 1, 0, sink, 0), OMEN_ABORTED);
        cr_assert_eq(sink->count, n);
    }
}

Test(merge, nothing_in_gives_nothing_out_and_no_snapshot_is_invalid)
{
    struct test_sink *sink = plain_sink();
    struct omi_order order = {NULL};
    uint64_t snapshot = 1;
    struct omi_merge_params params = {.order = &order, .snapshots = &snapshot, .snapshot_count = 1};
    struct omi_merge_stats stats;
    cr_assert_eq(omi_merge_run(NULL, 0, &sink->base, &params, &stats), OMEN_OK);
    struct item none;
    cr_assert_eq(merge_two(&none, 0, NULL, 0, 1, 0, sink, 0), OMEN_OK);
    cr_assert_eq(sink->count, 0);
    params.snapshot_count = 0;
    cr_assert_eq(omi_merge_run(NULL, 0, &sink->base, &params, &stats), OMEN_INVALID);
}

/* lab_filter_work.c - see lab_filter_work.h. Made keys are eight big-endian bytes. */
#include "tools/lab_filter_work.h"

#include "io/base/coding.h"
#include "io/base/hash.h"
#include "tools/keyset.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum shape {
    HASHED,
    HASHED_REPEATED,
    CLUSTERS,
    WIDE_CLUSTERS,
    CLUSTERS_BESIDE,
    HOT_PREFIXES_08,
    HOT_PREFIXES_10,
    HOT_PREFIXES_12,
    METRICS_MISSING,
    METRICS_PRESENT,
    METRICS_MIXED,
    NEWEST,
    SHAPES,
    FROM_FILE
};
static const struct {
    const char *name, *what;
} shapes[SHAPES] = {
    {"A", "hashed keys, lookups anywhere: nothing to learn"},
    {"A2", "hashed keys, a million absent ones asked for again and again (Zipf 0.99)"},
    {"B", "a thousand dense clusters, lookups anywhere between"},
    {"B2", "a thousand clusters over a quarter of the space, lookups anywhere between"},
    {"B3", "dense clusters, lookups beside keys: nothing to learn"},
    {"C0.8", "hashed keys, lookups under 4096 prefixes of unequal heat (Zipf 0.8)"},
    {"C1.0", "the same, Zipf 1.0"},
    {"C1.2", "the same, Zipf 1.2"},
    {"D1", "metric id and time, lookups of metrics that are not there"},
    {"D2", "metric id and time, lookups of other times of metrics that are: nothing to learn"},
    {"D3", "four fifths as D1, one fifth as D2"},
    {"E", "numbered keys, four fifths of the lookups on the newest tenth"},
};
enum {
    KEY_BYTES = 8,
    CLUSTER_COUNT = 1000,
    POINTS = 50, /* of a metric, 72 seconds apart */
    METRIC_STEP = 72,
    HOT_PREFIXES = 4096,
    POOL = 1 << 20,
    NUMBER_STEP = 1000, /* between ids */
    IDS_EACH = 100      /* ids in all, for each that is there */
};
static const uint64_t day_zero = 1700000000;

const char *omt_filter_work_names(void)
{
    return "A A2 B B2 B3 C0.8 C1.0 C1.2 D1 D2 D3 E";
}

/* ---- chance ---------------------------------------------------------------------------------- */

static uint64_t next(struct omt_filter_work *w)
{
    uint64_t z = w->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static uint64_t below(struct omt_filter_work *w, uint64_t n)
{
    return next(w) % n;
}

static int zipf_make(struct omt_filter_work *w, uint32_t count, double exponent)
{
    w->zipf = malloc(count * sizeof(*w->zipf));
    w->order = malloc(count * sizeof(*w->order));
    if (w->zipf == NULL || w->order == NULL)
        return -1;
    w->zipf_count = count;
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        w->zipf[i] = sum += pow(i + 1, -exponent);
        w->order[i] = i;
    }
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t j = (uint32_t)below(w, i + (uint64_t)1), t = w->order[i];
        w->order[i] = w->order[j];
        w->order[j] = t;
    }
    return 0;
}

/* A rank, 0 the most likely. */
static uint32_t zipf_draw(struct omt_filter_work *w)
{
    double at = (double)(next(w) >> 11) * 0x1p-53 * w->zipf[w->zipf_count - 1];
    uint32_t low = 0, high = w->zipf_count - 1;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (w->zipf[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void put_number(uint8_t *out, uint64_t v)
{
    for (int i = KEY_BYTES - 1; i >= 0; i--, v >>= 8)
        out[i] = (uint8_t)v;
}

static int compare_u64(const void *a, const void *b)
{
    uint64_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

static bool is_clusters(int shape)
{
    return shape == CLUSTERS || shape == WIDE_CLUSTERS || shape == CLUSTERS_BESIDE;
}

static bool is_metrics(int shape)
{
    return shape == METRICS_MISSING || shape == METRICS_PRESENT || shape == METRICS_MIXED;
}

static bool is_hot_prefixes(int shape)
{
    return shape == HOT_PREFIXES_08 || shape == HOT_PREFIXES_10 || shape == HOT_PREFIXES_12;
}

static int metrics_make(struct omt_filter_work *w, uint32_t count)
{
    w->metrics_known = (count + POINTS - 1) / POINTS;
    w->metrics_all = 10 * w->metrics_known;
    w->metrics = malloc(w->metrics_all * sizeof(*w->metrics));
    if (w->metrics == NULL)
        return -1;
    for (uint32_t i = 0; i < w->metrics_all; i++)
        w->metrics[i] = (uint32_t)next(w);
    return 0;
}

static void numbers_draw(struct omt_filter_work *w, uint32_t count)
{
    uint64_t width = w->shape == WIDE_CLUSTERS ? UINT64_MAX / 10 * 3 / CLUSTER_COUNT : 1ull << 40;
    uint64_t base = 0, each = (count + CLUSTER_COUNT - 1) / CLUSTER_COUNT;
    for (uint32_t i = 0; i < count; i++) {
        if (is_clusters(w->shape)) {
            if (i % each == 0)
                base = next(w);
            w->numbers[i] = base + below(w, width);
        } else if (is_metrics(w->shape)) {
            uint64_t metric = w->metrics[i / POINTS];
            w->numbers[i] = metric << 32 | (day_zero + METRIC_STEP * (i % POINTS) + metric % 10);
        } else if (w->shape == NEWEST) {
            w->numbers[i] = below(w, (uint64_t)count * IDS_EACH) * NUMBER_STEP;
        } else {
            w->numbers[i] = next(w);
        }
    }
}

static void numbers_sort(struct omt_filter_work *w, uint32_t count)
{
    qsort(w->numbers, count, sizeof(*w->numbers), compare_u64);
    for (uint32_t i = 0; i < count; i++)
        if (w->count == 0 || w->numbers[i] != w->numbers[w->count - 1])
            w->numbers[w->count++] = w->numbers[i];
}

static int keys_of_numbers(struct omt_filter_work *w)
{
    w->bytes = malloc((size_t)w->count * KEY_BYTES);
    w->keys = malloc(w->count * sizeof(*w->keys));
    w->hashes = malloc(w->count * sizeof(*w->hashes));
    if (w->bytes == NULL || w->keys == NULL || w->hashes == NULL)
        return -1;
    for (uint32_t i = 0; i < w->count; i++) {
        uint8_t *key = w->bytes + (size_t)i * KEY_BYTES;
        put_number(key, w->numbers[i]);
        w->keys[i] = (struct omi_index_key){.key = key, .trailer = 1, .key_size = KEY_BYTES};
        w->hashes[i] = omi_key_hash(key, KEY_BYTES);
    }
    return 0;
}

static int lookups_prepare(struct omt_filter_work *w)
{
    static const double exponents[] = {0.8, 1.0, 1.2};
    if (is_hot_prefixes(w->shape))
        return zipf_make(w, HOT_PREFIXES, exponents[w->shape - HOT_PREFIXES_08]);
    if (w->shape != HASHED_REPEATED)
        return 0;
    w->pool = malloc(POOL * sizeof(*w->pool));
    if (w->pool == NULL)
        return -1;
    for (uint32_t i = 0; i < POOL; i++)
        w->pool[i] = next(w);
    return zipf_make(w, POOL, 0.99);
}

int omt_filter_work_make(const char *name, uint32_t count, uint64_t seed,
                         struct omt_filter_work *out, const char **why_out)
{
    int shape = 0;
    while (shape < SHAPES && strcmp(shapes[shape].name, name) != 0)
        shape++;
    *out = (struct omt_filter_work){0};
    if (shape == SHAPES) {
        *why_out = "no such shape";
        return -1;
    }
    *out = (struct omt_filter_work){.name = shapes[shape].name,
                                    .what = shapes[shape].what,
                                    .shape = shape,
                                    .state = seed * 1000003 + (uint64_t)shape};
    *why_out = "out of memory";
    out->numbers = malloc(count * sizeof(*out->numbers));
    if (out->numbers == NULL || (is_metrics(shape) && metrics_make(out, count) != 0)) {
        omt_filter_work_free(out);
        return -1;
    }
    numbers_draw(out, count);
    numbers_sort(out, count);
    if (keys_of_numbers(out) != 0 || lookups_prepare(out) != 0) {
        omt_filter_work_free(out);
        return -1;
    }
    return 0;
}

int omt_filter_work_even(uint32_t count, uint64_t seed, struct omt_filter_work *out,
                         const char **why_out)
{
    *out = (struct omt_filter_work){
        .name = "even", .what = "keys of even steps", .shape = HASHED, .state = seed};
    *why_out = "out of memory";
    out->numbers = malloc(count * sizeof(*out->numbers));
    uint64_t step = UINT64_MAX / count;
    if (out->numbers != NULL)
        for (uint32_t i = 0; i < count; i++)
            out->numbers[i] = i * step + below(out, step);
    out->count = count;
    if (out->numbers == NULL || keys_of_numbers(out) != 0) {
        omt_filter_work_free(out);
        return -1;
    }
    return 0;
}

void omt_filter_work_free(struct omt_filter_work *w)
{
    free(w->keys);
    free(w->hashes);
    free(w->numbers);
    free(w->bytes);
    free(w->metrics);
    free(w->pool);
    free(w->zipf);
    free(w->order);
    omt_asked_free(&w->lookups);
    *w = (struct omt_filter_work){0};
}

/* ---- keys and lookups of files --------------------------------------------------------------- */

static bool is_key(const struct omt_filter_work *w, const uint8_t *data, uint32_t size)
{
    uint32_t low = 0, high = w->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct omi_index_key *k = &w->keys[middle];
        int order = omi_bytes_compare(k->key, k->key_size, data, size);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* In the order of the file: omt_keyset_load would sort them. */
static int lookups_read(struct omt_filter_work *w, FILE *in)
{
    char *line = NULL;
    size_t room = 0, bytes_room = 0, list_room = 0, used = 0;
    struct omt_asked_list *l = &w->lookups;
    ssize_t n;
    int code = 0;
    while (code == 0 && (n = getline(&line, &room, in)) >= 0) {
        size_t size = (size_t)n;
        while (size > 0 && (line[size - 1] == '\n' || line[size - 1] == '\r'))
            size--;
        if (size == 0 || size > UINT16_MAX || is_key(w, (const uint8_t *)line, (uint32_t)size))
            continue;
        if (used + size > bytes_room || l->count == list_room) {
            bytes_room = 2 * (used + size);
            list_room = 2 * (l->count + 512);
            uint8_t *bytes = realloc(l->bytes, bytes_room);
            l->bytes = bytes != NULL ? bytes : l->bytes;
            struct omt_asked *at = realloc(l->at, list_room * sizeof(*at));
            l->at = at != NULL ? at : l->at;
            code = bytes == NULL || at == NULL ? -1 : 0;
        }
        if (code != 0)
            break;
        memcpy(l->bytes + used, line, size);
        l->at[l->count++] = (struct omt_asked){NULL, (uint32_t)size, omi_key_hash(line, size)};
        used += size;
    }
    used = 0;
    for (size_t i = 0; i < l->count; used += l->at[i++].size)
        l->at[i].data = l->bytes + used;
    free(line);
    return code;
}

int omt_filter_work_load(const char *keys, const char *lookups, uint64_t seed,
                         struct omt_filter_work *out, const char **why_out)
{
    struct omt_keyset set;
    *out = (struct omt_filter_work){.name = "file",
                                    .what = lookups != NULL ? "keys and lookups of files"
                                                            : "keys of a file, lookups beside them",
                                    .shape = FROM_FILE,
                                    .state = seed};
    if (omt_keyset_load(keys, &set, why_out) != 0)
        return -1;
    *why_out = set.count == 0 ? "no keys" : "out of memory";
    out->count = (uint32_t)set.count;
    out->bytes = set.bytes;
    out->keys = malloc((set.count + 1) * sizeof(*out->keys));
    out->hashes = malloc((set.count + 1) * sizeof(*out->hashes));
    bool failed =
        set.count == 0 || set.count > UINT32_MAX / 2 || out->keys == NULL || out->hashes == NULL;
    for (size_t i = 0; i < set.count && !failed; i++) {
        out->keys[i] = (struct omi_index_key){
            .key = set.keys[i].data, .trailer = 1, .key_size = set.keys[i].size};
        out->hashes[i] = omi_key_hash(set.keys[i].data, set.keys[i].size);
    }
    free(set.keys);
    if (!failed && lookups != NULL) {
        FILE *in = fopen(lookups, "rb");
        failed = in == NULL;
        *why_out = failed ? "the file of lookups cannot be opened" : *why_out;
        if (in != NULL) {
            failed = lookups_read(out, in) != 0;
            fclose(in);
        }
    }
    if (failed)
        omt_filter_work_free(out);
    return failed ? -1 : 0;
}

/* ---- lookups --------------------------------------------------------------------------------- */

static uint64_t time_of(struct omt_filter_work *w)
{
    return day_zero + below(w, METRIC_STEP * POINTS);
}

static uint64_t metric_key(struct omt_filter_work *w, bool known)
{
    uint64_t id =
        known
            ? w->metrics[below(w, w->metrics_known)]
            : w->metrics[w->metrics_known + below(w, (uint64_t)w->metrics_all - w->metrics_known)];
    return id << 32 | time_of(w);
}

static uint64_t beside_key(struct omt_filter_work *w)
{
    return w->numbers[below(w, w->count)] + 1 + below(w, 1000);
}

static uint64_t newest_key(struct omt_filter_work *w, bool drifted)
{
    uint64_t ids = w->numbers[w->count - 1] / NUMBER_STEP + 1, hot = ids / 10;
    uint64_t from = drifted ? 0 : ids - hot;
    return (below(w, 10) < 8 ? from + below(w, hot) : below(w, ids)) * NUMBER_STEP;
}

static uint64_t candidate(struct omt_filter_work *w, enum omt_asking how)
{
    uint64_t first = w->numbers[0], span = w->numbers[w->count - 1] - first;
    bool drifted = how == OMT_ASK_DRIFTED;
    if (how == OMT_ASK_LIKE_KEYS)
        return beside_key(w);
    switch (w->shape) {
    case HASHED_REPEATED:
        return w->pool[(w->order[zipf_draw(w)] + (drifted ? POOL / 2 : 0)) % POOL];
    case CLUSTERS:
    case WIDE_CLUSTERS:
        return drifted ? beside_key(w) : first + below(w, span);
    case CLUSTERS_BESIDE:
        return drifted ? first + below(w, span) : beside_key(w);
    case HOT_PREFIXES_08:
    case HOT_PREFIXES_10:
    case HOT_PREFIXES_12: {
        uint32_t prefix = w->order[zipf_draw(w)];
        if (drifted)
            prefix = prefix * 2654435761u >> 20;
        return (uint64_t)prefix << 52 | next(w) >> 12;
    }
    case METRICS_MISSING:
        return metric_key(w, drifted);
    case METRICS_PRESENT:
        return metric_key(w, !drifted);
    case METRICS_MIXED:
        return metric_key(w, drifted || below(w, 10) >= 8);
    case NEWEST:
        return newest_key(w, drifted);
    default:
        return next(w);
    }
}

static struct omt_asked_list ask_file(struct omt_filter_work *w, size_t count)
{
    size_t left = w->lookups.count - w->lookups_next;
    struct omt_asked_list l = {.count = count < left ? count : left};
    l.at = malloc((l.count + 1) * sizeof(*l.at));
    if (l.at != NULL && l.count != 0)
        memcpy(l.at, w->lookups.at + w->lookups_next, l.count * sizeof(*l.at));
    w->lookups_next += l.count;
    return l;
}

/* A key of the file with its last bytes changed, or with one more where all such are keys. */
static void beside_bytes(struct omt_filter_work *w, struct omt_asked *a, uint8_t *out)
{
    for (int tries = 0;; tries++) {
        const struct omi_index_key *k = &w->keys[below(w, w->count)];
        uint64_t chance = next(w);
        a->size = k->key_size;
        memcpy(out, k->key, k->key_size);
        for (uint32_t i = 0; i < 2 && i < k->key_size; i++)
            out[k->key_size - 1 - i] ^= (uint8_t)(chance >> 8 * i & (i == 0 ? 0x1f : 0x07));
        if (tries > 100)
            out[a->size++] = (uint8_t)(chance >> 32);
        if (!is_key(w, out, a->size))
            return;
    }
}

struct omt_asked_list omt_filter_work_ask(struct omt_filter_work *w, enum omt_asking how,
                                          size_t count)
{
    if (how != OMT_ASK_LIKE_KEYS && w->lookups.count != 0)
        return ask_file(w, count);
    struct omt_asked_list l = {.count = count};
    size_t room = KEY_BYTES;
    for (uint32_t i = 0; w->shape == FROM_FILE && i < w->count; i++)
        room = w->keys[i].key_size + 1u > room ? w->keys[i].key_size + 1u : room;
    l.at = malloc((count + 1) * sizeof(*l.at));
    l.bytes = malloc((count + 1) * room);
    if (l.at == NULL || l.bytes == NULL) {
        omt_asked_free(&l);
        return l;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t *key = l.bytes + i * room;
        l.at[i] = (struct omt_asked){.data = key, .size = KEY_BYTES};
        if (w->shape == FROM_FILE) {
            beside_bytes(w, &l.at[i], key);
        } else {
            uint64_t number = candidate(w, how);
            while (bsearch(&number, w->numbers, w->count, sizeof(number), compare_u64) != NULL)
                number = candidate(w, how);
            put_number(key, number);
        }
        l.at[i].hash = omi_key_hash(key, l.at[i].size);
    }
    return l;
}

void omt_asked_free(struct omt_asked_list *list)
{
    free(list->at);
    free(list->bytes);
    *list = (struct omt_asked_list){0};
}

struct omi_filter_sample *omt_asked_samples(const struct omt_asked_list *list)
{
    struct omi_filter_sample *s = calloc(list->count + 1, sizeof(*s));
    for (size_t i = 0; s != NULL && i < list->count; i++) {
        const struct omt_asked *a = &list->at[i];
        s[i].hash = a->hash;
        s[i].key_size = (uint16_t)(a->size < UINT16_MAX ? a->size : UINT16_MAX);
        memcpy(s[i].head, a->data,
               a->size < OMI_SAMPLE_HEAD_BYTES ? a->size : OMI_SAMPLE_HEAD_BYTES);
    }
    return s;
}

/* filter_axis.c - keys and samples on one axis: digests, ranks, shared prefixes, repeats. */
#include "learned/filter_plan.h"

#include <stdlib.h>
#include <string.h>

/* ---- keys ------------------------------------------------------------------------------------ */

static size_t key_common(const struct omi_index_key *a, const struct omi_index_key *b)
{
    return omi_bytes_common(a->key, a->key_size, b->key, b->key_size);
}

/* From the first key with versions on, entries and keys are counted apart. */
static omen_err firsts_make(struct omi_plan_axis *a)
{
    a->firsts = malloc(a->input->count * sizeof(*a->firsts));
    if (a->firsts == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "planning a filter of %u keys", a->input->count);
    for (uint32_t i = 0; i < a->count; i++)
        a->firsts[i] = i;
    return OMEN_OK;
}

/* Distinct keys: an ascending list's new prefixes of length n are those that share fewer than n
 * bytes with the key before. */
static omen_err keys_take(struct omi_plan_axis *a)
{
    const struct omi_filter_input *in = a->input;
    a->digests = malloc(in->count * sizeof(*a->digests));
    if (a->digests == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "planning a filter of %u keys", in->count);
    uint32_t shorter[OMI_SAMPLE_HEAD_BYTES + 1] = {0}; /* keys that share exactly so many bytes */
    for (uint32_t i = 0; i < in->count; i++) {
        const struct omi_index_key *k = &in->keys[i];
        if (i > 0) {
            bool same_hash = in->hashes[i] == in->hashes[i - 1];
            size_t common = key_common(k, k - 1);
            if (same_hash && common == k->key_size && common == k[-1].key_size) {
                omen_err err = a->firsts == NULL ? firsts_make(a) : OMEN_OK;
                if (err != OMEN_OK)
                    return err;
                continue; /* an older version */
            }
            if (common < OMI_SAMPLE_HEAD_BYTES)
                shorter[common]++;
        }
        if (a->firsts != NULL)
            a->firsts[a->count] = i;
        a->digests[a->count++] = omi_digest_of(&a->digest, k->key, k->key_size);
    }
    uint32_t prefixes = 1;
    for (uint32_t n = 1; n <= OMI_SAMPLE_HEAD_BYTES; n++)
        a->prefixes[n] = prefixes += shorter[n - 1];
    return OMEN_OK;
}

static const struct omi_index_key *key_at(const struct omi_plan_axis *a, uint32_t rank)
{
    return &a->input->keys[a->firsts != NULL ? a->firsts[rank] : rank];
}

uint32_t omi_plan_rank(const struct omi_plan_axis *a, uint32_t x)
{
    uint32_t low = 0, high = a->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (a->digests[middle] < x)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- samples --------------------------------------------------------------------------------- */

static int compare_hash(const void *a, const void *b)
{
    const struct omi_filter_sample *x = *(struct omi_filter_sample *const *)a;
    const struct omi_filter_sample *y = *(struct omi_filter_sample *const *)b;
    return (x->hash > y->hash) - (x->hash < y->hash);
}

static int compare_digest(const void *a, const void *b)
{
    const struct omi_plan_sample *x = a, *y = b;
    return (x->digest > y->digest) - (x->digest < y->digest);
}

/* Marks in is_key the samples (ascending by hash) that have a key's hash: they were not absent. */
static omen_err keys_mark(const struct omi_filter_input *in,
                          struct omi_filter_sample const **sorted, uint32_t count, uint8_t *is_key)
{
    enum { CLASSES = 1 << 20 }; /* so many that few keys come further, so few that caches hold it */
    static const uint64_t one = 1;
    uint64_t *seen = calloc(CLASSES / 64, sizeof(*seen));
    if (seen == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "planning a filter with %u samples", count);
    for (uint32_t i = 0; i < count; i++)
        seen[sorted[i]->hash % CLASSES / 64] |= one << sorted[i]->hash % 64;
    for (uint32_t i = 0; i < in->count; i++) {
        uint64_t h = in->hashes[i];
        if ((seen[h % CLASSES / 64] >> h % 64 & 1) == 0)
            continue;
        uint32_t low = 0, high = count;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (sorted[middle]->hash < h)
                low = middle + 1;
            else
                high = middle;
        }
        for (; low < count && sorted[low]->hash == h; low++)
            is_key[low] = 1;
    }
    free(seen);
    return OMEN_OK;
}

static uint32_t head_size(const struct omi_filter_sample *s)
{
    return s->key_size < OMI_SAMPLE_HEAD_BYTES ? s->key_size : OMI_SAMPLE_HEAD_BYTES;
}

/* As far as the head shows: does the sample lie between the file's first and last key? */
static bool is_inside(const struct omi_plan_axis *a, const struct omi_filter_sample *s)
{
    const struct omi_index_key *first = &a->input->keys[0];
    const struct omi_index_key *last = &a->input->keys[a->input->count - 1];
    size_t n = head_size(s);
    size_t low = omi_bytes_common(s->head, n, first->key, first->key_size);
    size_t high = omi_bytes_common(s->head, n, last->key, last->key_size);
    bool cut = s->key_size > n;
    if (low < first->key_size && (low == n ? !cut : s->head[low] < first->key[low]))
        return false;
    return high == n || (high < last->key_size && s->head[high] < last->key[high]);
}

/* How many leading bytes the sample shares with the key that is nearest on the axis. */
static uint8_t known_bytes(const struct omi_plan_axis *a, const struct omi_plan_sample *p)
{
    const struct omi_filter_sample *s = p->from;
    uint32_t low = p->rank, high = p->rank, n = head_size(s);
    while (high < a->count && a->digests[high] == p->digest)
        high++;
    while (low < high) { /* keys of the same digest, by all their bytes */
        uint32_t middle = low + (high - low) / 2;
        const struct omi_index_key *k = key_at(a, middle);
        size_t common = omi_bytes_common(k->key, k->key_size, s->head, n);
        bool less = common < n && (common == k->key_size || k->key[common] < s->head[common]);
        if (less)
            low = middle + 1;
        else
            high = middle;
    }
    size_t best = 0;
    for (uint32_t i = low > 0 ? low - 1 : 0; i <= low && i < a->count; i++) {
        const struct omi_index_key *k = key_at(a, i);
        size_t common = omi_bytes_common(k->key, k->key_size, s->head, n);
        best = common > best ? common : best;
    }
    return (uint8_t)best;
}

static void half_place(const struct omi_plan_axis *a, struct omi_plan_sample *half, uint32_t count)
{
    qsort(half, count, sizeof(*half), compare_digest);
    for (uint32_t i = 0; i < count; i++) {
        half[i].rank = omi_plan_rank(a, half[i].digest);
        half[i].known = known_bytes(a, &half[i]);
    }
}

/* Samples in the order of their hashes, and what is known of each by its place in the sample. */
struct sightings {
    const struct omi_filter_sample *samples;
    struct omi_filter_sample const **sorted;
    uint8_t *is_key;   /* by place in sorted */
    uint8_t *dropped;  /* by place in the sample: it is a key's */
    uint8_t *repeated; /* often enough in the older half */
    uint32_t count;
};

static uint32_t run_end(const struct sightings *s, uint32_t from)
{
    uint32_t end = from + 1;
    while (end < s->count && s->sorted[end]->hash == s->sorted[from]->hash)
        end++;
    return end;
}

/* Runs of equal hashes, longest first. */
static void repeats_find(struct omi_plan_axis *a, const struct sightings *s)
{
    for (uint32_t least = 16; least >= 2; least /= 2)
        for (uint32_t i = 0, j; i < s->count; i = j) {
            j = run_end(s, i);
            if (!s->is_key[i] && j - i >= least && (least == 16 || j - i < 2 * least) &&
                a->repeated_count < OMI_PLAN_DENIED_MAX)
                a->repeated[a->repeated_count++] = s->sorted[i];
        }
}

/* Those that the older half, the samples before half, shows twice or more: no more of them than a
 * deny list could hold if the filter passed them all. */
static void repeats_mark(const struct sightings *s, size_t half)
{
    uint32_t marked = 0;
    for (uint32_t least = 16; least >= 2; least /= 2)
        for (uint32_t i = 0, j; i < s->count; i = j) {
            uint32_t older = 0;
            j = run_end(s, i);
            for (uint32_t at = i; at < j && j - i >= least; at++)
                older += (size_t)(s->sorted[at] - s->samples) < half;
            if (s->is_key[i] || older < least || (least < 16 && older >= 2 * least) ||
                marked == OMI_FILTER_DENIED_MAX)
                continue;
            marked++;
            for (uint32_t at = i; at < j; at++)
                s->repeated[s->sorted[at] - s->samples] = 1;
        }
}

/* The usable samples, the older half of them in the older half. */
static void samples_place(struct omi_plan_axis *a, const struct sightings *s)
{
    bool visible =
        a->digest.strip < OMI_SAMPLE_HEAD_BYTES && a->digests[0] != a->digests[a->count - 1];
    for (uint32_t i = 0; i < s->count; i++)
        if (visible && !s->dropped[i] && is_inside(a, &s->samples[i]))
            a->older[a->usable++] = (struct omi_plan_sample){
                .digest = omi_digest_of(&a->digest, s->samples[i].head, head_size(&s->samples[i])),
                .from = &s->samples[i]};
    a->older_count = a->usable / 2;
    a->newer = a->older + a->older_count;
    a->newer_count = a->usable - a->older_count;
    if (a->usable != 0)
        repeats_mark(s, (size_t)(a->newer->from - s->samples));
    for (uint32_t i = 0; i < a->usable; i++)
        a->older[i].repeated = s->repeated[a->older[i].from - s->samples] != 0;
    half_place(a, a->older, a->older_count);
    half_place(a, a->newer, a->newer_count);
}

static omen_err samples_take(struct omi_plan_axis *a, const struct omi_filter_sample *samples,
                             uint32_t count)
{
    struct sightings s = {.samples = samples, .count = count};
    uint8_t *marks = calloc(count + (size_t)1, 3);
    s.sorted = calloc(count + (size_t)1, sizeof(*s.sorted));
    a->older = calloc(count + (size_t)1, sizeof(*a->older));
    a->repeated = calloc(OMI_PLAN_DENIED_MAX, sizeof(*a->repeated));
    omen_err err = OMEN_OK;
    if (marks == NULL || s.sorted == NULL || a->older == NULL || a->repeated == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "planning a filter with %u samples", count);
    if (err != OMEN_OK)
        goto free_all;
    s.is_key = marks;
    s.dropped = marks + count;
    s.repeated = s.dropped + count;
    for (uint32_t i = 0; i < count; i++)
        s.sorted[i] = &samples[i];
    qsort(s.sorted, count, sizeof(*s.sorted), compare_hash);
    err = keys_mark(a->input, s.sorted, count, s.is_key);
    if (err != OMEN_OK)
        goto free_all;
    for (uint32_t i = 0; i < count; i++)
        s.dropped[s.sorted[i] - samples] = s.is_key[i];
    repeats_find(a, &s);
    samples_place(a, &s);
free_all:
    free(s.sorted);
    free(marks);
    return err;
}

omen_err omi_plan_axis_init(struct omi_plan_axis *a, const struct omi_filter_input *input,
                            const struct omi_filter_sample *samples, size_t count)
{
    const struct omi_index_key *first = &input->keys[0], *last = &input->keys[input->count - 1];
    *a = (struct omi_plan_axis){.input = input,
                                .digest = omi_digest_make(omi_slice(first->key, first->key_size),
                                                          omi_slice(last->key, last->key_size))};
    if (count > OMI_PLAN_SAMPLES_MAX) { /* the newest */
        samples += count - OMI_PLAN_SAMPLES_MAX;
        count = OMI_PLAN_SAMPLES_MAX;
    }
    omen_err err = keys_take(a);
    if (err == OMEN_OK)
        err = samples_take(a, samples, (uint32_t)count);
    return err;
}

void omi_plan_axis_fini(struct omi_plan_axis *a)
{
    free(a->digests);
    free(a->firsts);
    free(a->older);
    free(a->repeated);
}

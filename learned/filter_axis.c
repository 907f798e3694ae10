/* filter_axis.c - keys and samples on one axis: digests, ranks, shared prefixes, repeats. */
#include "learned/filter_plan.h"

#include <stdlib.h>
#include <string.h>

/* ---- keys ------------------------------------------------------------------------------------ */

static size_t key_common(const struct omi_index_key *a, const struct omi_index_key *b)
{
    return omi_bytes_common(a->key, a->key_size, b->key, b->key_size);
}

/* Distinct keys: an ascending list's new prefixes of length n are those that share fewer than n
 * bytes with the key before. */
static omen_err keys_take(struct omi_plan_axis *a)
{
    const struct omi_filter_input *in = a->input;
    a->digests = malloc(in->count * sizeof(*a->digests));
    a->firsts = malloc(in->count * sizeof(*a->firsts));
    if (a->digests == NULL || a->firsts == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "planning a filter of %u keys", in->count);
    uint32_t shorter[OMI_SAMPLE_HEAD_BYTES + 1] = {0}; /* keys that share exactly so many bytes */
    for (uint32_t i = 0; i < in->count; i++) {
        const struct omi_index_key *k = &in->keys[i];
        if (i > 0) {
            bool same_hash = in->hashes[i] == in->hashes[i - 1];
            size_t common = key_common(k, k - 1);
            if (same_hash && common == k->key_size && common == k[-1].key_size)
                continue; /* an older version */
            if (common < OMI_SAMPLE_HEAD_BYTES)
                shorter[common]++;
        }
        a->firsts[a->count] = i;
        a->digests[a->count++] = omi_digest_of(&a->digest, k->key, k->key_size);
    }
    uint32_t prefixes = 1;
    for (uint32_t n = 1; n <= OMI_SAMPLE_HEAD_BYTES; n++)
        a->prefixes[n] = prefixes += shorter[n - 1];
    return OMEN_OK;
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
static void keys_mark(const struct omi_filter_input *in, struct omi_filter_sample const **sorted,
                      uint32_t count, uint8_t *is_key)
{
    enum { CLASSES = 1 << 17 };
    static const uint64_t one = 1;
    uint64_t seen[CLASSES / 64];
    memset(seen, 0, sizeof(seen));
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
        const struct omi_index_key *k = &a->input->keys[a->firsts[middle]];
        size_t common = omi_bytes_common(k->key, k->key_size, s->head, n);
        bool less = common < n && (common == k->key_size || k->key[common] < s->head[common]);
        if (less)
            low = middle + 1;
        else
            high = middle;
    }
    size_t best = 0;
    for (uint32_t i = low > 0 ? low - 1 : 0; i <= low && i < a->count; i++) {
        const struct omi_index_key *k = &a->input->keys[a->firsts[i]];
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

/* Runs of equal hashes, longest first; sorted is ascending by hash. */
static void repeats_find(struct omi_plan_axis *a, struct omi_filter_sample const **sorted,
                         const uint8_t *is_key, uint32_t count)
{
    for (uint32_t least = 16; least >= 2; least /= 2)
        for (uint32_t i = 0, j; i < count; i = j) {
            for (j = i; j < count && sorted[j]->hash == sorted[i]->hash; j++)
                continue;
            if (!is_key[i] && j - i >= least && (least == 16 || j - i < 2 * least) &&
                a->repeated_count < OMI_FILTER_DENIED_MAX)
                a->repeated[a->repeated_count++] = sorted[i];
        }
}

static omen_err samples_take(struct omi_plan_axis *a, const struct omi_filter_sample *samples,
                             uint32_t count)
{
    struct omi_filter_sample const **sorted = calloc(count + 1, sizeof(*sorted));
    uint8_t *is_key = calloc(count + 1, 1), *dropped = calloc(count + 1, 1);
    a->older = calloc(count + 1, sizeof(*a->older));
    a->repeated = calloc(OMI_FILTER_DENIED_MAX, sizeof(*a->repeated));
    omen_err err = OMEN_OK;
    if (sorted == NULL || is_key == NULL || dropped == NULL || a->older == NULL ||
        a->repeated == NULL) {
        err = omi_fail(OMEN_NO_MEMORY, 0, "planning a filter with %u samples", count);
        goto free_all;
    }
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = &samples[i];
    qsort(sorted, count, sizeof(*sorted), compare_hash);
    keys_mark(a->input, sorted, count, is_key);
    for (uint32_t i = 0; i < count; i++)
        dropped[sorted[i] - samples] = is_key[i];
    repeats_find(a, sorted, is_key, count);
    bool visible =
        a->digest.strip < OMI_SAMPLE_HEAD_BYTES && a->digests[0] != a->digests[a->count - 1];
    for (uint32_t i = 0; i < count; i++)
        if (visible && !dropped[i] && is_inside(a, &samples[i]))
            a->older[a->usable++] = (struct omi_plan_sample){
                .digest = omi_digest_of(&a->digest, samples[i].head, head_size(&samples[i])),
                .from = &samples[i]};
    a->older_count = a->usable / 2;
    a->newer = a->older + a->older_count;
    a->newer_count = a->usable - a->older_count;
    half_place(a, a->older, a->older_count);
    half_place(a, a->newer, a->newer_count);
free_all:
    free(sorted);
    free(is_key);
    free(dropped);
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

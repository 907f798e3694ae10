/*
 * filter_cases.h - keys of many shapes, samples of many kinds and layouts by dice, for what tests
 * filters. Everything follows from the dice's seed.
 */
#ifndef OMI_FILTER_CASES_H
#define OMI_FILTER_CASES_H

#include "io/base/hash.h"
#include "learned/filter_layout.h"

#include <stdio.h>
#include <stdlib.h>

struct dice {
    uint64_t state;
};

static inline uint64_t dice_next(struct dice *d)
{
    uint64_t z = (d->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint32_t dice_below(struct dice *d, uint32_t n) /* [0, n), n >= 1 */
{
    return (uint32_t)(dice_next(d) % n);
}

static inline void *cases_alloc(size_t count, size_t size)
{
    void *p = calloc(count != 0 ? count : 1, size);
    if (p == NULL) {
        fprintf(stderr, "no memory\n");
        abort();
    }
    return p;
}

/* ---- keys -------------------------------------------------------------------------------------- */

enum { CASE_KEY_BYTES_MAX = 65535 };

struct case_keys {
    struct omi_index_key *keys;
    uint64_t *hashes;
    uint32_t count;
    uint8_t *bytes;
};

static inline struct omi_filter_input case_input(const struct case_keys *k)
{
    return (struct omi_filter_input){k->keys, k->hashes, k->count};
}

static inline void case_keys_free(struct case_keys *k)
{
    free(k->keys);
    free(k->hashes);
    free(k->bytes);
}

/* What a shape is, beside its family. */
struct case_shape {
    uint32_t family, stem, width, alphabet, clusters;
    uint64_t salt, stride;
};

enum case_family {
    CASE_TINY,      /* none to three bytes */
    CASE_DENSE,     /* numbers in steps */
    CASE_RANDOM,    /* eight random bytes */
    CASE_CLUSTERED, /* numbers around some places */
    CASE_STEM,      /* a long common prefix, a short end */
    CASE_DECIMAL,   /* text */
    CASE_ZEROS,     /* a stem and zero bytes: digests that are all equal */
    CASE_EDGES,     /* bytes 0x00 and 0xff, of many lengths */
    CASE_PAIRS,     /* a group number, then a number in it */
    CASE_HUGE,      /* up to the longest keys there are */
    CASE_NESTED,    /* each key extends some beginning of the one before */
    CASE_WORDS,     /* a small alphabet, of some length */
    CASE_SKEWED,    /* numbers of every magnitude */
    CASE_FAMILIES
};

/* One call of the dice a statement: their order within one is the compiler's. */
static inline struct case_shape case_shape_of(struct dice *d)
{
    struct case_shape s = {.family = dice_below(d, CASE_FAMILIES)};
    bool long_stem = dice_below(d, 4) == 0;
    s.stem = dice_below(d, long_stem ? 90 : 12);
    s.width = 1 + dice_below(d, 24);
    s.alphabet = 2 + dice_below(d, 30);
    s.clusters = dice_below(d, 200);
    s.salt = dice_next(d);
    s.stride = (uint64_t)1 << dice_below(d, 40);
    return s;
}

static inline size_t case_number(uint64_t v, uint8_t *out)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
    return 8;
}

/* One key; the last one made is before it in out. */
static inline size_t case_key(const struct case_shape *s, uint64_t i, size_t before, struct dice *d,
                              uint8_t *out)
{
    struct dice stem = {s->salt}, centre = {s->salt + 1 + dice_below(d, s->clusters + 1)};
    size_t n = 0, more;
    if (s->family == CASE_NESTED) {
        n = before != 0 ? dice_below(d, (uint32_t)before + 1) : 0;
        n = n > 200 ? 200 : n;
        for (more = dice_below(d, s->width); more > 0; more--)
            out[n++] = (uint8_t)(dice_below(d, s->alphabet) * 7);
        return n;
    }
    if (s->family != CASE_TINY && s->family != CASE_RANDOM)
        for (; n < s->stem; n++)
            out[n] = (uint8_t)dice_next(&stem);
    switch ((enum case_family)s->family) {
    case CASE_TINY:
        for (more = dice_below(d, 4); n < more; n++)
            out[n] = (uint8_t)dice_next(d);
        return n;
    case CASE_DENSE:
        return n + case_number(s->salt / 2 + i * s->stride, out + n);
    case CASE_CLUSTERED:
        return n + case_number(dice_next(&centre) + dice_next(d) % s->stride, out + n);
    case CASE_DECIMAL:
        return n + (size_t)snprintf((char *)out + n, 24, "%012llu",
                                    (unsigned long long)(dice_next(d) % (s->stride * 64)));
    case CASE_ZEROS:
        for (more = i % 3000; more > 0; more--)
            out[n++] = 0;
        return n;
    case CASE_EDGES:
        for (more = dice_below(d, s->width); more > 0; more--)
            out[n++] = dice_below(d, 2) != 0 ? 0xff : 0;
        return n;
    case CASE_PAIRS:
        case_number(dice_next(&centre), out + n);
        case_number(dice_next(d) % (s->stride + 1), out + n + 4);
        return n + 12;
    case CASE_HUGE:
        more = dice_below(d, 64) == 0 ? CASE_KEY_BYTES_MAX - n : dice_below(d, 300);
        memset(out + n, (int)s->width, more);
        n += more;
        for (size_t k = 0; k < 8 && k < more; k++)
            out[n - 1 - k] = (uint8_t)dice_next(d);
        return n;
    case CASE_STEM:
    case CASE_WORDS:
        for (more = 1 + s->width / 2 + dice_below(d, s->width); more > 0; more--)
            out[n++] = (uint8_t)('a' + dice_below(d, s->alphabet));
        return n;
    case CASE_SKEWED:
        more = dice_below(d, 64);
        return n + case_number(dice_next(d) >> more, out + n);
    default:
        return n + case_number(dice_next(d), out + n);
    }
}

static inline int case_key_compare(const void *a, const void *b)
{
    const struct omi_index_key *x = a, *y = b;
    return omi_bytes_compare(x->key, x->key_size, y->key, y->key_size);
}

/* About count entries, sorted; every versions-th key has more than one, 0: none has. */
static inline struct case_keys case_keys_make(const struct case_shape *s, uint32_t count,
                                              uint32_t versions, struct dice *d)
{
    static uint8_t key[CASE_KEY_BYTES_MAX + 128];
    struct case_keys k = {.keys = cases_alloc(2 * (size_t)count, sizeof(*k.keys)),
                          .hashes = cases_alloc(2 * (size_t)count, sizeof(*k.hashes))};
    size_t *offs = cases_alloc(count, sizeof(*offs)), used = 0, room = 0, n = 0;
    for (uint32_t i = 0; i < count; i++) {
        n = case_key(s, i, n, d, key);
        if (used + n + 1 > room) {
            room = 2 * room + n + 4096;
            k.bytes = realloc(k.bytes, room);
            if (k.bytes == NULL)
                abort();
        }
        memcpy(k.bytes + used, key, n);
        k.keys[i].key_size = (uint32_t)n;
        offs[i] = used;
        used += n;
    }
    for (uint32_t i = 0; i < count; i++)
        k.keys[i].key = k.bytes + offs[i];
    free(offs);
    qsort(k.keys, count, sizeof(*k.keys), case_key_compare);
    uint32_t distinct = 0;
    for (uint32_t i = 0; i < count; i++)
        if (distinct == 0 || case_key_compare(&k.keys[i], &k.keys[distinct - 1]) != 0)
            k.keys[distinct++] = k.keys[i];
    k.count = distinct;
    if (versions != 0) { /* from the end, so that each moves once */
        uint32_t twice = 0;
        for (uint32_t i = 0; i < distinct; i++)
            twice += i % versions == 0;
        k.count = distinct + twice;
        for (uint32_t i = distinct, to = k.count; i-- > 0;) {
            struct omi_index_key one = k.keys[i];
            k.keys[--to] = one;
            if (i % versions == 0)
                k.keys[--to] = one;
        }
    }
    for (uint32_t i = 0; i < k.count; i++) {
        k.keys[i].trailer = k.count - i;
        k.hashes[i] = omi_key_hash(k.keys[i].key, k.keys[i].key_size);
    }
    return k;
}

/* ---- samples ----------------------------------------------------------------------------------- */

enum case_samples {
    SAMPLES_NONE,
    SAMPLES_RANDOM,      /* keys of the same shape, present or not */
    SAMPLES_ONE,         /* the same again and again */
    SAMPLES_PRESENT,     /* the file's own keys, which a sample of absent ones must not have */
    SAMPLES_ADVERSARIAL, /* hashes of keys under other heads: what a deny list must not take */
    SAMPLES_CORRUPT,     /* bytes */
    SAMPLES_NEIGHBOURS,  /* keys with one byte changed, downwards */
    SAMPLES_KINDS
};

static inline void case_sample_of(const uint8_t *key, size_t size, uint64_t hash,
                                  struct omi_filter_sample *out)
{
    *out = (struct omi_filter_sample){.hash = hash, .key_size = (uint16_t)size};
    if (size != 0)
        memcpy(out->head, key, size < OMI_SAMPLE_HEAD_BYTES ? size : OMI_SAMPLE_HEAD_BYTES);
}

static inline void case_sample(const struct case_keys *k, const struct case_shape *s,
                               enum case_samples kind, uint32_t i, struct dice *d,
                               struct omi_filter_sample *out)
{
    static uint8_t key[CASE_KEY_BYTES_MAX + 128];
    uint32_t at = dice_below(d, k->count);
    size_t size = k->keys[at].key_size;
    switch (kind) {
    case SAMPLES_PRESENT:
        case_sample_of(k->keys[at].key, size, k->hashes[at], out);
        return;
    case SAMPLES_ADVERSARIAL:
        case_sample_of(k->keys[at].key, size, k->hashes[dice_below(d, 8) * at / 8], out);
        out->head[dice_below(d, OMI_SAMPLE_HEAD_BYTES)]++;
        return;
    case SAMPLES_CORRUPT:
        for (size_t b = 0; b < sizeof(*out); b++)
            ((uint8_t *)out)[b] = (uint8_t)dice_next(d);
        return;
    case SAMPLES_NEIGHBOURS:
        at = (uint32_t)(k->count - 1 - (uint64_t)i % k->count);
        size = k->keys[at].key_size;
        if (size != 0)
            memcpy(key, k->keys[at].key, size);
        if (size != 0) {
            uint32_t byte = dice_below(d, (uint32_t)size);
            key[byte] ^= (uint8_t)(1 << dice_below(d, 8));
        }
        case_sample_of(key, size, omi_key_hash(key, size), out);
        return;
    default:
        size = case_key(s, i, 0, d, key);
        case_sample_of(key, size, omi_key_hash(key, size), out);
    }
}

/* free the result */
static inline struct omi_filter_sample *case_samples_make(const struct case_keys *k,
                                                          const struct case_shape *s,
                                                          enum case_samples kind, uint32_t count,
                                                          struct dice *d)
{
    struct omi_filter_sample *samples = cases_alloc(count, sizeof(*samples));
    for (uint32_t i = 0; i < count; i++) {
        if (kind == SAMPLES_ONE && i != 0)
            samples[i] = samples[0];
        else
            case_sample(k, s, kind, i, d, &samples[i]);
    }
    return samples;
}

/* ---- layouts ----------------------------------------------------------------------------------- */

struct case_layout {
    uint32_t bounds[OMI_FILTER_REGIONS_MAX];
    uint8_t classes[OMI_FILTER_REGIONS_MAX];
    struct omi_filter_layout layout;
};

static inline int case_u32_compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static inline uint32_t case_bounds(const struct case_keys *k, const struct omi_digest *digest,
                                   uint32_t wanted, struct dice *d, uint32_t *bounds)
{
    uint32_t n = 0;
    for (uint32_t i = 1; i < wanted; i++) {
        const struct omi_index_key *key = &k->keys[dice_below(d, k->count)];
        uint32_t near = omi_digest_of(digest, key->key, key->key_size) + dice_below(d, 3) - 1;
        bounds[i] = dice_below(d, 3) != 0 ? near : (uint32_t)dice_next(d);
    }
    bounds[0] = 0;
    qsort(bounds, wanted, sizeof(*bounds), case_u32_compare);
    for (uint32_t i = 0; i < wanted; i++)
        if (n == 0 || bounds[i] != bounds[n - 1])
            bounds[n++] = bounds[i];
    return n;
}

/* Any layout of these keys that can be; samples may be NULL: nothing to deny. */
static inline void case_layout_make(const struct case_keys *k, struct dice *d,
                                    const struct omi_filter_sample *samples, uint32_t sample_count,
                                    struct case_layout *out)
{
    static const uint32_t counts[] = {1, 1, 2, 5, 16, 17, 40, 255, 256, 257, 300, 1000, 4096};
    const struct omi_index_key *last = &k->keys[k->count - 1];
    struct omi_filter_layout *l = &out->layout;
    *l = (struct omi_filter_layout){.bounds = out->bounds,
                                    .classes = out->classes,
                                    .deny = samples,
                                    .deny_count = sample_count};
    l->kind = (enum omi_filter_kind)(1 + dice_below(d, 3));
    l->bits_per_probe = 0.2 + dice_below(d, 30) / 10.0;
    l->digest = omi_digest_make(omi_slice(k->keys[0].key, k->keys[0].key_size),
                                omi_slice(last->key, last->key_size));
    l->region_count = case_bounds(
        k, &l->digest, counts[dice_below(d, sizeof(counts) / sizeof(counts[0]))], d, out->bounds);
    static uint8_t has[OMI_FILTER_REGIONS_MAX];
    memset(has, 0, sizeof(has));
    for (uint32_t i = 0, r = 0; i < k->count; i++) {
        uint32_t digest = omi_digest_of(&l->digest, k->keys[i].key, k->keys[i].key_size);
        while (r + 1 < l->region_count && out->bounds[r + 1] <= digest)
            r++;
        has[r] = 1;
    }
    bool ribbon = l->kind == OMI_FILTER_RIBBON;
    if (ribbon && dice_below(d, 2) != 0)
        l->more = dice_below(d, 100) / 100.0;
    uint32_t most = 1 + dice_below(d, ribbon ? OMI_FILTER_PROBES_MAX : OMI_FILTER_PROBES_MAX + 1);
    for (uint32_t r = 0; r < l->region_count; r++)
        out->classes[r] = !has[r] && dice_below(d, 4) != 0 ? OMI_FILTER_CLASS_NO_KEYS
                                                           : (uint8_t)dice_below(d, most);
    if (dice_below(d, 2) != 0)
        l->part_bytes = 64u << dice_below(d, 8);
    if (dice_below(d, 2) != 0) {
        l->prefix_bytes = 1 + dice_below(d, OMI_SAMPLE_HEAD_BYTES);
        l->prefix_probes = 1 + dice_below(d, OMI_FILTER_PROBES_MAX);
        l->prefix_bits = 0.2 + dice_below(d, 200) / 10.0;
    }
    l->info = (struct omi_filter_info){.why = OMI_FILTER_WHY_GAIN,
                                       .samples = sample_count,
                                       .promised_fpr = 0.01,
                                       .keylike_fpr = 0.05,
                                       .plain_fpr = 0.02,
                                       .price = 1e-9,
                                       .weight = 0.3};
}

/* ---- a section in memory, asked ---------------------------------------------------------------- */

struct case_filter {
    struct omi_filter f;
    uint8_t *section; /* 64-byte aligned, and no byte longer than it must be */
    size_t size;
};

static inline struct case_filter case_filter_open(const struct omi_buf *out)
{
    struct case_filter c = {.size = out->size, .section = aligned_alloc(64, out->size)};
    if (c.section == NULL)
        abort();
    memcpy(c.section, out->data, out->size);
    if (omi_filter_open(c.section, c.size, c.size, &c.f) != OMEN_OK) {
        fprintf(stderr, "a filter just built does not open: %s\n", omen_last_error());
        abort();
    }
    return c;
}

static inline void case_filter_free(struct case_filter *c)
{
    free(c->section);
}

/* How many keys are denied; 0 is right. */
static inline uint32_t case_denied(const struct case_filter *c, const struct case_keys *k)
{
    uint32_t wrong = 0;
    for (uint32_t i = 0; i < k->count; i++)
        wrong += !omi_filter_may_hold(&c->f, c->section,
                                      omi_slice(k->keys[i].key, k->keys[i].key_size), k->hashes[i]);
    return wrong;
}

/* Do all parts match their checks? */
static inline bool case_sound(const struct case_filter *c)
{
    for (uint32_t p = 0; p < c->f.part_count; p++) {
        uint64_t off;
        uint32_t size;
        omi_filter_part(&c->f, p, &off, &size);
        if (off % 64 != 0 || off + size > c->size ||
            !omi_filter_part_sound(&c->f, p, c->section + off))
            return false;
    }
    return true;
}

#endif

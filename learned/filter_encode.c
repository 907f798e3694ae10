/*
 * filter_encode.c - the bytes of a filter that has been decided (filter_layout.h). Keys come in
 * order, so that a region's keys, and a part's, are neighbours: one pass finds where each region
 * begins, a second cuts parts, a third sets bits. Then the section is opened as any reader would and
 * asked for every key.
 */
#include "learned/filter_layout.h"

#include "io/base/hash.h"
#include "io/base/mutant.h"
#include "learned/bloom_line.h"
#include "learned/filter_head.h"
#include "learned/filter_price.h"
#include "learned/ribbon_part.h"

#include <stdlib.h>

struct part {
    uint64_t probes; /* of all its keys */
    uint32_t line_count, first_line;
    uint32_t first_region; /* of ribbons alone */
};

struct encoding {
    const struct omi_filter_input *input;
    const struct omi_filter_layout *layout;
    struct omi_filter_header header;
    struct omi_filter_places places; /* with room for all that may be denied */
    uint32_t prefixes;               /* distinct */
    bool has_bits;                   /* some class has */
    /* Regions as laid out, then as cut: count in header.region_count, one first more. */
    uint32_t *bounds, *first; /* first: of its keys, an index into input */
    uint16_t *part_of;
    uint8_t *classes;
    struct part *parts;
    struct omi_ribbon_part *ribbons; /* of each part; NULL: lines */
    uint64_t *denied;
    uint32_t denied_count;
    uint8_t *section, *lines;
};

static omen_slice key_at(const struct encoding *e, uint32_t i)
{
    return omi_slice(e->input->keys[i].key, e->input->keys[i].key_size);
}

/* Is this entry a version of the key before it? Keys that share a hash are told apart by bytes: they
 * may lie in two regions. */
static inline bool is_version(const struct encoding *e, uint32_t i)
{
    const struct omi_index_key *k = &e->input->keys[i];
    return i != 0 && e->input->hashes[i] == e->input->hashes[i - 1] &&
           omi_bytes_equal(k->key, k->key_size, k[-1].key, k[-1].key_size);
}

static uint32_t digest_at(const struct encoding *e, uint32_t i)
{
    return omi_digest_of(&e->layout->digest, e->input->keys[i].key, e->input->keys[i].key_size);
}

static uint32_t probes_of(uint8_t code)
{
    return code == OMI_FILTER_CLASS_NO_KEYS ? 0 : code;
}

static bool bits_sound(double bits)
{
    return bits > 0 && bits <= OMI_FILTER_BITS_MAX;
}

/* Array lines for so many times bits. */
static uint64_t lines_for(uint64_t count, double bits)
{
    double lines = (double)count * bits / (8 * OMI_LINE_BYTES);
    uint64_t whole = (uint64_t)lines;
    /* What is a whole number on paper may be a little more here. */
    return whole + (lines - (double)whole > 1e-6 || (whole == 0 && count != 0));
}

/* ---- what it is asked for ---------------------------------------------------------------------- */

static omen_err layout_check(const struct omi_filter_layout *l)
{
    bool bits = false;
    if (l->kind != OMI_FILTER_PLAIN && l->kind != OMI_FILTER_REGIONS &&
        l->kind != OMI_FILTER_RIBBON)
        return omi_fail(OMEN_INVALID, 0, "a filter layout of kind %d", (int)l->kind);
    if (l->region_count < 1 || l->region_count > OMI_FILTER_REGIONS_MAX || l->bounds[0] != 0)
        return omi_fail(OMEN_INVALID, 0, "a filter layout of %u regions", l->region_count);
    for (uint32_t r = 0; r < l->region_count; r++) {
        if (r != 0 && l->bounds[r] <= l->bounds[r - 1])
            return omi_fail(OMEN_INVALID, 0, "a filter layout's region %u is out of order", r);
        if (l->classes[r] > omi_filter_class_max(l->kind) &&
            l->classes[r] != OMI_FILTER_CLASS_NO_KEYS)
            return omi_fail(OMEN_INVALID, 0, "a filter layout's class %u", l->classes[r]);
        bits = bits || probes_of(l->classes[r]) != 0;
    }
    if ((bits && !bits_sound(l->bits_per_probe)) || l->digest.shift > 32)
        return omi_fail(OMEN_INVALID, 0, "a filter layout of %g bits a probe", l->bits_per_probe);
    if (!(l->more >= 0 && l->more < 1))
        return omi_fail(OMEN_INVALID, 0, "a filter layout of %g columns more", l->more);
    if (l->prefix_bytes != 0 &&
        (l->prefix_bytes > OMI_SAMPLE_HEAD_BYTES || !bits_sound(l->prefix_bits) ||
         l->prefix_probes < 1 || l->prefix_probes > OMI_LINE_PROBES_MAX))
        return omi_fail(OMEN_INVALID, 0, "a filter layout's prefix layer of %u bytes, %u probes",
                        l->prefix_bytes, l->prefix_probes);
    return OMEN_OK;
}

/* ---- keys into regions ------------------------------------------------------------------------- */

static omen_slice prefix_at(const struct encoding *e, uint32_t i)
{
    omen_slice key = key_at(e, i);
    return omi_slice(key.data,
                     key.size < e->layout->prefix_bytes ? key.size : e->layout->prefix_bytes);
}

static bool prefix_is_new(const struct encoding *e, uint32_t i)
{
    if (i == 0)
        return true;
    omen_slice a = prefix_at(e, i), b = prefix_at(e, i - 1);
    return !omi_bytes_equal(a.data, a.size, b.data, b.size);
}

/* Where each region's keys begin, and how many distinct keys it has. */
static omen_err regions_count(struct encoding *e, uint32_t *distinct)
{
    const struct omi_filter_layout *l = e->layout;
    uint32_t r = 0;
    for (uint32_t i = 0; i < e->input->count; i++) {
        if (is_version(e, i))
            continue;
        if (l->region_count > 1) {
            uint32_t digest = digest_at(e, i);
            while (r + 1 < l->region_count && l->bounds[r + 1] <= digest)
                e->first[++r] = i;
            if (digest < l->bounds[r])
                return omi_fail(OMEN_INVALID, 0, "a filter's keys are not in the digest's order");
        }
        if (l->classes[r] == OMI_FILTER_CLASS_NO_KEYS)
            return omi_fail(OMEN_INVALID, 0,
                            "a filter's region %u is to be without keys, and is not", r);
        distinct[r]++;
        e->header.key_count++;
        if (l->prefix_bytes != 0)
            e->prefixes += prefix_is_new(e, i);
    }
    while (r < l->region_count)
        e->first[++r] = e->input->count;
    return OMEN_OK;
}

/* ---- regions into parts ------------------------------------------------------------------------ */

struct cut {
    uint64_t probes; /* of all keys before it */
    uint32_t digest, key;
};

/* Cuts into parts of equal bits, where the digest changes: keys of one digest have one region and so
 * one part (I2). */
static uint32_t cuts_find(const struct encoding *e, uint64_t probes, uint32_t parts,
                          struct cut *cuts)
{
    const struct omi_filter_layout *l = e->layout;
    uint64_t before = 0;
    uint32_t found = 0, wanted = 1;
    for (uint32_t r = 0; r < l->region_count && wanted < parts; r++) {
        uint32_t each = probes_of(l->classes[r]);
        for (uint32_t i = e->first[r]; each != 0 && i < e->first[r + 1] && wanted < parts; i++) {
            if (is_version(e, i))
                continue;
            if (before >= probes * wanted / parts && before != 0 &&
                (i == e->first[r] || digest_at(e, i) != digest_at(e, i - 1))) {
                cuts[found++] =
                    (struct cut){before, i == e->first[r] ? l->bounds[r] : digest_at(e, i), i};
                while (wanted < parts && before >= probes * wanted / parts)
                    wanted++;
            }
            before += each;
        }
    }
    return found;
}

static void region_put(struct encoding *e, uint32_t bound, uint8_t code, uint32_t first,
                       uint32_t part)
{
    uint32_t r = e->header.region_count++;
    e->bounds[r] = bound;
    e->classes[r] = code;
    e->first[r] = first;
    e->part_of[r] = (uint16_t)part;
}

/* first: of the layout's regions; e's own arrays have room for every cut. */
static void regions_cut(struct encoding *e, const uint32_t *first, const struct cut *cuts,
                        uint32_t count)
{
    const struct omi_filter_layout *l = e->layout;
    uint32_t c = 0;
    for (uint32_t r = 0; r < l->region_count; r++) {
        c += c < count && cuts[c].digest == l->bounds[r];
        region_put(e, l->bounds[r], l->classes[r], first[r], c);
        for (; c < count && cuts[c].key < first[r + 1] && cuts[c].digest > l->bounds[r]; c++)
            region_put(e, cuts[c].digest, l->classes[r], cuts[c].key, c + 1);
    }
    e->first[e->header.region_count] = e->input->count;
}

/* Classes move up where they are few; the regions of the part follow. */
static omen_err ribbons_plan(struct encoding *e, uint32_t part)
{
    struct omi_ribbon_wish wishes[OMI_RIBBON_COLUMNS_MAX + 1] = {{0, false}};
    uint8_t serves[OMI_RIBBON_COLUMNS_MAX + 1];
    uint32_t first = e->parts[part].first_region, end = first;
    for (; end < e->header.region_count && e->part_of[end] == part; end++) {
        struct omi_ribbon_wish *w = &wishes[probes_of(e->classes[end])];
        w->there = true;
        for (uint32_t i = e->first[end]; i < e->first[end + 1]; i++)
            w->keys += !is_version(e, i);
    }
    if (!omi_ribbon_part_plan(wishes, e->layout->more, &e->ribbons[part], serves))
        return omi_fail(OMEN_INVALID, 0, "a ribbon of %u keys is too large", e->input->count);
    for (uint32_t r = first; r < end; r++)
        if (probes_of(e->classes[r]) != 0)
            e->classes[r] = serves[e->classes[r]];
    return OMEN_OK;
}

static omen_err ribbon_parts_size(struct encoding *e, uint32_t count)
{
    uint64_t lines = 0;
    for (uint32_t p = 0, r = 0; p < count; p++) {
        for (; e->part_of[r] != p; r++)
            ;
        e->parts[p].first_region = r;
        omen_err err = ribbons_plan(e, p);
        if (err != OMEN_OK)
            return err;
        uint64_t n = omi_ribbon_part_bytes(&e->ribbons[p]) / OMI_LINE_BYTES;
        if (n > UINT32_MAX / OMI_LINE_BYTES || lines + n > UINT32_MAX)
            return omi_fail(OMEN_INVALID, 0, "a filter of %u keys is too large", e->input->count);
        e->parts[p].line_count = (uint32_t)n;
        e->parts[p].first_line = (uint32_t)lines;
        lines += n;
    }
    e->header.part_count = count;
    e->header.line_count = (uint32_t)lines;
    return OMEN_OK;
}

static omen_err parts_size(struct encoding *e, const struct cut *cuts, uint32_t count,
                           uint64_t probes)
{
    uint64_t lines = 0, from = 0;
    for (uint32_t p = 0; p <= count; p++) {
        uint64_t to = p < count ? cuts[p].probes : probes;
        uint64_t n = lines_for(to - from, e->layout->bits_per_probe);
        n += n == 0 && e->has_bits; /* for a class that is asked for, and has no keys */
        if (n > UINT32_MAX / OMI_LINE_BYTES || lines + n > UINT32_MAX)
            return omi_fail(OMEN_INVALID, 0, "a filter of %u keys is too large", e->input->count);
        e->parts[p] = (struct part){to - from, (uint32_t)n, (uint32_t)lines, 0};
        lines += n;
        from = to;
    }
    e->header.part_count = count + 1;
    e->header.line_count = (uint32_t)lines;
    return OMEN_OK;
}

static uint32_t parts_wanted(const struct omi_filter_layout *l, uint64_t probes)
{
    double bytes = (double)probes * l->bits_per_probe / 8;
    uint32_t most = OMI_FILTER_REGIONS_MAX - l->region_count + 1; /* each cut may be a region */
    if (l->part_bytes == 0 || bytes <= l->part_bytes)
        return 1;
    double parts = bytes / l->part_bytes + 1;
    most = most < OMI_FILTER_PARTS_MAX ? most : OMI_FILTER_PARTS_MAX;
    return parts < most ? (uint32_t)parts : most;
}

static omen_err regions_make(struct encoding *e)
{
    const struct omi_filter_layout *l = e->layout;
    struct cut *cuts = NULL;
    uint32_t *distinct = calloc(l->region_count, sizeof(*distinct));
    uint32_t *laid = calloc(l->region_count + (size_t)1, sizeof(*laid));
    omen_err err = OMEN_OK;
    e->first = laid;
    if (distinct == NULL || laid == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "a filter's regions");
    if (err == OMEN_OK)
        err = regions_count(e, distinct);
    if (err != OMEN_OK)
        goto done;
    uint64_t probes = 0;
    for (uint32_t r = 0; r < l->region_count; r++) {
        probes += (uint64_t)distinct[r] * probes_of(l->classes[r]);
        e->has_bits = e->has_bits || probes_of(l->classes[r]) != 0;
    }
    uint32_t parts = parts_wanted(l, probes), room = l->region_count + parts;
    cuts = calloc(parts, sizeof(*cuts));
    e->parts = calloc(parts, sizeof(*e->parts));
    e->bounds = calloc(room, sizeof(*e->bounds));
    e->classes = calloc(room, sizeof(*e->classes));
    e->part_of = calloc(room, sizeof(*e->part_of));
    if (l->kind == OMI_FILTER_RIBBON)
        e->ribbons = calloc(parts, sizeof(*e->ribbons));
    uint32_t *first = calloc(room, sizeof(*first));
    if (cuts == NULL || e->parts == NULL || e->bounds == NULL || e->classes == NULL ||
        e->part_of == NULL || first == NULL ||
        (l->kind == OMI_FILTER_RIBBON && e->ribbons == NULL)) {
        free(first);
        err = omi_fail(OMEN_NO_MEMORY, 0, "a filter's regions");
        goto done;
    }
    uint32_t count = parts > 1 ? cuts_find(e, probes, parts, cuts) : 0;
    e->first = first;
    regions_cut(e, laid, cuts, count);
    err = e->ribbons != NULL ? ribbon_parts_size(e, count + 1) : parts_size(e, cuts, count, probes);

done:
    if (e->first == laid)
        e->first = NULL;
    free(cuts);
    free(laid);
    free(distinct);
    return err;
}

/* ---- bytes ------------------------------------------------------------------------------------- */

static void header_fill(struct encoding *e)
{
    const struct omi_filter_layout *l = e->layout;
    struct omi_filter_header *h = &e->header;
    bool one = h->region_count == 1;
    h->kind = l->kind;
    h->why = l->info.why;
    h->class_code = one ? e->classes[0] : 0;
    h->digest = l->digest;
    h->sample_count = l->info.samples;
    h->promised_fpr = l->info.promised_fpr;
    h->keylike_fpr = l->info.keylike_fpr;
    h->plain_fpr = l->info.plain_fpr;
    h->price = l->info.price;
    h->weight = l->info.weight;
}

static omen_err prefix_size(struct encoding *e)
{
    const struct omi_filter_layout *l = e->layout;
    if (l->prefix_bytes == 0)
        return OMEN_OK;
    uint64_t lines = lines_for(e->prefixes, l->prefix_bits);
    if (lines > UINT32_MAX / OMI_LINE_BYTES)
        return omi_fail(OMEN_INVALID, 0, "a filter of %u prefixes is too large", e->prefixes);
    e->header.prefix_bytes = (uint8_t)l->prefix_bytes;
    e->header.prefix_probes = (uint8_t)l->prefix_probes;
    e->header.prefix_line_count = (uint32_t)lines;
    return OMEN_OK;
}

/* The levels above the last, from the last. */
static void bounds_fill(const struct encoding *e)
{
    uint8_t *level = e->section + e->places.leaf;
    uint32_t n = e->header.region_count;
    memset(e->section + e->places.bounds, 0xff, e->places.prefix - e->places.bounds);
    for (uint32_t r = 0; n > 1 && r < n; r++)
        omi_put_u32(level + 4 * (size_t)r, e->bounds[r]);
    while (n > 16) {
        const uint8_t *below = level;
        n = (n + 15) / 16;
        level -= 64 * (size_t)((n + 15) / 16);
        for (uint32_t i = 0; i < n; i++)
            omi_put_u32(level + 4 * (size_t)i, omi_get_u32(below + 64 * (size_t)i));
    }
}

static void prefix_fill(const struct encoding *e)
{
    const struct omi_filter_header *h = &e->header;
    for (uint32_t i = 0; h->prefix_bytes != 0 && i < e->input->count; i++) {
        if (!prefix_is_new(e, i))
            continue;
        omen_slice prefix = prefix_at(e, i);
        uint64_t hash = omi_filter_prefix_hash(omi_key_hash(prefix.data, prefix.size));
        omi_line_set(e->section + e->places.prefix + omi_line_off(hash, h->prefix_line_count), hash,
                     h->prefix_probes);
    }
}

static void directory_fill(const struct encoding *e)
{
    const struct omi_filter_header *h = &e->header;
    uint8_t *lines = e->section + e->places.lines;
    for (uint32_t p = 0; h->part_count > 1 && p < h->part_count; p++)
        omi_put_u32(lines + 4 * (size_t)p, e->parts[p].first_line);
    if (h->part_count > 1)
        omi_put_u32(lines + 4 * (size_t)h->part_count, h->line_count);
    for (uint32_t r = 0; h->part_count > 1 && r < h->region_count; r++)
        omi_put_u16(e->section + e->places.part_of + 2 * (size_t)r, e->part_of[r]);
    if (h->region_count > 1)
        memcpy(e->section + e->places.classes, e->classes, h->region_count);
}

static uint8_t *part_bytes(const struct encoding *e, uint32_t part)
{
    return e->lines + (size_t)e->parts[part].first_line * OMI_LINE_BYTES;
}

static void region_fill(const struct encoding *e, uint32_t region)
{
    enum { AHEAD = 16 };
    const uint64_t *hashes = e->input->hashes;
    uint32_t part = e->part_of[region], line_count = e->parts[part].line_count,
             probes = probes_of(e->classes[region]), end = e->first[region + 1];
    uint8_t *bytes = part_bytes(e, part);
    if (probes == 0)
        return;
    for (uint32_t i = e->first[region]; i < end; i++) {
        if (i + (uint64_t)AHEAD < end)
            __builtin_prefetch(bytes + omi_line_off(hashes[i + AHEAD], line_count), 1);
        omi_line_set(bytes + omi_line_off(hashes[i], line_count), hashes[i], probes);
    }
}

/* The keys' hashes of one class of a part; versions fall out here as far as they are neighbours. */
static size_t hashes_take(const struct encoding *e, uint32_t part, uint8_t class_code,
                          uint64_t *hashes)
{
    size_t n = 0;
    for (uint32_t r = e->parts[part].first_region;
         r < e->header.region_count && e->part_of[r] == part; r++)
        for (uint32_t i = e->first[r]; e->classes[r] == class_code && i < e->first[r + 1]; i++)
            if (n == 0 || e->input->hashes[i] != hashes[n - 1])
                hashes[n++] = e->input->hashes[i];
    return n;
}

static omen_err part_solve(struct encoding *e, uint32_t part, uint64_t *hashes)
{
    struct omi_ribbon_part *ribbons = &e->ribbons[part];
    uint8_t *out = part_bytes(e, part) + OMI_RIBBON_TABLE_BYTES;
    for (uint32_t c = 0; c < ribbons->count; c++) {
        struct omi_ribbon *r = &ribbons->at[c];
        omen_err err = omi_ribbon_solve(r, hashes, hashes_take(e, part, r->columns, hashes), out);
        if (err != OMEN_OK)
            return err;
        out += omi_ribbon_bytes(r);
    }
    if (ribbons->count != 0)
        omi_ribbon_part_put(ribbons, part_bytes(e, part));
    return OMEN_OK;
}

static omen_err ribbons_fill(struct encoding *e)
{
    uint32_t most = 0, regions = e->header.region_count;
    omen_err err = OMEN_OK;
    for (uint32_t p = 0; p < e->header.part_count; p++) {
        bool last = p + 1 == e->header.part_count;
        uint32_t end = last ? regions : e->parts[p + 1].first_region;
        uint32_t keys = e->first[end] - e->first[e->parts[p].first_region];
        most = keys > most ? keys : most;
    }
    uint64_t *hashes = malloc((most + (size_t)1) * sizeof(*hashes));
    if (hashes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a filter's ribbons");
    for (uint32_t p = 0; p < e->header.part_count && err == OMEN_OK; p++)
        err = part_solve(e, p, hashes);
    free(hashes);
    return err;
}

static omen_err parts_fill(struct encoding *e)
{
    omen_err err = e->ribbons != NULL ? ribbons_fill(e) : OMEN_OK;
    for (uint32_t r = 0; e->ribbons == NULL && r < e->header.region_count; r++)
        region_fill(e, r);
    for (uint32_t p = 0; p < e->header.part_count; p++) {
        size_t size = (size_t)e->parts[p].line_count * OMI_LINE_BYTES;
        uint64_t check = omi_checksum(part_bytes(e, p), size, p);
        if (p == 0)
            e->header.part_check = check;
        else
            omi_put_u64(e->section + e->places.checks + 8 * (size_t)(p - 1), check);
    }
    return err;
}

static uint64_t head_seal(struct encoding *e)
{
    struct omi_filter_places places;
    omi_filter_places_find(&e->header, &places);
    omi_filter_header_encode(&e->header, e->section);
    e->header.check = omi_filter_head_check(e->section, places.end, 0);
    omi_put_u64(e->section + 8, e->header.check);
    return places.end;
}

/* ---- deny list --------------------------------------------------------------------------------- */

enum { CANDIDATES_MAX = 4 * OMI_FILTER_DENIED_MAX, MARKS = 1 << 16 };

static int hash_compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static uint32_t candidates(const struct encoding *e)
{
    uint32_t n = e->layout->deny_count;
    return n < CANDIDATES_MAX ? n : CANDIDATES_MAX;
}

struct screen {
    uint64_t hashes[CANDIDATES_MAX]; /* ascending */
    bool is_key[CANDIDATES_MAX];
    uint8_t marks[MARKS / 8]; /* of the hashes' high bits: most keys need no more */
    uint32_t count;
};

static uint32_t screen_find(const struct screen *s, uint64_t hash) /* count: it is not there */
{
    const uint64_t *at = bsearch(&hash, s->hashes, s->count, sizeof(hash), hash_compare);
    return at != NULL ? (uint32_t)(at - s->hashes) : s->count;
}

static struct screen *screen_create(const struct encoding *e)
{
    struct screen *s = calloc(1, sizeof(*s));
    if (s == NULL)
        return NULL;
    for (uint32_t i = 0; i < candidates(e); i++) {
        uint64_t hash = e->layout->deny[i].hash;
        s->hashes[s->count++] = hash;
        s->marks[hash >> 51] |= (uint8_t)(1u << (hash >> 48 & 7));
    }
    qsort(s->hashes, s->count, sizeof(s->hashes[0]), hash_compare);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < s->count; i++)
        if (i == 0 || s->hashes[i] != s->hashes[i - 1])
            s->hashes[kept++] = s->hashes[i];
    s->count = kept;
    for (uint32_t i = 0; i < e->input->count; i++) {
        uint64_t hash = e->input->hashes[i];
        if ((s->marks[hash >> 51] >> (hash >> 48 & 7) & 1) == 0)
            continue;
        uint32_t at = screen_find(s, hash);
        if (at < s->count)
            s->is_key[at] = true;
    }
    return s;
}

/* Would the filter, without a deny list, pass this sample? What is not known of a long key may make
 * the difference: then yes. */
static bool passes(const struct encoding *e, const struct omi_filter *f,
                   const struct omi_filter_sample *s)
{
    struct omi_filter_route route;
    size_t size = s->key_size < OMI_SAMPLE_HEAD_BYTES ? s->key_size : OMI_SAMPLE_HEAD_BYTES;
    bool known = s->key_size <= OMI_SAMPLE_HEAD_BYTES || f->region_count == 1 ||
                 f->digest.strip + (size_t)8 <= OMI_SAMPLE_HEAD_BYTES;
    if (!known)
        return true;
    enum omi_filter_answer answer = omi_filter_route(f, omi_slice(s->head, size), s->hash, &route);
    return answer == OMI_FILTER_MAYBE ||
           (answer == OMI_FILTER_PROBE &&
            omi_filter_probe(f, &route, part_bytes(e, route.part), s->hash));
}

/* Into e->denied, from a filter that has no list yet. */
static omen_err deny_choose(struct encoding *e)
{
    struct omi_filter f;
    e->header.deny_count = 0;
    uint64_t head_bytes = head_seal(e);
    omen_err err =
        omi_filter_open(e->section, (size_t)head_bytes,
                        head_bytes + (uint64_t)e->header.line_count * OMI_LINE_BYTES, &f);
    if (err != OMEN_OK)
        return err;
    struct screen *s = screen_create(e);
    e->denied = calloc(OMI_FILTER_DENIED_MAX, sizeof(*e->denied));
    if (s == NULL || e->denied == NULL) {
        free(s);
        return omi_fail(OMEN_NO_MEMORY, 0, "a filter's deny list");
    }
    for (uint32_t i = 0; i < candidates(e) && e->denied_count < OMI_FILTER_DENIED_MAX; i++) {
        const struct omi_filter_sample *c = &e->layout->deny[i];
        uint32_t at = screen_find(s, c->hash);
        if ((s->is_key[at] && !OMI_MUTANT(OMI_MUTANT_FILTER_DENIES_KEYS)) || !passes(e, &f, c))
            continue;
        s->is_key[at] = true; /* once is enough */
        e->denied[e->denied_count++] = c->hash;
    }
    qsort(e->denied, e->denied_count, sizeof(e->denied[0]), hash_compare);
    free(s);
    return OMEN_OK;
}

/* The list is the end of the head: fewer entries than there was room for, and the parts move up. */
static omen_err deny_fill(struct encoding *e)
{
    struct omi_filter_places now;
    if (candidates(e) != 0) {
        omen_err err = deny_choose(e);
        if (err != OMEN_OK)
            return err;
    }
    e->header.deny_count = e->denied_count;
    omi_filter_places_find(&e->header, &now);
    for (uint32_t i = 0; i < e->denied_count; i++)
        omi_put_u64(e->section + now.deny + 8 * (size_t)i, e->denied[i]);
    memmove(e->section + now.end, e->lines, (size_t)e->header.line_count * OMI_LINE_BYTES);
    e->lines = e->section + now.end;
    return OMEN_OK;
}

/* ---- asking again ------------------------------------------------------------------------------ */

/* Some keys at once, so that their lines arrive together. */
enum { ASKED_AT_ONCE = 16 };

static bool holds(const struct encoding *e, const struct omi_filter *f, uint32_t from, uint32_t n)
{
    struct omi_filter_route routes[ASKED_AT_ONCE];
    enum omi_filter_answer answers[ASKED_AT_ONCE];
    const uint8_t *parts[ASKED_AT_ONCE];
    const uint64_t *hashes = e->input->hashes + from;
    bool all = true;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t off;
        uint32_t size;
        answers[i] = omi_filter_route(f, key_at(e, from + i), hashes[i], &routes[i]);
        omi_filter_part(f, routes[i].part, &off, &size);
        parts[i] = e->section + off;
        if (answers[i] == OMI_FILTER_PROBE)
            omi_filter_prefetch(f, &routes[i], parts[i], hashes[i]);
    }
    for (uint32_t i = 0; i < n; i++)
        all = all && (answers[i] == OMI_FILTER_MAYBE ||
                      (answers[i] == OMI_FILTER_PROBE &&
                       omi_filter_probe(f, &routes[i], parts[i], hashes[i])));
    return all;
}

/* Of the final bytes: no sample, no plan and no bad memory makes a filter that denies a key. */
static omen_err ask_again(const struct encoding *e, uint64_t section_bytes,
                          struct omi_filter_info *info_out)
{
    struct omi_filter f;
    omen_err err = omi_filter_open(e->section, (size_t)section_bytes, section_bytes, &f);
    if (err != OMEN_OK)
        return err;
    uint32_t count = e->input->count;
    for (uint32_t i = 0; i < count; i += ASKED_AT_ONCE) {
        uint32_t left = count - i;
        if (!holds(e, &f, i, left < ASKED_AT_ONCE ? left : ASKED_AT_ONCE))
            return omi_fail(OMEN_CORRUPT, 0, "a filter just built denies one of its keys");
        if (left <= ASKED_AT_ONCE)
            break;
    }
    if (info_out != NULL)
        omi_filter_describe(&f, info_out);
    return OMEN_OK;
}

omen_err omi_filter_encode(const struct omi_filter_input *input,
                           const struct omi_filter_layout *layout, struct omi_buf *out,
                           struct omi_filter_info *info_out)
{
    struct omi_filter_layout sized = *layout;
    struct encoding e = {.input = input, .layout = &sized};
    if (layout->kind == OMI_FILTER_RIBBON) /* for where to cut parts */
        sized.bits_per_probe = OMI_RIBBON_BITS_PER_HALVING;
    omen_err err = layout_check(&sized);
    if (err == OMEN_OK)
        err = regions_make(&e);
    if (err == OMEN_OK)
        err = prefix_size(&e);
    if (err != OMEN_OK)
        goto done;
    header_fill(&e);
    uint32_t most = candidates(&e);
    e.header.deny_count = most < OMI_FILTER_DENIED_MAX ? most : OMI_FILTER_DENIED_MAX;
    omi_filter_places_find(&e.header, &e.places);
    uint64_t size = e.places.end + (uint64_t)e.header.line_count * OMI_LINE_BYTES;
    err = omi_buf_reserve(out, (size_t)size);
    if (err != OMEN_OK)
        goto done;
    e.section = out->data + out->size;
    e.lines = e.section + e.places.end;
    memset(e.section, 0, (size_t)size);
    bounds_fill(&e);
    prefix_fill(&e);
    directory_fill(&e);
    err = parts_fill(&e);
    if (err == OMEN_OK)
        err = deny_fill(&e);
    if (err != OMEN_OK)
        goto done;
    size = head_seal(&e) + (uint64_t)e.header.line_count * OMI_LINE_BYTES;
    err = ask_again(&e, size, info_out);
    if (err == OMEN_OK)
        out->size += (size_t)size;

done:
    free(e.denied);
    free(e.ribbons);
    free(e.parts);
    free(e.part_of);
    free(e.classes);
    free(e.first);
    free(e.bounds);
    return err;
}

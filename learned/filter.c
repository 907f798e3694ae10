/*
 * filter.c - opens and asks filters; filter_encode.c makes them. A lookup goes down the head: the
 * key's region (a search over the regions' first digests, 16 at a time), its class, the prefix layer,
 * then one line of the region's part (or its ribbon), then the deny list. Everything that a lookup goes by is checked
 * when a head is opened, so that no bytes whatever lead out of the head or of a part.
 */
#include "learned/filter.h"

#include "io/base/hash.h"
#include "io/base/mutant.h"
#include "learned/bloom_line.h"
#include "learned/filter_head.h"
#include "learned/line_rank.h"
#include "learned/ribbon_part.h"

#include <assert.h>

/* ---- opening ----------------------------------------------------------------------------------- */

omen_err omi_filter_head_bytes(const uint8_t *header, uint64_t section_bytes,
                               uint32_t *head_bytes_out)
{
    struct omi_filter_header h;
    struct omi_filter_places places;
    *head_bytes_out = OMI_FILTER_HEADER_BYTES;
    if (section_bytes < OMI_FILTER_HEADER_BYTES)
        return omi_fail(OMEN_CORRUPT, 0, "a filter section of %" PRIu64 " bytes", section_bytes);
    omen_err err = omi_filter_header_decode(header, section_bytes, &h);
    if (err != OMEN_OK)
        return err;
    omi_filter_places_find(&h, &places);
    *head_bytes_out = (uint32_t)places.end;
    return OMEN_OK;
}

/* What is behind a level's last number is not less than any. */
static bool padding_sound(const uint8_t *level, uint32_t n)
{
    for (uint32_t i = n; i % 16 != 0; i++)
        if (omi_get_u32(level + 4 * (size_t)i) != UINT32_MAX)
            return false;
    return true;
}

/* The last level is ascending; each other names the first digest of every line of the next. */
static bool bounds_sound(const struct omi_filter *f)
{
    const uint8_t *below = f->head + f->leaf_off;
    uint32_t n = f->region_count;
    if (omi_get_u32(below) != 0 || !padding_sound(below, n))
        return false;
    for (uint32_t i = 1; i < n; i++)
        if (omi_get_u32(below + 4 * (size_t)i) <= omi_get_u32(below + 4 * (size_t)(i - 1)))
            return false;
    while (n > 16) {
        n = (n + 15) / 16;
        const uint8_t *level = below - 64 * (size_t)((n + 15) / 16);
        for (uint32_t i = 0; i < n; i++)
            if (omi_get_u32(level + 4 * (size_t)i) != omi_get_u32(below + 64 * (size_t)i))
                return false;
        if (!padding_sound(level, n))
            return false;
        below = level;
    }
    return true;
}

static inline uint8_t class_of(const struct omi_filter *f, uint32_t region)
{
    return f->region_count == 1 ? (uint8_t)f->probes : f->head[f->classes_off + region];
}

static inline uint32_t part_of(const struct omi_filter *f, uint32_t region)
{
    return f->part_count == 1 ? 0 : omi_get_u16(f->head + f->part_of_off + 2 * (size_t)region);
}

/* part_count is past the last. */
static inline uint32_t first_line(const struct omi_filter *f, uint32_t part)
{
    if (f->part_count == 1)
        return part == 0 ? 0 : f->line_count;
    return omi_get_u32(f->head + f->lines_off + 4 * (size_t)part);
}

static inline uint32_t lines_of(const struct omi_filter *f, uint32_t part)
{
    return first_line(f, part + 1) - first_line(f, part);
}

static bool parts_sound(const struct omi_filter *f)
{
    if (first_line(f, 0) != 0 || first_line(f, f->part_count) != f->line_count)
        return false;
    for (uint32_t p = 0; p < f->part_count; p++)
        if (first_line(f, p + 1) < first_line(f, p) || lines_of(f, p) > UINT32_MAX / OMI_LINE_BYTES)
            return false;
    return true;
}

/* Known classes; parts follow each other; where a class has bits, its part has lines. */
static bool regions_sound(const struct omi_filter *f)
{
    uint32_t part = 0;
    for (uint32_t r = 0; r < f->region_count; r++) {
        uint8_t code = class_of(f, r);
        uint32_t at = part_of(f, r);
        if (code > omi_filter_class_max(f->kind) && code != OMI_FILTER_CLASS_NO_KEYS)
            return false;
        if (at != part && (r == 0 || at != ++part))
            return false;
        if (code != OMI_FILTER_CLASS_MAYBE && code != OMI_FILTER_CLASS_NO_KEYS &&
            lines_of(f, at) == 0)
            return false;
    }
    return part + 1 == f->part_count;
}

static bool deny_sound(const struct omi_filter *f)
{
    const uint8_t *deny = f->head + f->deny_off;
    for (size_t i = 1; i < f->deny_count; i++)
        if (omi_get_u64(deny + 8 * i) <= omi_get_u64(deny + 8 * (i - 1)))
            return false;
    return true;
}

static struct omi_filter view_of(const uint8_t *head, const struct omi_filter_header *h)
{
    struct omi_filter_places p;
    omi_filter_places_find(h, &p);
    return (struct omi_filter){.kind = h->kind,
                               .head_bytes = (uint32_t)p.end,
                               .part_count = h->part_count,
                               .region_count = h->region_count,
                               .line_count = h->line_count,
                               .probes = h->class_code,
                               .head = head,
                               .digest = h->digest,
                               .leaf_off = (uint32_t)p.leaf,
                               .prefix_off = (uint32_t)p.prefix,
                               .checks_off = (uint32_t)p.checks,
                               .lines_off = (uint32_t)p.lines,
                               .part_of_off = (uint32_t)p.part_of,
                               .classes_off = (uint32_t)p.classes,
                               .deny_off = (uint32_t)p.deny,
                               .prefix_line_count = h->prefix_line_count,
                               .deny_count = (uint16_t)h->deny_count,
                               .format = h->format,
                               .prefix_bytes = h->prefix_bytes,
                               .prefix_probes = h->prefix_probes};
}

omen_err omi_filter_open_bound(const uint8_t *head, size_t head_bytes, uint64_t section_bytes,
                               uint64_t file_id, struct omi_filter *filter_out)
{
    struct omi_filter_header h;
    *filter_out = (struct omi_filter){0};
    if (head_bytes < OMI_FILTER_HEADER_BYTES || section_bytes < head_bytes)
        return omi_fail(OMEN_CORRUPT, 0, "a filter's head of %zu bytes", head_bytes);
    omen_err err = omi_filter_header_decode(head, section_bytes, &h);
    if (err != OMEN_OK)
        return err;
    struct omi_filter f = view_of(head, &h);
    if (f.head_bytes > head_bytes)
        return omi_fail(OMEN_CORRUPT, 0, "a filter's head of %zu bytes; it says %u", head_bytes,
                        f.head_bytes);
    if (f.format != 1 && omi_filter_head_check(head, f.head_bytes, file_id) != h.check)
        return omi_fail(OMEN_CORRUPT, 0, "a filter's head does not match its check");
    if (!(f.region_count == 1 || bounds_sound(&f)) || !parts_sound(&f) || !regions_sound(&f) ||
        !deny_sound(&f))
        return omi_fail(OMEN_CORRUPT, 0, "a filter's directory is damaged");
    *filter_out = f;
    return OMEN_OK;
}

omen_err omi_filter_open(const uint8_t *head, size_t head_bytes, uint64_t section_bytes,
                         struct omi_filter *filter_out)
{
    return omi_filter_open_bound(head, head_bytes, section_bytes, 0, filter_out);
}

void omi_filter_bind(uint8_t *section, uint64_t section_bytes, uint64_t file_id)
{
    struct omi_filter f;
    omen_err err = omi_filter_open(section, (size_t)section_bytes, section_bytes, &f);
    assert(err == OMEN_OK);
    if (err == OMEN_OK && f.format != 1)
        omi_put_u64(section + 8, omi_filter_head_check(section, f.head_bytes, file_id));
}

/* ---- parts and figures ------------------------------------------------------------------------- */

void omi_filter_part(const struct omi_filter *f, uint32_t part, uint64_t *off_out,
                     uint32_t *size_out)
{
    *off_out = f->head_bytes + (uint64_t)first_line(f, part) * OMI_LINE_BYTES;
    *size_out = lines_of(f, part) * OMI_LINE_BYTES;
}

bool omi_filter_part_sound(const struct omi_filter *f, uint32_t part, const uint8_t *bytes)
{
    uint32_t size = lines_of(f, part) * OMI_LINE_BYTES;
    if (f->format == 1 || size == 0)
        return true;
    const uint8_t *check = f->head + (part == 0 ? 16 : f->checks_off + 8 * (size_t)(part - 1));
    return omi_checksum(bytes, size, part) == omi_get_u64(check);
}

void omi_filter_describe(const struct omi_filter *f, struct omi_filter_info *info_out)
{
    struct omi_filter_header h;
    uint64_t bytes = f->head_bytes + (uint64_t)f->line_count * OMI_LINE_BYTES;
    *info_out = (struct omi_filter_info){.kind = f->kind};
    if (f->kind == OMI_FILTER_NONE || omi_filter_header_decode(f->head, bytes, &h) != OMEN_OK)
        return;
    *info_out =
        (struct omi_filter_info){.kind = f->kind,
                                 .why = h.why,
                                 .keys = h.key_count,
                                 .bytes = bytes,
                                 .head_bytes = f->head_bytes,
                                 .parts = f->part_count,
                                 .regions = f->region_count,
                                 .prefix_bytes = f->prefix_bytes,
                                 .prefix_array_bytes = f->prefix_line_count * OMI_LINE_BYTES,
                                 .denied = f->deny_count,
                                 .samples = h.sample_count,
                                 .promised_fpr = h.promised_fpr,
                                 .keylike_fpr = h.keylike_fpr,
                                 .plain_fpr = h.plain_fpr,
                                 .price = h.price,
                                 .weight = h.weight};
    for (uint32_t r = 0; r < f->region_count; r++)
        info_out->gaps += class_of(f, r) == OMI_FILTER_CLASS_NO_KEYS;
}

void omi_filter_region(const struct omi_filter *f, uint32_t region, uint32_t *digest_out,
                       int *class_out)
{
    uint8_t code = class_of(f, region);
    *digest_out =
        f->region_count == 1 ? 0 : omi_get_u32(f->head + f->leaf_off + 4 * (size_t)region);
    *class_out = code == OMI_FILTER_CLASS_NO_KEYS ? -1 : code;
}

void omi_filter_digest(const struct omi_filter *f, struct omi_digest *digest_out)
{
    *digest_out = f->digest;
}

/* ---- asking ------------------------------------------------------------------------------------ */

/* Written once for any machine, and once more with the wider vectors of AVX2, where there are some:
 * wide is a constant, and IN_PLACE puts the body into a function that may use them. A route stays in
 * registers that way, too. */
#define IN_PLACE static inline __attribute__((always_inline))
#ifdef __x86_64__
#define WIDE __attribute__((target("avx2")))
#else
#define WIDE
#endif

static inline bool has_wide(void)
{
#ifdef __x86_64__
    return __builtin_cpu_supports("avx2");
#else
    return false;
#endif
}

WIDE static inline uint32_t rank_wide(const uint8_t *line, uint32_t x)
{
#ifdef __x86_64__
    return omi_line_rank_avx2(line, x);
#else
    return omi_line_rank(line, x);
#endif
}

WIDE static inline bool holds_wide(const uint8_t *line, uint64_t hash, uint32_t probes)
{
#ifdef __x86_64__
    return omi_line_holds_avx2(line, hash, probes);
#else
    return omi_line_holds(line, hash, probes);
#endif
}

IN_PLACE bool holds(const uint8_t *line, uint64_t hash, uint32_t probes, bool wide)
{
    return wide ? holds_wide(line, hash, probes) : omi_line_holds(line, hash, probes);
}

IN_PLACE uint32_t slot_in_line(const uint8_t *level, uint32_t line, uint32_t x, uint32_t slots,
                               bool wide)
{
    const uint8_t *numbers = level + 64 * (size_t)line;
    /* The line's first number is at most x; its padding may be, too, for the largest x. */
    uint32_t rank = wide ? rank_wide(numbers, x) : omi_line_rank(numbers, x);
    uint32_t at = 16 * line + rank - 1;
    return at < slots ? at : slots - 1;
}

IN_PLACE uint32_t region_of(const struct omi_filter *f, uint32_t digest, bool wide)
{
    const uint8_t *level = f->head + OMI_FILTER_HEADER_BYTES;
    uint32_t n = f->region_count, leaves = (n + 15) / 16, middles = (leaves + 15) / 16, at = 0;
    if (n > 256) {
        at = slot_in_line(level, 0, digest, middles, wide);
        level += 64;
    }
    if (n > 16)
        at = slot_in_line(level, at, digest, leaves, wide);
    return slot_in_line(f->head + f->leaf_off, at, digest, n, wide);
}

IN_PLACE bool prefix_may_be(const struct omi_filter *f, omen_slice key, bool wide)
{
    size_t size = key.size < f->prefix_bytes ? key.size : f->prefix_bytes;
    if (OMI_MUTANT(OMI_MUTANT_SHORT_KEY_PREFIX) && key.size < f->prefix_bytes)
        return false;
    uint64_t hash = omi_filter_prefix_hash(omi_key_hash(key.data, size));
    const uint8_t *line = f->head + f->prefix_off + omi_line_off(hash, f->prefix_line_count);
    return holds(line, hash, f->prefix_probes, wide);
}

static bool denied(const struct omi_filter *f, uint64_t hash)
{
    const uint8_t *deny = f->head + f->deny_off;
    size_t low = 0, high = f->deny_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint64_t at = omi_get_u64(deny + 8 * middle);
        if (at == hash)
            return true;
        if (at < hash)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

IN_PLACE enum omi_filter_answer route(const struct omi_filter *f, omen_slice key, uint64_t hash,
                                      struct omi_filter_route *r, bool wide)
{
    *r = (struct omi_filter_route){0};
    if (f->kind == OMI_FILTER_NONE)
        return OMI_FILTER_MAYBE;
    uint8_t code = (uint8_t)f->probes;
    if (f->region_count != 1) {
        r->region = region_of(f, omi_digest_of(&f->digest, key.data, key.size), wide);
        r->part = part_of(f, r->region);
        code = class_of(f, r->region);
        if (code == OMI_FILTER_CLASS_NO_KEYS)
            return OMI_FILTER_NO;
    }
    r->probes = code;
    if (f->prefix_bytes != 0 && !prefix_may_be(f, key, wide))
        return OMI_FILTER_NO;
    if (code == OMI_FILTER_CLASS_MAYBE)
        return f->deny_count != 0 && denied(f, hash) ? OMI_FILTER_NO : OMI_FILTER_MAYBE;
    return OMI_FILTER_PROBE;
}

/* A part without a ribbon of the class, which none is made without, says "maybe". */
static bool ribbon_holds(const struct omi_filter *f, const struct omi_filter_route *r,
                         const uint8_t *part, uint64_t hash)
{
    struct omi_ribbon ribbon;
    uint32_t off, size = lines_of(f, r->part) * OMI_LINE_BYTES;
    return !omi_ribbon_part_find(part, size, r->probes, &ribbon, &off) ||
           omi_ribbon_holds(&ribbon, part + off, hash);
}

IN_PLACE bool probe(const struct omi_filter *f, const struct omi_filter_route *r,
                    const uint8_t *part, uint64_t hash, bool wide)
{
    if (f->kind == OMI_FILTER_RIBBON)
        return ribbon_holds(f, r, part, hash) && !(f->deny_count != 0 && denied(f, hash));
    const uint8_t *line = part + omi_line_off(hash, lines_of(f, r->part));
    return holds(line, hash, r->probes, wide) && !(f->deny_count != 0 && denied(f, hash));
}

IN_PLACE bool may_hold(const struct omi_filter *f, const uint8_t *section, omen_slice key,
                       uint64_t hash, bool wide)
{
    struct omi_filter_route r;
    /* With one part the line does not depend on the region: its way from memory begins first. */
    if (f->part_count == 1 && f->region_count != 1)
        __builtin_prefetch(section + f->head_bytes + omi_line_off(hash, f->line_count));
    enum omi_filter_answer answer = route(f, key, hash, &r, wide);
    if (answer != OMI_FILTER_PROBE)
        return answer == OMI_FILTER_MAYBE;
    uint64_t off = f->head_bytes + (uint64_t)first_line(f, r.part) * OMI_LINE_BYTES;
    return probe(f, &r, section + off, hash, wide);
}

WIDE static enum omi_filter_answer route_wide(const struct omi_filter *f, omen_slice key,
                                              uint64_t hash, struct omi_filter_route *r)
{
    return route(f, key, hash, r, true);
}

WIDE static bool probe_wide(const struct omi_filter *f, const struct omi_filter_route *r,
                            const uint8_t *part, uint64_t hash)
{
    return probe(f, r, part, hash, true);
}

WIDE static bool may_hold_wide(const struct omi_filter *f, const uint8_t *section, omen_slice key,
                               uint64_t hash)
{
    return may_hold(f, section, key, hash, true);
}

enum omi_filter_answer omi_filter_route(const struct omi_filter *f, omen_slice key, uint64_t hash,
                                        struct omi_filter_route *route_out)
{
    return has_wide() ? route_wide(f, key, hash, route_out) : route(f, key, hash, route_out, false);
}

void omi_filter_prefetch(const struct omi_filter *f, const struct omi_filter_route *r,
                         const uint8_t *part, uint64_t hash)
{
    struct omi_ribbon ribbon;
    uint32_t off, lines = lines_of(f, r->part);
    if (f->kind != OMI_FILTER_RIBBON)
        __builtin_prefetch(part + omi_line_off(hash, lines));
    else if (omi_ribbon_part_find(part, lines * OMI_LINE_BYTES, r->probes, &ribbon, &off))
        omi_ribbon_prefetch(&ribbon, part + off, hash);
}

void omi_filter_spot(const struct omi_filter *f, const struct omi_filter_route *r, uint64_t hash,
                     struct omi_filter_spot *spot)
{
    bool ribbon = f->kind == OMI_FILTER_RIBBON;
    spot->off = ribbon ? 0 : (uint32_t)omi_line_off(hash, lines_of(f, r->part));
    spot->size = ribbon ? OMI_RIBBON_TABLE_BYTES : OMI_LINE_BYTES;
}

bool omi_filter_second_spot(const struct omi_filter *f, const struct omi_filter_route *r,
                            const uint8_t *part, uint64_t hash, struct omi_filter_spot *spot)
{
    struct omi_ribbon ribbon;
    uint32_t off, lines = lines_of(f, r->part);
    if (f->kind != OMI_FILTER_RIBBON ||
        !omi_ribbon_part_find(part, lines * OMI_LINE_BYTES, r->probes, &ribbon, &off))
        return false;
    uint32_t block = omi_ribbon_key_of(hash, ribbon.blocks, ribbon.seed).start / OMI_RIBBON_WIDTH;
    spot->off = off + (uint32_t)omi_ribbon_block_off(&ribbon, block);
    uint32_t size = 2u * OMI_RIBBON_COLUMN_BYTES * (ribbon.columns + 1u);
    spot->size =
        size < lines * OMI_LINE_BYTES - spot->off ? size : lines * OMI_LINE_BYTES - spot->off;
    return true;
}

bool omi_filter_probe(const struct omi_filter *f, const struct omi_filter_route *r,
                      const uint8_t *part, uint64_t hash)
{
    return has_wide() ? probe_wide(f, r, part, hash) : probe(f, r, part, hash, false);
}

bool omi_filter_may_hold(const struct omi_filter *f, const uint8_t *section, omen_slice key,
                         uint64_t hash)
{
    return has_wide() ? may_hold_wide(f, section, key, hash)
                      : may_hold(f, section, key, hash, false);
}

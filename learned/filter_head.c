#include "learned/filter_head.h"

#include "io/base/hash.h"
#include "learned/bloom_line.h"

enum { FORMAT_PLAIN = 1, FORMAT = 2, SHIFT_MAX = 32 };

/* ---- small numbers in two bytes ------------------------------------------------------------------
 * x in [0, 1] as -log2(x) in units of 1/1024; ZERO stands for 0 and what is nearly that. Without
 * libm, so that every machine writes the same. */

enum { HALVING = 1024, ZERO = 0xffff };

/* 2^(-1/2), 2^(-1/4), ... 2^(-1/1024) */
static const double roots[10] = {0.70710678118654752, 0.84089641525371454, 0.91700404320467123,
                                 0.95760328069857365, 0.97857206208770009, 0.98922801319397548,
                                 0.99459942348363317, 0.99729605608547012, 0.99864711289097017,
                                 0.99932332750265075};

static uint16_t halvings_of(double x)
{
    uint32_t code = 0;
    if (!(x > 0)) /* not a number, too */
        return ZERO;
    for (; x <= 0.5 && code < 63 * HALVING; code += HALVING)
        x *= 2;
    for (uint32_t i = 0; i < 10; i++)
        if (x <= roots[i]) {
            x /= roots[i];
            code += (uint32_t)HALVING >> (i + 1);
        }
    return x < 0.99 ? ZERO : (uint16_t)code;
}

static double of_halvings(uint16_t code)
{
    double x = 1;
    if (code == ZERO)
        return 0;
    for (uint32_t i = 0; i < code / HALVING; i++)
        x /= 2;
    for (uint32_t i = 0; i < 10; i++)
        if ((code & HALVING >> (i + 1)) != 0)
            x *= roots[i];
    return x;
}

/* ---- header ------------------------------------------------------------------------------------ */

void omi_filter_header_encode(const struct omi_filter_header *h,
                              uint8_t out[static OMI_FILTER_HEADER_BYTES])
{
    out[0] = FORMAT;
    out[1] = (uint8_t)h->kind;
    out[2] = h->class_code;
    out[3] = (uint8_t)h->why;
    omi_put_u32(out + 4, h->line_count);
    omi_put_u64(out + 8, h->check);
    omi_put_u64(out + 16, h->part_check);
    omi_put_u64(out + 24, h->digest.base);
    omi_put_u16(out + 32, h->digest.strip);
    omi_put_u16(out + 34,
                (uint16_t)(h->digest.shift | h->prefix_bytes << 6 | h->prefix_probes << 12));
    omi_put_u32(out + 36, h->prefix_line_count);
    omi_put_u16(out + 40, (uint16_t)h->region_count);
    omi_put_u16(out + 42, (uint16_t)h->part_count);
    omi_put_u16(out + 44, (uint16_t)h->deny_count);
    omi_put_u16(out + 46, halvings_of(h->promised_fpr));
    omi_put_u16(out + 48, halvings_of(h->keylike_fpr));
    omi_put_u16(out + 50, halvings_of(h->plain_fpr));
    omi_put_u16(out + 52, halvings_of(h->price));
    omi_put_u16(out + 54, halvings_of(h->weight));
    omi_put_u32(out + 56, h->key_count);
    omi_put_u32(out + 60, h->sample_count);
}

static void header_parse(const uint8_t *in, struct omi_filter_header *h)
{
    uint16_t shape = omi_get_u16(in + 34);
    *h = (struct omi_filter_header){.format = in[0],
                                    .kind = (enum omi_filter_kind)in[1],
                                    .why = in[3] <= OMI_FILTER_WHY_BUILD_FAILED
                                               ? (enum omi_filter_why)in[3]
                                               : OMI_FILTER_WHY_ASKED,
                                    .class_code = in[2],
                                    .line_count = omi_get_u32(in + 4),
                                    .check = omi_get_u64(in + 8),
                                    .part_check = omi_get_u64(in + 16),
                                    .prefix_line_count = omi_get_u32(in + 36),
                                    .region_count = omi_get_u16(in + 40),
                                    .part_count = omi_get_u16(in + 42),
                                    .deny_count = omi_get_u16(in + 44),
                                    .promised_fpr = of_halvings(omi_get_u16(in + 46)),
                                    .keylike_fpr = of_halvings(omi_get_u16(in + 48)),
                                    .plain_fpr = of_halvings(omi_get_u16(in + 50)),
                                    .price = of_halvings(omi_get_u16(in + 52)),
                                    .weight = of_halvings(omi_get_u16(in + 54)),
                                    .key_count = omi_get_u32(in + 56),
                                    .sample_count = omi_get_u32(in + 60)};
    h->digest = (struct omi_digest){omi_get_u64(in + 24), omi_get_u16(in + 32), shape & 63};
    h->prefix_bytes = shape >> 6 & 63;
    h->prefix_probes = (uint8_t)(shape >> 12);
}

static bool header_in_range(const struct omi_filter_header *h)
{
    bool one = h->region_count == 1, layer = h->prefix_bytes != 0;
    return h->region_count >= 1 && h->region_count <= OMI_FILTER_REGIONS_MAX &&
           h->part_count >= 1 && h->part_count <= h->region_count &&
           h->part_count <= OMI_FILTER_PARTS_MAX && h->deny_count <= OMI_FILTER_DENIED_MAX &&
           h->class_code <= (one ? omi_filter_class_max(h->kind) : 0) &&
           (!one || (h->class_code == 0) == (h->line_count == 0)) && h->digest.shift <= SHIFT_MAX &&
           h->prefix_bytes <= OMI_SAMPLE_HEAD_BYTES && h->prefix_probes <= OMI_LINE_PROBES_MAX &&
           layer == (h->prefix_probes != 0) && layer == (h->prefix_line_count != 0);
}

omen_err omi_filter_header_decode(const uint8_t in[static OMI_FILTER_HEADER_BYTES],
                                  uint64_t section_bytes, struct omi_filter_header *h)
{
    struct omi_filter_places places;
    header_parse(in, h);
    if (h->format == FORMAT_PLAIN && in[1] == OMI_FILTER_PLAIN) {
        h->why = OMI_FILTER_WHY_ASKED;
        h->region_count = h->part_count = 1;
        h->key_count = h->sample_count = h->deny_count = 0;
        h->prefix_bytes = h->prefix_probes = 0;
        h->prefix_line_count = 0;
        h->digest = (struct omi_digest){0};
        if (h->class_code == 0)
            return omi_fail(OMEN_CORRUPT, 0, "a filter without probes");
    } else if (h->format != FORMAT || in[1] < OMI_FILTER_PLAIN || in[1] > OMI_FILTER_RIBBON) {
        return omi_fail(OMEN_UNSUPPORTED, 0, "a filter of format %u, kind %u", in[0], in[1]);
    }
    if (!header_in_range(h))
        return omi_fail(OMEN_CORRUPT, 0, "a filter's header is damaged");
    omi_filter_places_find(h, &places);
    uint64_t lines = (uint64_t)h->line_count * OMI_LINE_BYTES;
    if (places.end > UINT32_MAX || places.end + lines != section_bytes)
        return omi_fail(OMEN_CORRUPT, 0, "a filter section whose sizes do not add up");
    return OMEN_OK;
}

/* ---- the rest of the head ---------------------------------------------------------------------- */

void omi_filter_places_find(const struct omi_filter_header *h, struct omi_filter_places *p)
{
    uint64_t n = h->region_count, more = h->part_count - (uint64_t)1;
    uint64_t leaf = (n + 15) / 16, middle = (leaf + 15) / 16;
    p->bounds = OMI_FILTER_HEADER_BYTES;
    p->leaf = p->bounds + (n > 256 ? 64 : 0) + (n > 16 ? 64 * middle : 0);
    p->prefix = n > 1 ? p->leaf + 64 * leaf : p->bounds;
    p->checks = p->prefix + (uint64_t)h->prefix_line_count * OMI_LINE_BYTES;
    p->lines = p->checks + 8 * more;
    p->part_of = p->lines + (more != 0 ? 4 * (more + 2) : 0);
    p->classes = p->part_of + (more != 0 ? 2 * n : 0);
    p->deny = (p->classes + (n > 1 ? n : 0) + 7) / 8 * 8;
    p->end = (p->deny + 8 * (uint64_t)h->deny_count + 63) / 64 * 64;
}

uint64_t omi_filter_head_check(const uint8_t *head, uint64_t head_bytes, uint64_t file_id)
{
    return omi_checksum(head + 16, (size_t)head_bytes - 16, omi_checksum(head, 8, file_id));
}

/*
 * index_plan.c - building: fit the model to a file's keys, place the cuts, write the section,
 * certify it.
 */
#include "io/base/coding.h"
#include "learned/block_index.h"
#include "learned/cuts.h"
#include "learned/groups.h"
#include "learned/index_format.h"
#include "learned/normaliser.h"
#include "learned/separators.h"
#include "learned/spline.h"

#include <stdlib.h>

enum {
    SAMPLE_STRETCHES = 12, /* parts of the file on which R is chosen */
    SAMPLE_BLOCKS = 24,    /* blocks in each */
    POINTS_A_BLOCK = 8,    /* of the corridor */
    KNOT_COST = OMI_KNOT_BYTES
};

struct omi_index_plan {
    const struct omi_index_key *keys;
    uint32_t count;
    struct omi_index_params params;
    bool learned; /* has a model */
    struct omi_norm_position positions[OMI_NORM_POSITIONS_MAX];
    struct omi_normaliser norm;
    uint64_t *codes;      /* of every entry */
    uint64_t total_bytes; /* raw */
    uint8_t *knots;
    struct omi_spline spline;
    uint32_t cells, cells_per_block;
    struct omi_cuts cuts;
};

/* ---- the model ------------------------------------------------------------------------------- */

/* Cells of entries, asked mostly in ascending order: the knot before is remembered. */
struct walker {
    const struct omi_index_plan *plan;
    struct omi_spline spline;
    uint32_t knot;
};

static uint32_t walker_cell(void *ctx, uint32_t entry)
{
    struct walker *w = ctx;
    uint64_t code = w->plan->codes[entry];
    const struct omi_spline *s = &w->spline;
    while (w->knot > 0 && omi_knot_code(s->knots, w->knot) > code)
        w->knot--;
    while (w->knot + 1 < s->knot_count && omi_knot_code(s->knots, w->knot + 1) <= code)
        w->knot++;
    return code < omi_knot_code(s->knots, w->knot) ? omi_knot_cell(s->knots, 0)
                                                   : omi_spline_at(s, w->knot, code);
}

/* Points of the corridor: every few entries, equal codes once, the last entry always. */
static uint32_t points_take(const struct omi_index_plan *p, struct omi_spline_point *points)
{
    uint64_t step = p->params.block_bytes / POINTS_A_BLOCK, next = 0, bytes = 0;
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        bool wanted = bytes >= next || i + 1 == p->count;
        if (wanted && (n == 0 || p->codes[i] > points[n - 1].code)) {
            points[n++] = (struct omi_spline_point){p->codes[i], bytes};
            next = bytes + step;
        }
        bytes += p->keys[i].raw_bytes;
    }
    return n;
}

static uint32_t cells_of(const uint8_t *knots, uint32_t knot_count)
{
    return omi_knot_cell(knots, knot_count - 1) + 1;
}

/* What a model would cost, in bytes over the file, by placing cuts in some stretches of it. */
static uint64_t model_cost(struct omi_index_plan *p, const uint8_t *knots, uint32_t knot_count,
                           uint32_t cells_per_block)
{
    struct walker w = {p, {knots, knot_count}, 0};
    struct omi_cuts *c = &p->cuts;
    uint64_t entries = p->count, blocks = p->total_bytes / p->params.block_bytes + 1;
    uint64_t stretch = entries * SAMPLE_BLOCKS / blocks + 1;
    uint64_t stretches = entries / stretch > SAMPLE_STRETCHES ? SAMPLE_STRETCHES : 1;
    if (stretches == 1)
        stretch = entries;
    c->blocks = c->keyed_count = 0;
    c->separator_bytes = 0;
    for (uint64_t s = 0; s < stretches; s++) {
        uint64_t from = s * (entries - stretch) / (stretches > 1 ? stretches - 1 : 1);
        w.knot = 0;
        uint32_t low = 0, high = knot_count;
        while (high - low > 1) {
            uint32_t middle = low + (high - low) / 2;
            if (omi_knot_code(knots, middle) <= p->codes[from])
                low = middle;
            else
                high = middle;
        }
        w.knot = low;
        omi_cuts_place(c, (uint32_t)from, (uint32_t)(from + stretch), walker_cell, &w);
    }
    uint64_t cell_bits = 2;
    for (uint32_t r = cells_per_block; r > 1; r /= 2)
        cell_bits++;
    uint64_t placed = c->blocks != 0 ? c->blocks : 1;
    uint64_t each = cell_bits + (c->keyed_count != 0);
    return (uint64_t)knot_count * KNOT_COST + blocks * each / 8 +
           c->separator_bytes * blocks / placed;
}

struct choice {
    uint64_t cost;
    uint8_t *knots;
    uint32_t knot_count, cells_per_block;
};

/* Tries the resolutions for one corridor; keeps the cheapest model so far. */
static omen_err choice_try(struct omi_index_plan *p, const struct omi_spline_point *points,
                           const uint32_t *picked, uint32_t picked_count, struct choice *best)
{
    static const uint32_t resolutions[] = {4, 16, 64, 256, 1024};
    uint32_t tried = picked_count == 1 ? 1 : 5;
    for (uint32_t r = 0; r < tried; r++) {
        if (points[picked[picked_count - 1]].bytes * resolutions[r] / p->params.block_bytes >=
            UINT32_C(1) << 31)
            break;
        if ((uint64_t)picked_count * KNOT_COST >= best->cost)
            break;
        uint8_t *knots = malloc((size_t)picked_count * OMI_KNOT_BYTES);
        if (knots == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "a block index's knots");
        omi_spline_encode(points, picked, picked_count, resolutions[r], p->params.block_bytes,
                          knots);
        uint64_t cost = model_cost(p, knots, picked_count, resolutions[r]);
        bool first_is_fine = p->cuts.keyed_count == 0;
        if (cost < best->cost) {
            free(best->knots);
            *best = (struct choice){cost, knots, picked_count, resolutions[r]};
        } else {
            free(knots);
        }
        if (first_is_fine)
            break; /* no keyed cut: a finer grid only costs more */
    }
    return OMEN_OK;
}

static omen_err model_fit(struct omi_index_plan *p)
{
    static const uint32_t tolerances[] = {64, 16, 4, 1}; /* blocks */
    struct choice best = {.cost = UINT64_MAX};
    struct omi_spline_point *points = malloc(p->count * sizeof(*points));
    uint32_t *picked = malloc(p->count * sizeof(*picked));
    omen_err err = points == NULL || picked == NULL
                       ? omi_fail(OMEN_NO_MEMORY, 0, "a block index of %u keys", p->count)
                       : OMEN_OK;
    uint32_t n = err == OMEN_OK ? points_take(p, points) : 0, last = 0;
    for (int t = 0; t < 4 && err == OMEN_OK; t++) {
        uint32_t knots =
            omi_spline_pick(points, n, (uint64_t)tolerances[t] * p->params.block_bytes, picked);
        if (knots == last)
            continue;
        last = knots;
        err = choice_try(p, points, picked, knots, &best);
        if (p->cuts.keyed_count == 0)
            break;
    }
    free(points);
    free(picked);
    if (err != OMEN_OK || best.knots == NULL) {
        free(best.knots);
        return err;
    }
    p->knots = best.knots;
    p->spline = (struct omi_spline){best.knots, best.knot_count};
    p->cells_per_block = best.cells_per_block;
    p->cells = cells_of(best.knots, best.knot_count);
    return OMEN_OK;
}

static omen_err codes_make(struct omi_index_plan *p)
{
    p->codes = malloc(p->count * sizeof(*p->codes));
    if (p->codes == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a block index of %u keys", p->count);
    p->norm.positions = p->positions;
    omi_normaliser_fit(&p->norm, p->keys, p->count, p->params.block_bytes);
    for (uint32_t i = 0; i < p->count; i++)
        p->codes[i] = omi_normalise(&p->norm, p->keys[i].key, p->keys[i].key_size);
    return OMEN_OK;
}

/* ---- the plan -------------------------------------------------------------------------------- */

static void cuts_all(struct omi_index_plan *p)
{
    struct walker w = {p, p->spline, 0};
    p->cuts.blocks = p->cuts.keyed_count = 0;
    p->cuts.separator_bytes = 0;
    omi_cuts_place(&p->cuts, 0, p->count, p->learned ? walker_cell : NULL, &w);
}

static omen_err plan_make(struct omi_index_plan *p)
{
    omen_err err = OMEN_OK;
    p->cuts = (struct omi_cuts){.keys = p->keys,
                                .count = p->count,
                                .block_bytes = p->params.block_bytes,
                                .bytewise = omi_order_is_bytewise(p->params.order)};
    p->cuts.first = malloc(p->count * sizeof(*p->cuts.first));
    p->cuts.keyed = malloc(p->count * sizeof(*p->cuts.keyed));
    if (p->cuts.first == NULL || p->cuts.keyed == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a block index of %u keys", p->count);
    for (uint32_t i = 0; i < p->count; i++)
        p->total_bytes += p->keys[i].raw_bytes;
    const struct omi_index_key *first = &p->keys[0], *last = &p->keys[p->count - 1];
    if (p->cuts.bytewise) { /* separators are kept without it, with a model or not */
        p->norm.prefix = first->key;
        p->norm.prefix_size =
            (uint32_t)omi_bytes_common(first->key, first->key_size, last->key, last->key_size);
    }
    if (p->cuts.bytewise && !p->params.explicit_only) {
        err = codes_make(p);
        if (err == OMEN_OK)
            err = model_fit(p);
        p->learned = err == OMEN_OK && p->knots != NULL;
    }
    if (err != OMEN_OK)
        return err;
    cuts_all(p);
    if (p->learned && p->cuts.keyed_count * UINT64_C(2) > p->cuts.blocks - 1) {
        p->learned = false; /* most cuts need a key: the model would be ballast */
        cuts_all(p);
    }
    return OMEN_OK;
}

omen_err omi_index_plan_create(const struct omi_index_key *keys, uint32_t count,
                               const struct omi_index_params *params,
                               struct omi_index_plan **plan_out)
{
    *plan_out = NULL;
    if (count == 0 || params->block_bytes < 1024 || params->block_bytes > 32768)
        return omi_fail(OMEN_INVALID, 0, "a block index of %u keys in blocks of %u bytes", count,
                        params->block_bytes);
    struct omi_index_plan *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a block index");
    p->keys = keys;
    p->count = count;
    p->params = *params;
    omen_err err = plan_make(p);
    if (err != OMEN_OK) {
        omi_index_plan_destroy(p);
        return err;
    }
    *plan_out = p;
    return OMEN_OK;
}

void omi_index_plan_destroy(struct omi_index_plan *p)
{
    if (p == NULL)
        return;
    free(p->codes);
    free(p->knots);
    free(p->cuts.first);
    free(p->cuts.keyed);
    free(p);
}

uint32_t omi_index_plan_blocks(const struct omi_index_plan *p)
{
    return p->cuts.blocks;
}

const uint32_t *omi_index_plan_first(const struct omi_index_plan *p)
{
    return p->cuts.first;
}

/* ---- the section ----------------------------------------------------------------------------- */

/* The separator of the cut before entry i: the shortest string in (last key, first key], or between
 * two versions of one key the successor of the last one. */
static omen_err separator_put(const struct omi_index_plan *p, struct omi_separator_writer *w,
                              uint32_t i, uint32_t strip)
{
    const struct omi_index_key *a = &p->keys[i - 1], *b = &p->keys[i];
    if (!p->cuts.bytewise) {
        bool same = omi_key_compare(p->params.order, omi_slice(a->key, a->key_size),
                                    omi_slice(b->key, b->key_size)) == 0;
        return omi_separator_add(w, b->key, b->key_size, same ? a->trailer - 1 : UINT64_MAX);
    }
    uint32_t common = (uint32_t)omi_bytes_common(a->key, a->key_size, b->key, b->key_size);
    if (common == b->key_size) /* then a's key is the same */
        return omi_separator_add(w, b->key + strip, b->key_size - strip, a->trailer - 1);
    return omi_separator_add(w, b->key + strip, common + 1 - strip, UINT64_MAX);
}

struct parts {
    struct omi_buf lines, directory, separators, positions;
    uint32_t separator_count, groups;
};

static void parts_fini(struct parts *x)
{
    omi_buf_fini(&x->lines);
    omi_buf_fini(&x->directory);
    omi_buf_fini(&x->separators);
    omi_buf_fini(&x->positions);
}

static omen_err parts_make(const struct omi_index_plan *p, const uint64_t *offsets, struct parts *x)
{
    uint32_t blocks = p->cuts.blocks, strip = p->cuts.bytewise ? p->norm.prefix_size : 0;
    uint32_t *cells = calloc(blocks, sizeof(*cells));
    struct omi_separator_writer w;
    struct walker walk = {p, p->spline, 0};
    if (cells == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a block index of %u blocks", blocks);
    omi_separator_writer_init(&w, &x->separators);
    omen_err err = OMEN_OK;
    for (uint32_t b = 1; b < blocks && err == OMEN_OK; b++) {
        if (p->learned)
            cells[b] = walker_cell(&walk, p->cuts.first[b]);
        if (!p->learned || p->cuts.keyed[b])
            err = separator_put(p, &w, p->cuts.first[b], strip);
    }
    x->separator_count = w.count;
    if (err == OMEN_OK)
        err = omi_separator_finish(&w);
    omi_separator_writer_fini(&w);
    if (err == OMEN_OK)
        err = omi_groups_encode(cells, p->cuts.keyed, offsets, blocks,
                                p->learned && p->cuts.keyed_count != 0, &x->directory, &x->lines);
    x->groups = (uint32_t)(x->lines.size / 64);
    if (err == OMEN_OK && p->learned)
        err = omi_normaliser_encode(&p->norm, &x->positions);
    free(cells);
    return err;
}

static omen_err section_write(const struct omi_index_plan *p, const uint64_t *offsets,
                              struct omi_buf *out)
{
    struct parts x = {0};
    omen_err err = parts_make(p, offsets, &x);
    if (err == OMEN_OK) {
        uint8_t h[OMI_INDEX_HEADER_BYTES] = {0};
        uint32_t knots = p->learned ? p->spline.knot_count : 0;
        h[0] = OMI_INDEX_FORMAT;
        h[1] = p->learned         ? OMI_INDEX_SPLINE
               : p->cuts.bytewise ? OMI_INDEX_EXPLICIT
                                  : OMI_INDEX_ORDERED;
        h[2] = p->learned ? (uint8_t)p->norm.position_count : 0;
        omi_put_u32(h + 4, p->cuts.blocks);
        omi_put_u32(h + 8, p->learned ? p->cells : 1);
        omi_put_u32(h + 12, knots);
        omi_put_u32(h + 16, x.groups);
        omi_put_u32(h + 20, p->norm.prefix_size);
        omi_put_u32(h + 24, (uint32_t)x.positions.size);
        omi_put_u32(h + 28, x.separator_count);
        omi_put_u32(h + 32, (uint32_t)x.separators.size);
        const omen_slice parts[] = {{h, sizeof(h)},
                                    {x.lines.data, x.lines.size},
                                    {p->knots, (size_t)knots * OMI_KNOT_BYTES},
                                    {x.directory.data, x.directory.size},
                                    {x.separators.data, x.separators.size},
                                    {p->norm.prefix, p->norm.prefix_size},
                                    {x.positions.data, x.positions.size}};
        for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && err == OMEN_OK; i++)
            err = omi_buf_append(out, parts[i].data, parts[i].size);
    }
    parts_fini(&x);
    return err;
}

/* Looks up the first and the last entry of every block. By monotony that proves all entries, and
 * with them every absent key. */
static omen_err certify(const struct omi_index_plan *p, const uint8_t *section, size_t size,
                        const uint64_t *offsets, bool *good_out)
{
    uint32_t blocks = p->cuts.blocks;
    struct omi_index *index = NULL;
    uint8_t *copy = aligned_alloc(64, (size + 63) / 64 * 64);
    *good_out = false;
    if (copy == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a block index's certificate");
    memcpy(copy, section, size);
    omen_err err = omi_index_open(copy, size, p->params.order, offsets[blocks], &index);
    bool good = err == OMEN_OK && omi_index_blocks(index) == blocks;
    for (uint32_t b = 0; b < blocks && good; b++) {
        uint32_t first = p->cuts.first[b];
        uint32_t last = (b + 1 < blocks ? p->cuts.first[b + 1] : p->count) - 1;
        const struct omi_index_key *x = &p->keys[first], *y = &p->keys[last];
        uint64_t off;
        uint32_t bytes;
        omi_index_locate(index, b, &off, &bytes);
        good = omi_index_certify(index, omi_slice(x->key, x->key_size), x->trailer) == b &&
               omi_index_certify(index, omi_slice(y->key, y->key_size), y->trailer) == b &&
               off == offsets[b] && off + bytes == offsets[b + 1];
    }
    omi_index_close(index);
    free(copy);
    *good_out = good;
    return err == OMEN_NO_MEMORY ? err : OMEN_OK;
}

static void fill_report(const struct omi_index_plan *p, struct omi_index_info *info)
{
    uint64_t sum = 0, counted = 0, low = UINT64_MAX, high = 0;
    for (uint32_t b = 0; b < p->cuts.blocks; b++) {
        uint32_t first = p->cuts.first[b];
        uint32_t end = b + 1 < p->cuts.blocks ? p->cuts.first[b + 1] : p->count;
        uint64_t bytes = 0;
        for (uint32_t i = first; i < end; i++)
            bytes += p->keys[i].raw_bytes;
        bool oversized = end - first == 1 && bytes > p->params.block_bytes / 2;
        bool before_large = end < p->count && p->keys[end].raw_bytes > p->params.block_bytes;
        if (b + 1 == p->cuts.blocks || oversized || before_large)
            continue;
        uint64_t pct = bytes * 100 / p->params.block_bytes;
        low = pct < low ? pct : low;
        high = pct > high ? pct : high;
        sum += pct;
        counted++;
    }
    info->fill_min_pct = counted != 0 ? (uint32_t)low : 0;
    info->fill_max_pct = (uint32_t)high;
    info->fill_mean_pct = counted != 0 ? (uint32_t)(sum / counted) : 0;
}

/* Where many cuts need a key the model may not pay: of both forms of the section the smaller stays.
 */
static omen_err prefer_smaller(struct omi_index_plan *p, const uint64_t *offsets,
                               struct omi_buf *out, size_t start)
{
    struct omi_buf other = {0};
    if (!p->learned || p->cuts.keyed_count < p->cuts.blocks / 8)
        return OMEN_OK;
    p->learned = false;
    omen_err err = section_write(p, offsets, &other);
    if (err == OMEN_OK && other.size < out->size - start) {
        out->size = start;
        err = omi_buf_append(out, other.data, other.size);
    } else {
        p->learned = true;
    }
    omi_buf_fini(&other);
    return err;
}

omen_err omi_index_plan_encode(struct omi_index_plan *p, const uint64_t *offsets,
                               struct omi_buf *out, struct omi_index_info *info)
{
    size_t start = out->size;
    bool good = false;
    *info = (struct omi_index_info){.keys = p->count, .blocks = p->cuts.blocks};
    omen_err err = section_write(p, offsets, out);
    if (err == OMEN_OK)
        err = prefer_smaller(p, offsets, out, start);
    if (err == OMEN_OK)
        err = certify(p, out->data + start, out->size - start, offsets, &good);
    if (err == OMEN_OK && (!good || p->params.break_certificate)) {
        info->certificate_failed = true;
        if (!p->learned && !p->params.break_certificate)
            return omi_fail(OMEN_CORRUPT, 0,
                            "a block index of separators does not find its keys: the entries are "
                            "not in order");
        p->learned = false; /* the same cuts, each by its key */
        out->size = start;
        err = section_write(p, offsets, out);
        if (err == OMEN_OK)
            err = certify(p, out->data + start, out->size - start, offsets, &good);
        if (err == OMEN_OK && !good)
            return omi_fail(OMEN_CORRUPT, 0,
                            "a block index of separators does not find its keys: the entries are "
                            "not in order");
    }
    if (err != OMEN_OK)
        return err;
    info->bytes = out->size - start;
    info->is_explicit = !p->learned;
    info->knots = p->learned ? p->spline.knot_count : 0;
    info->keyed_cuts = p->learned ? p->cuts.keyed_count : p->cuts.blocks - 1;
    info->cells_per_block = p->learned ? p->cells_per_block : 0;
    fill_report(p, info);
    return OMEN_OK;
}

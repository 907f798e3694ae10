/* range_filter.c - opening a range filter, and asking it. */
#include "io/base/hash.h"
#include "io/base/mutant.h"
#include "learned/range_format.h"

#include <stdlib.h>

/* ---- opening --------------------------------------------------------------------------------- */

static omen_err damaged(const char *what)
{
    return omi_fail(OMEN_CORRUPT, 0, "range filter: %s", what);
}

/* The counts of the header, each within its bounds. */
static omen_err header_take(const uint8_t *h, struct omi_range_filter *f)
{
    f->kind = (enum omi_range_kind)h[1];
    f->shape.low_bits = h[2];
    f->shape.count = omi_get_u32(h + 4);
    f->shape.top = omi_get_u64(h + 8);
    f->min = omi_get_u64(h + 16);
    f->max = omi_get_u64(h + 24);
    f->knot_count = omi_get_u32(h + 32);
    f->slots = f->kind == OMI_RANGE_SPLINE ? omi_get_u32(h + 36) : 0;
    f->shift = f->kind == OMI_RANGE_SPLINE ? 0 : omi_get_u32(h + 36);
    f->codes = omi_get_u32(h + 44);
    f->seed = omi_get_u64(h + 48);
    f->check = omi_get_u64(h + 56);
    bool spline = f->kind == OMI_RANGE_SPLINE;
    if (f->shape.count < 1 || f->shape.count > f->codes || f->codes > OMI_RANGE_KEYS_MAX ||
        f->shape.top >> 62 != 0)
        return damaged("its counts are out of range");
    if (f->min > f->max || (f->kind == OMI_RANGE_EXACT && f->shape.top != f->max - f->min))
        return damaged("its codes are out of range");
    if (spline ? f->knot_count < 1 || f->knot_count > f->codes || f->slots < 1 ||
                     f->slots > OMI_RANGE_SLOTS_MAX
               : f->knot_count != 0 || f->shift > (f->kind == OMI_RANGE_HASHED ? 63u : 0u))
        return damaged("its knots are out of range");
    return OMEN_OK;
}

/* Where the parts lie; they fill the section exactly. */
static omen_err parts_find(const uint8_t *section, size_t size, struct omi_range_filter *f,
                           size_t *symbols_off_out)
{
    uint64_t upper, samples, lows, knots = f->knot_count;
    uint64_t prefix = omi_get_u16(section + 40), symbols = omi_get_u16(section + 42);
    if (!omi_ef_sizes(&f->shape, &upper, &samples, &lows) ||
        size != OMI_RANGE_HEADER_BYTES + upper + 8 * knots + samples + 4 * knots + lows + prefix +
                    symbols)
        return damaged("its parts do not fill the section");
    f->knot_codes_off = OMI_RANGE_HEADER_BYTES + (size_t)upper;
    f->samples_off = f->knot_codes_off + 8 * (size_t)knots;
    f->knot_ranks_off = f->samples_off + (size_t)samples;
    f->lows_off = f->knot_ranks_off + 4 * (size_t)knots;
    f->prefix_off = f->lows_off + (size_t)lows;
    f->norm.prefix_size = (uint32_t)prefix;
    f->norm.positions = f->positions;
    *symbols_off_out = f->prefix_off + (size_t)prefix;
    return OMEN_OK;
}

/* Knots rise in both, from the smallest code at rank 0 to the largest at the top. */
static omen_err knots_check(const struct omi_range_view *v)
{
    const struct omi_range_filter *f = v->f;
    uint32_t last = f->knot_count - 1;
    bool good = omi_range_knot_code(v, 0) == f->min && omi_range_knot_rank(v, 0) == 0 &&
                omi_range_knot_code(v, last) == f->max &&
                omi_range_knot_rank(v, last) * f->slots == f->shape.top;
    for (uint32_t k = 1; k <= last && good; k++)
        good = omi_range_knot_code(v, k) > omi_range_knot_code(v, k - 1) &&
               omi_range_knot_rank(v, k) > omi_range_knot_rank(v, k - 1);
    return good ? OMEN_OK : damaged("its knots do not rise");
}

/* All that is behind the header. */
static omen_err parts_check(const uint8_t *section, size_t size, struct omi_range_filter *f,
                            uint32_t positions)
{
    size_t symbols_off = 0;
    omen_err err = parts_find(section, size, f, &symbols_off);
    if (err == OMEN_OK)
        err = omi_normaliser_decode_whole(&f->norm, positions, section + symbols_off,
                                          size - symbols_off);
    if (err != OMEN_OK)
        return err;
    struct omi_range_view v = omi_range_view_of(f, section);
    if (f->kind == OMI_RANGE_SPLINE)
        err = knots_check(&v);
    if (err == OMEN_OK && !omi_ef_check(&v.set))
        err = damaged("its set does not add up");
    return err;
}

omen_err omi_range_filter_open(const uint8_t *section, size_t size,
                               struct omi_range_filter **filter_out)
{
    *filter_out = NULL;
    if (size < OMI_RANGE_HEADER_BYTES)
        return damaged("the section is shorter than its header");
    if (section[0] != OMI_RANGE_FORMAT)
        return omi_fail(OMEN_UNSUPPORTED, 0, "range filter: format %u is not this build's %d",
                        section[0], OMI_RANGE_FORMAT);
    if (omi_get_u64(section + 56) != omi_checksum(section + OMI_RANGE_HEADER_BYTES,
                                                  size - OMI_RANGE_HEADER_BYTES,
                                                  omi_checksum(section, 56, 0)))
        return damaged("its check does not match");
    if (section[1] < OMI_RANGE_EXACT || section[1] > OMI_RANGE_HASHED)
        return omi_fail(OMEN_UNSUPPORTED, 0, "range filter: kind %u is not known", section[1]);
    uint32_t positions = section[3];
    if (positions < 1 || positions > OMI_NORM_POSITIONS_MAX)
        return damaged("too many positions");
    struct omi_range_filter *f = calloc(1, sizeof(*f) + positions * sizeof(f->positions[0]));
    if (f == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a range filter");
    f->section_bytes = size;
    omen_err err = header_take(section, f);
    if (err == OMEN_OK)
        err = parts_check(section, size, f, positions);
    if (err != OMEN_OK) {
        free(f);
        return err;
    }
    *filter_out = f;
    return OMEN_OK;
}

omen_err omi_range_filter_again(const struct omi_range_filter *f, const uint8_t *section,
                                size_t size)
{
    struct omi_range_filter *other;
    omen_err err = omi_range_filter_open(section, size, &other);
    if (err == OMEN_OK && (size != f->section_bytes || other->check != f->check))
        err = damaged("it is another than it was");
    omi_range_filter_close(other);
    return err;
}

void omi_range_filter_close(struct omi_range_filter *f)
{
    free(f);
}

size_t omi_range_filter_heap_bytes(const struct omi_range_filter *f)
{
    return sizeof(*f) + f->norm.position_count * sizeof(f->positions[0]);
}

void omi_range_filter_describe(const struct omi_range_filter *f, const uint8_t *section,
                               struct omi_range_info *info)
{
    struct omi_range_view v = omi_range_view_of(f, section);
    *info = (struct omi_range_info){.kind = f->kind,
                                    .codes = f->codes,
                                    .knots = f->knot_count,
                                    .shift = f->shift,
                                    .bytes = f->section_bytes};
    for (uint32_t k = 1; k < f->knot_count; k++)
        info->gaps += omi_range_knot_rank(&v, k) - omi_range_knot_rank(&v, k - 1) == 1;
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The last knot, from knot k on, whose code is <= code. */
static uint32_t knot_find(const struct omi_range_view *v, uint32_t k, uint64_t code)
{
    for (uint32_t left = v->f->knot_count - k; left > 1;) {
        uint32_t half = left / 2;
        k += omi_range_knot_code(v, k + half) <= code ? half : 0;
        left -= half;
    }
    return k;
}

static bool ask_spline(const struct omi_range_view *v, uint64_t low, uint64_t high)
{
    uint32_t k = knot_find(v, 0, low);
    uint64_t from = omi_range_spline_at(v, k, low, false);
    if (high != low)
        k = knot_find(v, k, high);
    uint64_t to = omi_range_spline_at(v, k, high, true);
    return from <= to && omi_ef_any(&v->set, from, to);
}

/* [from, from + more] in the circle of positions; more < range. */
static bool ask_circle(const struct omi_range_view *v, uint64_t from, uint64_t more)
{
    uint64_t top = v->f->shape.top;
    if (more <= top - from)
        return omi_ef_any(&v->set, from, from + more);
    return omi_ef_any(&v->set, from, top) || omi_ef_any(&v->set, 0, more - (top - from) - 1);
}

static bool ask_hashed(const struct omi_range_view *v, uint64_t low, uint64_t high)
{
    low >>= v->f->shift;
    high >>= v->f->shift;
    uint64_t range = v->f->shape.top + 1, block = low / range, off = low % range;
    if (high - low >= range)
        return true;
    uint64_t from = (omi_range_scatter(v->f->seed, block, range) + off) % range;
    if (high / range == block)
        return ask_circle(v, from, high - low);
    return ask_circle(v, from, range - 1 - off) ||
           ask_circle(v, omi_range_scatter(v->f->seed, block + 1, range), high % range);
}

bool omi_range_ask(const struct omi_range_view *v, uint64_t low, uint64_t high)
{
    switch (v->f->kind) {
    case OMI_RANGE_EXACT:
        return omi_ef_any(&v->set, low - v->f->min, high - v->f->min);
    case OMI_RANGE_SPLINE:
        return ask_spline(v, low, high);
    default:
        return ask_hashed(v, low, high);
    }
}

bool omi_range_filter_may_hold(const struct omi_range_filter *f, const uint8_t *section,
                               const omen_slice *low, const omen_slice *high)
{
    struct omi_range_view v = omi_range_view_of(f, section);
    uint64_t from = low != NULL ? omi_normalise(&v.norm, low->data, low->size) : 0;
    uint64_t to = high != NULL ? omi_normalise(&v.norm, high->data, high->size) : UINT64_MAX;
    from = from > f->min ? from : f->min;
    to = to < f->max ? to : f->max;
    if (OMI_MUTANT(OMI_MUTANT_RANGE_END_EXCLUSIVE) && high != NULL && to != 0)
        to--;
    return from <= to && omi_range_ask(&v, from, to);
}

/* ---- how far there is nothing ---------------------------------------------------------------- */

/* The least code whose position is at least number. */
static uint64_t spline_code(const struct omi_range_view *v, uint64_t number)
{
    uint64_t slots = v->f->slots;
    uint32_t k = 0;
    for (uint32_t left = v->f->knot_count; left > 1;) {
        uint32_t half = left / 2;
        k += omi_range_knot_rank(v, k + half) * slots <= number ? half : 0;
        left -= half;
    }
    uint64_t from = omi_range_knot_code(v, k), start = omi_range_knot_rank(v, k) * slots;
    if (k + 1 == v->f->knot_count || number == start)
        return from;
    uint64_t rise = omi_range_knot_rank(v, k + 1) * slots - start;
    uint64_t width = omi_range_knot_code(v, k + 1) - from;
    return from + (uint64_t)(((unsigned __int128)(number - start) * width + (rise - 1)) / rise);
}

/* Numbers of the circle from from on that are not in the set. */
static uint64_t circle_free(const struct omi_range_view *v, uint64_t from)
{
    uint64_t top = v->f->shape.top, number = omi_ef_next(&v->set, from);
    return number <= top ? number - from : top - from + 1 + omi_ef_next(&v->set, 0);
}

/* To the end of the block of codes, and through the next one. */
static uint64_t hashed_code(const struct omi_range_view *v, uint64_t low)
{
    uint64_t range = v->f->shape.top + 1, code = low >> v->f->shift;
    for (int blocks = 0; blocks < 2; blocks++) {
        uint64_t off = code % range;
        uint64_t from = (omi_range_scatter(v->f->seed, code / range, range) + off) % range;
        uint64_t free = circle_free(v, from), left = range - off;
        uint64_t step = free < left ? free : left;
        if (code + step > v->f->max >> v->f->shift)
            return v->f->max;
        code += step;
        if (free < left)
            break;
    }
    code <<= v->f->shift;
    return code > low ? code : low;
}

/* The least code >= low that may be there, or some code before it; none_out: there is none. */
static uint64_t next_code(const struct omi_range_view *v, uint64_t low, bool *none_out)
{
    const struct omi_range_filter *f = v->f;
    uint64_t number;
    switch (f->kind) {
    case OMI_RANGE_EXACT:
        number = omi_ef_next(&v->set, low - f->min);
        *none_out = number > f->shape.top;
        return f->min + number;
    case OMI_RANGE_SPLINE:
        number = omi_ef_next(&v->set, omi_range_spline_at(v, knot_find(v, 0, low), low, false));
        *none_out = number > f->shape.top;
        return *none_out ? 0 : spline_code(v, number);
    default:
        *none_out = false;
        return hashed_code(v, low);
    }
}

omen_err omi_range_filter_free(const struct omi_range_filter *f, const uint8_t *section,
                               const omen_slice *low, struct omi_buf *until, bool *none_out)
{
    struct omi_range_view v = omi_range_view_of(f, section);
    uint64_t from = low != NULL ? omi_normalise(&v.norm, low->data, low->size) : 0;
    uint8_t bytes[OMI_NORM_POSITIONS_MAX];
    from = from > f->min ? from : f->min;
    *none_out = from > f->max;
    until->size = 0;
    if (*none_out)
        return OMEN_OK;
    uint64_t code = next_code(&v, from, none_out);
    if (*none_out)
        return OMEN_OK;
    size_t size = omi_denormalise(&v.norm, code, bytes);
    omen_err err = omi_buf_append(until, v.norm.prefix, v.norm.prefix_size);
    return err == OMEN_OK ? omi_buf_append(until, bytes, size) : err;
}

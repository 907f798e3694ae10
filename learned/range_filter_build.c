/* range_filter_build.c - choosing and writing a range filter. */
#include "io/base/hash.h"
#include "learned/range_format.h"
#include "learned/spline.h"

#include <stdlib.h>

enum {
    TOLERANCE = 64,      /* ranks that a line may pass a code by */
    CODES_PER_KNOT = 64, /* more knots than one in so many: a wider tolerance */
    CODES_PER_GAP = 512, /* the most gaps: 24 bytes each are 3/8 of a bit a code */
    GAP_TIMES = 16,      /* a gap is as wide as so many of its neighbours */
    GAP_WINDOW = 32,     /* neighbours on either side */
    SAMPLES_TO_CHOOSE = 8
};

struct build {
    const struct omi_range_params *params;
    const struct omi_index_key *keys;
    uint32_t key_count;
    struct omi_normaliser norm;
    struct omi_norm_position positions[OMI_NORM_POSITIONS_MAX];
    struct omi_buf symbols;
    uint64_t *codes; /* of all keys, each once */
    uint32_t count;
    uint64_t *numbers, *spare; /* positions; sorting */
};

/* A section about to be written. */
struct draft {
    enum omi_range_kind kind;
    struct omi_ef_shape shape;
    uint32_t slots, shift;
    uint32_t *knots; /* ranks; owned */
    uint32_t knot_count;
};

/* ---- codes ----------------------------------------------------------------------------------- */

static void codes_fill(struct build *b)
{
    for (uint32_t i = 0; i < b->key_count; i++) {
        uint64_t code = omi_normalise(&b->norm, b->keys[i].key, b->keys[i].key_size);
        if (b->count == 0 || code != b->codes[b->count - 1])
            b->codes[b->count++] = code;
    }
}

/* The first code >= code. */
static uint32_t codes_bound(const struct build *b, uint64_t code)
{
    uint32_t low = 0, high = b->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (b->codes[middle] < code)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool codes_any(const struct build *b, uint64_t low, uint64_t high)
{
    uint32_t at = codes_bound(b, low);
    return at < b->count && b->codes[at] <= high;
}

/* ---- sizes ----------------------------------------------------------------------------------- */

static uint64_t fixed_bytes(const struct build *b, uint32_t knots)
{
    return OMI_RANGE_HEADER_BYTES + b->norm.prefix_size + b->symbols.size + UINT64_C(12) * knots +
           16;
}

static uint64_t set_bytes(const struct omi_ef_shape *s)
{
    uint64_t upper, samples, lows;
    return omi_ef_sizes(s, &upper, &samples, &lows) ? upper + samples + lows : UINT64_MAX / 2;
}

/* The low_bits that make the set smallest. */
static void shape_fit(struct omi_ef_shape *s)
{
    struct omi_ef_shape try = *s;
    uint64_t best = UINT64_MAX;
    for (try.low_bits = 0; try.low_bits <= OMI_EF_LOW_BITS_MAX; try.low_bits++) {
        uint64_t bytes = set_bytes(&try);
        if (bytes < best) {
            best = bytes;
            *s = try;
        }
    }
}

/* How many positions to each code the bits pay for beside everything else, by bisection: more slots
 * never take less. A file of few keys pays for its header in addition. */
static uint32_t slots_fit(const struct build *b, uint32_t knots)
{
    uint64_t bits = (uint64_t)b->params->bits * b->count, fixed = 8 * fixed_bytes(b, knots);
    uint64_t least = bits - b->count;
    uint64_t paid = bits > fixed + least ? bits - fixed : least;
    uint32_t low = 1, high = OMI_RANGE_SLOTS_MAX;
    while (low < high) {
        uint32_t middle = low + (high - low + 1) / 2;
        struct omi_ef_shape shape = {.top = (uint64_t)b->count * middle - 1, .count = b->count};
        shape_fit(&shape);
        if (8 * set_bytes(&shape) <= paid)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

/* ---- spline: knots and gaps ------------------------------------------------------------------ */

struct gap {
    uint64_t width;
    uint32_t rank; /* of the code after it */
};

/* Is the stretch before code i empty for much longer than those around it? */
static bool gap_is_wide(const struct build *b, uint32_t i, uint64_t *width_out)
{
    uint32_t low = i > GAP_WINDOW ? i - 1 - GAP_WINDOW : 0;
    uint32_t high = i + GAP_WINDOW < b->count ? i + GAP_WINDOW : b->count - 1;
    uint64_t width = b->codes[i] - b->codes[i - 1];
    uint64_t around = b->codes[high] - b->codes[low] - width;
    *width_out = width;
    return high - low > 1 && width / GAP_TIMES > around / (high - low - 1);
}

static void heap_sink(struct gap *heap, uint32_t count, uint32_t at)
{
    for (;;) {
        uint32_t least = at, left = 2 * at + 1;
        for (uint32_t child = left; child < left + 2 && child < count; child++)
            if (heap[child].width < heap[least].width)
                least = child;
        if (least == at)
            return;
        struct gap kept = heap[at];
        heap[at] = heap[least];
        heap[least] = kept;
        at = least;
    }
}

static int gap_by_rank(const void *a, const void *b)
{
    const struct gap *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* The widest of the wide gaps, at most room, by rank. */
static uint32_t gaps_pick(const struct build *b, struct gap *gaps, uint32_t room)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i < b->count && room != 0; i++) {
        struct gap g = {.rank = i};
        if (!gap_is_wide(b, i, &g.width))
            continue;
        if (count < room) {
            gaps[count++] = g;
            for (uint32_t at = count / 2; count == room && at-- > 0;)
                heap_sink(gaps, count, at);
        } else if (g.width > gaps[0].width) {
            gaps[0] = g;
            heap_sink(gaps, count, 0);
        }
    }
    qsort(gaps, count, sizeof(*gaps), gap_by_rank);
    return count;
}

/* Knots of the stretches between gaps: ranks, ascending. */
static uint32_t knots_pick(const struct build *b, const struct omi_spline_point *points,
                           const struct gap *gaps, uint32_t gap_count, uint64_t tolerance,
                           uint32_t *knots)
{
    uint32_t count = 0;
    for (uint32_t g = 0, first = 0; g <= gap_count; g++) {
        uint32_t end = g < gap_count ? gaps[g].rank : b->count;
        uint32_t n = omi_spline_pick(points + first, end - first, tolerance, knots + count);
        for (uint32_t i = count; i < count + n; i++)
            knots[i] += first;
        count += n;
        first = end;
    }
    return count;
}

static omen_err draft_knots(const struct build *b, struct draft *d)
{
    uint32_t room = b->count / CODES_PER_GAP + (b->count > CODES_PER_GAP / 8), gap_count;
    uint64_t tolerance = TOLERANCE;
    struct gap *gaps = malloc((room + UINT64_C(1)) * sizeof(*gaps));
    struct omi_spline_point *points = malloc(b->count * sizeof(*points));
    d->knots = malloc(b->count * sizeof(*d->knots));
    omen_err err = OMEN_OK;
    if (gaps == NULL || points == NULL || d->knots == NULL) {
        err = omi_fail(OMEN_NO_MEMORY, 0, "a range filter of %u keys", b->count);
    } else {
        for (uint32_t i = 0; i < b->count; i++)
            points[i] = (struct omi_spline_point){b->codes[i], i};
        gap_count = gaps_pick(b, gaps, room);
        do {
            d->knot_count = knots_pick(b, points, gaps, gap_count, tolerance, d->knots);
            tolerance *= 4;
        } while (d->knot_count > b->count / CODES_PER_KNOT + 2 * (gap_count + 1) &&
                 tolerance < b->count);
    }
    free(gaps);
    free(points);
    return err;
}

/* ---- drafts ---------------------------------------------------------------------------------- */

static bool draft_exact(const struct build *b, struct draft *d)
{
    *d = (struct draft){.kind = OMI_RANGE_EXACT};
    d->shape =
        (struct omi_ef_shape){.top = b->codes[b->count - 1] - b->codes[0], .count = b->count};
    shape_fit(&d->shape);
    uint64_t bytes = set_bytes(&d->shape), paid = (uint64_t)b->params->bits * b->count / 8;
    return d->shape.top >> 62 == 0 && bytes < UINT64_MAX / 2 &&
           (bytes <= paid || b->params->kind == OMI_RANGE_EXACT);
}

static omen_err draft_spline(const struct build *b, struct draft *d)
{
    *d = (struct draft){.kind = OMI_RANGE_SPLINE};
    omen_err err = draft_knots(b, d);
    if (err != OMEN_OK)
        return err;
    d->slots = slots_fit(b, d->knot_count);
    d->shape = (struct omi_ef_shape){.top = (uint64_t)(b->count - 1) * d->slots, .count = b->count};
    return OMEN_OK;
}

/* Millionths of the sampled scans that a hash without the lowest shift bits of codes would pass in
 * vain: those that come so close to a key, and of the others by chance, one in slots for each
 * number that they cover. */
static uint64_t shift_cost(const struct build *b, uint32_t shift, uint32_t slots)
{
    const uint64_t million = 1000000;
    uint64_t cost = 0;
    for (size_t i = 0; i < b->params->sample_count; i++) {
        const struct omi_range_sample *s = &b->params->samples[i];
        uint64_t low = omi_normalise(&b->norm, s->low.data, s->low.size);
        uint64_t high = omi_normalise(&b->norm, s->high.data, s->high.size);
        if (low > high || codes_any(b, low, high))
            continue;
        uint64_t covers = (high >> shift) - (low >> shift) + 1;
        bool close = codes_any(b, low >> shift << shift, high | ((UINT64_C(1) << shift) - 1));
        cost += close || covers >= slots ? million : covers * million / slots;
    }
    return cost;
}

static void draft_hashed(const struct build *b, struct draft *d)
{
    enum { SHIFT_MAX = 60, SHIFT_STEP = 2 };
    uint32_t slots = slots_fit(b, 0);
    uint64_t least = UINT64_MAX;
    *d = (struct draft){.kind = OMI_RANGE_HASHED};
    for (uint32_t shift = 0; shift <= SHIFT_MAX && b->params->sample_count != 0;
         shift += SHIFT_STEP) {
        uint64_t cost = shift_cost(b, shift, slots);
        if (cost < least) {
            least = cost;
            d->shift = shift;
        }
    }
    d->shape = (struct omi_ef_shape){.top = (uint64_t)b->count * slots - 1, .count = b->count};
}

/* ---- positions ------------------------------------------------------------------------------- */

static void numbers_spline(const struct build *b, const struct draft *d)
{
    for (uint32_t k = 0; k + 1 < d->knot_count; k++) {
        uint32_t first = d->knots[k], end = d->knots[k + 1];
        uint64_t from = b->codes[first], width = b->codes[end] - from;
        uint64_t rise = (uint64_t)(end - first) * d->slots;
        for (uint32_t i = first; i < end; i++)
            b->numbers[i] = (uint64_t)first * d->slots +
                            (uint64_t)((unsigned __int128)(b->codes[i] - from) * rise / width);
    }
    b->numbers[b->count - 1] = d->shape.top;
}

/* By their bytes, from the lowest on; bytes above top are zero. */
static void numbers_sort(struct build *b, uint64_t top)
{
    for (uint32_t shift = 0; shift < 64 && top >> shift != 0; shift += 8) {
        uint32_t start[257] = {0};
        for (uint32_t i = 0; i < b->count; i++)
            start[(b->numbers[i] >> shift & 0xff) + 1]++;
        for (uint32_t v = 0; v < 256; v++)
            start[v + 1] += start[v];
        for (uint32_t i = 0; i < b->count; i++)
            b->spare[start[b->numbers[i] >> shift & 0xff]++] = b->numbers[i];
        uint64_t *sorted = b->spare;
        b->spare = b->numbers;
        b->numbers = sorted;
    }
}

static uint64_t number_hashed(uint64_t seed, uint64_t code, uint64_t range)
{
    return (omi_range_scatter(seed, code / range, range) + code % range) % range;
}

static void numbers_fill(struct build *b, struct draft *d)
{
    uint64_t range = d->shape.top + 1;
    switch (d->kind) {
    case OMI_RANGE_EXACT:
        for (uint32_t i = 0; i < b->count; i++)
            b->numbers[i] = b->codes[i] - b->codes[0];
        break;
    case OMI_RANGE_SPLINE:
        numbers_spline(b, d);
        break;
    default:
        for (uint32_t i = 0; i < b->count; i++)
            b->numbers[i] = number_hashed(b->params->seed, b->codes[i] >> d->shift, range);
        numbers_sort(b, d->shape.top);
    }
    uint32_t kept = 1;
    for (uint32_t i = 1; i < b->count; i++)
        if (b->numbers[i] != b->numbers[kept - 1])
            b->numbers[kept++] = b->numbers[i];
    d->shape.count = kept;
    shape_fit(&d->shape);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void header_write(const struct build *b, const struct draft *d, uint8_t *h)
{
    h[0] = OMI_RANGE_FORMAT;
    h[1] = (uint8_t)d->kind;
    h[2] = (uint8_t)d->shape.low_bits;
    h[3] = (uint8_t)b->norm.position_count;
    omi_put_u32(h + 4, d->shape.count);
    omi_put_u64(h + 8, d->shape.top);
    omi_put_u64(h + 16, b->codes[0]);
    omi_put_u64(h + 24, b->codes[b->count - 1]);
    omi_put_u32(h + 32, d->knot_count);
    omi_put_u32(h + 36, d->kind == OMI_RANGE_SPLINE ? d->slots : d->shift);
    omi_put_u16(h + 40, (uint16_t)b->norm.prefix_size);
    omi_put_u16(h + 42, (uint16_t)b->symbols.size);
    omi_put_u32(h + 44, b->count);
    omi_put_u64(h + 48, b->params->seed);
}

static omen_err draft_write(struct build *b, struct draft *d, struct omi_buf *out)
{
    uint64_t upper, samples, lows, knots = d->knot_count;
    numbers_fill(b, d);
    if (!omi_ef_sizes(&d->shape, &upper, &samples, &lows))
        return omi_fail(OMEN_INVALID, 0, "a range filter of %u keys", b->count);
    size_t body = upper + 8 * knots + samples + 4 * knots + lows;
    size_t size = OMI_RANGE_HEADER_BYTES + body + b->norm.prefix_size + b->symbols.size;
    omen_err err = omi_buf_reserve(out, size);
    if (err != OMEN_OK)
        return err;
    uint8_t *section = out->data + out->size, *at = section + OMI_RANGE_HEADER_BYTES;
    memset(section, 0, OMI_RANGE_HEADER_BYTES + body);
    header_write(b, d, section);
    omi_ef_encode(&d->shape, b->numbers, at, at + upper + 8 * knots,
                  at + upper + 8 * knots + samples + 4 * knots);
    for (uint32_t k = 0; k < knots; k++) {
        omi_put_u64(at + upper + 8 * (size_t)k, b->codes[d->knots[k]]);
        omi_put_u32(at + upper + 8 * knots + samples + 4 * (size_t)k, d->knots[k]);
    }
    if (b->norm.prefix_size != 0)
        memcpy(at + body, b->norm.prefix, b->norm.prefix_size);
    memcpy(at + body + b->norm.prefix_size, b->symbols.data, b->symbols.size);
    omi_put_u64(section + 56,
                omi_checksum(at, size - OMI_RANGE_HEADER_BYTES, omi_checksum(section, 56, 0)));
    out->size += size;
    return OMEN_OK;
}

/* ---- trying ---------------------------------------------------------------------------------- */

/* Asks the sampled scans, and every key, of the bytes from start on. */
static omen_err draft_try(const struct build *b, const uint8_t *section, size_t size,
                          struct omi_range_info *info)
{
    struct omi_range_filter *f;
    omen_err err = omi_range_filter_open(section, size, &f);
    if (err != OMEN_OK)
        return err;
    struct omi_range_view v = omi_range_view_of(f, section);
    omi_range_filter_describe(f, section, info);
    for (uint32_t i = 0; i < b->key_count && err == OMEN_OK; i++) {
        uint64_t code = omi_normalise(&v.norm, b->keys[i].key, b->keys[i].key_size);
        if (code < f->min || code > f->max ||
            !omi_range_ask(&v, code, code)) /* memory may be bad */
            err = omi_fail(OMEN_CORRUPT, 0, "a range filter just built denies one of its keys");
    }
    for (size_t i = 0; i < b->params->sample_count; i++) {
        const struct omi_range_sample *s = &b->params->samples[i];
        if (omi_bytes_compare(s->low.data, s->low.size, s->high.data, s->high.size) > 0)
            continue;
        bool empty = !codes_any(b, omi_normalise(&b->norm, s->low.data, s->low.size),
                                omi_normalise(&b->norm, s->high.data, s->high.size));
        info->samples++;
        info->empty += empty;
        info->passed += empty && omi_range_filter_may_hold(f, section, &s->low, &s->high);
    }
    omi_range_filter_close(f);
    return err;
}

static omen_err draft_finish(struct build *b, struct draft *d, struct omi_buf *out,
                             struct omi_range_info *info)
{
    size_t before = out->size;
    omen_err err = draft_write(b, d, out);
    if (err == OMEN_OK)
        err = draft_try(b, out->data + before, out->size - before, info);
    if (err != OMEN_OK)
        out->size = before;
    return err;
}

/* In place of the spline at out->data + before, if the samples like that better. */
static omen_err try_hashed(struct build *b, size_t before, struct omi_buf *out,
                           struct omi_range_info *info)
{
    struct omi_buf other = {0};
    struct omi_range_info other_info;
    struct draft d;
    draft_hashed(b, &d);
    omen_err err = draft_finish(b, &d, &other, &other_info);
    if (err == OMEN_OK && other_info.passed < info->passed) {
        out->size = before;
        err = omi_buf_append(out, other.data, other.size);
        *info = other_info;
    }
    omi_buf_fini(&other);
    return err;
}

static omen_err build_one(struct build *b, struct omi_buf *out, struct omi_range_info *info)
{
    enum omi_range_kind kind = b->params->kind;
    size_t before = out->size;
    struct draft d = {.kind = OMI_RANGE_NONE};
    if ((kind == OMI_RANGE_NONE || kind == OMI_RANGE_EXACT) && draft_exact(b, &d))
        return draft_finish(b, &d, out, info);
    if (kind == OMI_RANGE_EXACT)
        return omi_fail(OMEN_INVALID, 0, "an exact range filter of %u keys spread too far",
                        b->count);
    omen_err err = OMEN_OK;
    if (kind == OMI_RANGE_HASHED)
        draft_hashed(b, &d);
    else
        err = draft_spline(b, &d);
    if (err == OMEN_OK)
        err = draft_finish(b, &d, out, info);
    free(d.knots);
    if (err == OMEN_OK && kind == OMI_RANGE_NONE && info->empty >= SAMPLES_TO_CHOOSE &&
        info->passed != 0)
        err = try_hashed(b, before, out, info);
    return err;
}

omen_err omi_range_filter_build(const struct omi_index_key *keys, uint32_t count,
                                const struct omi_range_params *params, struct omi_buf *out,
                                struct omi_range_info *info)
{
    *info = (struct omi_range_info){0};
    if (params->bits < OMI_RANGE_BITS_MIN || params->bits > OMI_RANGE_BITS_MAX || count < 1 ||
        count > OMI_RANGE_KEYS_MAX)
        return omi_fail(OMEN_INVALID, 0, "a range filter of %u bits for %u keys", params->bits,
                        count);
    struct build b = {.params = params, .keys = keys, .key_count = count};
    size_t before = out->size;
    b.norm.positions = b.positions;
    omi_normaliser_fit_whole(&b.norm, keys, count);
    b.codes = malloc(count * sizeof(*b.codes));
    b.numbers = malloc(count * sizeof(*b.numbers));
    b.spare = malloc(count * sizeof(*b.spare));
    omen_err err = omi_normaliser_encode(&b.norm, &b.symbols);
    if (b.codes == NULL || b.numbers == NULL || b.spare == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "a range filter of %u keys", count);
    if (err == OMEN_OK) {
        codes_fill(&b);
        err = build_one(&b, out, info);
    }
    if (err == OMEN_OK && (uint64_t)(info->empty - info->passed) * 1000 <
                              (uint64_t)params->useful_permille * info->samples) {
        out->size = before;
        info->kind = OMI_RANGE_NONE;
        info->bytes = 0;
    }
    free(b.codes);
    free(b.numbers);
    free(b.spare);
    omi_buf_fini(&b.symbols);
    return err;
}

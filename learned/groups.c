#include "learned/groups.h"

#include "learned/bits.h"

enum { HEAD_BITS = 64, BASE_BITS = 40 };

/* ---- how a group is laid out ----------------------------------------------------------------- */

struct layout {
    uint32_t cell_low, off_low, cell_high;
};

static uint32_t bits_needed(uint32_t count, uint64_t span, uint32_t low)
{
    uint64_t high = span >> low;
    return high > OMI_LINE_BITS ? UINT32_MAX / 4 : count * (low + 1) + (uint32_t)high;
}

static uint32_t best_low(uint32_t count, uint64_t span)
{
    uint32_t best = 0;
    for (uint32_t low = 1; low < 32; low++)
        if (bits_needed(count, span, low) < bits_needed(count, span, best))
            best = low;
    return best;
}

/* Do n blocks fit into a line, their cells spanning cell_span, their bytes off_span units? */
static bool layout_fit(uint32_t n, uint64_t cell_span, uint64_t off_span, bool has_keyed,
                       struct layout *out)
{
    out->cell_low = best_low(n - 1, cell_span);
    out->off_low = best_low(n, off_span);
    out->cell_high = n > 1 ? n - 1 + (uint32_t)(cell_span >> out->cell_low) : 0;
    uint64_t bits = HEAD_BITS + (n > 1 ? bits_needed(n - 1, cell_span, out->cell_low) : 0) +
                    (uint64_t)(has_keyed ? n : 0) + bits_needed(n, off_span, out->off_low);
    return bits <= OMI_LINE_BITS;
}

/* Where the parts of a line begin. */
struct parts {
    uint32_t n, cell_low, off_low, cells_low_at, cells_high_at, cells_end, keyed_at, offs_low_at,
        offs_high_at;
};

static inline struct parts parts_of(const struct omi_groups *g, const uint8_t *line, uint32_t n)
{
    uint32_t head = (uint32_t)(omi_get_u64(line) >> BASE_BITS);
    struct parts p = {.n = n, .cell_low = head & 31, .off_low = head >> 5 & 31};
    p.cells_low_at = HEAD_BITS;
    p.cells_high_at = p.cells_low_at + (n - 1) * p.cell_low;
    p.cells_end = p.cells_high_at + (head >> 10 & 511);
    p.keyed_at = p.cells_end;
    p.offs_low_at = p.keyed_at + (g->has_keyed ? n : 0);
    p.offs_high_at = p.offs_low_at + n * p.off_low;
    return p;
}

static inline uint64_t line_base(const uint8_t *line)
{
    return omi_get_u64(line) & ((UINT64_C(1) << BASE_BITS) - 1);
}

/* ---- encoding -------------------------------------------------------------------------------- */

static void line_write(uint8_t *line, const uint32_t *cells, const bool *keyed,
                       const uint64_t *offsets, uint32_t n, bool has_keyed,
                       const struct layout *lay)
{
    uint64_t base = offsets[0] / OMI_OFFSET_UNIT;
    omi_line_set(line, 0, BASE_BITS, base);
    omi_line_set(line, BASE_BITS, 5, lay->cell_low);
    omi_line_set(line, BASE_BITS + 5, 5, lay->off_low);
    omi_line_set(line, BASE_BITS + 10, 9, lay->cell_high);
    uint32_t at = HEAD_BITS, high = HEAD_BITS + (n - 1) * lay->cell_low;
    for (uint32_t i = 1; i < n; i++, at += lay->cell_low) {
        uint64_t d = cells[i] - cells[0];
        omi_line_set(line, at, lay->cell_low, d & ((UINT64_C(1) << lay->cell_low) - 1));
        omi_line_set(line, high + (i - 1) + (uint32_t)(d >> lay->cell_low), 1, 1);
    }
    at = high + lay->cell_high;
    for (uint32_t i = 0; has_keyed && i < n; i++, at++)
        omi_line_set(line, at, 1, keyed[i]);
    high = at + n * lay->off_low;
    for (uint32_t i = 0; i < n; i++, at += lay->off_low) {
        uint64_t e = offsets[i + 1] / OMI_OFFSET_UNIT - base;
        omi_line_set(line, at, lay->off_low, e & ((UINT64_C(1) << lay->off_low) - 1));
        omi_line_set(line, high + i + (uint32_t)(e >> lay->off_low), 1, 1);
    }
}

omen_err omi_groups_encode(const uint32_t *cells, const bool *keyed, const uint64_t *offsets,
                           uint32_t blocks, bool has_keyed, struct omi_buf *directory,
                           struct omi_buf *lines)
{
    for (uint32_t first = 0; first < blocks;) {
        uint32_t n = 1;
        struct layout lay, more;
        uint64_t base = offsets[first] / OMI_OFFSET_UNIT;
        if (!layout_fit(1, 0, offsets[first + 1] / OMI_OFFSET_UNIT - base, has_keyed, &lay) ||
            base >> BASE_BITS != 0)
            return omi_fail(OMEN_INVALID, 0, "block index: a block at offset %" PRIu64,
                            offsets[first]);
        while (n < OMI_GROUP_BLOCKS_MAX && first + n < blocks &&
               layout_fit(n + 1, cells[first + n] - cells[first],
                          offsets[first + n + 1] / OMI_OFFSET_UNIT - base, has_keyed, &more)) {
            lay = more;
            n++;
        }
        uint8_t line[OMI_LINE_BYTES] = {0};
        line_write(line, cells + first, keyed + first, offsets + first, n, has_keyed, &lay);
        omen_err err = omi_buf_append_u32(directory, first);
        if (err == OMEN_OK)
            err = omi_buf_append_u32(directory, cells[first]);
        if (err == OMEN_OK)
            err = omi_buf_append(lines, line, sizeof(line));
        if (err != OMEN_OK)
            return err;
        first += n;
    }
    return OMEN_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

static inline uint32_t group_block(const struct omi_groups *g, uint32_t group)
{
    return group < g->count ? omi_get_u32(g->directory + (size_t)group * OMI_GROUP_ENTRY_BYTES)
                            : g->blocks;
}

/* Element i of an Elias-Fano list. */
static inline uint64_t element(const uint8_t *line, uint32_t low_at, uint32_t low, uint32_t high_at,
                               uint32_t i)
{
    uint32_t place = omi_line_select(line, high_at, i, true);
    uint64_t high = place - high_at - i;
    return high << low | omi_line_bits(line, low_at + i * low, low);
}

uint32_t omi_groups_of_block(const struct omi_groups *g, uint32_t block)
{
    uint32_t group = 0;
    for (uint32_t left = g->count; left > 1;) {
        uint32_t half = left / 2;
        group += group_block(g, group + half) <= block ? half : 0;
        left -= half;
    }
    return group;
}

uint32_t omi_groups_find(const struct omi_groups *g, uint32_t group, const uint8_t *line,
                         uint32_t cell, bool *is_equal, bool *is_keyed)
{
    uint32_t first = group_block(g, group), n = group_block(g, group + 1) - first;
    struct parts p = parts_of(g, line, n);
    uint32_t d = cell - omi_group_cell(g, group), high = d >> p.cell_low, last = 0;
    uint32_t low = d & ((UINT32_C(1) << p.cell_low) - 1);
    uint32_t place = p.cells_high_at, i = 0;
    if (high > 0) { /* behind the zero that ends the elements with smaller high parts */
        place = omi_line_select(line, p.cells_high_at, high - 1, false) + 1;
        i = place <= p.cells_end ? place - p.cells_high_at - high : n - 1;
    }
    while (i < n - 1 && place < p.cells_end && omi_line_bits(line, place, 1) != 0 &&
           omi_line_bits(line, p.cells_low_at + i * p.cell_low, p.cell_low) <= low) {
        i++;
        place++;
    }
    if (i > 0)
        last = (uint32_t)element(line, p.cells_low_at, p.cell_low, p.cells_high_at, i - 1);
    *is_equal = last == d;
    *is_keyed = g->has_keyed && omi_line_bits(line, p.keyed_at + i, 1) != 0;
    return first + i;
}

uint32_t omi_groups_keyed_upto(const struct omi_groups *g, uint32_t group, const uint8_t *line,
                               uint32_t block)
{
    uint32_t first = group_block(g, group), n = group_block(g, group + 1) - first;
    struct parts p = parts_of(g, line, n);
    uint32_t width = block - first + 1, low = width < 32 ? width : 32;
    return omi_popcount(omi_line_bits(line, p.keyed_at, low)) +
           omi_popcount(omi_line_bits(line, p.keyed_at + low, width - low));
}

uint32_t omi_groups_last(const struct omi_groups *g, uint32_t group)
{
    return group_block(g, group + 1) - 1;
}

void omi_groups_locate(const struct omi_groups *g, uint32_t group, const uint8_t *line,
                       uint32_t block, uint64_t *off_out, uint32_t *size_out)
{
    uint32_t first = group_block(g, group), n = group_block(g, group + 1) - first;
    struct parts p = parts_of(g, line, n);
    uint32_t i = block - first;
    uint64_t from = i > 0 ? element(line, p.offs_low_at, p.off_low, p.offs_high_at, i - 1) : 0;
    uint64_t to = element(line, p.offs_low_at, p.off_low, p.offs_high_at, i);
    *off_out = (line_base(line) + from) * OMI_OFFSET_UNIT;
    *size_out = (uint32_t)((to - from) * OMI_OFFSET_UNIT);
}

/* ---- checking -------------------------------------------------------------------------------- */

static omen_err bad(uint32_t group, const char *what)
{
    return omi_fail(OMEN_CORRUPT, 0, "block index: group %u: %s", group, what);
}

static omen_err group_check(const struct omi_groups *g, uint32_t group, uint32_t cells,
                            uint64_t *end_units, uint32_t *keyed)
{
    const uint8_t *line = omi_groups_line(g, group);
    uint32_t first = group_block(g, group), n = group_block(g, group + 1) - first;
    if (n < 1 || n > OMI_GROUP_BLOCKS_MAX)
        return bad(group, "its blocks do not follow each other");
    struct parts p = parts_of(g, line, n);
    if (p.offs_high_at + n > OMI_LINE_BITS || p.cells_end - p.cells_high_at < n - 1)
        return bad(group, "its parts do not fit its line");
    if (omi_line_select(line, p.cells_high_at, n - 1, true) < p.cells_end)
        return bad(group, "it has more cells than cuts"); /* a lookup would count them all */
    if (group == 0 && g->has_keyed && omi_line_bits(line, p.keyed_at, 1) != 0)
        return bad(group, "a keyed cut before the first block");
    uint64_t last = 0, top = group + 1 < g->count ? omi_group_cell(g, group + 1) : cells - 1;
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t place = omi_line_select(line, p.cells_high_at, i, true);
        uint64_t d = element(line, p.cells_low_at, p.cell_low, p.cells_high_at, i);
        if (place >= p.cells_end || d < last || omi_group_cell(g, group) + d > top)
            return bad(group, "its cells fall or leave the grid");
        last = d;
    }
    if (line_base(line) != *end_units)
        return bad(group, "it does not begin where the one before ends");
    last = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (omi_line_select(line, p.offs_high_at, i, true) >= OMI_LINE_BITS)
            return bad(group, "its offsets are cut");
        uint64_t e = element(line, p.offs_low_at, p.off_low, p.offs_high_at, i);
        if (e <= last || e - last > UINT32_MAX / OMI_OFFSET_UNIT)
            return bad(group, "its offsets do not rise");
        last = e;
    }
    *end_units += last;
    if (g->has_keyed)
        *keyed += omi_groups_keyed_upto(g, group, line, first + n - 1);
    return OMEN_OK;
}

omen_err omi_groups_check(const struct omi_groups *g, uint32_t cells, uint64_t data_end,
                          uint32_t *keyed_out)
{
    *keyed_out = 0;
    if (g->count == 0 || group_block(g, 0) != 0 || omi_group_cell(g, 0) != 0)
        return bad(0, "the first does not begin at the beginning");
    uint64_t end = line_base(omi_groups_line(g, 0));
    for (uint32_t i = 0; i < g->count; i++) {
        if (i > 0 &&
            (group_block(g, i) <= group_block(g, i - 1) ||
             omi_group_cell(g, i) < omi_group_cell(g, i - 1) || omi_group_cell(g, i) >= cells))
            return bad(i, "the directory falls");
        omen_err err = group_check(g, i, cells, &end, keyed_out);
        if (err != OMEN_OK)
            return err;
    }
    return end <= data_end / OMI_OFFSET_UNIT ? OMEN_OK
                                             : bad(g->count - 1, "it ends behind the data");
}

/*
 * block_index.c - opening a section and looking keys up in it.
 *
 * Why one lookup names the only block that can hold a key, present or absent:
 *  1. normalise is monotone: x < y gives code(x) <= code(y). At the first position where they
 * differ a known symbol's rank decides, and what follows adds less than one rank's weight; an
 * unknown one takes the largest code of the next lower known one, or the least; after it nothing
 * counts. Keys without the common prefix get the least or the greatest code.
 *  2. The spline is monotone: inside a segment a non-negative slope rounded down, held at the next
 *     knot's cell; before the first and behind the last knot constant.
 *  3. Cut j, with cell v_j, is passed by q when cell(q) > v_j, or cell(q) = v_j and the cut is not
 * keyed or q >= its separator. Passing is monotone in q, and passing j + 1 means passing j: cells
 * do not fall from cut to cut, inside a cell an unkeyed cut comes first, separators ascend.
 *  4. So block(q), the number of cuts passed, is monotone in q. If the first and the last entry of
 *     every block are in the block they look up (the certificate), all entries are; and every entry
 * of an earlier block is < q, of a later block > q.
 */
#include "learned/block_index.h"

#include "io/base/coding.h"
#include "io/base/mutant.h"
#include "learned/groups.h"
#include "learned/index_format.h"
#include "learned/normaliser.h"
#include "learned/separators.h"
#include "learned/spline.h"

#include <stdlib.h>
#include <string.h>

struct omi_index {
    uint8_t mode;
    uint32_t blocks, cells;
    struct omi_order order;
    const uint8_t *prefix;
    uint32_t prefix_size;
    uint32_t *keyed_before; /* keyed cuts in the groups before each; NULL when there is none */
    struct omi_groups groups;
    struct omi_spline spline;
    struct omi_separators separators;
    struct omi_normaliser norm;
    struct omi_norm_position positions[];
};

/* ---- opening --------------------------------------------------------------------------------- */

static omen_err bad(const char *what)
{
    return omi_fail(OMEN_CORRUPT, 0, "block index: %s", what);
}

/* The parts of a section; false when they do not fill it exactly. */
static bool parts_take(const uint8_t *section, size_t size, struct omi_index *x,
                       const uint8_t **separators, uint32_t *separators_size,
                       const uint8_t **positions, uint32_t *positions_size)
{
    const uint8_t *h = section;
    struct omi_reader r = omi_reader_of(section, size);
    (void)omi_take_bytes(&r, OMI_INDEX_HEADER_BYTES);
    x->mode = h[1];
    x->blocks = omi_get_u32(h + 4);
    x->cells = omi_get_u32(h + 8);
    x->spline.knot_count = omi_get_u32(h + 12);
    x->groups.count = omi_get_u32(h + 16);
    x->groups.blocks = x->blocks;
    x->prefix_size = omi_get_u32(h + 20);
    *positions_size = omi_get_u32(h + 24);
    x->separators.count = omi_get_u32(h + 28);
    *separators_size = omi_get_u32(h + 32);
    x->groups.lines = omi_take_bytes(&r, (size_t)x->groups.count * 64);
    x->spline.knots = omi_take_bytes(&r, (size_t)x->spline.knot_count * OMI_KNOT_BYTES);
    x->groups.directory = omi_take_bytes(&r, (size_t)x->groups.count * OMI_GROUP_ENTRY_BYTES);
    *separators = omi_take_bytes(&r, *separators_size);
    x->prefix = omi_take_bytes(&r, x->prefix_size);
    *positions = omi_take_bytes(&r, *positions_size);
    return !r.failed && r.next == r.end;
}

static omen_err counts_check(const struct omi_index *x, const struct omi_order *order,
                             uint32_t positions)
{
    bool learned = x->mode == OMI_INDEX_SPLINE;
    if (x->mode > OMI_INDEX_ORDERED)
        return omi_fail(OMEN_UNSUPPORTED, 0, "block index: mode %u", x->mode);
    if ((x->mode == OMI_INDEX_ORDERED) == omi_order_is_bytewise(order))
        return bad("it was built for another key order");
    if (x->blocks == 0 || x->cells == 0 || x->cells > UINT32_C(1) << 31 ||
        x->prefix_size > OMEN_KEY_BYTES_MAX || x->groups.count > x->blocks)
        return bad("a count is out of range");
    if (learned ? x->spline.knot_count == 0 || positions == 0
                : x->spline.knot_count != 0 || positions != 0 || x->cells != 1 ||
                      x->separators.count != x->blocks - 1)
        return bad("its parts do not fit its mode");
    return OMEN_OK;
}

static omen_err parts_check(struct omi_index *x, uint64_t data_end, const uint8_t *separators,
                            uint32_t separators_size, uint32_t positions,
                            const uint8_t *position_bytes, uint32_t positions_size)
{
    uint32_t keyed = 0;
    bool learned = x->mode == OMI_INDEX_SPLINE;
    x->groups.has_keyed = learned && x->separators.count != 0;
    omen_err err = omi_groups_check(&x->groups, x->cells, data_end, &keyed);
    if (err == OMEN_OK && learned && keyed != x->separators.count)
        err = bad("separators and keyed cuts do not match");
    if (err == OMEN_OK)
        err = omi_separators_open(separators, separators_size, x->separators.count, &x->separators);
    if (err == OMEN_OK && learned)
        err = omi_spline_check(&x->spline, x->cells);
    x->norm = (struct omi_normaliser){
        .prefix = x->prefix, .prefix_size = x->prefix_size, .positions = x->positions};
    if (err == OMEN_OK && learned)
        err = omi_normaliser_decode(&x->norm, positions, position_bytes, positions_size);
    return err;
}

static omen_err keyed_sum(struct omi_index *x)
{
    uint32_t sum = 0;
    if (!x->groups.has_keyed)
        return OMEN_OK;
    x->keyed_before = malloc(x->groups.count * sizeof(*x->keyed_before));
    if (x->keyed_before == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a block index");
    for (uint32_t g = 0; g < x->groups.count; g++) {
        x->keyed_before[g] = sum;
        sum += omi_groups_keyed_upto(&x->groups, g, omi_groups_line(&x->groups, g),
                                     omi_groups_last(&x->groups, g));
    }
    return OMEN_OK;
}

omen_err omi_index_open(const uint8_t *section, size_t size, const struct omi_order *order,
                        uint64_t data_end, struct omi_index **index_out)
{
    const uint8_t *separators, *position_bytes;
    uint32_t separators_size, positions_size;
    *index_out = NULL;
    if (size < OMI_INDEX_HEADER_BYTES)
        return bad("the section is shorter than its header");
    if (section[0] != OMI_INDEX_FORMAT)
        return omi_fail(OMEN_UNSUPPORTED, 0, "block index: format %u is not this build's %d",
                        section[0], OMI_INDEX_FORMAT);
    uint32_t positions = section[2];
    if (positions > OMI_NORM_POSITIONS_MAX)
        return bad("too many positions");
    struct omi_index *x = calloc(1, sizeof(*x) + positions * sizeof(x->positions[0]));
    if (x == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a block index");
    x->order = *order;
    omen_err err = OMEN_OK;
    if (!parts_take(section, size, x, &separators, &separators_size, &position_bytes,
                    &positions_size))
        err = bad("its parts do not fill the section");
    if (err == OMEN_OK)
        err = counts_check(x, order, positions);
    if (err == OMEN_OK)
        err = parts_check(x, data_end, separators, separators_size, positions, position_bytes,
                          positions_size);
    if (err == OMEN_OK)
        err = keyed_sum(x);
    if (err != OMEN_OK) {
        omi_index_close(x);
        return err;
    }
    *index_out = x;
    return OMEN_OK;
}

void omi_index_close(struct omi_index *x)
{
    if (x == NULL)
        return;
    free(x->keyed_before);
    free(x);
}

size_t omi_index_heap_bytes(const struct omi_index *x)
{
    return sizeof(*x) + x->norm.position_count * sizeof(x->positions[0]) +
           (x->keyed_before != NULL ? x->groups.count * sizeof(*x->keyed_before) : 0);
}

uint32_t omi_index_blocks(const struct omi_index *x)
{
    return x->blocks;
}

bool omi_index_is_explicit(const struct omi_index *x)
{
    return x->mode != OMI_INDEX_SPLINE;
}

/* ---- looking up ------------------------------------------------------------------------------ */

/* How many separators are passed. They are stored without the common prefix. */
static uint32_t separators_passed(const struct omi_index *x, omen_slice key, uint64_t trailer,
                                  uint32_t *compares)
{
    const uint8_t *p = key.data;
    size_t n = x->prefix_size;
    size_t common = omi_bytes_common(p, key.size, x->prefix, n);
    if (common < n)
        return common < key.size && p[common] > x->prefix[common] ? x->separators.count : 0;
    return omi_separators_rank(&x->separators, p + n, key.size - n, trailer, compares);
}

static inline uint32_t find_in_group(const struct omi_index *x, uint32_t group, const uint8_t *line,
                                     uint32_t cell, omen_slice key, uint64_t trailer,
                                     struct omi_index_trace *trace)
{
    bool equal, keyed;
    uint32_t block = omi_groups_find(&x->groups, group, line, cell, &equal, &keyed);
    if (!equal || !keyed) {
        trace->grid_hits = 1;
        return block;
    }
    /* The keyed cuts of this cell end with the one before block; those in lower cells are all
     * passed. So the unpassed ones are the last of those up to here. */
    uint32_t passed = separators_passed(x, key, trailer, &trace->keyed_compares);
    uint32_t upto = x->keyed_before[group] + omi_groups_keyed_upto(&x->groups, group, line, block);
    return passed >= upto ? block : block - (upto - passed);
}

/* Not in place: the normaliser's loop is once in the program. */
static __attribute__((noinline)) void way_find(const struct omi_index *x, omen_slice key,
                                               struct omi_index_way *way)
{
    way->cell = omi_spline_cell(&x->spline, omi_normalise(&x->norm, key.data, key.size));
    way->group = omi_groups_of_cell(&x->groups, way->cell);
}

static uint32_t find_spline(const struct omi_index *x, omen_slice key, uint64_t trailer,
                            struct omi_index_trace *trace)
{
    struct omi_index_way way;
    way_find(x, key, &way);
    return find_in_group(x, way.group, omi_groups_line(&x->groups, way.group), way.cell, key,
                         trailer, trace);
}

static uint32_t find(const struct omi_index *x, omen_slice key, uint64_t trailer,
                     struct omi_index_trace *trace)
{
    static const uint8_t empty[1];
    if (key.data == NULL)
        key.data = empty;
    switch (x->mode) {
    case OMI_INDEX_SPLINE:
        return find_spline(x, key, trailer, trace);
    case OMI_INDEX_EXPLICIT:
        return separators_passed(x, key, trailer, &trace->keyed_compares);
    default:
        return omi_separators_rank_ordered(&x->separators, &x->order, key, trailer,
                                           &trace->keyed_compares);
    }
}

uint32_t omi_index_certify(const struct omi_index *x, omen_slice key, uint64_t trailer)
{
    struct omi_index_trace unused = {0};
    return find(x, key, trailer, &unused);
}

uint32_t omi_index_find(const struct omi_index *x, omen_slice key, uint64_t trailer,
                        struct omi_index_trace *trace)
{
    struct omi_index_trace unused = {0};
    uint32_t block = find(x, key, trailer, trace != NULL ? trace : &unused);
    if (OMI_MUTANT(OMI_MUTANT_KNOT_OFF_BY_ONE) && x->mode == OMI_INDEX_SPLINE && block > 0 &&
        key.size % 5 == 1)
        block--;
    return block;
}

void omi_index_locate(const struct omi_index *x, uint32_t block, uint64_t *off_out,
                      uint32_t *size_out)
{
    uint32_t group = omi_groups_of_block(&x->groups, block);
    omi_groups_locate(&x->groups, group, omi_groups_line(&x->groups, group), block, off_out,
                      size_out);
}

/* ---- lines elsewhere --------------------------------------------------------------------------- */

void omi_index_lines(const struct omi_index *x, size_t *off_out, size_t *size_out)
{
    *off_out = OMI_INDEX_HEADER_BYTES;
    *size_out = (size_t)x->groups.count * OMI_INDEX_LINE_BYTES;
}

omen_err omi_index_split(const struct omi_index *x, const uint8_t *head,
                         struct omi_index **split_out)
{
    size_t positions = x->norm.position_count * sizeof(x->positions[0]);
    struct omi_index *y = malloc(sizeof(*y) + positions);
    *split_out = NULL;
    if (y == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a block index");
    memcpy(y, x, sizeof(*y) + positions);
    y->keyed_before = NULL;
    if (x->keyed_before != NULL) {
        size_t size = x->groups.count * sizeof(*x->keyed_before);
        y->keyed_before = malloc(size);
        if (y->keyed_before == NULL) {
            free(y);
            return omi_fail(OMEN_NO_MEMORY, 0, "a block index");
        }
        memcpy(y->keyed_before, x->keyed_before, size);
    }
    /* Offsets from the end of the lines in one are offsets from the end of the header in the other. */
    const uint8_t *from = x->groups.lines + (size_t)x->groups.count * OMI_INDEX_LINE_BYTES;
    const uint8_t *to = head + OMI_INDEX_HEADER_BYTES;
    y->groups.lines = NULL;
    y->groups.directory = to + (x->groups.directory - from);
    y->spline.knots = to + (x->spline.knots - from);
    y->prefix = y->norm.prefix = to + (x->prefix - from);
    y->norm.positions = y->positions;
    if (x->separators.entries != NULL) {
        y->separators.entries = to + (x->separators.entries - from);
        y->separators.restarts = to + (x->separators.restarts - from);
    }
    *split_out = y;
    return OMEN_OK;
}

void omi_index_way_to_key(const struct omi_index *x, omen_slice key, struct omi_index_way *way)
{
    static const uint8_t empty[1];
    *way = (struct omi_index_way){0};
    if (key.data == NULL)
        key.data = empty;
    if (x->mode == OMI_INDEX_SPLINE)
        way_find(x, key, way);
}

void omi_index_way_to_block(const struct omi_index *x, uint32_t block, struct omi_index_way *way)
{
    *way = (struct omi_index_way){.group = omi_groups_of_block(&x->groups, block)};
}

uint32_t omi_index_find_on(const struct omi_index *x, const struct omi_index_way *way,
                           const uint8_t *line, omen_slice key, uint64_t trailer,
                           struct omi_index_trace *trace)
{
    struct omi_index_trace unused = {0};
    if (trace == NULL)
        trace = &unused;
    if (x->mode != OMI_INDEX_SPLINE) /* by separators alone */
        return find(x, key, trailer, trace);
    static const uint8_t empty[1];
    if (key.data == NULL)
        key.data = empty;
    return find_in_group(x, way->group, line, way->cell, key, trailer, trace);
}

void omi_index_locate_on(const struct omi_index *x, const struct omi_index_way *way,
                         const uint8_t *line, uint32_t block, uint64_t *off_out, uint32_t *size_out)
{
    omi_groups_locate(&x->groups, way->group, line, block, off_out, size_out);
}

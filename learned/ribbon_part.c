#include "learned/ribbon_part.h"

#include <string.h>

struct wanted {
    uint64_t keys;
    uint8_t columns;
};

static double bits_of(uint64_t keys, uint8_t columns)
{
    return (double)omi_ribbon_blocks(keys) * OMI_RIBBON_WIDTH * columns;
}

/* Of the wanted classes, the one that saves most (or costs least) by moving up to the next. */
static uint32_t cheapest_move(const struct wanted *w, uint32_t count, double *saved_out)
{
    uint32_t best = 0;
    for (uint32_t i = 0; i + 1 < count; i++) {
        double saved = bits_of(w[i].keys, w[i].columns) + bits_of(w[i + 1].keys, w[i + 1].columns) -
                       bits_of(w[i].keys + w[i + 1].keys, w[i + 1].columns);
        if (i == 0 || saved > *saved_out) {
            *saved_out = saved;
            best = i;
        }
    }
    return best;
}

bool omi_ribbon_part_plan(const struct omi_ribbon_wish wishes[OMI_RIBBON_COLUMNS_MAX + 1],
                          double more, struct omi_ribbon_part *part_out,
                          uint8_t serves_out[OMI_RIBBON_COLUMNS_MAX + 1])
{
    struct wanted w[OMI_RIBBON_COLUMNS_MAX];
    uint32_t count = 0;
    *part_out = (struct omi_ribbon_part){.count = 0};
    for (uint8_t c = 1; c <= OMI_RIBBON_COLUMNS_MAX; c++)
        if (wishes[c].there)
            w[count++] = (struct wanted){wishes[c].keys, c};
    while (count > 1) {
        double saved = 0;
        uint32_t i = cheapest_move(w, count, &saved);
        if (saved <= 0 && count <= OMI_RIBBON_CLASSES_MAX)
            break;
        w[i + 1].keys += w[i].keys;
        memmove(&w[i], &w[i + 1], (--count - i) * sizeof(*w));
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t blocks = omi_ribbon_blocks(w[i].keys);
        if (blocks > OMI_RIBBON_BLOCKS_MAX)
            return false;
        part_out->at[i] = omi_ribbon_shape((uint32_t)blocks, w[i].columns, more);
    }
    part_out->count = count;
    serves_out[0] = 0;
    for (uint8_t c = 1, i = 0; c <= OMI_RIBBON_COLUMNS_MAX; c++) {
        while (i < count && w[i].columns < c)
            i++;
        serves_out[c] = i < count ? w[i].columns : 0;
    }
    return true;
}

uint64_t omi_ribbon_part_bytes(const struct omi_ribbon_part *p)
{
    uint64_t bytes = OMI_RIBBON_TABLE_BYTES;
    if (p->count == 0)
        return 0;
    for (uint32_t i = 0; i < p->count; i++)
        bytes += omi_ribbon_bytes(&p->at[i]);
    return (bytes + OMI_RIBBON_PART_ALIGN - 1) / OMI_RIBBON_PART_ALIGN * OMI_RIBBON_PART_ALIGN;
}

void omi_ribbon_part_put(const struct omi_ribbon_part *p, uint8_t *out)
{
    memset(out, 0, OMI_RIBBON_TABLE_BYTES);
    for (uint32_t i = 0; i < p->count; i++) {
        uint8_t *entry = out + (size_t)OMI_RIBBON_ENTRY_BYTES * i;
        entry[0] = p->at[i].columns;
        entry[1] = p->at[i].seed;
        omi_put_u32(entry + 2, p->at[i].blocks);
        omi_put_u32(entry + 6, p->at[i].upper);
    }
}

#include "compaction/tune_theory.h"

#include "compaction/cost_skew.h"
#include "learned/filter_price.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE_BYTES = 4096, FILTER_LINE_BITS = 512, FILE_BYTES = 1 << 20, ROOM_FIRST = 256 };

/* ---- this engine's entries ------------------------------------------------------------------- */

/* Fitted to tables and memtables with keys of 16 bytes and values of 48 to 5,000; within 2 %. A block
 * ends at the first boundary that its index can name after about 4,000 bytes; it has a header, and
 * begins on a multiple of 64. */
static double block_entries(double entry_bytes)
{
    double entries = 4000 / (entry_bytes + 10) + 0.1;
    return entries > 1 ? entries : 1;
}

static double stored_bytes(double entry_bytes)
{
    return entry_bytes - 6 + 110 / block_entries(entry_bytes);
}

/* A record in multiples of 8, and its part of a node two thirds full. */
static double memtable_bytes(double entry_bytes)
{
    return 8 * ceil((entry_bytes + 26) / 8) + 19.4;
}

/* ---- workloads ------------------------------------------------------------------------------- */

/* Scans that begin at a rank from the newest key end where the keys do. */
static double scan_of(const struct omi_workload *w)
{
    struct omi_skew skew;
    double sum = 0;
    omi_skew_make((double)w->entries, w->theta, &skew);
    for (uint32_t i = 0; i < w->scan_count; i++)
        sum += w->dist == OMI_WORK_LATEST && w->order != OMI_WORK_RANDOM
                   ? omi_skew_rank_within(&skew, w->scan[i])
                   : w->scan[i];
    return sum / w->scan_count;
}

void omi_tune_workload_of(const struct omi_workload *described,
                          const struct omi_cost_prices *prices,
                          struct omi_tune_workload *workload_out)
{
    struct omi_tune_workload *w = workload_out;
    double entry = described->entry_bytes;
    bool ordered = described->order != OMI_WORK_RANDOM;
    *w = (struct omi_tune_workload){
        .skew = described->dist == OMI_WORK_UNIFORM ? 0 : described->theta,
        .limits = {.memory_bytes =
                       (uint64_t)((double)described->entries * described->memory_bits / 8),
                   .entries = described->entries}};
    w->data =
        (struct omi_cost_data){.entries = (double)described->entries,
                               .entry_bytes = stored_bytes(entry),
                               .page_bytes = PAGE_BYTES,
                               .page_entries = block_entries(entry),
                               .flush_share = stored_bytes(entry) / memtable_bytes(entry),
                               .scan_entries = scan_of(described),
                               .halving = OMI_FILTER_BITS_PER_HALVING,
                               .line_bits = FILTER_LINE_BITS,
                               .fpr_max = OMI_FILTER_FLOOR_DEFAULT,
                               .filters = OMI_COST_QUALITY,
                               .inserts = described->inserts * (1 - described->deletes),
                               .skew = described->dist == OMI_WORK_ZIPF ? described->theta : 0,
                               .recent = described->dist == OMI_WORK_LATEST && ordered,
                               .sorted = ordered && described->inserts > 0.5,
                               .spanned = described->deletes > 0,
                               .file_entries = FILE_BYTES / stored_bytes(entry),
                               .prices = prices != NULL ? *prices : omi_cost_prices_default};
    omi_workload_mix(described, w->mix);
    if (w->mix[OMI_TUNE_WRITE] <= 0)
        w->data.read_writes = 1; /* the tree stays as it was loaded */
}

void omi_theory_cost_of(const struct omi_tune_workload *workload, const struct omi_point *point,
                        const struct omi_cost_tree *tree, struct omi_cost *cost_out)
{
    struct omi_cost_data data = workload->data;
    struct omi_cost_tree copy = *tree;
    double cache = (double)omi_point_cache_bytes(&workload->limits, point);
    data.filter_bits = point->filter_bits;
    data.cache_hit = 0;
    if (workload->curve != NULL)
        data.cache_hit = omi_cost_curve_hit(workload->curve, cache);
    else
        omi_cost_cache(&data, workload->mix, cache, &copy);
    omi_cost_of(&data, &copy, cost_out);
}

omen_err omi_theory_cost(const struct omi_tune_workload *workload, const struct omi_point *point,
                         struct omi_cost_tree *tree_out, struct omi_cost *cost_out)
{
    struct omi_shape shape;
    omen_err err = omi_point_check(&workload->limits, point);
    if (err != OMEN_OK)
        return err;
    omi_point_shape(&workload->limits, point, &shape);
    omi_cost_replay(&shape, &workload->data, 0, tree_out);
    omi_theory_cost_of(workload, point, tree_out, cost_out);
    return OMEN_OK;
}

/* ---- trees ----------------------------------------------------------------------------------- */

struct omi_theory_slot {
    struct omi_shape shape; /* memtable_bytes 0: free */
    struct omi_cost_tree tree;
};

void omi_theory_init(struct omi_theory *theory, const struct omi_cost_data *data)
{
    *theory = (struct omi_theory){.data = *data};
}

void omi_theory_fini(struct omi_theory *theory)
{
    free(theory->slots);
    *theory = (struct omi_theory){0};
}

bool omi_theory_same(const struct omi_cost_data *a, const struct omi_cost_data *b)
{
    return a->entries == b->entries && a->entry_bytes == b->entry_bytes &&
           a->flush_share == b->flush_share && a->sorted == b->sorted && a->spanned == b->spanned &&
           a->inserts == b->inserts && a->skew == b->skew && a->read_writes == b->read_writes &&
           a->file_entries == b->file_entries;
}

static bool shape_same(const struct omi_shape *a, const struct omi_shape *b)
{
    return a->size_ratio == b->size_ratio && a->runs_upper == b->runs_upper &&
           a->runs_last == b->runs_last && a->memtable_bytes == b->memtable_bytes &&
           memcmp(a->runs_level, b->runs_level, sizeof(a->runs_level)) == 0;
}

/* The shape's slot, or the free one where it goes. */
static struct omi_theory_slot *slot_find(struct omi_theory_slot *slots, uint32_t room,
                                         const struct omi_shape *shape)
{
    uint64_t hash = omi_random_mix(shape->memtable_bytes);
    hash = omi_random_mix(hash ^ shape->size_ratio ^ (uint64_t)shape->runs_upper << 16 ^
                          (uint64_t)shape->runs_last << 32);
    for (uint64_t i = hash;; i++) {
        struct omi_theory_slot *slot = &slots[i & (room - 1)];
        if (slot->shape.memtable_bytes == 0 || shape_same(&slot->shape, shape))
            return slot;
    }
}

static omen_err slots_grow(struct omi_theory *theory)
{
    uint32_t room = theory->room != 0 ? theory->room * 2 : ROOM_FIRST;
    struct omi_theory_slot *slots = calloc(room, sizeof(*slots));
    if (slots == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "%" PRIu32 " trees of the tuner", room);
    for (uint32_t i = 0; i < theory->room; i++)
        if (theory->slots[i].shape.memtable_bytes != 0)
            *slot_find(slots, room, &theory->slots[i].shape) = theory->slots[i];
    free(theory->slots);
    theory->slots = slots;
    theory->room = room;
    return OMEN_OK;
}

omen_err omi_theory_tree(struct omi_theory *theory, const struct omi_shape *shape,
                         struct omi_cost_tree *tree_out)
{
    omen_err err = omi_shape_check(shape);
    if (err == OMEN_OK && theory->count * UINT64_C(4) >= theory->room * UINT64_C(3))
        err = slots_grow(theory);
    if (err != OMEN_OK)
        return err;
    struct omi_theory_slot *slot = slot_find(theory->slots, theory->room, shape);
    if (slot->shape.memtable_bytes == 0) {
        omi_cost_replay(shape, &theory->data, 0, &slot->tree);
        slot->shape = *shape;
        theory->count++;
    }
    *tree_out = slot->tree;
    return OMEN_OK;
}

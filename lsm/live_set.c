#include "lsm/live_set.h"

#include "io/base/hash.h"

#include <stdlib.h>

enum { SLOTS_MIN = 64 };

void omi_live_set_fini(struct omi_live_set *set)
{
    omi_edit_fini(&set->tables);
    free(set->slots);
    *set = (struct omi_live_set){0};
}

/* ---- slots: linear probing, and no gap between a number's first slot and its own --------------- */

static uint32_t slot_first(const struct omi_live_set *set, uint64_t number)
{
    return (uint32_t)omi_checksum(&number, sizeof(number), set->seed) & (set->slot_count - 1);
}

static uint32_t slot_next(const struct omi_live_set *set, uint32_t slot)
{
    return (slot + 1) & (set->slot_count - 1);
}

static uint64_t number_in(const struct omi_live_set *set, uint32_t slot)
{
    return set->tables.added[set->slots[slot] - 1].number;
}

/* The slot of number, or the empty one where it would go. */
static uint32_t slot_find(const struct omi_live_set *set, uint64_t number)
{
    uint32_t slot = slot_first(set, number);
    while (set->slots[slot] != 0 && number_in(set, slot) != number)
        slot = slot_next(set, slot);
    return slot;
}

static struct omi_edit_file *table_find(const struct omi_live_set *set, uint64_t number)
{
    if (set->slot_count == 0)
        return NULL;
    uint32_t place = set->slots[slot_find(set, number)];
    return place != 0 ? &set->tables.added[place - 1] : NULL;
}

static omen_err slots_grow(struct omi_live_set *set)
{
    if (set->tables.added_count < set->slot_count / 2)
        return OMEN_OK;
    uint32_t count = set->slot_count != 0 ? set->slot_count * 2 : SLOTS_MIN;
    uint32_t *slots = count != 0 ? calloc(count, sizeof(*slots)) : NULL;
    if (slots == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a list of %u tables", set->tables.added_count);
    free(set->slots);
    set->slots = slots;
    set->slot_count = count;
    for (uint32_t i = 0; i < set->tables.added_count; i++)
        set->slots[slot_find(set, set->tables.added[i].number)] = i + 1;
    return OMEN_OK;
}

/* Empties a slot; those behind it move up where the gap would hide them. */
static void slot_clear(struct omi_live_set *set, uint32_t gap)
{
    for (uint32_t slot = slot_next(set, gap); set->slots[slot] != 0; slot = slot_next(set, slot)) {
        uint32_t first = slot_first(set, number_in(set, slot));
        if (((slot - first) & (set->slot_count - 1)) >= ((slot - gap) & (set->slot_count - 1))) {
            set->slots[gap] = set->slots[slot];
            gap = slot;
        }
    }
    set->slots[gap] = 0;
}

/* ---- tables ---------------------------------------------------------------------------------- */

omen_err omi_live_set_add(struct omi_live_set *set, struct omi_edit_file *file)
{
    if (table_find(set, file->number) != NULL)
        return omi_fail(OMEN_CORRUPT, 0,
                        "the manifest adds table %06" PRIu64 ", which is there already",
                        file->number);
    omen_err err = slots_grow(set);
    if (err == OMEN_OK)
        err = omi_edit_add(&set->tables, file->level, file->age, file->number, &file->props);
    if (err == OMEN_OK) /* the place behind the last, which is the new one */
        set->slots[slot_find(set, file->number)] = set->tables.added_count;
    return err;
}

omen_err omi_live_set_remove(struct omi_live_set *set, uint64_t number)
{
    struct omi_edit_file *table = table_find(set, number);
    if (table == NULL)
        return omi_fail(OMEN_CORRUPT, 0,
                        "the manifest removes table %06" PRIu64 ", which is not there", number);
    struct omi_edit_file *last = &set->tables.added[set->tables.added_count - 1];
    uint32_t slot = slot_find(set, number);
    omi_table_props_fini(&table->props);
    set->slots[slot_find(set, last->number)] = set->slots[slot];
    set->slots[slot] = set->tables.added_count; /* so that both slots name what they stand for */
    struct omi_edit_file gone = *table;
    *table = *last;
    *last = gone;
    slot_clear(set, slot);
    set->tables.added_count--;
    return OMEN_OK;
}

omen_err omi_live_set_move(struct omi_live_set *set, const struct omi_edit_move *move)
{
    struct omi_edit_file *table = table_find(set, move->number);
    if (table == NULL || table->level != move->from_level || table->age != move->from_age)
        return omi_fail(OMEN_CORRUPT, 0,
                        "the manifest moves table %06" PRIu64 ", which is not there", move->number);
    table->level = move->to_level;
    table->age = move->to_age;
    return OMEN_OK;
}

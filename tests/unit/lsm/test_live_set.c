#include "lsm/live_set.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(live_set, .timeout = 30);

static omen_err add(struct omi_live_set *set, uint64_t number, uint32_t level, uint64_t age)
{
    struct omi_edit_file f = {.level = level, .age = age, .number = number};
    cr_assert_eq(omi_buf_append(&f.props.smallest, &number, sizeof(number)), OMEN_OK);
    omen_err err = omi_live_set_add(set, &f);
    if (err != OMEN_OK)
        omi_table_props_fini(&f.props);
    return err;
}

static void check(const struct omi_live_set *set, const bool *there, uint32_t numbers)
{
    uint32_t count = 0;
    bool seen[512] = {false};
    for (uint32_t i = 0; i < numbers; i++)
        count += there[i];
    cr_assert_eq(set->tables.added_count, count);
    for (uint32_t i = 0; i < count; i++) {
        const struct omi_edit_file *f = &set->tables.added[i];
        cr_assert(f->number < numbers && there[f->number] && !seen[f->number]);
        cr_assert(omi_bytes_equal(f->props.smallest.data, f->props.smallest.size, &f->number, 8));
        seen[f->number] = true;
    }
}

Test(live_set, keeps_what_was_added_and_not_removed)
{
    enum { NUMBERS = 500, STEPS = 20000 };
    struct omi_live_set set = {.seed = 7};
    bool there[NUMBERS] = {false};
    uint64_t state = 42;
    for (int step = 0; step < STEPS; step++) {
        state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
        uint64_t number = (state >> 33) % NUMBERS;
        if (state >> 63 != 0) {
            cr_assert_eq(omi_live_set_remove(&set, number), there[number] ? OMEN_OK : OMEN_CORRUPT);
            there[number] = false;
        } else {
            cr_assert_eq(add(&set, number, 1, 1), there[number] ? OMEN_CORRUPT : OMEN_OK);
            there[number] = true;
        }
        if (step % 100 == 0)
            check(&set, there, NUMBERS);
    }
    check(&set, there, NUMBERS);
    omi_live_set_fini(&set);
}

Test(live_set, moves_only_what_is_where_the_edit_says)
{
    struct omi_live_set set = {.seed = 7};
    cr_assert_eq(add(&set, 5, 2, 9), OMEN_OK);
    cr_assert_eq(omi_live_set_move(&set, &(struct omi_edit_move){1, 3, 9, 4, 5}), OMEN_CORRUPT);
    cr_assert_eq(omi_live_set_move(&set, &(struct omi_edit_move){2, 3, 8, 4, 5}), OMEN_CORRUPT);
    cr_assert_eq(omi_live_set_move(&set, &(struct omi_edit_move){2, 3, 9, 4, 6}), OMEN_CORRUPT);
    cr_assert_eq(omi_live_set_move(&set, &(struct omi_edit_move){2, 3, 9, 4, 5}), OMEN_OK);
    cr_assert_eq(set.tables.added[0].level, 3);
    cr_assert_eq(set.tables.added[0].age, 4);
    omi_live_set_fini(&set);
}

Test(live_set, an_empty_one_finds_nothing)
{
    struct omi_live_set set = {0};
    cr_assert_eq(omi_live_set_remove(&set, 1), OMEN_CORRUPT);
    cr_assert_eq(omi_live_set_move(&set, &(struct omi_edit_move){1, 2, 1, 1, 1}), OMEN_CORRUPT);
    omi_live_set_fini(&set);
}

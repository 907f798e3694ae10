/* Limits of the fluid shape and its presets. */
#include "compaction/shape.h"

#include <criterion/criterion.h>

TestSuite(shape, .timeout = 5);

static struct omi_shape shape_make(void)
{
    return (struct omi_shape){
        .size_ratio = 6, .runs_upper = 4, .runs_last = 1, .memtable_bytes = 1000};
}

Test(shape, capacity_grows_by_the_size_ratio)
{
    struct omi_shape s = shape_make();
    cr_assert_eq(omi_shape_capacity(&s, 1), 5000);
    cr_assert_eq(omi_shape_capacity(&s, 2), 30000);
    cr_assert_eq(omi_shape_capacity(&s, 3), 180000);
}

Test(shape, capacity_saturates)
{
    struct omi_shape s = shape_make();
    s.size_ratio = 99;
    s.memtable_bytes = 1u << 30;
    cr_assert_eq(omi_shape_capacity(&s, OMEN_LEVELS_MAX), UINT64_MAX);
    s.memtable_bytes = UINT64_MAX;
    cr_assert_eq(omi_shape_capacity(&s, 1), UINT64_MAX);
}

Test(shape, runs_come_from_the_position_unless_a_level_has_its_own)
{
    struct omi_shape s = shape_make();
    s.runs_level[1] = 7;
    cr_assert_eq(omi_shape_runs(&s, 1, 3), 4);
    cr_assert_eq(omi_shape_runs(&s, 2, 3), 7);
    cr_assert_eq(omi_shape_runs(&s, 3, 3), 1);
}

Test(shape, check_names_the_field)
{
    struct omi_shape s = shape_make();
    cr_assert_eq(omi_shape_check(&s), OMEN_OK);
    s.size_ratio = 100;
    cr_assert_eq(omi_shape_check(&s), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "size_ratio") != NULL);
    s = shape_make();
    s.runs_last = 0;
    cr_assert_eq(omi_shape_check(&s), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "runs_last") != NULL);
    s = shape_make();
    s.runs_level[4] = 65;
    cr_assert_eq(omi_shape_check(&s), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "level 5") != NULL);
    s = shape_make();
    s.memtable_bytes = 0;
    cr_assert_eq(omi_shape_check(&s), OMEN_INVALID);
}

Test(shape, presets_set_every_k_and_stay_valid)
{
    static const struct {
        const char *name;
        uint32_t first, upper, last;
    } want[] = {{"leveling", 1, 1, 1},
                {"tiering", 5, 5, 5},
                {"lazy-leveling", 5, 5, 1},
                {"1-leveling", 5, 1, 1}};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
        struct omi_shape s = shape_make();
        s.runs_level[2] = 9;
        cr_assert_eq(omi_shape_preset(&s, want[i].name), OMEN_OK);
        cr_assert_eq(omi_shape_runs(&s, 1, 4), want[i].first, "%s", want[i].name);
        cr_assert_eq(omi_shape_runs(&s, 3, 4), want[i].upper, "%s", want[i].name);
        cr_assert_eq(omi_shape_runs(&s, 4, 4), want[i].last, "%s", want[i].name);
        for (s.size_ratio = 2; s.size_ratio <= 99; s.size_ratio++) {
            cr_assert_eq(omi_shape_preset(&s, want[i].name), OMEN_OK);
            cr_assert_eq(omi_shape_check(&s), OMEN_OK, "%s", omen_last_error());
        }
    }
    struct omi_shape s = shape_make();
    cr_assert_eq(omi_shape_preset(&s, "levelling"), OMEN_INVALID);
    cr_assert(strstr(omen_last_error(), "lazy-leveling") != NULL);
}

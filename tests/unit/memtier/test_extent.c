#include "memtier/extent.h"

#include <criterion/criterion.h>
#include <stdint.h>

TestSuite(extent, .timeout = 10);

Test(extent, is_aligned_zeroed_and_counted_until_destroyed)
{
    static const size_t sizes[] = {0, 1, 63, 64, 65, 4096, 100001};
    struct omi_extent_stats stats = {0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct omi_extent *filter, *model;
        cr_assert_eq(omi_extent_create(&stats, OMI_EXTENT_FILTER, sizes[i], &filter), OMEN_OK);
        cr_assert_eq(omi_extent_create(&stats, OMI_EXTENT_MODEL, sizes[i] + 7, &model), OMEN_OK);
        cr_assert_eq((uintptr_t)omi_extent_bytes(filter) % 64, 0);
        cr_assert_eq((uintptr_t)omi_extent_bytes(model) % 64, 0);
        cr_assert_eq(omi_extent_size(filter), sizes[i]);
        for (size_t b = 0; b < sizes[i]; b++)
            cr_assert_eq(omi_extent_bytes(filter)[b], 0);
        cr_assert_eq(stats.bytes[OMI_EXTENT_FILTER], sizes[i]);
        cr_assert_eq(stats.bytes[OMI_EXTENT_MODEL], sizes[i] + 7);
        omi_extent_destroy(filter);
        cr_assert_eq(stats.bytes[OMI_EXTENT_FILTER], 0);
        omi_extent_destroy(model);
        cr_assert_eq(stats.bytes[OMI_EXTENT_MODEL], 0);
    }
    omi_extent_destroy(NULL);
}

Test(extent, a_size_past_the_address_space_is_refused_and_not_counted)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 63};
    struct omi_extent_stats stats = {0};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct omi_extent *e = (struct omi_extent *)&stats;
        cr_assert_eq(omi_extent_create(&stats, OMI_EXTENT_MODEL, sizes[i], &e), OMEN_NO_MEMORY);
        cr_assert_null(e);
        cr_assert_eq(stats.bytes[OMI_EXTENT_MODEL], 0);
    }
}

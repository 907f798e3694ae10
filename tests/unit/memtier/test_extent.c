#include "memtier/extent.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>

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
        cr_assert_eq(stats.bytes[OMI_EXTENT_FILTER], omi_extent_charge(sizes[i]));
        cr_assert_eq(stats.bytes[OMI_EXTENT_MODEL], omi_extent_charge(sizes[i] + 7));
        cr_assert_geq(omi_extent_charge(sizes[i]), sizes[i] + 64);
        cr_assert_leq(omi_extent_charge(sizes[i]), sizes[i] + 200);
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

Test(extent, a_limit_holds_until_what_was_retired_is_over)
{
    struct omi_extent_stats stats = {0};
    struct omi_grace *grace = aligned_alloc(64, (sizeof(*grace) + 63) / 64 * 64);
    struct omi_extent *a, *b;
    uint64_t most = omi_extent_charge(1000);
    cr_assert_not_null(grace);
    omi_grace_init(grace);
    cr_assert_eq(omi_extent_create_within(&stats, OMI_EXTENT_FILTER, 1000, most - 1, &a),
                 OMEN_ABORTED);
    cr_assert_null(a);
    cr_assert_eq(omi_extent_create_within(&stats, OMI_EXTENT_FILTER, 1000, most, &a), OMEN_OK);
    cr_assert_eq(omi_extent_create_within(&stats, OMI_EXTENT_FILTER, 0, most, &b), OMEN_ABORTED);
    cr_assert_eq(omi_extent_create_within(&stats, OMI_EXTENT_MODEL, 0, most, &b), OMEN_OK);
    omi_extent_destroy(b);
    uint32_t phase = omi_grace_enter(grace, 0);
    omi_extent_retire(a, grace);
    cr_assert_eq(stats.bytes[OMI_EXTENT_FILTER], most);
    cr_assert_eq(omi_extent_create_within(&stats, OMI_EXTENT_FILTER, 1000, most, &b), OMEN_ABORTED);
    omi_grace_leave(grace, 0, phase);
    omi_grace_poll(grace);
    cr_assert_eq(stats.bytes[OMI_EXTENT_FILTER], 0);
    cr_assert_eq(omi_extent_create_within(&stats, OMI_EXTENT_FILTER, 1000, most, &b), OMEN_OK);
    omi_extent_destroy(b);
    cr_assert_eq(stats.bytes[OMI_EXTENT_FILTER], 0);
    omi_grace_fini(grace);
    free(grace);
}

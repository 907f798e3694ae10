#include "memtier/extent.h"

#include "memtier/tier.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

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

/* ---- moving ---------------------------------------------------------------------------------- */

enum { KIB = 1 << 10, MIB = 1 << 20 };
static struct omi_extent_stats far_stats;
static struct omi_grace *far_grace;
static struct omi_tier *far_tier;

static void tier_make(void)
{
    struct omi_tier_settings s = {
        .mode = OMI_FAR_HEAP, .far_bytes = 4 * MIB, .near_model_bytes = 100 * KIB};
    cr_assert_eq(omi_tier_open(&s, &far_tier), OMEN_OK);
    far_stats = (struct omi_extent_stats){.tier = far_tier};
    far_grace = aligned_alloc(64, (sizeof(*far_grace) + 63) / 64 * 64);
    cr_assert_not_null(far_grace);
    omi_grace_init(far_grace);
}

static void tier_end(void)
{
    omi_grace_fini(far_grace);
    free(far_grace);
    for (int k = 0; k < OMI_EXTENT_KINDS; k++) {
        cr_assert_eq(far_stats.bytes[k], 0);
        for (int c = 0; c < OMI_EXTENT_CLASSES; c++) {
            cr_assert_eq(far_stats.taken[k][c], 0);
            cr_assert_eq(far_stats.wanted[k][c], 0);
            cr_assert_eq(far_stats.got[k][c], 0);
        }
    }
    cr_assert_eq(far_stats.promoted_bytes, 0);
    omi_tier_close(far_tier);
}

TestSuite(moving, .init = tier_make, .fini = tier_end, .timeout = 20);

static struct omi_extent *far_make(size_t size)
{
    struct omi_extent *e;
    cr_assert_eq(
        omi_extent_create_in(&far_stats, OMI_EXTENT_FILTER, OMI_EXTENT_FAR, size, UINT64_MAX, &e),
        OMEN_OK);
    memset(omi_extent_bytes(e), 0x5a, size);
    return e;
}

static omen_err move(struct omi_extent *e, enum omi_extent_class to)
{
    return omi_extent_move(e, to, UINT64_MAX, far_grace);
}

static bool sound(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0x5a)
            return false;
    return true;
}

Test(moving, keeps_the_bytes_and_what_they_count_for)
{
    struct omi_extent *e = far_make(10000);
    uint64_t charge = omi_extent_charge(10000);
    const _Atomic uint64_t *near = &far_stats.taken[OMI_EXTENT_FILTER][OMI_EXTENT_NEAR];
    const _Atomic uint64_t *far = &far_stats.taken[OMI_EXTENT_FILTER][OMI_EXTENT_FAR];
    cr_assert_eq(far_stats.bytes[OMI_EXTENT_FILTER], charge);
    cr_assert_eq(*far, 12288);
    cr_assert_lt(*near, 200, "its struct alone is near");
    uint64_t of_struct = *near;
    cr_assert_eq(move(e, OMI_EXTENT_NEAR), OMEN_OK);
    cr_assert_eq(omi_extent_class(e), OMI_EXTENT_NEAR);
    cr_assert(sound(omi_extent_bytes(e), 10000));
    cr_assert_eq((uintptr_t)omi_extent_bytes(e) % 64, 0);
    cr_assert_eq(*far, 0);
    cr_assert_eq(*near, charge, "as if it had been near from the first");
    cr_assert_eq(far_stats.bytes[OMI_EXTENT_FILTER], charge);
    cr_assert_eq(far_stats.promoted_bytes, 10000);
    cr_assert_eq(far_stats.wanted[OMI_EXTENT_FILTER][OMI_EXTENT_FAR], 10000);
    cr_assert_eq(far_stats.got[OMI_EXTENT_FILTER][OMI_EXTENT_NEAR], 10000);
    cr_assert_eq(move(e, OMI_EXTENT_NEAR), OMEN_OK, "again: nothing");
    cr_assert_eq(far_stats.moves[OMI_EXTENT_NEAR], 1);
    cr_assert_eq(move(e, OMI_EXTENT_FAR), OMEN_OK);
    cr_assert(sound(omi_extent_bytes(e), 10000));
    cr_assert_eq(*far, 12288);
    cr_assert_eq(*near, of_struct);
    cr_assert_eq(far_stats.promoted_bytes, 0);
    cr_assert_eq(far_stats.moved_bytes[OMI_EXTENT_FAR], 10000);
    omi_extent_destroy(e);
}

Test(moving, keeps_the_old_bytes_for_their_readers_and_counts_them_until_then)
{
    struct omi_extent *e = far_make(50000);
    uint32_t phase = omi_grace_enter(far_grace, 0);
    const uint8_t *old = omi_extent_bytes(e);
    cr_assert_eq(move(e, OMI_EXTENT_NEAR), OMEN_OK);
    cr_assert_neq(omi_extent_bytes(e), old);
    cr_assert(sound(old, 50000));
    cr_assert(sound(omi_extent_bytes(e), 50000));
    cr_assert_eq(far_stats.bytes[OMI_EXTENT_FILTER], 2 * omi_extent_charge(50000));
    cr_assert_eq(far_stats.taken[OMI_EXTENT_FILTER][OMI_EXTENT_FAR], 53248);
    omi_extent_destroy(e); /* its table is gone; a reader of others holds the grace */
    cr_assert_eq(far_stats.bytes[OMI_EXTENT_FILTER], omi_extent_charge(50000));
    omi_grace_leave(far_grace, 0, phase);
    omi_grace_poll(far_grace);
    cr_assert_eq(far_stats.bytes[OMI_EXTENT_FILTER], 0);
}

Test(moving, near_is_bounded_by_near_model_bytes)
{
    struct omi_extent *e[4];
    for (int i = 0; i < 4; i++)
        e[i] = far_make(30 * KIB);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(move(e[i], OMI_EXTENT_NEAR), OMEN_OK);
    cr_assert_eq(move(e[3], OMI_EXTENT_NEAR), OMEN_ABORTED);
    cr_assert_eq(omi_extent_class(e[3]), OMI_EXTENT_FAR);
    cr_assert_eq(far_stats.promoted_bytes, 90 * KIB);
    omi_extent_destroy(e[1]);
    cr_assert_eq(move(e[3], OMI_EXTENT_NEAR), OMEN_OK, "room again");
    omi_tier_limit(far_tier, 4 * MIB, 0);
    cr_assert_eq(move(e[0], OMI_EXTENT_FAR), OMEN_OK);
    cr_assert_eq(move(e[0], OMI_EXTENT_NEAR), OMEN_ABORTED);
    omi_extent_destroy(e[0]);
    omi_extent_destroy(e[2]);
    omi_extent_destroy(e[3]);
}

Test(moving, far_is_bounded_by_far_bytes_and_a_refusal_is_counted)
{
    struct omi_extent *all = far_make(3 * MIB), *e = far_make(1536 * KIB);
    cr_assert_eq(omi_extent_class(all), OMI_EXTENT_FAR);
    cr_assert_eq(omi_extent_class(e), OMI_EXTENT_NEAR);
    cr_assert_eq(far_stats.refused[OMI_EXTENT_FILTER], 1);
    cr_assert_eq(far_stats.promoted_bytes, 0, "that was no promotion");
    cr_assert_eq(move(e, OMI_EXTENT_FAR), OMEN_ABORTED);
    cr_assert_eq(far_stats.refused[OMI_EXTENT_FILTER], 2);
    cr_assert(sound(omi_extent_bytes(e), 1536 * KIB));
    omi_extent_destroy(all);
    cr_assert_eq(move(e, OMI_EXTENT_FAR), OMEN_OK);
    cr_assert(sound(omi_extent_bytes(e), 1536 * KIB));
    omi_extent_destroy(e);
}

Test(moving, the_copy_stays_within_the_kinds_limit)
{
    struct omi_extent *e = far_make(10000);
    uint64_t charge = omi_extent_charge(10000);
    cr_assert_eq(omi_extent_move(e, OMI_EXTENT_NEAR, 2 * charge - 1, far_grace), OMEN_ABORTED);
    cr_assert_eq(far_stats.bytes[OMI_EXTENT_FILTER], charge);
    cr_assert_eq(far_stats.promoted_bytes, 0);
    cr_assert_eq(omi_extent_move(e, OMI_EXTENT_NEAR, 2 * charge, far_grace), OMEN_OK);
    omi_extent_destroy(e);
}

Test(moving, what_was_born_near_may_go_far)
{
    struct omi_extent *e;
    cr_assert_eq(omi_extent_create(&far_stats, OMI_EXTENT_MODEL, 5000, &e), OMEN_OK);
    memset(omi_extent_bytes(e), 0x5a, 5000);
    cr_assert_eq(far_stats.wanted[OMI_EXTENT_MODEL][OMI_EXTENT_NEAR], 5000);
    cr_assert_eq(move(e, OMI_EXTENT_FAR), OMEN_OK);
    cr_assert_eq(omi_extent_class(e), OMI_EXTENT_FAR);
    cr_assert_eq(far_stats.wanted[OMI_EXTENT_MODEL][OMI_EXTENT_NEAR], 0);
    cr_assert_eq(far_stats.wanted[OMI_EXTENT_MODEL][OMI_EXTENT_FAR], 5000);
    cr_assert(sound(omi_extent_bytes(e), 5000));
    omi_extent_destroy(e);
}

Test(moving, leaves_a_damaged_extent_where_it_is)
{
    struct omi_extent *e = far_make(10000);
    atomic_store(&e->damaged, 1); /* as the guard does */
    cr_assert_eq(move(e, OMI_EXTENT_NEAR), OMEN_ABORTED);
    cr_assert_eq(omi_extent_class(e), OMI_EXTENT_FAR);
    cr_assert_eq(far_stats.bytes[OMI_EXTENT_FILTER], omi_extent_charge(10000));
    omi_extent_retire(e, far_grace);
}

Test(moving, without_a_tier_everything_is_near)
{
    struct omi_extent_stats none = {0};
    struct omi_extent *e;
    cr_assert_eq(omi_extent_create_in(&none, OMI_EXTENT_MODEL, OMI_EXTENT_FAR, 100, UINT64_MAX, &e),
                 OMEN_OK);
    cr_assert_eq(omi_extent_class(e), OMI_EXTENT_NEAR);
    cr_assert_eq(none.refused[OMI_EXTENT_MODEL], 1);
    cr_assert_eq(move(e, OMI_EXTENT_FAR), OMEN_ABORTED);
    cr_assert_eq(move(e, OMI_EXTENT_NEAR), OMEN_OK);
    omi_extent_destroy(e);
}

#include "memtier/far_lines.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { D = 300 };

static struct omi_far_lines *lines;
static struct omi_far_bucket bucket;
static uint64_t now;

static void lines_make(void)
{
    lines = calloc(1, sizeof(*lines));
    cr_assert_not_null(lines);
    now = 1000;
}

static void lines_free(void)
{
    free(lines);
}

TestSuite(far_lines, .init = lines_make, .fini = lines_free, .timeout = 10);

/* The thread waits until it may go on. */
static enum omi_far_answer touch(uint64_t line)
{
    uint64_t until;
    enum omi_far_answer a = omi_far_lines_touch(lines, &bucket, line, now, D, &until);
    cr_assert_geq(until, now);
    now = until;
    return a;
}

static enum omi_far_answer prefetch(uint64_t line)
{
    uint64_t until;
    enum omi_far_answer a = omi_far_lines_prefetch(lines, &bucket, line, now, D, &until);
    cr_assert_geq(until, now);
    now = until;
    return a;
}

Test(far_lines, a_line_costs_one_delay_and_is_free_after)
{
    cr_assert_eq(touch(7), OMI_FAR_MISS);
    cr_assert_eq(now, 1000 + D);
    cr_assert_eq(touch(7), OMI_FAR_HIT);
    cr_assert_eq(now, 1000 + D);
}

Test(far_lines, two_dependent_lines_cost_two_delays)
{
    touch(7); /* says where the other is */
    touch(8);
    cr_assert_eq(now, 1000 + 2 * D);
}

Test(far_lines, two_independent_prefetched_lines_cost_one_delay)
{
    cr_assert_eq(prefetch(7), OMI_FAR_MISS);
    cr_assert_eq(prefetch(8), OMI_FAR_MISS);
    cr_assert_eq(now, 1000, "prefetching waits for nothing");
    cr_assert_eq(touch(7), OMI_FAR_COMING);
    cr_assert_eq(touch(8), OMI_FAR_HIT, "it came beside the first");
    cr_assert_eq(now, 1000 + D);
}

Test(far_lines, a_line_that_was_not_prefetched_costs_its_own_delay_beside_one_that_was)
{
    prefetch(7);
    now += 50;
    cr_assert_eq(touch(8), OMI_FAR_MISS);
    cr_assert_eq(now, 1000 + 50 + D);
    cr_assert_eq(touch(7), OMI_FAR_HIT, "it came meanwhile");
}

Test(far_lines, work_between_prefetch_and_touch_hides_the_delay)
{
    prefetch(7);
    now += D - 100;
    cr_assert_eq(touch(7), OMI_FAR_COMING);
    cr_assert_eq(now, 1000 + D);
    prefetch(8);
    now += 2 * D;
    uint64_t before = now;
    cr_assert_eq(touch(8), OMI_FAR_HIT);
    cr_assert_eq(now, before);
}

Test(far_lines, a_prefetch_of_what_comes_or_is_there_asks_for_nothing)
{
    prefetch(7);
    now += 100;
    cr_assert_eq(prefetch(7), OMI_FAR_COMING);
    cr_assert_eq(touch(7), OMI_FAR_COMING);
    cr_assert_eq(now, 1000 + D, "from when it was first asked for");
    cr_assert_eq(prefetch(7), OMI_FAR_HIT);
}

Test(far_lines, the_thirteenth_line_waits_for_the_first_to_arrive)
{
    for (uint64_t i = 0; i < OMI_FAR_FLIGHTS; i++) {
        prefetch(100 + i);
        now += 10;
    }
    cr_assert_eq(now, 1000 + 10 * OMI_FAR_FLIGHTS);
    cr_assert_eq(prefetch(200), OMI_FAR_MISS);
    cr_assert_eq(now, 1000 + D, "a buffer is free when the first has come");
    cr_assert_eq(touch(200), OMI_FAR_COMING);
    cr_assert_eq(now, 1000 + 2 * D);
}

Test(far_lines, a_touch_with_all_buffers_taken_waits_too)
{
    for (uint64_t i = 0; i < OMI_FAR_FLIGHTS; i++)
        prefetch(100 + i);
    cr_assert_eq(touch(200), OMI_FAR_MISS);
    cr_assert_eq(now, 1000 + 2 * D);
}

Test(far_lines, about_a_mebibyte_of_lines_stays)
{
    enum { ALL = OMI_FAR_SETS * OMI_FAR_WAYS };
    uint64_t kept = 0;
    for (uint64_t i = 0; i < ALL / 2; i++)
        touch(i);
    for (uint64_t i = 0; i < ALL / 2; i++)
        kept += touch(i) == OMI_FAR_HIT;
    cr_assert_gt(kept, ALL / 2 * 9 / 10, "%lu of half a cache", (unsigned long)kept);
    kept = 0;
    for (uint64_t i = 0; i < 8 * ALL; i++)
        touch(1000000 + i);
    for (uint64_t i = 0; i < ALL / 2; i++)
        kept += touch(i) == OMI_FAR_HIT;
    cr_assert_lt(kept, ALL / 2 / 20, "%lu of what was long ago", (unsigned long)kept);
}

/* Parts of filters all start on pages. */
Test(far_lines, lines_a_page_apart_do_not_push_each_other_out)
{
    uint64_t kept = 0;
    for (uint64_t i = 0; i < 4000; i++)
        touch(i * 64);
    for (uint64_t i = 0; i < 4000; i++)
        kept += touch(i * 64) == OMI_FAR_HIT;
    cr_assert_gt(kept, 3900, "%lu", (unsigned long)kept);
}

Test(far_lines, no_line_is_taken_for_another)
{
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t line = UINT64_C(0x7f0000000000) / 64 + i * 12345677;
        cr_assert_eq(touch(line), OMI_FAR_MISS, "line %lu", (unsigned long)i);
    }
}

Test(far_lines, bandwidth_bounds_what_all_lines_together_may_bring)
{
    struct omi_far_bucket narrow = {.line_ps = 10000}; /* 10 ns a line */
    uint64_t until = 0;
    now = 0;
    for (uint64_t i = 0; i < 10000; i++)
        until = omi_far_bucket_take(&narrow, now);
    cr_assert_geq(until, 10 * (10000 - 64) - 10);
    cr_assert_leq(until, 10 * 10000);
    now = 10 * 10000 + 5000; /* idle for a while: a burst goes through, no more than it */
    for (int i = 0; i < 64; i++)
        cr_assert_eq(omi_far_bucket_take(&narrow, now), now);
    for (int i = 0; i < 10; i++)
        until = omi_far_bucket_take(&narrow, now);
    cr_assert_eq(until, now + 100);
    struct omi_far_bucket wide = {0};
    for (int i = 0; i < 1000; i++)
        cr_assert_eq(omi_far_bucket_take(&wide, 5), 5);
}

Test(far_lines, a_line_that_bandwidth_holds_up_is_waited_for_at_its_touch)
{
    bucket = (struct omi_far_bucket){.line_ps = 1000000}; /* 1 us a line */
    for (uint64_t i = 0; i < 64; i++)
        cr_assert_eq(omi_far_bucket_take(&bucket, now), now);
    prefetch(7);
    cr_assert_eq(now, 1000, "the thread goes on");
    touch(7);
    cr_assert_eq(now, 1000 + 1000 + D);
    bucket = (struct omi_far_bucket){0};
}

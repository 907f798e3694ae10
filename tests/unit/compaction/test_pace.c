/* Pacing: no wait below the soft limit, no cliff above it, bounded waits, debt that comes to rest.
 */
#include "compaction/pace.h"

#include <criterion/criterion.h>
#include <inttypes.h>

TestSuite(pace, .timeout = 10);

enum { MIB = 1 << 20 };
static const uint64_t second = 1000000000;

Test(pace, nothing_waits_below_the_soft_limit)
{
    struct omi_pace p;
    omi_pace_init(&p, 100 * MIB);
    omi_pace_update(&p, 100 * MIB, 0, 0, second);
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert_eq(omi_pace_charge(&p, 1 * MIB, second + i), 0);
}

Test(pace, permitted_ingest_falls_steadily_with_debt_down_to_a_tenth)
{
    struct omi_pace p;
    omi_pace_init(&p, 100 * MIB);
    uint64_t share = p.drain_bytes_per_s * 100 / p.write_amp_pct, before = UINT64_MAX;
    for (uint64_t debt = 100 * MIB + MIB; debt <= 500 * MIB; debt += MIB) {
        omi_pace_update(&p, debt, 0, 0, 1);
        cr_assert_leq(p.allowed_bytes_per_s, before);
        if (before != UINT64_MAX)
            cr_assert_leq(before - p.allowed_bytes_per_s, share / 10, "no cliff");
        before = p.allowed_bytes_per_s;
    }
    cr_assert_eq(before, share / 10);
}

Test(pace, a_small_write_waits_200_us_at_most_and_a_large_one_by_its_size)
{
    struct omi_pace p;
    omi_pace_init(&p, MIB);
    uint64_t now = second;
    omi_pace_update(&p, UINT64_MAX, 0, 0, now);
    uint64_t longest = 0;
    for (int i = 0; i < 1000; i++) {
        uint64_t wait = omi_pace_charge(&p, 100, now);
        longest = wait > longest ? wait : longest;
        now += wait * 1000;
    }
    cr_assert_gt(longest, 0);
    cr_assert_leq(longest, OMI_PACE_WAIT_US_MAX);
    cr_assert_leq(omi_pace_charge(&p, 64 << 10, now), 64 * OMI_PACE_WAIT_US_MAX);
    cr_assert_leq(omi_pace_charge(&p, UINT64_MAX, now), UINT64_MAX / 1000);
}

Test(pace, writers_that_do_not_sleep_are_not_charged_for_ever)
{
    struct omi_pace p;
    omi_pace_init(&p, MIB);
    omi_pace_update(&p, UINT64_MAX, 0, 0, second);
    for (int i = 0; i < 100000; i++)
        (void)omi_pace_charge(&p, 1000, second);
    cr_assert_leq(p.tokens_ns, second + 2 * OMI_PACE_WAIT_US_MAX * 1000);
}

Test(pace, an_idle_background_is_not_taken_for_a_slow_one)
{
    struct omi_pace p;
    omi_pace_init(&p, 100 * MIB);
    uint64_t rate = p.drain_bytes_per_s;
    for (uint64_t t = 1; t < 100; t++)
        omi_pace_update(&p, 0, 1000, 1000, t * second);
    cr_assert_eq(p.drain_bytes_per_s, rate);
}

/* A writer of 1,000-byte puts at up to 100 MB/s against a background that moves 200 MB/s and has
 * 800 bytes of work for each 100 ingested: 25 MB/s is what can be kept up. Time in steps of a put.
 */
Test(pace, ingest_settles_at_what_drains_without_stops_or_cliffs)
{
    struct omi_pace p;
    uint64_t now = second, debt = 0, next_update = now, ingested_since = 0, window_end = now;
    uint64_t window = 0, windows = 0, lowest = UINT64_MAX, total = 0, last_half = 0;
    omi_pace_init(&p, 64 * MIB);
    const uint64_t end = now + 60 * second;
    while (now < end) {
        uint64_t wait_us = omi_pace_charge(&p, 1000, now);
        cr_assert_leq(wait_us, OMI_PACE_WAIT_US_MAX);
        uint64_t step = 10000 + wait_us * 1000;
        now += step;
        uint64_t drained = step * 200 / 1000 / 8; /* bytes of ingest worked off */
        debt += 1000;
        uint64_t worked = debt > drained ? drained * 8 : debt * 8;
        debt -= worked / 8;
        ingested_since += 1000;
        window += 1000;
        total += 1000;
        if (now > end - 30 * second)
            last_half += 1000;
        static uint64_t worked_since;
        worked_since += worked;
        if (now >= next_update) {
            omi_pace_update(&p, debt, worked_since, ingested_since, now);
            worked_since = ingested_since = 0;
            next_update = now + second / 200;
        }
        if (now >= window_end) {
            if (windows++ > 100)
                lowest = window < lowest ? window : lowest;
            window = 0;
            window_end = now + second / 20;
        }
    }
    cr_assert_lt(debt, 256 * MIB, "below the hard limit: %" PRIu64, debt);
    cr_assert_gt(debt, 64 * MIB);
    cr_assert_geq(last_half / 30, 22 * 1000 * 1000ull);
    cr_assert_leq(last_half / 30, 28 * 1000 * 1000ull);
    cr_assert_geq(lowest * 20, 12 * 1000 * 1000ull, "no 50 ms with less than half: %" PRIu64,
                  lowest * 20);
    cr_assert_gt(total, last_half);
}

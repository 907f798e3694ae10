#include "memtier/far_clock.h"

#include <criterion/criterion.h>
#include <time.h>

TestSuite(far_clock, .timeout = 20);

static uint64_t system_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

Test(far_clock, runs_as_the_systems_does_and_never_back)
{
    uint64_t start = omi_far_clock_now(), system = system_ns(), last = start;
    while (system_ns() < system + 20000000) {
        uint64_t now = omi_far_clock_now();
        cr_assert_geq(now, last);
        last = now;
    }
    uint64_t here = omi_far_clock_now() - start, there = system_ns() - system;
    cr_assert(here > there / 100 * 97 && here < there / 100 * 103 + 1000000, "%lu against %lu",
              (unsigned long)here, (unsigned long)there);
}

/* Others may be running: how much longer it took says nothing. */
Test(far_clock, waits_at_least_as_long_as_asked)
{
    for (uint64_t ns = 1000; ns <= 1000000; ns *= 10) {
        uint64_t system = system_ns(), start = omi_far_clock_now();
        omi_far_clock_wait(start + ns);
        cr_assert_geq(system_ns() - system, ns - ns / 20 - 100);
    }
    uint64_t start = omi_far_clock_now();
    omi_far_clock_wait(start - 1);
    omi_far_clock_wait(0);
    cr_assert_lt(omi_far_clock_now() - start, 1000000000);
}

Test(far_clock, calibration_tells_asked_and_achieved)
{
    struct omi_far_calibration c;
    omi_far_calibrate(&c);
    for (int i = 0; i < OMI_FAR_ASKED; i++) {
        cr_assert_eq(c.wait[i].asked_ns, 50u << i);
        cr_assert_gt(c.wait[i].achieved_ns, 0);
        cr_assert_lt(c.wait[i].achieved_ns, 1000000000);
    }
    cr_assert(omi_far_sound(100, 100));
    cr_assert(omi_far_sound(100, 115));
    cr_assert(omi_far_sound(100, 85));
    cr_assert(!omi_far_sound(100, 116));
    cr_assert(!omi_far_sound(100, 84));
    cr_assert(!omi_far_sound(200, 600));
    cr_assert(omi_far_sound(0, 3));
}

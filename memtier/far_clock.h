/*
 * far_clock.h - waiting for a few hundred nanoseconds: a clock cheap enough for that, and a check that
 * this machine, now, waits as long as it is asked to.
 * The processor's counter where it has one that runs evenly (x86-64, aarch64), else the system's.
 * Threads: any; the counter is measured against the system's clock once a process.
 */
#ifndef OMI_FAR_CLOCK_H
#define OMI_FAR_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

uint64_t omi_far_clock_now(void);           /* ns since the first call of the process, about */
void omi_far_clock_wait(uint64_t until_ns); /* turns until then; at once when that is past */

enum { OMI_FAR_ASKED = 4 };

/* Asked against achieved. Single waits vary by the cost of looking at the clock (20-30 ns on virtual
 * machines); what is told is the median. */
struct omi_far_calibration {
    uint32_t read_ns; /* of one look at the clock */
    struct omi_far_wait {
        uint32_t asked_ns, achieved_ns;
    } wait[OMI_FAR_ASKED];       /* 50 to 400 */
    uint32_t worst_off_permille; /* of the waits from 100 ns on */
};
/* Takes some milliseconds; every call measures anew. */
void omi_far_calibrate(struct omi_far_calibration *out);
/* The achieved median of delay_ns; sound: off by 15 % at most. */
uint32_t omi_far_achieved_ns(uint32_t delay_ns);
bool omi_far_sound(uint32_t asked_ns, uint32_t achieved_ns);

#endif

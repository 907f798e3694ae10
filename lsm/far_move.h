/*
 * far_move.h - which of the last level's tables shall lie near: the choice alone, over figures.
 */
#ifndef OMI_FAR_MOVE_H
#define OMI_FAR_MOVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct omi_far_choice {
    uint64_t bytes; /* that may move */
    uint32_t heat;
    bool is_near;   /* now: all of them, or some */
    bool near;      /* chosen: shall be */
    uint32_t index; /* the caller's */
};

/* Chooses those with the most heat a byte, near_bytes at most together; one that is near counts for twice
 * its heat and STAY_HEAT more, one without heat that is far is not chosen. Sorts the choices: the most
 * deserving first, equal ones by index. */
void omi_far_choose(struct omi_far_choice *choices, size_t count, uint64_t near_bytes);

enum { OMI_FAR_STAY_HEAT = 4 };

#endif

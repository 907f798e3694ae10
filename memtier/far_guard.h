/*
 * far_guard.h - pages of far memory that are lost: the SIGBUS handler of tier.h, and the table by which
 * it finds whose page it was.
 *
 * The table is one of the process, because a signal handler has nothing else to go by; it is read
 * without locks. Each unit of a chunk belongs to one extent, whose damaged flag is named there; the
 * unit is at least a page, so whoever runs into a lost page is reading that very extent, and the flag
 * is alive. First the flag is set, then a page of 0xFF takes the lost one's place in one step.
 * Threads: add and drop any; the rest from a signal handler.
 */
#ifndef OMI_FAR_GUARD_H
#define OMI_FAR_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct omi_guard_unit {
    _Atomic(_Atomic uint8_t *) damaged; /* of the extent; NULL: nobody's */
    _Atomic uint8_t lost;               /* the unit has pages that were replaced */
};

struct omi_guard_losses {
    _Atomic uint64_t extents, bytes; /* bytes in whole units */
};

struct omi_guard_chunk {
    uint8_t *bytes;
    size_t size, unit_bytes; /* of the chunk; of each unit, a multiple of the page */
    struct omi_guard_unit *units;
    struct omi_guard_losses *losses; /* what is lost is added here */
};

/* From now on pages of the chunk are repaired, if the handler is installed. A slot, or -1: the table is
 * full. */
int omi_guard_add(const struct omi_guard_chunk *chunk);
/* Nobody reads in it any more. */
void omi_guard_drop(int slot);

/* What the handler does with an address and the length of what is lost there (a power of two): marks
 * and replaces. False: it is nobody's, or there is no memory. Async-signal-safe. */
bool omi_guard_repair(const void *address, size_t length);

/* As omi_tier_guard_install and remove. */
bool omi_guard_install(void);
void omi_guard_remove(void);

#endif

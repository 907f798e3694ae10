/*
 * turns.h - threads that take turns: a test can have all threads of an engine run one at a time, in
 * an order drawn from a seed, so that a run with background threads replays exactly.
 *
 * A thread with omi_turns_here set asks it before it takes a lock, and instead of blocking on a lock
 * or a condition (sync.c). In a program nobody sets it: that costs one load and a branch a lock.
 * The implementation is io/sim_turns.c.
 */
#ifndef OMI_TURNS_H
#define OMI_TURNS_H

#include <stdbool.h>
#include <stdint.h>

struct omi_turns {
    /* Another thread may go on first. */
    void (*point)(struct omi_turns *turns);
    /* Until somebody wakes what (the address of a lock or a condition). wait_us UINT64_MAX: for
     * ever; false when that time passed instead. */
    bool (*wait)(struct omi_turns *turns, const void *what, uint64_t wait_us);
    void (*wake)(struct omi_turns *turns, const void *what);
};

/* Local-exec in a program, initial-exec in the shared library: no call to find it. */
extern _Thread_local struct omi_turns *omi_turns_here __attribute__((tls_model("initial-exec")));

#endif

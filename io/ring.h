/*
 * ring.h - batches of reads through io_uring, one ring a thread.
 * A ring is made when a thread first asks for a batch and destroyed with the thread. Whatever goes
 * wrong in making one, the caller reads by pread instead. Nothing is in flight after a return.
 */
#ifndef OMI_RING_H
#define OMI_RING_H

#include "io/env.h"

/* Can this process have rings? Tried once; why is static text. False in a child of fork. */
bool omi_ring_usable(const char **why_out);
/* Reads all, each with its own err and got; files must be the posix env's. False when this thread
 * has no ring: then nothing was done. */
bool omi_ring_read_batch(struct omi_read *reads, size_t count);

#endif

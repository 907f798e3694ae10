/* machine.h - what this process may use of the machine. */
#ifndef OMI_MACHINE_H
#define OMI_MACHINE_H

#include <stdint.h>

/* The machine's memory, or the cgroup's limit if that is less. */
uint64_t omi_machine_ram_bytes(void);
/* Processors online, at least 1. */
uint32_t omi_machine_cpus(void);

#endif

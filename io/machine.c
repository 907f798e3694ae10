#include "io/machine.h"

#include <stdio.h>
#include <unistd.h>

uint64_t omi_machine_ram_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t ram = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : UINT64_C(1) << 30;
    FILE *f = fopen("/sys/fs/cgroup/memory.max", "re");
    if (f == NULL)
        return ram;
    unsigned long long limit;
    if (fscanf(f, "%llu", &limit) == 1 && limit != 0 && limit < ram)
        ram = limit;
    fclose(f);
    return ram;
}

uint32_t omi_machine_cpus(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (uint32_t)n : 1;
}

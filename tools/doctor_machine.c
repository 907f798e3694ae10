/* doctor_machine.c - kernel, processors, memory and its limits, io_uring, open files. */
#include "io/machine.h"
#include "io/ring.h"
#include "tools/doctor.h"
#include "tools/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char *hb(uint64_t bytes)
{
    static char ring[4][OMT_HUMAN_LEN]; /* a printf may use four at once */
    static unsigned at;
    return omt_human_bytes(ring[at++ % 4], bytes);
}

static void kernel(struct omt_doctor *d)
{
    struct omt_finding *f = omt_finding_add(d, "kernel");
    struct utsname u;
    unsigned major = 0, minor = 0;
    if (uname(&u) != 0 || sscanf(u.release, "%u.%u", &major, &minor) != 2) {
        omt_found(f, "not known");
        return;
    }
    omt_found(f, "%s %s, %s", u.sysname, u.release, u.machine);
    if (major < 5 || (major == 5 && minor < 6))
        omt_ails(f, OMT_NOTE, "no reads in batches through io_uring",
                 "a kernel of 5.6 or later; 6.1 has all that is used");
    else if (major == 5 && minor < 15)
        omt_ails(f, OMT_NOTE,
                 "far memory is preferred one node at a time and taken up page by page",
                 "a kernel of 5.15 or later, if there is far memory");
}

/* ---- control groups -------------------------------------------------------------------------- */

/* Calls each for the value of a file of this process's control group and all above it. */
static void group_values(const char *name, void (*each)(const char *line, void *ctx), void *ctx)
{
    char line[1024], path[1400], text[128];
    FILE *f = fopen("/proc/self/cgroup", "re");
    bool found = false;
    while (!found && f != NULL && fgets(line, sizeof(line), f) != NULL)
        found = strncmp(line, "0::", 3) == 0;
    if (f != NULL)
        fclose(f);
    if (!found)
        return;
    line[strcspn(line, "\n")] = 0;
    char *group = line + 3;
    for (;;) {
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/%s", strcmp(group, "/") == 0 ? "" : group,
                 name);
        if (omt_line_read(path, text, sizeof(text)))
            each(text, ctx);
        char *slash = strrchr(group, '/');
        if (slash == NULL || strcmp(group, "/") == 0)
            return;
        slash[slash == group ? 1 : 0] = 0;
    }
}

static void least_bytes(const char *line, void *ctx)
{
    uint64_t *least = ctx;
    char *end;
    uint64_t bytes = strtoull(line, &end, 10); /* "max" is none */
    if (end != line && bytes < *least)
        *least = bytes;
}

static void least_cpu(const char *line, void *ctx)
{
    double *least = ctx, quota, period;
    if (sscanf(line, "%lf %lf", &quota, &period) == 2 && period > 0 && quota / period < *least)
        *least = quota / period;
}

static void processors(struct omt_doctor *d)
{
    struct omt_finding *f = omt_finding_add(d, "processors");
    uint32_t cpus = omi_machine_cpus();
    double limit = 1e9;
    group_values("cpu.max", least_cpu, &limit);
    if (limit >= cpus) {
        omt_found(f, "%" PRIu32, cpus);
        if (cpus == 1)
            omt_ails(f, OMT_NOTE, "merging takes its time from reads and writes",
                     "a second processor");
        return;
    }
    omt_found(f, "%" PRIu32 ", of which the control group allows %.1f", cpus, limit);
    omt_ails(f, OMT_NOTE,
             "when the allowance of a period is used up, every thread stops until the next",
             "raise cpu.max, or expect stalls of tens of milliseconds");
}

static void memory(struct omt_doctor *d)
{
    struct omt_finding *f = omt_finding_add(d, "memory");
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t ram = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    uint64_t limit = UINT64_MAX, seen = omi_machine_ram_bytes();
    group_values("memory.max", least_bytes, &limit);
    if (limit >= ram)
        omt_found(f, "%s, no limit below it", hb(ram));
    else
        omt_found(f, "%s, of which the control group allows %s", hb(ram), hb(limit));
    uint64_t usable = limit < ram ? limit : ram;
    if (usable < seen)
        omt_ails(
            f, OMT_NOTE,
            "the engine does not see this limit (a control group above it, or of the old kind)",
            "set memory_bytes well below the limit");
    if (usable < UINT64_C(128) << 20)
        omt_ails(f, OMT_BAD, "less than the memory_bytes of 256 MiB that is the default",
                 "set memory_bytes to a quarter of it; 4 MiB is the least");
}

/* ---- rings and limits ------------------------------------------------------------------------ */

static void rings(struct omt_doctor *d)
{
    struct omt_finding *f = omt_finding_add(d, "io_uring");
    const char *why = "", *advice = "a kernel of 5.6 or later";
    char disabled[16] = "0";
    bool usable = omi_ring_usable(&why);
    (void)omt_line_read("/proc/sys/kernel/io_uring_disabled", disabled, sizeof(disabled));
    if (usable) {
        omt_found(f, "used: %s", why);
        if (strstr(why, "single-issuer") == NULL)
            omt_ails(f, OMT_NOTE, "completions cost an interrupt more each",
                     "a kernel of 6.1 or later");
        return;
    }
    omt_found(f, "not usable: %s%s", why,
              disabled[0] != '0' ? " (kernel.io_uring_disabled is set)" : "");
    if (disabled[0] != '0')
        advice = "sysctl kernel.io_uring_disabled=0";
    else if (strstr(why, "permitted") != NULL)
        advice =
            "allow io_uring_setup, io_uring_enter and io_uring_register in the container's profile";
    omt_ails(f, OMT_NOTE,
             "multi-gets and scans read one block after the other: on a disk they take as long as "
             "all their reads together",
             advice);
}

static void locked_memory(struct omt_doctor *d)
{
    struct omt_finding *f = omt_finding_add(d, "locked memory");
    struct rlimit r;
    if (getrlimit(RLIMIT_MEMLOCK, &r) != 0)
        return;
    if (r.rlim_cur == RLIM_INFINITY)
        omt_found(f, "no limit");
    else
        omt_found(f, "%s", hb(r.rlim_cur));
    struct utsname u;
    unsigned major = 0, minor = 0;
    bool counted = uname(&u) == 0 && sscanf(u.release, "%u.%u", &major, &minor) == 2 &&
                   (major < 5 || (major == 5 && minor < 12));
    if (counted && r.rlim_cur != RLIM_INFINITY && r.rlim_cur < UINT64_C(8) << 20)
        omt_ails(f, OMT_NOTE, "before Linux 5.12 rings count against it: later threads get none",
                 "ulimit -l 65536");
}

static void open_files(struct omt_doctor *d)
{
    struct omt_finding *f = omt_finding_add(d, "open files");
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return;
    if (r.rlim_cur == RLIM_INFINITY)
        omt_found(f, "no limit");
    else if (r.rlim_cur == r.rlim_max)
        omt_found(f, "%" PRIu64, (uint64_t)r.rlim_cur);
    else
        omt_found(f, "%" PRIu64 ", can be raised to %" PRIu64, (uint64_t)r.rlim_cur,
                  (uint64_t)r.rlim_max);
    char cost[256];
    snprintf(cost, sizeof(cost),
             "every table is held open: with tables of 8 MiB, as a memory_bytes of 256 MiB makes "
             "them, databases to about %s",
             hb((uint64_t)r.rlim_cur * (8 << 20)));
    if (r.rlim_cur < 8192)
        omt_ails(f, r.rlim_cur < 256 ? OMT_BAD : OMT_NOTE, cost, "ulimit -n 65536");
}

void omt_doctor_machine(struct omt_doctor *d)
{
    kernel(d);
    processors(d);
    memory(d);
    rings(d);
    locked_memory(d);
    open_files(d);
}

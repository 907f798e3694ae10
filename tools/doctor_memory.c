/* doctor_memory.c - far memory, as the engine would use it, and huge pages. */
#include "memtier/far_clock.h"
#include "memtier/nodes.h"
#include "memtier/tier.h"
#include "tools/doctor.h"
#include "tools/text.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBE_BYTES = 1 << 20 };

/* Entries of a folder of the system whose names start so. */
static unsigned entries_count(const char *path, const char *prefix)
{
    unsigned count = 0;
    DIR *dir = opendir(path);
    const struct dirent *e;
    while (dir != NULL && (e = readdir(dir)) != NULL)
        count += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    if (dir != NULL)
        closedir(dir);
    return count;
}

static void no_far(struct omt_finding *f, const char *why)
{
    unsigned devices = entries_count("/sys/bus/cxl/devices", "mem");
    unsigned dax = entries_count("/sys/bus/dax/devices", "dax");
    omt_found(f, "none: %s", why);
    if (devices == 0 && dax == 0)
        return; /* nothing is missing that could be there */
    omt_found(f, "none, and %u CXL devices, %u device-dax instances: %s", devices, dax, why);
    omt_ails(
        f, OMT_NOTE, "filters and models of the last level take near memory",
        "daxctl reconfigure-device --mode=system-ram dax0.0 (make a region with cxl create-region "
        "first)");
}

/* Puts a mebibyte there, and looks where it lies. */
static void far_try(struct omt_finding *f, struct omi_tier *tier)
{
    struct omi_extent_stats stats = {.tier = tier};
    struct omi_tier_stats s;
    struct omi_tier_verified v = {0};
    struct omi_extent *e = NULL;
    char size[OMT_HUMAN_LEN], latency[64] = "";
    if (omi_extent_create_in(&stats, OMI_EXTENT_FILTER, OMI_EXTENT_FAR, PROBE_BYTES, UINT64_MAX,
                             &e) != OMEN_OK) {
        omt_found(f, "%s", omen_last_error());
        return;
    }
    omi_tier_get_stats(tier, &s);
    omi_tier_verify(tier, UINT64_MAX, &v);
    if (s.node_latency_ns != 0)
        snprintf(latency, sizeof(latency), ", %" PRIu32 " ns a read by its firmware",
                 s.node_latency_ns);
    omt_human_bytes(size, s.far_limit_bytes);
    if (omi_extent_class(e) == OMI_EXTENT_FAR)
        omt_found(f,
                  "node %d at distance %" PRIu32 "%s; %s may be used; a trial: %" PRIu64
                  " of %" PRIu64 " pages lie there",
                  s.node, s.node_distance, latency, size, v.on_node, v.asked);
    else
        omt_found(f, "node %d, not usable: %s", s.node, s.why);
    if (omi_extent_class(e) != OMI_EXTENT_FAR)
        omt_ails(f, OMT_NOTE, "filters and models of the last level take near memory",
                 strstr(s.why, "permitted") != NULL
                     ? "allow mbind, get_mempolicy and move_pages in the container's profile"
                     : "free memory of that node");
    omi_extent_destroy(e);
}

static void far_memory(struct omt_doctor *d)
{
    struct omt_finding *f = omt_finding_add(d, "far memory");
    const struct omi_tier_settings automatic = {.mode = OMI_FAR_AUTO};
    struct omi_tier_stats s;
    struct omi_tier *tier;
    if (omi_tier_open(&automatic, &tier) != OMEN_OK) {
        omt_found(f, "%s", omen_last_error());
        return;
    }
    omi_tier_get_stats(tier, &s);
    if (omi_tier_has_far(tier)) {
        far_try(f, tier);
    } else if (strstr(s.why, "may use") != NULL) {
        omt_found(f, "%s", s.why);
        omt_ails(f, OMT_NOTE, "filters and models of the last level take near memory",
                 "add the node to cpuset.mems of the control group");
    } else {
        no_far(f, s.why);
    }
    omi_tier_close(tier);
}

/* What far=delay needs: waits that are as long as they are asked to be. */
static void waits(struct omt_doctor *d)
{
    struct omt_finding *f = omt_finding_add(d, "short waits");
    struct omi_far_calibration c;
    omi_far_calibrate(&c);
    omt_found(f,
              "asked %" PRIu32 " %" PRIu32 " %" PRIu32 " %" PRIu32 " ns, waited %" PRIu32
              " %" PRIu32 " %" PRIu32 " %" PRIu32 " (medians; a look at the clock takes %" PRIu32
              " ns)",
              c.wait[0].asked_ns, c.wait[1].asked_ns, c.wait[2].asked_ns, c.wait[3].asked_ns,
              c.wait[0].achieved_ns, c.wait[1].achieved_ns, c.wait[2].achieved_ns,
              c.wait[3].achieved_ns, c.read_ns);
    if (c.worst_off_permille > 150)
        omt_ails(f, OMT_NOTE, "experiments with injected latency (far=delay) tell nothing here now",
                 "an idle machine, better not a virtual one");
}

/* Would the system move what was placed? */
static void movers(struct omt_doctor *d)
{
    char balancing[32] = "0", demotion[32] = "false";
    struct omi_far_node nodes[OMI_NODES_MAX];
    if (omi_nodes_far(OMI_NODES_ROOT, nodes, OMI_NODES_MAX) == 0)
        return;
    struct omt_finding *f = omt_finding_add(d, "kernel tiering");
    (void)omt_line_read("/proc/sys/kernel/numa_balancing", balancing, sizeof(balancing));
    (void)omt_line_read("/sys/kernel/mm/numa/demotion_enabled", demotion, sizeof(demotion));
    bool demotes = strcmp(demotion, "true") == 0 || strcmp(demotion, "1") == 0;
    omt_found(f, "numa_balancing %s, demotion %s", balancing, demotes ? "on" : "off");
    if (demotes)
        omt_ails(f, OMT_NOTE,
                 "under pressure the kernel moves near memory of the engine, cache and memtables "
                 "too, to the far node",
                 "leave memory free, or echo 0 > /sys/kernel/mm/numa/demotion_enabled");
}

static void huge_pages(struct omt_doctor *d)
{
    struct omt_finding *f = omt_finding_add(d, "huge pages");
    char line[128];
    if (!omt_line_read("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof(line))) {
        omt_found(f, "the kernel has none");
        omt_ails(f, OMT_NOTE, "far memory needs a page walk more often", "");
        return;
    }
    char *open = strchr(line, '['), *close = open != NULL ? strchr(open, ']') : NULL;
    if (close != NULL)
        *close = 0;
    omt_found(f, "transparent: %s", close != NULL ? open + 1 : line);
    if (close != NULL && strcmp(open + 1, "never") == 0)
        omt_ails(f, OMT_NOTE, "far memory needs a page walk more often",
                 "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
}

void omt_doctor_memory(struct omt_doctor *d)
{
    far_memory(d);
    waits(d);
    movers(d);
    huge_pages(d);
}

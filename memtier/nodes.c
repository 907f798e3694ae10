#include "memtier/nodes.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 4096 };

/* The file's text, cut at TEXT_BYTES - 1; empty when it cannot be read. */
static void text_read(const char *root, const char *name, char text[static TEXT_BYTES])
{
    char path[TEXT_BYTES];
    text[0] = 0;
    int n = snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *f = n > 0 && n < TEXT_BYTES ? fopen(path, "re") : NULL;
    if (f == NULL)
        return;
    size_t got = fread(text, 1, TEXT_BYTES - 1, f);
    text[got] = 0;
    fclose(f);
}

static void node_text(const char *root, int node, const char *name, char text[static TEXT_BYTES])
{
    char path[128];
    snprintf(path, sizeof(path), "node%d/%s", node, name);
    text_read(root, path, text);
}

uint64_t omi_nodes_parse(const char *list)
{
    uint64_t set = 0;
    while (*list != 0 && *list != '\n') {
        char *end;
        if (!isdigit((unsigned char)*list))
            return 0;
        unsigned long first = strtoul(list, &end, 10), last = first;
        if (*end == '-') {
            if (!isdigit((unsigned char)end[1]))
                return 0;
            last = strtoul(end + 1, &end, 10);
        }
        if (first > last || last >= OMI_NODES_MAX)
            return 0;
        for (unsigned long i = first; i <= last; i++)
            set |= UINT64_C(1) << i;
        if (*end == ',')
            end++;
        else if (*end != 0 && *end != '\n')
            return 0;
        list = end;
    }
    return set;
}

static uint64_t nodes_set(const char *root, const char *name)
{
    char text[TEXT_BYTES];
    text_read(root, name, text);
    return omi_nodes_parse(text);
}

/* "Node 1 MemFree:  123 kB" */
static uint64_t meminfo_bytes(const char *text, const char *name)
{
    const char *at = strstr(text, name);
    unsigned long long kib;
    if (at == NULL || sscanf(at + strlen(name), "%llu kB", &kib) != 1 || kib > UINT64_MAX / 1024)
        return 0;
    return kib * 1024;
}

/* The distance to the nearest node with processors, 0 when there is none to be read: the columns are the nodes online, ascending. */
static uint32_t distance_nearest(const char *text, uint64_t online, uint64_t with_cpus)
{
    uint32_t best = 0;
    for (int node = 0; node < OMI_NODES_MAX; node++) {
        if ((online >> node & 1) == 0)
            continue;
        char *end;
        unsigned long d = strtoul(text, &end, 10);
        if (end == text)
            break;
        text = end;
        if ((with_cpus >> node & 1) != 0 && d < UINT32_MAX && (best == 0 || d < best))
            best = (uint32_t)d;
    }
    return best;
}

static void node_describe(const char *root, int node, uint64_t online, uint64_t with_cpus,
                          struct omi_far_node *out)
{
    char text[TEXT_BYTES];
    *out = (struct omi_far_node){.node = node};
    node_text(root, node, "meminfo", text);
    out->total_bytes = meminfo_bytes(text, "MemTotal:");
    out->free_bytes = meminfo_bytes(text, "MemFree:");
    node_text(root, node, "distance", text);
    out->distance = distance_nearest(text, online, with_cpus);
    node_text(root, node, "access0/initiators/read_latency", text);
    unsigned long latency = strtoul(text, NULL, 10);
    out->latency_ns = latency <= 1000000 ? (uint32_t)latency : 0;
}

/* Latency where both know theirs, else distance, else the number. */
static int node_compare(const void *a, const void *b)
{
    const struct omi_far_node *x = a, *y = b;
    if (x->latency_ns != 0 && y->latency_ns != 0 && x->latency_ns != y->latency_ns)
        return x->latency_ns < y->latency_ns ? -1 : 1;
    if (x->distance != y->distance) /* 0 wraps around: what is unknown comes last */
        return x->distance - 1 < y->distance - 1 ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

size_t omi_nodes_far(const char *root, struct omi_far_node *out, size_t max)
{
    uint64_t online = nodes_set(root, "online");
    uint64_t with_cpus = nodes_set(root, "has_cpu"), with_memory = nodes_set(root, "has_memory");
    uint64_t far = online & with_memory & ~with_cpus;
    size_t count = 0;
    if ((online & with_cpus) == 0) /* what cannot be: nothing is believed */
        return 0;
    for (int node = 0; node < OMI_NODES_MAX && count < max; node++)
        if ((far >> node & 1) != 0)
            node_describe(root, node, online, with_cpus, &out[count++]);
    qsort(out, count, sizeof(*out), node_compare);
    return count;
}

bool omi_nodes_one(const char *root, int node, struct omi_far_node *out)
{
    uint64_t online = nodes_set(root, "online"), with_memory = nodes_set(root, "has_memory");
    if (node < 0 || node >= OMI_NODES_MAX || ((online & with_memory) >> node & 1) == 0)
        return false;
    node_describe(root, node, online, nodes_set(root, "has_cpu"), out);
    return true;
}

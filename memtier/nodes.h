/*
 * nodes.h - which far memory this machine has: NUMA nodes with memory and without processors, as
 * Linux shows CXL memory once a driver has brought it online.
 * Detection takes nothing but that: neither memory tiers nor latency tables are filled in
 * everywhere; where they are, they only rank the nodes.
 */
#ifndef OMI_NODES_H
#define OMI_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OMI_NODES_MAX = 64 };

struct omi_far_node {
    int node;
    uint32_t
        distance; /* from the nearest node with processors; 10 is that node itself; 0: unknown */
    uint32_t latency_ns; /* of a read, as the firmware says; 0: it says nothing */
    uint64_t total_bytes, free_bytes;
};

/* The far nodes, nearest first; at most max. root: "/sys/devices/system/node", or a made-up tree
 * (tests). Anything that cannot be read or parsed is as if it were not there. */
size_t omi_nodes_far(const char *root, struct omi_far_node *out, size_t max);
/* A node that has memory, processors or not; false: there is none of that number. */
bool omi_nodes_one(const char *root, int node, struct omi_far_node *out);
#define OMI_NODES_ROOT "/sys/devices/system/node"

/* Parses "0-3,8" into a set of OMI_NODES_MAX bits; 0 when it does not parse. */
uint64_t omi_nodes_parse(const char *list);

#endif

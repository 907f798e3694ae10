#include "memtier/nodes.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

static void root_make(void)
{
    strcpy(root, "/tmp/omi_nodes_XXXXXX");
    cr_assert_not_null(mkdtemp(root));
}

static void root_remove(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    cr_assert_eq(system(command), 0);
}

TestSuite(nodes, .init = root_make, .fini = root_remove, .timeout = 10);

static void file_write(const char *name, const char *text)
{
    char path[256];
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        snprintf(path, sizeof(path), "%s/%.*s", root, (int)(slash - name), name);
        cr_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
    }
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

/* Nodes 0 and 1 with processors, 2 and 3 with memory alone. */
static void machine_make(void)
{
    file_write("online", "0-3\n");
    file_write("has_cpu", "0-1\n");
    file_write("has_memory", "0-3\n");
    file_write("node2/meminfo", "Node 2 MemTotal:       1048576 kB\nNode 2 MemFree:   524288 kB\n");
    file_write("node3/meminfo", "Node 3 MemTotal:       2097152 kB\nNode 3 MemFree:       4 kB\n");
    file_write("node2/distance", "30 24 10 40\n");
    file_write("node3/distance", "17 28 40 10\n");
}

Test(nodes, with_memory_and_without_processors_are_far_and_the_nearest_comes_first)
{
    struct omi_far_node n[OMI_NODES_MAX];
    machine_make();
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 2);
    cr_assert_eq(n[0].node, 3);
    cr_assert_eq(n[0].distance, 17);
    cr_assert_eq(n[0].free_bytes, 4096);
    cr_assert_eq(n[1].node, 2);
    cr_assert_eq(n[1].distance, 24);
    cr_assert_eq(n[1].total_bytes, UINT64_C(1) << 30);
    cr_assert_eq(n[1].free_bytes, UINT64_C(1) << 29);
    cr_assert_eq(omi_nodes_far(root, n, 1), 1);
}

Test(nodes, latency_ranks_them_where_the_firmware_tells_it_of_both)
{
    struct omi_far_node n[OMI_NODES_MAX];
    machine_make();
    file_write("node2/access0/initiators/read_latency", "180\n");
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 2);
    cr_assert_eq(n[0].node, 3, "one figure alone ranks nothing");
    file_write("node3/access0/initiators/read_latency", "250\n");
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 2);
    cr_assert_eq(n[0].node, 2);
    cr_assert_eq(n[0].latency_ns, 180);
    cr_assert_eq(n[1].latency_ns, 250);
}

Test(nodes, that_tell_nothing_of_themselves_are_far_all_the_same_and_come_last)
{
    struct omi_far_node n[OMI_NODES_MAX];
    file_write("online", "0-3");
    file_write("has_cpu", "0-1");
    file_write("has_memory", "0-3");
    file_write("node3/distance", "255 255 255 10");
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 2);
    cr_assert_eq(n[0].node, 3);
    cr_assert_eq(n[1].node, 2);
    cr_assert_eq(n[1].distance, 0);
    cr_assert_eq(n[1].free_bytes, 0);
}

Test(nodes, distances_are_by_the_nodes_that_are_online)
{
    struct omi_far_node n[OMI_NODES_MAX];
    file_write("online", "1,4,9");
    file_write("has_cpu", "4");
    file_write("has_memory", "1,4,9");
    file_write("node1/distance", "10 21 60");
    file_write("node9/distance", "60 20 10");
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 2);
    cr_assert_eq(n[0].node, 9);
    cr_assert_eq(n[0].distance, 20);
    cr_assert_eq(n[1].distance, 21);
}

Test(nodes, a_machine_without_far_memory_has_none)
{
    struct omi_far_node n[OMI_NODES_MAX];
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 0, "an empty tree");
    cr_assert_eq(omi_nodes_far("/nowhere/at/all", n, OMI_NODES_MAX), 0);
    file_write("online", "0");
    file_write("has_cpu", "0");
    file_write("has_memory", "0");
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 0);
    file_write("has_memory", "0-1"); /* there is no node 1 online */
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 0);
    file_write("online", "0-1");
    file_write("has_cpu", "");
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 0, "processors somewhere there must be");
}

Test(nodes, one_can_be_asked_for_with_processors_or_without)
{
    struct omi_far_node n;
    machine_make();
    cr_assert(omi_nodes_one(root, 1, &n));
    cr_assert_eq(n.node, 1);
    cr_assert(omi_nodes_one(root, 2, &n));
    cr_assert_eq(n.distance, 24);
    cr_assert(!omi_nodes_one(root, 4, &n));
    cr_assert(!omi_nodes_one(root, -1, &n));
    cr_assert(!omi_nodes_one(root, OMI_NODES_MAX, &n));
    cr_assert(!omi_nodes_one(root, 1 << 30, &n));
    file_write("has_memory", "0-1,3");
    cr_assert(!omi_nodes_one(root, 2, &n));
}

Test(nodes, lists_parse_or_are_empty)
{
    static const struct {
        const char *text;
        uint64_t set;
    } lists[] = {
        {"", 0},
        {"\n", 0},
        {"0", 1},
        {"0-3\n", 15},
        {"1,3", 10},
        {"0-1,4-5,63", UINT64_C(0x8000000000000033)},
        {"0-63", UINT64_MAX},
        {"64", 0},
        {"0-64", 0},
        {"3-1", 0},
        {"-1", 0},
        {"1-", 0},
        {"1--2", 0},
        {"0 1", 0},
        {"0x3", 0},
        {"99999999999999999999", 0},
        {"1,,2", 0},
        {"no", 0},
        {"+1", 0},
        {"0-18446744073709551617", 0},
    };
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
        cr_assert_eq(omi_nodes_parse(lists[i].text), lists[i].set, "\"%s\"", lists[i].text);
}

Test(nodes, files_of_nonsense_are_as_if_they_were_not_there)
{
    struct omi_far_node n[OMI_NODES_MAX];
    char *long_text = malloc(100001);
    cr_assert_not_null(long_text);
    memset(long_text, '9', 100000);
    long_text[100000] = 0;
    machine_make();
    file_write("node2/meminfo", "Node 2 MemTotal: many kB\nNode 2 MemFree: -1 kB\n");
    file_write("node3/meminfo", "Node 3 MemFree: 18446744073709551615 kB\n");
    file_write("node2/distance", long_text);
    file_write("node3/distance", "near far");
    file_write("node3/access0/initiators/read_latency", long_text);
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 2);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(n[i].total_bytes, 0);
        cr_assert_eq(n[i].free_bytes, 0);
        cr_assert_eq(n[i].distance, 0);
        cr_assert_eq(n[i].latency_ns, 0);
    }
    file_write("has_cpu", long_text);
    cr_assert_eq(omi_nodes_far(root, n, OMI_NODES_MAX), 0);
    free(long_text);
}

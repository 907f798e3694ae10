/*
 * guest_tier.c - the memory tier on a machine that really has far memory: where pages lie is asked of the
 * system here, page by page, not of the tier.
 *   guest_tier [--no-far|--slow] [CASE]...    0: all passed; --slow: for an emulated device
 */
#include "tests/guest/guest_tier.h"

#include "memtier/nodes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <numaif.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

size_t slow = 1;

_Noreturn void fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("    ", stdout);
    vprintf(format, args);
    va_end(args);
    fputs("\n", stdout);
    fflush(stdout);
    _exit(1);
}

/* ---- the rig --------------------------------------------------------------------------------- */

void rig_open(struct rig *r, const struct omi_tier_settings *settings)
{
    *r = (struct rig){0};
    REQUIRE(omi_tier_open(settings, &r->tier) == OMEN_OK, "%s", omen_last_error());
    r->stats.tier = r->tier;
    r->grace = aligned_alloc(64, (sizeof(*r->grace) + 63) / 64 * 64);
    REQUIRE(r->grace != NULL, "no memory");
    omi_grace_init(r->grace);
}

static uint8_t byte_of(size_t index, size_t at)
{
    return (uint8_t)(index * 7 + at / 64 + 1);
}

void rig_fill(struct rig *r, enum omi_extent_kind kind, size_t bytes, size_t each)
{
    for (size_t made = 0; made < bytes; made += each) {
        r->extents = realloc(r->extents, (r->count + 1) * sizeof(*r->extents));
        REQUIRE(r->extents != NULL, "no memory");
        struct omi_extent **e = &r->extents[r->count];
        REQUIRE(omi_extent_create_in(&r->stats, kind, OMI_EXTENT_FAR, each, UINT64_MAX, e) ==
                    OMEN_OK,
                "%s", omen_last_error());
        uint8_t *to = omi_extent_bytes(*e);
        for (size_t i = 0; i < each; i++) {
            REQUIRE(to[i] == 0, "a new extent is not zeroed");
            to[i] = byte_of(r->count, i);
        }
        r->count++;
    }
}

void rig_check(const struct rig *r, size_t index)
{
    const uint8_t *bytes = omi_extent_bytes(r->extents[index]);
    for (size_t i = 0; i < omi_extent_size(r->extents[index]); i += 61)
        REQUIRE(bytes[i] == byte_of(index, i), "extent %zu changed at %zu", index, i);
}

void rig_check_all(const struct rig *r)
{
    for (size_t i = 0; i < r->count; i++)
        rig_check(r, i);
}

uint64_t rig_far_bytes(const struct rig *r)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < r->count; i++)
        if (omi_extent_class(r->extents[i]) == OMI_EXTENT_FAR)
            bytes += omi_extent_size(r->extents[i]);
    return bytes;
}

void rig_close(struct rig *r)
{
    for (size_t i = 0; i < r->count; i++)
        omi_extent_destroy(r->extents[i]);
    free(r->extents);
    omi_grace_fini(r->grace);
    free(r->grace);
    for (int k = 0; k < OMI_EXTENT_KINDS; k++)
        REQUIRE(r->stats.bytes[k] == 0 && r->stats.taken[k][OMI_EXTENT_FAR] == 0,
                "extents are still counted");
    omi_tier_close(r->tier);
}

void tier_look(const struct rig *r, struct omi_tier_stats *out)
{
    omi_tier_get_stats(r->tier, out);
}

double share_on(const void *bytes, size_t size, int node)
{
    enum { PAGE = 4096 };
    size_t pages = 0, on = 0;
    for (uintptr_t at = (uintptr_t)bytes / PAGE * PAGE; at < (uintptr_t)bytes + size; at += PAGE) {
        void *page = (void *)at;
        int status = -1;
        REQUIRE(move_pages(0, 1, &page, NULL, &status, 0) == 0, "move_pages: %s", strerror(errno));
        pages++;
        on += status == node;
    }
    return 100.0 * (double)on / (double)pages;
}

uint64_t node_free_bytes(int node)
{
    struct omi_far_node n;
    REQUIRE(omi_nodes_one(OMI_NODES_ROOT, node, &n), "there is no node %d", node);
    return n.free_bytes;
}

static const struct omi_tier_settings automatic = {.mode = OMI_FAR_AUTO};

/* ---- cases: placing -------------------------------------------------------------------------- */

static void case_detects(void)
{
    struct omi_far_node nodes[OMI_NODES_MAX];
    struct omi_tier_stats s;
    struct rig r;
    REQUIRE(omi_nodes_far(OMI_NODES_ROOT, nodes, OMI_NODES_MAX) == 1, "not one far node");
    REQUIRE(nodes[0].node == FAR_NODE && nodes[0].total_bytes > 16 * MIB, "not node 1");
    rig_open(&r, &automatic);
    tier_look(&r, &s);
    REQUIRE(s.mode == OMI_FAR_NODE && s.node == FAR_NODE && s.why[0] == 0, "mode %d, node %d: %s",
            (int)s.mode, s.node, s.why);
    printf("    node %d, distance %" PRIu32 ", %" PRIu32 " ns, %" PRIu64 " MiB free\n", s.node,
           s.node_distance, s.node_latency_ns, nodes[0].free_bytes / MIB);
    rig_close(&r);
}

static void case_pages_lie_far(void)
{
    const size_t sizes[] = {1, 100, 4096, 5000, 70000, (1 << 20) / slow, (3 << 20) / slow};
    struct rig r;
    double least = 100;
    rig_open(&r, &automatic);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        rig_fill(&r, (enum omi_extent_kind)(i % 2), sizes[i] * 4, sizes[i]);
    rig_fill(&r, OMI_EXTENT_FILTER, 24 * MIB / slow, 64 << 10);
    double sum = 0;
    for (size_t i = 0; i < r.count; i++) {
        double share =
            share_on(omi_extent_bytes(r.extents[i]), omi_extent_size(r.extents[i]), FAR_NODE);
        REQUIRE(omi_extent_class(r.extents[i]) == OMI_EXTENT_FAR, "extent %zu is near", i);
        least = share < least ? share : least;
        sum += share;
    }
    struct omi_tier_verified v;
    omi_tier_verify(r.tier, UINT64_MAX, &v);
    printf("    %zu extents, pages on node 1: %.2f %% (the worst extent %.2f %%); verify: %" PRIu64
           " of %" PRIu64 "\n",
           r.count, sum / (double)r.count, least, v.on_node, v.asked);
    REQUIRE(sum / (double)r.count >= 99, "fewer than 99 %%");
    REQUIRE(v.asked * 4096 >= 24 * MIB / slow && v.on_node * 100 >= v.asked * 99,
            "verify disagrees");
    rig_check_all(&r);
    rig_close(&r);
}

static void case_limit_is_kept(void)
{
    struct omi_tier_settings s = {.mode = OMI_FAR_AUTO, .far_bytes = 20 * MIB};
    struct omi_tier_stats now;
    struct rig r;
    rig_open(&r, &s);
    rig_fill(&r, OMI_EXTENT_MODEL, 40 * MIB, 300000);
    tier_look(&r, &now);
    printf("    40 MiB wanted, 20 MiB allowed: %.1f MiB mapped, %.1f MiB far; \"%s\"\n",
           (double)now.mapped_bytes / MIB, (double)rig_far_bytes(&r) / MIB, now.why);
    REQUIRE(now.mapped_bytes <= 20 * MIB, "more is mapped than far_bytes");
    REQUIRE(rig_far_bytes(&r) >= 16 * MIB, "less than far_bytes allows is far");
    REQUIRE(r.stats.refused[OMI_EXTENT_MODEL] > 0 && now.why[0] != 0, "nothing tells of it");
    REQUIRE(r.stats.wanted[OMI_EXTENT_MODEL][OMI_EXTENT_FAR] >= 40 * MIB - 300000, "wanted");
    REQUIRE(r.stats.got[OMI_EXTENT_MODEL][OMI_EXTENT_FAR] == rig_far_bytes(&r), "got");
    rig_check_all(&r);
    rig_close(&r);
}

/* Takes up nearly all of the node, until it is told to end. */
static pid_t hog_start(int *end)
{
    int ready[2], stop[2];
    REQUIRE(pipe(ready) == 0 && pipe(stop) == 0, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        uint64_t size = node_free_bytes(FAR_NODE);
        unsigned long mask = 1ul << FAR_NODE;
        char byte = 0,
             *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED || mbind(p, size, MPOL_PREFERRED, &mask, 65, 0) != 0)
            _exit(1);
        for (uint64_t i = 0; i < size; i += 4096)
            p[i] = 1;
        close(stop[1]);
        if (write(ready[1], &byte, 1) != 1 || read(stop[0], &byte, 1) < 0)
            _exit(1);
        _exit(0);
    }
    char byte;
    close(ready[1]);
    close(stop[0]);
    REQUIRE(pid > 0 && read(ready[0], &byte, 1) == 1, "the hog did not come up");
    close(ready[0]);
    *end = stop[1];
    return pid;
}

static void case_full_node(void)
{
    struct omi_tier_stats s;
    struct rig r;
    int end;
    rig_open(&r, &automatic);
    rig_fill(&r, OMI_EXTENT_FILTER, 4 * MIB, 64 << 10);
    REQUIRE(rig_far_bytes(&r) >= 4 * MIB, "not far to begin with");
    pid_t hog = hog_start(&end);
    rig_fill(&r, OMI_EXTENT_FILTER, 32 * MIB, 64 << 10);
    uint64_t far_full = rig_far_bytes(&r);
    tier_look(&r, &s);
    printf("    36 MiB wanted of a full node: %.1f MiB are far, near extents asked %" PRIu64
           " times; \"%s\"\n",
           (double)far_full / MIB, (uint64_t)r.stats.refused[OMI_EXTENT_FILTER], s.why);
    REQUIRE(far_full < 30 * MIB, "the node was not full");
    REQUIRE(s.chunks_refused > 0 && strstr(s.why, "full") != NULL, "nothing tells of it");
    for (size_t i = 0; i < r.count; i++)
        if (omi_extent_class(r.extents[i]) == OMI_EXTENT_FAR)
            REQUIRE(share_on(omi_extent_bytes(r.extents[i]), omi_extent_size(r.extents[i]),
                             FAR_NODE) >= 99,
                    "an extent calls itself far and is not");
    rig_check_all(&r);
    close(end);
    waitpid(hog, NULL, 0);
    for (size_t i = 0; i < r.count; i++) /* as upkeep does, again and again */
        for (int again = 0; again < 3; again++)
            (void)!omi_extent_move(r.extents[i], OMI_EXTENT_FAR, UINT64_MAX, r.grace);
    printf("    when the node has room again: %.1f MiB are far\n", (double)rig_far_bytes(&r) / MIB);
    REQUIRE(rig_far_bytes(&r) > far_full + 8 * MIB, "extents stay near when the node has room");
    rig_check_all(&r);
    rig_close(&r);
}

static void case_moves(void)
{
    const size_t each = (256 << 10) / slow;
    struct omi_tier_settings s = {.mode = OMI_FAR_AUTO, .near_model_bytes = 32 * each};
    struct rig r;
    rig_open(&r, &s);
    rig_fill(&r, OMI_EXTENT_MODEL, 64 * each, each);
    size_t near = 0;
    for (size_t i = 0; i < r.count; i++)
        near += omi_extent_move(r.extents[i], OMI_EXTENT_NEAR, UINT64_MAX, r.grace) == OMEN_OK;
    printf("    %zu of %zu extents moved near under near_model_bytes\n", near, r.count);
    REQUIRE(near == 32 && r.stats.promoted_bytes == 32 * each, "not as many as there is room for");
    for (size_t i = 0; i < r.count; i++)
        REQUIRE(share_on(omi_extent_bytes(r.extents[i]), each, i < near ? NEAR_NODE : FAR_NODE) >=
                    99,
                "extent %zu lies elsewhere", i);
    rig_check_all(&r);
    for (size_t i = 0; i < near; i++)
        REQUIRE(omi_extent_move(r.extents[i], OMI_EXTENT_FAR, UINT64_MAX, r.grace) == OMEN_OK,
                "extent %zu cannot go back", i);
    for (size_t i = 0; i < r.count; i++)
        REQUIRE(share_on(omi_extent_bytes(r.extents[i]), each, FAR_NODE) >= 99,
                "extent %zu did not go back", i);
    REQUIRE(r.stats.promoted_bytes == 0 && r.stats.moves[OMI_EXTENT_NEAR] == 32 &&
                r.stats.moves[OMI_EXTENT_FAR] == 32,
            "moves are miscounted");
    rig_check_all(&r);
    rig_close(&r);
}

static void case_closing_gives_back(void)
{
    struct rig r;
    uint64_t before = node_free_bytes(FAR_NODE);
    rig_open(&r, &automatic);
    rig_fill(&r, OMI_EXTENT_FILTER, 48 * MIB, 1 << 20);
    uint64_t during = node_free_bytes(FAR_NODE);
    rig_close(&r);
    uint64_t after = 0;
    for (int i = 0; i < 50 && after + before / 100 < before; i++) { /* counters of each processor */
        usleep(20000);
        after = node_free_bytes(FAR_NODE);
    }
    printf("    free: %.1f MiB, %.1f with 48 MiB of extents, %.1f after\n", (double)before / MIB,
           (double)during / MIB, (double)after / MIB);
    REQUIRE(during + 40 * MIB < before, "the extents took nothing of the node");
    REQUIRE(after + before / 100 >= before, "not all came back");
}

/* ---- cases: lack ----------------------------------------------------------------------------- */

/* Everything works, near, and one line says why. */
static void without_far(const struct omi_tier_settings *settings, const char *word)
{
    struct omi_tier_stats s;
    struct rig r;
    rig_open(&r, settings);
    rig_fill(&r, OMI_EXTENT_FILTER, 4 * MIB, 64 << 10);
    rig_fill(&r, OMI_EXTENT_MODEL, 4 * MIB, 64 << 10);
    tier_look(&r, &s);
    printf("    \"%s\"\n", s.why);
    REQUIRE(rig_far_bytes(&r) == 0 && s.mapped_bytes == 0, "something is far");
    REQUIRE(r.stats.refused[OMI_EXTENT_FILTER] == 64, "not each refusal is counted");
    REQUIRE(strstr(s.why, word) != NULL && strchr(s.why, '\n') == NULL, "the reason is another");
    for (size_t i = 0; i < r.count; i++)
        REQUIRE(omi_extent_move(r.extents[i], OMI_EXTENT_FAR, UINT64_MAX, r.grace) == OMEN_ABORTED,
                "something moved far");
    rig_check_all(&r);
    rig_close(&r);
}

static void case_no_node(void)
{
    static const struct omi_tier_settings asked = {.mode = OMI_FAR_NODE, .node = 1};
    static const struct omi_tier_settings absurd = {.mode = OMI_FAR_NODE, .node = 1 << 20};
    without_far(&automatic, "no node");
    without_far(&asked, "no node 1");
    without_far(&absurd, "no node");
}

static void text_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY);
    REQUIRE(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %s", path,
            strerror(errno));
    close(fd);
}

static void case_cpuset(void)
{
    static const struct omi_tier_settings asked = {.mode = OMI_FAR_NODE, .node = FAR_NODE};
    char pid[32];
    text_write("/sys/fs/cgroup/cgroup.subtree_control", "+cpuset");
    REQUIRE(mkdir("/sys/fs/cgroup/near", 0755) == 0 || errno == EEXIST, "a cgroup: %s",
            strerror(errno));
    text_write("/sys/fs/cgroup/near/cpuset.mems", "0");
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    text_write("/sys/fs/cgroup/near/cgroup.procs", pid);
    without_far(&automatic, "may use");
    without_far(&asked, "may use");
}

/* EPERM for the call, as containers' default profiles answer. */
static void forbid(long call)
{
    struct sock_filter program[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)call, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog fprog = {.len = 4, .filter = program};
    REQUIRE(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
                prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &fprog) == 0,
            "seccomp: %s", strerror(errno));
}

static void case_mbind_forbidden(void)
{
    forbid(SYS_mbind);
    without_far(&automatic, "not permitted");
}

static void case_all_forbidden(void)
{
    forbid(SYS_get_mempolicy);
    forbid(SYS_move_pages);
    forbid(SYS_mbind);
    without_far(&automatic, "not permitted");
}

static void case_looking_forbidden(void)
{
    forbid(SYS_move_pages);
    without_far(&automatic, "where memory lies");
}

/* The kernel's own movers of pages are at work: what is read stays right. */
static void case_kernel_moves_pages(void)
{
    struct omi_tier_settings s = {.mode = OMI_FAR_AUTO, .near_model_bytes = 64 * MIB};
    struct rig r;
    if (access("/proc/sys/kernel/numa_balancing", W_OK) == 0)
        text_write("/proc/sys/kernel/numa_balancing", "2");
    if (access("/sys/kernel/mm/numa/demotion_enabled", W_OK) == 0)
        text_write("/sys/kernel/mm/numa/demotion_enabled", "1");
    rig_open(&r, &s);
    rig_fill(&r, OMI_EXTENT_FILTER, 16 * MIB, 128 << 10);
    time_t until = time(NULL) + 4;
    for (int turn = 0; time(NULL) < until; turn++) {
        rig_check_all(&r);
        for (size_t i = (size_t)turn % 4; i < r.count; i += 4)
            (void)!omi_extent_move(r.extents[i],
                                   turn / 4 % 2 == 0 ? OMI_EXTENT_NEAR : OMI_EXTENT_FAR, UINT64_MAX,
                                   r.grace);
    }
    struct omi_tier_verified v;
    omi_tier_verify(r.tier, UINT64_MAX, &v);
    printf("    after the kernel had its way: %" PRIu64 " of %" PRIu64 " pages on node 1\n",
           v.on_node, v.asked);
    rig_check_all(&r);
    rig_close(&r);
}

/* ---- running --------------------------------------------------------------------------------- */

static const struct guest_case {
    const char *name;
    void (*run)(void);
    bool far; /* for machines with a far node; else for those without */
} cases[] = {
    {"detects", case_detects, true},
    {"pages_lie_far", case_pages_lie_far, true},
    {"limit_is_kept", case_limit_is_kept, true},
    {"full_node", case_full_node, true},
    {"moves", case_moves, true},
    {"closing_gives_back", case_closing_gives_back, true},
    {"cpuset", case_cpuset, true},
    {"mbind_forbidden", case_mbind_forbidden, true},
    {"all_forbidden", case_all_forbidden, true},
    {"looking_forbidden", case_looking_forbidden, true},
    {"kernel_moves_pages", case_kernel_moves_pages, true},
    {"lost_filter_and_model", case_lost_filter_and_model, true},
    {"lost_under_readers", case_lost_under_readers, true},
    {"lost_without_guard", case_lost_without_guard, true},
    {"other_sigbus", case_other_sigbus, true},
    {"no_node", case_no_node, false},
};

static bool case_run(const struct guest_case *c)
{
    struct timespec start, end;
    int status = -1;
    clock_gettime(CLOCK_MONOTONIC, &start);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        c->run();
        fflush(stdout);
        _exit(0);
    }
    waitpid(pid, &status, 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("%s %4ld s  %s", ok ? "ok    " : "FAILED", (long)(end.tv_sec - start.tv_sec), c->name);
    printf(WIFSIGNALED(status) ? ": signal %d\n" : "\n", WTERMSIG(status));
    return ok;
}

static bool asked_for(const struct guest_case *c, bool far, int argc, char **argv)
{
    bool any = false;
    for (int i = 1; i < argc; i++) {
        any = any || argv[i][0] != '-';
        if (strcmp(argv[i], c->name) == 0)
            return true;
    }
    return !any && c->far == far;
}

int main(int argc, char **argv)
{
    bool far = argc < 2 || strcmp(argv[1], "--no-far") != 0;
    slow = argc >= 2 && strcmp(argv[1], "--slow") == 0 ? 8 : 1;
    int failed = 0;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (asked_for(&cases[i], far, argc, argv))
            failed += !case_run(&cases[i]);
    printf("%d failed\n", failed);
    return failed != 0;
}

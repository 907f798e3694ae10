#include "memtier/tier.h"

#include "fake_place.h"
#include "memtier/far_guard.h"
#include "memtier/far_touch.h"

#include <criterion/criterion.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MIB = 1 << 20 };

static struct fake_place machine;
static struct omi_place_calls calls;
static char root[64];
static struct omi_tier *tier;
static struct omi_extent_stats stats;

static void file_write(const char *name, const char *text)
{
    char path[256];
    const char *slash = strchr(name, '/');
    if (slash != NULL) {
        snprintf(path, sizeof(path), "%s/%.*s", root, (int)(slash - name), name);
        cr_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
    }
    snprintf(path, sizeof(path), "%s/%s", root, name);
    FILE *f = fopen(path, "w");
    cr_assert_not_null(f);
    fputs(text, f);
    fclose(f);
}

/* Node 0 with processors, node 1 (FAKE_NODE) without, 100 MiB free. */
static void machine_make(void)
{
    strcpy(root, "/tmp/omi_tier_XXXXXX");
    cr_assert_not_null(mkdtemp(root));
    file_write("online", "0-1");
    file_write("has_cpu", "0");
    file_write("has_memory", "0-1");
    file_write("node1/meminfo", "Node 1 MemTotal: 204800 kB\nNode 1 MemFree: 102400 kB\n");
    file_write("node1/distance", "20 10");
    machine = (struct fake_place){.node_bytes = UINT64_C(1) << 40, .allowed = 3};
    calls = fake_calls(&machine);
    stats = (struct omi_extent_stats){0};
}

static void machine_remove(void)
{
    char command[128];
    omi_tier_close(tier);
    cr_assert_eq(machine.maps, machine.unmaps, "memory is left mapped");
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    cr_assert_eq(system(command), 0);
}

TestSuite(tier, .init = machine_make, .fini = machine_remove, .timeout = 20);

static struct omi_tier_stats tier_open(struct omi_tier_settings s)
{
    struct omi_tier_stats now;
    s.nodes_root = root;
    if (s.mode == OMI_FAR_AUTO || s.mode == OMI_FAR_NODE)
        s.calls = &calls;
    omi_tier_close(tier);
    cr_assert_eq(omi_tier_open(&s, &tier), OMEN_OK);
    stats.tier = tier;
    omi_tier_get_stats(tier, &now);
    return now;
}

static struct omi_tier_stats look(void)
{
    struct omi_tier_stats now;
    omi_tier_get_stats(tier, &now);
    return now;
}

static struct omi_extent *make(enum omi_extent_class wanted, size_t size)
{
    struct omi_extent *e;
    cr_assert_eq(omi_extent_create_in(&stats, OMI_EXTENT_MODEL, wanted, size, UINT64_MAX, &e),
                 OMEN_OK);
    return e;
}

Test(tier, automatic_takes_the_far_node)
{
    struct omi_tier_stats s = tier_open((struct omi_tier_settings){.mode = OMI_FAR_AUTO});
    cr_assert_eq(s.mode, OMI_FAR_NODE);
    cr_assert_eq(s.node, 1);
    cr_assert_eq(s.node_distance, 20);
    cr_assert_str_eq(s.why, "");
    cr_assert_eq(s.far_limit_bytes, UINT64_C(102400) * 1024 / 10 * 9, "a tenth is left");
    cr_assert(omi_tier_has_far(tier));
    struct omi_extent *e = make(OMI_EXTENT_FAR, 5000);
    cr_assert_eq(omi_extent_class(e), OMI_EXTENT_FAR);
    cr_assert_eq(look().used_bytes, 8192);
    omi_extent_destroy(e);
    cr_assert_eq(look().used_bytes, 0);
}

Test(tier, far_bytes_and_what_the_node_has_bound_it)
{
    struct omi_tier_settings s = {.mode = OMI_FAR_NODE, .node = 1, .far_bytes = 10 * MIB};
    cr_assert_eq(tier_open(s).far_limit_bytes, 10 * MIB);
    omi_tier_limit(tier, UINT64_C(1) << 40, 7);
    cr_assert_eq(look().far_limit_bytes, UINT64_C(94371840));
    cr_assert_eq(look().near_model_bytes, 7);
    omi_tier_limit(tier, 0, 0);
    cr_assert_eq(look().far_limit_bytes, UINT64_C(94371840));
}

/* Everything is near, each refusal is counted, and one line says why. */
static void nothing_is_far(struct omi_tier_settings s, const char *why)
{
    tier_open(s);
    struct omi_extent *e = make(OMI_EXTENT_FAR, 5000), *f = make(OMI_EXTENT_FAR, 5000);
    cr_assert_eq(omi_extent_class(e), OMI_EXTENT_NEAR);
    cr_assert_str_eq(look().why, why);
    cr_assert_eq(stats.refused[OMI_EXTENT_MODEL], 2);
    cr_assert_eq(stats.wanted[OMI_EXTENT_MODEL][OMI_EXTENT_FAR], 10000);
    cr_assert_eq(stats.got[OMI_EXTENT_MODEL][OMI_EXTENT_NEAR], 10000);
    cr_assert_eq(look().mapped_bytes, 0);
    omi_extent_destroy(e);
    omi_extent_destroy(f);
    cr_assert_eq(stats.bytes[OMI_EXTENT_MODEL], 0);
    cr_assert_eq(stats.taken[OMI_EXTENT_MODEL][OMI_EXTENT_NEAR], 0);
    stats = (struct omi_extent_stats){0};
}

Test(tier, lack_of_far_memory_is_never_an_error)
{
    static const struct omi_tier_settings none = {.mode = OMI_FAR_NONE},
                                          automatic = {.mode = OMI_FAR_AUTO},
                                          node = {.mode = OMI_FAR_NODE, .node = 1},
                                          other = {.mode = OMI_FAR_NODE, .node = 7},
                                          absurd = {.mode = OMI_FAR_NODE, .node = -3};
    nothing_is_far(none, "far=none");
    nothing_is_far(other, "no node 7 with memory");
    nothing_is_far(absurd, "no node -3 with memory");
    machine.allowed = 1;
    nothing_is_far(automatic, "the far node is not among those that this process may use");
    nothing_is_far(node, "node 1 is not among those that this process may use");
    machine.allowed_err = EPERM; /* not known: asked, and refused */
    machine.prefer_err = EPERM;
    nothing_is_far(automatic, "the system does not place memory: Operation not permitted");
    machine.prefer_err = 0;
    machine.node_bytes = 0;
    nothing_is_far(automatic, "the far node is full");
    machine.node_bytes = MIB; /* half of a chunk */
    nothing_is_far(automatic, "the far node is full");
    file_write("has_memory", "0");
    nothing_is_far(automatic, "no node has memory and no processors");
    cr_assert(!omi_tier_has_far(tier));
    cr_assert(!omi_tier_has_far(NULL));
}

Test(tier, a_node_with_processors_is_far_when_it_is_asked_for)
{
    file_write("has_cpu", "0-1");
    struct omi_tier_stats s = tier_open((struct omi_tier_settings){.mode = OMI_FAR_AUTO});
    cr_assert_eq(s.mode, OMI_FAR_NONE);
    s = tier_open((struct omi_tier_settings){.mode = OMI_FAR_NODE, .node = 1});
    cr_assert_eq(s.mode, OMI_FAR_NODE);
    struct omi_extent *e = make(OMI_EXTENT_FAR, 100);
    cr_assert_eq(omi_extent_class(e), OMI_EXTENT_FAR);
    omi_extent_destroy(e);
}

Test(tier, heap_places_and_counts_as_a_node_does)
{
    struct omi_tier_verified v;
    struct omi_tier_stats s =
        tier_open((struct omi_tier_settings){.mode = OMI_FAR_HEAP, .far_bytes = 3 * MIB});
    cr_assert_eq(s.mode, OMI_FAR_HEAP);
    cr_assert_eq(s.node, -1);
    struct omi_extent *e[5];
    for (int i = 0; i < 5; i++)
        e[i] = make(OMI_EXTENT_FAR, MIB - 4096);
    cr_assert_eq(stats.got[OMI_EXTENT_MODEL][OMI_EXTENT_FAR], 3 * (MIB - 4096));
    cr_assert_eq(stats.got[OMI_EXTENT_MODEL][OMI_EXTENT_NEAR], 2 * (MIB - 4096));
    cr_assert_str_eq(look().why, "far_bytes is reached");
    omi_tier_verify(tier, UINT64_MAX, &v);
    cr_assert_eq(v.asked, 3 * (MIB / 4096 - 1));
    cr_assert_eq(v.on_node, v.asked);
    for (int i = 0; i < 5; i++)
        omi_extent_destroy(e[i]);
}

/* ---- delay ----------------------------------------------------------------------------------- */

Test(tier, delay_is_paid_for_far_extents_alone_and_counted_by_lines)
{
    struct omi_tier_stats s =
        tier_open((struct omi_tier_settings){.mode = OMI_FAR_DELAY, .delay_ns = 20000});
    cr_assert_eq(s.delay_ns, 20000);
    cr_assert_geq(s.delay_achieved_ns, 19000);
    struct omi_extent *far = make(OMI_EXTENT_FAR, 100000), *near = make(OMI_EXTENT_NEAR, 100000);
    const uint8_t *f = omi_extent_bytes(far), *n = omi_extent_bytes(near);
    omi_far_touch(near, n, 64);
    omi_far_prefetch(near, n, 640);
    cr_assert_eq(look().far_lines, 0);
    omi_far_touch(far, f, 64);
    s = look();
    cr_assert_eq(s.far_lines, 1);
    cr_assert_geq(s.far_wait_ns, 20000);
    omi_far_touch(far, f + 63, 2); /* the same and the next */
    s = look();
    cr_assert_eq(s.far_lines, 2);
    cr_assert_eq(s.far_hits, 1);
    omi_far_touch(far, f, 0);
    for (int i = 0; i < 5; i++)
        omi_far_prefetch(far, f + 4096 + i * 64, 64);
    s = look();
    cr_assert_eq(s.far_lines, 7);
    cr_assert_eq(s.far_prefetches, 5);
    cr_assert_lt(s.far_wait_ns, UINT64_C(20000) * 3, "prefetching waits for nothing");
    cr_assert_eq(omi_extent_class(far), OMI_EXTENT_FAR);
    omi_extent_destroy(far);
    omi_extent_destroy(near);
    s = tier_open((struct omi_tier_settings){.mode = OMI_FAR_DELAY, .delay_ns = UINT32_MAX});
    cr_assert_eq(s.delay_ns, 100000, "more is not waited");
}

Test(tier, a_delay_of_nothing_keeps_the_book_and_waits_for_nothing)
{
    tier_open(
        (struct omi_tier_settings){.mode = OMI_FAR_DELAY, .delay_bandwidth = UINT64_C(1) << 50});
    struct omi_extent *far = make(OMI_EXTENT_FAR, 100000);
    for (int i = 0; i < 1000; i++)
        omi_far_touch(far, omi_extent_bytes(far) + i * 64, 64);
    cr_assert_eq(look().far_lines, 1000);
    cr_assert_eq(look().far_wait_ns, 0);
    cr_assert(look().delay_sound);
    omi_extent_destroy(far);
}

/* ---- the guard ------------------------------------------------------------------------------- */

static sigjmp_buf jump;
static volatile sig_atomic_t told;

static void host(int signum)
{
    told = signum;
    siglongjmp(jump, 1);
}

static void host_info(int signum, siginfo_t *info, void *context)
{
    (void)context;
    told = info->si_addr != NULL ? signum : -1;
    siglongjmp(jump, 1);
}

/* Reads past the end of an empty file: SIGBUS that is not the guard's. */
static void run_into_sigbus(void)
{
    FILE *f = tmpfile();
    cr_assert_not_null(f);
    volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(f), 0);
    cr_assert_neq((void *)(uintptr_t)p, MAP_FAILED);
    told = 0;
    if (sigsetjmp(jump, 1) == 0)
        (void)*p;
    munmap((void *)(uintptr_t)p, 4096);
    fclose(f);
}

Test(tier, the_guard_leaves_other_signals_to_the_programs_handler)
{
    struct sigaction plain = {.sa_handler = host}, now;
    struct sigaction info = {.sa_sigaction = host_info, .sa_flags = SA_SIGINFO};
    struct omi_tier_settings s = {.mode = OMI_FAR_HEAP, .guard = true};
    cr_assert_eq(sigaction(SIGBUS, &plain, NULL), 0);
    cr_assert(tier_open(s).guarded);
    cr_assert_eq(sigaction(SIGBUS, NULL, &now), 0);
    cr_assert_neq((void *)(uintptr_t)now.sa_handler, (void *)(uintptr_t)host);
    run_into_sigbus();
    cr_assert_eq(told, SIGBUS);
    omi_tier_close(tier);
    tier = NULL;
    cr_assert_eq(sigaction(SIGBUS, NULL, &now), 0);
    cr_assert_eq((void *)(uintptr_t)now.sa_handler, (void *)(uintptr_t)host, "it is back");
    cr_assert_eq(sigaction(SIGBUS, &info, NULL), 0);
    tier_open(s);
    run_into_sigbus();
    cr_assert_eq(told, SIGBUS, "with its information");
}

Test(tier, a_handler_that_came_after_the_guard_keeps_it_below)
{
    struct sigaction later = {.sa_handler = host}, now;
    cr_assert(omi_tier_guard_install());
    cr_assert(omi_tier_guard_install());
    cr_assert_eq(sigaction(SIGBUS, &later, NULL), 0);
    omi_tier_guard_remove();
    omi_tier_guard_remove();
    cr_assert_eq(sigaction(SIGBUS, NULL, &now), 0);
    cr_assert_eq((void *)(uintptr_t)now.sa_handler, (void *)(uintptr_t)host);
    cr_assert(omi_tier_guard_install()); /* does not chain to itself now */
    run_into_sigbus();
    cr_assert_eq(told, SIGBUS);
    omi_tier_guard_remove();
}

Test(tier, a_signal_that_nobody_handles_ends_the_process, .signal = SIGBUS)
{
    cr_assert_neq((void *)(uintptr_t)signal(SIGBUS, SIG_DFL), (void *)(uintptr_t)SIG_ERR);
    tier_open((struct omi_tier_settings){.mode = OMI_FAR_HEAP, .guard = true});
    FILE *f = tmpfile();
    cr_assert_not_null(f);
    volatile char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fileno(f), 0);
    (void)*p;
    _exit(0);
}

Test(tier, a_signal_that_somebody_sent_and_nobody_minds_is_nothing)
{
    cr_assert_neq((void *)(uintptr_t)signal(SIGBUS, SIG_IGN), (void *)(uintptr_t)SIG_ERR);
    tier_open((struct omi_tier_settings){.mode = OMI_FAR_HEAP, .guard = true});
    cr_assert_eq(raise(SIGBUS), 0);
}

Test(tier, without_far_memory_there_is_nothing_to_guard)
{
    struct omi_tier_settings s = {.mode = OMI_FAR_NONE, .guard = true};
    cr_assert(!tier_open(s).guarded);
}

Test(tier, a_damaged_extent_is_counted_and_made_anew)
{
    tier_open((struct omi_tier_settings){.mode = OMI_FAR_HEAP, .guard = true});
    struct omi_extent *e = make(OMI_EXTENT_FAR, 3 * 4096);
    cr_assert(!omi_extent_damaged(e));
    cr_assert(omi_guard_repair(omi_extent_bytes(e) + 4096, 1));
    cr_assert(omi_extent_damaged(e));
    cr_assert_eq(omi_extent_bytes(e)[4096 + 17], 0xff);
    cr_assert_eq(look().damaged_extents, 1);
    cr_assert_eq(look().lost_bytes, 4096);
    struct omi_extent *anew = make(OMI_EXTENT_FAR, 3 * 4096);
    cr_assert(!omi_extent_damaged(anew));
    omi_extent_destroy(e);
    omi_extent_destroy(anew);
}

/* The kernel's own signal for a lost page needs root and a kernel that handles memory failures (tests/guest
 * has both): here the page is one past a file's end, and the program's handler tells the guard. */
static void lost(int signum, siginfo_t *info, void *context)
{
    (void)signum, (void)context;
    if (!omi_guard_repair(info->si_addr, 1))
        _exit(99);
}

Test(tier, a_loss_that_a_move_runs_into_moves_nothing)
{
    struct sigaction host_lost = {.sa_sigaction = lost, .sa_flags = SA_SIGINFO};
    struct omi_grace *grace = aligned_alloc(64, (sizeof(*grace) + 63) / 64 * 64);
    FILE *f = tmpfile();
    cr_assert(grace != NULL && f != NULL);
    omi_grace_init(grace);
    cr_assert_eq(sigaction(SIGBUS, &host_lost, NULL), 0);
    tier_open(
        (struct omi_tier_settings){.mode = OMI_FAR_HEAP, .near_model_bytes = MIB, .guard = true});
    struct omi_extent *e = make(OMI_EXTENT_FAR, 5 * 4096);
    uint64_t charge = omi_extent_charge(5 * 4096);
    uint8_t *bytes = omi_extent_bytes(e);
    cr_assert_neq(
        mmap(bytes + 3 * 4096, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fileno(f), 0),
        MAP_FAILED);
    cr_assert_eq(omi_extent_move(e, OMI_EXTENT_NEAR, UINT64_MAX, grace), OMEN_ABORTED);
    cr_assert(omi_extent_damaged(e));
    cr_assert_eq(omi_extent_class(e), OMI_EXTENT_FAR);
    cr_assert_eq(omi_extent_bytes(e), bytes);
    cr_assert_eq(bytes[3 * 4096 + 5], 0xff);
    cr_assert_eq(stats.promoted_bytes, 0);
    cr_assert_eq(stats.bytes[OMI_EXTENT_MODEL], charge);
    cr_assert_eq(stats.moves[OMI_EXTENT_NEAR], 0);
    omi_extent_destroy(e);
    cr_assert_eq(stats.taken[OMI_EXTENT_MODEL][OMI_EXTENT_NEAR], 0);
    omi_grace_fini(grace);
    free(grace);
    fclose(f);
}

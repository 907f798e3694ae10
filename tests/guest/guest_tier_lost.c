/*
 * guest_tier_lost.c - pages of far memory that go bad (MADV_HWPOISON: the kernel takes the page away as it
 * does after an uncorrectable memory error, and SIGBUS comes at the next access).
 */
#include "tests/guest/guest_tier.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef MADV_HWPOISON
#define MADV_HWPOISON 100
#endif

enum { PAGE = 4096 };
static const struct omi_tier_settings guarded = {
    .mode = OMI_FAR_AUTO, .near_model_bytes = 64 << 20, .guard = true};

static void poison(struct omi_extent *e, size_t page)
{
    REQUIRE(madvise(omi_extent_bytes(e) + page * PAGE, PAGE, MADV_HWPOISON) == 0,
            "MADV_HWPOISON: %s", strerror(errno));
}

/* The owner's part: a new extent, filled anew, takes the damaged one's place. */
static void reload(struct rig *r, size_t index)
{
    struct omi_extent *old = r->extents[index], *new = NULL;
    size_t size = omi_extent_size(old);
    REQUIRE(omi_extent_create_in(&r->stats, (enum omi_extent_kind)old->kind, OMI_EXTENT_FAR, size,
                                 UINT64_MAX, &new) == OMEN_OK,
            "%s", omen_last_error());
    for (size_t i = 0; i < size; i++)
        omi_extent_bytes(new)[i] = (uint8_t)(index * 7 + i / 64 + 1);
    r->extents[index] = new;
    omi_extent_retire(old, r->grace);
}

static void lose_and_reload(struct rig *r, size_t index, size_t page)
{
    struct omi_extent *e = r->extents[index];
    struct timespec start, end;
    poison(e, page);
    REQUIRE(!omi_extent_damaged(e), "damaged before anybody looked");
    clock_gettime(CLOCK_MONOTONIC, &start);
    const volatile uint8_t *bytes = omi_extent_bytes(e);
    for (size_t i = 0; i < PAGE; i++)
        REQUIRE(bytes[page * PAGE + i] == 0xff, "the lost page reads %d", bytes[page * PAGE + i]);
    REQUIRE(omi_extent_damaged(e), "a page is lost, and the extent is not marked");
    REQUIRE(bytes[(page - 1) * PAGE] == (uint8_t)(index * 7 + (page - 1) * PAGE / 64 + 1) &&
                bytes[(page + 1) * PAGE] == (uint8_t)(index * 7 + (page + 1) * PAGE / 64 + 1),
            "the pages beside it changed");
    REQUIRE(omi_extent_move(e, OMI_EXTENT_NEAR, UINT64_MAX, r->grace) == OMEN_ABORTED,
            "a damaged extent was moved");
    reload(r, index);
    clock_gettime(CLOCK_MONOTONIC, &end);
    REQUIRE(!omi_extent_damaged(r->extents[index]), "the new one is damaged");
    double took = (double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9;
    printf("    %s: lost, found out, reloaded in %.0f us\n",
           r->extents[index]->kind == OMI_EXTENT_FILTER ? "filter" : "model", took * 1e6);
    REQUIRE(took < 1 || slow != 1, "took longer than a second");
}

void case_lost_filter_and_model(void)
{
    struct omi_tier_stats s;
    struct rig r;
    rig_open(&r, &guarded);
    rig_fill(&r, OMI_EXTENT_FILTER, 4 * MIB / slow, 64 << 10);
    size_t filters = r.count;
    rig_fill(&r, OMI_EXTENT_MODEL, 4 * MIB / slow, 64 << 10);
    tier_look(&r, &s);
    REQUIRE(s.guarded, "there is no guard");
    lose_and_reload(&r, 5, 3);
    lose_and_reload(&r, filters + 2, 7);
    tier_look(&r, &s);
    REQUIRE(s.damaged_extents == 2 && s.lost_bytes == 2 * PAGE,
            "%" PRIu64 " damaged, %" PRIu64 " lost", s.damaged_extents, s.lost_bytes);
    rig_check_all(&r);
    /* A loss that a move runs into: nothing has moved. */
    poison(r.extents[1], 2);
    REQUIRE(omi_extent_move(r.extents[1], OMI_EXTENT_NEAR, UINT64_MAX, r.grace) == OMEN_ABORTED,
            "what was lost was moved");
    REQUIRE(omi_extent_damaged(r.extents[1]) && omi_extent_class(r.extents[1]) == OMI_EXTENT_FAR &&
                r.stats.promoted_bytes == 0,
            "the loss went unseen");
    reload(&r, 1);
    /* Pages that were replaced lie near: no extent gets them again. */
    rig_fill(&r, OMI_EXTENT_FILTER, 8 * MIB / slow, 64 << 10);
    for (size_t i = 0; i < r.count; i++)
        REQUIRE(omi_extent_class(r.extents[i]) == OMI_EXTENT_FAR &&
                    share_on(omi_extent_bytes(r.extents[i]), 64 << 10, FAR_NODE) > 99.9,
                "extent %zu has a page that is not far", i);
    /* A page that goes bad while nobody has it is found when it is taken up. */
    uint8_t *bytes = omi_extent_bytes(r.extents[r.count - 1]);
    omi_extent_destroy(r.extents[--r.count]);
    REQUIRE(madvise(bytes + PAGE, PAGE, MADV_HWPOISON) == 0, "MADV_HWPOISON: %s", strerror(errno));
    rig_fill(&r, OMI_EXTENT_FILTER, 2 * MIB / slow, 64 << 10);
    for (size_t i = 0; i < r.count; i++)
        REQUIRE(!omi_extent_damaged(r.extents[i]), "extent %zu was born damaged", i);
    tier_look(&r, &s);
    REQUIRE(s.lost_bytes == 4 * PAGE, "the fourth lost page is not counted");
    rig_check_all(&r);
    rig_close(&r);
}

/* ---- readers --------------------------------------------------------------------------------- */

enum { READERS = 3 };
static struct rig *shared;
static _Atomic(struct omi_extent *) current;
static _Atomic bool stop;
static _Atomic uint64_t believed, doubted;

/* Sums the extent's bytes, and believes the sum if the extent is not damaged then. */
static void *reader(void *arg)
{
    unsigned stripe = (unsigned)(uintptr_t)arg;
    while (!atomic_load(&stop)) {
        uint32_t phase = omi_grace_enter(shared->grace, stripe);
        struct omi_extent *e = atomic_load(&current);
        const uint8_t *bytes = omi_extent_bytes(e);
        uint64_t sum = 0;
        for (size_t i = 0; i < omi_extent_size(e); i += 64)
            sum += bytes[i];
        bool damaged = omi_extent_damaged(e);
        omi_grace_leave(shared->grace, stripe, phase);
        REQUIRE(damaged || sum == 1024, "a reader believes %" PRIu64, sum);
        atomic_fetch_add(damaged ? &doubted : &believed, 1);
    }
    return NULL;
}

static struct omi_extent *ones(struct rig *r)
{
    struct omi_extent *e = NULL;
    REQUIRE(omi_extent_create_in(&r->stats, OMI_EXTENT_FILTER, OMI_EXTENT_FAR, 64 << 10, UINT64_MAX,
                                 &e) == OMEN_OK,
            "%s", omen_last_error());
    memset(omi_extent_bytes(e), 1, 64 << 10);
    return e;
}

void case_lost_under_readers(void)
{
    struct rig r;
    pthread_t thread[READERS];
    rig_open(&r, &guarded);
    shared = &r;
    atomic_store(&current, ones(&r));
    for (uintptr_t i = 0; i < READERS; i++)
        REQUIRE(pthread_create(&thread[i], NULL, reader, (void *)i) == 0, "a thread");
    for (int turn = 0; turn < 40; turn++) {
        struct omi_extent *e = atomic_load(&current);
        poison(e, (size_t)turn % 16);
        for (int i = 0; i < 1000 && !omi_extent_damaged(e); i++)
            usleep(1000);
        REQUIRE(omi_extent_damaged(e), "no reader ran into the lost page");
        usleep(2000);
        atomic_store(&current, ones(&r));
        omi_extent_retire(e, r.grace);
        uint64_t seen = atomic_load(&believed);
        for (int i = 0; i < 1000 && atomic_load(&believed) == seen; i++)
            usleep(1000);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(thread[i], NULL);
    printf("    40 pages lost under %d readers: %" PRIu64 " sums believed, all right; %" PRIu64
           " doubted\n",
           READERS, (uint64_t)believed, (uint64_t)doubted);
    REQUIRE(atomic_load(&doubted) > 0, "no reader saw damage");
    omi_extent_destroy(atomic_load(&current));
    rig_close(&r);
}

/* ---- not ours -------------------------------------------------------------------------------- */

void case_lost_without_guard(void)
{
    static const struct omi_tier_settings plain = {.mode = OMI_FAR_AUTO};
    struct rig r;
    rig_open(&r, &plain);
    rig_fill(&r, OMI_EXTENT_FILTER, 64 << 10, 64 << 10);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        rig_fill(&r, OMI_EXTENT_FILTER, 64 << 10, 64 << 10); /* a page of this process */
        poison(r.extents[1], 2);
        rig_check_all(&r);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    REQUIRE(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS,
            "without the guard the process goes on, status %x", (unsigned)status);
    rig_close(&r);
}

static sigjmp_buf host_jump;
static void host_handler(int signum)
{
    siglongjmp(host_jump, signum);
}

/* An access past the end of a mapped file, with the program's own handler from before the guard. */
void case_other_sigbus(void)
{
    struct rig r;
    struct sigaction host = {.sa_handler = host_handler}, now;
    FILE *f = tmpfile();
    REQUIRE(f != NULL, "tmpfile: %s", strerror(errno));
    sigaction(SIGBUS, &host, NULL);
    rig_open(&r, &guarded);
    volatile char *file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fileno(f), 0);
    REQUIRE(file != MAP_FAILED, "mmap");
    int caught = sigsetjmp(host_jump, 1);
    if (caught == 0) {
        (void)file[0];
        fail("nothing happened");
    }
    REQUIRE(caught == SIGBUS, "signal %d", caught);
    rig_close(&r);
    sigaction(SIGBUS, NULL, &now);
    REQUIRE(now.sa_handler == host_handler, "the program's handler is not back");
}

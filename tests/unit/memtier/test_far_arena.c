#include "memtier/far_arena.h"

#include "fake_place.h"
#include "memtier/far_guard.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

static struct fake_place machine;
static struct omi_place_calls calls;
static struct omi_far_arena *arena;
static _Atomic uint8_t damaged[8];

enum { MIB = 1 << 20 };

static void arena_make(void)
{
    machine = (struct fake_place){.node_bytes = UINT64_C(1) << 40};
    calls = fake_calls(&machine);
    cr_assert_eq(omi_far_arena_create(&calls, FAKE_NODE, 64 * MIB, true, &arena), OMEN_OK);
}

static void arena_end(void)
{
    omi_far_arena_destroy(arena);
    cr_assert_eq(machine.maps, machine.unmaps, "memory is left mapped");
}

TestSuite(far_arena, .init = arena_make, .fini = arena_end, .timeout = 30);

static struct omi_far_arena_stats look(void)
{
    struct omi_far_arena_stats s;
    omi_far_arena_get_stats(arena, &s);
    return s;
}

static void *take(size_t size)
{
    return omi_far_arena_take(arena, size, &damaged[0]);
}

Test(far_arena, gives_zeroed_memory_at_a_pages_alignment_in_whole_units)
{
    static const size_t sizes[] = {0, 1, 63, 4096, 4097, 100000, 3 * MIB};
    void *got[7];
    uint64_t used = 0;
    for (int again = 0; again < 2; again++) {
        for (int i = 0; i < 7; i++) {
            got[i] = take(sizes[i]);
            cr_assert_not_null(got[i]);
            cr_assert_eq((uintptr_t)got[i] % 4096, 0);
            for (size_t b = 0; b < sizes[i]; b++)
                cr_assert_eq(((unsigned char *)got[i])[b], 0);
            memset(got[i], 0xee, sizes[i]);
            used += omi_far_arena_charge(arena, sizes[i]);
            cr_assert_geq(omi_far_arena_charge(arena, sizes[i]), sizes[i] + (sizes[i] == 0));
            cr_assert_eq(look().used_bytes, used);
        }
        for (int i = 0; i < 7; i++) {
            omi_far_arena_give(arena, got[i], sizes[i]);
            used -= omi_far_arena_charge(arena, sizes[i]);
            cr_assert_eq(look().used_bytes, used);
        }
    }
    omi_far_arena_give(arena, NULL, 5);
    cr_assert_leq(look().chunks, 1, "all but one empty chunk went back");
}

Test(far_arena, grows_from_small_chunks_and_keeps_its_limit)
{
    void *p[64];
    int count = 0;
    cr_assert_not_null(p[count++] = take(100));
    cr_assert_eq(look().mapped_bytes, 2 * MIB, "a small database takes little");
    while (count < 63 && (p[count] = take(MIB + 5000)) != NULL) {
        count++;
        cr_assert_leq(machine.mapped_bytes, 64 * MIB);
    }
    struct omi_far_arena_stats s = look();
    cr_assert_eq(s.mapped_bytes, machine.mapped_bytes);
    cr_assert_gt(s.used_bytes, 56 * MIB, "nearly all of the limit can be used");
    cr_assert_str_eq(s.why, "far_bytes is reached");
    cr_assert_gt(s.refused, 0);
    cr_assert_null(take(MIB + 5000));
    cr_assert_not_null(p[63] = take(100), "a small one finds a gap");
    omi_far_arena_give(arena, p[63], 100);
    omi_far_arena_limit(arena, 96 * MIB);
    cr_assert_not_null(p[count] = take(MIB + 5000), "the limit went up");
    count++;
    omi_far_arena_limit(arena, 1 * MIB);
    omi_far_arena_give(arena, p[0], 100);
    while (count > 1)
        omi_far_arena_give(arena, p[--count], MIB + 5000);
    cr_assert_eq(look().mapped_bytes, 0, "above the limit no empty chunk is kept");
}

Test(far_arena, what_is_larger_than_a_chunk_gets_its_own_and_goes_back_whole)
{
    void *large = take(30 * MIB);
    cr_assert_not_null(large);
    memset(large, 1, 30 * MIB);
    cr_assert_null(take(40 * MIB));
    cr_assert_null(take(SIZE_MAX));
    cr_assert_null(take(SIZE_MAX - 4095));
    omi_far_arena_give(arena, large, 30 * MIB);
    cr_assert_eq(look().mapped_bytes, 0);
    cr_assert_eq(machine.mapped_bytes, 0);
}

Test(far_arena, a_full_node_is_left_alone_until_something_is_freed)
{
    machine.node_bytes = 5 * MIB;
    void *a = take(MIB), *b = take(MIB);
    cr_assert(a != NULL && b != NULL);
    void *c = take(2 * MIB);
    cr_assert_not_null(c, "a chunk of 2 MiB still finds its place");
    uint64_t maps = machine.maps;
    cr_assert_null(take(2 * MIB));
    cr_assert_gt(machine.maps, maps, "it tried");
    cr_assert_str_eq(look().why, "the far node is full");
    maps = machine.maps;
    for (int i = 0; i < 20; i++)
        cr_assert_null(take(2 * MIB));
    cr_assert_eq(machine.maps, maps, "and does not try each time");
    cr_assert_eq(machine.mapped_bytes, look().mapped_bytes, "what was refused went back");
    machine.node_bytes = 50 * MIB; /* somebody else made room */
    void *d = NULL;
    int asked = 0;
    while (d == NULL && asked++ < 1000)
        d = take(2 * MIB);
    cr_assert_not_null(d, "it tries again after a while");
    machine.node_bytes = 0;
    cr_assert_null(take(8 * MIB));
    maps = machine.maps;
    omi_far_arena_give(arena, c, 2 * MIB);
    cr_assert_null(take(8 * MIB));
    cr_assert_gt(machine.maps, maps, "it tries again when something was freed");
    omi_far_arena_give(arena, a, MIB);
    omi_far_arena_give(arena, b, MIB);
    omi_far_arena_give(arena, d, 2 * MIB);
}

Test(far_arena, one_page_in_a_hundred_may_lie_elsewhere_and_no_more)
{
    machine.node_bytes = 2 * MIB - 5 * 4096; /* 507 of 512 pages: 99.02 % */
    void *p = take(100);
    cr_assert_not_null(p);
    omi_far_arena_give(arena, p, 100);
    omi_far_arena_limit(arena, 0);
    cr_assert_null(take(3 * MIB));
    omi_far_arena_limit(arena, 64 * MIB);
    omi_far_arena_destroy(arena);
    machine.node_bytes = 2 * MIB - 6 * 4096; /* 506: 98.8 % */
    cr_assert_eq(omi_far_arena_create(&calls, FAKE_NODE, 64 * MIB, false, &arena), OMEN_OK);
    cr_assert_null(take(100));
    cr_assert_str_eq(look().why, "the far node is full");
}

Test(far_arena, each_call_that_fails_is_told_once_and_costs_nothing_after)
{
    static const struct {
        size_t off;
        int err;
        const char *why;
        bool for_good;
    } fails[] = {
        {offsetof(struct fake_place, map_err), ENOMEM, "no address space: Cannot allocate memory",
         false},
        {offsetof(struct fake_place, prefer_err), EPERM,
         "the system does not place memory: Operation not permitted", true},
        {offsetof(struct fake_place, prefer_err), ENOSYS,
         "the system does not place memory: Function not implemented", true},
        {offsetof(struct fake_place, prefer_err), ENOMEM,
         "the system does not place memory: Cannot allocate memory", false},
        {offsetof(struct fake_place, populate_err), ENOMEM,
         "the memory cannot be taken up: Cannot allocate memory", false},
        {offsetof(struct fake_place, where_err), EPERM,
         "the system does not say where memory lies: Operation not permitted", true},
    };
    for (size_t i = 0; i < sizeof(fails) / sizeof(fails[0]); i++) {
        int *err = (int *)(void *)((char *)&machine + fails[i].off);
        *err = fails[i].err;
        cr_assert_null(take(100));
        cr_assert_str_eq(look().why, fails[i].why);
        uint64_t maps = machine.maps;
        cr_assert_null(take(100));
        cr_assert_eq(machine.maps, maps);
        cr_assert_eq(machine.mapped_bytes, 0);
        *err = 0;
        omi_far_arena_limit(arena, 64 * MIB); /* worth another try */
        void *p = take(100);
        cr_assert_eq(p == NULL, fails[i].for_good, "case %zu", i);
        omi_far_arena_destroy(arena == NULL ? NULL : (omi_far_arena_give(arena, p, 100), arena));
        cr_assert_eq(omi_far_arena_create(&calls, FAKE_NODE, 64 * MIB, true, &arena), OMEN_OK);
    }
}

Test(far_arena, verify_asks_about_pages_in_use_as_many_as_it_is_told)
{
    uint64_t on, asked;
    omi_far_arena_verify(arena, 100, &on, &asked);
    cr_assert_eq(asked, 0);
    void *p = take(3 * MIB), *q = take(5 * MIB);
    omi_far_arena_verify(arena, UINT64_MAX, &on, &asked);
    cr_assert_eq(asked, 8 * MIB / 4096);
    cr_assert_eq(on, asked);
    omi_far_arena_verify(arena, 100, &on, &asked);
    cr_assert(asked >= 100 && asked <= 120, "%lu", (unsigned long)asked);
    cr_assert_eq(on, asked);
    int i = fake_find(&machine, q);
    machine.chunk[i].on_node = 0; /* the system has moved all of it away */
    omi_far_arena_verify(arena, UINT64_MAX, &on, &asked);
    cr_assert_lt(on, asked);
    cr_assert_leq(on, 3 * MIB / 4096);
    machine.where_err = EPERM;
    omi_far_arena_verify(arena, UINT64_MAX, &on, &asked);
    cr_assert_eq(asked, 0);
    machine.where_err = 0;
    omi_far_arena_give(arena, p, 3 * MIB);
    omi_far_arena_give(arena, q, 5 * MIB);
}

/* ---- lost pages ------------------------------------------------------------------------------ */

Test(far_arena, a_lost_page_marks_its_extent_alone_and_stays_out_of_use)
{
    unsigned char *a = omi_far_arena_take(arena, 10000, &damaged[0]);
    unsigned char *b = omi_far_arena_take(arena, 10000, &damaged[1]);
    cr_assert(a != NULL && b != NULL);
    memset(a, 1, 10000);
    memset(b, 2, 10000);
    cr_assert(omi_guard_repair(b + 5000, 1));
    cr_assert_eq(damaged[0], 0);
    cr_assert_eq(damaged[1], 1);
    for (int i = 0; i < 10000; i++) {
        cr_assert_eq(a[i], 1);
        cr_assert_eq(b[i], i / 4096 == 1 ? 0xff : 2);
    }
    cr_assert_eq(look().damaged, 1);
    cr_assert_eq(look().lost_bytes, 4096);
    cr_assert(omi_guard_repair(b + 5000, 1), "a second thread ran into it as well");
    cr_assert_eq(look().lost_bytes, 4096);
    omi_far_arena_give(arena, b, 10000);
    for (int i = 0; i < 600; i++) { /* more than a chunk holds */
        unsigned char *c = take(4096);
        cr_assert_not_null(c);
        cr_assert_neq(c, b + 4096, "the lost page is somebody's again");
    }
    cr_assert(!omi_guard_repair(&machine, 1), "that is nobody's");
    cr_assert(!omi_guard_repair(NULL, 1));
    cr_assert(!omi_guard_repair(a - 1, 1) || a[0] == 1);
}

Test(far_arena, a_loss_of_many_pages_marks_all_whose_they_are)
{
    unsigned char *p[6];
    for (int i = 0; i < 6; i++) {
        atomic_store(&damaged[i], 0);
        p[i] = omi_far_arena_take(arena, 4096, &damaged[i]);
        cr_assert_not_null(p[i]);
        memset(p[i], i, 4096);
        cr_assert_eq(p[i], p[0] + i * 4096);
    }
    cr_assert_eq((uintptr_t)p[0] % (2 * MIB), 0);
    cr_assert(omi_guard_repair(p[3] + 77, 8192)); /* pages 2 and 3 */
    for (int i = 0; i < 6; i++) {
        cr_assert_eq(damaged[i], i == 2 || i == 3);
        cr_assert_eq(p[i][4095], i == 2 || i == 3 ? 0xff : i);
    }
    cr_assert(omi_guard_repair(p[0], UINT64_C(1) << 30), "cut at the chunk's ends");
    cr_assert_eq(look().lost_bytes, 2 * MIB);
    cr_assert_eq(look().damaged, 6);
}

Test(far_arena, an_arena_without_guard_is_not_in_its_table)
{
    struct omi_far_arena *plain;
    cr_assert_eq(omi_far_arena_create(&calls, FAKE_NODE, 64 * MIB, false, &plain), OMEN_OK);
    unsigned char *p = omi_far_arena_take(plain, 100, &damaged[0]);
    cr_assert_not_null(p);
    cr_assert(!omi_guard_repair(p, 1));
    omi_far_arena_destroy(plain);
    p = take(100);
    cr_assert(omi_guard_repair(p, 1));
    omi_far_arena_destroy(arena);
    cr_assert(!omi_guard_repair(p, 1), "its chunk is gone");
    cr_assert_eq(omi_far_arena_create(&calls, FAKE_NODE, 64 * MIB, true, &arena), OMEN_OK);
}

/* ---- anything, in any order ------------------------------------------------------------------ */

static uint64_t random_state;
static uint32_t chance(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % below);
}

struct held {
    unsigned char *bytes;
    size_t size;
    unsigned char mark;
};

static bool whole(const struct held *h)
{
    for (size_t i = 0; i < h->size; i++)
        if (h->bytes[i] != h->mark)
            return false;
    return true;
}

Test(far_arena, takes_and_gives_in_any_order_never_overlap)
{
    enum { HELD = 200, STEPS = 20000 };
    static struct held held[HELD];
    uint64_t used = 0, seed = (uint64_t)time(NULL);
    random_state = seed;
    for (int step = 0; step < STEPS; step++) {
        struct held *h = &held[chance(HELD)];
        if (chance(50) == 0)
            machine.node_bytes = chance(2) != 0 ? UINT64_C(1) << 40 : machine.on_node_bytes;
        if (chance(200) == 0)
            omi_far_arena_limit(arena, (8 + chance(56)) * (uint64_t)MIB);
        if (h->bytes != NULL) {
            cr_assert(whole(h), "seed %lu, step %d", (unsigned long)seed, step);
            omi_far_arena_give(arena, h->bytes, h->size);
            used -= omi_far_arena_charge(arena, h->size);
            h->bytes = NULL;
        } else {
            h->size = chance(20) == 0 ? chance(3 * MIB) : chance(40000);
            h->mark = (unsigned char)step;
            h->bytes = take(h->size);
            if (h->bytes == NULL)
                continue;
            for (size_t i = 0; i < h->size; i++)
                cr_assert_eq(h->bytes[i], 0, "seed %lu, step %d", (unsigned long)seed, step);
            memset(h->bytes, h->mark, h->size);
            used += omi_far_arena_charge(arena, h->size);
        }
        cr_assert_eq(look().used_bytes, used, "seed %lu, step %d", (unsigned long)seed, step);
        cr_assert_eq(look().mapped_bytes, machine.mapped_bytes);
        cr_assert_geq(machine.mapped_bytes, used);
    }
    for (int i = 0; i < HELD; i++) {
        if (held[i].bytes == NULL)
            continue;
        cr_assert(whole(&held[i]), "seed %lu", (unsigned long)seed);
        omi_far_arena_give(arena, held[i].bytes, held[i].size);
    }
    cr_assert_eq(look().used_bytes, 0);
    cr_assert_leq(look().chunks, 1);
}

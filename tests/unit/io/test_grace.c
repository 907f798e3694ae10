#include "io/base/grace.h"

#include <criterion/criterion.h>
#include <stdlib.h>

TestSuite(grace, .timeout = 30);

struct thing {
    struct omi_grace_item item;
    int *freed;
};

static void thing_free(struct omi_grace_item *item)
{
    struct thing *t = (struct thing *)(void *)item;
    ++*t->freed;
    free(t);
}

static struct omi_grace *grace_make(void)
{
    struct omi_grace *g = aligned_alloc(64, (sizeof(*g) + 63) / 64 * 64);
    cr_assert_not_null(g);
    omi_grace_init(g);
    return g;
}

static void retire_one(struct omi_grace *g, int *freed)
{
    struct thing *t = malloc(sizeof(*t));
    cr_assert_not_null(t);
    t->freed = freed;
    t->item.free = thing_free;
    omi_grace_retire(g, &t->item);
}

Test(grace, without_readers_memory_goes_at_once)
{
    struct omi_grace *g = grace_make();
    int freed = 0;
    for (int i = 1; i <= 10; i++) {
        retire_one(g, &freed);
        cr_assert_eq(freed, i);
    }
    omi_grace_poll(g);
    cr_assert_eq(freed, 10);
    omi_grace_fini(g);
    free(g);
}

Test(grace, a_reader_of_before_keeps_everything_retired_since)
{
    struct omi_grace *g = grace_make();
    int freed = 0;
    uint32_t phase = omi_grace_enter(g, 3);
    for (int i = 0; i < 10; i++) {
        retire_one(g, &freed);
        omi_grace_poll(g);
    }
    cr_assert_eq(freed, 0);
    omi_grace_leave(g, 3, phase);
    cr_assert_eq(freed, 0, "leaving frees nothing");
    omi_grace_poll(g);
    cr_assert_eq(freed, 10);
    omi_grace_fini(g);
    free(g);
}

Test(grace, readers_that_come_and_go_do_not_keep_memory_for_ever)
{
    struct omi_grace *g = grace_make();
    int freed = 0;
    uint32_t phase = omi_grace_enter(g, 0);
    retire_one(g, &freed);
    for (int i = 0; i < 4 && freed == 0; i++) { /* there is always one, never the same */
        uint32_t next = omi_grace_enter(g, 0);
        omi_grace_leave(g, 0, phase);
        phase = next;
        omi_grace_poll(g);
    }
    cr_assert_eq(freed, 1);
    omi_grace_leave(g, 0, phase);
    omi_grace_fini(g);
    free(g);
}

Test(grace, a_nested_reader_keeps_what_the_outer_one_may_see)
{
    struct omi_grace *g = grace_make();
    int freed = 0;
    uint32_t outer = omi_grace_enter(g, 1);
    retire_one(g, &freed); /* the phase switches under the outer reader */
    uint32_t inner = omi_grace_enter(g, 1);
    cr_assert_neq(inner, outer);
    retire_one(g, &freed);
    omi_grace_leave(g, 1, inner);
    omi_grace_poll(g);
    cr_assert_eq(freed, 0);
    omi_grace_leave(g, 1, outer);
    omi_grace_poll(g);
    cr_assert_eq(freed, 2);
    omi_grace_fini(g);
    free(g);
}

/* One that has read the phase, and counts itself in only after it was switched. */
Test(grace, a_reader_that_is_late_for_its_phase_is_waited_for)
{
    struct omi_grace *g = grace_make();
    int freed = 0;
    uint32_t stale = atomic_load(&g->phase) & 1;
    uint32_t other = omi_grace_enter(g, 2);
    retire_one(g, &freed);
    omi_grace_leave(g, 2, other);
    omi_grace_poll(g);
    cr_assert_eq(freed, 1);
    for (uint32_t shift = 0; shift < 2; shift++) { /* whichever phase is current */
        uint32_t phase = (stale + shift) & 1;
        atomic_fetch_add(&g->stripe[4].in[phase], 1);
        int before = freed;
        retire_one(g, &freed); /* what this reader may have seen */
        for (int i = 0; i < 5; i++)
            omi_grace_poll(g);
        cr_assert_eq(freed, before, "phase %u", phase);
        omi_grace_leave(g, 4, phase);
        omi_grace_poll(g);
        cr_assert_eq(freed, before + 1);
    }
    omi_grace_fini(g);
    free(g);
}

Test(grace, the_end_frees_what_is_queued)
{
    struct omi_grace *g = grace_make();
    int freed = 0;
    uint32_t phase = omi_grace_enter(g, 7);
    for (int i = 0; i < 3; i++)
        retire_one(g, &freed);
    omi_grace_leave(g, 7, phase);
    cr_assert_eq(freed, 0);
    omi_grace_fini(g);
    cr_assert_eq(freed, 3);
    free(g);
}

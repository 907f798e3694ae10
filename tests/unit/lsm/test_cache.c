#include "lsm/cache.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <string.h>

TestSuite(cache, .timeout = 30);

static struct omi_frame *put(struct omi_cache *c, uint64_t table, uint32_t index, size_t bytes)
{
    struct omi_frame *f = omi_frame_create(c, table, index, bytes);
    cr_assert(f != NULL);
    memset(f->body, (int)(table + index), bytes);
    return omi_cache_insert(c, f, true);
}

Test(cache, keeps_what_is_put_and_forgets_a_table)
{
    struct omi_cache *c;
    cr_assert_eq(omi_cache_create(8 << 20, &c), OMEN_OK);
    for (uint32_t i = 0; i < 500; i++)
        omi_frame_release(put(c, 1 + i % 2, i, 4000));
    for (uint32_t i = 0; i < 500; i++) {
        struct omi_frame *f = omi_cache_get(c, 1 + i % 2, i);
        cr_assert(f != NULL && f->body[0] == (uint8_t)(1 + i % 2 + i));
        omi_frame_release(f);
    }
    cr_assert_eq(omi_cache_pinned(c), 0);
    omi_cache_forget(c, 1, 500);
    for (uint32_t i = 0; i < 500; i++)
        cr_assert_eq(omi_cache_peek(c, 1 + i % 2, i), i % 2 == 1);
    omi_cache_destroy(c);
}

Test(cache, stays_within_its_capacity)
{
    struct omi_cache *c;
    cr_assert_eq(omi_cache_create(1 << 20, &c), OMEN_OK);
    for (uint32_t i = 0; i < 5000; i++) {
        omi_frame_release(put(c, 7, i, 1000 + i % 3000));
        cr_assert_leq(omi_cache_bytes(c), 1 << 20);
    }
    cr_assert_gt(omi_cache_bytes(c), 700 << 10);
    omi_cache_set_capacity(c, 256 << 10);
    cr_assert_leq(omi_cache_bytes(c), 256 << 10);
    omi_cache_destroy(c);
}

Test(cache, a_pinned_frame_outlives_its_eviction)
{
    struct omi_cache *c;
    cr_assert_eq(omi_cache_create(256 << 10, &c), OMEN_OK);
    struct omi_frame *f = put(c, 9, 9, 4000);
    cr_assert_eq(omi_cache_pinned(c), 1);
    omi_cache_forget(c, 9, 10);
    cr_assert_not(omi_cache_peek(c, 9, 9));
    cr_assert_eq(f->body[3999], 18);
    omi_frame_release(f);
    cr_assert_eq(omi_cache_bytes(c), 0);
    omi_cache_destroy(c);
}

Test(cache, the_first_of_two_equal_inserts_wins)
{
    struct omi_cache *c;
    cr_assert_eq(omi_cache_create(1 << 20, &c), OMEN_OK);
    struct omi_frame *first = put(c, 1, 1, 100), *second = put(c, 1, 1, 100);
    cr_assert_eq(first, second);
    omi_frame_release(first);
    omi_frame_release(second);
    struct omi_frame *through = omi_frame_create(c, 2, 2, 100);
    cr_assert_eq(omi_cache_insert(c, through, false), through);
    omi_frame_release(through);
    cr_assert_not(omi_cache_peek(c, 2, 2));
    omi_cache_destroy(c);
}

Test(cache, what_is_used_again_stays)
{
    struct omi_cache *c;
    cr_assert_eq(omi_cache_create(1 << 20, &c), OMEN_OK);
    omi_frame_release(put(c, 1, 0, 2000));
    for (uint32_t i = 0; i < 4000; i++) {
        omi_frame_release(put(c, 2, i, 2000));
        struct omi_frame *hot = omi_cache_get(c, 1, 0);
        cr_assert(hot != NULL, "the hot block went after %u others", i);
        omi_frame_release(hot);
    }
    omi_cache_destroy(c);
}

static void *hammer(void *arg)
{
    struct omi_cache *c = arg;
    uint64_t x = (uint64_t)(uintptr_t)&c;
    for (int i = 0; i < 20000; i++) {
        x = x * UINT64_C(6364136223846793005) + 1;
        uint32_t index = (uint32_t)(x >> 40) % 600;
        struct omi_frame *f = omi_cache_get(c, 3, index);
        if (f == NULL)
            f = put(c, 3, index, 1500);
        cr_assert(f->body[0] == (uint8_t)(3 + index) && f->body[1499] == (uint8_t)(3 + index));
        omi_frame_release(f);
        if (i % 5000 == 0)
            omi_cache_forget(c, 3, 600);
    }
    return NULL;
}

Test(cache, serves_threads_beside_each_other)
{
    struct omi_cache *c;
    pthread_t threads[4];
    cr_assert_eq(omi_cache_create(512 << 10, &c), OMEN_OK);
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, hammer, c);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(omi_cache_pinned(c), 0);
    omi_cache_destroy(c);
}

Test(cache, keeps_nothing_without_capacity)
{
    struct omi_cache *c;
    cr_assert_eq(omi_cache_create(0, &c), OMEN_OK);
    struct omi_frame *f = put(c, 1, 1, 100);
    cr_assert_not(omi_cache_peek(c, 1, 1));
    cr_assert_eq(f->body[99], 2);
    omi_frame_release(f);
    cr_assert_eq(omi_cache_bytes(c), 0);
    omi_cache_destroy(c);
}

Test(cache, a_small_one_keeps_blocks_that_are_large_for_it)
{
    struct omi_cache *c;
    cr_assert_eq(omi_cache_create(256 << 10, &c), OMEN_OK);
    omi_frame_release(put(c, 1, 1, 100 << 10));
    cr_assert(omi_cache_peek(c, 1, 1));
    omi_frame_release(put(c, 1, 2, 100 << 10));
    cr_assert(omi_cache_peek(c, 1, 1) && omi_cache_peek(c, 1, 2));
    omi_frame_release(put(c, 1, 3, 100 << 10));
    cr_assert_leq(omi_cache_bytes(c), 256 << 10);
    omi_cache_destroy(c);
}

Test(cache, evicts_no_frame_while_it_is_pinned)
{
    struct omi_cache *c;
    cr_assert_eq(omi_cache_create(128 << 10, &c), OMEN_OK);
    struct omi_frame *held[8];
    for (uint32_t i = 0; i < 8; i++)
        held[i] = put(c, 5, i, 4000);
    for (uint32_t i = 0; i < 500; i++)
        omi_frame_release(put(c, 6, i, 4000));
    omi_cache_set_capacity(c, 1024);
    for (uint32_t i = 0; i < 8; i++) {
        cr_assert(omi_cache_peek(c, 5, i));
        cr_assert_eq(held[i]->body[3999], 5 + i);
        omi_frame_release(held[i]);
    }
    cr_assert_leq(omi_cache_bytes(c), 8 * 5120);
    omi_frame_release(put(c, 6, 0, 100)); /* too large now: only handed through */
    omi_cache_set_capacity(c, 0);
    cr_assert_leq(omi_cache_bytes(c), 8 * 5120);
    omi_cache_destroy(c);
}

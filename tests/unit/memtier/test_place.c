#include "fake_place.h"

#include <criterion/criterion.h>
#include <stdint.h>

TestSuite(place, .timeout = 20);

enum { CHUNK = 4 << 20 };

Test(place, memory_is_mapped_at_two_mebibytes_zeroed_and_given_back)
{
    const struct omi_place_calls *calls[] = {omi_place_system(), omi_place_heap()};
    for (int i = 0; i < 2; i++) {
        void *p = NULL;
        cr_assert_eq(calls[i]->map(calls[i]->ctx, CHUNK, &p), 0);
        cr_assert_eq((uintptr_t)p % (2 << 20), 0);
        cr_assert_eq(calls[i]->populate(calls[i]->ctx, p, CHUNK), 0);
        for (size_t b = 0; b < CHUNK; b += 4096)
            cr_assert_eq(((unsigned char *)p)[b], 0);
        memset(p, 1, CHUNK);
        calls[i]->unmap(calls[i]->ctx, p, CHUNK);
        unsigned char vec[1];
        cr_assert(mincore(p, 4096, vec) != 0 && errno == ENOMEM, "still mapped");
    }
    void *p = NULL;
    cr_assert_neq(omi_place_system()->map(NULL, SIZE_MAX / 4, &p), 0);
    cr_assert_null(p);
}

Test(place, a_node_that_cannot_be_is_refused)
{
    void *p = NULL;
    const struct omi_place_calls *s = omi_place_system();
    cr_assert_eq(s->map(s->ctx, CHUNK, &p), 0);
    cr_assert_eq(s->prefer(s->ctx, p, CHUNK, -1), EINVAL);
    cr_assert_eq(s->prefer(s->ctx, p, CHUNK, 64), EINVAL);
    cr_assert_neq(s->prefer(s->ctx, p, CHUNK, 63), 0, "this machine has 64 nodes?");
    s->unmap(s->ctx, p, CHUNK);
}

/* Where the system answers at all: node 0 is there on every machine. */
Test(place, memory_preferred_on_node_0_is_found_there)
{
    void *p = NULL;
    uint64_t allowed = 0;
    size_t on = 0, asked = 0;
    const struct omi_place_calls *s = omi_place_system();
    cr_assert_eq(s->map(s->ctx, CHUNK, &p), 0);
    if (s->allowed(s->ctx, &allowed) != 0 || s->prefer(s->ctx, p, CHUNK, 0) != 0 ||
        omi_place_count(s, p, CHUNK, 0, 1, &on, &asked) != 0) {
        s->unmap(s->ctx, p, CHUNK);
        cr_skip_test("the system forbids the calls here");
    }
    cr_assert_eq(on, 0, "nothing lies anywhere before it is taken up");
    cr_assert_eq(s->populate(s->ctx, p, CHUNK), 0);
    cr_assert_eq(omi_place_count(s, p, CHUNK, 0, 1, &on, &asked), 0);
    cr_assert_eq(asked, CHUNK / omi_place_page_bytes());
    if (allowed == 1)
        cr_assert_eq(on, asked, "%zu of %zu", on, asked);
    s->unmap(s->ctx, p, CHUNK);
}

Test(place, counting_asks_every_stride_th_page)
{
    struct fake_place f = {.node_bytes = 1 << 20};
    struct omi_place_calls calls = fake_calls(&f);
    size_t on, asked, page = omi_place_page_bytes();
    void *p = NULL;
    cr_assert_eq(calls.map(calls.ctx, CHUNK, &p), 0);
    cr_assert_eq(calls.populate(calls.ctx, p, CHUNK), 0);
    for (size_t stride = 1; stride <= 2048; stride *= 4) {
        cr_assert_eq(omi_place_count(&calls, p, CHUNK, FAKE_NODE, stride, &on, &asked), 0);
        cr_assert_eq(asked, (CHUNK / page + stride - 1) / stride);
        cr_assert_eq(on, ((1 << 20) / page + stride - 1) / stride);
    }
    f.where_err = EPERM;
    cr_assert_eq(omi_place_count(&calls, p, CHUNK, FAKE_NODE, 1, &on, &asked), EPERM);
    calls.unmap(calls.ctx, p, CHUNK);
}

Test(place, pages_that_the_system_knows_nothing_of_are_not_on_the_node)
{
    struct fake_place f = {.node_bytes = UINT64_MAX};
    struct omi_place_calls calls = fake_calls(&f);
    size_t on, asked;
    cr_assert_eq(
        omi_place_count(&calls, (void *)(uintptr_t)(1 << 21), CHUNK, FAKE_NODE, 1, &on, &asked), 0);
    cr_assert_eq(on, 0);
    cr_assert_gt(asked, 0);
}

/*
 * fuzz_table.c - a whole table file: opened, verified, walked both ways, sought in, read by a merge.
 * When the verifier finds nothing wrong, all ways of reading must agree. The lowest bit of the
 * header's created_us says that the table is read under a comparator.
 */
#include "io/base/hash.h"
#include "lsm/table_open.h"
#include "tests/fuzz/made_table.h"
#include "tests/fuzz/mend.h"

#include <stdlib.h>

enum { SIZE_MAX_BYTES = 48 << 10, STEPS_MAX = 20000, SEEKS_MAX = 64, ORDER_AT = 24 };

struct look {
    struct sample_env *env;
    struct omi_table *table;
    bool clean; /* as the verifier says */
    uint64_t entries;
};

static void count_problem(void *ctx, const char *text)
{
    uint64_t *problems = ctx;
    *problems += text[0] != 0;
}

static void verify(struct look *l)
{
    struct omi_table_verdict verdict = {0};
    uint64_t problems = 0;
    l->clean = omi_table_verify(l->table, &verdict, count_problem, &problems) == OMEN_OK;
    FUZZ_CHECK(l->clean == (verdict.errors == 0));
    FUZZ_CHECK(verdict.errors == 0 || problems != 0);
    l->entries = verdict.entries;
}

/* An entry of a clean table is found by every stage of a lookup. */
static void find(const struct look *l, const struct omi_run_cursor *at)
{
    const struct omi_entry *e = &at->entry;
    struct omi_frame *frame;
    omen_slice key = omi_entry_key(e), value;
    uint64_t trailer;
    uint32_t block;
    FUZZ_OK(omi_table_find_block(l->table, key, e->trailer, NULL, &block));
    FUZZ_CHECK(block < omi_table_blocks(l->table));
    if (!l->clean)
        return;
    FUZZ_CHECK(block == at->block);
    FUZZ_CHECK(
        omi_table_may_hold(l->table, omi_entry_key(e), omi_key_hash(e->key, e->key_size), NULL));
    FUZZ_OK(omi_table_load(l->table, block, false, &frame));
    uint32_t i = omi_block_lower_bound(&frame->block, &l->env->tenv.order, key, e->trailer);
    FUZZ_CHECK(i == at->index);
    omi_block_value(&frame->block, i, &trailer, &value);
    FUZZ_CHECK(trailer == e->trailer);
    FUZZ_CHECK(omi_bytes_equal(value.data, value.size, e->value, e->value_size));
    omi_frame_release(frame);
}

static void walk(const struct look *l, struct omi_run_cursor *c)
{
    uint64_t forward = 0, backward = 0, bytes = 0;
    for (omi_run_cursor_first(c); omi_run_cursor_valid(c) && forward < STEPS_MAX;
         omi_run_cursor_next(c), forward++) {
        for (uint32_t i = 0; i < c->entry.value_size; i++)
            bytes += c->entry.value[i];
        if (forward < SEEKS_MAX || forward % 64 == 0)
            find(l, c);
    }
    omen_err err = c->err;
    for (omi_run_cursor_last(c); omi_run_cursor_valid(c) && backward < STEPS_MAX;
         omi_run_cursor_prev(c), backward++)
        bytes += c->entry.key_size;
    if (!l->clean || l->entries > STEPS_MAX)
        return;
    FUZZ_CHECK(err == OMEN_OK && c->err == OMEN_OK && bytes != UINT64_MAX);
    FUZZ_CHECK(forward == l->entries && backward == l->entries);
}

/* Where a seek ends, and its neighbour on the other side. */
static void seek(const struct look *l, struct omi_run_cursor *c, omen_slice key, uint64_t trailer)
{
    const struct omi_order *order = &l->env->tenv.order;
    omi_run_cursor_seek(c, key, trailer);
    if (omi_run_cursor_valid(c)) {
        int side =
            omi_internal_compare(order, omi_entry_key(&c->entry), c->entry.trailer, key, trailer);
        FUZZ_CHECK(!l->clean || side >= 0);
        omi_run_cursor_prev(c);
        if (omi_run_cursor_valid(c)) {
            side = omi_internal_compare(order, omi_entry_key(&c->entry), c->entry.trailer, key,
                                        trailer);
            FUZZ_CHECK(!l->clean || side < 0);
        }
    }
    FUZZ_CHECK(!l->clean || c->err == OMEN_OK);
    omi_run_cursor_seek_for_prev(c, key, trailer);
    if (omi_run_cursor_valid(c)) {
        int side =
            omi_internal_compare(order, omi_entry_key(&c->entry), c->entry.trailer, key, trailer);
        FUZZ_CHECK(!l->clean || side <= 0);
    }
}

/* Keys out of the file's own bytes, and some that lie outside of everything. */
static void seeks(const struct look *l, struct omi_run_cursor *c, const uint8_t *data, size_t size)
{
    const struct omi_table_props *p = omi_table_props(l->table);
    seek(l, c, omi_slice("", 0), UINT64_MAX);
    seek(l, c, omi_slice("\xff\xff\xff", 3), 0);
    seek(l, c, omi_slice(p->smallest.data, p->smallest.size), UINT64_MAX);
    seek(l, c, omi_slice(p->largest.data, p->largest.size), 0);
    for (size_t i = 0; i < SEEKS_MAX; i++) {
        size_t at = i * 7919 % size, n = i % 24;
        seek(l, c, omi_slice(data + at, n < size - at ? n : size - at), i << 8);
    }
}

static void merge(const struct look *l)
{
    struct omi_merge_source *source;
    uint64_t entries = 0;
    omen_err err = OMEN_OK;
    FUZZ_OK(omi_table_source_open(&l->table, 1, 4 << 10, &source));
    do {
        err = source->refill(source);
        entries += err == OMEN_OK ? source->count : 0;
    } while (err == OMEN_OK && source->count != 0);
    FUZZ_CHECK(!l->clean || (err == OMEN_OK && entries == l->entries));
    omi_table_source_close(source);
}

/* Every block by the two halves of a batched load. */
static void batch(const struct look *l)
{
    uint32_t blocks = omi_table_blocks(l->table);
    for (uint32_t b = 0; b < blocks && b < SEEKS_MAX; b++) {
        struct omi_read read;
        struct omi_frame *frame;
        FUZZ_OK(omi_table_load_start(l->table, b, &read));
        l->env->env->ops->read_batch(l->env->env, &read, 1);
        omen_err err = omi_table_load_finish(l->table, b, true, &read, &frame);
        FUZZ_CHECK(!l->clean || err == OMEN_OK);
        if (err == OMEN_OK)
            omi_frame_release(frame);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sample_env env;
    if (size <= ORDER_AT || size > SIZE_MAX_BYTES)
        return 0;
    sample_env_init(&env);
    if ((data[ORDER_AT] & 1) != 0)
        env.tenv.order.comparator = &sample_backwards;
    fuzz_file_write(env.dir, "000001.sst", data, size);
    struct look l = {.env = &env};
    if (omi_table_open(&env.tenv, 1, size, &l.table) == OMEN_OK) {
        struct omi_run_cursor c;
        verify(&l);
        omi_run_cursor_init(&c, &l.table, 1, &env.tenv.order, true);
        walk(&l, &c);
        seeks(&l, &c, data, size);
        omi_run_cursor_fini(&c);
        merge(&l);
        batch(&l);
        omi_table_close(l.table, true);
    }
    sample_env_fini(&env);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    struct fuzz_dice dice = {seed};
    size = mutate_table(data, size, max_size, &dice);
    if (fuzz_below(&dice, 8) != 0)
        mend_table(data, size);
    return size;
}

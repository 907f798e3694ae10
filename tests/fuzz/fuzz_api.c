/*
 * fuzz_api.c - the input as operations on a database, beside a map in memory: every answer must be
 * the map's. A few keys that are prefixes of each other, so that collisions are many.
 */
#include "lsm/db.h"
#include "tests/fuzz/fuzz.h"
#include "tests/model.h"

#include "io/base/coding.h"

#include <stdlib.h>

enum { KEYS = 24, SNAPSHOTS = 4, VALUE_MAX = 3000, OPS_MAX = 600, BATCH_MAX = 6 };

/* Value numbers by key rank; 0: no value. */
struct map {
    uint32_t ids[KEYS];
};

struct run {
    struct omi_env *env;
    omen_db *db;
    struct omi_reader in;
    struct map now;
    uint32_t next_id;
    omen_snapshot *snapshots[SNAPSHOTS];
    struct map snapshot_maps[SNAPSHOTS];
    omen_iter *iter; /* one that lives on through what follows */
    struct map iter_map;
    int iter_at; /* rank; -1 or KEYS: not valid */
    unsigned set;
};

/* ---- keys and values ------------------------------------------------------------------------- */

static struct key {
    uint8_t bytes[MODEL_KEY_BYTES_MAX];
    size_t size;
} keys[KEYS]; /* in order */

static int compare_items(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    return omi_bytes_compare(x->bytes, x->size, y->bytes, y->size);
}

static void keys_prepare(void)
{
    static bool done;
    if (done)
        return;
    for (uint32_t i = 0; i < KEYS; i++) {
        enum key_family family = i < 14 ? KEYS_NESTED : i < 19 ? KEYS_LONG_PREFIX : KEYS_BE64;
        keys[i].size = key_make(family, i < 14 ? i : i * 77, keys[i].bytes);
    }
    qsort(keys, KEYS, sizeof(keys[0]), compare_items);
    done = true;
}

static omen_slice key_of(uint32_t rank)
{
    return omi_slice(keys[rank].bytes, keys[rank].size);
}

/* Mostly small; a large one now and then, beyond a block's size. */
static size_t size_of(uint32_t id)
{
    return id % 13 == 0 ? id * 211 % VALUE_MAX : id * 7 % 60;
}

static omen_slice value_of(uint32_t id)
{
    static uint8_t value[VALUE_MAX];
    value_make(id, size_of(id), value);
    return omi_slice(value, size_of(id));
}

static void check_value(uint32_t id, const void *data, size_t size)
{
    omen_slice want = value_of(id);
    FUZZ_CHECK(id != 0 && omi_bytes_equal(want.data, want.size, data, size));
}

static uint32_t take_rank(struct run *r)
{
    return omi_take_u8(&r->in) % KEYS;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void open_db(struct run *r)
{
    static const char *const sets[] = {
        "size_ratio=2,runs_upper=1", "size_ratio=3,runs_upper=2,codec_upper=zstd-fast",
        "size_ratio=4,filter_bits=none,codec_last=zstd", "goal=space,runs_last=4"};
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .cache_bytes = 64u << 10,
                      .block_bytes = 1024,
                      .background_jobs = 1,
                      .io_mode = OMEN_IO_BUFFERED,
                      .reserve_bytes = OMEN_NONE};
    FUZZ_OK(omen_options_from_string(sets[r->set % 4], &o));
    FUZZ_OK(omi_db_open(r->env, fuzz_path, &o, &r->db));
}

static void let_go(struct run *r)
{
    omen_iter_close(r->iter);
    r->iter = NULL;
    for (int i = 0; i < SNAPSHOTS; i++) {
        omen_snapshot_release(r->snapshots[i]);
        r->snapshots[i] = NULL;
    }
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The present, or a snapshot's past; read is filled for it. */
static const struct map *take_view(struct run *r, omen_read_options *read)
{
    unsigned slot = omi_take_u8(&r->in) % (2 * SNAPSHOTS);
    *read = (omen_read_options){.struct_bytes = sizeof(*read)};
    if (slot >= SNAPSHOTS || r->snapshots[slot] == NULL)
        return &r->now;
    read->snapshot = r->snapshots[slot];
    return &r->snapshot_maps[slot];
}

static void get_one(struct run *r)
{
    omen_read_options read;
    omen_value v;
    const struct map *map = take_view(r, &read);
    uint32_t rank = take_rank(r);
    omen_err err = omen_get(r->db, &read, key_of(rank), &v);
    if (map->ids[rank] == 0) {
        FUZZ_CHECK(err == OMEN_NOT_FOUND);
        return;
    }
    FUZZ_OK(err);
    check_value(map->ids[rank], v.data, v.size);
    omen_value_release(&v);
}

static void get_all(struct run *r)
{
    omen_read_options read;
    omen_slice wanted[KEYS];
    omen_value values[KEYS];
    omen_err errs[KEYS];
    const struct map *map = take_view(r, &read);
    for (uint32_t i = 0; i < KEYS; i++)
        wanted[i] = key_of(i);
    FUZZ_OK(omen_multi_get(r->db, &read, KEYS, wanted, values, errs));
    for (uint32_t i = 0; i < KEYS; i++) {
        FUZZ_CHECK(errs[i] == (map->ids[i] != 0 ? OMEN_OK : OMEN_NOT_FOUND));
        if (errs[i] != OMEN_OK)
            continue;
        check_value(map->ids[i], values[i].data, values[i].size);
        omen_value_release(&values[i]);
    }
}

/* The nearest rank with a value from at on, in the direction of step. */
static int map_next(const struct map *map, int at, int step)
{
    while (at >= 0 && at < KEYS && map->ids[at] == 0)
        at += step;
    return at < 0 || at >= KEYS ? -1 : at;
}

static void check_at(const struct map *map, omen_iter *it, int at)
{
    FUZZ_OK(omen_iter_status(it));
    FUZZ_CHECK((omen_iter_valid(it) != 0) == (at >= 0));
    if (at < 0)
        return;
    omen_slice key = omen_iter_key(it), value = omen_iter_value(it);
    FUZZ_CHECK(omi_bytes_equal(key.data, key.size, keys[at].bytes, keys[at].size));
    check_value(map->ids[at], value.data, value.size);
}

/* One move of an iterator over map; at is where it stands, -1: nowhere. */
static int iter_move(struct run *r, const struct map *map, omen_iter *it, int at)
{
    uint32_t rank;
    switch (omi_take_u8(&r->in) % 8) {
    case 0:
        omen_iter_seek_first(it);
        at = map_next(map, 0, 1);
        break;
    case 1:
        omen_iter_seek_last(it);
        at = map_next(map, KEYS - 1, -1);
        break;
    case 2:
        rank = take_rank(r);
        omen_iter_seek(it, key_of(rank));
        at = map_next(map, (int)rank, 1);
        break;
    case 3:
        rank = take_rank(r);
        omen_iter_seek_for_prev(it, key_of(rank));
        at = map_next(map, (int)rank, -1);
        break;
    case 4:
    case 5:
        omen_iter_prev(it);
        at = at < 0 ? -1 : map_next(map, at - 1, -1);
        break;
    default:
        omen_iter_next(it);
        at = at < 0 ? -1 : map_next(map, at + 1, 1);
        break;
    }
    check_at(map, it, at);
    return at;
}

/* A scan within bounds, both ways. */
static void scan(struct run *r)
{
    omen_read_options read;
    omen_iter *it;
    const struct map *map = take_view(r, &read);
    uint32_t low = take_rank(r), high = take_rank(r);
    read.flags = OMEN_HAS_LOWER | OMEN_HAS_UPPER;
    read.lower = key_of(low);
    read.upper = key_of(high);
    struct map within = *map;
    for (uint32_t i = 0; i < KEYS; i++)
        if (i < low || i >= high)
            within.ids[i] = 0;
    FUZZ_OK(omen_iter_open(r->db, &read, &it));
    int at = map_next(&within, 0, 1);
    for (omen_iter_seek_first(it); at >= 0; omen_iter_next(it), at = map_next(&within, at + 1, 1))
        check_at(&within, it, at);
    check_at(&within, it, -1);
    at = map_next(&within, KEYS - 1, -1);
    for (omen_iter_seek_last(it); at >= 0; omen_iter_prev(it), at = map_next(&within, at - 1, -1))
        check_at(&within, it, at);
    check_at(&within, it, -1);
    for (int moves = 0; moves < 4; moves++)
        at = iter_move(r, &within, it, at);
    omen_iter_close(it);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_one(struct run *r)
{
    uint32_t rank = take_rank(r), id = r->next_id++;
    FUZZ_OK(omen_put(r->db, NULL, key_of(rank), value_of(id)));
    r->now.ids[rank] = id;
}

static void delete_one(struct run *r)
{
    uint32_t rank = take_rank(r);
    FUZZ_OK(omen_delete(r->db, NULL, key_of(rank)));
    r->now.ids[rank] = 0;
}

static void write_batch(struct run *r)
{
    omen_batch *b;
    omen_write_options sync = {.struct_bytes = sizeof(sync), .flags = OMEN_SYNC};
    unsigned count = omi_take_u8(&r->in) % BATCH_MAX;
    FUZZ_OK(omen_batch_create(&b));
    for (unsigned i = 0; i < count; i++) {
        uint8_t what = omi_take_u8(&r->in);
        uint32_t rank = what % KEYS, id = what >= 128 ? 0 : r->next_id++;
        if (id == 0)
            FUZZ_OK(omen_batch_delete(b, key_of(rank)));
        else
            FUZZ_OK(omen_batch_put(b, key_of(rank), value_of(id)));
        r->now.ids[rank] = id;
    }
    FUZZ_OK(omen_write(r->db, count % 2 == 0 ? &sync : NULL, b));
    omen_batch_destroy(b);
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void change_snapshot(struct run *r)
{
    unsigned slot = omi_take_u8(&r->in) % SNAPSHOTS;
    if (r->snapshots[slot] != NULL) {
        omen_snapshot_release(r->snapshots[slot]);
        r->snapshots[slot] = NULL;
        return;
    }
    FUZZ_OK(omen_snapshot_create(r->db, &r->snapshots[slot]));
    r->snapshot_maps[slot] = r->now;
}

static void move_iter(struct run *r)
{
    if (r->iter == NULL) {
        omen_read_options read;
        r->iter_map = *take_view(r, &read);
        r->iter_at = -1;
        FUZZ_OK(omen_iter_open(r->db, &read, &r->iter));
    }
    r->iter_at = iter_move(r, &r->iter_map, r->iter, r->iter_at);
}

static void compact(struct run *r)
{
    uint32_t low = take_rank(r), high = take_rank(r);
    omen_slice first = key_of(low), last = key_of(high);
    bool all_below = low % 4 == 0, all_above = high % 4 == 0;
    omen_err err = omen_compact(r->db, all_below ? NULL : &first, all_above ? NULL : &last);
    FUZZ_CHECK(err == (!all_below && !all_above && low > high ? OMEN_INVALID : OMEN_OK));
}

static void upkeep(struct run *r)
{
    omen_verify_report report = {.struct_bytes = sizeof(report)};
    switch (omi_take_u8(&r->in) % 8) {
    case 0:
        FUZZ_OK(omen_verify(r->db, &report, NULL, NULL));
        break;
    case 1:
        FUZZ_OK(omen_set_option(r->db, "size_ratio", "3"));
        break;
    case 2:
        FUZZ_OK(omen_sync(r->db));
        break;
    case 3:
        omen_iter_close(r->iter);
        r->iter = NULL;
        break;
    case 4: /* refused as long as something is held */
        if (r->iter != NULL)
            FUZZ_CHECK(omen_close(r->db) == OMEN_BUSY);
        break;
    default:
        let_go(r);
        FUZZ_OK(omen_close(r->db));
        open_db(r);
        break;
    }
}

/* Flushing, merging and reopening cost a hundred times what the others do: one in 32 each. */
static void step(struct run *r)
{
    switch (omi_take_u8(&r->in) % 32) {
    case 0:
        FUZZ_OK(omen_flush(r->db));
        break;
    case 1:
        compact(r);
        break;
    case 2:
        upkeep(r);
        break;
    case 3:
    case 4:
        delete_one(r);
        break;
    case 5:
    case 6:
        write_batch(r);
        break;
    case 7:
    case 8:
        get_one(r);
        break;
    case 9:
        get_all(r);
        break;
    case 10:
    case 11:
        change_snapshot(r);
        break;
    case 12:
    case 13:
    case 14:
    case 15:
        move_iter(r);
        break;
    case 16:
        scan(r);
        break;
    default:
        put_one(r);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run r = {.in = omi_reader_of(data, size), .next_id = 1};
    struct omi_dir *dir;
    keys_prepare();
    r.set = omi_take_u8(&r.in);
    r.env = fuzz_env_create(&dir);
    open_db(&r);
    for (int ops = 0; ops < OPS_MAX && omi_reader_left(&r.in) > 0; ops++)
        step(&r);
    let_go(&r);
    FUZZ_OK(omen_close(r.db));
    open_db(&r); /* once more: everything is still there */
    r.in = omi_reader_of(data, 0);
    get_all(&r);
    FUZZ_OK(omen_close(r.db));
    fuzz_env_destroy(r.env, dir);
    return 0;
}

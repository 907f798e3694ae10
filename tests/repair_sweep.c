/*
 * repair_sweep.c - random databases, damaged at random in one to four places, then repaired: a dry
 * run changes nothing; a repair, also one that was cut off by a crash and begun again, leaves a
 * database that opens, verifies, and needs no further repair. A key whose newest version lies in
 * bytes that were not touched answers with it; any other key answers with a value it once had, or
 * with none. A report that speaks of no loss is right.
 *
 *   repair_sweep [--runs N] [--seed S]
 */
#include "io/base/coding.h"
#include "io/env_sim.h"
#include "lsm/db.h"
#include "lsm/table_open.h"
#include "lsm/wal_format.h"
#include "tests/filter_mix.h"
#include "tests/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { KEYS = 150, OPS_MAX = 1600, VALUE_MAX = 1200, FILES_MAX = 64, TOUCHES_MAX = 64 };
enum { REPAIR_STEPS = 40, DEPTH_MAX = 2 };

enum file_kind { TABLE, LOG, OTHER };

/* A file as it was before the damage; at: under which name its bytes are now, NULL: removed. */
struct content {
    char name[40];
    const char *at;
    enum file_kind kind;
    uint64_t bytes, segment;
    uint8_t *image; /* of the undamaged file */
};
struct touch { /* bytes [from, to) of a content */
    uint32_t content;
    uint64_t from, to;
};
struct place { /* where the newest version of a key is */
    bool there;
    uint32_t content, frame; /* frame: its index over the whole log */
    uint64_t off, size, seq;
};

struct run {
    struct rng rng;
    uint64_t seed;
    enum key_family family;
    uint8_t keys[KEYS][MODEL_KEY_BYTES_MAX];
    size_t key_sizes[KEYS];
    const char *options;
    uint64_t ops;              /* the sequence number of the last one */
    uint64_t newest[KEYS];     /* value id, 0: deleted */
    uint32_t rank_of[OPS_MAX]; /* of the value with this id */
    struct place places[KEYS];
    struct content files[FILES_MAX];
    uint32_t file_count, frames, last_frame_content;
    uint64_t last_frame_off;
    struct touch touches[TOUCHES_MAX];
    uint32_t touch_count;
    char story[800];
    bool demanded[KEYS], log_touched;
    uint32_t removals;
};

static uint64_t runs_done, crashes, rebuilt, lossy, sound, demanded, keys;

/* ---- a database ------------------------------------------------------------------------------ */

static omen_options options_of(const struct run *r)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .cache_bytes = 64u << 10,
                      .block_bytes = 1024};
    CHECK_OK(omen_options_from_string(r->options, &o));
    filter_mix_choose(r->seed, &o);
    return o;
}

static size_t value_of(uint64_t id, uint8_t *out)
{
    size_t size = 8 + value_size(id, VALUE_MAX);
    value_make(id, size, out);
    memcpy(out, &id, 8);
    return size;
}

static void write_one(struct run *r, omen_db *db, bool sync)
{
    static uint8_t value[VALUE_MAX + 16];
    omen_write_options wo = {.struct_bytes = sizeof(wo), .flags = sync ? OMEN_SYNC : 0};
    uint32_t rank = (uint32_t)rng_below(&r->rng, KEYS);
    omen_slice k = omi_slice(r->keys[rank], r->key_sizes[rank]);
    uint64_t id = ++r->ops;
    if (rng_one_in(&r->rng, 5)) {
        r->newest[rank] = 0;
        CHECK_OK(omen_delete(db, &wo, k));
        return;
    }
    r->rank_of[id] = rank;
    r->newest[rank] = id;
    CHECK_OK(omen_put(db, &wo, k, omi_slice(value, value_of(id, value))));
}

/* The last write is not synced, and tells that all before it is. */
static void fill(struct run *r, omen_db *db)
{
    uint64_t writes = 50 + rng_below(&r->rng, OPS_MAX - 100);
    while (r->ops < writes) {
        write_one(r, db, rng_one_in(&r->rng, 20));
        if (rng_one_in(&r->rng, 150))
            CHECK_OK(omen_flush(db));
        if (rng_one_in(&r->rng, 600))
            CHECK_OK(omen_compact(db, NULL, NULL));
    }
    CHECK_OK(omen_sync(db));
    write_one(r, db, false);
}

static struct omi_env *clone_of(struct omi_env *env, enum omi_crash_mode mode, uint64_t seed)
{
    struct omi_env *clone = omi_sim_crash(env, mode, seed);
    if (clone == NULL)
        fail_now("no memory");
    return clone;
}

/* As a killed process leaves it, or a clean close. */
static struct omi_env *database_make(struct run *r)
{
    struct omi_env *env = omi_sim_create(rng_next(&r->rng));
    omen_options o = options_of(r);
    omen_db *db;
    if (env == NULL)
        fail_now("no memory");
    CHECK_OK(omi_db_open(env, "/db", &o, &db));
    filter_mix_install(r->seed, db);
    fill(r, db);
    bool closed = rng_one_in(&r->rng, 3);
    if (closed)
        CHECK_OK(omen_close(db));
    struct omi_env *image = clone_of(env, OMI_CRASH_KEEP_ALL, 1);
    if (!closed)
        CHECK_OK(omen_close(db));
    omi_sim_destroy(env);
    return image;
}

/* ---- where things are ------------------------------------------------------------------------ */

static uint32_t rank_of_key(const struct run *r, omen_slice key)
{
    for (uint32_t i = 0; i < KEYS; i++)
        if (omi_bytes_equal(r->keys[i], r->key_sizes[i], key.data, key.size))
            return i;
    fail_now("a key that was never written (%s)", r->story);
}

struct mapping {
    struct run *r;
    uint32_t content, frame;
    uint64_t off, size;
};

/* Of two copies of one version, in a table and in the log, the table's counts: repair skips the
 * other. */
static omen_err map_entry(void *ctx, const struct omi_entry *e)
{
    struct mapping *m = ctx;
    struct place *p = &m->r->places[rank_of_key(m->r, omi_entry_key(e))];
    uint64_t seq = omi_trailer_seq(e->trailer);
    if (!p->there || seq > p->seq)
        *p = (struct place){true, m->content, m->frame, m->off, m->size, seq};
    return OMEN_OK;
}

static omen_err map_block(void *ctx, uint64_t off, uint32_t size, const struct omi_block *block)
{
    struct mapping *m = ctx;
    uint8_t key[MODEL_KEY_BYTES_MAX];
    m->off = off;
    m->size = size;
    for (uint32_t i = 0; i < block->count; i++) {
        struct omi_entry e;
        omi_block_entry(block, i, key, &e);
        CHECK_OK(map_entry(m, &e));
    }
    return OMEN_OK;
}

static void map_table(struct run *r, struct omi_dir *dir, uint32_t content)
{
    struct omi_table_env tenv = {.env = dir->env, .dir = dir};
    struct mapping m = {.r = r, .content = content};
    struct omi_table *t;
    const struct content *c = &r->files[content];
    CHECK_OK(omi_cache_create(0, &tenv.cache));
    CHECK_OK(omi_table_open(&tenv, strtoull(c->name, NULL, 10), c->bytes, &t));
    CHECK_OK(omi_table_walk(t, OMI_TABLE_HEADER_BYTES, map_block, &m));
    omi_table_close(t, false);
    omi_cache_destroy(tenv.cache);
}

static void map_log(struct run *r, uint32_t content)
{
    const struct content *c = &r->files[content];
    struct omi_wal_header header;
    struct omi_frame_header h;
    uint64_t hashed = 0;
    CHECK_OK(omi_wal_header_decode(c->image, c->name, &header));
    for (uint64_t off = OMI_WAL_FIRST_FRAME; off < c->bytes; off += omi_frame_bytes(h.size)) {
        if (!omi_frame_open(c->image + off, c->bytes - off, header.nonce, &h, &hashed))
            fail_now("%s: no frame at %" PRIu64, c->name, off);
        struct mapping m = {r, content, r->frames++, off, OMI_FRAME_HEADER_BYTES + h.size};
        struct omi_ops ops = {c->image + off + OMI_FRAME_HEADER_BYTES, h.size, h.op_count};
        CHECK_OK(omi_ops_each(&ops, h.first_seq, map_entry, &m));
        r->last_frame_content = content;
        r->last_frame_off = off;
    }
}

static omen_err list_one(void *ctx, const struct omi_dir_entry *e)
{
    struct run *r = ctx;
    const char *dot = strrchr(e->name, '.');
    if (strcmp(e->name, "LOCK") == 0 || strncmp(e->name, "LOG", 3) == 0 ||
        strcmp(e->name, "STATS") == 0 || strcmp(e->name, "SAMPLE") == 0)
        return OMEN_OK;
    if (r->file_count == FILES_MAX)
        fail_now("more than %d files", FILES_MAX);
    struct content *c = &r->files[r->file_count++];
    snprintf(c->name, sizeof(c->name), "%s", e->name);
    c->at = c->name;
    c->bytes = e->bytes;
    c->kind = dot == NULL ? OTHER : strcmp(dot, ".sst") == 0 ? TABLE : LOG;
    return OMEN_OK;
}

static int by_segment(const void *a, const void *b)
{
    const struct content *x = a, *y = b;
    return (x->segment > y->segment) - (x->segment < y->segment);
}

static void overwrite(struct omi_dir *dir, const char *name, const uint8_t *bytes, size_t size,
                      uint64_t off)
{
    struct omi_file *f;
    CHECK_OK(omi_file_open(dir, name, OMI_OPEN_WRITE, 0, &f));
    CHECK_OK(omi_file_pwrite(f, bytes, size, off));
    CHECK_OK(omi_file_sync(f));
    CHECK_OK(omi_file_close(f));
}

static void map_all(struct run *r, struct omi_env *env)
{
    struct omi_dir *dir;
    CHECK_OK(omi_dir_open(env, "/db", false, &dir));
    CHECK_OK(omi_dir_list(dir, list_one, r));
    for (uint32_t i = 0; i < r->file_count; i++) {
        struct content *c = &r->files[i];
        size_t size;
        CHECK_OK(omi_file_read_all(dir, c->name, SIZE_MAX, &c->image, &size));
        if (c->kind == LOG)
            c->segment = omi_get_u64(c->image + 16);
        overwrite(dir, c->name, NULL, 0, 0); /* what was pending is durable now */
    }
    CHECK_OK(omi_dir_sync(dir));
    qsort(r->files, r->file_count, sizeof(r->files[0]), by_segment);
    for (uint32_t i = 0; i < r->file_count; i++)
        r->files[i].at = r->files[i].name;
    for (uint32_t i = 0; i < r->file_count; i++) /* tables first: see map_entry */
        if (r->files[i].kind == TABLE)
            map_table(r, dir, i);
    for (uint32_t i = 0; i < r->file_count; i++)
        if (r->files[i].kind == LOG)
            map_log(r, i);
    omi_dir_close(dir);
    for (uint32_t i = 0; i < KEYS; i++)
        if (r->newest[i] != 0 && (!r->places[i].there || r->places[i].seq != r->newest[i]))
            fail_now("key %u: its newest version is not in any file", i);
}

/* ---- damage ---------------------------------------------------------------------------------- */

static void touch(struct run *r, uint32_t content, uint64_t from, uint64_t to)
{
    if (r->touch_count == TOUCHES_MAX)
        fail_now("more than %d touches", TOUCHES_MAX);
    r->touches[r->touch_count++] = (struct touch){content, from, to};
}

static void tell(struct run *r, const char *what, uint32_t content, uint64_t from, uint64_t to)
{
    size_t used = strlen(r->story);
    snprintf(r->story + used, sizeof(r->story) - used, "%s%s %s [%" PRIu64 ",%" PRIu64 ")",
             used != 0 ? "; " : "", what, r->files[content].name, from, to);
}

static void damage_sectors(struct run *r, struct omi_dir *dir, uint32_t content, bool garbage)
{
    uint8_t bytes[8 * 512] = {0};
    const struct content *c = &r->files[content];
    uint64_t from = rng_below(&r->rng, c->bytes) / 512 * 512;
    uint64_t size = 512 * (1 + rng_below(&r->rng, 8));
    if (size > c->bytes - from)
        size = c->bytes - from;
    for (uint64_t i = 0; garbage && i < size; i++)
        bytes[i] = (uint8_t)rng_next(&r->rng);
    overwrite(dir, c->at, bytes, (size_t)size, from);
    touch(r, content, from, from + size);
    tell(r, garbage ? "garbage in" : "zeros in", content, from, from + size);
}

static void damage_bit(struct run *r, struct omi_env *env, uint32_t content)
{
    const struct content *c = &r->files[content];
    uint64_t off = rng_below(&r->rng, c->bytes);
    /* The ends are small and matter. */
    if (rng_one_in(&r->rng, 4) && c->bytes > 600)
        off = rng_one_in(&r->rng, 2) ? rng_below(&r->rng, 64) : c->bytes - 1 - off % 600;
    CHECK_OK(omi_sim_damage(env, "/db", c->at, off, (unsigned)rng_below(&r->rng, 8)));
    touch(r, content, off, off + 1);
    tell(r, "a bit of", content, off, off + 1);
}

static void damage_cut(struct run *r, struct omi_dir *dir, uint32_t content)
{
    const struct content *c = &r->files[content];
    uint64_t size = rng_below(&r->rng, c->bytes);
    struct omi_file *f;
    CHECK_OK(omi_file_open(dir, c->at, OMI_OPEN_WRITE, 0, &f));
    CHECK_OK(dir->env->ops->file_truncate(f, size));
    CHECK_OK(omi_file_sync(f));
    CHECK_OK(omi_file_close(f));
    touch(r, content, size, UINT64_MAX);
    tell(r, "cut", content, size, c->bytes);
}

static void damage_remove(struct run *r, struct omi_dir *dir, uint32_t content)
{
    struct content *c = &r->files[content];
    CHECK_OK(omi_dir_unlink(dir, c->at));
    c->at = NULL;
    touch(r, content, 0, UINT64_MAX);
    tell(r, "removed", content, 0, c->bytes);
    r->removals++;
}

static enum file_kind kind_of_name(const struct run *r, const char *name)
{
    for (uint32_t i = 0; i < r->file_count; i++)
        if (strcmp(r->files[i].name, name) == 0)
            return r->files[i].kind;
    fail_now("no file %s", name);
}

/* A table under another table's name is found by its id, a segment by its number; anything else is
 * as good as gone. */
static void damage_exchange(struct run *r, struct omi_dir *dir, uint32_t a, uint32_t b)
{
    struct content *x = &r->files[a], *y = &r->files[b];
    const char *at = x->at;
    if (a == b)
        return;
    CHECK_OK(omi_dir_rename(dir, x->at, "exchange"));
    CHECK_OK(omi_dir_rename(dir, y->at, x->at));
    CHECK_OK(omi_dir_rename(dir, "exchange", y->at));
    x->at = y->at;
    y->at = at;
    tell(r, "exchanged", a, 0, x->bytes);
    tell(r, "with", b, 0, y->bytes);
    if (x->kind == OTHER || x->kind != kind_of_name(r, x->at))
        touch(r, a, 0, UINT64_MAX);
    if (y->kind == OTHER || y->kind != kind_of_name(r, y->at))
        touch(r, b, 0, UINT64_MAX);
}

static bool is_whole_size(const struct run *r, uint32_t content)
{
    for (uint32_t i = 0; i < r->touch_count; i++)
        if (r->touches[i].content == content && r->touches[i].to == UINT64_MAX)
            return false;
    return true;
}

/* Files that are gone or cut already are left alone: offsets would not fit. */
static uint32_t draw_content(struct run *r)
{
    uint32_t from = (uint32_t)rng_below(&r->rng, r->file_count);
    for (uint32_t n = 0; n < r->file_count; n++) {
        uint32_t i = (from + n) % r->file_count;
        if (r->files[i].at != NULL && r->files[i].bytes != 0 && is_whole_size(r, i))
            return i;
    }
    return FILES_MAX;
}

static uint32_t draw_named(struct run *r, const char *name)
{
    for (uint32_t i = 0; i < r->file_count; i++)
        if (strcmp(r->files[i].name, name) == 0 && r->files[i].at != NULL && is_whole_size(r, i))
            return i;
    return draw_content(r);
}

static void damage_one(struct run *r, struct omi_env *env, struct omi_dir *dir)
{
    uint32_t content = draw_content(r);
    if (content == FILES_MAX)
        return;
    switch (rng_below(&r->rng, 10)) {
    case 0:
    case 1:
    case 2:
        damage_bit(r, env, content);
        break;
    case 3:
    case 4:
        damage_sectors(r, dir, content, false);
        break;
    case 5:
        damage_sectors(r, dir, content, true);
        break;
    case 6:
        damage_cut(r, dir, content);
        break;
    case 7:
        if (r->removals < 2)
            damage_remove(r, dir, content);
        break;
    case 8:
        damage_sectors(r, dir, draw_named(r, "CURRENT"), true);
        break;
    default:
        damage_exchange(r, dir, content, draw_content(r));
        break;
    }
}

static void damage(struct run *r, struct omi_env *env)
{
    struct omi_dir *dir;
    CHECK_OK(omi_dir_open(env, "/db", false, &dir));
    for (uint64_t n = 1 + rng_below(&r->rng, 4); n > 0; n--)
        damage_one(r, env, dir);
    CHECK_OK(omi_dir_sync(dir));
    omi_dir_close(dir);
}

/* ---- what must still be there ---------------------------------------------------------------- */

static bool is_touched(const struct run *r, uint32_t content, uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < r->touch_count; i++) {
        const struct touch *t = &r->touches[i];
        if (t->content == content && t->from < to && from < t->to)
            return true;
    }
    return false;
}

/* Of a table one of the two places that name its id is needed. */
static bool is_table_place_whole(const struct run *r, const struct place *p)
{
    uint64_t end = r->files[p->content].bytes;
    return !is_touched(r, p->content, p->off, p->off + p->size) &&
           (!is_touched(r, p->content, 16, 24) || !is_touched(r, p->content, end - 112, end - 104));
}

static bool is_header_whole(const struct run *r, uint32_t content)
{
    return !is_touched(r, content, 0, OMI_WAL_HEADER_BYTES) ||
           !is_touched(r, content, OMI_WAL_HEADER_COPY, OMI_WAL_HEADER_COPY + OMI_WAL_HEADER_BYTES);
}

/* The first frame, over the whole log, that cannot be read. */
static uint32_t first_bad_frame(const struct run *r)
{
    uint32_t frame = 0;
    for (uint32_t i = 0; i < r->file_count; i++) {
        const struct content *c = &r->files[i];
        if (c->kind != LOG)
            continue;
        if (!is_header_whole(r, i))
            return frame;
        struct omi_frame_header h;
        uint64_t hashed = 0;
        for (uint64_t off = OMI_WAL_FIRST_FRAME; off < c->bytes;
             off += omi_frame_bytes(h.size), frame++)
            if (!omi_frame_open(c->image + off, c->bytes - off, omi_get_u64(c->image + 24), &h,
                                &hashed) ||
                is_touched(r, i, off, off + OMI_FRAME_HEADER_BYTES + h.size))
                return frame;
    }
    return UINT32_MAX;
}

/* While the last frame is there, all before it are known to have been durable: damage is noticed,
 * and everything whole behind it is saved. Otherwise the damage looks like an unsynced tail. */
static void settle_demands(struct run *r)
{
    uint64_t end = r->files[r->last_frame_content].bytes;
    uint32_t bad = first_bad_frame(r);
    bool noticed = is_header_whole(r, r->last_frame_content) &&
                   !is_touched(r, r->last_frame_content, r->last_frame_off, end);
    for (uint32_t i = 0; i < r->touch_count; i++)
        r->log_touched = r->log_touched || r->files[r->touches[i].content].kind == LOG;
    for (uint32_t i = 0; i < KEYS; i++) {
        const struct place *p = &r->places[i];
        if (!p->there)
            r->demanded[i] = true; /* nowhere: it must not come back */
        else if (r->files[p->content].kind == TABLE)
            r->demanded[i] = is_table_place_whole(r, p);
        else
            r->demanded[i] = is_header_whole(r, p->content) &&
                             !is_touched(r, p->content, p->off, p->off + p->size) &&
                             (noticed || p->frame < bad);
        demanded += r->demanded[i];
        keys++;
    }
}

/* ---- looking at a repaired database ---------------------------------------------------------- */

static void print_line(void *ctx, const char *line)
{
    (void)ctx;
    if (getenv("OMENDB_TEST_VERBOSE") != NULL)
        fprintf(stderr, "    %s\n", line);
}

static omen_repair_report repair(struct run *r, struct omi_env *env, uint32_t flags)
{
    omen_options o = options_of(r);
    omen_repair_report report = {.struct_bytes = sizeof(report)};
    omen_err err = omi_db_repair(env, "/db", &o, flags, &report, print_line, NULL);
    if (err != OMEN_OK)
        fail_now("repair answers %s: %s (%s)", omen_err_name(err), omen_last_error(), r->story);
    return report;
}

static void check_key(struct run *r, omen_db *db, uint32_t rank, bool exact, uint64_t *found)
{
    static uint8_t want[VALUE_MAX + 16];
    omen_value v;
    uint64_t id = 0;
    omen_err err = omen_get(db, NULL, omi_slice(r->keys[rank], r->key_sizes[rank]), &v);
    if (err == OMEN_OK) {
        if (v.size >= 8)
            memcpy(&id, v.data, 8);
        if (v.size < 8 || id == 0 || id > r->ops || r->rank_of[id] != rank ||
            value_of(id, want) != v.size || memcmp(want, v.data, v.size) != 0)
            fail_now("key %u has a value that was never written to it (%s)", rank, r->story);
        omen_value_release(&v);
        ++*found;
    } else if (err != OMEN_NOT_FOUND) {
        fail_now("key %u answers %s: %s (%s)", rank, omen_err_name(err), omen_last_error(),
                 r->story);
    }
    if ((r->demanded[rank] || exact) && id != r->newest[rank])
        fail_now("key %u answers version %" PRIu64 ", not %" PRIu64 ", which is readable (%s)",
                 rank, id, r->newest[rank], r->story);
}

static void check_scan(struct run *r, omen_db *db, uint64_t found)
{
    omen_iter *it;
    uint64_t seen = 0;
    CHECK_OK(omen_iter_open(db, NULL, &it));
    for (omen_iter_seek_first(it); omen_iter_valid(it); omen_iter_next(it), seen++)
        (void)rank_of_key(r, omen_iter_key(it));
    CHECK_OK(omen_iter_status(it));
    omen_iter_close(it);
    if (seen != found)
        fail_now("a scan shows %" PRIu64 " keys, gets %" PRIu64 " (%s)", seen, found, r->story);
}

static void verify_print(void *ctx, const char *text)
{
    (void)ctx;
    fprintf(stderr, "%s\n", text);
}

/* New writes win over everything that was saved, before and after a flush. */
static void check_writing(struct run *r, omen_db *db)
{
    for (uint32_t rank = 0; rank < KEYS; rank += 7) {
        omen_slice k = omi_slice(r->keys[rank], r->key_sizes[rank]);
        CHECK_OK(omen_put(db, NULL, k, omi_slice("after", 5)));
    }
    for (int flushed = 0; flushed < 2; flushed++) {
        for (uint32_t rank = 0; rank < KEYS; rank += 7) {
            omen_value v;
            CHECK_OK(omen_get(db, NULL, omi_slice(r->keys[rank], r->key_sizes[rank]), &v));
            if (!omi_bytes_equal(v.data, v.size, "after", 5))
                fail_now("key %u does not have what was written after the repair (%s)", rank,
                         r->story);
            omen_value_release(&v);
        }
        CHECK_OK(flushed == 0 ? omen_compact(db, NULL, NULL) : omen_verify(db, NULL, NULL, NULL));
    }
}

static void check_repaired(struct run *r, struct omi_env *env, bool exact)
{
    omen_options o = options_of(r);
    omen_db *db;
    uint64_t found = 0;
    if (repair(r, env, 0).problems != 0)
        fail_now("a repaired database needs repair again (%s)", r->story);
    o.flags &= ~(uint32_t)OMEN_CREATE_IF_MISSING;
    omen_err err = omi_db_open(env, "/db", &o, &db);
    if (err != OMEN_OK)
        fail_now("a repaired database does not open: %s (%s)", omen_last_error(), r->story);
    err = omen_verify(db, NULL, verify_print, NULL);
    if (err != OMEN_OK)
        fail_now("a repaired database is not sound: %s (%s)", omen_last_error(), r->story);
    for (uint32_t i = 0; i < KEYS; i++)
        check_key(r, db, i, exact, &found);
    check_scan(r, db, found);
    check_writing(r, db);
    CHECK_OK(omen_close(db));
}

/* ---- dry runs and crashes -------------------------------------------------------------------- */

static omen_err add_up(void *ctx, const struct omi_dir_entry *e)
{
    struct omi_buf *sum = ctx;
    CHECK_OK(omi_buf_append(sum, e->name, strlen(e->name) + 1));
    CHECK_OK(omi_buf_append_u64(sum, e->bytes));
    return OMEN_OK;
}

/* Names, sizes and bytes of all files. */
static struct omi_buf image_of(struct omi_env *env)
{
    struct omi_buf sum = {0};
    struct omi_dir *dir;
    CHECK_OK(omi_dir_open(env, "/db", false, &dir));
    CHECK_OK(omi_dir_list(dir, add_up, &sum));
    for (size_t at = 0, end = sum.size; at < end;) {
        char name[64];
        uint8_t *bytes;
        size_t size;
        snprintf(name, sizeof(name), "%s", (const char *)sum.data + at);
        at += strlen(name) + 1 + 8;
        CHECK_OK(omi_file_read_all(dir, name, SIZE_MAX, &bytes, &size));
        CHECK_OK(omi_buf_append(&sum, bytes, size));
        free(bytes);
    }
    omi_dir_close(dir);
    return sum;
}

static omen_repair_report check_dry_run(struct run *r, struct omi_env *env)
{
    struct omi_buf before = image_of(env);
    uint64_t steps = omi_sim_steps(env);
    omen_repair_report report = repair(r, env, OMEN_REPAIR_DRY_RUN);
    struct omi_buf after = image_of(env);
    if (omi_sim_steps(env) > steps + 1) /* the lock */
        fail_now("a dry run took %" PRIu64 " steps (%s)", omi_sim_steps(env) - steps, r->story);
    if (!omi_bytes_equal(before.data, before.size, after.data, after.size))
        fail_now("a dry run changed something (%s)", r->story);
    omi_buf_fini(&before);
    omi_buf_fini(&after);
    return report;
}

struct crash {
    struct omi_env *env, *clone;
    uint64_t at, seed;
    enum omi_crash_mode mode;
};

static void on_step(void *ctx, uint64_t number)
{
    struct crash *c = ctx;
    if (number == c->at)
        c->clone = clone_of(c->env, c->mode, c->seed);
}

/* Repairs, is cut off somewhere, and what the crash left is repaired again. */
static void repair_and_crash(struct run *r, struct omi_env *env, const omen_repair_report *expected,
                             int depth)
{
    struct crash c = {.env = env,
                      .at = omi_sim_steps(env) + 1 + rng_below(&r->rng, REPAIR_STEPS),
                      .seed = rng_next(&r->rng),
                      .mode = rng_one_in(&r->rng, 2) ? OMI_CRASH_STRICT : OMI_CRASH_MIXED};
    omi_sim_on_step(env, on_step, &c);
    omen_repair_report report = repair(r, env, 0);
    omi_sim_on_step(env, NULL, NULL);
    bool exact = false;
    if (expected != NULL) {
        if (report.problems != expected->problems || report.lossy != expected->lossy ||
            report.entries_saved != expected->entries_saved ||
            report.log_operations_saved != expected->log_operations_saved)
            fail_now("a dry run told something else than the repair (%s)", r->story);
        rebuilt += report.manifest == OMEN_MANIFEST_REBUILT;
        lossy += report.lossy;
        sound += report.problems == 0;
        exact = report.lossy == 0 && report.manifest != OMEN_MANIFEST_REBUILT && !r->log_touched;
    }
    check_repaired(r, env, exact);
    if (c.clone == NULL)
        return;
    crashes++;
    if (depth < DEPTH_MAX)
        repair_and_crash(r, c.clone, NULL, depth + 1);
    else {
        (void)repair(r, c.clone, 0);
        check_repaired(r, c.clone, false);
    }
    omi_sim_destroy(c.clone);
}

static void run_once(uint64_t seed)
{
    static const char *const options[] = {
        "size_ratio=3,runs_upper=2", "size_ratio=2,runs_upper=1,codec_upper=zstd-fast",
        "size_ratio=4,runs_upper=4,runs_last=4,filter_bits=none", "size_ratio=6"};
    struct run *r = calloc(1, sizeof(*r));
    if (r == NULL)
        fail_now("no memory");
    replay_set("repair_sweep --runs 1 --seed %" PRIu64, seed);
    r->rng.state = seed;
    r->seed = seed;
    r->family = (enum key_family)rng_below(&r->rng, KEY_FAMILIES);
    for (uint32_t i = 0; i < KEYS; i++)
        r->key_sizes[i] = key_make(r->family, i, r->keys[i]);
    r->options = options[rng_below(&r->rng, 4)];
    struct omi_env *env = database_make(r);
    map_all(r, env);
    damage(r, env);
    settle_demands(r);
    omen_repair_report expected = check_dry_run(r, env);
    repair_and_crash(r, env, &expected, 0);
    omi_sim_destroy(env);
    for (uint32_t i = 0; i < r->file_count; i++)
        free(r->files[i].image);
    free(r);
    runs_done++;
}

int main(int argc, char **argv)
{
    uint64_t seed = (uint64_t)time(NULL), runs = 500;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--runs") == 0)
            runs = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
    }
    uint64_t first = seed;
    for (uint64_t i = 0; i < runs; i++, seed++)
        run_once(seed);
    printf("repair_sweep: %" PRIu64 " damaged databases repaired, %" PRIu64
           " crashes on the way, %" PRIu64 " rebuilt without a manifest, %" PRIu64
           " with a loss, %" PRIu64 " had none to see; %" PRIu64 " of %" PRIu64
           " keys had to be right and were; seeds from %" PRIu64 "\n",
           runs_done, crashes, rebuilt, lossy, sound, demanded, keys, first);
    if (runs_done >= 100 && (crashes == 0 || rebuilt == 0 || lossy == 0))
        fail_now("a kind of run never came up: the sweep proves less than it says");
    return 0;
}

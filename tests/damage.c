/*
 * damage.c - every byte of small databases, in every file, gets one flipped bit; every sector is
 * zeroed, filled with garbage, exchanged with another, or taken from another file; every file is cut
 * at every sector, emptied, removed, or exchanged with another. Opening and reading must answer
 * rightly or say CORRUPT: never a wrong answer, a crash, or a silent loss.
 *
 *   damage [--step N] [--seed S]     every N-th byte, sector and cut (default 1)
 *
 * Two images of each database: left by a killed process, and by a clean close. What is damaged at
 * the end of a killed process's log may look like writes that never were synced; then, and only
 * then, the state may be that of an earlier moment.
 */
#include "io/env_sim.h"
#include "lsm/db.h"
#include "tests/filter_mix.h"
#include "tests/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS = 240, FILES_MAX = 64, SECTOR = 512, VALUE_MAX = 5000, FLUSHES = 3 };

static int backward(void *ctx, omen_slice a, omen_slice b)
{
    (void)ctx;
    return omi_bytes_compare(b.data, b.size, a.data, a.size);
}
static const omen_comparator reverse = {"damage.reverse", backward, NULL};

static const struct set {
    const char *name, *options;
    bool reverse, mixed; /* mixed: filters of any shape */
} sets[] = {
    {"plain", "size_ratio=2,runs_upper=4,range_filter=on", false, false},
    {"compressed", "codec_upper=zstd,codec_last=zstd,filter_bits=none", false, false},
    {"own order", "size_ratio=3,runs_upper=2", true, false},
    {"filters", "size_ratio=2,runs_upper=4,filter_bytes=4K,range_filter=on", false, true},
};
enum { SETS = sizeof(sets) / sizeof(sets[0]) };

struct file_list {
    char names[FILES_MAX][64];
    uint64_t sizes[FILES_MAX];
    uint32_t count;
};

/* One image of one database, and what has been done to copies of it. */
struct subject {
    const struct set *set;
    const char *how; /* it ended */
    struct omi_env *image;
    struct file_list files;
    struct rng rng;
    bool killed;
};

/* All keys in bytewise order, and the number of each. */
static struct model_key {
    uint8_t bytes[MODEL_KEY_BYTES_MAX];
    size_t size;
    uint64_t number;
} keys[KEYS];

static int by_bytes(const void *a, const void *b)
{
    const struct model_key *x = a, *y = b;
    return omi_bytes_compare(x->bytes, x->size, y->bytes, y->size);
}

static void make_keys(void)
{
    for (uint64_t i = 0; i < KEYS; i++) {
        keys[i].size = key_make(KEYS_USER, i, keys[i].bytes);
        keys[i].number = i;
    }
    qsort(keys, KEYS, sizeof(keys[0]), by_bytes);
}

static uint64_t step_by = 1, detected, harmless, earlier;

/* ---- the database ---------------------------------------------------------------------------- */

static omen_err open_db(const struct set *set, struct omi_env *env, omen_db **db)
{
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .block_bytes = 1024,
                      .comparator = set->reverse ? &reverse : NULL};
    CHECK_OK(omen_options_from_string(set->options, &o));
    omen_err err = omi_db_open(env, "/db", &o, db);
    if (err == OMEN_OK && set->mixed)
        atomic_store(&(*db)->tenv.make_filter, filter_mix);
    return err;
}

static size_t value_of(uint64_t i, uint64_t round, uint8_t out[static VALUE_MAX])
{
    size_t size = i % 97 == 5 ? VALUE_MAX : 8 + value_size(i + round * KEYS, 200);
    value_make(i + round * KEYS, size, out);
    return size;
}

static void put_round(omen_db *db, uint64_t i, uint64_t round)
{
    uint8_t key[MODEL_KEY_BYTES_MAX], value[VALUE_MAX];
    size_t k = key_make(KEYS_USER, i, key);
    CHECK_OK(omen_put(db, NULL, omi_slice(key, k), omi_slice(value, value_of(i, round, value))));
}

/* Round 0 is flushed in parts, round 1 (every third key, ascending) stays in the log, synced; one
 * write more is not synced: it may be lost, and it tells that the others must not be. */
static void fill(omen_db *db)
{
    omen_write_options sync = {.struct_bytes = sizeof(sync), .flags = OMEN_SYNC};
    uint8_t last = 0;
    for (uint64_t part = 0; part < FLUSHES; part++) {
        for (uint64_t i = part; i < KEYS; i += FLUSHES)
            put_round(db, i, 0);
        CHECK_OK(omen_flush(db));
    }
    for (uint64_t i = 0; i < KEYS; i += 3)
        put_round(db, i, 1);
    CHECK_OK(omen_put(db, &sync, omi_slice("zz", 2), omi_slice(&last, 1)));
    CHECK_OK(omen_put(db, NULL, omi_slice("zzz", 3), omi_slice(&last, 1)));
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Which round a value of key i is of; -1: neither. */
static int round_of(uint64_t i, omen_slice got)
{
    uint8_t value[VALUE_MAX];
    for (int round = i % 3 == 0; round >= 0; round--) {
        size_t n = value_of(i, (uint64_t)round, value);
        if (omi_bytes_equal(got.data, got.size, value, n))
            return round;
    }
    return -1;
}

static bool is_refusal(omen_err err)
{
    return err == OMEN_CORRUPT || err == OMEN_UNSUPPORTED;
}

struct seen {
    bool error, early;                  /* a read failed; a write of the log is missing */
    uint64_t last_there, first_missing; /* of the log's writes */
};

static void see_value(struct seen *s, uint64_t i, omen_slice got, const char *what)
{
    int round = round_of(i, got);
    if (round < 0)
        fail_now("%s: key %" PRIu64 " has a wrong value", what, i);
    if (i % 3 != 0)
        return;
    if (round == 0) {
        s->early = true;
        if (i < s->first_missing)
            s->first_missing = i;
    } else if (i > s->last_there) {
        s->last_there = i;
    }
}

static void see_gets(omen_db *db, struct seen *s, const char *what)
{
    for (uint64_t k = 0; k < KEYS; k++) {
        omen_value v;
        uint64_t i = keys[k].number;
        omen_err err = omen_get(db, NULL, omi_slice(keys[k].bytes, keys[k].size), &v);
        if (is_refusal(err)) {
            s->error = true;
            continue;
        }
        if (err != OMEN_OK)
            fail_now("%s: key %" PRIu64 " answers %s: %s", what, i, omen_err_name(err),
                     omen_last_error());
        see_value(s, i, omi_slice(v.data, v.size), what);
        omen_value_release(&v);
    }
}

static int64_t number_of(omen_slice key)
{
    size_t low = 0, high = KEYS;
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct model_key *k = &keys[mid];
        int c = omi_bytes_compare(key.data, key.size, k->bytes, k->size);
        if (c == 0)
            return (int64_t)k->number;
        if (c < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return -1;
}

/* A walk either way shows every entry rightly, and all of them unless it says why not. */
static void see_walk(omen_db *db, struct seen *s, bool forward, const char *what)
{
    omen_iter *it;
    uint64_t entries = 0;
    CHECK_OK(omen_iter_open(db, NULL, &it));
    for (forward ? omen_iter_seek_first(it) : omen_iter_seek_last(it); omen_iter_valid(it);
         forward ? omen_iter_next(it) : omen_iter_prev(it)) {
        omen_slice key = omen_iter_key(it);
        int64_t i = number_of(key);
        if (i >= 0) {
            see_value(s, (uint64_t)i, omen_iter_value(it), what);
            entries++;
        } else if (!omi_bytes_equal(key.data, key.size, "zz", 2) &&
                   !omi_bytes_equal(key.data, key.size, "zzz", 3)) {
            fail_now("%s: a scan shows a key that never was", what);
        }
    }
    omen_err err = omen_iter_status(it);
    omen_iter_close(it);
    if (err != OMEN_OK && !is_refusal(err))
        fail_now("%s: a scan ends with %s: %s", what, omen_err_name(err), omen_last_error());
    if (err == OMEN_OK && entries != KEYS)
        fail_now("%s: a scan shows %" PRIu64 " of %d entries and no error", what, entries, KEYS);
    s->error = s->error || err != OMEN_OK;
}

/* tail: the damage lies where only unsynced writes may have been, for all the log can tell. */
static void check_answers(omen_db *db, const char *what, bool tail)
{
    struct seen s = {.first_missing = KEYS};
    see_gets(db, &s, what);
    see_walk(db, &s, true, what);
    see_walk(db, &s, false, what);
    if (s.early && (!tail || s.last_there > s.first_missing))
        fail_now("%s: synced writes are lost, and nothing says so", what);
    detected += s.error;
    earlier += s.early;
    harmless += !s.error && !s.early;
}

static struct omi_env *clone_of(struct omi_env *env)
{
    struct omi_env *clone = omi_sim_crash(env, OMI_CRASH_KEEP_ALL, 1);
    if (clone == NULL)
        fail_now("no memory");
    return clone;
}

/* Opens the damaged copy, reads everything, drops it. */
static void check_one(const struct subject *s, struct omi_env *clone, const char *change, bool tail)
{
    char what[240];
    omen_db *db;
    snprintf(what, sizeof(what), "%s, %s: %s", s->set->name, s->how, change);
    omen_err err = open_db(s->set, clone, &db);
    if (err == OMEN_OK) {
        check_answers(db, what, tail && s->killed);
        CHECK_OK(omen_close(db));
    } else if (is_refusal(err)) {
        detected++;
    } else {
        fail_now("%s: open answers %s: %s", what, omen_err_name(err), omen_last_error());
    }
    omi_sim_destroy(clone);
}

/* ---- changes --------------------------------------------------------------------------------- */

static bool is_log(const char *name)
{
    size_t n = strlen(name);
    return n > 4 && strcmp(name + n - 4, ".log") == 0;
}

static size_t file_read(struct omi_env *env, const char *name, uint64_t off, uint8_t *to,
                        size_t size)
{
    struct omi_dir *dir;
    struct omi_file *file;
    size_t got = 0;
    CHECK_OK(omi_dir_open(env, "/db", false, &dir));
    CHECK_OK(omi_file_open(dir, name, OMI_OPEN_READ, 0, &file));
    CHECK_OK(omi_file_pread(file, to, size, off, &got));
    CHECK_OK(omi_file_close(file));
    omi_dir_close(dir);
    return got;
}

static void file_write(struct omi_env *env, const char *name, uint64_t off, const uint8_t *bytes,
                       size_t size)
{
    struct omi_dir *dir;
    struct omi_file *file;
    CHECK_OK(omi_dir_open(env, "/db", false, &dir));
    CHECK_OK(omi_file_open(dir, name, OMI_OPEN_WRITE, 0, &file));
    CHECK_OK(omi_file_pwrite(file, bytes, size, off));
    CHECK_OK(omi_file_close(file));
    omi_dir_close(dir);
}

static void file_cut(struct omi_env *env, const char *name, uint64_t size)
{
    struct omi_dir *dir;
    struct omi_file *file;
    CHECK_OK(omi_dir_open(env, "/db", false, &dir));
    CHECK_OK(omi_file_open(dir, name, OMI_OPEN_WRITE, 0, &file));
    CHECK_OK(env->ops->file_truncate(file, size));
    CHECK_OK(omi_file_close(file));
    omi_dir_close(dir);
}

static void file_remove(struct omi_env *env, const char *name)
{
    struct omi_dir *dir;
    CHECK_OK(omi_dir_open(env, "/db", false, &dir));
    CHECK_OK(omi_dir_unlink(dir, name));
    omi_dir_close(dir);
}

static void flip_bytes(struct subject *s, const char *name, uint64_t size)
{
    for (uint64_t off = rng_below(&s->rng, step_by); off < size; off += step_by) {
        char what[160];
        unsigned bit = (unsigned)rng_below(&s->rng, 8);
        struct omi_env *clone = clone_of(s->image);
        CHECK_OK(omi_sim_damage(clone, "/db", name, off, bit));
        snprintf(what, sizeof(what), "%s, byte %" PRIu64 ", bit %u", name, off, bit);
        check_one(s, clone, what, false);
    }
}

/* A sector's new contents: 0 zeros, 1 garbage, 2 another sector of the file, 3 one of another file. */
static void sector_fill(struct subject *s, const char *name, uint64_t size, int kind,
                        uint8_t sector[static SECTOR])
{
    const char *from = name;
    memset(sector, 0, SECTOR);
    if (kind == 1)
        value_make(rng_next(&s->rng), SECTOR, sector);
    if (kind < 2)
        return;
    if (kind == 3) {
        uint32_t other = (uint32_t)rng_below(&s->rng, s->files.count);
        from = s->files.names[other];
        size = s->files.sizes[other];
    }
    uint64_t sectors = (size + SECTOR - 1) / SECTOR;
    if (sectors > 0)
        file_read(s->image, from, rng_below(&s->rng, sectors) * SECTOR, sector, SECTOR);
}

static void change_sectors(struct subject *s, const char *name, uint64_t size)
{
    static const char *const kinds[] = {"zeroed", "garbage", "of elsewhere in it",
                                        "of another file"};
    for (uint64_t off = rng_below(&s->rng, step_by) * SECTOR; off < size; off += step_by * SECTOR) {
        for (int kind = 0; kind < 4; kind++) {
            uint8_t sector[SECTOR];
            char what[160];
            size_t n = size - off < SECTOR ? (size_t)(size - off) : SECTOR;
            struct omi_env *clone = clone_of(s->image);
            sector_fill(s, name, size, kind, sector);
            file_write(clone, name, off, sector, n);
            snprintf(what, sizeof(what), "%s, sector at %" PRIu64 " %s", name, off, kinds[kind]);
            check_one(s, clone, what, is_log(name));
        }
    }
}

static void exchange_sectors(struct subject *s, const char *name, uint64_t size)
{
    uint64_t whole = size / SECTOR;
    for (uint64_t i = rng_below(&s->rng, step_by); whole > 1 && i < whole; i += step_by) {
        uint8_t a[SECTOR], b[SECTOR];
        char what[160];
        uint64_t j = (i + 1 + rng_below(&s->rng, whole - 1)) % whole;
        struct omi_env *clone = clone_of(s->image);
        file_read(clone, name, i * SECTOR, a, SECTOR);
        file_read(clone, name, j * SECTOR, b, SECTOR);
        file_write(clone, name, i * SECTOR, b, SECTOR);
        file_write(clone, name, j * SECTOR, a, SECTOR);
        snprintf(what, sizeof(what), "%s, sectors %" PRIu64 " and %" PRIu64 " exchanged", name, i,
                 j);
        check_one(s, clone, what, is_log(name));
    }
}

static void cut_file(struct subject *s, const char *name, uint64_t size)
{
    for (uint64_t at = rng_below(&s->rng, step_by) * SECTOR; at < size; at += step_by * SECTOR) {
        uint64_t sizes[2] = {at, at + 1 + rng_below(&s->rng, SECTOR - 1)};
        for (int i = 0; i < 2 && sizes[i] < size; i++) {
            char what[160];
            struct omi_env *clone = clone_of(s->image);
            file_cut(clone, name, sizes[i]);
            snprintf(what, sizeof(what), "%s, cut to %" PRIu64 " bytes", name, sizes[i]);
            check_one(s, clone, what, is_log(name));
        }
    }
}

static void remove_and_exchange(struct subject *s, uint32_t f)
{
    char what[160];
    const char *name = s->files.names[f];
    struct omi_env *clone = clone_of(s->image);
    file_remove(clone, name);
    snprintf(what, sizeof(what), "%s, removed", name);
    check_one(s, clone, what, is_log(name));
    for (uint32_t g = 0; g < s->files.count; g++) {
        if (g == f)
            continue;
        size_t size = (size_t)s->files.sizes[g];
        uint8_t *bytes = malloc(size + 1);
        if (bytes == NULL)
            fail_now("no memory");
        clone = clone_of(s->image);
        size = file_read(clone, s->files.names[g], 0, bytes, size);
        file_cut(clone, name, 0);
        file_write(clone, name, 0, bytes, size);
        free(bytes);
        snprintf(what, sizeof(what), "%s, replaced by %s", name, s->files.names[g]);
        check_one(s, clone, what, is_log(name));
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static omen_err list_one(void *ctx, const struct omi_dir_entry *e)
{
    struct file_list *l = ctx;
    if (strcmp(e->name, "LOCK") == 0 || strncmp(e->name, "LOG", 3) == 0 ||
        strcmp(e->name, "STATS") == 0 || l->count == FILES_MAX)
        return OMEN_OK; /* for people */
    snprintf(l->names[l->count], sizeof(l->names[0]), "%s", e->name);
    l->sizes[l->count++] = e->bytes;
    return OMEN_OK;
}

static void sweep(struct subject *s)
{
    struct omi_dir *dir;
    CHECK_OK(omi_dir_open(s->image, "/db", false, &dir));
    CHECK_OK(omi_dir_list(dir, list_one, &s->files));
    omi_dir_close(dir);
    uint64_t bytes = 0, before = detected + harmless + earlier;
    for (uint32_t f = 0; f < s->files.count; f++) {
        const char *name = s->files.names[f];
        uint64_t size = s->files.sizes[f];
        flip_bytes(s, name, size);
        change_sectors(s, name, size);
        exchange_sectors(s, name, size);
        cut_file(s, name, size);
        remove_and_exchange(s, f);
        bytes += size;
    }
    printf("damage: %-12s %-8s %3u files, %7" PRIu64 " bytes, %8" PRIu64 " changes\n", s->set->name,
           s->how, s->files.count, bytes, detected + harmless + earlier - before);
    fflush(stdout);
}

static void run_set(const struct set *set, uint64_t seed)
{
    struct omi_env *env = omi_sim_create(seed);
    omen_db *db;
    if (env == NULL)
        fail_now("no memory");
    CHECK_OK(open_db(set, env, &db));
    fill(db);
    struct subject killed = {
        .set = set, .how = "killed", .image = clone_of(env), .rng = {seed}, .killed = true};
    CHECK_OK(omen_close(db));
    struct subject closed = {.set = set, .how = "closed", .image = env, .rng = {seed + 1}};
    sweep(&killed);
    sweep(&closed);
    omi_sim_destroy(killed.image);
    omi_sim_destroy(env);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--step") == 0)
            step_by = strtoull(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--seed") == 0)
            seed = strtoull(argv[i + 1], NULL, 10);
    }
    if (step_by == 0)
        step_by = 1;
    make_keys();
    replay_set("damage --step %" PRIu64 " --seed %" PRIu64, step_by, seed);
    for (size_t i = 0; i < SETS; i++)
        run_set(&sets[i], seed);
    printf("damage: %" PRIu64 " changes, %" PRIu64 " detected, %" PRIu64 " harmless, %" PRIu64
           " of a torn tail, 0 wrong answers\n",
           detected + harmless + earlier, detected, harmless, earlier);
    if (detected == 0)
        fail_now("nothing was detected: the run proves nothing");
    return 0;
}

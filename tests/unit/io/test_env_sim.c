#include "tests/unit/io/env_pair.h"

#include <stdio.h>

static struct omi_env *env;
static struct omi_dir *dir;

static void setup(void)
{
    env = omi_sim_create(7);
    cr_assert_not_null(env);
    must(omi_dir_open(env, "/db", true, &dir));
}

static void teardown(void)
{
    omi_dir_close(dir);
    omi_sim_destroy(env);
}

TestSuite(env_sim, .init = setup, .fini = teardown, .timeout = 10);

/* ---- a crashed copy, looked at --------------------------------------------------------------- */

struct after {
    struct omi_env *env;
    struct omi_dir *dir;
};

static struct after crash_of(struct omi_env *of, enum omi_crash_mode mode, uint64_t seed)
{
    struct after a = {.env = omi_sim_crash(of, mode, seed)};
    cr_assert_not_null(a.env);
    must(omi_dir_open(a.env, "/db", false, &a.dir));
    return a;
}

static struct after crash(enum omi_crash_mode mode, uint64_t seed)
{
    return crash_of(env, mode, seed);
}

static void after_fini(struct after *a)
{
    omi_dir_close(a->dir);
    omi_sim_destroy(a->env);
}

/* Contents for bigger files; freed by the caller. */
static uint8_t *contents(struct omi_dir *d, const char *name, size_t *size)
{
    uint8_t *bytes = NULL;
    must(omi_file_read_all(d, name, 1 << 24, &bytes, size));
    return bytes;
}

/* The file "a": 8 KiB of 'o', synced with its name, then appends and overwrites of 'n' pending. */
static struct omi_file *file_half_pending(void)
{
    static uint8_t bytes[16384];
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    memset(bytes, 'o', 8192);
    must(omi_file_pwrite(file, bytes, 8192, 0));
    must(omi_file_sync(file));
    must(omi_dir_sync(dir));
    memset(bytes, 'n', sizeof(bytes));
    must(omi_file_pwrite(file, bytes, 4096, 4096));
    for (uint64_t off = 8192; off < 24576; off += 1024)
        must(omi_file_pwrite(file, bytes, 1024, off));
    return file;
}

/* ---- names and data -------------------------------------------------------------------------- */

Test(env_sim, strict_keeps_what_was_synced_and_nothing_else)
{
    file_put(dir, "synced", "all", 3, true);
    file_put(dir, "nameless_data", "x", 1, false);
    must(omi_dir_sync(dir));
    file_put(dir, "late", "data synced, name not", 21, true);
    must(omi_dir_rename(dir, "synced", "renamed"));
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "renamed", OMI_OPEN_WRITE, 0, &file));
    must(omi_file_pwrite(file, "ALL of it", 9, 0));

    struct after a = crash(OMI_CRASH_STRICT, 1);
    cr_assert_str_eq(file_text(a.dir, "synced"), "all", "neither renamed nor overwritten");
    cr_assert_str_eq(file_text(a.dir, "renamed"), "-");
    cr_assert_str_eq(file_text(a.dir, "nameless_data"), "", "a name without data");
    cr_assert_str_eq(file_text(a.dir, "late"), "-");
    after_fini(&a);

    must(omi_dir_sync(dir));
    must(omi_file_sync(file));
    must(omi_file_close(file));
    a = crash(OMI_CRASH_STRICT, 1);
    cr_assert_str_eq(file_text(a.dir, "renamed"), "ALL of it");
    cr_assert_str_eq(file_text(a.dir, "synced"), "-");
    cr_assert_str_eq(file_text(a.dir, "late"), "data synced, name not");
    after_fini(&a);
}

Test(env_sim, the_original_goes_on_undisturbed_by_its_clones)
{
    struct omi_file *file = file_half_pending();
    struct after a = crash(OMI_CRASH_KEEP_ALL, 1);
    struct omi_file *other = NULL;
    must(omi_file_open(a.dir, "a", OMI_OPEN_WRITE, 0, &other));
    must(omi_file_pwrite(other, "clone", 5, 0));
    must(omi_file_sync(other));
    must(omi_file_close(other));
    must(omi_file_pwrite(file, "orig!", 5, 8192));
    size_t size = 0;
    uint8_t *mine = contents(dir, "a", &size);
    cr_assert_eq(mine[0], 'o');
    cr_assert_eq(memcmp(mine + 8192, "orig!", 5), 0);
    free(mine);
    uint8_t *theirs = contents(a.dir, "a", &size);
    cr_assert_eq(memcmp(theirs, "clone", 5), 0);
    cr_assert_eq(theirs[8192], 'n');
    free(theirs);
    after_fini(&a);
    must(omi_file_close(file));
}

Test(env_sim, keep_all_is_a_process_kill_and_a_power_loss_may_follow)
{
    struct omi_file *file = file_half_pending();
    file_put(dir, "b", "bb", 2, false);
    struct after a = crash(OMI_CRASH_KEEP_ALL, 1);
    size_t size = 0;
    uint8_t *bytes = contents(a.dir, "a", &size);
    cr_assert_eq(size, 24576);
    cr_assert(bytes[0] == 'o' && bytes[4096] == 'n' && bytes[24575] == 'n');
    free(bytes);
    cr_assert_str_eq(file_text(a.dir, "b"), "bb");

    struct after b = crash_of(a.env, OMI_CRASH_STRICT, 2);
    bytes = contents(b.dir, "a", &size);
    cr_assert_eq(size, 8192);
    cr_assert_eq(bytes[4096], 'o');
    free(bytes);
    cr_assert_str_eq(file_text(b.dir, "b"), "-");
    after_fini(&b);
    after_fini(&a);
    must(omi_file_close(file));
}

Test(env_sim, prefix_keeps_the_first_writes_in_order)
{
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    must(omi_dir_sync(dir));
    for (uint64_t i = 0; i < 10; i++)
        must(omi_file_pwrite(file, &"0123456789"[i], 1, i));
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct after a = crash(OMI_CRASH_PREFIX, seed);
        const char *text = file_text(a.dir, "a");
        cr_assert_eq(strncmp(text, "0123456789", strlen(text)), 0, "seed %u: %s", (unsigned)seed,
                     text);
        seen |= 1u << strlen(text);
        after_fini(&a);
    }
    cr_assert_eq(seen, (1u << 11) - 1, "every length happens: %x", seen);
    must(omi_file_close(file));
}

Test(env_sim, prefix_keeps_the_first_names_in_order)
{
    static const char *const names[] = {"n0", "n1", "n2", "n3", "n4"};
    for (size_t i = 0; i < 5; i++)
        file_put(dir, names[i], "", 0, false);
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct after a = crash(OMI_CRASH_PREFIX, seed);
        unsigned kept = 0;
        while (kept < 5 && file_exists(a.dir, names[kept]))
            kept++;
        for (unsigned i = kept; i < 5; i++)
            cr_assert(!file_exists(a.dir, names[i]));
        seen |= 1u << kept;
        after_fini(&a);
    }
    cr_assert_eq(seen, 63u);
}

/* How many of the writes of 1 KiB a unit has seen; nothing else may be there. */
static size_t unit_check(const uint8_t *unit, size_t bytes, uint8_t before)
{
    size_t seen = 0;
    while (seen < bytes && unit[seen] == 'n')
        seen++;
    cr_assert(seen == bytes || seen % 1024 == 0);
    for (size_t i = seen; i < bytes; i++)
        cr_assert_eq(unit[i], before);
    return seen;
}

/* Every unit of the pending part is as at a moment of its own; the synced rest stays. */
static void units_are_of_some_moment(enum omi_crash_mode mode, size_t unit_bytes, bool between)
{
    struct omi_file *file = file_half_pending();
    unsigned old_units = 0, new_units = 0, between_units = 0, short_files = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct after a = crash(mode, seed);
        size_t size = 0;
        uint8_t *bytes = contents(a.dir, "a", &size);
        short_files += size == 8192;
        cr_assert(size == 8192 || size == 24576, "%zu", size);
        for (size_t i = 0; i < 4096; i++)
            cr_assert_eq(bytes[i], 'o');
        for (size_t off = 4096; off < size; off += unit_bytes) {
            size_t seen = unit_check(bytes + off, unit_bytes, off < 8192 ? 'o' : 0);
            cr_assert(off >= 8192 || seen == 0 || seen == unit_bytes, "one write is whole");
            new_units += seen == unit_bytes;
            old_units += seen == 0;
            between_units += seen != 0 && seen != unit_bytes;
        }
        free(bytes);
        after_fini(&a);
    }
    cr_assert(old_units > 50 && new_units > 50 && short_files > 0 && short_files < 50);
    cr_assert_eq(between_units > 5, between);
    must(omi_file_close(file));
}

Test(env_sim, pages_are_old_new_or_between_on_their_own)
{
    units_are_of_some_moment(OMI_CRASH_PAGES, 4096, true);
}

Test(env_sim, sectors_are_old_or_new_on_their_own)
{
    units_are_of_some_moment(OMI_CRASH_SECTORS, 512, false);
}

/* A cut and what was written over the place: with the old size the old bytes, or pages that were
 * written since; with the new one nothing of what was cut off. */
Test(env_sim, a_pending_cut_of_pages_goes_with_the_size)
{
    static uint8_t bytes[8192];
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    memset(bytes, 'o', sizeof(bytes));
    must(omi_file_pwrite(file, bytes, 8192, 0));
    must(omi_file_sync(file));
    must(omi_dir_sync(dir));
    must(env->ops->file_truncate(file, 2048));
    memset(bytes, 'n', sizeof(bytes));
    must(omi_file_pwrite(file, bytes, 4096, 2048));
    unsigned sizes = 0;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct after a = crash(OMI_CRASH_PAGES, seed);
        size_t size = 0;
        uint8_t *left = contents(a.dir, "a", &size);
        cr_assert(size == 8192 || size == 6144, "%zu", size);
        uint8_t cut = size == 8192 ? 'o' : 0;
        cr_assert_eq(left[2047], 'o');
        cr_assert(left[2048] == 'n' || left[2048] == cut);
        cr_assert(left[6143] == 'n' || left[6143] == cut);
        cr_assert(size == 6144 || left[6144] == 'o');
        sizes |= size == 8192 ? 1u : 2u;
        free(left);
        after_fini(&a);
    }
    cr_assert_eq(sizes, 3u);
    must(omi_file_close(file));
}

Test(env_sim, torn_cuts_the_last_write_at_a_sector)
{
    static uint8_t bytes[3000];
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    must(omi_dir_sync(dir));
    memset(bytes, 'x', sizeof(bytes));
    must(omi_file_pwrite(file, bytes, 700, 0));
    must(omi_file_pwrite(file, bytes, 3000, 700));
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct after a = crash(OMI_CRASH_TORN, seed);
        size_t size = 0;
        free(contents(a.dir, "a", &size));
        cr_assert(size == 700 || (size % 512 == 0 && size > 700 && size < 3700), "%zu", size);
        seen |= 1u << (size / 512);
        after_fini(&a);
    }
    cr_assert_eq(seen, 0xfeu, "cuts at every sector: %x", seen);
    must(omi_file_close(file));
}

Test(env_sim, sizes_grow_over_zeros_or_garbage)
{
    struct omi_file *file = file_half_pending();
    unsigned zeros = 0, garbage = 0;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct after a = crash(OMI_CRASH_SIZE, seed);
        size_t size = 0;
        uint8_t *bytes = contents(a.dir, "a", &size);
        cr_assert_eq(size, 24576);
        cr_assert_eq(bytes[4095], 'o', "what was not pending stays");
        for (size_t off = 4096; off < size; off += 512) {
            unsigned clear = 0;
            for (size_t i = 0; i < 512; i++)
                clear += bytes[off + i] == 0;
            cr_assert(clear == 512 || clear < 64);
            zeros += clear == 512;
            garbage += clear != 512;
        }
        free(bytes);
        after_fini(&a);
    }
    cr_assert(zeros > 50 && garbage > 50);
    must(omi_file_close(file));
}

Test(env_sim, names_are_a_subset_but_changes_of_one_name_keep_their_order)
{
    file_put(dir, "old", "o", 1, true);
    must(omi_dir_sync(dir));
    file_put(dir, "tmp", "t", 1, false);
    must(omi_dir_rename(dir, "tmp", "CURRENT"));
    must(omi_dir_unlink(dir, "old"));
    unsigned seen = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct after a = crash(OMI_CRASH_NAMES, seed);
        bool tmp = file_exists(a.dir, "tmp"), current = file_exists(a.dir, "CURRENT");
        cr_assert(!(tmp && current), "a rename is atomic");
        if (tmp || current)
            cr_assert_str_eq(file_text(a.dir, tmp ? "tmp" : "CURRENT"), "t", "data is kept");
        seen |= 1u << (tmp + 2 * current + 3 * file_exists(a.dir, "old"));
        after_fini(&a);
    }
    cr_assert_eq(seen, 63u, "also an unlink that overtook the rename: %x", seen);
}

Test(env_sim, mixed_draws_for_each_file_on_its_own)
{
    for (unsigned i = 0; i < 8; i++) {
        char name[8];
        snprintf(name, sizeof(name), "f%u", i);
        file_put(dir, name, "0123456789", 10, false);
    }
    must(omi_dir_sync(dir));
    bool both = false;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct after a = crash(OMI_CRASH_MIXED, seed);
        unsigned kept = 0, lost = 0;
        for (unsigned i = 0; i < 8; i++) {
            char name[8];
            snprintf(name, sizeof(name), "f%u", i);
            const char *text = file_text(a.dir, name);
            kept += strcmp(text, "0123456789") == 0;
            lost += strcmp(text, "") == 0;
        }
        both = both || (kept > 0 && lost > 0);
        after_fini(&a);
    }
    cr_assert(both);
}

Test(env_sim, the_same_seed_leaves_the_same_bytes)
{
    struct omi_file *file = file_half_pending();
    for (int mode = 0; mode < OMI_CRASH_MODES; mode++) {
        for (uint64_t seed = 0; seed < 10; seed++) {
            struct after a = crash((enum omi_crash_mode)mode, seed);
            struct after b = crash((enum omi_crash_mode)mode, seed);
            size_t a_size = 0, b_size = 0;
            uint8_t *x = contents(a.dir, "a", &a_size), *y = contents(b.dir, "a", &b_size);
            cr_assert_eq(a_size, b_size);
            cr_assert_eq(memcmp(x, y, a_size), 0);
            free(x);
            free(y);
            after_fini(&a);
            after_fini(&b);
        }
    }
    must(omi_file_close(file));
}

Test(env_sim, truncates_are_pending_too)
{
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    must(omi_file_pwrite(file, "0123456789", 10, 0));
    must(omi_file_sync(file));
    must(omi_dir_sync(dir));
    must(env->ops->file_truncate(file, 3));
    cr_assert_str_eq(file_text(dir, "a"), "012");
    struct after a = crash(OMI_CRASH_STRICT, 1);
    cr_assert_str_eq(file_text(a.dir, "a"), "0123456789");
    after_fini(&a);
    must(omi_file_sync(file));
    a = crash(OMI_CRASH_STRICT, 1);
    cr_assert_str_eq(file_text(a.dir, "a"), "012");
    after_fini(&a);
    must(omi_file_close(file));
}

Test(env_sim, replace_leaves_old_or_new_whatever_the_crash)
{
    must(omi_file_replace(dir, "CURRENT", "old", 3));
    for (int mode = 0; mode < OMI_CRASH_MODES; mode++)
        for (uint64_t seed = 0; seed < 20; seed++) {
            struct after a = crash((enum omi_crash_mode)mode, seed);
            must(omi_file_replace(a.dir, "CURRENT", "new contents", 12));
            struct after b = crash_of(a.env, (enum omi_crash_mode)mode, seed);
            cr_assert_str_eq(file_text(b.dir, "CURRENT"), "new contents");
            after_fini(&b);
            after_fini(&a);
        }
}

struct replay {
    struct omi_env *env;
    unsigned crashes;
};

static void crash_each_way(void *ctx, uint64_t number)
{
    struct replay *r = ctx;
    for (int mode = 0; mode < OMI_CRASH_MODES; mode++)
        for (uint64_t seed = 0; seed < 5; seed++) {
            struct after a = crash_of(r->env, (enum omi_crash_mode)mode, seed * 1000 + number);
            const char *text = file_text(a.dir, "CURRENT");
            cr_assert(strcmp(text, "old") == 0 || strcmp(text, "new contents") == 0,
                      "step %u mode %d seed %u: \"%s\"", (unsigned)number, mode, (unsigned)seed,
                      text);
            r->crashes++;
            after_fini(&a);
        }
}

Test(env_sim, a_crash_at_any_step_of_replace_leaves_old_or_new)
{
    must(omi_file_replace(dir, "CURRENT", "old", 3));
    struct replay r = {.env = env};
    uint64_t before = omi_sim_steps(env);
    omi_sim_on_step(env, crash_each_way, &r);
    must(omi_file_replace(dir, "CURRENT", "new contents", 12));
    omi_sim_on_step(env, NULL, NULL);
    cr_assert_eq(omi_sim_steps(env) - before, 6, "unlink create write sync rename dir_sync");
    cr_assert_eq(r.crashes, 6 * 5 * OMI_CRASH_MODES);
}

Test(env_sim, a_missing_sync_shows)
{
    must(omi_file_replace(dir, "CURRENT", "old", 3));
    omi_sim_ignore_dir_sync(env, true);
    must(omi_file_replace(dir, "CURRENT", "new", 3));
    struct after a = crash(OMI_CRASH_STRICT, 1);
    cr_assert_str_eq(file_text(a.dir, "CURRENT"), "old");
    after_fini(&a);
    omi_sim_ignore_dir_sync(env, false);
    omi_sim_ignore_file_sync(env, true);
    must(omi_file_replace(dir, "CURRENT", "newer", 5));
    a = crash(OMI_CRASH_STRICT, 1);
    cr_assert_str_eq(file_text(a.dir, "CURRENT"), "");
    after_fini(&a);
}

Test(env_sim, a_clone_holds_no_locks)
{
    struct omi_file *lock = NULL, *second = NULL;
    must(omi_dir_lock(dir, "LOCK", &lock));
    must(omi_dir_sync(dir));
    struct after a = crash(OMI_CRASH_STRICT, 1);
    must(omi_dir_lock(a.dir, "LOCK", &second));
    must(omi_file_close(second));
    after_fini(&a);
    must(omi_file_close(lock));
}

Test(env_sim, links_to_other_directories_are_pending_there)
{
    struct omi_dir *copy = NULL;
    must(omi_dir_open(env, "/copy", true, &copy));
    file_put(dir, "a", "data", 4, true);
    must(omi_dir_sync(dir));
    must(omi_dir_link(dir, "a", copy, "a"));
    must(omi_dir_sync(dir));
    for (int synced = 0; synced < 2; synced++) {
        struct omi_env *left = omi_sim_crash(env, OMI_CRASH_STRICT, 1);
        struct omi_dir *d = NULL;
        must(omi_dir_open(left, "/copy", false, &d));
        cr_assert_str_eq(file_text(d, "a"), synced ? "data" : "-");
        omi_dir_close(d);
        omi_sim_destroy(left);
        must(omi_dir_sync(copy));
    }
    omi_dir_close(copy);
}

/* ---- faults ---------------------------------------------------------------------------------- */

Test(env_sim, the_nth_call_fails_and_then_no_more_unless_persistent)
{
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    char buffer[8];
    size_t got = 0;
    must(omi_file_pwrite(file, "01234567", 8, 0));
    uint64_t calls = omi_sim_calls(env, OMI_FAULT_READ);
    omi_sim_fail(env, OMI_FAULT_READ, 3, false);
    for (int i = 1; i <= 5; i++)
        cr_assert_eq(env->ops->file_pread(file, buffer, 8, 0, &got), i == 3 ? OMEN_IO : OMEN_OK);
    cr_assert_eq(omi_sim_calls(env, OMI_FAULT_READ), calls + 5);
    omi_sim_fail(env, OMI_FAULT_READ, 2, true);
    for (int i = 1; i <= 5; i++)
        cr_assert_eq(env->ops->file_pread(file, buffer, 8, 0, &got), i >= 2 ? OMEN_IO : OMEN_OK);
    omi_sim_fail(env, OMI_FAULT_READ, 0, false);
    must(omi_file_pread(file, buffer, 8, 0, &got));

    struct omi_read reads[3];
    for (int i = 0; i < 3; i++)
        reads[i] = (struct omi_read){.file = file, .buffer = buffer, .size = 8};
    omi_sim_fail(env, OMI_FAULT_READ, 2, false);
    env->ops->read_batch(env, reads, 3);
    cr_assert(reads[0].err == OMEN_OK && reads[1].err == OMEN_IO && reads[2].err == OMEN_OK);
    must(omi_file_close(file));
}

Test(env_sim, a_failed_write_has_written_half)
{
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    omi_sim_fail(env, OMI_FAULT_WRITE, 1, false);
    cr_assert_eq(omi_file_pwrite(file, "01234567", 8, 0), OMEN_IO);
    cr_assert(strstr(omen_last_error(), "/db/a") != NULL, "%s", omen_last_error());
    cr_assert_str_eq(file_text(dir, "a"), "0123");
    must(omi_file_close(file));
}

Test(env_sim, after_a_failed_sync_data_shows_but_never_becomes_durable)
{
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    must(omi_dir_sync(dir));
    must(omi_file_pwrite(file, "aaaa", 4, 0));
    must(omi_file_sync(file));
    must(omi_file_pwrite(file, "bbbb", 4, 4));
    omi_sim_fail(env, OMI_FAULT_SYNC, 1, false);
    cr_assert_eq(omi_file_sync(file), OMEN_IO);
    must(omi_file_sync(file)); /* the trap: it reports success */
    cr_assert_str_eq(file_text(dir, "a"), "aaaabbbb");
    struct after a = crash(OMI_CRASH_NAMES, 1); /* keeps all that is pending */
    cr_assert_str_eq(file_text(a.dir, "a"), "aaaa");
    after_fini(&a);
    a = crash(OMI_CRASH_KEEP_ALL, 1); /* a process kill: the page cache still has it */
    cr_assert_str_eq(file_text(a.dir, "a"), "aaaabbbb");
    after_fini(&a);
    must(omi_file_pwrite(file, "bbbb", 4, 4));
    must(omi_file_sync(file));
    a = crash(OMI_CRASH_STRICT, 1);
    cr_assert_str_eq(file_text(a.dir, "a"), "aaaabbbb", "rewritten, then synced");
    after_fini(&a);
    must(omi_file_close(file));
}

Test(env_sim, a_failed_change_of_a_name_changes_nothing)
{
    file_put(dir, "a", "1", 1, true);
    must(omi_dir_sync(dir));
    struct omi_file *file = NULL;
    omi_sim_fail(env, OMI_FAULT_NAME, 1, true);
    cr_assert_eq(omi_file_open(dir, "b", OMI_OPEN_CREATE, 0, &file), OMEN_IO);
    cr_assert_eq(omi_dir_rename(dir, "a", "c"), OMEN_IO);
    cr_assert_eq(omi_dir_unlink(dir, "a"), OMEN_IO);
    cr_assert_eq(omi_dir_link(dir, "a", dir, "d"), OMEN_IO);
    cr_assert_eq(omi_dir_sync(dir), OMEN_IO);
    omi_sim_fail(env, OMI_FAULT_NAME, 0, false);
    cr_assert_str_eq(file_text(dir, "a"), "1");
    cr_assert(!file_exists(dir, "b") && !file_exists(dir, "c") && !file_exists(dir, "d"));
}

Test(env_sim, a_failed_replace_keeps_the_old_and_the_first_words)
{
    must(omi_file_replace(dir, "CURRENT", "old", 3));
    static const enum omi_sim_fault kinds[] = {OMI_FAULT_WRITE, OMI_FAULT_SYNC};
    for (size_t i = 0; i < 2; i++) {
        omi_sim_fail(env, kinds[i], 1, false);
        cr_assert_eq(omi_file_replace(dir, "CURRENT", "new", 3), OMEN_IO);
        cr_assert(strstr(omen_last_error(), "CURRENT.tmp") != NULL, "%s", omen_last_error());
        cr_assert_str_eq(file_text(dir, "CURRENT"), "old");
        cr_assert(!file_exists(dir, "CURRENT.tmp"));
    }
    must(omi_file_replace(dir, "CURRENT", "new", 3));
    cr_assert_str_eq(file_text(dir, "CURRENT"), "new");
}

static unsigned bits_of(unsigned v)
{
    unsigned n = 0;
    for (; v != 0; v &= v - 1)
        n++;
    return n;
}

Test(env_sim, a_flip_changes_one_bit_of_one_read)
{
    file_put(dir, "a", "01234567", 8, true);
    struct omi_file *file = NULL;
    uint8_t buffer[8];
    size_t got = 0;
    must(omi_file_open(dir, "a", OMI_OPEN_READ, 0, &file));
    omi_sim_fail(env, OMI_FAULT_FLIP, 1, false);
    must(omi_file_pread(file, buffer, 8, 0, &got));
    unsigned flipped = 0;
    for (size_t i = 0; i < 8; i++)
        flipped += bits_of((unsigned)(buffer[i] ^ (uint8_t)('0' + i)));
    cr_assert_eq(flipped, 1);
    must(omi_file_close(file));
    cr_assert_str_eq(file_text(dir, "a"), "01234567", "the file itself is whole");
}

Test(env_sim, damage_stays_in_memory_and_on_disk)
{
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    must(omi_dir_sync(dir));
    must(omi_file_pwrite(file, "aaaa", 4, 0));
    must(omi_file_sync(file));
    must(omi_file_pwrite(file, "aaaa", 4, 4));
    must(omi_sim_damage(env, "/db", "a", 1, 1)); /* 'a' ^ 2 is 'c' */
    must(omi_sim_damage(env, "/db", "a", 5, 1));
    cr_assert_str_eq(file_text(dir, "a"), "acaaacaa");
    must(omi_file_sync(file));
    struct after a = crash(OMI_CRASH_STRICT, 1);
    cr_assert_str_eq(file_text(a.dir, "a"), "acaaacaa");
    after_fini(&a);
    cr_assert_eq(omi_sim_damage(env, "/db", "a", 8, 0), OMEN_INVALID);
    cr_assert_eq(omi_sim_damage(env, "/db", "b", 0, 0), OMEN_NOT_FOUND);
    must(omi_file_close(file));
}

Test(env_sim, a_full_disk_takes_what_fits_and_comes_back_with_space)
{
    struct omi_file *file = NULL;
    uint64_t space = 0;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    omi_sim_capacity(env, omi_sim_used(env) + 10);
    must(omi_dir_space(dir, &space));
    cr_assert_eq(space, 10);
    must(omi_file_pwrite(file, "01234567", 8, 0));
    cr_assert_eq(env->ops->file_allocate(file, 100), OMEN_FULL);
    cr_assert_eq(omi_file_pwrite(file, "89abcdef", 8, 8), OMEN_FULL);
    cr_assert(strstr(omen_last_error(), "/db/a") != NULL, "%s", omen_last_error());
    cr_assert_str_eq(file_text(dir, "a"), "0123456789", "reads go on");
    cr_assert_eq(omi_file_pwrite(file, "x", 1, 10), OMEN_FULL);
    must(omi_file_sync(file));
    omi_sim_capacity(env, UINT64_MAX);
    must(omi_file_pwrite(file, "89abcdef", 8, 8));
    cr_assert_str_eq(file_text(dir, "a"), "0123456789abcdef");
    must(omi_file_close(file));
}

Test(env_sim, time_is_a_counter_and_there_are_no_threads)
{
    struct omi_env *other = omi_sim_create(7);
    struct omi_env *third = omi_sim_create(8);
    uint64_t a[2], b[2], c[2];
    env->ops->random(env, a, sizeof(a));
    other->ops->random(other, b, sizeof(b));
    third->ops->random(third, c, sizeof(c));
    cr_assert_eq(memcmp(a, b, sizeof(a)), 0, "the same seed");
    cr_assert_neq(memcmp(a, c, sizeof(a)), 0);
    uint64_t before = omi_now_ns(other);
    other->ops->sleep_us(other, 3600000000u);
    uint64_t gone = omi_now_ns(other) - before;
    cr_assert(gone >= UINT64_C(3600000000000) && gone < UINT64_C(3600001000000));
    void *thread = NULL;
    cr_assert_eq(other->ops->thread_start(other, NULL, NULL, &thread), OMEN_UNSUPPORTED);
    omi_sim_destroy(other);
    omi_sim_destroy(third);
}

/* Random writes, truncates and syncs against a plain array: current contents always agree, and a
 * strict crash gives the array as of the last sync. */
Test(env_sim, random_changes_agree_with_a_plain_array)
{
    enum { BYTES = 20000, ROUNDS = 3000 };
    static uint8_t now[BYTES], durable[BYTES], piece[6000];
    size_t now_size = 0, durable_size = 0;
    const char *given = getenv("OMENDB_TEST_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 42, state = seed;
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    must(omi_dir_sync(dir));
    for (unsigned i = 0; i < ROUNDS; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t r = state >> 20;
        size_t off = (size_t)(r % 14000), size = (size_t)(r / 14000 % sizeof(piece));
        if (r % 10 < 6) {
            memset(piece, (int)(i & 0xff), size);
            must(omi_file_pwrite(file, piece, size, off));
            memset(now + off, (int)(i & 0xff), size);
            if (size != 0 && off + size > now_size)
                now_size = off + size;
        } else if (r % 10 == 6) {
            must(env->ops->file_truncate(file, off));
            memset(now + off, 0, BYTES - off);
            now_size = off;
        } else if (r % 10 == 7) {
            must(omi_file_sync(file));
            memcpy(durable, now, BYTES);
            durable_size = now_size;
        }
        if (i % 5 != 0)
            continue;
        struct after a = crash(OMI_CRASH_STRICT, i);
        size_t got = 0;
        uint8_t *bytes = contents(a.dir, "a", &got);
        cr_assert(got == durable_size && memcmp(bytes, durable, got) == 0,
                  "round %u; replay with OMENDB_TEST_SEED=%llu", i, (unsigned long long)seed);
        free(bytes);
        after_fini(&a);
        bytes = contents(dir, "a", &got);
        cr_assert(got == now_size && memcmp(bytes, now, got) == 0,
                  "round %u; replay with OMENDB_TEST_SEED=%llu", i, (unsigned long long)seed);
        free(bytes);
    }
    must(omi_file_close(file));
}

/* A crash harness makes tens of thousands of clones. */
Test(env_sim, clones_are_cheap)
{
    static uint8_t bytes[16384];
    char name[16];
    for (unsigned i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "%06u.sst", i);
        file_put(dir, name, bytes, sizeof(bytes), i % 2 == 0);
    }
    must(omi_dir_sync(dir));
    struct omi_env *clock = omi_env_posix(OMEN_IO_ENGINE_AUTO);
    uint64_t start = omi_now_ns(clock);
    for (uint64_t seed = 0; seed < 450; seed++) {
        struct omi_env *left =
            omi_sim_crash(env, (enum omi_crash_mode)(seed % OMI_CRASH_MODES), seed);
        cr_assert_not_null(left);
        omi_sim_destroy(left);
    }
    uint64_t each_us = (omi_now_ns(clock) - start) / 450 / 1000;
    fprintf(stderr, "a clone of 480 KiB in 30 files: %u us\n", (unsigned)each_us);
    cr_assert_lt(each_us, 5000);
}

#include "tests/unit/io/env_pair.h"

#include <stdio.h>

/* Each kind of fault that the simulated env injects does what its line in env_sim.h says; those of
 * reads, writes, syncs and names that are plain errors are in test_env_sim.c. */

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

TestSuite(sim_fault, .init = setup, .fini = teardown, .timeout = 10);

/* The file as a crash would leave it. */
static const char *text_after(enum omi_crash_mode mode, const char *name)
{
    struct omi_env *left = omi_sim_crash(env, mode, 1);
    struct omi_dir *d = NULL;
    cr_assert_not_null(left);
    must(omi_dir_open(left, "/db", false, &d));
    const char *text = file_text(d, name);
    omi_dir_close(d);
    omi_sim_destroy(left);
    return text;
}

/* "a" with its name durable, aaaa synced and bbbb pending behind it. */
static struct omi_file *file_with_pending(void)
{
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    must(omi_dir_sync(dir));
    must(omi_file_pwrite(file, "aaaa", 4, 0));
    must(omi_file_sync(file));
    must(omi_file_pwrite(file, "bbbb", 4, 4));
    return file;
}

/* ---- errors ---------------------------------------------------------------------------------- */

Test(sim_fault, without_descriptors_nothing_opens_and_nothing_is_made)
{
    file_put(dir, "a", "1", 1, true);
    struct omi_file *file = NULL;
    struct omi_dir *other = NULL;
    char buffer[1];
    size_t got = 0;
    must(omi_file_open(dir, "a", OMI_OPEN_READ, 0, &file));
    struct omi_file *open = file;
    uint64_t faults = omi_sim_faults(env), calls = omi_sim_calls(env, OMI_FAULT_OPEN);
    omi_sim_fail(env, OMI_FAULT_OPEN, 1, true);
    cr_assert_eq(omi_file_open(dir, "a", OMI_OPEN_READ, 0, &file), OMEN_IO);
    cr_assert(strstr(omen_last_error(), "limit") != NULL, "%s", omen_last_error());
    cr_assert(strstr(omen_last_error(), "/db/a") != NULL, "%s", omen_last_error());
    cr_assert_eq(omi_file_open(dir, "a", OMI_OPEN_WRITE, 0, &file), OMEN_IO);
    cr_assert_eq(omi_file_open(dir, "b", OMI_OPEN_CREATE, 0, &file), OMEN_IO);
    cr_assert_eq(omi_dir_open(env, "/db", false, &other), OMEN_IO);
    cr_assert_eq(omi_dir_open(env, "/new", true, &other), OMEN_IO);
    cr_assert_eq(omi_dir_lock(dir, "LOCK", &file), OMEN_IO);
    cr_assert_eq(omi_dir_list(dir, NULL, NULL), OMEN_IO);
    cr_assert_null(file);
    cr_assert_null(other);
    must(omi_file_pread(open, buffer, 1, 0, &got)); /* what is open stays so */
    cr_assert_eq(omi_sim_faults(env) - faults, 7);
    cr_assert_eq(omi_sim_calls(env, OMI_FAULT_OPEN) - calls, 7);
    omi_sim_fail(env, OMI_FAULT_OPEN, 0, false);
    cr_assert(!file_exists(dir, "b") && !file_exists(dir, "LOCK"));
    cr_assert_eq(omi_dir_open(env, "/new", false, &other), OMEN_NOT_FOUND);
    must(omi_file_close(open));
}

Test(sim_fault, no_space_takes_half_of_a_write_and_no_name)
{
    file_put(dir, "a", "1", 1, true);
    struct omi_file *file = NULL;
    struct omi_dir *other = NULL;
    must(omi_file_open(dir, "f", OMI_OPEN_CREATE, 0, &file));
    struct omi_file *made = file;
    omi_sim_fail(env, OMI_FAULT_NO_SPACE, 1, true);
    cr_assert_eq(omi_file_pwrite(made, "01234567", 8, 0), OMEN_FULL);
    cr_assert(strstr(omen_last_error(), "/db/f") != NULL, "%s", omen_last_error());
    cr_assert_eq(env->ops->file_allocate(made, 100), OMEN_FULL);
    cr_assert_eq(omi_file_open(dir, "b", OMI_OPEN_CREATE, 0, &file), OMEN_FULL);
    cr_assert_eq(omi_dir_rename(dir, "a", "c"), OMEN_FULL);
    cr_assert_eq(omi_dir_link(dir, "a", dir, "d"), OMEN_FULL);
    cr_assert_eq(omi_dir_open(env, "/new", true, &other), OMEN_FULL);
    cr_assert_str_eq(file_text(dir, "f"), "0123");
    cr_assert_str_eq(file_text(dir, "a"), "1");
    cr_assert(!file_exists(dir, "b") && !file_exists(dir, "c") && !file_exists(dir, "d"));
    must(omi_file_sync(made)); /* neither of these needs room */
    must(omi_dir_unlink(dir, "a"));
    must(omi_dir_sync(dir));
    omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
    must(omi_file_pwrite(made, "4567", 4, 4));
    cr_assert_str_eq(file_text(dir, "f"), "01234567");
    must(omi_file_close(made));
}

Test(sim_fault, a_failed_truncate_keeps_the_size)
{
    struct omi_file *file = file_with_pending();
    omi_sim_fail(env, OMI_FAULT_WRITE, 1, false);
    cr_assert_eq(env->ops->file_truncate(file, 2), OMEN_IO);
    cr_assert_str_eq(file_text(dir, "a"), "aaaabbbb");
    must(env->ops->file_truncate(file, 2));
    cr_assert_str_eq(file_text(dir, "a"), "aa");
    must(omi_file_close(file));
}

Test(sim_fault, a_reverting_sync_shows_the_durable_contents_to_all)
{
    struct omi_file *file = file_with_pending(), *other = NULL;
    uint64_t size = 0;
    must(omi_file_open(dir, "a", OMI_OPEN_READ, 0, &other));
    must(omi_file_pwrite(file, "x", 1, 0));
    omi_sim_fail(env, OMI_FAULT_SYNC_REVERT, 1, false);
    cr_assert_eq(omi_file_sync(file), OMEN_IO);
    must(omi_file_size(other, &size));
    cr_assert_eq(size, 4);
    cr_assert_str_eq(file_text(dir, "a"), "aaaa");
    must(omi_file_sync(file)); /* reports a success that means nothing */
    cr_assert_str_eq(text_after(OMI_CRASH_KEEP_ALL, "a"), "aaaa");
    cr_assert_str_eq(text_after(OMI_CRASH_STRICT, "a"), "aaaa");
    must(omi_file_pwrite(file, "cc", 2, 4));
    must(omi_file_sync(file));
    cr_assert_str_eq(text_after(OMI_CRASH_STRICT, "a"), "aaaacc");
    must(omi_file_close(other));
    must(omi_file_close(file));
}

Test(sim_fault, a_late_sync_error_comes_with_the_next_sync_of_that_file)
{
    struct omi_file *file = file_with_pending(), *other = NULL;
    must(omi_file_open(dir, "b", OMI_OPEN_CREATE, 0, &other));
    omi_sim_fail(env, OMI_FAULT_SYNC_LATE, 1, false);
    must(omi_file_sync(file));
    cr_assert_str_eq(file_text(dir, "a"), "aaaabbbb", "it shows");
    cr_assert_str_eq(text_after(OMI_CRASH_STRICT, "a"), "aaaa", "and is lost");
    must(omi_file_sync(other)); /* not its error */
    must(omi_file_pwrite(file, "c", 1, 0));
    cr_assert_eq(omi_file_sync(file), OMEN_IO);
    cr_assert(strstr(omen_last_error(), "/db/a") != NULL, "%s", omen_last_error());
    cr_assert_str_eq(text_after(OMI_CRASH_STRICT, "a"), "caaa", "its own part is durable");
    must(omi_file_sync(file)); /* told once */
    must(omi_file_close(other));
    must(omi_file_close(file));
}

/* ---- wrong answers --------------------------------------------------------------------------- */

enum { SECTORS = 8, SECTOR = 512 };

/* "a": sector i holds the letter 'a' + i, in all of its bytes. */
static struct omi_file *file_of_sectors(void)
{
    static uint8_t bytes[SECTORS * SECTOR];
    struct omi_file *file = NULL;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)('a' + i / SECTOR);
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    must(omi_file_pwrite(file, bytes, sizeof(bytes), 0));
    return file;
}

/* Reads [off, off+size) once with the fault and once without; returns how many sectors were wrong,
 * and a byte of the last of them. */
static unsigned sectors_wrong(struct omi_file *file, enum omi_sim_fault kind, size_t off,
                              size_t size, uint8_t *byte_out)
{
    static uint8_t wrong[SECTORS * SECTOR], right[SECTORS * SECTOR];
    size_t got = 0;
    unsigned count = 0;
    uint64_t faults = omi_sim_faults(env);
    omi_sim_fail(env, kind, 1, false);
    must(omi_file_pread(file, wrong, size, off, &got));
    cr_assert_eq(got, size);
    cr_assert_eq(omi_sim_faults(env) - faults, 1);
    must(omi_file_pread(file, right, size, off, &got));
    for (size_t at = 0; at < size;) {
        size_t next = (off + at) / SECTOR * SECTOR + SECTOR - off;
        next = next < size ? next : size;
        if (memcmp(wrong + at, right + at, next - at) != 0) {
            for (size_t i = at; i < next; i++)
                cr_assert_eq(wrong[i], wrong[at], "a whole sector");
            *byte_out = wrong[at];
            count++;
        }
        cr_assert_eq(right[at], 'a' + (off + at) / SECTOR, "a re-read is right");
        at = next;
    }
    return count;
}

Test(sim_fault, a_read_returns_one_sector_of_zeros)
{
    struct omi_file *file = file_of_sectors();
    uint8_t byte = 1;
    cr_assert_eq(sectors_wrong(file, OMI_FAULT_ZERO, 0, SECTORS * SECTOR, &byte), 1);
    cr_assert_eq(byte, 0);
    for (size_t off = 0; off < 2000; off += 13) {
        cr_assert_eq(sectors_wrong(file, OMI_FAULT_ZERO, off, 700, &byte), 1, "at any alignment");
        cr_assert_eq(byte, 0);
    }
    must(omi_file_close(file));
}

Test(sim_fault, a_stale_sector_is_as_before_its_last_change)
{
    struct omi_file *file = file_of_sectors();
    static uint8_t sector[SECTOR];
    uint8_t byte = 1;
    cr_assert_eq(sectors_wrong(file, OMI_FAULT_STALE, 0, SECTORS * SECTOR, &byte), 1);
    cr_assert_eq(byte, 0, "written for the first time");
    memset(sector, 'Z', sizeof(sector));
    must(omi_file_pwrite(file, sector, sizeof(sector), 3 * SECTOR));
    memset(sector, 'd', sizeof(sector));
    must(omi_file_pwrite(file, sector, sizeof(sector), 3 * SECTOR));
    must(omi_file_pwrite(file, sector, sizeof(sector), 3 * SECTOR)); /* changes nothing */
    must(omi_file_sync(file));
    cr_assert_eq(sectors_wrong(file, OMI_FAULT_STALE, 3 * SECTOR, SECTOR, &byte), 1);
    cr_assert_eq(byte, 'Z');
    must(omi_dir_sync(dir));

    struct omi_env *left = omi_sim_crash(env, OMI_CRASH_STRICT, 1);
    struct omi_dir *d = NULL;
    struct omi_file *again = NULL;
    size_t got = 0;
    must(omi_dir_open(left, "/db", false, &d));
    must(omi_file_open(d, "a", OMI_OPEN_READ, 0, &again));
    omi_sim_fail(left, OMI_FAULT_STALE, 1, false);
    must(omi_file_pread(again, sector, SECTOR, 3 * SECTOR, &got));
    cr_assert_eq(sector[0], 'Z', "also after a crash");
    must(omi_file_close(again));
    omi_dir_close(d);
    omi_sim_destroy(left);
    must(omi_file_close(file));
}

Test(sim_fault, a_stale_tail_ends_where_the_file_ended_before)
{
    struct omi_file *file = NULL;
    char text[8] = "";
    size_t got = 0;
    must(omi_file_open(dir, "log", OMI_OPEN_CREATE, 0, &file));
    must(omi_file_pwrite(file, "aaaa", 4, 0));
    must(omi_file_pwrite(file, "bbb", 3, 4));
    omi_sim_fail(env, OMI_FAULT_STALE, 1, false);
    must(omi_file_pread(file, text, 7, 0, &got));
    cr_assert_eq(got, 7);
    cr_assert_eq(memcmp(text, "aaaa\0\0\0", 7), 0);
    must(omi_file_close(file));
}

Test(sim_fault, a_misdirected_read_brings_another_sector_or_another_file)
{
    struct omi_file *file = file_of_sectors();
    static uint8_t other[SECTOR * 3];
    memset(other, 'x', sizeof(other));
    file_put(dir, "b", other, sizeof(other), true);
    unsigned own = 0, foreign = 0;
    for (int i = 0; i < 100; i++) {
        uint8_t byte = 0;
        cr_assert_eq(sectors_wrong(file, OMI_FAULT_MISDIRECTED, 0, SECTORS * SECTOR, &byte), 1);
        cr_assert(byte == 'x' || (byte >= 'a' && byte < 'a' + SECTORS));
        own += byte != 'x';
        foreign += byte == 'x';
    }
    cr_assert(own > 10 && foreign > 10);
    must(omi_file_close(file));
}

/* ---- time ------------------------------------------------------------------------------------ */

Test(sim_fault, slow_and_stuck_calls_take_their_time)
{
    struct omi_file *file = file_of_sectors();
    uint8_t byte;
    size_t got = 0;
    static const enum omi_sim_fault kinds[] = {OMI_FAULT_SLOW, OMI_FAULT_STUCK};
    static const uint64_t seconds[] = {2, 120};
    for (int k = 0; k < 2; k++) {
        omi_sim_fail(env, kinds[k], 1, true);
        uint64_t calls = omi_sim_calls(env, kinds[k]), start = omi_now_ns(env);
        struct omi_file *second = NULL;
        must(omi_file_pread(file, &byte, 1, 0, &got));
        must(omi_file_pwrite(file, "a", 1, 0));
        must(omi_file_sync(file));
        must(omi_file_open(dir, "a", OMI_OPEN_READ, 0, &second));
        must(omi_file_close(second)); /* does not go to the disk */
        must(omi_dir_sync(dir));
        must(omi_dir_rename(dir, "a", "b"));
        must(omi_dir_rename(dir, "b", "a"));
        uint64_t gone = (omi_now_ns(env) - start) / 1000000000u;
        cr_assert_eq(omi_sim_calls(env, kinds[k]) - calls, 7);
        cr_assert_eq(gone, 7 * seconds[k]);
        omi_sim_fail(env, kinds[k], 0, false);
    }
    uint64_t start = omi_now_ns(env);
    must(omi_file_sync(file));
    cr_assert_lt(omi_now_ns(env) - start, 1000000000u);
    must(omi_file_close(file));
}

/* ---- arming ---------------------------------------------------------------------------------- */

/* Which of so many reads fail, as a number; 0: none. */
static uint64_t failed_reads(struct omi_file *file, unsigned count)
{
    char byte;
    size_t got = 0;
    uint64_t set = 0;
    for (unsigned i = 0; i < count; i++)
        set = set * 31 + (omi_file_pread(file, &byte, 1, 0, &got) != OMEN_OK);
    return set;
}

Test(sim_fault, a_rate_comes_from_the_seed)
{
    uint64_t sets[3];
    for (int i = 0; i < 3; i++) {
        struct omi_env *e = omi_sim_create(i == 2 ? 8 : 7);
        struct omi_dir *d = NULL;
        struct omi_file *file = NULL;
        must(omi_dir_open(e, "/db", true, &d));
        file_put(d, "a", "1", 1, false);
        must(omi_file_open(d, "a", OMI_OPEN_READ, 0, &file));
        omi_sim_fail_rate(e, OMI_FAULT_READ, 10);
        uint64_t before = omi_sim_faults(e);
        sets[i] = failed_reads(file, 1000);
        uint64_t failed = omi_sim_faults(e) - before;
        cr_assert(failed > 60 && failed < 150, "%u", (unsigned)failed);
        omi_sim_fail(e, OMI_FAULT_NONE, 0, false);
        cr_assert_eq(failed_reads(file, 1000), 0, "all is disarmed");
        omi_sim_fail_rate(e, OMI_FAULT_READ, 1);
        char byte;
        size_t got = 0;
        cr_assert_eq(omi_file_pread(file, &byte, 1, 0, &got), OMEN_IO);
        omi_sim_fail_rate(e, OMI_FAULT_READ, 0);
        must(omi_file_pread(file, &byte, 1, 0, &got));
        must(omi_file_close(file));
        omi_dir_close(d);
        omi_sim_destroy(e);
    }
    cr_assert_eq(sets[0], sets[1], "the same seed, the same calls");
    cr_assert_neq(sets[0], sets[2]);
}

Test(sim_fault, none_disarms_what_has_not_come_yet)
{
    struct omi_file *file = file_with_pending();
    for (int kind = OMI_FAULT_NONE + 1; kind < OMI_FAULT_KINDS; kind++)
        omi_sim_fail(env, (enum omi_sim_fault)kind, 2, true);
    omi_sim_fail(env, OMI_FAULT_NONE, 0, false);
    uint64_t faults = omi_sim_faults(env);
    for (int i = 0; i < 3; i++) {
        must(omi_file_sync(file));
        must(omi_file_pwrite(file, "x", 1, 0));
        must(omi_dir_sync(dir));
        cr_assert_str_eq(file_text(dir, "a"), "xaaabbbb");
    }
    cr_assert_eq(omi_sim_faults(env), faults);
    must(omi_file_close(file));
}

Test(sim_fault, a_clone_is_free_of_faults)
{
    file_put(dir, "a", "1", 1, true);
    must(omi_dir_sync(dir));
    omi_sim_fail(env, OMI_FAULT_OPEN, 1, true);
    omi_sim_fail_rate(env, OMI_FAULT_READ, 1);
    cr_assert_str_eq(text_after(OMI_CRASH_STRICT, "a"), "1");
}

/* ---- a disk with a size ---------------------------------------------------------------------- */

static uint64_t space_left(void)
{
    uint64_t left = 0;
    must(omi_dir_space(dir, &left));
    return left;
}

Test(sim_fault, files_that_are_deleted_or_cut_give_their_room_back)
{
    static uint8_t bytes[600];
    struct omi_file *file = NULL;
    omi_sim_capacity(env, 1000);
    cr_assert_eq(space_left(), 1000);
    file_put(dir, "a", bytes, 600, true);
    must(omi_dir_sync(dir));
    must(omi_file_open(dir, "b", OMI_OPEN_CREATE, 0, &file));
    cr_assert_eq(omi_file_pwrite(file, bytes, 600, 0), OMEN_FULL);
    cr_assert_eq(omi_sim_used(env), 1000);
    cr_assert_eq(space_left(), 0);
    must(omi_file_pwrite(file, "over what is there", 18, 0));
    must(env->ops->file_truncate(file, 100));
    cr_assert_eq(space_left(), 300);
    cr_assert_eq(env->ops->file_truncate(file, 401), OMEN_FULL);
    must(omi_dir_unlink(dir, "a")); /* whether it is synced or not */
    cr_assert_eq(space_left(), 900);
    must(omi_file_pwrite(file, bytes, 600, 100));
    cr_assert_eq(omi_sim_used(env), 700);
    must(omi_dir_unlink(dir, "b"));
    cr_assert_eq(omi_sim_used(env), 700, "open without a name");
    must(omi_file_close(file));
    cr_assert_eq(omi_sim_used(env), 0);
    omi_sim_capacity(env, UINT64_MAX);
    cr_assert_gt(space_left(), (uint64_t)1 << 30);
}

Test(sim_fault, a_link_takes_no_room_and_keeps_it)
{
    static uint8_t bytes[600];
    omi_sim_capacity(env, 1000);
    file_put(dir, "a", bytes, 600, true);
    must(omi_dir_link(dir, "a", dir, "b"));
    cr_assert_eq(omi_sim_used(env), 600);
    must(omi_dir_unlink(dir, "a"));
    cr_assert_eq(omi_sim_used(env), 600);
    must(omi_dir_unlink(dir, "b"));
    cr_assert_eq(omi_sim_used(env), 0);
}

Test(sim_fault, allocated_room_is_taken_until_a_truncate)
{
    static uint8_t bytes[600];
    struct omi_file *file = NULL, *other = NULL;
    uint64_t size = 1;
    omi_sim_capacity(env, 1000);
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    must(omi_file_open(dir, "b", OMI_OPEN_CREATE, 0, &other));
    must(env->ops->file_allocate(file, 700));
    must(omi_file_size(file, &size));
    cr_assert_eq(size, 0);
    cr_assert_eq(space_left(), 300);
    cr_assert_eq(env->ops->file_allocate(file, 1001), OMEN_FULL);
    cr_assert_eq(omi_file_pwrite(other, bytes, 600, 0), OMEN_FULL);
    must(omi_file_pwrite(file, bytes, 600, 0)); /* it has its room */
    cr_assert_eq(omi_sim_used(env), 1000);
    must(env->ops->file_truncate(file, 600));
    cr_assert_eq(space_left(), 100);
    must(omi_file_close(file));
    must(omi_file_close(other));
}

Test(sim_fault, a_clone_has_a_disk_of_the_same_size)
{
    static uint8_t bytes[600];
    omi_sim_capacity(env, 1000);
    file_put(dir, "a", bytes, 600, true);
    must(omi_dir_sync(dir));
    file_put(dir, "lost", bytes, 300, true);
    struct omi_env *left = omi_sim_crash(env, OMI_CRASH_STRICT, 1);
    struct omi_dir *d = NULL;
    uint64_t space = 0;
    must(omi_dir_open(left, "/db", false, &d));
    must(omi_dir_space(d, &space));
    cr_assert_eq(space, 400);
    omi_dir_close(d);
    omi_sim_destroy(left);
}

/* ---- damage that lasts ----------------------------------------------------------------------- */

Test(sim_fault, overwritten_bytes_stay_in_memory_and_on_disk)
{
    struct omi_file *file = file_with_pending();
    must(omi_sim_overwrite(env, "/db", "a", 2, "XYZ", 3));
    cr_assert_str_eq(file_text(dir, "a"), "aaXYZbbb");
    cr_assert_str_eq(text_after(OMI_CRASH_STRICT, "a"), "aaXY");
    must(omi_file_sync(file));
    cr_assert_str_eq(text_after(OMI_CRASH_STRICT, "a"), "aaXYZbbb");
    cr_assert_eq(omi_sim_overwrite(env, "/db", "a", 6, "XYZ", 3), OMEN_INVALID);
    cr_assert_eq(omi_sim_overwrite(env, "/db", "a", 9, "", 0), OMEN_INVALID);
    cr_assert_eq(omi_sim_overwrite(env, "/db", "z", 0, "X", 1), OMEN_NOT_FOUND);
    must(omi_sim_overwrite(env, "/db", "a", 8, "", 0));
    must(omi_file_close(file));
}

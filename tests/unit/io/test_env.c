/* What the posix and the simulated env do alike. */
#include "tests/unit/io/env_pair.h"

TestSuite(env, .timeout = 10);

static void written_bytes_are_read_back(struct omi_env *env, const char *path)
{
    struct omi_dir *dir = NULL;
    struct omi_file *file = NULL;
    must(omi_dir_open(env, path, false, &dir));
    must(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file));
    must(omi_file_pwrite(file, "hello", 5, 0));
    must(omi_file_pwrite(file, "world", 5, 10000));
    must(omi_file_sync(file));
    uint64_t size = 0;
    must(omi_file_size(file, &size));
    cr_assert_eq(size, 10005);
    must(omi_file_close(file));

    uint8_t buffer[64];
    size_t got = 0;
    must(omi_file_open(dir, "a", OMI_OPEN_READ, 0, &file));
    must(omi_file_pread(file, buffer, 8, 0, &got));
    cr_assert_eq(got, 8);
    cr_assert_eq(memcmp(buffer, "hello\0\0\0", 8), 0, "a hole reads as zeros");
    must(omi_file_pread(file, buffer, sizeof(buffer), 9998, &got));
    cr_assert_eq(got, 7, "short at the end of the file");
    cr_assert_eq(memcmp(buffer, "\0\0world", 7), 0);
    must(omi_file_pread(file, buffer, sizeof(buffer), 10005, &got));
    cr_assert_eq(got, 0);
    must(omi_file_pread(file, buffer, sizeof(buffer), 1 << 20, &got));
    cr_assert_eq(got, 0);
    cr_assert_eq(omi_file_pwrite(file, "x", 1, 0), OMEN_IO, "opened for reading");
    must(omi_file_close(file));
    omi_dir_close(dir);
}
Test(env, written_bytes_are_read_back)
{
    in_both(written_bytes_are_read_back);
}

static void truncate_cuts_and_grows(struct omi_env *env, const char *path)
{
    struct omi_dir *dir = NULL;
    struct omi_file *file = NULL;
    must(omi_dir_open(env, path, false, &dir));
    file_put(dir, "a", "0123456789", 10, true);
    must(omi_file_open(dir, "a", OMI_OPEN_WRITE, 0, &file));
    must(env->ops->file_truncate(file, 4));
    must(env->ops->file_truncate(file, 8));
    must(env->ops->file_allocate(file, 1 << 16));
    uint8_t buffer[16];
    size_t got = 0;
    must(omi_file_pread(file, buffer, sizeof(buffer), 0, &got));
    cr_assert_eq(got, 8, "allocating keeps the size");
    cr_assert_eq(memcmp(buffer, "0123\0\0\0\0", 8), 0, "what was cut does not come back");
    env->ops->file_write_back(file, 0, 8);
    env->ops->file_advise(file, OMI_ADVISE_RANDOM);
    must(omi_file_close(file));
    omi_dir_close(dir);
}
Test(env, truncate_cuts_and_grows)
{
    in_both(truncate_cuts_and_grows);
}

static void names_say_exists_and_not_found(struct omi_env *env, const char *path)
{
    struct omi_dir *dir = NULL;
    struct omi_file *file = NULL;
    must(omi_dir_open(env, path, false, &dir));
    file_put(dir, "a", "1", 1, false);
    cr_assert_eq(omi_file_open(dir, "a", OMI_OPEN_CREATE, 0, &file), OMEN_EXISTS);
    cr_assert_null(file);
    cr_assert(strstr(omen_last_error(), "/a") != NULL, "%s", omen_last_error());
    omi_fail(OMEN_IO, 0, "words from before");
    cr_assert_eq(omi_file_open(dir, "b", OMI_OPEN_READ, 0, &file), OMEN_NOT_FOUND);
    cr_assert_eq(omi_file_open(dir, "b", OMI_OPEN_WRITE, 0, &file), OMEN_NOT_FOUND);
    cr_assert_eq(omi_dir_unlink(dir, "b"), OMEN_NOT_FOUND);
    cr_assert_eq(omi_dir_rename(dir, "b", "c"), OMEN_NOT_FOUND);
    cr_assert_eq(omi_dir_link(dir, "b", dir, "c"), OMEN_NOT_FOUND);
    cr_assert_str_eq(omen_last_error(), "words from before", "not found records nothing");
    cr_assert_eq(omi_file_open(dir, "../a", OMI_OPEN_READ, 0, &file), OMEN_INVALID);
    cr_assert_eq(omi_file_open(dir, "", OMI_OPEN_READ, 0, &file), OMEN_INVALID);
    cr_assert_eq(omi_dir_unlink(dir, ".."), OMEN_INVALID);
    omi_dir_close(dir);
}
Test(env, names_say_exists_and_not_found)
{
    in_both(names_say_exists_and_not_found);
}

static void rename_replaces_and_open_files_live_on(struct omi_env *env, const char *path)
{
    struct omi_dir *dir = NULL;
    struct omi_file *old = NULL;
    must(omi_dir_open(env, path, false, &dir));
    file_put(dir, "a", "new", 3, true);
    file_put(dir, "b", "old", 3, true);
    must(omi_file_open(dir, "b", OMI_OPEN_READ, 0, &old));
    must(omi_dir_rename(dir, "a", "b"));
    must(omi_dir_sync(dir));
    cr_assert_str_eq(file_text(dir, "a"), "-");
    cr_assert_str_eq(file_text(dir, "b"), "new");
    must(omi_dir_rename(dir, "b", "b"));
    char buffer[4] = "";
    size_t got = 0;
    must(omi_file_pread(old, buffer, 3, 0, &got));
    cr_assert_str_eq(buffer, "old", "a handle keeps its file");
    must(omi_file_close(old));
    must(omi_dir_unlink(dir, "b"));
    cr_assert_str_eq(file_text(dir, "b"), "-");
    omi_dir_close(dir);
}
Test(env, rename_replaces_and_open_files_live_on)
{
    in_both(rename_replaces_and_open_files_live_on);
}

static void links_share_the_file_across_directories(struct omi_env *env, const char *path)
{
    char other_path[300];
    snprintf(other_path, sizeof(other_path), "%s/copy", path);
    struct omi_dir *dir = NULL, *other = NULL;
    must(omi_dir_open(env, path, false, &dir));
    must(omi_dir_open(env, other_path, true, &other));
    file_put(dir, "a", "data", 4, true);
    must(omi_dir_link(dir, "a", other, "b"));
    cr_assert_eq(omi_dir_link(dir, "a", other, "b"), OMEN_EXISTS);
    must(omi_dir_unlink(dir, "a"));
    cr_assert_str_eq(file_text(other, "b"), "data");
    cr_assert_eq(env->ops->dir_remove(env, other_path), OMEN_EXISTS, "not empty");
    must(omi_dir_unlink(other, "b"));
    omi_dir_close(other);
    must(env->ops->dir_remove(env, other_path));
    cr_assert_eq(env->ops->dir_remove(env, other_path), OMEN_NOT_FOUND);
    cr_assert_eq(omi_dir_open(env, other_path, false, &other), OMEN_NOT_FOUND);
    omi_dir_close(dir);
}
Test(env, links_share_the_file_across_directories)
{
    in_both(links_share_the_file_across_directories);
}

struct seen {
    struct omi_dir *dir;
    unsigned files, directories;
    uint64_t bytes;
    omen_err answer;
};

static omen_err see(void *ctx, const struct omi_dir_entry *e)
{
    struct seen *s = ctx;
    s->bytes += e->regular ? e->bytes : 0;
    s->files += e->regular;
    s->directories += !e->regular;
    if (s->answer == OMEN_OK && e->regular)
        must(omi_dir_unlink(s->dir, e->name));
    return s->answer;
}

static void list_shows_all_and_allows_deleting(struct omi_env *env, const char *path)
{
    char sub_path[300], name[16];
    snprintf(sub_path, sizeof(sub_path), "%s/sub", path);
    struct omi_dir *dir = NULL, *sub = NULL;
    must(omi_dir_open(env, path, false, &dir));
    must(omi_dir_open(env, sub_path, true, &sub));
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "f%u", i * 37 % 100);
        file_put(dir, name, "abc", 3, false);
    }
    struct seen s = {.dir = dir, .answer = OMEN_ABORTED};
    cr_assert_eq(omi_dir_list(dir, see, &s), OMEN_ABORTED);
    cr_assert_eq(s.files + s.directories, 1, "an error from each stops");
    s = (struct seen){.dir = dir};
    must(omi_dir_list(dir, see, &s));
    cr_assert_eq(s.files, 100);
    cr_assert_eq(s.directories, 1);
    cr_assert_eq(s.bytes, 300);
    s = (struct seen){.dir = dir};
    must(omi_dir_list(dir, see, &s));
    cr_assert_eq(s.files, 0);
    omi_dir_close(sub);
    omi_dir_close(dir);
}
Test(env, list_shows_all_and_allows_deleting)
{
    in_both(list_shows_all_and_allows_deleting);
}

static void a_lock_has_one_holder(struct omi_env *env, const char *path)
{
    struct omi_dir *dir = NULL;
    struct omi_file *lock = NULL, *second = NULL;
    must(omi_dir_open(env, path, false, &dir));
    must(omi_dir_lock(dir, "LOCK", &lock));
    cr_assert_eq(omi_dir_lock(dir, "LOCK", &second), OMEN_BUSY);
    cr_assert_null(second);
    cr_assert(strstr(omen_last_error(), "/LOCK: locked by process ") != NULL, "%s",
              omen_last_error());
    must(omi_dir_lock(dir, "LOCK2", &second));
    must(omi_file_close(second));
    must(omi_file_close(lock));
    must(omi_dir_lock(dir, "LOCK", &lock));
    must(omi_file_close(lock));
    cr_assert(file_exists(dir, "LOCK"));
    omi_dir_close(dir);
}
Test(env, a_lock_has_one_holder)
{
    in_both(a_lock_has_one_holder);
}

static void opening_a_directory_says_what_is_wrong(struct omi_env *env, const char *path)
{
    char sub_path[300];
    struct omi_dir *dir = NULL, *sub = NULL;
    must(omi_dir_open(env, path, true, &dir));
    file_put(dir, "file", "", 0, false);

    snprintf(sub_path, sizeof(sub_path), "%s/missing", path);
    cr_assert_eq(omi_dir_open(env, sub_path, false, &sub), OMEN_NOT_FOUND);
    cr_assert(strstr(omen_last_error(), "does not exist") != NULL, "%s", omen_last_error());
    snprintf(sub_path, sizeof(sub_path), "%s/missing/deeper", path);
    cr_assert_eq(omi_dir_open(env, sub_path, true, &sub), OMEN_NOT_FOUND);
    cr_assert(strstr(omen_last_error(), "parent") != NULL, "%s", omen_last_error());
    snprintf(sub_path, sizeof(sub_path), "%s/file", path);
    for (int create = 0; create < 2; create++) {
        cr_assert_eq(omi_dir_open(env, sub_path, create != 0, &sub), OMEN_INVALID);
        cr_assert(strstr(omen_last_error(), "is a file") != NULL, "%s", omen_last_error());
    }
    cr_assert_eq(omi_dir_open(env, "", true, &sub), OMEN_INVALID);
    cr_assert_null(sub);

    snprintf(sub_path, sizeof(sub_path), "%s/sub//", path);
    must(omi_dir_open(env, sub_path, true, &sub));
    omi_dir_close(sub);
    snprintf(sub_path, sizeof(sub_path), "%s/sub", path);
    must(omi_dir_open(env, sub_path, true, &sub));
    uint64_t space = 0;
    must(omi_dir_space(sub, &space));
    cr_assert_gt(space, 0);
    omi_dir_close(sub);
    omi_dir_close(dir);
}
Test(env, opening_a_directory_says_what_is_wrong)
{
    in_both(opening_a_directory_says_what_is_wrong);
}

static void time_goes_on_and_random_numbers_differ(struct omi_env *env, const char *path)
{
    (void)path;
    uint64_t before = omi_now_ns(env);
    env->ops->sleep_us(env, 2000);
    cr_assert_geq(omi_now_ns(env) - before, 2000000);
    cr_assert_gt(env->ops->wall_us(env), UINT64_C(1600000000000000));
    uint8_t a[13], b[13];
    env->ops->random(env, a, sizeof(a));
    env->ops->random(env, b, sizeof(b));
    cr_assert_neq(memcmp(a, b, sizeof(a)), 0);
}
Test(env, time_goes_on_and_random_numbers_differ)
{
    in_both(time_goes_on_and_random_numbers_differ);
}

/* Contents that name their place, so that a read of another place shows. */
static uint8_t byte_at(unsigned file, uint64_t off)
{
    return (uint8_t)(off * 31 + off / 251 + file * 97);
}

static void a_batch_reads_mixed_files_and_short_ends(struct omi_env *env, const char *path)
{
    enum { FILES = 3, READS = 500, FILE_BYTES = 100001, READ_MAX = 9000 };
    static uint8_t contents[FILE_BYTES];
    struct omi_dir *dir = NULL;
    struct omi_file *files[FILES] = {NULL};
    must(omi_dir_open(env, path, false, &dir));
    for (unsigned f = 0; f < FILES; f++) {
        char name[8];
        snprintf(name, sizeof(name), "f%u", f);
        for (uint64_t i = 0; i < FILE_BYTES; i++)
            contents[i] = byte_at(f, i);
        file_put(dir, name, contents, sizeof(contents), false);
        must(omi_file_open(dir, name, OMI_OPEN_READ, 0, &files[f]));
    }
    struct omi_read *reads = calloc(READS, sizeof(*reads));
    uint8_t *buffers = calloc(READS, READ_MAX);
    cr_assert(reads != NULL && buffers != NULL);
    for (unsigned i = 0; i < READS; i++) {
        uint64_t off = (uint64_t)i * 7919 % (FILE_BYTES + 2000); /* some start past the end */
        reads[i] = (struct omi_read){.file = files[i % FILES],
                                     .buffer = buffers + (size_t)i * READ_MAX,
                                     .off = off,
                                     .size = (size_t)i * 53 % READ_MAX, /* 0 for the first */
                                     .got = 12345,
                                     .err = OMEN_CORRUPT};
    }
    env->ops->read_batch(env, reads, READS);
    env->ops->read_batch(env, reads, 0);
    for (unsigned i = 0; i < READS; i++) {
        const struct omi_read *r = &reads[i];
        uint64_t left = r->off < FILE_BYTES ? FILE_BYTES - r->off : 0;
        must(r->err);
        cr_assert_eq(r->got, r->size < left ? r->size : left, "read %u", i);
        for (size_t b = 0; b < r->got; b++)
            cr_assert_eq(((uint8_t *)r->buffer)[b], byte_at(i % FILES, r->off + b));
    }
    free(reads);
    free(buffers);
    for (unsigned f = 0; f < FILES; f++)
        must(omi_file_close(files[f]));
    omi_dir_close(dir);
}
Test(env, a_batch_reads_mixed_files_and_short_ends)
{
    in_both(a_batch_reads_mixed_files_and_short_ends);
}

static void replace_puts_the_new_contents_in_place(struct omi_env *env, const char *path)
{
    struct omi_dir *dir = NULL;
    must(omi_dir_open(env, path, false, &dir));
    must(omi_file_replace(dir, "CURRENT", "one", 3));
    cr_assert_str_eq(file_text(dir, "CURRENT"), "one");
    file_put(dir, "CURRENT.tmp", "left by a crash", 15, false);
    must(omi_file_replace(dir, "CURRENT", "second", 6));
    cr_assert_str_eq(file_text(dir, "CURRENT"), "second");
    cr_assert(!file_exists(dir, "CURRENT.tmp"));

    uint8_t *bytes = NULL;
    size_t size = 0;
    cr_assert_eq(omi_file_read_all(dir, "CURRENT", 5, &bytes, &size), OMEN_CORRUPT);
    cr_assert(strstr(omen_last_error(), "CURRENT") != NULL, "%s", omen_last_error());
    cr_assert_eq(omi_file_read_all(dir, "none", 5, &bytes, &size), OMEN_NOT_FOUND);
    cr_assert_null(bytes);
    file_put(dir, "empty", "", 0, false);
    must(omi_file_read_all(dir, "empty", 0, &bytes, &size));
    cr_assert_eq(size, 0);
    free(bytes);
    omi_dir_close(dir);
}
Test(env, replace_puts_the_new_contents_in_place)
{
    in_both(replace_puts_the_new_contents_in_place);
}

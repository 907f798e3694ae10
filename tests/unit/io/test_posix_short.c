#include "tests/unit/io/env_pair.h"
#include "tests/unit/io/posix_wrap.h"

#include <dirent.h>

/* Whatever the system does with a call in the middle - interrupts it, moves a part, refuses the
 * rest - the posix env ends it, or says what went wrong under the right code. */

enum { BYTES = 5000 };

static struct omi_env *env;
static struct omi_dir *dir;
static char root[256];
static uint8_t pattern[BYTES], buffer[BYTES];

static void setup(void)
{
    for (size_t i = 0; i < BYTES; i++)
        pattern[i] = (uint8_t)(i * 7 + i / 251);
    tmpdir_make(root, NULL);
    env = omi_env_posix(OMEN_IO_ENGINE_PREAD);
    must(omi_dir_open(env, root, false, &dir));
    wrap_clear();
}

static void teardown(void)
{
    wrap_clear();
    omi_dir_close(dir);
    tmpdir_remove(root);
}

TestSuite(posix_short, .init = setup, .fini = teardown, .timeout = 20);

static const struct {
    int errnum;
    omen_err code;
} answers[] = {
    {EIO, OMEN_IO},          {ENOSPC, OMEN_FULL}, {EDQUOT, OMEN_FULL},
    {EROFS, OMEN_READ_ONLY}, {EAGAIN, OMEN_IO}, /* of a regular file: not a reason to spin */
};
enum { ANSWERS = sizeof(answers) / sizeof(answers[0]) };

static struct omi_file *pattern_file(void)
{
    struct omi_file *file = NULL;
    file_put(dir, "p", pattern, BYTES, false);
    must(omi_file_open(dir, "p", OMI_OPEN_READ, 0, &file));
    wrap_clear();
    return file;
}

static unsigned descriptors(void)
{
    unsigned count = 0;
    DIR *d = opendir("/proc/self/fd");
    cr_assert_not_null(d);
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count;
}

/* ---- reads ----------------------------------------------------------------------------------- */

Test(posix_short, reads_go_on_after_short_ones_and_interrupts)
{
    static const size_t pieces[] = {0, 1, 7, 511, 512, 4096};
    struct omi_file *file = pattern_file();
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
        for (uint64_t interrupts = 0; interrupts < 4; interrupts += interrupts == 0 ? 2 : 1) {
            size_t got = 0;
            wrap_clear();
            wraps[WRAP_PREAD].piece = pieces[i];
            wraps[WRAP_PREAD].interrupts = interrupts;
            memset(buffer, 0, BYTES);
            must(omi_file_pread(file, buffer, BYTES, 0, &got));
            cr_assert_eq(got, BYTES);
            cr_assert_eq(memcmp(buffer, pattern, BYTES), 0);
            cr_assert_geq(wrap_calls(WRAP_PREAD), pieces[i] != 0 ? BYTES / pieces[i] : 1);
            must(omi_file_pread(file, buffer, BYTES, 4000, &got));
            cr_assert_eq(got, BYTES - 4000, "short only at the end of the file");
            cr_assert_eq(memcmp(buffer, pattern + 4000, got), 0);
        }
    must(omi_file_close(file));
}

Test(posix_short, a_read_that_fails_at_any_step_says_how_far_it_came)
{
    struct omi_file *file = pattern_file();
    for (int a = 0; a < ANSWERS; a++) {
        bool failed = true;
        uint64_t step = 1;
        for (; failed; step++) {
            size_t got = 0;
            wrap_clear();
            wraps[WRAP_PREAD].piece = 700;
            wrap_fail(WRAP_PREAD, step, UINT64_MAX, answers[a].errnum);
            omen_err err = env->ops->file_pread(file, buffer, BYTES, 0, &got);
            failed = err != OMEN_OK;
            cr_assert(err == (failed ? answers[a].code : OMEN_OK), "%s", omen_err_name(err));
            cr_assert_eq(got, failed ? (step - 1) * 700 : BYTES);
            cr_assert_eq(wrap_calls(WRAP_PREAD), failed ? step : 8);
            cr_assert_eq(memcmp(buffer, pattern, got), 0);
            if (failed)
                cr_assert(strstr(omen_last_error(), "/p: reading 5000") != NULL, "%s",
                          omen_last_error());
        }
        cr_assert_eq(step - 1, 9, "each of the 8 steps failed once");
    }
    must(omi_file_close(file));
}

Test(posix_short, an_interrupt_at_any_step_costs_a_call)
{
    struct omi_file *file = pattern_file(), *out = NULL;
    must(omi_file_open(dir, "o", OMI_OPEN_CREATE, 0, &out));
    for (uint64_t step = 1; step <= 8; step++) {
        size_t got = 0;
        wrap_clear();
        wraps[WRAP_PREAD].piece = wraps[WRAP_PWRITE].piece = 700;
        wrap_fail(WRAP_PREAD, step, 5, EINTR);
        wrap_fail(WRAP_PWRITE, step, 5, EINTR);
        must(omi_file_pread(file, buffer, BYTES, 0, &got));
        must(omi_file_pwrite(out, buffer, BYTES, 0));
        cr_assert_eq(got, BYTES);
        cr_assert_eq(wrap_calls(WRAP_PREAD), 8 + 5);
        cr_assert_eq(wrap_calls(WRAP_PWRITE), 8 + 5);
        must(omi_file_pread(out, buffer, BYTES, 0, &got));
        cr_assert_eq(memcmp(buffer, pattern, BYTES), 0);
    }
    must(omi_file_close(out));
    must(omi_file_close(file));
}

Test(posix_short, each_read_of_a_batch_has_its_own_end)
{
    struct omi_file *file = pattern_file();
    struct omi_read reads[5];
    for (int i = 0; i < 5; i++)
        reads[i] = (struct omi_read){
            .file = file, .buffer = buffer + i * 1000, .off = (uint64_t)i * 1000, .size = 1000};
    for (uint64_t step = 1; step <= 10; step++) {
        wrap_clear();
        wraps[WRAP_PREAD].piece = 600; /* two calls a read */
        wrap_fail(WRAP_PREAD, step, 1, EIO);
        env->ops->read_batch(env, reads, 5);
        unsigned failed = 0;
        for (int i = 0; i < 5; i++) {
            failed += reads[i].err != OMEN_OK;
            cr_assert(reads[i].err == OMEN_OK || reads[i].err == OMEN_IO);
            cr_assert(reads[i].got == 1000 || reads[i].err != OMEN_OK);
            cr_assert_eq(memcmp(buffer + i * 1000, pattern + i * 1000, reads[i].got), 0);
        }
        cr_assert_eq(failed, 1);
    }
    must(omi_file_close(file));
}

Test(posix_short, a_direct_read_goes_on_while_it_stays_aligned)
{
    static _Alignas(4096) uint8_t aligned[8192];
    struct omi_file *file = NULL;
    size_t got = 0;
    file_put(dir, "p", pattern, BYTES, true);
    must(omi_file_open(dir, "p", OMI_OPEN_READ, OMI_OPEN_DIRECT, &file));
    if (env->ops->file_direct(file)) {
        wrap_clear();
        wraps[WRAP_PREAD].piece = 512;
        wraps[WRAP_PREAD].interrupts = 3;
        must(omi_file_pread(file, aligned, sizeof(aligned), 0, &got));
        cr_assert_eq(got, BYTES);
        cr_assert_eq(memcmp(aligned, pattern, BYTES), 0);
        cr_assert_geq(wrap_calls(WRAP_PREAD), BYTES / 512 + 1);
    } else {
        cr_log_info("no O_DIRECT here");
    }
    must(omi_file_close(file));
}

/* ---- writes ---------------------------------------------------------------------------------- */

Test(posix_short, writes_go_on_after_short_ones_and_interrupts)
{
    static const size_t pieces[] = {1, 7, 511, 4096};
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "w", OMI_OPEN_CREATE, 0, &file));
    for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
        size_t got = 0;
        wrap_clear();
        wraps[WRAP_PWRITE].piece = pieces[i];
        wraps[WRAP_PWRITE].interrupts = 2;
        must(env->ops->file_truncate(file, 0));
        must(omi_file_pwrite(file, pattern, BYTES, 100));
        cr_assert_eq(wrap_calls(WRAP_PWRITE), 2 * ((BYTES + pieces[i] - 1) / pieces[i]) - 1);
        must(omi_file_pread(file, buffer, BYTES, 100, &got));
        cr_assert_eq(got, BYTES);
        cr_assert_eq(memcmp(buffer, pattern, BYTES), 0);
    }
    must(omi_file_close(file));
}

static void write_step(int errnum, omen_err code)
{
    bool failed = true;
    uint64_t step = 1;
    for (; failed; step++) {
        struct omi_file *file = NULL;
        uint64_t size = 0;
        must(omi_file_open(dir, "w", OMI_OPEN_CREATE, 0, &file));
        wrap_clear();
        wraps[WRAP_PWRITE].piece = 700;
        wrap_fail(WRAP_PWRITE, step, UINT64_MAX, errnum);
        omen_err err = omi_file_pwrite(file, pattern, BYTES, 0);
        failed = err != OMEN_OK;
        cr_assert(err == (failed ? code : OMEN_OK), "%s", omen_err_name(err));
        cr_assert_eq(wrap_calls(WRAP_PWRITE), failed ? step : 8);
        must(omi_file_size(file, &size));
        cr_assert_eq(size, failed ? (step - 1) * 700 : BYTES);
        if (failed)
            cr_assert(strstr(omen_last_error(), "/w: writing 5000") != NULL, "%s",
                      omen_last_error());
        must(omi_file_close(file));
        must(omi_dir_unlink(dir, "w"));
    }
    cr_assert_eq(step - 1, 9, "each of the 8 steps failed once");
}

Test(posix_short, a_write_that_fails_at_any_step_tells_a_full_disk_from_a_broken_one)
{
    for (int a = 0; a < ANSWERS; a++)
        write_step(answers[a].errnum, answers[a].code);
    write_step(0, OMEN_IO); /* "wrote nothing", for ever */
}

Test(posix_short, reserving_space_is_an_effort_but_a_full_disk_is_told)
{
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "w", OMI_OPEN_CREATE, 0, &file));
    for (int a = 0; a < ANSWERS; a++) {
        wrap_clear();
        wrap_fail(WRAP_FALLOCATE, 1, 1, answers[a].errnum);
        cr_assert_eq(env->ops->file_allocate(file, 4096), answers[a].code);
        cr_assert_eq(wrap_calls(WRAP_FALLOCATE), 1);
    }
    static const int cannot[] = {EOPNOTSUPP, ENOSYS};
    for (int i = 0; i < 2; i++) {
        wrap_clear();
        wrap_fail(WRAP_FALLOCATE, 1, 1, cannot[i]);
        must(env->ops->file_allocate(file, 4096));
    }
    wrap_clear();
    wrap_fail(WRAP_FALLOCATE, 1, 3, EINTR);
    (void)env->ops->file_allocate(file, 4096); /* this file system may have no preallocation */
    cr_assert_eq(wrap_calls(WRAP_FALLOCATE), 4);
    must(omi_file_close(file));
}

/* ---- syncs ----------------------------------------------------------------------------------- */

Test(posix_short, a_failed_sync_is_one_call)
{
    static const struct {
        int errnum;
        omen_err code;
    } syncs[] = {{EIO, OMEN_IO}, {EINTR, OMEN_IO}, {ENOSPC, OMEN_FULL}, {EDQUOT, OMEN_FULL}};
    struct omi_file *file = NULL;
    must(omi_file_open(dir, "s", OMI_OPEN_CREATE, 0, &file));
    for (int i = 0; i < 4; i++) {
        wrap_clear();
        wrap_fail(WRAP_FDATASYNC, 1, 1, syncs[i].errnum);
        wrap_fail(WRAP_FSYNC, 1, 1, syncs[i].errnum);
        cr_assert_eq(omi_file_sync(file), syncs[i].code);
        cr_assert(strstr(omen_last_error(), "/s: syncing") != NULL, "%s", omen_last_error());
        cr_assert_eq(wrap_calls(WRAP_FDATASYNC), 1);
        cr_assert_eq(omi_dir_sync(dir), syncs[i].code);
        cr_assert_eq(wrap_calls(WRAP_FSYNC), 1);
        must(omi_file_sync(file));
        must(omi_dir_sync(dir));
    }
    must(omi_file_close(file));
}

/* ---- opening --------------------------------------------------------------------------------- */

static omen_err open_each(unsigned how)
{
    struct omi_file *file = NULL;
    struct omi_dir *other = NULL;
    omen_err err;
    if (how < 3) {
        static const char *const names[] = {"there", "new", "there"};
        err = omi_file_open(dir, names[how], (enum omi_open_mode)how, 0, &file);
    } else if (how == 3) {
        err = omi_dir_lock(dir, "LOCK", &file);
    } else {
        err = omi_dir_open(env, root, false, &other);
    }
    cr_assert_eq(err == OMEN_OK, file != NULL || other != NULL);
    if (file != NULL)
        must(omi_file_close(file));
    omi_dir_close(other);
    return err;
}

Test(posix_short, opening_is_tried_again_after_interrupts_alone)
{
    static const struct {
        int errnum;
        omen_err code;
        const char *words;
    } opens[] = {
        {EMFILE, OMEN_IO, "limit of"},     {ENFILE, OMEN_IO, "file-max"},
        {ENOSPC, OMEN_FULL, ""},           {EDQUOT, OMEN_FULL, ""},
        {EROFS, OMEN_READ_ONLY, ""},       {EIO, OMEN_IO, ""},
        {ELOOP, OMEN_IO, "symbolic link"}, {EACCES, OMEN_IO, "owner and mode"},
    };
    file_put(dir, "there", "1", 1, false);
    for (unsigned how = 0; how < 5; how++) {
        unsigned before = descriptors();
        for (size_t i = 0; i < sizeof(opens) / sizeof(opens[0]); i++) {
            wrap_clear();
            wrap_fail(WRAP_OPENAT, 1, 1, opens[i].errnum);
            cr_assert_eq(open_each(how), opens[i].code, "%u %d: %s", how, opens[i].errnum,
                         omen_last_error());
            cr_assert(strstr(omen_last_error(), root) != NULL, "%s", omen_last_error());
            cr_assert(strstr(omen_last_error(), opens[i].words) != NULL, "%s", omen_last_error());
            cr_assert_eq(wrap_calls(WRAP_OPENAT), 1);
        }
        cr_assert(!file_exists(dir, "new"));
        wrap_clear();
        wrap_fail(WRAP_OPENAT, 1, 3, EINTR);
        must(open_each(how));
        cr_assert_eq(wrap_calls(WRAP_OPENAT), 4);
        omi_ignore(omi_dir_unlink(dir, "new"));
        cr_assert_eq(descriptors(), before);
    }
}

Test(posix_short, a_directory_that_cannot_be_made_durable_is_not_made)
{
    static const enum wrapped kinds[] = {WRAP_OPENAT, WRAP_FSYNC};
    char path[300];
    snprintf(path, sizeof(path), "%s/sub", root);
    for (int k = 0; k < 2; k++) {
        struct omi_dir *sub = NULL;
        struct stat st;
        wrap_clear();
        wrap_fail(kinds[k], 1, 1, k == 0 ? EMFILE : EIO);
        cr_assert_eq(omi_dir_open(env, path, true, &sub), OMEN_IO);
        cr_assert_neq(stat(path, &st), 0);
    }
}

/* ---- a whole replacement --------------------------------------------------------------------- */

static const char *contents(void)
{
    wrap_clear();
    return file_text(dir, "CURRENT");
}

Test(posix_short, a_replacement_that_fails_at_any_call_leaves_old_or_new)
{
    static const enum wrapped kinds[] = {WRAP_OPENAT, WRAP_PWRITE, WRAP_FDATASYNC, WRAP_FSYNC};
    unsigned before = descriptors(), failures = 0;
    for (int k = 0; k < 4; k++)
        for (int a = 0; a < ANSWERS; a++) {
            bool failed = true;
            for (uint64_t nth = 1; failed; nth++) {
                wrap_clear();
                must(omi_file_replace(dir, "CURRENT", "old", 3));
                wrap_clear();
                wraps[WRAP_PWRITE].piece = 4;
                wrap_fail(kinds[k], nth, 1, answers[a].errnum);
                omen_err err = omi_file_replace(dir, "CURRENT", "new contents", 12);
                failed = err != OMEN_OK;
                failures += failed;
                cr_assert(err == (failed ? answers[a].code : OMEN_OK));
                cr_assert_str_eq(contents(),
                                 failed && kinds[k] != WRAP_FSYNC ? "old" : "new contents");
                cr_assert(!file_exists(dir, "CURRENT.tmp"));
            }
        }
    cr_assert_eq(failures, (1 + 3 + 1 + 1) * ANSWERS);
    cr_assert_eq(descriptors(), before);
}

Test(posix_short, reading_a_whole_file_goes_on_or_says_why)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    omi_file_close(pattern_file());
    wraps[WRAP_PREAD].piece = 13;
    wraps[WRAP_PREAD].interrupts = 5;
    must(omi_file_read_all(dir, "p", BYTES, &bytes, &size));
    cr_assert_eq(size, BYTES);
    cr_assert_eq(memcmp(bytes, pattern, BYTES), 0);
    free(bytes);
    wrap_fail(WRAP_PREAD, wrap_calls(WRAP_PREAD) + 100, 1, EIO); /* is tried once more */
    must(omi_file_read_all(dir, "p", BYTES, &bytes, &size));
    cr_assert_eq(memcmp(bytes, pattern, BYTES), 0);
    free(bytes);
    wrap_fail(WRAP_PREAD, wrap_calls(WRAP_PREAD) + 100, UINT64_MAX, EIO);
    cr_assert_eq(omi_file_read_all(dir, "p", BYTES, &bytes, &size), OMEN_IO);
    cr_assert_null(bytes);
}

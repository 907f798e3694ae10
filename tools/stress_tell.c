/* stress_tell.c - what is said when something is wrong, and what is kept for a look. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/base/turns.h"
#include "tools/stress.h"

_Thread_local struct stress_worker *stress_here;
static struct stress_run *telling;

void stress_tell_begin(struct stress_run *run)
{
    telling = run;
}

void *stress_alloc(size_t bytes)
{
    void *p = calloc(1, bytes + 1);
    if (p == NULL)
        stress_fail("no memory for %zu bytes of expected state; give fewer --keys", bytes);
    return p;
}

void stress_note(struct stress_worker *w, const char *format, ...)
{
    char *note = w->notes[w->note_count++ % STRESS_NOTES];
    va_list args;
    va_start(args, format);
    vsnprintf(note, STRESS_NOTE_BYTES, format, args);
    va_end(args);
    if (w->run->plan.verbose)
        fprintf(stderr, "  thread %u: %s\n", w->thread, note);
}

static void tell_notes(const struct stress_worker *w)
{
    fprintf(stderr, "the last operations of thread %u (after its write %" PRIu64 "):\n", w->thread,
            w->now.n);
    uint64_t first = w->note_count > STRESS_NOTES ? w->note_count - STRESS_NOTES : 0;
    for (uint64_t i = first; i < w->note_count; i++)
        fprintf(stderr, "  %s\n", w->notes[i % STRESS_NOTES]);
}

void stress_fail(const char *format, ...)
{
    /* The first thread that fails ends the program; never unlocked. */
    static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
    pthread_mutex_lock(&once);
    omi_turns_here = NULL; /* the other threads of a simulated env stand still for good */
    fflush(stdout);
    fprintf(stderr, "FAILED: ");
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\n");
    if (telling != NULL) {
        char line[STRESS_OPTIONS_BYTES];
        if (stress_here != NULL)
            tell_notes(stress_here);
        fprintf(stderr, "options: %s\n", telling->options);
        stress_plan_replay(&telling->plan, line, sizeof(line));
        fprintf(stderr, "replay: %s\n", line);
        if (telling->plan.mode != STRESS_SIM)
            fprintf(stderr, "the database is kept in %s\n", telling->dir);
        if (telling->clean_up != NULL)
            telling->clean_up(telling);
    }
    fflush(stderr);
    _exit(STRESS_EXIT_FAILED);
}

void stress_ok(omen_err err, const char *call)
{
    if (err != OMEN_OK)
        stress_fail("%s: %s: %s", call, omen_err_name(err), omen_last_error());
}

/* ---- a simulated directory, made real -------------------------------------------------------- */

struct image {
    struct omi_dir *dir;
    const char *to;
};

static omen_err image_file(void *ctx, const struct omi_dir_entry *e)
{
    const struct image *image = ctx;
    uint8_t *bytes = NULL;
    size_t size = 0;
    char path[2 * STRESS_PATH_BYTES];
    snprintf(path, sizeof(path), "%s/%s", image->to, e->name);
    omen_err err = omi_file_read_all(image->dir, e->name, SIZE_MAX, &bytes, &size);
    FILE *out = err == OMEN_OK ? fopen(path, "w") : NULL;
    if (out == NULL || fwrite(bytes, 1, size, out) != size)
        fprintf(stderr, "%s cannot be written\n", path);
    if (out != NULL)
        fclose(out);
    free(bytes);
    return OMEN_OK;
}

void stress_image_write(struct omi_env *env, const char *dir, const char *to)
{
    struct image image = {NULL, to};
    if (mkdir(to, 0700) != 0 && errno != EEXIST) {
        fprintf(stderr, "%s cannot be made: %s\n", to, strerror(errno));
        return;
    }
    if (omi_dir_open(env, dir, false, &image.dir) != OMEN_OK)
        return;
    omi_ignore(omi_dir_list(image.dir, image_file, &image));
    omi_dir_close(image.dir);
    fprintf(stderr, "the simulated directory is written to %s\n", to);
}

#include "lsm/log_file.h"

#include "io/base/fail.h"
#include "io/base/sync.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct omi_log_file {
    struct omi_env *env;
    struct omi_dir *dir;
    struct omi_file *file; /* NULL: only the callback */
    struct omi_mutex mu;   /* innermost of all locks; guards file and bytes */
    uint64_t bytes, bytes_max;
    void (*callback)(void *ctx, int level, const char *line);
    void *callback_ctx;
};

static void log_start(struct omi_log_file *log)
{
    log->bytes = 0;
    log->file = NULL;
    (void)omi_dir_rename(log->dir, "LOG", "LOG.old"); /* not there the first time */
    if (omi_file_open(log->dir, "LOG", OMI_OPEN_CREATE, 0, &log->file) != OMEN_OK)
        log->file = NULL; /* the database works without its diary */
}

omen_err omi_log_file_create(struct omi_env *env, struct omi_dir *dir, const omen_options *options,
                             bool write_file, struct omi_log_file **out)
{
    *out = NULL;
    struct omi_log_file *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "the LOG file");
    log->env = env;
    log->dir = dir;
    log->bytes_max = options->log_file_bytes != 0 ? options->log_file_bytes : 8u << 20;
    log->callback = options->log;
    log->callback_ctx = options->log_context;
    omi_mutex_init(&log->mu);
    if (write_file)
        log_start(log);
    *out = log;
    return OMEN_OK;
}

void omi_log_file_destroy(struct omi_log_file *log)
{
    if (log == NULL)
        return;
    if (log->file != NULL)
        (void)omi_file_close(log->file);
    omi_mutex_fini(&log->mu);
    free(log);
}

static int stamp(struct omi_env *env, char *out, size_t size)
{
    uint64_t us = env->ops->wall_us(env);
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    if (gmtime_r(&seconds, &tm) == NULL)
        return 0;
    return snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06uZ ", tm.tm_year + 1900,
                    tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                    (unsigned)(us % 1000000));
}

void omi_say(struct omi_log_file *log, int level, const char *format, ...)
{
    static const char *const levels[] = {"error ", "warning ", ""};
    if (log == NULL)
        return;
    char line[1024];
    int used = stamp(log->env, line, sizeof(line));
    int head = used;
    used += snprintf(line + used, sizeof(line) - (size_t)used, "%s", levels[level]);
    va_list args;
    va_start(args, format);
    int more = vsnprintf(line + used, sizeof(line) - (size_t)used - 1, format, args);
    va_end(args);
    size_t size = (size_t)used + (more > 0 ? (size_t)more : 0);
    if (size > sizeof(line) - 2)
        size = sizeof(line) - 2;
    if (log->callback != NULL) {
        line[size] = 0;
        log->callback(log->callback_ctx, level, line + head);
    }
    line[size++] = '\n';
    char words[512]; /* what the diary cannot take is no failure of its teller */
    snprintf(words, sizeof(words), "%s", omen_last_error());
    omi_mutex_lock(&log->mu);
    if (log->file != NULL && log->bytes + size > log->bytes_max) {
        (void)omi_file_close(log->file);
        log_start(log);
    }
    if (log->file != NULL && omi_file_pwrite(log->file, line, size, log->bytes) == OMEN_OK)
        log->bytes += size;
    omi_mutex_unlock(&log->mu);
    omi_ignore(omi_fail_again(OMEN_OK, words));
}

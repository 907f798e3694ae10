/*
 * tune_measure.c - wishes become labels: grouped by what they can share a build for, measured here or
 * by processes of their own, appended in the order of the wishes.
 */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/text.h"
#include "tools/tune.h"
#include "tools/tune_lines.h"

volatile int omt_measure_stopped;

static void stop(int signal)
{
    (void)signal;
    omt_measure_stopped = 1;
}

void omt_measure_catch(void)
{
    struct sigaction action = {.sa_handler = stop};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* What is in dir/name: databases, each a directory. */
static void build_clear(const char *dir, const char *name)
{
    char path[OMT_TUNE_PATH], inner[OMT_TUNE_PATH];
    if (!omt_lines_path(path, dir, name))
        return;
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && omt_lines_path(inner, path, e->d_name) &&
            omen_destroy(inner) != OMEN_OK)
            fprintf(stderr, "omendb: tune: %s\n", omen_last_error());
    if (d != NULL)
        closedir(d);
    rmdir(path);
}

void omt_measure_clear(const char *work)
{
    DIR *d = opendir(work);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.')
            build_clear(work, e->d_name);
    if (d != NULL)
        closedir(d);
}

/* ---- groups ------------------------------------------------------------------------------------ */

struct group { /* wishes of one build, in their order */
    uint32_t *wish, count;
    pid_t pid; /* while a process measures it */
    bool done; /* its labels are in labels[] */
    struct omt_label *labels;
    uint32_t label_count;
};

struct measure {
    struct omt_campaign *c;
    const struct omt_measure_options *options;
    const struct omt_wish *wishes;
    struct group *groups;
    uint32_t group_count, added; /* groups whose labels stand in the campaign */
    uint32_t label_count, done;  /* labels wished for, and made */
    double start_s, shown_s;
    bool on_terminal;
};

static const struct omi_workload *workload_of(const struct measure *m, const struct omt_wish *wish)
{
    return &m->c->config.workload[wish->workload];
}

static struct group *group_find(struct measure *m, const struct omt_wish *wish)
{
    for (uint32_t i = 0; i < m->group_count; i++) {
        const struct omt_wish *first = &m->wishes[m->groups[i].wish[0]];
        if (omi_point_same(&first->point, &wish->point) &&
            omt_build_shared(workload_of(m, first), workload_of(m, wish)))
            return &m->groups[i];
    }
    m->groups = omt_realloc(m->groups, (m->group_count + 1) * sizeof(*m->groups));
    struct group *g = &m->groups[m->group_count++];
    memset(g, 0, sizeof(*g));
    return g;
}

static void groups_make(struct measure *m, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct omt_wish *wish = &m->wishes[i];
        if (omt_campaign_find(m->c, wish->workload, &wish->point, wish->repeat) != NULL)
            continue;
        struct group *g = group_find(m, wish);
        g->wish = omt_realloc(g->wish, (g->count + 1) * sizeof(*g->wish));
        g->wish[g->count++] = i;
        m->label_count++;
    }
}

static void groups_free(struct measure *m)
{
    for (uint32_t i = 0; i < m->group_count; i++) {
        free(m->groups[i].wish);
        free(m->groups[i].labels);
    }
    free(m->groups);
}

/* ---- progress ---------------------------------------------------------------------------------- */

static void minutes(double s, char out[static 16])
{
    unsigned t = s < 0 ? 0 : (unsigned)(s + 0.5);
    if (t >= 360000)
        t = 359999;
    if (t >= 3600)
        snprintf(out, 16, "%u:%02u:%02u", t / 3600, t / 60 % 60, t % 60);
    else
        snprintf(out, 16, "%u:%02u", t / 60, t % 60);
}

static void progress(struct measure *m, bool force)
{
    double now = omt_now_s(), spent = now - m->start_s;
    char past[16], left[16] = "?";
    if (!m->on_terminal || (!force && now - m->shown_s < 0.2))
        return;
    m->shown_s = now;
    minutes(spent, past);
    if (m->done > 0)
        minutes(spent / m->done * (m->label_count - m->done), left);
    fprintf(stderr, "\r%s: %" PRIu32 " of %" PRIu32 " labels, %s, %s left \033[K", m->options->what,
            m->done, m->label_count, past, left);
    fflush(stderr);
}

static bool time_is_up(const struct measure *m)
{
    return m->options->time_limit_s > 0 && omt_now_s() - m->start_s > m->options->time_limit_s;
}

static omen_err interrupted(const struct measure *m)
{
    if (time_is_up(m))
        return omi_fail(OMEN_ABORTED, 0, "the time limit is reached");
    return omi_fail(OMEN_ABORTED, 0, "interrupted");
}

/* ---- measuring --------------------------------------------------------------------------------- */

/* Calls got for each label as it is made. */
static omen_err group_measure(struct measure *m, const struct group *g,
                              bool (*got)(struct measure *m, const struct omt_label *label,
                                          void *context),
                              void *context)
{
    struct omt_build *build = NULL;
    struct omt_label *label = omt_realloc(NULL, sizeof(*label));
    const struct omt_wish *first = &m->wishes[g->wish[0]];
    omen_err err = omt_build_make(&m->options->run, workload_of(m, first), &first->point, &build);
    for (uint32_t i = 0; i < g->count && err == OMEN_OK; i++) {
        const struct omt_wish *wish = &m->wishes[g->wish[i]];
        if (omt_measure_stopped != 0 || time_is_up(m))
            err = interrupted(m);
        else
            err = omt_run(build, workload_of(m, wish), wish->repeat, label);
        if (err != OMEN_OK)
            break;
        snprintf(label->method, sizeof(label->method), "%s", wish->method);
        label->predicted = wish->predicted;
        label->predicted_sd = wish->predicted_sd;
        if (!got(m, label, context))
            err = omi_fail(OMEN_IO, 0, "a label could not be written");
    }
    omt_build_destroy(build);
    free(label);
    return err;
}

static bool label_here(struct measure *m, const struct omt_label *label, void *context)
{
    (void)context;
    m->done++;
    progress(m, false);
    return omt_campaign_add(m->c, label);
}

static omen_err measure_here(struct measure *m)
{
    omen_err err = OMEN_OK;
    for (uint32_t i = 0; i < m->group_count && err == OMEN_OK; i++) {
        if (omt_measure_stopped != 0 || time_is_up(m))
            return interrupted(m);
        err = group_measure(m, &m->groups[i], label_here, NULL);
        progress(m, true);
    }
    return err;
}

/* ---- by processes ------------------------------------------------------------------------------ */

static bool label_to_file(struct measure *m, const struct omt_label *label, void *context)
{
    (void)m;
    omt_label_write(context, label, true);
    return fflush(context) == 0 && ferror((FILE *)context) == 0;
}

static bool group_path(const struct measure *m, uint32_t index, char path[static OMT_TUNE_PATH])
{
    char name[64];
    snprintf(name, sizeof(name), "labels-%s-%" PRIu32 ".jsonl", m->options->run.session, index);
    return omt_lines_path(path, m->c->dir, name);
}

/* The exit code is the omen_err. */
static int child_measure(struct measure *m, uint32_t index)
{
    char path[OMT_TUNE_PATH];
    if (!group_path(m, index, path))
        return OMEN_IO;
    FILE *out = fopen(path, "wb");
    if (out == NULL) {
        fprintf(stderr, "omendb: tune: %s: %s\n", path, strerror(errno));
        return OMEN_IO;
    }
    omen_err err = group_measure(m, &m->groups[index], label_to_file, out);
    if (err != OMEN_OK && err != OMEN_ABORTED)
        fprintf(stderr, "omendb: tune: %s\n", omen_last_error());
    fclose(out);
    return (int)err;
}

static bool label_of_child(void *context, const struct omt_node *node,
                           char why[static OMT_JSON_WHY])
{
    struct group *g = context;
    g->labels = omt_realloc(g->labels, (g->label_count + 1) * sizeof(*g->labels));
    if (!omt_label_read(node, &g->labels[g->label_count], why))
        return false;
    g->label_count++;
    return true;
}

static bool group_collect(struct measure *m, uint32_t index)
{
    char path[OMT_TUNE_PATH];
    struct group *g = &m->groups[index];
    g->pid = 0;
    g->done = true;
    if (!group_path(m, index, path) || !omt_lines_read(path, label_of_child, g, NULL))
        return false;
    m->done += g->label_count;
    unlink(path);
    return true;
}

/* In the groups' order; all: also past one that has not ended, when nothing more will come. */
static bool groups_add(struct measure *m, bool all)
{
    for (uint32_t i = m->added; i < m->group_count; i++) {
        struct group *g = &m->groups[i];
        if (!g->done && !all)
            break;
        for (uint32_t k = 0; k < g->label_count; k++)
            if (!omt_campaign_add(m->c, &g->labels[k]))
                return false;
        g->label_count = 0;
        if (m->added == i)
            m->added++;
    }
    return true;
}

static bool group_start(struct measure *m, uint32_t index)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        _exit(child_measure(m, index));
    m->groups[index].pid = pid;
    return pid > 0;
}

/* Waits for one of ours; what it came to. */
static omen_err group_wait(struct measure *m)
{
    int status;
    pid_t pid = waitpid(-1, &status, 0);
    if (pid < 0) /* a signal: children got it too, and end by themselves */
        return OMEN_OK;
    for (uint32_t i = 0; i < m->group_count; i++) {
        if (m->groups[i].pid != pid)
            continue;
        bool collected = group_collect(m, i);
        if (!WIFEXITED(status))
            return omi_fail(OMEN_ABORTED, 0, "a measuring process was killed");
        if (WEXITSTATUS(status) != OMEN_OK)
            return omi_fail((omen_err)WEXITSTATUS(status), 0, "a measuring process failed");
        if (!collected || !groups_add(m, false))
            return omi_fail(OMEN_IO, 0, "labels of a measuring process");
        return OMEN_OK;
    }
    return OMEN_OK;
}

static void groups_stop(const struct measure *m)
{
    for (uint32_t i = 0; i < m->group_count; i++)
        if (m->groups[i].pid > 0)
            kill(m->groups[i].pid, SIGTERM);
}

static omen_err measure_apart(struct measure *m)
{
    uint32_t next = 0, running = 0;
    omen_err err = OMEN_OK;
    while (running > 0 || (next < m->group_count && err == OMEN_OK)) {
        if (err == OMEN_OK && (omt_measure_stopped != 0 || time_is_up(m))) {
            err = interrupted(m);
            groups_stop(m);
        }
        if (err == OMEN_OK && next < m->group_count && running < m->options->jobs) {
            if (!group_start(m, next++))
                err = omi_fail(OMEN_NO_MEMORY, errno, "a measuring process cannot be started");
            else
                running++;
            continue;
        }
        if (running == 0)
            break;
        omen_err ended = group_wait(m);
        running = 0;
        for (uint32_t i = 0; i < m->group_count; i++)
            running += m->groups[i].pid > 0;
        err = err != OMEN_OK ? err : ended;
        progress(m, true);
    }
    if (!groups_add(m, true) && err == OMEN_OK)
        err = omi_fail(OMEN_IO, 0, "labels could not be written");
    return err;
}

omen_err omt_measure(struct omt_campaign *c, const struct omt_measure_options *options,
                     const struct omt_wish *wishes, uint32_t count)
{
    struct measure m = {.c = c, .options = options, .wishes = wishes};
    m.start_s = omt_now_s();
    m.on_terminal = options->progress && isatty(STDERR_FILENO) == 1;
    groups_make(&m, count);
    omen_err err = OMEN_OK;
    if (m.group_count > 0) {
        progress(&m, true);
        err = options->jobs > 1 && m.group_count > 1 ? measure_apart(&m) : measure_here(&m);
        if (m.on_terminal)
            fprintf(stderr, "\r\033[K");
    }
    groups_free(&m);
    return err;
}

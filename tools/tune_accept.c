/*
 * tune_accept.c - accept: what the tuner must reach, row by row, each ending in one line.
 */
#include "tools/tune_accept.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "tools/cmd.h"

struct row_kind {
    const char *id, *what;
    bool (*run)(struct omt_accept *a, struct omt_row *row);
    bool in_short;
};

static const struct row_kind rows[] = {
    {"A1", "regret after 12 samples a workload", omt_accept_a1, true},
    {"A2", "regret after 24", omt_accept_a2, false},
    {"A3", "time against what ships, at S1, three interleaved repeats", omt_accept_a3, false},
    {"A4", "never worse than what ships, after confirmation", omt_accept_a4, false},
    {"A5", "against the theory alone", omt_accept_a5, false},
    {"A6", "against random samples and CAMAL's rounds", omt_accept_a6, false},
    {"A7", "what a campaign of 12 samples takes", omt_accept_a7, false},
    {"A8", "S0's choices at S1", omt_accept_a8, false},
    {"A9", "tuned against what ships, at S2", omt_accept_a9, false},
    {"A10", "cost model against the engine's blocks", omt_accept_a10, true},
    {"A11", "error of the model on a workload it has not seen", omt_accept_a11, false},
    {"A20", "the same seed gives the same labels, choices and model", omt_accept_a20, true},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

void omt_accept_say(const struct omt_accept *a, const char *format, ...)
{
    va_list args;
    if (a->json)
        return;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

/* ---- verdicts -------------------------------------------------------------------------------- */

static bool meets(const struct omt_figure *f, double bound)
{
    return isnan(bound) || (f->at_least ? f->value >= bound : f->value <= bound);
}

static bool row_passes(const struct omt_row *row, bool goal)
{
    bool all = true;
    for (uint32_t i = 0; i < row->count; i++)
        all = all && isfinite(row->figure[i].value) &&
              meets(&row->figure[i], goal ? row->figure[i].goal : row->figure[i].must);
    return all || (row->passes_anyway && !goal);
}

static const char *value_text(char out[static 32], const struct omt_figure *f, double value)
{
    switch (f->unit) {
    case OMT_PER_CENT:
        snprintf(out, 32, "%.3g %%", 100 * value);
        break;
    case OMT_MINUTES:
        snprintf(out, 32, "%.1f min", value);
        break;
    case OMT_TIMES:
        snprintf(out, 32, "%.3gx", value);
        break;
    default:
        snprintf(out, 32, "%g", value);
    }
    return out;
}

/* "must 8 % (25 %)": of the figures that have such a bound, in their order; "": none has. */
static void bounds_text(const struct omt_row *row, bool goal, char *out, size_t size)
{
    unsigned told = 0;
    out[0] = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        const struct omt_figure *f = &row->figure[i];
        double bound = goal ? f->goal : f->must;
        char value[32];
        size_t n = strlen(out);
        if (isnan(bound))
            continue;
        snprintf(out + n, size - n, "%s%s%s",
                 told == 0   ? (goal ? ", goal " : ", must ")
                 : told == 1 ? " ("
                             : ", ",
                 f->at_least ? ">= " : "", value_text(value, f, bound));
        told++;
    }
    if (told > 1) {
        size_t n = strlen(out);
        snprintf(out + n, size - n, ")");
    }
}

/* A1 mean regret 4.2 % (max 17 %), must 8 % (25 %), goal 5 % (15 %): pass */
static void row_text(const struct omt_row *row, char *out, size_t size)
{
    char must[160], goal[160], value[32];
    size_t n = 0;
    for (uint32_t i = 0; i < row->count; i++) {
        const struct omt_figure *f = &row->figure[i];
        n += (size_t)snprintf(out + n, size - n, "%s%s %s",
                              i == 0   ? ""
                              : i == 1 ? " ("
                                       : ", ",
                              f->name, value_text(value, f, f->value));
    }
    bounds_text(row, false, must, sizeof(must));
    bounds_text(row, true, goal, sizeof(goal));
    snprintf(out + n, size - n, "%s%s%s: %s", row->count > 1 ? ")" : "", must, goal,
             row_passes(row, false) ? "pass" : "short");
}

static void row_json(struct omt_json *j, const struct omt_row *row)
{
    omt_json_object(j, NULL);
    omt_json_text(j, "id", row->id);
    omt_json_array(j, "figures");
    for (uint32_t i = 0; i < row->count; i++) {
        const struct omt_figure *f = &row->figure[i];
        omt_json_object(j, NULL);
        omt_json_text(j, "name", f->name);
        omt_json_f64(j, "value", f->value, 6);
        omt_json_text(j, "bound", f->at_least ? "at least" : "at most");
        omt_json_f64(j, "must", f->must, 6);
        omt_json_f64(j, "goal", f->goal, 6);
        omt_json_object_end(j);
    }
    omt_json_array_end(j);
    omt_json_text(j, "note", row->note);
    omt_json_bool(j, "goal_met", row_passes(row, true));
    omt_json_text(j, "verdict", row_passes(row, false) ? "pass" : "short");
    omt_json_object_end(j);
}

/* One line of the table of docs/ledger.md. */
static bool ledger_append(const struct omt_accept *a, const char *id, const char *text,
                          const char *note)
{
    FILE *file = fopen(a->ledger, "a");
    char date[16] = "";
    time_t now = time(NULL);
    struct tm tm;
    if (file == NULL) {
        fprintf(stderr, "omendb: tune accept: cannot append to %s: %s\n", a->ledger,
                strerror(errno));
        return false;
    }
    if (gmtime_r(&now, &tm) != NULL)
        strftime(date, sizeof(date), "%Y-%m-%d", &tm);
    fprintf(file, "| %s | %s | `omendb tune accept --id %s%s` | %s%s%s |\n", date,
            a->commit != NULL ? a->commit : "-", id, a->is_short ? " --short" : "", text,
            note[0] != 0 ? "; " : "", note);
    bool bad = ferror(file) != 0;
    if (fclose(file) == 0 && !bad)
        return true;
    fprintf(stderr, "omendb: tune accept: appending to %s: %s\n", a->ledger, strerror(errno));
    return false;
}

/* ---- what rows work on ----------------------------------------------------------------------- */

bool omt_accept_dir(const struct omt_accept *a, const char *name, char path[static OMT_TUNE_PATH])
{
    int n = snprintf(path, OMT_TUNE_PATH, "%s/%s", a->work, name);
    if (n > 0 && n < OMT_TUNE_PATH && (mkdir(path, 0777) == 0 || errno == EEXIST))
        return true;
    fprintf(stderr, "omendb: tune accept: cannot make %s/%s: %s; --work names the directory\n",
            a->work, name, strerror(errno));
    return false;
}

/* The grid of every workload, measured live: without --labels there is nothing to be judged by. */
static bool grid_measure(struct omt_accept *a)
{
    struct omt_wish *wishes = NULL;
    uint32_t count = 0;
    bool good = true;
    for (uint32_t w = 0; w < a->config.workload_count && good; w++) {
        struct omi_tune_workload workload;
        struct omi_tune_space grid;
        omi_tune_workload_of(&a->config.workload[w], &a->config.prices, &workload);
        omen_err err = omi_space_grid(&workload.limits, &workload.data, workload.mix, &grid);
        if (err != OMEN_OK) {
            omt_tell("tune accept", err);
            good = false;
            break;
        }
        wishes = omt_realloc(wishes, (count + grid.count + 1) * sizeof(*wishes));
        for (uint32_t i = 0; i <= grid.count; i++) {
            struct omt_wish *wish = &wishes[count++];
            *wish = (struct omt_wish){.workload = w};
            snprintf(wish->method, sizeof(wish->method), "grid");
            wish->point = i < grid.count ? grid.points[i] : omt_default_point(&workload.limits);
        }
        omi_space_fini(&grid);
    }
    const struct omt_label **labels = omt_realloc(NULL, (count + 1) * sizeof(*labels));
    good = good && omt_pool_labels(&a->pool, wishes, count, labels);
    free(labels);
    free(wishes);
    return good;
}

bool omt_accept_pool(struct omt_accept *a)
{
    char dir[OMT_TUNE_PATH];
    if (a->has_pool)
        return true;
    bool recorded = a->recorded.dir[0] != 0;
    if (!omt_accept_dir(a, "s0", dir) ||
        !omt_pool_open(&a->pool, recorded ? &a->recorded : NULL, &a->config, dir, &a->options))
        return false;
    a->has_pool = recorded || grid_measure(a);
    return a->has_pool;
}

static bool workload_add(struct omt_accept *a, const char *name)
{
    struct omt_campaign_config *c = &a->config;
    if (c->workload_count == OMT_WORKLOADS_MAX) {
        omt_usage("tune accept", "more than 64 workloads");
        return false;
    }
    struct omi_workload *w = &c->workload[c->workload_count];
    if (!omt_spec_load(name, w))
        return false;
    omt_spec_scale(w, (unsigned)a->scale);
    if (a->is_short) { /* small, with the levels of a large one: more memory a key makes it fit */
        w->entries = 20000;
        w->memory_bits = 62;
        for (uint32_t i = 0; i < w->phase_count; i++)
            w->phase[i].ops = 4000;
    }
    c->workload_count++;
    return true;
}

static bool config_make(struct omt_accept *a)
{
    static const char all[] = "W1,W2,W3,W4,W5,W6,W7,W8,W9,W10,W11,W12";
    static const char few[] = "W1,W4,W5,W9";
    const char *text = a->spec_text != NULL ? a->spec_text : a->is_short ? few : all;
    a->config.scale = (unsigned)a->scale;
    a->config.seed = a->seed;
    a->config.prices = omi_cost_prices_default;
    snprintf(a->config.verb, sizeof(a->config.verb), "accept");
    for (const char *at = text; *at != 0;) {
        size_t n = strcspn(at, ",");
        char name[OMT_TUNE_PATH];
        snprintf(name, sizeof(name), "%.*s", (int)n, at);
        if (!workload_add(a, name))
            return false;
        at += n + (at[n] == ',');
    }
    return true;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static bool id_listed(const char *list, const char *id)
{
    size_t want = strlen(id);
    for (const char *at = list; *at != 0;) {
        size_t n = strcspn(at, ",");
        if (n == want && strncmp(at, id, n) == 0)
            return true;
        at += n + (at[n] == ',');
    }
    return false;
}

static bool ids_check(const char *list)
{
    if (strcmp(list, "all") == 0)
        return true;
    for (const char *at = list; *at != 0;) {
        size_t n = strcspn(at, ",");
        bool known = false;
        for (size_t i = 0; i < ROWS; i++)
            known = known || (strlen(rows[i].id) == n && strncmp(at, rows[i].id, n) == 0);
        if (!known) {
            fprintf(stderr,
                    "omendb: tune accept: no row \"%.*s\"; there are A1 to A11, A20 and all\n",
                    n < 40 ? (int)n : 40, at);
            return false;
        }
        at += n + (at[n] == ',');
    }
    return true;
}

/* 0: pass, 1: short, 3: not measured. */
static int row_run(struct omt_accept *a, const struct row_kind *kind, struct omt_json *json)
{
    struct omt_row row = {.id = kind->id};
    char text[512];
    omt_accept_say(a, "%s%s: %s%s\n", omt_bold(), kind->id, kind->what, omt_plain());
    if (!kind->run(a, &row)) {
        omt_accept_say(a, "%s not measured\n\n", kind->id);
        return OMT_EXIT_ERROR;
    }
    row_text(&row, text, sizeof(text));
    if (a->json)
        row_json(json, &row);
    if (row.note[0] != 0)
        omt_accept_say(a, "(%s)\n", row.note);
    omt_accept_say(a, "%s %s\n\n", row.id, text);
    if (a->ledger != NULL && !ledger_append(a, row.id, text, row.note))
        return OMT_EXIT_ERROR;
    return row_passes(&row, false) ? OMT_EXIT_OK : OMT_EXIT_PROBLEM;
}

static int rows_run(struct omt_accept *a, const char *list)
{
    struct omt_json json = {.out = stdout};
    int result = OMT_EXIT_OK;
    if (a->json)
        omt_json_array(&json, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        bool all = strcmp(list, "all") == 0 && (!a->is_short || rows[i].in_short);
        if (!all && !id_listed(list, rows[i].id))
            continue;
        int one = row_run(a, &rows[i], &json);
        result = one > result ? one : result;
        if (omt_measure_stopped != 0)
            break;
    }
    if (a->json) {
        omt_json_array_end(&json);
        omt_json_end(&json);
    }
    return result;
}

static int path_remove(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st;
    (void)kind;
    (void)ftw;
    return remove(path);
}

/* Small databases go into memory when there is room, so that nobody waits for a disk: J_io does not
 * depend on where they lie. Rows that take the time say so themselves. */
static bool options_make(struct omt_accept *a, bool is_temporary)
{
    static const char shm[] = "/dev/shm";
    struct statvfs fs;
    snprintf(a->session, sizeof(a->session), "%llx-%x", (unsigned long long)time(NULL),
             (unsigned)getpid());
    a->options.run.session = a->session;
    a->options.run.stop = &omt_measure_stopped;
    a->options.run.work = a->databases;
    if (a->databases != NULL || !is_temporary || !a->is_short || statvfs(shm, &fs) != 0 ||
        (uint64_t)fs.f_bavail * fs.f_frsize < UINT64_C(4) << 30)
        return true;
    snprintf(a->databases_made, sizeof(a->databases_made), "%s/omendb-accept.XXXXXX", shm);
    if (mkdtemp(a->databases_made) == NULL) /* no such place, or not for us: the disk will do */
        a->databases_made[0] = 0;
    else
        a->databases = a->options.run.work = a->databases_made;
    return true;
}

static int accept_run(struct omt_accept *a, const char *list)
{
    char made[] = "/tmp/omendb-accept.XXXXXX";
    bool is_temporary = a->work == NULL;
    int result = OMT_EXIT_ERROR;
    a->work = is_temporary ? mkdtemp(made) : a->work;
    if (a->work == NULL || (!is_temporary && mkdir(a->work, 0777) != 0 && errno != EEXIST)) {
        fprintf(stderr, "omendb: tune accept: cannot make a directory to work in: %s; see --work\n",
                strerror(errno));
        return result;
    }
    bool good = config_make(a) && options_make(a, is_temporary);
    if (good && a->labels != NULL)
        good = omt_campaign_open(&a->recorded, a->labels);
    if (good && a->labels_s1 != NULL)
        good = omt_campaign_open(&a->recorded_s1, a->labels_s1);
    omt_measure_catch();
    if (good)
        result = rows_run(a, list);
    if (a->has_pool && !omt_pool_close(&a->pool))
        result = OMT_EXIT_ERROR;
    if (a->recorded.dir[0] != 0)
        omt_campaign_end(&a->recorded);
    if (a->recorded_s1.dir[0] != 0)
        omt_campaign_end(&a->recorded_s1);
    if (is_temporary)
        nftw(made, path_remove, 16, FTW_DEPTH | FTW_PHYS);
    if (a->databases_made[0] != 0)
        nftw(a->databases_made, path_remove, 16, FTW_DEPTH | FTW_PHYS);
    return result;
}

static int accept_check(const struct omt_accept *a, const char *list, int words)
{
    if (words != 0)
        return omt_usage("tune accept", "takes flags only");
    if (list == NULL)
        return omt_usage("tune accept", "which row? --id=A1, --id=A1,A6 or --id=all");
    if (!ids_check(list))
        return OMT_EXIT_USAGE;
    if (a->scale > 2)
        return omt_usage("tune accept", "--scale must be 0, 1 or 2");
    if (a->seeds < 2 || a->seeds > 100)
        return omt_usage("tune accept", "--seeds must be 2 to 100");
    if (a->jobs < 1 || a->jobs > 64)
        return omt_usage("tune accept", "--jobs must be 1 to 64");
    return OMT_EXIT_OK;
}

int omt_tune_accept(int argc, char **argv)
{
    struct omt_accept *a = omt_realloc(NULL, sizeof(*a));
    memset(a, 0, sizeof(*a));
    a->seed = 1;
    a->seeds = 10;
    a->jobs = 1;
    const char *list = NULL;
    struct omt_flag flags[] = {
        {"id", OMT_TEXT, &list, "A1,...", "rows, or all", NULL},
        {"labels", OMT_TEXT, &a->labels, "DIR", "a recorded grid of S0 (tune grid)", NULL},
        {"labels_s1", OMT_TEXT, &a->labels_s1, "DIR", "one of S1, for A8", NULL},
        {"work", OMT_TEXT, &a->work, "DIR", "keep live runs here, and go on from them", NULL},
        {"databases", OMT_TEXT, &a->databases, "DIR", "where databases lie while they run", NULL},
        {"workloads", OMT_TEXT, &a->spec_text, "W1,...",
         "which (W1 to W12; A9 takes two at a time)", NULL},
        {"scale", OMT_U64, &a->scale, NULL, "of the campaign without --labels (0)", NULL},
        {"short", OMT_BOOL, &a->is_short, NULL, "small forms of A1, A10 and A20, minutes", NULL},
        {"seed", OMT_U64, &a->seed, NULL, "of the samplers (1)", NULL},
        {"seeds", OMT_U64, &a->seeds, NULL, "how many for A6 (10)", NULL},
        {"jobs", OMT_U64, &a->jobs, NULL, "processes that measure (1)", NULL},
        {"ledger", OMT_TEXT, &a->ledger, "FILE", "append the rows as lines of its table", NULL},
        {"commit", OMT_TEXT, &a->commit, "ID", "for --ledger: of which state of the code", NULL},
        {"json", OMT_BOOL, &a->json, NULL, "as JSON", NULL},
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune accept",
        .usage = "omendb tune accept --id=ROWS [flags]",
        .text = "Measures what the tuner must reach, one line a row: the figure, what it must be,\n"
                "what it should be, and pass or short. Exit code 0: all pass; 1: one is short;\n"
                "3: one could not be measured.\n"
                "A1, A2, A5, A6 and A11 draw from --labels what it has and run the rest; A3, A4\n"
                "and A8 run at S1 (1 GB), A9 at S2 (11 GB): keep their runs with --work.",
        .examples = "  omendb tune accept --id=all --short\n"
                    "  omendb tune accept --id=A1,A2,A5,A6,A11 --labels=grid-s0 --work=accept\n"
                    "  omendb tune accept --id=A9 --workloads=W1,W4 --work=accept\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    int result = OMT_EXIT_USAGE;
    if (parsed == OMT_PARSE_HELP)
        result = OMT_EXIT_OK;
    else if (parsed == OMT_PARSE_OK)
        result = accept_check(a, list, args.word_count);
    if (parsed == OMT_PARSE_OK && result == OMT_EXIT_OK) {
        a->options.jobs = (uint32_t)a->jobs;
        a->options.progress = true;
        a->options.what = "accept";
        result = accept_run(a, list);
    }
    omt_args_free(&args);
    free(a);
    return omt_stdout_end(result);
}

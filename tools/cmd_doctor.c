/* cmd_doctor.c - doctor: what of this machine is used, what is missing, what that costs, what to do. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/doctor.h"
#include "tools/json.h"

struct omt_finding *omt_finding_add(struct omt_doctor *d, const char *name)
{
    struct omt_finding *f = &d->finding[d->count];
    d->count += d->count + 1 < OMT_FINDINGS_MAX;
    *f = (struct omt_finding){.name = name};
    return f;
}

void omt_found(struct omt_finding *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(f->found, sizeof(f->found), format, args);
    va_end(args);
}

void omt_ails(struct omt_finding *f, enum omt_state state, const char *cost, const char *advice)
{
    f->state = state;
    snprintf(f->cost, sizeof(f->cost), "%s", cost);
    snprintf(f->advice, sizeof(f->advice), "%s", advice);
}

bool omt_line_read(const char *path, char *line, size_t size)
{
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    bool got = fgets(line, (int)size, f) != NULL;
    fclose(f);
    if (got)
        line[strcspn(line, "\n")] = 0;
    return got;
}

static const char *state_name(enum omt_state state)
{
    return state == OMT_GOOD ? "ok" : state == OMT_NOTE ? "note" : "bad";
}

static void print(const struct omt_doctor *d)
{
    for (size_t i = 0; i < d->count; i++) {
        const struct omt_finding *f = &d->finding[i];
        bool ails = f->state != OMT_GOOD;
        printf("%s%-5s%s %-15s %s\n", ails ? omt_bold() : "", state_name(f->state),
               ails ? omt_plain() : "", f->name, f->found);
        if (f->cost[0] != 0)
            printf("%-21s costs: %s\n", "", f->cost);
        if (f->advice[0] != 0)
            printf("%-21s to do: %s\n", "", f->advice);
    }
}

static void print_json(const struct omt_doctor *d)
{
    struct omt_json j = {.out = stdout};
    omt_json_object(&j, NULL);
    omt_json_text(&j, "version", omen_version());
    omt_json_array(&j, "findings");
    for (size_t i = 0; i < d->count; i++) {
        const struct omt_finding *f = &d->finding[i];
        omt_json_object(&j, NULL);
        omt_json_text(&j, "name", f->name);
        omt_json_text(&j, "state", state_name(f->state));
        omt_json_text(&j, "found", f->found);
        if (f->cost[0] != 0)
            omt_json_text(&j, "costs", f->cost);
        if (f->advice[0] != 0)
            omt_json_text(&j, "to_do", f->advice);
        omt_json_object_end(&j);
    }
    omt_json_array_end(&j);
    omt_json_object_end(&j);
    omt_json_end(&j);
}

static int run(const char *path, bool json)
{
    static struct omt_doctor d;
    bool bad = false;
    omt_doctor_machine(&d);
    omt_doctor_memory(&d);
    if (path != NULL && !omt_doctor_dir(&d, path))
        return OMT_EXIT_ERROR;
    if (json)
        print_json(&d);
    else
        print(&d);
    for (size_t i = 0; i < d.count; i++)
        bad = bad || d.finding[i].state == OMT_BAD;
    return omt_stdout_end(bad ? OMT_EXIT_PROBLEM : OMT_EXIT_OK);
}

int omt_cmd_doctor(int argc, char **argv)
{
    bool json = false;
    const struct omt_flag flags[] = {
        {"json", OMT_BOOL, &json, NULL, "as JSON", NULL},
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "doctor",
        .usage = "omendb doctor [flags] [DIR]",
        .text =
            "Tells what of this machine the engine uses, what is missing, what that costs and\n"
            "what to do about it: kernel, processors, memory and the limits of control groups,\n"
            "io_uring, far memory (a NUMA node without processors, as CXL memory appears), huge\n"
            "pages. With DIR also that directory: its file system and room, O_DIRECT, and what a\n"
            "sync costs there, measured with a file that nobody sees and that is gone after.\n"
            "Exit code 0: nothing is bad (notes may be there); 1: something is; 3: no such DIR.\n",
        .examples = "  omendb doctor\n"
                    "  omendb doctor /var/lib/data\n"
                    "  omendb doctor --json /var/lib/data\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK)
        r = parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
    else if (args.word_count > 1)
        omt_usage("doctor", "one directory at most");
    else
        r = run(args.word_count == 1 ? args.words[0] : NULL, json);
    omt_args_free(&args);
    return r;
}

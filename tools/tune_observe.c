/*
 * tune_observe.c - observe: what is asked of a database, as a workload that the other verbs take;
 * apply: a configuration onto a database.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tune_flags.h"
#include "tools/tune_lines.h"

/* ---- observe ------------------------------------------------------------------------------------- */

struct observed {
    bool lifetime; /* no window is kept: the counters over the database's life, instead */
    omen_stats stats;
    omen_telemetry *telemetry;
    struct omi_workload workload;
    bool asked; /* anything was: else the mix is made up */
    uint64_t entries, table_bytes;
};

static void mix_of(const omen_window *w, struct omi_workload *out)
{
    double *mix = out->phase[0].from;
    mix[OMI_TUNE_GET_MISS] = (double)w->get_misses;
    mix[OMI_TUNE_GET_HIT] = (double)w->get_hits;
    mix[OMI_TUNE_SCAN] = (double)w->scans;
    mix[OMI_TUNE_WRITE] = (double)(w->puts + w->deletes);
}

/* Windows of short-lived processes are lost; their counters are not. */
static void window_of_life(struct observed *o)
{
    const omen_stats *s = &o->stats;
    omen_window *w = &o->telemetry->all;
    if (w->get_misses + w->get_hits + w->scans + w->puts + w->deletes > 0)
        return;
    o->lifetime = true;
    w->get_hits = s->get_hits < s->gets ? s->get_hits : s->gets;
    w->get_misses = s->gets - w->get_hits;
    w->scans = s->seeks;
    w->puts = s->puts;
    w->deletes = s->deletes;
    w->overwrites = s->merge_overwritten;
    w->scan_entries = s->scan_entries;
    if (s->seeks > 0) {
        uint64_t mean = s->scan_entries / s->seeks;
        int bucket = 0;
        for (; mean > 0 && bucket < OMEN_SCAN_LENGTHS - 1; mean >>= 1)
            bucket++;
        w->scan_lengths[bucket] = s->seeks;
    }
}

static omen_err workload_of(struct observed *o)
{
    const omen_window *w = &o->telemetry->all;
    struct omi_workload *out = &o->workload;
    omen_err err = omi_workload_named("W1", out);
    window_of_life(o);
    if (err != OMEN_OK)
        return err;
    snprintf(out->name, sizeof(out->name), "observed");
    for (uint32_t i = 0; i < OMEN_LEVELS_MAX; i++) {
        o->entries += o->stats.level[i].entries;
        o->table_bytes += o->stats.level[i].bytes;
    }
    out->entries = o->entries > 0 ? o->entries : 1;
    double entry = o->entries > 0 ? (double)o->table_bytes / (double)o->entries : 100;
    out->entry_bytes = entry < 16 ? 16 : entry > (1 << 20) ? 1 << 20 : (uint32_t)entry;
    o->asked = w->get_misses + w->get_hits + w->scans + w->puts + w->deletes > 0;
    if (o->asked)
        mix_of(w, out);
    memcpy(out->phase[0].to, out->phase[0].from, sizeof(out->phase[0].to));
    omt_spec_scans(w->scan_lengths, out);
    if (o->telemetry->skew > 0.05) {
        out->dist = OMI_WORK_ZIPF;
        out->theta = o->telemetry->skew < 0.999 ? o->telemetry->skew : 0.999;
    }
    uint64_t writes = w->puts + w->deletes;
    out->deletes = writes > 0 ? (double)w->deletes / (double)writes : 0;
    double fresh = w->puts > w->overwrites ? (double)(w->puts - w->overwrites) : 0;
    out->inserts = w->puts > 0 ? fresh / (double)w->puts : 0;
    if (o->telemetry->sorted > 0.5)
        out->order = o->telemetry->sorted > 0.95 ? OMI_WORK_SORTED : OMI_WORK_NEAR_SORTED;
    double memory = (double)(o->stats.cache_capacity + o->stats.memory_memtables);
    double bits = memory * 8 / (double)out->entries;
    out->memory_bits = bits < 0.1 ? 0.1 : bits > 1e6 ? 1e6 : bits;
    return omi_workload_settle(out);
}

static void observed_print(const struct observed *o)
{
    static const char *const kinds[OMI_TUNE_OPS] = {"absent keys", "present keys", "scans",
                                                    "writes"};
    char bytes[OMT_HUMAN_LEN], count[OMT_HUMAN_LEN];
    const struct omi_workload *w = &o->workload;
    const omen_window *now = &o->telemetry->all;
    printf("%sworkload%s, ", omt_bold(), omt_plain());
    if (o->lifetime)
        printf("over the database's life: no window is kept\n");
    else
        printf("over %" PRIu32 " windows of 10,000 operations or a second\n",
               o->telemetry->window_count);
    if (!o->asked)
        printf("  nothing was asked yet: the mix below is even\n");
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        printf("  %-13s %6.2f %%\n", kinds[op], w->phase[0].from[op] * 100);
    if (now->scans > 0)
        printf("  scan length   %6.1f entries\n", (double)now->scan_entries / (double)now->scans);
    printf("  skew          %6.2f (Zipf exponent; 0: all keys alike)\n", o->telemetry->skew);
    printf("  sorted        %6.2f (1: each flush lies past the last)\n", o->telemetry->sorted);
    printf("%sdata%s\n  %s entries of %" PRIu32 " bytes, %s in tables\n", omt_bold(), omt_plain(),
           omt_human_count(count, o->entries), w->entry_bytes,
           omt_human_bytes(bytes, o->table_bytes));
    printf("%sshape%s\n  T %" PRIu32 ", K %" PRIu32 ", %" PRIu32 " in the last level\n", omt_bold(),
           omt_plain(), now->size_ratio, now->runs_upper, now->runs_last);
    for (uint32_t i = 0; i < o->stats.levels; i++)
        printf("  level %-2" PRIu32 " %3" PRIu32 " runs  %s\n", i + 1, o->stats.level[i].runs,
               omt_human_bytes(bytes, o->stats.level[i].bytes));
}

static void observed_json(const struct observed *o)
{
    struct omt_json j = {.out = stdout};
    const omen_window *now = &o->telemetry->all;
    omt_json_object(&j, NULL);
    omt_json_bool(&j, "asked", o->asked);
    omt_json_bool(&j, "lifetime", o->lifetime);
    omt_json_u64(&j, "windows", o->telemetry->window_count);
    omt_spec_write(&j, "spec", &o->workload);
    omt_json_object(&j, "shape");
    omt_json_u64(&j, "T", now->size_ratio);
    omt_json_u64(&j, "K", now->runs_upper);
    omt_json_u64(&j, "Z", now->runs_last);
    omt_json_array(&j, "levels");
    for (uint32_t i = 0; i < o->stats.levels; i++) {
        omt_json_object(&j, NULL);
        omt_json_u64(&j, "runs", o->stats.level[i].runs);
        omt_json_u64(&j, "bytes", o->stats.level[i].bytes);
        omt_json_u64(&j, "entries", o->stats.level[i].entries);
        omt_json_object_end(&j);
    }
    omt_json_array_end(&j);
    omt_json_object_end(&j);
    omt_json_object_end(&j);
    omt_json_end(&j);
}

static int observe_db(const char *path, bool json, bool spec)
{
    struct omt_open open = {0};
    struct observed o = {.stats = {.struct_bytes = sizeof(o.stats)}};
    omen_db *db;
    int result = omt_db_open(path, &open, OMEN_OPEN_READ_ONLY, &db);
    if (result != OMT_EXIT_OK)
        return result;
    o.telemetry = omt_realloc(NULL, sizeof(*o.telemetry));
    memset(o.telemetry, 0, sizeof(*o.telemetry));
    o.telemetry->struct_bytes = sizeof(*o.telemetry);
    omen_err err = omen_get_stats(db, &o.stats);
    if (err == OMEN_OK)
        err = omen_get_telemetry(db, o.telemetry);
    if (err == OMEN_OK)
        err = workload_of(&o);
    if (err != OMEN_OK) {
        result = omt_tell(path, err);
    } else if (spec) {
        struct omt_json j = {.out = stdout};
        omt_spec_write(&j, NULL, &o.workload);
        omt_json_end(&j);
    } else if (json) {
        observed_json(&o);
    } else {
        observed_print(&o);
    }
    free(o.telemetry);
    return omt_db_close(db, result);
}

int omt_tune_observe(int argc, char **argv)
{
    bool json = false, spec = false;
    const struct omt_flag flags[] = {{"as-spec", OMT_BOOL, &spec, NULL,
                                      "the workload alone, for --spec of the other verbs", NULL},
                                     {"json", OMT_BOOL, &json, NULL, "all of it as JSON", NULL}};
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune observe",
        .usage = "omendb tune observe [flags] DB",
        .text = "Says what is asked of a database of late: mix, skew, scan lengths, and its shape "
                "now.\nReads only; works beside the process that has it open.",
        .examples = "  omendb tune observe mydb\n"
                    "  omendb tune observe mydb --as-spec > mine.json\n"
                    "  omendb tune learn /tmp/t --spec=mine.json --n=100000 --jobs=2\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        omt_args_free(&args);
        return parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
    }
    int result = args.word_count != 1 ? omt_usage("tune observe", "name one database")
                                      : observe_db(args.words[0], json, spec);
    omt_args_free(&args);
    return omt_stdout_end(result);
}

/* ---- apply --------------------------------------------------------------------------------------- */

struct change {
    const char *name;
    char from[24], to[24];
    bool changes;
};

/* What learn chose for a workload, its latest. */
static bool choice_load(const char *dir, const char *workload, struct omi_point *point_out)
{
    struct omt_choice *choices;
    uint32_t count, found = UINT32_MAX, named = 0;
    if (!omt_choices_load(dir, &choices, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (workload != NULL && strcmp(choices[i].workload, workload) != 0)
            continue;
        if (found != UINT32_MAX && strcmp(choices[i].workload, choices[found].workload) != 0)
            named++;
        found = i;
    }
    if (found != UINT32_MAX && named == 0) {
        *point_out = choices[found].point;
        free(choices);
        return true;
    }
    fprintf(stderr, "omendb: tune apply: %s: %s; see omendb tune apply --help\n", dir,
            found == UINT32_MAX ? "no such choice is there, tune learn makes them"
                                : "choices for several workloads, name one with --workload");
    free(choices);
    return false;
}

static void change_set(struct change *c, const char *name, uint64_t from, uint64_t to)
{
    c->name = name;
    snprintf(c->from, sizeof(c->from), "%" PRIu64, from);
    snprintf(c->to, sizeof(c->to), "%" PRIu64, to);
    if (strcmp(name, "filter_bits") == 0 && to == 0)
        snprintf(c->to, sizeof(c->to), "none");
    c->changes = strcmp(c->from, c->to) != 0;
}

/* The shape of now comes with the telemetry; the bits are the stored option's. */
static omen_err changes_of(omen_db *db, const struct omi_point *p, struct change changes[4])
{
    omen_telemetry *t = omt_realloc(NULL, sizeof(*t));
    memset(t, 0, sizeof(*t));
    t->struct_bytes = sizeof(*t);
    omen_err err = omen_get_telemetry(db, t);
    change_set(&changes[0], "size_ratio", t->all.size_ratio, p->size_ratio);
    change_set(&changes[1], "runs_upper", t->all.runs_upper, p->runs_upper);
    change_set(&changes[2], "runs_last", t->all.runs_last, p->runs_last);
    change_set(&changes[3], "filter_bits", 0, p->filter_bits);
    snprintf(changes[3].from, sizeof(changes[3].from), "?");
    changes[3].changes = true;
    free(t);
    return err;
}

static void changes_print(const struct change changes[4], bool json, bool dry)
{
    struct omt_json j = {.out = stdout};
    if (json) {
        omt_json_object(&j, NULL);
        omt_json_bool(&j, "dry_run", dry);
        omt_json_array(&j, "changes");
    }
    for (int i = 0; i < 4; i++) {
        const struct change *c = &changes[i];
        if (json) {
            omt_json_object(&j, NULL);
            omt_json_text(&j, "option", c->name);
            omt_json_text(&j, "from", c->from);
            omt_json_text(&j, "to", c->to);
            omt_json_bool(&j, "changes", c->changes);
            omt_json_object_end(&j);
        } else if (!c->changes) {
            printf("  %-12s %s, as it is\n", c->name, c->to);
        } else if (c->from[0] == '?') {
            printf("  %-12s %s%s\n", c->name, c->to, dry ? " would be set" : "");
        } else {
            printf("  %-12s %s -> %s%s\n", c->name, c->from, c->to, dry ? " would be set" : "");
        }
    }
    if (json) {
        omt_json_array_end(&j);
        omt_json_object_end(&j);
        omt_json_end(&j);
    } else {
        printf("new tables follow at once; what is there is merged into shape as merges come\n");
    }
}

static int apply_db(const char *path, const struct omi_point *point, bool dry, bool json)
{
    struct omt_open open = {0};
    struct change changes[4];
    omen_db *db;
    int result = omt_db_open(path, &open, dry ? OMEN_OPEN_READ_ONLY : 0, &db);
    if (result != OMT_EXIT_OK)
        return result;
    omen_err err = changes_of(db, point, changes);
    for (int i = 0; i < 4 && err == OMEN_OK && !dry; i++)
        if (changes[i].changes)
            err = omen_set_option(db, changes[i].name, changes[i].to);
    if (err == OMEN_OK)
        changes_print(changes, json, dry);
    else
        result = omt_tell(path, err);
    return omt_db_close(db, result);
}

/* The knobs that live databases take; memory is not one of them. */
static bool apply_point(const char *text, struct omi_point *point_out)
{
    const struct omi_space_limits limits = {.memory_bytes = UINT64_C(1) << 40, .entries = 1};
    return omt_point_parse(text, &limits, point_out);
}

int omt_tune_apply(int argc, char **argv)
{
    const char *text = NULL, *from = NULL, *workload = NULL;
    bool dry = false, json = false;
    const struct omt_flag flags[] = {
        {"point", OMT_TEXT, &text, "POINT", "T=10,K=9,Z=1,h=8 and the like", NULL},
        {"from", OMT_TEXT, &from, "DIR", "what tune learn chose in that campaign", NULL},
        {"workload", OMT_TEXT, &workload, "NAME", "for this workload of it", NULL},
        {"dry-run", OMT_BOOL, &dry, NULL, "say what would change; change nothing", NULL},
        {"json", OMT_BOOL, &json, NULL, "as JSON", NULL}};
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune apply",
        .usage = "omendb tune apply [flags] DB",
        .text = "Sets size ratio, runs and filter bits of a database: stored with it, in force at "
                "once.\nThe split of memory is not touched: memtable_bytes and cache_bytes are "
                "options of opening.",
        .examples = "  omendb tune apply mydb --point=T=10,K=9,Z=1,h=8 --dry-run\n"
                    "  omendb tune apply mydb --from=/tmp/t --workload=W5\n"};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        omt_args_free(&args);
        return parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
    }
    struct omi_point point;
    int result;
    if (args.word_count != 1)
        result = omt_usage("tune apply", "name one database");
    else if ((text == NULL) == (from == NULL))
        result = omt_usage("tune apply", "say --point or --from, one of them");
    else if (!(text != NULL ? apply_point(text, &point) : choice_load(from, workload, &point)))
        result = OMT_EXIT_USAGE;
    else
        result = apply_db(args.words[0], &point, dry, json);
    omt_args_free(&args);
    return omt_stdout_end(result);
}

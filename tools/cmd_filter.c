/* cmd_filter.c - filter: what the filters of a database are, promised and kept. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/json.h"

enum { TRIED_MIN = 64, PLOT_COLUMNS = 72, LISTED_MAX = 12, KEY_BYTES = 24 };

struct table {
    omen_table_info info; /* its slices are not to be used */
    char first_key[4 * KEY_BYTES + 8];
};

struct tables {
    struct table *at;
    size_t count, room;
};

static void key_text(omen_slice key, char *out, size_t room)
{
    struct omt_bytes text = {0};
    bool cut = key.size > KEY_BYTES;
    omt_encode(OMT_ESCAPE, (omen_slice){key.data, cut ? KEY_BYTES : key.size}, &text);
    snprintf(out, room, "%s%s", key.size != 0 ? text.data : "\"\"", cut ? "..." : "");
    omt_bytes_free(&text);
}

static void table_add(void *context, const omen_table_info *info)
{
    struct tables *all = context;
    if (all->count == all->room) {
        all->room = all->room * 2 + 64;
        all->at = omt_realloc(all->at, all->room * sizeof(*all->at));
    }
    struct table *t = &all->at[all->count++];
    t->info = *info;
    key_text(info->first_key, t->first_key, sizeof(t->first_key));
}

/* ---- figures --------------------------------------------------------------------------------- */

/* Of one table, or of all tables of a level. */
struct figures {
    uint64_t tables, keys, bytes, absent, passed;
    double promised, weight; /* promised is a sum over weight */
};

static void figures_add(struct figures *f, const omen_table_info *t)
{
    uint64_t absent = t->sampled_negatives + t->sampled_false_positives;
    double weight = (double)absent + t->filter_weight; /* before any was tried: as planned */
    f->tables++;
    f->keys += t->filter_keys != 0 ? t->filter_keys : t->entries;
    f->bytes += t->filter_bytes;
    f->absent += absent;
    f->passed += t->sampled_false_positives;
    f->promised += weight * t->filter_promised;
    f->weight += weight;
}

static double bits_a_key(const struct figures *f)
{
    return f->keys != 0 ? 8.0 * (double)f->bytes / (double)f->keys : 0;
}

static double promised(const struct figures *f)
{
    return f->weight > 0 ? f->promised / f->weight : 0;
}

static double observed(const struct figures *f)
{
    return f->absent != 0 ? (double)f->passed / (double)f->absent : 0;
}

static const char *kind_of(const omen_table_info *t)
{
    const char *name = omen_table_filter_name(t->filter);
    return name != NULL ? name : "unknown";
}

static const char *why_of(const omen_table_info *t)
{
    const char *why = omen_filter_why_name(t->filter_why);
    if (t->filter == OMEN_TABLE_FILTER_NONE)
        return t->filter_bytes != 0 ? "it is not asked" : "none was built";
    if (t->filter == OMEN_TABLE_FILTER_CUSTOM)
        return "the filter policy's";
    return why != NULL ? why : "unknown";
}

/* ---- for people ------------------------------------------------------------------------------ */

static const char *percent(char out[static 16], double share)
{
    snprintf(out, 16, share != 0 && share < 1e-4 ? "%.4f%%" : "%.2f%%", 100 * share);
    return out;
}

static void figures_print(const struct figures *f)
{
    char count[OMT_HUMAN_LEN], a[16], b[16], tried[OMT_HUMAN_LEN];
    printf(" %9s %6.2f %9s", omt_human_count(count, f->keys), bits_a_key(f),
           f->weight > 0 ? percent(a, promised(f)) : "-");
    if (f->absent < TRIED_MIN)
        printf(" %9s %9s", "-", "-");
    else
        printf(" %9s %9s", percent(b, observed(f)), omt_human_count(tried, f->absent));
}

static void table_print(const struct table *t)
{
    const omen_table_info *i = &t->info;
    struct figures f = {0};
    figures_add(&f, i);
    printf("L%-3" PRIu32 " %8" PRIu64 " %-8s", i->level, i->number, kind_of(i));
    figures_print(&f);
    printf(" %7" PRIu32 " %5" PRIu32 " %6" PRIu32 " %6" PRIu32 "  %s\n", i->filter_regions,
           i->filter_gaps, i->filter_prefix_bytes, i->filter_denied, why_of(i));
}

static void tables_head(void)
{
    printf("%s%-4s %8s %-8s %9s %6s %9s %9s %9s %7s %5s %6s %6s  %s%s\n", omt_bold(), "lvl",
           "table", "filter", "keys", "b/key", "promised", "observed", "of", "regions", "gaps",
           "prefix", "denied", "why", omt_plain());
}

static void sum_print(const char *name, const struct figures *f)
{
    char tables[32];
    snprintf(tables, sizeof(tables), "%" PRIu64 " tables", f->tables);
    printf("%-4s %17s", name, tables);
    figures_print(f);
    putchar('\n');
}

static void levels_print(const struct tables *all)
{
    struct figures sum = {0};
    for (size_t i = 0; i < all->count;) {
        struct figures level = {0};
        char name[16];
        uint32_t number = all->at[i].info.level;
        for (; i < all->count && all->at[i].info.level == number; i++) {
            figures_add(&level, &all->at[i].info);
            figures_add(&sum, &all->at[i].info);
        }
        snprintf(name, sizeof(name), "L%" PRIu32, number);
        sum_print(name, &level);
    }
    sum_print("sum", &sum);
}

/* ---- regions --------------------------------------------------------------------------------- */

struct region {
    double from, width;
    int probes;
    uint64_t sampled, absent, passed;
    char first_key[4 * KEY_BYTES + 8];
};

struct regions {
    struct region *at;
    size_t count, room;
    double end;
    uint64_t sampled;
};

static void region_add(void *context, const omen_filter_region *info)
{
    struct regions *all = context;
    if (all->count == all->room) {
        all->room = all->room * 2 + 64;
        all->at = omt_realloc(all->at, all->room * sizeof(*all->at));
    }
    struct region *r = &all->at[all->count++];
    *r = (struct region){.from = all->end,
                         .width = info->width,
                         .probes = info->probes,
                         .sampled = info->sampled,
                         .absent = info->absent,
                         .passed = info->passed};
    key_text(info->first_key, r->first_key, sizeof(r->first_key));
    all->end += info->width;
    all->sampled += info->sampled;
}

static int column_of(double at)
{
    int column = (int)(at * PLOT_COLUMNS);
    return column < PLOT_COLUMNS ? column : PLOT_COLUMNS - 1;
}

/* The key space from left to right: the most bits that any of a column's keys are asked for, and
 * where the lookups fall, the more the darker. */
static void plot_print(const struct regions *all)
{
    static const char shades[] = " .:-=+*#%@";
    int probes[PLOT_COLUMNS];
    double missed[PLOT_COLUMNS] = {0}, most = 0;
    for (int c = 0; c < PLOT_COLUMNS; c++)
        probes[c] = -1;
    for (size_t i = 0; i < all->count; i++) {
        const struct region *r = &all->at[i];
        int first = column_of(r->from), last = column_of(r->from + r->width * 0.999999);
        for (int c = first; c <= last; c++) {
            probes[c] = r->probes > probes[c] ? r->probes : probes[c];
            missed[c] += (double)r->sampled / (last - first + 1);
        }
    }
    for (int c = 0; c < PLOT_COLUMNS; c++)
        most = missed[c] > most ? missed[c] : most;
    printf("  probes  |");
    for (int c = 0; c < PLOT_COLUMNS; c++)
        putchar(probes[c] < 0 ? ' ' : "0123456789abcdef"[probes[c] < 15 ? probes[c] : 15]);
    printf("|\n  lookups |");
    for (int c = 0; c < PLOT_COLUMNS; c++)
        putchar(missed[c] > 0 ? shades[1 + (int)(8.999 * missed[c] / most)] : ' ');
    printf("|\n");
}

static int by_sampled(const void *a, const void *b)
{
    const struct region *x = a, *y = b;
    if (x->sampled != y->sampled)
        return x->sampled < y->sampled ? 1 : -1;
    return (x->from > y->from) - (x->from < y->from);
}

/* Orders the regions by how often they are looked at. */
static void regions_print(struct regions *all)
{
    size_t listed = all->count < LISTED_MAX ? all->count : LISTED_MAX;
    plot_print(all);
    qsort(all->at, all->count, sizeof(*all->at), by_sampled);
    printf("  %9s %9s %7s %9s %9s  from key\n", "width", "lookups", "probes", "absent", "passed");
    for (size_t i = 0; i < listed; i++) {
        const struct region *r = &all->at[i];
        char width[16], probes[16];
        snprintf(probes, sizeof(probes), r->probes < 0 ? "no keys" : "%d", r->probes);
        printf("  %9s %9" PRIu64 " %7s %9" PRIu64 " %9" PRIu64 "  %s\n", percent(width, r->width),
               r->sampled, probes, r->absent, r->passed, r->first_key);
    }
    if (listed < all->count)
        printf("  and %zu more\n", all->count - listed);
}

static int one_table(omen_db *db, const struct tables *all, uint64_t number)
{
    const struct table *t = NULL;
    struct regions regions = {0};
    for (size_t i = 0; i < all->count; i++)
        if (all->at[i].info.number == number)
            t = &all->at[i];
    if (t == NULL) {
        fprintf(stderr,
                "omendb: filter: there is no table %" PRIu64 "; omendb levels --files lists them\n",
                number);
        return OMT_EXIT_PROBLEM;
    }
    omen_err err = omen_filter_regions(db, number, region_add, &regions);
    int r = err == OMEN_OK ? OMT_EXIT_OK : omt_tell("filter", err);
    if (err == OMEN_OK) {
        tables_head();
        table_print(t);
        printf("  from key %s; learned from %" PRIu32 " lookups, %" PRIu64
               " are remembered that would come here in vain\n",
               t->first_key, t->info.filter_samples, regions.sampled);
        if (regions.count != 0)
            regions_print(&regions);
    }
    free(regions.at);
    return r;
}

static void all_print(const omen_stats *s, const struct tables *all)
{
    char gets[OMT_HUMAN_LEN], scans[OMT_HUMAN_LEN], bytes[OMT_HUMAN_LEN];
    printf("%s lookups and %s scans are remembered, in %s of memory\n",
           omt_human_count(gets, s->sampled_gets), omt_human_count(scans, s->sampled_scans),
           omt_human_bytes(bytes, s->sample_bytes));
    tables_head();
    for (size_t i = 0; i < all->count; i++)
        table_print(&all->at[i]);
    levels_print(all);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void figures_json(struct omt_json *j, const struct figures *f)
{
    omt_json_u64(j, "keys", f->keys);
    omt_json_u64(j, "bytes", f->bytes);
    omt_json_f64(j, "bits_a_key", bits_a_key(f), 3);
    omt_json_f64(j, "promised", promised(f), 9);
    omt_json_f64(j, "observed", observed(f), 9);
    omt_json_u64(j, "absent", f->absent);
    omt_json_u64(j, "passed", f->passed);
}

static void table_json(struct omt_json *j, const omen_table_info *t)
{
    struct figures f = {0};
    figures_add(&f, t);
    omt_json_object(j, NULL);
    omt_json_u64(j, "number", t->number);
    omt_json_u64(j, "level", t->level);
    omt_json_u64(j, "run", t->run);
    omt_json_text(j, "filter", kind_of(t));
    omt_json_text(j, "why", why_of(t));
    figures_json(j, &f);
    omt_json_f64(j, "keylike", t->filter_keylike, 9);
    omt_json_f64(j, "plain", t->filter_plain, 9);
    omt_json_f64(j, "price_log2", t->filter_price > 0 ? log2(t->filter_price) : 0, 3);
    omt_json_f64(j, "weight", t->filter_weight, 6);
    omt_json_u64(j, "parts", t->filter_parts);
    omt_json_u64(j, "regions", t->filter_regions);
    omt_json_u64(j, "gaps", t->filter_gaps);
    omt_json_u64(j, "prefix_bytes", t->filter_prefix_bytes);
    omt_json_u64(j, "denied", t->filter_denied);
    omt_json_u64(j, "samples", t->filter_samples);
    omt_json_object_end(j);
}

static void levels_json(struct omt_json *j, const struct tables *all)
{
    omt_json_array(j, "levels");
    for (size_t i = 0; i < all->count;) {
        struct figures level = {0};
        uint32_t number = all->at[i].info.level;
        for (; i < all->count && all->at[i].info.level == number; i++)
            figures_add(&level, &all->at[i].info);
        omt_json_object(j, NULL);
        omt_json_u64(j, "level", number);
        omt_json_u64(j, "tables", level.tables);
        figures_json(j, &level);
        omt_json_object_end(j);
    }
    omt_json_array_end(j);
}

static void region_json(void *context, const omen_filter_region *r)
{
    struct omt_json *j = context;
    omt_json_object(j, NULL);
    omt_json_bytes(j, "first_key", r->first_key);
    omt_json_f64(j, "width", r->width, 12);
    omt_json_bool(j, "keys", r->probes >= 0);
    omt_json_u64(j, "probes", r->probes > 0 ? (uint64_t)r->probes : 0);
    omt_json_u64(j, "sampled", r->sampled);
    omt_json_u64(j, "absent", r->absent);
    omt_json_u64(j, "passed", r->passed);
    omt_json_object_end(j);
}

static int all_json(omen_db *db, const omen_stats *s, const struct tables *all, uint64_t number)
{
    struct omt_json j = {.out = stdout};
    omen_err err = OMEN_OK;
    omt_json_object(&j, NULL);
    omt_json_u64(&j, "sampled_gets", s->sampled_gets);
    omt_json_u64(&j, "sampled_scans", s->sampled_scans);
    omt_json_array(&j, "tables");
    for (size_t i = 0; i < all->count; i++)
        if (number == 0 || all->at[i].info.number == number)
            table_json(&j, &all->at[i].info);
    omt_json_array_end(&j);
    levels_json(&j, all);
    if (number != 0) {
        omt_json_array(&j, "regions");
        err = omen_filter_regions(db, number, region_json, &j);
        omt_json_array_end(&j);
    }
    omt_json_object_end(&j);
    omt_json_end(&j);
    return err == OMEN_OK ? OMT_EXIT_OK : omt_tell("filter", err);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int filter_run(omen_db *db, bool json, uint64_t number)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    struct tables all = {0};
    int r = OMT_EXIT_OK;
    omen_err err = omen_get_stats(db, &s);
    if (err == OMEN_OK)
        err = omen_list_tables(db, table_add, &all);
    if (err != OMEN_OK)
        r = omt_tell("filter", err);
    else if (json)
        r = all_json(db, &s, &all, number);
    else if (number != 0)
        r = one_table(db, &all, number);
    else
        all_print(&s, &all);
    free(all.at);
    return r;
}

int omt_cmd_filter(int argc, char **argv)
{
    struct omt_open open = {0};
    bool json = false;
    uint64_t number = 0;
    const struct omt_flag flags[] = {
        {"json", OMT_BOOL, &json, NULL, "as JSON", NULL},
        {"table", OMT_U64, &number, "NUMBER", "the regions of this table's filter", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "filter",
        .usage = "omendb filter [flags] DIR",
        .text =
            "Prints what filter each table has and why, the false positives that it promised when\n"
            "it was built, and those that one in 64 lookups has met since (from 64 on). With\n"
            "--table its regions: bits where keys are, over where absent keys are asked for.\n"
            "Opens the database for reading, so it works beside a process that is writing; what\n"
            "that one has seen of late is told as of its last save.\n",
        .examples =
            "  omendb filter data\n"
            "  omendb filter --table=12 data\n"
            "  omendb filter --json data | jq '.levels[] | {level, bits_a_key, observed}'\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        r = parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
        goto free_args;
    }
    if (args.word_count != 1) {
        omt_usage("filter", "one directory is needed");
        goto free_args;
    }
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, OMEN_OPEN_READ_ONLY, &db);
    if (r != OMT_EXIT_OK)
        goto free_args;
    r = filter_run(db, json, number);
    r = omt_stdout_end(omt_db_close(db, r));
free_args:
    omt_args_free(&args);
    return r;
}

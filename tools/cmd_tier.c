/* cmd_tier.c - tier: which filters and models lie in far memory, and why. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tools/cmd.h"
#include "tools/json.h"

enum { STATS_BYTES_MAX = 1 << 20 };

struct tables {
    omen_table_info *at; /* their slices are not to be used */
    size_t count, room;
    uint32_t last_level;
};

static void table_add(void *context, const omen_table_info *info)
{
    struct tables *all = context;
    if (all->count == all->room) {
        all->room = all->room * 2 + 64;
        all->at = omt_realloc(all->at, all->room * sizeof(*all->at));
    }
    all->at[all->count++] = *info;
    all->last_level = info->level > all->last_level ? info->level : all->last_level;
}

static const char *why_of(const omen_stats *s, const struct tables *all, const omen_table_info *t)
{
    bool far = t->far_bytes != 0, last = t->level == all->last_level;
    if (s->far == OMEN_FAR_NONE)
        return "there is no far memory";
    if (t->movable_bytes == 0)
        return "nothing of it may move";
    if (!last)
        return far ? "not of the last level, will move near" : "not of the last level";
    if (far && !t->far)
        return "of the last level, asked most: moving near";
    if (far)
        return t->far_bytes < t->movable_bytes ? "of the last level; some found no room"
                                               : "of the last level";
    return t->far ? "of the last level, no far room" : "of the last level, asked most";
}

/* ---- a process that has it open ---------------------------------------------------------------- */

/* The STATS file that a writer replaces every ten seconds; NULL: there is none. From malloc. */
static char *live_read(const char *dir, double *age_s_out)
{
    char path[4096];
    struct stat st;
    int n = snprintf(path, sizeof(path), "%s/STATS", dir);
    FILE *in = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "r") : NULL;
    if (in == NULL)
        return NULL;
    char *text = malloc(STATS_BYTES_MAX);
    size_t size = text != NULL ? fread(text, 1, STATS_BYTES_MAX - 1, in) : 0;
    *age_s_out = fstat(fileno(in), &st) == 0 ? difftime(time(NULL), st.st_mtime) : 0;
    fclose(in);
    if (text != NULL)
        text[size] = 0;
    return text;
}

/* NAME in the object OBJECT, as STATS has it: an object is one line. */
static uint64_t live_u64(const char *text, const char *object, const char *name)
{
    char word[64];
    snprintf(word, sizeof(word), "\"%s\": {", object);
    const char *at = strstr(text, word);
    const char *end = at != NULL ? strchr(at, '}') : NULL;
    snprintf(word, sizeof(word), "\"%s\": ", name);
    const char *value = at != NULL ? strstr(at, word) : NULL;
    return end != NULL && value != NULL && value < end ? strtoull(value + strlen(word), NULL, 10)
                                                       : 0;
}

static void live_kind(const char *text, char out[static 16])
{
    static const char word[] = "\"far_memory\": {\"kind\": \"";
    const char *at = strstr(text, word);
    size_t n = at != NULL ? strcspn(at + strlen(word), "\"\n") : 0;
    snprintf(out, 16, "%.*s", (int)(n < 15 ? n : 15), at != NULL ? at + strlen(word) : "");
}

static void live_print(const char *text, double age_s)
{
    char kind[16], a[5][OMT_HUMAN_LEN];
    live_kind(text, kind);
    printf("%sthe process that last wrote%s (STATS, %.0f s old)\n", omt_bold(), omt_plain(), age_s);
    if (kind[0] == 0) {
        printf("  of a version that knew no far memory\n");
        return;
    }
    printf("  far memory %s; filters %s far and %s near, models %s and %s\n", kind,
           omt_human_bytes(a[0], live_u64(text, "far_filters", "far_bytes")),
           omt_human_bytes(a[1], live_u64(text, "far_filters", "near_bytes")),
           omt_human_bytes(a[2], live_u64(text, "far_models", "far_bytes")),
           omt_human_bytes(a[3], live_u64(text, "far_models", "near_bytes")));
    printf("  near as they are asked most: %s; moved near %" PRIu64 ", far %" PRIu64
           "; refused %" PRIu64 ", damaged %" PRIu64 ", repaired %" PRIu64 "\n",
           omt_human_bytes(a[4], live_u64(text, "far", "promoted_bytes")),
           live_u64(text, "far", "moved_near"), live_u64(text, "far", "moved_far"),
           live_u64(text, "far_filters", "refused") + live_u64(text, "far_models", "refused"),
           live_u64(text, "far", "damaged"), live_u64(text, "far", "repaired"));
}

/* ---- for people ------------------------------------------------------------------------------ */

static void memory_print(const omen_stats *s)
{
    char a[4][OMT_HUMAN_LEN];
    printf("%sfar memory%s\n  %s", omt_bold(), omt_plain(), omen_far_name(s->far));
    if (s->far == OMEN_FAR_NODE)
        printf(" %" PRIu32 " at distance %" PRIu32, s->far_node, s->far_distance);
    if (s->far_latency_ns != 0)
        printf(", %" PRIu32 " ns as the firmware says", s->far_latency_ns);
    if (s->far == OMEN_FAR_DELAY)
        printf(": %" PRIu32 " ns asked, %" PRIu32 " achieved%s", s->far_delay_ns,
               s->far_delay_achieved_ns,
               s->far_delay_sound != 0 ? "" : ", which is too far off to measure by");
    if (s->far_why[0] != 0)
        printf(" (%s)", s->far_why);
    putchar('\n');
    if (s->far == OMEN_FAR_NONE)
        return;
    printf("  %s used of %s mapped", omt_human_bytes(a[0], s->far_used_bytes),
           omt_human_bytes(a[1], s->far_mapped_bytes));
    if (s->far_limit_bytes < UINT64_MAX / 2)
        printf(", at most %s", omt_human_bytes(a[2], s->far_limit_bytes));
    if (s->far_pages_asked != 0)
        printf("; %" PRIu64 " of %" PRIu64 " pages asked lie there", s->far_pages_on_node,
               s->far_pages_asked);
    printf("; %s\n", s->far_guarded != 0 ? "guarded" : "not guarded (far_guard)");
    if (s->far_damaged != 0)
        printf("  %s failed under %" PRIu64 " filters and models; %" PRIu64 " read again\n",
               omt_human_bytes(a[3], s->far_lost_bytes), s->far_damaged, s->far_repaired);
}

static void classes_print(const omen_stats *s)
{
    static const char *const kinds[] = {"filters", "models"};
    printf("\n%-8s %11s %11s %11s %11s %8s %10s %10s\n", "", "near", "far", "wanted near",
           "wanted far", "refused", "asked near", "asked far");
    for (int k = 0; k < 2; k++) {
        char a[6][OMT_HUMAN_LEN];
        printf("%-8s %11s %11s %11s %11s %8" PRIu64 " %10s %10s\n", kinds[k],
               omt_human_bytes(a[0], s->far_got[k][0]), omt_human_bytes(a[1], s->far_got[k][1]),
               omt_human_bytes(a[2], s->far_wanted[k][0]),
               omt_human_bytes(a[3], s->far_wanted[k][1]), s->far_refused[k],
               omt_human_count(a[4], s->far_asked[k][0]),
               omt_human_count(a[5], s->far_asked[k][1]));
    }
    char b[2][OMT_HUMAN_LEN];
    printf("near as they are asked most: %s of %s\n", omt_human_bytes(b[0], s->far_promoted_bytes),
           omt_human_bytes(b[1], s->near_model_bytes));
}

/* A line for each level and reason; --files: each table. */
static void tables_print(const omen_stats *s, const struct tables *all, bool files)
{
    printf("\n%-5s %8s %11s %11s %8s  %s\n", "level", files ? "table" : "tables", "near", "far",
           "heat", "why");
    for (size_t i = 0; i < all->count;) {
        const omen_table_info *t = &all->at[i];
        const char *why = why_of(s, all, t);
        uint64_t near = 0, far = 0, heat = 0, tables = 0;
        size_t end = i;
        do {
            near += all->at[end].near_bytes;
            far += all->at[end].far_bytes;
            heat += all->at[end].heat;
            tables++;
            end++;
        } while (!files && end < all->count && all->at[end].level == t->level &&
                 why_of(s, all, &all->at[end]) == why);
        char a[2][OMT_HUMAN_LEN];
        printf("L%-4" PRIu32 " %8" PRIu64 " %11s %11s %8" PRIu64 "  %s\n", t->level,
               files ? t->number : tables, omt_human_bytes(a[0], near), omt_human_bytes(a[1], far),
               heat, why);
        i = end;
    }
}

/* ---- for programs ------------------------------------------------------------------------------ */

static void class_json(struct omt_json *j, const omen_stats *s, int kind, const char *name)
{
    omt_json_object(j, name);
    omt_json_u64(j, "near_bytes", s->far_got[kind][0]);
    omt_json_u64(j, "far_bytes", s->far_got[kind][1]);
    omt_json_u64(j, "want_near", s->far_wanted[kind][0]);
    omt_json_u64(j, "want_far", s->far_wanted[kind][1]);
    omt_json_u64(j, "refused", s->far_refused[kind]);
    omt_json_u64(j, "asked_near", s->far_asked[kind][0]);
    omt_json_u64(j, "asked_far", s->far_asked[kind][1]);
    omt_json_object_end(j);
}

static void all_json(const omen_stats *s, const struct tables *all)
{
    struct omt_json j = {.out = stdout};
    omt_json_object(&j, NULL);
    omt_json_text(&j, "far", omen_far_name(s->far));
    omt_json_text(&j, "why", s->far_why);
    if (s->far_node != OMEN_NONE)
        omt_json_u64(&j, "node", s->far_node);
    omt_json_u64(&j, "used_bytes", s->far_used_bytes);
    omt_json_u64(&j, "mapped_bytes", s->far_mapped_bytes);
    omt_json_u64(&j, "limit_bytes", s->far_limit_bytes);
    omt_json_u64(&j, "near_model_bytes", s->near_model_bytes);
    omt_json_u64(&j, "promoted_bytes", s->far_promoted_bytes);
    omt_json_u64(&j, "pages_asked", s->far_pages_asked);
    omt_json_u64(&j, "pages_on_node", s->far_pages_on_node);
    omt_json_bool(&j, "guarded", s->far_guarded != 0);
    omt_json_u64(&j, "damaged", s->far_damaged);
    omt_json_u64(&j, "repaired", s->far_repaired);
    class_json(&j, s, 0, "filters");
    class_json(&j, s, 1, "models");
    omt_json_array(&j, "tables");
    for (size_t i = 0; i < all->count; i++) {
        const omen_table_info *t = &all->at[i];
        omt_json_object(&j, NULL);
        omt_json_u64(&j, "number", t->number);
        omt_json_u64(&j, "level", t->level);
        omt_json_u64(&j, "near_bytes", t->near_bytes);
        omt_json_u64(&j, "far_bytes", t->far_bytes);
        omt_json_u64(&j, "movable_bytes", t->movable_bytes);
        omt_json_u64(&j, "heat", t->heat);
        omt_json_text(&j, "why", why_of(s, all, t));
        omt_json_object_end(&j);
    }
    omt_json_array_end(&j);
    omt_json_object_end(&j);
    omt_json_end(&j);
}

static int tier_tell(omen_db *db, const char *dir, bool json, bool files)
{
    omen_stats s = {.struct_bytes = sizeof(s)};
    struct tables all = {0};
    omen_err err = omen_get_stats(db, &s);
    if (err == OMEN_OK)
        err = omen_list_tables(db, table_add, &all);
    if (err == OMEN_OK && json) {
        all_json(&s, &all);
    } else if (err == OMEN_OK) {
        double age_s = 0;
        char *live = live_read(dir, &age_s);
        memory_print(&s);
        if (s.far != OMEN_FAR_NONE)
            classes_print(&s);
        tables_print(&s, &all, files);
        if (live != NULL) {
            putchar('\n');
            live_print(live, age_s);
        }
        free(live);
    }
    free(all.at);
    return err == OMEN_OK ? OMT_EXIT_OK : omt_tell("tier", err);
}

int omt_cmd_tier(int argc, char **argv)
{
    struct omt_open open = {0};
    bool json = false, files = false;
    const char *far = NULL;
    const struct omt_flag flags[] = {
        {"far", OMT_TEXT, &far, "WHAT", "auto|none|node:N|heap|delay:NS, as the option", NULL},
        {"files", OMT_BOOL, &files, NULL, "each table", NULL},
        {"json", OMT_BOOL, &json, NULL, "as JSON, each table", NULL},
        OMT_OPEN_FLAGS(&open),
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tier",
        .usage = "omendb tier [flags] DIR",
        .text =
            "Prints which far memory this machine has, which filters and models of the database\n"
            "would lie in it, and why. Opens the database for reading, so it works beside a\n"
            "process that is writing, and places them anew; what that process has placed, and\n"
            "moved since, its STATS file tells. --far=heap shows it on any machine.\n",
        .examples = "  omendb tier data\n"
                    "  omendb tier data --far=heap --files\n"
                    "  omendb tier data --json | jq .filters.far_bytes\n",
    };
    int r = OMT_EXIT_USAGE;
    char options[4096];
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed != OMT_PARSE_OK) {
        r = parsed == OMT_PARSE_HELP ? OMT_EXIT_OK : OMT_EXIT_USAGE;
        goto free_args;
    }
    if (args.word_count != 1) {
        omt_usage("tier", "one directory is needed");
        goto free_args;
    }
    if (far != NULL) {
        int n = snprintf(options, sizeof(options), "far=%s %s", far,
                         open.options != NULL ? open.options : "");
        if (n < 0 || (size_t)n >= sizeof(options)) {
            omt_usage("tier", "--far and --options are too long");
            goto free_args;
        }
        open.options = options;
    }
    omen_db *db = NULL;
    r = omt_db_open(args.words[0], &open, OMEN_OPEN_READ_ONLY, &db);
    if (r == OMT_EXIT_OK)
        r = omt_stdout_end(omt_db_close(db, tier_tell(db, args.words[0], json, files)));
free_args:
    omt_args_free(&args);
    return r;
}

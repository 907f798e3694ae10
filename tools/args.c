#include "tools/args.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"

enum { FLAG_NAME_MAX = 63, FLAGFILE_BYTES_MAX = 1 << 20, FLAGFILE_DEPTH_MAX = 4 };

bool omt_parse_u64(const char *text, uint64_t *out)
{
    if (!isdigit((unsigned char)text[0])) /* strtoull would take "-1" and leading spaces */
        return false;
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = v;
    return true;
}

bool omt_parse_i64(const char *text, int64_t *out)
{
    if (!isdigit((unsigned char)text[0]) && !(text[0] == '-' && isdigit((unsigned char)text[1])))
        return false;
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0')
        return false;
    *out = v;
    return true;
}

bool omt_parse_size(const char *text, uint64_t *out)
{
    if (!isdigit((unsigned char)text[0]))
        return false;
    char *end = NULL;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0)
        return false;
    unsigned shift = 0;
    switch (toupper((unsigned char)*end)) {
    case 'K':
        shift = 10;
        break;
    case 'M':
        shift = 20;
        break;
    case 'G':
        shift = 30;
        break;
    case 'T':
        shift = 40;
        break;
    default:
        break;
    }
    if (shift != 0) {
        end++;
        if (strcasecmp(end, "iB") == 0 || strcasecmp(end, "B") == 0)
            end = strchr(end, '\0');
    }
    if (*end != '\0' || v > UINT64_MAX >> shift)
        return false;
    *out = (uint64_t)v << shift;
    return true;
}

bool omt_parse_f64(const char *text, double *out)
{
    char *end = NULL;
    errno = 0;
    double v = strtod(text, &end);
    if (end == text || *end != '\0' || errno != 0 || v != v)
        return false;
    *out = v;
    return true;
}

bool omt_parse_bool(const char *text, bool *out)
{
    static const char *const yes[] = {"1", "t", "true", "y", "yes"};
    static const char *const no[] = {"0", "f", "false", "n", "no"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcasecmp(text, yes[i]) == 0 || strcasecmp(text, no[i]) == 0) {
            *out = strcasecmp(text, yes[i]) == 0;
            return true;
        }
    }
    return false;
}

void omt_list_add(struct omt_list *list, const char *text)
{
    list->at = omt_realloc(list->at, (list->count + 1) * sizeof(*list->at));
    list->at[list->count++] = text;
}

void omt_list_free(struct omt_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        void *text = NULL; /* the list's texts are const for everybody else */
        memcpy(&text, &list->at[i], sizeof(text));
        free(text);
    }
    free(list->at);
    *list = (struct omt_list){NULL, 0};
}

/* ---- nearest name ---------------------------------------------------------------------------- */

static char name_char(char c)
{
    return c == '-' ? '_' : (char)tolower((unsigned char)c);
}

/* Edits (insert, delete, replace, swap of neighbours) between two short names. */
static size_t name_distance(const char *a, const char *b)
{
    size_t la = strlen(a), lb = strlen(b);
    if (la > FLAG_NAME_MAX || lb > FLAG_NAME_MAX)
        return SIZE_MAX;
    size_t row[3][FLAG_NAME_MAX + 1];
    size_t *before = row[0], *prev = row[1], *cur = row[2];
    for (size_t j = 0; j <= lb; j++)
        prev[j] = j;
    for (size_t i = 1; i <= la; i++) {
        cur[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            bool same = name_char(a[i - 1]) == name_char(b[j - 1]);
            size_t d = prev[j - 1] + (same ? 0 : 1);
            if (prev[j] + 1 < d)
                d = prev[j] + 1;
            if (cur[j - 1] + 1 < d)
                d = cur[j - 1] + 1;
            if (i > 1 && j > 1 && name_char(a[i - 1]) == name_char(b[j - 2]) &&
                name_char(a[i - 2]) == name_char(b[j - 1]) && before[j - 2] + 1 < d)
                d = before[j - 2] + 1;
            cur[j] = d;
        }
        size_t *spare = before;
        before = prev;
        prev = cur;
        cur = spare;
    }
    return prev[lb];
}

const char *omt_nearest(const char *word, size_t count,
                        const char *(*name)(const void *context, size_t index), const void *context)
{
    const char *best = NULL;
    size_t best_distance = strlen(word) / 3 + 2; /* farther than this is no help */
    for (size_t i = 0; i < count; i++) {
        size_t d = name_distance(word, name(context, i));
        /* of two as near, the one that begins alike: --treads is threads rather than reads */
        bool alike = best != NULL && d == best_distance && name(context, i)[0] == word[0] &&
                     best[0] != word[0];
        if (d < best_distance || alike) {
            best_distance = d;
            best = name(context, i);
        }
    }
    return best;
}

static const char *flag_name(const void *context, size_t index)
{
    return ((const struct omt_flag *)context)[index].name;
}

/* ---- help ------------------------------------------------------------------------------------ */

static const char *kind_arg(const struct omt_flag *f)
{
    if (f->arg != NULL)
        return f->arg;
    switch (f->kind) {
    case OMT_I64:
    case OMT_U64:
        return "N";
    case OMT_SIZE:
        return "BYTES";
    case OMT_F64:
        return "X";
    default:
        return "TEXT";
    }
}

void omt_args_help(const struct omt_args *args)
{
    printf("usage: %s\n", args->usage);
    if (args->text != NULL)
        printf("\n%s", args->text);
    printf("\nflags:\n");
    size_t silent = 0;
    for (size_t i = 0; i < args->count; i++) {
        const struct omt_flag *f = &args->flags[i];
        if (f->help == NULL) {
            silent += f->target == NULL;
            continue;
        }
        char left[80];
        if (f->kind == OMT_BOOL)
            snprintf(left, sizeof(left), "--%s", f->name);
        else
            snprintf(left, sizeof(left), "--%s=%s", f->name, kind_arg(f));
        printf("  %-34s %s\n", left, f->help);
    }
    printf("  %-34s %s\n", "--help", "this text");
    if (silent != 0)
        printf(
            "\n%zu more flags of RocksDB's db_bench are accepted without effect; each is told on "
            "stderr.\n",
            silent);
    if (args->examples != NULL)
        printf("\nexamples:\n%s", args->examples);
}

/* ---- parsing --------------------------------------------------------------------------------- */

static bool name_equal(const char *a, size_t len, const char *name)
{
    for (size_t i = 0; i < len; i++)
        if (name[i] == '\0' || (a[i] == '-' ? '_' : a[i]) != (name[i] == '-' ? '_' : name[i]))
            return false;
    return name[len] == '\0';
}

static const struct omt_flag *flag_find(const struct omt_args *args, const char *name, size_t len)
{
    for (size_t i = 0; i < args->count; i++)
        if (name_equal(name, len, args->flags[i].name))
            return &args->flags[i];
    return NULL;
}

static bool flag_set(const struct omt_args *args, const struct omt_flag *f, const char *value)
{
    if (args->seen != NULL)
        args->seen[f - args->flags] = true;
    if (f->target == NULL) {
        if (args->strict != NULL && *args->strict) {
            fprintf(stderr,
                    "omendb: --%s has no effect here (%s); leave it out, or drop --strict_flags\n",
                    f->name, f->note);
            return false;
        }
        fprintf(stderr, "omendb: note: --%s has no effect here (%s)\n", f->name, f->note);
        return true;
    }
    bool ok = true;
    switch (f->kind) {
    case OMT_BOOL:
        ok = omt_parse_bool(value, f->target);
        break;
    case OMT_I64:
        ok = omt_parse_i64(value, f->target);
        break;
    case OMT_U64:
        ok = omt_parse_u64(value, f->target);
        break;
    case OMT_SIZE:
        ok = omt_parse_size(value, f->target);
        break;
    case OMT_F64:
        ok = omt_parse_f64(value, f->target);
        break;
    case OMT_TEXT:
        *(const char **)f->target = value;
        break;
    case OMT_LIST:
        omt_list_add(f->target, value);
        break;
    }
    static const char *const want[] = {
        [OMT_BOOL] = "true or false",
        [OMT_I64] = "a whole number",
        [OMT_U64] = "a whole number, not negative",
        [OMT_SIZE] = "bytes, such as 4096, 64K, 256M or 2G",
        [OMT_F64] = "a number",
        [OMT_TEXT] = "",
        [OMT_LIST] = "",
    };
    if (!ok)
        fprintf(stderr, "omendb: --%s does not take \"%s\"; give %s\n", f->name, value,
                want[f->kind]);
    return ok;
}

static bool word_in_list(const char *list, const char *name, size_t len)
{
    while (list != NULL && *list != '\0') {
        size_t n = strcspn(list, ",");
        if (n == len && strncmp(list, name, n) == 0)
            return true;
        list += n + (list[n] == ',');
    }
    return false;
}

static enum omt_parse parse_words(struct omt_args *args, int argc, char *const *argv, int depth);

/* One flag a line; # starts a comment line. The text stays in memory: flags point into it. */
static enum omt_parse parse_file(struct omt_args *args, const char *path, int depth)
{
    if (depth >= FLAGFILE_DEPTH_MAX) {
        fprintf(stderr, "omendb: --flagfile=%s nests too deep; flatten the files\n", path);
        return OMT_PARSE_ERROR;
    }
    FILE *in = fopen(path, "r");
    char *text = omt_realloc(NULL, FLAGFILE_BYTES_MAX + 1);
    size_t n = in == NULL ? 0 : fread(text, 1, FLAGFILE_BYTES_MAX, in);
    if (in == NULL || ferror(in) != 0) {
        fprintf(stderr, "omendb: --flagfile=%s: %s; check the path\n", path, strerror(errno));
        if (in != NULL)
            fclose(in);
        free(text);
        return OMT_PARSE_ERROR;
    }
    fclose(in);
    text[n] = '\0';
    omt_list_add(&args->files, text);
    struct omt_list lines = {NULL, 0};
    char *save = NULL;
    for (char *line = strtok_r(text, "\r\n", &save); line != NULL;
         line = strtok_r(NULL, "\r\n", &save)) {
        line += strspn(line, " \t");
        if (*line == '-')
            omt_list_add(&lines, line);
    }
    char **words = omt_realloc(NULL, (lines.count + 1) * sizeof(*words));
    for (size_t i = 0; i < lines.count; i++)
        memcpy(&words[i], &lines.at[i], sizeof(words[i]));
    enum omt_parse r = parse_words(args, (int)lines.count, words, depth + 1);
    free(words);
    free(lines.at);
    return r;
}

static enum omt_parse flag_unknown(const struct omt_args *args, const char *name, size_t len)
{
    if (word_in_list(args->undefok, name, len))
        return OMT_PARSE_OK;
    char word[FLAG_NAME_MAX + 1];
    snprintf(word, sizeof(word), "%.*s", (int)(len > FLAG_NAME_MAX ? FLAG_NAME_MAX : len), name);
    const char *near = omt_nearest(word, args->count, flag_name, args->flags);
    const char *program = args->gflags ? "bench" : args->command;
    if (near != NULL)
        fprintf(stderr, "omendb: unknown flag --%s; did you mean --%s? (omendb %s --help)\n", word,
                near, program);
    else
        fprintf(stderr, "omendb: unknown flag --%s; see omendb %s --help\n", word, program);
    return OMT_PARSE_ERROR;
}

static enum omt_parse parse_words(struct omt_args *args, int argc, char *const *argv, int depth)
{
    bool flags_end = false;
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        if (flags_end || word[0] != '-' || word[1] == '\0') {
            if (depth > 0)
                continue;
            args->words[args->word_count++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            flags_end = true;
            continue;
        }
        const char *name = word + 1 + (word[1] == '-');
        const char *equals = strchr(name, '=');
        size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
        if (equals == NULL && (name_equal(name, len, "help") || strcmp(word, "-h") == 0 ||
                               (args->gflags && name_equal(name, len, "helpshort")))) {
            omt_args_help(args);
            return OMT_PARSE_HELP;
        }
        bool file = args->gflags && name_equal(name, len, "flagfile");
        bool undefok = args->gflags && name_equal(name, len, "undefok");
        const struct omt_flag *f = file || undefok ? NULL : flag_find(args, name, len);
        if (f == NULL && !file && !undefok) {
            if (equals == NULL && len > 2 && strncmp(name, "no", 2) == 0) {
                f = flag_find(args, name + 2, len - 2);
                if (f != NULL && f->kind == OMT_BOOL) {
                    if (!flag_set(args, f, "false"))
                        return OMT_PARSE_ERROR;
                    continue;
                }
            }
            enum omt_parse r = flag_unknown(args, name, len);
            if (r != OMT_PARSE_OK)
                return r;
            continue;
        }
        const char *value = equals != NULL ? equals + 1 : NULL;
        if (value == NULL && f != NULL && f->kind == OMT_BOOL)
            value = "true";
        if (value == NULL && i + 1 < argc)
            value = argv[++i];
        if (value == NULL) {
            fprintf(stderr, "omendb: --%.*s needs a value; write --%.*s=%s\n", (int)len, name,
                    (int)len, name, f == NULL ? "TEXT" : kind_arg(f));
            return OMT_PARSE_ERROR;
        }
        if (undefok) {
            args->undefok = value;
        } else if (file) {
            enum omt_parse r = parse_file(args, value, depth);
            if (r != OMT_PARSE_OK)
                return r;
        } else if (!flag_set(args, f, value)) {
            return OMT_PARSE_ERROR;
        }
    }
    return OMT_PARSE_OK;
}

enum omt_parse omt_args_parse(struct omt_args *args, int argc, char **argv)
{
    args->words = omt_realloc(NULL, ((size_t)argc + 1) * sizeof(*args->words));
    args->word_count = 0;
    return parse_words(args, argc - 1, argv + 1, 0);
}

void omt_args_free(struct omt_args *args)
{
    free(args->words);
    args->words = NULL;
    omt_list_free(&args->files);
}

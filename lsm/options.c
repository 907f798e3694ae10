#include "lsm/options.h"

#include "io/base/fail.h"
#include "io/machine.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum option_type { TYPE_BYTES, TYPE_COUNT, TYPE_NAME, TYPE_FLAG, TYPE_FAR };

struct option {
    const char *name;
    enum option_type type;
    uint32_t offset, size; /* of the field; for a flag size is 0 and min its bit */
    uint64_t min, max;
    const char *names; /* of a TYPE_NAME, by value, separated by '|' */
    const char *fallback, *help;
    bool live, stored;
};

#define FIELD(f) offsetof(omen_options, f), sizeof(((omen_options *)0)->f)

static const struct option options_table[] = {
    {"memory_bytes", TYPE_BYTES, FIELD(memory_bytes), 4u << 20, UINT64_C(1) << 50, NULL, "256M",
     "one budget for memtables, cache, filters, models and buffers", false, true},
    {"disk", TYPE_NAME, FIELD(disk), 0, 2, "auto|ssd|hdd", "auto", "kind of device", false, true},
    {"goal", TYPE_NAME, FIELD(goal), 0, 3, "balanced|reads|writes|space", "balanced",
     "what to favour: sets shape, codec and filter", false, true},
    {"size_ratio", TYPE_COUNT, FIELD(size_ratio), 2, 99, NULL, "by goal",
     "T: how much larger each level is than the one above", true, true},
    {"runs_upper", TYPE_COUNT, FIELD(runs_upper), 1, 64, NULL, "by goal",
     "K: sorted runs a level above the last may hold", true, true},
    {"runs_last", TYPE_COUNT, FIELD(runs_last), 1, 64, NULL, "1", "K of the last level", true,
     true},
    {"memtable_bytes", TYPE_BYTES, FIELD(memtable_bytes), 64u << 10, 1u << 30, NULL, "memory/8",
     "size at which a memtable is flushed", false, true},
    {"target_file_bytes", TYPE_BYTES, FIELD(target_file_bytes), 64u << 10, 256u << 20, NULL,
     "memory/32", "size of a table file", false, true},
    {"cache_bytes", TYPE_BYTES, FIELD(cache_bytes), 1, UINT64_C(1) << 50, "none", "what is left",
     "blocks, filters and models; with filter_bytes, blocks alone; or none", false, false},
    {"block_bytes", TYPE_BYTES, FIELD(block_bytes), 1u << 10, 32u << 10, NULL, "4K",
     "raw bytes of a data block", false, true},
    {"codec_upper", TYPE_NAME, FIELD(codec_upper), 0, 3, "default|none|zstd-fast|zstd", "by goal",
     "compression above the last level", false, true},
    {"codec_last", TYPE_NAME, FIELD(codec_last), 0, 3, "default|none|zstd-fast|zstd", "by goal",
     "compression of the last level", false, true},
    {"filter_bits", TYPE_COUNT, FIELD(filter_bits), 1, 64, "none", "10",
     "filter bits a key, or none", true, true},
    {"sync_interval_ms", TYPE_COUNT, FIELD(sync_interval_ms), 1, 3600000, NULL, "none",
     "also sync the log this often", true, true},
    {"background_jobs", TYPE_COUNT, FIELD(background_jobs), 1, 64, NULL, "by processors",
     "merge threads beside the flush thread", false, false},
    {"io_engine", TYPE_NAME, FIELD(io_engine), 0, 2, "auto|uring|pread", "auto",
     "how batches of blocks are read", false, false},
    {"io_mode", TYPE_NAME, FIELD(io_mode), 0, 2, "auto|buffered|direct", "auto",
     "through the page cache or past it", false, false},
    {"log_file_bytes", TYPE_BYTES, FIELD(log_file_bytes), 4u << 10, 1u << 30, NULL, "8M",
     "size of the LOG text file before it is rotated", false, false},
    {"reserve_bytes", TYPE_BYTES, FIELD(reserve_bytes), 64u << 10, UINT64_C(1) << 40, "none",
     "2 memtables", "disk space that writes leave alone, or none", false, false},
    {"filter", TYPE_NAME, FIELD(filter), 0, 3, "default|learned|plain|ribbon", "learned",
     "what filters of tables may be", true, true},
    {"filter_floor", TYPE_COUNT, FIELD(filter_floor), 1, 1000, "none", "125",
     "thousandths: the most false positives of any part of a filter, or none", true, true},
    {"range_filter", TYPE_NAME, FIELD(range_filter), 0, 2, "auto|off|on", "auto",
     "filters for short scans above the last level", true, true},
    {"filter_bytes", TYPE_BYTES, FIELD(filter_bytes), 4u << 10, UINT64_C(1) << 50, NULL,
     "cache_bytes/2", "the most memory for filters", true, true},
    {"far", TYPE_FAR, FIELD(far), 0, OMEN_FAR_DELAY, "auto|none|node:N|heap|delay:NS", "auto",
     "where filters and models of the last level lie", false, false},
    {"far_bytes", TYPE_BYTES, FIELD(far_bytes), 64u << 10, UINT64_C(1) << 50, NULL,
     "90 % of what is free there", "the most far memory", false, false},
    {"near_model_bytes", TYPE_BYTES, FIELD(near_model_bytes), 4u << 10, UINT64_C(1) << 50, "none",
     "cache_bytes/16", "ordinary memory for the last level's busiest filters and models", true,
     false},
    {"create_if_missing", TYPE_FLAG, FIELD(flags), OMEN_CREATE_IF_MISSING, 0, NULL, "false",
     "make the database when it is not there", false, false},
    {"error_if_exists", TYPE_FLAG, FIELD(flags), OMEN_ERROR_IF_EXISTS, 0, NULL, "false",
     "fail when the database is there", false, false},
    {"read_only", TYPE_FLAG, FIELD(flags), OMEN_OPEN_READ_ONLY, 0, NULL, "false",
     "no lock, no writes, works beside a live writer", false, false},
    {"inline_work", TYPE_FLAG, FIELD(flags), OMEN_INLINE_WORK, 0, NULL, "false",
     "flush and merge on the writing thread", false, false},
    {"no_auto_compact", TYPE_FLAG, FIELD(flags), OMEN_NO_AUTO_COMPACT, 0, NULL, "false",
     "merge only when omen_compact asks", false, false},
    {"far_guard", TYPE_FLAG, FIELD(flags), OMEN_FAR_GUARD, 0, NULL, "false",
     "outlive failing pages of far memory", false, false},
};
enum { OPTION_COUNT = sizeof(options_table) / sizeof(options_table[0]) };
enum { FLAGS_KNOWN = (OMEN_FAR_GUARD << 1) - 1 };

/* ---- single fields --------------------------------------------------------------------------- */

static uint64_t field_get(const omen_options *o, const struct option *opt)
{
    const unsigned char *at = (const unsigned char *)o + opt->offset;
    if (opt->type == TYPE_FLAG)
        return (o->flags & opt->min) != 0;
    if (opt->type == TYPE_FAR)
        return o->far | (uint64_t)o->far_value << 32;
    if (opt->size == 8) {
        uint64_t v;
        memcpy(&v, at, 8);
        return v;
    }
    uint32_t v;
    memcpy(&v, at, 4);
    return v;
}

static void field_set(omen_options *o, const struct option *opt, uint64_t value)
{
    unsigned char *at = (unsigned char *)o + opt->offset;
    if (opt->type == TYPE_FLAG) {
        o->flags = value != 0 ? o->flags | (uint32_t)opt->min : o->flags & ~(uint32_t)opt->min;
    } else if (opt->type == TYPE_FAR) {
        o->far = (uint32_t)value;
        o->far_value = (uint32_t)(value >> 32);
    } else if (opt->size == 8) {
        memcpy(at, &value, 8);
    } else {
        uint32_t v = (uint32_t)value;
        memcpy(at, &v, 4);
    }
}

static bool takes_none(const struct option *opt)
{
    return opt->type != TYPE_NAME && opt->type != TYPE_FAR && opt->names != NULL;
}

enum { FAR_NODE_MAX = 63, FAR_DELAY_NS_MAX = 1000000 };

static omen_err far_check(uint64_t value)
{
    uint32_t kind = (uint32_t)value, of = (uint32_t)(value >> 32);
    if (kind > OMEN_FAR_DELAY)
        return omi_fail(OMEN_INVALID, 0, "option far is %u; it is an omen_far, 0 to %d", kind,
                        OMEN_FAR_DELAY);
    uint32_t most = kind == OMEN_FAR_NODE    ? FAR_NODE_MAX
                    : kind == OMEN_FAR_DELAY ? FAR_DELAY_NS_MAX
                                             : 0;
    if (of > most)
        return omi_fail(OMEN_INVALID, 0,
                        "option far_value is %u; it takes 0 to %u with this option far", of, most);
    return OMEN_OK;
}

static omen_err field_check(const struct option *opt, uint64_t value)
{
    if (opt->type == TYPE_FAR)
        return far_check(value);
    if (opt->type == TYPE_FLAG || value == 0 || (takes_none(opt) && value == OMEN_NONE))
        return OMEN_OK;
    if (value < opt->min || value > opt->max)
        return omi_fail(OMEN_INVALID, 0,
                        "option %s is %" PRIu64 "; it takes %" PRIu64 " to %" PRIu64
                        ", or 0 for the default",
                        opt->name, value, opt->min, opt->max);
    return OMEN_OK;
}

/* ---- text ------------------------------------------------------------------------------------ */

static bool text_is(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && strncmp(text, word, size) == 0;
}

static bool name_value(const char *names, const char *text, size_t size, uint64_t *value_out)
{
    uint64_t value = 0;
    for (const char *at = names; *at != 0; value++) {
        size_t n = strcspn(at, "|");
        if (n == size && strncmp(at, text, n) == 0) {
            *value_out = value;
            return true;
        }
        at += n;
        if (*at == '|')
            at++;
    }
    return false;
}

static bool number_value(const char *text, size_t size, uint64_t *value_out)
{
    uint64_t v = 0;
    size_t i = 0;
    for (; i < size && isdigit((unsigned char)text[i]); i++) {
        if (__builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
            return false;
    }
    if (i == 0)
        return false;
    unsigned shift = 0;
    if (i < size) {
        switch (toupper((unsigned char)text[i])) {
        case 'K':
            shift = 10;
            break;
        case 'M':
            shift = 20;
            break;
        case 'G':
            shift = 30;
            break;
        default:
            return false;
        }
        i++;
        if (i < size && (text[i] == 'i' || text[i] == 'I'))
            i++;
        if (i < size && (text[i] == 'b' || text[i] == 'B'))
            i++;
    }
    if (i != size || (shift != 0 && v > (UINT64_MAX >> shift)))
        return false;
    *value_out = v << shift;
    return true;
}

static bool flag_value(const char *text, size_t size, uint64_t *value_out)
{
    static const char *const words[] = {"0", "1", "false", "true", "no", "yes", "off", "on"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (text_is(text, size, words[i])) {
            *value_out = i & 1;
            return true;
        }
    }
    return false;
}

/* "auto", "none", "heap", "node:1", "delay:250": the kind, and the number above it. */
static bool far_value(const char *text, size_t size, uint64_t *value_out)
{
    static const char *const words[] = {"auto", "none", "node:", "heap", "delay:"};
    for (uint64_t kind = 0; kind < sizeof(words) / sizeof(words[0]); kind++) {
        size_t n = strlen(words[kind]);
        uint64_t number = 0;
        if (words[kind][n - 1] != ':' && text_is(text, size, words[kind])) {
            *value_out = kind;
            return true;
        }
        if (words[kind][n - 1] == ':' && size > n && strncmp(text, words[kind], n) == 0 &&
            number_value(text + n, size - n, &number) && number <= UINT32_MAX) {
            *value_out = kind | number << 32;
            return true;
        }
    }
    return false;
}

/* Edit distance, for naming the nearest option; names are short. */
static size_t distance(const char *a, size_t a_size, const char *b)
{
    size_t row[64], b_size = strlen(b);
    if (a_size > 60 || b_size > 60)
        return SIZE_MAX;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[b_size];
}

static const struct option *option_find(const char *name, size_t size)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
        if (text_is(name, size, options_table[i].name))
            return &options_table[i];
    return NULL;
}

static omen_err option_unknown(const char *name, size_t size)
{
    size_t best = SIZE_MAX;
    const char *nearest = "";
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        size_t d = distance(name, size, options_table[i].name);
        if (d < best) {
            best = d;
            nearest = options_table[i].name;
        }
    }
    return omi_fail(OMEN_INVALID, 0, "no option is called \"%.*s\"; the nearest is %s",
                    (int)(size < 60 ? size : 60), name, nearest);
}

static omen_err value_bad(const struct option *opt, const char *value, size_t size)
{
    return omi_fail(OMEN_INVALID, 0, "option %s cannot be \"%.*s\"; it takes %s", opt->name,
                    (int)(size < 60 ? size : 60), value,
                    opt->type == TYPE_NAME || opt->type == TYPE_FAR ? opt->names
                    : opt->type == TYPE_FLAG                        ? "true or false"
                    : takes_none(opt)                               ? "a number or none"
                                      : "a number, with K, M or G if large");
}

/* runs_level is given as runs_1 .. runs_12. */
static omen_err runs_level_set(omen_options *o, const char *name, size_t name_size,
                               const char *value, size_t value_size, bool *was_out)
{
    uint64_t level, runs;
    *was_out = name_size > 5 && strncmp(name, "runs_", 5) == 0 &&
               number_value(name + 5, name_size - 5, &level);
    if (!*was_out)
        return OMEN_OK;
    if (level < 1 || level > OMEN_LEVELS_MAX || !number_value(value, value_size, &runs) ||
        runs > 64)
        return omi_fail(OMEN_INVALID, 0, "option %.*s: levels are 1 to %d, runs 0 to 64",
                        (int)name_size, name, OMEN_LEVELS_MAX);
    o->runs_level[level - 1] = (uint32_t)runs;
    return OMEN_OK;
}

omen_err omi_options_set(omen_options *o, const char *name, size_t name_size, const char *value,
                         size_t value_size, bool live_only)
{
    bool was_level;
    omen_err err = runs_level_set(o, name, name_size, value, value_size, &was_level);
    if (err != OMEN_OK || was_level)
        return err;
    const struct option *opt = option_find(name, name_size);
    if (opt == NULL)
        return option_unknown(name, name_size);
    if (live_only && !opt->live)
        return omi_fail(OMEN_UNSUPPORTED, 0,
                        "option %s cannot change while the database is open; set it at omen_open",
                        opt->name);
    uint64_t v;
    bool ok;
    if (opt->type == TYPE_NAME)
        ok = name_value(opt->names, value, value_size, &v);
    else if (opt->type == TYPE_FAR)
        ok = far_value(value, value_size, &v);
    else if (opt->type == TYPE_FLAG)
        ok = flag_value(value, value_size, &v);
    else if (takes_none(opt) && text_is(value, value_size, "none"))
        ok = true, v = OMEN_NONE;
    else
        ok = number_value(value, value_size, &v);
    if (!ok)
        return value_bad(opt, value, value_size);
    err = field_check(opt, v);
    if (err == OMEN_OK)
        field_set(o, opt, v);
    return err;
}

static bool is_between(char c)
{
    return c == ',' || c == ' ' || c == '\n' || c == '\t' || c == ';' || c == '\r';
}

static omen_err set_all(omen_options *o, const char *text, size_t size)
{
    size_t i = 0;
    while (i < size) {
        if (is_between(text[i])) {
            i++;
            continue;
        }
        size_t start = i, equals = SIZE_MAX;
        for (; i < size && !is_between(text[i]); i++)
            if (text[i] == '=' && equals == SIZE_MAX)
                equals = i;
        if (equals == SIZE_MAX)
            return omi_fail(OMEN_INVALID, 0, "\"%.*s\" is not name=value",
                            (int)(i - start < 60 ? i - start : 60), text + start);
        omen_err err = omi_options_set(o, text + start, equals - start, text + equals + 1,
                                       i - equals - 1, false);
        if (err != OMEN_OK)
            return err;
    }
    return OMEN_OK;
}

omen_err omen_options_from_string(const char *text, omen_options *options)
{
    omen_options copy;
    omen_err err = omi_options_copy(options, &copy);
    if (err == OMEN_OK)
        err = set_all(&copy, text, strlen(text));
    if (err != OMEN_OK)
        return err;
    size_t size = options->struct_bytes < sizeof(copy) ? options->struct_bytes : sizeof(copy);
    copy.struct_bytes = options->struct_bytes;
    memcpy(options, &copy, size);
    return OMEN_OK;
}

static omen_err describe_one(struct omi_buf *out, const struct option *opt, bool last)
{
    static const char *const types[] = {"bytes", "count", "name", "flag", "name"};
    omen_err err =
        omi_buf_printf(out, "  {\"name\":\"%s\",\"type\":\"%s\"", opt->name, types[opt->type]);
    if (err == OMEN_OK && (opt->type == TYPE_NAME || opt->type == TYPE_FAR))
        err = omi_buf_printf(out, ",\"values\":\"%s\"", opt->names);
    if (err == OMEN_OK && (opt->type == TYPE_BYTES || opt->type == TYPE_COUNT))
        err = omi_buf_printf(out, ",\"min\":%" PRIu64 ",\"max\":%" PRIu64, opt->min, opt->max);
    if (err == OMEN_OK)
        err =
            omi_buf_printf(out, ",\"default\":\"%s\",\"live\":%s,\"help\":\"%s\"}%s\n",
                           opt->fallback, opt->live ? "true" : "false", opt->help, last ? "" : ",");
    return err;
}

char *omen_options_describe(void)
{
    struct omi_buf out = {0};
    omen_err err = omi_buf_printf(&out, "[\n");
    for (size_t i = 0; i < OPTION_COUNT && err == OMEN_OK; i++)
        err = describe_one(&out, &options_table[i], i + 1 == OPTION_COUNT);
    if (err == OMEN_OK)
        err = omi_buf_printf(&out, "]\n");
    if (err != OMEN_OK) {
        omi_buf_fini(&out);
        return NULL;
    }
    return (char *)out.data;
}

/* ---- whole structs --------------------------------------------------------------------------- */

omen_err omi_options_copy(const omen_options *from, omen_options *to)
{
    memset(to, 0, sizeof(*to));
    to->struct_bytes = sizeof(*to);
    if (from == NULL)
        return OMEN_OK;
    size_t known = offsetof(omen_options, near_model_bytes) + sizeof(from->near_model_bytes);
    if (from->struct_bytes < sizeof(size_t) || from->struct_bytes > 4096)
        return omi_fail(OMEN_INVALID, 0,
                        "omen_options.struct_bytes is %zu; set it to sizeof(omen_options)",
                        from->struct_bytes);
    for (size_t i = known; i < from->struct_bytes; i++)
        if (((const unsigned char *)from)[i] != 0)
            return omi_fail(OMEN_UNSUPPORTED, 0,
                            "omen_options has a field that this library does not know");
    memcpy(to, from, from->struct_bytes < sizeof(*to) ? from->struct_bytes : sizeof(*to));
    to->struct_bytes = sizeof(*to);
    if ((to->flags & ~(uint32_t)FLAGS_KNOWN) != 0)
        return omi_fail(OMEN_UNSUPPORTED, 0, "omen_options.flags has unknown bits 0x%x",
                        to->flags & ~(uint32_t)FLAGS_KNOWN);
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        omen_err err = field_check(&options_table[i], field_get(to, &options_table[i]));
        if (err != OMEN_OK)
            return err;
    }
    for (size_t i = 0; i < OMEN_LEVELS_MAX; i++)
        if (to->runs_level[i] > 64)
            return omi_fail(OMEN_INVALID, 0, "option runs_%zu is %u; it takes 1 to 64", i + 1,
                            to->runs_level[i]);
    if (to->comparator != NULL &&
        (to->comparator->name == NULL || to->comparator->name[0] == 0 ||
         strlen(to->comparator->name) > 255 || to->comparator->compare == NULL))
        return omi_fail(OMEN_INVALID, 0,
                        "a comparator needs a compare function and a name of 1 to 255 bytes");
    const omen_filter_policy *policy = to->filter_policy;
    if (policy != NULL &&
        (policy->name == NULL || policy->name[0] == 0 || strlen(policy->name) > 255 ||
         policy->build == NULL || policy->may_hold == NULL))
        return omi_fail(OMEN_INVALID, 0,
                        "option filter_policy needs build, may_hold and a name of 1 to 255 bytes");
    return OMEN_OK;
}

omen_err omi_options_merge_stored(omen_options *options, omen_slice text)
{
    omen_options stored = {.struct_bytes = sizeof(stored)};
    omen_err err = set_all(&stored, text.data, text.size);
    if (err != OMEN_OK)
        return omi_fail(OMEN_CORRUPT, 0, "the stored options do not parse; repair the manifest");
    for (size_t i = 0; i < OPTION_COUNT; i++) {
        const struct option *opt = &options_table[i];
        if (opt->stored && field_get(options, opt) == 0)
            field_set(options, opt, field_get(&stored, opt));
    }
    for (size_t i = 0; i < OMEN_LEVELS_MAX; i++)
        if (options->runs_level[i] == 0)
            options->runs_level[i] = stored.runs_level[i];
    return OMEN_OK;
}

static omen_err store_one(const omen_options *o, const struct option *opt, struct omi_buf *out)
{
    uint64_t v = field_get(o, opt);
    if (!opt->stored || v == 0)
        return OMEN_OK;
    if (takes_none(opt) && v == OMEN_NONE)
        return omi_buf_printf(out, "%s=none\n", opt->name);
    if (opt->type != TYPE_NAME)
        return omi_buf_printf(out, "%s=%" PRIu64 "\n", opt->name, v);
    const char *at = opt->names;
    for (uint64_t i = 0; i < v; i++)
        at += strcspn(at, "|") + 1;
    return omi_buf_printf(out, "%s=%.*s\n", opt->name, (int)strcspn(at, "|"), at);
}

omen_err omi_options_store(const omen_options *o, struct omi_buf *out)
{
    omen_err err = OMEN_OK;
    for (size_t i = 0; i < OPTION_COUNT && err == OMEN_OK; i++)
        err = store_one(o, &options_table[i], out);
    for (size_t i = 0; i < OMEN_LEVELS_MAX && err == OMEN_OK; i++)
        if (o->runs_level[i] != 0)
            err = omi_buf_printf(out, "runs_%zu=%u\n", i + 1, o->runs_level[i]);
    return err;
}

/* ---- deciding -------------------------------------------------------------------------------- */

static uint64_t clamp(uint64_t v, uint64_t low, uint64_t high)
{
    return v < low ? low : v > high ? high : v;
}

static uint32_t pick(uint32_t given, uint32_t fallback)
{
    return given != 0 ? given : fallback;
}

/* What each goal sets; the table in docs/architecture.md shows the same. */
static const struct {
    uint32_t size_ratio, runs_upper, codec_upper, codec_last, filter_bits;
} goals[] = {
    [OMEN_GOAL_BALANCED] = {6, 4, OMEN_CODEC_NONE, OMEN_CODEC_ZSTD_FAST, 10},
    [OMEN_GOAL_READS] = {6, 1, OMEN_CODEC_NONE, OMEN_CODEC_NONE, 14},
    [OMEN_GOAL_WRITES] = {8, 7, OMEN_CODEC_NONE, OMEN_CODEC_NONE, 10},
    [OMEN_GOAL_SPACE] = {8, 2, OMEN_CODEC_ZSTD_FAST, OMEN_CODEC_ZSTD, 10},
};

static uint32_t jobs_default(void)
{
    uint32_t n = omi_machine_cpus();
    return n <= 3 ? 1 : n < 16 ? n / 3 : 5;
}

omen_err omi_options_resolve(const omen_options *o, struct omi_settings *out)
{
    memset(out, 0, sizeof(*out));
    omen_split *s = &out->split;
    s->struct_bytes = sizeof(*s);
    bool hdd = o->disk == OMEN_DISK_HDD; /* seeks are dear: larger blocks and files, one merge */
    s->memory_bytes = o->memory_bytes != 0 ? o->memory_bytes : UINT64_C(256) << 20;
    s->memtable_bytes = o->memtable_bytes != 0 ? o->memtable_bytes
                                               : clamp(s->memory_bytes / 8, 64u << 10, 64u << 20);
    s->memtable_count = 3; /* one filling, one being flushed, one spare arena */
    s->target_file_bytes = o->target_file_bytes != 0
                               ? o->target_file_bytes
                               : clamp(s->memory_bytes / (hdd ? 16 : 32), 1u << 20, 64u << 20);
    s->background_jobs = pick(o->background_jobs, hdd ? 1 : jobs_default());
    /* A buffered file costs its bytes again for keys, hashes and the writer's buffer. */
    s->build_buffer_bytes = s->target_file_bytes + s->target_file_bytes / 2 + (1u << 20);
    s->build_buffer_count = 1 + (uint64_t)s->background_jobs;
    uint64_t fixed =
        s->memtable_count * s->memtable_bytes + s->build_buffer_count * s->build_buffer_bytes;
    uint64_t left = s->memory_bytes > fixed ? s->memory_bytes - fixed : 0;
    left = clamp(left, 256u << 10, UINT64_MAX);
    s->cache_bytes = o->cache_bytes == OMEN_NONE ? 0 : o->cache_bytes != 0 ? o->cache_bytes : left;
    out->cache_alone = o->cache_bytes != 0 && o->filter_bytes != 0;
    s->block_bytes = pick(o->block_bytes, hdd ? 16384 : 4096);
    s->size_ratio = pick(o->size_ratio, goals[o->goal].size_ratio);
    s->runs_upper = pick(o->runs_upper, goals[o->goal].runs_upper);
    s->runs_last = pick(o->runs_last, 1);
    s->codec_upper = pick(o->codec_upper, goals[o->goal].codec_upper);
    s->codec_last = pick(o->codec_last, goals[o->goal].codec_last);
    s->filter_bits = pick(o->filter_bits, goals[o->goal].filter_bits);
    out->filter_bits = s->filter_bits == OMEN_NONE ? 0 : s->filter_bits;
    out->filter = o->filter != OMEN_FILTER_DEFAULT ? o->filter : OMEN_FILTER_LEARNED;
    out->filter_floor_permille = o->filter_floor == OMEN_NONE ? 1000 : pick(o->filter_floor, 125);
    out->range_filter = o->range_filter;
    out->filter_bytes = o->filter_bytes != 0      ? o->filter_bytes
                        : s->cache_bytes / 2 != 0 ? s->cache_bytes / 2
                                                  : left / 2;
    out->near_model_bytes = o->near_model_bytes == OMEN_NONE ? 0
                            : o->near_model_bytes != 0       ? o->near_model_bytes
                                                             : s->cache_bytes / 16;
    out->sync_interval_ms = o->sync_interval_ms;
    out->log_file_bytes = o->log_file_bytes != 0 ? o->log_file_bytes : 8u << 20;
    out->direct = o->io_mode == OMEN_IO_DIRECT ||
                  (o->io_mode == OMEN_IO_AUTO && s->cache_bytes >= omi_machine_ram_bytes() / 4);
    out->shape = (struct omi_shape){
        .size_ratio = s->size_ratio,
        .runs_upper = s->runs_upper,
        .runs_last = s->runs_last,
        .memtable_bytes = s->memtable_bytes,
    };
    memcpy(out->shape.runs_level, o->runs_level, sizeof(o->runs_level));
    out->shape_fixed = (o->size_ratio != 0 ? 1u : 0) | (o->runs_upper != 0 ? 2u : 0) |
                       (o->runs_last != 0 ? 4u : 0);
    return omi_shape_check(&out->shape);
}

omen_err omen_options_split(const omen_options *options, omen_split *split)
{
    omen_options copy;
    struct omi_settings settings;
    omen_err err = omi_options_copy(options, &copy);
    if (err == OMEN_OK)
        err = omi_options_resolve(&copy, &settings);
    if (err != OMEN_OK)
        return err;
    size_t size = split->struct_bytes;
    if (size < sizeof(size_t) || size > sizeof(*split))
        return omi_fail(OMEN_INVALID, 0, "omen_split.struct_bytes is %zu", size);
    memcpy(split, &settings.split, size);
    split->struct_bytes = size;
    return OMEN_OK;
}

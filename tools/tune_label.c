/*
 * tune_label.c - labels as JSON lines and as CSV, both from one table of fields.
 */
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tune.h"

enum field_kind { FIELD_TEXT, FIELD_U16, FIELD_U32, FIELD_U64, FIELD_F64, FIELD_BOOL };

struct field {
    const char *name;
    enum field_kind kind;
    size_t off;
    uint32_t count;           /* of numbers side by side; of TEXT: bytes */
    const char *const *parts; /* names of the numbers; NULL: a single one */
};

static const char *const op_names[OMT_OP_KINDS] = {"get_miss", "get_hit", "scan", "put", "delete"};
static const char *const tune_op_names[OMI_TUNE_OPS] = {"miss", "hit", "scan", "write"};
static const char *const percentile_names[4] = {"p50", "p95", "p99", "p999"};

const char *omt_op_name(int kind)
{
    return kind >= 0 && kind < OMT_OP_KINDS ? op_names[kind] : "?";
}

const char *omt_tune_op_name(int tune_op)
{
    return tune_op >= 0 && tune_op < OMI_TUNE_OPS ? tune_op_names[tune_op] : "?";
}

#define TEXT(m)                                                                                    \
    {                                                                                              \
#m, FIELD_TEXT, offsetof(struct omt_label, m), sizeof(((struct omt_label *)0)->m), NULL    \
    }
#define ONE(n, kind, m)                                                                            \
    {                                                                                              \
        n, kind, offsetof(struct omt_label, m), 1, NULL                                            \
    }
#define U64(m) ONE(#m, FIELD_U64, m)
#define F64(m) ONE(#m, FIELD_F64, m)

static const struct field fields[] = {
    TEXT(workload),
    TEXT(method),
    TEXT(spec),
    TEXT(build),
    ONE("T", FIELD_U16, point.size_ratio),
    ONE("K", FIELD_U16, point.runs_upper),
    ONE("Z", FIELD_U16, point.runs_last),
    ONE("h", FIELD_U16, point.filter_bits),
    ONE("cache", FIELD_U16, point.cache_pct),
    ONE("repeat", FIELD_U32, repeat),
    U64(seed),
    U64(entries),
    U64(entry_bytes),
    U64(memory_bytes),
    U64(memtable_bytes),
    U64(filter_share_bytes),
    F64(filter_memory_bytes),
    U64(cache_bytes),
    {"mix", FIELD_F64, offsetof(struct omt_label, mix), OMI_TUNE_OPS, tune_op_names},
    F64(skew),
    F64(scan_entries),
    F64(predicted),
    F64(predicted_sd),
    F64(j_io),
    F64(j_io_run),
    F64(read_cost),
    F64(write_cost),
    {"ops", FIELD_U64, offsetof(struct omt_label, ops), OMT_OP_KINDS, op_names},
    U64(operations),
    U64(get_blocks),
    U64(get_reads),
    U64(scan_seeks),
    U64(scan_blocks),
    U64(scan_reads),
    U64(probes),
    U64(false_positives),
    F64(merge_read_pages),
    F64(merge_written_pages),
    U64(merges),
    U64(flushes),
    U64(moved_bytes),
    U64(user_bytes),
    U64(cycle_writes),
    F64(cycle_read_pages),
    F64(cycle_written_pages),
    ONE("cycle_whole", FIELD_BOOL, cycle_whole),
    F64(write_amp),
    F64(read_amp),
    F64(space_amp),
    {"pages", FIELD_F64, offsetof(struct omt_label, pages), OMI_TUNE_OPS, tune_op_names},
    U64(cache_hits),
    U64(cache_misses),
};

#define WALL(n, kind, m)                                                                           \
    {                                                                                              \
        n, kind, offsetof(struct omt_label, wall.m), 1, NULL                                       \
    }
#define LATENCY(n, i)                                                                              \
    {                                                                                              \
        n, FIELD_F64, offsetof(struct omt_label, wall.latency_us[i]), 4, percentile_names          \
    }
static const struct field wall_fields[] = {
    WALL("j_us", FIELD_F64, j_us),
    WALL("run_us", FIELD_F64, run_us),
    WALL("drain_us", FIELD_F64, drain_us),
    WALL("build_us", FIELD_F64, build_us),
    WALL("ops_s", FIELD_F64, ops_s),
    LATENCY("get_miss_us", OMI_OP_GET_MISS),
    LATENCY("get_hit_us", OMI_OP_GET_HIT),
    LATENCY("scan_us", OMI_OP_SCAN),
    LATENCY("put_us", OMI_OP_PUT),
    LATENCY("delete_us", OMI_OP_DELETE),
    WALL("cycle_write_us", FIELD_F64, cycle_write_us),
    WALL("stalls", FIELD_U64, stalls),
    WALL("stall_us", FIELD_U64, stall_us),
    WALL("time", FIELD_U64, time),
    {"session", FIELD_TEXT, offsetof(struct omt_label, wall.session),
     sizeof(((struct omt_label *)0)->wall.session), NULL},
};

#define LEVEL(m, kind)                                                                             \
    {                                                                                              \
#m, kind, offsetof(struct omt_label_level, m), 1, NULL                                     \
    }
static const struct field level_fields[] = {
    LEVEL(runs, FIELD_F64),    LEVEL(files, FIELD_F64),  LEVEL(bytes, FIELD_F64),
    LEVEL(entries, FIELD_F64), LEVEL(probes, FIELD_U64), LEVEL(false_positives, FIELD_U64),
    LEVEL(blocks, FIELD_U64)};

enum {
    FIELDS = sizeof(fields) / sizeof(fields[0]),
    WALLS = sizeof(wall_fields) / sizeof(wall_fields[0]),
    LEVEL_FIELDS = sizeof(level_fields) / sizeof(level_fields[0])
};

/* ---- one number ---------------------------------------------------------------------------------- */

static size_t step_of(enum field_kind kind)
{
    static const size_t steps[] = {1, 2, 4, 8, 8, sizeof(bool)};
    return steps[kind];
}

static uint64_t whole_get(const struct field *f, const uint8_t *at)
{
    uint16_t v16;
    uint32_t v32;
    uint64_t v64;
    switch (f->kind) {
    case FIELD_U16:
        memcpy(&v16, at, sizeof(v16));
        return v16;
    case FIELD_U32:
        memcpy(&v32, at, sizeof(v32));
        return v32;
    default:
        memcpy(&v64, at, sizeof(v64));
        return v64;
    }
}

static bool whole_put(const struct field *f, uint8_t *at, uint64_t v)
{
    uint16_t v16 = (uint16_t)v;
    uint32_t v32 = (uint32_t)v;
    if (f->kind == FIELD_U64)
        memcpy(at, &v, sizeof(v));
    else if (f->kind == FIELD_U32 && v <= UINT32_MAX)
        memcpy(at, &v32, sizeof(v32));
    else if (f->kind == FIELD_U16 && v <= UINT16_MAX)
        memcpy(at, &v16, sizeof(v16));
    else
        return false;
    return true;
}

static void number_write(struct omt_json *j, const char *name, const struct field *f,
                         const uint8_t *at)
{
    double v;
    if (f->kind == FIELD_F64) {
        memcpy(&v, at, sizeof(v));
        omt_json_f64(j, name, v, 9);
    } else {
        omt_json_u64(j, name, whole_get(f, at));
    }
}

static bool number_read(const struct omt_node *node, const struct field *f, uint8_t *at)
{
    double v;
    uint64_t whole;
    if (f->kind == FIELD_F64) {
        if (!omt_node_f64(node, &v))
            return false;
        memcpy(at, &v, sizeof(v));
        return true;
    }
    return omt_node_u64(node, &whole) && whole_put(f, at, whole);
}

/* ---- fields as JSON ------------------------------------------------------------------------------ */

static void fields_write(struct omt_json *j, const struct field *list, size_t count,
                         const uint8_t *base)
{
    for (size_t i = 0; i < count; i++) {
        const struct field *f = &list[i];
        const uint8_t *at = base + f->off;
        if (f->kind == FIELD_TEXT) {
            omt_json_text(j, f->name, (const char *)at);
        } else if (f->kind == FIELD_BOOL) {
            omt_json_bool(j, f->name, *at != 0);
        } else if (f->parts == NULL) {
            number_write(j, f->name, f, at);
        } else {
            omt_json_array(j, f->name);
            for (uint32_t k = 0; k < f->count; k++)
                number_write(j, NULL, f, at + k * step_of(f->kind));
            omt_json_array_end(j);
        }
    }
}

static bool field_read(const struct omt_node *node, const struct field *f, uint8_t *at,
                       char why[static OMT_JSON_WHY])
{
    if (f->kind == FIELD_TEXT) {
        const char *text = omt_node_text(node);
        if (text == NULL || node->size >= f->count || strlen(text) != node->size)
            return omt_node_fail(node, why, "%s must be a text of at most %u bytes", f->name,
                                 f->count - 1);
        memcpy(at, text, node->size + 1);
        return true;
    }
    if (f->kind == FIELD_BOOL) {
        bool v;
        if (!omt_node_bool(node, &v))
            return omt_node_fail(node, why, "%s must be true or false", f->name);
        *at = v;
        return true;
    }
    if (f->parts == NULL)
        return number_read(node, f, at) ||
               omt_node_fail(node, why, "%s is no number, or out of range", f->name);
    if (node->kind != OMT_NODE_ARRAY || node->count != f->count)
        return omt_node_fail(node, why, "%s must be a list of %u numbers", f->name, f->count);
    uint32_t k = 0;
    for (const struct omt_node *n = node->first; n != NULL; n = n->next, k++)
        if (!number_read(n, f, at + k * step_of(f->kind)))
            return omt_node_fail(n, why, "%s holds what is no number, or out of range", f->name);
    return true;
}

/* A field that is missing stays as it is: older lines had fewer. */
static bool fields_read(const struct omt_node *object, const struct field *list, size_t count,
                        uint8_t *base, char why[static OMT_JSON_WHY])
{
    for (size_t i = 0; i < count; i++) {
        const struct omt_node *node = omt_node_member(object, list[i].name);
        if (node != NULL && !field_read(node, &list[i], base + list[i].off, why))
            return false;
    }
    return true;
}

/* ---- labels -------------------------------------------------------------------------------------- */

void omt_label_write(FILE *out, const struct omt_label *label, bool wall)
{
    struct omt_json j = {.out = out, .lines = true};
    omt_json_object(&j, NULL);
    fields_write(&j, fields, FIELDS, (const uint8_t *)label);
    omt_json_array(&j, "levels");
    for (uint32_t l = 0; l < label->levels; l++) {
        omt_json_object(&j, NULL);
        fields_write(&j, level_fields, LEVEL_FIELDS, (const uint8_t *)&label->level[l]);
        omt_json_object_end(&j);
    }
    omt_json_array_end(&j);
    if (wall) {
        omt_json_object(&j, "wall");
        fields_write(&j, wall_fields, WALLS, (const uint8_t *)label);
        omt_json_object_end(&j);
    }
    omt_json_object_end(&j);
    omt_json_end(&j);
}

static bool levels_read(const struct omt_node *levels, struct omt_label *label,
                        char why[static OMT_JSON_WHY])
{
    if (levels == NULL)
        return true;
    if (levels->kind != OMT_NODE_ARRAY || levels->count > OMEN_LEVELS_MAX)
        return omt_node_fail(levels, why, "levels must be a list of at most %d", OMEN_LEVELS_MAX);
    for (const struct omt_node *n = levels->first; n != NULL; n = n->next)
        if (!fields_read(n, level_fields, LEVEL_FIELDS, (uint8_t *)&label->level[label->levels++],
                         why))
            return false;
    return true;
}

bool omt_label_read(const struct omt_node *line, struct omt_label *label_out,
                    char why[static OMT_JSON_WHY])
{
    static const char *const needed[] = {"workload", "spec", "T", "K", "Z", "h", "cache", "j_io"};
    struct omt_label label = {0};
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        label.pages[op] = -1;
    if (line->kind != OMT_NODE_OBJECT)
        return omt_node_fail(line, why, "a label must be an object");
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (omt_node_member(line, needed[i]) == NULL)
            return omt_node_fail(line, why, "a label without %s", needed[i]);
    if (!fields_read(line, fields, FIELDS, (uint8_t *)&label, why) ||
        !levels_read(omt_node_member(line, "levels"), &label, why) ||
        !fields_read(omt_node_member(line, "wall"), wall_fields, WALLS, (uint8_t *)&label, why))
        return false;
    if (!(label.j_io >= 0))
        return omt_node_fail(line, why, "j_io is negative");
    *label_out = label;
    return true;
}

/* ---- CSV ----------------------------------------------------------------------------------------- */

static void csv_names(FILE *out, const struct field *list, size_t count, const char *prefix)
{
    for (size_t i = 0; i < count; i++) {
        const struct field *f = &list[i];
        const char *comma = i == 0 && prefix[0] == '\0' ? "" : ",";
        if (f->parts == NULL)
            fprintf(out, "%s%s%s", comma, prefix, f->name);
        for (uint32_t k = 0; f->parts != NULL && k < f->count; k++)
            fprintf(out, "%s%s%s_%s", k == 0 ? comma : ",", prefix, f->name, f->parts[k]);
    }
}

static void csv_number(FILE *out, const struct field *f, const uint8_t *at)
{
    double v;
    if (f->kind == FIELD_F64) {
        memcpy(&v, at, sizeof(v));
        fprintf(out, "%.9g", v);
    } else {
        fprintf(out, "%" PRIu64, whole_get(f, at));
    }
}

static void csv_text(FILE *out, const char *text)
{
    bool quoted = strpbrk(text, ",\"\n\r") != NULL;
    if (!quoted) {
        fputs(text, out);
        return;
    }
    putc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"')
            putc('"', out);
        putc(*text, out);
    }
    putc('"', out);
}

static void csv_values(FILE *out, const struct field *list, size_t count, const uint8_t *base,
                       bool first)
{
    for (size_t i = 0; i < count; i++) {
        const struct field *f = &list[i];
        const uint8_t *at = base + f->off;
        if (!first || i != 0)
            putc(',', out);
        if (f->kind == FIELD_TEXT)
            csv_text(out, (const char *)at);
        else if (f->kind == FIELD_BOOL)
            putc('0' + (*at != 0), out);
        else
            for (uint32_t k = 0; k < f->count; k++) {
                if (k != 0)
                    putc(',', out);
                csv_number(out, f, at + k * step_of(f->kind));
            }
    }
}

void omt_label_csv_head(FILE *out)
{
    csv_names(out, fields, FIELDS, "");
    csv_names(out, wall_fields, WALLS, "wall_");
    for (int l = 0; l < OMEN_LEVELS_MAX; l++) {
        char prefix[32];
        snprintf(prefix, sizeof(prefix), "level%d_", l + 1);
        csv_names(out, level_fields, LEVEL_FIELDS, prefix);
    }
    putc('\n', out);
}

void omt_label_csv(FILE *out, const struct omt_label *label)
{
    csv_values(out, fields, FIELDS, (const uint8_t *)label, true);
    csv_values(out, wall_fields, WALLS, (const uint8_t *)label, false);
    for (int l = 0; l < OMEN_LEVELS_MAX; l++)
        csv_values(out, level_fields, LEVEL_FIELDS, (const uint8_t *)&label->level[l], false);
    putc('\n', out);
}

/* ---- what it cost -------------------------------------------------------------------------------- */

static double share(double part, double whole)
{
    return whole > 0 ? part / whole : 0;
}

double omt_label_cost(const struct omt_label *label, const struct omi_cost_prices *prices)
{
    double ops = (double)label->operations;
    double writes = (double)(label->ops[OMI_OP_PUT] + label->ops[OMI_OP_DELETE]);
    /* Blocks of a scan are dearer when they are the first of their run; the cache takes its share of
     * both alike. */
    double first = share((double)label->scan_seeks, (double)label->scan_blocks);
    first = first < 1 ? first : 1;
    double scan_page = first * prices->seek + (1 - first) * prices->scan_page;
    double reads = (double)label->get_reads * prices->read + (double)label->scan_reads * scan_page +
                   (double)label->probes * prices->probe;
    double write = label->cycle_read_pages * prices->merge_read +
                   label->cycle_written_pages * prices->merge_write;
    return share(reads + writes * write, ops);
}

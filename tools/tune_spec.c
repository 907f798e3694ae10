/*
 * tune_spec.c - workload specs: names, JSON, scales.
 *
 *   {"name":"mine","n":100000,"entry":1000,"bits_per_key_total":26,"seed":1,
 *    "dist":{"kind":"zipf","theta":0.9},"order":"random","inserts":0,"deletes":0,"scan":[1,4,16],
 *    "phases":[{"mix":[0.25,0.25,0.25,0.25],"to":[0,0,0.5,0.5],"ops":10000}]}
 *
 * "like":"W4" takes a named workload first and changes what else is said. A phase may name scan
 * lengths too, as long as all phases name the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "compaction/tune_random.h"
#include "tools/args.h"
#include "tools/tune.h"
#include "tools/tune_trace.h"

static const char *const dist_names[] = {"uniform", "zipf", "latest"};
static const char *const order_names[] = {"random", "sorted", "near-sorted"};
enum { DISTS = 3, ORDERS = 3 };

/* ---- reading ----------------------------------------------------------------------------------- */

static const char *listed_name(const void *context, size_t index)
{
    return ((const char *const *)context)[index];
}

/* Refuses members that are not among names, with the nearest that is. */
static bool members_check(const struct omt_node *object, const char *const *names, size_t count,
                          char why[static OMT_JSON_WHY])
{
    for (const struct omt_node *n = object->first; n != NULL; n = n->next) {
        size_t i = 0;
        while (i < count && strcmp(names[i], n->name) != 0)
            i++;
        if (i < count)
            continue;
        const char *near = omt_nearest(n->name, count, listed_name, names);
        return omt_node_fail(n, why, "unknown field \"%.40s\"%s%s", n->name,
                             near != NULL ? "; did you mean " : "", near != NULL ? near : "");
    }
    return true;
}

static bool number_read(const struct omt_node *object, const char *name, double *out,
                        char why[static OMT_JSON_WHY])
{
    const struct omt_node *n = omt_node_member(object, name);
    if (n == NULL || omt_node_f64(n, out))
        return true;
    return omt_node_fail(n, why, "%s must be a number", name);
}

static bool count_read(const struct omt_node *object, const char *name, uint64_t *out,
                       char why[static OMT_JSON_WHY])
{
    const struct omt_node *n = omt_node_member(object, name);
    if (n == NULL || omt_node_u64(n, out))
        return true;
    return omt_node_fail(n, why, "%s must be a whole number, 0 or more", name);
}

static bool word_read(const struct omt_node *node, const char *name, const char *const *words,
                      int count, int *out, char why[static OMT_JSON_WHY])
{
    const char *text = omt_node_text(node);
    for (int i = 0; text != NULL && i < count; i++)
        if (strcmp(text, words[i]) == 0) {
            *out = i;
            return true;
        }
    return omt_node_fail(node, why, "%s must be \"%s\", \"%s\" or \"%s\"", name, words[0], words[1],
                         words[2]);
}

static bool dist_read(const struct omt_node *spec, struct omi_workload *w,
                      char why[static OMT_JSON_WHY])
{
    static const char *const fields[] = {"kind", "theta"};
    const struct omt_node *dist = omt_node_member(spec, "dist");
    int kind = (int)w->dist;
    if (dist == NULL)
        return true;
    const struct omt_node *name = dist;
    if (dist->kind == OMT_NODE_OBJECT) {
        name = omt_node_member(dist, "kind");
        if (!members_check(dist, fields, 2, why) || !number_read(dist, "theta", &w->theta, why))
            return false;
        if (name == NULL)
            return omt_node_fail(dist, why, "dist needs a kind");
    }
    if (!word_read(name, "dist", dist_names, DISTS, &kind, why))
        return false;
    w->dist = (enum omi_work_dist)kind;
    if (w->dist == OMI_WORK_UNIFORM)
        w->theta = 0;
    else if (omt_node_member(dist, "theta") == NULL)
        w->theta = 0.99;
    return true;
}

static bool scan_read(const struct omt_node *scan, struct omi_workload *w,
                      char why[static OMT_JSON_WHY])
{
    if (scan->kind != OMT_NODE_ARRAY || scan->count < 1 || scan->count > OMI_SCANS_MAX)
        return omt_node_fail(scan, why, "scan must be a list of 1 to %d lengths", OMI_SCANS_MAX);
    w->scan_count = 0;
    for (const struct omt_node *n = scan->first; n != NULL; n = n->next) {
        uint64_t length;
        if (!omt_node_u64(n, &length) || length < 1 || length > 1000000)
            return omt_node_fail(n, why, "a scan length must be 1 to 1000000");
        w->scan[w->scan_count++] = (uint32_t)length;
    }
    return true;
}

static bool mix_read(const struct omt_node *node, double mix[OMI_TUNE_OPS],
                     char why[static OMT_JSON_WHY])
{
    double sum = 0;
    int i = 0;
    if (node->kind != OMT_NODE_ARRAY || node->count != OMI_TUNE_OPS)
        return omt_node_fail(node, why,
                             "a mix must be 4 shares: lookups of absent keys, of present keys, "
                             "scans, writes");
    for (const struct omt_node *n = node->first; n != NULL; n = n->next) {
        if (!omt_node_f64(n, &mix[i]) || mix[i] < 0 || mix[i] > 1e9)
            return omt_node_fail(n, why, "a share must be a number from 0 to 1e9");
        sum += mix[i++];
    }
    return sum > 1e-9 || omt_node_fail(node, why, "a mix may not be all 0");
}

static bool phase_read(const struct omt_node *node, struct omi_phase *phase,
                       char why[static OMT_JSON_WHY])
{
    static const char *const fields[] = {"mix", "to", "ops", "scan"};
    if (node->kind != OMT_NODE_OBJECT)
        return omt_node_fail(node, why, "a phase must be an object");
    *phase = (struct omi_phase){.ops = 10000};
    if (!members_check(node, fields, 4, why) || !count_read(node, "ops", &phase->ops, why))
        return false;
    const struct omt_node *mix = omt_node_member(node, "mix"), *to = omt_node_member(node, "to");
    if (mix == NULL)
        return omt_node_fail(node, why, "a phase needs a mix");
    if (!mix_read(mix, phase->from, why))
        return false;
    memcpy(phase->to, phase->from, sizeof(phase->to));
    return to == NULL || mix_read(to, phase->to, why);
}

static bool phases_read(const struct omt_node *spec, struct omi_workload *w,
                        char why[static OMT_JSON_WHY])
{
    const struct omt_node *phases = omt_node_member(spec, "phases"), *first_scan = NULL;
    if (phases == NULL)
        return w->phase_count != 0 || omt_node_fail(spec, why, "a spec needs phases, or like");
    if (phases->kind != OMT_NODE_ARRAY || phases->count < 1 || phases->count > OMI_PHASES_MAX)
        return omt_node_fail(phases, why, "phases must be a list of 1 to %d", OMI_PHASES_MAX);
    w->phase_count = 0;
    for (const struct omt_node *n = phases->first; n != NULL; n = n->next) {
        struct omi_workload as_before = *w;
        if (!phase_read(n, &w->phase[w->phase_count++], why))
            return false;
        const struct omt_node *scan = omt_node_member(n, "scan");
        if (scan == NULL)
            continue;
        if (!scan_read(scan, w, why))
            return false;
        if (first_scan != NULL && (as_before.scan_count != w->scan_count ||
                                   memcmp(as_before.scan, w->scan, sizeof(w->scan)) != 0))
            return omt_node_fail(scan, why, "all phases must have the same scan lengths");
        first_scan = scan;
    }
    return true;
}

static bool whole_read(const struct omt_node *spec, struct omi_workload *w,
                       char why[static OMT_JSON_WHY])
{
    uint64_t entry = w->entry_bytes;
    int order = (int)w->order;
    if (!count_read(spec, "n", &w->entries, why) || !count_read(spec, "entry", &entry, why) ||
        !number_read(spec, "bits_per_key_total", &w->memory_bits, why) ||
        !count_read(spec, "seed", &w->seed, why) ||
        !number_read(spec, "inserts", &w->inserts, why) ||
        !number_read(spec, "deletes", &w->deletes, why))
        return false;
    if (entry > UINT32_MAX)
        return omt_node_fail(omt_node_member(spec, "entry"), why, "entry is too large");
    w->entry_bytes = (uint32_t)entry;
    const struct omt_node *node = omt_node_member(spec, "order");
    if (node != NULL && !word_read(node, "order", order_names, ORDERS, &order, why))
        return false;
    w->order = (enum omi_work_order)order;
    node = omt_node_member(spec, "scan");
    return node == NULL || scan_read(node, w, why);
}

bool omt_spec_read(const struct omt_node *spec, struct omi_workload *workload_out,
                   char why[static OMT_JSON_WHY])
{
    static const char *const fields[] = {"name",    "like", "n",      "entry", "bits_per_key_total",
                                         "seed",    "dist", "phases", "order", "inserts",
                                         "deletes", "scan"};
    struct omi_workload w;
    if (omi_workload_named("W1", &w) != OMEN_OK) /* what is not said is as there */
        return omt_node_fail(spec, why, "%s", omen_last_error());
    w.name[0] = '\0';
    w.phase_count = 0;
    if (spec->kind != OMT_NODE_OBJECT)
        return omt_node_fail(spec, why, "a spec must be an object");
    if (!members_check(spec, fields, sizeof(fields) / sizeof(fields[0]), why))
        return false;
    const struct omt_node *like = omt_node_member(spec, "like");
    if (like != NULL) {
        const char *text = omt_node_text(like);
        if (text == NULL || omi_workload_named(text, &w) != OMEN_OK)
            return omt_node_fail(like, why, "like must be one of %s", omi_workload_names());
    }
    const struct omt_node *name = omt_node_member(spec, "name");
    const char *text = omt_node_text(name);
    if (name != NULL && (text == NULL || name->size == 0 || name->size >= sizeof(w.name)))
        return omt_node_fail(name, why, "name must be a text of 1 to %zu bytes",
                             sizeof(w.name) - 1);
    if (text != NULL)
        snprintf(w.name, sizeof(w.name), "%s", text);
    if (!whole_read(spec, &w, why) || !dist_read(spec, &w, why) || !phases_read(spec, &w, why))
        return false;
    if (w.name[0] == '\0')
        snprintf(w.name, sizeof(w.name), "spec");
    if (omi_workload_settle(&w) != OMEN_OK)
        return omt_node_fail(spec, why, "%s", omen_last_error());
    *workload_out = w;
    return true;
}

/* ---- loading ----------------------------------------------------------------------------------- */

static bool tell(const char *why)
{
    fprintf(stderr, "omendb: tune: spec: %s; see omendb tune --help\n", why);
    return false;
}

static bool spec_of_doc(bool parsed, struct omt_json_doc *doc, const char *from,
                        struct omi_workload *workload_out)
{
    char why[OMT_JSON_WHY], told[OMT_JSON_WHY + 300];
    if (!parsed)
        return tell(doc->why);
    bool ok = omt_spec_read(doc->root, workload_out, why);
    omt_json_free(doc);
    if (ok)
        return true;
    snprintf(told, sizeof(told), "%.255s%s%s", from, from[0] != '\0' ? ": " : "", why);
    return tell(told);
}

bool omt_spec_load(const char *text, struct omi_workload *workload_out)
{
    struct omt_json_doc doc;
    if (text[0] == '{')
        return spec_of_doc(omt_json_parse(text, strlen(text), &doc), &doc, "", workload_out);
    const char *path = text[0] == '@' ? text + 1 : text;
    if (text[0] != '@' && omi_workload_named(text, workload_out) == OMEN_OK)
        return true;
    if (text[0] != '@' && access(path, F_OK) != 0) {
        char why[OMT_JSON_WHY];
        snprintf(why, sizeof(why), "%.150s, or a file", omen_last_error());
        return tell(why);
    }
    if (omt_trace_is(path))
        return omt_trace_spec(path, workload_out);
    return spec_of_doc(omt_json_load(path, &doc), &doc, path, workload_out);
}

/* ---- writing ----------------------------------------------------------------------------------- */

static void mix_write(struct omt_json *json, const char *name, const double mix[OMI_TUNE_OPS])
{
    omt_json_array(json, name);
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        omt_json_f64(json, NULL, mix[op], 15);
    omt_json_array_end(json);
}

void omt_spec_write(struct omt_json *json, const char *name, const struct omi_workload *w)
{
    omt_json_object(json, name);
    omt_json_text(json, "name", w->name);
    omt_json_u64(json, "n", w->entries);
    omt_json_u64(json, "entry", w->entry_bytes);
    omt_json_f64(json, "bits_per_key_total", w->memory_bits, 6);
    omt_json_u64(json, "seed", w->seed);
    omt_json_object(json, "dist");
    omt_json_text(json, "kind", dist_names[w->dist]);
    omt_json_f64(json, "theta", w->theta, 6);
    omt_json_object_end(json);
    omt_json_text(json, "order", order_names[w->order]);
    omt_json_f64(json, "inserts", w->inserts, 15);
    omt_json_f64(json, "deletes", w->deletes, 15);
    omt_json_array(json, "scan");
    for (uint32_t i = 0; i < w->scan_count; i++)
        omt_json_u64(json, NULL, w->scan[i]);
    omt_json_array_end(json);
    omt_json_array(json, "phases");
    for (uint32_t i = 0; i < w->phase_count; i++) {
        omt_json_object(json, NULL);
        mix_write(json, "mix", w->phase[i].from);
        if (memcmp(w->phase[i].from, w->phase[i].to, sizeof(w->phase[i].to)) != 0)
            mix_write(json, "to", w->phase[i].to);
        omt_json_u64(json, "ops", w->phase[i].ops);
        omt_json_object_end(json);
    }
    omt_json_array_end(json);
    omt_json_object_end(json);
}

/* ---- what it says of a workload ---------------------------------------------------------------- */

static void hash_add(uint64_t *hash, uint64_t v)
{
    *hash = omi_random_mix(*hash ^ (v + UINT64_C(0x9e3779b97f4a7c15)));
}

/* Nine decimals, so that writing and reading a spec leaves its hash. */
static void hash_share(uint64_t *hash, double v)
{
    hash_add(hash, (uint64_t)(v * 1e9 + 0.5));
}

uint64_t omt_spec_hash(const struct omi_workload *w)
{
    uint64_t hash = 1;
    hash_add(&hash, w->entries);
    hash_add(&hash, w->entry_bytes);
    hash_add(&hash, w->seed);
    hash_share(&hash, w->memory_bits);
    hash_add(&hash, (uint64_t)w->dist << 8 | (uint64_t)w->order);
    hash_share(&hash, w->theta);
    hash_share(&hash, w->inserts);
    hash_share(&hash, w->deletes);
    for (uint32_t i = 0; i < w->scan_count; i++)
        hash_add(&hash, w->scan[i]);
    for (uint32_t i = 0; i < w->phase_count; i++) {
        for (int op = 0; op < OMI_TUNE_OPS; op++) {
            hash_share(&hash, w->phase[i].from[op]);
            hash_share(&hash, w->phase[i].to[op]);
        }
        hash_add(&hash, w->phase[i].ops);
    }
    return hash;
}

void omt_spec_scale(struct omi_workload *w, unsigned scale)
{
    static const uint64_t entries[] = {100000, 1000000, 11000000}, ops[] = {10000, 50000, 500000};
    if (scale > 2)
        scale = 2;
    w->entries = entries[scale];
    for (uint32_t i = 0; i < w->phase_count; i++)
        w->phase[i].ops = ops[scale];
}

/* Quantiles of the buckets, each by its middle. */
void omt_spec_scans(const uint64_t counted[OMEN_SCAN_LENGTHS], struct omi_workload *w)
{
    uint64_t all = 0, seen = 0;
    uint32_t n = 0;
    for (int i = 0; i < OMEN_SCAN_LENGTHS; i++)
        all += counted[i];
    uint32_t want = all < OMI_SCANS_MAX ? (uint32_t)all : OMI_SCANS_MAX;
    for (uint32_t i = 0; i < OMEN_SCAN_LENGTHS && n < want; i++) {
        seen += counted[i];
        while (n < want && (double)(n + 1) * (double)all <= (double)seen * want)
            w->scan[n++] = i < 2 ? 1 : (UINT32_C(3) << i) / 4;
    }
    w->scan_count = n > 0 ? n : w->scan_count;
}

struct omi_space_limits omt_spec_limits(const struct omi_workload *w)
{
    return (struct omi_space_limits){
        .memory_bytes = (uint64_t)((double)w->entries * w->memory_bits / 8), .entries = w->entries};
}

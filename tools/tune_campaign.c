/*
 * tune_campaign.c - a directory of labels: made, opened, added to, ended.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tools/text.h"
#include "tools/tune.h"
#include "tools/tune_lines.h"

enum { CAMPAIGN_FORMAT = 1 };
static const char what[] = "omendb tune campaign";

static bool tell(const char *dir, const char *why)
{
    fprintf(stderr, "omendb: tune: %s: %s\n", dir, why);
    return false;
}

/* ---- campaign.json ----------------------------------------------------------------------------- */

static void config_write(void *context, FILE *out)
{
    const struct omt_campaign_config *c = context;
    struct omt_json j = {.out = out};
    omt_json_object(&j, NULL);
    omt_json_text(&j, "what", what);
    omt_json_u64(&j, "format", CAMPAIGN_FORMAT);
    omt_json_text(&j, "verb", c->verb);
    omt_json_u64(&j, "scale", c->scale);
    omt_json_u64(&j, "seed", c->seed);
    omt_json_text(&j, "space", c->restrict_text);
    omt_prices_write(&j, "prices", &c->prices);
    omt_json_array(&j, "workloads");
    for (uint32_t i = 0; i < c->workload_count; i++)
        omt_spec_write(&j, NULL, &c->workload[i]);
    omt_json_array_end(&j);
    omt_json_object_end(&j);
    omt_json_end(&j);
}

static bool text_copy(const struct omt_node *object, const char *name, char *out, size_t room,
                      char why[static OMT_JSON_WHY])
{
    const struct omt_node *n = omt_node_member(object, name);
    const char *text = omt_node_text(n);
    if (text == NULL || n->size >= room)
        return omt_node_fail(n != NULL ? n : object, why, "%s is missing, or no short text", name);
    memcpy(out, text, n->size + 1);
    return true;
}

static bool workloads_read(const struct omt_node *list, struct omt_campaign_config *c,
                           char why[static OMT_JSON_WHY])
{
    if (list->kind != OMT_NODE_ARRAY || list->count < 1 || list->count > OMT_WORKLOADS_MAX)
        return omt_node_fail(list, why, "workloads must be a list of 1 to %d", OMT_WORKLOADS_MAX);
    for (const struct omt_node *n = list->first; n != NULL; n = n->next)
        if (!omt_spec_read(n, &c->workload[c->workload_count++], why))
            return false;
    return true;
}

static bool config_read(const struct omt_node *root, struct omt_campaign_config *c,
                        char why[static OMT_JSON_WHY])
{
    uint64_t format, scale;
    const char *text = omt_node_text(omt_node_member(root, "what"));
    const struct omt_node *prices = omt_node_member(root, "prices");
    const struct omt_node *workloads = omt_node_member(root, "workloads");
    memset(c, 0, sizeof(*c));
    if (text == NULL || strcmp(text, what) != 0)
        return omt_node_fail(root, why, "this is no campaign of omendb tune");
    if (!omt_node_u64(omt_node_member(root, "format"), &format) || format != CAMPAIGN_FORMAT)
        return omt_node_fail(root, why, "a campaign of another format; this build knows %d",
                             CAMPAIGN_FORMAT);
    if (!omt_node_u64(omt_node_member(root, "scale"), &scale) || scale > 9 ||
        !omt_node_u64(omt_node_member(root, "seed"), &c->seed) || prices == NULL ||
        workloads == NULL)
        return omt_node_fail(root, why, "scale, seed, prices or workloads are missing or wrong");
    c->scale = (unsigned)scale;
    return text_copy(root, "verb", c->verb, sizeof(c->verb), why) &&
           text_copy(root, "space", c->restrict_text, sizeof(c->restrict_text), why) &&
           omt_prices_read(prices, &c->prices, why) && workloads_read(workloads, c, why);
}

static bool config_load(const char *dir, struct omt_campaign_config *c)
{
    char path[OMT_TUNE_PATH], why[OMT_JSON_WHY];
    struct omt_json_doc doc;
    if (!omt_lines_path(path, dir, "campaign.json"))
        return false;
    if (!omt_json_load(path, &doc))
        return tell(dir, doc.why);
    bool ok = config_read(doc.root, c, why);
    omt_json_free(&doc);
    return ok || tell(path, why);
}

/* Prices went through text. */
static bool near(double a, double b)
{
    return a - b < 1e-8 && b - a < 1e-8;
}

static bool prices_same(const struct omi_cost_prices *a, const struct omi_cost_prices *b)
{
    return near(a->read, b->read) && near(a->seek, b->seek) && near(a->scan_page, b->scan_page) &&
           near(a->merge_read, b->merge_read) && near(a->merge_write, b->merge_write) &&
           near(a->probe, b->probe);
}

/* Labels of one campaign must mean the same. */
static bool config_same(const char *dir, const struct omt_campaign_config *there,
                        const struct omt_campaign_config *asked)
{
    if (!prices_same(&there->prices, &asked->prices))
        return tell(dir, "was made with other prices; name another directory");
    for (uint32_t i = 0; i < asked->workload_count; i++) {
        uint32_t k = 0;
        while (k < there->workload_count &&
               (omt_spec_hash(&there->workload[k]) != omt_spec_hash(&asked->workload[i]) ||
                strcmp(there->workload[k].name, asked->workload[i].name) != 0))
            k++;
        if (k == there->workload_count) {
            fprintf(stderr,
                    "omendb: tune: %s: was made with other workloads (%s is not there, or at "
                    "another scale or seed); name another directory\n",
                    dir, asked->workload[i].name);
            return false;
        }
    }
    return true;
}

/* ---- labels ------------------------------------------------------------------------------------ */

static void label_keep(struct omt_campaign *c, const struct omt_label *label)
{
    if (c->label_count == c->label_room) {
        c->label_room = c->label_room == 0 ? 64 : c->label_room * 2;
        c->labels = omt_realloc(c->labels, c->label_room * sizeof(*c->labels));
    }
    c->labels[c->label_count++] = *label;
}

static bool label_line(void *context, const struct omt_node *node, char why[static OMT_JSON_WHY])
{
    struct omt_label label;
    if (!omt_label_read(node, &label, why))
        return false;
    label_keep(context, &label);
    return true;
}

static void campaign_forget(struct omt_campaign *c)
{
    free(c->labels);
    if (c->log != NULL)
        fclose(c->log);
    c->labels = NULL;
    c->log = NULL;
    c->label_count = c->label_room = 0;
}

bool omt_campaign_open(struct omt_campaign *c, const char *dir)
{
    char path[OMT_TUNE_PATH];
    memset(c, 0, sizeof(*c));
    c->read_only = true;
    if (!omt_lines_path(path, dir, "labels.jsonl") || !config_load(dir, &c->config))
        return false;
    snprintf(c->dir, sizeof(c->dir), "%s", dir);
    if (omt_lines_read(path, label_line, c, NULL))
        return true;
    campaign_forget(c);
    return false;
}

/* Takes the campaign for this process, and drops a torn last line. */
static bool log_open(struct omt_campaign *c)
{
    char path[OMT_TUNE_PATH];
    uint64_t whole;
    if (!omt_lines_path(path, c->dir, "labels.jsonl"))
        return false;
    c->log = fopen(path, "ab");
    if (c->log == NULL)
        return tell(path, strerror(errno));
    if (flock(fileno(c->log), LOCK_EX | LOCK_NB) != 0)
        return tell(c->dir, "another process works on this campaign; wait for it, or end it");
    if (!omt_lines_read(path, label_line, c, &whole))
        return false;
    if (ftruncate(fileno(c->log), (off_t)whole) != 0)
        return tell(path, strerror(errno));
    return true;
}

static bool config_make(const char *dir, const struct omt_campaign_config *config)
{
    char path[OMT_TUNE_PATH];
    struct omt_campaign_config copy = *config;
    return omt_lines_path(path, dir, "campaign.json") &&
           omt_lines_replace(path, config_write, &copy);
}

bool omt_campaign_create(struct omt_campaign *c, const char *dir,
                         const struct omt_campaign_config *config, bool resume)
{
    char path[OMT_TUNE_PATH];
    memset(c, 0, sizeof(*c));
    if (!omt_lines_path(path, dir, "campaign.json"))
        return false;
    snprintf(c->dir, sizeof(c->dir), "%s", dir);
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return tell(dir, strerror(errno));
    if (access(path, F_OK) != 0) {
        if (!config_make(dir, config))
            return false;
    } else if (!resume) {
        return tell(dir, "holds a campaign; --resume goes on with it, or name another directory");
    }
    if (!config_load(dir, &c->config) || !config_same(dir, &c->config, config))
        return false;
    if (log_open(c))
        return true;
    campaign_forget(c);
    return false;
}

/* What is kept is what the line says, digits and all: a campaign that is taken up again, or measured
 * by more processes, goes on from the same numbers. */
bool omt_campaign_add(struct omt_campaign *c, const struct omt_label *label)
{
    char *line = NULL, why[OMT_JSON_WHY];
    size_t size = 0;
    struct omt_json_doc doc;
    struct omt_label kept;
    FILE *memory = open_memstream(&line, &size);
    if (memory == NULL)
        return tell(c->dir, strerror(errno));
    omt_label_write(memory, label, true);
    fclose(memory);
    bool ok = fwrite(line, 1, size, c->log) == size && fflush(c->log) == 0;
    if (!ok) {
        free(line);
        return tell(c->dir, strerror(errno));
    }
    ok = omt_json_parse(line, size, &doc);
    free(line);
    if (!ok)
        return tell(c->dir, doc.why);
    ok = omt_label_read(doc.root, &kept, why);
    omt_json_free(&doc);
    if (!ok)
        return tell(c->dir, why);
    label_keep(c, &kept);
    return true;
}

const struct omt_label *omt_campaign_find(const struct omt_campaign *c, uint32_t workload,
                                          const struct omi_point *point, uint32_t repeat)
{
    const char *name = c->config.workload[workload].name;
    for (uint32_t i = 0; i < c->label_count; i++)
        if (c->labels[i].repeat == repeat && omi_point_same(&c->labels[i].point, point) &&
            strcmp(c->labels[i].workload, name) == 0)
            return &c->labels[i];
    return NULL;
}

const struct omt_label *omt_campaign_best(const struct omt_campaign *c, uint32_t workload)
{
    const char *name = c->config.workload[workload].name;
    const struct omt_label *best = NULL;
    for (uint32_t i = 0; i < c->label_count; i++)
        if (strcmp(c->labels[i].workload, name) == 0 &&
            (best == NULL || c->labels[i].j_io < best->j_io))
            best = &c->labels[i];
    return best;
}

static void csv_write(void *context, FILE *out)
{
    const struct omt_campaign *c = context;
    omt_label_csv_head(out);
    for (uint32_t i = 0; i < c->label_count; i++)
        omt_label_csv(out, &c->labels[i]);
}

bool omt_campaign_end(struct omt_campaign *c)
{
    char path[OMT_TUNE_PATH];
    bool ok = c->read_only ||
              (omt_lines_path(path, c->dir, "labels.csv") && omt_lines_replace(path, csv_write, c));
    campaign_forget(c);
    return ok;
}

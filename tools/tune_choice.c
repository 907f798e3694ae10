/*
 * tune_choice.c - what was chosen, as lines of choices.jsonl.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text.h"
#include "tools/tune.h"
#include "tools/tune_lines.h"

void omt_choice_write(FILE *out, const struct omt_choice *c)
{
    struct omt_json j = {.out = out, .lines = true};
    omt_json_object(&j, NULL);
    omt_json_text(&j, "method", c->method);
    omt_json_text(&j, "workload", c->workload);
    omt_json_u64(&j, "seed", c->seed);
    omt_json_u64(&j, "budget", c->budget);
    omt_json_u64(&j, "measured", c->measured);
    omt_json_u64(&j, "T", c->point.size_ratio);
    omt_json_u64(&j, "K", c->point.runs_upper);
    omt_json_u64(&j, "Z", c->point.runs_last);
    omt_json_u64(&j, "h", c->point.filter_bits);
    omt_json_u64(&j, "cache", c->point.cache_pct);
    omt_json_f64(&j, "j", c->j, 9);
    omt_json_f64(&j, "j_default", c->j_default, 9);
    omt_json_f64(&j, "j_best", c->j_best, 9);
    omt_json_f64(&j, "regret", c->regret, 9);
    omt_json_f64(&j, "predicted", c->predicted, 9);
    omt_json_f64(&j, "predicted_sd", c->predicted_sd, 9);
    omt_json_bool(&j, "kept_default", c->kept_default);
    omt_json_object_end(&j);
    omt_json_end(&j);
}

static bool text_read(const struct omt_node *line, const char *name, char *out, size_t room,
                      char why[static OMT_JSON_WHY])
{
    const struct omt_node *n = omt_node_member(line, name);
    const char *text = omt_node_text(n);
    if (text == NULL || n->size >= room)
        return omt_node_fail(n != NULL ? n : line, why, "%s is missing, or no short text", name);
    memcpy(out, text, n->size + 1);
    return true;
}

static bool point_read(const struct omt_node *line, struct omi_point *p,
                       char why[static OMT_JSON_WHY])
{
    static const char *const names[] = {"T", "K", "Z", "h", "cache"};
    uint16_t *const at[] = {&p->size_ratio, &p->runs_upper, &p->runs_last, &p->filter_bits,
                            &p->cache_pct};
    for (int i = 0; i < 5; i++) {
        uint64_t v;
        if (!omt_node_u64(omt_node_member(line, names[i]), &v) || v > UINT16_MAX)
            return omt_node_fail(line, why, "%s is missing, or out of range", names[i]);
        *at[i] = (uint16_t)v;
    }
    return true;
}

static bool numbers_read(const struct omt_node *line, struct omt_choice *c,
                         char why[static OMT_JSON_WHY])
{
    const struct {
        const char *name;
        double *at;
    } numbers[] = {
        {"j", &c->j},           {"j_default", &c->j_default}, {"j_best", &c->j_best},
        {"regret", &c->regret}, {"predicted", &c->predicted}, {"predicted_sd", &c->predicted_sd}};
    uint64_t budget, measured;
    for (int i = 0; i < 6; i++)
        if (!omt_node_f64(omt_node_member(line, numbers[i].name), numbers[i].at))
            return omt_node_fail(line, why, "%s is missing, or no number", numbers[i].name);
    if (!omt_node_u64(omt_node_member(line, "seed"), &c->seed) ||
        !omt_node_u64(omt_node_member(line, "budget"), &budget) || budget > UINT32_MAX ||
        !omt_node_u64(omt_node_member(line, "measured"), &measured) || measured > UINT32_MAX ||
        !omt_node_bool(omt_node_member(line, "kept_default"), &c->kept_default))
        return omt_node_fail(line, why, "seed, budget, measured or kept_default is wrong");
    c->budget = (uint32_t)budget;
    c->measured = (uint32_t)measured;
    return true;
}

bool omt_choice_read(const struct omt_node *line, struct omt_choice *choice_out,
                     char why[static OMT_JSON_WHY])
{
    struct omt_choice c = {0};
    if (!text_read(line, "method", c.method, sizeof(c.method), why) ||
        !text_read(line, "workload", c.workload, sizeof(c.workload), why) ||
        !point_read(line, &c.point, why) || !numbers_read(line, &c, why))
        return false;
    *choice_out = c;
    return true;
}

/* ---- a directory's ----------------------------------------------------------------------------- */

struct list {
    struct omt_choice *at;
    uint32_t count;
};

static void list_add(struct list *list, const struct omt_choice *choice)
{
    list->at = omt_realloc(list->at, (list->count + 1) * sizeof(*list->at));
    list->at[list->count++] = *choice;
}

static bool choice_line(void *context, const struct omt_node *node, char why[static OMT_JSON_WHY])
{
    struct omt_choice choice;
    if (!omt_choice_read(node, &choice, why))
        return false;
    list_add(context, &choice);
    return true;
}

bool omt_choices_load(const char *dir, struct omt_choice **choices_out, uint32_t *count_out)
{
    char path[OMT_TUNE_PATH];
    struct list list = {NULL, 0};
    *choices_out = NULL;
    *count_out = 0;
    if (!omt_lines_path(path, dir, "choices.jsonl") ||
        !omt_lines_read(path, choice_line, &list, NULL)) {
        free(list.at);
        return false;
    }
    *choices_out = list.at;
    *count_out = list.count;
    return true;
}

static void list_write(void *context, FILE *out)
{
    const struct list *list = context;
    for (uint32_t i = 0; i < list->count; i++)
        omt_choice_write(out, &list->at[i]);
}

static bool choice_same(const struct omt_choice *a, const struct omt_choice *b)
{
    return a->seed == b->seed && a->budget == b->budget && strcmp(a->method, b->method) == 0 &&
           strcmp(a->workload, b->workload) == 0;
}

bool omt_choices_save(const char *dir, const struct omt_choice *choices, uint32_t count)
{
    char path[OMT_TUNE_PATH];
    struct list list;
    if (!omt_lines_path(path, dir, "choices.jsonl") ||
        !omt_choices_load(dir, &list.at, &list.count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t k = 0;
        while (k < list.count && !choice_same(&list.at[k], &choices[i]))
            k++;
        if (k == list.count)
            list_add(&list, &choices[i]);
        else
            list.at[k] = choices[i];
    }
    bool ok = omt_lines_replace(path, list_write, &list);
    free(list.at);
    return ok;
}

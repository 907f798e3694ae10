/*
 * fuzz_json.c - JSON as users write it: specs, labels, choices, prices. The input: a byte, which of
 * them; then text. What is read must be written so that it reads the same.
 */
#include "tests/fuzz/fuzz.h"
#include "tools/tune.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SPEC, LABEL, CHOICE, PRICES, ALONE, KINDS };

/* Every node lies within the text, and says where. */
static size_t walk(const struct omt_node *n, unsigned depth)
{
    size_t nodes = 1, count = 0;
    FUZZ_CHECK(depth <= OMT_JSON_DEPTH_MAX && n->line >= 1 && n->column >= 1);
    if (n->kind == OMT_NODE_TEXT || n->kind == OMT_NODE_NUMBER)
        FUZZ_CHECK(n->text[n->size] == '\0');
    for (const struct omt_node *at = n->first; at != NULL; at = at->next, count++) {
        FUZZ_CHECK((at->name != NULL) == (n->kind == OMT_NODE_OBJECT));
        if (at->name != NULL)
            FUZZ_CHECK(omt_node_member(n, at->name) == at);
        nodes += walk(at, depth + 1);
    }
    FUZZ_CHECK(count == n->count);
    return nodes;
}

struct written {
    char *text;
    size_t size;
    FILE *out;
};

static void written_begin(struct written *w)
{
    w->out = open_memstream(&w->text, &w->size);
    FUZZ_CHECK(w->out != NULL);
}

static struct omt_json_doc written_end(struct written *w)
{
    struct omt_json_doc doc;
    fclose(w->out);
    FUZZ_CHECK(omt_json_parse(w->text, w->size, &doc));
    free(w->text);
    return doc;
}

static void spec(const struct omt_node *root)
{
    struct omi_workload w, again;
    char why[OMT_JSON_WHY];
    struct written text;
    if (!omt_spec_read(root, &w, why))
        return;
    written_begin(&text);
    struct omt_json j = {.out = text.out};
    omt_spec_write(&j, NULL, &w);
    struct omt_json_doc doc = written_end(&text);
    FUZZ_CHECK(omt_spec_read(doc.root, &again, why));
    FUZZ_CHECK(again.entries == w.entries && again.entry_bytes == w.entry_bytes &&
               again.phase_count == w.phase_count && again.scan_count == w.scan_count &&
               again.seed == w.seed && strcmp(again.name, w.name) == 0);
    omt_json_free(&doc);
    struct omi_space_limits limits = omt_spec_limits(&w);
    omt_default_point(&limits);
}

static void label(const struct omt_node *root)
{
    static struct omt_label first, again;
    char why[OMT_JSON_WHY];
    struct written text;
    if (!omt_label_read(root, &first, why))
        return;
    written_begin(&text);
    omt_label_write(text.out, &first, true);
    struct omt_json_doc doc = written_end(&text);
    if (first.j_io < 1e300) /* beyond, JSON has null, which is no label */
        if (omt_label_read(doc.root, &again, why))
            FUZZ_CHECK(again.operations == first.operations && again.levels == first.levels &&
                       omi_point_same(&again.point, &first.point));
    omt_json_free(&doc);
    omt_label_cost(&first, &omi_cost_prices_default);
}

static void choice(const struct omt_node *root)
{
    struct omt_choice c;
    char why[OMT_JSON_WHY];
    struct written text;
    if (!omt_choice_read(root, &c, why))
        return;
    written_begin(&text);
    omt_choice_write(text.out, &c);
    struct omt_json_doc doc = written_end(&text);
    omt_json_free(&doc);
}

static void prices(const struct omt_node *root)
{
    struct omi_cost_prices p;
    char why[OMT_JSON_WHY];
    if (omt_prices_read(root, &p, why))
        FUZZ_CHECK(p.read >= 0 && p.probe >= 0 && p.merge_write <= 1e6);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const kinds[KINDS])(const struct omt_node *) = {spec, label, choice, prices,
                                                                  NULL};
    struct omt_json_doc doc;
    if (size == 0)
        return 0;
    char *text = malloc(size); /* its end is the end: no NUL behind it */
    FUZZ_CHECK(text != NULL);
    memcpy(text, data + 1, size - 1);
    if (omt_json_parse(text, size - 1, &doc)) {
        walk(doc.root, 0);
        if (kinds[data[0] % KINDS] != NULL)
            kinds[data[0] % KINDS](doc.root);
        omt_json_free(&doc);
    } else {
        FUZZ_CHECK(strncmp(doc.why, "line ", 5) == 0);
    }
    free(text);
    return 0;
}

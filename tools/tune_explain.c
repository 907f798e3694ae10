/*
 * tune_explain.c - explain: why a shape is the one to have, in words and numbers.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/tune_explain.h"

struct request {
    const char *spec, *point, *model, *prices, *space;
    uint64_t top, scale;
    double rho;
    bool json, scale_given;
};

/* ---- inputs ---------------------------------------------------------------------------------- */

/* Returns an exit code, told. */
static int model_load(const char *path, struct omi_tune_model *model_out)
{
    static const char next[] = "omendb tune learn makes one";
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        fprintf(stderr, "omendb: tune explain: model %s: %s; %s\n", path, strerror(errno), next);
        return OMT_EXIT_ERROR;
    }
    uint8_t *bytes = omt_realloc(NULL, OMI_TUNE_MODEL_BYTES_MAX + 1);
    size_t size = fread(bytes, 1, OMI_TUNE_MODEL_BYTES_MAX + 1, file);
    bool bad = ferror(file) != 0;
    fclose(file);
    omen_err err = bad ? OMEN_IO : omi_tune_model_decode(bytes, size, model_out);
    free(bytes);
    if (err == OMEN_OK)
        return OMT_EXIT_OK;
    fprintf(stderr, "omendb: tune explain: model %s: %s; %s\n", path,
            bad ? "it cannot be read" : omen_last_error(), next);
    return omt_exit_of(err);
}

static bool spec_load(const struct request *r, const struct omi_cost_prices *prices,
                      struct omt_explain *e)
{
    struct omi_workload w;
    if (!omt_spec_load(r->spec, &w))
        return false;
    if (r->scale_given)
        omt_spec_scale(&w, (unsigned)r->scale);
    omi_tune_workload_of(&w, prices, &e->workload);
    snprintf(e->subject, sizeof(e->subject), "workload %s", w.name[0] != 0 ? w.name : r->spec);
    e->now.point = omt_default_point(&e->workload.limits);
    return r->point == NULL || omt_point_parse(r->point, &e->workload.limits, &e->now.point);
}

/* ---- the verb -------------------------------------------------------------------------------- */

static int explain(const struct request *r, const char *db, struct omt_explain *e)
{
    struct omi_cost_prices prices;
    if (!omt_prices_load(r->prices, &prices))
        return OMT_EXIT_ERROR;
    int loaded = r->model != NULL ? model_load(r->model, &e->model) : OMT_EXIT_OK;
    if (loaded != OMT_EXIT_OK)
        return loaded;
    e->has_model = r->model != NULL;
    e->rho = r->rho;
    if (db != NULL) {
        int result = omt_explain_db(db, &prices, e);
        if (result != OMT_EXIT_OK)
            return result;
    } else if (!spec_load(r, &prices, e)) {
        return OMT_EXIT_USAGE;
    }
    omen_err err = omt_explain_make(e, r->space, (uint32_t)r->top);
    if (err != OMEN_OK)
        return omt_tell("tune explain", err);
    if (r->json)
        omt_explain_json(e);
    else
        omt_explain_print(e);
    return OMT_EXIT_OK;
}

static int explain_check(const struct request *r, int words)
{
    if (words > 1 || (words == 1 && r->spec != NULL))
        return omt_usage("tune explain", "takes one database, or a --spec");
    if (words == 0 && r->spec == NULL)
        return omt_usage("tune explain", "of what? Name a database, or a workload: --spec=W5");
    if (words == 1 && r->point != NULL)
        return omt_usage("tune explain", "a database has its own shape; --point goes with --spec");
    if (r->top < 1 || r->top > OMT_EXPLAIN_TOP_MAX)
        return omt_usage("tune explain", "--top must be 1 to 20");
    if (r->scale > 2)
        return omt_usage("tune explain", "--scale must be 0, 1 or 2");
    if (!(r->rho >= 0 && r->rho <= 10))
        return omt_usage("tune explain", "--rho must be 0 to 10");
    return OMT_EXIT_OK;
}

int omt_tune_explain(int argc, char **argv)
{
    struct request r = {.top = 5, .rho = 0.5};
    bool seen[16] = {false};
    struct omt_flag flags[] = {
        {"scale", OMT_U64, &r.scale, NULL, "0, 1, 2: 100,000, 1 or 11 million entries", NULL},
        {"spec", OMT_TEXT, &r.spec, "SPEC", "a workload: a name, a JSON file, or JSON", NULL},
        {"point", OMT_TEXT, &r.point, "T=..,K=..", "the shape now (what ships), or options", NULL},
        {"model", OMT_TEXT, &r.model, "FILE", "a model that tune learn made", NULL},
        {"prices", OMT_TEXT, &r.prices, "FILE", "of tune calibrate (every page 1)", NULL},
        {"space", OMT_TEXT, &r.space, "T=..;K=..", "which shapes to consider", NULL},
        {"top", OMT_U64, &r.top, NULL, "how many shapes to show (5)", NULL},
        {"rho", OMT_F64, &r.rho, NULL, "drift to be robust against, KL in nats (0.5)", NULL},
        {"json", OMT_BOOL, &r.json, NULL, "as JSON", NULL},
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "tune explain",
        .usage = "omendb tune explain [flags] DB\n"
                 "       omendb tune explain [flags] --spec=SPEC",
        .text = "Says what each kind of operation costs now, what it would cost with the best\n"
                "other shapes, and why the winner wins: which term falls by how much and which\n"
                "rises. Costs are in random page reads.",
        .examples = "  omendb tune explain mydb\n"
                    "  omendb tune explain --spec=W5\n"
                    "  omendb tune explain --spec=W9 --point=leveling,T=10\n"
                    "  omendb tune explain --spec=mine.json --model=camp/model.omtm --json\n",
        .seen = seen};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    int result = OMT_EXIT_USAGE;
    r.scale_given = seen[0];
    if (parsed == OMT_PARSE_HELP) {
        result = OMT_EXIT_OK;
    } else if (parsed == OMT_PARSE_OK) {
        result = explain_check(&r, args.word_count);
        struct omt_explain *e = omt_realloc(NULL, sizeof(*e));
        memset(e, 0, sizeof(*e));
        if (result == OMT_EXIT_OK)
            result = explain(&r, args.word_count == 1 ? args.words[0] : NULL, e);
        free(e);
    }
    omt_args_free(&args);
    return omt_stdout_end(result);
}

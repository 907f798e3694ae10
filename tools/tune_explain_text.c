/* tune_explain_text.c - explain in words, and as JSON. */
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cmd.h"
#include "tools/tune_explain.h"

enum { WRAP_COLUMNS = 78 };

static const char *const op_plural[OMI_TUNE_OPS] = {"lookups of absent keys",
                                                    "lookups of present keys", "scans", "writes"};
static const char *const op_one[OMI_TUNE_OPS] = {"a lookup of an absent key",
                                                 "a lookup of a present key", "a scan", "a write"};
static const char *const op_json[OMI_TUNE_OPS] = {"get_miss", "get_hit", "scan", "write"};

/* ---- words ----------------------------------------------------------------------------------- */

/* A paragraph, broken between words. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    char text[1600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    size_t column = 0;
    for (char *save = NULL, *word = strtok_r(text, " ", &save); word != NULL;
         word = strtok_r(NULL, " ", &save)) {
        size_t n = strlen(word);
        if (column != 0 && column + 1 + n > WRAP_COLUMNS) {
            putchar('\n');
            column = 0;
        }
        column += (size_t)printf("%s%s", column != 0 ? " " : "", word);
    }
    putchar('\n');
}

const char *omt_shape_text(char out[static OMT_SHAPE_TEXT], const struct omi_point *p)
{
    char bits[16] = "no filters", cache[16] = "no cache";
    if (p->filter_bits != 0)
        snprintf(bits, sizeof(bits), "%u bits", p->filter_bits);
    if (p->cache_pct != 0)
        snprintf(cache, sizeof(cache), "cache %u %%", p->cache_pct);
    snprintf(out, OMT_SHAPE_TEXT, "T %u, K %u/%u, %s, %s", p->size_ratio, p->runs_upper,
             p->runs_last, bits, cache);
    return out;
}

/* 1234567 as "1,234,567" */
static const char *grouped(char out[static 32], double value)
{
    char digits[32];
    int n = snprintf(digits, sizeof(digits), "%.0f", value), at = 0;
    for (int i = 0; i < n && at < 30; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = 0;
    return out;
}

static double percent_of(double to, double from)
{
    return from > 0 ? 100 * (to / from - 1) : 0;
}

/* ---- workload and table ---------------------------------------------------------------------- */

static void workload_say(const struct omt_explain *e)
{
    const struct omi_tune_workload *w = &e->workload;
    char entries[32], bytes[32], memory[OMT_HUMAN_LEN], skew[80] = "all keys are asked for alike";
    if (w->skew > 0)
        snprintf(skew, sizeof(skew), "keys are asked for by Zipf's law with exponent %.2f",
                 w->skew);
    printf("%s%s%s\n", omt_bold(), e->subject, omt_plain());
    say("%.3g %% lookups of absent keys, %.3g %% of present keys, %.3g %% scans of %.3g entries, "
        "%.3g %% writes; %s.",
        100 * w->mix[0], 100 * w->mix[1], 100 * w->mix[2], w->data.scan_entries, 100 * w->mix[3],
        skew);
    say("%s entries of %s bytes; %s for memtable, filters and cache (%.3g bits a key).",
        grouped(entries, w->data.entries), grouped(bytes, w->data.entry_bytes),
        omt_human_bytes(memory, w->limits.memory_bytes),
        8 * (double)w->limits.memory_bytes / w->data.entries);
}

static void shape_row(const char *name, const struct omt_explain_shape *s)
{
    char text[OMT_SHAPE_TEXT], spread[16] = "";
    if (s->log_sd > 0)
        snprintf(spread, sizeof(spread), " +-%.1f%%", 100 * expm1(s->log_sd));
    printf("%-5s %-34s", name, omt_shape_text(text, &s->point));
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        printf(" %7.3f", s->cost.cost[op]);
    printf("  %7.3f%s\n", s->j, spread);
}

static void table_print(const struct omt_explain *e)
{
    printf("\npage reads by  %25s %7s %7s %7s %7s  %7s\n", "", "absent", "present", "scan", "write",
           "mean");
    if (e->is_live)
        shape_row("lies", &e->live);
    shape_row("now", &e->now);
    for (uint32_t i = 0; i < e->best_count; i++) {
        char name[12];
        snprintf(name, sizeof(name), "%" PRIu32 ".", i + 1);
        shape_row(name, &e->best[i]);
    }
    printf("K a/b: runs of the upper levels and of the last; each shape with its best bits and "
           "cache\n\n");
}

/* ---- why ------------------------------------------------------------------------------------- */

static double term_change(const struct omt_explain *e, int op)
{
    return e->workload.mix[op] * (e->best[0].cost.cost[op] - e->now.cost.cost[op]);
}

static void write_cause(const struct omt_explain *e, char *out, size_t size)
{
    const struct omt_explain_shape *to = &e->best[0], *from = &e->now;
    snprintf(out, size,
             "an entry is written %.2f times on its way down through %" PRIu32
             " levels instead of %.2f through %" PRIu32,
             to->cost.write_amp, to->tree.count, from->cost.write_amp, from->tree.count);
}

static void scan_cause(const struct omt_explain *e, char *out, size_t size)
{
    const struct omi_cost *to = &e->best[0].cost, *from = &e->now.cost;
    snprintf(out, size, "a scan opens %.1f runs instead of %.1f", to->runs, from->runs);
}

static void get_cause(const struct omt_explain *e, char *out, size_t size)
{
    const struct omi_cost *to = &e->best[0].cost, *from = &e->now.cost;
    if (e->best[0].point.cache_pct != e->now.point.cache_pct)
        snprintf(out, size,
                 "the cache takes %u %% of the memory instead of %u %%, and the filters let %.3f "
                 "runs through in vain instead of %.3f",
                 e->best[0].point.cache_pct, e->now.point.cache_pct, to->fpr_sum, from->fpr_sum);
    else
        snprintf(out, size, "the filters let %.3f runs through in vain instead of %.3f",
                 to->fpr_sum, from->fpr_sum);
}

static void term_say(const struct omt_explain *e, int op)
{
    double from = e->now.cost.cost[op], to = e->best[0].cost.cost[op];
    char cause[256];
    if (op == OMI_TUNE_WRITE)
        write_cause(e, cause, sizeof(cause));
    else if (op == OMI_TUNE_SCAN)
        scan_cause(e, cause, sizeof(cause));
    else
        get_cause(e, cause, sizeof(cause));
    say("%c %s (%.3g %% of all): %.3f to %.3f page reads each (%+.0f %%); %s. That is %+.3f on the "
        "mean.",
        term_change(e, op) < 0 ? '-' : '+', op_plural[op], 100 * e->workload.mix[op], from, to,
        percent_of(to, from), cause, term_change(e, op));
}

/* Terms by what they change, the largest gain first; what is lost comes last. */
static void why_say(const struct omt_explain *e)
{
    char best[OMT_SHAPE_TEXT];
    bool said[OMI_TUNE_OPS] = {false};
    double gain = percent_of(e->best[0].j, e->now.j);
    if (e->best[0].j >= e->now.j * 0.995) {
        say("The shape that is there is as good as any: the best of %" PRIu32
            " others would change the mean by %+.1f %%.",
            e->space_count, gain);
        return;
    }
    say("Why %s: it costs %.3f instead of %.3f, %+.0f %%.", omt_shape_text(best, &e->best[0].point),
        e->best[0].j, e->now.j, gain);
    for (int turn = 0; turn < OMI_TUNE_OPS; turn++) {
        int next = -1;
        for (int op = 0; op < OMI_TUNE_OPS; op++)
            if (!said[op] && (next < 0 || term_change(e, op) < term_change(e, next)))
                next = op;
        said[next] = true;
        /* by the theory's mean: the model's is no sum of kinds of operation */
        if (fabs(term_change(e, next)) > 0.005 * e->now.theory)
            term_say(e, next);
    }
}

static void close_say(const struct omt_explain *e)
{
    uint32_t close = 0;
    for (uint32_t i = 1; i < e->best_count; i++)
        close += e->best[i].j <= e->best[0].j * (e->has_model ? exp(e->best[0].log_sd) : 1.05);
    if (close == 0)
        return;
    if (e->has_model)
        say("%" PRIu32 " of the next shapes lie within what the model is unsure of: measure them "
            "before one is believed to be the best.",
            close);
    else
        say("%" PRIu32
            " of the next shapes lie within 5 %%: which of them is best is beyond what a "
            "formula can tell.",
            close);
}

static void trust_say(const struct omt_explain *e)
{
    if (e->has_model)
        say("The means are of a model fitted on %" PRIu32 " measurements, with the spread of its "
            "six bootstrap copies; the theory alone says %.3f for the best and %.3f for now.",
            e->model.rows, e->best[0].theory, e->now.theory);
    else
        say("All of this is theory: flushes and merges replayed on sizes, filters and cache by "
            "formula, nothing measured. omendb tune learn measures; --model brings its result "
            "here.");
    if (e->is_live)
        say("\"lies\" is the tree as it lies there at this moment; \"now\" is what the same shape "
            "costs in the long run, as the other rows are.");
}

static void priors_say(const struct omt_explain *e)
{
    char text[OMT_SHAPE_TEXT];
    say("In closed form: leveling is cheapest at T %.1f, tiering at T %.1f; at T %u the "
        "square-root "
        "rule gives K %.1f for the upper levels; filters of %.1f bits a key balance lookups "
        "against "
        "a smaller memtable.",
        e->ratio_leveling, e->ratio_tiering, e->best[0].point.size_ratio, e->runs_prior,
        e->bits_prior);
    say("Should the mix drift (up to KL %.2g from this one), the best shape here may cost %.3f in "
        "the mean; %s would hold that to %.3f.",
        e->rho, e->best_robust_cost, omt_shape_text(text, &e->robust.point), e->robust_cost);
}

static void expect_say(const struct omt_explain *e)
{
    const struct omt_explain_shape *s = &e->best[0];
    const struct omi_space_limits *limits = &e->workload.limits;
    char memtable[OMT_HUMAN_LEN], filters[OMT_HUMAN_LEN], cache[OMT_HUMAN_LEN];
    char options[OMI_POINT_TEXT];
    say("What to expect of it: %" PRIu32 " levels and %.1f runs on average; %s reads %.3f pages, "
        "%s %.3f, %s %.3f; a write costs %.3f pages of merging (write amplification %.2f); "
        "%.2f bytes on the disk for each byte of live data.",
        s->tree.count, s->cost.runs, op_one[0], s->cost.pages[0], op_one[1], s->cost.pages[1],
        op_one[2], s->cost.pages[2], s->cost.pages[3], s->cost.write_amp, s->cost.space_amp);
    say("Its memory: memtable %s, filters %s, cache %s.",
        omt_human_bytes(memtable, omi_point_memtable_bytes(limits, &s->point)),
        omt_human_bytes(filters, omi_point_filter_bytes(limits, &s->point)),
        omt_human_bytes(cache, omi_point_cache_bytes(limits, &s->point)));
    omi_point_options(limits, &s->point, options);
    printf("As options:\n  %s\n", options);
}

void omt_explain_print(const struct omt_explain *e)
{
    workload_say(e);
    table_print(e);
    why_say(e);
    close_say(e);
    putchar('\n');
    expect_say(e);
    putchar('\n');
    priors_say(e);
    putchar('\n');
    trust_say(e);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void ops_json(struct omt_json *j, const char *name, const double values[OMI_TUNE_OPS])
{
    omt_json_object(j, name);
    for (int op = 0; op < OMI_TUNE_OPS; op++)
        omt_json_f64(j, op_json[op], values[op], 6);
    omt_json_object_end(j);
}

static void shape_json(struct omt_json *j, const char *name, const struct omt_explain *e,
                       const struct omt_explain_shape *s)
{
    char options[OMI_POINT_TEXT];
    omi_point_options(&e->workload.limits, &s->point, options);
    omt_json_object(j, name);
    omt_json_text(j, "options", options);
    omt_json_u64(j, "size_ratio", s->point.size_ratio);
    omt_json_u64(j, "runs_upper", s->point.runs_upper);
    omt_json_u64(j, "runs_last", s->point.runs_last);
    omt_json_u64(j, "filter_bits", s->point.filter_bits);
    omt_json_u64(j, "cache_pct", s->point.cache_pct);
    omt_json_u64(j, "levels", s->tree.count);
    omt_json_f64(j, "expected", s->j, 6);
    omt_json_f64(j, "log_sd", s->log_sd, 6);
    omt_json_f64(j, "theory", s->theory, 6);
    ops_json(j, "cost", s->cost.cost);
    ops_json(j, "pages", s->cost.pages);
    omt_json_f64(j, "runs", s->cost.runs, 6);
    omt_json_f64(j, "false_positives", s->cost.fpr_sum, 6);
    omt_json_f64(j, "write_amplification", s->cost.write_amp, 6);
    omt_json_f64(j, "space_amplification", s->cost.space_amp, 6);
    omt_json_object_end(j);
}

void omt_explain_json(const struct omt_explain *e)
{
    struct omt_json j = {.out = stdout};
    omt_json_object(&j, NULL);
    omt_json_text(&j, "subject", e->subject);
    ops_json(&j, "mix", e->workload.mix);
    omt_json_f64(&j, "skew", e->workload.skew, 4);
    omt_json_f64(&j, "scan_entries", e->workload.data.scan_entries, 4);
    omt_json_f64(&j, "entries", e->workload.data.entries, 0);
    omt_json_f64(&j, "entry_bytes", e->workload.data.entry_bytes, 1);
    omt_json_u64(&j, "memory_bytes", e->workload.limits.memory_bytes);
    omt_json_bool(&j, "live", e->is_live);
    omt_json_u64(&j, "model_rows", e->has_model ? e->model.rows : 0);
    omt_json_u64(&j, "shapes_considered", e->space_count);
    shape_json(&j, "now", e, &e->now);
    if (e->is_live)
        shape_json(&j, "lies", e, &e->live);
    omt_json_array(&j, "best");
    for (uint32_t i = 0; i < e->best_count; i++)
        shape_json(&j, NULL, e, &e->best[i]);
    omt_json_array_end(&j);
    omt_json_object(&j, "closed_forms");
    omt_json_f64(&j, "size_ratio_leveling", e->ratio_leveling, 4);
    omt_json_f64(&j, "size_ratio_tiering", e->ratio_tiering, 4);
    omt_json_f64(&j, "runs_upper", e->runs_prior, 4);
    omt_json_f64(&j, "filter_bits", e->bits_prior, 4);
    omt_json_object_end(&j);
    omt_json_object(&j, "robust");
    omt_json_f64(&j, "rho", e->rho, 4);
    omt_json_f64(&j, "worst_mean", e->robust_cost, 6);
    omt_json_f64(&j, "worst_mean_of_best", e->best_robust_cost, 6);
    shape_json(&j, "shape", e, &e->robust);
    omt_json_object_end(&j);
    omt_json_object_end(&j);
    omt_json_end(&j);
}

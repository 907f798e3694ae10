/*
 * lab_filter.c - learned filters beside plain ones, on made or given keys and lookups: what they let
 * pass, what they cost, how fast they are.
 */
#include "tools/args.h"
#include "tools/json.h"
#include "tools/lab.h"
#include "tools/lab_filter_measure.h"

#include "io/base/fail.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKUPS = 200000 };

static const char text[] =
    "Builds the filter of one file twice, plain and learned, from the same keys: the learned one "
    "also\n"
    "from a sample of lookups that found nothing, oldest first, as the database keeps it. Then "
    "asks\n"
    "both for 200,000 other absent keys of the same kind, and prints side by side what they let "
    "pass,\n"
    "what they weigh and how fast they are.\n"
    "\n"
    "Keys and lookups (--gen):\n"
    "  A                hashed keys, lookups anywhere: there is nothing to learn\n"
    "  A2               hashed keys; absent ones are asked for again and again: deny list\n"
    "  B                a thousand dense clusters, lookups anywhere: stretches without keys\n"
    "  B2               the same over a quarter of the space\n"
    "  B3               dense clusters, lookups beside keys: nothing to learn\n"
    "  C0.8 C1.0 C1.2   hashed keys, some of 4,096 prefixes hot (Zipf): bits by region\n"
    "  D1               metric id and time, lookups of metrics not there: prefix layer\n"
    "  D2               other times of metrics that are there: nothing to learn\n"
    "  D3               four fifths as D1, one fifth as D2\n"
    "  E                numbered keys, most lookups on the newest tenth: bits by region\n"
    "\n"
    "\"key-like\" are absent keys spread like the file's keys: what is let pass should lookups "
    "stop\n"
    "being like the sample. --floor bounds it for every region, --keylike for the whole filter; "
    "what\n"
    "they cost in bits is the price of being wrong about tomorrow.\n";
static const char examples[] =
    "  omendb lab filter --gen B2                 at ten bits a key\n"
    "  omendb lab filter --gen D1 --fpr 0.01      bits a key for one false positive in a hundred\n"
    "  omendb lab filter --gen E --drift          and when another tenth becomes hot\n"
    "  omendb lab filter --keys words.txt --queries misses.txt\n"
    "  omendb lab filter --accept=9,10            figures against their bounds\n";

struct options {
    const char *gen, *keys, *queries, *kind, *accept;
    uint64_t num, samples, seed, part_bytes;
    double bits, fpr, price, weight, floor, keylike;
    bool deny, drift, json;
};

/* What is told of a filter. */
struct figures {
    struct omt_built built;
    double fpr, keylike, drifted, worst;
    uint64_t denied_keys;
    struct omt_build_times build;
};
struct report {
    const struct omt_filter_work *work;
    const struct options *o;
    size_t samples, lookups;
    struct figures plain, learned;
    struct omt_ask_times ask;
};

/* ---- measuring ------------------------------------------------------------------------------- */

static omen_err figures_take(struct omt_filter_work *w, const struct options *o,
                             const struct omi_filter_params *params,
                             const struct omt_asked_list *asked, const struct omt_asked_list *like,
                             const struct omt_asked_list *drifted, struct figures *f)
{
    omen_err err = o->fpr > 0 ? omt_built_for_fpr(w, params, asked, o->fpr, &f->built)
                              : omt_built_make(w, params, &f->built);
    if (err != OMEN_OK)
        return err;
    if (!o->deny)
        f->built.f.deny_count = 0;
    f->fpr = omt_built_fpr(&f->built, asked);
    f->keylike = omt_built_fpr(&f->built, like);
    f->drifted = omt_built_fpr(&f->built, drifted);
    f->worst = omt_built_worst(&f->built, w);
    f->denied_keys = omt_built_denies(&f->built, w);
    struct omi_filter_params same = *params;
    same.bits = o->fpr > 0 ? f->built.bits : params->bits;
    return omt_time_building(w, &same, &f->build);
}

static struct omi_filter_params params_of(const struct options *o, enum omi_filter_kind kind)
{
    return (struct omi_filter_params){.kind = kind,
                                      .bits = o->price > 0 ? 0 : o->bits,
                                      .price = o->price,
                                      .weight = o->weight,
                                      .floor = o->floor,
                                      .keylike = o->keylike,
                                      .part_bytes = (uint32_t)o->part_bytes};
}

static omen_err measure(struct omt_filter_work *w, const struct options *o, struct report *r)
{
    enum omi_filter_kind kind = strcmp(o->kind, "plain") == 0    ? OMI_FILTER_PLAIN
                                : strcmp(o->kind, "ribbon") == 0 ? OMI_FILTER_RIBBON
                                                                 : OMI_FILTER_REGIONS;
    struct omt_asked_list seen = omt_filter_work_ask(w, OMT_ASK_AS_EVER, o->samples);
    struct omt_asked_list asked = omt_filter_work_ask(w, OMT_ASK_AS_EVER, LOOKUPS);
    struct omt_asked_list like = omt_filter_work_ask(w, OMT_ASK_LIKE_KEYS, LOOKUPS);
    struct omt_asked_list drifted = {0};
    if (o->drift)
        drifted = omt_filter_work_ask(w, OMT_ASK_DRIFTED, LOOKUPS);
    struct omi_filter_sample *samples = omt_asked_samples(&seen);
    omen_err err = OMEN_OK;
    if (samples == NULL || asked.at == NULL || like.at == NULL)
        err = omi_fail(OMEN_NO_MEMORY, 0, "%d lookups", LOOKUPS);
    *r = (struct report){.work = w, .o = o, .samples = seen.count, .lookups = asked.count};
    struct omi_filter_params plain = params_of(o, OMI_FILTER_PLAIN), learned = params_of(o, kind);
    learned.samples = samples;
    learned.sample_count = seen.count;
    if (err == OMEN_OK)
        err = figures_take(w, o, &plain, &asked, &like, &drifted, &r->plain);
    if (err == OMEN_OK)
        err = figures_take(w, o, &learned, &asked, &like, &drifted, &r->learned);
    if (err == OMEN_OK && asked.count != 0)
        omt_time_asking(&r->plain.built, &r->learned.built, &asked, &r->ask);
    free(samples);
    omt_asked_free(&seen);
    omt_asked_free(&asked);
    omt_asked_free(&like);
    omt_asked_free(&drifted);
    return err;
}

/* ---- output ---------------------------------------------------------------------------------- */

static const char *kind_text(enum omi_filter_kind kind)
{
    static const char *const names[] = {"none", "plain", "regions", "ribbon"};
    return (unsigned)kind < 4 ? names[kind] : "other";
}

static const char *why_text(enum omi_filter_why why)
{
    static const char *const names[] = {"as asked",
                                        "too few samples to learn from",
                                        "too few keys to learn for",
                                        "held-back samples show no gain",
                                        "learned",
                                        "the learned form failed its check"};
    return (unsigned)why < 6 ? names[why] : "unknown";
}

static void row(const char *name, double plain, double learned, const char *unit)
{
    printf("%-22s %10.4g %10.4g  %s\n", name, plain, learned, unit);
}

static void print_text(const struct report *r)
{
    const struct figures *p = &r->plain, *l = &r->learned;
    const struct omi_filter_info *info = &l->built.info;
    printf("%s: %s\n%" PRIu32 " keys, %zu lookups sampled, %zu others asked\n\n", r->work->name,
           r->work->what, r->work->count, r->samples, r->lookups);
    printf("%-22s %10s %10s\n", "", "plain", "learned");
    row("bits a key", p->built.bits, l->built.bits, "head and all");
    row("head", 8.0 * p->built.f.head_bytes / r->work->count,
        8.0 * l->built.f.head_bytes / r->work->count, "bits a key");
    row("false positives", 100 * p->fpr, 100 * l->fpr, "%");
    row("promised", 100 * p->built.info.promised_fpr, 100 * info->promised_fpr, "%");
    row("key-like", 100 * p->keylike, 100 * l->keylike, "%");
    if (r->o->drift)
        row("drifted", 100 * p->drifted, 100 * l->drifted, "%");
    row("worst region", 100 * p->worst, 100 * l->worst, "% by the model");
    row("ask", r->ask.each[0], r->ask.each[1], "ns, any number at once");
    row("ask, one by one", r->ask.after[0], r->ask.after[1], "ns");
    row("fill", p->build.fill, l->build.fill, "ns a key");
    row("learn", p->build.learn, l->build.learn, "ns a key");
    row("verify", p->build.verify, l->build.verify, "ns a key");
    printf("\nlearned filter: %s, %s\n", kind_text(l->built.f.kind), why_text(info->why));
    printf("%" PRIu32 " regions, %" PRIu32 " of them without keys; %" PRIu32 " parts; ",
           info->regions, info->gaps, info->parts);
    if (info->prefix_bytes != 0)
        printf("prefixes of %" PRIu32 " bytes in %" PRIu32 " bytes; ", info->prefix_bytes,
               info->prefix_array_bytes);
    printf("%" PRIu32 " denied\n", info->denied);
    if (p->denied_keys + l->denied_keys != 0)
        printf("BROKEN: %" PRIu64 " keys denied\n", p->denied_keys + l->denied_keys);
}

static void json_figures(struct omt_json *j, const struct report *r, const struct figures *f,
                         int side, const char *name)
{
    const struct omi_filter_info *info = &f->built.info;
    omt_json_object(j, name);
    omt_json_text(j, "kind", kind_text(f->built.f.kind));
    omt_json_text(j, "why", why_text(info->why));
    omt_json_f64(j, "bits_per_key", f->built.bits, 4);
    omt_json_u64(j, "head_bytes", f->built.f.head_bytes);
    omt_json_f64(j, "false_positives", f->fpr, 8);
    omt_json_f64(j, "promised", info->promised_fpr, 8);
    omt_json_f64(j, "keylike", f->keylike, 8);
    if (r->o->drift)
        omt_json_f64(j, "drifted", f->drifted, 8);
    omt_json_f64(j, "worst_region", f->worst, 8);
    omt_json_u64(j, "regions", info->regions);
    omt_json_u64(j, "gaps", info->gaps);
    omt_json_u64(j, "parts", info->parts);
    omt_json_u64(j, "prefix_bytes", info->prefix_bytes);
    omt_json_u64(j, "prefix_array_bytes", info->prefix_array_bytes);
    omt_json_u64(j, "denied", info->denied);
    omt_json_f64(j, "ask_ns", r->ask.each[side], 2);
    omt_json_f64(j, "ask_dependent_ns", r->ask.after[side], 2);
    omt_json_f64(j, "fill_ns_per_key", f->build.fill, 2);
    omt_json_f64(j, "learn_ns_per_key", f->build.learn, 2);
    omt_json_f64(j, "verify_ns_per_key", f->build.verify, 2);
    omt_json_u64(j, "keys_denied", f->denied_keys);
    omt_json_object_end(j);
}

static void print_json(const struct report *r)
{
    struct omt_json j = {.out = stdout};
    omt_json_object(&j, NULL);
    omt_json_text(&j, "shape", r->work->name);
    omt_json_u64(&j, "keys", r->work->count);
    omt_json_u64(&j, "samples", r->samples);
    omt_json_u64(&j, "lookups", r->lookups);
    json_figures(&j, r, &r->plain, 0, "plain");
    json_figures(&j, r, &r->learned, 1, "learned");
    omt_json_object_end(&j);
    omt_json_end(&j);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int usage(const char *what)
{
    fprintf(stderr, "omendb: lab filter: %s; see omendb lab filter --help\n", what);
    return 2;
}

static int options_check(const struct options *o)
{
    bool kind = strcmp(o->kind, "plain") == 0 || strcmp(o->kind, "regions") == 0 ||
                strcmp(o->kind, "ribbon") == 0;
    if (o->num < 1 || o->num > 200000000 || o->samples > 10000000)
        return usage("--num goes to 200000000, --samples to 10000000");
    if (o->accept != NULL)
        return 0;
    if ((o->keys != NULL) == (o->gen != NULL) || (o->queries != NULL && o->keys == NULL))
        return usage("give either --gen SHAPE or --keys FILE, with --queries FILE if you like");
    if ((o->fpr > 0) + (o->price > 0) > 1)
        return usage("give one of --bits, --fpr and --price");
    if (!kind)
        return usage("--kind is plain, regions or ribbon");
    if (o->fpr < 0 || o->fpr >= 1 || o->part_bytes > UINT32_MAX)
        return usage("--fpr goes from 0 to 1, --part-bytes to 4G");
    return 0;
}

static int run(const struct options *o)
{
    struct omt_filter_work w;
    const char *why = "";
    int code = o->gen != NULL ? omt_filter_work_make(o->gen, (uint32_t)o->num, o->seed, &w, &why)
                              : omt_filter_work_load(o->keys, o->queries, o->seed, &w, &why);
    if (code != 0 && o->gen != NULL) {
        fprintf(stderr, "omendb: lab filter: --gen %s: %s; there are %s\n", o->gen, why,
                omt_filter_work_names());
        return 2;
    }
    if (code != 0) {
        fprintf(stderr, "omendb: lab filter: %s: %s\n", o->keys, why);
        return 1;
    }
    struct report r;
    omen_err err = measure(&w, o, &r);
    if (err != OMEN_OK)
        fprintf(stderr, "omendb: lab filter: %s\n", omen_last_error());
    else if (o->json)
        print_json(&r);
    else
        print_text(&r);
    bool broken = err != OMEN_OK || r.plain.denied_keys + r.learned.denied_keys != 0;
    omt_built_free(&r.plain.built);
    omt_built_free(&r.learned.built);
    omt_filter_work_free(&w);
    return broken;
}

int omt_lab_filter(int argc, char **argv)
{
    struct options o = {.kind = "regions",
                        .num = 1000000,
                        .samples = 4096,
                        .seed = 1,
                        .bits = 10,
                        .weight = 1,
                        .deny = true};
    const struct omt_flag flags[] = {
        {"gen", OMT_TEXT, &o.gen, "SHAPE", "made keys and lookups", NULL},
        {"keys", OMT_TEXT, &o.keys, "FILE", "keys, one a line", NULL},
        {"queries", OMT_TEXT, &o.queries, "FILE",
         "lookups, one a line, oldest first; those that find a key are left out", NULL},
        {"num", OMT_U64, &o.num, "N", "made keys (1000000)", NULL},
        {"samples", OMT_U64, &o.samples, "N", "lookups to learn from (4096)", NULL},
        {"bits", OMT_F64, &o.bits, "X", "bits a key, head and all (10)", NULL},
        {"fpr", OMT_F64, &o.fpr, "X", "search the bits for this rate of false positives", NULL},
        {"price", OMT_F64, &o.price, "X",
         "false positives a lookup that one bit must save, as the database decides", NULL},
        {"weight", OMT_F64, &o.weight, "X", "with --price: absent lookups a lookup (1)", NULL},
        {"floor", OMT_F64, &o.floor, "X", "most false positives of any region (0.125); 1: none",
         NULL},
        {"keylike", OMT_F64, &o.keylike, "X",
         "most key-like false positives (floor, or five times plain)", NULL},
        {"kind", OMT_TEXT, &o.kind, "KIND", "the most to build: plain, regions (default), ribbon",
         NULL},
        {"deny", OMT_BOOL, &o.deny, NULL, "with the deny list (yes); --nodeny: without", NULL},
        {"part_bytes", OMT_SIZE, &o.part_bytes, NULL, "cut into parts of this size (0: never)",
         NULL},
        {"drift", OMT_BOOL, &o.drift, NULL, "also ask as clients would after a change", NULL},
        {"seed", OMT_U64, &o.seed, "N", "of all that is made (1)", NULL},
        {"json", OMT_BOOL, &o.json, NULL, "figures as JSON", NULL},
        {"accept", OMT_TEXT, &o.accept, "LIST",
         "check figures against their bounds: \"all\", or numbers", NULL}};
    struct omt_args args = {.flags = flags,
                            .count = sizeof(flags) / sizeof(flags[0]),
                            .command = "lab filter",
                            .usage = "omendb lab filter --gen SHAPE | --keys FILE [flags]",
                            .text = text,
                            .examples = examples};
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    int words = args.word_count;
    omt_args_free(&args);
    if (parsed != OMT_PARSE_OK)
        return parsed == OMT_PARSE_HELP ? 0 : 2;
    int code = words != 0 ? usage("there is a word that is no flag") : options_check(&o);
    if (code != 0)
        return code;
    if (o.accept != NULL)
        return omt_lab_filter_accept(o.accept, (uint32_t)o.num, (uint32_t)o.samples, o.seed,
                                     o.json);
    return run(&o);
}

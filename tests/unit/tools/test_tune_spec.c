/* Specs, points, labels and choices as text. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/tune.h"

TestSuite(tune_spec, .timeout = 20);

static struct omi_workload read_spec(const char *text)
{
    struct omt_json_doc doc;
    struct omi_workload w;
    char why[OMT_JSON_WHY];
    cr_assert(omt_json_parse(text, strlen(text), &doc), "%s", doc.why);
    cr_assert(omt_spec_read(doc.root, &w, why), "%s: %s", text, why);
    omt_json_free(&doc);
    return w;
}

static void refused(const char *text, const char *why_wanted)
{
    struct omt_json_doc doc;
    struct omi_workload w;
    char why[OMT_JSON_WHY];
    cr_assert(omt_json_parse(text, strlen(text), &doc), "%s", doc.why);
    cr_assert(!omt_spec_read(doc.root, &w, why), "%s was taken", text);
    cr_assert_str_eq(why, why_wanted, "%s: \"%s\"", text, why);
    omt_json_free(&doc);
}

Test(tune_spec, all_fields)
{
    struct omi_workload w = read_spec(
        "{\"name\":\"mine\",\"n\":5000,\"entry\":200,\"bits_per_key_total\":12,\"seed\":9,"
        "\"dist\":{\"kind\":\"zipf\",\"theta\":0.5},\"order\":\"near-sorted\",\"inserts\":0.25,"
        "\"deletes\":0.125,\"phases\":[{\"mix\":[1,1,1,1],\"ops\":70,\"scan\":[1,4,16]},"
        "{\"mix\":[2,0,0,0],\"to\":[0,0,0,3]}]}");
    cr_assert_str_eq(w.name, "mine");
    cr_assert_eq(w.entries, 5000);
    cr_assert_eq(w.entry_bytes, 200);
    cr_assert_eq(w.memory_bits, 12);
    cr_assert_eq(w.seed, 9);
    cr_assert_eq(w.dist, OMI_WORK_ZIPF);
    cr_assert_eq(w.theta, 0.5);
    cr_assert_eq(w.order, OMI_WORK_NEAR_SORTED);
    cr_assert_eq(w.scan_count, 3);
    cr_assert_eq(w.scan[2], 16);
    cr_assert_eq(w.phase_count, 2);
    cr_assert_eq(w.phase[0].from[3], 0.25);
    cr_assert_eq(w.phase[0].ops, 70);
    cr_assert_eq(w.phase[1].from[0], 1);
    cr_assert_eq(w.phase[1].to[3], 1);
    cr_assert_eq(w.phase[1].ops, 10000);
}

Test(tune_spec, like_takes_a_named_workload_first)
{
    struct omi_workload w = read_spec("{\"like\":\"W11\",\"n\":777}"), named;
    cr_assert_eq(omi_workload_named("W11", &named), OMEN_OK);
    cr_assert_eq(w.entries, 777);
    cr_assert_eq(w.theta, named.theta);
    cr_assert_str_eq(w.name, "W11");
    w = read_spec("{\"like\":\"W11\",\"dist\":\"uniform\"}");
    cr_assert_eq(w.dist, OMI_WORK_UNIFORM);
    cr_assert_eq(w.theta, 0);
}

Test(tune_spec, refuses_by_name_and_place)
{
    refused("{\"like\":\"W1\",\n \"entires\":1}",
            "line 2, column 12: unknown field \"entires\"; did you mean entry");
    refused("[1]", "line 1, column 1: a spec must be an object");
    refused("{}", "line 1, column 1: a spec needs phases, or like");
    refused("{\"like\":\"W13\"}", "line 1, column 9: like must be one of W1 to W12, endure:0 to "
                                  "endure:14, A to F, ring, square");
    refused("{\"n\":-1}", "line 1, column 6: n must be a whole number, 0 or more");
    refused("{\"like\":\"W1\",\"n\":0}", "line 1, column 1: n is 0, must be 1 to 1e+12");
    refused("{\"like\":\"W1\",\"order\":\"up\"}",
            "line 1, column 22: order must be \"random\", \"sorted\" or \"near-sorted\"");
    refused("{\"phases\":[]}", "line 1, column 11: phases must be a list of 1 to 64");
    refused("{\"phases\":[{\"ops\":1}]}", "line 1, column 12: a phase needs a mix");
    refused("{\"phases\":[{\"mix\":[1,2,3]}]}",
            "line 1, column 19: a mix must be 4 shares: lookups of absent keys, of present keys, "
            "scans, writes");
    refused("{\"phases\":[{\"mix\":[0,0,0,0]}]}", "line 1, column 19: a mix may not be all 0");
    refused("{\"phases\":[{\"mix\":[-1,0,0,2]}]}",
            "line 1, column 20: a share must be a number from 0 to 1e9");
    refused("{\"like\":\"W1\",\"scan\":[0]}",
            "line 1, column 22: a scan length must be 1 to 1000000");
    refused("{\"phases\":[{\"mix\":[1,1,1,1],\"scan\":[1]},{\"mix\":[1,1,1,1],\"scan\":[2]}]}",
            "line 1, column 65: all phases must have the same scan lengths");
    refused("{\"like\":\"W1\",\"name\":\"a name that is far too long for it\"}",
            "line 1, column 21: name must be a text of 1 to 23 bytes");
}

static struct omi_workload written_and_read(const struct omi_workload *w)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    struct omt_json j = {.out = out};
    omt_spec_write(&j, NULL, w);
    fclose(out);
    struct omi_workload again = read_spec(text);
    free(text);
    return again;
}

Test(tune_spec, written_specs_read_back_with_the_same_hash)
{
    static const char *const names[] = {"W1",        "W10", "W11",  "W12",
                                        "endure:13", "E",   "ring", "square"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct omi_workload w, again;
        cr_assert_eq(omi_workload_named(names[i], &w), OMEN_OK);
        again = written_and_read(&w);
        cr_assert_eq(omt_spec_hash(&w), omt_spec_hash(&again), "%s", names[i]);
        again.seed++;
        cr_assert_neq(omt_spec_hash(&w), omt_spec_hash(&again), "%s", names[i]);
    }
}

Test(tune_spec, points)
{
    const struct omi_space_limits limits = {.memory_bytes = 450000, .entries = 100000};
    struct omi_point p, standard = omt_default_point(&limits);
    char text[OMT_POINT_TEXT];
    cr_assert_eq(omi_point_check(&limits, &standard), OMEN_OK, "%s", omen_last_error());
    cr_assert_eq(standard.size_ratio, 6);
    cr_assert_eq(standard.runs_upper, 4);
    cr_assert_eq(standard.filter_bits, 10);
    cr_assert(omt_point_parse("default", &limits, &p));
    cr_assert(omi_point_same(&p, &standard));
    cr_assert(omt_point_parse("T=10,K=T-1,Z=2,h=6,cache=0", &limits, &p));
    cr_assert_str_eq(omt_point_text(&p, text), "T=10 K=9 Z=2 h=6 cache=0");
    cr_assert(omt_point_parse(text, &limits, &p), "what is printed is read again");
    cr_assert(omt_point_parse("tiering,T=4,h=6,cache=0", &limits, &p));
    cr_assert_str_eq(omt_point_text(&p, text), "T=4 K=3 Z=3 h=6 cache=0");
    cr_assert(omt_point_parse("lazy-leveling,h=6,cache=0", &limits, &p));
    cr_assert_str_eq(omt_point_text(&p, text), "T=6 K=5 Z=1 h=6 cache=0");
    cr_assert(!omt_point_parse("T=1", &limits, &p));
    cr_assert(!omt_point_parse("T=ten", &limits, &p));
    cr_assert(!omt_point_parse("X=3", &limits, &p));
    cr_assert(!omt_point_parse("h=60", &limits, &p), "leaves no memtable");
}

/* Where memory is short, the default has fewer bits rather than none. */
Test(tune_spec, a_default_for_every_memory)
{
    for (uint64_t bits = 2; bits < 100; bits++) {
        const struct omi_space_limits limits = {.memory_bytes = 100000 * bits / 8,
                                                .entries = 100000};
        struct omi_point p = omt_default_point(&limits);
        if (limits.memory_bytes > 70000)
            cr_assert_eq(omi_point_check(&limits, &p), OMEN_OK, "%" PRIu64 " bits: %s", bits,
                         omen_last_error());
    }
}

static void label_fill(struct omt_label *l)
{
    memset(l, 0, sizeof(*l));
    snprintf(l->workload, sizeof(l->workload), "W, \"1\"");
    snprintf(l->spec, sizeof(l->spec), "0123456789abcdef");
    l->point = (struct omi_point){10, 9, 1, 6, 20};
    l->seed = UINT64_MAX;
    l->mix[2] = 0.125;
    l->j_io = 1.0625;
    l->ops[OMI_OP_PUT] = 77;
    l->operations = 77;
    l->cycle_whole = true;
    l->pages[0] = -1;
    l->levels = 2;
    l->level[1].runs = 2.5;
    l->level[1].false_positives = 12;
    l->wall.j_us = 3.5;
    l->wall.latency_us[OMI_OP_SCAN][3] = 99;
    snprintf(l->wall.session, sizeof(l->wall.session), "s");
}

Test(tune_spec, labels_read_back)
{
    struct omt_label *l = malloc(sizeof(*l)), *again = malloc(sizeof(*again));
    struct omt_json_doc doc;
    char *text = NULL, why[OMT_JSON_WHY];
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    label_fill(l);
    omt_label_write(out, l, true);
    fclose(out);
    cr_assert_eq(text[size - 1], '\n');
    cr_assert_null(memchr(text, '\n', size - 1), "one line");
    cr_assert(omt_json_parse(text, size, &doc), "%s", doc.why);
    cr_assert(omt_label_read(doc.root, again, why), "%s", why);
    cr_assert(memcmp(l, again, sizeof(*l)) == 0);
    omt_json_free(&doc);
    free(text);
    free(l);
    free(again);
}

Test(tune_spec, labels_are_refused_by_field)
{
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"[]", "line 1, column 1: a label must be an object"},
        {"{\"workload\":\"W1\"}", "line 1, column 1: a label without spec"},
        {"{\"workload\":\"W1\",\"spec\":\"x\",\"T\":70000,\"K\":1,\"Z\":1,\"h\":1,\"cache\":0,"
         "\"j_io\":1}",
         "line 1, column 33: T is no number, or out of range"},
        {"{\"workload\":7,\"spec\":\"x\",\"T\":7,\"K\":1,\"Z\":1,\"h\":1,\"cache\":0,\"j_io\":1}",
         "line 1, column 13: workload must be a text of at most 23 bytes"},
        {"{\"workload\":\"W1\",\"spec\":\"x\",\"T\":7,\"K\":1,\"Z\":1,\"h\":1,\"cache\":0,\"j_io\":"
         "1,"
         "\"mix\":[1]}",
         "line 1, column 78: mix must be a list of 4 numbers"},
        {"{\"workload\":\"W1\",\"spec\":\"x\",\"T\":7,\"K\":1,\"Z\":1,\"h\":1,\"cache\":0,\"j_io\":"
         "-1}",
         "line 1, column 1: j_io is negative"},
    };
    struct omt_label *l = malloc(sizeof(*l));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct omt_json_doc doc;
        char why[OMT_JSON_WHY];
        cr_assert(omt_json_parse(bad[i].text, strlen(bad[i].text), &doc), "%s", doc.why);
        cr_assert(!omt_label_read(doc.root, l, why), "%s", bad[i].text);
        cr_assert_str_eq(why, bad[i].why, "%s: \"%s\"", bad[i].text, why);
        omt_json_free(&doc);
    }
    free(l);
}

Test(tune_spec, cost_of_a_label)
{
    struct omt_label *l = malloc(sizeof(*l));
    memset(l, 0, sizeof(*l));
    l->operations = 100;
    l->ops[OMI_OP_PUT] = 10;
    l->get_reads = 30;
    l->scan_seeks = 20;
    l->scan_blocks = 40;
    l->scan_reads = 20; /* half of them in the cache */
    l->probes = 50;
    l->cycle_read_pages = 2;
    l->cycle_written_pages = 3;
    const struct omi_cost_prices p = {.read = 1,
                                      .seek = 1,
                                      .scan_page = 0.5,
                                      .merge_read = 0.1,
                                      .merge_write = 0.2,
                                      .probe = 0.01};
    /* 30 gets, 10 seeks and 10 pages at a half, 10 writes at 0.8, probes */
    cr_assert(fabs(omt_label_cost(l, &p) - (30 + 10 + 5 + 8 + 0.5) / 100) < 1e-12);
    free(l);
}

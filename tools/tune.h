/*
 * tune.h - what the verbs of `omendb tune` share: specs, labelled runs, campaigns.
 *
 * A campaign is a directory of labels: what a configuration (a point: T, K's, filter bits, cache)
 * cost under a workload. Each configuration is built once, settled, and forked by hard links for
 * every workload. Files:
 *   campaign.json  what it is: format, verb, scale, seed, prices, workloads with their specs
 *   labels.jsonl   one line a run, appended whole; a torn last line is dropped on resume. Everything
 *                  that depends on the clock stands in the member "wall", last in the line: without
 *                  it, the same seed gives the same lines
 *   labels.csv     the same, made at the end
 *   choices.jsonl  what learn and compare chose, one line a method, seed, budget and workload
 *   model.omtm     of learn (docs/format-tune-model.md)
 *   work/          databases while it runs; removed unless they are to be kept
 *
 * Units:   blocks and pages are of 4 KiB; times microseconds unless a name says otherwise; J_io is in
 *          random page reads an operation, by the campaign's prices.
 * Errors:  omt_* that return bool or an exit code have told the cause on stderr; those that return
 *          omen_err have not (omen_last_error()).
 * Threads: a campaign is one thread's; --jobs are processes.
 */
#ifndef OMT_TUNE_H
#define OMT_TUNE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "compaction/tune_space.h"
#include "compaction/workload.h"
#include "tools/json.h"
#include "tools/json_read.h"

enum { OMT_OP_KINDS = 5 }; /* of enum omi_op_kind */
enum { OMT_TUNE_NAME = 24, OMT_TUNE_PATH = 4096 };
const char *omt_op_name(int kind);         /* "get_miss", "get_hit", "scan", "put", "delete" */
const char *omt_tune_op_name(int tune_op); /* of enum omi_tune_op: "miss", "hit", ... */

/* ---- specs: tune_spec.c ---------------------------------------------------------------------- */

/* A name of workload.h, "@FILE" or a path that exists (JSON, or a trace), or JSON itself when text
 * starts with "{". False: told, with line and column. */
bool omt_spec_load(const char *text, struct omi_workload *workload_out);
/* Out of a parsed object; why gets the cause, with line and column. */
bool omt_spec_read(const struct omt_node *spec, struct omi_workload *workload_out,
                   char why[static OMT_JSON_WHY]);
/* As an object that omt_spec_read takes. */
void omt_spec_write(struct omt_json *json, const char *name, const struct omi_workload *workload);
/* Of everything that changes its operations; the name does not. */
uint64_t omt_spec_hash(const struct omi_workload *workload);
/* Entries, operations and memory of scale 0, 1, 2 (100,000, 1 million, 11 million entries). */
void omt_spec_scale(struct omi_workload *workload, unsigned scale);
/* Scan lengths as often as counted: [0] of no entry, [i] of 2^(i-1) and more; none: as they were. */
void omt_spec_scans(const uint64_t counted[OMEN_SCAN_LENGTHS], struct omi_workload *workload);
struct omi_space_limits omt_spec_limits(const struct omi_workload *workload);

/* ---- points: tune_point.c -------------------------------------------------------------------- */

/* What ships, as a point of these limits: T 6, K 4 and 1, 10 bits, an eighth of the memory for the
 * memtable, the rest for filters and cache; fewer bits where those do not fit. */
struct omi_point omt_default_point(const struct omi_space_limits *limits);
enum { OMT_POINT_TEXT = 64 };
/* "T=6 K=4 Z=1 h=10 cache=20" */
const char *omt_point_text(const struct omi_point *point, char out[static OMT_POINT_TEXT]);
/* "default", "T=10,K=9,Z=1,h=8,cache=20" (what is not said is the default's), a policy first
 * ("lazy-leveling,T=10"), or options of the library ("size_ratio=10,..."). False: told. */
bool omt_point_parse(const char *text, const struct omi_space_limits *limits,
                     struct omi_point *point_out);

/* ---- labels: tune_label.c -------------------------------------------------------------------- */

struct omt_label_level {
    double runs, files, bytes, entries;       /* mean over the states that were measured */
    uint64_t probes, false_positives, blocks; /* by gets and scans of the run */
};

struct omt_label_wall { /* what depends on the clock */
    double j_us;   /* J_wall: time of operations and of all merging they cause, per operation */
    double run_us; /* of the measured operations, drain included, as it happened */
    double drain_us, build_us;
    double ops_s;
    double latency_us[OMT_OP_KINDS][4]; /* p50, p95, p99, p99.9; 0: no such operation */
    double cycle_write_us;              /* a write of the cycle, merging included */
    uint64_t stalls, stall_us;
    uint64_t time; /* seconds since 1970, at the end of the run */
    char session[20];
};

/* One labelled run. What is counted is of the measured operations (the first tenth is warm-up),
 * and of the merges they made until nothing more was due. */
struct omt_label {
    char workload[OMI_WORKLOAD_NAME], method[OMT_TUNE_NAME];
    char spec[20];             /* omt_spec_hash in hex */
    char build[OMT_TUNE_NAME]; /* version and a hash of the options that are not the point's */
    struct omi_point point;
    uint32_t repeat;
    uint64_t seed;
    uint64_t entries, entry_bytes, memory_bytes;
    uint64_t memtable_bytes, filter_share_bytes, cache_bytes; /* of the point */
    double filter_memory_bytes; /* that filters took, on average: more where old versions lie */
    double mix[OMI_TUNE_OPS], skew, scan_entries;
    /* What the model said before the run; sd 0: no model said anything. */
    double predicted, predicted_sd;

    double j_io;     /* the label: reads as measured, writes at the price of a whole merge cycle */
    double j_io_run; /* as it happened: with the merges that fell into this run */
    double read_cost, write_cost; /* of j_io: by reads, by writes; together j_io */
    uint64_t ops[OMT_OP_KINDS], operations;
    uint64_t get_blocks, get_reads;               /* asked for; not in the cache */
    uint64_t scan_seeks, scan_blocks, scan_reads; /* runs opened; blocks asked for; not in cache */
    uint64_t probes, false_positives;             /* of filters, by gets */
    double merge_read_pages, merge_written_pages; /* by merges and flushes of the run */
    uint64_t merges, flushes, moved_bytes;
    uint64_t user_bytes; /* put */
    /* The cycle of writes that this configuration and stream of writes were measured on: operations,
     * and pages read and written for each of them. 0 operations: the workload writes nothing. */
    uint64_t cycle_writes;
    double cycle_read_pages, cycle_written_pages;
    bool cycle_whole; /* false: it was cut off before the last level's round ended */
    double write_amp, read_amp, space_amp; /* read: blocks a get or scan asked for, on average */
    /* Blocks of one operation of each kind; -1: not asked for (omt_run_options.by_kind). */
    double pages[OMI_TUNE_OPS];
    uint64_t cache_hits, cache_misses;
    uint32_t levels;
    struct omt_label_level level[OMEN_LEVELS_MAX];
    struct omt_label_wall wall;
};

/* One line, line break included. wall false: without what depends on the clock. */
void omt_label_write(FILE *out, const struct omt_label *label, bool wall);
bool omt_label_read(const struct omt_node *line, struct omt_label *label_out,
                    char why[static OMT_JSON_WHY]);
void omt_label_csv_head(FILE *out);
void omt_label_csv(FILE *out, const struct omt_label *label);
/* J_io of the same counts at other prices. */
double omt_label_cost(const struct omt_label *label, const struct omi_cost_prices *prices);

/* ---- prices: tune_prices.c ------------------------------------------------------------------- */

void omt_prices_write(struct omt_json *json, const char *name, const struct omi_cost_prices *p);
bool omt_prices_read(const struct omt_node *node, struct omi_cost_prices *prices_out,
                     char why[static OMT_JSON_WHY]);
/* From a file that calibrate wrote; path NULL: every page 1. False: told. */
bool omt_prices_load(const char *path, struct omi_cost_prices *prices_out);

/* ---- campaigns: tune_campaign.c -------------------------------------------------------------- */

enum { OMT_WORKLOADS_MAX = 64 };

struct omt_campaign_config {
    char verb[OMT_TUNE_NAME]; /* that made it: "grid", "learn", "compare", "sample", ... */
    unsigned scale;
    uint64_t seed;
    struct omi_cost_prices prices;
    char restrict_text[256]; /* --space; "": all */
    struct omi_workload workload[OMT_WORKLOADS_MAX];
    uint32_t workload_count;
};

struct omt_campaign {
    char dir[OMT_TUNE_PATH];
    struct omt_campaign_config config;
    struct omt_label *labels; /* in the order of labels.jsonl */
    uint32_t label_count, label_room;
    FILE *log; /* labels.jsonl, to append to; NULL: opened to read */
    bool read_only;
};

/* A new one, or with resume one that is there and was made with the same configuration. */
bool omt_campaign_create(struct omt_campaign *c, const char *dir,
                         const struct omt_campaign_config *config, bool resume);
/* One that is there, with its labels; beside a running one too. */
bool omt_campaign_open(struct omt_campaign *c, const char *dir);
/* Adds and appends to labels.jsonl. */
bool omt_campaign_add(struct omt_campaign *c, const struct omt_label *label);
/* The label of a workload (by index), a point and a repeat; NULL: not measured. */
const struct omt_label *omt_campaign_find(const struct omt_campaign *c, uint32_t workload,
                                          const struct omi_point *point, uint32_t repeat);
/* The lowest j_io of a workload over all that was measured; NULL: nothing was. */
const struct omt_label *omt_campaign_best(const struct omt_campaign *c, uint32_t workload);
bool omt_campaign_end(struct omt_campaign *c); /* writes labels.csv unless read-only; closes */

/* choices.jsonl */
struct omt_choice {
    char method[OMT_TUNE_NAME], workload[OMI_WORKLOAD_NAME];
    uint64_t seed;
    uint32_t budget;   /* measurements a workload */
    uint32_t measured; /* made */
    struct omi_point point;
    double j, j_default, j_best;    /* of the choice, of what ships, of the best point known */
    double regret;                  /* j / j_best - 1 */
    double predicted, predicted_sd; /* of ln j: exp(predicted) is the guess; sd 0: none */
    bool kept_default;
};
void omt_choice_write(FILE *out, const struct omt_choice *choice);
bool omt_choice_read(const struct omt_node *line, struct omt_choice *choice_out,
                     char why[static OMT_JSON_WHY]);
/* All of a directory; freed with free. A file that is not there: none. False: told. */
bool omt_choices_load(const char *dir, struct omt_choice **choices_out, uint32_t *count_out);

/* ---- runs: tune_run.c, tune_build.c ---------------------------------------------------------- */

struct omt_run_options {
    struct omi_cost_prices prices;
    bool by_kind; /* also pages[]: blocks by kind of operation; slower, so J_wall means little */
    bool keep;    /* the database of the run stays */
    const char *session;
    const char *work;         /* where databases lie */
    const char *options;      /* more options of the library ("filter=plain"); NULL: none */
    const volatile int *stop; /* not 0: end soon, with OMEN_ABORTED; NULL: never */
};

/* A configuration with a workload's data in it, settled; workloads of the same data share it. */
struct omt_build; /* tune_build.h */
OMEN_MUST_CHECK omen_err omt_build_make(const struct omt_run_options *options,
                                        const struct omi_workload *workload,
                                        const struct omi_point *point,
                                        struct omt_build **build_out);
/* Whether a build for one serves the other. */
bool omt_build_shared(const struct omi_workload *a, const struct omi_workload *b);
/* One labelled run on a fork of the build. Every answer is checked: OMEN_CORRUPT says which key
 * answered wrong. method, predicted and predicted_sd are the caller's to fill. */
OMEN_MUST_CHECK omen_err omt_run(struct omt_build *build, const struct omi_workload *workload,
                                 uint32_t repeat, struct omt_label *label_out);
void omt_build_destroy(struct omt_build *build); /* and removes it from the disk unless kept */

/* ---- measuring for a campaign: tune_measure.c ------------------------------------------------ */

struct omt_measure_options {
    struct omt_run_options run;
    uint32_t jobs;       /* processes; 0: 1 */
    double time_limit_s; /* 0: none */
    bool progress;
    const char *what; /* in the progress line: "grid" */
};
struct omt_wish {
    uint32_t workload, repeat;
    struct omi_point point;
    double predicted, predicted_sd;
    char method[OMT_TUNE_NAME];
};
/* Measures what of the wishes has no label yet, wishes of one point on one build, and appends the
 * labels in the wishes' order whatever jobs is. OMEN_ABORTED: interrupted or out of time; what is
 * done is kept, and the same call goes on from there. */
OMEN_MUST_CHECK omen_err omt_measure(struct omt_campaign *c,
                                     const struct omt_measure_options *options,
                                     const struct omt_wish *wishes, uint32_t count);
/* Removes what an earlier process left in a campaign's own work directory. */
void omt_measure_clear(const char *work);
/* Set by SIGINT and SIGTERM once omt_measure_catch has been called. */
void omt_measure_catch(void);
extern volatile int omt_measure_stopped;

/* ---- learning: tune_learn.c ------------------------------------------------------------------- */

struct omt_learn_options {
    const char *method; /* "lcb", "decoupled", "random", "grid", "theory", "endure:0.5" */
    uint32_t budget;    /* measurements a workload; 0: 12 */
    uint32_t repeats;   /* of each finalist when the budget is spent; 0: none */
    uint64_t seed;
    bool wall;                 /* J_wall in place of J_io */
    bool recorded;             /* choose among what the campaign has labels of; nothing is run */
    const char *restrict_text; /* the space, unless recorded; NULL or "": all of it */
    const struct omt_measure_options *measure; /* NULL if recorded */
};
/* Chooses for some of the campaign's workloads, which share one pool. choices_out: count of them, in
 * the order given. model_out (may be NULL): encoded, to be freed; NULL for methods without one. The
 * regret is against the best label of the campaign, after measuring. */
OMEN_MUST_CHECK omen_err omt_learn(struct omt_campaign *c, const uint32_t *workloads,
                                   uint32_t count, const struct omt_learn_options *options,
                                   struct omt_choice *choices_out, uint8_t **model_out,
                                   size_t *model_bytes_out);
/* The same, of the campaign's label as it counts for the objective. */
double omt_label_value(const struct omt_label *label, bool wall);
/* The mean over repeats of a point; 0: not measured. */
double omt_campaign_mean(const struct omt_campaign *c, uint32_t workload,
                         const struct omi_point *point, bool wall);
/* Puts choices into DIR/choices.jsonl, in place of those of the same method, seed, budget and
 * workload. */
bool omt_choices_save(const char *dir, const struct omt_choice *choices, uint32_t count);

/* ---- verbs: each takes its own argv (argv[0] is the verb) and returns an exit code ------------ */

int omt_tune_calibrate(int argc, char **argv);
int omt_tune_observe(int argc, char **argv);
int omt_tune_sample(int argc, char **argv);
int omt_tune_grid(int argc, char **argv);
int omt_tune_learn(int argc, char **argv);
int omt_tune_compare(int argc, char **argv);
int omt_tune_replay(int argc, char **argv);
int omt_tune_apply(int argc, char **argv);
int omt_tune_explain(int argc, char **argv); /* tune_explain.c */
int omt_tune_report(int argc, char **argv);  /* tune_report.c */
int omt_tune_accept(int argc, char **argv);  /* tune_accept.c */
int omt_tune_figure(int argc, char **argv);  /* tune_figure.c */

#endif

/*
 * tune_flags.h - flags that the measuring verbs of `omendb tune` share, and what they come to.
 */
#ifndef OMT_TUNE_FLAGS_H
#define OMT_TUNE_FLAGS_H

#include "tools/cmd.h"
#include "tools/tune.h"

struct omt_tune_flags {
    const char *workloads; /* names, separated by commas */
    struct omt_list specs; /* names, files, JSON */
    uint64_t scale, n, ops, seed, jobs, repeats;
    double bits, time_limit;
    const char *prices, *work, *options, *space;
    bool resume, keep, json, by_kind;
};
/* The defaults: scale 0, seed 1, one job. */
void omt_tune_flags_init(struct omt_tune_flags *f);
void omt_tune_flags_fini(struct omt_tune_flags *f);

#define OMT_TUNE_WORK_FLAGS(f)                                                                     \
    {"workloads", OMT_TEXT, &(f)->workloads, "W1,W5,...", "workloads by name", NULL},              \
        {"spec", OMT_LIST, &(f)->specs, "NAME|FILE|JSON", "a workload; may be repeated", NULL},    \
        {"scale", OMT_U64, &(f)->scale, "0|1|2", "100 k, 1 M or 11 M entries", NULL},              \
        {"n", OMT_U64, &(f)->n, NULL, "entries, whatever the scale", NULL},                        \
        {"ops", OMT_U64, &(f)->ops, NULL, "operations a phase, whatever the scale", NULL},         \
        {"bits", OMT_F64, &(f)->bits, NULL, "memory in bits a key", NULL},                         \
        {"seed", OMT_U64, &(f)->seed, NULL, "of keys, operations and choices (1)", NULL},          \
    {                                                                                              \
        "prices", OMT_TEXT, &(f)->prices, "FILE", "of tune calibrate; else every page costs 1",    \
            NULL                                                                                   \
    }
#define OMT_TUNE_RUN_FLAGS(f)                                                                        \
    {"jobs", OMT_U64, &(f)->jobs, NULL, "processes that measure (1)", NULL},                         \
        {"time-limit", OMT_F64, &(f)->time_limit, "SECONDS", "stop then; --resume goes on", NULL},   \
        {"resume", OMT_BOOL, &(f)->resume, NULL, "go on with the campaign that is there", NULL},     \
        {"work", OMT_TEXT, &(f)->work, "DIR", "where databases lie while it runs (DIR/work)", NULL}, \
        {"keep", OMT_BOOL, &(f)->keep, NULL, "leave the databases there", NULL},                     \
        {"options",                                                                                  \
         OMT_TEXT,                                                                                   \
         &(f)->options,                                                                              \
         "NAME=VALUE,...",                                                                           \
         "more options of the library for every configuration",                                      \
         NULL},                                                                                      \
    {                                                                                                \
        "by-kind", OMT_BOOL, &(f)->by_kind, NULL,                                                    \
            "also count blocks by kind of operation; slower", NULL                                   \
    }

/* Loads prices and workloads (fallback: the names when none are given) and scales them. False: told.
 */
bool omt_tune_flags_config(const struct omt_tune_flags *f, const char *verb, const char *fallback,
                           struct omt_campaign_config *config_out);
/* How to measure for a campaign in dir. */
bool omt_tune_flags_measure(const struct omt_tune_flags *f, const char *dir,
                            const struct omt_campaign_config *config, const char *what,
                            struct omt_measure_options *options_out);
/* Where a workload of the flags stands in the campaign; UINT32_MAX: nowhere. */
uint32_t omt_tune_workload_find(const struct omt_campaign *c, const struct omi_workload *workload);
/* OK, or tells; ABORTED says how to go on. Returns an exit code. */
int omt_tune_ended(omen_err err, const char *verb);

#endif

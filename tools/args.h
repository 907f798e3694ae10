/*
 * args.h - command-line flags in the forms gflags knows, from one table a command.
 * Forms:   --f=v  --f v  -f=v  bare --f and --nof for booleans, `--` ends the flags; - and _ in a
 *          name are the same. Words that are no flags are kept in order.
 * Errors:  told on stderr as "omendb: cause; next step"; an unknown flag names the nearest one.
 */
#ifndef OMT_ARGS_H
#define OMT_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum omt_flag_kind {
    OMT_BOOL, /* bool */
    OMT_I64,  /* int64_t */
    OMT_U64,  /* uint64_t */
    OMT_SIZE, /* uint64_t, takes K M G T (powers of 1024) */
    OMT_F64,  /* double */
    OMT_TEXT, /* const char *, borrowed from argv */
    OMT_LIST  /* struct omt_list, may be given many times */
};

struct omt_list {
    const char **at;
    size_t count;
};

struct omt_flag {
    const char *name;
    enum omt_flag_kind kind;
    void *target;    /* NULL: accepted, without effect; note says why */
    const char *arg; /* what the help prints for the value; NULL: by kind */
    const char *help;
    const char *note;
};

struct omt_args {
    const struct omt_flag *flags;
    size_t count;
    const char *command;   /* "get": for messages and help */
    const char *usage;     /* "omendb get [flags] DIR KEY..." */
    const char *text;      /* a paragraph or two */
    const char *examples;  /* whole lines */
    bool *seen;            /* count of them, or NULL: which flags were given */
    bool gflags;           /* also --flagfile --undefok --helpshort, as db_bench */
    const bool *strict;    /* when it points to true, flags without effect are an error */
    const char **words;    /* out: the words, argc of them at most; freed by omt_args_free */
    int word_count;        /* out */
    const char *undefok;   /* inner */
    struct omt_list files; /* inner: text of flag files, kept as flags point into it */
};

enum omt_parse { OMT_PARSE_OK, OMT_PARSE_HELP, OMT_PARSE_ERROR };

/* argv[0] is the command itself. HELP: the help was asked and printed on stdout. */
enum omt_parse omt_args_parse(struct omt_args *args, int argc, char **argv);
void omt_args_free(struct omt_args *args);
void omt_args_help(const struct omt_args *args);
void omt_list_add(struct omt_list *list, const char *text);
void omt_list_free(struct omt_list *list); /* and its texts, when they came from malloc */

/* The nearest of count names, or NULL when none is near; name(i) gives the i-th. */
const char *omt_nearest(const char *word, size_t count,
                        const char *(*name)(const void *context, size_t index),
                        const void *context);

/* Whole-text numbers; false when the text is not one or out of range. */
bool omt_parse_u64(const char *text, uint64_t *out);
bool omt_parse_i64(const char *text, int64_t *out);
bool omt_parse_size(const char *text, uint64_t *out);
bool omt_parse_f64(const char *text, double *out);
bool omt_parse_bool(const char *text, bool *out);

#endif

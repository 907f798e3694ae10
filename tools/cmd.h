/*
 * cmd.h - the subcommands of omendb, and what they share: opening, telling errors, key forms.
 * Each omt_cmd_* takes its own argv (argv[0] is the subcommand's name) and returns an exit code.
 */
#ifndef OMT_CMD_H
#define OMT_CMD_H

#include <stdbool.h>

#include "lsm/omendb.h"
#include "tools/args.h"
#include "tools/text.h"

enum omt_exit {
    OMT_EXIT_OK = 0,
    OMT_EXIT_PROBLEM = 1, /* a key was not found, verify found a problem, repair lost something */
    OMT_EXIT_USAGE = 2,
    OMT_EXIT_ERROR = 3, /* input, output or database error */
    OMT_EXIT_CORRUPT = 4,
    OMT_EXIT_BUSY = 5
};

int omt_cmd_get(int argc, char **argv);
int omt_cmd_put(int argc, char **argv);
int omt_cmd_del(int argc, char **argv);
int omt_cmd_scan(int argc, char **argv);
int omt_cmd_count(int argc, char **argv);
int omt_cmd_export(int argc, char **argv);
int omt_cmd_import(int argc, char **argv);
int omt_cmd_stats(int argc, char **argv);
int omt_cmd_levels(int argc, char **argv);
int omt_cmd_filter(int argc, char **argv);
int omt_cmd_tier(int argc, char **argv);
int omt_cmd_verify(int argc, char **argv);
int omt_cmd_repair(int argc, char **argv);
int omt_cmd_compact(int argc, char **argv);
int omt_cmd_bench(int argc, char **argv);
int omt_cmd_ycsb(int argc, char **argv);
int omt_cmd_lab(int argc, char **argv);
int omt_cmd_stress(int argc, char **argv);
int omt_cmd_tune(int argc, char **argv);
int omt_cmd_doctor(int argc, char **argv);

/* ---- cmd_open.c ------------------------------------------------------------------------------ */

/* The flags every command that opens a database takes. */
struct omt_open {
    const char *options; /* "name=value,..." */
    uint64_t memory_bytes;
};
#define OMT_OPEN_FLAGS(o)                                                                          \
    {"options", OMT_TEXT, &(o)->options, "NAME=VALUE,...", "options of the library", NULL},        \
    {                                                                                              \
        "memory", OMT_SIZE, &(o)->memory_bytes, NULL, "memory budget, such as 256M", NULL          \
    }

/* flags: of omen_options. Tells a failure itself and returns an exit code. */
int omt_db_open(const char *path, const struct omt_open *open, uint32_t flags, omen_db **db_out);
/* Closes; result is what the command has so far, and wins over a close that fails. */
int omt_db_close(omen_db *db, int result);
/* "omendb: WHAT: cause; next step" on stderr; returns the exit code of err. */
int omt_tell(const char *what, omen_err err);
int omt_exit_of(omen_err err);
/* Flushes stdout; an error there (a full disk) becomes OMT_EXIT_ERROR. */
int omt_stdout_end(int result);
/* "omendb COMMAND: why; see ..." and OMT_EXIT_USAGE. */
int omt_usage(const char *command, const char *why);

/* Key and value forms, by flags. */
struct omt_form_flags {
    bool hex, escape, base64;
};
#define OMT_FORM_FLAGS(f)                                                                          \
    {"hex", OMT_BOOL, &(f)->hex, NULL, "keys and values in hex", NULL},                            \
        {"escape", OMT_BOOL, &(f)->escape, NULL, "... with \\t \\n \\\\ \\xNN escapes", NULL},     \
    {                                                                                              \
        "base64", OMT_BOOL, &(f)->base64, NULL, "... in base64", NULL                              \
    }
/* False, told on stderr, when more than one is set. */
bool omt_form_of(const char *command, const struct omt_form_flags *flags, enum omt_form *form_out);
/* Decodes an argument; false, told on stderr, when it is not of the form. */
bool omt_argument(const char *command, enum omt_form form, const char *text, struct omt_bytes *out);

/* ---- cmd_scan.c: ranges ---------------------------------------------------------------------- */

struct omt_range {
    const char *from, *to, *prefix;
    uint64_t limit;
    bool reverse;
    struct omt_bytes from_bytes, to_bytes, prefix_bytes;
};
#define OMT_RANGE_FLAGS(r)                                                                         \
    {"from", OMT_TEXT, &(r)->from, "KEY", "start at this key", NULL},                              \
        {"to", OMT_TEXT, &(r)->to, "KEY", "stop before this key", NULL},                           \
        {"prefix", OMT_TEXT, &(r)->prefix, "KEY", "only keys that start so", NULL},                \
        {"limit", OMT_U64, &(r)->limit, NULL, "at most N entries (0: all)", NULL},                 \
    {                                                                                              \
        "reverse", OMT_BOOL, &(r)->reverse, NULL, "from the last key down", NULL                   \
    }
/* Calls entry for each entry of the range until it returns false. Returns an exit code. */
int omt_range_walk(omen_db *db, const char *command, struct omt_range *range, enum omt_form form,
                   bool (*entry)(void *context, omen_slice key, omen_slice value), void *context);
void omt_range_free(struct omt_range *range);

#endif

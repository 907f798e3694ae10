/* cmd_open.c - opening a database for a command, and telling what went wrong with a next step. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tools/cmd.h"

int omt_exit_of(omen_err err)
{
    switch (err) {
    case OMEN_OK:
        return OMT_EXIT_OK;
    case OMEN_NOT_FOUND:
        return OMT_EXIT_PROBLEM;
    case OMEN_INVALID:
        return OMT_EXIT_USAGE;
    case OMEN_BUSY:
        return OMT_EXIT_BUSY;
    case OMEN_CORRUPT:
        return OMT_EXIT_CORRUPT;
    default:
        return OMT_EXIT_ERROR;
    }
}

static const char *next_step(omen_err err)
{
    switch (err) {
    case OMEN_BUSY:
        return "end the process that has it open; get, scan, count, export, stats and levels read "
               "beside it";
    case OMEN_CORRUPT:
        return "copy the directory; omendb repair --dry-run DIR tells what can be saved";
    case OMEN_FULL:
        return "free space on that disk and run it again";
    case OMEN_READ_ONLY:
        return "the LOG file in the directory says why; reads still work";
    case OMEN_UNSUPPORTED:
        return "omendb --version says what this build can do";
    case OMEN_INVALID:
        return "see --help of the command";
    case OMEN_IO:
        return "check the path, its permissions and the disk";
    case OMEN_NO_MEMORY:
        return "give a smaller --memory";
    default:
        return "the LOG file in the directory may say more";
    }
}

int omt_tell(const char *what, omen_err err)
{
    const char *cause = omen_last_error();
    fprintf(stderr, "omendb: %s: %s; %s\n", what,
            err == OMEN_NOT_FOUND || cause[0] == '\0' ? omen_err_name(err) : cause, next_step(err));
    return omt_exit_of(err);
}

int omt_usage(const char *command, const char *why)
{
    fprintf(stderr, "omendb: %s: %s; see omendb %s --help\n", command, why, command);
    return OMT_EXIT_USAGE;
}

static bool has_current(const char *path)
{
    char current[4096];
    struct stat st;
    int n = snprintf(current, sizeof(current), "%s/CURRENT", path);
    return n > 0 && (size_t)n < sizeof(current) && stat(current, &st) == 0;
}

int omt_db_open(const char *path, const struct omt_open *open, uint32_t flags, omen_db **db_out)
{
    *db_out = NULL;
    omen_options o = {.struct_bytes = sizeof(o)};
    if (open->options != NULL) {
        omen_err err = omen_options_from_string(open->options, &o);
        if (err != OMEN_OK)
            return omt_tell("--options", err);
    }
    if (open->memory_bytes != 0)
        o.memory_bytes = open->memory_bytes;
    o.flags |= flags;
    omen_err err = omen_open(path, &o, db_out);
    /* In the words of the command line. A database without CURRENT is OMEN_CORRUPT. */
    bool none = err == OMEN_NOT_FOUND || err == OMEN_INVALID;
    if ((flags & OMEN_CREATE_IF_MISSING) == 0 && none && !has_current(path)) {
        fprintf(stderr,
                "omendb: %s holds no database; check the path, or make one with omendb put or "
                "omendb import\n",
                path);
        return OMT_EXIT_ERROR;
    }
    return err == OMEN_OK ? OMT_EXIT_OK : omt_tell(path, err);
}

int omt_db_close(omen_db *db, int result)
{
    omen_err err = omen_close(db);
    if (err == OMEN_OK)
        return result;
    int closed = omt_tell("closing", err);
    return result == OMT_EXIT_OK || result == OMT_EXIT_PROBLEM ? closed : result;
}

int omt_stdout_end(int result)
{
    if (fflush(stdout) == 0 && ferror(stdout) == 0)
        return result;
    if (errno == EPIPE) /* the reader has seen enough */
        return result;
    fprintf(stderr, "omendb: writing the output: %s; check the disk or the pipe\n",
            strerror(errno));
    return result == OMT_EXIT_OK || result == OMT_EXIT_PROBLEM ? OMT_EXIT_ERROR : result;
}

bool omt_form_of(const char *command, const struct omt_form_flags *flags, enum omt_form *form_out)
{
    if (flags->hex + flags->escape + flags->base64 > 1) {
        omt_usage(command, "--hex, --escape and --base64 exclude each other");
        return false;
    }
    *form_out = flags->hex      ? OMT_HEX
                : flags->escape ? OMT_ESCAPE
                : flags->base64 ? OMT_BASE64
                                : OMT_RAW;
    return true;
}

bool omt_argument(const char *command, enum omt_form form, const char *text, struct omt_bytes *out)
{
    const char *why = NULL;
    out->size = 0;
    if (omt_decode(form, text, strlen(text), out, &why))
        return true;
    fprintf(stderr, "omendb: %s: \"%.60s\" holds %s; see omendb %s --help\n", command, text, why,
            command);
    return false;
}

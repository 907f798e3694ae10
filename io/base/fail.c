#include "io/base/fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FAIL_TEXT_BYTES = 512 };
static _Thread_local char fail_text[FAIL_TEXT_BYTES];

static const struct {
    omen_err code;
    const char *name;
} names[] = {
    {OMEN_OK, "OMEN_OK"},
    {OMEN_NOT_FOUND, "OMEN_NOT_FOUND"},
    {OMEN_INVALID, "OMEN_INVALID"},
    {OMEN_UNSUPPORTED, "OMEN_UNSUPPORTED"},
    {OMEN_BUSY, "OMEN_BUSY"},
    {OMEN_EXISTS, "OMEN_EXISTS"},
    {OMEN_ABORTED, "OMEN_ABORTED"},
    {OMEN_IO, "OMEN_IO"},
    {OMEN_NO_MEMORY, "OMEN_NO_MEMORY"},
    {OMEN_FULL, "OMEN_FULL"},
    {OMEN_READ_ONLY, "OMEN_READ_ONLY"},
    {OMEN_UNKNOWN, "OMEN_UNKNOWN"},
    {OMEN_CORRUPT, "OMEN_CORRUPT"},
};

const char *omen_err_name(omen_err err)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (names[i].code == err)
            return names[i].name;
    return "OMEN_ERR_UNNAMED";
}

const char *omen_last_error(void)
{
    return fail_text;
}

const char *omen_version(void)
{
    return "0.1.0";
}

void omen_free(void *text)
{
    free(text);
}

omen_err omi_fail(omen_err code, int errnum, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int used = vsnprintf(fail_text, sizeof(fail_text), format, args);
    va_end(args);
    if (errnum != 0 && used >= 0 && (size_t)used < sizeof(fail_text)) {
        char reason[128];
        const char *words = reason;
#if defined(__GLIBC__) && defined(_GNU_SOURCE)
        words = strerror_r(errnum, reason, sizeof(reason));
#else
        if (strerror_r(errnum, reason, sizeof(reason)) != 0)
            words = "unnamed system error";
#endif
        snprintf(fail_text + used, sizeof(fail_text) - (size_t)used, ": %s", words);
    }
    return code;
}

omen_err omi_fail_again(omen_err code, const char *text)
{
    snprintf(fail_text, sizeof(fail_text), "%s", text);
    return code;
}

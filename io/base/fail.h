/*
 * fail.h - where an error code gets its words.
 * Each thread has one fixed buffer; no allocation, so it also works when memory is short.
 * Call omi_fail once, where the failure is first seen; callers pass the code up untouched.
 */
#ifndef OMI_FAIL_H
#define OMI_FAIL_H

#include "lsm/omendb.h"

#include <inttypes.h>

/* Records "name: words (strerror)" for omen_last_error() and returns code. errnum 0: no system
 * error to name. Never pass OMEN_OK. */
omen_err omi_fail(omen_err code, int errnum, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* For a failure on the way out of another one, which is the one to tell. */
static inline void omi_ignore(omen_err err)
{
    (void)err;
}
/* Records text that another thread's failure left behind, unchanged. */
omen_err omi_fail_again(omen_err code, const char *text);

#endif

#include "lsm/file_kind.h"

#include "lsm/table.h"

#include <stdio.h>
#include <stdlib.h>

enum { NAME_BYTES = OMI_FILE_NAME_BYTES + 16 };

static bool is_fixed(const char *name)
{
    static const char *const fixed[] = {"CURRENT", "LOCK",       "LOG",         "LOG.old",
                                        "RESERVE", "STATS",      "CURRENT.tmp", "STATS.tmp",
                                        "SAMPLE",  "SAMPLE.tmp", "TELEMETRY",   "TELEMETRY.tmp"};
    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (strcmp(name, fixed[i]) == 0)
            return true;
    return false;
}

/* A name counts only as it would be written: "7.sst" is not ours. */
static enum omi_file_kind numbered_kind(const char *name, uint64_t *number_out)
{
    static const enum omi_file_kind kinds[] = {OMI_FILE_MANIFEST, OMI_FILE_TABLE, OMI_FILE_LOG};
    const char *digits = strncmp(name, "MANIFEST-", 9) == 0 ? name + 9 : name;
    char canonical[3][NAME_BYTES];
    if (*digits < '0' || *digits > '9')
        return OMI_FILE_OTHER;
    *number_out = strtoull(digits, NULL, 10);
    if (*number_out > OMI_NUMBER_MAX) {
        *number_out = 0;
        return OMI_FILE_OTHER;
    }
    snprintf(canonical[0], NAME_BYTES, "MANIFEST-%06" PRIu64, *number_out);
    snprintf(canonical[1], NAME_BYTES, "%06" PRIu64 ".sst", *number_out);
    snprintf(canonical[2], NAME_BYTES, "%06" PRIu64 ".log", *number_out);
    for (size_t i = 0; i < 3; i++)
        if (strcmp(canonical[i], name) == 0)
            return kinds[i];
    *number_out = 0;
    return OMI_FILE_OTHER;
}

static enum omi_file_kind plain_kind(const char *name, uint64_t *number_out)
{
    *number_out = 0;
    return is_fixed(name) ? OMI_FILE_OURS : numbered_kind(name, number_out);
}

enum omi_file_kind omi_file_kind(const char *name, uint64_t *number_out)
{
    size_t size = strlen(name), bad = strlen(OMI_BAD_SUFFIX);
    char plain[NAME_BYTES];
    *number_out = 0;
    if (size >= sizeof(plain))
        return OMI_FILE_OTHER;
    if (size <= bad || strcmp(name + size - bad, OMI_BAD_SUFFIX) != 0)
        return plain_kind(name, number_out);
    memcpy(plain, name, size - bad);
    plain[size - bad] = 0;
    return plain_kind(plain, number_out) != OMI_FILE_OTHER ? OMI_FILE_BAD : OMI_FILE_OTHER;
}

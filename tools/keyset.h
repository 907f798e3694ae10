/*
 * keyset.h - sorted, distinct key sets of many shapes, for measuring and for tests; made from a
 * seed, or read from a file with one key a line.
 */
#ifndef OMT_KEYSET_H
#define OMT_KEYSET_H

#include <stddef.h>
#include <stdint.h>

struct omt_key {
    const uint8_t *data;
    uint32_t size;
};

struct omt_keyset {
    struct omt_key *keys; /* ascending, distinct */
    size_t count;
    uint8_t *bytes;
};

/* "be64 decimal ycsb ...", for help texts. */
const char *omt_keyset_names(void);
/* About count keys (fewer where equal ones fell together). 0, or -1 with a message in *why_out
 * (static text): an unknown name, or no memory. */
int omt_keyset_make(const char *name, size_t count, uint64_t seed, struct omt_keyset *out,
                    const char **why_out);
/* One key a line, without the line end; empty lines are skipped. */
int omt_keyset_load(const char *path, struct omt_keyset *out, const char **why_out);
void omt_keyset_free(struct omt_keyset *set);

#endif

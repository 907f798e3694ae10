/*
 * made_table.h - small real tables for targets and seeds: what the engine itself writes.
 */
#ifndef OMI_FUZZ_MADE_TABLE_H
#define OMI_FUZZ_MADE_TABLE_H

#include "lsm/table.h"
#include "tests/fuzz/fuzz.h"
#include "tests/model.h"

struct sample_env {
    struct omi_env *env;
    struct omi_dir *dir;
    struct omi_table_env tenv;
};
void sample_env_init(struct sample_env *e);
void sample_env_fini(struct sample_env *e); /* nothing is held any more */

/* Compares from the last byte to the first: a user's order that no table may take for bytewise. */
extern const omen_comparator sample_backwards;

struct sample_params {
    enum key_family family;
    uint32_t from, count; /* key numbers; each third key has two versions, each ninth is deleted */
    size_t value_max;
    struct omi_table_params table;
    uint32_t crowd; /* versions of each 16th key, if not 0 */
    bool has_large; /* each fifth value is of value_max */
};
/* Writes NNNNNN.sst; returns its size. info_out may be NULL. */
uint64_t sample_table(struct sample_env *e, uint64_t number, const struct sample_params *p,
                      struct omi_index_info *info_out);

/* One environment for the whole process, with tables 1 to SAMPLE_TABLES of disjoint "userN" keys. */
enum { SAMPLE_TABLES = 8 };
struct sample_env *sample_env_shared(void);
/* Makes the present names durable, so that the simulated disk forgets what came before. */
void sample_env_settle(struct sample_env *e);

#endif

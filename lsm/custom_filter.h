/*
 * custom_filter.h - the filter of a user's policy (omen_filter_policy) as a section of a table.
 * Path:    table builder -> build; table open -> open; get -> run -> may_hold -> block index.
 *
 * Filter section, format 2, kind OMI_FILTER_CUSTOM (docs/format-filter.md):
 *   off len field
 *     0   1 format, 2
 *     1   1 kind, 4
 *     2   2 name_size, 1 to 255
 *     4   4 head_bytes: 64 + name_size, rounded up to 8; the payload starts there
 *     8   8 check: XXH3 of [16,end), seeded with XXH3 of [0,8) seeded with the section's size
 *    16   8 payload_size; the section ends with it
 *    24  12 zero
 *    36   4 key_count, distinct
 *    40  24 zero
 *    64     name, zeros to head_bytes, payload
 *
 * What the policy answers is obeyed only as far as it can be checked: every key of a table is asked
 * of the bytes as they are written, and a table whose filter denies one has none.
 * Units:   bytes; keys are distinct user keys, deleted ones too.
 * Owner:   bytes and policies are borrowed; the policy lives as long as the table env.
 * Errors:  what the policy refuses is no error: counted in the env, and told in LOG.
 * Threads: may_hold from any; the policy answers for its own safety.
 */
#ifndef OMI_CUSTOM_FILTER_H
#define OMI_CUSTOM_FILTER_H

#include "lsm/table.h"

struct omi_custom_filter {
    const omen_filter_policy *policy; /* NULL: the section is another policy's, "maybe" */
    omen_slice name, payload;
    uint32_t key_count;
};

/* Appends a section for the keys of table where, or nothing when the policy has no filter for them
 * or denies one. OMEN_NO_MEMORY for our own needs alone. out->size is a multiple of 8. */
OMEN_MUST_CHECK omen_err omi_custom_filter_build(struct omi_table_env *tenv, const char *where,
                                                 const struct omi_filter_input *input,
                                                 struct omi_buf *out);

/* Do these first bytes say that a section is a user's? */
bool omi_custom_filter_is(const uint8_t *section, size_t size);
/* Bytes that may be anything; 8-byte aligned, as the payload will be. OMEN_CORRUPT. */
OMEN_MUST_CHECK omen_err omi_custom_filter_decode(const uint8_t *section, size_t size,
                                                  struct omi_custom_filter *filter_out);
/* From the first bytes of a section of size, its whole head or more: what it says, not checked. */
OMEN_MUST_CHECK omen_err omi_custom_filter_peek(const uint8_t *first, size_t first_size,
                                                size_t size, struct omi_custom_filter *filter_out);
/* Has it the name of the open policy? */
bool omi_custom_filter_ours(const struct omi_table_env *tenv,
                            const struct omi_custom_filter *filter);
/* Decodes, and finds out whether the section is the open policy's. */
OMEN_MUST_CHECK omen_err omi_custom_filter_open(struct omi_table_env *tenv, const char *where,
                                                const uint8_t *section, size_t size,
                                                struct omi_custom_filter *filter_out);
bool omi_custom_filter_may_hold(const struct omi_custom_filter *filter, omen_slice key);
/* Its size and keys; what it promises only its maker knows. */
void omi_custom_filter_describe(const struct omi_custom_filter *filter,
                                struct omi_filter_info *info_out);

/* A policy's copy: name of its own. OMEN_NO_MEMORY. fini frees the name. */
OMEN_MUST_CHECK omen_err omi_filter_policy_copy(const omen_filter_policy *from,
                                                omen_filter_policy *to);
void omi_filter_policy_fini(omen_filter_policy *policy);

#endif

#include "lsm/custom_filter.h"

#include "io/base/coding.h"
#include "io/base/hash.h"
#include "lsm/log_file.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 2, NAME_MAX_BYTES = 255, ALIGN = 8, CHECK_OFF = 8, PAYLOAD_MAX_BYTES = 1 << 30 };

/* ---- the policy itself ----------------------------------------------------------------------- */

omen_err omi_filter_policy_copy(const omen_filter_policy *from, omen_filter_policy *to)
{
    *to = *from;
    to->name = strdup(from->name);
    return to->name != NULL ? OMEN_OK : omi_fail(OMEN_NO_MEMORY, 0, "a filter policy's name");
}

void omi_filter_policy_fini(omen_filter_policy *policy)
{
    free((void *)(uintptr_t)policy->name);
    policy->name = NULL;
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static size_t head_size(size_t name_size)
{
    return (OMI_FILTER_HEADER_BYTES + name_size + ALIGN - 1) / ALIGN * ALIGN;
}

static uint64_t section_check(const uint8_t *section, size_t size)
{
    uint64_t first = omi_checksum(section, CHECK_OFF, size);
    return omi_checksum(section + CHECK_OFF + 8, size - CHECK_OFF - 8, first);
}

/* ---- building -------------------------------------------------------------------------------- */

static omen_err distinct_keys(const struct omi_filter_input *input, omen_slice **keys_out,
                              uint32_t *count_out)
{
    omen_slice *keys = malloc(input->count * sizeof(*keys));
    if (keys == NULL)
        return omi_fail(OMEN_NO_MEMORY, 0, "a list of %u keys for the filter policy", input->count);
    uint32_t n = 0;
    for (uint32_t i = 0; i < input->count; i++) {
        const struct omi_index_key *k = &input->keys[i];
        if (n == 0 || !omi_bytes_equal(keys[n - 1].data, keys[n - 1].size, k->key, k->key_size))
            keys[n++] = omi_slice(k->key, k->key_size);
    }
    *keys_out = keys;
    *count_out = n;
    return OMEN_OK;
}

static omen_err head_reserve(const omen_filter_policy *policy, struct omi_buf *out)
{
    size_t name_size = strlen(policy->name), head = head_size(name_size);
    omen_err err = omi_buf_reserve(out, head);
    if (err != OMEN_OK)
        return err;
    memset(out->data + out->size, 0, head);
    memcpy(out->data + out->size + OMI_FILTER_HEADER_BYTES, policy->name, name_size);
    out->size += head;
    return OMEN_OK;
}

static void head_fill(const omen_filter_policy *policy, uint32_t key_count, uint8_t *section,
                      size_t size)
{
    size_t name_size = strlen(policy->name), head = head_size(name_size);
    section[0] = FORMAT;
    section[1] = OMI_FILTER_CUSTOM;
    omi_put_u16(section + 2, (uint16_t)name_size);
    omi_put_u32(section + 4, (uint32_t)head);
    omi_put_u64(section + 16, size - head);
    omi_put_u32(section + 36, key_count);
    omi_put_u64(section + 8, section_check(section, size));
}

/* Where a policy's bytes go. A failure sticks, whatever the policy makes of it. */
struct sink {
    struct omi_buf *out;
    size_t start;
    bool failed;
};

static int sink_append(void *ctx, const void *bytes, size_t size)
{
    struct sink *s = ctx;
    if (s->failed || size > PAYLOAD_MAX_BYTES || s->out->size - s->start > PAYLOAD_MAX_BYTES - size)
        s->failed = true;
    else if (size != 0)
        s->failed = omi_buf_append(s->out, bytes, size) != OMEN_OK;
    return s->failed ? -1 : 0;
}

static void tell_declined(struct omi_table_env *tenv, const char *where, bool was_sink)
{
    if (atomic_fetch_add(&tenv->filters_declined, 1) == 0)
        omi_say(tenv->log, 1, "%s: filter policy %s %s; it has none (more are only counted)", where,
                tenv->filter_policy->name,
                was_sink ? "gave more bytes than there is room for" : "made no filter");
}

/* Keys that the filter in section denies. */
static uint32_t count_denied(const omen_filter_policy *policy, const uint8_t *section, size_t size,
                             const omen_slice *keys, uint32_t count)
{
    size_t head = head_size(strlen(policy->name));
    struct omi_custom_filter f = {.policy = policy,
                                  .payload = omi_slice(section + head, size - head)};
    uint32_t denied = 0;
    for (uint32_t i = 0; i < count; i++)
        denied += !omi_custom_filter_may_hold(&f, keys[i]);
    return denied;
}

/* What the policy makes of keys, or nothing. */
static void build_checked(struct omi_table_env *tenv, const char *where, const omen_slice *keys,
                          uint32_t count, struct omi_buf *out)
{
    const omen_filter_policy *policy = tenv->filter_policy;
    size_t head = head_size(strlen(policy->name)), start = out->size - head;
    struct sink sink = {.out = out, .start = out->size};
    int refused = policy->build(policy->context, count, keys, &sink, sink_append);
    if (refused != 0 || sink.failed) {
        tell_declined(tenv, where, sink.failed);
        out->size = start;
        return;
    }
    head_fill(policy, count, out->data + start, out->size - start);
    uint32_t denied = count_denied(policy, out->data + start, out->size - start, keys, count);
    if (denied == 0)
        return;
    atomic_fetch_add(&tenv->filters_wrong, 1);
    omi_say(tenv->log, 0,
            "%s: the filter of policy %s denies %u of the %u keys it was made of, and is not kept",
            where, policy->name, denied, count);
    out->size = start;
}

omen_err omi_custom_filter_build(struct omi_table_env *tenv, const char *where,
                                 const struct omi_filter_input *input, struct omi_buf *out)
{
    omen_slice *keys = NULL;
    uint32_t count = 0;
    omen_err err = distinct_keys(input, &keys, &count);
    if (err == OMEN_OK)
        err = head_reserve(tenv->filter_policy, out);
    if (err == OMEN_OK)
        build_checked(tenv, where, keys, count, out);
    free(keys);
    return err;
}

/* ---- opening --------------------------------------------------------------------------------- */

bool omi_custom_filter_is(const uint8_t *section, size_t size)
{
    return size >= OMI_FILTER_HEADER_BYTES && section[0] == FORMAT &&
           section[1] == OMI_FILTER_CUSTOM;
}

omen_err omi_custom_filter_peek(const uint8_t *first, size_t first_size, size_t size,
                                struct omi_custom_filter *f)
{
    *f = (struct omi_custom_filter){0};
    if (!omi_custom_filter_is(first, first_size))
        return omi_fail(OMEN_CORRUPT, 0, "a section of %zu bytes that is no policy's filter", size);
    size_t name_size = omi_get_u16(first + 2), head = head_size(name_size);
    if (name_size < 1 || name_size > NAME_MAX_BYTES || omi_get_u32(first + 4) != head ||
        size < head || first_size < head || omi_get_u64(first + 16) != size - head)
        return omi_fail(OMEN_CORRUPT, 0, "a policy's filter whose sizes do not add up");
    f->name = omi_slice(first + OMI_FILTER_HEADER_BYTES, name_size);
    f->payload = omi_slice(first + head, size - head);
    f->key_count = omi_get_u32(first + 36);
    return OMEN_OK;
}

omen_err omi_custom_filter_decode(const uint8_t *section, size_t size, struct omi_custom_filter *f)
{
    omen_err err = omi_custom_filter_peek(section, size, size, f);
    if (err == OMEN_OK && omi_get_u64(section + 8) != section_check(section, size))
        err = omi_fail(OMEN_CORRUPT, 0, "a policy's filter does not match its check");
    if (err != OMEN_OK)
        *f = (struct omi_custom_filter){0};
    return err;
}

bool omi_custom_filter_ours(const struct omi_table_env *tenv, const struct omi_custom_filter *f)
{
    const omen_filter_policy *policy = tenv->filter_policy;
    return policy != NULL &&
           omi_bytes_equal(f->name.data, f->name.size, policy->name, strlen(policy->name));
}

omen_err omi_custom_filter_open(struct omi_table_env *tenv, const char *where,
                                const uint8_t *section, size_t size, struct omi_custom_filter *f)
{
    omen_err err = omi_custom_filter_decode(section, size, f);
    if (err != OMEN_OK)
        return err;
    const omen_filter_policy *policy = tenv->filter_policy;
    if (omi_custom_filter_ours(tenv, f))
        f->policy = policy;
    else if (atomic_fetch_add(&tenv->filters_foreign, 1) == 0)
        omi_say(tenv->log, 1,
                "%s has a filter of policy %.*s, and %s is open: such filters are not asked until "
                "their tables are merged (more are only counted)",
                where, (int)f->name.size, (const char *)f->name.data,
                policy != NULL ? policy->name : "no policy");
    return OMEN_OK;
}

bool omi_custom_filter_may_hold(const struct omi_custom_filter *f, omen_slice key)
{
    return f->policy == NULL || f->policy->may_hold(f->policy->context, f->payload, key) != 0;
}

void omi_custom_filter_describe(const struct omi_custom_filter *f, struct omi_filter_info *info)
{
    size_t head = head_size(f->name.size);
    *info = (struct omi_filter_info){.kind = OMI_FILTER_CUSTOM,
                                     .why = OMI_FILTER_WHY_ASKED,
                                     .keys = f->key_count,
                                     .bytes = head + f->payload.size,
                                     .head_bytes = head,
                                     .parts = 1,
                                     .regions = 1,
                                     .promised_fpr = 1,
                                     .keylike_fpr = 1,
                                     .plain_fpr = 1};
}

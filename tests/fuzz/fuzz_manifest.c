/*
 * fuzz_manifest.c - reading a manifest and applying its edits to versions. The input is the file.
 * Tables 1 to 8 are there, so that edits that name them can be applied.
 */
#include "lsm/version.h"
#include "tests/fuzz/made_table.h"
#include "tests/fuzz/mend.h"

struct state {
    struct omi_table_env *tenv;
    struct omi_version *version;
    bool refused; /* an edit did not apply: the rest is only decoded */
};

/* What was decoded must survive being written and read again. */
static void round_trip(struct omi_edit *edit)
{
    struct omi_buf first = {0}, second = {0};
    struct omi_edit again;
    FUZZ_OK(omi_edit_encode(edit, &first));
    FUZZ_OK(omi_edit_decode(first.data, first.size, "again", &again));
    FUZZ_OK(omi_edit_encode(&again, &second));
    FUZZ_CHECK(omi_bytes_equal(first.data, first.size, second.data, second.size));
    omi_edit_fini(&again);
    omi_buf_fini(&first);
    omi_buf_fini(&second);
}

static omen_err apply(void *ctx, struct omi_edit *edit)
{
    struct state *s = ctx;
    struct omi_version *next = NULL;
    round_trip(edit);
    if (s->refused)
        return OMEN_OK;
    if (omi_version_apply(s->version, edit, s->tenv, NULL, &next) != OMEN_OK) {
        s->refused = true;
        return OMEN_OK;
    }
    omi_version_unref(s->version);
    s->version = next;
    return OMEN_OK;
}

static void look(struct omi_version *v, const struct omi_order *order)
{
    static const char *const keys[] = {"", "a", "key0010", "key0555", "key9999", "\xff\xff"};
    struct omi_edit edit = {0};
    for (uint32_t i = 0; i < v->run_count; i++)
        for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++)
            FUZZ_CHECK(omi_run_find(&v->runs[i], order, omi_slice(keys[k], strlen(keys[k]))) <
                       v->runs[i].table_count);
    FUZZ_OK(omi_version_snapshot(v, &edit));
    round_trip(&edit);
    omi_edit_fini(&edit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sample_env *e = sample_env_shared();
    struct state s = {.tenv = &e->tenv};
    uint64_t number = 0;
    fuzz_file_write(e->dir, "MANIFEST-000009", data, size);
    fuzz_file_write(e->dir, "CURRENT", "MANIFEST-000009\n", 16);
    omi_ignore(omi_manifest_read(e->dir, apply, &s, &number));
    FUZZ_CHECK(number == 9);
    if (s.version != NULL)
        look(s.version, &e->tenv.order);
    omi_version_unref(s.version);
    FUZZ_CHECK(omi_cache_pinned(e->tenv.cache) == 0);
    sample_env_settle(e);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (seed % 8 != 0)
        mend_manifest(data, size);
    return size;
}

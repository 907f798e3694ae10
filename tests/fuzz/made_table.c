#include "tests/fuzz/made_table.h"

#include <stdlib.h>
#include <string.h>

void sample_env_init(struct sample_env *e)
{
    memset(e, 0, sizeof(*e));
    e->env = fuzz_env_create(&e->dir);
    e->tenv.env = e->env;
    e->tenv.dir = e->dir;
    FUZZ_OK(omi_cache_create(64 << 10, &e->tenv.cache));
}

void sample_env_fini(struct sample_env *e)
{
    FUZZ_CHECK(omi_cache_pinned(e->tenv.cache) == 0);
    for (int k = 0; k < OMI_EXTENT_KINDS; k++)
        FUZZ_CHECK(e->tenv.extents.bytes[k] == 0);
    FUZZ_CHECK(e->tenv.open_metadata_bytes == 0);
    omi_cache_destroy(e->tenv.cache);
    fuzz_env_destroy(e->env, e->dir);
}

static int compare_backwards(void *context, omen_slice a, omen_slice b)
{
    const uint8_t *x = a.data, *y = b.data;
    (void)context;
    while (a.size > 0 && b.size > 0) {
        uint8_t p = x[--a.size], q = y[--b.size];
        if (p != q)
            return p < q ? -1 : 1;
    }
    return (a.size > 0) - (b.size > 0);
}

const omen_comparator sample_backwards = {"backwards", compare_backwards, NULL};

/* ---- tables ---------------------------------------------------------------------------------- */

struct key {
    uint8_t bytes[MODEL_KEY_BYTES_MAX];
    size_t size;
    uint32_t number;
};

static const struct omi_order *sort_order;
static int compare_items(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    return omi_key_compare(sort_order, omi_slice(x->bytes, x->size), omi_slice(y->bytes, y->size));
}

static uint32_t versions_of(const struct sample_params *p, uint32_t number)
{
    return p->crowd != 0 && number % 16 == 5 ? p->crowd : number % 3 == 0 ? 2 : 1;
}

static void add_versions(struct omi_table_builder *b, const struct sample_params *p,
                         const struct key *k, uint8_t *value)
{
    for (uint32_t version = versions_of(p, k->number); version-- > 0;) {
        unsigned kind = k->number % 9 == 0 && version == 1 ? OMI_KIND_DELETE : OMI_KIND_PUT;
        uint64_t id = (uint64_t)k->number * 1024 + version;
        size_t size =
            p->has_large && k->number % 5 == 0 ? p->value_max : value_size(id, p->value_max);
        if (kind == OMI_KIND_DELETE)
            size = 0;
        value_make(id, size, value);
        struct omi_entry e = {k->bytes, value, omi_trailer(id + 1, kind), (uint32_t)k->size,
                              (uint32_t)size};
        FUZZ_OK(omi_table_builder_add(b, &e));
    }
}

uint64_t sample_table(struct sample_env *e, uint64_t number, const struct sample_params *p,
                      struct omi_index_info *info_out)
{
    struct key *keys = calloc(p->count, sizeof(*keys));
    uint8_t *value = malloc(p->value_max + 1);
    FUZZ_CHECK(keys != NULL && value != NULL);
    for (uint32_t i = 0; i < p->count; i++) {
        keys[i].number = p->from + i;
        keys[i].size = key_make(p->family, p->from + i, keys[i].bytes);
    }
    sort_order = &e->tenv.order;
    qsort(keys, p->count, sizeof(*keys), compare_items);
    struct omi_table_builder *b;
    struct omi_table_props props;
    FUZZ_OK(omi_table_builder_create(&e->tenv, &p->table, &b));
    for (uint32_t i = 0; i < p->count; i++)
        add_versions(b, p, &keys[i], value);
    FUZZ_OK(omi_table_builder_finish(b, number, &props));
    uint64_t bytes = props.file_bytes;
    if (info_out != NULL)
        *info_out = props.index;
    omi_table_props_fini(&props);
    omi_table_builder_destroy(b);
    free(value);
    free(keys);
    return bytes;
}

/* ---- one for the process --------------------------------------------------------------------- */

static struct sample_env shared;

static void shared_end(void)
{
    sample_env_fini(&shared);
}

struct sample_env *sample_env_shared(void)
{
    if (shared.env != NULL)
        return &shared;
    sample_env_init(&shared);
    for (uint32_t i = 0; i < SAMPLE_TABLES; i++) {
        struct sample_params p = {.family = KEYS_BE64,
                                  .from = i * 100,
                                  .count = 12,
                                  .value_max = 20,
                                  .table = {.block_bytes = 1024, .filter_bits = 10}};
        (void)sample_table(&shared, 1 + i, &p, NULL);
    }
    sample_env_settle(&shared);
    FUZZ_CHECK(atexit(shared_end) == 0);
    return &shared;
}

void sample_env_settle(struct sample_env *e)
{
    FUZZ_OK(omi_dir_sync(e->dir));
}

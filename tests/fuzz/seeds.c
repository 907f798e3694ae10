/*
 * seeds.c - writes starting corpora: OUT/TARGET/NAME, from files that the engine itself makes.
 *
 *   seeds OUT
 */
#include "io/base/coding.h"
#include "io/base/hash.h"
#include "lsm/db.h"
#include "lsm/sample_file.h"
#include "lsm/table_format.h"
#include "lsm/telemetry_file.h"
#include "lsm/trace_format.h"
#include "tests/filter_cases.h"
#include "tests/fuzz/image.h"
#include "tests/fuzz/made_table.h"
#include "tests/fuzz/mend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { INPUT_MAX = 1 << 20, FILE_MAX = 1 << 20 };

static const char *out_path;

static void save(const char *target, const char *name, const uint8_t *bytes, size_t size)
{
    char path[1024];
    snprintf(path, sizeof(path), "%s/%s", out_path, target);
    (void)mkdir(path, 0777);
    snprintf(path, sizeof(path), "%s/%s/%s", out_path, target, name);
    FILE *f = fopen(path, "wb");
    if (f == NULL || fwrite(bytes, 1, size, f) != size || fclose(f) != 0)
        fail_now("%s cannot be written", path);
}

/* ---- tables, and what is in them ------------------------------------------------------------- */

static void save_section(const uint8_t *file, uint64_t size, enum omi_table_section which,
                         bool backwards, const char *name)
{
    static uint8_t input[FILE_MAX];
    struct omi_table_footer f;
    FUZZ_OK(omi_table_footer_decode(file + size - OMI_TABLE_FOOTER_BYTES, size, "seed", &f));
    const struct omi_section_place *s = &f.sections[which];
    if (s->size == 0)
        return;
    if (which == OMI_SECTION_FILTER || which == OMI_SECTION_RANGE_FILTER) {
        input[0] = 0;
        memcpy(input + 1, file + s->off, s->size);
        save(which == OMI_SECTION_FILTER ? "fuzz_filter" : "fuzz_range_filter", name, input,
             1 + s->size);
        return;
    }
    input[0] = backwards;
    omi_put_u32(input + 1, (uint32_t)(f.data_end / 64));
    memcpy(input + 5, file + s->off, s->size);
    save("fuzz_index", name, input, 5 + s->size);
}

/* The index has many ways; each must begin with a seed. */
static bool have_keyed, have_keyed_restarts, have_explicit_restarts;

static void note_index(const struct omi_index_info *x)
{
    have_keyed = have_keyed || (!x->is_explicit && x->keyed_cuts != 0);
    have_keyed_restarts = have_keyed_restarts || (!x->is_explicit && x->keyed_cuts > 64);
    have_explicit_restarts = have_explicit_restarts || (x->is_explicit && x->blocks > 65);
}

static void save_table(const char *name, const struct sample_params *p, bool backwards)
{
    struct sample_env e;
    uint8_t *bytes;
    size_t size;
    sample_env_init(&e);
    if (backwards)
        e.tenv.order.comparator = &sample_backwards;
    struct omi_index_info info;
    (void)sample_table(&e, 1, p, &info);
    note_index(&info);
    FUZZ_OK(omi_file_read_all(e.dir, "000001.sst", FILE_MAX, &bytes, &size));
    bytes[24] = (uint8_t)(bytes[24] & ~1u) | backwards; /* what fuzz_table goes by */
    mend_table(bytes, size);
    if (size <= 32 << 10)
        save("fuzz_table", name, bytes, size);
    save_section(bytes, size, OMI_SECTION_INDEX, backwards, name);
    save_section(bytes, size, OMI_SECTION_FILTER, backwards, name);
    save_section(bytes, size, OMI_SECTION_RANGE_FILTER, backwards, name);
    free(bytes);
    sample_env_fini(&e);
}

/* ctx: the kind of range filter. */
static omen_err plan_range(void *ctx, omen_slice smallest, omen_slice largest, uint32_t entries,
                           struct omi_range_params *params)
{
    (void)smallest;
    (void)largest;
    (void)entries;
    *params = (struct omi_range_params){.kind = *(const enum omi_range_kind *)ctx, .bits = 12};
    return OMEN_OK;
}

static void save_range_filters(void)
{
    static const struct {
        const char *name;
        enum omi_range_kind kind;
        enum key_family family;
        uint32_t count;
    } tables[] = {{"range-one", OMI_RANGE_NONE, KEYS_USER, 1},
                  {"range-exact", OMI_RANGE_EXACT, KEYS_BE64, 150},
                  {"range-spline", OMI_RANGE_SPLINE, KEYS_BINARY, 150},
                  {"range-hashed", OMI_RANGE_HASHED, KEYS_BINARY, 150},
                  {"range-nested", OMI_RANGE_NONE, KEYS_NESTED, 200},
                  {"range-long-prefix", OMI_RANGE_SPLINE, KEYS_LONG_PREFIX, 60},
                  {"range-many", OMI_RANGE_SPLINE, KEYS_BE64, 4000},
                  {"range-many-hashed", OMI_RANGE_HASHED, KEYS_USER, 4000}};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        enum omi_range_kind kind = tables[i].kind;
        struct sample_params p = {.family = tables[i].family,
                                  .count = tables[i].count,
                                  .value_max = 30,
                                  .table = {.block_bytes = 1024,
                                            .codec = OMEN_CODEC_NONE,
                                            .plan_range = plan_range,
                                            .range_ctx = &kind}};
        save_table(tables[i].name, &p, false);
    }
    uint8_t keys[1 + 60 * 6];
    for (size_t i = 0; i < sizeof(keys); i++)
        keys[i] = i % 6 == 1 ? 5 : (uint8_t)(i % 6 < 4 ? i % 6 : i * 37);
    for (uint8_t kind = 0; kind <= OMI_RANGE_HASHED; kind++) {
        char name[16];
        snprintf(name, sizeof(name), "keys-%u", kind);
        keys[0] = (uint8_t)(8 << 3 | kind << 1 | 1);
        save("fuzz_range_filter", name, keys, sizeof(keys));
    }
}

static void save_tables(void)
{
    static const struct {
        const char *name;
        struct sample_params params;
        bool backwards;
    } tables[] = {
        {"one-entry",
         {KEYS_USER, 1, 1, 10, {1024, OMEN_CODEC_NONE, 10, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"empty-key",
         {KEYS_NESTED, 0, 1, 0, {1024, OMEN_CODEC_NONE, 1, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"numbers",
         {KEYS_BE64, 0, 150, 30, {1024, OMEN_CODEC_NONE, 10, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"users",
         {KEYS_USER, 0, 100, 60, {1024, OMEN_CODEC_NONE, 10, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"nested",
         {KEYS_NESTED, 0, 200, 20, {1024, OMEN_CODEC_NONE, 14, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"long-prefix",
         {KEYS_LONG_PREFIX,
          0,
          60,
          40,
          {1024, OMEN_CODEC_NONE, 0, NULL, NULL, NULL, NULL},
          0,
          false},
         false},
        {"binary",
         {KEYS_BINARY, 0, 150, 30, {1024, OMEN_CODEC_NONE, 10, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"zstd-fast",
         {KEYS_BE64,
          0,
          200,
          60,
          {2048, OMEN_CODEC_ZSTD_FAST, 10, NULL, NULL, NULL, NULL},
          0,
          false},
         false},
        {"zstd",
         {KEYS_USER, 0, 120, 90, {4096, OMEN_CODEC_ZSTD, 10, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"large-values",
         {KEYS_BE64, 0, 20, 4000, {1024, OMEN_CODEC_NONE, 10, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"large-value-zstd",
         {KEYS_BE64, 0, 12, 9000, {1024, OMEN_CODEC_ZSTD, 10, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"wide",
         {KEYS_USER, 0, 40, 1500, {32768, OMEN_CODEC_NONE, 10, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"backwards",
         {KEYS_USER, 0, 80, 30, {1024, OMEN_CODEC_NONE, 10, NULL, NULL, NULL, NULL}, 0, false},
         true},
        {"single-entries",
         {KEYS_BE64, 0, 14, 2500, {1024, OMEN_CODEC_NONE, 10, NULL, NULL, NULL, NULL}, 0, true},
         false},
        {"single-zstd",
         {KEYS_USER, 0, 14, 3000, {1024, OMEN_CODEC_ZSTD, 10, NULL, NULL, NULL, NULL}, 0, true},
         false},
        {"crowds",
         {KEYS_USER, 0, 100, 60, {1024, OMEN_CODEC_NONE, 10, NULL, NULL, NULL, NULL}, 40, false},
         false},
        {"one-crowd",
         {KEYS_BE64, 5, 1, 60, {1024, OMEN_CODEC_NONE, 10, NULL, NULL, NULL, NULL}, 150, false},
         false},
        {"many-crowds",
         {KEYS_USER, 0, 3000, 60, {1024, OMEN_CODEC_NONE, 2, NULL, NULL, NULL, NULL}, 40, false},
         false},
        {"all-crowds",
         {KEYS_USER, 5, 1, 60, {1024, OMEN_CODEC_NONE, 2, NULL, NULL, NULL, NULL}, 2000, false},
         false},
        {"many-backwards",
         {KEYS_USER, 0, 3000, 30, {1024, OMEN_CODEC_NONE, 2, NULL, NULL, NULL, NULL}, 0, false},
         true},
        {"many-blocks",
         {KEYS_USER, 0, 4000, 90, {1024, OMEN_CODEC_NONE, 2, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"many-nested",
         {KEYS_NESTED, 0, 4000, 30, {1024, OMEN_CODEC_NONE, 2, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"many-binary",
         {KEYS_BINARY, 0, 4000, 30, {1024, OMEN_CODEC_NONE, 2, NULL, NULL, NULL, NULL}, 0, false},
         false},
        {"many-numbers",
         {KEYS_BE64, 0, 4000, 30, {1024, OMEN_CODEC_NONE, 2, NULL, NULL, NULL, NULL}, 0, false},
         false},
    };
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        save_table(tables[i].name, &tables[i].params, tables[i].backwards);
    FUZZ_CHECK(have_keyed && have_keyed_restarts && have_explicit_restarts);
}

/* ---- filters --------------------------------------------------------------------------------- */

static void save_filter(const struct case_keys *k, const struct omi_filter_layout *l,
                        const char *name)
{
    static uint8_t input[INPUT_MAX];
    struct omi_filter_input keys = case_input(k);
    struct omi_buf out = {0};
    FUZZ_OK(omi_filter_encode(&keys, l, &out, NULL));
    FUZZ_CHECK(out.size < sizeof(input));
    input[0] = 0;
    memcpy(input + 1, out.data, out.size);
    save("fuzz_filter", name, input, 1 + out.size);
    omi_buf_fini(&out);
}

/* The seed of a layout by dice, and the keys with their lengths. */
static void save_filter_keys(const struct case_keys *k, uint64_t seed, const char *name)
{
    uint8_t input[9 + 64 * 41];
    size_t n = 9;
    input[0] = 3;
    omi_put_u64(input + 1, seed);
    for (uint32_t i = 0; i < k->count && i < 64; i++) {
        size_t size = k->keys[i].key_size < 40 ? k->keys[i].key_size : 40;
        input[n++] = (uint8_t)size;
        if (size != 0)
            memcpy(input + n, k->keys[i].key, size);
        n += size;
    }
    save("fuzz_filter", name, input, n);
}

static void save_filters(void)
{
    static struct case_layout l;
    uint8_t keys[1 + 40 * 8];
    char name[40];
    uint32_t levels = 0, parts = 0, layers = 0, lists = 0, ribbons = 0;
    for (size_t i = 0; i < sizeof(keys); i++)
        keys[i] = (uint8_t)(i * 37);
    keys[0] = 10 << 2 | 1;
    save("fuzz_filter", "keys", keys, sizeof(keys));
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct dice d = {seed};
        struct case_shape shape = case_shape_of(&d);
        struct case_keys k = case_keys_make(&shape, 1 + dice_below(&d, 250), 5, &d);
        struct omi_filter_sample *samples =
            case_samples_make(&k, &shape, SAMPLES_NEIGHBOURS, 20, &d);
        case_layout_make(&k, &d, samples, seed % 2 != 0 ? 20 : 0, &l);
        snprintf(name, sizeof(name), "layout-%u", (unsigned)seed);
        save_filter(&k, &l.layout, name);
        snprintf(name, sizeof(name), "lay-out-%u", (unsigned)seed);
        save_filter_keys(&k, seed, name);
        levels |= l.layout.region_count > 256 ? 4 : l.layout.region_count > 16 ? 2 : 1;
        parts += l.layout.part_bytes != 0;
        layers += l.layout.prefix_bytes != 0;
        lists += l.layout.deny_count != 0;
        ribbons += l.layout.kind == OMI_FILTER_RIBBON;
        free(samples);
        case_keys_free(&k);
    }
    FUZZ_CHECK(levels == 7 && parts != 0 && layers != 0 && lists != 0 && ribbons != 0);
}

/* ---- directories ----------------------------------------------------------------------------- */

struct packing {
    struct omi_dir *dir;
    uint8_t *data;
    size_t size;
    enum image_kind only; /* IMAGE_KINDS: all */
};

static omen_err pack_one(void *ctx, const struct omi_dir_entry *e)
{
    struct packing *p = ctx;
    unsigned number = 0;
    char tail[8] = "";
    enum image_kind kind = IMAGE_OTHER;
    if (sscanf(e->name, "MANIFEST-%u", &number) == 1)
        kind = IMAGE_MANIFEST;
    else if (sscanf(e->name, "%u.%7s", &number, tail) == 2)
        kind = strcmp(tail, "sst") == 0 ? IMAGE_TABLE : IMAGE_LOG;
    else if (strcmp(e->name, "CURRENT") == 0)
        kind = IMAGE_CURRENT;
    if (kind == IMAGE_OTHER || (p->only != IMAGE_KINDS && p->only != kind))
        return OMEN_OK;
    uint8_t *bytes;
    size_t size;
    FUZZ_OK(omi_file_read_all(p->dir, e->name, FILE_MAX, &bytes, &size));
    if (p->only == IMAGE_MANIFEST) {
        memcpy(p->data, bytes, size);
        p->size = size;
    } else {
        FUZZ_CHECK(image_append(p->data, &p->size, INPUT_MAX, kind, number, bytes, size));
    }
    free(bytes);
    return OMEN_OK;
}

static size_t pack(struct omi_env *env, enum image_kind only, uint8_t *data, size_t size)
{
    struct packing p = {.data = data, .size = size, .only = only};
    FUZZ_OK(omi_dir_open(env, fuzz_path, false, &p.dir));
    FUZZ_OK(omi_dir_list(p.dir, pack_one, &p));
    omi_dir_close(p.dir);
    return p.size;
}

/* The directory as it is now, as inputs of all targets that read one. */
static void save_directory(struct omi_env *env, const char *name)
{
    static uint8_t data[INPUT_MAX];
    static unsigned saved;
    /* Reading alone is tried twenty times where a file is damaged: an eighth of the inputs do. */
    data[0] = (uint8_t)(62 | (saved % 2) << 6 | (saved % 8 == 0));
    saved++;
    size_t size = pack(env, IMAGE_KINDS, data, 1);
    if (size <= 32 << 10)
        save("fuzz_dir", name, data, size);
    data[0] = data[1] = 0;
    save("fuzz_wal", name, data, pack(env, IMAGE_LOG, data, 2));
    save("fuzz_manifest", name, data, pack(env, IMAGE_MANIFEST, data, 0));
}

static void put_keys(omen_db *db, enum key_family family, uint32_t from, uint32_t count)
{
    uint8_t key[MODEL_KEY_BYTES_MAX], value[64];
    omen_batch *b;
    FUZZ_OK(omen_batch_create(&b));
    for (uint32_t i = from; i < from + count; i++) {
        omen_slice k = omi_slice(key, key_make(family, i, key));
        value_make(i, sizeof(value), value);
        if (i % 4 == 0)
            FUZZ_OK(omen_delete(db, NULL, k));
        else if (i % 4 == 1)
            FUZZ_OK(omen_batch_put(b, k, omi_slice(value, i % sizeof(value))));
        else
            FUZZ_OK(omen_put(db, NULL, k, omi_slice(value, i % sizeof(value))));
    }
    FUZZ_OK(omen_write(db, NULL, b));
    omen_batch_destroy(b);
}

static void save_life(enum key_family family, const char *text)
{
    struct omi_dir *dir;
    struct omi_env *env = fuzz_env_create(&dir);
    omen_options o = {.struct_bytes = sizeof(o),
                      .flags = OMEN_CREATE_IF_MISSING | OMEN_INLINE_WORK,
                      .memory_bytes = 4u << 20,
                      .memtable_bytes = 64u << 10,
                      .target_file_bytes = 64u << 10,
                      .block_bytes = 1024,
                      .reserve_bytes = OMEN_NONE};
    char name[64];
    omen_db *db;
    FUZZ_OK(omen_options_from_string(text, &o));
    FUZZ_OK(omi_db_open(env, fuzz_path, &o, &db));
    for (uint32_t stage = 0; stage < 3; stage++) {
        put_keys(db, family, stage * 9, 18);
        if (stage != 0) {
            snprintf(name, sizeof(name), "%s-%u-log", key_family_name(family), stage);
            save_directory(env, name);
        }
        if (stage == 1)
            FUZZ_OK(omen_compact(db, NULL, NULL));
        else
            FUZZ_OK(omen_flush(db));
    }
    FUZZ_OK(omen_close(db));
    snprintf(name, sizeof(name), "%s-closed", key_family_name(family));
    save_directory(env, name);
    fuzz_env_destroy(env, dir);
}

/* Edits that the tables of sample_env_shared fit. */
static void save_manifest(void)
{
    struct sample_env *e = sample_env_shared();
    struct omi_manifest *m;
    struct omi_edit edit = {.has = OMI_EDIT_IDENTITY | OMI_EDIT_COUNTERS | OMI_EDIT_FLUSHED |
                                   OMI_EDIT_SHAPE | OMI_EDIT_OPTIONS,
                            .next_number = 20,
                            .next_age = 9,
                            .last_seq = 100};
    uint8_t *bytes;
    size_t size;
    FUZZ_OK(omi_buf_printf(&edit.options, "block_bytes=1024\n"));
    FUZZ_OK(omi_manifest_create(e->dir, 10, &edit, &m));
    omi_edit_fini(&edit);
    for (uint32_t i = 1; i <= SAMPLE_TABLES; i++) {
        struct omi_live_table *t;
        char name[OMI_FILE_NAME_BYTES];
        edit = (struct omi_edit){.has = OMI_EDIT_FLUSHED, .flushed_seq = i};
        omi_table_name(i, name);
        FUZZ_OK(omi_file_read_all(e->dir, name, FILE_MAX, &bytes, &size));
        free(bytes);
        FUZZ_OK(omi_live_table_open(&e->tenv, i, size, &t));
        struct omi_version v = {.run_count = 1};
        struct omi_table *tables[1] = {t->table};
        struct omi_tree_file *files[1] = {&t->meta};
        struct omi_run_view run = {1 + i / 4, 1, i < 4 ? i : 2, tables, files, NULL,
                                   NULL,      0, false};
        v.runs = &run;
        FUZZ_OK(omi_version_snapshot(&v, &edit));
        if (i > 4 && i != 7) /* 3 will have moved */
            FUZZ_OK(omi_edit_remove(&edit, 1, i - 4 < 4 ? i - 4 : 2, i - 4));
        if (i == 4) {
            struct omi_edit_move move = {1, 3, 3, 1, 3};
            FUZZ_OK(omi_edit_move(&edit, &move));
        }
        FUZZ_OK(omi_manifest_append(m, &edit));
        omi_edit_fini(&edit);
        omi_live_table_unref(t);
    }
    FUZZ_OK(omi_manifest_close(m));
    FUZZ_OK(omi_file_read_all(e->dir, "MANIFEST-000010", FILE_MAX, &bytes, &size));
    save("fuzz_manifest", "tables", bytes, size);
    free(bytes);
}

/* A long history of tables that are all gone again. */
static void save_history(void)
{
    enum { TABLES = 70 };
    struct omi_dir *dir;
    struct omi_env *env = fuzz_env_create(&dir);
    struct omi_manifest *m;
    struct omi_edit edit = {
        .has = OMI_EDIT_IDENTITY | OMI_EDIT_COUNTERS, .next_number = 200, .next_age = TABLES + 1};
    FUZZ_OK(omi_manifest_create(dir, 100, &edit, &m));
    for (uint64_t i = 1; i <= TABLES; i++) {
        struct omi_table_props props = {.file_bytes = 1000, .entries = 1};
        edit = (struct omi_edit){0};
        FUZZ_OK(omi_edit_add(&edit, 1, i, i * 3, &props));
        if (i > TABLES / 2)
            FUZZ_OK(omi_edit_remove(&edit, 1, i, (i - TABLES / 2) * 3));
        FUZZ_OK(omi_manifest_append(m, &edit));
        omi_edit_fini(&edit);
    }
    edit = (struct omi_edit){0};
    for (uint64_t i = TABLES / 2 + 1; i <= TABLES; i++)
        FUZZ_OK(omi_edit_remove(&edit, 1, i, i * 3));
    FUZZ_OK(omi_manifest_append(m, &edit));
    omi_edit_fini(&edit);
    FUZZ_OK(omi_manifest_close(m));
    save_directory(env, "history");
    fuzz_env_destroy(env, dir);
}

/* ---- texts and operations -------------------------------------------------------------------- */

static void save_texts(const char *target, const char *const *texts, size_t count, uint8_t first)
{
    uint8_t input[1024];
    char name[32];
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(texts[i]);
        input[0] = (uint8_t)(first + i);
        memcpy(input + 1, texts[i], n);
        snprintf(name, sizeof(name), "text-%zu", i);
        save(target, name, input, 1 + n);
    }
}

static void save_all_texts(void)
{
    static const char *const options[] = {"memory_bytes=64M,goal=space",
                                          "goal=reads\nsize_ratio=4\nruns_3=2\n",
                                          "codec_last=zstd filter_bits=none reserve_bytes=none",
                                          "runs_12=64;sync_interval_ms=10",
                                          "disk=hdd,block_bytes=8KiB,read_only=yes",
                                          "memory_byts=1"};
    /* by form in the low bits and by format above them: lines, CSV, JSON lines */
    static const char *const records[] = {"key\tvalue\nk2\tv2\n",
                                          "6b\t0x7600\n",
                                          "k\\t\\x00\\\\\tv\\n\\0\n",
                                          "a2V5\tdmFsdWU=\n",
                                          "key,value\n\"a,\"\"b\"\"\",\"v\n2\"\r\n",
                                          "6b,76\n",
                                          "\\x00,\\t\n",
                                          "a2V5,\"dg==\"\n",
                                          "{\"key\":\"k\",\"value\":\"v\\n\\u00e9\"}\n",
                                          "{\"key\":\"6b\",\"value\":\"76\",\"x\":[1,{\"y\":2}]}\n",
                                          "{\"value\":\"\\\\x00\",\"key\":\"\\ud83d\\ude00\"}\n\n",
                                          "{\"key_base64\":\"/w==\",\"value_base64\":\"\"}\n"};
    /* spec, label, choice, prices, anything: by turns, as the first byte counts */
    static const char *const json[] = {
        "{\"name\":\"mine\",\"n\":5000,\"entry\":200,\"bits_per_key_total\":12,\"seed\":9,"
        "\"dist\":{\"kind\":\"zipf\",\"theta\":0.5},\"order\":\"near-sorted\",\"inserts\":0.25,"
        "\"deletes\":0.125,\"phases\":[{\"mix\":[1,1,1,1],\"ops\":70,\"scan\":[1,4,16]},"
        "{\"mix\":[2,0,0,0],\"to\":[0,0,0,3]}]}",
        "{\"workload\":\"W1\",\"spec\":\"x\",\"T\":7,\"K\":1,\"Z\":1,\"h\":1,\"cache\":0,\"j_io\":"
        "1,"
        "\"mix\":[0.25,0.25,0.25,0.25],\"cycle_whole\":true,\"levels\":[{\"runs\":1.5}],"
        "\"wall\":{\"j_us\":3,\"session\":\"s\",\"scan_us\":[1,2,3,4]}}",
        "{\"method\":\"lcb\",\"workload\":\"W1\",\"seed\":1,\"budget\":6,\"measured\":14,\"T\":5,"
        "\"K\":1,\"Z\":1,\"h\":12,\"cache\":0,\"j\":2.6,\"j_default\":3.3,\"j_best\":2.6,"
        "\"regret\":0,"
        "\"predicted\":1.0,\"predicted_sd\":0.06,\"kept_default\":false}",
        "{\"read\":1,\"seek\":1.5,\"scan_page\":0.5,\"merge_read\":0.1,\"merge_write\":0.2,"
        "\"probe\":1e-3}",
        "[\"\\u00e4\\ud83d\\ude00\\n\",-1.5e+3,null,[[{}]],true]",
        "{\"like\":\"W12\",\"dist\":\"latest\"}",
    };
    save_texts("fuzz_json", json, sizeof(json) / sizeof(json[0]), 0);
    save_texts("fuzz_options", options, sizeof(options) / sizeof(options[0]), 0);
    save_texts("fuzz_cli", records, sizeof(records) / sizeof(records[0]), 0);
}

static void save_operations(void)
{
    uint8_t input[600];
    struct rng dice = {3};
    char name[32];
    for (size_t i = 0; i < 12; i++) {
        size_t n = 20 + i * 45;
        for (size_t b = 0; b < n; b++)
            input[b] = (uint8_t)rng_next(&dice);
        snprintf(name, sizeof(name), "operations-%zu", i);
        save("fuzz_api", name, input, n);
    }
}

/* ---- what is asked ----------------------------------------------------------------------------- */

static void save_sample(const char *name, uint32_t gets, uint32_t scans, uint32_t tables)
{
    static uint8_t input[INPUT_MAX];
    struct omi_sample *s;
    struct omi_sample_image image = {.table_count = tables};
    struct omi_buf out = {0};
    uint8_t key[MODEL_KEY_BYTES_MAX];
    FUZZ_OK(omi_sample_create(1024, 256, &s));
    for (uint32_t i = 0; i < gets; i++) {
        size_t n = key_make((enum key_family)(i % KEY_FAMILIES), i, key);
        omi_sample_get(s, 0, omi_slice(key, n), omi_key_hash(key, n),
                       i % 4 == 0 ? OMI_SAMPLE_MISS : i % 4, i);
    }
    for (uint32_t i = 0; i < scans; i++) {
        size_t n = key_make((enum key_family)(i % KEY_FAMILIES), i, key);
        omi_sample_scan(s, 0, omi_slice(key, n / 2), omi_slice(key, n));
    }
    FUZZ_OK(omi_sample_copy(s, &image.rings));
    image.tables = calloc(tables + 1, sizeof(*image.tables));
    FUZZ_CHECK(image.tables != NULL);
    for (uint32_t i = 0; i < tables; i++)
        image.tables[i] = (struct omi_table_counts){i * 3, i * 100, i * 90, i};
    FUZZ_OK(omi_sample_encode(&image, &out));
    char fitted[64];
    input[0] = 0;
    memcpy(input + 1, out.data, out.size);
    save("fuzz_sample", name, input, 1 + out.size);
    input[0] = 1;
    snprintf(fitted, sizeof(fitted), "fitted-%s", name);
    save("fuzz_sample", fitted, input, 1 + out.size - 8);
    omi_buf_fini(&out);
    omi_sample_image_fini(&image);
    omi_sample_destroy(s);
}

static void save_samples(void)
{
    save_sample("nothing", 0, 0, 0);
    save_sample("gets", 12, 0, 0);
    save_sample("scans", 0, 5, 0);
    save_sample("tables", 0, 0, 9);
    save_sample("all", 15, 7, 4);
    save_sample("more-than-fit", 100, 40, 2);
}

static void save_telemetry(const char *name, uint32_t windows, uint32_t keys)
{
    static uint8_t input[INPUT_MAX];
    static struct omi_telemetry_image image;
    struct omi_telemetry *t;
    struct omi_buf out = {0};
    omen_window now = {0}, running;
    uint8_t key[MODEL_KEY_BYTES_MAX];
    char fitted[64];
    FUZZ_OK(omi_telemetry_create(0, &t));
    for (uint32_t i = 0; i < keys; i++) {
        size_t n = key_make((enum key_family)(i % KEY_FAMILIES), i % 7, key);
        omi_telemetry_key(t, 0, omi_slice(key, n), omi_key_hash(key, n));
        omi_telemetry_block(t, 0, i % 5, 4096);
    }
    for (uint32_t i = 0; i < windows; i++) {
        now.puts += OMI_TELEMETRY_OPS;
        now.scan_lengths[i % OMEN_SCAN_LENGTHS] += i;
        now.us += 1000000;
        FUZZ_CHECK(omi_telemetry_tick(t, &now, 0));
    }
    omi_telemetry_copy(t, &now, &image, &running);
    FUZZ_OK(omi_telemetry_encode(&image, &out));
    input[0] = 0;
    memcpy(input + 1, out.data, out.size);
    save("fuzz_telemetry", name, input, 1 + out.size);
    input[0] = 1;
    snprintf(fitted, sizeof(fitted), "fitted-%s", name);
    save("fuzz_telemetry", fitted, input, 1 + out.size - 8);
    omi_buf_fini(&out);
    omi_telemetry_destroy(t);
}

static void save_traces(void)
{
    static uint8_t input[INPUT_MAX];
    uint8_t key[MODEL_KEY_BYTES_MAX], *at = input + 1 + OMI_TRACE_HEADER_BYTES;
    struct omi_trace_header h = {.began_us = 1, .id = 2};
    uint8_t *first = at + OMI_TRACE_FRAME_HEADER_BYTES, *end = first;
    struct omi_trace_frame f = {.count = 24};
    for (uint32_t i = 0; i < f.count; i++) {
        size_t n = key_make((enum key_family)(i % KEY_FAMILIES), i, key);
        struct omi_trace_op op = {.kind = (enum omi_trace_kind)(1 + i % 6),
                                  .us = i * 100,
                                  .size = i * i,
                                  .key = omi_slice(key, n < 64 ? n : 64),
                                  .key_bytes = (uint32_t)n,
                                  .hash = omi_key_hash(key, n)};
        op.more = i % 6 < 3 && i % 4 == 0;
        op.at_end = i % 12 >= 10;
        end = omi_trace_op_put(end, &op, i == 0 ? 0 : (i - 1) * 100);
    }
    f.size = (uint32_t)(end - first);
    input[0] = 0;
    omi_trace_header_encode(&h, input + 1);
    omi_trace_frame_encode(&f, h.id, first, at);
    save("fuzz_trace", "file", input, (size_t)(end - input));
    save("fuzz_trace", "empty", input, 1 + OMI_TRACE_HEADER_BYTES);
    first[-1] = 1;
    save("fuzz_trace", "operations", first - 1, f.size + 1);
    first[-1] = 5;
    save("fuzz_trace", "frames", first - 1, f.size + 1);
}

/* ---- the tuner's model ------------------------------------------------------------------------ */

static uint8_t *put_f64(uint8_t *p, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    omi_put_u64(p, bits);
    return p + 8;
}

static uint8_t *put_f32(uint8_t *p, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    omi_put_u32(p, bits);
    return p + 4;
}

/* As docs/format-tune-model.md has it: the tuner's headers do not go with the engine's. */
static void save_tune_model(const char *name, uint32_t trees)
{
    enum { COPIES = 6, COEFFICIENTS = 9, NODES = 7, LEAVES = 8 };
    uint8_t input[4096] = {0}, *p = input + 1;
    char fitted[64];
    memcpy(p, "OTUN\1\0\0\0\7\0\0\0\0\0\0\0\24\0\0\0\6\0\0\0", 24);
    p += 24;
    for (uint32_t c = 0; c < COPIES; c++) {
        for (uint32_t j = 0; j < COEFFICIENTS; j++)
            p = put_f64(p, 1 + c + j);
        omi_put_u32(p, trees);
        p += 4;
        for (uint32_t t = 0; t < trees; t++) {
            for (uint32_t i = 0; i < NODES; i++)
                *p++ = (uint8_t)(i == 6 ? 255 : i + c);
            for (int i = 0; i < NODES; i++)
                p = put_f32(p, 2);
            for (int i = 0; i < LEAVES; i++)
                p = put_f32(p, 0.125f);
        }
    }
    size_t size = (size_t)(p - input);
    omi_put_u64(p, omi_checksum(input + 1, size - 1, 0));
    save("fuzz_tune_model", name, input, size + 8);
    input[0] = 1;
    snprintf(fitted, sizeof(fitted), "fitted-%s", name);
    save("fuzz_tune_model", fitted, input, size);
}

static void save_tuner(void)
{
    static const char space[] = "\2T=2,4,10;K=1,T/2,T-1;Z=1;h=0,6,10;cache=0,20";
    static const char point[] = "\3size_ratio=6,runs_upper=4,runs_last=1,filter_bits=10,"
                                "memtable_bytes=65536,filter_bytes=195692,cache_bytes=400000";
    save_tune_model("theory", 0);
    save_tune_model("trees", 2);
    save("fuzz_tune_model", "space", (const uint8_t *)space, sizeof(space) - 1);
    save("fuzz_tune_model", "point", (const uint8_t *)point, sizeof(point) - 1);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: seeds OUT\n");
        return 2;
    }
    replay_set("%s %s", argv[0], argv[1]);
    out_path = argv[1];
    (void)mkdir(out_path, 0777);
    save_tables();
    save_range_filters();
    save_filters();
    for (int family = 0; family < KEY_FAMILIES; family++)
        save_life((enum key_family)family,
                  family % 2 == 0 ? "size_ratio=2,runs_upper=2" : "goal=space,size_ratio=3");
    save_manifest();
    save_history();
    save_all_texts();
    save_operations();
    save_samples();
    save_traces();
    save_telemetry("nothing", 0, 0);
    save_telemetry("windows", 3, 0);
    save_telemetry("keys", 0, 40);
    save_telemetry("all", 5, 70);
    save_tuner();
    return 0;
}

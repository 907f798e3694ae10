/*
 * lab_index.c - the block index on any key set, beside shortened separators on the same blocks.
 *
 * Keys are split into files of about 8 MiB of raw entries, as the engine would with its default
 * budget; each file gets an index of its own, and an explicit one for comparison.
 */
#include "tools/lab.h"

#include "learned/block_index.h"
#include "tools/keyset.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FILE_RAW_BYTES = 8 << 20, OVERHEAD = 12, COPIES = 64, ROUNDS = 5, LOOKUPS = 200000 };

static const char help[] =
    "usage: omendb lab index --keys FILE | --gen NAME [--num N] [flags]\n"
    "\n"
    "Builds the learned block index over a set of keys, split into files of 8 MiB of raw entries "
    "as\n"
    "the engine splits them, and prints its size beside shortened separators with restart "
    "intervals\n"
    "1 and 16 on the same blocks, its speed, and how many answers were wrong.\n"
    "\n"
    "  --keys FILE        one key a line\n"
    "  --gen NAME         made keys: be64 decimal ycsb uuid lognormal timeseries osm names url "
    "path\n"
    "                     cascade expo fb\n"
    "  --num N            how many, with --gen (default 1000000)\n"
    "  --value-size N     bytes of each value (default 100)\n"
    "  --block-size N     target of raw bytes in a block, 1024 to 32768 (default 4096)\n"
    "  --seed N           of the generator (default 1)\n"
    "  --json             figures as JSON\n"
    "\n"
    "example:\n"
    "  omendb lab index --gen ycsb --num 1000000\n";

struct options {
    const char *keys, *gen;
    size_t num;
    uint32_t value_size, block_size;
    uint64_t seed;
    bool json;
};

struct file { /* one built index and its rival */
    struct omi_index *index, *rival;
    uint8_t *section, *rival_section;
    size_t section_bytes, rival_bytes;
    size_t first, count; /* of the key set */
    const uint32_t *block_first;
    uint32_t blocks;
    struct omi_index_plan *plan;
};

struct result {
    uint64_t keys, blocks, bytes, restart1, restart16, knots, keyed, wrong, explicit_files, files;
    uint64_t fill_min, fill_sum, fill_max;
    double build_ns, lookup_ns, explicit_ns;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static const struct omi_order bytewise = {NULL};

/* ---- the rival's size, as a block index of LevelDB's family would have it
 * --------------------------- */

static uint32_t varint_bytes(uint64_t v)
{
    uint32_t n = 1;
    for (; v >= 128; v >>= 7)
        n++;
    return n;
}

/* The shortest key in [a, b) that this family finds: a cut after the first differing byte, plus
 * one. */
static size_t shortened(const struct omt_key *a, const struct omt_key *b, uint8_t *out)
{
    size_t common = omi_bytes_common(a->data, a->size, b->data, b->size), n = a->size;
    memcpy(out, a->data, a->size);
    if (common < a->size && common < b->size) {
        if (a->data[common] + 1 < b->data[common]) {
            out[common]++;
            n = common + 1;
        } else {
            for (size_t i = common + 1; i < a->size; i++)
                if (a->data[i] != 0xff) {
                    out[i]++;
                    n = i + 1;
                    break;
                }
        }
    }
    return n;
}

static uint64_t rival_bytes(const struct omt_keyset *set, const struct file *f,
                            const uint64_t *offsets, uint32_t interval)
{
    static uint8_t two[2][65536];
    uint64_t bytes = 4, last_size = 0;
    size_t last = 0;
    for (uint32_t b = 0; b < f->blocks; b++) {
        uint8_t *key = two[b & 1];
        size_t end = f->first + (b + 1 < f->blocks ? f->block_first[b + 1] : f->count), n,
               shared = 0;
        if (end < set->count) {
            n = shortened(&set->keys[end - 1], &set->keys[end], key);
        } else {
            n = set->keys[end - 1].size;
            memcpy(key, set->keys[end - 1].data, n);
        }
        bool restart = b % interval == 0;
        if (!restart)
            shared = omi_bytes_common(two[(b & 1) ^ 1], last, key, n);
        uint64_t size = offsets[b + 1] - offsets[b];
        bytes += varint_bytes(shared) + varint_bytes(n - shared) + (n - shared);
        if (restart) {
            bytes += varint_bytes(offsets[b]) + varint_bytes(size) + 4;
        } else {
            int64_t d = (int64_t)size - (int64_t)last_size;
            bytes += varint_bytes(d < 0 ? ((uint64_t)-d << 1) - 1 : (uint64_t)d << 1);
        }
        last = n;
        last_size = size;
    }
    return bytes;
}

/* ---- building -------------------------------------------------------------------------------- */

static uint8_t *aligned_bytes(const struct omi_buf *b)
{
    uint8_t *copy = aligned_alloc(64, (b->size + 127) / 64 * 64);
    if (copy != NULL)
        memcpy(copy, b->data, b->size);
    return copy;
}

static omen_err build_one(const struct omi_index_key *keys, uint32_t count, uint32_t block_size,
                          bool explicit_only, struct omi_index_plan **plan, uint64_t **offsets,
                          uint8_t **section, struct omi_index **index, struct omi_index_info *info)
{
    struct omi_index_params params = {
        .order = &bytewise, .block_bytes = block_size, .explicit_only = explicit_only};
    struct omi_buf out = {0};
    omen_err err = omi_index_plan_create(keys, count, &params, plan);
    if (err != OMEN_OK)
        return err;
    uint32_t blocks = omi_index_plan_blocks(*plan);
    const uint32_t *first = omi_index_plan_first(*plan);
    *offsets = malloc((blocks + (size_t)1) * sizeof(**offsets));
    if (*offsets == NULL)
        return OMEN_NO_MEMORY;
    uint64_t at = 64;
    for (uint32_t b = 0; b < blocks; b++) {
        (*offsets)[b] = at;
        uint64_t bytes = 32;
        uint32_t end = b + 1 < blocks ? first[b + 1] : count;
        for (uint32_t i = first[b]; i < end; i++)
            bytes += keys[i].raw_bytes;
        at += (bytes + 63) / 64 * 64;
    }
    (*offsets)[blocks] = at;
    err = omi_index_plan_encode(*plan, *offsets, &out, info);
    *section = err == OMEN_OK ? aligned_bytes(&out) : NULL;
    if (err == OMEN_OK && *section == NULL)
        err = OMEN_NO_MEMORY;
    if (err == OMEN_OK)
        err = omi_index_open(*section, out.size, &bytewise, at, index);
    omi_buf_fini(&out);
    return err;
}

static omen_err build_file(const struct omt_keyset *set, const struct options *o, size_t first,
                           size_t count, struct file *f, struct result *r)
{
    struct omi_index_key *keys = malloc(count * sizeof(*keys));
    struct omi_index_info info, rival_info;
    struct omi_index_plan *rival_plan = NULL;
    uint64_t *offsets = NULL, *rival_offsets = NULL;
    if (keys == NULL)
        return OMEN_NO_MEMORY;
    for (size_t i = 0; i < count; i++) {
        const struct omt_key *k = &set->keys[first + i];
        keys[i] = (struct omi_index_key){k->data, omi_trailer(1, OMI_KIND_PUT), k->size,
                                         k->size + o->value_size + OVERHEAD};
    }
    *f = (struct file){.first = first, .count = count};
    double started = now_s();
    omen_err err = build_one(keys, (uint32_t)count, o->block_size, false, &f->plan, &offsets,
                             &f->section, &f->index, &info);
    r->build_ns += (now_s() - started) * 1e9;
    if (err == OMEN_OK)
        err = build_one(keys, (uint32_t)count, o->block_size, true, &rival_plan, &rival_offsets,
                        &f->rival_section, &f->rival, &rival_info);
    if (err == OMEN_OK) {
        f->blocks = omi_index_plan_blocks(f->plan);
        f->block_first = omi_index_plan_first(f->plan);
        f->section_bytes = (size_t)info.bytes;
        f->rival_bytes = (size_t)rival_info.bytes;
        r->blocks += f->blocks;
        r->bytes += info.bytes;
        r->knots += info.knots;
        r->keyed += info.keyed_cuts;
        r->explicit_files += info.is_explicit;
        r->files++;
        r->restart1 += rival_bytes(set, f, offsets, 1);
        r->restart16 += rival_bytes(set, f, offsets, 16);
        if (f->blocks > 1 && info.fill_max_pct != 0) {
            if (r->fill_min == 0 || info.fill_min_pct < r->fill_min)
                r->fill_min = info.fill_min_pct;
            if (info.fill_max_pct > r->fill_max)
                r->fill_max = info.fill_max_pct;
        }
        r->fill_sum += info.fill_mean_pct;
    }
    omi_index_plan_destroy(rival_plan);
    free(offsets);
    free(rival_offsets);
    free(keys);
    return err;
}

/* ---- right answers --------------------------------------------------------------------------- */

static uint64_t mix(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return z ^ (z >> 31);
}

/* A key near k that mostly is not there. */
static size_t mutate(const struct omt_key *k, uint64_t x, uint8_t *out)
{
    size_t n = k->size < 1000 ? k->size : 1000;
    memcpy(out, k->data, n);
    switch (x % 5) {
    case 0:
        if (n > 0)
            out[x / 5 % n] = (uint8_t)(x >> 40);
        break;
    case 1:
        n = n > 0 ? x / 5 % n : 0;
        break;
    case 2:
        out[n++] = (uint8_t)(x >> 40);
        break;
    case 3:
        if (n > 0)
            out[n - 1]++;
        break;
    default:
        for (size_t i = 0; i < n; i++)
            if ((x >> (i % 50) & 7) == 0)
                out[i] = (uint8_t)(x >> (i % 40));
        break;
    }
    return n;
}

/* Is block right for key in this file: all earlier blocks below it, all later ones above? */
static bool block_right(const struct omt_keyset *set, const struct file *f, uint32_t block,
                        const uint8_t *key, size_t size)
{
    const struct omt_key *keys = set->keys + f->first;
    if (block >= f->blocks)
        return false;
    if (block > 0) {
        const struct omt_key *before = &keys[f->block_first[block] - 1];
        if (omi_bytes_compare(before->data, before->size, key, size) >= 0)
            return false;
    }
    if (block + 1 < f->blocks) {
        const struct omt_key *after = &keys[f->block_first[block + 1]];
        if (omi_bytes_compare(after->data, after->size, key, size) <= 0)
            return false;
    }
    return true;
}

static uint64_t count_wrong(const struct omt_keyset *set, const struct file *f, uint64_t *state)
{
    uint64_t wrong = 0;
    uint8_t key[1024];
    for (size_t i = 0; i < f->count; i++) {
        const struct omt_key *k = &set->keys[f->first + i];
        uint32_t b = omi_index_find(f->index, omi_slice(k->data, k->size), UINT64_MAX, NULL);
        wrong += !block_right(set, f, b, k->data, k->size);
        size_t n = mutate(k, mix(state), key);
        b = omi_index_find(f->index, omi_slice(key, n), UINT64_MAX, NULL);
        wrong += !block_right(set, f, b, key, n);
    }
    return wrong;
}

/* ---- speed ----------------------------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* Nanoseconds a lookup, over copies of one file's index taken in turn, so that none stays in the
 * nearest caches; median of some rounds. The rival takes turns with it. */
static omen_err time_lookups(const struct omt_keyset *set, const struct file *f, struct result *r,
                             uint64_t *state)
{
    struct omi_index *copies[2][COPIES] = {{0}};
    uint8_t *bytes[2][COPIES] = {{0}};
    double ns[2][ROUNDS];
    uint64_t end = UINT64_MAX / 2, sum = 0;
    omen_err err = OMEN_OK;
    for (int c = 0; c < COPIES && err == OMEN_OK; c++)
        for (int side = 0; side < 2 && err == OMEN_OK; side++) {
            size_t n = side == 0 ? f->section_bytes : f->rival_bytes;
            bytes[side][c] = aligned_alloc(64, (n + 127) / 64 * 64);
            if (bytes[side][c] == NULL)
                return OMEN_NO_MEMORY;
            memcpy(bytes[side][c], side == 0 ? f->section : f->rival_section, n);
            err = omi_index_open(bytes[side][c], n, &bytewise, end, &copies[side][c]);
        }
    uint32_t *order = malloc(LOOKUPS * sizeof(*order));
    if (order == NULL)
        return OMEN_NO_MEMORY;
    for (int i = 0; i < LOOKUPS; i++)
        order[i] = (uint32_t)(mix(state) % f->count);
    for (int round = 0; round < ROUNDS * 2 && err == OMEN_OK; round++) {
        int side = round & 1;
        double started = now_s();
        for (int i = 0; i < LOOKUPS; i++) {
            const struct omt_key *k = &set->keys[f->first + order[i]];
            const struct omi_index *x = copies[side][i % COPIES];
            uint64_t off;
            uint32_t n;
            omi_index_locate(x, omi_index_find(x, omi_slice(k->data, k->size), UINT64_MAX, NULL),
                             &off, &n);
            sum += off;
        }
        ns[side][round / 2] = (now_s() - started) * 1e9 / LOOKUPS;
    }
    for (int side = 0; side < 2; side++)
        qsort(ns[side], ROUNDS, sizeof(double), by_value);
    r->lookup_ns = ns[0][ROUNDS / 2] + (sum == 0 ? 1e-9 : 0);
    r->explicit_ns = ns[1][ROUNDS / 2];
    for (int c = 0; c < COPIES; c++)
        for (int side = 0; side < 2; side++) {
            omi_index_close(copies[side][c]);
            free(bytes[side][c]);
        }
    free(order);
    return err;
}

static void file_free(struct file *f)
{
    omi_index_close(f->index);
    omi_index_close(f->rival);
    omi_index_plan_destroy(f->plan);
    free(f->section);
    free(f->rival_section);
}

static omen_err measure(const struct omt_keyset *set, const struct options *o, struct result *r)
{
    uint64_t state = o->seed;
    omen_err err = OMEN_OK;
    for (size_t from = 0; from < set->count && err == OMEN_OK;) {
        uint64_t raw = 0;
        size_t to = from;
        while (to < set->count && raw < FILE_RAW_BYTES)
            raw += set->keys[to++].size + o->value_size + OVERHEAD;
        struct file f;
        err = build_file(set, o, from, to - from, &f, r);
        if (err == OMEN_OK)
            r->wrong += count_wrong(set, &f, &state);
        if (err == OMEN_OK && from == 0)
            err = time_lookups(set, &f, r, &state);
        file_free(&f);
        from = to;
    }
    r->keys = set->count;
    return err;
}

/* ---- output ---------------------------------------------------------------------------------- */

static const char *mode_of(const struct result *r)
{
    return r->explicit_files == 0 ? "spline" : r->explicit_files == r->files ? "explicit" : "mixed";
}

static void print_json(const struct result *r)
{
    double n = (double)r->keys;
    printf(
        "{\"keys\": %" PRIu64 ", \"blocks\": %" PRIu64 ", \"index_bytes_per_key\": %.4f, "
        "\"restart1_bytes_per_key\": %.4f, \"restart16_bytes_per_key\": %.4f, \"knots\": %" PRIu64
        ", \"keyed_cuts\": %" PRIu64 ", \"mode\": \"%s\", \"fill_min\": %.2f, "
        "\"fill_mean\": %.2f, \"fill_max\": %.2f, \"build_ns_per_key\": %.1f, "
        "\"lookup_ns\": %.1f, \"explicit_lookup_ns\": %.1f, \"wrong\": %" PRIu64 "}\n",
        r->keys, r->blocks, (double)r->bytes / n, (double)r->restart1 / n, (double)r->restart16 / n,
        r->knots, r->keyed, mode_of(r), (double)r->fill_min / 100,
        (double)r->fill_sum / 100 / (double)r->files, (double)r->fill_max / 100, r->build_ns / n,
        r->lookup_ns, r->explicit_ns, r->wrong);
}

static void print_text(const struct result *r)
{
    double n = (double)r->keys, bytes = (double)r->bytes;
    printf("keys            %" PRIu64 " in %" PRIu64 " files, %" PRIu64 " blocks\n", r->keys,
           r->files, r->blocks);
    printf("mode            %s, %" PRIu64 " knots, %" PRIu64 " keyed cuts (%.1f %% of blocks)\n",
           mode_of(r), r->knots, r->keyed, 100 * (double)r->keyed / (double)r->blocks);
    printf("index           %.4f B/key (%.2f B/block)\n", bytes / n, bytes / (double)r->blocks);
    printf("separators      %.4f B/key with restart 1: %.1fx as much\n", (double)r->restart1 / n,
           (double)r->restart1 / bytes);
    printf("                %.4f B/key with restart 16: %.1fx as much\n", (double)r->restart16 / n,
           (double)r->restart16 / bytes);
    printf("fill            %.2f min, %.2f mean, %.2f max of the target\n",
           (double)r->fill_min / 100, (double)r->fill_sum / 100 / (double)r->files,
           (double)r->fill_max / 100);
    printf("build           %.1f ns/key\n", r->build_ns / n);
    printf("lookup          %.1f ns, explicit separators %.1f ns (64 files in turn)\n",
           r->lookup_ns, r->explicit_ns);
    printf("wrong answers   %" PRIu64 " of %" PRIu64 "\n", r->wrong, 2 * r->keys);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int usage(const char *what, const char *arg)
{
    fprintf(stderr, "omendb: lab index: %s%s; see omendb lab index --help\n", what, arg);
    return 2;
}

/* The value of --name VALUE or --name=VALUE; NULL when argv[*i] is another flag. */
static const char *flag_value(int argc, char **argv, int *i, const char *name)
{
    size_t n = strlen(name);
    if (strncmp(argv[*i], name, n) != 0)
        return NULL;
    if (argv[*i][n] == '=')
        return argv[*i] + n + 1;
    if (argv[*i][n] != 0)
        return NULL;
    return *i + 1 < argc ? argv[++*i] : "";
}

static bool number(const char *text, uint64_t low, uint64_t high, uint64_t *out)
{
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    *out = strtoull(text, &end, 10);
    return *end == 0 && *out >= low && *out <= high;
}

static int parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *v;
        uint64_t n = 0;
        if (strcmp(flag, "--json") == 0) {
            o->json = true;
        } else if ((v = flag_value(argc, argv, &i, "--keys")) != NULL) {
            o->keys = v;
        } else if ((v = flag_value(argc, argv, &i, "--gen")) != NULL) {
            o->gen = v;
        } else if ((v = flag_value(argc, argv, &i, "--num")) != NULL) {
            if (!number(v, 1, 1000000000, &n))
                return usage("--num takes 1 to 1000000000, not ", v);
            o->num = (size_t)n;
        } else if ((v = flag_value(argc, argv, &i, "--value-size")) != NULL) {
            if (!number(v, 0, 1 << 20, &n))
                return usage("--value-size takes 0 to 1048576, not ", v);
            o->value_size = (uint32_t)n;
        } else if ((v = flag_value(argc, argv, &i, "--block-size")) != NULL) {
            if (!number(v, 1024, 32768, &n))
                return usage("--block-size takes 1024 to 32768, not ", v);
            o->block_size = (uint32_t)n;
        } else if ((v = flag_value(argc, argv, &i, "--seed")) != NULL) {
            if (!number(v, 0, UINT64_MAX, &n))
                return usage("--seed takes a number, not ", v);
            o->seed = n;
        } else {
            return usage("unknown flag ", flag);
        }
    }
    if ((o->keys != NULL) == (o->gen != NULL))
        return usage("give either --keys FILE or --gen NAME", "");
    return 0;
}

int omt_lab_index(int argc, char **argv)
{
    struct options o = {.num = 1000000, .value_size = 100, .block_size = 4096, .seed = 1};
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            fputs(help, stdout);
            return 0;
        }
    int code = parse(argc, argv, &o);
    if (code != 0)
        return code;
    struct omt_keyset set;
    const char *why = "";
    if (o.gen != NULL ? omt_keyset_make(o.gen, o.num, o.seed, &set, &why) != 0
                      : omt_keyset_load(o.keys, &set, &why) != 0) {
        if (o.gen != NULL) {
            fprintf(stderr, "omendb: lab index: --gen %s: %s; there are %s\n", o.gen, why,
                    omt_keyset_names());
            return 2;
        }
        fprintf(stderr, "omendb: lab index: %s: %s\n", o.keys, why);
        return 1;
    }
    struct result r = {0};
    omen_err err = measure(&set, &o, &r);
    omt_keyset_free(&set);
    if (err != OMEN_OK) {
        fprintf(stderr, "omendb: lab index: %s\n", omen_last_error());
        return 1;
    }
    if (o.json)
        print_json(&r);
    else
        print_text(&r);
    return r.wrong != 0;
}

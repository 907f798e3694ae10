/* stress_plan.c - everything that a seed decides, and how it is told. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tools/stress.h"

uint64_t stress_next(struct stress_rng *r) /* splitmix64 */
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t stress_below(struct stress_rng *r, uint64_t n)
{
    return stress_next(r) % n;
}

bool stress_one_in(struct stress_rng *r, uint64_t n)
{
    return stress_below(r, n) == 0;
}

struct stress_rng stress_rng_of(uint64_t seed, uint64_t a, uint64_t b)
{
    struct stress_rng r = {seed};
    r.state = stress_next(&r) ^ a * UINT64_C(0xd1b54a32d192ed03);
    r.state = stress_next(&r) ^ b * UINT64_C(0xaef17502108ef2d9);
    return r;
}

/* ---- names ----------------------------------------------------------------------------------- */

static const char *const mode_names[] = {"dir", "sim", "kill", "fs"};
static const char *const family_names[] = {"be64", "user", "nested", "long-prefix", "binary"};
static const char *const kind_names[STRESS_KINDS] = {"write",    "get",      "multi-get", "walk",
                                                     "snapshot", "iterator", "sync",      "flush",
                                                     "compact",  "option",   "checkpoint"};

const char *stress_mode_name(enum stress_mode mode)
{
    return mode_names[mode];
}

const char *stress_kind_name(enum stress_kind kind)
{
    return kind_names[kind];
}

bool stress_without_parse(const char *text, uint32_t *out)
{
    *out = 0;
    while (*text != '\0') {
        size_t n = strcspn(text, ",");
        unsigned kind = 0;
        while (kind < STRESS_KINDS &&
               (strlen(kind_names[kind]) != n || strncmp(kind_names[kind], text, n) != 0))
            kind++;
        if (kind == STRESS_KINDS)
            return false;
        *out |= 1u << kind;
        text += n + (text[n] == ',');
    }
    return true;
}

/* ---- drawing --------------------------------------------------------------------------------- */

/* As likely between 10 and 20 as between 1000 and 2000. */
static uint64_t draw_log(struct stress_rng *r, uint64_t low, uint64_t high)
{
    double u = (double)(stress_next(r) >> 11) / 9007199254740992.0;
    return (uint64_t)((double)low * pow((double)high / (double)low, u));
}

static void draw_mix(struct stress_plan *p, struct stress_rng *r)
{
    static const uint64_t usual[STRESS_KINDS] = {
        [STRESS_WRITE] = 4000, [STRESS_GET] = 4000,     [STRESS_MULTI_GET] = 600,
        [STRESS_WALK] = 600,   [STRESS_SNAPSHOT] = 150, [STRESS_ITERATOR] = 150,
        [STRESS_SYNC] = 20,    [STRESS_FLUSH] = 6,      [STRESS_COMPACT] = 2,
        [STRESS_OPTION] = 4,   [STRESS_CHECKPOINT] = 2};
    for (int k = 0; k < STRESS_KINDS; k++)
        p->weights[k] = usual[k] * (1 + stress_below(r, 4)) / 2;
    if (stress_one_in(r, 3)) /* hardly any reads: writes fill the memtables */
        p->weights[STRESS_GET] = p->weights[STRESS_MULTI_GET] = p->weights[STRESS_WALK] = 60;
    if (p->mode == STRESS_SIM) /* runs are short */
        for (int k = STRESS_SYNC; k < STRESS_KINDS; k++)
            p->weights[k] *= 4;
}

void stress_plan_draw(struct stress_plan *p)
{
    struct stress_rng r = stress_rng_of(p->seed, 1, 0);
    uint32_t threads = (uint32_t)(1 + stress_below(&r, STRESS_THREADS_MAX));
    p->family = (enum stress_family)stress_below(&r, STRESS_FAMILIES);
    uint64_t keys_max = p->mode == STRESS_DIR ? 1000000 : p->mode == STRESS_SIM ? 3000 : 30000;
    if (p->family == STRESS_LONG_PREFIX && keys_max > 50000)
        keys_max = 50000; /* they are held in memory */
    uint64_t keys = draw_log(&r, 8, keys_max);
    if (!p->threads_given)
        p->threads = threads;
    if (!p->keys_given)
        p->keys = keys;
    if (p->keys < p->threads)
        p->keys = p->threads;
    p->zipf = stress_one_in(&r, 2);
    p->inline_work = stress_one_in(&r, p->mode == STRESS_SIM ? 3 : 8);
    p->value_max = draw_log(&r, 16, p->mode == STRESS_SIM ? 8000 : 40000);
    p->delete_percent = stress_below(&r, 60);
    p->batch_max = 1 + stress_below(&r, STRESS_BATCH_MAX);
    p->sync_one_in = draw_log(&r, 2, p->mode == STRESS_SIM ? 60 : 2000);
    p->point_one_in = draw_log(&r, 4, 200);
    p->turn_one_in = draw_log(&r, 1, 60);
    draw_mix(p, &r);
}

void stress_plan_options(const struct stress_plan *p, uint64_t generation,
                         char out[static STRESS_OPTIONS_BYTES])
{
    static const char *const codecs[] = {"default", "none", "zstd-fast", "zstd"};
    static const char *const modes[] = {"auto", "buffered", "direct"};
    static const char *const goals[] = {"balanced", "reads", "writes", "space"};
    struct stress_rng r = stress_rng_of(p->seed, 2, generation);
    uint64_t small = p->mode == STRESS_SIM ? 256 : 4096;
    int n = snprintf(out, STRESS_OPTIONS_BYTES,
                     "create_if_missing=true,memory_bytes=%" PRIu64 "K,memtable_bytes=%" PRIu64
                     "K,target_file_bytes=%" PRIu64 "K,block_bytes=%" PRIu64 ",size_ratio=%" PRIu64
                     ",runs_upper=%" PRIu64 ",runs_last=%" PRIu64,
                     draw_log(&r, 4096, 65536), draw_log(&r, 64, small), draw_log(&r, 64, small),
                     draw_log(&r, 1024, 32768), 2 + stress_below(&r, 8), 1 + stress_below(&r, 8),
                     stress_one_in(&r, 2) ? 1 : 1 + stress_below(&r, 8));
    n += snprintf(out + n, STRESS_OPTIONS_BYTES - (size_t)n,
                  ",goal=%s,codec_upper=%s,codec_last=%s", goals[stress_below(&r, 4)],
                  codecs[stress_below(&r, 4)], codecs[stress_below(&r, 4)]);
    n += snprintf(out + n, STRESS_OPTIONS_BYTES - (size_t)n,
                  ",io_engine=%s,io_mode=%s,background_jobs=%" PRIu64,
                  stress_one_in(&r, 3) ? "pread" : "auto", modes[stress_below(&r, 3)],
                  1 + stress_below(&r, 3));
    if (stress_one_in(&r, 4))
        n += snprintf(out + n, STRESS_OPTIONS_BYTES - (size_t)n, ",filter_bits=none");
    else
        n += snprintf(out + n, STRESS_OPTIONS_BYTES - (size_t)n, ",filter_bits=%" PRIu64,
                      2 + stress_below(&r, 18));
    if (stress_one_in(&r, 3)) /* as good as no cache */
        n += snprintf(out + n, STRESS_OPTIONS_BYTES - (size_t)n, ",cache_bytes=1");
    if (stress_one_in(&r, 4))
        n += snprintf(out + n, STRESS_OPTIONS_BYTES - (size_t)n, ",sync_interval_ms=%" PRIu64,
                      1 + stress_below(&r, 50));
    if (p->inline_work)
        n += snprintf(out + n, STRESS_OPTIONS_BYTES - (size_t)n, ",inline_work=true");
    static const char *const filters[] = {"learned", "learned", "plain", "ribbon"};
    static const char *const floors[] = {"125", "none", "10", "500"};
    static const char *const ranges[] = {"auto", "on", "off"};
    n += snprintf(out + n, STRESS_OPTIONS_BYTES - (size_t)n,
                  ",filter=%s,filter_floor=%s,range_filter=%s", filters[stress_below(&r, 4)],
                  floors[stress_below(&r, 4)], ranges[stress_below(&r, 3)]);
    if (stress_one_in(&r, 2)) /* filters come and go */
        n += snprintf(out + n, STRESS_OPTIONS_BYTES - (size_t)n, ",filter_bytes=%" PRIu64 "K",
                      draw_log(&r, 4, 1024));
    if (p->set != NULL)
        snprintf(out + n, STRESS_OPTIONS_BYTES - (size_t)n, ",%s", p->set);
}

/* ---- telling --------------------------------------------------------------------------------- */

static int add(char *out, size_t size, int n, const char *format, uint64_t v)
{
    if (v == 0 || n < 0 || (size_t)n >= size)
        return n;
    char text[64];
    snprintf(text, sizeof(text), format, v);
    return n + snprintf(out + n, size - (size_t)n, "%s", text);
}

void stress_plan_replay(const struct stress_plan *p, char *out, size_t size)
{
    int n = snprintf(out, size, "omendb stress --mode=%s --seed=%" PRIu64,
                     stress_mode_name(p->mode), p->seed);
    n = add(out, size, n, " --ops=%" PRIu64, p->ops);
    n = add(out, size, n, " --seconds=%" PRIu64, p->ops != 0 ? 0 : p->seconds);
    n = add(out, size, n, " --crashes=%" PRIu64, p->mode >= STRESS_KILL ? p->crashes : 0);
    n = add(out, size, n, " --threads=%" PRIu64, p->threads_given ? p->threads : 0);
    n = add(out, size, n, " --keys=%" PRIu64, p->keys_given ? p->keys : 0);
    if (p->faults && (size_t)n < size)
        n += snprintf(out + n, size - (size_t)n, " --faults");
    if (p->mode == STRESS_FS && (size_t)n < size)
        n += snprintf(out + n, size - (size_t)n, " --fs=%s", p->fs);
    if (p->set != NULL && (size_t)n < size)
        n += snprintf(out + n, size - (size_t)n, " --set='%s'", p->set);
    const char *before = " --without=";
    for (unsigned k = 0; k < STRESS_KINDS; k++)
        if ((p->without >> k & 1) != 0 && (size_t)n < size) {
            n += snprintf(out + n, size - (size_t)n, "%s%s", before, kind_names[k]);
            before = ",";
        }
}

void stress_plan_print(const struct stress_plan *p, FILE *out)
{
    char text[STRESS_OPTIONS_BYTES];
    fprintf(out, "seed %" PRIu64 ": %" PRIu64 " %s keys, %s, %u threads, %s\n", p->seed, p->keys,
            family_names[p->family], p->zipf ? "skewed" : "uniform", p->threads,
            p->inline_work          ? "work inline"
            : p->mode == STRESS_SIM ? "threads that take turns"
                                    : "background threads");
    fprintf(out,
            "values to %" PRIu64 " bytes, batches to %" PRIu64 ", %" PRIu64
            "%% deletes, a sync in %" PRIu64 " writes; of %s",
            p->value_max, p->batch_max, p->delete_percent, p->sync_one_in, "10000 operations:");
    uint64_t sum = 0;
    for (int k = 0; k < STRESS_KINDS; k++)
        sum += p->weights[k];
    for (int k = 0; k < STRESS_KINDS; k++)
        fprintf(out, " %s %" PRIu64, kind_names[k], p->weights[k] * 10000 / sum);
    stress_plan_options(p, 0, text);
    fprintf(out, "\noptions, at first: %s\n", text);
    stress_plan_replay(p, text, sizeof(text));
    fprintf(out, "replay: %s\n", text);
}

#include "compaction/tune_space.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MEMTABLE_MIN = 64 << 10,
    MEMTABLE_MAX = 1 << 30,
    FILTER_BYTES_MIN = 4 << 10, /* of the option */
    FILTER_BYTES_HEADS = 8 << 10,
    BITS_MAX = 64,
    RUNS_MAX = 64,
    CACHE_PCT_MAX = 95,
    AXIS_MAX = 32
};

/* K's that depend on T */
enum { RUNS_HALF = 0x8000, RUNS_ALL = 0x8001 };

struct axis {
    uint16_t value[AXIS_MAX];
    uint32_t count;
};
enum { AXIS_T, AXIS_K, AXIS_Z, AXIS_H, AXIS_CACHE, AXES };

static const struct axis coded[AXES] = {
    [AXIS_T] = {{2, 3, 4, 5, 6, 8, 10, 12, 16}, 9},
    [AXIS_K] = {{1, 2, 3, RUNS_HALF, RUNS_ALL}, 5},
    [AXIS_Z] = {{1, 2, RUNS_ALL}, 3},
    [AXIS_H] = {{4, 6, 8, 10, 12}, 5},
    [AXIS_CACHE] = {{0, 10, 20, 40, 60}, 5},
};
static const char *const axis_names[AXES] = {"T", "K", "Z", "h", "cache"};
static const uint16_t axis_least[AXES] = {2, 1, 1, 0, 0};
static const uint16_t axis_most[AXES] = {99, RUNS_MAX, RUNS_MAX, BITS_MAX, CACHE_PCT_MAX};

/* ---- points ---------------------------------------------------------------------------------- */

bool omi_point_same(const struct omi_point *a, const struct omi_point *b)
{
    return a->size_ratio == b->size_ratio && a->runs_upper == b->runs_upper &&
           a->runs_last == b->runs_last && a->filter_bits == b->filter_bits &&
           a->cache_pct == b->cache_pct;
}

uint64_t omi_point_filter_bytes(const struct omi_space_limits *limits, const struct omi_point *p)
{
    if (p->filter_bits == 0)
        return 0;
    if (limits->entries > UINT64_MAX / BITS_MAX / 2)
        return UINT64_MAX;
    return limits->entries * p->filter_bits / 16 * 3 + FILTER_BYTES_HEADS;
}

uint64_t omi_point_cache_bytes(const struct omi_space_limits *limits, const struct omi_point *p)
{
    return limits->memory_bytes / 100 * p->cache_pct +
           limits->memory_bytes % 100 * p->cache_pct / 100;
}

uint64_t omi_point_memtable_bytes(const struct omi_space_limits *limits, const struct omi_point *p)
{
    uint64_t least = limits->memtable_min > MEMTABLE_MIN ? limits->memtable_min : MEMTABLE_MIN;
    uint64_t filters = omi_point_filter_bytes(limits, p);
    uint64_t left = limits->memory_bytes - omi_point_cache_bytes(limits, p);
    if (p->cache_pct > 100 || left < filters || left - filters < least)
        return 0;
    return left - filters < MEMTABLE_MAX ? left - filters : MEMTABLE_MAX;
}

omen_err omi_point_check(const struct omi_space_limits *limits, const struct omi_point *p)
{
    const uint16_t value[AXES] = {p->size_ratio, p->runs_upper, p->runs_last, p->filter_bits,
                                  p->cache_pct};
    for (int i = 0; i < AXES; i++)
        if (value[i] < axis_least[i] || value[i] > axis_most[i])
            return omi_fail(OMEN_INVALID, 0, "%s is %u, must be %u to %u", axis_names[i], value[i],
                            axis_least[i], axis_most[i]);
    if (omi_point_memtable_bytes(limits, p) == 0)
        return omi_fail(OMEN_INVALID, 0,
                        "%u filter bits for %" PRIu64 " entries and a cache of %u %% leave no "
                        "memtable of %" PRIu64 " bytes of memory",
                        p->filter_bits, limits->entries, p->cache_pct, limits->memory_bytes);
    return OMEN_OK;
}

void omi_point_shape(const struct omi_space_limits *limits, const struct omi_point *p,
                     struct omi_shape *shape_out)
{
    *shape_out = (struct omi_shape){.size_ratio = p->size_ratio,
                                    .runs_upper = p->runs_upper,
                                    .runs_last = p->runs_last,
                                    .memtable_bytes = omi_point_memtable_bytes(limits, p)};
}

/* ---- options --------------------------------------------------------------------------------- */

enum { OPT_T, OPT_K, OPT_Z, OPT_BITS, OPT_MEMTABLE, OPT_FILTERS, OPT_CACHE, OPTS };
static const char *const option_names[OPTS] = {"size_ratio",  "runs_upper",     "runs_last",
                                               "filter_bits", "memtable_bytes", "filter_bytes",
                                               "cache_bytes"};

void omi_point_options(const struct omi_space_limits *limits, const struct omi_point *p,
                       char text_out[static OMI_POINT_TEXT])
{
    uint64_t filters = omi_point_filter_bytes(limits, p);
    uint64_t cache = omi_point_cache_bytes(limits, p) + filters;
    char bits[8] = "none";
    if (p->filter_bits != 0)
        snprintf(bits, sizeof(bits), "%u", p->filter_bits);
    snprintf(text_out, OMI_POINT_TEXT,
             "size_ratio=%u,runs_upper=%u,runs_last=%u,filter_bits=%s,memtable_bytes=%" PRIu64
             ",filter_bytes=%" PRIu64 ",cache_bytes=%" PRIu64,
             p->size_ratio, p->runs_upper, p->runs_last, bits, omi_point_memtable_bytes(limits, p),
             filters > FILTER_BYTES_MIN ? filters : FILTER_BYTES_MIN, cache != 0 ? cache : 1);
}

/* Digits alone, as omi_point_options writes them. */
static bool number_parse(const char *text, size_t size, uint64_t *value_out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(text[i] - '0'), &v))
            return false;
    *value_out = v;
    return size != 0;
}

static bool word_is(const char *text, size_t size, const char *word)
{
    return strlen(word) == size && memcmp(text, word, size) == 0;
}

static int shown(size_t size)
{
    return size < 40 ? (int)size : 40;
}

static omen_err option_parse(const char *word, size_t size, uint64_t value[OPTS], unsigned *seen)
{
    const char *equals = memchr(word, '=', size);
    size_t name_size = equals != NULL ? (size_t)(equals - word) : size;
    int i = 0;
    while (i < OPTS && !word_is(word, name_size, option_names[i]))
        i++;
    if (i == OPTS)
        return omi_fail(OMEN_INVALID, 0, "\"%.*s\" is no option that the tuner sets",
                        shown(name_size), word);
    if (*seen & 1u << i)
        return omi_fail(OMEN_INVALID, 0, "%s is given twice", option_names[i]);
    *seen |= 1u << i;
    const char *text = word + name_size + (equals != NULL);
    size_t text_size = size - name_size - (equals != NULL);
    if (i == OPT_BITS && word_is(text, text_size, "none")) {
        value[i] = 0;
        return OMEN_OK;
    }
    if (!number_parse(text, text_size, &value[i]))
        return omi_fail(OMEN_INVALID, 0, "%s is \"%.*s\", not a number", option_names[i],
                        shown(text_size), text);
    return OMEN_OK;
}

static uint16_t narrowed(uint64_t v)
{
    return v < UINT16_MAX ? (uint16_t)v : UINT16_MAX;
}

omen_err omi_point_parse(const struct omi_space_limits *limits, const char *text,
                         struct omi_point *point_out)
{
    uint64_t value[OPTS] = {0};
    unsigned seen = 0;
    *point_out = (struct omi_point){0};
    while (*text != 0) {
        size_t size = strcspn(text, ",");
        omen_err err = option_parse(text, size, value, &seen);
        if (err != OMEN_OK)
            return err;
        text += size + (text[size] == ',');
    }
    for (int i = 0; i < OPTS; i++)
        if (!(seen & 1u << i) && i != OPT_MEMTABLE && i != OPT_FILTERS)
            return omi_fail(OMEN_INVALID, 0, "%s is missing", option_names[i]);
    struct omi_point p = {narrowed(value[OPT_T]), narrowed(value[OPT_K]), narrowed(value[OPT_Z]),
                          narrowed(value[OPT_BITS]), 0};
    uint64_t filters = omi_point_filter_bytes(limits, &p);
    uint64_t cache = value[OPT_CACHE] > filters ? value[OPT_CACHE] - filters : 0;
    if (cache <= 1 && filters == 0)
        cache = 0; /* the least that the option takes */
    if (cache > limits->memory_bytes)
        return omi_fail(OMEN_INVALID, 0, "cache_bytes is more than all the memory");
    if (limits->memory_bytes != 0)
        p.cache_pct = (uint16_t)((double)cache * 100 / (double)limits->memory_bytes + 0.5);
    omen_err err = omi_point_check(limits, &p);
    if (err == OMEN_OK)
        *point_out = p;
    return err;
}

/* ---- restrictions ---------------------------------------------------------------------------- */

static omen_err value_parse(int a, const char *word, size_t size, struct axis *axis)
{
    uint64_t v;
    if (axis->count == AXIS_MAX)
        return omi_fail(OMEN_INVALID, 0, "%s has more than %d values", axis_names[a], AXIS_MAX);
    if ((a == AXIS_K || a == AXIS_Z) && word_is(word, size, "T-1"))
        v = RUNS_ALL;
    else if ((a == AXIS_K || a == AXIS_Z) && word_is(word, size, "T/2"))
        v = RUNS_HALF;
    else if (!number_parse(word, size, &v) || v < axis_least[a] || v > axis_most[a])
        return omi_fail(OMEN_INVALID, 0, "%s=%.*s: must be %u to %u%s", axis_names[a], shown(size),
                        word, axis_least[a], axis_most[a],
                        a == AXIS_K || a == AXIS_Z ? ", T/2 or T-1" : "");
    axis->value[axis->count++] = (uint16_t)v;
    return OMEN_OK;
}

static omen_err axis_parse(const char *clause, size_t size, struct axis axes[AXES])
{
    const char *equals = memchr(clause, '=', size);
    size_t name_size = equals != NULL ? (size_t)(equals - clause) : size;
    int a = 0;
    while (a < AXES && !word_is(clause, name_size, axis_names[a]))
        a++;
    if (a == AXES || equals == NULL)
        return omi_fail(OMEN_INVALID, 0, "\"%.*s\": say T=, K=, Z=, h= or cache=", shown(size),
                        clause);
    axes[a].count = 0;
    const char *at = equals + 1, *end = clause + size;
    for (;;) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        const char *stop = comma != NULL ? comma : end;
        omen_err err = value_parse(a, at, (size_t)(stop - at), &axes[a]);
        if (err != OMEN_OK || comma == NULL)
            return err;
        at = comma + 1;
    }
}

/* ---- spaces ---------------------------------------------------------------------------------- */

uint32_t omi_space_find(const struct omi_tune_space *space, const struct omi_point *point)
{
    for (uint32_t i = 0; i < space->count; i++)
        if (omi_point_same(&space->points[i], point))
            return i;
    return UINT32_MAX;
}

static omen_err space_push(struct omi_tune_space *space, const struct omi_point *point)
{
    if (space->count == space->room) {
        uint32_t room = space->room == 0 ? 256 : space->room * 2;
        struct omi_point *grown = realloc(space->points, room * sizeof(*grown));
        if (grown == NULL)
            return omi_fail(OMEN_NO_MEMORY, 0, "%" PRIu32 " points of the tuner", room);
        space->points = grown;
        space->room = room;
    }
    space->points[space->count++] = *point;
    return OMEN_OK;
}

static uint16_t runs_of(uint16_t value, uint16_t t)
{
    uint16_t most = t - 1 < RUNS_MAX ? (uint16_t)(t - 1) : RUNS_MAX;
    if (value == RUNS_HALF)
        value = t / 2;
    return value < most ? value : most; /* a level cannot gather more */
}

/* Every combination once; those of one T stay side by side, so only they are compared. */
static omen_err space_fill(struct omi_tune_space *space, const struct axis axes[AXES])
{
    for (uint32_t t = 0; t < axes[AXIS_T].count; t++) {
        uint32_t first = space->count;
        for (uint32_t i = 0; i < axes[AXIS_K].count * axes[AXIS_Z].count; i++) {
            uint16_t ratio = axes[AXIS_T].value[t];
            struct omi_point p = {
                .size_ratio = ratio,
                .runs_upper = runs_of(axes[AXIS_K].value[i / axes[AXIS_Z].count], ratio),
                .runs_last = runs_of(axes[AXIS_Z].value[i % axes[AXIS_Z].count], ratio)};
            for (uint32_t k = 0; k < axes[AXIS_H].count * axes[AXIS_CACHE].count; k++) {
                p.filter_bits = axes[AXIS_H].value[k / axes[AXIS_CACHE].count];
                p.cache_pct = axes[AXIS_CACHE].value[k % axes[AXIS_CACHE].count];
                bool twice = omi_point_memtable_bytes(&space->limits, &p) == 0;
                for (uint32_t j = first; j < space->count && !twice; j++)
                    twice = omi_point_same(&space->points[j], &p);
                if (twice)
                    continue;
                omen_err err = space_push(space, &p);
                if (err != OMEN_OK)
                    return err;
            }
        }
    }
    return OMEN_OK;
}

static int compare_points(const void *a, const void *b)
{
    const struct omi_point *x = a, *y = b;
    if (x->size_ratio != y->size_ratio)
        return x->size_ratio < y->size_ratio ? -1 : 1;
    if (x->runs_upper != y->runs_upper)
        return x->runs_upper < y->runs_upper ? -1 : 1;
    if (x->runs_last != y->runs_last)
        return x->runs_last < y->runs_last ? -1 : 1;
    if (x->filter_bits != y->filter_bits)
        return x->filter_bits < y->filter_bits ? -1 : 1;
    return (x->cache_pct > y->cache_pct) - (x->cache_pct < y->cache_pct);
}

/* A T that is listed twice leaves equal points, side by side once sorted. */
static void space_sort(struct omi_tune_space *space)
{
    uint32_t kept = 0;
    if (space->count != 0)
        qsort(space->points, space->count, sizeof(*space->points), compare_points);
    for (uint32_t i = 0; i < space->count; i++)
        if (kept == 0 || !omi_point_same(&space->points[kept - 1], &space->points[i]))
            space->points[kept++] = space->points[i];
    space->count = kept;
}

static omen_err space_finish(struct omi_tune_space *space, struct omi_tune_space *space_out)
{
    space_sort(space);
    if (space->count == 0) {
        struct omi_space_limits limits = space->limits;
        omi_space_fini(space);
        return omi_fail(OMEN_INVALID, 0,
                        "no point fits: %" PRIu64 " bytes of memory for %" PRIu64 " entries",
                        limits.memory_bytes, limits.entries);
    }
    *space_out = *space;
    return OMEN_OK;
}

omen_err omi_space_make(const struct omi_space_limits *limits, const char *restrict_text,
                        struct omi_tune_space *space_out)
{
    struct axis axes[AXES];
    struct omi_tune_space space = {.limits = *limits};
    memcpy(axes, coded, sizeof(axes));
    *space_out = (struct omi_tune_space){0};
    for (const char *at = restrict_text; at != NULL && *at != 0;) {
        size_t size = strcspn(at, ";");
        omen_err err = axis_parse(at, size, axes);
        if (err != OMEN_OK)
            return err;
        at += size + (at[size] == ';');
    }
    omen_err err = space_fill(&space, axes);
    if (err != OMEN_OK) {
        omi_space_fini(&space);
        return err;
    }
    return space_finish(&space, space_out);
}

omen_err omi_space_grid(const struct omi_space_limits *limits, const struct omi_cost_data *data,
                        const double mix[OMI_TUNE_OPS], struct omi_tune_space *space_out)
{
    static const uint16_t ratios[] = {2, 4, 6, 10};
    struct omi_tune_space space = {.limits = *limits};
    *space_out = (struct omi_tune_space){0};
    for (int i = 0; i < 4; i++) {
        uint16_t t = ratios[i], all = (uint16_t)(t - 1);
        uint16_t root = (uint16_t)(omi_cost_runs_prior(data, t, mix, 0) + 0.5);
        const uint16_t runs[][2] = {{1, 1}, {root, 1}, {all, 1}, {all, all}};
        for (int k = 0; k < 4; k++) {
            struct axis axes[AXES] = {[AXIS_T] = {{t}, 1},
                                      [AXIS_K] = {{runs[k][0]}, 1},
                                      [AXIS_Z] = {{runs[k][1]}, 1},
                                      [AXIS_H] = {{6, 10}, 2},
                                      [AXIS_CACHE] = {{0, 20, 40}, 3}};
            omen_err err = space_fill(&space, axes);
            if (err != OMEN_OK) {
                omi_space_fini(&space);
                return err;
            }
        }
    }
    return space_finish(&space, space_out);
}

omen_err omi_space_add(struct omi_tune_space *space, const struct omi_point *point,
                       uint32_t *index_out)
{
    uint32_t at = omi_space_find(space, point);
    omen_err err = OMEN_OK;
    if (at == UINT32_MAX) {
        at = space->count;
        err = omi_point_check(&space->limits, point);
        if (err == OMEN_OK)
            err = space_push(space, point);
    }
    *index_out = err == OMEN_OK ? at : UINT32_MAX;
    return err;
}

void omi_space_fini(struct omi_tune_space *space)
{
    free(space->points);
    *space = (struct omi_tune_space){0};
}

/* ---- neighbours ------------------------------------------------------------------------------ */

static uint16_t axis_of(const struct omi_point *p, int a)
{
    const uint16_t value[AXES] = {p->size_ratio, p->runs_upper, p->runs_last, p->filter_bits,
                                  p->cache_pct};
    return value[a];
}

static uint32_t apart(uint16_t a, uint16_t b)
{
    return a > b ? (uint32_t)a - b : (uint32_t)b - a;
}

/* How far q is from what p becomes at q's T: 0 where only T differs. */
static uint32_t runs_apart(const struct omi_point *p, const struct omi_point *q)
{
    uint16_t all = (uint16_t)(p->size_ratio - 1), all_there = (uint16_t)(q->size_ratio - 1);
    uint16_t upper = p->runs_upper == all && all > 1 ? all_there : p->runs_upper;
    uint16_t last = p->runs_last == all && all > 1 ? all_there : p->runs_last;
    return apart(upper, q->runs_upper) + 64 * apart(last, q->runs_last);
}

uint32_t omi_space_neighbours(const struct omi_tune_space *space, uint32_t index,
                              uint32_t out[static OMI_NEIGHBOURS_MAX])
{
    const struct omi_point *p = &space->points[index];
    uint32_t count = 0;
    for (int a = 0; a < AXES; a++) {
        for (int up = 0; up <= 1; up++) {
            uint32_t best = UINT32_MAX, best_step = UINT32_MAX, best_runs = UINT32_MAX;
            for (uint32_t i = 0; i < space->count; i++) {
                const struct omi_point *q = &space->points[i];
                bool alike = true;
                for (int b = a == AXIS_T ? AXIS_H : AXIS_K; b < AXES; b++)
                    alike = alike && (b == a || axis_of(p, b) == axis_of(q, b));
                if (a != AXIS_T)
                    alike = alike && p->size_ratio == q->size_ratio;
                uint16_t from = axis_of(p, a), to = axis_of(q, a);
                if (!alike || to == from || (to > from) != (up != 0))
                    continue;
                uint32_t step = apart(from, to), runs = a == AXIS_T ? runs_apart(p, q) : 0;
                if (step < best_step || (step == best_step && runs < best_runs)) {
                    best = i;
                    best_step = step;
                    best_runs = runs;
                }
            }
            if (best != UINT32_MAX)
                out[count++] = best;
        }
    }
    return count;
}

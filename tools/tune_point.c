/*
 * tune_point.c - configurations as people write them.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/args.h"
#include "tools/tune.h"

enum { MEMTABLE_MIN = 64 << 10 };

struct omi_point omt_default_point(const struct omi_space_limits *limits)
{
    struct omi_point p = {
        .size_ratio = 6, .runs_upper = 4, .runs_last = 1, .filter_bits = 10, .cache_pct = 0};
    uint64_t memtable = limits->memory_bytes / 8, used;
    if (memtable < MEMTABLE_MIN)
        memtable = MEMTABLE_MIN;
    while (p.filter_bits > 0 && omi_point_memtable_bytes(limits, &p) == 0)
        p.filter_bits--;
    used = memtable + omi_point_filter_bytes(limits, &p);
    if (used < limits->memory_bytes)
        p.cache_pct = (uint16_t)((limits->memory_bytes - used) * 100 / limits->memory_bytes);
    while (p.cache_pct > 0 && omi_point_memtable_bytes(limits, &p) == 0)
        p.cache_pct--;
    return p;
}

const char *omt_point_text(const struct omi_point *point, char out[static OMT_POINT_TEXT])
{
    snprintf(out, OMT_POINT_TEXT, "T=%u K=%u Z=%u h=%u cache=%u", point->size_ratio,
             point->runs_upper, point->runs_last, point->filter_bits, point->cache_pct);
    return out;
}

static bool tell(const char *text, const char *why)
{
    fprintf(stderr, "omendb: tune: point \"%.80s\": %s; such as T=10,K=9,Z=1,h=8,cache=20\n", text,
            why);
    return false;
}

static bool policy_set(const char *word, struct omi_point *p, const char **policy)
{
    static const char *const names[] = {"leveling", "tiering", "lazy-leveling"};
    for (int i = 0; i < 3; i++)
        if (strcmp(word, names[i]) == 0) {
            *policy = names[i];
            return true;
        }
    return strcmp(word, "default") == 0 && p != NULL;
}

static bool knob_set(const char *name, const char *value, struct omi_point *p)
{
    struct {
        const char *name;
        uint16_t *at;
    } knobs[] = {{"T", &p->size_ratio},
                 {"K", &p->runs_upper},
                 {"Z", &p->runs_last},
                 {"h", &p->filter_bits},
                 {"cache", &p->cache_pct}};
    for (int i = 0; i < 5; i++) {
        uint64_t v;
        bool runs = i == 1 || i == 2;
        if (strcmp(name, knobs[i].name) != 0)
            continue;
        if (runs && strcmp(value, "T-1") == 0)
            v = p->size_ratio - 1u;
        else if (!omt_parse_u64(value, &v) || v > UINT16_MAX)
            return false;
        *knobs[i].at = (uint16_t)v;
        return true;
    }
    return false;
}

/* K's of the policy, at the T that was said. */
static void policy_apply(const char *policy, struct omi_point *p)
{
    uint16_t all = (uint16_t)(p->size_ratio - 1);
    p->runs_upper = strcmp(policy, "leveling") == 0 ? 1 : all;
    p->runs_last = strcmp(policy, "tiering") == 0 ? all : 1;
}

bool omt_point_parse(const char *text, const struct omi_space_limits *limits,
                     struct omi_point *point_out)
{
    struct omi_point p = omt_default_point(limits);
    char copy[256], *save = NULL;
    const char *policy = NULL;
    if (strstr(text, "size_ratio=") != NULL) {
        if (omi_point_parse(limits, text, point_out) == OMEN_OK)
            return true;
        return tell(text, omen_last_error());
    }
    if (snprintf(copy, sizeof(copy), "%s", text) >= (int)sizeof(copy))
        return tell(text, "it is too long");
    for (char *word = strtok_r(copy, ", ", &save); word != NULL;
         word = strtok_r(NULL, ", ", &save)) {
        char *equals = strchr(word, '=');
        if (equals == NULL && policy_set(word, &p, &policy))
            continue;
        if (equals == NULL)
            return tell(text, "a word that is no policy (leveling, tiering, lazy-leveling)");
        *equals = '\0';
        if (!knob_set(word, equals + 1, &p))
            return tell(text, "knobs are T, K, Z, h and cache, and take whole numbers");
        if (policy != NULL && strcmp(word, "T") == 0)
            policy_apply(policy, &p);
    }
    if (policy != NULL && strstr(text, "T=") == NULL)
        policy_apply(policy, &p);
    if (omi_point_check(limits, &p) != OMEN_OK)
        return tell(text, omen_last_error());
    *point_out = p;
    return true;
}

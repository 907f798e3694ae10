#include "tools/keyset.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_BYTES_MAX = 512 };

/* ---- random numbers -------------------------------------------------------------------------- */

struct rng {
    uint64_t state;
};

static uint64_t next(struct rng *r)
{
    uint64_t z = (r->state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static double unit(struct rng *r)
{
    return ((double)(next(r) >> 11) + 0.5) / 9007199254740992.0;
}

static double gauss(struct rng *r)
{
    return sqrt(-2 * log(unit(r))) * cos(6.283185307179586 * unit(r));
}

static uint64_t fnv(uint64_t v)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < 8; i++, v >>= 8)
        h = (h ^ (v & 255)) * UINT64_C(1099511628211);
    return h;
}

static size_t put_be64(uint64_t v, uint8_t *out)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
    return 8;
}

/* ---- shapes ---------------------------------------------------------------------------------- */

static const char *const words[] = {
    "api",     "v1",      "users",  "item",  "news",  "2023",  "12",     "shop",  "img",  "data",
    "product", "archive", "static", "blog",  "tag",   "page",  "search", "wiki",  "en",   "docs",
    "about",   "js",      "css",    "forum", "topic", "media", "help",   "video", "cart", "list"};
enum { WORDS = sizeof(words) / sizeof(words[0]) };

struct maker {
    struct rng rng;
    uint64_t at, left, series, clock;
    double centre_x[2000], centre_y[2000], centre_spread[2000];
    int centres;
};

static const char *zipf_word(struct maker *m)
{
    uint64_t a = next(&m->rng) % WORDS, b = next(&m->rng) % WORDS;
    return words[a * b / WORDS];
}

static size_t make_be64(struct maker *m, uint64_t i, uint8_t *out)
{
    (void)m;
    put_be64(i, out);
    memset(out + 8, '0', 8);
    return 16;
}

static size_t make_decimal(struct maker *m, uint64_t i, uint8_t *out)
{
    (void)m;
    return (size_t)sprintf((char *)out, "%016llu", (unsigned long long)(i + 1000000));
}

static size_t make_ycsb(struct maker *m, uint64_t i, uint8_t *out)
{
    (void)m;
    return (size_t)sprintf((char *)out, "user%llu", (unsigned long long)(fnv(i) >> 1));
}

static size_t make_uuid(struct maker *m, uint64_t i, uint8_t *out)
{
    (void)i;
    uint64_t a = next(&m->rng), b = next(&m->rng);
    return (size_t)sprintf((char *)out, "%08x-%04x-4%03x-%04x-%012llx", (unsigned)(a >> 32),
                           (unsigned)(a >> 16 & 0xffff), (unsigned)(a & 0xfff),
                           (unsigned)((b >> 48 & 0x3fff) | 0x8000),
                           (unsigned long long)(b & 0xffffffffffffULL));
}

static size_t make_lognormal(struct maker *m, uint64_t i, uint8_t *out)
{
    (void)i;
    return put_be64((uint64_t)(exp(2 * gauss(&m->rng)) * 1e9), out);
}

/* A metric's number and a time: runs of samples about ten seconds apart. */
static size_t make_timeseries(struct maker *m, uint64_t i, uint8_t *out)
{
    (void)i;
    if (m->left == 0) {
        double run = 50 * pow(unit(&m->rng), -0.7);
        m->series += 1 + next(&m->rng) % 7;
        m->left = run < 20000 ? 1 + (uint64_t)run : 20000;
        m->clock = UINT64_C(1700000000000) + next(&m->rng) % 10000;
    }
    m->left--;
    m->clock += 9900 + next(&m->rng) % 200;
    put_be64(m->series, out);
    return 8 + put_be64(m->clock, out + 8);
}

static uint64_t spread_bits(uint32_t x)
{
    uint64_t v = x;
    v = (v | v << 16) & UINT64_C(0x0000ffff0000ffff);
    v = (v | v << 8) & UINT64_C(0x00ff00ff00ff00ff);
    v = (v | v << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    v = (v | v << 2) & UINT64_C(0x3333333333333333);
    return (v | v << 1) & UINT64_C(0x5555555555555555);
}

/* Places around towns of many sizes, on a Morton curve. */
static size_t make_osm(struct maker *m, uint64_t i, uint8_t *out)
{
    (void)i;
    for (; m->centres < 2000; m->centres++) {
        m->centre_x[m->centres] = unit(&m->rng);
        m->centre_y[m->centres] = unit(&m->rng);
        m->centre_spread[m->centres] = pow(10, -1.5 - 3.5 * unit(&m->rng));
    }
    int c = (int)(2000 * pow(unit(&m->rng), 4));
    double x = m->centre_x[c] + m->centre_spread[c] * gauss(&m->rng);
    double y = m->centre_y[c] + m->centre_spread[c] * gauss(&m->rng);
    x -= floor(x);
    y -= floor(y);
    return put_be64(spread_bits((uint32_t)(x * 4294967295.0)) |
                        spread_bits((uint32_t)(y * 4294967295.0)) << 1,
                    out);
}

/* Like packages: a few stems, families behind them, suffixes. */
static size_t make_names(struct maker *m, uint64_t i, uint8_t *out)
{
    static const char *const stems[] = {"lib",  "python3-", "node-",   "golang-",  "ruby-",
                                        "php-", "r-cran-",  "fonts-",  "texlive-", "linux-",
                                        "gcc-", "kde-",     "gir1.2-", "haskell-", ""};
    static const char *const tails[] = {"", "-dev", "-doc", "-common", "-data", "-dbg", "1", "2-0"};
    (void)i;
    uint64_t s = next(&m->rng);
    size_t n = (size_t)sprintf((char *)out, "%s", stems[(s % 15) * (s / 15 % 15) / 15]);
    size_t letters = 3 + next(&m->rng) % 9;
    for (size_t k = 0; k < letters; k++)
        out[n++] = (uint8_t)("etaoinshrdlucmfwypvbgkjqxz"[(int)(26 * pow(unit(&m->rng), 1.6))]);
    if (next(&m->rng) % 3 == 0)
        n += (size_t)sprintf((char *)out + n, "-%s", zipf_word(m));
    return n + (size_t)sprintf((char *)out + n, "%s", tails[next(&m->rng) % 8]);
}

static size_t make_url(struct maker *m, uint64_t i, uint8_t *out)
{
    (void)i;
    double rank = pow(unit(&m->rng), -1 / 0.9);
    uint64_t host = fnv((uint64_t)(rank > 200000 ? 200000 : rank) * 77777);
    char *p = (char *)out;
    size_t n = (size_t)sprintf(p, "https://www.");
    for (uint64_t k = 0; k < 4 + host % 9; k++)
        p[n++] = "etaoinshrdlucmfwypvbgkqjxz"[(host >> (k * 4)) % 17];
    n += (size_t)sprintf(p + n, ".%s/", host % 3 != 0 ? "com" : host % 2 != 0 ? "org" : "net");
    for (uint64_t k = 1 + next(&m->rng) % 4; k > 0; k--)
        n += (size_t)sprintf(p + n, "%s/", zipf_word(m));
    return n + (size_t)sprintf(p + n, "%s%llu.html", next(&m->rng) % 2 != 0 ? "id=" : "",
                               (unsigned long long)(pow(unit(&m->rng), 3) * 1e7));
}

static size_t make_path(struct maker *m, uint64_t i, uint8_t *out)
{
    static const char *const roots[] = {"/usr/share", "/usr/lib", "/usr/include",
                                        "/usr/src",   "/opt",     "/var/lib"};
    (void)i;
    char *p = (char *)out;
    size_t n = (size_t)sprintf(p, "%s", roots[next(&m->rng) % 6 * (next(&m->rng) % 6) / 6]);
    for (uint64_t k = 2 + next(&m->rng) % 5; k > 0; k--) {
        uint64_t h = fnv((uint64_t)(40 * pow(unit(&m->rng), 2)) + k * 1000);
        n += (size_t)sprintf(p + n, "/%s%s%llu", zipf_word(m), words[h % WORDS],
                             (unsigned long long)(h >> 60));
    }
    return n + (size_t)sprintf(p + n, "/%s_%llu.h", zipf_word(m),
                               (unsigned long long)(next(&m->rng) % 100000));
}

/* A multiplicative cascade: dense and thin at every scale. */
static size_t make_cascade(struct maker *m, uint64_t i, uint8_t *out)
{
    (void)i;
    uint64_t c = 0;
    for (int k = 0; k < 60; k++)
        c = c * 2 + (unit(&m->rng) < 0.85);
    return put_be64(c << 4, out);
}

/* Clusters within clusters, each of a random size: no line fits. */
static size_t make_expo(struct maker *m, uint64_t i, uint8_t *out)
{
    (void)i;
    uint64_t c = UINT64_C(1) << next(&m->rng) % 63;
    c += next(&m->rng) % (1 + c / (UINT64_C(1) << next(&m->rng) % 40));
    return put_be64(c + next(&m->rng) % 64, out);
}

/* Dense identifiers and a handful of huge ones. */
static size_t make_fb(struct maker *m, uint64_t i, uint8_t *out)
{
    uint64_t v = i < 21 ? (UINT64_C(1) << 62) + next(&m->rng) % (UINT64_C(1) << 61)
                        : (uint64_t)(pow(unit(&m->rng), 1.3) * 68719476736.0);
    return put_be64(v, out);
}

static const struct {
    const char *name;
    size_t (*make)(struct maker *m, uint64_t i, uint8_t *out);
} shapes[] = {{"be64", make_be64}, {"decimal", make_decimal},     {"ycsb", make_ycsb},
              {"uuid", make_uuid}, {"lognormal", make_lognormal}, {"timeseries", make_timeseries},
              {"osm", make_osm},   {"names", make_names},         {"url", make_url},
              {"path", make_path}, {"cascade", make_cascade},     {"expo", make_expo},
              {"fb", make_fb}};
enum { SHAPES = sizeof(shapes) / sizeof(shapes[0]) };

const char *omt_keyset_names(void)
{
    return "be64 decimal ycsb uuid lognormal timeseries osm names url path cascade expo fb";
}

/* ---- sets ------------------------------------------------------------------------------------ */

static int compare_keys(const void *a, const void *b)
{
    const struct omt_key *x = a, *y = b;
    size_t n = x->size < y->size ? x->size : y->size;
    int c = n != 0 ? memcmp(x->data, y->data, n) : 0;
    return c != 0 ? c : (x->size > y->size) - (x->size < y->size);
}

static void sort_distinct(struct omt_keyset *set)
{
    size_t kept = 0;
    if (set->count > 0)
        qsort(set->keys, set->count, sizeof(*set->keys), compare_keys);
    for (size_t i = 0; i < set->count; i++)
        if (kept == 0 || compare_keys(&set->keys[kept - 1], &set->keys[i]) != 0)
            set->keys[kept++] = set->keys[i];
    set->count = kept;
}

int omt_keyset_make(const char *name, size_t count, uint64_t seed, struct omt_keyset *set,
                    const char **why_out)
{
    size_t s = 0, used = 0, capacity = count * 24 + 4096;
    memset(set, 0, sizeof(*set));
    while (s < SHAPES && strcmp(shapes[s].name, name) != 0)
        s++;
    if (s == SHAPES) {
        *why_out = "no generator has that name";
        return -1;
    }
    struct maker *m = calloc(1, sizeof(*m));
    size_t *offsets = malloc((count + 1) * sizeof(*offsets));
    set->keys = malloc((count + 1) * sizeof(*set->keys));
    set->bytes = malloc(capacity);
    int bad = m == NULL || offsets == NULL || set->keys == NULL || set->bytes == NULL;
    if (m != NULL)
        m->rng.state = seed;
    for (size_t i = 0; i < count && !bad; i++) {
        if (capacity - used < KEY_BYTES_MAX) {
            uint8_t *more = realloc(set->bytes, capacity += capacity / 2);
            bad = more == NULL;
            if (bad)
                break;
            set->bytes = more;
        }
        offsets[i] = used;
        set->keys[i].size = (uint32_t)shapes[s].make(m, i, set->bytes + used);
        used += set->keys[i].size;
    }
    for (size_t i = 0; i < count && !bad; i++)
        set->keys[i].data = set->bytes + offsets[i];
    free(m);
    free(offsets);
    if (bad) {
        omt_keyset_free(set);
        *why_out = "memory is short";
        return -1;
    }
    set->count = count;
    sort_distinct(set);
    return 0;
}

static int load_bytes(FILE *f, struct omt_keyset *set, size_t *size_out)
{
    size_t size = 0, capacity = 1 << 20;
    set->bytes = malloc(capacity);
    while (set->bytes != NULL) {
        size += fread(set->bytes + size, 1, capacity - size, f);
        if (size < capacity)
            break;
        uint8_t *more = realloc(set->bytes, capacity *= 2);
        if (more == NULL)
            return -1;
        set->bytes = more;
    }
    *size_out = size;
    return set->bytes == NULL || ferror(f) ? -1 : 0;
}

int omt_keyset_load(const char *path, struct omt_keyset *set, const char **why_out)
{
    size_t size = 0, lines = 1;
    memset(set, 0, sizeof(*set));
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        *why_out = strerror(errno);
        return -1;
    }
    int bad = load_bytes(f, set, &size);
    fclose(f);
    for (size_t i = 0; i < size && !bad; i++)
        lines += set->bytes[i] == '\n';
    set->keys = bad ? NULL : malloc(lines * sizeof(*set->keys));
    if (set->keys == NULL) {
        omt_keyset_free(set);
        *why_out = "it cannot be read into memory";
        return -1;
    }
    for (size_t from = 0; from < size;) {
        const uint8_t *end = memchr(set->bytes + from, '\n', size - from);
        size_t to = end != NULL ? (size_t)(end - set->bytes) : size;
        if (to - from > 65535) {
            omt_keyset_free(set);
            *why_out = "a line is longer than 65,535 bytes, the limit of a key";
            return -1;
        }
        if (to > from)
            set->keys[set->count++] = (struct omt_key){set->bytes + from, (uint32_t)(to - from)};
        from = to + 1;
    }
    sort_distinct(set);
    if (set->count == 0) {
        omt_keyset_free(set);
        *why_out = "it holds no keys";
        return -1;
    }
    return 0;
}

void omt_keyset_free(struct omt_keyset *set)
{
    free(set->keys);
    free(set->bytes);
    memset(set, 0, sizeof(*set));
}

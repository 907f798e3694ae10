#include "tools/bench_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "tools/bench_run.h"
#include "tools/text.h"

enum { SERIES = 1000, SERIES_STEP = 10 }; /* of timeseries keys: a point each 10 s */

static uint64_t mix(uint64_t z)
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t bench_ycsb_hash(uint64_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (int i = 0; i < 8; i++, n >>= 8)
        h = (h ^ (n & 0xff)) * 0x100000001b3u;
    return h > INT64_MAX ? 0 - h : h;
}

/* ---- a file of keys -------------------------------------------------------------------------- */

static bool file_read(struct bench_keys *k, const char *path)
{
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        fprintf(stderr, "omendb: bench: --key_dist=file:%s: %m; check the path\n", path);
        return false;
    }
    struct omt_bytes text = {0};
    static char chunk[1 << 16];
    size_t n;
    while ((n = fread(chunk, 1, sizeof(chunk), in)) > 0)
        omt_bytes_append(&text, chunk, n);
    fclose(in);
    size_t lines = 0;
    for (size_t i = 0; i < text.size; i++)
        lines += text.data[i] == '\n';
    k->text = text.data;
    k->lines = omt_realloc(NULL, (lines + 2) * sizeof(*k->lines));
    for (char *p = text.data; p != NULL && p < text.data + text.size;) {
        char *end = memchr(p, '\n', (size_t)(text.data + text.size - p));
        char *next = end == NULL ? NULL : end + 1;
        if (end == NULL)
            end = text.data + text.size;
        *end = '\0';
        if (end != p && (size_t)(end - p) < BENCH_KEY_ROOM - 256)
            k->lines[k->line_count++] = p;
        p = next;
    }
    if (k->line_count >= k->num)
        return true;
    fprintf(stderr,
            "omendb: bench: --key_dist=file:%s has %" PRIu64 " keys, --num asks %" PRIu64
            "; give --num=%" PRIu64 "\n",
            path, k->line_count, k->num, k->line_count);
    return false;
}

bool bench_keys_init(struct bench_keys *k, const char *dist, const char *prefix, uint64_t key_size,
                     uint64_t num)
{
    static const char *const names[] = {"be64", "decimal", "ycsb", "uuid", "timeseries"};
    *k = (struct bench_keys){.prefix = prefix == NULL ? "" : prefix, .key_size = key_size};
    k->num = num;
    k->prefix_len = strlen(k->prefix);
    if (k->prefix_len > 128) {
        fprintf(stderr, "omendb: bench: --key_prefix is over 128 bytes; give a shorter one\n");
        return false;
    }
    if (strncmp(dist, "file:", 5) == 0) {
        k->kind = BENCH_KEY_FILE;
        return file_read(k, dist + 5);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(dist, names[i]) == 0) {
            k->kind = (enum bench_key_kind)i;
            return true;
        }
    }
    fprintf(stderr,
            "omendb: bench: --key_dist=%s; give be64, decimal, ycsb, uuid, timeseries or "
            "file:PATH\n",
            dist);
    return false;
}

void bench_keys_fini(struct bench_keys *k)
{
    free(k->text);
    free(k->lines);
    k->text = NULL;
    k->lines = NULL;
}

size_t bench_keys_size(const struct bench_keys *k)
{
    uint8_t key[BENCH_KEY_ROOM];
    if (k->kind != BENCH_KEY_FILE)
        return bench_key_other(k, k->num - 1, key);
    size_t longest = 0;
    for (uint64_t i = 0; i < k->line_count; i++)
        longest = strlen(k->lines[i]) > longest ? strlen(k->lines[i]) : longest;
    return k->prefix_len + longest;
}

/* ---- the kinds ------------------------------------------------------------------------------- */

static void digits2(uint8_t *out, uint32_t v)
{
    out[0] = (uint8_t)('0' + v / 10);
    out[1] = (uint8_t)('0' + v % 10);
}

/* Eight digits by divisions that do not wait for one another. */
static void digits8(uint8_t *out, uint32_t v)
{
    uint32_t high = v / 10000, low = v % 10000;
    digits2(out, high / 100);
    digits2(out + 2, high % 100);
    digits2(out + 4, low / 100);
    digits2(out + 6, low % 100);
}

size_t bench_digits(uint8_t *out, uint64_t n, size_t width)
{
    uint8_t all[24]; /* 20 digits at most */
    size_t at = sizeof(all);
    for (; n >= 100000000; n /= 100000000)
        digits8(all + (at -= 8), (uint32_t)(n % 100000000));
    uint32_t rest = (uint32_t)n;
    for (; rest >= 100; rest /= 100)
        digits2(all + (at -= 2), rest % 100);
    all[--at] = (uint8_t)('0' + rest % 10);
    if (rest >= 10)
        all[--at] = (uint8_t)('0' + rest / 10);
    size_t len = sizeof(all) - at, pad = width > len ? width - len : 0;
    memset(out, '0', pad);
    memcpy(out + pad, all + at, len);
    return pad + len;
}

static size_t uuid(uint8_t *out, uint64_t n)
{
    static const char hex[] = "0123456789abcdef";
    uint64_t half[2] = {mix(n), mix(~n)};
    half[0] = (half[0] & ~(uint64_t)0xf000) | 0x4000;               /* version 4 */
    half[1] = (half[1] & ~((uint64_t)3 << 62)) | (uint64_t)2 << 62; /* variant */
    uint8_t all[32];
    for (unsigned i = 0; i < 32; i++)
        all[i] = (uint8_t)hex[half[i / 16] >> (60 - i % 16 * 4) & 15];
    memset(out, '-', 36);
    memcpy(out, all, 8);
    memcpy(out + 9, all + 8, 4);
    memcpy(out + 14, all + 12, 4);
    memcpy(out + 19, all + 16, 4);
    memcpy(out + 24, all + 20, 12);
    return 36;
}

static size_t big_endian(uint8_t *out, uint64_t n, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(n >> (bytes - 1 - i) * 8);
    return bytes;
}

size_t bench_key_other(const struct bench_keys *k, uint64_t n, uint8_t *out)
{
    memcpy(out, k->prefix, k->prefix_len);
    uint8_t *p = out + k->prefix_len;
    size_t len = 0;
    switch (k->kind) {
    case BENCH_KEY_BE64:
        len = big_endian(p, n, k->key_size < 8 ? k->key_size : 8);
        memset(p + len, '0', k->key_size - len);
        len = k->key_size;
        break;
    case BENCH_KEY_DECIMAL:
        len = bench_digits(p, n, k->key_size);
        break;
    case BENCH_KEY_YCSB:
        memcpy(p, "user", 4);
        len = 4 + bench_digits(p + 4, bench_ycsb_hash(n), 1);
        break;
    case BENCH_KEY_UUID:
        len = uuid(p, n);
        break;
    case BENCH_KEY_TIMESERIES:
        len = big_endian(p, n % SERIES, 8);
        len += big_endian(p + 8, 1700000000 + n / SERIES * SERIES_STEP, 8);
        break;
    case BENCH_KEY_FILE:
        len = strlen(k->lines[n % k->line_count]);
        memcpy(p, k->lines[n % k->line_count], len);
        break;
    }
    return k->prefix_len + len;
}

/* ---- each number once ------------------------------------------------------------------------ */

struct bench_shuffle bench_shuffle(uint64_t num, uint64_t seed)
{
    unsigned bits = 2;
    while (bits < 62 && (uint64_t)1 << bits < num)
        bits += 2;
    return (struct bench_shuffle){num, seed, bits / 2};
}

/* Four Feistel rounds permute [0, 4^half); walking on until the result is below num keeps it a
 * permutation of [0, num), at under four steps on average. */
uint64_t bench_shuffle_at(const struct bench_shuffle *s, uint64_t i)
{
    uint64_t mask = ((uint64_t)1 << s->half_bits) - 1;
    do {
        uint64_t left = i >> s->half_bits, right = i & mask;
        for (uint64_t round = 0; round < 4; round++) {
            uint64_t next = left ^ (mix(right ^ s->seed << 2 ^ round) & mask);
            left = right;
            right = next;
        }
        i = left << s->half_bits | right;
    } while (i >= s->num);
    return i;
}

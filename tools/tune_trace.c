#include "tools/tune_trace.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/env.h"
#include "lsm/trace_read.h"
#include "tools/text.h"

enum { KEYS_MAX = 1 << 26, KEY_ROOM = OMI_TRACE_KEY_BYTES + 8, NAME_MAX_BYTES = 16 };

/* ---- keys that were seen, by hash ---------------------------------------------------------------- */

struct seen {
    uint64_t hash; /* 0: free */
    uint32_t count;
};
struct keys {
    struct seen *at;
    uint64_t room, count; /* room: a power of two */
};

static struct seen *key_slot(const struct keys *k, uint64_t hash)
{
    uint64_t i = omi_random_mix(hash);
    while (k->at[i & (k->room - 1)].hash != 0 && k->at[i & (k->room - 1)].hash != hash)
        i++;
    return &k->at[i & (k->room - 1)];
}

static void keys_init(struct keys *k, uint64_t room)
{
    k->count = 0;
    k->room = room;
    k->at = omt_realloc(NULL, room * sizeof(*k->at));
    memset(k->at, 0, room * sizeof(*k->at));
}

/* How often it came, this time included; 0: the table is full, and it is not in it. */
static uint32_t key_count(struct keys *k, uint64_t hash)
{
    hash = hash != 0 ? hash : 1;
    if (k->count * 4 >= k->room * 3 && k->room < KEYS_MAX) {
        struct keys grown;
        keys_init(&grown, k->room * 2);
        grown.count = k->count;
        for (uint64_t i = 0; i < k->room; i++)
            if (k->at[i].hash != 0)
                *key_slot(&grown, k->at[i].hash) = k->at[i];
        free(k->at);
        *k = grown;
    }
    struct seen *slot = key_slot(k, hash);
    if (slot->hash == 0) {
        if (k->count * 8 >= k->room * 7)
            return 0;
        slot->hash = hash;
        k->count++;
    }
    if (slot->count < UINT32_MAX)
        slot->count++;
    return slot->count;
}

/* ---- a trace ------------------------------------------------------------------------------------- */

struct omt_trace {
    const char *path;
    struct omi_trace_reader *reader;
    char *value; /* room bytes */
    uint64_t room;
};

static bool tell(const char *path)
{
    fprintf(stderr, "omendb: tune: trace %s: %s; omendb bench --trace=FILE records one\n", path,
            omen_last_error());
    return false;
}

bool omt_trace_is(const char *path)
{
    uint8_t head[OMI_TRACE_HEADER_BYTES];
    struct omi_trace_header h;
    FILE *in = fopen(path, "rb");
    if (in == NULL)
        return false;
    size_t got = fread(head, 1, sizeof(head), in);
    fclose(in);
    if (got != sizeof(head))
        return false;
    omen_err err = omi_trace_header_decode(head, path, &h);
    return err == OMEN_OK || err == OMEN_UNSUPPORTED; /* a newer one is told as such */
}

static omen_err reader_open(struct omt_trace *t)
{
    return omi_trace_open(omi_env_posix(OMEN_IO_ENGINE_PREAD), t->path, &t->reader);
}

bool omt_trace_open(const char *path, struct omt_trace **out)
{
    struct omt_trace *t = omt_realloc(NULL, sizeof(*t));
    *t = (struct omt_trace){.path = path};
    *out = NULL;
    if (reader_open(t) != OMEN_OK) {
        free(t);
        return tell(path);
    }
    *out = t;
    return true;
}

void omt_trace_close(struct omt_trace *t)
{
    if (t == NULL)
        return;
    omi_trace_close(t->reader);
    free(t->value);
    free(t);
}

/* ---- what it is like ----------------------------------------------------------------------------- */

struct summary {
    uint64_t kinds[OMT_OP_KINDS], put_bytes, past_all, point_ops;
    uint64_t scans[OMEN_SCAN_LENGTHS]; /* [0]: of no entry, [i]: of 2^(i-1) and more */
    struct keys keys;
    char largest[OMI_TRACE_KEY_BYTES];
    size_t largest_size;
};

static int kind_of(enum omi_trace_kind kind)
{
    switch (kind) {
    case OMI_TRACE_GET_HIT:
        return OMI_OP_GET_HIT;
    case OMI_TRACE_GET_MISS:
        return OMI_OP_GET_MISS;
    case OMI_TRACE_PUT:
        return OMI_OP_PUT;
    case OMI_TRACE_DELETE:
        return OMI_OP_DELETE;
    default:
        return OMI_OP_SCAN;
    }
}

/* Whether the key lies past all that were put before. */
static bool largest_is(struct summary *s, omen_slice key)
{
    size_t n = key.size < s->largest_size ? key.size : s->largest_size;
    int order = n > 0 ? memcmp(key.data, s->largest, n) : 0;
    if (order < 0 || (order == 0 && key.size <= s->largest_size))
        return false;
    if (key.size > 0)
        memcpy(s->largest, key.data, key.size);
    s->largest_size = key.size;
    return true;
}

static void summary_add(struct summary *s, const struct omi_trace_op *op)
{
    int kind = kind_of(op->kind);
    s->kinds[kind]++;
    if (kind == OMI_OP_SCAN) {
        int bucket = 0;
        for (uint64_t n = op->size; n > 0 && bucket < OMEN_SCAN_LENGTHS - 1; n >>= 1)
            bucket++;
        s->scans[bucket]++;
        return;
    }
    if (kind == OMI_OP_PUT) {
        s->put_bytes += op->size + op->key_bytes;
        s->past_all += largest_is(s, op->key);
    }
    if (kind != OMI_OP_GET_MISS) {
        key_count(&s->keys, op->hash);
        s->point_ops++;
    }
}

static double harmonic(double items, double theta)
{
    double sum = 0, exact = items < 1000 ? items : 1000;
    for (double k = 1; k <= exact; k++)
        sum += pow(k, -theta);
    if (items <= exact)
        return sum;
    double a = exact, b = items;
    double tail =
        fabs(theta - 1) < 1e-9 ? log(b / a) : (pow(b, 1 - theta) - pow(a, 1 - theta)) / (1 - theta);
    return sum + tail + (pow(b, -theta) - pow(a, -theta)) / 2;
}

/* Two operations fall on the same key with the chance sum p^2, which repeats count without bias;
 * Zipf's exponent is the one with that chance over as many keys. */
static void skew_of(const struct summary *s, struct omi_workload *w)
{
    double pairs = 0, n = (double)s->keys.count, ops = (double)s->point_ops;
    for (uint64_t i = 0; i < s->keys.room; i++)
        pairs += (double)s->keys.at[i].count * ((double)s->keys.at[i].count - 1);
    double chance = ops > 1 ? pairs / (ops * (ops - 1)) : 0;
    if (n < 2 || chance * n <= 1.1) { /* even; keys that were not seen are likely then */
        double all = chance > 0 ? 1 / chance : n;
        w->entries = all > n && all < 1e12 ? (uint64_t)all : s->keys.count;
        return;
    }
    double low = 0, high = 0.999;
    for (int i = 0; i < 50; i++) {
        double theta = (low + high) / 2, h = harmonic(n, theta);
        if (harmonic(n, 2 * theta) / (h * h) < chance)
            low = theta;
        else
            high = theta;
    }
    w->entries = s->keys.count;
    w->dist = OMI_WORK_ZIPF;
    w->theta = (low + high) / 2;
}

static omen_err summary_make(const struct summary *s, const char *path, struct omi_workload *w)
{
    const char *slash = strrchr(path, '/');
    uint64_t writes = s->kinds[OMI_OP_PUT] + s->kinds[OMI_OP_DELETE], ops = 0;
    omen_err err = omi_workload_named("W1", w);
    if (err != OMEN_OK)
        return err;
    for (int k = 0; k < OMT_OP_KINDS; k++)
        ops += s->kinds[k];
    if (ops == 0)
        return omi_fail(OMEN_INVALID, 0, "it holds no operation");
    snprintf(w->name, sizeof(w->name), "%.*s", NAME_MAX_BYTES, slash != NULL ? slash + 1 : path);
    const double mix[OMI_TUNE_OPS] = {(double)s->kinds[OMI_OP_GET_MISS],
                                      (double)s->kinds[OMI_OP_GET_HIT],
                                      (double)s->kinds[OMI_OP_SCAN], (double)writes};
    memcpy(w->phase[0].from, mix, sizeof(mix));
    memcpy(w->phase[0].to, mix, sizeof(mix));
    w->phase[0].ops = ops;
    skew_of(s, w);
    omt_spec_scans(s->scans, w);
    w->entries = w->entries > 0 ? w->entries : 1;
    if (s->kinds[OMI_OP_PUT] > 0) {
        double entry = (double)s->put_bytes / (double)s->kinds[OMI_OP_PUT];
        double past = (double)s->past_all / (double)s->kinds[OMI_OP_PUT];
        w->entry_bytes = entry < 16 ? 16 : entry > (1 << 20) ? 1 << 20 : (uint32_t)entry;
        if (past > 0.5) { /* new keys come at the end */
            w->order = past > 0.95 ? OMI_WORK_SORTED : OMI_WORK_NEAR_SORTED;
            w->inserts = 1;
        }
    }
    w->deletes = writes > 0 ? (double)s->kinds[OMI_OP_DELETE] / (double)writes : 0;
    return omi_workload_settle(w);
}

bool omt_trace_spec(const char *path, struct omi_workload *workload_out)
{
    struct omt_trace *t;
    struct omi_trace_op op;
    if (!omt_trace_open(path, &t))
        return false;
    struct summary *s = omt_realloc(NULL, sizeof(*s));
    memset(s, 0, sizeof(*s));
    keys_init(&s->keys, 1 << 16);
    omen_err err;
    while ((err = omi_trace_next(t->reader, &op)) == OMEN_OK)
        summary_add(s, &op);
    if (err == OMEN_NOT_FOUND)
        err = summary_make(s, path, workload_out);
    free(s->keys.at);
    free(s);
    omt_trace_close(t);
    return err == OMEN_OK || tell(path);
}

/* ---- once more ----------------------------------------------------------------------------------- */

static omen_slice key_of(const struct omi_trace_op *op, char room[static KEY_ROOM])
{
    size_t n = op->key.size < OMI_TRACE_KEY_BYTES ? op->key.size : OMI_TRACE_KEY_BYTES;
    if (op->key_bytes <= OMI_TRACE_KEY_BYTES)
        return op->key;
    memcpy(room, op->key.data, n);
    memcpy(room + n, &op->hash, 8);
    return (omen_slice){room, n + 8};
}

static omen_err value_of(struct omt_trace *t, uint64_t size, omen_slice *value_out)
{
    if (size > OMEN_VALUE_BYTES_MAX)
        return omi_fail(OMEN_CORRUPT, 0, "%s: a value of %" PRIu64 " bytes", t->path, size);
    if (size > t->room) {
        t->value = omt_realloc(t->value, size);
        struct omi_random r = {size};
        for (uint64_t i = 0; i < size; i++)
            t->value[i] = (char)omi_random_next(&r);
        t->room = size;
    }
    *value_out = (omen_slice){t->value, size};
    return OMEN_OK;
}

static omen_err stopped(const volatile int *stop)
{
    return stop != NULL && *stop != 0 ? omi_fail(OMEN_ABORTED, 0, "interrupted") : OMEN_OK;
}

omen_err omt_trace_load(struct omt_trace *t, omen_db *db, uint32_t value_bytes,
                        const volatile int *stop)
{
    struct omi_trace_op op;
    struct keys keys;
    char room[KEY_ROOM];
    omen_slice value;
    omen_err err = value_of(t, value_bytes, &value);
    keys_init(&keys, 1 << 16);
    for (uint64_t i = 0; err == OMEN_OK; i++) {
        err = omi_trace_next(t->reader, &op);
        if (err != OMEN_OK)
            break;
        bool first = op.kind != OMI_TRACE_SCAN && op.kind != OMI_TRACE_SCAN_BACK &&
                     op.kind != OMI_TRACE_GET_MISS && key_count(&keys, op.hash) == 1;
        if (first && op.kind == OMI_TRACE_GET_HIT)
            err = omen_put(db, NULL, key_of(&op, room), value);
        if (err == OMEN_OK && i % 256 == 0)
            err = stopped(stop);
    }
    free(keys.at);
    if (err != OMEN_NOT_FOUND)
        return err;
    omi_trace_close(t->reader); /* from the beginning again */
    t->reader = NULL;
    return reader_open(t);
}

static omen_err scan_play(omen_db *db, const struct omi_trace_op *op, omen_slice key)
{
    omen_iter *it = NULL;
    bool back = op->kind == OMI_TRACE_SCAN_BACK;
    omen_err err = omen_iter_open(db, NULL, &it);
    if (err != OMEN_OK)
        return err;
    if (op->at_end)
        back ? omen_iter_seek_last(it) : omen_iter_seek_first(it);
    else
        back ? omen_iter_seek_for_prev(it, key) : omen_iter_seek(it, key);
    for (uint64_t i = 1; i < op->size && omen_iter_valid(it); i++)
        back ? omen_iter_prev(it) : omen_iter_next(it);
    err = omen_iter_status(it);
    omen_iter_close(it);
    return err;
}

static omen_err get_play(omen_db *db, omen_slice key, bool hit, uint64_t *differ)
{
    omen_value value;
    omen_err err = omen_get(db, NULL, key, &value);
    *differ += (err == OMEN_OK && !hit) || (err == OMEN_NOT_FOUND && hit);
    if (err == OMEN_OK)
        omen_value_release(&value);
    return err == OMEN_NOT_FOUND ? OMEN_OK : err;
}

static omen_err op_play(struct omt_trace *t, omen_db *db, const struct omi_trace_op *op,
                        struct omt_tally *tally, uint64_t *differ)
{
    char room[KEY_ROOM];
    omen_slice key = key_of(op, room), value = {NULL, 0};
    int kind = kind_of(op->kind);
    omen_err err = kind == OMI_OP_PUT ? value_of(t, op->size, &value) : OMEN_OK;
    double start = omt_now_s();
    if (err != OMEN_OK)
        return err;
    if (kind == OMI_OP_PUT)
        err = omen_put(db, NULL, key, value);
    else if (kind == OMI_OP_DELETE)
        err = omen_delete(db, NULL, key);
    else if (kind == OMI_OP_SCAN)
        err = scan_play(db, op, key);
    else
        err = get_play(db, key, kind == OMI_OP_GET_HIT, differ);
    double us = (omt_now_s() - start) * 1e6;
    tally->ops[kind]++;
    tally->us[kind] += us;
    bench_hist_add(&tally->hist[kind], (uint64_t)(us * 1e3));
    if (kind == OMI_OP_PUT)
        tally->user_bytes += key.size + value.size;
    return err;
}

omen_err omt_trace_play(struct omt_trace *t, omen_db *db, uint64_t count, struct omt_tally *tally,
                        uint64_t *played_out, uint64_t *differ, const volatile int *stop)
{
    struct omi_trace_op op;
    omen_err err = OMEN_OK;
    *played_out = 0;
    while (*played_out < count && err == OMEN_OK) {
        err = omi_trace_next(t->reader, &op);
        if (err == OMEN_NOT_FOUND)
            return OMEN_OK;
        if (err == OMEN_OK)
            err = op_play(t, db, &op, tally, differ);
        if (err == OMEN_OK && ++*played_out % 256 == 0)
            err = stopped(stop);
    }
    return err;
}

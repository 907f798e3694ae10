#include "tools/tune_work.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tools/text.h"

/* ---- keys that are gone ------------------------------------------------------------------------ */

void omt_gone_init(struct omt_gone *gone, const struct omi_workload *workload, uint64_t keys)
{
    *gone = (struct omt_gone){0};
    if (workload->deletes <= 0)
        return;
    gone->keys = keys;
    gone->bits = omt_realloc(NULL, (size_t)(keys / 8 + 1));
    memset(gone->bits, 0, (size_t)(keys / 8 + 1));
}

void omt_gone_copy(struct omt_gone *gone, const struct omt_gone *from)
{
    *gone = *from;
    if (from->bits == NULL)
        return;
    gone->bits = omt_realloc(NULL, (size_t)(from->keys / 8 + 1));
    memcpy(gone->bits, from->bits, (size_t)(from->keys / 8 + 1));
}

void omt_gone_fini(struct omt_gone *gone)
{
    free(gone->bits);
    *gone = (struct omt_gone){0};
}

uint64_t omt_gone_count(const struct omt_gone *gone)
{
    uint64_t n = 0;
    for (uint64_t i = 0; gone->bits != NULL && i <= gone->keys / 8; i++)
        n += (uint64_t)__builtin_popcount(gone->bits[i]);
    return n;
}

/* key: an even number, of omi_op. */
static bool gone_is(const struct omt_gone *gone, uint64_t key)
{
    uint64_t i = key / 2;
    return gone->bits != NULL && i < gone->keys && (gone->bits[i / 8] >> i % 8 & 1) != 0;
}

static void gone_set(struct omt_gone *gone, uint64_t key, bool is)
{
    uint64_t i = key / 2;
    if (gone->bits == NULL || i >= gone->keys)
        return;
    uint8_t bit = (uint8_t)(1u << i % 8);
    gone->bits[i / 8] = (uint8_t)(is ? gone->bits[i / 8] | bit : gone->bits[i / 8] & ~bit);
}

/* ---- keys and values --------------------------------------------------------------------------- */

static omen_slice key_make(uint64_t number, char key[static OMT_WORK_KEY_BYTES])
{
    for (int i = OMT_WORK_KEY_BYTES - 1; i >= 0; i--) {
        key[i] = (char)('0' + number % 10);
        number /= 10;
    }
    return (omen_slice){key, OMT_WORK_KEY_BYTES};
}

static bool key_number(omen_slice key, uint64_t *number_out)
{
    const char *text = key.data;
    uint64_t v = 0;
    if (key.size != OMT_WORK_KEY_BYTES)
        return false;
    for (int i = 0; i < OMT_WORK_KEY_BYTES; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(text[i] - '0');
    }
    *number_out = v;
    return true;
}

static omen_slice value_make(const struct omt_work *work, uint64_t number, char *value)
{
    struct omi_random r = {number};
    for (uint32_t at = 0; at < work->value_bytes; at += 8) {
        uint64_t v = omi_random_next(&r);
        uint32_t left = work->value_bytes - at;
        memcpy(value + at, &v, left < 8 ? left : 8);
    }
    return (omen_slice){value, work->value_bytes};
}

static omen_err wrong(uint64_t number, const char *how)
{
    return omi_fail(OMEN_CORRUPT, 0, "key %" PRIu64 " %s; keep the directory and report it", number,
                    how);
}

static bool value_right(const struct omt_work *work, uint64_t number, omen_slice value)
{
    omen_slice expected = value_make(work, number, work->expected);
    return value.size == expected.size &&
           (value.size == 0 || memcmp(value.data, expected.data, value.size) == 0);
}

/* ---- one operation ----------------------------------------------------------------------------- */

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Time from now_ns of before until the call returned. */
struct lap {
    uint64_t start, end;
};

static omen_err op_get(struct omt_work *work, const struct omi_op *op, struct lap *lap)
{
    char key[OMT_WORK_KEY_BYTES];
    omen_slice k = key_make(op->key, key);
    bool there = op->kind == OMI_OP_GET_HIT && !gone_is(&work->gone, op->key);
    omen_value value;
    lap->start = now_ns();
    omen_err err = omen_get(work->db, NULL, k, &value);
    lap->end = now_ns();
    if (err == OMEN_NOT_FOUND)
        return there ? wrong(op->key, "was put and is not found") : OMEN_OK;
    if (err != OMEN_OK)
        return err;
    bool right = value_right(work, op->key, (omen_slice){value.data, value.size});
    omen_value_release(&value);
    if (!there)
        return wrong(op->key, "is found and must not be");
    return right ? OMEN_OK : wrong(op->key, "has another value");
}

static omen_err scan_check(struct omt_work *work, omen_iter *it, uint64_t least,
                           uint64_t *number_out)
{
    uint64_t number;
    if (!key_number(omen_iter_key(it), &number) || number % 2 != 0)
        return wrong(least, "is followed in a scan by a key that was never put");
    if (number < least)
        return wrong(number, "stands in a scan after a larger one");
    if (gone_is(&work->gone, number))
        return wrong(number, "is deleted and stands in a scan");
    if (!value_right(work, number, omen_iter_value(it)))
        return wrong(number, "has another value in a scan");
    *number_out = number;
    return OMEN_OK;
}

/* The checks' time is left out: entry by entry. */
static omen_err op_scan(struct omt_work *work, const struct omi_op *op, struct lap *lap)
{
    char key[OMT_WORK_KEY_BYTES];
    omen_iter *it = NULL;
    uint64_t least = op->key, number = 0, idle = 0;
    lap->start = now_ns();
    omen_err err = omen_iter_open(work->db, NULL, &it);
    if (err != OMEN_OK)
        return err;
    omen_iter_seek(it, key_make(op->key, key));
    for (uint32_t i = 0; i < op->length && omen_iter_valid(it) && err == OMEN_OK; i++) {
        uint64_t from = now_ns();
        err = scan_check(work, it, least, &number);
        if (i == 0 && err == OMEN_OK && number != op->key && !gone_is(&work->gone, op->key))
            err = wrong(op->key, "was put and a scan from it does not show it");
        least = number + 1;
        idle += now_ns() - from;
        if (i + 1 < op->length)
            omen_iter_next(it);
    }
    if (err == OMEN_OK)
        err = omen_iter_status(it);
    omen_iter_close(it);
    lap->end = now_ns() - idle;
    return err;
}

static omen_err op_write(struct omt_work *work, const struct omi_op *op, struct lap *lap)
{
    char key[OMT_WORK_KEY_BYTES];
    bool put = op->kind == OMI_OP_PUT;
    omen_slice k = key_make(op->key, key), v = {NULL, 0};
    if (put)
        v = value_make(work, op->key, work->value);
    lap->start = now_ns();
    omen_err err = put ? omen_put(work->db, NULL, k, v) : omen_delete(work->db, NULL, k);
    lap->end = now_ns();
    if (err == OMEN_OK)
        gone_set(&work->gone, op->key, !put);
    return err;
}

/* Blocks of lookups since the last call go to the kind of then. */
static omen_err kind_switch(struct omt_work *work, int kind, struct omt_tally *tally)
{
    omen_stats stats = {.struct_bytes = sizeof(stats)};
    if (kind == work->kind_seen)
        return OMEN_OK;
    omen_err err = omen_get_stats(work->db, &stats);
    if (err != OMEN_OK)
        return err;
    if (work->kind_seen == OMI_OP_GET_MISS || work->kind_seen == OMI_OP_GET_HIT)
        tally->kind_blocks[work->kind_seen] += stats.get_blocks - work->blocks_seen;
    work->blocks_seen = stats.get_blocks;
    work->kind_seen = kind;
    return OMEN_OK;
}

static omen_err op_do(struct omt_work *work, const struct omi_op *op, struct omt_tally *tally)
{
    struct lap lap = {0, 0};
    omen_err err = OMEN_OK;
    bool get = op->kind == OMI_OP_GET_MISS || op->kind == OMI_OP_GET_HIT;
    if (get && work->by_kind && tally != NULL)
        err = kind_switch(work, (int)op->kind, tally);
    if (err != OMEN_OK)
        return err;
    if (get)
        err = op_get(work, op, &lap);
    else
        err = op->kind == OMI_OP_SCAN ? op_scan(work, op, &lap) : op_write(work, op, &lap);
    if (err != OMEN_OK || tally == NULL)
        return err;
    tally->ops[op->kind]++;
    tally->us[op->kind] += (double)(lap.end - lap.start) * 1e-3;
    bench_hist_add(&tally->hist[op->kind], lap.end - lap.start);
    if (op->kind == OMI_OP_PUT)
        tally->user_bytes += OMT_WORK_KEY_BYTES + work->value_bytes;
    return OMEN_OK;
}

/* ---- many -------------------------------------------------------------------------------------- */

/* A phase at the end that never comes: new keys get their places by how many may ever come. */
static void keys_reserve(struct omi_workload *w, uint64_t keys_ops)
{
    uint64_t ops = omi_workload_ops(w);
    if (w->inserts > 0 && w->phase_count < OMI_PHASES_MAX && ops < keys_ops) {
        w->phase[w->phase_count] = w->phase[0];
        w->phase[w->phase_count++].ops = keys_ops - ops;
    }
}

void omt_work_init(struct omt_work *work, const struct omi_workload *workload, uint64_t keys_ops,
                   uint64_t chance, const volatile int *stop)
{
    memset(work, 0, sizeof(*work));
    work->workload = *workload;
    work->kind_seen = -1;
    work->stop = stop;
    memcpy(work->phase, workload->phase, sizeof(work->phase));
    work->phase_count = workload->phase_count;
    keys_reserve(&work->workload, keys_ops);
    omi_ops_init(&work->ops, &work->workload);
    work->ops.random.state = omi_random_mix(workload->seed ^ chance << 32) ^ chance;
    work->value_bytes =
        workload->entry_bytes > OMT_WORK_KEY_BYTES ? workload->entry_bytes - OMT_WORK_KEY_BYTES : 0;
    work->value = omt_realloc(NULL, work->value_bytes);
    work->expected = omt_realloc(NULL, work->value_bytes);
    omt_gone_init(&work->gone, workload, work->ops.range);
}

void omt_work_after(struct omt_work *work, const struct omi_ops *ops, const struct omt_gone *gone)
{
    work->ops.count = ops->count;
    work->ops.oldest = ops->oldest;
    omt_gone_fini(&work->gone);
    omt_gone_copy(&work->gone, gone);
}

void omt_work_fini(struct omt_work *work)
{
    free(work->value);
    free(work->expected);
    omt_gone_fini(&work->gone);
}

static omen_err stopped(const struct omt_work *work)
{
    if (work->stop == NULL || *work->stop == 0)
        return OMEN_OK;
    return omi_fail(OMEN_ABORTED, 0, "interrupted");
}

omen_err omt_work_load(struct omt_work *work)
{
    omen_err err = OMEN_OK;
    for (uint64_t i = 0; i < work->workload.entries && err == OMEN_OK; i++) {
        struct omi_op op = {.kind = OMI_OP_PUT, .key = omi_ops_load_key(&work->ops, i)};
        err = op_do(work, &op, NULL);
        if (err == OMEN_OK && i % 256 == 0)
            err = stopped(work);
    }
    return err;
}

/* The kind that is owed most; written into the phase, whence omi_ops_next takes it. */
static bool kind_deal(struct omt_work *work)
{
    struct omi_ops *ops = &work->ops;
    if (ops->phase >= work->phase_count)
        return false;
    const struct omi_phase *given = &work->phase[ops->phase];
    struct omi_phase *next = &work->workload.phase[ops->phase];
    double at = given->ops > 1 ? (double)ops->in_phase / (double)(given->ops - 1) : 0;
    int most = -1;
    for (int op = 0; op < OMI_TUNE_OPS; op++) {
        double share = given->from[op] + at * (given->to[op] - given->from[op]);
        work->owed[op] += share;
        next->from[op] = next->to[op] = 0;
        if (share > 0 && (most < 0 || work->owed[op] > work->owed[most]))
            most = op;
    }
    work->owed[most] -= 1;
    next->from[most] = next->to[most] = 1;
    return true;
}

omen_err omt_work_run(struct omt_work *work, uint64_t count, struct omt_tally *tally)
{
    struct omi_op op;
    omen_err err = OMEN_OK;
    work->kind_seen = -1;
    for (uint64_t i = 0; i < count && err == OMEN_OK && kind_deal(work); i++) {
        if (!omi_ops_next(&work->ops, &op))
            break;
        err = op_do(work, &op, tally);
        if (err == OMEN_OK && i % 256 == 0)
            err = stopped(work);
    }
    if (err == OMEN_OK && work->by_kind && tally != NULL)
        err = kind_switch(work, -1, tally);
    return err;
}

void omt_tally_add(struct omt_tally *into, const struct omt_tally *from)
{
    for (int k = 0; k < OMT_OP_KINDS; k++) {
        into->ops[k] += from->ops[k];
        into->us[k] += from->us[k];
        bench_hist_merge(&into->hist[k], &from->hist[k]);
    }
    into->kind_blocks[0] += from->kind_blocks[0];
    into->kind_blocks[1] += from->kind_blocks[1];
    into->user_bytes += from->user_bytes;
}

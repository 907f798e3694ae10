/*
 * ycsb.c - the YCSB core workloads: `omendb ycsb load|run`, with YCSB's properties and output.
 * A record is fieldcount x fieldlength bytes under one key. An update changes one field, so it
 * reads the record first, as YCSB's bindings of key-value stores do; writeallfields=true writes
 * blindly.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/bench_keys.h"
#include "tools/bench_run.h"
#include "tools/cmd.h"
#include "tools/json.h"

enum { YCSB_READ, YCSB_UPDATE, YCSB_INSERT, YCSB_SCAN, YCSB_RMW, YCSB_KINDS };
static const char *const kind_names[YCSB_KINDS] = {"READ", "UPDATE", "INSERT", "SCAN",
                                                   "READ-MODIFY-WRITE"};

enum choice { CHOOSE_UNIFORM, CHOOSE_ZIPFIAN, CHOOSE_LATEST };

/* ---- properties ------------------------------------------------------------------------------ */

struct properties {
    uint64_t recordcount, operationcount, insertstart, insertcount, fieldcount, fieldlength;
    uint64_t minscanlength, maxscanlength, zeropadding, threadcount, target, maxexecutiontime;
    double share[YCSB_KINDS]; /* of operations */
    const char *requestdistribution, *scanlengthdistribution, *insertorder, *dir, *options;
    const char *writeallfields, *ignored;
};

enum property_kind { P_U64, P_F64, P_TEXT };
struct property {
    const char *name;
    enum property_kind kind;
    void *target;
};

static const char *property_name(const void *context, size_t index)
{
    return ((const struct property *)context)[index].name;
}

/* Sets one "name=value"; text must stay. Names YCSB knows and we have no use for are accepted. */
static bool property_set(struct properties *p, char *text, const char *from)
{
    const struct property table[] = {
        {"recordcount", P_U64, &p->recordcount},
        {"operationcount", P_U64, &p->operationcount},
        {"insertstart", P_U64, &p->insertstart},
        {"insertcount", P_U64, &p->insertcount},
        {"fieldcount", P_U64, &p->fieldcount},
        {"fieldlength", P_U64, &p->fieldlength},
        {"minscanlength", P_U64, &p->minscanlength},
        {"maxscanlength", P_U64, &p->maxscanlength},
        {"zeropadding", P_U64, &p->zeropadding},
        {"threadcount", P_U64, &p->threadcount},
        {"target", P_U64, &p->target},
        {"maxexecutiontime", P_U64, &p->maxexecutiontime},
        {"readproportion", P_F64, &p->share[YCSB_READ]},
        {"updateproportion", P_F64, &p->share[YCSB_UPDATE]},
        {"insertproportion", P_F64, &p->share[YCSB_INSERT]},
        {"scanproportion", P_F64, &p->share[YCSB_SCAN]},
        {"readmodifywriteproportion", P_F64, &p->share[YCSB_RMW]},
        {"requestdistribution", P_TEXT, &p->requestdistribution},
        {"scanlengthdistribution", P_TEXT, &p->scanlengthdistribution},
        {"insertorder", P_TEXT, &p->insertorder},
        {"writeallfields", P_TEXT, &p->writeallfields},
        {"omendb.dir", P_TEXT, &p->dir},
        {"omendb.options", P_TEXT, &p->options},
        {"workload", P_TEXT, &p->ignored},
        {"readallfields", P_TEXT, &p->ignored},
        {"dataintegrity", P_TEXT, &p->ignored},
        {"table", P_TEXT, &p->ignored},
        {"measurementtype", P_TEXT, &p->ignored},
        {"hdrhistogram.percentiles", P_TEXT, &p->ignored},
        {"status.interval", P_TEXT, &p->ignored},
    };
    enum { COUNT = sizeof(table) / sizeof(table[0]) };
    char *equals = strchr(text, '=');
    if (equals == NULL) {
        fprintf(stderr, "omendb: ycsb: %s: \"%s\" is no NAME=VALUE; see omendb ycsb --help\n", from,
                text);
        return false;
    }
    char *value = equals + 1 + strspn(equals + 1, " \t"), *end = equals;
    while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    *end = '\0';
    for (size_t i = 0; i < COUNT; i++) {
        if (strcmp(table[i].name, text) != 0)
            continue;
        bool ok = true;
        if (table[i].kind == P_U64)
            ok = omt_parse_u64(value, table[i].target);
        else if (table[i].kind == P_F64)
            ok = omt_parse_f64(value, table[i].target);
        else
            *(const char **)table[i].target = value;
        if (!ok)
            fprintf(stderr, "omendb: ycsb: %s: %s does not take \"%s\"; give a number\n", from,
                    text, value);
        return ok;
    }
    const char *near = omt_nearest(text, COUNT, property_name, table);
    fprintf(stderr, "omendb: ycsb: %s: unknown property %s%s%s; see omendb ycsb --help\n", from,
            text, near != NULL ? ", did you mean " : "", near != NULL ? near : "");
    return false;
}

static bool workload_set(struct properties *p, const char *name)
{
    static const struct {
        double share[YCSB_KINDS];
        const char *distribution;
    } core[] = {
        {{0.5, 0.5, 0, 0, 0}, "zipfian"},   {{0.95, 0.05, 0, 0, 0}, "zipfian"},
        {{1, 0, 0, 0, 0}, "zipfian"},       {{0.95, 0, 0.05, 0, 0}, "latest"},
        {{0, 0, 0.05, 0.95, 0}, "zipfian"}, {{0.5, 0, 0, 0, 0.5}, "zipfian"},
    };
    char c = name[0] == '\0' || name[1] != '\0' ? '\0' : (char)(name[0] | 0x20);
    if (c < 'a' || c > 'f') {
        fprintf(stderr, "omendb: ycsb: --workload=%s; give a, b, c, d, e or f\n", name);
        return false;
    }
    memcpy(p->share, core[c - 'a'].share, sizeof(p->share));
    p->requestdistribution = core[c - 'a'].distribution;
    if (c == 'e')
        p->maxscanlength = 100;
    return true;
}

/* ---- choosing records ------------------------------------------------------------------------ */

/* Gray and others' generator of Zipf-distributed ranks; ranks grow without a new start. */
struct zipf {
    uint64_t items;
    double theta, alpha, zeta2, zeta, eta;
};

static void zipf_eta(struct zipf *z)
{
    z->eta = (1 - pow(2.0 / (double)z->items, 1 - z->theta)) / (1 - z->zeta2 / z->zeta);
}

static void zipf_grow(struct zipf *z, uint64_t items)
{
    if (items <= z->items)
        return;
    for (uint64_t i = z->items; i < items; i++)
        z->zeta += 1 / pow((double)(i + 1), z->theta);
    z->items = items;
    zipf_eta(z);
}

static void zipf_init(struct zipf *z, uint64_t items, double theta, double zeta)
{
    *z = (struct zipf){.theta = theta, .alpha = 1 / (1 - theta), .zeta2 = 1 + pow(0.5, theta)};
    if (zeta != 0) { /* known: 10^10 terms are not summed here */
        z->items = items;
        z->zeta = zeta;
        zipf_eta(z);
    } else {
        zipf_grow(z, items);
    }
}

static double unit(struct bench_thread *t)
{
    return (double)(bench_random(t) >> 11) * 0x1p-53;
}

static uint64_t zipf_next(const struct zipf *z, struct bench_thread *t)
{
    double u = unit(t), uz = u * z->zeta;
    if (uz < 1)
        return 0;
    if (uz < z->zeta2)
        return 1;
    uint64_t v = (uint64_t)((double)z->items * pow(z->eta * u - z->eta + 1, z->alpha));
    return v < z->items ? v : z->items - 1;
}

/* ---- a run ----------------------------------------------------------------------------------- */

struct ycsb {
    struct bench_run run; /* first */
    struct properties p;
    enum choice choice;
    struct zipf zipf;
    bool load, hashed, blind;
    struct omt_list kept; /* texts that properties point into */
    uint64_t operations, scramble_items;
    atomic_uint_fast64_t next_insert, inserted; /* record numbers, from insertstart */
    atomic_uint_fast64_t ok[YCSB_KINDS], missing[YCSB_KINDS];
    atomic_bool status_stop;
    bool status_on;
    pthread_t status_id;
};

static char *text_keep(struct ycsb *y, const char *text)
{
    size_t n = strlen(text) + 1;
    char *copy = omt_realloc(NULL, n);
    memcpy(copy, text, n);
    omt_list_add(&y->kept, copy);
    return copy;
}

/* Lines name=value; # and ! start comments. The text stays: properties point into it. */
static bool property_file(struct ycsb *y, const char *path)
{
    FILE *in = fopen(path, "r");
    if (in == NULL) {
        fprintf(stderr, "omendb: ycsb: -P %s: %m; check the path, or use --workload=a\n", path);
        return false;
    }
    char *line = NULL;
    size_t room = 0;
    bool ok = true;
    while (ok && getline(&line, &room, in) > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        const char *word = line + strspn(line, " \t");
        if (*word == '\0' || *word == '#' || *word == '!')
            continue;
        ok = property_set(&y->p, text_keep(y, word), path);
    }
    free(line);
    fclose(in);
    return ok;
}

struct client {
    struct ycsb *y;
    struct bench_thread *t;
    struct zipf zipf;
    uint8_t key[64];
    uint8_t *record, *pool;
    uint64_t record_bytes, pool_bytes;
    uint64_t ok[YCSB_KINDS], missing[YCSB_KINDS];
};

static omen_slice record_key(struct client *c, uint64_t n)
{
    uint64_t v = c->y->hashed ? bench_ycsb_hash(n) : n;
    size_t width = c->y->p.zeropadding > 20 ? 20 : (size_t)c->y->p.zeropadding;
    memcpy(c->key, "user", 4);
    return (omen_slice){c->key, 4 + bench_digits(c->key + 4, v, width)};
}

static uint64_t record_choose(struct client *c)
{
    struct ycsb *y = c->y;
    uint64_t count = atomic_load_explicit(&y->inserted, memory_order_relaxed) - y->p.insertstart;
    count = count == 0 ? 1 : count;
    uint64_t n;
    switch (y->choice) {
    case CHOOSE_ZIPFIAN:
        do /* scrambled: hot records lie all over; those not inserted yet are passed by */
            n = bench_ycsb_hash(zipf_next(&c->zipf, c->t)) % y->scramble_items;
        while (n >= count);
        break;
    case CHOOSE_LATEST:
        zipf_grow(&c->zipf, count);
        n = zipf_next(&c->zipf, c->t);
        n = n < count ? count - 1 - n : 0;
        break;
    case CHOOSE_UNIFORM:
    default:
        n = bench_random_below(c->t, count);
        break;
    }
    return y->p.insertstart + n;
}

static const uint8_t *fresh_bytes(struct client *c, uint64_t bytes)
{
    return c->pool + bench_random_below(c->t, c->pool_bytes - bytes + 1);
}

static omen_err do_read(struct client *c, uint64_t n, bool keep, uint64_t *size_out)
{
    const struct bench_engine *e = c->y->run.engine;
    omen_value v = {0};
    omen_err err = e->get(c->y->run.db, record_key(c, n), &v);
    *size_out = 0;
    if (err != OMEN_OK)
        return err;
    if (keep) {
        *size_out = v.size < c->record_bytes ? v.size : c->record_bytes;
        memcpy(c->record, v.data, *size_out);
    }
    e->release(&v);
    return OMEN_OK;
}

static omen_err do_write(struct client *c, uint64_t n, uint64_t have)
{
    struct ycsb *y = c->y;
    uint64_t bytes = y->p.fieldlength;
    if (y->blind || have != c->record_bytes) {
        memcpy(c->record, fresh_bytes(c, c->record_bytes), c->record_bytes);
    } else {
        uint64_t field = bench_random_below(c->t, y->p.fieldcount);
        memcpy(c->record + field * bytes, fresh_bytes(c, bytes), bytes);
    }
    return y->run.engine->put(y->run.db, record_key(c, n), (omen_slice){c->record, c->record_bytes},
                              false);
}

static omen_err do_insert(struct client *c)
{
    struct ycsb *y = c->y;
    uint64_t n = atomic_fetch_add(&y->next_insert, 1);
    omen_err err = do_write(c, n, 0);
    if (err == OMEN_OK) /* about the highest that is there: a rival's may still be under way */
        atomic_fetch_add(&y->inserted, 1);
    return err;
}

static omen_err do_scan(struct client *c, uint64_t n)
{
    struct ycsb *y = c->y;
    const struct bench_engine *e = y->run.engine;
    uint64_t span = y->p.maxscanlength - y->p.minscanlength + 1;
    uint64_t left = y->p.minscanlength + bench_random_below(c->t, span);
    void *it = NULL;
    omen_err err = e->iter_open(y->run.db, NULL, &it);
    if (err != OMEN_OK)
        return err;
    omen_slice key, value;
    bool on = e->iter_seek(it, record_key(c, n), &key, &value);
    for (; on && left > 0; left--) {
        /* the record is taken, as a caller would */
        memcpy(c->record, value.data, value.size < c->record_bytes ? value.size : c->record_bytes);
        on = e->iter_next(it, &key, &value);
    }
    err = e->iter_status(it);
    e->iter_close(it);
    return err;
}

static void kind_add(struct client *c, int kind, uint64_t ns, omen_err err)
{
    struct bench_thread *t = c->t;
    if (t->hist[kind] == NULL)
        t->hist[kind] = calloc(1, sizeof(*t->hist[kind]));
    if (t->hist[kind] != NULL)
        bench_hist_add(t->hist[kind], ns);
    if (err == OMEN_OK)
        c->ok[kind]++;
    else
        c->missing[kind]++;
}

static omen_err operation(struct client *c, int kind)
{
    uint64_t start = bench_now_ns(), size = 0;
    uint64_t n = kind == YCSB_INSERT ? 0 : record_choose(c);
    omen_err err = OMEN_OK, read = OMEN_OK;
    switch (kind) {
    case YCSB_READ:
        err = do_read(c, n, true, &size);
        break;
    case YCSB_UPDATE:
        if (!c->y->blind)
            err = do_read(c, n, true, &size);
        if (err == OMEN_OK || err == OMEN_NOT_FOUND)
            err = do_write(c, n, size);
        break;
    case YCSB_INSERT:
        err = do_insert(c);
        break;
    case YCSB_SCAN:
        err = do_scan(c, n);
        break;
    default: { /* read-modify-write: its parts are measured too, as YCSB does */
        read = do_read(c, n, true, &size);
        if (read != OMEN_OK && read != OMEN_NOT_FOUND)
            return read;
        uint64_t middle = bench_now_ns();
        err = do_write(c, n, size);
        uint64_t end = bench_now_ns();
        kind_add(c, YCSB_READ, middle - start, read);
        kind_add(c, YCSB_UPDATE, end - middle, err);
        break;
    }
    }
    if (err != OMEN_OK && err != OMEN_NOT_FOUND)
        return err;
    kind_add(c, kind, bench_now_ns() - start, err);
    return OMEN_OK;
}

static int kind_choose(struct client *c)
{
    double u = unit(c->t);
    for (int k = 0; k < YCSB_KINDS; k++) {
        u -= c->y->p.share[k];
        if (u < 0)
            return k;
    }
    return YCSB_READ;
}

static void client_run(struct bench_thread *t)
{
    struct ycsb *y = (struct ycsb *)t->run;
    struct client c = {.y = y, .t = t, .zipf = y->zipf};
    c.record_bytes = y->p.fieldcount * y->p.fieldlength;
    c.pool_bytes = c.record_bytes + (1 << 16);
    c.record = omt_realloc(NULL, c.record_bytes);
    c.pool = omt_realloc(NULL, c.pool_bytes);
    for (uint64_t i = 0; i < c.pool_bytes; i++)
        c.pool[i] = (uint8_t)(' ' + bench_random_below(t, 95));
    t->start_ns = t->last_ns = bench_now_ns(); /* the pool is not part of the run */
    uint64_t share = y->operations / y->run.threads;
    share += t->index < y->operations % y->run.threads;
    uint64_t limit = y->p.target == 0 ? 0 : (y->p.target + y->run.threads - 1) / y->run.threads;
    uint64_t end_ns = t->start_ns + y->p.maxexecutiontime * 1000000000u;
    for (uint64_t i = 0; i < share && !atomic_load(&y->run.failed); i++) {
        if (y->p.maxexecutiontime != 0 && bench_now_ns() >= end_ns)
            break;
        omen_err err = operation(&c, y->load ? YCSB_INSERT : kind_choose(&c));
        if (err != OMEN_OK) {
            bench_fail(t, "operation", err);
            break;
        }
        __atomic_store_n(&t->done, t->done + 1, __ATOMIC_RELAXED);
        bench_pace(t, 1, limit);
    }
    for (int k = 0; k < YCSB_KINDS; k++) {
        atomic_fetch_add(&y->ok[k], c.ok[k]);
        atomic_fetch_add(&y->missing[k], c.missing[k]);
    }
    free(c.pool);
    free(c.record);
}

/* ---- output ---------------------------------------------------------------------------------- */

static void *status_main(void *arg)
{
    struct ycsb *y = arg;
    uint64_t start = bench_now_ns(), next = start + 10000000000u, before = 0;
    while (!atomic_load(&y->status_stop)) {
        struct timespec nap = {0, 50000000};
        nanosleep(&nap, NULL);
        uint64_t now = bench_now_ns();
        struct bench_thread *all = atomic_load(&y->run.all);
        if (now < next || all == NULL)
            continue;
        next += 10000000000u;
        uint64_t done = 0;
        for (uint32_t i = 0; i < y->run.threads; i++)
            done += __atomic_load_n(&all[i].done, __ATOMIC_RELAXED);
        struct timespec wall;
        clock_gettime(CLOCK_REALTIME, &wall);
        struct tm tm;
        localtime_r(&wall.tv_sec, &tm);
        char date[40];
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
        double spent = (double)(now - start) * 1e-9;
        fprintf(stderr,
                "%s:%03ld %.0f sec: %" PRIu64 " operations; %.2f current ops/sec; est completion "
                "in %.0f seconds\n",
                date, wall.tv_nsec / 1000000, spent, done, (double)(done - before) / 10,
                done == 0 ? 0.0 : (double)(y->operations - done) * spent / (double)done);
        before = done;
    }
    return NULL;
}

static void status_end(struct bench_run *run)
{
    struct ycsb *y = (struct ycsb *)run;
    if (y->status_on) {
        atomic_store(&y->status_stop, true);
        pthread_join(y->status_id, NULL);
    }
    y->status_on = false;
}

static void result_print(const struct ycsb *y, const struct bench_result *r)
{
    printf("[OVERALL], RunTime(ms), %.0f\n", r->seconds * 1e3);
    printf("[OVERALL], Throughput(ops/sec), %.3f\n", r->ops_per_sec);
    for (int k = 0; k < YCSB_KINDS; k++) {
        const struct bench_hist *h = r->hist[k];
        if (h == NULL || h->count == 0)
            continue;
        const char *n = kind_names[k];
        printf("[%s], Operations, %" PRIu64 "\n", n, h->count);
        printf("[%s], AverageLatency(us), %.4f\n", n, bench_hist_mean_us(h));
        printf("[%s], MinLatency(us), %" PRIu64 "\n", n, h->min_ns / 1000);
        printf("[%s], MaxLatency(us), %" PRIu64 "\n", n, h->max_ns / 1000);
        printf("[%s], 95thPercentileLatency(us), %.0f\n", n, bench_hist_percentile_us(h, 95));
        printf("[%s], 99thPercentileLatency(us), %.0f\n", n, bench_hist_percentile_us(h, 99));
        if (atomic_load(&y->ok[k]) != 0)
            printf("[%s], Return=OK, %" PRIuFAST64 "\n", n, atomic_load(&y->ok[k]));
        if (atomic_load(&y->missing[k]) != 0)
            printf("[%s], Return=NOT_FOUND, %" PRIuFAST64 "\n", n, atomic_load(&y->missing[k]));
    }
}

static bool result_json(const char *path, const struct bench_result *r, struct ycsb *y)
{
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "w");
    if (out == NULL) {
        fprintf(stderr, "omendb: ycsb: --json=%s: %m; check the path\n", path);
        return false;
    }
    struct omt_json j = {.out = out};
    omt_json_object(&j, NULL);
    omt_json_text(&j, "phase", y->load ? "load" : "run");
    omt_json_f64(&j, "seconds", r->seconds, 6);
    omt_json_u64(&j, "operations", r->operations);
    omt_json_f64(&j, "ops_per_sec", r->ops_per_sec, 1);
    omt_json_u64(&j, "threads", y->run.threads);
    omt_json_object(&j, "kinds");
    for (int k = 0; k < YCSB_KINDS; k++) {
        const struct bench_hist *h = r->hist[k];
        if (h == NULL || h->count == 0)
            continue;
        omt_json_object(&j, kind_names[k]);
        omt_json_u64(&j, "operations", h->count);
        omt_json_u64(&j, "ok", atomic_load(&y->ok[k]));
        omt_json_u64(&j, "not_found", atomic_load(&y->missing[k]));
        omt_json_f64(&j, "mean_us", bench_hist_mean_us(h), 3);
        omt_json_f64(&j, "p50_us", bench_hist_percentile_us(h, 50), 3);
        omt_json_f64(&j, "p95_us", bench_hist_percentile_us(h, 95), 3);
        omt_json_f64(&j, "p99_us", bench_hist_percentile_us(h, 99), 3);
        omt_json_f64(&j, "p999_us", bench_hist_percentile_us(h, 99.9), 3);
        omt_json_f64(&j, "max_us", (double)h->max_ns * 1e-3, 3);
        omt_json_object_end(&j);
    }
    omt_json_object_end(&j);
    omt_json_object_end(&j);
    omt_json_end(&j);
    return out == stdout || fclose(out) == 0;
}

/* ---- the command ----------------------------------------------------------------------------- */

static bool properties_check(const struct properties *p)
{
    double sum = 0;
    for (int k = 0; k < YCSB_KINDS; k++)
        sum += p->share[k] < 0 ? 1e9 : p->share[k];
    const char *why = NULL;
    if (sum < 0.999 || sum > 1.001)
        why = "the proportions must add up to 1";
    else if (p->recordcount == 0 || p->recordcount > INT64_MAX / 4)
        why = "recordcount is out of range";
    else if (p->fieldcount == 0 || p->fieldlength == 0 || p->fieldcount > 65536 ||
             p->fieldlength > OMEN_VALUE_BYTES_MAX / p->fieldcount)
        why = "fieldcount x fieldlength must be 1 byte to 256 MiB";
    else if (p->threadcount == 0 || p->threadcount > 1024)
        why = "threadcount must be 1 to 1024";
    else if (p->minscanlength == 0 || p->minscanlength > p->maxscanlength ||
             p->maxscanlength > INT64_MAX)
        why = "minscanlength must be 1 or more, and maxscanlength no less";
    else if (strcmp(p->scanlengthdistribution, "uniform") != 0)
        why = "scanlengthdistribution: only uniform is built";
    else if (strcmp(p->insertorder, "hashed") != 0 && strcmp(p->insertorder, "ordered") != 0)
        why = "insertorder must be hashed or ordered";
    else if (p->maxexecutiontime > 1000000000)
        why = "maxexecutiontime is out of range";
    if (why != NULL)
        omt_usage("ycsb", why);
    return why == NULL;
}

static bool choice_set(struct ycsb *y)
{
    const char *name = y->p.requestdistribution;
    uint64_t records = y->p.recordcount;
    if (strcmp(name, "uniform") == 0) {
        y->choice = CHOOSE_UNIFORM;
    } else if (strcmp(name, "zipfian") == 0) {
        y->choice = CHOOSE_ZIPFIAN;
        /* YCSB's own: ranks over 10^10 items, hashed onto the records and those to come */
        zipf_init(&y->zipf, 10000000000u, 0.99, 26.46902820178302);
        y->scramble_items =
            records + (uint64_t)((double)y->operations * y->p.share[YCSB_INSERT] * 2);
    } else if (strcmp(name, "latest") == 0) {
        y->choice = CHOOSE_LATEST;
        zipf_init(&y->zipf, records, 0.99, 0);
    } else {
        omt_usage("ycsb", "requestdistribution must be uniform, zipfian or latest");
        return false;
    }
    return true;
}

static int ycsb_execute(struct ycsb *y, bool status, bool fresh, const char *json)
{
    struct bench_run *run = &y->run;
    omen_options options = {.struct_bytes = sizeof(options), .flags = OMEN_CREATE_IF_MISSING};
    if (y->p.options != NULL && omen_options_from_string(y->p.options, &options) != OMEN_OK)
        return omt_tell("omendb.options", OMEN_INVALID);
    if (!choice_set(y))
        return OMT_EXIT_USAGE;
    omen_err err = fresh ? run->engine->destroy(run->path) : OMEN_OK;
    if (err == OMEN_OK)
        err = run->engine->open(run->path, &options, &run->db);
    if (err != OMEN_OK)
        return omt_tell(run->path, err);
    run->ended = status_end;
    y->status_on = status && pthread_create(&y->status_id, NULL, status_main, y) == 0;
    struct bench_result result = {0};
    bool ok = bench_run_threads(run, client_run, &result);
    status_end(run); /* when no thread could be started */
    int r = ok && !result.failed ? OMT_EXIT_OK : OMT_EXIT_ERROR;
    if (ok)
        result_print(y, &result);
    if (ok && json != NULL && !result_json(json, &result, y))
        r = OMT_EXIT_ERROR;
    bench_result_fini(&result);
    err = run->engine->close(run->db);
    if (err != OMEN_OK && r == OMT_EXIT_OK)
        r = omt_tell(run->path, err);
    return omt_stdout_end(r);
}

int omt_cmd_ycsb(int argc, char **argv)
{
    static struct ycsb y;
    static struct bench_flags run_flags; /* no progress, no reports */
    static char path[4096];
    struct omt_list files = {NULL, 0}, settings = {NULL, 0};
    const char *workload = NULL, *json = NULL, *db = NULL;
    uint64_t threads = 0, target = 0, seed = 0;
    bool status = false, fresh = false;
    const struct omt_flag flags[] = {
        {"workload", OMT_TEXT, &workload, "a..f", "a core workload", NULL},
        {"P", OMT_LIST, &files, "FILE", "properties from a file, as YCSB's workloads/", NULL},
        {"p", OMT_LIST, &settings, "NAME=VALUE", "one property", NULL},
        {"threads", OMT_U64, &threads, NULL, "client threads", NULL},
        {"target", OMT_U64, &target, NULL, "operations a second at most", NULL},
        {"s", OMT_BOOL, &status, NULL, "a status line on stderr each 10 seconds", NULL},
        {"db", OMT_TEXT, &db, "DIR", "the database (omendb.dir; default in TMPDIR or /tmp)", NULL},
        {"fresh", OMT_BOOL, &fresh, NULL, "load: destroy what is there first", NULL},
        {"seed", OMT_U64, &seed, NULL, "of the random numbers (0: the clock)", NULL},
        {"json", OMT_TEXT, &json, "FILE", "results as JSON (-: stdout)", NULL},
    };
    struct omt_args args = {
        .flags = flags,
        .count = sizeof(flags) / sizeof(flags[0]),
        .command = "ycsb",
        .usage = "omendb ycsb load|run [flags]",
        .text = "Runs YCSB's core workloads with YCSB's property names and output. load inserts\n"
                "recordcount records, run does operationcount operations on them. Defaults: 1000 "
                "of\neach, 10 fields of 100 bytes, keys user<hash>. Also: maxexecutiontime, "
                "insertorder,\nzeropadding, maxscanlength, requestdistribution, writeallfields, "
                "omendb.dir,\nomendb.options=name=value,...\n"
                "  a 50% read 50% update     d 95% read 5% insert, latest\n"
                "  b 95% read  5% update     e 95% scan 5% insert\n"
                "  c reads                   f 50% read 50% read-modify-write\n",
        .examples = "  omendb ycsb load --workload=a -p recordcount=1000000 --db=/ssd/y\n"
                    "  omendb ycsb run  --workload=a -p recordcount=1000000 "
                    "-p operationcount=1000000 --db=/ssd/y\n"
                    "  omendb ycsb run -P workloads/workloadb -threads 4 -target 50000 -s\n",
    };
    int r = OMT_EXIT_USAGE;
    enum omt_parse parsed = omt_args_parse(&args, argc, argv);
    if (parsed == OMT_PARSE_HELP)
        r = OMT_EXIT_OK;
    if (parsed != OMT_PARSE_OK)
        goto free_args;
    /* The binding's name may follow, as in YCSB; it can only be ours. */
    bool words_ok = args.word_count >= 1 && args.word_count <= 2 &&
                    (strcmp(args.words[0], "load") == 0 || strcmp(args.words[0], "run") == 0) &&
                    (args.word_count == 1 || strcmp(args.words[1], "omendb") == 0);
    if (!words_ok) {
        omt_usage("ycsb", "say load or run");
        goto free_args;
    }
    y.load = strcmp(args.words[0], "load") == 0;
    y.p = (struct properties){
        .recordcount = 1000,
        .operationcount = 1000,
        .insertcount = UINT64_MAX,
        .fieldcount = 10,
        .fieldlength = 100,
        .minscanlength = 1,
        .maxscanlength = 1000,
        .zeropadding = 1,
        .threadcount = 1,
        .share = {[YCSB_READ] = 0.95, [YCSB_UPDATE] = 0.05},
        .requestdistribution = "uniform",
        .scanlengthdistribution = "uniform",
        .insertorder = "hashed",
        .writeallfields = "false",
    };
    if (workload != NULL && !workload_set(&y.p, workload))
        goto free_args;
    for (size_t i = 0; i < files.count; i++)
        if (!property_file(&y, files.at[i]))
            goto free_args;
    for (size_t i = 0; i < settings.count; i++)
        if (!property_set(&y.p, text_keep(&y, settings.at[i]), "-p"))
            goto free_args;
    y.p.threadcount = threads != 0 ? threads : y.p.threadcount;
    y.p.target = target != 0 ? target : y.p.target;
    if (!omt_parse_bool(y.p.writeallfields, &y.blind)) {
        omt_usage("ycsb", "writeallfields must be true or false");
        goto free_args;
    }
    if (!properties_check(&y.p))
        goto free_args;
    y.hashed = strcmp(y.p.insertorder, "hashed") == 0;
    db = db != NULL ? db : y.p.dir;
    const char *tmp = getenv("TMPDIR");
    int n = db != NULL ? snprintf(path, sizeof(path), "%s", db)
                       : snprintf(path, sizeof(path), "%s/omendb-ycsb-%ld",
                                  tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp", (long)getuid());
    if (n < 0 || (size_t)n >= sizeof(path)) {
        omt_usage("ycsb", "the path is too long");
        goto free_args;
    }
    uint64_t inserts = y.p.insertcount == UINT64_MAX ? y.p.recordcount : y.p.insertcount;
    y.operations = y.load ? inserts : y.p.operationcount;
    y.run.name = "ycsb";
    y.run.path = path;
    y.run.flags = &run_flags;
    y.run.engine = &bench_engine_omendb;
    y.run.seed = seed != 0 ? seed : bench_now_ns();
    y.run.threads = (uint32_t)y.p.threadcount;
    y.run.sample = 1;
    atomic_init(&y.next_insert, y.p.insertstart + (y.load ? 0 : y.p.recordcount));
    atomic_init(&y.inserted, y.p.insertstart + (y.load ? 0 : y.p.recordcount));
    r = ycsb_execute(&y, status, fresh && y.load, json);
free_args:
    omt_list_free(&y.kept);
    free(files.at);
    free(settings.at);
    omt_args_free(&args);
    return r;
}
